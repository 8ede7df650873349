//! Where workloads plug in: what a run asks of them, and which ones a run has.
//!
//! A workload owns its topics, groups and names (no two share any), its clients, its record of what they were told, and
//! what must hold in the end. The run owns the server, the faults and the phases:
//!
//! 1. [`Workload::prepare`] while nothing goes wrong: topics, configs.
//! 2. [`Workload::start`]: clients live outside of the process, meet every fault, and go on. They end by themselves soon
//!    after [`World::is_winding_down`] says so: from then on the server is healthy and stays.
//! 3. A last power loss and a start; then [`Workload::check`] reads everything back. What does not hold panics. It is asked
//!    again where a run goes on to damage the log at rest, each time after a start; where the damage was repaired it is
//!    [`Workload::check_repaired`]. A copy that clients had made is started too, for [`Workload::check_copy`].
//!
//! Choices come from [`World::below`], time from `tokio::time`, tasks from [`World::spawn`]: nothing else, or the seed
//! does not repeat itself.

use std::path::PathBuf;

use kolk_engine::BoxFuture;
use kolk_engine::door::TaskHandle;

use crate::checker::repaired::Loss;
use crate::mixed::Mixed;
use crate::plan::Plan;
use crate::world::World;

/// Clients with something to do, and what must hold afterwards.
pub trait Workload: Send + Sync {
    /// Its name, for traces.
    fn name(&self) -> &'static str;

    /// Makes what its clients need, on a healthy server.
    fn prepare<'a>(&'a self, world: &'a World) -> BoxFuture<'a, ()>;

    /// Starts its clients. A task that panics fails the run.
    fn start(&self, world: &World) -> Vec<TaskHandle>;

    /// Holds what can be read to what clients were told. Faults are over.
    fn check<'a>(&'a self, world: &'a World) -> BoxFuture<'a, ()>;

    /// The directory of a copy of the log that its clients had made while the server ran, if they know of one.
    fn copy(&self) -> Option<PathBuf> {
        None
    }

    /// Holds what can be read from a server on that copy to what clients were told before it was begun.
    fn check_copy<'a>(&'a self, _world: &'a World) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    /// Holds what can be read from a repaired log to what could be read from it before it was damaged.
    fn check_repaired<'a>(&'a self, _world: &'a World, _loss: &'a Loss) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// The workloads of a run.
pub fn of(plan: &Plan) -> Vec<Box<dyn Workload>> {
    vec![Box::new(Mixed::new(plan))]
}
