//! PutRecord: appends one record and answers once it is on disk.
//!
//! The shard is the open one whose range holds the MD5 of the partition key, or the explicit hash key. Data and partition
//! key together are at most the stream's MaxRecordSizeInKiB. SequenceNumberForOrdering must be a sequence number that is
//! not from the future; numbers of a shard grow by themselves. No throughput limits; encryption is always NONE.
//!
//! Source: API reference, PutRecord.

use bytes::Bytes;
use kolk_broker::shards::Put;
use kolk_broker::streams;
use kolk_engine::AppendError;
use kolk_engine::state::Topic;
use kolk_wire_kinesis::replies::PutRecordOutput;
use kolk_wire_kinesis::requests::PutRecordInput;
use kolk_wire_kinesis::sequence::SequenceNumber;
use kolk_wire_kinesis::{ErrorCode, ServiceError, hashkey};

use super::shared::{self, invalid};
use crate::service::Service;

pub(crate) async fn handle(
    service: &Service,
    input: PutRecordInput,
) -> Result<PutRecordOutput, ServiceError> {
    let name = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    let key = input.partition_key.ok_or_else(|| missing("partitionKey"))?;
    let put = put(key, input.explicit_hash_key.as_deref(), input.data)?;
    let topic = service.topic(&name).await?;
    if let Err(refused) = check_size(&topic, &put, "data") {
        return Err(service.told(refused, &name).await);
    }
    if let Some(number) = &input.sequence_number_for_ordering {
        let now = shared::second(service.broker().now_ms());
        if number.parse::<SequenceNumber>().map_or(true, |number| number.record_secs > now) {
            let account = &service.settings().account;
            return Err(invalid(format!(
                "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {name} under account {account} \
                 is invalid."
            )));
        }
    }
    if input.dry_run == Some(true) {
        return Err(shared::dry_run());
    }
    let put = service.shards().put(&name, &[put]).await;
    let placed = put.map_err(|error| service.shards_error(error, &name))?.pop();
    match placed.expect("one answer a record") {
        Ok(placed) => Ok(PutRecordOutput {
            encryption_type: None,
            sequence_number: shared::sequence_number(
                placed.shard,
                placed.create_second,
                placed.offset.0,
                placed.append_ms,
            ),
            shard_id: placed.shard.to_string(),
        }),
        Err(AppendError::UnknownPartition) => Err(service.stream_not_found(&name)),
        Err(error) => Err(ServiceError::new(ErrorCode::InternalFailure, error.to_string())),
    }
}

/// A member that this stream needs and the model does not.
pub(super) fn missing(path: &str) -> ServiceError {
    let text = format!(
        "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member must not be null"
    );
    ServiceError::new(ErrorCode::Validation, text)
}

/// A record with the hash key it is routed by.
pub(super) fn put(key: String, explicit: Option<&str>, data: Bytes) -> Result<Put, ServiceError> {
    let hash = match explicit {
        None => hashkey::of_partition_key(&key),
        Some(explicit) => hashkey::parse(explicit).map_err(|_| {
            invalid(format!(
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was \
                 {explicit}"
            ))
        })?,
    };
    Ok(Put { hash, key: Bytes::from(key), data })
}

/// Data and key together are at most what the stream takes.
pub(super) fn check_size(topic: &Topic, put: &Put, path: &str) -> Result<(), ServiceError> {
    let limit = streams::record_kib_max(topic) as usize * 1024;
    if put.data.len() + put.key.len() <= limit {
        return Ok(());
    }
    let length = put.data.len();
    let text = format!(
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]' at '{path}' \
         failed to satisfy constraint: Member must have length less than or equal to {limit}"
    );
    Err(ServiceError::new(ErrorCode::Validation, text))
}
