//! Handlers without a socket: how often they wait for the log, and what they hold while they wait for a turn.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use kolk_broker::topics::NewTopic;
use kolk_broker::{Broker, Settings};
use kolk_engine::door::real;
use kolk_engine::memory::{MemoryEngine, MemoryOptions};
use kolk_engine::state::{Command, Membership, Outcome, Refusal, State};
use kolk_engine::{
    Append, AppendError, Appended, BoxFuture, Engine, EngineError, FoundOffset, Offset, OffsetQuery,
    PartitionId, PartitionRead, Pending, Published, ReadError, ReadRequest,
};
use kolk_wire_kafka::codec::Request;
use kolk_wire_kafka::messages::alter_configs::{AlterConfigsRequest, AlterConfigsResource, AlterableConfig};
use kolk_wire_kafka::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use kolk_wire_kafka::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use kolk_wire_kafka::messages::delete_groups::DeleteGroupsRequest;
use kolk_wire_kafka::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kolk_wire_kafka::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use kolk_wire_kafka::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use kolk_wire_kafka::messages::describe_groups::DescribeGroupsRequest;
use kolk_wire_kafka::messages::metadata::MetadataRequest;
use kolk_wire_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kolk_wire_kafka::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use tokio::time::Instant;

use super::*;
use crate::server::{Serving, serve_on};

/// A log that others keep busy: what is seen or decided is durable with the frame that is begun next, and one begins each
/// millisecond.
struct Busy {
    below: MemoryEngine,
    begun: Instant,
    waits: Arc<Waits>,
}

/// How many answers wait for the log, and how many did at a time.
#[derive(Default)]
struct Waits {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// An answer that waits.
struct Wait(Arc<Waits>);

impl Wait {
    fn new(waits: &Arc<Waits>) -> Wait {
        let now = waits.now.fetch_add(1, Ordering::Relaxed) + 1;
        waits.most.fetch_max(now, Ordering::Relaxed);
        Wait(Arc::clone(waits))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Busy {
    fn with_next_frame<T: Send + 'static>(&self, pending: Pending<T>) -> Pending<T> {
        let frames = self.begun.elapsed().as_millis() as u64 + 1;
        let end = self.begun + Duration::from_millis(frames);
        let wait = Wait::new(&self.waits);
        Pending::new(async move {
            let _wait = wait;
            tokio::time::sleep_until(end).await;
            pending.await
        })
    }
}

impl Engine for Busy {
    fn append(&self, appends: Vec<Append>) -> Pending<Vec<Result<Appended, AppendError>>> {
        self.with_next_frame(self.below.append(appends))
    }

    fn propose(&self, command: Command) -> Pending<Result<Outcome, Refusal>> {
        self.with_next_frame(self.below.propose(command))
    }

    fn validate(&self, command: &Command) -> Pending<Result<Outcome, Refusal>> {
        self.with_next_frame(self.below.validate(command))
    }

    fn with_state(&self, view: &mut dyn FnMut(&State)) -> Pending<()> {
        self.with_next_frame(self.below.with_state(view))
    }

    fn read(
        &self,
        request: ReadRequest,
    ) -> BoxFuture<'_, Result<Vec<Result<PartitionRead, ReadError>>, EngineError>> {
        self.below.read(request)
    }

    fn offset(
        &self,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> BoxFuture<'_, Result<Result<Option<FoundOffset>, ReadError>, EngineError>> {
        self.below.offset(partition, query)
    }

    fn published(&self, partition: PartitionId) -> Option<Published> {
        self.below.published(partition)
    }

    fn watch(&self, partitions: &[(PartitionId, Offset)]) -> BoxFuture<'static, ()> {
        self.below.watch(partitions)
    }

    fn size_bytes(&self, partition: PartitionId) -> u64 {
        self.below.size_bytes(partition)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.below.close()
    }
}

/// A face over a busy log, and somebody who asks.
struct World {
    broker: Broker,
    serving: Serving,
    client: Client,
    waits: Arc<Waits>,
}

impl World {
    fn new() -> World {
        let door = real::door(real::DiskOptions::default());
        let below = MemoryEngine::new(door.clone(), MemoryOptions::default());
        let waits = Arc::new(Waits::default());
        let engine = Arc::new(Busy { below, begun: Instant::now(), waits: waits.clone() });
        let broker = Broker::new(engine, door, Settings::default());
        let serving = serve_on(Vec::new(), broker.clone(), Default::default());
        let address = ([127, 0, 0, 1], 9092).into();
        let client = Client { peer: address, local: address, advertise: None };
        World { broker, serving, client, waits }
    }

    /// Runs a request to its end: how many frames of the log it took, and its errors.
    async fn try_frames<R: Request>(&self, version: i16, request: &R) -> Result<(u128, usize), Close> {
        let header =
            RequestHeader { api_key: R::KEY.key(), api_version: version, correlation_id: 1, client_id: None };
        let body = request.to_bytes(version).expect("a request");
        let admitted = self.broker.admission().admit(
            body.len() + REQUEST_BYTES,
            kolk_broker::Class::Data,
            Beside::Nothing,
        );
        let permit = admitted.await;
        // From the beginning of a frame.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        let reply = handle(self.serving.shared(), &self.client, R::KEY, &header, body, permit).await?;
        let errors = reply.errors().iter().map(|(_, count)| *count as usize).sum();
        Ok((begun.elapsed().as_millis(), errors))
    }
}

impl World {
    async fn frames<R: Request>(&self, version: i16, request: &R) -> (u128, usize) {
        self.try_frames(version, request).await.expect("an answer")
    }
}

const NAMED: usize = 300;

fn name(n: usize) -> Str {
    Str::from(format!("n{n:03}"))
}

/// Whatever names many topics or groups waited for the log for each of them, some of it with the only turn in hand that there
/// is for such answers: 4000 topics were described in 8000 frames.
#[tokio::test(start_paused = true)]
async fn who_names_many_waits_for_the_log_as_often_as_who_names_one() {
    let world = World::new();
    let topic =
        |n| CreatableTopic { name: name(n), num_partitions: 1, replication_factor: 1, ..Default::default() };
    let create = CreateTopicsRequest { topics: (0..NAMED).map(topic).collect(), ..Default::default() };
    assert_eq!(world.frames(7, &create).await, (1, 0));

    let resource =
        |n| DescribeConfigsResource { resource_type: 2, resource_name: name(n), ..Default::default() };
    let describe =
        DescribeConfigsRequest { resources: (0..NAMED).map(resource).collect(), ..Default::default() };
    assert_eq!(world.frames(4, &describe).await, (1, 0));

    let alter = |n| AlterConfigsResource {
        resource_type: 2,
        resource_name: name(n),
        configs: vec![AlterableConfig { name: "retention.ms".into(), value: Some("1".into()) }],
    };
    let alter = AlterConfigsRequest { resources: (0..NAMED).map(alter).collect(), ..Default::default() };
    assert_eq!(world.frames(2, &alter).await, (2, 0));

    let grow = |n| CreatePartitionsTopic { name: name(n), count: 2, assignments: None };
    let grow = CreatePartitionsRequest { topics: (0..NAMED).map(grow).collect(), ..Default::default() };
    assert_eq!(world.frames(3, &grow).await, (2, 0));

    // A commit as clients make it, between two polls.
    let commit = |n| OffsetCommitRequestTopic {
        name: name(n),
        partitions: vec![OffsetCommitRequestPartition { committed_offset: 1, ..Default::default() }],
        ..Default::default()
    };
    let commit = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: (0..NAMED).map(commit).collect(),
        ..Default::default()
    };
    assert_eq!(world.frames(9, &commit).await, (1, 0));

    for n in 0..NAMED {
        let group = name(n).to_string().into();
        let store =
            Command::StoreGroup { group, expected_generation: None, membership: Membership::default() };
        assert_eq!(world.broker.propose(store).await.unwrap(), Ok(Outcome::Done));
    }
    let all = DescribeGroupsRequest { groups: (0..NAMED).map(name).collect(), ..Default::default() };
    assert_eq!(world.frames(6, &all).await, (1, 0));

    let group = |n| OffsetFetchRequestGroup {
        group_id: name(n),
        topics: Some(vec![OffsetFetchRequestTopics {
            name: name(0),
            partition_indexes: vec![0],
            ..Default::default()
        }]),
        ..Default::default()
    };
    let fetch = OffsetFetchRequest { groups: (0..NAMED).map(group).collect(), ..Default::default() };
    assert_eq!(world.frames(9, &fetch).await, (1, 0));

    let groups = DeleteGroupsRequest { groups_names: (0..NAMED).map(name).collect() };
    assert_eq!(world.frames(2, &groups).await, (1, 0));
    assert_eq!(world.frames(2, &groups).await, (1, NAMED), "they are gone");

    let topic = |n| DeleteTopicState { name: Some(name(n)), ..Default::default() };
    let delete = DeleteTopicsRequest { topics: (0..NAMED).map(topic).collect(), ..Default::default() };
    assert_eq!(world.frames(6, &delete).await, (2, 0));
}

/// Each one that waited for its turn held a list of all topics: 800 KB for a request of 20 bytes where there are 100,000.
#[tokio::test]
async fn who_waits_for_the_turn_holds_no_list_of_topics() {
    let world = World::new();
    let new = NewTopic { name: "t".to_owned(), partitions: Some(1000), ..NewTopic::default() };
    let topic = world.broker.create_topic(new, false).await.unwrap().unwrap();
    let known = Arc::strong_count(&topic);
    let api_key = ApiKey::Metadata.key();
    let header = RequestHeader { api_key, api_version: 12, correlation_id: 1, client_id: None };
    let context = Context { shared: world.serving.shared(), client: &world.client, header: &header };

    let turn = context.wide_turn(1000).await;
    let mut waiting =
        pin!(metadata::handle(&context, MetadataRequest { topics: None, ..Default::default() }));
    poll_fn(|cx| {
        assert!(waiting.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!(Arc::strong_count(&topic), known);
    drop(turn);
    assert_eq!(waiting.await.unwrap().topics[0].partitions.len(), 1000);
}

/// Each partition that was named waited for the log beside all others: 12 bytes of a request held some 300.
#[tokio::test(start_paused = true)]
async fn records_are_deleted_of_some_partitions_at_a_time() {
    let world = World::new();
    let new = NewTopic { name: "t".to_owned(), partitions: Some(2), ..NewTopic::default() };
    world.broker.create_topic(new, false).await.unwrap().unwrap();
    let delete = |count: usize| {
        let partition = |n| DeleteRecordsPartition { partition_index: (n % 3) as i32, offset: -1 };
        let partitions = (0..count).map(partition).collect();
        let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
        DeleteRecordsRequest { topics, ..Default::default() }
    };
    world.waits.most.store(0, Ordering::Relaxed);
    assert_eq!(world.frames(2, &delete(30_000)).await.1, 10_000, "one of three is not there");
    let most = world.waits.most.load(Ordering::Relaxed);
    assert!((100..1000).contains(&most), "{most} at a time");
    let closed = world.try_frames(2, &delete(100_001)).await;
    assert!(matches!(closed, Err(Close::BadRequest(_))), "{closed:?}");
}
