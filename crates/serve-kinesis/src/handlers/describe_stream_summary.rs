//! DescribeStreamSummary: a stream without its shards.
//!
//! StreamId is never told: SDKs that learn one leave the endpoint they were given.
//!
//! Source: API reference, DescribeStreamSummary.

use kolk_broker::streams;
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::DescribeStreamSummaryOutput;
use kolk_wire_kinesis::replies::{EncryptionType, StreamDescriptionSummary};
use kolk_wire_kinesis::requests::DescribeStreamSummaryInput;

use super::shared;
use crate::service::Service;

pub(crate) async fn handle(
    service: &Service,
    input: DescribeStreamSummaryInput,
) -> Result<DescribeStreamSummaryOutput, ServiceError> {
    let name = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    let stream = service.stream(&name).await?;
    Ok(DescribeStreamSummaryOutput {
        stream_description_summary: StreamDescriptionSummary {
            consumer_count: Some(0),
            encryption_type: Some(EncryptionType::None),
            enhanced_monitoring: shared::monitoring(),
            key_id: None,
            max_record_size_in_kib: Some(streams::record_kib_max(&stream.topic)),
            open_shard_count: i32::try_from(stream.open_shard_count()).unwrap_or(i32::MAX),
            record_distribution_strategy: None,
            retention_period_hours: shared::retention_hours(&stream),
            stream_arn: service.arn(&name),
            stream_creation_timestamp: shared::created(&stream.topic),
            stream_mode_details: shared::mode(&stream.topic),
            stream_name: name,
            stream_status: shared::STATUS,
        },
    })
}
