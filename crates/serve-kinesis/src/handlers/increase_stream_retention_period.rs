//! IncreaseStreamRetentionPeriod: `retention.ms` up, to 8760 hours at most. What is gone does not come back.
//!
//! Source: API reference, IncreaseStreamRetentionPeriod.

use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::IncreaseStreamRetentionPeriodInput;

use crate::service::Service;

pub(crate) async fn handle(
    service: &Service,
    input: IncreaseStreamRetentionPeriodInput,
) -> Result<Nothing, ServiceError> {
    let stream = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    service.change_retention(&stream, input.retention_period_hours, true).await
}
