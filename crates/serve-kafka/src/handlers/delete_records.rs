//! DeleteRecords (key 21), versions 0 to 2.
//!
//! Moves the log start forward; offset -1 means the high watermark. Answers the low watermark, which is the new log
//! start. Topics without `delete` in `cleanup.policy` answer POLICY_VIOLATION.

use kolk_broker::topics::TopicKey;
use kolk_engine::{Offset, PartitionId};
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use super::Context;
use crate::connection::Close;
use crate::errors;

const HIGH_WATERMARK: i64 = -1;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: DeleteRecordsRequest,
) -> Result<DeleteRecordsResponse, Close> {
    let broker = context.broker();
    let keys: Vec<TopicKey<'_>> = request.topics.iter().map(|topic| TopicKey::Name(&topic.name)).collect();
    let found = broker.find_topics(&keys).await?;
    let mut pendings = Vec::with_capacity(request.topics.len());
    // All are decided before one is awaited: they share frames of the log.
    for (topic, found) in request.topics.iter().zip(&found) {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let decided = match found {
                Some(topic) if (0..topic.partitions).contains(&index) => match asked.offset {
                    offset if offset < HIGH_WATERMARK => Err(ErrorCode::OffsetOutOfRange),
                    offset => {
                        let to = (offset != HIGH_WATERMARK).then_some(Offset(offset));
                        Ok(broker.delete_records(PartitionId { topic: topic.id, index }, to))
                    }
                },
                _ => Err(ErrorCode::UnknownTopicOrPartition),
            };
            (index, decided)
        });
        pendings.push((topic.name.clone(), partitions.collect::<Vec<_>>()));
    }
    let mut topics = Vec::with_capacity(pendings.len());
    for (name, decided) in pendings {
        let mut partitions = Vec::with_capacity(decided.len());
        for (partition_index, decided) in decided {
            let outcome = match decided {
                Ok(pending) => pending.await?.map_err(|refusal| errors::of_refusal(&refusal)),
                Err(code) => Err(code),
            };
            partitions.push(match outcome {
                Ok(log_start) => DeleteRecordsPartitionResult {
                    partition_index,
                    low_watermark: log_start.0,
                    error_code: 0,
                },
                Err(code) => DeleteRecordsPartitionResult {
                    partition_index,
                    low_watermark: -1,
                    error_code: code.code(),
                },
            });
        }
        topics.push(DeleteRecordsTopicResult { name, partitions });
    }
    Ok(DeleteRecordsResponse { throttle_time_ms: 0, topics })
}
