//! OffsetFetch (key 9), versions 1 to 10.
//!
//! Null topics (version 2) mean all that the group has. Below version 8 one group, from 8 many; from 10 topics by id. A
//! group or partition without a committed offset answers -1 and no error. `require_stable` has nothing to wait for while
//! there are no transactions.

use std::collections::{BTreeMap, BTreeSet};

use kolk_broker::groups::GroupOffset;
use kolk_broker::topics::TopicKey;
use kolk_engine::state::CommittedOffset;
use kolk_engine::{PartitionId, TopicId};
use kolk_wire_kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kolk_wire_kafka::{ErrorCode, Str};
use uuid::Uuid;

use super::{Context, NeedsRoom, Room, take_turns, topic_key, wire_id};
use crate::connection::Close;
use crate::errors;

const GROUPS_VERSION_MIN: i16 = 8;
const TOPIC_ID_VERSION_MIN: i16 = 10;

/// Partitions that one request may name where the memory budget is as usual. There are fewer.
const INDEXES_MAX: usize = 250_000;
/// What a committed offset takes in an answer beside its metadata, in bytes.
const OFFSET_BYTES: usize = 256;

/// What is asked of a group.
struct Asked {
    group_id: Str,
    /// `None` is everything.
    topics: Option<Vec<AskedTopic>>,
}

struct AskedTopic {
    name: Str,
    topic_id: Uuid,
    /// `None` if there is no such topic.
    known: Option<TopicId>,
    indexes: Vec<i32>,
}

impl AskedTopic {
    fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        let known = self.known.into_iter();
        known.flat_map(|topic| self.indexes.iter().map(move |index| PartitionId { topic, index: *index }))
    }
}

pub(crate) async fn handle(
    context: &Context<'_>,
    request: OffsetFetchRequest,
    room: &mut Room<'_>,
) -> Result<Result<OffsetFetchResponse, NeedsRoom>, Close> {
    let has_groups = context.version() >= GROUPS_VERSION_MIN;
    let in_groups = request.groups.iter().flat_map(|group| group.topics.iter().flatten());
    let in_one = request.topics.iter().flatten();
    let named = in_groups.map(|topic| topic.partition_indexes.len()).sum::<usize>()
        + in_one.map(|topic| topic.partition_indexes.len()).sum::<usize>();
    if named > context.broker().admission().in_proportion(INDEXES_MAX) {
        return Err(Close::BadRequest("an OffsetFetch of more partitions than there may be"));
    }
    let mut asked = if has_groups { of_groups(request.groups) } else { of_one(request) };
    resolve(context, &mut asked).await?;
    // Weighed before anything is copied: a few bytes of a request may ask for all that there is.
    let (count, metadata_bytes) = {
        let partitions = |group: &Asked| -> Option<Vec<PartitionId>> {
            let topics = group.topics.as_ref()?;
            Some(topics.iter().flat_map(AskedTopic::partitions).collect())
        };
        let partitions: Vec<Option<Vec<PartitionId>>> = asked.iter().map(partitions).collect();
        let groups = asked.iter().zip(&partitions);
        let groups: Vec<_> = groups.map(|(group, ids)| (&*group.group_id, ids.as_deref())).collect();
        context.broker().weigh_offsets(&groups)
    };
    if let Err(needs_room) = room.take(count * OFFSET_BYTES + 2 * metadata_bytes) {
        return Ok(Err(needs_room));
    }
    let mut groups = Vec::with_capacity(asked.len());
    for (at, group) in asked.into_iter().enumerate() {
        take_turns(at).await;
        groups.push(fetch(context, group));
    }
    // Once for all: where others write, each would wait for the log.
    if let Err(error) = context.broker().settle().await {
        let error_code = errors::of_group(&error).code();
        let failed = |group: &mut OffsetFetchResponseGroup| {
            (group.topics, group.error_code) = (Vec::new(), error_code)
        };
        groups.iter_mut().for_each(failed);
    }
    if has_groups {
        return Ok(Ok(OffsetFetchResponse { groups, ..Default::default() }));
    }
    let group = groups.pop().expect("one group was asked for");
    let topics = group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    });
    let (topics, error_code) = (topics.collect(), group.error_code);
    Ok(Ok(OffsetFetchResponse { topics, error_code, ..Default::default() }))
}

/// Groups and, in each, partitions that are named many times are answered once: each could be answered with 4 KiB for the 4
/// bytes that name it.
fn of_groups(groups: Vec<OffsetFetchRequestGroup>) -> Vec<Asked> {
    let mut seen = BTreeSet::new();
    let groups = groups.into_iter().filter(|group| seen.insert(group.group_id.clone()));
    groups
        .map(|group| {
            let topics = group.topics.map(|topics| {
                let topics = topics.into_iter();
                distinct(topics.map(|topic| (topic.name, topic.topic_id, topic.partition_indexes)))
            });
            Asked { group_id: group.group_id, topics }
        })
        .collect()
}

fn of_one(request: OffsetFetchRequest) -> Vec<Asked> {
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter();
        distinct(topics.map(|topic| (topic.name, Uuid::nil(), topic.partition_indexes)))
    });
    vec![Asked { group_id: request.group_id, topics }]
}

fn distinct(topics: impl Iterator<Item = (Str, Uuid, Vec<i32>)>) -> Vec<AskedTopic> {
    let mut seen = BTreeSet::new();
    let topics = topics.map(|(name, topic_id, mut indexes)| {
        indexes.retain(|index| seen.insert((name.clone(), topic_id, *index)));
        AskedTopic { name, topic_id, known: None, indexes }
    });
    topics.collect()
}

/// Finds the topics that are asked for.
async fn resolve(context: &Context<'_>, asked: &mut [Asked]) -> Result<(), Close> {
    let by_id = context.version() >= TOPIC_ID_VERSION_MIN;
    let topics = asked.iter().flat_map(|group| group.topics.iter().flatten());
    let keys: Vec<TopicKey<'_>> = topics.map(|topic| topic_key(&topic.name, topic.topic_id, by_id)).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let found = context.broker().find_topics_to_read(&keys).await?;
    let topics = asked.iter_mut().flat_map(|group| group.topics.iter_mut().flatten());
    for (topic, found) in topics.zip(found) {
        topic.known = found.map(|found| found.id);
    }
    Ok(())
}

fn fetch(context: &Context<'_>, asked: Asked) -> OffsetFetchResponseGroup {
    let Asked { group_id, topics } = asked;
    let topics = match topics {
        None => everything(context.broker().group_offsets(&group_id)),
        Some(topics) => {
            let partitions: Vec<PartitionId> = topics.iter().flat_map(AskedTopic::partitions).collect();
            let committed = context.broker().offsets_of(&group_id, &partitions);
            some(context, topics, committed)
        }
    };
    OffsetFetchResponseGroup { group_id, topics, error_code: 0 }
}

fn everything(offsets: Vec<GroupOffset>) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: BTreeMap<_, OffsetFetchResponseTopics> = BTreeMap::new();
    for GroupOffset { partition, topic, committed } in offsets {
        let entry = topics.entry(topic.clone()).or_insert_with(|| OffsetFetchResponseTopics {
            name: Str::from(&*topic),
            topic_id: wire_id(partition.topic),
            partitions: Vec::new(),
        });
        entry.partitions.push(answer(partition.index, Some(&committed)));
    }
    topics.into_values().collect()
}

/// The topics that were asked for; `committed` has what belongs to the partitions of those that are known, in order.
fn some(
    context: &Context<'_>,
    asked: Vec<AskedTopic>,
    committed: Vec<Option<CommittedOffset>>,
) -> Vec<OffsetFetchResponseTopics> {
    let by_id = context.version() >= TOPIC_ID_VERSION_MIN;
    let mut committed = committed.into_iter();
    let topics = asked.into_iter().map(|AskedTopic { name, topic_id, known, indexes }| {
        let partitions = indexes.into_iter().map(|index| {
            let found = known.and_then(|_| committed.next().expect("an answer for each partition"));
            let mut partition = answer(index, found.as_ref());
            if by_id && known.is_none() {
                partition.error_code = ErrorCode::UnknownTopicId.code();
            }
            partition
        });
        OffsetFetchResponseTopics { name, topic_id, partitions: partitions.collect() }
    });
    topics.collect()
}

fn answer(index: i32, committed: Option<&CommittedOffset>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: committed.map_or(-1, |committed| committed.offset.0),
        committed_leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch),
        metadata: Some(committed.map_or(Str::default(), |committed| Str::from(&*committed.metadata))),
        error_code: 0,
    }
}
