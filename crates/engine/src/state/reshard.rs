//! The one rule by which a topic's shards change: first shards, split, merge, UpdateShardCount, CreatePartitions.
//!
//! A shard is a slice of a partition. Owns: which shards close, which open, on which partitions they go on, and
//! the stream's lineage in time. Promises: one all-or-nothing [`Resharding`], computed without effect; open hash
//! ranges tile the hash space, now and at every instant the lineage still covers; ids count up; children sort
//! after their parents. Leaves to others: writing the decision, fencing the partitions ([`Resharding::fences`])
//! and seeding group offsets on new partitions ([`Resharding::new_partitions`]), which the state does when it
//! applies the decision.
//!
//! ```text
//!  partition 0   |--- 0 ---|------ 1 ------|--- 3 ---      split 0 -> 1 (lower, goes on), 2 (upper)
//!  partition 1             |------ 2 ------|                merge 1 + 2 -> 3; partition 1 is retired
//!  time          t0        t1              t2
//! ```
//!
//! Every way to reshard is drafted as splits (one parent, two children) and merges (two parents, one child),
//! because KCL follows no other lineage. What is opened and closed within one draft is *intermediate*: listed
//! with an empty slice and no partition. Source: SplitShard, MergeShards, UpdateShardCount of the Kinesis API
//! reference; KIP-195 for CreatePartitions.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Range;

use super::{Limits, Refusal, Reshard, Shard, Topic};
use crate::defects::{Defect, defect};
use crate::types::{HashRange, Offset, ShardId};

#[cfg(test)]
mod in_state;
#[cfg(test)]
mod tests;

/// The topic config that says who may reshard.
pub const RESHARD_CONFIG: &str = "kolk.reshard";

/// Shard numbers go up to this one: Kinesis clients read them as `i32`.
const SHARD_ID_MAX: u32 = i32::MAX as u32;

/// What `kolk.reshard` allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// `none`.
    Nothing,
    /// `split`, the default: everything that retires no partition.
    Split,
    /// `split+merge`; CreateStream sets it on the streams it makes.
    SplitAndMerge,
}

impl Permission {
    /// Reads the config's value; `None` if it is not one of the three.
    pub fn parse(value: &str) -> Option<Permission> {
        match value {
            "none" => Some(Permission::Nothing),
            "split" => Some(Permission::Split),
            "split+merge" => Some(Permission::SplitAndMerge),
            _ => None,
        }
    }

    /// The config's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Permission::Nothing => "none",
            Permission::Split => "split",
            Permission::SplitAndMerge => "split+merge",
        }
    }

    /// What the topic's overrides say.
    pub fn of(topic: &Topic) -> Permission {
        topic
            .configs
            .get(RESHARD_CONFIG)
            .and_then(|value| Permission::parse(value))
            .unwrap_or(Permission::Split)
    }

    fn forbids(self, what: &'static str) -> Refusal {
        Refusal::ReshardForbidden { what, setting: self.as_str().to_owned() }
    }
}

/// Where a partition ends now, and whose records it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The offset that the next record will take.
    pub next_offset: Offset,
    /// Append time of the last batch, ms; anything below the stream's creation if there is none.
    pub last_append_ms: i64,
    /// Whether records are left that were written by naming the partition, as Kafka's producers do: their order
    /// must hold over all slices of the partition.
    pub holds_named: bool,
}

/// What the rule looks at.
pub struct Situation<'a> {
    /// The topic as it is.
    pub topic: &'a Topic,
    /// The tail of each of its partitions, retired ones included.
    pub tail: &'a dyn Fn(i32) -> Tail,
    /// How long records are kept; `None` for ever. Closed shards are listed as long.
    pub retention_ms: Option<i64>,
    /// Partitions of all topics.
    pub partitions_total: i64,
    /// Shards of all topics, closed ones included.
    pub shards_total: usize,
    /// What may not be exceeded.
    pub limits: &'a Limits,
    /// Wall clock, ms. The stream's own clock is never behind it and never goes back.
    pub now_ms: i64,
}

/// A decided change of a topic's shards. [`Resharding::apply`] is its only effect on the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resharding {
    /// The instant on the stream's clock at which the old shards close and the new ones open, ms.
    pub at_ms: i64,
    /// Shards that close, each with one past its last offset.
    pub closed: Vec<(ShardId, Offset)>,
    /// New shards by id, dense from the topic's next number; intermediate ones are closed already.
    pub opened: Vec<Shard>,
    /// The topic's partitions afterwards.
    pub partitions: i32,
    /// The lineage is whole from this instant on, ms: shards that closed before it are forgotten.
    pub lineage_from_ms: i64,
}

impl Resharding {
    /// Whether nothing changes (UpdateShardCount to the ranges that are there): no need to write it down.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty()
    }

    /// The partitions that come into being. Every group with offsets on the topic gets offset 0 on them, so
    /// that a group that starts at `latest` does not lose what arrives before it notices them.
    pub fn new_partitions(&self, before: &Topic) -> Range<i32> {
        before.partitions..self.partitions
    }

    /// Per touched partition, the shard that ends it afterwards; `None` = retired.
    pub fn fences(&self, before: &Topic) -> BTreeMap<i32, Option<ShardId>> {
        let closed = self.closed.iter().filter_map(|(id, _)| Some((before.shard(*id)?.partition?, None)));
        let opened = self.opened.iter().filter(|shard| shard.is_open());
        closed.chain(opened.filter_map(|shard| Some((shard.partition?, Some(shard.id))))).collect()
    }

    /// Changes the topic, live and in replay alike.
    pub fn apply(&self, topic: &mut Topic) {
        for (id, end) in &self.closed {
            // Only behind a repair may a shard be missing that a decision closes.
            let Ok(at) = topic.shards.binary_search_by_key(id, |shard| shard.id) else { continue };
            let shard = &mut topic.shards[at];
            shard.end = Some(*end);
            shard.closed_ms = Some(self.at_ms);
        }
        let from_ms = self.lineage_from_ms;
        topic.shards.retain(|shard| shard.closed_ms.is_none_or(|closed_ms| closed_ms > from_ms));
        topic.shards.extend_from_slice(&self.opened);
        topic.next_shard += self.opened.len() as u32;
        topic.partitions = self.partitions;
        topic.lineage_from_ms = from_ms;
    }
}

impl Topic {
    /// A shard by its number, if retention has not forgotten it.
    pub fn shard(&self, id: ShardId) -> Option<&Shard> {
        self.shards.binary_search_by_key(&id, |shard| shard.id).ok().map(|at| &self.shards[at])
    }

    /// The shards that take records, in order of number.
    pub fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.is_open())
    }

    /// The shards that were open at an instant from the trim horizon on: their ranges tile the hash space.
    pub fn shards_at(&self, instant_ms: i64) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(move |shard| shard.was_open_at(instant_ms))
    }

    /// The stream's one trim horizon: nothing is promised of records and shards before it.
    pub fn trim_horizon_ms(&self, retention_ms: Option<i64>, now_ms: i64) -> i64 {
        let kept_from_ms = retention_ms.map_or(i64::MIN, |retention_ms| now_ms.saturating_sub(retention_ms));
        self.lineage_from_ms.max(kept_from_ms)
    }

    /// Where the stream's clock stands: the instant of its last reshard or its creation, ms.
    pub fn clock_ms(&self) -> i64 {
        // The latest reshard opened at least one shard that is still open, or it would not be the latest.
        self.open_shards().map(|shard| shard.opened_ms).max().unwrap_or(self.created_ms)
    }
}

impl Shard {
    /// Whether it was open at an instant on the stream's clock, ms: it covers [opened, closed).
    pub fn was_open_at(&self, instant_ms: i64) -> bool {
        self.opened_ms <= instant_ms && self.closed_ms.is_none_or(|closed_ms| instant_ms < closed_ms)
    }
}

/// The shards of a new topic: shard i is partition i, with the ranges of CreateStream.
///
/// `predecessor` is the last create second of an earlier stream of that name, or anything above it: the new
/// stream's sequence numbers sort after all of it.
pub fn first_shards(partitions: i32, now_ms: i64, predecessor: Option<i64>) -> Vec<Shard> {
    let create_second = (now_ms / 1000).max(predecessor.unwrap_or(i64::MIN)) + 1;
    let ranges = HashRange::uniform(u32::try_from(partitions).expect("a topic has partitions"));
    ranges
        .into_iter()
        .zip(0..)
        .map(|(range, index)| Shard {
            id: ShardId(index),
            partition: Some(index as i32),
            first: Offset::ZERO,
            end: None,
            range,
            parent: None,
            adjacent_parent: None,
            opened_ms: now_ms,
            closed_ms: None,
            create_second,
        })
        .collect()
}

/// Decides a reshard. Costs time by the topic's shards and the partitions asked for, within the limits:
/// what exceeds them is refused before anything is computed.
pub fn decide(how: Reshard, situation: &Situation<'_>) -> Result<Resharding, Refusal> {
    let Situation { topic, now_ms, .. } = *situation;
    let permission = Permission::of(topic);
    let mut draft = Draft { topic, now_second: now_ms / 1000, closed: Vec::new(), opened: Vec::new() };
    let mut reuse_retired = true;
    match how {
        Reshard::Split { shard, at } => {
            if permission == Permission::Nothing {
                return Err(permission.forbids("splitting a shard"));
            }
            let shard = open_shard(topic, shard)?;
            // Kinesis: greater than one plus the start, less than the end.
            if at <= shard.range.start.saturating_add(1) || at >= shard.range.end {
                return Err(Refusal::InvalidHashKey { at, range: shard.range });
            }
            draft.split(shard, at);
        }
        Reshard::Merge { first, second } => {
            if permission != Permission::SplitAndMerge {
                return Err(permission.forbids("merging shards"));
            }
            let (a, b) = (open_shard(topic, first)?, open_shard(topic, second)?);
            if a.range.end.checked_add(1) != Some(b.range.start) {
                return Err(Refusal::NotAdjacent { first, second });
            }
            draft.merge(a, b);
        }
        Reshard::UpdateShardCount { target } => {
            if target < 1 {
                let reason = format!("a stream has at least one shard, {target} were asked for");
                return Err(Refusal::InvalidPartitions { reason });
            }
            within_limits(situation, target)?;
            draft.uniform(u32::try_from(target).expect("from 1"));
        }
        Reshard::CreatePartitions { count } => {
            let now = topic.partitions;
            if count <= now {
                let reason = if count == now {
                    format!("Topic already has {now} partition(s).")
                } else {
                    format!(
                        "The topic {} currently has {now} partition(s); {count} would not be an increase.",
                        topic.name
                    )
                };
                return Err(Refusal::InvalidPartitions { reason });
            }
            if permission == Permission::Nothing {
                return Err(permission.forbids("adding partitions"));
            }
            within_limits(situation, count)?;
            draft.split_widest((count - now) as usize);
            reuse_retired = false;
        }
    }
    let resharding = draft.place(situation, reuse_retired)?;
    if !resharding.is_empty() && permission != Permission::SplitAndMerge {
        if permission == Permission::Nothing {
            return Err(permission.forbids("changing the shard count"));
        }
        if resharding.fences(topic).values().any(Option::is_none) {
            return Err(permission.forbids("a change of the shard count that retires a partition"));
        }
    }
    Ok(resharding)
}

fn open_shard(topic: &Topic, id: ShardId) -> Result<Shard, Refusal> {
    let shard = topic.shard(id).ok_or(Refusal::UnknownShard { shard: id })?;
    if shard.is_open() { Ok(*shard) } else { Err(Refusal::ShardClosed { shard: id }) }
}

/// Whether a topic may come to have `partitions`; fewer than now is always fine.
fn within_limits(situation: &Situation<'_>, partitions: i32) -> Result<(), Refusal> {
    let added = i64::from(partitions) - i64::from(situation.topic.partitions);
    let limits = situation.limits;
    if added > 0 && partitions > limits.partitions_per_topic {
        return Err(Refusal::PartitionLimit {
            requested: i64::from(partitions),
            limit: i64::from(limits.partitions_per_topic),
            scope: "per topic, topic-partitions-max",
        });
    }
    if added > 0 && situation.partitions_total + added > limits.partitions_total {
        return Err(Refusal::PartitionLimit {
            requested: situation.partitions_total + added,
            limit: limits.partitions_total,
            scope: "in total, partitions-max",
        });
    }
    Ok(())
}

/// Splits and merges as they are planned, before partitions are given out.
struct Draft<'a> {
    topic: &'a Topic,
    now_second: i64,
    /// Shards of the topic that close, not yet sorted.
    closed: Vec<Shard>,
    /// New shards by id. `end` is set on those that a later step of the draft closed.
    opened: Vec<Shard>,
}

impl Draft<'_> {
    fn close(&mut self, shard: Shard) {
        match shard.id.0.checked_sub(self.topic.next_shard) {
            Some(index) => self.opened[index as usize].end = Some(Offset::ZERO),
            None => self.closed.push(shard),
        }
    }

    fn open(&mut self, range: HashRange, parent: &Shard, adjacent_parent: Option<&Shard>) -> Shard {
        let seconds = [Some(parent), adjacent_parent];
        let parents_second = seconds.into_iter().flatten().map(|shard| shard.create_second).max();
        let shard = Shard {
            id: ShardId(self.topic.next_shard.saturating_add(self.opened.len() as u32)),
            partition: None,
            first: Offset::ZERO,
            end: None,
            range,
            parent: Some(parent.id),
            adjacent_parent: adjacent_parent.map(|shard| shard.id),
            opened_ms: 0,
            closed_ms: None,
            create_second: parents_second.map_or(self.now_second, |second| second.max(self.now_second)) + 1,
        };
        self.opened.push(shard);
        shard
    }

    /// One parent into two children; the upper one starts at `at`.
    fn split(&mut self, parent: Shard, at: u128) -> [Shard; 2] {
        let HashRange { start, end } = parent.range;
        assert!(start < at && at <= end, "a split cuts inside the range");
        self.close(parent);
        let lower = self.open(HashRange { start, end: at - 1 }, &parent, None);
        let upper = self.open(HashRange { start: at, end }, &parent, None);
        [lower, upper]
    }

    /// Two adjacent parents into one child.
    fn merge(&mut self, first: Shard, second: Shard) -> Shard {
        self.close(first);
        self.close(second);
        let range = HashRange { start: first.range.start, end: second.range.end };
        self.open(range, &first, Some(&second))
    }

    /// Cuts `shard` at each of `cuts` (ascending, inside its range): a balanced tree of splits, so that a
    /// consumer walks few generations. Pushes the pieces in order.
    fn cut(&mut self, shard: Shard, cuts: &[u128], pieces: &mut Vec<Shard>) {
        if cuts.is_empty() {
            pieces.push(shard);
            return;
        }
        let middle = cuts.len() / 2;
        let [lower, upper] = self.split(shard, cuts[middle]);
        self.cut(lower, &cuts[..middle], pieces);
        self.cut(upper, &cuts[middle + 1..], pieces);
    }

    /// Joins adjacent pieces (at least one): a balanced tree of merges.
    fn join(&mut self, pieces: &[Shard]) -> Shard {
        if let [piece] = pieces {
            return *piece;
        }
        let (first, second) = pieces.split_at(pieces.len() / 2);
        let (first, second) = (self.join(first), self.join(second));
        self.merge(first, second)
    }

    fn open_by_range(&self) -> Vec<Shard> {
        let mut open: Vec<Shard> = self.topic.open_shards().copied().collect();
        open.sort_unstable_by_key(|shard| shard.range.start);
        open
    }

    /// To the ranges of CreateStream(count). Shards whose range is wanted as it is stay as they are.
    fn uniform(&mut self, count: u32) {
        let targets = HashRange::uniform(count);
        let mut pieces = Vec::new();
        for shard in self.open_by_range() {
            let from = targets.partition_point(|target| target.start <= shard.range.start);
            let to = targets.partition_point(|target| target.start <= shard.range.end);
            let cuts: Vec<u128> = targets[from..to].iter().map(|target| target.start).collect();
            self.cut(shard, &cuts, &mut pieces);
        }
        let mut rest = pieces.as_slice();
        for target in targets {
            let (within, later) = rest.split_at(rest.partition_point(|piece| piece.range.end <= target.end));
            self.join(within);
            rest = later;
        }
    }

    /// Halves the widest open range (the lowest of equals), `times` over.
    fn split_widest(&mut self, times: usize) {
        let key = |shard: &Shard| (shard.range.end - shard.range.start, std::cmp::Reverse(shard.range.start));
        let open = self.open_by_range();
        let mut widest: BinaryHeap<_> =
            open.iter().enumerate().map(|(index, shard)| (key(shard), index)).collect();
        let mut shards = open;
        for _ in 0..times {
            let (_, index) = widest.pop().expect("a topic has an open shard");
            let HashRange { start, end } = shards[index].range;
            // Fewer ranges than hash keys: the widest has more than one.
            for child in self.split(shards[index], start + (end - start) / 2 + 1) {
                widest.push((key(&child), shards.len()));
                shards.push(child);
            }
        }
    }

    /// Gives `homeless` shards (in hash order) retired partitions, the lowest first, and keeps those that get none.
    ///
    /// A reader follows parents before children. So a partition whose named records are still there goes only to
    /// a shard that descends from its last slice, or those records could be met out of order. Overlapping ranges
    /// descend from one another: one key is in a chain of parents and children.
    fn reuse(&mut self, homeless: &mut Vec<usize>, free: &BTreeSet<i32>, holds_named: &dyn Fn(i32) -> bool) {
        let mut last_ranges = BTreeMap::new();
        for shard in &self.topic.shards {
            if let Some(partition) = shard.partition.filter(|partition| free.contains(partition)) {
                last_ranges.insert(partition, shard.range);
            }
        }
        let mut waiting: BTreeMap<u128, usize> =
            homeless.iter().map(|index| (self.opened[*index].range.start, *index)).collect();
        let mut anyones = Vec::new();
        for partition in free {
            // What retention has forgotten is promised to nobody.
            let Some(range) = last_ranges.get(partition).filter(|_| holds_named(*partition)) else {
                anyones.push(*partition);
                continue;
            };
            let before = waiting.range(..=range.start).next_back();
            let overlapping = before.filter(|(_, index)| self.opened[**index].range.end >= range.start);
            let overlapping = overlapping.or_else(|| waiting.range(range.start..=range.end).next());
            if let Some((start, index)) = overlapping.map(|(start, index)| (*start, *index)) {
                waiting.remove(&start);
                self.opened[index].partition = Some(*partition);
            }
        }
        for partition in anyones {
            let Some((_, index)) = waiting.pop_first() else { break };
            self.opened[index].partition = Some(partition);
        }
        *homeless = waiting.into_values().collect();
    }

    /// Gives the new shards their partitions and the whole its instant.
    fn place(mut self, situation: &Situation<'_>, reuse_retired: bool) -> Result<Resharding, Refusal> {
        let Situation { topic, tail, limits, .. } = *situation;
        let mut lineage_from_ms = topic.lineage_from_ms;
        if self.opened.is_empty() {
            let (at_ms, partitions) = (topic.clock_ms(), topic.partitions);
            let (closed, opened) = (Vec::new(), Vec::new());
            return Ok(Resharding { at_ms, closed, opened, partitions, lineage_from_ms });
        }
        if self.opened.len() > SHARD_ID_MAX.saturating_sub(topic.next_shard) as usize {
            let reason = "the stream's shard numbers are used up".to_owned();
            return Err(Refusal::InvalidPartitions { reason });
        }

        // Forget what no listing shows any more. The lineage stays whole from the last forgotten closing on,
        // so a retention that is raised later cannot ask for an instant that does not tile.
        let horizon_ms = topic.trim_horizon_ms(situation.retention_ms, situation.now_ms);
        let closings = topic.shards.iter().filter_map(|shard| shard.closed_ms);
        let (mut forgotten, mut kept) = (0, 0);
        for closed_ms in closings {
            if closed_ms < horizon_ms {
                lineage_from_ms = lineage_from_ms.max(closed_ms);
                forgotten += 1;
            } else {
                kept += 1;
            }
        }
        debug_assert_eq!(kept + forgotten + topic.open_shards().count(), topic.shards.len());
        if situation.shards_total - forgotten + self.opened.len() > limits.shards_total {
            return Err(Refusal::StateFull { what: "shards", limit: limits.shards_total });
        }

        // Later than all that is in the closing slices and than the last reshard: a reader that starts with the
        // shards open at an instant then misses nothing appended from that instant on.
        self.closed.sort_unstable_by_key(|shard| shard.range.start);
        let closing = |shard: &Shard| shard.partition.expect("an open shard has a partition");
        let after_ms = self.closed.iter().map(|shard| tail(closing(shard)).last_append_ms).max();
        let after_ms = after_ms.map_or(topic.clock_ms(), |last_ms| last_ms.max(topic.clock_ms()));
        let at_ms = situation.now_ms.max(after_ms.saturating_add(1));

        // Final shards stay on an ancestor's partition where they can. Ancestors are the closing shards whose
        // range overlaps; both are in hash order, so taking the first one left gives the most matches.
        for shard in &mut self.opened {
            shard.opened_ms = at_ms;
            shard.closed_ms = shard.end.map(|_| at_ms);
        }
        let mut placed: Vec<usize> = (0..self.opened.len()).filter(|i| self.opened[*i].is_open()).collect();
        placed.sort_unstable_by_key(|i| self.opened[*i].range.start);
        let mut free: BTreeSet<i32> = (0..topic.partitions).collect();
        for shard in topic.open_shards() {
            free.remove(&closing(shard));
        }
        let mut ancestors = self.closed.iter().peekable();
        let mut homeless = Vec::new();
        for index in placed {
            let shard = &mut self.opened[index];
            while let Some(left) = ancestors.next_if(|ancestor| ancestor.range.end < shard.range.start) {
                free.insert(closing(left));
            }
            match ancestors.next_if(|ancestor| ancestor.range.start <= shard.range.end) {
                Some(ancestor) => shard.partition = Some(closing(ancestor)),
                None => homeless.push(index),
            }
        }
        free.extend(ancestors.map(closing));

        let mut partitions = topic.partitions;
        if reuse_retired {
            self.reuse(&mut homeless, &free, &|partition| tail(partition).holds_named);
        }
        for index in homeless {
            self.opened[index].partition = Some(partitions);
            partitions += 1;
        }
        within_limits(situation, partitions)?;
        for shard in &mut self.opened {
            if let Some(partition) = shard.partition.filter(|partition| *partition < topic.partitions) {
                shard.first = tail(partition).next_offset;
                if defect(Defect::SliceBeginsLate) {
                    shard.first = shard.first + 1;
                }
            }
        }
        let closed = self.closed.iter().map(|shard| (shard.id, tail(closing(shard)).next_offset));
        let mut closed: Vec<(ShardId, Offset)> = closed.collect();
        closed.sort_unstable();
        Ok(Resharding { at_ms, closed, opened: self.opened, partitions, lineage_from_ms })
    }
}
