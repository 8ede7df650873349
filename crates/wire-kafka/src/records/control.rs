//! Control records: the markers that end a transaction in each of its partitions (KIP-98).
//!
//! ```text
//! key    int16 version 0 | int16 type: 0 abort, 1 commit
//! value  int16 version 0 | int32 coordinator epoch
//! ```
//! A control batch holds one of them, is transactional, counts one offset, and is never shown to applications.

use bytes::Bytes;

use super::{BatchBuilder, Compression, Record};

/// The end of a producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Whether the transaction's records count.
    pub commit: bool,
    /// Epoch of the coordinator that wrote it.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// The marker as a batch of its own.
    pub fn to_batch(
        self,
        base_offset: i64,
        producer_id: i64,
        producer_epoch: i16,
        timestamp_ms: i64,
    ) -> Bytes {
        let key = [0, 0, 0, u8::from(self.commit)];
        let mut value = [0; 6];
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        let mut builder = BatchBuilder::new(Compression::None);
        builder.base_offset = base_offset;
        builder.producer = Some((producer_id, producer_epoch, -1));
        builder.transactional = true;
        builder.control = true;
        builder.append(timestamp_ms, Some(&key), Some(&value), &[]);
        builder.build().expect("nothing is compressed")
    }

    /// The marker in a record of a control batch; `None` when it is another kind of control record. Versions above 0 are
    /// read by what version 0 has.
    pub fn from_record(record: &Record<'_>) -> Option<EndTxnMarker> {
        let commit = match record.key?.get(2..4)? {
            [0, 0] => false,
            [0, 1] => true,
            _ => return None,
        };
        let epoch = record.value?.get(2..6)?;
        Some(EndTxnMarker { commit, coordinator_epoch: i32::from_be_bytes(epoch.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{BatchHeader, RecordIter, record::decompressed};

    #[test]
    fn a_marker_comes_back() {
        for commit in [false, true] {
            let marker = EndTxnMarker { commit, coordinator_epoch: 5 };
            let batch = marker.to_batch(10, 99, 2, 1234);
            let header = BatchHeader::parse(&batch).unwrap();
            header.check_crc(&batch).unwrap();
            assert!(header.is_control() && header.is_transactional());
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (99, 2, -1));
            let block = decompressed(&header, &batch, 0).unwrap();
            let record = RecordIter::new(&header, &block).next().unwrap().unwrap();
            assert_eq!((record.offset, EndTxnMarker::from_record(&record)), (10, Some(marker)));
        }
    }
}
