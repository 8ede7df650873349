//! Backups: a copy made beside writers, the rewrite and power cuts is what was durable when it was begun.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::door::sim::{self, Sim};

fn options() -> LocalOptions {
    LocalOptions {
        wal_file_bytes_first: 64 << 10,
        wal_file_bytes_max: 64 << 10,
        wal_bytes_max: 2 << 20,
        tail_cache_bytes: 64 << 10,
        frame_bytes_max: 32 << 10,
        seal_after: Duration::from_millis(50),
        rewrite: RewriteOptions {
            wal_bytes: 128 << 10,
            interval: Duration::from_millis(100),
            promote_extent_bytes: u64::MAX,
            ..Default::default()
        },
        ..Default::default()
    }
}

async fn open(sim: &Sim, directory: &str) -> Arc<LocalEngine> {
    let opened = LocalEngine::open(sim.door(), Path::new(directory), options()).await;
    opened.expect("what was synced opens")
}

/// Appends values of one KiB one after another until told to stop or the power is cut; gives back how many were
/// acknowledged.
async fn write(engine: Arc<LocalEngine>, from: i64, acked: Arc<AtomicU64>) {
    for n in from.. {
        let value = format!("{n:06}{}", "x".repeat(1000));
        match engine.append(vec![append_of(0, value.as_bytes(), n)]).await {
            Ok(answers) => {
                let appended = answers[0].as_ref().expect("there is room");
                assert_eq!(appended.base_offset, Offset(n));
                acked.store(n as u64 + 1, Ordering::SeqCst);
            }
            Err(_) => return,
        }
    }
}

async fn count(engine: &LocalEngine) -> i64 {
    let end = engine.published(partition(0)).expect("the partition is there").high_watermark.0;
    let mut next = 0;
    while next < end {
        let page = values(engine, 0, next).await;
        assert!(!page.is_empty());
        for value in page {
            assert!(value.starts_with(&format!("{next}:{next:06}x")), "{value} is at offset {next}");
            next += 1;
        }
    }
    end
}

#[test]
fn a_copy_beside_writers_holds_what_was_acknowledged_before_it() {
    for seed in 0..12 {
        sim::run(seed, |sim| async move {
            let engine = open(&sim, "/data").await;
            create_topic(&engine, 1).await;
            let acked = Arc::new(AtomicU64::new(0));
            let writer = sim.door().tasks.spawn("writer", Box::pin(write(engine.clone(), 0, acked.clone())));
            let mut held = Vec::new();
            for round in 0..3 {
                let enough = 200 * (round + 1) + seed * 7;
                while acked.load(Ordering::SeqCst) < enough {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let before = acked.load(Ordering::SeqCst) as i64;
                let directory = format!("/copies/{round}");
                let report = engine.backup(Path::new(&directory)).await.expect("a healthy disk");
                assert!(report.files >= 3 && report.bytes > 100_000, "{report:?}");
                held.push((directory, before, acked.load(Ordering::SeqCst) as i64));
            }
            writer.abort();
            engine.close().await.expect("a healthy log closes");
            drop(engine);
            // A whole copy needs no further sync.
            sim.crash().await;
            for (directory, before, after) in held {
                let damage = verify(&sim.door(), Path::new(&directory), &mut |_, _| {}).await.unwrap().damage;
                assert!(damage.is_empty(), "{damage:#?}");
                let copy = open(&sim, &directory).await;
                let found = count(&copy).await;
                assert!(before <= found && found <= after + 1, "{before} <= {found} <= {after}");
                let acked = Arc::new(AtomicU64::new(0));
                let writer = copy.clone();
                let more = sim.door().tasks.spawn("writer", Box::pin(write(writer, found, acked.clone())));
                while acked.load(Ordering::SeqCst) < found as u64 + 10 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                more.abort();
                copy.close().await.expect("a copy is a log like any other");
            }
        });
    }
}

#[test]
fn a_copy_that_a_power_cut_broke_off_never_looks_whole() {
    let mut whole = 0;
    for seed in 0..20 {
        whole += sim::run(seed, |sim| async move {
            let engine = open(&sim, "/data").await;
            create_topic(&engine, 1).await;
            let acked = Arc::new(AtomicU64::new(0));
            sim.door().tasks.spawn("writer", Box::pin(write(engine.clone(), 0, acked.clone())));
            while acked.load(Ordering::SeqCst) < 300 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let before = acked.load(Ordering::SeqCst) as i64;
            sim.crash_at(sim.durable_operations() + 1 + sim.below(60));
            let done = engine.backup(Path::new("/copy")).await.is_ok();
            while !sim.has_crashed() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(engine);
            sim.crash().await;
            let is_there = sim.door().disk.list(Path::new("/copy")).await.is_ok();
            assert!(is_there || !done, "what was told is kept");
            if is_there {
                let copy = open(&sim, "/copy").await;
                assert!(count(&copy).await >= before);
                copy.close().await.expect("a whole copy is a log");
            }
            let engine = open(&sim, "/data").await;
            assert!(count(&engine).await >= before);
            u32::from(is_there)
        });
    }
    assert!(0 < whole && whole < 20, "the power was cut before and after the copy was whole: {whole} of 20");
}

#[test]
fn a_copy_without_space_is_removed_and_the_log_goes_on() {
    sim::run(5, |sim| async move {
        let engine = open(&sim, "/data").await;
        create_topic(&engine, 1).await;
        let acked = Arc::new(AtomicU64::new(0));
        let writer = sim.door().tasks.spawn("writer", Box::pin(write(engine.clone(), 0, acked.clone())));
        while acked.load(Ordering::SeqCst) < 400 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        writer.abort();
        let disk = sim.door().disk;
        let used = u64::MAX - disk.free_bytes(Path::new("/")).await.unwrap();
        sim.set_disk_bytes(used + (300 << 10));
        let refused = engine.backup(Path::new("/copy")).await.expect_err("400 KiB do not fit into 300");
        assert!(!refused.is_refusal(), "{refused}");
        assert!(
            disk.list(Path::new("/copy")).await.is_err()
                && disk.list(Path::new("/copy.partial")).await.is_err()
        );
        sim.set_disk_bytes(u64::MAX);
        engine.backup(Path::new("/copy")).await.expect("there is space again");
        engine.close().await.expect("a healthy log closes");
        assert!(matches!(engine.backup(Path::new("/late")).await, Err(BackupError::Closed(_))));
    });
}

/// What a copy of a backup lacked of the newest log file, or all of that, was missed by nobody: a copy was what a power cut leaves,
/// and may end anywhere.
#[tokio::test]
async fn what_a_copy_of_a_backup_lacks_at_its_end_is_missed() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    for n in 0..200 {
        let value = format!("{n:06}{}", "x".repeat(1000));
        engine.append(vec![append_of(0, value.as_bytes(), n)]).await.unwrap().remove(0).unwrap();
    }
    let copy = Dir::new();
    engine.backup(&copy.path()).await.unwrap();
    engine.close().await.unwrap();
    let mut logs: Vec<_> =
        std::fs::read_dir(copy.path().join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(logs.len(), 1, "the rest was moved before");
    let log = logs.remove(0);
    let whole = std::fs::read(&log).unwrap();
    let door = door(DiskOptions::default());
    for left in [0, 4096, whole.len() / 2 / 4096 * 4096, whole.len() - 4096] {
        match left {
            0 => std::fs::remove_file(&log).unwrap(),
            left => std::fs::write(&log, &whole[..left]).unwrap(),
        }
        let verified = verify(&door, &copy.path(), &mut |_, _| {}).await.unwrap();
        assert_eq!(verified.damage.len(), 1, "{left} bytes left: {verified:?}");
        let refused = copy.try_open(options()).await.unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{left} bytes left: {refused}");
    }
    std::fs::write(&log, &whole).unwrap();
    let restored = copy.try_open(options()).await.unwrap();
    assert_eq!(count(&restored).await, 200);
    restored.close().await.unwrap();
}
