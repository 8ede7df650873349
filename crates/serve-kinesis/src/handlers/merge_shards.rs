//! MergeShards: two neighbours into one; it goes on on the first one's partition, the other's is retired.
//!
//! Done when it is answered: the stream is never UPDATING. What `kolk.reshard` forbids (by default for topics made by
//! Kafka clients) is an InvalidArgumentException.
//!
//! Source: API reference, MergeShards.

use kolk_engine::state::Reshard;
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::MergeShardsInput;

use super::shared;
use crate::service::Service;

pub(crate) async fn handle(service: &Service, input: MergeShardsInput) -> Result<Nothing, ServiceError> {
    let name = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    let shard = |id: &str| shared::parse_shard_id(id).ok_or_else(|| service.could_not_find_shard(id, &name));
    let how = Reshard::Merge {
        first: shard(&input.shard_to_merge)?,
        second: shard(&input.adjacent_shard_to_merge)?,
    };
    let stream = service.stream(&name).await?;
    service.reshard(&stream, how).await?;
    Ok(Nothing {})
}
