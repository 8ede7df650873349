//! One partition's state, and the rule of appending to it.
//!
//! Everything an append needs lies in the partition's own entry: offsets, the shard that ends it, what its
//! topic's configs say about batches, and the last five batches of each idempotent producer (KIP-98,
//! KIP-360). So deciding an append is one hash lookup and touches one lane.

use super::codec::{self, CorruptState, Reader};
use super::configs::ConfigDefaults;
use super::decision::{AppendDecision, ProducerAppend};
use super::virtual_segments::{RollRules, VirtualSegments};
use crate::contract::{Append, AppendError, Appended, ProducerStamp};
use crate::defects::{Defect, defect};
use crate::map::HashMap;
use crate::types::{Offset, ShardId};

/// A partition's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    /// First offset that can be read.
    pub log_start: Offset,
    /// The offset that the next record gets. The high watermark follows when that is durable.
    pub next: Offset,
    /// What the next append time is not before, ms: that of the last batch or, if that is later, the instant at which
    /// the open slice began. Never goes back.
    pub last_append_ms: i64,
    /// One past the last record that was sent to the partition by its number, as Kafka's producers do, not
    /// routed by hash key.
    pub named_end: Offset,
    /// What its topic's config overrides say about batches.
    pub rules: AppendRules,
    /// The open shard that ends it; `None`: retired by a merge.
    pub shard: Option<ShardId>,
    /// Where retention may cut.
    pub segments: VirtualSegments,
    producers: HashMap<i64, Producer>,
}

/// The config overrides that appends obey; `None` leaves it to the process's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AppendRules {
    /// `max.message.bytes`.
    pub max_message_bytes: Option<i32>,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub log_append_time: Option<bool>,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: Option<i64>,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: Option<i64>,
    /// `cleanup.policy` contains `compact`.
    pub compacted: Option<bool>,
    /// `segment.bytes`.
    pub segment_bytes: Option<i32>,
    /// `segment.ms`.
    pub segment_ms: Option<i64>,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: Option<i64>,
}

impl AppendRules {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        use codec::*;
        put_option(out, self.max_message_bytes, |out, value| put_i64(out, i64::from(value)));
        put_option(out, self.log_append_time, put_bool);
        put_option(out, self.timestamp_before_max_ms, put_i64);
        put_option(out, self.timestamp_after_max_ms, put_i64);
        put_option(out, self.compacted, put_bool);
        put_option(out, self.segment_bytes, |out, value| put_i64(out, i64::from(value)));
        put_option(out, self.segment_ms, put_i64);
        put_option(out, self.segment_jitter_ms, put_i64);
    }

    pub(crate) fn decode(r: &mut Reader<'_, '_>) -> Result<AppendRules, CorruptState> {
        Ok(AppendRules {
            max_message_bytes: r.option(Reader::i32)?,
            log_append_time: r.option(Reader::bool)?,
            timestamp_before_max_ms: r.option(Reader::i64)?,
            timestamp_after_max_ms: r.option(Reader::i64)?,
            compacted: r.option(Reader::bool)?,
            segment_bytes: r.option(Reader::i32)?,
            segment_ms: r.option(Reader::i64)?,
            segment_jitter_ms: r.option(Reader::i64)?,
        })
    }
}

/// How an append was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendVerdict {
    /// It goes into the log.
    Append(AppendDecision),
    /// It is in the log already: the answer of the first time.
    Duplicate(Appended),
}

/// Batches remembered per producer.
const PRODUCER_BATCHES: usize = 5;

/// What is remembered of an idempotent producer: its last batches, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    count: u8,
    batches: [ProducerBatch; PRODUCER_BATCHES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct ProducerBatch {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    offset_count: i32,
    append_ms: i64,
}

impl Producer {
    fn batches(&self) -> &[ProducerBatch] {
        &self.batches[..usize::from(self.count)]
    }

    fn last(&self) -> &ProducerBatch {
        &self.batches[usize::from(self.count) - 1]
    }

    fn remember(&mut self, epoch: i16, batch: ProducerBatch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.count = 0;
        }
        let window = if defect(Defect::DuplicateWindowOfFour) { 4 } else { PRODUCER_BATCHES };
        if usize::from(self.count) == window {
            self.batches.rotate_left(1);
        } else {
            self.count += 1;
        }
        self.batches[usize::from(self.count) - 1] = batch;
    }
}

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerView {
    /// Producer id.
    pub id: i64,
    /// Its newest epoch.
    pub epoch: i16,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// When it last wrote, ms.
    pub last_append_ms: i64,
}

impl Partition {
    /// A partition without records, of a slice that began at `from_ms`.
    pub(crate) fn new(rules: AppendRules, shard: Option<ShardId>, from_ms: i64) -> Partition {
        Partition {
            log_start: Offset::ZERO,
            next: Offset::ZERO,
            last_append_ms: from_ms,
            named_end: Offset::ZERO,
            rules,
            shard,
            segments: VirtualSegments::default(),
            producers: HashMap::default(),
        }
    }

    /// A reshard began another slice of it, or retired it: what is appended from then on has not arrived before.
    pub(crate) fn begin_slice(&mut self, shard: Option<ShardId>, at_ms: i64) {
        self.shard = shard;
        self.last_append_ms = self.last_append_ms.max(at_ms);
    }

    /// How many idempotent producers it remembers.
    pub fn producer_count(&self) -> usize {
        self.producers.len()
    }

    /// Its idempotent producers, in no meaningful order.
    pub fn producers(&self) -> impl Iterator<Item = ProducerView> {
        self.producers.iter().map(|(id, producer)| ProducerView {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.last().last_sequence,
            last_append_ms: producer.last().append_ms,
        })
    }

    /// Moves the log start forward.
    pub(crate) fn trim(&mut self, log_start: Offset) {
        self.log_start = log_start;
        self.segments.trim(log_start, self.next);
    }

    pub(crate) fn forget_producer(&mut self, id: i64) {
        self.producers.remove(&id);
        if self.producers.is_empty() {
            self.producers = HashMap::default();
        }
    }

    /// The rule of appending. Checks run in the order a Kafka broker makes them.
    ///
    /// `segments_full`: all partitions have as many virtual segments as they may.
    pub(crate) fn decide_append(
        &self,
        append: &Append,
        now_ms: i64,
        defaults: &ConfigDefaults,
        segments_full: bool,
    ) -> Result<AppendVerdict, AppendError> {
        match (self.shard, append.shard) {
            (now, Some(routed)) if now != Some(routed) && !defect(Defect::FenceNotChecked) => {
                return Err(AppendError::Resharded { now });
            }
            (None, None) => return Err(AppendError::Retired),
            _ => {}
        }
        let batch = &append.batch;
        let defaults = defaults.append();
        let limit = self.rules.max_message_bytes.unwrap_or(defaults.max_message_bytes);
        let limit = usize::try_from(limit).unwrap_or(0);
        // It binds Kafka's batches; what Kinesis puts is measured by its own limit, record by record.
        if append.shard.is_none() && batch.bytes.len() > limit {
            return Err(AppendError::TooLarge { size: batch.bytes.len(), limit });
        }
        if batch.has_keyless && self.rules.compacted.unwrap_or(defaults.compacted) {
            return Err(AppendError::Keyless);
        }
        let log_append_time = self.rules.log_append_time.unwrap_or(defaults.log_append_time);
        if !log_append_time {
            let after = self.rules.timestamp_after_max_ms.unwrap_or(defaults.timestamp_after_max_ms);
            let before = self.rules.timestamp_before_max_ms.unwrap_or(defaults.timestamp_before_max_ms);
            check_timestamp(batch.max_timestamp_ms, now_ms, before, after)?;
            check_timestamp(batch.base_timestamp_ms, now_ms, before, after)?;
        }
        if let Some(stamp) = &batch.producer
            && let Some(first_time) = self.check_producer(stamp, batch.offset_count)?
        {
            let base_offset = Offset(first_time.base_offset);
            return Ok(AppendVerdict::Duplicate(Appended {
                base_offset,
                last_offset: base_offset + i64::from(first_time.offset_count - 1),
                append_ms: first_time.append_ms,
                log_append_time_ms: if log_append_time { first_time.append_ms } else { -1 },
                log_start: self.log_start,
                duplicate: true,
            }));
        }
        let append_ms = now_ms.max(self.last_append_ms);
        let max_timestamp_ms = if log_append_time { append_ms } else { batch.max_timestamp_ms };
        let roll = RollRules {
            segment_bytes: self.rules.segment_bytes.unwrap_or(defaults.segment_bytes).max(0) as u64,
            segment_ms: self.rules.segment_ms.unwrap_or(defaults.segment_ms),
            segment_jitter_ms: self.rules.segment_jitter_ms.unwrap_or(defaults.segment_jitter_ms),
        };
        let counted_ms = timestamp_or(max_timestamp_ms, append_ms);
        let rolls = self.segments.rolls(&roll, self.next, batch.bytes.len() as u64, counted_ms);
        Ok(AppendVerdict::Append(AppendDecision {
            partition: append.partition,
            base_offset: self.next,
            offset_count: batch.offset_count,
            size: u32::try_from(batch.bytes.len()).expect("max.message.bytes is an int"),
            append_ms,
            max_timestamp_ms,
            log_append_time,
            routed: append.shard.is_some(),
            rolls,
            joins: rolls && segments_full && self.segments.joins(),
            producer: batch.producer.map(|stamp| ProducerAppend {
                id: stamp.id,
                epoch: stamp.epoch,
                first_sequence: stamp.base_sequence,
                last_sequence: advance_sequence(stamp.base_sequence, batch.offset_count - 1),
            }),
        }))
    }

    /// Whether the producer may write this; the remembered batch if it already did.
    fn check_producer(
        &self,
        stamp: &ProducerStamp,
        offset_count: i32,
    ) -> Result<Option<&ProducerBatch>, AppendError> {
        // Of an unknown producer any sequence is taken: what was known may have been evicted (KIP-360).
        let Some(known) = self.producers.get(&stamp.id) else {
            return Ok(None);
        };
        if stamp.epoch < known.epoch {
            return Err(AppendError::InvalidProducerEpoch { current: known.epoch, found: stamp.epoch });
        }
        if stamp.epoch > known.epoch {
            return match stamp.base_sequence {
                0 => Ok(None),
                found => Err(AppendError::OutOfOrderSequence { expected: 0, found }),
            };
        }
        let last_sequence = advance_sequence(stamp.base_sequence, offset_count - 1);
        let same = |batch: &&ProducerBatch| {
            batch.first_sequence == stamp.base_sequence && batch.last_sequence == last_sequence
        };
        if let Some(first_time) = known.batches().iter().find(same) {
            return Ok(Some(first_time));
        }
        let expected = advance_sequence(known.last().last_sequence, 1);
        if stamp.base_sequence != expected {
            return Err(AppendError::OutOfOrderSequence { expected, found: stamp.base_sequence });
        }
        Ok(None)
    }

    /// Applies an append. Tells whether it made a new producer entry.
    pub(crate) fn apply_append(&mut self, append: &AppendDecision) -> bool {
        self.next = append.base_offset + i64::from(append.offset_count);
        self.last_append_ms = append.append_ms;
        if !append.routed {
            self.named_end = self.next;
        }
        let counted_ms = timestamp_or(append.max_timestamp_ms, append.append_ms);
        if append.joins {
            self.segments.make_room();
        }
        self.segments.append(append.rolls, append.base_offset, u64::from(append.size), counted_ms);
        let Some(producer) = &append.producer else { return false };
        let batch = ProducerBatch {
            first_sequence: producer.first_sequence,
            last_sequence: producer.last_sequence,
            base_offset: append.base_offset.0,
            offset_count: append.offset_count,
            append_ms: append.append_ms,
        };
        let mut new = false;
        self.producers
            .entry(producer.id)
            .or_insert_with(|| {
                new = true;
                Producer {
                    epoch: producer.epoch,
                    count: 0,
                    batches: [ProducerBatch::default(); PRODUCER_BATCHES],
                }
            })
            .remember(producer.epoch, batch);
        new
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        use codec::*;
        put_i64(out, self.log_start.0);
        put_i64(out, self.next.0);
        put_i64(out, self.last_append_ms);
        put_i64(out, self.named_end.0);
        self.rules.encode(out);
        put_option(out, self.shard, |out, shard| put_u64(out, u64::from(shard.0)));
        self.segments.encode(out);
        let mut producers: Vec<_> = self.producers.iter().collect();
        producers.sort_unstable_by_key(|(id, _)| **id);
        put_len(out, producers.len());
        for (id, producer) in producers {
            put_i64(out, *id);
            put_i64(out, i64::from(producer.epoch));
            put_len(out, producer.batches().len());
            for batch in producer.batches() {
                put_i64(out, i64::from(batch.first_sequence));
                put_i64(out, i64::from(batch.last_sequence));
                put_i64(out, batch.base_offset);
                put_i64(out, i64::from(batch.offset_count));
                put_i64(out, batch.append_ms);
            }
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_, '_>) -> Result<Partition, CorruptState> {
        let mut partition = Partition {
            log_start: r.offset()?,
            next: r.offset()?,
            last_append_ms: r.i64()?,
            named_end: r.offset()?,
            rules: AppendRules::decode(r)?,
            shard: r.option(|r| Ok(ShardId(r.u32()?)))?,
            segments: VirtualSegments::decode(r)?,
            producers: HashMap::default(),
        };
        for _ in 0..r.len()? {
            let id = r.i64()?;
            let epoch = r.i16()?;
            let count = r.len()?;
            if count == 0 || count > PRODUCER_BATCHES {
                return Err(CorruptState::new("a producer remembers an impossible number of batches"));
            }
            let mut batches = [ProducerBatch::default(); PRODUCER_BATCHES];
            for batch in &mut batches[..count] {
                *batch = ProducerBatch {
                    first_sequence: r.i32()?,
                    last_sequence: r.i32()?,
                    base_offset: r.i64()?,
                    offset_count: r.i32()?,
                    append_ms: r.i64()?,
                };
            }
            partition.producers.insert(id, Producer { epoch, count: count as u8, batches });
        }
        Ok(partition)
    }
}

/// What a batch's age counts from: its greatest timestamp, or its append time if it has none.
fn timestamp_or(max_timestamp_ms: i64, append_ms: i64) -> i64 {
    if max_timestamp_ms < 0 { append_ms } else { max_timestamp_ms }
}

/// Sequences wrap from 2^31-1 to 0.
fn advance_sequence(sequence: i32, by: i32) -> i32 {
    ((i64::from(sequence) + i64::from(by)) & i64::from(i32::MAX)) as i32
}

/// Kafka's bounds on CreateTime. A record without a timestamp (-1) passes.
fn check_timestamp(
    timestamp_ms: i64,
    now_ms: i64,
    before_max_ms: i64,
    after_max_ms: i64,
) -> Result<(), AppendError> {
    if timestamp_ms < 0 {
        return Ok(());
    }
    if timestamp_ms.saturating_sub(now_ms) > after_max_ms
        || now_ms.saturating_sub(timestamp_ms) > before_max_ms
    {
        return Err(AppendError::InvalidTimestamp { timestamp_ms });
    }
    Ok(())
}
