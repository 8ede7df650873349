//! AlterConfigs (key 33), versions 0 to 2.
//!
//! A topic's overrides are replaced by those given, all or nothing. Broker settings cannot be altered while it runs;
//! client metrics and groups have no configs here.

use kolk_wire_kafka::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::Context;
use super::configs::{Altered, Change, How, SET, alter};
use crate::connection::Close;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: AlterConfigsRequest,
) -> Result<AlterConfigsResponse, Close> {
    let resources = request.resources.iter().map(|resource| {
        let configs = resource.configs.iter();
        let changes =
            configs.map(|config| Change { name: &config.name, operation: SET, value: config.value.as_ref() });
        Altered { kind: resource.resource_type, name: &resource.resource_name, changes: changes.collect() }
    });
    let how = How { replace: true, validate_only: request.validate_only };
    let outcomes = alter(context, &resources.collect::<Vec<_>>(), how).await?;
    let responses = request.resources.iter().zip(outcomes).map(|(resource, (code, error_message))| {
        AlterConfigsResourceResponse {
            error_code: code.code(),
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        }
    });
    Ok(AlterConfigsResponse { throttle_time_ms: 0, responses: responses.collect() })
}
