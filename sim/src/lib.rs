//! The whole server in a seeded world, with clients of both protocols around it, faults, and what must hold after them.
//!
//! [`run`] starts Kolk (both faces, broker, local engine) on the simulated door, lets workloads write, read, join groups
//! and reshard at the same time while faults come, heals the world, takes the power away once more, starts the server
//! again, and has each workload compare everything that can be read with everything that its clients were told.
//!
//! ```text
//!  seed ─► Plan ─► prepare ─► load: clients + faults ─► heal, wind down ─► power loss, start ─► check ─► stop
//! ```
//! | file | what |
//! |---|---|
//! | `plan` | what a run consists of, chosen by its seed: which faults may come, for how long |
//! | `world` | the run: the server's process, its operator, what workloads see of it all |
//! | `faults` | which fault comes when |
//! | `coverage` | the places in the server where it calls the disk: how many there are, how many were reached |
//! | `workload` | **where workloads plug in**: the contract [`Workload`], and which ones a run has |
//! | `history`, `checker` | what clients did and were told, and which promises of the log that breaks: a pure function |
//! | `replay` | whether a start from a snapshot comes to the state that all decisions come to |
//! | `mixed` | the workload: everything at once, recorded and checked |
//!
//! One seed is one run, to the last byte and microsecond: the trace hash in the [`Report`] tells. What breaks an
//! invariant panics with the facts and the last events. `cargo xtask sim` runs many seeds.
//!
//! Leaves the fault model of disk, network, process and clock to `kolk_engine::door::sim`, and crash points counted one
//! by one to the engine's own tests.

pub mod checker;
pub mod coverage;
mod faults;
pub mod history;
mod log;
pub mod mixed;
pub mod plan;
pub mod replay;
pub mod workload;
pub mod world;

pub use plan::{Faults, Plan, Sizes};
pub use workload::Workload;
pub use world::{Failure, Report, World, attempt, run, start};

/// Where Kafka clients connect; the same before and after a crash.
pub const KAFKA: &str = "127.0.0.1:9092";
/// Where Kinesis clients connect.
pub const KINESIS: &str = "127.0.0.1:4567";
/// Where operators connect.
pub const HTTP: &str = "127.0.0.1:8080";
/// The directory of the log in the simulated world.
pub const DATA_DIR: &str = "/kolk-data";
/// Where its operator has copies of it put.
pub const COPIES_DIR: &str = "/copies";
