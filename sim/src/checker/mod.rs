//! Judges a history: which promises of the log it breaks.
//!
//! After the idea of Jepsen's workload for Kafka's queue: clients write unique values, read them in several ways, and
//! what anybody was told or shown about a place in the log has to fit together; extended by what Kinesis promises of
//! shards and by what a catalogue promises of topics and configs. A pure function: it runs no client, and the same
//! history gives the same anomalies in the same order.
//!
//! What is not known is judged in the server's favour: a write without an answer may be there or not, a change whose
//! answer was lost may hold or not.
//!
//! | file | promises about |
//! |---|---|
//! | `facts` | what all witnesses say together: places, values, shards |
//! | `log` | writes, places and order |
//! | `reads` | polls, pages, iterators |
//! | `shards` | splits, merges, sequence numbers |
//! | `groups` | committed offsets |
//! | `catalogue` | topics, configs, what was trimmed, producer ids, replay |
//! | `repaired` | a log before and after a repair: nothing is lost but what the repair tells |

mod catalogue;
mod facts;
mod groups;
mod log;
mod reads;
pub mod repaired;
mod shards;
#[cfg(test)]
mod tests;

use crate::history::{History, Name};
use facts::Facts;

/// Every promise that a history breaks, each once per place where it does.
pub fn check(history: &History) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let facts = Facts::of(history, &mut found);
    log::check(&facts, &mut found);
    reads::check(&facts, &mut found);
    shards::check(&facts, &mut found);
    groups::check(&facts, &mut found);
    catalogue::check(&facts, &mut found);
    found
}

/// A broken promise, with the facts to understand it. Operations are named by the event at which they began.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its fields are")]
pub enum Anomaly {
    #[error(
        "{topic} partition {partition}: {value} was acknowledged at offset {offset} (operation {told}), and is not \
         there; the log reaches from {start} to {end}"
    )]
    LostWrite { topic: Name, partition: i32, offset: i64, value: String, told: u64, start: i64, end: i64 },
    #[error("{topic}: {value} was acknowledged without a place (operation {told}), and is nowhere")]
    LostDuplicate { topic: Name, value: String, told: u64 },
    #[error(
        "{topic} partition {partition}: a client read {value} at offset {offset} (operation {read}), and the log ends \
         at {end}"
    )]
    LostRead { topic: Name, partition: i32, offset: i64, value: String, read: u64, end: i64 },
    #[error("{topic}: {value} is there {} times: {places:?}", places.len())]
    Duplicate { topic: Name, value: String, places: Vec<(i32, i64)> },
    #[error(
        "{topic} partition {partition} offset {offset} is {first} (operation {first_told}) and {then} (operation \
         {then_told})"
    )]
    TwoValues {
        topic: Name,
        partition: i32,
        offset: i64,
        first: String,
        first_told: u64,
        then: String,
        then_told: u64,
    },
    #[error("{topic} partition {partition} offset {offset}: nobody wrote {value}")]
    NobodyWrote { topic: Name, partition: i32, offset: i64, value: String },
    #[error("{topic}: {value} was refused ({why}, operation {told}), and is there")]
    RefusedButThere { topic: Name, value: String, why: String, told: u64 },
    #[error("{topic}: a producer that kept its sequence was refused (operation {told}): {why}")]
    SequenceRefused { topic: Name, why: String, told: u64 },
    #[error("{topic}, in {place}: {earlier} was written before {later}, and comes after it")]
    OrderInverted { topic: Name, place: String, earlier: String, later: String },
    #[error(
        "{topic} partition {partition}: the log does not have offset {missing}, though it begins at {start} and goes \
         on with {next}"
    )]
    Gap { topic: Name, partition: i32, start: i64, missing: i64, next: i64 },

    #[error("{topic}: a reader that was at {from} was given offset {found} (operation {read})")]
    PollWentBack { topic: Name, from: i64, found: i64, read: u64 },
    #[error(
        "{topic}: a reader that was at {from} was given {found} next (operation {read}); {skipped} is there"
    )]
    PollSkipped { topic: Name, from: i64, found: i64, skipped: i64, read: u64 },
    #[error("{topic}: what is in the log could not be read (operation {read}): {why}")]
    Unreadable { topic: Name, why: String, read: u64 },
    #[error(
        "{topic} partition {partition}: readers could see up to {before} (operation {seen}), later up to {after}"
    )]
    EndWentBack { topic: Name, partition: i32, before: i64, seen: u64, after: i64 },
    #[error("{topic} partition {partition}: the log began at {before} (operation {seen}), later at {after}")]
    StartWentBack { topic: Name, partition: i32, before: i64, seen: u64, after: i64 },

    #[error(
        "group {group}: {topic} partition {partition} was committed at {before} (operation {told}), later at {after:?}"
    )]
    CommittedWentBack { group: Name, topic: Name, partition: i32, before: i64, told: u64, after: Option<i64> },
    #[error(
        "group {group}: {topic} partition {partition} was committed at {committed} (operation {told}), but offset \
         {unread} was given to no member"
    )]
    CommittedUnread { group: Name, topic: Name, partition: i32, committed: i64, told: u64, unread: i64 },

    #[error("{stream} shard {shard}: sequence number {then} comes after {first}")]
    SequenceNotIncreasing { stream: Name, shard: u32, first: String, then: String },
    #[error("{stream}: {value} was acknowledged as {told}, and is shown as {shown}")]
    SequenceChanged { stream: Name, value: String, told: String, shown: String },
    #[error("{stream}: {value} at partition {partition} offset {offset} is in no shard")]
    InNoShard { stream: Name, value: String, partition: i32, offset: i64 },
    #[error("{stream}: {value} is in shards {shards:?}")]
    InManyShards { stream: Name, value: String, shards: Vec<u32> },
    #[error("{stream}: {value} has key {key}, which does not belong to shard {shard}")]
    WrongShard { stream: Name, value: String, key: String, shard: u32 },
    #[error(
        "{stream}: shard {shard} was said to have ended (operation {read}), but {missing} in it was not given to its \
         reader"
    )]
    ParentNotDrained { stream: Name, shard: u32, missing: String, read: u64 },
    #[error("{stream}: shard {shard} was there (operation {seen}), later not")]
    ShardForgotten { stream: Name, shard: u32, seen: u64 },
    #[error("{stream}: shard {shard} was {before} (operation {seen}), later {after}")]
    ShardChanged { stream: Name, shard: u32, before: String, after: String, seen: u64 },
    #[error("{stream}: the open shards do not tile the hash space at {at} (operation {seen})")]
    HashSpaceNotTiled { stream: Name, at: u128, seen: u64 },

    #[error("topic {topic} was made (operation {made}), and is not there (operation {read})")]
    TopicForgotten { topic: Name, made: u64, read: u64 },
    #[error("topic {topic} was deleted (operation {deleted}), and is there (operation {read})")]
    TopicReturned { topic: Name, deleted: u64, read: u64 },
    #[error("{topic}: {config} may be one of {expected:?}, and is {found:?} (operation {read})")]
    ConfigForgotten {
        topic: Name,
        config: String,
        expected: Vec<Option<String>>,
        found: Option<String>,
        read: u64,
    },
    #[error("{topic} had {before} partitions (operation {seen}), later {after}")]
    PartitionsForgotten { topic: Name, before: i32, seen: u64, after: i32 },
    #[error(
        "{topic} partition {partition}: the log begins at {start} (operation {read}), so {value} at offset {offset} is \
         gone: {why}"
    )]
    TrimmedTooFar {
        topic: Name,
        partition: i32,
        start: i64,
        offset: i64,
        value: String,
        why: String,
        read: u64,
    },
    #[error(
        "{topic} partition {partition}: records before {before} were deleted (operation {told}), but it begins at \
         {start}"
    )]
    TrimForgotten { topic: Name, partition: i32, before: i64, told: u64, start: i64 },
    #[error("producer id {id} was given out twice (operations {first} and {then})")]
    ProducerIdTwice { id: i64, first: u64, then: u64 },
    #[error(
        "the state at frame {frame}, replayed from a snapshot, is not the one replayed from the start: {differs}"
    )]
    ReplayDiffers { frame: u64, differs: String },

    #[error("{topic} partition {partition}: a repair lost {value} at offset {offset}, and did not tell")]
    LostByRepair { topic: Name, partition: i32, offset: i64, value: String },
    #[error(
        "{topic} partition {partition}: a repair said that offset {offset} is lost, and {value} is there"
    )]
    NotLost { topic: Name, partition: i32, offset: i64, value: String },
    #[error("a repair changed {what}: {before} became {after}")]
    ChangedByRepair { what: String, before: String, after: String },
}

impl Anomaly {
    /// Its name, such as `LostWrite`.
    pub fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
    }
}

/// Anomalies as a report prints them: each with its name, the first ones in full.
pub fn listed(anomalies: &[Anomaly]) -> String {
    let shown = anomalies.iter().take(20).map(|anomaly| format!("{}: {anomaly}", anomaly.name()));
    let mut lines: Vec<String> = shown.collect();
    if anomalies.len() > 20 {
        lines.push(format!("and {} more", anomalies.len() - 20));
    }
    lines.join("\n")
}
