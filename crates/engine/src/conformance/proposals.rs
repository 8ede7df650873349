//! Commands: topics, configs, tags, trims, producer ids, groups.

use std::sync::Arc;

use bytes::Bytes;
use kolk_wire_kafka::records::Compression;

use super::kit::*;
use crate::contract::AppendError;
use crate::state::{
    Command, CommittedOffset, CommittingMember, ConfigChange, ConfigOp, Member, Membership, Outcome, Refusal,
    TrimBy,
};
use crate::types::{Offset, PartitionId, TopicId};

pub(super) async fn topics_are_made_listed_and_deleted(kit: &mut Kit<'_>) {
    let a = kit.topic_named("a", 2, &[("retention.ms", "5")]).await.expect("it can be made");
    let b = kit.topic_named("b", 1, &[]).await.expect("it can be made");
    assert_eq!((a.partitions, a.shards.len(), &a.configs["retention.ms"]), (2, 2, &"5".to_owned()));
    assert_eq!(a.created_ms, START_MS);
    let names = async |kit: &Kit<'_>| {
        kit.query(|state| state.topics().map(|topic| topic.name.to_string()).collect::<Vec<_>>()).await
    };
    assert_eq!(names(kit).await, ["a", "b"]);
    assert_eq!(kit.query(|state| state.topic_by_name("a").cloned()).await, Some(a.clone()));

    let p = PartitionId { topic: a.id, index: 0 };
    kit.append(to(p, simple(1, b"old"))).await.expect("it is taken");
    assert_eq!(kit.propose(Command::DeleteTopic { topic: a.id }).await, Ok(Outcome::Done));
    assert_eq!(kit.propose(Command::DeleteTopic { topic: a.id }).await, Err(Refusal::UnknownTopic));
    assert_eq!(names(kit).await, ["b"]);
    assert_eq!(kit.append(to(p, simple(1, b"v"))).await, Err(AppendError::UnknownPartition));
    assert_eq!((kit.engine().published(p), kit.engine().size_bytes(p)), (None, 0));

    // Made again it is another topic, and its sequence numbers sort after the old ones.
    let again = kit.topic_named("a", 1, &[]).await.expect("the name is free");
    let p = PartitionId { topic: again.id, index: 0 };
    assert!(again.shards[0].create_second > a.shards[0].create_second);
    assert_eq!(kit.published(p).high_watermark, Offset(0));
    kit.append(to(p, simple(1, b"new"))).await.expect("it is taken");
    kit.reopen(true).await;
    assert_eq!(kit.values(p).await, ["new"]);
    assert_eq!(names(kit).await, ["a", "b"]);
    assert!(kit.query(move |state| state.topic(b.id).is_some()).await);
}

pub(super) async fn names_limits_and_configs_are_checked(kit: &mut Kit<'_>) {
    kit.topic_named("some.topic", 1, &[]).await.expect("it can be made");
    let exists = Refusal::TopicExists { name: "some.topic".into() };
    assert_eq!(kit.topic_named("some.topic", 1, &[]).await, Err(exists));
    for name in ["", ".", "..", "with space", "sl/ash", &"x".repeat(250), "some_topic"] {
        let refused = kit.topic_named(name, 1, &[]).await;
        assert!(matches!(refused, Err(Refusal::InvalidTopicName { .. })), "{name}: {refused:?}");
    }
    for name in ["__consumer_offsets", "__transaction_state"] {
        let reserved = Refusal::ReservedTopicName { name: name.into() };
        assert_eq!(kit.topic_named(name, 1, &[]).await, Err(reserved));
    }
    for partitions in [0, -1] {
        let refused = kit.topic_named("t", partitions, &[]).await;
        assert!(matches!(refused, Err(Refusal::InvalidPartitions { .. })), "{refused:?}");
    }
    let limit = kit.query(|state| state.limits().partitions_per_topic).await;
    let refused = kit.topic_named("t", limit.saturating_add(1), &[]).await;
    assert!(matches!(refused, Err(Refusal::PartitionLimit { .. })), "{refused:?}");
    for pair in [("nope", "1"), ("retention.ms", "x"), ("segment.bytes", "1")] {
        let refused = kit.topic_named("t", 1, &[pair]).await;
        assert!(matches!(refused, Err(Refusal::InvalidConfig { .. })), "{refused:?}");
    }
    assert_eq!(kit.query(|state| state.topic_count()).await, 1, "nothing came of it");
}

pub(super) async fn configs_change_what_appends_may_do(kit: &mut Kit<'_>) {
    let topic = kit.topic(1, &[("max.message.bytes", "150")]).await.id;
    let p = PartitionId { topic, index: 0 };
    let alter = async |kit: &Kit<'_>, replace, changes: &[(&str, ConfigOp)]| {
        let changes =
            changes.iter().map(|(name, op)| ConfigChange { name: (*name).to_owned(), op: op.clone() });
        kit.propose(Command::AlterTopicConfigs { topic, replace, changes: changes.collect() }).await
    };
    let set = |value: &str| ConfigOp::Set(value.to_owned());
    let stored = async |kit: &Kit<'_>| {
        kit.query(move |state| state.topic(topic).map(|topic| topic.configs.clone())).await
    };
    let send = || to(p, simple(1, &[0; 100]));
    assert!(matches!(kit.append(send()).await, Err(AppendError::TooLarge { .. })));
    assert_eq!(
        alter(kit, false, &[("max.message.bytes", set("1000")), ("flush.ms", set("9"))]).await,
        Ok(Outcome::Done)
    );
    assert!(kit.append(send()).await.is_ok());
    assert_eq!(stored(kit).await, Some(configs(&[("flush.ms", "9"), ("max.message.bytes", "1000")])));

    let refused = alter(kit, false, &[("max.message.bytes", set("150")), ("retention.ms", set("x"))]).await;
    assert!(matches!(refused, Err(Refusal::InvalidConfig { .. })));
    assert!(kit.append(send()).await.is_ok(), "all or nothing");

    let append = ConfigOp::Append("compact".to_owned());
    assert_eq!(
        alter(kit, false, &[("cleanup.policy", append), ("flush.ms", ConfigOp::Delete)]).await,
        Ok(Outcome::Done)
    );
    let keyless = || to(p, batch(&[(START_MS, None, b"v")], None, Compression::None));
    assert_eq!(kit.append(keyless()).await, Err(AppendError::Keyless));
    kit.reopen(true).await;
    assert_eq!(kit.append(keyless()).await, Err(AppendError::Keyless));
    let expected = configs(&[("cleanup.policy", "delete,compact"), ("max.message.bytes", "1000")]);
    assert_eq!(stored(kit).await, Some(expected));

    assert_eq!(alter(kit, true, &[("retention.ms", set("77"))]).await, Ok(Outcome::Done));
    assert_eq!(stored(kit).await, Some(configs(&[("retention.ms", "77")])));
    assert!(kit.append(keyless()).await.is_ok());
    let unknown = Command::AlterTopicConfigs { topic: TopicId(1), replace: true, changes: Vec::new() };
    assert_eq!(kit.propose(unknown).await, Err(Refusal::UnknownTopic));
}

pub(super) async fn tags_are_set_and_removed(kit: &mut Kit<'_>) {
    let topic = kit.topic(1, &[]).await.id;
    let change = async |kit: &Kit<'_>, changes: &[(&str, Option<&str>)], limit| {
        let own = |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(str::to_owned));
        let changes = changes.iter().map(own).collect();
        kit.propose(Command::ChangeTags { topic, changes, limit }).await
    };
    assert_eq!(change(kit, &[("a", Some("1")), ("b", Some(""))], 2).await, Ok(Outcome::Done));
    let refused = Refusal::TooManyTags { found: 3, limit: 2 };
    assert_eq!(change(kit, &[("c", Some("3"))], 2).await, Err(refused));
    assert_eq!(change(kit, &[("a", None), ("c", Some("3"))], 2).await, Ok(Outcome::Done));
    kit.reopen(true).await;
    let tags = kit.query(move |state| state.topic(topic).map(|topic| topic.tags.clone())).await;
    assert_eq!(tags, Some(configs(&[("b", ""), ("c", "3")])));
}

pub(super) async fn trims_move_the_log_start(kit: &mut Kit<'_>) {
    let topic = kit.topic(1, &[]).await;
    let p = PartitionId { topic: topic.id, index: 0 };
    for n in 0..4 {
        kit.append(to(p, simple(2, format!("{n}").as_bytes()))).await.expect("it is taken");
    }
    let trim = |to: Option<i64>, by| Command::Trim { partition: p, to: to.map(Offset), by };
    let trimmed = |to| Ok(Outcome::Trimmed { log_start: Offset(to) });
    assert_eq!(kit.propose(trim(Some(3), TrimBy::Client)).await, trimmed(3));
    assert_eq!(kit.published(p).log_start, Offset(3));
    assert_eq!(kit.propose(trim(Some(1), TrimBy::Retention)).await, trimmed(3), "never back");
    let out =
        Refusal::OffsetOutOfRange { offset: Offset(9), log_start: Offset(3), high_watermark: Offset(8) };
    assert_eq!(kit.propose(trim(Some(9), TrimBy::Client)).await, Err(out));
    // The batch that contains the log start is still given as a whole.
    assert_eq!(kit.batches(p, 3).await[0].header.base_offset, 2);
    kit.reopen(true).await;
    assert_eq!((kit.published(p).log_start, kit.published(p).high_watermark), (Offset(3), Offset(8)));
    let appended = kit.append(to(p, simple(1, b"x"))).await.expect("it is taken");
    assert_eq!((appended.base_offset, appended.log_start), (Offset(8), Offset(3)));

    assert_eq!(kit.propose(trim(None, TrimBy::Client)).await, trimmed(9));
    assert!(kit.values(p).await.is_empty());
    assert_eq!(kit.published(p).high_watermark, Offset(9));
    let appended = kit.append(to(p, simple(1, b"y"))).await.expect("it is taken");
    assert_eq!(appended.base_offset, Offset(9));
    kit.reopen(false).await;
    assert_eq!(kit.values(p).await, ["y"]);

    let compacted = kit.topic(1, &[("cleanup.policy", "compact")]).await;
    let partition = PartitionId { topic: compacted.id, index: 0 };
    kit.append(to(partition, simple(1, b"v"))).await.expect("it is taken");
    let refused = Command::Trim { partition, to: None, by: TrimBy::Client };
    assert_eq!(kit.propose(refused).await, Err(Refusal::NotDeletable));
    let unknown = PartitionId { topic: TopicId(1), index: 0 };
    let refused = Command::Trim { partition: unknown, to: None, by: TrimBy::Client };
    assert_eq!(kit.propose(refused).await, Err(Refusal::UnknownTopic));
}

pub(super) async fn producer_ids_are_never_given_twice(kit: &mut Kit<'_>) {
    let mut expected = 0;
    for crash in [None, Some(false), Some(true)] {
        if let Some(crash) = crash
            && !kit.reopen(crash).await
        {
            continue;
        }
        for count in [1, 1000, 7] {
            let ids = kit.propose(Command::AllocateProducerIds { count }).await;
            assert_eq!(ids, Ok(Outcome::ProducerIds { first: expected, count }));
            expected += i64::from(count);
        }
    }
}

fn member(id: &str) -> Member {
    Member {
        id: id.into(),
        instance_id: Some(format!("{id}-instance").into()),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        metadata: Bytes::from_static(b"\0\x01"),
        assignment: Bytes::from_static(b"assigned"),
    }
}

fn membership(generation: i32, members: &[&str]) -> Membership {
    Membership {
        protocol_type: "consumer".to_owned(),
        generation,
        protocol: Some("range".to_owned()),
        leader: members.first().map(|id| Arc::from(*id)),
        members: members.iter().map(|id| member(id)).collect(),
        since_ms: START_MS,
    }
}

fn committed(offset: i64) -> CommittedOffset {
    CommittedOffset { offset: Offset(offset), leader_epoch: -1, metadata: "".into(), commit_ms: START_MS }
}

fn commit(group: &str, member: Option<(&str, i32)>, offsets: &[(PartitionId, CommittedOffset)]) -> Command {
    Command::CommitOffsets {
        group: group.into(),
        member: member.map(|(id, generation)| CommittingMember { id: id.into(), generation }),
        offsets: offsets.to_vec(),
        now_ms: START_MS,
    }
}

pub(super) async fn groups_keep_memberships_and_offsets(kit: &mut Kit<'_>) {
    let topic = kit.topic(2, &[]).await;
    let p = |index| PartitionId { topic: topic.id, index };
    let unknown = PartitionId { topic: TopicId(1), index: 0 };
    let store = |expected_generation, membership| Command::StoreGroup {
        group: "g".into(),
        expected_generation,
        membership,
    };
    let granted = Ok(Outcome::PerPartition(vec![Ok(())]));

    // Memberships follow one another.
    assert_eq!(kit.propose(store(Some(1), membership(2, &["a"]))).await, Err(Refusal::UnknownGroup));
    assert_eq!(kit.propose(store(None, membership(1, &["a", "b"]))).await, Ok(Outcome::Done));
    let late = Err(Refusal::IllegalGeneration { current: 1, found: -1 });
    assert_eq!(kit.propose(store(None, membership(1, &["c"]))).await, late);
    assert_eq!(kit.propose(store(Some(1), membership(2, &["a"]))).await, Ok(Outcome::Done));
    let late = Err(Refusal::IllegalGeneration { current: 2, found: 1 });
    assert_eq!(kit.propose(store(Some(1), membership(2, &["b"]))).await, late);

    // Members of the generation commit, nobody else.
    let one = [(p(0), committed(5))];
    assert_eq!(kit.propose(commit("g", Some(("a", 2)), &one)).await, granted);
    assert_eq!(kit.propose(commit("g", Some(("b", 2)), &one)).await, Err(Refusal::UnknownMember));
    let late = Err(Refusal::IllegalGeneration { current: 2, found: 1 });
    assert_eq!(kit.propose(commit("g", Some(("a", 1)), &one)).await, late);
    assert_eq!(kit.propose(commit("g", None, &one)).await, Err(Refusal::UnknownMember));
    assert_eq!(kit.propose(commit("none", Some(("a", 1)), &one)).await, Err(Refusal::UnknownGroup));
    assert_eq!(kit.propose(commit("simple", None, &one)).await, granted);

    // Each offset is judged on its own.
    let metadata = |len| Arc::from("m".repeat(len));
    let limit = kit.query(|state| state.limits().offset_metadata_bytes).await;
    let size = limit + 1;
    let many = [
        (p(1), CommittedOffset { metadata: metadata(limit), leader_epoch: 3, ..committed(7) }),
        (unknown, committed(1)),
        (p(0), CommittedOffset { metadata: metadata(size), ..committed(8) }),
    ];
    let answers = vec![Ok(()), Err(Refusal::UnknownTopic), Err(Refusal::MetadataTooLarge { size, limit })];
    assert_eq!(kit.propose(commit("g", Some(("a", 2)), &many)).await, Ok(Outcome::PerPartition(answers)));
    kit.reopen(true).await;
    let group = kit.query(|state| state.group("g").cloned()).await.expect("it is stored");
    assert_eq!(*group.membership, membership(2, &["a"]));
    assert_eq!(group.offsets.into_iter().collect::<Vec<_>>(), [one[0].clone(), many[0].clone()]);

    // Deleting.
    let delete_offsets = Command::DeleteOffsets { group: "g".into(), partitions: vec![p(1), unknown, p(1)] };
    let answers = vec![Ok(()), Err(Refusal::UnknownTopic), Ok(())];
    assert_eq!(kit.propose(delete_offsets).await, Ok(Outcome::PerPartition(answers)));
    let delete = |group: &str| Command::DeleteGroup { group: group.into() };
    assert_eq!(kit.propose(delete("g")).await, Err(Refusal::GroupNotEmpty));
    assert_eq!(kit.propose(delete("none")).await, Err(Refusal::UnknownGroup));
    assert_eq!(kit.propose(store(Some(2), membership(3, &[]))).await, Ok(Outcome::Done));
    assert_eq!(kit.propose(commit("g", None, &[(p(1), committed(9))])).await, granted);
    kit.propose(Command::DeleteTopic { topic: topic.id }).await.expect("it can be deleted");
    let left = kit.query(|state| state.groups().map(|group| group.offsets.len()).collect::<Vec<_>>()).await;
    assert_eq!(left, [0, 0], "a topic takes its committed offsets with it");
    assert_eq!(kit.propose(delete("g")).await, Ok(Outcome::Done));
    assert_eq!(kit.query(|state| state.groups().count()).await, 1);
}

pub(super) async fn offsets_expire_in_groups_without_members(kit: &mut Kit<'_>) {
    let topic = kit.topic(2, &[]).await;
    let p = |index| PartitionId { topic: topic.id, index };
    let at = |commit_ms| CommittedOffset { commit_ms, ..committed(1) };
    let offsets = [(p(0), at(START_MS)), (p(1), at(START_MS + 100))];
    kit.propose(commit("simple", None, &offsets)).await.expect("simple consumers may commit");
    for group in ["busy", "left"] {
        kit.propose(commit(group, None, &offsets)).await.expect("simple consumers may commit");
        let (expected_generation, members) = (Some(0), membership(1, &["a"]));
        let store = Command::StoreGroup { group: group.into(), expected_generation, membership: members };
        kit.propose(store).await.expect("it follows");
    }
    let empty = Membership { since_ms: START_MS + 200, ..membership(2, &[]) };
    let store = Command::StoreGroup { group: "left".into(), expected_generation: Some(1), membership: empty };
    kit.propose(store).await.expect("it follows");

    let counts = async |kit: &Kit<'_>| {
        let of = |group: &crate::state::Group| (group.id.to_string(), group.offsets.len());
        kit.query(move |state| state.groups().map(of).collect::<Vec<_>>()).await
    };
    let expect = |pairs: &[(&str, usize)]| -> Vec<(String, usize)> {
        pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    let done = Ok(Outcome::OffsetsExpired { next: None });
    let expire = |by_ms| Command::ExpireOffsets { before_ms: START_MS + by_ms, from: None };
    for (by_ms, left) in [
        (0, expect(&[("busy", 2), ("left", 2), ("simple", 2)])),
        (1, expect(&[("busy", 2), ("left", 2), ("simple", 1)])),
        (101, expect(&[("busy", 2), ("left", 2)])),
        (201, expect(&[("busy", 2)])),
        (1_000_000, expect(&[("busy", 2)])),
    ] {
        assert_eq!(kit.propose(expire(by_ms)).await, done);
        assert_eq!(counts(kit).await, left, "after {by_ms} ms");
    }
}

pub(super) async fn a_validated_command_has_no_effect(kit: &mut Kit<'_>) {
    let topic = kit.topic(1, &[]).await;
    let before = kit.everything().await;
    for (command, granted) in [
        (Command::DeleteTopic { topic: topic.id }, true),
        (Command::DeleteTopic { topic: TopicId(1) }, false),
        (Command::AllocateProducerIds { count: 5 }, true),
        (commit("g", None, &[(PartitionId { topic: topic.id, index: 0 }, committed(0))]), true),
    ] {
        let answer = kit.patient(kit.engine().validate(&command)).await.expect("the engine works");
        assert_eq!(answer.is_ok(), granted, "{command:?}");
    }
    assert!(kit.everything().await == before);
}
