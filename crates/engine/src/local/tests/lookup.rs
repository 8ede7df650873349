//! Lookups by time, and of the greatest timestamp: what they find while batches move, and what they read for it.

use std::sync::atomic::AtomicUsize;

use super::rewrite::{options, wal_files};
use super::*;
use crate::contract::OffsetQuery;

/// What a lookup in partition 0 finds that is held at the gate until a rewrite is through.
async fn found_while_rewritten(engine: &LocalEngine, gate: &Gate, query: OffsetQuery) -> Option<FoundOffset> {
    gate.close();
    let rewrite = async {
        gate.reached().await;
        engine.rewriter.checkpoint().await.unwrap();
        gate.open();
    };
    let (found, ()) = tokio::join!(engine.offset(partition(0), query), rewrite);
    found.unwrap().unwrap()
}

/// A lookup by time looked in the archive, then in the log: what a rewrite moved from the second to the first meanwhile was
/// in neither, and a reader that sought a time started behind it.
#[tokio::test]
async fn lookups_by_time_see_what_a_rewrite_moves_meanwhile() {
    let gate = Gate::new("wal");
    let dir = Dir::new();
    let options = LocalOptions { tail_cache_bytes: 0, ..options() };
    let engine = LocalEngine::open(gate.door(), &dir.path(), options).await.unwrap();
    create_topic(&engine, 1).await;
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(100, None, Some(b"trimmed"), &[]);
    builder.append(1, None, Some(b"kept"), &[]);
    let mut first = append_of(0, b"", 100);
    first.batch.bytes = builder.build().unwrap();
    first.batch.offset_count = 2;
    engine.append(vec![first]).await.unwrap().remove(0).unwrap();
    engine.append(vec![append_of(0, b"wanted", 200)]).await.unwrap().remove(0).unwrap();
    while wal_files(&engine) < 2 {
        engine.append(vec![append_of(0, &[b'x'; 20_000], 1)]).await.unwrap().remove(0).unwrap();
    }
    trim(&engine, 0, 1).await;

    // The header of the first batch promises the time, so that its records are read; the rewrite comes meanwhile.
    let found = found_while_rewritten(&engine, &gate, OffsetQuery::Timestamp(50)).await;
    assert_eq!(found.map(|found| (found.offset.0, found.timestamp_ms)), Some((2, 200)));
    engine.close().await.unwrap();
}

/// The same for the greatest timestamp.
#[tokio::test]
async fn the_greatest_timestamp_is_found_while_a_rewrite_moves_it() {
    let gate = Gate::new("seg");
    let dir = Dir::new();
    let engine = LocalEngine::open(gate.door(), &dir.path(), options()).await.unwrap();
    create_topic(&engine, 1).await;
    let fill_file = async |files| {
        while wal_files(&engine) < files {
            engine.append(vec![append_of(0, &[b'x'; 20_000], 1)]).await.unwrap().remove(0).unwrap();
        }
    };
    fill_file(2).await;
    engine.rewriter.checkpoint().await.unwrap();
    let appended = engine.append(vec![append_of(0, b"greatest", 900)]).await.unwrap().remove(0).unwrap();
    fill_file(2).await;
    trim(&engine, 0, 1).await;

    // The table of an extent that is trimmed in part is read; the rewrite comes meanwhile.
    let found = found_while_rewritten(&engine, &gate, OffsetQuery::MaxTimestamp).await;
    assert_eq!(found.map(|found| (found.offset, found.timestamp_ms)), Some((appended.base_offset, 900)));
    engine.close().await.unwrap();
}

/// A batch of one record whose header says that it has a timestamp, which it has not.
fn promising(mut bytes: Vec<u8>, max_timestamp_ms: i64) -> Batch {
    bytes[35..43].copy_from_slice(&max_timestamp_ms.to_be_bytes());
    Batch { bytes: bytes.into(), max_timestamp_ms, ..batch(b"", 1) }
}

/// A header promises what its producer likes. A lookup by time unpacked batch after batch without ever letting anything else
/// on its thread go on: heartbeats, timers, other clients.
#[tokio::test]
async fn a_lookup_by_time_takes_turns_and_looks_through_so_much_only() {
    let dir = Dir::new();
    let engine = dir.try_open(LocalOptions { tail_cache_bytes: 16 << 20, ..options() }).await.unwrap();
    create_topic(&engine, 1).await;
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.append(1, None, Some(&vec![0; 4 << 20]), &[]);
    let bytes = builder.build().unwrap().to_vec();
    let lie = promising(bytes, 1000);
    const LIES: usize = 30;
    for moved in [false, true] {
        if moved {
            engine.rewriter.checkpoint().await.unwrap();
        } else {
            for _ in 0..LIES {
                let append = Append { partition: partition(0), shard: None, batch: lie.clone() };
                engine.append(vec![append]).await.unwrap().remove(0).unwrap();
            }
        }
        let mut lookup = engine.offset(partition(0), OffsetQuery::Timestamp(500));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut turns = 0;
        let found = loop {
            match lookup.as_mut().poll(&mut cx) {
                std::task::Poll::Ready(found) => break found.unwrap().unwrap().unwrap(),
                std::task::Poll::Pending => turns += 1,
            }
            tokio::task::yield_now().await;
        };
        // 16 of them are a little more than 64 MiB.
        assert_eq!(found.offset, Offset(15));
        assert!(turns >= 15, "{turns} turns");
    }
    assert_eq!(engine.reader.undecodable.load(std::sync::atomic::Ordering::Relaxed), 0);
    engine.close().await.unwrap();
}

/// Only what was unpacked counted, and a batch of one empty record is ten bytes: millions of such batches with a header that
/// promises too much were read for one lookup.
#[tokio::test]
async fn a_lookup_by_time_looks_into_so_many_small_batches_only() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    let lie = promising(batch(b"", 1).bytes.to_vec(), 1000);
    for _ in 0..50 {
        let append = || Append { partition: partition(0), shard: None, batch: lie.clone() };
        let appended = engine.append((0..100).map(|_| append()).collect()).await.unwrap();
        assert!(appended.iter().all(Result::is_ok));
    }
    for moved in [false, true] {
        if moved {
            engine.rewriter.checkpoint().await.unwrap();
        }
        let found = engine.offset(partition(0), OffsetQuery::Timestamp(500)).await.unwrap().unwrap();
        assert_eq!(found.unwrap().offset, Offset(4096));
    }
    engine.close().await.unwrap();
}

/// To look at one header, a batch as large as its topic allows was read whole where the log start cuts it, by each connection
/// that asked, outside of every budget.
#[tokio::test]
async fn the_greatest_timestamp_of_a_batch_that_the_log_start_cuts_is_known_without_a_look() {
    let dir = Dir::new();
    let read = Arc::new(AtomicUsize::new(0));
    let below = door(DiskOptions::default());
    let counted = read.clone();
    let disk = FilesOver::with_reads_watched(below.disk.clone(), move |_, _, len| {
        counted.fetch_add(len, Ordering::SeqCst);
        Ok(())
    });
    let door = Door { disk: Arc::new(disk), ..below };
    let engine = LocalEngine::open(door, &dir.path(), options()).await.unwrap();
    create_topic(&engine, 1).await;
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(900, None, Some(&vec![0; 1_000_000]), &[]);
    builder.append(700, None, Some(b""), &[]);
    let bytes = builder.build().unwrap();
    let large = Batch { bytes, offset_count: 2, max_timestamp_ms: 900, ..batch(b"", 900) };
    engine
        .append(vec![Append { partition: partition(0), shard: None, batch: large }])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    // Several in one extent, of which the first is cut off.
    let appended = engine.append(vec![append_of(0, b"old", 950), append_of(0, b"new", 940)]).await.unwrap();
    assert!(appended.iter().all(Result::is_ok));
    for (log_start, greatest, read_max) in [(1, (2, 950), 4096), (3, (3, 940), 4096)] {
        trim(&engine, 0, log_start).await;
        read.store(0, Ordering::SeqCst);
        let found = engine.offset(partition(0), OffsetQuery::MaxTimestamp).await.unwrap().unwrap().unwrap();
        assert_eq!((found.offset.0, found.timestamp_ms), greatest);
        assert!(read.load(Ordering::SeqCst) <= read_max, "{} bytes read", read.load(Ordering::SeqCst));
    }
    engine.close().await.unwrap();
}
