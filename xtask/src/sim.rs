//! `cargo xtask sim`: many seeds of the simulation in `sim/`. The runner is a program of its own, built in the profile
//! that suits it; this builds it and hands its arguments on.

use crate::suite::Count;
use crate::{run, tree};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Fresh seeds of a day's `cargo xtask test`.
const SEEDS: u64 = 300;
/// No further seed is begun after this long, so that a slow machine keeps to the suite's time.
const SECONDS: u64 = 150;
/// Seeds of a day: `cargo xtask full` begins fresh ones for two hours.
const SEEDS_FULL: u64 = 1_000_000;

/// What `cargo xtask sim` takes.
#[derive(clap::Args)]
pub struct SimArgs {
    /// For the runner: `--seeds N`, `--seed FIRST`; `--help` names all.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Builds the runner as fast code, and runs it. True if everything held in every run.
pub fn run(args: &SimArgs) -> Result<bool> {
    let status = runner("sim")?.args(&args.args).status().context("the runner does not start")?;
    Ok(status.success())
}

/// The runner, built in a profile.
fn runner(profile: &str) -> Result<Command> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--profile", profile, "--package", "kolk-sim", "--bin", "kolk-sim"]);
    ensure!(build.current_dir(tree::root()).status()?.success(), "the simulation does not build");
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(Command::new(tree::target_dir()?.join(folder).join("kolk-sim")))
}

/// The part of the test suites: fresh seeds, other ones each day. The profile is that of the tests, which is there
/// already: to build the fast one takes longer than it gains here.
pub fn fresh(full: bool) -> Result<Count> {
    let (profile, seeds, seconds) =
        if full { ("sim", SEEDS_FULL, 2 * 3600) } else { ("dev", SEEDS, SECONDS) };
    let today = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
    // No two days share a seed.
    let first = today * SEEDS_FULL;
    println!("    seeds from {first} on, {seeds} of them or for {seconds} s");
    let log = tree::work("logs")?.join("sim.log");
    let mut command = runner(profile)?;
    command.args(["--seed", &first.to_string(), "--seeds", &seeds.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    let limit = Duration::from_secs(seconds + 600);
    let outcome = run::logged(&mut command, &log, limit, |_| true)?;
    let runs = outcome.lines.iter().rev().find_map(|line| line.split_once(" seeds, "));
    let runs = runs.and_then(|(runs, _)| runs.trim_start_matches("... ").parse::<usize>().ok());
    match (outcome.success(), runs) {
        (true, Some(passed)) => Ok(Count { passed, ..Count::default() }),
        (_, runs) => Ok(Count { passed: runs.unwrap_or(1).saturating_sub(1), failed: 1, ..Count::default() }),
    }
}
