//! What a repair promises: the log is what it was, but for what the repair says is lost.

use std::collections::{BTreeMap, BTreeSet};

use super::Anomaly;
use crate::history::{History, Name, Page, Partition, Seen, Shard, Told, What, Whole, offset_of};

/// What a repair says is lost.
#[derive(Clone, Debug, Default)]
pub struct Loss {
    /// Topic, partition, first and last offset.
    pub records: Vec<(Name, i32, i64, i64)>,
    /// Decisions: nothing is promised of the catalogue, of shards, groups and producers, nor of the last offsets.
    pub decisions: bool,
    /// Append times: sequence numbers may be others.
    pub times: bool,
}

impl Loss {
    fn has(&self, topic: &Name, partition: i32, offset: i64) -> bool {
        let lost = |(of, at, first, last): &(Name, i32, i64, i64)| {
            of == topic && *at == partition && (*first..=*last).contains(&offset)
        };
        self.records.iter().any(lost)
    }
}

/// Everything that a client could read from a log.
#[derive(Clone, Debug, Default)]
pub struct Everything<'a> {
    topics: Option<&'a BTreeMap<String, i32>>,
    configs: BTreeMap<&'a Name, &'a BTreeMap<String, String>>,
    logs: BTreeMap<(&'a Name, i32), &'a Whole>,
    shards: BTreeMap<&'a Name, &'a Vec<Shard>>,
    slices: BTreeMap<(&'a Name, u32), &'a Page>,
    committed: BTreeMap<&'a Name, &'a BTreeMap<Partition, i64>>,
}

impl<'a> Everything<'a> {
    /// What the last answers to a client say.
    pub fn read_by(client: &str, history: &'a History) -> Self {
        let mut all = Everything::default();
        for operation in history.operations.iter().filter(|operation| *operation.client == *client) {
            match &operation.what {
                What::Topics { told: Told::Ok(topics) } => all.topics = Some(topics),
                What::Configs { topic, told: Told::Ok(configs) } => drop(all.configs.insert(topic, configs)),
                What::Log { topic, partition, told: Told::Ok(whole) } => {
                    all.logs.insert((topic, *partition), whole);
                }
                What::Shards { stream, told: Told::Ok(shards) } => drop(all.shards.insert(stream, shards)),
                What::Slice { stream, shard, told: Told::Ok(page) } => {
                    all.slices.insert((stream, *shard), page);
                }
                What::Committed { group, told: Told::Ok(offsets) } => {
                    all.committed.insert(group, offsets);
                }
                _ => {}
            }
        }
        all
    }
}

/// Every promise that a repair breaks. `trimmed` is the topic that retention goes on to trim.
pub fn check(before: &Everything<'_>, after: &Everything<'_>, loss: &Loss, trimmed: &str) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for ((topic, partition), was) in &before.logs {
        match after.logs.get(&(*topic, *partition)) {
            Some(is) => log(topic, *partition, was, is, loss, ***topic == *trimmed, &mut found),
            None if loss.decisions => {}
            None => changed("a partition", format!("{topic} {partition}"), "there", "gone", &mut found),
        }
    }
    if loss.decisions {
        return found;
    }
    if before.topics != after.topics {
        changed("the topics", String::new(), before.topics, after.topics, &mut found);
    }
    if before.configs != after.configs {
        changed("configs", String::new(), &before.configs, &after.configs, &mut found);
    }
    if before.shards != after.shards {
        changed("shards", String::new(), &before.shards, &after.shards, &mut found);
    }
    if before.committed != after.committed {
        changed("committed offsets", String::new(), &before.committed, &after.committed, &mut found);
    }
    for ((stream, shard), was) in &before.slices {
        let partition = before.shards.get(stream).into_iter().flat_map(|shards| shards.iter());
        let partition = partition.filter(|of| of.id == *shard).find_map(|of| of.partition);
        let nothing = Page { records: Vec::new(), end: None };
        let is = after.slices.get(&(*stream, *shard)).copied().unwrap_or(&nothing);
        slice(stream, *shard, partition, was, is, loss, &mut found);
    }
    found
}

fn changed(
    what: &str,
    place: String,
    before: impl std::fmt::Debug,
    after: impl std::fmt::Debug,
    found: &mut Vec<Anomaly>,
) {
    found.push(Anomaly::ChangedByRepair {
        what: format!("{what} {place}").trim_end().to_owned(),
        before: format!("{before:?}"),
        after: format!("{after:?}"),
    });
}

fn log(
    topic: &Name,
    partition: i32,
    was: &Whole,
    is: &Whole,
    loss: &Loss,
    is_trimmed: bool,
    found: &mut Vec<Anomaly>,
) {
    let place = || format!("of {topic} {partition}");
    if is.start < was.start && !loss.decisions || is.start > was.start && !loss.decisions && !is_trimmed {
        changed("the start", place(), was.start, is.start, found);
    }
    if is.end != was.end && (is.end > was.end || !loss.decisions) {
        changed("the end", place(), was.end, is.end, found);
    }
    let now: BTreeMap<i64, &String> = is.records.iter().map(|(offset, value)| (*offset, value)).collect();
    let then: BTreeMap<i64, &String> = was.records.iter().map(|(offset, value)| (*offset, value)).collect();
    for (offset, value) in &then {
        let (topic, value) = (topic.clone(), (*value).clone());
        let is_lost = loss.has(&topic, partition, *offset);
        match now.get(offset) {
            Some(found_there) if **found_there != value => {
                changed("the record", format!("{offset} {}", place()), &value, found_there, found);
            }
            Some(_) if is_lost => {
                found.push(Anomaly::NotLost { topic, partition, offset: *offset, value });
            }
            Some(_) => {}
            None if is_lost || *offset < is.start || *offset >= is.end => {}
            None => found.push(Anomaly::LostByRepair { topic, partition, offset: *offset, value }),
        }
    }
    for (offset, value) in now {
        if offset >= was.start && !then.contains_key(&offset) {
            changed("the record", format!("{offset} {}", place()), "none", value, found);
        }
    }
}

fn slice(
    stream: &Name,
    shard: u32,
    partition: Option<i32>,
    was: &Page,
    is: &Page,
    loss: &Loss,
    found: &mut Vec<Anomaly>,
) {
    let is_lost = |seen: &&Seen| {
        let offset = offset_of(&seen.sequence);
        partition.zip(offset).is_some_and(|(partition, offset)| loss.has(stream, partition, offset))
    };
    let shown = |page: &Page| -> BTreeSet<_> {
        let kept = page.records.iter().filter(|seen| !is_lost(seen));
        // Times apart, the offset says as much.
        kept.map(|seen| {
            let exact = (!loss.times).then(|| (seen.sequence.to_string(), seen.arrived_ms));
            (offset_of(&seen.sequence), exact, seen.key.clone(), seen.value.clone())
        })
        .collect()
    };
    let (then, now) = (shown(was), shown(is));
    let place = || format!("of {stream} shard {shard}");
    if then != now {
        let gone: Vec<_> = then.difference(&now).take(3).collect();
        let new: Vec<_> = now.difference(&then).take(3).collect();
        changed("records", place(), gone, new, found);
    }
    if was.end != is.end {
        changed("the end", place(), &was.end, &is.end, found);
    }
}
