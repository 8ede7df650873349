//! A disk in memory with a page cache in front of it. The fault model stands in the parent module.
//!
//! ```text
//!            write_at ─► now ─ since ─┐ sync            write_durable ─► under way ─► now and durable at once
//!  processes read it ────┘            └─► durable ◄── all that is left after the power went
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::{DiskCall, World, lock};
use crate::contract::BoxFuture;
use crate::door::{ALIGNMENT, Disk, File, Open, Site};

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

/// A disk at rest, kept to come back to. Cheap: pages are shared.
#[derive(Clone, Debug)]
pub struct SavedDisk(Inner);

#[derive(Clone, Debug)]
struct Inner {
    directories: BTreeMap<PathBuf, Directory>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    locks: BTreeSet<PathBuf>,
    bytes_max: u64,
}

/// Names as processes see them, and what happened to them since the last sync.
#[derive(Clone, Debug, Default)]
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
#[derive(Clone, Debug, Default)]
struct Content {
    now: Pages,
    durable: Pages,
    /// Written through the page cache, in order.
    since: Vec<(u64, Write)>,
    /// Direct writes that have not ended.
    under_way: Vec<(u64, u64, Bytes)>,
    next_write: u64,
    /// The page cache shows what a failed sync has lost.
    lies: bool,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(u64, Bytes),
    Len(u64),
}

/// Sparse bytes: pages that were never written are zeros and take no memory; copies share pages.
#[derive(Clone, Debug, Default)]
struct Pages {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE as usize]>>,
}

impl Pages {
    fn write(&mut self, position: u64, bytes: &[u8]) {
        let mut at = position;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = (at % PAGE) as usize;
            let len = rest.len().min(PAGE as usize - within);
            let (now, later) = rest.split_at(len);
            let page = self.pages.entry(at / PAGE).or_insert_with(|| Arc::new([0; PAGE as usize]));
            Arc::make_mut(page)[within..within + len].copy_from_slice(now);
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
                Arc::make_mut(page)[from as usize..to as usize].fill(0);
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
            Write::Len(len) => self.set_len(*len),
        }
    }

    /// Applies a write in parts: each sector is there or not.
    fn apply_some(&mut self, world: &World, write: &Write) {
        match write {
            Write::Bytes(position, bytes) => {
                let mut at = 0;
                while at < bytes.len() {
                    let aligned = SECTOR - (*position as usize + at) % SECTOR;
                    let end = (at + aligned).min(bytes.len());
                    if world.below(2) == 0 {
                        self.write(position + at as u64, &bytes[at..end]);
                    }
                    at = end;
                }
            }
            other if world.below(2) == 0 => self.apply(other),
            _ => {}
        }
    }
}

impl Content {
    /// Writes through the page cache.
    fn write(&mut self, write: Write) {
        self.now.apply(&write);
        self.next_write += 1;
        self.since.push((self.next_write, write));
    }

    /// Makes what was written until then durable, in order.
    fn settle(&mut self, last: u64) {
        let durable = &mut self.durable;
        self.since.retain(|(id, write)| {
            if *id <= last {
                durable.apply(write);
            }
            *id > last
        });
    }

    /// A sync fails: what it should have made durable is so in parts, and the rest is lost though it can be read.
    fn settle_some(&mut self, world: &World, last: u64) {
        let durable = &mut self.durable;
        self.since.retain(|(id, write)| {
            if *id <= last {
                durable.apply_some(world, write);
            }
            *id > last
        });
        self.lies = true;
    }

    /// The page cache shows what the device has, and what is not written back yet.
    fn evict(&mut self) {
        if std::mem::take(&mut self.lies) {
            self.now = self.durable.clone();
            for (_, write) in &self.since {
                self.now.apply(write);
            }
        }
    }

    /// A direct write ends well.
    fn arrives(&mut self, id: u64) {
        if let Some(at) = self.under_way.iter().position(|(other, ..)| *other == id) {
            let (_, position, bytes) = self.under_way.remove(at);
            self.now.write(position, &bytes);
            self.durable.write(position, &bytes);
        }
    }

    /// A direct write fails: parts of it are there.
    fn arrives_in_part(&mut self, world: &World, id: u64) {
        if let Some(at) = self.under_way.iter().position(|(other, ..)| *other == id) {
            let (_, position, bytes) = self.under_way.remove(at);
            self.durable.apply_some(world, &Write::Bytes(position, bytes));
            self.lies = true;
            self.evict();
        }
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn has_ended() -> io::Error {
    io::Error::other("the process has crashed")
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

    pub fn bytes_used(&self) -> u64 {
        self.lock_inner().bytes()
    }

    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let inner = self.lock_inner();
        let named = inner.directories.iter().flat_map(|(parent, directory)| {
            directory.now.iter().map(|(name, id)| (parent.join(name), inner.files[id].now.len))
        });
        named.collect()
    }

    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) {
        let (parent, name) = split(path).expect("a file's path");
        let mut inner = self.lock_inner();
        let id = inner.directories[&parent].now[&name];
        let content = inner.files.get_mut(&id).expect("names are of files");
        assert!(byte < content.now.len, "the byte is in the file");
        for pages in [&mut content.now, &mut content.durable] {
            // The device may not have it yet.
            if let Some(old) = pages.read(byte, 1) {
                pages.write(byte, &[old[0] ^ (1 << (bit % 8))]);
            }
        }
    }

    pub fn lose_file(&self, path: &Path) {
        let (parent, name) = split(path).expect("a file's path");
        let mut inner = self.lock_inner();
        let directory = inner.directories.get_mut(&parent).expect("names are in directories");
        assert!(directory.now.remove(&name).is_some(), "the file is there");
        directory.durable.remove(&name);
        directory
            .since
            .retain(|change| !matches!(change, Change::Put(of, _) | Change::Remove(of) if *of == name));
    }

    pub fn remove_tree(&self, path: &Path) {
        self.lock_inner().directories.retain(|directory, _| !directory.starts_with(path));
    }

    pub fn save(&self) -> SavedDisk {
        SavedDisk(self.lock_inner().clone())
    }

    pub fn restore(&self, saved: &SavedDisk) {
        *self.lock_inner() = saved.0.clone();
    }

    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Forgets, by the seed, what was not durable.
    pub fn lose_power(&self) {
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
                content.durable.apply_some(world, &write);
            }
            for (_, position, bytes) in std::mem::take(&mut content.under_way) {
                content.durable.apply_some(world, &Write::Bytes(position, bytes));
            }
            content.now = content.durable.clone();
            content.lies = false;
        }
        let named: BTreeSet<u64> =
            inner.directories.values().flat_map(|directory| directory.now.values().copied()).collect();
        inner.files.retain(|id, _| named.contains(id));
        inner.locks.clear();
    }

    /// The machine goes on: direct writes under way end at some block, which is not known to be durable.
    pub fn outlive_process(&self) {
        let world = &self.world;
        let mut inner = self.lock_inner();
        for content in inner.files.values_mut() {
            for (_, position, bytes) in std::mem::take(&mut content.under_way) {
                let blocks = bytes.len() as u64 / PAGE;
                let done = world.below(blocks + 1) * PAGE;
                if done > 0 {
                    content.write(Write::Bytes(position, bytes.slice(..done as usize)));
                }
            }
        }
        inner.locks.clear();
    }

    /// A call begins; the error is that of a process that has ended, or one that was put here.
    async fn call(
        &self,
        site: Site,
        kind: DiskCall,
        what: &'static str,
        path: &Arc<Path>,
        detail: u64,
    ) -> io::Result<()> {
        let calls_before = self.world.trace_disk(site, what, path, detail);
        self.world.pause().await;
        if !self.world.runs(self.process) {
            return Err(has_ended());
        }
        if self.world.may_end(calls_before) {
            lock(&self.world.trace).ended(self.world.started.elapsed(), site);
            return Err(has_ended());
        }
        match self.world.may_fail(kind, calls_before) {
            Some(error) => Err(self.failed(site, error)),
            None => Ok(()),
        }
    }

    fn failed(&self, site: Site, error: io::Error) -> io::Error {
        lock(&self.world.trace).failed(self.world.started.elapsed(), site, &error);
        error
    }

    /// A durable operation, with its effect if it ends well and if it fails.
    async fn durable(
        &self,
        site: Site,
        what: &'static str,
        path: &Arc<Path>,
        detail: u64,
        well: impl FnOnce(&mut Inner),
        badly: impl FnOnce(&mut Inner, &World),
    ) -> io::Result<()> {
        let number = self.world.durable_operations.fetch_add(1, Ordering::Relaxed);
        let calls_before = self.world.trace_disk(site, what, path, detail);
        if !self.world.runs(self.process) {
            return Err(has_ended());
        }
        self.world.sync_time().await;
        if !self.world.runs(self.process) {
            return Err(has_ended());
        }
        let is_here = number == self.world.crash_at.load(Ordering::Relaxed);
        if is_here || self.world.may_end(calls_before) {
            self.world.end_now();
            lock(&self.world.trace).ended(self.world.started.elapsed(), site);
            if self.world.below(3) == 0 {
                well(&mut self.lock_inner());
            }
            return Err(has_ended());
        }
        let error = if number == self.world.fail_at.load(Ordering::Relaxed) {
            Some(io::Error::other("simulated I/O error"))
        } else {
            self.world.may_fail(DiskCall::Sync, calls_before)
        };
        match error {
            Some(error) => {
                badly(&mut self.lock_inner(), &self.world);
                Err(self.failed(site, error))
            }
            None => {
                well(&mut self.lock_inner());
                Ok(())
            }
        }
    }

    fn change(&self, parent: &Path, change: impl FnOnce(&mut Inner) -> io::Result<Change>) -> io::Result<()> {
        let mut inner = self.lock_inner();
        let change = change(&mut inner)?;
        let directory = inner.directories.get_mut(parent).ok_or_else(missing)?;
        change.apply(&mut directory.now);
        directory.since.push(change);
        Ok(())
    }
}

impl Disk for SimDisk {
    fn open_from(&self, site: Site, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        let path: Arc<Path> = path.into();
        Box::pin(async move {
            let kind = if how == Open::Read { DiskCall::Read } else { DiskCall::Write };
            self.call(site, kind, "open", &path, how as u64).await?;
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

    fn create_dir_all_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path: Arc<Path> = path.into();
        Box::pin(async move {
            self.call(site, DiskCall::Write, "create_dir_all", &path, 0).await?;
            let mut inner = self.lock_inner();
            for directory in path.ancestors().filter(|directory| !directory.as_os_str().is_empty()) {
                inner.directories.entry(directory.to_path_buf()).or_default();
            }
            Ok(())
        })
    }

    fn list_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<Vec<String>>> {
        let path: Arc<Path> = path.into();
        Box::pin(async move {
            self.call(site, DiskCall::Read, "list", &path, 0).await?;
            let inner = self.lock_inner();
            let directory = inner.directories.get(&*path).ok_or_else(missing)?;
            let mut names: Vec<String> = directory.now.keys().cloned().collect();
            let below = inner.directories.keys().filter(|other| other.parent() == Some(&path));
            names.extend(below.filter_map(|other| other.file_name()?.to_str().map(str::to_owned)));
            names.sort_unstable();
            Ok(names)
        })
    }

    fn rename_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        let (from, to): (Arc<Path>, PathBuf) = (from.into(), to.to_path_buf());
        Box::pin(async move {
            self.call(site, DiskCall::Write, "rename", &from, 0).await?;
            if self.lock_inner().rename_directory(&from, &to) {
                return Ok(());
            }
            let ((parent, from), (other, to)) = (split(&from)?, split(&to)?);
            if parent != other {
                return Err(io::Error::other("renames between directories are not simulated"));
            }
            self.change(&parent, |inner| {
                let directory = inner.directories.get(&parent).ok_or_else(missing)?;
                directory.now.contains_key(&from).then_some(Change::Rename(from, to)).ok_or_else(missing)
            })
        })
    }

    fn link_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        let (from, to): (Arc<Path>, PathBuf) = (from.into(), to.to_path_buf());
        Box::pin(async move {
            self.call(site, DiskCall::Write, "link", &from, 0).await?;
            let ((parent, from), (other, to)) = (split(&from)?, split(&to)?);
            self.change(&other, |inner| {
                let directory = inner.directories.get(&parent).ok_or_else(missing)?;
                let file = *directory.now.get(&from).ok_or_else(missing)?;
                let directory = inner.directories.get(&other).ok_or_else(missing)?;
                if directory.now.contains_key(&to) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                Ok(Change::Put(to, file))
            })
        })
    }

    fn remove_dir_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path: Arc<Path> = path.into();
        Box::pin(async move {
            self.call(site, DiskCall::Write, "remove_dir", &path, 0).await?;
            let mut inner = self.lock_inner();
            let found = inner.directories.get(&*path).ok_or_else(missing)?;
            if !found.now.is_empty() || inner.directories.keys().any(|other| other.parent() == Some(&*path)) {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            inner.directories.remove(&*path);
            Ok(())
        })
    }

    fn remove_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path: Arc<Path> = path.into();
        Box::pin(async move {
            self.call(site, DiskCall::Write, "remove", &path, 0).await?;
            let (parent, name) = split(&path)?;
            self.change(&parent, |inner| {
                let directory = inner.directories.get(&parent).ok_or_else(missing)?;
                directory.now.contains_key(&name).then_some(Change::Remove(name)).ok_or_else(missing)
            })
        })
    }

    fn sync_dir_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path: Arc<Path> = path.into();
        Box::pin(async move {
            let changes = match self.lock_inner().directories.get(&*path) {
                Some(directory) => directory.since.len(),
                None => return Err(missing()),
            };
            let settle = |inner: &mut Inner, changes: usize| {
                if let Some(directory) = inner.directories.get_mut(&*path) {
                    let changes = changes.min(directory.since.len());
                    for change in directory.since.drain(..changes) {
                        change.apply(&mut directory.durable);
                    }
                }
            };
            let well = |inner: &mut Inner| settle(inner, changes);
            // What a failed sync of a directory leaves behind is written back later: a journal is not given up.
            let badly =
                |inner: &mut Inner, world: &World| settle(inner, world.below(changes as u64 + 1) as usize);
            self.durable(site, "sync_dir", &path, 0, well, badly).await
        })
    }

    fn lock_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        let path: Arc<Path> = path.into();
        Box::pin(async move {
            self.call(site, DiskCall::Write, "lock", &path, 0).await?;
            let mut inner = self.lock_inner();
            if !inner.locks.insert(path.to_path_buf()) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let (world, process) = (self.world.clone(), self.process);
            Ok(Box::new(Lock { inner: self.inner.clone(), world, process, path }) as Box<dyn Send + Sync>)
        })
    }

    fn free_bytes_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<u64>> {
        let path: Arc<Path> = path.into();
        Box::pin(async move {
            self.call(site, DiskCall::Read, "free_bytes", &path, 0).await?;
            let inner = self.lock_inner();
            Ok(inner.bytes_max.saturating_sub(inner.bytes()))
        })
    }
}

impl Inner {
    /// Renames a directory with all that is below it; false if there is none. Directories, as here, come and go durably.
    fn rename_directory(&mut self, from: &Path, to: &Path) -> bool {
        let below: Vec<PathBuf> =
            self.directories.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in &below {
            let within = path.strip_prefix(from).expect("it is below");
            let new = if within.as_os_str().is_empty() { to.to_path_buf() } else { to.join(within) };
            let directory = self.directories.remove(path).expect("it was just found");
            self.directories.insert(new, directory);
        }
        !below.is_empty()
    }

    /// Bytes of all files that have a name.
    fn bytes(&self) -> u64 {
        let named: BTreeSet<u64> = self.directories.values().flat_map(|d| d.now.values().copied()).collect();
        named.iter().filter_map(|id| self.files.get(id)).map(|content| content.now.len).sum()
    }

    fn content(&mut self, id: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&id).ok_or_else(|| io::Error::other("the file did not survive the crash"))
    }

    /// Whether a file may end there.
    fn has_space(&mut self, id: u64, end: u64) -> io::Result<bool> {
        let grows = end.saturating_sub(self.content(id)?.now.len);
        Ok(grows == 0 || self.bytes().saturating_add(grows) <= self.bytes_max)
    }
}

struct Lock {
    inner: Arc<Mutex<Inner>>,
    world: Arc<World>,
    process: u64,
    path: Arc<Path>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock of a process that ended went with it; the next one may hold it by now.
        if self.world.runs(self.process) {
            lock(&self.inner).locks.remove(&*self.path);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    id: u64,
    path: Arc<Path>,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl SimFile {
    async fn call(&self, site: Site, kind: DiskCall, what: &'static str, detail: u64) -> io::Result<()> {
        self.disk.call(site, kind, what, &self.path, detail).await
    }

    /// Writes through the page cache if there is space.
    fn write(&self, site: Site, write: Write) -> io::Result<()> {
        let end = match &write {
            Write::Bytes(position, bytes) => position + bytes.len() as u64,
            Write::Len(len) => *len,
        };
        self.must_have_space(site, end)?;
        self.disk.lock_inner().content(self.id)?.write(write);
        Ok(())
    }

    fn must_have_space(&self, site: Site, end: u64) -> io::Result<()> {
        if self.disk.lock_inner().has_space(self.id, end)? {
            return Ok(());
        }
        self.disk.world.failed.fetch_add(1, Ordering::Relaxed);
        Err(self.disk.failed(site, io::ErrorKind::StorageFull.into()))
    }

    /// Makes everything durable that was written when it is called.
    async fn settle(&self, site: Site, what: &'static str) -> io::Result<()> {
        let last = self.disk.lock_inner().content(self.id)?.next_write;
        let well = |inner: &mut Inner| {
            if let Ok(content) = inner.content(self.id) {
                content.settle(last);
            }
        };
        let badly = |inner: &mut Inner, world: &World| {
            if let Ok(content) = inner.content(self.id) {
                content.settle_some(world, last);
            }
        };
        self.disk.durable(site, what, &self.path, 0, well, badly).await
    }
}

impl File for SimFile {
    fn read_at_from(&self, site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            self.call(site, DiskCall::Read, "read_at", position ^ len as u64).await?;
            let mut inner = self.disk.lock_inner();
            inner.content(self.id)?.now.read(position, len).ok_or(io::ErrorKind::UnexpectedEof.into())
        })
    }

    fn write_at_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            if let Err(error) =
                self.call(site, DiskCall::Write, "write_at", position ^ bytes.len() as u64).await
            {
                // It may have been cut short.
                if self.disk.world.runs(self.disk.process) {
                    let done = self.disk.world.below(bytes.len() as u64 + 1) as usize;
                    let _ = self.write(site, Write::Bytes(position, bytes.slice(..done)));
                }
                return Err(error);
            }
            self.write(site, Write::Bytes(position, bytes))
        })
    }

    fn write_durable_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let aligned = ALIGNMENT as u64;
        assert!(
            position.is_multiple_of(aligned) && (bytes.len() as u64).is_multiple_of(aligned),
            "a durable write is aligned"
        );
        Box::pin(async move {
            self.call(site, DiskCall::Write, "write", position ^ bytes.len() as u64).await?;
            self.must_have_space(site, position + bytes.len() as u64)?;
            let id = {
                let mut inner = self.disk.lock_inner();
                let content = inner.content(self.id)?;
                content.next_write += 1;
                content.under_way.push((content.next_write, position, bytes));
                content.next_write
            };
            let well = |inner: &mut Inner| {
                if let Ok(content) = inner.content(self.id) {
                    content.arrives(id);
                }
            };
            let badly = |inner: &mut Inner, world: &World| {
                if let Ok(content) = inner.content(self.id) {
                    content.arrives_in_part(world, id);
                }
            };
            self.disk.durable(site, "write_durable", &self.path, position, well, badly).await
        })
    }

    fn sync_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.settle(site, "sync"))
    }

    fn allocate_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.call(site, DiskCall::Write, "allocate", len).await?;
            if self.disk.lock_inner().content(self.id)?.now.len < len {
                self.write(site, Write::Len(len))?;
            }
            self.settle(site, "allocated").await
        })
    }

    fn allocate_unwritten_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.allocate_from(site, len)
    }

    fn set_len_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.call(site, DiskCall::Write, "set_len", len).await?;
            self.write(site, Write::Len(len))
        })
    }

    fn sync_and_evict_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.settle(site, "sync_and_evict").await?;
            self.disk.lock_inner().content(self.id)?.evict();
            Ok(())
        })
    }

    fn size_from(&self, site: Site) -> BoxFuture<'_, io::Result<u64>> {
        Box::pin(async move {
            self.call(site, DiskCall::Read, "size", 0).await?;
            Ok(self.disk.lock_inner().content(self.id)?.now.len)
        })
    }
}
