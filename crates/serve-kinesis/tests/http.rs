//! The face from outside: both HTTP versions on one port, the order of refusals, and peers that mean harm.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kolk_broker::shards::Shards;
use kolk_broker::{Broker, Class, Settings as BrokerSettings};
use kolk_engine::door::{Door, Stream, real};
use kolk_engine::memory::{MemoryEngine, MemoryOptions};
use kolk_http::{Serving, Settings as ServerSettings, Slowest};
use kolk_serve_kinesis::{Service, Settings, serve};
use kolk_wire_kinesis::decode_reply;
use kolk_wire_kinesis::requests::*;
use kolk_wire_kinesis::{Format, Request as Operation, encode, replies};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c";
/// What a test waits for at most before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

struct Face {
    door: Door,
    broker: Broker,
    serving: Option<Serving>,
}

async fn face(change: impl FnOnce(&mut Settings, &mut ServerSettings)) -> Face {
    let door = real::door(real::DiskOptions::default());
    let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
    let broker = Broker::new(engine, door.clone(), BrokerSettings::default());
    let mut settings = Settings::new([7; 32]);
    let mut server = ServerSettings::default();
    change(&mut settings, &mut server);
    let listener = door.network.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let serving = serve(Service::new(Shards::new(broker.clone()), settings), vec![listener], server);
    Face { door, broker, serving: Some(serving) }
}

impl Face {
    async fn connect(&self) -> Box<dyn Stream> {
        let address = self.serving.as_ref().expect("the face serves").addresses()[0];
        self.door.network.connect(address).await.expect("it listens")
    }

    async fn stop(mut self) {
        let serving = self.serving.take().expect("the face serves");
        tokio::time::timeout(PATIENCE, serving.stop()).await.expect("it stops");
    }

    /// One request on a connection of its own.
    async fn send(&self, http2: bool, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let stream = TokioIo::new(self.connect().await);
        let response = if http2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("h2c");
            self.door.tasks.spawn("client", Box::pin(async { _ = connection.await }));
            sender.send_request(request).await
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(stream).await.expect("HTTP/1.1");
            self.door.tasks.spawn("client", Box::pin(async { _ = connection.await }));
            sender.send_request(request).await
        };
        let (head, body) = response.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        Response::from_parts(head, body)
    }

    async fn call<R: Operation>(&self, http2: bool, format: Format, input: &R) -> R::Reply {
        let request = signed(R::OPERATION.name(), format.content_type())
            .body(Full::new(encode::<R>(format, input)))
            .expect("a request");
        let response = self.send(http2, request).await;
        assert_eq!(response.status(), StatusCode::OK, "{:?}", response.body());
        assert_eq!(response.headers()["content-type"], format.content_type());
        decode_reply::<R::Reply>(format, response.body()).expect("a reply")
    }
}

fn request() -> hyper::http::request::Builder {
    Request::builder().method("POST").uri("http://localhost/").header("host", "localhost")
}

fn signed(operation: &str, content_type: &str) -> hyper::http::request::Builder {
    request()
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .header("content-type", content_type)
        .header("authorization", SIGNATURE)
        .header("x-amz-date", "20260101T000000Z")
}

fn create(name: &str) -> CreateStreamInput {
    CreateStreamInput { shard_count: Some(1), stream_name: name.to_owned(), ..Default::default() }
}

fn put(name: &str, count: usize, bytes: usize) -> PutRecordsInput {
    let record = |at: usize| PutRecordsRequestEntry {
        partition_key: Some(format!("key {at}")),
        explicit_hash_key: None,
        data: Bytes::from(vec![at as u8; bytes]),
    };
    PutRecordsInput {
        records: (0..count).map(record).collect(),
        stream_name: Some(name.to_owned()),
        ..Default::default()
    }
}

fn iterator(name: &str) -> GetShardIteratorInput {
    GetShardIteratorInput {
        shard_id: "shardId-000000000000".to_owned(),
        shard_iterator_type: ShardIteratorType::TrimHorizon,
        stream_name: Some(name.to_owned()),
        ..Default::default()
    }
}

fn get(iterator: Option<String>) -> GetRecordsInput {
    let shard_iterator = iterator.expect("an iterator");
    GetRecordsInput { limit: None, shard_iterator, stream_arn: None, stream_id: None, dry_run: None }
}

#[tokio::test]
async fn both_http_versions_and_both_formats_meet_in_one_stream() {
    let face = face(|_, _| {}).await;
    let mut placed = Vec::new();
    face.call(false, Format::Json, &create("stream")).await;
    for (http2, format) in
        [(false, Format::Json), (true, Format::Json), (false, Format::Cbor), (true, Format::Cbor)]
    {
        let reply = face.call(http2, format, &put("stream", 100, 1000)).await;
        assert_eq!(reply.failed_record_count, Some(0));
        placed.extend(reply.records.into_iter().map(|record| record.sequence_number.expect("placed")));
    }
    for (http2, format) in [(true, Format::Cbor), (false, Format::Json)] {
        let first = face.call(http2, format, &iterator("stream")).await.shard_iterator;
        let page = face.call(http2, format, &get(first)).await;
        let read: Vec<&String> = page.records.iter().map(|record| &record.sequence_number).collect();
        assert_eq!(read, placed.iter().collect::<Vec<_>>());
        assert_eq!(page.records[7].data, vec![7; 1000]);
        assert_eq!(page.records[7].partition_key.as_deref(), Some("key 7"));
        assert_eq!((page.child_shards, page.millis_behind_latest), (None, Some(0)));
        let rest = face.call(http2, format, &get(page.next_shard_iterator)).await;
        assert!(rest.records.is_empty() && rest.next_shard_iterator.is_some());
    }
    face.stop().await;
}

#[tokio::test]
async fn a_stream_is_shown_in_the_mode_it_was_made_in() {
    let face = face(|_, _| {}).await;
    let on_demand = CreateStreamInput {
        shard_count: None,
        stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::OnDemand }),
        ..create("demanded")
    };
    face.call(false, Format::Json, &on_demand).await;
    face.call(false, Format::Json, &create("provided")).await;
    for (name, mode, shards) in
        [("demanded", StreamMode::OnDemand, 4), ("provided", StreamMode::Provisioned, 1)]
    {
        let ask = DescribeStreamSummaryInput { stream_name: Some(name.to_owned()), ..Default::default() };
        let told = face.call(false, Format::Json, &ask).await.stream_description_summary;
        assert_eq!(told.stream_mode_details, Some(StreamModeDetails { stream_mode: mode }), "{name}");
        assert_eq!(told.open_shard_count, shards);
    }
    let ask = ListStreamsInput { limit: None, exclusive_start_stream_name: None, next_token: None };
    let listed = face.call(true, Format::Cbor, &ask).await.stream_summaries.expect("summaries");
    let modes: Vec<_> = listed
        .into_iter()
        .map(|stream| stream.stream_mode_details.map(|details| details.stream_mode))
        .collect();
    assert_eq!(modes, [Some(StreamMode::OnDemand), Some(StreamMode::Provisioned)]);
    face.stop().await;
}

#[tokio::test]
async fn a_page_of_many_megabytes_comes_whole() {
    let face = face(|_, _| {}).await;
    face.call(false, Format::Json, &create("stream")).await;
    for _ in 0..3 {
        face.call(true, Format::Cbor, &put("stream", 4, 1_000_000)).await;
    }
    for http2 in [false, true] {
        let first = face.call(http2, Format::Json, &iterator("stream")).await.shard_iterator;
        let page = face.call(http2, Format::Json, &get(first)).await;
        assert_eq!(page.records.len(), 10, "10 MiB hold ten records of 1,000,000 bytes");
        let rest = face.call(http2, Format::Json, &get(page.next_shard_iterator)).await;
        assert_eq!(rest.records.len(), 2);
    }
    face.stop().await;
}

#[tokio::test]
async fn shard_end_has_children_and_no_next_iterator() {
    let face = face(|_, _| {}).await;
    face.call(false, Format::Json, &create("stream")).await;
    face.call(false, Format::Json, &put("stream", 10, 10)).await;
    let first = face.call(false, Format::Json, &iterator("stream")).await.shard_iterator;
    let split = SplitShardInput {
        new_starting_hash_key: (1u128 << 127).to_string(),
        stream_name: Some("stream".to_owned()),
        shard_to_split: "0".to_owned(),
        ..Default::default()
    };
    face.call(false, Format::Json, &split).await;
    let mut next = first;
    let mut count = 0;
    let children = loop {
        let page = face.call(false, Format::Json, &get(next)).await;
        count += page.records.len();
        match (page.next_shard_iterator, page.child_shards) {
            (Some(iterator), None) => next = Some(iterator),
            (None, Some(children)) => break children,
            pairing => panic!("one of both: {pairing:?}"),
        }
    };
    assert_eq!(count, 10);
    let ids: Vec<&str> = children.iter().map(|child| &*child.shard_id).collect();
    assert_eq!(ids, ["shardId-000000000001", "shardId-000000000002"]);
    assert!(children.iter().all(|child| child.parent_shards == ["shardId-000000000000"]));
    let list = ListShardsInput {
        max_results: Some(1),
        stream_name: Some("stream".to_owned()),
        shard_filter: Some(ShardFilter {
            filter_type: ShardFilterType::AtLatest,
            shard_id: None,
            timestamp: None,
        }),
        ..Default::default()
    };
    let page = face.call(true, Format::Cbor, &list).await;
    let rest = ListShardsInput { next_token: page.next_token, stream_name: None, shard_filter: None, ..list };
    let rest = face.call(true, Format::Cbor, &rest).await;
    let shards: Vec<replies::Shard> = [page.shards, rest.shards].into_iter().flatten().flatten().collect();
    assert_eq!(shards.iter().map(|shard| &*shard.shard_id).collect::<Vec<_>>(), ids);
    assert_eq!(rest.next_token, None);
    face.stop().await;
}

#[tokio::test]
async fn refusals_come_in_the_services_order() {
    let face = face(|settings, _| settings.body_bytes_max = 100_000).await;
    let json = Format::Json.content_type();
    let body = |text: &'static str| Full::new(Bytes::from_static(text.as_bytes()));
    let xml =
        "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized";
    let incomplete = "Authorization header requires 'Credential' parameter. ";
    for (name, request, status, text) in [
        ("a GET", Request::get("/").header("host", "a").body(body("")), 403, xml),
        ("no target", request().body(body("{}")), 403, xml),
        (
            "an unknown content type",
            request().header("x-amz-target", "Kinesis_20131202.ListStreams").body(body("{}")),
            404,
            "<UnknownOperationException/>\n",
        ),
        (
            "no body",
            signed("ListStreams", json).body(body("")),
            400,
            r#"{"__type":"SerializationException"}"#,
        ),
        (
            "no JSON",
            signed("ListStreams", json).body(body("{")),
            400,
            r#"{"__type":"SerializationException"}"#,
        ),
        (
            "an unknown operation",
            signed("ListDreams", json).body(body("{}")),
            400,
            r#"{"__type":"UnknownOperationException"}"#,
        ),
        (
            "one not served yet",
            signed("CreateQueue", json).body(body("{}")),
            400,
            r#"{"__type":"UnknownOperationException"}"#,
        ),
        (
            "no signature, before what is wrong with the body",
            request()
                .header("x-amz-target", "Kinesis_20131202.ListStreams")
                .header("content-type", json)
                .body(body(r#"{"Limit":"x"}"#)),
            400,
            r#"{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}"#,
        ),
        (
            "half a signature",
            request()
                .header("x-amz-target", "Kinesis_20131202.ListStreams")
                .header("content-type", json)
                .header("authorization", "AWS4-HMAC-SHA256")
                .body(body("{}")),
            400,
            incomplete,
        ),
        (
            "a wrong type",
            signed("ListStreams", json).body(body(r#"{"Limit":"x"}"#)),
            400,
            r#"{"__type":"SerializationException","Message":"class java.lang.String can not be converted to an Integer"}"#,
        ),
        (
            "a broken constraint",
            signed("ListStreams", json).body(body(r#"{"Limit":0}"#)),
            400,
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "no such stream",
            signed("DescribeStream", json).body(body(r#"{"StreamName":"nope"}"#)),
            400,
            r#"{"__type":"ResourceNotFoundException","message":"Stream nope under account 000000000000 not found."}"#,
        ),
        (
            "a body that is too large",
            signed("PutRecord", json).body(Full::new(Bytes::from(vec![b' '; 100_001]))),
            413,
            "",
        ),
    ] {
        let response = face.send(false, request.expect("a request")).await;
        let text_found = String::from_utf8_lossy(response.body());
        assert_eq!(response.status(), status, "{name}: {text_found}");
        assert!(text_found.contains(text), "{name}: {text_found}");
        for header in ["x-amzn-requestid", "x-amz-id-2", "date"] {
            assert!(response.headers().contains_key(header), "{name}: {header}");
        }
    }
    face.stop().await;
}

#[tokio::test]
async fn unsigned_requests_pass_where_the_server_was_told_so() {
    let face = face(|settings, _| settings.unsigned_allowed = true).await;
    let request = request()
        .header("x-amz-target", "Kinesis_20131202.ListStreams")
        .header("content-type", Format::Json.content_type())
        .body(Full::new(Bytes::from_static(b"{}")));
    let response = face.send(false, request.expect("a request")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(&response.body()[..], br#"{"HasMoreStreams":false,"StreamNames":[],"StreamSummaries":[]}"#);
    face.stop().await;
}

/// Kafka's tools would take such a stream for the topic in which Kafka keeps its offsets.
#[tokio::test]
async fn a_name_that_kafka_keeps_for_itself_is_refused() {
    let face = face(|_, _| {}).await;
    let input = encode::<CreateStreamInput>(Format::Json, &create("__consumer_offsets"));
    let request = signed("CreateStream", Format::Json.content_type()).body(Full::new(input));
    let response = face.send(false, request.expect("a request")).await;
    let body = String::from_utf8_lossy(response.body()).into_owned();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
    assert!(body.contains("InvalidArgumentException") && body.contains("reserved"), "{body}");
    face.stop().await;
}

/// No signature is checked: any page in a browser on the server's machine could read and delete its streams.
#[tokio::test]
async fn pages_from_elsewhere_are_refused_unless_named() {
    for (allowed, expected) in
        [(&[][..], StatusCode::FORBIDDEN), (&["http://example.com".to_owned()][..], StatusCode::OK)]
    {
        let face = face(|settings, _| settings.origins_allowed = allowed.to_vec()).await;
        let preflight = Request::options("/")
            .header("host", "localhost")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "x-amz-target");
        let ask = signed("CreateStream", Format::Json.content_type());
        let body = Full::new(encode::<CreateStreamInput>(Format::Json, &create("stream")));
        for request in [preflight.body(Full::default()), ask.body(body)] {
            let mut request = request.expect("a request");
            request.headers_mut().insert("origin", "http://example.com".parse().expect("a value"));
            let response = face.send(false, request).await;
            assert_eq!(response.status(), expected);
            let headers = response.headers().keys().map(|name| name.as_str());
            let shown = headers.filter(|name| name.starts_with("access-control")).count();
            assert_eq!(shown > 0, expected == StatusCode::OK, "{:?}", response.headers());
        }
        face.stop().await;
    }
}

#[tokio::test]
async fn browsers_may_ask() {
    let face = face(|_, _| {}).await;
    let request = Request::options("/")
        .header("host", "localhost")
        .header("origin", "http://localhost:3000")
        .header("access-control-request-headers", "x-amz-target")
        .header("access-control-request-method", "POST")
        .body(Full::default());
    let response = face.send(false, request.expect("a request")).await;
    assert_eq!(response.status(), StatusCode::OK);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "x-amz-target"),
        ("access-control-allow-methods", "POST"),
        ("access-control-max-age", "172800"),
    ] {
        assert_eq!(response.headers()[name], value);
    }
    assert!(!response.headers().contains_key("x-amz-id-2"));
    face.stop().await;
}

/// Reads until the server closes the connection.
async fn until_closed(stream: &mut Box<dyn Stream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is as good an end as any.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is closed");
    bytes
}

#[tokio::test]
async fn peers_that_stall_lose_their_connection() {
    let face = face(|_, server| {
        server.stall = Duration::from_millis(200);
        server.idle = Duration::from_millis(400);
    })
    .await;
    let mut silent = face.connect().await;
    let mut preface = face.connect().await;
    preface.write_all(b"PRI * HTTP/2.0").await.expect("sent");
    let mut head = face.connect().await;
    head.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\nx-amz").await.expect("sent");
    let mut body = face.connect().await;
    body.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{")
        .await
        .expect("sent");
    assert!(until_closed(&mut silent).await.is_empty());
    assert!(until_closed(&mut preface).await.is_empty());
    until_closed(&mut head).await;
    let answer = until_closed(&mut body).await;
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    face.call(false, Format::Json, &create("alive")).await;
    face.stop().await;
}

/// A connection on which a GetRecords of 13 MB was asked for.
async fn asked_for_a_page(face: &Face) -> Box<dyn Stream> {
    face.call(false, Format::Json, &create("stream")).await;
    for _ in 0..3 {
        face.call(false, Format::Cbor, &put("stream", 4, 1_000_000)).await;
    }
    asked_for_a_page_of(face, "stream").await
}

/// A connection on which the first page of a stream was asked for.
async fn asked_for_a_page_of(face: &Face, name: &str) -> Box<dyn Stream> {
    let token = face.call(false, Format::Json, &iterator(name)).await.shard_iterator;
    let body = encode::<GetRecordsInput>(Format::Json, &get(token));
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: Kinesis_20131202.GetRecords\r\ncontent-type: {}\r\n\
         authorization: {SIGNATURE}\r\nx-amz-date: a\r\ncontent-length: {}\r\n\r\n",
        Format::Json.content_type(),
        body.len()
    );
    let mut stream = face.connect().await;
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&body).await.expect("sent");
    stream
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answer_loses_its_connection() {
    let face = face(|_, server| server.stall = Duration::from_millis(300)).await;
    let mut stream = asked_for_a_page(&face).await;
    // Long enough for the server to see a stall; the socket's buffers hold far less than 13 MB of base64.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let got = until_closed(&mut stream).await;
    assert!(got.len() < 13_000_000, "{} bytes came although nobody read", got.len());
    face.stop().await;
}

/// A record of 10 MiB was one piece: whoever took more than 30 s for it was given up as one that takes nothing.
#[tokio::test]
async fn a_peer_that_takes_a_large_record_slowly_gets_it() {
    let face = face(|_, server| server.stall = Duration::from_secs(1)).await;
    let large = CreateStreamInput { max_record_size_in_kib: Some(10 * 1024), ..create("stream") };
    face.call(false, Format::Json, &large).await;
    face.call(false, Format::Cbor, &put("stream", 1, 10_000_000)).await;
    let mut stream = asked_for_a_page_of(&face, "stream").await;
    let (mut got, mut piece) = (0, vec![0; 128 << 10]);
    while got < 13_000_000 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        match stream.read(&mut piece).await.expect("the connection stays") {
            0 => panic!("closed after {got} bytes"),
            count => got += count,
        }
    }
    drop(stream);
    face.stop().await;
}

/// Clients that took pages slowly held all that there is for requests, and who put a record waited 37 s behind them.
#[tokio::test]
async fn who_puts_little_is_served_whoever_holds_the_memory() {
    let face = face(|_, _| ()).await;
    face.call(false, Format::Json, &create("stream")).await;
    let admission = face.broker.admission();
    let held = admission.try_admit(admission.available(), Class::Data);
    for http2 in [false, true] {
        face.call(http2, Format::Cbor, &put("stream", 4, 100)).await;
    }
    // Many at once on one connection, each in its turn.
    let stream = TokioIo::new(face.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("h2c");
    face.door.tasks.spawn("client", Box::pin(async { _ = connection.await }));
    let body = encode::<PutRecordsInput>(Format::Json, &put("stream", 4, 100));
    let asked: Vec<_> = (0..16)
        .map(|_| {
            let request = signed("PutRecords", Format::Json.content_type()).body(Full::new(body.clone()));
            sender.send_request(request.expect("a request"))
        })
        .collect();
    for answer in asked {
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.expect("a whole answer");
    }
    drop(held);
    face.stop().await;
}

/// A hundred connections that said nothing kept everybody else from the operators' port for 75 s.
#[tokio::test]
async fn where_all_places_are_taken_who_is_silent_gives_way() {
    let face = face(|_, server| server.connections_max = 4).await;
    face.call(false, Format::Json, &create("stream")).await;
    // In the middle of a request.
    let body = encode::<PutRecordsInput>(Format::Json, &put("stream", 1, 1000));
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: Kinesis_20131202.PutRecords\r\ncontent-type: {}\r\n\
         authorization: {SIGNATURE}\r\nx-amz-date: a\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        Format::Json.content_type(),
        body.len()
    );
    let mut busy = face.connect().await;
    busy.write_all(head.as_bytes()).await.expect("sent");
    let mut told = [0; 25];
    busy.read_exact(&mut told).await.expect("the body is asked for");
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut silent = Vec::new();
    for number in 0..20 {
        let mut stream = face.connect().await;
        if number % 2 == 0 {
            stream.write_all(b"POST / HTTP/1.1\r\nhost: lo").await.expect("sent");
        }
        silent.push(stream);
    }
    let asked = iterator("stream");
    let answered = tokio::time::timeout(PATIENCE, face.call(false, Format::Json, &asked));
    answered.await.expect("there is a place for who asks");
    busy.write_all(&body).await.expect("sent");
    let mut answer = [0; 15];
    busy.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    // Those that were silent for longest are gone.
    until_closed(&mut silent[0]).await;
    drop((busy, silent));
    face.stop().await;
}

/// What an HTTP/2 client may have in flight is memory that no request's budget sees.
#[tokio::test]
async fn an_http2_connection_is_told_how_many_requests_it_may_have_in_flight() {
    const SETTINGS: u8 = 4;
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let face = face(|_, _| ()).await;
    let mut stream = face.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await.expect("sent");
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("a frame");
    assert_eq!(head[3], SETTINGS, "the first frame");
    let mut settings = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut settings).await.expect("its settings");
    let mut pairs = settings.chunks_exact(6).map(|pair| {
        let id = u16::from_be_bytes([pair[0], pair[1]]);
        (id, u32::from_be_bytes(pair[2..6].try_into().expect("four bytes")))
    });
    assert_eq!(pairs.find(|pair| pair.0 == MAX_CONCURRENT_STREAMS), Some((MAX_CONCURRENT_STREAMS, 16)));
    drop(stream);
    face.stop().await;
}

/// One that took one byte every 29 s kept its answer's memory for ever.
#[tokio::test]
async fn a_peer_that_takes_its_answer_too_slowly_loses_its_connection_while_memory_is_short() {
    for short in [true, false] {
        let face = face(|_, server| {
            // All of it at once, or whenever; and each piece in time, also on a busy machine.
            server.stall = Duration::from_millis(if short { 300 } else { 10_000 });
            server.slowest = Slowest::new(move |_| if short { Duration::ZERO } else { Duration::MAX });
        })
        .await;
        let mut stream = asked_for_a_page(&face).await;
        let (mut got, mut piece) = (0, vec![0; 256 << 10]);
        while got < 13_000_000 {
            tokio::time::sleep(Duration::from_millis(25)).await;
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(count) => got += count,
            }
        }
        assert_eq!(got < 13_000_000, short, "{got} bytes came");
        drop(stream);
        face.stop().await;
    }
}

#[tokio::test]
async fn bytes_that_are_no_http_do_no_harm() {
    let face = face(|_, server| server.stall = Duration::from_millis(500)).await;
    for bytes in [
        &b"\0\0\0\x10\0\x12\0\0 this is a Kafka client"[..],
        &[0xff; 5000],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ] {
        let mut stream = face.connect().await;
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        until_closed(&mut stream).await;
    }
    face.call(true, Format::Cbor, &create("alive")).await;
    face.stop().await;
}
