//! Fetch and ListOffsets: long poll, byte limits, sessions, ids, epochs, times.

use std::time::Duration;

use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use kolk_wire_kafka::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn a_long_poll_ends_when_bytes_come_or_time_is_up() {
    let server = TestServer::start().await;
    let mut reader = server.connect().await;
    let mut writer = server.connect().await;
    writer.create_topic("t", 1, &[]).await;
    let mut request = fetch_request("t", 0, 0);
    request.min_bytes = 1;
    request.max_wait_ms = 20;
    assert!(records_of(&reader.call(11, &request).await).is_empty());
    request.max_wait_ms = 50_000;
    let id = reader.send(11, &request).await;
    // Not answered while there is nothing.
    assert!(tokio::time::timeout(Duration::from_millis(50), reader.receive_frame()).await.is_err());
    writer.produce("t", 0, batch(&["news"])).await;
    assert_eq!(records_of(&reader.receive::<FetchRequest>(11, id).await).len(), 1);
    server.stop().await;
}

/// A consumer of many topics, one of them deleted, was answered at once, again and again.
#[tokio::test]
async fn a_topic_that_is_gone_does_not_end_the_wait_for_others() {
    let server = TestServer::start().await;
    let mut reader = server.connect().await;
    let mut writer = server.connect().await;
    writer.create_topic("t", 1, &[]).await;
    let mut request = fetch_request("t", 0, 0);
    request.min_bytes = 1;
    request.max_wait_ms = 1_000_000;
    let FetchRequest { topics: mut unknown, .. } = fetch_request("gone", 0, 0);
    request.topics[0].partitions.push(FetchPartition { partition: 9, ..Default::default() });
    request.topics.append(&mut unknown);
    let id = reader.send(11, &request).await;
    // Nothing tells that it waits but that its answer has what came after it.
    let waits = tokio::time::timeout(Duration::from_millis(50), reader.receive_frame()).await;
    assert!(waits.is_err(), "answered though nothing came");
    writer.produce("t", 0, batch(&["news"])).await;
    let answer = reader.receive::<FetchRequest>(11, id).await;
    assert_eq!(records_of(&answer).len(), 1);
    let codes = answer.responses.iter().flat_map(|topic| &topic.partitions).map(|found| found.error_code);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(codes.collect::<Vec<_>>(), [0, unknown, unknown]);
    server.stop().await;
}

#[tokio::test]
async fn batches_come_whole_and_the_first_one_always() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let value = "x".repeat(5000);
    for _ in 0..3 {
        client.produce("t", 0, batch(&[&value, &value])).await;
    }
    let mut request = fetch_request("t", 0, 3);
    request.max_bytes = 100;
    request.topics[0].partitions[0].partition_max_bytes = 100;
    let offsets: Vec<i64> =
        records_of(&client.call(11, &request).await).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [2, 3], "the batch that contains the offset, whole");
    request.max_bytes = 1 << 20;
    request.topics[0].partitions[0].partition_max_bytes = 1 << 20;
    assert_eq!(records_of(&client.call(11, &request).await).len(), 4);
    server.stop().await;
}

#[tokio::test]
async fn partitions_that_cannot_be_read_say_why_at_once() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a"])).await;
    let mut code = async |request: FetchRequest, version| {
        let mut request = request;
        request.min_bytes = 1 << 20;
        request.max_wait_ms = 1_000_000;
        let answer = client.call(version, &request).await;
        ErrorCode::from_code(answer.responses[0].partitions[0].error_code).unwrap()
    };
    assert_eq!(code(fetch_request("t", 0, 5), 11).await, ErrorCode::OffsetOutOfRange);
    assert_eq!(code(fetch_request("t", 0, -7), 11).await, ErrorCode::OffsetOutOfRange);
    assert_eq!(code(fetch_request("t", 9, 0), 11).await, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(code(fetch_request("no", 0, 0), 11).await, ErrorCode::UnknownTopicOrPartition);
    let mut request = fetch_request("", 0, 0);
    request.topics[0].topic_id = Uuid::from_u128(7);
    assert_eq!(code(request, 13).await, ErrorCode::UnknownTopicId);
    let mut request = fetch_request("t", 0, 0);
    request.topics[0].partitions[0].current_leader_epoch = 4;
    assert_eq!(code(request, 11).await, ErrorCode::UnknownLeaderEpoch);
    server.stop().await;
}

fn session_request(id: i32, epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
    let mut request = fetch_request("t", 0, 0);
    request.session_id = id;
    request.session_epoch = epoch;
    request.topics = if partitions.is_empty() { Vec::new() } else { request.topics };
    if let Some(topic) = request.topics.first_mut() {
        topic.partitions = partitions
            .iter()
            .map(|(partition, fetch_offset)| FetchPartition {
                partition: *partition,
                fetch_offset: *fetch_offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            })
            .collect();
    }
    request
}

/// Sessions in use were not counted: as many as there were connections could be opened at once.
#[tokio::test]
async fn sessions_opened_at_the_same_time_keep_to_the_limit() {
    let settings = kolk_broker::Settings { fetch_sessions_max: 2, ..Default::default() };
    let server = TestServer::start_with(settings, kolk_serve_kafka::Settings::default()).await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let mut request = session_request(0, 0, &[(0, 0)]);
    request.min_bytes = 1;
    request.max_wait_ms = 1_000_000;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect().await;
        let id = client.send(11, &request).await;
        waiting.push((client, id));
    }
    client.produce("t", 0, batch(&["a"])).await;
    let mut sessions = 0;
    for (client, id) in &mut waiting {
        let answer = client.receive::<FetchRequest>(11, *id).await;
        assert_eq!((answer.error_code, answer.responses.len()), (0, 1));
        sessions += usize::from(answer.session_id != 0);
    }
    assert_eq!(sessions, 2, "the others go on without a session");
    server.stop().await;
}

#[tokio::test]
async fn a_session_tells_only_what_changed() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 3, &[]).await;
    let first = client.call(11, &session_request(0, 0, &[(0, 0), (1, 0), (2, 0)])).await;
    assert_ne!(first.session_id, 0);
    assert_eq!(first.responses[0].partitions.len(), 3);
    let id = first.session_id;
    let quiet = client.call(11, &session_request(id, 1, &[])).await;
    assert_eq!((quiet.error_code, quiet.session_id, quiet.responses.len()), (0, id, 0));
    client.produce("t", 1, batch(&["a"])).await;
    let told = client.call(11, &session_request(id, 2, &[])).await;
    assert_eq!(told.responses[0].partitions.len(), 1);
    assert_eq!(told.responses[0].partitions[0].partition_index, 1);
    // The position moves on; partition 2 is forgotten, then gets records that nobody hears of.
    let mut request = session_request(id, 3, &[(1, 1)]);
    request.forgotten_topics_data =
        vec![ForgottenTopic { topic: "t".into(), partitions: vec![2], ..Default::default() }];
    assert!(client.call(11, &request).await.responses.is_empty());
    client.produce("t", 2, batch(&["b"])).await;
    assert!(client.call(11, &session_request(id, 4, &[])).await.responses.is_empty());
    // Epochs and ids are checked; the session lives on.
    let wrong = client.call(11, &session_request(id, 9, &[])).await;
    assert_eq!(wrong.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    let unknown = client.call(11, &session_request(id ^ 1, 1, &[])).await;
    assert_eq!(unknown.error_code, ErrorCode::FetchSessionIdNotFound.code());
    let by_id = client.call(13, &session_request(id, 5, &[])).await;
    assert_eq!(by_id.error_code, ErrorCode::FetchSessionTopicIdError.code());
    assert_eq!(client.call(11, &session_request(id, 5, &[])).await.error_code, 0);
    // The end of it.
    let last = client.call(11, &session_request(id, -1, &[(0, 0)])).await;
    assert_eq!((last.error_code, last.session_id), (0, 0));
    let gone = client.call(11, &session_request(id, 6, &[])).await;
    assert_eq!(gone.error_code, ErrorCode::FetchSessionIdNotFound.code());
    server.stop().await;
}

#[tokio::test]
async fn when_sessions_are_full_a_client_gets_none() {
    let settings = kolk_broker::Settings { fetch_sessions_max: 1, ..Default::default() };
    let server = TestServer::start_with(settings, Default::default()).await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    assert_ne!(client.call(11, &session_request(0, 0, &[(0, 0)])).await.session_id, 0);
    let second = client.call(11, &session_request(0, 0, &[(0, 0)])).await;
    assert_eq!((second.error_code, second.session_id), (0, 0));
    assert_eq!(second.responses[0].partitions.len(), 1);
    server.stop().await;
}

/// Sessions might remember 200,000 partitions, some 50 MB, whatever memory there was.
#[tokio::test]
async fn where_memory_is_small_sessions_remember_less() {
    let settings = kolk_broker::Settings { memory_bytes_max: 8 << 20, ..Default::default() };
    let server = TestServer::start_with(settings, Default::default()).await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    // 200,000 and 100,000 are for 256 MiB.
    let partitions: Vec<(i32, i64)> = (0..3000).map(|partition| (partition, 0)).collect();
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let answer = client.call(11, &session_request(0, 0, &partitions)).await;
        assert_eq!(answer.responses[0].partitions.len(), 3000);
        sessions.push(answer.session_id != 0);
    }
    assert_eq!(sessions, [true, true, false]);
    let partitions: Vec<(i32, i64)> = (0..3126).map(|partition| (partition, 0)).collect();
    client.send(11, &session_request(0, 0, &partitions)).await;
    assert!(client.is_closed().await);
    server.stop().await;
}

async fn offset_at(client: &mut Client, version: i16, timestamp: i64) -> ListOffsetsPartitionResponse {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![ListOffsetsPartition { timestamp, ..Default::default() }],
        }],
        ..Default::default()
    };
    client.call(version, &request).await.topics[0].partitions[0].clone()
}

#[tokio::test]
async fn offsets_are_found_by_time_and_by_name() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let found = offset_at(&mut client, 11, -3).await;
    assert_eq!((found.offset, found.timestamp), (-1, -1), "an empty partition has no greatest timestamp");
    for _ in 0..5 {
        client.produce("t", 0, batch(&["v"])).await;
    }
    let at = 1_700_000_000_000;
    for (timestamp, offset, told) in [
        (-1, 5, -1),
        (-2, 0, -1),
        (-4, 0, -1),
        (-5, -1, -1),
        (-6, -1, -1),
        (-3, 0, at),
        (at, 0, at),
        (at + 1, -1, -1),
    ] {
        let found = offset_at(&mut client, 11, timestamp).await;
        assert_eq!((found.error_code, found.offset, found.timestamp), (0, offset, told), "asked {timestamp}");
    }
    // What a version does not know it refuses.
    for (version, timestamp) in [(6, -3), (7, -4), (8, -5), (10, -6), (11, -7)] {
        let code = offset_at(&mut client, version, timestamp).await.error_code;
        assert_eq!(code, ErrorCode::UnsupportedVersion.code());
    }
    let trim = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t".into(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset: 3 }],
        }],
        ..Default::default()
    };
    assert_eq!(client.call(2, &trim).await.topics[0].partitions[0].low_watermark, 3);
    assert_eq!(offset_at(&mut client, 11, -2).await.offset, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_fetch_of_many_partitions_answers_each_once() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 20, &[]).await;
    client.create_topic("u", 20, &[]).await;
    for partition in 0..20 {
        client.produce("t", partition, batch(&["v"])).await;
    }
    let mut request = fetch_request("t", 0, 0);
    request.topics = ["t", "u"]
        .map(|name| FetchTopic {
            topic: name.into(),
            partitions: (0..20)
                .map(|partition| FetchPartition {
                    partition,
                    partition_max_bytes: 1000,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        })
        .to_vec();
    let answer = client.call(11, &request).await;
    let told: Vec<(String, usize)> =
        answer.responses.iter().map(|topic| (topic.topic.to_string(), topic.partitions.len())).collect();
    assert_eq!(told, [("t".to_owned(), 20), ("u".to_owned(), 20)]);
    server.stop().await;
}
