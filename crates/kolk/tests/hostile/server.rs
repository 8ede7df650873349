//! A server to be attacked, and what it is seen to take.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::http;

/// A running `kolk serve` with a data directory of its own.
pub struct Server {
    child: Option<Child>,
    home: tempfile::TempDir,
    pub kafka: SocketAddr,
    pub kinesis: SocketAddr,
    pub http: SocketAddr,
}

impl Server {
    /// `settings` beside those that all of them have.
    pub fn start(memory_max_mib: u64, settings: &[&str]) -> Server {
        Server::start_with(memory_max_mib, settings, None)
    }

    /// The same, with no more file handles than these.
    pub fn start_with(memory_max_mib: u64, settings: &[&str], handles_max: Option<u64>) -> Server {
        let home = tempfile::tempdir().expect("a temporary directory");
        let ready = home.path().join("ready.json");
        let log = std::fs::File::create(home.path().join("log")).expect("a log");
        let kolk = env!("CARGO_BIN_EXE_kolk");
        let mut command = match handles_max {
            Some(count) => {
                let mut shell = Command::new("sh");
                // It is started with less than it may have, as is usual.
                let limits = format!("ulimit -Sn {} && ulimit -Hn {count}", count - 50);
                shell.args(["-c", &format!(r#"{limits} && exec "$0" "$@""#), kolk]);
                shell
            }
            None => Command::new(kolk),
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KOLK_") {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--kafka", "127.0.0.1:0", "--kinesis", "127.0.0.1:0", "--kinesis-unsigned"])
            .args(["--http", "127.0.0.1:0"])
            .args(settings)
            .args(["--memory-max", &format!("{memory_max_mib}MiB"), "--create", "honest:1"])
            .arg("--data-dir")
            .arg(home.path().join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log);
        let mut child = command.spawn().expect("kolk can be run");
        let end = Instant::now() + Duration::from_secs(60);
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break text;
            }
            let ended = child.try_wait().expect("a child can be asked");
            assert!(ended.is_none() && Instant::now() < end, "the server does not get ready");
            std::thread::sleep(Duration::from_millis(5));
        };
        let ready: serde_json::Value = serde_json::from_str(&text).expect("the ready file is JSON");
        let address = |name: &str| ready[name].as_str().and_then(|text| text.parse().ok());
        let (kafka, kinesis, http) = (address("kafka"), address("kinesis"), address("http"));
        Server {
            child: Some(child),
            home,
            kafka: kafka.expect("an address"),
            kinesis: kinesis.expect("an address"),
            http: http.expect("an address"),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("it runs"))
    }

    /// The most memory that it has taken so far.
    pub fn peak_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero()));
        let status = status.expect("Linux tells about a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is told");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib / 1024
    }

    /// Asks the operators' port; gives the status and the body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = http::connect(self.http, Duration::from_secs(60));
        let request = format!("GET {path} HTTP/1.1\r\nHost: kolk\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("requests are taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    /// What a line of its metrics says, such as `kolk_memory_waits_total`.
    pub fn metric(&self, line: &str) -> u64 {
        self.metric_if_there(line).unwrap_or_else(|| panic!("there is no metric {line}"))
    }

    /// The same of a counter that is told from its first count on.
    pub fn counted(&self, line: &str) -> u64 {
        self.metric_if_there(line).unwrap_or(0)
    }

    fn metric_if_there(&self, line: &str) -> Option<u64> {
        let (_, page) = self.get("/metrics");
        let value = page.lines().find_map(|said| said.strip_prefix(line)?.strip_prefix(' '))?;
        Some(value.parse::<f64>().expect("a number") as u64)
    }

    /// Handles that it has open.
    pub fn handles(&self) -> usize {
        let handles = std::fs::read_dir(format!("/proc/{}/fd", self.pid().as_raw_nonzero()));
        handles.expect("Linux tells about a process").count()
    }

    /// Stops it; what was wrong with that, if anything.
    pub fn stop(mut self) -> Option<String> {
        let pid = self.pid();
        let mut child = self.child.take().expect("it runs");
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            let log = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            return Some(format!("the server ended with {status}: {log}"));
        }
        kill_process(pid, Signal::TERM).expect("it is there");
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            match child.try_wait().expect("a child can be asked") {
                Some(status) if status.success() => return None,
                Some(status) => return Some(format!("the server stopped with {status}")),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        Some("the server did not stop".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
