//! Every rule that decides. Pure: no clock, no I/O, no randomness; time and ids come in with the command.
//!
//! A [`Command`] (or an append) is decided against the current [`State`] into a [`Decision`];
//! [`State::apply`] of that decision is the only thing that changes the state, live and in replay alike.
//! A decision is complete in itself: applying it asks no rule again, so rules may change between versions
//! while old logs replay as they were decided.
//!
//! ```text
//!   command ──► decide (reads the state) ──► Decision ──► apply (writes the state)
//!                     │                         │
//!                  Refusal                   encode ──► the log ──► decode ──► apply, in replay
//! ```
//!
//! | file | rules about |
//! |---|---|
//! | `partition` | appends, idempotent producers |
//! | `virtual_segments` | where retention may cut |
//! | `topics`, `configs`, `reshard` | the catalogue, topic configs, shards |
//! | `groups` | memberships, committed offsets |
//! | `lane`, `snapshot`, `codec` | how state is cut and written |

mod apply;
mod codec;
mod command;
pub mod configs;
mod decision;
mod groups;
mod lane;
mod limits;
mod partition;
mod producers;
pub mod reshard;
mod snapshot;
#[cfg(test)]
mod tests;
mod topics;
mod virtual_segments;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

pub use codec::CorruptState;
pub use command::*;
pub use configs::ConfigDefaults;
pub use decision::{AppendDecision, Decision, ExpiredGroup, GroupStart, ProducerAppend, ReshardDecision};
pub use groups::Group;
pub use lane::{Lane, LaneSet};
pub use limits::Limits;
pub use partition::{AppendRules, AppendVerdict, Partition, ProducerView};
pub use topics::{CatalogueEpoch, Shard, TOPIC_NAME_MAX, Topic, check_topic_name};
pub use virtual_segments::{RetentionRules, RollRules, VirtualSegments};

use crate::contract::{Append, AppendError};
use crate::defects::{Defect, defect};
use crate::map::HashMap;
use crate::types::{Offset, PartitionId, TopicId, TopicName};
use snapshot::LaneKeys;

/// Everything that needs order, rebuilt by replay.
///
/// The first block is the state proper: it lies in lanes, snapshots hold it. The rest is derived from it.
#[derive(Clone, Debug)]
pub struct State {
    topics: HashMap<TopicId, Arc<Topic>>,
    partitions: HashMap<PartitionId, Partition>,
    groups: BTreeMap<Arc<str>, Group>,
    /// Per lane of topic names, the last create second that a deleted topic of the lane gave away.
    create_seconds: Box<[Option<i64>; Lane::COUNT]>,
    next_producer_id: i64,

    limits: Limits,
    names: BTreeMap<TopicName, TopicId>,
    collisions: HashMap<String, TopicName>,
    /// Which groups have committed offsets on a topic.
    groups_by_topic: BTreeSet<(TopicId, Arc<str>)>,
    shard_count: usize,
    open_shard_count: usize,
    text_bytes: usize,
    group_bytes: usize,
    producer_count: usize,
    segment_count: usize,
    lane_keys: Box<[LaneKeys; Lane::COUNT]>,
    catalogue_epoch: CatalogueEpoch,
}

impl State {
    /// The state of an empty log.
    pub fn new(limits: Limits) -> State {
        State {
            topics: HashMap::default(),
            partitions: HashMap::default(),
            groups: BTreeMap::new(),
            create_seconds: Box::new([None; Lane::COUNT]),
            next_producer_id: 0,
            limits,
            names: BTreeMap::new(),
            collisions: HashMap::default(),
            groups_by_topic: BTreeSet::new(),
            shard_count: 0,
            open_shard_count: 0,
            text_bytes: 0,
            group_bytes: 0,
            producer_count: 0,
            segment_count: 0,
            lane_keys: Box::new(std::array::from_fn(|_| LaneKeys::default())),
            catalogue_epoch: CatalogueEpoch::default(),
        }
    }

    /// Decides an append; no effect. `now_ms` is the wall clock.
    ///
    /// One hash lookup; allocates nothing.
    pub fn decide_append(&self, append: &Append, now_ms: i64) -> Result<AppendVerdict, AppendError> {
        self.partitions.get(&append.partition).ok_or(AppendError::UnknownPartition)?.decide_append(
            append,
            now_ms,
            &self.limits.configs,
            self.segment_count >= self.limits.segments_total,
        )
    }

    /// Decides a command, all or nothing; no effect. `None`: it is granted and changes nothing.
    pub fn decide(&self, command: &Command) -> Result<(Option<Decision>, Outcome), Refusal> {
        match command {
            Command::CreateTopic(create) => self.decide_create_topic(create),
            Command::DeleteTopic { topic } => self.decide_delete_topic(*topic),
            Command::AlterTopicConfigs { topic, replace, changes } => {
                self.decide_alter_configs(*topic, *replace, changes)
            }
            Command::ChangeTags { topic, changes, limit } => self.decide_change_tags(*topic, changes, *limit),
            Command::Reshard { topic, how, now_ms } => self.decide_reshard(*topic, *how, *now_ms),
            Command::Trim { partition, to, by } => self.decide_trim(*partition, *to, *by),
            Command::AllocateProducerIds { count } => self.decide_producer_ids(*count),
            Command::ExpireProducers { before_ms, from } => {
                Ok(self.decide_expire_producers(*before_ms, *from))
            }
            Command::StoreGroup { group, expected_generation, membership } => {
                self.decide_store_group(group, *expected_generation, membership)
            }
            Command::CommitOffsets { group, member, offsets, now_ms } => {
                self.decide_commit_offsets(group, member.as_ref(), offsets, *now_ms)
            }
            Command::DeleteOffsets { group, partitions } => self.decide_delete_offsets(group, partitions),
            Command::DeleteGroup { group } => self.decide_delete_group(group),
            Command::ExpireOffsets { before_ms, from } => {
                self.decide_expire_offsets(*before_ms, from.as_ref())
            }
        }
    }

    fn decide_trim(
        &self,
        partition: PartitionId,
        to: Option<Offset>,
        by: TrimBy,
    ) -> Result<(Option<Decision>, Outcome), Refusal> {
        let state = self.partition(partition).ok_or(Refusal::UnknownTopic)?;
        if by == TrimBy::Client {
            let topic = self.topic(partition.topic).expect("a partition's topic is in the catalogue");
            let policy = configs::effective(topic, &self.limits.configs, configs::CLEANUP_POLICY);
            if !configs::list(policy).any(|policy| policy == "delete") {
                return Err(Refusal::NotDeletable);
            }
        }
        let to = to.unwrap_or(state.next);
        if to > state.next || to < Offset::ZERO {
            return Err(Refusal::OffsetOutOfRange {
                offset: to,
                log_start: state.log_start,
                high_watermark: state.next,
            });
        }
        if to <= state.log_start {
            return Ok((None, Outcome::Trimmed { log_start: state.log_start }));
        }
        Ok((Some(Decision::Trim { partition, log_start: to }), Outcome::Trimmed { log_start: to }))
    }

    /// Makes partitions again that a damaged snapshot lost, as their topics say they are, without batches. Returns which.
    pub fn restore_partitions(&mut self) -> Vec<PartitionId> {
        let mut restored = Vec::new();
        let topics: Vec<_> = self.topics().cloned().collect();
        for topic in topics {
            let rules = configs::append_rules(&topic.configs);
            for id in topic.partition_ids().filter(|id| self.partition(*id).is_none()).collect::<Vec<_>>() {
                let open =
                    topic.shards.iter().find(|shard| shard.is_open() && shard.partition == Some(id.index));
                let from_ms = topic.clock_ms();
                self.put_partition(id, Partition::new(rules, open.map(|shard| shard.id), from_ms));
                restored.push(id);
            }
        }
        restored
    }

    /// Lets partitions that lost their last batches go on where their shards say that they stood: nobody could read a closed
    /// shard to its end in a log that ends before.
    pub fn restore_ends(&mut self) {
        let topics: Vec<_> = self.topics().cloned().collect();
        for topic in topics {
            for shard in topic.shards.iter() {
                let Some(index) = shard.partition else { continue };
                let reached = shard.end.unwrap_or(shard.first);
                if let Some(partition) = self.partitions.get_mut(&PartitionId { topic: topic.id, index }) {
                    partition.next = partition.next.max(reached);
                }
            }
        }
    }

    /// A producer id that is above all that the state has seen.
    pub fn unseen_producer_id(&self) -> i64 {
        let seen = self.partitions.values().flat_map(|partition| partition.producers());
        self.next_producer_id.max(seen.map(|producer| producer.id + 1).max().unwrap_or(0))
    }

    /// Where retention wants the log starts of a topic's partitions now, as Kafka deletes segments. The back
    /// end proposes each as a [`Command::Trim`].
    pub fn retention_trims<'a>(
        &'a self,
        topic: &'a Topic,
        now_ms: i64,
    ) -> impl Iterator<Item = (PartitionId, Offset)> + use<'a> {
        let rules = RetentionRules {
            retention_ms: configs::retention_ms(topic, &self.limits.configs),
            retention_bytes: configs::retention_bytes(topic, &self.limits.configs).map(|bytes| bytes as u64),
        };
        topic.partition_ids().filter_map(move |id| {
            let partition = self.partition(id)?;
            let mut to = partition.segments.expired(&rules, now_ms, partition.next)?;
            if defect(Defect::RetentionTooFar) {
                to = (to + 1).min(partition.next);
            }
            (to > partition.log_start).then_some((id, to))
        })
    }

    /// What decisions keep to.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The process's defaults of topic configs.
    pub fn config_defaults(&self) -> &ConfigDefaults {
        &self.limits.configs
    }

    /// Tells whoever keeps what it found about topics when to look again.
    pub fn catalogue_epoch(&self) -> &CatalogueEpoch {
        &self.catalogue_epoch
    }

    /// A topic by its identity.
    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// A topic by its name.
    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(name)?)
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics_from("")
    }

    /// Topics whose name is `from` or after it, by name: for listings in pages.
    pub fn topics_from<'a>(&'a self, from: &str) -> impl Iterator<Item = &'a Arc<Topic>> + use<'a> {
        let range = (std::ops::Bound::Included(from), std::ops::Bound::Unbounded);
        self.names.range::<str, _>(range).map(|(_, id)| &self.topics[id])
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// A partition's state.
    pub fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.get(&id)
    }

    /// Partitions of all topics.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Shards of all topics, closed ones included.
    pub fn shard_count(&self) -> usize {
        self.shard_count
    }

    /// Shards of all topics that take records.
    pub fn open_shard_count(&self) -> usize {
        self.open_shard_count
    }

    /// A consumer group.
    pub fn group(&self, id: &str) -> Option<&Group> {
        self.groups.get(id)
    }

    /// Consumer groups, and what they take of [`Limits::group_bytes`].
    pub fn group_sizes(&self) -> (usize, usize) {
        (self.groups.len(), self.group_bytes)
    }

    /// The consumer groups behind an id, by id; all for `None`.
    pub fn groups_behind(&self, id: Option<&str>) -> impl Iterator<Item = &Group> {
        let first = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.groups.range::<str, _>((first, Bound::Unbounded)).map(|(_, group)| group)
    }

    /// All consumer groups, by id.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Idempotent producers remembered over all partitions.
    pub fn producer_count(&self) -> usize {
        self.producer_count
    }

    /// The groups that have committed offsets on a topic, by id.
    fn groups_with_offsets_on(&self, topic: TopicId) -> impl Iterator<Item = &Arc<str>> {
        let from = (topic, Arc::from(""));
        self.groups_by_topic.range(from..).take_while(move |(on, _)| *on == topic).map(|(_, group)| group)
    }

    fn colliding_name(&self, name: &str) -> Option<&TopicName> {
        self.collisions.get(&topics::collision_key(name))
    }

    fn lane_keys(&self, lane: Lane) -> &LaneKeys {
        &self.lane_keys[usize::from(lane.0)]
    }

    fn lane_keys_mut(&mut self, lane: Lane) -> &mut LaneKeys {
        &mut self.lane_keys[usize::from(lane.0)]
    }

    fn create_second_floor(&self, lane: Lane) -> Option<i64> {
        self.create_seconds[usize::from(lane.0)]
    }
}
