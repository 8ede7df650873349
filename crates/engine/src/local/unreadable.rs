//! What a device does not read any more, for a repair: each place of it is named, or left out.
//!
//! A [`Patient`] disk reads again what failed, block by block: an error that passes costs nothing. What fails again and again ends
//! the reading with its range, or, if that is asked for, counts as zeros and is remembered as a [`Hole`]: checksums then tell,
//! as they do of any other damage, what is still good around it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};

use crate::contract::BoxFuture;
use crate::door::over::{DiskOver, FileOver};
use crate::door::{ALIGNMENT, Disk, File, Open, Site};

/// How often a block is read before it counts as unreadable.
const TRIES: u32 = 3;

/// Bytes of a file that cannot be read: the first one, and one past the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub path: PathBuf,
    pub from: u64,
    pub to: u64,
}

impl std::fmt::Display for Hole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: bytes {} to {} cannot be read", self.path.display(), self.from, self.to - 1)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Patient {
    below: Arc<dyn Disk>,
    /// `None`: the first one is an error.
    holes: Option<Arc<Mutex<Vec<Hole>>>>,
}

impl Patient {
    /// With `drop_unreadable` what cannot be read is zeros.
    pub fn new(below: Arc<dyn Disk>, drop_unreadable: bool) -> Self {
        Patient { below, holes: drop_unreadable.then(Arc::default) }
    }

    /// What could not be read until now, in the order in which it was met.
    pub fn holes(&self) -> Vec<Hole> {
        self.holes.as_ref().map(|holes| lock(holes).clone()).unwrap_or_default()
    }
}

fn lock(holes: &Mutex<Vec<Hole>>) -> std::sync::MutexGuard<'_, Vec<Hole>> {
    holes.lock().expect("nothing panics under this lock")
}

impl DiskOver for Patient {
    fn below(&self) -> &dyn Disk {
        &*self.below
    }

    fn open_from(&self, site: Site, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        let opened = self.below.open_from(site, path, how);
        let (path, holes) = (path.to_path_buf(), self.holes.clone());
        Box::pin(
            async move { Ok(Arc::new(PatientFile { below: opened.await?, path, holes }) as Arc<dyn File>) },
        )
    }
}

#[derive(Debug)]
struct PatientFile {
    below: Arc<dyn File>,
    path: PathBuf,
    holes: Option<Arc<Mutex<Vec<Hole>>>>,
}

impl PatientFile {
    async fn read_block(&self, site: Site, position: u64, len: usize) -> io::Result<Bytes> {
        let mut read = self.below.read_at_from(site, position, len).await;
        for _ in 1..TRIES {
            if read.is_ok() {
                break;
            }
            read = self.below.read_at_from(site, position, len).await;
        }
        read
    }

    /// Remembers blocks; those that follow one another are one hole.
    fn remember(&self, holes: &Mutex<Vec<Hole>>, from: u64, to: u64) {
        let mut holes = lock(holes);
        if holes.iter().any(|hole| hole.path == self.path && hole.from <= from && to <= hole.to) {
            return;
        }
        match holes.iter_mut().find(|hole| hole.path == self.path && hole.to == from) {
            Some(before) => before.to = to,
            None => holes.push(Hole { path: self.path.clone(), from, to }),
        }
    }
}

impl FileOver for PatientFile {
    fn below(&self) -> &dyn File {
        &*self.below
    }

    fn read_at_from(&self, site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let failed = match self.below.read_at_from(site, position, len).await {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => error,
                read => return read,
            };
            tracing::warn!(file = %self.path.display(), position, len, error = %failed, "reading it block by block");
            let mut bytes = BytesMut::with_capacity(len);
            while bytes.len() < len {
                let at = position + bytes.len() as u64;
                let (from, to) = (at - at % ALIGNMENT as u64, (at + 1).next_multiple_of(ALIGNMENT as u64));
                let block_len = (to.min(position + len as u64) - at) as usize;
                match (self.read_block(site, at, block_len).await, &self.holes) {
                    (Ok(block), _) => bytes.extend_from_slice(&block),
                    (Err(_), Some(holes)) => {
                        self.remember(holes, from, to);
                        bytes.resize(bytes.len() + block_len, 0);
                    }
                    (Err(error), None) => {
                        let text = format!(
                            "bytes {from} to {} cannot be read ({error}). Copy the directory to a device that works, as far as \
                             it can be read, or let `kolk repair --drop-unreadable` go on without what lies there",
                            to - 1
                        );
                        return Err(io::Error::new(error.kind(), text));
                    }
                }
            }
            Ok(bytes.freeze())
        })
    }
}
