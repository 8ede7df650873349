//! How segments and snapshots are written: what large ones hold in memory meanwhile.

use std::sync::Mutex;

use super::segment::{Handles, Segment, SegmentId, SegmentWriter, TableEntry};
use super::snapshot::SnapshotWriter;
use super::*;
use crate::state::Lane;
use crate::types::LogPosition;

/// A write: where, how much, and the memory that it came from.
type Written = (u64, usize, usize);

/// A disk whose writes are watched, and these.
fn watched_disk() -> (FilesOver, Arc<Mutex<Vec<Written>>>) {
    let writes: Arc<Mutex<Vec<Written>>> = Arc::default();
    let files = writes.clone();
    let over = move |_: &Path, below| Arc::new(WatchedFile { below, writes: files.clone() }) as Arc<dyn File>;
    (FilesOver::new(door(DiskOptions::default()).disk, over), writes)
}

#[derive(Debug)]
struct WatchedFile {
    below: Arc<dyn File>,
    writes: Arc<Mutex<Vec<Written>>>,
}

impl FileOver for WatchedFile {
    fn below(&self) -> &dyn File {
        &*self.below
    }

    fn write_at_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.writes.lock().unwrap().push((position, bytes.len(), bytes.as_ptr() as usize));
        self.below.write_at_from(site, position, bytes)
    }
}

/// A merge of a GiB of small batches held the tables of all of them in memory until its end, some 65 MB, and then twice.
#[tokio::test]
async fn tables_of_small_batches_do_not_stay_in_memory() {
    const PARTITIONS: i32 = 200;
    const BATCHES: i64 = 100;
    for unused in [0, 1 << 20] {
        let directory = tempfile::tempdir().unwrap();
        let (disk, writes) = watched_disk();
        let handles = Handles::new(Arc::new(disk), directory.path());
        let bytes = [7; 10 * BATCHES as usize];
        let entry = |at| TableEntry {
            base_offset: Offset(at),
            position: 10 * at as u32,
            append_ms: (at % 2) << 50,
            max_timestamp_ms: -1,
        };
        let table: Vec<_> = (0..BATCHES).map(entry).collect();
        let most = PARTITIONS as u64 * bytes.len() as u64 + unused;
        let mut writer = SegmentWriter::create(&handles, SegmentId(1)).await.unwrap().at_most(most);
        for index in 0..PARTITIONS {
            writer.add(partition(index), &bytes, &table, Offset(BATCHES - 1)).await.unwrap();
        }
        let (written, _) = writer.finish().await.unwrap();

        let mut of_tables = writes.lock().unwrap().clone();
        of_tables.retain(|(position, ..)| *position >= 64 + most);
        let largest = of_tables.iter().map(|(_, len, _)| *len).max().unwrap();
        let all: usize = of_tables.iter().map(|(_, len, _)| *len).sum();
        assert!(all > 250 << 10, "{all} bytes of tables");
        assert!(largest < 20 << 10, "{largest} bytes at once: what is left of them, and the directory");

        let (segment, _) = Segment::open(&handles, SegmentId(1)).await.unwrap();
        assert_eq!((segment.extents, segment.bytes), (PARTITIONS as u64, most - unused));
        assert_eq!((written.extents, written.bytes), (segment.extents, segment.bytes));
        for block in 0..segment.block_count() {
            for extent in segment.block(block).await.unwrap() {
                assert_eq!(segment.checked_extent(&extent).await.unwrap()[..], bytes);
                assert_eq!(segment.table(&extent).await.unwrap(), table);
            }
        }
    }
}

/// A lane was copied into a buffer before it was written: a group that has all that groups may have, twice.
#[tokio::test]
async fn a_large_lane_is_written_from_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, writes) = watched_disk();
    let mut writer = SnapshotWriter::create(&disk, directory.path(), 1).await.unwrap();
    let mut large = None;
    for lane in Lane::all() {
        let bytes = vec![lane.0; if lane.0 == 7 { 8 << 20 } else { 100 }];
        large = large.or((lane.0 == 7).then_some((bytes.len(), bytes.as_ptr() as usize)));
        writer.lane(lane, LogPosition(u64::from(lane.0)), bytes).await.unwrap();
    }
    let size = writer.finish().await.unwrap();
    let writes = writes.lock().unwrap().clone();
    assert!(writes.iter().any(|(_, len, from)| Some((*len, *from)) == large), "{writes:?}");
    assert_eq!(writes.len(), 3, "what comes before and behind it is written together: {writes:?}");

    let bytes = snapshot::read(&disk, directory.path(), 1).await.unwrap();
    assert_eq!(bytes.len() as u64, size);
    for (lane, position, bytes) in snapshot::lanes(1, &bytes).unwrap() {
        assert_eq!(position.0, u64::from(lane.0));
        assert_eq!(bytes.len(), if lane.0 == 7 { 8 << 20 } else { 100 });
        assert!(bytes.iter().all(|byte| *byte == lane.0), "{lane:?}");
    }
}
