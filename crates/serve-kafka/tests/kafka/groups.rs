//! Groups over the wire: two-step join, rebalances, static members, commits and who may make them, administration.

use std::sync::Arc;

use bytes::Bytes;
use kolk_broker::{Class, Settings};
use kolk_engine::door::real;
use kolk_engine::memory::{MemoryEngine, MemoryOptions};
use kolk_engine::state::{Command, Limits, Membership, Outcome};
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::delete_groups::DeleteGroupsRequest;
use kolk_wire_kafka::messages::describe_groups::DescribeGroupsRequest;
use kolk_wire_kafka::messages::heartbeat::HeartbeatRequest;
use kolk_wire_kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use kolk_wire_kafka::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use kolk_wire_kafka::messages::list_groups::ListGroupsRequest;
use kolk_wire_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kolk_wire_kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kolk_wire_kafka::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use tokio::io::AsyncWriteExt;

use crate::support::*;

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

fn join_request(member_id: &str, instance: Option<&str>) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: member_id.into(),
        group_instance_id: instance.map(Into::into),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"m"),
        }],
        ..Default::default()
    }
}

/// Joins for the first time, in two steps, and waits for the rebalance.
async fn join_new(client: &mut Client) -> JoinGroupResponse {
    let first = client.call(9, &join_request("", None)).await;
    assert_eq!(code(first.error_code), ErrorCode::MemberIdRequired);
    client.call(9, &join_request(&first.member_id, None)).await
}

async fn sync(
    client: &mut Client,
    joined: &JoinGroupResponse,
    assignments: &[(&str, &str)],
) -> (ErrorCode, Bytes) {
    let request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments
            .iter()
            .map(|(member, assignment)| SyncGroupRequestAssignment {
                member_id: (*member).into(),
                assignment: Bytes::copy_from_slice(assignment.as_bytes()),
            })
            .collect(),
        ..Default::default()
    };
    let answer = client.call(5, &request).await;
    (code(answer.error_code), answer.assignment)
}

async fn heartbeat(client: &mut Client, generation_id: i32, member_id: &str) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: "g".into(),
        generation_id,
        member_id: member_id.into(),
        ..Default::default()
    };
    code(client.call(4, &request).await.error_code)
}

async fn commit(client: &mut Client, generation: i32, member_id: &str, offset: i64) -> ErrorCode {
    commit_with(client, generation, member_id, offset, "where I was").await
}

async fn commit_with(
    client: &mut Client,
    generation: i32,
    member_id: &str,
    offset: i64,
    metadata: &str,
) -> ErrorCode {
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: generation,
        member_id: member_id.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: offset,
                committed_metadata: Some(metadata.into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    code(client.call(9, &request).await.topics[0].partitions[0].error_code)
}

async fn committed(client: &mut Client) -> Option<(i64, String)> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup { group_id: "g".into(), topics: None, ..Default::default() }],
        ..Default::default()
    };
    let answer = client.call(9, &request).await;
    let partition = answer.groups[0].topics.first()?.partitions[0].clone();
    Some((partition.committed_offset, partition.metadata.unwrap_or_default().to_string()))
}

async fn state(client: &mut Client) -> (String, usize) {
    let request = DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() };
    let group = client.call(6, &request).await.groups[0].clone();
    (group.group_state.to_string(), group.members.len())
}

/// A server with the smallest budget, and its client that is the only member of the group "g", in generation 1.
async fn small_server_with_a_member() -> (TestServer, Client, JoinGroupResponse) {
    let mut settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    settings.groups.initial_rebalance_delay_ms = 0;
    let server = TestServer::start_with(settings, kolk_serve_kafka::Settings::default()).await;
    let mut a = server.connect().await;
    let first = join_new(&mut a).await;
    sync(&mut a, &first, &[]).await;
    (server, a, first)
}

/// What a group waits for others decide, up to 24 days long. Four waiting requests held all of the budget meanwhile, and
/// went on to when their clients had hung up.
#[tokio::test]
async fn who_waits_for_the_group_holds_nothing_and_may_hang_up() {
    let (server, mut a, first) = small_server_with_a_member().await;
    let mut b = server.connect().await;
    let free = server.broker.admission().available();

    // A join waits for the other member.
    let required = b.call(9, &join_request("", None)).await;
    let mut request = join_request(&required.member_id, None);
    request.rebalance_timeout_ms = i32::MAX;
    request.protocols[0].metadata = Bytes::from(vec![0; 1_000_000]);
    let (waiting, frame) = b.frame(9, &request);
    send_and_wait_until_it_holds_nothing(&server, &mut b, &frame, free).await;
    while heartbeat(&mut a, 1, &first.member_id).await == ErrorCode::None {
        tokio::task::yield_now().await;
    }
    let again = a.call(9, &join_request(&first.member_id, None)).await;
    let joined = b.receive::<JoinGroupRequest>(9, waiting).await;
    assert_eq!((again.generation_id, joined.generation_id), (2, 2));

    // A follower waits for the leader, which is alive and does nothing.
    let request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: 2,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![SyncGroupRequestAssignment {
            assignment: Bytes::from(vec![0; 1 << 20]),
            ..Default::default()
        }],
        ..Default::default()
    };
    let (_, frame) = b.frame(5, &request);
    send_and_wait_until_it_holds_nothing(&server, &mut b, &frame, free).await;
    assert_eq!(heartbeat(&mut a, 2, &first.member_id).await, ErrorCode::None);
    b.stream.shutdown().await.unwrap();
    assert!(b.is_closed().await, "a client that hung up is let go while it waits");

    // It is still a member, and may ask again.
    let mut b = server.connect().await;
    let waiting = b.send(5, &SyncGroupRequest { assignments: Vec::new(), ..request }).await;
    sync(&mut a, &again, &[(&joined.member_id, "mine")]).await;
    assert_eq!(b.receive::<SyncGroupRequest>(5, waiting).await.assignment, "mine");
    server.stop().await;
}

/// A leader's list of members was in no budget while its answer waited for room.
#[tokio::test]
async fn a_leader_without_room_gets_its_members_when_there_is_some() {
    let (server, mut a, first) = small_server_with_a_member().await;
    let mut b = server.connect().await;
    let admission = server.broker.admission();
    let free = admission.available();
    let required = b.call(9, &join_request("", None)).await;
    let mut request = join_request(&required.member_id, None);
    request.protocols[0].metadata = Bytes::from(vec![7; 100_000]);
    let (follower, frame) = b.frame(9, &request);
    send_and_wait_until_it_holds_nothing(&server, &mut b, &frame, free).await;
    while heartbeat(&mut a, 1, &first.member_id).await == ErrorCode::None {
        tokio::task::yield_now().await;
    }

    let held = admission.try_admit(free - (64 << 10), Class::Data).unwrap();
    let waits = admission.waits();
    let leader = a.send(9, &join_request(&first.member_id, None)).await;
    assert_eq!(b.receive::<JoinGroupRequest>(9, follower).await.generation_id, 2);
    until(&server, &|_| admission.waits() > waits).await;
    let nothing = a.stream.try_read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    drop(held);
    let joined = a.receive::<JoinGroupRequest>(9, leader).await;
    assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (0, 2, 2));
    assert!(joined.members.iter().any(|member| member.metadata.len() == 100_000));
    server.stop().await;
}

/// Sends a request whose arrival takes more of the budget than is left of it once it waits for others.
async fn send_and_wait_until_it_holds_nothing(
    server: &TestServer,
    client: &mut Client,
    frame: &[u8],
    free: usize,
) {
    let (most, last) = frame.split_at(frame.len() - 1);
    client.stream.write_all(most).await.unwrap();
    until(server, &|server| server.broker.admission().available() < free).await;
    client.stream.write_all(last).await.unwrap();
    until(server, &|server| server.broker.admission().available() == free).await;
}

/// The state kept to 4096 bytes whatever `offset.metadata.max.bytes` said.
#[tokio::test]
async fn metadata_is_as_long_as_the_setting_lets_it() {
    let limits = Limits { offset_metadata_bytes: 8192, ..Limits::default() };
    let door = real::door(real::DiskOptions::default());
    let engine = MemoryEngine::new(door.clone(), MemoryOptions { limits, ..MemoryOptions::default() });
    let (settings, face) = (Settings::default(), kolk_serve_kafka::Settings::default());
    let server = TestServer::start_over(Arc::new(engine), door, settings, face).await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let (longest, longer) = ("m".repeat(8192), "m".repeat(8193));
    assert_eq!(commit_with(&mut client, -1, "", 5, &longest).await, ErrorCode::None);
    assert_eq!(commit_with(&mut client, -1, "", 6, &longer).await, ErrorCode::OffsetMetadataTooLarge);
    assert_eq!(committed(&mut client).await, Some((5, longest)));
    server.stop().await;
}

#[tokio::test]
async fn two_members_rebalance_and_one_leaves() {
    let server = TestServer::start().await;
    let (mut a, mut b) = (server.connect().await, server.connect().await);
    a.create_topic("t", 1, &[]).await;
    let first = join_new(&mut a).await;
    assert_eq!((code(first.error_code), first.generation_id), (ErrorCode::None, 1));
    assert_eq!(sync(&mut a, &first, &[(&first.member_id, "all")]).await, (ErrorCode::None, "all".into()));
    assert_eq!(state(&mut a).await, ("Stable".to_owned(), 1));

    // The second one's join waits until the first has come too.
    let required = b.call(9, &join_request("", None)).await;
    let waiting = b.send(9, &join_request(&required.member_id, None)).await;
    while heartbeat(&mut a, 1, &first.member_id).await == ErrorCode::None {
        tokio::task::yield_now().await;
    }
    assert_eq!(heartbeat(&mut a, 1, &first.member_id).await, ErrorCode::RebalanceInProgress);
    assert_eq!(
        commit(&mut a, 1, &first.member_id, 5).await,
        ErrorCode::None,
        "the old generation may still commit"
    );
    let again = a.call(9, &join_request(&first.member_id, None)).await;
    let joined = b.receive::<JoinGroupRequest>(9, waiting).await;
    assert_eq!((again.generation_id, joined.generation_id), (2, 2));
    assert_eq!(again.leader, first.member_id);
    assert_eq!((again.members.len(), joined.members.len()), (2, 0));
    assert_eq!(commit(&mut a, 2, &first.member_id, 6).await, ErrorCode::RebalanceInProgress);

    // The follower's sync waits for the leader's.
    let request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: 2,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        ..Default::default()
    };
    let waiting = b.send(5, &request).await;
    let assignments = [(first.member_id.as_str(), "one"), (joined.member_id.as_str(), "two")];
    assert_eq!(sync(&mut a, &again, &assignments).await, (ErrorCode::None, "one".into()));
    assert_eq!(b.receive::<SyncGroupRequest>(5, waiting).await.assignment, "two");
    assert_eq!(heartbeat(&mut b, 2, &joined.member_id).await, ErrorCode::None);
    assert_eq!(heartbeat(&mut b, 1, &joined.member_id).await, ErrorCode::IllegalGeneration);
    assert_eq!(heartbeat(&mut b, 2, "nobody").await, ErrorCode::UnknownMemberId);

    // Commits are fenced by member and generation.
    assert_eq!(commit(&mut a, 2, &first.member_id, 7).await, ErrorCode::None);
    assert_eq!(commit(&mut a, 1, &first.member_id, 8).await, ErrorCode::IllegalGeneration);
    assert_eq!(commit(&mut a, 2, "nobody", 8).await, ErrorCode::UnknownMemberId);
    assert_eq!(commit(&mut a, -1, "", 8).await, ErrorCode::UnknownMemberId);
    assert_eq!(committed(&mut a).await, Some((7, "where I was".to_owned())));

    let leave = LeaveGroupRequest {
        group_id: "g".into(),
        members: vec![MemberIdentity { member_id: joined.member_id.clone(), ..Default::default() }],
        ..Default::default()
    };
    assert_eq!(code(b.call(5, &leave).await.members[0].error_code), ErrorCode::None);
    assert_eq!(heartbeat(&mut a, 2, &first.member_id).await, ErrorCode::RebalanceInProgress);
    let alone = a.call(9, &join_request(&first.member_id, None)).await;
    assert_eq!((alone.generation_id, alone.members.len()), (3, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_static_member_comes_back_without_a_rebalance() {
    let server = TestServer::start().await;
    let mut a = server.connect().await;
    let joined = a.call(9, &join_request("", Some("i1"))).await;
    assert_eq!(code(joined.error_code), ErrorCode::None, "static members join in one step");
    assert_eq!(sync(&mut a, &joined, &[(&joined.member_id, "mine")]).await.0, ErrorCode::None);
    let mut back = server.connect().await;
    let again = back.call(9, &join_request("", Some("i1"))).await;
    assert_eq!((again.generation_id, again.skip_assignment), (1, true));
    assert_ne!(again.member_id, joined.member_id);
    assert_eq!(sync(&mut back, &again, &[]).await, (ErrorCode::None, "mine".into()));
    // The one that was replaced is fenced.
    let request = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: 1,
        member_id: joined.member_id.clone(),
        group_instance_id: Some("i1".into()),
    };
    assert_eq!(code(a.call(4, &request).await.error_code), ErrorCode::FencedInstanceId);
    // Before version 9 a leader that came back must not hear that it leads.
    let older = back.call(7, &join_request("", Some("i1"))).await;
    assert_eq!((older.generation_id, older.members.len()), (1, 0));
    assert_eq!(older.leader, again.member_id);
    // It leaves by its instance id alone.
    let leave = LeaveGroupRequest {
        group_id: "g".into(),
        members: vec![MemberIdentity { group_instance_id: Some("i1".into()), ..Default::default() }],
        ..Default::default()
    };
    assert_eq!(code(back.call(5, &leave).await.members[0].error_code), ErrorCode::None);
    assert_eq!(state(&mut a).await, ("Empty".to_owned(), 0));
    server.stop().await;
}

#[tokio::test]
async fn joins_that_do_not_fit_are_refused() {
    let server = TestServer::start().await;
    let mut a = server.connect().await;
    join_new(&mut a).await;
    let cases = [
        (JoinGroupRequest { group_id: "".into(), ..join_request("", None) }, ErrorCode::InvalidGroupId),
        (
            JoinGroupRequest { session_timeout_ms: 100, ..join_request("", None) },
            ErrorCode::InvalidSessionTimeout,
        ),
        (join_request("nobody", None), ErrorCode::UnknownMemberId),
        (
            JoinGroupRequest { protocol_type: "connect".into(), ..join_request("", None) },
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            JoinGroupRequest {
                protocols: vec![JoinGroupRequestProtocol { name: "other".into(), ..Default::default() }],
                ..join_request("", None)
            },
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            JoinGroupRequest { protocols: Vec::new(), group_id: "h".into(), ..join_request("", None) },
            ErrorCode::InconsistentGroupProtocol,
        ),
    ];
    for (request, expected) in cases {
        let mut client = server.connect().await;
        assert_eq!(code(client.call(9, &request).await.error_code), expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_full_group_takes_nobody_else() {
    let mut settings = kolk_broker::Settings::default();
    settings.groups.initial_rebalance_delay_ms = 0;
    settings.groups.members_max = 1;
    let server = TestServer::start_with(settings, Default::default()).await;
    let (mut a, mut b) = (server.connect().await, server.connect().await);
    let joined = join_new(&mut a).await;
    sync(&mut a, &joined, &[]).await;
    let refused = b.call(9, &join_request("", None)).await;
    assert_eq!(code(refused.error_code), ErrorCode::GroupMaxSizeReached);
    server.stop().await;
}

#[tokio::test]
async fn groups_are_listed_and_deleted_when_empty() {
    let server = TestServer::start().await;
    let mut a = server.connect().await;
    a.create_topic("t", 1, &[]).await;
    // A consumer that assigns its partitions itself commits to a group that nobody is in.
    assert_eq!(commit(&mut a, -1, "", 3).await, ErrorCode::None);
    assert_eq!(commit(&mut a, 4, "someone", 3).await, ErrorCode::UnknownMemberId);
    let list = |states: &[&str]| ListGroupsRequest {
        states_filter: states.iter().map(|state| (*state).into()).collect(),
        ..Default::default()
    };
    assert_eq!(a.call(5, &list(&[])).await.groups.len(), 1);
    assert_eq!(a.call(5, &list(&["stable"])).await.groups.len(), 0);
    assert_eq!(a.call(5, &list(&["EMPTY"])).await.groups[0].group_type, "classic");
    let joined = join_new(&mut a).await;
    sync(&mut a, &joined, &[]).await;
    let delete = DeleteGroupsRequest { groups_names: vec!["g".into()] };
    assert_eq!(code(a.call(3, &delete).await.results[0].error_code), ErrorCode::NonEmptyGroup);
    assert_eq!(committed(&mut a).await, Some((3, "where I was".to_owned())), "joining keeps the offsets");
    let leave = LeaveGroupRequest { group_id: "g".into(), member_id: joined.member_id, ..Default::default() };
    assert_eq!(code(a.call(2, &leave).await.error_code), ErrorCode::None);
    assert_eq!(code(a.call(3, &delete).await.results[0].error_code), ErrorCode::None);
    assert_eq!(committed(&mut a).await, None);
    assert_eq!(state(&mut a).await, ("Dead".to_owned(), 0));
    server.stop().await;
}

/// A group id of 40,000 bytes came in through a flexible version, and from then on nobody's ListGroups could be written, for a
/// week. Kafka 4.4.0 closes the connection that sends it.
#[tokio::test]
async fn a_name_too_long_to_be_told_closes_its_own_connection_only() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let longest = "g".repeat(32_767);
    let request = |group: &str| OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetCommitRequestPartition::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = client.call(8, &request(&longest)).await;
    assert_eq!(code(answer.topics[0].partitions[0].error_code), ErrorCode::None);

    // One byte more, in the header's place of the compact length and at the end of the id.
    let mut hostile = server.connect().await;
    let (_, frame) = hostile.frame(8, &request(&longest));
    let at =
        frame.windows(3).position(|bytes| bytes == [0x80, 0x80, 0x02]).expect("the id's length, plus one");
    let mut frame = frame.to_vec();
    frame[at] += 1;
    frame.insert(at + 3, b'g');
    let size = frame.len() as i32 - 4;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    hostile.stream.write_all(&frame).await.unwrap();
    assert!(hostile.is_closed().await);

    for version in [1, 5] {
        let listed = client.call(version, &ListGroupsRequest::default()).await;
        let names: Vec<&str> = listed.groups.iter().map(|group| &*group.group_id).collect();
        assert_eq!(names, [&longest]);
    }
    server.stop().await;
}

/// A member's id begins with what the client calls itself, and was longer than a string may be: the leader's answer, which
/// names all members, could not be written, and the group never got through a rebalance.
#[tokio::test]
async fn a_member_with_the_longest_client_id_does_not_break_the_leaders_answer() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let mut request = join_request("", Some(&"i".repeat(32_767)));
    let joined = client.call(9, &request).await;
    assert_eq!(code(joined.error_code), ErrorCode::None);
    assert_eq!(joined.member_id.len(), 32_767);
    assert_eq!(joined.members[0].member_id, joined.member_id);
    // What the client calls itself need not be of one byte a letter.
    request.group_id = "other".into();
    request.group_instance_id = Some("\u{1f42e}".repeat(8000).into());
    let joined = client.call(9, &request).await;
    assert_eq!((code(joined.error_code), joined.members.len()), (ErrorCode::None, 1));
    let describe = DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() };
    assert_eq!(client.call(5, &describe).await.groups[0].members[0].member_id.len(), 32_767);
    server.stop().await;
}

/// Each was answered with all that the group has: 4 bytes for as much as there is.
#[tokio::test]
async fn what_is_named_many_times_in_an_offset_fetch_is_answered_once() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 2, &[]).await;
    assert_eq!(commit(&mut client, -1, "", 5).await, ErrorCode::None);
    let group = |topics| OffsetFetchRequestGroup { group_id: "g".into(), topics, ..Default::default() };
    let all = OffsetFetchRequest { groups: vec![group(None); 1000], ..Default::default() };
    let answer = client.call(9, &all).await;
    assert_eq!((answer.groups.len(), answer.groups[0].topics[0].partitions.len()), (1, 1));

    let topic = |name: &str| OffsetFetchRequestTopics {
        name: name.into(),
        partition_indexes: [0, 1, 7].repeat(100),
        ..Default::default()
    };
    let topics = vec![topic("t"), topic("no"), topic("t")];
    let request = OffsetFetchRequest { groups: vec![group(Some(topics))], ..Default::default() };
    let answer = client.call(9, &request).await;
    let topics = &answer.groups[0].topics;
    let told: Vec<Vec<(i32, i64)>> = topics
        .iter()
        .map(|topic| topic.partitions.iter().map(|one| (one.partition_index, one.committed_offset)).collect())
        .collect();
    assert_eq!(told, [vec![(0, 5), (1, -1), (7, -1)], vec![(0, -1), (1, -1), (7, -1)], vec![]]);
    server.stop().await;
}

/// An answer was made first and weighed then: a request of a few bytes may ask for all that the state holds.
#[tokio::test]
async fn offsets_are_weighed_before_they_are_answered() {
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, kolk_serve_kafka::Settings::default()).await;
    let mut client = server.connect().await;
    client.create_topic("t", 50, &[]).await;
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: (0..50)
                .map(|partition_index| OffsetCommitRequestPartition {
                    partition_index,
                    committed_metadata: Some("m".repeat(4000).into()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    client.call(9, &request).await;

    // Somebody holds nearly all of the budget, and what is set aside for answers.
    let held = server.hold_memory(64 << 10);
    let group = OffsetFetchRequestGroup { group_id: "g".into(), topics: None, ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    let id = client.send(9, &request).await;
    let mut other = server.connect().await;
    for _ in 0..50 {
        assert_eq!(heartbeat(&mut other, 1, "m").await, ErrorCode::UnknownMemberId);
    }
    let nothing = client.stream.try_read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    drop(held);
    let answer = client.receive::<OffsetFetchRequest>(9, id).await;
    assert_eq!(answer.groups[0].topics[0].partitions.len(), 50);
    server.stop().await;
}

/// A list of all groups was made for each request of 20 bytes, over many waits, before the budget was asked: 64 clients that
/// listed 100,000 groups held 2 GB.
#[tokio::test]
async fn a_long_list_of_groups_is_weighed_before_it_is_made() {
    const GROUPS: usize = 5000;
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, kolk_serve_kafka::Settings::default()).await;
    let mut client = server.connect().await;
    for n in 0..GROUPS {
        let group = format!("group {n}").into();
        let store =
            Command::StoreGroup { group, expected_generation: None, membership: Membership::default() };
        assert_eq!(server.broker.propose(store).await.unwrap(), Ok(Outcome::Done));
    }

    // Room for the answer, and not for the lists that it is made of.
    let held = server.hold_memory(512 << 10);
    let id = client.send(5, &ListGroupsRequest::default()).await;
    let mut other = server.connect().await;
    for _ in 0..100 {
        assert_eq!(heartbeat(&mut other, 1, "m").await, ErrorCode::UnknownMemberId);
    }
    let nothing = client.stream.try_read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    drop(held);
    assert_eq!(client.receive::<ListGroupsRequest>(5, id).await.groups.len(), GROUPS);
    server.stop().await;
}
