//! UpdateShardCount: splits and merges to the ranges that CreateStream(TargetShardCount) would cut, in one decision.
//!
//! Done when it is answered. The service's rules of 0.5 to 2 times the count and ten times a day do not hold here; the
//! limits on partitions do (LimitExceededException).
//!
//! Source: API reference, UpdateShardCount.

use kolk_engine::state::Reshard;
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::UpdateShardCountOutput;
use kolk_wire_kinesis::requests::UpdateShardCountInput;

use crate::service::Service;

pub(crate) async fn handle(
    service: &Service,
    input: UpdateShardCountInput,
) -> Result<UpdateShardCountOutput, ServiceError> {
    let name = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    let stream = service.stream(&name).await?;
    let target = input.target_shard_count;
    service.reshard(&stream, Reshard::UpdateShardCount { target }).await?;
    Ok(UpdateShardCountOutput {
        current_shard_count: i32::try_from(stream.open_shard_count()).ok(),
        stream_arn: Some(service.arn(&name)),
        stream_name: Some(name),
        target_shard_count: Some(target),
    })
}
