//! What is done to a server in a row, and what is noted of it.

use super::report::median;
use super::rows::Sample;
use super::target::{Kind, Target};
use super::{Bench, scrape};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What is read of a warm topic, by all readers together.
const WARM_MEGABYTES: u64 = 4096;

/// A row's load.
pub enum Load {
    /// Encoded Produce requests, one batch each.
    Replay { connections: u32, window: u32, partitions: u32, records: u32, size: u32 },
    /// `rdkafka_performance -P`.
    RdkafkaProduce { partitions: u32, size: u32 },
    /// `rdkafka_performance -C` over what was just written and read once.
    RdkafkaConsume,
    /// How long durable writes take while much is written, on a log that is new.
    SyncTimes,
    /// Fetch requests over all of a topic, by readers that do not look at records.
    Consume { readers: u32, cold: bool, megabytes: u64 },
    /// One record after another at a steady rate, to a consumer that waits; between different protocols beside the
    /// same from Kafka to Kafka.
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

/// What a server was given before the load's first run.
pub struct Prepared {
    /// The topic, or stream, that the load uses.
    topic: String,
    /// How many messages a librdkafka run sends.
    messages: u64,
    /// How fast the last one was.
    messages_per_s: f64,
}

/// What librdkafka sends to warm up, and what it consumes.
const MESSAGES: u64 = 600_000;
/// What the growth rows take the median of, at each size.
const REPEATS: usize = 5;

impl Load {
    /// How often the load runs, at most.
    pub fn runs_max(&self, bench: &Bench) -> usize {
        // Where time is short, what takes long has one run, and its time goes to what is over in seconds.
        let seldom = |runs: usize| if bench.in_minutes { 1 } else { bench.runs.min(runs) };
        match self {
            Load::AfterKill { gigabytes: 16.. } => 1,
            Load::AfterKill { .. } | Load::Partitions | Load::AfterKillPartitions => seldom(2),
            Load::Growth(_) => seldom(3),
            _ if self.is_bulk() && bench.in_minutes => {
                ((60.0 / bench.bulk_seconds).ceil() as usize).clamp(1, bench.runs)
            }
            _ => bench.runs,
        }
    }

    /// True if a server of its own is started for each run.
    pub fn starts_its_own(&self) -> bool {
        use Load::{AfterKill, AfterKillPartitions, Growth, Partitions, Start, SyncTimes};
        matches!(self, Start | Partitions | AfterKill { .. } | AfterKillPartitions | Growth(_) | SyncTimes)
    }

    /// True if it is about bytes, and says something only where there are many: what the server does in the
    /// background is to be in it.
    pub fn is_bulk(&self) -> bool {
        match self {
            Load::Replay { records, size, .. } => records * size >= 10_000,
            Load::RdkafkaProduce { size, .. } => *size >= 1024,
            Load::Put { records, .. } => *records >= 100,
            _ => false,
        }
    }

    /// How long one run lasts on a server of this kind.
    fn seconds(&self, bench: &Bench, kind: Kind) -> f64 {
        // What keeps all in memory must not be given too much.
        if self.is_bulk() && kind != Kind::Ferrokinesis { bench.bulk_seconds } else { bench.seconds }
    }

    /// About what getting ready for it and one run of it take on a server of this kind, in seconds: to share the time
    /// out, no more.
    pub fn estimate(&self, bench: &Bench, kind: Kind) -> (f64, f64) {
        let (start, warm_ups) = if kind.is_jvm() { (6.0, 3.0) } else { (1.0, 1.0) };
        let seconds = self.seconds(bench, kind);
        let once = match self {
            Load::Consume { cold: true, readers, .. } => 0.5 + 0.3 * f64::from(*readers),
            Load::Consume { readers, .. } => 0.3 * f64::from(*readers.max(&8)),
            Load::EndToEnd { from, to } if from != to => 2.0 * seconds,
            Load::GetRecords { .. } => 1.0,
            Load::RdkafkaConsume => 1.5,
            Load::Start if kind.is_jvm() => 12.0,
            Load::Start => 2.1,
            Load::SyncTimes => 4.0,
            Load::Partitions if kind.is_jvm() => 80.0,
            Load::Partitions => 3.0 + 2.0 * seconds,
            Load::AfterKill { gigabytes } => {
                start * 3.0 + *gigabytes as f64 * if kind.is_jvm() { 5.0 } else { 1.8 }
            }
            Load::AfterKillPartitions => 4.0,
            Load::Growth(_) => 16.0 + 9.0 * REPEATS as f64 * 0.8 * seconds,
            _ => seconds,
        };
        if self.starts_its_own() {
            return (0.0, once);
        }
        let fill = if matches!(self, Load::Consume { .. } | Load::RdkafkaConsume) { 3.0 } else { 0.5 };
        let warm_up = if self.is_bulk() { once.min(2.0) } else { once * warm_ups };
        (start + fill + warm_up, once)
    }

    /// Free bytes that the row needs on the disk, with room to spare.
    pub fn disk_bytes(&self, bench: &Bench) -> u64 {
        let gigabytes = match self {
            Load::AfterKill { gigabytes } => 3 + gigabytes * 9 / 8,
            Load::Growth(Growth::Log) => 10,
            // Every server keeps a gigabyte and what comes between two looks of its retention.
            _ if self.is_bulk() => 15,
            Load::SyncTimes | Load::Consume { .. } => 10,
            _ => 4,
        };
        bench.bytes(gigabytes << 30)
    }
}

/// A topic name that no run had before.
fn fresh(prefix: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Arguments of the replay client.
#[derive(Clone)]
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

/// Gives a server what it must hold before the load's first run.
pub fn prepare(load: &Load, bench: &Bench, target: &Target) -> Result<Prepared> {
    let topic = fresh("prepared");
    match *load {
        Load::Replay { partitions, .. } | Load::RdkafkaProduce { partitions, .. } => {
            let fsync = (target.kind == Kind::KafkaFsync).then(|| "flush.messages=1".to_owned());
            let bounded = if load.is_bulk() { bounded(partitions) } else { Vec::new() };
            if !matches!(target.kind, Kind::FloorLeader | Kind::FloorThread) {
                let configs: Vec<_> = fsync.into_iter().chain(bounded).collect();
                create(bench, target, &topic, bench.partitions(partitions), &configs)?;
            }
        }
        Load::RdkafkaConsume => {
            create(bench, target, &topic, 1, &[])?;
            rdkafka_produce(bench, target, &topic, 1024, MESSAGES)?;
        }
        Load::Consume { megabytes, .. } => {
            let bytes = bench.bytes(megabytes << 20);
            fill(bench, target, &topic, bytes)?;
            if target.kind == Kind::Kolk && bytes > TAIL_CACHE {
                push_into_segments(bench, target, bytes)?;
            }
        }
        // A topic is a stream: of one that is made as a topic, Kolk keeps no more than it is told to.
        Load::Put { .. } if target.kind.is_kolk() => create(bench, target, &topic, SHARDS, &bounded(SHARDS))?,
        Load::Put { .. } => {
            let args =
                Args::new("put-records", target.kinesis()?).with("stream", &topic).with("shards", SHARDS);
            bench.replay(&args.with("connections", 1).with("records", 1).with("requests", 1).0)?;
        }
        Load::GetRecords { .. } => {
            let args = Args::new("get-records", target.kinesis()?).with("stream", &topic).with("pages", 1);
            bench.replay(&args.with("requests", if bench.quick { 1 } else { 20 }).0)?;
        }
        _ => {}
    }
    Ok(Prepared { topic, messages: MESSAGES, messages_per_s: 0.0 })
}

/// After the warm-up: what is counted and not timed becomes about as long as it is to be.
pub fn scale(load: &Load, bench: &Bench, prepared: &mut Prepared) {
    if let Load::RdkafkaProduce { .. } = load {
        let seconds = if load.is_bulk() { bench.bulk_seconds } else { bench.seconds };
        prepared.messages = (prepared.messages_per_s * seconds).clamp(1e5, 1e9) as u64;
    }
}

/// Shards of the streams that are put to.
const SHARDS: u32 = 4;
/// What Kolk keeps in memory of its log's end, in bytes, and a little more.
const TAIL_CACHE: u64 = 32 << 20;
/// Full files of the log that Kolk leaves alone, in bytes, and the one that is being written.
const NOT_YET_REWRITTEN: u64 = 160 << 20;

/// Configs of a topic that is written to for long: a gigabyte in all, in files that are given back soon.
fn bounded(partitions: u32) -> Vec<String> {
    let retention = (1u64 << 30) / u64::from(partitions);
    vec![format!("retention.bytes={retention}"), format!("segment.bytes={}", (retention / 4).max(16 << 20))]
}

/// Writes so much more that everything before has left Kolk's write-ahead log for segments, and waits until it has.
fn push_into_segments(bench: &Bench, target: &Target, bytes: u64) -> Result<()> {
    if bench.quick {
        return Ok(());
    }
    fill(bench, target, &fresh("pushing"), NOT_YET_REWRITTEN)?;
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let scrape = target.scrape()?.context("Kolk shows its metrics")?;
        let found = scrape.number("kolk_log_segment_bytes{state=\"live\"}")?;
        if found >= bytes as f64 {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{found} bytes are in segments after 30 s, {bytes} were expected");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// One run of the load.
pub fn once(load: &Load, bench: &Bench, target: &Target, prepared: &mut Prepared) -> Result<Sample> {
    let seconds = load.seconds(bench, target.kind);
    match *load {
        Load::Replay { connections, window, partitions, records, size } => {
            let args = Args::new("produce", &target.kafka)
                .with("topic", &prepared.topic)
                .with("connections", connections)
                .with("partitions", bench.partitions(partitions))
                .with("window", window)
                .with("records", records)
                .with("size", size)
                .with("seconds", seconds)
                .flag("no-create");
            replay(bench, target, args, load.is_bulk())
        }
        Load::RdkafkaProduce { size, .. } => {
            let sample = rdkafka_produce(bench, target, &prepared.topic, size, prepared.messages)?;
            prepared.messages_per_s = sample["messages/s"];
            Ok(sample)
        }
        Load::RdkafkaConsume => {
            let count = MESSAGES.to_string();
            let args = ["-C", "-t", &prepared.topic, "-p", "0", "-o", "beginning", "-c", &count];
            let (milliseconds, cpu) = cpu_of(target, || bench.rdkafka(target, &args))?;
            Ok(throughput(MESSAGES, 1024, milliseconds, cpu))
        }
        Load::Consume { readers, cold, megabytes } => {
            if cold {
                target.forget_pages()?;
            }
            // What one reader takes of a warm topic would be a few ticks of the processor's clock.
            let once = u64::from(readers) * megabytes;
            let times = if cold || bench.quick { 1 } else { WARM_MEGABYTES.div_ceil(once) as u32 };
            consume(bench, target, &prepared.topic, readers, times)
        }
        Load::EndToEnd { from, to } => {
            let mut sample = end_to_end(bench, target, from, to)?;
            if from != to {
                let within = end_to_end(bench, target, "kafka", "kafka")?["p50 us"];
                sample.insert("x Kafka to Kafka", sample["p50 us"] / within);
            }
            Ok(sample)
        }
        Load::Put { connections, records, encoding } => {
            let args = Args::new("put-records", target.kinesis()?).with("encoding", encoding);
            let args =
                args.with("connections", connections).with("records", records).with("seconds", seconds);
            put(bench, target, args.with("stream", &prepared.topic))
        }
        Load::GetRecords { encoding } => {
            let args = Args::new("get-records", target.kinesis()?)
                .with("stream", &prepared.topic)
                .with("encoding", encoding)
                .with("pages", if bench.quick { 1 } else { 20 })
                .flag("no-create");
            let (seen, cpu) = cpu_of(target, || bench.replay(&args.0))?;
            let pages = number(&seen, "pages")?;
            Ok(Sample::from([
                ("p50 ms", number(&seen, "p50_us")? / 1e3),
                ("p99 ms", number(&seen, "p99_us")? / 1e3),
                ("ms CPU/page", cpu * 1e3 / pages),
                ("MiB of records/page", number(&seen, "records")? / pages / 1024.0),
                ("MiB sent/page", number(&seen, "bytes")? / pages / 1024.0 / 1024.0),
            ]))
        }
        Load::Start
        | Load::SyncTimes
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
        Load::SyncTimes => {
            let mut target = Target::start(bench, kind)?;
            target.wait()?;
            let requests = bench.bytes(1 << 30).div_ceil(900 << 10);
            let args = Args::new("produce", &target.kafka).with("topic", "log").with("window", 4);
            let args = args.with("records", 900).with("size", 1024).with("seconds", 300);
            replay(bench, &target, args.with("requests", requests), true)
        }
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
fn create(bench: &Bench, target: &Target, topic: &str, partitions: u32, configs: &[String]) -> Result<()> {
    let args = Args::new("produce", &target.kafka).with("topic", topic).with("requests", 1);
    let args = configs.iter().fold(args, |args, config| args.with("config", config));
    bench.replay(&args.with("partitions", partitions).0)?;
    Ok(())
}

/// Runs Produce requests; of Kolk also what its durable writes were like meanwhile.
fn replay(bench: &Bench, target: &Target, args: Args, bulk: bool) -> Result<Sample> {
    let before = target.scrape()?;
    let (seen, cpu) = cpu_of(target, || bench.replay(&args.0))?;
    let (requests, seconds) = (number(&seen, "requests")?, number(&seen, "seconds")?);
    let mut sample = Sample::from([
        ("requests/s", requests / seconds),
        ("us CPU/request", cpu * 1e6 / requests),
        ("p50 us", number(&seen, "p50_us")?),
        ("p99 us", number(&seen, "p99_us")?),
    ]);
    if bulk {
        let gigabytes = number(&seen, "bytes")? / 1e9;
        sample.extend([("GB/s", gigabytes / seconds), ("CPU-s/GB", cpu / gigabytes)]);
    }
    if let (Some(before), Some(after)) = (before, target.scrape()?) {
        let syncs = scrape::gained("kolk_log_sync_seconds", &before, &after);
        sample.extend([("requests/sync", requests / syncs.count), ("sync p99 us", syncs.p99_us)]);
    }
    Ok(sample)
}

fn end_to_end(bench: &Bench, target: &Target, from: &str, to: &str) -> Result<Sample> {
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

fn consume(bench: &Bench, target: &Target, topic: &str, readers: u32, times: u32) -> Result<Sample> {
    let args = Args::new("consume", &target.kafka).with("topic", topic).with("readers", readers);
    let args = args.with("times", times);
    let (seen, cpu) = cpu_of(target, || bench.replay(&args.0))?;
    let gigabytes = number(&seen, "bytes")? / 1e9;
    Ok(Sample::from([("GB/s", gigabytes / number(&seen, "seconds")?), ("CPU-s/GB", cpu / gigabytes)]))
}

/// Puts into a stream that is there.
fn put(bench: &Bench, target: &Target, args: Args) -> Result<Sample> {
    let (seen, cpu) = cpu_of(target, || bench.replay(&args.flag("no-create").0))?;
    let (records, seconds) = (number(&seen, "records")?, number(&seen, "seconds")?);
    Ok(Sample::from([
        ("records/s", records / seconds),
        ("records/CPU-s", records / cpu),
        ("p50 us", number(&seen, "p50_us")?),
        ("p99 us", number(&seen, "p99_us")?),
    ]))
}

fn rdkafka_produce(bench: &Bench, target: &Target, topic: &str, size: u32, messages: u64) -> Result<Sample> {
    let (count, bytes) = (messages.to_string(), size.to_string());
    let args = ["-P", "-t", topic, "-s", &bytes, "-c", &count, "-a", "-1", "-X", "linger.ms=5"];
    let (milliseconds, cpu) = cpu_of(target, || bench.rdkafka(target, &args))?;
    Ok(throughput(messages, size, milliseconds, cpu))
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
const STEPS: [u32; 3] = [1, 4, 16];

/// Measures what a request, a delivered byte and a put record cost the server at each size: one server a size, all at
/// work by turns, so that what else the machine does falls on each of them alike.
fn growth(bench: &Bench, kind: Kind, what: Growth) -> Result<Sample> {
    const NAMES: [[&str; 3]; 3] = [
        ["us CPU/request 1x", "us CPU/request 4x", "us CPU/request 16x"],
        ["consume CPU-s/GB 1x", "consume CPU-s/GB 4x", "consume CPU-s/GB 16x"],
        ["put us CPU/record 1x", "put us CPU/record 4x", "put us CPU/record 16x"],
    ];
    let mut targets = Vec::new();
    for step in STEPS {
        let mut target = Target::start(bench, kind)?;
        target.wait()?;
        fill(bench, &target, "read", bench.bytes(256 << 20))?;
        create(bench, &target, "written", PARTITIONS, &[])?;
        create(bench, &target, "put", SHARDS, &[])?;
        grow(bench, &target, what, step)?;
        targets.push((target, if matches!(what, Growth::Connections) { 4 * step } else { 4 }));
    }
    // By size, by repeat: the three costs.
    let mut costs = [const { Vec::new() }; 3];
    for repeat in 0..=REPEATS {
        for ((target, connections), costs) in targets.iter().zip(&mut costs) {
            let produce = Args::new("produce", &target.kafka)
                .with("topic", "written")
                .with("partitions", PARTITIONS)
                .with("connections", connections)
                .with("window", 8)
                .with("seconds", bench.seconds)
                .flag("no-create");
            let put_records = Args::new("put-records", target.kinesis()?)
                .with("stream", "put")
                .with("connections", connections)
                .with("seconds", bench.seconds);
            let found = [
                replay(bench, target, produce, false)?["us CPU/request"],
                consume(bench, target, "read", connections / 4, if bench.quick { 1 } else { 4 })?["CPU-s/GB"],
                1e6 / put(bench, target, put_records)?["records/CPU-s"],
            ];
            // The first one warms up.
            if repeat > 0 {
                costs.push(found);
            }
        }
    }
    let mut sample = Sample::new();
    let mut worst: f64 = 0.0;
    for (cost, names) in NAMES.iter().enumerate() {
        for (name, costs) in names.iter().zip(&costs) {
            sample.insert(name, median(costs.iter().map(|costs| costs[cost])));
        }
        for sizes in costs.windows(2) {
            worst = worst.max(median(sizes[0].iter().zip(&sizes[1]).map(|(a, b)| b[cost] / a[cost])));
        }
    }
    sample.insert("x worst step", worst);
    Ok(sample)
}

/// Partitions that the growth rows write to.
const PARTITIONS: u32 = 12;

/// Makes what grows as large as `step` says.
fn grow(bench: &Bench, target: &Target, what: Growth, step: u32) -> Result<()> {
    match what {
        Growth::Log => fill(bench, target, &fresh("log"), bench.bytes(u64::from(step) << 28)),
        Growth::Topics => {
            // One partition each, in requests of one topic: what an application does at its start.
            let args = Args::new("create-topics", &target.kafka).with("topic", fresh("topic"));
            let args = args.with("partitions", bench.partitions(step * 100)).with("topic-partitions", 1);
            bench.replay(&args.0).map(drop)
        }
        Growth::Connections => Ok(()),
        Growth::Groups => {
            for _ in 0..bench.partitions(step * 40) {
                let group = fresh("group");
                let mut command = Command::new(&bench.kolk);
                command.args(["group", "reset", &group, "--topic", "read", "--to-latest", "--server"]);
                let out = command.arg(&target.kafka).output()?;
                ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            }
            Ok(())
        }
    }
}
