//! A producer: batches per partition, one batch of a partition in flight, so that order holds through retries.
//!
//! ```text
//!  send ──► partition's queue ──► its task: collect a batch ──► Produce to the leader ──► every record's delivery
//! ```
//! While a batch is under way the next one fills: batches grow as the broker slows down, no linger is needed.
//! An idempotent producer (the default) repeats a batch whose answer was lost under the same sequence numbers, and the
//! broker appends it once (KIP-98).

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use kolk_wire_kafka::messages::init_producer_id::InitProducerIdRequest;
use kolk_wire_kafka::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kolk_wire_kafka::records::batch::sequence_add;
use kolk_wire_kafka::records::{BatchBuilder, Compression};
use kolk_wire_kafka::{ErrorCode, Records};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::{Kafka, Lane, RecordBody};
use crate::Error;

/// How a [`Producer`] behaves.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// -1: all replicas have it; 1: the leader has it; 0: nobody answers.
    pub acks: i16,
    /// Whether repeated batches are recognised. Needs `acks` -1.
    pub idempotent: bool,
    /// Codec of the batches.
    pub compression: Compression,
    /// Records of a batch take about this many bytes, before compression.
    pub batch_bytes: usize,
    /// Records that are not acknowledged yet take about this many bytes; more wait in [`Producer::send`].
    pub buffer_bytes: usize,
    /// How long a batch may fill although nothing is under way.
    pub linger: Duration,
    /// How long a record may take, retries included.
    pub timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        ProducerOptions {
            acks: -1,
            idempotent: true,
            compression: Compression::None,
            batch_bytes: 512 * 1024,
            buffer_bytes: 32 * 1024 * 1024,
            linger: Duration::ZERO,
            timeout: Duration::from_secs(120),
        }
    }
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// Its offset; -1 if nobody answers (`acks` 0).
    pub offset: i64,
}

/// Resolves when a record is acknowledged, or finally not. Dropping it does not take the record back.
#[derive(Debug)]
pub struct Delivery(oneshot::Receiver<Result<Delivered, Arc<Error>>>);

impl Future for Delivery {
    type Output = Result<Delivered, Arc<Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|told| told.unwrap_or_else(|_| Err(Arc::new(Error::Stopped))))
    }
}

/// Writes records. A cheap handle; what was sent is delivered also after the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Producer(Arc<Inner>);

type Queues = BTreeMap<(String, i32), mpsc::Sender<Queued>>;

#[derive(Debug)]
struct Inner {
    kafka: Kafka,
    options: ProducerOptions,
    buffer: Arc<Semaphore>,
    queues: Mutex<Queues>,
    /// Producer id and epoch.
    identity: Option<(i64, i16)>,
}

#[derive(Debug)]
struct Queued {
    record: RecordBody,
    told: oneshot::Sender<Result<Delivered, Arc<Error>>>,
    _room: OwnedSemaphorePermit,
}

impl Producer {
    /// A producer; an idempotent one asks for its id first.
    pub async fn new(kafka: Kafka, options: ProducerOptions) -> Result<Producer, Error> {
        let identity = if options.idempotent && options.acks == -1 {
            Some(kafka.retrying(|| kafka.producer_id(kafka.options().timeout)).await?)
        } else {
            None
        };
        let buffer = Arc::new(Semaphore::new(options.buffer_bytes.clamp(1, u32::MAX as usize)));
        Ok(Producer(Arc::new(Inner { kafka, options, buffer, queues: Mutex::default(), identity })))
    }

    /// Queues a record for a partition, waiting while the buffer is full. Records sent to one partition keep their order.
    pub async fn send(&self, topic: &str, partition: i32, record: RecordBody) -> Delivery {
        let inner = &*self.0;
        let room = record.size().clamp(1, inner.options.buffer_bytes.max(1)) as u32;
        let room = Arc::clone(&inner.buffer).acquire_many_owned(room).await;
        let room = room.expect("the semaphore is never closed");
        let queue = {
            let mut queues = inner.queues.lock().expect("nothing panics while it holds the lock");
            let key = (topic.to_owned(), partition);
            queues.entry(key).or_insert_with_key(|(topic, partition)| inner.start(topic, *partition)).clone()
        };
        let (told, delivery) = oneshot::channel();
        // The task ends only when every sender is gone.
        let _ = queue.send(Queued { record, told, _room: room }).await;
        Delivery(delivery)
    }

    /// Waits until everything sent so far is acknowledged or has failed.
    pub async fn flush(&self) {
        let all = self.0.options.buffer_bytes.clamp(1, u32::MAX as usize) as u32;
        drop(self.0.buffer.acquire_many(all).await);
    }
}

impl Kafka {
    /// A new producer id and its epoch, for a producer without transactions. Asked once, of any broker.
    pub async fn producer_id(&self, timeout: Duration) -> Result<(i64, i16), Error> {
        let connection = self.any().await?;
        let request = InitProducerIdRequest {
            // Null; the field's own default is the empty string.
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let answer = connection.call(&request, timeout).await?;
        Error::check(answer.error_code, None, || "cannot get a producer id".to_owned())?;
        Ok((answer.producer_id, answer.producer_epoch))
    }
}

impl Inner {
    fn start(&self, topic: &str, partition: i32) -> mpsc::Sender<Queued> {
        let (queue, records) = mpsc::channel(10_000);
        let writer = Writer {
            kafka: self.kafka.clone(),
            options: self.options.clone(),
            topic: topic.to_owned(),
            partition,
            identity: self.identity,
            sequence: 0,
            leader: None,
        };
        self.kafka.door().tasks.spawn("producer", Box::pin(writer.run(records)));
        queue
    }
}

/// The task of one partition.
struct Writer {
    kafka: Kafka,
    options: ProducerOptions,
    topic: String,
    partition: i32,
    identity: Option<(i64, i16)>,
    sequence: i32,
    leader: Option<i32>,
}

impl Writer {
    async fn run(mut self, mut records: mpsc::Receiver<Queued>) {
        let mut next = None;
        loop {
            let first = match next.take() {
                Some(first) => first,
                None => match records.recv().await {
                    Some(first) => first,
                    None => return,
                },
            };
            let linger_end = Instant::now() + self.options.linger;
            let mut bytes = first.record.size();
            let mut batch = vec![first];
            while bytes < self.options.batch_bytes {
                let more = match records.try_recv() {
                    Ok(more) => more,
                    Err(_) if self.options.linger.is_zero() => break,
                    Err(_) => match tokio::time::timeout_at(linger_end, records.recv()).await {
                        Ok(Some(more)) => more,
                        Ok(None) | Err(_) => break,
                    },
                };
                bytes += more.record.size();
                if bytes > self.options.batch_bytes {
                    next = Some(more);
                    break;
                }
                batch.push(more);
            }
            self.write(batch).await;
        }
    }

    async fn write(&mut self, batch: Vec<Queued>) {
        let now_ms = self.kafka.door().clock.now_ms();
        let mut builder = BatchBuilder::new(self.options.compression);
        builder.producer = self.identity.map(|(id, epoch)| (id, epoch, self.sequence));
        for Queued { record, .. } in &batch {
            let headers: Vec<(&str, Option<&[u8]>)> =
                record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
            let timestamp = record.timestamp_ms.unwrap_or(now_ms);
            builder.append(timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
        }
        let count = builder.count();
        let written = match builder.build() {
            Ok(bytes) => {
                let request = ProduceRequest {
                    acks: self.options.acks,
                    timeout_ms: 30_000,
                    topic_data: vec![TopicProduceData {
                        name: self.topic.as_str().into(),
                        partition_data: vec![PartitionProduceData {
                            index: self.partition,
                            records: Some(Records::Bytes(bytes)),
                        }],
                        ..Default::default()
                    }],
                    ..Default::default()
                };
                self.deliver(&request).await
            }
            Err(error) => Err(Error::Garbled {
                address: crate::Address { host: "this program".to_owned(), port: 0 },
                reason: error.to_string(),
            }),
        };
        match written {
            Ok(base_offset) => {
                self.sequence = sequence_add(self.sequence, count);
                for (at, Queued { told, .. }) in (0i64..).zip(batch) {
                    let offset = if base_offset < 0 { -1 } else { base_offset + at };
                    let _ = told.send(Ok(Delivered { partition: self.partition, offset }));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                // Whether the batch is in the log may be unknown, so its sequence numbers cannot be used for others.
                if self.identity.is_some()
                    && let Ok(fresh) = self.kafka.producer_id(self.kafka.options().timeout).await
                {
                    self.identity = Some(fresh);
                    self.sequence = 0;
                }
                for Queued { told, .. } in batch {
                    let _ = told.send(Err(Arc::clone(&error)));
                }
            }
        }
    }

    /// Sends the batch until it is acknowledged; gives its base offset.
    async fn deliver(&mut self, request: &ProduceRequest) -> Result<i64, Error> {
        let end = Instant::now() + self.options.timeout;
        loop {
            match self.deliver_once(request).await {
                // Without an idempotent producer, a batch whose answer was lost would be appended twice.
                Err(error) if error.is_retriable() && Instant::now() < end => {
                    let unknown = matches!(error, Error::Closed { .. } | Error::TimedOut { .. });
                    if unknown && self.identity.is_none() {
                        return Err(error);
                    }
                    self.leader = None;
                    tokio::time::sleep(self.kafka.options().backoff).await;
                }
                Err(error) if error.code() == Some(ErrorCode::DuplicateSequenceNumber) => return Ok(-1),
                done => return done,
            }
        }
    }

    async fn deliver_once(&mut self, request: &ProduceRequest) -> Result<i64, Error> {
        let leader = match self.leader {
            Some(leader) => leader,
            None => {
                let described = self.kafka.topic(&self.topic).await?;
                *self.leader.insert(described.leader(&self.topic, self.partition)?)
            }
        };
        let connection = self.kafka.broker(leader, Lane::Write).await?;
        // From 13 on topics have ids only.
        let version = connection.version_at_most::<ProduceRequest>(12)?;
        if self.options.acks == 0 {
            connection.send_unanswered(version, request).await?;
            return Ok(-1);
        }
        let answer = connection.call_version(version, request, self.kafka.options().timeout).await?;
        let partition = answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
        let partition = partition.ok_or_else(|| Error::Garbled {
            address: connection.address().clone(),
            reason: "no partition in the answer".to_owned(),
        })?;
        Error::check(partition.error_code, partition.error_message.as_deref(), || {
            format!("cannot write to {} partition {}", self.topic, self.partition)
        })?;
        Ok(partition.base_offset)
    }
}

/// Chooses partitions as Kafka's own producers do: by the key's hash, keyless records batch by batch in turn.
#[derive(Debug, Default)]
pub struct Partitioner {
    sticky: BTreeMap<String, (i32, usize)>,
}

/// Bytes of keyless records that go to one partition before the next one has its turn.
const STICKY_BYTES: usize = 16 * 1024;

impl Partitioner {
    /// The partition for a record of a topic with so many partitions.
    pub fn partition(&mut self, topic: &str, partitions: i32, record: &RecordBody) -> i32 {
        if let Some(key) = &record.key {
            return default_partition(key, partitions);
        }
        if !self.sticky.contains_key(topic) {
            self.sticky.insert(topic.to_owned(), (0, 0));
        }
        let (partition, bytes) = self.sticky.get_mut(topic).expect("it was put there");
        if *bytes >= STICKY_BYTES {
            (*partition, *bytes) = (*partition + 1, 0);
        }
        *bytes += record.size();
        *partition %= partitions.max(1);
        *partition
    }
}

/// The partition that Kafka's Java producer chooses for a key: murmur2, the sign bit off, modulo the count.
pub fn default_partition(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions.max(1)
}

fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (at, byte) in rest.iter().enumerate().rev() {
        hash ^= u32::from(*byte) << (8 * at);
        if at == 0 {
            hash = hash.wrapping_mul(M);
        }
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_kafkas_producers_send_them() {
        // Values of the Java client's Utils.murmur2, which its own tests publish.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
        assert_eq!(default_partition(b"abc", 1), 0);
    }

    #[test]
    fn keyless_records_take_turns_by_bytes() {
        let mut partitioner = Partitioner::default();
        let record = RecordBody { value: Some(vec![0; 4096].into()), ..Default::default() };
        let chosen: Vec<i32> = (0..16).map(|_| partitioner.partition("t", 3, &record)).collect();
        assert_eq!(chosen, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0]);
    }
}
