//! What an operation means: topics, partitions, shards, groups, admission. Waiting, timers and sessions live here;
//! the rules that decide live in `kolk_engine::state`, never a second time.
//!
//! Start at [`Broker`], the one handle that both faces hold.

pub mod admission;
pub mod settings;
pub mod shards;
pub mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kolk_engine::door::Door;
use kolk_engine::state::{Command, Outcome, Refusal};
use kolk_engine::{Engine, Pending};

pub use admission::{Admission, Class, Permit};
pub use settings::Settings;

/// One broker: an engine, the door, settings, and what waits. A cheap handle.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    engine: Arc<dyn Engine>,
    door: Door,
    settings: Settings,
    admission: Admission,
    catalogue_epoch: AtomicU64,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Broker {
    /// A broker over `engine`.
    pub fn new(engine: Arc<dyn Engine>, door: Door, settings: Settings) -> Self {
        let admission = Admission::new(settings.memory_bytes_max);
        Broker(Arc::new(Inner { engine, door, settings, admission, catalogue_epoch: AtomicU64::new(0) }))
    }

    /// The log.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.0.engine
    }

    /// Time, randomness, disk, network, tasks.
    pub fn door(&self) -> &Door {
        &self.0.door
    }

    /// What was configured.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The byte budget that every request passes before it is decoded.
    pub fn admission(&self) -> &Admission {
        &self.0.admission
    }

    /// Wall clock, ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.0.door.clock.now_ms()
    }

    /// [`Engine::propose`], and whoever caches what a topic name means looks again. Use this one, not the engine's.
    pub fn propose(&self, command: Command) -> Pending<Result<Outcome, Refusal>> {
        let changes_catalogue = matches!(
            command,
            Command::CreateTopic(_)
                | Command::DeleteTopic { .. }
                | Command::AlterTopicConfigs { .. }
                | Command::Reshard { .. }
        );
        let pending = self.0.engine.propose(command);
        if changes_catalogue {
            self.0.catalogue_epoch.fetch_add(1, Ordering::AcqRel);
        }
        pending
    }

    /// Changes whenever a topic was made, deleted, resharded or configured through this broker: cached name lookups
    /// hold while it stays.
    pub fn catalogue_epoch(&self) -> u64 {
        self.0.catalogue_epoch.load(Ordering::Acquire)
    }
}
