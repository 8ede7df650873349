//! From a hash key to the open shard that covers it, and its partition.

use std::sync::Arc;

use kolk_engine::state::{Shard, State, Topic};
use kolk_wire_kafka::records::Compression;

use crate::partitions::TopicCodec;

/// What putting records into a stream takes.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub topic: Arc<Topic>,
    /// The broker's catalogue epoch before the topic was looked at: the route is new while it stays.
    pub epoch: u64,
    /// `compression.type`; `producer` leaves Kinesis records as they are.
    pub compression: Compression,
    /// The open shards in order of their hash ranges, which tile the hash space.
    pub open: Arc<[Shard]>,
}

impl Route {
    pub fn new(state: &State, topic: &Arc<Topic>, epoch: u64) -> Route {
        let mut open: Vec<Shard> = topic.open_shards().copied().collect();
        open.sort_unstable_by_key(|shard| shard.range.start);
        let codec = TopicCodec::of(topic, state.config_defaults());
        let compression = codec.map_or(Compression::None, |codec| codec.codec);
        Route { topic: Arc::clone(topic), epoch, compression, open: open.into() }
    }

    /// Where records of that hash key go, as an index into [`Route::open`].
    pub fn find(&self, hash: u128) -> usize {
        self.open.partition_point(|shard| shard.range.start <= hash) - 1
    }
}
