//! Where each partition's batches are, what readers may see of them, and who waits for more.
//!
//! ```text
//!  log start                                                     high watermark
//!  |  segments (rewritten)        |  write-ahead log: frames           |
//!                                         | tail cache: frame buffers  |
//! ```
//! Extents of one partition never overlap: the index takes what it has for an offset from one place. All of it
//! is under one lock that is held for lookups and inserts only, never across a wait.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::Notify;

use super::frame::{BatchEntry, FrameExtent};
use super::manifest::LifeEnd;
use super::wal::WalFile;
use crate::contract::{BatchAt, FileRange, Piece, Published, Source};
use crate::defects::{Defect, defect};
use crate::map::HashMap;
use crate::types::{Offset, PartitionId};

/// An extent in a frame of the write-ahead log.
#[derive(Clone, Debug)]
pub(super) struct WalExtent {
    pub first: Offset,
    pub last: Offset,
    /// Sequence number of the file.
    pub file: u64,
    /// Number of the frame.
    pub frame: u64,
    /// First byte in the file.
    pub file_position: u64,
    /// First byte in the frame.
    pub position: u32,
    pub len: u32,
    pub first_append_ms: i64,
    pub max_timestamp_ms: i64,
    /// CRC-32C of the extent's bytes.
    pub crc: u32,
    pub table: Box<[BatchEntry]>,
}

impl WalExtent {
    /// Memory that it takes here, in bytes.
    fn held_bytes(&self) -> usize {
        size_of::<WalExtent>() + size_of_val(&*self.table)
    }

    fn batch_count(&self) -> usize {
        self.table.len().max(1)
    }

    fn entry(&self, index: usize) -> BatchEntry {
        self.table.get(index).copied().unwrap_or(BatchEntry { offset: 0, position: 0, append_ms: 0 })
    }

    /// The batch that contains `offset`, or the first one after it.
    pub fn batch_at(&self, offset: Offset) -> usize {
        let after = self.table.partition_point(|entry| self.first + i64::from(entry.offset) <= offset);
        if defect(Defect::IndexAheadOfData) {
            return after.min(self.batch_count() - 1);
        }
        after.saturating_sub(1)
    }

    /// Where batch `index` begins; the extent's end for one past the last.
    fn start_of(&self, index: usize) -> u32 {
        if index >= self.batch_count() { self.len } else { self.entry(index).position }
    }

    /// The first batch appended at or after a time that is not all before `log_start`.
    fn first_appended(&self, at: i64, log_start: Offset) -> Option<BatchSpan> {
        let before = |entry: &BatchEntry| self.first_append_ms + i64::from(entry.append_ms) < at;
        let index = self.table.partition_point(before).max(self.batch_at(log_start));
        let entry = self.entry(index);
        let append_ms = self.first_append_ms + i64::from(entry.append_ms);
        (index < self.batch_count() && append_ms >= at && self.last >= log_start)
            .then(|| BatchSpan { base_offset: self.first + i64::from(entry.offset), append_ms })
    }

    /// The batches in order; positions from the extent's start.
    pub fn batches(&self) -> impl Iterator<Item = BatchAt> + '_ {
        (0..self.batch_count()).map(|index| {
            let entry = self.entry(index);
            BatchAt {
                base_offset: self.first + i64::from(entry.offset),
                position: entry.position as usize,
                append_ms: self.first_append_ms + i64::from(entry.append_ms),
            }
        })
    }
}

/// A batch of a [`WalExtent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchSpan {
    pub base_offset: Offset,
    pub append_ms: i64,
}

/// What changes for readers when a frame is durable, in order of its decisions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Publish {
    /// The partition is there, at least this far.
    Tuple(PartitionId, Published),
    /// The partition is gone.
    Gone(PartitionId),
}

/// A partition in the index.
#[derive(Debug, Default)]
pub(super) struct PartitionIndex {
    pub published: Published,
    pub wal: VecDeque<WalExtent>,
    /// Bytes of all extents that hold something at or after the log start.
    pub size_bytes: u64,
    waiters: Vec<Arc<Waiter>>,
}

impl PartitionIndex {
    /// Drops what lies before the log start.
    fn trim(&mut self, log: &mut LogFiles) {
        while let Some(oldest) = self.wal.front()
            && oldest.last < self.published.log_start
        {
            self.drop_oldest(log);
        }
    }

    fn drop_oldest(&mut self, log: &mut LogFiles) {
        if let Some(extent) = self.wal.pop_front() {
            self.size_bytes -= u64::from(extent.len);
            log.dropped(&extent);
        }
    }
}

/// A file that holds frames.
#[derive(Debug)]
pub(super) struct LogFile {
    pub file: Arc<WalFile>,
    /// Bytes of the extents in it that partitions have.
    pub live_bytes: u64,
    /// How many those are.
    pub live_extents: u64,
}

/// The files that hold frames, by sequence number, and what of them is in the index.
#[derive(Debug, Default)]
pub(super) struct LogFiles {
    by_sequence: BTreeMap<u64, LogFile>,
    /// Memory that all extents take in the index, in bytes.
    held_bytes: usize,
}

impl LogFiles {
    pub fn begin(&mut self, sequence: u64, file: Arc<WalFile>) {
        self.by_sequence.insert(sequence, LogFile { file, live_bytes: 0, live_extents: 0 });
    }

    fn added(&mut self, extent: &WalExtent) {
        self.held_bytes += extent.held_bytes();
        if let Some(found) = self.by_sequence.get_mut(&extent.file) {
            found.live_bytes += u64::from(extent.len);
            found.live_extents += 1;
        }
    }

    fn dropped(&mut self, extent: &WalExtent) {
        self.held_bytes -= extent.held_bytes();
        if let Some(found) = self.by_sequence.get_mut(&extent.file) {
            found.live_bytes -= u64::from(extent.len);
            found.live_extents -= 1;
        }
    }
}

impl std::ops::Deref for LogFiles {
    type Target = BTreeMap<u64, LogFile>;

    fn deref(&self) -> &Self::Target {
        &self.by_sequence
    }
}

/// Somebody who waits for bytes on some partitions.
#[derive(Debug)]
pub(super) struct Waiter {
    /// Bytes that must come before it is worth waking.
    missing: AtomicI64,
    woken: Notify,
}

/// Frames whose buffers are still here, oldest first, with consecutive numbers.
#[derive(Debug, Default)]
struct TailCache {
    first: u64,
    frames: VecDeque<Bytes>,
    bytes: usize,
    bytes_max: usize,
}

impl TailCache {
    fn get(&self, frame: u64) -> Option<&Bytes> {
        self.frames.get(usize::try_from(frame.checked_sub(self.first)?).ok()?)
    }

    /// Keeps a frame; gives back what was dropped for it, to be freed outside the lock.
    fn push(&mut self, number: u64, frame: Bytes) -> Vec<Bytes> {
        if self.frames.is_empty() || number != self.first + self.frames.len() as u64 {
            self.frames.clear();
            self.bytes = 0;
            self.first = number;
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        let mut dropped = Vec::new();
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.frames.pop_front()
        {
            self.bytes -= oldest.len();
            self.first += 1;
            dropped.push(oldest);
        }
        dropped
    }
}

/// Where the log ends durably.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogEnd {
    /// The last frame, its CRC, and the sequence number of its file.
    pub life: LifeEnd,
    /// Where in the file it ends, at most: what an earlier life wrote is not looked at again.
    pub position: u64,
}

#[derive(Debug, Default)]
pub(super) struct IndexInner {
    pub partitions: HashMap<PartitionId, PartitionIndex>,
    pub files: LogFiles,
    pub end: LogEnd,
    cache: TailCache,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    inner: Mutex<IndexInner>,
    /// [`LogFiles::held_bytes`] of what was published, to be seen without the lock.
    held_bytes: AtomicUsize,
}

/// A frame that became durable.
pub(super) struct DurableFrame {
    pub number: u64,
    pub crc: u32,
    /// Sequence number of the file.
    pub file: u64,
    /// Where in the file.
    pub position: u64,
    pub bytes: Bytes,
    pub extents: Vec<FrameExtent>,
}

impl Index {
    pub fn new(cache_bytes: usize) -> Self {
        let index = Index::default();
        index.lock().cache.bytes_max = cache_bytes;
        index
    }

    pub fn lock(&self) -> MutexGuard<'_, IndexInner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    /// Shows a durable frame to readers and wakes those who wait for it.
    pub fn publish(&self, frame: DurableFrame, changes: &[Publish]) {
        let mut wake: Vec<Arc<Waiter>> = Vec::new();
        let dropped;
        {
            let mut inner = self.lock();
            // Partitions that the frame made, before its own batches for them.
            for change in changes {
                inner.apply(*change, &mut wake);
            }
            for extent in frame.extents {
                inner.add(frame.number, frame.file, frame.position, extent, &mut wake);
            }
            inner.end = LogEnd {
                life: LifeEnd { frame: frame.number, crc: frame.crc, file: frame.file },
                position: frame.position + frame.bytes.len() as u64,
            };
            self.count_held(&inner);
            dropped = inner.cache.push(frame.number, frame.bytes);
        }
        drop(dropped);
        for waiter in wake {
            waiter.woken.notify_one();
        }
    }

    pub fn published(&self, partition: PartitionId) -> Option<Published> {
        self.lock().partitions.get(&partition).map(|found| found.published)
    }

    /// Goes through all partitions, a bounded number of extents in a turn of the lock: commits and readers come between.
    /// `look` gets a partition and how many extents it may look at, and gives back how many it looked at: of one that has more,
    /// it gets the rest in the next turn.
    fn in_turns(&self, mut look: impl FnMut(&mut IndexInner, PartitionId, usize) -> Looked) {
        let mut partitions = self.partitions().into_iter().peekable();
        while partitions.peek().is_some() {
            let mut inner = self.lock();
            let mut left = EXTENTS_AT_ONCE;
            while left > 0
                && let Some(partition) = partitions.peek()
            {
                match look(&mut inner, *partition, left) {
                    Looked::All(extents) => {
                        left = left.saturating_sub(extents + 1);
                        partitions.next();
                    }
                    Looked::Some => left = 0,
                }
            }
            self.count_held(&inner);
        }
    }

    fn count_held(&self, inner: &IndexInner) {
        self.held_bytes.store(inner.files.held_bytes, Ordering::Relaxed);
    }

    /// Memory that the extents of the log take here, in bytes, but for what the allocator adds.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    fn partitions(&self) -> Vec<PartitionId> {
        self.lock().partitions.keys().copied().collect()
    }

    /// The partitions that have extents in files up to `through`, but for the files `left_out`: each with their bytes, which
    /// are not counted beyond about `enough`.
    pub fn leaving(&self, through: u64, left_out: &[u64], enough: u64) -> Vec<(PartitionId, u64)> {
        let mut leaving = Vec::new();
        self.in_turns(|inner, id, _| {
            let (mut bytes, mut looked) = (0, 0);
            let extents = inner.partitions.get(&id).into_iter().flat_map(|found| &found.wal);
            for extent in extents.take_while(|extent| extent.file <= through) {
                if bytes >= enough {
                    break;
                }
                looked += 1;
                if !left_out.contains(&extent.file) {
                    bytes += u64::from(extent.len);
                }
            }
            if bytes > 0 {
                leaving.push((id, bytes));
            }
            Looked::All(looked)
        });
        leaving
    }

    /// The extents in one file, by partition and offset.
    pub fn extents_in(&self, file: u64) -> Vec<(PartitionId, WalExtent)> {
        let mut extents = Vec::new();
        self.in_turns(|inner, id, _| {
            let Some(found) = inner.partitions.get(&id) else { return Looked::All(0) };
            let from = found.wal.partition_point(|extent| extent.file < file);
            let in_it = found.wal.range(from..).take_while(|extent| extent.file == file);
            let before = extents.len();
            extents.extend(in_it.map(|extent| (id, extent.clone())));
            Looked::All(extents.len() - before)
        });
        extents.sort_unstable_by_key(|(partition, extent)| (*partition, extent.first));
        extents
    }

    /// The first extent of a partition that ends at or after `from` and that `wanted` takes. Costs time by the number of
    /// extents, some of them in a turn of the lock.
    pub fn find(
        &self,
        id: PartitionId,
        mut from: Offset,
        mut wanted: impl FnMut(&WalExtent) -> bool,
    ) -> Option<(WalExtent, Source)> {
        loop {
            let inner = self.lock();
            let wal = &inner.partitions.get(&id)?.wal;
            let at = wal.partition_point(|extent| extent.last < from);
            let some = wal.range(at..).take(EXTENTS_AT_ONCE);
            let last = some.clone().next_back()?.last;
            if let Some(found) = some.into_iter().find(|extent| wanted(extent)) {
                return Some((found.clone(), inner.source(found, 0, found.len as usize)));
            }
            from = last + 1;
        }
    }

    /// Drops all extents in files up to `through`, which the archive has now; gives the files back.
    pub fn forget_through(&self, through: u64) -> Vec<(u64, Arc<WalFile>)> {
        self.in_turns(|inner, id, max| {
            let Some(partition) = inner.partitions.get_mut(&id) else { return Looked::All(0) };
            let mut dropped = 0;
            while let Some(oldest) = partition.wal.front()
                && oldest.file <= through
            {
                if dropped == max {
                    return Looked::Some;
                }
                partition.drop_oldest(&mut inner.files);
                dropped += 1;
            }
            if partition.wal.capacity() > 4 * partition.wal.len() {
                partition.wal.shrink_to_fit();
            }
            Looked::All(dropped)
        });
        let mut inner = self.lock();
        let kept = inner.files.by_sequence.split_off(&(through + 1));
        let freed = std::mem::replace(&mut inner.files.by_sequence, kept);
        freed.into_iter().map(|(sequence, found)| (sequence, found.file)).collect()
    }

    pub fn size_bytes(&self, partition: PartitionId) -> u64 {
        self.lock().partitions.get(&partition).map_or(0, |found| found.size_bytes)
    }

    /// Waits with `waiter` for bytes on `partitions`.
    pub fn wait_on(
        self: &Arc<Self>,
        partitions: impl Iterator<Item = PartitionId>,
        missing: usize,
    ) -> Registration {
        let waiter = Arc::new(Waiter {
            missing: AtomicI64::new(i64::try_from(missing).unwrap_or(i64::MAX)),
            woken: Notify::new(),
        });
        let mut registered = Vec::new();
        let mut partitions = partitions.peekable();
        while partitions.peek().is_some() {
            // A reader of thousands of partitions does not keep commits waiting.
            let mut inner = self.lock();
            for partition in partitions.by_ref().take(PARTITIONS_AT_ONCE) {
                if let Some(found) = inner.partitions.get_mut(&partition) {
                    found.waiters.push(waiter.clone());
                    registered.push(partition);
                }
            }
        }
        Registration { index: self.clone(), waiter, partitions: registered }
    }
}

impl IndexInner {
    /// Applies a change that is durable; collects whom to wake.
    pub fn apply(&mut self, change: Publish, wake: &mut Vec<Arc<Waiter>>) {
        match change {
            Publish::Tuple(id, published) => {
                let partition = self.partitions.entry(id).or_default();
                let now = &mut partition.published;
                now.log_start = now.log_start.max(published.log_start);
                now.high_watermark = now.high_watermark.max(published.high_watermark);
                now.last_stable = now.last_stable.max(published.last_stable);
                partition.trim(&mut self.files);
            }
            Publish::Gone(id) => {
                if let Some(partition) = self.partitions.remove(&id) {
                    partition.wal.iter().for_each(|extent| self.files.dropped(extent));
                    wake.extend(partition.waiters);
                }
            }
        }
    }

    /// Adds an extent of a durable frame at its partition's end.
    pub fn add(
        &mut self,
        frame: u64,
        file: u64,
        frame_position: u64,
        extent: FrameExtent,
        wake: &mut Vec<Arc<Waiter>>,
    ) {
        // A partition deleted by a later decision of the same frame takes its batches with it.
        let Some(partition) = self.partitions.get_mut(&extent.partition) else { return };
        if extent.last < partition.published.log_start
            || partition.wal.back().is_some_and(|newest| extent.first <= newest.last)
        {
            return;
        }
        partition.published.high_watermark = partition.published.high_watermark.max(extent.last + 1);
        partition.published.last_stable = partition.published.high_watermark;
        partition.size_bytes += u64::from(extent.len);
        for waiter in &partition.waiters {
            let before = waiter.missing.fetch_sub(i64::from(extent.len), Ordering::Relaxed);
            if before > 0 && before <= i64::from(extent.len) {
                wake.push(waiter.clone());
            }
        }
        if partition.wal.capacity() == 0 {
            // Thousands of partitions have one.
            partition.wal.reserve_exact(1);
        }
        let extent = WalExtent {
            first: extent.first,
            last: extent.last,
            file,
            frame,
            file_position: frame_position + u64::from(extent.position),
            position: extent.position,
            len: extent.len,
            first_append_ms: extent.first_append_ms,
            max_timestamp_ms: extent.max_timestamp_ms,
            crc: extent.crc,
            table: extent.table,
        };
        self.files.added(&extent);
        partition.wal.push_back(extent);
    }

    /// Bytes of all extents in the log's files.
    pub fn live_bytes(&self) -> u64 {
        self.files.values().map(|found| found.live_bytes).sum()
    }

    /// The first offset at or after `offset` that the log holds.
    pub fn first_after(&self, id: PartitionId, offset: Offset) -> Option<Offset> {
        let wal = &self.partitions.get(&id)?.wal;
        wal.get(wal.partition_point(|extent| extent.first < offset)).map(|extent| extent.first)
    }

    /// The first batch of a partition appended at or after a time and not all before `log_start`. Append times of a partition
    /// never go back: few extents are looked at, however long the log is.
    pub fn first_appended(&self, id: PartitionId, at: i64, log_start: Offset) -> Option<BatchSpan> {
        let wal = &self.partitions.get(&id)?.wal;
        let readable = wal.partition_point(|extent| extent.last < log_start);
        // It is the first of these, or in the one before them.
        let later = wal.partition_point(|extent| extent.first_append_ms < at);
        let from = readable.max(later.saturating_sub(1));
        wal.range(from.min(wal.len())..).find_map(|extent| extent.first_appended(at, log_start))
    }

    /// Batches of a partition from `offset` up to `end`, at most `bytes_max` bytes; if `whole_first` the first
    /// batch may be larger. `None`: what begins at `offset` has moved to the archive.
    pub fn collect(
        &self,
        id: PartitionId,
        offset: Offset,
        end: Offset,
        bytes_max: usize,
        whole_first: bool,
        with_batches: bool,
    ) -> Option<(Vec<Piece>, usize, bool)> {
        let mut pieces = Vec::new();
        let mut bytes = 0usize;
        let mut full = false;
        let Some(partition) = self.partitions.get(&id) else { return Some((pieces, bytes, full)) };
        let at = partition.wal.partition_point(|extent| extent.last < offset);
        if partition.wal.get(at).is_none_or(|extent| extent.first > offset) && offset < end {
            return None;
        }
        for extent in partition.wal.range(at..) {
            if extent.first >= end {
                break;
            }
            let from = extent.batch_at(offset);
            let start = extent.start_of(from);
            // Batches are taken whole: as many as fit.
            let mut to = from;
            while to < extent.batch_count() && extent.first + i64::from(extent.entry(to).offset) < end {
                let with_it = bytes + (extent.start_of(to + 1) - start) as usize;
                if with_it > bytes_max && !(whole_first && bytes == 0 && to == from) {
                    break;
                }
                to += 1;
            }
            if to == from {
                full = true;
                break;
            }
            let len = (extent.start_of(to) - start) as usize;
            pieces.push(Piece {
                source: self.source(extent, start, len),
                batches: if with_batches {
                    let batches = extent.batches().take(to).skip(from);
                    batches.map(|at| BatchAt { position: at.position - start as usize, ..at }).collect()
                } else {
                    Vec::new()
                },
            });
            bytes += len;
            if to < extent.batch_count() || bytes >= bytes_max {
                full = true;
                break;
            }
        }
        Some((pieces, bytes, full))
    }

    /// Files that hold frames, each with the bytes that can hold durable ones: all of it, but of the one being written
    /// only up to the last durable frame. Behind that a frame may be half there, which must not be copied: a later one
    /// behind it would look like damage.
    pub fn durable_files(&self) -> Vec<(Arc<WalFile>, u64)> {
        let durable =
            |(sequence, LogFile { file, .. }): (&u64, &LogFile)| match self.end.life.file.cmp(sequence) {
                std::cmp::Ordering::Greater => Some((file.clone(), file.capacity)),
                std::cmp::Ordering::Equal => Some((file.clone(), self.end.position.min(file.capacity))),
                // Begun, and no frame in it is durable yet.
                std::cmp::Ordering::Less => None,
            };
        self.files.iter().filter_map(durable).collect()
    }

    /// The bytes of a part of an extent: from its frame's buffer, else from its file.
    pub fn source(&self, extent: &WalExtent, start: u32, len: usize) -> Source {
        if let Some(frame) = self.cache.get(extent.frame) {
            let at = (extent.position + start) as usize;
            return Source::Memory(frame.slice(at..at + len));
        }
        let LogFile { file, .. } =
            self.files.get(&extent.file).expect("a file in use is kept while extents name it");
        let position = extent.file_position + u64::from(start);
        Source::File(FileRange { file: file.clone(), position, len })
    }
}

/// Extents that one turn of the lock looks at.
const EXTENTS_AT_ONCE: usize = 16 << 10;

/// What a look at a partition came to.
enum Looked {
    /// It saw so many extents, and is done with the partition.
    All(usize),
    /// As many as it may; there are more.
    Some,
}

/// Partitions that one turn of the lock registers or takes away.
const PARTITIONS_AT_ONCE: usize = 256;

/// Keeps a [`Waiter`] known to its partitions; takes it away when dropped.
pub(super) struct Registration {
    index: Arc<Index>,
    waiter: Arc<Waiter>,
    partitions: Vec<PartitionId>,
}

impl Registration {
    /// Resolves once enough bytes came or a partition went.
    pub async fn woken(&self) {
        self.waiter.woken.notified().await;
    }

    /// Waits for any more bytes from now on.
    pub fn for_any(&self) {
        self.waiter.missing.store(1, Ordering::Relaxed);
    }

    /// Counts bytes that may have come before the registration.
    pub fn came(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.waiter.missing.fetch_sub(bytes, Ordering::Relaxed);
        if before > 0 && before <= bytes {
            self.waiter.woken.notify_one();
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        for some in self.partitions.chunks(PARTITIONS_AT_ONCE) {
            let mut inner = self.index.lock();
            for id in some {
                let Some(partition) = inner.partitions.get_mut(id) else { continue };
                let mut waiters = partition.waiters.iter();
                if let Some(at) = waiters.position(|one| Arc::ptr_eq(one, &self.waiter)) {
                    partition.waiters.swap_remove(at);
                }
                if partition.waiters.is_empty() {
                    partition.waiters = Vec::new();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicId;

    const PARTITION: PartitionId = PartitionId { topic: TopicId(1), index: 0 };

    /// Extents of one to five batches, each of two offsets.
    fn filled(extents: i64) -> (Index, Vec<BatchSpan>) {
        let index = Index::new(0);
        let mut inner = index.lock();
        inner.apply(Publish::Tuple(PARTITION, Published::default()), &mut Vec::new());
        let mut batches: Vec<BatchSpan> = Vec::new();
        for number in 0..extents {
            let first = Offset(2 * batches.len() as i64);
            // Some begin in the millisecond in which the one before ended.
            let first_append_ms = batches.last().map_or(0, |newest| newest.append_ms + number % 2);
            let count = 1 + (number * 7 % 5) as u32;
            let entry = |at: u32| BatchEntry { offset: 2 * at, position: 100 * at, append_ms: at / 2 };
            let table: Vec<BatchEntry> = (0..count).map(entry).collect();
            batches.extend(table.iter().map(|entry| BatchSpan {
                base_offset: first + i64::from(entry.offset),
                append_ms: first_append_ms + i64::from(entry.append_ms),
            }));
            let extent = FrameExtent {
                partition: PARTITION,
                first,
                last: first + i64::from(2 * count) + -1,
                position: 0,
                len: 100 * count,
                first_append_ms,
                last_append_ms: batches.last().expect("just added").append_ms,
                max_timestamp_ms: number % 100,
                crc: 0,
                table: if count > 1 { table.into() } else { Box::default() },
            };
            inner.add(number as u64 + 1, 1, 0, extent, &mut Vec::new());
        }
        drop(inner);
        (index, batches)
    }

    #[test]
    fn lookups_by_append_time_find_what_a_look_at_every_batch_finds() {
        let (index, batches) = filled(40);
        for log_start in 0..=2 * batches.len() as i64 {
            let log_start = Offset(log_start);
            for at in -1..batches[batches.len() - 1].append_ms + 2 {
                let expected =
                    batches.iter().find(|batch| batch.append_ms >= at && batch.base_offset + 1 >= log_start);
                let found = index.lock().first_appended(PARTITION, at, log_start);
                assert_eq!(found.as_ref(), expected, "at {at} from {log_start}");
            }
        }
    }

    /// Every batch was looked at under the lock that commits need: some hundred lookups a second of the newest record of a
    /// long log stopped the server. (At a look at every batch these are 30 thousand million.)
    #[test]
    fn lookups_by_append_time_in_a_long_log_look_at_few_batches() {
        let (index, batches) = filled(50_000);
        let newest = *batches.last().expect("some");
        let inner = index.lock();
        for _ in 0..200_000 {
            let found = inner.first_appended(PARTITION, newest.append_ms, Offset::ZERO).expect("the newest");
            assert_eq!(found.append_ms, newest.append_ms);
        }
    }

    #[test]
    fn a_search_goes_on_behind_what_one_turn_of_the_lock_looks_at() {
        let (index, _) = filled(40_000);
        let mut seen = 0;
        assert!(
            index
                .find(PARTITION, Offset(7), |_| {
                    seen += 1;
                    false
                })
                .is_none()
        );
        assert!(seen > 39_990 && seen <= 40_000, "{seen}");
    }
}
