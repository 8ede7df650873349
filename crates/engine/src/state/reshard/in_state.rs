//! What a reshard does to the rest of the state: fences, partitions, group offsets; live, in replay and lane by lane.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::contract::{Append, AppendError, Batch};
use crate::state::{
    AppendVerdict, Command, CommittedOffset, CreateTopic, Decision, Lane, Outcome, State, TrimBy,
};
use crate::types::{PartitionId, TopicId};

const TOPIC: TopicId = TopicId(5);

/// A state and the log that made it.
struct World {
    state: State,
    log: Vec<Vec<u8>>,
    now_ms: i64,
}

impl World {
    fn new(partitions: i32) -> World {
        let mut world = World { state: empty(), log: Vec::new(), now_ms: 1_700_000_000_000 };
        world.create(TOPIC, partitions);
        world
    }

    fn create(&mut self, id: TopicId, partitions: i32) {
        let configs = [(RESHARD_CONFIG.to_owned(), "split+merge".to_owned())].into();
        let (name, now_ms) = ("s".into(), self.now_ms);
        let create = CreateTopic { name, id, partitions, configs, tags: Default::default(), now_ms };
        self.decide(Command::CreateTopic(create)).unwrap();
    }

    fn apply(&mut self, decision: Decision) {
        let mut bytes = Vec::new();
        decision.encode(&mut bytes);
        assert_eq!(Decision::decode(&mut &bytes[..]).as_ref(), Ok(&decision));
        self.state.apply(&decision);
        self.log.push(bytes);
    }

    fn decide(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let (decision, outcome) = self.state.decide(&command)?;
        if let Some(decision) = decision {
            self.apply(decision);
        }
        Ok(outcome)
    }

    fn reshard(&mut self, how: Reshard) -> Result<Arc<Topic>, Refusal> {
        let outcome = self.decide(Command::Reshard { topic: TOPIC, how, now_ms: self.now_ms })?;
        let Outcome::Resharded { topic } = outcome else { panic!("{outcome:?}") };
        assert_eq!(&topic, self.topic(), "the answer is what the catalogue has");
        Ok(topic)
    }

    fn append(&mut self, index: i32, shard: Option<u32>) -> Result<Offset, AppendError> {
        let batch = Batch {
            bytes: Bytes::from_static(&[0; 61]),
            offset_count: 3,
            max_timestamp_ms: -1,
            base_timestamp_ms: -1,
            producer: None,
            has_keyless: false,
        };
        let partition = PartitionId { topic: TOPIC, index };
        let append = Append { partition, shard: shard.map(ShardId), batch };
        match self.state.decide_append(&append, self.now_ms)? {
            AppendVerdict::Append(decision) => {
                self.apply(Decision::Append(decision));
                Ok(decision.base_offset)
            }
            AppendVerdict::Duplicate(_) => panic!("no producer, no duplicate"),
        }
    }

    fn commit(&mut self, group: &str, index: i32, offset: i64) {
        let offset = Offset(offset);
        let committed =
            CommittedOffset { offset, leader_epoch: -1, metadata: "".into(), commit_ms: self.now_ms };
        let offsets = vec![(PartitionId { topic: TOPIC, index }, committed)];
        let now_ms = self.now_ms;
        self.decide(Command::CommitOffsets { group: group.into(), member: None, offsets, now_ms }).unwrap();
    }

    fn committed(&self, group: &str) -> Vec<(i32, i64)> {
        let group = self.state.group(group).unwrap();
        group.offsets_on(TOPIC).map(|(partition, committed)| (partition.index, committed.offset.0)).collect()
    }

    fn topic(&self) -> &Arc<Topic> {
        self.state.topic(TOPIC).unwrap()
    }

    /// The state after replay of the log over a snapshot of each lane that stands at `at(lane)`.
    fn replayed(&self, at: impl Fn(u8) -> usize) -> State {
        let decisions: Vec<Decision> =
            self.log.iter().map(|bytes| Decision::decode(&mut &bytes[..]).unwrap()).collect();
        let mut snapshots: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut live = empty();
        for position in 0..=decisions.len() {
            for lane in Lane::all().filter(|lane| at(lane.0).min(decisions.len()) == position) {
                let mut bytes = Vec::new();
                live.snapshot_lane(lane, &mut bytes);
                snapshots.push((usize::from(lane.0), bytes));
            }
            if let Some(decision) = decisions.get(position) {
                live.apply(decision);
            }
        }
        let mut state = empty();
        for (lane, bytes) in &snapshots {
            let lane = Lane(*lane as u8);
            state.load_lane(lane, bytes).unwrap();
        }
        for lane in Lane::all() {
            for decision in &decisions[at(lane.0).min(decisions.len())..] {
                if decision.lanes().contains(lane) {
                    state.apply_in_lane(decision, lane);
                }
            }
        }
        state
    }
}

fn empty() -> State {
    State::new(Limits { partitions_per_topic: 32, ..Limits::default() })
}

fn snapshot(state: &State) -> Vec<Vec<u8>> {
    let lane = |lane| {
        let mut bytes = Vec::new();
        state.snapshot_lane(lane, &mut bytes);
        bytes
    };
    Lane::all().map(lane).collect()
}

#[test]
fn a_fence_turns_routed_appends_away_and_a_retired_partition_all() {
    let mut world = World::new(2);
    assert_eq!(world.append(0, Some(0)), Ok(Offset(0)));
    let at = world.topic().shards[0].range.end / 2;
    world.reshard(Reshard::Split { shard: ShardId(0), at }).unwrap();
    assert_eq!(world.append(0, Some(0)), Err(AppendError::Resharded { now: Some(ShardId(2)) }));
    assert_eq!(world.append(0, Some(2)), Ok(Offset(3)));
    assert_eq!(world.append(0, None), Ok(Offset(6)), "Kafka's producers see no split");
    assert_eq!(world.append(2, Some(3)), Ok(Offset(0)));

    world.reshard(Reshard::Merge { first: ShardId(2), second: ShardId(3) }).unwrap();
    assert_eq!(world.append(2, Some(3)), Err(AppendError::Resharded { now: None }));
    assert_eq!(world.append(2, None), Err(AppendError::Retired));
    assert_eq!(world.append(0, Some(4)), Ok(Offset(9)));
}

/// A wall clock that stepped back after a shard had opened let records arrive before their shard was there: AT_TIMESTAMP
/// at an instant between the two gave records of before it.
#[test]
fn no_record_arrives_before_its_shard_opened() {
    let mut world = World::new(1);
    let last_append_ms = |world: &World, index| {
        world.state.partition(PartitionId { topic: TOPIC, index }).unwrap().last_append_ms
    };
    let created_ms = world.topic().created_ms;
    world.now_ms -= 40_000;
    world.append(0, Some(0)).unwrap();
    assert_eq!(last_append_ms(&world, 0), created_ms);

    world.now_ms += 100_000;
    let topic = world.reshard(Reshard::Split { shard: ShardId(0), at: 1 << 127 }).unwrap();
    world.now_ms -= 90_000;
    for shard in topic.open_shards() {
        let index = shard.partition.unwrap();
        world.append(index, Some(shard.id.0)).unwrap();
        assert_eq!(last_append_ms(&world, index), shard.opened_ms);
    }
}

#[test]
fn groups_get_offsets_on_new_partitions_only() {
    let mut world = World::new(2);
    world.append(0, Some(0)).unwrap();
    world.append(1, Some(1)).unwrap();
    // Reads both, has committed one: what it has not read of partition 1 must stay in front of it.
    world.commit("reader", 0, 3);
    world.reshard(Reshard::UpdateShardCount { target: 4 }).unwrap();
    assert_eq!(world.committed("reader"), [(0, 3), (2, 0), (3, 0)]);
    assert_eq!(world.state.group("other"), None);

    // Down and up again: partitions come back into use that everybody knows.
    world.reshard(Reshard::UpdateShardCount { target: 1 }).unwrap();
    world.commit("late", 0, 5);
    world.reshard(Reshard::UpdateShardCount { target: 4 }).unwrap();
    assert_eq!(world.committed("late"), [(0, 5)]);
    world.reshard(Reshard::CreatePartitions { count: 5 }).unwrap();
    assert_eq!(world.committed("late"), [(0, 5), (4, 0)]);
    assert_eq!(world.committed("reader"), [(0, 3), (2, 0), (3, 0), (4, 0)]);
}

#[test]
fn a_stream_made_again_has_later_create_seconds() {
    let mut world = World::new(1);
    for _ in 0..5 {
        let open = *world.topic().open_shards().last().unwrap();
        world.reshard(Reshard::Split { shard: open.id, at: open.range.start + 9 }).unwrap();
    }
    let last = world.topic().shards.iter().map(|shard| shard.create_second).max().unwrap();
    world.decide(Command::DeleteTopic { topic: TOPIC }).unwrap();
    world.now_ms -= 60_000;
    world.create(TopicId(6), 3);
    let again = world.state.topic(TopicId(6)).unwrap();
    assert!(again.shards.iter().all(|shard| shard.create_second > last));
    assert_eq!(snapshot(&world.replayed(|lane| usize::from(lane % 9))), snapshot(&world.state));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn replay_over_any_snapshots_rebuilds_what_was_decided(
        steps in prop::collection::vec((0..9u8, any::<u8>(), any::<u128>()), 1..60),
        cuts in prop::array::uniform16(0..80usize),
    ) {
        let mut world = World::new(2);
        for (kind, pick, hash) in steps {
            world.now_ms += i64::from(pick) * 700_000 - 1;
            let mut open: Vec<Shard> = world.topic().open_shards().copied().collect();
            open.sort_by_key(|shard| shard.range.start);
            let shard = open[usize::from(pick) % open.len()];
            let next = open[(usize::from(pick) + 1) % open.len()];
            let index = i32::from(pick) % world.topic().partitions;
            match kind {
                0 => prop_assert!(world.append(shard.partition.unwrap(), Some(shard.id.0)).is_ok()),
                1 => {
                    let retired = open.iter().all(|shard| shard.partition != Some(index));
                    prop_assert_eq!(world.append(index, None).is_err(), retired);
                }
                2 => world.commit(if pick % 2 == 0 { "a" } else { "b" }, index, 1),
                3 => drop(world.reshard(Reshard::Split { shard: shard.id, at: hash })),
                4 | 5 => drop(world.reshard(Reshard::Merge { first: shard.id, second: next.id })),
                6 => drop(world.reshard(Reshard::UpdateShardCount { target: i32::from(pick) % 12 + 1 })),
                7 => drop(world.reshard(Reshard::CreatePartitions { count: world.topic().partitions + 1 })),
                _ => {
                    let partition = PartitionId { topic: TOPIC, index };
                    world.decide(Command::Trim { partition, to: None, by: TrimBy::Client }).unwrap();
                }
            }
            // What the catalogue says of a partition's end is what its fence says.
            let topic = world.topic();
            for partition in topic.partition_ids() {
                let ends = topic.open_shards().find(|shard| shard.partition == Some(partition.index));
                prop_assert_eq!(world.state.partition(partition).unwrap().shard, ends.map(|shard| shard.id));
            }
        }
        prop_assert_eq!(snapshot(&world.replayed(|_| 0)), snapshot(&world.state));
        prop_assert_eq!(snapshot(&world.replayed(|lane| cuts[usize::from(lane % 16)])), snapshot(&world.state));
    }
}
