//! Merges beside everything else that the rewrite does.

use super::rewrite::options;
use super::*;

/// Three segments and a log that makes the fourth, so that they merge.
async fn nearly_four_segments() -> Dir {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    let mut offset = 0;
    for _ in 0..3 {
        offset = append_until(&engine, offset, 2).await;
        engine.rewriter.checkpoint().await.unwrap();
    }
    append_until(&engine, offset, 2).await;
    drop(engine);
    dir
}

/// Appends until the log has so many files; gives back the next offset.
async fn append_until(engine: &LocalEngine, mut offset: i64, files: usize) -> i64 {
    while engine.log.index.lock().files.len() < files {
        let value = format!("{offset:06}{}", "x".repeat(4000));
        let appended = engine.append(vec![append_of(0, value.as_bytes(), 0)]).await.unwrap().remove(0);
        assert_eq!(appended.unwrap().base_offset, Offset(offset));
        offset += 1;
    }
    offset
}

fn segment_files(dir: &Dir) -> Vec<String> {
    let list = std::fs::read_dir(dir.path().join("segments")).unwrap();
    let mut names: Vec<_> = list.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn named(engine: &LocalEngine) -> Vec<String> {
    engine.log.archive.segments().iter().map(|segment| segment.id.file_name()).collect()
}

/// A merge held what it had read when it looked whether somebody still did: its sources, up to a GiB, stayed until the next round.
#[tokio::test]
async fn segments_that_were_merged_go_with_the_round() {
    let dir = nearly_four_segments().await;
    let engine = dir.try_open(options()).await.unwrap();
    engine.rewriter.checkpoint().await.unwrap();
    assert_eq!(segment_files(&dir).len(), 4);
    engine.rewriter.round().await.unwrap();
    assert_eq!(named(&engine).len(), 1);
    assert_eq!(segment_files(&dir), named(&engine));
    engine.close().await.unwrap();
}

/// The place where the log begins, as the manifest on the disk says.
fn log_begins(dir: &Path) -> u64 {
    let text = std::fs::read_to_string(dir.join("manifest")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("wal-from ")).unwrap();
    line.parse().unwrap()
}

/// A merge of a GiB took seconds in which no log file came free and the index of the log only grew: appends waited for its end.
#[tokio::test]
async fn a_checkpoint_that_is_due_does_not_wait_for_a_merge() {
    let dir = nearly_four_segments().await;
    let gate = Gate::new("seg");
    let seen: Arc<std::sync::Mutex<Vec<u64>>> = Arc::default();
    let (told, path) = (seen.clone(), dir.path());
    let gated = gate.door();
    let watched = FilesOver::with_reads_watched(gated.disk.clone(), move |file, _, _| {
        if file.extension().is_some_and(|extension| extension == "seg") {
            told.lock().unwrap().push(log_begins(&path));
        }
        Ok(())
    });
    let door = Door { disk: Arc::new(watched), ..gated };
    let rewrite = RewriteOptions { wal_bytes: 256 << 10, ..options().rewrite };
    let engine = LocalEngine::open(door, &dir.path(), LocalOptions { rewrite, ..options() }).await.unwrap();
    let next = engine.published(partition(0)).unwrap().high_watermark.0;
    seen.lock().unwrap().clear();

    gate.close();
    let merge = async {
        engine.rewriter.round().await.unwrap();
        seen.lock().unwrap().clone()
    };
    let load = async {
        gate.reached().await;
        assert_eq!(segment_files(&dir).len(), 5, "four, and what they become");
        append_until(&engine, next, 3).await;
        gate.open();
    };
    let (reads, ()) = tokio::join!(merge, load);
    assert!(
        reads.is_sorted() && reads.first() < reads.last(),
        "the log went on while segments were read: {reads:?}"
    );
    assert_eq!(segment_files(&dir), named(&engine));
    let end = engine.published(partition(0)).unwrap().high_watermark.0;
    let mut offset = 0;
    while offset < end {
        for value in values(&engine, 0, offset).await {
            assert_eq!(value, format!("{offset}:{offset:06}xx"));
            offset += 1;
        }
    }
    engine.close().await.unwrap();
    drop(engine);
    let verified = verify(&super::door(DiskOptions::default()), &dir.path(), &mut |_, _| {}).await.unwrap();
    assert_eq!(verified.damage, Vec::<String>::new());
}

/// A stop waited for the end of a merge.
#[tokio::test]
async fn a_log_that_is_closed_does_not_wait_for_a_merge() {
    let dir = nearly_four_segments().await;
    let gate = Gate::new("seg");
    let engine = LocalEngine::open(gate.door(), &dir.path(), options()).await.unwrap();
    engine.rewriter.checkpoint().await.unwrap();
    let before = segment_files(&dir);
    assert_eq!(before.len(), 4);
    gate.close();
    let stop = async {
        gate.reached().await;
        let (closed, ()) = tokio::join!(engine.close(), async {
            tokio::task::yield_now().await;
            gate.open();
        });
        closed.unwrap();
    };
    let (merged, ()) = tokio::join!(engine.rewriter.round(), stop);
    assert!(matches!(merged, Err(crate::local::rewrite::RewriteError::Engine(_))), "{merged:?}");
    assert_eq!(segment_files(&dir), before, "what was half made is gone");
    drop(engine);
    dir.try_open(options()).await.unwrap().close().await.unwrap();
}
