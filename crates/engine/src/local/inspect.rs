//! Looking at a data directory that no server uses: `kolk verify` and `kolk dump`. Nothing is changed.
//!
//! [`verify`] reads every byte that counts and checks every checksum, and that indexes say what the batches'
//! own headers say. [`dump`] tells what is there, entry by entry. Both refuse a directory that is in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kolk_wire_kafka::records::{BatchHeader, Compression};

use super::frame::Frame;
use super::manifest::Manifest;
use super::recovery::{self, OpenError};
use super::segment::footer::Index;
use super::segment::{Extent, Handles, Segment, SegmentError, SegmentId};
use super::snapshot;
use super::wal::{WalFile, WalHeader};
use super::walk::{Covered, Purpose, Visit, walk};
use crate::contract::BatchAt;
use crate::door::{Disk, Door};
use crate::map::HashMap;
use crate::state::{CorruptState, Decision, Limits, State};
use crate::types::{Offset, PartitionId};

/// What [`verify`] read, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Report {
    /// Write-ahead files in use.
    pub wal_files: u64,
    /// Frames in them.
    pub frames: u64,
    /// Segments.
    pub segments: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Batches, in frames and segments.
    pub batches: u64,
    /// Bytes of those batches.
    pub batch_bytes: u64,
    /// The frame at the log's end that was being written when the process ended, if there is one: file and
    /// position. It was never acknowledged, and a start cuts it off.
    pub torn: Option<(PathBuf, u64)>,
    /// What does not check, a sentence each, with file and position.
    pub damage: Vec<String>,
}

/// One thing that [`dump`] found: a kind and named values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `manifest`, `life`, `snapshot`, `lane`, `wal-file`, `frame`, `decision`, `batch`, `segment`, `extent`, `torn`.
    pub kind: &'static str,
    /// Names and values, in order.
    pub fields: Vec<(&'static str, String)>,
}

/// Takes the directory's lock and reads its manifest. Where nothing can be written, as on a file system that met an error and is
/// read-only since, nobody else writes either.
pub(super) async fn begin(door: &Door, directory: &Path) -> Result<Begun, OpenError> {
    let disk = &*door.disk;
    let found = recovery::read_manifest_or_copy(disk, directory).await?.ok_or_else(|| OpenError::Io {
        path: directory.to_path_buf(),
        source: std::io::Error::new(std::io::ErrorKind::NotFound, "no data directory: it has no manifest"),
    })?;
    let lock = match recovery::lock(&*door.disk, directory).await {
        Err(OpenError::Io { source, .. }) if source.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
            Box::new(())
        }
        lock => lock?,
    };
    // The manifest may have been replaced before the lock was free.
    let (manifest, damage) = recovery::read_manifest_or_copy(disk, directory).await?.unwrap_or(found);
    Ok(Begun { lock, manifest, damage })
}

/// A directory that nobody else uses meanwhile.
pub(super) struct Begun {
    pub lock: Box<dyn Send + Sync>,
    pub manifest: Manifest,
    /// What is wrong with the manifest, of which this is the copy.
    pub damage: Option<String>,
}

/// Checks everything in a data directory. `progress` is told each file that was read through, with its bytes.
///
/// The error is for what cannot be looked at at all; damage stands in the report.
pub async fn verify(
    door: &Door,
    directory: &Path,
    progress: &mut (dyn FnMut(&Path, u64) + Send),
) -> Result<Report, OpenError> {
    let Begun { lock: _lock, manifest, damage } = begin(door, directory).await?;
    let disk = &*door.disk;
    let report = Report { damage: damage.into_iter().collect(), ..Report::default() };
    let mut checks = Checks { report, progress, seen: HashMap::default(), covered: None };
    checks.covered = match manifest.snapshot {
        Some(id) => checks.snapshot(disk, directory, id).await,
        None => Some(Covered { least: 0, most: 0 }),
    };
    let segments = Handles::new(door.disk.clone(), &recovery::segment_directory(directory));
    for id in manifest.segments.iter().copied().map(SegmentId) {
        checks.segment(&segments, directory, id).await;
    }
    checks.overlaps(directory);
    if let Err(error) = walk(disk, directory, &manifest, Purpose::Inspect, &mut checks).await {
        checks.report.damage.push(error.to_string());
    }
    Ok(checks.report)
}

struct Checks<'a> {
    report: Report,
    progress: &'a mut (dyn FnMut(&Path, u64) + Send),
    /// Per partition, the ranges of offsets seen in segments, and in which.
    seen: HashMap<PartitionId, Vec<(Offset, Offset, SegmentId)>>,
    /// What the snapshot stands for; `None` if it does not check.
    covered: Option<Covered>,
}

impl Checks<'_> {
    async fn snapshot(&mut self, disk: &dyn Disk, directory: &Path, id: u64) -> Option<Covered> {
        self.report.snapshots += 1;
        let part = recovery::snapshot_directory(directory);
        let mut state = State::new(Limits::default());
        match snapshot::load(disk, &part, id, &mut state).await {
            Ok(positions) => {
                (self.progress)(&part.join(snapshot::file_name(id)), 0);
                Some(Covered::of(positions.iter().map(|position| position.0)))
            }
            Err(error) => {
                self.report.damage.push(error.to_string());
                None
            }
        }
    }

    async fn segment(&mut self, segments: &Arc<Handles>, directory: &Path, id: SegmentId) {
        self.report.segments += 1;
        let part = recovery::segment_directory(directory);
        let (segment, runs) = match Segment::open(segments, id).await {
            Ok(opened) => opened,
            Err(error) => return self.report.damage.push(error.to_string()),
        };
        let path = part.join(id.file_name());
        if let Err(error) = segment.check_header().await {
            self.report.damage.push(error.to_string());
        }
        let mut counted = Index::default();
        for block in 0..segment.block_count() {
            match segment.block(block).await {
                Ok(extents) => {
                    extents.iter().for_each(|extent| counted.take(extent));
                    self.extents(&segment, &path, &extents).await;
                }
                Err(error) => self.report.damage.push(error.to_string()),
            }
        }
        if counted.extents == segment.extents && (counted.bytes, &counted.runs) != (segment.bytes, &runs) {
            self.report.damage.push(format!("{}: its index says other than its directory", path.display()));
        }
    }

    async fn extents(&mut self, segment: &Segment, path: &Path, extents: &[Extent]) {
        for extent in extents {
            let read = async {
                Ok::<_, SegmentError>((segment.checked_extent(extent).await?, segment.table(extent).await?))
            };
            let (bytes, table) = match read.await {
                Ok(read) => read,
                Err(error) => {
                    self.report.damage.push(error.to_string());
                    continue;
                }
            };
            let batches = table.iter().map(|entry| BatchAt {
                base_offset: entry.base_offset,
                position: entry.position as usize,
                append_ms: entry.append_ms,
            });
            if let Err(what) = self.batches(&bytes, batches.collect(), extent.last) {
                self.report.damage.push(format!(
                    "{} is damaged in the extent at byte {}: {what}",
                    path.display(),
                    extent.position
                ));
            }
            let seen = self.seen.entry(extent.partition).or_default();
            match seen.last_mut() {
                Some((_, last, _)) if *last + 1 == extent.first => *last = extent.last,
                _ => seen.push((extent.first, extent.last, segment.id)),
            }
            (self.progress)(path, extent.len);
        }
    }

    /// Extents of a partition must not overlap, in whatever segments they are.
    fn overlaps(&mut self, directory: &Path) {
        for (partition, mut extents) in std::mem::take(&mut self.seen) {
            extents.sort_unstable();
            let mut reached: Option<Offset> = None;
            for (first, last, segment) in extents {
                if reached.is_some_and(|reached| first <= reached) {
                    let path = recovery::segment_directory(directory).join(segment.file_name());
                    let what = format!("offsets {first} to {last} of {partition:?} are in two extents");
                    self.report.damage.push(format!("{}: {what}", path.display()));
                }
                reached = reached.max(Some(last));
            }
        }
    }

    /// Whether a run of batches is what its index says.
    fn batches(&mut self, bytes: &Bytes, batches: Vec<BatchAt>, last: Offset) -> Result<(), String> {
        for (i, at) in batches.iter().enumerate() {
            let end = batches.get(i + 1).map_or(bytes.len(), |next| next.position);
            let next_offset = batches.get(i + 1).map_or(last + 1, |next| next.base_offset);
            let batch = bytes.get(at.position..end).ok_or("the index points outside of it")?;
            let header =
                BatchHeader::parse(batch).map_err(|error| format!("batch {}: {error}", at.base_offset))?;
            if header.total_bytes != batch.len() {
                return Err(format!(
                    "batch {} has {} bytes, the index says {}",
                    at.base_offset,
                    header.total_bytes,
                    batch.len()
                ));
            }
            header.check_crc(batch).map_err(|error| format!("batch {}: {error}", at.base_offset))?;
            if header.base_offset != at.base_offset.0 || header.next_offset() > next_offset.0 {
                return Err(format!(
                    "batch {} says it has offsets {} to {}",
                    at.base_offset,
                    header.base_offset,
                    header.next_offset() - 1
                ));
            }
            self.report.batches += 1;
            self.report.batch_bytes += batch.len() as u64;
        }
        Ok(())
    }
}

impl Visit for Checks<'_> {
    fn file(&mut self, _header: &WalHeader, file: &WalFile, path: &Path) {
        self.report.wal_files += 1;
        (self.progress)(path, file.capacity);
    }

    fn covered(&self) -> Option<Covered> {
        self.covered
    }

    fn frame(&mut self, frame: &Frame, header: &WalHeader, position: u64) -> Result<(), CorruptState> {
        self.report.frames += 1;
        let decisions = decisions_of(frame)?;
        let appends = decisions.iter().filter(|decision| matches!(decision, Decision::Append(_))).count();
        let indexed: usize = frame.extents.iter().map(|extent| extent.batch_count()).sum();
        if appends != indexed {
            let what =
                format!("frame {} decides {appends} appends and holds {indexed} batches", frame.id.number);
            self.report.damage.push(format!("file {} of the log, byte {position}: {what}", header.sequence));
        }
        for extent in &frame.extents {
            let start = extent.position as usize;
            let bytes = frame.bytes.slice(start..start + extent.len as usize);
            let batches = extent.batches().collect();
            if let Err(what) = self.batches(&bytes, batches, extent.last) {
                let what = format!("frame {}: {what}", frame.id.number);
                self.report
                    .damage
                    .push(format!("file {} of the log, byte {position}: {what}", header.sequence));
            }
        }
        Ok(())
    }

    fn torn(&mut self, path: &Path, position: u64, _bytes: u64, _frame: u64) {
        self.report.torn = Some((path.to_path_buf(), position));
    }
}

fn decisions_of(frame: &Frame) -> Result<Vec<Decision>, CorruptState> {
    let mut rest = &frame.decisions[..];
    (0..frame.decision_count).map(|_| Decision::decode(&mut rest)).collect()
}

/// Tells what a data directory holds, in the order of its files.
pub async fn dump(
    door: &Door,
    directory: &Path,
    out: &mut (dyn FnMut(Entry) + Send),
) -> Result<(), OpenError> {
    let Begun { lock: _lock, manifest, .. } = begin(door, directory).await?;
    let disk = &*door.disk;
    out(entry(
        "manifest",
        [
            ("cluster", uuid::Uuid::from_u128(manifest.cluster_id).to_string()),
            ("wal-from", manifest.wal_from.to_string()),
            ("segments", manifest.segments.len().to_string()),
        ],
    ));
    for life in &manifest.lives {
        let end = life.end.map_or("open".to_owned(), |end| end.frame.to_string());
        out(entry(
            "life",
            [
                ("id", format!("{:016x}", life.life.id)),
                ("first-frame", life.first_frame.to_string()),
                ("last-frame", end),
            ],
        ));
    }
    if let Some(id) = manifest.snapshot {
        let part = recovery::snapshot_directory(directory);
        let read = snapshot::read(disk, &part, id).await;
        let damaged = |error: snapshot::SnapshotError| OpenError::Io {
            path: part.join(snapshot::file_name(id)),
            source: std::io::Error::other(error.to_string()),
        };
        let bytes = read.map_err(damaged)?;
        let lanes = snapshot::lanes(id, &bytes).map_err(damaged)?;
        out(entry(
            "snapshot",
            [
                ("file", snapshot::file_name(id)),
                ("lanes", lanes.len().to_string()),
                ("bytes", bytes.len().to_string()),
            ],
        ));
        for (lane, position, bytes) in lanes {
            out(entry(
                "lane",
                [
                    ("lane", lane.0.to_string()),
                    ("frame", position.0.to_string()),
                    ("bytes", bytes.len().to_string()),
                ],
            ));
        }
    }
    let segments = Handles::new(door.disk.clone(), &recovery::segment_directory(directory));
    for id in manifest.segments.iter().copied().map(SegmentId) {
        let part = recovery::segment_directory(directory);
        let failed = |error: super::segment::SegmentError| OpenError::Io {
            path: part.join(id.file_name()),
            source: std::io::Error::other(error.to_string()),
        };
        let (segment, _) = Segment::open(&segments, id).await.map_err(failed)?;
        out(entry("segment", [("file", id.file_name()), ("extents", segment.extents.to_string())]));
        for block in 0..segment.block_count() {
            let extents = segment.block(block).await.map_err(failed)?;
            dump_extents(&segment, &extents, out).await.map_err(failed)?;
        }
    }
    walk(disk, directory, &manifest, Purpose::Inspect, &mut Telling { out }).await.map(|_| ())
}

async fn dump_extents(
    segment: &Segment,
    extents: &[Extent],
    out: &mut (dyn FnMut(Entry) + Send),
) -> Result<(), SegmentError> {
    for extent in extents {
        out(entry(
            "extent",
            [
                ("partition", partition_text(extent.partition)),
                ("first", extent.first.to_string()),
                ("last", extent.last.to_string()),
                ("position", extent.position.to_string()),
                ("bytes", extent.len.to_string()),
                ("batches", extent.batches.to_string()),
                ("max-timestamp", extent.max_timestamp_ms.to_string()),
            ],
        ));
        let bytes = segment.checked_extent(extent).await?;
        for at in segment.table(extent).await? {
            out(batch_entry(extent.partition, &bytes[at.position as usize..], at.append_ms));
        }
    }
    Ok(())
}

struct Telling<'a> {
    out: &'a mut (dyn FnMut(Entry) + Send),
}

impl Visit for Telling<'_> {
    fn file(&mut self, header: &WalHeader, file: &WalFile, path: &Path) {
        (self.out)(entry(
            "wal-file",
            [
                ("file", path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())),
                ("sequence", header.sequence.to_string()),
                ("life", format!("{:016x}", header.life)),
                ("first-frame", header.first_frame.to_string()),
                ("bytes", file.capacity.to_string()),
            ],
        ));
    }

    fn frame(&mut self, frame: &Frame, _header: &WalHeader, position: u64) -> Result<(), CorruptState> {
        (self.out)(entry(
            "frame",
            [
                ("number", frame.id.number.to_string()),
                ("position", position.to_string()),
                ("bytes", frame.len.to_string()),
                ("decisions", frame.decision_count.to_string()),
                ("extents", frame.extents.len().to_string()),
                ("seal", frame.id.seal.to_string()),
            ],
        ));
        for decision in decisions_of(frame)? {
            (self.out)(entry("decision", [("decision", format!("{decision:?}"))]));
        }
        for extent in &frame.extents {
            for at in extent.batches() {
                let start = extent.position as usize + at.position;
                (self.out)(batch_entry(extent.partition, &frame.bytes[start..], at.append_ms));
            }
        }
        Ok(())
    }

    fn torn(&mut self, path: &Path, position: u64, bytes: u64, frame: u64) {
        (self.out)(entry(
            "torn",
            [
                ("file", path.display().to_string()),
                ("position", position.to_string()),
                ("bytes", bytes.to_string()),
                ("frame", frame.to_string()),
            ],
        ));
    }
}

fn entry<const N: usize>(kind: &'static str, fields: [(&'static str, String); N]) -> Entry {
    Entry { kind, fields: fields.into() }
}

pub(super) fn partition_text(partition: PartitionId) -> String {
    format!("{}/{}", partition.topic, partition.index)
}

fn batch_entry(partition: PartitionId, bytes: &[u8], append_ms: i64) -> Entry {
    let mut fields = vec![("partition", partition_text(partition))];
    match BatchHeader::parse(bytes) {
        Ok(header) => fields.extend([
            ("base", header.base_offset.to_string()),
            ("records", (header.last_offset_delta + 1).to_string()),
            ("bytes", header.total_bytes.to_string()),
            ("append-time", append_ms.to_string()),
            ("max-timestamp", header.max_timestamp.to_string()),
            ("producer", header.producer_id.to_string()),
            ("epoch", header.producer_epoch.to_string()),
            ("sequence", header.base_sequence.to_string()),
            (
                "compression",
                Compression::from_attributes(header.attributes)
                    .map_or("unknown", Compression::name)
                    .to_owned(),
            ),
        ]),
        Err(error) => fields.push(("damage", error.to_string())),
    }
    Entry { kind: "batch", fields }
}
