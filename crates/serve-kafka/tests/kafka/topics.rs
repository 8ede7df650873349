//! Topics: making them in every way that works and that does not, metadata, configs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use kolk_broker::Settings;
use kolk_engine::BoxFuture;
use kolk_engine::door::over::{FileOver, FilesOver};
use kolk_engine::door::{File, Site, real};
use kolk_engine::local::{LocalEngine, LocalOptions};
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use kolk_wire_kafka::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
    CreateTopicsRequest,
};
use kolk_wire_kafka::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use kolk_wire_kafka::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use kolk_wire_kafka::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kolk_wire_kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::support::*;

fn new_topic(name: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions: partitions, replication_factor, ..Default::default() }
}

async fn create(client: &mut Client, topic: CreatableTopic) -> CreatableTopicResult {
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    client.call(7, &request).await.topics[0].clone()
}

#[tokio::test]
async fn topics_are_made_or_refused_as_kafka_does() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let made = create(&mut client, new_topic("a.b", -1, -1)).await;
    assert_eq!((made.error_code, made.num_partitions, made.replication_factor), (0, 1, 1));
    let made = create(&mut client, new_topic("three", 2, 3)).await;
    assert_eq!((made.error_code, made.num_partitions), (0, 2));
    let mut bad_config = new_topic("c", 1, 1);
    bad_config.configs = vec![CreatableTopicConfig { name: "no.such".into(), value: Some("1".into()) }];
    let mut null_config = new_topic("c", 1, 1);
    null_config.configs = vec![CreatableTopicConfig { name: "retention.ms".into(), value: None }];
    let cases = [
        (new_topic("a.b", 1, 1), ErrorCode::TopicAlreadyExists),
        (new_topic("a_b", 1, 1), ErrorCode::InvalidTopicException),
        (new_topic("", 1, 1), ErrorCode::InvalidTopicException),
        (new_topic("..", 1, 1), ErrorCode::InvalidTopicException),
        (new_topic("ü", 1, 1), ErrorCode::InvalidTopicException),
        (new_topic(&"x".repeat(250), 1, 1), ErrorCode::InvalidTopicException),
        (new_topic("__consumer_offsets", 1, 1), ErrorCode::InvalidTopicException),
        (new_topic("c", 0, 1), ErrorCode::InvalidPartitions),
        (new_topic("c", -2, 1), ErrorCode::InvalidPartitions),
        (new_topic("c", 1_000_000_000, 1), ErrorCode::InvalidPartitions),
        (new_topic("c", 1, 0), ErrorCode::InvalidReplicationFactor),
        (bad_config, ErrorCode::InvalidConfig),
        (null_config, ErrorCode::InvalidConfig),
    ];
    for (topic, expected) in cases {
        let name = topic.name.clone();
        let answer = create(&mut client, topic).await;
        assert_eq!(
            ErrorCode::from_code(answer.error_code),
            Some(expected),
            "{name}: {:?}",
            answer.error_message
        );
        assert!(answer.error_message.is_some());
    }
    let twice = CreateTopicsRequest {
        topics: vec![new_topic("d", 1, 1), new_topic("d", 1, 1)],
        ..Default::default()
    };
    let answer = client.call(7, &twice).await.topics;
    assert_eq!(answer.len(), 1);
    assert_eq!(answer[0].error_code, ErrorCode::InvalidRequest.code());
    server.stop().await;
}

#[tokio::test]
async fn replicas_can_be_assigned_and_validation_changes_nothing() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let assigned = CreatableTopic {
        assignments: (0..4)
            .map(|partition_index| CreatableReplicaAssignment { partition_index, broker_ids: vec![1, 2, 3] })
            .collect(),
        ..new_topic("t", -1, -1)
    };
    let only_asked =
        CreateTopicsRequest { topics: vec![assigned.clone()], validate_only: true, ..Default::default() };
    assert_eq!(client.call(7, &only_asked).await.topics[0].error_code, 0);
    let made = create(&mut client, assigned).await;
    assert_eq!((made.error_code, made.num_partitions, made.replication_factor), (0, 4, 3));
    server.stop().await;
}

#[tokio::test]
async fn strict_replication_answers_as_one_kafka_broker() {
    let settings = Settings { strict_replication: true, ..Settings::default() };
    let server = TestServer::start_with(settings, Default::default()).await;
    let mut client = server.connect().await;
    let refused = create(&mut client, new_topic("t", 1, 3)).await;
    assert_eq!(refused.error_code, ErrorCode::InvalidReplicationFactor.code());
    assert_eq!(create(&mut client, new_topic("t", 1, 1)).await.error_code, 0);
    server.stop().await;
}

async fn metadata(client: &mut Client, version: i16, name: &str, may_create: bool) -> MetadataResponse {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(name.into()), ..Default::default() }]),
        allow_auto_topic_creation: may_create,
        ..Default::default()
    };
    client.call(version, &request).await
}

/// Each mention was described: a request of a MiB could ask for terabytes.
#[tokio::test]
async fn a_topic_asked_for_again_and_again_is_described_once() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 100, &[]).await;
    let named = MetadataRequestTopic { name: Some("t".into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![named; 50_000]), ..Default::default() };
    let answer = client.call(9, &request).await;
    assert_eq!((answer.topics.len(), answer.topics[0].partitions.len()), (1, 100));
    server.stop().await;
}

#[tokio::test]
async fn metadata_makes_topics_only_when_it_may() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let unknown = metadata(&mut client, 12, "auto", false).await;
    assert_eq!(unknown.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    let made = metadata(&mut client, 12, "auto", true).await;
    assert_eq!((made.topics[0].error_code, made.topics[0].partitions.len()), (0, 1));
    let again = metadata(&mut client, 12, "auto", false).await;
    assert_eq!(again.topics[0].topic_id, made.topics[0].topic_id);
    for (name, expected) in [
        ("no good", ErrorCode::InvalidTopicException),
        ("__consumer_offsets", ErrorCode::UnknownTopicOrPartition),
    ] {
        let answer = metadata(&mut client, 12, name, true).await;
        assert_eq!(ErrorCode::from_code(answer.topics[0].error_code), Some(expected));
    }
    // By id, and by an id that nobody has; versions that have ids only in their answers say so.
    let by_id = MetadataRequest {
        topics: Some(vec![
            MetadataRequestTopic { name: None, topic_id: made.topics[0].topic_id },
            MetadataRequestTopic { name: None, topic_id: Uuid::from_u128(9) },
        ]),
        ..Default::default()
    };
    let topics = client.call(12, &by_id).await.topics;
    assert_eq!((topics[0].error_code, topics[0].name.as_deref()), (0, Some("auto")));
    assert_eq!((topics[1].error_code, &topics[1].name), (ErrorCode::UnknownTopicId.code(), &None));
    for topic in client.call(10, &by_id).await.topics {
        assert_eq!((topic.error_code, topic.name.as_deref()), (ErrorCode::InvalidRequest.code(), Some("")));
    }
    server.stop().await;

    let settings = Settings { auto_create_topics: false, ..Settings::default() };
    let server = TestServer::start_with(settings, Default::default()).await;
    let mut client = server.connect().await;
    let unknown = metadata(&mut client, 1, "auto", true).await;
    assert_eq!(unknown.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    server.stop().await;
}

#[tokio::test]
async fn metadata_answers_with_the_listener_that_a_client_came_in_by() {
    use kolk_serve_kafka::{Advertise, Listener};
    let server = TestServer::start().await;
    let any = |advertise| Listener { bind: ([0, 0, 0, 0], 0).into(), advertise };
    let named = Advertise { host: "kolk.example".to_owned(), port: 0 };
    let listeners = vec![any(None), any(Some(named))];
    let broker = server.broker.clone();
    let serving = kolk_serve_kafka::serve(listeners, broker, Default::default()).await.unwrap();
    let ports: Vec<u16> = serving.addresses().iter().map(|address| address.port()).collect();
    for (port, host) in [(ports[0], "127.0.0.1"), (ports[1], "kolk.example")] {
        let mut client = Client::connect(([127, 0, 0, 1], port).into()).await;
        let broker = client.call(12, &MetadataRequest::default()).await.brokers[0].clone();
        assert_eq!((broker.host.as_str(), broker.port), (host, i32::from(port)));
    }
    serving.stop(std::time::Duration::from_secs(10)).await;
    server.stop().await;
}

async fn config(client: &mut Client, topic: &str, name: &str) -> DescribeConfigsResourceResult {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 2,
            resource_name: topic.into(),
            configuration_keys: Some(vec![name.into()]),
        }],
        include_synonyms: true,
        include_documentation: true,
    };
    client.call(4, &request).await.results[0].configs[0].clone()
}

#[tokio::test]
async fn a_resource_that_is_named_twice_is_described_twice() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let resource = DescribeConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configuration_keys: Some(vec!["segment.ms".into()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource; 2], ..Default::default() };
    let results = client.call(4, &request).await.results;
    assert_eq!(results.len(), 2);
    assert_eq!(results[0], results[1]);
    assert_eq!((results[0].error_code, results[0].configs.len()), (0, 1));
    server.stop().await;
}

async fn alter(client: &mut Client, name: &str, operation: i8, value: Option<&str>) -> i16 {
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configs: vec![AlterableConfig {
                name: name.into(),
                config_operation: operation,
                value: value.map(Into::into),
            }],
        }],
        validate_only: false,
    };
    client.call(1, &request).await.responses[0].error_code
}

#[tokio::test]
async fn configs_are_shown_with_where_they_come_from() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[("retention.ms", "60000")]).await;
    let own = config(&mut client, "t", "retention.ms").await;
    assert_eq!((own.value.as_deref(), own.config_source, own.config_type), (Some("60000"), 1, 5));
    let names: Vec<(&str, i8)> =
        own.synonyms.iter().map(|synonym| (synonym.name.as_str(), synonym.source)).collect();
    assert_eq!(names, [("retention.ms", 1)]);
    assert!(own.documentation.is_some());
    let default = config(&mut client, "t", "segment.bytes").await;
    assert_eq!((default.value.as_deref(), default.config_source), (Some("1073741824"), 5));

    assert_eq!(alter(&mut client, "retention.ms", 1, None).await, 0);
    assert_eq!(config(&mut client, "t", "retention.ms").await.config_source, 5);
    assert_eq!(alter(&mut client, "cleanup.policy", 2, Some("compact")).await, 0);
    assert_eq!(config(&mut client, "t", "cleanup.policy").await.value.as_deref(), Some("delete,compact"));
    assert_eq!(alter(&mut client, "cleanup.policy", 3, Some("delete")).await, 0);
    assert_eq!(config(&mut client, "t", "cleanup.policy").await.value.as_deref(), Some("compact"));
    assert_eq!(alter(&mut client, "retention.ms", 0, Some("soon")).await, ErrorCode::InvalidConfig.code());
    assert_eq!(alter(&mut client, "retention.ms", 0, None).await, ErrorCode::InvalidRequest.code());
    assert_eq!(alter(&mut client, "retention.ms", 9, Some("1")).await, ErrorCode::InvalidRequest.code());
    assert_eq!(alter(&mut client, "no.such", 0, Some("1")).await, ErrorCode::InvalidConfig.code());
    server.stop().await;
}

#[tokio::test]
async fn what_is_named_twice_is_left_alone() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.create_topic("t", 1, &[]).await;
    let invalid = ErrorCode::InvalidRequest.code();

    let by_name = |names: &[&str]| DeleteTopicsRequest {
        topic_names: names.iter().map(|name| (*name).into()).collect(),
        ..Default::default()
    };
    let told = client.call(5, &by_name(&["t", "no", "t"])).await.responses;
    let told: Vec<_> = told.iter().map(|one| (one.name.as_deref().unwrap(), one.error_code)).collect();
    assert_eq!(told, [("t", invalid), ("no", ErrorCode::UnknownTopicOrPartition.code())]);

    let found = metadata(&mut client, 12, "t", false).await;
    let id = found.topics[0].topic_id;
    let state = |name: Option<&str>, topic_id| DeleteTopicState { name: name.map(Into::into), topic_id };
    for topics in [
        vec![state(None, id), state(None, id)],
        vec![state(Some("t"), Uuid::nil()), state(None, id)],
        vec![state(None, id), state(Some("t"), Uuid::nil())],
        vec![state(Some("t"), id)],
        vec![state(None, Uuid::nil())],
    ] {
        let told = client.call(6, &DeleteTopicsRequest { topics, ..Default::default() }).await.responses;
        assert_eq!(told.iter().map(|one| one.error_code).collect::<Vec<_>>(), [invalid]);
    }

    let grown = |name: &str, count| CreatePartitionsTopic { name: name.into(), count, assignments: None };
    let request =
        CreatePartitionsRequest { topics: vec![grown("t", 2), grown("t", 3)], ..Default::default() };
    let told = client.call(3, &request).await.results;
    assert_eq!(told.iter().map(|one| one.error_code).collect::<Vec<_>>(), [invalid]);

    let change = AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configs: vec![AlterableConfig {
            name: "retention.ms".into(),
            config_operation: 0,
            value: Some("5".into()),
        }],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![change.clone(), change], validate_only: false };
    let told = client.call(1, &request).await.responses;
    assert_eq!(told.iter().map(|one| one.error_code).collect::<Vec<_>>(), [invalid, invalid]);
    assert_eq!(config(&mut client, "t", "retention.ms").await.config_source, 5);

    // Metadata tells once of what it is asked twice; the topic is as it was.
    let topic = MetadataRequestTopic { name: Some("t".into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic; 2]), ..Default::default() };
    let told = client.call(12, &request).await.topics;
    assert_eq!(
        told.iter().map(|topic| (topic.topic_id, topic.partitions.len())).collect::<Vec<_>>(),
        [(id, 1)]
    );
    server.stop().await;
}

#[tokio::test]
async fn resources_that_cannot_change_say_why() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let change =
        || AlterableConfig { name: "num.partitions".into(), config_operation: 0, value: Some("5".into()) };
    let cases = [
        (2, "", ErrorCode::InvalidRequest, ErrorCode::InvalidRequest),
        (2, "a b", ErrorCode::InvalidTopicException, ErrorCode::InvalidTopicException),
        (2, "no", ErrorCode::UnknownTopicOrPartition, ErrorCode::UnknownTopicOrPartition),
        (4, "1", ErrorCode::InvalidRequest, ErrorCode::None),
        (4, "", ErrorCode::InvalidRequest, ErrorCode::None),
        (4, "9", ErrorCode::InvalidRequest, ErrorCode::InvalidRequest),
        (8, "1", ErrorCode::InvalidConfig, ErrorCode::None),
        (8, "", ErrorCode::InvalidRequest, ErrorCode::InvalidRequest),
        (16, "m", ErrorCode::InvalidRequest, ErrorCode::None),
        (16, "", ErrorCode::InvalidRequest, ErrorCode::InvalidRequest),
        (32, "g", ErrorCode::InvalidConfig, ErrorCode::None),
        (32, "", ErrorCode::InvalidRequest, ErrorCode::InvalidRequest),
        (3, "x", ErrorCode::InvalidRequest, ErrorCode::InvalidRequest),
    ];
    for (resource_type, name, with_a_change, without) in cases {
        for (configs, expected) in [(vec![change()], with_a_change), (Vec::new(), without)] {
            let resource = AlterConfigsResource { resource_type, resource_name: name.into(), configs };
            let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
            let told = client.call(1, &request).await.responses[0].clone();
            assert_eq!(ErrorCode::from_code(told.error_code), Some(expected), "{resource_type} {name:?}");
            assert_eq!(told.error_message.is_some(), expected != ErrorCode::None);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_one_request_may_make_and_is_told_of_it_is_bounded() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let many = |count: usize| CreateTopicsRequest {
        topics: (0..count).map(|number| new_topic(&format!("t{number}"), 1, 1)).collect(),
        validate_only: true,
        ..Default::default()
    };
    let answer = client.call(7, &many(1002)).await;
    assert!(answer.topics.iter().all(|topic| topic.error_code == 0 && topic.num_partitions == 1));
    let told =
        |topic: &CreatableTopicResult| topic.configs.as_ref().is_some_and(|configs| !configs.is_empty());
    assert!(told(&answer.topics[999]) && answer.topics[999].topic_config_error_code == 0);
    assert!(!told(&answer.topics[1000]));
    assert_eq!(answer.topics[1000].topic_config_error_code, ErrorCode::PolicyViolation.code());
    // Before version 5 nobody asks for configs.
    let answer = client.call(4, &many(1002)).await;
    assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
    let answer = client.call(7, &many(10_001)).await;
    assert_eq!(answer.topics.len(), 10_001);
    assert!(answer.topics.iter().all(|topic| topic.error_code == ErrorCode::PolicyViolation.code()));
    server.stop().await;
}

/// One that waited for room had the turn of all that are made one at a time, for as long as some client took to read.
#[tokio::test]
async fn who_waits_for_room_holds_up_no_other_description() {
    let settings = Settings { memory_bytes_max: 8 << 20, ..Settings::default() };
    let server = TestServer::start_with(settings, kolk_serve_kafka::Settings::default()).await;
    let (mut waiting, mut other) = (server.connect().await, server.connect().await);
    other.create_topic("t", 1, &[]).await;
    let admission = server.broker.admission();
    let held = server.hold_memory(64 << 10);
    let waits = admission.waits();
    let resource =
        DescribeConfigsResource { resource_type: 2, resource_name: "none".into(), ..Default::default() };
    let many = DescribeConfigsRequest { resources: vec![resource; 1000], ..Default::default() };
    let id = waiting.send(4, &many).await;
    // It is here, and wants more than there is.
    until(&server, &|_| admission.waits() > waits).await;
    let described = tokio::time::timeout(PATIENCE, config(&mut other, "t", "retention.ms"));
    assert!(described.await.expect("it has room").value.is_some());
    let nothing = waiting.stream.try_read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    drop(held);
    assert_eq!(waiting.receive::<DescribeConfigsRequest>(4, id).await.results.len(), 1000);
    server.stop().await;
}

/// A file that is written so often as it may be once its disk is stuck.
#[derive(Debug)]
struct StuckFile(Arc<dyn File>, Arc<Stuck>);

#[derive(Debug)]
struct Stuck {
    is_stuck: AtomicBool,
    /// A write waits.
    reached: Notify,
    writes: Semaphore,
}

impl FileOver for StuckFile {
    fn below(&self) -> &dyn File {
        &*self.0
    }

    fn write_durable_from(&self, site: Site, position: u64, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            if self.1.is_stuck.load(Ordering::SeqCst) {
                self.1.reached.notify_one();
                self.1.writes.acquire().await.unwrap().forget();
            }
            self.0.write_durable_from(site, position, bytes).await
        })
    }
}

/// The turn of all that ask for many topics was kept while topics were made, one after the other, each until it was on the
/// disk: whoever asked for all topics meanwhile waited for minutes.
#[tokio::test]
async fn who_makes_topics_holds_up_nobody_who_lists_them() {
    const COUNT: usize = 3000;
    let directory = tempfile::tempdir().unwrap();
    let stuck = Stuck { is_stuck: AtomicBool::new(false), reached: Notify::new(), writes: Semaphore::new(0) };
    let stuck = Arc::new(stuck);
    let mut door = real::door(real::DiskOptions::default());
    let files = stuck.clone();
    door.disk = Arc::new(FilesOver::new(door.disk, move |_, file| Arc::new(StuckFile(file, files.clone()))));
    let engine = LocalEngine::open(door.clone(), directory.path(), LocalOptions::default()).await.unwrap();
    let face = kolk_serve_kafka::Settings::default();
    let server = TestServer::start_over(engine, door, Settings::default(), face).await;
    let (mut maker, mut other) = (server.connect().await, server.connect().await);
    // So many that a list of all is made when it has its turn.
    other.create_topic("wide", 2000, &[]).await;
    let named = (0..COUNT)
        .map(|n| MetadataRequestTopic { name: Some(format!("made-{n}").into()), ..Default::default() });
    let request = MetadataRequest {
        topics: Some(named.collect()),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    stuck.is_stuck.store(true, Ordering::SeqCst);
    let id = maker.send(9, &request).await;
    stuck.reached.notified().await;
    // It is asked for all while the first of them are on their way to the disk.
    let left = server.broker.admission().available();
    let all = MetadataRequest { topics: None, ..Default::default() };
    let listed = other.send(9, &all).await;
    until(&server, &|server| server.broker.admission().available() < left).await;
    stuck.writes.add_permits(1);
    let listed = loop {
        tokio::select! {
            listed = other.receive::<MetadataRequest>(9, listed) => break listed,
            () = stuck.reached.notified() => stuck.writes.add_permits(1),
        }
    };
    assert!(listed.topics.len() < 1 + COUNT, "it was answered when all were made");
    stuck.is_stuck.store(false, Ordering::SeqCst);
    stuck.writes.add_permits(1);
    let made = maker.receive::<MetadataRequest>(9, id).await;
    assert_eq!(made.topics.iter().filter(|topic| topic.error_code == 0).count(), COUNT);
    server.stop().await;
}
