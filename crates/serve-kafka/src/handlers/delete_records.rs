//! DeleteRecords (key 21), versions 0 to 2.
//!
//! Moves the log start forward; offset -1 means the high watermark. Answers the low watermark, which is the new log
//! start. Topics without `delete` in `cleanup.policy` answer POLICY_VIOLATION.

use std::sync::Arc;

use kolk_broker::Broker;
use kolk_broker::topics::TopicKey;
use kolk_engine::state::{Refusal, Topic};
use kolk_engine::{Offset, PartitionId, Pending};
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

use super::{Context, partitions_named};
use crate::connection::Close;
use crate::errors;

const HIGH_WATERMARK: i64 = -1;

/// Partitions that are decided together before one is awaited: they share frames of the log. Each takes more memory than
/// what names it.
const DECIDED_AT_ONCE: usize = 256;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: DeleteRecordsRequest,
) -> Result<DeleteRecordsResponse, Close> {
    let broker = context.broker();
    let in_topics = request.topics.iter().map(|topic| topic.partitions.len());
    partitions_named(broker.admission(), in_topics)?;
    let keys: Vec<TopicKey<'_>> = request.topics.iter().map(|topic| TopicKey::Name(&topic.name)).collect();
    let found = broker.find_topics_to_read(&keys).await?;
    let named = request.topics.iter().zip(&found);
    let named = named.flat_map(|(topic, found)| topic.partitions.iter().map(move |asked| (found, asked)));
    let named: Vec<(&Option<Arc<Topic>>, &DeleteRecordsPartition)> = named.collect();
    let mut results = Vec::with_capacity(named.len());
    for together in named.chunks(DECIDED_AT_ONCE) {
        let decide = |(topic, asked): &(&Option<Arc<Topic>>, &DeleteRecordsPartition)| {
            (asked.partition_index, decide(broker, topic.as_deref(), asked))
        };
        let decided: Vec<_> = together.iter().map(decide).collect();
        for (partition_index, decided) in decided {
            let outcome = match decided {
                Ok(pending) => pending.await?.map_err(|refusal| errors::of_refusal(&refusal)),
                Err(code) => Err(code),
            };
            let (low_watermark, error_code) = match outcome {
                Ok(log_start) => (log_start.0, 0),
                Err(code) => (-1, code.code()),
            };
            results.push(DeleteRecordsPartitionResult { partition_index, low_watermark, error_code });
        }
    }
    let mut results = results.into_iter();
    let topics = request.topics.iter().map(|topic| DeleteRecordsTopicResult {
        name: topic.name.clone(),
        partitions: results.by_ref().take(topic.partitions.len()).collect(),
    });
    Ok(DeleteRecordsResponse { throttle_time_ms: 0, topics: topics.collect() })
}

fn decide(
    broker: &Broker,
    topic: Option<&Topic>,
    asked: &DeleteRecordsPartition,
) -> Result<Pending<Result<Offset, Refusal>>, ErrorCode> {
    let index = asked.partition_index;
    let topic = topic.filter(|topic| (0..topic.partitions).contains(&index));
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    match asked.offset {
        offset if offset < HIGH_WATERMARK => Err(ErrorCode::OffsetOutOfRange),
        offset => {
            let to = (offset != HIGH_WATERMARK).then_some(Offset(offset));
            Ok(broker.delete_records(PartitionId { topic: topic.id, index }, to))
        }
    }
}
