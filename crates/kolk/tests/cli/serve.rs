//! Starting and stopping: listeners, the ready file, what stops a start, signals, what a restart brings back.

use rustix::process::Signal;

use crate::harness::{Server, run};

#[test]
fn a_signal_ends_it_with_0_and_a_restart_has_everything() {
    let server = Server::start(&["--create", "orders:3"]);
    let log = server.log();
    for part in ["kcat -b ", "KafkaProducer(", "bootstrap.servers=", "boto3.client(", "aws kinesis"] {
        assert!(log.contains(part), "no `{part}` in: {log}");
    }
    assert_eq!(server.feed(b"a\nb\nc\n", &["produce", "orders"]).done(), "");
    let (code, home) = server.stop(Signal::TERM);
    assert_eq!(code, Some(0));
    assert!(!home.path().join("ready.json").exists(), "the ready file of a server that is gone");

    // --create of a topic that is there is no error.
    let server = Server::start_in(home, &["--create", "orders:3"]);
    assert_eq!(server.done(&["consume", "orders"]), "a\nb\nc\n");
    let (code, home) = server.stop(Signal::INT);
    assert_eq!(code, Some(0));
    let verified = run(&["verify", home.path().join("data").to_str().expect("UTF-8")]).done();
    assert!(verified.contains("everything checks"), "{verified}");
}

#[test]
fn a_killed_server_has_what_it_acknowledged() {
    let server = Server::start(&["--create", "orders:1"]);
    let records: String = (0..500).map(|n| format!("record {n}\n")).collect();
    server.feed(records.as_bytes(), &["produce", "orders"]).done();
    let (code, home) = server.stop(Signal::KILL);
    assert_eq!(code, None);
    let _ = std::fs::remove_file(home.path().join("ready.json"));
    let server = Server::start_in(home, &[]);
    assert_eq!(server.done(&["consume", "orders"]), records);
}

#[test]
fn in_memory_nothing_is_written() {
    let server = Server::ephemeral();
    server.done(&["topic", "create", "t"]);
    server.feed(b"a\n", &["produce", "t"]).done();
    assert_eq!(server.done(&["consume", "t"]), "a\n");
    assert!(!server.data_dir().exists());
}

#[test]
fn each_listener_answers_with_its_own_address() {
    let server = Server::start(&[
        "--ephemeral",
        "--kafka",
        "127.0.0.1:0",
        "--kafka",
        "127.0.0.1:0,advertise=kolk.example:29092",
    ]);
    assert_eq!(server.json(&["topic", "list"]).len(), 0);
    let log = server.log();
    let second = log
        .lines()
        .find_map(|line| line.trim().strip_prefix("Kafka "))
        .and_then(|list| list.split_whitespace().nth(1))
        .expect("two listeners are shown");
    // The second one sends its clients to a name that leads nowhere.
    let said = run(&["consume", "none", "--server", second, "--timeout", "2"]);
    said.failed("there is no such topic");
    server.done(&["topic", "create", "t"]);
    let said = run(&["consume", "t", "--server", second, "--timeout", "2"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("kolk.example:29092"), "{}", said.err);
}

#[test]
fn what_cannot_start_says_why_in_one_sentence() {
    let server = Server::start(&[]);
    let nowhere = tempfile::tempdir().expect("a temporary directory");
    let data = nowhere.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let serve = |data: &str, kafka: &str| {
        run(&[
            "serve",
            "--data-dir",
            data,
            "--kafka",
            kafka,
            "--kinesis",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--log",
            "error",
        ])
    };
    let (_, port) = server.kafka.rsplit_once(':').expect("a port");
    serve(data, &server.kafka).failed(&format!("port {port} for Kafka is in use on 127.0.0.1"));
    assert!(!nowhere.path().join("data").exists(), "a busy port leaves no directory behind");
    let used = server.data_dir();
    serve(used.to_str().expect("UTF-8"), "127.0.0.1:0").failed("is in use by another process");
    let said = run(&["verify", used.to_str().expect("UTF-8")]);
    said.failed("is in use by another process");

    std::fs::create_dir(data).expect("a directory");
    std::fs::write(nowhere.path().join("data/holiday.jpg"), "x").expect("a file");
    serve(data, "127.0.0.1:0").failed("is not a Kolk data directory: it holds 'holiday.jpg'");
    let file = nowhere.path().join("data/holiday.jpg");
    serve(file.join("data").to_str().expect("UTF-8"), "127.0.0.1:0").failed("cannot open the log");

    let (_, home) = server.stop(Signal::TERM);
    let manifest = home.path().join("data/manifest");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, text.replacen("kolk-data 2", "kolk-data 3", 1)).expect("a manifest");
    serve(home.path().join("data").to_str().expect("UTF-8"), "127.0.0.1:0").failed("data format 3");
}

#[test]
fn listening_beyond_the_machine_warns_once() {
    let server = Server::start(&["--ephemeral", "--kafka", "0.0.0.0:0", "--log-format", "json"]);
    let log = server.log();
    assert_eq!(log.matches("without credentials").count(), 1, "{log}");
    // With JSON logs every line is an object, what listens where too.
    let lines = crate::harness::json_lines(&log);
    assert!(lines.iter().any(|line| line["message"] == "ready"), "{log}");
    assert_eq!(server.done(&["topic", "list", "--json"]), "");
}
