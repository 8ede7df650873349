//! Records in and out: Produce, Fetch, ListOffsets, OffsetForLeaderEpoch, DeleteRecords, InitProducerId.

use bytes::{BufMut, Bytes, BytesMut};
use kolk_wire_kafka::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use kolk_wire_kafka::messages::init_producer_id::InitProducerIdRequest;
use kolk_wire_kafka::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kolk_wire_kafka::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kolk_wire_kafka::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use kolk_wire_kafka::records::{BatchBuilder, Compression, TimestampType, crc::crc32c};
use kolk_wire_kafka::{ErrorCode, Records};
use uuid::Uuid;

use crate::asker::Asker;

const AT: i64 = 1_700_000_000_000;
const NO_SUCH_ID: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);

pub async fn ask(asker: &mut Asker) {
    for (name, configs) in [
        ("rec", &[][..]),
        ("compact", &[("cleanup.policy", "compact")]),
        ("both", &[("cleanup.policy", "compact,delete")]),
        ("appended", &[("message.timestamp.type", "LogAppendTime")]),
        (
            "strict-time",
            &[("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "1000")],
        ),
        ("small", &[("max.message.bytes", "200")]),
    ] {
        asker.create_topic(name, 2, configs).await;
    }
    produce(asker).await;
    producers(asker).await;
    recompressed(asker).await;
    list_offsets(asker).await;
    leader_epochs(asker).await;
    fetch(asker).await;
    delete_records(asker).await;
}

fn batch(build: impl FnOnce(&mut BatchBuilder)) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    build(&mut builder);
    if builder.count() == 0 {
        builder.append(AT, Some(b"k"), Some(b"v"), &[]);
    }
    builder.build().unwrap()
}

fn plain() -> Bytes {
    batch(|_| ())
}

/// A batch with its bytes changed and its checksum put right.
fn changed(change: impl FnOnce(&mut [u8])) -> Bytes {
    const CRC_AT: usize = 17;
    let mut bytes = plain().to_vec();
    change(&mut bytes);
    let crc = crc32c(&bytes[CRC_AT + 4..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn request(topic: &str, partition: i32, records: Option<Bytes>) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: records.map(Records::Bytes),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Leaves of a Produce's answer whether it worked, and why not. A duplicate's append time and the log start beside an error
/// are not compared, nor are offsets: one broker may have taken what the other refused before.
fn outcome(answer: &mut ProduceResponse) {
    for partition in answer.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
        partition.base_offset = partition.base_offset.min(0);
        partition.log_start_offset = partition.log_start_offset.min(0);
        if partition.error_code != 0 {
            partition.log_start_offset = -1;
        }
        // Records in batches that are not unpacked cannot be told apart.
        if ErrorCode::from_code(partition.error_code) == Some(ErrorCode::InvalidTimestamp) {
            partition.record_errors.clear();
        }
        for error in &mut partition.record_errors {
            error.batch_index_error_message = None;
        }
    }
}

async fn produce(asker: &mut Asker) {
    for version in 0..=12 {
        asker.ask_and_even("a batch", version, &request("rec", 0, Some(plain())), outcome).await;
    }
    for version in [3, 7, 8, 9, 12] {
        asker.ask_and_even("null records", version, &request("rec", 0, None), outcome).await;
        asker.ask_and_even("empty records", version, &request("rec", 0, Some(Bytes::new())), outcome).await;
        asker
            .ask_and_even(
                "nothing",
                version,
                &ProduceRequest { acks: -1, timeout_ms: 10, ..Default::default() },
                outcome,
            )
            .await;
        asker.ask_and_even("an unknown topic", version, &request("none", 0, Some(plain())), outcome).await;
        asker.ask_and_even("an unknown partition", version, &request("rec", 9, Some(plain())), outcome).await;
        asker.ask_and_even("a partition below 0", version, &request("rec", -1, Some(plain())), outcome).await;
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let records = batch(|builder| builder.compression = codec);
            asker
                .ask_and_even(&format!("{codec:?}"), version, &request("rec", 0, Some(records)), outcome)
                .await;
        }
        let mut refused = request("rec", 0, Some(plain()));
        refused.acks = 2;
        asker.ask_and_even("acks 2", version, &refused, outcome).await;
        refused.acks = -2;
        asker.ask_and_even("acks -2", version, &refused, outcome).await;
        refused.acks = 1;
        asker.ask_and_even("acks 1", version, &refused, outcome).await;
    }
    let id = asker.topic_id("rec").await;
    for (what, topic_id) in [("a batch", id), ("an unknown id", NO_SUCH_ID), ("no id", Uuid::nil())] {
        let mut by_id = request("", 0, Some(plain()));
        by_id.topic_data[0].topic_id = topic_id;
        asker.ask_and_even(what, 13, &by_id, outcome).await;
        by_id.topic_data[0].partition_data[0].index = 9;
        asker.ask_and_even(&format!("{what}, an unknown partition"), 13, &by_id, outcome).await;
    }
    let mut twice = request("rec", 1, Some(plain()));
    twice.topic_data.push(twice.topic_data[0].clone());
    asker.ask_and_even("a topic twice", 9, &twice, outcome).await;
    let mut twice = request("rec", 1, Some(plain()));
    let again = twice.topic_data[0].partition_data[0].clone();
    twice.topic_data[0].partition_data.push(again);
    asker.ask_and_even("a partition twice", 9, &twice, outcome).await;
    let two = BytesMut::from_iter([plain(), plain()].concat()).freeze();
    let mut cut = BytesMut::from(&plain()[..]);
    cut.truncate(50);
    let mut trailing = BytesMut::from(&plain()[..]);
    trailing.put_slice(b"more");
    let cases = [
        ("two batches", two),
        ("a cut batch", cut.freeze()),
        ("bytes behind a batch", trailing.freeze()),
        ("12 bytes", Bytes::from_static(&[0; 12])),
        ("a wrong checksum", {
            let mut bytes = plain().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            bytes.into()
        }),
        ("a length too long", changed(|bytes| bytes[11] += 1)),
        ("a length too short", changed(|bytes| bytes[11] -= 1)),
        ("a length of 0", changed(|bytes| bytes[8..12].fill(0))),
        ("a length below 0", changed(|bytes| bytes[8..12].fill(0xff))),
        ("magic 3", changed(|bytes| bytes[16] = 3)),
        ("magic 1", changed(|bytes| bytes[16] = 1)),
        ("an unknown codec", changed(|bytes| bytes[22] = 5)),
        ("an attribute that is not known", changed(|bytes| bytes[21] = 1)),
        ("a count of 0", changed(|bytes| bytes[57..61].fill(0))),
        ("a count below 0", changed(|bytes| bytes[57..61].fill(0xff))),
        ("a count too large", changed(|bytes| bytes[60] = 2)),
        ("a last offset delta too large", changed(|bytes| bytes[26] = 5)),
        ("a base offset", changed(|bytes| bytes[7] = 9)),
        ("a leader epoch", changed(|bytes| bytes[15] = 9)),
        ("a max timestamp of -1", changed(|bytes| bytes[35..43].fill(0xff))),
        ("a max timestamp below the base", changed(|bytes| bytes[42] = 0)),
        ("a control batch", batch(|builder| builder.control = true)),
        (
            "append time set by the client",
            batch(|builder| builder.timestamp_type = TimestampType::LogAppendTime),
        ),
        (
            "a producer id without an epoch",
            changed(|bytes| bytes[43..51].copy_from_slice(&5_i64.to_be_bytes())),
        ),
        ("an epoch below -1", batch(|builder| builder.producer = Some((1, -2, 0)))),
        ("a sequence below 0", batch(|builder| builder.producer = Some((1, 0, -2)))),
        ("a producer id below -1", batch(|builder| builder.producer = Some((-5, 0, 0)))),
        ("in the far future", batch(|builder| builder.append(9_000_000_000_000, None, Some(b"v"), &[]))),
        ("before time began", batch(|builder| builder.append(-2, None, Some(b"v"), &[]))),
        ("without a time", batch(|builder| builder.append(-1, None, Some(b"v"), &[]))),
        ("a tombstone without a key", batch(|builder| builder.append(AT, None, None, &[]))),
        (
            "transactional, without a transaction",
            batch(|builder| {
                builder.transactional = true;
                builder.producer = Some((1, 0, 0));
            }),
        ),
        ("transactional, without a producer", batch(|builder| builder.transactional = true)),
    ];
    for (what, records) in cases {
        for topic in ["rec", "compact", "appended"] {
            asker
                .ask_and_even(
                    &format!("{what}, to {topic}"),
                    9,
                    &request(topic, 1, Some(records.clone())),
                    outcome,
                )
                .await;
        }
    }
    for topic in ["compact", "both"] {
        for codec in [Compression::None, Compression::Gzip] {
            let records = batch(|builder| {
                builder.compression = codec;
                for key in [Some(&b"k"[..]), None, Some(b"k"), None] {
                    builder.append(AT, key, Some(b"v"), &[]);
                }
            });
            for version in [7, 8, 9] {
                let what = format!("records without keys to {topic}, {codec:?}");
                asker.ask_and_even(&what, version, &request(topic, 0, Some(records.clone())), outcome).await;
            }
        }
    }
    for (what, at) in [("old", AT), ("of the future", 9_000_000_000_000)] {
        let records = batch(|builder| {
            builder.append(at, Some(b"k"), Some(b"v"), &[]);
            builder.append(at, Some(b"k"), Some(b"v"), &[]);
        });
        for version in [7, 9] {
            asker
                .ask_and_even(
                    &format!("records {what}"),
                    version,
                    &request("strict-time", 0, Some(records.clone())),
                    outcome,
                )
                .await;
        }
    }
    let large = |size: usize| batch(|builder| builder.append(AT, None, Some(&vec![7; size]), &[]));
    for size in [50, 139, 300] {
        asker
            .ask(
                &format!("{size} bytes to a topic of small batches"),
                9,
                &request("small", 0, Some(large(size))),
            )
            .await;
    }
    let mut mixed = request("rec", 0, Some(plain()));
    mixed.topic_data.push(request("none", 0, Some(plain())).topic_data.remove(0));
    mixed.topic_data.push(request("small", 0, Some(large(300))).topic_data.remove(0));
    let answer = asker.call(9, &mixed).await;
    let mut told: Vec<_> = answer
        .responses
        .iter()
        .map(|one| (one.name.clone(), one.partition_responses[0].error_code))
        .collect();
    told.sort();
    asker.keep("Produce 9: one good, two bad".to_owned(), &told);
    let mut transactional = request("rec", 0, Some(plain()));
    transactional.transactional_id = Some("x".into());
    asker.ask_and_even("a transactional id, a plain batch", 9, &transactional, outcome).await;
    transactional.transactional_id = Some("".into());
    asker.ask_and_even("an empty transactional id, a plain batch", 9, &transactional, outcome).await;
}

async fn producers(asker: &mut Asker) {
    let init = |id: Option<&str>, timeout, producer_id, producer_epoch| InitProducerIdRequest {
        transactional_id: id.map(Into::into),
        transaction_timeout_ms: timeout,
        producer_id,
        producer_epoch,
        ..Default::default()
    };
    for version in 0..=5 {
        let answer = asker.call(version, &init(None, 60_000, -1, -1)).await;
        let question = format!("InitProducerId {version}: idempotent");
        asker.keep(question, &(answer.error_code, answer.producer_id >= 0, answer.producer_epoch));
        asker.ask("a transactional id", version, &init(Some("x"), 60_000, -1, -1)).await;
        asker.ask("an empty transactional id", version, &init(Some(""), 60_000, -1, -1)).await;
    }
    for (what, request) in [
        ("no timeout", init(None, 0, -1, -1)),
        ("a timeout below 0", init(None, -1, -1, -1)),
        ("an id without an epoch", init(None, 60_000, 5, -1)),
        ("an epoch without an id", init(None, 60_000, -1, 5)),
        ("an id and an epoch", init(None, 60_000, 5, 5)),
    ] {
        let answer = asker.call(4, &request).await;
        let told = (answer.error_code, answer.producer_id >= 0, answer.producer_epoch);
        asker.keep(format!("InitProducerId 4: {what}"), &told);
    }
    asker.create_topic("seq", 1, &[]).await;
    for (at, producer) in [
        (77, 0, 0),
        (77, 0, 0),
        (77, 0, 1),
        (77, 0, 3),
        (77, 0, 0),
        (77, 1, 5),
        (77, 1, 0),
        (77, 0, 2),
        (88, 3, 7),
        (88, 3, 8),
        (88, 2, 9),
        (88, 4, i32::MAX),
    ]
    .into_iter()
    .enumerate()
    {
        let records = batch(|builder| builder.producer = Some(producer));
        asker
            .ask_and_even(
                &format!("{at}: producer {producer:?}"),
                9,
                &request("seq", 0, Some(records)),
                outcome,
            )
            .await;
    }
    // The sixth last batch is forgotten.
    for sequence in 1..=7 {
        let records = batch(|builder| builder.producer = Some((77, 1, sequence)));
        asker.call(9, &request("seq", 0, Some(records))).await;
    }
    for sequence in [7, 3, 2, 1] {
        let records = batch(|builder| builder.producer = Some((77, 1, sequence)));
        asker
            .ask_and_even(
                &format!("sequence {sequence} again"),
                9,
                &request("seq", 0, Some(records)),
                outcome,
            )
            .await;
    }
    let two = [7, 8].map(|sequence| batch(|builder| builder.producer = Some((99, 0, sequence)))).concat();
    asker.ask_and_even("two batches of a producer", 9, &request("seq", 0, Some(two.into())), outcome).await;
}

/// What comes back from topics that ask for a codec of their own.
async fn recompressed(asker: &mut Asker) {
    for wanted in ["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"] {
        let topic = format!("codec-{wanted}");
        asker.create_topic(&topic, 1, &[("compression.type", wanted)]).await;
        for codec in [Compression::None, Compression::Gzip, Compression::Lz4] {
            let records = batch(|builder| {
                builder.compression = codec;
                for _ in 0..20 {
                    builder.append(AT, Some(b"key"), Some(&[b'v'; 100]), &[("h", Some(b"x"))]);
                }
            });
            asker
                .ask_and_even(
                    &format!("{codec:?} to {topic}"),
                    9,
                    &request(&topic, 0, Some(records)),
                    outcome,
                )
                .await;
        }
        let answer = asker.call(11, &fetch_request(&topic, &[(0, 0)])).await;
        let records = answer.responses[0].partitions[0].records.clone();
        let bytes = records.as_ref().and_then(Records::bytes).cloned().unwrap_or_default();
        let codecs: Vec<_> = kolk_wire_kafka::records::Batches::new(bytes)
            .map(|batch| batch.map(|(header, _)| (header.compression(), header.record_count)))
            .collect();
        asker.keep(format!("Fetch 11: codecs of {topic}"), &codecs);
    }
}

async fn list_offsets(asker: &mut Asker) {
    asker.create_topic("times", 2, &[]).await;
    for at in [AT, AT + 10, AT + 5] {
        let records = batch(|builder| {
            builder.append(at, Some(b"k"), Some(b"v"), &[]);
            builder.append(at + 2, Some(b"k"), Some(b"v"), &[]);
        });
        asker.call(9, &request("times", 0, Some(records))).await;
    }
    let ask = |topic: &str, partition_index, timestamp| ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition { partition_index, timestamp, ..Default::default() }],
        }],
        ..Default::default()
    };
    for version in 1..=11 {
        for timestamp in [-1, -2, -3, -4, -5, -6, -7] {
            asker.ask(&format!("at {timestamp}"), version, &ask("times", 0, timestamp)).await;
            asker.ask(&format!("at {timestamp}, nothing there"), version, &ask("times", 1, timestamp)).await;
        }
        for after in [-1, 0, 1, 2, 3, 7, 10, 11, 12, 13] {
            asker.ask(&format!("at {after} after"), version, &ask("times", 0, AT + after)).await;
        }
        asker.ask("at 0", version, &ask("times", 0, 0)).await;
        asker.ask("no such topic", version, &ask("none", 0, -1)).await;
        asker.ask("no such partition", version, &ask("times", 9, -1)).await;
        asker.ask("nothing", version, &ListOffsetsRequest { replica_id: -1, ..Default::default() }).await;
        let mut twice = ask("times", 0, -1);
        let again = twice.topics[0].partitions[0].clone();
        twice.topics[0].partitions.push(again);
        asker.ask("a partition twice", version, &twice).await;
        let mut twice = ask("times", 0, -1);
        twice.topics.push(twice.topics[0].clone());
        asker.ask("a topic twice", version, &twice).await;
    }
    for (epoch, replica, isolation) in
        [(0, -1, 0), (1, -1, 0), (-1, -1, 1), (-1, -1, 5), (-1, 1, 0), (-1, -2, 0), (-2, -1, 0)]
    {
        for timestamp in [-1, AT] {
            let mut request = ask("times", 0, timestamp);
            request.replica_id = replica;
            request.isolation_level = isolation;
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            let what = format!("epoch {epoch}, replica {replica}, isolation {isolation}, at {timestamp}");
            asker.ask(&what, 8, &request).await;
        }
    }
}

async fn leader_epochs(asker: &mut Asker) {
    let ask = |topic: &str, partition, current_leader_epoch, leader_epoch| OffsetForLeaderEpochRequest {
        topics: vec![OffsetForLeaderTopic {
            topic: topic.into(),
            partitions: vec![OffsetForLeaderPartition { partition, current_leader_epoch, leader_epoch }],
        }],
        ..Default::default()
    };
    for version in 2..=4 {
        for (current, epoch) in
            [(-1, 0), (0, 0), (1, 0), (-1, 1), (-1, -1), (-1, -2), (-2, 0), (0, 1), (1, 1)]
        {
            asker
                .ask(&format!("epoch {epoch}, current {current}"), version, &ask("times", 0, current, epoch))
                .await;
        }
        asker.ask("nothing there", version, &ask("times", 1, -1, 0)).await;
        asker.ask("no such partition", version, &ask("times", 9, -1, 0)).await;
        asker.ask("no such topic", version, &ask("none", 0, -1, 0)).await;
        asker.ask("nothing", version, &OffsetForLeaderEpochRequest::default()).await;
        let mut twice = ask("times", 0, -1, 0);
        twice.topics.push(twice.topics[0].clone());
        asker.ask("a topic twice", version, &twice).await;
    }
}

fn fetch_request(topic: &str, partitions: &[(i32, i64)]) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: partitions
                .iter()
                .map(|(partition, fetch_offset)| FetchPartition {
                    partition: *partition,
                    fetch_offset: *fetch_offset,
                    partition_max_bytes: 1 << 20,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn fetch(asker: &mut Asker) {
    for version in 4..=12 {
        for offset in [0, 1, 6, 7, -1] {
            asker.ask(&format!("from {offset}"), version, &fetch_request("times", &[(0, offset)])).await;
        }
        asker.ask("no such partition", version, &fetch_request("times", &[(9, 0)])).await;
        asker.ask("no such topic", version, &fetch_request("none", &[(0, 0)])).await;
        asker.ask("a partition twice", version, &fetch_request("times", &[(0, 0), (0, 1)])).await;
        let mut nothing = fetch_request("times", &[]);
        asker.ask("no partitions", version, &nothing).await;
        nothing.topics.clear();
        asker.ask("no topics", version, &nothing).await;
    }
    for version in [9, 12] {
        for epoch in [-2, 0, 1] {
            let mut request = fetch_request("times", &[(0, 0)]);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            asker.ask(&format!("current epoch {epoch}"), version, &request).await;
        }
    }
    for epoch in [-1, 0, 1] {
        let mut request = fetch_request("times", &[(0, 2)]);
        request.topics[0].partitions[0].last_fetched_epoch = epoch;
        asker.ask(&format!("last epoch {epoch}"), 12, &request).await;
    }
    for (max_bytes, partition_max_bytes) in
        [(0, 0), (1, 1), (100, 1 << 20), (1 << 20, 100), (-1, -1), (200, 200)]
    {
        let mut request = fetch_request("times", &[(0, 0)]);
        request.max_bytes = max_bytes;
        request.topics[0].partitions[0].partition_max_bytes = partition_max_bytes;
        asker.ask(&format!("{max_bytes} bytes, {partition_max_bytes} a partition"), 11, &request).await;
    }
    for isolation_level in [1, 2, -1] {
        let mut request = fetch_request("times", &[(0, 0)]);
        request.isolation_level = isolation_level;
        asker.ask(&format!("isolation {isolation_level}"), 11, &request).await;
    }
    let id = asker.topic_id("times").await;
    for version in 13..=18 {
        for (what, topic_id) in [("by id", id), ("by an unknown id", NO_SUCH_ID), ("by no id", Uuid::nil())] {
            let mut request = fetch_request("", &[(0, 0), (9, 0)]);
            request.topics[0].topic_id = topic_id;
            asker.ask(what, version, &request).await;
        }
    }
    sessions(asker, id).await;
}

/// Every session has an id of its own: what is kept is whether there is one.
async fn session(asker: &mut Asker, what: &str, version: i16, request: &FetchRequest) -> i32 {
    let answer = asker.call(version, request).await;
    let partitions: Vec<(i32, i16, bool)> = answer
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|one| {
            (
                one.partition_index,
                one.error_code,
                one.records.as_ref().and_then(Records::bytes).is_some_and(|bytes| !bytes.is_empty()),
            )
        })
        .collect();
    asker.keep(format!("Fetch {version}: {what}"), &(answer.error_code, answer.session_id != 0, partitions));
    answer.session_id
}

async fn sessions(asker: &mut Asker, id: Uuid) {
    for version in [7, 12, 13, 17] {
        let named = |request: FetchRequest, topic_id| {
            let mut request = request;
            if version >= 13 {
                for topic in &mut request.topics {
                    topic.topic_id = topic_id;
                    topic.topic = "".into();
                }
            }
            request
        };
        let of = |session_id, session_epoch, partitions: &[(i32, i64)]| {
            let mut request = fetch_request("times", partitions);
            request.session_id = session_id;
            request.session_epoch = session_epoch;
            if partitions.is_empty() {
                request.topics.clear();
            }
            named(request, id)
        };
        let session_id = session(asker, "a session", version, &of(0, 0, &[(0, 0), (1, 0), (9, 0)])).await;
        session(asker, "the session, epoch 1", version, &of(session_id, 1, &[])).await;
        session(asker, "the session, epoch 1 again", version, &of(session_id, 1, &[])).await;
        session(asker, "the session, epoch 2", version, &of(session_id, 2, &[(0, 6)])).await;
        session(asker, "the session, epoch 3", version, &of(session_id, 3, &[])).await;
        let mut forgets = of(session_id, 4, &[]);
        forgets.forgotten_topics_data = vec![ForgottenTopic {
            topic: if version >= 13 { "".into() } else { "times".into() },
            topic_id: if version >= 13 { id } else { Uuid::nil() },
            partitions: vec![9, 77],
        }];
        session(asker, "the session, one forgotten", version, &forgets).await;
        session(asker, "the session, epoch 5", version, &of(session_id, 5, &[(0, 0)])).await;
        session(asker, "the session, epoch below -1", version, &of(session_id, -2, &[])).await;
        session(asker, "the session, other epoch", version, &of(session_id, 99, &[])).await;
        session(asker, "no such session", version, &of(session_id ^ 1, 1, &[])).await;
        session(asker, "session 0, epoch 1", version, &of(0, 1, &[])).await;
        session(asker, "session 0, epoch -1", version, &of(0, -1, &[(0, 0)])).await;
        session(asker, "the session begins anew", version, &of(session_id, 0, &[(0, 0)])).await;
        session(asker, "the old one then", version, &of(session_id, 6, &[])).await;
        session(asker, "the end", version, &of(session_id, -1, &[(0, 0)])).await;
        session(asker, "after the end", version, &of(session_id, 7, &[])).await;
        session(asker, "a session about nothing", version, &of(0, 0, &[])).await;
        if version >= 13 {
            let unknown = named(of(0, 0, &[(0, 0)]), NO_SUCH_ID);
            let session_id = session(asker, "a session about an unknown id", version, &unknown).await;
            session(asker, "that session again", version, &of(session_id, 1, &[])).await;
        }
    }
}

async fn delete_records(asker: &mut Asker) {
    asker.create_topic("trim", 2, &[]).await;
    for _ in 0..5 {
        asker.call(9, &request("trim", 0, Some(plain()))).await;
    }
    let ask = |partitions: &[(&str, i32, i64)]| DeleteRecordsRequest {
        topics: partitions
            .iter()
            .map(|(name, partition_index, offset)| DeleteRecordsTopic {
                name: (*name).into(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: *partition_index,
                    offset: *offset,
                }],
            })
            .collect(),
        timeout_ms: 5000,
    };
    for version in 0..=2 {
        for offset in [0, 1, 2, 1, 6, -2, i64::MAX] {
            asker.ask(&format!("to {offset}"), version, &ask(&[("trim", 0, offset)])).await;
        }
        asker.ask("no such partition", version, &ask(&[("trim", 9, 1)])).await;
        asker.ask("no such topic", version, &ask(&[("none", 0, 1)])).await;
        asker.ask("a bad name", version, &ask(&[("a b", 0, 1)])).await;
        asker.ask("nothing", version, &DeleteRecordsRequest { timeout_ms: 100, ..Default::default() }).await;
        asker.ask("of nothing, to the end", version, &ask(&[("trim", 1, -1)])).await;
        asker.ask("compacted", version, &ask(&[("compact", 0, 0)])).await;
        asker.ask("compacted and deleted", version, &ask(&[("both", 0, 0)])).await;
    }
    let mut twice = ask(&[("trim", 0, 3)]);
    twice.topics[0].partitions.push(DeleteRecordsPartition { partition_index: 0, offset: 4 });
    asker.ask("a partition twice", 2, &twice).await;
    asker.ask("a topic twice", 2, &ask(&[("trim", 0, 4), ("trim", 1, 0)])).await;
    asker.ask("to the end", 2, &ask(&[("trim", 0, -1)])).await;
    asker.ask("to the end again", 2, &ask(&[("trim", 0, -1)])).await;
}
