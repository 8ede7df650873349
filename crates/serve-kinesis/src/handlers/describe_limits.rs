//! DescribeLimits: how many shards there are and may be. On-demand streams are counted as provisioned ones.
//!
//! Source: API reference, DescribeLimits.

use kolk_broker::streams;
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::DescribeLimitsOutput;
use kolk_wire_kinesis::requests::DescribeLimitsInput;

use crate::service::Service;
use crate::texts::engine_error;

pub(crate) async fn handle(
    service: &Service,
    input: DescribeLimitsInput,
) -> Result<DescribeLimitsOutput, ServiceError> {
    let DescribeLimitsInput {} = input;
    let counts = streams::counts(service.broker()).await.map_err(|error| engine_error(&error))?;
    Ok(DescribeLimitsOutput {
        shard_limit: i32::try_from(counts.shards_max).unwrap_or(i32::MAX),
        open_shard_count: i32::try_from(counts.open_shards).unwrap_or(i32::MAX),
        on_demand_stream_count: 0,
        // What the service allows an account by default.
        on_demand_stream_count_limit: 50,
    })
}
