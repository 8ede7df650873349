//! `cargo xtask bench`: Kolk, the durable probe and (with `--peer kafka`) the real Apache Kafka, the same load, the
//! same minute, one table.
//!
//! Rates swing by a factor of two between runs of one command; so runs are interleaved over the servers, medians
//! are shown, and server CPU stands beside each rate. A loop of bare durable 4 KiB writes runs before and after each
//! row. What must not wobble is counted in tests; the shapes of the rows are the scoreboard's. Nothing here is a test
//! of time: only `--quick`, with tiny input, runs among the tests, to keep the bench itself alive.
//!
//! It runs unattended: a server that fails costs its own figures of that row, a row that fails costs that row, and the
//! page, which is written after each row, says so.

mod chart;
mod loads;
mod report;
mod rows;
mod scrape;
mod target;

use crate::{fetch, run, tree};
use anyhow::{Context, Result, ensure};
use report::Report;
use rows::{Outcome, Row};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use target::Kind;
pub use target::Target;

/// What `cargo xtask bench` takes.
#[derive(clap::Args)]
pub struct BenchArgs {
    /// Run this server beside Kolk (repeatable).
    #[arg(long, value_enum)]
    pub peer: Vec<Peer>,
    /// Only rows of this number, or whose name contains this word (repeatable).
    #[arg(long, value_name = "NUMBER|WORD")]
    pub rows: Vec<String>,
    /// Runs per row and server at most, interleaved; medians are shown.
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// Be over after about so many minutes: as many runs of each row as fit, at least one; what takes long has one, and
    /// bytes a minute in all. Fetching and building do not count.
    #[arg(long)]
    pub minutes: Option<f64>,
    /// Length of a timed run.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Length of a run that is about bytes: long enough that what the server does in the background is in it.
    #[arg(long, default_value_t = 60.0)]
    pub bulk_seconds: f64,
    /// The whole table in some twenty minutes: three short runs, bytes for 8 s, no log of 16 GB.
    #[arg(long)]
    pub brief: bool,
    /// Tiny input, once, development build, no report: shows that the bench works, measures nothing.
    #[arg(long)]
    pub quick: bool,
    /// Measure although other programs keep the machine busy; the report says so.
    #[arg(long)]
    pub busy: bool,
}

/// A server to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Peer {
    /// Apache Kafka, one node, as its own defaults have it (acks before fsync).
    Kafka,
    /// ferrokinesis, which keeps streams in memory.
    Ferrokinesis,
}

/// The programs of a bench and its scale.
#[derive(Clone)]
pub struct Bench {
    kolk: PathBuf,
    floor: PathBuf,
    replay: PathBuf,
    /// `rdkafka_performance`; not there in a quick run.
    rdkafka: Option<PathBuf>,
    kafka_class_path: Option<String>,
    ferrokinesis: Option<PathBuf>,
    runs: usize,
    seconds: f64,
    bulk_seconds: f64,
    /// The whole is to fit into some minutes.
    in_minutes: bool,
    quick: bool,
}

/// Runs the chosen rows; answers how many there were.
pub fn run(args: &BenchArgs) -> Result<usize> {
    let rows: Vec<_> = rows::all()
        .into_iter()
        .filter(|row| row.is_chosen(&args.rows))
        .filter(|row| !args.quick || !row.needs_rdkafka())
        .filter(|row| !args.brief || !row.name.contains("16 GB"))
        .collect();
    ensure!(!rows.is_empty(), "no row is called {:?}", args.rows);
    let load = load_average()?;
    ensure!(
        args.quick || args.busy || load <= 1.5,
        "the load average is {load}: wait until the machine is idle, or say --busy"
    );
    let bench = prepare(args, rows.iter().any(Row::needs_rdkafka))?;
    let mut report = Report::new(&bench, load)?;
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let end = args.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    for (at, row) in rows.iter().enumerate() {
        println!("== {}: {}", row.number, row.name);
        let begin = Instant::now();
        let row_end = end.map(|end| share(&bench, &rows[at..], Instant::now(), end));
        let outcome = measure(&bench, row, row_end, end);
        report.add(
            row,
            outcome.unwrap_or_else(|error| {
                println!("   FAILED: {error:#}");
                (Outcome { failures: vec![(None, format!("{error:#}"))], ..Outcome::default() }, None)
            }),
        );
        println!("   {:.0} s", begin.elapsed().as_secs_f64());
        if !args.quick {
            report.write(&command)?;
        }
    }
    println!("\n{}", report.table());
    if !args.quick {
        println!("written: {}", report.write(&command)?.display());
    }
    let failed = report.failed();
    ensure!(failed.is_empty(), "failed: {}", failed.join("; "));
    Ok(rows.len())
}

/// Runs one row, with the bare durable write before and after it.
fn measure(
    bench: &Bench,
    row: &Row,
    row_end: Option<Instant>,
    end: Option<Instant>,
) -> Result<(Outcome, Option<(f64, f64)>)> {
    let left = end.map(|end| end.saturating_duration_since(Instant::now()).as_secs_f64());
    let (ready, round, _) = row.estimate(bench);
    ensure!(left.is_none_or(|left| left > (ready + round) / 2.0), "no time was left for it");
    let stat = rustix::fs::statvfs(tree::work("bench")?)?;
    let (free, wanted) = (stat.f_bavail * stat.f_frsize, row.load.disk_bytes(bench));
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    ensure!(free >= wanted, "it wants {:.1} GiB of free disk, there are {:.1}", gib(wanted), gib(free));
    warm_memory(bench.quick)?;
    let before = bench.raw_write_us()?;
    let outcome = row.run(bench, row_end)?;
    Ok((outcome, Some((before, bench.raw_write_us()?))))
}

/// When the first of these rows should be over, so that each of them gets as many rounds as the others.
fn share(bench: &Bench, rows: &[Row], now: Instant, end: Instant) -> Instant {
    let estimates: Vec<_> = rows.iter().map(|row| row.estimate(bench)).collect();
    let left = end.saturating_duration_since(now).as_secs_f64();
    let (ready, round, _) = estimates[0];
    now + Duration::from_secs_f64(ready + round * rounds_that_fit(&estimates, left, bench.runs))
}

/// Rounds of each row that fit into so many seconds, between one and `most`; a fraction means that some rows get one
/// more. Rows as [`Row::estimate`] has them.
fn rounds_that_fit(rows: &[(f64, f64, usize)], seconds: f64, most: usize) -> f64 {
    let total = |rounds: f64| -> f64 {
        rows.iter().map(|(ready, round, most)| ready + round * rounds.clamp(1.0, *most as f64)).sum()
    };
    let tenths = (10..=most * 10).map(|tenths| tenths as f64 / 10.0);
    tenths.take_while(|rounds| total(*rounds) <= seconds).last().unwrap_or(1.0)
}

fn prepare(args: &BenchArgs, rdkafka: bool) -> Result<Bench> {
    let profile = if args.quick { "debug" } else { "release" };
    println!("building ({profile})");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "kolk", "-p", "kolk-floor", "-p", "kolk-replay", "--bins"]);
    if !args.quick {
        build.arg("--release");
    }
    ensure!(build.current_dir(tree::root()).status()?.success(), "the build failed");
    let bin = tree::target_dir()?.join(profile);
    let peer = |peer| args.peer.contains(&peer);
    let (runs, seconds, bulk_seconds) = match (args.quick, args.brief) {
        (true, _) => (1, 0.1, 0.1),
        (_, true) => (args.runs.min(3), args.seconds.min(1.5), args.bulk_seconds.min(8.0)),
        _ => (args.runs, args.seconds, args.bulk_seconds),
    };
    Ok(Bench {
        kolk: bin.join("kolk"),
        floor: bin.join("kolk-floor"),
        replay: bin.join("kolk-replay"),
        rdkafka: if rdkafka { Some(fetch::rdkafka_performance()?) } else { None },
        kafka_class_path: if peer(Peer::Kafka) { Some(fetch::peer_kafka()?) } else { None },
        ferrokinesis: if peer(Peer::Ferrokinesis) { Some(fetch::ferrokinesis()?) } else { None },
        runs,
        seconds,
        bulk_seconds,
        in_minutes: args.minutes.is_some(),
        quick: args.quick,
    })
}

impl Bench {
    fn kafka_class_path(&self) -> Result<&str> {
        self.kafka_class_path.as_deref().context("the peer was not asked for")
    }

    /// Whether that server is part of this bench.
    fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Kolk | Kind::KolkNoRewrite | Kind::FloorLeader | Kind::FloorThread => true,
            Kind::Kafka | Kind::KafkaFsync => self.kafka_class_path.is_some(),
            Kind::Ferrokinesis => self.ferrokinesis.is_some(),
        }
    }

    /// A scale to warm up with.
    fn shorter(&self) -> Bench {
        let shorter = |seconds: f64| seconds.min(2.0);
        Bench { seconds: shorter(self.seconds), bulk_seconds: shorter(self.bulk_seconds), ..self.clone() }
    }

    /// So many bytes, or a few in a quick run.
    fn bytes(&self, bytes: u64) -> u64 {
        if self.quick { bytes.min(2 << 20) } else { bytes }
    }

    /// So many partitions, or a few in a quick run.
    fn partitions(&self, partitions: u32) -> u32 {
        if self.quick { partitions.min(40) } else { partitions }
    }

    /// Median of 200 bare durable 4 KiB writes into written blocks, in microseconds.
    fn raw_write_us(&self) -> Result<f64> {
        let dir = tree::work("bench")?;
        let out = Command::new(&self.floor).arg("raw").arg("--dir").arg(&dir).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8_lossy(&out.stdout).trim().parse()?)
    }

    /// Runs the replay client and answers what it prints.
    fn replay(&self, args: &[String]) -> Result<serde_json::Value> {
        let log = tree::work("logs")?.join("bench-replay.log");
        let outcome =
            run::logged(Command::new(&self.replay).args(args), &log, Duration::from_secs(300), |_| false)?;
        ensure!(outcome.success(), "replay {}: {}", args.join(" "), outcome.lines.join("\n"));
        serde_json::from_str(outcome.lines.last().context("the replay printed nothing")?)
            .context("the replay printed no JSON")
    }

    /// Runs `rdkafka_performance` against a server; answers the milliseconds of its closing line.
    fn rdkafka(&self, target: &Target, args: &[&str]) -> Result<f64> {
        let program = self.rdkafka.as_ref().context("rdkafka_performance is not part of a quick run")?;
        let log = tree::work("logs")?.join("bench-rdkafka.log");
        let mut command = Command::new(program);
        command.args(["-b", &target.kafka]).args(args);
        let outcome = run::logged(&mut command, &log, Duration::from_secs(300), |_| false)?;
        ensure!(outcome.success(), "rdkafka_performance: {}", outcome.lines.join("\n"));
        // "% 1000 messages produced (...), 1000 delivered (...) in 2318ms: ..." or "... consumed in 233ms: ..."
        let closing = outcome.lines.iter().rev().find_map(|line| {
            let (_, rest) = line.split_once(" in ")?;
            rest.split_once("ms:")?.0.parse::<f64>().ok()
        });
        closing.context("rdkafka_performance printed no closing line")
    }
}

fn load_average() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().context("no load average")?.parse()?)
}

/// Touches 4 GiB so that guest memory which was never used does not cost the first row a page fault each.
fn warm_memory(quick: bool) -> Result<()> {
    if quick {
        return Ok(());
    }
    let path = "/dev/shm/kolk-bench-warm";
    let mut file = std::fs::File::create(path)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..4096 {
        std::io::Write::write_all(&mut file, &zeros)?;
    }
    std::fs::remove_file(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_out_in_rounds() {
        let rows = [(5.0, 2.0, 9), (5.0, 8.0, 9), (0.0, 30.0, 1)];
        assert_eq!(rounds_that_fit(&rows, 90.0, 9), 5.0);
        assert_eq!(rounds_that_fit(&rows, 1000.0, 7), 7.0);
        assert_eq!(rounds_that_fit(&rows, 55.0, 9), 1.5);
        assert_eq!(rounds_that_fit(&rows, 10.0, 9), 1.0, "less than fits, but one");
    }
}
