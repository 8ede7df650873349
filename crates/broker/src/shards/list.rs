//! Which shards a listing shows: ListShards' filters, resolved to an instant so that all pages tile.

use kolk_engine::ShardId;
use kolk_engine::state::{Shard, Topic};

/// ListShards' `ShardFilter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardFilter {
    /// `AFTER_SHARD_ID`: all that follow it.
    AfterShard(ShardId),
    /// `AT_TRIM_HORIZON`: what was open at the trim horizon.
    AtTrimHorizon,
    /// `FROM_TRIM_HORIZON`, the default: what was open then or later.
    FromTrimHorizon,
    /// `AT_LATEST`: what is open now.
    AtLatest,
    /// `AT_TIMESTAMP`, ms: what was open then. Before the trim horizon means at it.
    AtTimestamp(i64),
    /// `FROM_TIMESTAMP`, ms: what was open then or later.
    FromTimestamp(i64),
}

/// A filter resolved against the clock. Keep it in the page token and resolve once: shards `At` an instant are
/// the same set on every page, even while the stream is resharded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Open at the instant, ms: their ranges tile the hash space.
    At(i64),
    /// Open at the instant or later, ms.
    From(i64),
    /// Listed and after this one.
    After(ShardId),
}

impl ShardFilter {
    /// The instant that the filter means now.
    pub fn resolve(self, topic: &Topic, retention_ms: Option<i64>, now_ms: i64) -> Listing {
        let horizon_ms = topic.trim_horizon_ms(retention_ms, now_ms);
        // From the last reshard's instant on the open shards are the set at any instant, and the next reshard
        // comes later than that one.
        let clock_ms = topic.clock_ms();
        match self {
            ShardFilter::AfterShard(shard) => Listing::After(shard),
            ShardFilter::AtTrimHorizon => Listing::At(horizon_ms.min(clock_ms)),
            ShardFilter::FromTrimHorizon => Listing::From(horizon_ms),
            ShardFilter::AtLatest => Listing::At(clock_ms),
            ShardFilter::AtTimestamp(at_ms) => Listing::At(at_ms.max(horizon_ms).min(clock_ms)),
            ShardFilter::FromTimestamp(at_ms) => Listing::From(at_ms.max(horizon_ms)),
        }
    }
}

/// One page of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardList {
    /// In order of number.
    pub shards: Vec<Shard>,
    /// Whether more follow: ask again after the last one.
    pub more: bool,
}

/// Shards of a listing in order of number, from the one after `after`, at most `limit`.
pub fn list(
    topic: &Topic,
    listing: Listing,
    retention_ms: Option<i64>,
    now_ms: i64,
    after: Option<ShardId>,
    limit: usize,
) -> ShardList {
    let horizon_ms = topic.trim_horizon_ms(retention_ms, now_ms);
    let shows = |shard: &Shard| match listing {
        Listing::At(at_ms) => shard.was_open_at(at_ms),
        Listing::From(from_ms) => shard.closed_ms.is_none_or(|closed_ms| from_ms <= closed_ms),
        Listing::After(after) => {
            after < shard.id && shard.closed_ms.is_none_or(|closed_ms| horizon_ms <= closed_ms)
        }
    };
    let from = after.map_or(0, |after| topic.shards.partition_point(|shard| shard.id <= after));
    let mut rest = topic.shards[from..].iter().filter(|shard| shows(shard));
    let shards = rest.by_ref().take(limit).copied().collect();
    ShardList { shards, more: rest.next().is_some() }
}
