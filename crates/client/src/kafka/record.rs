//! Records as a client holds them.

use bytes::Bytes;
use kolk_wire_kafka::records::record::decompressed;
use kolk_wire_kafka::records::{Batches, RecordError, RecordIter, TimestampType};

/// What a producer sends and a consumer gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBody {
    /// The key, if there is one.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since 1970; `None` = when it is sent.
    pub timestamp_ms: Option<i64>,
}

impl RecordBody {
    /// About what it takes in a batch, in bytes.
    pub(crate) fn size(&self) -> usize {
        let part = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len) + 5;
        let headers = self.headers.iter().map(|(name, value)| name.len() + 5 + part(value));
        part(&self.key) + part(&self.value) + headers.sum::<usize>() + 20
    }
}

/// A record with its place in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970, -1 if there is none.
    pub timestamp_ms: i64,
    /// Whether the timestamp is the broker's append time.
    pub is_append_time: bool,
    /// The rest.
    pub body: RecordBody,
}

/// A batch is not decompressed beyond this.
const BLOCK_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The records in the bytes of a records field from `offset` on, control records left out; and the offset behind the
/// last batch, which is where to read on. Checksums are compared. Parts are slices of the bytes, or of what was
/// decompressed.
pub fn decode_records(records: &Bytes, offset: i64) -> Result<(Vec<OwnedRecord>, Option<i64>), RecordError> {
    let mut found = Vec::new();
    let mut next = None;
    for batch in Batches::new(records.clone()) {
        let (header, batch) = batch?;
        next = Some(header.next_offset());
        header.check_crc(&batch)?;
        if header.is_control() || header.next_offset() <= offset {
            continue;
        }
        let block = decompressed(&header, &batch, BLOCK_BYTES_MAX)?;
        let part = |bytes: &[u8]| if bytes.is_empty() { Bytes::new() } else { block.slice_ref(bytes) };
        for record in RecordIter::new(&header, &block) {
            let record = record?;
            if record.offset < offset {
                continue;
            }
            let headers = record
                .headers
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map(part)));
            found.push(OwnedRecord {
                offset: record.offset,
                timestamp_ms: record.timestamp,
                is_append_time: header.timestamp_type() == TimestampType::LogAppendTime,
                body: RecordBody {
                    key: record.key.map(part),
                    value: record.value.map(part),
                    headers: headers.collect(),
                    timestamp_ms: Some(record.timestamp),
                },
            });
        }
    }
    Ok((found, next))
}
