//! What is particular to the local engine; the contract itself is in the conformance suite.

#![allow(
    clippy::disallowed_methods,
    reason = "damages files behind the engine's back and starts writers of its own"
)]

mod backup;
mod conformance;
mod crash;
mod lookup;
mod merges;
mod repair;
mod rewrite;
mod samples;
mod space;
mod writes;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use kolk_wire_kafka::records::{BatchBuilder, BatchHeader, Compression};

use super::*;
use crate::contract::{Batch, EngineExt, Isolation, Read, Source};
use crate::door::over::{DiskOver, FileOver, FilesOver};
use crate::door::real::{DiskOptions, door};
use crate::door::{Disk, File, Open, Site};
use crate::state::{CreateTopic, TrimBy};
use crate::types::TopicId;

const TOPIC: TopicId = TopicId(77);

fn partition(index: i32) -> PartitionId {
    PartitionId { topic: TOPIC, index }
}

fn batch(value: &[u8], timestamp_ms: i64) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(timestamp_ms, Some(b"key"), Some(value), &[]);
    let bytes = builder.build().unwrap();
    let header = BatchHeader::parse(&bytes).unwrap();
    Batch {
        bytes,
        offset_count: header.last_offset_delta + 1,
        max_timestamp_ms: header.max_timestamp,
        base_timestamp_ms: header.base_timestamp,
        producer: None,
        has_keyless: false,
    }
}

fn append_of(index: i32, value: &[u8], timestamp_ms: i64) -> Append {
    Append { partition: partition(index), shard: None, batch: batch(value, timestamp_ms) }
}

async fn create_topic(engine: &LocalEngine, partitions: i32) {
    let create = CreateTopic {
        name: "t".into(),
        id: TOPIC,
        partitions,
        configs: Default::default(),
        tags: Default::default(),
        now_ms: 1,
    };
    engine.propose(Command::CreateTopic(create)).await.unwrap().unwrap();
}

/// Deletes the records before an offset, as a client does.
async fn trim(engine: &LocalEngine, index: i32, to: i64) {
    let trim = Command::Trim { partition: partition(index), to: Some(Offset(to)), by: TrimBy::Client };
    engine.propose(trim).await.unwrap().unwrap();
}

/// Flips a bit of a file.
fn flip(path: &Path, byte: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[byte as usize] ^= 1;
    std::fs::write(path, &bytes).unwrap();
}

/// A read of a partition that waits for nothing.
fn read_of(index: i32, offset: i64) -> ReadRequest {
    ReadRequest {
        reads: vec![Read { partition: partition(index), offset: Offset(offset), max_bytes: 1 << 20 }],
        min_bytes: 0,
        max_bytes: 1 << 20,
        max_wait_ms: 0,
        isolation: Isolation::ReadUncommitted,
        with_batches: true,
    }
}

async fn values(engine: &LocalEngine, index: i32, offset: i64) -> Vec<String> {
    let answer = engine.read(read_of(index, offset)).await.unwrap().remove(0).unwrap();
    let mut values = Vec::new();
    for piece in &answer.pieces {
        let bytes = piece.bytes(0, piece.len()).await.unwrap();
        for found in kolk_wire_kafka::records::Batches::new(bytes) {
            let (header, bytes) = found.unwrap();
            header.check_crc(&bytes).unwrap();
            assert_eq!(header.leader_epoch, 0);
            let block = kolk_wire_kafka::records::record::decompressed(&header, &bytes, 1 << 20).unwrap();
            for record in kolk_wire_kafka::records::RecordIter::new(&header, &block) {
                let record = record.unwrap();
                values.push(format!(
                    "{}:{}",
                    record.offset,
                    String::from_utf8_lossy(&record.value.unwrap()[..record.value.unwrap().len().min(8)])
                ));
            }
        }
    }
    values
}

struct Dir {
    dir: tempfile::TempDir,
}

impl Dir {
    fn new() -> Self {
        Dir { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    async fn open(&self) -> Arc<LocalEngine> {
        self.try_open(LocalOptions::default()).await.unwrap()
    }

    async fn try_open(&self, options: LocalOptions) -> Result<Arc<LocalEngine>, OpenError> {
        LocalEngine::open(door(DiskOptions::default()), &self.path(), options).await
    }
}

/// Stops one read of a file of this machine, so that a test can do something else meanwhile.
#[derive(Clone, Debug)]
struct Gate {
    /// Files with names that end in this.
    extension: &'static str,
    closed: Arc<AtomicBool>,
    reached: Arc<tokio::sync::Notify>,
    opened: Arc<tokio::sync::Notify>,
}

impl Gate {
    fn new(extension: &'static str) -> Gate {
        Gate { extension, closed: Arc::default(), reached: Arc::default(), opened: Arc::default() }
    }

    fn door(&self) -> Door {
        let door = door(DiskOptions::default());
        let gate = self.clone();
        let over = move |path: &Path, below: Arc<dyn File>| {
            let is_gated = path.extension().is_some_and(|extension| extension == gate.extension);
            if is_gated { Arc::new(GatedFile { below, gate: gate.clone() }) } else { below }
        };
        Door { disk: Arc::new(FilesOver::new(door.disk.clone(), over)), ..door }
    }

    /// The next read waits.
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Returns once a read waits.
    async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets the read go on.
    fn open(&self) {
        self.opened.notify_one();
    }
}

#[derive(Debug)]
struct GatedFile {
    below: Arc<dyn File>,
    gate: Gate,
}

impl FileOver for GatedFile {
    fn below(&self) -> &dyn File {
        &*self.below
    }

    fn read_at_from(&self, site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            if self.gate.closed.swap(false, Ordering::SeqCst) {
                self.gate.reached.notify_one();
                self.gate.opened.notified().await;
            }
            self.below.read_at_from(site, position, len).await
        })
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_stop_and_after_a_crash() {
    let dir = Dir::new();
    let engine = dir.open().await;
    let cluster = engine.cluster_id();
    create_topic(&engine, 3).await;
    for i in 0..10 {
        let answer = engine.append(vec![append_of(i % 3, format!("v{i}").as_bytes(), i64::from(i))]);
        assert_eq!(answer.await.unwrap()[0].as_ref().unwrap().base_offset, Offset(i64::from(i / 3)));
    }
    assert_eq!(values(&engine, 0, 1).await, ["1:v3", "2:v6", "3:v9"]);
    engine.close().await.unwrap();
    assert!(matches!(engine.append(vec![]).await, Err(EngineError::Closed(_))));

    for round in 0..3 {
        let engine = dir.open().await;
        assert_eq!(engine.cluster_id(), cluster);
        assert_eq!(values(&engine, 0, 1).await[..3], ["1:v3", "2:v6", "3:v9"]);
        assert_eq!(values(&engine, 1, 0).await[..3], ["0:v1", "1:v4", "2:v7"]);
        let answer = engine.append(vec![append_of(2, format!("again{round}").as_bytes(), 5)]).await.unwrap();
        assert_eq!(answer[0].as_ref().unwrap().base_offset, Offset(3 + round));
        // Dropped without a close: the log ends unsealed.
        drop(engine);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_frames_and_offsets_stay_dense() {
    for commit_by in [CommitBy::Auto, CommitBy::Leader, CommitBy::Thread] {
        let dir = Dir::new();
        let engine = dir.try_open(LocalOptions { commit_by, ..Default::default() }).await.unwrap();
        create_topic(&engine, 4).await;
        let mut writers = Vec::new();
        for writer in 0..16 {
            let engine = engine.clone();
            writers.push(tokio::task::spawn(async move {
                let mut last = -1;
                for round in 0..20 {
                    let pipeline: Vec<_> = (0..8)
                        .map(|i| {
                            let value = format!("{writer}-{round}-{i}");
                            engine.append(vec![append_of(writer % 4, value.as_bytes(), 0)])
                        })
                        .collect();
                    for pending in pipeline {
                        let offset = pending.await.unwrap()[0].as_ref().unwrap().base_offset.0;
                        assert!(offset > last, "order within a writer");
                        last = offset;
                    }
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        for index in 0..4 {
            assert_eq!(engine.published(partition(index)).unwrap().high_watermark, Offset(640));
            let found = values(&engine, index, 0).await;
            assert_eq!(found.len(), 640);
        }
        let frames = engine.log.durable();
        assert!(frames < 16 * 20 * 8, "{frames} frames: nothing was ever committed together");
        drop(engine);
        let engine = dir.open().await;
        assert_eq!(values(&engine, 3, 0).await.len(), 640);
    }
}

#[tokio::test]
async fn what_nobody_awaits_becomes_durable_soon() {
    let dir = Dir::new();
    let engine = dir.open().await;
    create_topic(&engine, 1).await;
    let watch = engine.watch(&[(partition(0), Offset(0))]);
    drop(engine.append(vec![append_of(0, b"forgotten", 0)]));
    watch.await;
    assert_eq!(values(&engine, 0, 0).await, ["0:forgotte"]);
}

#[tokio::test]
async fn a_read_waits_for_its_bytes() {
    let dir = Dir::new();
    let engine = dir.open().await;
    create_topic(&engine, 1).await;
    let one = append_of(0, &[b'x'; 100], 0);
    let len = one.batch.bytes.len();
    let read = |min_bytes, max_wait_ms| ReadRequest {
        reads: vec![Read { partition: partition(0), offset: Offset(0), max_bytes: 1 << 20 }],
        min_bytes,
        max_bytes: 1 << 20,
        max_wait_ms,
        isolation: Isolation::ReadCommitted,
        with_batches: true,
    };
    let waiting = engine.read(read(3 * len, 60_000));
    let writing = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            engine.append(vec![one.clone()]).await.unwrap()[0].as_ref().unwrap();
        }
    };
    let (answer, ()) = tokio::join!(waiting, writing);
    let answer = answer.unwrap().remove(0).unwrap();
    assert_eq!(answer.len(), 3 * len);
    let at: Vec<_> = answer.pieces.iter().flat_map(|piece| &piece.batches).collect();
    assert_eq!(at.iter().map(|batch| batch.base_offset.0).collect::<Vec<_>>(), [0, 1, 2]);
    let timed_out = engine.read(read(4 * len, 5)).await.unwrap().remove(0).unwrap();
    assert_eq!(timed_out.len(), 3 * len);
}

#[tokio::test]
async fn files_are_filled_and_read_from_disk() {
    let dir = Dir::new();
    let options = LocalOptions {
        wal_file_bytes_first: 1 << 20,
        wal_file_bytes_max: 2 << 20,
        tail_cache_bytes: 64 << 10,
        ..Default::default()
    };
    let engine = dir.try_open(options.clone()).await.unwrap();
    create_topic(&engine, 1).await;
    let value = vec![b'x'; 300_000];
    for _ in 0..20 {
        engine.append(vec![append_of(0, &value, 0)]).await.unwrap()[0].as_ref().unwrap();
    }
    let read = async |engine: &LocalEngine, offset| {
        let request = ReadRequest {
            reads: vec![Read { partition: partition(0), offset: Offset(offset), max_bytes: 700_000 }],
            min_bytes: 1,
            max_bytes: 1 << 20,
            max_wait_ms: 1000,
            isolation: Isolation::ReadUncommitted,
            with_batches: false,
        };
        engine.read(request).await.unwrap().remove(0).unwrap()
    };
    let old = read(&engine, 0).await;
    assert!(matches!(old.pieces[0].source, Source::File(_)));
    assert_eq!(old.pieces.len(), 2, "whole batches within the limit");
    let batch = old.pieces[1].bytes(0, old.pieces[1].len()).await.unwrap();
    let header = BatchHeader::parse(&batch).unwrap();
    header.check_crc(&batch).unwrap();
    assert_eq!(header.base_offset, 1);
    drop(engine);
    let engine = dir.try_open(options).await.unwrap();
    assert_eq!(engine.published(partition(0)).unwrap().high_watermark, Offset(20));
    assert_eq!(read(&engine, 18).await.pieces.len(), 2);
    assert!(engine.size_bytes(partition(0)) > 6_000_000);
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_a_bad_middle_refused() {
    let dir = Dir::new();
    let engine = dir.open().await;
    create_topic(&engine, 1).await;
    for value in [&b"one"[..], b"two", b"three"] {
        engine.append(vec![append_of(0, value, 0)]).await.unwrap()[0].as_ref().unwrap();
    }
    drop(engine);
    let file = recovery::wal_directory(&dir.path()).join(wal::file_name(1));
    let written = std::fs::read(&file).unwrap();
    // Frames 1 to 4 stand at 4096, 8192, ...: tear the last one.
    let mut torn = written.clone();
    torn[4 * 4096 + 2000] ^= 0xff;
    torn[4 * 4096 + 80] ^= 0xff;
    std::fs::write(&file, &torn).unwrap();
    let engine = dir.open().await;
    assert_eq!(values(&engine, 0, 0).await, ["0:one", "1:two"]);
    engine.append(vec![append_of(0, b"four", 0)]).await.unwrap()[0].as_ref().unwrap();
    drop(engine);
    let engine = dir.open().await;
    assert_eq!(values(&engine, 0, 0).await, ["0:one", "1:two", "2:four"]);
    drop(engine);

    // The same byte in the middle of what later lives built on.
    let mut damaged = std::fs::read(&file).unwrap();
    damaged[2 * 4096 + 80] ^= 0xff;
    std::fs::write(&file, &damaged).unwrap();
    match dir.try_open(LocalOptions::default()).await {
        Err(OpenError::Damaged { file: named, position, what, .. }) => {
            assert_eq!((named, position), (file.clone(), 2 * 4096));
            assert!(what.contains("frame 2"), "{what}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_bad_frame_before_a_good_one_of_the_same_life_is_refused() {
    let dir = Dir::new();
    let engine = dir.open().await;
    create_topic(&engine, 1).await;
    for value in [&b"one"[..], b"two", b"three"] {
        engine.append(vec![append_of(0, value, 0)]).await.unwrap()[0].as_ref().unwrap();
    }
    drop(engine);
    let file = recovery::wal_directory(&dir.path()).join(wal::file_name(1));
    let mut damaged = std::fs::read(&file).unwrap();
    damaged[3 * 4096 + 80] ^= 0xff;
    std::fs::write(&file, &damaged).unwrap();
    let error = dir.try_open(LocalOptions::default()).await.unwrap_err().to_string();
    assert!(error.contains("frame 4 follows"), "{error}");
    // A header that does not check must not hide the frames behind it.
    damaged[3 * 4096 + 80] ^= 0xff;
    damaged[20] ^= 0xff;
    std::fs::write(&file, &damaged).unwrap();
    let error = dir.try_open(LocalOptions::default()).await.unwrap_err().to_string();
    assert!(error.contains("its header does not check"), "{error}");
}

#[tokio::test]
async fn directories_that_are_not_ours_are_left_alone() {
    let dir = Dir::new();
    let engine = dir.open().await;
    let locked = dir.try_open(LocalOptions::default()).await.unwrap_err();
    assert!(matches!(locked, OpenError::Locked { .. }), "{locked}");
    drop(engine);
    let manifest = dir.path().join("manifest");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("kolk-data 2", "kolk-data 9")).unwrap();
    let newer = dir.try_open(LocalOptions::default()).await.unwrap_err();
    assert!(matches!(newer, OpenError::Newer { found: 9, .. }), "{newer}");
    std::fs::write(&manifest, text.replace("kolk-data 2", "kolk-data 1")).unwrap();
    let unreleased = dir.try_open(LocalOptions::default()).await.unwrap_err();
    assert!(matches!(unreleased, OpenError::Unreleased { found: 1, .. }), "{unreleased}");
    std::fs::remove_file(&manifest).unwrap();
    std::fs::write(dir.path().join("holiday.jpg"), b"").unwrap();
    let foreign = dir.try_open(LocalOptions::default()).await.unwrap_err();
    assert!(matches!(foreign, OpenError::Foreign { .. }), "{foreign}");
}

#[tokio::test]
async fn an_idle_log_is_sealed() {
    let dir = Dir::new();
    let options = LocalOptions { seal_after: Duration::from_millis(20), ..Default::default() };
    let engine = dir.try_open(options).await.unwrap();
    create_topic(&engine, 1).await;
    for _ in 0..500 {
        if engine.log.durable() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(engine.log.durable(), 2, "the topic and one seal");
    engine.query(|_| ()).await.unwrap();
    drop(engine);
    let engine = dir.open().await;
    assert_eq!(engine.published(partition(0)).unwrap().high_watermark, Offset(0));
}

#[tokio::test]
async fn lookups_by_time() {
    let dir = Dir::new();
    let engine = dir.open().await;
    create_topic(&engine, 1).await;
    for timestamp_ms in [100, 300, 200, 400] {
        engine.append(vec![append_of(0, b"v", timestamp_ms)]).await.unwrap()[0].as_ref().unwrap();
    }
    let find = async |query| {
        let found = engine.offset(partition(0), query).await.unwrap().unwrap();
        found.map(|found| (found.offset.0, found.timestamp_ms))
    };
    assert_eq!(find(OffsetQuery::Earliest).await, Some((0, -1)));
    assert_eq!(find(OffsetQuery::Latest(Isolation::ReadCommitted)).await, Some((4, -1)));
    assert_eq!(find(OffsetQuery::Timestamp(150)).await, Some((1, 300)));
    assert_eq!(find(OffsetQuery::Timestamp(401)).await, None);
    assert_eq!(find(OffsetQuery::MaxTimestamp).await, Some((3, 400)));
    assert_eq!(find(OffsetQuery::AppendTime(0)).await.map(|found| found.0), Some(0));
    assert_eq!(find(OffsetQuery::AppendTime(i64::MAX)).await, None);
}
