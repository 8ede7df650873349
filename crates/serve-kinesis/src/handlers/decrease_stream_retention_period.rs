//! DecreaseStreamRetentionPeriod: `retention.ms` down, to 24 hours at least. What is older is out of reach at once.
//!
//! Source: API reference, DecreaseStreamRetentionPeriod.

use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::DecreaseStreamRetentionPeriodInput;

use crate::service::Service;

pub(crate) async fn handle(
    service: &Service,
    input: DecreaseStreamRetentionPeriodInput,
) -> Result<Nothing, ServiceError> {
    let stream = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    service.change_retention(&stream, input.retention_period_hours, false).await
}
