//! The back end that keeps everything in memory: `kolk serve --ephemeral`, tests, embedding.
//!
//! Owns the batches and wakes who waits for them; what may be written is [`State`]'s affair. Promises the whole
//! [`Engine`] contract but for one thing, which is its point: nothing outlives the process, so "durable" is
//! "decided". Bounded: batches take at most [`MemoryOptions::bytes_max`]; beyond that retention is asked for
//! room, and what still does not fit is [`AppendError::StorageFull`].
//!
//! One lock guards state and batches. It is held for the decision and the bookkeeping, never across a wait.

mod log;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kolk_wire_kafka::records::BatchHeader;
use kolk_wire_kafka::records::record::RecordError;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::log::{PartitionLog, store};
use crate::by_time;
use crate::contract::{
    Append, AppendError, Appended, BoxFuture, Engine, EngineError, FoundOffset, Isolation, OffsetQuery,
    PartitionRead, Pending, Published, Read, ReadError, ReadRequest,
};
use crate::door::{Door, TaskHandle};
use crate::map::HashMap;
use crate::state::{AppendVerdict, Command, Decision, Limits, Outcome, Partition, Refusal, State, TrimBy};
use crate::types::{Offset, PartitionId};

/// How a memory back end is set up.
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    /// What decisions keep to.
    pub limits: Limits,
    /// Bytes that batches may take, what is needed to find them included.
    pub bytes_max: u64,
    /// How often retention looks for what is too old or too much.
    pub retention_check: Duration,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        MemoryOptions {
            limits: Limits::default(),
            bytes_max: 1 << 30,
            retention_check: Duration::from_secs(10),
        }
    }
}

/// An [`Engine`] in memory. Dropping it frees everything.
#[derive(Debug)]
pub struct MemoryEngine {
    shared: Arc<Shared>,
    retention: TaskHandle,
}

#[derive(Debug)]
struct Shared {
    door: Door,
    bytes_max: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    logs: HashMap<PartitionId, PartitionLog>,
    bytes: u64,
    /// When retention was last asked for room, ms: a full engine does not look again for every append.
    pressed_ms: i64,
    closed: bool,
    /// Everybody who waits, to be woken when the engine closes.
    waiters: Vec<Arc<Notify>>,
}

impl MemoryEngine {
    /// An empty log. Runs one task, which keeps retention.
    pub fn new(door: Door, options: MemoryOptions) -> MemoryEngine {
        let shared = Arc::new(Shared {
            door: door.clone(),
            bytes_max: options.bytes_max,
            inner: Mutex::new(Inner {
                state: State::new(options.limits),
                logs: HashMap::default(),
                bytes: 0,
                pressed_ms: i64::MIN,
                closed: false,
                waiters: Vec::new(),
            }),
        });
        let keeper = shared.clone();
        let retention = door.tasks.spawn(
            "memory-retention",
            Box::pin(async move {
                loop {
                    tokio::time::sleep(options.retention_check).await;
                    let now_ms = keeper.door.clock.now_ms();
                    keeper.lock().retain(now_ms);
                }
            }),
        );
        MemoryEngine { shared, retention }
    }
}

impl Drop for MemoryEngine {
    fn drop(&mut self) {
        self.retention.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is made whole before the lock could be poisoned by a caller's view.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> EngineError {
    EngineError::Closed("the engine was stopped".into())
}

fn published(partition: &Partition) -> Published {
    Published { log_start: partition.log_start, high_watermark: partition.next, last_stable: partition.next }
}

impl Inner {
    fn published(&self, id: PartitionId) -> Option<Published> {
        self.state.partition(id).map(published)
    }

    fn append(&mut self, append: &Append, now_ms: i64, bytes_max: u64) -> Result<Appended, AppendError> {
        let decided = match self.state.decide_append(append, now_ms)? {
            AppendVerdict::Duplicate(first_time) => return Ok(first_time),
            AppendVerdict::Append(decided) => decided,
        };
        let batch = store(&append.batch.bytes, &decided);
        if self.bytes + batch.counted_bytes() > bytes_max {
            self.press(now_ms);
            if self.bytes + batch.counted_bytes() > bytes_max {
                return Err(AppendError::StorageFull);
            }
        }
        let log_start = self.state.partition(append.partition).expect("decided upon").log_start;
        self.state.apply(&Decision::Append(decided));
        if decided.producer.is_some()
            && let Some(eviction) = self.state.decide_eviction()
        {
            self.state.apply(&eviction);
        }
        self.bytes += batch.counted_bytes();
        self.logs.entry(append.partition).or_default().push(batch);
        Ok(decided.appended(log_start))
    }

    fn propose(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        let (decision, outcome) = self.state.decide(command)?;
        if let Some(decision) = decision {
            self.apply(&decision);
        }
        Ok(outcome)
    }

    /// Applies a decision that is not an append, and lets go of batches that it makes unreadable.
    fn apply(&mut self, decision: &Decision) {
        self.state.apply(decision);
        match decision {
            Decision::Trim { partition, log_start } => {
                if let Some(log) = self.logs.get_mut(partition) {
                    self.bytes -= log.trim(*log_start);
                }
            }
            Decision::DeleteTopic { topic, partitions, .. } => {
                for index in 0..*partitions {
                    if let Some(log) = self.logs.remove(&PartitionId { topic: *topic, index }) {
                        self.bytes -= log.counted_bytes();
                        log.wake();
                    }
                }
            }
            _ => {}
        }
    }

    /// Retention for want of room; at most once a second.
    fn press(&mut self, now_ms: i64) {
        if self.pressed_ms.checked_add(1000).is_some_and(|next_ms| now_ms < next_ms) {
            return;
        }
        self.pressed_ms = now_ms;
        self.retain(now_ms);
    }

    /// Trims what retention no longer keeps, at the edges of Kafka's segments.
    fn retain(&mut self, now_ms: i64) {
        let topics = self.state.topics();
        let trims: Vec<_> = topics.flat_map(|topic| self.state.retention_trims(topic, now_ms)).collect();
        for (partition, to) in trims {
            self.propose(&Command::Trim { partition, to: Some(to), by: TrimBy::Retention })
                .expect("retention trims to an offset that is there");
        }
    }

    /// One pass over a read request. Tells whether to answer it at once: an error, or more than fits.
    fn read(&self, request: &ReadRequest) -> Pass {
        let mut pass = Pass { answers: Vec::with_capacity(request.reads.len()), bytes: 0, at_once: false };
        for read in &request.reads {
            let left = request.max_bytes.saturating_sub(pass.bytes).min(read.max_bytes);
            let answer = self.read_one(read, left, pass.bytes == 0, request);
            match &answer {
                Ok((found, held_back)) => {
                    pass.bytes += found.len();
                    pass.at_once |= held_back;
                }
                Err(_) => pass.at_once = true,
            }
            pass.answers.push(answer.map(|(found, _)| found));
        }
        pass
    }

    fn read_one(
        &self,
        read: &Read,
        bytes_max: usize,
        first_whole: bool,
        request: &ReadRequest,
    ) -> Result<(PartitionRead, bool), ReadError> {
        let published = self.published(read.partition).ok_or(ReadError::UnknownPartition)?;
        if read.offset < published.log_start || read.offset > published.high_watermark {
            return Err(ReadError::OffsetOutOfRange { offset: read.offset, published });
        }
        let end = match request.isolation {
            Isolation::ReadUncommitted => published.high_watermark,
            Isolation::ReadCommitted => published.last_stable,
        };
        let (pieces, held_back) = match self.logs.get(&read.partition) {
            Some(log) => log.collect(read.offset, end, bytes_max, first_whole, request.with_batches),
            None => (Vec::new(), false),
        };
        Ok((PartitionRead { published, pieces, aborted: Vec::new() }, held_back))
    }
}

struct Pass {
    answers: Vec<Result<PartitionRead, ReadError>>,
    bytes: usize,
    at_once: bool,
}

/// A place in the waiting lists of some partitions, given up when dropped.
struct Waiting {
    shared: Arc<Shared>,
    woken: Arc<Notify>,
    partitions: Vec<PartitionId>,
}

impl Waiting {
    /// Registers under the lock under which nothing to wait for was found, so that nothing is missed.
    fn new(
        shared: &Arc<Shared>,
        inner: &mut Inner,
        partitions: impl Iterator<Item = PartitionId>,
    ) -> Waiting {
        let woken = Arc::new(Notify::new());
        let mut partitions: Vec<PartitionId> = partitions.collect();
        partitions.sort_unstable();
        partitions.dedup();
        inner.waiters.push(woken.clone());
        for id in &partitions {
            inner.logs.entry(*id).or_default().waiters.push(woken.clone());
        }
        Waiting { shared: shared.clone(), woken, partitions }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        let others = |waiter: &Arc<Notify>| !Arc::ptr_eq(waiter, &self.woken);
        inner.waiters.retain(others);
        for id in &self.partitions {
            if let Some(log) = inner.logs.get_mut(id) {
                log.waiters.retain(others);
            }
        }
    }
}

impl Engine for MemoryEngine {
    fn append(&self, appends: Vec<Append>) -> Pending<Vec<Result<Appended, AppendError>>> {
        let now_ms = self.shared.door.clock.now_ms();
        let bytes_max = self.shared.bytes_max;
        let mut inner = self.shared.lock();
        if inner.closed {
            return Pending::ready(Err(closed()));
        }
        let answers = appends.iter().map(|append| inner.append(append, now_ms, bytes_max)).collect();
        for append in &appends {
            if let Some(log) = inner.logs.get(&append.partition) {
                log.wake();
            }
        }
        Pending::ready(Ok(answers))
    }

    fn propose(&self, command: Command) -> Pending<Result<Outcome, Refusal>> {
        let mut inner = self.shared.lock();
        if inner.closed {
            return Pending::ready(Err(closed()));
        }
        Pending::ready(Ok(inner.propose(&command)))
    }

    fn validate(&self, command: &Command) -> Pending<Result<Outcome, Refusal>> {
        let inner = self.shared.lock();
        if inner.closed {
            return Pending::ready(Err(closed()));
        }
        Pending::ready(Ok(inner.state.decide(command).map(|(_, outcome)| outcome)))
    }

    fn with_state(&self, view: &mut dyn FnMut(&State)) -> Pending<()> {
        let inner = self.shared.lock();
        view(&inner.state);
        Pending::ready(if inner.closed { Err(closed()) } else { Ok(()) })
    }

    fn read(
        &self,
        request: ReadRequest,
    ) -> BoxFuture<'_, Result<Vec<Result<PartitionRead, ReadError>>, EngineError>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(request.max_wait_ms);
            let min_bytes = request.min_bytes.min(request.max_bytes);
            let mut waiting: Option<Waiting> = None;
            loop {
                let woken = {
                    let mut inner = self.shared.lock();
                    if inner.closed {
                        return Err(closed());
                    }
                    let pass = inner.read(&request);
                    if pass.at_once
                        || pass.bytes >= min_bytes
                        || request.max_wait_ms == 0
                        || Instant::now() >= deadline
                    {
                        drop(inner);
                        return Ok(pass.answers);
                    }
                    let waiting = waiting.get_or_insert_with(|| {
                        Waiting::new(
                            &self.shared,
                            &mut inner,
                            request.reads.iter().map(|read| read.partition),
                        )
                    });
                    waiting.woken.clone()
                };
                // Woken or late, the next pass says which.
                let _ = tokio::time::timeout_at(deadline, woken.notified()).await;
            }
        })
    }

    fn offset(
        &self,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> BoxFuture<'_, Result<Result<Option<FoundOffset>, ReadError>, EngineError>> {
        Box::pin(async move {
            let inner = self.shared.lock();
            if inner.closed {
                return Err(closed());
            }
            let Some(published) = inner.published(partition) else {
                return Ok(Err(ReadError::UnknownPartition));
            };
            let edge = |offset| Ok(Ok(Some(FoundOffset { offset, timestamp_ms: -1 })));
            let log_start = published.log_start;
            let Some(log) = inner.logs.get(&partition) else {
                return match query {
                    OffsetQuery::Earliest => edge(log_start),
                    OffsetQuery::Latest(_) => edge(published.high_watermark),
                    _ => Ok(Ok(None)),
                };
            };
            let timestamp_ms = match query {
                OffsetQuery::Earliest => return edge(log_start),
                OffsetQuery::Latest(Isolation::ReadUncommitted) => return edge(published.high_watermark),
                OffsetQuery::Latest(Isolation::ReadCommitted) => return edge(published.last_stable),
                OffsetQuery::AppendTime(at_ms) => return Ok(Ok(log.first_appended(at_ms, log_start))),
                OffsetQuery::Timestamp(at_ms) => at_ms,
                OffsetQuery::MaxTimestamp => match log.max_timestamp_ms() {
                    Some(greatest_ms) => greatest_ms,
                    None => return Ok(Ok(None)),
                },
            };
            // Decompressing happens without the lock: a batch is a cheap handle. Its header may promise a
            // timestamp that no record has, or only one before the log start: then the next one is looked at.
            let mut candidate = log.reaching(timestamp_ms, log_start);
            drop(inner);
            let mut left = by_time::DECOMPRESSED_MAX;
            while let Some(batch) = candidate {
                let undecodable = |header: &BatchHeader, error: RecordError| {
                    let base_offset = header.base_offset;
                    tracing::debug!(base_offset, %error, "a batch cannot be decoded; its first offset is used");
                };
                let (bytes, left) = (&batch.bytes, &mut left);
                let found = by_time::first_record(bytes, timestamp_ms, log_start, left, undecodable);
                if found.is_some() {
                    return Ok(Ok(found));
                }
                let inner = self.shared.lock();
                let log = inner.logs.get(&partition);
                candidate = log.and_then(|log| log.reaching(timestamp_ms, batch.last_offset + 1));
            }
            Ok(Ok(None))
        })
    }

    fn published(&self, partition: PartitionId) -> Option<Published> {
        self.shared.lock().published(partition)
    }

    fn watch(&self, partitions: &[(PartitionId, Offset)]) -> BoxFuture<'static, ()> {
        let partitions = partitions.to_vec();
        let shared = self.shared.clone();
        Box::pin(async move {
            let mut waiting: Option<Waiting> = None;
            loop {
                let woken = {
                    let mut inner = shared.lock();
                    let newer = |(id, seen): &(PartitionId, Offset)| {
                        inner.published(*id).is_none_or(|published| published.high_watermark > *seen)
                    };
                    if inner.closed || partitions.iter().any(newer) {
                        drop(inner);
                        return;
                    }
                    let ids = partitions.iter().map(|(id, _)| *id);
                    let waiting = waiting.get_or_insert_with(|| Waiting::new(&shared, &mut inner, ids));
                    waiting.woken.clone()
                };
                woken.notified().await;
            }
        })
    }

    fn size_bytes(&self, partition: PartitionId) -> u64 {
        self.shared.lock().logs.get(&partition).map_or(0, PartitionLog::size_bytes)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            self.retention.abort();
            let mut inner = self.shared.lock();
            inner.closed = true;
            inner.waiters.iter().for_each(|waiter| waiter.notify_one());
            Ok(())
        })
    }
}
