//! The rows of the scoreboard: what load, which servers, which goal.

use super::Bench;
use super::loads::{self, Growth, Load, Prepared};
use super::target::{Kind, Target};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::time::Instant;

/// One line of the table.
pub struct Row {
    /// The scoreboard's row that it belongs to, which `--rows` takes too.
    pub number: u32,
    /// Its name, which `--rows` looks into.
    pub name: &'static str,
    /// What was asked for.
    pub goal: &'static str,
    /// The servers, that first which the others are compared with.
    servers: &'static [Kind],
    /// The load.
    pub load: Load,
}

/// One run on one server: figure name (with its unit) to value.
pub type Sample = BTreeMap<&'static str, f64>;

/// All runs of a row, per server.
pub type Samples = Vec<(Kind, Vec<Sample>)>;

/// What a row came to.
#[derive(Default)]
pub struct Outcome {
    /// Its runs; none of a server that failed before it had one.
    pub samples: Samples,
    /// Who failed, if not the row as a whole, and how.
    pub failures: Vec<(Option<Kind>, String)>,
}

use Kind::{Ferrokinesis, FloorLeader, FloorThread, Kafka, KafkaFsync, Kolk, KolkNoRewrite};
const ALONE: &[Kind] = &[Kolk];
const KAFKA: &[Kind] = &[Kolk, Kafka];
const REWRITE: &[Kind] = &[Kolk, KolkNoRewrite];
const CATCH_UP: &[Kind] = &[Kolk, KolkNoRewrite, Kafka];
const FSYNC: &[Kind] = &[Kolk, KafkaFsync];
const FLOOR: &[Kind] = &[Kolk, FloorLeader, FloorThread, Kafka];
const FLOOR_AND_FSYNC: &[Kind] = &[Kolk, FloorLeader, FloorThread, Kafka, KafkaFsync];
const KINESIS: &[Kind] = &[Kolk, Ferrokinesis];

/// The titles of the scoreboard's rows, by number.
pub const TITLES: [&str; 12] = [
    "librdkafka and replay, big batches",
    "one record a request",
    "one record a request, window 1",
    "both fsyncing",
    "end to end at 1,000 messages/s",
    "catch-up consume",
    "Kinesis: PutRecords, PutRecord, GetRecords",
    "end to end across protocols",
    "start, idle memory, binary",
    "10,000 partitions",
    "first ack after kill -9",
    "growth",
];

/// All rows, in the order of the scoreboard.
pub fn all() -> Vec<Row> {
    let row = |number, name, goal, servers, load| Row { number, name, goal, servers, load };
    let replay = |number, name, goal, servers, connections, window, partitions| {
        let load = Load::Replay { connections, window, partitions, records: 1, size: 100 };
        Row { number, name, goal, servers, load }
    };
    let rdkafka = |name, partitions, size| Row {
        number: 1,
        name,
        goal: if size == 100 { ">= 2x Kafka, <= 0.08 us CPU/record" } else { ">= 2x Kafka, <= 0.5 CPU-s/GB" },
        servers: KAFKA,
        load: Load::RdkafkaProduce { partitions, size },
    };
    let consume = |name, goal, servers, readers, cold, megabytes| Row {
        number: 6,
        name,
        goal,
        servers,
        load: Load::Consume { readers, cold, megabytes },
    };
    const ROW_2: &str = ">= 0.8x the better probe, <= 1.5x its CPU";
    const ROW_4: &str = ">= 30x Kafka at 32, >= 70x at 128; 1,000 partitions <= 1.3x the cost of 1";
    const ROW_6: &str = ">= 1.5x Kafka, <= 0.25 CPU-s/GB";
    vec![
        rdkafka("librdkafka 100 B, 1 partition", 1, 100),
        rdkafka("librdkafka 100 B, 12 partitions", 12, 100),
        rdkafka("librdkafka 1 KiB, 1 partition", 1, 1024),
        rdkafka("librdkafka 1 KiB, 12 partitions", 12, 1024),
        row(
            1,
            "replay 900 x 1 KiB, window 4",
            ">= 1.2 GB/s, <= 0.5 CPU-s/GB",
            FLOOR,
            Load::Replay { connections: 1, window: 4, partitions: 1, records: 900, size: 1024 },
        ),
        row(
            1,
            "1 GB of 900 x 1 KiB with the rewrite on and off",
            "sync p99 is reported",
            REWRITE,
            Load::SyncTimes,
        ),
        replay(2, "1 x 100 B, window 32", ROW_2, FLOOR, 1, 32, 1),
        replay(2, "1 x 100 B, window 128", ROW_2, FLOOR, 1, 128, 1),
        replay(2, "1 x 100 B, 4 connections x 8", ROW_2, FLOOR, 4, 8, 4),
        replay(2, "1 x 100 B, 16 connections x 1", ROW_2, FLOOR, 16, 1, 12),
        replay(3, "1 x 100 B, window 1", "p50 <= 1.4x raw write", FLOOR_AND_FSYNC, 1, 1, 1),
        replay(4, "both fsyncing, window 32, 1 partition", ROW_4, FSYNC, 1, 32, 1),
        replay(4, "both fsyncing, window 32, 12 partitions", ROW_4, FSYNC, 1, 32, 12),
        replay(4, "both fsyncing, window 32, 1,000 partitions", ROW_4, FSYNC, 1, 32, 1000),
        replay(4, "both fsyncing, window 128, 1 partition", ROW_4, FSYNC, 1, 128, 1),
        replay(4, "both fsyncing, window 128, 12 partitions", ROW_4, FSYNC, 1, 128, 12),
        replay(4, "both fsyncing, window 128, 1,000 partitions", ROW_4, FSYNC, 1, 128, 1000),
        row(
            5,
            "end to end, Kafka to Kafka",
            "p50 <= raw write + 0.25 ms and below Kafka's, p99 <= Kafka's",
            KAFKA,
            Load::EndToEnd { from: "kafka", to: "kafka" },
        ),
        row(6, "consume 1 KiB with librdkafka, hot", ROW_6, KAFKA, Load::RdkafkaConsume),
        consume("catch-up, 1 reader, tail cache", ROW_6, ALONE, 1, false, 16),
        consume("catch-up, 1 reader, hot", ROW_6, CATCH_UP, 1, false, 512),
        consume("catch-up, 4 readers, hot", ROW_6, CATCH_UP, 4, false, 512),
        consume("catch-up, 16 readers, hot", ROW_6, CATCH_UP, 16, false, 512),
        consume("catch-up, 1 reader, cold", "no worse than Kafka", CATCH_UP, 1, true, 512),
        consume("catch-up, 4 readers, cold", "no worse than Kafka", CATCH_UP, 4, true, 512),
        consume("catch-up, 16 readers, cold", "no worse than Kafka", CATCH_UP, 16, true, 512),
        row(
            7,
            "PutRecords 500 x 1 KiB, JSON",
            ">= 150 k records/CPU-s, ahead of ferrokinesis",
            KINESIS,
            Load::Put { connections: 4, records: 500, encoding: "json" },
        ),
        row(
            7,
            "PutRecords 500 x 1 KiB, CBOR",
            ">= 150 k records/CPU-s, ahead of ferrokinesis",
            KINESIS,
            Load::Put { connections: 4, records: 500, encoding: "cbor" },
        ),
        row(
            7,
            "PutRecord 1 KiB, one connection, JSON",
            "p50 <= raw write + 0.15 ms",
            KINESIS,
            Load::Put { connections: 1, records: 1, encoding: "json" },
        ),
        row(
            7,
            "PutRecord 1 KiB, one connection, CBOR",
            "p50 <= raw write + 0.15 ms",
            KINESIS,
            Load::Put { connections: 1, records: 1, encoding: "cbor" },
        ),
        row(7, "GetRecords 10 MiB pages, JSON", "< 25 ms", KINESIS, Load::GetRecords { encoding: "json" }),
        row(7, "GetRecords 10 MiB pages, CBOR", "< 25 ms", KINESIS, Load::GetRecords { encoding: "cbor" }),
        row(
            8,
            "end to end, Kinesis to Kafka",
            "p50 <= 1.5x row 5",
            ALONE,
            Load::EndToEnd { from: "kinesis", to: "kafka" },
        ),
        row(
            8,
            "end to end, Kafka to Kinesis",
            "p50 <= 1.5x row 5",
            ALONE,
            Load::EndToEnd { from: "kafka", to: "kinesis" },
        ),
        row(
            9,
            "start to first ack, idle memory",
            "<= 20 ms, <= 15 MiB, binary <= 20 MiB",
            KAFKA,
            Load::Start,
        ),
        row(
            10,
            "10,000 partitions",
            "create <= 1 s, <= 2 KiB each, < 100 handles, >= 0.5x of 12 partitions",
            KAFKA,
            Load::Partitions,
        ),
        row(11, "first ack after kill -9, log of 1 GB", "< 1 s", KAFKA, Load::AfterKill { gigabytes: 1 }),
        row(11, "first ack after kill -9, log of 4 GB", "< 1 s", ALONE, Load::AfterKill { gigabytes: 4 }),
        row(11, "first ack after kill -9, log of 16 GB", "< 1 s", ALONE, Load::AfterKill { gigabytes: 16 }),
        row(11, "first ack after kill -9, 12,000 partitions", "< 1 s", ALONE, Load::AfterKillPartitions),
        row(12, "growth: size of the log", "<= 1.1x a step", ALONE, Load::Growth(Growth::Log)),
        row(12, "growth: topics", "<= 1.1x a step", ALONE, Load::Growth(Growth::Topics)),
        row(12, "growth: connections", "<= 1.1x a step", ALONE, Load::Growth(Growth::Connections)),
        row(12, "growth: groups", "<= 1.1x a step", ALONE, Load::Growth(Growth::Groups)),
    ]
}

impl Row {
    /// Whether `--rows` chose it, by number or by a part of its name.
    pub fn is_chosen(&self, words: &[String]) -> bool {
        words.is_empty()
            || words.iter().any(|word| match word.parse::<u32>() {
                Ok(number) => number == self.number,
                Err(_) => self.name.contains(word.as_str()),
            })
    }

    /// True if the row's load is made by librdkafka.
    pub fn needs_rdkafka(&self) -> bool {
        matches!(self.load, Load::RdkafkaProduce { .. } | Load::RdkafkaConsume)
    }

    /// The servers of this bench that the row is about.
    fn kinds(&self, bench: &Bench) -> Vec<Kind> {
        self.servers.iter().copied().filter(|kind| bench.has(*kind)).collect()
    }

    /// About how long getting ready and one round over all servers take, and how many rounds there are at most.
    pub fn estimate(&self, bench: &Bench) -> (f64, f64, usize) {
        let both = self.kinds(bench).into_iter().map(|kind| self.load.estimate(bench, kind));
        let (ready, round) = both.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        // Memory is warmed, and the disk is measured twice.
        (ready + 3.0, round, self.load.runs_max(bench))
    }

    /// Runs the row on every server in turn, as often as the bench says, or until a further round would not be over by
    /// `end`. A server that fails is left out from there on; the others go on.
    pub fn run(&self, bench: &Bench, end: Option<Instant>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut runners = Vec::new();
        for kind in self.kinds(bench) {
            match Runner::start(&self.load, bench, kind) {
                Ok(runner) => runners.push(runner),
                Err(error) => outcome.fails(kind, &error),
            }
        }
        for _ in 0..self.load.runs_max(bench) {
            let begin = Instant::now();
            runners.retain_mut(|runner| match runner.once(&self.load, bench) {
                Ok(()) => true,
                Err(error) => {
                    outcome.fails(runner.kind, &error);
                    outcome.samples.push((runner.kind, std::mem::take(&mut runner.samples)));
                    false
                }
            });
            let next_end = Instant::now() + begin.elapsed();
            if runners.is_empty() || end.is_some_and(|end| next_end > end) {
                break;
            }
        }
        outcome.samples.extend(runners.into_iter().map(|runner| (runner.kind, runner.samples)));
        outcome.samples.retain(|(_, samples)| !samples.is_empty());
        let place = |kind: &Kind| self.servers.iter().position(|server| server == kind);
        outcome.samples.sort_by_key(|(kind, _)| place(kind));
        ensure!(
            !outcome.samples.is_empty() || !outcome.failures.is_empty(),
            "no server of this row was asked for"
        );
        Ok(outcome)
    }
}

impl Outcome {
    fn fails(&mut self, kind: Kind, error: &anyhow::Error) {
        println!("   {:<16} FAILED: {error:#}", kind.name());
        self.failures.push((Some(kind), format!("{error:#}")));
    }
}

/// One server in a row, and what was seen of it.
struct Runner {
    kind: Kind,
    /// Not of loads that start their own.
    target: Option<(Target, Prepared)>,
    samples: Vec<Sample>,
}

impl Runner {
    /// A server that is ready for the load, and warm.
    fn start(load: &Load, bench: &Bench, kind: Kind) -> Result<Runner> {
        let mut runner = Runner { kind, target: None, samples: Vec::new() };
        if load.starts_its_own() {
            return Ok(runner);
        }
        let mut target = Target::start(bench, kind)?;
        target.wait()?;
        let mut prepared = loads::prepare(load, bench, &target).context("getting ready")?;
        let warm_ups = if kind.is_jvm() && !load.is_bulk() && !bench.quick { 3 } else { 1 };
        for _ in 0..warm_ups {
            loads::once(load, &bench.shorter(), &target, &mut prepared).context("warming up")?;
        }
        loads::scale(load, bench, &mut prepared);
        runner.target = Some((target, prepared));
        Ok(runner)
    }

    /// One run, noted and shown.
    fn once(&mut self, load: &Load, bench: &Bench) -> Result<()> {
        let sample = match &mut self.target {
            None => loads::alone(load, bench, self.kind)?,
            Some((target, prepared)) => {
                let mut sample = loads::once(load, bench, target, prepared)?;
                sample.insert("MiB most", target.memory_mib("VmHWM")?);
                sample
            }
        };
        show(self.kind, &sample);
        self.samples.push(sample);
        Ok(())
    }
}

fn show(kind: Kind, sample: &Sample) {
    let figures: Vec<_> =
        sample.iter().map(|(name, value)| format!("{} {name}", super::report::short(*value))).collect();
    println!("   {:<16} {}", kind.name(), figures.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_number_and_by_name() {
        let chosen = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            all().iter().filter(|row| row.is_chosen(&words)).count()
        };
        assert_eq!(chosen(&[]), all().len());
        assert_eq!(chosen(&["3"]), 1);
        assert_eq!(chosen(&["growth"]), 4);
        for number in 1..=TITLES.len() {
            assert!(chosen(&[&number.to_string()]) > 0, "row {number} has no load");
        }
    }
}
