//! Space before decision: the log files that wait to be written, and whether more may be decided.
//!
//! ```text
//!  the disk   | segments, snapshots | log: written | room          | free                               |
//!                                                    |     |     |    '- kept: one rewrite of what is written
//!                                              appends  commands  what frees space
//! ```
//! A frame goes only into blocks that are allocated, so nothing is decided before there is room for it: what is decided
//! never meets a full disk. Three answers to who wants to decide ([`Verdict`]): there is room; there will be, once a file is
//! made or the rewrite gives one back; there is none, and the disk has no more.
//!
//! Three reserves. Of the room, the last part is for commands, and the last part of that for commands that free space. Of
//! what is free on the disk, as much is left alone as a rewrite of the whole log and a snapshot would take: a log that was
//! let in can always become segments, and its files come free. While less than that is free, appends are refused,
//! and spare files go back to the disk. And one small file is set apart for the day when others have taken even
//! that: with it deletes go on, and a start on a full disk finds the few blocks that it needs. Where it is used up deletes take
//! a file of the least size out of what is kept free, as long as the log can still be rewritten.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::frame;
use super::wal::{HEADER_LEN, WalFile, file_name};
use crate::defects::{Defect, defect};
use crate::door::{ALIGNMENT, Disk, Open};

/// Who asks for room; each leaves some to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Append,
    Command,
    /// Deletes, trims and what else makes files free.
    Freeing,
}

/// Whether something may be decided now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It fits into blocks that are there.
    Room,
    /// As [`Verdict::Room`], if no other frame that needs a file of its own size waits.
    RoomAlone,
    /// A file is being made, or must come from the rewrite.
    Later,
    /// The disk is full.
    Full,
}

/// What is decided and not yet written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    /// Bytes of all frames, without padding.
    pub bytes: usize,
    /// With the one that the next decision would begin.
    pub frames: usize,
}

impl Queue {
    /// Room that the queue takes with `bytes` more, at most: frames are padded, and one that does not fit leaves the rest
    /// of its file, which is less than the frame, unused.
    fn room_with(self, bytes: usize) -> u64 {
        let overhead = frame::ITEM_OVERHEAD_MAX + frame::HEADER_LEN + DECISION_BYTES;
        2 * (self.bytes + bytes + overhead + (self.frames + 1) * ALIGNMENT) as u64
    }
}

/// What the decision about a batch takes in a frame at most, and one that it brings about, in bytes.
const DECISION_BYTES: usize = 256;

/// Sizes, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalSizes {
    /// The first file's size; each further one doubles up to `file_max`.
    pub file_first: u64,
    pub file_max: u64,
    /// All files together.
    pub total_max: u64,
    /// What a frame takes but for one larger batch.
    pub frame_max: u64,
}

impl WalSizes {
    /// The same sizes, large enough for any frame that is not one large batch.
    pub fn at_least_a_frame(self) -> Self {
        let file_first = self.file_first.max(self.file_useful());
        WalSizes { file_first, file_max: self.file_max.max(file_first), ..self }
    }

    /// A smaller file would not take every frame, so that room in it could not be counted on.
    fn file_useful(&self) -> u64 {
        let useful = HEADER_LEN + self.frame_max + self.frame_max / 4 + FRAME_SLACK;
        useful.next_multiple_of(ALIGNMENT as u64)
    }

    /// Room that is left to others.
    fn kept_by(&self, who: For) -> u64 {
        match who {
            For::Append => self.file_first / 4,
            For::Command => self.file_first / 16,
            For::Freeing => 0,
        }
    }

    /// The smallest file that is worth making.
    fn file_min(&self) -> u64 {
        let wanted = HEADER_LEN + 2 * self.frame_max + 2 * self.kept_by(For::Append);
        wanted.next_multiple_of(ALIGNMENT as u64).min(self.file_first)
    }
}

/// What a start found of the log's files.
#[derive(Debug, Default)]
pub(super) struct FoundFiles {
    pub spare: Vec<WalFile>,
    pub next_slot: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files in use, and their bytes.
    pub complete: u64,
    pub complete_bytes: u64,
}

/// What became of [`Space::prepare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepared {
    /// Nothing is wanted, or a file was made.
    Enough,
    /// Only the rewrite can give a file.
    Rewrite,
    /// The disk has no space.
    NoSpace,
}

/// What [`Space::prepare`] has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// There is a spare file, and one set apart.
    Nothing,
    /// To wait for the rewrite.
    Rewrite,
    /// The disk has no space for a file.
    NoSpace,
    /// To make the file that is set apart, of so many bytes.
    Emergency(u64),
    /// To make a spare file of so many bytes.
    Spare(u64),
}

/// A spare file taken out, and the capacity that it shall have: 0 to be removed.
pub(super) struct Surplus {
    file: WalFile,
    capacity: u64,
}

/// See the module.
pub(super) struct Space {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    sizes: WalSizes,
    inner: Mutex<Inner>,
    /// Told when a spare file is there.
    arrived: Notify,
    /// Told when [`Space::prepare`] has something to do.
    wanted: Notify,
    /// Bytes that frames can still be written to, in the current file and the spare ones.
    room: AtomicU64,
    /// What fits into every spare file, in bytes.
    fits_any: AtomicU64,
    /// Bytes that frames take in all files in use.
    log_bytes: AtomicU64,
    /// Of those, bytes that a rewrite would not copy, as far as they were looked for.
    dead_bytes: AtomicU64,
    /// Complete files in use: what a rewrite would free.
    complete: AtomicU64,
    /// Size of the last snapshot, in bytes.
    snapshot_bytes: AtomicU64,
    /// Bytes free on the disk when it was last asked, and how large the log was then.
    free: AtomicU64,
    asked_at: AtomicU64,
    /// Less is free than a rewrite would take: appends are refused.
    low: AtomicBool,
    /// Since then, the bytes of the largest append that was refused because too little would have been left free, with what
    /// was queued before it. Becomes less while none is refused.
    refused: AtomicU64,
    /// No further file can be made: the disk has no blocks for one, or less than is kept free would be left.
    no_more: AtomicBool,
    /// The file that was set apart is in use.
    emergency_in_use: AtomicBool,
    /// What was said last: that the disk is full.
    told: AtomicBool,
    /// Somebody waits for room, and only the rewrite can give it.
    rewrite: AtomicBool,
    /// Size of recent frames, smoothed, in bytes.
    frame_bytes: AtomicU64,
}

/// Above this size of recent frames, in bytes, new files are allocated and not written: to write them twice costs more
/// than large frames lose by changing metadata. Such files mostly become segments, so that new ones are made all
/// the time.
const LARGE_FRAME_BYTES: u64 = 256 << 10;

/// What a start on a full disk can do with, in bytes: the file set apart has this much more than the smallest.
const FOR_A_START: u64 = 64 << 10;

struct Inner {
    spare: VecDeque<WalFile>,
    /// Set apart: its room does not count.
    emergency_file: Option<WalFile>,
    next_slot: u64,
    /// Bytes of all files of the log, in use and spare.
    bytes: u64,
    /// The size of the next new file.
    next_capacity: u64,
    /// Somebody waits for a file at least this large.
    needed: u64,
    /// Somebody waits for this much room.
    needed_room: u64,
    /// Who frees space waits for room: the file that is set apart is for them, or one that is made of what is kept free.
    freeing: bool,
}

impl Space {
    /// Starts with the files that recovery found. Ask [`Space::ask`] before the first decision.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path, sizes: WalSizes, found: FoundFiles) -> Self {
        let space = Space {
            disk,
            directory: directory.to_path_buf(),
            sizes,
            inner: Mutex::new(Inner {
                spare: VecDeque::new(),
                emergency_file: None,
                next_slot: found.next_slot,
                bytes: found.bytes,
                next_capacity: sizes.file_first,
                needed: 0,
                needed_room: 0,
                freeing: false,
            }),
            arrived: Notify::new(),
            wanted: Notify::new(),
            room: AtomicU64::new(0),
            fits_any: AtomicU64::new(u64::MAX),
            log_bytes: AtomicU64::new(found.complete_bytes),
            dead_bytes: AtomicU64::new(0),
            complete: AtomicU64::new(found.complete),
            snapshot_bytes: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            asked_at: AtomicU64::new(0),
            low: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            no_more: AtomicBool::new(false),
            emergency_in_use: AtomicBool::new(false),
            told: AtomicBool::new(false),
            rewrite: AtomicBool::new(false),
            frame_bytes: AtomicU64::new(0),
        };
        let mut spare = found.spare;
        debug_assert!(spare.iter().all(|file| space.can_use(file.capacity)), "others are removed before");
        if spare.len() > 1 {
            let fit = spare.iter().enumerate().filter(|(_, file)| file.capacity >= sizes.file_min());
            let smallest = fit.min_by_key(|(_, file)| file.capacity).map(|(at, _)| at);
            space.inner().emergency_file = smallest.map(|at| spare.remove(at));
        }
        spare.into_iter().for_each(|file| space.give_back(file));
        space
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    /// Whether something with `bytes` may be decided behind `queue`. Ask under the lock that decisions are made under.
    pub fn verdict(&self, queue: Queue, bytes: usize, who: For) -> Verdict {
        if who == For::Append {
            // What is decided is rewritten too.
            let with_queue = (queue.bytes + bytes) as u64;
            if self.free.load(Relaxed) < self.kept_free() + with_queue {
                self.refused.fetch_max(with_queue, Relaxed);
                self.set_low(true);
            }
            if self.low.load(Relaxed) || self.emergency_in_use.load(Relaxed) {
                return Verdict::Full;
            }
        }
        let needed_room = queue.room_with(bytes) + self.sizes.kept_by(who);
        let fits_any = bytes as u64 + FRAME_SLACK <= self.fits_any.load(Relaxed);
        if needed_room <= self.room.load(Relaxed) {
            if fits_any {
                return Verdict::Room;
            }
            let own = HEADER_LEN + bytes as u64 + FRAME_SLACK;
            if self.inner().spare.iter().any(|file| file.capacity >= own) {
                return Verdict::RoomAlone;
            }
        }
        let own = HEADER_LEN + bytes as u64 + FRAME_SLACK;
        let mut inner = self.inner();
        let no_more = self.no_more.load(Relaxed);
        if who == For::Freeing {
            if inner.emergency_file.is_some() || self.small_file(own, needed_room).is_some() {
                inner.needed = inner.needed.max(own);
                inner.needed_room = inner.needed_room.max(needed_room);
                // Once for each wait: what waits is asked about again behind each look for room.
                if !std::mem::replace(&mut inner.freeing, true) {
                    self.wanted.notify_one();
                }
                return Verdict::Later;
            }
            // What is queued may take less than it could.
            if no_more {
                return if queue.bytes > 0 || queue.frames > 1 { Verdict::Later } else { Verdict::Full };
            }
        }
        if inner.needed < own || inner.needed_room < needed_room {
            inner.needed = inner.needed.max(own);
            inner.needed_room = inner.needed_room.max(needed_room);
            self.wanted.notify_one();
        }
        if no_more { Verdict::Full } else { Verdict::Later }
    }

    /// Whether an empty frame may be queued behind `queue`. Asks for no more room.
    pub fn has_room_for_a_seal(&self, queue: Queue) -> bool {
        queue.room_with(0) <= self.room.load(Relaxed) && FRAME_SLACK <= self.fits_any.load(Relaxed)
    }

    /// The size of a file that is just enough for who waits, if it can be made out of what is kept free so that all of the log
    /// can still be rewritten.
    fn small_file(&self, needed: u64, needed_room: u64) -> Option<u64> {
        let missing = HEADER_LEN + needed_room.saturating_sub(self.room.load(Relaxed));
        let small = self.sizes.file_useful().max(needed).max(missing).next_multiple_of(ALIGNMENT as u64);
        self.can_copy(self.live_bytes() + small, true).then_some(small)
    }

    /// Takes the smallest file with room for a frame of `len` bytes. What was let in by [`Space::verdict`] finds one.
    pub async fn take(&self, len: u64) -> WalFile {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut inner = self.inner();
                let fits =
                    inner.spare.iter().enumerate().filter(|(_, file)| file.capacity >= HEADER_LEN + len);
                if let Some((at, _)) = fits.min_by_key(|(_, file)| file.capacity) {
                    let file = inner.spare.remove(at).expect("its position was just found");
                    self.spares_changed(&inner);
                    return file;
                }
                inner.needed = inner.needed.max(HEADER_LEN + len);
            }
            debug_assert!(false, "a frame of {len} bytes was decided without room for it");
            self.wanted.notify_one();
            arrived.await;
        }
    }

    fn spares_changed(&self, inner: &Inner) {
        let smallest = inner.spare.iter().map(|file| file.capacity - HEADER_LEN).min();
        self.fits_any.store(smallest.unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether a file can be used again; one of smaller sizes set before is to be removed.
    pub fn can_use(&self, capacity: u64) -> bool {
        capacity >= self.sizes.file_useful()
    }

    /// Takes a file in that frames can be written to from its beginning.
    pub fn give_back(&self, file: WalFile) {
        file.used.store(0, Relaxed);
        let mut inner = self.inner();
        self.room.fetch_add(file.capacity - HEADER_LEN, Relaxed);
        inner.spare.push_back(file);
        self.spares_changed(&inner);
        drop(inner);
        self.no_more.store(false, Relaxed);
        self.rewrite.store(false, Relaxed);
        self.arrived.notify_one();
    }

    /// A file is complete; `rest` bytes at its end stay unused.
    pub fn file_full(&self, rest: u64) {
        self.complete.fetch_add(1, Relaxed);
        self.take_room(rest);
    }

    /// Whether the log has its bound without a file of `capacity`, and another one to go on with.
    pub fn is_beyond_bound(&self, capacity: u64) -> bool {
        let inner = self.inner();
        inner.bytes >= self.sizes.total_max + capacity && !inner.spare.is_empty()
    }

    /// So many files of the log, with so many bytes of frames, hold nothing any more that is not elsewhere too. Call when they
    /// were handed back.
    pub fn files_freed(&self, files: u64, bytes: u64) {
        self.complete.fetch_sub(files, Relaxed);
        self.log_bytes.fetch_sub(bytes, Relaxed);
        self.dead_bytes.store(0, Relaxed);
        self.wanted.notify_one();
    }

    /// A file left the log for good.
    pub fn file_gone(&self, capacity: u64) {
        self.inner().bytes -= capacity;
        self.wanted.notify_one();
    }

    fn take_room(&self, bytes: u64) {
        let before = self.room.fetch_sub(bytes, Relaxed);
        debug_assert!(before >= bytes, "frames only go where there is room");
    }

    /// Counts a frame.
    pub fn frame_written(&self, file: &WalFile, bytes: u64) {
        self.take_room(bytes);
        file.used.fetch_add(bytes, Relaxed);
        let before = self.frame_bytes.load(Relaxed);
        self.frame_bytes.store(before - before / 8 + bytes / 8, Relaxed);
        let log_bytes = self.log_bytes.fetch_add(bytes, Relaxed) + bytes;
        if self.shall_ask(log_bytes) {
            self.wanted.notify_one();
        }
        if self.free.load(Relaxed) < self.kept_free() {
            self.set_low(true);
        }
    }

    /// Counts a snapshot's size.
    pub fn snapshot_written(&self, bytes: u64) {
        self.snapshot_bytes.store(bytes, Relaxed);
    }

    /// What must stay free on the disk: a rewrite of the whole log, a snapshot, and a little.
    fn kept_free(&self) -> u64 {
        self.live_bytes() + self.snapshot_bytes.load(Relaxed) + self.sizes.file_first / 4
    }

    /// Bytes of the log that a rewrite of all of it would copy, as far as they were looked for.
    fn live_bytes(&self) -> u64 {
        self.log_bytes.load(Relaxed).saturating_sub(self.dead_bytes.load(Relaxed))
    }

    /// While space is short: of the log only so many bytes are alive.
    pub fn set_live(&self, live: u64) {
        self.dead_bytes.store(self.log_bytes.load(Relaxed).saturating_sub(live), Relaxed);
    }

    fn set_low(&self, low: bool) {
        if self.low.swap(low, Relaxed) != low {
            self.wanted.notify_one();
        }
        if !low {
            self.refused.store(0, Relaxed);
        }
    }

    /// A while passed in which no append was refused for its size, or few: less must come free for smaller ones.
    pub fn forget_refused(&self) {
        self.refused.fetch_sub(self.refused.load(Relaxed).div_ceil(2), Relaxed);
    }

    /// Says once that the disk is full, and once that space came back.
    pub fn tell(&self) {
        let short = self.is_short();
        if self.told.swap(short, Relaxed) == short {
            return;
        }
        let (free, kept_free) = (self.free.load(Relaxed), self.kept_free());
        if short {
            tracing::error!(free, kept_free, "the disk is full: appends are refused until space comes back");
        } else {
            tracing::info!(free, kept_free, "space came back: appends are taken again");
        }
    }

    /// Whether appends are refused, or no further file can be made.
    pub fn is_short(&self) -> bool {
        self.low.load(Relaxed) || self.no_more.load(Relaxed) || self.emergency_in_use.load(Relaxed)
    }

    /// Whether files are complete, so that a rewrite would free some.
    pub fn has_complete(&self) -> bool {
        self.complete.load(Relaxed) > 0
    }

    /// Whether a rewrite is due before its time: it would give room that is missing.
    pub fn wants_rewrite(&self) -> bool {
        self.has_complete() && (self.is_short() || self.rewrite.load(Relaxed))
    }

    /// A write met a full disk, whatever the disk says is free: who waits is not to wait for what it says.
    pub fn met_full_disk(&self) {
        self.free.store(0, Relaxed);
        self.no_more.store(true, Relaxed);
        self.set_low(true);
    }

    /// Whether copying `bytes` leaves enough free. `all` counts what is kept free as there to be used, but for a snapshot.
    pub fn can_copy(&self, bytes: u64, all: bool) -> bool {
        let kept_free = if all { self.snapshot_bytes.load(Relaxed) } else { self.kept_free() };
        self.free.load(Relaxed) >= bytes.saturating_add(kept_free)
    }

    /// Whether there is room to copy what is alive of the log.
    fn can_rewrite(&self) -> bool {
        !self.is_short() || self.can_copy(self.live_bytes(), true)
    }

    /// Whether the log has changed so much since the disk was asked that it is asked again.
    fn shall_ask(&self, log_bytes: u64) -> bool {
        log_bytes.abs_diff(self.asked_at.load(Relaxed)) >= self.sizes.file_first
    }

    /// Asks the disk what is free. What a disk that does not say said last holds on.
    pub async fn ask(&self) {
        let Ok(free) = self.disk.free_bytes(&self.directory).await else { return };
        self.asked_at.store(self.log_bytes.load(Relaxed), Relaxed);
        self.free.store(free, Relaxed);
        let kept_free = self.kept_free();
        // Once it was low, a little more must come back, and what the next append takes.
        let more = (self.sizes.file_first / 8).max(self.refused.load(Relaxed));
        let enough = if self.low.load(Relaxed) { kept_free + more } else { kept_free };
        self.set_low(free < enough);
    }

    /// Bytes free on the disk when it was last asked.
    pub fn free_bytes(&self) -> u64 {
        self.free.load(Relaxed)
    }

    /// Bytes of all files of the log, and what they may grow to.
    pub fn wal_sizes(&self) -> (u64, u64) {
        (self.inner().bytes, self.sizes.total_max)
    }

    /// Asks for one more spare file, in the background.
    pub fn want_more(&self) {
        self.wanted.notify_one();
    }

    /// Makes one more file if one is wanted and the log may grow. An error is the disk's: nothing was made.
    pub async fn prepare(&self) -> io::Result<Prepared> {
        let log_bytes = self.log_bytes.load(Relaxed);
        if self.is_short() || self.shall_ask(log_bytes) {
            self.ask().await;
        }
        let (slot, capacity, is_emergency) = {
            let mut inner = self.inner();
            match self.next_file(&inner) {
                Next::Nothing => {
                    self.is_enough(&mut inner);
                    return Ok(Prepared::Enough);
                }
                Next::Emergency(capacity) => {
                    self.is_enough(&mut inner);
                    (take_slot(&mut inner), capacity, true)
                }
                Next::Spare(capacity) => (take_slot(&mut inner), capacity, false),
                Next::Rewrite => {
                    self.rewrite.store(true, Relaxed);
                    return Ok(Prepared::Rewrite);
                }
                Next::NoSpace => {
                    self.no_file(inner);
                    return Ok(Prepared::NoSpace);
                }
            }
        };
        match self.make(slot, capacity).await {
            Ok(file) => {
                let mut inner = self.inner();
                inner.bytes += capacity;
                if is_emergency {
                    inner.emergency_file = Some(file);
                    self.emergency_in_use.store(false, Relaxed);
                } else {
                    inner.next_capacity = (inner.next_capacity * 2).min(self.sizes.file_max);
                    drop(inner);
                    self.give_back(file);
                }
            }
            Err(error) => {
                // What was allocated before the error is given back; if that fails too it is found at the next start.
                let _ = self.disk.remove(&self.directory.join(file_name(slot))).await;
                if !is_full(&error) {
                    return Err(error);
                }
                // Whatever it says.
                self.free.fetch_min(capacity - 1, Relaxed);
                self.no_file(self.inner());
                return Ok(Prepared::NoSpace);
            }
        }
        self.ask().await;
        // Perhaps there is more to do.
        self.wanted.notify_one();
        Ok(Prepared::Enough)
    }

    /// No further file can be made: who waits for one is told so. Who frees space goes on with the one that is set apart.
    fn no_file(&self, mut inner: MutexGuard<'_, Inner>) {
        (inner.needed, inner.needed_room) = (0, 0);
        self.no_more.store(true, Relaxed);
        let is_due =
            std::mem::take(&mut inner.freeing) || self.room.load(Relaxed) < self.sizes.kept_by(For::Command);
        let file = inner.emergency_file.take_if(|_| is_due);
        drop(inner);
        if let Some(file) = file {
            self.emergency_in_use.store(true, Relaxed);
            self.give_back(file);
        }
    }

    /// Which file is to be made by what is known now. Changes nothing.
    fn next_file(&self, inner: &Inner) -> Next {
        let file_min = self.sizes.file_min();
        let needed = inner.needed.max(HEADER_LEN + ALIGNMENT as u64);
        let room = self.room.load(Relaxed);
        // A new file takes its bytes twice: now, and when it is rewritten.
        let affordable = self.free.load(Relaxed).saturating_sub(self.kept_free() + room) / 2;
        if inner.spare.iter().any(|file| file.capacity >= needed) && room >= inner.needed_room {
            let capacity = file_min + FOR_A_START;
            return if inner.emergency_file.is_some() || affordable < capacity {
                Next::Nothing
            } else {
                Next::Emergency(capacity)
            };
        }
        // What a rewrite gives back is not made beyond the bound. Where it has nothing to give the bound gives way:
        // one request may be larger than it. Where the disk has no room for it, nothing is to be waited for.
        // Who frees space does not wait for it while there is a file set apart.
        let set_apart = inner.freeing && inner.emergency_file.is_some() && self.is_short();
        if inner.bytes >= self.sizes.total_max && self.has_complete() && self.can_rewrite() {
            return if set_apart { Next::NoSpace } else { Next::Rewrite };
        }
        let wanted = inner.next_capacity.max(needed).max(inner.needed_room.saturating_sub(room));
        let capacity =
            wanted.next_multiple_of(ALIGNMENT as u64).min(affordable - affordable % ALIGNMENT as u64);
        if capacity >= file_min.max(inner.needed) {
            return Next::Spare(capacity);
        }
        let small = self.small_file(inner.needed, inner.needed_room);
        let small = small.filter(|_| inner.freeing && inner.emergency_file.is_none());
        small.map_or(Next::NoSpace, Next::Spare)
    }

    /// Nobody waits for a file any more.
    fn is_enough(&self, inner: &mut Inner) {
        (inner.needed, inner.needed_room, inner.freeing) = (0, 0, false);
        self.no_more.store(false, Relaxed);
    }

    async fn make(&self, slot: u64, capacity: u64) -> io::Result<WalFile> {
        let file = self.disk.open(&self.directory.join(file_name(slot)), Open::Durable).await?;
        if self.frame_bytes.load(Relaxed) > LARGE_FRAME_BYTES {
            file.allocate_unwritten(capacity).await?;
        } else {
            file.allocate(capacity).await?;
        }
        if !defect(Defect::DirectoryNotSynced) {
            self.disk.sync_dir(&self.directory).await?;
        }
        Ok(WalFile::new(slot, capacity, file))
    }

    /// While the disk is full: takes a spare file out of which `queue` and the reserves can do without a part, to be cut
    /// with [`Space::cut`]. Ask under the lock that decisions are made under.
    pub fn surplus(&self, queue: Queue) -> Option<Surplus> {
        if !self.low.load(Relaxed) {
            return None;
        }
        let (decided, kept) = (queue.room_with(0), self.sizes.kept_by(For::Append));
        let mut inner = self.inner();
        let room = self.room.load(Relaxed);
        let (at, file) = inner.spare.iter().enumerate().max_by_key(|(_, file)| file.capacity)?;
        let its_room = file.capacity - HEADER_LEN;
        let without = room.checked_sub(its_room)?;
        // The last one stays, cut: a start on a full disk needs one.
        let can_go = inner.spare.len() > 1 && without >= decided + kept;
        let capacity = if can_go { 0 } else { self.sizes.file_min() };
        if without < decided || capacity >= file.capacity {
            return None;
        }
        let file = inner.spare.remove(at).expect("its position was just found");
        // The committer takes room meanwhile, of the file that it writes.
        self.room.fetch_sub(its_room, Relaxed);
        inner.bytes -= file.capacity;
        inner.next_capacity = self.sizes.file_first;
        self.spares_changed(&inner);
        Some(Surplus { file, capacity })
    }

    /// Gives a spare file's space back to the disk, all of it or what is beyond a capacity.
    pub async fn cut(&self, surplus: Surplus) -> io::Result<()> {
        let Surplus { mut file, capacity } = surplus;
        if capacity == 0 {
            self.disk.remove(&self.directory.join(file_name(file.slot))).await?;
            drop(file);
        } else {
            file.file.set_len(capacity).await?;
            file.capacity = capacity;
            self.inner().bytes += capacity;
            self.give_back(file);
        }
        self.ask().await;
        Ok(())
    }

    /// Waits until another file is wanted.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

/// Before there is a [`Space`]: removes spare files of smaller sizes set before.
pub(super) async fn remove_small(
    disk: &dyn Disk,
    directory: &Path,
    sizes: WalSizes,
    found: &mut FoundFiles,
) -> io::Result<()> {
    for file in std::mem::take(&mut found.spare) {
        if file.capacity >= sizes.file_useful() {
            found.spare.push(file);
        } else {
            found.bytes -= file.capacity;
            disk.remove(&directory.join(file_name(file.slot))).await?;
        }
    }
    Ok(())
}

/// Before there is a [`Space`]: gives the largest spare file back to the disk, the last one but for what the reserves need.
/// False if there is nothing to give.
pub(super) async fn release_one(
    disk: &dyn Disk,
    directory: &Path,
    sizes: WalSizes,
    found: &mut FoundFiles,
) -> io::Result<bool> {
    let largest = found.spare.iter().enumerate().max_by_key(|(_, file)| file.capacity);
    let Some((at, _)) = largest else { return Ok(false) };
    let mut file = found.spare.remove(at);
    found.bytes -= file.capacity;
    if !found.spare.is_empty() {
        disk.remove(&directory.join(file_name(file.slot))).await?;
        return Ok(true);
    }
    let cut = sizes.file_min() < file.capacity;
    if cut {
        file.file.set_len(sizes.file_min()).await?;
        file.capacity = sizes.file_min();
    }
    found.bytes += file.capacity;
    found.spare.push(file);
    Ok(cut)
}

fn take_slot(inner: &mut Inner) -> u64 {
    inner.next_slot += 1;
    inner.next_slot - 1
}

/// What a frame takes beside one batch, padding included, in bytes.
const FRAME_SLACK: u64 = (frame::HEADER_LEN + frame::ITEM_OVERHEAD_MAX + DECISION_BYTES + ALIGNMENT) as u64;

/// Whether an error says that the disk, or what we may have of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::BoxFuture;
    use crate::door::Site;
    use crate::door::over::DiskOver;
    use crate::door::real::{DiskOptions, door};

    const SIZES: WalSizes =
        WalSizes { file_first: 64 << 10, file_max: 64 << 10, total_max: 1 << 20, frame_max: 8 << 10 };

    #[tokio::test]
    async fn which_file_is_made_next() {
        let directory = tempfile::tempdir().unwrap();
        let disk = door(DiskOptions::default()).disk;
        let path = directory.path().join(file_name(1));
        let file = disk.open(&path, Open::Write).await.unwrap();
        let space = Space::new(disk, directory.path(), SIZES, FoundFiles::default());
        let next = || space.next_file(&space.inner());
        let emergency = SIZES.file_min() + FOR_A_START;

        // The log begins, and somebody waits for more than a file of the usual size has.
        assert_eq!(next(), Next::Spare(64 << 10));
        space.inner().needed = (100 << 10) - 1;
        assert_eq!(next(), Next::Spare(100 << 10));
        space.inner().needed = 0;
        space.inner().needed_room = 200 << 10;
        assert_eq!(next(), Next::Spare(200 << 10));
        space.inner().needed_room = 0;
        // What is free takes a new file twice, beside what is kept.
        space.free.store(space.kept_free() + 2 * SIZES.file_min(), Relaxed);
        assert_eq!(next(), Next::Spare(SIZES.file_min()));
        space.free.fetch_sub(2, Relaxed);
        assert_eq!(next(), Next::NoSpace);
        space.free.store(u64::MAX, Relaxed);
        // Beyond the bound only where a rewrite would free nothing, or has no room itself.
        space.inner().bytes = SIZES.total_max;
        assert_eq!(next(), Next::Spare(64 << 10));
        space.complete.store(1, Relaxed);
        assert_eq!(next(), Next::Rewrite);
        space.log_bytes.store(1 << 20, Relaxed);
        space.free.store(1 << 10, Relaxed);
        space.low.store(true, Relaxed);
        assert_eq!(next(), Next::NoSpace);
        space.low.store(false, Relaxed);
        space.free.store(u64::MAX, Relaxed);

        // With a spare file the one to be set apart is made, if it is affordable.
        space.give_back(WalFile::new(1, 64 << 10, file.clone()));
        assert_eq!(next(), Next::Emergency(emergency));
        space.free.store(space.kept_free() + space.room.load(Relaxed) + 2 * emergency - 2, Relaxed);
        assert_eq!(next(), Next::Nothing);
        space.free.store(u64::MAX, Relaxed);
        space.inner().emergency_file = Some(WalFile::new(2, emergency, file));
        assert_eq!(next(), Next::Nothing);
        // A spare file that is too small for who waits is as good as none.
        space.inner().needed = 65 << 10;
        assert_eq!(next(), Next::Rewrite);
    }

    #[tokio::test]
    async fn an_append_leaves_free_what_its_rewrite_takes() {
        let directory = tempfile::tempdir().unwrap();
        let disk = door(DiskOptions::default()).disk;
        let file = disk.open(&directory.path().join(file_name(1)), Open::Write).await.unwrap();
        let spare = [1, 2].map(|slot| WalFile::new(slot, 1 << 20, file.clone()));
        let found = FoundFiles { spare: spare.into(), bytes: 2 << 20, ..Default::default() };
        let space = Space::new(disk, directory.path(), SIZES, found);
        let queue = Queue { bytes: 10_000, frames: 1 };
        space.free.store(space.kept_free() + 30_000, Relaxed);
        assert_eq!(space.verdict(queue, 20_000, For::Append), Verdict::Room);
        assert_eq!(space.verdict(queue, 20_001, For::Append), Verdict::Full);
        assert!(space.is_short(), "somebody is to look what can be done");
        assert_eq!(space.verdict(queue, 20_001, For::Command), Verdict::Room);
    }

    /// A disk that says so many bytes are free.
    #[derive(Debug)]
    struct Free {
        below: Arc<dyn Disk>,
        bytes: Arc<AtomicU64>,
    }

    impl DiskOver for Free {
        fn below(&self) -> &dyn Disk {
            &*self.below
        }

        fn free_bytes_from(&self, _: Site, _: &Path) -> BoxFuture<'_, io::Result<u64>> {
            let bytes = self.bytes.load(Relaxed);
            Box::pin(async move { Ok(bytes) })
        }
    }

    /// A log with so many spare files of 64 KiB, on a disk that says what is in the number.
    async fn on_a_disk(directory: &Path, sizes: WalSizes, spare: u64) -> (Space, Arc<AtomicU64>) {
        let below = door(DiskOptions::default()).disk;
        let file = below.open(&directory.join(file_name(1)), Open::Write).await.unwrap();
        let spare: Vec<WalFile> =
            (1..=spare).map(|slot| WalFile::new(slot, 64 << 10, file.clone())).collect();
        let bytes = spare.iter().map(|file| file.capacity).sum();
        let found = FoundFiles { next_slot: 9, spare, bytes, ..Default::default() };
        let free = Arc::new(AtomicU64::new(0));
        let disk = Arc::new(Free { below, bytes: free.clone() });
        (Space::new(disk, directory, sizes, found), free)
    }

    #[tokio::test]
    async fn who_frees_space_gets_the_file_that_is_set_apart() {
        let directory = tempfile::tempdir().unwrap();
        let sizes = WalSizes { total_max: 128 << 10, ..SIZES };
        let (space, _) = on_a_disk(directory.path(), sizes, 2).await;
        // More is left than is kept for who frees space, and less than this takes.
        let bytes = 10_000;
        space.ask().await;
        space.take_room(space.room.load(Relaxed) - 2 * sizes.kept_by(For::Command));
        let queue = Queue { bytes: 0, frames: 0 };
        assert_eq!(space.prepare().await.unwrap(), Prepared::Enough, "there is a spare file");
        assert_eq!(space.verdict(queue, bytes, For::Command), Verdict::Later);
        assert_eq!(space.prepare().await.unwrap(), Prepared::NoSpace);
        assert_eq!(space.verdict(queue, bytes, For::Command), Verdict::Full);
        assert_eq!(space.verdict(queue, bytes, For::Freeing), Verdict::Later);
        assert_eq!(space.prepare().await.unwrap(), Prepared::NoSpace);
        assert_eq!(space.verdict(queue, bytes, For::Freeing), Verdict::Room);
    }

    #[tokio::test]
    async fn who_frees_space_waits_for_what_can_come_and_wakes_the_preparer_once() {
        let directory = tempfile::tempdir().unwrap();
        let sizes = WalSizes { total_max: 64 << 10, ..SIZES };
        let (space, free) = on_a_disk(directory.path(), sizes, 1).await;
        let idle = Queue { bytes: 0, frames: 1 };
        space.ask().await;
        space.take_room(space.room.load(Relaxed));
        assert_eq!(space.verdict(idle, 100, For::Command), Verdict::Later);
        assert_eq!(space.prepare().await.unwrap(), Prepared::NoSpace);
        let woken = async || {
            let wait = std::time::Duration::from_millis(1);
            tokio::time::timeout(wait, space.wanted()).await.is_ok()
        };
        woken().await;

        // Nothing is there, and nothing can come.
        assert_eq!(space.verdict(idle, 100, For::Freeing), Verdict::Full);
        // A frame that takes less than it may.
        let queued = Queue { bytes: 100, frames: 1 };
        assert_eq!(space.verdict(queued, 100, For::Freeing), Verdict::Later);
        assert!(!woken().await, "nothing changed");

        // A small file, out of what is kept free.
        space.log_bytes.store(70 << 10, Relaxed);
        free.store(100 << 10, Relaxed);
        space.ask().await;
        assert_eq!(space.verdict(idle, 20 << 10, For::Freeing), Verdict::Full, "it would take too much");
        assert_eq!(space.verdict(idle, 100, For::Freeing), Verdict::Later);
        assert!(woken().await);
        assert_eq!(space.verdict(idle, 100, For::Freeing), Verdict::Later);
        assert!(!woken().await, "as before");
        assert_eq!(space.prepare().await.unwrap(), Prepared::Enough);
        assert_eq!(space.verdict(idle, 100, For::Freeing), Verdict::Room);
    }

    #[tokio::test]
    async fn space_is_short_until_there_is_enough_for_the_append_that_was_refused_or_it_stays_away() {
        let directory = tempfile::tempdir().unwrap();
        let (space, free) = on_a_disk(directory.path(), SIZES, 2).await;
        let (idle, large, small) = (Queue { bytes: 0, frames: 1 }, 12_000, 1000);
        free.store(space.kept_free() + large - 1, Relaxed);
        space.ask().await;
        assert_eq!(space.verdict(idle, large as usize, For::Append), Verdict::Full);
        for _ in 0..3 {
            space.ask().await;
            assert_eq!(space.verdict(idle, small as usize, For::Append), Verdict::Full);
        }
        // It came once more than that much was free.
        free.fetch_add(1, Relaxed);
        space.ask().await;
        assert_eq!(space.verdict(idle, large as usize, For::Append), Verdict::Room);
        // It does not come any more.
        free.fetch_sub(1, Relaxed);
        space.ask().await;
        assert_eq!(space.verdict(idle, large as usize, For::Append), Verdict::Full);
        space.forget_refused();
        space.ask().await;
        assert_eq!(space.verdict(idle, small as usize, For::Append), Verdict::Room);
    }

    /// What the committer took between a look at the room and the store of what is left without a spare file came back: more
    /// was decided than there was room for.
    #[test]
    fn room_that_is_taken_while_a_spare_file_goes_stays_taken() {
        const ROUNDS: u64 = 200_000;
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (disk, file) = runtime.block_on(async {
            let disk = door(DiskOptions::default()).disk;
            let file = disk.open(&directory.path().join(file_name(1)), Open::Write).await.unwrap();
            (disk, file)
        });
        let capacity = HEADER_LEN + ROUNDS * ALIGNMENT as u64;
        let spare = [1, 2, 3, 4].map(|slot| WalFile::new(slot, capacity, file.clone()));
        let found = FoundFiles { spare: spare.into(), bytes: 4 * capacity, ..Default::default() };
        let space = Space::new(disk, directory.path(), SIZES, found);
        space.met_full_disk();
        let before = space.room.load(Relaxed);
        let current = runtime.block_on(space.take(ALIGNMENT as u64));
        std::thread::scope(|scope| {
            scope.spawn(|| (0..ROUNDS).for_each(|_| space.frame_written(&current, ALIGNMENT as u64)));
            for _ in 0..ROUNDS {
                let surplus = space.surplus(Queue { bytes: 0, frames: 0 }).expect("two are spare");
                space.inner().bytes += surplus.file.capacity;
                space.give_back(surplus.file);
            }
        });
        assert_eq!(space.room.load(Relaxed), before - ROUNDS * ALIGNMENT as u64);
    }
}
