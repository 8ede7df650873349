//! What clients were told: the promises that the log is held to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

/// Where a record was said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Acknowledged to a Kafka producer.
    Kafka { partition: i32, offset: i64 },
    /// Acknowledged to a Kafka producer as a duplicate, without a place.
    KafkaSomewhere,
    /// Acknowledged to a Kinesis client.
    Kinesis { shard: u32, offset: i64 },
    /// Sent by a client that got no answer: there or not.
    Unknown,
}

/// What is known of a run. A record is known by its value, which no two have in common.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Told>);

#[derive(Debug, Default)]
pub(crate) struct Told {
    pub writes: BTreeMap<String, Place>,
    /// What the group was given: partition and offset with the value.
    pub read: BTreeMap<(i32, i64), String>,
    pub kafka_writers_ended: usize,
    pub resharding_is_over: bool,
    /// Everybody whose end is the end of the load, and how many of them have ended.
    pub writers: usize,
    pub writers_ended: usize,
}

impl Told {
    /// Whether nobody writes any more.
    pub fn load_is_over(&self) -> bool {
        self.writers_ended == self.writers
    }
}

impl Ledger {
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().expect("nobody panics while holding the ledger")
    }

    pub fn wrote(&self, value: &str, place: Place) {
        let before = self.told().writes.insert(value.to_owned(), place);
        assert_eq!(before, None, "{value} was written twice by its client");
    }

    pub fn read(&self, partition: i32, offset: i64, value: String) {
        let mut told = self.told();
        let before = told.read.insert((partition, offset), value.clone());
        drop(told);
        // A group may be given a record again, but never another one in its place.
        assert!(
            before.as_ref().is_none_or(|before| *before == value),
            "partition {partition} offset {offset} was {before:?} and is {value}"
        );
    }
}

/// Who wrote a value, and as which of their records: `k0-17` is `("k0", 17)`.
pub(crate) fn author(value: &str) -> (&str, u64) {
    let (author, number) = value.split_once('-').expect("values are written by our clients");
    (author, number.parse().expect("values end with a number"))
}

/// Checks that each of `keys` sees the numbers of its writer ascend.
pub(crate) fn assert_ascending<'a>(what: &str, records: impl Iterator<Item = (String, &'a str)>) {
    let mut last: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (key, value) in records {
        let (author, number) = author(value);
        let before = last.insert((author.to_owned(), key.clone()), number);
        assert!(
            before.is_none_or(|before| before < number),
            "{what}: {author} wrote {number} before {before:?}, key {key}"
        );
    }
}

/// The values that occur more than once.
pub(crate) fn doubles<'a>(values: impl Iterator<Item = &'a String>) -> BTreeSet<&'a String> {
    let mut seen = BTreeSet::new();
    values.filter(|value| !seen.insert(*value)).collect()
}
