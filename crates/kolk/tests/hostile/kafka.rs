//! Attacks on the Kafka port, over a client that sends whatever it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kolk_wire_kafka::Records;
use kolk_wire_kafka::codec::{Message, Request};
use kolk_wire_kafka::frame::{self, RequestHeader};
use kolk_wire_kafka::messages::api_versions::ApiVersionsRequest;
use kolk_wire_kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use kolk_wire_kafka::messages::find_coordinator::FindCoordinatorRequest;
use kolk_wire_kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use kolk_wire_kafka::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kolk_wire_kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use kolk_wire_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kolk_wire_kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kolk_wire_kafka::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use kolk_wire_kafka::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use kolk_wire_kafka::records::{BatchBuilder, Compression};

use crate::Scale;
use crate::http::Http;
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(60);
pub const MIB: usize = 1 << 20;
/// Less than a broker takes a timestamp to be ahead of its clock.
const LATE_MS: i64 = 1_800_000;

/// A connection that waits for each answer, or does not.
pub struct Kafka {
    pub stream: TcpStream,
}

impl Kafka {
    pub fn connect(address: SocketAddr, patience: Duration) -> Kafka {
        let stream = TcpStream::connect(address).expect("the port takes connections");
        stream.set_read_timeout(Some(patience)).expect("a limit can be set");
        stream.set_write_timeout(Some(patience)).expect("a limit can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Kafka { stream }
    }

    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, String> {
        self.stream.write_all(&encoded(request, version)).map_err(|error| format!("sending: {error}"))?;
        self.answer_to::<R>(version)
    }

    /// The next answer, to a request of that kind.
    fn answer_to<R: Request>(&mut self, version: i16) -> Result<R::Response, String> {
        let frame = self.answer()?;
        let (_, body) = frame::decode_response_header(frame, R::KEY, version)
            .map_err(|error| format!("an answer's header: {error}"))?;
        R::Response::decode(body, version).map_err(|error| format!("an answer: {error}"))
    }

    /// The next answer's bytes.
    pub fn answer(&mut self) -> Result<Bytes, String> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).map_err(|error| format!("waiting for an answer: {error}"))?;
        let mut frame = vec![0; i32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut frame).map_err(|error| format!("reading an answer: {error}"))?;
        Ok(frame.into())
    }

    /// What the next answer says about the partition that was produced to.
    pub fn produced(&mut self) -> Result<PartitionProduceResponse, String> {
        let answer = self.answer_to::<ProduceRequest>(9)?;
        let topic = answer.responses.into_iter().next();
        let partition = topic.and_then(|topic| topic.partition_responses.into_iter().next());
        partition.ok_or_else(|| "a produce answer without its partition".to_owned())
    }

    /// Produces one batch; what the answer says of it.
    pub fn try_produce(&mut self, request: &ProduceRequest) -> Result<PartitionProduceResponse, String> {
        self.stream.write_all(&encoded(request, 9)).map_err(|error| format!("sending: {error}"))?;
        self.produced()
    }

    /// Produces one batch; its first offset.
    pub fn produce(&mut self, request: &ProduceRequest) -> Result<i64, String> {
        let partition = self.try_produce(request)?;
        match partition.error_code {
            0 => Ok(partition.base_offset),
            code => Err(format!("produce: error {code}")),
        }
    }

    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.into(),
                num_partitions: partitions,
                replication_factor: 1,
                configs: configs
                    .iter()
                    .map(|(name, value)| CreatableTopicConfig {
                        name: (*name).into(),
                        value: Some((*value).into()),
                    })
                    .collect(),
                ..Default::default()
            }],
            timeout_ms: 30_000,
            ..Default::default()
        };
        let answer = self.call(&request, 5).expect("an honest topic");
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
    }

    /// Waits until the other side closes; false if it did not in time.
    fn is_closed(&mut self) -> bool {
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

pub fn encoded<R: Request>(request: &R, version: i16) -> Bytes {
    let header = RequestHeader {
        api_key: R::KEY.key(),
        api_version: version,
        correlation_id: 1,
        client_id: Some("hostile".into()),
    };
    frame::encode_request(&header, request).and_then(|frame| frame.to_bytes()).expect("a request of ours")
}

pub fn produce_of(topic: &str, partition: i32, records: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(Records::Bytes(records)),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn produce_request(topic: &str, partition: i32, value: &[u8]) -> ProduceRequest {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(now_ms(), Some(b"key"), Some(value), &[]);
    produce_of(topic, partition, builder.build().expect("a small batch"))
}

pub fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("it is after 1970").as_millis() as i64
}

pub fn fetch_request(topic: &str, bytes: usize, wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: bytes as i32,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: vec![FetchPartition {
                partition: 0,
                partition_max_bytes: bytes as i32,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Waits until what is looked at comes down to `goal`.
fn comes_down(goal: usize, look: impl Fn() -> usize) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while look() > goal {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

pub fn lengths(server: &Server, scale: Scale) -> String {
    let rounds = scale.of(500, 20);
    let mut closed = 0;
    let sizes = [i32::MAX, -1, i32::MIN, 0, 7, 104_857_601];
    for _ in 0..rounds {
        for size in sizes {
            let mut client = Kafka::connect(server.kafka, PATIENCE);
            let _ = client.stream.write_all(&size.to_be_bytes());
            let _ = client.stream.write_all(&[0; 8]);
            assert!(client.is_closed(), "a frame of {size} bytes closes its connection");
            closed += 1;
        }
    }
    format!("{closed} frames of impossible sizes, each closed")
}

pub fn tiny_requests(server: &Server, scale: Scale) -> String {
    let connections = 4;
    let each = scale.of(250_000, 5_000);
    let request = encoded(&ApiVersionsRequest::default(), 0);
    let many: Vec<u8> = request.repeat(1000);
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let mut reader = Kafka::connect(server.kafka, PATIENCE);
            let mut writer = reader.stream.try_clone().expect("a handle");
            let many = many.clone();
            let write = std::thread::spawn(move || {
                for _ in 0..each / 1000 {
                    writer.write_all(&many).expect("the server reads on");
                }
            });
            std::thread::spawn(move || {
                for _ in 0..each {
                    reader.answer().expect("every request is answered");
                }
                write.join().expect("the writer does not panic");
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every request is answered");
    }
    format!("{} requests of {} bytes, pipelined", connections * each, request.len())
}

/// A batch of `records` records of a MiB of zeros each, packed to nearly nothing; with `keys`, or without.
fn bomb(codec: Compression, records: usize, keys: bool) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    let zeros = vec![0; MIB];
    for number in 1..=records {
        // The last one is of the future: who looks for that has to go through all of them.
        let timestamp = now_ms() + if number == records { LATE_MS } else { 0 };
        builder.append(timestamp, keys.then_some(&b"k"[..]), Some(&zeros), &[]);
    }
    builder.build().expect("zeros can be packed")
}

pub fn bombs(server: &Server, scale: Scale) -> String {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let size = scale.of(60, 12);
    client.create_topic("bombs", 1, &[("max.message.bytes", "100000000")]);
    client.create_topic("compacted", 1, &[("cleanup.policy", "compact"), ("max.message.bytes", "100000000")]);
    for codec in codecs {
        let batch = bomb(codec, size, true);
        client.produce(&produce_of("bombs", 0, batch)).expect("a batch passes through as it is");
        // Nothing without a key comes into a compacted topic, and nothing is held to find that out.
        let refused = client.produce(&produce_of("compacted", 0, bomb(codec, size, false)));
        assert!(refused.is_err());
    }
    let (kafka, kinesis) = (server.kafka, server.kinesis);
    let readers = scale.of(24, 4);
    let threads: Vec<_> = (0..readers)
        .map(|number| {
            std::thread::spawn(move || match number % 2 {
                0 => {
                    let mut http = Http::connect(kinesis, PATIENCE);
                    let iterator = http.iterator("bombs");
                    let asked = format!(r#"{{"ShardIterator":"{iterator}"}}"#);
                    let (status, _) = http.call("GetRecords", asked.as_bytes()).expect("a page");
                    assert_eq!(status, 200);
                }
                _ => {
                    let mut client = Kafka::connect(kafka, PATIENCE);
                    let request = ListOffsetsRequest {
                        replica_id: -1,
                        topics: vec![ListOffsetsTopic {
                            name: "bombs".into(),
                            partitions: vec![ListOffsetsPartition {
                                partition_index: 0,
                                current_leader_epoch: -1,
                                timestamp: now_ms() + LATE_MS / 2,
                                ..Default::default()
                            }],
                        }],
                        ..Default::default()
                    };
                    client.call(&request, 5).expect("an answer");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a reader of bombs gets its answer");
    }
    format!("batches that unpack to {size} MiB in 4 codecs; {readers} readers by Kinesis and by time")
}

/// Batches that their topic keeps unpacked, a thousand times as large.
pub fn recompress(server: &Server, scale: Scale) -> String {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    let configs = [("compression.type", "uncompressed"), ("retention.bytes", "1000000")];
    client.create_topic("unpacked", 1, &configs);
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.append(now_ms(), Some(b"k"), Some(&vec![0; MIB - 1000]), &[]);
    let frame = encoded(&produce_of("unpacked", 0, builder.build().expect("zeros can be packed")), 9);
    let (connections, each) = (8, scale.of(128, 20));
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let (kafka, frames) = (server.kafka, frame.repeat(each));
            std::thread::spawn(move || {
                let mut client = Kafka::connect(kafka, PATIENCE);
                client.stream.write_all(&frames).expect("requests are taken");
                for _ in 0..each {
                    client.answer().expect("every batch is answered");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every batch is answered");
    }
    format!("{} pipelined batches of {} bytes that are 1 MiB unpacked", connections * each, frame.len())
}

pub fn lists(server: &Server, scale: Scale) -> String {
    let count = scale.connections(64, 8);
    // Metadata 9: a list of a million empty names, 1 byte each but for their tags.
    let elements = scale.of(1_000_000, 100_000);
    let header =
        [&3i16.to_be_bytes()[..], &9i16.to_be_bytes(), &1i32.to_be_bytes(), &(-1i16).to_be_bytes(), &[0]]
            .concat();
    let mut body = header;
    let mut number = elements as u32 + 1;
    while number >= 0x80 {
        body.push(number as u8 | 0x80);
        number >>= 7;
    }
    body.push(number as u8);
    body.extend(std::iter::repeat_n([1u8, 0], elements).flatten());
    body.extend_from_slice(&[0, 0, 0, 0]);
    let frame = [&(body.len() as i32).to_be_bytes()[..], &body].concat();
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (kafka, frame) = (server.kafka, frame.clone());
            std::thread::spawn(move || {
                let mut client = Kafka::connect(kafka, PATIENCE);
                // Closed or answered: both will do.
                if client.stream.write_all(&frame).is_ok() {
                    let _ = client.answer();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a client does not panic");
    }
    format!("{count} requests with a list of {elements} empty elements")
}

pub fn metadata_of_many(server: &Server, scale: Scale) -> String {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    let count = scale.of(100_000, 10_000);
    client.create_topic("wide", 1000, &[]);
    let names = |name: &dyn Fn(usize) -> String| {
        let named =
            (0..count).map(|n| MetadataRequestTopic { name: Some(name(n).into()), ..Default::default() });
        MetadataRequest {
            topics: Some(named.collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        }
    };
    let unknown = client.call(&names(&|n| format!("no-such-topic-{n:06}")), 9).expect("an answer");
    assert_eq!(unknown.topics.len(), count);
    let same = client.call(&names(&|_| "wide".to_owned()), 9).expect("an answer");
    assert_eq!(same.topics.len(), 1, "a topic is described once");
    format!("{count} unknown topics asked for at once, and one of 1000 partitions {count} times")
}

pub fn metadata_unread(server: &Server, scale: Scale) -> String {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    for topic in 0..scale.of(4, 2) {
        client.create_topic(&format!("wide-{topic}"), scale.of(5000, 2000) as i32, &[]);
    }
    let count = scale.connections(300, 60);
    let request = encoded(&MetadataRequest { topics: None, ..Default::default() }, 9).repeat(2);
    let clients: Vec<Kafka> = (0..count)
        .map(|_| {
            let mut client = Kafka::connect(server.kafka, PATIENCE);
            client.stream.write_all(&request).expect("requests are taken");
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(scale.of(5000, 500) as u64));
    drop(clients);
    format!("{count} clients ask for all topics twice and read no answer")
}

/// Fills a topic with so many MiB.
pub fn fill(server: &Server, topic: &str, mib: usize) {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    client.create_topic(topic, 1, &[]);
    let request = produce_request(topic, 0, &vec![b'x'; 1_000_000]);
    for _ in 0..mib {
        client.produce(&request).expect("a MiB is taken");
    }
}

pub fn fetch_unread(server: &Server, scale: Scale) -> String {
    let mib = scale.of(120, 24);
    fill(server, "full", mib);
    let count = scale.connections(1000, 60);
    let request = encoded(&fetch_request("full", 50 * MIB, 1000), 11).repeat(4);
    let clients: Vec<Kafka> = (0..count)
        .map(|_| {
            let mut client = Kafka::connect(server.kafka, PATIENCE);
            client.stream.write_all(&request).expect("requests are taken");
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(scale.of(10_000, 1000) as u64));
    drop(clients);
    format!("{count} clients fetch 50 MiB of {mib} MiB 4 times and read no answer")
}

/// Sends the same requests on many connections that read no answer.
fn unread(server: &Server, scale: Scale, connections: (usize, usize), requests: &[u8]) -> usize {
    let count = scale.connections(connections.0, connections.1);
    let clients: Vec<Kafka> = (0..count)
        .map(|_| {
            let mut client = Kafka::connect(server.kafka, PATIENCE);
            // What is not taken now is not sent.
            client.stream.set_nonblocking(true).expect("an option can be set");
            let _ = client.stream.write(requests);
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(scale.of(10_000, 2000) as u64));
    drop(clients);
    count
}

/// A group with one member, which has an assignment of so many bytes; and how it asks for that.
fn assigned(server: &Server, bytes: usize) -> (Kafka, SyncGroupRequest) {
    let mut member = Kafka::connect(server.kafka, PATIENCE);
    let join = JoinGroupRequest {
        group_id: "synced".into(),
        session_timeout_ms: 1_800_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::new() }],
        ..Default::default()
    };
    // In these versions a member needs no id to join.
    let joined = member.call(&join, 3).expect("the group forms");
    let mut sync = SyncGroupRequest {
        group_id: "synced".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: joined.member_id,
            assignment: vec![7; bytes].into(),
        }],
        ..Default::default()
    };
    let synced = member.call(&sync, 3).expect("the leader assigns");
    assert_eq!((synced.error_code, synced.assignment.len()), (0, bytes));
    sync.assignments.clear();
    (member, sync)
}

/// A member asks for its assignment again and again: a hundred bytes each time, and a MiB that goes out.
pub fn synced_unread(server: &Server, scale: Scale) -> String {
    let (_member, sync) = assigned(server, 1_000_000);
    let count = unread(server, scale, (1000, 250), &encoded(&sync, 3).repeat(8));
    format!("{count} clients ask 8 times for an assignment of 1 MB and read no answer")
}

/// Entries of a few bytes, each answered with why it is refused.
pub fn produce_unread(server: &Server, scale: Scale) -> String {
    let mut request = produce_of("honest", 0, Bytes::new());
    let entries = scale.of(90_000, 25_000);
    request.topic_data[0].partition_data =
        (0..entries).map(|index| PartitionProduceData { index: index as i32, records: None }).collect();
    let count = unread(server, scale, (200, 60), &encoded(&request, 9).repeat(6));
    format!("{count} clients produce {entries} batches of no bytes 6 times and read no answer")
}

/// The same over Fetch, of a topic that is not there.
pub fn fetch_errors_unread(server: &Server, scale: Scale) -> String {
    let mut request = fetch_request("no-such-topic", MIB, 0);
    let entries = scale.of(90_000, 15_000);
    request.topics[0].partitions = vec![FetchPartition::default(); entries];
    let count = unread(server, scale, (200, 150), &encoded(&request, 12).repeat(6));
    format!(
        "{count} clients fetch a partition that is not there {entries} times at once, 6 times, and read no answer"
    )
}

pub fn connections(server: &Server, scale: Scale) -> String {
    // A few are the honest clients'.
    let count = scale.connections(9_800, 1000);
    let mut clients: Vec<Kafka> = (0..count).map(|_| Kafka::connect(server.kafka, PATIENCE)).collect();
    for client in &mut clients {
        let answer = client.call(&ApiVersionsRequest::default(), 0).expect("each is served");
        assert_eq!(answer.error_code, 0);
    }
    std::thread::sleep(Duration::from_millis(500));
    format!("{count} connections, each asked something and stays")
}

/// Requests of the largest size that is not served alone, which then wait for others as long as they like.
pub fn parked(server: &Server, scale: Scale) -> String {
    // A quarter of what is there for requests.
    let size = scale.of(38, 9) * MIB;
    let join = JoinGroupRequest {
        group_id: "parked".into(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: i32::MAX,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::new() }],
        ..Default::default()
    };
    let members: Vec<_> = (0..5)
        .map(|_| {
            let (kafka, join) = (server.kafka, join.clone());
            std::thread::spawn(move || {
                let mut member = Kafka::connect(kafka, PATIENCE);
                // In this version a member needs no id to join.
                let joined = member.call(&join, 3).expect("the group forms");
                (member, joined)
            })
        })
        .collect();
    let members: Vec<_> = members.into_iter().map(|thread| thread.join().expect("it joins")).collect();
    let mut parked = Vec::new();
    for (mut member, joined) in members {
        if joined.member_id != joined.leader {
            let sync = SyncGroupRequest {
                group_id: "parked".into(),
                generation_id: joined.generation_id,
                member_id: joined.member_id,
                ..Default::default()
            };
            member.stream.write_all(&padded(&encoded(&sync, 3), size)).expect("requests are taken");
        }
        parked.push(member);
    }
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    client.create_topic("quiet", 1, &[]);
    let poll = padded(&encoded(&fetch_request("quiet", MIB, i32::MAX), 11), size);
    for _ in 0..8 {
        let mut fetcher = Kafka::connect(server.kafka, PATIENCE);
        fetcher.stream.write_all(&poll).expect("requests are taken");
        parked.push(fetcher);
    }
    std::thread::sleep(Duration::from_millis(500));
    // More than would be left beside three of them.
    client.create_topic("large", 1, &[("max.message.bytes", "100000000")]);
    let value = vec![b'x'; 2 * size];
    client.produce(&produce_request("large", 0, &value)).expect("what waits holds up nobody");
    format!("a group and 8 long polls, {} requests of {} MiB, wait 24 days", 4 + 8, size / MIB)
}

/// Commits offsets of a topic for a group of the same name, with notes of so many bytes.
pub fn commit(client: &mut Kafka, name: &str, partitions: Range<i32>, note_bytes: impl Fn(i32) -> usize) {
    let offsets = OffsetCommitRequest {
        group_id: name.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: name.into(),
            partitions: partitions
                .map(|partition_index| OffsetCommitRequestPartition {
                    partition_index,
                    committed_metadata: Some("m".repeat(note_bytes(partition_index)).into()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = client.call(&offsets, 8).expect("an answer");
    assert!(answer.topics[0].partitions.iter().all(|partition| partition.error_code == 0));
}

/// Asks for all that a group has committed.
pub fn committed(group: &str) -> OffsetFetchRequest {
    let group = OffsetFetchRequestGroup { group_id: group.into(), topics: None, ..Default::default() };
    OffsetFetchRequest { groups: vec![group], ..Default::default() }
}

/// Requests of a few bytes an entry, each entry answered with far more.
pub fn answers(server: &Server, scale: Scale) -> String {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    client.create_topic("answers", 1000, &[]);
    commit(&mut client, "answers", 0..1000, |partition| if partition == 0 { 4096 } else { 0 });
    let (topics, groups, indexes) =
        (scale.of(2000, 200), scale.of(100_000, 5_000), scale.of(200_000, 40_000));
    let tried = CreateTopicsRequest {
        topics: (0..topics)
            .map(|number| CreatableTopic {
                name: format!("tried-{number}").into(),
                num_partitions: 10_000,
                replication_factor: 1,
                ..Default::default()
            })
            .collect(),
        timeout_ms: 30_000,
        validate_only: true,
    };
    let mut all = committed("answers");
    all.groups = vec![all.groups[0].clone(); groups];
    let topic = OffsetFetchRequestTopics {
        name: "answers".into(),
        partition_indexes: vec![0; indexes],
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "answers".into(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let one = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    let keys = FindCoordinatorRequest {
        coordinator_keys: vec!["".into(); scale.of(200_000, 50_000)],
        ..Default::default()
    };
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let frame = match number {
                0 => encoded(&tried, 7),
                1 => encoded(&all, 8),
                2 => encoded(&one, 8),
                _ => encoded(&keys, 4),
            };
            let kafka = server.kafka;
            std::thread::spawn(move || {
                let mut client = Kafka::connect(kafka, PATIENCE);
                client.stream.write_all(&frame).expect("requests are taken");
                client.answer().expect("an answer");
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("what can be answered is");
    }
    format!(
        "{topics} topics of 10000 partitions tried, a group named {groups} times, a partition {indexes} times"
    )
}

/// A request with bytes behind it that are received and ignored.
fn padded(frame: &[u8], size: usize) -> Vec<u8> {
    let mut padded = frame.to_vec();
    padded.resize(size, 0);
    padded[..4].copy_from_slice(&(size as i32 - 4).to_be_bytes());
    padded
}

pub fn long_polls(server: &Server, scale: Scale) -> String {
    let mut client = Kafka::connect(server.kafka, PATIENCE);
    client.create_topic("quiet", 1, &[]);
    let before = server.handles();
    let count = scale.connections(9_800, 1000);
    let request = encoded(&fetch_request("quiet", MIB, 600_000), 11);
    let clients: Vec<Kafka> = (0..count)
        .map(|_| {
            let mut client = Kafka::connect(server.kafka, PATIENCE);
            client.stream.write_all(&request).expect("requests are taken");
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    drop(clients);
    assert!(
        comes_down(before + 20, || server.handles()),
        "connections whose client hung up stay open: {} handles, {before} before",
        server.handles()
    );
    format!("{count} fetches that wait 10 minutes, then all hang up")
}
