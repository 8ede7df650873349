//! Virtual Kafka segments: the edges at which retention acts.
//!
//! Where batches lie on disk is the back end's affair; a Kafka user still expects `segment.bytes`,
//! `segment.ms` and `segment.jitter.ms` to decide what goes together, because whole segments are what
//! `retention.ms` and `retention.bytes` delete. So each partition counts segments as a Kafka broker would
//! roll them, and only counts: a segment here is five numbers.
//!
//! ```text
//!   log start      edge           edge                next offset
//!      |  segment 0  |  segment 1   |  active segment     |
//! ```

use std::collections::VecDeque;

use super::codec::{CorruptState, Reader, put_i64, put_len, put_u64};
use crate::types::Offset;

/// What rolls a segment, from the topic's configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollRules {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
}

/// What retention keeps, from the topic's configs; `None` keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionRules {
    /// `retention.ms`.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`.
    pub retention_bytes: Option<u64>,
}

/// A segment as a Kafka broker would have rolled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    base: Offset,
    bytes: u64,
    /// Timestamp of the first batch, ms: `segment.ms` counts from here.
    first_timestamp_ms: i64,
    /// Greatest timestamp, ms: `retention.ms` counts from here.
    max_timestamp_ms: i64,
}

/// Segments counted apart, at most; with the default `segment.bytes` that is half a TiB. Where a topic's configs roll more
/// than these, the smallest are joined, and retention acts on them a little later. Old logs replay by it: it never changes.
const SEGMENTS_MAX: usize = 512;

/// A partition has so many whatever the others have: retention acts at a fraction of what it keeps.
const SEGMENTS_MIN: usize = 8;

/// One partition's segments, oldest first; the last one is active.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VirtualSegments(VecDeque<Segment>);

impl VirtualSegments {
    /// Whether a batch of `bytes` with this max timestamp starts a new segment, as Kafka rolls: the segment
    /// would exceed `segment.bytes`, is older than `segment.ms` less its jitter, or its offsets would no
    /// longer fit 32 bits.
    pub fn rolls(&self, rules: &RollRules, base: Offset, bytes: u64, timestamp_ms: i64) -> bool {
        let Some(active) = self.0.back() else {
            return true;
        };
        active.bytes + bytes > rules.segment_bytes
            || timestamp_ms.saturating_sub(active.first_timestamp_ms)
                > rules.segment_ms.saturating_sub(jitter_ms(active.base, rules))
            || base - active.base > i64::from(i32::MAX)
    }

    /// Whether one that is to be rolled makes room for itself, where all partitions have as many as they may.
    pub fn joins(&self) -> bool {
        self.0.len() >= SEGMENTS_MIN
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Joins small ones to make room for one that is to be rolled, as was decided.
    pub fn make_room(&mut self) {
        if !self.0.is_empty() {
            self.join_small();
        }
    }

    /// Counts an appended batch; `rolls` is what was decided. A batch without timestamp counts by its append time.
    pub fn append(&mut self, rolls: bool, base: Offset, bytes: u64, timestamp_ms: i64) {
        match self.0.back_mut() {
            Some(active) if !rolls => {
                active.bytes += bytes;
                active.max_timestamp_ms = active.max_timestamp_ms.max(timestamp_ms);
            }
            _ => {
                while self.0.len() >= SEGMENTS_MAX {
                    self.join_small();
                }
                self.0.push_back(Segment {
                    base,
                    bytes,
                    first_timestamp_ms: timestamp_ms,
                    max_timestamp_ms: timestamp_ms,
                });
            }
        }
    }

    /// Joins neighbours that are small beside the others: at least a quarter of all go, so that it is rarely done.
    fn join_small(&mut self) {
        let small = 4 * self.bytes() / self.0.len() as u64;
        let mut joined: VecDeque<Segment> = VecDeque::with_capacity(self.0.len());
        // A segment that was joined, and with what it was, stays as it is for this time.
        let mut is_joined = true;
        for segment in self.0.drain(..) {
            match joined.back_mut() {
                Some(last) if !is_joined && last.bytes + segment.bytes <= small => {
                    last.bytes += segment.bytes;
                    last.max_timestamp_ms = last.max_timestamp_ms.max(segment.max_timestamp_ms);
                    is_joined = true;
                }
                _ => {
                    joined.push_back(segment);
                    is_joined = false;
                }
            }
        }
        self.0 = joined;
    }

    /// Forgets segments that lie wholly below the log start; `next` ends the active one.
    pub fn trim(&mut self, log_start: Offset, next: Offset) {
        while let Some(segment) = self.0.front() {
            let end = self.0.get(1).map_or(next, |following| following.base);
            if end > log_start || segment.base >= log_start {
                break;
            }
            self.0.pop_front();
        }
    }

    /// The log start that retention wants: the end of the newest segment that may go, with all before it.
    /// `None` if nothing may go. As on Kafka the active segment goes too once all of it has expired by
    /// time, never by size.
    pub fn expired(&self, rules: &RetentionRules, now_ms: i64, next: Offset) -> Option<Offset> {
        let end_of = |i: usize| self.0.get(i + 1).map_or(next, |following| following.base);
        let is_old = |segment: &&Segment| {
            let age_ms = now_ms.saturating_sub(segment.max_timestamp_ms);
            rules.retention_ms.is_some_and(|retention_ms| age_ms > retention_ms)
        };
        let old = self.0.iter().take_while(is_old).count();
        let mut surplus = match rules.retention_bytes {
            Some(keep) => self.bytes().saturating_sub(keep),
            None => 0,
        };
        let is_surplus = |segment: &&Segment| {
            let goes = segment.bytes <= surplus;
            surplus -= if goes { segment.bytes } else { 0 };
            goes
        };
        let closed = self.0.len().saturating_sub(1);
        let large = self.0.iter().take(closed).take_while(is_surplus).count();
        old.max(large).checked_sub(1).map(end_of)
    }

    /// Bytes in all segments.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.len());
        for segment in &self.0 {
            put_i64(out, segment.base.0);
            put_u64(out, segment.bytes);
            put_i64(out, segment.first_timestamp_ms);
            put_i64(out, segment.max_timestamp_ms);
        }
    }

    pub(super) fn decode(r: &mut Reader<'_, '_>) -> Result<Self, CorruptState> {
        let count = r.len()?;
        let mut segments = VecDeque::with_capacity(count);
        for _ in 0..count {
            segments.push_back(Segment {
                base: r.offset()?,
                bytes: r.u64()?,
                first_timestamp_ms: r.i64()?,
                max_timestamp_ms: r.i64()?,
            });
        }
        Ok(VirtualSegments(segments))
    }
}

/// Spreads rolls of partitions that were written at one time, by less than `segment.ms`. Kafka draws the jitter; here the
/// segment's base offset decides, so that replay needs no dice.
fn jitter_ms(base: Offset, rules: &RollRules) -> i64 {
    let jitter_ms = rules.segment_jitter_ms.min(rules.segment_ms);
    if jitter_ms <= 0 {
        0
    } else {
        (base.0.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) >> 1).rem_euclid(jitter_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLL: RollRules = RollRules { segment_bytes: 100, segment_ms: 1000, segment_jitter_ms: 0 };

    /// Appends batches of (bytes, timestamp), one offset each.
    fn filled(batches: &[(u64, i64)]) -> (VirtualSegments, Offset) {
        let mut segments = VirtualSegments::default();
        for (i, (bytes, timestamp_ms)) in batches.iter().enumerate() {
            let base = Offset(i as i64);
            let rolls = segments.rolls(&ROLL, base, *bytes, *timestamp_ms);
            segments.append(rolls, base, *bytes, *timestamp_ms);
        }
        (segments, Offset(batches.len() as i64))
    }

    fn retention(retention_ms: Option<i64>, retention_bytes: Option<u64>) -> RetentionRules {
        RetentionRules { retention_ms, retention_bytes }
    }

    #[test]
    fn a_segment_rolls_by_size_by_time_and_by_offset_range() {
        let (segments, next) = filled(&[(60, 0), (40, 10), (1, 20)]);
        assert_eq!(segments.0.len(), 2, "100 bytes fit, the 101st does not");
        assert!(!segments.rolls(&ROLL, next, 1, 1020));
        assert!(segments.rolls(&ROLL, next, 1, 1021));
        assert!(segments.rolls(&ROLL, Offset(2 + i64::from(i32::MAX) + 1), 1, 20));
    }

    #[test]
    fn time_retention_takes_whole_segments_and_at_last_the_active_one() {
        let (segments, next) = filled(&[(100, 0), (100, 500), (100, 900)]);
        assert_eq!(segments.expired(&retention(Some(1000), None), 1000, next), None);
        assert_eq!(segments.expired(&retention(Some(1000), None), 1001, next), Some(Offset(1)));
        assert_eq!(segments.expired(&retention(Some(1000), None), 1900, next), Some(Offset(2)));
        assert_eq!(segments.expired(&retention(Some(1000), None), 1901, next), Some(next));
    }

    #[test]
    fn an_old_segment_behind_a_young_one_stays() {
        let (segments, next) = filled(&[(100, 5000), (100, 0)]);
        assert_eq!(segments.expired(&retention(Some(1000), None), 5500, next), None);
    }

    #[test]
    fn size_retention_keeps_at_least_what_was_asked_for_and_the_active_segment() {
        let (segments, next) = filled(&[(100, 0), (100, 0), (100, 0), (30, 0)]);
        assert_eq!(
            segments.expired(&retention(None, Some(231)), 0, next),
            None,
            "99 bytes too many, a segment has 100"
        );
        assert_eq!(segments.expired(&retention(None, Some(230)), 0, next), Some(Offset(1)));
        assert_eq!(segments.expired(&retention(None, Some(0)), 0, next), Some(Offset(3)));
    }

    #[test]
    fn a_trim_inside_a_segment_leaves_it() {
        let (mut segments, next) = filled(&[(50, 0), (50, 0), (100, 0)]);
        segments.trim(Offset(1), next);
        assert_eq!((segments.0.len(), segments.bytes()), (2, 200));
        segments.trim(Offset(2), next);
        assert_eq!((segments.0.len(), segments.bytes()), (1, 100));
        segments.trim(next, next);
        assert_eq!(segments.bytes(), 0);
    }

    #[test]
    fn jitter_stays_below_its_bound() {
        let jitter =
            |base, segment_jitter_ms| jitter_ms(Offset(base), &RollRules { segment_jitter_ms, ..ROLL });
        for base in [0, 1, 5, 77, 1 << 40] {
            assert!((0..10).contains(&jitter(base, 10)));
            assert!((0..ROLL.segment_ms).contains(&jitter(base, i64::MAX)), "or every batch would roll");
        }
        assert_eq!(jitter(5, 0), 0);
    }

    /// Each was 32 bytes of state and of every snapshot, for as long as the topic kept its records: `segment.ms` of 1
    /// and a batch of 70 bytes made one.
    #[test]
    fn segments_are_bounded_whatever_rolls_them() {
        const BATCHES: i64 = 100_000;
        let every_batch = RollRules { segment_ms: 1, ..ROLL };
        let mut segments = VirtualSegments::default();
        // A few large ones among the many small ones stay as they are.
        let bytes_of = |at: i64| if at % 1000 == 999 { 1 << 20 } else { 70 };
        for at in 0..BATCHES {
            let (base, bytes, timestamp_ms) = (Offset(at), bytes_of(at), 2 * at);
            let rolls = segments.rolls(&every_batch, base, bytes, timestamp_ms);
            assert!(rolls);
            segments.append(rolls, base, bytes, timestamp_ms);
            assert!(segments.0.len() <= SEGMENTS_MAX && segments.0.capacity() <= 2 * SEGMENTS_MAX);
        }
        let next = Offset(BATCHES);
        assert_eq!(segments.bytes(), (0..BATCHES).map(bytes_of).sum::<u64>());
        assert!(segments.0.iter().is_sorted_by_key(|segment| segment.base));
        // By time and by size it acts near where it should, never before.
        let old = segments.expired(&retention(Some(BATCHES), None), 2 * BATCHES, next).expect("half is old");
        assert!(old.0 <= BATCHES / 2 && old.0 > BATCHES / 2 - 2000, "{old:?}");
        let keep = segments.bytes() / 2;
        let large = segments.expired(&retention(None, Some(keep)), 0, next).expect("half is too much");
        let kept: u64 = (large.0..BATCHES).map(bytes_of).sum();
        assert!(kept >= keep && kept < keep + (8 << 20), "{kept} of {keep}");
        segments.trim(next, next);
        assert_eq!(segments.bytes(), 0);
    }
}
