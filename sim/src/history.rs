//! What every client did and was told, in order: all that the [checker](crate::checker) looks at.
//!
//! ```text
//!   client: invoke ──────────────────► end: ok, refused or unknown
//!   event      17                        23        one counter over all clients: it orders what did not overlap
//! ```
//! A [`History`] is plain data; a [`Recorder`] fills it while clients run. An operation that never ended is there as
//! unknown. One operation is what its client thinks of as one: the retries of an idempotent producer belong to one
//! write, the pages of one iterator are an operation each.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use kolk_wire_kinesis::sequence::SequenceNumber;

/// The name of a topic, group or client. A topic that is made again after it was deleted is another one to the
/// checker: `orders`, then `orders#2` ([`bare`] is what the server knows).
pub type Name = Arc<str>;

/// A partition of a topic.
pub type Partition = (Name, i32);

/// The name that the server knows a topic by.
pub fn bare(topic: &str) -> &str {
    topic.split('#').next().unwrap_or(topic)
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order in which they began.
    pub operations: Vec<Operation>,
    /// By how much the server's clock may have been ahead of or behind the one that operations are stamped with, ms.
    pub clock_slack_ms: i64,
}

/// What one client did.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Who.
    pub client: Name,
    /// The event at which it began.
    pub began: u64,
    /// The event at which it ended; `u64::MAX` if it never did.
    pub ended: u64,
    /// Wall clock at its beginning, ms.
    pub began_ms: i64,
    /// Wall clock at its end, ms; `i64::MAX` if it never ended.
    pub ended_ms: i64,
    /// What, and what came of it.
    pub what: What,
}

impl Operation {
    /// Whether this one had ended when `other` began.
    pub fn is_before(&self, other: &Operation) -> bool {
        self.ended < other.began
    }
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Told<T> {
    /// Done.
    Ok(T),
    /// Refused, in the server's words: it certainly had no effect.
    Refused(String),
    /// No answer, or one that leaves it open: it had its effect, or will have it, or will not.
    Unknown(String),
}

impl<T> Told<T> {
    /// The answer, if it was done.
    pub fn ok(&self) -> Option<&T> {
        match self {
            Told::Ok(answer) => Some(answer),
            Told::Refused(_) | Told::Unknown(_) => None,
        }
    }

    /// Whether it certainly had no effect.
    pub fn is_refused(&self) -> bool {
        matches!(self, Told::Refused(_))
    }

    /// The same with another answer.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Told<U> {
        match self {
            Told::Ok(answer) => Told::Ok(f(answer)),
            Told::Refused(why) => Told::Refused(why),
            Told::Unknown(why) => Told::Unknown(why),
        }
    }
}

/// An operation of each kind, with its arguments and what was answered.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "fields say what they are; where they do not, a comment does")]
pub enum What {
    /// Records were written.
    Write(Write),
    /// A Kafka client read from an offset on.
    Read { topic: Name, partition: i32, from: i64, group: Option<Name>, told: Told<Fetched> },
    /// A Kinesis client read a page of a shard. Pages of one session go on from each other.
    Get { stream: Name, shard: u32, session: u64, from: From, told: Told<Page> },
    /// Kafka's reading of a whole partition, after all writes.
    Log { topic: Name, partition: i32, told: Told<Whole> },
    /// Kinesis's reading of a whole shard, after all writes.
    Slice { stream: Name, shard: u32, told: Told<Page> },
    /// A list of all shards.
    Shards { stream: Name, told: Told<Vec<Shard>> },
    /// First offsets that can be read.
    Starts { topic: Name, told: Told<BTreeMap<i32, i64>> },
    /// Offsets past the last ones.
    Ends { topic: Name, told: Told<BTreeMap<i32, i64>> },
    /// DeleteRecords before an offset; answered with the new start.
    Trim { topic: Name, partition: i32, before: i64, told: Told<i64> },
    /// A group committed the next offsets it will read.
    Commit { group: Name, offsets: BTreeMap<Partition, i64>, told: Told<()> },
    /// What a group has committed.
    Committed { group: Name, told: Told<BTreeMap<Partition, i64>> },
    /// A topic was made.
    Create { topic: Name, partitions: i32, configs: BTreeMap<String, String>, told: Told<()> },
    /// A topic was deleted.
    Delete { topic: Name, told: Told<()> },
    /// Configs were set (`Some`) and reset.
    Alter { topic: Name, changes: BTreeMap<String, Option<String>>, told: Told<()> },
    /// The configs that are set on a topic.
    Configs { topic: Name, told: Told<BTreeMap<String, String>> },
    /// All topics, as the server names them, with their partitions.
    Topics { told: Told<BTreeMap<String, i32>> },
    /// SplitShard, MergeShards, UpdateShardCount, CreatePartitions.
    Reshard { stream: Name, how: String, told: Told<()> },
    /// A producer id was given out.
    ProducerId { told: Told<i64> },
    /// A copy of the running log was made.
    BackUp { directory: PathBuf, told: Told<()> },
    /// The server started: its state, replayed from a snapshot, against the one replayed from the start of the log.
    Replay { frame: u64, differs: Option<String> },
}

impl What {
    /// The same as if nobody had been told what came of it; nothing, if it only looked.
    fn opened(mut self) -> Option<What> {
        fn open<T>(told: &mut Told<T>) {
            if !told.is_refused() {
                *told = Told::Unknown("a copy was made meanwhile".to_owned());
            }
        }
        match &mut self {
            What::Write(write) => open(&mut write.told),
            What::Trim { told, .. } => open(told),
            What::Create { told, .. }
            | What::Delete { told, .. }
            | What::Alter { told, .. }
            | What::Reshard { told, .. } => open(told),
            What::ProducerId { told } => open(told),
            // A commit stands for reads, and those that it stands for are left out.
            What::Commit { .. }
            | What::Read { .. }
            | What::Get { .. }
            | What::Log { .. }
            | What::Slice { .. }
            | What::Shards { .. }
            | What::Starts { .. }
            | What::Ends { .. }
            | What::Committed { .. }
            | What::Configs { .. }
            | What::Topics { .. }
            | What::BackUp { .. }
            | What::Replay { .. } => return None,
        }
        Some(self)
    }
}

/// Records that one client wrote in one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Where to.
    pub topic: Name,
    /// The partition, if a Kafka client named it; a Kinesis client names keys.
    pub partition: Option<i32>,
    /// Whether, and how, it was sent again when the answer was lost.
    pub again: Again,
    /// What, in order.
    pub records: Vec<Record>,
    /// A place for each record.
    pub told: Told<Vec<Place>>,
}

/// What a client does whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Leaves it: the records are there once or not at all.
    Never,
    /// Sends it again with its sequence numbers: the records are there once.
    Idempotent,
    /// Sends it again as it is: the records may be there several times.
    Blindly,
}

/// A record. Its value is written once in a run: `k0-17` is number 17 of writer `k0`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "a key and a value")]
pub struct Record {
    pub key: Option<String>,
    pub value: String,
}

/// Where a record was said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the protocols")]
pub enum Place {
    /// By a Kafka broker.
    Offset(i64),
    /// By a Kafka broker that recognised it as written before and named no place.
    Somewhere,
    /// By a Kinesis endpoint.
    Shard { shard: u32, sequence: SequenceNumber },
    /// This record of the call failed: there or not.
    Unknown,
}

/// What a fetch brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Offsets and values.
    pub records: Vec<(i64, String)>,
    /// Where the next fetch begins.
    pub next: i64,
    /// One past the last record that could be read when it was answered, if that is known.
    pub end: Option<i64>,
}

/// A partition read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Its first offset.
    pub start: i64,
    /// One past its last.
    pub end: i64,
    /// Offsets and values.
    pub records: Vec<(i64, String)>,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The shard's first record that is left (TRIM_HORIZON).
    Horizon,
    /// Behind its last record (LATEST).
    Latest,
    /// A record (AT_SEQUENCE_NUMBER).
    At(SequenceNumber),
    /// Behind a record (AFTER_SEQUENCE_NUMBER).
    After(SequenceNumber),
    /// The first record that arrived at or after an instant (AT_TIMESTAMP), ms.
    Since(i64),
    /// Where the session's page before ended.
    On,
}

/// A page of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its records.
    pub records: Vec<Seen>,
    /// At shard end, the child shards.
    pub end: Option<Vec<u32>>,
}

/// A record as Kinesis shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the protocol")]
pub struct Seen {
    pub sequence: SequenceNumber,
    pub arrived_ms: i64,
    pub key: String,
    pub value: String,
}

/// A shard in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number.
    pub id: u32,
    /// The partition that holds it; none if it never took a record.
    pub partition: Option<i32>,
    /// Its parents, at most two.
    pub parents: Vec<u32>,
    /// First and last hash key.
    pub range: (u128, u128),
    /// Whether it was split or merged.
    pub is_closed: bool,
}

/// The offset that a sequence number encodes; `None` if it is that of no record.
pub fn offset_of(sequence: &SequenceNumber) -> Option<i64> {
    match sequence.position() {
        kolk_wire_kinesis::sequence::Position::Offset(offset) => Some(offset),
        _ => None,
    }
}

impl History {
    /// What a copy of the log has to agree with that was made while `copy` went on: what had ended before is certain,
    /// what overlaps it is open, what came later is not in it.
    pub fn as_copied(&self, copy: &Operation) -> History {
        let begun = self.operations.iter().filter(|operation| operation.began < copy.ended);
        let operations = begun.filter_map(|operation| {
            if operation.is_before(copy) {
                return Some(operation.clone());
            }
            Some(Operation { what: operation.what.clone().opened()?, ..operation.clone() })
        });
        History { operations: operations.collect(), clock_slack_ms: self.clock_slack_ms }
    }

    /// Adds an operation of which only the order matters: it begins after everything before it has ended.
    pub fn push(&mut self, client: &str, what: What) -> &mut Operation {
        let began = self.operations.len() as u64 * 2;
        let at = began as i64;
        let operation = Operation {
            client: client.into(),
            began,
            ended: began + 1,
            began_ms: at,
            ended_ms: at + 1,
            what,
        };
        self.operations.push(operation);
        self.operations.last_mut().expect("one was just pushed")
    }
}

/// Fills a history while clients run. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Recording>>);

#[derive(Debug, Default)]
struct Recording {
    history: History,
    events: u64,
}

/// An operation that has begun.
#[derive(Debug)]
#[must_use = "an operation that is not ended counts as unknown"]
pub struct Ticket(usize);

impl Recorder {
    /// Goes on with a history: everything from now on comes after it.
    pub fn after(history: History) -> Recorder {
        let ends = |operation: &Operation| match operation.ended {
            u64::MAX => operation.began,
            ended => ended,
        };
        let events = history.operations.iter().map(ends).max().unwrap_or(0);
        Recorder(Arc::new(Mutex::new(Recording { history, events })))
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().expect("nobody panics while recording")
    }

    /// An operation begins: `what` as it stands if it never ends, told as unknown.
    pub fn begin(&self, client: &Name, now_ms: i64, what: What) -> Ticket {
        let mut recording = self.recording();
        let began = recording.next_event();
        recording.history.operations.push(Operation {
            client: client.clone(),
            began,
            ended: u64::MAX,
            began_ms: now_ms,
            ended_ms: i64::MAX,
            what,
        });
        Ticket(recording.history.operations.len() - 1)
    }

    /// It ended; `tell` fills in what came of it.
    pub fn end(&self, ticket: Ticket, now_ms: i64, tell: impl FnOnce(&mut What)) {
        let mut recording = self.recording();
        let ended = recording.next_event();
        let operation = &mut recording.history.operations[ticket.0];
        operation.ended = ended;
        operation.ended_ms = now_ms;
        tell(&mut operation.what);
    }

    /// Something that takes no time.
    pub fn note(&self, client: &Name, now_ms: i64, what: What) {
        let ticket = self.begin(client, now_ms, what);
        self.end(ticket, now_ms, |_| {});
    }

    /// The server's clock may be off by so much.
    pub fn clock_slack(&self, ms: i64) {
        let slack = &mut self.recording().history.clock_slack_ms;
        *slack = (*slack).max(ms);
    }

    /// What happened so far.
    pub fn history(&self) -> History {
        self.recording().history.clone()
    }
}

impl Recording {
    fn next_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = if self.ended == u64::MAX { "never".to_owned() } else { self.ended.to_string() };
        write!(f, "{}..{ended} {}: {:?}", self.began, self.client, self.what)
    }
}
