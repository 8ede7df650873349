//! Batches that lie on the disk and cannot be read.
//!
//! What is found before an answer is made is the error of its partition. What is found later, when the length of the answer
//! is with the client already, ends the connection, as on Kafka; there the client comes back to the same end. Here the
//! partition is suspected from then on: its batches are read once before they are promised, so that the next answer has
//! those before the damage, then the error, and all other partitions.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kolk_engine::map::HashMap;
use kolk_engine::metrics::Counter;
use kolk_engine::{EngineError, FileRange, PartitionId, PartitionRead, Piece, Seldom, Source};
use tokio::time::Instant;

/// Partitions suspected at a time. Of more, connections end as if nobody remembered.
const SUSPECTS_MAX: usize = 10_000;
/// How long a partition is suspected after the last read that failed.
const SUSPECTED_FOR: Duration = Duration::from_secs(600);
/// Bytes that a check reads at a time.
const CHECKED_BYTES: usize = 256 * 1024;

/// When a read failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// Before an answer was made: the partition's error is in it.
    Before,
    /// When a part of the answer was sent already: the connection ends.
    Within,
}

/// What could not be read lately.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// Reads that failed before an answer was made.
    pub before: Counter,
    /// Answers that broke off.
    pub within: Counter,
    told: Seldom,
    /// Until when each is suspected.
    suspects: Mutex<HashMap<PartitionId, Instant>>,
}

impl Default for Unreadable {
    fn default() -> Self {
        Unreadable {
            before: Counter::default(),
            within: Counter::default(),
            told: Seldom::new(Duration::from_secs(60)),
            suspects: Mutex::default(),
        }
    }
}

impl Unreadable {
    /// Counts a failed read of a partition, tells of it, and suspects the partition from now on.
    pub fn note(&self, partition: PartitionId, reason: &str, met: Met) {
        match met {
            Met::Before => self.before.add(1),
            Met::Within => self.within.add(1),
        }
        if let Some(unsaid) = self.told.say() {
            tracing::error!(
                topic = %partition.topic,
                partition = partition.index,
                reason,
                ?met,
                unsaid,
                "batches cannot be read from the disk; see `kolk verify`"
            );
        }
        let now = Instant::now();
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.len() >= SUSPECTS_MAX && !suspects.contains_key(&partition) {
            suspects.retain(|_, until| *until > now);
        }
        if suspects.len() < SUSPECTS_MAX || suspects.contains_key(&partition) {
            suspects.insert(partition, now + SUSPECTED_FOR);
        }
    }

    /// Those of the partitions that are suspected, by their index.
    pub fn among(&self, partitions: impl Iterator<Item = PartitionId>) -> Vec<usize> {
        let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let is_suspect = |partition| suspects.get(&partition).is_some_and(|until| *until > now);
        partitions.enumerate().filter(|(_, partition)| is_suspect(*partition)).map(|(at, _)| at).collect()
    }
}

/// Reads all that an answer would be sent from files, and cuts it before what cannot be read: why, if there is some. To the
/// batch, if the answer knows its batches.
pub(crate) async fn check(read: &mut PartitionRead) -> Option<EngineError> {
    for index in 0..read.pieces.len() {
        let Source::File(range) = &read.pieces[index].source else { continue };
        if let Err(error) = read_through(range, 0, range.len).await {
            cut(read, index).await;
            return Some(error);
        }
    }
    None
}

/// Cuts an answer in the piece at `index`, which cannot be read as a whole.
pub(crate) async fn cut(read: &mut PartitionRead, index: usize) {
    let kept = readable(&read.pieces[index]).await;
    let piece = &mut read.pieces[index];
    if kept > 0
        && let Source::File(range) = &mut piece.source
    {
        range.len = kept;
        piece.batches.retain(|batch| batch.position < kept);
        read.pieces.truncate(index + 1);
    } else {
        read.pieces.truncate(index);
    }
}

/// Bytes of the batches of a piece that come before the first one that cannot be read.
async fn readable(piece: &Piece) -> usize {
    let Source::File(range) = &piece.source else { return piece.len() };
    for (at, batch) in piece.batches.iter().enumerate() {
        let end = piece.batches.get(at + 1).map_or(range.len, |next| next.position);
        if read_through(range, batch.position, end).await.is_err() {
            return batch.position;
        }
    }
    0
}

async fn read_through(range: &FileRange, start: usize, end: usize) -> Result<(), EngineError> {
    for at in (start..end).step_by(CHECKED_BYTES) {
        range.file.read_at(range.position + at as u64, CHECKED_BYTES.min(end - at)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use kolk_engine::{BatchAt, BoxFuture, Offset, Published, RangeRead, TopicId};

    use super::*;

    /// A file with a byte that cannot be read.
    #[derive(Debug)]
    struct Bad(u64);

    impl RangeRead for Bad {
        fn read_at(&self, position: u64, len: usize) -> BoxFuture<'_, Result<Bytes, EngineError>> {
            let is_bad = (position..position + len as u64).contains(&self.0);
            Box::pin(async move {
                if is_bad { Err(EngineError::Read("bad".into())) } else { Ok(vec![0; len].into()) }
            })
        }
    }

    /// Two pieces of three batches of 300 KiB each.
    fn read_of(bad: u64, with_batches: bool) -> PartitionRead {
        const BATCH: usize = 300 << 10;
        let pieces = [0u64, 10 << 20].map(|position| Piece {
            source: Source::File(FileRange { file: Arc::new(Bad(bad)), position, len: 3 * BATCH }),
            batches: (0..if with_batches { 3 } else { 0 })
                .map(|at| BatchAt { base_offset: Offset(at as i64), position: at * BATCH, append_ms: 0 })
                .collect(),
        });
        let published = Published { log_start: Offset(0), high_watermark: Offset(6), last_stable: Offset(6) };
        PartitionRead { published, pieces: pieces.into(), aborted: Vec::new() }
    }

    #[tokio::test]
    async fn what_comes_before_the_damage_is_kept() {
        const BATCH: u64 = 300 << 10;
        let kept = async |bad, with_batches| {
            let mut read = read_of(bad, with_batches);
            let failed = check(&mut read).await.is_some();
            let batches: usize = read.pieces.iter().map(|piece| piece.batches.len()).sum();
            (failed, read.len() as u64, batches)
        };
        assert_eq!(kept(5 << 20, true).await, (false, 6 * BATCH, 6), "nothing is bad");
        assert_eq!(kept(0, true).await, (true, 0, 0));
        assert_eq!(kept(BATCH - 1, true).await, (true, 0, 0));
        assert_eq!(kept(BATCH, true).await, (true, BATCH, 1));
        assert_eq!(kept(3 * BATCH - 1, true).await, (true, 2 * BATCH, 2));
        assert_eq!(kept((10 << 20) + 2 * BATCH, true).await, (true, 5 * BATCH, 5));
        assert_eq!(kept((10 << 20) + 2 * BATCH, false).await, (true, 3 * BATCH, 0), "whole pieces");
    }

    #[tokio::test(start_paused = true)]
    async fn suspicion_ends_after_a_while_and_has_a_bound() {
        let unreadable = Unreadable::default();
        let of = |index| PartitionId { topic: TopicId(1), index };
        assert_eq!(unreadable.among([of(1)].into_iter()), [] as [usize; 0]);
        unreadable.note(of(1), "bad", Met::Within);
        assert_eq!(unreadable.among([of(0), of(1), of(2)].into_iter()), [1]);
        tokio::time::advance(SUSPECTED_FOR).await;
        assert_eq!(unreadable.among([of(1)].into_iter()), [] as [usize; 0]);
        for index in 0..SUSPECTS_MAX as i32 + 100 {
            unreadable.note(of(index), "bad", Met::Before);
        }
        let suspected = unreadable.among((0..20_000).map(of));
        assert_eq!(suspected.len(), SUSPECTS_MAX, "the lapsed one made room");
        assert_eq!((unreadable.within.get(), unreadable.before.get()), (1, SUSPECTS_MAX as u64 + 100));
    }
}
