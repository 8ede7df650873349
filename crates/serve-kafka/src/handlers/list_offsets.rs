//! ListOffsets (key 2), versions 1 to 11.
//!
//! By time: the first record at or after it. Special timestamps: -1 latest (last stable offset for read_committed), -2
//! earliest, -3 the record with the greatest timestamp (version 7, KIP-734), -4 earliest on local disk, which is the
//! earliest (version 8), -5 latest in tiered storage (version 9) and -6 earliest not yet tiered (version 11): there is no
//! tier below, so none.

use std::collections::BTreeSet;

use kolk_engine::state::Topic;
use kolk_engine::{FoundOffset, Isolation, OffsetQuery, PartitionId};
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

use super::{Context, LEADER_EPOCH, check_leader_epoch};
use crate::connection::Close;
use crate::errors;
use kolk_broker::topics::TopicKey;

const LEADER_EPOCH_VERSION_MIN: i16 = 4;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: ListOffsetsRequest,
) -> Result<ListOffsetsResponse, Close> {
    let isolation =
        if request.isolation_level == 0 { Isolation::ReadUncommitted } else { Isolation::ReadCommitted };
    let keys: Vec<TopicKey<'_>> = request.topics.iter().map(|topic| TopicKey::Name(&topic.name)).collect();
    let found = context.broker().find_topics_to_read(&keys).await?;
    let mut asked = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            if !asked.insert((&topic.name, partition.partition_index)) {
                twice.insert((&topic.name, partition.partition_index));
            }
        }
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for (topic, found) in request.topics.iter().zip(found) {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let answer = if twice.contains(&(&topic.name, partition.partition_index)) {
                Err(ErrorCode::InvalidRequest)
            } else {
                look_up(context, found.as_deref(), partition, isolation).await?
            };
            let mut response = ListOffsetsPartitionResponse {
                partition_index: partition.partition_index,
                timestamp: -1,
                offset: -1,
                leader_epoch: -1,
                ..Default::default()
            };
            match answer {
                Ok(Some(found)) => {
                    response.timestamp = found.timestamp_ms;
                    response.offset = found.offset.0;
                    if context.version() >= LEADER_EPOCH_VERSION_MIN {
                        response.leader_epoch = LEADER_EPOCH;
                    }
                }
                Ok(None) => {}
                Err(code) => response.error_code = code.code(),
            }
            partitions.push(response);
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
    }
    Ok(ListOffsetsResponse { throttle_time_ms: 0, topics })
}

async fn look_up(
    context: &Context<'_>,
    topic: Option<&Topic>,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Result<Option<FoundOffset>, ErrorCode>, Close> {
    let Some(topic) = topic.filter(|topic| (0..topic.partitions).contains(&asked.partition_index)) else {
        return Ok(Err(ErrorCode::UnknownTopicOrPartition));
    };
    if let Err(code) = check_leader_epoch(asked.current_leader_epoch) {
        return Ok(Err(code));
    }
    let version = context.version();
    let query = match asked.timestamp {
        LATEST => OffsetQuery::Latest(isolation),
        EARLIEST => OffsetQuery::Earliest,
        MAX_TIMESTAMP if version >= 7 => OffsetQuery::MaxTimestamp,
        EARLIEST_LOCAL if version >= 8 => OffsetQuery::Earliest,
        LATEST_TIERED if version >= 9 => return Ok(Ok(None)),
        EARLIEST_PENDING_UPLOAD if version >= 11 => return Ok(Ok(None)),
        timestamp if timestamp >= 0 => OffsetQuery::Timestamp(timestamp),
        _ => return Ok(Err(ErrorCode::UnsupportedVersion)),
    };
    let partition = PartitionId { topic: topic.id, index: asked.partition_index };
    let found = context.broker().engine().offset(partition, query).await?;
    Ok(found.map_err(|error| errors::of_read(&error)))
}
