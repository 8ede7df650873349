//! Producer ids, and which idempotent producers are forgotten.
//!
//! A partition remembers a producer until it was silent for `producer.id.expiration.ms`, or until there are
//! more than the limit over all partitions: then those go that were silent longest. That harms none that
//! behaves: an unknown producer may go on at any sequence (KIP-360).

use std::collections::BTreeMap;
use std::ops::Bound;

use super::decision::Decision;
use super::{Lane, Outcome, Refusal, State};
use crate::types::PartitionId;

/// Producers that one decision forgets at most: what a log entry holds stays small.
const FORGOTTEN_PER_DECISION: usize = 4096;
/// Partitions and producers that an expiry looks at in one decision, and what is left of one partition's: nobody else decides
/// meanwhile.
const LOOKED_AT_PER_DECISION: usize = 20_000;

impl State {
    pub(super) fn decide_producer_ids(&self, count: u32) -> Result<(Option<Decision>, Outcome), Refusal> {
        let first = self.next_producer_id;
        let next = first
            .checked_add(i64::from(count))
            .ok_or(Refusal::StateFull { what: "producer ids", limit: usize::MAX })?;
        Ok((Some(Decision::TakeProducerIds { next }), Outcome::ProducerIds { first, count }))
    }

    /// To be asked after each applied append: `None` while the limit on producers is kept, else a decision that
    /// forgets the oldest eighth (a few thousand at most), so that the cost of looking for them is shared by
    /// many appends.
    pub fn decide_eviction(&self) -> Option<Decision> {
        let limit = self.limits.producers;
        let excess = self.producer_count.checked_sub(limit).filter(|excess| *excess > 0)?;
        let mut oldest: Vec<(i64, PartitionId, i64)> = Vec::with_capacity(self.producer_count);
        for (id, partition) in &self.partitions {
            oldest.extend(partition.producers().map(|producer| (producer.last_append_ms, *id, producer.id)));
        }
        let count = excess.max(limit / 8).min(FORGOTTEN_PER_DECISION);
        // Ties are broken by partition and id: the same state forgets the same producers everywhere.
        oldest.select_nth_unstable(count - 1);
        oldest.truncate(count);
        let mut producers: BTreeMap<PartitionId, Vec<i64>> = BTreeMap::new();
        for (_, partition, producer) in oldest {
            producers.entry(partition).or_default().push(producer);
        }
        producers.values_mut().for_each(|ids| ids.sort_unstable());
        let producers = producers.into_iter().collect();
        Some(Decision::ForgetProducers { producers })
    }

    pub(super) fn decide_expire_producers(
        &self,
        before_ms: i64,
        from: Option<PartitionId>,
    ) -> (Option<Decision>, Outcome) {
        let (mut room, mut looks) = (FORGOTTEN_PER_DECISION, LOOKED_AT_PER_DECISION);
        let mut producers = Vec::new();
        let mut next = None;
        for id in self.partitions_from(from) {
            if room == 0 || looks == 0 {
                next = Some(id);
                break;
            }
            let partition = &self.partitions[&id];
            looks = looks.saturating_sub(1 + partition.producer_count());
            let due = partition.producers().filter(|producer| producer.last_append_ms < before_ms);
            let mut due: Vec<i64> = due.map(|producer| producer.id).collect();
            if due.len() > room {
                due.select_nth_unstable(room);
                due.truncate(room);
                next = Some(id);
            }
            if !due.is_empty() {
                room -= due.len();
                due.sort_unstable();
                producers.push((id, due));
            }
            if next.is_some() {
                break;
            }
        }
        let decision = Decision::ForgetProducers { producers };
        (Some(decision).filter(|decision| !decision.is_empty()), Outcome::ProducersExpired { next })
    }

    /// All partitions from one on, in an order of their own: lane by lane.
    fn partitions_from(&self, from: Option<PartitionId>) -> impl Iterator<Item = PartitionId> {
        let first = from.map_or(Lane(0), Lane::of_partition);
        let lanes = Lane::all().filter(move |lane| *lane >= first);
        lanes.flat_map(move |lane| {
            let from = from.filter(|_| lane == first).map_or(Bound::Unbounded, Bound::Included);
            self.lane_keys(lane).partitions.range((from, Bound::Unbounded)).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{AppendDecision, Command, Limits, Partition, ProducerAppend};
    use crate::types::{Offset, TopicId};

    /// Each thousand looked through all producers for the oldest: expiry of a quarter of a million looked at eight million, with
    /// nobody else deciding for some ten milliseconds at a time.
    #[test]
    fn expiry_of_producers_goes_on_where_it_stopped() {
        let mut state = State::new(Limits::default());
        const PARTITIONS: i32 = 300;
        const PRODUCERS: i64 = 100;
        // Every other producer is due, in every other partition; one partition has most of them.
        let mut due = 0;
        for index in 0..PARTITIONS {
            let partition = PartitionId { topic: TopicId(1), index };
            state.put_partition(partition, Partition::new(Default::default(), None, 0));
            for id in 0..if index == 12 { 200 * PRODUCERS } else { PRODUCERS } {
                let is_due = index % 2 == 0 && id % 2 == 0;
                due += usize::from(is_due);
                state.apply(&Decision::Append(AppendDecision {
                    partition,
                    base_offset: Offset(id),
                    offset_count: 1,
                    size: 70,
                    append_ms: if is_due { 10 } else { 1000 },
                    max_timestamp_ms: -1,
                    log_append_time: false,
                    routed: false,
                    rolls: false,
                    joins: false,
                    producer: Some(ProducerAppend { id, epoch: 0, first_sequence: 0, last_sequence: 0 }),
                }));
            }
        }
        let all = state.producer_count();
        let most = due / FORGOTTEN_PER_DECISION + all / LOOKED_AT_PER_DECISION + 3;
        let (mut from, mut decisions) = (None, 0);
        loop {
            let (decision, outcome) =
                state.decide(&Command::ExpireProducers { before_ms: 500, from }).unwrap();
            decisions += 1;
            assert!(decisions <= most, "{most} decisions are enough");
            if let Some(decision) = &decision {
                let Decision::ForgetProducers { producers } = decision else { panic!("{decision:?}") };
                let count: usize = producers.iter().map(|(_, ids)| ids.len()).sum();
                assert!((1..=FORGOTTEN_PER_DECISION).contains(&count), "{count}");
                state.apply(decision);
            }
            let Outcome::ProducersExpired { next } = outcome else { panic!("{outcome:?}") };
            let place = |id: Option<PartitionId>| id.map(|id| (Lane::of_partition(id), id));
            assert!(next.is_none() || place(next) >= place(from), "it never goes back");
            from = next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(state.producer_count(), all - due);
        let left = state.partitions.values().flat_map(|partition| partition.producers());
        assert!(left.into_iter().all(|producer| producer.last_append_ms == 1000));
    }
}
