//! `cargo xtask fuzz`: libFuzzer around the targets of `fuzz/targets`, built with the stable toolchain.
//!
//! The compiler's own coverage pass is all that libFuzzer needs; no nightly, no cargo-fuzz. What a run finds worth
//! keeping stays in `.work/fuzz/TARGET/found`; `--keep` merges the small ones of it into `fuzz/corpus`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{run, tree};

/// What `cargo xtask fuzz` takes.
#[derive(clap::Args, Debug)]
pub struct FuzzArgs {
    /// Only this target (repeatable).
    #[arg(long, value_name = "TARGET")]
    pub target: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 1800)]
    pub seconds: u64,
    /// Targets at a time.
    #[arg(long, default_value_t = 2)]
    pub jobs: usize,
    /// Afterwards merge what was found and is small into `fuzz/corpus`.
    #[arg(long)]
    pub keep: bool,
}

/// What makes a crate report its coverage to libFuzzer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Named, so that build scripts and macros are built without those flags.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// Inputs longer than this are not tried.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// Inputs longer than this are not kept in the repository.
const KEPT_BYTES_MAX: usize = 512;

/// Fuzzes; answers how many targets ran and how many found a broken promise.
pub fn run(args: &FuzzArgs) -> Result<(usize, usize)> {
    let binaries = build()?;
    let seeds = tree::work("fuzz/seeds")?;
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "kolk-fuzz-targets", "--example", "seeds", "--"]);
    let status = command.arg(&seeds).current_dir(tree::root()).status().context("cannot run cargo")?;
    ensure!(status.success(), "the seeds cannot be written");
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(&seeds)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if args.target.is_empty() || args.target.contains(&name) {
            targets.push(name);
        }
    }
    ensure!(!targets.is_empty(), "no target of that name");
    targets.sort();
    let count = targets.len();
    let left = Mutex::new(targets.clone().into_iter());
    let failed = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no worker panics with it").next();
                    let Some(target) = next else { return };
                    match one(&binaries, &target, args.seconds) {
                        Ok(line) => println!("  {target}: {line}"),
                        Err(error) => {
                            println!("  FAIL {target}: {error:#}");
                            *failed.lock().expect("no worker panics with it") += 1;
                        }
                    }
                }
            });
        }
    });
    if args.keep {
        for target in &targets {
            keep(&binaries, target)?;
        }
    }
    let failed = *failed.lock().expect("no worker panicked");
    Ok((count, failed))
}

fn build() -> Result<PathBuf> {
    let target_dir = tree::target_dir()?.join("fuzz");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--release", "--bins", "--target", PLATFORM]);
    command.current_dir(tree::root().join("fuzz"));
    command.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &target_dir);
    ensure!(command.status().context("cannot run cargo build")?.success(), "the fuzz targets do not build");
    Ok(target_dir.join(PLATFORM).join("release"))
}

fn corpus(target: &str) -> PathBuf {
    tree::root().join("fuzz/corpus").join(target)
}

/// Runs one target; the figures of its end.
fn one(binaries: &Path, target: &str, seconds: u64) -> Result<String> {
    let found = tree::work(&format!("fuzz/{target}/found"))?;
    let crashes = tree::work(&format!("fuzz/{target}/crashes"))?;
    let log = tree::work("logs")?.join(format!("fuzz-{target}.log"));
    let mut command = Command::new(binaries.join(target));
    command
        .args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={INPUT_BYTES_MAX}"),
            "-rss_limit_mb=1024".to_owned(),
            "-timeout=10".to_owned(),
            "-print_final_stats=1".to_owned(),
            format!("-artifact_prefix={}/", crashes.display()),
        ])
        .args([&found, &tree::work("fuzz/seeds")?.join(target)]);
    if corpus(target).is_dir() {
        command.arg(corpus(target));
    }
    let outcome = run::logged(&mut command, &log, Duration::from_secs(seconds + 300), |_| false)?;
    let tail = || outcome.lines.iter().rev().take(30).rev().cloned().collect::<Vec<_>>().join("\n    ");
    ensure!(
        outcome.success(),
        "a promise broke; run {} with the input in {}\n    {}",
        binaries.join(target).display(),
        crashes.display(),
        tail()
    );
    let stat = |name: &str| {
        let line = outcome.lines.iter().rev().find_map(|line| line.strip_prefix(&format!("stat::{name}:")));
        line.map_or("?", str::trim).to_owned()
    };
    let covered = outcome.lines.iter().rev().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "cov:");
        words.nth(1).map(str::to_owned)
    });
    Ok(format!(
        "{seconds} s, {} inputs, {} edges covered, {} inputs worth keeping",
        stat("number_of_executed_units"),
        covered.as_deref().unwrap_or("?"),
        stat("new_units_added")
    ))
}

/// Merges what was found into the repository's corpus, as few and as small inputs as cover the same.
fn keep(binaries: &Path, target: &str) -> Result<()> {
    let log = tree::work("logs")?.join(format!("fuzz-{target}-keep.log"));
    std::fs::create_dir_all(corpus(target))?;
    let mut command = Command::new(binaries.join(target));
    command.args(["-merge=1".to_owned(), format!("-max_len={KEPT_BYTES_MAX}")]);
    command.arg(corpus(target)).arg(tree::work(&format!("fuzz/{target}/found"))?);
    let outcome = run::logged(&mut command, &log, Duration::from_secs(600), |_| false)?;
    ensure!(outcome.success(), "merging failed: {}", log.display());
    Ok(())
}
