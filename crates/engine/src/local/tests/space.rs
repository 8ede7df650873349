//! The engine on a disk that fills up: nothing is decided that finds no room, what frees space goes on, and space that comes
//! back heals it.

use std::path::Path;
use std::sync::Mutex as StdMutex;

use super::*;
use crate::door::sim::{self, Sim};
use crate::state::CommittedOffset;

const VALUE: usize = 4000;

fn small(promote_extent_bytes: u64) -> LocalOptions {
    LocalOptions {
        wal_file_bytes_first: 64 << 10,
        wal_file_bytes_max: 128 << 10,
        tail_cache_bytes: 32 << 10,
        frame_bytes_max: 8 << 10,
        wal_bytes_max: 512 << 10,
        rewrite: RewriteOptions {
            wal_bytes: 256 << 10,
            interval: Duration::from_millis(500),
            promote_extent_bytes,
            ..Default::default()
        },
        ..Default::default()
    }
}

async fn open_with(sim: &Sim, options: LocalOptions) -> Arc<LocalEngine> {
    LocalEngine::open(sim.door(), Path::new("/data"), options).await.unwrap()
}

/// Appends to partition 0 until an append is refused; gives back how many were taken.
async fn fill(engine: &LocalEngine, most: i64) -> i64 {
    for taken in 0..most {
        match engine.append(vec![append_of(0, &[b'x'; VALUE], 0)]).await.unwrap().remove(0) {
            Ok(_) => {}
            Err(refused) => {
                assert_eq!(refused, AppendError::StorageFull);
                return taken;
            }
        }
    }
    panic!("{most} appends and the disk never got full");
}

async fn count(engine: &LocalEngine, index: i32) -> i64 {
    let published = engine.published(partition(index)).unwrap();
    let mut next = published.log_start.0;
    while next < published.high_watermark.0 {
        let page = values(engine, index, next).await;
        assert!(!page.is_empty());
        next += page.len() as i64;
    }
    next - published.log_start.0
}

#[test]
fn a_full_disk_refuses_appends_before_it_decides_them_and_heals() {
    for (seed, promote) in [(1, 0), (2, u64::MAX), (3, 0), (4, u64::MAX)] {
        sim::run(seed, |sim| async move {
            let engine = open_with(&sim, small(promote)).await;
            create_topic(&engine, 2).await;
            sim.set_disk_bytes(1 << 20);
            let taken = fill(&engine, 1000).await;
            assert!(taken > 60, "only {taken} of 4 kB each went into 1 MiB");
            // What was refused took no offset, and all that was taken can be read.
            assert_eq!(engine.published(partition(0)).unwrap().high_watermark, Offset(taken));
            assert_eq!(count(&engine, 0).await, taken);
            // What frees space goes on, without anything coming back from outside.
            trim(&engine, 0, taken).await;
            let mut healed = false;
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                healed |= engine.append(vec![append_of(1, b"yes", 0)]).await.unwrap()[0].is_ok();
            }
            assert!(healed, "deleting what filled the disk did not heal it");
            fill(&engine, 1000).await;
            // Neither does a stop wait for space, nor a start.
            engine.close().await.unwrap();
            drop(engine);
            let engine = open_with(&sim, small(promote)).await;
            fill(&engine, 100).await;
            sim.set_disk_bytes(u64::MAX);
            tokio::time::sleep(Duration::from_secs(3)).await;
            engine.append(vec![append_of(0, &[b'x'; VALUE], 0)]).await.unwrap().remove(0).unwrap();
            engine.close().await.unwrap();
        });
    }
}

/// A topic was deleted whose batches shared their segments with a few of another: more than half of each segment was dead, and
/// none was copied, for that took of what is kept free for the log. Appends were refused for ever.
#[test]
fn deletes_heal_a_full_disk_though_something_is_alive_in_every_segment() {
    // What lives is a twentieth, or half: more than half of a segment need not be dead while space is short.
    for (seed, kept_every) in [(1, 20), (2, 20), (3, 20), (4, 20), (5, 2), (6, 2)] {
        sim::run(seed, |sim| async move {
            let engine = open_with(&sim, small(if seed % 2 == 0 { 0 } else { u64::MAX })).await;
            create_topic(&engine, 3).await;
            sim.set_disk_bytes(2 << 20);
            let mut alive = 0;
            for number in 0..1000 {
                let index = i32::from(number % kept_every == 0);
                match engine.append(vec![append_of(index, &[b'x'; VALUE], 0)]).await.unwrap().remove(0) {
                    Ok(_) => alive += i64::from(index),
                    Err(refused) => {
                        assert_eq!(refused, AppendError::StorageFull);
                        break;
                    }
                }
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
            fill(&engine, 1000).await;
            let taken = engine.published(partition(0)).unwrap().high_watermark.0;
            trim(&engine, 0, taken).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
            // It comes back a segment at a time, while appends are refused.
            let mut back = 0;
            for _ in 0..20 {
                back += fill(&engine, 1000).await;
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
            assert!(back * 2 > taken, "of {taken} batches that were deleted {back} came back");
            assert_eq!(count(&engine, 1).await, alive);
            engine.close().await.unwrap();
        });
    }
}

const MANY: u64 = 8;

/// What a disk may take at most before deletes are answered; a delete that is not waits for ever.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Deletes what a partition has before an offset; false if that was refused for want of space.
async fn delete(engine: &LocalEngine, index: i32, before: i64) -> bool {
    let trim = Command::Trim { partition: partition(index), to: Some(Offset(before)), by: TrimBy::Client };
    let answer = tokio::time::timeout(ANSWERED_WITHIN, engine.propose(trim)).await;
    match answer.expect("a delete is answered").unwrap() {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal, Refusal::StorageFull);
            false
        }
    }
}

/// Appends of all sizes, deletes and restarts on a disk that never grows, until nothing more goes in. Gives back how many deletes
/// were refused.
async fn fill_at_random(
    sim: &Sim,
    open: impl AsyncFn() -> Arc<LocalEngine>,
    engine: &mut Arc<LocalEngine>,
) -> u64 {
    let mut refused = 0;
    for _ in 0..600 {
        match sim.below(400) {
            0..5 => {
                engine.close().await.unwrap();
                *engine = open().await;
            }
            5..10 => tokio::time::sleep(Duration::from_millis(sim.below(3000))).await,
            10..20 => {
                let index = sim.below(MANY) as i32;
                let Published { log_start, high_watermark, .. } = engine.published(partition(index)).unwrap();
                let deleted = sim.below((high_watermark.0 - log_start.0 + 1) as u64) as i64;
                refused += u64::from(!delete(engine, index, log_start.0 + deleted).await);
            }
            _ => {
                // Some partitions get much more than others.
                let index = sim.below(MANY).min(sim.below(MANY)) as i32;
                let value = vec![b'x'; [100, 2000, 6000, 30_000][sim.below(4) as usize]];
                if engine.append(vec![append_of(index, &value, 0)]).await.unwrap()[0].is_err() {
                    tokio::time::sleep(Duration::from_millis(sim.below(200))).await;
                }
            }
        }
    }
    for _ in 0..200 {
        fill(engine, 2000).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    refused
}

/// Deletes all but partition 3. Gives back how many deletes were refused.
async fn delete_most(engine: &LocalEngine) -> u64 {
    let mut refused = 0;
    for index in (0..MANY as i32).filter(|index| *index != 3) {
        let end = engine.published(partition(index)).unwrap().high_watermark.0;
        refused += u64::from(!delete(engine, index, end).await);
    }
    refused
}

async fn appends_are_taken(engine: &LocalEngine) {
    for _ in 0..20 {
        let appended = engine.append(vec![append_of(0, &[b'x'; VALUE], 0)]).await.unwrap().remove(0);
        appended.expect("the disk is healed");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn small_with_large_partitions(seed: u64) -> LocalOptions {
    let mut options = small(if seed.is_multiple_of(2) { 16 << 10 } else { u64::MAX });
    options.rewrite.large_partition_bytes = 32 << 10;
    options
}

/// On a disk that the log alone fills, and that never grows, no delete is refused, and once most of what the log holds is deleted
/// appends are taken again. What stood in the way: an append was let in that was larger than what is kept free for
/// its rewrite; log files were rewritten all together or not at all; deletes that wanted more room than there was did not get
/// the file that is set apart for them; and without that file they did not wait for the room that a rewrite was about to give, nor
/// take a file out of what is kept free.
#[test]
fn a_disk_that_the_log_filled_is_healed_by_deletes() {
    for seed in 0..40 {
        sim::run(seed, |sim| async move {
            let open = async || open_with(&sim, small_with_large_partitions(seed)).await;
            let mut engine = open().await;
            create_topic(&engine, MANY as i32).await;
            sim.set_disk_bytes((1 << 20) + sim.below(4 << 20));
            assert_eq!(fill_at_random(&sim, open, &mut engine).await, 0);
            let kept = count(&engine, 3).await;
            assert_eq!(delete_most(&engine).await, 0);
            tokio::time::sleep(Duration::from_secs(30)).await;
            appends_are_taken(&engine).await;
            assert_eq!(count(&engine, 3).await, kept);
            engine.close().await.unwrap();
        });
    }
}

/// A disk that says more is free than it gives, as one with a quota.
#[derive(Debug)]
struct Quota {
    below: Arc<dyn Disk>,
    more: u64,
}

impl DiskOver for Quota {
    fn below(&self) -> &dyn Disk {
        &*self.below
    }

    fn free_bytes_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<u64>> {
        let free = self.below.free_bytes_from(site, path);
        Box::pin(async move { Ok(free.await?.saturating_add(self.more)) })
    }
}

/// Where the disk gives less than it says, nothing is kept free: deletes may be refused. They are answered, starts find the log, and
/// where the quota is raised all goes on. A life was forgotten while files of it were in the log, since not all of them
/// were rewritten at once, and the next start missed them.
#[test]
fn deletes_are_answered_on_a_disk_that_gives_less_than_it_says() {
    for seed in 0..6 {
        sim::run(seed, |sim| async move {
            let more = 1 << (12 + sim.below(12));
            let open = async || {
                let below = sim.door();
                let door = Door { disk: Arc::new(Quota { below: below.disk.clone(), more }), ..below };
                let options = small_with_large_partitions(seed);
                LocalEngine::open(door, Path::new("/data"), options).await.unwrap()
            };
            let mut engine = open().await;
            create_topic(&engine, MANY as i32).await;
            sim.set_disk_bytes((1 << 20) + sim.below(4 << 20));
            fill_at_random(&sim, open, &mut engine).await;
            let kept = count(&engine, 3).await;
            delete_most(&engine).await;
            sim.set_disk_bytes(64 << 20);
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(delete_most(&engine).await, 0);
            appends_are_taken(&engine).await;
            assert_eq!(count(&engine, 3).await, kept);
            engine.close().await.unwrap();
        });
    }
}

/// What a rewrite had written still counted as free, if the log became smaller by less than a file: more was let in than could be
/// rewritten, and then neither the log nor a segment was.
#[test]
fn what_a_rewrite_takes_is_not_free_any_more() {
    sim::run(7, |sim| async move {
        let rewrite = RewriteOptions {
            interval: Duration::from_secs(3600),
            wal_bytes: u64::MAX,
            ..small(u64::MAX).rewrite
        };
        // So large that half a file is no reason to ask.
        let options = LocalOptions { wal_file_bytes_max: 64 << 10, rewrite, ..small(u64::MAX) };
        let engine = open_with(&sim, options).await;
        create_topic(&engine, 1).await;
        sim.set_disk_bytes(4 << 20);
        for _ in 0..20 {
            engine.append(vec![append_of(0, &[b'x'; VALUE], 0)]).await.unwrap().remove(0).unwrap();
        }
        engine.rewriter.checkpoint().await.unwrap();
        assert_eq!(engine.log.archive.segments().len(), 1);
        let free = sim.door().disk.free_bytes(Path::new("/data")).await.unwrap();
        let known = engine.log.space.free_bytes();
        assert!(known <= free, "{known} bytes were taken for free, of {free}");
        engine.close().await.unwrap();
    });
}

#[test]
fn a_disk_that_somebody_else_filled_serves_reads_and_deletes_and_starts() {
    sim::run(5, |sim| async move {
        let engine = open_with(&sim, small(u64::MAX)).await;
        create_topic(&engine, 1).await;
        for _ in 0..60 {
            engine.append(vec![append_of(0, &[b'x'; VALUE], 0)]).await.unwrap().remove(0).unwrap();
        }
        // Not one block is free, whatever the engine gives back.
        sim.set_disk_bytes(0);
        fill(&engine, 1000).await;
        let taken = count(&engine, 0).await;
        engine.close().await.unwrap();
        drop(engine);
        sim.set_disk_bytes(u64::MAX);
        let free = sim.door().disk.free_bytes(Path::new("/data")).await.unwrap();
        sim.set_disk_bytes(u64::MAX - free);
        let engine = open_with(&sim, small(u64::MAX)).await;
        assert_eq!(count(&engine, 0).await, taken);
        let refused = engine.append(vec![append_of(0, b"no", 0)]).await.unwrap().remove(0);
        assert_eq!(refused, Err(AppendError::StorageFull));
        engine.propose(Command::DeleteTopic { topic: TOPIC }).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        engine.close().await.unwrap();
    });
}

/// With the log at its bound and no room to rewrite it, only the rewrite was thought to give a file, and never could: commits of
/// offsets waited for ever, and so did the deletes that have a file set apart for this day.
#[test]
fn commands_end_though_the_log_has_its_bound_and_the_disk_no_room_for_a_rewrite() {
    sim::run(6, |sim| async move {
        let options = LocalOptions {
            wal_bytes_max: 256 << 10,
            rewrite: RewriteOptions { wal_bytes: u64::MAX, ..small(u64::MAX).rewrite },
            ..small(u64::MAX)
        };
        let engine = open_with(&sim, options).await;
        create_topic(&engine, 1).await;
        // Up to the log's bound, and a little before the rewrite would help.
        let mut taken = 0;
        while engine.log.space.wal_sizes().0 < 256 << 10 {
            engine.append(vec![append_of(0, &[b'x'; VALUE], 0)]).await.unwrap().remove(0).unwrap();
            taken += 1;
        }
        sim.set_disk_bytes(0);
        taken += fill(&engine, 1000).await;
        let mut refused = 0;
        for number in 0..400 {
            let at = CommittedOffset {
                offset: Offset(number),
                leader_epoch: 0,
                metadata: "m".repeat(2000).into(),
                commit_ms: 1,
            };
            let commit = Command::CommitOffsets {
                group: "g".into(),
                member: None,
                offsets: vec![(partition(0), at)],
                now_ms: 1,
            };
            let answer = tokio::time::timeout(Duration::from_secs(60), engine.propose(commit)).await;
            refused += u32::from(answer.expect("it does not wait for ever").unwrap().is_err());
        }
        assert!(refused > 0, "there is no room for all of them");
        assert_eq!(count(&engine, 0).await, taken);
        let delete = engine.propose(Command::DeleteTopic { topic: TOPIC });
        tokio::time::timeout(Duration::from_secs(60), delete)
            .await
            .expect("it does not wait")
            .unwrap()
            .unwrap();
        sim.set_disk_bytes(u64::MAX);
        tokio::time::sleep(Duration::from_secs(10)).await;
        create_topic(&engine, 1).await;
        engine.append(vec![append_of(0, b"yes", 0)]).await.unwrap().remove(0).unwrap();
        engine.close().await.unwrap();
    });
}

/// Writers go on while what the disk may hold goes up and down; refusals take no offset, nothing taken is lost, and nobody
/// waits for ever. That nothing is decided without room for it is an assertion in `Space::take`.
#[test]
fn a_disk_that_is_full_now_and_then_loses_nothing() {
    for seed in 0..40 {
        sim::run(seed, |sim| async move {
            let promote = if seed % 2 == 0 { 0 } else { u64::MAX };
            let engine = open_with(&sim, small(promote)).await;
            create_topic(&engine, 3).await;
            let taken = Arc::new(StdMutex::new(vec![Vec::new(); 3]));
            let mut writers = Vec::new();
            for writer in 0..6 {
                let (engine, taken, inside) = (engine.clone(), taken.clone(), sim.clone());
                let write = async move {
                    for number in 0..60 {
                        // Now and then one that is larger than a frame or than a small file.
                        let size = match inside.below(20) {
                            0 => 60_000 + inside.below(60_000) as usize,
                            1..4 => 9_000 + inside.below(5_000) as usize,
                            _ => inside.below(5_000) as usize,
                        };
                        let value = format!("{writer}.{number:05}{}", "x".repeat(size));
                        let pending = engine.append(vec![append_of(writer % 3, value.as_bytes(), 0)]);
                        if inside.below(10) == 0 {
                            // Answered to nobody.
                            continue;
                        }
                        match pending.await.unwrap().remove(0) {
                            Ok(appended) => taken.lock().unwrap()[writer as usize % 3]
                                .push((appended.base_offset.0, format!("{writer}.{number:05}"))),
                            Err(refused) => {
                                assert_eq!(refused, AppendError::StorageFull);
                                tokio::time::sleep(Duration::from_millis(300)).await;
                            }
                        }
                    }
                };
                writers.push(sim.outside().tasks.spawn("writer", Box::pin(write)).0);
            }
            let (turns, turning) = (sim.clone(), engine.clone());
            let disk = sim.outside().tasks.spawn(
                "disk",
                Box::pin(async move {
                    loop {
                        let bytes = [0, 300 << 10, 700 << 10, 2 << 20, u64::MAX][turns.below(5) as usize];
                        turns.set_disk_bytes(bytes);
                        let to = turning.published(partition(0)).unwrap().high_watermark.0 - 5;
                        if turns.below(4) == 0 && to > 0 {
                            let to = Some(Offset(to));
                            let trim = Command::Trim { partition: partition(0), to, by: TrimBy::Client };
                            let _ = turning.propose(trim).await.unwrap();
                        }
                        tokio::time::sleep(Duration::from_millis(turns.below(2000))).await;
                    }
                }),
            );
            for writer in writers {
                tokio::time::timeout(Duration::from_secs(3600), writer)
                    .await
                    .expect("it waits for ever")
                    .unwrap();
            }
            disk.abort();
            sim.set_disk_bytes(u64::MAX);
            tokio::time::sleep(Duration::from_secs(3)).await;
            let check = async |engine: &Arc<LocalEngine>| {
                for index in 0..3 {
                    let published = engine.published(partition(index)).unwrap();
                    let mut found = std::collections::BTreeMap::new();
                    let mut next = published.log_start.0;
                    while next < published.high_watermark.0 {
                        for value in values(engine, index, next).await {
                            let (offset, value) = value.split_once(':').unwrap();
                            assert_eq!(offset, next.to_string(), "offsets are dense");
                            found.insert(next, value.to_string());
                            next += 1;
                        }
                    }
                    for (offset, value) in &taken.lock().unwrap()[index as usize] {
                        let expected = (*offset >= published.log_start.0).then(|| value[..7].to_string());
                        let seen = found.get(offset).map(|value| value[..7].to_string());
                        assert_eq!(seen, expected, "partition {index}, offset {offset}");
                    }
                }
            };
            check(&engine).await;
            engine.close().await.unwrap();
            drop(engine);
            check(&open_with(&sim, small(promote)).await).await;
        });
    }
}

#[test]
fn starts_and_stops_do_not_add_files() {
    sim::run(9, |sim| async move {
        let mut files = Vec::new();
        for _ in 0..6 {
            let engine = open_with(&sim, small(0)).await;
            engine.propose(Command::AllocateProducerIds { count: 1 }).await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            engine.rewriter.checkpoint().await.unwrap();
            engine.close().await.unwrap();
            files.push(sim.door().disk.list(Path::new("/data/wal")).await.unwrap().len());
        }
        assert!(files[5] <= files[2] && files[5] <= 5, "log files after each start: {files:?}");
    });
}

#[test]
fn a_device_that_fails_under_the_rewrite_ends_the_log_and_says_why() {
    sim::run(8, |sim| async move {
        let told = Arc::new(StdMutex::new(Vec::new()));
        let hear = told.clone();
        let options = LocalOptions {
            on_failure: Some(Arc::new(move |reason: &str| hear.lock().unwrap().push(reason.to_string()))),
            rewrite: RewriteOptions {
                wal_bytes: u64::MAX,
                interval: Duration::from_secs(3600),
                promote_extent_bytes: u64::MAX,
                ..Default::default()
            },
            ..small(0)
        };
        let engine = open_with(&sim, options).await;
        create_topic(&engine, 1).await;
        for _ in 0..40 {
            engine.append(vec![append_of(0, &[b'x'; VALUE], 0)]).await.unwrap().remove(0).unwrap();
        }
        sim.fail_at(sim.durable_operations());
        let error = engine.rewriter.checkpoint().await.unwrap_err();
        assert!(engine.rewriter.is_over(error).await);
        let told = told.lock().unwrap().clone();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("writing segment "), "{told:?}");
        assert!(matches!(engine.append(vec![]).await, Err(EngineError::Closed(_))));
    });
}

/// A command's decision was put into the frame that was open, however large it was. The frame then fitted no file: the commit
/// waited for one, which only a rewrite could give, and the rewrite for the commit.
#[test]
fn a_large_command_gets_a_frame_of_its_own() {
    sim::run(6, |sim| async move {
        let options = LocalOptions { wal_file_bytes_max: 64 << 10, ..small(u64::MAX) };
        let engine = open_with(&sim, options).await;
        create_topic(&engine, 20).await;
        for _ in 0..80 {
            engine.append(vec![append_of(0, &[b'x'; VALUE], 0)]).await.unwrap().remove(0).unwrap();
        }
        engine.rewriter.checkpoint().await.unwrap();
        // As large as an empty file takes, behind what is decided already and in nobody's frame yet.
        let metadata: Arc<str> = "m".repeat(4000).into();
        let offset =
            CommittedOffset { offset: Offset(1), leader_epoch: -1, metadata: metadata.clone(), commit_ms: 1 };
        let commit = Command::CommitOffsets {
            group: "g".into(),
            member: None,
            offsets: (0..14).map(|index| (partition(index), offset.clone())).collect(),
            now_ms: 1,
        };
        let before = engine.append(vec![append_of(0, &[b'x'; 6500], 0)]);
        let large = engine.propose(commit);
        let both = async { (before.await.unwrap().remove(0), large.await.unwrap()) };
        let (before, large) =
            tokio::time::timeout(Duration::from_secs(60), both).await.expect("it is committed");
        before.unwrap();
        large.unwrap();
        engine.close().await.unwrap();
        drop(engine);
        let engine = open_with(&sim, small(u64::MAX)).await;
        let offsets = engine.query(|state| state.group("g").map(|group| group.offsets.len()));
        assert_eq!(offsets.await.unwrap(), Some(14));
    });
}

/// Files that a rewrite had freed and not handed back yet counted as nothing that it had to give: each rewrite under load let a
/// file be made beyond `wal_bytes_max`, and none of them ever went.
#[test]
fn writers_that_never_pause_keep_the_log_within_its_bound() {
    sim::run(11, |sim| async move {
        let options =
            LocalOptions { wal_file_bytes_max: 64 << 10, wal_bytes_max: 256 << 10, ..small(u64::MAX) };
        // The last file that is made may be as large as what waits for room, and one file is set apart.
        let bound = options.wal_bytes_max + (300 << 10) + (128 << 10);
        // Writing is faster than the rewrite, which reads call by call.
        sim.set_sync_time(Duration::from_micros(2));
        let engine = open_with(&sim, options).await;
        create_topic(&engine, 3).await;
        let mut writers = Vec::new();
        for writer in 0..8 {
            let (engine, inside) = (engine.clone(), sim.clone());
            let write = async move {
                for _ in 0..600 {
                    let pending = engine.append(vec![append_of(writer % 3, &[b'x'; 3 * VALUE], 0)]);
                    pending.await.unwrap().remove(0).unwrap();
                    let is_log = |path: &Path| path.extension().is_some_and(|extension| extension == "wal");
                    let files = inside.files();
                    let log: u64 =
                        files.iter().filter(|(path, _)| is_log(path)).map(|(_, bytes)| bytes).sum();
                    assert!(log <= bound, "{log} bytes of log, of {bound}");
                }
            };
            writers.push(sim.outside().tasks.spawn("writer", Box::pin(write)).0);
        }
        for writer in writers {
            writer.await.unwrap();
        }
        engine.close().await.unwrap();
    });
}
