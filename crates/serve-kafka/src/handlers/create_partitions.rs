//! CreatePartitions (key 37), versions 0 to 3.
//!
//! The same as splitting shards: each new partition begins as a split of the widest hash range. What `kolk.reshard`
//! forbids, and any count that is not larger than the present one, answers INVALID_PARTITIONS. Assignments of replicas are
//! counted and otherwise not looked at.

use std::collections::BTreeSet;

use kolk_broker::topics::TopicKey;
use kolk_wire_kafka::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::Context;
use crate::connection::Close;
use crate::errors;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: CreatePartitionsRequest,
) -> Result<CreatePartitionsResponse, Close> {
    let mut names = BTreeSet::new();
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let outcome = if names.insert(&topic.name) {
            create(context, topic, request.validate_only).await?
        } else {
            Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned()))
        };
        let (code, message) = match outcome {
            Ok(()) => (ErrorCode::None, None),
            Err((code, message)) => (code, Some(Str::from(message))),
        };
        results.push(CreatePartitionsTopicResult {
            name: topic.name.clone(),
            error_code: code.code(),
            error_message: message,
        });
    }
    Ok(CreatePartitionsResponse { throttle_time_ms: 0, results })
}

async fn create(
    context: &Context<'_>,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<Result<(), (ErrorCode, String)>, Close> {
    let broker = context.broker();
    let Some(topic) = broker.find_topic(&TopicKey::Name(&asked.name)).await? else {
        let message = "This server does not host this topic-partition.".to_owned();
        return Ok(Err((ErrorCode::UnknownTopicOrPartition, message)));
    };
    let wrong = |message: String| Ok(Err((ErrorCode::InvalidPartitions, message)));
    if asked.count == topic.partitions {
        return wrong(format!("Topic already has {} partition(s).", topic.partitions));
    }
    if asked.count < topic.partitions {
        return wrong(format!(
            "The topic {} currently has {} partition(s); {} would not be an increase.",
            topic.name, topic.partitions, asked.count
        ));
    }
    if let Some(assignments) = &asked.assignments
        && i32::try_from(assignments.len()) != Ok(asked.count - topic.partitions)
    {
        let message = format!(
            "Attempted to add {} additional partition(s), but only {} assignment(s) were specified.",
            asked.count - topic.partitions,
            assignments.len()
        );
        return Ok(Err((ErrorCode::InvalidReplicaAssignment, message)));
    }
    let outcome = broker.create_partitions(topic.id, asked.count, validate_only).await?;
    Ok(outcome.map_err(|refusal| (errors::of_refusal(&refusal), refusal.to_string())))
}
