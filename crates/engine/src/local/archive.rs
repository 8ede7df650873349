//! All segments of a directory: which extents each partition has in them, and how much of each is alive.
//!
//! The archive holds a partition's older batches; the newer ones are in the write-ahead log's index. It is
//! told of every change after the change is durable ([`Archive::add`], [`Archive::replace`],
//! [`Archive::trim`], [`Archive::forget`]) and answers lookups by reading batch tables, a bounded number of
//! which it keeps.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use super::segment::{Extent, Segment, SegmentId, TableEntry};
use crate::contract::{BatchAt, EngineError, FileRange, Piece, Source};
use crate::defects::{Defect, defect};
use crate::map::HashMap;
use crate::types::{Offset, PartitionId};

/// Batch tables kept in memory, in bytes.
const TABLE_CACHE_BYTES: usize = 8 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Archive {
    inner: Mutex<Inner>,
    tables: Mutex<TableCache>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Each partition's extents in offset order, without overlap.
    partitions: HashMap<PartitionId, VecDeque<Placed>>,
    segments: BTreeMap<SegmentId, Live>,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    segment: SegmentId,
    extent: Extent,
}

#[derive(Debug)]
struct Live {
    segment: Arc<Segment>,
    total_bytes: u64,
    live_bytes: u64,
    extents: u32,
}

/// A segment as the rewrite sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentUse {
    pub id: SegmentId,
    /// Bytes of all its extents.
    pub total_bytes: u64,
    /// Bytes of those that hold something readable.
    pub live_bytes: u64,
    /// How many extents it was written with.
    pub extents: u32,
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

/// How a lookup by time looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByTime {
    /// The first batch with a record timestamp at or after this, ms.
    Timestamp(i64),
    /// The first batch appended at or after this, ms.
    AppendTime(i64),
}

impl Archive {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    /// Takes synced segments in, all at once: readers see those of one rewrite together. Their extents lie behind all that
    /// the archive has of their partitions. `log_start` answers where a partition's readable offsets begin, `None` if it
    /// is gone.
    pub fn add(
        &self,
        segments: Vec<(Arc<Segment>, Vec<Extent>)>,
        log_start: impl Fn(PartitionId) -> Option<Offset>,
    ) {
        let mut inner = self.lock();
        for (segment, extents) in segments {
            inner.add(segment, &extents, &log_start);
        }
    }

    /// Puts a segment in the place of others whose live extents were copied into it. The others are
    /// forgotten and given back; readers that hold them read on.
    pub fn replace(
        &self,
        old: &[SegmentId],
        segment: Arc<Segment>,
        extents: &[Extent],
        log_start: impl Fn(PartitionId) -> Option<Offset>,
    ) -> Vec<Arc<Segment>> {
        let mut inner = self.lock();
        let forgotten = inner.forget_segments(old);
        inner.add(segment, extents, log_start);
        forgotten
    }

    /// Forgets segments in which nothing is alive, and gives them back.
    pub fn remove(&self, old: &[SegmentId]) -> Vec<Arc<Segment>> {
        self.lock().forget_segments(old)
    }

    /// Drops extents that lie wholly before `log_start`.
    pub fn trim(&self, partition: PartitionId, log_start: Offset) {
        let inner = &mut *self.lock();
        let Some(extents) = inner.partitions.get_mut(&partition) else { return };
        while let Some(oldest) = extents.front()
            && oldest.extent.last < log_start
        {
            if let Some(live) = inner.segments.get_mut(&oldest.segment) {
                live.live_bytes -= oldest.extent.len;
            }
            extents.pop_front();
        }
        if extents.is_empty() {
            inner.partitions.remove(&partition);
        }
    }

    /// Drops a deleted partition.
    pub fn forget(&self, partition: PartitionId) {
        self.trim(partition, Offset(i64::MAX));
    }

    /// One past the partition's last offset here; `None` if the archive has nothing of it.
    pub fn end(&self, partition: PartitionId) -> Option<Offset> {
        let inner = self.lock();
        inner.partitions.get(&partition)?.back().map(|placed| placed.extent.last + 1)
    }

    /// Bytes of the partition's extents.
    pub fn size_bytes(&self, partition: PartitionId) -> u64 {
        let inner = self.lock();
        inner
            .partitions
            .get(&partition)
            .map_or(0, |extents| extents.iter().map(|placed| placed.extent.len).sum())
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
            total_bytes: live.total_bytes,
            live_bytes: live.live_bytes,
            extents: live.extents,
        };
        inner.segments.iter().map(as_use).collect()
    }

    /// The live extents of some segments with the segment each is in, partition by partition in offset order:
    /// what a merge copies.
    pub fn extents_of(&self, ids: &[SegmentId]) -> Vec<(Arc<Segment>, Extent)> {
        let inner = self.lock();
        let placed = inner.partitions.values().flatten().filter(|placed| ids.contains(&placed.segment));
        let mut extents: Vec<_> =
            placed.map(|placed| (inner.segments[&placed.segment].segment.clone(), placed.extent)).collect();
        extents.sort_unstable_by_key(|(_, extent)| (extent.partition, extent.first));
        extents
    }

    /// The first offset at or after `offset` that the archive holds.
    pub fn first_after(&self, partition: PartitionId, offset: Offset) -> Option<Offset> {
        self.extent_at(partition, offset).map(|(_, extent)| extent.first.max(offset))
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
        while found.next < end
            && let Some((segment, extent)) = self.extent_at(partition, found.next)
            && extent.first <= found.next
        {
            let table = match self.table(&segment, &extent).await {
                Ok(table) => table,
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
                    batches: match with_batches {
                        true => table[from..to].iter().map(|entry| batch_at(entry, start)).collect(),
                        false => Vec::new(),
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
        while let Some((segment, extent)) = self.extent_by_time(partition, from, by) {
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
        let trimmed = self.extent_at(partition, log_start).filter(|(_, extent)| extent.first < log_start);
        let mut greatest = {
            let inner = self.lock();
            let whole = inner
                .partitions
                .get(&partition)
                .into_iter()
                .flatten()
                .filter(|placed| placed.extent.first >= log_start);
            whole.map(|placed| placed.extent.max_timestamp_ms).max()
        };
        if let Some((segment, extent)) = trimmed {
            let table = self.table(&segment, &extent).await?;
            greatest =
                greatest.max(readable(&table, log_start).map(|index| table[index].max_timestamp_ms).max());
        }
        Ok(greatest)
    }

    fn extent_at(&self, partition: PartitionId, offset: Offset) -> Option<(Arc<Segment>, Extent)> {
        let inner = self.lock();
        let extents = inner.partitions.get(&partition)?;
        let placed = extents.get(extents.partition_point(|placed| placed.extent.last < offset))?;
        Some((inner.segments[&placed.segment].segment.clone(), placed.extent))
    }

    /// The first extent that reaches `from` and can hold a match.
    fn extent_by_time(
        &self,
        partition: PartitionId,
        from: Offset,
        by: ByTime,
    ) -> Option<(Arc<Segment>, Extent)> {
        let inner = self.lock();
        let mut extents =
            inner.partitions.get(&partition)?.iter().filter(|placed| placed.extent.last >= from);
        let placed = extents.find(|placed| match by {
            ByTime::AppendTime(at) => placed.extent.last_append_ms >= at,
            ByTime::Timestamp(at) => placed.extent.max_timestamp_ms >= at,
        })?;
        Some((inner.segments[&placed.segment].segment.clone(), placed.extent))
    }

    async fn table(&self, segment: &Arc<Segment>, extent: &Extent) -> Result<Arc<[TableEntry]>, EngineError> {
        let key = (segment.id, extent.position);
        if let Some(table) = self.tables.lock().expect("nothing panics under this lock").get(&key) {
            return Ok(table);
        }
        let table =
            segment.table(extent).await.map_err(|error| EngineError::Read(error.to_string().into()))?;
        let table: Arc<[TableEntry]> = table.into();
        self.tables.lock().expect("nothing panics under this lock").put(key, table.clone());
        Ok(table)
    }
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
    fn add(
        &mut self,
        segment: Arc<Segment>,
        extents: &[Extent],
        log_start: impl Fn(PartitionId) -> Option<Offset>,
    ) {
        let id = segment.id;
        let total_bytes = extents.iter().map(|extent| extent.len).sum();
        self.segments.insert(id, Live { segment, total_bytes, live_bytes: 0, extents: extents.len() as u32 });
        for extent in extents {
            self.place(Placed { segment: id, extent: *extent }, log_start(extent.partition));
        }
    }

    fn place(&mut self, placed: Placed, log_start: Option<Offset>) {
        // Of a deleted partition, or trimmed while the segment was written.
        if log_start.is_none_or(|log_start| placed.extent.last < log_start) {
            return;
        }
        let extents = self.partitions.entry(placed.extent.partition).or_default();
        let at = extents.partition_point(|other| other.extent.first < placed.extent.first);
        assert!(
            extents.get(at).is_none_or(|next| placed.extent.last < next.extent.first)
                && at.checked_sub(1).is_none_or(|before| extents[before].extent.last < placed.extent.first),
            "extents of one partition never overlap: {placed:?}"
        );
        extents.insert(at, placed);
        if let Some(live) = self.segments.get_mut(&placed.segment) {
            live.live_bytes += placed.extent.len;
        }
    }

    fn forget_segments(&mut self, old: &[SegmentId]) -> Vec<Arc<Segment>> {
        let forgotten =
            old.iter().filter_map(|id| self.segments.remove(id)).map(|live| live.segment).collect();
        self.partitions.retain(|_, extents| {
            extents.retain(|placed| !old.contains(&placed.segment));
            !extents.is_empty()
        });
        forgotten
    }
}

/// A segment and the position of one of its extents. Segment numbers are not used twice: tables of a segment
/// that is gone are found by nobody and age out.
type TableKey = (SegmentId, u64);

/// Recently used tables, second chance: an entry used since the hand passed it stays.
#[derive(Debug, Default)]
struct TableCache {
    tables: HashMap<TableKey, (Arc<[TableEntry]>, bool)>,
    order: VecDeque<TableKey>,
    bytes: usize,
}

impl TableCache {
    fn get(&mut self, key: &TableKey) -> Option<Arc<[TableEntry]>> {
        let (table, used) = self.tables.get_mut(key)?;
        *used = true;
        Some(table.clone())
    }

    fn put(&mut self, key: TableKey, table: Arc<[TableEntry]>) {
        self.bytes += size_of_val(&*table);
        if let Some((old, _)) = self.tables.insert(key, (table, false)) {
            self.bytes -= size_of_val(&*old);
            return;
        }
        self.order.push_back(key);
        while self.bytes > TABLE_CACHE_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some((_, used)) = self.tables.get_mut(&oldest)
                && std::mem::take(used)
            {
                self.order.push_back(oldest);
            } else if let Some((table, _)) = self.tables.remove(&oldest) {
                self.bytes -= size_of_val(&*table);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::segment::{Handles, SegmentWriter};
    use super::*;
    use crate::door::real;
    use crate::types::TopicId;

    const P: PartitionId = PartitionId { topic: TopicId(1), index: 0 };
    const Q: PartitionId = PartitionId { topic: TopicId(1), index: 1 };

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// A segment of batches (partition, base offset, offsets, append time, timestamp), each 10 bytes long.
    async fn segment(
        directory: &std::path::Path,
        id: u64,
        batches: &[(PartitionId, i64, i64, i64, i64)],
    ) -> (Arc<Segment>, Vec<Extent>) {
        let handles = Handles::new(real::door(real::DiskOptions::default()).disk, directory);
        let mut writer = SegmentWriter::create(&handles, SegmentId(id)).await.unwrap();
        for (partition, base, count, append_ms, max_timestamp_ms) in batches {
            let entry = TableEntry {
                base_offset: Offset(*base),
                position: 0,
                append_ms: *append_ms,
                max_timestamp_ms: *max_timestamp_ms,
            };
            writer
                .add(*partition, format!("{base:010}").as_bytes(), &[entry], Offset(base + count - 1))
                .await
                .unwrap();
        }
        writer.finish().await.unwrap()
    }

    fn everything(_: PartitionId) -> Option<Offset> {
        Some(Offset::ZERO)
    }

    async fn text(pieces: &[Piece]) -> String {
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&piece.bytes(0, piece.len()).await.unwrap());
        }
        String::from_utf8(out).unwrap()
    }

    async fn two_segments(directory: &std::path::Path) -> Archive {
        let archive = Archive::default();
        let (one, extents) =
            segment(directory, 1, &[(P, 0, 5, 100, 90), (P, 5, 5, 110, 300), (Q, 0, 1, 105, -1)]).await;
        let (two, of_two) = segment(directory, 2, &[(P, 10, 1, 120, 200), (P, 11, 4, 130, 300)]).await;
        archive.add(vec![(one, extents), (two, of_two)], everything);
        archive
    }

    #[test]
    fn a_read_starts_with_the_batch_that_contains_the_offset_and_crosses_segments() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let archive = two_segments(directory.path()).await;
            let found = archive.collect(P, Offset(7), Offset(15), 1000, false, true).await.unwrap();
            assert_eq!(text(&found.pieces).await, "000000000500000000100000000011");
            assert_eq!((found.bytes, found.next, found.full), (30, Offset(15), false));
            let at: Vec<_> = found
                .pieces
                .iter()
                .flat_map(|piece| &piece.batches)
                .map(|b| (b.base_offset.0, b.position, b.append_ms))
                .collect();
            assert_eq!(at, [(5, 0, 110), (10, 0, 120), (11, 10, 130)]);
        });
    }

    #[test]
    fn limits_stop_between_batches_but_the_first_may_be_whole() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let archive = two_segments(directory.path()).await;
            let found = archive.collect(P, Offset(0), Offset(15), 19, false, false).await.unwrap();
            assert_eq!((found.bytes, found.next, found.full), (10, Offset(5), true));
            let found = archive.collect(P, Offset(0), Offset(15), 1, false, false).await.unwrap();
            assert_eq!((found.bytes, found.full), (0, true));
            let found = archive.collect(P, Offset(0), Offset(15), 1, true, false).await.unwrap();
            assert_eq!((found.bytes, found.full), (10, true));
            let found = archive.collect(P, Offset(0), Offset(11), 1000, true, false).await.unwrap();
            assert_eq!((found.bytes, found.next), (30, Offset(11)), "nothing at or past the end");
        });
    }

    #[test]
    fn lookups_by_time_find_the_first_match_that_is_not_trimmed() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let archive = two_segments(directory.path()).await;
            let base = async |log_start, by| {
                archive.find(P, Offset(log_start), by).await.unwrap().map(|found| found.entry.base_offset.0)
            };
            assert_eq!(base(0, ByTime::Timestamp(91)).await, Some(5));
            assert_eq!(base(0, ByTime::Timestamp(301)).await, None);
            assert_eq!(base(10, ByTime::Timestamp(250)).await, Some(11), "the match at 5 is trimmed");
            assert_eq!(base(0, ByTime::AppendTime(111)).await, Some(10));
            let greatest =
                async |log_start| archive.max_timestamp(P, Offset(log_start)).await.unwrap().unwrap();
            assert_eq!(
                base(0, ByTime::Timestamp(greatest(0).await)).await,
                Some(5),
                "of equal ones the first"
            );
            assert_eq!(base(11, ByTime::Timestamp(greatest(11).await)).await, Some(11));
        });
    }

    #[test]
    fn what_is_trimmed_or_deleted_is_no_longer_alive() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let archive = two_segments(directory.path()).await;
            archive.trim(P, Offset(9));
            assert_eq!(archive.segments()[0].live_bytes, 30, "offset 9 is in the extent");
            archive.trim(P, Offset(10));
            assert_eq!(
                archive.segments().iter().map(|s| (s.id.0, s.total_bytes, s.live_bytes)).collect::<Vec<_>>(),
                [(1, 30, 10), (2, 20, 20)]
            );
            archive.forget(Q);
            archive.remove(&[SegmentId(1)]);
            assert_eq!((archive.end(P), archive.end(Q), archive.size_bytes(P)), (Some(Offset(15)), None, 20));
        });
    }

    #[test]
    fn a_merged_segment_takes_the_place_of_its_sources() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let archive = two_segments(directory.path()).await;
            let sources = archive.extents_of(&[SegmentId(1), SegmentId(2)]);
            assert_eq!(
                sources.iter().map(|(s, e)| (s.id.0, e.partition, e.first.0)).collect::<Vec<_>>(),
                [(1, P, 0), (2, P, 10), (1, Q, 0)]
            );
            let (merged, extents) = segment(
                directory.path(),
                3,
                &[
                    (P, 0, 5, 100, 90),
                    (P, 5, 5, 110, 300),
                    (P, 10, 1, 120, 200),
                    (P, 11, 4, 130, 300),
                    (Q, 0, 1, 105, -1),
                ],
            )
            .await;
            archive
                .replace(&[SegmentId(1), SegmentId(2)], merged, &extents, |p| (p == P).then_some(Offset(3)));
            assert_eq!(
                archive.segments(),
                [SegmentUse { id: SegmentId(3), total_bytes: 50, live_bytes: 40, extents: 2 }]
            );
            let found = archive.collect(P, Offset(3), Offset(15), 1000, false, false).await.unwrap();
            assert_eq!((found.pieces.len(), found.bytes), (1, 40));
        });
    }
}
