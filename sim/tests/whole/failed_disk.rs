//! A log that fails under a running server: the server says so, and nothing is acknowledged any more.

use std::time::Duration;

use kolk_client::Error;
use kolk_client::kafka::{Kafka, Options, Producer, ProducerOptions, RecordBody};
use kolk_engine::door::sim;

#[test]
fn a_disk_that_fails_ends_the_server_and_acknowledges_nothing() {
    for seed in 0..5 {
        sim::run(seed, |sim| async move {
            let server = kolk::Server::builder()
                .door(sim.door())
                .data_dir("/data")
                .kafka("127.0.0.1:9092".parse().expect("an address"))
                .kinesis("127.0.0.1:4567".parse().expect("an address"))
                .http("127.0.0.1:8080".parse().expect("an address"))
                .create("t", 1)
                .start()
                .await
                .expect("it starts");
            let options = Options { timeout: Duration::from_secs(5), ..Default::default() };
            let kafka = Kafka::new(sim.outside(), "127.0.0.1:9092", options).expect("an address");
            let options = ProducerOptions { timeout: Duration::from_secs(10), ..Default::default() };
            let producer = Producer::new(kafka, options).await.expect("a producer");
            let record = |value: &'static str| RecordBody { value: Some(value.into()), ..Default::default() };
            let first = producer.send("t", 0, record("kept")).await.await.expect("an acknowledgement");
            assert_eq!(first.offset, 0);

            sim.fail_at(sim.durable_operations());
            let second = producer.send("t", 0, record("unknown")).await;
            let reason = server.failed().await;
            assert!(!reason.is_empty());
            let error = second.await.expect_err("nothing is acknowledged after a failed sync");
            assert!(error.is_retriable() && !matches!(*error, Error::Stopped), "{error}");
        });
    }
}
