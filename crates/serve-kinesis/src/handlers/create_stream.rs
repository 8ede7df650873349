//! CreateStream: makes a topic with `ShardCount` partitions, one shard each. It is active at once.
//!
//! Without a count, and for on-demand streams, there are 4. Its configs: 24 hours of retention, append time as the
//! records' timestamp, `kolk.reshard=split+merge`, and on demand `kolk.stream.mode=on-demand`. The number of shards of an on-demand stream does not change by
//! itself, and WarmThroughputMiBps has no effect. Not served: the record distribution strategy AUTO.
//!
//! Source: API reference, CreateStream.

use std::collections::BTreeMap;

use kolk_broker::streams::{self, NewStream};
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::{CreateStreamInput, RecordDistributionStrategy, StreamMode};

use super::shared::invalid;
use crate::service::Service;

pub(crate) async fn handle(service: &Service, input: CreateStreamInput) -> Result<Nothing, ServiceError> {
    let name = input.stream_name;
    if input.record_distribution_strategy == Some(RecordDistributionStrategy::Auto) {
        return Err(invalid("The record distribution strategy AUTO is not available."));
    }
    let on_demand = input.stream_mode_details.is_some_and(|mode| mode.stream_mode == StreamMode::OnDemand);
    if on_demand && input.shard_count.is_some() {
        return Err(invalid("ShardCount may not be set for a stream in ON_DEMAND mode."));
    }
    let tags: BTreeMap<String, String> = input.tags.unwrap_or_default().into_iter().collect();
    if tags.len() > streams::TAGS_MAX {
        let limit = streams::TAGS_MAX;
        return Err(invalid(format!("A stream cannot have more than {limit} tags associated with it.")));
    }
    let stream = NewStream {
        shards: input.shard_count,
        on_demand,
        record_kib_max: input.max_record_size_in_kib,
        tags,
    };
    let created = streams::create(service.broker(), &name, stream);
    service.decided(created, &name).await?;
    Ok(Nothing {})
}
