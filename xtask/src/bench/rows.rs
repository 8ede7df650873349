//! The rows of the bench: what load, which servers, what is noted.

use super::target::{Kind, Target};
use super::{Bench, Peer};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One row of the table.
pub struct Row {
    /// Its name, which `--rows` looks into.
    pub name: &'static str,
    /// What the issue that built the engine asked for.
    pub goal: &'static str,
    load: Load,
}

enum Load {
    /// Encoded Produce requests.
    Replay { connections: u32, window: u32, records: u32, size: u32, fsync_peer: bool },
    /// `rdkafka_performance -P`, messages of 1 KiB.
    RdkafkaProduce { partitions: u32 },
    /// `rdkafka_performance -C` over what was just written and read once.
    RdkafkaConsume,
    /// PutRecords of 500 x 1 KiB over 4 connections.
    PutRecords,
    /// From the start of the process to the first ack, on an empty directory; then memory at rest.
    Start,
    /// Many partitions: creating them, first ack after `kill -9`.
    Partitions,
}

/// One run on one server: figure name (with its unit) to value.
pub type Sample = BTreeMap<&'static str, f64>;

/// All runs of a row, per server.
pub type Samples = Vec<(Kind, Vec<Sample>)>;

/// All rows, in the order of the table.
pub fn all() -> Vec<Row> {
    let replay = |name, goal, connections, window, records, size, fsync_peer| Row {
        name,
        goal,
        load: Load::Replay { connections, window, records, size, fsync_peer },
    };
    let row = |name, goal, load| Row { name, goal, load };
    vec![
        replay("1 x 100 B, window 1", "p50 <= 1.5x raw write", 1, 1, 1, 100, true),
        replay("1 x 100 B, window 32", ">= 60 k/s, <= 11 us", 1, 32, 1, 100, true),
        replay("1 x 100 B, window 128", ">= 120 k/s, <= 6 us", 1, 128, 1, 100, false),
        replay("1 x 100 B, 4 connections x 8", ">= 50 k/s, <= 13 us", 4, 8, 1, 100, false),
        replay("1 x 100 B, 64 connections x 1", "", 64, 1, 1, 100, false),
        replay("100 x 100 B, window 8", "", 1, 8, 100, 100, false),
        replay("900 x 1 KiB, window 4", ">= 1 GB/s, <= 0.7 CPU-s/GB", 1, 4, 900, 1024, false),
        row(
            "librdkafka 1 KiB, 1 partition",
            ">= 1.5x Kafka, CPU <= 0.5x",
            Load::RdkafkaProduce { partitions: 1 },
        ),
        row(
            "librdkafka 1 KiB, 12 partitions",
            ">= 1.5x Kafka, CPU <= 0.5x",
            Load::RdkafkaProduce { partitions: 12 },
        ),
        row("consume 1 KiB, hot", ">= 1x Kafka, CPU <= Kafka's", Load::RdkafkaConsume),
        row("PutRecords 500 x 1 KiB, 4 connections", ">= 60 k records/CPU-s", Load::PutRecords),
        row("start to first ack, idle memory", "<= 50 ms, <= 25 MiB", Load::Start),
        row("10,000 partitions: create, first ack after kill -9", "<= 2 s, <= 1 s", Load::Partitions),
    ]
}

/// A topic name that no run had before.
fn fresh(prefix: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

fn number(value: &serde_json::Value, name: &str) -> Result<f64> {
    value[name].as_f64().with_context(|| format!("the client did not print {name}"))
}

impl Row {
    /// True if the row's load is made by librdkafka.
    pub fn needs_rdkafka(&self) -> bool {
        matches!(self.load, Load::RdkafkaProduce { .. } | Load::RdkafkaConsume)
    }

    fn kinds(&self, bench: &Bench) -> Vec<Kind> {
        let mut kinds = vec![Kind::Kolk];
        if matches!(self.load, Load::Replay { .. }) {
            kinds.extend([Kind::FloorLeader, Kind::FloorThread]);
        }
        if bench.peer().is_some() && !matches!(self.load, Load::PutRecords) {
            kinds.push(Kind::Kafka);
            if matches!(self.load, Load::Replay { fsync_peer: true, .. }) {
                kinds.push(Kind::KafkaFsync);
            }
        }
        kinds
    }

    /// Runs the row on every server, interleaved.
    pub fn run(&self, bench: &Bench) -> Result<Samples> {
        let kinds = self.kinds(bench);
        let mut samples: Samples = kinds.iter().map(|kind| (*kind, Vec::new())).collect();
        if matches!(self.load, Load::Start | Load::Partitions) {
            for _ in 0..bench.runs {
                for (kind, samples) in &mut samples {
                    let sample = if matches!(self.load, Load::Start) {
                        start(bench, *kind)?
                    } else {
                        partitions(bench, *kind)?
                    };
                    show(*kind, &sample);
                    samples.push(sample);
                }
            }
            return Ok(samples);
        }
        let mut targets = Vec::new();
        for kind in kinds {
            let mut target = Target::start(bench, kind)?;
            target.wait()?;
            targets.push(target);
        }
        for target in &targets {
            // The JVM compiles what is hot: its first runs say nothing.
            let warm_ups = if matches!(target.kind, Kind::Kafka | Kind::KafkaFsync) { 3 } else { 1 };
            for _ in 0..warm_ups {
                self.once(bench, target)?;
            }
        }
        for _ in 0..bench.runs {
            for (target, (kind, samples)) in targets.iter().zip(&mut samples) {
                let mut sample = self.once(bench, target)?;
                sample.insert("MiB most", target.memory_mib("VmHWM")?);
                show(*kind, &sample);
                samples.push(sample);
            }
        }
        Ok(samples)
    }

    fn once(&self, bench: &Bench, target: &Target) -> Result<Sample> {
        match self.load {
            Load::Replay { connections, window, records, size, .. } => {
                let topic = fresh("replay");
                let mut args = strings(&["produce", "--server", &target.kafka, "--topic", &topic]);
                let figures = [
                    ("--connections", connections),
                    ("--partitions", connections.min(12)),
                    ("--window", window),
                    ("--records", records),
                    ("--size", size),
                ];
                args.extend(figures.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]));
                args.extend(["--seconds".to_owned(), bench.seconds.to_string()]);
                match target.kind {
                    Kind::FloorLeader | Kind::FloorThread => args.push("--no-create".to_owned()),
                    Kind::KafkaFsync => args.extend(strings(&["--config", "flush.messages=1"])),
                    Kind::Kolk | Kind::Kafka => {}
                }
                let (seen, cpu) = cpu_of(target, || bench.replay(&args))?;
                let (requests, seconds) = (number(&seen, "requests")?, number(&seen, "seconds")?);
                let mut sample = Sample::from([
                    ("requests/s", requests / seconds),
                    ("us CPU/request", cpu * 1e6 / requests),
                    ("p50 us", number(&seen, "p50_us")?),
                    ("p99 us", number(&seen, "p99_us")?),
                ]);
                // Bytes say something only where there are many.
                if records * size >= 10_000 {
                    let gigabytes = number(&seen, "bytes")? / 1e9;
                    sample.extend([("GB/s", gigabytes / seconds), ("CPU-s/GB", cpu / gigabytes)]);
                }
                Ok(sample)
            }
            Load::RdkafkaProduce { partitions } => {
                let topic = fresh("rdkafka");
                create(bench, target, &topic, partitions)?;
                produce(bench, target, &topic)
            }
            Load::RdkafkaConsume => {
                let topic = fresh("consume");
                create(bench, target, &topic, 1)?;
                produce(bench, target, &topic)?;
                let count = bench.messages.to_string();
                let args = ["-C", "-t", &topic, "-p", "0", "-o", "beginning", "-c", &count];
                bench.rdkafka(target, &args)?;
                let (milliseconds, cpu) = cpu_of(target, || bench.rdkafka(target, &args))?;
                Ok(throughput(bench.messages, milliseconds, cpu))
            }
            Load::PutRecords => {
                let stream = fresh("put");
                let server = target.kinesis.as_ref().context("no Kinesis face")?;
                let mut args =
                    strings(&["put-records", "--server", server, "--stream", &stream, "--seconds"]);
                args.push(bench.seconds.to_string());
                let (seen, cpu) = cpu_of(target, || bench.replay(&args))?;
                let (records, seconds) = (number(&seen, "records")?, number(&seen, "seconds")?);
                Ok(Sample::from([
                    ("records/s", records / seconds),
                    ("records/CPU-s", records / cpu),
                    ("p50 us", number(&seen, "p50_us")?),
                ]))
            }
            Load::Start | Load::Partitions => unreachable!("these rows start their own servers"),
        }
    }
}

impl Bench {
    fn peer(&self) -> Option<Peer> {
        self.peer_class_path.as_ref().map(|_| Peer::Kafka)
    }
}

fn show(kind: Kind, sample: &Sample) {
    let figures: Vec<_> =
        sample.iter().map(|(name, value)| format!("{} {name}", super::report::short(*value))).collect();
    println!("   {:<14} {}", kind.name(), figures.join(", "));
}

/// Runs the load and answers the server's CPU seconds beside the load's own result.
fn cpu_of<T>(target: &Target, load: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let before = target.cpu_seconds()?;
    let result = load()?;
    // A load too small to show in hundredths of a second (a quick run) counts as one hundredth.
    Ok((result, (target.cpu_seconds()? - before).max(0.01)))
}

/// Makes the topic and waits until every partition takes records.
fn create(bench: &Bench, target: &Target, topic: &str, partitions: u32) -> Result<()> {
    let mut args = strings(&["produce", "--server", &target.kafka, "--topic", topic, "--requests", "1"]);
    args.extend(["--partitions".to_owned(), partitions.to_string()]);
    bench.replay(&args)?;
    Ok(())
}

fn produce(bench: &Bench, target: &Target, topic: &str) -> Result<Sample> {
    let count = bench.messages.to_string();
    let args = ["-P", "-t", topic, "-s", "1024", "-c", &count, "-a", "-1", "-X", "linger.ms=5"];
    let (milliseconds, cpu) = cpu_of(target, || bench.rdkafka(target, &args))?;
    Ok(throughput(bench.messages, milliseconds, cpu))
}

fn throughput(messages: u64, milliseconds: f64, cpu: f64) -> Sample {
    let gigabytes = messages as f64 * 1024.0 / 1e9;
    let seconds = milliseconds.max(1.0) / 1e3;
    Sample::from([
        ("messages/s", messages as f64 / seconds),
        ("GB/s", gigabytes / seconds),
        ("CPU-s/GB", cpu / gigabytes),
    ])
}

fn first_ack(bench: &Bench, target: &Target, topic: &str, create: bool) -> Result<()> {
    let mut args = strings(&["first-ack", "--server", &target.kafka, "--topic", topic]);
    if create {
        args.push("--create".to_owned());
    }
    bench.replay(&args)?;
    Ok(())
}

fn start(bench: &Bench, kind: Kind) -> Result<Sample> {
    let begin = Instant::now();
    let target = Target::start(bench, kind)?;
    // Kafka's directory is formatted inside `start`: a broker of its own is started again to leave that out.
    let (begin, target) =
        if kind == Kind::Kafka { (Instant::now(), target.kill_and_start(bench)?) } else { (begin, target) };
    first_ack(bench, &target, "first", true)?;
    let milliseconds = begin.elapsed().as_secs_f64() * 1e3;
    std::thread::sleep(Duration::from_secs(2));
    Ok(Sample::from([("ms to first ack", milliseconds), ("MiB idle", target.memory_mib("VmRSS")?)]))
}

fn partitions(bench: &Bench, kind: Kind) -> Result<Sample> {
    let mut target = Target::start(bench, kind)?;
    target.wait()?;
    first_ack(bench, &target, "first", true)?;
    let count = bench.partitions.to_string();
    let create =
        strings(&["create-topics", "--server", &target.kafka, "--topic", "many", "--partitions", &count]);
    let begin = Instant::now();
    bench.replay(&create)?;
    // Created means: the last of them takes a record.
    let last = format!("many-{}", (bench.partitions - 1) / 1000);
    first_ack(bench, &target, &last, false)?;
    let created = begin.elapsed().as_secs_f64();
    let memory = target.memory_mib("VmRSS")?;
    let begin = Instant::now();
    let target = target.kill_and_start(bench)?;
    first_ack(bench, &target, &last, false)?;
    Ok(Sample::from([
        ("s to create", created),
        ("s to first ack after kill -9", begin.elapsed().as_secs_f64()),
        ("MiB", memory),
    ]))
}
