//! IncrementalAlterConfigs (key 44), versions 0 to 1 (KIP-339).
//!
//! Sets, deletes, appends to and subtracts from a topic's overrides, all or nothing. Broker settings cannot be altered
//! while it runs.

use std::collections::BTreeSet;

use kolk_engine::state::{ConfigChange, ConfigOp};
use kolk_wire_kafka::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::Context;
use super::alter_configs::alter_topic;
use super::configs::{Failure, TOPIC, unalterable};
use crate::connection::Close;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, Close> {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let (code, message) = match changes(context, resource) {
            Ok(changes) => {
                alter_topic(context, &resource.resource_name, false, changes, request.validate_only).await?
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
    Ok(IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses })
}

fn changes(context: &Context<'_>, resource: &AlterConfigsResource) -> Result<Vec<ConfigChange>, Failure> {
    let wrong = |why: String| (ErrorCode::InvalidRequest, why);
    let mut names = BTreeSet::new();
    let twice: Vec<&str> = resource
        .configs
        .iter()
        .filter(|config| !names.insert(&config.name))
        .map(|config| &*config.name)
        .collect();
    if !twice.is_empty() {
        return Err(wrong(format!("Error due to duplicate config keys : {}", twice.join(","))));
    }
    let change = |config: &AlterableConfig| {
        let value = config.value.as_deref().map(str::to_owned);
        let null = || wrong(format!("Null value not supported for : {}", config.name));
        let op = match config.config_operation {
            SET => ConfigOp::Set(value.ok_or_else(null)?),
            DELETE => ConfigOp::Delete,
            APPEND => ConfigOp::Append(value.ok_or_else(null)?),
            SUBTRACT => ConfigOp::Subtract(value.ok_or_else(null)?),
            other => return Err(wrong(format!("Unknown operation type {other}."))),
        };
        Ok(ConfigChange { name: config.name.to_string(), op })
    };
    let changes = resource.configs.iter().map(change).collect::<Result<Vec<_>, Failure>>()?;
    if resource.resource_type != TOPIC {
        return Err(unalterable(context, resource.resource_type, &resource.resource_name));
    }
    Ok(changes)
}
