//! Positions in a shard: what GetShardIterator's five types mean as offsets.

use kolk_engine::state::Shard;
use kolk_engine::{EngineError, Isolation, Offset, OffsetQuery, PartitionId, ReadError};

use super::{Shards, ShardsError, Stream};

/// Where to start in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// `TRIM_HORIZON`: the oldest record that retention still promises.
    TrimHorizon,
    /// `LATEST`: behind the newest committed record; the end of a closed shard.
    Latest,
    /// `AT_SEQUENCE_NUMBER`, and `AFTER_` with the offset behind. Any offset will do: below the slice means its
    /// start, past it its end.
    At(Offset),
    /// `AT_TIMESTAMP`, ms: the first record appended then or later.
    AtTime(i64),
}

impl Shards {
    /// The offset to give to [`Shards::read`]. Always inside the slice or at its end.
    pub async fn seek(&self, stream: &Stream, shard: &Shard, seek: Seek) -> Result<Offset, ShardsError> {
        let Some(index) = shard.partition else { return Ok(shard.first) };
        let partition = PartitionId { topic: stream.topic.id, index };
        let latest = OffsetQuery::Latest(Isolation::ReadCommitted);
        let from_time = |at_ms: i64| {
            let horizon_ms = stream.topic.trim_horizon_ms(stream.retention_ms, self.broker.now_ms());
            match at_ms.max(horizon_ms) {
                // Nothing was appended before the stream was there.
                at_ms if at_ms <= stream.topic.created_ms => OffsetQuery::Earliest,
                at_ms => OffsetQuery::AppendTime(at_ms),
            }
        };
        let query = match seek {
            Seek::At(offset) if shard.end.is_some_and(|end| end <= offset) => return Ok(shard.clamp(offset)),
            Seek::Latest if let Some(end) = shard.end => return Ok(end),
            Seek::At(_) | Seek::Latest => latest,
            Seek::TrimHorizon => from_time(i64::MIN),
            Seek::AtTime(at_ms) => from_time(at_ms),
        };
        let found = self.look_up(partition, query).await?;
        let offset = match (seek, found) {
            (Seek::At(offset), Some(tip)) => offset.min(tip),
            (_, Some(found)) => found,
            (_, None) => self.look_up(partition, latest).await?.unwrap_or(shard.first),
        };
        Ok(shard.clamp(offset))
    }

    async fn look_up(
        &self,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> Result<Option<Offset>, ShardsError> {
        match self.broker.engine().offset(partition, query).await? {
            Ok(found) => Ok(found.map(|found| found.offset)),
            Err(ReadError::UnknownPartition) => Err(ShardsError::UnknownStream),
            Err(ReadError::OffsetOutOfRange { published, .. }) => Ok(Some(published.log_start)),
            Err(ReadError::Unreadable { reason }) => Err(EngineError::Read(reason).into()),
        }
    }
}

/// Offsets of a slice.
pub(super) trait Slice {
    /// The nearest position in the slice; its end is one.
    fn clamp(&self, offset: Offset) -> Offset;
}

impl Slice for Shard {
    fn clamp(&self, offset: Offset) -> Offset {
        let offset = offset.max(self.first);
        self.end.map_or(offset, |end| offset.min(end))
    }
}
