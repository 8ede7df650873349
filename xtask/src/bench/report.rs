//! The table on the terminal and the dated page in `docs/benchmarks/`.

use super::Bench;
use super::chart::{self, Panel};
use super::rows::{Outcome, Row, Sample, TITLES};
use crate::{run, tree};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::PathBuf;

/// What was measured so far.
pub struct Report {
    scale: String,
    machine: String,
    load_before: f64,
    rows: Vec<Measured>,
    /// Where it is written, once it was.
    path: Option<PathBuf>,
}

struct Measured {
    number: u32,
    name: &'static str,
    goal: &'static str,
    outcome: Outcome,
    /// Bare durable 4 KiB write, median, before and after the row.
    raw_us: Option<(f64, f64)>,
}

/// A figure in three significant digits.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{:.2} M", value / 1e6),
        v if v >= 1e4 => format!("{:.0} k", value / 1e3),
        v if v >= 1e3 => format!("{:.1} k", value / 1e3),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle value, or the mean of the two middle ones; of at least one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

impl Report {
    /// An empty report about this machine.
    pub fn new(bench: &Bench, load_before: f64) -> Result<Report> {
        let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
        let model =
            cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
        let cores = std::thread::available_parallelism()?;
        let memory = std::fs::read_to_string("/proc/meminfo")?;
        let kib: f64 = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
            .context("no MemTotal")?;
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        // One that paces costs who sends much even within a machine (docs/adr/2026-11-23-loopback.md).
        let congestion = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?;
        Ok(Report {
            scale: format!(
                "Up to {} runs of {} s a server and row ({} s where it is about bytes), interleaved, medians",
                bench.runs, bench.seconds, bench.bulk_seconds
            ),
            machine: format!(
                "{cores} cores of {}, {:.0} GiB, Linux {}, TCP by {}, client and servers on the same cores",
                model.trim_start_matches([' ', '\t', ':']),
                kib / 1024.0 / 1024.0,
                kernel.trim(),
                congestion.trim()
            ),
            load_before,
            rows: Vec::new(),
            path: None,
        })
    }

    /// Adds what a row came to.
    pub fn add(&mut self, row: &Row, (outcome, raw_us): (Outcome, Option<(f64, f64)>)) {
        self.rows.push(Measured { number: row.number, name: row.name, goal: row.goal, outcome, raw_us });
    }

    /// What failed, a line each.
    pub fn failed(&self) -> Vec<String> {
        let lines = self.rows.iter().flat_map(|row| {
            row.outcome.failures.iter().map(|(kind, error)| match kind {
                Some(kind) => format!("{}, {}: {error}", row.name, kind.name()),
                None => format!("{}: {error}", row.name),
            })
        });
        // A page has room for a sentence, not for all that a program said.
        lines.map(|line| line.lines().next().unwrap_or_default().chars().take(300).collect()).collect()
    }

    /// One line a row and server, medians.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| # | row | server | runs | median of the runs | the row's first server against it | goal |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let Some((first, ours)) = row.outcome.samples.first() else { continue };
            for (kind, samples) in &row.outcome.samples {
                let goal = if kind == first { row.goal } else { "" };
                let mut figures = medians(samples);
                let p50 = figures.iter().find(|(name, _)| *name == "p50 us").map(|(_, p50)| *p50);
                if let (Some(p50), Some((before, after))) = (p50, row.raw_us) {
                    let raw = (before + after) / 2.0;
                    figures.extend([("x raw write", p50 / raw), ("us above raw write", p50 - raw)]);
                }
                let figures: Vec<_> =
                    figures.iter().map(|(name, value)| format!("{} {name}", short(*value))).collect();
                let against = if kind == first { String::new() } else { ratios(ours, samples) };
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {against} | {goal} |",
                    row.number,
                    row.name,
                    kind.name(),
                    samples.len(),
                    figures.join(", ")
                );
            }
        }
        text
    }

    /// The pictures: title, file name and content, one for each row of the scoreboard that was measured.
    fn charts(&self) -> Vec<(&'static str, String, String)> {
        let mut charts = Vec::new();
        for (number, title) in (1..).zip(TITLES) {
            let rows = self.rows.iter().filter(|row| row.number == number);
            let panels: Vec<_> = rows.flat_map(Measured::panels).collect();
            if !panels.is_empty() {
                charts.push((title, format!("row-{number:02}.svg"), chart::svg(title, &panels)));
            }
        }
        charts
    }

    /// Writes the page of today, or again over the one that was begun, and its pictures beside it; answers its path.
    pub fn write(&mut self, command: &str) -> Result<PathBuf> {
        let date = run::answers("date", &["-u", "+%Y-%m-%d"]).context("no date")?.trim().to_owned();
        let commit = run::answers(
            "git",
            &["-C", &tree::root().display().to_string(), "describe", "--always", "--dirty", "--abbrev=12"],
        )
        .unwrap_or_else(|| "unknown".to_owned());
        let path = match &self.path {
            Some(path) => path.clone(),
            None => {
                let dir = tree::root().join("docs/benchmarks");
                std::fs::create_dir_all(&dir)?;
                let names =
                    std::iter::once(date.clone()).chain((2..).map(|number| format!("{date}-{number}")));
                let mut paths = names.map(|name| dir.join(name + ".md"));
                paths.find(|path| !path.exists()).context("names do not end")?
            }
        };
        self.path = Some(path.clone());
        let mut text = format!(
            "# Bench of {date}\n\n- Command: `cargo xtask {command}`\n- Commit: {}\n- Machine: {}\n- Load average before: {}\n\
             - {}\n- Kolk: defaults, every ack durable; \"no rewrite\": `--wal-max 8GiB`, so that all of a run stays in the \
             write-ahead log. Probe: `benches/floor`, every ack durable. Kafka: 4.4.0, one KRaft \
             node, its own JVM flags with 1 GiB heap, acks from the page cache; \"fsync\": `flush.messages=1`.\n\
             - CPU is the server's own, user and system.\n\n{}\n",
            commit.trim(),
            self.machine,
            self.load_before,
            self.scale,
            self.table()
        );
        let pictures = path.with_extension("");
        std::fs::create_dir_all(&pictures)?;
        let folder = pictures.file_name().context("a folder's name")?.to_string_lossy().into_owned();
        let failed = self.failed();
        if !failed.is_empty() {
            let _ = writeln!(text, "## Failed\n\n- {}\n", failed.join("\n- "));
        }
        text.push_str("## Charts\n\n");
        for (title, name, picture) in self.charts() {
            std::fs::write(pictures.join(&name), picture)?;
            let _ = writeln!(text, "![{title}]({folder}/{name})\n");
        }
        text.push_str("## Raw numbers\n\nBare durable 4 KiB write (median of 200) before and after each row, in microseconds:\n\n");
        for row in &self.rows {
            if let Some((before, after)) = row.raw_us {
                let _ = writeln!(text, "- {}: {before:.0}, {after:.0}", row.name);
            }
        }
        text.push_str("\nEvery run:\n\n```text\n");
        for row in &self.rows {
            for (kind, samples) in &row.outcome.samples {
                for sample in samples {
                    let figures: Vec<_> =
                        sample.iter().map(|(name, value)| format!("{value:.3} {name}")).collect();
                    let _ = writeln!(text, "{} | {} | {}", row.name, kind.name(), figures.join(", "));
                }
            }
        }
        text.push_str("```\n");
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

impl Measured {
    /// The figures that a picture shows, for all servers.
    fn panels(&self) -> Vec<Panel> {
        let shown = COMPARED.iter().filter_map(|(name, _)| {
            let bars: Vec<_> = self
                .outcome
                .samples
                .iter()
                .filter_map(|(kind, samples)| {
                    let (_, value) = medians(samples).into_iter().find(|(figure, _)| figure == name)?;
                    Some((kind.name(), value))
                })
                .collect();
            (!bars.is_empty()).then(|| Panel { title: format!("{}: {name}", self.name), bars })
        });
        shown.collect()
    }
}

/// The figures that servers are compared by, and what to call them in few words.
const COMPARED: [(&str, &str); 18] = [
    ("requests/s", "rate"),
    ("messages/s", "rate"),
    ("records/s", "rate"),
    ("GB/s", "bytes"),
    ("us CPU/request", "CPU"),
    ("us CPU/record", "CPU"),
    ("CPU-s/GB", "CPU"),
    ("records/CPU-s", "records a CPU second"),
    ("p50 us", "p50"),
    ("p99 us", "p99"),
    ("p50 ms", "p50"),
    ("sync p99 us", "sync p99"),
    ("ms CPU/page", "CPU"),
    ("ms to first ack", "first ack"),
    ("s to create", "create"),
    ("s to first ack after kill -9", "first ack"),
    ("MiB idle", "memory"),
    ("x worst step", "worst step"),
];

/// One server's figures as multiples of another's: the median of the ratios of runs made one after the other.
fn ratios(ours: &[Sample], theirs: &[Sample]) -> String {
    let ratio = |(name, label): &(&'static str, &str)| {
        let pairs = ours.iter().zip(theirs).filter_map(|(a, b)| Some(a.get(name)? / b.get(name)?));
        let pairs: Vec<f64> = pairs.filter(|ratio| ratio.is_finite()).collect();
        (!pairs.is_empty()).then(|| format!("{label} {}x", short(median(pairs))))
    };
    COMPARED.iter().filter_map(ratio).collect::<Vec<_>>().join(", ")
}

/// The median of each figure over the runs, in the order of the first run.
fn medians(samples: &[Sample]) -> Vec<(&'static str, f64)> {
    let Some(first) = samples.first() else { return Vec::new() };
    first
        .keys()
        .map(|name| (*name, median(samples.iter().filter_map(|sample| sample.get(name).copied()))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::target::Kind;
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(short(1_234_567.0), "1.23 M");
        assert_eq!(short(60_123.0), "60 k");
        assert_eq!(short(4_567.0), "4.6 k");
        assert_eq!(short(0.456), "0.46");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 8.0]), 3.0);
        assert_eq!(median([5.0]), 5.0);
    }

    #[test]
    fn ratios_are_those_of_pairs() {
        let sample = |rate| Sample::from([("requests/s", rate), ("MiB", 1.0)]);
        let ours = [sample(10.0), sample(30.0), sample(20.0)];
        let theirs = [sample(1.0), sample(10.0), sample(5.0)];
        assert_eq!(ratios(&ours, &theirs), "rate 4.00x");
    }

    #[test]
    fn medians_are_per_figure() {
        let sample = |a, b| Sample::from([("a", a), ("b", b)]);
        let samples = [sample(1.0, 9.0), sample(3.0, 7.0), sample(2.0, 8.0)];
        assert_eq!(medians(&samples), [("a", 2.0), ("b", 8.0)]);
    }

    #[test]
    fn what_failed_stands_beside_what_did_not() {
        let sample = Sample::from([("requests/s", 7.0)]);
        let failures = vec![(Some(Kind::Kafka), "no ack\nand a long log".to_owned())];
        let half = Outcome { samples: vec![(Kind::Kolk, vec![sample])], failures };
        let none = Outcome { samples: Vec::new(), failures: vec![(None, "no disk".to_owned())] };
        let row = |name, outcome| Measured { number: 2, name, goal: "fast", outcome, raw_us: None };
        let report = Report {
            scale: String::new(),
            machine: String::new(),
            load_before: 0.0,
            rows: vec![row("one", half), row("two", none)],
            path: None,
        };
        assert_eq!(report.failed(), ["one, Kafka: no ack", "two: no disk"]);
        let table = report.table();
        assert_eq!(
            table.lines().skip(2).collect::<Vec<_>>(),
            ["| 2 | one | Kolk | 1 | 7.00 requests/s |  | fast |"]
        );
    }
}
