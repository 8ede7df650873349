//! Automation of the project, in Rust so that it needs nothing but the toolchain that builds Kolk.
//!
//! `cargo xtask test` is what CI runs and what a contributor runs before a commit; `--quick` is its Rust half.
//! Everything foreign (Python, npm, Maven, Go packages) is fetched by the command itself into `.work/` at the
//! root of the tree, never with root rights; see [`fetch`].
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "xtask is a tool on a developer's machine, not part of the simulated server"
)]

mod bench;
mod codegen;
mod compare;
mod compat;
mod docs;
mod fetch;
mod fuzz;
mod page;
mod run;
mod server;
mod sim;
mod suite;
mod tree;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Automation of the Kolk project")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the test suites; ends with the line `N passed, N failed, N skipped`.
    Test(suite::TestArgs),
    /// Write Kafka's messages in Rust from `crates/wire-kafka/schema`.
    Codegen {
        /// Change nothing; fail when what is checked in differs.
        #[arg(long)]
        check: bool,
    },
    /// Run every suite at full length (`--list` says how long that takes); `docs/long-runs.md` tells what came of it.
    Full(suite::FullArgs),
    /// Measure Kolk beside the durable probe and, if asked, the real Kafka; writes `docs/benchmarks/<date>.md`.
    Bench(bench::BenchArgs),
    /// Run many seeds of the simulation: the whole server, its clients and every fault in one seeded world.
    Sim(sim::SimArgs),
    /// Fuzz the decoders with libFuzzer: the targets of `fuzz/targets`, on the stable toolchain.
    Fuzz(fuzz::FuzzArgs),
    /// Ask Kolk and the real Kafka the same questions and print where the answers differ.
    Compare,
    /// Run one foreign client's programs against a fresh server (`--list` of `test` names them).
    Compat {
        /// Name of the part without `compat/`, such as `boto3`.
        name: String,
    },
}

fn main() -> Result<()> {
    let ok = match Cli::parse().command {
        Command::Test(args) => suite::test(&args)?,
        Command::Codegen { check } => {
            codegen::run(tree::root(), check)?;
            true
        }
        Command::Full(args) => suite::full(&args)?,
        Command::Sim(args) => sim::run(&args)?,
        Command::Bench(args) => bench::run(&args)? > 0,
        Command::Fuzz(args) => fuzz::run(&args)?.1 == 0,
        Command::Compare => suite::test(&suite::TestArgs {
            only: vec!["compare".to_owned()],
            full: true,
            ..Default::default()
        })?,
        Command::Compat { name } => {
            suite::test(&suite::TestArgs { only: vec![format!("compat/{name}")], ..Default::default() })?
        }
    };
    if !ok {
        std::process::exit(1);
    }
    Ok(())
}
