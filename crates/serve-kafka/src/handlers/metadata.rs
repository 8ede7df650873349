//! Metadata (key 3), versions 0 to 13.
//!
//! One broker leads every partition and is its one replica, whatever replication factor was asked for; leader epoch is
//! always 0. Its address is that of the listener the client came in by. Unknown topics are made if the request
//! and `auto.create.topics.enable` allow it, and are there in the same reply. From version 10 topics have ids, from 12
//! they can be asked for by id. Version 0 means all topics by an empty list, later versions by null.

use std::collections::BTreeSet;
use std::sync::Arc;

use kolk_broker::topics::{NewTopic, TopicKey};
use kolk_engine::map::HashSet;
use kolk_engine::state::{Refusal, Topic, check_topic_name};
use kolk_engine::{EngineExt, TopicId};
use kolk_wire_kafka::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::{Context, LEADER_EPOCH, OPERATIONS_UNASKED, wire_id};
use crate::connection::Close;
use crate::errors;

/// From here on topics can be asked for by id; one that is unknown has no name in the answer.
const BY_ID_VERSION_MIN: i16 = 12;

/// Topics that are made at once for one request: they share a few frames of the log.
const MADE_AT_ONCE_MAX: usize = 256;

/// All operations on a topic, as bits of Kafka's AclOperation codes.
pub(crate) const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// All operations on the cluster.
pub(crate) const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: MetadataRequest,
) -> Result<MetadataResponse, Close> {
    let settings = context.broker().settings();
    let (host, port) = context.advertised();
    if asks_by_id_too_early(context.version(), &request) {
        let topics = request.topics.iter().flatten().map(|asked| MetadataResponseTopic {
            // These versions have no null for a name in the answer.
            name: Some(asked.name.clone().unwrap_or_default()),
            ..unknown(asked, ErrorCode::InvalidRequest)
        });
        return Ok(MetadataResponse {
            controller_id: -1,
            topics: topics.collect(),
            cluster_authorized_operations: OPERATIONS_UNASKED,
            ..Default::default()
        });
    }
    let topics = match request.topics {
        Some(mut topics) if !(topics.is_empty() && context.version() == 0) => {
            let may_create =
                settings.auto_create_topics && (context.version() < 4 || request.allow_auto_topic_creation);
            let mut seen = BTreeSet::new();
            topics.retain(|topic| seen.insert((topic.name.clone(), topic.topic_id)));
            find(context, &topics, may_create).await?
        }
        _ => {
            // The turn comes first: a list of all topics is long, and who waits holds none.
            let engine = context.broker().engine();
            let count = engine.peek(|state| state.topic_count() + state.partition_count());
            let _turn = context.wide_turn(count).await;
            let all = context.broker().all_topics().await?;
            all.iter().map(|topic| describe(topic, settings.node_id)).collect()
        }
    };
    let mut response = MetadataResponse {
        brokers: vec![MetadataResponseBroker { node_id: settings.node_id, host, port, rack: None }],
        cluster_id: Some(Str::from(&settings.cluster_id)),
        controller_id: settings.node_id,
        topics,
        cluster_authorized_operations: OPERATIONS_UNASKED,
        ..Default::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    if request.include_topic_authorized_operations {
        for topic in response.topics.iter_mut().filter(|topic| topic.error_code == 0) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    Ok(response)
}

/// What describing these topics counts as, for [`Context::wide_turn`].
fn count<'a>(topics: impl Iterator<Item = &'a Arc<Topic>>) -> usize {
    topics.map(|topic| 1 + usize::try_from(topic.partitions).unwrap_or(0)).sum()
}

/// Versions 10 and 11 have ids, which only the answer may fill.
fn asks_by_id_too_early(version: i16, request: &MetadataRequest) -> bool {
    let by_id = |topic: &MetadataRequestTopic| topic.name.is_none() || !topic.topic_id.is_nil();
    version < BY_ID_VERSION_MIN && request.topics.iter().flatten().any(by_id)
}

async fn find(
    context: &Context<'_>,
    asked: &[MetadataRequestTopic],
    may_create: bool,
) -> Result<Vec<MetadataResponseTopic>, Close> {
    let broker = context.broker();
    let node_id = broker.settings().node_id;
    let keys: Vec<TopicKey<'_>> = asked
        .iter()
        .map(|topic| match &topic.name {
            Some(name) => TopicKey::Name(name),
            None => TopicKey::Id(TopicId(topic.topic_id.as_u128())),
        })
        .collect();
    let found = broker.find_topics(&keys).await?;
    let mut resolved: Vec<Result<Arc<Topic>, ErrorCode>> = asked
        .iter()
        .zip(found)
        .map(|(asked, found)| match (found, &asked.name) {
            (Some(topic), _) => Ok(topic),
            (None, Some(name)) if check_topic_name(name).is_err() => Err(ErrorCode::InvalidTopicException),
            (None, Some(_)) => Err(ErrorCode::UnknownTopicOrPartition),
            (None, None) => Err(ErrorCode::UnknownTopicId),
        })
        .collect();
    if may_create {
        make(context, asked, &mut resolved).await?;
    }
    let _turn = context.wide_turn(count(resolved.iter().flatten())).await;
    // Described at the end, without a wait in between: what is described takes far more memory than its name. A topic
    // asked for again and again is described once, as Kafka does.
    let mut described = HashSet::default();
    let mut topics = Vec::new();
    for (asked, resolved) in asked.iter().zip(resolved) {
        match resolved {
            Ok(topic) if described.insert(topic.id) => topics.push(describe(&topic, node_id)),
            Ok(_) => {}
            Err(code) => topics.push(unknown(asked, code)),
        }
    }
    Ok(topics)
}

/// Makes those that have a good name and are unknown.
async fn make(
    context: &Context<'_>,
    asked: &[MetadataRequestTopic],
    resolved: &mut [Result<Arc<Topic>, ErrorCode>],
) -> Result<(), Close> {
    let broker = context.broker();
    let mut unknown = resolved.iter_mut().zip(asked).filter_map(|(slot, asked)| match (&slot, &asked.name) {
        (Err(ErrorCode::UnknownTopicOrPartition), Some(name)) => Some((slot, name)),
        _ => None,
    });
    loop {
        // All are decided before one is awaited.
        let pending: Vec<_> = unknown
            .by_ref()
            .take(MADE_AT_ONCE_MAX)
            .map(|(slot, name)| {
                let new = NewTopic { name: name.to_string(), ..NewTopic::default() };
                (slot, name, broker.create_topic(new, false))
            })
            .collect();
        if pending.is_empty() {
            return Ok(());
        }
        for (slot, name, made) in pending {
            *slot = match made.await? {
                Ok(topic) => Ok(topic),
                // Somebody else was quicker; or the name collides with another one.
                Err(refusal) => {
                    let found = broker.find_topic(&TopicKey::Name(name)).await?;
                    found.ok_or_else(|| of_auto_create(&refusal))
                }
            };
        }
    }
}

fn of_auto_create(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::TopicExists { .. } => ErrorCode::InvalidTopicException,
        Refusal::ReservedTopicName { .. } => ErrorCode::UnknownTopicOrPartition,
        other => errors::of_refusal(other),
    }
}

fn unknown(asked: &MetadataRequestTopic, code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: code.code(),
        name: asked.name.clone(),
        topic_id: asked.topic_id,
        topic_authorized_operations: OPERATIONS_UNASKED,
        ..Default::default()
    }
}

fn describe(topic: &Topic, node_id: i32) -> MetadataResponseTopic {
    let partition = |index| MetadataResponsePartition {
        error_code: 0,
        partition_index: index,
        leader_id: node_id,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        offline_replicas: Vec::new(),
    };
    MetadataResponseTopic {
        error_code: 0,
        name: Some(Str::from(&*topic.name)),
        topic_id: wire_id(topic.id),
        is_internal: false,
        partitions: (0..topic.partitions).map(partition).collect(),
        topic_authorized_operations: OPERATIONS_UNASKED,
    }
}
