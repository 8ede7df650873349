//! Segment files: batches that have left the write-ahead log, grouped by partition.
//!
//! A segment is written once, synced, and never changed. It holds one large partition or many small ones. An *extent* is a
//! contiguous run of whole batches of one partition.
//!
//! ```text
//!  0        extents, anywhere below the footer                size
//!  | header | extent | extent | ... | footer |
//!                                       '- per extent: base offset, position and append time of each batch;
//!                                          partition, offsets, range, times, CRCs; where all that stands (see `footer`)
//! ```
//!
//! Extents need not start behind the header or touch each other, so that a write-ahead file that is mostly
//! large extents becomes a segment by getting a footer appended, without a copy.
//!
//! Each extent carries a CRC-32C of its own over all bytes: the batches' CRCs leave base offset and leader epoch out. What is
//! opened is the index, at the footer's end; blocks of the directory, tables and extents are checked when they are read.

pub(super) mod footer;
mod merge;
mod rebuild;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};

use footer::{
    Block, FooterWriter, Index, Layout, TRAILER_LEN, Trailer, decode_block, decode_table, put_entry,
};
pub use footer::{Extent, Newest, Run, TableEntry};
pub(super) use merge::Merging;

use crate::codec::{crc32c, crc32c_digest};
use crate::contract::{BoxFuture, EngineError, RangeRead};
use crate::defects::{Defect, defect};
use crate::door::{Disk, File, Open};
use crate::map::HashMap;
use crate::types::{Offset, PartitionId};

const HEADER_MAGIC: &[u8; 8] = b"KOLKSEG2";
/// Bytes before the first extent of a segment that was written as one.
const HEADER_LEN: u64 = 64;
/// An extent is closed when it has grown past this, so that its table stays small.
pub const EXTENT_BYTES_MAX: u64 = 4 << 20;
/// Bytes at a file's end that are read first: most footers' index and trailer.
const TAIL_BYTES: u64 = 16 << 10;
/// Write buffer: data goes to the file in pieces of this size.
const WRITE_BYTES: usize = 1 << 20;
/// Tables go to the file once there is so much of them. Little in tests, so that they all come to it.
const TABLES_BYTES: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };

/// A segment's number; counts up over the data directory's life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The segment's file name.
    pub fn file_name(self) -> String {
        format!("{:016x}.seg", self.0)
    }
}

/// Why a segment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The disk said no.
    #[error("segment {name}: {source}")]
    Io {
        /// File name.
        name: String,
        /// The disk's error.
        source: std::io::Error,
    },
    /// The file does not check.
    #[error("segment {name} is damaged at byte {position}: {what}")]
    Damaged {
        /// File name.
        name: String,
        /// Where.
        position: u64,
        /// What was found.
        what: &'static str,
    },
}

/// Open files of segments: the ones read last, at most [`HANDLES_MAX`], so that handles do not grow with the log.
#[derive(Debug)]
pub struct Handles {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    open: Mutex<OpenFiles>,
}

#[derive(Debug, Default)]
struct OpenFiles {
    files: HashMap<SegmentId, (Arc<dyn File>, u64)>,
    /// Counts uses.
    turn: u64,
}

/// Segments whose files are kept open.
pub const HANDLES_MAX: usize = 64;

impl Handles {
    /// For the segments in `directory`.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path) -> Arc<Self> {
        Arc::new(Handles { disk, directory: directory.to_path_buf(), open: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, OpenFiles> {
        self.open.lock().expect("nothing panics under this lock")
    }

    /// The segment's file, opened if it is not.
    async fn get(&self, id: SegmentId) -> std::io::Result<Arc<dyn File>> {
        {
            let mut open = self.lock();
            open.turn += 1;
            let turn = open.turn;
            if let Some((file, used)) = open.files.get_mut(&id) {
                *used = turn;
                return Ok(file.clone());
            }
        }
        let file = self.disk.open(&self.directory.join(id.file_name()), Open::Read).await?;
        let mut open = self.lock();
        if open.files.len() >= HANDLES_MAX {
            let oldest = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            oldest.and_then(|oldest| open.files.remove(&oldest));
        }
        let turn = open.turn;
        open.files.insert(id, (file.clone(), turn));
        Ok(file)
    }

    /// The segment's file if it is open.
    fn at_hand(&self, id: SegmentId) -> Option<Arc<dyn File>> {
        self.lock().files.get(&id).map(|(file, _)| file.clone())
    }

    /// Closes the file of a segment that is to be removed.
    pub fn close(&self, id: SegmentId) {
        self.lock().files.remove(&id);
    }
}

/// Writes one segment. Nothing of it may be used before [`SegmentWriter::finish`] returned.
pub struct SegmentWriter {
    id: SegmentId,
    handles: Arc<Handles>,
    file: Arc<dyn File>,
    name: String,
    position: u64,
    header_crc: u32,
    buffer: BytesMut,
    current: Option<Building>,
    footer: FooterWriter,
    /// Where tables begin once some were written; none are before the end if this is not known.
    tables_at: Option<u64>,
}

struct Building {
    extent: Extent,
    digest: crc_fast::Digest,
    table: Vec<u8>,
    previous: TableEntry,
}

impl SegmentWriter {
    /// Starts a segment; a left-over file of that name goes.
    pub async fn create(handles: &Arc<Handles>, id: SegmentId) -> Result<Self, SegmentError> {
        let name = id.file_name();
        let io = |source| SegmentError::Io { name: id.file_name(), source };
        let path = handles.directory.join(&name);
        // It may be the second name of a log file in use: only the name goes.
        match handles.disk.remove(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let file = handles.disk.open(&path, Open::Write).await.map_err(io)?;
        let mut buffer = BytesMut::with_capacity(WRITE_BYTES + 4096);
        buffer.extend_from_slice(HEADER_MAGIC);
        buffer.extend_from_slice(&id.0.to_le_bytes());
        buffer.resize(HEADER_LEN as usize, 0);
        let header_crc = crc32c(&buffer);
        Ok(SegmentWriter {
            id,
            handles: handles.clone(),
            file,
            name,
            position: 0,
            header_crc,
            buffer,
            current: None,
            footer: FooterWriter::default(),
            tables_at: None,
        })
    }

    /// Promises that no more bytes of batches than this will be added. Then tables that grow large do not stay in memory: small
    /// batches have much of them. They are written behind where those bytes would end; what is not used of that is a hole in the file.
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.tables_at = Some(HEADER_LEN + bytes);
        self
    }

    /// Adds whole batches of one partition, in offset order; `entries` has one entry for each, positions
    /// counted from the start of `bytes`. A change of partition, a gap, or a full extent, starts a new extent: the
    /// batches in a gap may stand in another segment, and extents of a partition never overlap.
    ///
    /// The caller brings partitions in their order, and the batches of each one after another.
    pub async fn add(
        &mut self,
        partition: PartitionId,
        bytes: &[u8],
        entries: &[TableEntry],
        last: Offset,
    ) -> Result<(), SegmentError> {
        for (i, entry) in entries.iter().enumerate() {
            let start = entry.position as usize;
            let end = entries.get(i + 1).map_or(bytes.len(), |next| next.position as usize);
            let batch_last = entries.get(i + 1).map_or(last, |next| Offset(next.base_offset.0 - 1));
            self.add_batch(partition, &bytes[start..end], *entry, batch_last);
            if self.buffer.len() >= WRITE_BYTES {
                self.flush().await?;
            }
            if self.footer.tables_len() >= TABLES_BYTES {
                self.flush_tables().await?;
            }
        }
        Ok(())
    }

    fn add_batch(&mut self, partition: PartitionId, bytes: &[u8], entry: TableEntry, last: Offset) {
        let ends = |b: &Building| {
            b.extent.partition != partition
                || b.extent.last + 1 != entry.base_offset
                || b.extent.len >= EXTENT_BYTES_MAX
        };
        if self.current.as_ref().is_some_and(ends) {
            self.end_extent();
        }
        let position = self.position + self.buffer.len() as u64;
        let building = self.current.get_or_insert_with(|| Building {
            extent: Extent {
                partition,
                first: entry.base_offset,
                last,
                position,
                len: 0,
                batches: 0,
                max_timestamp_ms: -1,
                first_append_ms: entry.append_ms,
                last_append_ms: entry.append_ms,
                crc: 0,
                table_position: 0,
                table_len: 0,
                table_crc: 0,
            },
            digest: crc32c_digest(),
            table: Vec::new(),
            previous: TableEntry {
                base_offset: entry.base_offset,
                position: 0,
                append_ms: entry.append_ms,
                max_timestamp_ms: entry.append_ms,
            },
        });
        let entry = TableEntry { position: building.extent.len as u32, ..entry };
        put_entry(&mut building.table, &building.previous, &entry);
        building.previous = entry;
        building.digest.update(bytes);
        let extent = &mut building.extent;
        extent.last = last;
        extent.len += bytes.len() as u64;
        extent.batches += 1;
        extent.max_timestamp_ms = extent.max_timestamp_ms.max(entry.max_timestamp_ms);
        extent.last_append_ms = entry.append_ms;
        self.buffer.extend_from_slice(bytes);
    }

    fn end_extent(&mut self) {
        if let Some(mut building) = self.current.take() {
            building.extent.crc = building.digest.finalize() as u32;
            self.footer.push(building.extent, &building.table);
        }
    }

    async fn flush(&mut self) -> Result<(), SegmentError> {
        let bytes = self.buffer.split().freeze();
        let len = bytes.len() as u64;
        self.write(self.position, bytes).await?;
        self.position += len;
        self.buffer.reserve(WRITE_BYTES + 4096);
        Ok(())
    }

    async fn flush_tables(&mut self) -> Result<(), SegmentError> {
        let Some(tables_at) = self.tables_at else { return Ok(()) };
        let position = tables_at + self.footer.tables_taken();
        let tables = self.footer.take_tables();
        self.write(position, tables.into()).await
    }

    async fn write(&self, position: u64, bytes: Bytes) -> Result<(), SegmentError> {
        let write = self.file.write_at(position, bytes).await;
        write.map_err(|source| SegmentError::Io { name: self.name.clone(), source })
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.footer.is_empty() && self.current.is_none()
    }

    /// Writes the footer and syncs the file. The caller syncs the directory before it relies on the segment.
    pub async fn finish(mut self) -> Result<Written, SegmentError> {
        self.end_extent();
        self.flush().await?;
        let footer = std::mem::take(&mut self.footer);
        let taken = footer.tables_taken();
        assert!(
            self.tables_at.is_none_or(|tables_at| self.position <= tables_at),
            "no more was added than was promised: tables lie behind it"
        );
        let tables_at = self.tables_at.filter(|_| taken > 0).unwrap_or(self.position);
        let (footer, trailer, index) = footer.finish(self.id.0, tables_at, 1, self.header_crc);
        self.write(tables_at + taken, footer.into()).await?;
        if !defect(Defect::SegmentNotSynced) {
            self.file.sync().await.map_err(|source| SegmentError::Io { name: self.name.clone(), source })?;
        }
        Ok(Segment::with_runs(self.id, self.handles, trailer, index))
    }
}

/// An extent that stands in a file already, for [`promote`].
pub struct Standing {
    /// Whose batches.
    pub partition: PartitionId,
    /// First byte in the file.
    pub position: u64,
    /// Bytes.
    pub len: u64,
    /// Last offset of the last batch, inclusive.
    pub last: Offset,
    /// CRC-32C of the bytes.
    pub crc: u32,
    /// Its batches, positions from its start; at least one.
    pub entries: Vec<TableEntry>,
}

/// Makes a segment of a file that holds the extents already, which come in order of partition and offset: appends a footer at
/// `end`, which lies behind all of them, and syncs. The file's size is a multiple of `alignment` afterwards, as its end was before. What was in
/// the file before `end` stays as it was; what lies behind, as the footer of a promotion that came to nothing, goes. The
/// caller links the file to the segment's name.
pub async fn promote(
    handles: &Arc<Handles>,
    file: Arc<dyn File>,
    id: SegmentId,
    end: u64,
    alignment: u64,
    standing: Vec<Standing>,
) -> Result<Written, SegmentError> {
    let io = |source| SegmentError::Io { name: id.file_name(), source };
    let header_crc = crc32c(&file.read_at(0, HEADER_LEN as usize).await.map_err(io)?);
    let mut footer = FooterWriter::default();
    let mut table = Vec::new();
    for extent in standing {
        let (first, last) = match (extent.entries.first(), extent.entries.last()) {
            (Some(first), Some(last)) => (*first, *last),
            _ => continue,
        };
        table.clear();
        let mut previous = TableEntry { position: 0, max_timestamp_ms: first.append_ms, ..first };
        for entry in &extent.entries {
            put_entry(&mut table, &previous, entry);
            previous = *entry;
        }
        let of_batches = extent.entries.iter().map(|entry| entry.max_timestamp_ms);
        let described = Extent {
            partition: extent.partition,
            first: first.base_offset,
            last: extent.last,
            position: extent.position,
            len: extent.len,
            batches: extent.entries.len() as u32,
            max_timestamp_ms: of_batches.max().unwrap_or(-1),
            first_append_ms: first.append_ms,
            last_append_ms: last.append_ms,
            crc: extent.crc,
            table_position: 0,
            table_len: 0,
            table_crc: 0,
        };
        footer.push(described, &table);
    }
    let (footer, trailer, index) = footer.finish(id.0, end, alignment, header_crc);
    // The trailer is looked for at the file's end.
    file.set_len(end).await.map_err(io)?;
    file.write_at(end, footer.into()).await.map_err(io)?;
    file.sync().await.map_err(io)?;
    Ok(Segment::with_runs(id, handles.clone(), trailer, index))
}

/// Whether a file ends as a segment does.
pub async fn has_trailer(file: &dyn File) -> std::io::Result<bool> {
    let size = file.size().await?;
    let Some(at) = size.checked_sub(TRAILER_LEN) else { return Ok(false) };
    Ok(footer::ends_as_trailer(&file.read_at(at, TRAILER_LEN as usize).await?))
}

/// A segment and what it has of each partition: what an archive takes in.
pub type Written = (Arc<Segment>, Vec<Run>);

/// An open segment: its index but for the runs.
#[derive(Debug)]
pub struct Segment {
    /// Its number.
    pub id: SegmentId,
    handles: Arc<Handles>,
    name: String,
    layout: Layout,
    header_crc: u32,
    blocks: Box<[Block]>,
    /// Extents in it.
    pub extents: u64,
    /// Bytes of those extents.
    pub bytes: u64,
}

impl Segment {
    fn with_runs(id: SegmentId, handles: Arc<Handles>, trailer: Trailer, index: Index) -> Written {
        let segment = Segment {
            id,
            handles,
            name: id.file_name(),
            layout: trailer.layout,
            header_crc: trailer.header_crc,
            blocks: index.blocks.into(),
            extents: index.extents,
            bytes: index.bytes,
        };
        (Arc::new(segment), index.runs)
    }

    /// Its file, which can be read while the segment is held.
    pub async fn file(&self) -> std::io::Result<Arc<dyn File>> {
        self.handles.get(self.id).await
    }

    /// Opens a segment: reads its trailer and index and checks them, in one read or two whatever it holds, and nothing else.
    pub async fn open(handles: &Arc<Handles>, id: SegmentId) -> Result<Written, SegmentError> {
        let io = |source| SegmentError::Io { name: id.file_name(), source };
        let damaged = |position, what| SegmentError::Damaged { name: id.file_name(), position, what };
        let file = handles.get(id).await.map_err(io)?;
        let size = file.size().await.map_err(io)?;
        let tail_at = size.saturating_sub(TAIL_BYTES);
        let tail = file.read_at(tail_at, (size - tail_at) as usize).await.map_err(io)?;
        let Some(trailer_at) = size.checked_sub(TRAILER_LEN) else {
            return Err(damaged(0, "the file is too short"));
        };
        let trailer = Trailer::decode(&tail[(trailer_at - tail_at) as usize..], trailer_at)
            .map_err(|what| damaged(trailer_at, what))?;
        if trailer.segment != id.0 {
            return Err(damaged(trailer_at, "it is another segment under this name"));
        }
        let Layout { index: index_at, .. } = trailer.layout;
        let index = match index_at.checked_sub(tail_at) {
            Some(at) => tail.slice(at as usize..(trailer_at - tail_at) as usize),
            None => file.read_at(index_at, (trailer_at - index_at) as usize).await.map_err(io)?,
        };
        if crc32c(&index) != trailer.index_crc {
            return Err(damaged(index_at, "the index does not check"));
        }
        let index = Index::decode(&index, &trailer.layout)
            .ok_or_else(|| damaged(index_at, "the index cannot be read"))?;
        Ok(Segment::with_runs(id, handles.clone(), trailer, index))
    }

    /// Checks the header, which nothing is read by.
    pub async fn check_header(&self) -> Result<(), SegmentError> {
        if crc32c(&self.read(0, HEADER_LEN as usize).await?) != self.header_crc {
            return Err(self.damaged(0, "the header does not check"));
        }
        Ok(())
    }

    fn damaged(&self, position: u64, what: &'static str) -> SegmentError {
        SegmentError::Damaged { name: self.name.clone(), position, what }
    }

    /// Blocks of its directory.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Where a block of the directory stands in the file.
    pub fn block_position(&self, block: usize) -> u64 {
        self.blocks[block].position
    }

    /// The blocks that may name the first of a partition's extents that ends at or behind `offset`, at most two: the one in
    /// which it would begin, and the next if that begins with this partition.
    pub fn blocks_of(&self, partition: PartitionId, offset: Offset) -> std::ops::Range<usize> {
        let behind =
            self.blocks.partition_point(|block| (block.partition, block.first) <= (partition, offset));
        let from = behind.saturating_sub(1);
        let goes_on = self.blocks.get(behind).is_some_and(|next| next.partition == partition);
        let begins = self.blocks.get(from).is_some_and(|block| block.partition <= partition);
        if begins { from..(behind + usize::from(goes_on)).max(from + 1) } else { 0..0 }
    }

    /// The extents of a block of the directory, in order of partition and offset.
    pub async fn block(&self, block: usize) -> Result<Vec<Extent>, SegmentError> {
        let block = &self.blocks[block];
        let bytes = self.read(block.position, block.len as usize).await?;
        if crc32c(&bytes) != block.crc {
            return Err(self.damaged(block.position, "a block of the directory does not check"));
        }
        decode_block(&bytes, block, &self.layout)
            .ok_or_else(|| self.damaged(block.position, "a block of the directory cannot be read"))
    }

    /// Bytes of memory that its index takes.
    pub fn held_bytes(&self) -> usize {
        size_of::<Segment>() + size_of_val(&*self.blocks)
    }

    /// The batches of an extent, in offset order.
    pub async fn table(&self, extent: &Extent) -> Result<Vec<TableEntry>, SegmentError> {
        let damaged = |what| self.damaged(extent.table_position, what);
        let bytes = self.read(extent.table_position, extent.table_len as usize).await?;
        if crc32c(&bytes) != extent.table_crc {
            return Err(damaged("an extent's table does not check"));
        }
        decode_table(&bytes, extent).ok_or_else(|| damaged("an extent's table cannot be read"))
    }

    /// Reads an extent's bytes and checks them against its CRC.
    pub async fn checked_extent(&self, extent: &Extent) -> Result<Bytes, SegmentError> {
        let bytes = self.read(extent.position, extent.len as usize).await?;
        if crc32c(&bytes) != extent.crc {
            return Err(self.damaged(extent.position, "an extent's bytes do not check"));
        }
        Ok(bytes)
    }

    /// Reads bytes as they are.
    pub async fn read(&self, position: u64, len: usize) -> Result<Bytes, SegmentError> {
        let io = |source| SegmentError::Io { name: self.name.clone(), source };
        let file = self.handles.get(self.id).await.map_err(io)?;
        file.read_at(position, len).await.map_err(io)
    }
}

impl RangeRead for Segment {
    fn read_at(&self, position: u64, len: usize) -> BoxFuture<'_, Result<Bytes, EngineError>> {
        Box::pin(async move {
            self.read(position, len).await.map_err(|error| EngineError::Read(error.to_string().into()))
        })
    }

    fn file(&self) -> Option<Arc<dyn File>> {
        self.handles.at_hand(self.id)
    }
}
