//! DescribeTopicPartitions (key 75), version 0 (KIP-966).
//!
//! Topics in order of their names, none meaning all; at most so many partitions a reply, with a cursor to go on from, which
//! has to stand in one of the topics asked for.
//! Eligible leader replicas are always empty: the one replica leads.

use std::collections::BTreeSet;
use std::sync::Arc;

use kolk_broker::topics::TopicKey;
use kolk_engine::state::{Topic, check_topic_name};
use kolk_wire_kafka::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, ResponseCursor,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::metadata::TOPIC_OPERATIONS;
use super::{Context, LEADER_EPOCH, OPERATIONS_UNASKED, wire_id};
use crate::connection::Close;

/// `max.request.partition.size.limit`.
const PARTITIONS_MAX: usize = 2000;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: DescribeTopicPartitionsRequest,
) -> Result<DescribeTopicPartitionsResponse, Close> {
    let broker = context.broker();
    if !is_cursor_right(&request) {
        let names: BTreeSet<Str> = request.topics.into_iter().map(|topic| topic.name).collect();
        let topics =
            names.into_iter().map(|name| failed(name, ErrorCode::InvalidRequest, OPERATIONS_UNASKED));
        return Ok(DescribeTopicPartitionsResponse { topics: topics.collect(), ..Default::default() });
    }
    let (from_topic, from_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index),
        None => ("", 0),
    };
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_MAX);
    let mut found: Vec<(Str, Option<Arc<Topic>>)> = if request.topics.is_empty() {
        // Each has a partition at least, and the cursor stands in the one behind.
        let page = broker.topics_from(from_topic, limit + 1).await?;
        page.into_iter().map(|topic| (Str::from(&*topic.name), Some(topic))).collect()
    } else {
        let names: BTreeSet<&Str> = request.topics.iter().map(|topic| &topic.name).collect();
        let keys: Vec<TopicKey<'_>> = names.iter().map(|name| TopicKey::Name(name)).collect();
        let topics = broker.find_topics(&keys).await?;
        names.into_iter().cloned().zip(topics).collect()
    };
    found.retain(|(name, _)| name.as_str() >= from_topic);
    let mut left = limit;
    let mut topics = Vec::new();
    let mut next_cursor = None;
    for (name, topic) in found {
        let Some(topic) = topic else {
            topics.push(unknown(name));
            continue;
        };
        let start = if name == from_topic { from_partition.min(topic.partitions) } else { 0 };
        if left == 0 {
            next_cursor = Some(ResponseCursor { topic_name: name, partition_index: start });
            break;
        }
        let end = topic.partitions.min(start.saturating_add(i32::try_from(left).unwrap_or(i32::MAX)));
        left -= (end - start) as usize;
        topics.push(describe(&topic, start..end, broker.settings().node_id));
        if end < topic.partitions {
            next_cursor = Some(ResponseCursor { topic_name: name, partition_index: end });
            break;
        }
    }
    Ok(DescribeTopicPartitionsResponse { throttle_time_ms: 0, topics, next_cursor })
}

/// Whether the cursor stands in one of the topics that are asked for.
fn is_cursor_right(request: &DescribeTopicPartitionsRequest) -> bool {
    request.cursor.as_ref().is_none_or(|cursor| {
        let is_among = request.topics.iter().any(|topic| topic.name == cursor.topic_name);
        cursor.partition_index >= 0 && (request.topics.is_empty() || is_among)
    })
}

fn unknown(name: Str) -> DescribeTopicPartitionsResponseTopic {
    let code = match check_topic_name(&name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    failed(name, code, TOPIC_OPERATIONS)
}

fn failed(name: Str, code: ErrorCode, operations: i32) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

fn describe(
    topic: &Topic,
    partitions: std::ops::Range<i32>,
    node_id: i32,
) -> DescribeTopicPartitionsResponseTopic {
    let partition = |index| DescribeTopicPartitionsResponsePartition {
        error_code: 0,
        partition_index: index,
        leader_id: node_id,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: Vec::new(),
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: 0,
        name: Some(Str::from(&*topic.name)),
        topic_id: wire_id(topic.id),
        is_internal: false,
        partitions: partitions.map(partition).collect(),
        topic_authorized_operations: TOPIC_OPERATIONS,
    }
}
