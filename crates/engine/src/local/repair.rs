//! `kolk repair`: makes a damaged data directory one that starts, and says what is lost.
//!
//! What checks is kept: frames of the log on both sides of a gap, lanes of a snapshot, extents of segments, and of an
//! extent that does not check the batches whose own checksums hold. What was kept is then written anew: damaged
//! segments by segments of what they still have, the log by segments and a snapshot, as the rewrite does it. Offsets
//! stay what they were: where batches are lost there is a gap, and readers go on behind it.
//!
//! Everything is first read and told without a change; only with `apply` is anything written. A repair that is cut short
//! can be run again. Files that something is lost of are put aside in `damaged/`, as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use kolk_wire_kafka::records::{BatchHeader, Batches};

use super::frame::Frame;
use super::index::Index;
use super::inspect::{self, Begun};
use super::manifest::Manifest;
use super::recovery::{self, OpenError, Replayed, io_at};
use super::segment::{Extent, Handles, Segment, SegmentError, SegmentId, SegmentWriter, TableEntry};
use super::snapshot::{self, SnapshotError};
use super::space::FoundFiles;
use super::unreadable::Patient;
use super::wal::{self, WalFile, WalHeader};
use super::walk::{Covered, Gap, Purpose, Visit, walk};
use super::{LocalEngine, LocalOptions, Starting};
use crate::contract::Engine;
use crate::defects::{Defect, defect};
use crate::door::{Disk, Door, Open};
use crate::state::{AppendDecision, CorruptState, Decision, Lane, State};
use crate::types::{Offset, PartitionId};

/// What [`repair`] found, and what a repair loses.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// What does not check, a sentence each, with file and position.
    pub damage: Vec<String>,
    /// Offsets that are not there any more, those that an earlier repair lost among them.
    pub lost: Vec<Lost>,
    /// What else is lost or not exact any more, a sentence each.
    pub notes: Vec<String>,
    /// Decisions are lost, of frames of the log or of lanes of the snapshot, as the notes say: topics, configs, shards,
    /// groups and producers may be as they were earlier, or gone, and of the last offsets nobody knows that they were.
    pub decisions_lost: bool,
    /// Append times are not exact any more, as the notes say, and with them Kinesis sequence numbers.
    pub times_lost: bool,
    /// The directory was repaired.
    pub repaired: bool,
}

/// Offsets of a partition whose batches are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first lost offset.
    pub first: Offset,
    /// The last one, inclusive.
    pub last: Offset,
}

/// What [`repair`] may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairHow {
    /// Repairs the directory; else it is only told what that would lose.
    pub apply: bool,
    /// What the disk does not read, however often it is asked, counts as lost; else it is an error that says where it is.
    pub drop_unreadable: bool,
}

impl RepairHow {
    /// Looks, and changes nothing.
    pub const TELL: RepairHow = RepairHow { apply: false, drop_unreadable: false };
    /// Repairs.
    pub const APPLY: RepairHow = RepairHow { apply: true, drop_unreadable: false };
}

/// Judges a data directory that no server uses and, if asked to, repairs it.
///
/// The error is for what cannot be repaired: a manifest that does not check, nor its copy, a directory that is in use, a disk that fails.
pub async fn repair(
    door: &Door,
    directory: &Path,
    options: LocalOptions,
    how: RepairHow,
) -> Result<RepairReport, OpenError> {
    let Begun { lock, mut manifest, damage } = inspect::begin(door, directory).await?;
    let patient = Patient::new(door.disk.clone(), how.drop_unreadable);
    let disk = &patient as &dyn Disk;
    let mut report = RepairReport { damage: damage.into_iter().collect(), ..RepairReport::default() };
    let is_manifest_damaged = !report.damage.is_empty();
    if is_manifest_damaged {
        report.notes.push("what the manifest said stands in its copy: nothing is lost by that".to_owned());
    }
    if how.apply {
        if is_manifest_damaged {
            manifest.restore(disk, directory).await.map_err(io_at(directory))?;
        }
        // A repair that was cut short may have left a manifest that only the page cache has: what it does not name goes
        // for good only once it is durable.
        recovery::prepare_directory(disk, directory).await?;
        recovery::remove_leftovers(disk, directory, &manifest).await?;
    }
    let mut state = State::new(options.limits.clone());
    let (covered, lanes_lost) = load_lanes(disk, directory, &manifest, &mut state, &mut report).await?;

    let part = recovery::segment_directory(directory);
    let handles = Handles::new(Arc::new(patient.clone()), &part);
    let mut damaged = Vec::new();
    let mut kept = KeptRuns::default();
    for id in manifest.segments.iter().copied().map(SegmentId) {
        let segment = examine(&handles, directory, id, &mut report).await?;
        segment.extents.iter().flat_map(Examined::runs).for_each(|run| kept.push(run));
        if segment.is_damaged {
            damaged.push(segment);
        }
    }
    let kept = kept.in_order();
    if lanes_lost {
        restore(&mut state, &kept, &mut report);
    }

    let index = Arc::new(Index::new(options.tail_cache_bytes));
    recovery::show_partitions(&state, &index);
    let replayed = Replayed { state, index: &index, covered };
    let mut salvage = Salvage { replayed, lanes_lost, report: &mut report, losing: BTreeSet::new() };
    let purpose = if how.apply { Purpose::Serve } else { Purpose::Inspect };
    let walked = walk(disk, directory, &manifest, purpose, &mut salvage).await?;
    let (mut state, mut losing) = (salvage.replayed.state, salvage.losing);
    let mut spoilt = BTreeSet::new();
    for hole in patient.holes() {
        report.damage.push(hole.to_string());
        if hole.path.starts_with(recovery::wal_directory(directory)) {
            spoilt.extend(wal::slot_of(&hole.path.file_name().unwrap_or_default().to_string_lossy()));
            report.decisions_lost = true;
            report.notes.push(format!(
                "{hole}, and what of the log lay there is lost, with all that was decided in it; of its last frames nobody knows \
                 that they were"
            ));
            losing.insert(hole.path);
        }
    }
    if report.decisions_lost {
        state.restore_ends();
    }
    if lanes_lost {
        // Whoever got a producer id that the log does not know any more must stay alone with it.
        let next = state.unseen_producer_id() + 100_000;
        state.apply(&Decision::TakeProducerIds { next });
    }
    report.lost = missing(&state, &kept, &index);
    if defect(Defect::RepairTellsTooLittle) {
        report.lost.pop();
    }
    if !how.apply {
        return Ok(report);
    }
    if report.damage.len() == usize::from(is_manifest_damaged) {
        report.repaired = is_manifest_damaged;
        return Ok(report);
    }

    if lanes_lost {
        let part = recovery::snapshot_directory(directory);
        losing.extend(manifest.snapshot.map(|id| part.join(snapshot::file_name(id))));
    }
    losing.extend(
        damaged.iter().filter(|segment| segment.loses).map(|segment| part.join(segment.id.file_name())),
    );
    put_aside(disk, directory, &losing, &mut report).await?;
    let mut next = manifest.segments.iter().max().map_or(1, |id| id + 1);
    for segment in &damaged {
        manifest.segments.retain(|id| *id != segment.id.0);
        if write_again(&handles, directory, SegmentId(next), segment).await? {
            manifest.segments.push(next);
            next += 1;
        }
    }
    disk.sync_dir(&part).await.map_err(io_at(&part))?;
    let mut recovered = recovery::recovered(disk, directory, manifest, walked, state).await?;
    give_up(disk, directory, &spoilt, &mut recovered.files, &index).await?;
    let archived = recovery::open_segments(door.disk.clone(), directory, &recovered).await?;
    let starting = Starting { door: door.clone(), directory, options, lock, recovered, index, archived };
    let engine = LocalEngine::start(starting).await?;
    let failed =
        |what: String| OpenError::Io { path: directory.to_path_buf(), source: std::io::Error::other(what) };
    engine.rewriter.checkpoint().await.map_err(|error| failed(error.to_string()))?;
    engine.close().await.map_err(|error| failed(error.to_string()))?;
    report.repaired = true;
    Ok(report)
}

/// Files of the log that cannot be read whole are not written again: a start would meet what ended this one. Spare ones go now,
/// the others once their batches are elsewhere.
async fn give_up(
    disk: &dyn Disk,
    directory: &Path,
    spoilt: &BTreeSet<u64>,
    files: &mut FoundFiles,
    index: &Index,
) -> Result<(), OpenError> {
    for file in files.spare.extract_if(.., |file| spoilt.contains(&file.slot)) {
        files.bytes -= file.capacity;
        let path = recovery::wal_directory(directory).join(wal::file_name(file.slot));
        disk.remove(&path).await.map_err(io_at(&path))?;
    }
    for found in index.lock().files.values().filter(|found| spoilt.contains(&found.file.slot)) {
        found.file.spoilt.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Keeps files that something is lost of as they are, whatever becomes of them: what nobody can read today may be read one day.
async fn put_aside(
    disk: &dyn Disk,
    directory: &Path,
    files: &BTreeSet<PathBuf>,
    report: &mut RepairReport,
) -> Result<(), OpenError> {
    let aside = directory.join(recovery::DAMAGED);
    let mut kept = false;
    for path in files {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        disk.create_dir_all(&aside).await.map_err(io_at(&aside))?;
        let taken = disk.list(&aside).await.map_err(io_at(&aside))?;
        let free = (0..).map(|n| if n == 0 { name.clone() } else { format!("{name}.{n}") });
        let free = free.into_iter().find(|name| !taken.contains(name)).expect("there is always one more");
        let to = aside.join(free);
        // A segment is never written again, and what stands in the log's place is: it is copied.
        let is_segment = path.starts_with(recovery::segment_directory(directory));
        let linked = is_segment && disk.link(path, &to).await.is_ok();
        if linked || copy(disk, path, &to).await? {
            kept = true;
        }
    }
    if kept {
        disk.sync_dir(&aside).await.map_err(io_at(&aside))?;
        disk.sync_dir(directory).await.map_err(io_at(directory))?;
        report
            .notes
            .push(format!("the files that something is lost of are in {}, as they were", aside.display()));
    }
    Ok(())
}

/// Copies a file; false if it is not there.
async fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<bool, OpenError> {
    const AT_ONCE: u64 = 1 << 20;
    let file = match disk.open(from, Open::Read).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(io_at(from))?,
    };
    let size = file.size().await.map_err(io_at(from))?;
    let copy = disk.open(to, Open::Write).await.map_err(io_at(to))?;
    let mut position = 0;
    while position < size {
        let len = AT_ONCE.min(size - position);
        let bytes = file.read_at(position, len as usize).await.map_err(io_at(from))?;
        copy.write_at(position, bytes).await.map_err(io_at(to))?;
        position += len;
    }
    copy.sync().await.map_err(io_at(to))?;
    Ok(true)
}

/// Loads the lanes of the snapshot that check. Returns the frame up to which each is covered, and whether some are lost.
async fn load_lanes(
    disk: &dyn Disk,
    directory: &Path,
    manifest: &Manifest,
    state: &mut State,
    report: &mut RepairReport,
) -> Result<(Box<[u64; Lane::COUNT]>, bool), OpenError> {
    let mut covered = Box::new([0; Lane::COUNT]);
    let Some(id) = manifest.snapshot else { return Ok((covered, false)) };
    let part = recovery::snapshot_directory(directory);
    let path = part.join(snapshot::file_name(id));
    let bytes = match snapshot::read(disk, &part, id).await {
        Ok(bytes) => bytes,
        Err(SnapshotError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            report.damage.push(format!("{} is missing", path.display()));
            Bytes::new()
        }
        Err(SnapshotError::Io { source, .. }) => return Err(OpenError::Io { path, source }),
        Err(SnapshotError::Damaged { .. }) => Bytes::new(),
    };
    if let Err(SnapshotError::Damaged { position, what, .. }) = snapshot::lanes(id, &bytes)
        && !bytes.is_empty()
    {
        report.damage.push(format!("{} is damaged at byte {position}: {what}", path.display()));
    }
    let mut loaded = 0;
    let mut lost = Vec::new();
    let mut lanes = snapshot::lanes_that_check(&bytes).into_iter().peekable();
    for lane in Lane::all() {
        let found = lanes.next_if(|(found, ..)| *found == lane);
        // A lane that does not load leaves a state that is not to be used: it is tried on another.
        let found = found.filter(|(_, _, bytes)| {
            State::new(state.limits().clone()).load_lane(lane, bytes).is_ok()
                && state.load_lane(lane, bytes).is_ok()
        });
        match found {
            Some((_, position, _)) => {
                covered[usize::from(lane.0)] = position.0;
                loaded += 1;
            }
            None => lost.push(lane.0),
        }
    }
    if !lost.is_empty() {
        report.decisions_lost = true;
        let text = format!(
            "{} of {} lanes of the snapshot are lost, with the topics, partitions and consumer groups that lie in them: \
             a topic's name, configs and shards; a group's members and committed offsets; producers' sequences",
            lost.len(),
            lost.len() + loaded
        );
        report.notes.push(text);
        if report.damage.is_empty() {
            report.damage.push(format!("{} has lanes that cannot be read: {lost:?}", path.display()));
        }
    }
    Ok((covered, !lost.is_empty()))
}

/// Makes partitions again whose lane is lost, from their topic and what segments have of them.
fn restore(state: &mut State, kept: &BTreeMap<PartitionId, Vec<Run>>, report: &mut RepairReport) {
    for partition in state.restore_partitions() {
        let runs = kept.get(&partition).map(Vec::as_slice).unwrap_or_default();
        for (at, run) in runs.iter().enumerate() {
            state.apply(&Decision::Append(AppendDecision {
                partition,
                base_offset: run.first,
                offset_count: i32::try_from(run.last - run.first + 1).unwrap_or(i32::MAX),
                size: u32::try_from(run.bytes).unwrap_or(u32::MAX),
                append_ms: run.last_append_ms,
                max_timestamp_ms: run.max_timestamp_ms,
                log_append_time: false,
                routed: true,
                rolls: at > 0,
                joins: false,
                producer: None,
            }));
        }
        if let Some(first) = runs.first() {
            state.apply(&Decision::Trim { partition, log_start: first.first });
        }
    }
    // Partitions without their topic cannot be reached by any name.
    let orphans: BTreeMap<_, i32> = kept
        .keys()
        .filter(|partition| state.topic(partition.topic).is_none())
        .fold(BTreeMap::new(), |mut orphans, partition| {
            *orphans.entry(partition.topic).or_default() += 1;
            orphans
        });
    for (topic, partitions) in orphans {
        report
            .notes
            .push(format!("topic {topic} is lost, its name too: {partitions} partitions had batches"));
    }
}

/// A run of batches of one partition that is kept, without a gap in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    partition: PartitionId,
    first: Offset,
    last: Offset,
    bytes: u64,
    last_append_ms: i64,
    max_timestamp_ms: i64,
}

/// What is kept of each partition: a run grows by what follows it, so that what is held does not grow with the log.
#[derive(Debug, Default)]
struct KeptRuns(BTreeMap<PartitionId, Vec<Run>>);

impl KeptRuns {
    /// Bytes that a run grows to, about: where its partition must be made again, retention goes by runs.
    const BYTES_MAX: u64 = 1 << 30;

    fn push(&mut self, run: Run) {
        let runs = self.0.entry(run.partition).or_default();
        let grows = runs.last_mut().filter(|last| {
            last.last + 1 == run.first
                && last.bytes + run.bytes <= Self::BYTES_MAX
                && run.last - last.first < i64::from(i32::MAX)
        });
        match grows {
            Some(last) => {
                last.last = run.last;
                last.bytes += run.bytes;
                last.last_append_ms = last.last_append_ms.max(run.last_append_ms);
                last.max_timestamp_ms = last.max_timestamp_ms.max(run.max_timestamp_ms);
            }
            None => runs.push(run),
        }
    }

    fn in_order(mut self) -> BTreeMap<PartitionId, Vec<Run>> {
        self.0.values_mut().for_each(|runs| runs.sort_unstable_by_key(|run| run.first));
        self.0
    }
}

/// A segment and what can be kept of it.
struct ExaminedSegment {
    id: SegmentId,
    is_damaged: bool,
    /// There is a file, and not all that was in it can be kept.
    loses: bool,
    segment: Option<Arc<Segment>>,
    extents: Vec<Examined>,
}

/// An extent and what can be kept of it.
struct Examined {
    extent: Extent,
    /// Some batches only; the whole extent if `None`.
    batches: Option<Vec<Kept>>,
}

/// A batch that is kept.
#[derive(Clone, Copy)]
struct Kept {
    entry: TableEntry,
    last: Offset,
    bytes: usize,
}

impl Examined {
    fn runs(&self) -> Vec<Run> {
        let partition = self.extent.partition;
        let Some(batches) = &self.batches else {
            return vec![Run {
                partition,
                first: self.extent.first,
                last: self.extent.last,
                bytes: self.extent.len,
                last_append_ms: self.extent.last_append_ms,
                max_timestamp_ms: self.extent.max_timestamp_ms,
            }];
        };
        let run = |kept: &Kept| Run {
            partition,
            first: kept.entry.base_offset,
            last: kept.last,
            bytes: kept.bytes as u64,
            last_append_ms: kept.entry.append_ms,
            max_timestamp_ms: kept.entry.max_timestamp_ms,
        };
        batches.iter().map(run).collect()
    }
}

/// A segment's damage for the report; what the disk refuses ends the repair.
fn unless_io<T>(result: Result<T, SegmentError>, path: &Path) -> Result<Result<T, SegmentError>, OpenError> {
    match result {
        Err(error @ SegmentError::Io { .. }) => Err(failed(error, path)),
        judged => Ok(judged),
    }
}

fn failed(error: SegmentError, path: &Path) -> OpenError {
    let source = match error {
        SegmentError::Io { source, .. } => source,
        damaged => std::io::Error::other(damaged.to_string()),
    };
    OpenError::Io { path: path.to_path_buf(), source }
}

async fn examine(
    handles: &Arc<Handles>,
    directory: &Path,
    id: SegmentId,
    report: &mut RepairReport,
) -> Result<ExaminedSegment, OpenError> {
    let part = recovery::segment_directory(directory);
    let path = part.join(id.file_name());
    let mut examined =
        ExaminedSegment { id, is_damaged: false, loses: false, segment: None, extents: Vec::new() };
    let segment = match Segment::open(handles, id).await {
        Ok((segment, _)) => segment,
        Err(SegmentError::Io { source, .. }) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(OpenError::Io { path, source });
        }
        Err(error) => {
            examined.is_damaged = true;
            let is_there = matches!(error, SegmentError::Damaged { .. });
            let rebuilt = if is_there {
                Segment::rebuild(handles, id).await.map_err(|error| failed(error, &path))?
            } else {
                None
            };
            examined.loses = is_there && rebuilt.as_ref().is_none_or(|rebuilt| !rebuilt.is_whole);
            let kept = match &rebuilt {
                Some(rebuilt) if rebuilt.is_whole => "its batches are found by the rest of its footer",
                Some(_) => "some of its batches are found by the rest of its footer",
                None => "nothing of it can be kept",
            };
            report.damage.push(format!("{error}; {kept}"));
            match rebuilt {
                Some(rebuilt) => rebuilt.segment,
                None => return Ok(examined),
            }
        }
    };
    if let Err(error) = unless_io(segment.check_header().await, &path)? {
        report.damage.push(error.to_string());
        examined.is_damaged = true;
    }
    let mut extents = Vec::new();
    for block in 0..segment.block_count() {
        match unless_io(segment.block(block).await, &path)? {
            Ok(found) => extents.extend(found),
            Err(error) => {
                report.damage.push(format!("{error}; the batches that it names cannot be kept"));
                examined.is_damaged = true;
                examined.loses = true;
            }
        }
    }
    for extent in extents {
        // What cannot be read now is not damaged: a device that fails for a moment must cost nothing.
        let bytes = unless_io(segment.checked_extent(&extent).await, &path)?;
        let table = unless_io(segment.table(&extent).await, &path)?;
        let mut batches = None;
        for error in [bytes.as_ref().err(), table.as_ref().err()].into_iter().flatten() {
            report.damage.push(error.to_string());
        }
        if bytes.is_err() || table.is_err() {
            examined.is_damaged = true;
            examined.loses = true;
            let raw = segment.read(extent.position, extent.len as usize).await;
            let raw = raw.map_err(|error| failed(error, &path))?;
            batches = Some(match table {
                Ok(table) => those_that_check(&raw, &table),
                Err(_) => {
                    if extent.first_append_ms != extent.last_append_ms {
                        report.times_lost = true;
                        report.notes.push(format!(
                            "append times of offsets {} to {} of {} are those of the first: Kinesis sequence numbers of \
                             these records change",
                            extent.first,
                            extent.last,
                            inspect::partition_text(extent.partition)
                        ));
                    }
                    without_table(&raw, (extent.first, extent.last), extent.first_append_ms)
                }
            });
        }
        examined.extents.push(Examined { extent, batches });
    }
    examined.segment = Some(segment);
    Ok(examined)
}

fn those_that_check(bytes: &Bytes, table: &[TableEntry]) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut entries = table.iter().enumerate();
    while let Some((at, entry)) = entries.next() {
        let end = table.get(at + 1).map_or(bytes.len(), |next| next.position as usize);
        let found = bytes.get(entry.position as usize..end).and_then(|batch| checked(batch, *entry));
        if found.is_none() && defect(Defect::RepairDropsHealthy) {
            entries.next();
        }
        kept.extend(found);
    }
    kept
}

/// The batches of an extent from offset `first` to `last`, whose table is lost.
fn without_table(bytes: &Bytes, (first, last): (Offset, Offset), append_ms: i64) -> Vec<Kept> {
    let mut kept: Vec<Kept> = Vec::new();
    let mut position = 0;
    for batch in Batches::new(bytes.clone()) {
        let Ok((header, batch)) = batch else { break };
        // No checksum of a batch covers its base offset.
        let behind = kept.last().map_or(first, |before| before.last + 1);
        let is_within = header.base_offset >= behind.0 && header.next_offset() - 1 <= last.0;
        let entry = TableEntry {
            base_offset: Offset(header.base_offset),
            position,
            append_ms,
            max_timestamp_ms: header.max_timestamp,
        };
        position += batch.len() as u32;
        kept.extend(checked(&batch, entry).filter(|_| is_within));
    }
    kept
}

/// A batch whose checksum holds and which is the one that the index names.
fn checked(batch: &[u8], entry: TableEntry) -> Option<Kept> {
    let header = BatchHeader::parse(batch).ok()?;
    header.check_crc(batch).ok()?;
    let fits = header.total_bytes == batch.len() && header.base_offset == entry.base_offset.0;
    fits.then(|| Kept { entry, last: Offset(header.next_offset() - 1), bytes: batch.len() })
}

/// Writes what is kept of a damaged segment; false if that is nothing.
async fn write_again(
    handles: &Arc<Handles>,
    directory: &Path,
    id: SegmentId,
    examined: &ExaminedSegment,
) -> Result<bool, OpenError> {
    let Some(segment) = &examined.segment else { return Ok(false) };
    let path = recovery::segment_directory(directory).join(id.file_name());
    let failed = |error| failed(error, &path);
    let mut writer = SegmentWriter::create(handles, id).await.map_err(failed)?;
    let mut extents: Vec<&Examined> = examined.extents.iter().collect();
    extents.sort_unstable_by_key(|examined| (examined.extent.partition, examined.extent.first));
    for Examined { extent, batches } in extents {
        let bytes = segment.read(extent.position, extent.len as usize).await.map_err(failed)?;
        match batches {
            None => {
                let table = segment.table(extent).await.map_err(failed)?;
                writer.add(extent.partition, &bytes, &table, extent.last).await.map_err(failed)?;
            }
            Some(batches) => {
                for kept in batches {
                    let batch = &bytes[kept.entry.position as usize..][..kept.bytes];
                    let entry = TableEntry { position: 0, ..kept.entry };
                    writer.add(extent.partition, batch, &[entry], kept.last).await.map_err(failed)?;
                }
            }
        }
    }
    if writer.is_empty() {
        return Ok(false);
    }
    writer.finish().await.map_err(failed)?;
    Ok(true)
}

/// Replays what is there, and notes what is not.
struct Salvage<'a, 'b> {
    replayed: Replayed<'a>,
    lanes_lost: bool,
    report: &'b mut RepairReport,
    /// Files of the log that something is lost of.
    losing: BTreeSet<PathBuf>,
}

impl Visit for Salvage<'_, '_> {
    fn file(&mut self, header: &WalHeader, file: &WalFile, path: &Path) {
        self.replayed.file(header, file, path);
    }

    fn covered(&self) -> Option<Covered> {
        // Of a lost lane every frame is missing, and that is told.
        (!self.lanes_lost).then(|| self.replayed.covered()).flatten()
    }

    fn frame(&mut self, frame: &Frame, header: &WalHeader, position: u64) -> Result<(), CorruptState> {
        self.replayed.frame(frame, header, position)
    }

    fn torn(&mut self, path: &Path, position: u64, bytes: u64, frame: u64) {
        self.replayed.torn(path, position, bytes, frame);
    }

    fn gap(&mut self, gap: Gap) -> Result<(), OpenError> {
        let Gap { file, position, what, frames: (from, to) } = gap;
        self.report.damage.push(format!("{} is damaged at byte {position}: {what}", file.display()));
        if to > from {
            if position > 0 {
                self.losing.insert(file);
            }
            self.report.decisions_lost = true;
            self.report.notes.push(format!(
                "frames {from} to {} of the log are lost, with all that was decided in them: batches (the offsets are told \
                 where later ones show the gap), committed offsets, group members, topics, configs",
                to - 1
            ));
        }
        Ok(())
    }

    fn salvages(&self) -> bool {
        true
    }
}

/// The offsets from each log start to each end that nothing holds.
fn missing(state: &State, kept: &BTreeMap<PartitionId, Vec<Run>>, index: &Index) -> Vec<Lost> {
    let index = index.lock();
    let mut lost = Vec::new();
    for topic in state.topics() {
        for id in topic.partition_ids() {
            let Some(partition) = state.partition(id) else { continue };
            let archived = kept.get(&id).map(Vec::as_slice).unwrap_or_default();
            let logged = index.partitions.get(&id).into_iter().flat_map(|found| &found.wal);
            let runs = archived.iter().map(|run| (run.first, run.last));
            let mut next = partition.log_start;
            let end = (partition.next, partition.next);
            for (first, last) in runs.chain(logged.map(|extent| (extent.first, extent.last))).chain([end]) {
                if first > next {
                    let topic = topic.name.to_string();
                    lost.push(Lost { topic, partition: id.index, first: next, last: first + -1 });
                }
                next = next.max(last + 1);
            }
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use kolk_wire_kafka::records::{BatchBuilder, Compression, batch};

    use super::*;
    use crate::types::TopicId;

    /// Each extent of the log was held, with what is known of it: a repair of a TiB of small partitions took gigabytes.
    #[test]
    fn what_follows_one_another_is_held_as_one_run() {
        let mut kept = KeptRuns::default();
        let run = |index, first: i64, bytes| Run {
            partition: PartitionId { topic: TopicId(1), index },
            first: Offset(first),
            last: Offset(first + 9),
            bytes,
            last_append_ms: first,
            max_timestamp_ms: 1000 - first,
        };
        for segment in 0..1000 {
            for index in 0..3 {
                // One partition has a gap, one is large.
                let first = segment * 10 + if index == 1 && segment >= 500 { 5 } else { 0 };
                kept.push(run(index, first, if index == 2 { 10 << 20 } else { 100 }));
            }
        }
        let kept = kept.in_order();
        let told = |index| {
            let runs = &kept[&PartitionId { topic: TopicId(1), index }];
            runs.iter().map(|run| (run.first.0, run.last.0)).collect::<Vec<_>>()
        };
        assert_eq!(told(0), [(0, 9999)]);
        assert_eq!(told(1), [(0, 4999), (5005, 10004)]);
        assert_eq!(told(2).len(), 1000_usize.div_ceil(102));
        let whole = kept[&PartitionId { topic: TopicId(1), index: 0 }][0];
        assert_eq!((whole.bytes, whole.last_append_ms, whole.max_timestamp_ms), (100_000, 9990, 1000));
    }

    /// No checksum covers a batch's base offset: where the table is lost too, a batch was kept at whatever offset it said, or the
    /// repair ended in a panic.
    #[test]
    fn without_a_table_only_offsets_within_the_extent_are_believed() {
        let one = |base_offset| {
            let mut builder = BatchBuilder::new(Compression::None);
            builder.append(5, None, Some(b"value"), &[]);
            let mut bytes = builder.build().unwrap().to_vec();
            batch::set_base_offset(&mut bytes, base_offset);
            bytes
        };
        let kept = |bases: &[i64]| {
            let bytes: Vec<u8> = bases.iter().flat_map(|base| one(*base)).collect();
            let kept = without_table(&bytes.into(), (Offset(10), Offset(14)), 7);
            kept.iter().map(|kept| (kept.entry.base_offset.0, kept.entry.append_ms)).collect::<Vec<_>>()
        };
        assert_eq!(kept(&[10, 11, 12, 13, 14]), [(10, 7), (11, 7), (12, 7), (13, 7), (14, 7)]);
        assert_eq!(kept(&[10, 11, 4108, 13, 14]), [(10, 7), (11, 7), (13, 7), (14, 7)]);
        assert_eq!(kept(&[10, 11, 8, 13, 14]), [(10, 7), (11, 7), (13, 7), (14, 7)]);
    }
}
