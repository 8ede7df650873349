//! What was read of footers last, within a bound.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::segment::{Extent, SegmentId, TableEntry};
use crate::map::HashMap;

/// A segment and a position in it: of an extent for its table, of a block of its directory. Segment numbers are not used
/// twice: what was of a segment that is gone is found by nobody and ages out.
pub(super) type Key = (SegmentId, u64);

/// A part of a footer.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// The batches of an extent.
    Table(Arc<[TableEntry]>),
    /// A block of the directory.
    Block(Arc<[Extent]>),
}

impl Part {
    fn bytes(&self) -> usize {
        let part = match self {
            Part::Table(entries) => size_of_val(&**entries),
            Part::Block(extents) => size_of_val(&**extents),
        };
        part + size_of::<(Key, Part, bool, Key)>()
    }
}

/// Recently used parts, second chance: one used since the hand passed it stays.
#[derive(Debug)]
pub(super) struct FooterCache {
    parts: HashMap<Key, (Part, bool)>,
    order: VecDeque<Key>,
    bytes: usize,
    bytes_max: usize,
}

impl FooterCache {
    pub fn new(bytes_max: usize) -> Self {
        FooterCache { parts: HashMap::default(), order: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub fn get(&mut self, key: &Key) -> Option<Part> {
        let (part, used) = self.parts.get_mut(key)?;
        *used = true;
        Some(part.clone())
    }

    pub fn put(&mut self, key: Key, part: Part) {
        self.bytes += part.bytes();
        if let Some((old, _)) = self.parts.insert(key, (part, false)) {
            self.bytes -= old.bytes();
            return;
        }
        self.order.push_back(key);
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some((_, used)) = self.parts.get_mut(&oldest)
                && std::mem::take(used)
            {
                self.order.push_back(oldest);
            } else if let Some((part, _)) = self.parts.remove(&oldest) {
                self.bytes -= part.bytes();
            }
        }
    }

    /// Bytes of memory that the parts take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Offset;

    fn part() -> Part {
        let entry = TableEntry { base_offset: Offset(0), position: 0, append_ms: 0, max_timestamp_ms: 0 };
        Part::Table(vec![entry; 10].into())
    }

    #[test]
    fn what_is_used_stays_and_the_bound_holds() {
        let mut cache = FooterCache::new(part().bytes() * 10);
        let key = |n| (SegmentId(1), n);
        for n in 0..100 {
            cache.put(key(n), part());
            assert!(cache.bytes() <= part().bytes() * 10);
            assert!(cache.get(&key(0)).is_some(), "used after each: {n}");
        }
        assert!(cache.get(&key(50)).is_none() && cache.get(&key(99)).is_some());
        cache.put(key(99), part());
        assert_eq!(cache.bytes(), cache.parts.len() * part().bytes(), "the same part counts once");
    }
}
