//! Kafka producers on the wire: up to five batches in flight, sent again when answers are lost or take too long.
//!
//! An idempotent producer that behaves never has more than five batches of a partition without an answer, sends them
//! again in order from the first one, and leaves a producer id behind whose sequence it cannot know (KIP-98).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kolk_client::Error;
use kolk_client::kafka::{Connection, Producer, ProducerOptions, RecordBody};
use kolk_wire_kafka::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kolk_wire_kafka::records::{BatchBuilder, Compression};
use kolk_wire_kafka::{ErrorCode, Records};

use super::LEDGER;
use super::client::{Client, leaves_open, padded};
use crate::KAFKA;
use crate::history::{Again, Name, Place, Record, Ticket, Told, What, Write, bare};

/// Batches of a partition without an answer, as Kafka's clients have them at most.
const IN_FLIGHT_MAX: u64 = 5;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most times that a batch is sent.
const ATTEMPTS: u32 = 1000;

/// A producer.
pub(super) struct Pipeline {
    client: Client,
    topic: Name,
    again: Again,
    /// Producer id and epoch.
    identity: Option<(i64, i16)>,
    /// The next sequence number of each partition.
    sequences: BTreeMap<i32, i32>,
    connection: Option<Connection>,
    /// Connections that were given up and are left open: what they carry may still arrive, and a later attempt may
    /// take one again.
    abandoned: VecDeque<Connection>,
    partitions: i32,
    /// The number of the next record.
    number: u64,
}

/// A batch on its way.
struct Batch {
    ticket: Option<Ticket>,
    write: Write,
    request: ProduceRequest,
    /// Whether an attempt without an answer may have put it into the log.
    may_be_there: bool,
}

impl Pipeline {
    pub fn new(client: Client, topic: &str, again: Again) -> Pipeline {
        Pipeline {
            client,
            topic: topic.into(),
            again,
            identity: None,
            sequences: BTreeMap::new(),
            connection: None,
            abandoned: VecDeque::new(),
            partitions: 1,
            number: 0,
        }
    }

    /// Writes until the run winds down.
    pub async fn run(mut self) {
        while self.client.goes_on(120).await {
            if self.number.is_multiple_of(7)
                && let Ok(topic) = self.client.world.kafka().topic(bare(&self.topic)).await
            {
                self.partitions = topic.partitions.len() as i32;
            }
            self.burst().await;
        }
    }

    async fn burst(&mut self) {
        if self.again == Again::Idempotent && self.identity.is_none() {
            self.identity = producer_id(&self.client).await;
            self.sequences.clear();
            if self.identity.is_none() {
                return;
            }
        }
        let partition = self.client.world.below(self.partitions as u64) as i32;
        let depth = match self.again {
            // Of a producer that a partition does not know it takes any sequence: the first batch goes alone.
            Again::Idempotent if !self.sequences.contains_key(&partition) => 1,
            Again::Idempotent => 1 + self.client.world.below(IN_FLIGHT_MAX),
            Again::Never | Again::Blindly => 1,
        };
        let mut batches: Vec<Batch> = (0..depth).map(|_| self.batch(partition)).collect();
        let mut first = 0;
        for _ in 0..ATTEMPTS {
            let answers = self.attempt(&batches[first..]).await;
            for answer in answers {
                match answer {
                    Ok(offset) => self.ended(&mut batches[first], Told::Ok(offset)),
                    Err(error) if error.code() == Some(ErrorCode::DuplicateSequenceNumber) => {
                        self.ended(&mut batches[first], Told::Ok(-1));
                    }
                    Err(error) if leaves_open(&error) => break,
                    Err(error) => return self.refused(&mut batches[first..], &error),
                }
                first += 1;
            }
            if first == batches.len() || self.again == Again::Never {
                break;
            }
            batches[first..].iter_mut().for_each(|batch| batch.may_be_there = true);
            if self.client.world.below(2) == 0 {
                self.client.world.pause(100).await;
            }
        }
        if first < batches.len() {
            // What became of them stays unknown, and so does the sequence.
            self.identity = None;
        }
    }

    /// A batch with the next numbers, begun in the history.
    fn batch(&mut self, partition: i32) -> Batch {
        let world = &self.client.world;
        let count = 1 + world.below(3);
        let now_ms = self.client.now_ms();
        let compression = if world.below(4) == 0 { Compression::Lz4 } else { Compression::None };
        let mut builder = BatchBuilder::new(compression);
        let sequence = self.sequences.entry(partition).or_default();
        builder.producer = self.identity.map(|(id, epoch)| (id, epoch, *sequence));
        *sequence += count as i32;
        let mut records = Vec::new();
        for _ in 0..count {
            let value = format!("{}-{}", self.client.name, self.number);
            self.number += 1;
            let sent = padded(&value, world.below(world.record_bytes));
            builder.append(now_ms, Some(self.client.name.as_bytes()), Some(sent.as_bytes()), &[]);
            records.push(Record { key: Some(self.client.name.to_string()), value });
        }
        let bytes = builder.build().expect("a few small records are a batch");
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: bare(&self.topic).into(),
                partition_data: vec![PartitionProduceData {
                    index: partition,
                    records: Some(Records::Bytes(bytes)),
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let write = Write {
            topic: self.topic.clone(),
            partition: Some(partition),
            again: self.again,
            records,
            told: Told::Unknown("no answer".to_owned()),
        };
        let ticket = self.client.recorder.begin(&self.client.name, now_ms, What::Write(write.clone()));
        Batch { ticket: Some(ticket), write, request, may_be_there: false }
    }

    /// Sends batches in order; gives the answers of the first ones, as far as the producer waited for them.
    async fn attempt(&mut self, batches: &[Batch]) -> Vec<Result<i64, Error>> {
        let mut answers = Vec::new();
        self.abandoned.retain(|connection| !connection.is_closed());
        let again = if self.abandoned.len() >= 2 { self.abandoned.pop_front() } else { None };
        let connection = match self.connection.take().or(again).filter(|connection| !connection.is_closed()) {
            Some(open) => open,
            None => match self.connect().await {
                Ok(open) => open,
                Err(error) => return vec![Err(error)],
            },
        };
        let version = match connection.version_at_most::<ProduceRequest>(12) {
            Ok(version) => version,
            Err(error) => return vec![Err(error)],
        };
        let mut replies = Vec::new();
        for batch in batches {
            match connection.submit_version(version, &batch.request).await {
                Ok(reply) => replies.push(reply),
                Err(error) => {
                    answers.push(error);
                    break;
                }
            }
        }
        // Now and then a producer with retries loses patience, as after a timeout: what it sent may arrive later.
        let world = &self.client.world;
        if self.again != Again::Never && world.below(6) == 0 {
            if world.below(2) == 0 {
                world.pause(4).await;
            }
            if world.below(4) != 0 {
                self.abandoned.push_back(connection);
            }
            return Vec::new();
        }
        let mut told = Vec::new();
        for reply in replies {
            let answer = match tokio::time::timeout(PATIENCE, reply).await {
                Ok(answer) => answer.and_then(|answer| {
                    let partition =
                        answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
                    let partition = partition.expect("an answer for the partition that was written to");
                    let message = partition.error_message.as_deref();
                    Error::check(partition.error_code, message, || "produce".to_owned())
                        .map(|()| partition.base_offset)
                }),
                Err(_) => Err(Error::TimedOut {
                    address: connection.address().clone(),
                    what: "Produce",
                    after: PATIENCE,
                }),
            };
            let failed = answer.is_err();
            told.push(answer);
            if failed {
                return told;
            }
        }
        told.extend(answers.into_iter().map(Err));
        self.connection = Some(connection);
        told
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let address = KAFKA.parse().expect("a constant address");
        Connection::open(&self.client.world.sim.outside(), &address, &self.client.name, PATIENCE).await
    }

    fn ended(&self, batch: &mut Batch, told: Told<i64>) {
        let count = batch.write.records.len();
        let places = |base: i64| match base {
            0.. => (base..).take(count).map(Place::Offset).collect(),
            _ => vec![Place::Somewhere; count],
        };
        let told = told.map(places);
        if let Some(ticket) = batch.ticket.take() {
            self.client.recorder.end(ticket, self.client.now_ms(), |what| {
                if let What::Write(write) = what {
                    write.told = told;
                }
            });
        }
    }

    /// The first of these was refused for good. An attempt before it, whose answer was lost, may have been taken; of
    /// that a wrong sequence is the one refusal that says something.
    fn refused(&mut self, batches: &mut [Batch], error: &Error) {
        let is_sequence = error.code() == Some(ErrorCode::OutOfOrderSequenceNumber);
        for (at, batch) in batches.iter_mut().enumerate() {
            let certain = at == 0 && (is_sequence || !batch.may_be_there);
            let why = format!("{error} ({:?})", error.code());
            self.ended(batch, if certain { Told::Refused(why) } else { Told::Unknown(why) });
        }
        self.identity = None;
    }
}

/// A producer of the client library: collects batches, and tries until they are acknowledged.
pub(super) async fn steady(client: Client) {
    let topic: Name = LEDGER.into();
    let kafka = client.world.kafka();
    let producer = loop {
        match Producer::new(kafka.clone(), ProducerOptions::default()).await {
            Ok(producer) => break producer,
            Err(_) if client.goes_on(100).await => {}
            Err(_) => return,
        }
    };
    let mut partitions = 1;
    let mut deliveries = Vec::new();
    for number in 0.. {
        if !client.goes_on(150).await {
            break;
        }
        if number % 8 == 0
            && let Ok(topic) = kafka.topic(&topic).await
        {
            partitions = topic.partitions.len() as u64;
        }
        let world = &client.world;
        let partition = world.below(partitions) as i32;
        let value = format!("{}-{number}", client.name);
        let sent = padded(&value, world.below(world.record_bytes));
        let write = Write {
            topic: topic.clone(),
            partition: Some(partition),
            again: Again::Idempotent,
            records: vec![Record { key: None, value }],
            told: Told::Unknown("no answer".to_owned()),
        };
        let ticket = client.recorder.begin(&client.name, client.now_ms(), What::Write(write));
        let record = RecordBody { value: Some(sent.into()), ..Default::default() };
        let delivery = producer.send(&topic, partition, record).await;
        let writer = client.clone();
        deliveries.push(client.world.spawn("mixed-delivery", async move {
            let told = match delivery.await {
                Ok(delivered) if delivered.offset == -1 => Told::Ok(vec![Place::Somewhere]),
                Ok(delivered) => Told::Ok(vec![Place::Offset(delivered.offset)]),
                Err(error) if leaves_open(&error) => Told::Unknown(error.to_string()),
                Err(error) => Told::Refused(error.to_string()),
            };
            writer.recorder.end(ticket, writer.now_ms(), |what| {
                if let What::Write(write) = what {
                    write.told = told;
                }
            });
        }));
    }
    for delivery in deliveries {
        delivery.0.await.expect("nothing in it panics");
    }
}

/// A new producer id, written down.
pub(super) async fn producer_id(client: &Client) -> Option<(i64, i16)> {
    let mut epoch = 0;
    let told = client
        .act(|told| What::ProducerId { told }, async {
            let (id, its_epoch) = client.world.kafka().producer_id(PATIENCE).await?;
            epoch = its_epoch;
            Ok(id)
        })
        .await;
    told.ok().map(|id| (*id, epoch))
}
