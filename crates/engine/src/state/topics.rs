//! The catalogue: topics (= streams) with their configs, tags and shards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::configs;
use super::decision::{Decision, ReshardDecision};
use super::reshard::{self, Situation, Tail};
use super::{CommittedOffset, ConfigChange, CreateTopic, Outcome, Refusal, Reshard, State};
use crate::types::{HashRange, Offset, PartitionId, ShardId, TopicId, TopicName};

/// A topic (= stream) as the catalogue has it. Shared, replaced as a whole when it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its identity.
    pub id: TopicId,
    /// When it was made, ms.
    pub created_ms: i64,
    /// Partitions 0 to this, exclusive; retired ones included.
    pub partitions: i32,
    /// Config overrides; defaults are in `state::configs`.
    pub configs: BTreeMap<String, String>,
    /// Stream tags.
    pub tags: BTreeMap<String, String>,
    /// Every shard that retention has not forgotten, by id, closed ones included.
    pub shards: Vec<Shard>,
    /// The next shard's number.
    pub next_shard: u32,
    /// The lineage of shards is whole from this instant on, ms: creation, or where retention has cut it.
    pub lineage_from_ms: i64,
}

/// A Kinesis shard: a slice of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number in the stream.
    pub id: ShardId,
    /// The partition it is a slice of; `None` for an intermediate shard of UpdateShardCount.
    pub partition: Option<i32>,
    /// First offset.
    pub first: Offset,
    /// One past the last offset, once closed.
    pub end: Option<Offset>,
    /// Its hash range.
    pub range: HashRange,
    /// ParentShardId.
    pub parent: Option<ShardId>,
    /// AdjacentParentShardId.
    pub adjacent_parent: Option<ShardId>,
    /// When it was opened, ms: the instant its parents closed.
    pub opened_ms: i64,
    /// When it was closed, ms; the shard covers [opened, closed).
    pub closed_ms: Option<i64>,
    /// The create second in its sequence numbers: children sort after parents.
    pub create_second: i64,
}

impl Shard {
    /// Whether records can still be put to it.
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }
}

/// Why a topic cannot have this name, in Kafka's words.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() {
        Err("Topic name is invalid: the empty string is not allowed".to_owned())
    } else if name == "." || name == ".." {
        Err(format!("Topic name is invalid: '{name}' is not allowed"))
    } else if name.len() > TOPIC_NAME_MAX {
        Err(format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length {TOPIC_NAME_MAX}"
        ))
    } else if !name.bytes().all(legal) {
        Err(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ))
    } else {
        Ok(())
    }
}

/// Topics in which Kafka keeps committed offsets and transactions. They do not exist here and cannot be made: tools would
/// take them for Kafka's.
const RESERVED_NAMES: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// Longest topic name, in bytes.
/// Bytes that a topic's name has at most.
pub const TOPIC_NAME_MAX: usize = 249;

/// What names must not share: metric names write `.` as `_`, so Kafka refuses names that differ in nothing else.
pub(crate) fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}

impl Topic {
    /// Bytes of its name, configs and tags, for the memory limit.
    pub(crate) fn text_bytes(&self) -> usize {
        let map_bytes = |map: &BTreeMap<String, String>| -> usize {
            map.iter().map(|(key, value)| key.len() + value.len()).sum()
        };
        self.name.len() + map_bytes(&self.configs) + map_bytes(&self.tags)
    }

    /// Its partitions, retired ones included.
    pub fn partition_ids(&self) -> impl Iterator<Item = PartitionId> + use<> {
        let topic = self.id;
        (0..self.partitions).map(move |index| PartitionId { topic, index })
    }
}

/// Moves whenever a topic is made, deleted, resharded or configured, with the decision's effect on the state. May be looked
/// at without the state's lock: what was found in the state after a look holds while the next look sees the same.
#[derive(Clone, Debug, Default)]
pub struct CatalogueEpoch(Arc<AtomicU64>);

impl CatalogueEpoch {
    /// The epoch now.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn move_on(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

type Decided = Result<(Option<Decision>, Outcome), Refusal>;

impl State {
    pub(super) fn decide_create_topic(&self, create: &CreateTopic) -> Decided {
        check_topic_name(&create.name).map_err(|reason| Refusal::InvalidTopicName { reason })?;
        if RESERVED_NAMES.contains(&&*create.name) {
            return Err(Refusal::ReservedTopicName { name: create.name.clone() });
        }
        if self.topic_by_name(&create.name).is_some() {
            return Err(Refusal::TopicExists { name: create.name.clone() });
        }
        if let Some(other) = self.colliding_name(&create.name) {
            let reason = format!("Topic '{}' collides with existing topic: {other}", create.name);
            return Err(Refusal::InvalidTopicName { reason });
        }
        assert!(
            create.id.0 != 0 && self.topic(create.id).is_none(),
            "the caller draws topic ids at random: they are never zero and never met again"
        );
        if create.partitions < 1 {
            let reason = "Number of partitions was set to an invalid non-positive value.".to_owned();
            return Err(Refusal::InvalidPartitions { reason });
        }
        let limits = self.limits();
        if create.partitions > limits.partitions_per_topic {
            return Err(Refusal::PartitionLimit {
                requested: i64::from(create.partitions),
                limit: i64::from(limits.partitions_per_topic),
                scope: "per topic, topic-partitions-max",
            });
        }
        let requested = self.partition_count() as i64 + i64::from(create.partitions);
        if requested > limits.partitions_total {
            let (limit, scope) = (limits.partitions_total, "in total, partitions-max");
            return Err(Refusal::PartitionLimit { requested, limit, scope });
        }
        if self.shard_count() + create.partitions as usize > limits.shards_total {
            return Err(Refusal::StateFull { what: "shards", limit: limits.shards_total });
        }
        configs::validate_all(&create.configs, self.config_defaults())?;
        let predecessor = self.last_create_second(&create.name);
        let topic = Arc::new(Topic {
            name: create.name.clone(),
            id: create.id,
            created_ms: create.now_ms,
            partitions: create.partitions,
            configs: create.configs.clone(),
            tags: create.tags.clone(),
            shards: reshard::first_shards(create.partitions, create.now_ms, predecessor),
            next_shard: create.partitions as u32,
            lineage_from_ms: create.now_ms,
        });
        self.admit_text(0, topic.text_bytes())?;
        let rules = configs::append_rules(&topic.configs);
        let outcome = Outcome::TopicCreated { topic: topic.clone() };
        Ok((Some(Decision::CreateTopic { topic, rules }), outcome))
    }

    pub(super) fn decide_delete_topic(&self, topic: TopicId) -> Decided {
        let topic = self.topic(topic).ok_or(Refusal::UnknownTopic)?;
        let groups = self.groups_with_offsets_on(topic.id).cloned().collect();
        let decision = Decision::DeleteTopic {
            topic: topic.id,
            name: topic.name.clone(),
            partitions: topic.partitions,
            groups,
        };
        Ok((Some(decision), Outcome::Done))
    }

    pub(super) fn decide_alter_configs(
        &self,
        topic: TopicId,
        replace: bool,
        changes: &[ConfigChange],
    ) -> Decided {
        let topic = self.topic(topic).ok_or(Refusal::UnknownTopic)?;
        let before = if replace { BTreeMap::new() } else { topic.configs.clone() };
        let configs = configs::alter(before, changes, self.config_defaults())?;
        if configs == topic.configs {
            return Ok((None, Outcome::Done));
        }
        let after = Topic { configs, ..topic.without_shards() };
        self.admit_text(topic.text_bytes(), after.text_bytes())?;
        let rules = configs::append_rules(&after.configs);
        let changed = rules != configs::append_rules(&topic.configs);
        let decision = Decision::AlterTopic {
            topic: topic.id,
            name: topic.name.clone(),
            configs: after.configs,
            rules: changed.then_some((topic.partitions, rules)),
        };
        Ok((Some(decision), Outcome::Done))
    }

    pub(super) fn decide_change_tags(
        &self,
        topic: TopicId,
        changes: &[(String, Option<String>)],
        limit: usize,
    ) -> Decided {
        let topic = self.topic(topic).ok_or(Refusal::UnknownTopic)?;
        let mut tags = topic.tags.clone();
        for (key, value) in changes {
            match value {
                Some(value) => tags.insert(key.clone(), value.clone()),
                None => tags.remove(key),
            };
        }
        if tags.len() > limit {
            return Err(Refusal::TooManyTags { found: tags.len(), limit });
        }
        if tags == topic.tags {
            return Ok((None, Outcome::Done));
        }
        let after = Topic { tags, ..topic.without_shards() };
        self.admit_text(topic.text_bytes(), after.text_bytes())?;
        let decision = Decision::Tag { topic: topic.id, name: topic.name.clone(), tags: after.tags };
        Ok((Some(decision), Outcome::Done))
    }

    pub(super) fn decide_reshard(&self, topic: TopicId, how: Reshard, now_ms: i64) -> Decided {
        let topic = self.topic(topic).ok_or(Refusal::UnknownTopic)?;
        let tail = |index| {
            let id = PartitionId { topic: topic.id, index };
            let partition = self.partition(id).expect("a topic has all its partitions");
            Tail {
                next_offset: partition.next,
                last_append_ms: partition.last_append_ms,
                holds_named: partition.named_end > partition.log_start,
            }
        };
        let situation = Situation {
            topic,
            tail: &tail,
            retention_ms: configs::retention_ms(topic, self.config_defaults()),
            partitions_total: self.partition_count() as i64,
            shards_total: self.shard_count(),
            limits: self.limits(),
            now_ms,
        };
        let change = reshard::decide(how, &situation)?;
        if change.is_empty() {
            return Ok((None, Outcome::Resharded { topic: topic.clone() }));
        }
        // A group that reads the topic shall miss nothing of a partition it has not noticed yet. What was there
        // before, retired or not, it reads at its own pace: an offset committed for it could skip records.
        let new: Vec<(i32, Offset)> =
            change.new_partitions(topic).map(|index| (index, Offset::ZERO)).collect();
        let mut starts = Vec::new();
        if !new.is_empty() {
            let groups = self.groups_with_offsets_on(topic.id);
            let bytes = groups.count().saturating_mul(new.len() * CommittedOffset::EMPTY_BYTES);
            self.admit_group_bytes(0, bytes)?;
            let groups = self.groups_with_offsets_on(topic.id);
            starts.extend(groups.map(|group| (group.clone(), new.clone())));
        }
        let mut after = Topic::clone(topic);
        change.apply(&mut after);
        let decision = Decision::Reshard(Box::new(ReshardDecision {
            topic: topic.id,
            name: topic.name.clone(),
            fences: change.fences(topic).into_iter().collect(),
            rules: configs::append_rules(&topic.configs),
            change,
            starts,
            now_ms,
        }));
        Ok((Some(decision), Outcome::Resharded { topic: Arc::new(after) }))
    }

    /// The greatest create second that deleted topics of this name's lane gave away: a stream made again has
    /// sequence numbers above its predecessor's.
    fn last_create_second(&self, name: &str) -> Option<i64> {
        self.create_second_floor(super::Lane::of_topic(name))
    }
}

impl Topic {
    fn without_shards(&self) -> Topic {
        Topic {
            name: self.name.clone(),
            id: self.id,
            created_ms: self.created_ms,
            partitions: self.partitions,
            configs: self.configs.clone(),
            tags: self.tags.clone(),
            shards: Vec::new(),
            next_shard: self.next_shard,
            lineage_from_ms: self.lineage_from_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and texts as Kafka 4.4.0 takes and gives them.
    #[test]
    fn names_are_judged_as_kafka_judges_them() {
        let longest = "x".repeat(249);
        for name in ["a", "A-1_b.c", "...", "-", &longest] {
            assert_eq!(check_topic_name(name), Ok(()));
        }
        for (name, why) in [
            ("", "the empty string is not allowed"),
            ("..", "'..' is not allowed"),
            ("a b", "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
            (
                "\u{e4}",
                "'\u{e4}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            ),
        ] {
            assert_eq!(check_topic_name(name), Err(format!("Topic name is invalid: {why}")));
        }
        let longer = "x".repeat(250);
        let why = format!("the length of '{longer}' is longer than the max allowed length 249");
        assert_eq!(check_topic_name(&longer), Err(format!("Topic name is invalid: {why}")));
        assert_eq!(collision_key("a.b_c"), collision_key("a_b.c"));
    }
}
