//! All segments of a directory: where each partition's older batches are, and how much of each segment is alive.
//!
//! The archive holds a partition's older batches; the newer ones are in the write-ahead log's index. It is
//! told of every change after the change is durable ([`Archive::add`], [`Archive::replace`],
//! [`Archive::trim`], [`Archive::forget`]).
//!
//! ```text
//!  partition ─► runs: first offset, segment          memory, 20 bytes for each partition in each segment
//!  segment   ─► blocks: first extent, position       memory, about a byte an extent
//!  block     ─► extents ─► tables ─► batches         footers; what was read last is in a cache with a bound
//! ```
//! An extent is found in memory but for one block of its segment's directory, and a batch in it by the extent's table. What is
//! dead is counted by the run: one that begins before its log start counts whole.

mod cache;
mod runs;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use cache::{FooterCache, Part};
use runs::{Place, Runs};

use super::segment::{Extent, Newest, Segment, SegmentError, SegmentId, TableEntry, Written};
use crate::contract::{BatchAt, EngineError, FileRange, Piece, Source};
use crate::defects::{Defect, defect};
use crate::map::HashMap;
use crate::types::{Offset, PartitionId};

/// Blocks of directories and tables of batches kept in memory, in bytes.
const CACHE_BYTES: usize = 8 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Archive {
    inner: Mutex<Inner>,
    cache: Mutex<FooterCache>,
}

#[derive(Debug, Default)]
struct Inner {
    partitions: HashMap<PartitionId, Partition>,
    segments: BTreeMap<SegmentId, Live>,
}

/// A partition that has runs.
#[derive(Debug, Default)]
struct Partition {
    runs: Runs,
    /// One past its last offset.
    end: Offset,
}

#[derive(Debug)]
struct Live {
    segment: Arc<Segment>,
    /// Bytes of its runs that partitions have.
    bytes: u64,
}

/// A segment as the rewrite sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentUse {
    pub id: SegmentId,
    /// Bytes of all its extents.
    pub total_bytes: u64,
    /// Bytes of the runs that hold something readable.
    pub live_bytes: u64,
    /// How many extents it was written with.
    pub extents: u64,
}

/// What [`Archive::collect`] found.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub pieces: Vec<Piece>,
    pub bytes: usize,
    /// Where to go on; past the archive's end the write-ahead log has the rest.
    pub next: Offset,
    /// The byte limit stopped it: do not go on elsewhere.
    pub full: bool,
}

/// One batch that a lookup by time found.
#[derive(Debug)]
pub(super) struct FoundBatch {
    pub entry: TableEntry,
    pub piece: Piece,
}

impl Default for Archive {
    fn default() -> Self {
        Archive::with_cache(CACHE_BYTES)
    }
}

/// How a lookup by time looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByTime {
    /// The first batch with a record timestamp at or after this, ms.
    Timestamp(i64),
    /// The first batch appended at or after this, ms.
    AppendTime(i64),
}

impl Archive {
    fn with_cache(bytes: usize) -> Self {
        Archive { inner: Mutex::default(), cache: Mutex::new(FooterCache::new(bytes)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    fn cache(&self) -> MutexGuard<'_, FooterCache> {
        self.cache.lock().expect("nothing panics under this lock")
    }

    /// Whether the extents of new segments lie behind all that the archive has of their partitions. To be asserted before a
    /// manifest names them: a directory in which they overlap cannot be opened.
    pub fn ends_before(&self, segments: &[Written]) -> bool {
        let inner = self.lock();
        let end = |id| inner.partitions.get(id).map_or(Offset::ZERO, |partition: &Partition| partition.end);
        segments.iter().flat_map(|(_, runs)| runs).all(|run| end(&run.partition) <= run.first)
    }

    /// Takes synced segments in, all at once: readers see those of one rewrite together. Their extents lie behind all that
    /// the archive has of their partitions. `log_start` answers where a partition's readable offsets begin, `None` if it
    /// is gone.
    pub fn add(&self, segments: Vec<Written>, log_start: impl Fn(PartitionId) -> Option<Offset>) {
        let mut inner = self.lock();
        for segment in segments {
            inner.take(segment, &log_start);
        }
    }

    /// Takes a segment in that a start found, in whatever order they come.
    pub fn load(&self, segment: Written, log_start: impl Fn(PartitionId) -> Option<Offset>) {
        self.lock().take(segment, log_start);
    }

    /// Puts a segment in the place of others whose live extents were copied into it; of the partitions `emptied` nothing was
    /// alive in them. The others are forgotten and given back; readers that hold them read on. Takes time by what goes.
    pub fn replace(
        &self,
        old: &[SegmentId],
        segment: Written,
        emptied: &[PartitionId],
        log_start: impl Fn(PartitionId) -> Option<Offset>,
    ) -> Vec<Arc<Segment>> {
        let mut inner = self.lock();
        let mut touched: Vec<_> = segment.1.iter().map(|run| run.partition).collect();
        touched.dedup();
        for id in touched.iter().chain(emptied) {
            // Who publishes a log start trims behind that: what the merge left out as dead may still be here.
            inner.trim(*id, log_start(*id).unwrap_or(Offset(i64::MAX)));
        }
        let forgotten = inner.forget_segments(old);
        let of_partition = segment.1.chunk_by(|run, next| run.partition == next.partition);
        for (first, last) in of_partition.filter_map(|runs| Some((runs.first()?, runs.last()?))) {
            if let Some(partition) = inner.partitions.get_mut(&first.partition) {
                partition.runs.forget(old, first.first, last.last);
            }
        }
        for emptied in emptied {
            if let Some(partition) = inner.partitions.get_mut(emptied) {
                partition.runs.forget(old, Offset::ZERO, Offset::ZERO);
            }
        }
        inner.take(segment, log_start);
        for id in touched.iter().chain(emptied) {
            inner.remove_if_empty(*id);
        }
        forgotten
    }

    /// Forgets segments in which nothing is alive, and gives them back.
    pub fn remove(&self, old: &[SegmentId]) -> Vec<Arc<Segment>> {
        self.lock().forget_segments(old)
    }

    /// Drops runs that lie wholly before `log_start`.
    pub fn trim(&self, id: PartitionId, log_start: Offset) {
        self.lock().trim(id, log_start);
    }

    /// Drops a deleted partition.
    pub fn forget(&self, partition: PartitionId) {
        self.trim(partition, Offset(i64::MAX));
    }

    /// One past the partition's last offset here; `None` if the archive has nothing of it.
    pub fn end(&self, partition: PartitionId) -> Option<Offset> {
        self.lock().partitions.get(&partition).map(|partition| partition.end)
    }

    /// Bytes of the partition's runs.
    pub fn size_bytes(&self, partition: PartitionId) -> u64 {
        let inner = self.lock();
        let runs = inner.partitions.get(&partition).into_iter().flat_map(|partition| partition.runs.iter());
        runs.map(|run| u64::from(run.bytes)).sum()
    }

    /// Bytes of memory that it takes, but for what the allocator adds.
    pub fn held_bytes(&self) -> usize {
        let inner = self.lock();
        let runs: usize = inner.partitions.values().map(|partition| partition.runs.held_bytes()).sum();
        let partitions = inner.partitions.capacity() * size_of::<(PartitionId, Partition)>();
        let of_segment = |live: &Live| live.segment.held_bytes() + size_of::<(SegmentId, Live)>();
        let segments: usize = inner.segments.values().map(of_segment).sum();
        drop(inner);
        runs + partitions + segments + self.cache().bytes()
    }

    /// All segments, which can be read while they are held, whatever becomes of their names.
    pub fn pinned(&self) -> Vec<(SegmentId, Arc<Segment>)> {
        self.lock().segments.iter().map(|(id, live)| (*id, live.segment.clone())).collect()
    }

    /// All segments, by id.
    pub fn segments(&self) -> Vec<SegmentUse> {
        let inner = self.lock();
        let as_use = |(id, live): (&SegmentId, &Live)| SegmentUse {
            id: *id,
            total_bytes: live.segment.bytes,
            live_bytes: live.bytes,
            extents: live.segment.extents,
        };
        inner.segments.iter().map(as_use).collect()
    }

    /// Some segments, to be merged.
    pub fn sources(&self, ids: &[SegmentId]) -> Vec<Arc<Segment>> {
        let inner = self.lock();
        ids.iter().filter_map(|id| inner.segments.get(id)).map(|live| live.segment.clone()).collect()
    }

    /// The first offset at or after `offset` that the archive holds.
    pub async fn first_after(
        &self,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Option<Offset>, EngineError> {
        Ok(self.extent_at(partition, offset).await?.map(|(_, extent)| extent.first.max(offset)))
    }

    /// Batches of a partition from `offset` up to `end`, at most `bytes_max` bytes; if `whole_first` the first
    /// batch may be larger. Stops at an offset that the archive does not hold, which may be in the log, and before what
    /// cannot be read, which is an error where it comes first.
    pub async fn collect(
        &self,
        partition: PartitionId,
        offset: Offset,
        end: Offset,
        bytes_max: usize,
        whole_first: bool,
        with_batches: bool,
    ) -> Result<Collected, EngineError> {
        let mut found = Collected { next: offset, ..Collected::default() };
        while found.next < end {
            let here = async {
                let extent = self.extent_at(partition, found.next).await?;
                let Some((segment, extent)) = extent.filter(|(_, extent)| extent.first <= found.next) else {
                    return Ok(None);
                };
                Ok(Some((self.table(&segment, &extent).await?, segment, extent)))
            };
            let (table, segment, extent) = match here.await {
                Ok(Some(here)) => here,
                Ok(None) => break,
                Err(error) if found.pieces.is_empty() => return Err(error),
                Err(_) => {
                    found.full = true;
                    break;
                }
            };
            let mut from = table.partition_point(|entry| entry.base_offset <= found.next).saturating_sub(1);
            if defect(Defect::IndexAheadOfData) {
                from = (from + 1).min(table.len() - 1);
            }
            let start_of = |index: usize| {
                table.get(index).map_or(extent.len, |entry| u64::from(entry.position)) as usize
            };
            let start = start_of(from);
            let mut to = from;
            while to < table.len() && table[to].base_offset < end {
                let with_it = found.bytes + start_of(to + 1) - start;
                if with_it > bytes_max && !(whole_first && found.bytes == 0 && to == from) {
                    found.full = true;
                    break;
                }
                to += 1;
            }
            if to > from {
                found.pieces.push(Piece {
                    source: Source::File(FileRange {
                        file: segment,
                        position: extent.position + start as u64,
                        len: start_of(to) - start,
                    }),
                    batches: if with_batches {
                        table[from..to].iter().map(|entry| batch_at(entry, start)).collect()
                    } else {
                        Vec::new()
                    },
                });
                found.bytes += start_of(to) - start;
            }
            found.next = table.get(to).map_or(extent.last + 1, |entry| entry.base_offset);
            if found.full || to < table.len() {
                break;
            }
        }
        found.full |= found.bytes >= bytes_max;
        Ok(found)
    }

    /// Finds a batch by time among those that reach `log_start` or beyond; `None` if no batch here matches.
    pub async fn find(
        &self,
        partition: PartitionId,
        log_start: Offset,
        by: ByTime,
    ) -> Result<Option<FoundBatch>, EngineError> {
        let mut from = log_start;
        // Only the oldest extent can hold a match that is trimmed: this ends with the second turn.
        while let Some((segment, extent)) = self.extent_by_time(partition, from, by).await? {
            let table = self.table(&segment, &extent).await?;
            let matches = |entry: &TableEntry| match by {
                ByTime::AppendTime(at) => entry.append_ms >= at,
                ByTime::Timestamp(at) => entry.max_timestamp_ms >= at,
            };
            if let Some(index) = readable(&table, log_start).find(|index| matches(&table[*index])) {
                let start = u64::from(table[index].position);
                let end = table.get(index + 1).map_or(extent.len, |next| u64::from(next.position));
                let source = FileRange {
                    file: segment,
                    position: extent.position + start,
                    len: (end - start) as usize,
                };
                let piece = Piece {
                    source: Source::File(source),
                    batches: vec![batch_at(&table[index], start as usize)],
                };
                return Ok(Some(FoundBatch { entry: table[index], piece }));
            }
            from = extent.last + 1;
        }
        Ok(None)
    }

    /// The greatest record timestamp among batches that reach `log_start` or beyond, ms.
    pub async fn max_timestamp(
        &self,
        partition: PartitionId,
        log_start: Offset,
    ) -> Result<Option<i64>, EngineError> {
        let mut greatest = None;
        let mut from = log_start;
        let cut = self.extent_at(partition, log_start).await?;
        if let Some((segment, extent)) = cut.filter(|(_, extent)| extent.first < log_start) {
            let table = self.table(&segment, &extent).await?;
            greatest = readable(&table, log_start).map(|index| table[index].max_timestamp_ms).max();
            from = extent.last + 1;
        }
        // The newest runs first, as far as one may hold what is newer than what was found.
        let mut runs: Vec<(Place, Option<Offset>)> = {
            let inner = self.lock();
            let Some(found) = inner.partitions.get(&partition) else { return Ok(greatest) };
            let nexts = found.runs.iter().skip(1).map(|next| Some(next.first)).chain([None]);
            found.runs.iter().zip(nexts).filter(|(_, next)| next.is_none_or(|next| next > from)).collect()
        };
        runs.sort_by_key(|(run, _)| std::cmp::Reverse(run.newest));
        for (run, next) in runs {
            if greatest.is_some_and(|greatest| Newest::of(greatest) > run.newest) {
                break;
            }
            let mut at = from.max(run.first);
            while let Some((_, extent)) = self.extent_at(partition, at).await?
                && next.is_none_or(|next| extent.first < next)
            {
                greatest = greatest.max(Some(extent.max_timestamp_ms));
                at = extent.last + 1;
            }
        }
        Ok(greatest)
    }

    /// The extent that holds `offset`, else the next one that the archive has.
    async fn extent_at(
        &self,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Option<(Arc<Segment>, Extent)>, EngineError> {
        let mut from = offset;
        loop {
            let found = self.lock().run(partition, |runs| runs.at(from));
            let Some((segment, _, next)) = found else { return Ok(None) };
            if let Some(extent) = self.extent_in(&segment, partition, from).await?
                && next.is_none_or(|next| extent.first < next)
            {
                return Ok(Some((segment, extent)));
            }
            // It lies behind the run's last: a repair lost what was there.
            match next {
                Some(next) => from = from.max(next),
                None => return Ok(None),
            }
        }
    }

    /// The first extent that reaches `from` and can hold a match.
    async fn extent_by_time(
        &self,
        partition: PartitionId,
        from: Offset,
        by: ByTime,
    ) -> Result<Option<(Arc<Segment>, Extent)>, EngineError> {
        let (mut at, least) = match by {
            ByTime::Timestamp(timestamp_ms) => (from, Newest::of(timestamp_ms)),
            ByTime::AppendTime(append_ms) => {
                (self.before_append(partition, from, append_ms).await?, Newest::default())
            }
        };
        loop {
            let found = self.lock().run(partition, |runs| runs.reaching(at, least));
            let Some((_, run, next)) = found else { return Ok(None) };
            at = at.max(run.first);
            while let Some((segment, extent)) = self.extent_at(partition, at).await?
                && next.is_none_or(|next| extent.first < next)
            {
                let can_match = match by {
                    ByTime::AppendTime(at) => extent.last_append_ms >= at,
                    ByTime::Timestamp(at) => extent.max_timestamp_ms >= at,
                };
                if can_match {
                    return Ok(Some((segment, extent)));
                }
                at = extent.last + 1;
            }
            match next {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
    }

    /// An offset at or after `from` before which nothing was appended at or after a time, and behind which is at most a run
    /// that ends before it: append times rise with offsets.
    async fn before_append(
        &self,
        partition: PartitionId,
        from: Offset,
        append_ms: i64,
    ) -> Result<Offset, EngineError> {
        let firsts: Vec<Offset> = {
            let inner = self.lock();
            let Some(found) = inner.partitions.get(&partition) else { return Ok(from) };
            found.runs.iter().map(|run| run.first).filter(|first| *first > from).collect()
        };
        let (mut low, mut high) = (0, firsts.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.extent_at(partition, firsts[middle]).await? {
                Some((_, extent)) if extent.first_append_ms < append_ms => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low.checked_sub(1).map_or(from, |before| firsts[before]))
    }

    /// The first extent of a partition in a segment that ends at or behind `offset`.
    async fn extent_in(
        &self,
        segment: &Arc<Segment>,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Option<Extent>, EngineError> {
        for block in segment.blocks_of(partition, offset) {
            let extents = self.block(segment, block).await?;
            let at = extents.partition_point(|extent| (extent.partition, extent.last) < (partition, offset));
            if let Some(extent) = extents.get(at) {
                return Ok((extent.partition == partition).then_some(*extent));
            }
        }
        Ok(None)
    }

    async fn block(&self, segment: &Arc<Segment>, block: usize) -> Result<Arc<[Extent]>, EngineError> {
        let key = (segment.id, segment.block_position(block));
        if let Some(Part::Block(extents)) = self.cache().get(&key) {
            return Ok(extents);
        }
        let extents: Arc<[Extent]> = segment.block(block).await.map_err(unreadable)?.into();
        self.cache().put(key, Part::Block(extents.clone()));
        Ok(extents)
    }

    async fn table(&self, segment: &Arc<Segment>, extent: &Extent) -> Result<Arc<[TableEntry]>, EngineError> {
        let key = (segment.id, extent.position);
        if let Some(Part::Table(table)) = self.cache().get(&key) {
            return Ok(table);
        }
        let table: Arc<[TableEntry]> = segment.table(extent).await.map_err(unreadable)?.into();
        self.cache().put(key, Part::Table(table.clone()));
        Ok(table)
    }
}

fn unreadable(error: SegmentError) -> EngineError {
    EngineError::Read(error.to_string().into())
}

/// The batches of a table that reach `log_start` or beyond.
fn readable(table: &[TableEntry], log_start: Offset) -> impl Iterator<Item = usize> + '_ {
    let first = table.partition_point(|entry| entry.base_offset <= log_start).saturating_sub(1);
    first..table.len()
}

fn batch_at(entry: &TableEntry, start: usize) -> BatchAt {
    BatchAt {
        base_offset: entry.base_offset,
        position: entry.position as usize - start,
        append_ms: entry.append_ms,
    }
}

impl Inner {
    fn take(&mut self, (segment, runs): Written, log_start: impl Fn(PartitionId) -> Option<Offset>) {
        let id = segment.id;
        let mut live = Live { segment, bytes: 0 };
        for run in &runs {
            // Of a deleted partition, or trimmed while the segment was written.
            if log_start(run.partition).is_none_or(|log_start| run.last < log_start) {
                continue;
            }
            let partition = self.partitions.entry(run.partition).or_default();
            partition.runs.insert(id, run);
            partition.end = partition.end.max(run.last + 1);
            live.bytes += u64::from(run.bytes);
        }
        self.segments.insert(id, live);
    }

    fn trim(&mut self, id: PartitionId, log_start: Offset) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        while let Some(dead) = partition.runs.pop_before(log_start, partition.end) {
            if let Some(live) = self.segments.get_mut(&dead.segment) {
                live.bytes -= u64::from(dead.bytes);
            }
        }
        if partition.runs.is_empty() {
            self.partitions.remove(&id);
        }
    }

    fn forget_segments(&mut self, old: &[SegmentId]) -> Vec<Arc<Segment>> {
        old.iter().filter_map(|id| self.segments.remove(id)).map(|live| live.segment).collect()
    }

    fn remove_if_empty(&mut self, id: PartitionId) {
        if self.partitions.get(&id).is_some_and(|partition| partition.runs.is_empty()) {
            self.partitions.remove(&id);
        }
    }

    /// A run of a partition, with its segment and the offset that the next one begins with.
    fn run(
        &self,
        partition: PartitionId,
        find: impl FnOnce(&Runs) -> Option<(Place, Option<Offset>)>,
    ) -> Option<(Arc<Segment>, Place, Option<Offset>)> {
        let (place, next) = find(&self.partitions.get(&partition)?.runs)?;
        Some((self.segments[&place.segment].segment.clone(), place, next))
    }
}
