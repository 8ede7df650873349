//! A disk in memory that forgets what was not made durable. The fault model stands in the parent module.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::World;
use crate::contract::BoxFuture;
use crate::door::{ALIGNMENT, Disk, File, Open};

/// What survives or not as one, in bytes.
const SECTOR: usize = 512;
const PAGE: u64 = 4096;

/// A view of the disk for one process.
#[derive(Debug)]
pub(super) struct SimDisk {
    world: Arc<World>,
    process: u64,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    directories: BTreeMap<PathBuf, Directory>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    locks: BTreeSet<PathBuf>,
    bytes_max: u64,
}

/// Names as processes see them, and what happened to them since the last sync.
#[derive(Debug, Default)]
struct Directory {
    now: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    since: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Put(String, u64),
    Remove(String),
    Rename(String, String),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Change::Put(name, file) => {
                names.insert(name.clone(), *file);
            }
            Change::Remove(name) => {
                names.remove(name);
            }
            Change::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

/// A file's bytes as processes see them, as the device has them, and what lies between.
#[derive(Debug, Default)]
struct Content {
    now: Pages,
    durable: Pages,
    since: Vec<(u64, Write)>,
    next_write: u64,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(u64, Bytes),
    Zeros(u64, u64),
    Len(u64),
}

/// Sparse bytes: pages that were never written are zeros and take no memory.
#[derive(Clone, Debug, Default)]
struct Pages {
    len: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Pages {
    fn write(&mut self, position: u64, bytes: &[u8]) {
        let mut at = position;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = (at % PAGE) as usize;
            let len = rest.len().min(PAGE as usize - within);
            let (now, later) = rest.split_at(len);
            let page = self.pages.entry(at / PAGE).or_insert_with(|| vec![0; PAGE as usize].into());
            page[within..within + len].copy_from_slice(now);
            at += len as u64;
            rest = later;
        }
        self.len = self.len.max(at);
    }

    fn zero(&mut self, position: u64, len: u64) {
        let end = (position + len).min(self.len);
        let pages: Vec<u64> =
            self.pages.range(position / PAGE..end.div_ceil(PAGE)).map(|(at, _)| *at).collect();
        for at in pages {
            let from = position.max(at * PAGE) - at * PAGE;
            let to = end.min((at + 1) * PAGE) - at * PAGE;
            if to - from == PAGE {
                self.pages.remove(&at);
            } else if let Some(page) = self.pages.get_mut(&at) {
                page[from as usize..to as usize].fill(0);
            }
        }
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            let old = self.len;
            self.zero(len, old - len);
        }
        self.len = len;
    }

    fn read(&self, position: u64, len: usize) -> Option<Bytes> {
        if position + len as u64 > self.len {
            return None;
        }
        let mut out = Vec::with_capacity(len);
        let mut at = position;
        while out.len() < len {
            let within = (at % PAGE) as usize;
            let count = (len - out.len()).min(PAGE as usize - within);
            match self.pages.get(&(at / PAGE)) {
                Some(page) => out.extend_from_slice(&page[within..within + count]),
                None => out.resize(out.len() + count, 0),
            }
            at += count as u64;
        }
        Some(out.into())
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Bytes(position, bytes) => self.write(*position, bytes),
            Write::Zeros(position, len) => self.zero(*position, *len),
            Write::Len(len) => self.set_len(*len),
        }
    }
}

impl Content {
    /// Writes; the answer names the write until it is durable.
    fn write(&mut self, write: Write) -> u64 {
        self.now.apply(&write);
        self.next_write += 1;
        self.since.push((self.next_write, write));
        self.next_write
    }

    /// Makes the writes that `which` names durable, in order.
    fn settle(&mut self, which: impl Fn(u64) -> bool) {
        let durable = &mut self.durable;
        self.since.retain(|(id, write)| {
            if which(*id) {
                durable.apply(write);
            }
            !which(*id)
        });
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn split(path: &Path) -> io::Result<(PathBuf, String)> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((path.parent().unwrap_or(Path::new("")).to_path_buf(), name.to_string()))
}

impl SimDisk {
    pub fn new(world: Arc<World>) -> Self {
        let inner = Inner {
            directories: BTreeMap::new(),
            files: BTreeMap::new(),
            next_file: 1,
            locks: BTreeSet::new(),
            bytes_max: u64::MAX,
        };
        SimDisk { world, process: 0, inner: Arc::new(Mutex::new(inner)) }
    }

    pub fn of_process(&self, process: u64) -> SimDisk {
        SimDisk { world: self.world.clone(), process, inner: self.inner.clone() }
    }

    pub fn set_bytes_max(&self, bytes: u64) {
        self.lock_inner().bytes_max = bytes;
    }

    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panics under this lock")
    }

    /// Forgets, by the seed, what was not durable.
    pub fn crash(&self) {
        let world = &self.world;
        let mut inner = self.lock_inner();
        let inner = &mut *inner;
        for directory in inner.directories.values_mut() {
            let survive = world.below(directory.since.len() as u64 + 1) as usize;
            for change in directory.since.drain(..).take(survive) {
                change.apply(&mut directory.durable);
            }
            directory.now = directory.durable.clone();
        }
        for content in inner.files.values_mut() {
            for (_, write) in std::mem::take(&mut content.since) {
                match &write {
                    Write::Bytes(position, bytes) => {
                        let mut at = 0;
                        while at < bytes.len() {
                            let aligned = SECTOR - (*position as usize + at) % SECTOR;
                            let end = (at + aligned).min(bytes.len());
                            if world.below(2) == 0 {
                                content.durable.write(position + at as u64, &bytes[at..end]);
                            }
                            at = end;
                        }
                    }
                    other if world.below(2) == 0 => content.durable.apply(other),
                    _ => {}
                }
            }
            content.now = content.durable.clone();
        }
        let named: BTreeSet<u64> =
            inner.directories.values().flat_map(|directory| directory.now.values().copied()).collect();
        inner.files.retain(|id, _| named.contains(id));
        inner.locks.clear();
    }

    /// A call that changes nothing durable begins.
    async fn call(&self, what: &str, detail: u64) -> io::Result<()> {
        self.world.trace(what, detail);
        self.world.pause().await;
        if !self.world.runs(self.process) {
            return Err(io::Error::other("the process has crashed"));
        }
        Ok(())
    }

    /// A durable operation: `settle` is its effect, which an error leaves open.
    async fn durable(&self, what: &str, detail: u64, settle: impl FnOnce(&mut Inner)) -> io::Result<()> {
        let number = self.world.durable_operations.fetch_add(1, Ordering::Relaxed);
        self.world.trace(what, detail ^ number);
        if !self.world.runs(self.process) {
            return Err(io::Error::other("the process has crashed"));
        }
        self.world.sync_time().await;
        if !self.world.runs(self.process) {
            return Err(io::Error::other("the process has crashed"));
        }
        let crashes = number == self.world.crash_at.load(Ordering::Relaxed);
        let fails = number == self.world.fail_at.load(Ordering::Relaxed);
        if !(crashes || fails) || self.world.below(3) == 0 {
            settle(&mut self.lock_inner());
        }
        if crashes {
            self.world.crash_now();
            return Err(io::Error::other("the process has crashed"));
        }
        if fails {
            return Err(io::Error::other("simulated I/O error"));
        }
        Ok(())
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        let path = path.to_path_buf();
        Box::pin(async move {
            self.call("open", how as u64).await?;
            let (parent, name) = split(&path)?;
            let mut inner = self.lock_inner();
            let inner = &mut *inner;
            let directory = inner.directories.get_mut(&parent).ok_or_else(missing)?;
            let id = match directory.now.get(&name) {
                Some(id) => *id,
                None if how == Open::Read => return Err(missing()),
                None => {
                    let id = inner.next_file;
                    inner.next_file += 1;
                    inner.files.insert(id, Content::default());
                    let change = Change::Put(name, id);
                    change.apply(&mut directory.now);
                    directory.since.push(change);
                    id
                }
            };
            Ok(Arc::new(SimFile { disk: self.of_process(self.process), id, path }) as Arc<dyn File>)
        })
    }

    fn create_dir_all(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path = path.to_path_buf();
        Box::pin(async move {
            self.call("mkdir", 0).await?;
            self.lock_inner().directories.entry(path).or_default();
            Ok(())
        })
    }

    fn list(&self, path: &Path) -> BoxFuture<'_, io::Result<Vec<String>>> {
        let path = path.to_path_buf();
        Box::pin(async move {
            self.call("list", 0).await?;
            let inner = self.lock_inner();
            let directory = inner.directories.get(&path).ok_or_else(missing)?;
            let mut names: Vec<String> = directory.now.keys().cloned().collect();
            let below = inner.directories.keys().filter(|other| other.parent() == Some(&path));
            names.extend(below.filter_map(|other| Some(other.file_name()?.to_str()?.to_string())));
            names.sort_unstable();
            Ok(names)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        Box::pin(async move {
            self.call("rename", 0).await?;
            let ((parent, from), (other, to)) = (split(&from)?, split(&to)?);
            if parent != other {
                return Err(io::Error::other("renames between directories are not simulated"));
            }
            let mut inner = self.lock_inner();
            let directory = inner.directories.get_mut(&parent).ok_or_else(missing)?;
            if !directory.now.contains_key(&from) {
                return Err(missing());
            }
            let change = Change::Rename(from, to);
            change.apply(&mut directory.now);
            directory.since.push(change);
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        Box::pin(async move {
            self.call("link", 0).await?;
            let ((parent, from), (other, to)) = (split(&from)?, split(&to)?);
            let mut inner = self.lock_inner();
            let directory = inner.directories.get(&parent).ok_or_else(missing)?;
            let file = *directory.now.get(&from).ok_or_else(missing)?;
            let directory = inner.directories.get_mut(&other).ok_or_else(missing)?;
            if directory.now.contains_key(&to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let change = Change::Put(to, file);
            change.apply(&mut directory.now);
            directory.since.push(change);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path = path.to_path_buf();
        Box::pin(async move {
            self.call("remove", 0).await?;
            let (parent, name) = split(&path)?;
            let mut inner = self.lock_inner();
            let directory = inner.directories.get_mut(&parent).ok_or_else(missing)?;
            if !directory.now.contains_key(&name) {
                return Err(missing());
            }
            let change = Change::Remove(name);
            change.apply(&mut directory.now);
            directory.since.push(change);
            Ok(())
        })
    }

    fn sync_dir(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path = path.to_path_buf();
        Box::pin(async move {
            let changes = match self.lock_inner().directories.get(&path) {
                Some(directory) => directory.since.len(),
                None => return Err(missing()),
            };
            let settle = |inner: &mut Inner| {
                if let Some(directory) = inner.directories.get_mut(&path) {
                    let changes = changes.min(directory.since.len());
                    for change in directory.since.drain(..changes) {
                        change.apply(&mut directory.durable);
                    }
                }
            };
            self.durable("sync_dir", 0, settle).await
        })
    }

    fn lock(&self, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        let path = path.to_path_buf();
        Box::pin(async move {
            self.call("lock", 0).await?;
            let mut inner = self.lock_inner();
            if !inner.locks.insert(path.clone()) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let (world, process) = (self.world.clone(), self.process);
            Ok(Box::new(Lock { inner: self.inner.clone(), world, process, path }) as Box<dyn Send + Sync>)
        })
    }

    fn free_bytes(&self, _path: &Path) -> BoxFuture<'_, io::Result<u64>> {
        Box::pin(async move {
            self.call("free_bytes", 0).await?;
            let inner = self.lock_inner();
            Ok(inner.bytes_max.saturating_sub(inner.bytes()))
        })
    }
}

impl Inner {
    fn bytes(&self) -> u64 {
        self.files.values().map(|content| content.now.len).sum()
    }

    fn content(&mut self, id: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&id).ok_or_else(|| io::Error::other("the file did not survive the crash"))
    }

    /// Writes if there is space; the answer names the write until it is durable.
    fn write(&mut self, id: u64, write: Write) -> io::Result<u64> {
        let end = match &write {
            Write::Bytes(position, bytes) => position + bytes.len() as u64,
            Write::Len(len) => *len,
            Write::Zeros(..) => 0,
        };
        let grows = end.saturating_sub(self.content(id)?.now.len);
        if grows > 0 && self.bytes().saturating_add(grows) > self.bytes_max {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(self.content(id)?.write(write))
    }
}

struct Lock {
    inner: Arc<Mutex<Inner>>,
    world: Arc<World>,
    process: u64,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock of a crashed process went with it; the next one may hold it by now.
        if self.world.runs(self.process) {
            self.inner.lock().expect("no panics under this lock").locks.remove(&self.path);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    id: u64,
    path: PathBuf,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl SimFile {
    /// Makes everything durable that was written when it is called.
    async fn settle(&self, what: &str) -> io::Result<()> {
        let last = self.disk.lock_inner().content(self.id)?.next_write;
        let settle = |inner: &mut Inner| {
            if let Ok(content) = inner.content(self.id) {
                content.settle(|id| id <= last);
            }
        };
        self.disk.durable(what, self.id, settle).await
    }
}

impl File for SimFile {
    fn read_at(&self, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            self.disk.call("read_at", position ^ len as u64).await?;
            let mut inner = self.disk.lock_inner();
            inner.content(self.id)?.now.read(position, len).ok_or(io::ErrorKind::UnexpectedEof.into())
        })
    }

    fn write_at(&self, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.disk.call("write_at", position ^ bytes.len() as u64).await?;
            self.disk.lock_inner().write(self.id, Write::Bytes(position, bytes)).map(drop)
        })
    }

    fn write_durable(&self, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let aligned = ALIGNMENT as u64;
        assert!(
            position.is_multiple_of(aligned) && (bytes.len() as u64).is_multiple_of(aligned),
            "a durable write is aligned"
        );
        Box::pin(async move {
            self.disk.call("write", position ^ bytes.len() as u64).await?;
            let written = self.disk.lock_inner().write(self.id, Write::Bytes(position, bytes))?;
            let settle = |inner: &mut Inner| {
                if let Ok(content) = inner.content(self.id) {
                    content.settle(|id| id == written);
                }
            };
            self.disk.durable("write_durable", position, settle).await
        })
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.settle("sync"))
    }

    fn allocate(&self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.disk.call("allocate", len).await?;
            {
                let mut inner = self.disk.lock_inner();
                if inner.content(self.id)?.now.len < len {
                    inner.write(self.id, Write::Len(len))?;
                }
            }
            self.settle("allocated").await
        })
    }

    fn reserve(&self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.allocate(len)
    }

    fn punch(&self, position: u64, len: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.disk.call("punch", position ^ len).await?;
            self.disk.lock_inner().write(self.id, Write::Zeros(position, len)).map(drop)
        })
    }

    fn set_len(&self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.disk.call("set_len", len).await?;
            self.disk.lock_inner().write(self.id, Write::Len(len)).map(drop)
        })
    }

    fn sync_and_evict(&self) -> BoxFuture<'_, io::Result<()>> {
        self.sync()
    }

    fn size(&self) -> BoxFuture<'_, io::Result<u64>> {
        Box::pin(async move {
            self.disk.call("size", 0).await?;
            Ok(self.disk.lock_inner().content(self.id)?.now.len)
        })
    }
}
