//! What holds for every rule at once: applying is all there is to a decision, written or not, whole or by lanes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::contract::{Batch, ProducerStamp};
use crate::types::ShardId;

/// A step of a life, in small numbers so that steps meet.
#[derive(Clone, Debug)]
enum Step {
    Append { topic: u8, partition: u8, routed: Option<u8>, producer: Option<(u8, u8, u8)>, count: u8 },
    Create { topic: u8, partitions: u8, configs: u8 },
    Delete { topic: u8 },
    Alter { topic: u8, config: u8, value: u8, replace: bool },
    Tag { topic: u8, key: u8, set: bool },
    Reshard { topic: u8, how: u8, a: u8, b: u8 },
    Trim { topic: u8, partition: u8, to: Option<u8>, client: bool },
    ProducerIds { count: u8 },
    ExpireProducers { age: u8 },
    Store { group: u8, generation: u8, members: u8 },
    Commit { group: u8, member: Option<u8>, topic: u8, partition: u8, metadata: u8 },
    DeleteOffsets { group: u8, topic: u8, partition: u8 },
    DeleteGroup { group: u8 },
    ExpireOffsets { age: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let small = || 0..4u8;
    prop_oneof![
        10 => (small(), small(), proptest::option::of(0..6u8), proptest::option::of((small(), 0..2u8, 0..6u8)), 1..4u8)
            .prop_map(|(topic, partition, routed, producer, count)| Step::Append { topic, partition, routed, producer, count }),
        3 => (small(), 1..4u8, small()).prop_map(|(topic, partitions, configs)| Step::Create { topic, partitions, configs }),
        1 => small().prop_map(|topic| Step::Delete { topic }),
        2 => (small(), small(), small(), any::<bool>())
            .prop_map(|(topic, config, value, replace)| Step::Alter { topic, config, value, replace }),
        1 => (small(), small(), any::<bool>()).prop_map(|(topic, key, set)| Step::Tag { topic, key, set }),
        4 => (small(), small(), 0..8u8, any::<u8>()).prop_map(|(topic, how, a, b)| Step::Reshard { topic, how, a, b }),
        2 => (small(), small(), proptest::option::of(0..20u8), any::<bool>())
            .prop_map(|(topic, partition, to, client)| Step::Trim { topic, partition, to, client }),
        1 => small().prop_map(|count| Step::ProducerIds { count }),
        1 => any::<u8>().prop_map(|age| Step::ExpireProducers { age }),
        2 => (small(), small(), small()).prop_map(|(group, generation, members)| Step::Store { group, generation, members }),
        4 => (small(), proptest::option::of(small()), small(), small(), small())
            .prop_map(|(group, member, topic, partition, metadata)| Step::Commit { group, member, topic, partition, metadata }),
        1 => (small(), small(), small()).prop_map(|(group, topic, partition)| Step::DeleteOffsets { group, topic, partition }),
        1 => small().prop_map(|group| Step::DeleteGroup { group }),
        1 => any::<u8>().prop_map(|age| Step::ExpireOffsets { age }),
    ]
}

fn limits() -> Limits {
    Limits { partitions_per_topic: 6, partitions_total: 14, groups: 3, producers: 5, ..Limits::default() }
}

/// A live state and the log of its decisions.
struct Life {
    state: State,
    log: Vec<Decision>,
    now_ms: i64,
    topics_made: u128,
}

impl Life {
    fn new() -> Life {
        Life { state: State::new(limits()), log: Vec::new(), now_ms: 1_000_000, topics_made: 0 }
    }

    fn topic(&self, topic: u8) -> TopicId {
        let found = self.state.topic_by_name(&format!("topic-{topic}"));
        found.map_or(TopicId(999), |topic| topic.id)
    }

    fn partition(&self, topic: u8, partition: u8) -> PartitionId {
        PartitionId { topic: self.topic(topic), index: i32::from(partition) }
    }

    fn take(&mut self, decision: Decision) {
        let before: Vec<Vec<u8>> = Lane::all().map(|lane| lane_bytes(&self.state, lane)).collect();
        let lanes = decision.lanes();
        self.state.apply(&decision);
        for (lane, before) in Lane::all().zip(before) {
            assert!(
                lanes.contains(lane) || lane_bytes(&self.state, lane) == before,
                "{lane:?} of {decision:?}"
            );
        }
        self.log.push(decision);
    }

    fn step(&mut self, step: Step) {
        self.now_ms += 10;
        let command = match step {
            Step::Append { topic, partition, routed, producer, count } => {
                let append = Append {
                    partition: self.partition(topic, partition),
                    shard: routed.map(|shard| ShardId(u32::from(shard))),
                    batch: Batch {
                        bytes: Bytes::from_static(&[0; 70]),
                        offset_count: i32::from(count),
                        max_timestamp_ms: self.now_ms,
                        base_timestamp_ms: self.now_ms,
                        producer: producer.map(|(id, epoch, sequence)| ProducerStamp {
                            id: i64::from(id),
                            epoch: i16::from(epoch),
                            base_sequence: i32::from(sequence),
                        }),
                        has_keyless: count == 3,
                    },
                };
                if let Ok(AppendVerdict::Append(decided)) = self.state.decide_append(&append, self.now_ms) {
                    let next = self.state.partition(append.partition).unwrap().next;
                    assert_eq!(decided.base_offset, next);
                    self.take(Decision::Append(decided));
                    if let Some(eviction) = self.state.decide_eviction() {
                        self.take(eviction);
                    }
                    assert!(self.state.producer_count() <= limits().producers);
                }
                return;
            }
            Step::Create { topic, partitions, configs } => {
                self.topics_made += 1;
                let pairs =
                    [("cleanup.policy", "compact"), ("kolk.reshard", "split+merge"), ("flush.ms", "1")];
                let chosen = pairs.iter().take(usize::from(configs));
                Command::CreateTopic(CreateTopic {
                    name: format!("topic-{topic}").into(),
                    id: TopicId(self.topics_made),
                    partitions: i32::from(partitions),
                    configs: chosen.map(|(name, value)| ((*name).into(), (*value).into())).collect(),
                    tags: BTreeMap::new(),
                    now_ms: self.now_ms,
                })
            }
            Step::Delete { topic } => Command::DeleteTopic { topic: self.topic(topic) },
            Step::Alter { topic, config, value, replace } => {
                let (name, values) = [
                    ("max.message.bytes", ["50", "1000", "x", "70"]),
                    ("cleanup.policy", ["delete", "compact", "delete,compact", ""]),
                    ("message.timestamp.type", ["CreateTime", "LogAppendTime", "x", "CreateTime"]),
                    ("retention.ms", ["1", "-1", "100", "50"]),
                ][usize::from(config)];
                let op = ConfigOp::Set(values[usize::from(value)].to_owned());
                let changes = vec![ConfigChange { name: name.to_owned(), op }];
                Command::AlterTopicConfigs { topic: self.topic(topic), replace, changes }
            }
            Step::Tag { topic, key, set } => {
                let change = (format!("key-{key}"), set.then(|| "value".to_owned()));
                Command::ChangeTags { topic: self.topic(topic), changes: vec![change], limit: 2 }
            }
            Step::Reshard { topic, how, a, b } => {
                let (shard, other) = (ShardId(u32::from(a)), ShardId(u32::from(b % 8)));
                let how = match how {
                    0 => Reshard::Split { shard, at: u128::from(b) << 120 },
                    1 => Reshard::Merge { first: shard, second: other },
                    2 => Reshard::UpdateShardCount { target: i32::from(b % 8) },
                    _ => Reshard::CreatePartitions { count: i32::from(b % 8) },
                };
                Command::Reshard { topic: self.topic(topic), how, now_ms: self.now_ms }
            }
            Step::Trim { topic, partition, to, client } => Command::Trim {
                partition: self.partition(topic, partition),
                to: to.map(|to| Offset(i64::from(to))),
                by: if client { TrimBy::Client } else { TrimBy::Retention },
            },
            Step::ProducerIds { count } => Command::AllocateProducerIds { count: u32::from(count) },
            Step::ExpireProducers { age } => {
                Command::ExpireProducers { before_ms: self.now_ms - i64::from(age), from: None }
            }
            Step::Store { group, generation, members } => Command::StoreGroup {
                group: format!("group-{group}").into(),
                expected_generation: generation.checked_sub(1).map(i32::from),
                membership: membership(generation, members, self.now_ms),
            },
            Step::Commit { group, member, topic, partition, metadata } => Command::CommitOffsets {
                group: format!("group-{group}").into(),
                member: member.map(|id| CommittingMember {
                    id: format!("member-{id}").into(),
                    generation: i32::from(id),
                }),
                offsets: vec![(
                    self.partition(topic, partition),
                    CommittedOffset {
                        offset: Offset(self.now_ms),
                        leader_epoch: 0,
                        metadata: "m".repeat(usize::from(metadata)).into(),
                        commit_ms: self.now_ms,
                    },
                )],
                now_ms: self.now_ms,
            },
            Step::DeleteOffsets { group, topic, partition } => Command::DeleteOffsets {
                group: format!("group-{group}").into(),
                partitions: vec![self.partition(topic, partition)],
            },
            Step::DeleteGroup { group } => Command::DeleteGroup { group: format!("group-{group}").into() },
            Step::ExpireOffsets { age } => {
                Command::ExpireOffsets { before_ms: self.now_ms - i64::from(age), from: None }
            }
        };
        if let Ok((Some(decision), outcome)) = self.state.decide(&command) {
            self.take(decision);
            // What the outcome shows is the state afterwards.
            match outcome {
                Outcome::TopicCreated { topic } | Outcome::Resharded { topic } => {
                    assert_eq!(self.state.topic(topic.id), Some(&topic));
                }
                Outcome::Trimmed { log_start } => {
                    let Command::Trim { partition, .. } = command else { panic!("{command:?}") };
                    assert_eq!(self.state.partition(partition).unwrap().log_start, log_start);
                }
                _ => {}
            }
        }
    }
}

fn membership(generation: u8, members: u8, now_ms: i64) -> Membership {
    let member = |n| Member {
        id: format!("member-{n}").into(),
        instance_id: (n % 2 == 0).then(|| "instance".into()),
        client_id: "client".to_owned(),
        client_host: "host".to_owned(),
        session_timeout_ms: 1,
        rebalance_timeout_ms: 2,
        metadata: Bytes::from_static(b"metadata"),
        assignment: Bytes::from_static(b"assignment"),
    };
    Membership {
        protocol_type: "consumer".to_owned(),
        generation: i32::from(generation),
        protocol: (members > 0).then(|| "range".to_owned()),
        leader: (members > 0).then(|| Arc::from("member-0")),
        members: (0..members).map(member).collect(),
        since_ms: now_ms,
    }
}

fn lane_bytes(state: &State, lane: Lane) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.snapshot_lane(lane, &mut bytes);
    bytes
}

/// What is counted as it goes.
fn counted(state: &State) -> [usize; 6] {
    let State {
        shard_count, open_shard_count, text_bytes, group_bytes, producer_count, segment_count, ..
    } = state;
    [shard_count, open_shard_count, text_bytes, group_bytes, producer_count, segment_count]
        .map(|count| *count)
}

/// Both hold the same, what is derived included.
fn assert_same(a: &State, b: &State) {
    for lane in Lane::all() {
        assert_eq!(lane_bytes(a, lane), lane_bytes(b, lane), "{lane:?}");
        assert_eq!(a.lane_keys(lane), b.lane_keys(lane));
    }
    assert_eq!((&a.topics, &a.partitions, &a.groups), (&b.topics, &b.partitions, &b.groups));
    assert_eq!((&a.names, &a.collisions), (&b.names, &b.collisions));
    assert_eq!(a.groups_by_topic, b.groups_by_topic);
    assert_eq!(counted(a), counted(b));
}

/// What is counted as it goes is what counting gives.
fn assert_counted(state: &State) {
    let shards: usize = state.topics().map(|topic| topic.shards.len()).sum();
    let open: usize = state.topics().map(|topic| topic.open_shards().count()).sum();
    let text: usize = state.topics().map(|topic| topic.text_bytes()).sum();
    let groups: usize = state.groups().map(Group::counted_bytes).sum();
    let producers: usize = state.partitions.values().map(Partition::producer_count).sum();
    let segments: usize = state.partitions.values().map(|partition| partition.segments.count()).sum();
    assert_eq!([shards, open, text, groups, producers, segments], counted(state));
    let partitions: usize = state.topics().map(|topic| topic.partitions as usize).sum();
    assert_eq!(partitions, state.partition_count());
    let of_group = |group: &Group| {
        group.offsets.keys().map(|id| (id.topic, group.id.clone())).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(
        state.groups().flat_map(of_group).collect::<std::collections::BTreeSet<_>>(),
        state.groups_by_topic
    );
    for (group, id) in state.groups().flat_map(|group| group.offsets.keys().map(move |id| (group, id))) {
        assert!(state.partition(*id).is_some(), "{} has an offset on nothing", group.id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn replay_of_written_decisions_gives_the_same_state(
        steps in proptest::collection::vec(step(), 1..80),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), Lane::COUNT),
    ) {
        let mut life = Life::new();
        // Lane snapshots, each taken at a moment of its own.
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(steps.len())).collect();
        let mut snapshots: Vec<(usize, Vec<u8>)> = vec![(0, Vec::new()); Lane::COUNT];
        for (n, step) in steps.into_iter().enumerate() {
            for (lane, cut) in Lane::all().zip(&cuts) {
                if *cut == n {
                    snapshots[usize::from(lane.0)] = (life.log.len(), lane_bytes(&life.state, lane));
                }
            }
            life.step(step);
            assert_counted(&life.state);
        }

        let mut written = Vec::new();
        life.log.iter().for_each(|decision| decision.encode(&mut written));
        let mut rest = &written[..];
        let mut replayed = State::new(limits());
        for decision in &life.log {
            let read = Decision::decode(&mut rest).unwrap();
            prop_assert_eq!(&read, decision);
            replayed.apply(&read);
        }
        prop_assert!(rest.is_empty());
        assert_same(&life.state, &replayed);

        let mut recovered = State::new(limits());
        for (lane, (_, bytes)) in Lane::all().zip(&snapshots) {
            recovered.load_lane(lane, bytes).unwrap();
        }
        for (position, decision) in life.log.iter().enumerate() {
            for lane in decision.lanes().iter() {
                if position >= snapshots[usize::from(lane.0)].0 {
                    recovered.apply_in_lane(decision, lane);
                }
            }
        }
        assert_same(&life.state, &recovered);
    }

    #[test]
    fn damaged_bytes_are_refused_or_mean_something_else_but_never_panic(
        steps in proptest::collection::vec(step(), 1..40),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        garbage in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut life = Life::new();
        steps.into_iter().for_each(|step| life.step(step));
        let try_decode = |bytes: &[u8]| {
            let mut rest = bytes;
            while !rest.is_empty() {
                match Decision::decode(&mut rest) {
                    Ok(decision) => {
                        let mut again = Vec::new();
                        decision.encode(&mut again);
                        let again = Decision::decode(&mut &again[..]);
                        prop_assert_eq!(again, Ok(decision));
                    }
                    Err(_) => break,
                }
            }
            Ok(())
        };
        for decision in &life.log {
            let mut bytes = Vec::new();
            decision.encode(&mut bytes);
            prop_assert!(Decision::decode(&mut &bytes[..bytes.len() - 1]).is_err(), "cut short");
            for (index, value) in &damage {
                let index = index.index(bytes.len());
                bytes[index] = *value;
            }
            try_decode(&bytes)?;
        }
        try_decode(&garbage)?;
        for lane in Lane::all() {
            let mut bytes = lane_bytes(&life.state, lane);
            for (index, value) in &damage {
                let index = index.index(bytes.len());
                bytes[index] = *value;
            }
            let _ = State::new(limits()).load_lane(lane, &bytes);
            let _ = State::new(limits()).load_lane(lane, &garbage);
        }
    }
}

#[test]
fn the_oldest_producers_go_first_when_there_are_too_many() {
    let mut life = Life::new();
    life.step(Step::Create { topic: 0, partitions: 2, configs: 0 });
    let append = |producer, sequence, partition| Step::Append {
        topic: 0,
        partition,
        routed: None,
        producer: Some((producer, 0, sequence)),
        count: 1,
    };
    for producer in 0..5 {
        life.step(append(producer, 0, producer % 2));
    }
    life.step(append(0, 1, 0));
    assert_eq!(life.state.producer_count(), 5);
    life.step(append(9, 0, 1));
    // Producer 0 was first, but wrote again: 1 was silent longest.
    let known = |index| {
        let partition = life.state.partition(PartitionId { topic: TopicId(1), index }).unwrap();
        let mut ids: Vec<i64> = partition.producers().map(|producer| producer.id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!((known(0), known(1)), (vec![0, 2, 4], vec![3, 9]));
}

#[test]
fn limits_on_memory_refuse_what_grows_and_let_through_what_shrinks() {
    let limits =
        Limits { text_bytes: 60, group_bytes: 1200, shards_total: 3, groups: 2, ..Limits::default() };
    let mut state = State::new(limits);
    let mut run = |command: Command| {
        let (decision, outcome) = state.decide(&command)?;
        if let Some(decision) = decision {
            state.apply(&decision);
        }
        Ok(outcome)
    };
    let create = |name: &str, id, partitions| {
        Command::CreateTopic(CreateTopic {
            name: name.into(),
            id: TopicId(id),
            partitions,
            configs: BTreeMap::new(),
            tags: BTreeMap::new(),
            now_ms: 0,
        })
    };
    run(create("a", 1, 2)).unwrap();
    assert_eq!(run(create("b", 2, 2)), Err(Refusal::StateFull { what: "shards", limit: 3 }));
    let tag = |value: Option<usize>| Command::ChangeTags {
        topic: TopicId(1),
        changes: vec![("key".to_owned(), value.map(|len| "x".repeat(len)))],
        limit: 50,
    };
    run(tag(Some(50))).unwrap();
    assert!(matches!(run(tag(Some(60))), Err(Refusal::StateFull { limit: 60, .. })));
    assert!(matches!(run(create("0123456789", 3, 1)), Err(Refusal::StateFull { limit: 60, .. })));
    run(tag(None)).unwrap();
    run(create("0123456789", 3, 1)).unwrap();

    let commit = |group: &str, len| Command::CommitOffsets {
        group: group.into(),
        member: None,
        offsets: vec![(
            PartitionId { topic: TopicId(1), index: 0 },
            CommittedOffset {
                offset: Offset(1),
                leader_epoch: -1,
                metadata: "m".repeat(len).into(),
                commit_ms: 0,
            },
        )],
        now_ms: 0,
    };
    run(commit("a", 500)).unwrap();
    assert!(matches!(run(commit("b", 1000)), Err(Refusal::StateFull { limit: 1200, .. })));
    run(commit("a", 10)).unwrap();
    run(commit("b", 10)).unwrap();
    assert_eq!(run(commit("c", 0)), Err(Refusal::StateFull { what: "consumer groups", limit: 2 }));
    run(Command::DeleteGroup { group: "a".into() }).unwrap();
    run(commit("c", 0)).unwrap();
}

/// A group could take the memory of all: one SyncGroup with 64 MiB for a member, and no other group could grow any more.
/// Kafka stores a group as one record, of `message.max.bytes` at most.
#[test]
fn a_group_is_no_larger_than_a_message() {
    let mut configs = configs::ConfigDefaults::default();
    assert_eq!(configs.set("message.max.bytes", "100000"), Ok(true));
    let mut state = State::new(Limits { configs: Arc::new(configs), ..Limits::default() });
    let mut store = |group: &str, expected_generation: Option<i32>, generation: i32, assignment: usize| {
        let member = super::Member {
            id: "m".into(),
            instance_id: None,
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            metadata: Bytes::from_static(b"metadata"),
            assignment: vec![0; assignment].into(),
        };
        let membership = super::Membership { generation, members: vec![member], ..Default::default() };
        let command = Command::StoreGroup { group: group.into(), expected_generation, membership };
        let (decision, outcome) = state.decide(&command)?;
        decision.iter().for_each(|decision| state.apply(decision));
        Ok(outcome)
    };
    // The names take 20 bytes.
    assert_eq!(store("a", None, 1, 99_980), Ok(Outcome::Done));
    let refused = Refusal::MembershipTooLarge { size: 100_001, limit: 100_000 };
    assert_eq!(store("a", Some(1), 2, 99_981), Err(refused.clone()));
    assert_eq!(store("b", None, 1, 99_981), Err(refused));
    assert_eq!(store("b", None, 1, 1000), Ok(Outcome::Done), "others go on");
    assert_eq!(store("a", Some(1), 2, 10), Ok(Outcome::Done));
}

/// What the partition had was taken off once for each time it was named: the commit seemed to shrink the state, and the
/// limit was not asked. What came of it was in the log, and every start loaded it.
#[test]
fn a_partition_named_many_times_in_a_commit_counts_once() {
    const LIMIT: usize = 20_000;
    let limits = Limits { group_bytes: LIMIT, ..Limits::default() };
    let mut state = State::new(limits);
    let create = CreateTopic {
        name: "t".into(),
        id: TopicId(1),
        partitions: 100,
        configs: BTreeMap::new(),
        tags: BTreeMap::new(),
        now_ms: 0,
    };
    let mut run = |command: &Command| {
        let (decision, outcome) = state.decide(command)?;
        if let Some(decision) = decision {
            state.apply(&decision);
        }
        Ok::<_, Refusal>((outcome, state.group_bytes, state.group("g").map(|group| group.offsets.clone())))
    };
    run(&Command::CreateTopic(create)).unwrap();
    let commit = |entries: &[(i32, usize)]| Command::CommitOffsets {
        group: "g".into(),
        member: None,
        offsets: entries
            .iter()
            .enumerate()
            .map(|(at, (index, len))| {
                let committed = CommittedOffset {
                    offset: Offset(at as i64),
                    leader_epoch: -1,
                    metadata: "m".repeat(*len).into(),
                    commit_ms: 0,
                };
                (PartitionId { topic: TopicId(1), index: *index }, committed)
            })
            .collect(),
        now_ms: 0,
    };
    run(&commit(&[(0, 4000)])).unwrap();
    let mut entries = vec![(0, 0); 1000];
    entries.extend((1..50).map(|index| (index, 4000)));
    let refused = run(&commit(&entries));
    assert!(matches!(refused, Err(Refusal::StateFull { limit: LIMIT, .. })), "{refused:?}");

    // As on Kafka the last entry of a partition is the one that stays, and each has its answer.
    let (outcome, held, offsets) = run(&commit(&[(0, 10), (1, 10), (0, 4000), (0, 20)])).unwrap();
    assert_eq!(outcome, Outcome::PerPartition(vec![Ok(()); 4]));
    assert!(held <= LIMIT);
    let offsets: Vec<_> =
        offsets.unwrap().into_values().map(|one| (one.offset.0, one.metadata.len())).collect();
    assert_eq!(offsets, [(3, 20), (1, 10)]);
}

/// Each partition had its own bound, 16 KiB of state and of every snapshot: 10 topics of 10,000 partitions and `segment.ms` of 1
/// took 1.6 GB.
#[test]
fn virtual_segments_have_a_bound_over_all_partitions() {
    const PARTITIONS: i32 = 100;
    const BATCHES: i64 = 200;
    let limits = Limits { segments_total: 1500, partitions_total: 200, ..Limits::default() };
    let mut state = State::new(limits.clone());
    let topic = TopicId(5);
    let create = CreateTopic {
        name: "t".into(),
        id: topic,
        partitions: PARTITIONS,
        configs: [("segment.ms".into(), "1".into()), ("retention.ms".into(), "1000".into())].into(),
        tags: Default::default(),
        now_ms: 1,
    };
    let (decision, _) = state.decide(&Command::CreateTopic(create)).unwrap();
    let mut log = vec![decision.unwrap()];
    state.apply(&log[0]);
    let mut joins = 0;
    for round in 0..BATCHES {
        for index in 0..PARTITIONS {
            let batch = Batch {
                bytes: Bytes::from_static(&[0; 70]),
                offset_count: 1,
                max_timestamp_ms: 10 * round,
                base_timestamp_ms: 10 * round,
                producer: None,
                has_keyless: false,
            };
            let append = Append { partition: PartitionId { topic, index }, shard: None, batch };
            let AppendVerdict::Append(append) = state.decide_append(&append, 10 * round).unwrap() else {
                panic!("it is no duplicate")
            };
            joins += u32::from(append.joins);
            log.push(Decision::Append(append));
            state.apply(log.last().unwrap());
        }
        let counted: usize = state.partitions.values().map(|partition| partition.segments.count()).sum();
        assert_eq!(state.segment_count, counted);
        // A partition may always have a few.
        assert!(counted <= 1500 + 8 * PARTITIONS as usize, "{counted}");
    }
    assert!(joins > 1000, "{joins}");
    // What is decided needs no rule when it is replayed.
    let mut replayed = State::new(Limits { segments_total: usize::MAX, ..limits });
    log.iter().for_each(|decision| replayed.apply(decision));
    let bytes = |state: &State| {
        let mut bytes = Vec::new();
        Lane::all().for_each(|lane| state.snapshot_lane(lane, &mut bytes));
        bytes
    };
    assert!(bytes(&state) == bytes(&replayed));
    // Retention acts near where it should, never before.
    let now_ms = 10 * BATCHES;
    let topic = state.topic(topic).unwrap().clone();
    let trims: Vec<_> = state.retention_trims(&topic, now_ms).collect();
    assert_eq!(trims.len(), PARTITIONS as usize);
    for (_, to) in trims {
        assert!((BATCHES / 8..=BATCHES / 2).contains(&to.0), "{to}");
    }
}
