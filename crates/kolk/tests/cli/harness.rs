//! Running `kolk` and looking at what it says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

/// A `kolk` with nothing of the caller's environment that could change what it does.
pub fn kolk(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kolk"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KOLK_") || name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a finished command said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Said {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Said {
    /// Expects exit code 0 and silence on standard error.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "said: {}", self.out);
        self.out
    }

    /// Expects exit code 1, no data, and one sentence that has this in it.
    #[track_caller]
    pub fn failed(self, wanted: &str) {
        self.ended(1, wanted);
    }

    /// Expects exit code 2 and this in what was said.
    #[track_caller]
    pub fn usage(self, wanted: &str) {
        assert_eq!((self.code, self.out.as_str()), (2, ""), "said: {}", self.err);
        assert!(self.err.contains(wanted), "no `{wanted}` in: {}", self.err);
    }

    #[track_caller]
    fn ended(self, code: i32, wanted: &str) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "said: {}", self.err);
        let sentence = self.err.lines().last().unwrap_or_default();
        assert!(
            sentence.starts_with("kolk: ") && sentence.contains(wanted),
            "no `{wanted}` in: {}",
            self.err
        );
    }
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Said {
    kolk(arguments).output().expect("kolk can be run").into()
}

/// Sends a request as it stands; gives status, head and body of the answer.
pub fn ask(address: &str, request: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_lowercase(), body.to_owned())
}

/// The same of a plain GET.
pub fn get(address: &str, path: &str) -> (u16, String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"))
}

/// The server's page of metrics.
pub fn metrics(server: &Server) -> String {
    let (status, _, body) = get(&server.http, "/metrics");
    assert_eq!(status, 200);
    body
}

/// The value of one line of the page.
pub fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in:\n{page}")).parse().expect("a number")
}

/// No client command takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server.
pub struct Server {
    child: Option<Child>,
    pub home: tempfile::TempDir,
    pub kafka: String,
    pub kinesis: String,
    pub http: String,
}

impl Server {
    /// A server in memory.
    pub fn ephemeral() -> Server {
        Server::start(&["--ephemeral"])
    }

    /// A server with a data directory of its own.
    pub fn start(extra: &[&str]) -> Server {
        let home = tempfile::tempdir().expect("a temporary directory");
        Server::start_in(home, extra)
    }

    /// A server whose data directory is `data` in `home`.
    pub fn start_in(home: tempfile::TempDir, extra: &[&str]) -> Server {
        Server::spawn(home, extra).ready()
    }

    /// Waits until it takes requests.
    fn ready(mut self) -> Server {
        let server = &mut self;
        let ready = server.home.path().join("ready.json");
        let end = Instant::now() + Duration::from_secs(60);
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break text;
            }
            let child = server.child.as_mut().expect("it was started");
            let ended = child.try_wait().expect("a child can be asked");
            assert!(ended.is_none() && Instant::now() < end, "not ready: {}", server.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        let ready: Value = serde_json::from_str(&text).expect("the ready file is JSON");
        assert_eq!(ready["pid"], server.child.as_ref().expect("it runs").id());
        server.kafka = ready["kafka"].as_str().expect("an address").to_owned();
        server.kinesis = ready["kinesis"].as_str().expect("an address").to_owned();
        server.http = ready["http"].as_str().expect("an address").to_owned();
        self
    }

    /// One Kinesis call without a signature (start it with `--kinesis-unsigned`): the status and the body.
    pub fn kinesis_call(&self, operation: &str, body: &Value) -> (u16, String) {
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.kinesis).expect("it listens");
        let request = format!(
            "POST / HTTP/1.1\r\nHost: kolk\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\nConnection: close\r\n\
             Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, body.to_owned())
    }

    /// A server whose data directory is a file system of its own of so many bytes; `None` where this machine lets nobody mount
    /// one.
    pub fn start_on_small_mount(bytes: u64, extra: &[&str]) -> Option<Server> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let data = home.path().join("data");
        std::fs::create_dir(&data).expect("a directory");
        // In a mount namespace of its own, which ends with the server.
        let mount = format!("mount -t tmpfs -o size={bytes} kolk-test \"$0\" && exec \"$@\"");
        let within = |command: &mut Command| {
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount]).arg(&data);
        };
        let mut probe = Command::new("unshare");
        within(&mut probe);
        if !probe.arg("true").output().is_ok_and(|said| said.status.success()) {
            return None;
        }
        let mut command = Command::new("unshare");
        within(&mut command);
        let serve = kolk(&["serve", "--ready-file"]);
        command.arg(serve.get_program()).args(serve.get_args()).stdin(Stdio::null());
        for (name, _) in serve.get_envs().filter(|(_, value)| value.is_none()) {
            command.env_remove(name);
        }
        Some(Server::spawn_as(command, home, extra).ready())
    }

    /// A server that is told by a library in front of the C library (`compat/python/faults.c`) that its data directory is a disk
    /// of so many bytes. Needs no rights, only the compiler that links Rust programs.
    #[cfg(target_os = "linux")]
    pub fn start_on_small_disk(bytes: u64, extra: &[&str]) -> Server {
        let home = tempfile::tempdir().expect("a temporary directory");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat/python/faults.c");
        let library = home.path().join("faults.so");
        let mut compile = Command::new("cc");
        compile.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        assert!(compile.status().expect("cc can be run").success());
        let home_path = home.path().canonicalize().expect("it is there");
        let mut command = kolk(&["serve", "--ready-file"]);
        command.env("LD_PRELOAD", &library);
        command.env("FAULT_DISK", format!("{bytes} {}/data", home_path.display()));
        Server::spawn_as(command, home, extra).ready()
    }

    fn spawn(home: tempfile::TempDir, extra: &[&str]) -> Server {
        Server::spawn_as(kolk(&["serve", "--ready-file"]), home, extra)
    }

    fn spawn_as(mut command: Command, home: tempfile::TempDir, extra: &[&str]) -> Server {
        let log = std::fs::File::create(home.path().join("log")).expect("a log");
        command.arg(home.path().join("ready.json")).arg("--data-dir").arg(home.path().join("data"));
        if !extra.contains(&"--kafka") {
            command.args(["--kafka", "127.0.0.1:0"]);
        }
        if !extra.contains(&"--http") {
            command.args(["--http", "127.0.0.1:0"]);
        }
        command.args(["--kinesis", "127.0.0.1:0"]).args(extra);
        command.stdout(log.try_clone().expect("a handle")).stderr(log);
        let child = command.spawn().expect("kolk can be run");
        Server { child: Some(child), home, kafka: String::new(), kinesis: String::new(), http: String::new() }
    }

    /// Everything it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A client command against it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = kolk(arguments);
        command
            .env("KOLK_SERVER", &self.kafka)
            .env("KOLK_KINESIS_ENDPOINT", format!("http://{}", self.kinesis))
            .env("KOLK_HTTP_ENDPOINT", format!("http://{}", self.http));
        command
    }

    /// Runs a client command against it. One that does not end is killed, which fails the test.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kolk can be run");
        let pid = rustix::process::Pid::from_child(&child);
        let (ended, waited) = std::sync::mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            if waited.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        });
        let output = child.wait_with_output().expect("it can be waited for");
        drop(ended);
        watch.join().expect("it does not panic");
        output.into()
    }

    /// Runs a client command that must be done; gives its output.
    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> String {
        self.run(arguments).done()
    }

    /// The same, with its JSON lines read.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        json_lines(&self.done(&arguments))
    }

    /// Runs a client command with this on its standard input.
    pub fn feed(&self, input: &[u8], arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kolk can be run");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that ends early leaves the rest unread.
        let _ = stdin.write_all(input);
        drop(stdin);
        child.wait_with_output().expect("it ends").into()
    }

    /// Sends a signal and waits for the end; gives the exit code and the home directory.
    pub fn stop(self, signal: Signal) -> (Option<i32>, tempfile::TempDir) {
        self.signal(signal);
        self.ended()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().expect("it runs"));
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// Waits for the end; gives the exit code and the home directory.
    pub fn ended(mut self) -> (Option<i32>, tempfile::TempDir) {
        let mut child = self.child.take().expect("it runs");
        let end = Instant::now() + Duration::from_secs(20);
        let status = loop {
            match child.try_wait().expect("a child can be asked") {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "it does not end"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().expect("a temporary directory"));
        (status.code(), home)
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

#[track_caller]
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A file with this in it.
pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file can be written");
}
