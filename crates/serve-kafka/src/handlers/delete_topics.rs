//! DeleteTopics (key 20), versions 1 to 6.
//!
//! By name, from version 6 also by id. Gone at once, with its offsets and its stream's shards.

use std::collections::BTreeSet;

use kolk_broker::topics::TopicKey;
use kolk_engine::TopicId;
use kolk_wire_kafka::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use kolk_wire_kafka::{ErrorCode, Str};
use uuid::Uuid;

use super::{Context, wire_id};
use crate::connection::Close;
use crate::errors;

const TOPIC_ID_VERSION_MIN: i16 = 6;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: DeleteTopicsRequest,
) -> Result<DeleteTopicsResponse, Close> {
    let asked: Vec<(Option<Str>, Uuid)> = if context.version() >= TOPIC_ID_VERSION_MIN {
        request.topics.into_iter().map(|topic| (topic.name, topic.topic_id)).collect()
    } else {
        request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil())).collect()
    };
    let mut done = BTreeSet::new();
    let mut responses = Vec::with_capacity(asked.len());
    for (name, id) in asked {
        let mut response = DeletableTopicResult { name, topic_id: id, ..Default::default() };
        let mut fail = |code: ErrorCode, message: &str| {
            response.error_code = code.code();
            response.error_message = Some(Str::from(message));
        };
        let key = match (&response.name, id.is_nil()) {
            (Some(_), false) => {
                fail(ErrorCode::InvalidRequest, "Topic name and topic ID can not both be specified.");
                responses.push(response);
                continue;
            }
            (None, true) => {
                fail(ErrorCode::InvalidRequest, "Neither topic name nor id were specified.");
                responses.push(response);
                continue;
            }
            (Some(name), true) => TopicKey::Name(name),
            (None, false) => TopicKey::Id(TopicId(id.as_u128())),
        };
        match context.broker().find_topic(&key).await? {
            Some(topic) if !done.insert(topic.id) => {
                response.error_code = ErrorCode::InvalidRequest.code();
                response.error_message = Some(Str::from_static("Duplicate topic."));
            }
            Some(topic) => {
                response.name = Some(Str::from(&*topic.name));
                response.topic_id = wire_id(topic.id);
                if let Err(refusal) = context.broker().delete_topic(topic.id).await? {
                    response.error_code = errors::of_refusal(&refusal).code();
                    response.error_message = Some(Str::from(refusal.to_string()));
                }
            }
            None => {
                let code = match key {
                    TopicKey::Name(_) => ErrorCode::UnknownTopicOrPartition,
                    TopicKey::Id(_) => ErrorCode::UnknownTopicId,
                };
                response.error_code = code.code();
                let message = match key {
                    TopicKey::Name(_) => "This server does not host this topic-partition.",
                    TopicKey::Id(_) => "This server does not host this topic ID.",
                };
                response.error_message = Some(Str::from_static(message));
            }
        }
        responses.push(response);
    }
    Ok(DeleteTopicsResponse { throttle_time_ms: 0, responses })
}
