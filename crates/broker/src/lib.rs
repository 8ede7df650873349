//! What an operation means: topics, partitions, shards, groups, admission. Waiting, timers and sessions live here;
//! the rules that decide live in `kolk_engine::state`, never a second time.
//!
//! Start at [`Broker`], the one handle that both faces hold.

pub mod admission;
pub mod configs;
pub mod gather;
pub mod groups;
mod metrics;
pub mod partitions;
mod producers;
pub mod settings;
pub mod shards;
pub mod streams;
pub mod topics;
mod unreadable;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolk_engine::door::Door;
use kolk_engine::state::{CatalogueEpoch, Command, Outcome, Refusal};
use kolk_engine::{Engine, EngineExt, PartitionId, Pending};

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
    gatherer: gather::Gatherer,
    groups: groups::Groups,
    producer_ids: producers::ProducerIds,
    catalogue_epoch: CatalogueEpoch,
    undecodable: shards::Undecodable,
    unreadable: unreadable::Unreadable,
    started: AtomicBool,
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
        let catalogue_epoch = engine.peek(|state| state.catalogue_epoch().clone());
        Broker(Arc::new(Inner {
            engine,
            door,
            settings,
            admission,
            gatherer: gather::Gatherer::default(),
            groups: groups::Groups::default(),
            producer_ids: producers::ProducerIds::default(),
            catalogue_epoch,
            undecodable: shards::Undecodable::default(),
            unreadable: unreadable::Unreadable::default(),
            started: AtomicBool::new(false),
        }))
    }

    /// Brings back the groups that have members and starts what happens by itself. Once; a face calls it when it
    /// begins to serve.
    pub fn start(&self) {
        if !self.0.started.swap(true, Ordering::AcqRel) {
            self.load_groups();
            let broker = self.clone();
            let offsets = async move {
                let settings = broker.settings();
                let retention_ms = settings.offsets_retention_minutes.saturating_mul(60_000);
                let check_ms = settings.offsets_retention_check_interval_ms;
                let command = |before_ms, from| Command::ExpireOffsets { before_ms, from };
                let next = |outcome| match outcome {
                    Outcome::OffsetsExpired { next } => next,
                    _ => None,
                };
                broker.expire("offsets", retention_ms, check_ms, command, next).await;
            };
            self.0.door.tasks.spawn("offset-expiry", Box::pin(offsets));
            let broker = self.clone();
            let producers = async move {
                let settings = broker.settings();
                let retention_ms = settings.producer_id_expiration_ms;
                let check_ms = settings.producer_id_expiration_check_interval_ms;
                let command = |before_ms, from| Command::ExpireProducers { before_ms, from };
                let next = |outcome| match outcome {
                    Outcome::ProducersExpired { next } => next,
                    _ => None,
                };
                broker.expire("producers", retention_ms, check_ms, command, next).await;
            };
            self.0.door.tasks.spawn("producer-expiry", Box::pin(producers));
        }
    }

    /// Forgets what is older than `retention_ms`, every `check_ms`, until the log is closed. A command goes on where the one
    /// before stopped, as its outcome says.
    async fn expire<Place>(
        &self,
        what: &'static str,
        retention_ms: i64,
        check_ms: u64,
        command: impl Fn(i64, Option<Place>) -> Command,
        next: impl Fn(Outcome) -> Option<Place>,
    ) {
        loop {
            tokio::time::sleep(Duration::from_millis(check_ms.max(1))).await;
            let before_ms = self.now_ms().saturating_sub(retention_ms);
            let mut from = None;
            loop {
                from = match self.propose(command(before_ms, from)).await {
                    Ok(Ok(outcome)) => next(outcome),
                    Ok(Err(refusal)) => {
                        tracing::warn!(what, %refusal, "expiry was refused");
                        None
                    }
                    Err(_) => return,
                };
                if from.is_none() {
                    break;
                }
            }
        }
    }

    pub(crate) fn groups(&self) -> &groups::Groups {
        &self.0.groups
    }

    pub(crate) fn undecodable(&self) -> &shards::Undecodable {
        &self.0.undecodable
    }

    pub(crate) fn unreadable(&self) -> &unreadable::Unreadable {
        &self.0.unreadable
    }

    /// Batches of a partition could not be read while an answer with them was sent: nothing but the end of the connection
    /// can tell the client. From now on they are read before they are promised.
    pub fn answer_broke_off(&self, partition: PartitionId, reason: &str) {
        self.unreadable().note(partition, reason, unreadable::Met::Within);
    }

    pub(crate) fn producer_ids(&self) -> &producers::ProducerIds {
        &self.0.producer_ids
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

    /// Brings small pieces of files into memory.
    pub fn gatherer(&self) -> &gather::Gatherer {
        &self.0.gatherer
    }

    /// Wall clock, ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.0.door.clock.now_ms()
    }

    /// [`Engine::propose`].
    pub fn propose(&self, command: Command) -> Pending<Result<Outcome, Refusal>> {
        self.0.engine.propose(command)
    }

    /// Changes with the decision that makes, deletes, reshards or configures a topic: cached name lookups hold while it
    /// stays.
    pub fn catalogue_epoch(&self) -> u64 {
        self.0.catalogue_epoch.now()
    }
}
