//! Configs on the wire: what DescribeConfigs, CreateTopics and the two ways of altering have in common.

use std::collections::{BTreeMap, BTreeSet};

use kolk_broker::configs::{ConfigEntry, Source, of_topic};
use kolk_broker::topics::TopicKey;
use kolk_engine::Pending;
use kolk_engine::state::configs::{ConfigDefaults, Kind};
use kolk_engine::state::{ConfigChange, ConfigOp, Refusal, Topic, check_topic_name};
use kolk_wire_kafka::messages::create_topics::CreatableTopicConfigs;
use kolk_wire_kafka::{ErrorCode, Str};

use super::{Context, take_turns};
use crate::connection::Close;
use crate::errors;

/// Resource types.
pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
pub(crate) const BROKER_LOGGER: i8 = 8;
pub(crate) const CLIENT_METRICS: i8 = 16;
pub(crate) const GROUP: i8 = 32;

/// A code and what to say.
pub(crate) type Failure = (ErrorCode, String);

/// Kafka's number for where a config is set.
pub(crate) fn source_code(source: Source) -> i8 {
    match source {
        Source::Topic => 1,
        Source::StaticBroker => 4,
        Source::Default => 5,
    }
}

/// Kafka's number for a type.
pub(crate) fn kind_code(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::String => 2,
        Kind::Int => 3,
        Kind::Long => 5,
        Kind::Double => 6,
        Kind::List => 7,
    }
}

/// A new topic's effective configs.
pub(crate) fn of_created(topic: &Topic, defaults: &ConfigDefaults) -> Vec<CreatableTopicConfigs> {
    let entries = of_topic(topic, defaults).into_iter();
    entries
        .map(|ConfigEntry { name, value, source, read_only, .. }| CreatableTopicConfigs {
            name: Str::from_static(name),
            value: value.map(Str::from),
            read_only,
            config_source: source_code(source),
            is_sensitive: false,
        })
        .collect()
}

/// A resource whose configs are to be changed, from either of the two APIs.
pub(crate) struct Altered<'a> {
    pub kind: i8,
    pub name: &'a Str,
    pub changes: Vec<Change<'a>>,
}

/// A change of one config, as the wire has it.
pub(crate) struct Change<'a> {
    pub name: &'a Str,
    /// One of the operations below.
    pub operation: i8,
    pub value: Option<&'a Str>,
}

pub(crate) const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Which of the two APIs alters, and whether at all.
#[derive(Clone, Copy)]
pub(crate) struct How {
    /// AlterConfigs: what is not named goes back to its default.
    pub replace: bool,
    pub validate_only: bool,
}

/// Alters resources, each all or nothing. Only topics have configs that can change while the broker runs.
pub(crate) async fn alter(
    context: &Context<'_>,
    resources: &[Altered<'_>],
    how: How,
) -> Result<Vec<(ErrorCode, Option<Str>)>, Close> {
    let mut times: BTreeMap<(i8, &Str), usize> = BTreeMap::new();
    for resource in resources {
        *times.entry((resource.kind, resource.name)).or_default() += 1;
    }
    let topics = resources.iter().filter(|resource| resource.kind == TOPIC);
    let keys: Vec<_> = topics.map(|resource| TopicKey::Name(resource.name)).collect();
    let mut topics = context.broker().find_topics(&keys).await?.into_iter();
    // All are decided before one is awaited: they share frames of the log.
    let mut decided = Vec::with_capacity(resources.len());
    for (at, resource) in resources.iter().enumerate() {
        take_turns(at).await;
        let topic = match resource.kind {
            TOPIC => topics.next().expect("each topic was looked up"),
            _ => None,
        };
        decided.push(if times[&(resource.kind, resource.name)] > 1 {
            Err((ErrorCode::InvalidRequest, "Each resource must appear at most once.".to_owned()))
        } else {
            decide(context, resource, topic.as_deref(), how)
        });
    }
    let mut outcomes = Vec::with_capacity(decided.len());
    for decided in decided {
        let outcome = match decided {
            Ok(None) => Ok(()),
            Ok(Some(pending)) => {
                pending.await?.map_err(|refusal| (errors::of_refusal(&refusal), refusal.to_string()))
            }
            Err(failure) => Err(failure),
        };
        outcomes.push(match outcome {
            Ok(()) => (ErrorCode::None, None),
            Err((code, why)) => (code, Some(Str::from(why))),
        });
    }
    Ok(outcomes)
}

/// Decides what is to become of a resource; `topic` is the one of its name, if it is a topic. `None`: nothing.
fn decide(
    context: &Context<'_>,
    resource: &Altered<'_>,
    topic: Option<&Topic>,
    how: How,
) -> Result<Option<Pending<Result<(), Refusal>>>, Failure> {
    let changes = changes(resource)?;
    check_resource(context, resource, how)?;
    match (resource.kind, topic) {
        (TOPIC, Some(topic)) => {
            Ok(Some(context.broker().alter_topic_configs(topic.id, how.replace, changes, how.validate_only)))
        }
        (TOPIC, None) => {
            let why = format!("The topic '{}' does not exist.", resource.name);
            Err((ErrorCode::UnknownTopicOrPartition, why))
        }
        _ => Ok(None),
    }
}

fn changes(resource: &Altered<'_>) -> Result<Vec<ConfigChange>, Failure> {
    let wrong = |why: String| (ErrorCode::InvalidRequest, why);
    let mut names = BTreeSet::new();
    let twice = resource.changes.iter().filter(|change| !names.insert(change.name));
    let twice: Vec<&str> = twice.map(|change| &**change.name).collect();
    if !twice.is_empty() {
        return Err(wrong(format!("Error due to duplicate config keys : {}", twice.join(","))));
    }
    let changes = resource.changes.iter().map(|Change { name, operation, value }| {
        let value = || {
            let value = value.ok_or_else(|| wrong(format!("Null value not supported for : {name}")))?;
            Ok::<_, Failure>(value.to_string())
        };
        let op = match *operation {
            SET => ConfigOp::Set(value()?),
            DELETE => ConfigOp::Delete,
            APPEND => ConfigOp::Append(value()?),
            SUBTRACT => ConfigOp::Subtract(value()?),
            other => return Err(wrong(format!("Unknown operation type {other}."))),
        };
        Ok(ConfigChange { name: name.to_string(), op })
    });
    changes.collect()
}

/// Whether there is such a resource and, if it is no topic, that it stays as it is.
fn check_resource(context: &Context<'_>, resource: &Altered<'_>, how: How) -> Result<(), Failure> {
    let Altered { kind, name, changes } = resource;
    let wrong = |why: String| Err((ErrorCode::InvalidRequest, why));
    let node_id = context.broker().settings().node_id;
    match *kind {
        TOPIC if name.is_empty() => wrong("Default topic resources are not allowed.".to_owned()),
        TOPIC => check_topic_name(name).map_err(|why| (ErrorCode::InvalidTopicException, why)),
        // No name means all brokers.
        BROKER if !name.is_empty() && name.parse() != Ok(node_id) => {
            wrong(format!("Unexpected broker id, expected {node_id}, but received {name}"))
        }
        BROKER_LOGGER if !how.replace && name.parse() != Ok(node_id) => {
            wrong(format!("Unexpected node id. Expected {node_id}, but received {name}"))
        }
        CLIENT_METRICS if name.is_empty() => wrong("Subscription name can't be empty".to_owned()),
        GROUP if name.is_empty() => wrong("Default group resources are not allowed.".to_owned()),
        BROKER | BROKER_LOGGER | CLIENT_METRICS | GROUP if changes.is_empty() => Ok(()),
        BROKER => {
            let names: Vec<&str> = changes.iter().map(|change| &**change.name).collect();
            wrong(format!(
                "Cannot update these configs dynamically: [{}]. Kolk reads the broker's settings when it starts.",
                names.join(", ")
            ))
        }
        BROKER_LOGGER if !how.replace => {
            Err((ErrorCode::InvalidConfig, format!("Logger {} does not exist!", changes[0].name)))
        }
        CLIENT_METRICS => wrong(format!("Unknown client metrics configuration: {}", changes[0].name)),
        GROUP => Err((ErrorCode::InvalidConfig, format!("Unknown group config name: {}", changes[0].name))),
        other => wrong(format!("Unknown resource type {other}")),
    }
}
