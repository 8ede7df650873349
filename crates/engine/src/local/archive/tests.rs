//! What an archive finds, forgets and holds.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::segment::{Handles, Merging, SegmentWriter};
use super::*;
use crate::door::over::FilesOver;
use crate::door::real;
use crate::types::TopicId;

const P: PartitionId = PartitionId { topic: TopicId(1), index: 0 };
const Q: PartitionId = PartitionId { topic: TopicId(1), index: 1 };

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A segment of batches (partition, base offset, offsets, append time, timestamp), each 10 bytes long.
async fn segment(directory: &Path, id: u64, batches: &[(PartitionId, i64, i64, i64, i64)]) -> Written {
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

async fn two_segments(directory: &Path) -> Archive {
    let archive = Archive::default();
    let one = segment(directory, 1, &[(P, 0, 5, 100, 90), (P, 5, 5, 110, 300), (Q, 0, 1, 105, -1)]).await;
    let two = segment(directory, 2, &[(P, 10, 1, 120, 200), (P, 11, 4, 130, 300)]).await;
    archive.add(vec![one, two], everything);
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
        let greatest = async |log_start| archive.max_timestamp(P, Offset(log_start)).await.unwrap().unwrap();
        assert_eq!(base(0, ByTime::Timestamp(greatest(0).await)).await, Some(5), "of equal ones the first");
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
        let mut merging = Merging::new(archive.sources(&[SegmentId(1), SegmentId(2)]));
        let mut sources = Vec::new();
        while let Some((segment, extent)) = merging.next().await.unwrap() {
            sources.push((segment.id.0, extent.partition, extent.first.0));
        }
        assert_eq!(sources, [(1, P, 0), (2, P, 10), (1, Q, 0)]);
        let merged = segment(
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
        archive.replace(&[SegmentId(1), SegmentId(2)], merged, &[], |p| (p == P).then_some(Offset(3)));
        assert_eq!(
            archive.segments(),
            [SegmentUse { id: SegmentId(3), total_bytes: 50, live_bytes: 40, extents: 2 }]
        );
        let found = archive.collect(P, Offset(3), Offset(15), 1000, false, false).await.unwrap();
        assert_eq!((found.pieces.len(), found.bytes), (1, 40));
    });
}

/// A merge leaves out what the published log start makes dead; the archive hears of it a moment later. Where the first merged run
/// was not the oldest one, it stayed, of a segment that was gone: who looked there met a panic.
#[test]
fn a_merge_may_come_before_the_trim_that_it_has_seen() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let archive = Archive::default();
        let mut written = Vec::new();
        for (id, base) in [(1, 0), (2, 10), (3, 20), (4, 30)] {
            let batches = [(P, base, 10, base, base), (Q, base, 10, base, base)];
            written.push(segment(directory.path(), id, &batches).await);
        }
        archive.add(written, everything);
        // Of P some of the last one is left, of Q nothing.
        let merged = segment(directory.path(), 5, &[(P, 30, 10, 30, 30)]).await;
        let log_start = |id| Some(Offset(if id == P { 35 } else { 40 }));
        archive.replace(&[SegmentId(2), SegmentId(4)], merged, &[Q], log_start);
        for offset in [0, 10, 12, 25] {
            assert_eq!(archive.first_after(P, Offset(offset)).await.unwrap(), Some(Offset(30)));
            assert_eq!(archive.first_after(Q, Offset(offset)).await.unwrap(), None);
        }
        archive.trim(P, Offset(35));
        archive.trim(Q, Offset(40));
        let left: Vec<_> = archive.segments().iter().map(|used| (used.id.0, used.live_bytes)).collect();
        assert_eq!(left, [(1, 0), (3, 0), (5, 10)]);
    });
}

/// Counts reads of files, and what they read.
#[derive(Clone, Debug, Default)]
struct Reads {
    count: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

impl Reads {
    fn take(&self) -> (usize, usize) {
        (self.count.swap(0, Ordering::Relaxed), self.bytes.swap(0, Ordering::Relaxed))
    }
}

/// Partitions in each segment of [`many_segments`], and batches of each.
const PARTITIONS: i32 = 200;
const BATCHES: i64 = 5;

fn partition(index: i32) -> PartitionId {
    PartitionId { topic: TopicId(1 + index as u128 / 30), index: index % 30 }
}

/// Segments of an extent for each partition, in five batches of ten offsets and ten bytes. Segment n was written at n seconds.
async fn many_segments(handles: &Arc<Handles>, count: u64) {
    for id in 1..=count {
        let mut writer = SegmentWriter::create(handles, SegmentId(id)).await.unwrap();
        for index in 0..PARTITIONS {
            for batch in 0..BATCHES {
                let base_offset = Offset(((id as i64 - 1) * BATCHES + batch) * 10);
                let at = id as i64 * 1000 + batch;
                let entry = TableEntry { base_offset, position: 0, append_ms: at, max_timestamp_ms: at };
                let batch = format!("{:010}", base_offset.0);
                writer.add(partition(index), batch.as_bytes(), &[entry], base_offset + 9).await.unwrap();
            }
        }
        writer.finish().await.unwrap();
    }
}

async fn open_all(handles: &Arc<Handles>, count: u64, cache_bytes: usize) -> Archive {
    let archive = Archive::with_cache(cache_bytes);
    for id in 1..=count {
        archive.load(Segment::open(handles, SegmentId(id)).await.unwrap(), everything);
    }
    archive
}

/// Every extent of every segment stood in memory, and a start read them all.
#[test]
fn memory_and_start_are_bounded_and_a_lookup_reads_a_block() {
    const SEGMENTS: u64 = 200;
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let reads = Reads::default();
        let disk = real::door(real::DiskOptions::default()).disk;
        let counted = reads.clone();
        let disk = Arc::new(FilesOver::with_reads_watched(disk, move |_, _, len| {
            counted.count.fetch_add(1, Ordering::Relaxed);
            counted.bytes.fetch_add(len, Ordering::Relaxed);
            Ok(())
        }));
        let handles = Handles::new(disk, directory.path());
        many_segments(&handles, SEGMENTS).await;
        reads.take();

        let archive = open_all(&handles, SEGMENTS, CACHE_BYTES).await;
        let (count, bytes) = reads.take();
        assert!(count as u64 <= 2 * SEGMENTS, "{count} reads to open {SEGMENTS} segments");
        assert!(bytes as u64 <= SEGMENTS * (16 << 10), "{bytes} bytes to open them");
        let extents = SEGMENTS as usize * PARTITIONS as usize;
        assert_eq!(archive.segments().iter().map(|segment| segment.extents).sum::<u64>(), extents as u64);
        // 20 bytes for a partition in a segment, and what its list leaves unused; about one for an extent.
        let bound = extents * (23 + 2) + SEGMENTS as usize * 400 + PARTITIONS as usize * 250;
        let held = archive.held_bytes();
        assert!(held <= bound, "{held} bytes for {extents} extents, {bound} were promised");

        let at = |segment: i64| Offset(segment * BATCHES * 10 + 25);
        let look = async |archive: &Archive, index, from: Offset| {
            let found = archive.collect(partition(index), from, from + 3, 1000, true, false).await.unwrap();
            text(&found.pieces).await
        };
        reads.take();
        let cold = look(&archive, 70, at(120)).await;
        assert_eq!(cold, format!("{:010}", at(120).0 - 5));
        assert_eq!(reads.take().0, 3, "block, table, batch");
        assert_eq!(look(&archive, 70, at(120)).await, cold);
        assert_eq!(reads.take().0, 1, "the batch: the rest is in memory");

        let base = |segment: i64, batch: i64| Offset(((segment - 1) * BATCHES + batch) * 10);
        let found = archive.find(partition(70), Offset(0), ByTime::Timestamp(150_002)).await.unwrap();
        assert_eq!(found.unwrap().entry.base_offset, base(150, 2));
        let by_timestamp = reads.take().0;
        assert!(by_timestamp <= 6, "{by_timestamp} reads");
        let found = archive.find(partition(70), Offset(0), ByTime::AppendTime(50_004)).await.unwrap();
        assert_eq!(found.unwrap().entry.base_offset, base(50, 4));
        let by_append_time = reads.take().0;
        assert!(by_append_time <= 16, "{by_append_time} reads: the half of what is left each time");
        assert_eq!(archive.max_timestamp(partition(7), Offset(0)).await.unwrap(), Some(200_004));
        let by_greatest = reads.take().0;
        assert!(by_greatest <= 6, "{by_greatest} reads");

        // What was read does not pile up, and what was thrown out reads the same again.
        let small = open_all(&handles, SEGMENTS, 100 << 10).await;
        for segment in 0..SEGMENTS as i64 {
            for index in [3, 50, 99] {
                let expected = format!("{:010}", at(segment).0 - 5);
                assert_eq!(look(&small, index, at(segment)).await, expected, "{index} in {segment}");
            }
            assert!(small.held_bytes() <= held + (100 << 10));
        }
        reads.take();
        assert_eq!(look(&small, 3, at(0)).await, format!("{:010}", at(0).0 - 5));
        assert_eq!(reads.take().0, 3, "it was thrown out meanwhile");
    });
}

/// A partition of [`an_archive_has_what_a_list_of_extents_would_have`].
#[derive(Clone, Default)]
struct Listed {
    /// First and last offset, append time, timestamp.
    extents: Vec<(i64, i64, i64, i64)>,
    log_start: i64,
    end: i64,
    is_deleted: bool,
}

impl Listed {
    fn live(&self) -> impl Iterator<Item = &(i64, i64, i64, i64)> {
        self.extents.iter().filter(|(_, last, ..)| !self.is_deleted && *last >= self.log_start)
    }
}

fn start_of(listed: &[Listed], id: PartitionId) -> Option<Offset> {
    let found = listed.iter().enumerate().find(|(index, _)| partition(*index as i32) == id);
    found.filter(|(_, listed)| !listed.is_deleted).map(|(_, listed)| Offset(listed.log_start))
}

/// An archive through rounds of the rewrite, trims, deletes and merges of any segments, beside plain lists.
#[test]
fn an_archive_has_what_a_list_of_extents_would_have() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let handles = Handles::new(real::door(real::DiskOptions::default()).disk, directory.path());
        for seed in 1..=24u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut next = |bound: i64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % bound as u64) as i64
            };
            let archive = Archive::with_cache(4 << 10);
            let mut listed = vec![Listed::default(); 6];
            let mut segments = seed * 1000;
            for turn in 1..50i64 {
                match next(6) {
                    0..=2 => {
                        // Two segments, in which the extents of a partition alternate, are shown at once.
                        let mut round = [Vec::new(), Vec::new()];
                        for (index, listed) in
                            listed.iter_mut().enumerate().filter(|(_, one)| !one.is_deleted)
                        {
                            for _ in 0..next(4) {
                                let first = listed.end + next(2);
                                let last = first + next(5);
                                let timestamp = turn * 1000 + next(3000) - 1000;
                                listed.end = last + 1;
                                listed.extents.push((first, last, turn, timestamp));
                                round[next(2) as usize].push((
                                    partition(index as i32),
                                    first,
                                    last,
                                    timestamp,
                                ));
                            }
                        }
                        let mut written = Vec::new();
                        for extents in round {
                            segments += 1;
                            let mut writer =
                                SegmentWriter::create(&handles, SegmentId(segments)).await.unwrap();
                            for (id, first, last, max_timestamp_ms) in extents {
                                let base_offset = Offset(first);
                                let entry = TableEntry {
                                    base_offset,
                                    position: 0,
                                    append_ms: turn,
                                    max_timestamp_ms,
                                };
                                writer.add(id, b"0123456789", &[entry], Offset(last)).await.unwrap();
                            }
                            written.push(writer.finish().await.unwrap());
                        }
                        archive.add(written, |id| start_of(&listed, id));
                    }
                    3 => {
                        let index = next(6) as usize;
                        let Listed { log_start, end, .. } = listed[index];
                        listed[index].log_start = log_start + next(end - log_start + 1);
                        archive.trim(partition(index as i32), Offset(listed[index].log_start));
                    }
                    4 if next(5) == 0 => {
                        let index = next(6);
                        listed[index as usize].is_deleted = true;
                        archive.forget(partition(index as i32));
                    }
                    _ => {
                        let mut ids: Vec<_> = archive.segments().iter().map(|segment| segment.id).collect();
                        ids.retain(|_| next(3) == 0);
                        segments += 1;
                        let mut writer = SegmentWriter::create(&handles, SegmentId(segments)).await.unwrap();
                        let mut merging = Merging::new(archive.sources(&ids));
                        let (mut seen, mut copied) = (Vec::new(), Vec::new());
                        while let Some((segment, extent)) = merging.next().await.unwrap() {
                            seen.push(extent.partition);
                            if start_of(&listed, extent.partition).is_some_and(|start| extent.last >= start) {
                                let bytes = segment.checked_extent(&extent).await.unwrap();
                                let table = segment.table(&extent).await.unwrap();
                                writer.add(extent.partition, &bytes, &table, extent.last).await.unwrap();
                                copied.push(extent.partition);
                            }
                        }
                        seen.retain(|id| !copied.contains(id));
                        let merged = writer.finish().await.unwrap();
                        let gone = archive.replace(&ids, merged, &seen, |id| start_of(&listed, id));
                        assert_eq!(gone.len(), ids.len());
                    }
                }
                for (index, listed) in listed.iter().enumerate() {
                    let id = partition(index as i32);
                    let place = format!("seed {seed} turn {turn} partition {index}");
                    let end = listed.live().last().map(|(_, last, ..)| Offset(*last + 1));
                    assert_eq!(archive.end(id), end, "{place}");
                    let log_start = Offset(listed.log_start);
                    let offset = listed.log_start + next(listed.end - listed.log_start + 2);
                    let found = archive.first_after(id, Offset(offset)).await.unwrap();
                    let wanted = listed.live().find(|(_, last, ..)| *last >= offset);
                    let wanted = wanted.map(|(first, ..)| Offset(offset.max(*first)));
                    assert_eq!(found, wanted, "{place} offset {offset}");

                    let time = next(turn * 1000 + 1000);
                    let found = archive.find(id, log_start, ByTime::Timestamp(time)).await.unwrap();
                    let wanted = listed.live().find(|(.., timestamp)| *timestamp >= time);
                    let base = |found: Option<FoundBatch>| found.map(|found| found.entry.base_offset.0);
                    assert_eq!(base(found), wanted.map(|(first, ..)| *first), "{place} timestamp {time}");
                    let time = time / 1000;
                    let found = archive.find(id, log_start, ByTime::AppendTime(time)).await.unwrap();
                    let wanted = listed.live().find(|(_, _, append, _)| *append >= time);
                    assert_eq!(base(found), wanted.map(|(first, ..)| *first), "{place} append time {time}");
                    let found = archive.max_timestamp(id, log_start).await.unwrap();
                    assert_eq!(found, listed.live().map(|(.., timestamp)| *timestamp).max(), "{place}");
                }
            }
            let again = Archive::with_cache(4 << 10);
            for segment in archive.segments() {
                let opened = Segment::open(&handles, segment.id).await.unwrap();
                again.load(opened, |id| start_of(&listed, id));
            }
            for (again, here) in again.segments().iter().zip(archive.segments()) {
                assert_eq!(
                    (again.id, again.total_bytes, again.extents),
                    (here.id, here.total_bytes, here.extents)
                );
                // A run before the log start that a gap follows is not counted by a start.
                assert!(again.live_bytes <= here.live_bytes, "seed {seed}: {again:?} {here:?}");
            }
            for index in 0..6 {
                let id = partition(index);
                assert_eq!(again.end(id), archive.end(id), "seed {seed}");
                for offset in listed[index as usize].log_start..listed[index as usize].end {
                    let here = archive.first_after(id, Offset(offset)).await.unwrap();
                    assert_eq!(again.first_after(id, Offset(offset)).await.unwrap(), here);
                }
            }
        }
    });
}
