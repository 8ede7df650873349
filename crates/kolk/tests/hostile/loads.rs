//! Honest clients that are too many: at the memory limit they are slowed, and each gets its answer.

use std::io::Write;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Scale;
use crate::http::Http;
use crate::kafka::{Kafka, MIB, encoded, fetch_request, fill, produce_of, produce_request};
use crate::server::Server;
use bytes::Bytes;
use kolk_wire_kafka::records::{BatchBuilder, Compression};

const PATIENCE: Duration = Duration::from_secs(60);
/// The largest request that a broker takes unless it is told otherwise (`socket.request.max.bytes`).
const REQUEST_BYTES_MAX: usize = 104_857_600;

/// Requests so far that the server let wait for memory.
pub fn waited(server: &Server) -> u64 {
    server.metric("kolk_memory_waits_total")
}

fn joined(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("every request is answered");
    }
}

/// Producers that send ahead, more than there is room for.
fn producers(server: &Server, count: usize, each: usize) -> Vec<JoinHandle<()>> {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    client.create_topic("produced", 8, &[("retention.bytes", "1000000")]);
    (0..count)
        .map(|number| {
            let kafka = server.kafka;
            std::thread::spawn(move || {
                let mut reader = Kafka::connect(kafka, PATIENCE);
                let mut writer = reader.stream.try_clone().expect("a handle");
                let frame =
                    encoded(&produce_request("produced", number as i32 % 8, &vec![b'x'; 1_000_000]), 9);
                let write = std::thread::spawn(move || {
                    for _ in 0..each {
                        writer.write_all(&frame).expect("the server reads on");
                    }
                });
                for _ in 0..each {
                    assert_eq!(reader.produced().expect("every batch is answered").error_code, 0);
                }
                write.join().expect("the writer does not panic");
            })
        })
        .collect()
}

/// Readers of all of a topic in answers of up to 50 MiB.
fn readers(server: &Server, count: usize, mib: usize) -> Vec<JoinHandle<()>> {
    fill(server, "full", mib);
    (0..count)
        .map(|_| {
            let kafka = server.kafka;
            std::thread::spawn(move || {
                let mut client = Kafka::connect(kafka, PATIENCE);
                let mut bytes = 0;
                let mut request = fetch_request("full", 50 * MIB, 1000);
                while bytes < mib * 1_000_000 {
                    let answer = client.call(&request, 11).expect("every fetch is answered");
                    let records = answer.responses[0].partitions[0].records.as_ref().map_or(0, |it| it.len());
                    assert!(records >= 1_000_000, "{records} bytes came");
                    bytes += records;
                    // A record has a million bytes, and a batch one record.
                    request.topics[0].partitions[0].fetch_offset += records as i64 / 1_000_000;
                }
            })
        })
        .collect()
}

/// Clients that put lists of 4 MB.
fn putters(server: &Server, count: usize, each: usize) -> Vec<JoinHandle<()>> {
    let record = format!(r#"{{"PartitionKey":"k","Data":"{}"}}"#, "QUFB".repeat(250_000));
    let body = format!(r#"{{"StreamName":"honest","Records":[{}]}}"#, [&*record; 4].join(","));
    (0..count)
        .map(|_| {
            let (kinesis, body) = (server.kinesis, body.clone());
            std::thread::spawn(move || {
                let mut client = Http::connect(kinesis, PATIENCE);
                for _ in 0..each {
                    let (status, answer) = client.call("PutRecords", body.as_bytes()).expect("an answer");
                    let answer = String::from_utf8_lossy(&answer);
                    assert!(
                        status == 200 && answer.contains(r#""FailedRecordCount":0"#),
                        "{status}: {answer}"
                    );
                }
            })
        })
        .collect()
}

/// Runs a load until it met the limit: a server that is fast enough lets all of it through before it comes together.
fn until_some_wait(server: &Server, load: impl Fn() -> Vec<JoinHandle<()>>) {
    for _ in 0..10 {
        joined(load());
        if waited(server) > 0 {
            return;
        }
    }
    panic!("that much had room at once, ten times");
}

pub fn produce(server: &Server, scale: Scale) -> String {
    let (count, each) = (scale.of(128, 32), scale.of(8, 3));
    until_some_wait(server, || producers(server, count, each));
    format!("{count} producers send {each} batches of 1 MB each, and wait for no answer between them")
}

pub fn fetch(server: &Server, scale: Scale) -> String {
    let (count, mib) = (scale.of(32, 8), scale.of(120, 24));
    joined(readers(server, count, mib));
    format!("{count} readers fetch all of {mib} MB, 50 MiB at a time")
}

pub fn put_records(server: &Server, scale: Scale) -> String {
    let (count, each) = (scale.of(32, 10), scale.of(4, 1));
    until_some_wait(server, || putters(server, count, each));
    format!("{count} clients put {} lists of 4 MB over Kinesis", count * each)
}

pub fn what_must_fit(server: &Server, scale: Scale) -> String {
    let mib = scale.of(60, 12);
    fill(server, "full", mib);
    let bytes = scale.of(50, 10) * MIB;
    let threads: Vec<_> = (0..5)
        .map(|_| {
            let kafka = server.kafka;
            std::thread::spawn(move || {
                let mut client = Kafka::connect(kafka, PATIENCE);
                let answer = client.call(&fetch_request("full", bytes, 1000), 11).expect("it fits");
                let partition = &answer.responses[0].partitions[0];
                partition.records.as_ref().map_or(0, |records| records.len())
            })
        })
        .collect();
    let least = threads.into_iter().map(|thread| thread.join().expect("it fits")).min().expect("five");
    assert!(least >= MIB / 2, "a fetch of {bytes} gave {least} bytes");
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    client.create_topic("large", 1, &[("max.message.bytes", "104857600")]);
    let large = scale.of(REQUEST_BYTES_MAX, 40 * MIB);
    let of = |value: usize| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(crate::kafka::now_ms(), Some(b"key"), Some(&vec![b'x'; value]), &[]);
        encoded(&produce_of("large", 0, builder.build().expect("a batch")), 9)
    };
    // The lengths of lengths are the same for both.
    let beside = of(large - 1000).len() - (large - 1000);
    let frame: Bytes = of(large + 4 - beside);
    assert_eq!(frame.len(), large + 4, "a frame of that size, and its length");
    client.stream.write_all(&frame).expect("it is taken");
    assert_eq!(client.produced().expect("a request of 100 MiB fits").error_code, 0);
    format!(
        "5 fetches of {} MiB at once, the least answer {} MiB; a request of {large} bytes",
        bytes / MIB,
        least / MIB
    )
}

pub fn everything(server: &Server, scale: Scale) -> String {
    let mib = scale.of(120, 24);
    let mut threads = readers(server, scale.of(16, 4), mib);
    threads.extend(producers(server, scale.of(96, 24), scale.of(6, 2)));
    threads.extend(putters(server, scale.of(16, 6), scale.of(4, 1)));
    let count = threads.len();
    joined(threads);
    assert!(waited(server) > 0, "that much had room at once");
    format!("readers, producers and clients of Kinesis as above, {count} at once")
}
