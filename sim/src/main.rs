//! Runs many seeds: `cargo xtask sim`. Ends at the first run in which something did not hold, with its last events and
//! the command that runs it again.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "starts worlds and looks how long they take; nothing of it runs in one"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use kolk_sim::coverage::Coverage;
use kolk_sim::{Failure, Plan, Report, attempt};

/// Runs the whole server in seeded worlds.
#[derive(Parser)]
#[command(name = "cargo xtask sim")]
struct Args {
    /// How many seeds.
    #[arg(long, default_value = "100")]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Begins no further seed after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Worlds at a time; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Runs every seed twice, and compares the traces.
    #[arg(long)]
    twice: bool,
    /// Goes on after a failure, and counts them.
    #[arg(long)]
    keep_going: bool,
    /// Events that are shown of a run that failed.
    #[arg(long, value_name = "N", default_value = "200")]
    events: usize,
    /// Prints every place in the server that no run has reached.
    #[arg(long)]
    missed: bool,
    /// Adds the sums of all runs to this file, and prints those of all calls so far.
    #[arg(long, value_name = "FILE")]
    sums: Option<PathBuf>,
}

/// What all runs were like together.
#[derive(Clone, Debug, Default)]
struct Sums {
    runs: u64,
    failures: u64,
    calls: u64,
    ends: u64,
    failed_calls: u64,
    refused_starts: u64,
    repairs: u64,
    copies: u64,
    memory_waits: u64,
    time: Duration,
    wall: Duration,
    coverage: Coverage,
}

impl Sums {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.calls += report.calls;
        self.ends += u64::from(report.ends);
        self.failed_calls += report.failed_calls;
        self.refused_starts += u64::from(report.refused_starts);
        self.repairs += u64::from(report.repairs);
        self.copies += u64::from(report.copies);
        self.memory_waits += report.memory_waits;
        self.time += report.time;
        self.coverage.add(&report.fault_points);
    }

    fn line(&self) -> String {
        let (called, faulted, defined) = self.coverage.counts();
        format!(
            "{} seeds, {} failed, {:.1} seeds/s, {:.2} simulated hours, {:.1} M calls, {} ends of the process, {} failed \
             disk calls, {} refused starts, {} repairs, {} copies started, {} \
             requests that waited for memory; fault points: {called} hit, {faulted} with a fault, {defined} defined",
            self.runs,
            self.failures,
            self.runs as f64 / self.wall.as_secs_f64().max(0.001),
            self.time.as_secs_f64() / 3600.0,
            self.calls as f64 / 1e6,
            self.ends,
            self.failed_calls,
            self.refused_starts,
            self.repairs,
            self.copies,
            self.memory_waits,
        )
    }

    /// As lines of `name value`, places as `place FILE LINE CALLS ENDED FAILED`.
    fn text(&self) -> String {
        let mut text = format!(
            "runs {}\nfailures {}\ncalls {}\nends {}\nfailed_calls {}\nrefused_starts {}\nrepairs {}\ncopies {}\nmemory_waits {}\n\
             time_ms {}\nwall_ms {}\n",
            self.runs,
            self.failures,
            self.calls,
            self.ends,
            self.failed_calls,
            self.refused_starts,
            self.repairs,
            self.copies,
            self.memory_waits,
            self.time.as_millis(),
            self.wall.as_millis()
        );
        for ((file, line), (calls, ended, failed)) in &self.coverage.places {
            text += &format!("place {file} {line} {calls} {ended} {failed}\n");
        }
        text
    }

    /// Adds what [`Sums::text`] wrote. Places that are not defined any more are left out.
    fn add_text(&mut self, text: &str) {
        let mut values = BTreeMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
            if let ["place", file, ..] = words[..] {
                if let Some(mine) = self.coverage.places.get_mut(&(file.to_owned(), number(2) as u32)) {
                    *mine = (mine.0 + number(3), mine.1 + number(4), mine.2 + number(5));
                }
            } else {
                values.insert(words[0], number(1));
            }
        }
        let value = |name: &str| values.get(name).copied().unwrap_or(0);
        self.runs += value("runs");
        self.failures += value("failures");
        self.calls += value("calls");
        self.ends += value("ends");
        self.failed_calls += value("failed_calls");
        self.refused_starts += value("refused_starts");
        self.repairs += value("repairs");
        self.copies += value("copies");
        self.memory_waits += value("memory_waits");
        self.time += Duration::from_millis(value("time_ms"));
        self.wall += Duration::from_millis(value("wall_ms"));
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let began = Instant::now();
    let sums = Mutex::new(Sums { coverage: Coverage::defined()?, ..Default::default() });
    let next = AtomicU64::new(args.seed);
    let last = args.seed.saturating_add(args.seeds);
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    let shown = Mutex::new(began);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let in_time = args.seconds.is_none_or(|seconds| began.elapsed().as_secs() < seconds);
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last || !in_time {
                        return;
                    }
                    let result = one(&args, seed);
                    let mut sums = sums.lock().expect("nothing panics while it is held");
                    match result {
                        Ok(report) => sums.add(&report),
                        Err(failure) => {
                            sums.runs += 1;
                            sums.failures += 1;
                            show(&args, seed, &failure);
                            if !args.keep_going {
                                next.store(last, Ordering::Relaxed);
                            }
                        }
                    }
                    sums.wall = began.elapsed();
                    let mut shown = shown.lock().expect("nothing panics while it is held");
                    if shown.elapsed() > Duration::from_secs(10) {
                        *shown = Instant::now();
                        println!("... {}", sums.line());
                    }
                }
            });
        }
    });
    let mut sums = sums.into_inner().expect("nothing panics while it is held");
    sums.wall = began.elapsed();
    println!("{}", sums.line());
    let ok = sums.failures == 0;
    if let Some(path) = &args.sums {
        if let Ok(text) = std::fs::read_to_string(path) {
            sums.add_text(&text);
        }
        std::fs::write(path, sums.text())?;
        println!("in all: {}", sums.line());
    }
    if args.missed {
        for (file, line) in sums.coverage.never() {
            println!("never reached: {file}:{line}");
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a seed, twice if asked to.
fn one(args: &Args, seed: u64) -> Result<Report, Failure> {
    let plan = Plan::of_seed(seed);
    let report = attempt(seed, &plan)?;
    if args.twice {
        let again = attempt(seed, &plan)?;
        if report != again {
            return Err(Failure {
                message: format!(
                    "something picks at random behind the door's back: two runs gave the traces {:x} and {:x}",
                    report.trace_hash, again.trace_hash
                ),
                trace: Vec::new(),
            });
        }
    }
    Ok(report)
}

fn show(args: &Args, seed: u64, failure: &Failure) {
    println!("\nseed {seed} failed. Its last events:");
    for line in &failure.trace[failure.trace.len().saturating_sub(args.events)..] {
        println!("{line}");
    }
    println!("{:#?}", Plan::of_seed(seed));
    println!("{}", failure.message);
    println!("run it again: cargo xtask sim --seeds 1 --seed {seed}\n");
}
