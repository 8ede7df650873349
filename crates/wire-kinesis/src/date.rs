//! Points in time as the service writes them in words. All UTC, proleptic Gregorian, 1970 and later.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

struct Civil {
    weekday: &'static str,
    year: i64,
    month: &'static str,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

fn civil(ms: i64) -> Civil {
    let seconds = ms.max(0) / 1000;
    let days = seconds / 86_400;
    // Years are counted from March, so that the leap day is the last of its year; eras are 400 years.
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    Civil {
        weekday: DAYS[(days % 7) as usize],
        year,
        month: MONTHS[month as usize],
        day,
        hour: seconds / 3600 % 24,
        minute: seconds / 60 % 60,
        second: seconds % 60,
    }
}

/// As in the message of ExpiredIteratorException: `Thu Jan 22 01:22:02 UTC 2015`.
pub fn in_message(ms: i64) -> String {
    let Civil { weekday, year, month, day, hour, minute, second } = civil(ms);
    format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

/// As in the HTTP header Date (RFC 9110, 5.6.7): `Thu, 22 Jan 2015 01:22:02 GMT`.
pub fn in_header(ms: i64) -> String {
    let Civil { weekday, year, month, day, hour, minute, second } = civil(ms);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        assert_eq!(in_message(1_421_889_722_000), "Thu Jan 22 01:22:02 UTC 2015");
        assert_eq!(in_header(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(in_header(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(in_header(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(in_header(1_709_251_199_999), "Thu, 29 Feb 2024 23:59:59 GMT");
        assert_eq!(in_header(4_107_542_400_000), "Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(in_header(-5), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
