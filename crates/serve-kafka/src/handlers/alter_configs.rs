//! AlterConfigs (key 33), versions 0 to 2.
//!
//! A topic's overrides are replaced by those given, all or nothing. Broker settings cannot be altered while it runs.

use kolk_broker::topics::TopicKey;
use kolk_engine::state::{ConfigChange, ConfigOp};
use kolk_wire_kafka::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::Context;
use super::configs::{Failure, TOPIC, unalterable};
use crate::connection::Close;
use crate::errors;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: AlterConfigsRequest,
) -> Result<AlterConfigsResponse, Close> {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let (code, message) = match changes(context, resource) {
            Ok(changes) => {
                alter_topic(context, &resource.resource_name, true, changes, request.validate_only).await?
            }
            Err((code, why)) => (code, Some(Str::from(why))),
        };
        responses.push(AlterConfigsResourceResponse {
            error_code: code.code(),
            error_message: message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        });
    }
    Ok(AlterConfigsResponse { throttle_time_ms: 0, responses })
}

fn changes(context: &Context<'_>, resource: &AlterConfigsResource) -> Result<Vec<ConfigChange>, Failure> {
    if resource.resource_type != TOPIC {
        return Err(unalterable(context, resource.resource_type, &resource.resource_name));
    }
    let changes = resource.configs.iter().map(|config| match &config.value {
        Some(value) => {
            Ok(ConfigChange { name: config.name.to_string(), op: ConfigOp::Set(value.to_string()) })
        }
        None => Err((ErrorCode::InvalidRequest, format!("Null value not supported for : {}", config.name))),
    });
    changes.collect()
}

/// Changes a topic's overrides; the answer for one resource.
pub(crate) async fn alter_topic(
    context: &Context<'_>,
    name: &Str,
    replace: bool,
    changes: Vec<ConfigChange>,
    validate_only: bool,
) -> Result<(ErrorCode, Option<Str>), Close> {
    let broker = context.broker();
    let Some(topic) = broker.find_topic(&TopicKey::Name(name)).await? else {
        let why = format!("The topic '{name}' does not exist.");
        return Ok((ErrorCode::UnknownTopicOrPartition, Some(Str::from(why))));
    };
    let outcome = broker.alter_topic_configs(topic.id, replace, changes, validate_only).await?;
    Ok(match outcome {
        Ok(()) => (ErrorCode::None, None),
        Err(refusal) => (errors::of_refusal(&refusal), Some(Str::from(refusal.to_string()))),
    })
}
