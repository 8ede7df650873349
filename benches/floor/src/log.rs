//! One log of blocks already written, group commit, two arrangements of who writes.
//!
//! Batches wait in frames. A frame takes what comes until it is full; whoever commits takes the oldest frame,
//! writes it with one durable write, and wakes those whose batches were in it.

use crate::Arrangement;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// Direct writes go out in multiples of this, from memory aligned to it.
const BLOCK: usize = 4096;
/// A frame takes no more once it holds this much; a larger request is a frame of its own.
const FRAME_BYTES: usize = 1 << 20;
/// In front of the batches: size and CRC-32C of the frame.
const HEADER: usize = 16;

/// Memory whose used part begins on a block boundary.
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// Zeroed memory for `capacity` bytes.
    pub fn new(capacity: usize) -> Buffer {
        let memory = vec![0; capacity.next_multiple_of(BLOCK) + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        Buffer { memory, start }
    }

    /// The first `size` bytes, rounded up to whole blocks.
    pub fn aligned(&self, size: usize) -> &[u8] {
        &self.memory[self.start..self.start + size.next_multiple_of(BLOCK)]
    }

    fn capacity(&self) -> usize {
        self.memory.len() - BLOCK
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.memory[self.start + at..self.start + at + bytes.len()].copy_from_slice(bytes);
    }
}

struct Frame {
    buffer: Buffer,
    used: usize,
    waiting: Vec<oneshot::Sender<Turn>>,
}

/// What a waiting task is told.
enum Turn {
    /// Its frame is durable.
    Durable,
    /// It is to commit the oldest frame, which holds its own batches.
    Lead,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Frame>,
    pool: Vec<Frame>,
    committing: bool,
    next_offset: u64,
}

/// The log; one per process.
pub struct Log {
    file: OwnedFd,
    size: usize,
    arrangement: Arrangement,
    state: Mutex<State>,
    /// Where the next frame goes; held by whoever commits.
    position: Mutex<usize>,
    filled: Condvar,
}

/// A file of `size` bytes, every block written and synced, opened for direct synchronous writes.
pub fn prepared(path: &Path, size: usize) -> Result<OwnedFd> {
    let zeros = vec![0; 1 << 20];
    let mut file =
        std::fs::File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    for _ in 0..size.div_ceil(zeros.len()) {
        std::io::Write::write_all(&mut file, &zeros)?;
    }
    file.sync_all()?;
    drop(file);
    rustix::fs::open(path, OFlags::WRONLY | OFlags::DIRECT | OFlags::DSYNC, Mode::empty())
        .context("cannot open for direct writes")
}

impl Log {
    /// Opens a log of `size` bytes in `dir`, written anew.
    pub fn open(dir: &Path, size: usize, arrangement: Arrangement) -> Result<Arc<Log>> {
        let log = Arc::new(Log {
            file: prepared(&dir.join("log"), size)?,
            size,
            arrangement,
            state: Mutex::default(),
            position: Mutex::new(0),
            filled: Condvar::new(),
        });
        if arrangement == Arrangement::Thread {
            let log = Arc::clone(&log);
            std::thread::spawn(move || log.commit_for_ever());
        }
        Ok(log)
    }

    /// Appends batches; completes with the first offset when they are durable.
    pub async fn append(&self, batches: impl Iterator<Item = &[u8]>) -> u64 {
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        let offset;
        {
            let mut state = self.lock();
            offset = state.next_offset;
            let mut batches = batches.peekable();
            while let Some(batch) = batches.next() {
                // Offsets count records: the batch header says how many (offset 57).
                let count = batch[57..61].try_into().expect("four bytes");
                state.next_offset += u64::from(u32::from_be_bytes(count));
                let frame = state.frame_for(batch.len());
                frame.buffer.put(frame.used, batch);
                frame.used += batch.len();
                if batches.peek().is_none() {
                    // The last frame is durable after all earlier ones.
                    frame.waiting.push(sender.take().expect("there is one last batch"));
                }
            }
            match self.arrangement {
                Arrangement::Thread => self.filled.notify_one(),
                Arrangement::Leader if !state.committing => {
                    state.committing = true;
                    drop(state);
                    self.lead();
                }
                Arrangement::Leader => {}
            }
        }
        match receiver.await.expect("a frame is never dropped with someone waiting") {
            Turn::Durable => {}
            Turn::Lead => self.lead(),
        }
        offset
    }

    /// Commits the oldest frame, then hands on to someone who waits in the next one, or leaves the log idle. A
    /// frame in which nobody waits (its task waits in a later one) is committed on the way.
    fn lead(&self) {
        let mut state = self.lock();
        while let Some(frame) = state.frames.pop_front() {
            drop(state);
            self.commit(frame);
            state = self.lock();
            if let Some(next) = state.frames.front_mut()
                && let Some(leader) = next.waiting.pop()
                && leader.send(Turn::Lead).is_ok()
            {
                return;
            }
        }
        state.committing = false;
    }

    fn commit_for_ever(&self) {
        loop {
            let mut state = self.lock();
            let frame = loop {
                match state.frames.pop_front() {
                    Some(frame) => break frame,
                    None => state = self.filled.wait(state).expect("no holder panics"),
                }
            };
            drop(state);
            self.commit(frame);
        }
    }

    /// Writes one frame durably and wakes who waits for it. A failed write ends the process: what was not acked
    /// has an unknown outcome.
    fn commit(&self, mut frame: Frame) {
        let size = frame.used.next_multiple_of(BLOCK);
        let crc = crc_fast::checksum(
            crc_fast::CrcAlgorithm::Crc32Iscsi,
            &frame.buffer.aligned(size)[HEADER..frame.used],
        );
        frame.buffer.put(0, &(frame.used as u64).to_le_bytes());
        frame.buffer.put(8, &crc.to_le_bytes());
        let mut position = self.position.lock().expect("no holder panics");
        if *position + size > self.size {
            *position = 0;
        }
        let mut bytes = frame.buffer.aligned(size);
        while !bytes.is_empty() {
            match rustix::io::pwrite(&self.file, bytes, *position as u64) {
                Ok(written) => {
                    bytes = &bytes[written..];
                    *position += written;
                }
                Err(error) => {
                    eprintln!("the log cannot be written: {error}");
                    std::process::exit(1);
                }
            }
        }
        drop(position);
        for waiting in frame.waiting.drain(..) {
            // The connection may be gone.
            let _ = waiting.send(Turn::Durable);
        }
        frame.used = HEADER;
        let mut state = self.lock();
        if state.pool.len() < 16 && frame.buffer.capacity() <= 2 * FRAME_BYTES {
            state.pool.push(frame);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    /// The frame that takes the next `size` bytes: the last one, or a fresh one.
    fn frame_for(&mut self, size: usize) -> &mut Frame {
        let fits = self
            .frames
            .back()
            .is_some_and(|last| last.used + size <= FRAME_BYTES.min(last.buffer.capacity()));
        if !fits {
            let wanted = (HEADER + size).max(FRAME_BYTES);
            let found = self.pool.iter().position(|frame| frame.buffer.capacity() >= wanted);
            let frame = found.map(|index| self.pool.swap_remove(index)).unwrap_or_else(|| Frame {
                buffer: Buffer::new(wanted),
                used: HEADER,
                waiting: Vec::new(),
            });
            self.frames.push_back(frame);
        }
        self.frames.back_mut().expect("just pushed")
    }
}
