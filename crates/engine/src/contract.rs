//! The contract of a back end: what [`Engine`] promises, in which order, and what its errors mean.
//!
//! Offsets of one partition:
//! ```text
//!   0 ........ log start ........... last stable ........ high watermark ........ next offset
//!   (trimmed)  |  readable, committed | readable, open txn | decided, not yet durable |
//! ```
//! Readers never see past the high watermark. Until transactions exist the last stable offset equals it.
//!
//! Three promises hold everywhere:
//! - **Order.** `append` and `propose` decide before they return, in call order. Their replies come later.
//! - **Durability.** A [`Pending`] resolves once the log position its answer was computed at is durable;
//!   refusals and duplicates included. By then readers can see the write.
//! - **Unknown is said.** Where an outcome cannot be known, [`EngineError::OutcomeUnknown`] says so.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::door::File;
use crate::state::{Command, Outcome, Refusal, State};
use crate::types::{Offset, PartitionId, ShardId};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One log with its state. See the module's three promises.
pub trait Engine: Send + Sync + 'static {
    /// Appends each batch to its partition. The batches are independent: each wins or loses on its own.
    /// Answers come in the order of `appends`. Dropping the pending reply does not cancel the write.
    fn append(&self, appends: Vec<Append>) -> Pending<Vec<Result<Appended, AppendError>>>;

    /// Decides everything that is not a record: topics, configs, resharding, trims, groups, offsets.
    /// A command is all or nothing.
    fn propose(&self, command: Command) -> Pending<Result<Outcome, Refusal>>;

    /// What `propose` would answer now, with no effect (Kafka's `validate_only`).
    fn validate(&self, command: &Command) -> Pending<Result<Outcome, Refusal>>;

    /// Looks at the tail of the state under its lock: be short, do not block. The returned reply resolves
    /// once everything seen is durable. Use [`EngineExt::query`], `look` or `peek`.
    fn with_state(&self, view: &mut dyn FnMut(&State)) -> Pending<()>;

    /// Reads many partitions, waiting up to `max_wait_ms` for `min_bytes` in total. Errors of single
    /// partitions answer at once, as Kafka's fetch does.
    fn read(
        &self,
        request: ReadRequest,
    ) -> BoxFuture<'_, Result<Vec<Result<PartitionRead, ReadError>>, EngineError>>;

    /// Finds one offset. `Ok(None)`: no record matches (ListOffsets answers -1).
    fn offset(
        &self,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> BoxFuture<'_, Result<Result<Option<FoundOffset>, ReadError>, EngineError>>;

    /// What readers may see of a partition now; `None` if there is no such partition.
    fn published(&self, partition: PartitionId) -> Option<Published>;

    /// Resolves when any of the partitions publishes something newer than the given high watermark (or
    /// is deleted). No timeout of its own.
    fn watch(&self, partitions: &[(PartitionId, Offset)]) -> BoxFuture<'static, ()>;

    /// Bytes that the partition's batches take in the log, for DescribeLogDirs. 0 if unknown.
    fn size_bytes(&self, partition: PartitionId) -> u64;

    /// Stops taking work, makes everything decided durable, releases the back end. Idempotent.
    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>>;
}

/// Three ways to see the tail of the state, by who waits until that is durable: `query` does, after `look` the caller
/// does where it matters, after `peek` nobody can.
pub trait EngineExt: Engine {
    /// Computes something from the tail of the state; resolves when what was seen is durable.
    fn query<R: Send + 'static>(&self, view: impl FnOnce(&State) -> R) -> Pending<R> {
        let (answer, durable) = self.look(view);
        durable.map(move |()| answer)
    }

    /// What is seen now, which a power cut may take back: tell nobody of it, and decide nothing by it that is not
    /// checked or waited for once more.
    fn peek<R>(&self, view: impl FnOnce(&State) -> R) -> R {
        self.look(view).0
    }

    /// [`EngineExt::peek`], with what makes it safe to tell: the pending resolves when what was seen is durable.
    fn look<R>(&self, view: impl FnOnce(&State) -> R) -> (R, Pending<()>) {
        let mut view = Some(view);
        let mut answer = None;
        let pending = self.with_state(&mut |state| {
            answer = view.take().map(|view| view(state));
        });
        (answer.expect("with_state calls its view once before it returns"), pending)
    }
}

impl<E: Engine + ?Sized> EngineExt for E {}

/// An answer that is decided but may not be told yet. Resolves when it may. Dropping it cancels nothing.
pub struct Pending<T>(PendingInner<T>);

enum PendingInner<T> {
    Ready(Option<Result<T, EngineError>>),
    Waiting(BoxFuture<'static, Result<T, EngineError>>),
}

impl<T: Send + 'static> Pending<T> {
    /// An answer that waits for nothing.
    pub fn ready(answer: Result<T, EngineError>) -> Self {
        Pending(PendingInner::Ready(Some(answer)))
    }

    /// An answer that `future` gives.
    pub fn new(future: impl Future<Output = Result<T, EngineError>> + Send + 'static) -> Self {
        Pending(PendingInner::Waiting(Box::pin(future)))
    }

    /// Turns the answer into another once it is there.
    pub fn map<U: Send + 'static>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Pending<U> {
        match self.0 {
            PendingInner::Ready(answer) => Pending::ready(
                answer.expect("a pending reply is mapped before it is polled to its end").map(f),
            ),
            PendingInner::Waiting(future) => Pending::new(async move { future.await.map(f) }),
        }
    }
}

// The answer is moved out when it is there, never pinned in place.
impl<T> Unpin for Pending<T> {}

impl<T> Future for Pending<T> {
    type Output = Result<T, EngineError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            PendingInner::Ready(answer) => {
                Poll::Ready(answer.take().expect("a pending reply is not polled after its end"))
            }
            PendingInner::Waiting(future) => future.as_mut().poll(cx),
        }
    }
}

/// Why no answer can be given. Applies to whole calls; what a partition or command is refused for is in
/// [`AppendError`], [`ReadError`] and [`Refusal`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The log failed after the work was queued. It may or may not be durable.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(Arc<str>),
    /// The engine is closed or failed before the work was queued: nothing happened.
    #[error("the log is closed: {0}")]
    Closed(Arc<str>),
    /// A read failed on the device or met bytes that do not check: nothing was changed.
    #[error("reading the log failed: {0}")]
    Read(Arc<str>),
}

/// One v2 record batch for one partition. The caller has checked length, CRC and counts.
#[derive(Clone, Debug)]
pub struct Append {
    /// Where to.
    pub partition: PartitionId,
    /// The shard it was routed to, for routed (Kinesis) appends: if it no longer ends the partition the
    /// answer is [`AppendError::Resharded`]. `None` for Kafka appends, which name a partition.
    pub shard: Option<ShardId>,
    /// What.
    pub batch: Batch,
}

/// A checked v2 batch: exactly its bytes, and what deciding needs to know of its header.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The whole batch, from base offset to the last record. Base offset and leader epoch are filled in
    /// by the log; on `LogAppendTime` topics also the timestamp type, max timestamp and CRC.
    pub bytes: Bytes,
    /// Offsets the batch takes: last offset delta + 1, from 1.
    pub offset_count: i32,
    /// The header's max timestamp in ms since the epoch, -1 if none.
    pub max_timestamp_ms: i64,
    /// The header's base timestamp in ms.
    pub base_timestamp_ms: i64,
    /// The idempotent producer's stamp, if the batch has one.
    pub producer: Option<ProducerStamp>,
    /// Whether a record without a key is known to be in it; compacted topics take no such batch. Batches that are
    /// compressed are looked into only where the caller knows the topic to be compacted.
    pub has_keyless: bool,
}

/// What an idempotent producer stamps on a batch (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// Producer id, 0 and up.
    pub id: i64,
    /// Producer epoch, 0 and up.
    pub epoch: i16,
    /// Sequence number of the first record; wraps from 2^31-1 to 0.
    pub base_sequence: i32,
}

/// A batch that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the batch's first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// The broker's append time in ms, kept exactly for ever.
    pub append_ms: i64,
    /// The append time if it is also the records' timestamp (`LogAppendTime` topics), else -1.
    pub log_append_time_ms: i64,
    /// The partition's log start offset when it was decided.
    pub log_start: Offset,
    /// The batch was in the log already (KIP-98 retry); the offsets are those of the first time. The
    /// append time is known unless the entry was recovered from an old format.
    pub duplicate: bool,
}

/// Why a batch is not in the log. Nothing was appended for any of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No such topic or partition, or it was deleted.
    #[error("unknown topic or partition")]
    UnknownPartition,
    /// The named shard no longer ends its partition: route again.
    #[error("the shard was split or merged; the partition now ends in {now:?}")]
    Resharded {
        /// The shard that ends the partition now, if any.
        now: Option<ShardId>,
    },
    /// The partition was retired by a merge: it has no hash range and takes no records.
    #[error("the partition was retired by a merge")]
    Retired,
    /// The batch is larger than the topic's `max.message.bytes`.
    #[error("batch of {size} bytes, the topic takes at most {limit}")]
    TooLarge {
        /// The batch's size in bytes.
        size: usize,
        /// The topic's limit in bytes.
        limit: usize,
    },
    /// A record without a key on a compacted topic.
    #[error("compacted topic cannot accept a record without a key")]
    Keyless,
    /// A record timestamp outside `message.timestamp.before.max.ms` / `after.max.ms`.
    #[error("timestamp {timestamp_ms} is out of range")]
    InvalidTimestamp {
        /// The offending timestamp, ms.
        timestamp_ms: i64,
    },
    /// The producer's sequence is not the next one, nor that of one of its last five batches.
    #[error("sequence {found} instead of {expected}")]
    OutOfOrderSequence {
        /// The sequence that would have been taken.
        expected: i32,
        /// The sequence that came.
        found: i32,
    },
    /// The producer's epoch is older than one seen.
    #[error("producer epoch {found}, the current one is {current}")]
    InvalidProducerEpoch {
        /// The newest epoch seen.
        current: i16,
        /// The epoch that came.
        found: i16,
    },
    /// No space is left in the log's reserve; it heals when space comes back. Decided before anything.
    #[error("no space left for appends")]
    StorageFull,
}

/// The tuple that readers see of a partition; replaced as a whole after a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Published {
    /// First offset that can be read.
    pub log_start: Offset,
    /// One past the last durable record.
    pub high_watermark: Offset,
    /// First offset of the oldest open transaction, or the high watermark.
    pub last_stable: Offset,
}

/// Which records a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset, aborted ranges told beside it.
    ReadCommitted,
}

/// A read of many partitions.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// What to read; answered in this order.
    pub reads: Vec<Read>,
    /// Wait until this many bytes are there in total (or `max_wait_ms` passed). 0 and 1 differ: 0 never waits.
    pub min_bytes: usize,
    /// Soft limit over all partitions: the first batch of the first partition with data is always whole.
    pub max_bytes: usize,
    /// How long to wait for `min_bytes`, in ms. 0 = do not wait.
    pub max_wait_ms: u64,
    /// Which records.
    pub isolation: Isolation,
    /// Fill [`Piece::batches`] (Kinesis needs append times; Kafka does not).
    pub with_batches: bool,
}

/// One partition of a [`ReadRequest`].
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Which partition.
    pub partition: PartitionId,
    /// From this offset: the first batch returned is the one that contains it.
    pub offset: Offset,
    /// Soft limit for this partition in bytes (see [`ReadRequest::max_bytes`]).
    pub max_bytes: usize,
}

/// What was found in one partition.
#[derive(Debug)]
pub struct PartitionRead {
    /// What readers could see when this was read.
    pub published: Published,
    /// Whole batches in offset order. May be empty.
    pub pieces: Vec<Piece>,
    /// Aborted transactions overlapping the data (ReadCommitted only): producer id, first offset.
    pub aborted: Vec<(i64, Offset)>,
}

impl PartitionRead {
    /// Total bytes of all pieces.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Piece::len).sum()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// A run of whole batches, in memory or still in a file.
#[derive(Debug)]
pub struct Piece {
    /// Where the bytes are.
    pub source: Source,
    /// Per batch, if asked for with [`ReadRequest::with_batches`].
    pub batches: Vec<BatchAt>,
}

/// Where a batch stands within its [`Piece`], and when it was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchAt {
    /// The batch's base offset.
    pub base_offset: Offset,
    /// Bytes from the start of the piece.
    pub position: usize,
    /// Append time in ms.
    pub append_ms: i64,
}

/// What [`Source::Memory`] keeps in memory while it lives, however short it is: frames are cut from memory of so many bytes.
/// Who holds it for as long as somebody else likes copies it.
pub const FRAME_MEMORY_BYTES: usize = 4 << 20;

/// Bytes that are here, or that can be read piece by piece.
#[derive(Debug)]
pub enum Source {
    /// In memory: a slice of a frame buffer, see [`FRAME_MEMORY_BYTES`].
    Memory(Bytes),
    /// In a file. The file stays as it is while this is held: hold it briefly.
    File(FileRange),
}

/// A range of a file that a back end keeps readable while this lives.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file.
    pub file: Arc<dyn RangeRead>,
    /// First byte.
    pub position: u64,
    /// Bytes.
    pub len: usize,
}

/// Reads ranges of one file without blocking a worker.
pub trait RangeRead: Send + Sync + std::fmt::Debug {
    /// Reads exactly `len` bytes at `position`.
    fn read_at(&self, position: u64, len: usize) -> BoxFuture<'_, Result<Bytes, EngineError>>;

    /// The file itself, if it is open: to send from it without a copy ([`File::resident`]).
    fn file(&self) -> Option<Arc<dyn File>> {
        None
    }
}

impl Piece {
    /// Bytes of the piece.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Memory(bytes) => bytes.len(),
            Source::File(range) => range.len,
        }
    }

    /// Whether the piece has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` bytes from `start`, which must lie within the piece. Senders call this with 64 KiB to 1 MiB
    /// at a time, so that a reply never stands in memory as a whole.
    pub async fn bytes(&self, start: usize, len: usize) -> Result<Bytes, EngineError> {
        match &self.source {
            Source::Memory(bytes) => Ok(bytes.slice(start..start + len)),
            Source::File(range) => range.file.read_at(range.position + start as u64, len).await,
        }
    }
}

/// Why a partition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No such topic or partition, or it was deleted.
    #[error("unknown topic or partition")]
    UnknownPartition,
    /// The offset lies before the log start or past the high watermark.
    #[error("offset {offset} is outside {} to {}", published.log_start, published.high_watermark)]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// What there is.
        published: Published,
    },
    /// The batches there, or what says where they are, cannot be read from the disk or do not check.
    #[error("the batches cannot be read: {reason}")]
    Unreadable {
        /// File, position and what was found.
        reason: Arc<str>,
    },
}

/// Which offset [`Engine::offset`] shall find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The log start offset.
    Earliest,
    /// The high watermark, or the last stable offset.
    Latest(Isolation),
    /// The first record whose own timestamp is at or after this, in ms.
    Timestamp(i64),
    /// The record with the greatest timestamp (KIP-734).
    MaxTimestamp,
    /// The first batch whose append time is at or after this, in ms.
    AppendTime(i64),
}

/// An offset and the time that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// The matching record's timestamp in ms (append time for `AppendTime`); -1 for Earliest and Latest.
    pub timestamp_ms: i64,
}
