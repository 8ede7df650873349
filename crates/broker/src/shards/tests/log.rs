//! A log in memory over the real state machine, for tests of shards.
//!
//! Fault model: none of its own; everything is durable at once. What other back ends bring about over time can be
//! set from outside: a last stable offset that stands still ([`Log::hold`]), aborted ranges, control batches and
//! damaged batches (appended as they are), small pieces (a read gives at most two batches a piece).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::{Bytes, BytesMut};
use kolk_engine::door::Clock;
use kolk_engine::state::{AppendVerdict, Command, Decision, Limits, Outcome, Refusal, State};
use kolk_engine::{
    Append, AppendError, Appended, BatchAt, BoxFuture, Engine, EngineError, FoundOffset, Isolation, Offset,
    OffsetQuery, PartitionId, PartitionRead, Pending, Piece, Published, ReadError, ReadRequest, Source,
};
use kolk_wire_kafka::records::batch::{set_base_offset, set_log_append_time};

/// A wall clock that the test moves.
#[derive(Debug)]
pub struct TestClock(pub AtomicI64);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Stored {
    base: Offset,
    next: Offset,
    append_ms: i64,
    bytes: Bytes,
}

#[derive(Default)]
struct Partition {
    batches: Vec<Stored>,
    held: Option<Offset>,
    /// Producer, first offset, offset of the marker.
    aborted: Vec<(i64, Offset, Offset)>,
}

pub struct Log {
    clock: std::sync::Arc<TestClock>,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    partitions: BTreeMap<PartitionId, Partition>,
}

impl Inner {
    fn published(&self, id: PartitionId) -> Option<Published> {
        let partition = self.state.partition(id)?;
        let held = self.partitions.get(&id).and_then(|partition| partition.held);
        let (log_start, high_watermark) = (partition.log_start, partition.next);
        let last_stable = held.map_or(high_watermark, |held| held.min(high_watermark));
        Some(Published { log_start, high_watermark, last_stable })
    }

    fn read(&self, read: &kolk_engine::Read) -> Result<PartitionRead, ReadError> {
        let published = self.published(read.partition).ok_or(ReadError::UnknownPartition)?;
        if read.offset < published.log_start || read.offset > published.high_watermark {
            return Err(ReadError::OffsetOutOfRange { offset: read.offset, published });
        }
        let Some(partition) = self.partitions.get(&read.partition) else {
            return Ok(PartitionRead { published, pieces: Vec::new(), aborted: Vec::new() });
        };
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        let wanted = |batch: &&Stored| batch.next > read.offset && batch.next <= published.last_stable;
        let wanted: Vec<&Stored> = partition.batches.iter().filter(wanted).collect();
        for run in wanted.chunks(2) {
            let mut piece = (BytesMut::new(), Vec::new());
            for batch in run {
                if bytes == 0 || bytes + batch.bytes.len() <= read.max_bytes {
                    let at = BatchAt {
                        base_offset: batch.base,
                        position: piece.0.len(),
                        append_ms: batch.append_ms,
                    };
                    piece.1.push(at);
                    piece.0.extend_from_slice(&batch.bytes);
                }
                bytes += batch.bytes.len();
            }
            if !piece.1.is_empty() {
                pieces.push(Piece { source: Source::Memory(piece.0.freeze()), batches: piece.1 });
            }
        }
        let overlap = partition.aborted.iter().filter(|(_, _, marker)| *marker >= read.offset);
        let aborted = overlap.map(|(producer, first, _)| (*producer, *first)).collect();
        Ok(PartitionRead { published, pieces, aborted })
    }
}

impl Log {
    pub fn new(clock: std::sync::Arc<TestClock>) -> Log {
        let state = State::new(Limits { partitions_per_topic: 64, ..Limits::default() });
        Log { clock, inner: Mutex::new(Inner { state, partitions: BTreeMap::new() }) }
    }

    /// Lets the last stable offset stand at `offset`; `None` lets it go.
    pub fn hold(&self, partition: PartitionId, offset: Option<Offset>) {
        self.inner.lock().unwrap().partitions.entry(partition).or_default().held = offset;
    }

    /// Tells readers of an aborted transaction.
    pub fn abort(&self, partition: PartitionId, producer: i64, first: Offset, marker: Offset) {
        let mut inner = self.inner.lock().unwrap();
        inner.partitions.entry(partition).or_default().aborted.push((producer, first, marker));
    }

    fn append_one(&self, append: &Append) -> Result<Appended, AppendError> {
        let mut inner = self.inner.lock().unwrap();
        match inner.state.decide_append(append, self.clock.now_ms())? {
            AppendVerdict::Duplicate(appended) => Ok(appended),
            AppendVerdict::Append(decision) => {
                inner.state.apply(&Decision::Append(decision));
                let mut bytes = BytesMut::from(&append.batch.bytes[..]);
                if decision.log_append_time {
                    set_log_append_time(&mut bytes, decision.append_ms);
                }
                set_base_offset(&mut bytes, decision.base_offset.0);
                let (base, next) = (decision.base_offset, decision.last_offset() + 1);
                let (append_ms, bytes) = (decision.append_ms, bytes.freeze());
                let log_start = inner.state.partition(append.partition).unwrap().log_start;
                let partition = inner.partitions.entry(append.partition).or_default();
                partition.batches.push(Stored { base, next, append_ms, bytes });
                Ok(decision.appended(log_start))
            }
        }
    }
}

impl Engine for Log {
    fn append(&self, appends: Vec<Append>) -> Pending<Vec<Result<Appended, AppendError>>> {
        Pending::ready(Ok(appends.iter().map(|append| self.append_one(append)).collect()))
    }

    fn propose(&self, command: Command) -> Pending<Result<Outcome, Refusal>> {
        let mut inner = self.inner.lock().unwrap();
        let decided = inner.state.decide(&command);
        Pending::ready(Ok(decided.map(|(decision, outcome)| {
            if let Some(decision) = decision {
                inner.state.apply(&decision);
            }
            outcome
        })))
    }

    fn validate(&self, command: &Command) -> Pending<Result<Outcome, Refusal>> {
        Pending::ready(Ok(self.inner.lock().unwrap().state.decide(command).map(|(_, outcome)| outcome)))
    }

    fn with_state(&self, view: &mut dyn FnMut(&State)) -> Pending<()> {
        view(&self.inner.lock().unwrap().state);
        Pending::ready(Ok(()))
    }

    fn read(
        &self,
        request: ReadRequest,
    ) -> BoxFuture<'_, Result<Vec<Result<PartitionRead, ReadError>>, EngineError>> {
        assert!(request.with_batches && request.isolation == Isolation::ReadCommitted);
        let inner = self.inner.lock().unwrap();
        let reads = request.reads.iter().map(|read| inner.read(read)).collect();
        Box::pin(async move { Ok(reads) })
    }

    fn offset(
        &self,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> BoxFuture<'_, Result<Result<Option<FoundOffset>, ReadError>, EngineError>> {
        let inner = self.inner.lock().unwrap();
        let found = inner.published(partition).ok_or(ReadError::UnknownPartition).map(|published| {
            let offset = match query {
                OffsetQuery::Earliest => Some(published.log_start),
                OffsetQuery::Latest(_) => Some(published.last_stable),
                OffsetQuery::AppendTime(at_ms) => {
                    let batches = inner.partitions.get(&partition).map_or(&[][..], |p| &p.batches[..]);
                    let from = |batch: &&Stored| batch.append_ms >= at_ms && batch.next > published.log_start;
                    batches.iter().find(from).map(|batch| batch.base.max(published.log_start))
                }
                _ => unreachable!("shards look nothing else up"),
            };
            offset.map(|offset| FoundOffset { offset, timestamp_ms: -1 })
        });
        Box::pin(async move { Ok(found) })
    }

    fn published(&self, partition: PartitionId) -> Option<Published> {
        self.inner.lock().unwrap().published(partition)
    }

    fn watch(&self, _: &[(PartitionId, Offset)]) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn size_bytes(&self, _: PartitionId) -> u64 {
        0
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async { Ok(()) })
    }
}

impl Log {
    /// Batches in a partition.
    pub fn batches(&self, partition: PartitionId) -> usize {
        self.inner.lock().unwrap().partitions.get(&partition).map_or(0, |p| p.batches.len())
    }

    /// Bytes of a partition's batches.
    pub fn bytes(&self, partition: PartitionId) -> usize {
        let inner = self.inner.lock().unwrap();
        let batches = inner.partitions.get(&partition).map_or(&[][..], |p| &p.batches[..]);
        batches.iter().map(|batch| batch.bytes.len()).sum()
    }
}
