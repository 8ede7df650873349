//! SplitShard: one shard into two at a hash key; the lower child goes on on the same partition.
//!
//! Done when it is answered: the stream is never UPDATING. What `kolk.reshard` forbids is an InvalidArgumentException.
//!
//! Source: API reference, SplitShard.

use kolk_engine::state::{Command, Refusal, Reshard};
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::SplitShardInput;
use kolk_wire_kinesis::{ServiceError, hashkey};

use super::shared::{self, invalid};
use crate::service::Service;
use crate::texts::engine_error;

pub(crate) async fn handle(service: &Service, input: SplitShardInput) -> Result<Nothing, ServiceError> {
    let name = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    let shard = shared::parse_shard_id(&input.shard_to_split)
        .ok_or_else(|| service.could_not_find_shard(&input.shard_to_split, &name))?;
    let topic = service.stream(&name).await?.topic.id;
    let key = &input.new_starting_hash_key;
    // 39 digits reach beyond 2^128; no range does.
    let at = hashkey::parse(key).unwrap_or(u128::MAX);
    let how = Reshard::Split { shard, at };
    let command = Command::Reshard { topic, how, now_ms: service.broker().now_ms() };
    match service.broker().propose(command).await.map_err(|error| engine_error(&error))? {
        Ok(_) => Ok(Nothing {}),
        Err(Refusal::InvalidHashKey { range, .. }) => Err(invalid(format!(
            "NewStartingHashKey {key} used in SplitShard() on shard {shard} in stream {name} under account {} is not \
             both greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
            service.settings().account,
            range.start,
            range.end
        ))),
        Err(refusal) => Err(service.refusal(&refusal, &name)),
    }
}
