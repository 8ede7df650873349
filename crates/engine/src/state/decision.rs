//! What the log says: each [`Decision`] is complete in itself, so that applying one never asks a rule again.
//!
//! | decision | lanes read | lanes written |
//! |---|---|---|
//! | `Append` | the partition's | the partition's |
//! | `Trim` | the partition's, its topic's | the partition's |
//! | `CreateTopic` | the name's; counts of all | the name's, each partition's |
//! | `DeleteTopic` | the name's, each group's | the name's, each partition's, of each group with offsets on it |
//! | `AlterTopic` | the name's | the name's; each partition's if append rules changed |
//! | `Tag` | the name's | the name's |
//! | `Reshard` | the name's, partitions', groups' | the name's, of partitions that change, of groups that get offsets |
//! | `TakeProducerIds` | 0 | 0 |
//! | `ForgetProducers` | all | each partition's |
//! | `StoreGroup`, `DeleteGroup`, `DeleteOffsets` | the group's | the group's |
//! | `CommitOffsets` | the group's, partitions' | the group's |
//! | `ExpireOffsets` | all | each group's |

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::{self, CorruptState, Reader};
use super::lane::{Lane, LaneSet};
use super::partition::AppendRules;
use super::reshard::Resharding;
use super::{CommittedOffset, Member, Membership, Shard, Topic};
use crate::contract::Appended;
use crate::types::{HashRange, Offset, PartitionId, ShardId, TopicId, TopicName};

/// One entry of the decision log. All or nothing over the lanes it writes.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// A batch is in the log.
    Append(AppendDecision),
    /// A log start moved forward.
    Trim {
        /// Of which partition.
        partition: PartitionId,
        /// The new log start.
        log_start: Offset,
    },
    /// A topic came into being, with a partition for each of its shards.
    CreateTopic {
        /// The topic as it is.
        topic: Arc<Topic>,
        /// What its partitions need to know of its configs.
        rules: AppendRules,
    },
    /// A topic is gone, with partitions, shards and committed offsets.
    DeleteTopic {
        /// Its identity.
        topic: TopicId,
        /// Its name.
        name: TopicName,
        /// How many partitions it had.
        partitions: i32,
        /// Groups that have committed offsets on it.
        groups: Vec<Arc<str>>,
    },
    /// Config overrides changed.
    AlterTopic {
        /// Its identity.
        topic: TopicId,
        /// Its name.
        name: TopicName,
        /// All overrides afterwards.
        configs: BTreeMap<String, String>,
        /// If that changes what partitions need to know: how many there are, and the new rules.
        rules: Option<(i32, AppendRules)>,
    },
    /// Stream tags changed.
    Tag {
        /// Its identity.
        topic: TopicId,
        /// Its name.
        name: TopicName,
        /// All tags afterwards.
        tags: BTreeMap<String, String>,
    },
    /// Shards were split, merged or both.
    Reshard(Box<ReshardDecision>),
    /// Producer ids below this are taken.
    TakeProducerIds {
        /// The next free one.
        next: i64,
    },
    /// Idempotent producers were forgotten: unused for long, or the oldest of too many.
    ForgetProducers {
        /// Per partition, the producer ids.
        producers: Vec<(PartitionId, Vec<i64>)>,
    },
    /// A group's membership is now this.
    StoreGroup {
        /// The group.
        group: Arc<str>,
        /// Its membership.
        membership: Arc<Membership>,
    },
    /// Offsets were committed. Makes the group if it is not there.
    CommitOffsets {
        /// The group.
        group: Arc<str>,
        /// Since when it is in its present state, should it be made now, ms.
        now_ms: i64,
        /// What was committed.
        offsets: Vec<(PartitionId, CommittedOffset)>,
    },
    /// Committed offsets are gone.
    DeleteOffsets {
        /// The group.
        group: Arc<str>,
        /// Which ones.
        partitions: Vec<PartitionId>,
    },
    /// A group is gone.
    DeleteGroup {
        /// The group.
        group: Arc<str>,
    },
    /// Offsets expired.
    ExpireOffsets {
        /// Per group.
        groups: Vec<ExpiredGroup>,
    },
}

/// The part of [`Decision::ExpireOffsets`] about one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredGroup {
    /// The group.
    pub group: Arc<str>,
    /// Offsets that are gone.
    pub partitions: Vec<PartitionId>,
    /// The group is gone too.
    pub deleted: bool,
}

/// A change of a topic's shards, with what it does to partitions and groups.
#[derive(Clone, Debug, PartialEq)]
pub struct ReshardDecision {
    /// The topic.
    pub topic: TopicId,
    /// Its name.
    pub name: TopicName,
    /// What happens to its shards.
    pub change: Resharding,
    /// Per touched partition, the shard that ends it afterwards; `None` = retired. Partitions that are not
    /// there yet come into being.
    pub fences: Vec<(i32, Option<ShardId>)>,
    /// For new partitions.
    pub rules: AppendRules,
    /// Per group with offsets on the topic, the offsets it starts at on partitions where it has none.
    pub starts: Vec<GroupStart>,
    /// Wall clock, ms.
    pub now_ms: i64,
}

/// Where a group starts on partitions that are new to it: index and first offset.
pub type GroupStart = (Arc<str>, Vec<(i32, Offset)>);

/// A batch's place in the log, and everything about it that the state or an index must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendDecision {
    /// Which partition.
    pub partition: PartitionId,
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offsets taken, from 1.
    pub offset_count: i32,
    /// Bytes of the batch.
    pub size: u32,
    /// Append time in ms: never before the partition's last one.
    pub append_ms: i64,
    /// The batch's max timestamp as stored, ms; the append time on `LogAppendTime` topics.
    pub max_timestamp_ms: i64,
    /// The back end stamps the batch: attribute bit, max timestamp = append time, CRC.
    pub log_append_time: bool,
    /// It was routed by hash key, not sent to the partition by its number.
    pub routed: bool,
    /// It begins a new virtual segment.
    pub rolls: bool,
    /// Small virtual segments of the partition are joined before.
    pub joins: bool,
    /// The producer's stamp, if it has one.
    pub producer: Option<ProducerAppend>,
}

/// The stamp of an appended batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerAppend {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
    /// Sequence of the first record.
    pub first_sequence: i32,
    /// Sequence of the last record.
    pub last_sequence: i32,
}

impl AppendDecision {
    /// Offset of the last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.offset_count - 1)
    }

    /// What the writer is told.
    pub fn appended(&self, log_start: Offset) -> Appended {
        Appended {
            base_offset: self.base_offset,
            last_offset: self.last_offset(),
            append_ms: self.append_ms,
            log_append_time_ms: if self.log_append_time { self.append_ms } else { -1 },
            log_start,
            duplicate: false,
        }
    }
}

impl ReshardDecision {
    /// The committed offset with which a group starts.
    pub(crate) fn start(&self, offset: Offset) -> CommittedOffset {
        let metadata = Arc::from("");
        CommittedOffset { offset, leader_epoch: -1, metadata, commit_ms: self.now_ms }
    }

    fn lanes(&self, lanes: &mut LaneSet) {
        lanes.insert(Lane::of_topic(&self.name));
        for (index, _) in &self.fences {
            lanes.insert(Lane::of_partition(PartitionId { topic: self.topic, index: *index }));
        }
        self.starts.iter().for_each(|(group, _)| lanes.insert(Lane::of_group(group)));
    }

    fn encode(&self, out: &mut Vec<u8>) {
        use codec::*;
        put_u128(out, self.topic.0);
        put_str(out, &self.name);
        put_i64(out, self.change.at_ms);
        put_len(out, self.change.closed.len());
        for (shard, end) in &self.change.closed {
            put_u64(out, u64::from(shard.0));
            put_i64(out, end.0);
        }
        put_len(out, self.change.opened.len());
        self.change.opened.iter().for_each(|shard| encode_shard(shard, out));
        put_i64(out, i64::from(self.change.partitions));
        put_i64(out, self.change.lineage_from_ms);
        put_len(out, self.fences.len());
        for (index, shard) in &self.fences {
            put_i64(out, i64::from(*index));
            put_option(out, *shard, |out, shard| put_u64(out, u64::from(shard.0)));
        }
        self.rules.encode(out);
        put_len(out, self.starts.len());
        for (group, starts) in &self.starts {
            put_str(out, group);
            put_len(out, starts.len());
            for (index, offset) in starts {
                put_i64(out, i64::from(*index));
                put_i64(out, offset.0);
            }
        }
        put_i64(out, self.now_ms);
    }

    fn decode(r: &mut Reader<'_, '_>) -> Result<ReshardDecision, CorruptState> {
        Ok(ReshardDecision {
            topic: r.topic_id()?,
            name: r.shared_str()?,
            change: Resharding {
                at_ms: r.i64()?,
                closed: r.list(|r| Ok((ShardId(r.u32()?), r.offset()?)))?,
                opened: r.list(decode_shard)?,
                partitions: decode_partition_count(r)?,
                lineage_from_ms: r.i64()?,
            },
            fences: r.list(|r| Ok((r.i32()?, r.option(|r| Ok(ShardId(r.u32()?)))?)))?,
            rules: AppendRules::decode(r)?,
            starts: r.list(|r| Ok((r.shared_str()?, r.list(|r| Ok((r.i32()?, r.offset()?)))?)))?,
            now_ms: r.i64()?,
        })
    }
}

/// Tag bytes of decisions. Never reused; a changed layout is a new tag, and old ones are read for ever.
mod tag {
    pub const APPEND: u8 = 1;
    pub const TRIM: u8 = 2;
    pub const CREATE_TOPIC: u8 = 3;
    pub const DELETE_TOPIC: u8 = 4;
    pub const ALTER_TOPIC: u8 = 5;
    pub const TAG: u8 = 6;
    pub const RESHARD: u8 = 7;
    pub const TAKE_PRODUCER_IDS: u8 = 8;
    pub const FORGET_PRODUCERS: u8 = 9;
    pub const STORE_GROUP: u8 = 10;
    pub const COMMIT_OFFSETS: u8 = 11;
    pub const DELETE_OFFSETS: u8 = 12;
    pub const DELETE_GROUP: u8 = 13;
    pub const EXPIRE_OFFSETS: u8 = 14;
}

impl Decision {
    /// Whether it changes what a topic's name leads to: its partitions, shards or configs.
    pub(super) fn changes_catalogue(&self) -> bool {
        match self {
            Decision::CreateTopic { .. }
            | Decision::DeleteTopic { .. }
            | Decision::AlterTopic { .. }
            | Decision::Reshard(_) => true,
            Decision::Append(_)
            | Decision::Trim { .. }
            | Decision::Tag { .. }
            | Decision::TakeProducerIds { .. }
            | Decision::ForgetProducers { .. }
            | Decision::StoreGroup { .. }
            | Decision::CommitOffsets { .. }
            | Decision::DeleteOffsets { .. }
            | Decision::DeleteGroup { .. }
            | Decision::ExpireOffsets { .. } => false,
        }
    }

    /// Writes the decision: a tag, then its fields.
    pub fn encode(&self, out: &mut Vec<u8>) {
        use codec::*;
        match self {
            Decision::Append(append) => {
                out.push(tag::APPEND);
                append.encode(out);
            }
            Decision::Trim { partition, log_start } => {
                out.push(tag::TRIM);
                put_partition(out, *partition);
                put_i64(out, log_start.0);
            }
            Decision::CreateTopic { topic, rules } => {
                out.push(tag::CREATE_TOPIC);
                encode_topic(topic, out);
                rules.encode(out);
            }
            Decision::DeleteTopic { topic, name, partitions, groups } => {
                out.push(tag::DELETE_TOPIC);
                put_u128(out, topic.0);
                put_str(out, name);
                put_i64(out, i64::from(*partitions));
                put_len(out, groups.len());
                groups.iter().for_each(|group| put_str(out, group));
            }
            Decision::AlterTopic { topic, name, configs, rules } => {
                out.push(tag::ALTER_TOPIC);
                put_u128(out, topic.0);
                put_str(out, name);
                put_map(out, configs);
                put_option(out, rules.as_ref(), |out, (partitions, rules)| {
                    put_i64(out, i64::from(*partitions));
                    rules.encode(out);
                });
            }
            Decision::Tag { topic, name, tags } => {
                out.push(tag::TAG);
                put_u128(out, topic.0);
                put_str(out, name);
                put_map(out, tags);
            }
            Decision::Reshard(reshard) => {
                out.push(tag::RESHARD);
                reshard.encode(out);
            }
            Decision::TakeProducerIds { next } => {
                out.push(tag::TAKE_PRODUCER_IDS);
                put_i64(out, *next);
            }
            Decision::ForgetProducers { producers } => {
                out.push(tag::FORGET_PRODUCERS);
                put_len(out, producers.len());
                for (partition, ids) in producers {
                    put_partition(out, *partition);
                    put_len(out, ids.len());
                    ids.iter().for_each(|id| put_i64(out, *id));
                }
            }
            Decision::StoreGroup { group, membership } => {
                out.push(tag::STORE_GROUP);
                put_str(out, group);
                encode_membership(membership, out);
            }
            Decision::CommitOffsets { group, now_ms, offsets } => {
                out.push(tag::COMMIT_OFFSETS);
                put_str(out, group);
                put_i64(out, *now_ms);
                encode_offsets(offsets.iter().map(|(partition, offset)| (*partition, offset)), out);
            }
            Decision::DeleteOffsets { group, partitions } => {
                out.push(tag::DELETE_OFFSETS);
                put_str(out, group);
                put_len(out, partitions.len());
                partitions.iter().for_each(|partition| put_partition(out, *partition));
            }
            Decision::DeleteGroup { group } => {
                out.push(tag::DELETE_GROUP);
                put_str(out, group);
            }
            Decision::ExpireOffsets { groups } => {
                out.push(tag::EXPIRE_OFFSETS);
                put_len(out, groups.len());
                for expired in groups {
                    put_str(out, &expired.group);
                    put_len(out, expired.partitions.len());
                    expired.partitions.iter().for_each(|partition| put_partition(out, *partition));
                    put_bool(out, expired.deleted);
                }
            }
        }
    }

    /// Takes one decision off the front of `input`. Never panics; allocates in proportion to the input.
    pub fn decode(input: &mut &[u8]) -> Result<Decision, CorruptState> {
        let r = &mut Reader::new(input);
        Ok(match r.u8()? {
            tag::APPEND => Decision::Append(AppendDecision::decode(r)?),
            tag::TRIM => Decision::Trim { partition: r.partition()?, log_start: r.offset()? },
            tag::CREATE_TOPIC => {
                Decision::CreateTopic { topic: Arc::new(decode_topic(r)?), rules: AppendRules::decode(r)? }
            }
            tag::DELETE_TOPIC => Decision::DeleteTopic {
                topic: r.topic_id()?,
                name: r.shared_str()?,
                partitions: decode_partition_count(r)?,
                groups: r.list(Reader::shared_str)?,
            },
            tag::ALTER_TOPIC => Decision::AlterTopic {
                topic: r.topic_id()?,
                name: r.shared_str()?,
                configs: r.map()?,
                rules: r.option(|r| Ok((decode_partition_count(r)?, AppendRules::decode(r)?)))?,
            },
            tag::TAG => Decision::Tag { topic: r.topic_id()?, name: r.shared_str()?, tags: r.map()? },
            tag::RESHARD => Decision::Reshard(Box::new(ReshardDecision::decode(r)?)),
            tag::TAKE_PRODUCER_IDS => Decision::TakeProducerIds { next: r.i64()? },
            tag::FORGET_PRODUCERS => Decision::ForgetProducers {
                producers: r.list(|r| Ok((r.partition()?, r.list(Reader::i64)?)))?,
            },
            tag::STORE_GROUP => {
                Decision::StoreGroup { group: r.shared_str()?, membership: Arc::new(decode_membership(r)?) }
            }
            tag::COMMIT_OFFSETS => Decision::CommitOffsets {
                group: r.shared_str()?,
                now_ms: r.i64()?,
                offsets: decode_offsets(r)?,
            },
            tag::DELETE_OFFSETS => {
                Decision::DeleteOffsets { group: r.shared_str()?, partitions: r.list(Reader::partition)? }
            }
            tag::DELETE_GROUP => Decision::DeleteGroup { group: r.shared_str()? },
            tag::EXPIRE_OFFSETS => Decision::ExpireOffsets {
                groups: r.list(|r| {
                    Ok(ExpiredGroup {
                        group: r.shared_str()?,
                        partitions: r.list(Reader::partition)?,
                        deleted: r.bool()?,
                    })
                })?,
            },
            _ => return Err(CorruptState::new("an unknown kind of decision")),
        })
    }

    /// Whether applying it changes nothing: then it need not be written.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Decision::DeleteOffsets { partitions, .. } => partitions.is_empty(),
            Decision::ExpireOffsets { groups } => groups.is_empty(),
            _ => false,
        }
    }

    /// The lanes that applying the decision changes.
    pub fn lanes(&self) -> LaneSet {
        let mut lanes = LaneSet::default();
        let partitions = |lanes: &mut LaneSet, topic: TopicId, count: i32| {
            for index in 0..count {
                lanes.insert(Lane::of_partition(PartitionId { topic, index }));
            }
        };
        match self {
            Decision::Append(append) => lanes.insert(Lane::of_partition(append.partition)),
            Decision::Trim { partition, .. } => lanes.insert(Lane::of_partition(*partition)),
            Decision::CreateTopic { topic, .. } => {
                lanes.insert(Lane::of_topic(&topic.name));
                partitions(&mut lanes, topic.id, topic.partitions);
            }
            Decision::DeleteTopic { topic, name, partitions: count, groups } => {
                lanes.insert(Lane::of_topic(name));
                partitions(&mut lanes, *topic, *count);
                groups.iter().for_each(|group| lanes.insert(Lane::of_group(group)));
            }
            Decision::AlterTopic { topic, name, rules, .. } => {
                lanes.insert(Lane::of_topic(name));
                if let Some((count, _)) = rules {
                    partitions(&mut lanes, *topic, *count);
                }
            }
            Decision::Tag { name, .. } => lanes.insert(Lane::of_topic(name)),
            Decision::Reshard(reshard) => reshard.lanes(&mut lanes),
            Decision::TakeProducerIds { .. } => lanes.insert(Lane::PRODUCER_IDS),
            Decision::ForgetProducers { producers } => {
                producers.iter().for_each(|(partition, _)| lanes.insert(Lane::of_partition(*partition)));
            }
            Decision::StoreGroup { group, .. }
            | Decision::CommitOffsets { group, .. }
            | Decision::DeleteOffsets { group, .. }
            | Decision::DeleteGroup { group } => lanes.insert(Lane::of_group(group)),
            Decision::ExpireOffsets { groups } => {
                groups.iter().for_each(|expired| lanes.insert(Lane::of_group(&expired.group)));
            }
        }
        lanes
    }
}

impl AppendDecision {
    const PRODUCER: u8 = 1;
    const LOG_APPEND_TIME: u8 = 2;
    const ROUTED: u8 = 4;
    const ROLLS: u8 = 8;
    const JOINS: u8 = 16;

    fn encode(&self, out: &mut Vec<u8>) {
        use codec::*;
        let mut flags = 0;
        if self.producer.is_some() {
            flags |= Self::PRODUCER;
        }
        if self.log_append_time {
            flags |= Self::LOG_APPEND_TIME;
        }
        if self.routed {
            flags |= Self::ROUTED;
        }
        if self.rolls {
            flags |= Self::ROLLS;
        }
        if self.joins {
            flags |= Self::JOINS;
        }
        out.push(flags);
        put_partition(out, self.partition);
        put_i64(out, self.base_offset.0);
        put_i64(out, i64::from(self.offset_count));
        put_u64(out, u64::from(self.size));
        put_i64(out, self.append_ms);
        put_i64(out, self.max_timestamp_ms);
        if let Some(producer) = &self.producer {
            put_i64(out, producer.id);
            put_i64(out, i64::from(producer.epoch));
            put_i64(out, i64::from(producer.first_sequence));
            put_i64(out, i64::from(producer.last_sequence));
        }
    }

    fn decode(r: &mut Reader<'_, '_>) -> Result<AppendDecision, CorruptState> {
        let flags = r.u8()?;
        let known = Self::PRODUCER | Self::LOG_APPEND_TIME | Self::ROUTED | Self::ROLLS | Self::JOINS;
        if flags & !known != 0 {
            return Err(CorruptState::new("unknown flags of an append"));
        }
        let append = AppendDecision {
            partition: r.partition()?,
            base_offset: r.offset()?,
            offset_count: r.i32()?,
            size: r.u32()?,
            append_ms: r.i64()?,
            max_timestamp_ms: r.i64()?,
            log_append_time: flags & Self::LOG_APPEND_TIME != 0,
            routed: flags & Self::ROUTED != 0,
            rolls: flags & Self::ROLLS != 0,
            joins: flags & Self::JOINS != 0,
            producer: if flags & Self::PRODUCER != 0 {
                Some(ProducerAppend {
                    id: r.i64()?,
                    epoch: r.i16()?,
                    first_sequence: r.i32()?,
                    last_sequence: r.i32()?,
                })
            } else {
                None
            },
        };
        let end = append.base_offset.0.checked_add(i64::from(append.offset_count));
        if append.offset_count < 1 || append.base_offset.0 < 0 || end.is_none() {
            return Err(CorruptState::new("an append takes impossible offsets"));
        }
        Ok(append)
    }
}

/// Partition counts drive loops: a corrupt one must not hang a reader.
const PARTITIONS_MAX: i32 = 10_000_000;

fn decode_partition_count(r: &mut Reader<'_, '_>) -> Result<i32, CorruptState> {
    let count = r.i32()?;
    if (0..=PARTITIONS_MAX).contains(&count) {
        Ok(count)
    } else {
        Err(CorruptState::new("a partition count is impossible"))
    }
}

pub(crate) fn encode_topic(topic: &Topic, out: &mut Vec<u8>) {
    use codec::*;
    put_str(out, &topic.name);
    put_u128(out, topic.id.0);
    put_i64(out, topic.created_ms);
    put_i64(out, i64::from(topic.partitions));
    put_map(out, &topic.configs);
    put_map(out, &topic.tags);
    put_len(out, topic.shards.len());
    topic.shards.iter().for_each(|shard| encode_shard(shard, out));
    put_u64(out, u64::from(topic.next_shard));
    put_i64(out, topic.lineage_from_ms);
}

pub(crate) fn decode_topic(r: &mut Reader<'_, '_>) -> Result<Topic, CorruptState> {
    Ok(Topic {
        name: r.shared_str()?,
        id: r.topic_id()?,
        created_ms: r.i64()?,
        partitions: decode_partition_count(r)?,
        configs: r.map()?,
        tags: r.map()?,
        shards: r.list(decode_shard)?,
        next_shard: r.u32()?,
        lineage_from_ms: r.i64()?,
    })
}

pub(crate) fn encode_shard(shard: &Shard, out: &mut Vec<u8>) {
    use codec::*;
    put_u64(out, u64::from(shard.id.0));
    put_option(out, shard.partition, |out, index| put_i64(out, i64::from(index)));
    put_i64(out, shard.first.0);
    put_option(out, shard.end, |out, end| put_i64(out, end.0));
    put_u128(out, shard.range.start);
    put_u128(out, shard.range.end);
    put_option(out, shard.parent, |out, id| put_u64(out, u64::from(id.0)));
    put_option(out, shard.adjacent_parent, |out, id| put_u64(out, u64::from(id.0)));
    put_i64(out, shard.opened_ms);
    put_option(out, shard.closed_ms, put_i64);
    put_i64(out, shard.create_second);
}

pub(crate) fn decode_shard(r: &mut Reader<'_, '_>) -> Result<Shard, CorruptState> {
    Ok(Shard {
        id: ShardId(r.u32()?),
        partition: r.option(Reader::i32)?,
        first: r.offset()?,
        end: r.option(Reader::offset)?,
        range: HashRange { start: r.u128()?, end: r.u128()? },
        parent: r.option(|r| Ok(ShardId(r.u32()?)))?,
        adjacent_parent: r.option(|r| Ok(ShardId(r.u32()?)))?,
        opened_ms: r.i64()?,
        closed_ms: r.option(Reader::i64)?,
        create_second: r.i64()?,
    })
}

pub(crate) fn encode_membership(membership: &Membership, out: &mut Vec<u8>) {
    use codec::*;
    put_str(out, &membership.protocol_type);
    put_i64(out, i64::from(membership.generation));
    put_option(out, membership.protocol.as_deref(), put_str);
    put_option(out, membership.leader.as_deref(), put_str);
    put_len(out, membership.members.len());
    for member in &membership.members {
        put_str(out, &member.id);
        put_option(out, member.instance_id.as_deref(), put_str);
        put_str(out, &member.client_id);
        put_str(out, &member.client_host);
        put_i64(out, i64::from(member.session_timeout_ms));
        put_i64(out, i64::from(member.rebalance_timeout_ms));
        put_bytes(out, &member.metadata);
        put_bytes(out, &member.assignment);
    }
    put_i64(out, membership.since_ms);
}

pub(crate) fn decode_membership(r: &mut Reader<'_, '_>) -> Result<Membership, CorruptState> {
    let membership = Membership {
        protocol_type: r.string()?,
        generation: r.i32()?,
        protocol: r.option(Reader::string)?,
        leader: r.option(Reader::shared_str)?,
        members: r.list(|r| {
            Ok(Member {
                id: r.shared_str()?,
                instance_id: r.option(Reader::shared_str)?,
                client_id: r.string()?,
                client_host: r.string()?,
                session_timeout_ms: r.i32()?,
                rebalance_timeout_ms: r.i32()?,
                metadata: r.shared_bytes()?,
                assignment: r.shared_bytes()?,
            })
        })?,
        since_ms: r.i64()?,
    };
    if !membership.is_in_order() {
        return Err(CorruptState::new("members that are not in order"));
    }
    Ok(membership)
}

pub(crate) fn encode_offsets<'a>(
    offsets: impl ExactSizeIterator<Item = (PartitionId, &'a CommittedOffset)>,
    out: &mut Vec<u8>,
) {
    use codec::*;
    put_len(out, offsets.len());
    for (partition, committed) in offsets {
        put_partition(out, partition);
        put_i64(out, committed.offset.0);
        put_i64(out, i64::from(committed.leader_epoch));
        put_str(out, &committed.metadata);
        put_i64(out, committed.commit_ms);
    }
}

pub(crate) fn decode_offsets(
    r: &mut Reader<'_, '_>,
) -> Result<Vec<(PartitionId, CommittedOffset)>, CorruptState> {
    r.list(|r| {
        Ok((
            r.partition()?,
            CommittedOffset {
                offset: r.offset()?,
                leader_epoch: r.i32()?,
                metadata: r.shared_str()?,
                commit_ms: r.i64()?,
            },
        ))
    })
}
