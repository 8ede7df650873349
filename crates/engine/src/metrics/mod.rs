//! What a server counts about itself, and the page that shows it.
//!
//! A counter is one atomic, a histogram a row of them with fixed bounds: no registry, no lock, no lookup by name, no
//! clock. Who counts holds its numbers in a struct of its own and tells them to a [`Page`] when it is asked
//! ([`Source`]); several servers in one process have nothing in common. Why this and no library: see
//! `docs/adr/2026-11-23-metrics.md`.
//!
//! Names and units after the conventions of Prometheus: `kolk_` in front, seconds and bytes, `_total` behind what only
//! grows. Every family stands in `docs/metrics.md`; a test compares.

mod face;
mod page;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use face::{Face, RequestCost};
pub use page::{Family, Format, Kind, Page, Source};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes `count` away, of what was added before.
    pub fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    /// Replaces the number.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of a histogram's buckets, ascending, and how many of its units are one unit of the page.
#[derive(Debug)]
pub struct Scale {
    bounds: &'static [u64],
    per_unit: f64,
}

/// Times: counted in nanoseconds, shown in seconds, from 50 us to 10 s.
pub const SECONDS: Scale = Scale {
    bounds: &[
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
    ],
    per_unit: 1e9,
};

/// Sizes in bytes, from 4 KiB to 16 MiB.
pub const BYTES: Scale =
    Scale { bounds: &[4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20], per_unit: 1.0 };

/// How many, from 1 to 4096.
pub const COUNT: Scale = Scale { bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096], per_unit: 1.0 };

/// Bounds at most, and one bucket for what lies above the last.
const BUCKETS: usize = 18;

/// How often values fell between given bounds, and their sum.
#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    buckets: [Counter; BUCKETS],
    sum: Counter,
}

impl Histogram {
    /// An empty one.
    pub fn new(scale: &'static Scale) -> Self {
        assert!(scale.bounds.len() < BUCKETS, "a bucket for each bound and one above");
        Histogram { scale, buckets: Default::default(), sum: Counter::default() }
    }

    /// Counts a value, in the scale's own unit.
    pub fn observe(&self, value: u64) {
        self.buckets[self.scale.bounds.partition_point(|bound| *bound < value)].add(1);
        self.sum.add(value);
    }

    /// Counts a time; of a histogram in [`SECONDS`].
    pub fn observe_time(&self, took: Duration) {
        self.observe(nanoseconds(took));
    }

    /// Whether nothing was counted yet.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.get() == 0)
    }

    /// Upper bounds in the page's unit, each with how many values are at or below it, the last for all.
    fn cumulated(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let bounds = self.scale.bounds.iter().map(|bound| Some(*bound as f64 / self.scale.per_unit));
        let mut below = 0;
        bounds.chain([None]).zip(&self.buckets).map(move |(bound, bucket)| {
            below += bucket.get();
            (bound, below)
        })
    }

    /// The sum in the page's unit.
    fn sum(&self) -> f64 {
        self.sum.get() as f64 / self.scale.per_unit
    }
}

fn nanoseconds(time: Duration) -> u64 {
    // 584 years fit.
    time.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(time.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::new(&COUNT);
        assert!(histogram.is_empty());
        for value in [0, 1, 2, 3, 4096, 4097, u64::from(u32::MAX)] {
            histogram.observe(value);
        }
        let shown: Vec<_> = histogram.cumulated().collect();
        assert_eq!(shown[..3], [(Some(1.0), 2), (Some(2.0), 3), (Some(4.0), 4)]);
        assert_eq!(shown[shown.len() - 2..], [(Some(4096.0), 5), (None, 7)]);
        assert_eq!(histogram.sum(), f64::from(u32::MAX) + 6.0 + 4096.0 + 4097.0);
    }

    #[test]
    fn times_are_shown_in_seconds() {
        let histogram = Histogram::new(&SECONDS);
        histogram.observe_time(Duration::from_micros(50));
        histogram.observe_time(Duration::from_secs(11));
        let shown: Vec<_> = histogram.cumulated().collect();
        assert_eq!(shown[0], (Some(0.000_05), 1));
        assert_eq!(shown[shown.len() - 2..], [(Some(10.0), 1), (None, 2)]);
        assert_eq!(histogram.sum(), 11.000_05);
    }
}
