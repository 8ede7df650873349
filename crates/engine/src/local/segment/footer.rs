//! What stands behind a segment's extents: tables, directory, index and trailer, to bytes and back.
//!
//! ```text
//!  | tables | padding | block | block | ... | index | trailer |
//!                         '- ~4 KiB: extents,       |       '-- where the others begin, CRCs
//!                            a CRC of its own       '-- each block's first extent, length, CRC; runs
//! ```
//! Extents stand in order of partition and offset, and so do their tables. The index is what stays in memory of a segment: a
//! block that names an extent is found without reading another. A *run* is extents of a partition without a gap between them,
//! up to about [`RUN_BYTES_MAX`]: what an archive has to know to find a segment. What lies in a gap may be in another segment.
//!
//! Integers are LEB128 where nothing else is said, the others little-endian.

use crate::codec::{Cursor, crc32c, put_uvarint, unzigzag, zigzag};
use crate::types::{Offset, PartitionId, TopicId};

const TRAILER_MAGIC: &[u8; 8] = b"2GESKLOK";
pub(in crate::local) const TRAILER_LEN: u64 = 64;
/// A block of the directory is closed when it has grown to this.
const BLOCK_BYTES: usize = 4 << 10;
/// A run is closed when it has grown to this: so much may be dead at a log start before it counts as dead.
const RUN_BYTES_MAX: u64 = 16 << 20;

/// A contiguous stretch of one partition's batches in a segment: one directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Whose batches.
    pub partition: PartitionId,
    /// Base offset of the first batch.
    pub first: Offset,
    /// Last offset of the last batch, inclusive.
    pub last: Offset,
    /// First byte in the file.
    pub position: u64,
    /// Bytes.
    pub len: u64,
    /// Batches.
    pub batches: u32,
    /// Greatest record timestamp by the batch headers, ms; -1 if none has one.
    pub max_timestamp_ms: i64,
    /// Append time of the first batch, ms.
    pub first_append_ms: i64,
    /// Append time of the last batch, ms.
    pub last_append_ms: i64,
    /// CRC-32C of the extent's bytes.
    pub crc: u32,
    pub(super) table_position: u64,
    pub(super) table_len: u32,
    pub(super) table_crc: u32,
}

#[cfg(feature = "fuzz")]
impl Extent {
    /// Where its table stands in the file.
    pub(in crate::local) fn table_range(&self) -> std::ops::Range<u64> {
        self.table_position..self.table_position + u64::from(self.table_len)
    }
}

/// One batch of an extent, from its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The batch's base offset.
    pub base_offset: Offset,
    /// Bytes from the extent's start.
    pub position: u32,
    /// Append time, ms.
    pub append_ms: i64,
    /// The header's max timestamp, ms; -1 if none.
    pub max_timestamp_ms: i64,
}

/// A block of a directory, by its first extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct Block {
    pub partition: PartitionId,
    pub first: Offset,
    pub position: u64,
    pub len: u32,
    pub crc: u32,
}

/// Extents of one partition that follow each other without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whose.
    pub partition: PartitionId,
    /// Base offset of the first batch.
    pub first: Offset,
    /// Last offset of the last batch, inclusive.
    pub last: Offset,
    /// Bytes of its extents.
    pub bytes: u32,
    /// The greatest record timestamp.
    pub newest: Newest,
}

/// A record timestamp in whole 1024 ms since 1970, rounded up and held between 0 and 2106: at or before it in this measure is
/// whatever is at or before it in ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Newest(pub u32);

impl Newest {
    /// Of a timestamp in ms.
    pub fn of(timestamp_ms: i64) -> Self {
        let units = u64::try_from(timestamp_ms).unwrap_or(0).div_ceil(1024);
        Newest(u32::try_from(units).unwrap_or(u32::MAX))
    }
}

/// What a segment's index says of its directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::local) struct Index {
    pub blocks: Vec<Block>,
    pub runs: Vec<Run>,
    /// Extents in all blocks.
    pub extents: u64,
    /// Bytes of those extents.
    pub bytes: u64,
}

/// Where the parts of a footer begin; each ends where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct Layout {
    pub tables: u64,
    pub directory: u64,
    pub index: u64,
    pub trailer: u64,
}

/// A segment's last [`TRAILER_LEN`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) struct Trailer {
    pub segment: u64,
    pub layout: Layout,
    pub index_crc: u32,
    /// Of the file's first bytes.
    pub header_crc: u32,
}

impl Trailer {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let Layout { tables, directory, index, trailer: _ } = self.layout;
        for number in [self.segment, tables, directory, index] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.index_crc.to_le_bytes());
        out.extend_from_slice(&self.header_crc.to_le_bytes());
        out.resize(start + TRAILER_LEN as usize, 0);
        Self::put_right(&mut out[start..]);
    }

    /// Sets checksum and magic of a trailer.
    pub fn put_right(trailer: &mut [u8]) {
        let (body, end) = trailer.split_at_mut(TRAILER_LEN as usize - 12);
        end[..4].copy_from_slice(&crc32c(body).to_le_bytes());
        end[4..].copy_from_slice(TRAILER_MAGIC);
    }

    /// Of a trailer that begins at `position`.
    pub fn decode(bytes: &[u8], position: u64) -> Result<Trailer, &'static str> {
        let (body, end) = bytes
            .split_at_checked(TRAILER_LEN as usize - 12)
            .filter(|(_, end)| end.len() == 12)
            .ok_or("the file is too short")?;
        if &end[4..] != TRAILER_MAGIC || end[..4] != crc32c(body).to_le_bytes() {
            return Err("the trailer does not check");
        }
        let long = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("8 bytes"));
        let short = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("4 bytes"));
        let layout = Layout { tables: long(8), directory: long(16), index: long(24), trailer: position };
        if !(layout.tables <= layout.directory
            && layout.directory <= layout.index
            && layout.index <= position)
        {
            return Err("the trailer points outside the file");
        }
        Ok(Trailer { segment: long(0), layout, index_crc: short(32), header_crc: short(36) })
    }
}

/// Whether bytes end as a segment does.
pub(super) fn ends_as_trailer(bytes: &[u8]) -> bool {
    bytes.ends_with(TRAILER_MAGIC)
}

/// Takes extents in order, and makes the footer of them.
#[derive(Debug, Default)]
pub(in crate::local) struct FooterWriter {
    /// Bytes of tables that were taken out to be written.
    tables_taken: u64,
    /// The tables behind those.
    tables: Vec<u8>,
    /// Closed blocks, one behind the other, then the open one.
    directory: Vec<u8>,
    /// Where the open block begins in `directory`.
    open_at: usize,
    previous: Option<Extent>,
    index: Index,
}

impl FooterWriter {
    /// Adds an extent behind all others in order of partition and offset, with its table. What it says of a table is put in.
    pub fn push(&mut self, mut extent: Extent, table: &[u8]) {
        extent.table_position = self.tables_taken + self.tables.len() as u64;
        extent.table_len = table.len() as u32;
        extent.table_crc = crc32c(table);
        self.tables.extend_from_slice(table);
        self.push_extent(extent);
    }

    fn push_extent(&mut self, extent: Extent) {
        assert!(
            self.previous
                .is_none_or(|before| (before.partition, before.last) < (extent.partition, extent.first)),
            "extents come in order, and those of one partition never overlap: {extent:?}"
        );
        if self.previous.is_none() || self.directory.len() - self.open_at >= BLOCK_BYTES {
            self.close_block();
            self.index.blocks.push(Block {
                partition: extent.partition,
                first: extent.first,
                position: 0,
                len: 0,
                crc: 0,
            });
            put_uvarint(&mut self.directory, extent.table_position);
            put_extent(&mut self.directory, None, &extent);
        } else {
            put_extent(&mut self.directory, self.previous.as_ref(), &extent);
        }
        self.previous = Some(extent);
        self.index.take(&extent);
    }

    fn close_block(&mut self) {
        if let Some(block) = self.index.blocks.last_mut() {
            let bytes = &self.directory[self.open_at..];
            block.position = self.open_at as u64;
            block.len = bytes.len() as u32;
            block.crc = crc32c(bytes);
            self.open_at = self.directory.len();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.previous.is_none()
    }

    /// Bytes of tables that were not taken out.
    pub fn tables_len(&self) -> usize {
        self.tables.len()
    }

    /// Bytes of tables that were taken out.
    pub fn tables_taken(&self) -> u64 {
        self.tables_taken
    }

    /// Takes the tables out that came since the last time: they stand in the file behind those that were taken out before.
    pub fn take_tables(&mut self) -> Vec<u8> {
        self.tables_taken += self.tables.len() as u64;
        std::mem::take(&mut self.tables)
    }

    /// The footer, whose tables begin at `position`, but for tables that were taken out, with so much padding that it ends at a
    /// multiple of `alignment`.
    pub fn finish(
        mut self,
        segment: u64,
        position: u64,
        alignment: u64,
        header_crc: u32,
    ) -> (Vec<u8>, Trailer, Index) {
        self.close_block();
        let index = self.index.encode();
        let tables_len = self.tables_taken + self.tables.len() as u64;
        let unpadded = tables_len + (self.directory.len() + index.len()) as u64 + TRAILER_LEN;
        let padding = (position + unpadded).next_multiple_of(alignment) - (position + unpadded);
        let directory = position + tables_len + padding;
        let index_at = directory + self.directory.len() as u64;
        let layout =
            Layout { tables: position, directory, index: index_at, trailer: index_at + index.len() as u64 };
        let trailer = Trailer { segment, layout, index_crc: crc32c(&index), header_crc };
        let mut out = self.tables;
        out.resize((directory - position - self.tables_taken) as usize, 0);
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(&index);
        trailer.encode(&mut out);
        for block in &mut self.index.blocks {
            block.position += directory;
        }
        (out, trailer, self.index)
    }
}

impl Index {
    /// Counts an extent in.
    pub fn take(&mut self, extent: &Extent) {
        self.extents += 1;
        self.bytes += extent.len;
        let newest = Newest::of(extent.max_timestamp_ms);
        match self.runs.last_mut() {
            Some(run)
                if run.partition == extent.partition
                    && run.last + 1 == extent.first
                    && u64::from(run.bytes) < RUN_BYTES_MAX
                    && u64::from(run.bytes) + extent.len <= u64::from(u32::MAX) =>
            {
                run.last = extent.last;
                run.bytes += extent.len as u32;
                run.newest = run.newest.max(newest);
            }
            _ => self.runs.push(Run {
                partition: extent.partition,
                first: extent.first,
                last: extent.last,
                bytes: u32::try_from(extent.len).unwrap_or(u32::MAX),
                newest,
            }),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.blocks.len() * 16 + self.runs.len() * 12 + 16);
        put_uvarint(&mut out, self.extents);
        put_uvarint(&mut out, self.bytes);
        put_uvarint(&mut out, self.blocks.len() as u64);
        let mut topic = None;
        for block in &self.blocks {
            put_partition(&mut out, &mut topic, block.partition);
            put_uvarint(&mut out, block.first.0 as u64);
            put_uvarint(&mut out, u64::from(block.len));
            out.extend_from_slice(&block.crc.to_le_bytes());
        }
        put_uvarint(&mut out, self.runs.len() as u64);
        let (mut topic, mut newest) = (None, 0);
        for run in &self.runs {
            put_partition(&mut out, &mut topic, run.partition);
            put_uvarint(&mut out, run.first.0 as u64);
            put_uvarint(&mut out, (run.last - run.first) as u64);
            put_uvarint(&mut out, u64::from(run.bytes));
            put_uvarint(&mut out, zigzag(i64::from(run.newest.0) - newest));
            newest = i64::from(run.newest.0);
        }
        out
    }

    /// Reads an index; `None` where it cannot be one of `layout`.
    pub fn decode(bytes: &[u8], layout: &Layout) -> Option<Index> {
        let (mut index, directory_len) = Index::decode_anywhere(bytes)?;
        if layout.directory.checked_add(directory_len) != Some(layout.index) {
            return None;
        }
        index.blocks.iter_mut().for_each(|block| block.position += layout.directory);
        Some(index)
    }

    /// Reads an index with positions from the directory's start, and gives back the directory's length.
    pub fn decode_anywhere(bytes: &[u8]) -> Option<(Index, u64)> {
        let mut cursor = Cursor::new(bytes);
        let mut index = Index { extents: cursor.uvarint()?, bytes: cursor.uvarint()?, ..Index::default() };
        // A block takes at least 7 bytes, a run 5: a count beyond that is not ours.
        let count = cursor.uvarint().filter(|count| *count <= bytes.len() as u64 / 7)?;
        index.blocks.reserve_exact(count as usize);
        let mut topic = None;
        let mut position = 0u64;
        for _ in 0..count {
            let partition = take_partition(&mut cursor, &mut topic)?;
            let first = Offset(i64::try_from(cursor.uvarint()?).ok()?);
            let len = u32::try_from(cursor.uvarint()?).ok()?;
            let crc = u32::from_le_bytes(cursor.take(4)?.try_into().ok()?);
            let block = Block { partition, first, position, len, crc };
            if index
                .blocks
                .last()
                .is_some_and(|before| (before.partition, before.first) >= (partition, first))
            {
                return None;
            }
            position = position.checked_add(u64::from(len))?;
            index.blocks.push(block);
        }
        let count = cursor.uvarint().filter(|count| *count <= bytes.len() as u64 / 5)?;
        index.runs.reserve_exact(count as usize);
        let (mut topic, mut newest) = (None, 0i64);
        for _ in 0..count {
            let partition = take_partition(&mut cursor, &mut topic)?;
            let first = Offset(i64::try_from(cursor.uvarint()?).ok()?);
            let last = Offset(first.0.checked_add(i64::try_from(cursor.uvarint()?).ok()?)?);
            let bytes = u32::try_from(cursor.uvarint()?).ok()?;
            newest = newest.checked_add(unzigzag(cursor.uvarint()?))?;
            let newest = Newest(u32::try_from(newest).ok()?);
            if index.runs.last().is_some_and(|before| (before.partition, before.last) >= (partition, first)) {
                return None;
            }
            index.runs.push(Run { partition, first, last, bytes, newest });
        }
        cursor.is_empty().then_some((index, position))
    }

    /// Makes an index of the directory that it would be of, as far as that can be read; tells whether that is all of it.
    pub fn of_directory(bytes: &[u8], layout: &Layout) -> (Index, bool) {
        let mut index = Index::default();
        let mut cursor = Cursor::new(bytes);
        let mut before: Option<Extent> = None;
        while !cursor.is_empty() {
            let at = bytes.len() - cursor.remaining();
            let extents = decode_some(&mut cursor, layout, BLOCK_BYTES);
            let is_behind = |first: &Extent| {
                before.is_none_or(|before| (before.partition, before.last) < (first.partition, first.first))
            };
            let Some(extents) = extents.filter(|extents| extents.first().is_some_and(is_behind)) else {
                return (index, false);
            };
            let first = extents[0];
            before = extents.last().copied();
            let block = &bytes[at..bytes.len() - cursor.remaining()];
            index.blocks.push(Block {
                partition: first.partition,
                first: first.first,
                position: layout.directory + at as u64,
                len: block.len() as u32,
                crc: crc32c(block),
            });
            extents.iter().for_each(|extent| index.take(extent));
        }
        (index, true)
    }
}

/// Appends a partition; its topic only where it is another than the one before.
fn put_partition(out: &mut Vec<u8>, topic: &mut Option<TopicId>, partition: PartitionId) {
    let same = topic.replace(partition.topic) == Some(partition.topic);
    put_uvarint(out, u64::from(partition.index as u32) << 1 | u64::from(!same));
    if !same {
        out.extend_from_slice(&partition.topic.0.to_le_bytes());
    }
}

fn take_partition(cursor: &mut Cursor<'_>, topic: &mut Option<TopicId>) -> Option<PartitionId> {
    let number = cursor.uvarint()?;
    if number & 1 == 1 {
        *topic = Some(TopicId(u128::from_le_bytes(cursor.take(16)?.try_into().ok()?)));
    }
    Some(PartitionId { topic: (*topic)?, index: i32::try_from(number >> 1).ok()? })
}

/// Appends an extent, shorter for the one before it in its block.
fn put_extent(out: &mut Vec<u8>, previous: Option<&Extent>, e: &Extent) {
    put_partition(out, &mut previous.map(|previous| previous.partition.topic), e.partition);
    put_uvarint(out, e.first.0 as u64);
    put_uvarint(out, (e.last - e.first) as u64);
    put_uvarint(out, zigzag(e.position.wrapping_sub(end_of(previous)) as i64));
    put_uvarint(out, e.len);
    put_uvarint(out, u64::from(e.batches));
    put_uvarint(out, zigzag(e.first_append_ms));
    put_uvarint(out, zigzag(e.last_append_ms - e.first_append_ms));
    // Most timestamps are near the append time; -1 (none) must survive, so wrap instead of overflow.
    put_uvarint(out, zigzag(e.max_timestamp_ms.wrapping_sub(e.last_append_ms)));
    put_uvarint(out, u64::from(e.table_len));
    out.extend_from_slice(&e.crc.to_le_bytes());
    out.extend_from_slice(&e.table_crc.to_le_bytes());
}

fn end_of(previous: Option<&Extent>) -> u64 {
    previous.map_or(0, |previous| previous.position + previous.len)
}

/// The extents of a block that begins with the one its index names; `None` where they cannot be a block's of `layout`.
pub(in crate::local) fn decode_block(bytes: &[u8], block: &Block, layout: &Layout) -> Option<Vec<Extent>> {
    let extents = decode_extents(bytes, layout)?;
    let first = extents.first()?;
    ((first.partition, first.first) == (block.partition, block.first)).then_some(extents)
}

pub(in crate::local) fn decode_extents(bytes: &[u8], layout: &Layout) -> Option<Vec<Extent>> {
    decode_some(&mut Cursor::new(bytes), layout, usize::MAX)
}

/// Takes a block off the front that was closed when it had grown to so many bytes.
fn decode_some(cursor: &mut Cursor<'_>, layout: &Layout, bytes: usize) -> Option<Vec<Extent>> {
    let all = cursor.remaining();
    let mut table_position = layout.tables.checked_add(cursor.uvarint()?)?;
    // An extent takes at least 18 bytes.
    let mut extents: Vec<Extent> = Vec::with_capacity(all.min(bytes) / 18);
    while !cursor.is_empty() && all - cursor.remaining() < bytes {
        let previous = extents.last();
        let partition = take_partition(cursor, &mut previous.map(|previous| previous.partition.topic))?;
        let first = Offset(i64::try_from(cursor.uvarint()?).ok()?);
        let last = Offset(first.0.checked_add(i64::try_from(cursor.uvarint()?).ok()?)?);
        let position = end_of(previous).wrapping_add(unzigzag(cursor.uvarint()?) as u64);
        let len = cursor.uvarint()?;
        let batches = u32::try_from(cursor.uvarint()?).ok()?;
        let first_append_ms = unzigzag(cursor.uvarint()?);
        let last_append_ms = first_append_ms.checked_add(unzigzag(cursor.uvarint()?))?;
        let max_timestamp_ms = last_append_ms.wrapping_add(unzigzag(cursor.uvarint()?));
        let table_len = u32::try_from(cursor.uvarint()?).ok()?;
        let crc = u32::from_le_bytes(cursor.take(4)?.try_into().ok()?);
        let table_crc = u32::from_le_bytes(cursor.take(4)?.try_into().ok()?);
        let table_end = table_position.checked_add(u64::from(table_len))?;
        let is_inside = position.checked_add(len).is_some_and(|end| end <= layout.tables)
            && table_end <= layout.directory;
        let is_behind = previous.is_none_or(|before| (before.partition, before.last) < (partition, first));
        if !is_inside || !is_behind {
            return None;
        }
        extents.push(Extent {
            partition,
            first,
            last,
            position,
            len,
            batches,
            max_timestamp_ms,
            first_append_ms,
            last_append_ms,
            crc,
            table_position,
            table_len,
            table_crc,
        });
        table_position = table_end;
    }
    extents.shrink_to_fit();
    Some(extents)
}

/// A block of these extents, as [`decode_extents`] reads it with tables that begin at `tables`.
#[cfg(feature = "fuzz")]
pub(in crate::local) fn encode_extents(extents: &[Extent], tables: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_uvarint(&mut out, extents.first().map_or(0, |first| first.table_position - tables));
    let mut previous = None;
    for extent in extents {
        put_extent(&mut out, previous, extent);
        previous = Some(extent);
    }
    out
}

/// Appends `entry` as differences to the one before it.
pub(super) fn put_entry(out: &mut Vec<u8>, previous: &TableEntry, entry: &TableEntry) {
    put_uvarint(out, (entry.base_offset - previous.base_offset) as u64);
    put_uvarint(out, u64::from(entry.position - previous.position));
    put_uvarint(out, zigzag(entry.append_ms - previous.append_ms));
    put_uvarint(out, zigzag(entry.max_timestamp_ms.wrapping_sub(entry.append_ms)));
}

pub(in crate::local) fn decode_table(bytes: &[u8], extent: &Extent) -> Option<Vec<TableEntry>> {
    let mut cursor = Cursor::new(bytes);
    if u64::from(extent.batches) > bytes.len() as u64 / 4 {
        return None;
    }
    let mut entries = Vec::with_capacity(extent.batches as usize);
    let mut previous = TableEntry {
        base_offset: extent.first,
        position: 0,
        append_ms: extent.first_append_ms,
        max_timestamp_ms: 0,
    };
    for _ in 0..extent.batches {
        let base_offset = Offset(previous.base_offset.0.checked_add(i64::try_from(cursor.uvarint()?).ok()?)?);
        let position = previous.position.checked_add(u32::try_from(cursor.uvarint()?).ok()?)?;
        let append_ms = previous.append_ms.checked_add(unzigzag(cursor.uvarint()?))?;
        let max_timestamp_ms = append_ms.wrapping_add(unzigzag(cursor.uvarint()?));
        previous = TableEntry { base_offset, position, append_ms, max_timestamp_ms };
        entries.push(previous);
    }
    cursor.is_empty().then_some(entries)
}
