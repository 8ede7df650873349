//! Produce (key 0), versions 3 to 13; 0 to 2 are advertised and refused, as on Kafka 4.x.
//!
//! Checks each batch without decompressing it (but on compacted topics, where records need keys, and where
//! `compression.type` asks for another codec than the producer's), appends all of a request at once, and answers when the log has them. A request is *decided* when it is taken and *answered* later:
//! the connection takes what else it has received in between.
//!
//! - acks 0: no reply; an error closes the connection, which is all the client can be told. acks 1 and all mean the
//!   same: on disk.
//! - Idempotent producers: duplicates of the last five batches answer as the first time did (KIP-98, KIP-360).
//! - Transactions are not served: a transactional batch answers TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which is final
//!   for clients. A transactional id in front of plain batches has no meaning, as on Kafka.
//! - Retired partitions (merged shards) answer POLICY_VIOLATION.
//!
//! Gaps: KIP-951 leader hints are never needed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use kolk_broker::partitions::{BatchRefusal, BatchRules, Checked, check_batch, looking_bytes};
use kolk_broker::topics::{TopicKey, find};
use kolk_broker::{Admission, Permit};
use kolk_engine::map::HashMap;
use kolk_engine::{Append, AppendError, Appended, EngineExt, PartitionId, Pending, TopicId};
use kolk_wire_kafka::frame::{self, RequestHeader};
use kolk_wire_kafka::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use kolk_wire_kafka::{ApiKey, ErrorCode, Records, Str};

use super::{of_lists, partitions_named};
use crate::answer;
use crate::connection::Close;
use crate::errors;
use crate::server::Shared;

/// First version that is served.
const VERSION_MIN: i16 = 3;
/// From here on a batch may be zstd (KIP-110).
const ZSTD_VERSION_MIN: i16 = 7;
/// From here on topics come by id (KIP-516).
const TOPIC_ID_VERSION_MIN: i16 = 13;
/// What a partition takes from its decoding to its answer beside its records, in bytes: in the request, in the log's queue,
/// in the answer with a refusal in words, and in the encoded answer.
const PARTITION_BYTES: usize = 512;
/// What a record takes that an answer names, there and encoded, in bytes.
const NAMED_RECORD_BYTES: usize = 128;
/// Topics that one connection remembers.
const CACHED_TOPICS_MAX: usize = 1000;

/// What topic names meant when they were last looked up, for one connection. Holds while the catalogue stays as it is.
#[derive(Debug, Default)]
pub(crate) struct TopicCache {
    epoch: u64,
    by_name: HashMap<Str, Cached>,
    by_id: HashMap<TopicId, Cached>,
}

#[derive(Clone, Copy, Debug)]
struct Cached {
    id: TopicId,
    rules: BatchRules,
}

impl TopicCache {
    /// Looks a topic up; what is not remembered is asked of the state. `seen` is then what an answer that says
    /// "unknown" has to wait for; an append to a topic that was found comes later in the log anyway.
    fn resolve(
        &mut self,
        shared: &Shared,
        name: &Str,
        id: TopicId,
        version: i16,
        seen: &mut Option<Pending<()>>,
    ) -> Option<Cached> {
        let by_id = version >= TOPIC_ID_VERSION_MIN;
        let known = if by_id { self.by_id.get(&id) } else { self.by_name.get(name) };
        if let Some(known) = known {
            return Some(*known);
        }
        let key = if by_id { TopicKey::Id(id) } else { TopicKey::Name(name) };
        let (found, pending) = shared.broker.engine().look(|state| {
            find(state, &key)
                .map(|topic| Cached { id: topic.id, rules: BatchRules::of(&topic, state.config_defaults()) })
        });
        let Some(cached) = found else {
            *seen = Some(pending);
            return None;
        };
        if self.by_name.len() + self.by_id.len() >= CACHED_TOPICS_MAX {
            self.by_name.clear();
            self.by_id.clear();
        }
        if by_id {
            self.by_id.insert(id, cached);
        } else {
            self.by_name.insert(name.detached(), cached);
        }
        Some(cached)
    }
}

/// A request that was decided and waits for the log.
pub(crate) struct Decided {
    version: i16,
    correlation_id: i32,
    acks: i16,
    bytes: usize,
    /// The reply; partitions without an error wait for their append, in order.
    response: ProduceResponse,
    seen: Option<Pending<()>>,
    appends: Option<Pending<Vec<Result<Appended, AppendError>>>>,
    failed: bool,
    buffer: Option<Bytes>,
    permit: Permit,
}

/// What the client is to get.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// [`Decided::write`] has it.
    Reply,
    /// acks 0.
    None,
}

/// What a request holds.
pub(crate) struct Held {
    pub permit: Permit,
    /// The frame, if it stands in a buffer of its own.
    pub buffer: Option<Bytes>,
    /// Bytes of the permit that are for the request itself.
    pub request_bytes: usize,
    /// Bytes that were waited for beside these, for what batches are unpacked or packed to anew.
    pub waited_bytes: usize,
}

/// What a request takes beside its frame until its answer is written, in bytes. A request's own share covers one partition.
pub(crate) fn charge(
    admission: &Admission,
    request: &ProduceRequest,
    list_bytes: usize,
) -> Result<usize, Close> {
    let named = request.topic_data.iter().map(|topic| topic.partition_data.len());
    let named = partitions_named(admission, named)?;
    Ok(of_lists(list_bytes) + named.saturating_sub(1) * PARTITION_BYTES)
}

/// Decides a request. Where the first batch that its topic wants in another codec finds no room, or one that takes much to
/// look into, nothing is decided: the room that `waited_bytes` then names is to be waited for, and the request to be
/// decided again.
pub(crate) fn decide(
    shared: &Shared,
    topics: &mut TopicCache,
    header: &RequestHeader,
    request: ProduceRequest,
    held: Held,
) -> Result<Result<Decided, Held>, Close> {
    let Held { permit, buffer, request_bytes, waited_bytes } = held;
    let has_waited = waited_bytes > 0;
    // What batches are packed to anew.
    let mut own_bytes = 0;
    // Records that the answer names.
    let mut records_named = 0;
    let version = header.api_version;
    let refusal = if version < VERSION_MIN {
        Some(ErrorCode::UnsupportedVersion)
    } else if !matches!(request.acks, -1..=1) {
        Some(ErrorCode::InvalidRequiredAcks)
    } else {
        None
    };
    let epoch = shared.broker.catalogue_epoch();
    if topics.epoch != epoch {
        *topics = TopicCache { epoch, ..TopicCache::default() };
    }
    let mut decided = Decided {
        version,
        correlation_id: header.correlation_id,
        acks: request.acks,
        bytes: 0,
        response: ProduceResponse::default(),
        seen: None,
        appends: None,
        failed: false,
        buffer,
        permit,
    };
    let mut appends = Vec::with_capacity(1);
    decided.response.responses.reserve_exact(request.topic_data.len());
    for topic in request.topic_data {
        let id = TopicId(topic.topic_id.as_u128());
        let known = match refusal {
            Some(code) => Err(code),
            None => topics.resolve(shared, &topic.name, id, version, &mut decided.seen).ok_or(
                if version >= TOPIC_ID_VERSION_MIN {
                    ErrorCode::UnknownTopicId
                } else {
                    ErrorCode::UnknownTopicOrPartition
                },
            ),
        };
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for partition in topic.partition_data {
            let checked = match known {
                Err(code) => Err((code, None)),
                Ok(known) => {
                    let rules = BatchRules { zstd: version >= ZSTD_VERSION_MIN, ..known.rules };
                    let records = match partition.records {
                        Some(Records::Bytes(records)) => records,
                        _ => Bytes::new(),
                    };
                    let named_bytes = records_named * NAMED_RECORD_BYTES;
                    // Looked into on every worker at once, batches would take what they like.
                    let looking = looking_bytes(&records, rules);
                    let granted = decided.permit.bytes();
                    let may_look = looking == 0
                        || own_bytes + looking <= waited_bytes
                        || decided.permit.try_grow(shared.broker.admission(), granted + looking);
                    let checked = match may_look {
                        true => check_batch(records, rules),
                        false if own_bytes == 0 && !has_waited => {
                            let Decided { permit, buffer, .. } = decided;
                            return Ok(Err(Held { permit, buffer, request_bytes, waited_bytes: looking }));
                        }
                        false => Err(BatchRefusal::NoRoom),
                    };
                    decided.permit.shrink(granted);
                    let fits = |checked: Checked| {
                        let all = own_bytes + checked.own_bytes;
                        let admission = shared.broker.admission();
                        let has_room = checked.own_bytes == 0
                            || all <= waited_bytes
                            || decided.permit.try_grow(admission, request_bytes + named_bytes + all);
                        has_room.then_some((checked.batch, all)).ok_or(all)
                    };
                    match checked.map(fits) {
                        Ok(Ok((batch, all))) => {
                            own_bytes = all;
                            let partition = PartitionId { topic: known.id, index: partition.index };
                            Ok(Append { partition, shard: None, batch })
                        }
                        Ok(Err(waited_bytes)) if own_bytes == 0 && !has_waited => {
                            let Decided { permit, buffer, .. } = decided;
                            return Ok(Err(Held { permit, buffer, request_bytes, waited_bytes }));
                        }
                        // Its client sends it again, with less beside it.
                        Ok(Err(_)) => Err(BatchRefusal::NoRoom),
                        Err(refusal) => Err(refusal),
                    }
                    .map_err(|refusal| (errors::of_batch(&refusal), Some(refusal)))
                }
            };
            partitions.push(match checked {
                Ok(append) => {
                    appends.push(append);
                    PartitionProduceResponse { index: partition.index, ..Default::default() }
                }
                Err((code, mut why)) => {
                    decided.failed = true;
                    if let Some(BatchRefusal::Keyless(records)) = &mut why {
                        // A batch of a hundred bytes may have a thousand of them.
                        let all = records_named + records.len();
                        let bytes = request_bytes + own_bytes + all * NAMED_RECORD_BYTES;
                        if decided.permit.try_grow(shared.broker.admission(), bytes) {
                            records_named = all;
                        } else {
                            records.clear();
                        }
                    }
                    refused(partition.index, code, why)
                }
            });
        }
        decided.response.responses.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses: partitions,
        });
    }
    // What was waited for to look into batches is not needed any more, and nothing more is waited for.
    decided.permit.received();
    decided.permit.shrink(request_bytes + own_bytes + records_named * NAMED_RECORD_BYTES);
    decided.bytes = decided.permit.bytes();
    if !appends.is_empty() {
        decided.appends = Some(shared.broker.engine().append(appends));
    }
    Ok(Ok(decided))
}

fn refused(index: i32, code: ErrorCode, why: Option<BatchRefusal>) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        ..Default::default()
    };
    if let Some(BatchRefusal::Keyless(records)) = &why {
        const MESSAGE: Str = Str::from_static("Compacted topic cannot accept message without key.");
        response.record_errors = records
            .iter()
            .map(|batch_index| BatchIndexAndErrorMessage {
                batch_index: *batch_index,
                batch_index_error_message: Some(MESSAGE),
            })
            .collect();
    }
    response.error_message = why.map(|why| Str::from(why.to_string()));
    response
}

impl Decided {
    /// Bytes that the request takes while it waits.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The memory it holds.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The answer, once everything it tells is durable.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Close>> {
        if let Some(appends) = &mut self.appends {
            let results = ready!(Pin::new(appends).poll(cx))?;
            self.appends = None;
            self.fill(results);
        }
        if let Some(seen) = &mut self.seen {
            ready!(Pin::new(seen).poll(cx))?;
            self.seen = None;
        }
        if self.acks == 0 {
            return Poll::Ready(if self.failed { Err(Close::FailedWithoutAck) } else { Ok(Answer::None) });
        }
        Poll::Ready(Ok(Answer::Reply))
    }

    /// Writes the reply into `out`, whatever it held before; gives back the error codes in it.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<Vec<(i16, u32)>, Close> {
        frame::encode_response_into(out, ApiKey::Produce, self.version, self.correlation_id, &self.response)?;
        Ok(answer::error_codes(&self.response))
    }

    fn fill(&mut self, results: Vec<Result<Appended, AppendError>>) {
        let mut results = results.into_iter();
        let partitions = self.response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses);
        for partition in partitions.filter(|partition| partition.error_code == 0) {
            match results.next().expect("an append has a result for each batch") {
                Ok(appended) => {
                    partition.base_offset = appended.base_offset.0;
                    partition.log_append_time_ms = appended.log_append_time_ms;
                    partition.log_start_offset = appended.log_start.0;
                }
                Err(error) => {
                    self.failed = true;
                    *partition = refused(partition.index, errors::of_append(&error), None);
                    partition.error_message = Some(Str::from(error.to_string()));
                }
            }
        }
    }

    /// The frame's buffer, if it stood in one of its own and nobody else holds it, and what the request holds of the
    /// budget.
    pub fn into_parts(self) -> (Option<BytesMut>, Permit) {
        let Decided { buffer, response, permit, .. } = self;
        drop(response);
        (buffer.and_then(|buffer| buffer.try_into_mut().ok()), permit)
    }
}
