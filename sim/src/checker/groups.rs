//! Consumer groups: committed offsets stay and stand for records that members were given.

use std::collections::{BTreeMap, BTreeSet};

use super::Anomaly;
use super::facts::Facts;
use crate::history::{Name, Operation, Told, What};

/// A group and a partition.
type Key<'a> = (&'a Name, &'a Name, i32);

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    go_on(facts, found);
    were_read(facts, found);
}

/// Members begin where the group has committed and only go on from there, and a generation that is over commits
/// nothing: what was committed, or seen to be, is a lower bound for ever.
fn go_on(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut bounds: BTreeMap<Key<'_>, Vec<(i64, &Operation)>> = BTreeMap::new();
    for operation in facts.operations() {
        let (group, offsets) = match &operation.what {
            What::Commit { group, offsets, told: Told::Ok(()) } => (group, offsets),
            What::Committed { group, told: Told::Ok(offsets) } => (group, offsets),
            _ => continue,
        };
        for ((topic, partition), offset) in offsets {
            bounds.entry((group, topic, *partition)).or_default().push((*offset, operation));
        }
    }
    for operation in facts.operations() {
        let What::Committed { group, told: Told::Ok(offsets) } = &operation.what else { continue };
        for ((of, topic, partition), bounds) in &bounds {
            if *of != group || facts.deleted.contains(topic) {
                continue;
            }
            let earlier = bounds.iter().filter(|(_, earlier)| earlier.is_before(operation));
            let Some((before, told)) = earlier.max_by_key(|(offset, _)| *offset) else { continue };
            let after = offsets.get(&((*topic).clone(), *partition)).copied();
            if after.is_none_or(|after| after < *before) {
                found.push(Anomaly::CommittedWentBack {
                    group: group.clone(),
                    topic: (*topic).clone(),
                    partition: *partition,
                    before: *before,
                    told: told.began,
                    after,
                });
            }
        }
    }
}

/// Every record before a committed offset was given to some member, unless it was trimmed first.
fn were_read(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut given: BTreeMap<Key<'_>, BTreeSet<i64>> = BTreeMap::new();
    let mut committed: BTreeMap<Key<'_>, (i64, u64)> = BTreeMap::new();
    for operation in facts.operations() {
        match &operation.what {
            What::Read { topic, partition, group: Some(group), told: Told::Ok(fetched), .. } => {
                let offsets = fetched.records.iter().map(|(offset, _)| *offset);
                given.entry((group, topic, *partition)).or_default().extend(offsets);
            }
            What::Commit { group, offsets, told } if !told.is_refused() => {
                for ((topic, partition), offset) in offsets {
                    let greatest =
                        committed.entry((group, topic, *partition)).or_insert((*offset, operation.began));
                    *greatest = (*greatest).max((*offset, operation.began));
                }
            }
            _ => {}
        }
    }
    for ((group, topic, partition), (committed, told)) in committed {
        let start = facts.start(topic, partition);
        let given = given.get(&(group, topic, partition));
        let Some(known) = facts.known(topic, partition) else { continue };
        if start > committed {
            continue;
        }
        let unread = known
            .range(start..committed)
            .find(|(offset, _)| !given.is_some_and(|given| given.contains(offset)));
        if let Some((unread, _)) = unread {
            let (group, topic, unread) = (group.clone(), topic.clone(), *unread);
            found.push(Anomaly::CommittedUnread { group, topic, partition, committed, told, unread });
        }
    }
}
