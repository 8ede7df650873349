//! OffsetDelete (key 47), version 0 (KIP-496).
//!
//! A group without members gives up any offset; one of consumers those of topics that nobody in it is subscribed to.

use kolk_engine::PartitionId;
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use super::{Context, partitions_named};
use crate::connection::Close;
use crate::errors;
use kolk_broker::topics::TopicKey;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: OffsetDeleteRequest,
) -> Result<OffsetDeleteResponse, Close> {
    let in_topics = request.topics.iter().map(|topic| topic.partitions.len());
    partitions_named(context.broker().admission(), in_topics)?;
    let keys: Vec<TopicKey<'_>> = request.topics.iter().map(|topic| TopicKey::Name(&topic.name)).collect();
    let found = context.broker().find_topics_to_read(&keys).await?;
    let mut known = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for (topic, found) in request.topics.iter().zip(&found) {
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let code = match found {
                Some(topic) if (0..topic.partitions).contains(&index) => {
                    known.push((PartitionId { topic: topic.id, index }, topic.name.clone()));
                    ErrorCode::None
                }
                _ => ErrorCode::UnknownTopicOrPartition,
            };
            OffsetDeleteResponsePartition { partition_index: index, error_code: code.code() }
        });
        topics.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: partitions.collect() });
    }
    match context.broker().delete_offsets(&request.group_id, known).await {
        Ok(answers) => {
            let taken = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            for (partition, answer) in taken.filter(|one| one.error_code == 0).zip(answers) {
                if let Err(error) = answer {
                    partition.error_code = errors::of_group(&error).code();
                }
            }
            Ok(OffsetDeleteResponse { topics, ..Default::default() })
        }
        Err(error) => {
            Ok(OffsetDeleteResponse { error_code: errors::of_group(&error).code(), ..Default::default() })
        }
    }
}
