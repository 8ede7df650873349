//! `cargo xtask sim`: many seeds of the simulation in `sim/`. The runner is a program of its own, built in the profile
//! that suits it; this builds it and hands its arguments on.

use crate::suite::Count;
use crate::{run, tree};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Fresh seeds of a day's `cargo xtask test`: so many on every machine. Two processors take some 100 s for them.
const SEEDS: u64 = 160;
/// No further seed is begun after so many seconds. A machine that has not been through all by then fails the part.
const SECONDS_MAX: u64 = 240;
/// Seeds of a day.
const SEEDS_FULL: u64 = 1_000_000;
/// How long `cargo xtask full` begins fresh ones, in seconds.
const SECONDS_FULL: u64 = 2 * 3600;

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
    let today = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
    // No two days share a seed.
    let first = today * SEEDS_FULL;
    let (profile, seeds, seconds) =
        if full { ("sim", SEEDS_FULL, SECONDS_FULL) } else { ("dev", SEEDS, SECONDS_MAX) };
    if full {
        println!("    seeds from {first} on, for {seconds} s");
    } else {
        println!("    {seeds} seeds from {first} on");
    }
    let log = tree::work("logs")?.join("sim.log");
    let mut command = runner(profile)?;
    command.args(["--seed", &first.to_string(), "--seeds", &seeds.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    let limit = Duration::from_secs(seconds + 600);
    let outcome = run::logged(&mut command, &log, limit, |_| true)?;
    let runs = runs_of(&outcome.lines);
    if !outcome.success() {
        return Ok(Count { passed: runs.saturating_sub(1), failed: 1, ..Count::default() });
    }
    if !full {
        all_of(runs)?;
    }
    Ok(Count { passed: runs, ..Count::default() })
}

/// How many runs the runner says there were, by its last line.
fn runs_of(lines: &[String]) -> usize {
    let counted = lines.iter().rev().find_map(|line| line.split_once(" seeds, "));
    counted.and_then(|(runs, _)| runs.trim_start_matches("... ").parse().ok()).unwrap_or(0)
}

/// Fewer runs than there shall be are no success, however well they went.
fn all_of(runs: usize) -> Result<()> {
    ensure!(
        runs as u64 == SEEDS,
        "only {runs} of {SEEDS} seeds in {SECONDS_MAX} s: this machine is too slow or busy, or runs have become slower"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a slow machine the part passed with as many seeds as it got through, were it none.
    #[test]
    fn fewer_seeds_are_no_success() {
        let said = |lines: &[&str]| runs_of(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
        let all = said(&["... 17 seeds, 0 failed, 1.9 seeds/s", "160 seeds, 0 failed, 1.9 seeds/s"]);
        assert!(all_of(all).is_ok(), "{all}");
        let few = said(&["... 17 seeds, 0 failed, 1.9 seeds/s", "159 seeds, 0 failed, 0.8 seeds/s"]);
        let error = all_of(few).expect_err("fewer").to_string();
        assert!(error.starts_with("only 159 of 160 seeds in 240 s"), "{error}");
        assert!(all_of(said(&["nothing that it knows"])).is_err());
    }
}
