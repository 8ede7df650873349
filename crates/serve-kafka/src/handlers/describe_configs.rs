//! DescribeConfigs (key 32), versions 1 to 4.
//!
//! Topics: every config that Kafka 4.4 knows and Kolk's own, with source, synonyms, type and documentation. The broker, by
//! its number: the settings that Kolk honours, read-only; by an empty name: cluster-wide dynamic settings, of which there
//! are none. Loggers, client metrics and groups have no configs here: an empty list.

use std::collections::BTreeSet;

use kolk_broker::configs::{ConfigEntry, of_broker, of_topic};
use kolk_broker::topics::TopicKey;
use kolk_engine::state::configs::ConfigDefaults;
use kolk_engine::state::{Topic, check_topic_name};
use kolk_wire_kafka::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, Failure, GROUP, TOPIC, kind_code, source_code};
use super::{Context, take_turns};
use crate::connection::Close;

/// Resources described in one answer; each takes some 10 KiB while it is made.
const RESOURCES_MAX: usize = 4000;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: DescribeConfigsRequest,
) -> Result<DescribeConfigsResponse, Close> {
    let broker = context.broker();
    let told = || request.resources.iter().take(RESOURCES_MAX);
    // All at once: where others write, each look waits for the log.
    let topics = told().filter(|resource| resource.resource_type == TOPIC);
    let keys: Vec<_> = topics.map(|resource| TopicKey::Name(&resource.resource_name)).collect();
    let mut topics = broker.find_topics(&keys).await?.into_iter();
    let defaults = broker.config_defaults();
    let mut results = Vec::with_capacity(request.resources.len());
    // A resource that is named twice is described twice (observed: Kafka 4.4.0).
    for (at, resource) in request.resources.iter().enumerate() {
        take_turns(at).await;
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        };
        if at >= RESOURCES_MAX {
            result.error_code = ErrorCode::PolicyViolation.code();
            result.error_message = Some(Str::from(format!("more than {RESOURCES_MAX} resources at once")));
            results.push(result);
            continue;
        }
        let topic = match resource.resource_type {
            TOPIC => topics.next().expect("each topic was looked up"),
            _ => None,
        };
        match entries(context, resource, topic.as_deref(), &defaults) {
            Ok(entries) => {
                // No keys mean all, as null does.
                let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
                let wanted: Option<BTreeSet<&str>> = keys.map(|keys| keys.iter().map(|key| &**key).collect());
                let shown = entries
                    .into_iter()
                    .filter(|entry| wanted.as_ref().is_none_or(|wanted| wanted.contains(entry.name)));
                result.configs = shown.map(|entry| shape(entry, &request)).collect();
            }
            Err((code, message)) => {
                result.error_code = code.code();
                result.error_message = Some(Str::from(message));
            }
        }
        results.push(result);
    }
    Ok(DescribeConfigsResponse { throttle_time_ms: 0, results })
}

/// The configs of a resource; `topic` is the one of its name, if it is a topic.
fn entries(
    context: &Context<'_>,
    resource: &DescribeConfigsResource,
    topic: Option<&Topic>,
    defaults: &ConfigDefaults,
) -> Result<Vec<ConfigEntry>, Failure> {
    let name = &resource.resource_name;
    match resource.resource_type {
        TOPIC => match (check_topic_name(name), topic) {
            (Err(reason), _) => Err((ErrorCode::InvalidTopicException, reason)),
            (Ok(()), Some(topic)) => Ok(of_topic(topic, defaults)),
            (Ok(()), None) => {
                let why = "This server does not host this topic-partition.".to_owned();
                Err((ErrorCode::UnknownTopicOrPartition, why))
            }
        },
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER => {
            check_broker(context, name, " or empty string,")?;
            Ok(of_broker(context.broker().settings(), defaults))
        }
        BROKER_LOGGER if name.is_empty() => nameless("Broker id"),
        BROKER_LOGGER => check_broker(context, name, "").map(|()| Vec::new()),
        CLIENT_METRICS if name.is_empty() => nameless("Client metrics subscription name"),
        GROUP if name.is_empty() => nameless("Group name"),
        CLIENT_METRICS | GROUP => Ok(Vec::new()),
        other => Err((ErrorCode::InvalidRequest, format!("Unsupported resource type: {other}"))),
    }
}

fn nameless(what: &str) -> Result<Vec<ConfigEntry>, Failure> {
    Err((ErrorCode::InvalidRequest, format!("{what} must not be empty")))
}

/// Whether a broker resource's name means this broker.
fn check_broker(context: &Context<'_>, name: &str, or_else: &str) -> Result<(), Failure> {
    let node_id = context.broker().settings().node_id;
    let why = match name.parse::<i32>() {
        Ok(id) if id == node_id => return Ok(()),
        Ok(_) => format!("Unexpected broker id, expected {node_id}{or_else} but received {name}"),
        Err(_) => format!("Broker id must be an integer, but it is: {name}"),
    };
    Err((ErrorCode::InvalidRequest, why))
}

fn shape(entry: ConfigEntry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let synonyms = entry.synonyms.into_iter().filter(|_| request.include_synonyms);
    DescribeConfigsResourceResult {
        name: Str::from_static(entry.name),
        value: entry.value.map(Str::from),
        read_only: entry.read_only,
        config_source: source_code(entry.source),
        is_sensitive: false,
        synonyms: synonyms
            .map(|synonym| DescribeConfigsSynonym {
                name: Str::from_static(synonym.name),
                value: Some(Str::from(synonym.value)),
                source: source_code(synonym.source),
            })
            .collect(),
        config_type: kind_code(entry.kind),
        documentation: request.include_documentation.then(|| Str::from_static(entry.doc)),
        ..Default::default()
    }
}
