//! Points in time as people write them.

use kolk_wire_kinesis::date::Civil;

/// A point in time: `2026-11-23T01:30:00Z`, `2026-11-23T01:30:00.250+02:00`, `2026-11-23 01:30`, `2026-11-23`,
/// milliseconds since 1970, or so long ago: `90s`, `15m`, `2h`, `7d`, `now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Milliseconds since 1970.
    At(i64),
    /// Milliseconds before now.
    Ago(i64),
}

impl When {
    /// As milliseconds since 1970.
    pub fn ms(self, now_ms: i64) -> i64 {
        match self {
            When::At(ms) => ms,
            When::Ago(ms) => now_ms - ms,
        }
    }
}

impl std::str::FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "now" {
            return Ok(When::Ago(0));
        }
        if let Ok(ms) = text.parse() {
            return Ok(When::At(ms));
        }
        if let Some(ago) = ago(text) {
            return Ok(When::Ago(ago));
        }
        civil(text).map(When::At).ok_or_else(|| {
            format!(
                "`{text}` is no time: write 2026-11-23T01:30:00Z, milliseconds since 1970, or 90s, 15m, 2h, 7d for so \
                 long ago"
            )
        })
    }
}

fn ago(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let count: u32 = text[..text.len() - 1].trim_start_matches('-').parse().ok()?;
    i64::from(count).checked_mul(factor)
}

fn civil(text: &str) -> Option<i64> {
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, "00:00"),
    };
    let number = |text: &str, digits: usize| -> Option<i64> {
        (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let mut parts = date.split('-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || !(1..=days_in_month).contains(&day) || year < 1970 {
        return None;
    }
    let (clock, zone_minutes) = if let Some(clock) = rest.strip_suffix(['Z', 'z']) {
        (clock, 0)
    } else if let Some(at) = rest.rfind(['+', '-']) {
        let (clock, zone) = rest.split_at(at);
        let (hours, minutes) =
            zone[1..].split_once(':').unwrap_or((zone[1..].get(..2)?, zone[1..].get(2..)?));
        let minutes = number(hours, 2)? * 60 + number(minutes, 2)?;
        (clock, if zone.starts_with('-') { -minutes } else { minutes })
    } else {
        (rest, 0)
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let seconds = parts.next().unwrap_or("00");
    let (second, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let second = number(second, 2)?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 || fraction.is_empty() {
        return None;
    }
    let ms = number(&format!("{fraction:0<3}")[..3], 3)?;
    // Years are counted from March, so that the leap day is the last of its year.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute - zone_minutes) * 60 + second) * 1000 + ms)
}

/// `2026-11-23T01:30:00.250Z`.
pub fn iso(ms: i64) -> String {
    let Civil { year, month, day, hour, minute, second, millisecond, .. } = Civil::of(ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29", 951_782_400_000),
            ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("2100-03-01 00:00", 4_107_542_400_000),
            ("2026-11-23T03:30:00+02:00", 1_795_397_400_000),
            ("2026-11-22T20:30:00.5-0500", 1_795_397_400_500),
            ("1795397400000", 1_795_397_400_000),
        ] {
            assert_eq!(text.parse(), Ok(When::At(ms)), "{text}");
        }
        assert_eq!("15m".parse(), Ok(When::Ago(900_000)));
        assert_eq!("now".parse(), Ok(When::Ago(0)));
        for text in
            ["", "x", "5y", "2023-02-29", "2023-13-01", "2023-01-01T24:00", "2023-1-1", "m", "2023-01-01T1:2"]
        {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_print_and_read_back() {
        for ms in [0, 951_782_400_000, 1_709_251_199_999, 4_107_542_400_000, 1_795_397_400_500] {
            assert_eq!(iso(ms).parse(), Ok(When::At(ms)));
        }
        assert_eq!(iso(1_795_397_400_500), "2026-11-23T01:30:00.500Z");
        assert_eq!(iso(-1), "1969-12-31T23:59:59.999Z");
    }
}
