//! The page of all metrics, as Prometheus reads it.
//!
//! Format: Prometheus text 0.0.4, and OpenMetrics 1.0 for those who ask for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Histogram;

/// What a family's numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, their sum and their count.
    Histogram,
}

impl Kind {
    /// Prometheus's word.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Numbers of one name.
#[derive(Debug)]
pub struct Family {
    /// With its unit, and `_total` if it is a counter.
    pub name: &'static str,
    /// What the numbers mean.
    pub kind: Kind,
    /// Names of the labels, in the order of their values.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

impl Family {
    /// Numbers that only grow; the name ends in `_total`.
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Family { name, kind: Kind::Counter, labels, help }
    }

    /// Numbers that go up and down.
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Family { name, kind: Kind::Gauge, labels, help }
    }

    /// Buckets, their sum and their count.
    pub const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Family { name, kind: Kind::Histogram, labels, help }
    }
}

/// Somebody who counts.
pub trait Source: Send + Sync {
    /// Tells all numbers, and every family that has none yet. Short: it may hold up what it counts.
    fn report(&self, page: &mut Page);
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type` of a page.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Numbers of all families at one moment.
#[derive(Debug, Default)]
pub struct Page {
    families: BTreeMap<&'static str, (&'static Family, String)>,
}

impl Page {
    /// Shows a family even if it has no number yet.
    pub fn family(&mut self, family: &'static Family) -> &mut String {
        let (known, lines) = self.families.entry(family.name).or_insert_with(|| (family, String::new()));
        debug_assert!(std::ptr::eq(*known, family), "{} is one family", family.name);
        lines
    }

    /// Tells a number.
    pub fn number(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        let lines = self.family(family);
        sample(lines, family, "", labels, None, value);
    }

    /// Tells a whole number; beyond 2^53 the nearest that a reader can hold.
    pub fn count(&mut self, family: &'static Family, labels: &[&str], value: u64) {
        self.number(family, labels, value as f64);
    }

    /// Tells a histogram.
    pub fn histogram(&mut self, family: &'static Family, labels: &[&str], histogram: &Histogram) {
        let lines = self.family(family);
        let mut count = 0;
        for (bound, below) in histogram.cumulated() {
            let bound = bound.map_or("+Inf".to_owned(), |bound| format!("{bound:?}"));
            sample(lines, family, "_bucket", labels, Some(&bound), below as f64);
            count = below;
        }
        sample(lines, family, "_sum", labels, None, histogram.sum());
        sample(lines, family, "_count", labels, None, count as f64);
    }

    /// All families, by name.
    pub fn families(&self) -> impl Iterator<Item = &'static Family> {
        self.families.values().map(|(family, _)| *family)
    }

    /// The page as text.
    pub fn text(&self, format: Format) -> String {
        let mut text = String::new();
        for (family, lines) in self.families.values() {
            let name = match format {
                Format::OpenMetrics => family.name.strip_suffix("_total").unwrap_or(family.name),
                Format::Prometheus => family.name,
            };
            let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {}\n", family.help, family.kind.name());
            text.push_str(lines);
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

fn sample(
    lines: &mut String,
    family: &Family,
    suffix: &str,
    labels: &[&str],
    bound: Option<&str>,
    value: f64,
) {
    debug_assert_eq!(labels.len(), family.labels.len(), "{} has these labels", family.name);
    let _ = write!(lines, "{}{suffix}", family.name);
    let named = family.labels.iter().copied().zip(labels.iter().copied());
    let mut separator = '{';
    for (name, value) in named.chain(bound.map(|bound| ("le", bound))) {
        let _ = write!(lines, "{separator}{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => lines.push_str("\\\\"),
                '"' => lines.push_str("\\\""),
                '\n' => lines.push_str("\\n"),
                c => lines.push(c),
            }
        }
        lines.push('"');
        separator = ',';
    }
    if separator == ',' {
        lines.push('}');
    }
    let _ = writeln!(lines, " {value}");
}

#[cfg(test)]
mod tests {
    use super::super::{COUNT, Histogram};
    use super::*;

    static PUTS: Family = Family::counter("kolk_puts_total", &["stream"], "Puts.");
    static SIZES: Family = Family::histogram("kolk_sizes", &[], "Sizes.");
    static IDLE: Family = Family::gauge("kolk_idle", &[], "None yet.");

    #[test]
    fn pages_are_written_in_both_formats() {
        let mut page = Page::default();
        let sizes = Histogram::new(&COUNT);
        sizes.observe(2);
        page.histogram(&SIZES, &[], &sizes);
        page.count(&PUTS, &["a\"b\\c\nd"], 7);
        page.number(&PUTS, &["e"], 0.5);
        page.family(&IDLE);
        let text = page.text(Format::Prometheus);
        let expected = "# HELP kolk_idle None yet.\n# TYPE kolk_idle gauge\n\
             # HELP kolk_puts_total Puts.\n# TYPE kolk_puts_total counter\n\
             kolk_puts_total{stream=\"a\\\"b\\\\c\\nd\"} 7\nkolk_puts_total{stream=\"e\"} 0.5\n\
             # HELP kolk_sizes Sizes.\n# TYPE kolk_sizes histogram\n\
             kolk_sizes_bucket{le=\"1.0\"} 0\nkolk_sizes_bucket{le=\"2.0\"} 1\n";
        assert_eq!(&text[..expected.len()], expected);
        assert!(text.ends_with("kolk_sizes_bucket{le=\"+Inf\"} 1\nkolk_sizes_sum 2\nkolk_sizes_count 1\n"));
        let open = page.text(Format::OpenMetrics);
        assert!(open.contains("# TYPE kolk_puts counter\nkolk_puts_total{"), "{open}");
        assert!(open.ends_with("# EOF\n"));
        assert_eq!(
            page.families().map(|family| family.name).collect::<Vec<_>>(),
            ["kolk_idle", "kolk_puts_total", "kolk_sizes"]
        );
    }
}
