//! The workload: everything at once, recorded, and judged by the [checker](crate::checker).
//!
//! Two topics and a few that come and go: `orders` is a stream that both protocols write and read while it is split,
//! merged and given partitions; `ledger` is a log that retention and DeleteRecords trim. The seed chooses how many
//! clients of each kind there are. None of them judges anything: they go on, whatever they are told, and write it down.
//!
//! | file | clients |
//! |---|---|
//! | `client` | what all have in common: the world, the recorder, which answers leave an outcome open |
//! | `producers` | Kafka producers: five batches in flight, retries, plain ones |
//! | `streams` | Kinesis puts, iterators of each kind, resharding |
//! | `readers` | Kafka readers: polls, edges, members of groups |
//! | `catalogue` | topics, configs, DeleteRecords, producer ids |
//! | `operator` | copies of the running log |
//! | `last` | what reads everything in the end |

mod catalogue;
mod client;
mod last;
mod operator;
mod producers;
mod readers;
mod streams;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use kolk_engine::BoxFuture;
use kolk_engine::door::TaskHandle;

use crate::checker::repaired::{self, Everything, Loss};
use crate::checker::{self, Anomaly};
use crate::history::{Again, History, Recorder, What};
use crate::plan::Plan;
use crate::replay::Start;
use crate::workload::Workload;
use crate::world::World;
use client::Client;
use producers::Pipeline;

/// The stream that both protocols write.
const ORDERS: &str = "orders";
/// The log that is trimmed.
const LEDGER: &str = "ledger";
/// The group that reads both.
const GROUP: &str = "clerks";

/// More than a clock jumps by in a run, ms.
const CLOCK_SLACK_MS: i64 = 1 << 40;

/// How many clients of each kind.
#[derive(Clone, Copy, Debug)]
struct Mix {
    partitions: i32,
    idempotent: u64,
    plain: u64,
    steady: u64,
    putters: u64,
    members: u64,
    pollers: u64,
    shard_readers: u64,
    reshards: bool,
    trims: bool,
    copies: bool,
}

impl Mix {
    fn of(world: &World) -> Mix {
        Mix {
            partitions: 1 + world.below(3) as i32,
            idempotent: 1 + world.below(3),
            plain: world.below(3),
            steady: world.below(2),
            putters: 1 + world.below(2),
            members: 1 + world.below(3),
            pollers: 1 + world.below(2),
            shard_readers: 1 + world.below(2),
            reshards: world.below(4) != 0,
            trims: world.below(2) == 0,
            copies: world.below(2) == 0,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Mixed {
    recorder: Recorder,
    mix: OnceLock<Mix>,
    /// The whole run with what was read from the log after it. Later readings go on from here, each by itself: between
    /// them the disk is brought back to what it was.
    sound: OnceLock<History>,
}

impl Mixed {
    /// The workload with a history of its own.
    pub fn new(plan: &Plan) -> Mixed {
        let mixed = Mixed::default();
        if plan.faults.clock_jumps {
            mixed.recorder.clock_slack(CLOCK_SLACK_MS);
        }
        mixed
    }

    /// Where what happens is written down.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn client(&self, world: &World, name: &str) -> Client {
        Client::new(world.clone(), self.recorder.clone(), name)
    }
}

impl Workload for Mixed {
    fn name(&self) -> &'static str {
        "mixed"
    }

    fn prepare<'a>(&'a self, world: &'a World) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mix = *self.mix.get_or_init(|| Mix::of(world));
            let client = self.client(world, "prepare");
            let configs = |configs: &[(&str, &str)]| -> BTreeMap<String, String> {
                configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
            };
            let stream = configs(&[("kolk.reshard", "split+merge")]);
            client.create(&ORDERS.into(), mix.partitions, stream).await;
            let short = configs(&[("retention.ms", "2000"), ("segment.ms", "400")]);
            client.create(&LEDGER.into(), mix.partitions, short).await;
        })
    }

    fn start(&self, world: &World) -> Vec<TaskHandle> {
        let mix = *self.mix.get().expect("a workload is prepared before it starts");
        let mut tasks = Vec::new();
        for at in 0..mix.idempotent {
            let topic = if at % 2 == 0 { ORDERS } else { LEDGER };
            let client = self.client(world, &format!("k{at}"));
            tasks
                .push(world.spawn("mixed-idempotent", Pipeline::new(client, topic, Again::Idempotent).run()));
        }
        for at in 0..mix.plain {
            let again = if at % 2 == 0 { Again::Never } else { Again::Blindly };
            let topic = if world.below(2) == 0 { ORDERS } else { LEDGER };
            let client = self.client(world, &format!("p{at}"));
            tasks.push(world.spawn("mixed-plain", Pipeline::new(client, topic, again).run()));
        }
        for at in 0..mix.steady {
            tasks.push(world.spawn("mixed-steady", producers::steady(self.client(world, &format!("l{at}")))));
        }
        for at in 0..mix.putters {
            tasks.push(world.spawn("mixed-put", streams::put(self.client(world, &format!("n{at}")))));
        }
        for at in 0..mix.members {
            tasks.push(world.spawn("mixed-member", readers::member(self.client(world, &format!("m{at}")))));
        }
        for at in 0..mix.pollers {
            tasks.push(world.spawn("mixed-poll", readers::poll(self.client(world, &format!("r{at}")))));
        }
        for at in 0..mix.shard_readers {
            tasks.push(world.spawn("mixed-shards", streams::read(self.client(world, &format!("s{at}")), at)));
        }
        if mix.reshards {
            tasks.push(world.spawn("mixed-reshard", streams::reshard(self.client(world, "reshard"))));
        }
        if mix.trims {
            tasks.push(world.spawn("mixed-trim", catalogue::trim(self.client(world, "trim"))));
        }
        if mix.copies {
            tasks.push(world.spawn("mixed-operator", operator::back_up(self.client(world, "operator"))));
        }
        tasks.push(world.spawn("mixed-edges", readers::edges(self.client(world, "edges"))));
        tasks.push(world.spawn("mixed-topics", catalogue::change(self.client(world, "topics"))));
        tasks.push(world.spawn("mixed-ids", catalogue::producer_ids(self.client(world, "ids"))));
        tasks
    }

    fn check<'a>(&'a self, world: &'a World) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let before = self.sound.get().cloned().unwrap_or_else(|| self.recorder.history());
            let recorder = Recorder::after(before);
            let client = Client::new(world.clone(), recorder.clone(), "last");
            // First the group: retention goes on.
            readers::read_the_rest(&client).await;
            last::read_everything(&client).await;
            for Start { frame, differs } in world.replays.starts() {
                recorder.note(&client.name, client.now_ms(), What::Replay { frame, differs });
            }
            let history = recorder.history();
            if std::env::var_os("KOLK_SIM_HISTORY").is_some() {
                history.operations.iter().for_each(|operation| eprintln!("{operation}"));
            }
            judge(&history);
            self.sound.get_or_init(|| history);
        })
    }

    fn copy(&self) -> Option<PathBuf> {
        operator::newest_copy(&self.recorder.history()).map(|(directory, _)| directory.clone())
    }

    fn check_copy<'a>(&'a self, world: &'a World) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let history = self.recorder.history();
            let (_, copy) = operator::newest_copy(&history).expect("a copy was named");
            let recorder = Recorder::after(history.as_copied(copy));
            last::read_everything(&Client::new(world.clone(), recorder.clone(), "copy")).await;
            judge(&recorder.history());
        })
    }

    fn check_repaired<'a>(&'a self, world: &'a World, loss: &'a Loss) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let before = self.sound.get().expect("a log is checked before it is damaged");
            let recorder = Recorder::default();
            last::read_everything(&Client::new(world.clone(), recorder.clone(), "repaired")).await;
            let after = recorder.history();
            let (before, after) =
                (Everything::read_by("last", before), Everything::read_by("repaired", &after));
            panic_with(&repaired::check(&before, &after, loss, LEDGER));
        })
    }
}

/// Panics with the anomalies of a history, if it has any.
fn judge(history: &History) {
    panic_with(&checker::check(history));
}

fn panic_with(anomalies: &[Anomaly]) {
    assert!(anomalies.is_empty(), "{} promises broken\n{}", anomalies.len(), checker::listed(anomalies));
}
