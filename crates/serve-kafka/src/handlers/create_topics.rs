//! CreateTopics (key 19), versions 2 to 7.
//!
//! Any replication factor and any replica assignment is accepted, for every production application asks for three;
//! metadata shows one replica. With `strict-replication` more than one answers INVALID_REPLICATION_FACTOR, as one
//! Kafka broker does. Partition count and factor -1 take the defaults (KIP-464). From version 5 the reply carries the
//! effective configs, from 7 the topic's id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kolk_broker::topics::NewTopic;
use kolk_engine::Pending;
use kolk_engine::state::{Refusal, Topic};
use kolk_wire_kafka::messages::create_topics::{
    CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use kolk_wire_kafka::{ErrorCode, Str};
use uuid::Uuid;

use super::{Context, NeedsRoom, Room, check_assignment, wire_id};
use crate::connection::Close;
use crate::errors;

type Failure = (ErrorCode, String);

/// Topics that one request may make.
const TOPICS_MAX: usize = 10_000;
/// Topics of one answer whose configs are told.
const CONFIGS_MAX: usize = 1000;
/// What the configs of a topic take while an answer is made, in bytes.
const CONFIGS_BYTES: usize = 8 * 1024;
/// From here on the answer has configs.
const CONFIGS_VERSION_MIN: i16 = 5;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: CreateTopicsRequest,
    room: &mut Room<'_>,
) -> Result<Result<CreateTopicsResponse, NeedsRoom>, Close> {
    if request.topics.len() > TOPICS_MAX {
        let why = Str::from(format!("more than {TOPICS_MAX} topics at once"));
        let names = request.topics.into_iter().map(|topic| topic.name);
        let topics = names.map(|name| failed(name, ErrorCode::PolicyViolation, why.clone()));
        return Ok(Ok(CreateTopicsResponse { throttle_time_ms: 0, topics: topics.collect() }));
    }
    let with_configs = match context.version() {
        CONFIGS_VERSION_MIN.. => request.topics.len().min(CONFIGS_MAX),
        _ => 0,
    };
    if let Err(needs_room) = room.take(with_configs * CONFIGS_BYTES) {
        return Ok(Err(needs_room));
    }
    let mut names = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for topic in &request.topics {
        if !names.insert(&topic.name) {
            twice.insert(topic.name.clone());
        }
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut told_twice = BTreeSet::new();
    let mut pendings = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        if twice.contains(&topic.name) {
            if told_twice.insert(&topic.name) {
                let why = (ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned());
                pendings.push((topic, Err(why)));
            }
            continue;
        }
        let new = check(context, topic);
        let pending = new.map(|new| context.broker().create_topic(new, request.validate_only));
        if request.validate_only {
            // Told before the next one is tried: each comes with the state of all its partitions.
            topics.push(outcome(context, topic, pending, true, topics.len() < with_configs).await?);
        } else {
            // All are decided before one is awaited: a thousand topics share a few frames of the log.
            pendings.push((topic, pending));
        }
    }
    for (topic, pending) in pendings {
        topics.push(outcome(context, topic, pending, false, topics.len() < with_configs).await?);
    }
    Ok(Ok(CreateTopicsResponse { throttle_time_ms: 0, topics }))
}

/// What became of a topic.
async fn outcome(
    context: &Context<'_>,
    asked: &CreatableTopic,
    pending: Result<Pending<Result<Arc<Topic>, Refusal>>, Failure>,
    validate_only: bool,
    with_configs: bool,
) -> Result<CreatableTopicResult, Close> {
    let made = match pending {
        Ok(pending) => pending.await?.map_err(|refusal| explain(&refusal)),
        Err(failure) => Err(failure),
    };
    let topic = match made {
        Ok(topic) => topic,
        Err((code, message)) => return Ok(failed(asked.name.clone(), code, Str::from(message))),
    };
    let told = created(asked, &topic, validate_only);
    if context.version() < CONFIGS_VERSION_MIN {
        return Ok(told);
    }
    if !with_configs {
        let topic_config_error_code = ErrorCode::PolicyViolation.code();
        return Ok(CreatableTopicResult { topic_config_error_code, configs: Some(Vec::new()), ..told });
    }
    let defaults = context.broker().config_defaults();
    Ok(CreatableTopicResult { configs: Some(super::configs::of_created(&topic, &defaults)), ..told })
}

fn failed(name: Str, code: ErrorCode, message: Str) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        topic_id: Uuid::nil(),
        error_code: code.code(),
        error_message: Some(message),
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Vec::new()),
        ..Default::default()
    }
}

fn check(context: &Context<'_>, topic: &CreatableTopic) -> Result<NewTopic, Failure> {
    let partitions = if topic.assignments.is_empty() {
        check_replication_factor(context, topic.replication_factor)?;
        match topic.num_partitions {
            -1 => None,
            count if count > 0 => Some(count),
            _ => {
                let why = "Number of partitions was set to an invalid non-positive value.".to_owned();
                return Err((ErrorCode::InvalidPartitions, why));
            }
        }
    } else {
        Some(check_assignments(context, topic)?)
    };
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            let why = format!("Null value not supported for topic configs: {}", config.name);
            return Err((ErrorCode::InvalidConfig, why));
        };
        configs.insert(config.name.to_string(), value.to_string());
    }
    Ok(NewTopic { name: topic.name.to_string(), partitions, configs })
}

fn check_replication_factor(context: &Context<'_>, factor: i16) -> Result<(), Failure> {
    if factor == 0 || factor < -1 {
        let why = "Replication factor must be larger than 0, or -1 to use the default value.".to_owned();
        return Err((ErrorCode::InvalidReplicationFactor, why));
    }
    if factor > 1 && context.broker().settings().strict_replication {
        let why = format!(
            "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be \
             reached because only 1 broker(s) are registered."
        );
        return Err((ErrorCode::InvalidReplicationFactor, why));
    }
    Ok(())
}

fn check_assignments(context: &Context<'_>, topic: &CreatableTopic) -> Result<i32, Failure> {
    let wrong = |why: &str| Err((ErrorCode::InvalidRequest, why.to_owned()));
    if topic.replication_factor != -1 {
        return wrong(
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        );
    }
    if topic.num_partitions != -1 {
        return wrong("A manual partition assignment was specified, but numPartitions was not set to -1.");
    }
    let count = i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX);
    let indexes: BTreeSet<i32> = topic.assignments.iter().map(|one| one.partition_index).collect();
    if indexes.len() < topic.assignments.len() {
        let why = "Found multiple manual partition assignments for one partition".to_owned();
        return Err((ErrorCode::InvalidReplicaAssignment, why));
    }
    let are_dense = indexes.first() == Some(&0) && indexes.last() == Some(&(count - 1));
    if !are_dense {
        let why = "partitions should be a consecutive 0-based integer sequence".to_owned();
        return Err((ErrorCode::InvalidReplicaAssignment, why));
    }
    for assignment in &topic.assignments {
        check_assignment(context, &assignment.broker_ids, topic.assignments[0].broker_ids.len())
            .map_err(|why| (ErrorCode::InvalidReplicaAssignment, why))?;
    }
    Ok(count)
}

fn explain(refusal: &Refusal) -> Failure {
    let message = match refusal {
        Refusal::TopicExists { name } => format!("Topic '{name}' already exists."),
        other => other.to_string(),
    };
    (errors::of_refusal(refusal), message)
}

fn created(asked: &CreatableTopic, topic: &Topic, validate_only: bool) -> CreatableTopicResult {
    CreatableTopicResult {
        name: asked.name.clone(),
        topic_id: if validate_only { Uuid::nil() } else { wire_id(topic.id) },
        error_code: 0,
        error_message: None,
        num_partitions: topic.partitions,
        replication_factor: match asked.assignments.first() {
            Some(first) => first.broker_ids.len() as i16,
            None if asked.replication_factor == -1 => 1,
            None => asked.replication_factor,
        },
        ..Default::default()
    }
}
