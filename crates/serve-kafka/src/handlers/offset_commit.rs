//! OffsetCommit (key 8), versions 2 to 10.
//!
//! Fenced by member and generation as the group stands; a consumer without group management (generation -1, no member)
//! commits to groups without members. Metadata over `offset.metadata.max.bytes` is refused for its partition. From
//! version 10 topics come by id.
//!
//! Gap: the retention time of versions 2 to 4 is not kept; `offsets.retention.minutes` holds for all.

use kolk_broker::groups::{CommitEntry, GroupError};
use kolk_engine::{Offset, PartitionId};
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::{Context, topic_key};
use crate::connection::Close;
use crate::errors;

const TOPIC_ID_VERSION_MIN: i16 = 10;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: OffsetCommitRequest,
) -> Result<OffsetCommitResponse, Close> {
    let by_id = context.version() >= TOPIC_ID_VERSION_MIN;
    let keys: Vec<_> =
        request.topics.iter().map(|topic| topic_key(&topic.name, topic.topic_id, by_id)).collect();
    // The commit comes later in the log than what is seen here, and waits for it.
    let found = context.broker().find_topics_to_read(&keys).await?;
    let mut entries = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for (topic, found) in request.topics.iter().zip(&found) {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let code = match found {
                None if by_id => ErrorCode::UnknownTopicId,
                Some(topic) if (0..topic.partitions).contains(&asked.partition_index) => {
                    entries.push(CommitEntry {
                        partition: PartitionId { topic: topic.id, index: asked.partition_index },
                        offset: Offset(asked.committed_offset),
                        leader_epoch: asked.committed_leader_epoch,
                        metadata: asked.committed_metadata.as_deref().unwrap_or_default().to_owned(),
                    });
                    ErrorCode::None
                }
                _ => ErrorCode::UnknownTopicOrPartition,
            };
            partitions.push(OffsetCommitResponsePartition {
                partition_index: asked.partition_index,
                error_code: code.code(),
            });
        }
        topics.push(OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions,
        });
    }
    let answers = if entries.is_empty() {
        Ok(Vec::new())
    } else {
        let (member, instance) = (&request.member_id, request.group_instance_id.as_deref());
        let generation = request.generation_id_or_member_epoch;
        context.broker().commit_offsets(&request.group_id, member, instance, generation, entries).await
    };
    let taken = topics.iter_mut().flat_map(|topic| &mut topic.partitions).filter(|one| one.error_code == 0);
    match answers {
        Ok(answers) => {
            for (partition, answer) in taken.zip(answers) {
                if let Err(refusal) = answer {
                    partition.error_code = errors::of_refusal(&refusal).code();
                }
            }
        }
        Err(error) => {
            let code = of_commit(&error, context.version());
            taken.for_each(|partition| partition.error_code = code.code());
        }
    }
    Ok(OffsetCommitResponse { throttle_time_ms: 0, topics })
}

fn of_commit(error: &GroupError, version: i16) -> ErrorCode {
    match error {
        // Only the newest versions may say that a group is not there (KIP-848).
        GroupError::UnknownGroup if version < 9 => ErrorCode::IllegalGeneration,
        other => errors::of_group(other),
    }
}
