//! Points in time as calendars have them, and as the service writes them in words. All UTC, proleptic Gregorian.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// An instant as calendar and clock have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// 1 is January.
    pub month: u8,
    /// 1 is the first of its month.
    pub day: u8,
    /// Of the common era.
    pub year: i64,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999.
    pub millisecond: u16,
    /// Days since the last Thursday, which 1970 began with.
    weekday: u8,
}

impl Civil {
    /// `ms` milliseconds after the beginning of 1970.
    pub fn of(ms: i64) -> Civil {
        let (days, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
        // Years are counted from March, so that the leap day is the last of its year; eras are 400 years.
        let z = days + 719_468;
        let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = (march_month + 2) % 12 + 1;
        Civil {
            month: month as u8,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u8,
            year: era * 400 + year_of_era + i64::from(month <= 2),
            hour: (ms / 3_600_000) as u8,
            minute: (ms / 60_000 % 60) as u8,
            second: (ms / 1000 % 60) as u8,
            millisecond: (ms % 1000) as u16,
            weekday: days.rem_euclid(7) as u8,
        }
    }

    fn words(&self) -> (&'static str, &'static str) {
        (DAYS[usize::from(self.weekday)], MONTHS[usize::from(self.month) - 1])
    }
}

/// As in the message of ExpiredIteratorException: `Thu Jan 22 01:22:02 UTC 2015`.
pub fn in_message(ms: i64) -> String {
    let civil = Civil::of(ms);
    let (weekday, month) = civil.words();
    let Civil { year, day, hour, minute, second, .. } = civil;
    format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

/// As in the HTTP header Date (RFC 9110, 5.6.7): `Thu, 22 Jan 2015 01:22:02 GMT`.
pub fn in_header(ms: i64) -> String {
    let civil = Civil::of(ms);
    let (weekday, month) = civil.words();
    let Civil { year, day, hour, minute, second, .. } = civil;
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
        assert_eq!(in_header(-5), "Wed, 31 Dec 1969 23:59:59 GMT");
    }
}
