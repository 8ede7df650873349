//! One file per API, headed by the versions it serves, what it does and what it does not.
//!
//! A handler gets a decoded request, calls the broker, shapes the reply. Produce alone is driven by the connection.

mod alter_configs;
mod api_versions;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_topic_partitions;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
pub(crate) mod produce;
mod sync_group;

use std::collections::BTreeSet;

use bytes::Bytes;
use kolk_broker::admission::{Beside, REPEATS_MAX, REQUEST_BYTES};
use kolk_broker::topics::TopicKey;
use kolk_broker::{Admission, Broker, Permit};
use kolk_engine::{LEADER_EPOCH, TopicId};
use kolk_wire_kafka::codec::{DecodeError, Message};
use kolk_wire_kafka::frame::RequestHeader;
use kolk_wire_kafka::{ApiKey, ErrorCode, Str};
use tokio::sync::SemaphorePermit;
use uuid::Uuid;

use crate::answer::{Answer, Unencoded};
use crate::apis;
use crate::connection::{Client, Close};
use crate::reply::{External, Reply};
use crate::server::Shared;

/// Authorized operations when they were not asked for.
pub(crate) const OPERATIONS_UNASKED: i32 = i32::MIN;

/// What a handler knows beside the request.
pub(crate) struct Context<'a> {
    pub shared: &'a Shared,
    pub client: &'a Client,
    pub header: &'a RequestHeader,
}

impl<'a> Context<'a> {
    pub fn broker(&self) -> &'a Broker {
        &self.shared.broker
    }

    pub fn version(&self) -> i16 {
        self.header.api_version
    }

    /// Host and port by which this client shall find this broker.
    pub fn advertised(&self) -> (Str, i32) {
        match &self.client.advertise {
            Some(advertise) => (Str::from(&advertise.host), i32::from(advertise.port)),
            None => (Str::from(self.client.local.ip().to_string()), i32::from(self.client.local.port())),
        }
    }

    /// The turn of an answer about so many things that hundreds of such answers at once would have everybody else wait for
    /// the processor, or hold more of them than there is memory for. Nobody waits in it for other clients, nor for room.
    pub async fn wide_turn(&self, count: usize) -> Option<SemaphorePermit<'a>> {
        if count < WIDE_COUNT_MIN {
            return None;
        }
        Some(self.shared.wide.acquire().await.expect("the semaphore is never closed"))
    }

    /// The answer to this request.
    pub fn answer<M: Message>(&self, body: M) -> Result<Unencoded<M>, Close> {
        self.answer_with(body, None)
    }

    /// The answer to this request, with records that lie elsewhere.
    pub fn answer_with<M: Message>(&self, body: M, records: Option<External>) -> Result<Unencoded<M>, Close> {
        let api = ApiKey::from_key(self.header.api_key).expect("only known APIs reach a handler");
        Ok(Unencoded::new(api, self.version(), self.header.correlation_id, body, records)?)
    }
}

/// Memory that the lists of one request may take once they are decoded, in bytes, where the budget is as usual: room for a
/// Metadata request of a quarter million topics.
const LIST_BYTES_MAX: usize = 16 << 20;
/// The same for lists that are made first and weighed then. Others are weighed before there is one of them.
const LIST_BYTES_USUAL: usize = 16 << 10;

/// Answers about more things than this, such as topics and partitions, are made one at a time.
const WIDE_COUNT_MIN: usize = 1000;

/// Partitions that one request may name where the budget is as usual, of those that do something for each, named before or
/// not.
const PARTITIONS_NAMED_MAX: usize = 100_000;

/// Bytes that the lists of a request and its answer take for each byte of the lists.
const LISTS_AND_ANSWER: usize = 4;
/// The same where an element of 4 bytes is answered by a structure.
const INDEXES_AND_ANSWER: usize = 36;

/// An answer that was not made: it needs room for so many bytes in all, and nothing was done yet.
pub(crate) struct NeedsRoom(usize);

/// The memory that an answer is made in.
pub(crate) struct Room<'a> {
    admission: &'a Admission,
    permit: &'a mut Permit,
    /// It was waited for; what there is has to do.
    is_granted: bool,
}

impl Room<'_> {
    /// Takes `bytes` beside what the request holds, before anything is done: who waits for more holds nothing.
    pub fn take(&mut self, bytes: usize) -> Result<(), NeedsRoom> {
        let all = self.permit.bytes() + bytes;
        let has_room = self.is_granted || self.permit.try_grow(self.admission, all);
        if has_room { Ok(()) } else { Err(NeedsRoom(all)) }
    }
}

/// Decodes a request if `permit` may hold what it takes now, or tells how much that is; nothing decoded is left then.
/// `charge` says what a request takes whose lists take so many bytes.
pub(crate) fn try_decode<M: Message>(
    broker: &Broker,
    body: &Bytes,
    version: i16,
    permit: &mut Permit,
    charge: impl Fn(&M, usize) -> Result<usize, Close>,
) -> Result<Result<M, NeedsRoom>, Close> {
    let admission = broker.admission();
    let list_bytes_max = admission.in_proportion(LIST_BYTES_MAX);
    let all = |beside: usize| body.len() + REQUEST_BYTES + beside;
    let decoded = match M::decode_weighed(body.clone(), version, list_bytes_max.min(LIST_BYTES_USUAL)) {
        Err(DecodeError::ListsTooLarge { .. }) => {
            let bytes = all(of_lists(M::weigh(body.clone(), version, list_bytes_max)?));
            if !permit.try_grow(admission, bytes) {
                return Ok(Err(NeedsRoom(bytes)));
            }
            M::decode_weighed(body.clone(), version, list_bytes_max)
        }
        decoded => decoded,
    };
    let (request, list_bytes) = decoded?;
    let bytes = all(charge(&request, list_bytes)?);
    Ok(if permit.try_grow(admission, bytes) { Ok(request) } else { Err(NeedsRoom(bytes)) })
}

/// [`try_decode`], as soon as there is room.
pub(crate) async fn decode<M: Message>(
    broker: &Broker,
    body: Bytes,
    version: i16,
    permit: &mut Permit,
    charge: impl Fn(&M, usize) -> Result<usize, Close>,
) -> Result<M, Close> {
    loop {
        match try_decode(broker, &body, version, permit, &charge)? {
            Ok(request) => return Ok(request),
            Err(NeedsRoom(bytes)) => permit.grow(broker.admission(), bytes, Beside::Nothing).await,
        }
    }
}

/// What lists of so many bytes are charged for beside their request, whose own share covers those of the usual size.
pub(crate) fn of_lists(list_bytes: usize) -> usize {
    list_bytes.saturating_sub(REQUEST_BYTES / 2)
}

/// Runs a request to its end. `permit` is what it holds of the byte budget; the reply takes it over, and more if it is
/// large.
pub(crate) async fn handle(
    shared: &Shared,
    client: &Client,
    api: ApiKey,
    header: &RequestHeader,
    body: Bytes,
    mut permit: Permit,
) -> Result<Reply, Close> {
    let context = Context { shared, client, header };
    let admission = shared.broker.admission();
    // What waits for other clients gives its permit back, and answers under another one.
    match api {
        ApiKey::Fetch => {
            let charge = |request: &_, list_bytes| fetch::charge(shared, request, list_bytes);
            let request = decode(&shared.broker, body, header.api_version, &mut permit, charge).await?;
            return Box::pin(fetch::handle(&context, request, permit)).await;
        }
        ApiKey::JoinGroup => {
            let charge = |_: &_, list_bytes| Ok(of_lists(list_bytes));
            let request = decode(&shared.broker, body, header.api_version, &mut permit, charge).await?;
            return Box::pin(join_group::handle(&context, request, permit)).await;
        }
        ApiKey::SyncGroup => {
            let charge = |_: &_, list_bytes| Ok(of_lists(list_bytes));
            let request = decode(&shared.broker, body, header.api_version, &mut permit, charge).await?;
            let response = Box::pin(sync_group::handle(&context, request, permit)).await?;
            return admitted(&context, api, response).await;
        }
        _ => {}
    }
    let mut is_granted = false;
    let mut repeats = if apis::is_repeatable(api) { REPEATS_MAX } else { 0 };
    loop {
        let mut room = Room { admission, permit: &mut permit, is_granted };
        let answer = match answer(&context, api, body.clone(), &mut room).await? {
            Ok(answer) => answer,
            Err(NeedsRoom(bytes)) => {
                permit.grow(admission, bytes, Beside::Nothing).await;
                is_granted = true;
                continue;
            }
        };
        let bytes = answer.bytes() + REQUEST_BYTES;
        if let Some(answer) = permit.keep(admission, answer, bytes, Beside::Nothing, &mut repeats).await {
            return Ok(answer.encode(permit, REQUEST_BYTES)?);
        }
    }
}

/// Encodes an answer whose request holds nothing any more, once there is room for it. Until then it holds what it shares
/// with its group: an assignment.
async fn admitted<M: Message>(context: &Context<'_>, api: ApiKey, response: M) -> Result<Reply, Close> {
    let answer = context.answer(response)?;
    let bytes = answer.bytes() + REQUEST_BYTES;
    let permit = context.broker().admission().admit(bytes, apis::class(api.key()), Beside::Nothing).await;
    Ok(answer.encode(permit, REQUEST_BYTES)?)
}

/// Makes the answer to any request but Produce and those that wait for other clients.
async fn answer(
    context: &Context<'_>,
    api: ApiKey,
    body: Bytes,
    room: &mut Room<'_>,
) -> Result<Result<Box<dyn Answer>, NeedsRoom>, Close> {
    let header = context.header;
    macro_rules! request {
        ($weight:expr) => {{
            let charge = |_: &_, list_bytes| Ok(of_lists($weight * list_bytes));
            decode(context.broker(), body, header.api_version, room.permit, charge).await?
        }};
    }
    macro_rules! answer {
        ($handler:path) => {
            answer!(@ $handler, LISTS_AND_ANSWER)
        };
        ($handler:path, indexes) => {
            answer!(@ $handler, INDEXES_AND_ANSWER)
        };
        (@ $handler:path, $weight:expr) => {{
            let request = request!($weight);
            // What is asked for by many names is built up over many waits: one at a time. Nobody waits for room in it.
            let _turn = match apis::is_heavy(api) {
                true => Some(context.shared.heavy.acquire().await.expect("the semaphore is never closed")),
                false => None,
            };
            // Boxed, or the largest handler's state would stand in every connection.
            let response = Box::pin($handler(context, request)).await?;
            boxed(context.answer(response))
        }};
        ($handler:path, $weight:expr) => {{
            let request = request!($weight);
            match Box::pin($handler(context, request, room)).await? {
                Ok(response) => boxed(context.answer(response)),
                Err(needs_room) => Ok(Err(needs_room)),
            }
        }};
    }
    match api {
        ApiKey::ApiVersions => boxed(api_versions::handle(context, body)),
        ApiKey::Metadata => answer!(metadata::handle),
        ApiKey::DescribeCluster => answer!(describe_cluster::handle),
        ApiKey::CreateTopics => answer!(create_topics::handle, LISTS_AND_ANSWER),
        ApiKey::ListOffsets => answer!(list_offsets::handle),
        ApiKey::CreatePartitions => answer!(create_partitions::handle),
        ApiKey::DeleteGroups => answer!(delete_groups::handle),
        ApiKey::DeleteRecords => answer!(delete_records::handle),
        ApiKey::DeleteTopics => answer!(delete_topics::handle),
        ApiKey::DescribeGroups => answer!(describe_groups::handle),
        ApiKey::DescribeLogDirs => answer!(describe_log_dirs::handle),
        ApiKey::DescribeTopicPartitions => answer!(describe_topic_partitions::handle),
        ApiKey::FindCoordinator => answer!(find_coordinator::handle),
        ApiKey::Heartbeat => answer!(heartbeat::handle),
        ApiKey::InitProducerId => answer!(init_producer_id::handle),
        ApiKey::LeaveGroup => answer!(leave_group::handle),
        ApiKey::ListGroups => answer!(list_groups::handle, LISTS_AND_ANSWER),
        ApiKey::OffsetCommit => answer!(offset_commit::handle),
        ApiKey::OffsetDelete => answer!(offset_delete::handle, indexes),
        ApiKey::OffsetFetch => answer!(offset_fetch::handle, INDEXES_AND_ANSWER),
        ApiKey::OffsetForLeaderEpoch => answer!(offset_for_leader_epoch::handle),
        ApiKey::DescribeConfigs => answer!(describe_configs::handle),
        ApiKey::AlterConfigs => answer!(alter_configs::handle),
        ApiKey::IncrementalAlterConfigs => answer!(incremental_alter_configs::handle),
        _ => Err(Close::NotServed { key: header.api_key, version: header.api_version }),
    }
}

fn boxed<M: Message + Send + 'static>(
    answer: Result<Unencoded<M>, Close>,
) -> Result<Result<Box<dyn Answer>, NeedsRoom>, Close> {
    Ok(Ok(Box::new(answer?)))
}

/// Of many things that a request names, those after which others have their turn of the processor.
const NAMED_AT_ONCE: usize = 100;

/// Lets others have their turn now and then; `at` counts what a request names.
pub(crate) async fn take_turns(at: usize) {
    if at % NAMED_AT_ONCE == NAMED_AT_ONCE - 1 {
        tokio::task::yield_now().await;
    }
}

/// A topic as a request names it: by id in versions that have ids, else by name.
pub(crate) fn topic_key(name: &Str, id: Uuid, by_id: bool) -> TopicKey<'_> {
    if by_id { TopicKey::Id(TopicId(id.as_u128())) } else { TopicKey::Name(name) }
}

/// An id on the wire.
pub(crate) fn wire_id(id: TopicId) -> Uuid {
    Uuid::from_u128(id.0)
}

/// Checks the brokers that a partition is to be on, as one of several that have to agree. Any brokers will do, for every
/// application that assigns replicas knows of more than one; with `strict-replication` only this one.
pub(crate) fn check_assignment(context: &Context<'_>, brokers: &[i32], agreed: usize) -> Result<(), String> {
    const THE_ASSIGNMENT: &str = "The manual partition assignment includes";
    let settings = context.broker().settings();
    if brokers.is_empty() {
        return Err(format!("{THE_ASSIGNMENT} an empty replica list."));
    }
    let mut seen = BTreeSet::new();
    for id in brokers {
        if !seen.insert(id) {
            return Err(format!("{THE_ASSIGNMENT} the broker {id} more than once."));
        }
        if settings.strict_replication && *id != settings.node_id {
            return Err(format!("{THE_ASSIGNMENT} broker {id}, but no such broker is registered."));
        }
    }
    if brokers.len() != agreed {
        return Err(format!(
            "{THE_ASSIGNMENT} a partition with {} replica(s), but this is not consistent with previous partitions, \
             which have {agreed} replica(s).",
            brokers.len()
        ));
    }
    Ok(())
}

/// How many partitions a request names, a topic without any counted for one; the connection of one that names
/// too many is to be closed.
pub(crate) fn partitions_named(
    admission: &Admission,
    in_topics: impl Iterator<Item = usize>,
) -> Result<usize, Close> {
    let named = in_topics.map(|partitions| partitions.max(1)).sum();
    if named > admission.in_proportion(PARTITIONS_NAMED_MAX) {
        return Err(Close::BadRequest("a request that names too many partitions"));
    }
    Ok(named)
}

/// Compares the leader epoch that a client believes in with ours (KIP-320); -1 is none.
pub(crate) fn check_leader_epoch(epoch: i32) -> Result<(), ErrorCode> {
    match epoch {
        -1 | LEADER_EPOCH => Ok(()),
        epoch if epoch > LEADER_EPOCH => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Err(ErrorCode::FencedLeaderEpoch),
    }
}

#[cfg(test)]
mod tests;
