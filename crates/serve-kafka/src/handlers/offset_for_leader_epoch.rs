//! OffsetForLeaderEpoch (key 23), versions 2 to 4 (KIP-320).
//!
//! There is one epoch, 0: it ends at the high watermark. Any other has no end here and answers -1.

use kolk_broker::topics::TopicKey;
use kolk_engine::PartitionId;
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use super::{Context, LEADER_EPOCH, check_leader_epoch};
use crate::connection::Close;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: OffsetForLeaderEpochRequest,
) -> Result<OffsetForLeaderEpochResponse, Close> {
    let keys: Vec<TopicKey<'_>> = request.topics.iter().map(|topic| TopicKey::Name(&topic.topic)).collect();
    let found = context.broker().find_topics_to_read(&keys).await?;
    let topics = request.topics.iter().zip(&found).map(|(topic, found)| {
        let partitions = topic.partitions.iter().map(|asked| {
            let published = found.as_ref().and_then(|topic| {
                let partition = PartitionId { topic: topic.id, index: asked.partition };
                context.broker().engine().published(partition)
            });
            let mut answer = EpochEndOffset {
                partition: asked.partition,
                leader_epoch: -1,
                end_offset: -1,
                ..Default::default()
            };
            match (published, check_leader_epoch(asked.current_leader_epoch)) {
                (None, _) => answer.error_code = ErrorCode::UnknownTopicOrPartition.code(),
                (_, Err(code)) => answer.error_code = code.code(),
                (Some(published), Ok(())) if asked.leader_epoch == LEADER_EPOCH => {
                    answer.leader_epoch = LEADER_EPOCH;
                    answer.end_offset = published.high_watermark.0;
                }
                _ => {}
            }
            answer
        });
        OffsetForLeaderTopicResult { topic: topic.topic.clone(), partitions: partitions.collect() }
    });
    Ok(OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics: topics.collect() })
}
