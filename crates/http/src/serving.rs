//! Connections: accepts them up to a cap, serves each in a task of its own, stops them cleanly.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use kolk_engine::door::{Accepted, Door, Listener, TaskHandle};
use kolk_engine::metrics::Face;
use kolk_engine::places::{Holder, Places};
use tokio::sync::{Notify, Semaphore};

use crate::activity::{Activity, AnswerGuard, Watched};

/// Who answers requests. A cheap handle: each connection has one.
pub trait Service: Clone + Send + Sync + 'static {
    /// What answers consist of.
    type Body: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static;

    /// Answers one request. It is dropped half-way when the connection ends.
    fn answer(
        &self,
        request: Request<Incoming>,
        from: Sender,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The address that the peer came in by.
    pub local: SocketAddr,
    /// A body of which nothing comes for so long is given up (see [`read_body`](crate::read_body)).
    pub stall: Duration,
    /// One permit for all requests of its connection: for what only one of them may have at a time.
    pub turn: Arc<Semaphore>,
}

/// What connections may do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections over all listeners. For one more, the one that has been without a request for longest gives way; while
    /// all of them have requests, more wait in the system's backlog.
    pub connections_max: usize,
    /// A connection that sends no (further) request for so long is closed; clients' pools give up after 60 s.
    pub idle: Duration,
    /// A request or answer of which nothing moves for so long costs its connection.
    pub stall: Duration,
    /// How long answers in flight may take after a stop.
    pub grace: Duration,
    /// What all connections together may be sent before anybody has asked for it, a permit a byte: long heads, and what
    /// HTTP/2 peers send ahead while their requests are answered. Beyond it, connections wait with reading. At least 256 KiB.
    pub buffers: Arc<Semaphore>,
    /// How long a peer may take for what holds memory, beside `stall`.
    pub slowest: Slowest,
}

/// The time in which a peer is to take so many bytes: while memory is short, as much as its owner says.
#[derive(Clone)]
pub struct Slowest(Arc<dyn Fn(usize) -> Duration + Send + Sync>);

impl Slowest {
    /// As the function says.
    pub fn new(time_for: impl Fn(usize) -> Duration + Send + Sync + 'static) -> Self {
        Slowest(Arc::new(time_for))
    }

    pub(crate) fn time_for(&self, bytes: usize) -> Duration {
        (self.0)(bytes)
    }
}

impl Default for Slowest {
    /// Any time.
    fn default() -> Self {
        Slowest::new(|_| Duration::MAX)
    }
}

impl std::fmt::Debug for Slowest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Slowest").finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            connections_max: 10_000,
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            buffers: Arc::new(Semaphore::new(32 * 1024 * 1024)),
            slowest: Slowest::default(),
        }
    }
}

/// Header bytes of a request at most; signed AWS requests have well under 4 KiB.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Requests that one HTTP/2 connection may have in flight; clients keep more to themselves until there is room.
const STREAMS_MAX: u32 = 16;
/// What a request takes while it is answered, beside its bytes and its answer's.
const REQUEST_BYTES: usize = 6 * 1024;
/// What an HTTP/2 peer may send ahead of our reading, per request and per connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024;
/// Answer bytes that wait in HTTP/2's own buffers, per request.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// What a connection takes of [`Settings::buffers`] when it may be sent more than a short head: a long one, or an
/// HTTP/2 connection's window, its heads and its requests.
pub(crate) const BUFFER_BYTES: usize =
    CONNECTION_WINDOW_BYTES as usize + HEADER_BYTES_MAX + STREAMS_MAX as usize * REQUEST_BYTES;
/// What the HTTP library is given of an answer at a time: a peer has taken one piece when the next is asked for.
const PIECE_BYTES_MAX: usize = 256 * 1024;
/// Resets that an HTTP/2 peer may cause before it is cut off (CVE-2023-44487, and its like by bad frames).
const PENDING_RESETS_MAX: usize = 20;
const LOCAL_RESETS_MAX: usize = 256;

/// Listeners and connections at work. Dropping it does not stop them; [`Serving::stop`] does.
#[derive(Debug)]
pub struct Serving {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    accepting: Vec<TaskHandle>,
}

#[derive(Debug)]
struct Shared {
    door: Door,
    settings: Settings,
    metrics: Arc<Face>,
    places: Arc<Places<Activity>>,
    stop: Stop,
}

impl Serving {
    /// Answers by `service` what comes in by `listeners`; `metrics` counts the connections.
    pub fn start(
        door: &Door,
        service: impl Service,
        listeners: Vec<Box<dyn Listener>>,
        settings: Settings,
        metrics: Arc<Face>,
    ) -> Serving {
        let addresses = listeners.iter().map(|listener| listener.local_address()).collect();
        let places = Places::new(settings.connections_max);
        debug_assert!(settings.buffers.available_permits() >= BUFFER_BYTES, "nobody can be sent a long head");
        let shared =
            Arc::new(Shared { door: door.clone(), settings, metrics, places, stop: Stop::default() });
        let accepting = listeners
            .into_iter()
            .map(|listener| {
                let task = accept(listener, service.clone(), Arc::clone(&shared));
                door.tasks.spawn("http-accept", Box::pin(task))
            })
            .collect();
        Serving { shared, addresses, accepting }
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Face> {
        &self.shared.metrics
    }

    /// Closes the listeners, takes no more requests, lets answers in flight end (for [`Settings::grace`] at most),
    /// closes the connections.
    pub async fn stop(self) {
        self.shared.stop.tell();
        for task in self.accepting {
            // It ends by itself at the stop; an error means that it is gone already.
            let _ = task.0.await;
        }
        self.shared.places.all_free().await;
    }
}

async fn accept(listener: Box<dyn Listener>, service: impl Service, shared: Arc<Shared>) {
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.told() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                failing = false;
                let mut place = tokio::select! {
                    biased;
                    () = shared.stop.told() => return,
                    place = shared.places.take() => place,
                };
                let (shared, service) = (Arc::clone(&shared), service.clone());
                let tasks = Arc::clone(&shared.door.tasks);
                tasks.spawn(
                    "http-connection",
                    Box::pin(async move {
                        let activity = Activity::new();
                        place.held_by(&activity);
                        shared.metrics.opened();
                        let reason = serve_connection(accepted, service, &shared, &activity).await;
                        shared.metrics.closed(reason);
                        drop(place);
                    }),
                );
            }
            Err(error) => {
                // Out of file handles, most likely: connections that end give some back.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "accepting a connection failed; it is tried again");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Whether to stop. (A `watch` channel would do, but wakes its receivers in random order.)
#[derive(Debug, Default)]
struct Stop {
    is_told: AtomicBool,
    tell: Notify,
}

impl Stop {
    fn tell(&self) {
        self.is_told.store(true, Ordering::Release);
        self.tell.notify_waiters();
    }

    /// Resolves at the stop, also if it has come already.
    async fn told(&self) {
        let mut told = pin!(self.tell.notified());
        told.as_mut().enable();
        if !self.is_told.load(Ordering::Acquire) {
            told.await;
        }
    }
}

/// Serves one connection to its end, in whichever HTTP its first bytes choose; says in a word why it ended.
async fn serve_connection(
    accepted: Accepted,
    service: impl Service,
    shared: &Shared,
    activity: &Arc<Activity>,
) -> &'static str {
    let Shared { door, settings, stop, .. } = shared;
    let turn = Arc::new(Semaphore::new(1));
    let from = Sender { peer: accepted.peer, local: accepted.local, stall: settings.stall, turn };
    let buffers = Arc::clone(&settings.buffers);
    let stream = TokioIo::new(Watched::new(accepted.stream, Arc::clone(activity), buffers));
    let mut builder = auto::Builder::new(DoorExecutor(door.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.idle)
        .max_buf_size(HEADER_BYTES_MAX)
        .auto_date_header(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .keep_alive_interval(settings.idle)
        .keep_alive_timeout(settings.stall)
        .auto_date_header(false);
    let requests = service_fn(|request| {
        let (service, activity, from) = (service.clone(), Arc::clone(activity), from.clone());
        let answering = activity.request();
        async move {
            let _answering = answering;
            let response = service.answer(request, from).await;
            let guard = activity.answer();
            Ok::<_, Infallible>(response.map(|body| AnswerBody { body, rest: Bytes::new(), guard }))
        }
    });
    let mut connection = pin!(builder.serve_connection(stream, requests));
    let mut look = tokio::time::interval(settings.stall / 4);
    loop {
        let turn = poll_fn(|cx| {
            activity.begin_turn();
            connection.as_mut().poll(cx)
        });
        tokio::select! {
            biased;
            ended = turn => {
                let Err(error) = ended else { return "client left" };
                tracing::debug!(error = &*error, "a connection ended early");
                let is_timeout = error.downcast_ref().is_some_and(hyper::Error::is_timeout);
                return if is_timeout { "idle" } else { "broken off" };
            }
            _ = look.tick() => {
                if let Some(reason) = activity.stalled(settings.stall, &settings.slowest) {
                    tracing::debug!(reason, "a connection is closed");
                    return "stalled";
                }
            }
            () = activity.asked_to_give_way() => {
                // What has come in meanwhile was looked at first.
                if activity.quiet_since().is_some() {
                    return "gave way";
                }
            }
            () = stop.told() => {
                connection.as_mut().graceful_shutdown();
                if tokio::time::timeout(settings.grace, connection.as_mut()).await.is_err() {
                    tracing::debug!("a connection was closed with an answer in flight");
                }
                return "stopping";
            }
        }
    }
}

/// Runs HTTP/2's requests through the door.
#[derive(Clone, Debug)]
struct DoorExecutor(Door);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for DoorExecutor {
    fn execute(&self, future: F) {
        self.0.tasks.spawn("http-request", Box::pin(async move { drop(future.await) }));
    }
}

/// The body of an answer, which notes that it moves.
#[derive(Debug)]
pub struct AnswerBody<B> {
    body: B,
    /// What was taken of the body and not handed over yet.
    rest: Bytes,
    guard: AnswerGuard,
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        this.guard.progress();
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => this.rest = bytes,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Pending => {
                    this.guard.nothing_yet();
                    return Poll::Pending;
                }
                end => return end,
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(this.guard.hand_over(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
