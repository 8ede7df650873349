//! Produce: what is taken, what is refused and how, acks 0, idempotent producers.

use bytes::{Bytes, BytesMut};
use kolk_broker::Settings;
use kolk_wire_kafka::messages::api_versions::ApiVersionsRequest;
use kolk_wire_kafka::messages::produce::{PartitionProduceData, ProduceRequest};
use kolk_wire_kafka::records::batch::HEADER_BYTES;
use kolk_wire_kafka::records::crc::crc32c;
use kolk_wire_kafka::records::{BatchBuilder, BatchHeader, Batches, Compression};
use kolk_wire_kafka::{ErrorCode, Records};

use crate::support::*;

#[tokio::test]
async fn every_codec_passes_through_unchanged() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (index, codec) in codecs.into_iter().enumerate() {
        let answer = client.produce("t", 0, batch_with(codec, &["a", "b"])).await;
        assert_eq!((answer.error_code, answer.base_offset), (0, 2 * index as i64));
        assert_eq!(answer.log_append_time_ms, -1);
    }
    let records = client.fetch("t", 0, 0).await;
    assert_eq!(records.len(), 10);
    assert!(records.iter().enumerate().all(|(index, (offset, _))| *offset == index as i64));
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_its_own_code() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[("max.message.bytes", "2000")]).await;
    let good = batch(&["v"]);
    let mut bad_crc = good.to_vec();
    *bad_crc.last_mut().unwrap() ^= 1;
    let two: Bytes = [&good[..], &good[..]].concat().into();
    let large = batch(&[&"x".repeat(3000)]);
    let cases: Vec<(&str, i32, Bytes, ErrorCode)> = vec![
        ("no", 0, good.clone(), ErrorCode::UnknownTopicOrPartition),
        ("t", 1, good.clone(), ErrorCode::UnknownTopicOrPartition),
        ("t", -1, good.clone(), ErrorCode::UnknownTopicOrPartition),
        ("t", 0, bad_crc.into(), ErrorCode::CorruptMessage),
        ("t", 0, Bytes::new(), ErrorCode::InvalidRecord),
        ("t", 0, two, ErrorCode::InvalidRecord),
        ("t", 0, large, ErrorCode::MessageTooLarge),
    ];
    for (topic, partition, records, expected) in cases {
        let answer = client.produce(topic, partition, records).await;
        assert_eq!(ErrorCode::from_code(answer.error_code), Some(expected));
        assert_eq!((answer.base_offset, answer.log_start_offset), (-1, -1));
    }
    let zstd = produce_request("t", 0, batch_with(Compression::Zstd, &["v"]));
    let answer = only_partition(client.call(6, &zstd).await);
    assert_eq!(answer.error_code, ErrorCode::UnsupportedCompressionType.code());
    let mut request = produce_request("t", 0, good.clone());
    request.acks = 2;
    let answer = only_partition(client.call(9, &request).await);
    assert_eq!(answer.error_code, ErrorCode::InvalidRequiredAcks.code());
    // Nothing of all this is in the log.
    assert_eq!(client.produce("t", 0, good.clone()).await.base_offset, 0);
    // A transactional id alone makes no transaction: Kafka looks at the batch, and so does Kolk.
    let mut request = produce_request("t", 0, good);
    request.transactional_id = Some("x".into());
    assert_eq!(only_partition(client.call(9, &request).await).error_code, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_compacted_topic_names_the_records_without_keys() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[("cleanup.policy", "compact")]).await;
    let mut builder = BatchBuilder::new(Compression::Lz4);
    builder.append(1, Some(b"k"), Some(b"v"), &[]);
    builder.append(1, None, Some(b"v"), &[]);
    let answer = client.produce("t", 0, builder.build().unwrap()).await;
    assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code());
    assert_eq!(answer.record_errors.iter().map(|error| error.batch_index).collect::<Vec<_>>(), [1]);
    assert_eq!(client.produce("t", 0, batch(&["keyed"])).await.error_code, 0);
    server.stop().await;
}

/// What a Produce of a thousand partitions answers is larger than what other replies are copied up to. It was left out
/// without a word, and the client waited for it.
#[tokio::test]
async fn answers_arrive_whatever_their_size() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let mut request = produce_request("t", 0, batch(&["v"]));
    let one = request.topic_data[0].partition_data[0].clone();
    request.topic_data[0].partition_data =
        (0..1000).map(|index| PartitionProduceData { index, ..one.clone() }).collect();
    let answer = client.call(9, &request).await;
    let codes: Vec<_> = answer.responses[0].partition_responses.iter().map(|one| one.error_code).collect();
    assert_eq!((codes.len(), codes[0]), (1000, 0));
    assert!(codes[1..].iter().all(|code| *code == ErrorCode::UnknownTopicOrPartition.code()));
    // The memory it was written in does not show in the next one.
    assert_eq!(client.produce("t", 0, batch(&["v"])).await.base_offset, 1);
    server.stop().await;
}

#[tokio::test]
async fn acks_0_has_no_reply_and_its_error_closes_the_connection() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let mut request = produce_request("t", 0, batch(&["quiet"]));
    request.acks = 0;
    client.send(9, &request).await;
    let answer = client.produce("t", 0, batch(&["loud"])).await;
    assert_eq!((answer.error_code, answer.base_offset), (0, 1));
    let mut request = produce_request("no", 0, batch(&["lost"]));
    request.acks = 0;
    client.send(9, &request).await;
    assert!(client.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn a_retry_of_an_idempotent_producer_answers_as_the_first_time() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let stamped = |sequence| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.producer = Some((5, 0, sequence));
        builder.append(1_700_000_000_000, None, Some(b"v"), &[]);
        builder.build().unwrap()
    };
    // All at once, the retry among them.
    let mut ids = Vec::new();
    for sequence in [0, 1, 1, 2, 0] {
        ids.push(client.send(9, &produce_request("t", 0, stamped(sequence))).await);
    }
    let mut offsets = Vec::new();
    for id in ids {
        let answer = only_partition(client.receive::<ProduceRequest>(9, id).await);
        offsets.push((answer.error_code, answer.base_offset));
    }
    assert_eq!(offsets, [(0, 0), (0, 1), (0, 1), (0, 2), (0, 0)]);
    let answer = client.produce("t", 0, stamped(7)).await;
    assert_eq!(answer.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(client.fetch("t", 0, 0).await.len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn a_topic_made_again_is_found_by_a_connection_that_knew_the_old_one() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let mut admin = server.connect().await;
    admin.create_topic("t", 1, &[]).await;
    assert_eq!(client.produce("t", 0, batch(&["old"])).await.error_code, 0);
    let request = kolk_wire_kafka::messages::delete_topics::DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        ..Default::default()
    };
    assert_eq!(admin.call(4, &request).await.responses[0].error_code, 0);
    admin.create_topic("t", 1, &[]).await;
    let answer = client.produce("t", 0, batch(&["new"])).await;
    assert_eq!((answer.error_code, answer.base_offset), (0, 0));
    assert_eq!(client.fetch("t", 0, 0).await, [(0, Bytes::from_static(b"new"))]);
    server.stop().await;
}

/// Codec and count of records of every batch of partition 0.
async fn stored(client: &mut Client, topic: &str) -> Vec<(Compression, i32)> {
    let answer = client.call(11, &fetch_request(topic, 0, 0)).await;
    let bytes = answer.responses[0].partitions[0].records.as_ref().and_then(Records::bytes).cloned().unwrap();
    Batches::new(bytes)
        .map(|batch| {
            let (header, bytes) = batch.unwrap();
            header.check_crc(&bytes).unwrap();
            (header.compression().unwrap(), header.record_count)
        })
        .collect()
}

#[tokio::test]
async fn batches_are_stored_in_the_topics_codec() {
    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    for wanted in CODECS {
        let name = if wanted == Compression::None { "uncompressed" } else { wanted.name() };
        client.create_topic(name, 1, &[("compression.type", name)]).await;
        let values: Vec<String> = (0..50).map(|at| format!("value {at} of many that look alike")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        for sent in CODECS {
            let answer = client.produce(name, 0, batch_with(sent, &values)).await;
            assert_eq!(answer.error_code, 0, "{sent:?} to {name}: {:?}", answer.error_message);
        }
        assert_eq!(stored(&mut client, name).await, [(wanted, 50); 5], "{name}");
        let read = client.fetch(name, 0, 0).await;
        let expected = values.iter().cycle().take(250).enumerate();
        for ((offset, value), (index, expected)) in read.iter().zip(expected) {
            assert_eq!((*offset, &value[..]), (index as i64, expected.as_bytes()));
        }
        assert_eq!(read.len(), 250);
    }
    server.stop().await;
}

/// A batch whose header counts other records than it holds was acknowledged, and then no reader could take it.
#[tokio::test]
async fn records_have_to_be_those_that_the_header_counts() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    // What the header says, where the records lie, and what their bytes are cut or grown by.
    let cases = [
        (2, [0, 1], 0, ErrorCode::None),
        (2, [0, 5], 0, ErrorCode::InvalidRecord),
        (2, [4, 5], 0, ErrorCode::InvalidRecord),
        (3, [0, 1], 0, ErrorCode::InvalidRecord),
        (1, [0, 1], 0, ErrorCode::InvalidRecord),
        (2, [0, 1], -1, ErrorCode::InvalidRecord),
        (2, [0, 1], 1, ErrorCode::InvalidRecord),
    ];
    for (count, deltas, grown, expected) in cases {
        let mut builder = BatchBuilder::new(Compression::None);
        for delta in deltas {
            builder.append_at(delta, 1, Some(b"k"), Some(b"v"), std::iter::empty());
        }
        let mut bytes = builder.build().unwrap().to_vec();
        let mut header = BatchHeader::parse(&bytes).unwrap();
        bytes.resize(bytes.len().saturating_add_signed(grown), 0);
        (header.record_count, header.last_offset_delta, header.total_bytes) = (count, count - 1, bytes.len());
        bytes[..61].copy_from_slice(&header.to_bytes());
        header.crc = crc32c(&bytes[21..]);
        bytes[..61].copy_from_slice(&header.to_bytes());
        let answer = client.produce("t", 0, bytes.into()).await;
        let case = format!("{count} {deltas:?} {grown}");
        assert_eq!(ErrorCode::from_code(answer.error_code), Some(expected), "{case}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_topics_codec_keeps_idempotence_and_times_and_finds_damage() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client
        .create_topic("t", 1, &[("compression.type", "zstd"), ("max.decompressed.message.bytes", "4000")])
        .await;
    let stamped = |value: &str| {
        let mut builder = BatchBuilder::new(Compression::Gzip);
        builder.producer = Some((5, 0, 0));
        builder.append(1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), &[]);
        builder.build().unwrap()
    };
    assert_eq!(client.produce("t", 0, stamped("v")).await.base_offset, 0);
    let again = client.produce("t", 0, stamped("v")).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0), "a duplicate");
    // What unpacks to more than the topic allows, and what does not unpack.
    let bomb = client.produce("t", 0, batch_with(Compression::Gzip, &["x".repeat(5000).as_str()])).await;
    assert_eq!(bomb.error_code, ErrorCode::CorruptMessage.code());
    let mut damaged = BytesMut::from(&stamped("w")[..]);
    damaged[61] ^= 0x55;
    let crc = crc32c(&damaged[21..]);
    damaged[17..21].copy_from_slice(&crc.to_be_bytes());
    let answer = client.produce("t", 0, damaged.freeze()).await;
    assert_eq!(answer.error_code, ErrorCode::CorruptMessage.code());
    assert_eq!(stored(&mut client, "t").await, [(Compression::Zstd, 1)]);
    server.stop().await;
}

/// What a batch is in its topic's codec was in no budget: 1 KiB that comes in may be 1 MiB until the log has it.
#[tokio::test]
async fn what_batches_are_packed_to_anew_is_in_the_budget() {
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, kolk_serve_kafka::Settings::default()).await;
    let mut client = server.connect().await;
    client.create_topic("t", 2, &[("compression.type", "uncompressed")]).await;
    let zeros = |len| batch_with(Compression::Zstd, &["0".repeat(len).as_str()]);

    // Not more than the topic takes is unpacked, and that is what is wrong with it.
    let answer = client.produce("t", 0, zeros(2 << 20)).await;
    assert_eq!(answer.error_code, ErrorCode::MessageTooLarge.code());

    // Somebody holds nearly all of the budget, and what is set aside for growth.
    let mut held = server.hold_memory(64 << 10);
    let mut request = produce_request("t", 0, zeros(300 << 10));
    request.topic_data[0]
        .partition_data
        .push(PartitionProduceData { index: 1, records: Some(Records::Bytes(zeros(300 << 10))) });
    let id = client.send(9, &request).await;
    let mut other = server.connect().await;
    for _ in 0..50 {
        other.call(3, &ApiVersionsRequest::default()).await;
    }
    assert_eq!(client.stream.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

    // Room for one of the two: the other one is to be sent again.
    held.shrink(held.bytes() - (500 << 10));
    let answer = client.receive::<ProduceRequest>(9, id).await;
    let codes: Vec<i16> =
        answer.responses[0].partition_responses.iter().map(|partition| partition.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::KafkaStorageError.code()]);
    drop(held);
    let answer = client.call(9, &request).await;
    assert!(answer.responses[0].partition_responses.iter().all(|partition| partition.error_code == 0));
    assert_eq!(client.fetch("t", 0, 0).await.len(), 2);
    assert_eq!(client.fetch("t", 1, 0).await.len(), 1);
    server.stop().await;
}

/// A frame of ten bytes may have its reader allocate 64 MiB: each worker did so, on as many cores as there are.
#[tokio::test]
async fn what_looking_into_a_batch_takes_is_in_the_budget() {
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, kolk_serve_kafka::Settings::default()).await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[("cleanup.policy", "compact")]).await;
    let mut wide = batch_with(Compression::Zstd, &["x"]).to_vec();
    wide.truncate(HEADER_BYTES);
    // A window of 64 MiB, and one byte in it.
    wide.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x80, 0x09, 0x00, 0x00, 0x61]);
    let length = wide.len() as u32 - 12;
    wide[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&wide[21..]);
    wide[17..21].copy_from_slice(&crc.to_be_bytes());

    let admission = server.broker.admission();
    let free = admission.available();
    let held = server.hold_memory(64 << 10);
    let id = client.send(9, &produce_request("t", 0, wide.into())).await;
    let mut other = server.connect().await;
    for _ in 0..50 {
        other.call(3, &ApiVersionsRequest::default()).await;
    }
    let nothing = client.stream.try_read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "it waits for room");
    let plain = other.produce("t", 0, batch_with(Compression::Zstd, &["x"])).await;
    assert_eq!(plain.error_code, 0, "what takes little does not wait");
    drop(held);
    let answer = only_partition(client.receive::<ProduceRequest>(9, id).await);
    assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code());
    // It is given back once the answer is written, which may be after it was read.
    for _ in 0..50 {
        other.call(3, &ApiVersionsRequest::default()).await;
    }
    assert_eq!(admission.available(), free);
    server.stop().await;
}

/// Clients that read no answers held all that there is for requests until they were closed, 10 to 40 s, and who wrote or read
/// a record waited behind them.
#[tokio::test]
async fn who_wants_little_is_served_whoever_holds_the_memory() {
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, kolk_serve_kafka::Settings::default()).await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let held = server.hold_memory(0);
    let small = batch_with(Compression::None, &["x"]);
    assert_eq!(client.produce("t", 0, small.clone()).await.error_code, 0);
    assert_eq!(client.fetch("t", 0, 0).await.len(), 1);
    // Several ahead of their answers, which still come in order.
    let request = produce_request("t", 0, small);
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(client.send(9, &request).await);
    }
    for (offset, id) in (1..).zip(ids) {
        let answer = only_partition(client.receive::<ProduceRequest>(9, id).await);
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
    }
    assert_eq!(client.fetch("t", 0, 0).await.len(), 21);
    let parts = || server.broker.admission().parts();
    assert!(parts().contains(&("small", 0, (8 << 20) / 32)), "it is given back: {:?}", parts());

    // Who wants much waits.
    let large = batch_with(Compression::None, &["x".repeat(200_000).as_str()]);
    let id = client.send(9, &produce_request("t", 0, large)).await;
    let mut other = server.connect().await;
    for _ in 0..50 {
        assert_eq!(other.fetch("t", 0, 0).await.len(), 21);
    }
    assert_eq!(client.stream.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(held);
    assert_eq!(only_partition(client.receive::<ProduceRequest>(9, id).await).error_code, 0);
    server.stop().await;
}
