//! What a connection promises: order, version negotiation, and what hostile bytes can do to it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kolk_broker::Settings;
use kolk_serve_kafka::Settings as FaceSettings;
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::codec::Message;
use kolk_wire_kafka::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchResponse};
use kolk_wire_kafka::messages::heartbeat::HeartbeatRequest;
use kolk_wire_kafka::messages::metadata::MetadataRequest;
use kolk_wire_kafka::messages::produce::{PartitionProduceData, ProduceRequest};
use tokio::io::AsyncWriteExt;

use crate::support::*;
use crate::versions::plain_versions_request;

#[tokio::test]
async fn answers_leave_in_the_order_of_requests_whatever_they_are() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let mut bytes = BytesMut::new();
    let mut sent = Vec::new();
    for round in 0..50 {
        let (id, frame) = match round % 5 {
            4 => client.frame(4, &plain_versions_request()),
            _ => client.frame(9, &produce_request("t", 0, batch(&[&format!("{round}")]))),
        };
        bytes.extend_from_slice(&frame);
        sent.push((round, id));
    }
    client.stream.write_all(&bytes).await.unwrap();
    let mut offset = 0;
    for (round, id) in sent {
        if round % 5 == 4 {
            client.receive::<ApiVersionsRequest>(4, id).await;
        } else {
            let answer = only_partition(client.receive::<ProduceRequest>(9, id).await);
            assert_eq!((answer.error_code, answer.base_offset), (0, offset));
            offset += 1;
        }
    }
    let values: Vec<_> = client.fetch("t", 0, 0).await.into_iter().map(|(_, value)| value).collect();
    let expected: Vec<_> = (0..50).filter(|round| round % 5 != 4).map(|round| round.to_string()).collect();
    assert_eq!(values, expected);
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    // Version 99 with a body that nobody can read.
    let mut frame = BytesMut::new();
    frame.put_i16(18);
    frame.put_i16(99);
    frame.put_i32(7);
    frame.put_i16(-1);
    frame.put_slice(&[0, 1, 2, 3]);
    client.stream.write_i32(frame.len() as i32).await.unwrap();
    client.stream.write_all(&frame).await.unwrap();
    let answer = client.receive_frame().await.expect("an answer");
    assert_eq!(answer[..4], 7i32.to_be_bytes());
    let (body, rest) = ApiVersionsResponse::decode_rest(answer.slice(4..), 0).unwrap();
    assert!(rest.is_empty());
    assert_eq!(body.error_code, ErrorCode::UnsupportedVersion.code());
    let told: Vec<_> =
        body.api_keys.iter().map(|row| (row.api_key, row.min_version, row.max_version)).collect();
    assert_eq!(told, [(18, 0, 5)]);
    // The connection goes on.
    let answer = client.call(5, &plain_versions_request()).await;
    assert_eq!(answer.error_code, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_client_of_another_cluster_is_sent_away() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let request = ApiVersionsRequest { cluster_id: Some("elsewhere".into()), ..plain_versions_request() };
    assert_eq!(client.call(5, &request).await.error_code, ErrorCode::RebootstrapRequired.code());
    let request = ApiVersionsRequest { node_id: 7, ..plain_versions_request() };
    assert_eq!(client.call(5, &request).await.error_code, ErrorCode::RebootstrapRequired.code());
    let request = ApiVersionsRequest { client_software_name: "-no-".into(), ..plain_versions_request() };
    assert_eq!(client.call(3, &request).await.error_code, ErrorCode::InvalidRequest.code());
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_served_closes_the_connection() {
    let server = TestServer::start().await;
    // An API that is not served, one that does not exist, a version that does not exist.
    for (key, version) in [(68i16, 0i16), (999, 0), (3, 99), (1, 3), (-1, 0)] {
        let mut client = server.connect().await;
        let mut frame = BytesMut::new();
        frame.put_i32(10);
        frame.put_i16(key);
        frame.put_i16(version);
        frame.put_i32(1);
        frame.put_i16(-1);
        client.stream.write_all(&frame).await.unwrap();
        assert!(client.is_closed().await, "key {key} version {version}");
    }
    assert!(server.connect().await.call(9, &MetadataRequest::default()).await.error_code == 0);
    server.stop().await;
}

#[tokio::test]
async fn hostile_bytes_close_their_own_connection_and_nothing_else() {
    let server = TestServer::start().await;
    let mut honest = server.connect().await;
    honest.create_topic("t", 1, &[]).await;
    let hostile: Vec<Vec<u8>> = vec![
        (-1i32).to_be_bytes().to_vec(),
        i32::MAX.to_be_bytes().to_vec(),
        0i32.to_be_bytes().to_vec(),
        b"GET / HTTP/1.1\r\nHost: kolk\r\n\r\n".to_vec(),
        [&7i32.to_be_bytes()[..], &[0xff; 7]].concat(),
        // A Produce whose topic array claims two thousand million entries.
        [
            &22i32.to_be_bytes()[..],
            &[0, 0, 0, 7, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff],
        ]
        .concat(),
    ];
    for bytes in hostile {
        let mut client = server.connect().await;
        client.stream.write_all(&bytes).await.unwrap();
        assert!(client.is_closed().await, "{bytes:?}");
    }
    // Random bytes behind a right size, many times.
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..200 {
        let mut client = server.connect().await;
        let mut bytes = BytesMut::new();
        bytes.put_i32(64);
        for _ in 0..8 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes.put_u64(seed);
        }
        // Keys and versions that exist, so that the bodies are looked at.
        bytes[4] = 0;
        bytes[5] %= 40;
        bytes[6] = 0;
        bytes[7] %= 10;
        client.stream.write_all(&bytes).await.unwrap();
        client.stream.shutdown().await.unwrap();
        while client.receive_frame().await.is_some() {}
    }
    assert_eq!(honest.produce("t", 0, batch(&["still here"])).await.error_code, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_half_request_is_given_up_and_an_idle_connection_closed() {
    let face = FaceSettings { stall_ms: 300, idle_ms: 600, ..FaceSettings::default() };
    let server = TestServer::start_with(Settings::default(), face).await;
    let mut half = server.connect().await;
    half.stream.write_all(&1_000_000i32.to_be_bytes()).await.unwrap();
    half.stream.write_all(&[0, 0, 0, 9]).await.unwrap();
    let mut tiny = server.connect().await;
    tiny.stream.write_all(&[0, 0]).await.unwrap();
    let mut idle = server.connect().await;
    assert!(half.is_closed().await);
    assert!(tiny.is_closed().await);
    assert!(idle.is_closed().await);
    server.stop().await;
}

/// Ten thousand connections that said nothing, or never the end of a request, kept everybody else out for ten minutes.
#[tokio::test]
async fn where_all_places_are_taken_who_is_silent_gives_way() {
    const PLACES: usize = 6;
    const FETCHES: usize = 6;
    let face = FaceSettings { connections_max: PLACES, ..FaceSettings::default() };
    let server = TestServer::start_with(Settings::default(), face).await;
    let mut asks_seldom = server.connect().await;
    asks_seldom.create_topic("t", 1, &[]).await;
    asks_seldom.create_topic("large", 1, &[]).await;
    let value = "x".repeat(1000);
    for _ in 0..6 {
        let answer = asks_seldom.produce("large", 0, batch(&vec![value.as_str(); 1000])).await;
        assert_eq!(answer.error_code, 0);
    }

    // One waits for its answer, one does not read what it gets: more than the system takes from the server.
    let mut waits = server.connect().await;
    let mut request = fetch_request("t", 0, 0);
    (request.max_wait_ms, request.min_bytes) = (i32::MAX, 1);
    let waits_for = waits.send(11, &request).await;
    until(&server, &|server| waiting_bytes(server) > 0).await;
    let mut reads_late = server.connect().await;
    let mut reads = Vec::new();
    for _ in 0..FETCHES {
        reads.push(reads_late.send(11, &fetch_request("large", 0, 0)).await);
    }

    let mut silent = Vec::new();
    for number in 0..30 {
        let mut client = server.connect().await;
        let sent: &[u8] = match number % 3 {
            0 => &[],
            1 => &[0, 0],
            _ => &[0, 0x10, 0, 0, 0, 0, 0, 9],
        };
        // It may have given way already.
        let _ = client.stream.write_all(sent).await;
        silent.push(client);
    }
    let mut asks = server.connect().await;
    assert_eq!(asks.produce("t", 0, batch(&["x"])).await.error_code, 0);
    assert_eq!(
        asks_seldom.produce("t", 0, batch(&["x"])).await.error_code,
        0,
        "a crowd costs nobody else his place"
    );
    for client in &mut silent[..30 - PLACES] {
        assert!(client.is_closed().await);
    }
    let gave_way = server.counted("kolk_connections_closed_total{protocol=\"kafka\",reason=\"gave way\"}");
    assert!(gave_way >= 34 - PLACES as u64, "{gave_way} gave way of 34 for {PLACES} places");

    let answer = waits.receive::<FetchRequest>(11, waits_for).await;
    assert_eq!(records_of(&answer).len(), 1);
    for id in reads {
        let answer = reads_late.receive::<FetchRequest>(11, id).await;
        assert_eq!(records_of(&answer).len(), 6000);
    }
    // They were not merely let finish.
    for client in [&mut waits, &mut reads_late] {
        assert_eq!(client.produce("t", 0, batch(&["x"])).await.error_code, 0);
    }
    drop(silent);
    server.stop().await;
}

/// A request that is announced is none yet, also while there is no memory for it.
#[tokio::test]
async fn who_waits_for_room_to_send_a_request_gives_way() {
    let face = FaceSettings { connections_max: 4, ..FaceSettings::default() };
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, face).await;
    let held = server.hold_memory(64 << 10);
    let mut waiting = Vec::new();
    for _ in 0..12 {
        let mut client = server.connect().await;
        // It may have given way already.
        let _ = client.stream.write_all(&[0, 0x10, 0, 0, 0, 0, 0, 9]).await;
        waiting.push(client);
    }
    let mut asks = server.connect().await;
    assert_eq!(asks.call(4, &plain_versions_request()).await.error_code, 0);
    assert!(waiting[0].is_closed().await);
    drop((held, waiting));
    server.stop().await;
}

#[tokio::test]
async fn memory_that_half_requests_hold_is_bounded_and_heartbeats_pass() {
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, FaceSettings::default()).await;
    // Far more is announced than there is room for.
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut client = server.connect().await;
        client.stream.write_all(&(1i32 << 20).to_be_bytes()).await.unwrap();
        client.stream.write_all(&[0, 0, 0, 9, 0, 0, 0, 1]).await.unwrap();
        held.push(client);
    }
    let mut heart = server.connect().await;
    let request = HeartbeatRequest { group_id: "g".into(), member_id: "m".into(), ..Default::default() };
    assert_eq!(heart.call(4, &request).await.error_code, ErrorCode::UnknownMemberId.code());
    assert!(server.broker.admission().available() >= 2 << 20, "half of the budget is for whole requests");
    drop(held);
    // The room comes back: a large request goes through.
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let value = "x".repeat(1000);
    let values: Vec<&str> = (0..900).map(|_| value.as_str()).collect();
    assert_eq!(client.produce("t", 0, batch(&values)).await.error_code, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_request_larger_than_the_whole_budget_is_served_alone() {
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, FaceSettings::default()).await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[("max.message.bytes", "20000000")]).await;
    let value = "x".repeat(1 << 20);
    let values: Vec<&str> = (0..12).map(|_| value.as_str()).collect();
    assert_eq!(client.produce("t", 0, batch(&values)).await.error_code, 0);
    assert_eq!(client.fetch("t", 0, 0).await.len(), 12);
    server.stop().await;
}

#[tokio::test]
async fn requests_may_come_byte_by_byte() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let (id, frame) = client.frame(9, &produce_request("t", 0, batch(&["slow"])));
    for byte in &frame {
        client.stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(only_partition(client.receive::<ProduceRequest>(9, id).await).error_code, 0);
    server.stop().await;
}

/// It was noticed only when the wait ended, which is for the client to choose: ten thousand of them held their memory
/// and their connections for as long as they liked.
#[tokio::test]
async fn a_client_that_hangs_up_while_it_waits_frees_what_it_held() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let free = server.broker.admission().available();
    let mut request = fetch_request("t", 0, 0);
    request.max_wait_ms = i32::MAX;
    request.min_bytes = 1;
    client.send(11, &request).await;
    until(&server, &|server| waiting_bytes(server) > 0).await;
    drop(client);
    until(&server, &|server| waiting_bytes(server) == 0).await;
    assert_eq!(server.broker.admission().available(), free);
    server.stop().await;
}

/// Four of them held all of the budget for requests, for up to 24 days: nobody could produce or fetch.
#[tokio::test]
async fn a_long_poll_holds_what_it_keeps_and_not_what_it_was() {
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, FaceSettings::default()).await;
    let mut honest = server.connect().await;
    honest.create_topic("t", 1, &[]).await;
    honest.create_topic("large", 1, &[("max.message.bytes", "20000000")]).await;
    let free = server.broker.admission().available();
    let mut request = fetch_request("t", 0, 0);
    request.max_wait_ms = i32::MAX;
    request.min_bytes = 1;
    let mut waiting = Vec::new();
    for length in [1 << 20, 1 << 20, 1 << 20, 1 << 20, 2 << 20] {
        let mut client = server.connect().await;
        let (id, frame) = client.frame(11, &request);
        // What stands behind a message is ignored, but it was received.
        let mut padded = frame.to_vec();
        padded.resize(length, 0);
        padded[..4].copy_from_slice(&(length as i32 - 4).to_be_bytes());
        let before = waiting_bytes(&server);
        client.stream.write_all(&padded).await.unwrap();
        waiting.push((client, id));
        until(&server, &|server| waiting_bytes(server) > before).await;
        assert_eq!(server.broker.admission().available(), free);
    }
    assert!(waiting_bytes(&server) < 16 * 1024);
    // It needs all of the budget that there is for requests.
    let value = "x".repeat(1 << 20);
    assert_eq!(honest.produce("large", 0, batch(&[value.as_str(); 6])).await.error_code, 0);
    assert_eq!(honest.produce("t", 0, batch(&["x"])).await.error_code, 0);
    for (mut client, id) in waiting {
        let answer = client.receive::<FetchRequest>(11, id).await;
        assert_eq!(records_of(&answer).len(), 1);
    }
    server.stop().await;
}

/// The answer to a Produce or a Fetch was in no budget while its client did not read it: 46 MB for 2 MB sent, on as many
/// connections as there are.
#[tokio::test]
async fn answers_that_nobody_reads_are_in_the_budget() {
    const NAMED: i32 = 60_000;
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let admission = server.broker.admission();
    let free = admission.available();
    let mut produce = produce_request("t", 0, Bytes::new());
    produce.topic_data[0].partition_data =
        (0..NAMED).map(|index| PartitionProduceData { index, records: None }).collect();
    let mut fetch = fetch_request("unknown", 0, 0);
    fetch.topics[0].partitions =
        (0..NAMED).map(|partition| FetchPartition { partition, ..Default::default() }).collect();
    let (produce, fetch) = (client.frame(9, &produce).1, client.frame(12, &fetch).1);
    for (frame, answer_bytes) in [(produce, 60 * NAMED as usize), (fetch, 30 * NAMED as usize)] {
        // The sockets take some of them.
        let mut greedy = server.connect().await;
        let frames = frame.repeat(12);
        let write = async {
            greedy.stream.write_all(&frames).await.expect("requests are taken, as far as there is room");
            std::future::pending::<()>().await
        };
        tokio::select! {
            biased;
            () = settled(&server, free) => {}
            () = write => {}
        }
        let held = free - admission.available();
        assert!(held >= answer_bytes, "{held} bytes are held of an answer of {answer_bytes}");
        drop(greedy);
        until(&server, &|server| server.broker.admission().available() == free).await;
    }
    server.stop().await;
}

/// Waits until something is held, and nothing more comes or goes.
async fn settled(server: &TestServer, free: usize) {
    let (mut last, mut same) = (free, 0);
    let start = std::time::Instant::now();
    while same < 40 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = server.broker.admission().available();
        same = if now == last && now < free { same + 1 } else { 0 };
        last = now;
        assert!(start.elapsed() < PATIENCE, "{now} of {free}");
    }
}

/// Whoever finds no room to wait in is answered soon, and asks again: what it holds others may be queueing for.
#[tokio::test]
async fn where_too_many_wait_the_next_ones_do_not_wait_long() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let mut held = Vec::new();
    while let Some(permit) = server.broker.admission().try_wait(1024) {
        held.push(permit);
    }
    let mut request = fetch_request("t", 0, 0);
    request.max_wait_ms = i32::MAX;
    request.min_bytes = 1;
    let answer: FetchResponse = client.call(11, &request).await;
    assert!(records_of(&answer).is_empty());
    server.stop().await;
}

fn waiting_bytes(server: &TestServer) -> usize {
    let parts = server.broker.admission().parts();
    parts.iter().find(|(name, ..)| *name == "waiting").expect("a part of the budget").1
}

#[tokio::test]
async fn stopping_ends_long_polls_and_refuses_newcomers() {
    let server = TestServer::start().await;
    let address = server.address;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let mut request = fetch_request("t", 0, 0);
    request.max_wait_ms = 1_000_000;
    request.min_bytes = 1;
    client.send(11, &request).await;
    let idle = server.connect().await;
    tokio::time::timeout(Duration::from_secs(30), server.stop())
        .await
        .expect("stopping does not wait for polls");
    assert!(client.is_closed().await);
    drop(idle);
    if let Ok(stream) = tokio::net::TcpStream::connect(address).await {
        drop(stream);
    }
}
