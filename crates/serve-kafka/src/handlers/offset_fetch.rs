//! OffsetFetch (key 9), versions 1 to 10.
//!
//! Null topics (version 2) mean all that the group has. Below version 8 one group, from 8 many; from 10 topics by id. A
//! group or partition without a committed offset answers -1 and no error. `require_stable` has nothing to wait for while
//! there are no transactions.

use std::collections::BTreeMap;

use kolk_broker::groups::GroupOffset;
use kolk_broker::topics::TopicKey;
use kolk_engine::map::HashMap;
use kolk_engine::state::CommittedOffset;
use kolk_engine::{PartitionId, TopicId};
use kolk_wire_kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kolk_wire_kafka::{ErrorCode, Str};
use uuid::Uuid;

use super::{Context, topic_key, wire_id};
use crate::connection::Close;
use crate::errors;

const GROUPS_VERSION_MIN: i16 = 8;
const TOPIC_ID_VERSION_MIN: i16 = 10;

/// What is asked of a group: topics with partitions, or everything.
type Asked = Option<Vec<(Str, Uuid, Vec<i32>)>>;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: OffsetFetchRequest,
) -> Result<OffsetFetchResponse, Close> {
    if context.version() >= GROUPS_VERSION_MIN {
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in request.groups {
            let asked = group.topics.map(|topics| {
                let topics = topics.into_iter();
                topics.map(|topic| (topic.name, topic.topic_id, topic.partition_indexes)).collect()
            });
            groups.push(fetch(context, group.group_id, asked).await?);
        }
        return Ok(OffsetFetchResponse { groups, ..Default::default() });
    }
    let asked = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name, Uuid::nil(), topic.partition_indexes)).collect()
    });
    let group = fetch(context, request.group_id, asked).await?;
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
    Ok(OffsetFetchResponse { topics: topics.collect(), error_code: group.error_code, ..Default::default() })
}

async fn fetch(
    context: &Context<'_>,
    group_id: Str,
    asked: Asked,
) -> Result<OffsetFetchResponseGroup, Close> {
    let offsets = match context.broker().group_offsets(&group_id).await {
        Ok(offsets) => offsets.unwrap_or_default(),
        Err(error) => {
            let error_code = errors::of_group(&error).code();
            return Ok(OffsetFetchResponseGroup { group_id, error_code, ..Default::default() });
        }
    };
    let topics = match asked {
        None => everything(offsets),
        Some(asked) => some(context, &offsets, asked).await?,
    };
    Ok(OffsetFetchResponseGroup { group_id, topics, error_code: 0 })
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

async fn some(
    context: &Context<'_>,
    offsets: &[GroupOffset],
    asked: Vec<(Str, Uuid, Vec<i32>)>,
) -> Result<Vec<OffsetFetchResponseTopics>, Close> {
    let by_id = context.version() >= TOPIC_ID_VERSION_MIN;
    let keys: Vec<TopicKey<'_>> = asked.iter().map(|(name, id, _)| topic_key(name, *id, by_id)).collect();
    let ids: Vec<Option<TopicId>> = context
        .broker()
        .find_topics(&keys)
        .await?
        .into_iter()
        .map(|topic| topic.map(|topic| topic.id))
        .collect();
    let known: HashMap<PartitionId, &CommittedOffset> =
        offsets.iter().map(|offset| (offset.partition, &offset.committed)).collect();
    let topics = asked.into_iter().zip(ids).map(|((name, topic_id, indexes), id)| {
        let partitions = indexes.into_iter().map(|index| {
            let committed = id.and_then(|topic| known.get(&PartitionId { topic, index })).copied();
            let mut partition = answer(index, committed);
            if by_id && id.is_none() {
                partition.error_code = ErrorCode::UnknownTopicId.code();
            }
            partition
        });
        OffsetFetchResponseTopics { name, topic_id, partitions: partitions.collect() }
    });
    Ok(topics.collect())
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
