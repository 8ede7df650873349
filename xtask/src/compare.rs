//! `cargo xtask compare`: Kolk's answers beside Apache Kafka's.
//!
//! Starts both and runs the example `compare` of `kolk-client`, which asks each the same two thousand questions and knows
//! which answers differ on purpose.

use crate::bench::Target;
use crate::{fetch, run, server, suite, tree};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Duration;

/// What the machine must have.
pub const NEEDS: &[fetch::Need] = &[fetch::Need::Java];

/// All questions take two minutes where nothing else runs.
const LIMIT: Duration = Duration::from_secs(900);

/// Asks both everything; an answer that differs without a reason counts as failed.
pub fn run() -> Result<suite::Count> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "kolk-client", "--example", "compare"]);
    ensure!(build.current_dir(tree::root()).status()?.success(), "the example does not build");
    let logs = tree::work("logs")?;
    let settings = ["--strict-replication", "--kafka-set", "group.initial.rebalance.delay.ms=0"];
    let kolk = server::Server::start(&server::build(false)?, &logs.join("compare-kolk.log"), &settings)?;
    let mut kafka = Target::kafka(&fetch::peer_kafka()?)?;
    kafka.wait()?;
    let mut command = Command::new(tree::target_dir()?.join("debug/examples/compare"));
    command.args([&kafka.kafka, &kolk.kafka]);
    let log = logs.join("compare.log");
    let outcome = run::logged(&mut command, &log, LIMIT, |_| true)?;
    kolk.stop()?;
    let line = outcome.lines.iter().rev().find(|line| line.ends_with(" wrong"));
    let count = line.and_then(|line| read_count(line));
    count.with_context(|| format!("the comparison did not come to its end; the log is {}", log.display()))
}

/// Reads `1900 answers the same, 100 known to differ, 3 wrong`.
fn read_count(line: &str) -> Option<suite::Count> {
    let mut numbers = line.split(", ").map(|part| part.split(' ').next()?.parse::<usize>().ok());
    let (same, known, wrong) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(suite::Count { passed: same + known, failed: wrong, skipped: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read() {
        let count = suite::Count { passed: 2000, failed: 3, skipped: 0 };
        assert_eq!(read_count("1900 answers the same, 100 known to differ, 3 wrong"), Some(count));
        assert_eq!(read_count("nothing"), None);
    }
}
