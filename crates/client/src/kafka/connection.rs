//! One connection to a broker: requests are pipelined, answers come in order.
//!
//! ```text
//!  submit ──► queue (bounded) ──► writer task ──► socket ──► reader task ──► the reply of the oldest request
//! ```
//! When either task ends, every request without an answer gets [`Error::Closed`]. A request that is not answered in time
//! ends the connection, as in Kafka's own clients: it may be half open, and the next request goes out on another one.

use std::collections::VecDeque;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_engine::door::{Door, Stream};
use kolk_wire_kafka::codec::{Message, Request, Segment};
use kolk_wire_kafka::frame::{self, Frame, RequestHeader};
use kolk_wire_kafka::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use kolk_wire_kafka::{ApiKey, ErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{Address, Error};

/// Requests of one connection that may wait for their answers; more wait in [`Connection::submit`].
const IN_FLIGHT_MAX: usize = 512;

/// Pieces of requests up to this many bytes are copied together.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// An answer larger than this is not taken.
const RESPONSE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A connection. A cheap handle; the connection closes when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Out>,
    in_flight: Arc<Semaphore>,
    correlation_id: AtomicI32,
    client_id: String,
    versions: Vec<(ApiKey, i16, i16)>,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    state: Mutex<State>,
    /// Ends the reader, which would wait for ever on a half-open connection.
    closing: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    closed: Option<Arc<str>>,
}

#[derive(Debug)]
struct Waiting {
    correlation_id: i32,
    api: ApiKey,
    version: i16,
    answer: oneshot::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Out {
    frame: Frame,
    then: Then,
}

/// Who wants to hear of a request that was sent.
#[derive(Debug)]
enum Then {
    /// Who waits for the answer.
    Answered(Waiting),
    /// There will be no answer: who waits until the socket has it.
    Written(oneshot::Sender<()>),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    fn close(&self, reason: &str) {
        let mut state = self.state();
        state.closed.get_or_insert_with(|| reason.into());
        state.waiting.clear();
        self.closing.notify_one();
    }

    fn closed(&self) -> Error {
        let reason = self.state().closed.clone().unwrap_or_else(|| "it was closed".into());
        Error::Closed { address: self.address.clone(), reason }
    }
}

/// The answer to a request that is on its way. Dropping it leaves the request on its way.
#[derive(Debug)]
pub struct Reply<M> {
    answer: oneshot::Receiver<Bytes>,
    version: i16,
    shared: Arc<Shared>,
    message: PhantomData<fn() -> M>,
}

impl<M: Message> Future for Reply<M> {
    type Output = Result<M, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map(|answer| match answer {
            Ok(body) => M::decode(body, self.version).map_err(|error| Error::Garbled {
                address: self.shared.address.clone(),
                reason: format!("{}: {error}", M::NAME),
            }),
            Err(_) => Err(self.shared.closed()),
        })
    }
}

impl Connection {
    /// Connects and asks the broker what it serves.
    pub async fn open(
        door: &Door,
        address: &Address,
        client_id: &str,
        timeout: Duration,
    ) -> Result<Connection, Error> {
        let opening = async {
            let stream = address.connect(&*door.network).await?;
            let mut inner = Inner::start(door, address, client_id, stream);
            inner.versions = inner.ask_versions().await?;
            Ok(Connection(Arc::new(inner)))
        };
        let timed_out = || Error::TimedOut { address: address.clone(), what: "a connection", after: timeout };
        tokio::time::timeout(timeout, opening).await.map_err(|_| timed_out())?
    }

    /// The broker's address, as it was connected to.
    pub fn address(&self) -> &Address {
        &self.0.shared.address
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.0.shared.state().closed.is_some()
    }

    /// The version in which requests of this kind are written: the highest that both sides know.
    pub fn version<R: Request>(&self) -> Result<i16, Error> {
        self.version_at_most::<R>(i16::MAX)
    }

    /// The same, but not above `max`.
    pub fn version_at_most<R: Request>(&self, max: i16) -> Result<i16, Error> {
        let ours = (R::KEY.min_version(), R::KEY.max_version().min(max));
        let theirs = self.0.versions.iter().find(|(api, _, _)| *api == R::KEY);
        theirs
            .map(|(_, first, last)| (ours.0.max(*first), ours.1.min(*last)))
            .filter(|(first, last)| first <= last)
            .map(|(_, last)| last)
            .ok_or_else(|| Error::Unsupported {
                address: self.address().clone(),
                api: R::KEY.name(),
                min: ours.0,
                max: ours.1,
            })
    }

    /// The APIs that the broker serves, with first and last version.
    pub fn versions(&self) -> &[(ApiKey, i16, i16)] {
        &self.0.versions
    }

    /// Queues a request; requests are sent in the order of these calls. The reply comes by itself.
    pub async fn submit<R: Request>(&self, request: &R) -> Result<Reply<R::Response>, Error> {
        self.submit_version(self.version::<R>()?, request).await
    }

    /// The same in a version of the caller's choice.
    pub async fn submit_version<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<Reply<R::Response>, Error> {
        self.0.submit(version, request).await
    }

    /// Sends a request that gets no answer (Produce with acks=0). Resolves when the socket has taken it: it is then on its
    /// way also if this process ends, which is all that can be known of it.
    pub async fn send_unanswered<R: Request>(&self, version: i16, request: &R) -> Result<(), Error> {
        let (_, frame) = self.0.frame(version, request)?;
        let (told, written) = oneshot::channel();
        let out = Out { frame, then: Then::Written(told) };
        self.0.queue.send(out).await.map_err(|_| self.0.shared.closed())?;
        written.await.map_err(|_| self.0.shared.closed())
    }

    /// Sends a request and waits for the answer.
    pub async fn call<R: Request>(&self, request: &R, timeout: Duration) -> Result<R::Response, Error> {
        self.call_version(self.version::<R>()?, request, timeout).await
    }

    /// The same in a version of the caller's choice.
    pub async fn call_version<R: Request>(
        &self,
        version: i16,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Response, Error> {
        let call = async { self.submit_version(version, request).await?.await };
        let timed_out =
            || Error::TimedOut { address: self.address().clone(), what: R::KEY.name(), after: timeout };
        let answered = tokio::time::timeout(timeout, call).await;
        answered.map_err(|_| {
            self.0.shared.close("a request was not answered in time");
            timed_out()
        })?
    }
}

impl Inner {
    fn start(door: &Door, address: &Address, client_id: &str, stream: Box<dyn Stream>) -> Inner {
        let shared =
            Arc::new(Shared { address: address.clone(), state: Mutex::default(), closing: Notify::new() });
        let (queue, requests) = mpsc::channel(64);
        let (read, write) = tokio::io::split(stream);
        door.tasks.spawn("client-write", Box::pin(write_requests(write, requests, Arc::clone(&shared))));
        door.tasks.spawn("client-read", Box::pin(read_answers(read, Arc::clone(&shared))));
        Inner {
            shared,
            queue,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            correlation_id: AtomicI32::new(0),
            client_id: client_id.to_owned(),
            versions: Vec::new(),
        }
    }

    fn frame<R: Request>(&self, version: i16, request: &R) -> Result<(i32, Frame), Error> {
        let correlation_id = self.correlation_id.fetch_add(1, Ordering::Relaxed);
        let header = RequestHeader {
            api_key: R::KEY.key(),
            api_version: version,
            correlation_id,
            client_id: Some(self.client_id.as_str().into()),
        };
        Ok((correlation_id, frame::encode_request(&header, request)?))
    }

    async fn submit<R: Request>(&self, version: i16, request: &R) -> Result<Reply<R::Response>, Error> {
        let (correlation_id, frame) = self.frame(version, request)?;
        let permit =
            Arc::clone(&self.in_flight).acquire_owned().await.expect("the semaphore is never closed");
        let (answer, receiver) = oneshot::channel();
        let waiting = Waiting { correlation_id, api: R::KEY, version, answer, _permit: permit };
        let out = Out { frame, then: Then::Answered(waiting) };
        self.queue.send(out).await.map_err(|_| self.shared.closed())?;
        Ok(Reply { answer: receiver, version, shared: Arc::clone(&self.shared), message: PhantomData })
    }

    /// Asks in our newest version; a broker that does not know it answers in version 0 (KIP-511).
    async fn ask_versions(&self) -> Result<Vec<(ApiKey, i16, i16)>, Error> {
        // Version 4 and up differ only in fields that this client does not use.
        let mut version = 3;
        loop {
            let request = match version {
                0 => ApiVersionsRequest::default(),
                _ => ApiVersionsRequest {
                    client_software_name: "kolk".into(),
                    client_software_version: env!("CARGO_PKG_VERSION").into(),
                    ..Default::default()
                },
            };
            let mut reply = self.submit(version, &request).await?;
            let body = (&mut reply.answer).await.map_err(|_| self.shared.closed())?;
            let code = body.get(..2).map(|code| i16::from_be_bytes([code[0], code[1]]));
            if code == Some(ErrorCode::UnsupportedVersion.code()) && version > 0 {
                version = 0;
                continue;
            }
            let garbled = |reason: String| Error::Garbled { address: self.shared.address.clone(), reason };
            let answer =
                ApiVersionsResponse::decode(body, version).map_err(|error| garbled(error.to_string()))?;
            Error::check(answer.error_code, None, || "asking for the API versions".to_owned())?;
            let known = answer.api_keys.iter().filter_map(|api| {
                ApiKey::from_key(api.api_key).map(|key| (key, api.min_version, api.max_version))
            });
            return Ok(known.collect());
        }
    }
}

async fn write_requests(
    mut write: WriteHalf<Box<dyn Stream>>,
    mut requests: mpsc::Receiver<Out>,
    shared: Arc<Shared>,
) {
    let mut batch = Vec::new();
    let mut small = BytesMut::new();
    let mut unanswered = Vec::new();
    // What is queued at one time goes out together; only large pieces are written from where they lie.
    while requests.recv_many(&mut batch, 64).await > 0 {
        for out in batch.drain(..) {
            match out.then {
                Then::Answered(waiting) => {
                    let mut state = shared.state();
                    if state.closed.is_some() {
                        return;
                    }
                    state.waiting.push_back(waiting);
                }
                Then::Written(told) => unanswered.push(told),
            }
            for segment in out.frame.segments {
                let Segment::Bytes(bytes) = segment else { unreachable!("a client's records are at hand") };
                if bytes.len() < COPIED_BYTES_MAX {
                    small.extend_from_slice(&bytes);
                    continue;
                }
                let written = write.write_all(&small).await;
                small.clear();
                if let Err(error) = written.and(write.write_all(&bytes).await) {
                    return shared.close(&error.to_string());
                }
            }
        }
        let written = write.write_all(&small).await;
        small.clear();
        if let Err(error) = written.and(write.flush().await) {
            return shared.close(&error.to_string());
        }
        for told in unanswered.drain(..) {
            // Whoever sent it may have gone.
            let _ = told.send(());
        }
    }
    // The last handle is gone.
    let _ = write.shutdown().await;
    shared.close("it was closed");
}

async fn read_answers(mut read: ReadHalf<Box<dyn Stream>>, shared: Arc<Shared>) {
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        match frame::split(&mut buffer, RESPONSE_BYTES_MAX) {
            Ok(Some(answer)) => {
                if let Err(reason) = deliver(answer, &shared) {
                    return shared.close(&reason);
                }
            }
            Ok(None) => {
                if let Ok(Some(size)) = frame::announced_size(&buffer, RESPONSE_BYTES_MAX) {
                    buffer.reserve((size + 4).saturating_sub(buffer.len()).min(1024 * 1024));
                } else {
                    buffer.reserve(16 * 1024);
                }
                let read = tokio::select! {
                    biased;
                    () = shared.closing.notified() => return,
                    read = read.read_buf(&mut buffer) => read,
                };
                match read {
                    Ok(0) => return shared.close("the broker closed it"),
                    Ok(_) => {}
                    Err(error) => return shared.close(&error.to_string()),
                }
            }
            Err(error) => return shared.close(&error.to_string()),
        }
    }
}

/// Hands an answer to the oldest request that waits for one.
fn deliver(answer: Bytes, shared: &Shared) -> Result<(), String> {
    let waiting = shared.state().waiting.pop_front().ok_or("it sent an answer that nobody waits for")?;
    let (correlation_id, body) = frame::decode_response_header(answer, waiting.api, waiting.version)
        .map_err(|error| error.to_string())?;
    if correlation_id != waiting.correlation_id {
        return Err(format!("it answered request {correlation_id} before {}", waiting.correlation_id));
    }
    // Whoever asked may have gone.
    let _ = waiting.answer.send(body);
    Ok(())
}
