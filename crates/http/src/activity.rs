//! Whether a connection still moves, and the stream wrapper that notices.
//!
//! HTTP libraries time out some waits and not others: the first bytes of a connection, a peer that does not read its
//! answer, an HTTP/2 peer that grants no window. Here all of them are one question, asked every few seconds.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use kolk_engine::places::Holder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::serving::{BUFFER_BYTES, Slowest};

/// Bytes of the HTTP/2 preface: after these, the HTTP library has chosen a protocol and its own timeouts work.
const PREFACE_BYTES: u64 = 24;

/// What a connection has done so far. Times are ms since it was accepted.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    bytes_read: AtomicU64,
    /// Bytes read since its task was woken last.
    turn_bytes: AtomicU64,
    /// Requests whose head was read.
    requests: AtomicU64,
    /// Requests between their head and their answer.
    answering: AtomicUsize,
    /// Since when a write waits for the peer; 0 = it does not.
    write_blocked_ms: AtomicU64,
    /// Answers whose body is not yet handed over.
    answers: AtomicUsize,
    /// When a piece of an answer was handed over last.
    progress_ms: AtomicU64,
    taking: Mutex<Taking>,
    /// When it was accepted or the last of its requests was answered.
    answered_ms: AtomicU64,
    give_way: Notify,
}

/// What the peer has to take.
#[derive(Debug, Default)]
struct Taking {
    /// Answers that are not handed over whole, and pieces that the HTTP library was given and still has.
    parts: usize,
    /// Since when there are some, and the bytes that it was given since then.
    since_ms: u64,
    bytes: usize,
}

/// Smaller pieces are not worth watching.
const WATCHED_BYTES_MIN: usize = 16 * 1024;

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Activity {
            start: Instant::now(),
            bytes_read: AtomicU64::new(0),
            turn_bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            answering: AtomicUsize::new(0),
            write_blocked_ms: AtomicU64::new(0),
            answers: AtomicUsize::new(0),
            progress_ms: AtomicU64::new(0),
            taking: Mutex::default(),
            answered_ms: AtomicU64::new(0),
            give_way: Notify::new(),
        })
    }

    /// Milliseconds since the start, from 1.
    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 + 1
    }

    /// Why the connection is to be closed, if it is.
    pub(crate) fn stalled(&self, patience: Duration, slowest: &Slowest) -> Option<&'static str> {
        let now = self.now_ms();
        let too_long = |since: u64| now.saturating_sub(since) > patience.as_millis() as u64;
        let blocked = self.write_blocked_ms.load(Ordering::Relaxed);
        if self.bytes_read.load(Ordering::Relaxed) < PREFACE_BYTES && too_long(0) {
            return Some("no request came");
        }
        if blocked != 0 && too_long(blocked) {
            return Some("the peer does not read");
        }
        if self.answers.load(Ordering::Relaxed) > 0 && too_long(self.progress_ms.load(Ordering::Relaxed)) {
            return Some("the peer does not take its answer");
        }
        let taking = self.taking();
        let due = patience.saturating_add(slowest.time_for(taking.bytes));
        if taking.parts > 0 && u128::from(now.saturating_sub(taking.since_ms)) > due.as_millis() {
            return Some("memory is short, and the peer takes its answer too slowly");
        }
        None
    }

    /// Resolves at [`Holder::give_way`], also if it has come already.
    pub(crate) async fn asked_to_give_way(&self) {
        self.give_way.notified().await;
    }

    /// Its task was woken.
    pub(crate) fn begin_turn(&self) {
        self.turn_bytes.store(0, Ordering::Relaxed);
    }

    fn taking(&self) -> std::sync::MutexGuard<'_, Taking> {
        self.taking.lock().expect("nothing panics under this lock")
    }

    fn begin_part(&self) {
        let mut taking = self.taking();
        if taking.parts == 0 {
            (taking.since_ms, taking.bytes) = (self.now_ms(), 0);
        }
        taking.parts += 1;
    }

    fn end_part(&self) {
        self.taking().parts -= 1;
    }

    /// Notes a piece of an answer until the HTTP library lets go of it.
    pub(crate) fn hand_over(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        if bytes.len() < WATCHED_BYTES_MIN {
            return bytes;
        }
        self.begin_part();
        self.taking().bytes += bytes.len();
        Bytes::from_owner(HandedOver { bytes, activity: Arc::clone(self) })
    }

    /// Counts a request whose head was read, and that it is being answered until the guard is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> RequestGuard {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.answering.fetch_add(1, Ordering::Relaxed);
        RequestGuard(Arc::clone(self))
    }

    /// Counts an answer until the guard is dropped.
    pub(crate) fn answer(self: &Arc<Self>) -> AnswerGuard {
        self.progress_ms.store(self.now_ms(), Ordering::Relaxed);
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.begin_part();
        AnswerGuard(Arc::clone(self))
    }
}

impl Holder for Activity {
    fn quiet_since(&self) -> Option<Instant> {
        let is_busy = self.answering.load(Ordering::Relaxed) > 0
            || self.answers.load(Ordering::Relaxed) > 0
            || self.write_blocked_ms.load(Ordering::Relaxed) != 0
            || self.taking().parts > 0;
        (!is_busy).then(|| self.start + Duration::from_millis(self.answered_ms.load(Ordering::Relaxed)))
    }

    fn has_asked(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    fn give_way(&self) {
        self.give_way.notify_one();
    }
}

/// A request from its head to its answer.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
        self.0.answered_ms.store(self.0.now_ms(), Ordering::Relaxed);
    }
}

struct HandedOver {
    bytes: Bytes,
    activity: Arc<Activity>,
}

impl AsRef<[u8]> for HandedOver {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        self.activity.end_part();
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct AnswerGuard(Arc<Activity>);

impl AnswerGuard {
    /// A piece is asked for.
    pub(crate) fn progress(&self) {
        self.0.progress_ms.store(self.0.now_ms(), Ordering::Relaxed);
    }

    /// See [`Activity::hand_over`].
    pub(crate) fn hand_over(&self, bytes: Bytes) -> Bytes {
        self.0.hand_over(bytes)
    }

    /// There is nothing to hand over yet: the peer is not slow.
    pub(crate) fn nothing_yet(&self) {
        let mut taking = self.0.taking();
        (taking.since_ms, taking.bytes) = (self.0.now_ms(), 0);
    }
}

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        self.0.end_part();
        self.0.answers.fetch_sub(1, Ordering::Relaxed);
        self.0.answered_ms.store(self.0.now_ms(), Ordering::Relaxed);
    }
}

/// What a connection may be sent without asking: the head of any request that a client of ours sends.
const HEAD_BYTES: u64 = 8 * 1024;
/// What an HTTP/2 connection reads before it lets others have their turn. The library goes on as long as there are bytes,
/// and frames of a few bytes each, such as SETTINGS, cost it far more than reading them did.
const TURN_BYTES: u64 = 16 * 1024;
/// How every HTTP/2 connection begins.
const PREFACE_START: &[u8; 4] = b"PRI ";

/// A stream that notes what it does, and reads no more than there is memory for.
///
/// The HTTP library buffers on its own account: a head until it is whole, and what an HTTP/2 peer sends ahead of our
/// reading, up to the window. Both are granted here before the bytes are taken from the socket. What HTTP/1 peers send
/// behind a head is a body, which is read as its request asks for it.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    buffers: Arc<Semaphore>,
    granted: Option<OwnedSemaphorePermit>,
    asking: Option<BoxFuture<OwnedSemaphorePermit>>,
    is_http2: bool,
    /// Bytes since the last head was whole, and how many requests there had been.
    head_bytes: u64,
    requests: u64,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, buffers: Arc<Semaphore>) -> Self {
        Watched {
            stream,
            activity,
            buffers,
            granted: None,
            asking: None,
            is_http2: false,
            head_bytes: 0,
            requests: 0,
        }
    }

    /// Ready when the next bytes may be read.
    fn poll_grant(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let requests = self.activity.requests.load(Ordering::Relaxed);
        if requests != self.requests {
            (self.requests, self.head_bytes) = (requests, 0);
        }
        let answering = self.activity.answering.load(Ordering::Relaxed) > 0;
        let is_ahead = answering && self.is_http2;
        let is_long = !answering && self.head_bytes >= HEAD_BYTES;
        if !is_ahead && !is_long {
            (self.granted, self.asking) = (None, None);
        } else if self.granted.is_none() {
            let buffers = &self.buffers;
            let asking = self.asking.get_or_insert_with(|| {
                let buffers = Arc::clone(buffers);
                Box::pin(async move {
                    let granted = buffers.acquire_many_owned(BUFFER_BYTES as u32).await;
                    granted.expect("the buffers are never closed")
                })
            });
            let granted = ready!(asking.as_mut().poll(cx));
            (self.granted, self.asking) = (Some(granted), None);
        }
        Poll::Ready(())
    }

    fn note_write<T>(&self, poll: Poll<T>) -> Poll<T> {
        let blocked = &self.activity.write_blocked_ms;
        if poll.is_pending() {
            _ = blocked.compare_exchange(0, self.activity.now_ms(), Ordering::Relaxed, Ordering::Relaxed)
        } else {
            blocked.store(0, Ordering::Relaxed)
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_grant(cx));
        if self.is_http2 && self.activity.turn_bytes.load(Ordering::Relaxed) >= TURN_BYTES {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = out.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, out);
        let count = out.filled().len() - before;
        let total = self.activity.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        self.activity.turn_bytes.fetch_add(count as u64, Ordering::Relaxed);
        self.head_bytes += count as u64;
        if total == 0 && out.filled()[before..].starts_with(PREFACE_START) {
            self.is_http2 = true;
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_write(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.note_write(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.note_write(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has sent for ever: this, again and again.
    struct Endless(&'static [u8]);

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            out: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let count = out.remaining().min(self.0.len());
            out.put_slice(&self.0[..count]);
            Poll::Ready(Ok(()))
        }
    }

    /// Bytes that are read before the connection lets go, of so many that it asks for.
    fn read_in_a_turn(stream: &mut Watched<Endless>, bytes_max: usize) -> usize {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut buffer = [0; 1024];
        let mut count = 0;
        while count < bytes_max {
            let mut out = ReadBuf::new(&mut buffer);
            match Pin::new(&mut *stream).poll_read(&mut cx, &mut out) {
                Poll::Ready(read) => read.expect("it reads"),
                Poll::Pending => break,
            }
            count += out.filled().len();
        }
        count
    }

    /// Sixteen connections that sent SETTINGS without end kept others waiting for seconds.
    #[test]
    fn an_http2_peer_that_sends_without_end_is_read_in_turns() {
        let (activity, buffers) = (Activity::new(), Arc::new(Semaphore::new(BUFFER_BYTES)));
        let sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let mut stream = Watched::new(Endless(sent), Arc::clone(&activity), buffers);
        for _ in 0..3 {
            let count = read_in_a_turn(&mut stream, 1 << 20) as u64;
            assert!((TURN_BYTES..TURN_BYTES + 1024).contains(&count), "{count} bytes");
            assert_eq!(read_in_a_turn(&mut stream, 1 << 20), 0, "it is the turn of others");
            activity.begin_turn();
        }
    }
}
