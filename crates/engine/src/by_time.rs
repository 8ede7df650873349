//! Lookups by time, inside one batch: the same for every back end, which has found by headers which batch to look into.

use std::ops::ControlFlow;

use bytes::Bytes;
use kolk_wire_kafka::records::glance::glance;
use kolk_wire_kafka::records::record::RecordError;
use kolk_wire_kafka::records::{BatchHeader, CompressError, TimestampType};

use crate::contract::FoundOffset;
use crate::types::Offset;

/// What the batches that one lookup by time looks into may be unpacked to in all, in bytes. The first one whose header
/// promises the time has it, unless its producer counts wrong: where more would have to be looked through, the beginning
/// of the batch that it came to will do.
pub(crate) const DECOMPRESSED_MAX: usize = 64 << 20;

/// What a look into a batch counts at least, in bytes: to find it and to read it costs as much, however little is in it. So one
/// lookup looks into 4096 batches at most.
const LOOK_BYTES_MIN: usize = 16 << 10;

/// The first record of a batch at or after a timestamp and not before the log start. Where nothing is `left`, and of a batch
/// that unpacks to more than that, its beginning; of one that cannot be decoded too, which `undecodable` is told of.
pub(crate) fn first_record(
    batch: &Bytes,
    at_ms: i64,
    log_start: Offset,
    left: &mut usize,
    undecodable: impl FnOnce(&BatchHeader, RecordError),
) -> Option<FoundOffset> {
    let header = BatchHeader::parse(batch).ok()?;
    let base = Offset(header.base_offset).max(log_start);
    let beginning = Some(FoundOffset { offset: base, timestamp_ms: header.max_timestamp });
    if header.timestamp_type() == TimestampType::LogAppendTime || *left == 0 {
        return beginning;
    }
    let mut found = None;
    // It may unpack to far more than it is: looked over, not held.
    let looked = glance(&header, batch, *left, |record| {
        if record.timestamp < at_ms || record.offset < log_start.0 {
            return ControlFlow::Continue(());
        }
        found = Some(FoundOffset { offset: Offset(record.offset), timestamp_ms: record.timestamp });
        ControlFlow::Break(())
    });
    match looked {
        Ok(seen) => {
            *left = left.saturating_sub(seen.max(LOOK_BYTES_MIN));
            found
        }
        Err(RecordError::Compress(CompressError::TooLarge { .. })) => beginning,
        Err(error) => {
            undecodable(&header, error);
            beginning
        }
    }
}
