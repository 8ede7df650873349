//! A connection against a broker that the test plays itself, byte by byte, over a stream in memory.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_client::kafka::Connection;
use kolk_client::{Address, Error};
use kolk_engine::BoxFuture;
use kolk_engine::door::{Door, Listener, Network, Stream, real};
use kolk_wire_kafka::ApiKey;
use kolk_wire_kafka::codec::Message;
use kolk_wire_kafka::frame::{self, RequestHeader};
use kolk_wire_kafka::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use kolk_wire_kafka::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use kolk_wire_kafka::messages::produce::{ProduceRequest, TopicProduceData};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const WAIT: Duration = Duration::from_secs(30);

/// Hands out one end of a pipe, once.
#[derive(Debug)]
struct Pipe(Mutex<Option<DuplexStream>>);

impl Network for Pipe {
    fn listen(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        let end = self.0.lock().expect("not poisoned").take();
        Box::pin(async move {
            let end = end.ok_or(io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(end) as Box<dyn Stream>)
        })
    }
}

/// The broker's end of the pipe.
struct Broker {
    stream: DuplexStream,
    buffer: BytesMut,
}

impl Broker {
    fn new() -> (Broker, Door) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let network = Arc::new(Pipe(Mutex::new(Some(theirs))));
        let door = Door { network, ..real::door(Default::default()) };
        (Broker { stream: ours, buffer: BytesMut::new() }, door)
    }

    async fn request(&mut self) -> (RequestHeader, Bytes) {
        loop {
            if let Some(whole) = frame::split(&mut self.buffer, 1 << 20).expect("a frame") {
                return RequestHeader::decode(whole).expect("a header");
            }
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.expect("bytes"), 0);
        }
    }

    async fn answer<M: Message>(&mut self, header: &RequestHeader, version: i16, body: &M) {
        let api = ApiKey::from_key(header.api_key).expect("an API");
        let frame =
            frame::encode_response(api, version, header.correlation_id, body).expect("it can be written");
        self.stream.write_all(&frame.to_bytes().expect("bytes")).await.expect("somebody reads");
    }

    /// Answers ApiVersions: heartbeats in versions 0 to 4, and nothing else.
    async fn answer_versions(&mut self) {
        let (header, _) = self.request().await;
        self.answer(&header, header.api_version, &versions()).await;
    }
}

fn versions() -> ApiVersionsResponse {
    let api = |key: ApiKey, max_version| ApiVersion { api_key: key.key(), min_version: 0, max_version };
    ApiVersionsResponse {
        api_keys: vec![
            api(ApiKey::Heartbeat, 3),
            api(ApiKey::ApiVersions, 0),
            ApiVersion { api_key: 999, ..Default::default() },
        ],
        ..Default::default()
    }
}

async fn open(door: &Door) -> Result<Connection, Error> {
    let address = Address { host: "127.0.0.1".to_owned(), port: 9092 };
    Connection::open(door, &address, "test", WAIT).await
}

fn beat(group: &str) -> HeartbeatRequest {
    HeartbeatRequest { group_id: group.into(), ..Default::default() }
}

#[tokio::test]
async fn an_old_broker_is_asked_again_in_version_0() {
    let (mut broker, door) = Broker::new();
    let play = async {
        let (header, _) = broker.request().await;
        assert_eq!((header.api_key, header.api_version), (18, 3));
        // KIP-511: the refusal comes in version 0, which the client must be able to read.
        let refused = ApiVersionsResponse { error_code: 35, ..versions() };
        broker.answer(&header, 0, &refused).await;
        let (header, _) = broker.request().await;
        assert_eq!((header.api_key, header.api_version), (18, 0));
        broker.answer(&header, 0, &versions()).await;
    };
    let (connection, ()) = tokio::join!(open(&door), play);
    let connection = connection.expect("it opens");
    assert_eq!(connection.version::<HeartbeatRequest>().expect("both know it"), 3);
    assert!(matches!(connection.version::<ProduceRequest>(), Err(Error::Unsupported { api: "Produce", .. })));
}

#[tokio::test]
async fn requests_are_pipelined_and_answers_go_to_whom_they_belong() {
    let (mut broker, door) = Broker::new();
    let (connection, ()) = tokio::join!(open(&door), broker.answer_versions());
    let connection = connection.expect("it opens");
    let mut replies = Vec::new();
    for n in 0..20 {
        replies.push(connection.submit(&beat(&format!("g{n}"))).await.expect("it is queued"));
    }
    // All are there before the first is answered.
    let mut headers = Vec::new();
    for n in 0..20 {
        let (header, body) = broker.request().await;
        let request = HeartbeatRequest::decode(body, header.api_version).expect("a heartbeat");
        assert_eq!(request.group_id, format!("g{n}").as_str());
        headers.push(header);
    }
    // A reply that nobody waits for any more is passed over.
    drop(replies.remove(5));
    for (n, header) in headers.iter().enumerate() {
        let answer = HeartbeatResponse { error_code: n as i16, ..Default::default() };
        broker.answer(header, header.api_version, &answer).await;
    }
    let expected = (0..20).filter(|n| *n != 5);
    for (reply, n) in replies.into_iter().zip(expected) {
        assert_eq!(reply.await.expect("an answer").error_code, n);
    }
}

/// A connection that had fallen silent was used again and again: each try of a producer waited for its timeout on it.
#[tokio::test]
async fn a_request_that_is_not_answered_in_time_ends_the_connection() {
    let (mut broker, door) = Broker::new();
    let (connection, ()) = tokio::join!(open(&door), broker.answer_versions());
    let connection = connection.expect("it opens");
    let other = connection.submit(&beat("other")).await.expect("it is queued");
    let late = connection.call(&beat("g"), Duration::from_millis(1)).await;
    assert!(matches!(late, Err(Error::TimedOut { what: "Heartbeat", .. })), "{late:?}");
    assert!(connection.is_closed());
    assert!(matches!(other.await, Err(Error::Closed { .. })));
    drop(connection);
    let mut rest = Vec::new();
    broker.stream.read_to_end(&mut rest).await.expect("the broker sees it close");
}

#[tokio::test]
async fn when_the_broker_goes_everybody_learns_it() {
    let (mut broker, door) = Broker::new();
    let (connection, ()) = tokio::join!(open(&door), broker.answer_versions());
    let connection = connection.expect("it opens");
    let first = connection.submit(&beat("a")).await.expect("it is queued");
    let second = connection.submit(&beat("b")).await.expect("it is queued");
    broker.request().await;
    drop(broker);
    for reply in [first, second] {
        let error = reply.await.expect_err("no answer came");
        assert!(matches!(error, Error::Closed { .. }) && error.is_retriable(), "{error}");
    }
    assert!(connection.is_closed());
    let error = connection.call(&beat("c"), WAIT).await.expect_err("it is closed");
    assert!(matches!(error, Error::Closed { .. }), "{error}");
}

/// It counted as delivered in a queue of this process, which could end before any of it was sent.
#[tokio::test]
async fn a_request_without_an_answer_is_done_when_the_socket_has_it() {
    let (mut broker, door) = Broker::new();
    let (connection, ()) = tokio::join!(open(&door), broker.answer_versions());
    let connection = connection.expect("it opens");
    // More than the pipe holds.
    let client = "c".repeat(30_000);
    let topic = TopicProduceData { name: client.as_str().into(), ..Default::default() };
    let request = ProduceRequest { topic_data: vec![topic; 5], ..Default::default() };
    let mut sending = Box::pin(connection.send_unanswered(9, &request));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut sending).await;
    assert!(early.is_err(), "nobody has read it");
    let (sent, (header, body)) = tokio::join!(sending, broker.request());
    sent.expect("it is sent");
    assert_eq!(header.api_key, ApiKey::Produce.key());
    assert_eq!(ProduceRequest::decode(body, 9).expect("a request"), request);

    let sending = connection.send_unanswered(9, &request);
    drop(broker);
    let error = sending.await.expect_err("nobody takes it");
    assert!(matches!(error, Error::Closed { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_out_of_turn_ends_the_connection() {
    let (mut broker, door) = Broker::new();
    let (connection, ()) = tokio::join!(open(&door), broker.answer_versions());
    let connection = connection.expect("it opens");
    let reply = connection.submit(&beat("a")).await.expect("it is queued");
    let (mut header, _) = broker.request().await;
    header.correlation_id += 1;
    broker.answer(&header, header.api_version, &HeartbeatResponse::default()).await;
    let error = reply.await.expect_err("it belongs to nobody");
    assert!(error.to_string().contains("before"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_after_the_timeout() {
    let (mut broker, door) = Broker::new();
    let (connection, ()) = tokio::join!(open(&door), broker.answer_versions());
    let connection = connection.expect("it opens");
    let error = connection.call(&beat("a"), Duration::from_secs(5)).await.expect_err("nobody answers");
    assert!(matches!(error, Error::TimedOut { what: "Heartbeat", .. }), "{error}");
}
