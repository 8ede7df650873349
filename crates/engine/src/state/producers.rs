//! Producer ids, and which idempotent producers are forgotten.
//!
//! A partition remembers a producer until it was silent for `producer.id.expiration.ms`, or until there are
//! more than the limit over all partitions: then those go that were silent longest. That harms none that
//! behaves: an unknown producer may go on at any sequence (KIP-360).

use std::collections::BTreeMap;

use super::decision::Decision;
use super::{Outcome, Refusal, State};
use crate::types::PartitionId;

/// Producers that one decision forgets at most: what a log entry holds stays small.
const FORGOTTEN_PER_DECISION: usize = 4096;

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
        let (decision, _) = self.forget_oldest(i64::MAX, excess.max(limit / 8));
        decision
    }

    pub(super) fn decide_expire_producers(&self, before_ms: i64) -> (Option<Decision>, Outcome) {
        let (decision, more) = self.forget_oldest(before_ms, usize::MAX);
        (decision, Outcome::Expired { more })
    }

    /// Forgets up to `count` producers whose last append lies before an instant, oldest first. Tells whether
    /// there may be more of them.
    fn forget_oldest(&self, before_ms: i64, count: usize) -> (Option<Decision>, bool) {
        let mut oldest: Vec<(i64, PartitionId, i64)> = Vec::new();
        for (id, partition) in &self.partitions {
            oldest.extend(
                partition
                    .producers()
                    .filter(|producer| producer.last_append_ms < before_ms)
                    .map(|producer| (producer.last_append_ms, *id, producer.id)),
            );
        }
        let found = oldest.len();
        let count = count.min(FORGOTTEN_PER_DECISION).min(found);
        if count == 0 {
            return (None, false);
        }
        // Ties are broken by partition and id: the same state forgets the same producers everywhere.
        oldest.select_nth_unstable(count - 1);
        oldest.truncate(count);
        let mut producers: BTreeMap<PartitionId, Vec<i64>> = BTreeMap::new();
        for (_, partition, producer) in oldest {
            producers.entry(partition).or_default().push(producer);
        }
        producers.values_mut().for_each(|ids| ids.sort_unstable());
        let producers = producers.into_iter().collect();
        (Some(Decision::ForgetProducers { producers }), found > count)
    }
}
