//! One partition's batches, in offset order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kolk_wire_kafka::records::batch;
use tokio::sync::Notify;

use crate::contract::{BatchAt, FoundOffset, Piece, Source};
use crate::state::AppendDecision;
use crate::types::{LEADER_EPOCH, Offset};

#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    batches: VecDeque<StoredBatch>,
    size_bytes: u64,
    /// Who waits for more; woken after each change.
    pub(super) waiters: Vec<Arc<Notify>>,
}

/// A batch as readers get it.
#[derive(Clone, Debug)]
pub(super) struct StoredBatch {
    base_offset: Offset,
    pub(super) last_offset: Offset,
    append_ms: i64,
    max_timestamp_ms: i64,
    pub(super) bytes: Bytes,
}

/// Copies a batch out of its request, so that it does not hold the whole of it, and fills in what the log knows.
pub(super) fn store(bytes: &Bytes, decided: &AppendDecision) -> StoredBatch {
    let mut copy = BytesMut::from(&bytes[..]);
    batch::set_base_offset(&mut copy, decided.base_offset.0);
    batch::set_leader_epoch(&mut copy, LEADER_EPOCH);
    if decided.log_append_time {
        batch::set_log_append_time(&mut copy, decided.append_ms);
    }
    StoredBatch {
        base_offset: decided.base_offset,
        last_offset: decided.last_offset(),
        append_ms: decided.append_ms,
        max_timestamp_ms: decided.max_timestamp_ms,
        bytes: copy.freeze(),
    }
}

impl StoredBatch {
    /// What it counts against the memory limit.
    pub(super) fn counted_bytes(&self) -> u64 {
        (self.bytes.len() + size_of::<StoredBatch>()) as u64
    }
}

impl PartitionLog {
    pub(super) fn push(&mut self, batch: StoredBatch) {
        self.size_bytes += batch.bytes.len() as u64;
        self.batches.push_back(batch);
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(super) fn counted_bytes(&self) -> u64 {
        self.size_bytes + (self.batches.len() * size_of::<StoredBatch>()) as u64
    }

    pub(super) fn wake(&self) {
        self.waiters.iter().for_each(|waiter| waiter.notify_one());
    }

    /// Lets go of batches that end before `log_start`; tells what they counted.
    pub(super) fn trim(&mut self, log_start: Offset) -> u64 {
        let before = self.counted_bytes();
        while let Some(first) = self.batches.front()
            && first.last_offset < log_start
        {
            self.size_bytes -= first.bytes.len() as u64;
            self.batches.pop_front();
        }
        before - self.counted_bytes()
    }

    /// Batches from the one that contains `from`, up to `end`; and whether the limit held some back.
    pub(super) fn collect(
        &self,
        from: Offset,
        end: Offset,
        bytes_max: usize,
        first_whole: bool,
        with_batches: bool,
    ) -> (Vec<Piece>, bool) {
        let start = self.batches.partition_point(|batch| batch.last_offset < from);
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        for batch in self.batches.range(start..) {
            if batch.last_offset >= end {
                break;
            }
            let fits = bytes + batch.bytes.len() <= bytes_max || (first_whole && bytes == 0);
            if !fits {
                return (pieces, true);
            }
            bytes += batch.bytes.len();
            let at = BatchAt { base_offset: batch.base_offset, position: 0, append_ms: batch.append_ms };
            pieces.push(Piece {
                source: Source::Memory(batch.bytes.clone()),
                batches: if with_batches { vec![at] } else { Vec::new() },
            });
        }
        (pieces, false)
    }

    /// The first batch appended at or after an instant.
    pub(super) fn first_appended(&self, at_ms: i64, log_start: Offset) -> Option<FoundOffset> {
        let index = self.batches.partition_point(|batch| batch.append_ms < at_ms);
        let batch = self.batches.get(index)?;
        Some(FoundOffset { offset: batch.base_offset.max(log_start), timestamp_ms: batch.append_ms })
    }

    /// The greatest timestamp; `None` if no record has one.
    pub(super) fn max_timestamp_ms(&self) -> Option<i64> {
        self.batches.iter().map(|batch| batch.max_timestamp_ms).max().filter(|greatest| *greatest >= 0)
    }

    /// The first batch that reaches `from` and, by its header, a timestamp.
    pub(super) fn reaching(&self, timestamp_ms: i64, from: Offset) -> Option<StoredBatch> {
        let start = self.batches.partition_point(|batch| batch.last_offset < from);
        self.batches.range(start..).find(|batch| batch.max_timestamp_ms >= timestamp_ms).cloned()
    }
}
