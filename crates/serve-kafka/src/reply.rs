//! Replies on their way out: small ones are collected into one write, records go from where they lie.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kolk_broker::admission::Admission;
use kolk_broker::gather::{self, CHUNK_BYTES_MAX, GATHERED_BYTES_MAX, SMALL_BYTES_MAX};
use kolk_broker::{Broker, Permit};
use kolk_engine::door::Stream;
use kolk_engine::{EngineError, FileRange, PartitionId, Piece, Source};
use kolk_wire_kafka::codec::Segment;
use kolk_wire_kafka::frame::Frame;
use tokio::time::Instant;

use crate::answer::Outbox;

/// Bytes that the page cache is asked for and the socket gets from there in one call, at most.
const SEND_BYTES_MAX: usize = 1024 * 1024;

/// Replies up to so many bytes are collected with others into one write.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// Pieces of memory handed to one vectored write.
const SLICES_MAX: usize = 512;
/// So many of them are written from where they are; among more, the small ones are put together.
const SLICES_UNCOPIED_MAX: usize = 32;
/// What is put together, at most, in bytes a piece.
const COPIED_SLICE_BYTES_MAX: usize = 1024;
/// And in all before it is written.
const COPIED_SLICES_BYTES_MAX: usize = 64 * 1024;

/// Records of an answer that lie elsewhere.
#[derive(Debug)]
pub(crate) struct External {
    /// What `Segment::External { token }` stands for, by token.
    pub sources: Vec<(PartitionId, Vec<Piece>)>,
    /// Brings small pieces into memory, and is told what cannot be read.
    pub broker: Broker,
}

impl External {
    /// Whether some of them are sent from files of the log.
    fn keep_files(&self) -> bool {
        let mut pieces = self.sources.iter().flat_map(|(_, pieces)| pieces);
        pieces.any(|piece| matches!(piece.source, Source::File(_)))
    }

    /// Brings the small piece at `index` of a source into memory, and with it as many of those behind it as one buffer
    /// takes.
    async fn gather_from(&mut self, token: usize, index: usize) -> Result<(), EngineError> {
        let later = self.sources[token..].iter_mut().flat_map(|(_, pieces)| pieces).skip(index);
        let mut room = GATHERED_BYTES_MAX;
        let fitting = later.filter(|piece| gather::is_small(piece)).take_while(|piece| {
            let is_fitting = piece.len() <= room;
            room = room.saturating_sub(piece.len());
            is_fitting
        });
        let mut pieces: Vec<&mut Piece> = fitting.collect();
        match self.broker.gatherer().gather(&mut pieces).await.into_iter().next() {
            Some((0, error)) => Err(error),
            // Whoever comes to the others tries again.
            _ => Ok(()),
        }
    }
}

/// An answer ready to be sent.
#[derive(Debug)]
pub(crate) struct Reply {
    frame: Frame,
    records: Option<External>,
    /// Error codes in it, each with how many there are.
    errors: Vec<(i16, u32)>,
    /// Holds the memory of the frame and of what the sources pin.
    permit: Permit,
}

impl Reply {
    /// An answer that was encoded under `permit`: see [`crate::answer`].
    pub fn new(frame: Frame, records: Option<External>, errors: Vec<(i16, u32)>, permit: Permit) -> Self {
        Reply { frame, records, errors, permit }
    }

    /// Error codes in the reply other than NONE, each with how many partitions, topics or groups have it.
    pub fn errors(&self) -> &[(i16, u32)] {
        &self.errors
    }

    /// Bytes of the reply on the wire.
    pub fn len(&self) -> usize {
        self.frame.length
    }

    /// Puts a small reply into the outbox, and its permit with it. A large one, or one with records from elsewhere, is
    /// given back, to be sent from where it is: until the client has taken it, it stands in memory once.
    pub fn collect(self, outbox: &mut Outbox) -> Option<Reply> {
        if self.records.is_some() || self.frame.length > COPIED_BYTES_MAX {
            return Some(self);
        }
        let pieces = self.frame.segments.iter().map(|segment| match segment {
            Segment::Bytes(bytes) => &bytes[..],
            Segment::External { .. } => unreachable!("a reply without records from elsewhere is all here"),
        });
        outbox.put(pieces, self.permit);
        drop(self.frame);
        outbox.settle();
        None
    }
}

/// Why a reply did not go out. The connection is to be closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("writing failed: {0}")]
    Io(#[from] io::Error),
    #[error("the client took no byte for {0:?}")]
    Stalled(Duration),
    #[error("the client took {0:?} over {1} bytes")]
    TooSlow(Duration, usize),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Writes all that was collected.
pub(crate) async fn flush(
    stream: &mut dyn Stream,
    outbox: &mut Outbox,
    pace: Pace<'_>,
) -> Result<(), SendError> {
    let stall = outbox.patience(pace.admission, pace.stall);
    let sending = Sending::new(Pace { stall, ..pace }, outbox.len(), Duration::MAX);
    let out = outbox.bytes();
    while !out.is_empty() {
        let written = sending.progress(poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, out))).await?;
        out.advance(written);
    }
    outbox.written();
    Ok(())
}

/// Writes a reply: what is in memory and small pieces of files in as few calls as they fit into, large pieces of files by
/// themselves. Its permit is given back at the end.
pub(crate) async fn send(stream: &mut dyn Stream, reply: Reply, pace: Pace<'_>) -> Result<(), SendError> {
    let length = reply.len();
    let Reply { frame, records, mut permit, .. } = reply;
    let stall = permit.patience(pace.admission, pace.stall);
    let keeps_files = records.as_ref().is_some_and(External::keep_files);
    let at_most = if keeps_files { FILES_KEPT_MAX } else { Duration::MAX };
    let sending = Sending::new(Pace { stall, ..pace }, length, at_most);
    let mut writing = Writing { stream, sending, queue: Queue::default(), records, has_let_go: false };
    for segment in frame.segments {
        match segment {
            Segment::Bytes(bytes) => writing.push(bytes).await?,
            Segment::External { token, length } => writing.send_records(token as usize, length).await?,
        }
    }
    writing.write().await
}

/// How long a reply may hold on to the frames of the log that its records lie in. A slice of a frame keeps some MiB of the
/// log's memory, of which the budget knows the slice's bytes alone: a client that takes longer is sent a copy. Others
/// are done by then.
const LET_GO_AFTER: Duration = Duration::from_millis(250);

/// How long a client may take over a reply that is sent from files of the log, however fast it is: a file takes its room on the
/// disk until nobody sends from it, though retention or the rewrite have long removed it. Kafka's clients give up after 30 s
/// by themselves (`request.timeout.ms`).
const FILES_KEPT_MAX: Duration = Duration::from_secs(300);

/// A reply being written.
struct Writing<'a> {
    stream: &'a mut dyn Stream,
    sending: Sending<'a>,
    queue: Queue,
    records: Option<External>,
    /// What is left is in memory of its own.
    has_let_go: bool,
}

impl Writing<'_> {
    fn records(&mut self) -> &mut External {
        self.records.as_mut().expect("a token stands for records")
    }

    /// Sends the records that a token stands for.
    async fn send_records(&mut self, token: usize, length: usize) -> Result<(), SendError> {
        let pieces = &self.records().sources[token].1;
        debug_assert_eq!(length, pieces.iter().map(Piece::len).sum::<usize>());
        let count = pieces.len();
        for index in 0..count {
            let sent = self.send_piece(token, index).await;
            if let Err(SendError::Engine(EngineError::Read(reason))) = &sent {
                let records = self.records();
                records.broker.answer_broke_off(records.sources[token].0, reason);
            }
            sent?;
        }
        Ok(())
    }

    async fn send_piece(&mut self, token: usize, index: usize) -> Result<(), SendError> {
        if gather::is_small(&self.records().sources[token].1[index]) {
            // What was gathered before goes first: it takes the memory that the next has room in.
            self.write().await?;
            self.records().gather_from(token, index).await?;
        }
        let sent = Source::Memory(Bytes::new());
        // The frame buffer, or the file, that it is a part of is let go with it, once it is sent.
        match std::mem::replace(&mut self.records().sources[token].1[index].source, sent) {
            Source::Memory(bytes) => self.push(bytes).await,
            Source::File(range) => self.send_large(&range).await,
        }
    }

    /// Sends what lies in a file chunk by chunk, from the page cache without a copy where that goes.
    async fn send_large(&mut self, range: &FileRange) -> Result<(), SendError> {
        let mut start = 0;
        while start < range.len {
            let left = range.len - start;
            if left >= SMALL_BYTES_MAX
                && let Some(sent) = self.send_file(range, start, left).await?
            {
                start += sent;
                continue;
            }
            let len = CHUNK_BYTES_MAX.min(left);
            let chunk = range.file.read_at(range.position + start as u64, len).await?;
            self.push(chunk).await?;
            self.write().await?;
            start += len;
        }
        Ok(())
    }

    /// Sends what is queued and then some bytes of a file, from the page cache without a copy. The answer is how many of them;
    /// `None` if they have to be read.
    async fn send_file(
        &mut self,
        range: &FileRange,
        start: usize,
        left: usize,
    ) -> Result<Option<usize>, SendError> {
        let (position, len) = (range.position + start as u64, left.min(SEND_BYTES_MAX));
        let Some(file) = range.file.file() else { return Ok(None) };
        let Some(descriptor) = file.resident(position, len) else { return Ok(None) };
        self.queue.close();
        for at in 0..self.queue.slices.len() {
            while !self.queue.slices[at].is_empty() {
                let written = self.progress(Write::More(at)).await?;
                self.queue.slices[at].advance(written);
            }
        }
        self.queue.clear();
        match self.progress(Write::File(descriptor, position, len)).await {
            Ok(sent) => Ok(Some(sent)),
            Err(SendError::Io(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds bytes, and writes what there is when that is enough.
    async fn push(&mut self, bytes: Bytes) -> Result<(), SendError> {
        if self.queue.push(bytes) { self.write().await } else { Ok(()) }
    }

    /// Writes what is queued.
    async fn write(&mut self) -> Result<(), SendError> {
        self.queue.close();
        let mut at = 0;
        while at < self.queue.slices.len() {
            let mut written = self.progress(Write::From(at)).await?;
            while written > 0 {
                let bytes = &mut self.queue.slices[at];
                let taken = written.min(bytes.len());
                bytes.advance(taken);
                written -= taken;
                if bytes.is_empty() {
                    // Lets go of the frame buffer as soon as it is sent.
                    *bytes = Bytes::new();
                    at += 1;
                }
            }
        }
        self.queue.clear();
        Ok(())
    }

    /// Writes until some bytes were taken: how many.
    async fn progress(&mut self, write: Write<'_>) -> Result<usize, SendError> {
        if !self.has_let_go {
            let soon = self.sending.begun + LET_GO_AFTER;
            let written = poll_fn(|cx| write.poll(&mut *self.stream, &self.queue.slices, cx));
            if let Ok(written) = until(soon, written).await {
                return self.sending.taken(written?);
            }
            self.let_go();
        }
        let Writing { stream, queue, sending, .. } = self;
        sending.progress(poll_fn(|cx| write.poll(&mut **stream, &queue.slices, cx))).await
    }

    /// Copies what is left of the log's frames.
    fn let_go(&mut self) {
        self.has_let_go = true;
        let pieces = self.records.iter_mut().flat_map(|records| &mut records.sources);
        let pieces = pieces.flat_map(|(_, pieces)| pieces).filter_map(|piece| match &mut piece.source {
            Source::Memory(bytes) => Some(bytes),
            Source::File(_) => None,
        });
        for bytes in self.queue.slices.iter_mut().chain(pieces) {
            *bytes = Bytes::copy_from_slice(bytes);
        }
    }
}

/// What is written in one call.
#[derive(Clone, Copy)]
enum Write<'a> {
    /// What is queued, from this slice on.
    From(usize),
    /// This slice, which others follow at once.
    More(usize),
    /// Bytes of a file: position and length.
    File(BorrowedFd<'a>, u64, usize),
}

impl Write<'_> {
    fn poll(
        self,
        stream: &mut dyn Stream,
        queued: &[Bytes],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Write::From(at) => {
                let queued = queued[at..].iter().take(SLICES_MAX);
                let slices: Vec<IoSlice<'_>> = queued.map(|bytes| IoSlice::new(bytes)).collect();
                Pin::new(stream).poll_write_vectored(cx, &slices)
            }
            Write::More(at) => stream.poll_write_more(cx, &queued[at]),
            Write::File(file, position, len) => stream.poll_send_file(cx, file, position, len),
        }
    }
}

/// The future's output, if it comes before the instant. It is polled at least once, and no timer is made if that does.
async fn until<T>(end: Instant, future: impl Future<Output = T>) -> Result<T, ()> {
    let mut future = std::pin::pin!(future);
    match poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => tokio::time::timeout_at(end, future).await.map_err(drop),
    }
}

/// What is to be written together.
#[derive(Default)]
struct Queue {
    slices: Vec<Bytes>,
    /// The latest small ones, put together; they come behind the slices.
    small: BytesMut,
    /// Bytes put together so far.
    copied: usize,
}

impl Queue {
    /// Adds bytes; whether it is time to write them.
    fn push(&mut self, bytes: Bytes) -> bool {
        if self.slices.len() >= SLICES_UNCOPIED_MAX && bytes.len() <= COPIED_SLICE_BYTES_MAX {
            self.small.extend_from_slice(&bytes);
            self.copied += bytes.len();
        } else if !bytes.is_empty() {
            self.close();
            self.slices.push(bytes);
        }
        self.slices.len() >= SLICES_MAX || self.copied >= COPIED_SLICES_BYTES_MAX
    }

    /// Makes a slice of what was put together.
    fn close(&mut self) {
        if !self.small.is_empty() {
            self.slices.push(self.small.split().freeze());
        }
    }

    /// All is written.
    fn clear(&mut self) {
        self.slices.clear();
        self.copied = 0;
    }
}

/// How slowly a client may take what it is sent.
#[derive(Clone, Copy)]
pub(crate) struct Pace<'a> {
    /// Something of it is taken in this time.
    pub stall: Duration,
    /// While memory is short, all of it in this much more.
    pub admission: &'a Admission,
}

/// A reply on its way.
struct Sending<'a> {
    pace: Pace<'a>,
    begun: Instant,
    bytes: usize,
    /// Whatever the pace.
    at_most: Duration,
}

impl<'a> Sending<'a> {
    fn new(pace: Pace<'a>, bytes: usize, at_most: Duration) -> Self {
        Sending { pace, begun: Instant::now(), bytes, at_most }
    }

    async fn progress(&self, write: impl Future<Output = io::Result<usize>>) -> Result<usize, SendError> {
        let mut write = std::pin::pin!(write);
        // Almost every write is taken by the socket's buffer at once: no timer for those.
        let first = poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
        let written = match first {
            Poll::Ready(written) => written?,
            Poll::Pending => {
                let stall = self.pace.stall;
                let written =
                    tokio::time::timeout(stall, write).await.map_err(|_| SendError::Stalled(stall))??;
                let taking = self.begun.elapsed();
                let in_time = stall.saturating_add(self.pace.admission.slowest(self.bytes));
                if taking > in_time.min(self.at_most) {
                    return Err(SendError::TooSlow(taking, self.bytes));
                }
                written
            }
        };
        self.taken(written)
    }

    /// That the client took so many bytes.
    fn taken(&self, written: usize) -> Result<usize, SendError> {
        match written {
            0 => Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            written => Ok(written),
        }
    }
}

/// Sends all that was collected and then the reply.
pub(crate) async fn send_after(
    stream: &mut dyn Stream,
    outbox: &mut Outbox,
    reply: Reply,
    pace: Pace<'_>,
) -> Result<(), SendError> {
    flush(stream, outbox, pace).await?;
    send(stream, reply, pace).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kolk_broker::{Class, Settings};
    use kolk_engine::door::real;
    use kolk_engine::memory::{MemoryEngine, MemoryOptions};
    use kolk_engine::{BoxFuture, RangeRead, TopicId};

    use super::*;

    #[tokio::test]
    async fn slices_of_any_size_arrive_in_order() {
        use tokio::io::AsyncReadExt;
        let (near, mut far) = tokio::io::duplex(7);
        let mut near: Box<dyn Stream> = Box::new(near);
        let slices: Vec<Vec<u8>> = (0..2000).map(|i| vec![i as u8; i * 37 % 2000]).collect();
        let expected = slices.concat();
        let write = async move {
            let admission = Admission::new(0);
            let pace = Pace { stall: Duration::from_secs(1), admission: &admission };
            let sending = Sending::new(pace, 1, Duration::MAX);
            let (queue, stream) = (Queue::default(), &mut *near);
            let mut writing = Writing { stream, sending, queue, records: None, has_let_go: false };
            for bytes in slices {
                writing.push(bytes.into()).await.unwrap();
            }
            writing.write().await.unwrap();
            drop(near);
        };
        let mut found = Vec::new();
        let (_, read) = tokio::join!(write, far.read_to_end(&mut found));
        read.unwrap();
        assert_eq!(found, expected);
    }

    /// A frame of the log.
    struct LogFrame(Arc<[u8]>);

    impl AsRef<[u8]> for LogFrame {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    /// A slice of a hundred bytes kept 4 MiB of the log's memory for as long as its client liked: a few consumers that were
    /// busy elsewhere held all that was written meanwhile.
    #[tokio::test(start_paused = true)]
    async fn who_takes_its_time_holds_no_frames_of_the_log() {
        use tokio::io::AsyncReadExt;
        let door = real::door(real::DiskOptions::default());
        let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
        let broker = Broker::new(engine, door, Settings::default());
        let memory: Arc<[u8]> = (0..4096).map(|at| at as u8).collect();
        let frame = Bytes::from_owner(LogFrame(memory.clone()));
        let pieces = [100..200, 300..1000, 2000..4096]
            .map(|part| Piece { source: Source::Memory(frame.slice(part)), batches: Vec::new() });
        let length = pieces.iter().map(Piece::len).sum();
        let partition = PartitionId { topic: TopicId(1), index: 0 };
        let records = Some(External { sources: vec![(partition, pieces.into())], broker: broker.clone() });
        let segments = vec![Segment::Bytes(frame.slice(..50)), Segment::External { token: 0, length }];
        drop(frame);
        let permit = broker.admission().try_admit(4096, Class::Data).expect("room");
        let reply = Reply::new(Frame { segments, length: 50 + length }, records, Vec::new(), permit);

        let (near, mut far) = tokio::io::duplex(10);
        let mut near: Box<dyn Stream> = Box::new(near);
        let send = async move {
            let pace = Pace { stall: Duration::from_secs(30), admission: broker.admission() };
            send(&mut *near, reply, pace).await.expect("it is sent");
        };
        let take = async {
            let mut taken = vec![0; 20];
            far.read_exact(&mut taken).await.expect("the beginning");
            tokio::time::sleep(LET_GO_AFTER / 2).await;
            assert!(Arc::strong_count(&memory) > 1, "most clients are done by then");
            tokio::time::sleep(LET_GO_AFTER).await;
            assert_eq!(Arc::strong_count(&memory), 1, "what it is waited for with is a copy");
            far.read_to_end(&mut taken).await.expect("the rest");
            taken
        };
        let ((), taken) = tokio::join!(send, take);
        assert_eq!(taken, [&memory[..50], &memory[100..200], &memory[300..1000], &memory[2000..]].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (near, _far) = tokio::io::duplex(1);
        let mut near: Box<dyn Stream> = Box::new(near);
        let admission = Admission::new(0);
        let mut out = Outbox::default();
        out.put([&b"hello"[..]], admission.try_admit(5, Class::Data).expect("room"));
        let pace = Pace { stall: Duration::from_secs(30), admission: &admission };
        let result = flush(&mut *near, &mut out, pace).await;
        assert!(matches!(result, Err(SendError::Stalled(_))));
    }

    /// A file of zeros.
    #[derive(Debug)]
    struct Zeros;

    impl RangeRead for Zeros {
        fn read_at(&self, _: u64, len: usize) -> BoxFuture<'_, Result<Bytes, EngineError>> {
            Box::pin(async move { Ok(vec![0; len].into()) })
        }
    }

    /// A client that took a byte now and then kept the file that it read, and its room on the disk, for days after retention
    /// had removed it; one for each file that was ever written fills any disk.
    #[tokio::test(start_paused = true)]
    async fn who_takes_its_time_keeps_no_file_of_the_log_for_long() {
        let door = real::door(real::DiskOptions::default());
        let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
        let broker = Broker::new(engine, door, Settings::default());
        let file: Arc<dyn RangeRead> = Arc::new(Zeros);
        let length = SMALL_BYTES_MAX;
        let source = Source::File(FileRange { file: file.clone(), position: 0, len: length });
        let partition = PartitionId { topic: TopicId(1), index: 0 };
        let sources = vec![(partition, vec![Piece { source, batches: Vec::new() }])];
        let segments = vec![Segment::External { token: 0, length }];
        let permit = broker.admission().try_admit(1 << 20, Class::Data).expect("room");
        let records = Some(External { sources, broker: broker.clone() });
        let reply = Reply::new(Frame { segments, length }, records, Vec::new(), permit);

        let (near, mut far) = tokio::io::duplex(1);
        let mut near: Box<dyn Stream> = Box::new(near);
        let begun = Instant::now();
        let send = async move {
            let pace = Pace { stall: Duration::from_secs(30), admission: broker.admission() };
            send(&mut *near, reply, pace).await
        };
        let take = async {
            let mut byte = [0];
            while tokio::io::AsyncReadExt::read(&mut far, &mut byte).await.expect("bytes") > 0 {
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        };
        let (result, ()) = tokio::join!(send, take);
        assert!(matches!(result, Err(SendError::TooSlow(..))), "{result:?}");
        assert!((300..350).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        assert_eq!(Arc::strong_count(&file), 1);
    }

    /// A client that took one byte every 29 s kept its reply's memory for ever.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_too_little_is_given_up_while_memory_is_short() {
        let admission = Admission::new(64 << 20);
        for short in [false, true] {
            let held =
                short.then(|| admission.try_admit(admission.available() * 4 / 5, Class::Data).expect("room"));
            let (near, mut far) = tokio::io::duplex(1);
            let mut near: Box<dyn Stream> = Box::new(near);
            let mut out = Outbox::default();
            out.put([&[7; 100][..]], admission.try_admit(100, Class::Data).expect("room"));
            let take = async {
                let mut byte = [0];
                loop {
                    tokio::time::sleep(Duration::from_secs(29)).await;
                    if tokio::io::AsyncReadExt::read(&mut far, &mut byte).await.expect("bytes") == 0 {
                        break;
                    }
                }
            };
            let begun = Instant::now();
            let send = async {
                let pace = Pace { stall: Duration::from_secs(30), admission: &admission };
                let result = flush(&mut *near, &mut out, pace).await;
                drop(near);
                (result, begun.elapsed().as_secs())
            };
            let ((result, took), ()) = tokio::join!(send, take);
            let is_right = if short {
                matches!(result, Err(SendError::TooSlow(_, 100))) && took == 58
            } else {
                result.is_ok() && took > 2000
            };
            assert!(is_right, "{short} {result:?} {took}");
            drop(held);
        }
    }
}
