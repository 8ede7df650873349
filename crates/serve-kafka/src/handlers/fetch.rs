//! Fetch (key 1), versions 4 to 18.
//!
//! Long poll on `min_bytes` and `max_wait_ms`; byte limits are soft: the first batch of the first partition with data
//! comes whole (KIP-74). Whole batches only, the one that contains the fetch offset first. Sessions (KIP-227), topic ids
//! from version 13, leader epochs checked (KIP-320). Records are sent from where they lie; the reply never stands in memory
//! as a whole.
//!
//! read_committed stops at the last stable offset and lists aborted transactions. There are no followers: replica ids,
//! preferred replicas and KIP-951 hints have no meaning.

use kolk_broker::Permit;
use kolk_broker::admission::{Beside, REQUEST_BYTES};
use kolk_broker::partitions::ReadCosts;
use kolk_broker::topics::TopicKey;
use kolk_engine::map::HashMap;
use kolk_engine::{
    Isolation, Offset, PartitionId, PartitionRead, Piece, Published, Read, ReadRequest, TopicId,
};
use kolk_wire_kafka::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use kolk_wire_kafka::{ErrorCode, Records};

use super::{Context, LEADER_EPOCH, check_leader_epoch, of_lists, partitions_named, topic_key};
use crate::connection::Close;
use crate::errors;
use crate::fetch_sessions::{Asked, Topic};
use crate::reply::{External, Reply};
use crate::server::Shared;

/// From here on topics come by id (KIP-516).
const TOPIC_ID_VERSION_MIN: i16 = 13;

/// What a partition that is asked for takes beside its topic's name, here, in the engine and in the making of the answer,
/// in bytes.
const ASKED_BYTES: usize = 768;
/// What a partition takes in the encoded answer beside its topic's name, in bytes, aborted transactions aside: it may be
/// the only one of its topic.
const ANSWERED_BYTES: usize = 128;

/// What became of one asked partition.
enum Found {
    Error(ErrorCode),
    Read(PartitionId, PartitionRead),
    /// The client's log left ours: it read past our end in an older epoch (KIP-595).
    Diverged(Published),
}

impl Found {
    /// Of a topic or partition that is not there.
    fn is_unknown(&self) -> bool {
        matches!(self, Found::Error(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId))
    }
}

/// What a request takes beside its frame until its answer is written, in bytes.
pub(crate) fn charge(shared: &Shared, request: &FetchRequest, list_bytes: usize) -> Result<usize, Close> {
    let named = request.topics.iter().map(|topic| topic.partitions.len());
    let named = partitions_named(shared.broker.admission(), named)?;
    let remembered = shared.fetch_sessions.partitions_of(request.session_id);
    // A request's own share covers one partition.
    Ok(of_lists(list_bytes) + (named + remembered).saturating_sub(1) * ASKED_BYTES)
}

/// `held` holds what [`charge`] says.
pub(crate) async fn handle(
    context: &Context<'_>,
    request: FetchRequest,
    held: Permit,
) -> Result<Reply, Close> {
    let admission = context.broker().admission();
    let by_id = context.version() >= TOPIC_ID_VERSION_MIN;
    let settings = context.broker().settings();
    let read_committed = request.isolation_level != 0;
    let mut read = ReadRequest {
        reads: Vec::new(),
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(settings.fetch_bytes_max),
        max_wait_ms: u64::try_from(request.max_wait_ms).unwrap_or(0),
        isolation: if read_committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
        with_batches: false,
    };
    let random = &context.broker().door().random;
    let turn = match context.shared.fetch_sessions.begin(request, by_id, || random.next_u64()) {
        Ok(turn) => turn,
        Err(code) => {
            let response = FetchResponse { error_code: code.code(), ..Default::default() };
            return Ok(context.answer(response)?.encode(held, 0)?);
        }
    };
    let topics = resolve(context, &turn.asked, by_id).await?;
    let mut found: Vec<Option<Found>> = Vec::with_capacity(turn.asked.len());
    for asked in &turn.asked {
        let known = topics.get(&asked.topic).copied();
        let check = check(context, asked, known, by_id);
        found.push(match check {
            Ok(partition) => {
                read.reads.push(Read {
                    partition,
                    offset: Offset(asked.offset),
                    max_bytes: usize::try_from(asked.bytes_max).unwrap_or(0),
                });
                None
            }
            Err(answer) => Some(answer),
        });
    }
    // As Kafka: what is not known is only added to the answer; what is wrong with a known partition is told at once.
    if found.iter().flatten().any(|found| !found.is_unknown()) {
        read.max_wait_ms = 0;
    }
    let mut permit = held;
    let mut record_bytes = 0;
    if !read.reads.is_empty() {
        let names: usize = turn.asked.iter().map(|asked| asked.topic.name.len()).sum();
        let costs = ReadCosts {
            kept: REQUEST_BYTES + turn.asked.len() * ASKED_BYTES + names,
            answer: REQUEST_BYTES + turn.asked.len() * ANSWERED_BYTES + names,
        };
        let ids: Vec<PartitionId> = read.reads.iter().map(|read| read.partition).collect();
        let reply = context.broker().read(read, permit, costs).await?;
        (permit, record_bytes) = (reply.permit, reply.record_bytes);
        let mut results = ids.into_iter().zip(reply.partitions);
        for slot in found.iter_mut().filter(|slot| slot.is_none()) {
            let (id, result) = results.next().expect("a read has a result for each partition");
            *slot = Some(match result {
                Ok(read) => Found::Read(id, read),
                Err(error) => Found::Error(errors::of_read(&error)),
            });
        }
    }
    let found: Vec<Found> = found.into_iter().flatten().collect();
    let (response, records) = shape(context, turn, found, read_committed);
    let answer = context.answer_with(response, records)?;
    permit.grow(admission, answer.bytes() + record_bytes, Beside::Nothing).await;
    Ok(answer.encode(permit, record_bytes)?)
}

async fn resolve(
    context: &Context<'_>,
    asked: &[Asked],
    by_id: bool,
) -> Result<HashMap<Topic, (TopicId, i32)>, Close> {
    let mut names: Vec<&Topic> = Vec::new();
    for asked in asked {
        if names.last() != Some(&&asked.topic) {
            names.push(&asked.topic);
        }
    }
    let keys: Vec<TopicKey<'_>> = names.iter().map(|topic| topic_key(&topic.name, topic.id, by_id)).collect();
    let found = context.broker().find_topics_to_read(&keys).await?;
    let known = names.into_iter().zip(found);
    Ok(known
        .filter_map(|(name, topic)| topic.map(|topic| (name.clone(), (topic.id, topic.partitions))))
        .collect())
}

/// Where to read, or the answer that needs no reading.
fn check(
    context: &Context<'_>,
    asked: &Asked,
    topic: Option<(TopicId, i32)>,
    by_id: bool,
) -> Result<PartitionId, Found> {
    let Some((topic, partitions)) = topic else {
        let code = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
        return Err(Found::Error(code));
    };
    if !(0..partitions).contains(&asked.partition) {
        return Err(Found::Error(ErrorCode::UnknownTopicOrPartition));
    }
    // Here anything below 0 is none.
    check_leader_epoch(asked.current_leader_epoch.max(-1)).map_err(Found::Error)?;
    let partition = PartitionId { topic, index: asked.partition };
    if asked.last_fetched_epoch > LEADER_EPOCH {
        return Err(Found::Error(ErrorCode::OffsetOutOfRange));
    }
    if asked.last_fetched_epoch == LEADER_EPOCH
        && let Some(published) = context.broker().engine().published(partition)
        && asked.offset > published.high_watermark.0
    {
        return Err(Found::Diverged(published));
    }
    Ok(partition)
}

fn shape(
    context: &Context<'_>,
    turn: crate::fetch_sessions::Turn,
    mut found: Vec<Found>,
    read_committed: bool,
) -> (FetchResponse, Option<External>) {
    let names: Vec<(Topic, i32)> =
        turn.asked.iter().map(|asked| (asked.topic.clone(), asked.partition)).collect();
    let (session_id, included) = context.shared.fetch_sessions.end(turn, |index| match &found[index] {
        Found::Error(_) => (-1, -1, true),
        Found::Diverged(published) => (published.high_watermark.0, published.log_start.0, true),
        Found::Read(_, read) => {
            (read.published.high_watermark.0, read.published.log_start.0, !read.is_empty())
        }
    });
    let mut sources: Vec<(PartitionId, Vec<Piece>)> = Vec::new();
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    for (((topic, index), found), included) in names.into_iter().zip(found.drain(..)).zip(included) {
        if !included {
            continue;
        }
        let data = partition_data(index, found, read_committed, &mut sources);
        match responses.last_mut() {
            Some(last) if last.topic == topic.name && last.topic_id == topic.id => last.partitions.push(data),
            _ => responses.push(FetchableTopicResponse {
                topic: topic.name,
                topic_id: topic.id,
                partitions: vec![data],
            }),
        }
    }
    let response = FetchResponse { session_id, responses, ..Default::default() };
    (response, (!sources.is_empty()).then(|| External { sources, broker: context.broker().clone() }))
}

fn partition_data(
    index: i32,
    found: Found,
    read_committed: bool,
    sources: &mut Vec<(PartitionId, Vec<Piece>)>,
) -> PartitionData {
    let mut data = PartitionData {
        partition_index: index,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        preferred_read_replica: -1,
        records: Some(Records::default()),
        ..Default::default()
    };
    match found {
        Found::Error(code) => {
            data.error_code = code.code();
            let is_unknown = matches!(code, ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId);
            data.aborted_transactions = is_unknown.then(Vec::new);
        }
        Found::Diverged(published) => {
            data.high_watermark = published.high_watermark.0;
            data.last_stable_offset = published.last_stable.0;
            data.log_start_offset = published.log_start.0;
            data.diverging_epoch =
                EpochEndOffset { epoch: LEADER_EPOCH, end_offset: published.high_watermark.0 };
        }
        Found::Read(id, read) => {
            data.high_watermark = read.published.high_watermark.0;
            data.last_stable_offset = read.published.last_stable.0;
            data.log_start_offset = read.published.log_start.0;
            data.aborted_transactions = read_committed.then(|| {
                let aborted = read.aborted.iter();
                aborted
                    .map(|(producer_id, first)| AbortedTransaction {
                        producer_id: *producer_id,
                        first_offset: first.0,
                    })
                    .collect()
            });
            let length = read.len();
            if length > 0 {
                data.records = Some(Records::External { token: sources.len() as u64, length });
                sources.push((id, read.pieces));
            }
        }
    }
    data
}
