//! A page of records as a series of pieces: base64 and framing are made while the answer is sent, so that a page of
//! 10 MiB is never there twice.

use bytes::Bytes;

use super::{Format, Writer};
use crate::model::kinds::{Kind as _, List};
use crate::model::replies::{ChildShard, GetRecordsOutput, Record};

/// How large a piece grows before it is given out; the last record may overshoot it.
const PIECE_BYTES: usize = 256 * 1024;

/// The body of a GetRecords answer, piece by piece; joined, they are what [`super::encode`] writes.
pub struct RecordsPieces {
    writer: Box<dyn Writer + Send>,
    records: std::vec::IntoIter<Record>,
    ended: bool,
}

impl std::fmt::Debug for RecordsPieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordsPieces").field("records_left", &self.records.len()).finish_non_exhaustive()
    }
}

impl RecordsPieces {
    /// Pieces of `output`.
    pub fn new(format: Format, output: GetRecordsOutput) -> Self {
        let GetRecordsOutput { child_shards, millis_behind_latest, next_shard_iterator, records } = output;
        let mut writer = format.writer(1024);
        writer.open_map();
        if let Some(child_shards) = &child_shards {
            writer.key("ChildShards");
            List::<ChildShard>::write(child_shards, &mut *writer);
        }
        if let Some(millis) = millis_behind_latest {
            writer.key("MillisBehindLatest");
            writer.integer(millis);
        }
        if let Some(iterator) = &next_shard_iterator {
            writer.key("NextShardIterator");
            writer.text(iterator);
        }
        writer.key("Records");
        writer.open_list();
        RecordsPieces { writer, records: records.into_iter(), ended: false }
    }
}

impl Iterator for RecordsPieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while !self.ended && self.writer.len() < PIECE_BYTES {
            match self.records.next() {
                Some(record) => Record::write(&record, &mut *self.writer),
                None => {
                    self.writer.close_list();
                    self.writer.close_map();
                    self.ended = true;
                }
            }
        }
        Some(self.writer.take()).filter(|piece| !piece.is_empty())
    }
}
