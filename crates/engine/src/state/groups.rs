//! Consumer groups: what the members agreed on, and committed offsets.
//!
//! The coordinator's timers and waiting members live in the broker; here is what outlives it. Source: Kafka's
//! classic groups; `offsets.retention.minutes` as KIP-211 counts it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::{Decision, ExpiredGroup};
use super::{CommittedOffset, CommittingMember, Membership, Outcome, Refusal, State};
use crate::types::{PartitionId, TopicId};

/// A consumer group's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its id.
    pub id: Arc<str>,
    /// What its members agreed on last.
    pub membership: Arc<Membership>,
    /// Committed offsets. Partitions of deleted topics are never among them.
    pub offsets: BTreeMap<PartitionId, CommittedOffset>,
}

/// Offsets that one decision expires: what a log entry holds stays small.
const EXPIRED_PER_DECISION: usize = 1000;

impl CommittedOffset {
    /// What an offset without metadata counts against the memory limit.
    pub(crate) const EMPTY_BYTES: usize = 96;

    pub(crate) fn counted_bytes(&self) -> usize {
        Self::EMPTY_BYTES + self.metadata.len()
    }
}

impl Membership {
    /// Bytes of what its members have sent, and of what was assigned to them.
    fn content_bytes(&self) -> usize {
        let members = self.members.iter().map(|member| {
            let protocols = member.protocols.iter().map(|(name, metadata)| name.len() + metadata.len());
            let instance_id = member.instance_id.as_ref().map_or(0, |id| id.len());
            let names = member.id.len() + instance_id + member.client_id.len() + member.client_host.len();
            names + member.assignment.len() + protocols.sum::<usize>()
        });
        members.sum()
    }

    pub(crate) fn counted_bytes(&self) -> usize {
        let members = self.members.iter().map(|member| {
            let protocols = member.protocols.iter().map(|(name, metadata)| 64 + name.len() + metadata.len());
            256 + member.id.len()
                + member.client_id.len()
                + member.client_host.len()
                + member.instance_id.as_ref().map_or(0, |id| id.len())
                + member.assignment.len()
                + protocols.sum::<usize>()
        });
        self.protocol_type.len() + members.sum::<usize>()
    }
}

impl Group {
    pub(crate) fn new(id: Arc<str>, now_ms: i64) -> Group {
        let membership = Arc::new(Membership { since_ms: now_ms, ..Membership::default() });
        Group { id, membership, offsets: BTreeMap::new() }
    }

    /// What it counts against the memory limit.
    pub(crate) fn counted_bytes(&self) -> usize {
        let offsets: usize = self.offsets.values().map(CommittedOffset::counted_bytes).sum();
        Self::counted_base(&self.id) + self.membership.counted_bytes() + offsets
    }

    pub(crate) fn counted_base(id: &str) -> usize {
        256 + id.len()
    }

    /// Committed offsets on one topic.
    pub fn offsets_on(&self, topic: TopicId) -> impl Iterator<Item = (&PartitionId, &CommittedOffset)> {
        let id = |index| PartitionId { topic, index };
        self.offsets.range(id(i32::MIN)..=id(i32::MAX))
    }

    /// Since when an offset counts as left behind, ms: the group's last member's leaving, or for groups
    /// that never had members the commit.
    fn expires_from_ms(&self, committed: &CommittedOffset) -> i64 {
        if self.membership.protocol_type.is_empty() { committed.commit_ms } else { self.membership.since_ms }
    }
}

type Decided = Result<(Option<Decision>, Outcome), Refusal>;

impl State {
    pub(super) fn decide_store_group(
        &self,
        group: &Arc<str>,
        expected_generation: Option<i32>,
        membership: &Membership,
    ) -> Decided {
        let known = self.group(group);
        match (known, expected_generation) {
            (None, None) => self.admit_group()?,
            (None, Some(_)) => return Err(Refusal::UnknownGroup),
            (Some(known), expected) => {
                let current = known.membership.generation;
                if expected != Some(current) {
                    let found = expected.unwrap_or(-1);
                    return Err(Refusal::IllegalGeneration { current, found });
                }
                if *known.membership == *membership {
                    return Ok((None, Outcome::Done));
                }
            }
        }
        // On Kafka a group is a record of a topic with the broker's default of max.message.bytes.
        let (size, limit) = (membership.content_bytes(), self.config_defaults().message_bytes_max());
        if size > limit {
            return Err(Refusal::MembershipTooLarge { size, limit });
        }
        let before = known.map_or(0, |known| known.membership.counted_bytes());
        self.admit_group_bytes(before, membership.counted_bytes())?;
        let membership = Arc::new(membership.clone());
        Ok((Some(Decision::StoreGroup { group: group.clone(), membership }), Outcome::Done))
    }

    pub(super) fn decide_commit_offsets(
        &self,
        group: &Arc<str>,
        member: Option<&CommittingMember>,
        offsets: &[(PartitionId, CommittedOffset)],
        now_ms: i64,
    ) -> Decided {
        let known = self.group(group);
        match (known, member) {
            (None, None) => self.admit_group()?,
            (None, Some(_)) => return Err(Refusal::UnknownGroup),
            (Some(known), None) if known.membership.members.is_empty() => {}
            (Some(_), None) => return Err(Refusal::UnknownMember),
            (Some(known), Some(member)) => {
                if !known.membership.members.iter().any(|other| other.id == member.id) {
                    return Err(Refusal::UnknownMember);
                }
                let current = known.membership.generation;
                if member.generation != current {
                    return Err(Refusal::IllegalGeneration { current, found: member.generation });
                }
            }
        }
        let limit = self.limits().offset_metadata_bytes;
        // Of a partition that is named many times the last entry counts.
        let mut taken = BTreeMap::new();
        let mut answers = Vec::with_capacity(offsets.len());
        for (partition, committed) in offsets {
            let size = committed.metadata.len();
            answers.push(if size > limit {
                Err(Refusal::MetadataTooLarge { size, limit })
            } else if self.partition(*partition).is_none() {
                Err(Refusal::UnknownTopic)
            } else {
                taken.insert(*partition, committed);
                Ok(())
            });
        }
        let outcome = Outcome::PerPartition(answers);
        if taken.is_empty() {
            return Ok((None, outcome));
        }
        let replaced = taken.keys().filter_map(|partition| known?.offsets.get(partition));
        let before = replaced.map(CommittedOffset::counted_bytes).sum();
        let after = taken.values().map(|committed| committed.counted_bytes()).sum();
        self.admit_group_bytes(before, after)?;
        let offsets =
            taken.into_iter().map(|(partition, committed)| (partition, committed.clone())).collect();
        let decision = Decision::CommitOffsets { group: group.clone(), now_ms, offsets };
        Ok((Some(decision), outcome))
    }

    pub(super) fn decide_delete_offsets(&self, group: &Arc<str>, partitions: &[PartitionId]) -> Decided {
        let known = self.group(group).ok_or(Refusal::UnknownGroup)?;
        let found: Vec<PartitionId> =
            partitions.iter().filter(|id| known.offsets.contains_key(id)).copied().collect();
        let answers = partitions.iter().map(|id| match self.partition(*id) {
            Some(_) => Ok(()),
            None => Err(Refusal::UnknownTopic),
        });
        let outcome = Outcome::PerPartition(answers.collect());
        let decision = Decision::DeleteOffsets { group: group.clone(), partitions: found };
        Ok((Some(decision).filter(|decision| !decision.is_empty()), outcome))
    }

    pub(super) fn decide_delete_group(&self, group: &Arc<str>) -> Decided {
        let known = self.group(group).ok_or(Refusal::UnknownGroup)?;
        if !known.membership.members.is_empty() {
            return Err(Refusal::GroupNotEmpty);
        }
        Ok((Some(Decision::DeleteGroup { group: group.clone() }), Outcome::Done))
    }

    pub(super) fn decide_expire_offsets(&self, before_ms: i64) -> Decided {
        let mut groups = Vec::new();
        let mut room = EXPIRED_PER_DECISION;
        let mut more = false;
        for group in self.groups().filter(|group| group.membership.members.is_empty()) {
            let expired = |committed: &CommittedOffset| group.expires_from_ms(committed) < before_ms;
            let due = group.offsets.iter().filter(|(_, committed)| expired(committed));
            let partitions: Vec<PartitionId> = due.map(|(id, _)| *id).take(room).collect();
            let emptied = partitions.len() == group.offsets.len();
            let deleted = emptied && group.membership.since_ms < before_ms;
            if partitions.is_empty() && !deleted {
                continue;
            }
            room = room.saturating_sub(partitions.len() + usize::from(deleted));
            groups.push(ExpiredGroup { group: group.id.clone(), partitions, deleted });
            if room == 0 {
                more = true;
                break;
            }
        }
        let decision = Decision::ExpireOffsets { groups };
        Ok((Some(decision).filter(|decision| !decision.is_empty()), Outcome::Expired { more }))
    }
}
