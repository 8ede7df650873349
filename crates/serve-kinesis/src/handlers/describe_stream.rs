//! DescribeStream: a stream with a page of its shards, closed ones within retention included.
//!
//! At most 100 shards a page, whatever Limit says, as the service does. Encryption is always NONE, metrics are always
//! off.
//!
//! Source: API reference, DescribeStream.

use kolk_broker::shards::ShardFilter;
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::DescribeStreamOutput;
use kolk_wire_kinesis::replies::{EncryptionType, StreamDescription};
use kolk_wire_kinesis::requests::DescribeStreamInput;

use super::shared;
use crate::service::Service;

const SHARDS_MAX: usize = 100;

pub(crate) async fn handle(
    service: &Service,
    input: DescribeStreamInput,
) -> Result<DescribeStreamOutput, ServiceError> {
    let name = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    let after = shared::parse_start(input.exclusive_start_shard_id.as_deref())?;
    let stream = service.stream(&name).await?;
    let limit = input.limit.map_or(SHARDS_MAX, |limit| limit as usize).min(SHARDS_MAX);
    let now_ms = service.broker().now_ms();
    let listing = ShardFilter::FromTrimHorizon.resolve(&stream.topic, stream.retention_ms, now_ms);
    let page = stream.list(listing, now_ms, after, limit);
    Ok(DescribeStreamOutput {
        stream_description: StreamDescription {
            encryption_type: Some(EncryptionType::None),
            enhanced_monitoring: shared::monitoring(),
            has_more_shards: page.more,
            key_id: None,
            retention_period_hours: shared::retention_hours(&stream),
            shards: page.shards.iter().map(shared::shown).collect(),
            stream_arn: service.arn(&name),
            stream_creation_timestamp: shared::created(&stream.topic),
            stream_mode_details: shared::mode(&stream.topic),
            stream_name: name,
            stream_status: shared::STATUS,
        },
    })
}
