//! The rewrite, retention and snapshots: batches move, nothing that can be read changes.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

use super::segment::{SegmentId, SegmentWriter, TableEntry};
use super::*;
use crate::contract::OffsetQuery;
use crate::door::sim::{DiskCall, DiskFailure, When};
use crate::local::rewrite::RewriteError;
use crate::state::{ConfigChange, ConfigOp};

/// Small files, and a rewrite that runs only when a test says so.
pub(super) fn options() -> LocalOptions {
    LocalOptions {
        wal_file_bytes_first: 256 << 10,
        wal_file_bytes_max: 256 << 10,
        wal_bytes_max: 8 << 20,
        tail_cache_bytes: 64 << 10,
        frame_bytes_max: 64 << 10,
        rewrite: RewriteOptions {
            wal_bytes: u64::MAX,
            interval: Duration::from_secs(3600),
            promote_extent_bytes: u64::MAX,
            ..Default::default()
        },
        ..Default::default()
    }
}

async fn fill(engine: &LocalEngine, partitions: i32, rounds: std::ops::Range<i64>) {
    for round in rounds {
        let value = |index| format!("{round:04}.{index}{}", "x".repeat(2000));
        let appends =
            (0..partitions).map(|index| append_of(index, value(index).as_bytes(), 1000 + round)).collect();
        for answer in engine.append(appends).await.unwrap() {
            assert_eq!(answer.unwrap().base_offset, Offset(round));
        }
    }
}

/// What a reader finds in a partition from an offset on, page by page.
async fn all(engine: &LocalEngine, index: i32, from: i64) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = from;
    while engine.published(partition(index)).unwrap().high_watermark > Offset(next) {
        let page = values(engine, index, next).await;
        assert!(!page.is_empty(), "a page holds at least one batch");
        next += page.len() as i64;
        found.extend(page);
    }
    found
}

fn expected(index: i32, rounds: std::ops::Range<i64>) -> Vec<String> {
    rounds.map(|round| format!("{round}:{round:04}.{index}xx")).collect()
}

/// Bytes of all files of the log on disk.
fn wal_bytes(dir: &Dir) -> u64 {
    std::fs::read_dir(dir.path().join("wal"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

pub(super) fn wal_files(engine: &LocalEngine) -> usize {
    engine.log.index.lock().files.len()
}

#[tokio::test]
async fn batches_move_to_segments_and_read_the_same_before_and_after_a_restart() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 3).await;
    fill(&engine, 3, 0..200).await;
    let files = wal_files(&engine);
    assert!(files > 3, "{files} files");
    let batches = async |engine: &LocalEngine| {
        let found = engine.read(read_of(1, 5)).await.unwrap().remove(0).unwrap();
        let batches = found.pieces.into_iter().flat_map(|piece| piece.batches);
        batches.map(|at| (at.base_offset, at.append_ms)).collect::<Vec<_>>()
    };
    let before = batches(&engine).await;
    engine.rewriter.checkpoint().await.unwrap();
    assert_eq!(wal_files(&engine), 1, "only the current file is left");
    assert_eq!(batches(&engine).await, before, "append times are kept exactly");
    for index in 0..3 {
        assert_eq!(all(&engine, index, 7).await, expected(index, 7..200));
    }
    fill(&engine, 3, 200..260).await;
    drop(engine);

    let engine = dir.try_open(options()).await.unwrap();
    for index in 0..3 {
        assert_eq!(all(&engine, index, 0).await, expected(index, 0..260));
    }
    assert_eq!(batches(&engine).await[..before.len()], before);
    let found = engine.offset(partition(2), OffsetQuery::Timestamp(1100)).await.unwrap().unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp_ms), (Offset(100), 1100));
    fill(&engine, 3, 260..270).await;
    engine.close().await.unwrap();
}

#[tokio::test]
async fn many_rewrites_keep_the_log_and_the_number_of_segments_small() {
    let dir = Dir::new();
    let mut engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 5).await;
    for turn in 0..12 {
        fill(&engine, 5, turn * 40..(turn + 1) * 40).await;
        engine.rewriter.checkpoint().await.unwrap();
        engine.rewriter.round().await.unwrap();
        if turn % 4 == 3 {
            drop(engine);
            engine = dir.try_open(options()).await.unwrap();
        }
        for index in 0..5 {
            assert_eq!(all(&engine, index, 0).await, expected(index, 0..(turn + 1) * 40), "turn {turn}");
        }
    }
    let segments = std::fs::read_dir(dir.path().join("segments")).unwrap().count();
    assert!(segments <= 8, "{segments} segments after 12 rewrites");
    let log_bytes = wal_bytes(&dir);
    assert!(log_bytes <= 4 << 20, "{log_bytes} bytes of log: files are used again");
}

#[tokio::test]
async fn what_is_trimmed_or_deleted_leaves_the_disk() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 2).await;
    fill(&engine, 2, 0..200).await;
    engine.rewriter.checkpoint().await.unwrap();
    trim(&engine, 0, 150).await;
    assert_eq!(all(&engine, 0, 150).await, expected(0, 150..200));
    trim(&engine, 0, 200).await;
    engine.rewriter.round().await.unwrap();
    assert_eq!(all(&engine, 1, 0).await, expected(1, 0..200), "the neighbour in the segment stays");
    drop(engine);

    let engine = dir.try_open(options()).await.unwrap();
    assert_eq!(engine.published(partition(0)).unwrap().log_start, Offset(200));
    assert_eq!(all(&engine, 1, 0).await, expected(1, 0..200));
    engine.propose(Command::DeleteTopic { topic: TOPIC }).await.unwrap().unwrap();
    engine.rewriter.checkpoint().await.unwrap();
    engine.rewriter.round().await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("segments")).unwrap().count(), 0);
    assert_eq!(engine.published(partition(1)), None);
    drop(engine);
    let engine = dir.try_open(options()).await.unwrap();
    assert_eq!(engine.query(|state| state.topics().count()).await.unwrap(), 0);
}

#[tokio::test]
async fn retention_by_size_moves_the_log_start_to_a_segment_edge() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    let set = |name: &str, value: &str| ConfigChange { name: name.into(), op: ConfigOp::Set(value.into()) };
    let alter = async |changes| {
        let alter = Command::AlterTopicConfigs { topic: TOPIC, replace: false, changes };
        engine.propose(alter).await.unwrap().unwrap();
    };
    alter(vec![
        set("segment.bytes", "1048576"),
        set("retention.bytes", "1500000"),
        set("retention.ms", "-1"),
    ])
    .await;
    for i in 0..40 {
        engine.append(vec![append_of(0, &vec![b'y'; 100_000], i)]).await.unwrap()[0].as_ref().unwrap();
    }
    // 10 batches of 100 kB and a header each fit a segment of 1 MiB: four segments, of which one is surplus twice.
    retention::round(&engine.log).await.unwrap();
    assert_eq!(engine.published(partition(0)).unwrap().log_start, Offset(20));
    alter(vec![set("retention.ms", "1")]).await;
    retention::round(&engine.log).await.unwrap();
    assert_eq!(engine.published(partition(0)).unwrap().log_start, Offset(40), "all is older than 1 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_writers_see_no_gap_while_batches_move() {
    let dir = Dir::new();
    let options = LocalOptions {
        rewrite: RewriteOptions {
            wal_bytes: 256 << 10,
            interval: Duration::from_millis(1),
            ..Default::default()
        },
        ..options()
    };
    let engine = dir.try_open(options).await.unwrap();
    create_topic(&engine, 2).await;
    let writer = {
        let engine = engine.clone();
        tokio::spawn(async move { fill(&engine, 2, 0..1500).await })
    };
    let mut next = 0;
    while next < 1500 {
        let page = values(&engine, 1, next).await;
        for (i, value) in page.iter().enumerate() {
            let round = next + i as i64;
            assert_eq!(*value, format!("{round}:{round:04}.1xx"));
        }
        next += page.len() as i64;
        assert_eq!(
            values(&engine, 0, 0).await.first().map(String::as_str).unwrap_or("0:0000.0xx"),
            "0:0000.0xx"
        );
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    assert!(wal_bytes(&dir) <= 8 << 20);
    assert!(!engine.log.archive.segments().is_empty());
    engine.close().await.unwrap();
}

/// A directory with all kinds of files in it, closed.
async fn full_directory() -> Dir {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 2).await;
    fill(&engine, 2, 0..150).await;
    engine.rewriter.checkpoint().await.unwrap();
    fill(&engine, 2, 150..170).await;
    engine.close().await.unwrap();
    dir
}

async fn damage(dir: &Dir) -> Vec<String> {
    match verify(&door(DiskOptions::default()), &dir.path(), &mut |_, _| {}).await {
        Ok(report) => report.damage,
        Err(error) => vec![error.to_string()],
    }
}

#[tokio::test]
async fn verify_reads_everything_and_finds_nothing_wrong_in_a_good_directory() {
    let dir = full_directory().await;
    let report = verify(&door(DiskOptions::default()), &dir.path(), &mut |_, _| {}).await.unwrap();
    assert_eq!(report.damage, Vec::<String>::new());
    assert_eq!((report.batches, report.snapshots), (340, 1));
    assert!(report.frames > 0 && report.segments > 0 && report.torn.is_none());
    let engine = dir.try_open(options()).await.unwrap();
    let busy = verify(&door(DiskOptions::default()), &dir.path(), &mut |_, _| {}).await;
    assert!(matches!(busy, Err(OpenError::Locked { .. })));
    engine.close().await.unwrap();
}

#[tokio::test]
async fn verify_finds_flipped_bits_in_every_kind_of_file() {
    let dir = full_directory().await;
    let mut entries = Vec::new();
    dump(&door(DiskOptions::default()), &dir.path(), &mut |entry| entries.push(entry)).await.unwrap();
    let field = |entry: &Entry, name: &str| entry.fields.iter().find(|(n, _)| *n == name).unwrap().1.clone();
    // Of each file of the log, the bytes before its last frame: a broken last frame may be a torn one.
    let mut used: Vec<(PathBuf, usize)> = Vec::new();
    for entry in &entries {
        match entry.kind {
            "wal-file" => used.push((dir.path().join("wal").join(field(entry, "file")), 0)),
            "frame" => used.last_mut().unwrap().1 = field(entry, "position").parse().unwrap(),
            _ => {}
        }
    }
    for part in ["segments", "snapshots"] {
        for file in std::fs::read_dir(dir.path().join(part)).unwrap().map(|file| file.unwrap()) {
            used.push((file.path(), file.metadata().unwrap().len() as usize));
        }
    }
    used.push((dir.path().join("manifest"), std::fs::read(dir.path().join("manifest")).unwrap().len()));
    assert!(used.len() >= 4 && used.iter().all(|(_, bytes)| *bytes > 0), "{used:?}");
    for (file, used) in used {
        let good = std::fs::read(&file).unwrap();
        for at in (0..used).step_by((used / 61).max(1)) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&file, &bad).unwrap();
            assert!(!damage(&dir).await.is_empty(), "{} byte {at} of {used}", file.display());
        }
        std::fs::write(&file, &good).unwrap();
    }
    assert_eq!(damage(&dir).await, Vec::<String>::new());
    let batches = entries.iter().filter(|entry| entry.kind == "batch").count();
    assert_eq!(batches, 340, "dump tells of every batch");
}

#[tokio::test]
async fn files_of_large_extents_become_segments_where_they_stand() {
    let dir = Dir::new();
    let rewrite = RewriteOptions { promote_extent_bytes: 0, ..options().rewrite };
    let options = LocalOptions { rewrite, ..options() };
    let engine = dir.try_open(options.clone()).await.unwrap();
    create_topic(&engine, 3).await;
    fill(&engine, 3, 0..300).await;
    let files = wal_files(&engine);
    engine.rewriter.checkpoint().await.unwrap();
    assert_eq!(wal_files(&engine), 1, "of {files}");
    let left = std::fs::read_dir(dir.path().join("wal")).unwrap().count();
    assert!(left <= 4, "{left} files: the current one, and spare ones made meanwhile");
    let segments = std::fs::read_dir(dir.path().join("segments")).unwrap().count();
    assert_eq!(segments, files - 1, "each file became a segment, nothing was copied");
    for index in 0..3 {
        assert_eq!(all(&engine, index, 0).await, expected(index, 0..300));
    }
    fill(&engine, 3, 300..400).await;
    engine.close().await.unwrap();
    drop(engine);
    let disk = door(DiskOptions::default());
    let report = crate::local::verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap();
    assert!(report.damage.is_empty(), "{:?}", report.damage);

    let engine = dir.try_open(options).await.unwrap();
    for index in 0..3 {
        assert_eq!(all(&engine, index, 0).await, expected(index, 0..400));
        let found = engine.offset(partition(index), OffsetQuery::Timestamp(1150)).await.unwrap().unwrap();
        assert_eq!(found.map(|found| (found.offset.0, found.timestamp_ms)), Some((150, 1150)));
    }
    trim(&engine, 0, 350).await;
    assert_eq!(all(&engine, 0, 350).await, expected(0, 350..400));
}

/// A merged segment had one extent over all that it took of a partition, and with it over what lay between in a segment of
/// another tier: two extents overlapped, the engine panicked, and the directory could not be opened any more.
#[tokio::test]
async fn segments_merge_around_one_of_another_tier() {
    let dir = Dir::new();
    let options = LocalOptions {
        wal_file_bytes_first: 32 << 10,
        wal_file_bytes_max: 32 << 10,
        frame_bytes_max: 16 << 10,
        rewrite: RewriteOptions { tier_bytes: 64 << 10, ..options().rewrite },
        ..options()
    };
    let engine = dir.try_open(options.clone()).await.unwrap();
    create_topic(&engine, 1).await;
    let mut written = 0;
    for rounds in [20, 20, 80, 20, 20, 20] {
        fill(&engine, 1, written..written + rounds).await;
        written += rounds;
        engine.rewriter.checkpoint().await.unwrap();
    }
    // A round comes by itself too when a file is full.
    engine.rewriter.round().await.unwrap();
    let segments = engine.log.archive.segments();
    assert!(
        (2..6).contains(&segments.len()),
        "four of the lowest tier have merged, the large one stays: {segments:?}"
    );
    assert_eq!(all(&engine, 0, 0).await, expected(0, 0..written));
    drop(engine);
    let engine = dir.try_open(options).await.unwrap();
    assert_eq!(all(&engine, 0, 0).await, expected(0, 0..written));
    engine.close().await.unwrap();
}

/// The same with a log file that became a segment where it stood, between files whose batches are copied into one.
#[tokio::test]
async fn batches_are_copied_around_a_file_that_stays_where_it_is() {
    let dir = Dir::new();
    let options = LocalOptions {
        rewrite: RewriteOptions { promote_extent_bytes: 20_000, ..options().rewrite },
        ..options()
    };
    let engine = dir.try_open(options.clone()).await.unwrap();
    create_topic(&engine, 1).await;
    fill(&engine, 1, 0..150).await;
    for _ in 0..8 {
        engine.append(vec![append_of(0, &[b'y'; 100_000], 0)]).await.unwrap()[0].as_ref().unwrap();
    }
    fill(&engine, 1, 158..400).await;
    engine.rewriter.checkpoint().await.unwrap();
    assert!(engine.log.archive.segments().len() >= 3, "{:?}", engine.log.archive.segments().len());
    let check = async |engine: &LocalEngine| {
        assert_eq!(all(engine, 0, 0).await[..150], expected(0, 0..150));
        assert_eq!(all(engine, 0, 158).await, expected(0, 158..400));
    };
    check(&engine).await;
    drop(engine);
    let engine = dir.try_open(options).await.unwrap();
    check(&engine).await;
    engine.close().await.unwrap();
}

/// With all files in use the last frames waited for a file that only the rewrite could free, and that had ended: a server
/// that was stopped right after its start never ended.
#[test]
fn a_full_log_can_be_closed() {
    crate::door::sim::run(1, |sim| async move {
        let open = async |wal_bytes_max| {
            let options = LocalOptions { wal_bytes_max, ..options() };
            LocalEngine::open(sim.door(), std::path::Path::new("/data"), options).await.unwrap()
        };
        let engine = open(8 << 20).await;
        create_topic(&engine, 1).await;
        while wal_files(&engine) < 3 {
            engine.append(vec![append_of(0, &[b'y'; 50_000], 0)]).await.unwrap()[0].as_ref().unwrap();
        }
        sim.crash().await;
        drop(engine);
        let engine = open(600 << 10).await;
        tokio::time::timeout(Duration::from_secs(60), engine.close()).await.expect("it closes").unwrap();
    });
}

/// A round that promoted a file and then met a full disk left its footer there. What was promoted again had fewer extents and
/// a shorter footer, which was written over the front of the old one: the file ended with the old trailer, and the
/// directory could not be opened any more.
#[test]
fn a_file_that_is_promoted_again_ends_with_the_new_footer() {
    crate::door::sim::run(1, |sim| async move {
        let rewrite = RewriteOptions { promote_extent_bytes: 0, ..options().rewrite };
        let options = LocalOptions { rewrite, ..options() };
        let open = || LocalEngine::open(sim.door(), std::path::Path::new("/data"), options.clone());
        let engine = open().await.unwrap();
        create_topic(&engine, 40).await;
        fill(&engine, 40, 0..6).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let has_footer =
            || sim.files().iter().any(|(path, size)| path.ends_with("00000001.wal") && *size > 256 << 10);
        for calls in 0.. {
            sim.fail_when(Some(DiskFailure { call: DiskCall::Write, full: true, when: When::After(calls) }));
            let error = engine.rewriter.checkpoint().await.expect_err("a write of this round fails");
            assert!(!engine.rewriter.is_over(error).await);
            // As happens every second, and before the next round.
            engine.log.space.ask().await;
            if has_footer() {
                break;
            }
        }
        sim.fail_when(None);
        for index in 10..25 {
            trim(&engine, index, 6).await;
        }
        engine.rewriter.checkpoint().await.unwrap();
        let promoted = engine.log.archive.segments();
        assert!(!promoted.is_empty(), "the files were promoted");
        drop(engine);

        let engine = open().await.unwrap();
        assert_eq!(all(&engine, 9, 0).await, expected(9, 0..6));
        engine.close().await.unwrap();
    });
}

/// A rewrite showed its segments one after another: who read in between got the later batches, which were there already, for an
/// earlier offset, and a consumer went on behind them.
#[tokio::test]
async fn later_batches_are_not_read_before_earlier_ones_that_are_elsewhere() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    fill(&engine, 1, 0..10).await;
    let later = engine.read(read_of(0, 5)).await.unwrap().remove(0).unwrap();
    let mut writer = SegmentWriter::create(&engine.rewriter.segments, SegmentId(1)).await.unwrap();
    for piece in &later.pieces {
        let bytes = piece.bytes(0, piece.len()).await.unwrap();
        let entry = |at: &crate::contract::BatchAt| TableEntry {
            base_offset: at.base_offset,
            position: at.position as u32,
            append_ms: at.append_ms,
            max_timestamp_ms: 0,
        };
        let entries: Vec<_> = piece.batches.iter().map(entry).collect();
        let last = entries.last().unwrap().base_offset;
        writer.add(partition(0), &bytes, &entries, last).await.unwrap();
    }
    engine.log.archive.add(vec![writer.finish().await.unwrap()], |_| Some(Offset::ZERO));
    assert_eq!(engine.log.archive.end(partition(0)), Some(Offset(10)));
    for from in 0..10 {
        assert_eq!(all(&engine, 0, from).await, expected(0, from..10));
    }
    engine.close().await.unwrap();
}

/// The rewrite copied what it read, whatever it was, under a new checksum: damage could not be seen any more, and the file
/// with the original was used again. Of extents that stay where they are it read the batches' headers, unchecked.
#[tokio::test]
async fn rotten_bytes_of_the_log_are_not_copied() {
    for promote_extent_bytes in [u64::MAX, 0] {
        let dir = Dir::new();
        let rewrite = RewriteOptions { promote_extent_bytes, ..options().rewrite };
        let options = LocalOptions { tail_cache_bytes: 0, rewrite, ..options() };
        let engine = dir.try_open(options).await.unwrap();
        create_topic(&engine, 1).await;
        for _ in 0..100 {
            let batches = vec![append_of(0, &[b'x'; 2000], 7), append_of(0, &[b'x'; 2000], 8)];
            assert!(engine.append(batches).await.unwrap().iter().all(Result::is_ok));
        }
        let (path, position) = {
            let index = engine.log.index.lock();
            let extent = &index.partitions[&partition(0)].wal[3];
            (
                dir.path().join("wal").join(wal::file_name(index.files[&extent.file].file.slot)),
                extent.file_position,
            )
        };
        flip(&path, position + 100);
        let error = engine.rewriter.checkpoint().await.unwrap_err().to_string();
        let place = format!("{} is damaged", path.file_name().unwrap().to_str().unwrap());
        assert!(error.contains(&place) && error.contains(&position.to_string()), "{error}");
        assert!(engine.log.archive.segments().is_empty());
        assert!(wal_files(&engine) > 1, "the file that holds the damage is not used again");
    }
}

/// It kept what was there already, for as long as its client liked to wait: log files that could not be used again, and
/// frames in memory that no budget knew of.
#[tokio::test]
async fn a_read_that_waits_for_more_holds_nothing_of_what_is_there() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    fill(&engine, 1, 0..200).await;
    assert!(wal_files(&engine) > 2);
    // The oldest batches are in a file and nowhere else.
    let held = || {
        engine.log.index.lock().files.values().map(|found| Arc::strong_count(&found.file)).collect::<Vec<_>>()
    };
    let request = ReadRequest {
        reads: vec![Read { partition: partition(0), offset: Offset(0), max_bytes: 100 << 20 }],
        min_bytes: 100 << 20,
        max_bytes: 100 << 20,
        max_wait_ms: 3_600_000,
        ..read_of(0, 0)
    };
    let found = engine.read(ReadRequest { max_wait_ms: 0, ..request.clone() }).await.unwrap();
    let while_read = held();
    drop(found);
    let before = held();
    assert!(while_read.iter().sum::<usize>() > before.iter().sum::<usize>(), "an answer holds its files");
    let mut waiting = engine.read(request);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    assert_eq!(held(), before);
    engine.rewriter.checkpoint().await.unwrap();
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    fill(&engine, 1, 200..201).await;
    drop(waiting);
    engine.close().await.unwrap();
}

/// One extent that could not be read was an error of the whole request: a consumer of fifty partitions got nothing of any of them,
/// however often it asked.
#[tokio::test]
async fn what_cannot_be_read_is_the_error_of_its_partition() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 2).await;
    fill(&engine, 2, 0..100).await;
    engine.rewriter.checkpoint().await.unwrap();
    let damaged_from = engine.log.archive.end(partition(0)).unwrap();
    fill(&engine, 2, 100..200).await;
    engine.rewriter.checkpoint().await.unwrap();
    // The tables stand behind all extents, partition 0's first.
    let newest = engine.log.archive.segments().last().unwrap().id;
    let segment = engine.log.archive.sources(&[newest]).remove(0);
    let extents = segment.block(0).await.unwrap();
    let tables_at = extents.iter().map(|extent| extent.position + extent.len).max().unwrap();
    let path = dir.path().join("segments").join(newest.file_name());
    flip(&path, tables_at);

    let read = async |from: Offset| {
        let reads =
            [0, 1].map(|index| Read { partition: partition(index), offset: from, max_bytes: 1 << 20 });
        let request = ReadRequest {
            reads: reads.into(),
            min_bytes: 1 << 20,
            max_bytes: 2 << 20,
            max_wait_ms: 60_000,
            ..read_of(0, 0)
        };
        let answers = tokio::time::timeout(Duration::from_secs(30), engine.read(request)).await;
        answers.expect("it does not wait for more").unwrap()
    };
    let answers = read(damaged_from).await;
    match &answers[0] {
        Err(ReadError::Unreadable { reason }) => {
            assert!(reason.contains(&newest.file_name()), "{reason}")
        }
        other => panic!("{other:?}"),
    }
    assert!(answers[1].as_ref().unwrap().len() > 100_000, "the other partition is whole");
    let answers = read(Offset::ZERO).await;
    let before = answers[0].as_ref().unwrap();
    let last = before.pieces.last().unwrap().batches.last().unwrap();
    assert_eq!(last.base_offset + 1, damaged_from, "what comes before it is there");

    let found = engine.offset(partition(0), OffsetQuery::Timestamp(1150)).await.unwrap();
    assert!(matches!(found, Err(ReadError::Unreadable { .. })), "{found:?}");
    let found = engine.offset(partition(1), OffsetQuery::Timestamp(1150)).await.unwrap().unwrap();
    assert_eq!(found.map(|found| found.offset), Some(Offset(150)));
}

/// What the log's part of the index takes, by its extents; the counts that stand beside them must agree.
fn held_bytes(engine: &LocalEngine) -> usize {
    let index = engine.log.index.lock();
    let mut of_files: BTreeMap<u64, (u64, u64)> = index.files.keys().map(|file| (*file, (0, 0))).collect();
    let mut held = 0;
    for extent in index.partitions.values().flat_map(|found| &found.wal) {
        let (bytes, extents) = of_files.get_mut(&extent.file).unwrap();
        *bytes += u64::from(extent.len);
        *extents += 1;
        held += size_of_val(extent) + size_of_val(&*extent.table);
    }
    let counted = index.files.iter().map(|(file, found)| (*file, (found.live_bytes, found.live_extents)));
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), of_files);
    drop(index);
    assert_eq!(engine.log.index.held_bytes(), held);
    held
}

#[tokio::test]
async fn the_index_counts_what_each_file_of_the_log_holds() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 3).await;
    fill(&engine, 3, 0..300).await;
    assert!(held_bytes(&engine) > 0 && wal_files(&engine) > 3);
    trim(&engine, 1, 77).await;
    held_bytes(&engine);
    drop(engine);
    let engine = dir.try_open(options()).await.unwrap();
    fill(&engine, 3, 300..310).await;
    held_bytes(&engine);
    engine.rewriter.checkpoint().await.unwrap();
    assert!(held_bytes(&engine) > 0);
    engine.propose(Command::DeleteTopic { topic: TOPIC }).await.unwrap().unwrap();
    assert_eq!(held_bytes(&engine), 0);
    engine.close().await.unwrap();
}

/// Small batches take nearly as much in the index as in the log: at the log's bound of 512 MiB that was more than half a GB,
/// which no budget knew.
#[tokio::test]
async fn the_index_of_the_log_has_a_bound() {
    const PARTITIONS: i32 = 64;
    let dir = Dir::new();
    let index_bytes_max = 128 << 10;
    let engine = dir.try_open(LocalOptions { index_bytes_max, ..options() }).await.unwrap();
    create_topic(&engine, PARTITIONS).await;
    let mut most = 0;
    for round in 0..300 {
        let appends = (0..PARTITIONS).map(|index| append_of(index, b"", round)).collect();
        assert!(engine.append(appends).await.unwrap().iter().all(Result::is_ok));
        most = most.max(engine.log.index.held_bytes());
    }
    let in_file = (256 << 10) / 145 * 88;
    assert!(most < index_bytes_max + 2 * in_file, "{most} bytes");
    assert!(engine.log.metrics.rewrites.get() > 3);
    held_bytes(&engine);
    for index in [0, PARTITIONS - 1] {
        assert_eq!(all(&engine, index, 0).await.len(), 300);
    }
    engine.close().await.unwrap();
}

/// A start reads no directory: what is damaged in one is met by who reads it, found by verify, and left out by a repair.
#[tokio::test]
async fn a_damaged_block_of_a_directory_is_the_error_of_the_partitions_in_it() {
    const PARTITIONS: i32 = 300;
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, PARTITIONS).await;
    fill(&engine, PARTITIONS, 0..2).await;
    engine.rewriter.checkpoint().await.unwrap();
    let segments: Vec<_> = engine.log.archive.segments().iter().map(|segment| segment.id).collect();
    assert_eq!(segments.len(), 1);
    let segment = engine.log.archive.sources(&segments).remove(0);
    assert!(segment.block_count() > 2, "{} blocks", segment.block_count());
    let hit: Vec<i32> = segment.block(1).await.unwrap().iter().map(|extent| extent.partition.index).collect();
    let position = segment.block_position(1);
    engine.close().await.unwrap();
    drop(engine);
    let path = dir.path().join("segments").join(segments[0].file_name());
    flip(&path, position + 20);

    let named =
        format!("{} is damaged at byte {position}: a block of the directory", segments[0].file_name());
    let found = damage(&dir).await;
    assert!(found.len() == 1 && found[0].contains(&named), "{found:?}");
    let engine = dir.try_open(options()).await.unwrap();
    let first = async |engine: &LocalEngine, index| {
        let answer = engine.read(read_of(index, 0)).await.unwrap().remove(0);
        answer.map(|found| found.pieces[0].batches[0].base_offset)
    };
    for index in 0..PARTITIONS {
        match first(&engine, index).await {
            Err(ReadError::Unreadable { reason }) => {
                assert!(hit.contains(&index) && reason.contains(&named), "{index}: {reason}");
            }
            found => assert!(found == Ok(Offset::ZERO) && !hit.contains(&index), "{index}: {found:?}"),
        }
    }
    let found = engine.offset(partition(hit[0]), OffsetQuery::Timestamp(1000)).await.unwrap();
    assert!(matches!(found, Err(ReadError::Unreadable { .. })), "{found:?}");
    engine.close().await.unwrap();
    drop(engine);

    let repaired =
        repair(&door(DiskOptions::default()), &dir.path(), options(), RepairHow::APPLY).await.unwrap();
    assert!(repaired.repaired && repaired.damage[0].contains(&named), "{repaired:?}");
    let mut lost: Vec<_> = repaired.lost.iter().map(|lost| lost.partition).collect();
    lost.sort_unstable();
    assert_eq!(lost, hit);
    assert_eq!(damage(&dir).await, Vec::<String>::new());
    let engine = dir.try_open(options()).await.unwrap();
    for index in (0..PARTITIONS).filter(|index| !hit.contains(index)) {
        assert_eq!(all(&engine, index, 0).await.len(), 2, "partition {index}");
    }
    engine.close().await.unwrap();
}

/// A disk on which removing files fails for a while.
#[derive(Debug)]
struct StuckDisk {
    below: Arc<dyn Disk>,
    stuck: Arc<AtomicBool>,
}

impl DiskOver for StuckDisk {
    fn below(&self) -> &dyn Disk {
        &*self.below
    }

    fn remove_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        if self.stuck.load(Ordering::SeqCst) && path.exists() {
            return Box::pin(async { Err(io::ErrorKind::StorageFull.into()) });
        }
        self.below.remove_from(site, path)
    }
}

/// The first file that could not be removed, as on a full file system that copies on write, was forgotten with all that were to
/// go with it: they took space until the next start. So did what a merge had copied when it met a segment that it could not read.
#[tokio::test]
async fn what_is_to_go_goes_though_it_fails_at_first() {
    let dir = Dir::new();
    let below = door(DiskOptions::default());
    let stuck = Arc::new(AtomicBool::new(false));
    let disk = StuckDisk { below: below.disk.clone(), stuck: stuck.clone() };
    let door = Door { disk: Arc::new(disk), ..below };
    let engine = LocalEngine::open(door, &dir.path(), options()).await.unwrap();
    create_topic(&engine, 1).await;
    let names = |part: &str| {
        let list = std::fs::read_dir(dir.path().join(part)).unwrap();
        list.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    for round in 0..3 {
        fill(&engine, 1, round * 150..(round + 1) * 150).await;
        stuck.store(round == 2, Ordering::SeqCst);
        assert_eq!(engine.rewriter.checkpoint().await.is_err(), round == 2);
    }
    let trim = Command::Trim { partition: partition(0), to: None, by: TrimBy::Client };
    engine.propose(trim).await.unwrap().unwrap();
    engine.rewriter.round().await.unwrap_err();
    assert_eq!((names("snapshots").len(), names("segments").len()), (2, 3));
    stuck.store(false, Ordering::SeqCst);
    engine.rewriter.round().await.unwrap();
    let left = engine.log.archive.segments().len();
    assert_eq!((names("snapshots").len(), names("segments").len()), (1, left));

    // Four more, so that they merge; the last one does not check.
    while engine.is_disk_full() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for round in 3..7 {
        fill(&engine, 1, round * 150..(round + 1) * 150).await;
        engine.rewriter.checkpoint().await.unwrap();
    }
    let newest = engine.log.archive.segments().last().unwrap().id;
    let path = dir.path().join("segments").join(newest.file_name());
    flip(&path, 70_000);
    // A round comes by itself too when a file is full.
    if let Err(error) = engine.rewriter.round().await {
        assert!(error.to_string().contains(&newest.file_name()), "{error}");
        assert!(!engine.rewriter.is_over(error).await);
    }
    engine.rewriter.round().await.unwrap();
    let segments = engine.log.archive.segments();
    assert!(segments.len() >= 4 && segments.iter().any(|segment| segment.id == newest), "{segments:?}");
    assert_eq!(names("segments").len(), segments.len(), "what was copied is gone");
    engine.close().await.unwrap();
}

/// A disk that does not sync its data directory from a moment on, and counts what is made, named or removed after that.
#[derive(Debug)]
struct NoSyncOf {
    below: Arc<dyn Disk>,
    directory: PathBuf,
    fails: AtomicBool,
    has_failed: AtomicBool,
    later: AtomicUsize,
}

impl NoSyncOf {
    fn counted(&self) -> &dyn Disk {
        self.later.fetch_add(usize::from(self.has_failed.load(Ordering::Relaxed)), Ordering::Relaxed);
        &*self.below
    }
}

impl DiskOver for NoSyncOf {
    fn below(&self) -> &dyn Disk {
        &*self.below
    }

    fn open_from(&self, site: Site, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        self.counted().open_from(site, path, how)
    }

    fn link_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.counted().link_from(site, from, to)
    }

    fn rename_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.counted().rename_from(site, from, to)
    }

    fn remove_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.counted().remove_from(site, path)
    }

    fn sync_dir_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        if path == self.directory && self.fails.load(Ordering::Relaxed) {
            self.has_failed.store(true, Ordering::Relaxed);
            return Box::pin(async { Err(io::Error::from_raw_os_error(5)) });
        }
        self.below.sync_dir_from(site, path)
    }
}

/// The manifest was replaced and the directory was not synced, which ended the log. A backup's checkpoint had waited for its turn
/// meanwhile, and wrote the end of a segment again that the manifest on the disk names by now: killed within it, the server
/// did not start any more.
#[tokio::test]
async fn nothing_is_changed_once_the_manifest_is_in_doubt() {
    let dir = Dir::new();
    let door = door(DiskOptions::default());
    let disk = Arc::new(NoSyncOf {
        below: door.disk.clone(),
        directory: dir.path(),
        fails: AtomicBool::new(false),
        has_failed: AtomicBool::new(false),
        later: AtomicUsize::new(0),
    });
    let door = Door { disk: disk.clone(), ..door };
    let mut options = options();
    options.rewrite.promote_extent_bytes = 0;
    let engine = LocalEngine::open(door, &dir.path(), options.clone()).await.unwrap();
    create_topic(&engine, 1).await;
    fill(&engine, 1, 0..300).await;
    disk.fails.store(true, Ordering::Relaxed);
    let rewriter = &engine.rewriter;
    let (first, second) = tokio::join!(rewriter.checkpoint(), rewriter.checkpoint());
    assert!(matches!(first, Err(RewriteError::Replace(_))), "{first:?}");
    assert!(matches!(second, Err(RewriteError::Engine(EngineError::Closed(_)))), "{second:?}");
    assert!(rewriter.is_over(first.unwrap_err()).await && rewriter.is_over(second.unwrap_err()).await);
    engine.close().await.unwrap_err();
    assert_eq!(disk.later.load(Ordering::Relaxed), 0, "files that the manifest may name are left alone");
    drop(engine);
    let engine = dir.try_open(options).await.unwrap();
    assert_eq!(all(&engine, 0, 0).await.len(), 300);
    engine.close().await.unwrap();
}
