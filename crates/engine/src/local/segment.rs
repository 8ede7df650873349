//! Segment files: batches that have left the write-ahead log, grouped by partition.
//!
//! A segment is written once, synced, and never changed. It holds one large partition or many small ones. An *extent* is a
//! contiguous run of whole batches of one partition.
//!
//! ```text
//!  0        extents, anywhere below the tables                     size
//!  | header | extent | extent | ... | tables | directory | trailer |
//!                                      |          |           '-- where the directory is, magic, CRC
//!                                      |          '-- per extent: partition, offsets, range, times, CRCs
//!                                      '-- per extent: base offset, position and append time of each batch
//! ```
//!
//! Extents need not start behind the header or touch each other, so that a write-ahead file that is mostly
//! large extents becomes a segment by getting tables, directory and trailer appended, without a copy.
//!
//! Everything is little-endian; tables and directory are LEB128 integers. Each extent carries a CRC-32C of
//! its own over all bytes: the batches' CRCs leave base offset and leader epoch out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};

use crate::codec::{Cursor, crc32c, put_uvarint, unzigzag, zigzag};
use crate::contract::{BoxFuture, EngineError, RangeRead};
use crate::defects::{Defect, defect};
use crate::door::{Disk, File, Open};
use crate::map::HashMap;
use crate::types::{Offset, PartitionId, TopicId};

const HEADER_MAGIC: &[u8; 8] = b"KOLKSEG1";
const TRAILER_MAGIC: &[u8; 8] = b"1GESKLOK";
/// Bytes before the first extent of a segment that was written as one.
const HEADER_LEN: u64 = 64;
pub(super) const TRAILER_LEN: u64 = 48;
/// An extent is closed when it has grown past this, so that its table stays small.
pub const EXTENT_BYTES_MAX: u64 = 4 << 20;
/// Write buffer: data goes to the file in pieces of this size.
const WRITE_BYTES: usize = 1 << 20;

/// A segment's number; counts up over the data directory's life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The segment's file name.
    pub fn file_name(self) -> String {
        format!("{:016x}.seg", self.0)
    }
}

/// A run of one partition's batches in a segment: one directory entry.
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
    table_position: u64,
    table_len: u32,
    table_crc: u32,
}

#[cfg(feature = "fuzz")]
impl Extent {
    /// Where its table stands in the file.
    pub(super) fn table_range(&self) -> std::ops::Range<u64> {
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
    tables: Vec<u8>,
    directory: Vec<Extent>,
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
            tables: Vec::new(),
            directory: Vec::new(),
        })
    }

    /// Adds whole batches of one partition, in offset order; `entries` has one entry for each, positions
    /// counted from the start of `bytes`. A change of partition, a gap, or a full extent, starts a new extent: the
    /// batches in a gap may stand in another segment, and extents of a partition never overlap.
    ///
    /// The caller brings the batches of a partition one after another: extents of one partition never
    /// interleave with another's within a segment.
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
            building.extent.table_position = self.tables.len() as u64;
            building.extent.table_len = building.table.len() as u32;
            building.extent.table_crc = crc32c(&building.table);
            self.tables.extend_from_slice(&building.table);
            self.directory.push(building.extent);
        }
    }

    async fn flush(&mut self) -> Result<(), SegmentError> {
        let bytes = self.buffer.split().freeze();
        let len = bytes.len() as u64;
        self.write(bytes).await?;
        self.position += len;
        self.buffer.reserve(WRITE_BYTES + 4096);
        Ok(())
    }

    async fn write(&self, bytes: Bytes) -> Result<(), SegmentError> {
        let write = self.file.write_at(self.position, bytes).await;
        write.map_err(|source| SegmentError::Io { name: self.name.clone(), source })
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.directory.is_empty() && self.current.is_none()
    }

    /// Writes tables, directory and trailer and syncs the file. The caller syncs the directory before it
    /// relies on the segment.
    pub async fn finish(mut self) -> Result<(Arc<Segment>, Vec<Extent>), SegmentError> {
        self.end_extent();
        let tables_at = self.position + self.buffer.len() as u64;
        for extent in &mut self.directory {
            extent.table_position += tables_at;
        }
        let tables = std::mem::take(&mut self.tables);
        self.buffer.extend_from_slice(&tables);
        let footer = encode_footer(&self.directory, tables_at + tables.len() as u64, self.header_crc);
        self.buffer.extend_from_slice(&footer);
        self.flush().await?;
        if !defect(Defect::SegmentNotSynced) {
            self.file.sync().await.map_err(|source| SegmentError::Io { name: self.name.clone(), source })?;
        }
        let segment = Arc::new(Segment { id: self.id, handles: self.handles, name: self.name });
        Ok((segment, self.directory))
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

/// Makes a segment of a file that holds the extents already: appends tables, directory and trailer at `end`, which lies
/// behind all of them, and syncs. The file's size is a multiple of `alignment` afterwards, as its end was before. What was in
/// the file before `end` stays as it was; what lies behind, as the footer of a promotion that came to nothing, goes. The
/// caller links the file to the segment's name.
pub async fn promote(
    handles: &Arc<Handles>,
    file: Arc<dyn File>,
    id: SegmentId,
    end: u64,
    alignment: u64,
    standing: Vec<Standing>,
) -> Result<(Arc<Segment>, Vec<Extent>), SegmentError> {
    let name = id.file_name();
    let io = |source| SegmentError::Io { name: id.file_name(), source };
    let header_crc = crc32c(&file.read_at(0, HEADER_LEN as usize).await.map_err(io)?);
    let mut tables = Vec::new();
    let mut directory = Vec::with_capacity(standing.len());
    for extent in standing {
        let (first, last) = match (extent.entries.first(), extent.entries.last()) {
            (Some(first), Some(last)) => (*first, *last),
            _ => continue,
        };
        let table_at = tables.len();
        let mut previous = TableEntry { position: 0, max_timestamp_ms: first.append_ms, ..first };
        for entry in &extent.entries {
            put_entry(&mut tables, &previous, entry);
            previous = *entry;
        }
        directory.push(Extent {
            partition: extent.partition,
            first: first.base_offset,
            last: extent.last,
            position: extent.position,
            len: extent.len,
            batches: extent.entries.len() as u32,
            max_timestamp_ms: extent.entries.iter().map(|entry| entry.max_timestamp_ms).max().unwrap_or(-1),
            first_append_ms: first.append_ms,
            last_append_ms: last.append_ms,
            crc: extent.crc,
            table_position: end + table_at as u64,
            table_len: (tables.len() - table_at) as u32,
            table_crc: crc32c(&tables[table_at..]),
        });
    }
    // Tables, padding, directory and trailer: the directory's length does not depend on its place.
    let footer_len = encode_footer(&directory, 0, header_crc).len() as u64;
    let size = (end + tables.len() as u64 + footer_len).next_multiple_of(alignment);
    let footer = encode_footer(&directory, size - footer_len, header_crc);
    let mut bytes = BytesMut::with_capacity((size - end) as usize);
    bytes.extend_from_slice(&tables);
    bytes.resize((size - end - footer_len) as usize, 0);
    bytes.extend_from_slice(&footer);
    // The trailer is looked for at the file's end.
    file.set_len(end).await.map_err(io)?;
    file.write_at(end, bytes.freeze()).await.map_err(io)?;
    file.sync().await.map_err(io)?;
    Ok((Arc::new(Segment { id, handles: handles.clone(), name }), directory))
}

/// Whether a file ends as a segment does.
pub async fn has_trailer(file: &dyn File) -> std::io::Result<bool> {
    let size = file.size().await?;
    let Some(at) = size.checked_sub(TRAILER_LEN) else { return Ok(false) };
    Ok(file.read_at(at, TRAILER_LEN as usize).await?.ends_with(TRAILER_MAGIC))
}

/// Directory and trailer, as they follow at `position`; `header_crc` covers the file's first [`HEADER_LEN`] bytes.
pub(super) fn encode_footer(extents: &[Extent], position: u64, header_crc: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(extents.len() * 64 + TRAILER_LEN as usize);
    put_uvarint(&mut out, extents.len() as u64);
    for e in extents {
        out.extend_from_slice(&e.partition.topic.0.to_le_bytes());
        put_uvarint(&mut out, e.partition.index as u64);
        put_uvarint(&mut out, e.first.0 as u64);
        put_uvarint(&mut out, (e.last - e.first) as u64);
        put_uvarint(&mut out, e.position);
        put_uvarint(&mut out, e.len);
        put_uvarint(&mut out, u64::from(e.batches));
        put_uvarint(&mut out, zigzag(e.first_append_ms));
        put_uvarint(&mut out, zigzag(e.last_append_ms - e.first_append_ms));
        put_uvarint(&mut out, zigzag(e.max_timestamp_ms));
        put_uvarint(&mut out, e.table_position);
        put_uvarint(&mut out, u64::from(e.table_len));
        out.extend_from_slice(&e.crc.to_le_bytes());
        out.extend_from_slice(&e.table_crc.to_le_bytes());
    }
    let directory_crc = crc32c(&out);
    let directory_len = out.len() as u64;
    let trailer_start = out.len();
    out.extend_from_slice(&position.to_le_bytes());
    out.extend_from_slice(&directory_len.to_le_bytes());
    out.extend_from_slice(&directory_crc.to_le_bytes());
    out.extend_from_slice(&header_crc.to_le_bytes());
    out.resize(trailer_start + TRAILER_LEN as usize - 12, 0);
    let trailer_crc = crc32c(&out[trailer_start..]);
    out.extend_from_slice(&trailer_crc.to_le_bytes());
    out.extend_from_slice(TRAILER_MAGIC);
    out
}

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    /// Its number.
    pub id: SegmentId,
    handles: Arc<Handles>,
    name: String,
}

impl Segment {
    /// Its file, which can be read while the segment is held.
    pub async fn file(&self) -> std::io::Result<Arc<dyn File>> {
        self.handles.get(self.id).await
    }

    /// Opens a segment and reads its directory, checking header, trailer and directory (not the extents' bytes).
    pub async fn open(
        handles: &Arc<Handles>,
        id: SegmentId,
    ) -> Result<(Arc<Segment>, Vec<Extent>), SegmentError> {
        let (segment, extents, header_checks) = Self::open_any_header(handles, id).await?;
        if !header_checks {
            let (name, what) = (id.file_name(), "the header does not check");
            return Err(SegmentError::Damaged { name, position: 0, what });
        }
        Ok((segment, extents))
    }

    /// As [`Segment::open`], but tells whether the header checks: the extents can do without.
    pub async fn open_any_header(
        handles: &Arc<Handles>,
        id: SegmentId,
    ) -> Result<(Arc<Segment>, Vec<Extent>, bool), SegmentError> {
        let name = id.file_name();
        let io = |source| SegmentError::Io { name: id.file_name(), source };
        let damaged = |position, what| SegmentError::Damaged { name: id.file_name(), position, what };
        let file = handles.get(id).await.map_err(io)?;
        let size = file.size().await.map_err(io)?;
        if size < HEADER_LEN + TRAILER_LEN {
            return Err(damaged(0, "the file is too short"));
        }
        let trailer_at = size - TRAILER_LEN;
        let trailer = file.read_at(trailer_at, TRAILER_LEN as usize).await.map_err(io)?;
        let (body, end) = trailer.split_at(TRAILER_LEN as usize - 12);
        if &end[4..] != TRAILER_MAGIC || end[..4] != crc32c(body).to_le_bytes() {
            return Err(damaged(trailer_at, "the trailer does not check"));
        }
        let position = u64::from_le_bytes(body[..8].try_into().expect("8 of 36 bytes"));
        let len = u64::from_le_bytes(body[8..16].try_into().expect("8 of 36 bytes"));
        let crc = u32::from_le_bytes(body[16..20].try_into().expect("4 of 36 bytes"));
        if position.checked_add(len) != Some(trailer_at) {
            return Err(damaged(trailer_at, "the trailer points outside the file"));
        }
        let header_crc = u32::from_le_bytes(body[20..24].try_into().expect("4 of 36 bytes"));
        let header_checks = crc32c(&file.read_at(0, HEADER_LEN as usize).await.map_err(io)?) == header_crc;
        let bytes = file.read_at(position, len as usize).await.map_err(io)?;
        if crc32c(&bytes) != crc {
            return Err(damaged(position, "the directory does not check"));
        }
        let extents = decode_directory(&bytes, position)
            .ok_or_else(|| damaged(position, "the directory cannot be read"))?;
        Ok((Arc::new(Segment { id, handles: handles.clone(), name }), extents, header_checks))
    }

    /// The batches of an extent, in offset order.
    pub async fn table(&self, extent: &Extent) -> Result<Vec<TableEntry>, SegmentError> {
        let damaged =
            |what| SegmentError::Damaged { name: self.name.clone(), position: extent.table_position, what };
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
            let what = "an extent's bytes do not check";
            return Err(SegmentError::Damaged { name: self.name.clone(), position: extent.position, what });
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

pub(super) fn decode_directory(bytes: &[u8], data_end: u64) -> Option<Vec<Extent>> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.uvarint()?;
    // An entry takes at least 35 bytes: a count beyond that is not ours.
    if count > bytes.len() as u64 / 35 {
        return None;
    }
    let mut extents = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let topic = TopicId(u128::from_le_bytes(cursor.take(16)?.try_into().ok()?));
        let index = i32::try_from(cursor.uvarint()?).ok()?;
        let first = Offset(i64::try_from(cursor.uvarint()?).ok()?);
        let last = Offset(first.0.checked_add(i64::try_from(cursor.uvarint()?).ok()?)?);
        let (position, len) = (cursor.uvarint()?, cursor.uvarint()?);
        let batches = u32::try_from(cursor.uvarint()?).ok()?;
        let first_append_ms = unzigzag(cursor.uvarint()?);
        let last_append_ms = first_append_ms.checked_add(unzigzag(cursor.uvarint()?))?;
        let max_timestamp_ms = unzigzag(cursor.uvarint()?);
        let table_position = cursor.uvarint()?;
        let table_len = u32::try_from(cursor.uvarint()?).ok()?;
        let crc = u32::from_le_bytes(cursor.take(4)?.try_into().ok()?);
        let table_crc = u32::from_le_bytes(cursor.take(4)?.try_into().ok()?);
        let inside = |position: u64, len: u64| position.checked_add(len).is_some_and(|end| end <= data_end);
        if !inside(position, len) || !inside(table_position, u64::from(table_len)) {
            return None;
        }
        extents.push(Extent {
            partition: PartitionId { topic, index },
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
    }
    cursor.is_empty().then_some(extents)
}

/// Appends `entry` as differences to the one before it.
fn put_entry(out: &mut Vec<u8>, previous: &TableEntry, entry: &TableEntry) {
    put_uvarint(out, (entry.base_offset - previous.base_offset) as u64);
    put_uvarint(out, u64::from(entry.position - previous.position));
    put_uvarint(out, zigzag(entry.append_ms - previous.append_ms));
    // Most timestamps are near the append time; -1 (none) must survive, so wrap instead of overflow.
    put_uvarint(out, zigzag(entry.max_timestamp_ms.wrapping_sub(entry.append_ms)));
}

pub(super) fn decode_table(bytes: &[u8], extent: &Extent) -> Option<Vec<TableEntry>> {
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

fn crc32c_digest() -> crc_fast::Digest {
    crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::door::real;

    fn handles(directory: &Path) -> Arc<Handles> {
        Handles::new(real::door(real::DiskOptions::default()).disk, directory)
    }

    #[test]
    fn files_of_segments_that_are_read_now_and_then_are_closed_and_opened() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let handles = handles(directory.path());
            let mut segments = Vec::new();
            for id in 0..2 * HANDLES_MAX as u64 {
                let mut writer = SegmentWriter::create(&handles, SegmentId(id)).await.unwrap();
                let entry =
                    TableEntry { base_offset: Offset(0), position: 0, append_ms: 1, max_timestamp_ms: 1 };
                writer.add(partition(0), &id.to_le_bytes(), &[entry], Offset(0)).await.unwrap();
                segments.push(writer.finish().await.unwrap());
            }
            for turn in 0..3 {
                for (segment, extents) in &segments {
                    let bytes = segment.checked_extent(&extents[0]).await.unwrap();
                    assert_eq!(bytes[..], segment.id.0.to_le_bytes(), "turn {turn}");
                }
                assert_eq!(handles.lock().files.len(), HANDLES_MAX);
            }
        });
    }

    fn partition(index: i32) -> PartitionId {
        PartitionId { topic: TopicId(7), index }
    }

    /// Batches of arbitrary bytes: (partition, offsets taken, append time step, timestamp, bytes).
    fn batches() -> impl Strategy<Value = Vec<(i32, u8, u8, i64, Vec<u8>)>> {
        let batch = (
            0..4i32,
            1..9u8,
            0..9u8,
            -1..2_000_000_000_000i64,
            proptest::collection::vec(any::<u8>(), 1..200),
        );
        proptest::collection::vec(batch, 1..60).prop_map(|mut batches| {
            batches.sort_by_key(|b| b.0);
            batches
        })
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_written_is_found_again(batches in batches()) {
            let directory = tempfile::tempdir().unwrap();
            run(async {
                let mut writer = SegmentWriter::create(&handles(directory.path()), SegmentId(3)).await.unwrap();
                let mut expected: Vec<(PartitionId, TableEntry, Vec<u8>)> = Vec::new();
                let (mut next, mut now, mut of) = (0, 1_700_000_000_000, -1);
                for (index, count, step, timestamp, bytes) in batches {
                    if index != of {
                        (next, of) = (0, index);
                    }
                    now += i64::from(step);
                    let entry = TableEntry { base_offset: Offset(next), position: 0, append_ms: now, max_timestamp_ms: timestamp };
                    next += i64::from(count);
                    writer.add(partition(index), &bytes, &[entry], Offset(next - 1)).await.unwrap();
                    expected.push((partition(index), entry, bytes));
                }
                let (_, written) = writer.finish().await.unwrap();
                let (segment, extents) = Segment::open(&handles(directory.path()), SegmentId(3)).await.unwrap();
                assert_eq!(written, extents);
                let mut found = Vec::new();
                for extent in &extents {
                    let bytes = segment.checked_extent(extent).await.unwrap();
                    let table = segment.table(extent).await.unwrap();
                    for (i, entry) in table.iter().enumerate() {
                        let end = table.get(i + 1).map_or(bytes.len(), |next| next.position as usize);
                        found.push((extent.partition, TableEntry { position: 0, ..*entry }, bytes[entry.position as usize..end].to_vec()));
                    }
                }
                assert_eq!(found, expected);
            });
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // plants the damage behind the door's back
    fn every_flipped_bit_is_found() {
        let directory = tempfile::tempdir().unwrap();
        run(async {
            let mut writer = SegmentWriter::create(&handles(directory.path()), SegmentId(1)).await.unwrap();
            for offset in 0..5 {
                let entry = TableEntry {
                    base_offset: Offset(offset),
                    position: 0,
                    append_ms: 1000 + offset,
                    max_timestamp_ms: 5,
                };
                writer
                    .add(partition(0), b"a batch, as far as a segment cares", &[entry], Offset(offset))
                    .await
                    .unwrap();
            }
            writer.finish().await.unwrap();
            let path = directory.path().join(SegmentId(1).file_name());
            let good = std::fs::read(&path).unwrap();
            for byte in 0..good.len() {
                let mut bad = good.clone();
                bad[byte] ^= 1 << (byte % 8);
                std::fs::write(&path, &bad).unwrap();
                let outcome = async {
                    let (segment, extents) = Segment::open(&handles(directory.path()), SegmentId(1)).await?;
                    for extent in &extents {
                        segment.checked_extent(extent).await?;
                        segment.table(extent).await?;
                    }
                    Ok::<_, SegmentError>(())
                };
                assert!(
                    matches!(outcome.await, Err(SegmentError::Damaged { .. })),
                    "byte {byte} of {}",
                    good.len()
                );
            }
        });
    }
}
