//! What Kolk says of itself on `/metrics`, as far as a row needs it.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::TcpStream;

/// One reading of all metrics.
pub struct Scrape(String);

impl Scrape {
    /// Asks the server's HTTP face.
    pub fn of(address: &str) -> Result<Scrape> {
        let mut socket = TcpStream::connect(address).context("the HTTP face")?;
        write!(socket, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        anyhow::ensure!(text.starts_with("HTTP/1.") && text.contains(" 200 "), "/metrics answered {text}");
        Ok(Scrape(text))
    }

    /// The number of a series, written as on the page: name and labels.
    pub fn number(&self, series: &str) -> Result<f64> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.with_context(|| format!("no {series} among the metrics"))?.trim().parse().context("no number")
    }

    /// Upper bounds of a histogram without labels, each with how many values are at or below it.
    fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let start = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&start)?.split_once("\"} ")?;
            Some((bound.replace("+Inf", "inf").parse().ok()?, count.trim().parse().ok()?))
        };
        self.0.lines().filter_map(bucket).collect()
    }
}

/// What a histogram of times gained between two readings.
pub struct Gained {
    /// How many values.
    pub count: f64,
    /// Their 99th percentile in microseconds, linear within its bucket as Prometheus has it; its upper bound if that
    /// is the last.
    pub p99_us: f64,
}

/// Compares two readings of the histogram `name`, which is in seconds.
pub fn gained(name: &str, before: &Scrape, after: &Scrape) -> Gained {
    let old = before.buckets(name);
    let counts = after.buckets(name).into_iter().enumerate();
    let buckets: Vec<(f64, f64)> =
        counts.map(|(at, (bound, count))| (bound, count - old.get(at).map_or(0.0, |old| old.1))).collect();
    let count = buckets.last().map_or(0.0, |last| last.1);
    let rank = count * 0.99;
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, upto) in buckets {
        if upto >= rank && upto > below {
            let within =
                if bound.is_finite() { (bound - low) * (rank - below) / (upto - below) } else { 0.0 };
            return Gained { count, p99_us: (low + within) * 1e6 };
        }
        (low, below) = (bound, upto);
    }
    Gained { count, p99_us: 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_gained() {
        let page = |[a, b, c]: [u32; 3]| {
            Scrape(format!(
                "# TYPE t histogram\nt_bucket{{le=\"0.001\"}} {a}\nt_bucket{{le=\"0.002\"}} {b}\n\
                 t_bucket{{le=\"+Inf\"}} {c}\nt_count {c}\nother{{x=\"y\"}} 4\n"
            ))
        };
        let gained = |before, after| {
            let gained = gained("t", &page(before), &page(after));
            (gained.count, gained.p99_us.round())
        };
        assert_eq!(gained([0, 0, 0], [100, 100, 100]), (100.0, 990.0));
        assert_eq!(gained([50, 50, 50], [50, 150, 150]), (100.0, 1990.0));
        assert_eq!(gained([0, 0, 0], [0, 0, 10]), (10.0, 2000.0));
        assert_eq!(gained([7, 7, 7], [7, 7, 7]), (0.0, 0.0));
        assert_eq!(page([1, 2, 3]).number("other{x=\"y\"}").unwrap(), 4.0);
        assert!(page([1, 2, 3]).number("oth").is_err());
    }
}
