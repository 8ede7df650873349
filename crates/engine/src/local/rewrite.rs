//! The rewrite: batches leave the write-ahead log for segments, segments merge, and files come free.
//!
//! ```text
//!  WAL files  | 4 | 5 | 6 |  current         4..6 are complete
//!                 |   |
//!     1. write their batches, partition by partition, into segments; sync
//!     2. write a snapshot of the state, lane by lane; sync; wait until what it saw is durable
//!     3. replace the manifest: new segments, snapshot, wal-from 7      <- the one moment that counts
//!     4. readers go to the segments; files 4..6 are used again
//! ```
//! A file of the log that is mostly large extents is *promoted*: tables and directory are written behind its
//! frames and it gets a segment's name beside its own; no byte of a batch is copied. After step 3 its old name goes.
//!
//! A crash before step 3 leaves left-overs that the next start removes; after it the old files are free. A round that meets a
//! full disk removes its own left-overs and is tried again.
//!
//! Small partitions share a segment, and such segments merge in tiers of like size, four into one, until they
//! are [`RewriteOptions::merged_bytes_max`] large: a byte is copied about three times in its life. What a large partition
//! brings goes into a segment of large extents, which is copied again only when more than half of it is dead.
//! A segment in which nothing is alive is removed; expired bytes are never copied. While space is short, segments that are
//! less than half dead are copied too, those first that give back the most for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use kolk_wire_kafka::records::batch;
use tokio::sync::MutexGuard;
use tokio::time::Instant;

use super::archive::SegmentUse;
use super::commit::Log;
use super::index::{IndexInner, LogFile, WalExtent};
use super::manifest::{self, LifeEnd, Manifest};
use super::recovery::{segment_directory, snapshot_directory, wal_directory};
use super::segment::{
    self, Handles, Merging, Segment, SegmentError, SegmentId, SegmentWriter, Standing, TableEntry, Written,
};
use super::snapshot::{self, SnapshotError, SnapshotWriter};
use super::space::is_full;
use super::wal::{self, WalFile};
use crate::codec::crc32c;
use crate::contract::{BatchAt, EngineError, FileRange, RangeRead, Source};
use crate::defects::{Defect, defect};
use crate::state::Lane;
use crate::types::{LogPosition, Offset, PartitionId};

/// So many segments of one tier become one.
const MERGE_FAN_IN: usize = 4;

/// A segment that the disk did not read is tried again after this long: it may have been for want of file handles.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// When the rewrite runs, and from what size on it does what.
#[derive(Clone, Copy, Debug)]
pub struct RewriteOptions {
    /// Complete write-ahead files are rewritten once they hold this much, in bytes. With the file being written
    /// it bounds what a start replays: about 0.3 s for the default.
    pub wal_bytes: u64,
    /// How often the rewrite looks what is due, unless a file became full.
    pub interval: Duration,
    /// A write-ahead file whose extents are this large on average becomes a segment as it is, in bytes.
    pub promote_extent_bytes: u64,
    /// From this many bytes in one rewrite on, a partition's batches go into a segment of large extents.
    pub large_partition_bytes: u64,
    /// A segment whose extents are this large on average is one of large extents, which is not merged.
    pub large_extent_bytes: u64,
    /// The upper bound of the lowest tier of shared segments, in bytes; each further tier is four times as large.
    pub tier_bytes: u64,
    /// Shared segments of at least this size are not merged further, in bytes.
    pub merged_bytes_max: u64,
}

impl Default for RewriteOptions {
    fn default() -> Self {
        RewriteOptions {
            wal_bytes: 96 << 20,
            interval: Duration::from_secs(10),
            promote_extent_bytes: 128 << 10,
            large_partition_bytes: 4 << 20,
            large_extent_bytes: 128 << 10,
            tier_bytes: 16 << 20,
            merged_bytes_max: 256 << 20,
        }
    }
}

/// Why a round of the rewrite came to nothing. Nothing was lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    /// A file that was to be written could not be.
    #[error("{what}: {source}")]
    Disk { what: String, source: std::io::Error },
    /// The manifest may have been replaced or not.
    #[error("replacing the manifest: {0}")]
    Replace(std::io::Error),
    /// The log ended, or cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A segment that was to be copied does not check or cannot be read: it stays as it is.
    #[error("{source}")]
    Source { id: SegmentId, source: SegmentError },
}

impl From<SegmentError> for RewriteError {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Io { name, source } => disk_error(format!("writing segment {name}"))(source),
            SegmentError::Damaged { .. } => disk_error("writing a segment")(std::io::Error::other(error)),
        }
    }
}

impl From<SnapshotError> for RewriteError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Io { id, source } => {
                disk_error(format!("writing snapshot {}", snapshot::file_name(id)))(source)
            }
            SnapshotError::Damaged { .. } => disk_error("writing a snapshot")(std::io::Error::other(error)),
        }
    }
}

fn in_doubt(source: &std::io::Error) -> Arc<str> {
    format!("replacing the manifest failed: {source}").into()
}

fn disk_error(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> RewriteError {
    let what = what.into();
    move |source| RewriteError::Disk { what, source }
}

/// The one owner of the manifest after the start, and of segments and snapshots.
pub(super) struct Rewriter {
    pub log: Arc<Log>,
    /// The data directory.
    pub directory: PathBuf,
    pub options: RewriteOptions,
    pub segments: Arc<Handles>,
    /// The manifest as it stands on disk, and the numbers that come next.
    pub ledger: tokio::sync::Mutex<Ledger>,
}

/// What is on disk, as the manifest says, and the next numbers.
pub(super) struct Ledger {
    manifest: Manifest,
    next_segment: u64,
    next_snapshot: u64,
    /// Write-ahead files that nobody may use again before readers let go of them.
    pinned: Vec<Arc<WalFile>>,
    /// Segments that nobody finds any more; a reader may still hold one.
    forgotten: Vec<Arc<Segment>>,
    /// Files that the manifest does not name any more and that could not be removed yet.
    removals: Vec<PathBuf>,
    /// Files that the manifest does not name yet.
    half_made: Vec<PathBuf>,
    /// Those of a merge: checkpoints come and go meanwhile.
    merging: Vec<PathBuf>,
    /// Segments that could not be read whole and when that was: they are not copied, for a while if the disk said so, never
    /// again if they do not check.
    unreadable: Vec<(SegmentId, Option<Instant>)>,
    /// Why the manifest on disk may be another one: it may name what is half-made, and not what it is made of.
    in_doubt: Option<Arc<str>>,
}

impl Ledger {
    /// The manifest as it stands on disk.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What a start found.
    pub fn new(manifest: Manifest) -> Self {
        let next_segment = manifest.segments.iter().max().map_or(1, |id| id + 1);
        let next_snapshot = manifest.snapshot.map_or(1, |id| id + 1);
        Ledger {
            manifest,
            next_segment,
            next_snapshot,
            pinned: Vec::new(),
            forgotten: Vec::new(),
            removals: Vec::new(),
            half_made: Vec::new(),
            merging: Vec::new(),
            unreadable: Vec::new(),
            in_doubt: None,
        }
    }
}

impl Rewriter {
    /// Runs until the log is closed.
    pub async fn run(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(self.options.interval, self.log.file_full.notified()).await;
            if self.log.core().closed.is_some() {
                return;
            }
            let durable = self.log.durable();
            let round = self.round().await;
            let has_more = matches!(round, Ok(true)) && self.log.space.is_short();
            match round {
                Ok(_) if self.log.space.is_short() => self.log.space.ask().await,
                Ok(_) => {}
                Err(error) => {
                    self.log.metrics.rewrites_failed.add(1);
                    if self.is_over(error).await {
                        return;
                    }
                }
            }
            if has_more {
                self.log.file_full.notify_one();
            } else {
                self.log.looked_through.store(durable, Ordering::Relaxed);
            }
            // Deletes may have waited for what the round found.
            self.log.decide_waiting(&mut self.log.core());
        }
    }

    /// The ledger. Where the manifest is in doubt nobody gets it: whatever file it was, nothing may be changed any more.
    pub async fn ledger(&self) -> Result<MutexGuard<'_, Ledger>, RewriteError> {
        let ledger = self.ledger.lock().await;
        match &ledger.in_doubt {
            None => Ok(ledger),
            Some(reason) => Err(EngineError::Closed(reason.clone()).into()),
        }
    }

    /// What follows from a round that came to nothing; true if the log ended.
    pub async fn is_over(&self, error: RewriteError) -> bool {
        match error {
            RewriteError::Replace(source) => {
                self.log.fail(in_doubt(&source));
                true
            }
            RewriteError::Disk { what, source } if is_full(&source) => {
                tracing::warn!(%what, error = %source, "a round of the rewrite met a full disk; it will be tried again");
                let Ok(mut ledger) = self.ledger().await else { return true };
                self.remove_half_made(&mut ledger).await;
                self.log.space.met_full_disk();
                false
            }
            RewriteError::Disk { what, source } => {
                let Ok(mut ledger) = self.ledger().await else { return true };
                self.remove_half_made(&mut ledger).await;
                self.log.device_failed(&what, &source)
            }
            RewriteError::Engine(EngineError::Read(reason)) => {
                self.log.fail(format!("a log file cannot be read: {reason}").into());
                true
            }
            RewriteError::Engine(_) => true,
            RewriteError::Source { id, source } => {
                tracing::error!(error = %source, "a segment cannot be read whole and is not merged; see `kolk verify`");
                let Ok(mut ledger) = self.ledger().await else { return true };
                // What was copied so far may be a GiB.
                self.remove_half_made(&mut ledger).await;
                let passes = matches!(source, SegmentError::Io { .. }).then(Instant::now);
                ledger.unreadable.push((id, passes));
                false
            }
        }
    }

    /// Removes what a round left that did not come to its end.
    async fn remove_half_made(&self, ledger: &mut Ledger) {
        for path in ledger.half_made.drain(..).chain(ledger.merging.drain(..)) {
            // What stays is removed by the next start.
            let _ = self.log.door.disk.remove(&path).await;
        }
    }

    /// Does all that is due; false if nothing was.
    pub async fn round(&self) -> Result<bool, RewriteError> {
        self.free_pinned().await;
        self.remove_forgotten(&mut *self.ledger().await?).await?;
        let mut was_due = self.is_due();
        if was_due {
            self.checkpoint().await?;
        }
        was_due |= self.remove_dead().await?;
        while self.merge_next().await? {
            was_due = true;
        }
        Ok(was_due)
    }

    /// One past the last file that is complete and need not tell where the log ends: the newest one of this life does
    /// that, the manifest for the lives before.
    fn complete(&self, index: &IndexInner) -> u64 {
        match index.files.last_key_value() {
            Some((newest, _)) if *newest >= self.log.first_file => *newest,
            _ => self.log.first_file,
        }
    }

    /// Whether complete files shall be freed now: because of what they hold, or because room is short and there is
    /// enough left on the disk to copy them.
    fn is_due(&self) -> bool {
        let index = self.log.index.lock();
        let complete: u64 =
            index.files.range(..self.complete(&index)).map(|(_, found)| found.file.capacity).sum();
        let space = &self.log.space;
        let large =
            complete >= self.options.wal_bytes || self.log.index.held_bytes() >= self.log.index_bytes_max / 2;
        if complete == 0 || !(large || space.wants_rewrite()) {
            return false;
        }
        self.next_files(&index).is_some()
    }

    /// The last of the files that the next checkpoint frees: all that are complete, while space is short as many of them as
    /// the disk has room to copy. The space of those goes back to it, which makes room for the others.
    fn next_files(&self, index: &IndexInner) -> Option<u64> {
        let space = &self.log.space;
        let (is_short, mut live_bytes) = (space.is_short(), 0);
        let complete = index.files.range(..self.complete(index)).take_while(|(_, found)| {
            live_bytes += found.live_bytes;
            !is_short || space.can_copy(live_bytes, true)
        });
        complete.last().map(|(sequence, _)| *sequence)
    }

    /// Bytes of the log's complete files: what the rewrite has still to do.
    pub fn lag_bytes(&self) -> u64 {
        let index = self.log.index.lock();
        let through = self.complete(&index);
        index.files.range(..through).map(|(_, found)| found.file.capacity).sum()
    }

    /// Steps 1 to 4 for all files that are complete now.
    pub async fn checkpoint(&self) -> Result<(), RewriteError> {
        self.checkpoint_with(&mut *self.ledger().await?).await?;
        self.free_pinned().await;
        Ok(())
    }

    async fn checkpoint_with(&self, ledger: &mut Ledger) -> Result<(), RewriteError> {
        let durable = self.log.durable();
        let complete = self.next_files(&self.log.index.lock());
        let mut written = Vec::new();
        let mut promoted = Vec::new();
        if let Some(through) = complete {
            promoted = self.promote_files(ledger, through, &mut written).await?;
            self.write_segments(ledger, through, &promoted, &mut written).await?;
        }
        let snapshot = self.write_snapshot(ledger).await?;

        let mut manifest = ledger.manifest.clone();
        manifest.segments.extend(written.iter().map(|(segment, _)| segment.id.0));
        let old_snapshot = manifest.snapshot.replace(snapshot);
        if let Some(through) = complete {
            manifest.wal_from = through + 1;
        }
        if defect(Defect::FileReusedEarly)
            && let Some(through) = complete
        {
            let index = self.log.index.lock();
            let files: Vec<_> = index.files.range(..=through).map(|(_, found)| found.file.clone()).collect();
            drop(index);
            for file in files {
                self.log.space.give_back(WalFile::new(file.slot, file.capacity, file.file.clone()));
            }
        }
        // A life is looked up as long as one of its files is in the log, and the one that the log ends with.
        let wal_from = manifest.wal_from;
        let is_looked_up = |end: LifeEnd| end.file >= wal_from || end.frame >= durable;
        manifest.lives.retain(|life| life.end.is_none_or(is_looked_up));
        assert!(self.log.archive.ends_before(&written), "extents of one partition never overlap");
        self.store(ledger, manifest).await?;

        self.log.archive.add(written, |partition| self.log_start(partition));
        if let Some(through) = complete {
            let freed = self.log.index.forget_through(through);
            let files = freed.len() as u64;
            let bytes = freed.iter().map(|(_, file)| file.used.load(Ordering::Relaxed)).sum();
            let mut old_names = Vec::new();
            for (sequence, file) in freed {
                if defect(Defect::FileReusedEarly) {
                    continue;
                }
                if promoted.contains(&sequence) {
                    self.log.space.file_gone(file.capacity);
                    old_names.push(wal_directory(&self.directory).join(wal::file_name(file.slot)));
                } else {
                    ledger.pinned.push(file);
                }
            }
            self.hand_back(ledger).await;
            // Only now: as long as the rewrite has something to give, no file is made beyond the log's bound. What readers
            // hold may take long: it does not keep writers waiting.
            self.log.space.files_freed(files, bytes);
            // The segments took of what is free, and what is kept free is less without the files.
            self.log.space.ask().await;
            ledger.removals.extend(old_names);
        }
        let old_snapshot = old_snapshot.map(snapshot::file_name);
        let old_snapshot = old_snapshot.map(|name| snapshot_directory(&self.directory).join(name));
        ledger.removals.extend(old_snapshot);
        self.remove_forgotten(ledger).await?;
        self.log.metrics.rewrites.add(1);
        Ok(())
    }

    fn log_start(&self, partition: PartitionId) -> Option<Offset> {
        self.log.index.published(partition).map(|published| published.log_start)
    }

    /// Step 1 for files that are mostly large extents: those up to `through` become segments where they stand.
    /// Returns their sequence numbers.
    async fn promote_files(
        &self,
        ledger: &mut Ledger,
        through: u64,
        written: &mut Vec<Written>,
    ) -> Result<Vec<u64>, RewriteError> {
        let large: Vec<(u64, Arc<WalFile>)> = {
            let index = self.log.index.lock();
            let is_large = |found: &LogFile| {
                let (bytes, extents) = (found.live_bytes, found.live_extents.max(1));
                bytes / extents >= self.options.promote_extent_bytes
                    && bytes * 2 >= found.file.capacity
                    && !found.file.spoilt.load(Ordering::Relaxed)
            };
            let leaving = index.files.range(..=through).filter(|(_, found)| is_large(found));
            leaving.map(|(sequence, found)| (*sequence, found.file.clone())).collect()
        };
        let mut promoted = Vec::new();
        for (sequence, file) in large {
            let extents = self.log.index.extents_in(sequence);
            let mut standing = Vec::with_capacity(extents.len());
            for (partition, extent) in &extents {
                standing.push(Standing {
                    partition: *partition,
                    position: extent.file_position,
                    len: u64::from(extent.len),
                    last: extent.last,
                    crc: extent.crc,
                    entries: entries_where_it_stands(&file, extent).await?,
                });
            }
            let id = SegmentId(ledger.next_segment);
            ledger.next_segment += 1;
            let alignment = crate::door::ALIGNMENT as u64;
            let segment =
                segment::promote(&self.segments, file.file.clone(), id, file.capacity, alignment, standing)
                    .await?;
            let old = wal_directory(&self.directory).join(wal::file_name(file.slot));
            let new = segment_directory(&self.directory).join(id.file_name());
            ledger.half_made.push(new.clone());
            if let Err(error) = self.log.door.disk.link(&old, &new).await {
                // A file system without second names: the batches are copied.
                tracing::debug!(%error, "a log file could not become a segment");
                let cut = file.file.set_len(file.capacity).await;
                cut.map_err(disk_error(format!("cutting {}", wal::file_name(file.slot))))?;
                continue;
            }
            written.push(segment);
            promoted.push(sequence);
        }
        Ok(promoted)
    }

    /// Step 1: the batches of all files up to `through` that were not promoted.
    async fn write_segments(
        &self,
        ledger: &mut Ledger,
        through: u64,
        promoted: &[u64],
        written: &mut Vec<Written>,
    ) -> Result<(), RewriteError> {
        // Of complete files, whose extents only become fewer.
        let all_bytes: u64 = {
            let index = self.log.index.lock();
            let leaving = index.files.range(..=through).filter(|(sequence, _)| !promoted.contains(sequence));
            leaving.map(|(_, found)| found.live_bytes).sum()
        };
        let mut partitions = self.log.index.leaving(through, promoted, self.options.large_partition_bytes);
        partitions.sort_unstable();
        let (large, small): (Vec<_>, Vec<_>) =
            partitions.into_iter().partition(|(_, bytes)| *bytes >= self.options.large_partition_bytes);
        let small_bytes = small.iter().map(|(_, bytes)| bytes).sum();
        for (group, bytes_max) in [(small, small_bytes), (large, all_bytes.saturating_sub(small_bytes))] {
            if group.is_empty() {
                continue;
            }
            let mut writer = self.new_segment(ledger).await?.at_most(bytes_max);
            for (partition, _) in group {
                self.write_partition(&mut writer, partition, through, promoted).await?;
            }
            if !writer.is_empty() {
                written.push(writer.finish().await?);
            }
        }
        Ok(())
    }

    async fn write_partition(
        &self,
        writer: &mut SegmentWriter,
        partition: PartitionId,
        through: u64,
        promoted: &[u64],
    ) -> Result<(), RewriteError> {
        let mut from = Offset::ZERO;
        loop {
            // A few extents at a time: the index is not held while files are read, and the partition may be
            // trimmed or deleted meanwhile.
            let next: Vec<(WalExtent, Source, Arc<WalFile>)> = {
                let index = self.log.index.lock();
                let Some(found) = index.partitions.get(&partition) else { return Ok(()) };
                let leaving = found
                    .wal
                    .iter()
                    .skip_while(|extent| extent.first < from)
                    .take_while(|extent| extent.file <= through)
                    .filter(|extent| !promoted.contains(&extent.file));
                leaving
                    .take(64)
                    .map(|extent| {
                        let source = index.source(extent, 0, extent.len as usize);
                        (extent.clone(), source, index.files[&extent.file].file.clone())
                    })
                    .collect()
            };
            let Some((last, ..)) = next.last() else { return Ok(()) };
            from = last.last + 1;
            // Never the last one, or readers would look for it for ever.
            let dropped = if defect(Defect::RewriteDropsExtent) && next.len() > 2 { Some(1) } else { None };
            for (at, (extent, source, file)) in next.into_iter().enumerate() {
                if dropped == Some(at) {
                    continue;
                }
                let bytes = checked(&extent, source, &file).await?;
                writer.add(partition, &bytes, &entries_of(&extent, &bytes), extent.last).await?;
                self.log.metrics.rewritten_bytes.add(bytes.len() as u64);
            }
        }
    }

    async fn new_segment(&self, ledger: &mut Ledger) -> Result<SegmentWriter, RewriteError> {
        let id = SegmentId(ledger.next_segment);
        ledger.next_segment += 1;
        ledger.half_made.push(segment_directory(&self.directory).join(id.file_name()));
        Ok(SegmentWriter::create(&self.segments, id).await?)
    }

    /// Step 2. Returns the snapshot's number.
    async fn write_snapshot(&self, ledger: &mut Ledger) -> Result<u64, RewriteError> {
        let id = ledger.next_snapshot;
        ledger.next_snapshot += 1;
        ledger.half_made.push(snapshot_directory(&self.directory).join(snapshot::file_name(id)));
        let mut writer =
            SnapshotWriter::create(&*self.log.door.disk, &snapshot_directory(&self.directory), id).await?;
        let mut newest = 0;
        for lane in Lane::all() {
            let mut bytes = Vec::new();
            let position = {
                let mut core = self.log.core();
                core.state.snapshot_lane(lane, &mut bytes);
                core.position()
            };
            newest = newest.max(position);
            let covered = if defect(Defect::SnapshotMissesDecision) { position + 1 } else { position };
            writer.lane(lane, LogPosition(covered), bytes).await?;
        }
        let bytes = writer.finish().await?;
        self.log.space.snapshot_written(bytes);
        // What a lane has seen must be in the log before the snapshot stands for it.
        self.log.until_durable(newest).await?;
        Ok(id)
    }

    /// Writes down where the log ends, after its last frame: what is missing of it later is missed. A start can do without.
    pub async fn end_life(&self, ledger: &mut Ledger, end: LifeEnd) {
        let mut manifest = ledger.manifest.clone();
        manifest.lives.last_mut().expect("a life began").end = Some(end);
        if let Err(error) = self.store(ledger, manifest).await {
            tracing::warn!(%error, "the manifest does not say where the log ended");
        }
    }

    /// Step 3.
    async fn store(&self, ledger: &mut Ledger, manifest: Manifest) -> Result<(), RewriteError> {
        let disk = &*self.log.door.disk;
        for part in [segment_directory(&self.directory), snapshot_directory(&self.directory)] {
            disk.sync_dir(&part).await.map_err(disk_error("syncing a directory"))?;
        }
        let new = self.directory.join(manifest::NEW_NAME);
        if let Err(source) = manifest.write_new(disk, &self.directory).await {
            ledger.half_made.push(new);
            return Err(RewriteError::Disk { what: "writing the manifest".to_owned(), source });
        }
        if let Err(source) = manifest::replace(disk, &self.directory).await {
            ledger.in_doubt = Some(in_doubt(&source));
            return Err(RewriteError::Replace(source));
        }
        ledger.half_made.clear();
        ledger.manifest = manifest;
        Ok(())
    }

    /// Hands files back that no reader holds any more.
    async fn free_pinned(&self) {
        if let Ok(mut ledger) = self.ledger().await {
            self.hand_back(&mut ledger).await;
        }
    }

    async fn hand_back(&self, ledger: &mut Ledger) {
        let space = &self.log.space;
        let is_wanted = |file: &WalFile| {
            let capacity = file.capacity;
            space.can_use(capacity)
                && !space.is_beyond_bound(capacity)
                && !file.spoilt.load(Ordering::Relaxed)
        };
        for file in std::mem::take(&mut ledger.pinned) {
            match Arc::try_unwrap(file) {
                Ok(file) if is_wanted(&file) => space.give_back(file),
                Ok(file) => {
                    space.file_gone(file.capacity);
                    // What stays is removed by the next start.
                    let path = wal_directory(&self.directory).join(wal::file_name(file.slot));
                    let _ = self.log.door.disk.remove(&path).await;
                }
                Err(held) => ledger.pinned.push(held),
            }
        }
        self.log.decide_waiting(&mut self.log.core());
    }

    /// Removes segments in which nothing is alive; false if there is none.
    async fn remove_dead(&self) -> Result<bool, RewriteError> {
        let mut ledger = self.ledger().await?;
        let segments = self.log.archive.segments();
        let dead = segments.iter().filter(|segment| segment.live_bytes == 0).map(|segment| segment.id);
        let dead: Vec<SegmentId> = dead.collect();
        if dead.is_empty() {
            return Ok(false);
        }
        let mut manifest = ledger.manifest.clone();
        manifest.segments.retain(|id| !dead.contains(&SegmentId(*id)));
        self.store(&mut ledger, manifest).await?;
        ledger.forgotten.extend(self.log.archive.remove(&dead));
        self.remove_forgotten(&mut ledger).await?;
        Ok(true)
    }

    /// Does the next merge, if one is due and the disk has room for the copy.
    async fn merge_next(&self) -> Result<bool, RewriteError> {
        let mut ledger = self.ledger().await?;
        let segments = self.log.archive.segments();
        ledger.unreadable.retain(|(_, at)| at.is_none_or(|at| at.elapsed() < READ_AGAIN_AFTER));
        let is_readable = |id| !ledger.unreadable.iter().any(|(unreadable, _)| *unreadable == id);
        let readable = segments.iter().filter(|segment| is_readable(segment.id));
        // Others write to the disk too, and the merge before this one took some.
        let space = &self.log.space;
        space.ask().await;
        let planned = plan_merge(readable.clone(), &self.options, |bytes| space.can_copy(bytes, false));
        let planned = match planned {
            None if space.is_short() => plan_reclaim(readable, |bytes| space.can_copy(bytes, true)),
            planned => planned,
        };
        let Some(ids) = planned else { return Ok(false) };
        self.merge(&mut ledger, &ids).await?;
        Ok(true)
    }

    /// Copies the live extents of some segments into one. That may take seconds: a checkpoint that is due meanwhile goes first,
    /// since appends may wait for it, and a log that is closed does not wait for its end.
    async fn merge(&self, ledger: &mut Ledger, ids: &[SegmentId]) -> Result<(), RewriteError> {
        let segments = self.log.archive.segments();
        let merged = segments.iter().filter(|segment| ids.contains(&segment.id));
        let live_bytes = merged.map(|segment| segment.live_bytes).sum();
        let half_made = ledger.half_made.len();
        let mut writer = self.new_segment(ledger).await?.at_most(live_bytes);
        ledger.merging = ledger.half_made.split_off(half_made);
        let mut merging = Merging::new(self.log.archive.sources(ids));
        let (mut copied, mut emptied) = (None, Vec::new());
        let damaged = |(id, source)| RewriteError::Source { id, source };
        while let Some((segment, extent)) = merging.next().await.map_err(damaged)? {
            let of = extent.partition;
            if self.log_start(of).is_none_or(|log_start| extent.last < log_start) {
                if copied != Some(of) && emptied.last() != Some(&of) {
                    emptied.push(of);
                }
                continue;
            }
            emptied.pop_if(|last| *last == of);
            copied = Some(of);
            let unreadable = |source| RewriteError::Source { id: segment.id, source };
            let bytes = segment.checked_extent(&extent).await.map_err(unreadable)?;
            let table = segment.table(&extent).await.map_err(unreadable)?;
            writer.add(of, &bytes, &table, extent.last).await?;
            self.log.metrics.rewritten_bytes.add(bytes.len() as u64);
            let closed = self.log.core().closed.clone();
            if let Some(reason) = closed {
                self.remove_half_made(ledger).await;
                return Err(EngineError::Closed(reason).into());
            }
            if self.is_due() {
                self.checkpoint_with(ledger).await?;
            }
        }
        // Its segments would be looked upon as if somebody still read them.
        drop(merging);
        let merged = writer.finish().await?;
        let mut manifest = ledger.manifest.clone();
        manifest.segments.retain(|id| !ids.contains(&SegmentId(*id)));
        manifest.segments.push(merged.0.id.0);
        manifest.segments.sort_unstable();
        self.store(ledger, manifest).await?;
        ledger.merging.clear();
        let log_start = |partition| self.log_start(partition);
        ledger.forgotten.extend(self.log.archive.replace(ids, merged, &emptied, log_start));
        self.log.metrics.rewrites.add(1);
        self.remove_forgotten(ledger).await
    }

    /// Removes the files of forgotten segments that no reader holds any more, and what else is to go. What cannot be removed
    /// is tried again in the next round; the error is the first one.
    async fn remove_forgotten(&self, ledger: &mut Ledger) -> Result<(), RewriteError> {
        for segment in std::mem::take(&mut ledger.forgotten) {
            if Arc::strong_count(&segment) > 1 {
                ledger.forgotten.push(segment);
                continue;
            }
            self.segments.close(segment.id);
            ledger.removals.push(segment_directory(&self.directory).join(segment.id.file_name()));
        }
        let mut removed = Ok(());
        for path in std::mem::take(&mut ledger.removals) {
            match self.log.door.disk.remove(&path).await {
                // A repair goes on where a file was missing.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    let failed = disk_error(format!("removing {}", path.display()))(source);
                    ledger.removals.push(path);
                    removed = removed.and(Err(failed));
                }
                Ok(()) => {}
            }
        }
        removed
    }
}

/// Which segments to merge next: one that is more than half dead, or enough of one tier. The disk has room for a copy of
/// so many bytes if it `fits`.
fn plan_merge<'a>(
    segments: impl Iterator<Item = &'a SegmentUse> + Clone,
    options: &RewriteOptions,
    fits: impl Fn(u64) -> bool,
) -> Option<Vec<SegmentId>> {
    let half_dead = segments.clone().find(|segment| {
        segment.live_bytes > 0 && segment.live_bytes * 2 < segment.total_bytes && fits(segment.live_bytes)
    });
    if let Some(segment) = half_dead {
        return Some(vec![segment.id]);
    }
    let is_shared = |segment: &&SegmentUse| {
        segment.total_bytes < options.merged_bytes_max
            && segment.total_bytes / segment.extents.max(1) < options.large_extent_bytes
    };
    let mut tiers: Vec<(u64, Vec<SegmentId>)> = Vec::new();
    for segment in segments.filter(is_shared) {
        let tier = tier_of(segment.live_bytes, options.tier_bytes);
        if tiers.len() <= tier {
            tiers.resize(tier + 1, Default::default());
        }
        let (bytes, ids) = &mut tiers[tier];
        *bytes += segment.live_bytes;
        ids.push(segment.id);
    }
    let due = tiers.into_iter().find(|(bytes, ids)| ids.len() >= MERGE_FAN_IN && fits(*bytes));
    due.map(|(_, ids)| ids)
}

/// While space is short, which segment to copy without what is dead of it: the one that gives back the most for each byte, if
/// that is an eighth of it. It may take what is kept free for a rewrite of the log, since it leaves more behind.
fn plan_reclaim<'a>(
    segments: impl Iterator<Item = &'a SegmentUse>,
    fits: impl Fn(u64) -> bool,
) -> Option<Vec<SegmentId>> {
    let pays = |segment: &&SegmentUse| {
        let (live, total) = (segment.live_bytes, segment.total_bytes);
        live > 0 && live <= total / 8 * 7 && fits(live)
    };
    let live_share =
        |segment: &&SegmentUse| u128::from(segment.live_bytes) * 1_000_000 / u128::from(segment.total_bytes);
    segments.filter(pays).min_by_key(live_share).map(|segment| vec![segment.id])
}

fn tier_of(bytes: u64, lowest: u64) -> usize {
    let mut tier = 0;
    let mut bound = lowest;
    while bytes >= bound {
        tier += 1;
        bound *= MERGE_FAN_IN as u64;
    }
    tier
}

/// An extent's bytes as they were written: the copy gets a checksum of its own, which must not cover damage.
async fn checked(extent: &WalExtent, source: Source, file: &WalFile) -> Result<Bytes, RewriteError> {
    let bytes = match source {
        Source::Memory(bytes) => bytes,
        Source::File(range) => range.file.read_at(range.position, range.len).await?,
    };
    if crc32c(&bytes) == extent.crc {
        return Ok(bytes);
    }
    // Memory may have rotted, and the device be right.
    let name = wal::file_name(file.slot);
    file.file.sync_and_evict().await.map_err(disk_error(format!("reading {name} again")))?;
    let bytes = file.read_at(extent.file_position, extent.len as usize).await?;
    if crc32c(&bytes) == extent.crc {
        tracing::error!(
            file = name,
            position = extent.file_position,
            "memory held other bytes than the disk"
        );
        return Ok(bytes);
    }
    let what = format!("{name} is damaged at byte {}: batches do not check", extent.file_position);
    Err(EngineError::Read(what.into()).into())
}

/// The batches of an extent of the log, whose bytes are `bytes`.
fn entries_of(extent: &WalExtent, bytes: &[u8]) -> Vec<TableEntry> {
    let entry = |at: BatchAt| TableEntry {
        base_offset: at.base_offset,
        position: at.position as u32,
        append_ms: at.append_ms + if defect(Defect::RewriteMovesTime) { 1000 } else { 0 },
        max_timestamp_ms: batch::max_timestamp(&bytes[at.position..]),
    };
    extent.batches().map(entry).collect()
}

/// The batches of an extent that stays where it is: its bytes are only read where it holds several.
async fn entries_where_it_stands(
    wal: &Arc<WalFile>,
    extent: &WalExtent,
) -> Result<Vec<TableEntry>, RewriteError> {
    let mut batches = extent.batches();
    match (batches.next(), batches.next()) {
        (Some(only), None) => Ok(vec![TableEntry {
            base_offset: only.base_offset,
            position: 0,
            append_ms: only.append_ms,
            max_timestamp_ms: extent.max_timestamp_ms,
        }]),
        _ => {
            let (position, len) = (extent.file_position, extent.len as usize);
            let source = Source::File(FileRange { file: wal.clone(), position, len });
            let bytes = checked(extent, source, wal).await?;
            Ok(entries_of(extent, &bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(id: u64, total_bytes: u64, live_bytes: u64, extents: u64) -> SegmentUse {
        SegmentUse { id: SegmentId(id), total_bytes, live_bytes, extents }
    }

    fn plan(segments: &[SegmentUse]) -> Option<Vec<SegmentId>> {
        plan_merge(segments.iter(), &RewriteOptions::default(), |_| true)
    }

    #[test]
    fn four_small_segments_of_a_tier_merge_and_large_extents_stay() {
        let small = |id| segment(id, 1 << 20, 1 << 20, 100);
        assert_eq!(plan(&[small(1), small(2), small(3)]), None);
        let large = segment(9, 64 << 20, 64 << 20, 16);
        let planned = plan(&[small(1), small(2), large, small(3), small(4)]);
        assert_eq!(planned, Some(vec![SegmentId(1), SegmentId(2), SegmentId(3), SegmentId(4)]));
        assert_eq!(plan(&[large; 8]), None);
    }

    #[test]
    fn a_segment_that_is_mostly_dead_is_copied_alone_and_a_dead_one_is_not() {
        assert_eq!(plan(&[segment(1, 100, 49, 1)]), Some(vec![SegmentId(1)]));
        assert_eq!(plan(&[segment(1, 100, 50, 1)]), None);
        assert_eq!(plan(&[segment(1, 100, 0, 1)]), None);
    }

    #[test]
    fn only_what_the_disk_has_room_for_is_copied() {
        let segments = [segment(1, 1000, 400, 1), segment(2, 300, 100, 1)];
        let fits =
            |most: u64| plan_merge(segments.iter(), &RewriteOptions::default(), move |bytes| bytes <= most);
        assert_eq!(fits(400), Some(vec![SegmentId(1)]));
        assert_eq!(fits(399), Some(vec![SegmentId(2)]));
        assert_eq!(fits(99), None);
        let tier = [1, 2, 3, 4].map(|id| segment(id, 100, 100, 1));
        let fits =
            |most: u64| plan_merge(tier.iter(), &RewriteOptions::default(), move |bytes| bytes <= most);
        assert_eq!((fits(399), fits(400).map(|ids| ids.len())), (None, Some(4)));
    }

    #[test]
    fn while_space_is_short_the_segment_that_gives_back_the_most_for_its_copy_is_next() {
        let segments =
            [segment(1, 800, 700, 1), segment(2, 800, 300, 1), segment(3, 80, 20, 1), segment(4, 800, 0, 1)];
        let most = |bytes: u64| plan_reclaim(segments.iter(), move |live| live <= bytes);
        assert_eq!(most(1000), Some(vec![SegmentId(3)]));
        assert_eq!(plan_reclaim(segments[..2].iter(), |_| true), Some(vec![SegmentId(2)]));
        assert_eq!(plan_reclaim(segments[..1].iter(), |_| true), Some(vec![SegmentId(1)]));
        assert_eq!(most(19), None);
        assert_eq!(plan_reclaim([segment(1, 800, 701, 1)].iter(), |_| true), None);
    }

    #[test]
    fn tiers_grow_by_four() {
        assert_eq!([0, 99, 100, 400].map(|bytes| tier_of(bytes, 100)), [0, 0, 1, 2]);
    }
}
