//! The header of a record batch (magic 2, KIP-98) and what may be changed in place.
//!
//! ```text
//!  0 base offset        int64   not covered by the CRC
//!  8 length             int32   bytes from here on to the end of the batch
//! 12 leader epoch       int32   not covered by the CRC
//! 16 magic              int8
//! 17 CRC-32C            uint32  over everything from 21 to the end
//! 21 attributes         int16   0-2 codec, 3 append time, 4 transactional, 5 control, 6 delete horizon
//! 23 last offset delta  int32
//! 27 base timestamp     int64   milliseconds; the delete horizon when bit 6 is set (KIP-534)
//! 35 max timestamp      int64
//! 43 producer id        int64   -1 when none
//! 51 producer epoch     int16
//! 53 base sequence      int32
//! 57 record count       int32
//! 61 records, compressed as one block
//! ```

use super::crc::{crc32c, crc32c_combined};
use crate::ErrorCode;

/// Bytes of a header: where the records start.
pub const HEADER_BYTES: usize = 61;
/// Bytes in front of what the length field counts.
pub const LENGTH_END: usize = 12;

/// What the length field counts of the smallest message there has ever been, one of magic 0.
const LENGTH_MIN: i32 = 14;
const LEADER_EPOCH: usize = 12;
const MAGIC: usize = 16;
const CRC: usize = 17;
pub(super) const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const BASE_TIMESTAMP: usize = 27;
const MAX_TIMESTAMP: usize = 35;
const PRODUCER_ID: usize = 43;
const PRODUCER_EPOCH: usize = 51;
const BASE_SEQUENCE: usize = 53;
const RECORD_COUNT: usize = 57;

const CODEC_BITS: i16 = 7;
const BIT_APPEND_TIME: i16 = 1 << 3;
const BIT_TRANSACTIONAL: i16 = 1 << 4;
const BIT_CONTROL: i16 = 1 << 5;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy blocks in xerial's framing, or one raw block.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// Zstandard frames (KIP-110).
    Zstd = 4,
}

impl Compression {
    /// The codec in the low three bits of attributes.
    pub const fn from_attributes(attributes: i16) -> Option<Compression> {
        match attributes & 7 {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// The name in `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// What the timestamps of a batch mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer set them.
    #[default]
    CreateTime,
    /// All records have the batch's max timestamp, set by the broker.
    LogAppendTime,
}

/// Why bytes are not a batch, or not one that a producer may send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BatchError {
    #[error("{found} bytes are not a whole batch, {needed} needed")]
    Truncated { needed: usize, found: usize },
    #[error("batch length {0} is impossible")]
    BadLength(i32),
    #[error("magic {found} where {expected} is required")]
    WrongMagic { expected: i8, found: i8 },
    #[error("checksum is {stored:#010x}, the bytes give {computed:#010x}")]
    BadChecksum { stored: u32, computed: u32 },
    #[error("codec {0} is not known")]
    UnknownCodec(i16),
    #[error("no batch where there has to be one")]
    Empty,
    #[error("more than one batch where there has to be one")]
    MoreThanOne,
    #[error("base offset is {0}, has to be 0")]
    BaseOffsetNotZero(i64),
    #[error("record count is {0}, has to be positive")]
    BadCount(i32),
    #[error("last offset delta is {last_offset_delta} with {count} records")]
    OffsetRange { last_offset_delta: i32, count: i32 },
    #[error("clients do not write control batches")]
    ControlBatch,
    #[error("base sequence is {0} with a producer id")]
    BadSequence(i32),
    #[error("producer epoch is {0} with a producer id")]
    BadEpoch(i16),
}

impl BatchError {
    /// The code that Kafka answers a Produce with.
    pub const fn code(&self) -> ErrorCode {
        match self {
            BatchError::BadLength(_)
            | BatchError::BadChecksum { .. }
            | BatchError::WrongMagic { found: ..0 | 3.., .. } => ErrorCode::CorruptMessage,
            BatchError::UnknownCodec(_) => ErrorCode::UnsupportedCompressionType,
            BatchError::BadEpoch(_) => ErrorCode::InvalidProducerEpoch,
            // What is cut short holds no batch.
            BatchError::Truncated { .. }
            | BatchError::WrongMagic { .. }
            | BatchError::Empty
            | BatchError::MoreThanOne
            | BatchError::BaseOffsetNotZero(_)
            | BatchError::BadCount(_)
            | BatchError::OffsetRange { .. }
            | BatchError::ControlBatch
            | BatchError::BadSequence(_) => ErrorCode::InvalidRecord,
        }
    }
}

/// The header of a batch as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes of the whole batch, header included. (The length field holds 12 less.)
    pub total_bytes: usize,
    /// Epoch of the leader that appended it, -1 when unknown.
    pub leader_epoch: i32,
    /// As stored.
    pub crc: u32,
    /// As stored; the methods decode it.
    pub attributes: i16,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// Milliseconds since 1970; what record timestamps are relative to, or the delete horizon.
    pub base_timestamp: i64,
    /// Milliseconds since 1970.
    pub max_timestamp: i64,
    /// -1 when the producer is not idempotent.
    pub producer_id: i64,
    /// -1 when there is no producer id.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 when there is none.
    pub base_sequence: i32,
    /// Records in the batch; 0 in a batch that compaction has emptied.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header of the first batch in `bytes` and checks magic and lengths: at least `total_bytes` are there.
    /// The checksum is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let truncated = |needed| BatchError::Truncated { needed, found: bytes.len() };
        if bytes.len() < LENGTH_END {
            return Err(truncated(HEADER_BYTES));
        }
        let length = i32_at(bytes, 8);
        if length < LENGTH_MIN {
            return Err(BatchError::BadLength(length));
        }
        if bytes.len() <= MAGIC {
            return Err(truncated(HEADER_BYTES));
        }
        let magic = bytes[MAGIC] as i8;
        if magic != 2 {
            return Err(BatchError::WrongMagic { expected: 2, found: magic });
        }
        let total_bytes = usize::try_from(length).map_err(|_| BatchError::BadLength(length))? + LENGTH_END;
        if total_bytes < HEADER_BYTES {
            return Err(BatchError::BadLength(length));
        }
        if bytes.len() < total_bytes {
            return Err(truncated(total_bytes));
        }
        Ok(BatchHeader {
            base_offset: i64_at(bytes, 0),
            total_bytes,
            leader_epoch: i32_at(bytes, LEADER_EPOCH),
            crc: i32_at(bytes, CRC) as u32,
            attributes: i16_at(bytes, ATTRIBUTES),
            last_offset_delta: i32_at(bytes, LAST_OFFSET_DELTA),
            base_timestamp: i64_at(bytes, BASE_TIMESTAMP),
            max_timestamp: i64_at(bytes, MAX_TIMESTAMP),
            producer_id: i64_at(bytes, PRODUCER_ID),
            producer_epoch: i16_at(bytes, PRODUCER_EPOCH),
            base_sequence: i32_at(bytes, BASE_SEQUENCE),
            record_count: i32_at(bytes, RECORD_COUNT),
        })
    }

    /// The header's bytes, with `crc` as it stands.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.base_offset.to_be_bytes());
        put(8, &((self.total_bytes - LENGTH_END) as i32).to_be_bytes());
        put(LEADER_EPOCH, &self.leader_epoch.to_be_bytes());
        put(MAGIC, &[2]);
        put(CRC, &self.crc.to_be_bytes());
        put(ATTRIBUTES, &self.attributes.to_be_bytes());
        put(LAST_OFFSET_DELTA, &self.last_offset_delta.to_be_bytes());
        put(BASE_TIMESTAMP, &self.base_timestamp.to_be_bytes());
        put(MAX_TIMESTAMP, &self.max_timestamp.to_be_bytes());
        put(PRODUCER_ID, &self.producer_id.to_be_bytes());
        put(PRODUCER_EPOCH, &self.producer_epoch.to_be_bytes());
        put(BASE_SEQUENCE, &self.base_sequence.to_be_bytes());
        put(RECORD_COUNT, &self.record_count.to_be_bytes());
        out
    }

    /// Compares the stored checksum with that of `batch`, which begins where the header was parsed.
    pub fn check_crc(&self, batch: &[u8]) -> Result<(), BatchError> {
        let computed = crc32c(&batch[ATTRIBUTES..self.total_bytes]);
        if computed == self.crc {
            Ok(())
        } else {
            Err(BatchError::BadChecksum { stored: self.crc, computed })
        }
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset behind the last record.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Offset of a record by its delta; `None` when it is not behind `last`, the delta of the record before it (-1 before
    /// the first), or behind the batch's last offset. A producer wrote the deltas, and what reads on behind a record
    /// would go where they lead.
    pub(super) fn record_offset(&self, delta: i32, last: i32) -> Option<i64> {
        (last < delta && delta <= self.last_offset_delta)
            .then(|| self.base_offset.wrapping_add(i64::from(delta)))
    }

    /// The codec; an error when it is none that exists.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        Compression::from_attributes(self.attributes).ok_or(BatchError::UnknownCodec(self.attributes & 7))
    }

    /// What the timestamps mean.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & BIT_APPEND_TIME != 0 {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & BIT_TRANSACTIONAL != 0
    }

    /// Whether it holds a control record (a transaction's marker) that clients do not see.
    pub fn is_control(&self) -> bool {
        self.attributes & BIT_CONTROL != 0
    }

    /// Whether an idempotent producer wrote it.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }

    /// Sequence number of the last record; sequences go on with 0 after 2^31 - 1.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            self.base_sequence
        } else {
            sequence_add(self.base_sequence, self.last_offset_delta)
        }
    }
}

/// The attributes of a batch without a delete horizon.
pub(super) fn attributes(
    compression: Compression,
    timestamp_type: TimestampType,
    transactional: bool,
    control: bool,
) -> i16 {
    let bit = |set: bool, bit: i16| if set { bit } else { 0 };
    compression as i16
        | bit(timestamp_type == TimestampType::LogAppendTime, BIT_APPEND_TIME)
        | bit(transactional, BIT_TRANSACTIONAL)
        | bit(control, BIT_CONTROL)
}

/// The attributes with another codec in them.
pub(super) fn with_codec(attributes: i16, codec: Compression) -> i16 {
    attributes & !CODEC_BITS | codec as i16
}

/// `sequence + delta` in the space of sequence numbers, 0 to 2^31 - 1, which wraps.
pub fn sequence_add(sequence: i32, delta: i32) -> i32 {
    sequence.wrapping_add(delta) & i32::MAX
}

/// Checks what a producer sent for one partition, without decompressing it: one whole batch of magic 2 with a right
/// checksum and consistent count, offsets and sequence, and no control batch. These are the conditions of Kafka's own
/// produce path that need neither topic configuration nor producer state; [`BatchError::code`] is the answer to give.
///
/// Left to the caller: `max.message.bytes`, timestamps against the topic's type and bounds, zstd below Produce 7,
/// keys on compacted topics.
pub fn check_produce_batch(records: &[u8]) -> Result<BatchHeader, BatchError> {
    if records.is_empty() {
        return Err(BatchError::Empty);
    }
    let header = BatchHeader::parse(records)?;
    if records.len() > header.total_bytes {
        return Err(BatchError::MoreThanOne);
    }
    header.check_crc(records)?;
    header.compression()?;
    if header.base_offset != 0 {
        return Err(BatchError::BaseOffsetNotZero(header.base_offset));
    }
    if header.record_count <= 0 {
        return Err(BatchError::BadCount(header.record_count));
    }
    if header.last_offset_delta != header.record_count - 1 {
        return Err(BatchError::OffsetRange {
            last_offset_delta: header.last_offset_delta,
            count: header.record_count,
        });
    }
    if header.is_control() {
        return Err(BatchError::ControlBatch);
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        return Err(BatchError::BadSequence(header.base_sequence));
    }
    if header.has_producer_id() && header.producer_epoch < 0 {
        return Err(BatchError::BadEpoch(header.producer_epoch));
    }
    Ok(header)
}

/// Writes the base offset into a batch. It lies outside the checksum.
pub fn set_base_offset(batch: &mut [u8], base_offset: i64) {
    batch[..8].copy_from_slice(&base_offset.to_be_bytes());
}

/// Writes the leader epoch into a batch. It lies outside the checksum.
pub fn set_leader_epoch(batch: &mut [u8], leader_epoch: i32) {
    batch[LEADER_EPOCH..LEADER_EPOCH + 4].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// The max timestamp of a batch whose header is known to be whole, in ms since 1970.
pub fn max_timestamp(batch: &[u8]) -> i64 {
    i64_at(batch, MAX_TIMESTAMP)
}

/// Makes append time the time of all records of a batch (`message.timestamp.type=LogAppendTime`): sets the attribute and
/// the max timestamp and computes the checksum anew. `batch` is exactly one batch.
pub fn set_log_append_time(batch: &mut [u8], timestamp_ms: i64) {
    let attributes = i16_at(batch, ATTRIBUTES) | BIT_APPEND_TIME;
    batch[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP..MAX_TIMESTAMP + 8].copy_from_slice(&timestamp_ms.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
}

/// The CRC-32C of all bytes of a batch whose stored checksum is right, without going through those that it covers.
pub fn crc_of_whole(batch: &[u8]) -> u32 {
    let stored = i32_at(batch, CRC) as u32;
    crc32c_combined(crc32c(&batch[..ATTRIBUTES]), stored, batch.len() - ATTRIBUTES)
}

fn at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of N bytes")
}

fn i16_at(bytes: &[u8], offset: usize) -> i16 {
    i16::from_be_bytes(at(bytes, offset))
}

fn i32_at(bytes: &[u8], offset: usize) -> i32 {
    i32::from_be_bytes(at(bytes, offset))
}

fn i64_at(bytes: &[u8], offset: usize) -> i64 {
    i64::from_be_bytes(at(bytes, offset))
}
