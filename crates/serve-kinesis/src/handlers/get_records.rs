//! GetRecords: a page of a shard from an iterator's position on: at most 10,000 records and 10 MiB.
//!
//! A page may end inside a batch, and the first record is given whatever its size. An empty page still has a new iterator,
//! at the tip as behind records that were trimmed, aborted or are no data. At the end of a shard there is no next iterator
//! but ChildShards, both or neither. Reads stop at the last stable offset. ApproximateArrivalTimestamp is the broker's append
//! time. No throughput limits.
//!
//! Source: API reference, GetRecords.

use kolk_broker::Permit;
use kolk_broker::shards::{PageLimits, ShardRecord};
use kolk_engine::state::Shard;
use kolk_engine::{Offset, ShardId, TopicId};
use kolk_wire_kinesis::iterator::ShardIterator;
use kolk_wire_kinesis::replies::{ChildShard, GetRecordsOutput, Record};
use kolk_wire_kinesis::requests::GetRecordsInput;
use kolk_wire_kinesis::token::{LIFE_MS, TokenError};
use kolk_wire_kinesis::{ErrorCode, ServiceError, Timestamp, date, partition_key};

use super::shared::{self, invalid};
use crate::service::Service;

const RECORDS_MAX: usize = 10_000;
const PAGE_BYTES_MAX: usize = 10 * 1024 * 1024;

/// The page, and the memory that it holds.
pub(crate) async fn handle(
    service: &Service,
    input: GetRecordsInput,
) -> Result<(GetRecordsOutput, Permit), ServiceError> {
    let now_ms = service.broker().now_ms();
    let iterator = open(service, &input, now_ms)?;
    let stream = &iterator.stream_name;
    let shard = ShardId(iterator.shard_index);
    let topic = TopicId(u128::from_be_bytes(iterator.topic_id));
    if input.dry_run == Some(true) {
        let found = service.shards().stream_by_id(topic).await;
        found.map_err(|error| service.read_error(error, stream, shard))?;
        return Err(shared::dry_run());
    }
    let limits = PageLimits {
        records: input.limit.map_or(RECORDS_MAX, |limit| limit as usize),
        bytes: PAGE_BYTES_MAX,
    };
    let page = service.shards().read(topic, shard, Offset(iterator.offset), limits).await;
    let page = page.map_err(|error| service.read_error(error, stream, shard))?;
    let create_second = page.shard.create_second;
    let records: Vec<Record> =
        page.records.into_iter().map(|record| shown(record, shard, create_second)).collect();
    let next = ShardIterator { offset: page.next.0, ..iterator };
    let output = GetRecordsOutput {
        next_shard_iterator: match page.end {
            None => Some(next.seal(service.sealer(), now_ms, service.nonce())),
            Some(_) => None,
        },
        child_shards: page.end.map(|children| children.iter().map(child).collect()),
        millis_behind_latest: Some(page.behind_ms),
        records,
    };
    Ok((output, page.permit))
}

fn open(service: &Service, input: &GetRecordsInput, now_ms: i64) -> Result<ShardIterator, ServiceError> {
    let iterator = ShardIterator::open(service.sealer(), &input.shard_iterator, now_ms);
    let iterator = iterator.map_err(|error| match error {
        TokenError::Invalid => invalid("Invalid ShardIterator."),
        TokenError::Expired { issued_ms } => ServiceError::new(
            ErrorCode::ExpiredIterator,
            format!(
                "Iterator expired. The iterator was created at time {} while right now it is {} which is further in \
                 the future than the tolerated delay of {LIFE_MS} milliseconds.",
                date::in_message(issued_ms),
                date::in_message(now_ms)
            ),
        ),
    })?;
    if let Some(arn) = &input.stream_arn
        && service.name_of_arn(arn)? != iterator.stream_name
    {
        return Err(invalid(format!("The ShardIterator is not one of stream {arn}.")));
    }
    Ok(iterator)
}

fn shown(record: ShardRecord, shard: ShardId, create_second: i64) -> Record {
    Record {
        approximate_arrival_timestamp: Some(Timestamp(record.append_ms)),
        // A tombstone reads as empty data: there is no other word for it here.
        data: record.value.unwrap_or_default(),
        encryption_type: None,
        partition_key: Some(partition_key::of_kafka_key(record.key.as_deref()).into_owned()),
        sequence_number: shared::sequence_number(shard, create_second, record.offset.0, record.append_ms),
    }
}

fn child(shard: &Shard) -> ChildShard {
    let parents = [shard.parent, shard.adjacent_parent];
    ChildShard {
        hash_key_range: shared::hash_key_range(shard),
        parent_shards: parents.into_iter().flatten().map(|id| id.to_string()).collect(),
        shard_id: shard.id.to_string(),
    }
}
