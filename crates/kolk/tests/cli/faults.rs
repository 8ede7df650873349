//! What becomes of a server whose disk fills up, and of a directory in which bits flipped.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Server, get, json_lines, metrics, run, value};

const DISK: u64 = 24 << 20;

/// Puts a record of 600,000 bytes; true if it was taken, false if the disk is full.
fn put(server: &Server, stream: &str) -> bool {
    let data = "QUFB".repeat(200_000);
    let record = json!({ "StreamName": stream, "PartitionKey": "k", "Data": data });
    match server.kinesis_call("PutRecord", &record) {
        (200, _) => true,
        (500, body) => {
            assert!(body.contains("InternalFailure") && body.contains("no space left"), "{body}");
            false
        }
        (status, body) => panic!("{status}: {body}"),
    }
}

/// Puts records until the disk is full for good: a few may be refused while what the log no longer needs is given back. How many
/// were taken.
fn fill(server: &Server, stream: &str) -> u64 {
    let (mut taken, mut refused) = (0, 0);
    let end = Instant::now() + Duration::from_secs(60);
    while refused < 5 {
        if put(server, stream) {
            (taken, refused) = (taken + 1, 0);
        } else {
            refused += 1;
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(taken * 600_000 < DISK && Instant::now() < end, "the disk never got full");
    }
    taken
}

/// Waits until operators are told whether the disk is full, as people and programs ask for it. Records may be taken a little before
/// they are told that space came back.
#[track_caller]
fn tells(server: &Server, is_full: bool) {
    let end = Instant::now() + Duration::from_secs(60);
    let expected = if is_full { (503, 0.0, 1.0, true) } else { (200, 1.0, 0.0, false) };
    loop {
        let (status, _, said) = get(&server.http, "/readyz");
        let page = metrics(server);
        let is_said = said.contains("the disk is full");
        let found = (status, value(&page, "kolk_ready"), value(&page, "kolk_disk_full"), is_said);
        if found == expected {
            break;
        }
        assert!(Instant::now() < end, "{found:?}, not {expected:?}: {said}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(get(&server.http, "/healthz").0, 200, "nobody is to restart it");
}

const SETTINGS: [&str; 5] = ["--kinesis-unsigned", "--create", "large:1", "--create", "small:1"];

/// Where nobody may mount anything, the test below is all there is.
#[test]
fn a_full_file_system_refuses_writes_serves_reads_and_deletes_and_heals() {
    if let Some(server) = Server::start_on_small_mount(DISK, &SETTINGS) {
        refuses_writes_serves_reads_and_deletes_and_heals(server);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_refuses_writes_serves_reads_and_deletes_and_heals() {
    refuses_writes_serves_reads_and_deletes_and_heals(Server::start_on_small_disk(DISK, &SETTINGS));
}

fn refuses_writes_serves_reads_and_deletes_and_heals(server: Server) {
    tells(&server, false);
    let taken = fill(&server, "large");
    // The log itself takes most of so small a disk, and how much of that is free when it gets full is a matter of moments.
    assert!(taken * 600_000 > DISK / 8, "only {taken} records went in");
    assert!(!put(&server, "small"), "it takes other records");
    tells(&server, true);
    // The same refusal for Kafka's clients, which try again until they give up.
    let read = server.json(&["consume", "large"]);
    assert_eq!(read.len() as u64, taken, "what was taken can be read");
    server.done(&["topic", "delete", "large"]);
    let end = Instant::now() + Duration::from_secs(60);
    while !put(&server, "small") {
        let log = server.log();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains("an operation failed")).collect();
        assert!(Instant::now() < end, "it did not heal: {lines:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    tells(&server, false);
    for line in ["the disk is full", "space came back"] {
        while !server.log().contains(line) {
            assert!(Instant::now() < end, "`{line}` is not logged: {}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    fill(&server, "small");
    tells(&server, true);
    let (code, _) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0), "a stop does not wait for space");
}

#[test]
fn a_bad_middle_stops_a_start_and_is_repaired() {
    let server = Server::start(&["--create", "orders:1"]);
    for round in 0..5 {
        server.feed(format!("record {round}\n").as_bytes(), &["produce", "orders"]).done();
    }
    let (_, home) = server.stop(Signal::KILL);
    let _ = std::fs::remove_file(home.path().join("ready.json"));
    let data = home.path().join("data");
    let directory = data.to_str().expect("UTF-8").to_owned();
    assert!(run(&["repair", &directory]).done().contains("nothing was changed"));

    // The block of the frame with the third record.
    let file = data.join("wal/00000001.wal");
    let mut bytes = std::fs::read(&file).expect("a log file");
    let found = bytes.windows(8).position(|window| window == b"record 2").expect("the record is in the log");
    bytes[found] ^= 1;
    std::fs::write(&file, &bytes).expect("a log file");
    let block = (found - found % 4096).to_string();
    let start =
        run(&["serve", "--data-dir", &directory, "--kafka", "127.0.0.1:0", "--kinesis", "127.0.0.1:0"]);
    start.failed(&format!("00000001.wal is damaged at byte {block}"));

    let told = run(&["repair", &directory]);
    assert_eq!(told.code, 1, "{}", told.out);
    assert!(told.out.contains("lost: topic orders, partition 0, offsets 2 to 2"), "{}", told.out);
    assert!(told.out.contains("nothing was changed; --yes repairs it"), "{}", told.out);
    let done = json_lines(&run(&["repair", &directory, "--yes", "--json"]).done());
    assert_eq!(done[0]["lost"], json!([{ "topic": "orders", "partition": 0, "first": 2, "last": 2 }]));
    assert_eq!(done[0]["repaired"], true);
    let aside =
        std::fs::read(data.join("damaged/00000001.wal")).expect("what it lost a record of is put aside");
    assert!(aside == bytes, "as it was");
    assert!(run(&["verify", &directory]).done().contains("everything checks"));

    let server = Server::start_in(home, &[]);
    assert_eq!(server.done(&["consume", "orders"]), "record 0\nrecord 1\nrecord 3\nrecord 4\n");
    server.feed(b"record 5\n", &["produce", "orders"]).done();
    let read = server.json(&["consume", "orders", "--from", "2"]);
    let offsets: Vec<_> = read.iter().map(|record| record["offset"].as_i64()).collect();
    assert_eq!(offsets, [Some(3), Some(4), Some(5)]);
}
