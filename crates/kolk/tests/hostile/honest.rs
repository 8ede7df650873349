//! The well-behaved clients: one produces and reads back over Kafka, one is the member of a consumer group, one puts over
//! Kinesis. Each waits for its answer before it goes on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use kolk_wire_kafka::messages::heartbeat::HeartbeatRequest;
use kolk_wire_kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use kolk_wire_kafka::messages::sync_group::SyncGroupRequest;

use crate::http::Http;
use crate::kafka::{Kafka, produce_request};
use crate::server::Server;

/// An operation that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// A member that is not heard for so long is put out of its group; what consumers ask for if nobody says otherwise.
const SESSION_TIMEOUT_MS: i32 = 45_000;
const HEARTBEATS: &str = "heartbeats";

pub struct Honest {
    pause: Duration,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    threads: Vec<(&'static str, JoinHandle<Vec<f64>>)>,
}

/// Times of operations, in order.
pub struct Figures {
    all: Vec<f64>,
    heartbeats: Vec<f64>,
    pub failures: Vec<String>,
}

impl Figures {
    /// Cells of a table: how many there were, and in ms what a half took at most, 99 of a hundred, and all.
    pub fn cells(&self) -> String {
        cells(&self.all)
    }

    /// The same for the heartbeats among them.
    pub fn heartbeat_cells(&self) -> String {
        cells(&self.heartbeats)
    }
}

fn cells(took_ms: &[f64]) -> String {
    let at = |share: f64| {
        took_ms.get(((took_ms.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(f64::NAN)
    };
    format!("{} | {:.1} | {:.1} | {:.0}", took_ms.len(), at(0.5), at(0.99), at(1.0))
}

impl Honest {
    /// Each waits for `pause` between its operations.
    pub fn start(server: &Server, pause: Duration) -> Honest {
        let mut honest = Honest {
            pause,
            stop: Arc::default(),
            count: Arc::default(),
            failures: Arc::default(),
            threads: Vec::new(),
        };
        let (kafka, kinesis) = (server.kafka, server.kinesis);
        honest.thread("produce and fetch", move || {
            let mut client = Kafka::connect(kafka, PATIENCE);
            let mut offset = None;
            move || {
                let produced = client.produce(&produce_request("honest", 0, b"value"))?;
                let from = offset.unwrap_or(produced);
                let fetch = FetchRequest {
                    max_wait_ms: 1000,
                    min_bytes: 1,
                    max_bytes: 1 << 20,
                    session_epoch: -1,
                    topics: vec![FetchTopic {
                        topic: "honest".into(),
                        partitions: vec![FetchPartition {
                            partition: 0,
                            fetch_offset: from,
                            partition_max_bytes: 1 << 20,
                            ..Default::default()
                        }],
                        ..Default::default()
                    }],
                    ..Default::default()
                };
                let fetched = client.call(&fetch, 11)?;
                let partition = fetched
                    .responses
                    .first()
                    .and_then(|topic| topic.partitions.first())
                    .ok_or("a fetch without its partition")?;
                let bytes = partition.records.as_ref().map_or(0, |records| records.len());
                if partition.error_code != 0 || bytes == 0 {
                    return Err(format!("fetch: error {}, {bytes} bytes", partition.error_code));
                }
                offset = Some(produced + 1);
                Ok(())
            }
        });
        honest.thread(HEARTBEATS, move || {
            let mut client = Kafka::connect(kafka, PATIENCE);
            let heartbeat = member(&mut client).expect("an honest member");
            move || {
                let answer = client.call(&heartbeat, 3)?;
                if answer.error_code == 0 { Ok(()) } else { Err(format!("error {}", answer.error_code)) }
            }
        });
        honest.thread("put over Kinesis", move || {
            let mut client = Http::connect(kinesis, PATIENCE);
            move || {
                let body = r#"{"StreamName":"honest","PartitionKey":"k","Data":"aGVsbG8="}"#;
                let (status, answer) = client.call("PutRecord", body.as_bytes())?;
                match status {
                    200 => Ok(()),
                    _ => Err(format!("status {status}: {}", String::from_utf8_lossy(&answer))),
                }
            }
        });
        honest
    }

    fn thread<F: FnMut() -> Result<(), String>>(
        &mut self,
        what: &'static str,
        client: impl FnOnce() -> F + Send + 'static,
    ) {
        let (stop, count) = (Arc::clone(&self.stop), Arc::clone(&self.count));
        let (failures, pause) = (Arc::clone(&self.failures), self.pause);
        let thread = std::thread::spawn(move || {
            let mut operation = client();
            let mut took_ms = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                if let Err(failure) = operation() {
                    failures.lock().expect("nobody panics with it").push(format!("{what}: {failure}"));
                    break;
                }
                took_ms.push(start.elapsed().as_secs_f64() * 1000.0);
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(pause);
            }
            took_ms
        });
        self.threads.push((what, thread));
    }

    /// Operations that succeeded so far.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until so many succeeded, or one failed.
    pub fn wait_for(&self, count: usize) {
        while self.count() < count && self.failures.lock().expect("nobody panics with it").is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn stop(self) -> Figures {
        self.stop.store(true, Ordering::Relaxed);
        let (mut all, mut heartbeats) = (Vec::new(), Vec::new());
        for (what, thread) in self.threads {
            let took_ms = thread.join().expect("a client does not panic");
            if what == HEARTBEATS {
                heartbeats.extend(&took_ms);
            }
            all.extend(took_ms);
        }
        all.sort_by(f64::total_cmp);
        heartbeats.sort_by(f64::total_cmp);
        Figures {
            all,
            heartbeats,
            failures: std::mem::take(&mut self.failures.lock().expect("nobody panics with it")),
        }
    }
}

/// Joins a group of its own; what it says from then on.
fn member(client: &mut Kafka) -> Result<HeartbeatRequest, String> {
    let join = JoinGroupRequest {
        group_id: "honest".into(),
        session_timeout_ms: SESSION_TIMEOUT_MS,
        rebalance_timeout_ms: SESSION_TIMEOUT_MS,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::new() }],
        ..Default::default()
    };
    // In this version a member needs no id to join.
    let joined = client.call(&join, 3)?;
    let sync = SyncGroupRequest {
        group_id: "honest".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..Default::default()
    };
    let synced = client.call(&sync, 3)?;
    if joined.error_code != 0 || synced.error_code != 0 {
        return Err(format!("joining: errors {} and {}", joined.error_code, synced.error_code));
    }
    Ok(HeartbeatRequest {
        group_id: "honest".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id,
        ..Default::default()
    })
}
