//! Polls and pages: a reader is given every record once, in order, from where it asked on.

use std::collections::BTreeMap;

use super::Anomaly;
use super::facts::Facts;
use crate::history::{From, Name, Operation, Told, What, offset_of};

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    polls(facts, found);
    sessions(facts, found);
    edges(facts, found);
}

/// The first offset that is known to be there from `from` up to before `to`, and was certainly readable when `read`
/// began: not trimmed before it ended.
fn skipped(
    facts: &Facts<'_>,
    topic: &Name,
    partition: i32,
    from: i64,
    to: i64,
    read: &Operation,
) -> Option<i64> {
    let known = facts.known(topic, partition)?;
    let from = from.max(trimmed_to(facts, topic, partition, read));
    if from >= to {
        return None;
    }
    let start = facts.start(topic, partition);
    let kept_ms = facts.shortest_retention(topic);
    let has_expired = |value| {
        kept_ms.is_some_and(|kept_ms| facts.age_ms(topic, value, read).is_none_or(|age_ms| age_ms >= kept_ms))
    };
    // Retention trims when it likes, but nothing that is younger, nor what is there in the end.
    let mut there =
        known.range(from..to).filter(|(offset, known)| **offset >= start || !has_expired(known.value));
    there.next().map(|(offset, _)| *offset)
}

/// Up to where a partition was trimmed, or may have been on request, when `read` ended.
fn trimmed_to(facts: &Facts<'_>, topic: &Name, partition: i32, read: &Operation) -> i64 {
    let mut to = 0;
    for operation in facts.operations().filter(|operation| operation.began < read.ended) {
        match &operation.what {
            What::Trim { topic: of, partition: at, before, .. } if of == topic && *at == partition => {
                to = to.max(*before);
            }
            What::Starts { topic: of, told: Told::Ok(starts) } if of == topic => {
                to = to.max(starts.get(&partition).copied().unwrap_or(0));
            }
            _ => {}
        }
    }
    to
}

fn polls(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for operation in facts.operations() {
        let What::Read { topic, partition, from, told, .. } = &operation.what else { continue };
        let read = operation.began;
        match told {
            Told::Ok(fetched) => {
                let mut expected = *from;
                for (offset, _) in &fetched.records {
                    step(facts, topic, *partition, expected, *offset, operation, found);
                    expected = offset + 1;
                }
                if fetched.next < expected {
                    let (topic, from, found_at) = (topic.clone(), expected, fetched.next);
                    found.push(Anomaly::PollWentBack { topic, from, found: found_at, read });
                } else {
                    step(facts, topic, *partition, expected, fetched.next, operation, found);
                }
            }
            Told::Refused(why) => {
                found.push(Anomaly::Unreadable { topic: topic.clone(), why: why.clone(), read });
            }
            Told::Unknown(_) => {}
        }
    }
}

/// A reader at `expected` goes on to `offset`.
fn step(
    facts: &Facts<'_>,
    topic: &Name,
    partition: i32,
    expected: i64,
    offset: i64,
    operation: &Operation,
    found: &mut Vec<Anomaly>,
) {
    let read = operation.began;
    if offset < expected {
        found.push(Anomaly::PollWentBack { topic: topic.clone(), from: expected, found: offset, read });
    } else if offset > expected
        && let Some(skipped) = skipped(facts, topic, partition, expected, offset, operation)
    {
        found.push(Anomaly::PollSkipped {
            topic: topic.clone(),
            from: expected,
            found: offset,
            skipped,
            read,
        });
    }
}

/// Where a session of pages stands.
enum At {
    /// The next record is at this offset or, if that is trimmed, after it.
    Offset(i64),
    /// Behind everything that was there when the session began: at the latest, what was written after this event.
    WrittenAfter(u64),
    /// The first record that arrived at or after an instant, ms.
    ArrivedSince(i64),
}

fn sessions(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut sessions: BTreeMap<u64, At> = BTreeMap::new();
    for operation in facts.operations() {
        let What::Get { stream, shard, session, from, told } = &operation.what else { continue };
        let read = operation.began;
        let page = match told {
            Told::Ok(page) => page,
            Told::Refused(why) => {
                found.push(Anomaly::Unreadable { topic: stream.clone(), why: why.clone(), read });
                continue;
            }
            Told::Unknown(_) => continue,
        };
        let Some(partition) = facts.partition_of(stream, *shard) else { continue };
        let at = match from {
            From::Horizon => At::Offset(first_of_shard(facts, stream, *shard).unwrap_or(i64::MAX)),
            From::At(sequence) => At::Offset(offset_of(sequence).unwrap_or(0)),
            From::After(sequence) => At::Offset(offset_of(sequence).map_or(0, |offset| offset + 1)),
            From::Latest => At::WrittenAfter(operation.ended),
            From::Since(ms) => At::ArrivedSince(*ms),
            // A session whose first page nobody answered stands nowhere.
            From::On => match sessions.remove(session) {
                Some(at) => at,
                None => continue,
            },
        };
        let mut offsets = page.records.iter().filter_map(|seen| offset_of(&seen.sequence)).peekable();
        let at = match (at, offsets.peek().copied()) {
            (at, None) => at,
            (At::Offset(expected), Some(_)) => At::Offset(expected),
            (At::WrittenAfter(event), Some(first)) => {
                if let Some(skipped) = written_after(facts, stream, *shard, partition, event, first) {
                    let (topic, from) = (stream.clone(), skipped);
                    found.push(Anomaly::PollSkipped { topic, from, found: first, skipped, read });
                }
                At::Offset(first)
            }
            (At::ArrivedSince(ms), Some(first)) => {
                let early = page.records.first().filter(|seen| seen.arrived_ms < ms);
                if early.is_some() {
                    let topic = stream.clone();
                    found.push(Anomaly::PollWentBack { topic, from: first + 1, found: first, read });
                }
                if let Some(skipped) = arrived_since(facts, stream, *shard, ms, first) {
                    let (topic, from) = (stream.clone(), skipped);
                    found.push(Anomaly::PollSkipped { topic, from, found: first, skipped, read });
                }
                At::Offset(first)
            }
        };
        let at = match at {
            At::Offset(mut expected) => {
                for offset in offsets {
                    if expected != i64::MAX {
                        step(facts, stream, partition, expected, offset, operation, found);
                    }
                    expected = offset + 1;
                }
                At::Offset(expected)
            }
            at => at,
        };
        if page.end.is_none() {
            sessions.insert(*session, at);
        } else if let At::Offset(next) = at {
            drained(facts, stream, *shard, next, operation, found);
        }
    }
}

/// The first record of a shard that was there in the end.
fn first_of_shard(facts: &Facts<'_>, stream: &Name, shard: u32) -> Option<i64> {
    let slice = facts.slices.iter().find(|((of, id), _)| *of == stream && *id == shard)?;
    slice.1.records.first().and_then(|seen| offset_of(&seen.sequence))
}

fn written_after(
    facts: &Facts<'_>,
    stream: &Name,
    shard: u32,
    partition: i32,
    event: u64,
    first: i64,
) -> Option<i64> {
    let slice = facts.slices.iter().find(|((of, id), _)| *of == stream && *id == shard)?.1;
    let start = facts.start(stream, partition);
    slice
        .records
        .iter()
        .filter_map(|seen| Some((offset_of(&seen.sequence)?, seen.value.as_str())))
        .filter(|(offset, _)| *offset >= start && *offset < first)
        .find(|(_, value)| {
            facts.written.get(&(stream, *value)).is_some_and(|written| written.operation.began > event)
        })
        .map(|(offset, _)| offset)
}

fn arrived_since(facts: &Facts<'_>, stream: &Name, shard: u32, ms: i64, first: i64) -> Option<i64> {
    let slice = facts.slices.iter().find(|((of, id), _)| *of == stream && *id == shard)?.1;
    slice
        .records
        .iter()
        .find(|seen| seen.arrived_ms >= ms && offset_of(&seen.sequence).is_some_and(|offset| offset < first))
        .and_then(|seen| offset_of(&seen.sequence))
}

/// A session that was told of its shard's end has been given everything up to it.
fn drained(
    facts: &Facts<'_>,
    stream: &Name,
    shard: u32,
    next: i64,
    operation: &Operation,
    found: &mut Vec<Anomaly>,
) {
    let Some((_, slice)) = facts.slices.iter().find(|((of, id), _)| *of == stream && *id == shard) else {
        return;
    };
    let missing = slice
        .records
        .iter()
        .find(|seen| next != i64::MAX && offset_of(&seen.sequence).is_some_and(|offset| offset >= next));
    if let Some(missing) = missing {
        found.push(Anomaly::ParentNotDrained {
            stream: stream.clone(),
            shard,
            missing: missing.value.clone(),
            read: operation.began,
        });
    }
}

/// First and last offsets that readers are shown only grow.
fn edges(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    let mut ends: BTreeMap<(&Name, i32), Edge> = BTreeMap::new();
    let mut starts: BTreeMap<(&Name, i32), Edge> = BTreeMap::new();
    for operation in facts.operations() {
        match &operation.what {
            What::Read { topic, partition, told: Told::Ok(fetched), .. } => {
                if let Some(end) = fetched.end {
                    end_seen(&mut ends, topic, *partition, end, operation, found);
                }
            }
            What::Ends { topic, told: Told::Ok(all) } => {
                for (partition, end) in all {
                    end_seen(&mut ends, topic, *partition, *end, operation, found);
                }
            }
            What::Log { topic, partition, told: Told::Ok(whole) } => {
                end_seen(&mut ends, topic, *partition, whole.end, operation, found);
                start_seen(&mut starts, topic, *partition, whole.start, operation, found);
            }
            What::Starts { topic, told: Told::Ok(all) } => {
                for (partition, start) in all {
                    start_seen(&mut starts, topic, *partition, *start, operation, found);
                }
            }
            _ => {}
        }
    }
}

/// The greatest value of answers that had ended before an event, found by looking at answers in the order in which
/// they began.
#[derive(Default)]
struct Edge {
    /// Ended, value and the event of its operation's beginning, greatest values last.
    answers: Vec<(u64, i64, u64)>,
}

impl Edge {
    /// Adds an answer; gives a greater one that had ended before this began.
    fn add(&mut self, value: i64, operation: &Operation) -> Option<(i64, u64)> {
        let earlier = self.answers.iter().filter(|(ended, _, _)| *ended < operation.began);
        let greatest = earlier.max_by_key(|(_, value, _)| *value).copied();
        // Of those that had ended long ago only the greatest matters.
        if let Some(greatest) = greatest {
            self.answers.retain(|answer| answer.0 >= operation.began || *answer == greatest);
        }
        self.answers.push((operation.ended, value, operation.began));
        greatest.filter(|(_, before, _)| *before > value).map(|(_, before, began)| (before, began))
    }
}

fn end_seen<'a>(
    ends: &mut BTreeMap<(&'a Name, i32), Edge>,
    topic: &'a Name,
    partition: i32,
    after: i64,
    operation: &Operation,
    found: &mut Vec<Anomaly>,
) {
    if let Some((before, seen)) = ends.entry((topic, partition)).or_default().add(after, operation) {
        found.push(Anomaly::EndWentBack { topic: topic.clone(), partition, before, seen, after });
    }
}

fn start_seen<'a>(
    starts: &mut BTreeMap<(&'a Name, i32), Edge>,
    topic: &'a Name,
    partition: i32,
    after: i64,
    operation: &Operation,
    found: &mut Vec<Anomaly>,
) {
    if let Some((before, seen)) = starts.entry((topic, partition)).or_default().add(after, operation) {
        found.push(Anomaly::StartWentBack { topic: topic.clone(), partition, before, seen, after });
    }
}
