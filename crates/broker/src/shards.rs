//! Shards: slices of partitions, as both protocols see them.
//!
//! Owns: finding a stream, which shards a listing shows, routing records to shards and putting them there,
//! positions in a shard, reading it to its end. Promises: a record is put to the shard that covers its hash key
//! at the moment it is appended (the fence; what a reshard overtakes is routed again inside the same call); a
//! reader gets every committed record of a slice once and in order, and shard end with the child shards exactly
//! when position and last stable offset have reached the slice's end. Leaves to others: the rule of resharding
//! (`kolk_engine::state::reshard`, by [`Broker::propose`] of `Command::Reshard`), the faces' names and numbers.
//!
//! ```text
//!   put: hash key ─► open shard ─► its partition ─► append, naming the shard ──► Resharded? route again
//!   read: position ─► clamp to [first, end) and log start ─► batches ─► records ─► page, or shard end
//! ```
//!
//! How the Kinesis face uses it:
//! - hold one [`Shards`] (a cheap handle) per process;
//! - [`Shards::stream`] for everything that names a stream; the [`Stream`] is a snapshot that may be told to
//!   clients (it is durable);
//! - ListShards: [`ShardFilter::resolve`] once, keep the [`Listing`] in the page token, [`Stream::list`];
//! - PutRecord and PutRecords: [`Shards::put`] with the MD5 or explicit hash key of each record;
//! - GetShardIterator: [`Shards::seek`], GetRecords: [`Shards::read`] with the offset out of the iterator;
//! - SplitShard, MergeShards, UpdateShardCount and Kafka's CreatePartitions: `Broker::propose`.
//!
//! Why it is so: `docs/adr/2026-11-23-shards.md`. Source: Kinesis API reference 2013-12-02.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kolk_engine::map::HashMap;
use kolk_engine::metrics::Counter;
use kolk_engine::state::{Shard, State, Topic, configs};
use kolk_engine::{EngineError, EngineExt, Seldom, ShardId, TopicId};

use crate::Broker;

mod list;
mod put;
mod read;
mod route;
mod seek;
#[cfg(test)]
mod tests;

pub use list::{Listing, ShardFilter, ShardList};
pub use put::{Placed, Put};
pub use read::{PageLimits, ShardPage, ShardRecord};
pub use seek::Seek;

use read::Blocks;
use route::Route;

/// Routes kept by stream name; beyond it all are forgotten and found again.
const ROUTES_MAX: usize = 4096;

/// All operations on shards. A cheap handle; clones share the table of routes.
#[derive(Clone, Debug)]
pub struct Shards {
    broker: Broker,
    routes: Arc<Mutex<HashMap<Arc<str>, Arc<Route>>>>,
    blocks: Arc<Blocks>,
}

/// Batches that readers of shards were not shown, or not all of, because their records cannot be read or are too large.
#[derive(Debug)]
pub(crate) struct Undecodable {
    /// Counted at each reading.
    pub batches: Counter,
    told: Seldom,
}

impl Default for Undecodable {
    fn default() -> Self {
        Undecodable { batches: Counter::default(), told: Seldom::new(Duration::from_secs(60)) }
    }
}

/// A stream as it was at one moment. Durable: it may be told to clients.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The topic (= stream) with all listed shards.
    pub topic: Arc<Topic>,
    /// How long records are kept, ms; `None` for ever.
    pub retention_ms: Option<i64>,
}

/// Why an operation on a stream or shard has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ShardsError {
    /// No stream of that name, or it was deleted, or deleted and made again.
    #[error("the stream does not exist")]
    UnknownStream,
    /// The stream has no such shard, or retention has forgotten it.
    #[error("{shard} does not exist")]
    UnknownShard {
        /// The shard.
        shard: ShardId,
    },
    /// The log cannot answer. A put may or may not have happened if it says so.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Shards {
    /// Shards of `broker`.
    pub fn new(broker: Broker) -> Shards {
        Shards { broker, routes: Arc::default(), blocks: Arc::default() }
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The stream of that name.
    pub async fn stream(&self, name: &str) -> Result<Stream, ShardsError> {
        let found = self.broker.engine().query(|state| {
            let topic = state.topic_by_name(name)?;
            Some(Stream::of(state, topic))
        });
        found.await?.ok_or(ShardsError::UnknownStream)
    }

    /// The stream of that identity (an iterator or page token names it, so that the iterator of a stream that
    /// was deleted and made again leads nowhere).
    pub async fn stream_by_id(&self, id: TopicId) -> Result<Stream, ShardsError> {
        let found = self.broker.engine().query(|state| Some(Stream::of(state, state.topic(id)?)));
        found.await?.ok_or(ShardsError::UnknownStream)
    }

    /// The stream's topic as the next put will see it, without waiting until that is durable. Only for what a put
    /// then answers for: tell nobody what was seen ([`Shards::stream`] is for that).
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.route(name).map(|route| Arc::clone(&route.topic))
    }

    fn route(&self, name: &str) -> Option<Arc<Route>> {
        let epoch = self.broker.catalogue_epoch();
        let known = self.routes.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        match known {
            Some(route) if route.epoch == epoch => Some(route),
            _ => self.route_again(name),
        }
    }

    /// Looks at the state's tail. What was seen need not be durable: whatever is appended by it is answered later.
    fn route_again(&self, name: &str) -> Option<Arc<Route>> {
        let epoch = self.broker.catalogue_epoch();
        let route = self
            .broker
            .engine()
            .peek(|state| state.topic_by_name(name).map(|topic| Arc::new(Route::new(state, topic, epoch))));
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(route) = route else {
            routes.remove(name);
            return None;
        };
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        routes.insert(Arc::clone(&route.topic.name), Arc::clone(&route));
        Some(route)
    }
}

impl Stream {
    fn of(state: &State, topic: &Arc<Topic>) -> Stream {
        Stream {
            topic: Arc::clone(topic),
            retention_ms: configs::retention_ms(topic, state.config_defaults()),
        }
    }

    /// A listed shard.
    pub fn shard(&self, id: ShardId) -> Result<&Shard, ShardsError> {
        self.topic.shard(id).ok_or(ShardsError::UnknownShard { shard: id })
    }

    /// How many shards take records.
    pub fn open_shard_count(&self) -> usize {
        self.topic.open_shards().count()
    }

    /// Shards of a listing in order of number, from the one after `after`, at most `limit`.
    pub fn list(&self, listing: Listing, now_ms: i64, after: Option<ShardId>, limit: usize) -> ShardList {
        list::list(&self.topic, listing, self.retention_ms, now_ms, after, limit)
    }

    /// The shards that go on after a closed one: two after a split, one after a merge.
    pub fn children(&self, parent: ShardId) -> Vec<Shard> {
        let from = self.topic.shards.partition_point(|shard| shard.id <= parent);
        let descends = |shard: &&Shard| shard.parent == Some(parent) || shard.adjacent_parent == Some(parent);
        self.topic.shards[from..].iter().filter(descends).copied().collect()
    }
}
