//! Produce: what is taken, what is refused and how, acks 0, idempotent producers.

use bytes::Bytes;
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::produce::ProduceRequest;
use kolk_wire_kafka::records::{BatchBuilder, Compression};

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
    let mut request = produce_request("t", 0, good.clone());
    request.transactional_id = Some("x".into());
    let answer = only_partition(client.call(9, &request).await);
    assert_eq!(answer.error_code, ErrorCode::TransactionalIdAuthorizationFailed.code());
    // Nothing of all this is in the log.
    assert_eq!(client.produce("t", 0, good).await.base_offset, 0);
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
