//! What is done to a server in a row, and what is noted of it.

use super::Bench;
use super::rows::Sample;
use super::target::{Kind, Target};
use anyhow::{Context, Result};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A row's load.
pub enum Load {
    /// Encoded Produce requests, one batch each.
    Replay { connections: u32, window: u32, partitions: u32, records: u32, size: u32 },
    /// `rdkafka_performance -P`.
    RdkafkaProduce { partitions: u32, size: u32 },
    /// `rdkafka_performance -C` over what was just written and read once.
    RdkafkaConsume,
    /// Fetch requests over all of a topic, by readers that do not look at records.
    Consume { readers: u32, cold: bool, megabytes: u64 },
    /// One record after another at a steady rate, to a consumer that waits.
    EndToEnd { from: &'static str, to: &'static str },
    /// Kinesis PutRecords; with one record PutRecord.
    Put { connections: u32, records: u32, encoding: &'static str },
    /// Kinesis GetRecords, full pages.
    GetRecords { encoding: &'static str },
    /// Process start to the first acked record; memory when idle.
    Start,
    /// Many partitions: creating them, what they cost idle, producing to all.
    Partitions,
    /// First ack after SIGKILL with a log of this size.
    AfterKill { gigabytes: u64 },
    /// First ack after SIGKILL with 12,000 partitions.
    AfterKillPartitions,
    /// What requests cost as something grows.
    Growth(Growth),
}

/// What grows in the growth rows.
#[derive(Clone, Copy)]
pub enum Growth {
    Log,
    Topics,
    Connections,
    Groups,
}

impl Load {
    /// How often a load that starts its own servers runs.
    pub fn runs(&self, bench: &Bench) -> usize {
        match self {
            Load::Growth(_) | Load::AfterKill { .. } => 1,
            Load::Partitions | Load::AfterKillPartitions => bench.runs.min(2),
            _ => bench.runs,
        }
    }

    /// True if one run takes so long that it warms a server up by itself.
    pub fn is_long(&self, bench: &Bench) -> bool {
        self.seconds(bench) > 10.0
    }

    fn seconds(&self, bench: &Bench) -> f64 {
        match self {
            Load::Replay { records, size, .. } if is_bulk(*records, *size) => bench.bulk_seconds,
            _ => bench.seconds,
        }
    }
}

/// Bytes say something only where there are many.
fn is_bulk(records: u32, size: u32) -> bool {
    records * size >= 10_000
}

/// A topic name that no run had before.
fn fresh(prefix: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Arguments of the replay client.
struct Args(Vec<String>);

impl Args {
    fn new(command: &str, server: &str) -> Args {
        Args(vec![command.to_owned(), "--server".to_owned(), server.to_owned()])
    }

    fn with(mut self, name: &str, value: impl ToString) -> Args {
        self.0.extend([format!("--{name}"), value.to_string()]);
        self
    }

    fn flag(mut self, name: &str) -> Args {
        self.0.push(format!("--{name}"));
        self
    }
}

fn number(value: &serde_json::Value, name: &str) -> Result<f64> {
    value[name].as_f64().with_context(|| format!("the client did not print {name}"))
}

/// Runs the load and answers the server's CPU seconds beside the load's own result.
fn cpu_of<T>(target: &Target, load: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let before = target.cpu_seconds()?;
    let result = load()?;
    // A load too small to show in hundredths of a second (a quick run) counts as one hundredth.
    Ok((result, (target.cpu_seconds()? - before).max(0.01)))
}

/// What a server must hold before the load's first run; the name of the topic with it.
pub fn prepare(load: &Load, bench: &Bench, target: &Target) -> Result<String> {
    let topic = fresh("prepared");
    match load {
        Load::Consume { megabytes, .. } => fill(bench, target, &topic, bench.bytes(*megabytes << 20))?,
        Load::RdkafkaConsume => {
            create(bench, target, &topic, 1)?;
            rdkafka_produce(bench, target, &topic, 1024)?;
        }
        _ => {}
    }
    Ok(topic)
}

/// One run of the load.
pub fn once(load: &Load, bench: &Bench, target: &Target, prepared: &str) -> Result<Sample> {
    match *load {
        Load::Replay { connections, window, partitions, records, size } => {
            let args = Args::new("produce", &target.kafka)
                .with("topic", fresh("replay"))
                .with("connections", connections)
                .with("partitions", bench.partitions(partitions))
                .with("window", window)
                .with("records", records)
                .with("size", size)
                .with("seconds", load.seconds(bench));
            let args = match target.kind {
                Kind::FloorLeader | Kind::FloorThread => args.flag("no-create"),
                Kind::KafkaFsync => args.with("config", "flush.messages=1"),
                // What is written for long must not fill the disk.
                _ if load.is_long(bench) => args
                    .with("config", "retention.bytes=1073741824")
                    .with("config", "segment.bytes=268435456"),
                _ => args,
            };
            let (seen, cpu) = cpu_of(target, || bench.replay(&args.0))?;
            let (requests, seconds) = (number(&seen, "requests")?, number(&seen, "seconds")?);
            let mut sample = Sample::from([
                ("requests/s", requests / seconds),
                ("us CPU/request", cpu * 1e6 / requests),
                ("p50 us", number(&seen, "p50_us")?),
                ("p99 us", number(&seen, "p99_us")?),
            ]);
            if is_bulk(records, size) {
                let gigabytes = number(&seen, "bytes")? / 1e9;
                sample.extend([("GB/s", gigabytes / seconds), ("CPU-s/GB", cpu / gigabytes)]);
            }
            Ok(sample)
        }
        Load::RdkafkaProduce { partitions, size } => {
            let topic = fresh("rdkafka");
            create(bench, target, &topic, partitions)?;
            rdkafka_produce(bench, target, &topic, size)
        }
        Load::RdkafkaConsume => {
            let count = bench.messages.to_string();
            let args = ["-C", "-t", prepared, "-p", "0", "-o", "beginning", "-c", &count];
            let (milliseconds, cpu) = cpu_of(target, || bench.rdkafka(target, &args))?;
            Ok(throughput(bench.messages, 1024, milliseconds, cpu))
        }
        Load::Consume { readers, cold, .. } => {
            if cold {
                target.forget_pages()?;
            }
            consume(bench, target, prepared, readers)
        }
        Load::EndToEnd { from, to } => {
            let args = Args::new("end-to-end", &target.kafka)
                .with("kinesis", target.kinesis.as_deref().unwrap_or_default())
                .with("topic", fresh("end"))
                .with("from", from)
                .with("to", to)
                .with("seconds", bench.seconds);
            let (seen, cpu) = cpu_of(target, || bench.replay(&args.0))?;
            Ok(Sample::from([
                ("ack p50 us", number(&seen, "ack_p50_us")?),
                ("ack p99 us", number(&seen, "ack_p99_us")?),
                ("p50 us", number(&seen, "p50_us")?),
                ("p99 us", number(&seen, "p99_us")?),
                ("% CPU", cpu / bench.seconds * 100.0),
            ]))
        }
        Load::Put { connections, records, encoding } => put(bench, target, connections, records, encoding),
        Load::GetRecords { encoding } => {
            let args = Args::new("get-records", target.kinesis()?)
                .with("stream", fresh("get"))
                .with("encoding", encoding)
                .with("pages", if bench.quick { 1 } else { 20 })
                .with("requests", if bench.quick { 1 } else { 20 });
            let seen = bench.replay(&args.0)?;
            let pages = number(&seen, "pages")?;
            Ok(Sample::from([
                ("p50 ms", number(&seen, "p50_us")? / 1e3),
                ("p99 ms", number(&seen, "p99_us")? / 1e3),
                ("MiB of records/page", number(&seen, "records")? / pages / 1024.0),
                ("MiB sent/page", number(&seen, "bytes")? / pages / 1024.0 / 1024.0),
            ]))
        }
        Load::Start
        | Load::Partitions
        | Load::AfterKill { .. }
        | Load::AfterKillPartitions
        | Load::Growth(_) => unreachable!("these start their own servers"),
    }
}

/// One run of a load that starts its own server.
pub fn alone(load: &Load, bench: &Bench, kind: Kind) -> Result<Sample> {
    match *load {
        Load::Start => start(bench, kind),
        Load::Partitions => partitions(bench, kind),
        Load::AfterKill { gigabytes } => {
            let mut target = Target::start(bench, kind)?;
            target.wait()?;
            fill(bench, &target, "log", bench.bytes(gigabytes << 30))?;
            after_kill(bench, target, "log")
        }
        Load::AfterKillPartitions => {
            let mut target = Target::start(bench, kind)?;
            target.wait()?;
            let count = bench.partitions(12_000);
            bench.replay(
                &Args::new("create-topics", &target.kafka).with("topic", "many").with("partitions", count).0,
            )?;
            let last = format!("many-{}", (count - 1) / 1000);
            first_ack(bench, &target, &last, false)?;
            after_kill(bench, target, &last)
        }
        Load::Growth(what) => growth(bench, kind, what),
        _ => unreachable!("these share a server over their runs"),
    }
}

/// Makes the topic and waits until every partition takes records.
fn create(bench: &Bench, target: &Target, topic: &str, partitions: u32) -> Result<()> {
    let args = Args::new("produce", &target.kafka).with("topic", topic).with("requests", 1);
    bench.replay(&args.with("partitions", partitions).0)?;
    Ok(())
}

/// Writes about so many bytes into one partition of a new topic.
fn fill(bench: &Bench, target: &Target, topic: &str, bytes: u64) -> Result<()> {
    let args = Args::new("produce", &target.kafka)
        .with("topic", topic)
        .with("window", 4)
        .with("records", 900)
        .with("size", 1024)
        .with("seconds", 600)
        .with("requests", bytes.div_ceil(900 * 1024));
    bench.replay(&args.0)?;
    Ok(())
}

fn consume(bench: &Bench, target: &Target, topic: &str, readers: u32) -> Result<Sample> {
    let args = Args::new("consume", &target.kafka).with("topic", topic).with("readers", readers);
    let (seen, cpu) = cpu_of(target, || bench.replay(&args.0))?;
    let gigabytes = number(&seen, "bytes")? / 1e9;
    Ok(Sample::from([("GB/s", gigabytes / number(&seen, "seconds")?), ("CPU-s/GB", cpu / gigabytes)]))
}

fn put(bench: &Bench, target: &Target, connections: u32, records: u32, encoding: &str) -> Result<Sample> {
    let args = Args::new("put-records", target.kinesis()?)
        .with("stream", fresh("put"))
        .with("connections", connections)
        .with("records", records)
        .with("encoding", encoding)
        .with("seconds", bench.seconds);
    let (seen, cpu) = cpu_of(target, || bench.replay(&args.0))?;
    let (records, seconds) = (number(&seen, "records")?, number(&seen, "seconds")?);
    Ok(Sample::from([
        ("records/s", records / seconds),
        ("records/CPU-s", records / cpu),
        ("p50 us", number(&seen, "p50_us")?),
        ("p99 us", number(&seen, "p99_us")?),
    ]))
}

fn rdkafka_produce(bench: &Bench, target: &Target, topic: &str, size: u32) -> Result<Sample> {
    let (count, bytes) = (bench.messages.to_string(), size.to_string());
    let args = ["-P", "-t", topic, "-s", &bytes, "-c", &count, "-a", "-1", "-X", "linger.ms=5"];
    let (milliseconds, cpu) = cpu_of(target, || bench.rdkafka(target, &args))?;
    Ok(throughput(bench.messages, size, milliseconds, cpu))
}

fn throughput(messages: u64, size: u32, milliseconds: f64, cpu: f64) -> Sample {
    let gigabytes = messages as f64 * f64::from(size) / 1e9;
    let seconds = milliseconds.max(1.0) / 1e3;
    let mut sample = Sample::from([("messages/s", messages as f64 / seconds)]);
    if size >= 1024 {
        sample.extend([("GB/s", gigabytes / seconds), ("CPU-s/GB", cpu / gigabytes)]);
    } else {
        sample.insert("us CPU/record", cpu * 1e6 / messages as f64);
    }
    sample
}

fn first_ack(bench: &Bench, target: &Target, topic: &str, create: bool) -> Result<()> {
    let args = Args::new("first-ack", &target.kafka).with("topic", topic);
    bench.replay(&if create { args.flag("create") } else { args }.0)?;
    Ok(())
}

fn start(bench: &Bench, kind: Kind) -> Result<Sample> {
    let mut target = Target::start(bench, kind)?;
    if kind == Kind::Kafka {
        // Its directory is formatted before: a broker of its own is started again to leave that out.
        target = target.kill_and_start(bench)?;
    }
    first_ack(bench, &target, "first", true)?;
    let milliseconds = target.age().as_secs_f64() * 1e3;
    std::thread::sleep(Duration::from_secs(if bench.quick { 0 } else { 2 }));
    let mut sample =
        Sample::from([("ms to first ack", milliseconds), ("MiB idle", target.memory_mib("VmRSS")?)]);
    if kind == Kind::Kolk {
        sample.insert("MiB of binary", std::fs::metadata(&bench.kolk)?.len() as f64 / 1024.0 / 1024.0);
    }
    Ok(sample)
}

fn after_kill(bench: &Bench, target: Target, topic: &str) -> Result<Sample> {
    let target = target.kill_and_start(bench)?;
    first_ack(bench, &target, topic, false)?;
    Ok(Sample::from([
        ("ms to first ack", target.age().as_secs_f64() * 1e3),
        ("MiB", target.memory_mib("VmRSS")?),
    ]))
}

fn partitions(bench: &Bench, kind: Kind) -> Result<Sample> {
    let mut target = Target::start(bench, kind)?;
    target.wait()?;
    first_ack(bench, &target, "first", true)?;
    let (memory, count) = (target.memory_mib("VmRSS")?, bench.partitions(10_000));
    let begin = Instant::now();
    bench.replay(
        &Args::new("create-topics", &target.kafka).with("topic", "many").with("partitions", count).0,
    )?;
    // Created means: the last of them takes a record.
    first_ack(bench, &target, &format!("many-{}", (count - 1) / 1000), false)?;
    let created = begin.elapsed().as_secs_f64();
    let each = (target.memory_mib("VmRSS")? - memory) * 1024.0 / f64::from(count);
    let handles = target.handles()? as f64;
    let produce = |args: Args| -> Result<f64> {
        let seen = bench.replay(&args.with("window", 32).with("seconds", bench.seconds).0)?;
        Ok(number(&seen, "requests")? / number(&seen, "seconds")?)
    };
    let few = produce(Args::new("produce", &target.kafka).with("topic", "few").with("partitions", 12))?;
    let all = Args::new("produce", &target.kafka).with("topic", "many").with("partitions", count);
    let all = produce(all.with("topic-partitions", 1000))?;
    let written = target.handles()? as f64;
    let target = target.kill_and_start(bench)?;
    first_ack(bench, &target, "many-0", false)?;
    Ok(Sample::from([
        ("s to create", created),
        ("KiB each", each),
        ("handles", handles),
        ("handles once written", written),
        ("requests/s over all", all),
        ("x of 12 partitions", all / few),
        ("s to first ack after kill -9", target.age().as_secs_f64()),
    ]))
}

/// The three steps of a growth row: 1x, 4x, 16x.
const STEPS: [u64; 3] = [1, 4, 16];

/// Measures what a request, a delivered byte and a put record cost the server at each size.
fn growth(bench: &Bench, kind: Kind, what: Growth) -> Result<Sample> {
    const NAMES: [[&str; 3]; 3] = [
        ["us CPU/request 1x", "us CPU/request 4x", "us CPU/request 16x"],
        ["consume CPU-s/GB 1x", "consume CPU-s/GB 4x", "consume CPU-s/GB 16x"],
        ["put us CPU/record 1x", "put us CPU/record 4x", "put us CPU/record 16x"],
    ];
    let mut target = Target::start(bench, kind)?;
    target.wait()?;
    fill(bench, &target, "read", bench.bytes(256 << 20))?;
    let mut sample = Sample::new();
    let mut before = 0;
    for (at, step) in STEPS.into_iter().enumerate() {
        let mut connections = 4;
        match what {
            Growth::Log => fill(bench, &target, &fresh("log"), bench.bytes((step - before) << 28))?,
            Growth::Topics => {
                for _ in before * 100..step * 100 {
                    // One partition each, in requests of one topic: what an application does at its start.
                    let args = Args::new("create-topics", &target.kafka).with("topic", fresh("topic"));
                    bench.replay(&args.with("partitions", 1).0)?;
                }
            }
            Growth::Connections => connections *= step as u32,
            Growth::Groups => {
                for _ in before * 40..step * 40 {
                    let mut command = Command::new(&bench.kolk);
                    command.args([
                        "group",
                        "reset",
                        &fresh("group"),
                        "--topic",
                        "read",
                        "--to-latest",
                        "--server",
                    ]);
                    let out = command.arg(&target.kafka).output()?;
                    anyhow::ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
                }
            }
        }
        before = step;
        let produce =
            Load::Replay { connections, window: 8, partitions: connections.min(12), records: 1, size: 100 };
        let per_request = once(&produce, bench, &target, "")?["us CPU/request"];
        consume(bench, &target, "read", connections / 4)?;
        let per_gigabyte = consume(bench, &target, "read", connections / 4)?["CPU-s/GB"];
        let per_record = 1e6 / put(bench, &target, connections, 500, "json")?["records/CPU-s"];
        for (name, value) in NAMES.iter().zip([per_request, per_gigabyte, per_record]) {
            sample.insert(name[at], value);
        }
    }
    let steps = NAMES.iter().flat_map(|names| names.windows(2).map(|two| sample[two[1]] / sample[two[0]]));
    let worst = steps.fold(0.0, f64::max);
    sample.insert("x worst step", worst);
    Ok(sample)
}
