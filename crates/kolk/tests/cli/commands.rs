//! Every command against a running server, as text and as JSON.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Server, json_lines};

#[test]
fn topics_are_made_listed_described_altered_trimmed_and_deleted() {
    let server = Server::ephemeral();
    assert_eq!(
        server.done(&["topic", "create", "orders", "-p", "3", "--config", "retention.ms=1000000"]),
        ""
    );
    server.run(&["topic", "create", "orders"]).failed("TOPIC_ALREADY_EXISTS");
    assert_eq!(server.done(&["topic", "create", "orders", "--if-not-exists"]), "");
    server.done(&["topic", "create", "small"]);
    assert_eq!(server.done(&["topic", "list"]), "TOPIC   PARTITIONS\norders  3\nsmall   1\n");
    let listed = server.json(&["topic", "list"]);
    assert_eq!((&listed[0]["topic"], &listed[0]["partitions"]), (&json!("orders"), &json!(3)));
    assert_eq!(listed[0]["id"].as_str().map(str::len), Some(36));

    server.feed(b"a\nb\nc\nd\n", &["produce", "orders", "-p", "1"]).done();
    let text = server.done(&["topic", "describe", "orders"]);
    assert!(text.contains("retention.ms  1000000  topic"), "{text}");
    let described = server.json(&["topic", "describe", "orders"]).remove(0);
    assert_eq!(described["partitions"][1]["latest"], 4);
    assert_eq!(described["configs"][0]["name"], "retention.ms");
    let all = server.json(&["topic", "describe", "orders", "--all-configs"]).remove(0);
    let configs = all["configs"].as_array().expect("configs");
    assert!(configs.iter().any(|c| c["name"] == "max.message.bytes" && c["source"] == "default"));

    let altered = [
        "topic",
        "alter",
        "orders",
        "-p",
        "5",
        "--config",
        "segment.ms=60000",
        "--reset-config",
        "retention.ms",
    ];
    assert_eq!(server.done(&altered), "");
    let described = server.json(&["topic", "describe", "orders"]).remove(0);
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(5));
    assert_eq!(described["configs"].as_array().map(Vec::len), Some(1));
    server.run(&["topic", "alter", "orders", "-p", "2"]).failed("INVALID_PARTITIONS");
    server.run(&["topic", "alter", "orders", "--config", "no.such=1"]).failed("INVALID_CONFIG");

    let trimmed = server.json(&["topic", "trim", "orders", "-p", "1", "--before", "3"]);
    assert_eq!(trimmed, [json!({ "topic": "orders", "partition": 1, "earliest": 3 })]);
    assert_eq!(server.done(&["consume", "orders"]), "d\n");
    assert!(server.done(&["topic", "trim", "orders", "--all"]).contains("1          4\n"));
    assert_eq!(server.done(&["consume", "orders"]), "");

    assert_eq!(server.done(&["topic", "delete", "orders", "small"]), "");
    server.run(&["topic", "delete", "orders"]).failed("UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!(server.done(&["topic", "delete", "orders", "--if-exists"]), "");
    server.run(&["topic", "describe", "orders"]).failed("there is no such topic");
}

#[test]
fn partitions_have_limits_that_are_settings() {
    let server = Server::start(&["--ephemeral", "--topic-partitions-max", "4", "--partitions-max", "6"]);
    server.run(&["topic", "create", "t", "-p", "5"]).failed("topic-partitions-max");
    server.done(&["topic", "create", "t", "-p", "4"]);
    server.run(&["topic", "create", "u", "-p", "3"]).failed("partitions-max");
    server.run(&["topic", "alter", "t", "-p", "5"]).failed("topic-partitions-max");
    server.done(&["topic", "create", "u", "-p", "2"]);
}

#[test]
fn records_go_in_and_come_out_as_they_were() {
    let server = Server::start(&["--ephemeral", "--create", "t:2"]);
    let written =
        server.feed(b"k1:one\nk2:two\nk1:three\n", &["produce", "t", "-K", ":", "-H", "h=x", "--json"]);
    let written = json_lines(&written.done());
    assert_eq!(written.len(), 3);
    assert_eq!(written[0]["partition"], written[2]["partition"], "a key stays in its partition");
    let read = server.json(&["consume", "t"]);
    let values: std::collections::BTreeSet<_> = read.iter().filter_map(|r| r["value"].as_str()).collect();
    assert_eq!(values, ["one", "two", "three"].into());
    assert!(read.iter().all(|r| r["headers"] == json!([{ "key": "h", "value": "x" }])));

    // Through JSON and back, with what is no text and with nulls.
    server.done(&["topic", "create", "raw", "-p", "1"]);
    let line = json!({ "key_base64": "/wA=", "value": null, "timestamp": 1000, "headers": [{ "key": "n", "value": null }] });
    server.feed(format!("{line}\n").as_bytes(), &["produce", "raw", "--from-json"]).done();
    let expected = json!({
        "topic": "raw", "partition": 0, "offset": 0, "timestamp": 1000, "key_base64": "/wA=", "value": null,
        "headers": [{ "key": "n", "value": null }],
    });
    assert_eq!(server.json(&["consume", "raw"]), [expected]);
    server.feed(b"{\"valu\":1}\n", &["produce", "raw", "--from-json"]).failed("`valu` is no member");

    // Every codec, tombstones, a delimiter of its own, files.
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        server.feed(codec.as_bytes(), &["produce", "raw", "-z", codec, "-k", "key"]).done();
    }
    server.feed(b"key:;key2:v", &["produce", "raw", "-D", ";", "-K", ":", "-Z"]).done();
    let file = server.home.path().join("whole");
    std::fs::write(&file, "two\nlines").expect("a file");
    server.done(&[
        "produce",
        "raw",
        "--whole-files",
        file.to_str().expect("UTF-8"),
        "--timestamp",
        "2026-01-01",
    ]);
    let tail = server.done(&["consume", "raw", "-o", "-3", "-f", r"%o %k|%S|%s|%T\x0a"]);
    let tail: Vec<&str> = tail.lines().collect();
    assert!(tail[0].starts_with("6 key|-1||") && tail[1].starts_with("7 key2|1|v|"), "{tail:?}");
    assert_eq!(tail[2..], ["8 |9|two", "lines|1767225600000"]);
    let codecs = server.done(&["consume", "raw", "-o", "1", "--until", "6"]);
    assert_eq!(codecs, "none\ngzip\nsnappy\nlz4\nzstd\n");

    server.run(&["produce", "raw", "/nonexistent"]).failed("cannot read /nonexistent");
    // Made on its first use, unless the server says no.
    server.feed(b"x", &["produce", "fresh"]).done();
    assert_eq!(server.done(&["consume", "fresh"]), "x\n");
    let strict = Server::start(&["--ephemeral", "--kafka-set", "auto.create.topics.enable=false"]);
    strict.feed(b"x", &["produce", "missing", "--timeout", "1"]).failed("there is no such topic");
    server
        .feed(b"x", &["produce", "raw", "-p", "9", "--timeout", "5"])
        .failed("record 1 of the input was not written");
}

#[test]
fn consumers_begin_and_end_where_they_are_told() {
    let server = Server::start(&["--ephemeral", "--create", "t:1"]);
    let lines: String =
        (0..10).map(|n| format!("{{\"value\":\"{n}\",\"timestamp\":{}}}\n", 1000 + n)).collect();
    server.feed(lines.as_bytes(), &["produce", "t", "--from-json"]).done();
    let read = |arguments: &[&str]| {
        let all = [&["consume", "t", "-D", " "], arguments].concat();
        server.done(&all).trim_end().to_owned()
    };
    assert_eq!(read(&[]), "0 1 2 3 4 5 6 7 8 9");
    assert_eq!(read(&["-o", "7"]), "7 8 9");
    assert_eq!(read(&["-o", "-2"]), "8 9");
    assert_eq!(read(&["-o", "@1004", "--until", "@1006"]), "4 5");
    assert_eq!(read(&["-o", "latest"]), "");
    assert_eq!(read(&["-o", "2", "-c", "3"]), "2 3 4");
    assert_eq!(read(&["-c", "0"]), "");
    assert_eq!(read(&["-p", "0", "--until", "2"]), "0 1");
    assert_eq!(read(&["-K", "=", "--until", "1"]), "=0");
    server.run(&["consume", "t", "-p", "4"]).failed("topic t has no partition 4");

    // Following ends with the count, and sees what is written while it waits.
    let mut follow = server.command(&["consume", "t", "-F", "-o", "9", "-c", "2"]);
    let follow = follow.stdout(Stdio::piped()).spawn().expect("kolk can be run");
    server.feed(b"new", &["produce", "t"]).done();
    let output = follow.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "9\nnew\n");
}

/// A server with a topic `t` of one partition, on which groups do not wait for further members.
fn for_groups() -> Server {
    Server::start(&["--ephemeral", "--create", "t:1", "--kafka-set", "group.initial.rebalance.delay.ms=0"])
}

#[test]
fn groups_commit_what_was_printed_and_can_be_moved() {
    let server = for_groups();
    server.feed(b"0\n1\n2\n3\n4\n", &["produce", "t"]).done();
    assert_eq!(server.done(&["consume", "t", "-g", "g", "-c", "2"]), "0\n1\n");
    assert_eq!(server.done(&["consume", "t", "-g", "g"]), "2\n3\n4\n");
    assert_eq!(server.done(&["consume", "t", "-g", "g"]), "");

    let listed = server.json(&["group", "list"]);
    assert_eq!((&listed[0]["group"], &listed[0]["state"]), (&json!("g"), &json!("Empty")));
    let described = server.json(&["group", "describe", "g"]).remove(0);
    let offsets = json!([{
        "topic": "t", "partition": 0, "committed": 5, "latest": 5, "lag": 0, "metadata": "", "member": null,
    }]);
    assert_eq!(described["offsets"], offsets);
    assert!(
        server.done(&["group", "describe", "g"]).contains("t      0          5          5       0    -\n")
    );

    let moved = |to: i64| vec![json!({ "group": "g", "topic": "t", "partition": 0, "from": 5, "to": to })];
    assert_eq!(server.json(&["group", "reset", "g", "--to-offset", "3", "--dry-run"]), moved(3));
    assert_eq!(server.json(&["group", "reset", "g", "--to-offset", "99", "--dry-run"]), moved(5));
    assert_eq!(server.json(&["group", "reset", "g", "--to-time", "1h", "--dry-run"]), moved(0));
    assert_eq!(server.json(&["group", "reset", "g", "--to-latest", "--dry-run"]), moved(5));
    assert_eq!(server.json(&["group", "reset", "g", "--to-offset", "3"]), moved(3));
    assert_eq!(server.done(&["consume", "t", "-g", "g"]), "3\n4\n");
    server.done(&["group", "reset", "g", "--to-earliest"]);
    assert_eq!(server.done(&["consume", "t", "-g", "g", "-c", "1"]), "0\n");

    // Where nothing was committed, a time without records is the end: there is nothing to wait for.
    assert_eq!(server.done(&["consume", "t", "-g", "h", "--from", "@now"]), "");
    // Where something was, what is behind that is read wherever else it was to begin.
    assert_eq!(server.done(&["consume", "t", "-g", "g", "--from", "latest"]), "1\n2\n3\n4\n");

    assert_eq!(server.done(&["group", "delete", "g"]), "");
    server.run(&["group", "describe", "g"]).failed("there is no group g");
    server.run(&["group", "delete", "g"]).failed("cannot delete group g");
    server.run(&["group", "reset", "g", "--to-latest"]).failed("has committed no offsets");
}

/// Where nothing was as late as the time asked for, the whole topic was printed and committed.
#[test]
fn a_group_that_begins_after_the_last_record_prints_none() {
    let server = for_groups();
    server.feed(b"0\n1\n", &["produce", "t"]).done();
    let mut follow = server.command(&["consume", "t", "-g", "g", "--from", "@2100-01-01", "-F", "-c", "1"]);
    let follow = follow.stdout(Stdio::piped()).spawn().expect("kolk can be run");
    let is_there = || {
        let described = server.run(&["group", "describe", "g", "--json"]);
        described.code == 0 && json_lines(&described.out)[0]["state"] == "Stable"
    };
    while !is_there() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // It may be asking where to begin still: the first of many that it sees is no older than these.
    let mut fed = 0;
    let mut follow = follow;
    while follow.try_wait().expect("a child can be asked").is_none() {
        assert!(fed < 600, "it sees nothing");
        server.feed(b"new\n", &["produce", "t"]).done();
        fed += 1;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let output = follow.wait_with_output().expect("it ended");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "new\n");
}

/// What was committed lies before the first record, and there is none: the command waited for a record for ever.
#[test]
fn a_group_whose_records_are_all_gone_ends() {
    let server = for_groups();
    server.feed(b"0\n1\n2\n", &["produce", "t"]).done();
    assert_eq!(server.done(&["consume", "t", "-g", "g", "-c", "1"]), "0\n");
    server.done(&["topic", "trim", "t", "--all"]);
    assert_eq!(server.done(&["consume", "t", "-g", "g"]), "");
}

/// The first record was committed and not printed.
#[test]
fn a_group_that_reads_no_record_skips_none() {
    let server = for_groups();
    server.feed(b"0\n1\n", &["produce", "t"]).done();
    assert_eq!(server.done(&["consume", "t", "-g", "g", "-c", "0"]), "");
    assert_eq!(server.done(&["consume", "t", "-g", "g"]), "0\n1\n");
}

#[test]
fn shards_are_listed_split_and_merged() {
    let server = Server::start(&["--ephemeral"]);
    server.done(&["topic", "create", "s", "-p", "2", "--config", "kolk.reshard=split+merge"]);
    assert_eq!(server.done(&["shard", "split", "s", "shardId-000000000000"]), "");
    let shards = server.json(&["shard", "list", "s"]);
    let places: Vec<Value> = shards.iter().map(|s| json!([s["open"], s["partition"], s["parent"]])).collect();
    let parent = "shardId-000000000000";
    assert_eq!(
        places,
        [json!([false, 0, null]), json!([true, 1, null]), json!([true, 0, parent]), json!([true, 2, parent]),]
    );
    assert_eq!(server.done(&["shard", "merge", "s", "2", "3"]), "");
    let open = server.json(&["shard", "list", "s", "--open"]);
    assert_eq!(open.len(), 2);
    assert_eq!(open[1]["adjacent_parent"], "shardId-000000000003");
    // The merge has retired a partition, which describing the topic warns of.
    let said = server.run(&["topic", "describe", "s", "--json"]);
    assert!(said.err.contains("has retired partition 2 of s"), "{}", said.err);
    let described = json_lines(&said.out).remove(0);
    assert_eq!(described["partitions"][2]["retired"], true);
    assert_eq!(described["partitions"][0]["retired"], false);
    let number = open[1]["starting_sequence_number"].as_str().expect("a number").to_owned();
    assert_eq!(server.json(&["shard", "decode", &number])[0]["shard"], "shardId-000000000004");
    assert!(server.done(&["shard", "list", "s"]).starts_with("SHARD "));
    server.run(&["shard", "merge", "s", "1", "4"]).failed("InvalidArgumentException");
    server.run(&["shard", "split", "s", "7"]).failed("has no shard 7");
    server.run(&["shard", "list", "none"]).failed("ResourceNotFoundException");
}

#[test]
fn dump_and_verify_tell_what_is_on_the_disk() {
    let server = Server::start(&["--create", "t:1"]);
    server.feed(b"a\nb\n", &["produce", "t"]).done();
    let (_, home) = server.stop(rustix::process::Signal::KILL);
    let data = home.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let report = json_lines(&crate::harness::run(&["verify", data, "--json"]).done()).remove(0);
    assert_eq!((&report["damage"], &report["batches"]), (&json!([]), &json!(1)));
    let kinds: Vec<String> = json_lines(&crate::harness::run(&["dump", data, "--json"]).done())
        .iter()
        .filter_map(|line| line["kind"].as_str().map(str::to_owned))
        .collect();
    for kind in ["manifest", "wal-file", "frame", "decision", "batch"] {
        assert!(kinds.iter().any(|k| k == kind), "no {kind} in {kinds:?}");
    }
    assert!(crate::harness::run(&["dump", data]).done().starts_with("manifest cluster="));
    crate::harness::run(&["verify", home.path().join("none").to_str().expect("UTF-8")])
        .failed("cannot verify");
}

#[test]
fn a_closed_pipe_is_quiet() {
    let server = Server::start(&["--ephemeral", "--create", "t:1"]);
    let line = [b'x'; 1000];
    let lines: Vec<u8> = (0..2000).flat_map(|_| line.iter().copied().chain(*b"\n")).collect();
    server.feed(&lines, &["produce", "t"]).done();
    let mut consume = server.command(&["consume", "t"]);
    let mut consume = consume.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kolk can be run");
    // Whoever reads goes away after the first bytes.
    let mut pipe = consume.stdout.take().expect("a pipe");
    std::io::Read::read_exact(&mut pipe, &mut [0; 10]).expect("some bytes");
    drop(pipe);
    let output = consume.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

/// Runs a command whose output nobody reads.
fn unread(mut command: std::process::Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kolk can be run");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The first line that could not be printed ended the command, with records neither sent nor read, and exit code 0.
#[test]
fn produce_goes_on_when_nobody_reads_its_output() {
    let server = Server::start(&["--ephemeral", "--create", "t:1"]);
    let input = server.home.path().join("input");
    std::fs::write(&input, "line\n".repeat(20_000)).expect("a file");
    let input = input.to_str().expect("UTF-8");
    assert_eq!(unread(server.command(&["produce", "t", "--json", input])), (Some(0), String::new()));
    let described = server.json(&["topic", "describe", "t"]).remove(0);
    assert_eq!(described["partitions"][0]["latest"], 20_000, "{described}");
}

/// A script that looks at the first line of a report only was told that all is well.
/// Up to 64 batches were still in a queue of the process when it ended, with exit code 0.
#[test]
fn what_nobody_acknowledges_is_sent_before_the_end() {
    let server = Server::start(&["--ephemeral", "--create", "t:1"]);
    let lines = format!("{}\n", "x".repeat(999)).repeat(20_000);
    server.feed(lines.as_bytes(), &["produce", "t", "--acks", "0"]).done();
    // What is sent may not have been taken yet.
    assert_eq!(server.done(&["consume", "t", "-F", "-c", "20000", "-D", ""]).len(), 20_000 * 999);
}

#[test]
fn damage_is_told_when_nobody_reads_the_report() {
    let server = Server::start(&["--create", "t:1"]);
    for value in ["first", "second", "third"] {
        server.feed(value.as_bytes(), &["produce", "t"]).done();
    }
    let (_, home) = server.stop(rustix::process::Signal::KILL);
    let data = home.path().join("data");
    for file in std::fs::read_dir(data.join("wal")).expect("the log") {
        let file = file.expect("a file").path();
        let mut bytes = std::fs::read(&file).expect("it can be read");
        if let Some(at) = bytes.windows(5).position(|window| window == b"first") {
            bytes[at] ^= 1;
            std::fs::write(&file, bytes).expect("it can be written");
        }
    }
    let data = data.to_str().expect("UTF-8");
    for arguments in [&["verify", data][..], &["verify", data, "--json"], &["repair", data]] {
        let (code, said) = unread(crate::harness::kolk(arguments));
        assert!(code == Some(1) && said.contains("is damaged"), "{arguments:?} said {code:?}, {said}");
    }
    let (code, said) = unread(crate::harness::kolk(&["shard", "decode", "no number"]));
    assert!(code == Some(1) && said.contains("no number"), "{code:?}, {said}");
}

#[test]
fn no_server_is_one_sentence() {
    let said = crate::harness::run(&["topic", "list", "--server", "127.0.0.1:1"]);
    said.failed("cannot connect to 127.0.0.1:1");
    let said = crate::harness::run(&["shard", "list", "s", "--kinesis-endpoint", "http://127.0.0.1:1"]);
    said.failed("cannot connect to 127.0.0.1:1");
}
