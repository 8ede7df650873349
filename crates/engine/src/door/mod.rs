//! The one door to time, randomness, disk, network and tasks.
//!
//! Nothing else in the server touches a clock, a file, a socket, a thread or a random number; `clippy.toml`
//! bans it. In production it leads to the machine; in a simulation to a seeded world in
//! one thread, where every call may take a seeded time. Timers (`tokio::time`) need no door: the
//! simulation pauses tokio's clock.
//!
//! [`real`] leads to the machine: [`real::door`] makes it. `sim` (feature `sim`) is the seeded world. [`over`] lays one disk
//! over another.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the door: the only place that may touch what the lints ban elsewhere"
)]

mod huge_pages;
pub mod over;
pub mod real;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::panic::Location;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::contract::BoxFuture;

/// The door as one cheap handle.
#[derive(Clone, Debug)]
pub struct Door {
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Sockets.
    pub network: Arc<dyn Network>,
    /// Tasks.
    pub tasks: Arc<dyn Tasks>,
}

/// The wall clock. It may jump; what must not go back keeps its own maximum.
pub trait Clock: Send + Sync + Debug {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}

/// Random bytes, fit for keys in production, seeded in a simulation.
pub trait Random: Send + Sync + Debug {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);

    /// A random number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random UUID (version 4), never zero.
    fn uuid(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// Starts tasks.
pub trait Tasks: Send + Sync + Debug {
    /// Runs a task to its end on the shared workers. `name` appears in traces.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle;

    /// Runs a task that may block its thread: a thread of its own in production, a task in a simulation.
    fn dedicated(&self, name: &'static str, task: BoxFuture<'static, ()>);
}

/// A spawned task. Dropping the handle leaves the task running.
#[derive(Debug)]
pub struct TaskHandle(pub tokio::task::JoinHandle<()>);

impl TaskHandle {
    /// Stops the task at its next await.
    pub fn abort(&self) {
        self.0.abort();
    }
}

/// A byte stream with a peer.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Hands up to `len` bytes of a file ([`File::resident`]) from `position` to the peer without copying them through
    /// this process. The answer is how many, at least one. `Unsupported`: nothing was sent, read and write instead, which
    /// also tells what is wrong with the file, if that is why.
    fn poll_send_file(
        &mut self,
        _cx: &mut Context<'_>,
        _file: BorrowedFd<'_>,
        _position: u64,
        _len: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Writes bytes that others follow at once: they may wait for those and leave in one packet.
    fn poll_write_more(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(cx, bytes)
    }
}

/// A connection within the process.
impl Stream for tokio::io::DuplexStream {}

/// Sockets.
pub trait Network: Send + Sync + Debug {
    /// Listens on `address`; port 0 takes a free one.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects to `address`.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;
}

/// A listening socket.
pub trait Listener: Send + Sync + Debug {
    /// The next connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>>;

    /// Where it listens.
    fn local_address(&self) -> SocketAddr;
}

/// An accepted connection.
pub struct Accepted {
    /// The stream, `TCP_NODELAY` set.
    pub stream: Box<dyn Stream>,
    /// The peer. Never an IPv4-mapped address.
    pub peer: SocketAddr,
    /// The address that the peer came in by. Never an IPv4-mapped address.
    pub local: SocketAddr,
}

/// Where in the server a call through the door was made: a fault point of the simulation. Production does not look.
pub type Site = &'static Location<'static>;

/// A directory tree of files: what a back end of the door implements. Callers use the methods of `dyn Disk`, which say
/// where they were called from.
///
/// Paths are absolute or relative to the working directory, as given by the configuration. Errors are the
/// operating system's.
pub trait Disk: Send + Sync + Debug {
    /// See `open` on `dyn Disk`.
    fn open_from(&self, site: Site, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>>;

    /// See `create_dir_all` on `dyn Disk`.
    fn create_dir_all_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// See `list` on `dyn Disk`.
    fn list_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<Vec<String>>>;

    /// See `rename` on `dyn Disk`.
    fn rename_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// See `link` on `dyn Disk`.
    fn link_from(&self, site: Site, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// See `remove_dir` on `dyn Disk`.
    fn remove_dir_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// See `remove` on `dyn Disk`.
    fn remove_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// See `sync_dir` on `dyn Disk`.
    fn sync_dir_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// See `lock` on `dyn Disk`.
    fn lock_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>>;

    /// See `free_bytes` on `dyn Disk`.
    fn free_bytes_from(&self, site: Site, path: &Path) -> BoxFuture<'_, io::Result<u64>>;
}

impl dyn Disk + '_ {
    /// Opens a file.
    #[track_caller]
    pub fn open(&self, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>> {
        self.open_from(Location::caller(), path, how)
    }

    /// Makes a directory and its parents.
    #[track_caller]
    pub fn create_dir_all(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.create_dir_all_from(Location::caller(), path)
    }

    /// Names of what is in a directory, without its path, sorted.
    #[track_caller]
    pub fn list(&self, path: &Path) -> BoxFuture<'_, io::Result<Vec<String>>> {
        self.list_from(Location::caller(), path)
    }

    /// Renames within one file system, replacing the target. Durable after `sync_dir`.
    #[track_caller]
    pub fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.rename_from(Location::caller(), from, to)
    }

    /// Gives a file a second name on the same file system. Durable after `sync_dir` of the new name's directory.
    /// Some file systems cannot.
    #[track_caller]
    pub fn link(&self, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.link_from(Location::caller(), from, to)
    }

    /// Removes an empty directory.
    #[track_caller]
    pub fn remove_dir(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.remove_dir_from(Location::caller(), path)
    }

    /// Removes a file's name, and the file with its last one. Durable after `sync_dir`.
    #[track_caller]
    pub fn remove(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.remove_from(Location::caller(), path)
    }

    /// Makes creations, renames and removals in a directory durable.
    #[track_caller]
    pub fn sync_dir(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.sync_dir_from(Location::caller(), path)
    }

    /// Takes an exclusive lock on a file for as long as the guard lives; `WouldBlock` if another process has it.
    #[track_caller]
    pub fn lock(&self, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        self.lock_from(Location::caller(), path)
    }

    /// Bytes free for this process on the file system that holds `path`.
    #[track_caller]
    pub fn free_bytes(&self, path: &Path) -> BoxFuture<'_, io::Result<u64>> {
        self.free_bytes_from(Location::caller(), path)
    }
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To read; must exist.
    Read,
    /// To read and write through the page cache; made if absent.
    Write,
    /// To read and write; `write_durable` bypasses the page cache and syncs (O_DIRECT and O_DSYNC) where the file
    /// system can, else writes and syncs. Made if absent.
    Durable,
}

/// An open file: what a back end of the door implements. Callers use the methods of `dyn File`.
///
/// All positions in bytes. Writes at one position by one owner at a time.
pub trait File: Send + Sync + Debug {
    /// See `read_at` on `dyn File`.
    fn read_at_from(&self, site: Site, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>>;

    /// A descriptor to send the range from ([`Stream::poll_send_file`]) if that takes no wait for the device and the
    /// range's bytes, once handed to a socket, stay what they are: pages that a socket refers to must not be written
    /// again. `None`: read it instead.
    fn resident(&self, _position: u64, _len: usize) -> Option<BorrowedFd<'_>> {
        None
    }

    /// See `write_at` on `dyn File`.
    fn write_at_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// See `write_durable` on `dyn File`.
    fn write_durable_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// See `sync` on `dyn File`.
    fn sync_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>>;

    /// See `allocate` on `dyn File`.
    fn allocate_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>>;

    /// See `allocate_unwritten` on `dyn File`.
    fn allocate_unwritten_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>>;

    /// See `set_len` on `dyn File`.
    fn set_len_from(&self, site: Site, len: u64) -> BoxFuture<'_, io::Result<()>>;

    /// See `sync_and_evict` on `dyn File`.
    fn sync_and_evict_from(&self, site: Site) -> BoxFuture<'_, io::Result<()>>;

    /// See `size` on `dyn File`.
    fn size_from(&self, site: Site) -> BoxFuture<'_, io::Result<u64>>;
}

impl dyn File + '_ {
    /// Reads exactly `len` bytes at `position`; `UnexpectedEof` if the file ends before. Never blocks a worker: answers
    /// from the page cache in place, else through a bounded pool of readers.
    #[track_caller]
    pub fn read_at(&self, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        self.read_at_from(Location::caller(), position, len)
    }

    /// Writes through the page cache; durable after `sync`. Off the workers.
    #[track_caller]
    pub fn write_at(&self, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.write_at_from(Location::caller(), position, bytes)
    }

    /// Writes `bytes` at `position` durably. `position` and length are multiples of [`ALIGNMENT`]; if `bytes` is
    /// aligned in memory too (see [`AlignedChunk`]) nothing is copied. In production this completes within one
    /// poll (it blocks the thread for one sync); in a simulation it suspends.
    ///
    /// After an error what the file holds there is unknown, and later syncs may lie: never try again.
    #[track_caller]
    pub fn write_durable(&self, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.write_durable_from(Location::caller(), position, bytes)
    }

    /// Makes everything written so far durable (fdatasync). Off the workers.
    #[track_caller]
    pub fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        self.sync_from(Location::caller())
    }

    /// Allocates blocks up to `len` and writes them with zeros where they were never written, so that later writes
    /// change no metadata. Off the workers.
    #[track_caller]
    pub fn allocate(&self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.allocate_from(Location::caller(), len)
    }

    /// Allocates blocks up to `len` without writing them, where the file system can; else as [`File::allocate`]. The
    /// first write to a block then changes metadata, which a large write does not notice. Off the workers.
    #[track_caller]
    pub fn allocate_unwritten(&self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.allocate_unwritten_from(Location::caller(), len)
    }

    /// Cuts or extends the file.
    #[track_caller]
    pub fn set_len(&self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.set_len_from(Location::caller(), len)
    }

    /// Makes everything written so far durable and forgets what the page cache holds of the file, so that the
    /// next read tells what the device has: after a failed sync the cache may show what was never written.
    #[track_caller]
    pub fn sync_and_evict(&self) -> BoxFuture<'_, io::Result<()>> {
        self.sync_and_evict_from(Location::caller())
    }

    /// Bytes in the file.
    #[track_caller]
    pub fn size(&self) -> BoxFuture<'_, io::Result<u64>> {
        self.size_from(Location::caller())
    }
}

/// What direct writes are aligned to, in bytes.
pub const ALIGNMENT: usize = 4096;

/// Memory that aligned, independent pieces are cut from, and that is used again once all of them are dropped:
/// memory given back to the system costs a page fault per page when it returns.
///
/// ```text
///   | piece (Bytes) | piece (Bytes) | being filled ... | room |
///   ^ aligned       ^ aligned       ^ aligned
/// ```
///
/// A chunk of 2 MiB and more asks for huge pages: what is copied and handed to a device is then found by one entry
/// of the processor's tables, and one piece of the device's list, for 2 MiB instead of 4 KiB.
#[derive(Debug)]
pub struct AlignedChunk {
    room: BytesMut,
    capacity: usize,
}

impl AlignedChunk {
    /// A chunk with room for `capacity` bytes, a multiple of [`ALIGNMENT`].
    pub fn new(capacity: usize) -> Self {
        assert!(capacity.is_multiple_of(ALIGNMENT), "the capacity is a multiple of the alignment");
        let room = BytesMut::with_capacity(capacity + Self::alignment(capacity));
        let mut chunk = AlignedChunk { room, capacity };
        chunk.align();
        huge_pages::advise(chunk.room.spare_capacity_mut());
        chunk
    }

    fn alignment(capacity: usize) -> usize {
        if capacity >= huge_pages::BYTES { huge_pages::BYTES } else { ALIGNMENT }
    }

    /// What it was made with, in bytes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.room.capacity()
    }

    /// Where the next piece is written, with [`bytes::BufMut`]; at most [`AlignedChunk::room`] bytes (more would
    /// move it to other, unaligned memory).
    pub fn filling(&mut self) -> &mut BytesMut {
        &mut self.room
    }

    /// Takes what was filled, padded with zeros to the alignment.
    pub fn cut(&mut self) -> Bytes {
        let padding = self.room.len().next_multiple_of(ALIGNMENT) - self.room.len();
        self.room.put_bytes(0, padding);
        self.room.split().freeze()
    }

    /// Takes all memory back if every piece was dropped. Otherwise nothing changes and the answer is false.
    pub fn reclaim(&mut self) -> bool {
        debug_assert!(self.room.is_empty(), "a piece is being filled");
        if self.room.try_reclaim(self.capacity + Self::alignment(self.capacity)) {
            self.align();
            return true;
        }
        false
    }

    /// Leaves out what is in front of the first aligned byte, and what is more than the capacity behind it.
    fn align(&mut self) {
        let skip = self.room.as_ptr().align_offset(Self::alignment(self.capacity));
        self.room = self.room.split_off(skip);
        drop(self.room.split_off(self.capacity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_chunk_are_aligned_and_its_memory_comes_back() {
        let mut chunk = AlignedChunk::new(4 * ALIGNMENT);
        for round in 0..3u8 {
            let start = chunk.filling().as_ptr();
            chunk.filling().put_bytes(round, 5000);
            let first = chunk.cut();
            chunk.filling().put_bytes(9, 1);
            let second = chunk.cut();
            assert_eq!((first.len(), second.len()), (2 * ALIGNMENT, ALIGNMENT));
            assert_eq!(first.as_ptr(), start);
            assert!(
                first.as_ptr().align_offset(ALIGNMENT) == 0 && second.as_ptr().align_offset(ALIGNMENT) == 0
            );
            assert_eq!((first[4999], first[5000]), (round, 0));
            assert!(!chunk.reclaim(), "pieces are alive");
            let part = second.slice(..10);
            drop((first, second));
            assert!(!chunk.reclaim(), "a slice of a piece is alive");
            drop(part);
            assert!(chunk.reclaim());
            assert!(chunk.room() >= 4 * ALIGNMENT);
        }
    }
}
