//! Looking over the records of a batch without holding them: what it takes to find a timestamp, or a record without a
//! key, in a batch that may unpack to a thousand times its size.
//!
//! Promises: the same records, errors and order as [`RecordIter`](super::RecordIter) over the decompressed block, in
//! memory of one window of the codec (of raw snappy, which has none: of the block).

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::ops::ControlFlow;

use bytes::Bytes;

use super::batch::{BatchHeader, HEADER_BYTES, TimestampType};
use super::compress;
use super::record::RecordError;

/// What is seen of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Its place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; the batch's max timestamp when that is append time.
    pub timestamp: i64,
    /// Whether it has a key.
    pub has_key: bool,
}

/// Shows `look` every record of a batch, in order, until it breaks. A block of more than `limit` bytes is an error once
/// so many were read. Gives the bytes of the block that were looked over.
pub fn glance(
    header: &BatchHeader,
    batch: &Bytes,
    limit: usize,
    mut look: impl FnMut(Glance) -> ControlFlow<()>,
) -> Result<usize, RecordError> {
    let block = &batch[HEADER_BYTES..header.total_bytes];
    let codec = header.compression()?;
    let reader = compress::reader(codec, block, limit)?;
    let reader = BufReader::with_capacity(8 * 1024, reader);
    let mut walk = Walk { reader, left: u64::MAX, seen: 0, last_offset_delta: -1 };
    for index in 0..usize::try_from(header.record_count).unwrap_or(0) {
        let fault = match walk.record(header) {
            Ok(record) => {
                if look(record).is_break() {
                    return Ok(walk.seen);
                }
                continue;
            }
            Err(fault) => fault,
        };
        return Err(match fault {
            Fault::Record(why) => RecordError::Damaged { index, why },
            Fault::Block(error) => compress::of_read(codec, limit, error).into(),
        });
    }
    let mut rest = [0];
    match walk.reader.read(&mut rest) {
        Ok(0) => Ok(walk.seen),
        Ok(_) => Err(RecordError::Trailing(1)),
        Err(error) => Err(compress::of_read(codec, limit, error).into()),
    }
}

/// Why a record could not be read.
enum Fault {
    Record(&'static str),
    Block(std::io::Error),
}

/// A place in the block.
struct Walk<R> {
    reader: BufReader<R>,
    /// Bytes left of the record.
    left: u64,
    /// Bytes of the block so far.
    seen: usize,
    /// Offset delta of the record before.
    last_offset_delta: i32,
}

impl<R: Read> Walk<R> {
    fn record(&mut self, header: &BatchHeader) -> Result<Glance, Fault> {
        self.left = u64::MAX;
        let length = self.varint("length")?;
        self.left = u64::try_from(length).map_err(|_| Fault::Record("length"))?;
        self.byte("attributes")?;
        let timestamp_delta = self.varlong("timestamp")?;
        let offset_delta = self.varint("offset")?;
        let offset =
            header.record_offset(offset_delta, self.last_offset_delta).ok_or(Fault::Record("offset"))?;
        self.last_offset_delta = offset_delta;
        let has_key = self.part("key")?;
        self.part("value")?;
        let count = self.varint("header count")?;
        let count = u64::try_from(count).map_err(|_| Fault::Record("header count"))?;
        if count > self.left / 2 {
            return Err(Fault::Record("header count"));
        }
        for _ in 0..count {
            if !self.part("header key")? {
                return Err(Fault::Record("header key"));
            }
            self.part("header value")?;
        }
        if self.left > 0 {
            return Err(Fault::Record("bytes behind the headers"));
        }
        let timestamp = match header.timestamp_type() {
            TimestampType::LogAppendTime => header.max_timestamp,
            TimestampType::CreateTime => header.base_timestamp.wrapping_add(timestamp_delta),
        };
        Ok(Glance { offset, timestamp, has_key })
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, Fault> {
        self.left = self.left.checked_sub(1).ok_or(Fault::Record(what))?;
        let mut byte = [0];
        match self.reader.read_exact(&mut byte) {
            Ok(()) => {
                self.seen += 1;
                Ok(byte[0])
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(Fault::Record(what)),
            Err(error) => Err(Fault::Block(error)),
        }
    }

    fn varlong(&mut self, what: &'static str) -> Result<i64, Fault> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte(what)?;
            if shift == 63 && byte > 1 {
                return Err(Fault::Record(what));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Fault::Record(what))
    }

    fn varint(&mut self, what: &'static str) -> Result<i32, Fault> {
        i32::try_from(self.varlong(what)?).map_err(|_| Fault::Record(what))
    }

    /// Skips a length and its bytes; tells whether it was not null.
    fn part(&mut self, what: &'static str) -> Result<bool, Fault> {
        let length = self.varint(what)?;
        if length == -1 {
            return Ok(false);
        }
        let mut skip = u64::try_from(length).map_err(|_| Fault::Record(what))?;
        self.left = self.left.checked_sub(skip).ok_or(Fault::Record(what))?;
        while skip > 0 {
            let here = self.reader.fill_buf().map_err(Fault::Block)?.len() as u64;
            if here == 0 {
                return Err(Fault::Record(what));
            }
            let step = here.min(skip);
            self.reader.consume(step as usize);
            self.seen += step as usize;
            skip -= step;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::record::decompressed;
    use crate::records::{BatchBuilder, CompressError, Compression, RecordIter};

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn both(batch: &Bytes) -> (Vec<Glance>, Option<RecordError>, Vec<Glance>, Option<RecordError>) {
        let header = BatchHeader::parse(batch).unwrap();
        let mut seen = Vec::new();
        let glanced = glance(&header, batch, 1 << 20, |record| {
            seen.push(record);
            ControlFlow::Continue(())
        });
        let mut read = Vec::new();
        let mut failed = None;
        match decompressed(&header, batch, 1 << 20) {
            Err(error) => failed = Some(error),
            Ok(block) => {
                for record in RecordIter::new(&header, &block) {
                    match record {
                        Ok(record) => read.push(Glance {
                            offset: record.offset,
                            timestamp: record.timestamp,
                            has_key: record.key.is_some(),
                        }),
                        Err(error) => failed = Some(error),
                    }
                }
            }
        }
        (seen, glanced.err(), read, failed)
    }

    fn sample(codec: Compression) -> Bytes {
        let mut builder = BatchBuilder::new(codec);
        builder.append(1000, Some(b"k0"), Some(b"v0"), &[]);
        builder.append(900, None, Some(&[7; 50_000]), &[("h", None), ("i", Some(b"x"))]);
        builder.append(1 << 40, Some(b""), None, &[]);
        builder.build().unwrap()
    }

    #[test]
    fn it_sees_what_the_iterator_sees() {
        for codec in ALL {
            let (seen, glanced, read, failed) = both(&sample(codec));
            assert_eq!((&seen, glanced, failed), (&read, None, None), "{codec:?}");
            assert_eq!(seen.len(), 3);
        }
    }

    #[test]
    fn damage_is_found_at_the_same_record() {
        let whole = sample(Compression::None);
        for at in HEADER_BYTES..HEADER_BYTES + 60 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.to_vec();
                damaged[at] = value;
                let (seen, glanced, read, failed) = both(&damaged.into());
                assert_eq!(seen, read, "{at} {value}");
                let place = |error: Option<RecordError>| match error {
                    Some(RecordError::Damaged { index, .. }) => Some(index),
                    Some(RecordError::Trailing(_)) => Some(usize::MAX),
                    _ => None,
                };
                assert_eq!(place(glanced), place(failed), "{at} {value}");
            }
        }
    }

    /// A batch of zeros is a thousand times smaller packed than unpacked.
    #[test]
    fn a_bomb_ends_at_the_limit() {
        for codec in &ALL[1..] {
            let mut builder = BatchBuilder::new(*codec);
            for _ in 0..4 {
                builder.append(0, None, Some(&vec![0; 1 << 20]), &[]);
            }
            let batch = builder.build().unwrap();
            let header = BatchHeader::parse(&batch).unwrap();
            let mut seen = 0;
            let ended = glance(&header, &batch, 3 << 20, |_| {
                seen += 1;
                ControlFlow::Continue(())
            });
            let limit = 3 << 20;
            assert_eq!(ended, Err(RecordError::Compress(CompressError::TooLarge { limit })), "{codec:?}");
            assert!(seen < 3);
        }
    }
}
