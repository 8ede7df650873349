//! Several directories read as one, a block of each at a time.

use std::sync::Arc;

use super::{Extent, Segment, SegmentError, SegmentId};

/// The extents of some segments in order of partition and offset.
pub(in crate::local) struct Merging {
    sources: Vec<Reading>,
}

struct Reading {
    segment: Arc<Segment>,
    /// The block to read when these extents are gone.
    next_block: usize,
    extents: std::vec::IntoIter<Extent>,
}

impl Merging {
    pub fn new(segments: impl IntoIterator<Item = Arc<Segment>>) -> Self {
        let reading = |segment| Reading { segment, next_block: 0, extents: Vec::new().into_iter() };
        Merging { sources: segments.into_iter().map(reading).collect() }
    }

    /// The next extent, with its segment; an error names the segment that cannot be read.
    pub async fn next(&mut self) -> Result<Option<(Arc<Segment>, Extent)>, (SegmentId, SegmentError)> {
        for source in &mut self.sources {
            while source.extents.as_slice().is_empty() && source.next_block < source.segment.block_count() {
                let block = source.segment.block(source.next_block).await;
                source.extents = block.map_err(|error| (source.segment.id, error))?.into_iter();
                source.next_block += 1;
            }
        }
        let key = |source: &Reading| {
            source.extents.as_slice().first().map(|extent| (extent.partition, extent.first))
        };
        let with_some = self.sources.iter_mut().filter(|source| key(source).is_some());
        let least = with_some.min_by_key(|source| key(source));
        Ok(least.and_then(|source| Some((source.segment.clone(), source.extents.next()?))))
    }
}
