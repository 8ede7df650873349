//! A run: the server's process, the faults that it meets, and what workloads see of it all.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolk::Server;
use kolk_client::{kafka, kinesis};
use kolk_engine::door::TaskHandle;
use kolk_engine::door::sim::{self, Sim};
use tokio::time::Instant;

use crate::plan::Plan;
use crate::{DATA_DIR, KAFKA, KINESIS, workload};

/// Simulated time that a run may take; most take a minute.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// What a run was like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Everything that went through a door, in order, with its time.
    pub trace_hash: u64,
    /// Calls that went through a door.
    pub calls: u64,
    /// Simulated time that the run took.
    pub time: Duration,
    /// Crashes that came under load.
    pub crashes: u32,
}

/// What workloads see of a run. Cheap to clone.
#[derive(Clone)]
pub struct World {
    /// The seeded world around the server.
    pub sim: Sim,
    winding_down: Arc<AtomicBool>,
}

impl World {
    fn new(sim: Sim) -> Self {
        World { sim, winding_down: Arc::default() }
    }

    /// A Kafka client of its own.
    pub fn kafka(&self) -> kafka::Kafka {
        kafka::Kafka::new(self.sim.outside(), KAFKA, kafka::Options::default()).expect("a constant address")
    }

    /// A Kinesis client of its own.
    pub fn kinesis(&self) -> kinesis::Kinesis {
        let endpoint = format!("http://{KINESIS}").parse().expect("a constant address");
        kinesis::Kinesis::new(self.sim.outside(), endpoint, kinesis::Options::default())
    }

    /// A seeded number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.sim.below(bound)
    }

    /// Lets up to so many milliseconds pass.
    pub async fn pause(&self, below_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.below(below_ms))).await;
    }

    /// Starts a client, which no fault of the server ends.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        self.sim.outside().tasks.spawn(name, Box::pin(task))
    }

    /// Whether faults are over: clients finish what they have begun, and end.
    pub fn is_winding_down(&self) -> bool {
        self.winding_down.load(Ordering::Relaxed)
    }
}

/// Starts a server in the world, on the directory and the addresses that it always has there.
pub async fn start(sim: &Sim) -> Server {
    let address = |text: &str| -> SocketAddr { text.parse().expect("a constant address") };
    let server = Server::builder()
        .door(sim.door())
        .data_dir(DATA_DIR)
        .kafka(address(KAFKA))
        .kinesis(address(KINESIS))
        .start()
        .await;
    server.expect("nothing keeps a server from starting, least of all a crash before")
}

/// One run. Panics if an invariant does not hold.
pub fn run(seed: u64, plan: &Plan) -> Report {
    sim::run(seed, |sim| async {
        let whole = tokio::time::timeout(TIME_MAX, whole(World::new(sim), plan.clone()));
        whole.await.expect("a run comes to an end: somebody waits for what never comes")
    })
}

async fn whole(world: World, plan: Plan) -> Report {
    let began = Instant::now();
    let sim = world.sim.clone();
    let mut server = start(&sim).await;
    let workloads = workload::of(&plan);
    for workload in &workloads {
        workload.prepare(&world).await;
    }

    let mut crashes = 0;
    let arm = |left: u32| {
        if plan.faults.power_losses && left > 0 {
            sim.crash_at(sim.durable_operations() + 5 + sim.below(40));
        }
    };
    arm(plan.crashes);
    let clients: Vec<_> = workloads.iter().flat_map(|workload| workload.start(&world)).collect();
    let load_ends = Instant::now() + plan.load;
    while !clients.iter().all(|client| client.0.is_finished()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if sim.has_crashed() {
            crashes += 1;
            drop(server);
            sim.crash().await;
            server = start(&sim).await;
            arm(plan.crashes.saturating_sub(crashes));
        }
        if Instant::now() >= load_ends && crashes >= plan.crashes {
            // No crash is to come any more.
            sim.crash_at(u64::MAX);
            world.winding_down.store(true, Ordering::Relaxed);
        }
    }
    for client in clients {
        client.0.await.expect("a client panicked, see above");
    }

    drop(server);
    sim.crash().await;
    let server = start(&sim).await;
    for workload in &workloads {
        workload.check(&world).await;
    }
    server.stop().await.expect("a healthy log closes");
    Report { trace_hash: sim.trace_hash(), calls: sim.calls(), time: began.elapsed(), crashes }
}
