//! `cargo xtask test`: the parts in order, minutes per part, and the closing line `N passed, N failed, N skipped`.
//!
//! A part's count is that of its single cases: cargo's own summaries, the foreign programs' case lines, the
//! documentation's commands. A missing toolchain skips a part; with `CI=true` it fails it.
//!
//! `cargo xtask full` runs the same at full length and more. Each of its parts can be run alone (`--part`) and tells what it did in
//! `docs/long-runs.md`; those that measure put their rows into the page that shows them.

use crate::{bench, compare, compat, docs, fuzz, page, run, server, sim, tree};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// What `cargo xtask test` takes.
#[derive(clap::Args, Default)]
pub struct TestArgs {
    /// Only what needs nothing but Rust: format, clippy, all Rust tests.
    #[arg(long)]
    pub quick: bool,
    /// Only this part (repeatable); a name ending in `/` takes all parts below it.
    #[arg(long, value_name = "PART")]
    pub only: Vec<String>,
    /// Print the names of the parts and stop.
    #[arg(long)]
    pub list: bool,
    /// Long forms: more kill rounds, more seeds. `cargo xtask full` sets it.
    #[arg(skip)]
    pub full: bool,
}

/// What `cargo xtask full` takes.
#[derive(clap::Args)]
pub struct FullArgs {
    /// Only this part (repeatable); a name ending in `/` takes all parts below it.
    #[arg(long, value_name = "PART")]
    pub part: Vec<String>,
    /// Print what each part does and how long it takes, and stop.
    #[arg(long)]
    pub list: bool,
}

/// Single cases of a part or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Cases that held.
    pub passed: usize,
    /// Cases that did not hold, or a part that could not run.
    pub failed: usize,
    /// Cases or parts left out, with the reason printed.
    pub skipped: usize,
}

impl Count {
    /// Adds the other count to this one.
    pub fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// One case that held or did not.
    fn of(ok: bool) -> Count {
        Count { passed: usize::from(ok), failed: usize::from(!ok), skipped: 0 }
    }
}

enum Part {
    Fmt,
    Clippy,
    Rust,
    Sim,
    Docs,
    Bench,
    Client(&'static compat::Client),
    /// Only at full length, as all below: the Rust tests have a short form of it.
    Hostile,
    /// All defects of which the Rust tests plant some.
    Defects,
    Compare,
    /// The Rust tests feed the kept inputs.
    Fuzz,
}

impl Part {
    /// All parts of `cargo xtask test`, or of `cargo xtask full`.
    fn all(full: bool) -> Vec<Part> {
        let mut parts = vec![Part::Fmt, Part::Clippy, Part::Rust, Part::Sim, Part::Docs, Part::Bench];
        parts.extend(compat::CLIENTS.iter().map(Part::Client));
        if full {
            parts.extend([Part::Hostile, Part::Defects, Part::Compare, Part::Fuzz]);
        }
        parts
    }

    fn name(&self) -> &'static str {
        match self {
            Part::Fmt => "fmt",
            Part::Clippy => "clippy",
            Part::Rust => "rust",
            Part::Sim => "sim",
            Part::Docs => "docs",
            Part::Bench => "bench-quick",
            Part::Client(client) => client.name,
            Part::Hostile => "hostile",
            Part::Defects => "defects",
            Part::Compare => "compare",
            Part::Fuzz => "fuzz",
        }
    }

    /// What it does at full length, and how many minutes that takes on two cores where everything is built.
    fn about(&self) -> (&'static str, u32) {
        match self {
            Part::Fmt => ("the format of all code", 1),
            Part::Clippy => ("lints of all code", 2),
            Part::Rust => ("all Rust tests, as in `cargo xtask test`", 9),
            Part::Sim => ("fresh seeds of the simulation for two hours", 120),
            Part::Docs => ("the documents' commands", 1),
            Part::Bench => ("every row of the bench with tiny input", 1),
            Part::Client(client) => client.about,
            Part::Hostile => (
                "every attack at the size it is named for, loads at the memory limit; rows of docs/hostile.md",
                10,
            ),
            Part::Defects => ("all defects planted, and 100 seeds of the workload", 15),
            Part::Compare => ("two thousand questions to Kolk and Apache Kafka", 3),
            Part::Fuzz => ("each decoder 30 minutes under libFuzzer, two at a time", 190),
        }
    }

    fn is_quick(&self) -> bool {
        matches!(self, Part::Fmt | Part::Clippy | Part::Rust)
    }

    fn needs(&self) -> &'static [crate::fetch::Need] {
        match self {
            Part::Docs => docs::NEEDS,
            Part::Compare => compare::NEEDS,
            Part::Client(client) => client.needs,
            Part::Fmt
            | Part::Clippy
            | Part::Rust
            | Part::Sim
            | Part::Bench
            | Part::Hostile
            | Part::Defects
            | Part::Fuzz => &[],
        }
    }

    fn run(&self, run: &mut Run) -> Result<Count> {
        match self {
            Part::Fmt => cargo("fmt", &["fmt", "--all", "--check"]),
            Part::Clippy => cargo(
                "clippy",
                &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
            ),
            Part::Rust => {
                let (count, lines) = cargo_tests(&["--workspace"], "rust", is_failure, &[])?;
                run.failures = failures(&lines);
                Ok(count)
            }
            Part::Sim => sim::fresh(run.full),
            Part::Docs => docs::run(&run.server()?),
            Part::Bench => {
                let args = bench::BenchArgs {
                    peer: Vec::new(),
                    rows: Vec::new(),
                    runs: 1,
                    minutes: None,
                    seconds: 0.1,
                    bulk_seconds: 0.1,
                    brief: false,
                    quick: true,
                    busy: true,
                };
                Ok(Count { passed: bench::run(&args)?, ..Count::default() })
            }
            Part::Client(client) => compat::run(client, run),
            Part::Hostile => hostile(&run.commit),
            Part::Defects => {
                let tests =
                    ["--package", "kolk-sim", "--profile", "sim", "--test", "whole", "--test", "defects"];
                cargo_tests(&tests, "defects", is_told, &[("KOLK_FULL", "1")]).map(|(count, _)| count)
            }
            Part::Compare => compare::run(),
            Part::Fuzz => {
                let args = fuzz::FuzzArgs { target: Vec::new(), seconds: 1800, jobs: 2, keep: false };
                let (count, failed) = fuzz::run(&args)?;
                Ok(Count { passed: count - failed, failed, skipped: 0 })
            }
        }
    }
}

/// What the parts of one run share.
pub struct Run {
    /// True under `cargo xtask full`; programs see it as `KOLK_FULL=1`.
    pub full: bool,
    /// What is run, as git names it.
    commit: String,
    server: Option<PathBuf>,
    /// What the part `rust` said of tests that failed, to be told once more at the end.
    failures: Vec<String>,
}

impl Run {
    /// The server binary, built when the first part asks for it.
    pub fn server(&mut self) -> Result<PathBuf> {
        if self.server.is_none() {
            self.server = Some(server::build(false)?);
        }
        Ok(self.server.clone().expect("just filled"))
    }
}

/// Runs the chosen parts; true if nothing failed.
pub fn test(args: &TestArgs) -> Result<bool> {
    let mut parts = Part::all(args.full);
    if args.quick {
        parts.retain(Part::is_quick);
    }
    if !args.only.is_empty() {
        for wanted in &args.only {
            let known = parts.iter().any(|part| matches(wanted, part.name()));
            anyhow::ensure!(known, "no part {wanted:?}; the parts are: {}", names(&parts).join(", "));
        }
        parts.retain(|part| args.only.iter().any(|wanted| matches(wanted, part.name())));
    }
    if args.list {
        for name in names(&parts) {
            println!("{name}");
        }
        return Ok(true);
    }
    run_parts(&parts, args.full)
}

/// Every suite at full length.
pub fn full(args: &FullArgs) -> Result<bool> {
    if args.list {
        for part in Part::all(true) {
            let (what, minutes) = part.about();
            println!("{:<28} {minutes:>4} min  {what}", part.name());
        }
        return Ok(true);
    }
    test(&TestArgs { only: args.part.clone(), full: true, ..Default::default() })
}

fn matches(wanted: &str, name: &str) -> bool {
    name == wanted || (wanted.ends_with('/') && name.starts_with(wanted))
}

fn names(parts: &[Part]) -> Vec<&'static str> {
    parts.iter().map(Part::name).collect()
}

fn run_parts(parts: &[Part], full: bool) -> Result<bool> {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let clients: Vec<_> = parts
        .iter()
        .filter_map(|part| if let Part::Client(client) = part { Some(*client) } else { None })
        .collect();
    // Fetching waits for networks, building for processors: let them overlap.
    let prefetch = (!clients.is_empty()).then(|| std::thread::spawn(move || compat::prefetch(&clients)));
    let mut prefetch = prefetch;
    let mut run = Run { full, commit: commit(), server: None, failures: Vec::new() };
    let mut total = Count::default();
    let mut lines = Vec::new();
    for part in parts {
        let (about, expected) = part.about();
        if full {
            println!("== {}: {about}, some {expected} min", part.name())
        } else {
            println!("== {}", part.name())
        }
        let start = Instant::now();
        let missing: Vec<_> =
            part.needs().iter().filter(|need| !need.is_met()).map(|need| need.text()).collect();
        let count = if missing.is_empty() {
            if !part.is_quick()
                && let Some(thread) = prefetch.take()
            {
                thread.join().expect("prefetching does not panic");
            }
            part.run(&mut run).unwrap_or_else(|error| {
                println!("    FAIL {}: {error:#}", part.name());
                Count::of(false)
            })
        } else {
            println!("    skipped: needs {}", missing.join(", "));
            Count { skipped: usize::from(!in_ci), failed: usize::from(in_ci), passed: 0 }
        };
        total.add(count);
        let minutes = start.elapsed().as_secs_f64() / 60.0;
        let Count { passed, failed, skipped } = count;
        let line = format!(
            "{:<28} {minutes:>5.1} min  {passed:>5} passed {failed:>4} failed {skipped:>4} skipped",
            part.name()
        );
        println!("   {line}");
        lines.push(line);
        if full && LESS.iter().all(|name| std::env::var_os(name).is_none()) {
            told(part, &run.commit, minutes, count)?;
        }
    }
    if !run.failures.is_empty() {
        println!("\nwhat failed:");
        print_tail(&run.failures, usize::MAX);
    }
    println!("\n{}", lines.join("\n"));
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    Ok(total.failed == 0)
}

/// A cargo command whose success is one case.
fn cargo(name: &str, args: &[&str]) -> Result<Count> {
    let log = tree::work("logs")?.join(format!("{name}.log"));
    let mut command = Command::new(env!("CARGO"));
    command.args(args).current_dir(tree::root());
    let outcome = run::logged(&mut command, &log, Duration::from_secs(2400), |_| false)?;
    if !outcome.success() {
        print_tail(&outcome.lines, 80);
    }
    Ok(Count::of(outcome.success()))
}

/// Variables that make a part run less than all of it.
const LESS: &[&str] = &["KOLK_HOSTILE_ONLY", "KOLK_ROUNDS", "KOLK_LOG_GB", "KOLK_DEFECT"];

/// The commit of this tree, and whether anything but documents differs from it.
fn commit() -> String {
    let commit =
        run::answers("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let same = run::answers("git", &["diff", "--quiet", "HEAD", "--", ":/", ":!/docs"]).is_some();
    format!("{}{}", commit.trim(), if same { "" } else { "-dirty" })
}

/// One part's row of `docs/long-runs.md`: what an issue's closing note quotes.
fn told(part: &Part, commit: &str, minutes: f64, count: Count) -> Result<()> {
    let date = run::answers("date", &["-u", "+%Y-%m-%d"]).context("no date")?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or("?");
    let Count { passed, failed, skipped } = count;
    let row = format!(
        "| {} | {} | {commit} | {minutes:.1} | {load} | {passed} | {failed} | {skipped} |",
        part.name(),
        date.trim()
    );
    page::put_rows(&tree::root().join("docs/long-runs.md"), "parts", &[row], false)
}

fn is_failure(line: &str) -> bool {
    (line.starts_with("test ") && line.ends_with("FAILED")) || line.starts_with("error")
}

/// What cargo's test programs say at their ends of each test that failed: some lines of each.
fn failures(lines: &[String]) -> Vec<String> {
    const LINES_MAX: usize = 15;
    let mut told = Vec::new();
    let mut left = 0;
    for line in lines {
        if line.starts_with("---- ") {
            left = LINES_MAX;
        } else if line == "failures:" {
            left = 0;
        }
        if left > 0 && !line.is_empty() {
            told.push(line.clone());
            left -= 1;
        }
    }
    told
}

/// Failures, and what a long test says on its way.
fn is_told(line: &str) -> bool {
    is_failure(line) || line.starts_with("row ") || line.contains(" seeds, ")
}

/// `cargo test` of these; its count and its lines.
fn cargo_tests(
    what: &[&str],
    log: &str,
    show: fn(&str) -> bool,
    environment: &[(&str, &str)],
) -> Result<(Count, Vec<String>)> {
    let log = tree::work("logs")?.join(format!("{log}.log"));
    let mut command = Command::new(env!("CARGO"));
    command.arg("test").args(what).arg("--no-fail-fast").current_dir(tree::root());
    command.envs(environment.iter().copied());
    if !environment.is_empty() {
        // What they say on their way.
        command.args(["--", "--nocapture"]);
    }
    let outcome = run::logged(&mut command, &log, Duration::from_secs(3600), show)?;
    let mut count = read_cargo_summaries(&outcome.lines);
    if !outcome.success() {
        print_tail(&outcome.lines, 120);
        if count.failed == 0 {
            count.failed = 1;
        }
    }
    Ok((count, outcome.lines))
}

/// Every attack and load at its full size; their rows go into the tables of `docs/hostile.md`.
fn hostile(commit: &str) -> Result<Count> {
    let tests = ["--package", "kolk", "--test", "hostile"];
    let (count, lines) = cargo_tests(&tests, "hostile", is_told, &[("KOLK_HOSTILE_FULL", "1")])?;
    let page = tree::root().join("docs/hostile.md");
    let all = count.failed == 0 && std::env::var_os("KOLK_HOSTILE_ONLY").is_none();
    for table in ["attacks", "loads"] {
        let mark = format!("row {table} ");
        // The first one may stand behind the test's name.
        let rows = lines.iter().filter_map(|line| line.split_once(&mark));
        let rows: Vec<String> = rows.map(|(_, row)| format!("{row} {commit} |")).collect();
        page::put_rows(&page, table, &rows, all)?;
    }
    Ok(count)
}

/// Adds up cargo's lines `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
fn read_cargo_summaries(lines: &[String]) -> Count {
    let mut count = Count::default();
    for line in lines.iter().filter(|line| line.starts_with("test result:")) {
        let number = |word: &str| {
            line.split([';', '.'])
                .filter_map(|piece| piece.trim().strip_suffix(word))
                .find_map(|number| number.trim().parse::<usize>().ok())
                .unwrap_or(0)
        };
        count.add(Count { passed: number("passed"), failed: number("failed"), skipped: number("ignored") });
    }
    count
}

fn print_tail(lines: &[String], count: usize) {
    for line in lines.iter().rev().take(count).rev() {
        println!("    {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_summaries_add_up() {
        let lines = [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test a ... ok",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s",
        ];
        let count = read_cargo_summaries(&lines.map(str::to_owned));
        assert_eq!(count, Count { passed: 15, failed: 2, skipped: 1 });
    }

    #[test]
    fn what_failed_is_told_once_more() {
        let mut said =
            vec!["test one ... FAILED", "", "failures:", "", "---- one stdout ----", "", "it is 3"];
        said.extend(["----", ""].repeat(20));
        said.extend(["failures:", "    one", "test result: FAILED. 0 passed; 1 failed"]);
        let said: Vec<_> = said.into_iter().map(str::to_owned).collect();
        let told = failures(&said);
        assert_eq!((&told[..2], told.len()), (&["---- one stdout ----".into(), "it is 3".into()][..], 15));
    }

    #[test]
    fn a_part_is_chosen_by_name_or_by_folder() {
        assert!(matches("compat/", "compat/boto3"));
        assert!(matches("compat/boto3", "compat/boto3"));
        assert!(!matches("compat", "compat/boto3"));
        assert!(!matches("compat/boto", "compat/boto3"));
    }

    #[test]
    fn part_names_are_unique() {
        let parts = Part::all(true);
        let mut all = names(&parts);
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
