//! Applying decisions: the only thing that changes a state. No rule is asked here, and no input is refused:
//! a decision about what a lane does not hold (any more) has no effect on that lane.

use std::sync::Arc;

use super::lane::Part;
use super::partition::Partition;
use super::{
    AppendDecision, CommittedOffset, Decision, Group, Lane, Membership, ReshardDecision, State, Topic, topics,
};
use crate::types::{Offset, PartitionId, TopicId};

impl State {
    /// Applies a decision, live or in replay of the whole log.
    pub fn apply(&mut self, decision: &Decision) {
        if let Decision::Append(append) = decision {
            self.apply_append(append);
        } else {
            self.apply_part(decision, Part::Whole);
            if decision.changes_catalogue() {
                self.catalogue_epoch.move_on();
            }
        }
    }

    /// Applies what a decision does in one lane: replay over a snapshot of that lane.
    pub fn apply_in_lane(&mut self, decision: &Decision, lane: Lane) {
        self.apply_part(decision, Part::Of(lane));
    }

    fn apply_append(&mut self, append: &AppendDecision) {
        let Some(partition) = self.partitions.get_mut(&append.partition) else { return };
        self.segment_count -= partition.segments.count();
        if partition.apply_append(append) {
            self.producer_count += 1;
        }
        self.segment_count += partition.segments.count();
    }

    fn apply_part(&mut self, decision: &Decision, part: Part) {
        match decision {
            Decision::Append(append) => {
                if part.has(|| Lane::of_partition(append.partition)) {
                    self.apply_append(append);
                }
            }
            Decision::Trim { partition, log_start } => {
                if part.has(|| Lane::of_partition(*partition))
                    && let Some(state) = self.partitions.get_mut(partition)
                {
                    self.segment_count -= state.segments.count();
                    state.trim(*log_start);
                    self.segment_count += state.segments.count();
                }
            }
            Decision::CreateTopic { topic, rules } => {
                for shard in &topic.shards {
                    let Some(index) = shard.partition else { continue };
                    let id = PartitionId { topic: topic.id, index };
                    if part.has(|| Lane::of_partition(id)) {
                        self.put_partition(id, Partition::new(*rules, Some(shard.id), topic.created_ms));
                    }
                }
                if part.has(|| Lane::of_topic(&topic.name)) {
                    self.put_topic(topic.clone());
                }
            }
            Decision::DeleteTopic { topic, name, partitions, groups } => {
                for index in 0..*partitions {
                    let id = PartitionId { topic: *topic, index };
                    if part.has(|| Lane::of_partition(id)) {
                        self.drop_partition(id);
                    }
                }
                let lane = Lane::of_topic(name);
                if part.has(|| lane)
                    && let Some(topic) = self.drop_topic(*topic)
                {
                    let floor = &mut self.create_seconds[usize::from(lane.0)];
                    let last = topic.shards.iter().map(|shard| shard.create_second).max();
                    *floor = (*floor).max(last);
                }
                for group in groups {
                    if part.has(|| Lane::of_group(group))
                        && let Some(known) = self.groups.get(group)
                    {
                        let on_topic: Vec<_> = known.offsets_on(*topic).map(|(id, _)| *id).collect();
                        self.remove_offsets(group, &on_topic);
                    }
                }
            }
            Decision::AlterTopic { topic, name, configs, rules } => {
                if part.has(|| Lane::of_topic(name)) {
                    self.change_topic(*topic, |topic| topic.configs = configs.clone());
                }
                if let Some((partitions, rules)) = rules {
                    for index in 0..*partitions {
                        let id = PartitionId { topic: *topic, index };
                        if part.has(|| Lane::of_partition(id))
                            && let Some(partition) = self.partitions.get_mut(&id)
                        {
                            partition.rules = *rules;
                        }
                    }
                }
            }
            Decision::Tag { topic, name, tags } => {
                if part.has(|| Lane::of_topic(name)) {
                    self.change_topic(*topic, |topic| topic.tags = tags.clone());
                }
            }
            Decision::Reshard(reshard) => self.apply_reshard(reshard, part),
            Decision::TakeProducerIds { next } => {
                if part.has(|| Lane::PRODUCER_IDS) {
                    self.next_producer_id = *next;
                }
            }
            Decision::ForgetProducers { producers } => {
                for (id, producers) in producers {
                    if part.has(|| Lane::of_partition(*id))
                        && let Some(partition) = self.partitions.get_mut(id)
                    {
                        let before = partition.producer_count();
                        producers.iter().for_each(|producer| partition.forget_producer(*producer));
                        self.producer_count -= before - partition.producer_count();
                    }
                }
            }
            Decision::StoreGroup { group, membership } => {
                if part.has(|| Lane::of_group(group)) {
                    self.make_group(group, membership.since_ms);
                    self.put_membership(group, membership.clone());
                }
            }
            Decision::CommitOffsets { group, now_ms, offsets } => {
                if part.has(|| Lane::of_group(group)) {
                    self.make_group(group, *now_ms);
                    for (id, committed) in offsets {
                        self.put_offset(group, *id, committed.clone());
                    }
                }
            }
            Decision::DeleteOffsets { group, partitions } => {
                if part.has(|| Lane::of_group(group)) {
                    self.remove_offsets(group, partitions);
                }
            }
            Decision::DeleteGroup { group } => {
                if part.has(|| Lane::of_group(group)) {
                    self.drop_group(group);
                }
            }
            Decision::ExpireOffsets { groups } => {
                for expired in groups {
                    if !part.has(|| Lane::of_group(&expired.group)) {
                        continue;
                    }
                    self.remove_offsets(&expired.group, &expired.partitions);
                    if expired.deleted {
                        self.drop_group(&expired.group);
                    }
                }
            }
        }
    }

    fn apply_reshard(&mut self, reshard: &ReshardDecision, part: Part) {
        let (topic, at_ms) = (reshard.topic, reshard.change.at_ms);
        for (index, shard) in &reshard.fences {
            let id = PartitionId { topic, index: *index };
            if !part.has(|| Lane::of_partition(id)) {
                continue;
            }
            match self.partitions.get_mut(&id) {
                Some(partition) => partition.begin_slice(*shard, at_ms),
                None => self.put_partition(id, Partition::new(reshard.rules, *shard, at_ms)),
            }
        }
        if part.has(|| Lane::of_topic(&reshard.name)) {
            self.change_topic(topic, |topic| reshard.change.apply(topic));
        }
        for (group, starts) in &reshard.starts {
            if part.has(|| Lane::of_group(group)) {
                for (index, offset) in starts {
                    let id = PartitionId { topic, index: *index };
                    self.put_offset(group, id, reshard.start(*offset));
                }
            }
        }
    }

    pub(super) fn put_topic(&mut self, topic: Arc<Topic>) {
        self.shard_count += topic.shards.len();
        self.open_shard_count += topic.open_shards().count();
        self.text_bytes += topic.text_bytes();
        self.names.insert(topic.name.clone(), topic.id);
        self.collisions.insert(topics::collision_key(&topic.name), topic.name.clone());
        self.lane_keys_mut(Lane::of_topic(&topic.name)).topics.insert(topic.id);
        self.topics.insert(topic.id, topic);
    }

    fn drop_topic(&mut self, id: TopicId) -> Option<Arc<Topic>> {
        let topic = self.topics.remove(&id)?;
        self.shard_count -= topic.shards.len();
        self.open_shard_count -= topic.open_shards().count();
        self.text_bytes -= topic.text_bytes();
        self.names.remove(&topic.name);
        self.lane_keys_mut(Lane::of_topic(&topic.name)).topics.remove(&id);
        self.collisions.remove(&topics::collision_key(&topic.name));
        Some(topic)
    }

    fn change_topic(&mut self, id: TopicId, change: impl FnOnce(&mut Topic)) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let topic = Arc::make_mut(topic);
        self.shard_count -= topic.shards.len();
        self.open_shard_count -= topic.open_shards().count();
        self.text_bytes -= topic.text_bytes();
        change(topic);
        self.shard_count += topic.shards.len();
        self.open_shard_count += topic.open_shards().count();
        self.text_bytes += topic.text_bytes();
    }

    pub(super) fn put_partition(&mut self, id: PartitionId, partition: Partition) {
        self.producer_count += partition.producer_count();
        self.segment_count += partition.segments.count();
        self.lane_keys_mut(Lane::of_partition(id)).partitions.insert(id);
        if let Some(before) = self.partitions.insert(id, partition) {
            self.producer_count -= before.producer_count();
            self.segment_count -= before.segments.count();
        }
    }

    fn drop_partition(&mut self, id: PartitionId) {
        self.lane_keys_mut(Lane::of_partition(id)).partitions.remove(&id);
        if let Some(dropped) = self.partitions.remove(&id) {
            self.producer_count -= dropped.producer_count();
            self.segment_count -= dropped.segments.count();
        }
    }

    fn make_group(&mut self, id: &Arc<str>, now_ms: i64) {
        if !self.groups.contains_key(id) {
            self.put_group(Group::new(id.clone(), now_ms));
        }
    }

    pub(super) fn put_group(&mut self, group: Group) {
        self.group_bytes += group.counted_bytes();
        self.lane_keys_mut(Lane::of_group(&group.id)).groups.insert(group.id.clone());
        self.groups_by_topic.extend(group.topics().map(|topic| (topic, group.id.clone())));
        self.groups.insert(group.id.clone(), group);
    }

    fn drop_group(&mut self, id: &str) {
        if let Some(group) = self.groups.remove(id) {
            self.group_bytes -= group.counted_bytes();
            self.lane_keys_mut(Lane::of_group(id)).groups.remove(id);
            for topic in group.topics() {
                self.groups_by_topic.remove(&(topic, group.id.clone()));
            }
        }
    }

    fn put_membership(&mut self, id: &str, membership: Arc<Membership>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        self.group_bytes += membership.counted_bytes();
        self.group_bytes -= group.membership.counted_bytes();
        group.membership = membership;
    }

    fn put_offset(&mut self, group: &str, id: PartitionId, committed: CommittedOffset) {
        let Some(group) = self.groups.get_mut(group) else { return };
        self.group_bytes += committed.counted_bytes();
        match group.offsets.insert(id, committed) {
            Some(before) => self.group_bytes -= before.counted_bytes(),
            None => drop(self.groups_by_topic.insert((id.topic, group.id.clone()))),
        }
    }

    fn remove_offsets(&mut self, group: &str, partitions: &[PartitionId]) {
        let Some(group) = self.groups.get_mut(group) else { return };
        for id in partitions {
            let Some(removed) = group.offsets.remove(id) else { continue };
            self.group_bytes -= removed.counted_bytes();
            if group.offsets_on(id.topic).next().is_none() {
                self.groups_by_topic.remove(&(id.topic, group.id.clone()));
            }
        }
    }
}

impl Partition {
    /// Whether an offset can be asked for: from the log start to the next offset, inclusive.
    pub fn holds(&self, offset: Offset) -> bool {
        self.log_start <= offset && offset <= self.next
    }
}
