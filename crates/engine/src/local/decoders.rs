//! The decoders of everything on disk, opened to fuzz targets (feature `fuzz`) and to nobody else.
//!
//! Each function takes any bytes and panics when a decoder breaks what it promises: never to panic, and that what was
//! read can be written and read again. Checksums are put right first, or no decoder behind one would ever be reached.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{self, Found, HEADER_LEN, Life};
use super::manifest::{LifeEnd, LifeEntry, Manifest, ManifestError};
use super::segment::footer::{self, Index, Layout, TRAILER_LEN, Trailer};
use super::snapshot;
use crate::codec::crc32c;
use crate::door::ALIGNMENT;
use crate::state::{Decision, Lane, Limits, State};

const LIFE: Life = Life { id: 7, secret: [3; 16] };

/// A place where a frame may begin: as it is, and with header and checksum put right around
/// `uint16 length of the decisions | uint16 length of the directory | decisions | directory | data`.
pub fn frame(bytes: &[u8]) {
    found(&Bytes::copy_from_slice(bytes));
    let Some((lengths, rest)) = bytes.split_first_chunk::<4>() else { return };
    let [a, b, c, d] = *lengths;
    let decisions = usize::from(u16::from_le_bytes([a, b])).min(rest.len());
    let directory = usize::from(u16::from_le_bytes([c, d])).min(rest.len() - decisions);
    found(&frame::with_header(&LIFE, decisions, directory, rest));
}

fn found(bytes: &Bytes) {
    let _ = frame::announced(bytes, &LIFE);
    let Found::Frame(frame) = frame::find(bytes, &LIFE) else { return };
    assert!(frame.bytes.len() == frame.len as usize && frame.decisions.len() < bytes.len());
    for extent in &frame.extents {
        assert!(extent.first <= extent.last + 1 && extent.position as usize >= HEADER_LEN);
        assert!(extent.position as usize + extent.len as usize <= bytes.len());
        assert!(extent.batches().all(|batch| batch.position <= extent.len as usize));
    }
}

/// Decisions, one after another, as a frame holds them.
pub fn decisions(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let Ok(decision) = Decision::decode(&mut bytes) else { return };
        let mut written = Vec::new();
        decision.encode(&mut written);
        let mut rest = &written[..];
        let again = Decision::decode(&mut rest).expect("what was written can be read");
        assert!(again == decision && rest.is_empty());
        let _ = decision.lanes();
    }
}

/// A snapshot's file, and what one lane of it holds: `lane | bytes`.
pub fn snapshot(bytes: &[u8]) {
    let _ = snapshot::lanes(1, bytes);
    let mut mended = BytesMut::from(bytes);
    if let Some(at) = mended.len().checked_sub(4) {
        let sum = crc32c(&mended[..at]).to_le_bytes();
        mended[at..].copy_from_slice(&sum);
        let _ = snapshot::lanes(1, &mended);
    }
    let Some((lane, content)) = bytes.split_first() else { return };
    let lane = Lane(*lane);
    let mut state = State::new(Limits::default());
    if state.load_lane(lane, content).is_ok() {
        let mut written = Vec::new();
        state.snapshot_lane(lane, &mut written);
        let mut again = State::new(Limits::default());
        again.load_lane(lane, &written).expect("what was written can be read");
        let mut twice = Vec::new();
        again.snapshot_lane(lane, &mut twice);
        assert_eq!(written, twice, "the same state gives the same bytes");
    }
}

/// Of a segment: a block of its directory and the table of each extent that it names; its index, as
/// `uint16 length of the directory | index`; its trailer, with the checksum put right.
pub fn segment(bytes: &[u8]) {
    let layout = Layout { tables: 1 << 40, directory: 1 << 41, index: 1 << 41, trailer: 1 << 42 };
    block(bytes, &layout);
    if let Some((length, index)) = bytes.split_first_chunk::<2>() {
        let layout = Layout { index: layout.directory + u64::from(u16::from_le_bytes(*length)), ..layout };
        if let Some(read) = Index::decode(index, &layout) {
            assert_eq!(Index::decode(&read.encode(), &layout), Some(read));
        }
    }
    let mut trailer = bytes.to_vec();
    trailer.resize(TRAILER_LEN as usize, 0);
    Trailer::put_right(&mut trailer);
    if let Ok(Trailer { layout, .. }) = Trailer::decode(&trailer, 1 << 42) {
        assert!(layout.tables <= layout.directory && layout.index <= 1 << 42);
    }
}

fn block(bytes: &[u8], layout: &Layout) {
    let Some(extents) = footer::decode_extents(bytes, layout) else { return };
    for extent in &extents {
        let table = extent.table_range();
        let within = |at: u64| (at - layout.tables).min(bytes.len() as u64) as usize;
        let table = within(table.start)..within(table.end);
        if let Some(entries) = footer::decode_table(&bytes[table], extent) {
            assert!(entries.is_sorted_by_key(|entry| entry.base_offset));
            assert_eq!(entries.len(), extent.batches as usize);
        }
    }
    let written = footer::encode_extents(&extents, layout.tables);
    assert_eq!(footer::decode_extents(&written, layout).as_ref(), Some(&extents));
}

/// A manifest: as it is, and with its last line put right.
pub fn manifest(bytes: &[u8]) {
    judge(bytes);
    let mut mended = bytes.to_vec();
    mended.put_slice(format!("crc {:08x}\n", crc32c(bytes)).as_bytes());
    judge(&mended);
}

fn judge(bytes: &[u8]) {
    match Manifest::decode(bytes) {
        Ok(manifest) => {
            let again = Manifest::decode(manifest.encode().as_bytes());
            assert_eq!(again.as_ref(), Ok(&manifest));
        }
        Err(ManifestError::Newer(version)) => assert!(version > super::DATA_FORMAT),
        Err(ManifestError::Older(version)) => assert!(version < super::DATA_FORMAT),
        Err(ManifestError::Damaged(why)) => assert!(!why.is_empty()),
    }
}

/// A sound frame's content for [`frame`], to start from.
pub fn frame_seed() -> Vec<u8> {
    let decision = &decision_seeds()[0];
    // One extent of two batches, 61 and 70 bytes, of partition 1.
    let mut directory = vec![1];
    directory.extend_from_slice(&5u128.to_le_bytes());
    directory.extend_from_slice(&[1, 10, 8, 8, 2, 61, 1, 0, 70, 2, 3]);
    let mut out = Vec::new();
    out.put_u16_le(decision.len() as u16);
    out.put_u16_le(directory.len() as u16);
    out.extend_from_slice(decision);
    out.extend_from_slice(&directory);
    out.resize(out.len() + 131, 0xab);
    assert!(ALIGNMENT > out.len());
    out
}

/// Sound decisions for [`decisions`], to start from.
pub fn decision_seeds() -> Vec<Vec<u8>> {
    let (_, decisions) = sample();
    let encoded = decisions.iter().map(|decision| {
        let mut out = Vec::new();
        decision.encode(&mut out);
        out
    });
    encoded.collect()
}

/// Sound lanes for [`snapshot`], to start from: each with something in it.
pub fn snapshot_seeds() -> Vec<Vec<u8>> {
    let (state, _) = sample();
    let mut empty = Vec::new();
    State::new(Limits::default()).snapshot_lane(Lane(1), &mut empty);
    let lanes = Lane::all().map(|lane| {
        let mut out = vec![lane.0];
        state.snapshot_lane(lane, &mut out);
        out
    });
    lanes.filter(|lane| lane[1..] != empty).collect()
}

/// A sound directory for [`segment`], to start from.
pub fn segment_seed() -> Vec<u8> {
    // Where its table begins, and the partition's index: 1, with a topic.
    let mut out = vec![0, 3];
    out.extend_from_slice(&5u128.to_le_bytes());
    // first, count - 1, position, length, batches, append times, timestamp, table's length; checksums.
    out.extend_from_slice(&[10, 2, 0x80, 1, 0x83, 1, 2, 8, 8, 8, 8]);
    out.extend_from_slice(&[0; 8]);
    out
}

/// A sound manifest without its last line for [`manifest`], to start from.
pub fn manifest_seed() -> Vec<u8> {
    let text = Manifest {
        cluster_id: 77,
        secret: [1, 2],
        lives: vec![
            LifeEntry {
                life: LIFE,
                first_frame: 1,
                end: Some(LifeEnd { frame: 812, crc: 0x5c0f_fee1, file: 9 }),
            },
            LifeEntry { life: LIFE, first_frame: 813, end: None },
        ],
        wal_from: 4,
        segments: vec![3, 9],
        snapshot: Some(5),
    }
    .encode();
    let end = text.rfind("crc ").expect("a manifest ends with its checksum");
    text.as_bytes()[..end].to_vec()
}

/// A state with one of each kind of entry, and the decisions that made it.
fn sample() -> (State, Vec<Decision>) {
    use crate::state::*;
    use crate::types::{Offset, PartitionId, TopicId};
    let mut state = State::new(Limits::default());
    let topic = TopicId(5);
    let partition = PartitionId { topic, index: 0 };
    let mut decisions = Vec::new();
    let mut commands = vec![
        Command::CreateTopic(CreateTopic {
            name: "orders".into(),
            id: topic,
            partitions: 2,
            configs: [("retention.ms".to_owned(), "1000".to_owned())].into(),
            tags: [("team".to_owned(), "blue".to_owned())].into(),
            now_ms: 1_700_000_000_000,
        }),
        Command::AllocateProducerIds { count: 100 },
        Command::CommitOffsets {
            group: "readers".into(),
            member: None,
            offsets: vec![(
                partition,
                CommittedOffset { offset: Offset(0), leader_epoch: -1, metadata: "m".into(), commit_ms: 1 },
            )],
            now_ms: 1,
        },
        Command::Reshard { topic, how: Reshard::CreatePartitions { count: 3 }, now_ms: 1_700_000_000_500 },
    ];
    for command in commands.drain(..) {
        let (decision, _) = state.decide(&command).expect("the sample is granted");
        if let Some(decision) = decision {
            state.apply(&decision);
            decisions.push(decision);
        }
    }
    let append = Decision::Append(AppendDecision {
        partition,
        base_offset: Offset(0),
        offset_count: 3,
        size: 100,
        append_ms: 1_700_000_001_000,
        max_timestamp_ms: 1_700_000_000_900,
        log_append_time: false,
        routed: false,
        rolls: false,
        joins: false,
        producer: Some(ProducerAppend { id: 4, epoch: 0, first_sequence: 0, last_sequence: 2 }),
    });
    state.apply(&append);
    decisions.push(append);
    (state, decisions)
}
