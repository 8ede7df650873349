//! A seeded world in one thread: clock, random numbers, scheduling, disk and network, for tests.
//!
//! **What can go wrong in it** (its fault model):
//! - *Time.* Every call through the door may take a seeded time, tasks begin after a seeded time: two seeds give two
//!   schedules, one seed the same schedule again. The clock is tokio's, paused: it moves when everybody waits.
//! - *Disk.* A crash forgets writes that were not made durable: each 512-byte sector of each such write survives
//!   or not, by the seed. Of un-synced creations, renames and removals in a directory the first few survive. A
//!   file whose entry did not survive is gone, its synced content with it. A durable operation during which the world crashes may
//!   have happened or not, in parts too. Synced bytes never change or rot. Reads see what was written, durable or not.
//!   Blocks may run out ([`Sim::set_disk_bytes`]), one operation may fail ([`Sim::fail_at`]), syncs may be slow
//!   ([`Sim::set_sync_time`]).
//! - *Network.* Bytes arrive late, in pieces, in order. A crash closes connections. Nothing is lost, doubled or partitioned.
//! - *Process.* A crash ends all tasks of the process at once ([`Sim::crash`], or at a counted durable operation,
//!   [`Sim::crash_at`]); the outside (test, clients) lives on.
//!
//! What is not simulated: bit rot, more than one process, memory running out, directories that do not survive.
//!
//! Everything that passes the door is mixed into a hash ([`Sim::trace_hash`]): equal seeds must give equal hashes. Code
//! that picks at random behind the door's back shows as unequal ones: `tokio::select!` without `biased`, a `watch` channel
//! with many receivers (it wakes them in random order; `Notify` does not), a map with random seeds.

mod disk;
mod network;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{BoxFuture, Clock, Door, Random, TaskHandle, Tasks};
use disk::SimDisk;
use network::SimNetwork;

/// A simulated world. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sim {
    world: Arc<World>,
    disk: Arc<SimDisk>,
    network: Arc<SimNetwork>,
}

/// What all parts of the world share.
#[derive(Debug)]
struct World {
    rng: Mutex<u64>,
    trace: Mutex<u64>,
    calls: AtomicU64,
    started: Instant,
    started_ms: i64,
    /// Counts crashes: what belongs to an earlier process does nothing any more.
    process: AtomicU64,
    crashed: AtomicBool,
    tasks: Mutex<Vec<tokio::task::AbortHandle>>,
    durable_operations: AtomicU64,
    crash_at: AtomicU64,
    fail_at: AtomicU64,
    sync_us: AtomicU64,
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

impl Sim {
    fn new(seed: u64) -> Self {
        let world = Arc::new(World {
            rng: Mutex::new(seed),
            trace: Mutex::new(0xcbf2_9ce4_8422_2325),
            calls: AtomicU64::new(0),
            started: Instant::now(),
            started_ms: 1_750_000_000_000 + (seed % 1000) as i64,
            process: AtomicU64::new(1),
            crashed: AtomicBool::new(false),
            tasks: Mutex::default(),
            durable_operations: AtomicU64::new(0),
            crash_at: AtomicU64::new(u64::MAX),
            fail_at: AtomicU64::new(u64::MAX),
            sync_us: AtomicU64::new(100),
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
            network: self.network.clone(),
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

    /// Crashes the process if it did not crash at a counted operation, and brings the disk into the state that the
    /// next process finds. Drop what the test holds of the process before or after.
    pub async fn crash(&self) {
        self.world.crash_now();
        for task in self.world.tasks.lock().expect("no panics under this lock").drain(..) {
            task.abort();
        }
        self.network.crash();
        // Lets the runtime drop what was aborted.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.disk.crash();
        self.world.process.fetch_add(1, Ordering::Relaxed);
        self.world.crashed.store(false, Ordering::Relaxed);
        self.world.crash_at.store(u64::MAX, Ordering::Relaxed);
        self.world.fail_at.store(u64::MAX, Ordering::Relaxed);
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

    /// Whether a crash put by [`Sim::crash_at`] has come.
    pub fn has_crashed(&self) -> bool {
        self.world.crashed.load(Ordering::Relaxed)
    }

    /// How long durable operations take from now on, about.
    pub fn set_sync_time(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.world.sync_us.store(us, Ordering::Relaxed);
    }

    /// Bytes that files may take in all.
    pub fn set_disk_bytes(&self, bytes: u64) {
        self.disk.set_bytes_max(bytes);
    }

    /// A hash over every call that went through a door of this world, in order, with time and outcome.
    pub fn trace_hash(&self) -> u64 {
        *self.world.trace.lock().expect("no panics under this lock")
    }

    /// Calls that went through a door of this world.
    pub fn calls(&self) -> u64 {
        self.world.calls.load(Ordering::Relaxed)
    }

    /// A seeded number below `bound`, for the test's own choices.
    pub fn below(&self, bound: u64) -> u64 {
        self.world.below(bound)
    }
}

impl World {
    fn next(&self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mut state = self.rng.lock().expect("no panics under this lock");
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
    fn trace(&self, what: &str, detail: u64) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let now = self.started.elapsed().as_nanos() as u64;
        let mut trace = self.trace.lock().expect("no panics under this lock");
        let words = what.bytes().map(u64::from).chain([detail, now]);
        for word in words {
            *trace = (*trace ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
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
        tokio::time::sleep(Duration::from_micros(us / 2 + self.below(us.max(1)))).await;
    }

    fn crash_now(&self) {
        self.crashed.store(true, Ordering::Relaxed);
    }

    /// Whether a process still runs.
    fn runs(&self, process: u64) -> bool {
        !self.crashed.load(Ordering::Relaxed) && self.process.load(Ordering::Relaxed) == process
    }
}

#[derive(Debug)]
struct SimClock(Arc<World>);

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        let now = self.0.started_ms + self.0.started.elapsed().as_millis() as i64;
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

impl Tasks for SimTasks {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle {
        let world = self.world.clone();
        world.trace(name, 1);
        let running = tokio::task::spawn(async move {
            world.pause().await;
            world.trace(name, 2);
            task.await;
            world.trace(name, 3);
        });
        if self.ends_with_process {
            let mut tasks = self.world.tasks.lock().expect("no panics under this lock");
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
}
