//! Files of this machine.
//!
//! A file opened [`Open::Durable`] has two descriptors: one with `O_DIRECT | O_DSYNC` for
//! [`File::write_durable`], one through the page cache for everything else (the kernel drops cached pages that a
//! direct write covers). Where the file system takes no direct writes (some network and memory file systems,
//! systems other than Linux), durable writes go through the page cache and are followed by `fdatasync`.

use std::fmt;
use std::fs::{File as StdFile, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;

use crate::contract::BoxFuture;
use crate::door::{ALIGNMENT, Disk, File, Open, Site};

/// How the disk is used.
#[derive(Clone, Copy, Debug)]
pub struct DiskOptions {
    /// Write directly where the file system can. Off: always through the page cache, then `fdatasync`.
    pub direct: bool,
    /// Off: [`File::write_durable`] leaves the bytes in the page cache and nothing is ever synced
    /// (`--durability=os`): a power cut loses acked writes, a killed process does not.
    pub durable: bool,
    /// Reads that may wait for the device at once.
    pub readers: usize,
}

impl Default for DiskOptions {
    fn default() -> Self {
        DiskOptions { direct: true, durable: true, readers: 16 }
    }
}

/// This machine's files.
#[derive(Debug)]
pub struct RealDisk {
    options: DiskOptions,
    readers: Arc<Readers>,
    keeper: Arc<Keeper>,
}

impl RealDisk {
    /// A disk used as `options` say.
    pub fn new(options: DiskOptions) -> Self {
        let readers = Readers {
            permits: Arc::new(Semaphore::new(options.readers.max(1))),
            buffers: Mutex::new(Vec::new()),
        };
        RealDisk { options, readers: Arc::new(readers), keeper: Keeper::start() }
    }
}

/// Keeps sockets and timers alive while a durable write blocks a worker.
///
/// A worker that blocks leaves tokio's I/O driver to the others, but those that sleep are not woken for it: with
/// all others asleep, nobody looks at sockets and timers until the write returns. Harmless for the tenth of a
/// millisecond that a sync takes; should one take longer, this thread gives the runtime a task that does nothing,
/// which wakes a worker, which then takes the driver.
#[derive(Debug)]
struct Keeper {
    started: Instant,
    /// Microseconds after `started` at which the write that is under way began; 0 if none is.
    writing_since: AtomicU64,
    /// The thread sleeps until somebody writes.
    parked: AtomicBool,
    thread: Option<std::thread::Thread>,
}

/// A write longer than this is slow, and this often the thread looks.
const KEEPER_INTERVAL: Duration = Duration::from_millis(5);
/// Looks without a write after which the thread sleeps.
const KEEPER_LOOKS: u32 = 200;

impl Keeper {
    /// Starts the thread if the runtime has workers to wake.
    fn start() -> Arc<Keeper> {
        use tokio::runtime::{Handle, RuntimeFlavor};
        let handle = Handle::try_current().ok();
        let handle = handle.filter(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        Arc::new_cyclic(|keeper: &std::sync::Weak<Keeper>| {
            let keeper = keeper.clone();
            let thread = handle.and_then(|handle| {
                let run = move || Keeper::run(&keeper, &handle);
                std::thread::Builder::new().name("kolk-keeper".into()).spawn(run).ok()
            });
            Keeper {
                started: Instant::now(),
                writing_since: AtomicU64::new(0),
                parked: AtomicBool::new(false),
                thread: thread.map(|thread| thread.thread().clone()),
            }
        })
    }

    fn run(keeper: &std::sync::Weak<Keeper>, handle: &tokio::runtime::Handle) {
        // Until `start` has made the keeper there is nothing to look at.
        std::thread::sleep(KEEPER_INTERVAL);
        let mut quiet = 0;
        while let Some(keeper) = keeper.upgrade() {
            match keeper.writing_since.load(Ordering::Relaxed) {
                0 => quiet += 1,
                since => {
                    quiet = 0;
                    let now = keeper.started.elapsed().as_micros() as u64;
                    if now.saturating_sub(since) > KEEPER_INTERVAL.as_micros() as u64 {
                        handle.spawn(async {});
                    }
                }
            }
            if quiet > KEEPER_LOOKS {
                keeper.parked.store(true, Ordering::SeqCst);
                drop(keeper);
                std::thread::park();
                quiet = 0;
            } else {
                drop(keeper);
            }
            std::thread::sleep(KEEPER_INTERVAL);
        }
    }

    /// Marks a write as under way until the guard is dropped.
    fn writing(&self) -> Writing<'_> {
        let now = self.started.elapsed().as_micros() as u64;
        self.writing_since.store(now.max(1), Ordering::Relaxed);
        if self.parked.load(Ordering::Relaxed)
            && self.parked.swap(false, Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.unpark();
        }
        Writing(self)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

struct Writing<'a>(&'a Keeper);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writing_since.store(0, Ordering::Relaxed);
    }
}

/// Runs what may wait for the device on a blocking thread.
async fn off_the_workers<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(io::Error::other("the runtime is shutting down")),
    }
}

impl Disk for RealDisk {
    fn open_from(&self, _site: Site, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        let path = path.to_path_buf();
        Box::pin(async move {
            let options = self.options;
            let readers = self.readers.clone();
            let keeper = self.keeper.clone();
            off_the_workers(move || {
                let cached = match how {
                    Open::Read => OpenOptions::new().read(true).open(&path)?,
                    Open::Write | Open::Durable => {
                        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?
                    }
                };
                let direct = (how == Open::Durable && options.direct && options.durable)
                    .then(|| open_direct(&path))
                    .flatten();
                let inner = FileInner {
                    how,
                    use_direct: AtomicBool::new(direct.is_some()),
                    cached,
                    direct,
                    durable: options.durable,
                    path,
                };
                Ok(Arc::new(RealFile { inner: Arc::new(inner), readers, keeper }) as Arc<dyn File>)
            })
            .await
        })
    }

    fn create_dir_all_from(&self, _site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path = path.to_path_buf();
        Box::pin(off_the_workers(move || std::fs::create_dir_all(path)))
    }

    fn list_from(&self, _site: Site, path: &Path) -> BoxFuture<'_, io::Result<Vec<String>>> {
        let path = path.to_path_buf();
        Box::pin(off_the_workers(move || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(path)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            names.sort_unstable();
            Ok(names)
        }))
    }

    fn rename_from(&self, _site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        Box::pin(off_the_workers(move || std::fs::rename(from, to)))
    }

    fn link_from(&self, _site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        Box::pin(off_the_workers(move || std::fs::hard_link(from, to)))
    }

    fn remove_dir_from(&self, _site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path = path.to_path_buf();
        Box::pin(off_the_workers(move || std::fs::remove_dir(path)))
    }

    fn remove_from(&self, _site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path = path.to_path_buf();
        Box::pin(off_the_workers(move || std::fs::remove_file(path)))
    }

    fn sync_dir_from(&self, _site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let path = path.to_path_buf();
        let durable = self.options.durable;
        Box::pin(off_the_workers(move || if durable { StdFile::open(path)?.sync_all() } else { Ok(()) }))
    }

    fn lock_from(&self, _site: Site, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        let path = path.to_path_buf();
        Box::pin(off_the_workers(move || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
            Ok(Box::new(file) as Box<dyn Send + Sync>)
        }))
    }

    fn free_bytes_from(&self, _site: Site, path: &Path) -> BoxFuture<'_, io::Result<u64>> {
        let path = path.to_path_buf();
        Box::pin(off_the_workers(move || {
            let stat = rustix::fs::statvfs(&path)?;
            // Some network file systems do not say.
            if stat.f_blocks == 0 {
                return Ok(u64::MAX);
            }
            Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
        }))
    }
}

/// A second descriptor for direct writes; `None` where the file system has none.
#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> Option<StdFile> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::DSYNC | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok().map(StdFile::from)
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_path: &Path) -> Option<StdFile> {
    None
}

/// What waits for the device, and memory that it reads into.
#[derive(Debug)]
struct Readers {
    permits: Arc<Semaphore>,
    /// Buffers to use again, all of [`READ_BUFFER`] bytes.
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// Size of the buffers that are kept, in bytes: what senders ask for at a time.
const READ_BUFFER: usize = 256 * 1024;
/// Smaller reads get memory of their own size.
const READ_BUFFER_MIN: usize = 32 * 1024;
/// Buffers that are kept.
const READ_BUFFERS_KEPT: usize = 32;

impl Readers {
    fn buffer(self: &Arc<Self>, len: usize) -> ReadBuffer {
        let pooled = (READ_BUFFER_MIN..=READ_BUFFER).contains(&len);
        let memory = if pooled {
            let kept = self.buffers.lock().expect("nothing panics under this lock").pop();
            kept.unwrap_or_else(|| vec![0; READ_BUFFER])
        } else {
            vec![0; len]
        };
        ReadBuffer { memory, len, back_to: pooled.then(|| self.clone()) }
    }
}

/// Memory being read into, then lent out as `Bytes`; goes back to its pool when the last of them is dropped.
struct ReadBuffer {
    memory: Vec<u8>,
    len: usize,
    back_to: Option<Arc<Readers>>,
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if let Some(readers) = self.back_to.take() {
            let mut kept = readers.buffers.lock().expect("nothing panics under this lock");
            if kept.len() < READ_BUFFERS_KEPT {
                kept.push(std::mem::take(&mut self.memory));
            }
        }
    }
}

struct FileInner {
    how: Open,
    cached: StdFile,
    direct: Option<StdFile>,
    /// Cleared when the device turns out to want another alignment than ours.
    use_direct: AtomicBool,
    durable: bool,
    path: PathBuf,
}

impl FileInner {
    fn sync(&self) -> io::Result<()> {
        if self.durable { self.cached.sync_data() } else { Ok(()) }
    }

    fn write_durable(&self, position: u64, bytes: &Bytes) -> io::Result<()> {
        if !self.write_direct(position, bytes)? {
            self.cached.write_all_at(bytes, position)?;
            self.sync()?;
        }
        Ok(())
    }

    /// Writes past the page cache; false, with nothing written, if this file takes no direct writes.
    fn write_direct(&self, position: u64, bytes: &[u8]) -> io::Result<bool> {
        let Some(direct) = &self.direct else { return Ok(false) };
        if !self.use_direct.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let written = if bytes.as_ptr().align_offset(ALIGNMENT) == 0 {
            direct.write_all_at(bytes, position)
        } else {
            direct.write_all_at(&aligned_copy(bytes), position)
        };
        match written {
            // Nothing was written: the device's blocks are larger than ours, or the file system took the flag
            // without meaning it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.use_direct.store(false, Ordering::Relaxed);
                Ok(false)
            }
            written => written.map(|()| true),
        }
    }

    /// Reads what the page cache has in place; the number of bytes read.
    #[cfg(target_os = "linux")]
    fn read_cached(&self, into: &mut [u8], position: u64) -> usize {
        use rustix::io::{IoSliceMut, ReadWriteFlags};
        rustix::io::preadv2(&self.cached, &mut [IoSliceMut::new(into)], position, ReadWriteFlags::NOWAIT)
            .unwrap_or(0)
    }

    #[cfg(not(target_os = "linux"))]
    fn read_cached(&self, _into: &mut [u8], _position: u64) -> usize {
        0
    }

    /// Whether the page cache has the range, as far as looking every [`RESIDENT_STEP`] bytes tells: it is filled and
    /// emptied in larger runs. A page that is missing in between costs the sender one read of the device.
    fn is_cached(&self, position: u64, len: usize) -> bool {
        let here = |at: u64| self.read_cached(&mut [0], at) == 1;
        (0..len).step_by(RESIDENT_STEP).chain([len.saturating_sub(1)]).all(|at| here(position + at as u64))
    }

    /// Allocates blocks from the present end to `len`; false where the file system cannot.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn allocate_unwritten(&self, len: u64) -> io::Result<bool> {
        let from = self.cached.metadata()?.len();
        if from >= len {
            return Ok(true);
        }
        match rustix::fs::fallocate(&self.cached, rustix::fs::FallocateFlags::empty(), from, len - from) {
            Ok(()) => {
                if self.durable {
                    self.cached.sync_all()?;
                }
                Ok(true)
            }
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn allocate_unwritten(&self, _len: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// Writes zeros from the present end to `len`, in blocks allocated before.
    fn allocate(&self, len: u64) -> io::Result<()> {
        let from = self.cached.metadata()?.len();
        if from >= len {
            return Ok(());
        }
        // Where the file system has no such thing, writing zeros allocates too.
        self.allocate_unwritten(len)?;
        let zeros = aligned_copy(&vec![0; ALLOCATE_STEP]);
        let mut at = from;
        while at < len {
            let step = (len - at).min(ALLOCATE_STEP as u64);
            let piece = &zeros[..step as usize];
            let aligned = at.is_multiple_of(ALIGNMENT as u64) && step.is_multiple_of(ALIGNMENT as u64);
            if !(aligned && self.write_direct(at, piece)?) {
                self.cached.write_all_at(piece, at)?;
            }
            at += step;
        }
        if self.durable { self.cached.sync_all() } else { Ok(()) }
    }

    #[cfg(target_os = "linux")]
    fn evict(&self) -> io::Result<()> {
        rustix::fs::fadvise(&self.cached, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn evict(&self) -> io::Result<()> {
        Ok(())
    }
}

/// See [`FileInner::is_cached`], in bytes.
const RESIDENT_STEP: usize = 64 << 10;

/// Zeros written at a time while allocating, in bytes.
const ALLOCATE_STEP: usize = 1 << 20;

fn aligned_copy(bytes: &[u8]) -> BytesMut {
    let mut chunk = crate::door::AlignedChunk::new(bytes.len().next_multiple_of(ALIGNMENT));
    chunk.filling().extend_from_slice(bytes);
    chunk.filling().split()
}

/// An open file; the handle is shared with what runs on blocking threads.
struct RealFile {
    inner: Arc<FileInner>,
    readers: Arc<Readers>,
    keeper: Arc<Keeper>,
}

impl fmt::Debug for RealFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner.path.display())
    }
}

impl RealFile {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FileInner) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let inner = self.inner.clone();
        off_the_workers(move || work(&inner)).await
    }
}

impl File for RealFile {
    fn read_at_from(&self, _site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            let mut buffer = self.readers.buffer(len);
            let done = self.inner.read_cached(&mut buffer.memory[..len], position);
            if done == len {
                return Ok(Bytes::from_owner(buffer));
            }
            let permit = self.readers.permits.clone().acquire_owned().await.expect("never closed");
            self.blocking(move |file| {
                let _until_read = permit;
                file.cached.read_exact_at(&mut buffer.memory[done..len], position + done as u64)?;
                Ok(Bytes::from_owner(buffer))
            })
            .await
        })
    }

    fn resident(&self, position: u64, len: usize) -> Option<BorrowedFd<'_>> {
        // Files of the log are written again. Past the page cache that takes their pages out of it, and a socket keeps
        // the old ones; through it, it changes them under the socket.
        let written_once = self.inner.how != Open::Durable || self.inner.use_direct.load(Ordering::Relaxed);
        (written_once && self.inner.is_cached(position, len)).then(|| self.inner.cached.as_fd())
    }

    fn write_at_from(&self, _site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.blocking(move |file| file.cached.write_all_at(&bytes, position)))
    }

    fn write_durable_from(&self, _site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let aligned = ALIGNMENT as u64;
        assert!(
            position.is_multiple_of(aligned) && (bytes.len() as u64).is_multiple_of(aligned),
            "a durable write is aligned"
        );
        Box::pin(async move {
            let _kept = self.keeper.writing();
            self.inner.write_durable(position, &bytes)
        })
    }

    fn sync_from(&self, _site: Site) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.blocking(|file| file.sync()))
    }

    fn sync_and_evict_from(&self, _site: Site) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.blocking(|file| {
            file.sync()?;
            file.evict()
        }))
    }

    fn allocate_from(&self, _site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.blocking(move |file| file.allocate(len)))
    }

    fn allocate_unwritten_from(&self, _site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(
            self.blocking(
                move |file| if file.allocate_unwritten(len)? { Ok(()) } else { file.allocate(len) },
            ),
        )
    }

    fn set_len_from(&self, _site: Site, len: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.blocking(move |file| file.cached.set_len(len)))
    }

    fn size_from(&self, _site: Site) -> BoxFuture<'_, io::Result<u64>> {
        Box::pin(self.blocking(|file| Ok(file.cached.metadata()?.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of what a file system can, in the build directory (a disk on most machines).
    async fn every_way<F: Future<Output = ()>>(test: impl Fn(Arc<dyn Disk>, PathBuf) -> F) {
        for (direct, durable) in [(true, true), (false, true), (false, false)] {
            let dir = tempfile::tempdir().unwrap();
            let disk = RealDisk::new(DiskOptions { direct, durable, readers: 2 });
            test(Arc::new(disk), dir.path().to_path_buf()).await;
        }
    }

    #[tokio::test]
    async fn writes_of_both_kinds_are_read_back() {
        every_way(|disk, dir| async move {
            let file = disk.open(&dir.join("a"), Open::Durable).await.unwrap();
            file.allocate(1 << 20).await.unwrap();
            assert_eq!(file.size().await.unwrap(), 1 << 20);
            file.write_durable(8192, Bytes::from(vec![7; 4096])).await.unwrap();
            file.write_at(12288, Bytes::from_static(b"cached")).await.unwrap();
            file.sync_and_evict().await.unwrap();
            let got = file.read_at(8190, 4106).await.unwrap();
            assert_eq!((&got[..3], &got[4098..]), (&[0, 0, 7][..], &b"cached\0\0"[..]));
            // Large enough for a pooled buffer, twice: the second one must not show the first one's bytes.
            for fill in [1u8, 2] {
                file.write_durable(0, Bytes::from(vec![fill; 65536])).await.unwrap();
                assert!(file.read_at(0, 65536).await.unwrap().iter().all(|byte| *byte == fill));
            }
            let end = file.read_at((1 << 20) - 2, 3).await.unwrap_err();
            assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
            file.allocate_unwritten(2 << 20).await.unwrap();
            file.write_durable(1 << 20, Bytes::from(vec![3; 4096])).await.unwrap();
            assert_eq!(file.read_at((1 << 20) + 4095, 2).await.unwrap()[..], [3, 0]);
            file.set_len(16).await.unwrap();
            assert_eq!(file.size().await.unwrap(), 16);
        })
        .await;
    }

    /// Without the keeper the timer fires only when the blocked worker returns.
    #[test]
    fn a_write_that_blocks_a_worker_for_long_does_not_stop_timers() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let keeper = Keeper::start();
            let slow = keeper.clone();
            let done = Arc::new(AtomicBool::new(false));
            let ended = done.clone();
            let timer = tokio::task::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert!(!ended.load(Ordering::SeqCst), "the timer fired while the worker was blocked");
            });
            let blocked = tokio::task::spawn(async move {
                let _kept = slow.writing();
                std::thread::sleep(Duration::from_secs(2));
                done.store(true, Ordering::SeqCst);
            });
            timer.await.unwrap();
            blocked.await.unwrap();
        });
    }

    #[tokio::test]
    async fn directories_renames_and_the_lock() {
        every_way(|disk, dir| async move {
            let inner = dir.join("x/y");
            disk.create_dir_all(&inner).await.unwrap();
            assert!(disk.open(&inner.join("b"), Open::Read).await.is_err());
            disk.open(&inner.join("b"), Open::Write).await.unwrap();
            disk.open(&inner.join("a"), Open::Write).await.unwrap();
            assert_eq!(disk.list(&inner).await.unwrap(), ["a", "b"]);
            disk.rename(&inner.join("a"), &inner.join("b")).await.unwrap();
            disk.sync_dir(&inner).await.unwrap();
            disk.link(&inner.join("b"), &dir.join("c")).await.unwrap();
            disk.remove(&inner.join("b")).await.unwrap();
            disk.open(&dir.join("c"), Open::Read).await.unwrap();
            assert!(disk.list(&inner).await.unwrap().is_empty());
            assert!(disk.free_bytes(&inner).await.unwrap() > 0);
            let lock = disk.lock(&dir.join("lock")).await.unwrap();
            let taken = disk.lock(&dir.join("lock")).await.err().unwrap();
            assert_eq!(taken.kind(), io::ErrorKind::WouldBlock);
            drop(lock);
            disk.lock(&dir.join("lock")).await.unwrap();
        })
        .await;
    }
}
