//! IncrementalAlterConfigs (key 44), versions 0 to 1 (KIP-339).
//!
//! Sets, deletes, appends to and subtracts from a topic's overrides, all or nothing. Broker settings cannot be altered
//! while it runs; loggers, client metrics and groups have no configs here.

use kolk_wire_kafka::messages::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::Context;
use super::configs::{Altered, Change, How, alter};
use crate::connection::Close;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, Close> {
    let resources = request.resources.iter().map(|resource| {
        let changes = resource.configs.iter().map(|config| Change {
            name: &config.name,
            operation: config.config_operation,
            value: config.value.as_ref(),
        });
        Altered { kind: resource.resource_type, name: &resource.resource_name, changes: changes.collect() }
    });
    let how = How { replace: false, validate_only: request.validate_only };
    let outcomes = alter(context, &resources.collect::<Vec<_>>(), how).await?;
    let responses = request.resources.iter().zip(outcomes).map(|(resource, (code, error_message))| {
        AlterConfigsResourceResponse {
            error_code: code.code(),
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        }
    });
    Ok(IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() })
}
