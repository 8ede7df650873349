//! PutRecords: appends up to 500 records, in as few batches a shard as 1 MiB allows, and answers once they are on disk.
//!
//! Each record has a result of its own, in the order of the request; records of one shard keep their order. A bad explicit
//! hash key or a record that is too large refuses the whole call, as does a total above 10 MiB. No throughput limits.
//!
//! Source: API reference, PutRecords.

use kolk_broker::shards::Placed;
use kolk_engine::AppendError;
use kolk_wire_kinesis::replies::{PutRecordsOutput, PutRecordsResultEntry};
use kolk_wire_kinesis::requests::PutRecordsInput;
use kolk_wire_kinesis::{ErrorCode, Operation, ServiceError};

use super::put_record::{check_size, missing, put};
use super::shared::{self, invalid};
use crate::service::Service;

/// Data and partition keys of one call, bytes.
const TOTAL_BYTES_MAX: usize = 10 * 1024 * 1024;

pub(crate) async fn handle(
    service: &Service,
    input: PutRecordsInput,
) -> Result<PutRecordsOutput, ServiceError> {
    let name = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    let path = |at: usize, member: &str| format!("records.{}.member.{member}", at + 1);
    let mut puts = Vec::with_capacity(input.records.len());
    for (at, record) in input.records.into_iter().enumerate() {
        let key = record.partition_key.ok_or_else(|| missing(&path(at, "partitionKey")))?;
        puts.push(put(key, record.explicit_hash_key.as_deref(), record.data)?);
    }
    let topic = service.topic(&name).await?;
    for (at, put) in puts.iter().enumerate() {
        if let Err(refused) = check_size(&topic, put, &path(at, "data")) {
            return Err(service.told(refused, &name).await);
        }
    }
    if puts.iter().map(|put| put.data.len() + put.key.len()).sum::<usize>() > TOTAL_BYTES_MAX {
        return Err(invalid("Records size exceeds 10 MB limit"));
    }
    if input.dry_run == Some(true) {
        return Err(shared::dry_run());
    }
    let placed = service.shards().put(&name, &puts).await;
    let placed = placed.map_err(|error| service.shards_error(error, &name))?;
    if placed.iter().all(|result| *result == Err(AppendError::UnknownPartition)) {
        return Err(service.stream_not_found(&name));
    }
    let failed = placed.iter().filter(|result| result.is_err()).count();
    if let Some(Err(error)) = placed.iter().find(|result| result.is_err()) {
        let code = ErrorCode::InternalFailure.as_str();
        service.metrics().error(Operation::PutRecords as usize, code, failed as u64);
        service.log_failure(Operation::PutRecords, error);
    }
    Ok(PutRecordsOutput {
        encryption_type: None,
        failed_record_count: Some(i32::try_from(failed).expect("there are at most 500 records")),
        records: placed.into_iter().map(entry).collect(),
    })
}

fn entry(result: Result<Placed, AppendError>) -> PutRecordsResultEntry {
    match result {
        Ok(placed) => PutRecordsResultEntry {
            error_code: None,
            error_message: None,
            sequence_number: Some(shared::sequence_number(
                placed.shard,
                placed.create_second,
                placed.offset.0,
                placed.append_ms,
            )),
            shard_id: Some(placed.shard.to_string()),
        },
        // SDKs and the KPL know this code of a single record, and put the record again.
        Err(_) => PutRecordsResultEntry {
            error_code: Some(ErrorCode::InternalFailure.as_str().to_owned()),
            error_message: Some("Internal Service Failure".to_owned()),
            sequence_number: None,
            shard_id: None,
        },
    }
}
