//! Bits that flip at rest: each is found, a start refuses it, and a repair keeps what checks and tells what is lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::rewrite::options;
use super::*;

const PARTITIONS: i32 = 3;
const ROUNDS: i64 = 120;

/// A directory with every kind of file in it: two segments, a snapshot, log files of three lives, the first killed.
async fn directory(promote_extent_bytes: u64) -> Dir {
    let dir = Dir::new();
    let rewrite = RewriteOptions { promote_extent_bytes, ..options().rewrite };
    let options = LocalOptions { rewrite, ..options() };
    let engine = dir.try_open(options.clone()).await.unwrap();
    create_topic(&engine, PARTITIONS).await;
    for round in 0..ROUNDS {
        let value = |index| format!("{round:04}.{index}{}", "x".repeat(2000));
        let appends = (0..PARTITIONS).map(|index| append_of(index, value(index).as_bytes(), 1000 + round));
        assert!(engine.append(appends.collect()).await.unwrap().iter().all(Result::is_ok));
        if round == 50 || round == 90 {
            engine.rewriter.checkpoint().await.unwrap();
        }
    }
    drop(engine);
    let engine = dir.try_open(options.clone()).await.unwrap();
    for (index, offset) in [(0, ROUNDS), (1, ROUNDS), (2, ROUNDS), (0, ROUNDS + 1)] {
        let value = format!("{offset:04}.{index}");
        engine.append(vec![append_of(index, value.as_bytes(), 0)]).await.unwrap().remove(0).unwrap();
    }
    engine.close().await.unwrap();
    drop(engine);
    dir.try_open(options).await.unwrap().close().await.unwrap();
    dir
}

/// Offset and value of all that can be read.
async fn everything(engine: &LocalEngine, index: i32) -> BTreeMap<i64, String> {
    let mut found = BTreeMap::new();
    let Some(published) = engine.published(partition(index)) else { return found };
    let mut next = published.log_start.0;
    while next < published.high_watermark.0 {
        let page = values(engine, index, next).await;
        if page.is_empty() {
            break;
        }
        for value in page {
            let (offset, value) = value.split_once(':').unwrap();
            let offset: i64 = offset.parse().unwrap();
            assert!(offset >= next, "offsets rise");
            found.insert(offset, value.chars().take(6).collect());
            next = offset + 1;
        }
    }
    found
}

fn files(part: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(part).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()))
        } else {
            drop(found.insert(entry.path(), std::fs::read(entry.path()).unwrap()))
        }
    }
    found
}

fn put_back(good: &BTreeMap<PathBuf, Vec<u8>>, dir: &Path) {
    for path in files(dir).into_keys().filter(|path| !good.contains_key(path)) {
        std::fs::remove_file(path).unwrap();
    }
    good.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
}

/// SplitMix64.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where each file's bytes count: header and frames of log files (a flip in the last frame of all may be a torn one), all
/// of segments and snapshots.
async fn bytes_that_count(dir: &Dir) -> Vec<(PathBuf, usize)> {
    let mut used: Vec<(PathBuf, usize)> = Vec::new();
    let mut last = 0;
    dump(&door(DiskOptions::default()), &dir.path(), &mut |entry| {
        let field =
            |name: &str| entry.fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
        let number = |name: &str| field(name).and_then(|value| value.parse::<usize>().ok()).unwrap();
        match entry.kind {
            "wal-file" => used.push((dir.path().join("wal").join(field("file").unwrap()), 0)),
            "frame" => {
                last = number("position");
                used.last_mut().unwrap().1 = last + number("bytes");
            }
            _ => {}
        }
    })
    .await
    .unwrap();
    used.last_mut().unwrap().1 = last;
    for part in ["segments", "snapshots"] {
        used.extend(files(&dir.path().join(part)).into_iter().map(|(path, bytes)| (path, bytes.len())));
    }
    used
}

#[tokio::test]
async fn every_planted_bit_is_found_and_repaired_with_what_is_lost_told() {
    for promote in [u64::MAX, 0] {
        let dir = directory(promote).await;
        let disk = door(DiskOptions::default());
        let engine = dir.try_open(options()).await.unwrap();
        let mut original = Vec::new();
        for index in 0..PARTITIONS {
            original.push(everything(&engine, index).await);
            assert_eq!(original[index as usize].len() as i64, ROUNDS + [2, 1, 1][index as usize]);
        }
        engine.close().await.unwrap();
        drop(engine);
        let used = bytes_that_count(&dir).await;
        let good = files(&dir.path());
        let kinds = |end: &str| used.iter().filter(|(path, _)| path.to_string_lossy().ends_with(end)).count();
        assert!(kinds(".wal") >= 2 && kinds(".seg") >= 2 && kinds(".snap") == 1, "{used:?}");

        let mut seed = if promote == 0 { 7 } else { 8 };
        for (file, bytes) in &used {
            for turn in 0..12 {
                put_back(&good, &dir.path());
                // The first bytes and the last ones have the formats' own fields; the rest by the seed.
                let at = match turn {
                    0 => 9,
                    1 => bytes - 1 - random(&mut seed) as usize % 40,
                    2 => bytes - 1 - random(&mut seed) as usize % (bytes / 8),
                    _ => random(&mut seed) as usize % bytes,
                };
                let place = format!("{} byte {at} of {bytes}", file.display());
                let mut bad = good[file].clone();
                if file.extension().is_some_and(|e| e == "wal") && (48..4096).contains(&at) {
                    continue;
                }
                bad[at] ^= 1 << (random(&mut seed) % 8);
                std::fs::write(file, &bad).unwrap();
                let damaged = files(&dir.path());

                let verified = verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap();
                // Of a promoted file, what lies between the extents is not needed any more.
                if verified.damage.is_empty() && promote == 0 && file.extension().is_some_and(|e| e == "seg")
                {
                    continue;
                }
                assert!(!verified.damage.is_empty(), "verify did not find {place}");
                let told = repair(&disk, &dir.path(), options(), RepairHow::TELL).await.unwrap();
                assert!(!told.damage.is_empty() && !told.repaired, "{place}: {told:?}");
                assert!(files(&dir.path()) == damaged, "{place}: a dry run changed something");
                let done = repair(&disk, &dir.path(), options(), RepairHow::APPLY).await.unwrap();
                assert!(done.repaired, "{place}: {done:?}");
                assert_eq!((&done.damage, &done.lost), (&told.damage, &told.lost), "{place}");

                let clean = verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap();
                assert_eq!(clean.damage, Vec::<String>::new(), "{place}");
                let engine = dir.try_open(options()).await.unwrap();
                let topic_lost =
                    done.notes.iter().any(|note| note.contains("topic") && note.contains("is lost"));
                for index in 0..PARTITIONS {
                    let found = everything(&engine, index).await;
                    let Some(published) = engine.published(partition(index)) else {
                        assert!(topic_lost, "{place}: partition {index} is gone: {done:?}");
                        continue;
                    };
                    for (offset, value) in &original[index as usize] {
                        let told = done.lost.iter().any(|lost| {
                            lost.partition == index && (lost.first.0..=lost.last.0).contains(offset)
                        });
                        let cut = Offset(*offset) >= published.high_watermark
                            || Offset(*offset) < published.log_start;
                        match found.get(offset) {
                            Some(seen) => {
                                assert!(seen == value && !told, "{place}: {index}/{offset} is {seen}")
                            }
                            None => assert!(
                                told || cut && !done.notes.is_empty(),
                                "{place}: {index}/{offset} is lost and not told: {done:?}"
                            ),
                        }
                    }
                    // It goes on where it stands.
                    let appended =
                        engine.append(vec![append_of(index, b"after", 0)]).await.unwrap().remove(0);
                    assert_eq!(appended.unwrap().base_offset, published.high_watermark);
                    let after = everything(&engine, index).await;
                    assert_eq!(after.len(), found.len() + 1, "{place}");
                }
                engine.close().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_lost_frame_is_a_gap_that_readers_pass() {
    let dir = Dir::new();
    let engine = dir.open().await;
    create_topic(&engine, 1).await;
    for value in ["one", "two", "three", "four"] {
        engine.append(vec![append_of(0, value.as_bytes(), 0)]).await.unwrap().remove(0).unwrap();
    }
    drop(engine);
    let file = recovery::wal_directory(&dir.path()).join(wal::file_name(1));
    let mut damaged = std::fs::read(&file).unwrap();
    damaged[3 * 4096 + 80] ^= 0xff;
    std::fs::write(&file, &damaged).unwrap();
    let refused = dir.try_open(LocalOptions::default()).await.unwrap_err().to_string();
    assert!(refused.contains("damaged at byte 12288") && refused.contains("`kolk repair`"), "{refused}");
    let done = repair(&door(DiskOptions::default()), &dir.path(), LocalOptions::default(), RepairHow::APPLY)
        .await
        .unwrap();
    assert_eq!(done.lost, [Lost { topic: "t".into(), partition: 0, first: Offset(1), last: Offset(1) }]);
    let engine = dir.open().await;
    assert_eq!(values(&engine, 0, 0).await, ["0:one", "2:three", "3:four"]);
    assert_eq!(values(&engine, 0, 1).await, ["2:three", "3:four"]);
    engine.close().await.unwrap();
    let again = repair(&door(DiskOptions::default()), &dir.path(), LocalOptions::default(), RepairHow::APPLY)
        .await
        .unwrap();
    assert!(again.damage.is_empty() && !again.repaired, "{again:?}");
}

/// A promotion that was cut short leaves a second name of a log file in use where the next segment would be. A repair wrote
/// a segment there, and the log file was empty.
#[tokio::test]
async fn a_log_file_with_a_second_name_outlives_a_repair() {
    let dir = directory(u64::MAX).await;
    let disk = door(DiskOptions::default());
    let good = files(&dir.path());
    let segments: Vec<_> =
        good.keys().filter(|path| path.extension().is_some_and(|e| e == "seg")).cloned().collect();
    let mut bad = good[&segments[0]].clone();
    let at = bad.len() / 2;
    bad[at] ^= 1;
    let newest = segments.last().unwrap().file_stem().unwrap().to_str().unwrap();
    let next = segment::SegmentId(u64::from_str_radix(newest, 16).unwrap() + 1);

    let mut repaired = Vec::new();
    let logs = good.keys().filter(|path| path.extension().is_some_and(|e| e == "wal"));
    for second_name_of in [None].into_iter().chain(logs.map(Some)) {
        put_back(&good, &dir.path());
        std::fs::write(&segments[0], &bad).unwrap();
        if let Some(log) = second_name_of {
            std::fs::hard_link(log, dir.path().join("segments").join(next.file_name())).unwrap();
        }
        let done = repair(&disk, &dir.path(), options(), RepairHow::APPLY).await.unwrap();
        assert!(done.repaired, "{done:?}");
        let engine = dir.try_open(options()).await.unwrap();
        let mut found = Vec::new();
        for index in 0..PARTITIONS {
            found.push(everything(&engine, index).await);
        }
        engine.close().await.unwrap();
        repaired.push((second_name_of, done.lost, found));
    }
    let (_, lost, found) = &repaired[0];
    for (second_name_of, lost_too, found_too) in &repaired[1..] {
        assert_eq!((lost_too, found_too), (lost, found), "{second_name_of:?}");
    }
    assert!(repaired.len() > 2);
}

/// The header of the oldest log file did not check: its frames were taken for left-overs of an earlier use and thrown away,
/// and nothing was said of the decisions in them. Where the file is gone altogether, that is told.
#[tokio::test]
async fn the_oldest_log_file_is_salvaged_without_its_header_and_missed_if_it_is_gone() {
    let dir = Dir::new();
    let engine = dir.open().await;
    create_topic(&engine, 1).await;
    drop(engine);
    for value in ["one", "two", "three"] {
        let engine = dir.open().await;
        engine.append(vec![append_of(0, value.as_bytes(), 0)]).await.unwrap().remove(0).unwrap();
    }
    let good = files(&dir.path());
    let disk = door(DiskOptions::default());
    let first = recovery::wal_directory(&dir.path()).join(wal::file_name(1));

    let mut bad = good[&first].clone();
    bad[9] ^= 1;
    std::fs::write(&first, &bad).unwrap();
    let refused = dir.try_open(LocalOptions::default()).await.unwrap_err().to_string();
    assert!(refused.contains("file 1 before it is missing"), "{refused}");
    let done = repair(&disk, &dir.path(), LocalOptions::default(), RepairHow::APPLY).await.unwrap();
    assert!(done.repaired && !done.decisions_lost && done.lost.is_empty(), "{done:?}");
    let engine = dir.open().await;
    assert_eq!(values(&engine, 0, 0).await, ["0:one", "1:two", "2:three"]);
    engine.close().await.unwrap();
    drop(engine);

    put_back(&good, &dir.path());
    std::fs::remove_file(&first).unwrap();
    let told = repair(&disk, &dir.path(), LocalOptions::default(), RepairHow::TELL).await.unwrap();
    assert!(told.decisions_lost, "{told:?}");
    assert!(told.notes.iter().any(|note| note.starts_with("frames 1 to 1 of the log are lost")), "{told:?}");
}

/// A read that failed for a moment was taken for damage: batches and append times that were healthy were dropped for good.
#[tokio::test]
async fn a_read_that_fails_for_a_moment_costs_a_repair_nothing() {
    let dir = directory(u64::MAX).await;
    let good = files(&dir.path());
    let log = good.keys().find(|path| path.extension().is_some_and(|e| e == "wal")).unwrap();
    let healthy = door(DiskOptions::default());
    let engine = dir.try_open(options()).await.unwrap();
    let mut original = Vec::new();
    for index in 0..PARTITIONS {
        original.push(everything(&engine, index).await);
    }
    engine.close().await.unwrap();
    drop(engine);

    let mut failures = 0;
    for read in (1..).step_by(3) {
        put_back(&good, &dir.path());
        // Something is to be repaired: a header of the log.
        let mut bad = good[log].clone();
        bad[9] ^= 1;
        std::fs::write(log, &bad).unwrap();
        let reads_left = Arc::new(AtomicU64::new(read));
        let left = reads_left.clone();
        let disk = FilesOver::with_reads_watched(healthy.disk.clone(), move |_, _, _| {
            let fails = left.fetch_sub(1, Ordering::SeqCst) == 1;
            if fails { Err(io::Error::other("for a moment")) } else { Ok(()) }
        });
        let failing = Door { disk: Arc::new(disk), ..healthy.clone() };
        // All it reads is read again; what the engine that it ends with reads may fail.
        let first = repair(&failing, &dir.path(), options(), RepairHow::APPLY).await;
        let has_failed = reads_left.load(Ordering::SeqCst) as i64 <= 0;
        failures += u32::from(has_failed);
        if first.is_err() {
            repair(&healthy, &dir.path(), options(), RepairHow::APPLY).await.unwrap();
        }
        let engine = dir.try_open(options()).await.unwrap();
        for (index, original) in (0..).zip(&original) {
            assert_eq!(everything(&engine, index).await, *original, "read {read} failed: {first:?}");
        }
        engine.close().await.unwrap();
        if !has_failed {
            break;
        }
    }
    assert!(failures > 10, "{failures}");
}

/// What ended lives wrote was only missed where a later frame followed: if the newest log file lost its header, or was gone,
/// and the lives after it wrote nothing, the log was taken to end before it, and acknowledged records were written over.
#[tokio::test]
async fn the_newest_log_file_is_missed_though_nothing_was_written_since() {
    let disk = door(DiskOptions::default());
    let young = Dir::new();
    create_topic(&young.try_open(options()).await.unwrap(), PARTITIONS).await;
    for dir in [young, directory(u64::MAX).await] {
        let engine = dir.try_open(options()).await.unwrap();
        for (index, value) in [(0, b"newest.0"), (2, b"newest.2"), (0, b"newest.1")] {
            engine.append(vec![append_of(index, value, 0)]).await.unwrap().remove(0).unwrap();
        }
        let mut original = Vec::new();
        for index in 0..PARTITIONS {
            original.push(everything(&engine, index).await);
        }
        drop(engine);
        drop(dir.try_open(options()).await.unwrap());
        let good = files(&dir.path());
        let mut in_use = Vec::new();
        dump(&disk, &dir.path(), &mut |entry| {
            if entry.kind == "wal-file" {
                in_use.push(dir.path().join("wal").join(&entry.fields[0].1));
            }
        })
        .await
        .unwrap();

        for (at, log) in in_use.iter().enumerate() {
            let place = log.display();
            let mut bad = good[log].clone();
            bad[9] ^= 1;
            std::fs::write(log, &bad).unwrap();
            assert!(!verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap().damage.is_empty(), "{place}");
            dir.try_open(options()).await.unwrap_err();
            let done = repair(&disk, &dir.path(), options(), RepairHow::APPLY).await.unwrap();
            assert!(done.repaired && !done.decisions_lost && done.lost.is_empty(), "{place}: {done:?}");
            let engine = dir.try_open(options()).await.unwrap();
            for (index, original) in (0..).zip(&original) {
                assert_eq!(everything(&engine, index).await, *original, "{place}");
            }
            drop(engine);

            put_back(&good, &dir.path());
            std::fs::remove_file(log).unwrap();
            assert!(!verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap().damage.is_empty(), "{place}");
            dir.try_open(options()).await.unwrap_err();
            let done = repair(&disk, &dir.path(), options(), RepairHow::APPLY).await.unwrap();
            // Of a file whose decisions a snapshot has seen by then, only batches are lost.
            assert!(done.repaired && (done.decisions_lost || !done.lost.is_empty()), "{place}: {done:?}");
            let tells = done.notes.iter().any(|note| note.starts_with("frames "));
            assert_eq!(tells, done.decisions_lost, "{place}: {done:?}");
            let engine = dir.try_open(options()).await.unwrap();
            if at + 1 == in_use.len() && at > 0 {
                let kept: BTreeMap<_, _> =
                    original[0].clone().into_iter().filter(|(_, value)| !value.starts_with("new")).collect();
                assert_eq!(everything(&engine, 0).await, kept, "{place}");
            }
            drop(engine);
            put_back(&good, &dir.path());
        }
    }
}

/// The snapshot has seen frames of the life that goes on: their file is never freed, so that it must be there.
#[tokio::test]
async fn the_log_file_is_missed_that_the_snapshot_has_seen_frames_of() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    engine.append(vec![append_of(0, b"one", 0)]).await.unwrap().remove(0).unwrap();
    engine.rewriter.checkpoint().await.unwrap();
    drop(engine);
    for path in files(&dir.path()).into_keys().filter(|path| path.extension().is_some_and(|e| e == "wal")) {
        std::fs::remove_file(path).unwrap();
    }
    let disk = door(DiskOptions::default());
    assert_eq!(verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap().damage.len(), 1);
    let refused = dir.try_open(options()).await.unwrap_err().to_string();
    assert!(refused.contains("frames 1 to 2 should follow: the snapshot has seen them"), "{refused}");
    let done = repair(&disk, &dir.path(), options(), RepairHow::APPLY).await.unwrap();
    assert!(done.repaired && done.decisions_lost && done.lost.len() == 1, "{done:?}");
    dir.try_open(options()).await.unwrap().close().await.unwrap();
}

/// A sector that stays unreadable ended every repair, though the dry run had said what it would lose, and good batches around it
/// were to go with it.
#[tokio::test]
async fn a_sector_that_stays_unreadable_costs_what_touches_it_and_only_if_that_is_asked_for() {
    let dir = directory(u64::MAX).await;
    let good = files(&dir.path());
    let healthy = door(DiskOptions::default());
    let engine = dir.try_open(options()).await.unwrap();
    let mut original = Vec::new();
    for index in 0..PARTITIONS {
        original.push(everything(&engine, index).await);
    }
    engine.close().await.unwrap();
    drop(engine);
    let of_kind =
        |end: &'static str| good.keys().filter(move |path| path.extension().is_some_and(|e| e == end));
    // The first segment in the middle of its batches and at its end, a log file with frames, the snapshot.
    let segment = of_kind("seg").next().unwrap();
    let len = good[segment].len() as u64;
    let last_block = (len - 1) / 4096 * 4096;
    let log = dir.path().join("wal").join(wal::file_name(1));
    let snapshot = of_kind("snap").next().unwrap();
    let places = [(segment, 16384), (segment, last_block), (&log, 16384), (&log, 0), (snapshot, 0)];
    for (path, from) in places {
        put_back(&good, &dir.path());
        let place = format!("{} at {from}", path.display());
        let (of, sector) = (path.clone(), from..from + 4096);
        let disk = FilesOver::with_reads_watched(healthy.disk.clone(), move |path, position, len| {
            let fails = path == of && position < sector.end && sector.start < position + len as u64;
            if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        });
        let bad = Door { disk: Arc::new(disk), ..healthy.clone() };
        for how in [RepairHow::TELL, RepairHow::APPLY] {
            let error = repair(&bad, &dir.path(), options(), how).await.unwrap_err().to_string();
            let named = format!("{}: bytes {from} to ", path.display());
            assert!(error.contains(&named) && error.contains("--drop-unreadable"), "{place}: {error}");
        }
        assert!(files(&dir.path()) == good, "{place}: something was changed");

        let drop_unreadable = |apply| RepairHow { apply, drop_unreadable: true };
        let told = repair(&bad, &dir.path(), options(), drop_unreadable(false)).await.unwrap();
        assert!(!told.damage.is_empty() && files(&dir.path()) == good, "{place}: {told:?}");
        let done = repair(&bad, &dir.path(), options(), drop_unreadable(true)).await.unwrap();
        assert!(done.repaired, "{place}: {done:?}");
        assert_eq!((&done.damage, &done.lost), (&told.damage, &told.lost), "{place}");
        let lost: i64 = done.lost.iter().map(|lost| lost.last - lost.first + 1).sum();
        match path.extension().unwrap().to_str().unwrap() {
            // Batches take a little over 2000 bytes.
            "seg" if from == 16384 => assert!((2..=4).contains(&lost), "{place}: {done:?}"),
            // Three batches a frame of two blocks.
            "wal" if from > 0 => assert!((3..=6).contains(&lost), "{place}: {done:?}"),
            "wal" => assert_eq!(lost, 0, "{place}: {done:?}"),
            _ => {}
        }
        if lost > 0 {
            let name = path.file_name().unwrap();
            assert!(
                dir.path().join("damaged").join(name).exists(),
                "{place}: what it lost something of is kept"
            );
        }
        // On the disk that it is: a log file that has the sector was left as a spare one, and every start met it again.
        let clean = verify(&bad, &dir.path(), &mut |_, _| {}).await.unwrap();
        assert_eq!(clean.damage, Vec::<String>::new(), "{place}");
        let engine = LocalEngine::open(bad, &dir.path(), options()).await.unwrap();
        for (index, original) in (0..).zip(&original) {
            let found = everything(&engine, index).await;
            if engine.published(partition(index)).is_none() {
                assert!(path == snapshot, "{place}");
                continue;
            }
            for (offset, value) in original {
                let told = done
                    .lost
                    .iter()
                    .any(|lost| lost.partition == index && (lost.first.0..=lost.last.0).contains(offset));
                assert!(
                    found.get(offset) == Some(value) || told || path == snapshot,
                    "{place}: {index}/{offset}"
                );
            }
        }
        engine.close().await.unwrap();
    }
}

/// Nothing named the files of the life that wrote last: where the newest was gone after a clean stop, the log ended before
/// it without a word. So it did where the log was one file and a snapshot had seen all of its decisions.
#[tokio::test]
async fn a_log_file_that_is_gone_after_a_clean_stop_is_missed() {
    let young = Dir::new();
    let engine = young.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    engine.append(vec![append_of(0, b"one", 0)]).await.unwrap().remove(0).unwrap();
    engine.rewriter.checkpoint().await.unwrap();
    engine.close().await.unwrap();
    drop(engine);
    // Once more, without a word to write, and without an end.
    drop(young.try_open(options()).await.unwrap());
    let disk = door(DiskOptions::default());
    for dir in [young, directory(u64::MAX).await, directory(0).await] {
        let good = files(&dir.path());
        let mut logged = Vec::new();
        dump(&disk, &dir.path(), &mut |entry| {
            if let ("wal-file", Some((_, name))) = (entry.kind, entry.fields.first()) {
                logged.push(recovery::wal_directory(&dir.path()).join(name));
            }
        })
        .await
        .unwrap();
        assert!(!logged.is_empty());
        for log in logged {
            std::fs::remove_file(&log).unwrap();
            let found = verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap();
            assert!(!found.damage.is_empty(), "{} is not missed", log.display());
            let refused = dir.try_open(options()).await.unwrap_err().to_string();
            assert!(refused.contains("`kolk repair`"), "{refused}");
            put_back(&good, &dir.path());
        }
    }
}

/// A log of several files that was freed whole, by a life that wrote nothing, with what can be read in it.
async fn freed_directory() -> (Dir, BTreeMap<i64, String>) {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    for offset in 0..400 {
        let value = format!("{offset:06}{}", "x".repeat(2000));
        engine.append(vec![append_of(0, value.as_bytes(), 0)]).await.unwrap().remove(0).unwrap();
    }
    drop(engine);
    let engine = dir.try_open(options()).await.unwrap();
    engine.rewriter.checkpoint().await.unwrap();
    let original = everything(&engine, 0).await;
    assert_eq!(original.len(), 400);
    drop(engine);
    (dir, original)
}

fn logs(good: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<&PathBuf> {
    good.keys().filter(|path| path.extension().is_some_and(|e| e == "wal")).collect()
}

/// Where no log file was in use, a spare one whose header does not check was taken for the log's newest: a start refused, and a
/// repair copied its batches beside those that segments had of them, into a directory that no start could open any more.
#[tokio::test]
async fn what_a_spare_file_still_holds_is_no_part_of_the_log() {
    let (dir, original) = freed_directory().await;
    let disk = door(DiskOptions::default());
    let good = files(&dir.path());
    assert!(logs(&good).len() > 3);
    for log in logs(&good) {
        put_back(&good, &dir.path());
        let mut bad = good[log].clone();
        bad[9] ^= 1;
        std::fs::write(log, &bad).unwrap();
        let verified = verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap();
        assert_eq!(verified.damage, Vec::<String>::new(), "{}", log.display());
        let done = repair(&disk, &dir.path(), options(), RepairHow::APPLY).await.unwrap();
        assert!(done.damage.is_empty() && !done.repaired, "{}: {done:?}", log.display());
        let engine = dir.try_open(options()).await.unwrap();
        assert_eq!(everything(&engine, 0).await, original, "{}", log.display());
        drop(engine);
    }
}

/// One flipped bit in a segment's index or trailer cost all of its batches, though their own checksums held.
#[tokio::test]
async fn an_index_or_a_trailer_that_does_not_check_is_made_anew() {
    for promote in [u64::MAX, 0] {
        let dir = directory(promote).await;
        let disk = door(DiskOptions::default());
        let engine = dir.try_open(options()).await.unwrap();
        let mut original = Vec::new();
        for index in 0..PARTITIONS {
            original.push(everything(&engine, index).await);
        }
        engine.close().await.unwrap();
        drop(engine);
        let good = files(&dir.path());
        let segments: Vec<_> =
            good.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "seg")).collect();
        assert!(segments.len() >= 2);
        for (path, bytes) in segments {
            let trailer = bytes.len() - 64;
            let index = u64::from_le_bytes(bytes[trailer + 24..][..8].try_into().unwrap()) as usize;
            let mut damages: Vec<Vec<u8>> = Vec::new();
            for at in (index..bytes.len()).step_by(3) {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << (at % 8);
                damages.push(bad);
            }
            for gone in [index..trailer, trailer..bytes.len()] {
                let mut bad = bytes.clone();
                bad[gone].fill(0);
                damages.push(bad);
            }
            let last = damages.len() - 1;
            for (number, bad) in damages.into_iter().enumerate() {
                put_back(&good, &dir.path());
                std::fs::write(path, &bad).unwrap();
                dir.try_open(options()).await.unwrap_err();
                let told = repair(&disk, &dir.path(), options(), RepairHow::TELL).await.unwrap();
                let place = format!("{} damage {number}: {told:?}", path.display());
                assert!(told.damage.len() == 1 && told.lost.is_empty() && told.notes.is_empty(), "{place}");
                // It is written anew the same way each time.
                if number % 16 == 0 || number + 2 > last {
                    let done = repair(&disk, &dir.path(), options(), RepairHow::APPLY).await.unwrap();
                    assert!(done.repaired && done.lost.is_empty(), "{place}");
                    let clean = verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap();
                    assert_eq!(clean.damage, Vec::<String>::new(), "{place}");
                    let engine = dir.try_open(options()).await.unwrap();
                    for (index, original) in (0..).zip(&original) {
                        assert_eq!(everything(&engine, index).await, *original, "{place}");
                    }
                    engine.close().await.unwrap();
                }
            }
        }
    }
}

/// What the manifest did not name was removed before anything was judged: under a manifest from a backup, which a start that
/// found none had asked for, all that was written since went, and then the start refused.
#[tokio::test]
async fn a_start_that_refuses_has_removed_nothing() {
    let dir = Dir::new();
    let engine = dir.try_open(options()).await.unwrap();
    create_topic(&engine, 1).await;
    let mut manifests = Vec::new();
    for round in 0..3 {
        for offset in 0..200 {
            let value = format!("{:06}{}", round * 200 + offset, "x".repeat(2000));
            engine.append(vec![append_of(0, value.as_bytes(), 0)]).await.unwrap().remove(0).unwrap();
        }
        engine.rewriter.checkpoint().await.unwrap();
        manifests.push(std::fs::read(dir.path().join("manifest")).unwrap());
    }
    engine.close().await.unwrap();
    drop(engine);
    let good = files(&dir.path());
    std::fs::write(dir.path().join("manifest"), &manifests[0]).unwrap();
    let refused = dir.try_open(options()).await.unwrap_err().to_string();
    assert!(refused.contains("Nothing was changed"), "{refused}");
    let mut left = files(&dir.path());
    left.insert(dir.path().join("manifest"), good[&dir.path().join("manifest")].clone());
    assert!(left == good, "what the old manifest does not name is still there");

    // Nor is a directory empty that has lost its manifest and its log.
    for (path, _) in good.iter().filter(|(path, _)| {
        path.ends_with("manifest") || path.extension().is_some_and(|extension| extension == "wal")
    }) {
        std::fs::remove_file(path).unwrap();
    }
    let refused = dir.try_open(options()).await.unwrap_err().to_string();
    assert!(refused.contains("the manifest is missing beside"), "{refused}");
    put_back(&good, &dir.path());
    let engine = dir.try_open(options()).await.unwrap();
    assert_eq!(everything(&engine, 0).await.len(), 600);
    engine.close().await.unwrap();
}

/// The manifest was the one file that nothing could be made of again: a bit that flipped in it cost all that was ever written.
#[tokio::test]
async fn whatever_becomes_of_the_manifest_nothing_is_lost() {
    let (dir, original) = freed_directory().await;
    let good = files(&dir.path());
    let [manifest, copy] = ["manifest", "manifest.copy"].map(|name| dir.path().join(name));
    let text = good[&manifest].clone();
    assert_eq!(good[&copy], text);
    let flipped = |at: usize| {
        let mut bad = text.clone();
        bad[at] ^= 1;
        Some(bad)
    };
    let disk = door(DiskOptions::default());
    let mut bad: Vec<Option<Vec<u8>>> = (0..text.len()).step_by(37).map(flipped).collect();
    // The number of its format, an empty file, and none.
    bad.extend([flipped("kolk-data ".len()), Some(Vec::new()), None]);
    for bad in bad {
        put_back(&good, &dir.path());
        match &bad {
            Some(bytes) => std::fs::write(&manifest, bytes).unwrap(),
            None => std::fs::remove_file(&manifest).unwrap(),
        }
        let damaged = files(&dir.path());
        let refused = dir.try_open(options()).await.unwrap_err().to_string();
        let is_newer = refused.contains("format");
        assert!(refused.contains("`kolk repair`") || is_newer, "{refused}");
        let verified = verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap();
        assert_eq!(verified.damage.len(), 1, "{:?}", verified.damage);
        let told = repair(&disk, &dir.path(), options(), RepairHow::TELL).await.unwrap();
        assert_eq!((told.damage, told.repaired), (verified.damage, false));
        assert!(told.lost.is_empty() && !told.decisions_lost && !told.times_lost);
        assert!(files(&dir.path()) == damaged, "who looks changes nothing");
        let done = repair(&disk, &dir.path(), options(), RepairHow::APPLY).await.unwrap();
        assert!(done.repaired && done.lost.is_empty(), "{done:?}");
        assert!(files(&dir.path()) == good, "it is as it was");
    }

    // A disk that does not read it.
    put_back(&good, &dir.path());
    let told = repair(&unreadable(&manifest, 0..1), &dir.path(), options(), RepairHow::TELL).await.unwrap();
    assert!(told.damage[0].starts_with(&manifest.display().to_string()), "{:?}", told.damage);

    // The copy does not count while there is the manifest, and the next start makes it again.
    std::fs::write(&copy, b"").unwrap();
    assert!(verify(&disk, &dir.path(), &mut |_, _| {}).await.unwrap().damage.is_empty());
    let engine = dir.try_open(options()).await.unwrap();
    assert_eq!(everything(&engine, 0).await, original);
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&manifest).unwrap());
    engine.close().await.unwrap();

    for path in [&manifest, &copy] {
        std::fs::write(path, b"").unwrap();
    }
    let refused = dir.try_open(options()).await.unwrap_err().to_string();
    assert!(refused.contains("Restore the directory from a copy: without its manifest"), "{refused}");
    let refused = repair(&disk, &dir.path(), options(), RepairHow::APPLY).await.unwrap_err().to_string();
    assert!(refused.contains("Restore the directory from a copy: without its manifest"), "{refused}");
}

/// A disk of which a part of one file cannot be read, for ever.
fn unreadable(of: &Path, bytes: std::ops::Range<u64>) -> Door {
    let (door, of) = (door(DiskOptions::default()), of.to_path_buf());
    let disk = FilesOver::with_reads_watched(door.disk.clone(), move |path, position, len| {
        let fails = path == of && position < bytes.end && bytes.start < position + len as u64;
        if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    });
    Door { disk: Arc::new(disk), ..door }
}

/// A start that met a sector it could not read gave the disk's error and no more.
#[tokio::test]
async fn a_start_says_what_to_do_about_a_device_that_does_not_read() {
    let (dir, original) = freed_directory().await;
    let good = files(&dir.path());
    for (path, bytes) in &good {
        put_back(&good, &dir.path());
        let len = bytes.len() as u64;
        // A start does not read the manifest's copy.
        if len == 0 || path.ends_with("manifest.copy") {
            continue;
        }
        let is_log = logs(&good).contains(&path);
        // Of a segment a start reads the end.
        let at = if is_log || path.ends_with("manifest") { 0 } else { len - 1 };
        let refused = LocalEngine::open(unreadable(path, at..at + 1), &dir.path(), options()).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.starts_with(&path.display().to_string()), "{refused}");
        assert!(refused.contains("copy the directory") && refused.contains("`kolk repair`"), "{refused}");
        // A file that was used and is spare now is not needed: that it cannot be read to its end is nothing.
        if is_log && bytes.starts_with(b"KOLKWAL") {
            let bad = unreadable(path, len - 1..len);
            let engine = LocalEngine::open(bad, &dir.path(), options()).await.unwrap();
            assert_eq!(everything(&engine, 0).await, original);
            assert!(!path.exists());
            drop(engine);
        }
    }
}

/// A disk that cannot be written.
#[derive(Debug)]
struct ReadOnly(Arc<dyn Disk>);

impl DiskOver for ReadOnly {
    fn below(&self) -> &dyn Disk {
        &*self.0
    }

    fn lock_from(&self, _: Site, _: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        Box::pin(async { Err(io::ErrorKind::ReadOnlyFilesystem.into()) })
    }
}

/// File systems are read-only once a device failed; that is when somebody wants to know what is left.
#[tokio::test]
async fn what_cannot_be_written_can_be_looked_at() {
    let (dir, _) = freed_directory().await;
    let door = door(DiskOptions::default());
    let read_only = Door { disk: Arc::new(ReadOnly(door.disk.clone())), ..door };
    let verified = verify(&read_only, &dir.path(), &mut |_, _| {}).await.unwrap();
    assert!(verified.damage.is_empty() && verified.segments > 0, "{verified:?}");
    let told = repair(&read_only, &dir.path(), options(), RepairHow::TELL).await.unwrap();
    assert!(told.damage.is_empty(), "{told:?}");
}
