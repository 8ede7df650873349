//! Shards: every record is in exactly one, in the one that its key belongs to, under one name that grows.

use std::collections::BTreeMap;

use kolk_wire_kinesis::hashkey;

use super::Anomaly;
use super::facts::{Facts, author};
use crate::history::{Again, Name, Operation, Place, Shard, Told, What, offset_of};

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    sequences(facts, found);
    one_shard(facts, found);
    keys(facts, found);
    lineage(facts, found);
}

fn sequences(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for ((stream, shard), page) in &facts.slices {
        let not_increasing = |first: String, then: String| Anomaly::SequenceNotIncreasing {
            stream: (*stream).clone(),
            shard: *shard,
            first,
            then,
        };
        for pair in page.records.windows(2) {
            if pair[0].sequence >= pair[1].sequence {
                found.push(not_increasing(pair[0].sequence.to_string(), pair[1].sequence.to_string()));
            }
        }
        // A child's numbers lie above its parents'.
        let parents = facts.shards.get(&(*stream, *shard)).into_iter().flat_map(|shard| &shard.parents);
        for parent in parents {
            let last = facts.slices.get(&(*stream, *parent)).and_then(|page| page.records.last());
            if let (Some(last), Some(first)) = (last, page.records.first())
                && last.sequence >= first.sequence
            {
                found.push(not_increasing(last.sequence.to_string(), first.sequence.to_string()));
            }
        }
        for seen in &page.records {
            let Some(written) = facts.written.get(&(*stream, seen.value.as_str())) else { continue };
            if let Some(Place::Shard { sequence, .. }) = written.place()
                && sequence != seen.sequence
            {
                found.push(Anomaly::SequenceChanged {
                    stream: (*stream).clone(),
                    value: seen.value.clone(),
                    told: sequence.to_string(),
                    shown: seen.sequence.to_string(),
                });
            }
        }
    }
}

fn one_shard(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut shards: BTreeMap<(&Name, i32, i64), Vec<u32>> = BTreeMap::new();
    for ((stream, shard), page) in &facts.slices {
        let Some(partition) = facts.partition_of(stream, *shard) else { continue };
        for offset in page.records.iter().filter_map(|seen| offset_of(&seen.sequence)) {
            shards.entry((*stream, partition, offset)).or_default().push(*shard);
        }
    }
    for ((topic, partition), whole) in &facts.logs {
        if !facts.slices.keys().any(|(stream, _)| stream == topic) {
            continue;
        }
        for (offset, value) in &whole.records {
            let (stream, value) = ((*topic).clone(), value.clone());
            match shards.get(&(*topic, *partition, *offset)).map_or(&[][..], Vec::as_slice) {
                [_] => {}
                [] => {
                    let (partition, offset) = (*partition, *offset);
                    found.push(Anomaly::InNoShard { stream, value, partition, offset });
                }
                many => found.push(Anomaly::InManyShards { stream, value, shards: many.to_vec() }),
            }
        }
    }
}

/// Kinesis's records are in the shard of their key, and there in the order in which they were acknowledged.
fn keys(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    // By author and key, over all shards: what was put later has a greater sequence number.
    let mut by_key = BTreeMap::new();
    for ((stream, shard), page) in &facts.slices {
        let Some(Shard { range, .. }) = facts.shards.get(&(*stream, *shard)) else { continue };
        for seen in &page.records {
            let Some(written) = facts.written.get(&(*stream, seen.value.as_str())) else { continue };
            if written.write.partition.is_some() {
                continue;
            }
            let hash = hashkey::of_partition_key(&seen.key);
            if hash < range.0 || hash > range.1 {
                let (stream, value, key) = ((*stream).clone(), seen.value.clone(), seen.key.clone());
                found.push(Anomaly::WrongShard { stream, value, key, shard: *shard });
            }
            if written.write.again == Again::Never
                && matches!(written.place(), Some(Place::Shard { .. }))
                && let Some((author, number)) = author(&seen.value)
            {
                let records: &mut Vec<_> = by_key.entry((*stream, author, seen.key.as_str())).or_default();
                records.push((seen.sequence, number, seen.value.as_str()));
            }
        }
    }
    for ((stream, _, key), mut records) in by_key {
        records.sort_unstable();
        for pair in records.windows(2) {
            if pair[0].1 > pair[1].1 {
                found.push(Anomaly::OrderInverted {
                    topic: stream.clone(),
                    place: format!("key {key}"),
                    earlier: pair[1].2.to_owned(),
                    later: pair[0].2.to_owned(),
                });
            }
        }
    }
}

/// A list of shards, and the operation that brought it.
type List<'a> = (&'a Operation, &'a [Shard]);

/// Shards stay what they are; only open ones close. Open shards tile the hash space.
fn lineage(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut lists: BTreeMap<&Name, Vec<List<'_>>> = BTreeMap::new();
    for operation in facts.operations() {
        let What::Shards { stream, told: Told::Ok(shards) } = &operation.what else { continue };
        tiled(stream, shards, operation.began, found);
        let before = lists.entry(stream).or_default();
        for (earlier, list) in before.iter().filter(|(earlier, _)| earlier.is_before(operation)) {
            compare(stream, earlier.began, list, shards, found);
        }
        // What this list was compared with, later ones need not be.
        before.retain(|(earlier, _)| !earlier.is_before(operation));
        before.push((operation, shards));
    }
}

fn compare(stream: &Name, seen: u64, before: &[Shard], after: &[Shard], found: &mut Vec<Anomaly>) {
    for shard in before {
        let Some(now) = after.iter().find(|now| now.id == shard.id) else {
            found.push(Anomaly::ShardForgotten { stream: stream.clone(), shard: shard.id, seen });
            continue;
        };
        let closed = Shard { is_closed: now.is_closed, ..shard.clone() };
        if *now != closed || (shard.is_closed && !now.is_closed) {
            found.push(Anomaly::ShardChanged {
                stream: stream.clone(),
                shard: shard.id,
                before: format!("{shard:?}"),
                after: format!("{now:?}"),
                seen,
            });
        }
    }
}

fn tiled(stream: &Name, shards: &[Shard], seen: u64, found: &mut Vec<Anomaly>) {
    let mut open: Vec<_> = shards.iter().filter(|shard| !shard.is_closed).map(|shard| shard.range).collect();
    open.sort_unstable();
    let mut next = Some(0u128);
    for (first, last) in open {
        if next != Some(first) {
            found.push(Anomaly::HashSpaceNotTiled { stream: stream.clone(), at: first, seen });
            return;
        }
        next = last.checked_add(1);
    }
    if let Some(at) = next {
        found.push(Anomaly::HashSpaceNotTiled { stream: stream.clone(), at, seen });
    }
}
