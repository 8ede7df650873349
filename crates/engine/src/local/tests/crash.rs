//! The engine on a disk that forgets every un-synced write: a crash at each durable operation.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex as StdMutex;

use bytes::Bytes;

use super::*;
use crate::contract::ProducerStamp;
use crate::door::Open;
use crate::door::sim::{self, Sim};

const WRITERS: usize = 4;
const BATCHES: usize = 15;

/// `promote_extent_bytes` 0: the log's files become segments as they are; else their batches are copied.
fn small(promote_extent_bytes: u64) -> LocalOptions {
    LocalOptions {
        wal_file_bytes_first: 64 << 10,
        wal_file_bytes_max: 128 << 10,
        tail_cache_bytes: 32 << 10,
        frame_bytes_max: 16 << 10,
        seal_after: Duration::from_millis(3),
        wal_bytes_max: 512 << 10,
        rewrite: RewriteOptions {
            wal_bytes: 64 << 10,
            interval: Duration::from_millis(2),
            promote_extent_bytes,
            ..Default::default()
        },
        ..Default::default()
    }
}

async fn open(sim: &Sim) -> Result<Arc<LocalEngine>, OpenError> {
    let promote = if sim.below(2) == 0 { 0 } else { u64::MAX };
    LocalEngine::open(sim.door(), Path::new("/data"), small(promote)).await
}

/// An idempotent producer that writes `writer.number` in order to one partition and tries again what it does not
/// know the outcome of.
#[derive(Debug, Default)]
struct Writer {
    /// The next number to be acknowledged.
    next: usize,
    acknowledged: Vec<(usize, Offset)>,
}

fn numbered(writer: usize, number: usize) -> Append {
    let mut append = append_of(writer as i32 % 3, format!("{writer}.{number:<3000}").as_bytes(), 0);
    append.batch.producer = Some(ProducerStamp { id: writer as i64, epoch: 0, base_sequence: number as i32 });
    append
}

/// Lets all writers go on until they have `BATCHES` more, or the log fails.
async fn write(sim: &Sim, engine: &Arc<LocalEngine>, writers: &Arc<StdMutex<Vec<Writer>>>, until: usize) {
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let (engine, writers) = (engine.clone(), writers.clone());
        let inside = sim.clone();
        let task = async move {
            let mut number = writers.lock().unwrap()[writer].next;
            while number < until {
                let depth = 1 + inside.below(3) as usize;
                let numbers: Vec<usize> = (number..until.min(number + depth)).collect();
                let pipeline: Vec<_> =
                    numbers.iter().map(|number| engine.append(vec![numbered(writer, *number)])).collect();
                for (one, pending) in numbers.into_iter().zip(pipeline) {
                    let Ok(answers) = pending.await else { return };
                    let appended = match &answers[0] {
                        Ok(appended) => appended,
                        Err(refused) => panic!("{refused}"),
                    };
                    let mut writers = writers.lock().unwrap();
                    writers[writer].acknowledged.push((one, appended.base_offset));
                    writers[writer].next = one + 1;
                    number = one + 1;
                }
            }
        };
        tasks.push(sim.outside().tasks.spawn("writer", Box::pin(task)).0);
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Everything that was acknowledged is at its offset, everything is there at most once and in order, offsets are
/// dense, and what readers see agrees with the state.
async fn check(engine: &LocalEngine, writers: &StdMutex<Vec<Writer>>) {
    let tails =
        engine.query(|state| [0, 1, 2].map(|index| state.partition(partition(index)).map(|p| p.next)));
    let tails = tails.await.unwrap();
    let mut places: BTreeMap<String, i64> = BTreeMap::new();
    for index in 0..3 {
        let Some(tail) = tails[index as usize] else {
            assert!(writers.lock().unwrap().iter().all(|writer| writer.acknowledged.is_empty()));
            return;
        };
        assert_eq!(engine.published(partition(index)).unwrap().high_watermark, tail);
        let found = values(engine, index, 0).await;
        assert_eq!(found.len() as i64, tail.0, "partition {index}: {found:?}");
        for (at, value) in found.iter().enumerate() {
            let (offset, value) = value.split_once(':').unwrap();
            assert_eq!(offset.parse::<usize>().unwrap(), at, "offsets are dense");
            assert_eq!(
                places.insert(value.trim_end().to_string(), at as i64),
                None,
                "{value} is there twice"
            );
        }
    }
    for (writer, known) in writers.lock().unwrap().iter().enumerate() {
        for (number, offset) in &known.acknowledged {
            assert_eq!(places.get(&format!("{writer}.{number}")), Some(&offset.0), "{writer}.{number}");
        }
        let mine: Vec<i64> =
            (0..).map_while(|number| places.get(&format!("{writer}.{number}")).copied()).collect();
        assert!(mine.is_sorted(), "writer {writer}: {mine:?}");
    }
}

/// One run: work, crash at a durable operation (of the first start too), start, check, and again. Gives back the
/// number of durable operations.
async fn run(sim: Sim, crash_at: u64) -> u64 {
    let writers = Arc::new(StdMutex::new((0..WRITERS).map(|_| Writer::default()).collect::<Vec<_>>()));
    let mut at = crash_at;
    sim.crash_at(at);
    let mut operations = 0;
    for life in 1..=3 {
        let before = sim.durable_operations();
        match open(&sim).await {
            Ok(engine) => {
                // Crashes may hit the topic's creation; what is there already stays as it is.
                let exists = engine.query(|state| state.topic(TOPIC).is_some()).await;
                let made = match exists {
                    Ok(true) => true,
                    Ok(false) => try_create_topic(&engine, 3).await,
                    Err(_) => false,
                };
                if made {
                    if !sim.has_crashed() {
                        // Not while it is looked at, which is not what this is about.
                        sim.crash_at(u64::MAX);
                        check(&engine, &writers).await;
                        sim.crash_at(at.max(sim.durable_operations()));
                    }
                    write(&sim, &engine, &writers, life * BATCHES).await;
                    if sim.below(2) == 0 {
                        // A clean stop now and then, or what is left of it.
                        let _ = engine.close().await;
                    }
                }
                assert!(made || sim.has_crashed());
            }
            Err(error) => assert!(sim.has_crashed(), "a start failed without a crash: {error}"),
        }
        operations = operations.max(sim.durable_operations() - before);
        sim.crash().await;
        // The next lives crash at their own places.
        at = sim.durable_operations() + crash_at % 17 + u64::from(life as u32) * 3;
        sim.crash_at(at);
    }
    sim.crash_at(u64::MAX);
    let engine = open(&sim).await.unwrap();
    if engine.query(|state| state.topic(TOPIC).is_none()).await.unwrap() {
        create_topic(&engine, 3).await;
    }
    check(&engine, &writers).await;
    write(&sim, &engine, &writers, 4 * BATCHES).await;
    check(&engine, &writers).await;
    assert!(writers.lock().unwrap().iter().all(|writer| writer.next == 4 * BATCHES));
    operations
}

async fn try_create_topic(engine: &LocalEngine, partitions: i32) -> bool {
    let create = CreateTopic {
        name: "t".into(),
        id: TOPIC,
        partitions,
        configs: Default::default(),
        tags: Default::default(),
        now_ms: 1,
    };
    engine.propose(Command::CreateTopic(create)).await.is_ok()
}

#[test]
fn nothing_acknowledged_is_lost_at_any_crash_point() {
    let operations = sim::run(0, |sim| run(sim, u64::MAX - 1000));
    assert!(operations > 20, "{operations} durable operations are too few to say anything");
    for crash_at in 0..operations {
        for seed in 0..3 {
            sim::run(crash_at * 1000 + seed, |sim| run(sim, crash_at));
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let trace = |seed| {
        sim::run(seed, |sim| async move {
            run(sim.clone(), 13).await;
            (sim.trace_hash(), sim.calls())
        })
    };
    let first: Vec<_> = (0..5).map(trace).collect();
    assert_eq!(first, (0..5).map(trace).collect::<Vec<_>>());
    assert_ne!(first[0].0, first[1].0);
}

#[test]
fn a_failed_write_is_never_tried_again_and_the_outcome_is_said_to_be_unknown() {
    sim::run(5, |sim| async move {
        let told = Arc::new(StdMutex::new(Vec::new()));
        let hear = told.clone();
        let options = LocalOptions {
            on_failure: Some(Arc::new(move |reason: &str| hear.lock().unwrap().push(reason.to_string()))),
            rewrite: RewriteOptions { interval: Duration::from_secs(3600), ..small(0).rewrite },
            ..small(0)
        };
        let engine = LocalEngine::open(sim.door(), Path::new("/data"), options).await.unwrap();
        create_topic(&engine, 1).await;
        // Until the log is sealed and further files are made: the next durable operation is the append's.
        tokio::time::sleep(Duration::from_millis(100)).await;
        sim.fail_at(sim.durable_operations());
        let first = engine.append(vec![append_of(0, b"lost", 0)]);
        let second = engine.query(|_| ());
        assert!(matches!(first.await, Err(EngineError::OutcomeUnknown(_))));
        assert!(matches!(second.await, Err(EngineError::OutcomeUnknown(_))));
        let third = engine.append(vec![append_of(0, b"refused", 0)]).await;
        assert!(matches!(third, Err(EngineError::Closed(_))));
        assert_eq!(told.lock().unwrap().len(), 1);
        let after = sim.durable_operations();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(sim.durable_operations(), after, "a failed log writes nothing more");
    });
}

#[test]
fn a_sync_stuck_for_seconds_stops_nobody_else() {
    sim::run(7, |sim| async move {
        let engine = open(&sim).await.unwrap();
        create_topic(&engine, 1).await;
        sim.set_sync_time(Duration::from_secs(10));
        let stuck = engine.append(vec![append_of(0, b"late", 0)]);
        let waiting = sim.outside().tasks.spawn(
            "waits",
            Box::pin(async move {
                stuck.await.unwrap().remove(0).unwrap();
            }),
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = tokio::time::Instant::now();
        assert_eq!(values(&engine, 0, 0).await, Vec::<String>::new());
        assert!(before.elapsed() < Duration::from_millis(100));
        waiting.0.await.unwrap();
        assert_eq!(values(&engine, 0, 0).await, ["0:late"]);
    });
}

#[test]
fn a_leader_that_is_dropped_half_way_hands_on() {
    for seed in 0..20 {
        sim::run(seed, |sim| async move {
            let engine = open(&sim).await.unwrap();
            create_topic(&engine, 1).await;
            for round in 0..10 {
                let first = engine.append(vec![append_of(0, b"a", 0)]);
                let second = engine.append(vec![append_of(0, b"b", 0)]);
                let patience = Duration::from_micros(sim.below(120));
                let _ = tokio::time::timeout(patience, first).await;
                second.await.unwrap().remove(0).unwrap();
                assert_eq!(engine.published(partition(0)).unwrap().high_watermark, Offset(2 * (round + 1)));
            }
        });
    }
}

/// A lane's part of a snapshot stands for every decision up to its position. Were later decisions put into the frame
/// that is open at that position, the next start would skip them: acknowledged, and gone.
#[test]
fn what_is_decided_after_a_snapshot_looked_is_not_taken_for_part_of_it() {
    for seed in 0..20 {
        sim::run(seed, |sim| async move {
            let options = LocalOptions {
                rewrite: RewriteOptions { interval: Duration::from_secs(3600), ..small(0).rewrite },
                ..small(0)
            };
            let open = || LocalEngine::open(sim.door(), Path::new("/data"), options.clone());
            let engine = open().await.unwrap();
            create_topic(&engine, 1).await;
            sim.set_sync_time(Duration::from_millis(20));
            let acknowledged = |append| {
                let pending = engine.append(vec![append]);
                let awaited = async move { pending.await.unwrap()[0].as_ref().unwrap().base_offset };
                let (tell, told) = tokio::sync::oneshot::channel();
                let task = Box::pin(async move { tell.send(awaited.await).unwrap() });
                sim.outside().tasks.spawn("writer", task);
                told
            };
            let first = acknowledged(append_of(0, b"written", 0));
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(engine.log.core().queued_bytes > 0, "the first frame is being written");
            let second = acknowledged(append_of(0, b"queued", 0));
            let rewriter = engine.rewriter.clone();
            let snapshot = async move { rewriter.checkpoint().await.unwrap() };
            let snapshot = sim.outside().tasks.spawn("snapshot", Box::pin(snapshot));
            // All lanes are looked at now, and the snapshot's file is being synced.
            tokio::time::sleep(Duration::from_millis(3)).await;
            let third = acknowledged(append_of(0, b"later", 0));
            assert!(engine.log.durable() < engine.log.core().tail, "nothing of it is durable yet");
            snapshot.0.await.unwrap();
            for (offset, told) in [first, second, third].into_iter().enumerate() {
                assert_eq!(told.await.unwrap(), Offset(offset as i64));
            }
            drop(engine);
            sim.crash().await;
            let engine = open().await.unwrap();
            assert_eq!(values(&engine, 0, 0).await, ["0:written", "1:queued", "2:later"], "seed {seed}");
            let next = engine.query(|state| state.partition(partition(0)).unwrap().next).await.unwrap();
            assert_eq!(next, Offset(3), "seed {seed}");
        });
    }
}

/// A log file that was made but whose directory was not synced when the process was killed was found by the next process,
/// in the page cache, and taken for a spare one: a power cut then took it away, with acknowledged frames in it.
#[test]
fn a_file_that_only_the_page_cache_names_does_not_take_acknowledged_frames_with_it() {
    for operation in 0..12 {
        for seed in 0..4 {
            sim::run(seed, |sim| async move {
                sim.crash_at(operation);
                let first = LocalEngine::open(sim.door(), Path::new("/data"), small(u64::MAX)).await;
                if let Ok(engine) = &first {
                    // Further files are made in the background.
                    let _ = try_create_topic(engine, 1).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                sim.kill().await;
                drop(first);
                let engine =
                    LocalEngine::open(sim.door(), Path::new("/data"), small(u64::MAX)).await.unwrap();
                if engine.query(|state| state.topic(TOPIC).is_none()).await.unwrap() {
                    create_topic(&engine, 1).await;
                }
                engine.append(vec![append_of(0, b"kept", 0)]).await.unwrap()[0].as_ref().unwrap();
                sim.crash().await;
                drop(engine);
                let engine =
                    LocalEngine::open(sim.door(), Path::new("/data"), small(u64::MAX)).await.unwrap();
                assert_eq!(
                    values(&engine, 0, 0).await,
                    ["0:kept"],
                    "killed at operation {operation}, seed {seed}"
                );
            });
        }
    }
}

/// A promotion had written its footer behind the frames of a log file, and its sync failed. The next start took the
/// length that the page cache showed, and found the end of the file before it.
#[test]
fn a_footer_that_only_the_page_cache_shows_does_not_keep_the_log_from_starting() {
    for seed in 0..20 {
        sim::run(seed, |sim| async move {
            let engine = open(&sim).await.unwrap();
            create_topic(&engine, 1).await;
            engine.append(vec![append_of(0, b"kept", 0)]).await.unwrap().remove(0).unwrap();
            let file = recovery::wal_directory(Path::new("/data")).join(wal::file_name(1));
            let file = sim.door().disk.open(&file, Open::Durable).await.unwrap();
            let end = file.size().await.unwrap();
            file.write_at(end, Bytes::from(vec![7; 5 * 4096])).await.unwrap();
            sim.fail_at(sim.durable_operations());
            file.sync().await.unwrap_err();
            drop(engine);
            sim.kill().await;
            let engine = open(&sim).await.expect("nothing acknowledged is damaged");
            assert_eq!(values(&engine, 0, 0).await, ["0:kept"]);
            engine.close().await.unwrap();
        });
    }
}

/// A repair that could not sync its new manifest was tried again by the next process, which found that manifest in the page
/// cache and removed the segments that it does not name; a power cut then brought the old manifest back, without them.
#[test]
fn a_repair_that_is_cut_short_and_tried_again_stands_a_power_cut() {
    sim::run(11, |sim| async move {
        let options = || LocalOptions {
            rewrite: RewriteOptions { interval: Duration::from_secs(3600), ..small(u64::MAX).rewrite },
            ..small(u64::MAX)
        };
        let path = Path::new("/data");
        let engine = LocalEngine::open(sim.door(), path, options()).await.unwrap();
        create_topic(&engine, 1).await;
        for round in 0..60 {
            let value = format!("{round:<3000}");
            engine.append(vec![append_of(0, value.as_bytes(), 0)]).await.unwrap().remove(0).unwrap();
            if round % 30 == 29 {
                engine.rewriter.checkpoint().await.unwrap();
            }
        }
        engine.close().await.unwrap();
        drop(engine);
        sim.kill().await;
        let is_segment = |path: &Path| path.extension().is_some_and(|extension| extension == "seg");
        let (segment, _) = sim.files().into_iter().find(|(path, _)| is_segment(path)).unwrap();
        sim.flip_bit(&segment, 100, 0);
        let damaged = sim.save_disk();
        let told = repair(&sim.door(), path, options(), RepairHow::TELL).await.unwrap();
        let lost = told.lost.iter().map(|lost| (lost.last.0 - lost.first.0 + 1) as usize).sum::<usize>();
        assert_eq!((told.damage.len(), lost), (1, 1), "{told:?}");
        sim.kill().await;

        let mut failures = 0;
        for failing in 0.. {
            sim.restore_disk(&damaged);
            sim.fail_at(sim.durable_operations() + failing);
            let has_failed = repair(&sim.door(), path, options(), RepairHow::APPLY).await.is_err();
            sim.kill().await;
            if has_failed {
                failures += 1;
                repair(&sim.door(), path, options(), RepairHow::APPLY).await.unwrap();
            }
            let repaired = sim.save_disk();
            for _ in 0..8 {
                sim.restore_disk(&repaired);
                sim.crash().await;
                let clean = verify(&sim.door(), path, &mut |_, _| {}).await.unwrap();
                assert_eq!(clean.damage, Vec::<String>::new(), "operation {failing} failed");
                sim.kill().await;
            }
            let engine = LocalEngine::open(sim.door(), path, options()).await.unwrap();
            assert_eq!(values(&engine, 0, 0).await.len(), 60 - lost, "operation {failing} failed");
            engine.close().await.unwrap();
            drop(engine);
            sim.kill().await;
            if !has_failed {
                break;
            }
        }
        assert!(failures > 5, "{failures}");
    });
}
