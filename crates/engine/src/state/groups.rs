//! Consumer groups: what the members agreed on, and committed offsets.
//!
//! The coordinator's timers and waiting members live in the broker; here is what outlives it. Source: Kafka's
//! classic groups; `offsets.retention.minutes` as KIP-211 counts it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::decision::{Decision, ExpiredGroup};
use super::{CommittedOffset, CommittingMember, Membership, OffsetCursor, Outcome, Refusal, State};
use crate::defects::{Defect, defect};
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
/// Offsets and groups that one decision looks at: nobody else decides meanwhile.
const LOOKED_AT_PER_DECISION: usize = 20_000;

impl CommittedOffset {
    /// What an offset without metadata counts against the memory limit, its group's place in the index by topic included.
    pub(crate) const EMPTY_BYTES: usize = 128;

    pub(crate) fn counted_bytes(&self) -> usize {
        Self::EMPTY_BYTES + self.metadata.len()
    }
}

impl Membership {
    /// Whether the members stand as they have to.
    pub(crate) fn is_in_order(&self) -> bool {
        self.members.is_sorted_by(|one, next| one.id < next.id)
    }

    fn has_member(&self, id: &str) -> bool {
        let found = self.members.binary_search_by(|member| {
            #[cfg(test)]
            tests::MEMBERS_LOOKED_AT.with(|looks| looks.set(looks.get() + 1));
            (*member.id).cmp(id)
        });
        found.is_ok()
    }

    /// Bytes of what is kept of what its members have sent, and of what was assigned to them.
    fn content_bytes(&self) -> usize {
        let members = self.members.iter().map(|member| {
            let instance_id = member.instance_id.as_ref().map_or(0, |id| id.len());
            let names = member.id.len() + instance_id + member.client_id.len() + member.client_host.len();
            names + member.metadata.len() + member.assignment.len()
        });
        members.sum()
    }

    pub(crate) fn counted_bytes(&self) -> usize {
        let members = self.members.iter().map(|member| {
            320 + member.id.len()
                + member.client_id.len()
                + member.client_host.len()
                + member.instance_id.as_ref().map_or(0, |id| id.len())
                + member.metadata.len()
                + member.assignment.len()
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

    /// The topics that it has committed offsets on.
    pub(super) fn topics(&self) -> impl Iterator<Item = TopicId> {
        let mut next = self.offsets.keys().next().map(|first| first.topic);
        std::iter::from_fn(move || {
            let topic = next?;
            let last = PartitionId { topic, index: i32::MAX };
            let behind = self.offsets.range((Bound::Excluded(last), Bound::Unbounded)).next();
            next = behind.map(|(id, _)| id.topic);
            Some(topic)
        })
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
        assert!(membership.is_in_order(), "the coordinator has its members by their ids");
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
                if !known.membership.has_member(&member.id) {
                    return Err(Refusal::UnknownMember);
                }
                let current = known.membership.generation;
                if member.generation != current && !defect(Defect::GenerationNotChecked) {
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

    pub(super) fn decide_expire_offsets(&self, before_ms: i64, from: Option<&OffsetCursor>) -> Decided {
        let mut groups = Vec::new();
        let (mut room, mut looks) = (EXPIRED_PER_DECISION, LOOKED_AT_PER_DECISION);
        let mut next = None;
        let first = from.map_or(Bound::Unbounded, |from| Bound::Included(&*from.group));
        for (id, group) in self.groups.range::<str, _>((first, Bound::Unbounded)) {
            if room == 0 || looks == 0 {
                next = Some(OffsetCursor { group: id.clone(), after: None });
                break;
            }
            looks -= 1;
            if !group.membership.members.is_empty() {
                continue;
            }
            let mut after = from.filter(|from| from.group == *id).and_then(|from| from.after);
            let mut partitions = Vec::new();
            let mut is_whole = true;
            let left = after.map_or(Bound::Unbounded, Bound::Excluded);
            for (partition, committed) in group.offsets.range((left, Bound::Unbounded)) {
                if room == 0 || looks == 0 {
                    is_whole = false;
                    break;
                }
                looks -= 1;
                after = Some(*partition);
                if group.expires_from_ms(committed) < before_ms {
                    room -= 1;
                    partitions.push(*partition);
                }
            }
            let is_emptied = is_whole && partitions.len() == group.offsets.len();
            let deleted = is_emptied && group.membership.since_ms < before_ms;
            room = room.saturating_sub(usize::from(deleted));
            if !partitions.is_empty() || deleted {
                groups.push(ExpiredGroup { group: id.clone(), partitions, deleted });
            }
            if !is_whole {
                next = Some(OffsetCursor { group: id.clone(), after });
                break;
            }
        }
        let decision = Decision::ExpireOffsets { groups };
        Ok((Some(decision).filter(|decision| !decision.is_empty()), Outcome::OffsetsExpired { next }))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bytes::Bytes;

    use super::*;
    use crate::state::codec::Reader;
    use crate::state::decision::{decode_membership, encode_membership};
    use crate::state::{Command, Limits, Member};

    thread_local! {
        pub(super) static MEMBERS_LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    fn member(id: &str) -> Member {
        Member {
            id: id.into(),
            instance_id: None,
            client_id: String::new(),
            client_host: String::new(),
            session_timeout_ms: 1,
            rebalance_timeout_ms: 1,
            metadata: Bytes::new(),
            assignment: Bytes::new(),
        }
    }

    /// Each commit looked through all members, while nobody else was served: 0.2 ms where they were 5,000.
    #[test]
    fn a_commit_looks_for_its_member_and_not_at_all() {
        for count in [1_usize, 2, 3, 1000, 5000] {
            let ids: Vec<String> = (0..count).map(|n| format!("m{n:04}")).collect();
            let members = ids.iter().map(|id| member(id)).collect();
            let membership = Membership { generation: 1, members, ..Membership::default() };
            let mut state = State::new(Limits::default());
            let store = Command::StoreGroup { group: "g".into(), expected_generation: None, membership };
            let (decision, _) = state.decide(&store).unwrap();
            state.apply(&decision.unwrap());
            MEMBERS_LOOKED_AT.set(0);
            let commit = |id: &str| {
                let member = Some(CommittingMember { id: id.into(), generation: 1 });
                let command =
                    Command::CommitOffsets { group: "g".into(), member, offsets: Vec::new(), now_ms: 1 };
                state.decide(&command).map(|(_, outcome)| outcome)
            };
            for id in &ids {
                assert_eq!(commit(id), Ok(Outcome::PerPartition(Vec::new())));
            }
            for stranger in ["", "m", "m00005", "n"] {
                assert_eq!(commit(stranger), Err(Refusal::UnknownMember));
            }
            let most = (ids.len() + 4) * (count.ilog2() as usize + 2);
            let looks = MEMBERS_LOOKED_AT.get();
            assert!((1..=most).contains(&looks), "{looks} of {count} members");
        }
    }

    /// What is looked for by order has to be in order, from wherever it comes.
    #[test]
    fn members_out_of_order_do_not_load() {
        for (ids, loads) in [(["a", "b"], true), (["b", "a"], false), (["a", "a"], false)] {
            let members = ids.into_iter().map(member).collect();
            let membership = Membership { members, ..Membership::default() };
            let mut bytes = Vec::new();
            encode_membership(&membership, &mut bytes);
            let loaded = decode_membership(&mut Reader::new(&mut &bytes[..]));
            assert_eq!(loaded.ok(), loads.then_some(membership));
        }
    }

    /// Each thousand began at the first group again: expiry of a million offsets looked at half a billion.
    #[test]
    fn expiry_goes_on_where_it_stopped() {
        let mut state = State::new(Limits::default());
        const GROUPS: usize = 30;
        const OFFSETS: i32 = 2500;
        // Every other offset is due, in every other group; one group holds most of them.
        for number in 0..GROUPS {
            let id: Arc<str> = format!("g{number:02}").into();
            let mut group = Group::new(id.clone(), 0);
            let count = if number == 12 { 20 * OFFSETS } else { OFFSETS };
            for index in 0..count {
                let partition = PartitionId { topic: TopicId(1), index };
                let commit_ms = if number % 2 == 0 && index % 2 == 0 { 10 } else { 1000 };
                let committed = CommittedOffset {
                    offset: crate::types::Offset(1),
                    leader_epoch: -1,
                    metadata: "".into(),
                    commit_ms,
                };
                group.offsets.insert(partition, committed);
            }
            state.groups.insert(id, group);
        }
        let held = |state: &State| state.groups().map(|group| group.offsets.len()).sum::<usize>();
        let all = held(&state);
        let (mut from, mut places, mut expired) = (None, Vec::new(), 0);
        loop {
            let command = Command::ExpireOffsets { before_ms: 500, from: from.take() };
            let (decision, outcome) = state.decide(&command).unwrap();
            if let Some(Decision::ExpireOffsets { groups }) = &decision {
                for expiry in groups {
                    expired += expiry.partitions.len();
                    let group = state.groups.get_mut(&expiry.group).unwrap();
                    assert!(!expiry.deleted);
                    for partition in &expiry.partitions {
                        assert!(group.offsets.remove(partition).is_some_and(|offset| offset.commit_ms == 10));
                    }
                }
            }
            let Outcome::OffsetsExpired { next } = outcome else { panic!("{outcome:?}") };
            let Some(next) = next else { break };
            places.push((next.group.clone(), next.after));
            from = Some(next);
        }
        let due = (14 + 20) * OFFSETS as usize / 2;
        assert_eq!((expired, held(&state)), (due, all - due));
        assert!(places.is_sorted_by(|a, b| a < b), "no place is come to twice");
        let decisions = due / EXPIRED_PER_DECISION + all / LOOKED_AT_PER_DECISION;
        assert!((decisions / 2..=decisions + 2).contains(&places.len()), "{} decisions", places.len());
    }
}
