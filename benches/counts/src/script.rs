//! The fixed scripts: what is sent, over and over.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kolk_wire_kafka::Records;
use kolk_wire_kafka::codec::Request;
use kolk_wire_kafka::frame::{self, RequestHeader};
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use kolk_wire_kafka::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kolk_wire_kafka::records::{BatchBuilder, Compression};

use crate::Counter;

/// What is written to and read over Kafka's protocol.
pub const TOPIC: &str = "counted";
/// What is read of many partitions at once, over Kafka's protocol.
pub const SPREAD: &str = "spread";
/// Partitions of [`TOPIC`] and [`SPREAD`].
pub const PARTITIONS: i32 = 100;
/// What is written to over Kinesis.
pub const STREAM: &str = "written";
/// What is read over Kinesis.
pub const READ_STREAM: &str = "read";

/// Which face of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// Kafka's protocol.
    Kafka,
    /// Kinesis in JSON over HTTP/1.1.
    Kinesis,
}

/// Bytes to send together, and how many answers they get.
pub struct Exchange {
    /// To whom.
    pub face: Face,
    /// Whole requests.
    pub request: Bytes,
    /// Their number.
    pub answers: usize,
}

/// Something that clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Produce, one record of 100 bytes.
    ProduceOne,
    /// 32 such requests at once, to one partition.
    ProduceWindow,
    /// 32 such requests at once, to as many partitions.
    ProduceWindowSpread,
    /// Produce, one batch of 900 records of 1 KiB.
    ProduceBatch,
    /// Fetch that batch, which the log still has in memory.
    FetchMemory,
    /// Fetch such a batch from a file.
    FetchFile,
    /// Fetch 100 batches of one record, which were written one by one, from a file.
    FetchSmall,
    /// Fetch 1,000 batches of 1 KiB, ten of each partition, which were written in turns, from a file.
    FetchSpread,
    /// PutRecord, 1 KiB.
    PutRecord,
    /// PutRecords, 500 records of 1 KiB.
    PutRecords,
    /// GetRecords, a page of 1,000 records of 1 KiB.
    GetRecords,
}

impl Script {
    /// All of them.
    pub const ALL: [Script; 11] = [
        Script::ProduceOne,
        Script::ProduceWindow,
        Script::ProduceWindowSpread,
        Script::ProduceBatch,
        Script::FetchMemory,
        Script::FetchFile,
        Script::FetchSmall,
        Script::FetchSpread,
        Script::PutRecord,
        Script::PutRecords,
        Script::GetRecords,
    ];

    /// Requests of one round.
    pub fn requests(self) -> usize {
        if matches!(self, Script::ProduceWindow | Script::ProduceWindowSpread) { WINDOW } else { 1 }
    }

    /// True if its answers say that something is durable.
    pub fn is_write(self) -> bool {
        !matches!(
            self,
            Script::FetchMemory
                | Script::FetchFile
                | Script::FetchSmall
                | Script::FetchSpread
                | Script::GetRecords
        )
    }

    /// Rounds that are counted: fewer of what costs much.
    pub fn rounds(self) -> usize {
        match self {
            Script::PutRecords | Script::GetRecords => 4,
            Script::ProduceBatch => 10,
            _ => 40,
        }
    }

    /// Its name, as [`std::fmt::Debug`] has it.
    pub fn named(name: &str) -> Option<Script> {
        Script::ALL.into_iter().find(|script| format!("{script:?}") == name)
    }

    /// Gives the server what the script needs there; what is then to be sent.
    pub(crate) async fn prepare(self, counter: &mut Counter) -> Exchange {
        let kafka = |requests: Vec<Bytes>| Exchange {
            face: Face::Kafka,
            answers: requests.len(),
            request: requests.concat().into(),
        };
        let one = |partition| produce(TOPIC, partition, batch(1, 100));
        match self {
            Script::ProduceOne => kafka(vec![one(0)]),
            Script::ProduceWindow => kafka(vec![one(0); WINDOW]),
            Script::ProduceWindowSpread => {
                kafka((0..WINDOW as i32).map(|number| one(number * 3 % PARTITIONS)).collect())
            }
            Script::ProduceBatch => kafka(vec![produce(TOPIC, 1, batch(BATCH, 1024))]),
            Script::FetchMemory => {
                counter.exchange(&kafka(vec![produce(TOPIC, 2, batch(BATCH, 1024))])).await;
                kafka(vec![fetch(TOPIC, 2..3)])
            }
            Script::FetchFile => {
                counter.exchange(&kafka(vec![produce(TOPIC, 4, batch(BATCH, 1024))])).await;
                self.leave_memory(counter).await;
                kafka(vec![fetch(TOPIC, 4..5)])
            }
            Script::FetchSmall => {
                counter.rounds(&kafka(vec![produce(TOPIC, 5, batch(1, 100))]), 100).await;
                self.leave_memory(counter).await;
                kafka(vec![fetch(TOPIC, 5..6)])
            }
            Script::FetchSpread => {
                let all = |from: i32| {
                    kafka((from..from + 50).map(|at| produce(SPREAD, at, batch(1, 1024))).collect())
                };
                for _ in 0..10 {
                    counter.exchange(&all(0)).await;
                    counter.exchange(&all(50)).await;
                }
                self.leave_memory(counter).await;
                kafka(vec![fetch(SPREAD, 0..PARTITIONS)])
            }
            Script::PutRecord => {
                let data = STANDARD.encode(noise(1024));
                kinesis(
                    "PutRecord",
                    &format!(r#"{{"StreamName":"{STREAM}","PartitionKey":"key","Data":"{data}"}}"#),
                )
            }
            Script::PutRecords => put_records(STREAM, 500),
            Script::GetRecords => {
                let write = put_records(READ_STREAM, 500);
                counter.rounds(&write, 2).await;
                let body = format!(
                    r#"{{"StreamName":"{READ_STREAM}","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}}"#
                );
                let answer = counter.exchange(&kinesis("GetShardIterator", &body)).await;
                let answer = String::from_utf8_lossy(answer);
                let iterator =
                    answer.split("\"ShardIterator\":\"").nth(1).unwrap().split('"').next().unwrap();
                kinesis("GetRecords", &format!(r#"{{"ShardIterator":"{iterator}","Limit":1000}}"#))
            }
        }
    }
}

impl Script {
    /// Writes so much that what was written before is only in files.
    async fn leave_memory(self, counter: &mut Counter) {
        let (request, answers) = (produce(TOPIC, 1, batch(BATCH, 1024)), 1);
        let times = 2 * crate::TAIL_CACHE_BYTES / request.len();
        counter.rounds(&Exchange { face: Face::Kafka, request, answers }, times).await;
    }
}

/// Requests that are sent together.
const WINDOW: usize = 32;
/// Records of the large batch.
const BATCH: usize = 900;

/// Bytes without a pattern, the same each time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

fn batch(records: usize, size: usize) -> Bytes {
    let (mut builder, value) = (BatchBuilder::new(Compression::None), noise(size));
    for _ in 0..records {
        builder.append(1_700_000_000_000, Some(b"k"), Some(&value), &[]);
    }
    builder.build().unwrap()
}

fn framed<R: Request>(version: i16, request: &R) -> Bytes {
    let header = RequestHeader {
        api_key: R::KEY.key(),
        api_version: version,
        correlation_id: 1,
        client_id: Some("counts".into()),
    };
    frame::encode_request(&header, request).unwrap().to_bytes().unwrap()
}

fn produce(topic: &str, index: i32, records: Bytes) -> Bytes {
    let data = PartitionProduceData { index, records: Some(Records::Bytes(records)) };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    framed(9, &ProduceRequest { acks: -1, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() })
}

fn fetch(topic: &str, partitions: Range<i32>) -> Bytes {
    let partitions = partitions.map(|partition| FetchPartition {
        partition,
        fetch_offset: 0,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    });
    let topic = FetchTopic { topic: topic.into(), partitions: partitions.collect(), ..Default::default() };
    let request =
        FetchRequest { max_bytes: 10 << 20, session_epoch: -1, topics: vec![topic], ..Default::default() };
    framed(11, &request)
}

fn put_records(stream: &str, count: usize) -> Exchange {
    let data = STANDARD.encode(noise(1024));
    let record = |number| format!(r#"{{"PartitionKey":"key-{number}","Data":"{data}"}}"#);
    let records: Vec<_> = (0..count).map(record).collect();
    kinesis("PutRecords", &format!(r#"{{"StreamName":"{stream}","Records":[{}]}}"#, records.join(",")))
}

/// A request with a well-formed signature, which a server without credentials does not check.
fn kinesis(operation: &str, body: &str) -> Exchange {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: Kinesis_20131202.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/kinesis/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={}\r\nContent-Length: {}\r\n\r\n{body}",
        "0".repeat(64),
        body.len()
    );
    Exchange { face: Face::Kinesis, request: request.into(), answers: 1 }
}

/// Whether an HTTP/1.1 answer is here to its end.
pub(crate) fn is_whole(input: &[u8]) -> bool {
    let find = |mark: &[u8]| input.windows(mark.len()).position(|part| part == mark);
    let Some(head) = find(b"\r\n\r\n") else { return false };
    let length = input[..head].split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(LENGTH.len())?;
        name.eq_ignore_ascii_case(LENGTH)
            .then(|| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => input.len() >= head + 4 + length,
        None => input.ends_with(b"\r\n0\r\n\r\n"),
    }
}

const LENGTH: &[u8] = b"content-length:";
