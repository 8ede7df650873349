//! Group commit: what is decided waits in frames, and whoever needs a frame durable commits the next one.
//!
//! ```text
//!  decide (lock) ─► open frame ─► ... ─► front ─► lay out ─► write + sync ─► publish ─► wake
//!                   '------- queue -------'      '------- the leader, one at a time -------'
//! ```
//! *Who leads.* A reply that is awaited and finds the log idle commits inline: with few connections there is
//! no hop between threads, which costs as much as a sync does. After its own frame it hands on to a reply that
//! waits for the next one. When recent syncs were slow or many replies wait, the log's own thread leads instead, so
//! that workers never wait for a device; when frames are large, so that what comes next is received meanwhile.
//! `docs/adr/2026-11-23-commit.md` has the measurement behind the thresholds.
//! A frame that nobody awaits is taken by the thread a moment later.
//!
//! *Dropping.* The commit of a frame is a future that belongs to the log, not to whoever polls it: a leader that
//! is dropped half way hands it on as it is.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Witness;
use super::archive::Archive;
use super::frame::{self, FrameId, Item, Life};
use super::index::{DurableFrame, Index, Publish};
use super::manifest::LifeEnd;
use super::metrics::Metrics;
use super::propose::Undecided;
use super::space::{Queue, Space, is_full};
use super::wal::{self, FrameMemory, WalFile, WalHeader};
use crate::contract::{BoxFuture, EngineError};
use crate::defects::{Defect, defect};
use crate::door::Door;
use crate::state::{Decision, State};

/// Who commits frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CommitBy {
    /// Chosen at run time by how long syncs take and how many wait.
    #[default]
    Auto,
    /// Always the reply that is awaited.
    Leader,
    /// Always the log's thread.
    Thread,
}

/// A frame being collected.
#[derive(Debug, Default)]
pub(super) struct FrameBuild {
    pub number: u64,
    pub seal: bool,
    /// Takes nothing more.
    full: bool,
    pub decision_count: u32,
    pub decisions: Vec<u8>,
    pub items: Vec<Item>,
    pub publish: Vec<Publish>,
    /// Upper bound of the frame's size before padding.
    pub bytes: usize,
}

impl FrameBuild {
    fn clear(&mut self) {
        self.seal = false;
        self.full = false;
        self.decision_count = 0;
        self.decisions.clear();
        self.items.clear();
        self.publish.clear();
        self.bytes = frame::HEADER_LEN;
    }
}

/// What the short lock protects: the state and what is decided but not yet being written.
pub(super) struct Core {
    pub state: State,
    /// Why nothing more is taken.
    pub closed: Option<Arc<str>>,
    frames: VecDeque<FrameBuild>,
    spare: Vec<FrameBuild>,
    next_number: u64,
    /// The last frame that something was put into: what a reply computed now waits for.
    pub tail: u64,
    /// Bytes of all frames in the queue and of the one being written.
    pub queued_bytes: usize,
    /// The last frame that needs a file of its own size.
    pub large: u64,
    /// Memory for a decision's bytes.
    encoded: Vec<u8>,
    /// What waits for room.
    pub undecided: Undecided,
}

impl Core {
    /// The frame that a decision of `bytes`, its batch included, goes into; it becomes the tail.
    pub fn open_frame(&mut self, bytes: usize, frame_bytes_max: usize) -> &mut FrameBuild {
        let fits = |open: &FrameBuild| !open.full && open.bytes + bytes <= frame_bytes_max;
        if !self.frames.back().is_some_and(fits) {
            let mut open = self.spare.pop().unwrap_or_default();
            open.clear();
            open.number = self.next_number;
            self.next_number += 1;
            self.queued_bytes += open.bytes;
            self.frames.push_back(open);
        }
        let open = self.frames.back_mut().expect("one was just pushed");
        self.tail = open.number;
        open
    }

    /// What is decided and not yet written.
    pub fn queue(&self) -> Queue {
        Queue { bytes: self.queued_bytes, frames: self.frames.len() + 1 }
    }

    /// Why nothing more is taken from now on, unless there was a reason before.
    pub fn close(&mut self, reason: Arc<str>) {
        self.closed.get_or_insert(reason);
        self.undecided.clear();
    }

    /// A position that the state now stands at: later decisions go into later frames.
    pub fn position(&mut self) -> u64 {
        if let Some(open) = self.frames.back_mut() {
            open.full = true;
        }
        self.tail
    }

    /// Puts a decision, already applied to the state, at the queue's end, with its batch if it has one. What is larger than a
    /// frame gets one of its own: room was found for it alone.
    pub fn push(&mut self, decision: &Decision, batch: Option<Bytes>, frame_bytes_max: usize) {
        let batch_len = batch.as_ref().map_or(0, Bytes::len);
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        decision.encode(&mut encoded);
        let open = self.open_frame(encoded.len() + batch_len + frame::ITEM_OVERHEAD_MAX, frame_bytes_max);
        open.decisions.extend_from_slice(&encoded);
        open.decision_count += 1;
        let mut added = encoded.len();
        if let (Decision::Append(append), Some(bytes)) = (decision, batch) {
            added += bytes.len() + frame::ITEM_OVERHEAD_MAX;
            open.items.push(Item {
                partition: append.partition,
                base_offset: append.base_offset,
                offset_count: append.offset_count,
                append_ms: append.append_ms,
                max_timestamp_ms: append.max_timestamp_ms,
                log_append_time: append.log_append_time,
                bytes,
            });
        }
        open.bytes += added;
        self.queued_bytes += added;
        if encoded.capacity() <= 1 << 20 {
            self.encoded = encoded;
        }
    }

    /// Has readers see, with the frame, what the decision pushed last changes for them.
    pub fn publish(&mut self, decision: &Decision) {
        let open = self.frames.back_mut().expect("a decision was just pushed");
        super::publish_of(decision, &self.state, &mut open.publish);
    }

    fn recycle(&mut self, mut done: FrameBuild) {
        // A frame of one huge decision does not keep its memory.
        if self.spare.len() < 4 && done.decisions.capacity() <= 1 << 20 && done.items.capacity() <= 1 << 14 {
            done.clear();
            self.spare.push(done);
        }
    }
}

/// What only the leader touches.
pub(super) struct Committer {
    pub life: Life,
    pub file: Option<CurrentFile>,
    pub next_sequence: u64,
    pub last_crc: u32,
    pub memory: FrameMemory,
    directory: Vec<u8>,
    /// The data directory's: free once nobody can write any more.
    _lock: Box<dyn Send + Sync>,
}

/// The file being written.
pub(super) struct CurrentFile {
    pub file: Arc<WalFile>,
    pub sequence: u64,
    pub position: u64,
}

impl Committer {
    pub fn new(
        life: Life,
        next_sequence: u64,
        last_crc: u32,
        memory: FrameMemory,
        lock: Box<dyn Send + Sync>,
    ) -> Self {
        Committer { life, file: None, next_sequence, last_crc, memory, directory: Vec::new(), _lock: lock }
    }
}

enum Leadership {
    Idle(Box<Committer>),
    /// A commit that a leader left behind, or is polling.
    Running(BoxFuture<'static, Committed>),
}

/// The committer back, and why the log failed if it did.
type Committed = (Box<Committer>, Result<(), Arc<str>>);

/// Replies that wait, by slot.
#[derive(Default)]
struct Waiters {
    slots: Vec<Option<(u64, Waker)>>,
    free: Vec<usize>,
    count: usize,
}

/// The log: the queue in front of the disk, and everything that waits for it.
pub(super) struct Log {
    pub door: Door,
    pub index: Arc<Index>,
    pub space: Arc<Space>,
    pub archive: Arc<Archive>,
    pub metrics: Metrics,
    /// Told when a file of the log is full.
    pub file_full: Notify,
    pub frame_bytes_max: usize,
    /// What the log's part of the index may take, in bytes: beyond it appends wait for the rewrite.
    pub index_bytes_max: usize,
    pub core: Mutex<Core>,
    /// Frames that were durable when the last round of the rewrite began that found nothing to do, or failed. Before who frees space
    /// is told that the disk is full, the rewrite has looked for what all frames left dead.
    pub looked_through: AtomicU64,
    /// Sequence number of the first file of this life.
    pub first_file: u64,
    commit_by: CommitBy,
    leader: Mutex<Option<Leadership>>,
    waiters: Mutex<Waiters>,
    /// Everything up to this frame is durable and published.
    durable: AtomicU64,
    failure: OnceLock<Arc<str>>,
    on_failure: Option<FailureHook>,
    witness: Option<Arc<dyn Witness>>,
    /// Microseconds that recent syncs took, smoothed.
    sync_us: AtomicU32,
    /// Replies that waited when recent frames became durable, smoothed, in 256ths.
    waiting: AtomicU32,
    /// Bytes of recent frames, smoothed.
    frame_bytes: AtomicU32,
    by_thread: AtomicBool,
    /// Wakes the log's thread.
    thread: Notify,
    /// The thread looks after frames that nobody awaits.
    watched: AtomicBool,
    stopped: AtomicBool,
}

/// Told once when the log fails; expected to end the process.
pub type FailureHook = Arc<dyn Fn(&str) + Send + Sync>;

/// Syncs slower than this on average are the thread's.
const SLOW_SYNC_US: u32 = 1000;
/// More waiting replies than this on average (in 256ths) are the thread's; fewer than the lower bound a leader's.
const MANY_WAITING: u32 = 256 * 3;
const FEW_WAITING: u32 = 256 * 2;
/// Larger frames on average are the thread's; smaller ones than the lower bound a leader's. In bytes.
const LARGE_FRAME: u32 = 256 << 10;
const SMALL_FRAME: u32 = 128 << 10;
/// How soon the thread looks for frames that nobody awaits.
const WATCH_INTERVAL: Duration = Duration::from_millis(5);
/// Rounds without anything to do after which it stops looking.
const WATCH_ROUNDS: u32 = 400;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under the log's locks")
}

pub(super) struct LogParts {
    pub door: Door,
    pub index: Arc<Index>,
    pub space: Arc<Space>,
    pub archive: Arc<Archive>,
    pub frame_bytes_max: usize,
    pub index_bytes_max: usize,
    pub commit_by: CommitBy,
    pub on_failure: Option<FailureHook>,
    pub witness: Option<Arc<dyn Witness>>,
    pub state: State,
    /// The last durable frame.
    pub last_frame: u64,
    pub committer: Committer,
}

impl Log {
    pub fn new(parts: LogParts) -> Arc<Log> {
        Arc::new(Log {
            door: parts.door,
            index: parts.index,
            space: parts.space,
            archive: parts.archive,
            metrics: Metrics::default(),
            file_full: Notify::new(),
            frame_bytes_max: parts.frame_bytes_max,
            index_bytes_max: parts.index_bytes_max,
            core: Mutex::new(Core {
                state: parts.state,
                closed: None,
                frames: VecDeque::new(),
                spare: Vec::new(),
                next_number: parts.last_frame + 1,
                tail: parts.last_frame,
                queued_bytes: 0,
                large: 0,
                encoded: Vec::new(),
                undecided: Undecided::default(),
            }),
            looked_through: AtomicU64::new(u64::MAX),
            first_file: parts.committer.next_sequence,
            commit_by: parts.commit_by,
            leader: Mutex::new(Some(Leadership::Idle(Box::new(parts.committer)))),
            waiters: Mutex::default(),
            durable: AtomicU64::new(parts.last_frame),
            failure: OnceLock::new(),
            on_failure: parts.on_failure,
            witness: parts.witness,
            sync_us: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            frame_bytes: AtomicU32::new(0),
            by_thread: AtomicBool::new(parts.commit_by == CommitBy::Thread),
            thread: Notify::new(),
            watched: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        })
    }

    pub fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }

    /// The last durable frame.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Replies that wait for their position.
    pub fn waiting_replies(&self) -> usize {
        lock(&self.waiters).count
    }

    /// Whether the disk failed (or the log was closed, which ends it too).
    pub fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// A future that resolves when `position` is durable, and that may commit frames to bring that about.
    pub fn until_durable(self: &Arc<Self>, position: u64) -> UntilDurable {
        UntilDurable { log: self.clone(), position, slot: None, leading: None }
    }

    /// Call after something was put into a frame: it becomes durable soon even if nobody awaits it.
    pub fn queued(&self) {
        if !self.watched.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::AcqRel) {
            self.thread.notify_one();
        }
    }

    /// Fails the log: replies that wait get an unknown outcome, nothing more is taken.
    pub fn fail(&self, reason: Arc<str>) {
        if self.failure.set(reason.clone()).is_err() {
            return;
        }
        tracing::error!(reason = %reason, "the log failed");
        self.core().close(reason.clone());
        self.wake_up_to(u64::MAX);
        if let Some(hook) = &self.on_failure {
            hook(&reason);
        }
    }

    /// What follows from an error of the disk outside of a frame: a device that fails ends the log; what is missing
    /// otherwise (space, memory, file handles) is said, and may be tried again. True if the log ended.
    pub fn device_failed(&self, what: &str, error: &std::io::Error) -> bool {
        use std::io::ErrorKind::{Interrupted, OutOfMemory, WouldBlock};
        // EMFILE and ENFILE have no kind of their own.
        let handles = matches!(error.raw_os_error(), Some(23 | 24));
        if handles || is_full(error) || matches!(error.kind(), Interrupted | OutOfMemory | WouldBlock) {
            tracing::warn!(what, %error, "it will be tried again");
            return false;
        }
        self.fail(format!("{what} failed: {error}").into());
        true
    }

    /// Ends the log: no frame is written any more, and replies that wait get an unknown outcome. A write that is
    /// under way ends by itself.
    pub fn abandon(&self, reason: Arc<str>) {
        self.core().close(reason.clone());
        let _ = self.failure.set(reason);
        let committer = lock(&self.leader).take();
        drop(committer);
        self.wake_up_to(u64::MAX);
    }

    fn wake_up_to(&self, position: u64) -> usize {
        let mut wake = Vec::new();
        let waiting;
        {
            let mut waiters = lock(&self.waiters);
            waiting = waiters.count;
            for slot in &mut waiters.slots {
                if let Some((waits_for, waker)) = slot
                    && *waits_for <= position
                {
                    // The slot stays its owner's until that looks again or is dropped.
                    wake.push(std::mem::replace(waker, Waker::noop().clone()));
                }
            }
        }
        for waker in wake {
            waker.wake();
        }
        waiting
    }

    /// Lets somebody commit what is queued, if anything is and nobody does.
    fn hand_on(&self) {
        let Some(front) = self.core().frames.front().map(|front| front.number) else {
            // The commit of a dropped leader may be half way.
            if matches!(*lock(&self.leader), Some(Leadership::Running(_))) {
                self.nominate(0);
            }
            return;
        };
        self.nominate(front);
    }

    fn nominate(&self, position: u64) {
        if self.by_thread.load(Ordering::Relaxed) {
            self.thread.notify_one();
            return;
        }
        let nominee = {
            let waiters = lock(&self.waiters);
            let waiting = waiters.slots.iter().flatten().filter(|(waits_for, _)| *waits_for >= position);
            waiting.min_by_key(|(waits_for, _)| *waits_for).map(|(_, waker)| waker.clone())
        };
        match nominee {
            Some(waker) => waker.wake(),
            // Nobody awaits it (yet): the thread looks after it.
            None => self.queued(),
        }
    }

    fn try_lead(self: &Arc<Self>) -> Option<Leading> {
        let leadership = lock(&self.leader).take()?;
        Some(Leading { log: self.clone(), leadership: Some(leadership) })
    }

    /// Whether awaited replies commit, by what recent frames were like.
    fn leaders_allowed(&self) -> bool {
        !self.by_thread.load(Ordering::Relaxed)
    }

    fn learn(&self, sync: Duration, waiting: usize, bytes: usize) {
        let smooth = |cell: &AtomicU32, value: u32| {
            let before = cell.load(Ordering::Relaxed);
            let after = before - before / 8 + value / 8;
            cell.store(after, Ordering::Relaxed);
            after
        };
        let sync_us = u32::try_from(sync.as_micros()).unwrap_or(u32::MAX / 2).min(1 << 24);
        let sync_us = smooth(&self.sync_us, sync_us);
        let waiting = smooth(&self.waiting, u32::try_from(waiting).unwrap_or(1 << 16).min(1 << 16) * 256);
        let frame_bytes = smooth(&self.frame_bytes, u32::try_from(bytes).unwrap_or(1 << 30).min(1 << 30));
        if self.commit_by == CommitBy::Auto {
            let now = self.by_thread.load(Ordering::Relaxed);
            let (many, large) = if now { (FEW_WAITING, SMALL_FRAME) } else { (MANY_WAITING, LARGE_FRAME) };
            let thread = sync_us > SLOW_SYNC_US || waiting > many || frame_bytes > large;
            if thread != now {
                tracing::debug!(thread, sync_us, waiting = waiting / 256, frame_bytes, "who commits changed");
                self.by_thread.store(thread, Ordering::Relaxed);
            }
        }
    }

    /// Commits the frame at the front of the queue, if there is one.
    async fn commit_front(self: Arc<Self>, mut committer: Box<Committer>) -> Committed {
        let Some(mut build) = self.core().frames.pop_front() else { return (committer, Ok(())) };
        let result = self.commit(&mut committer, &mut build).await;
        let mut core = self.core();
        core.queued_bytes -= build.bytes;
        core.recycle(build);
        self.decide_waiting(&mut core);
        drop(core);
        (committer, result)
    }

    async fn commit(&self, committer: &mut Committer, build: &mut FrameBuild) -> Result<(), Arc<str>> {
        let broken = |what: &str, file: u64, error: std::io::Error| -> Arc<str> {
            format!("{what} {} failed: {error}", wal::file_name(file)).into()
        };
        let len_max = build.bytes.next_multiple_of(crate::door::ALIGNMENT);
        let fits = |current: &CurrentFile| current.position + len_max as u64 <= current.file.capacity;
        if !committer.file.as_ref().is_some_and(fits) {
            if let Some(full) = committer.file.take() {
                self.space.file_full(full.file.capacity - full.position);
                self.file_full.notify_one();
            }
            let file = Arc::new(self.space.take(len_max as u64).await);
            let header = WalHeader {
                sequence: committer.next_sequence,
                life: committer.life.id,
                first_frame: build.number,
                before_crc: committer.last_crc,
                capacity: file.capacity,
            };
            let written = file.file.write_durable(0, header.encode(&committer.life)).await;
            written.map_err(|error| broken("writing the header of", file.slot, error))?;
            self.index.lock().files.begin(header.sequence, file.clone());
            committer.next_sequence += 1;
            committer.file = Some(CurrentFile { file, sequence: header.sequence, position: wal::HEADER_LEN });
        }
        let current = committer.file.as_mut().expect("a file was just made current");
        let id = FrameId { number: build.number, before_crc: committer.last_crc, seal: build.seal };
        let (life, directory) = (&committer.life, &mut committer.directory);
        let (bytes, (extents, crc)) = committer.memory.frame(len_max, |out| {
            frame::lay_out(out, life, id, build.decision_count, &build.decisions, &mut build.items, directory)
        });
        let appended = Appended::of(&build.items);
        build.items.clear();
        debug_assert!(bytes.len() <= len_max, "a frame's size is bounded before it is decided");

        if let Some(witness) = &self.witness {
            witness.frame(build.number, build.decision_count, &build.decisions);
        }
        let position = current.position;
        if defect(Defect::VisibleBeforeDurable) {
            let (bytes, extents) = (bytes.clone(), extents.clone());
            let (number, file) = (build.number, current.sequence);
            let early = DurableFrame { number, crc, file, position, bytes, extents };
            self.index.publish(early, &build.publish);
        }
        let started = Instant::now();
        let written = current.file.file.write_durable(position, bytes.clone()).await;
        let written = written.map_err(|error| broken("writing a frame to", current.file.slot, error));
        if !defect(Defect::SyncErrorIgnored) {
            written?;
        }
        let took = started.elapsed();
        self.metrics.sync.observe_time(took);
        self.metrics.commit_bytes.observe(bytes.len() as u64);
        self.metrics.commit_decisions.observe(u64::from(build.decision_count));
        self.metrics.batches.add(appended.batches);
        self.metrics.records.add(appended.records);
        self.metrics.appended_bytes.add(appended.bytes);
        let len = bytes.len();
        current.position += len as u64;
        committer.last_crc = crc;
        self.space.frame_written(&current.file, len as u64);
        if current.position > current.file.capacity / 4 {
            self.space.want_more();
        }

        let (number, file) = (build.number, current.sequence);
        self.index.publish(DurableFrame { number, crc, file, position, bytes, extents }, &build.publish);
        for change in &build.publish {
            match change {
                Publish::Tuple(partition, published) => self.archive.trim(*partition, published.log_start),
                Publish::Gone(partition) => self.archive.forget(*partition),
            }
        }
        self.durable.store(build.number, Ordering::Release);
        let waiting = self.wake_up_to(build.number);
        self.learn(took, waiting, len);
        Ok(())
    }

    /// Queues an empty frame: what is before it is complete. Returns the position to wait for, which is the last
    /// frame's if there is no room for a seal.
    pub fn push_seal(&self) -> u64 {
        let mut core = self.core();
        let frame_bytes_max = self.frame_bytes_max;
        if !self.space.has_room_for_a_seal(core.queue()) {
            return core.tail;
        }
        let open = core.open_frame(frame_bytes_max + 1, frame_bytes_max);
        debug_assert!(open.items.is_empty(), "a frame of its own");
        open.seal = true;
        open.full = true;
        open.number
    }

    /// The log's own thread: commits what nobody awaits, everything while it is chosen to, and seals an idle log.
    /// `opened_at` is the last frame that the start found: frames may be durable before the thread first runs.
    pub async fn run_thread(self: Arc<Self>, seal_after: Duration, opened_at: u64) {
        let mut idle_rounds = 0;
        let mut sealed = opened_at;
        let mut last_durable = opened_at;
        let mut last_change = Instant::now();
        while !self.stopped.load(Ordering::Acquire) {
            if self.watched.load(Ordering::Relaxed) {
                let _ = tokio::time::timeout(WATCH_INTERVAL, self.thread.notified()).await;
            } else if sealed == self.durable() {
                self.thread.notified().await;
            } else {
                let _ = tokio::time::timeout(seal_after, self.thread.notified()).await;
            }
            if self.failure.get().is_some() {
                return;
            }
            let behind = !self.core().frames.is_empty() || lock(&self.leader).is_some_running();
            if behind {
                idle_rounds = 0;
                // Whoever leads has it; otherwise this thread does, until nothing is left or a leader may take over.
                while let Some(leading) = self.try_lead() {
                    if !leading.one().await {
                        break;
                    }
                }
            } else {
                idle_rounds += 1;
                if idle_rounds > WATCH_ROUNDS {
                    self.watched.store(false, Ordering::Release);
                    // Something may have been queued between the look and the store.
                    if !self.core().frames.is_empty() {
                        self.queued();
                    }
                }
            }
            let durable = self.durable();
            if durable != last_durable {
                last_durable = durable;
                last_change = Instant::now();
            } else if durable != sealed && last_change.elapsed() >= seal_after && self.is_idle() {
                sealed = self.push_seal();
                while let Some(leading) = self.try_lead() {
                    if !leading.one().await {
                        break;
                    }
                }
                last_durable = self.durable();
            }
        }
    }

    fn is_idle(&self) -> bool {
        let core = self.core();
        core.frames.is_empty() && core.tail == self.durable()
    }

    /// Where the log ends; `None` while it is written, or if that failed.
    pub fn end(&self) -> Option<LifeEnd> {
        let leader = lock(&self.leader);
        match leader.as_ref() {
            Some(Leadership::Idle(committer)) if self.failure.get().is_none() => Some(LifeEnd {
                frame: self.durable(),
                crc: committer.last_crc,
                file: committer.next_sequence - 1,
            }),
            _ => None,
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.thread.notify_one();
    }
}

/// What a frame adds to what the log has.
#[derive(Default)]
struct Appended {
    batches: u64,
    records: u64,
    bytes: u64,
}

impl Appended {
    fn of(items: &[Item]) -> Appended {
        items.iter().fold(Appended::default(), |sum, item| Appended {
            batches: sum.batches + 1,
            records: sum.records + u64::from(item.offset_count.unsigned_abs()),
            bytes: sum.bytes + item.bytes.len() as u64,
        })
    }
}

trait IsRunning {
    fn is_some_running(&self) -> bool;
}

impl IsRunning for Option<Leadership> {
    fn is_some_running(&self) -> bool {
        matches!(self, Some(Leadership::Running(_)))
    }
}

/// Leadership over the log; dropping it hands on.
struct Leading {
    log: Arc<Log>,
    leadership: Option<Leadership>,
}

impl Leading {
    /// Drives the commit of one frame. Ready: whether there was one.
    fn poll_one(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            match self.leadership.take().expect("held until dropped") {
                Leadership::Idle(committer) => {
                    if self.log.failure.get().is_some() || self.log.core().frames.is_empty() {
                        self.leadership = Some(Leadership::Idle(committer));
                        return Poll::Ready(false);
                    }
                    let commit = self.log.clone().commit_front(committer);
                    self.leadership = Some(Leadership::Running(Box::pin(commit)));
                }
                Leadership::Running(mut commit) => match commit.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.leadership = Some(Leadership::Running(commit));
                        return Poll::Pending;
                    }
                    Poll::Ready((committer, result)) => {
                        self.leadership = Some(Leadership::Idle(committer));
                        if let Err(reason) = result {
                            self.log.fail(reason);
                            return Poll::Ready(false);
                        }
                        return Poll::Ready(true);
                    }
                },
            }
        }
    }

    /// Commits one frame; false if there was none.
    async fn one(mut self) -> bool {
        std::future::poll_fn(|cx| self.poll_one(cx)).await
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        {
            let mut leader = lock(&self.log.leader);
            // Of a log that ended, the committer goes, and the directory's lock with it.
            if self.log.failure.get().is_none() {
                *leader = self.leadership.take();
            }
        }
        if self.log.failure.get().is_none() {
            self.log.hand_on();
        }
    }
}

/// Resolves when a position is durable; commits frames itself where that is quicker. See [`Log::until_durable`].
pub(super) struct UntilDurable {
    log: Arc<Log>,
    position: u64,
    slot: Option<usize>,
    leading: Option<Leading>,
}

impl UntilDurable {
    fn register(&mut self, cx: &Context<'_>) {
        let mut waiters = lock(&self.log.waiters);
        let entry = (self.position, cx.waker().clone());
        match self.slot {
            Some(slot) => waiters.slots[slot] = Some(entry),
            None => {
                waiters.count += 1;
                self.slot = Some(match waiters.free.pop() {
                    Some(slot) => {
                        waiters.slots[slot] = Some(entry);
                        slot
                    }
                    None => {
                        waiters.slots.push(Some(entry));
                        waiters.slots.len() - 1
                    }
                });
            }
        }
    }

    fn unregister(&mut self) {
        if let Some(slot) = self.slot.take() {
            let mut waiters = lock(&self.log.waiters);
            waiters.slots[slot] = None;
            waiters.free.push(slot);
            waiters.count -= 1;
        }
    }
}

impl Future for UntilDurable {
    type Output = Result<(), EngineError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut registered = false;
        loop {
            if this.log.durable() >= this.position || defect(Defect::AckBeforeSync) {
                this.unregister();
                this.leading = None;
                return Poll::Ready(Ok(()));
            }
            if let Some(reason) = this.log.failure.get().cloned() {
                this.unregister();
                this.leading = None;
                return Poll::Ready(Err(EngineError::OutcomeUnknown(reason)));
            }
            if this.leading.is_none() && this.log.leaders_allowed() {
                this.leading = this.log.try_lead();
            }
            if let Some(leading) = &mut this.leading {
                match leading.poll_one(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(_) => {
                        if !this.log.leaders_allowed() {
                            this.leading = None;
                        }
                    }
                }
                continue;
            }
            if registered {
                return Poll::Pending;
            }
            // Register, then look again: the leader looks for waiters after it let go.
            this.register(cx);
            registered = true;
            if !this.log.leaders_allowed() {
                this.log.thread.notify_one();
            }
        }
    }
}

impl Drop for UntilDurable {
    fn drop(&mut self) {
        let waited = self.slot.is_some();
        self.unregister();
        let led = self.leading.take().is_some();
        // It may have been nominated: somebody else must then lead.
        if waited && !led && self.log.durable() < self.position && lock(&self.log.leader).is_some() {
            self.log.hand_on();
        }
    }
}
