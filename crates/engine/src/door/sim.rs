//! A seeded world in one thread: clock, random numbers, scheduling, disk and network, for tests.
//!
//! **What can go wrong in it** (its fault model). What is marked (*) comes by itself, the rest when a test says so:
//! - *Time.* (*) Every call through the door may take a seeded time, tasks begin after a seeded time: two seeds give two
//!   schedules, one seed the same schedule again. The monotonic clock is tokio's, paused: it moves when everybody waits.
//!   The wall clock jumps forwards and backwards ([`Sim::jump_clock`]).
//! - *Power.* ([`Sim::crash`]) The disk forgets writes that were not made durable: (*) each 512-byte sector of each of them
//!   survives or not, in any order, by the seed; blocks that are written again (a recycled log file) then show what they
//!   held before. Of un-synced creations, renames and removals in a directory the first few survive. A file whose entry
//!   did not survive is gone, its synced content with it. A durable operation under way may have happened or not, in
//!   parts too.
//! - *Process.* ([`Sim::kill`]) The process ends, the machine goes on: what was written is seen by the next process though
//!   it is not durable, and a later power cut takes it away. A direct write under way happened up to some block.
//! - Either end comes at once or at a chosen call through the door ([`Sim::end_when`]): any disk call, any byte of a
//!   connection. All tasks of the process end; the outside (test, clients) lives on.
//! - *Disk errors.* ([`Sim::fail_when`]) A read, write or sync fails with an I/O error or for want of space. A failed write
//!   may have written parts. After a failed sync what it should have made durable is so or is lost for good, sector by
//!   sector, and the page cache goes on showing it until it is evicted. Blocks run out ([`Sim::set_disk_bytes`]).
//! - *Slow disk.* Syncs take long ([`Sim::set_sync_time`]) or one is stuck ([`Sim::stick_next_sync`]).
//! - *Rot.* A bit of a file at rest flips ([`Sim::flip_bit`]).
//! - *Network.* (*) Bytes arrive late and in pieces, in order. By chance ([`Sim::set_network`]) a connection is refused, is
//!   slow, is cut after any byte, falls silent without being closed (half open), or its first bytes come twice, on a
//!   second connection that nobody speaks on any more.
//!
//! Not simulated: more than one server process, memory running out, directories that do not survive, a disk that reads
//! other than it wrote without a crash or a flip.
//!
//! **Fault points.** Each call of the disk, by the line of the server that makes it, is a place where the world can end the
//! process or fail the call; [`Sim::fault_points`] tells which ones were reached.
//!
//! **Trace.** Everything that passes the door is mixed into a hash ([`Sim::trace_hash`]): equal seeds must give equal hashes.
//! Code that picks at random behind the door's back shows as unequal ones: `tokio::select!` without `biased`, a `watch`
//! channel with many receivers (it wakes them in random order; `Notify` does not), a map with random seeds. The last
//! events can be read ([`Sim::recent`]).

mod disk;
mod network;
mod trace;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{BoxFuture, Clock, Door, Random, Site, TaskHandle, Tasks};
pub use disk::SavedDisk;
use disk::SimDisk;
pub use network::NetworkFaults;
use network::SimNetwork;
pub use trace::FaultPoint;
use trace::Trace;

/// A simulated world. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sim {
    world: Arc<World>,
    disk: Arc<SimDisk>,
    network: Arc<SimNetwork>,
}

/// At which of the next calls something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the call after so many others.
    After(u64),
    /// At a call from a place in the server that has made few calls so far.
    Rare,
}

/// A kind of disk call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskCall {
    /// Opens, lists, sizes, reads.
    Read,
    /// Writes, changes of length, allocations, creations, renames, removals.
    Write,
    /// What makes something durable.
    Sync,
}

/// A disk error to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskFailure {
    /// What fails.
    pub call: DiskCall,
    /// For want of space, not with an I/O error.
    pub full: bool,
    /// When.
    pub when: When,
}

/// Calls from one place after which it is not rare any more.
const RARE_CALLS: u64 = 3;

/// What all parts of the world share.
#[derive(Debug)]
struct World {
    rng: Mutex<u64>,
    trace: Mutex<Trace>,
    started: Instant,
    started_ms: i64,
    /// By how much the wall clock is ahead.
    jumped_ms: AtomicI64,
    /// Counts processes: what belongs to an earlier one does nothing any more.
    process: AtomicU64,
    crashed: AtomicBool,
    /// A task of a process panicked.
    panicked: AtomicBool,
    /// Told when the process ended by itself, or a task of it panicked.
    ended: Notify,
    tasks: Mutex<Vec<tokio::task::AbortHandle>>,
    durable_operations: AtomicU64,
    crash_at: AtomicU64,
    fail_at: AtomicU64,
    end_when: Mutex<Option<When>>,
    fail_when: Mutex<Option<DiskFailure>>,
    failed: AtomicU64,
    sync_us: AtomicU64,
    stuck_us: AtomicU64,
}

/// Runs `test` in a fresh world; the same seed gives the same run.
pub fn run<T, F: Future<Output = T>>(seed: u64, test: impl FnOnce(Sim) -> F) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(async move { test(Sim::new(seed)).await })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panics under the world's locks")
}

impl Sim {
    fn new(seed: u64) -> Self {
        let world = Arc::new(World {
            rng: Mutex::new(seed),
            trace: Mutex::default(),
            started: Instant::now(),
            started_ms: 1_750_000_000_000 + (seed % 1000) as i64,
            jumped_ms: AtomicI64::new(0),
            process: AtomicU64::new(1),
            crashed: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            ended: Notify::new(),
            tasks: Mutex::default(),
            durable_operations: AtomicU64::new(0),
            crash_at: AtomicU64::new(u64::MAX),
            fail_at: AtomicU64::new(u64::MAX),
            end_when: Mutex::default(),
            fail_when: Mutex::default(),
            failed: AtomicU64::new(0),
            sync_us: AtomicU64::new(100),
            stuck_us: AtomicU64::new(0),
        });
        Sim {
            disk: Arc::new(SimDisk::new(world.clone())),
            network: Arc::new(SimNetwork::new(world.clone())),
            world,
        }
    }

    /// The door of the process. After a crash, take a new one.
    pub fn door(&self) -> Door {
        let process = self.world.process.load(Ordering::Relaxed);
        Door {
            clock: Arc::new(SimClock(self.world.clone())),
            random: Arc::new(SimRandom(self.world.clone())),
            disk: Arc::new(self.disk.of_process(process)),
            network: Arc::new(self.network.of_process(process)),
            tasks: Arc::new(SimTasks { world: self.world.clone(), ends_with_process: true }),
        }
    }

    /// A door for clients, which no crash ends. Its disk is the process's: leave it alone.
    pub fn outside(&self) -> Door {
        Door {
            tasks: Arc::new(SimTasks { world: self.world.clone(), ends_with_process: false }),
            ..self.door()
        }
    }

    /// Takes the power away, if the process did not end at a chosen call, and brings the disk into the state that the
    /// next process finds. Drop what the test holds of the process before or after.
    pub async fn crash(&self) {
        self.end_process("the power goes").await;
        self.disk.lose_power();
    }

    /// Ends the process, if it did not end at a chosen call; the page cache stays as it is.
    pub async fn kill(&self) {
        self.end_process("the process is killed").await;
        self.disk.outlive_process();
    }

    async fn end_process(&self, how: &'static str) {
        self.note(how);
        self.world.end_now();
        for task in lock(&self.world.tasks).drain(..) {
            task.abort();
        }
        self.network.crash();
        // Lets the runtime drop what was aborted.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.world.process.fetch_add(1, Ordering::Relaxed);
        self.world.crashed.store(false, Ordering::Relaxed);
        self.world.crash_at.store(u64::MAX, Ordering::Relaxed);
        self.world.fail_at.store(u64::MAX, Ordering::Relaxed);
        *lock(&self.world.end_when) = None;
        *lock(&self.world.fail_when) = None;
        self.world.stuck_us.store(0, Ordering::Relaxed);
    }

    /// Operations so far that make something durable: the places where a crash can be put.
    pub fn durable_operations(&self) -> u64 {
        self.world.durable_operations.load(Ordering::Relaxed)
    }

    /// Crashes during the durable operation with this number, counted from 0: it and every later one fails.
    pub fn crash_at(&self, operation: u64) {
        self.world.crash_at.store(operation, Ordering::Relaxed);
    }

    /// Lets the durable operation with this number fail with an I/O error; its effect is open.
    pub fn fail_at(&self, operation: u64) {
        self.world.fail_at.store(operation, Ordering::Relaxed);
    }

    /// Ends the process at one of its next calls through the door, whatever it is; `None` takes that back. Go on with
    /// [`Sim::crash`] or [`Sim::kill`].
    pub fn end_when(&self, when: Option<When>) {
        *lock(&self.world.end_when) = when;
    }

    /// Fails one of the next disk calls; `None` takes that back.
    pub fn fail_when(&self, failure: Option<DiskFailure>) {
        *lock(&self.world.fail_when) = failure;
    }

    /// Disk calls that failed so far because a test said so, or found the disk full.
    pub fn failed_calls(&self) -> u64 {
        self.world.failed.load(Ordering::Relaxed)
    }

    /// Whether the process has ended at a chosen call.
    pub fn has_crashed(&self) -> bool {
        self.world.crashed.load(Ordering::Relaxed)
    }

    /// Whether a task of a process has panicked: nothing that a world does may lead to that.
    pub fn has_panicked(&self) -> bool {
        self.world.panicked.load(Ordering::Relaxed)
    }

    /// Waits until the process ends at a chosen call, or a task of it panics.
    pub async fn until_crashed(&self) {
        while !self.has_crashed() && !self.has_panicked() {
            self.world.ended.notified().await;
        }
    }

    /// How long durable operations take from now on, about.
    pub fn set_sync_time(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.world.sync_us.store(us, Ordering::Relaxed);
    }

    /// Lets the next durable operation take this long.
    pub fn stick_next_sync(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.world.stuck_us.store(us, Ordering::Relaxed);
    }

    /// Bytes that files may take in all.
    pub fn set_disk_bytes(&self, bytes: u64) {
        self.disk.set_bytes_max(bytes);
    }

    /// Bytes that files take now.
    pub fn disk_bytes_used(&self) -> u64 {
        self.disk.bytes_used()
    }

    /// Every file with its size, in order of their paths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.disk.files()
    }

    /// Flips a bit of a file at rest. The file and the byte must be there.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) {
        self.disk.flip_bit(path, byte, bit);
    }

    /// Loses a file at rest: its name is gone, as after a copy that broke off. The file must be there.
    pub fn lose_file(&self, path: &Path) {
        self.disk.lose_file(path);
    }

    /// Removes a directory with all that is in it, durably and at once: what an operator does.
    pub fn remove_tree(&self, path: &Path) {
        self.disk.remove_tree(path);
    }

    /// The disk as it is, to come back to. No process may be running.
    pub fn save_disk(&self) -> SavedDisk {
        self.disk.save()
    }

    /// Brings the disk back to what it was. No process may be running.
    pub fn restore_disk(&self, saved: &SavedDisk) {
        self.disk.restore(saved);
    }

    /// What may happen to connections from now on; those that are open keep their fate.
    pub fn set_network(&self, faults: NetworkFaults) {
        self.network.set_faults(faults);
    }

    /// Moves the wall clock by so many milliseconds, forwards or backwards. The monotonic clock goes on as it was.
    pub fn jump_clock(&self, by_ms: i64) {
        self.world.jumped_ms.fetch_add(by_ms, Ordering::Relaxed);
        self.world.trace("clock jumps", by_ms as u64);
    }

    /// By how much the wall clock of the process is ahead of [`Sim::now_ms`], in milliseconds.
    pub fn jumped_ms(&self) -> i64 {
        self.world.jumped_ms.load(Ordering::Relaxed)
    }

    /// The wall clock that does not jump, in milliseconds since the epoch. Looking leaves no trace.
    pub fn now_ms(&self) -> i64 {
        self.world.started_ms + self.world.started.elapsed().as_millis() as i64
    }

    /// Simulated time since the world began.
    pub fn elapsed(&self) -> Duration {
        self.world.started.elapsed()
    }

    /// A hash over every call that went through a door of this world, in order, with time and outcome.
    pub fn trace_hash(&self) -> u64 {
        lock(&self.world.trace).hash()
    }

    /// Calls that went through a door of this world.
    pub fn calls(&self) -> u64 {
        lock(&self.world.trace).calls()
    }

    /// Puts a line of the test's own between the events of the trace.
    pub fn note(&self, line: impl Into<String>) {
        lock(&self.world.trace).note(self.world.started.elapsed(), line.into());
    }

    /// The last events, a line each, oldest first: time, what happened, where in the server it was asked for.
    pub fn recent(&self) -> Vec<String> {
        lock(&self.world.trace).recent()
    }

    /// Places in the server that have called the disk, in order, and what befell them.
    pub fn fault_points(&self) -> Vec<FaultPoint> {
        lock(&self.world.trace).fault_points()
    }

    /// A seeded number below `bound`, for the test's own choices.
    pub fn below(&self, bound: u64) -> u64 {
        self.world.below(bound)
    }
}

impl World {
    fn next(&self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mut state = lock(&self.rng);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Mixes a call into the trace.
    fn trace(&self, what: &'static str, detail: u64) {
        lock(&self.trace).call(self.started.elapsed(), what, detail);
    }

    /// Mixes a disk call into the trace; answers how many calls came from that place before.
    fn trace_disk(&self, site: Site, what: &'static str, path: &Arc<Path>, detail: u64) -> u64 {
        lock(&self.trace).disk_call(self.started.elapsed(), site, what, path, detail)
    }

    /// Lets a seeded time pass: mostly none, sometimes a turn of the scheduler, sometimes longer.
    async fn pause(&self) {
        match self.below(8) {
            0..4 => {}
            4..6 => tokio::task::yield_now().await,
            _ => tokio::time::sleep(Duration::from_micros(1 + self.below(300))).await,
        }
    }

    /// About the time that a durable operation takes.
    async fn sync_time(&self) {
        let us = self.sync_us.load(Ordering::Relaxed);
        let stuck_us = self.stuck_us.swap(0, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_micros(stuck_us + us / 2 + self.below(us.max(1)))).await;
    }

    fn end_now(&self) {
        self.crashed.store(true, Ordering::Relaxed);
        self.ended.notify_waiters();
    }

    /// Whether a process still runs.
    fn runs(&self, process: u64) -> bool {
        !self.crashed.load(Ordering::Relaxed) && self.process.load(Ordering::Relaxed) == process
    }

    /// Whether what is armed goes off at a call from a place that has called so often before.
    fn is_now(&self, when: &mut When, calls_before: u64) -> bool {
        match when {
            When::After(0) => true,
            When::After(more) => {
                *more -= 1;
                false
            }
            When::Rare => calls_before < RARE_CALLS && self.below(2) == 0,
        }
    }

    /// A call of a running process: ends it if that was put here.
    fn may_end(&self, calls_before: u64) -> bool {
        let mut armed = lock(&self.end_when);
        let ends = armed.as_mut().is_some_and(|when| self.is_now(when, calls_before));
        if ends {
            *armed = None;
            drop(armed);
            self.end_now();
        }
        ends
    }

    /// A disk call: the error that was put here.
    fn may_fail(&self, call: DiskCall, calls_before: u64) -> Option<io::Error> {
        let mut armed = lock(&self.fail_when);
        let failure = armed.as_mut().filter(|failure| failure.call == call)?;
        if !self.is_now(&mut failure.when, calls_before) {
            return None;
        }
        let full = failure.full;
        *armed = None;
        self.failed.fetch_add(1, Ordering::Relaxed);
        Some(if full { io::ErrorKind::StorageFull.into() } else { io::Error::other("simulated I/O error") })
    }
}

#[derive(Debug)]
struct SimClock(Arc<World>);

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        let now = self.0.started_ms
            + self.0.started.elapsed().as_millis() as i64
            + self.0.jumped_ms.load(Ordering::Relaxed);
        self.0.trace("clock", now as u64);
        now
    }
}

#[derive(Debug)]
struct SimRandom(Arc<World>);

impl Random for SimRandom {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.0.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        self.0.trace("random", out.len() as u64);
    }
}

#[derive(Debug)]
struct SimTasks {
    world: Arc<World>,
    ends_with_process: bool,
}

/// Tells, when it is dropped in one, that a task panicked.
struct TellsPanic(Arc<World>);

impl Drop for TellsPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.store(true, Ordering::Relaxed);
            self.0.ended.notify_waiters();
        }
    }
}

impl Tasks for SimTasks {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle {
        let world = self.world.clone();
        world.trace(name, 1);
        let tells = self.ends_with_process.then(|| TellsPanic(world.clone()));
        let running = tokio::task::spawn(async move {
            let _tells = tells;
            world.pause().await;
            world.trace(name, 2);
            task.await;
            world.trace(name, 3);
        });
        if self.ends_with_process {
            let mut tasks = lock(&self.world.tasks);
            tasks.retain(|task| !task.is_finished());
            tasks.push(running.abort_handle());
        }
        TaskHandle(running)
    }

    fn dedicated(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        drop(self.spawn(name, task));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::door::Open;

    async fn a_bit_of_everything(sim: Sim) -> u64 {
        let door = sim.door();
        let listener = door.network.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address();
        let inner = door.clone();
        door.tasks.spawn(
            "echo",
            Box::pin(async move {
                while let Ok(mut accepted) = listener.accept().await {
                    inner.tasks.spawn(
                        "echo-one",
                        Box::pin(async move {
                            let mut bytes = [0; 100];
                            while let Ok(len @ 1..) = accepted.stream.read(&mut bytes).await {
                                accepted.stream.write_all(&bytes[..len]).await.unwrap();
                            }
                        }),
                    );
                }
            }),
        );
        for i in 0..5u8 {
            let mut stream = sim.outside().network.connect(address).await.unwrap();
            stream.write_all(&[i; 500]).await.unwrap();
            let mut back = [0; 500];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(back, [i; 500]);
        }
        door.random.next_u64() ^ door.clock.now_ms() as u64 ^ sim.trace_hash()
    }

    #[test]
    fn a_seed_repeats_itself_and_another_one_differs() {
        let hashes: Vec<u64> = (0..10).map(|seed| run(seed, a_bit_of_everything)).collect();
        assert_eq!(hashes, (0..10).map(|seed| run(seed, a_bit_of_everything)).collect::<Vec<_>>());
        let different: std::collections::BTreeSet<u64> = hashes.into_iter().collect();
        assert_eq!(different.len(), 10);
    }

    #[test]
    fn a_crash_forgets_only_what_was_not_synced() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            seen.insert(run(seed, |sim| async move {
                let door = sim.door();
                let dir = Path::new("/data");
                door.disk.create_dir_all(dir).await.unwrap();
                let kept = door.disk.open(&dir.join("kept"), Open::Durable).await.unwrap();
                door.disk.sync_dir(dir).await.unwrap();
                kept.write_durable(0, Bytes::from(vec![1; 4096])).await.unwrap();
                kept.write_at(4096, Bytes::from(vec![2; 1024])).await.unwrap();
                let other = door.disk.open(&dir.join("other"), Open::Write).await.unwrap();
                other.write_at(0, Bytes::from_static(b"x")).await.unwrap();
                other.sync().await.unwrap();
                sim.crash().await;
                assert!(kept.read_at(0, 1).await.is_err(), "handles end with their process");
                let door = sim.door();
                let kept = door.disk.open(&dir.join("kept"), Open::Read).await.unwrap();
                assert_eq!(kept.read_at(0, 4096).await.unwrap(), vec![1; 4096]);
                let size = kept.size().await.unwrap();
                let tail = kept.read_at(4096, (size - 4096) as usize).await.unwrap();
                let halves: Vec<bool> = tail.chunks(512).map(|half| half[0] == 2).collect();
                (door.disk.list(dir).await.unwrap().len(), halves)
            }));
        }
        let lost = (1, vec![]);
        let torn = (2, vec![false, true]);
        let whole = (2, vec![true, true]);
        for outcome in [lost, torn, whole] {
            assert!(seen.contains(&outcome), "{outcome:?} never happened: {seen:?}");
        }
    }

    #[test]
    fn renames_survive_once_the_directory_is_synced() {
        for seed in 0..50 {
            run(seed, |sim| async move {
                let disk = sim.door().disk;
                let dir = Path::new("/d");
                disk.create_dir_all(dir).await.unwrap();
                for text in ["one", "two"] {
                    let file = disk.open(&dir.join("new"), Open::Write).await.unwrap();
                    file.write_at(0, Bytes::from_static(text.as_bytes())).await.unwrap();
                    file.sync().await.unwrap();
                    disk.rename(&dir.join("new"), &dir.join("it")).await.unwrap();
                    if text == "one" {
                        disk.sync_dir(dir).await.unwrap();
                    }
                }
                sim.crash().await;
                let disk = sim.door().disk;
                let file = disk.open(&dir.join("it"), Open::Read).await.unwrap();
                let text = file.read_at(0, 3).await.unwrap();
                assert!(text == "one" || text == "two", "{text:?}");
            });
        }
    }

    #[test]
    fn operations_fail_and_crash_where_they_are_told_to() {
        run(1, |sim| async move {
            let disk = sim.door().disk;
            disk.create_dir_all(Path::new("/d")).await.unwrap();
            let file = disk.open(Path::new("/d/f"), Open::Durable).await.unwrap();
            let next = sim.durable_operations();
            sim.fail_at(next + 1);
            file.sync().await.unwrap();
            file.sync().await.unwrap_err();
            file.sync().await.unwrap();
            sim.crash_at(next + 3);
            file.sync().await.unwrap_err();
            assert!(sim.has_crashed());
            file.sync().await.unwrap_err();
            sim.set_disk_bytes(4096);
            sim.crash().await;
            let disk = sim.door().disk;
            disk.create_dir_all(Path::new("/d")).await.unwrap();
            let file = disk.open(Path::new("/d/g"), Open::Durable).await.unwrap();
            let full = file.allocate(8192).await.unwrap_err();
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        });
    }

    #[test]
    fn a_killed_process_leaves_what_only_the_page_cache_has() {
        let mut sizes = std::collections::BTreeSet::new();
        for seed in 0..100 {
            sizes.insert(run(seed, |sim| async move {
                let dir = Path::new("/d");
                let disk = sim.door().disk;
                disk.create_dir_all(dir).await.unwrap();
                let file = disk.open(&dir.join("f"), Open::Durable).await.unwrap();
                disk.sync_dir(dir).await.unwrap();
                file.allocate(16384).await.unwrap();
                file.write_at(0, Bytes::from(vec![1; 4096])).await.unwrap();
                // A direct write of three blocks is under way when the process ends.
                sim.set_sync_time(Duration::from_secs(1));
                let write = async move { drop(file.write_durable(4096, Bytes::from(vec![2; 12288])).await) };
                sim.door().tasks.spawn("writer", Box::pin(write));
                tokio::time::sleep(Duration::from_millis(100)).await;
                sim.kill().await;
                let read = async |sim: &Sim| {
                    let file = sim.door().disk.open(&dir.join("f"), Open::Read).await.unwrap();
                    file.read_at(0, 16384).await.unwrap()
                };
                let seen = read(&sim).await;
                assert_eq!(seen[..4096], [1; 4096], "the page cache outlives the process");
                let written = seen.iter().filter(|byte| **byte == 2).count();
                assert_eq!(written % 4096, 0);
                assert!(seen[4096..4096 + written].iter().all(|byte| *byte == 2), "block after block");
                sim.crash().await;
                let seen = read(&sim).await;
                (written, seen[..4096].iter().filter(|byte| **byte == 1).count() < 4096)
            }));
        }
        for outcome in [(0, true), (4096, true), (8192, true), (12288, true)] {
            assert!(sizes.contains(&outcome), "{outcome:?} never happened: {sizes:?}");
        }
    }

    #[test]
    fn what_a_failed_sync_lost_is_seen_until_it_is_evicted() {
        let mut lost = 0;
        for seed in 0..50 {
            lost += run(seed, |sim| async move {
                let dir = Path::new("/d");
                let disk = sim.door().disk;
                disk.create_dir_all(dir).await.unwrap();
                let file = disk.open(&dir.join("f"), Open::Write).await.unwrap();
                file.write_at(0, Bytes::from(vec![1; 512])).await.unwrap();
                sim.fail_when(Some(DiskFailure {
                    call: DiskCall::Sync,
                    full: seed % 2 == 0,
                    when: When::After(0),
                }));
                file.sync().await.unwrap_err();
                assert_eq!(sim.failed_calls(), 1);
                assert_eq!(file.read_at(0, 512).await.unwrap(), vec![1; 512]);
                file.sync().await.unwrap();
                assert_eq!(file.read_at(0, 512).await.unwrap(), vec![1; 512], "a second sync lies");
                file.sync_and_evict().await.unwrap();
                u64::from(file.size().await.unwrap() == 0)
            });
        }
        assert!((10..40).contains(&lost), "{lost} of 50 lost it");
    }

    #[test]
    fn a_bit_flips_and_a_saved_disk_comes_back() {
        run(1, |sim| async move {
            let dir = Path::new("/d");
            let disk = sim.door().disk;
            disk.create_dir_all(dir).await.unwrap();
            let file = disk.open(&dir.join("f"), Open::Write).await.unwrap();
            file.write_at(0, Bytes::from(vec![0; 5000])).await.unwrap();
            file.sync().await.unwrap();
            let saved = sim.save_disk();
            assert_eq!(sim.files(), [(dir.join("f"), 5000)]);
            sim.flip_bit(&dir.join("f"), 4500, 3);
            assert_eq!(file.read_at(4500, 1).await.unwrap()[0], 8);
            sim.restore_disk(&saved);
            assert_eq!(file.read_at(4500, 1).await.unwrap()[0], 0);
        });
    }

    #[test]
    fn rare_calls_are_where_a_process_ends() {
        run(1, |sim| async move {
            let dir = Path::new("/d");
            let disk = sim.door().disk;
            disk.create_dir_all(dir).await.unwrap();
            let file = disk.open(&dir.join("f"), Open::Write).await.unwrap();
            for _ in 0..20 {
                file.sync().await.unwrap();
            }
            sim.end_when(Some(When::Rare));
            while !sim.has_crashed() {
                disk.list(dir).await.ok();
            }
            sim.until_crashed().await;
            let points = sim.fault_points();
            let ended: Vec<_> = points.iter().filter(|point| point.ended > 0).collect();
            assert!(ended.len() == 1 && ended[0].calls <= 3, "{points:?}");
            assert!(
                sim.recent().iter().any(|line| line.contains("the process ends at")),
                "{:?}",
                sim.recent()
            );
        });
    }

    #[test]
    fn connections_meet_their_fates() {
        let one = |seed: u64, faults: NetworkFaults| {
            run(seed, |sim| async move {
                let listener = sim.door().network.listen("127.0.0.1:7".parse().unwrap()).await.unwrap();
                let inside = sim.clone();
                let serve = async move {
                    while let Ok(mut accepted) = listener.accept().await {
                        let echo = async move {
                            let mut bytes = [0; 100];
                            while let Ok(len @ 1..) = accepted.stream.read(&mut bytes).await {
                                if accepted.stream.write_all(&bytes[..len]).await.is_err() {
                                    return;
                                }
                            }
                        };
                        inside.door().tasks.spawn("echo", Box::pin(echo));
                    }
                };
                sim.door().tasks.spawn("serve", Box::pin(serve));
                sim.set_network(faults);
                let network = sim.outside().network;
                let Ok(mut stream) = network.connect("127.0.0.1:7".parse().unwrap()).await else {
                    return "refused";
                };
                let talk = async {
                    for _ in 0..3000 {
                        let mut back = [0; 100];
                        if stream.write_all(&[5; 100]).await.is_err()
                            || stream.read_exact(&mut back).await.is_err()
                        {
                            return "cut";
                        }
                        assert_eq!(back, [5; 100], "what arrives is what was sent");
                    }
                    "whole"
                };
                tokio::time::timeout(Duration::from_secs(3600), talk).await.unwrap_or("silent")
            })
        };
        let none = NetworkFaults::default();
        for seed in 0..10 {
            assert_eq!(one(seed, none), "whole");
            assert_eq!(one(seed, NetworkFaults { refused: 1000, ..none }), "refused");
            assert_eq!(one(seed, NetworkFaults { cut: 1000, ..none }), "cut");
            assert_eq!(one(seed, NetworkFaults { silent: 1000, ..none }), "silent");
            assert_eq!(one(seed, NetworkFaults { doubled: 1000, ..none }), "whole");
        }
    }
}
