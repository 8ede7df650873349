//! A sample of every data format that was ever released must load for ever.
//!
//! `samples/format-N/` is a data directory of format N as a crash left it (two lives, the second not closed: segment,
//! snapshot, write-ahead log), with everything that may stand in one; `contents.txt` beside it says what must be found. A
//! sample is never changed once it is released. When the format changes, `KOLK_BLESS=1 cargo test -p kolk-engine samples` writes the next one.

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::contract::ProducerStamp;
use crate::door::Open;
use crate::door::sim::{self, Sim};
use crate::state::{CommittedOffset, ConfigChange, ConfigOp, Member, Membership, Reshard};
use crate::types::ShardId;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn options() -> LocalOptions {
    LocalOptions {
        wal_file_bytes_first: 16 << 10,
        wal_file_bytes_max: 16 << 10,
        frame_bytes_max: 8 << 10,
        rewrite: super::rewrite::options().rewrite,
        ..Default::default()
    }
}

fn produced(index: i32, sequence: i32) -> Append {
    let mut append = append_of(index, format!("exactly once {sequence}").as_bytes(), 5000);
    append.batch.producer = Some(ProducerStamp { id: 0, epoch: 0, base_sequence: sequence });
    append
}

async fn propose(engine: &LocalEngine, command: Command) {
    engine.propose(command).await.unwrap().unwrap();
}

fn commit(group: &str, index: i32, offset: i64) -> Command {
    let at = CommittedOffset {
        offset: Offset(offset),
        leader_epoch: 0,
        metadata: format!("read by {group}").into(),
        commit_ms: 7000,
    };
    Command::CommitOffsets {
        group: group.into(),
        member: None,
        offsets: vec![(partition(index), at)],
        now_ms: 7000,
    }
}

/// One of everything, in two lives; then the power is cut.
async fn live(sim: &Sim) {
    let directory = Path::new("/data");
    let engine = LocalEngine::open(sim.door(), directory, options()).await.unwrap();
    create_topic(&engine, 2).await;
    let set = |name: &str, value: &str| ConfigChange { name: name.into(), op: ConfigOp::Set(value.into()) };
    let changes = vec![set("retention.ms", "-1"), set("segment.bytes", "1048576")];
    propose(&engine, Command::AlterTopicConfigs { topic: TOPIC, replace: false, changes }).await;
    propose(&engine, Command::AllocateProducerIds { count: 10 }).await;
    for n in 0..12 {
        let value = format!("value {n} {}", "x".repeat(300));
        engine.append(vec![append_of(n % 2, value.as_bytes(), 1000 + i64::from(n))]).await.unwrap()[0]
            .as_ref()
            .unwrap();
    }
    engine.append(vec![produced(0, 0)]).await.unwrap()[0].as_ref().unwrap();
    propose(&engine, Command::Trim { partition: partition(1), to: Some(Offset(2)), by: TrimBy::Client })
        .await;
    let split = Reshard::Split { shard: ShardId(0), at: u128::MAX / 4 };
    propose(&engine, Command::Reshard { topic: TOPIC, how: split, now_ms: 6000 }).await;
    propose(&engine, commit("readers", 0, 3)).await;
    let member = Member {
        id: "m-1".into(),
        instance_id: Some("one".into()),
        client_id: "m".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        metadata: bytes::Bytes::from_static(b"what it reads"),
        assignment: bytes::Bytes::from_static(b"what it has"),
    };
    let membership = Membership {
        protocol_type: "consumer".into(),
        generation: 2,
        protocol: Some("range".into()),
        leader: Some(member.id.clone()),
        members: vec![member],
        since_ms: 6500,
    };
    let store = Command::StoreGroup { group: "members".into(), expected_generation: None, membership };
    propose(&engine, store).await;
    engine.rewriter.checkpoint().await.unwrap();
    engine.append(vec![produced(0, 1)]).await.unwrap()[0].as_ref().unwrap();
    engine.close().await.unwrap();
    drop(engine);

    let engine = LocalEngine::open(sim.door(), directory, options()).await.unwrap();
    engine.append(vec![append_of(2, b"to the child", 8000)]).await.unwrap()[0].as_ref().unwrap();
    propose(&engine, commit("readers", 1, 4)).await;
    let other = CreateTopic {
        name: "gone".into(),
        id: TopicId(78),
        partitions: 1,
        configs: Default::default(),
        tags: Default::default(),
        now_ms: 8500,
    };
    propose(&engine, Command::CreateTopic(other)).await;
    propose(&engine, Command::DeleteTopic { topic: TopicId(78) }).await;
    engine.append(vec![produced(0, 2)]).await.unwrap()[0].as_ref().unwrap();
    sim.crash().await;
}

/// Everything that a reader of the log can find, as text.
async fn contents(engine: &LocalEngine) -> String {
    let mut text = String::new();
    let mut ids = Vec::new();
    engine
        .with_state(&mut |state| {
            for topic in state.topics() {
                let (name, id) = (&*topic.name, topic.id.0);
                let _ = writeln!(
                    text,
                    "topic {name} {id} made {} partitions {}",
                    topic.created_ms, topic.partitions
                );
                let _ = writeln!(text, "  configs {:?} tags {:?}", topic.configs, topic.tags);
                for shard in &topic.shards {
                    let _ = writeln!(
                        text,
                        "  shard {} partition {:?} from {} to {:?} parent {:?} opened {} closed {:?}",
                        shard.id.0,
                        shard.partition,
                        shard.first,
                        shard.end.map(|end| end.0),
                        shard.parent.map(|parent| parent.0),
                        shard.opened_ms,
                        shard.closed_ms
                    );
                }
                ids.extend(topic.partition_ids());
            }
            for group in state.groups() {
                let membership = &group.membership;
                let _ = writeln!(
                    text,
                    "group {} {:?} generation {} since {}",
                    group.id, membership.protocol_type, membership.generation, membership.since_ms
                );
                for member in &membership.members {
                    let _ = writeln!(
                        text,
                        "  member {} {:?} of {:?} {:?} {} {} {:?} led by {:?}: {:?} {:?}",
                        member.id,
                        member.instance_id,
                        member.client_id,
                        member.client_host,
                        member.session_timeout_ms,
                        member.rebalance_timeout_ms,
                        membership.protocol,
                        membership.leader,
                        member.metadata,
                        member.assignment
                    );
                }
                for (at, offset) in &group.offsets {
                    let _ = writeln!(
                        text,
                        "  {} at {} {:?} {}",
                        at.index, offset.offset, &*offset.metadata, offset.commit_ms
                    );
                }
            }
            let _ = writeln!(text, "producers {}", state.producer_count());
        })
        .await
        .unwrap();
    for id in ids {
        let published = engine.published(id).unwrap();
        let _ = writeln!(
            text,
            "partition {} from {} to {}",
            id.index, published.log_start, published.high_watermark
        );
        let read = Read { partition: id, offset: published.log_start, max_bytes: 1 << 20 };
        let request = ReadRequest {
            reads: vec![read],
            min_bytes: 0,
            max_bytes: 1 << 20,
            max_wait_ms: 0,
            isolation: Isolation::ReadUncommitted,
            with_batches: true,
        };
        let found = engine.read(request).await.unwrap().remove(0).unwrap();
        for piece in &found.pieces {
            for batch in &piece.batches {
                let _ = writeln!(text, "  batch {} appended {}", batch.base_offset, batch.append_ms);
            }
        }
        for value in values(engine, id.index, published.log_start.0).await {
            let _ = writeln!(text, "  record {value}");
        }
    }
    text
}

/// Files of a data directory below `directory`, by their names in it.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for part in ["", "wal", "segments", "snapshots"] {
        let mut names: Vec<_> = std::fs::read_dir(directory.join(part))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .collect();
        names.sort();
        for path in names {
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
            found.push((name, std::fs::read(path).unwrap()));
        }
    }
    found
}

/// Writes the sample of the format of today.
async fn bless(sim: &Sim, to: &Path) {
    live(sim).await;
    let disk = sim.door().disk;
    let manifest = recovery::read_manifest(&*disk, Path::new("/data")).await.unwrap().unwrap();
    let lives: Vec<_> = manifest.lives.iter().map(|entry| entry.life).collect();
    for part in ["", "wal", "segments", "snapshots"] {
        std::fs::create_dir_all(to.join(part)).unwrap();
        let within = Path::new("/data").join(part);
        for name in disk.list(&within).await.unwrap() {
            let Ok(file) = disk.open(&within.join(&name), Open::Read).await else { continue };
            let size = file.size().await.unwrap() as usize;
            let bytes = file.read_at(0, size).await.unwrap();
            let header =
                (part == "wal").then(|| super::wal::WalHeader::decode(&bytes[..4096], &lives)).flatten();
            if part == "wal" && header.is_none_or(|header| header.sequence < manifest.wal_from) {
                // A spare file.
                continue;
            }
            // What was never written is left out: a log file may be cut behind its last frame.
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let end = if part == "wal" { end.next_multiple_of(crate::door::ALIGNMENT) } else { size };
            if end > 0 && name != "lock" {
                std::fs::write(to.join(part).join(name), &bytes[..end]).unwrap();
            }
        }
    }
}

#[test]
fn samples_of_every_format_load() {
    let newest = samples().join(format!("format-{DATA_FORMAT}"));
    if std::env::var_os("KOLK_BLESS").is_some() && !newest.exists() {
        sim::run(1, |sim| async move { bless(&sim, &newest).await });
    }
    for format in super::manifest::OLDEST_FORMAT..=DATA_FORMAT {
        let sample = samples().join(format!("format-{format}"));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = Dir::new();
            for (name, bytes) in files(&sample) {
                if name != "contents.txt" {
                    let path = dir.path().join(&name);
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, bytes).unwrap();
                }
            }
            let report = verify(&door(DiskOptions::default()), &dir.path(), &mut |_, _| {}).await.unwrap();
            assert!(report.damage.is_empty(), "format {format}: {:?}", report.damage);
            assert!(report.snapshots == 1 && report.segments >= 1 && report.frames >= 5, "{report:?}");

            let engine = dir.try_open(options()).await.unwrap();
            let found = contents(&engine).await;
            let told = sample.join("contents.txt");
            if std::env::var_os("KOLK_BLESS").is_some() && !told.exists() {
                std::fs::write(&told, &found).unwrap();
            }
            assert_eq!(found, std::fs::read_to_string(&told).unwrap(), "format {format}");
            // Its producers are remembered, and it is written on.
            let repeated = engine.append(vec![produced(0, 2)]).await.unwrap()[0].clone().unwrap();
            let next = engine.append(vec![produced(0, 3)]).await.unwrap()[0].clone().unwrap();
            assert_eq!(next.base_offset, repeated.base_offset + 1);
            engine.close().await.unwrap();
            drop(engine);
            let engine = dir.try_open(options()).await.unwrap();
            let end = engine.published(partition(0)).unwrap().high_watermark;
            assert_eq!(end, next.base_offset + 1);
            engine.close().await.unwrap();
        });
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_in_one_sentence_and_left_alone() {
    let dir = Dir::new();
    dir.open().await.close().await.unwrap();
    let manifest = dir.path().join("manifest");
    let newer = DATA_FORMAT + 1;
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text = text.replacen(&format!("kolk-data {DATA_FORMAT}"), &format!("kolk-data {newer}"), 1);
    std::fs::write(&manifest, text).unwrap();
    let before = files(&dir.path());
    let refused = dir.try_open(LocalOptions::default()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "{} has data format {newer}, this version reads up to {DATA_FORMAT}: use the newer version that wrote it",
            dir.path().display()
        )
    );
    assert_eq!(files(&dir.path()), before);
}
