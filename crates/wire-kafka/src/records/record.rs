//! The records in a batch (magic 2): read without a copy, written by a builder.
//!
//! ```text
//! record   varint length | int8 attributes (none yet) | varlong timestamp delta | varint offset delta
//!          varint key length, -1 null | key | varint value length, -1 null | value
//!          varint header count | per header: varint key length | key | varint value length, -1 null | value
//! ```
//! Varints are zigzag. Source: KIP-98 (layout), KIP-82 (headers).

use bytes::{BufMut, Bytes, BytesMut};

use super::batch::{self, BatchError, BatchHeader, Compression, HEADER_BYTES, TimestampType};
use super::compress::{self, CompressError};
use super::crc::crc32c;

/// Why the records of a batch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The batch itself is not right.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Its block cannot be decompressed.
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// A record's lengths do not fit one another or the block, or its offset the records before it or the header.
    #[error("record {index} is damaged: {why}")]
    Damaged {
        /// Position in the batch, from 0.
        index: usize,
        /// What does not fit.
        why: &'static str,
    },
    /// Bytes behind the last record.
    #[error("{0} bytes behind the last record")]
    Trailing(usize),
}

/// Cuts the bytes of a records field into batches of magic 2, each with its header. A last one that is cut short, as a
/// fetch may send it, ends the walk; what is not a batch is an error and ends it too. Checksums are not looked at.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    /// Over the bytes of a records field; the batches are slices of it.
    pub fn new(records: Bytes) -> Self {
        Batches { rest: records }
    }

    /// What was not cut off yet.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Batches {
    type Item = Result<(BatchHeader, Bytes), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        match BatchHeader::parse(&self.rest) {
            Ok(header) => Some(Ok((header, self.rest.split_to(header.total_bytes)))),
            Err(BatchError::Truncated { .. }) => None,
            Err(error) => {
                self.rest.clear();
                Some(Err(error))
            }
        }
    }
}

/// The records' block of a batch: a slice when it is not compressed, else decompressed to at most `limit` bytes.
pub fn decompressed(header: &BatchHeader, batch: &Bytes, limit: usize) -> Result<Bytes, RecordError> {
    let block = batch.slice(HEADER_BYTES..header.total_bytes);
    match header.compression()? {
        Compression::None => Ok(block),
        codec => Ok(compress::decompress(codec, &block, limit)?.into()),
    }
}

/// The same batch in another codec: unpacked and packed again piece by piece, in no more memory than the limits say; the
/// packed one is the whole batch's. Level as in [`compress::recompress`].
pub fn recompressed(
    header: &BatchHeader,
    batch: &[u8],
    limits: compress::Limits,
    codec: Compression,
    level: Option<i32>,
) -> Result<Bytes, RecordError> {
    let mut out = vec![0; HEADER_BYTES];
    let block = &batch[HEADER_BYTES..header.total_bytes];
    let limits = compress::Limits { packed: limits.packed.saturating_sub(HEADER_BYTES), ..limits };
    compress::recompress(header.compression()?, block, limits, codec, level, &mut out)?;
    // It is kept until it is in the log: the room it grew in is not.
    out.shrink_to_fit();
    let attributes = batch::with_codec(header.attributes, codec);
    Ok(sealed(BatchHeader { attributes, ..*header }, BytesMut::from(Bytes::from(out))))
}

/// A batch with its header in front of its records, length and checksum put right.
fn sealed(mut header: BatchHeader, mut out: BytesMut) -> Bytes {
    header.total_bytes = out.len();
    out[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
    header.crc = crc32c(&out[batch::ATTRIBUTES..]);
    out[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
    out.freeze()
}

/// One record, its parts slices of the block it was read from (`block.slice_ref(part)` makes one that stands alone).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; the batch's max timestamp when that is append time.
    pub timestamp: i64,
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
}

/// The headers of a record, read when asked for; they were checked with the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl Headers<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.count == 0 {
            return None;
        }
        self.count -= 1;
        let key = take_bytes(&mut self.bytes)??;
        let value = take_bytes(&mut self.bytes)?;
        Some((key, value))
    }
}

/// Walks the records of a decompressed block. Ends after the first error. Exactly the header's count of records has to
/// fill the block, and their offsets ascend and end where the header says or before.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    header: BatchHeader,
    rest: &'a [u8],
    index: usize,
    last_offset_delta: i32,
    done: bool,
}

impl<'a> RecordIter<'a> {
    /// Over the block that [`decompressed`] gave for the batch.
    pub fn new(header: &BatchHeader, block: &'a [u8]) -> Self {
        RecordIter { header: *header, rest: block, index: 0, last_offset_delta: -1, done: false }
    }

    /// Walks to the end without a look at any record: whether one of them has no key. Errors as the records would be.
    pub fn any_keyless(mut self) -> Result<bool, RecordError> {
        let mut keyless = false;
        loop {
            while let Some(has_key) = self.skip_plain() {
                keyless |= !has_key;
            }
            match self.next_record() {
                Some(record) => keyless |= record?.key.is_none(),
                None => return Ok(keyless),
            }
        }
    }

    /// Goes over a record such as nearly all are: numbers of at most three bytes, the offset behind the last one, no
    /// headers. Gives whether it has a key; `None`, with nothing gone over, of any other, damaged ones among them, which
    /// [`RecordIter::record`] judges.
    #[inline(always)]
    fn skip_plain(&mut self) -> Option<bool> {
        let word = |at: usize| Some(u64::from_le_bytes(*self.rest.get(at..)?.first_chunk()?));
        let front = word(0)?;
        let (length, length_bytes) = short(front)?;
        let (_timestamp_delta, timestamp_bytes) = short(front >> (8 * (length_bytes + ATTRIBUTES_BYTES)))?;
        let mut at = length_bytes + ATTRIBUTES_BYTES + timestamp_bytes;
        let front = word(at)?;
        let (offset_delta, offset_bytes) = short(front)?;
        let (key, key_bytes) = short(front >> (8 * offset_bytes))?;
        at += offset_bytes + key_bytes + short_size(key)?;
        let (value, value_bytes) = short(word(at)?)?;
        at += value_bytes + short_size(value)?;
        // No headers: their count is the last byte.
        let end = length_bytes + short_size(length).filter(|size| *size > 0)?;
        let (body, rest) = self.rest.split_at_checked(end)?;
        let offset_delta = i32::try_from(offset_delta).ok().filter(|raw| raw % 2 == 0)? / 2;
        let is_plain = at + 1 == end
            && body.last() == Some(&0)
            && offset_delta - 1 == self.last_offset_delta
            && offset_delta <= self.header.last_offset_delta
            && (self.index as i64) < i64::from(self.header.record_count);
        if !is_plain {
            return None;
        }
        self.rest = rest;
        self.last_offset_delta = offset_delta;
        self.index += 1;
        Some(key != SHORT_NULL)
    }

    // In a walk that wants little of a record, the rest of it is then not even made.
    #[inline(always)]
    fn next_record(&mut self) -> Option<Result<Record<'a>, RecordError>> {
        if self.done {
            return None;
        }
        if self.index as i64 >= i64::from(self.header.record_count) {
            self.done = true;
            return (!self.rest.is_empty()).then_some(Err(RecordError::Trailing(self.rest.len())));
        }
        let record = self.record().map_err(|why| RecordError::Damaged { index: self.index, why });
        self.done = record.is_err();
        self.index += 1;
        Some(record)
    }

    #[inline(always)]
    fn record(&mut self) -> Result<Record<'a>, &'static str> {
        let length = varint(&mut self.rest).ok_or("length")?;
        let length = usize::try_from(length).map_err(|_| "length")?;
        let (mut body, rest) = self.rest.split_at_checked(length).ok_or("longer than the block")?;
        self.rest = rest;
        let (_attributes, after) = body.split_first().ok_or("attributes")?;
        body = after;
        let timestamp_delta = varlong(&mut body).ok_or("timestamp")?;
        let offset_delta = varint(&mut body).ok_or("offset")?;
        let offset = self.header.record_offset(offset_delta, self.last_offset_delta).ok_or("offset")?;
        let key = take_bytes(&mut body).ok_or("key")?;
        let value = take_bytes(&mut body).ok_or("value")?;
        let count = varint(&mut body).ok_or("header count")?;
        let count = usize::try_from(count).map_err(|_| "header count")?;
        // A header takes two bytes at least.
        if count > body.len() / 2 {
            return Err("header count");
        }
        let headers = Headers { count, bytes: body };
        for _ in 0..count {
            take_bytes(&mut body).flatten().ok_or("header key")?;
            take_bytes(&mut body).ok_or("header value")?;
        }
        if !body.is_empty() {
            return Err("bytes behind the headers");
        }
        let timestamp = match self.header.timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp,
            TimestampType::CreateTime => self.header.base_timestamp.wrapping_add(timestamp_delta),
        };
        self.last_offset_delta = offset_delta;
        Ok(Record { offset, timestamp, key, value, headers })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record()
    }
}

/// Makes a batch of records. Set the public fields before or after the records are in.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    /// Offset of the first record; 0 in what a producer sends.
    pub base_offset: i64,
    /// -1 when unknown.
    pub leader_epoch: i32,
    /// Codec of the block.
    pub compression: Compression,
    /// With append time, all records count as written at the batch's max timestamp.
    pub timestamp_type: TimestampType,
    /// Producer id, epoch and the sequence number of the first record, for idempotent producers.
    pub producer: Option<(i64, i16, i32)>,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// Whether it holds a control record.
    pub control: bool,
    out: BytesMut,
    count: i32,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(compression: Compression) -> Self {
        Self::with_capacity(compression, 512)
    }

    /// An empty batch with room for `bytes` before compression, header included.
    pub fn with_capacity(compression: Compression, bytes: usize) -> Self {
        let mut out = BytesMut::with_capacity(bytes.max(HEADER_BYTES));
        out.put_bytes(0, HEADER_BYTES);
        BatchBuilder {
            base_offset: 0,
            leader_epoch: -1,
            compression,
            timestamp_type: TimestampType::CreateTime,
            producer: None,
            transactional: false,
            control: false,
            out,
            count: 0,
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
        }
    }

    /// Adds a record behind the last one. Header keys are UTF-8.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        let headers = headers.iter().map(|(key, value)| (key.as_bytes(), *value));
        self.append_at(self.last_offset_delta + 1, timestamp, key, value, headers);
    }

    /// Adds a record at a place of its own, behind the last one: compaction leaves gaps.
    ///
    /// # Panics
    /// When `offset_delta` is not behind the last record's.
    pub fn append_at<'h>(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = (&'h [u8], Option<&'h [u8]>)> + Clone,
    ) {
        assert!(offset_delta > self.last_offset_delta, "offsets ascend in a batch");
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let part = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => varlong_bytes(bytes.len() as i64) + bytes.len(),
            None => 1,
        };
        let mut length = 1
            + varlong_bytes(timestamp_delta)
            + varlong_bytes(i64::from(offset_delta))
            + part(key)
            + part(value)
            + varlong_bytes(headers.len() as i64);
        for (key, value) in headers.clone() {
            length += part(Some(key)) + part(value);
        }
        self.out.reserve(length + 5);
        put_varlong(&mut self.out, length as i64);
        self.out.put_u8(0);
        put_varlong(&mut self.out, timestamp_delta);
        put_varlong(&mut self.out, i64::from(offset_delta));
        put_part(&mut self.out, key);
        put_part(&mut self.out, value);
        put_varlong(&mut self.out, headers.len() as i64);
        for (key, value) in headers {
            put_part(&mut self.out, Some(key));
            put_part(&mut self.out, value);
        }
        self.count += 1;
        self.last_offset_delta = offset_delta;
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    /// Records so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// The batch with its checksum. Not compressed, the records are where they were written.
    pub fn build(mut self) -> Result<Bytes, CompressError> {
        if self.compression != Compression::None {
            let block = compress::compress(self.compression, &self.out[HEADER_BYTES..])?;
            self.out.truncate(HEADER_BYTES);
            self.out.extend_from_slice(&block);
        }
        let (producer_id, producer_epoch, base_sequence) = self.producer.unwrap_or((-1, -1, -1));
        let header = BatchHeader {
            base_offset: self.base_offset,
            total_bytes: self.out.len(),
            leader_epoch: self.leader_epoch,
            crc: 0,
            attributes: batch::attributes(
                self.compression,
                self.timestamp_type,
                self.transactional,
                self.control,
            ),
            last_offset_delta: self.last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            record_count: self.count,
        };
        Ok(sealed(header, self.out))
    }
}

fn put_part(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.put_slice(bytes);
        }
        None => put_varlong(out, -1),
    }
}

/// Zigzag, then seven bits a byte, low bits first. A varint is a varlong of a smaller number.
fn put_varlong(out: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

fn varlong_bytes(value: i64) -> usize {
    let bits = 64 - ((value << 1) ^ (value >> 63)).leading_zeros() as usize;
    bits.div_ceil(7).max(1)
}

/// Bytes in front of a record's timestamp.
const ATTRIBUTES_BYTES: usize = 1;
/// The length of what is null, before zigzag is undone.
const SHORT_NULL: u32 = 1;

/// A number of at most three bytes at the front of eight, zigzag not undone, and how many they are.
#[inline(always)]
fn short(front: u64) -> Option<(u32, usize)> {
    let front = front as u32;
    let low = front & 0x7f;
    if front & 0x80 == 0 {
        return Some((low, 1));
    }
    let low = low | front >> 1 & 0x3f80;
    if front & 0x8000 == 0 {
        return Some((low, 2));
    }
    (front & 0x80_0000 == 0).then_some((low | front >> 2 & 0x1f_c000, 3))
}

/// What follows a length of [`short`]: nothing where it is null.
#[inline(always)]
fn short_size(length: u32) -> Option<usize> {
    match length {
        SHORT_NULL => Some(0),
        _ => length.is_multiple_of(2).then_some(length as usize / 2),
    }
}

/// Nearly all are of one byte or two; the offsets of a batch of more than 8,192 records of three.
#[inline(always)]
fn varlong(bytes: &mut &[u8]) -> Option<i64> {
    match **bytes {
        [first @ ..0x80, ref rest @ ..] => {
            *bytes = rest;
            Some(unzigzag(u64::from(first)))
        }
        [first, second @ ..0x80, ref rest @ ..] => {
            *bytes = rest;
            Some(unzigzag(u64::from(first & 0x7f) | u64::from(second) << 7))
        }
        [first, second, third @ ..0x80, ref rest @ ..] => {
            *bytes = rest;
            let low = u64::from(first & 0x7f) | u64::from(second & 0x7f) << 7;
            Some(unzigzag(low | u64::from(third) << 14))
        }
        _ => long_varlong(bytes),
    }
}

/// One of any length.
#[cold]
fn long_varlong(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if shift == 63 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(unzigzag(value));
        }
    }
    None
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[inline(always)]
fn varint(bytes: &mut &[u8]) -> Option<i32> {
    varlong(bytes)?.try_into().ok()
}

/// A length and its bytes; `Some(None)` for null, `None` when they do not fit.
#[inline(always)]
fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(bytes)?;
    if length == -1 {
        return Some(None);
    }
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::check_produce_batch;

    /// Records of usual form are gone over by a short way: it takes what the long one takes, and nothing else.
    #[test]
    fn the_short_way_over_records_judges_as_the_long_one() {
        let long = |header: &BatchHeader, block: &[u8]| {
            let mut keyless = false;
            for record in RecordIter::new(header, block) {
                keyless |= record?.key.is_none();
            }
            Ok::<_, RecordError>(keyless)
        };
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(1000, Some(b"k0"), Some(b"v0"), &[]);
        builder.append(900, Some(b""), Some(&[7; 70]), &[("h", None), ("i", Some(b"x"))]);
        builder.append(1 << 40, Some(b"k2"), None, &[]);
        let keyed = builder.clone().build().unwrap();
        builder.append(1001, None, Some(b"some value"), &[]);
        builder.append(1002, Some(&[1; 30]), Some(b"other value"), &[]);
        let mut many = BatchBuilder::new(Compression::None);
        (0..9000).for_each(|_| many.append(1, Some(b"k"), Some(&[2; 100]), &[]));
        for (batch, keyless) in
            [(keyed, false), (builder.build().unwrap(), true), (many.build().unwrap(), false)]
        {
            let header = check_produce_batch(&batch).unwrap();
            let mut block = batch[HEADER_BYTES..].to_vec();
            assert_eq!(RecordIter::new(&header, &block).any_keyless(), Ok(keyless));
            for (record_count, last_offset_delta) in [(0, 0), (-1, -1), (-1, 0), (1, -1)] {
                let mut header = header;
                header.record_count += record_count;
                header.last_offset_delta += last_offset_delta;
                assert_eq!(RecordIter::new(&header, &block).any_keyless(), long(&header, &block));
            }
            for at in 0..block.len().min(300) {
                let right = block[at];
                for wrong in 0..=u8::MAX {
                    block[at] = wrong;
                    let walk = RecordIter::new(&header, &block[..block.len().min(400)]);
                    let found = walk.any_keyless();
                    assert_eq!(found, long(&header, &block[..block.len().min(400)]), "{wrong} at {at}");
                }
                block[at] = right;
                assert_eq!(RecordIter::new(&header, &block[..at]).any_keyless(), long(&header, &block[..at]));
            }
        }
    }

    fn sample(compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new(compression);
        builder.append(1000, Some(b"k0"), Some(b"v0"), &[]);
        builder.append(900, None, Some(&[7; 5000]), &[("h", None), ("i", Some(b"x"))]);
        builder.append(1 << 40, Some(b""), None, &[]);
        builder.producer = Some((42, 3, i32::MAX - 1));
        builder.build().unwrap()
    }

    #[test]
    fn records_come_back_with_any_codec() {
        for codec in
            [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
        {
            let batch = sample(codec);
            let header = check_produce_batch(&batch).unwrap();
            assert_eq!((header.record_count, header.max_timestamp, header.producer_id), (3, 1 << 40, 42));
            assert_eq!(header.last_sequence(), 0, "sequences wrap to 0 behind 2^31 - 1");
            let block = decompressed(&header, &batch, 1 << 16).unwrap();
            let records: Vec<Record> = RecordIter::new(&header, &block).map(Result::unwrap).collect();
            assert_eq!(records[0].key, Some(&b"k0"[..]));
            assert_eq!(records[1].timestamp, 900);
            assert_eq!(records[1].value, Some(&[7; 5000][..]));
            assert_eq!(records[1].headers.collect::<Vec<_>>(), [(&b"h"[..], None), (b"i", Some(&b"x"[..]))]);
            assert_eq!((records[2].offset, records[2].key, records[2].value), (2, Some(&b""[..]), None));
        }
    }

    #[test]
    fn uncompressed_records_are_not_copied() {
        let batch = sample(Compression::None);
        let header = BatchHeader::parse(&batch).unwrap();
        let block = decompressed(&header, &batch, 0).unwrap();
        assert_eq!(block.as_ptr(), batch[HEADER_BYTES..].as_ptr());
    }

    #[test]
    fn rewriting_offset_and_epoch_keeps_the_checksum() {
        let mut batch = BytesMut::from(&sample(Compression::Lz4)[..]);
        batch::set_base_offset(&mut batch, 123);
        batch::set_leader_epoch(&mut batch, 9);
        let header = BatchHeader::parse(&batch).unwrap();
        header.check_crc(&batch).unwrap();
        assert_eq!((header.base_offset, header.last_offset(), header.leader_epoch), (123, 125, 9));
        batch::set_log_append_time(&mut batch, 77);
        let header = BatchHeader::parse(&batch).unwrap();
        header.check_crc(&batch).unwrap();
        assert_eq!((header.timestamp_type(), header.max_timestamp), (TimestampType::LogAppendTime, 77));
        let block = decompressed(&header, &batch.freeze(), 1 << 16).unwrap();
        assert!(RecordIter::new(&header, &block).all(|record| record.unwrap().timestamp == 77));
    }

    #[test]
    fn what_a_producer_may_not_send() {
        let refused = |change: &dyn Fn(&mut BatchHeader)| {
            let mut batch = BytesMut::from(&sample(Compression::None)[..]);
            let mut header = BatchHeader::parse(&batch).unwrap();
            change(&mut header);
            batch[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
            header.crc = crc32c(&batch[batch::ATTRIBUTES..]);
            batch[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
            check_produce_batch(&batch).unwrap_err()
        };
        assert_eq!(refused(&|h| h.base_offset = 5), BatchError::BaseOffsetNotZero(5));
        assert_eq!(refused(&|h| h.record_count = 0), BatchError::BadCount(0));
        assert_eq!(
            refused(&|h| h.record_count = 4),
            BatchError::OffsetRange { last_offset_delta: 2, count: 4 }
        );
        assert_eq!(refused(&|h| h.attributes |= 0x20), BatchError::ControlBatch);
        assert_eq!(refused(&|h| h.attributes |= 7), BatchError::UnknownCodec(7));
        assert_eq!(refused(&|h| h.base_sequence = -1), BatchError::BadSequence(-1));

        let whole = sample(Compression::None);
        assert_eq!(check_produce_batch(&[]), Err(BatchError::Empty));
        assert_eq!(check_produce_batch(&[&whole[..], &whole[..]].concat()), Err(BatchError::MoreThanOne));
        for cut in 1..whole.len() {
            assert!(matches!(check_produce_batch(&whole[..cut]), Err(BatchError::Truncated { .. })), "{cut}");
        }
        for at in 12..whole.len() {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 0x10;
            let result = check_produce_batch(&flipped);
            // The leader epoch lies outside the checksum.
            assert_eq!(result.is_err(), at >= 16, "{at}");
        }
    }

    #[test]
    fn hostile_blocks_are_errors() {
        let whole = sample(Compression::None);
        let header = BatchHeader::parse(&whole).unwrap();
        let block = &whole[HEADER_BYTES..];
        for cut in 0..block.len() {
            assert!(RecordIter::new(&header, &block[..cut]).any(|record| record.is_err()), "{cut}");
        }
        for at in 0..40 {
            for value in [0x00, 0x7f, 0x80, 0xff] {
                let mut hostile = block.to_vec();
                hostile[at] = value;
                assert!(RecordIter::new(&header, &hostile).count() <= 4);
            }
        }
        let more = [block, &[0]].concat();
        assert_eq!(RecordIter::new(&header, &more).last(), Some(Err(RecordError::Trailing(1))));
    }

    /// Readers go on behind the record they read: an offset outside its batch would take them along.
    #[test]
    fn offsets_ascend_inside_the_batch() {
        let mut builder = BatchBuilder::new(Compression::None);
        for delta in [0, 3, 4] {
            builder.append_at(delta, 1, None, Some(b"v"), std::iter::empty());
        }
        let whole = builder.build().unwrap();
        let mut header = BatchHeader::parse(&whole).unwrap();
        let block = &whole[HEADER_BYTES..];
        let read = |header: &BatchHeader, block: &[u8]| -> Vec<Result<i64, RecordError>> {
            RecordIter::new(header, block).map(|record| record.map(|record| record.offset)).collect()
        };
        assert_eq!(read(&header, block), [Ok(0), Ok(3), Ok(4)], "compaction leaves gaps");
        let damaged = |index| Err(RecordError::Damaged { index, why: "offset" });
        header.last_offset_delta = 3;
        assert_eq!(read(&header, block), [Ok(0), Ok(3), damaged(2)], "behind the header's last");
        header.last_offset_delta = 4;
        let record = block.len() / 3;
        let delta = 3 + 2 * record;
        for (value, why) in [(6, "the same again"), (4, "back"), (1, "negative")] {
            let mut changed = block.to_vec();
            assert_eq!(changed[delta], 8, "4 as a zigzag varint");
            changed[delta] = value;
            assert_eq!(read(&header, &changed), [Ok(0), Ok(3), damaged(2)], "{why}");
        }
    }

    #[test]
    fn a_cut_batch_at_the_end_is_left_alone() {
        let whole = sample(Compression::None);
        let two_and_a_half = Bytes::from([&whole[..], &whole[..], &whole[..90]].concat());
        let mut batches = Batches::new(two_and_a_half);
        assert_eq!(batches.by_ref().map(Result::unwrap).count(), 2);
        assert_eq!(batches.rest().len(), 90);
    }

    #[test]
    fn varlongs_of_all_sizes() {
        for value in [0, -1, 1, 63, 64, -64, -65, 1 << 20, i64::from(i32::MIN), i64::MAX, i64::MIN] {
            let mut out = BytesMut::new();
            put_varlong(&mut out, value);
            assert_eq!(out.len(), varlong_bytes(value), "{value}");
            assert_eq!(varlong(&mut &out[..]), Some(value));
        }
        assert_eq!(varlong(&mut &[0xff; 11][..]), None);
        assert_eq!(varint(&mut &[0xff, 0xff, 0xff, 0xff, 0x7f][..]), None, "over 32 bits");
    }
}
