//! The catalogue: topics, their configs, what was trimmed; producer ids; replay.

use std::collections::{BTreeMap, BTreeSet};

use super::Anomaly;
use super::facts::Facts;
use crate::history::{Name, Operation, Told, What, bare};

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    topics(facts, found);
    configs(facts, found);
    partitions(facts, found);
    trims(facts, found);
    producer_ids(facts, found);
    replays(facts, found);
}

/// A topic is there from its creation's acknowledgement until its deletion begins, and not again afterwards.
fn topics(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut made: BTreeMap<&Name, &Operation> = BTreeMap::new();
    let mut deleted: BTreeMap<&Name, (&Operation, bool)> = BTreeMap::new();
    let mut tried: BTreeMap<&str, Vec<(&Name, &Operation)>> = BTreeMap::new();
    for operation in facts.operations() {
        match &operation.what {
            What::Create { topic, told, .. } => {
                if told.ok().is_some() {
                    made.insert(topic, operation);
                }
                if !told.is_refused() {
                    tried.entry(bare(topic)).or_default().push((topic, operation));
                }
            }
            What::Delete { topic, told } if !told.is_refused() => {
                // The first that may have worked is when it may be gone.
                let known = deleted.entry(topic).or_insert((operation, false));
                if told.ok().is_some() {
                    *known = (if known.1 { known.0 } else { operation }, true);
                }
            }
            _ => {}
        }
    }
    let first_try: BTreeMap<&Name, u64> = facts
        .operations()
        .filter_map(|operation| match &operation.what {
            What::Delete { topic, told } if !told.is_refused() => Some((topic, operation.began)),
            _ => None,
        })
        .rev()
        .collect();
    for operation in facts.operations() {
        let What::Topics { told: Told::Ok(there) } = &operation.what else { continue };
        let read = operation.began;
        for (topic, creation) in &made {
            let may_be_gone = first_try.get(*topic).is_some_and(|began| *began < operation.ended);
            if creation.is_before(operation) && !may_be_gone && !there.contains_key(bare(topic)) {
                found.push(Anomaly::TopicForgotten { topic: (*topic).clone(), made: creation.began, read });
            }
        }
        for (topic, (deletion, is_certain)) in &deleted {
            let made_again = tried.get(bare(topic)).into_iter().flatten().any(|(other, creation)| {
                other != topic && creation.began > deletion.began && creation.began < operation.ended
            });
            if *is_certain && deletion.is_before(operation) && !made_again && there.contains_key(bare(topic))
            {
                let deleted = deletion.began;
                found.push(Anomaly::TopicReturned { topic: (*topic).clone(), deleted, read });
            }
        }
    }
}

/// A change of one config.
#[derive(Clone, Copy)]
struct Change<'a> {
    operation: &'a Operation,
    value: Option<&'a String>,
    is_certain: bool,
}

/// A config has the value of the last change, or of one that overlapped it or may have come later.
fn configs(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut changes: BTreeMap<(&Name, &str), Vec<Change<'_>>> = BTreeMap::new();
    for operation in facts.operations() {
        match &operation.what {
            What::Create { topic, configs, told, .. } if !told.is_refused() => {
                for (config, value) in configs {
                    let is_certain = told.ok().is_some();
                    let change = Change { operation, value: Some(value), is_certain };
                    changes.entry((topic, config)).or_default().push(change);
                }
            }
            What::Alter { topic, changes: made, told } if !told.is_refused() => {
                for (config, value) in made {
                    let is_certain = told.ok().is_some();
                    let change = Change { operation, value: value.as_ref(), is_certain };
                    changes.entry((topic, config)).or_default().push(change);
                }
            }
            _ => {}
        }
    }
    for operation in facts.operations() {
        let What::Configs { topic, told: Told::Ok(there) } = &operation.what else { continue };
        for ((_, config), changes) in changes.iter().filter(|((of, _), _)| *of == topic) {
            let superseded = |change: &Change<'_>| {
                changes.iter().any(|later| {
                    later.is_certain
                        && change.operation.is_before(later.operation)
                        && later.operation.is_before(operation)
                })
            };
            let mut expected: BTreeSet<Option<&String>> = changes
                .iter()
                .filter(|change| change.operation.began < operation.ended && !superseded(change))
                // A change without an answer may have come late.
                .chain(changes.iter().filter(|change| !change.is_certain))
                .map(|change| change.value)
                .collect();
            let settled =
                changes.iter().any(|change| change.is_certain && change.operation.is_before(operation));
            if !settled {
                expected.insert(None);
            }
            let now = there.get(*config);
            if !expected.contains(&now) {
                found.push(Anomaly::ConfigForgotten {
                    topic: topic.clone(),
                    config: (*config).to_owned(),
                    expected: expected.into_iter().map(|value| value.cloned()).collect(),
                    found: now.cloned(),
                    read: operation.began,
                });
            }
        }
    }
}

/// A topic's partitions only become more.
fn partitions(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut seen: BTreeMap<&str, Vec<(&Operation, i32)>> = BTreeMap::new();
    let again: BTreeSet<&str> = facts.deleted.iter().map(|topic| bare(topic)).collect();
    for operation in facts.operations() {
        let What::Topics { told: Told::Ok(there) } = &operation.what else { continue };
        for (topic, after) in there.iter().filter(|(topic, _)| !again.contains(topic.as_str())) {
            let before = seen.entry(topic).or_default();
            let more = before.iter().find(|(earlier, count)| earlier.is_before(operation) && count > after);
            if let Some((earlier, before)) = more {
                let (topic, before, seen) = (topic.as_str().into(), *before, earlier.began);
                found.push(Anomaly::PartitionsForgotten { topic, before, seen, after: *after });
            }
            before.push((operation, *after));
        }
    }
}

/// A log begins behind what was deleted, and not behind what was not.
fn trims(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut retention: BTreeMap<&Name, Option<i64>> = BTreeMap::new();
    let mut blamed = BTreeSet::new();
    for operation in facts.operations() {
        let (topic, starts) = match &operation.what {
            What::Starts { topic, told: Told::Ok(starts) } => (topic, starts.clone()),
            What::Log { topic, partition, told: Told::Ok(whole) } => {
                (topic, BTreeMap::from([(*partition, whole.start)]))
            }
            _ => continue,
        };
        let kept_ms = *retention.entry(topic).or_insert_with(|| facts.shortest_retention(topic));
        for (partition, start) in starts {
            let (mut asked, mut done) = (0, None);
            for trim in facts.operations() {
                let What::Trim { topic: of, partition: at, before, told } = &trim.what else { continue };
                if of != topic || *at != partition || trim.began >= operation.ended {
                    continue;
                }
                if !told.is_refused() {
                    asked = asked.max(*before);
                }
                if told.ok().is_some() && trim.is_before(operation) {
                    done = done.max(Some((*before, trim.began)));
                }
            }
            if let Some((before, told)) = done.filter(|(before, _)| *before > start) {
                found.push(Anomaly::TrimForgotten { topic: topic.clone(), partition, before, told, start });
            }
            let Some(known) = facts.known(topic, partition) else { continue };
            let gone = if asked < start { known.range(asked..start).next_back() } else { None };
            let Some((offset, witness)) = gone else { continue };
            // Nobody may trim what is younger than the retention. Where the write is unknown it is not judged.
            let why = match kept_ms {
                None => Some("nothing was to be trimmed".to_owned()),
                Some(kept_ms) => {
                    let age_ms =
                        facts.age_ms(topic, witness.value, operation).filter(|age_ms| *age_ms < kept_ms);
                    age_ms.map(|age_ms| format!("it was {age_ms} ms old at most, of {kept_ms} ms"))
                }
            };
            if let Some(why) = why
                && blamed.insert((topic, partition, *offset))
            {
                found.push(Anomaly::TrimmedTooFar {
                    topic: topic.clone(),
                    partition,
                    start,
                    offset: *offset,
                    value: witness.value.to_owned(),
                    why,
                    read: operation.began,
                });
            }
        }
    }
}

fn producer_ids(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut given = BTreeMap::new();
    for operation in facts.operations() {
        if let What::ProducerId { told: Told::Ok(id) } = &operation.what
            && let Some(first) = given.insert(*id, operation.began)
        {
            found.push(Anomaly::ProducerIdTwice { id: *id, first, then: operation.began });
        }
    }
}

fn replays(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for operation in facts.operations() {
        if let What::Replay { frame, differs: Some(differs) } = &operation.what {
            found.push(Anomaly::ReplayDiffers { frame: *frame, differs: differs.clone() });
        }
    }
}
