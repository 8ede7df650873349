//! One connection: frames in, decisions in arrival order, replies in the same order.
//!
//! ```text
//!   socket ─► inbox ─► frame ─► Produce? ── yes ─► decide now, answer when durable ─┐
//!                                  └─ no ─► answer all before it, run to its end ───┤
//!   socket ◄────────────── one write per wake ◄─────────────────────────────────────┘
//! ```
//!
//! Promises:
//! - Requests are decided in the order they came, replies leave in that order (as Kafka's own one-request-per-connection).
//! - Produce requests pipeline: everything that has been received is decided before the first append is awaited, so that
//!   many requests share one frame of the log.
//! - A request passes the byte budget before it is decoded; while it waits there, the connection holds no decided request
//!   unanswered. A frame that is not here yet gets its memory only when the budget has room for all of it.
//! - Whatever is malformed closes the connection, as on Kafka: there is no frame boundary to trust any more.
//! - A request or reply that makes no progress and a connection that is idle are closed; while memory is short also one
//!   whose request or reply moves too slowly for what it holds.
//! - Without a whole request it may be asked to give its place to another, and ends.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kolk_broker::admission::{Beside, REQUEST_BYTES};
use kolk_broker::{Class, Permit};
use kolk_engine::EngineError;
use kolk_engine::door::{Accepted, Stream};
use kolk_engine::metrics::RequestCost;
use kolk_engine::places::Place;
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::codec::{DecodeError, EncodeError, Message};
use kolk_wire_kafka::frame::{self, FrameError, RequestHeader};
use kolk_wire_kafka::messages::produce::ProduceRequest;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, Sleep};

use crate::activity::Activity;
use crate::answer::Outbox;
use crate::apis::{self, Service};
use crate::handlers::{self, produce};
use crate::reply::{self, Pace, SendError};
use crate::server::{Advertise, Shared};

/// Room that an idle connection keeps for its next request.
const INBOX_BYTES_MIN: usize = 4 * 1024;
/// Room that a busy connection reads into at a time.
const INBOX_BYTES_MAX: usize = 64 * 1024;
/// Decided and not answered requests of one connection; more wait in the socket.
const PIPELINE_REQUESTS_MAX: usize = 512;
/// Bytes of such requests.
const PIPELINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Collected replies are written at the latest when there are so many bytes of them.
const OUTBOX_BYTES_MAX: usize = 64 * 1024;
/// Memory that is kept to write answers in.
const SCRATCH_KEPT_BYTES: usize = 16 * 1024;
/// How often progress is looked at, at least. Timeouts are kept to this much.
const TICK_MAX: Duration = Duration::from_secs(5);
/// What a request in progress gets when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Who is at the other end, for handlers.
#[derive(Debug)]
pub(crate) struct Client {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The address that the peer came in by.
    pub local: SocketAddr,
    /// The advertised name of the listener, if it has one.
    pub advertise: Option<Arc<Advertise>>,
}

/// Why a connection ends before the client closes it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Close {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("malformed request: {0}")]
    Decode(#[from] DecodeError),
    #[error("a reply could not be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("API {key} version {version} is not served")]
    NotServed { key: i16, version: i16 },
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("an acks=0 request failed")]
    FailedWithoutAck,
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("reading failed: {0}")]
    Read(std::io::Error),
    #[error("no byte of the request came for too long")]
    Stalled,
    #[error("memory is short, and the request comes too slowly")]
    TooSlow,
    #[error("the client hung up while it waited for its answer")]
    HungUp,
    #[error("idle")]
    Idle,
    #[error("all places are taken, and it was without a request for longest")]
    GaveWay,
    #[error("the server stops")]
    Stopping,
}

impl Close {
    /// In a word, for the counter of connections that ended.
    fn reason(&self) -> &'static str {
        match self {
            Close::Frame(_) | Close::Decode(_) | Close::BadRequest(_) => "malformed request",
            Close::NotServed { .. } => "not served",
            Close::FailedWithoutAck => "acks=0 failed",
            Close::Encode(_) | Close::Engine(_) | Close::Send(SendError::Engine(_)) => "server failed",
            Close::Send(SendError::Stalled(_) | SendError::TooSlow(..)) | Close::Stalled | Close::TooSlow => {
                "stalled"
            }
            Close::Send(SendError::Io(_)) | Close::Read(_) => "broken off",
            Close::HungUp => "client left",
            Close::Idle => "idle",
            Close::GaveWay => "gave way",
            Close::Stopping => "stopping",
        }
    }
}

/// Serves one connection to its end, then gives its place back.
pub(crate) async fn run(
    shared: Arc<Shared>,
    accepted: Accepted,
    advertise: Option<Arc<Advertise>>,
    mut place: Place<Activity>,
) {
    // Polled once, here: its waker stays that of this task, which looks at `is_stopping` whenever it wakes.
    let mut stopped = pin!(shared.stopped());
    let waker = poll_fn(|cx| {
        let _ = stopped.as_mut().poll(cx);
        Poll::Ready(cx.waker().clone())
    })
    .await;
    let now = Instant::now();
    let activity = Activity::new(now, waker);
    place.held_by(&activity);
    let Accepted { stream, peer, local } = accepted;
    let shortest_ms = shared.settings.stall_ms.min(shared.settings.idle_ms);
    let tick = Duration::from_millis(shortest_ms / 2).clamp(Duration::from_millis(10), TICK_MAX);
    let mut connection = Connection {
        client: Client { peer, local, advertise },
        stream,
        topics: produce::TopicCache::default(),
        inbox: BytesMut::new(),
        read_bytes: INBOX_BYTES_MIN,
        inbox_permit: None,
        large: None,
        waiting: VecDeque::new(),
        waiting_bytes: 0,
        outbox: Outbox::default(),
        scratch: Vec::new(),
        timer: Box::pin(tokio::time::sleep(tick)),
        tick,
        still_for: Duration::ZERO,
        now,
        answered: now,
        activity,
        shared: Arc::clone(&shared),
    };
    shared.metrics.opened();
    let end = connection.serve().await;
    shared.metrics.closed(end.as_ref().map_or_else(Close::reason, |()| "client left"));
    match end {
        Ok(())
        | Err(
            Close::Idle
            | Close::GaveWay
            | Close::HungUp
            | Close::Stopping
            | Close::Read(_)
            | Close::Send(SendError::Io(_)),
        ) => {
            tracing::trace!(%peer, ?end, "Kafka connection ended");
        }
        Err(reason) => tracing::debug!(%peer, %reason, "Kafka connection closed"),
    }
}

struct Connection {
    shared: Arc<Shared>,
    client: Client,
    stream: Box<dyn Stream>,
    topics: produce::TopicCache,
    inbox: BytesMut,
    /// Room for the next read: more once a read has filled it, little again when idle.
    read_bytes: usize,
    /// Holds what the inbox has above its least size.
    inbox_permit: Option<Permit>,
    /// The frame being received, if it is too long for the inbox.
    large: Option<Large>,
    /// Produce requests that were decided and not answered, oldest first.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Replies not written yet.
    outbox: Outbox,
    /// Memory that one answer is written in.
    scratch: Vec<u8>,
    timer: Pin<Box<Sleep>>,
    tick: Duration,
    /// How long nothing has come, in ticks.
    still_for: Duration,
    /// When the latest event was: the clock is read once for all requests that came with it, and for all answers that
    /// became ready with it.
    now: Instant,
    /// When the last request was answered; before there was one, when the connection was accepted.
    answered: Instant,
    /// What of this others see.
    activity: Arc<Activity>,
}

struct Large {
    size: usize,
    buffer: BytesMut,
    permit: Permit,
    begun: Instant,
}

/// A Produce request that was decided.
struct Waiting {
    decided: produce::Decided,
    /// When it was here.
    taken: Instant,
    /// Bytes of its frame.
    frame_bytes: usize,
}

enum Event {
    Read(usize),
    Answered,
    Tick,
}

impl Connection {
    async fn serve(&mut self) -> Result<(), Close> {
        loop {
            self.take_requests().await?;
            if self.shared.is_stopping() {
                self.answer_all().await?;
                self.flush().await?;
                return Err(Close::Stopping);
            }
            // Answers given on the way (the pipeline was full) must not stay behind while this sleeps.
            self.flush().await?;
            if self.is_to_give_way() {
                // Bytes of a request that does not get whole would put it off for ever.
                return Err(Close::GaveWay);
            }
            match self.next_event().await? {
                Event::Read(0) => {
                    // The peer will send no more; it may still want its answers.
                    self.answer_all().await?;
                    return self.flush().await;
                }
                Event::Read(count) => {
                    self.still_for = Duration::ZERO;
                    if count >= self.read_bytes {
                        self.widen();
                    }
                }
                Event::Answered => self.answer_ready()?,
                Event::Tick => self.tick()?,
            }
        }
    }

    /// Waits for bytes or for the oldest answer. Bytes first: what has arrived is decided before anything is awaited.
    async fn next_event(&mut self) -> Result<Event, Close> {
        if self.large.is_none() && self.inbox.capacity() - self.inbox.len() < self.read_bytes / 2 {
            self.inbox.reserve(self.read_bytes);
        }
        let may_read = self.waiting.len() < PIPELINE_REQUESTS_MAX && self.waiting_bytes < PIPELINE_BYTES_MAX;
        poll_fn(|cx| {
            if may_read && let Poll::Ready(read) = self.poll_read(cx) {
                self.now = Instant::now();
                return Poll::Ready(read.map(Event::Read).map_err(Close::Read));
            }
            if let Some(oldest) = self.waiting.front_mut()
                && let Poll::Ready(answer) = oldest.decided.poll(cx)
            {
                self.now = Instant::now();
                let done = self.pop_waiting();
                return Poll::Ready(answer.and_then(|answer| {
                    self.put(done, answer)?;
                    Ok(Event::Answered)
                }));
            }
            if self.shared.is_stopping() || self.timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(Event::Tick));
            }
            if self.is_to_give_way() { Poll::Ready(Err(Close::GaveWay)) } else { Poll::Pending }
        })
        .await
    }

    /// Whether another was given this one's place, which may be asked for while nothing is under way.
    fn is_to_give_way(&self) -> bool {
        self.waiting.is_empty() && self.activity.quiet(self.answered)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let (buffer, limit) = match &mut self.large {
            Some(large) => {
                let missing = large.size - large.buffer.len();
                (&mut large.buffer, missing)
            }
            None => (&mut self.inbox, self.read_bytes),
        };
        poll_read_into(&mut *self.stream, cx, buffer, limit)
    }

    fn tick(&mut self) -> Result<(), Close> {
        if self.shared.is_stopping() {
            return Ok(());
        }
        self.timer.as_mut().reset(Instant::now() + self.tick);
        self.still_for += self.tick;
        let still_ms = self.still_for.as_millis() as u64;
        if let Some(large) = &self.large {
            let patience = Duration::from_millis(self.shared.settings.stall_ms);
            let slowest = self.shared.broker.admission().slowest(large.size);
            if large.begun.elapsed() > patience.saturating_add(slowest) {
                return Err(Close::TooSlow);
            }
        }
        if self.large.is_some() || !self.inbox.is_empty() {
            if still_ms >= self.shared.settings.stall_ms && self.waiting.is_empty() {
                return Err(Close::Stalled);
            }
        } else if self.waiting.is_empty() {
            if still_ms >= self.shared.settings.idle_ms {
                return Err(Close::Idle);
            }
            // An idle connection holds no more than it needs to notice the next request.
            self.read_bytes = INBOX_BYTES_MIN;
            self.inbox_permit = None;
            if self.inbox.capacity() > INBOX_BYTES_MIN {
                self.inbox = BytesMut::new();
            }
            self.outbox = Outbox::default();
            self.scratch = Vec::new();
        }
        Ok(())
    }

    /// Decides every request that is here whole.
    async fn take_requests(&mut self) -> Result<(), Close> {
        while !self.shared.is_stopping() {
            if self.large.as_ref().is_some_and(|large| large.buffer.len() == large.size) {
                let Large { buffer, permit, .. } = self.large.take().expect("it was there");
                self.request(buffer.freeze(), Some(permit)).await?;
                continue;
            }
            if self.large.is_some() {
                return Ok(());
            }
            let size_max = self.shared.broker.settings().request_bytes_max;
            if let Some(frame) = frame::split(&mut self.inbox, size_max)? {
                self.request(frame, None).await?;
            } else {
                match frame::announced_size(&self.inbox, size_max)? {
                    Some(size) if 4 + size > self.read_bytes => {
                        // A frame of the usual size is received where the connection reads anyway: it does not queue
                        // with large ones that come slowly.
                        if 4 + size > INBOX_BYTES_MAX || !self.widen() {
                            self.begin_large(size).await?;
                        }
                    }
                    _ => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Gets room to read more at a time, if there is some; whether there is more now than there was.
    fn widen(&mut self) -> bool {
        if self.inbox_permit.is_some() {
            return false;
        }
        self.inbox_permit = self.shared.broker.admission().try_buffer(INBOX_BYTES_MAX);
        if self.inbox_permit.is_some() {
            self.read_bytes = INBOX_BYTES_MAX;
        }
        self.inbox_permit.is_some()
    }

    /// Gets room for a frame of which only the beginning is here.
    async fn begin_large(&mut self, size: usize) -> Result<(), Close> {
        // The API is behind the size; control requests (heartbeats) may use the reserve.
        let class = match self.inbox.get(4..6) {
            Some(&[high, low]) => apis::class(i16::from_be_bytes([high, low])),
            _ => Class::Data,
        };
        let shared = Arc::clone(&self.shared);
        let bytes = size + REQUEST_BYTES;
        let permit = match shared.broker.admission().try_receive(bytes, class) {
            Some(permit) => permit,
            None => {
                self.answer_all().await?;
                self.flush().await?;
                let admitted = shared.broker.admission().receive(bytes, class);
                let mut admitted = pin!(unless_stopped_for(&shared, Duration::ZERO, admitted));
                // What is not here whole is no request yet.
                let (activity, answered) = (&self.activity, self.answered);
                poll_fn(|cx| match admitted.as_mut().poll(cx) {
                    Poll::Pending if activity.quiet(answered) => Poll::Ready(Err(Close::GaveWay)),
                    admitted => admitted,
                })
                .await?
            }
        };
        let mut buffer = self.shared.buffers.take(size);
        let _size_field = self.inbox.split_to(4);
        buffer.extend_from_slice(&self.inbox);
        self.inbox.clear();
        self.large = Some(Large { size, buffer, permit, begun: Instant::now() });
        Ok(())
    }

    async fn request(&mut self, frame: Bytes, permit: Option<Permit>) -> Result<(), Close> {
        let frame_bytes = frame.len();
        let admitted_bytes = frame_bytes + REQUEST_BYTES;
        let whole = (permit.is_some()).then(|| frame.clone());
        self.activity.busy();
        if frame.len() < 8 {
            return Err(Close::BadRequest("a frame too short for a header"));
        }
        let class = apis::class(i16::from_be_bytes([frame[0], frame[1]]));
        let permit = match permit.or_else(|| self.shared.broker.admission().try_admit(admitted_bytes, class))
        {
            Some(permit) => permit,
            None => {
                self.answer_all().await?;
                self.flush().await?;
                let shared = Arc::clone(&self.shared);
                let admitted = shared.broker.admission().admit(admitted_bytes, class, Beside::Nothing);
                unless_stopped_for(&shared, Duration::ZERO, admitted).await?
            }
        };
        let (mut header, body) = RequestHeader::decode(frame)?;
        match apis::service(&header)? {
            Service::Produce => {
                self.shared.metrics.taken(apis::PRODUCE);
                let mut permit = permit;
                let request = self.decode_produce(body.clone(), header.api_version, &mut permit).await?;
                let request_bytes = permit.bytes();
                let held = produce::Held { permit, buffer: whole, request_bytes, waited_bytes: 0 };
                let decided = match produce::decide(&self.shared, &mut self.topics, &header, request, held)? {
                    Ok(decided) => decided,
                    Err(held) => self.decide_later(held, &header, body.clone()).await?,
                };
                drop(body);
                self.waiting_bytes += decided.bytes();
                let is_small = decided.permit().is_small(self.shared.broker.admission());
                self.waiting.push_back(Waiting { decided, taken: self.now, frame_bytes });
                if is_small {
                    // It has its place on the condition that nothing comes beside it.
                    self.answer_all().await?;
                    self.flush().await?;
                } else if self.waiting.len() >= PIPELINE_REQUESTS_MAX
                    || self.waiting_bytes >= PIPELINE_BYTES_MAX
                {
                    self.answer_oldest().await?;
                }
            }
            Service::Other(api) => {
                drop(whole);
                self.answer_all().await?;
                self.flush().await?;
                let shared = Arc::clone(&self.shared);
                let place = apis::place(api).expect("what is handled is in the table");
                shared.metrics.taken(place);
                let taken = Instant::now();
                let takes_long = apis::takes_long(api);
                if takes_long {
                    // Or the frame would stay as long as the request.
                    header.client_id = header.client_id.map(|id| id.detached());
                }
                let handled = handlers::handle(&shared, &self.client, api, &header, body, permit);
                let handled = unless_stopped_for(&shared, STOP_GRACE, handled);
                let reply = if takes_long {
                    // Whoever hangs up meanwhile frees what it holds.
                    let hung_up = hang_up(&mut *self.stream, &mut self.inbox);
                    tokio::select! {
                        biased;
                        reply = handled => reply??,
                        closed = hung_up => return Err(closed),
                    }
                } else {
                    handled.await??
                };
                self.answered = Instant::now();
                let time = self.answered.saturating_duration_since(taken);
                let cost = RequestCost { time, request_bytes: 4 + frame_bytes, reply_bytes: reply.len() };
                shared.metrics.answered(place, cost);
                self.count_errors(place, reply.errors());
                if let Some(reply) = reply.collect(&mut self.outbox) {
                    let pace = pace(&shared);
                    reply::send_after(&mut *self.stream, &mut self.outbox, reply, pace).await?;
                }
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Decodes a Produce request. Where that takes more memory than there is, what was decided before is answered first.
    async fn decode_produce(
        &mut self,
        body: Bytes,
        version: i16,
        permit: &mut Permit,
    ) -> Result<ProduceRequest, Close> {
        let shared = Arc::clone(&self.shared);
        let broker = &shared.broker;
        let charge = |request: &_, list_bytes| produce::charge(broker.admission(), request, list_bytes);
        if let Ok(request) = handlers::try_decode(broker, &body, version, permit, charge)? {
            return Ok(request);
        }
        self.answer_all().await?;
        self.flush().await?;
        let decoding = handlers::decode(broker, body, version, permit, charge);
        unless_stopped_for(&shared, Duration::ZERO, decoding).await?
    }

    /// Decides a Produce request that found no room. What was decided before is answered first.
    async fn decide_later(
        &mut self,
        mut held: produce::Held,
        header: &RequestHeader,
        body: Bytes,
    ) -> Result<produce::Decided, Close> {
        self.answer_all().await?;
        self.flush().await?;
        let shared = Arc::clone(&self.shared);
        let bytes = held.request_bytes + held.waited_bytes;
        let grown = held.permit.grow(shared.broker.admission(), bytes, Beside::Nothing);
        unless_stopped_for(&shared, Duration::ZERO, grown).await?;
        let request = ProduceRequest::decode(body, header.api_version)?;
        let decided = produce::decide(&shared, &mut self.topics, header, request, held)?;
        Ok(decided.unwrap_or_else(|_| unreachable!("who has waited is decided")))
    }

    fn pop_waiting(&mut self) -> Waiting {
        let done = self.waiting.pop_front().expect("the oldest request was just answered");
        self.waiting_bytes -= done.decided.bytes();
        done
    }

    fn count_errors(&self, place: usize, errors: &[(i16, u32)]) {
        for (code, count) in errors {
            let name = ErrorCode::from_code(*code).map_or("UNKNOWN", ErrorCode::name);
            self.shared.metrics.error(place, name, u64::from(*count));
        }
    }

    async fn answer_oldest(&mut self) -> Result<(), Close> {
        let Some(oldest) = self.waiting.front_mut() else { return Ok(()) };
        let answer = poll_fn(|cx| oldest.decided.poll(cx)).await?;
        self.now = Instant::now();
        let done = self.pop_waiting();
        self.put(done, answer)?;
        if self.outbox.len() >= OUTBOX_BYTES_MAX {
            self.flush().await?;
        }
        Ok(())
    }

    /// Answers everything that was decided, in order.
    async fn answer_all(&mut self) -> Result<(), Close> {
        while !self.waiting.is_empty() {
            self.answer_oldest().await?;
        }
        Ok(())
    }

    /// Answers what can be answered without waiting.
    fn answer_ready(&mut self) -> Result<(), Close> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Some(oldest) = self.waiting.front_mut() {
            // The waker is not kept: the next event polls the oldest again with the task's own.
            let Poll::Ready(answer) = oldest.decided.poll(&mut cx) else { break };
            let done = self.pop_waiting();
            self.put(done, answer?)?;
        }
        Ok(())
    }

    /// Collects an answer.
    fn put(&mut self, done: Waiting, answer: produce::Answer) -> Result<(), Close> {
        let mut reply_bytes = 0;
        if let produce::Answer::Reply = answer {
            let errors = done.decided.write(&mut self.scratch)?;
            reply_bytes = self.scratch.len();
            self.count_errors(apis::PRODUCE, &errors);
        }
        let cost = RequestCost {
            time: self.now.saturating_duration_since(done.taken),
            request_bytes: 4 + done.frame_bytes,
            reply_bytes,
        };
        self.shared.metrics.answered(apis::PRODUCE, cost);
        self.answered = self.now;
        let (buffer, permit) = done.decided.into_parts();
        if let Some(buffer) = buffer {
            self.shared.buffers.give_back(buffer);
        }
        if reply_bytes > 0 {
            self.outbox.put([&self.scratch[..]], permit);
            if reply_bytes > SCRATCH_KEPT_BYTES {
                self.scratch = Vec::new();
            }
            self.outbox.settle();
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Close> {
        if !self.outbox.is_empty() {
            reply::flush(&mut *self.stream, &mut self.outbox, pace(&self.shared)).await?;
        }
        Ok(())
    }
}

/// How slowly clients may take what they are sent.
fn pace(shared: &Shared) -> Pace<'_> {
    Pace { stall: Duration::from_millis(shared.settings.stall_ms), admission: shared.broker.admission() }
}

/// Resolves when the peer closes its side. Requests that come meanwhile are kept, some of them.
async fn hang_up(stream: &mut dyn Stream, inbox: &mut BytesMut) -> Close {
    let limit = inbox.len() + INBOX_BYTES_MIN;
    while inbox.len() < limit {
        let room = limit - inbox.len();
        match poll_fn(|cx| poll_read_into(stream, cx, inbox, room)).await {
            Ok(0) => return Close::HungUp,
            Ok(_) => {}
            Err(error) => return Close::Read(error),
        }
    }
    std::future::pending().await
}

async fn unless_stopped_for<T>(
    shared: &Shared,
    grace: Duration,
    future: impl Future<Output = T>,
) -> Result<T, Close> {
    let mut future = pin!(future);
    tokio::select! {
        biased;
        value = &mut future => Ok(value),
        () = shared.until_stopped() => {
            tokio::time::timeout(grace, future).await.map_err(|_| Close::Stopping)
        }
    }
}

/// Reads up to `limit` bytes behind what `buffer` holds.
fn poll_read_into(
    stream: &mut dyn Stream,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
    limit: usize,
) -> Poll<std::io::Result<usize>> {
    let mut room = buffer.limit(limit);
    // The future holds no state between polls: polled once, a read that is not ready has taken nothing.
    pin!(stream.read_buf(&mut room)).poll(cx)
}

/// Buffers for large frames that were read before: fresh memory costs a page fault per 4 KiB.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<BytesMut>>);

impl Buffers {
    const COUNT_MAX: usize = 16;
    const BYTES_MAX: usize = 1 << 20;

    fn take(&self, size: usize) -> BytesMut {
        let mut pool = self.0.lock().expect("nobody panics while holding the pool");
        // The one used last is still in the processor's caches.
        match pool.iter().rposition(|buffer| buffer.capacity() >= size) {
            Some(index) => pool.remove(index),
            None => BytesMut::with_capacity(size.next_power_of_two()),
        }
    }

    fn give_back(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut pool = self.0.lock().expect("nobody panics while holding the pool");
        if pool.len() < Self::COUNT_MAX && buffer.capacity() <= Self::BYTES_MAX {
            pool.push(buffer);
        }
    }
}
