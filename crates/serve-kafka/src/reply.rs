//! Replies on their way out: small ones are collected into one write, records go from where they lie.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kolk_broker::admission::Admission;
use kolk_broker::gather::{self, GATHERED_BYTES_MAX, SMALL_BYTES_MAX};
use kolk_broker::{Broker, Permit};
use kolk_engine::door::Stream;
use kolk_engine::{EngineError, FileRange, PartitionId, Piece, Source};
use kolk_wire_kafka::codec::Segment;
use kolk_wire_kafka::frame::Frame;
use tokio::time::Instant;

use crate::answer::Outbox;

/// Bytes of a file that one reply holds in memory at a time.
const FILE_CHUNK_BYTES: usize = gather::CHUNK_BYTES_MAX;

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
    #[error("memory is short, and the client took {0:?} over {1} bytes")]
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
    let sending = Sending::new(pace, outbox.len());
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
    let sending = Sending::new(pace, reply.len());
    let Reply { frame, mut records, permit: _permit, .. } = reply;
    let mut queue = Queue::default();
    for segment in frame.segments {
        let (token, length) = match segment {
            Segment::Bytes(bytes) => {
                queue.push(bytes, stream, &sending).await?;
                continue;
            }
            Segment::External { token, length } => (token as usize, length),
        };
        let records = records.as_mut().expect("a token stands for records");
        debug_assert_eq!(length, records.sources[token].1.iter().map(Piece::len).sum::<usize>());
        let sent = send_records(records, token, &mut queue, stream, &sending).await;
        if let Err(SendError::Engine(EngineError::Read(reason))) = &sent {
            records.broker.answer_broke_off(records.sources[token].0, reason);
        }
        sent?;
    }
    queue.write(stream, &sending).await
}

/// Sends the records that a token stands for.
async fn send_records(
    records: &mut External,
    token: usize,
    queue: &mut Queue,
    stream: &mut dyn Stream,
    sending: &Sending<'_>,
) -> Result<(), SendError> {
    for index in 0..records.sources[token].1.len() {
        if gather::is_small(&records.sources[token].1[index]) {
            // What was gathered before goes first: it takes the memory that the next has room in.
            queue.write(stream, sending).await?;
            records.gather_from(token, index).await?;
        }
        match &mut records.sources[token].1[index].source {
            // The frame buffer that it is a part of is let go with it, once it is sent.
            Source::Memory(bytes) => queue.push(std::mem::take(bytes), stream, sending).await?,
            Source::File(range) => send_large(range, queue, stream, sending).await?,
        }
    }
    Ok(())
}

/// Sends what lies in a file chunk by chunk, from the page cache without a copy where that goes.
async fn send_large(
    range: &FileRange,
    queue: &mut Queue,
    stream: &mut dyn Stream,
    sending: &Sending<'_>,
) -> Result<(), SendError> {
    let mut start = 0;
    while start < range.len {
        let left = range.len - start;
        if left >= SMALL_BYTES_MAX
            && let Some(sent) = send_file(range, start, left, queue, stream, sending).await?
        {
            start += sent;
            continue;
        }
        let len = FILE_CHUNK_BYTES.min(left);
        let chunk = range.file.read_at(range.position + start as u64, len).await?;
        queue.push(chunk, stream, sending).await?;
        queue.write(stream, sending).await?;
        start += len;
    }
    Ok(())
}

/// Sends what is queued and then some bytes of a file, from the page cache without a copy. The answer is how many of them;
/// `None` if they have to be read.
async fn send_file(
    range: &FileRange,
    start: usize,
    left: usize,
    queue: &mut Queue,
    stream: &mut dyn Stream,
    sending: &Sending<'_>,
) -> Result<Option<usize>, SendError> {
    let (position, len) = (range.position + start as u64, left.min(SEND_BYTES_MAX));
    let Some(file) = range.file.file() else { return Ok(None) };
    let Some(descriptor) = file.resident(position, len) else { return Ok(None) };
    queue.close();
    for bytes in &mut queue.slices {
        while !bytes.is_empty() {
            let written = sending.progress(poll_fn(|cx| stream.poll_write_more(cx, bytes))).await?;
            bytes.advance(written);
        }
    }
    queue.slices.clear();
    queue.copied = 0;
    match sending.progress(poll_fn(|cx| stream.poll_send_file(cx, descriptor, position, len))).await {
        Ok(sent) => Ok(Some(sent)),
        Err(SendError::Io(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
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
    /// Adds bytes, and writes what there is when that is enough.
    async fn push(
        &mut self,
        bytes: Bytes,
        stream: &mut dyn Stream,
        sending: &Sending<'_>,
    ) -> Result<(), SendError> {
        if self.slices.len() >= SLICES_UNCOPIED_MAX && bytes.len() <= COPIED_SLICE_BYTES_MAX {
            self.small.extend_from_slice(&bytes);
            self.copied += bytes.len();
        } else if !bytes.is_empty() {
            self.close();
            self.slices.push(bytes);
        }
        if self.slices.len() >= SLICES_MAX || self.copied >= COPIED_SLICES_BYTES_MAX {
            self.write(stream, sending).await?;
        }
        Ok(())
    }

    /// Makes a slice of what was put together.
    fn close(&mut self) {
        if !self.small.is_empty() {
            self.slices.push(self.small.split().freeze());
        }
    }

    async fn write(&mut self, stream: &mut dyn Stream, sending: &Sending<'_>) -> Result<(), SendError> {
        self.close();
        let mut at = 0;
        while at < self.slices.len() {
            let mut written = sending
                .progress(poll_fn(|cx| {
                    let left = self.slices[at..].iter().take(SLICES_MAX);
                    let slices: Vec<IoSlice<'_>> = left.map(|bytes| IoSlice::new(bytes)).collect();
                    Pin::new(&mut *stream).poll_write_vectored(cx, &slices)
                }))
                .await?;
            while written > 0 {
                let bytes = &mut self.slices[at];
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
        self.slices.clear();
        self.copied = 0;
        Ok(())
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
}

impl<'a> Sending<'a> {
    fn new(pace: Pace<'a>, bytes: usize) -> Self {
        Sending { pace, begun: Instant::now(), bytes }
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
                if taking > stall.saturating_add(self.pace.admission.slowest(self.bytes)) {
                    return Err(SendError::TooSlow(taking, self.bytes));
                }
                written
            }
        };
        if written == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
        Ok(written)
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
    use kolk_broker::Class;

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
            let (mut queue, sending) = (Queue::default(), Sending::new(pace, 1));
            for bytes in slices {
                queue.push(bytes.into(), &mut *near, &sending).await.unwrap();
            }
            queue.write(&mut *near, &sending).await.unwrap();
            drop(near);
        };
        let mut found = Vec::new();
        let (_, read) = tokio::join!(write, far.read_to_end(&mut found));
        read.unwrap();
        assert_eq!(found, expected);
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
            match short {
                true => assert!(
                    matches!(result, Err(SendError::TooSlow(_, 100))) && took == 58,
                    "{result:?} {took}"
                ),
                false => assert!(result.is_ok() && took > 2000, "{result:?} {took}"),
            }
            drop(held);
        }
    }
}
