//! Groups and their offsets: joining, committing, describing, deleting.

use std::time::Duration;

use bytes::Bytes;
use kolk_wire_kafka::messages::delete_groups::DeleteGroupsRequest;
use kolk_wire_kafka::messages::describe_groups::DescribeGroupsRequest;
use kolk_wire_kafka::messages::heartbeat::HeartbeatRequest;
use kolk_wire_kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use kolk_wire_kafka::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use kolk_wire_kafka::messages::list_groups::ListGroupsRequest;
use kolk_wire_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kolk_wire_kafka::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kolk_wire_kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kolk_wire_kafka::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use kolk_wire_kafka::{ErrorCode, Str};
use uuid::Uuid;

use crate::asker::{Asker, PATIENCE};

const NO_SUCH_ID: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);

pub async fn ask(asker: &mut Asker) {
    asker.create_topic("off", 3, &[]).await;
    commits(asker).await;
    let member = joins(asker).await;
    describe(asker).await;
    for round in 0..5 {
        rebalance(asker, &format!("two-{round}")).await;
    }
    offset_delete(asker).await;
    list(asker).await;
    leaves(asker, &member).await;
    delete(asker).await;
}

fn commit(group: &str, generation: i32, member: &str, offsets: &[(&str, i32, i64)]) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: generation,
        member_id: member.into(),
        topics: offsets
            .iter()
            .map(|(name, partition_index, committed_offset)| OffsetCommitRequestTopic {
                name: (*name).into(),
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: *partition_index,
                    committed_offset: *committed_offset,
                    committed_metadata: Some("note".into()),
                    ..Default::default()
                }],
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

fn fetch(group: &str, topics: Option<&[(&str, &[i32])]>) -> OffsetFetchRequest {
    OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: topics.map(|topics| {
                topics
                    .iter()
                    .map(|(name, partitions)| OffsetFetchRequestTopics {
                        name: (*name).into(),
                        partition_indexes: partitions.to_vec(),
                        ..Default::default()
                    })
                    .collect()
            }),
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn commits(asker: &mut Asker) {
    for version in 2..=9 {
        let group = format!("c{version}");
        asker.ask("to a group that is not there", version, &commit(&group, -1, "", &[("off", 0, 5)])).await;
        asker.ask("with a generation", version, &commit(&group, 3, "", &[("off", 0, 6)])).await;
        asker.ask("with a member", version, &commit(&group, -1, "m", &[("off", 0, 6)])).await;
        asker.ask("with both", version, &commit(&group, 3, "m", &[("off", 0, 6)])).await;
        asker.ask("no such topic", version, &commit(&group, -1, "", &[("none", 0, 6), ("off", 1, 6)])).await;
        asker.ask("no such partition", version, &commit(&group, -1, "", &[("off", 9, 6)])).await;
        asker.ask("a bad name", version, &commit(&group, -1, "", &[("a b", 0, 6)])).await;
        asker.ask("below 0", version, &commit(&group, -1, "", &[("off", 2, -1), ("off", 1, -5)])).await;
        asker.ask("a topic twice", version, &commit(&group, -1, "", &[("off", 0, 7), ("off", 0, 8)])).await;
        asker.ask("without a group", version, &commit("", -1, "", &[("off", 0, 5)])).await;
        asker.ask("without topics", version, &commit(&group, -1, "", &[])).await;
        let mut long = commit(&group, -1, "", &[("off", 0, 9)]);
        long.topics[0].partitions[0].committed_metadata = Some("x".repeat(5000).as_str().into());
        asker.ask("with much metadata", version, &long).await;
        let mut none = commit(&group, -1, "", &[("off", 1, 9)]);
        none.topics[0].partitions[0].committed_metadata = None;
        asker.ask("without metadata", version, &none).await;
        let mut instance = commit(&group, -1, "", &[("off", 0, 9)]);
        if version >= 7 {
            instance.group_instance_id = Some("i".into());
            asker.ask("with an instance", version, &instance).await;
        }
        let mut fetched = asker.call(9, &fetch(&group, None)).await;
        for topic in fetched.groups.iter_mut().flat_map(|group| &mut group.topics) {
            topic.partitions.sort_by_key(|one| one.partition_index);
        }
        asker.keep(format!("OffsetFetch 9: after commits of version {version}"), &fetched);
    }
    let id = asker.topic_id("off").await;
    for (what, topic_id) in [("by id", id), ("by an unknown id", NO_SUCH_ID), ("by no id", Uuid::nil())] {
        let mut request = commit("c10", -1, "", &[("", 0, 4)]);
        request.topics[0].topic_id = topic_id;
        asker.ask(what, 10, &request).await;
        let mut request = fetch("c10", Some(&[("", &[0, 1, 9])]));
        request.groups[0].topics.as_mut().unwrap()[0].topic_id = topic_id;
        asker.ask(what, 10, &request).await;
    }
    asker.ask("all of a group", 10, &fetch("c10", None)).await;
    for version in 1..=7 {
        let old = |group: &str, topics: Option<&[(&str, &[i32])]>| OffsetFetchRequest {
            group_id: group.into(),
            topics: topics.map(|topics| {
                topics
                    .iter()
                    .map(|(name, partitions)| OffsetFetchRequestTopic {
                        name: (*name).into(),
                        partition_indexes: partitions.to_vec(),
                    })
                    .collect()
            }),
            ..Default::default()
        };
        asker.ask("some", version, &old("c2", Some(&[("off", &[0, 1, 2, 9]), ("none", &[0])]))).await;
        asker.ask("none", version, &old("c2", Some(&[]))).await;
        asker.ask("no such group", version, &old("nobody", Some(&[("off", &[0])]))).await;
        asker.ask("without a group", version, &old("", Some(&[("off", &[0])]))).await;
        asker.ask("a bad name", version, &old("c2", Some(&[("a b", &[0])]))).await;
    }
    for version in 8..=9 {
        asker.ask("some", version, &fetch("c2", Some(&[("off", &[0, 1, 2, 9]), ("none", &[0])]))).await;
        asker.ask("none", version, &fetch("c2", Some(&[]))).await;
        asker.ask("no such group", version, &fetch("nobody", Some(&[("off", &[0])]))).await;
        asker.ask("all of no such group", version, &fetch("nobody", None)).await;
        asker.ask("without a group", version, &fetch("", Some(&[("off", &[0])]))).await;
        asker.ask("no groups", version, &OffsetFetchRequest::default()).await;
        let mut two = fetch("c2", Some(&[("off", &[0])]));
        two.groups.push(two.groups[0].clone());
        asker.ask("a group twice", version, &two).await;
    }
    let mut member = fetch("c2", Some(&[("off", &[0])]));
    member.groups[0].member_id = Some("m".into());
    member.groups[0].member_epoch = 3;
    asker.ask("as a member", 9, &member).await;
}

fn join(group: &str, member: &str, instance: Option<&str>) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: member.into(),
        group_instance_id: instance.map(Str::from),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: subscription() }],
        ..Default::default()
    }
}

/// A consumer's subscription to `off`, version 0.
fn subscription() -> Bytes {
    Bytes::from_static(b"\0\0\0\0\0\x01\0\x03off\xff\xff\xff\xff")
}

async fn joins(asker: &mut Asker) -> JoinGroupResponse {
    for version in 0..=9 {
        let group = format!("j{version}");
        let first = asker.ask("without a member id", version, &join(&group, "", None)).await.unwrap();
        if version >= 4 {
            asker.ask("with the member id", version, &join(&group, &first.member_id, None)).await;
        }
    }
    let changed = |change: &dyn Fn(&mut JoinGroupRequest)| {
        let mut request = join("bad", "", None);
        change(&mut request);
        request
    };
    let cases = [
        ("without a group", changed(&|request| request.group_id = "".into())),
        ("a short session", changed(&|request| request.session_timeout_ms = 5999)),
        ("a long session", changed(&|request| request.session_timeout_ms = 1_800_001)),
        ("a session below 0", changed(&|request| request.session_timeout_ms = -1)),
        ("no rebalance timeout", changed(&|request| request.rebalance_timeout_ms = 0)),
        ("an unknown member", changed(&|request| request.member_id = "who".into())),
        ("no protocols", changed(&|request| request.protocols.clear())),
        ("no protocol type", changed(&|request| request.protocol_type = "".into())),
        ("an empty instance", changed(&|request| request.group_instance_id = Some("".into()))),
        ("a bad instance", changed(&|request| request.group_instance_id = Some("a b".into()))),
        ("an instance of dots", changed(&|request| request.group_instance_id = Some("..".into()))),
        (
            "a long instance",
            changed(&|request| request.group_instance_id = Some("x".repeat(250).as_str().into())),
        ),
        (
            "a member and an instance",
            changed(&|request| {
                request.group_instance_id = Some("i".into());
                request.member_id = "who".into();
            }),
        ),
    ];
    for (at, (what, mut request)) in cases.into_iter().enumerate() {
        if !request.group_id.is_empty() {
            // Nobody shall wait for the member of another case.
            request.group_id = format!("bad-{at}").as_str().into();
        }
        asker.ask(what, 7, &request).await;
    }
    for member in ["", "m"] {
        for generation in [-1, 0, 1] {
            let heartbeat = HeartbeatRequest {
                group_id: "nobody".into(),
                generation_id: generation,
                member_id: member.into(),
                ..Default::default()
            };
            asker.ask(&format!("member {member:?}, generation {generation}, no group"), 4, &heartbeat).await;
            let sync = SyncGroupRequest {
                group_id: "nobody".into(),
                generation_id: generation,
                member_id: member.into(),
                ..Default::default()
            };
            asker.ask(&format!("member {member:?}, generation {generation}, no group"), 4, &sync).await;
        }
    }
    let heartbeat = HeartbeatRequest { group_id: "".into(), member_id: "m".into(), ..Default::default() };
    asker.ask("without a group", 4, &heartbeat).await;
    let sync = SyncGroupRequest { group_id: "".into(), member_id: "m".into(), ..Default::default() };
    asker.ask("without a group", 4, &sync).await;

    // One that stays.
    let first = asker.call(9, &join("live", "", None)).await;
    let joined = asker.call(9, &join("live", &first.member_id, None)).await;
    for (what, protocol_type, protocol) in
        [("of another type", "connect", "range"), ("with another protocol", "consumer", "other")]
    {
        let mut request = join("live", "", None);
        request.protocol_type = protocol_type.into();
        request.protocols[0].name = protocol.into();
        asker.ask(what, 9, &request).await;
    }
    let sync = |generation_id, protocol_type: Option<&str>, protocol: Option<&str>| SyncGroupRequest {
        group_id: "live".into(),
        generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: protocol_type.map(Str::from),
        protocol_name: protocol.map(Str::from),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: joined.member_id.clone(),
            assignment: Bytes::from_static(b"\0\0\0\0\0\x01\0\x03off\0\0\0\x01\0\0\0\0\xff\xff\xff\xff"),
        }],
        ..Default::default()
    };
    for (what, request) in [
        ("no protocol", sync(1, None, None)),
        ("another type", sync(1, Some("connect"), Some("range"))),
        ("another protocol", sync(1, Some("consumer"), Some("other"))),
        ("another generation", sync(7, Some("consumer"), Some("range"))),
    ] {
        asker.ask(what, 5, &request).await;
    }
    asker
        .ask(
            "while it completes",
            6,
            &DescribeGroupsRequest { groups: vec!["live".into()], ..Default::default() },
        )
        .await;
    asker.ask("as it should", 5, &sync(1, Some("consumer"), Some("range"))).await;
    asker.ask("again", 5, &sync(1, Some("consumer"), Some("range"))).await;
    asker.ask("again, an old version", 0, &sync(1, None, None)).await;
    for (generation, member) in
        [(1, joined.member_id.as_str()), (2, joined.member_id.as_str()), (1, "m"), (-1, ""), (1, "")]
    {
        let told = if member == joined.member_id.as_str() { "itself" } else { member };
        let heartbeat = HeartbeatRequest {
            group_id: "live".into(),
            generation_id: generation,
            member_id: member.into(),
            ..Default::default()
        };
        asker.ask(&format!("live, {told:?}, generation {generation}"), 4, &heartbeat).await;
        asker
            .ask(
                &format!("live, {told:?}, generation {generation}"),
                9,
                &commit("live", generation, member, &[("off", 0, 3)]),
            )
            .await;
    }
    joined
}

/// A second member comes, and the first one leaves. A group of its own each time: a member that is left behind counts
/// until its session ends.
async fn rebalance(asker: &mut Asker, group: &str) {
    let (mut told, second) = (Vec::new(), asker.connect().await);
    let code = |code| ErrorCode::from_code(code).unwrap();
    let heartbeat = |generation_id, member: &str| HeartbeatRequest {
        group_id: group.into(),
        generation_id,
        member_id: member.into(),
        ..Default::default()
    };
    let sync = |joined: &JoinGroupResponse, assignments: &[(&str, &'static str)]| SyncGroupRequest {
        group_id: group.into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments
            .iter()
            .map(|(member, assignment)| SyncGroupRequestAssignment {
                member_id: (*member).into(),
                assignment: Bytes::from_static(assignment.as_bytes()),
            })
            .collect(),
        ..Default::default()
    };
    let a = asker.call(9, &join(group, "", None)).await.member_id;
    let joined = asker.call(9, &join(group, &a, None)).await;
    let synced = asker.call(5, &sync(&joined, &[(a.as_str(), "all")])).await;
    told.push(format!("alone: generation {}, {:?}", joined.generation_id, synced.assignment));
    let b = second.call_version(9, &join(group, "", None), PATIENCE).await.unwrap().member_id;
    let waiting = second.submit_version(9, &join(group, &b, None)).await.unwrap();
    while code(asker.call(4, &heartbeat(1, &a)).await.error_code) == ErrorCode::None {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let late = asker.call(4, &heartbeat(1, &a)).await.error_code;
    let committed = asker.call(9, &commit(group, 1, &a, &[("off", 0, 5)])).await;
    let committed = committed.topics[0].partitions[0].error_code;
    told.push(format!("while it prepares: heartbeat {:?}, commit {:?}", code(late), code(committed)));
    let again = asker.call(9, &join(group, &a, None)).await;
    let other = waiting.await.unwrap();
    let leads = (again.leader == a, other.leader == a);
    let members = (again.members.len(), other.members.len());
    told.push(format!("{} {}, first leads {leads:?}, {members:?}", again.generation_id, other.generation_id));
    let committed =
        asker.call(9, &commit(group, 2, &a, &[("off", 0, 6)])).await.topics[0].partitions[0].error_code;
    let early = asker.call(4, &heartbeat(2, &a)).await.error_code;
    told.push(format!("while it completes: commit {:?}, heartbeat {:?}", code(committed), code(early)));
    let waiting = second.submit_version(5, &sync(&other, &[])).await.unwrap();
    let first = asker.call(5, &sync(&again, &[(a.as_str(), "one"), (b.as_str(), "two")])).await;
    told.push(format!("{:?} {:?}", first.assignment, waiting.await.unwrap().assignment));
    let leave = LeaveGroupRequest {
        group_id: group.into(),
        members: vec![MemberIdentity { member_id: a.clone(), ..Default::default() }],
        ..Default::default()
    };
    told.push(format!("leave {:?}", code(asker.call(5, &leave).await.members[0].error_code)));
    let alone = second.call_version(9, &join(group, &b, None), PATIENCE).await.unwrap();
    told.push(format!("generation {}, {} member", alone.generation_id, alone.members.len()));
    asker.keep(format!("JoinGroup 9: {group}"), &told);
}

async fn describe(asker: &mut Asker) {
    for version in 0..=6 {
        for groups in [&["live"][..], &["c2"], &["nobody"], &[""], &["live", "live"], &[]] {
            let request = DescribeGroupsRequest {
                groups: groups.iter().map(|group| (*group).into()).collect(),
                include_authorized_operations: version >= 3 && groups.len() == 1,
            };
            asker.ask(&format!("{groups:?}"), version, &request).await;
        }
    }
}

async fn offset_delete(asker: &mut Asker) {
    asker.create_topic("off2", 1, &[]).await;
    asker.call(9, &commit("live2", -1, "", &[("off2", 0, 3)])).await;
    let request = |group: &str, partitions: &[(&str, i32)]| OffsetDeleteRequest {
        group_id: group.into(),
        topics: partitions
            .iter()
            .map(|(name, partition_index)| OffsetDeleteRequestTopic {
                name: (*name).into(),
                partitions: vec![OffsetDeleteRequestPartition { partition_index: *partition_index }],
            })
            .collect(),
    };
    for group in ["c3", "live", "live2", "nobody", ""] {
        for partitions in [
            &[("off", 0)][..],
            &[("off", 0)],
            &[("off", 9)],
            &[("none", 0)],
            &[("a b", 0)],
            &[],
            &[("off", 1), ("none", 0), ("off2", 0)],
            &[("off", 1), ("off", 1)],
        ] {
            asker
                .ask_and_even(
                    &format!("of {group:?}: {partitions:?}"),
                    0,
                    &request(group, partitions),
                    |answer| answer.topics.sort_by(|a, b| a.name.cmp(&b.name)),
                )
                .await;
        }
    }
}

async fn list(asker: &mut Asker) {
    let states: &[&[&str]] =
        &[&[], &["Stable"], &["stable"], &["EMPTY"], &["nonsense"], &["Stable", "Empty"], &[""]];
    let types: &[&[&str]] =
        &[&[], &["classic"], &["Classic"], &["consumer"], &["nonsense"], &[""], &["share"]];
    for version in 0..=5 {
        for states in states {
            for types in types {
                if (version < 4 && !states.is_empty()) || (version < 5 && !types.is_empty()) {
                    continue;
                }
                let request = ListGroupsRequest {
                    states_filter: states.iter().map(|one| (*one).into()).collect(),
                    types_filter: types.iter().map(|one| (*one).into()).collect(),
                };
                let mut answer = asker.call(version, &request).await;
                // Kafka makes a group of some refused joins, for as long as it runs.
                answer.groups.retain(|group| !group.group_id.starts_with("bad-"));
                answer.groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
                asker.keep(format!("ListGroups {version}: states {states:?}, types {types:?}"), &answer);
            }
        }
    }
}

async fn leaves(asker: &mut Asker, member: &JoinGroupResponse) {
    for version in 0..=2 {
        for (group, id) in [("nobody", "m"), ("live", "m"), ("", "m"), ("live", "")] {
            let request =
                LeaveGroupRequest { group_id: group.into(), member_id: id.into(), ..Default::default() };
            asker.ask(&format!("{group:?} {id:?}"), version, &request).await;
        }
    }
    let leave = |group: &str, members: &[(&str, Option<&str>)]| LeaveGroupRequest {
        group_id: group.into(),
        members: members
            .iter()
            .map(|(id, instance)| MemberIdentity {
                member_id: (*id).into(),
                group_instance_id: instance.map(Str::from),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    for version in 3..=5 {
        asker.ask("nobody", version, &leave("live", &[])).await;
        asker.ask("one who is not there", version, &leave("live", &[("m", None)])).await;
        asker.ask("an instance that is not there", version, &leave("live", &[("", Some("i"))])).await;
        asker.ask("from no group", version, &leave("nobody", &[("m", None), ("", Some("i"))])).await;
        asker.ask("without a group", version, &leave("", &[("m", None)])).await;
    }
    asker
        .ask("itself, twice", 4, &leave("live", &[(&member.member_id, None), (&member.member_id, None)]))
        .await;
    asker
        .ask("empty now", 5, &DescribeGroupsRequest { groups: vec!["live".into()], ..Default::default() })
        .await;
}

async fn delete(asker: &mut Asker) {
    let request = |groups: &[&str]| DeleteGroupsRequest {
        groups_names: groups.iter().map(|group| (*group).into()).collect(),
    };
    for version in 0..=3 {
        asker.ask("nothing", version, &request(&[])).await;
        asker.ask("no such group", version, &request(&["nobody"])).await;
        asker.ask("without a name", version, &request(&[""])).await;
        asker.ask("with members", version, &request(&["j9"])).await;
        let group = format!("c{}", version + 4);
        asker.ask("twice", version, &request(&[&group, &group])).await;
        asker.ask("after that", version, &request(&[&group])).await;
    }
    let mut answer = asker.call(3, &request(&["c8", "j9", "nobody", "c9"])).await;
    answer.results.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    asker.keep("DeleteGroups 3: good and bad".to_owned(), &answer);
}
