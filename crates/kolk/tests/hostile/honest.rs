//! The well-behaved clients: one produces and reads back over Kafka, one asks small questions (as heartbeats are), one
//! puts over Kinesis. Each waits for its answer before it goes on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kolk_wire_kafka::messages::api_versions::ApiVersionsRequest;
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};

use crate::http::Http;
use crate::kafka::{Kafka, produce_request};
use crate::server::Server;

/// An operation that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Honest {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<Vec<f64>>>,
}

pub struct Figures {
    pub count: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub most_ms: f64,
    pub failures: Vec<String>,
}

impl Honest {
    pub fn start(server: &Server) -> Honest {
        let mut honest = Honest {
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
        honest.thread("small questions", move || {
            let mut client = Kafka::connect(kafka, PATIENCE);
            move || {
                let answer = client.call(&ApiVersionsRequest::default(), 0)?;
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
        let failures = Arc::clone(&self.failures);
        self.threads.push(std::thread::spawn(move || {
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
                std::thread::sleep(Duration::from_millis(5));
            }
            took_ms
        }));
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
        let mut all: Vec<f64> = Vec::new();
        for thread in self.threads {
            all.extend(thread.join().expect("a client does not panic"));
        }
        all.sort_by(f64::total_cmp);
        let at =
            |share: f64| all.get(((all.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(f64::NAN);
        Figures {
            count: all.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            most_ms: at(1.0),
            failures: std::mem::take(&mut self.failures.lock().expect("nobody panics with it")),
        }
    }
}
