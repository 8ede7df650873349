//! Over the local back end: what a restart keeps, and replies that are read from files.

use bytes::Bytes;
use kolk_wire_kafka::messages::heartbeat::HeartbeatRequest;
use kolk_wire_kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use kolk_wire_kafka::messages::metadata::MetadataRequest;
use kolk_wire_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kolk_wire_kafka::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use kolk_wire_kafka::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use kolk_wire_kafka::records::{BatchBuilder, Compression};

use crate::support::*;

fn stamped(sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.producer = Some((7, 0, sequence));
    builder.append(1_700_000_000_000, None, Some(b"once"), &[]);
    builder.build().unwrap()
}

#[tokio::test]
async fn a_restart_keeps_topics_records_producers_groups_and_offsets() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start_on(directory.path()).await;
    let mut client = server.connect().await;
    client.create_topic("t", 2, &[("retention.ms", "-1")]).await;
    let every = MetadataRequest { topics: None, ..Default::default() };
    let before = client.call(12, &every).await;
    // More than the cache holds, in batches of many file chunks.
    let values: Vec<String> = (0..12).map(|index| index.to_string().repeat(400_000)).collect();
    for value in &values {
        assert_eq!(client.produce("t", 0, batch(&[value])).await.error_code, 0);
    }
    for sequence in 0..3 {
        assert_eq!(client.produce("t", 1, stamped(sequence)).await.base_offset, i64::from(sequence));
    }
    let join = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), ..Default::default() }],
        ..Default::default()
    };
    let joined = client.call(3, &join).await;
    let sync = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: joined.member_id.clone(),
            assignment: Bytes::from_static(b"mine"),
        }],
        ..Default::default()
    };
    assert_eq!(client.call(3, &sync).await.assignment, "mine");
    let commit = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: joined.generation_id,
        member_id: joined.member_id.clone(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetCommitRequestPartition { committed_offset: 9, ..Default::default() }],
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(client.call(8, &commit).await.topics[0].partitions[0].error_code, 0);
    server.stop().await;

    let server = TestServer::start_on(directory.path()).await;
    let mut client = server.connect().await;
    let after = client.call(12, &every).await;
    assert_eq!(after.topics, before.topics, "ids and partitions are as they were");
    let found: Vec<Bytes> = client.fetch("t", 0, 0).await.into_iter().map(|(_, value)| value).collect();
    assert!(
        found.iter().map(|value| &value[..]).eq(values.iter().map(String::as_bytes)),
        "whole and in order"
    );
    let middle = client.fetch("t", 0, 5).await;
    assert_eq!(middle.first().map(|(offset, _)| *offset), Some(5));
    // A retry from before the restart is known for what it is.
    let retried = client.produce("t", 1, stamped(1)).await;
    assert_eq!((retried.error_code, retried.base_offset), (0, 1));
    assert_eq!(client.produce("t", 1, stamped(3)).await.base_offset, 3);
    let heartbeat = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..Default::default()
    };
    assert_eq!(client.call(4, &heartbeat).await.error_code, 0, "nobody has to rebalance");
    let again = SyncGroupRequest { assignments: Vec::new(), ..sync };
    assert_eq!(client.call(3, &again).await.assignment, "mine");
    let fetch = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup { group_id: "g".into(), topics: None, ..Default::default() }],
        ..Default::default()
    };
    let groups = client.call(8, &fetch).await.groups;
    assert_eq!(groups[0].topics[0].partitions[0].committed_offset, 9);
    server.stop().await;
}
