//! Lanes: the state and its log, cut into 256 parts by a hash that never changes.
//!
//! | part of the state | lane |
//! |---|---|
//! | a topic's catalogue entry: name, configs, tags, shards | of the name |
//! | a partition: offsets, append rules, producers, the shard that ends it | of topic id and index |
//! | a group: membership and committed offsets | of the group id |
//! | the next producer id | 0 |
//!
//! A snapshot of a lane may stand at any position of the log; replay then applies of each later decision
//! only the part that lies in that lane. The local back end writes all lanes into one log.

use crate::types::PartitionId;

/// One of the 256 parts of the state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Lane(pub u8);

impl Lane {
    /// How many there are.
    pub const COUNT: usize = 256;
    /// Where the next producer id is kept.
    pub const PRODUCER_IDS: Lane = Lane(0);

    /// All lanes, in order.
    pub fn all() -> impl Iterator<Item = Lane> {
        (0..=u8::MAX).map(Lane)
    }

    /// The lane of a partition.
    pub fn of_partition(partition: PartitionId) -> Lane {
        let hash = fnv1a(FNV_OFFSET, &partition.topic.0.to_le_bytes());
        fold(fnv1a(hash, &partition.index.to_le_bytes()))
    }

    /// The lane of a topic's catalogue entry.
    pub fn of_topic(name: &str) -> Lane {
        fold(fnv1a(fnv1a(FNV_OFFSET, b"topic\0"), name.as_bytes()))
    }

    /// The lane of a group.
    pub fn of_group(group: &str) -> Lane {
        fold(fnv1a(fnv1a(FNV_OFFSET, b"group\0"), group.as_bytes()))
    }
}

// FNV-1a, written out: which lane a key lies in is part of the on-disk format.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv1a(mut hash: u64, bytes: &[u8]) -> u64 {
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

fn fold(hash: u64) -> Lane {
    Lane((hash ^ (hash >> 32) ^ (hash >> 16) ^ (hash >> 8) ^ (hash >> 56)) as u8)
}

/// A set of lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LaneSet([u64; 4]);

impl LaneSet {
    /// Adds a lane.
    pub fn insert(&mut self, lane: Lane) {
        self.0[usize::from(lane.0 >> 6)] |= 1 << (lane.0 & 63);
    }

    /// Whether it holds a lane.
    pub fn contains(&self, lane: Lane) -> bool {
        self.0[usize::from(lane.0 >> 6)] & (1 << (lane.0 & 63)) != 0
    }

    /// Its lanes, in order.
    pub fn iter(&self) -> impl Iterator<Item = Lane> + '_ {
        Lane::all().filter(|lane| self.contains(*lane))
    }

    /// How many lanes it holds.
    pub fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }
}

/// Which part of a decision is applied: all of it live, one lane's in replay over a snapshot of that lane.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Whole,
    Of(Lane),
}

impl Part {
    /// Whether the part takes in `lane`, which is only computed if that matters.
    pub(crate) fn has(self, lane: impl FnOnce() -> Lane) -> bool {
        match self {
            Part::Whole => true,
            Part::Of(only) => only == lane(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicId;

    #[test]
    fn lanes_never_move() {
        // These values are on disks: a change here needs a new data format.
        assert_eq!(Lane::of_topic("orders"), Lane(2));
        assert_eq!(Lane::of_group("orders"), Lane(71));
        let partition = PartitionId { topic: TopicId(0x1234_5678), index: 7 };
        assert_eq!(Lane::of_partition(partition), Lane(84));
    }

    #[test]
    fn lanes_are_used_evenly() {
        let mut counts = [0u32; Lane::COUNT];
        for index in 0..25_600 {
            counts[usize::from(Lane::of_partition(PartitionId { topic: TopicId(99), index }).0)] += 1;
        }
        assert!(counts.iter().all(|count| (40..200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set = LaneSet::default();
        assert!(set.is_empty());
        for lane in [0, 63, 64, 255] {
            set.insert(Lane(lane));
        }
        assert_eq!(set.iter().map(|lane| lane.0).collect::<Vec<_>>(), [0, 63, 64, 255]);
        assert_eq!((set.len(), set.contains(Lane(1))), (4, false));
    }
}
