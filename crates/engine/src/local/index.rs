//! Where each partition's batches are, what readers may see of them, and who waits for more.
//!
//! ```text
//!  log start                                                     high watermark
//!  |  segments (rewritten)        |  write-ahead log: frames           |
//!                                         | tail cache: frame buffers  |
//! ```
//! Extents of one partition never overlap: the index takes what it has for an offset from one place. All of it
//! is under one lock that is held for lookups and inserts only, never across a wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::Notify;

use super::frame::{BatchEntry, FrameExtent};
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
    fn batch_count(&self) -> usize {
        self.table.len().max(1)
    }

    fn entry(&self, index: usize) -> BatchEntry {
        self.table.get(index).copied().unwrap_or(BatchEntry { offset: 0, position: 0, append_ms: 0 })
    }

    /// The batch that contains `offset`, or the first one after it.
    fn batch_at(&self, offset: Offset) -> usize {
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

    /// The batches with the offsets that each takes.
    pub fn spans(&self) -> impl Iterator<Item = BatchSpan> + '_ {
        (0..self.batch_count()).map(|index| {
            let entry = self.entry(index);
            let last = self.table.get(index + 1).map(|next| self.first + i64::from(next.offset) + -1);
            BatchSpan {
                base_offset: self.first + i64::from(entry.offset),
                last: last.unwrap_or(self.last),
                append_ms: self.first_append_ms + i64::from(entry.append_ms),
            }
        })
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
    pub last: Offset,
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
    fn trim(&mut self) {
        while let Some(extent) = self.wal.front()
            && extent.last < self.published.log_start
        {
            self.size_bytes -= u64::from(extent.len);
            self.wal.pop_front();
        }
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

#[derive(Debug, Default)]
pub(super) struct IndexInner {
    pub partitions: HashMap<PartitionId, PartitionIndex>,
    /// Files that hold frames, by sequence number.
    pub files: std::collections::BTreeMap<u64, Arc<WalFile>>,
    /// Where the log ends durably: sequence number of the newest file with a frame, and the end of its last frame (of a
    /// file that an earlier life wrote: its capacity).
    pub end: Option<(u64, u64)>,
    cache: TailCache,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    inner: Mutex<IndexInner>,
}

/// A frame that became durable.
pub(super) struct DurableFrame {
    pub number: u64,
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
            inner.end = Some((frame.file, frame.position + frame.bytes.len() as u64));
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
                partition.trim();
            }
            Publish::Gone(id) => {
                if let Some(partition) = self.partitions.remove(&id) {
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
        partition.wal.push_back(WalExtent {
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
        });
    }

    /// Bytes of all extents in the log. Costs time by the number of extents.
    pub fn live_bytes(&self) -> u64 {
        let extents = self.partitions.values().flat_map(|partition| &partition.wal);
        extents.map(|extent| u64::from(extent.len)).sum()
    }

    /// The first offset at or after `offset` that the log holds.
    pub fn first_after(&self, id: PartitionId, offset: Offset) -> Option<Offset> {
        let wal = &self.partitions.get(&id)?.wal;
        wal.get(wal.partition_point(|extent| extent.first < offset)).map(|extent| extent.first)
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

    /// Drops all extents in files up to `through`, which segments hold now; gives the files back.
    pub fn forget_through(&mut self, through: u64) -> std::collections::BTreeMap<u64, Arc<WalFile>> {
        for partition in self.partitions.values_mut() {
            while let Some(extent) = partition.wal.front()
                && extent.file <= through
            {
                partition.size_bytes -= u64::from(extent.len);
                partition.wal.pop_front();
            }
            if partition.wal.is_empty() {
                partition.wal = VecDeque::new();
            }
        }
        let kept = self.files.split_off(&(through + 1));
        std::mem::replace(&mut self.files, kept)
    }

    /// Files that hold frames, each with the bytes that can hold durable ones: all of it, but of the one being written
    /// only up to the last durable frame. Behind that a frame may be half there, which must not be copied: a later one
    /// behind it would look like damage.
    pub fn durable_files(&self) -> Vec<(Arc<WalFile>, u64)> {
        let durable = |(sequence, file): (&u64, &Arc<WalFile>)| match self.end {
            Some((last, end)) if last == *sequence => Some((file.clone(), end)),
            Some((last, _)) if last > *sequence => Some((file.clone(), file.capacity)),
            // Begun, and no frame in it is durable yet.
            _ => None,
        };
        self.files.iter().filter_map(durable).collect()
    }

    /// The bytes of a part of an extent: from its frame's buffer, else from its file.
    pub fn source(&self, extent: &WalExtent, start: u32, len: usize) -> Source {
        if let Some(frame) = self.cache.get(extent.frame) {
            let at = (extent.position + start) as usize;
            return Source::Memory(frame.slice(at..at + len));
        }
        let file = self.files.get(&extent.file).expect("a file in use is kept while extents name it");
        let position = extent.file_position + u64::from(start);
        Source::File(FileRange { file: file.clone(), position, len })
    }
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
