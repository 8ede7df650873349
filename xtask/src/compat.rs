//! The foreign clients, one part each: which toolchain it needs, how to run it, and reading what it reports.
//!
//! A program gets the server's addresses as `KOLK_KAFKA` and `KOLK_KINESIS` (so each can be run by hand against
//! any server) and prints one line a case: `ok NAME`, `FAIL NAME: why` or `skip NAME: why`.

use crate::{fetch, run, server, suite, tree};
use anyhow::Result;
use fetch::Need;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// One foreign program.
pub struct Client {
    /// Part name, such as `compat/boto3`.
    pub name: &'static str,
    /// What the machine must have.
    pub needs: &'static [Need],
    /// What it does at full length, and in how many minutes.
    pub about: (&'static str, u32),
    server: Server,
    /// Fetches what the program needs and answers how to start it.
    command: fn() -> Result<Command>,
}

/// What a program has to do with a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    /// It is run against one that was started for it.
    Given,
    /// It starts and kills servers itself and gets the binary as `KOLK_BIN`.
    Own,
    /// It compares code, not servers.
    None,
}

/// All foreign programs in the order in which they run.
pub const CLIENTS: &[Client] = &[
    Client {
        name: "compat/kafka-python",
        about: ("its round of the Kafka API", 1),
        needs: &[Need::Python],
        server: Server::Given,
        command: || python("main.txt", "kafka_python_round.py"),
    },
    Client {
        name: "compat/kafka-python-2.0.2",
        about: ("the same, with a client of 2020", 1),
        needs: &[Need::Python],
        server: Server::Given,
        command: || python("kafka-python-2.0.2.txt", "kafka_python_round.py"),
    },
    Client {
        name: "compat/confluent-kafka",
        about: ("librdkafka's round of the Kafka API", 1),
        needs: &[Need::Python],
        server: Server::Given,
        command: || python("main.txt", "confluent_kafka_round.py"),
    },
    Client {
        name: "compat/kcat",
        about: ("kcat's round", 1),
        needs: &[Need::Python, Need::Kcat],
        server: Server::Given,
        command: || python("main.txt", "kcat_round.py"),
    },
    Client {
        name: "compat/boto3",
        about: ("its round of the Kinesis API", 2),
        needs: &[Need::Python],
        server: Server::Given,
        command: || python("main.txt", "boto3_round.py"),
    },
    Client {
        name: "compat/java-kafka-clients",
        about: ("Kafka's own client", 1),
        needs: &[Need::Java],
        server: Server::Given,
        command: || java("KafkaClientsRound"),
    },
    Client {
        name: "compat/java-aws-sdk",
        about: ("the AWS SDK for Java", 1),
        needs: &[Need::Java],
        server: Server::Given,
        command: || java("KinesisSdkRound"),
    },
    Client {
        name: "compat/js-aws-sdk",
        about: ("the AWS SDK for JavaScript", 1),
        needs: &[Need::Node],
        server: Server::Given,
        command: || js("round.mjs"),
    },
    Client {
        name: "compat/franz-go",
        about: ("franz-go", 1),
        needs: &[Need::Go],
        server: Server::Given,
        command: go,
    },
    Client {
        name: "compat/codec",
        about: ("our codec beside three others, 300 random values a message", 3),
        needs: &[Need::Java],
        server: Server::None,
        command: codec,
    },
    Client {
        name: "flights",
        about: ("the example over both protocols", 1),
        needs: &[Need::Python],
        server: Server::Given,
        command: || python("main.txt", FLIGHTS),
    },
    Client {
        name: "flights-kill",
        about: ("the example, with kills", 1),
        needs: &[Need::Python],
        server: Server::Own,
        command: || {
            let mut command = python("main.txt", FLIGHTS)?;
            command.arg("--kill");
            Ok(command)
        },
    },
    Client {
        name: "kill",
        about: ("100 kills under load, a stop of 30 s, starts on 1, 4 and 16 GB of log", 40),
        needs: &[Need::Python],
        server: Server::Own,
        command: || python("main.txt", "kill_rounds.py"),
    },
    Client {
        name: "disk",
        about: ("disks that fail in nine ways at ten moments each, that are read-only, that fill up", 12),
        needs: &[Need::Python, Need::Java, Need::C],
        server: Server::Own,
        command: || {
            let mut command = python("main.txt", "disk_rounds.py")?;
            command.env("KOLK_CLASS_PATH", fetch::java()?);
            Ok(command)
        },
    },
];

const FLIGHTS: &str = "../../examples/flights/flights.py";

fn python(requirements: &str, program: &str) -> Result<Command> {
    let mut command = Command::new(fetch::python(requirements)?.join("python"));
    command.arg("-u").arg(tree::root().join("compat/python").join(program));
    Ok(command)
}

fn java(main: &str) -> Result<Command> {
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-cp"]).arg(fetch::java()?).arg(main);
    Ok(command)
}

fn js(program: &str) -> Result<Command> {
    let mut command = Command::new("node");
    command.arg(fetch::js()?.join(program));
    Ok(command)
}

fn go() -> Result<Command> {
    Ok(Command::new(fetch::go()?))
}

fn codec() -> Result<Command> {
    let mut command = Command::new(fetch::codec()?);
    command.arg(fetch::java()?);
    Ok(command)
}

/// Fetches everything for the clients whose toolchains are here; errors are left to the part that needs it.
pub fn prefetch(clients: &[&Client]) {
    for client in clients.iter().filter(|client| client.needs.iter().all(|need| need.is_met())) {
        // The part itself asks again and reports.
        let _ = (client.command)();
    }
}

/// Runs one client against a fresh server.
pub fn run(client: &Client, run: &mut suite::Run) -> Result<suite::Count> {
    let file = client.name.replace('/', "-");
    let logs = tree::work("logs")?;
    let log = logs.join(format!("{file}.log"));
    let mut command = (client.command)()?;
    if run.full {
        command.env("KOLK_FULL", "1");
    }
    match client.server {
        Server::None => run_cases(client.name, &mut command, &log),
        Server::Own => {
            command.env("KOLK_BIN", run.server()?).env("KOLK_DATA", tree::work("data")?);
            if run.full && Need::Java.is_met() {
                command.env("KOLK_CLASS_PATH", fetch::java()?);
            }
            let limit = if run.full { FULL_LIMIT } else { LIMIT };
            run_cases_within(limit, client.name, &mut command, &log)
        }
        Server::Given => {
            let server =
                server::Server::start(&run.server()?, &logs.join(format!("{file}-server.log")), &[])?;
            command
                .env("KOLK_KAFKA", &server.kafka)
                .env("KOLK_KINESIS", format!("http://{}", server.kinesis));
            let mut count = run_cases(client.name, &mut command, &log)?;
            if let Err(error) = server.stop() {
                println!("    FAIL clean stop: {error:#}");
                count.failed += 1;
            }
            Ok(count)
        }
    }
}

/// Runs a program that prints case lines and counts them; one that ends badly or runs nothing counts as failed.
pub fn run_cases(name: &str, command: &mut Command, log: &Path) -> Result<suite::Count> {
    run_cases_within(LIMIT, name, command, log)
}

fn run_cases_within(limit: Duration, name: &str, command: &mut Command, log: &Path) -> Result<suite::Count> {
    let outcome = run::logged(command, log, limit, is_case)?;
    let mut count = read_cases(&outcome.lines);
    if !outcome.success() && count.failed == 0 {
        let how =
            outcome.status.map_or("was stopped by the time limit".to_owned(), |s| format!("ended with {s}"));
        println!("    FAIL {name}: the program {how}; its last lines:");
        for line in outcome.lines.iter().rev().take(15).rev() {
            println!("      {line}");
        }
        count.failed += 1;
    }
    if count.passed + count.failed == 0 {
        println!("    FAIL {name}: no case was run");
        count.failed += 1;
    }
    if count.failed > 0 {
        println!("    the log is {}", log.display());
    }
    Ok(count)
}

/// No client takes more than a minute or two; this only ends what hangs.
const LIMIT: Duration = Duration::from_secs(600);
/// A hundred kills and logs of many GB take longer.
const FULL_LIMIT: Duration = Duration::from_secs(3600);

fn is_case(line: &str) -> bool {
    line.starts_with("ok ") || line.starts_with("FAIL ") || line.starts_with("skip ")
}

/// Counts the case lines of a program.
fn read_cases(lines: &[String]) -> suite::Count {
    let starting = |word: &str| lines.iter().filter(|line| line.starts_with(word)).count();
    suite::Count { passed: starting("ok "), failed: starting("FAIL "), skipped: starting("skip ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_lines_are_counted_and_nothing_else() {
        let lines =
            ["ok create", "ok read: 3 records", "FAIL split: why", "skip x: y", "okay", "2 passed, 1 failed"];
        let count = read_cases(&lines.map(str::to_owned));
        assert_eq!((count.passed, count.failed, count.skipped), (2, 1, 1));
    }
}
