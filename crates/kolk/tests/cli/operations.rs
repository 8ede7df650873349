//! What operators use: health, metrics, backup and restore.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Server, ask, get, metrics, run, value};

#[test]
fn health_is_told_and_nothing_else_is_there() {
    let server = Server::ephemeral();
    let (status, head, body) = get(&server.http, "/healthz");
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert_eq!(get(&server.http, "/readyz").2, "ready\n");
    assert!(get(&server.http, "/").2.contains("/metrics"));
    assert_eq!(get(&server.http, "/metrics/").0, 404);
    let (status, head, _) =
        ask(&server.http, "DELETE /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(status, 405);
    assert!(head.contains("allow: get, head"), "{head}");
    let (status, head, body) =
        ask(&server.http, "HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!((status, body.as_str()), (200, ""), "{head}");
}

/// A request that is half here keeps the server at it for as long as a stop gives it.
#[test]
fn a_server_that_stops_is_not_ready() {
    let server = Server::start(&["--kinesis-unsigned"]);
    assert_eq!(get(&server.http, "/readyz").0, 200);
    let mut half = TcpStream::connect(&server.kinesis).expect("it listens");
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-amz-json-1.1\r\n\
                x-amz-target: Kinesis_20131202.ListStreams\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    half.write_all(head.as_bytes()).expect("it reads");
    let mut told = [0; 25];
    half.read_exact(&mut told).expect("the body is asked for");
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.signal(Signal::TERM);
    let end = std::time::Instant::now() + Duration::from_secs(60);
    let told = loop {
        let told = get(&server.http, "/readyz");
        if told.0 != 200 {
            break told;
        }
        assert!(std::time::Instant::now() < end, "it does not stop");
    };
    assert_eq!((told.0, told.2.as_str()), (503, "not ready: the server stops\n"));
    assert_eq!(value(&metrics(&server), "kolk_ready"), 0.0);
    let (code, _) = server.ended();
    assert_eq!(code, Some(0));
}

#[test]
fn the_page_counts_what_clients_did() {
    let server = Server::start(&["--create", "orders:2"]);
    let before = metrics(&server);
    assert_eq!(value(&before, "kolk_partitions"), 2.0);
    server.feed(b"a\nb\nc\n", &["produce", "orders"]).done();
    server.done(&["shard", "list", "orders"]);
    server.run(&["shard", "list", "nothing"]).failed("nothing");
    assert_eq!(server.done(&["consume", "orders"]).lines().count(), 3);
    let page = metrics(&server);
    let produce = "{protocol=\"kafka\",api=\"Produce\"}";
    assert!(value(&page, &format!("kolk_requests_total{produce}")) >= 1.0);
    // Three records in as many requests at most: what the budget holds for a request besides is not counted.
    let sent = value(&page, &format!("kolk_request_bytes_total{produce}"));
    assert!(sent > 60.0 && sent < 1000.0, "{sent}");
    assert!(value(&page, &format!("kolk_reply_bytes_total{produce}")) > 20.0);
    let answered = value(&page, &format!("kolk_request_duration_seconds_count{produce}"));
    assert_eq!(answered, value(&page, &format!("kolk_requests_total{produce}")));
    let fastest = "kolk_request_duration_seconds_bucket{protocol=\"kafka\",api=\"Produce\",le=\"+Inf\"}";
    assert_eq!(value(&page, fastest), answered);
    assert_eq!(value(&page, "kolk_log_appended_records_total"), 3.0);
    assert!(value(&page, "kolk_log_appended_bytes_total") > 61.0);
    assert!(value(&page, "kolk_log_sync_seconds_count") >= 1.0);
    assert!(value(&page, "kolk_log_sync_seconds_sum") > 0.0);
    assert_eq!(value(&page, "kolk_log_queue_bytes"), 0.0);
    assert!(value(&page, "kolk_log_wal_bytes") >= 4_194_304.0);
    assert!(value(&page, "kolk_disk_free_bytes") >= 0.0);
    assert!(value(&page, "kolk_requests_total{protocol=\"kinesis\",api=\"ListShards\"}") >= 2.0);
    let missing = "{protocol=\"kinesis\",api=\"ListShards\",error=\"ResourceNotFoundException\"}";
    assert_eq!(value(&page, &format!("kolk_request_errors_total{missing}")), 1.0);
    assert_eq!(value(&page, "kolk_ready"), 1.0);
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
    assert!(value(&page, "kolk_memory_limit_bytes{part=\"requests\"}") > 1e8);
    let parts = ["requests", "control", "small", "growth", "waiting", "buffers", "http"];
    let parts = parts.map(|part| value(&page, &format!("kolk_memory_limit_bytes{{part=\"{part}\"}}")));
    assert_eq!(parts.iter().sum::<f64>(), f64::from(256 << 20), "`--memory-max`: {parts:?}");
    let started = value(&page, "process_start_time_seconds");
    assert!(started > 1.7e9, "{started}");
}

#[test]
fn the_page_is_documented_and_comes_in_both_formats() {
    let server = Server::start(&["--create", "orders:2"]);
    let page = metrics(&server);
    let told: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let docs = std::fs::read_to_string(docs).expect("docs/metrics.md");
    let documented: BTreeSet<&str> =
        docs.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(told, documented);

    let open = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n\r\n";
    let (_, head, body) = ask(&server.http, open);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(body.ends_with("# EOF\n") && body.contains("# TYPE kolk_requests counter"));
    let (_, head, _) = get(&server.http, "/metrics");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
}

#[test]
fn the_usual_port_gives_way_and_a_port_asked_for_does_not() {
    // Whoever has 8080 now, this test or another program: a server that was not told where to go finds a place.
    let taken = TcpListener::bind("127.0.0.1:8080");
    let home = tempfile::tempdir().expect("a temporary directory");
    let ready = home.path().join("ready.json");
    let mut child =
        crate::harness::kolk(&["serve", "--ephemeral", "--kafka", "127.0.0.1:0", "--kinesis", "127.0.0.1:0"])
            .arg("--ready-file")
            .arg(&ready)
            .stderr(std::fs::File::create(home.path().join("log")).expect("a log"))
            .spawn()
            .expect("kolk can be run");
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !ready.exists() && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = std::fs::read_to_string(&ready).expect("it became ready");
    let ready: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let address = ready["http"].as_str().expect("an address").to_owned();
    assert_eq!(get(&address, "/healthz").0, 200);
    let log = std::fs::read_to_string(home.path().join("log")).expect("a log");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_ne!(address, "127.0.0.1:8080");
    assert!(log.contains("port 8080 is in use: health and metrics are on another"), "{log}");
    drop(taken);

    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = other.local_addr().expect("an address");
    let said = run(&[
        "serve",
        "--ephemeral",
        "--kafka",
        "127.0.0.1:0",
        "--kinesis",
        "127.0.0.1:0",
        "--http",
        &port.to_string(),
    ]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains(&format!("port {} for HTTP is in use", port.port())), "{}", said.err);
}

#[test]
fn backups_are_for_programs_of_this_machine() {
    let server = Server::start(&[]);
    let post = |headers: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "POST /admin/backup HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        ask(&server.http, &request)
    };
    let json = "content-type: application/json\r\n";
    let target = server.home.path().join("copy");
    let body = format!("{{\"directory\":\"{}\"}}", target.display());
    // What a page in a browser can send without being asked whether it may.
    assert_eq!(post("content-type: text/plain\r\n", &body).0, 415);
    assert_eq!(post(&format!("{json}origin: http://evil.example\r\n"), &body).0, 403);
    assert_eq!(post(json, "{\"directory\":\"relative\"}").0, 400);
    assert_eq!(post(json, "no JSON").0, 400);
    assert_eq!(get(&server.http, "/admin/backup").0, 405);
    assert!(!target.exists());
    let (status, _, answer) = post(json, &body);
    assert_eq!(status, 200, "{answer}");
    assert!(target.join("manifest").exists());
}

#[test]
fn what_cannot_be_backed_up_says_why() {
    let server = Server::start(&["--create", "orders:1"]);
    let there = server.home.path().to_str().expect("UTF-8").to_owned();
    server.run(&["backup", &there]).failed("is there already");
    std::fs::create_dir(server.home.path().join("half.partial")).expect("a directory");
    let half = server.home.path().join("half");
    server
        .run(&["backup", half.to_str().expect("UTF-8")])
        .failed("half.partial is left of a backup that broke off");
    let file = server.home.path().join("log").join("copy");
    server.run(&["backup", file.to_str().expect("UTF-8")]).failed("");
    let nobody = run(&["backup", "/nowhere", "--http-endpoint", "http://127.0.0.1:1"]);
    nobody.failed("127.0.0.1:1");
    let memory = Server::ephemeral();
    memory.run(&["backup", half.to_str().expect("UTF-8")]).failed("the log is in memory");
}

#[test]
fn a_backup_under_load_has_everything_acknowledged_before_it() {
    let server = Server::start(&["--create", "orders:3"]);
    let numbers = |range: std::ops::Range<u32>| range.map(|n| format!("{n}\n")).collect::<String>();
    server.feed(numbers(0..500).as_bytes(), &["produce", "orders"]).done();
    // Writers of both protocols go on while the copy is made.
    let kafka = {
        let mut command = server.command(&["produce", "orders"]);
        command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        command.spawn().expect("kolk can be run")
    };
    let mut kafka = kafka;
    let mut feed = kafka.stdin.take().expect("a pipe");
    let feeder = std::thread::spawn(move || {
        for n in 500..200_000u32 {
            if writeln!(feed, "{n}").is_err() {
                break;
            }
        }
    });
    let kinesis = put_records(server.kinesis.clone());
    let copy = server.home.path().join("copy");
    let copy = copy.to_str().expect("UTF-8").to_owned();
    let acked_before: u32 = kinesis.acknowledged.load(std::sync::atomic::Ordering::SeqCst);
    let said = server.json(&["backup", &copy]);
    assert!(said[0]["files"].as_u64() > Some(2), "{said:?}");
    assert!(kafka.try_wait().expect("a child can be asked").is_none(), "writers were still at it");
    kinesis.stop.store(true, std::sync::atomic::Ordering::SeqCst);
    kinesis.thread.join().expect("it puts");
    kafka.kill().expect("it runs");
    kafka.wait().expect("it ends");
    feeder.join().expect("it feeds");
    let (_, home) = server.stop(Signal::KILL);

    assert!(run(&["verify", &copy]).done().contains("everything checks"));
    std::fs::remove_dir_all(home.path().join("data")).expect("the original is lost");
    std::fs::remove_file(home.path().join("ready.json")).expect("the killed server's");
    std::fs::rename(&copy, home.path().join("data")).expect("the copy takes its place");
    let server = Server::start_in(home, &[]);
    let mut next: std::collections::BTreeMap<i64, i64> = Default::default();
    let mut found = BTreeSet::new();
    for record in server.json(&["consume", "orders"]) {
        let partition = record["partition"].as_i64().expect("a partition");
        let expected = next.entry(partition).or_default();
        assert_eq!(record["offset"], *expected, "offsets of partition {partition} are dense");
        *expected += 1;
        found.insert(record["value"].as_str().expect("text").to_owned());
    }
    for n in 0..500 {
        assert!(found.contains(&n.to_string()), "{n} was acknowledged before the backup");
    }
    for n in 0..acked_before {
        assert!(found.contains(&format!("k{n}")), "k{n} was acknowledged before the backup");
    }
    server.feed(b"after\n", &["produce", "orders"]).done();
    server.done(&["topic", "list"]);
}

struct Putting {
    acknowledged: std::sync::Arc<std::sync::atomic::AtomicU32>,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

/// Puts `k0`, `k1`, ... by PutRecord, each after the one before was acknowledged; returns once twenty are.
fn put_records(kinesis: String) -> Putting {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    let acknowledged = Arc::new(AtomicU32::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let thread = std::thread::spawn({
        let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::SeqCst) {
                let n = acknowledged.load(Ordering::SeqCst);
                let data = base64(format!("k{n}").as_bytes());
                let body =
                    format!("{{\"StreamName\":\"orders\",\"PartitionKey\":\"{n}\",\"Data\":\"{data}\"}}");
                let length = body.len();
                let request = format!(
                    "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
                     content-type: application/x-amz-json-1.1\r\nx-amz-target: Kinesis_20131202.PutRecord\r\n\
                     x-amz-date: 20250615T000000Z\r\n\
                     authorization: AWS4-HMAC-SHA256 Credential=a/20250615/us-east-1/kinesis/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature=0\r\n\r\n{body}"
                );
                let (status, _, answer) = ask(&kinesis, &request);
                assert_eq!(status, 200, "{answer}");
                acknowledged.store(n + 1, Ordering::SeqCst);
            }
        }
    });
    while acknowledged.load(Ordering::SeqCst) < 20 && !thread.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Putting { acknowledged, stop, thread }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number =
            three.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let filled = digit <= three.len();
            out.push(if filled { DIGITS[(number >> (18 - 6 * digit) & 63) as usize] as char } else { '=' });
        }
    }
    out
}
