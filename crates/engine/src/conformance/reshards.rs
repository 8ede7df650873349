//! Resharding: what it does to appends, readers and groups. Its own rules are tried where they are written.

use super::kit::*;
use crate::contract::AppendError;
use crate::state::{Command, CommittedOffset, Outcome, Refusal, Reshard, Topic};
use crate::types::{HashRange, Offset, PartitionId, ShardId};

async fn reshard(kit: &Kit<'_>, topic: &Topic, how: Reshard) -> Result<std::sync::Arc<Topic>, Refusal> {
    let command = Command::Reshard { topic: topic.id, how, now_ms: kit.now_ms() };
    match kit.propose(command).await? {
        Outcome::Resharded { topic } => Ok(topic),
        other => panic!("{other:?}"),
    }
}

/// The catalogue, the partitions and what readers see agree, and open ranges tile the hash space.
async fn check(kit: &Kit<'_>, topic: &Topic) {
    let id = topic.id;
    let (stored, fences) = kit
        .query(move |state| {
            let topic = state.topic(id).expect("it is there").clone();
            let fences: Vec<_> = topic
                .partition_ids()
                .map(|id| state.partition(id).expect("a topic has all its partitions").shard)
                .collect();
            (topic, fences)
        })
        .await;
    assert_eq!(*stored, *topic);
    let mut open: Vec<_> = topic.open_shards().collect();
    for (index, fence) in fences.iter().enumerate() {
        let ends = open.iter().find(|shard| shard.partition == Some(index as i32));
        assert_eq!(ends.map(|shard| shard.id), *fence);
        assert!(kit.engine().published(PartitionId { topic: id, index: index as i32 }).is_some());
    }
    open.sort_by_key(|shard| shard.range.start);
    assert_eq!((open[0].range.start, open[open.len() - 1].range.end), (0, u128::MAX));
    assert!(open.windows(2).all(|pair| pair[0].range.end + 1 == pair[1].range.start));
}

pub(super) async fn a_split_fences_what_was_routed_before_it(kit: &mut Kit<'_>) {
    let topic = kit.topic(1, &[]).await;
    let p = |index| PartitionId { topic: topic.id, index };
    for _ in 0..3 {
        kit.append(routed(p(0), 0, simple(1, b"before"))).await.expect("shard 0 is open");
    }
    kit.clock.advance(5);
    // The reshard is decided in between, though nobody waited for anything.
    let first = kit.engine().append(vec![routed(p(0), 0, simple(1, b"before"))]);
    let at = 1 << 127;
    let how = Reshard::Split { shard: ShardId(0), at };
    let split = kit.engine().propose(Command::Reshard { topic: topic.id, how, now_ms: kit.now_ms() });
    let late = kit.engine().append(vec![routed(p(0), 0, simple(1, b"late"))]);
    assert!(kit.patient(first).await.expect("the engine works")[0].is_ok());
    let Ok(Outcome::Resharded { topic }) = kit.patient(split).await.expect("the engine works") else {
        panic!("it can be split");
    };
    let late = kit.patient(late).await.expect("the engine works").remove(0);
    assert_eq!(late, Err(AppendError::Resharded { now: Some(ShardId(1)) }));

    check(kit, &topic).await;
    assert_eq!(topic.partitions, 2);
    let [parent, lower, upper] = topic.shards[..] else { panic!("{:?}", topic.shards) };
    assert_eq!((parent.end, lower.first, upper.first), (Some(Offset(4)), Offset(4), Offset(0)));
    assert_eq!((lower.partition, upper.partition), (Some(0), Some(1)));
    assert_eq!((lower.parent, upper.parent), (Some(ShardId(0)), Some(ShardId(0))));
    assert_eq!((lower.range.end + 1, upper.range.start), (at, at));
    for (index, shard, base) in [(0, 1, 4), (1, 2, 0)] {
        let appended = kit.append(routed(p(index), shard, simple(1, b"after"))).await.expect("it is open");
        assert_eq!(appended.base_offset, Offset(base));
        // Who names the partition meets no fence.
        assert!(kit.append(to(p(index), simple(1, b"named"))).await.is_ok());
    }
    kit.reopen(true).await;
    check(kit, &topic).await;
    let late = kit.append(routed(p(0), 0, simple(1, b"late"))).await;
    assert_eq!(late, Err(AppendError::Resharded { now: Some(ShardId(1)) }));
    assert_eq!(kit.values(p(0)).await, ["before", "before", "before", "before", "after", "named"]);
}

pub(super) async fn a_merge_retires_a_partition(kit: &mut Kit<'_>) {
    let fixed = kit.topic(2, &[]).await;
    let how = Reshard::Merge { first: ShardId(0), second: ShardId(1) };
    let refused = reshard(kit, &fixed, how).await;
    assert!(matches!(refused, Err(Refusal::ReshardForbidden { .. })), "{refused:?}");

    let topic = kit.topic(2, &[("kolk.reshard", "split+merge")]).await;
    let p = |index| PartitionId { topic: topic.id, index };
    for index in [0, 1] {
        kit.append(routed(p(index), index as u32, simple(2, b"before"))).await.expect("it is open");
    }
    kit.clock.advance(5);
    let merged = reshard(kit, &topic, how).await.expect("it can be merged");
    check(kit, &merged).await;
    kit.reopen(true).await;
    check(kit, &merged).await;
    let child = merged.shards[2];
    assert_eq!((child.partition, child.first, child.range), (Some(0), Offset(2), HashRange::ALL));
    assert_eq!((child.parent, child.adjacent_parent), (Some(ShardId(0)), Some(ShardId(1))));

    let resharded = Err(AppendError::Resharded { now: None });
    assert_eq!(kit.append(routed(p(1), 1, simple(1, b"late"))).await, resharded);
    assert_eq!(kit.append(to(p(1), simple(1, b"named"))).await, Err(AppendError::Retired));
    assert!(kit.append(routed(p(0), 2, simple(1, b"after"))).await.is_ok());
    assert_eq!(kit.values(p(1)).await, ["before", "before"], "a retired partition can be read");
    assert_eq!(kit.values(p(0)).await, ["before", "before", "after"]);

    // Split again it is used again, from where it was left.
    kit.clock.advance(5);
    let how = Reshard::Split { shard: ShardId(2), at: 1 << 100 };
    let split = reshard(kit, &merged, how).await.expect("it can be split");
    check(kit, &split).await;
    assert_eq!((split.partitions, split.shards[4].partition, split.shards[4].first), (2, Some(1), Offset(2)));
    let appended = kit.append(to(p(1), simple(1, b"named"))).await.expect("it is in use again");
    assert_eq!(appended.base_offset, Offset(2));

    for (how, refused) in [
        (how, Refusal::ShardClosed { shard: ShardId(2) }),
        (Reshard::Split { shard: ShardId(9), at: 5 }, Refusal::UnknownShard { shard: ShardId(9) }),
    ] {
        assert_eq!(reshard(kit, &split, how).await.map(drop), Err(refused));
    }
}

pub(super) async fn partitions_grow_by_splits_and_groups_start_on_them(kit: &mut Kit<'_>) {
    let topic = kit.topic(2, &[]).await;
    let other = kit.topic(1, &[]).await;
    let p = |index| PartitionId { topic: topic.id, index };
    kit.append(to(p(0), simple(5, b"v"))).await.expect("it is taken");
    let committed = |offset| CommittedOffset {
        offset: Offset(offset),
        leader_epoch: -1,
        metadata: "m".into(),
        commit_ms: START_MS,
    };
    for (group, partition) in [("reads", p(0)), ("elsewhere", PartitionId { topic: other.id, index: 0 })] {
        let offsets = vec![(partition, committed(3))];
        let commit = Command::CommitOffsets { group: group.into(), member: None, offsets, now_ms: START_MS };
        kit.propose(commit).await.expect("simple consumers may commit");
    }
    kit.clock.advance(5);
    let grown = reshard(kit, &topic, Reshard::CreatePartitions { count: 5 }).await.expect("it can grow");
    assert_eq!((grown.partitions, grown.open_shards().count()), (5, 5));
    check(kit, &grown).await;
    kit.reopen(true).await;
    check(kit, &grown).await;
    for index in 2..5 {
        assert_eq!(kit.published(p(index)).high_watermark, Offset(0));
        assert!(kit.append(to(p(index), simple(1, b"v"))).await.is_ok());
    }
    let offsets = kit
        .query(|state| {
            let of = |group: &str| {
                let group = state.group(group).expect("it committed");
                group.offsets.iter().map(|(id, at)| (id.index, at.offset.0)).collect::<Vec<_>>()
            };
            (of("reads"), of("elsewhere"))
        })
        .await;
    assert_eq!(offsets, (vec![(0, 3), (2, 0), (3, 0), (4, 0)], vec![(0, 3)]));
    let refused = reshard(kit, &grown, Reshard::CreatePartitions { count: 5 }).await;
    assert!(matches!(refused, Err(Refusal::InvalidPartitions { .. })), "{refused:?}");
    let refused = reshard(kit, &grown, Reshard::CreatePartitions { count: i32::MAX }).await;
    assert!(matches!(refused, Err(Refusal::PartitionLimit { .. })), "{refused:?}");
}

pub(super) async fn shard_counts_are_updated_in_one_decision(kit: &mut Kit<'_>) {
    let mut topic = kit.topic(4, &[("kolk.reshard", "split+merge")]).await;
    for (target, partitions) in [(3, 4), (6, 6), (2, 6), (6, 6), (6, 6)] {
        kit.clock.advance(1000);
        topic = reshard(kit, &topic, Reshard::UpdateShardCount { target }).await.expect("it can be updated");
        check(kit, &topic).await;
        let mut ranges: Vec<HashRange> = topic.open_shards().map(|shard| shard.range).collect();
        ranges.sort_by_key(|range| range.start);
        assert_eq!(ranges, HashRange::uniform(target as u32));
        assert_eq!(topic.partitions, partitions);
        for shard in topic.open_shards() {
            let partition = PartitionId { topic: topic.id, index: shard.partition.expect("it is open") };
            let appended = kit.append(routed(partition, shard.id.0, simple(1, b"v"))).await;
            assert_eq!(appended.map(|appended| appended.base_offset >= shard.first), Ok(true));
        }
    }
    kit.reopen(true).await;
    check(kit, &topic).await;
}
