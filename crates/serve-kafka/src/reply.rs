//! Replies on their way out: small ones are collected into one write, records go from where they lie.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kolk_broker::Permit;
use kolk_broker::admission::Admission;
use kolk_engine::door::Stream;
use kolk_engine::{EngineError, FileRange, Piece, Source};
use kolk_wire_kafka::ApiKey;
use kolk_wire_kafka::codec::{EncodeError, Message, Segment};
use kolk_wire_kafka::frame::{self, Frame};
use tokio::time::Instant;

/// Bytes of a file that one reply holds in memory at a time.
const FILE_CHUNK_BYTES: usize = 256 * 1024;

/// Bytes that the page cache is asked for and the socket gets from there in one call, at most.
const SEND_BYTES_MAX: usize = 1024 * 1024;
/// Fewer are read and written: with their neighbours they make fuller packets.
const SEND_BYTES_MIN: usize = 32 * 1024;

/// Replies up to so many bytes are collected with others into one write.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// Pieces of memory handed to one vectored write.
const SLICES_MAX: usize = 64;

/// An answer ready to be sent.
#[derive(Debug)]
pub(crate) struct Reply {
    frame: Frame,
    /// What `Segment::External { token }` stands for, by token.
    sources: Vec<Vec<Piece>>,
    /// Error codes in it, each with how many there are.
    errors: Vec<(i16, u32)>,
    /// Holds the memory of the frame and of what the sources pin.
    permit: Option<Permit>,
}

impl Reply {
    /// An answer without records.
    pub fn new<M: Message>(
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        body: &M,
    ) -> Result<Self, EncodeError> {
        Self::with_sources(api, version, correlation_id, body, Vec::new(), None)
    }

    /// An answer whose external records are `sources`.
    pub fn with_sources<M: Message>(
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        body: &M,
        sources: Vec<Vec<Piece>>,
        permit: Option<Permit>,
    ) -> Result<Self, EncodeError> {
        let frame = frame::encode_response(api, version, correlation_id, body)?;
        Ok(Reply { frame, sources, errors: error_codes(body), permit })
    }

    /// Error codes in the reply other than NONE, each with how many partitions, topics or groups have it.
    pub fn errors(&self) -> &[(i16, u32)] {
        &self.errors
    }

    /// Bytes of the reply on the wire.
    pub fn len(&self) -> usize {
        self.frame.length
    }

    /// Bytes of the reply itself, without what its sources pin.
    pub fn own_bytes(&self) -> usize {
        let own = self.frame.segments.iter().map(|segment| match segment {
            Segment::Bytes(bytes) => bytes.len(),
            Segment::External { .. } => 0,
        });
        own.sum()
    }

    /// Keeps `permit` until the reply is sent.
    pub fn holding(self, permit: Permit) -> Self {
        Reply { permit: Some(permit), ..self }
    }

    /// Copies a small reply behind what `out` holds. A large one, or one with records from elsewhere, is to be sent from
    /// where it is: until the client has taken it, it stands in memory once, and its permit with it.
    pub fn copy_to(&self, out: &mut BytesMut) -> bool {
        if !self.sources.is_empty() || self.frame.length > COPIED_BYTES_MAX {
            return false;
        }
        for segment in &self.frame.segments {
            match segment {
                Segment::Bytes(bytes) => out.extend_from_slice(bytes),
                Segment::External { .. } => unreachable!("a reply without sources has no external records"),
            }
        }
        true
    }
}

/// Error codes in a response other than NONE, each with how many partitions, topics or groups have it.
pub(crate) fn error_codes<M: Message>(body: &M) -> Vec<(i16, u32)> {
    let mut errors: Vec<(i16, u32)> = Vec::new();
    body.error_codes(&mut |code| {
        if code != 0 {
            match errors.iter_mut().find(|(known, _)| *known == code) {
                Some((_, count)) => *count += 1,
                None => errors.push((code, 1)),
            }
        }
    });
    errors
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

/// Writes `out` whole and leaves it empty.
pub(crate) async fn flush(
    stream: &mut dyn Stream,
    out: &mut BytesMut,
    pace: Pace<'_>,
) -> Result<(), SendError> {
    let sending = Sending::new(pace, out.len());
    while !out.is_empty() {
        let written = sending.progress(poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, out))).await?;
        out.advance(written);
    }
    Ok(())
}

/// Writes a reply, reading what lies in files chunk by chunk. Its permit is given back at the end.
pub(crate) async fn send(stream: &mut dyn Stream, reply: Reply, pace: Pace<'_>) -> Result<(), SendError> {
    let sending = Sending::new(pace, reply.len());
    let _permit = reply.permit;
    let mut queue = Queue::default();
    for segment in reply.frame.segments {
        match segment {
            Segment::Bytes(bytes) => queue.push(bytes),
            Segment::External { token, length } => {
                let pieces = &reply.sources[token as usize];
                debug_assert_eq!(length, pieces.iter().map(Piece::len).sum::<usize>());
                for piece in pieces {
                    match &piece.source {
                        Source::Memory(bytes) => queue.push(bytes.clone()),
                        Source::File(range) => {
                            let mut start = 0;
                            while start < piece.len() {
                                let left = piece.len() - start;
                                if left >= SEND_BYTES_MIN
                                    && let Some(sent) =
                                        send_file(range, start, left, &mut queue, stream, &sending).await?
                                {
                                    start += sent;
                                    continue;
                                }
                                let len = FILE_CHUNK_BYTES.min(left);
                                queue.push(piece.bytes(start, len).await?);
                                queue.write(stream, &sending).await?;
                                start += len;
                            }
                        }
                    }
                    if queue.slices.len() >= SLICES_MAX {
                        queue.write(stream, &sending).await?;
                    }
                }
            }
        }
    }
    queue.write(stream, &sending).await
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
    for bytes in &mut queue.slices {
        while !bytes.is_empty() {
            let written = sending.progress(poll_fn(|cx| stream.poll_write_more(cx, bytes))).await?;
            bytes.advance(written);
        }
    }
    queue.slices.clear();
    match sending.progress(poll_fn(|cx| stream.poll_send_file(cx, descriptor, position, len))).await {
        Ok(sent) => Ok(Some(sent)),
        Err(SendError::Io(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Default)]
struct Queue {
    slices: Vec<Bytes>,
}

impl Queue {
    fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.slices.push(bytes);
        }
    }

    async fn write(&mut self, stream: &mut dyn Stream, sending: &Sending<'_>) -> Result<(), SendError> {
        let mut at = 0;
        while at < self.slices.len() {
            let mut written = sending
                .progress(poll_fn(|cx| {
                    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                    let mut count = 0;
                    for (slot, bytes) in slices.iter_mut().zip(&self.slices[at..]) {
                        *slot = IoSlice::new(bytes);
                        count += 1;
                    }
                    Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count])
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
    out: &mut BytesMut,
    reply: Reply,
    pace: Pace<'_>,
) -> Result<(), SendError> {
    flush(stream, out, pace).await?;
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
        let mut queue = Queue::default();
        let mut expected = Vec::new();
        for i in 0..200u8 {
            let bytes = vec![i; usize::from(i) % 23];
            expected.extend_from_slice(&bytes);
            queue.push(bytes.into());
        }
        let write = async move {
            let admission = Admission::new(0);
            let pace = Pace { stall: Duration::from_secs(1), admission: &admission };
            queue.write(&mut *near, &Sending::new(pace, 1)).await.unwrap();
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
        let mut out = BytesMut::from(&b"hello"[..]);
        let admission = Admission::new(0);
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
            let mut out = BytesMut::from(&[7; 100][..]);
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
