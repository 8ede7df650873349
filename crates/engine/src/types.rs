//! The nouns of the log: topics, partitions, offsets, shards, log positions.

use std::fmt;
use std::sync::Arc;

/// A topic's identity: Kafka's topic UUID. A topic made again under an old name has another id. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u128);

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", uuid::Uuid::from_u128(self.0))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A topic's or stream's name: Kafka's rule, `[a-zA-Z0-9._-]{1,249}`, neither `.` nor `..`.
pub type TopicName = Arc<str>;

/// One partition of one incarnation of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PartitionId {
    /// The topic it belongs to.
    pub topic: TopicId,
    /// 0 and up, dense.
    pub index: i32,
}

/// Every partition's leader epoch: a topic has one leader for as long as it exists.
pub const LEADER_EPOCH: i32 = 0;

/// A record's place in its partition: 0 and up, dense but for transaction markers and compaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Offset(pub i64);

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Offset = Offset(0);
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::ops::Add<i64> for Offset {
    type Output = Offset;
    fn add(self, count: i64) -> Offset {
        Offset(self.0 + count)
    }
}

impl std::ops::Sub<Offset> for Offset {
    type Output = i64;
    fn sub(self, earlier: Offset) -> i64 {
        self.0 - earlier.0
    }
}

/// A place in the decision log: counts decisions' frames from 1 over the data directory's whole life.
/// Replies wait until the position they were computed at is durable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct LogPosition(pub u64);

/// A shard's number within its stream: counts up over the stream's life. Not a partition number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    /// Kinesis's spelling: `shardId-000000000007`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

/// An inclusive range of the 128-bit MD5 hash space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct HashRange {
    /// First hash key in the range.
    pub start: u128,
    /// Last hash key in the range.
    pub end: u128,
}

impl HashRange {
    /// The whole hash space.
    pub const ALL: HashRange = HashRange { start: 0, end: u128::MAX };

    /// Whether `hash` lies in the range.
    pub fn contains(&self, hash: u128) -> bool {
        self.start <= hash && hash <= self.end
    }

    /// Cuts the hash space as CreateStream(n) does: width floor(2^128 / n), the last range takes the rest.
    ///
    /// Panics if `count` is 0.
    pub fn uniform(count: u32) -> Vec<HashRange> {
        let n = u128::from(count);
        // floor(2^128 / n) without a 129-bit number: (2^128 - 1) / n, plus one where n divides 2^128.
        let width = (u128::MAX / n).wrapping_add(u128::from(u128::MAX % n == n - 1));
        (0..n)
            .map(|i| HashRange {
                start: i.wrapping_mul(width),
                end: if i == n - 1 { u128::MAX } else { (i + 1).wrapping_mul(width) - 1 },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_ranges_tile_the_hash_space_as_create_stream_does() {
        assert_eq!(HashRange::uniform(1), vec![HashRange::ALL]);
        assert_eq!(HashRange::uniform(3)[1].start, 113427455640312821154458202477256070485);
        for n in [2u32, 3, 4, 5, 6, 7, 10, 1000, 10_000] {
            let ranges = HashRange::uniform(n);
            assert_eq!((ranges[0].start, ranges[n as usize - 1].end), (0, u128::MAX));
            assert!(ranges.windows(2).all(|w| w[0].end + 1 == w[1].start && w[0].start <= w[0].end));
        }
    }
}
