//! Writes and places: what was acknowledged is there, once, in order; what was read stays.

use std::collections::{BTreeMap, BTreeSet};

use super::Anomaly;
use super::facts::{Facts, author};
use crate::history::{Again, Name, Operation, Place, Told, What};

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    acknowledged_are_there(facts, found);
    seen_stay(facts, found);
    once(facts, found);
    dense(facts, found);
    in_order(facts, found);
    refused(facts, found);
}

/// Values of a topic in the end, with their places.
fn places_in_the_end<'a>(facts: &Facts<'a>) -> BTreeMap<(&'a Name, &'a str), Vec<(i32, i64)>> {
    let mut places: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for ((topic, partition), whole) in &facts.logs {
        for (offset, value) in &whole.records {
            places.entry((*topic, value.as_str())).or_default().push((*partition, *offset));
        }
    }
    places
}

fn acknowledged_are_there(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let in_the_end = places_in_the_end(facts);
    let read_whole: BTreeSet<&Name> = facts.logs.keys().map(|(topic, _)| *topic).collect();
    for ((topic, value), written) in &facts.written {
        let place = match written.place() {
            Some(Place::Offset(offset)) => written.write.partition.map(|partition| (partition, offset)),
            Some(Place::Shard { shard, sequence }) => {
                facts.partition_of(topic, shard).zip(crate::history::offset_of(&sequence))
            }
            // Trimmed or not: without a place nobody can tell, so this asks of topics that lose nothing.
            Some(Place::Somewhere) => {
                let whole = || facts.logs.iter().filter(|((of, _), _)| of == topic);
                if read_whole.contains(topic)
                    && whole().all(|(_, whole)| whole.start == 0)
                    && !in_the_end.contains_key(&(*topic, *value))
                {
                    let (value, told) = ((*value).to_owned(), written.operation.began);
                    found.push(Anomaly::LostDuplicate { topic: (*topic).clone(), value, told });
                }
                None
            }
            Some(Place::Unknown) | None => None,
        };
        let Some((partition, offset)) = place else { continue };
        let Some(whole) = facts.logs.get(&(*topic, partition)) else { continue };
        let is_there = whole.records.binary_search_by_key(&offset, |(offset, _)| *offset).is_ok();
        // Another value there is an anomaly of its own.
        if offset >= whole.start && !is_there {
            found.push(Anomaly::LostWrite {
                topic: (*topic).clone(),
                partition,
                offset,
                value: (*value).to_owned(),
                told: written.operation.began,
                start: whole.start,
                end: whole.end,
            });
        }
    }
}

fn seen_stay(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for ((topic, partition), whole) in &facts.logs {
        let known = facts.known(topic, *partition).into_iter().flatten();
        for (offset, witness) in known.filter(|(offset, witness)| witness.by_reader && **offset >= whole.end)
        {
            found.push(Anomaly::LostRead {
                topic: (*topic).clone(),
                partition: *partition,
                offset: *offset,
                value: witness.value.to_owned(),
                read: witness.told,
                end: whole.end,
            });
        }
    }
}

fn once(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for ((topic, value), places) in places_in_the_end(facts) {
        match facts.written.get(&(topic, value)) {
            None => {
                let (partition, offset) = places[0];
                let value = value.to_owned();
                found.push(Anomaly::NobodyWrote { topic: topic.clone(), partition, offset, value });
            }
            Some(written) if places.len() > 1 && !written.may_repeat() => {
                found.push(Anomaly::Duplicate { topic: topic.clone(), value: value.to_owned(), places });
            }
            Some(_) => {}
        }
    }
}

/// No workload writes transactions or compacts: every offset has its record.
fn dense(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for ((topic, partition), whole) in &facts.logs {
        let offsets = whole.records.iter().map(|(offset, _)| *offset).chain([whole.end]);
        let mut expected = whole.start;
        for offset in offsets {
            if offset != expected {
                found.push(Anomaly::Gap {
                    topic: (*topic).clone(),
                    partition: *partition,
                    start: whole.start,
                    missing: expected,
                    next: offset,
                });
            }
            expected = offset + 1;
        }
    }
}

/// An idempotent producer's records keep their order whatever became of the answers, until it gives up on one and goes
/// on as another producer; others' as far as acknowledged:
/// a call without an answer may be carried out after the next one. Kafka keeps order within a partition; of Kinesis
/// see `shards`.
fn in_order(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for ((topic, partition), whole) in &facts.logs {
        let mut last: BTreeMap<&str, (u64, &str, &Operation)> = BTreeMap::new();
        for (_, value) in &whole.records {
            let (Some(written), Some((author, number))) =
                (facts.written.get(&(*topic, value.as_str())), author(value))
            else {
                continue;
            };
            let counts = match written.write.again {
                Again::Idempotent => true,
                Again::Never => written.write.told.ok().is_some(),
                Again::Blindly => false,
            };
            if written.write.partition.is_none() || !counts {
                continue;
            }
            if let Some((before, later, write)) = last.get(author)
                && *before > number
            {
                // A batch of a producer that was given up may arrive after its successor's.
                if written.write.told.ok().is_none() && written.operation.is_before(write) {
                    continue;
                }
                found.push(Anomaly::OrderInverted {
                    topic: (*topic).clone(),
                    place: format!("partition {partition}"),
                    earlier: value.clone(),
                    later: (*later).to_owned(),
                });
            }
            last.insert(author, (number, value, written.operation));
        }
    }
}

fn refused(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let in_the_end = places_in_the_end(facts);
    for operation in facts.operations() {
        let What::Write(write) = &operation.what else { continue };
        let Told::Refused(why) = &write.told else { continue };
        let (topic, told) = (write.topic.clone(), operation.began);
        for record in &write.records {
            if in_the_end.contains_key(&(&write.topic, record.value.as_str())) {
                let (value, why) = (record.value.clone(), why.clone());
                found.push(Anomaly::RefusedButThere { topic: topic.clone(), value, why, told });
            }
        }
        // Workloads send a batch again only after all before it were acknowledged.
        let of_sequence = ["OUT_OF_ORDER_SEQUENCE_NUMBER", "OutOfOrderSequenceNumber"];
        if write.again == Again::Idempotent && of_sequence.iter().any(|code| why.contains(code)) {
            found.push(Anomaly::SequenceRefused { topic, why: why.clone(), told });
        }
    }
}
