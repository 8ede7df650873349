//! What a data directory is, and what a start makes of it: reads the manifest and the snapshot, replays the write-ahead log
//! behind it ([`walk`](super::walk)), opens the segments, begins a life.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::archive::Archive;
use super::frame::{Frame, Life};
use super::index::Index;
use super::manifest::{self, LifeEnd, LifeEntry, Manifest, ManifestError};
use super::segment::{self, Handles, Segment, SegmentError, SegmentId};
use super::snapshot::{self, SnapshotError};
use super::space::FoundFiles;
use super::wal::{self, WalFile, WalHeader};
use super::walk::{Covered, Purpose, Visit, Walked, walk};
use crate::defects::{Defect, defect};
use crate::door::{Disk, Door, Open};
use crate::state::{CorruptState, Decision, Lane, State};

/// Why a data directory cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another process", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// It holds something else.
    #[error("{} is not a Kolk data directory: it holds '{found}'; choose an empty one", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// A name in it that is not ours.
        found: String,
    },
    /// A newer version wrote it.
    #[error(
        "{} has data format {found}, this version reads up to {supported}: use the newer version that wrote it",
        directory.display()
    )]
    Newer {
        /// The directory.
        directory: PathBuf,
        /// Its format.
        found: u32,
        /// What is known here.
        supported: u32,
    },
    /// A build from before the first release wrote it.
    #[error(
        "{} has data format {found}, of builds before the first release, which no version reads: begin with an empty directory",
        directory.display()
    )]
    Unreleased {
        /// The directory.
        directory: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It does not check.
    #[error("{} is damaged at byte {position}: {what}. {advice}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        position: u64,
        /// What was found.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// The device does not do what it is there for.
    #[error(
        "{}: {source}. The device does not read or write it: copy the directory to one that works, as far as it can be read. `kolk \
         repair` on the copy or here says which bytes are missing, and what a start without them would lose",
        path.display()
    )]
    Device {
        /// What was touched.
        path: PathBuf,
        /// The disk's error.
        source: io::Error,
    },
    /// The disk said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// The disk's error.
        source: io::Error,
    },
}

/// What to do about damage.
pub(super) const ADVICE: &str = "Nothing was changed. Restore the directory from a copy, or run `kolk repair` on it to see what a \
                      repair would lose";
/// Where the manifest does not check, nor its copy, without which frames cannot be told from what was in their blocks before.
const NO_REPAIR: &str = "Nothing was changed. Restore the directory from a copy: without its manifest nothing in it can be judged";

/// Turns a disk's error into an [`OpenError`] that names the path.
pub(super) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> OpenError + '_ {
    /// The same number wherever there is one.
    const EIO: i32 = 5;
    move |source| {
        let path = path.to_path_buf();
        if source.raw_os_error() == Some(EIO) {
            OpenError::Device { path, source }
        } else {
            OpenError::Io { path, source }
        }
    }
}

/// A directory that was read whole and is ours.
pub(super) struct Recovered {
    pub manifest: Manifest,
    pub state: State,
    pub last_frame: u64,
    pub last_crc: u32,
    pub next_sequence: u64,
    pub files: FoundFiles,
}

impl Recovered {
    /// Where the log ends.
    pub fn end(&self) -> LifeEnd {
        LifeEnd { frame: self.last_frame, crc: self.last_crc, file: self.next_sequence - 1 }
    }
}

/// Where the parts of a data directory are.
pub(super) fn wal_directory(directory: &Path) -> PathBuf {
    directory.join("wal")
}

/// Where segments are.
pub(super) fn segment_directory(directory: &Path) -> PathBuf {
    directory.join("segments")
}

/// Where snapshots are.
pub(super) fn snapshot_directory(directory: &Path) -> PathBuf {
    directory.join("snapshots")
}

/// Names that may stand in a data directory.
const KNOWN: [&str; 9] = [
    "lock",
    manifest::NAME,
    manifest::NEW_NAME,
    manifest::COPY_NAME,
    "wal",
    "segments",
    "snapshots",
    DAMAGED,
    "lost+found",
];

/// Far more than any manifest has.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// Where a repair puts files that it cannot keep. Nothing reads them.
pub(super) const DAMAGED: &str = "damaged";

/// Reads the manifest; `None` if the directory is empty or its first start was cut short.
pub(super) async fn read_manifest(disk: &dyn Disk, directory: &Path) -> Result<Option<Manifest>, OpenError> {
    let path = directory.join(manifest::NAME);
    let names = disk.list(directory).await.map_err(io_at(directory))?;
    if !names.iter().any(|name| name == manifest::NAME) {
        if let Some(found) = names.into_iter().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(OpenError::Foreign { directory: directory.to_path_buf(), found });
        }
        for part in [wal_directory(directory), segment_directory(directory), snapshot_directory(directory)] {
            match disk.list(&part).await {
                Ok(files) if files.is_empty() => {}
                // The manifest is durable before the first of them is made.
                Ok(_) => {
                    return Err(OpenError::Damaged {
                        file: path,
                        position: 0,
                        what: format!("the manifest is missing beside {}", part.display()),
                        advice: advice(disk, directory).await,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(io_at(&part)(source)),
            }
        }
        return Ok(None);
    }
    match decode_file(disk, &path).await.map_err(io_at(&path))? {
        Ok(manifest) => Ok(Some(manifest)),
        Err(ManifestError::Newer(found)) => Err(OpenError::Newer {
            directory: directory.to_path_buf(),
            found,
            supported: manifest::DATA_FORMAT,
        }),
        Err(ManifestError::Older(found)) => {
            Err(OpenError::Unreleased { directory: directory.to_path_buf(), found })
        }
        Err(ManifestError::Damaged(what)) => Err(OpenError::Damaged {
            file: path,
            position: 0,
            what: what.into(),
            advice: advice(disk, directory).await,
        }),
    }
}

async fn decode_file(disk: &dyn Disk, path: &Path) -> io::Result<Result<Manifest, ManifestError>> {
    let file = disk.open(path, Open::Read).await?;
    let size = file.size().await?;
    if size > MANIFEST_BYTES_MAX {
        return Ok(Err(ManifestError::Damaged("it is too large for a manifest")));
    }
    Ok(Manifest::decode(&file.read_at(0, size as usize).await?))
}

async fn read_copy(disk: &dyn Disk, directory: &Path) -> Option<Manifest> {
    decode_file(disk, &directory.join(manifest::COPY_NAME)).await.ok()?.ok()
}

/// What to do about a manifest that does not check.
async fn advice(disk: &dyn Disk, directory: &Path) -> &'static str {
    if read_copy(disk, directory).await.is_some() { ADVICE } else { NO_REPAIR }
}

/// [`read_manifest`] of who looks at a directory and does not serve it: where the manifest does not check or cannot be read its
/// copy stands for it, and what is wrong is told.
pub(super) async fn read_manifest_or_copy(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<(Manifest, Option<String>)>, OpenError> {
    let error = match read_manifest(disk, directory).await {
        Ok(found) => return Ok(found.map(|manifest| (manifest, None))),
        Err(error) => error,
    };
    let path = directory.join(manifest::NAME);
    let what = match &error {
        OpenError::Damaged { what, .. } => format!("{} is damaged at byte 0: {what}", path.display()),
        // Or the copy would be of that format, too.
        OpenError::Newer { found, .. } | OpenError::Unreleased { found, .. } => {
            format!("{} is damaged at byte 0: it says that the data format is {found}", path.display())
        }
        OpenError::Device { path: of, source } if *of == path => format!("{}: {source}", path.display()),
        _ => return Err(error),
    };
    let copy = read_copy(disk, directory).await.ok_or(error)?;
    Ok(Some((copy, Some(what))))
}

/// Takes the directory for this process. An engine that is just ending, here or in the process before this one,
/// may still be writing: it gets a moment.
pub(super) async fn lock(disk: &dyn Disk, directory: &Path) -> Result<Box<dyn Send + Sync>, OpenError> {
    let path = directory.join("lock");
    for _ in 0..LOCK_TRIES {
        match disk.lock(&path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(LOCK_INTERVAL).await;
            }
            answer => return answer.map_err(|source| OpenError::Io { path, source }),
        }
    }
    Err(OpenError::Locked { directory: directory.to_path_buf() })
}

const LOCK_TRIES: u32 = 25;
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Removes what a crash left half-made, and makes what is missing.
pub(super) async fn prepare_directory(disk: &dyn Disk, directory: &Path) -> Result<(), OpenError> {
    for part in [wal_directory(directory), segment_directory(directory), snapshot_directory(directory)] {
        disk.create_dir_all(&part).await.map_err(io_at(&part))?;
    }
    // A log file whose making was cut short by the end of the process, not of the machine, is named by the page cache
    // alone. It is used as any other: then a power cut must not take it away.
    let wal = wal_directory(directory);
    disk.sync_dir(&wal).await.map_err(io_at(&wal))?;
    disk.sync_dir(directory).await.map_err(io_at(directory))
}

/// Removes segments and snapshots that the manifest does not name: a crash left them behind.
pub(super) async fn remove_leftovers(
    disk: &dyn Disk,
    directory: &Path,
    manifest: &Manifest,
) -> Result<(), OpenError> {
    let segments = manifest.segments.iter().map(|id| SegmentId(*id).file_name()).collect::<Vec<_>>();
    let snapshots = manifest.snapshot.iter().map(|id| snapshot::file_name(*id)).collect::<Vec<_>>();
    for (part, named) in
        [(segment_directory(directory), segments), (snapshot_directory(directory), snapshots)]
    {
        for name in disk.list(&part).await.map_err(io_at(&part))? {
            if !named.contains(&name) {
                disk.remove(&part.join(&name)).await.map_err(io_at(&part.join(&name)))?;
            }
        }
    }
    Ok(())
}

/// Loads the manifest's snapshot into a new state and shows its partitions to readers.
pub(super) async fn load_snapshot<'a>(
    disk: &dyn Disk,
    directory: &Path,
    manifest: &Manifest,
    mut state: State,
    index: &'a Index,
) -> Result<Replayed<'a>, OpenError> {
    let mut covered = Box::new([0; Lane::COUNT]);
    if let Some(id) = manifest.snapshot {
        let part = snapshot_directory(directory);
        let positions = snapshot::load(disk, &part, id, &mut state).await;
        let positions = positions.map_err(|error| match error {
            SnapshotError::Io { source, .. } => of_named(part.join(snapshot::file_name(id)), source),
            SnapshotError::Damaged { position, what, .. } => OpenError::Damaged {
                file: part.join(snapshot::file_name(id)),
                position,
                what,
                advice: ADVICE,
            },
        })?;
        for (covered, position) in covered.iter_mut().zip(positions) {
            *covered = position.0;
        }
        show_partitions(&state, index);
    }
    Ok(Replayed { state, index, covered })
}

/// Why a file that the manifest names cannot be opened.
fn of_named(path: PathBuf, source: io::Error) -> OpenError {
    if source.kind() == io::ErrorKind::NotFound {
        let what = "the manifest names it, and it is not there".to_owned();
        return OpenError::Damaged { file: path, position: 0, what, advice: ADVICE };
    }
    io_at(&path)(source)
}

/// Shows the partitions of a state to readers.
pub(super) fn show_partitions(state: &State, index: &Index) {
    let mut publish = Vec::new();
    for topic in state.topics() {
        topic.partition_ids().for_each(|id| super::publish_tuple(id, state, &mut publish));
    }
    let mut index = index.lock();
    publish.into_iter().for_each(|change| index.apply(change, &mut Vec::new()));
}

/// Opens the manifest's segments; what the log trimmed or deleted is dead.
pub(super) async fn open_segments(
    disk: Arc<dyn Disk>,
    directory: &Path,
    recovered: &Recovered,
) -> Result<(Arc<Handles>, Arc<Archive>), OpenError> {
    let part = segment_directory(directory);
    let (handles, archive) = (Handles::new(disk, &part), Arc::new(Archive::default()));
    for id in recovered.manifest.segments.iter().copied().map(SegmentId) {
        let path = part.join(id.file_name());
        let segment = Segment::open(&handles, id).await.map_err(|error| match error {
            SegmentError::Io { source, .. } => of_named(path.clone(), source),
            SegmentError::Damaged { position, what, .. } => {
                OpenError::Damaged { file: path.clone(), position, what: what.into(), advice: ADVICE }
            }
        })?;
        let log_start = |partition| recovered.state.partition(partition).map(|found| found.log_start);
        archive.load(segment, log_start);
    }
    Ok((handles, archive))
}

/// A start on an empty directory.
pub(super) fn fresh(door: &Door, state: State) -> Recovered {
    let mut secret = [[0; 16]; 2];
    secret.iter_mut().for_each(|half| door.random.fill(half));
    let manifest = Manifest {
        cluster_id: door.random.uuid().as_u128(),
        secret: secret.map(u128::from_be_bytes),
        lives: Vec::new(),
        wal_from: 1,
        segments: Vec::new(),
        snapshot: None,
    };
    Recovered {
        manifest,
        state,
        last_frame: 0,
        last_crc: 0,
        next_sequence: 1,
        files: FoundFiles { next_slot: 1, ..Default::default() },
    }
}

/// Begins a life behind what was recovered; the caller stores the manifest before the life's first write.
pub(super) fn begin_life(door: &Door, recovered: &mut Recovered) -> Life {
    let mut secret = [0; 16];
    door.random.fill(&mut secret);
    let life = Life { id: door.random.next_u64(), secret };
    let end = recovered.end();
    let lives = &mut recovered.manifest.lives;
    if let Some(last) = lives.last_mut() {
        last.end.get_or_insert(end);
    }
    lives.push(LifeEntry { life, first_frame: recovered.last_frame + 1, end: None });
    life
}

/// Takes files that became segments out of the spare ones: a crash came before their old name was removed. With them go those of which
/// that cannot be read: nothing that counts is in them, and a later start might need to read them. Gives back their bytes.
async fn drop_promoted(
    disk: &dyn Disk,
    directory: &Path,
    unused: &mut Vec<WalFile>,
) -> Result<u64, OpenError> {
    let mut bytes = 0;
    for file in std::mem::take(unused) {
        let path = wal_directory(directory).join(wal::file_name(file.slot));
        let is_to_go = match segment::has_trailer(&*file.file).await {
            Ok(is_promoted) => is_promoted,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a spare file of the log cannot be read; it is removed");
                true
            }
        };
        if is_to_go {
            disk.remove(&path).await.map_err(io_at(&path))?;
            bytes += file.capacity;
        } else {
            unused.push(file);
        }
    }
    Ok(bytes)
}

/// Replays the log over a snapshot's state.
pub(super) async fn replay(
    disk: &dyn Disk,
    directory: &Path,
    manifest: Manifest,
    mut replayed: Replayed<'_>,
) -> Result<Recovered, OpenError> {
    let walked = walk(disk, directory, &manifest, Purpose::Serve, &mut replayed).await?;
    recovered(disk, directory, manifest, walked, replayed.state).await
}

/// What a walk that was replayed into `state` comes to.
pub(super) async fn recovered(
    disk: &dyn Disk,
    directory: &Path,
    mut manifest: Manifest,
    mut walked: Walked,
    state: State,
) -> Result<Recovered, OpenError> {
    walked.files.bytes -= drop_promoted(disk, directory, &mut walked.files.spare).await?;
    let open = manifest.lives.last().map(|entry| entry.life.id);
    manifest.lives.retain(|entry| walked.lives.contains(&entry.life.id) || Some(entry.life.id) == open);
    Ok(Recovered {
        manifest,
        state,
        last_frame: walked.next.number - 1,
        last_crc: walked.next.before_crc,
        next_sequence: walked.next_sequence,
        files: walked.files,
    })
}

/// Where replay puts what it reads.
pub(super) struct Replayed<'a> {
    pub state: State,
    pub index: &'a Index,
    /// Per lane, the frame up to which the snapshot has it.
    pub covered: Box<[u64; Lane::COUNT]>,
}

impl Visit for Replayed<'_> {
    fn file(&mut self, header: &WalHeader, file: &WalFile, _path: &Path) {
        let file = WalFile::new(file.slot, file.capacity, file.file.clone());
        file.used.store(file.capacity, Ordering::Relaxed);
        self.index.lock().files.begin(header.sequence, Arc::new(file));
    }

    fn covered(&self) -> Option<Covered> {
        Some(Covered::of(self.covered.iter().copied()))
    }

    fn torn(&mut self, path: &Path, position: u64, bytes: u64, frame: u64) {
        tracing::warn!(
            file = %path.display(), position, bytes, frame,
            "the log ends in a torn frame, which was never acknowledged; it is cut off"
        );
    }

    fn frame(&mut self, frame: &Frame, header: &WalHeader, position: u64) -> Result<(), CorruptState> {
        let number = frame.id.number;
        let Covered { least, most } = Covered::of(self.covered.iter().copied());
        let mut rest = &frame.decisions[..];
        let mut publish = Vec::new();
        for _ in 0..frame.decision_count {
            let decision = Decision::decode(&mut rest)?;
            if is_left_out(&decision) {
                continue;
            }
            if number > most {
                self.state.apply(&decision);
            } else if number > least {
                for lane in decision.lanes().iter() {
                    if number > self.covered[usize::from(lane.0)] {
                        self.state.apply_in_lane(&decision, lane);
                    }
                }
            }
            super::publish_of(&decision, &self.state, &mut publish);
        }
        let mut index = self.index.lock();
        let mut nobody = Vec::new();
        for change in publish {
            index.apply(change, &mut nobody);
        }
        for extent in &frame.extents {
            index.add(number, header.sequence, position, extent.clone(), &mut nobody);
        }
        Ok(())
    }
}

/// Whether a planted defect has replay forget this.
fn is_left_out(decision: &Decision) -> bool {
    match decision {
        Decision::CommitOffsets { .. } => defect(Defect::CommittedOffsetForgotten),
        Decision::TakeProducerIds { .. } => defect(Defect::ProducerIdTwice),
        Decision::AlterTopic { .. } => defect(Defect::ConfigForgotten),
        Decision::DeleteTopic { .. } => defect(Defect::DeletionForgotten),
        Decision::Trim { .. } => defect(Defect::TrimForgotten),
        _ => false,
    }
}
