//! Reading: batches from the archive and from the log's index, waiting for more, and looking offsets up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kolk_wire_kafka::records::{BatchHeader, Batches};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::archive::{Archive, ByTime};
use super::index::{Index, WalExtent};
use crate::by_time;
use crate::contract::{
    EngineError, FoundOffset, Isolation, OffsetQuery, PartitionRead, Piece, Published, Read, ReadError,
    ReadRequest,
};
use crate::seldom::Seldom;
use crate::types::{Offset, PartitionId};

/// The readers' side of the engine.
///
/// Batches move from the log to the archive, which has them before the log forgets them. Lookups by time look in the archive, then
/// in the log, and again if the archive's end moved meanwhile: what moved may have been in neither.
#[derive(Debug)]
pub(super) struct Reader {
    pub index: Arc<Index>,
    pub archive: Arc<Archive>,
    /// Batches that lookups by time could not decode and took as a whole.
    pub undecodable: AtomicU64,
    undecodable_told: Seldom,
    unreadable_told: Seldom,
    /// The turn to read a batch and look through its records: nothing else may wait behind more than one of them.
    looking: Semaphore,
}

/// One pass over a request.
struct Pass {
    answers: Vec<Result<PartitionRead, ReadError>>,
    bytes: usize,
    /// There is more than the limits let through, or a partition answers with an error.
    at_once: bool,
}

impl Reader {
    pub fn new(index: Arc<Index>, archive: Arc<Archive>) -> Self {
        Reader {
            index,
            archive,
            undecodable: AtomicU64::new(0),
            undecodable_told: Seldom::new(Duration::from_secs(60)),
            unreadable_told: Seldom::new(Duration::from_secs(1)),
            looking: Semaphore::new(1),
        }
    }

    pub async fn read(
        &self,
        request: &ReadRequest,
    ) -> Result<Vec<Result<PartitionRead, ReadError>>, EngineError> {
        let deadline = Instant::now() + Duration::from_millis(request.max_wait_ms);
        let min_bytes = request.min_bytes.min(request.max_bytes);
        let mut waiting = None;
        let mut seen = 0;
        loop {
            let pass = self.pass(request).await?;
            if pass.at_once
                || pass.bytes >= min_bytes
                || request.max_wait_ms == 0
                || Instant::now() >= deadline
            {
                return Ok(pass.answers);
            }
            let bytes = pass.bytes;
            // It pins memory and log files, and the wait is as long as the client likes: what is there is looked up again.
            drop(pass);
            match &waiting {
                None => {
                    let partitions = request.reads.iter().map(|read| read.partition);
                    // Looks again before it waits: more may have come before the registration.
                    waiting = Some(self.index.wait_on(partitions, min_bytes - bytes));
                    seen = bytes;
                }
                Some(registration) => {
                    if bytes > seen {
                        registration.came(bytes - seen);
                        seen = bytes;
                    }
                    let woken = tokio::time::timeout_at(deadline, registration.woken()).await.is_ok();
                    if woken {
                        registration.for_any();
                    }
                }
            }
        }
    }

    async fn pass(&self, request: &ReadRequest) -> Result<Pass, EngineError> {
        let mut pass = Pass { answers: Vec::with_capacity(request.reads.len()), bytes: 0, at_once: false };
        for read in &request.reads {
            let left = request.max_bytes.saturating_sub(pass.bytes);
            let whole_first = pass.bytes == 0;
            let (answer, full) = self.one(read, left, whole_first, request).await?;
            match &answer {
                Ok(found) => pass.bytes += found.len(),
                Err(_) => pass.at_once = true,
            }
            pass.at_once |= full;
            pass.answers.push(answer);
        }
        Ok(pass)
    }

    /// Reads one partition; tells whether the limits held something back.
    async fn one(
        &self,
        read: &Read,
        left: usize,
        whole_first: bool,
        request: &ReadRequest,
    ) -> Result<(Result<PartitionRead, ReadError>, bool), EngineError> {
        let Some(published) = self.index.published(read.partition) else {
            return Ok((Err(ReadError::UnknownPartition), false));
        };
        if read.offset < published.log_start || read.offset > published.high_watermark {
            return Ok((Err(ReadError::OffsetOutOfRange { offset: read.offset, published }), false));
        }
        let end = match request.isolation {
            Isolation::ReadUncommitted => published.high_watermark,
            Isolation::ReadCommitted => published.last_stable,
        };
        let mut found = PartitionRead { published, pieces: Vec::new(), aborted: Vec::new() };
        let bytes_max = left.min(read.max_bytes);
        if read.offset >= end || (bytes_max == 0 && !whole_first) {
            let held_back = read.offset < end;
            return Ok((Ok(found), held_back));
        }
        let (mut next, mut bytes) = (read.offset, 0);
        loop {
            if self.archive.end(read.partition).is_some_and(|archived| archived > next) {
                let limit = bytes_max.saturating_sub(bytes);
                let whole = whole_first && bytes == 0;
                let archived =
                    self.archive.collect(read.partition, next, end, limit, whole, request.with_batches).await;
                let archived = match archived {
                    Ok(archived) => archived,
                    Err(EngineError::Read(_)) if !found.pieces.is_empty() => return Ok((Ok(found), true)),
                    Err(error) => return Ok((Err(self.unreadable(read.partition, error)?), false)),
                };
                found.pieces.extend(archived.pieces);
                bytes += archived.bytes;
                next = archived.next;
                if archived.full || next >= end {
                    return Ok((Ok(found), archived.full));
                }
            }
            let limit = bytes_max.saturating_sub(bytes);
            let whole = whole_first && bytes == 0;
            let logged = {
                let index = self.index.lock();
                if let Some((pieces, _, full)) =
                    index.collect(read.partition, next, end, limit, whole, request.with_batches)
                {
                    found.pieces.extend(pieces);
                    return Ok((Ok(found), full));
                }
                index.first_after(read.partition, next)
            };
            // A rewrite may have moved it between the two looks: the archive has batches before the log forgets them, so
            // that what it still does not have is nowhere.
            let archived = match self.archive.first_after(read.partition, next).await {
                Ok(archived) => archived,
                Err(EngineError::Read(_)) if !found.pieces.is_empty() => return Ok((Ok(found), true)),
                Err(error) => return Ok((Err(self.unreadable(read.partition, error)?), false)),
            };
            if archived == Some(next) {
                continue;
            }
            match self.index.published(read.partition) {
                None => return Ok((Err(ReadError::UnknownPartition), false)),
                Some(published) if read.offset < published.log_start => {
                    return Ok((Err(ReadError::OffsetOutOfRange { offset: read.offset, published }), false));
                }
                Some(_) => {}
            }
            // A repair lost what was here. Readers go on behind it.
            match archived.into_iter().chain(logged).min() {
                Some(first) if first < end => next = first,
                _ => return Ok((Ok(found), false)),
            }
        }
    }

    /// A read that failed on the disk, as its partition's error.
    fn unreadable(&self, partition: PartitionId, error: EngineError) -> Result<ReadError, EngineError> {
        let EngineError::Read(reason) = error else { return Err(error) };
        if let Some(unsaid) = self.unreadable_told.say() {
            tracing::error!(?partition, %reason, unsaid, "a partition cannot be read; see `kolk verify`");
        }
        Ok(ReadError::Unreadable { reason })
    }

    pub async fn offset(
        &self,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> Result<Result<Option<FoundOffset>, ReadError>, EngineError> {
        match self.look_up(partition, query).await {
            Err(error) => Ok(Err(self.unreadable(partition, error)?)),
            found => found,
        }
    }

    async fn look_up(
        &self,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> Result<Result<Option<FoundOffset>, ReadError>, EngineError> {
        let Some(published) = self.index.published(partition) else {
            return Ok(Err(ReadError::UnknownPartition));
        };
        let edge = |offset| Ok(Ok(Some(FoundOffset { offset, timestamp_ms: -1 })));
        match query {
            OffsetQuery::Earliest => edge(published.log_start),
            OffsetQuery::Latest(Isolation::ReadUncommitted) => edge(published.high_watermark),
            OffsetQuery::Latest(Isolation::ReadCommitted) => edge(published.last_stable),
            OffsetQuery::Timestamp(at) => Ok(Ok(self.by_timestamp(partition, &published, at).await?)),
            OffsetQuery::MaxTimestamp => {
                let greatest = loop {
                    let archived_to = self.archive.end(partition);
                    let archived = self.archive.max_timestamp(partition, published.log_start).await?;
                    let logged = self.log_max_timestamp(partition, published.log_start).await?;
                    if self.archive.end(partition) == archived_to {
                        break archived.max(logged);
                    }
                };
                match greatest {
                    Some(greatest) if greatest >= 0 => {
                        Ok(Ok(self.by_timestamp(partition, &published, greatest).await?))
                    }
                    _ => Ok(Ok(None)),
                }
            }
            OffsetQuery::AppendTime(at) => Ok(Ok(self.by_append_time(partition, &published, at).await?)),
        }
    }

    /// The first batch appended at or after a time.
    async fn by_append_time(
        &self,
        partition: PartitionId,
        published: &Published,
        at: i64,
    ) -> Result<Option<FoundOffset>, EngineError> {
        let log_start = published.log_start;
        loop {
            let archived_to = self.archive.end(partition);
            if let Some(found) = self.archive.find(partition, log_start, ByTime::AppendTime(at)).await? {
                let offset = found.entry.base_offset.max(log_start);
                return Ok(Some(FoundOffset { offset, timestamp_ms: found.entry.append_ms }));
            }
            let first = self.index.lock().first_appended(partition, at, log_start);
            if self.archive.end(partition) == archived_to {
                return Ok(first.map(|span| FoundOffset {
                    offset: span.base_offset.max(log_start),
                    timestamp_ms: span.append_ms,
                }));
            }
        }
    }

    /// The first record at or after a timestamp.
    async fn by_timestamp(
        &self,
        partition: PartitionId,
        published: &Published,
        at: i64,
    ) -> Result<Option<FoundOffset>, EngineError> {
        let log_start = published.log_start;
        // Nothing before it matches.
        let mut from = log_start;
        let mut left = by_time::DECOMPRESSED_MAX;
        loop {
            let archived_to = self.archive.end(partition);
            // A batch whose header promises the timestamp may hold it only before the log start.
            while let Some(found) = self.archive.find(partition, from, ByTime::Timestamp(at)).await? {
                let _turn = self.turn().await;
                let bytes = whole(&found.piece).await?;
                let header = BatchHeader::parse(&bytes);
                if let Some(record) = self.first_record(&bytes, at, log_start, &mut left) {
                    return Ok(Some(record));
                }
                let next = header.map_or(found.entry.base_offset + 1, |header| Offset(header.next_offset()));
                from = next.max(from + 1);
            }
            from = archived_to.map_or(from, |archived_to| from.max(archived_to));
            loop {
                let logged = self.index.find(partition, from, |extent| extent.max_timestamp_ms >= at);
                if self.archive.end(partition) != archived_to {
                    break;
                }
                let Some((WalExtent { last, .. }, source)) = logged else { return Ok(None) };
                let piece = Piece { source, batches: Vec::new() };
                let turn = self.turn().await;
                for batch in Batches::new(whole(&piece).await?) {
                    let Ok((header, bytes)) = batch else { break };
                    if header.max_timestamp < at || header.next_offset() <= log_start.0 {
                        continue;
                    }
                    if let Some(record) = self.first_record(&bytes, at, log_start, &mut left) {
                        return Ok(Some(record));
                    }
                    tokio::task::yield_now().await;
                }
                drop(turn);
                from = last + 1;
            }
        }
    }

    /// Waits until nobody else looks through a batch, and lets others on this thread go first.
    async fn turn(&self) -> SemaphorePermit<'_> {
        tokio::task::yield_now().await;
        self.looking.acquire().await.expect("the semaphore is never closed")
    }

    /// The greatest timestamp in the log's part of a partition.
    async fn log_max_timestamp(
        &self,
        partition: PartitionId,
        log_start: Offset,
    ) -> Result<Option<i64>, EngineError> {
        let mut greatest = None;
        // Only the first one can be cut by the log start, and then between its batches only if it has several: one is never
        // larger than a frame.
        let cut = self.index.find(partition, log_start, |extent| {
            if extent.first < log_start && extent.batch_at(log_start) > 0 {
                return true;
            }
            greatest = greatest.max(Some(extent.max_timestamp_ms));
            false
        });
        let Some((cut, source)) = cut else { return Ok(greatest) };
        self.index.find(partition, cut.last + 1, |extent| {
            greatest = greatest.max(Some(extent.max_timestamp_ms));
            false
        });
        let _turn = self.turn().await;
        for batch in Batches::new(whole(&Piece { source, batches: Vec::new() }).await?) {
            let Ok((header, _)) = batch else { break };
            if header.next_offset() > log_start.0 {
                greatest = greatest.max(Some(header.max_timestamp));
            }
        }
        Ok(greatest)
    }

    /// [`by_time::first_record`]; what cannot be decoded is counted.
    fn first_record(
        &self,
        batch: &Bytes,
        at: i64,
        log_start: Offset,
        left: &mut usize,
    ) -> Option<FoundOffset> {
        by_time::first_record(batch, at, log_start, left, |header, error| {
            self.undecodable.fetch_add(1, Ordering::Relaxed);
            let base_offset = header.base_offset;
            if let Some(unsaid) = self.undecodable_told.say() {
                tracing::warn!(
                    base_offset,
                    %error,
                    unsaid,
                    "a batch cannot be decoded; its first offset is used"
                );
            }
        })
    }
}

async fn whole(piece: &Piece) -> Result<Bytes, EngineError> {
    piece.bytes(0, piece.len()).await
}
