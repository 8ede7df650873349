//! The whole server in a seeded world, with clients of both protocols around it, crashes, and what must hold after them.
//!
//! [`run`] starts Kolk (both faces, broker, local engine) on the simulated door, lets clients write, read, join groups
//! and reshard at the same time, takes the power away in the middle and at the end, starts it again, and then compares
//! everything that can be read by either protocol with everything that clients were told:
//!
//! - offsets of a partition are dense, and what was acknowledged is at the offset that was told, once;
//! - what an idempotent producer wrote is there once, though the acknowledgement was lost in the crash;
//! - records of one writer keep their order, per partition by Kafka and per key by Kinesis, through splits and merges;
//! - each record is in exactly one shard, at the sequence number that encodes its offset;
//! - a group has been given every record, and its committed offsets survive.
//!
//! One seed is one run, to the last byte and microsecond: the trace hash in the [`Report`] tells. What breaks an
//! invariant panics with the facts; run the seed again under a debugger or with a log.
//!
//! Owns the workloads and their checks. Leaves the world's fault model to `kolk_engine::door::sim`, and crash points
//! counted one by one to the engine's own tests.

mod check;
mod clients;
mod ledger;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kolk::Server;
use kolk_engine::door::sim::{self, Sim};

use clients::Client;
use ledger::Ledger;

/// Where Kafka clients connect; the same before and after a crash.
pub const KAFKA: &str = "127.0.0.1:9092";
/// Where Kinesis clients connect.
pub const KINESIS: &str = "127.0.0.1:4567";
/// The topic, and stream, that everybody uses.
pub(crate) const TOPIC: &str = "flights";
/// Its partitions, and shards, at first.
pub(crate) const PARTITIONS: i32 = 2;
/// The consumer group.
pub(crate) const GROUP: &str = "readers";

/// Simulated time that a run may take; most take a minute.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// What a run consists of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Idempotent Kafka producers.
    pub kafka_writers: usize,
    /// Kinesis clients that put.
    pub kinesis_writers: usize,
    /// Records of each; Kinesis clients go on until all resharding is done.
    pub records: u64,
    /// Members of the consumer group while there are writers.
    pub members: usize,
    /// Crashes under load; one more follows at the end.
    pub crashes: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { kafka_writers: 2, kinesis_writers: 2, records: 30, members: 2, crashes: 1 }
    }
}

/// What a run was like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Everything that went through a door, in order, with its time.
    pub trace_hash: u64,
    /// Calls that went through a door.
    pub calls: u64,
    /// Records in the log at the end.
    pub records: usize,
    /// Shards at the end, closed ones included.
    pub shards: usize,
    /// Crashes that came under load.
    pub crashes: u32,
}

/// Starts a server in the world, on the directory and the addresses that it always has there.
pub async fn start(sim: &Sim) -> Server {
    let address = |text: &str| -> SocketAddr { text.parse().expect("a constant address") };
    let server = Server::builder()
        .door(sim.door())
        .data_dir("/kolk-data")
        .kafka(address(KAFKA))
        .kinesis(address(KINESIS))
        .start()
        .await;
    server.expect("nothing keeps a server from starting, least of all a crash before")
}

/// One run. Panics if an invariant does not hold.
pub fn run(seed: u64, plan: &Plan) -> Report {
    sim::run(seed, |sim| async {
        let whole = tokio::time::timeout(TIME_MAX, whole(sim, plan.clone()));
        whole.await.expect("a run comes to an end: somebody waits for what never comes")
    })
}

async fn whole(sim: Sim, plan: Plan) -> Report {
    let mut server = start(&sim).await;
    let ledger = Arc::new(Ledger::default());
    let client = Client::new(sim.clone(), Arc::clone(&ledger));
    client.create_topic().await;

    let mut crashes = 0;
    let arm = |left: u32| {
        if left > 0 {
            sim.crash_at(sim.durable_operations() + 5 + sim.below(40));
        }
    };
    arm(plan.crashes);
    let writers = clients::start_writers(&client, &plan);
    let readers = clients::start_readers(&client, &plan);
    while !writers.iter().all(|writer| writer.0.is_finished()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if sim.has_crashed() {
            crashes += 1;
            drop(server);
            sim.crash().await;
            server = start(&sim).await;
            arm(plan.crashes.saturating_sub(crashes));
        }
    }
    // No crash is to come any more.
    sim.crash_at(u64::MAX);
    ended(writers).await;
    ledger.told().load_is_over = true;
    ended(readers).await;

    drop(server);
    sim.crash().await;
    let server = start(&sim).await;
    let (records, shards) = check::everything(&client).await;
    server.stop().await.expect("a healthy log closes");
    Report { trace_hash: sim.trace_hash(), calls: sim.calls(), records, shards, crashes }
}

async fn ended(tasks: Vec<kolk_engine::door::TaskHandle>) {
    for task in tasks {
        task.0.await.expect("a client panicked, see above");
    }
}
