//! Frames: the unit in which the write-ahead log becomes durable, and their format.
//!
//! ```text
//!  0      8        16     24       28    32    36      40      44     48       52      56        64
//!  | magic | number | life | before | CRC | len | flags | count | dec. | direc. | data | reserved |
//!  | decisions | directory | data: one extent per partition | zeros up to a multiple of 4096 |
//! ```
//! - *number* counts frames from 1 over the data directory's whole life: it is the log position.
//! - *life* is the process life that wrote it; *before* the CRC of the frame before it, across lives too.
//! - *CRC* is a CRC-32C over the life's secret and then the whole padded frame with this field zero. Client
//!   bytes cannot imitate a frame, and a block of an earlier life or of an earlier use of the file is no frame.
//! - *decisions* are the state's, one after another, in decision order.
//! - *directory* says which partition's batches stand where in the data and when each was appended.
//! - *data* are v2 batches as clients will read them, grouped by partition, in offset order.
//!
//! Integers are little-endian; those of the directory are LEB128.

use bytes::{BufMut, Bytes, BytesMut};
use kolk_wire_kafka::records::batch;

use crate::codec::{Cursor, crc32c, crc32c_combined, crc32c_digest, put_uvarint, unzigzag, zigzag};
use crate::contract::BatchAt;
use crate::defects::{Defect, defect};
use crate::door::ALIGNMENT;
use crate::types::{LEADER_EPOCH, Offset, PartitionId, TopicId};

const MAGIC: &[u8; 8] = b"KOLKFRM1";
pub(super) const HEADER_LEN: usize = 64;
const CRC_AT: usize = 28;
/// The frame closes the log for now: idle, or a clean stop. It has no content.
const FLAG_SEAL: u32 = 1;

/// A process's life as a writer of the log, and the secret that seeds its frames' CRCs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub id: u64,
    pub secret: [u8; 16],
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "life {:016x}", self.id)
    }
}

/// A batch that is decided and waits to be laid out.
#[derive(Debug)]
pub(super) struct Item {
    pub partition: PartitionId,
    pub base_offset: Offset,
    pub offset_count: i32,
    pub append_ms: i64,
    /// What the header will say.
    pub max_timestamp_ms: i64,
    /// Overwrite the timestamps with `append_ms` (`LogAppendTime` topics).
    pub log_append_time: bool,
    pub bytes: Bytes,
}

/// What identifies a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameId {
    pub number: u64,
    pub before_crc: u32,
    pub seal: bool,
}

/// A run of one partition's batches in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameExtent {
    pub partition: PartitionId,
    pub first: Offset,
    pub last: Offset,
    /// From the start of the frame.
    pub position: u32,
    pub len: u32,
    pub first_append_ms: i64,
    pub last_append_ms: i64,
    pub max_timestamp_ms: i64,
    /// CRC-32C of the extent's bytes.
    pub crc: u32,
    /// The batches; empty if there is only one, which the other fields describe.
    pub table: Box<[BatchEntry]>,
}

/// A batch within a [`FrameExtent`]: differences to the extent's first values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchEntry {
    pub offset: u32,
    pub position: u32,
    pub append_ms: u32,
}

impl FrameExtent {
    /// The batches in order; positions from the extent's start.
    pub fn batches(&self) -> impl Iterator<Item = BatchAt> + '_ {
        let only = BatchEntry { offset: 0, position: 0, append_ms: 0 };
        let only = self.table.is_empty().then_some(only);
        only.into_iter().chain(self.table.iter().copied()).map(|entry| BatchAt {
            base_offset: self.first + i64::from(entry.offset),
            position: entry.position as usize,
            append_ms: self.first_append_ms + i64::from(entry.append_ms),
        })
    }

    /// How many batches.
    pub fn batch_count(&self) -> usize {
        self.table.len().max(1)
    }
}

/// Upper bound of what an item adds to a frame beside its bytes, in bytes: directory and a new extent.
pub(super) const ITEM_OVERHEAD_MAX: usize = 96;

/// Lays a frame out in `out`, which has room for it, and brings `items` in the order of the data. Nothing is
/// written behind the padding. Returns the extents and the frame's CRC.
pub(super) fn lay_out(
    out: &mut BytesMut,
    life: &Life,
    id: FrameId,
    decision_count: u32,
    decisions: &[u8],
    items: &mut [Item],
    directory: &mut Vec<u8>,
) -> (Vec<FrameExtent>, u32) {
    let start = out.len();
    items.sort_by_key(|item| item.partition);
    let mut extents = extents_of(items);
    directory.clear();
    put_directory(directory, &extents, items);
    let data_len: usize = items.iter().map(|item| item.bytes.len()).sum();
    let len = (HEADER_LEN + decisions.len() + directory.len() + data_len).next_multiple_of(ALIGNMENT);

    out.put_slice(MAGIC);
    out.put_u64_le(id.number);
    out.put_u64_le(life.id);
    out.put_u32_le(id.before_crc);
    out.put_u32_le(0);
    out.put_u32_le(u32::try_from(len).expect("a frame is at most 1 MiB or one batch"));
    out.put_u32_le(if id.seal { FLAG_SEAL } else { 0 });
    out.put_u32_le(decision_count);
    out.put_u32_le(decisions.len() as u32);
    out.put_u32_le(directory.len() as u32);
    out.put_u32_le(data_len as u32);
    out.put_u64_le(0);
    out.put_slice(decisions);
    out.put_slice(directory);
    let data_at = (out.len() - start) as u32;
    for extent in &mut extents {
        extent.position += data_at;
    }
    for item in items.iter() {
        put_batch(out, item);
    }
    let mut left = &*items;
    for extent in &mut extents {
        let (batches, behind) = left.split_at(extent.batch_count());
        extent.crc = extent_crc(&out[start + extent.position as usize..][..extent.len as usize], batches);
        left = behind;
    }
    out.put_bytes(0, start + len - out.len());
    let crc = frame_crc_of(life, &out[start..], &extents);
    out[start + CRC_AT..start + CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    (extents, crc)
}

/// The one copy of a batch, with what the log fills in.
fn put_batch(out: &mut BytesMut, item: &Item) {
    let at = out.len();
    out.put_slice(&item.bytes);
    let bytes = &mut out[at..];
    batch::set_base_offset(bytes, item.base_offset.0);
    batch::set_leader_epoch(bytes, LEADER_EPOCH);
    if item.log_append_time {
        batch::set_log_append_time(bytes, item.append_ms);
    }
}

/// The CRC of an extent of these batches. That of large ones is made from the checksums that they came with, which were
/// looked at before they were decided.
fn extent_crc(mut bytes: &[u8], batches: &[Item]) -> u32 {
    if bytes.len() < batches.len() * COMBINED_BYTES_MIN {
        return crc32c(bytes);
    }
    let mut crc = 0;
    for item in batches {
        let (batch, behind) = bytes.split_at(item.bytes.len());
        crc = crc32c_combined(crc, batch::crc_of_whole(batch), batch.len());
        bytes = behind;
    }
    crc
}

fn frame_crc(life: &Life, frame: &[u8]) -> u32 {
    let mut digest = crc32c_digest();
    digest.update(&life.secret);
    digest.update(&frame[..CRC_AT]);
    digest.update(&[0; 4]);
    digest.update(&frame[CRC_AT + 4..]);
    digest.finalize() as u32
}

/// Where pieces are larger than this on average, in bytes, the CRC of the whole is made from theirs: to combine two CRCs
/// takes about as long as one over so many bytes.
const COMBINED_BYTES_MIN: usize = 32 << 10;

/// [`frame_crc`] of a frame whose extents have their CRCs: bytes of large ones are not gone through once more.
fn frame_crc_of(life: &Life, frame: &[u8], extents: &[FrameExtent]) -> u32 {
    let (Some(first), Some(last)) = (extents.first(), extents.last()) else {
        return frame_crc(life, frame);
    };
    let (data_at, data_end) = (first.position as usize, (last.position + last.len) as usize);
    if data_end - data_at < extents.len() * COMBINED_BYTES_MIN {
        return frame_crc(life, frame);
    }
    let mut crc = frame_crc(life, &frame[..data_at]);
    for extent in extents {
        crc = crc32c_combined(crc, extent.crc, extent.len as usize);
    }
    let without_padding = crc;
    let padding = &frame[data_end..];
    crc = crc32c_combined(crc, crc32c(padding), padding.len());
    debug_assert_eq!(
        crc,
        frame_crc(life, frame),
        "extents follow one another, and their batches were checked"
    );
    if defect(Defect::FrameCrcWithoutPadding) { without_padding } else { crc }
}

/// Groups sorted items into extents with positions from the start of the data.
fn extents_of(items: &[Item]) -> Vec<FrameExtent> {
    let mut extents: Vec<FrameExtent> = Vec::new();
    let mut table: Vec<BatchEntry> = Vec::new();
    let mut position = 0u32;
    for item in items {
        let len = item.bytes.len() as u32;
        let last = item.base_offset + i64::from(item.offset_count - 1);
        let continued = extents.last_mut().filter(|extent| {
            extent.partition == item.partition
                && extent.last + 1 == item.base_offset
                && u32::try_from(item.append_ms - extent.first_append_ms).is_ok()
                && u32::try_from(last - extent.first).is_ok()
        });
        if let Some(extent) = continued {
            if table.is_empty() {
                table.push(BatchEntry { offset: 0, position: 0, append_ms: 0 });
            }
            table.push(BatchEntry {
                offset: (item.base_offset - extent.first) as u32,
                position: extent.len,
                append_ms: (item.append_ms - extent.first_append_ms) as u32,
            });
            extent.last = last;
            extent.len += len;
            extent.last_append_ms = item.append_ms;
            extent.max_timestamp_ms = extent.max_timestamp_ms.max(item.max_timestamp_ms);
        } else {
            if let Some(extent) = extents.last_mut() {
                extent.table = std::mem::take(&mut table).into();
            }
            extents.push(FrameExtent {
                partition: item.partition,
                first: item.base_offset,
                last,
                position,
                len,
                first_append_ms: item.append_ms,
                last_append_ms: item.append_ms,
                max_timestamp_ms: item.max_timestamp_ms,
                crc: 0,
                table: Box::default(),
            });
        }
        position += len;
    }
    if let Some(extent) = extents.last_mut() {
        extent.table = table.into();
    }
    extents
}

fn put_directory(out: &mut Vec<u8>, extents: &[FrameExtent], items: &[Item]) {
    put_uvarint(out, extents.len() as u64);
    let mut items = items.iter();
    for extent in extents {
        out.extend_from_slice(&extent.partition.topic.0.to_le_bytes());
        put_uvarint(out, extent.partition.index as u64);
        put_uvarint(out, extent.first.0 as u64);
        put_uvarint(out, zigzag(extent.first_append_ms));
        put_uvarint(out, zigzag(extent.max_timestamp_ms));
        put_uvarint(out, extent.batch_count() as u64);
        let mut append_ms = extent.first_append_ms;
        for item in items.by_ref().take(extent.batch_count()) {
            put_uvarint(out, item.bytes.len() as u64);
            put_uvarint(out, item.offset_count as u64);
            put_uvarint(out, (item.append_ms - append_ms) as u64);
            append_ms = item.append_ms;
        }
    }
}

fn read_directory(bytes: &[u8], data_at: u32, data_len: u32) -> Option<Vec<FrameExtent>> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.uvarint()?;
    let mut extents = Vec::new();
    let mut position = 0u32;
    for _ in 0..count {
        let topic = TopicId(u128::from_le_bytes(cursor.take(16)?.try_into().ok()?));
        let index = i32::try_from(cursor.uvarint()?).ok()?;
        let first = Offset(i64::try_from(cursor.uvarint()?).ok()?);
        let first_append_ms = unzigzag(cursor.uvarint()?);
        let max_timestamp_ms = unzigzag(cursor.uvarint()?);
        let batches = cursor.uvarint()?;
        let mut table = Vec::new();
        let (mut offset, mut len, mut append_ms) = (0u32, 0u32, 0u32);
        for _ in 0..batches {
            let batch_len = u32::try_from(cursor.uvarint()?).ok()?;
            let offset_count = u32::try_from(cursor.uvarint()?).ok()?;
            append_ms = append_ms.checked_add(u32::try_from(cursor.uvarint()?).ok()?)?;
            if batches > 1 {
                table.push(BatchEntry { offset, position: len, append_ms });
            }
            offset = offset.checked_add(offset_count)?;
            len = len.checked_add(batch_len)?;
        }
        extents.push(FrameExtent {
            partition: PartitionId { topic, index },
            first,
            last: Offset(first.0.checked_add(i64::from(offset))?.checked_sub(1)?),
            position: data_at.checked_add(position)?,
            len,
            first_append_ms,
            last_append_ms: first_append_ms.checked_add(i64::from(append_ms))?,
            max_timestamp_ms,
            crc: 0,
            table: table.into(),
        });
        position = position.checked_add(len)?;
    }
    (cursor.is_empty() && position == data_len).then_some(extents)
}

/// A frame that checked.
#[derive(Debug)]
pub(super) struct Frame {
    pub id: FrameId,
    pub crc: u32,
    pub len: u32,
    pub decision_count: u32,
    pub decisions: Bytes,
    pub extents: Vec<FrameExtent>,
    /// The whole frame.
    pub bytes: Bytes,
}

/// What stands where a frame is expected.
#[derive(Debug)]
pub(super) enum Found {
    /// A frame of the life that checks. Whether it is the next one is the caller's to judge.
    Frame(Frame),
    /// The header of a frame of this life that needs this many bytes to be judged.
    Longer(usize),
    /// Something else, in words.
    Nothing(&'static str),
}

/// Judges the bytes at a place where a frame may begin; `bytes` holds at least a header.
pub(super) fn find(bytes: &Bytes, life: &Life) -> Found {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    if bytes.len() < HEADER_LEN || &bytes[..8] != MAGIC {
        return Found::Nothing("no frame begins there");
    }
    if u64_at(16) != life.id {
        return Found::Nothing("the frame there is of another life");
    }
    let len = u32_at(32) as usize;
    let (decisions_len, directory_len, data_len) =
        (u32_at(44) as usize, u32_at(48) as usize, u32_at(52) as usize);
    let data_at = HEADER_LEN + decisions_len + directory_len;
    if len == 0 || !len.is_multiple_of(ALIGNMENT) || (data_at + data_len).next_multiple_of(ALIGNMENT) != len {
        return Found::Nothing("the lengths in the frame's header do not fit together");
    }
    if bytes.len() < len {
        return Found::Longer(len);
    }
    let crc = u32_at(CRC_AT);
    if frame_crc(life, &bytes[..len]) != crc {
        return Found::Nothing("the frame's CRC does not match");
    }
    let directory = &bytes[HEADER_LEN + decisions_len..data_at];
    let Some(mut extents) = read_directory(directory, data_at as u32, data_len as u32) else {
        return Found::Nothing("the frame's directory cannot be read");
    };
    for extent in &mut extents {
        extent.crc = crc32c(&bytes[extent.position as usize..][..extent.len as usize]);
    }
    Found::Frame(Frame {
        id: FrameId { number: u64_at(8), before_crc: u32_at(24), seal: u32_at(36) & FLAG_SEAL != 0 },
        crc,
        len: len as u32,
        decision_count: u32_at(40),
        decisions: bytes.slice(HEADER_LEN..HEADER_LEN + decisions_len),
        extents,
        bytes: bytes.slice(..len),
    })
}

/// Number and length in the header at a place, true or not, if it reads like one of this life.
pub(super) fn announced(bytes: &[u8], life: &Life) -> Option<(u64, u64)> {
    let mut header = bytes
        .get(..HEADER_LEN)?
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
    let (magic, number, id) = (header.next()?, header.next()?, header.next()?);
    let len = header.nth(1)? & u64::from(u32::MAX);
    (magic == u64::from_le_bytes(*MAGIC) && id == life.id).then_some((number, len))
}

/// A frame of `life` around these decisions, directory and data, header and checksum right whatever they hold.
#[cfg(feature = "fuzz")]
pub(super) fn with_header(life: &Life, decisions: usize, directory: usize, content: &[u8]) -> Bytes {
    let len = (HEADER_LEN + content.len()).next_multiple_of(ALIGNMENT);
    let mut out = BytesMut::with_capacity(len);
    out.put_slice(MAGIC);
    out.put_u64_le(1);
    out.put_u64_le(life.id);
    out.put_u64_le(0);
    for field in [len, 0, 0, decisions, directory, content.len() - decisions - directory] {
        out.put_u32_le(field as u32);
    }
    out.put_u64_le(0);
    out.put_slice(content);
    out.put_bytes(0, len - out.len());
    let crc = frame_crc(life, &out);
    out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = Life { id: 7, secret: [3; 16] };

    fn partition(index: i32) -> PartitionId {
        PartitionId { topic: TopicId(5), index }
    }

    fn item(index: i32, base: i64, count: i32, append_ms: i64, len: usize) -> Item {
        Item {
            partition: partition(index),
            base_offset: Offset(base),
            offset_count: count,
            append_ms,
            max_timestamp_ms: append_ms - 5,
            log_append_time: false,
            bytes: batch(len),
        }
    }

    /// What passes for a batch here: bytes with the checksum of one.
    fn batch(len: usize) -> Bytes {
        let mut bytes = vec![0xab; len];
        let crc = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes.into()
    }

    fn frame_of(items: &mut [Item]) -> (Bytes, Vec<FrameExtent>) {
        let mut out = BytesMut::new();
        let id = FrameId { number: 9, before_crc: 77, seal: false };
        let (extents, _) = lay_out(&mut out, &LIFE, id, 2, b"decided", items, &mut Vec::new());
        (out.freeze(), extents)
    }

    #[test]
    fn a_frame_comes_back_grouped_by_partition() {
        let mut items = [
            item(2, 10, 3, 1000, 100),
            item(1, 5, 1, 1000, 70),
            item(2, 13, 1, 1007, 200),
            item(1, 6, 2, 999 + (1 << 33), 80),
        ];
        let (bytes, extents) = frame_of(&mut items);
        assert_eq!(bytes.len(), ALIGNMENT);
        let Found::Frame(frame) = find(&bytes, &LIFE) else { panic!("no frame") };
        assert_eq!(frame.extents, extents);
        assert_eq!((frame.id.number, frame.id.before_crc, frame.decision_count), (9, 77, 2));
        assert_eq!(&frame.decisions[..], b"decided");
        // A leap of the clock that a table cannot hold begins a new extent.
        let told: Vec<_> = extents.iter().map(|e| (e.partition.index, e.first.0, e.last.0, e.len)).collect();
        assert_eq!(told, [(1, 5, 5, 70), (1, 6, 7, 80), (2, 10, 13, 300)]);
        let batches: Vec<_> = extents[2].batches().collect();
        let batches: Vec<_> = batches.iter().map(|at| (at.base_offset, at.position, at.append_ms)).collect();
        assert_eq!(batches, [(Offset(10), 0, 1000), (Offset(13), 100, 1007)]);
        let second = &bytes[extents[2].position as usize + 100..][..16];
        assert_eq!(second[..8], 13i64.to_be_bytes());
        assert_eq!(second[8..12], [0xab; 4], "only base offset and leader epoch change");
        assert_eq!(second[12..], [0; 4]);
    }

    /// CRCs of large batches, and of frames of large extents, are made from others: readers see no difference.
    #[test]
    fn frames_of_large_extents_check_too() {
        const SMALL: usize = COMBINED_BYTES_MIN - 1;
        let same = |count, len| vec![len; count];
        // Two batches to an extent.
        let mixed = vec![SMALL, SMALL, 200_000, 100_001, 90, 100, 100_002];
        for lens in [same(1, COMBINED_BYTES_MIN), same(3, 100_001), same(3, SMALL), same(40, 20_000), mixed] {
            let indexed = lens.iter().zip(0..);
            let mut items: Vec<_> =
                indexed.map(|(len, at)| item(at / 2, i64::from(at % 2), 1, 1000, *len)).collect();
            items[0].log_append_time = true;
            let (bytes, extents) = frame_of(&mut items);
            assert_eq!(extents.len(), lens.len().div_ceil(2));
            let Found::Frame(frame) = find(&bytes, &LIFE) else { panic!("no frame of {lens:?}") };
            assert_eq!(frame.extents, extents, "{lens:?}");
            assert_eq!(frame.crc, frame_crc(&LIFE, &bytes));
        }
    }

    #[test]
    fn log_append_time_sets_flag_timestamp_and_crc() {
        let mut items = [Item { log_append_time: true, ..item(0, 0, 1, 123_456, 80) }];
        let (bytes, extents) = frame_of(&mut items);
        let batch = &bytes[extents[0].position as usize..][..80];
        assert_eq!(batch[22] & 0x08, 0x08);
        assert_eq!(batch[35..43], 123_456i64.to_be_bytes());
        assert_eq!(batch[17..21], crate::codec::crc32c(&batch[21..]).to_be_bytes());
    }

    #[test]
    fn what_is_not_a_frame_of_this_life_is_not_found() {
        let (bytes, _) = frame_of(&mut [item(0, 0, 1, 1, 5000)]);
        assert!(matches!(find(&bytes, &LIFE), Found::Frame(_)));
        assert!(matches!(find(&bytes.slice(..4096), &LIFE), Found::Longer(8192)));
        assert!(matches!(find(&bytes, &Life { secret: [4; 16], ..LIFE }), Found::Nothing(_)));
        assert!(matches!(find(&bytes, &Life { id: 8, ..LIFE }), Found::Nothing(_)));
        for at in (0..bytes.len()).step_by(7) {
            let mut broken = BytesMut::from(&bytes[..]);
            broken[at] ^= 1;
            assert!(!matches!(find(&broken.freeze(), &LIFE), Found::Frame(_)), "flipped bit at {at}");
        }
        assert!(matches!(find(&Bytes::from(vec![0; 4096]), &LIFE), Found::Nothing(_)));
    }
}
