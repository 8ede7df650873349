//! DeleteTopics (key 20), versions 1 to 6.
//!
//! By name, from version 6 also by id. Gone at once, with its offsets and its stream's shards. A topic that is named
//! twice is left as it is, and told of once.

use std::collections::{BTreeMap, BTreeSet};

use kolk_broker::topics::TopicKey;
use kolk_engine::TopicId;
use kolk_wire_kafka::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use kolk_wire_kafka::{ErrorCode, Str};
use uuid::Uuid;

use super::configs::Failure;
use super::{Context, take_turns, wire_id};
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
    let mut times: BTreeMap<&(Option<Str>, Uuid), usize> = BTreeMap::new();
    for one in &asked {
        *times.entry(one).or_default() += 1;
    }
    let (names, ids): (BTreeSet<&Str>, BTreeSet<Uuid>) = (
        asked.iter().filter_map(|(name, _)| name.as_ref()).collect(),
        asked.iter().map(|(_, id)| *id).collect(),
    );
    let mut distinct = Vec::with_capacity(times.len());
    for one in &asked {
        // What is named twice is told of once.
        if let Some(times) = times.remove(one) {
            distinct.push((one, key(one.0.as_ref(), one.1, times)));
        }
    }
    let keys: Vec<TopicKey<'_>> = distinct.iter().filter_map(|(_, key)| key.clone().ok()).collect();
    let mut found = context.broker().find_topics(&keys).await?.into_iter();
    // All are decided before one is awaited: they share frames of the log.
    let mut decided = Vec::with_capacity(distinct.len());
    for (at, ((name, id), key)) in distinct.into_iter().enumerate() {
        take_turns(at).await;
        let mut response = DeletableTopicResult { name: name.clone(), topic_id: *id, ..Default::default() };
        let outcome = match key {
            Err(failure) => Err(failure),
            Ok(key) => match found.next().expect("each topic was looked up") {
                None => Err(unknown(&key)),
                Some(topic) if name.is_none() && names.contains(&Str::from(&*topic.name)) => continue,
                Some(topic) => {
                    let is_named_twice = name.is_some() && ids.contains(&wire_id(topic.id));
                    response.name = Some(Str::from(&*topic.name));
                    response.topic_id = wire_id(topic.id);
                    if is_named_twice {
                        wrong("The provided topic name maps to an ID that was already supplied.")
                    } else {
                        Ok(context.broker().delete_topic(topic.id))
                    }
                }
            },
        };
        decided.push((response, outcome));
    }
    let mut responses = Vec::with_capacity(decided.len());
    for (mut response, outcome) in decided {
        let outcome = match outcome {
            Ok(pending) => {
                pending.await?.map_err(|refusal| (errors::of_refusal(&refusal), refusal.to_string()))
            }
            Err(failure) => Err(failure),
        };
        if let Err((code, why)) = outcome {
            response.error_code = code.code();
            response.error_message = Some(Str::from(why));
        }
        responses.push(response);
    }
    Ok(DeleteTopicsResponse { throttle_time_ms: 0, responses })
}

/// Which topic a request means that names it so many `times`.
fn key(name: Option<&Str>, id: Uuid, times: usize) -> Result<TopicKey<'_>, Failure> {
    match (name, id.is_nil()) {
        (Some(_), false) => wrong("You may not specify both topic name and topic id."),
        (None, true) => wrong("Neither topic name nor id were specified."),
        (Some(_), true) if times > 1 => wrong("Duplicate topic name."),
        (None, false) if times > 1 => wrong("Duplicate topic id."),
        (Some(name), true) => Ok(TopicKey::Name(name)),
        (None, false) => Ok(TopicKey::Id(TopicId(id.as_u128()))),
    }
}

fn wrong<T>(why: &str) -> Result<T, Failure> {
    Err((ErrorCode::InvalidRequest, why.to_owned()))
}

fn unknown(key: &TopicKey<'_>) -> Failure {
    let (code, why) = match key {
        TopicKey::Name(_) => {
            (ErrorCode::UnknownTopicOrPartition, "This server does not host this topic-partition.")
        }
        TopicKey::Id(_) => (ErrorCode::UnknownTopicId, "This server does not host this topic ID."),
    };
    (code, why.to_owned())
}
