//! The rule against its contract, over random lives of a stream.

use proptest::prelude::*;

use super::*;
use crate::types::TopicId;

const RETENTION_MS: i64 = 100_000;

const EMPTY: Tail = Tail { next_offset: Offset::ZERO, last_append_ms: i64::MIN, holds_named: false };

/// A topic with partitions that only know how far they are, and a wall clock that may step back.
struct Stream {
    topic: Topic,
    tails: Vec<Tail>,
    now_ms: i64,
    retention_ms: Option<i64>,
    limits: Limits,
    /// Whether records naming a partition come to it before routed ones: then all its slices must be in order.
    ordered: bool,
}

impl Stream {
    fn new(partitions: i32, permission: Permission) -> Stream {
        let now_ms = 1_700_000_000_123;
        let configs = [(RESHARD_CONFIG.to_owned(), permission.as_str().to_owned())];
        let topic = Topic {
            name: "stream".into(),
            id: TopicId(7),
            created_ms: now_ms,
            partitions,
            configs: configs.into_iter().collect(),
            tags: Default::default(),
            shards: first_shards(partitions, now_ms, None),
            next_shard: partitions as u32,
            lineage_from_ms: now_ms,
        };
        let tails = vec![EMPTY; partitions as usize];
        let limits = Limits { partitions_per_topic: 64, partitions_total: 64, ..Limits::default() };
        Stream { topic, tails, now_ms, retention_ms: Some(RETENTION_MS), limits, ordered: false }
    }

    fn decide(&self, how: Reshard) -> Result<Resharding, Refusal> {
        decide(
            how,
            &Situation {
                topic: &self.topic,
                tail: &|partition| self.tails[partition as usize],
                retention_ms: self.retention_ms,
                partitions_total: i64::from(self.topic.partitions),
                shards_total: self.topic.shards.len(),
                limits: &self.limits,
                now_ms: self.now_ms,
            },
        )
    }

    fn reshard(&mut self, how: Reshard) -> Result<Resharding, Refusal> {
        let resharding = self.decide(how)?;
        assert_eq!(self.decide(how), Ok(resharding.clone()), "deciding has no effect");
        let before = self.topic.clone();
        resharding.apply(&mut self.topic);
        let mut replayed = before.clone();
        resharding.apply(&mut replayed);
        assert_eq!(replayed, self.topic);
        for _ in resharding.new_partitions(&before) {
            self.tails.push(EMPTY);
        }
        // The fences are what the topic itself says of its partitions.
        let ends = |topic: &Topic, partition: i32| {
            topic.open_shards().find(|shard| shard.partition == Some(partition)).map(|shard| shard.id)
        };
        let fences = resharding.fences(&before);
        for partition in 0..self.topic.partitions {
            let now = ends(&self.topic, partition);
            match fences.get(&partition) {
                Some(fence) => assert_eq!(*fence, now),
                None => assert_eq!(ends(&before, partition), now, "an untouched partition keeps its shard"),
            }
        }
        Ok(resharding)
    }

    /// Routed by hash key, as Kinesis puts are; `name` for those that name the partition.
    fn append(&mut self, partition: i32, count: i64) {
        if self.topic.open_shards().any(|shard| shard.partition == Some(partition)) {
            let tail = &mut self.tails[partition as usize];
            tail.next_offset = tail.next_offset + count;
            tail.last_append_ms = tail.last_append_ms.max(self.now_ms);
        }
    }

    fn name(&mut self, partition: i32, count: i64) {
        let before = self.tails[partition as usize].next_offset;
        self.append(partition, count);
        let tail = &mut self.tails[partition as usize];
        tail.holds_named |= tail.next_offset > before;
    }

    fn descends(&self, child: ShardId, ancestor: ShardId) -> bool {
        child == ancestor
            || self.topic.shard(child).is_some_and(|shard| {
                let parents = [shard.parent, shard.adjacent_parent].into_iter().flatten();
                parents.filter(|parent| *parent >= ancestor).any(|parent| self.descends(parent, ancestor))
            })
    }

    fn open(&self) -> Vec<Shard> {
        let mut open: Vec<Shard> = self.topic.open_shards().copied().collect();
        open.sort_by_key(|shard| shard.range.start);
        open
    }

    fn ranges(&self) -> Vec<HashRange> {
        self.open().iter().map(|shard| shard.range).collect()
    }

    fn check(&self) {
        let topic = &self.topic;
        tiles(topic.open_shards(), "AT_LATEST");
        let horizon_ms = topic.trim_horizon_ms(self.retention_ms, self.now_ms);
        tiles(topic.shards_at(horizon_ms), "AT_TRIM_HORIZON");
        let instants = topic.shards.iter().flat_map(|shard| [Some(shard.opened_ms), shard.closed_ms]);
        let instants: BTreeSet<i64> = instants.flatten().flat_map(|ms| [ms - 1, ms]).collect();
        for instant_ms in instants {
            if instant_ms >= topic.lineage_from_ms {
                tiles(topic.shards_at(instant_ms), "AT_TIMESTAMP");
            }
        }
        assert!(topic.shards.windows(2).all(|pair| pair[0].id < pair[1].id), "ids increase");
        assert!(topic.shards.last().is_some_and(|shard| shard.id.0 < topic.next_shard));

        let mut children_of: BTreeMap<ShardId, Vec<&Shard>> = BTreeMap::new();
        for shard in &topic.shards {
            for parent in [shard.parent, shard.adjacent_parent].into_iter().flatten() {
                children_of.entry(parent).or_default().push(shard);
            }
        }
        for shard in &topic.shards {
            assert_eq!(shard.end.is_some(), shard.closed_ms.is_some());
            assert_eq!(shard.partition.is_none(), shard.closed_ms == Some(shard.opened_ms), "intermediate");
            for parent in [shard.parent, shard.adjacent_parent].into_iter().flatten() {
                if let Some(parent) = topic.shard(parent) {
                    assert_eq!(parent.closed_ms, Some(shard.opened_ms));
                    assert!(parent.create_second < shard.create_second && parent.id < shard.id);
                }
            }
            if !shard.is_open() {
                let children = children_of.get(&shard.id).map_or(&[][..], Vec::as_slice);
                match *children {
                    [lower, upper] => {
                        assert!(lower.adjacent_parent.is_none() && upper.adjacent_parent.is_none());
                        assert_eq!(
                            (lower.range.start, upper.range.end),
                            (shard.range.start, shard.range.end)
                        );
                        assert_eq!(lower.range.end + 1, upper.range.start);
                        assert!(lower.id < upper.id);
                    }
                    [child] => {
                        assert!(
                            child.parent.is_some() && child.adjacent_parent.is_some(),
                            "never one to one"
                        );
                        assert!(child.range.start <= shard.range.start && shard.range.end <= child.range.end);
                    }
                    _ => panic!("{} has {} children", shard.id, children.len()),
                }
            }
        }

        for partition in 0..topic.partitions {
            let slices: Vec<&Shard> =
                topic.shards.iter().filter(|shard| shard.partition == Some(partition)).collect();
            for pair in slices.windows(2) {
                assert_eq!(pair[0].end, Some(pair[1].first), "slices of a partition tile its offsets");
            }
            if self.tails[partition as usize].holds_named && self.ordered {
                for pair in slices.windows(2) {
                    assert!(self.descends(pair[1].id, pair[0].id), "Kafka's records are met in order");
                }
            }
            if let Some(last) = slices.last() {
                let tail = self.tails[partition as usize];
                assert!(last.end.is_none_or(|end| end == tail.next_offset) && last.first <= tail.next_offset);
            }
            if slices.len() as i64 == self.slices_ever(partition) {
                assert!(slices.first().is_none_or(|first| first.first == Offset::ZERO));
            }
        }
    }

    /// Without forgetting, every slice that a partition ever had is listed.
    fn slices_ever(&self, partition: i32) -> i64 {
        if self.topic.shards.len() == self.topic.next_shard as usize {
            self.topic.shards.iter().filter(|shard| shard.partition == Some(partition)).count() as i64
        } else {
            -1
        }
    }
}

fn tiles<'a>(shards: impl Iterator<Item = &'a Shard>, what: &str) {
    let mut ranges: Vec<HashRange> = shards.map(|shard| shard.range).collect();
    ranges.sort();
    assert_eq!(ranges.first().map(|range| range.start), Some(0), "{what}");
    assert_eq!(ranges.last().map(|range| range.end), Some(u128::MAX), "{what}");
    assert!(ranges.windows(2).all(|pair| pair[0].end + 1 == pair[1].start), "{what}: {ranges:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Append { partition: u8, count: u8 },
    Clock { by_ms: i64 },
    Retention(Option<i64>),
    Split { shard: u8, at: u128 },
    SplitMiddle { shard: u8 },
    Merge { shard: u8 },
    UpdateShardCount(i32),
    CreatePartitions(i32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), 1..9u8).prop_map(|(partition, count)| Step::Append { partition, count }),
        2 => prop_oneof![Just(0), Just(1), -5_000..5_000i64, 0..RETENTION_MS].prop_map(|by_ms| Step::Clock { by_ms }),
        1 => prop_oneof![Just(None), Just(Some(0)), Just(Some(RETENTION_MS)), (0..RETENTION_MS * 3).prop_map(Some)]
            .prop_map(Step::Retention),
        1 => (any::<u8>(), any::<u128>()).prop_map(|(shard, at)| Step::Split { shard, at }),
        2 => any::<u8>().prop_map(|shard| Step::SplitMiddle { shard }),
        2 => any::<u8>().prop_map(|shard| Step::Merge { shard }),
        2 => (1..40i32).prop_map(Step::UpdateShardCount),
        1 => (1..6i32).prop_map(Step::CreatePartitions),
    ]
}

fn live(partitions: i32, permission: Permission, named: bool, steps: Vec<Step>) {
    let mut stream = Stream::new(partitions, permission);
    stream.ordered = named;
    if named {
        (0..partitions).for_each(|partition| stream.name(partition, 1));
    }
    stream.check();
    for step in steps {
        let open = stream.open();
        let pick = |n: u8| n as usize % open.len();
        let active_before: Vec<_> = open.iter().filter_map(|shard| shard.partition).collect();
        let how = match step {
            Step::Append { partition, count } => {
                let partition = i32::from(partition) % stream.topic.partitions;
                if stream.ordered {
                    stream.name(partition, i64::from(count));
                } else {
                    stream.append(partition, i64::from(count));
                }
                continue;
            }
            Step::Clock { by_ms } => {
                stream.now_ms += by_ms;
                stream.check();
                continue;
            }
            Step::Retention(retention_ms) => {
                stream.retention_ms = retention_ms;
                stream.check();
                continue;
            }
            Step::Split { shard, at } => Reshard::Split { shard: open[pick(shard)].id, at },
            Step::SplitMiddle { shard } => {
                let HashRange { start, end } = open[pick(shard)].range;
                Reshard::Split { shard: open[pick(shard)].id, at: start + (end - start) / 2 + 1 }
            }
            Step::Merge { shard } => {
                let first = pick(shard);
                Reshard::Merge { first: open[first].id, second: open[(first + 1) % open.len()].id }
            }
            Step::UpdateShardCount(target) => Reshard::UpdateShardCount { target },
            Step::CreatePartitions(more) => {
                Reshard::CreatePartitions { count: stream.topic.partitions + more }
            }
        };
        let before = stream.topic.clone();
        match stream.reshard(how) {
            Ok(resharding) => {
                if named {
                    resharding.new_partitions(&before).for_each(|partition| stream.name(partition, 1));
                }
                let closed_before_ms = resharding.closed.iter().filter_map(|(id, _)| {
                    let partition = before.shard(*id)?.partition?;
                    Some(stream.tails[partition as usize].last_append_ms)
                });
                assert!(closed_before_ms.max().is_none_or(|last_ms| last_ms < resharding.at_ms));
                assert!(stream.topic.partitions >= before.partitions, "partitions never close");
                match how {
                    Reshard::UpdateShardCount { target } => {
                        assert_eq!(stream.ranges(), HashRange::uniform(target as u32));
                    }
                    Reshard::CreatePartitions { count } => {
                        assert_eq!(stream.topic.partitions, count);
                        let active = open.len() + (count - before.partitions) as usize;
                        assert_eq!(stream.open().len(), active);
                    }
                    Reshard::Split { .. } => assert_eq!(stream.open().len(), open.len() + 1),
                    Reshard::Merge { .. } => assert_eq!(stream.open().len(), open.len() - 1),
                }
                // No more partitions than the shards need, unless Kafka asked for them or its order needs them.
                if !named && !matches!(how, Reshard::CreatePartitions { .. }) {
                    let needed = before.partitions.max(stream.open().len() as i32);
                    assert_eq!(stream.topic.partitions, needed);
                }
                if permission == Permission::Split {
                    let active: Vec<_> = stream.open().iter().filter_map(|shard| shard.partition).collect();
                    assert!(active_before.iter().all(|partition| active.contains(partition)));
                }
            }
            Err(_) => assert_eq!(stream.topic, before, "a refusal changes nothing"),
        }
        stream.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_life_of_a_stream_keeps_the_contract(
        partitions in 1..12i32,
        permission in prop_oneof![4 => Just(Permission::SplitAndMerge), 1 => Just(Permission::Split)],
        named: bool,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        live(partitions, permission, named, steps);
    }

    #[test]
    fn growing_uniform_ranges_retires_nothing(from in 1..64i32, to in 1..64i32) {
        let mut stream = Stream::new(from, Permission::Split);
        let grown = stream.reshard(Reshard::UpdateShardCount { target: to });
        prop_assert_eq!(grown.is_ok(), to >= from);
        stream.check();
    }
}

#[test]
fn a_split_goes_on_on_its_partition_and_begins_on_the_lowest_retired_one() {
    let mut stream = Stream::new(4, Permission::SplitAndMerge);
    for partition in 0..4 {
        stream.append(partition, 10 + i64::from(partition));
    }
    stream.reshard(Reshard::Merge { first: ShardId(2), second: ShardId(3) }).unwrap();
    stream.reshard(Reshard::Merge { first: ShardId(0), second: ShardId(1) }).unwrap();
    let (four, five) = (*stream.topic.shard(ShardId(4)).unwrap(), *stream.topic.shard(ShardId(5)).unwrap());
    assert_eq!(
        (four.partition, four.first, five.partition, five.first),
        (Some(2), Offset(12), Some(0), Offset(10))
    );
    assert_eq!((four.parent, four.adjacent_parent), (Some(ShardId(2)), Some(ShardId(3))));

    stream.append(2, 5);
    let split = stream.reshard(Reshard::Split { shard: ShardId(4), at: (3 << 126) + 9 }).unwrap();
    assert_eq!(split.closed, [(ShardId(4), Offset(17))]);
    let places: Vec<_> =
        split.opened.iter().map(|shard| (shard.id.0, shard.partition, shard.first)).collect();
    assert_eq!(places, [(6, Some(2), Offset(17)), (7, Some(1), Offset(11))]);
    assert_eq!(split.new_partitions(&stream.topic), 4..4);
    stream.check();
}

#[test]
fn a_retired_partition_with_kafka_records_goes_to_a_descendant_only() {
    let mut stream = Stream::new(4, Permission::SplitAndMerge);
    stream.name(1, 5);
    stream.reshard(Reshard::Merge { first: ShardId(0), second: ShardId(1) }).unwrap();
    let at = stream.open()[2].range.start + 9;
    let split = stream.reshard(Reshard::Split { shard: ShardId(3), at }).unwrap();
    assert_eq!(split.opened[1].partition, Some(4), "shard 3 knows nothing of partition 1");
    let at = stream.open()[0].range.end - 9;
    let split = stream.reshard(Reshard::Split { shard: ShardId(4), at }).unwrap();
    let upper = split.opened[1];
    assert_eq!((upper.partition, upper.first), (Some(1), Offset(5)));

    // What was trimmed is read by nobody.
    stream.reshard(Reshard::Merge { first: split.opened[0].id, second: upper.id }).unwrap();
    stream.tails[1].holds_named = false;
    let at = stream.open()[3].range.start + 9;
    let split = stream.reshard(Reshard::Split { shard: stream.open()[3].id, at }).unwrap();
    assert_eq!(split.opened[1].partition, Some(1));
    stream.check();
}

#[test]
fn scaling_up_and_down_over_and_over_does_not_grow_the_topic() {
    for name in [false, true] {
        scale_up_and_down(name);
    }
}

fn scale_up_and_down(name: bool) {
    let mut stream = Stream::new(10, Permission::SplitAndMerge);
    for round in 0..20 {
        for (target, partitions) in [(20, 20), (10, 20)] {
            stream.now_ms += 30_000;
            for partition in 0..stream.topic.partitions {
                if name {
                    stream.name(partition, i64::from(round) % 3)
                } else {
                    stream.append(partition, i64::from(round) % 3)
                }
            }
            stream.reshard(Reshard::UpdateShardCount { target }).unwrap();
            assert_eq!(stream.topic.partitions, partitions);
            stream.check();
        }
        assert!(stream.topic.shards.len() < 200, "retention forgets the lineage");
    }
}

#[test]
fn update_shard_count_lists_intermediate_shards_without_a_partition() {
    // Thirds into quarters: two ranges are cut and joined again.
    let mut stream = Stream::new(3, Permission::Split);
    let plan = stream.reshard(Reshard::UpdateShardCount { target: 4 }).unwrap();
    let intermediate: Vec<_> = plan.opened.iter().filter(|shard| !shard.is_open()).collect();
    assert_eq!(plan.opened.len() - intermediate.len(), 4);
    assert!(!intermediate.is_empty());
    for shard in intermediate {
        assert_eq!((shard.partition, shard.first, shard.end), (None, Offset::ZERO, Some(Offset::ZERO)));
        assert_eq!(shard.closed_ms, Some(plan.at_ms));
    }
    stream.check();

    // What is uniform already stays as it is.
    assert!(stream.decide(Reshard::UpdateShardCount { target: 4 }).unwrap().is_empty());
    // Doubling needs splits only: no intermediate shard.
    let doubled = stream.reshard(Reshard::UpdateShardCount { target: 8 }).unwrap();
    assert!(doubled.opened.iter().all(Shard::is_open) && doubled.opened.len() == 8);
    stream.check();
}

#[test]
fn create_partitions_halves_the_widest_range_and_uses_no_retired_partition() {
    let mut stream = Stream::new(3, Permission::SplitAndMerge);
    stream.reshard(Reshard::Merge { first: ShardId(0), second: ShardId(1) }).unwrap();
    let plan = stream.reshard(Reshard::CreatePartitions { count: 5 }).unwrap();
    assert_eq!((stream.topic.partitions, stream.open().len()), (5, 4));
    assert_eq!(plan.new_partitions(&stream.topic).len(), 0);
    let retired = stream.open().iter().all(|shard| shard.partition != Some(1));
    assert!(retired, "Kafka asked for new partitions: the retired one stays retired");
    stream.check();
}

#[test]
fn limits_are_met_before_anything_is_computed() {
    let stream = Stream::new(3, Permission::SplitAndMerge);
    for (how, requested) in [
        (Reshard::UpdateShardCount { target: 1_000_000_000 }, 1_000_000_000),
        (Reshard::CreatePartitions { count: i32::MAX }, i64::from(i32::MAX)),
        (Reshard::UpdateShardCount { target: 65 }, 65),
    ] {
        let limit =
            Refusal::PartitionLimit { requested, limit: 64, scope: "per topic, topic-partitions-max" };
        assert_eq!(stream.decide(how), Err(limit));
    }
    assert!(matches!(
        stream.decide(Reshard::UpdateShardCount { target: 0 }),
        Err(Refusal::InvalidPartitions { .. })
    ));
    let mut stream = Stream::new(64, Permission::SplitAndMerge);
    assert!(matches!(
        stream.decide(Reshard::Split { shard: ShardId(5), at: stream.open()[5].range.start + 2 }),
        Err(Refusal::PartitionLimit { requested: 65, .. })
    ));
    stream.limits.shards_total = 65;
    assert!(matches!(
        stream.decide(Reshard::UpdateShardCount { target: 63 }),
        Err(Refusal::StateFull { limit: 65, .. })
    ));
}

#[test]
fn refusals_say_what_is_wrong() {
    let mut stream = Stream::new(4, Permission::SplitAndMerge);
    let range = stream.open()[1].range;
    for at in [0, range.start, range.start + 1, range.end, range.end + 1] {
        let refusal = Err(Refusal::InvalidHashKey { at, range });
        assert_eq!(stream.decide(Reshard::Split { shard: ShardId(1), at }), refusal);
    }
    let unknown = Err(Refusal::UnknownShard { shard: ShardId(9) });
    assert_eq!(stream.decide(Reshard::Split { shard: ShardId(9), at: 7 }), unknown);
    for (first, second) in [(1, 0), (0, 2), (3, 0), (2, 2)] {
        let (first, second) = (ShardId(first), ShardId(second));
        let refusal = Err(Refusal::NotAdjacent { first, second });
        assert_eq!(stream.decide(Reshard::Merge { first, second }), refusal);
    }
    stream.reshard(Reshard::Split { shard: ShardId(1), at: range.start + 2 }).unwrap();
    let closed = Err(Refusal::ShardClosed { shard: ShardId(1) });
    assert_eq!(stream.decide(Reshard::Split { shard: ShardId(1), at: range.start + 3 }), closed);
    for count in [0, 4, 5] {
        let refused = stream.decide(Reshard::CreatePartitions { count });
        assert!(matches!(refused, Err(Refusal::InvalidPartitions { .. })));
    }
}

#[test]
fn kolk_reshard_binds_every_way_to_reshard() {
    let all = [
        Reshard::Split { shard: ShardId(0), at: 5 },
        Reshard::CreatePartitions { count: 5 },
        Reshard::UpdateShardCount { target: 8 },
        Reshard::Merge { first: ShardId(0), second: ShardId(1) },
        Reshard::UpdateShardCount { target: 2 },
    ];
    for (permission, allowed) in
        [(Permission::Nothing, 0), (Permission::Split, 3), (Permission::SplitAndMerge, 5)]
    {
        for (index, how) in all.into_iter().enumerate() {
            let refused = Stream::new(4, permission).decide(how);
            assert_eq!(refused.is_ok(), index < allowed, "{permission:?} {how:?}");
            if let Err(refusal) = refused {
                assert!(refusal.to_string().contains(&format!("kolk.reshard={}", permission.as_str())));
            }
        }
    }
    let mut topic = Stream::new(1, Permission::Split).topic;
    topic.configs.clear();
    assert_eq!(Permission::of(&topic), Permission::Split, "topics made by Kafka set nothing");
}

#[test]
fn children_sort_after_parents_even_when_the_clock_steps_back() {
    let mut stream = Stream::new(1, Permission::SplitAndMerge);
    let mut last = stream.open()[0];
    for _ in 0..5 {
        stream.now_ms -= 3_600_000;
        let at = last.range.start + (last.range.end - last.range.start) / 2;
        let split = stream.reshard(Reshard::Split { shard: last.id, at }).unwrap();
        assert!(split.at_ms > last.opened_ms && split.opened[0].create_second > last.create_second);
        last = split.opened[0];
    }
    stream.check();
}

#[test]
fn a_stream_made_again_sorts_after_its_predecessor() {
    let old = Stream::new(2, Permission::SplitAndMerge).topic;
    let again = first_shards(1, old.created_ms - 10_000, Some(old.shards[0].create_second));
    assert_eq!(again[0].create_second, old.shards[0].create_second + 1);
}
