//! Snapshots, lane by lane: the same state gives the same bytes, and a lane loads alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::codec::{self, CorruptState, Reader};
use super::decision::{
    decode_membership, decode_offsets, decode_topic, encode_membership, encode_offsets, encode_topic,
};
use super::{Group, Lane, Partition, State};
use crate::types::{PartitionId, TopicId};

/// The layout of lane snapshots. Older ones are read for ever.
const VERSION: u8 = 1;

/// What lies in a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneKeys {
    pub(super) topics: BTreeSet<TopicId>,
    pub(super) partitions: BTreeSet<PartitionId>,
    pub(super) groups: BTreeSet<Arc<str>>,
}

impl State {
    /// Writes what lies in a lane. Costs time by the lane's own entries.
    pub fn snapshot_lane(&self, lane: Lane, out: &mut Vec<u8>) {
        use codec::*;
        let keys = self.lane_keys(lane);
        out.push(VERSION);
        put_option(out, self.create_second_floor(lane), put_i64);
        put_len(out, keys.topics.len());
        keys.topics.iter().for_each(|id| encode_topic(&self.topics[id], out));
        put_len(out, keys.partitions.len());
        for id in &keys.partitions {
            put_partition(out, *id);
            self.partitions[id].encode(out);
        }
        put_len(out, keys.groups.len());
        for id in &keys.groups {
            let group = &self.groups[id];
            put_str(out, id);
            encode_membership(&group.membership, out);
            encode_offsets(group.offsets.iter().map(|(id, offset)| (*id, offset)), out);
        }
        if lane == Lane::PRODUCER_IDS {
            put_i64(out, self.next_producer_id);
        }
    }

    /// Loads a lane into a state in which that lane is still empty. Never panics; on an error the state is
    /// not to be used.
    pub fn load_lane(&mut self, lane: Lane, mut bytes: &[u8]) -> Result<(), CorruptState> {
        let r = &mut Reader::new(&mut bytes);
        if r.u8()? != VERSION {
            return Err(CorruptState::new("a lane snapshot of a version not known here"));
        }
        self.create_seconds[usize::from(lane.0)] = r.option(Reader::i64)?;
        for _ in 0..r.len()? {
            let topic = decode_topic(r)?;
            let foreign = Lane::of_topic(&topic.name) != lane;
            if foreign || self.topics.contains_key(&topic.id) || self.names.contains_key(&topic.name) {
                return Err(CorruptState::new("a topic in a lane that is not its own, or twice"));
            }
            self.put_topic(Arc::new(topic));
        }
        for _ in 0..r.len()? {
            let id = r.partition()?;
            let partition = Partition::decode(r)?;
            if Lane::of_partition(id) != lane || self.partitions.contains_key(&id) {
                return Err(CorruptState::new("a partition in a lane that is not its own, or twice"));
            }
            self.put_partition(id, partition);
        }
        for _ in 0..r.len()? {
            let mut group = Group::new(r.shared_str()?, 0);
            group.membership = Arc::new(decode_membership(r)?);
            group.offsets = decode_offsets(r)?.into_iter().collect();
            if Lane::of_group(&group.id) != lane || self.groups.contains_key(&group.id) {
                return Err(CorruptState::new("a group in a lane that is not its own, or twice"));
            }
            self.put_group(group);
        }
        if lane == Lane::PRODUCER_IDS {
            self.next_producer_id = r.i64()?;
        }
        if r.is_empty() { Ok(()) } else { Err(CorruptState::new("bytes behind a lane's end")) }
    }
}
