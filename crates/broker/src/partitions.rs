//! Records in and out, as both faces mean it: what a producer may send, what a reader gets, offsets, trimming.
//!
//! Owns the checks that need no state and are made outside every lock, and the memory that a read may pin. Leaves every
//! decision (offsets, sequences, limits) to the engine.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use kolk_engine::state::configs::{self, ConfigDefaults};
use kolk_engine::state::{Command, Outcome, Refusal, Topic, TrimBy};
use kolk_engine::{
    Batch, EngineError, Offset, PartitionId, PartitionRead, Pending, ProducerStamp, ReadError, ReadRequest,
};
use kolk_wire_kafka::records::batch::HEADER_BYTES;
use kolk_wire_kafka::records::compress::Limits;
use kolk_wire_kafka::records::record::{self, RecordError};
use kolk_wire_kafka::records::{self, BatchError, BatchHeader, CompressError, Compression, RecordIter};

use crate::admission::Beside;
use crate::gather;
use crate::topics::is_compacted;
use crate::unreadable::{self, Met};
use crate::{Broker, Class, Permit};

/// Why a batch is refused before anything is decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchRefusal {
    /// Length, magic, checksum, counts or codec are wrong.
    #[error(transparent)]
    Malformed(#[from] BatchError),
    /// Its records had to be looked at and do not decode.
    #[error("the records do not decode: {0}")]
    Undecodable(RecordError),
    /// zstd in a request version that is older than zstd.
    #[error("Produce requests before version 7 cannot use zstd")]
    ZstdTooEarly,
    /// It belongs to a transaction, and no transaction is open.
    #[error("the batch belongs to a transaction that is not open")]
    Transactional,
    /// Records without a key on a compacted topic, by their index in the batch.
    #[error("a compacted topic takes no records without a key")]
    Keyless(Vec<i32>),
    /// In the topic's codec it is larger than the topic takes.
    #[error("in the topic's codec the batch is larger than {limit} bytes")]
    TooLarge {
        /// `max.message.bytes`.
        limit: usize,
    },
    /// What it is in the topic's codec finds no room now, beside the other batches of the request.
    #[error("there is no memory left to put the batch into the topic's codec; try again")]
    NoRoom,
}

/// What checking a batch needs to know.
#[derive(Clone, Copy, Debug)]
pub struct BatchRules {
    /// The topic is compacted: its records must have keys.
    pub compacted: bool,
    /// zstd is allowed.
    pub zstd: bool,
    /// What batches are stored in; `None`: as they come.
    pub codec: Option<TopicCodec>,
    /// Bytes that the records of a batch may unpack to where they have to be looked at.
    pub unpacked_bytes_max: usize,
    /// Bytes of a batch (`max.message.bytes`), looked at where it is packed anew; the state looks at all.
    pub batch_bytes_max: usize,
}

/// A batch that may be appended.
#[derive(Clone, Debug)]
pub struct Checked {
    /// It.
    pub batch: Batch,
    /// Bytes of it that are not those of the request: what it was packed anew to.
    pub own_bytes: usize,
}

/// `compression.type` other than `producer`, and its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicCodec {
    /// The codec.
    pub codec: Compression,
    /// Its level, where it has one to set.
    pub level: Option<i32>,
}

impl TopicCodec {
    /// What a topic asks for; `None` for `producer`.
    pub fn of(topic: &Topic, defaults: &ConfigDefaults) -> Option<TopicCodec> {
        let level = |name| i32::try_from(configs::effective_number(topic, defaults, name)).ok();
        let (codec, level) = match configs::effective(topic, defaults, "compression.type") {
            "uncompressed" => (Compression::None, None),
            "gzip" => (Compression::Gzip, level("compression.gzip.level")),
            "snappy" => (Compression::Snappy, None),
            "lz4" => (Compression::Lz4, None),
            "zstd" => (Compression::Zstd, level("compression.zstd.level")),
            _ => return None,
        };
        Some(TopicCodec { codec, level })
    }
}

impl BatchRules {
    /// The rules of a topic, zstd allowed.
    pub fn of(topic: &Topic, defaults: &ConfigDefaults) -> BatchRules {
        let unpacked = configs::effective_number(topic, defaults, "max.decompressed.message.bytes");
        BatchRules {
            compacted: is_compacted(topic, defaults),
            zstd: true,
            codec: TopicCodec::of(topic, defaults),
            unpacked_bytes_max: usize::try_from(unpacked).unwrap_or(0).min(UNPACKED_BYTES_MAX),
            batch_bytes_max: usize::try_from(configs::effective_number(topic, defaults, "max.message.bytes"))
                .unwrap_or(0),
        }
    }
}

/// What looking into a batch has in memory at once, in bytes, where that is more than any batch may take: to be had
/// before it is checked. None for what is not looked into.
pub fn looking_bytes(batch: &[u8], rules: BatchRules) -> usize {
    let Ok(header) = BatchHeader::parse(batch) else { return 0 };
    let (Ok(codec), Some(block)) = (header.compression(), batch.get(HEADER_BYTES..)) else { return 0 };
    if !rules.compacted && rules.codec.is_none_or(|wanted| wanted.codec == codec) {
        return 0;
    }
    match records::compress::standing_bytes(codec, block, rules.unpacked_bytes_max) {
        bytes if bytes > LOOKED_BYTES_USUAL => bytes,
        _ => 0,
    }
}

/// Checks what a producer sent for one partition. Records that are not compressed have to be those that the header counts.
/// The bytes are neither unpacked nor copied, but on compacted topics (unpacked) and where the topic asks for another
/// codec (unpacked and packed again).
pub fn check_batch(mut bytes: Bytes, rules: BatchRules) -> Result<Checked, BatchRefusal> {
    let header = records::check_produce_batch(&bytes)?;
    if header.is_transactional() {
        return Err(BatchRefusal::Transactional);
    }
    let compression = header.compression()?;
    if !rules.zstd && compression == Compression::Zstd {
        return Err(BatchRefusal::ZstdTooEarly);
    }
    let mut has_keyless = false;
    let other_codec = rules.codec.filter(|wanted| wanted.codec != compression);
    if rules.compacted || other_codec.is_some() {
        if other_codec.is_none() && bytes.len() > rules.batch_bytes_max {
            // The state would refuse it, after it was looked into.
            return Err(BatchRefusal::TooLarge { limit: rules.batch_bytes_max });
        }
        let keyless = keyless_records(&header, &bytes, rules)?;
        if !keyless.is_empty() {
            return Err(BatchRefusal::Keyless(keyless));
        }
    } else if compression == Compression::None {
        // What no reader could take is refused while its producer can be told.
        let records = RecordIter::new(&header, &bytes[HEADER_BYTES..]);
        has_keyless = records.any_keyless().map_err(BatchRefusal::Undecodable)?;
    }
    let mut own_bytes = 0;
    if let Some(TopicCodec { codec, level }) = other_codec {
        let limits = Limits { unpacked: rules.unpacked_bytes_max, packed: rules.batch_bytes_max };
        bytes = record::recompressed(&header, &bytes, limits, codec, level).map_err(|error| match error {
            RecordError::Compress(CompressError::PackedTooLarge { .. }) => {
                BatchRefusal::TooLarge { limit: rules.batch_bytes_max }
            }
            error => BatchRefusal::Undecodable(error),
        })?;
        own_bytes = bytes.len();
    }
    let producer = header.has_producer_id().then_some(ProducerStamp {
        id: header.producer_id,
        epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
    });
    let batch = Batch {
        bytes,
        offset_count: header.last_offset_delta + 1,
        max_timestamp_ms: header.max_timestamp,
        base_timestamp_ms: header.base_timestamp,
        producer,
        has_keyless,
    };
    Ok(Checked { batch, own_bytes })
}

/// Answers of a read, and the budget that holds what they pin.
#[derive(Debug)]
pub struct ReadReply {
    /// In the order of the request.
    pub partitions: Vec<Result<PartitionRead, ReadError>>,
    /// Bytes that the records have in memory, or are brought there.
    pub record_bytes: usize,
    /// Holds these, and what the reader's answer takes; to be kept until both are gone.
    pub permit: Permit,
}

/// What of a request is held while it is read for.
#[derive(Clone, Copy, Debug)]
pub struct ReadCosts {
    /// What stays of the request while it waits, in bytes.
    pub kept: usize,
    /// What the answer takes beside its records, in bytes.
    pub answer: usize,
}

/// What a read may take when the budget is full: the client gets little, and asks again.
const READ_BYTES_MIN: usize = 64 * 1024;

/// A read for which there is no room to wait in waits so long at most, for records and then for room, in milliseconds, and
/// the client asks again. It holds what others may be queueing for.
const CROWDED_WAIT_MS: u64 = 500;

impl Broker {
    /// [`kolk_engine::Engine::read`] within the byte budget: what lies in memory is charged, what is brought there to be
    /// sent, and the answer that is made of it. While the budget is full the read waits, pinning nothing, and is then done
    /// again. Small pieces that lie in files are read at once, the first of them: what of a partition cannot be read can
    /// still be its error.
    ///
    /// `held` is what the caller's request holds itself. What of it stays is held where nobody queues while the read
    /// waits, for records as long as the client likes, or for room; the rest is given back before. Where there is no room
    /// for that, it keeps what others may queue for, or two readers could wait for each other: it then waits not long, and
    /// ends without records.
    pub async fn read(
        &self,
        mut request: ReadRequest,
        mut held: Permit,
        costs: ReadCosts,
    ) -> Result<ReadReply, EngineError> {
        let admission = self.admission();
        let is_crowded = match admission.try_wait(costs.kept) {
            Some(waiting) => {
                held = waiting;
                false
            }
            None => {
                held.shrink(costs.kept.max(costs.answer));
                request.max_wait_ms = request.max_wait_ms.min(CROWDED_WAIT_MS);
                true
            }
        };
        // A quarter of what is left: clients that take their replies slowly, or never, leave room for others.
        let share = (admission.available() / 4).max(READ_BYTES_MIN);
        request.max_bytes = request.max_bytes.min(share);
        request.min_bytes = request.min_bytes.min(request.max_bytes);
        let ids: Vec<PartitionId> = request.reads.iter().map(|read| read.partition).collect();
        // What is cut is cut between batches.
        request.with_batches |= !self.unreadable().among(ids.iter().copied()).is_empty();
        let mut partitions = self.engine().read(request.clone()).await?;
        let mut record_bytes = to_hold(&partitions);
        let bytes = record_bytes + costs.answer;
        let mut permit = admission.try_admit(bytes, Class::Data);
        if permit.is_none() {
            // What they pin is let go.
            partitions.iter_mut().flatten().for_each(|read| read.pieces.clear());
            let admitted = admission.admit(bytes, Class::Data, Beside::Nothing);
            let at_most = Duration::from_millis(if is_crowded { CROWDED_WAIT_MS } else { u64::MAX });
            permit = tokio::time::timeout(at_most, admitted).await.ok();
            if let Some(granted) = &mut permit {
                drop(partitions);
                request.max_bytes = request.max_bytes.min(record_bytes);
                request.max_wait_ms = 0;
                partitions = self.engine().read(request).await?;
                granted.shrink(to_hold(&partitions) + costs.answer);
            }
            record_bytes = to_hold(&partitions);
        }
        self.read_ahead(&ids, &mut partitions).await?;
        Ok(ReadReply { partitions, record_bytes, permit: permit.unwrap_or(held) })
    }

    /// Gathers the first small pieces, and looks whether suspected partitions can be read. What of a partition comes before
    /// what cannot be read is its answer; nothing before it, an error.
    async fn read_ahead(
        &self,
        ids: &[PartitionId],
        partitions: &mut [Result<PartitionRead, ReadError>],
    ) -> Result<(), EngineError> {
        let told = partitions.iter().filter(|read| matches!(read, Err(ReadError::Unreadable { .. })));
        self.unreadable().before.add(told.count() as u64);
        let mut places = Vec::new();
        let mut pieces = Vec::new();
        for (partition, read) in partitions.iter_mut().enumerate() {
            let read = read.iter_mut().flat_map(|read| read.pieces.iter_mut().enumerate());
            for (index, piece) in read.filter(|(_, piece)| gather::is_small(piece)) {
                places.push((partition, index));
                pieces.push(piece);
            }
        }
        // The first failure of each partition comes first.
        for (failed, error) in self.gatherer().gather(&mut pieces).await {
            let (partition, index) = places[failed];
            if let Ok(read) = &mut partitions[partition]
                && index < read.pieces.len()
            {
                unreadable::cut(read, index).await;
                self.tell(ids[partition], &mut partitions[partition], error)?;
            }
        }
        for suspect in self.unreadable().among(ids.iter().copied()) {
            if let Ok(read) = &mut partitions[suspect]
                && let Some(error) = unreadable::check(read).await
            {
                self.tell(ids[suspect], &mut partitions[suspect], error)?;
            }
        }
        Ok(())
    }

    /// Makes the error the answer of a partition of which nothing else is left to answer.
    fn tell(
        &self,
        id: PartitionId,
        answer: &mut Result<PartitionRead, ReadError>,
        error: EngineError,
    ) -> Result<(), EngineError> {
        let EngineError::Read(reason) = error else { return Err(error) };
        self.unreadable().note(id, &reason, Met::Before);
        if answer.as_ref().is_ok_and(PartitionRead::is_empty) {
            *answer = Err(ReadError::Unreadable { reason });
        }
        Ok(())
    }

    /// Moves a partition's log start forward (DeleteRecords); `None` means to the high watermark. Answers the new one.
    pub fn delete_records(
        &self,
        partition: PartitionId,
        to: Option<Offset>,
    ) -> Pending<Result<Offset, Refusal>> {
        self.propose(Command::Trim { partition, to, by: TrimBy::Client }).map(|outcome| {
            outcome.map(|outcome| match outcome {
                Outcome::Trimmed { log_start } => log_start,
                other => unreachable!("a trim answers with the log start, not {other:?}"),
            })
        })
    }
}

/// Memory that an answer takes until it is sent.
fn to_hold(partitions: &[Result<PartitionRead, ReadError>]) -> usize {
    gather::to_hold(partitions.iter().flatten().flat_map(|read| &read.pieces))
}

/// Where a batch is looked into, it may unpack to so much at the most, whatever the topic says.
const UNPACKED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What any batch may take in memory where it is looked into: no client writes frames of a larger window by itself.
const LOOKED_BYTES_USUAL: usize = 4 * 1024 * 1024;

/// Records without a key that a refusal names.
const KEYLESS_NAMED_MAX: usize = 1000;

/// Indexes of the records without a key, the first of them, where the topic does not take any; an error if the records
/// are not those that the header counts. The batch may unpack to far more than it is: its records
/// are looked over, not held.
fn keyless_records(header: &BatchHeader, batch: &Bytes, rules: BatchRules) -> Result<Vec<i32>, BatchRefusal> {
    let mut keyless = Vec::new();
    let mut index = 0;
    records::glance::glance(header, batch, rules.unpacked_bytes_max, |record| {
        if rules.compacted && !record.has_key {
            keyless.push(index);
        }
        index += 1;
        if keyless.len() < KEYLESS_NAMED_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(BatchRefusal::Undecodable)?;
    Ok(keyless)
}

#[cfg(test)]
mod tests {
    use kolk_wire_kafka::records::BatchBuilder;

    use super::*;

    const RULES: BatchRules = BatchRules {
        compacted: false,
        zstd: true,
        codec: None,
        unpacked_bytes_max: 1 << 20,
        batch_bytes_max: 1 << 20,
    };

    fn batch(compression: Compression, keys: &[Option<&[u8]>]) -> Bytes {
        let mut builder = BatchBuilder::new(compression);
        for key in keys {
            builder.append(1, *key, Some(b"v"), &[]);
        }
        builder.build().unwrap()
    }

    /// What a connection knows of a topic may be older than its `cleanup.policy`: the state refuses what it is told of.
    #[test]
    fn a_batch_says_whether_a_key_is_missing() {
        let says = |compression, keys: &[Option<&[u8]>]| {
            check_batch(batch(compression, keys), RULES).unwrap().batch.has_keyless
        };
        assert!(says(Compression::None, &[Some(b"k"), None]));
        assert!(!says(Compression::None, &[Some(b"k"), Some(b"")]));
        assert!(!says(Compression::Zstd, &[None]), "it is not unpacked to know");
        let compacted = BatchRules { compacted: true, ..RULES };
        for compression in [Compression::None, Compression::Zstd] {
            let refused = check_batch(batch(compression, &[None, Some(b"k"), None]), compacted);
            assert_eq!(refused.unwrap_err(), BatchRefusal::Keyless(vec![0, 2]));
        }
    }
}
