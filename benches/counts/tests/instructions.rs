//! Ceilings of the instructions that requests cost, counted by callgrind.
//!
//! Whoever has no valgrind is told so and passes; with `CI=true` it must be there.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test, which starts a profiler"
)]

use std::process::Command;

use kolk_counts::script::Script;

/// Instructions that a request may take at most, in thousands: 15 % more than were counted when this was written (two runs
/// differ by 0.3 %). The tests' build: our own code is not optimised.
fn ceiling(script: Script) -> u64 {
    match script {
        Script::ProduceOne => 165,
        Script::ProduceWindow => 73,
        Script::ProduceWindowSpread => 77,
        Script::ProduceBatch => 23_700,
        Script::FetchMemory => 132,
        Script::FetchFile => 139,
        Script::FetchSmall => 797,
        Script::FetchSpread => 14_550,
        Script::PutRecord => 826,
        Script::PutRecords => 113_000,
        Script::GetRecords => 103_500,
    }
}

#[test]
fn requests_take_no_more_instructions_than_they_did() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "valgrind is not installed");
        eprintln!("skipped: valgrind is not installed");
        return;
    }
    let mut over = Vec::new();
    // Two at a time: most of it is the start of the server, in a processor that is interpreted.
    for scripts in Script::ALL.chunks(2) {
        let counted = std::thread::scope(|scope| {
            let threads: Vec<_> =
                scripts.iter().map(|script| scope.spawn(|| instructions(*script))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        for (script, counted) in scripts.iter().zip(counted) {
            let (each, at_most) =
                (counted / (script.rounds() * script.requests()) as u64, ceiling(*script) * 1000);
            eprintln!("{script:?}: {each} instructions a request, {at_most} are allowed");
            if each > at_most {
                over.push(format!("{script:?}: {each} instructions a request, {at_most} are allowed"));
            }
            assert!(each > 1000, "{script:?}: {each} instructions: the counted part was not found");
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

/// Instructions of all counted rounds.
fn instructions(script: Script) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*the_counted_part*"])
        .arg(format!("--callgrind-out-file={}", directory.path().join("out").display()))
        .arg(env!("CARGO_BIN_EXE_kolk-counts"))
        .arg(format!("{script:?}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{script:?}: {said}");
    let counted = said.lines().find_map(|line| line.split_once("Collected : ")).unwrap().1;
    counted.trim().parse().unwrap()
}
