//! GetShardIterator: a position in a shard, open or closed, as a token that lives for 300 seconds.
//!
//! All five types are resolved to an offset now. A sequence number below the shard's first record means its start, one at
//! or past its end means shard end; one of another shard, or of an earlier stream of that name, is refused.
//!
//! Source: API reference, GetShardIterator.

use kolk_broker::shards::Seek;
use kolk_engine::Offset;
use kolk_engine::state::Shard;
use kolk_wire_kinesis::iterator::ShardIterator;
use kolk_wire_kinesis::replies::GetShardIteratorOutput;
use kolk_wire_kinesis::requests::{GetShardIteratorInput, ShardIteratorType};
use kolk_wire_kinesis::sequence::{Position, SequenceMismatch, SequenceNumber};
use kolk_wire_kinesis::{ServiceError, shard_id};

use super::shared::{self, invalid};
use crate::service::Service;

pub(crate) async fn handle(
    service: &Service,
    input: GetShardIteratorInput,
) -> Result<GetShardIteratorOutput, ServiceError> {
    let arn = input.stream_arn.as_deref();
    let name = service.named(input.stream_name.clone(), arn, input.stream_id.as_deref())?;
    let id = shared::parse_shard_id(&input.shard_id)
        .ok_or_else(|| service.could_not_find_shard(&input.shard_id, &name))?;
    let stream = service.shards().stream(&name).await;
    let stream = stream.map_err(|error| service.read_error(error, &name, id))?;
    let shard = *stream.shard(id).map_err(|error| service.read_error(error, &name, id))?;
    let now_ms = service.broker().now_ms();
    let seek = seek(service, &input, &name, &shard, now_ms)?;
    if input.dry_run == Some(true) {
        return Err(shared::dry_run());
    }
    let offset = service.shards().seek(&stream, &shard, seek).await;
    let offset = offset.map_err(|error| service.read_error(error, &name, id))?;
    let iterator = ShardIterator {
        topic_id: stream.topic.id.0.to_be_bytes(),
        stream_name: name,
        shard_index: id.0,
        offset: offset.0,
    };
    let token = iterator.seal(service.sealer(), now_ms, service.nonce());
    Ok(GetShardIteratorOutput { shard_iterator: Some(token) })
}

fn seek(
    service: &Service,
    input: &GetShardIteratorInput,
    stream: &str,
    shard: &Shard,
    now_ms: i64,
) -> Result<Seek, ServiceError> {
    let kind = input.shard_iterator_type;
    let mixed_up = |also: &str| {
        invalid(format!(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
             TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {also} \
             StartingSequenceNumber."
        ))
    };
    match (kind, &input.starting_sequence_number) {
        (ShardIteratorType::AtSequenceNumber, Some(number)) => at(service, number, stream, shard, 0),
        (ShardIteratorType::AfterSequenceNumber, Some(number)) => at(service, number, stream, shard, 1),
        (ShardIteratorType::AtSequenceNumber | ShardIteratorType::AfterSequenceNumber, None) => {
            Err(mixed_up("no"))
        }
        (_, Some(_)) => Err(mixed_up("also a")),
        (ShardIteratorType::TrimHorizon, None) => Ok(Seek::TrimHorizon),
        (ShardIteratorType::Latest, None) => Ok(Seek::Latest),
        (ShardIteratorType::AtTimestamp, None) => match input.timestamp {
            None => Err(invalid(
                "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
                 timestamp parameter.",
            )),
            Some(at) if at.0 > now_ms => Err(invalid(format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                 timestampInMillis: {}, currentTimestampInMillis: {now_ms}",
                at.0
            ))),
            Some(at) => Ok(Seek::AtTime(at.0)),
        },
    }
}

/// The record of a sequence number, or the one so many `behind` it.
fn at(
    service: &Service,
    number: &str,
    stream: &str,
    shard: &Shard,
    behind: i64,
) -> Result<Seek, ServiceError> {
    let account = &service.settings().account;
    let id = shard.id;
    let used = format!(
        "StartingSequenceNumber {number} used in GetShardIterator on shard {id} in stream {stream} under account \
         {account} is invalid"
    );
    let parsed: SequenceNumber = number.parse().map_err(|_| invalid(format!("{used}.")))?;
    match parsed.position_in(id.0, shared::create_second(shard)) {
        Ok(Position::Start) => Ok(Seek::At(shard.first)),
        Ok(Position::Offset(offset)) => Ok(Seek::At(Offset(offset.saturating_add(behind)))),
        Ok(Position::End) => Ok(Seek::At(Offset(i64::MAX))),
        Err(SequenceMismatch::OtherShard { found, .. }) => Err(invalid(format!(
            "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {id}",
            shard_id::format(found)
        ))),
        Err(SequenceMismatch::OtherStream { .. }) => {
            Err(invalid(format!("{used} because it did not come from this stream.")))
        }
    }
}
