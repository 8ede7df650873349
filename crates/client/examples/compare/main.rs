//! Asks two Kafka brokers the same questions and prints where their answers differ.
//!
//! ```sh
//! cargo run -p kolk-client --example compare -- 127.0.0.1:19092 127.0.0.1:9092
//! ```
//!
//! The first broker is the one to be like, the second the one that is tried; both should be empty. What must differ
//! (ids, ports, member names) is evened out first; differences that are meant stand in [`known`] with their reasons and
//! are not printed. Ends with 1 if there is any other difference, or if one that is meant is not there any more.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program on a developer's machine, not part of the server"
)]
#![allow(clippy::unwrap_used, reason = "a program that asks questions ends where one cannot be asked")]

mod asker;
mod configs;
mod groups;
mod known;
mod records;
mod topics;

use asker::{Answer, Asker};
use kolk_engine::door::real;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let shows_texts =
        arguments.iter().position(|one| one == "--texts").map(|at| arguments.remove(at)).is_some();
    let [like, tried, rest @ ..] = &arguments[..] else {
        eprintln!("usage: compare [--texts] ADDRESS ADDRESS [PART OF A QUESTION'S NAME]");
        std::process::exit(2);
    };
    let part = rest.first().map_or("", String::as_str);
    let (expected, found) = tokio::join!(answers(like, shows_texts), answers(tried, shows_texts));
    if !report(&expected, &found, part) {
        std::process::exit(1);
    }
}

async fn answers(address: &str, keeps_texts: bool) -> Vec<Answer> {
    let door = real::door(real::DiskOptions::default());
    let mut asker = Asker::new(door, address.parse().unwrap(), keeps_texts);
    asker.wait_for_coordinator().await;
    topics::ask(&mut asker).await;
    configs::ask(&mut asker).await;
    records::ask(&mut asker).await;
    groups::ask(&mut asker).await;
    asker.answers
}

/// Prints what differs; true if nothing does that is not known.
fn report(expected: &[Answer], found: &[Answer], part: &str) -> bool {
    let (mut same, mut meant, mut wrong) = (0, 0, 0);
    assert_eq!(expected.len(), found.len(), "both were asked the same");
    let mut stale: Vec<&known::Known> = known::KNOWN.iter().collect();
    for (expected, found) in expected.iter().zip(found).filter(|(one, _)| one.question.contains(part)) {
        assert_eq!(expected.question, found.question, "both were asked in the same order");
        let known = known::find(&expected.question);
        match (expected.text == found.text, known) {
            (true, None) => same += 1,
            (false, Some(known)) => {
                meant += 1;
                stale.retain(|one| !std::ptr::eq(*one, known));
            }
            // Patterns are wide: that nothing they fit differs is looked at below.
            (true, Some(_)) => same += 1,
            (false, None) => {
                wrong += 1;
                println!("== {}", expected.question);
                for line in difference(&expected.text, &found.text) {
                    println!("{line}");
                }
            }
        }
    }
    for known::Known(pattern, reason) in stale.iter().filter(|_| part.is_empty()) {
        wrong += 1;
        println!("== {pattern}\n   does not differ any more, and was known to: {reason}");
    }
    println!("{same} answers the same, {meant} known to differ, {wrong} wrong");
    wrong == 0
}

/// The lines of either text that the other has not, in order, marked `-` (expected) and `+` (found); lines in common
/// that open a struct are kept, to say where one is.
fn difference(expected: &str, found: &str) -> Vec<String> {
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    // common[i][j] = length of the longest common subsequence of a[i..] and b[j..].
    let mut common = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] =
                if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let mut lines = Vec::new();
    let mut name = None;
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            if ["name:", "partition_index:", "topic:", "group_id:"]
                .iter()
                .any(|key| a[i].trim().starts_with(key))
            {
                name = Some(a[i]);
            }
            (i, j) = (i + 1, j + 1);
            continue;
        }
        lines.extend(name.take().map(|name| format!("  {name}")));
        if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("- {}", a[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", b[j]));
            j += 1;
        }
    }
    lines
}
