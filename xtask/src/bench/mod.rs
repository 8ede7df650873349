//! `cargo xtask bench`: Kolk, the durable probe and (with `--peer kafka`) the real Apache Kafka, the same load, the
//! same minute, one table.
//!
//! Rates swing by a factor of two between runs of one command; so runs are interleaved over the servers, medians
//! are shown, and server CPU stands beside each rate. A loop of bare durable 4 KiB writes runs before and after each
//! row. What must not wobble is counted in tests; the shapes of the rows are the scoreboard's. Nothing here is a test of time: only `--quick`, with tiny input, runs among the tests, to keep the bench
//! itself alive.

mod chart;
mod loads;
mod report;
mod rows;
mod target;

use crate::{fetch, run, tree};
use anyhow::{Context, Result, ensure};
use report::Report;
use rows::Row;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
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
    /// Runs per row and server, interleaved; medians are shown.
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
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
    messages: u64,
    quick: bool,
}

/// Runs the chosen rows; answers how many there were.
pub fn run(args: &BenchArgs) -> Result<usize> {
    let rows: Vec<_> = rows::all()
        .into_iter()
        .filter(|row| row.is_chosen(&args.rows))
        .filter(|row| !args.quick || row.is_quick())
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
    let mut failed = Vec::new();
    for row in &rows {
        println!("== {}: {}", row.number, row.name);
        warm_memory(args.quick)?;
        let before = bench.raw_write_us()?;
        let samples = match row.run(&bench).with_context(|| format!("row {}", row.name)) {
            Ok(samples) => samples,
            // One row less is no reason to lose an hour of others.
            Err(error) if !args.quick => {
                println!("   failed: {error:#}");
                failed.push(row.name);
                continue;
            }
            Err(error) => return Err(error),
        };
        let after = bench.raw_write_us()?;
        report.add(row, samples, (before, after));
        if !args.quick {
            report.write(&command)?;
        }
    }
    println!("\n{}", report.table());
    if !args.quick {
        println!("written: {}", report.write(&command)?.display());
    }
    ensure!(failed.is_empty(), "rows failed: {}", failed.join("; "));
    Ok(rows.len())
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
        messages: if args.brief { 700_000 } else { 2_000_000 },
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
            Kind::Kolk | Kind::FloorLeader | Kind::FloorThread => true,
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
