//! What all witnesses of a history say together.

use std::collections::{BTreeMap, BTreeSet};

use super::Anomaly;
use crate::history::{
    Again, History, Name, Operation, Page, Place, Shard, Told, What, Whole, Write, offset_of,
};

/// A record somebody wrote.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub operation: &'a Operation,
    pub write: &'a Write,
    /// Which of the write's records.
    pub at: usize,
}

impl Written<'_> {
    /// Where it was said to be.
    pub fn place(&self) -> Option<Place> {
        self.write.told.ok().map(|places| places[self.at])
    }

    /// Whether it may be in the log more than once.
    pub fn may_repeat(&self) -> bool {
        self.write.again == Again::Blindly
    }
}

/// What somebody said is at an offset.
#[derive(Clone, Copy)]
pub(super) struct Witness<'a> {
    pub value: &'a str,
    /// The event at which the operation that said so began.
    pub told: u64,
    /// Whether a reader said so; else it was a writer's acknowledgement.
    pub by_reader: bool,
}

pub(super) struct Facts<'a> {
    pub history: &'a History,
    /// Shards by the last list that has them.
    pub shards: BTreeMap<(&'a Name, u32), &'a Shard>,
    /// What is at each offset, by whoever said it first.
    pub places: BTreeMap<&'a Name, BTreeMap<i32, BTreeMap<i64, Witness<'a>>>>,
    /// Records by topic and value.
    pub written: BTreeMap<(&'a Name, &'a str), Written<'a>>,
    /// Partitions as they were read in the end.
    pub logs: BTreeMap<(&'a Name, i32), &'a Whole>,
    /// Shards as they were read in the end.
    pub slices: BTreeMap<(&'a Name, u32), &'a Page>,
    /// Topics that were, or may have been, deleted.
    pub deleted: BTreeSet<&'a Name>,
}

impl<'a> Facts<'a> {
    /// Puts together what was said; what contradicts itself goes to `found`.
    pub fn of(history: &'a History, found: &mut Vec<Anomaly>) -> Self {
        let mut facts = Facts {
            history,
            shards: BTreeMap::new(),
            places: BTreeMap::new(),
            written: BTreeMap::new(),
            logs: BTreeMap::new(),
            slices: BTreeMap::new(),
            deleted: BTreeSet::new(),
        };
        // Shards first: they say in which partition a sequence number is.
        for operation in &history.operations {
            match &operation.what {
                What::Shards { stream, told: Told::Ok(shards) } => {
                    facts.shards.extend(shards.iter().map(|shard| ((stream, shard.id), shard)));
                }
                What::Delete { topic, told } if !told.is_refused() => drop(facts.deleted.insert(topic)),
                _ => {}
            }
        }
        for operation in &history.operations {
            facts.hear(operation, found);
        }
        facts
    }

    fn hear(&mut self, operation: &'a Operation, found: &mut Vec<Anomaly>) {
        match &operation.what {
            What::Write(write) => {
                for (at, record) in write.records.iter().enumerate() {
                    let written = Written { operation, write, at };
                    self.written.insert((&write.topic, record.value.as_str()), written);
                    let place = match (written.place(), write.partition) {
                        (Some(Place::Offset(offset)), Some(partition)) => Some((partition, offset)),
                        (Some(Place::Shard { shard, sequence }), _) => {
                            self.partition_of(&write.topic, shard).zip(offset_of(&sequence))
                        }
                        _ => None,
                    };
                    if let Some((partition, offset)) = place {
                        let value = record.value.as_str();
                        self.witness(operation, &write.topic, partition, offset, value, false, found);
                    }
                }
            }
            What::Read { topic, partition, told: Told::Ok(fetched), .. } => {
                for (offset, value) in &fetched.records {
                    self.witness(operation, topic, *partition, *offset, value, true, found);
                }
            }
            What::Log { topic, partition, told: Told::Ok(whole) } => {
                for (offset, value) in &whole.records {
                    self.witness(operation, topic, *partition, *offset, value, true, found);
                }
                self.logs.insert((topic, *partition), whole);
            }
            What::Get { stream, shard, told: Told::Ok(page), .. } => {
                self.hear_page(operation, stream, *shard, page, found);
            }
            What::Slice { stream, shard, told: Told::Ok(page) } => {
                self.hear_page(operation, stream, *shard, page, found);
                self.slices.insert((stream, *shard), page);
            }
            _ => {}
        }
    }

    fn hear_page(
        &mut self,
        operation: &'a Operation,
        stream: &'a Name,
        shard: u32,
        page: &'a Page,
        found: &mut Vec<Anomaly>,
    ) {
        let Some(partition) = self.partition_of(stream, shard) else { return };
        for seen in &page.records {
            if let Some(offset) = offset_of(&seen.sequence) {
                self.witness(operation, stream, partition, offset, &seen.value, true, found);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a place, a value and who said so")]
    fn witness(
        &mut self,
        operation: &Operation,
        topic: &'a Name,
        partition: i32,
        offset: i64,
        value: &'a str,
        by_reader: bool,
        found: &mut Vec<Anomaly>,
    ) {
        let offsets = self.places.entry(topic).or_default().entry(partition).or_default();
        let witness = Witness { value, told: operation.began, by_reader };
        let known = offsets.entry(offset).or_insert(witness);
        if known.value != value {
            found.push(Anomaly::TwoValues {
                topic: topic.clone(),
                partition,
                offset,
                first: known.value.to_owned(),
                first_told: known.told,
                then: value.to_owned(),
                then_told: operation.began,
            });
        }
        // What a reader saw must stay, whoever was told of it first.
        if by_reader && !known.by_reader && known.value == value {
            *known = witness;
        }
    }

    /// The partition that a shard is a slice of.
    pub fn partition_of(&self, stream: &Name, shard: u32) -> Option<i32> {
        self.shards.get(&(stream, shard)).and_then(|shard| shard.partition)
    }

    /// What is known to be in a partition, by offset.
    pub fn known(&self, topic: &Name, partition: i32) -> Option<&BTreeMap<i64, Witness<'a>>> {
        self.places.get(topic)?.get(&partition)
    }

    /// Where everybody may have had to begin reading: the greatest first offset that anybody was told.
    pub fn start(&self, topic: &Name, partition: i32) -> i64 {
        self.logs.get(&(topic, partition)).map_or(0, |whole| whole.start)
    }

    /// The shortest retention that a topic ever had, ms; `None`: it keeps everything.
    pub fn shortest_retention(&self, topic: &Name) -> Option<i64> {
        let value = |value: &String| value.parse::<i64>().ok().filter(|ms| *ms >= 0);
        self.operations()
            .filter_map(|operation| match &operation.what {
                What::Create { topic: of, configs, .. } if of == topic => {
                    configs.get("retention.ms").and_then(value)
                }
                What::Alter { topic: of, changes, .. } if of == topic => {
                    changes.get("retention.ms").and_then(Option::as_ref).and_then(value)
                }
                _ => None,
            })
            .min()
    }

    /// How old a record was, by the server's clock, when `operation` ended, ms, at most: as old as its write's beginning.
    /// `None` where nobody knows of the write.
    pub fn age_ms(&self, topic: &'a Name, value: &'a str, operation: &Operation) -> Option<i64> {
        let written = self.written.get(&(topic, value))?;
        let latest = operation.ended_ms.saturating_add(self.history.clock_slack_ms);
        Some(latest.saturating_sub(written.operation.began_ms))
    }

    /// All operations.
    pub fn operations(&self) -> std::slice::Iter<'a, Operation> {
        self.history.operations.iter()
    }
}

/// Who wrote a value, and as which of their records: `k0-17` is `("k0", 17)`.
pub(super) fn author(value: &str) -> Option<(&str, u64)> {
    let (author, number) = value.rsplit_once('-')?;
    Some((author, number.parse().ok()?))
}
