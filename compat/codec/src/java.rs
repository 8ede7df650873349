//! Kafka's own classes, in a process of their own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;

use crate::notation::{Message, Schema};
use crate::{Cases, generated, value};
use kolk_wire_kafka::{ApiKey, ErrorCode};

/// The running oracle.
pub struct Kafka {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Kafka {
    pub fn start(class_path: &str) -> anyhow::Result<Kafka> {
        let mut child = Command::new("java")
            .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", class_path, "KafkaCodecOracle"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("java does not start")?;
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("piped above")?);
        Ok(Kafka { child, questions, answers })
    }

    pub fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        let questions = self.questions.as_mut().context("open until dropped")?;
        writeln!(questions, "{question}")?;
        questions.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        anyhow::ensure!(answer.ends_with('\n'), "the oracle ended after {question}");
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.questions = None;
        let _ = self.child.wait();
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every message in every version that the jar has: the same bytes after its classes read and wrote them.
pub fn compare(kafka: &mut Kafka, schema: &Schema, values: u64, cases: &mut Cases) -> anyhow::Result<()> {
    let generated = generated();
    let of_apis = schema.apis.iter().flat_map(|api| [&api.request, &api.response]);
    for message in of_apis.chain(&schema.data) {
        let result = compare_one(kafka, &generated, message, values)?;
        cases.case(&format!("kafka-clients {}", message.name), result);
    }
    let result = same_apis(&kafka.ask("apis")?);
    cases.case("kafka-clients table of APIs", result);
    let result = same_errors(&kafka.ask("errors")?);
    cases.case("kafka-clients table of errors", result);
    Ok(())
}

fn compare_one(
    kafka: &mut Kafka,
    generated: &BTreeMap<&str, crate::Again>,
    message: &Message,
    values: u64,
) -> anyhow::Result<Result<String, String>> {
    let mut versions = Vec::new();
    for version in message.versions.min..=message.versions.max {
        for seed in 0..values {
            let bytes = match value(generated, message, version, seed) {
                Ok(bytes) => bytes,
                Err(why) => return Ok(Err(why)),
            };
            let answer = kafka.ask(&format!("message {} {version} {}", message.name, hex(&bytes)))?;
            match answer.as_str() {
                "same" => {}
                "absent" => break,
                other => return Ok(Err(format!("version {version} seed {seed}: {other}: {}", hex(&bytes)))),
            }
            if seed == values - 1 {
                versions.push(version);
            }
        }
    }
    let contiguous = versions.windows(2).all(|pair| pair[1] == pair[0] + 1);
    match versions[..] {
        [first, .., last] | [first @ last] if contiguous && last == message.versions.max => {
            Ok(Ok(format!("versions {first} to {last}")))
        }
        _ => Ok(Err(format!("the jar knows {versions:?} of {:?}", message.versions))),
    }
}

/// Keys that no client sends: KRaft's and those between brokers and controllers.
const NOT_FOR_CLIENTS: [i16; 20] =
    [4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 80, 81, 82, 1020, -1];

fn same_apis(answer: &str) -> Result<String, String> {
    let mut count = 0;
    for row in answer.split_terminator(';') {
        let words: Vec<&str> = row.split(' ').collect();
        let number = |at: usize| words[at].parse::<i16>().map_err(|error| format!("{row}: {error}"));
        let key = number(0)?;
        if NOT_FOR_CLIENTS.contains(&key) {
            continue;
        }
        let api = ApiKey::from_key(key).ok_or(format!("key {row} is missing"))?;
        count += 1;
        let same = api.name() == words[1]
            && api.min_version() <= number(2)?
            && api.max_version_known() == number(3)?
            && api.max_version() == number(4)?;
        if !same {
            return Err(format!("{row} against {api:?} {} to {}", api.min_version(), api.max_version()));
        }
    }
    if count == ApiKey::ALL.len() { Ok(format!("{count} keys")) } else { Err(format!("only {count} keys")) }
}

fn same_errors(answer: &str) -> Result<String, String> {
    let ours: Vec<String> = ErrorCode::ALL
        .iter()
        .map(|error| format!("{} {} {}", error.code(), error.name(), error.is_retriable()))
        .collect();
    let theirs: Vec<&str> = answer.split_terminator(';').collect();
    match ours.iter().zip(&theirs).find(|(our, their)| our != their) {
        Some((our, their)) => Err(format!("{our} against {their}")),
        None if ours.len() != theirs.len() => Err(format!("{} against {}", ours.len(), theirs.len())),
        None => Ok(format!("{} codes", ours.len())),
    }
}
