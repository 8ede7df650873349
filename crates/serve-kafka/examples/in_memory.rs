//! Kolk's Kafka face over the memory back end, on 127.0.0.1 and the port given as argument (9092 without one).
//!
//! `cargo run -p kolk-serve-kafka --example in_memory -- 9092`

use std::sync::Arc;

use kolk_broker::{Broker, Settings};
use kolk_engine::door::real;
use kolk_engine::memory::{MemoryEngine, MemoryOptions};
use kolk_serve_kafka::{Listener, serve};

#[tokio::main]
async fn main() {
    let port: u16 =
        std::env::args().nth(1).map_or(9092, |port| port.parse().expect("the argument is a port"));
    let door = real::door(real::DiskOptions::default());
    let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
    let broker = Broker::new(engine, door, Settings::default());
    let listener = Listener { bind: ([127, 0, 0, 1], port).into(), advertise: None };
    let serving =
        serve(vec![listener], broker, kolk_serve_kafka::Settings::default()).await.expect("the port is free");
    println!("Kafka on {}", serving.addresses()[0]);
    std::future::pending::<()>().await;
}
