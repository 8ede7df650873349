//! Configs on the wire: what DescribeConfigs, CreateTopics and the two ways of altering have in common.

use kolk_broker::configs::{ConfigEntry, Source, of_topic};
use kolk_engine::state::Topic;
use kolk_engine::state::configs::{ConfigDefaults, Kind};
use kolk_wire_kafka::messages::create_topics::CreatableTopicConfigs;
use kolk_wire_kafka::{ErrorCode, Str};

use super::Context;

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

/// Whether a broker resource's name means this broker; empty means all brokers.
pub(crate) fn check_broker(context: &Context<'_>, name: &str) -> Result<(), Failure> {
    let node_id = context.broker().settings().node_id;
    if name.is_empty() || name.parse() == Ok(node_id) {
        return Ok(());
    }
    let why = format!("Unexpected broker id, expected {node_id} or empty string, but received {name}");
    Err((ErrorCode::InvalidRequest, why))
}

/// Why a resource other than a topic cannot be altered.
pub(crate) fn unalterable(context: &Context<'_>, kind: i8, name: &str) -> Failure {
    let why = match kind {
        BROKER => match check_broker(context, name) {
            Err(failure) => return failure,
            Ok(()) => "Broker settings are read when the broker starts and cannot be altered.".to_owned(),
        },
        _ => format!("Unsupported resource type {kind}"),
    };
    (ErrorCode::InvalidRequest, why)
}
