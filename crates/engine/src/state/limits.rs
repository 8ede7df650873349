//! Bounds on what the state may hold, per kind of entry. Checked when deciding, never when applying.

use std::sync::Arc;

use super::configs::ConfigDefaults;
use super::{Refusal, State};

/// Limits and defaults that decisions keep. Part of the process's configuration, not of the state.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Partitions one topic may have.
    pub partitions_per_topic: i32,
    /// Partitions there may be in total.
    pub partitions_total: i64,
    /// Shards remembered in total, closed ones included; where it is reached, resharding is refused until
    /// retention forgets some.
    pub shards_total: usize,
    /// Bytes of all topic names, config overrides and tags.
    pub text_bytes: usize,
    /// Consumer groups there may be.
    pub groups: usize,
    /// Bytes of all memberships and committed offsets. One membership may have `message.max.bytes` of [`Self::configs`].
    pub group_bytes: usize,
    /// Longest metadata of a committed offset, in bytes (`offset.metadata.max.bytes`).
    pub offset_metadata_bytes: usize,
    /// Idempotent producers remembered over all partitions; the oldest are forgotten (KIP-360). About 200
    /// bytes each.
    pub producers: usize,
    /// Virtual segments counted over all partitions; beyond it, a partition that has 8 joins small ones when it rolls. 32 bytes
    /// each.
    pub segments_total: usize,
    /// The process's defaults of topic configs.
    pub configs: Arc<ConfigDefaults>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            partitions_per_topic: 10_000,
            partitions_total: 100_000,
            shards_total: 300_000,
            text_bytes: 64 << 20,
            groups: 100_000,
            group_bytes: 128 << 20,
            offset_metadata_bytes: 4096,
            producers: 250_000,
            segments_total: 2_000_000,
            configs: Arc::default(),
        }
    }
}

impl State {
    /// Room for topic texts that grow from `before` to `after` bytes. What shrinks always fits.
    pub(super) fn admit_text(&self, before: usize, after: usize) -> Result<(), Refusal> {
        let limit = self.limits.text_bytes;
        admit(self.text_bytes, before, after, limit)
            .ok_or(Refusal::StateFull { what: "bytes of topic configs and tags", limit })
    }

    /// Room for memberships and offsets that grow from `before` to `after` bytes.
    pub(super) fn admit_group_bytes(&self, before: usize, after: usize) -> Result<(), Refusal> {
        let limit = self.limits.group_bytes;
        admit(self.group_bytes, before, after, limit)
            .ok_or(Refusal::StateFull { what: "bytes of group members and committed offsets", limit })
    }

    /// Room for one more group.
    pub(super) fn admit_group(&self) -> Result<(), Refusal> {
        let limit = self.limits.groups;
        if self.groups.len() < limit {
            Ok(())
        } else {
            Err(Refusal::StateFull { what: "consumer groups", limit })
        }
    }
}

fn admit(held: usize, before: usize, after: usize, limit: usize) -> Option<()> {
    (after <= before || held.saturating_sub(before) + after <= limit).then_some(())
}
