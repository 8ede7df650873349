//! Who should commit? Measures the engine alone with each arrangement: `cargo run --release -p kolk-engine --example
//! commit_arrangements -- DIR`. Per row the arrangements run in turn, five times; medians are printed. Compare rows
//! within one run only.
#![allow(
    clippy::disallowed_methods,
    reason = "measures the machine: wall time and processor time of this process"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kolk_engine::local::{CommitBy, LocalEngine, LocalOptions};
use kolk_engine::state::{Command, CreateTopic};
use kolk_engine::{Append, Batch, Engine, PartitionId, TopicId, door::real};
use kolk_wire_kafka::records::{BatchBuilder, BatchHeader, Compression};

const TOPIC: TopicId = TopicId(1);
const RUN: Duration = Duration::from_millis(700);
const ROUNDS: usize = 5;

fn batch(bytes: usize) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(0, None, Some(&vec![b'x'; bytes]), &[]);
    let bytes = builder.build().expect("one record");
    let header = BatchHeader::parse(&bytes).expect("just built");
    Batch {
        bytes,
        offset_count: 1,
        max_timestamp_ms: header.max_timestamp,
        base_timestamp_ms: header.base_timestamp,
        producer: None,
        has_keyless: false,
    }
}

/// User and system time of this process, in microseconds.
fn processor_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("after the name").split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number of ticks");
    (ticks(11) + ticks(12)) * 10_000.0
}

/// Requests per second and processor microseconds a request.
async fn measure(dir: &Path, by: CommitBy, connections: i32, window: usize, bytes: usize) -> (f64, f64) {
    let options = LocalOptions { commit_by: by, ..LocalOptions::default() };
    let door = real::door(real::DiskOptions::default());
    let engine = LocalEngine::open(door, dir, options).await.expect("an empty directory opens");
    let create = CreateTopic {
        name: "t".into(),
        id: TOPIC,
        partitions: connections,
        configs: Default::default(),
        tags: Default::default(),
        now_ms: 0,
    };
    engine.propose(Command::CreateTopic(create)).await.expect("made").expect("made");
    let (started, used) = (Instant::now(), processor_us());
    let mut tasks = Vec::new();
    for index in 0..connections {
        let engine = engine.clone();
        tasks.push(tokio::task::spawn(async move {
            let batch = batch(bytes);
            let partition = PartitionId { topic: TOPIC, index };
            let mut done = 0u64;
            while started.elapsed() < RUN {
                // As a connection does: all that came is decided, then the answers go out in order.
                let pending: Vec<_> = (0..window)
                    .map(|_| engine.append(vec![Append { partition, shard: None, batch: batch.clone() }]))
                    .collect();
                for one in pending {
                    one.await.expect("durable")[0].as_ref().expect("appended");
                    done += 1;
                }
                // The round trip to a client.
                tokio::task::yield_now().await;
            }
            done
        }));
    }
    let mut requests = 0;
    for task in tasks {
        requests += task.await.expect("no panics");
    }
    let (took, used) = (started.elapsed(), processor_us() - used);
    engine.close().await.expect("it closes");
    let _keep: Arc<LocalEngine> = engine;
    (requests as f64 / took.as_secs_f64(), used / requests as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let root: PathBuf = std::env::args().nth(1).expect("a directory").into();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("connections window bytes | requests/s and us each: leader, thread, auto");
    let rows = [
        (1, 1, 100),
        (1, 32, 100),
        (1, 128, 100),
        (2, 8, 100),
        (4, 8, 100),
        (16, 8, 100),
        (64, 1, 100),
        (1, 4, 900_000),
    ];
    for (connections, window, bytes) in rows {
        let arrangements = [CommitBy::Leader, CommitBy::Thread, CommitBy::Auto];
        let mut found = [const { (Vec::new(), Vec::new()) }; 3];
        for round in 0..ROUNDS {
            for (at, by) in arrangements.into_iter().enumerate() {
                let dir = root.join(format!("run-{connections}-{window}-{round}-{at}"));
                let (rate, cost) = runtime.block_on(measure(&dir, by, connections, window, bytes));
                found[at].0.push(rate);
                found[at].1.push(cost);
                std::fs::remove_dir_all(&dir).expect("it was just made");
            }
        }
        let told: Vec<String> = found
            .into_iter()
            .map(|(rates, costs)| format!("{:8.0} {:7.2}", median(rates), median(costs)))
            .collect();
        println!("{connections:11} {window:6} {bytes:6} | {}", told.join("  |"));
    }
}
