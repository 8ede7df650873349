//! Small pieces of files, brought together in memory before they are sent: an answer of a thousand small batches costs a
//! few reads and one write, not a thousand of each. Large pieces stay where they are and go to the socket by themselves.
//!
//! ```text
//!   files   ..[a]....[b].[c].......[d]..     one read each: a, b + c, d (in the order of the files)
//!   memory  |c|a|d|b|                        in the order of the answer
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kolk_engine::{EngineError, Piece, RangeRead, Source};

/// Bytes that one answer has gathered in memory at a time, at most.
pub const GATHERED_BYTES_MAX: usize = 256 * 1024;
/// From so many bytes on, a piece is worth a call of its own.
pub const SMALL_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a large piece that are in memory at a time, at most.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// Bytes of no interest that are read along where that saves a read: the log begins each frame in a new block.
const GAP_BYTES_MAX: u64 = 4096;

/// From so many bytes on they are gathered in a buffer of [`GATHERED_BYTES_MAX`] that is used again: fresh memory costs a
/// page fault per 4 KiB.
const POOLED_BYTES_MIN: usize = GATHERED_BYTES_MAX / 2;
/// Buffers that are kept.
const POOLED_MAX: usize = 16;

/// Gathers. A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Gatherer(Arc<Mutex<Vec<Vec<u8>>>>);

/// Memory that pieces are gathered in; goes back to its pool when the last piece of it is dropped.
struct Buffer {
    memory: Vec<u8>,
    len: usize,
    back_to: Option<Gatherer>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(Gatherer(pool)) = self.back_to.take() {
            let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
            if pool.len() < POOLED_MAX {
                pool.push(std::mem::take(&mut self.memory));
            }
        }
    }
}

/// Where a piece lies and where it goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    /// Which file, by first use: an address would order the reads differently in each run.
    file: usize,
    position: u64,
    len: usize,
    /// Which piece.
    piece: usize,
    /// First byte in the buffer.
    to: usize,
}

/// Whether the piece lies in a file and is to be gathered.
pub fn is_small(piece: &Piece) -> bool {
    matches!(&piece.source, Source::File(range) if range.len < SMALL_BYTES_MAX)
}

/// What gathering takes of memory, where pieces have so many bytes in all.
fn buffer_bytes(bytes: usize) -> usize {
    if bytes < POOLED_BYTES_MIN { bytes } else { GATHERED_BYTES_MAX }
}

/// Memory that pieces take until they are sent: what of them is there already, a buffer of what is gathered, and beside it
/// a chunk of a large piece that comes before.
pub fn to_hold<'a>(pieces: impl Iterator<Item = &'a Piece>) -> usize {
    let (mut in_memory, mut small, mut large) = (0, 0, 0);
    for piece in pieces {
        match &piece.source {
            Source::Memory(bytes) => in_memory += bytes.len(),
            Source::File(range) if is_small(piece) => small += range.len,
            Source::File(range) => large += range.len,
        }
    }
    in_memory + buffer_bytes(small) + large.min(CHUNK_BYTES_MAX)
}

impl Gatherer {
    /// Brings pieces that are [`is_small`] into memory, the first ones, as many as fit into [`GATHERED_BYTES_MAX`]. Those
    /// that cannot be read stay as they are and are given with why, by their index, in order.
    pub async fn gather(&self, pieces: &mut [&mut Piece]) -> Vec<(usize, EngineError)> {
        let mut files: Vec<Arc<dyn RangeRead>> = Vec::new();
        let mut moves: Vec<Move> = Vec::new();
        let mut total = 0;
        for (index, piece) in pieces.iter().enumerate() {
            let Source::File(range) = &piece.source else { continue };
            if total + range.len > GATHERED_BYTES_MAX {
                break;
            }
            // Neighbours are most often in one file.
            let file = match files.iter().rposition(|file| Arc::ptr_eq(file, &range.file)) {
                Some(file) => file,
                None => {
                    files.push(range.file.clone());
                    files.len() - 1
                }
            };
            moves.push(Move { file, position: range.position, len: range.len, piece: index, to: total });
            total += range.len;
        }
        if moves.is_empty() {
            return Vec::new();
        }
        let mut buffer = self.buffer(total);
        let mut failed = Vec::new();
        moves.sort_unstable();
        let mut left = &moves[..];
        while let Some(first) = left.first() {
            let (together, later) = left.split_at(reach(left));
            left = later;
            let file = &files[first.file];
            let end =
                together.iter().map(|part| part.position + part.len as u64).max().unwrap_or(first.position);
            let len = (end - first.position) as usize;
            match file.read_at(first.position, len).await {
                Ok(bytes) => {
                    for part in together {
                        let from = (part.position - first.position) as usize;
                        buffer.memory[part.to..part.to + part.len]
                            .copy_from_slice(&bytes[from..from + part.len]);
                    }
                }
                Err(error) if together.len() == 1 => failed.push((first.piece, error)),
                // Some of it can be had, perhaps.
                Err(_) => {
                    for part in together {
                        match file.read_at(part.position, part.len).await {
                            Ok(bytes) => {
                                buffer.memory[part.to..part.to + part.len].copy_from_slice(&bytes);
                            }
                            Err(error) => failed.push((part.piece, error)),
                        }
                    }
                }
            }
        }
        failed.sort_unstable_by_key(|(piece, _)| *piece);
        let gathered = Bytes::from_owner(buffer);
        for part in moves {
            if failed.binary_search_by_key(&part.piece, |(piece, _)| *piece).is_err() {
                pieces[part.piece].source = Source::Memory(gathered.slice(part.to..part.to + part.len));
            }
        }
        failed
    }

    fn buffer(&self, len: usize) -> Buffer {
        if len < POOLED_BYTES_MIN {
            return Buffer { memory: vec![0; buffer_bytes(len)], len, back_to: None };
        }
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = kept.unwrap_or_else(|| vec![0; buffer_bytes(len)]);
        Buffer { memory, len, back_to: Some(self.clone()) }
    }
}

/// How many of the moves, from the first on, are worth one read.
fn reach(moves: &[Move]) -> usize {
    let Some(first) = moves.first() else { return 0 };
    let mut end = first.position + first.len as u64;
    let others = moves[1..].iter().take_while(|next| {
        let next_end = end.max(next.position + next.len as u64);
        let is_near = next.file == first.file
            && next.position <= end + GAP_BYTES_MAX
            && next_end - first.position <= GATHERED_BYTES_MAX as u64;
        if is_near {
            end = next_end;
        }
        is_near
    });
    1 + others.count()
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kolk_engine::{BoxFuture, FileRange};

    use super::*;

    /// A file whose byte at position `n` is `n as u8`, with a part that cannot be read.
    #[derive(Debug, Default)]
    struct Pattern {
        reads: AtomicUsize,
        bad: Range<u64>,
    }

    impl RangeRead for Pattern {
        fn read_at(&self, position: u64, len: usize) -> BoxFuture<'_, Result<Bytes, EngineError>> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let end = position + len as u64;
            let is_bad = position < self.bad.end && self.bad.start < end;
            Box::pin(async move {
                if is_bad {
                    Err(EngineError::Read("bad".into()))
                } else {
                    Ok((position..end).map(|at| at as u8).collect())
                }
            })
        }
    }

    fn piece(file: &Arc<Pattern>, position: u64, len: usize) -> Piece {
        let file: Arc<dyn RangeRead> = file.clone();
        Piece { source: Source::File(FileRange { file, position, len }), batches: Vec::new() }
    }

    fn is_right(piece: &Piece, position: u64, len: usize) -> bool {
        let expected: Vec<u8> = (position..position + len as u64).map(|at| at as u8).collect();
        matches!(&piece.source, Source::Memory(bytes) if bytes[..] == expected[..])
    }

    async fn gather(gatherer: &Gatherer, pieces: &mut [Piece]) -> Vec<usize> {
        let failed = gatherer.gather(&mut pieces.iter_mut().collect::<Vec<_>>()).await;
        failed.into_iter().map(|(piece, _)| piece).collect()
    }

    /// Each small batch was a read and a write of its own.
    #[tokio::test]
    async fn neighbours_are_read_together_whatever_their_order() {
        let gatherer = Gatherer::default();
        // As partitions lie in a log: each one's batches are far apart, and next to those of others.
        let places: Vec<(u64, usize)> =
            (0..100).map(|index| ((index * 37 % 100) * 4096 + 77, 168 + index as usize)).collect();
        let files = [(); 2].map(|()| Arc::new(Pattern::default()));
        let reads = |file: &Arc<Pattern>| file.reads.load(Ordering::Relaxed);
        let of = |index: usize| &files[index % 2];
        let mut pieces: Vec<Piece> = places
            .iter()
            .enumerate()
            .map(|(index, (position, len))| piece(of(index), *position, *len))
            .collect();
        assert_eq!(gather(&gatherer, &mut pieces).await, []);
        assert!(pieces.iter().zip(&places).all(|(piece, (position, len))| is_right(piece, *position, *len)));
        assert!(files.iter().all(|file| reads(file) > 10), "not over more than a block of others");
        let file = Arc::new(Pattern::default());
        let mut pieces: Vec<Piece> =
            places.iter().map(|(position, len)| piece(&file, *position, *len)).collect();
        assert_eq!(gather(&gatherer, &mut pieces).await, []);
        assert!(pieces.iter().zip(&places).all(|(piece, (position, len))| is_right(piece, *position, *len)));
        assert_eq!(reads(&file), 2, "400 KiB of file");
    }

    #[tokio::test]
    async fn no_more_is_gathered_than_a_buffer_holds_and_buffers_are_used_again() {
        let file = Arc::new(Pattern::default());
        let gatherer = Gatherer::default();
        let len = 20 * 1024;
        let all =
            |count: u64| (0..count).map(|index| piece(&file, index * len as u64, len)).collect::<Vec<_>>();
        let mut pieces = all(20);
        assert_eq!(gather(&gatherer, &mut pieces).await, []);
        let gathered = pieces.iter().filter(|piece| !is_small(piece)).count();
        assert_eq!(gathered, GATHERED_BYTES_MAX / len);
        assert!(pieces[..gathered].iter().all(|piece| !is_small(piece)), "the first ones");
        let kept = || gatherer.0.lock().unwrap().len();
        let last = pieces.swap_remove(0);
        drop(pieces);
        assert_eq!(kept(), 0, "some of it is in use");
        drop(last);
        assert_eq!(kept(), 1);
        let pieces: Vec<Vec<Piece>> = vec![all(8), all(8)];
        for mut pieces in pieces {
            assert_eq!(gather(&gatherer, &mut pieces).await, []);
            assert_eq!(kept(), 0);
            drop(pieces);
            assert_eq!(kept(), 1);
        }
    }

    /// An answer of 33 KiB was gathered in 256 KiB, and paid for 33: for as long as its client read nothing.
    #[test]
    fn what_is_held_is_what_is_told() {
        let gatherer = Gatherer::default();
        for len in [1, 300, 33 << 10, 100 << 10, 127 << 10, 128 << 10, 200 << 10, GATHERED_BYTES_MAX] {
            let taken = gatherer.buffer(len).memory.capacity();
            assert_eq!(taken, buffer_bytes(len));
            assert!((len..=2 * len).contains(&taken), "{taken} bytes for {len}");
        }
    }

    /// What is gathered first waits for the large piece before it, of which there is a chunk in memory: one of the two was
    /// paid for.
    #[test]
    fn a_chunk_is_held_beside_what_was_gathered() {
        let file = Arc::new(Pattern::default());
        let here = Piece { source: Source::Memory(Bytes::from_static(b"here")), batches: Vec::new() };
        let small: Vec<Piece> = (0..3).map(|index| piece(&file, index * 4096, 1000)).collect();
        let large = |len| piece(&file, 1 << 20, len);
        assert_eq!(to_hold([&here].into_iter()), 4);
        assert_eq!(to_hold(small.iter().chain([&here])), 3004);
        assert_eq!(to_hold([&large(100_000)].into_iter()), 100_000);
        assert_eq!(to_hold([&large(1 << 20)].into_iter().chain(&small)), CHUNK_BYTES_MAX + 3000);
        let many: Vec<Piece> = (0..20).map(|index| piece(&file, index * 65_536, 30_000)).collect();
        assert_eq!(to_hold(many.iter().chain([&large(1 << 20)])), CHUNK_BYTES_MAX + GATHERED_BYTES_MAX);
    }

    #[tokio::test]
    async fn what_cannot_be_read_costs_its_neighbours_nothing() {
        let file = Arc::new(Pattern { bad: 1000..1060, ..Pattern::default() });
        let mut pieces: Vec<Piece> = (0..20).rev().map(|index| piece(&file, index * 150, 100)).collect();
        assert_eq!(gather(&Gatherer::default(), &mut pieces).await, [12], "the one from 1050 on");
        assert!(is_small(&pieces[12]), "it is where it was");
        assert!(is_right(&pieces[13], 900, 100) && is_right(&pieces[11], 1200, 100));
    }
}
