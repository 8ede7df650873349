//! A disk that takes seconds for one sync holds up those who wait for that sync, and nobody else.

use std::time::Duration;

use bytes::Bytes;
use kolk_client::Address;
use kolk_client::kafka::{
    Connection, GroupConsumer, GroupEvent, GroupOptions, Kafka, NewTopic, OffsetSpec, Options, Producer,
    ProducerOptions, RecordBody,
};
use kolk_engine::door::sim::{self, Sim};
use kolk_sim::KAFKA;
use kolk_wire_kafka::messages::api_versions::ApiVersionsRequest;
use kolk_wire_kafka::messages::heartbeat::HeartbeatRequest;
use tokio::time::Instant;

/// For how long the sync is held at least.
const HELD: Duration = Duration::from_secs(5);
/// What an answer may take that does not wait for the disk: simulated time, so no machine is too slow for it.
const AT_ONCE: Duration = Duration::from_millis(50);

#[test]
fn heartbeats_and_api_versions_are_answered_while_a_sync_is_stuck() {
    for seed in 0..5 {
        println!("seed {seed}");
        sim::run(seed, stuck);
    }
}

async fn stuck(sim: Sim) {
    let server = kolk_sim::start(&sim).await;
    let kafka = Kafka::new(sim.outside(), KAFKA, Options::default()).expect("an address");
    let topic = NewTopic { name: "t".to_owned(), partitions: Some(1), replication: None, configs: vec![] };
    kafka.create_topic(&topic).await.expect("a topic");
    let producer = Producer::new(kafka.clone(), ProducerOptions::default()).await.expect("a producer");
    write(&producer, "before").await.expect("a healthy disk");

    // A group that is stable, and known to the log to be so.
    let mut member = GroupConsumer::new(kafka.clone(), "g", &["t".to_owned()], GroupOptions::default());
    assert!(matches!(member.poll().await, Ok(GroupEvent::Assigned(_))));
    let in_group = connect(&sim).await;
    let beat = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: member.generation(),
        member_id: member.member().into(),
        ..Default::default()
    };

    let versions = ApiVersionsRequest {
        client_software_name: "bystander".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };

    // A durable operation takes between half and one and a half times this.
    sim.set_sync_time(2 * HELD);
    let before = sim.durable_operations();
    let began = Instant::now();
    let producing = producer.clone();
    let held = sim.outside().tasks.spawn(
        "held-produce",
        Box::pin(async move { write(&producing, "held").await.expect("the sync ends well") }),
    );
    while sim.durable_operations() == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Only what is under way is slow.
    sim.set_sync_time(Duration::from_micros(100));

    while began.elapsed() < HELD - Duration::from_millis(500) {
        assert!(!held.0.is_finished(), "a Produce is not acknowledged before its sync");
        let asked = Instant::now();
        let answer = in_group.call(&beat, HELD).await.expect("a heartbeat is answered");
        assert_eq!(answer.error_code, 0);
        // A connection of its own, which begins with ApiVersions, and once more on it.
        let fresh = connect(&sim).await;
        let answer = fresh.call(&versions, HELD).await.expect("ApiVersions is answered");
        assert_eq!(answer.error_code, 0);
        assert!(asked.elapsed() < AT_ONCE, "answers took {:?} while a sync was stuck", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!held.0.is_finished(), "the sync is still held");
    held.0.await.expect("the held Produce is answered");
    assert!(began.elapsed() >= HELD);
    let ends = kafka.list_offsets("t", &[(0, OffsetSpec::Latest)]).await.expect("offsets");
    assert_eq!(ends[&0].0, 2);
    member.leave().await.expect("the member is still in");
    server.stop().await.expect("a healthy log closes");
}

fn address() -> Address {
    KAFKA.parse().expect("a constant address")
}

async fn connect(sim: &Sim) -> Connection {
    Connection::open(&sim.outside(), &address(), "bystander", HELD).await.expect("a connection")
}

async fn write(producer: &Producer, value: &'static str) -> Result<(), std::sync::Arc<kolk_client::Error>> {
    let record = RecordBody { value: Some(Bytes::from_static(value.as_bytes())), ..Default::default() };
    producer.send("t", 0, record).await.await.map(drop)
}
