//! A server to talk to, and a client that says exactly what a test wants.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_broker::{Broker, Class, Permit, Settings};
use kolk_engine::Engine;
use kolk_engine::door::{Door, real};
use kolk_engine::local::{LocalEngine, LocalOptions};
use kolk_engine::memory::{MemoryEngine, MemoryOptions};
use kolk_engine::metrics::{Format, Page, Source};
use kolk_serve_kafka::{Listener, Serving, serve};
use kolk_wire_kafka::codec::{Message, Request};
use kolk_wire_kafka::frame::{self, RequestHeader};
use kolk_wire_kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use kolk_wire_kafka::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use kolk_wire_kafka::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
};
use kolk_wire_kafka::records::{BatchBuilder, Batches, Compression, RecordIter, record::decompressed};
use kolk_wire_kafka::{ErrorCode, Records};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing here takes so long; a test that hangs fails instead.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct TestServer {
    pub address: SocketAddr,
    pub broker: Broker,
    serving: Serving,
}

impl TestServer {
    pub async fn start() -> Self {
        let mut settings = Settings::default();
        settings.groups.initial_rebalance_delay_ms = 0;
        Self::start_with(settings, kolk_serve_kafka::Settings::default()).await
    }

    pub async fn start_with(settings: Settings, face: kolk_serve_kafka::Settings) -> Self {
        let door = real::door(real::DiskOptions::default());
        let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
        Self::start_over(engine, door, settings, face).await
    }

    /// Over a data directory, which may have been used before.
    pub async fn start_on(directory: &Path) -> Self {
        let door = real::door(real::DiskOptions::default());
        // Next to nothing is cached, so that readers read files.
        let options = LocalOptions { tail_cache_bytes: 64 * 1024, ..LocalOptions::default() };
        let engine = LocalEngine::open(door.clone(), directory, options).await.expect("a directory of ours");
        let mut settings = Settings::default();
        settings.groups.initial_rebalance_delay_ms = 0;
        Self::start_over(engine, door, settings, kolk_serve_kafka::Settings::default()).await
    }

    pub async fn start_over(
        engine: Arc<dyn Engine>,
        door: Door,
        settings: Settings,
        face: kolk_serve_kafka::Settings,
    ) -> Self {
        let broker = Broker::new(engine, door, settings);
        let listener = Listener { bind: ([127, 0, 0, 1], 0).into(), advertise: None };
        let serving = serve(vec![listener], broker.clone(), face).await.expect("a free port");
        TestServer { address: serving.addresses()[0], broker, serving }
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Holds what there is of the budget for requests and their growth but `left` bytes, as clients do that take no answers.
    pub fn hold_memory(&self, left: usize) -> Permit {
        const GROWTH_BYTES: usize = 500 << 10;
        let admission = self.broker.admission();
        let mut held = admission.try_admit(1 << 20, Class::Data).expect("there is room");
        let most = held.bytes() + admission.available() - left;
        assert!(held.try_grow(admission, most));
        let rest = admission.try_admit(admission.available(), Class::Data);
        assert!(held.try_grow(admission, most + GROWTH_BYTES), "of 8 MiB that is what there is");
        drop(rest);
        held
    }

    /// What a line of its metrics says; 0 before it is told.
    pub fn counted(&self, line: &str) -> u64 {
        let mut page = Page::default();
        self.serving.metrics().report(&mut page);
        let text = page.text(Format::Prometheus);
        let value = text.lines().find_map(|said| said.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a whole number"))
    }

    /// Stops the face and closes the log.
    pub async fn stop(self) {
        self.serving.stop(Duration::from_secs(10)).await;
        self.broker.engine().close().await.expect("the log closes");
    }
}

/// Looks at the server until it is as wanted.
pub async fn until(server: &TestServer, wanted: &dyn Fn(&TestServer) -> bool) {
    let start = std::time::Instant::now();
    while !wanted(server) {
        let available = server.broker.admission().available();
        assert!(start.elapsed() < PATIENCE, "{available} bytes of the budget are free");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub struct Client {
    pub stream: TcpStream,
    inbox: BytesMut,
    next_id: i32,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).unwrap();
        Client { stream, inbox: BytesMut::new(), next_id: 1 }
    }

    /// Sends a request, gives its correlation id.
    pub async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let (id, frame) = self.frame(version, request);
        self.stream.write_all(&frame).await.expect("the server takes requests");
        id
    }

    /// A request as bytes, and its correlation id.
    pub fn frame<R: Request>(&mut self, version: i16, request: &R) -> (i32, Bytes) {
        let id = self.next_id;
        self.next_id += 1;
        let header = RequestHeader {
            api_key: R::KEY.key(),
            api_version: version,
            correlation_id: id,
            client_id: Some("test".into()),
        };
        (id, frame::encode_request(&header, request).unwrap().to_bytes().unwrap())
    }

    /// The next frame, or `None` if the server closed the connection.
    pub async fn receive_frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = frame::split(&mut self.inbox, usize::MAX).unwrap() {
                return Some(frame);
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.inbox)).await;
            match read.expect("the server answers") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next answer, which must be to request `id`, decoded to its last byte.
    pub async fn receive<R: Request>(&mut self, version: i16, id: i32) -> R::Response {
        let frame = self.receive_frame().await.expect("an answer, not the end of the connection");
        self.decode::<R>(version, id, frame)
    }

    /// The answer to request `id`, decoded to its last byte.
    pub fn decode<R: Request>(&self, version: i16, id: i32, frame: Bytes) -> R::Response {
        let (found, body) = frame::decode_response_header(frame, R::KEY, version).unwrap();
        assert_eq!(found, id, "answers come in the order of requests");
        let (response, rest) = R::Response::decode_rest(body, version).unwrap();
        assert!(rest.is_empty(), "{} bytes behind {}", rest.len(), R::Response::NAME);
        response
    }

    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let id = self.send(version, request).await;
        self.receive::<R>(version, id).await
    }

    /// Whether the server closes the connection without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.receive_frame().await.is_none()
    }

    pub async fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 3,
            configs: configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: (*name).into(),
                    value: Some((*value).into()),
                })
                .collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let response = self.call(7, &request).await;
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
    }

    /// Produces to one partition by name and gives its answer.
    pub async fn produce(&mut self, topic: &str, partition: i32, records: Bytes) -> PartitionProduceResponse {
        only_partition(self.call(9, &produce_request(topic, partition, records)).await)
    }

    pub async fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Vec<(i64, Bytes)> {
        let response = self.call(11, &fetch_request(topic, partition, offset)).await;
        records_of(&response)
    }
}

pub fn produce_request(topic: &str, partition: i32, records: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(Records::Bytes(records)),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn only_partition(response: ProduceResponse) -> PartitionProduceResponse {
    response.responses[0].partition_responses[0].clone()
}

pub fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 10 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 10 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Offset and value of every record in the first partition of a response.
pub fn records_of(response: &FetchResponse) -> Vec<(i64, Bytes)> {
    let Some(topic) = response.responses.first() else { return Vec::new() };
    let partition = &topic.partitions[0];
    assert_eq!(partition.error_code, ErrorCode::None.code());
    let bytes = partition.records.as_ref().and_then(Records::bytes).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for batch in Batches::new(bytes) {
        let (header, batch) = batch.unwrap();
        header.check_crc(&batch).unwrap();
        let block = decompressed(&header, &batch, 1 << 24).unwrap();
        for record in RecordIter::new(&header, &block) {
            let record = record.unwrap();
            found.push((record.offset, Bytes::copy_from_slice(record.value.unwrap_or_default())));
        }
    }
    found
}

/// A batch of records with these values and keys `k`.
pub fn batch(values: &[&str]) -> Bytes {
    batch_with(Compression::None, values)
}

pub fn batch_with(compression: Compression, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for value in values {
        builder.append(1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), &[]);
    }
    builder.build().unwrap()
}
