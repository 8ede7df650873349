//! The files of the write-ahead log: allocated, zeroed, written front to back, used again.
//!
//! ```text
//!  0        4096                                                   capacity
//!  | header | frame | frame | ... | not yet used, or of an earlier use |
//! ```
//! A file's name is a slot; what it holds stands in its header: a sequence number that orders the files, the
//! life that writes it and its first frame. To begin or to use a file again is one write of the header, without
//! a rename. Frames only go into blocks that are allocated, so that they meet no full disk, and that were written
//! before, so that they change no metadata (except where frames are large).

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::Notify;

use super::frame::Life;
use crate::contract::{BoxFuture, EngineError, RangeRead};
use crate::door::{ALIGNMENT, AlignedChunk, Disk, File, Open};

const MAGIC: &[u8; 8] = b"KOLKWAL1";
/// Bytes before the first frame.
pub(super) const HEADER_LEN: u64 = ALIGNMENT as u64;

/// A file of the log, known by its slot.
pub(super) struct WalFile {
    pub slot: u64,
    pub capacity: u64,
    pub file: Arc<dyn File>,
}

impl fmt::Debug for WalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&file_name(self.slot))
    }
}

impl RangeRead for WalFile {
    fn read_at(&self, position: u64, len: usize) -> BoxFuture<'_, Result<Bytes, EngineError>> {
        Box::pin(async move {
            self.file
                .read_at(position, len)
                .await
                .map_err(|error| EngineError::Read(format!("{}: {error}", file_name(self.slot)).into()))
        })
    }
}

/// The name of a slot's file.
pub(super) fn file_name(slot: u64) -> String {
    format!("{slot:08}.wal")
}

/// The slot of a file name; `None` if the name is not one of ours.
pub(super) fn slot_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    (digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// What the header of a file in use says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalHeader {
    /// Counts uses of files; orders them.
    pub sequence: u64,
    pub life: u64,
    pub first_frame: u64,
    /// CRC of the frame before the first.
    pub before_crc: u32,
    pub capacity: u64,
}

impl WalHeader {
    /// The header's block.
    pub fn encode(&self, life: &Life) -> Bytes {
        assert_eq!(self.life, life.id, "a life writes its own headers");
        let mut chunk = AlignedChunk::new(ALIGNMENT);
        let out = chunk.filling();
        out.put_slice(MAGIC);
        out.put_u64_le(self.sequence);
        out.put_u64_le(self.life);
        out.put_u64_le(self.first_frame);
        out.put_u64_le(self.capacity);
        out.put_u32_le(self.before_crc);
        let crc = header_crc(life, out);
        out.put_u32_le(crc);
        chunk.cut()
    }

    /// Reads a header of one of `lives`; `None` if there is none.
    pub fn decode(block: &[u8], lives: &[Life]) -> Option<WalHeader> {
        let u64_at = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("8 bytes"));
        let u32_at = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("4 bytes"));
        if block.len() < 48 || &block[..8] != MAGIC {
            return None;
        }
        let life = lives.iter().find(|life| life.id == u64_at(16))?;
        let checks =
            header_crc(life, &block[..44]) == u32_at(44) && block[48..].iter().all(|byte| *byte == 0);
        checks.then(|| WalHeader {
            sequence: u64_at(8),
            life: life.id,
            first_frame: u64_at(24),
            capacity: u64_at(32),
            before_crc: u32_at(40),
        })
    }
}

fn header_crc(life: &Life, fields: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&life.secret);
    digest.update(fields);
    digest.finalize() as u32
}

/// Files that wait to be written, and the task that prepares more of them.
pub(super) struct Spares {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    bytes_max: u64,
    inner: Mutex<SparesInner>,
    /// Told when a spare file is there, or space came free.
    arrived: Notify,
    /// Told when another spare file is wanted.
    wanted: Notify,
    /// So many wait for a commit that must not wait for the rewrite: see [`Spares::beyond_bound`].
    beyond_bound: AtomicU64,
    /// No blocks could be allocated: appends that do not fit into what is allocated are refused.
    disk_full: AtomicBool,
    /// Bytes that frames can still be written to, in the current file and the spare ones.
    room: AtomicU64,
    /// Size of recent frames, smoothed, in bytes.
    frame_bytes: AtomicU64,
}

/// Above this size of recent frames, in bytes, new files are allocated and not written: to write them twice costs more
/// than large frames lose by changing metadata. Such files mostly become segments, so that new ones are made all
/// the time.
const LARGE_FRAME_BYTES: u64 = 256 << 10;

struct SparesInner {
    spare: VecDeque<WalFile>,
    next_slot: u64,
    /// Bytes of all files of the log, in use and spare.
    bytes: u64,
    /// The size of the next new file.
    next_capacity: u64,
    capacity_max: u64,
    /// A frame waits that needs a file at least this large.
    needed: u64,
}

/// Sizes, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalSizes {
    /// The first file's size; each further one doubles up to `file_max`.
    pub file_first: u64,
    pub file_max: u64,
    /// All files together.
    pub total_max: u64,
}

impl Spares {
    /// Starts with the spare files that recovery found. `bytes` counts the files in use too.
    pub fn new(
        disk: Arc<dyn Disk>,
        directory: &Path,
        sizes: WalSizes,
        spare: Vec<WalFile>,
        next_slot: u64,
        bytes: u64,
    ) -> Self {
        let room = spare.iter().map(|file| file.capacity - HEADER_LEN).sum();
        Spares {
            disk,
            directory: directory.to_path_buf(),
            bytes_max: sizes.total_max,
            inner: Mutex::new(SparesInner {
                spare: spare.into(),
                next_slot,
                bytes,
                next_capacity: sizes.file_first,
                capacity_max: sizes.file_max,
                needed: 0,
            }),
            arrived: Notify::new(),
            wanted: Notify::new(),
            beyond_bound: AtomicU64::new(0),
            disk_full: AtomicBool::new(false),
            room: AtomicU64::new(room),
            frame_bytes: AtomicU64::new(0),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, SparesInner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    /// Takes a file with room for a frame of `len` bytes; waits until there is one.
    pub async fn take(&self, len: u64) -> WalFile {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut inner = self.inner();
                let fits = |file: &WalFile| file.capacity >= HEADER_LEN + len;
                if let Some(at) = inner.spare.iter().position(fits) {
                    inner.needed = 0;
                    return inner.spare.remove(at).expect("its position was just found");
                }
                inner.needed = HEADER_LEN + len;
            }
            self.wanted.notify_one();
            arrived.await;
        }
    }

    /// Takes a file back whose frames nobody needs any more.
    pub fn give_back(&self, file: WalFile) {
        self.room.fetch_add(file.capacity - HEADER_LEN, Ordering::Relaxed);
        self.inner().spare.push_back(file);
        self.arrived.notify_one();
    }

    /// A file left the log for good, as a segment.
    pub fn became_a_segment(&self, capacity: u64) {
        self.inner().bytes -= capacity;
        self.wanted.notify_one();
    }

    /// Counts room that is lost at a file's end.
    pub fn used(&self, bytes: u64) {
        let before = self.room.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "frames only go where there is room");
    }

    /// Lets the log grow beyond its bound until the answer is dropped: for commits that the rewrite, which frees files,
    /// waits for itself, or that come when it is over.
    pub fn beyond_bound(&self) -> BeyondBound<'_> {
        self.beyond_bound.fetch_add(1, Ordering::Relaxed);
        self.wanted.notify_one();
        BeyondBound(self)
    }

    /// Counts the room that a frame took, and its size.
    pub fn frame_written(&self, bytes: u64) {
        self.used(bytes);
        let before = self.frame_bytes.load(Ordering::Relaxed);
        self.frame_bytes.store(before - before / 8 + bytes / 8, Ordering::Relaxed);
    }

    /// Asks for one more spare file, in the background.
    pub fn want_more(&self) {
        self.wanted.notify_one();
    }

    /// Bytes of room if the disk has no more to give, so that what is decided must fit; else `None`.
    pub fn room_if_full(&self) -> Option<u64> {
        self.disk_full.load(Ordering::Relaxed).then(|| self.room.load(Ordering::Relaxed))
    }

    /// Makes one more file if none is spare and the log may grow. An error is the disk's: nothing was made.
    pub async fn prepare(&self) -> io::Result<()> {
        let (slot, capacity) = {
            let mut inner = self.inner();
            let fits = inner.needed.max(HEADER_LEN + ALIGNMENT as u64);
            let enough = inner.spare.iter().any(|file| file.capacity >= fits);
            let bound = self.bytes_max <= inner.bytes && inner.needed <= inner.capacity_max;
            // After a failure it tries until it succeeds: that is how appends are taken again.
            let healing = self.disk_full.load(Ordering::Relaxed);
            if (enough && !healing) || (bound && self.beyond_bound.load(Ordering::Relaxed) == 0) {
                return Ok(());
            }
            let capacity = inner.next_capacity.max(inner.needed).next_multiple_of(ALIGNMENT as u64);
            let slot = inner.next_slot;
            inner.next_slot += 1;
            (slot, capacity)
        };
        match self.make(slot, capacity).await {
            Ok(file) => {
                {
                    let mut inner = self.inner();
                    inner.bytes += capacity;
                    inner.next_capacity = (inner.next_capacity * 2).min(inner.capacity_max);
                }
                self.disk_full.store(false, Ordering::Relaxed);
                self.give_back(file);
                Ok(())
            }
            Err(error) => {
                self.disk_full.store(true, Ordering::Relaxed);
                // What was allocated before the error is given back; if that fails too it is found at the next start.
                let _ = self.disk.remove(&self.directory.join(file_name(slot))).await;
                Err(error)
            }
        }
    }

    async fn make(&self, slot: u64, capacity: u64) -> io::Result<WalFile> {
        let file = self.disk.open(&self.directory.join(file_name(slot)), Open::Durable).await?;
        if self.frame_bytes.load(Ordering::Relaxed) > LARGE_FRAME_BYTES {
            file.reserve(capacity).await?;
        } else {
            file.allocate(capacity).await?;
        }
        self.disk.sync_dir(&self.directory).await?;
        Ok(WalFile { slot, capacity, file })
    }

    /// Waits until another file is wanted.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

/// Somebody for whom the log may grow beyond its bound.
pub(super) struct BeyondBound<'a>(&'a Spares);

impl Drop for BeyondBound<'_> {
    fn drop(&mut self) {
        self.0.beyond_bound.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory for frames, used again when the tail cache and all readers have let go of it.
pub(super) struct FrameMemory {
    current: AlignedChunk,
    retired: VecDeque<AlignedChunk>,
    retired_max: usize,
}

/// What frames are cut from, in bytes: larger frames get memory of their own.
const CHUNK_BYTES: usize = 4 << 20;

impl FrameMemory {
    /// Keeps about `cache_bytes` in circulation.
    pub fn new(cache_bytes: usize) -> Self {
        FrameMemory {
            current: AlignedChunk::new(0),
            retired: VecDeque::new(),
            retired_max: cache_bytes.div_ceil(CHUNK_BYTES) + 2,
        }
    }

    /// Fills aligned memory of at most `len` bytes, which `fill` must not exceed.
    pub fn frame<T>(&mut self, len: usize, fill: impl FnOnce(&mut BytesMut) -> T) -> (Bytes, T) {
        if len > CHUNK_BYTES {
            let mut chunk = AlignedChunk::new(len);
            let filled = fill(chunk.filling());
            return (chunk.cut(), filled);
        }
        if self.current.room() < len {
            let free = self.retired.front_mut().is_some_and(AlignedChunk::reclaim);
            let next = if free { self.retired.pop_front() } else { None };
            let next = next.unwrap_or_else(|| AlignedChunk::new(CHUNK_BYTES));
            let retired = std::mem::replace(&mut self.current, next);
            if retired.capacity() > 0 {
                self.retired.push_back(retired);
            }
            if self.retired.len() > self.retired_max {
                // A slow reader holds it; its memory is freed when it lets go.
                self.retired.pop_front();
            }
        }
        let filled = fill(self.current.filling());
        (self.current.cut(), filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_headers_come_back() {
        assert_eq!(slot_of(&file_name(12)), Some(12));
        assert_eq!(slot_of("12.wal"), None);
        assert_eq!(slot_of("00000012.seg"), None);
        let life = Life { id: 3, secret: [9; 16] };
        let header = WalHeader { sequence: 4, life: 3, first_frame: 17, before_crc: 99, capacity: 1 << 20 };
        let block = header.encode(&life);
        assert_eq!(block.len(), ALIGNMENT);
        assert_eq!(WalHeader::decode(&block, &[Life { id: 2, secret: [9; 16] }, life]), Some(header));
        assert_eq!(WalHeader::decode(&block, &[Life { id: 3, secret: [8; 16] }]), None);
        assert_eq!(WalHeader::decode(&[0; 4096], &[life]), None);
    }

    #[test]
    fn frame_memory_is_used_again_once_nobody_holds_it() {
        let mut memory = FrameMemory::new(CHUNK_BYTES);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let (frame, ()) = memory.frame(1 << 20, |out| out.put_bytes(1, 1 << 20));
            assert_eq!(frame.as_ptr().align_offset(ALIGNMENT), 0);
            seen.insert(frame.as_ptr() as usize);
        }
        assert!(seen.len() <= 12, "{} places for frames that live one at a time", seen.len());
        let (large, ()) = memory.frame(CHUNK_BYTES + ALIGNMENT, |out| out.put_bytes(1, CHUNK_BYTES + 1));
        assert_eq!(large.len(), CHUNK_BYTES + ALIGNMENT);
    }
}
