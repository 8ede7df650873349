//! Segments: what is written is found again, and every flipped bit.

use proptest::prelude::*;

use super::*;
use crate::door::real;
use crate::types::TopicId;

fn handles(directory: &Path) -> Arc<Handles> {
    Handles::new(real::door(real::DiskOptions::default()).disk, directory)
}

#[test]
fn files_of_segments_that_are_read_now_and_then_are_closed_and_opened() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let handles = handles(directory.path());
        let mut segments = Vec::new();
        for id in 0..2 * HANDLES_MAX as u64 {
            let mut writer = SegmentWriter::create(&handles, SegmentId(id)).await.unwrap();
            let entry = TableEntry { base_offset: Offset(0), position: 0, append_ms: 1, max_timestamp_ms: 1 };
            writer.add(partition(0), &id.to_le_bytes(), &[entry], Offset(0)).await.unwrap();
            segments.push(writer.finish().await.unwrap());
        }
        for turn in 0..3 {
            for (segment, _) in &segments {
                let extents = extents_of(segment).await.unwrap();
                let bytes = segment.checked_extent(&extents[0]).await.unwrap();
                assert_eq!(bytes[..], segment.id.0.to_le_bytes(), "turn {turn}");
            }
            assert_eq!(handles.lock().files.len(), HANDLES_MAX);
        }
    });
}

/// All extents of a segment, and its header is checked.
async fn extents_of(segment: &Segment) -> Result<Vec<Extent>, SegmentError> {
    segment.check_header().await?;
    let mut extents = Vec::new();
    for block in 0..segment.block_count() {
        extents.extend(segment.block(block).await?);
    }
    Ok(extents)
}

fn partition(index: i32) -> PartitionId {
    PartitionId { topic: TopicId(7), index }
}

/// Batches of arbitrary bytes: (partition, offsets taken, append time step, timestamp, bytes).
fn batches() -> impl Strategy<Value = Vec<(i32, u8, u8, i64, Vec<u8>)>> {
    let batch =
        (0..4i32, 1..9u8, 0..9u8, -1..2_000_000_000_000i64, proptest::collection::vec(any::<u8>(), 1..200));
    proptest::collection::vec(batch, 1..60).prop_map(|mut batches| {
        batches.sort_by_key(|b| b.0);
        batches
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_written_is_found_again(batches in batches()) {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let mut writer = SegmentWriter::create(&handles(directory.path()), SegmentId(3)).await.unwrap();
            let mut expected: Vec<(PartitionId, TableEntry, Vec<u8>)> = Vec::new();
            let (mut next, mut now, mut of) = (0, 1_700_000_000_000, -1);
            for (index, count, step, timestamp, bytes) in batches {
                if index != of {
                    (next, of) = (0, index);
                }
                now += i64::from(step);
                let entry = TableEntry { base_offset: Offset(next), position: 0, append_ms: now, max_timestamp_ms: timestamp };
                next += i64::from(count);
                writer.add(partition(index), &bytes, &[entry], Offset(next - 1)).await.unwrap();
                expected.push((partition(index), entry, bytes));
            }
            let (written, runs) = writer.finish().await.unwrap();
            let (segment, read) = Segment::open(&handles(directory.path()), SegmentId(3)).await.unwrap();
            assert_eq!((runs, &written.blocks), (read, &segment.blocks));
            let extents = extents_of(&segment).await.unwrap();
            let mut found = Vec::new();
            for extent in &extents {
                let bytes = segment.checked_extent(extent).await.unwrap();
                let table = segment.table(extent).await.unwrap();
                for (i, entry) in table.iter().enumerate() {
                    let end = table.get(i + 1).map_or(bytes.len(), |next| next.position as usize);
                    found.push((extent.partition, TableEntry { position: 0, ..*entry }, bytes[entry.position as usize..end].to_vec()));
                }
            }
            assert_eq!(found, expected);
        });
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // plants the damage behind the door's back
fn every_flipped_bit_is_found() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let mut writer = SegmentWriter::create(&handles(directory.path()), SegmentId(1)).await.unwrap();
        for offset in 0..5 {
            let entry = TableEntry {
                base_offset: Offset(offset),
                position: 0,
                append_ms: 1000 + offset,
                max_timestamp_ms: 5,
            };
            writer
                .add(partition(0), b"a batch, as far as a segment cares", &[entry], Offset(offset))
                .await
                .unwrap();
        }
        writer.finish().await.unwrap();
        let path = directory.path().join(SegmentId(1).file_name());
        let good = std::fs::read(&path).unwrap();
        for byte in 0..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 1 << (byte % 8);
            std::fs::write(&path, &bad).unwrap();
            let outcome = async {
                let (segment, _) = Segment::open(&handles(directory.path()), SegmentId(1)).await?;
                for extent in &extents_of(&segment).await? {
                    segment.checked_extent(extent).await?;
                    segment.table(extent).await?;
                }
                Ok::<_, SegmentError>(())
            };
            assert!(
                matches!(outcome.await, Err(SegmentError::Damaged { .. })),
                "byte {byte} of {}",
                good.len()
            );
        }
    });
}

/// A directory of many blocks: partitions of 1 to 300 extents, of several topics.
#[test]
fn any_extent_is_found_in_the_block_that_the_index_names() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let handles = handles(directory.path());
        let mut writer = SegmentWriter::create(&handles, SegmentId(9)).await.unwrap();
        let id = |n: i32| PartitionId { topic: TopicId(5 + n as u128 / 7), index: n % 7 };
        let extents_in = |n: i32| if n % 10 == 3 { 300 } else { 1 + i64::from(n) % 3 };
        for n in 0..200 {
            for extent in 0..extents_in(n) {
                // A gap before each begins an extent.
                let base_offset = Offset(5 + extent * 10);
                let entry =
                    TableEntry { base_offset, position: 0, append_ms: extent, max_timestamp_ms: extent };
                writer.add(id(n), b"some bytes", &[entry], base_offset + 6).await.unwrap();
            }
        }
        writer.finish().await.unwrap();
        let (segment, runs) = Segment::open(&handles, SegmentId(9)).await.unwrap();
        assert!(segment.block_count() > 20, "{} blocks", segment.block_count());
        assert_eq!(runs.len() as u64, segment.extents, "a gap ends a run");
        let all = extents_of(&segment).await.unwrap();
        assert_eq!(all.len() as u64, segment.extents);
        for n in 0..200 {
            let of_n: Vec<_> = all.iter().filter(|extent| extent.partition == id(n)).collect();
            assert_eq!(of_n.len() as i64, extents_in(n));
            for offset in (0..extents_in(n) * 10 + 10).step_by(3) {
                let blocks = segment.blocks_of(id(n), Offset(offset));
                assert!(blocks.len() <= 2, "{blocks:?}");
                let mut found = None;
                for block in blocks {
                    let extents = segment.block(block).await.unwrap();
                    let here = extents.into_iter().find(|e| e.partition == id(n) && e.last >= Offset(offset));
                    found = found.or(here);
                }
                let wanted = of_n.iter().find(|extent| extent.last >= Offset(offset));
                assert_eq!(found.as_ref(), wanted.copied(), "partition {n} offset {offset}");
            }
        }
        assert_eq!(segment.blocks_of(PartitionId { topic: TopicId(1), index: 0 }, Offset(3)), 0..0);
    });
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let handles = handles(directory.path());
        let mut writer = SegmentWriter::create(&handles, SegmentId(1)).await.unwrap();
        let entry = TableEntry { base_offset: Offset(0), position: 0, append_ms: 1, max_timestamp_ms: 1 };
        writer.add(partition(0), b"one", &[entry], Offset(0)).await.unwrap();
        writer.finish().await.unwrap();
        let [one, two] = [1, 2].map(|id| directory.path().join(SegmentId(id).file_name()));
        handles.disk.rename(&one, &two).await.unwrap();
        let refused = Segment::open(&handles, SegmentId(2)).await.unwrap_err();
        assert!(matches!(refused, SegmentError::Damaged { .. }), "{refused}");
    });
}
