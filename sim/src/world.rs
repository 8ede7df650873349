//! A run: the server's process, the faults that it meets, and what workloads see of it all.

use std::future::Future;
use std::net::SocketAddr;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kolk::Server;
use kolk::server::ServerError;
use kolk_broker::{Class, Permit};
use kolk_client::{kafka, kinesis};
use kolk_engine::door::TaskHandle;
use kolk_engine::door::sim::{self, FaultPoint, Sim};
use kolk_engine::local::{self, LocalOptions, OpenError};
use tokio::time::Instant;

use crate::checker::repaired::Loss;
use crate::faults::{Ends, Weather};
use crate::plan::{Plan, Sizes};
use crate::replay::Replays;
use crate::workload::Workload;
use crate::{COPIES_DIR, DATA_DIR, HTTP, KAFKA, KINESIS, workload};

/// Simulated time that a run may take; most take a minute.
const TIME_MAX: Duration = Duration::from_secs(3600);
/// Starts in a row that may meet a fault.
const FAILED_STARTS_MAX: u32 = 5;
/// Simulated time that a stop may take on a healthy disk.
const STOP_MAX: Duration = Duration::from_secs(60);
/// How often the log is damaged, each time alone, once all is done.
const DAMAGES: u32 = 3;
/// Bytes at the front of a file, and at its end, that are damaged more often than others.
const HEAD_BYTES: u64 = 64;
const TAIL_BYTES: u64 = 1024;

/// What a run was like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Everything that went through a door, in order, with its time.
    pub trace_hash: u64,
    /// Calls that went through a door.
    pub calls: u64,
    /// Simulated time that the run took.
    pub time: Duration,
    /// Times that the process ended under load, or while it started.
    pub ends: u32,
    /// Disk calls that failed.
    pub failed_calls: u64,
    /// Starts that were refused because of a flipped bit.
    pub refused_starts: u32,
    /// Damaged logs that were repaired.
    pub repairs: u32,
    /// Copies of a running log that were started.
    pub copies: u32,
    /// Requests that waited because others held the memory.
    pub memory_waits: u64,
    /// Where the server called the disk.
    pub fault_points: Vec<FaultPoint>,
}

/// A run in which something did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What did not hold.
    pub message: String,
    /// The last events, a line each, oldest first.
    pub trace: Vec<String>,
}

/// What workloads see of a run. Cheap to clone.
#[derive(Clone)]
pub struct World {
    /// The seeded world around the server.
    pub sim: Sim,
    /// Whether each start came to the state that all decisions come to.
    pub replays: Arc<Replays>,
    /// Bytes that records are filled up to, at most.
    pub record_bytes: u64,
    winding_down: Arc<AtomicBool>,
    a_client_panicked: Arc<AtomicBool>,
}

/// Tells, when it is dropped in one, that a client panicked: others may wait for it for ever.
struct TellsPanic(Arc<AtomicBool>);

impl Drop for TellsPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl World {
    fn new(sim: Sim, plan: &Plan) -> Self {
        World {
            sim,
            replays: Arc::default(),
            record_bytes: plan.record_bytes,
            winding_down: Arc::default(),
            a_client_panicked: Arc::default(),
        }
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
        let tells = TellsPanic(self.a_client_panicked.clone());
        let task = async move {
            let _tells = tells;
            task.await;
        };
        self.sim.outside().tasks.spawn(name, Box::pin(task))
    }

    /// Whether faults are over: clients finish what they have begun, and end.
    pub fn is_winding_down(&self) -> bool {
        self.winding_down.load(Ordering::Relaxed)
    }

    /// Puts a line between the events that are shown when the run fails.
    pub fn note(&self, line: impl Into<String>) {
        self.sim.note(line);
    }
}

/// Starts a server in the world, on the directory and the addresses that it always has there.
pub async fn start(sim: &Sim) -> Server {
    let server = try_start(sim, DATA_DIR, Sizes::SMALL.options()).await;
    server.expect("nothing keeps a server from starting, least of all a crash before")
}

async fn try_start(sim: &Sim, directory: &str, options: LocalOptions) -> Result<Server, ServerError> {
    let address = |text: &str| -> SocketAddr { text.parse().expect("a constant address") };
    let retention_ms = options.retention_interval.as_millis().to_string();
    Server::builder()
        .door(sim.door())
        .data_dir(directory)
        .kafka(address(KAFKA))
        .kinesis(address(KINESIS))
        .http(address(HTTP))
        .local(options)
        .kafka_set("log.retention.check.interval.ms", &retention_ms)
        .expect("a setting of Kafka's")
        // Three seconds, as they are by default, would be half of a run in which no group reads.
        .kafka_set("group.initial.rebalance.delay.ms", "200")
        .expect("a setting of Kafka's")
        .start()
        .await
}

/// One run. Panics if an invariant does not hold, having shown the last events.
pub fn run(seed: u64, plan: &Plan) -> Report {
    match attempt(seed, plan) {
        Ok(report) => report,
        Err(failure) => {
            let shown = failure.trace.len().saturating_sub(200);
            panic!("seed {seed}: {}\n{}\n{plan:#?}", failure.message, failure.trace[shown..].join("\n"));
        }
    }
}

/// One run, and what did not hold in it.
pub fn attempt(seed: u64, plan: &Plan) -> Result<Report, Failure> {
    let seen = OnceLock::new();
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| {
        sim::run(seed, |sim| async {
            seen.set(sim.clone()).expect("a run has one world");
            let _log = crate::log::notes_of(&sim);
            let whole = tokio::time::timeout(TIME_MAX, whole(World::new(sim, plan), plan));
            whole.await.expect("a run comes to an end: somebody waits for what never comes")
        })
    }));
    ran.map_err(|panicked| {
        let message = panicked.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panicked.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Failure {
            message: message.unwrap_or_else(|| "a panic without a message".to_owned()),
            trace: seen.get().map(Sim::recent).unwrap_or_default(),
        }
    })
}

async fn whole(world: World, plan: &Plan) -> Report {
    let sim = world.sim.clone();
    let mut run = Run::new(world, plan);
    run.start_again(None).await;
    let workloads = workload::of(plan);
    for workload in &workloads {
        workload.prepare(&run.world).await;
    }
    let mut clients: Vec<_> = workloads.iter().flat_map(|workload| workload.start(&run.world)).collect();
    run.under_load(&mut clients).await;

    run.end(Ends::PowerLoss).await;
    run.start_again(None).await;
    run.check(&workloads).await;
    run.stop().await;
    run.is_sound(DATA_DIR).await;
    for workload in &workloads {
        if let Some(directory) = workload.copy() {
            run.start_copy(&**workload, &directory).await;
        }
    }
    sim.remove_tree(COPIES_DIR.as_ref());
    if plan.faults.rot {
        run.world.replays.end();
        for _ in 0..DAMAGES {
            run.damage(&workloads).await;
        }
    }
    Report {
        trace_hash: sim.trace_hash(),
        calls: sim.calls(),
        time: sim.elapsed(),
        ends: run.ends,
        failed_calls: sim.failed_calls(),
        refused_starts: run.refused_starts,
        repairs: run.repairs,
        copies: run.copies,
        memory_waits: run.memory_waits,
        fault_points: sim.fault_points(),
    }
}

/// A batch in a segment.
#[derive(Debug)]
struct Batch {
    /// The segment's name.
    file: String,
    /// Its bytes there.
    bytes: Range<u64>,
    partition: i32,
    offsets: Range<i64>,
}

/// What the run itself does: everything that an operator does, and what makes one necessary.
struct Run<'a> {
    world: World,
    plan: &'a Plan,
    server: Option<Server>,
    /// Disk calls that had failed when this process began.
    failed_before: u64,
    ends: u32,
    refused_starts: u32,
    repairs: u32,
    copies: u32,
    memory_waits: u64,
    /// What others hold of the server's memory.
    held: Option<Permit>,
}

impl<'a> Run<'a> {
    fn new(world: World, plan: &'a Plan) -> Self {
        Run {
            world,
            plan,
            server: None,
            failed_before: 0,
            ends: 0,
            refused_starts: 0,
            repairs: 0,
            copies: 0,
            memory_waits: 0,
            held: None,
        }
    }

    fn sim(&self) -> &Sim {
        &self.world.sim
    }

    fn options(&self) -> LocalOptions {
        LocalOptions { witness: Some(self.world.replays.clone()), ..self.plan.sizes.options() }
    }

    /// Faults come, the process ends and starts again; then all is well until every client has ended.
    async fn under_load(&mut self, clients: &mut Vec<TaskHandle>) {
        let mut weather = Weather::new(self.world.sim.clone(), self.plan);
        let load_ends = Instant::now() + self.plan.load;
        while !self.have_ended(clients).await && Instant::now() < load_ends {
            if let Some(ends) = self.goes_on_until(weather.next_at()).await {
                self.end(weather.how(ends)).await;
                self.world.pause(1000).await;
                self.start_again(Some(&mut weather)).await;
            } else if let Some(ends) = weather.changes() {
                self.end(ends).await;
                self.world.pause(1000).await;
                self.start_again(Some(&mut weather)).await;
            }
            self.hold_memory(weather.memory_left());
        }
        self.world.note("the world heals");
        weather.clears();
        self.hold_memory(None);
        self.world.winding_down.store(true, Ordering::Relaxed);
        while !self.have_ended(clients).await {
            if self.goes_on_until(Instant::now() + Duration::from_millis(100)).await.is_some() {
                // What had failed before it healed.
                self.end(Ends::Kill).await;
                self.start_again(None).await;
            }
        }
    }

    /// Others hold all of the memory for requests and what they grow by, but so many bytes.
    fn hold_memory(&mut self, left: Option<usize>) {
        self.held = None;
        let Some(left) = left else { return };
        let server = self.server.as_ref().expect("a server runs under load");
        let admission = server.broker().admission();
        let free = admission.available();
        self.held = admission.try_admit(free.saturating_sub(left), Class::Data);
        let growth =
            admission.parts().into_iter().find(|(name, ..)| *name == "growth").expect("a part of it");
        if let Some(held) = &mut self.held {
            held.try_grow(admission, held.bytes() + growth.2 - growth.1);
        }
    }

    /// Whether all clients have ended. One that panicked ends the run.
    async fn have_ended(&self, clients: &mut Vec<TaskHandle>) -> bool {
        if !self.world.a_client_panicked.load(Ordering::Relaxed)
            && !clients.iter().all(|it| it.0.is_finished())
        {
            return false;
        }
        for client in clients.extract_if(.., |client| client.0.is_finished()) {
            if let Err(panicked) = client.0.await {
                panic!("a client panicked: {panicked}");
            }
        }
        clients.is_empty()
    }

    /// Lets time pass, unless the process ends before: `Some(true)` if it was ended, else it failed and gave up.
    async fn goes_on_until(&self, until: Instant) -> Option<bool> {
        let server = self.server.as_ref().expect("a server runs under load");
        tokio::select! {
            biased;
            () = self.world.sim.until_crashed() => {
                assert!(!self.sim().has_panicked(), "a task of the server panicked, see above");
                Some(true)
            }
            reason = server.failed() => {
                let failed = self.sim().failed_calls() - self.failed_before;
                assert!(failed > 0, "the log failed on a healthy disk: {reason}");
                self.world.note(format!("the server gives up: {reason}"));
                Some(false)
            }
            () = tokio::time::sleep_until(until) => None,
        }
    }

    /// The process is gone.
    async fn end(&mut self, how: Ends) {
        self.ends += 1;
        match how {
            Ends::PowerLoss => self.sim().crash().await,
            Ends::Kill => self.sim().kill().await,
        }
        let server = self.server.take();
        self.memory_waits += server.map_or(0, |server| server.broker().admission().waits());
    }

    /// Starts the server as an operator does: again if the disk or the power failed meanwhile.
    async fn start_again(&mut self, mut weather: Option<&mut Weather>) {
        for failed in 0..=FAILED_STARTS_MAX {
            self.failed_before = self.sim().failed_calls();
            if failed == FAILED_STARTS_MAX
                && let Some(weather) = &mut weather
            {
                weather.clears();
            } else if let Some(weather) = &mut weather {
                weather.before_a_start();
            }
            self.world.note("the server starts");
            let started = try_start(self.sim(), DATA_DIR, self.options()).await;
            if self.sim().has_crashed() {
                drop(started);
                let how = weather.as_ref().expect("nothing ends a start in good weather").how(true);
                self.end(how).await;
                continue;
            }
            match started {
                Ok(server) => {
                    self.server = Some(server);
                    return;
                }
                Err(error) => {
                    let failed = self.sim().failed_calls() - self.failed_before;
                    assert!(failed > 0, "the server does not start on a healthy disk: {error}");
                    self.world.note(format!("the start is refused: {error}"));
                    self.end(Ends::Kill).await;
                }
            }
        }
        panic!("the server did not start in {FAILED_STARTS_MAX} tries, the last in good weather");
    }

    async fn check(&self, workloads: &[Box<dyn Workload>]) {
        for workload in workloads {
            self.world.note(format!("{} is checked", workload.name()));
            self.until_checked(workload.check(&self.world)).await;
        }
    }

    async fn until_checked(&self, check: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = self.sim().until_crashed() => panic!("a task of the server panicked, see above"),
            () = check => {}
        }
    }

    async fn stop(&mut self) {
        let server = self.server.take().expect("a server runs");
        let stopped = tokio::time::timeout(STOP_MAX, server.stop()).await;
        stopped.expect("a server stops in seconds").expect("a healthy log closes");
        assert!(!self.sim().has_panicked(), "a task of the server panicked, see above");
    }

    /// What `kolk verify` finds.
    async fn verify(&self, directory: &str) -> Result<Vec<String>, OpenError> {
        local::verify(&self.sim().door(), Path::new(directory), &mut |_, _| {})
            .await
            .map(|report| report.damage)
    }

    async fn is_sound(&self, directory: &str) {
        let damage = self.verify(directory).await.expect("what nobody uses can be looked at");
        assert!(damage.is_empty(), "a log that was closed or copied well: {damage:#?}");
    }

    /// A server starts on a copy of the log, and has what was acknowledged before the copy was begun.
    async fn start_copy(&mut self, workload: &dyn Workload, directory: &Path) {
        self.world.note(format!("the copy {} is started", directory.display()));
        self.copies += 1;
        let directory = directory.to_str().expect("a name of ours");
        self.sim().kill().await;
        self.is_sound(directory).await;
        let started = try_start(self.sim(), directory, self.plan.sizes.options()).await;
        self.server = Some(started.expect("a copy that is whole starts"));
        self.until_checked(workload.check_copy(&self.world)).await;
        self.stop().await;
        self.sim().kill().await;
    }

    /// The log is damaged while nobody runs: a bit flips, or a file is gone. Where `verify` finds nothing, nothing that
    /// counts has changed: then all holds as before. Where it finds damage the operator repairs it, or starts the server
    /// all the same: that refuses with a sentence, or goes on without touching it, and once what was damaged is back, as
    /// from a copy, all holds again.
    async fn damage(&mut self, workloads: &[Box<dyn Workload>]) {
        let stopped = self.sim().save_disk();
        if self.world.below(2) == 0 {
            // Not after a clean stop but after a life that wrote nothing, not even its end.
            self.start_again(None).await;
            self.end(if self.world.below(2) == 0 { Ends::Kill } else { Ends::PowerLoss }).await;
        }
        let batches = self.batches_in_segments().await;
        self.sim().kill().await;
        let whole = self.sim().save_disk();
        let (path, flipped) = self.damage_a_file();
        let hit = flipped.and_then(|byte| {
            let of_file = |batch: &&Batch| path.file_name().is_some_and(|name| *name == *batch.file);
            batches.iter().filter(of_file).find(|batch| batch.bytes.contains(&byte))
        });
        let verified = self.verify(DATA_DIR).await;
        self.sim().kill().await;
        let is_found = !matches!(&verified, Ok(damage) if damage.is_empty());
        self.world.note(format!("verify: {verified:?}"));
        if verified.is_ok() && is_found && self.world.below(2) == 0 {
            self.repair(workloads, &path, hit).await;
        } else {
            match try_start(self.sim(), DATA_DIR, self.options()).await {
                Ok(server) => {
                    self.server = Some(server);
                    if !is_found {
                        self.check(workloads).await;
                    }
                    self.stop().await;
                }
                Err(error) => {
                    self.refused_starts += 1;
                    assert!(is_found, "a start is refused where verify finds nothing: {error}");
                    assert!(
                        matches!(
                            error,
                            ServerError::Open(OpenError::Damaged { .. } | OpenError::Newer { .. })
                        ),
                        "what is damaged is damage, or a version: {error}"
                    );
                    self.world.note(format!("the start is refused: {error}"));
                    self.sim().kill().await;
                    self.sim().restore_disk(&whole);
                    self.start_again(None).await;
                    self.check(workloads).await;
                    self.stop().await;
                }
            }
        }
        self.sim().kill().await;
        self.sim().restore_disk(&stopped);
    }

    /// What `kolk dump` tells of the batches in segments.
    async fn batches_in_segments(&self) -> Vec<Batch> {
        let mut entries = Vec::new();
        let (door, directory) = (self.sim().door(), Path::new(DATA_DIR));
        let told = local::dump(&door, directory, &mut |entry| entries.push(entry)).await;
        told.expect("what is in a log that is sound can be told");
        let (mut batches, mut segment, mut at) = (Vec::new(), None, 0);
        for entry in entries {
            let field = |wanted: &str| {
                let of_name = entry.fields.iter().find(|(name, _)| *name == wanted);
                of_name.map(|(_, value)| value.as_str()).expect("entries of a kind have the same fields")
            };
            let number = |wanted| field(wanted).parse::<i64>().expect("a number");
            match (entry.kind, &segment) {
                ("segment", _) => segment = Some(field("file").to_owned()),
                ("extent", _) => at = number("position") as u64,
                ("batch", Some(file)) => {
                    let end = at + number("bytes") as u64;
                    let (_, partition) = field("partition").rsplit_once('/').expect("a topic and a number");
                    batches.push(Batch {
                        file: file.clone(),
                        bytes: at..end,
                        partition: partition.parse().expect("a number"),
                        offsets: number("base")..number("base") + number("records"),
                    });
                    at = end;
                }
                ("wal-file", _) => segment = None,
                _ => {}
            }
        }
        batches
    }

    /// Formats have fields of their own at both ends of a file: bits flip there as often as anywhere between. Returns which file,
    /// and in which byte.
    fn damage_a_file(&self) -> (PathBuf, Option<u64>) {
        let files: Vec<_> = self.sim().files().into_iter().filter(|(_, size)| *size > 0).collect();
        let (path, size) = &files[self.world.below(files.len() as u64) as usize];
        let byte = match self.world.below(8) {
            0 => {
                self.world.note(format!("{} is lost", path.display()));
                self.sim().lose_file(path);
                return (path.clone(), None);
            }
            1 | 2 => self.world.below(HEAD_BYTES.min(*size)),
            3 | 4 => size - 1 - self.world.below(TAIL_BYTES.min(*size)),
            _ => self.world.below(*size),
        };
        let bit = self.world.below(8) as u8;
        self.world.note(format!("bit {bit} of byte {byte} of {} flips", path.display()));
        self.sim().flip_bit(path, byte, bit);
        (path.clone(), Some(byte))
    }

    /// The operator asks what a repair would lose, repairs, and the log is what it was but for that. A bit that flipped in a
    /// batch of a segment costs that batch at most, and whatever happens to the manifest, nothing.
    async fn repair(&mut self, workloads: &[Box<dyn Workload>], damaged: &Path, hit: Option<&Batch>) {
        let directory = Path::new(DATA_DIR);
        let options = self.plan.sizes.options();
        let asked =
            local::repair(&self.sim().door(), directory, options.clone(), local::RepairHow::TELL).await;
        let asked = asked.expect("what can be verified can be judged");
        self.world.note(format!("a repair would lose: {asked:?}"));
        assert!(!asked.damage.is_empty(), "verify finds damage, and repair finds none");
        if damaged.file_name().is_some_and(|name| name == "manifest") {
            let is_whole = asked.lost.is_empty() && !asked.decisions_lost && !asked.times_lost;
            assert!(is_whole, "there is a copy of the manifest: {asked:?}");
        }
        if let Some(hit) = hit {
            let of_it = |lost: &local::Lost| {
                lost.partition == hit.partition
                    && lost.first.0 >= hit.offsets.start
                    && lost.last.0 < hit.offsets.end
            };
            let is_all = asked.lost.iter().all(of_it) && !asked.decisions_lost;
            assert!(is_all, "a repair loses more than the batch that a bit flipped in: {hit:?}");
        }

        let mut weather = Weather::new(self.world.sim.clone(), self.plan);
        let mut loss = Loss { decisions: asked.decisions_lost, times: asked.times_lost, records: Vec::new() };
        for failed in 0.. {
            self.sim().kill().await;
            let failed_before = self.sim().failed_calls();
            if failed < FAILED_STARTS_MAX {
                weather.before_a_start()
            } else {
                weather.clears()
            }
            let repaired =
                local::repair(&self.sim().door(), directory, options.clone(), local::RepairHow::APPLY).await;
            if self.sim().has_crashed() {
                self.end(weather.how(true)).await;
                continue;
            }
            match repaired {
                Ok(report) => {
                    // One that was cut short may have done all of it.
                    assert!(report.repaired || failed > 0, "there was something to repair");
                    assert_eq!(report.lost, asked.lost, "a repair loses what it was said to lose");
                    break;
                }
                Err(error) => {
                    let has_failed = self.sim().failed_calls() > failed_before;
                    assert!(has_failed, "a repair fails on a healthy disk: {error}");
                    self.world.note(format!("the repair fails: {error}"));
                    self.end(Ends::Kill).await;
                }
            }
        }
        weather.clears();
        self.repairs += 1;
        loss.records = asked
            .lost
            .iter()
            .map(|lost| (lost.topic.as_str().into(), lost.partition, lost.first.0, lost.last.0))
            .collect();

        // What was repaired is durable.
        self.sim().crash().await;
        self.is_sound(DATA_DIR).await;
        self.sim().kill().await;
        let started = try_start(self.sim(), DATA_DIR, options).await;
        self.server = Some(started.expect("a repaired log starts"));
        for workload in workloads {
            self.until_checked(workload.check_repaired(&self.world, &loss)).await;
        }
        self.stop().await;
        self.is_sound(DATA_DIR).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixed::Mixed;
    use crate::plan::Faults;

    /// While the log was checked after a flipped bit, retention went on to trim it. The disk then came back to what it
    /// was, and the next check took the earlier start of the log for a trim that was forgotten (seed 1002808).
    #[test]
    fn what_is_read_from_a_log_that_comes_back_is_not_held_against_it() {
        let plan = Plan { faults: Faults::NONE, load: Duration::from_millis(1500), ..Plan::default() };
        let plan = &plan;
        sim::run(0, |sim| async move {
            let mut run = Run::new(World::new(sim.clone(), plan), plan);
            run.start_again(None).await;
            let workloads: Vec<Box<dyn Workload>> = vec![Box::new(Mixed::new(plan))];
            workloads[0].prepare(&run.world).await;
            let mut clients = workloads[0].start(&run.world);
            run.under_load(&mut clients).await;
            run.check(&workloads).await;
            run.stop().await;
            sim.kill().await;
            let whole = sim.save_disk();
            // Records expire after two seconds, and are there again.
            for waits in [30, 0] {
                sim.restore_disk(&whole);
                run.start_again(None).await;
                tokio::time::sleep(Duration::from_secs(waits)).await;
                run.check(&workloads).await;
                run.stop().await;
                sim.kill().await;
            }
        });
    }
}
