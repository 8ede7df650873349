//! A disk laid over another, for tests and examples: who implements [`DiskOver`] or [`FileOver`] writes only the calls that
//! it watches or changes; all others go through.
//!
//! A disk whose files are to be watched is a [`FilesOver`].

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{Disk, File, Open, Site};
use crate::contract::BoxFuture;

/// A [`Disk`] over another one.
pub trait DiskOver: Send + Sync + Debug {
    /// The disk below.
    fn below(&self) -> &dyn Disk;

    /// See [`Disk`].
    fn open_from(&self, site: Site, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        self.below().open_from(site, path, how)
    }

    /// See [`Disk`].
    fn create_dir_all_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.below().create_dir_all_from(site, path)
    }

    /// See [`Disk`].
    fn list_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<Vec<String>>> {
        self.below().list_from(site, path)
    }

    /// See [`Disk`].
    fn rename_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.below().rename_from(site, from, to)
    }

    /// See [`Disk`].
    fn link_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.below().link_from(site, from, to)
    }

    /// See [`Disk`].
    fn remove_dir_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.below().remove_dir_from(site, path)
    }

    /// See [`Disk`].
    fn remove_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.below().remove_from(site, path)
    }

    /// See [`Disk`].
    fn sync_dir_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.below().sync_dir_from(site, path)
    }

    /// See [`Disk`].
    fn lock_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        self.below().lock_from(site, path)
    }

    /// See [`Disk`].
    fn free_bytes_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<u64>> {
        self.below().free_bytes_from(site, path)
    }
}

impl<T: DiskOver> Disk for T {
    fn open_from(&self, site: Site, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        DiskOver::open_from(self, site, path, how)
    }

    fn create_dir_all_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        DiskOver::create_dir_all_from(self, site, path)
    }

    fn list_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<Vec<String>>> {
        DiskOver::list_from(self, site, path)
    }

    fn rename_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        DiskOver::rename_from(self, site, from, to)
    }

    fn link_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        DiskOver::link_from(self, site, from, to)
    }

    fn remove_dir_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        DiskOver::remove_dir_from(self, site, path)
    }

    fn remove_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        DiskOver::remove_from(self, site, path)
    }

    fn sync_dir_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        DiskOver::sync_dir_from(self, site, path)
    }

    fn lock_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        DiskOver::lock_from(self, site, path)
    }

    fn free_bytes_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<u64>> {
        DiskOver::free_bytes_from(self, site, path)
    }
}

/// A [`File`] over another one.
pub trait FileOver: Send + Sync + Debug {
    /// The file below.
    fn below(&self) -> &dyn File;

    /// See [`File`].
    fn read_at_from(&self, site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        self.below().read_at_from(site, position, len)
    }

    /// See [`File`].
    fn resident(&self, position: u64, len: usize) -> Option<BorrowedFd<'_>> {
        self.below().resident(position, len)
    }

    /// See [`File`].
    fn write_at_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.below().write_at_from(site, position, bytes)
    }

    /// See [`File`].
    fn write_durable_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.below().write_durable_from(site, position, bytes)
    }

    /// See [`File`].
    fn sync_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>> {
        self.below().sync_from(site)
    }

    /// See [`File`].
    fn allocate_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.below().allocate_from(site, len)
    }

    /// See [`File`].
    fn allocate_unwritten_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.below().allocate_unwritten_from(site, len)
    }

    /// See [`File`].
    fn set_len_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.below().set_len_from(site, len)
    }

    /// See [`File`].
    fn sync_and_evict_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>> {
        self.below().sync_and_evict_from(site)
    }

    /// See [`File`].
    fn size_from(&self, site: Site) -> BoxFuture<'_, io::Result<u64>> {
        self.below().size_from(site)
    }
}

impl<T: FileOver> File for T {
    fn read_at_from(&self, site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        FileOver::read_at_from(self, site, position, len)
    }

    fn resident(&self, position: u64, len: usize) -> Option<BorrowedFd<'_>> {
        FileOver::resident(self, position, len)
    }

    fn write_at_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        FileOver::write_at_from(self, site, position, bytes)
    }

    fn write_durable_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        FileOver::write_durable_from(self, site, position, bytes)
    }

    fn sync_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>> {
        FileOver::sync_from(self, site)
    }

    fn allocate_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        FileOver::allocate_from(self, site, len)
    }

    fn allocate_unwritten_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        FileOver::allocate_unwritten_from(self, site, len)
    }

    fn set_len_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        FileOver::set_len_from(self, site, len)
    }

    fn sync_and_evict_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>> {
        FileOver::sync_and_evict_from(self, site)
    }

    fn size_from(&self, site: Site) -> BoxFuture<'_, io::Result<u64>> {
        FileOver::size_from(self, site)
    }
}

/// What lies over a file of this path.
type Over = dyn Fn(&Path, Arc<dyn File>) -> Arc<dyn File> + Send + Sync;

/// A disk over another one whose files are handed out with something over them.
pub struct FilesOver {
    below: Arc<dyn Disk>,
    over: Arc<Over>,
}

impl FilesOver {
    /// Hands out what `over` (path, the file below) makes of each file that is opened.
    pub fn new(
        below: Arc<dyn Disk>,
        over: impl Fn(&Path, Arc<dyn File>) -> Arc<dyn File> + Send + Sync + 'static,
    ) -> Self {
        FilesOver { below, over: Arc::new(over) }
    }

    /// Asks `on_read` (path, position, bytes wanted) before each read of a file; its error is the read's.
    pub fn with_reads_watched(
        below: Arc<dyn Disk>,
        on_read: impl Fn(&Path, u64, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let on_read: Arc<OnRead> = Arc::new(on_read);
        FilesOver::new(below, move |path, below| {
            Arc::new(WatchedFile { below, path: path.to_path_buf(), on_read: on_read.clone() })
        })
    }
}

impl Debug for FilesOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilesOver").field("below", &self.below).finish_non_exhaustive()
    }
}

impl DiskOver for FilesOver {
    fn below(&self) -> &dyn Disk {
        &*self.below
    }

    fn open_from(&self, site: Site, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        let opened = self.below.open_from(site, path, how);
        let path = path.to_path_buf();
        Box::pin(async move { Ok((self.over)(&path, opened.await?)) })
    }
}

/// What is asked before a read: the file's path, the position and the bytes wanted. Its error is the read's.
type OnRead = dyn Fn(&Path, u64, usize) -> io::Result<()> + Send + Sync;

struct WatchedFile {
    below: Arc<dyn File>,
    path: PathBuf,
    on_read: Arc<OnRead>,
}

impl Debug for WatchedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileOver for WatchedFile {
    fn below(&self) -> &dyn File {
        &*self.below
    }

    fn read_at_from(&self, site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        match (self.on_read)(&self.path, position, len) {
            Ok(()) => self.below.read_at_from(site, position, len),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
}
