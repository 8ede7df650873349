//! Segments whose index or trailer does not check: each can be made anew from the other, and the directory.
//!
//! What is made so has checksums of its own making: whoever uses it checks extents and tables, as a repair does.

use std::sync::Arc;

use super::footer::{Index, Layout, TRAILER_LEN, Trailer, decode_extents};
use super::{HEADER_LEN, HEADER_MAGIC, Handles, Segment, SegmentError, SegmentId};
use crate::codec::crc32c;
use crate::door::{ALIGNMENT, File};

/// How far before a trailer its index is looked for, in bytes.
const INDEX_BYTES_MAX: u64 = 4 << 20;

/// A segment that was opened by what else its footer says.
pub struct Rebuilt {
    /// The segment. What it says of blocks was not checked.
    pub segment: Arc<Segment>,
    /// All of its directory is there.
    pub is_whole: bool,
}

impl Segment {
    /// Opens a segment that [`Segment::open`] calls damaged; `None` if too much of its footer is.
    pub async fn rebuild(handles: &Arc<Handles>, id: SegmentId) -> Result<Option<Rebuilt>, SegmentError> {
        let io = |source| SegmentError::Io { name: id.file_name(), source };
        let file = handles.get(id).await.map_err(io)?;
        let size = file.size().await.map_err(io)?;
        let Some(at) = size.checked_sub(TRAILER_LEN).filter(|at| *at >= HEADER_LEN) else { return Ok(None) };
        let trailer = file.read_at(at, TRAILER_LEN as usize).await.map_err(io)?;
        let found = match Trailer::decode(&trailer, at) {
            Ok(trailer) if trailer.segment != id.0 => None,
            Ok(trailer) => {
                let Layout { directory, index, .. } = trailer.layout;
                let bytes = file.read_at(directory, (index - directory) as usize).await.map_err(io)?;
                let (index, is_whole) = Index::of_directory(&bytes, &trailer.layout);
                Some((trailer, index, is_whole))
            }
            Err(_) => {
                by_index(&*file, id, at).await.map_err(io)?.map(|(trailer, index)| (trailer, index, true))
            }
        };
        Ok(found.filter(|(_, index, _)| !index.blocks.is_empty()).map(|(trailer, index, is_whole)| Rebuilt {
            segment: Segment::with_runs(id, handles.clone(), trailer, index).0,
            is_whole,
        }))
    }
}

/// Finds the index that ends at `end`, and with it what the trailer behind it said.
async fn by_index(file: &dyn File, id: SegmentId, end: u64) -> std::io::Result<Option<(Trailer, Index)>> {
    let header = file.read_at(0, HEADER_LEN as usize).await?;
    let was_promoted = !header.starts_with(HEADER_MAGIC);
    if !was_promoted && header[8..16] != id.0.to_le_bytes() {
        return Ok(None);
    }
    let tail_at = end.saturating_sub(INDEX_BYTES_MAX);
    let tail = file.read_at(tail_at, (end - tail_at) as usize).await?;
    for at in (0..tail.len()).rev() {
        let Some((mut index, directory_len)) = Index::decode_anywhere(&tail[at..]) else { continue };
        let index_at = tail_at + at as u64;
        let (Some(directory), Some(last)) = (index_at.checked_sub(directory_len), index.blocks.last()) else {
            continue;
        };
        // The block that it names last must be there: no other bytes are taken for an index.
        let bytes = file.read_at(directory + last.position, last.len as usize).await?;
        if crc32c(&bytes) != last.crc {
            continue;
        }
        // Tables begin where the last one ends at the directory; behind what was promoted, at a whole block before that.
        let anywhere = Layout { tables: 1 << 62, directory: u64::MAX, index: u64::MAX, trailer: u64::MAX };
        let last = decode_extents(&bytes, &anywhere).and_then(|extents| extents.last().copied());
        let tables_len = last.map(|last| last.table_position + u64::from(last.table_len) - anywhere.tables);
        let Some(mut tables) = tables_len.and_then(|len| directory.checked_sub(len)) else { continue };
        if was_promoted {
            tables -= tables % ALIGNMENT as u64;
        }
        index.blocks.iter_mut().for_each(|block| block.position += directory);
        let layout = Layout { tables, directory, index: index_at, trailer: end };
        let index_crc = crc32c(&tail[at..]);
        return Ok(Some((Trailer { segment: id.0, layout, index_crc, header_crc: crc32c(&header) }, index)));
    }
    Ok(None)
}
