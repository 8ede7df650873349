//! The one door to time, randomness, disk, network and tasks.
//!
//! Nothing else in the server touches a clock, a file, a socket, a thread or a random number; `clippy.toml`
//! bans it. In production it leads to the machine; in a simulation to a seeded world in
//! one thread, where every call may take a seeded time. Timers (`tokio::time`) need no door: the
//! simulation pauses tokio's clock.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
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
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

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
    /// The peer.
    pub peer: SocketAddr,
    /// The address that the peer came in by.
    pub local: SocketAddr,
}

/// A directory tree of files.
///
/// Paths are absolute or relative to the working directory, as given by the configuration. Errors are the
/// operating system's.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> BoxFuture<'_, io::Result<Arc<dyn File>>>;

    /// Makes a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// Names in a directory, sorted.
    fn list(&self, path: &Path) -> BoxFuture<'_, io::Result<Vec<PathBuf>>>;

    /// Renames within one file system, replacing the target. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// Removes a file. Durable after [`Disk::sync_dir`].
    fn remove(&self, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// Takes an exclusive lock on a file for as long as the guard lives; `WouldBlock` if another process has it.
    fn lock(&self, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>>;

    /// Bytes free for this process on the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> BoxFuture<'_, io::Result<u64>>;
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

/// An open file. All positions in bytes. Writes at one position by one owner at a time.
pub trait File: Send + Sync + Debug {
    /// Reads exactly `len` bytes at `position`; `UnexpectedEof` if the file ends before. Never blocks a worker: answers
    /// from the page cache in place, else through a bounded pool of readers.
    fn read_at(&self, position: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>>;

    /// Writes through the page cache; durable after [`File::sync`].
    fn write_at(&self, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// Writes `bytes` at `position` durably. `bytes` is [`ALIGNMENT`]-aligned in memory, length and position. In production
    /// this completes within one poll (it blocks the thread for one sync); in a simulation it suspends.
    fn write_durable(&self, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// Makes everything written so far durable (fdatasync). Off the workers.
    fn sync(&self) -> BoxFuture<'_, io::Result<()>>;

    /// Allocates blocks up to `len` and writes them with zeros where they were never written, so that later writes
    /// change no metadata. Off the workers.
    fn allocate(&self, len: u64) -> BoxFuture<'_, io::Result<()>>;

    /// Gives blocks of a range back; they read as zeros. A no-op where the file system cannot.
    fn punch(&self, position: u64, len: u64) -> BoxFuture<'_, io::Result<()>>;

    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> BoxFuture<'_, io::Result<()>>;

    /// Bytes in the file.
    fn size(&self) -> BoxFuture<'_, io::Result<u64>>;
}

/// What direct writes are aligned to, in bytes.
pub const ALIGNMENT: usize = 4096;
