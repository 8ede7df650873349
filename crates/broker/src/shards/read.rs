//! Reading a shard: committed records of its slice, once and in order, to shard end.
//!
//! A page passes the byte budget before it is made, and holds of it what its records keep in memory until it is gone.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use kolk_engine::defects::{Defect, defect};
use kolk_engine::state::Shard;
use kolk_engine::{
    BatchAt, EngineError, EngineExt, FRAME_MEMORY_BYTES, Isolation, Offset, PartitionId, Pending, Piece,
    Published, Read, ReadError, ReadRequest, ShardId, Source, TopicId,
};
use kolk_wire_kafka::records::{
    BatchHeader, CompressError, Compression, Record, RecordError, RecordIter, record::decompressed,
};

use super::seek::Slice;
use super::{Shards, ShardsError, Stream};
use crate::admission::Beside;
use crate::{Class, Permit};

/// Bytes asked of the log at once.
const READ_BYTES: usize = 1024 * 1024;

/// Bytes of batches that one page goes through at most, when it finds few records in them.
const SCAN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A batch that decompresses to more is not shown to Kinesis readers.
const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What every page may decompress a batch to. For a batch of more, the page is made again with room for
/// [`DECOMPRESSED_BYTES_MAX`] beside it.
const DECOMPRESSED_BYTES_USUAL: usize = 4 * 1024 * 1024;

/// What a record costs in memory beside its data.
const RECORD_BYTES: usize = 256;

/// Key and data of a record that Kinesis readers are shown: as much as PutRecord takes. A larger one comes from a Kafka
/// producer, and no SDK expects it.
const RECORD_SHOWN_BYTES_MAX: usize = 10 * 1024 * 1024 + 256;

/// What of a page is encoded at a time while it is sent, but for a record that is larger.
const PIECE_BYTES: usize = 256 * 1024;

/// Records are copied out of what they pin where that is so many bytes more than twice their own.
const PINNED_BYTES_SPARE: usize = 64 * 1024;

/// How much a page may hold. The first record is given whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Records, from 1.
    pub records: usize,
    /// Bytes of keys and data.
    pub bytes: usize,
}

/// A record of a shard. Key and value are slices of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRecord {
    /// Its offset in the shard's partition.
    pub offset: Offset,
    /// When the broker appended it, ms: ApproximateArrivalTimestamp and the second of its sequence number.
    pub append_ms: i64,
    /// The Kafka record's key.
    pub key: Option<Bytes>,
    /// The Kafka record's value; a tombstone has none.
    pub value: Option<Bytes>,
}

/// What a read of a shard gives.
#[derive(Debug)]
pub struct ShardPage {
    /// The shard as it is now.
    pub shard: Shard,
    /// Records in offset order. May be empty though more follow.
    pub records: Vec<ShardRecord>,
    /// Where to read on. Meaningless at shard end.
    pub next: Offset,
    /// MillisBehindLatest: 0 at the tip.
    pub behind_ms: i64,
    /// Set at shard end: the child shards. There is nothing to read on.
    pub end: Option<Vec<Shard>>,
    /// The memory that the records hold; to be kept until they are gone.
    pub permit: Permit,
}

impl Shards {
    /// A page of a shard from `from` on (an offset of [`Shards::seek`] or [`ShardPage::next`]; others are
    /// clamped to the slice and to what retention left). Waits for room in the byte budget: the caller holds none of it
    /// meanwhile.
    pub async fn read(
        &self,
        topic: TopicId,
        shard: ShardId,
        from: Offset,
        limits: PageLimits,
    ) -> Result<ShardPage, ShardsError> {
        // A slice's partition and first offset never change; its end is looked at after reading, because records of
        // the child may land behind it in between.
        let (seen, durable) = self.look(topic, shard);
        let slice = match seen {
            Ok((_, slice)) => slice,
            Err(error) => return durable.await.map_or_else(|broken| Err(broken.into()), |()| Err(error)),
        };
        let mut costs = Costs { read: READ_BYTES, decompressed: DECOMPRESSED_BYTES_USUAL };
        let mut page = Page::new(slice.clamp(from), limits, costs);
        let mut permit = self.room(&page).await;
        let mut published = None;
        if let Some(index) = slice.partition {
            let partition = PartitionId { topic, index };
            published = Some(self.fill(&mut page, partition, &slice).await?);
            while let Some(more) = page.needs {
                let from = page.next;
                costs = more;
                drop((page, permit));
                page = Page::new(from, limits, costs);
                permit = self.room(&page).await;
                published = Some(self.fill(&mut page, partition, &slice).await?);
            }
        }
        page.let_go();
        permit.shrink(page.pinned + page.records.len() * RECORD_BYTES + page.encoded_at_once());
        let (seen, durable) = self.look(topic, shard);
        let (stream, slice) = match seen {
            Ok(seen) => seen,
            Err(error) => return durable.await.map_or_else(|broken| Err(broken.into()), |()| Err(error)),
        };
        page.cut(end_to_cut(&slice));
        let stable = published.map_or(Offset(i64::MAX), |published: Published| published.last_stable);
        let at_end = end_to_reach(&slice).is_some_and(|end| end <= page.next && end <= stable);
        let mut end = None;
        if at_end {
            // That the shard is closed is told only once it stays so.
            durable.await?;
            end = Some(stream.children(shard));
        }
        let tip = slice.end.map_or(stable, |end| end.min(stable));
        let behind_ms = match page.append_ms {
            Some(append_ms) if page.next < tip => (self.broker.now_ms() - append_ms).max(0),
            _ => 0,
        };
        Ok(ShardPage { shard: slice, records: page.records, next: page.next, behind_ms, end, permit })
    }

    /// Room for a page in the making: its records, what is read for it, and a batch of them decompressed.
    async fn room(&self, page: &Page) -> Permit {
        let bytes = page.limits.bytes + READ_BYTES + page.costs.read + page.costs.decompressed;
        // Whatever its sender has beside it: it is never small.
        self.broker.admission().admit(bytes, Class::Data, Beside::Nothing).await
    }

    /// The tail of the state; the pending resolves when what was seen is durable.
    fn look(&self, topic: TopicId, shard: ShardId) -> (Result<(Stream, Shard), ShardsError>, Pending<()>) {
        self.broker.engine().look(|state| {
            let found = state.topic(topic).ok_or(ShardsError::UnknownStream)?;
            let stream = Stream::of(state, found);
            let shard = *stream.shard(shard)?;
            Ok((stream, shard))
        })
    }

    /// Fills the page with what can be read now.
    async fn fill(
        &self,
        page: &mut Page,
        partition: PartitionId,
        slice: &Shard,
    ) -> Result<Published, ShardsError> {
        let mut scanned = 0;
        loop {
            let request = ReadRequest {
                reads: vec![Read { partition, offset: page.next, max_bytes: READ_BYTES }],
                min_bytes: 0,
                max_bytes: READ_BYTES,
                max_wait_ms: 0,
                isolation: Isolation::ReadCommitted,
                with_batches: true,
            };
            let answer = self.broker.engine().read(request).await?.pop();
            let read = match answer.expect("one answer a read") {
                Ok(read) => read,
                Err(ReadError::UnknownPartition) => return Err(ShardsError::UnknownStream),
                Err(ReadError::OffsetOutOfRange { published, .. }) => {
                    // Trimmed: go on where the log starts. Past the tip: wait there for what comes.
                    if page.next < published.log_start {
                        page.next = slice.clamp(published.log_start);
                        if page.next == published.log_start {
                            continue;
                        }
                    }
                    return Ok(published);
                }
                Err(ReadError::Unreadable { reason }) => {
                    // What comes before it is given out first.
                    let published = self.broker.engine().published(partition);
                    return match published.filter(|_| !page.records.is_empty()) {
                        Some(published) => Ok(published),
                        None => Err(EngineError::Read(reason).into()),
                    };
                }
            };
            let bytes = read.len();
            // The first batch comes whole, however large.
            if bytes > page.costs.read {
                let costs = Costs { read: bytes, ..page.costs };
                page.needs = page.records.is_empty().then_some(costs);
                return Ok(read.published);
            }
            scanned += bytes;
            let mut aborted = Aborted::new(read.aborted);
            for piece in &read.pieces {
                if !self.take_piece(page, partition, piece, &mut aborted).await? {
                    return Ok(read.published);
                }
            }
            if bytes == 0 {
                // A repair lost the last batches: nothing is left to wait for before the tip.
                page.next = page.next.max(read.published.last_stable);
            }
            let done = bytes == 0
                || page.next >= read.published.last_stable
                || slice.end.is_some_and(|end| end <= page.next)
                || scanned >= SCAN_BYTES_MAX
                || page.pinned >= page.limits.bytes + READ_BYTES;
            if done {
                return Ok(read.published);
            }
        }
    }

    /// Takes the records of a piece into the page. `false`: the page is full.
    async fn take_piece(
        &self,
        page: &mut Page,
        partition: PartitionId,
        piece: &Piece,
        aborted: &mut Aborted,
    ) -> Result<bool, ShardsError> {
        let bytes = piece.bytes(0, piece.len()).await?;
        let ends = piece.batches.iter().skip(1).map(|batch| batch.position).chain([bytes.len()]);
        let mut plain_before = page.plain_records;
        for (at, end) in piece.batches.iter().zip(ends) {
            let kept = self.blocks.take(partition, at.base_offset);
            let before = page.too_large;
            let taken = page.take_batch(at, &bytes.slice(at.position..end), kept, aborted);
            if page.too_large > before {
                let skipped = page.too_large - before;
                self.skipped(
                    partition,
                    at.base_offset,
                    &format_args!("{skipped} of its records are too large"),
                );
            }
            if page.plain_records > plain_before {
                // The first record that is a slice of the piece pins all of it.
                page.pinned += bytes.len();
                if matches!(piece.source, Source::Memory(_)) {
                    page.pin_frame(&bytes);
                }
                plain_before = usize::MAX;
            }
            match taken {
                Ok(Taken::Whole) => {}
                Ok(Taken::Part { decompressed }) => {
                    if let Some(block) = decompressed {
                        self.blocks.keep(partition, at.base_offset, block);
                    }
                    return Ok(false);
                }
                Err(Undecodable { error, next }) => {
                    self.skipped(partition, at.base_offset, &error);
                    page.next = page.next.max(next);
                }
            }
        }
        Ok(true)
    }

    /// Counts a batch of which readers are not shown all.
    fn skipped(&self, partition: PartitionId, base: Offset, why: &dyn std::fmt::Display) {
        self.broker.undecodable().batches.add(1);
        if let Some(unsaid) = self.broker.undecodable().told.say() {
            tracing::warn!(
                topic = %partition.topic,
                partition = partition.index,
                offset = base.0,
                error = %why,
                unsaid,
                "a batch, or some of its records, cannot be shown to readers of shards and is skipped"
            );
        }
    }
}

/// What making a page may take beside its records, in bytes. Where that is not enough the page is made again with more,
/// as one of few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Costs {
    /// Read of the log at once.
    read: usize,
    /// A batch decompressed.
    decompressed: usize,
}

/// Where a page of the slice ends: at its end, unless a defect is planted.
fn end_to_cut(slice: &Shard) -> Option<Offset> {
    let behind = i64::from(defect(Defect::SliceEndIncluded));
    end_to_reach(slice).map(|end| end + behind)
}

/// Where shard end is given: at the slice's end, unless a defect is planted.
fn end_to_reach(slice: &Shard) -> Option<Offset> {
    let early = i64::from(defect(Defect::SliceEndsEarly));
    slice.end.map(|end| (end + -early).max(slice.first))
}

/// Decompressed batches that a page ended in: the next page goes on in them. Bounded by bytes, oldest go first.
#[derive(Debug, Default)]
pub(super) struct Blocks(Mutex<VecDeque<(PartitionId, Offset, Bytes)>>);

impl Blocks {
    const BYTES_MAX: usize = 8 * 1024 * 1024;

    fn keep(&self, partition: PartitionId, base: Offset, block: Bytes) {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.push_back((partition, base, block));
        while blocks.iter().map(|(_, _, block)| block.len()).sum::<usize>() > Self::BYTES_MAX {
            blocks.pop_front();
        }
    }

    fn take(&self, partition: PartitionId, base: Offset) -> Option<Bytes> {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = blocks.iter().position(|(of, at, _)| (*of, *at) == (partition, base))?;
        blocks.remove(at).map(|(_, _, block)| block)
    }
}

/// A page in the making.
struct Page {
    limits: PageLimits,
    records: Vec<ShardRecord>,
    bytes: usize,
    next: Offset,
    /// Append time of the last batch looked at.
    append_ms: Option<i64>,
    costs: Costs,
    /// The page is empty because its first batch takes more than that.
    needs: Option<Costs>,
    /// Records skipped because they are larger than any reader expects.
    too_large: usize,
    /// Bytes of the largest record.
    largest: usize,
    /// Records that are slices of the log's own bytes.
    plain_records: usize,
    /// Bytes that the records keep in memory.
    pinned: usize,
    /// Bytes of the memory of the log's frames that they keep, about, and which of it they met last.
    framed: usize,
    last_frame: Option<usize>,
}

/// How much of a batch the page took.
enum Taken {
    /// All of it.
    Whole,
    /// The page is full: what was decompressed for the records that are left.
    Part { decompressed: Option<Bytes> },
}

/// A batch that cannot be shown.
struct Undecodable {
    error: RecordError,
    /// The offset behind it.
    next: Offset,
}

impl Page {
    fn new(from: Offset, limits: PageLimits, costs: Costs) -> Page {
        Page {
            limits,
            records: Vec::new(),
            bytes: 0,
            next: from,
            append_ms: None,
            costs,
            needs: None,
            too_large: 0,
            largest: 0,
            plain_records: 0,
            pinned: 0,
            framed: 0,
            last_frame: None,
        }
    }

    /// Counts what a slice of a frame keeps in memory; the next frames lie in the same, often.
    fn pin_frame(&mut self, frame: &[u8]) {
        let place = frame.as_ptr() as usize / FRAME_MEMORY_BYTES;
        if self.last_frame.replace(place) != Some(place) {
            self.framed += FRAME_MEMORY_BYTES.max(frame.len());
        }
    }

    /// Copies the records out of what they pin, where that is far more than they are: a record of a batch that unpacks
    /// to 64 MiB would hold them all until its reader has taken it, one of the log's newest frames some MiB of them.
    fn let_go(&mut self) {
        self.pinned = self.pinned.max(self.framed);
        if self.pinned <= 2 * self.bytes + PINNED_BYTES_SPARE {
            return;
        }
        let mut copy = Vec::with_capacity(self.bytes);
        for record in &self.records {
            for part in [&record.key, &record.value].into_iter().flatten() {
                copy.extend_from_slice(part);
            }
        }
        let mut rest = Bytes::from(copy);
        for record in &mut self.records {
            for part in [&mut record.key, &mut record.value].into_iter().flatten() {
                *part = rest.split_to(part.len());
            }
        }
        self.pinned = self.bytes;
    }

    /// Bytes of the page that are there a second time while it is sent, in base64.
    fn encoded_at_once(&self) -> usize {
        (PIECE_BYTES + self.largest).min(self.bytes) * 4 / 3
    }

    /// Takes what fits of a batch; `kept` is its decompressed block if that is at hand. Of a batch damaged in its
    /// middle the records before the damage are given.
    fn take_batch(
        &mut self,
        at: &BatchAt,
        batch: &Bytes,
        kept: Option<Bytes>,
        aborted: &mut Aborted,
    ) -> Result<Taken, Undecodable> {
        let undecodable = |error: RecordError, next: Offset| Undecodable { error, next };
        // Without a header nobody knows how far to skip; the log has checked headers before it took them.
        let header =
            BatchHeader::parse(batch).map_err(|error| undecodable(error.into(), at.base_offset + 1))?;
        let next = at.base_offset + i64::from(header.last_offset_delta) + 1;
        let hidden = aborted.hides(&header, next);
        if next <= self.next {
            return Ok(Taken::Whole);
        }
        if !hidden {
            let compressed = !matches!(header.compression(), Ok(Compression::None));
            let block = match kept.map_or_else(|| decompressed(&header, batch, self.costs.decompressed), Ok) {
                Ok(block) => block,
                Err(RecordError::Compress(CompressError::TooLarge { .. }))
                    if self.costs.decompressed < DECOMPRESSED_BYTES_MAX =>
                {
                    let costs = Costs { decompressed: DECOMPRESSED_BYTES_MAX, ..self.costs };
                    self.needs = self.records.is_empty().then_some(costs);
                    return Ok(Taken::Part { decompressed: None });
                }
                Err(error) => return Err(undecodable(error, next)),
            };
            let first = self.records.len();
            let mut is_pinned = false;
            for record in RecordIter::new(&header, &block) {
                let record = record.map_err(|error| undecodable(error, next))?;
                if Offset(record.offset) < self.next {
                    continue;
                }
                if size(&record) > RECORD_SHOWN_BYTES_MAX {
                    self.too_large += 1;
                    self.next = Offset(record.offset) + 1;
                    continue;
                }
                let taken = self.take_record(&record, at.append_ms, &block);
                if self.records.len() > first && !is_pinned {
                    is_pinned = true;
                    self.plain_records += usize::from(!compressed);
                    self.pinned += if compressed { block.len() } else { 0 };
                }
                if !taken {
                    return Ok(Taken::Part { decompressed: compressed.then_some(block) });
                }
            }
        }
        self.append_ms = Some(at.append_ms);
        self.next = next;
        Ok(Taken::Whole)
    }

    /// Takes a record if it fits.
    fn take_record(&mut self, record: &Record<'_>, append_ms: i64, block: &Bytes) -> bool {
        let bytes = size(record);
        let full = self.records.len() >= self.limits.records || self.bytes + bytes > self.limits.bytes;
        if full && !self.records.is_empty() {
            return false;
        }
        let offset = Offset(record.offset);
        self.bytes += bytes;
        self.largest = self.largest.max(bytes);
        self.append_ms = Some(append_ms);
        self.next = offset + 1;
        self.records.push(ShardRecord {
            offset,
            append_ms,
            key: record.key.map(|key| block.slice_ref(key)),
            value: record.value.map(|value| block.slice_ref(value)),
        });
        true
    }

    /// Nothing at or past the slice's end.
    fn cut(&mut self, end: Option<Offset>) {
        if let Some(end) = end {
            self.records.truncate(self.records.partition_point(|record| record.offset < end));
            self.next = self.next.min(end);
        }
    }
}

/// Bytes of a record's key and value.
fn size(record: &Record<'_>) -> usize {
    record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)
}

/// Aborted transactions that overlap a read, walked in step with the batches (KIP-98).
struct Aborted {
    /// Producer and first offset, in order of offset, of transactions not reached yet.
    later: std::iter::Peekable<std::vec::IntoIter<(i64, Offset)>>,
    producers: BTreeSet<i64>,
}

impl Aborted {
    fn new(mut ranges: Vec<(i64, Offset)>) -> Aborted {
        ranges.sort_unstable_by_key(|(_, first)| *first);
        Aborted { later: ranges.into_iter().peekable(), producers: BTreeSet::new() }
    }

    /// Whether readers do not see the batch, `next` being the offset behind it: a control batch (which ends its
    /// producer's transaction), or part of an aborted transaction.
    fn hides(&mut self, header: &BatchHeader, next: Offset) -> bool {
        while let Some((producer, _)) = self.later.next_if(|(_, first)| *first < next) {
            self.producers.insert(producer);
        }
        if header.is_control() {
            self.producers.remove(&header.producer_id);
            return true;
        }
        header.is_transactional() && self.producers.contains(&header.producer_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slice of a frame keeps the memory that the log writes frames in: readers that took an answer of a hundred bytes slowly
    /// kept 4 MiB each.
    #[test]
    fn a_page_of_the_newest_records_keeps_no_frame() {
        let frame = Bytes::from(vec![7; FRAME_MEMORY_BYTES]);
        let costs = Costs { read: READ_BYTES, decompressed: DECOMPRESSED_BYTES_USUAL };
        let mut page = Page::new(Offset(0), PageLimits { records: 10, bytes: 1 << 20 }, costs);
        for number in 0..3usize {
            let value = frame.slice(number * 4096..number * 4096 + 100);
            page.pin_frame(&value);
            page.pinned += 4096;
            page.bytes += value.len();
            let offset = Offset(number as i64);
            page.records.push(ShardRecord { offset, append_ms: 0, key: None, value: Some(value) });
        }
        page.let_go();
        assert!(frame.is_unique(), "nothing of the page is a slice of it");
        assert_eq!(page.pinned, 300);
        assert!(page.records.iter().all(|record| record.value.as_deref() == Some(&[7; 100][..])));
    }
}
