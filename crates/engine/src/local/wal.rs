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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::Life;
use crate::codec::crc32c_digest;
use crate::contract::FRAME_MEMORY_BYTES;
use crate::contract::{BoxFuture, EngineError, RangeRead};
use crate::door::{ALIGNMENT, AlignedChunk, File};

const MAGIC: &[u8; 8] = b"KOLKWAL1";
/// Bytes before the first frame.
pub(super) const HEADER_LEN: u64 = ALIGNMENT as u64;

/// A file of the log, known by its slot.
pub(super) struct WalFile {
    pub slot: u64,
    pub capacity: u64,
    pub file: Arc<dyn File>,
    /// Bytes of frames in it.
    pub used: AtomicU64,
    /// Some of it cannot be read: once what can be is elsewhere, it goes.
    pub spoilt: AtomicBool,
}

impl WalFile {
    pub fn new(slot: u64, capacity: u64, file: Arc<dyn File>) -> Self {
        WalFile { slot, capacity, file, used: AtomicU64::new(0), spoilt: AtomicBool::new(false) }
    }
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

    fn file(&self) -> Option<Arc<dyn File>> {
        Some(self.file.clone())
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
    let mut digest = crc32c_digest();
    digest.update(&life.secret);
    digest.update(fields);
    digest.finalize() as u32
}

/// Memory for frames, used again when the tail cache and all readers have let go of it.
pub(super) struct FrameMemory {
    current: AlignedChunk,
    retired: VecDeque<AlignedChunk>,
    retired_max: usize,
}

/// What frames are cut from, in bytes: larger frames get memory of their own.
const CHUNK_BYTES: usize = FRAME_MEMORY_BYTES;
/// The first chunk, less than a huge page: a log that is hardly written to takes memory by ordinary ones.
const CHUNK_BYTES_FIRST: usize = 3 << 19;

impl FrameMemory {
    /// Keeps about `cache_bytes` in circulation.
    pub fn new(cache_bytes: usize) -> Self {
        FrameMemory {
            current: AlignedChunk::new(CHUNK_BYTES_FIRST),
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
            if retired.capacity() == CHUNK_BYTES {
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
