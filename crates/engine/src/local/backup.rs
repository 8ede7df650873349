//! A consistent copy of a running log: `kolk backup`.
//!
//! ```text
//!  checkpoint ─► pin: manifest, segments, snapshot, log files up to the last durable frame     (a moment's lock)
//!                 └─► copy the log files, let go of them ─► copy the snapshot, the segments
//!                      └─► manifest last ─► DIR.partial becomes DIR
//! ```
//! The copy is what a stop at the moment of the pin would have left: everything that was acknowledged before is in it, and its
//! manifest says where it ends. Writes and the rewrite go on meanwhile: what is pinned stays readable although the
//! rewrite replaces it (its space comes back once the copy lets go), and the checkpoint before keeps the pinned part of
//! the write-ahead log small. A few hundred KiB are in memory at a time.
//!
//! The copy is under `DIR.partial` until it is whole and synced; a copy that fails is removed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LocalEngine;
use super::manifest::Manifest;
use super::recovery::{segment_directory, snapshot_directory, wal_directory};
use super::segment::{Segment, SegmentId};
use super::wal::{self, WalFile};
use super::{rewrite, snapshot};
use crate::defects::{Defect, defect};
use crate::door::{Disk, File, Open};

/// Bytes in memory at a time.
const CHUNK_BYTES: u64 = 256 << 10;
/// So much is written before it is synced: the disk never has minutes of our bytes in front of a commit.
const SYNC_BYTES: u64 = 8 << 20;

/// A backup that is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Files that were copied.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// One at a time.
    #[error("a backup is being made already")]
    Busy,
    /// The log is closed or failed.
    #[error("the log takes nothing any more: {0}")]
    Closed(Arc<str>),
    /// The directory is there.
    #[error("{} is there already; a backup makes its own directory", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
    },
    /// A backup to this directory broke off with its process.
    #[error("{} is left of a backup that broke off; remove it first", partial.display())]
    LeftOver {
        /// What is left.
        partial: PathBuf,
    },
    /// The checkpoint before it failed.
    #[error("the log could not be prepared: {0}")]
    Checkpoint(String),
    /// Reading the log or writing the copy failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// The disk's error.
        source: std::io::Error,
    },
    /// It broke off, and what it wrote could not be removed.
    #[error("{error}; {} is left of it, remove it", partial.display())]
    NotRemoved {
        /// Why it broke off.
        error: Box<BackupError>,
        /// What is left.
        partial: PathBuf,
    },
}

impl BackupError {
    /// Whether it was refused before anything was done.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            BackupError::Busy
                | BackupError::Closed(_)
                | BackupError::Exists { .. }
                | BackupError::LeftOver { .. }
        )
    }
}

/// What a copy consists of; all of it stays as it is while this is held.
pub(super) struct Pinned {
    pub manifest: Manifest,
    /// Files of the log in order, each with the bytes that count.
    pub wal: Vec<(Arc<WalFile>, u64)>,
    pub snapshot: Option<(u64, Arc<dyn File>)>,
    pub segments: Vec<(SegmentId, Arc<Segment>)>,
}

fn io_at(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError + '_ {
    move |source| BackupError::Io { path: path.to_path_buf(), source }
}

/// The name of a copy that is not whole yet.
fn partial_of(directory: &Path) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

impl LocalEngine {
    /// Copies everything that is durable now into `directory`, which must not be there; its parents are made. A start
    /// on the copy has everything that was acknowledged before this was called. Writes go on meanwhile.
    ///
    /// Dropping the future half-way leaves `directory` with `.partial` behind its name.
    pub async fn backup(&self, directory: &Path) -> Result<BackupReport, BackupError> {
        let Ok(_one) = self.backing_up.try_lock() else { return Err(BackupError::Busy) };
        let result = self.backup_once(directory).await;
        let metrics = &self.log.metrics;
        if result.is_ok() {
            metrics.backups.add(1)
        } else {
            metrics.backups_failed.add(1)
        }
        result
    }

    async fn backup_once(&self, directory: &Path) -> Result<BackupReport, BackupError> {
        let disk = &*self.log.door.disk;
        self.still_open()?;
        let is_there = |path: PathBuf| async move {
            let listed = disk.list(&path).await;
            !listed.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        if is_there(directory.to_path_buf()).await {
            return Err(BackupError::Exists { directory: directory.to_path_buf() });
        }
        let partial = partial_of(directory);
        if is_there(partial.clone()).await {
            return Err(BackupError::LeftOver { partial });
        }
        if let Err(error) = self.rewriter.checkpoint().await {
            let reason = error.to_string();
            self.rewriter.is_over(error).await;
            return Err(BackupError::Checkpoint(reason));
        }
        let pinned =
            self.rewriter.pin().await.map_err(io_at(&snapshot_directory(&self.rewriter.directory)))?;
        match self.copy(pinned, &partial, directory).await {
            Ok(report) => Ok(report),
            Err(error) => match remove(disk, &partial).await {
                Ok(()) => Err(error),
                Err(_) => Err(BackupError::NotRemoved { error: Box::new(error), partial }),
            },
        }
    }

    fn still_open(&self) -> Result<(), BackupError> {
        match &self.log.core().closed {
            Some(reason) => Err(BackupError::Closed(reason.clone())),
            None => Ok(()),
        }
    }

    async fn copy(
        &self,
        pinned: Pinned,
        partial: &Path,
        directory: &Path,
    ) -> Result<BackupReport, BackupError> {
        let disk = &*self.log.door.disk;
        let mut report = BackupReport::default();
        let parts = [wal_directory(partial), snapshot_directory(partial), segment_directory(partial)];
        for part in &parts {
            disk.create_dir_all(part).await.map_err(io_at(part))?;
        }
        // The log's own files first: the rewrite wants them back.
        let mut wal = pinned.wal;
        if defect(Defect::BackupMissesFile) {
            wal.pop();
        }
        for (file, len) in wal {
            let to = parts[0].join(wal::file_name(file.slot));
            self.copy_file(&*file.file, len, &to, &mut report).await?;
        }
        if let Some((id, file)) = pinned.snapshot {
            let to = parts[1].join(snapshot::file_name(id));
            let len = file.size().await.map_err(io_at(&to))?;
            self.copy_file(&*file, len, &to, &mut report).await?;
        }
        for (id, segment) in pinned.segments {
            let to = parts[2].join(id.file_name());
            let file = segment.file().await.map_err(io_at(&to))?;
            let len = file.size().await.map_err(io_at(&to))?;
            self.copy_file(&*file, len, &to, &mut report).await?;
        }
        for part in &parts {
            disk.sync_dir(part).await.map_err(io_at(part))?;
        }
        pinned.manifest.store(disk, partial).await.map_err(io_at(partial))?;
        report.files += 1;
        disk.rename(partial, directory).await.map_err(io_at(directory))?;
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        disk.sync_dir(parent).await.map_err(io_at(parent))?;
        Ok(report)
    }

    async fn copy_file(
        &self,
        file: &dyn File,
        len: u64,
        to: &Path,
        report: &mut BackupReport,
    ) -> Result<(), BackupError> {
        let copy = self.log.door.disk.open(to, Open::Write).await.map_err(io_at(to))?;
        copy.set_len(len).await.map_err(io_at(to))?;
        let mut position = 0;
        while position < len {
            self.still_open()?;
            let count = CHUNK_BYTES.min(len - position);
            let bytes = file.read_at(position, count as usize).await.map_err(io_at(to))?;
            // What is not written reads as zeros and takes no space.
            if bytes.iter().any(|byte| *byte != 0) {
                copy.write_at(position, bytes).await.map_err(io_at(to))?;
            }
            position += count;
            if position.is_multiple_of(SYNC_BYTES) {
                copy.sync().await.map_err(io_at(to))?;
            }
        }
        copy.sync().await.map_err(io_at(to))?;
        report.files += 1;
        report.bytes += len;
        Ok(())
    }
}

/// Removes a copy that is not whole.
async fn remove(disk: &dyn Disk, partial: &Path) -> std::io::Result<()> {
    for part in [wal_directory(partial), snapshot_directory(partial), segment_directory(partial)] {
        match disk.list(&part).await {
            Ok(names) => {
                for name in names {
                    disk.remove(&part.join(name)).await?;
                }
                disk.remove_dir(&part).await?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    match disk.list(partial).await {
        Ok(names) => {
            for name in names {
                disk.remove(&partial.join(name)).await?;
            }
            disk.remove_dir(partial).await
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

impl rewrite::Rewriter {
    /// Everything that a copy of the log at this moment consists of.
    async fn pin(&self) -> std::io::Result<Pinned> {
        // While the ledger is held nothing is removed, freed or replaced.
        let ledger = self.ledger().await.map_err(std::io::Error::other)?;
        let mut manifest = ledger.manifest().clone();
        let snapshot = match manifest.snapshot {
            Some(id) => {
                let path = snapshot_directory(&self.directory).join(snapshot::file_name(id));
                Some((id, self.log.door.disk.open(&path, Open::Read).await?))
            }
            None => None,
        };
        let segments = self.log.archive.pinned();
        let wal = {
            let index = self.log.index.lock();
            // What a copy of the copy lacks at its end is missed.
            manifest.lives.last_mut().expect("a life began").end = Some(index.end.life);
            index.durable_files()
        };
        drop(ledger);
        Ok(Pinned { manifest, wal, snapshot, segments })
    }
}
