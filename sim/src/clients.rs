//! The clients of a run. A server that goes away and comes back is no error to them.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kolk_client::kafka::{
    FetchOptions, GroupConsumer, GroupEvent, GroupOptions, NewTopic, OffsetSpec, Producer, ProducerOptions,
    RecordBody,
};
use kolk_client::{Error, kinesis};
use kolk_engine::BoxFuture;
use kolk_engine::door::TaskHandle;
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kinesis::replies::Shard;
use kolk_wire_kinesis::requests::{
    ListShardsInput, MergeShardsInput, PutRecordInput, PutRecordsInput, PutRecordsRequestEntry,
    SplitShardInput,
};
use kolk_wire_kinesis::sequence::{Position, SequenceNumber};
use kolk_wire_kinesis::shard_id;

use crate::ledger::{Ledger, Place};
use crate::workload::Workload;
use crate::world::World;
use crate::{GROUP, PARTITIONS, Plan, TOPIC, check};

/// Shards, closed ones included, once everything that [`reshard`] does is done: two splits, one merge.
pub(crate) const SHARDS_IN_THE_END: usize = PARTITIONS as usize + 2 + 2 + 1;

/// The first workload: everybody writes to one topic while its shards are split and merged, and a group reads it.
pub(crate) struct Flights {
    plan: Plan,
    ledger: Arc<Ledger>,
}

impl Flights {
    pub fn new(plan: &Plan) -> Self {
        Flights { plan: plan.clone(), ledger: Arc::default() }
    }

    fn client(&self, world: &World) -> Client {
        Client { world: world.clone(), ledger: self.ledger.clone() }
    }
}

impl Workload for Flights {
    fn name(&self) -> &'static str {
        "flights"
    }

    fn prepare<'a>(&'a self, world: &'a World) -> BoxFuture<'a, ()> {
        Box::pin(async { self.client(world).create_topic().await })
    }

    fn start(&self, world: &World) -> Vec<TaskHandle> {
        let client = self.client(world);
        let mut clients = start_writers(&client, &self.plan);
        self.ledger.told().writers = clients.len();
        clients.extend((0..self.plan.members).map(|_| client.spawn("sim-member", member(client.clone()))));
        clients
    }

    fn check<'a>(&'a self, world: &'a World) -> BoxFuture<'a, ()> {
        Box::pin(async { check::everything(&self.client(world)).await })
    }
}

/// What every client has: the world around the server, and the ledger.
#[derive(Clone)]
pub(crate) struct Client {
    pub world: World,
    pub ledger: Arc<Ledger>,
}

impl Deref for Client {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Client {
    /// A topic whose shards may be split and merged, made by a Kafka client.
    pub async fn create_topic(&self) {
        let topic = NewTopic {
            name: TOPIC.to_owned(),
            partitions: Some(PARTITIONS),
            replication: Some(3),
            configs: vec![("kolk.reshard".to_owned(), "split+merge".to_owned())],
        };
        self.kafka().create_topic(&topic).await.expect("a fresh server makes a topic");
    }
}

/// Tries again while the server is away.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, Error>>>(mut call: impl FnMut() -> F) -> T {
    for _ in 0..1000 {
        match call().await {
            Ok(done) => return done,
            Err(error) if went_away(&error) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the server did not come back");
}

/// Whether the server crashed while it was asked.
fn went_away(error: &Error) -> bool {
    error.is_retriable() || matches!(error, Error::Kinesis { status: 500.., .. })
}

/// Everybody whose end is the end of the load.
fn start_writers(client: &Client, plan: &Plan) -> Vec<TaskHandle> {
    let mut started = Vec::new();
    for writer in 0..plan.kafka_writers {
        started.push(client.spawn(
            "sim-kafka",
            kafka_writer(client.clone(), format!("k{writer}"), plan.records, plan.record_bytes),
        ));
    }
    for writer in 0..plan.kinesis_writers {
        started.push(
            client.spawn("sim-kinesis", kinesis_writer(client.clone(), format!("n{writer}"), plan.records)),
        );
    }
    started.push(client.spawn("sim-reshard", reshard(client.clone(), plan.kafka_writers)));
    started
}

/// An idempotent producer: whatever the server goes through, each record is acknowledged in the end.
async fn kafka_writer(client: Client, name: String, records: u64, record_bytes: usize) {
    let kafka = client.kafka();
    let producer = patiently(|| Producer::new(kafka.clone(), ProducerOptions::default())).await;
    let mut partitions = PARTITIONS as u64;
    let mut under_way = Vec::new();
    for number in 0..records {
        if number % 8 == 7 {
            partitions = patiently(|| kafka.topic(TOPIC)).await.partitions.len() as u64;
        }
        let value = format!("{name}-{number}");
        let record = RecordBody {
            key: Some(Bytes::from(name.clone())),
            value: Some(Bytes::from(value.clone())),
            headers: vec![("filler".to_owned(), Some(Bytes::from(vec![b'x'; record_bytes])))],
            ..Default::default()
        };
        let partition = client.below(partitions) as i32;
        under_way.push((value, producer.send(TOPIC, partition, record).await));
        if client.below(3) == 0 {
            client.pause(300).await;
        }
    }
    for (value, delivery) in under_way {
        let place = match delivery.await {
            Ok(delivered) if delivered.offset == -1 => Place::KafkaSomewhere,
            Ok(delivered) => Place::Kafka { partition: delivered.partition, offset: delivered.offset },
            // It gave up after two minutes of faults.
            Err(error) if went_away(&error) => Place::Unknown,
            Err(error) => panic!("{value}: {error}"),
        };
        client.ledger.wrote(&value, place);
    }
    let mut told = client.ledger.told();
    told.kafka_writers_ended += 1;
    told.writers_ended += 1;
}

/// Puts one by one and some at a time, one call after the other. What got no answer is not tried again.
async fn kinesis_writer(client: Client, name: String, records: u64) {
    let kinesis = client.kinesis();
    let mut number = 0;
    while number < records || !client.ledger.told().resharding_is_over {
        let count = if client.below(2) == 0 { 1 } else { 1 + client.below(5) };
        let batch: Vec<(String, String)> = (number..number + count)
            .map(|number| (format!("{name}-{number}"), format!("{name} {}", client.below(4))))
            .collect();
        number += count;
        match put(&kinesis, &batch).await {
            Ok(places) => {
                for ((value, _), place) in batch.iter().zip(places) {
                    client.ledger.wrote(value, place);
                }
            }
            // Never sent: certainly not there.
            Err(Error::Connect { .. }) => {}
            Err(error) if went_away(&error) => {
                batch.iter().for_each(|(value, _)| client.ledger.wrote(value, Place::Unknown));
            }
            Err(error) => panic!("{error}"),
        }
        client.pause(150).await;
    }
    client.ledger.told().writers_ended += 1;
}

async fn put(kinesis: &kinesis::Kinesis, batch: &[(String, String)]) -> Result<Vec<Place>, Error> {
    if let [(value, key)] = batch {
        let put = PutRecordInput {
            partition_key: Some(key.clone()),
            data: Bytes::from(value.clone()),
            stream_name: Some(TOPIC.to_owned()),
            sequence_number_for_ordering: None,
            explicit_hash_key: None,
            stream_arn: None,
            stream_id: None,
            dry_run: None,
        };
        let answer = kinesis.call(&put).await?;
        return Ok(vec![place(&answer.shard_id, &answer.sequence_number)]);
    }
    let entry = |(value, key): &(String, String)| PutRecordsRequestEntry {
        partition_key: Some(key.clone()),
        explicit_hash_key: None,
        data: Bytes::from(value.clone()),
    };
    let put = PutRecordsInput {
        records: batch.iter().map(entry).collect(),
        stream_name: Some(TOPIC.to_owned()),
        stream_arn: None,
        stream_id: None,
        dry_run: None,
    };
    let answer = kinesis.call(&put).await?;
    assert_eq!(answer.records.len(), batch.len());
    let places = answer.records.iter().map(|result| match (&result.shard_id, &result.sequence_number) {
        (Some(shard), Some(sequence)) => place(shard, sequence),
        // The log closed under it.
        _ => Place::Unknown,
    });
    Ok(places.collect())
}

fn place(shard: &str, sequence: &str) -> Place {
    let shard = shard_id::parse(shard).expect("shards have ids");
    Place::Kinesis { shard, offset: offset_of(sequence) }
}

/// The offset that a record's sequence number encodes.
pub(crate) fn offset_of(sequence: &str) -> i64 {
    let number: SequenceNumber = sequence.parse().expect("sequence numbers of ours");
    match number.position() {
        Position::Offset(offset) => offset,
        other => panic!("{sequence} is {other:?}, not a record"),
    }
}

/// Every shard there is or was, in the order of their ids: parents before children.
pub(crate) async fn shards(kinesis: &kinesis::Kinesis) -> Vec<Shard> {
    let page = ListShardsInput {
        exclusive_start_shard_id: None,
        max_results: None,
        next_token: None,
        stream_creation_timestamp: None,
        stream_name: Some(TOPIC.to_owned()),
        shard_filter: None,
        kolk_places: Some(true),
        stream_arn: None,
        stream_id: None,
    };
    let answer = patiently(|| kinesis.call(&page)).await;
    assert_eq!(answer.next_token, None, "a handful of shards is one page");
    answer.shards.unwrap_or_default()
}

/// Splits a shard, splits another, merges two, whatever else is going on.
///
/// The merge comes when the Kafka clients are done: it retires a partition, to which Kafka may not write.
async fn reshard(client: Client, kafka_writers: usize) {
    let kinesis = client.kinesis();
    let begun = shards(&kinesis).await.len();
    assert_eq!(begun, PARTITIONS as usize);
    for (target, is_split) in [(begun + 2, true), (begun + 4, true), (SHARDS_IN_THE_END, false)] {
        client.pause(1500).await;
        while !is_split && client.ledger.told().kafka_writers_ended < kafka_writers {
            client.pause(100).await;
        }
        loop {
            let all = shards(&kinesis).await;
            // A crash may have hidden that it was done.
            if all.len() >= target {
                break;
            }
            let tried = if is_split {
                split(&client, &kinesis, &all).await
            } else {
                merge(&client, &kinesis, &all).await
            };
            match tried {
                Ok(()) => {}
                Err(error) if went_away(&error) => client.pause(50).await,
                Err(error) => panic!("{error}"),
            }
        }
    }
    let mut told = client.ledger.told();
    told.resharding_is_over = true;
    told.writers_ended += 1;
}

/// Open shards in hash order, with their first and last hash key.
fn open_shards(all: &[Shard]) -> Vec<(&str, u128, u128)> {
    let mut open: Vec<_> = all
        .iter()
        .filter(|shard| shard.sequence_number_range.ending_sequence_number.is_none())
        .map(|shard| {
            let key = |text: &str| text.parse().expect("hash keys are numbers");
            let range = &shard.hash_key_range;
            (shard.shard_id.as_str(), key(&range.starting_hash_key), key(&range.ending_hash_key))
        })
        .collect();
    open.sort_by_key(|(_, start, _)| *start);
    open
}

async fn split(client: &Client, kinesis: &kinesis::Kinesis, all: &[Shard]) -> Result<(), Error> {
    let open = open_shards(all);
    let (id, start, end) = open[client.below(open.len() as u64) as usize];
    let split = SplitShardInput {
        new_starting_hash_key: (start + (end - start) / 2).to_string(),
        stream_name: Some(TOPIC.to_owned()),
        shard_to_split: id.to_owned(),
        stream_arn: None,
        stream_id: None,
    };
    kinesis.call(&split).await.map(drop)
}

async fn merge(client: &Client, kinesis: &kinesis::Kinesis, all: &[Shard]) -> Result<(), Error> {
    let open = open_shards(all);
    let at = client.below(open.len() as u64 - 1) as usize;
    let merge = MergeShardsInput {
        shard_to_merge: open[at].0.to_owned(),
        adjacent_shard_to_merge: open[at + 1].0.to_owned(),
        stream_name: Some(TOPIC.to_owned()),
        stream_arn: None,
        stream_id: None,
    };
    kinesis.call(&merge).await.map(drop)
}

/// A consumer of the group that reads from the start.
pub(crate) fn consumer(client: &Client) -> GroupConsumer {
    let options = GroupOptions {
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(20),
        auto_commit: None,
        reset: OffsetSpec::Earliest,
        fetch: FetchOptions { max_wait: Duration::from_millis(300), ..Default::default() },
        ..Default::default()
    };
    GroupConsumer::new(client.kafka(), GROUP, &[TOPIC.to_owned()], options)
}

/// What a poll brought, if the server was there to answer: records go into the ledger.
pub(crate) async fn poll(client: &Client, consumer: &mut GroupConsumer) -> bool {
    match consumer.poll().await {
        Ok(GroupEvent::Records(fetched)) => {
            for record in fetched.records {
                let value = record.body.value.expect("every record has a value");
                let value = String::from_utf8(value.to_vec()).expect("values are text");
                client.ledger.read(fetched.partition, record.offset, value);
            }
            true
        }
        Ok(GroupEvent::Assigned(_) | GroupEvent::Idle) => false,
        Err(error) if may_pass(&error) => {
            client.pause(100).await;
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn may_pass(error: &Error) -> bool {
    // A generation may have ended while its member was away.
    went_away(error)
        || matches!(
            error.code(),
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress)
        )
}

/// A member that reads and commits until the load is over, then leaves.
async fn member(client: Client) {
    client.pause(2000).await;
    let mut consumer = consumer(&client);
    while !client.ledger.told().load_is_over() {
        if poll(&client, &mut consumer).await && client.below(2) == 0 {
            match consumer.commit().await {
                Ok(()) => {}
                Err(error) if may_pass(&error) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    match consumer.leave().await {
        Ok(()) => {}
        Err(error) if may_pass(&error) => {}
        Err(error) => panic!("{error}"),
    }
}
