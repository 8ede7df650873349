//! CreatePartitions (key 37), versions 0 to 3.
//!
//! The same as splitting shards: each new partition begins as a split of the widest hash range. What `kolk.reshard`
//! forbids, and any count that is not larger than the present one, answers INVALID_PARTITIONS. Assignments of replicas are
//! checked and have no effect. A topic that is named twice is left as it is.

use std::collections::BTreeMap;

use kolk_broker::topics::TopicKey;
use kolk_engine::Pending;
use kolk_engine::state::{Refusal, Topic};
use kolk_wire_kafka::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::configs::Failure;
use super::{Context, check_assignment, take_turns};
use crate::connection::Close;
use crate::errors;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: CreatePartitionsRequest,
) -> Result<CreatePartitionsResponse, Close> {
    let mut times: BTreeMap<&Str, usize> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut asked = Vec::with_capacity(times.len());
    for topic in &request.topics {
        // Told at its first place.
        if let Some(times) = times.remove(&topic.name) {
            asked.push((topic, times));
        }
    }
    let keys: Vec<TopicKey<'_>> = asked.iter().map(|(topic, _)| TopicKey::Name(&topic.name)).collect();
    let found = context.broker().find_topics(&keys).await?;
    // All are decided before one is awaited: they share frames of the log.
    let mut decided = Vec::with_capacity(asked.len());
    for (at, ((asked, times), topic)) in asked.into_iter().zip(found).enumerate() {
        take_turns(at).await;
        let outcome = match times {
            1 => create(context, asked, topic.as_deref(), request.validate_only),
            _ => Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())),
        };
        decided.push((asked, outcome));
    }
    let mut results = Vec::with_capacity(decided.len());
    for (asked, outcome) in decided {
        let outcome = match outcome {
            Ok(pending) => {
                pending.await?.map_err(|refusal| (errors::of_refusal(&refusal), refusal.to_string()))
            }
            Err(failure) => Err(failure),
        };
        let (code, message) = match outcome {
            Ok(()) => (ErrorCode::None, None),
            Err((code, message)) => (code, Some(Str::from(message))),
        };
        results.push(CreatePartitionsTopicResult {
            name: asked.name.clone(),
            error_code: code.code(),
            error_message: message,
        });
    }
    Ok(CreatePartitionsResponse { throttle_time_ms: 0, results })
}

fn create(
    context: &Context<'_>,
    asked: &CreatePartitionsTopic,
    topic: Option<&Topic>,
    validate_only: bool,
) -> Result<Pending<Result<(), Refusal>>, Failure> {
    let broker = context.broker();
    let Some(topic) = topic else {
        let message = "This server does not host this topic-partition.".to_owned();
        return Err((ErrorCode::UnknownTopicOrPartition, message));
    };
    let wrong = |message: String| Err((ErrorCode::InvalidPartitions, message));
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
        return Err((ErrorCode::InvalidReplicaAssignment, message));
    }
    for assignment in asked.assignments.iter().flatten() {
        // New partitions have one replica, as all others.
        let agreed = if broker.settings().strict_replication { 1 } else { assignment.broker_ids.len() };
        if let Err(why) = check_assignment(context, &assignment.broker_ids, agreed) {
            return Err((ErrorCode::InvalidReplicaAssignment, why));
        }
    }
    Ok(broker.create_partitions(topic.id, asked.count, validate_only))
}
