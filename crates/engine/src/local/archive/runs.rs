//! Which segments have a partition's batches: a few bytes a run, in order of offset.

use std::collections::VecDeque;

use super::super::segment::{Newest, Run, SegmentId};
use crate::types::Offset;

/// The runs of one partition, which do not overlap.
#[derive(Debug, Default)]
pub(super) struct Runs {
    entries: VecDeque<Entry>,
}

/// A run without what its segment's directory tells. There is one for each partition in each segment: it is kept small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// High and low half: as one number it would take another 4 bytes.
    first: [u32; 2],
    segment: u32,
    bytes: u32,
    newest: Newest,
}

/// A run that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub segment: SegmentId,
    pub first: Offset,
    pub bytes: u32,
    pub newest: Newest,
}

impl Entry {
    fn new(segment: SegmentId, run: &Run) -> Self {
        let first = run.first.0 as u64;
        Entry {
            first: [(first >> 32) as u32, first as u32],
            segment: u32::try_from(segment.0).expect("no directory sees four billion segments"),
            bytes: run.bytes,
            newest: run.newest,
        }
    }

    fn first(&self) -> Offset {
        Offset((u64::from(self.first[0]) << 32 | u64::from(self.first[1])) as i64)
    }

    fn segment(&self) -> SegmentId {
        SegmentId(u64::from(self.segment))
    }

    fn place(&self) -> Place {
        Place { segment: self.segment(), first: self.first(), bytes: self.bytes, newest: self.newest }
    }
}

impl Runs {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.entries.iter().map(Entry::place)
    }

    /// Takes a run of a segment in. It must not overlap the ones that are there.
    pub fn insert(&mut self, segment: SegmentId, run: &Run) {
        let at = self.entries.partition_point(|entry| entry.first() < run.first);
        assert!(
            self.entries.get(at).is_none_or(|next| run.last < next.first()),
            "extents of one partition never overlap: {segment:?} {run:?} {:?}",
            self.entries.get(at)
        );
        if self.entries.len() == self.entries.capacity() {
            // Doubling would waste half of what is most of the archive's memory.
            self.entries.reserve_exact((self.entries.len() / 8).max(2));
        }
        self.entries.insert(at, Entry::new(segment, run));
    }

    /// The run in which `offset` would be: the last one that begins at or before it, else the first. With it, where the next
    /// one begins.
    pub fn at(&self, offset: Offset) -> Option<(Place, Option<Offset>)> {
        let behind = self.entries.partition_point(|entry| entry.first() <= offset);
        let at = behind.saturating_sub(1);
        let next = self.entries.get(at + 1).map(Entry::first);
        self.entries.get(at).map(|entry| (entry.place(), next))
    }

    /// The first run that may reach `from` and hold a record timestamp at or after `newest`, and where the next one begins.
    pub fn reaching(&self, from: Offset, newest: Newest) -> Option<(Place, Option<Offset>)> {
        let behind = self.entries.partition_point(|entry| entry.first() <= from);
        let candidates = (behind.saturating_sub(1)..self.entries.len()).map(|at| (at, &self.entries[at]));
        let (at, found) = { candidates }.find(|(_, entry)| entry.newest >= newest)?;
        Some((found.place(), self.entries.get(at + 1).map(Entry::first)))
    }

    /// Takes the oldest run out if all of the runs that `end` closes lie before `log_start` with it.
    pub fn pop_before(&mut self, log_start: Offset, end: Offset) -> Option<Place> {
        let ends = self.entries.get(1).map_or(end, Entry::first);
        if ends > log_start {
            return None;
        }
        self.entries.pop_front().map(|entry| entry.place())
    }

    /// Takes out the runs of segments that go: those that begin among the offsets `first` to `last` or just before, and the
    /// oldest.
    pub fn forget(&mut self, old: &[SegmentId], first: Offset, last: Offset) {
        let from = self.entries.partition_point(|entry| entry.first() <= first).saturating_sub(1);
        let to = self.entries.partition_point(|entry| entry.first() <= last);
        for at in (from..to).rev() {
            if old.contains(&self.entries[at].segment()) {
                self.entries.remove(at);
            }
        }
        while self.entries.front().is_some_and(|oldest| old.contains(&oldest.segment())) {
            self.entries.pop_front();
        }
    }

    /// Bytes of memory that it takes.
    pub fn held_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{PartitionId, TopicId};

    fn run(first: i64, last: i64, newest: u32) -> Run {
        let partition = PartitionId { topic: TopicId(1), index: 0 };
        Run { partition, first: Offset(first), last: Offset(last), bytes: 10, newest: Newest(newest) }
    }

    fn firsts(runs: &Runs) -> Vec<(u64, i64)> {
        runs.iter().map(|place| (place.segment.0, place.first.0)).collect()
    }

    fn some() -> Runs {
        let mut runs = Runs::default();
        for (segment, first, last, newest) in
            [(3, 40, 49, 7), (1, 0, 9, 5), (2, 10, 19, 9), (1, 20, 39, 6), (4, 1 << 40, (1 << 40) + 1, 8)]
        {
            runs.insert(SegmentId(segment), &run(first, last, newest));
        }
        runs
    }

    #[test]
    fn a_run_is_found_by_offset_and_by_time() {
        let runs = some();
        let at = |offset| {
            let (place, next) = runs.at(Offset(offset)).unwrap();
            (place.segment.0, place.first.0, next.map(|next| next.0))
        };
        assert_eq!(at(0), (1, 0, Some(10)));
        assert_eq!(at(9), (1, 0, Some(10)));
        assert_eq!(at(10), (2, 10, Some(20)));
        assert_eq!(at(60), (3, 40, Some(1 << 40)));
        assert_eq!(at(1 << 41), (4, 1 << 40, None));
        let reaching = |from, newest| runs.reaching(Offset(from), Newest(newest)).map(|(p, _)| p.first.0);
        assert_eq!(reaching(0, 9), Some(10));
        assert_eq!(reaching(25, 7), Some(40), "the run that reaches the offset is older");
        assert_eq!(reaching(25, 6), Some(20));
        assert_eq!(reaching(0, 10), None);
        assert_eq!(Runs::default().at(Offset(0)), None);
    }

    #[test]
    fn what_lies_before_a_log_start_is_taken_out() {
        let mut runs = some();
        let end = Offset((1 << 40) + 2);
        assert_eq!(runs.pop_before(Offset(9), end), None);
        assert_eq!(runs.pop_before(Offset(10), end).unwrap().segment, SegmentId(1));
        assert_eq!(runs.pop_before(Offset(10), end), None);
        while runs.pop_before(Offset(i64::MAX), end).is_some() {}
        assert!(runs.is_empty());
    }

    #[test]
    fn only_runs_of_segments_that_go_are_taken_out() {
        let mut runs = some();
        runs.forget(&[SegmentId(2), SegmentId(3)], Offset(12), Offset(49));
        assert_eq!(firsts(&runs), [(1, 0), (1, 20), (4, 1 << 40)]);
        runs.forget(&[SegmentId(1)], Offset(25), Offset(30));
        assert_eq!(firsts(&runs), [(4, 1 << 40)], "the oldest goes too: all of it may be dead");
    }

    #[test]
    #[should_panic(expected = "never overlap")]
    fn runs_that_overlap_are_not_taken_in() {
        some().insert(SegmentId(5), &run(5, 12, 1));
    }

    /// It is most of what an archive holds.
    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 20);
    }
}
