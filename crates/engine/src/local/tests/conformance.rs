//! The contract's suite on this back end: on this machine's disk, with and without direct writes, and on the simulated
//! one, crashing.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::conformance::{self, Harness, ManualClock};
use crate::door::sim::{self, Sim};

/// Files small enough for a case to fill several of them, and a rewrite that is always due.
fn small() -> LocalOptions {
    LocalOptions {
        wal_file_bytes_first: 128 << 10,
        wal_file_bytes_max: 256 << 10,
        wal_bytes_max: 8 << 20,
        tail_cache_bytes: 32 << 10,
        frame_bytes_max: 64 << 10,
        rewrite: RewriteOptions {
            wal_bytes: 128 << 10,
            interval: Duration::from_millis(20),
            promote_extent_bytes: 0,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// A directory of its own for each engine of this machine's disk.
struct OnDisk {
    options: DiskOptions,
    root: tempfile::TempDir,
    engines: AtomicU64,
    clock: std::sync::Mutex<Arc<ManualClock>>,
}

impl OnDisk {
    fn new(options: DiskOptions) -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = std::sync::Mutex::new(ManualClock::new());
        OnDisk { options, root, engines: AtomicU64::new(0), clock }
    }

    async fn open(&self) -> Arc<dyn Engine> {
        let directory = self.root.path().join(self.engines.load(Ordering::Relaxed).to_string());
        let clock = self.clock.lock().unwrap().clone();
        let door = Door { clock, ..door(self.options) };
        LocalEngine::open(door, &directory, small()).await.unwrap()
    }
}

impl Harness for OnDisk {
    fn start(&self, clock: Arc<ManualClock>) -> BoxFuture<'_, Arc<dyn Engine>> {
        self.engines.fetch_add(1, Ordering::Relaxed);
        *self.clock.lock().unwrap() = clock;
        Box::pin(self.open())
    }

    fn persists(&self) -> bool {
        true
    }

    fn reopen(&self, engine: Arc<dyn Engine>, crash: bool) -> BoxFuture<'_, Arc<dyn Engine>> {
        Box::pin(async move {
            if !crash {
                engine.close().await.unwrap();
            }
            drop(engine);
            self.open().await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_with_direct_writes() {
    conformance::run(&OnDisk::new(DiskOptions::default())).await;
}

#[tokio::test]
async fn it_keeps_the_contract_through_the_page_cache() {
    conformance::run(&OnDisk::new(DiskOptions { direct: false, ..DiskOptions::default() })).await;
}

/// The simulated disk; a crash forgets what was not synced.
struct Simulated {
    sim: Sim,
    engines: AtomicU64,
    clock: std::sync::Mutex<Arc<ManualClock>>,
}

impl Simulated {
    fn new(sim: Sim) -> Self {
        let clock = std::sync::Mutex::new(ManualClock::new());
        Simulated { sim, engines: AtomicU64::new(0), clock }
    }

    async fn open(&self) -> Arc<dyn Engine> {
        let directory = format!("/{}", self.engines.load(Ordering::Relaxed));
        let clock = self.clock.lock().unwrap().clone();
        let door = Door { clock, ..self.sim.door() };
        LocalEngine::open(door, Path::new(&directory), small()).await.unwrap()
    }
}

impl Harness for Simulated {
    fn start(&self, clock: Arc<ManualClock>) -> BoxFuture<'_, Arc<dyn Engine>> {
        self.engines.fetch_add(1, Ordering::Relaxed);
        *self.clock.lock().unwrap() = clock;
        Box::pin(self.open())
    }

    fn persists(&self) -> bool {
        true
    }

    fn reopen(&self, engine: Arc<dyn Engine>, crash: bool) -> BoxFuture<'_, Arc<dyn Engine>> {
        Box::pin(async move {
            if !crash {
                engine.close().await.unwrap();
            }
            drop(engine);
            self.sim.crash().await;
            self.open().await
        })
    }
}

#[test]
fn it_keeps_the_contract_on_a_disk_that_forgets() {
    for seed in 0..4 {
        sim::run(seed, |sim| async move { conformance::run(&Simulated::new(sim)).await });
    }
}

#[test]
fn it_survives_crashes_at_any_durable_operation() {
    for seed in 0..60 {
        sim::run(seed, |sim| async move {
            conformance::survives(&Crashing(Simulated::new(sim)), seed, 6, 60).await;
        });
    }
}

/// Crashes while the suite writes.
struct Crashing(Simulated);

impl Harness for Crashing {
    fn start(&self, clock: Arc<ManualClock>) -> BoxFuture<'_, Arc<dyn Engine>> {
        self.0.start(clock)
    }

    fn persists(&self) -> bool {
        true
    }

    fn reopen(&self, engine: Arc<dyn Engine>, crash: bool) -> BoxFuture<'_, Arc<dyn Engine>> {
        self.0.reopen(engine, crash)
    }

    fn may_fail(&self) {
        let sim = &self.0.sim;
        sim.crash_at(sim.durable_operations() + sim.below(25));
    }
}
