//! The server under test: built once, started on ports of the system's choice with a data directory of its own,
//! stopped by its process id.

use crate::tree;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Builds the `kolk` binary in the profile of the tests, or in release, and answers its path.
pub fn build(release: bool) -> Result<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--package", "kolk", "--bin", "kolk"]).current_dir(tree::root());
    if release {
        command.arg("--release");
    }
    ensure!(command.status().context("cannot run cargo build")?.success(), "the server does not build");
    Ok(tree::target_dir()?.join(if release { "release" } else { "debug" }).join("kolk"))
}

/// A running `kolk serve`. Dropping it kills the process and removes the data directory.
pub struct Server {
    child: Child,
    /// Where Kafka clients connect, `HOST:PORT`.
    pub kafka: String,
    /// Where Kinesis clients connect, `HOST:PORT`.
    pub kinesis: String,
    /// Where operators connect, `HOST:PORT`.
    pub http: String,
    /// Holds the data directory and the ready file.
    pub home: tempfile::TempDir,
}

impl Server {
    /// Starts `binary` with an empty data directory; its own output goes to `log`.
    pub fn start(binary: &Path, log: &Path, extra: &[&str]) -> Result<Server> {
        let home = tempfile::Builder::new().prefix("kolk-xtask-").tempdir_in(tree::work("data")?)?;
        let ready = home.path().join("ready.json");
        let log_file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(binary);
        without_settings(&mut command);
        let mut child = command
            .args(["serve", "--kafka", "127.0.0.1:0", "--kinesis", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(home.path().join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .args(extra)
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log_file.try_clone()?)
            .stderr(log_file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        match wait_ready(&mut child, &ready) {
            Ok([kafka, kinesis, http]) => Ok(Server { child, kafka, kinesis, http, home }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(log).unwrap_or_default();
                Err(error.context(format!("the server said:\n{said}")))
            }
        }
    }

    /// Asks the server to stop (SIGTERM) and expects exit code 0 within 10 s.
    pub fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("the server is gone")?;
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server stopped with {status}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not stop within 10 s of SIGTERM")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Harmless after `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server takes `KOLK_*` variables for its settings; what stands in the environment of the tests must not be any.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KOLK_")) {
        command.env_remove(name);
    }
}

/// Waits until the server has written its ready file, which it does by rename.
fn wait_ready(child: &mut Child, ready: &Path) -> Result<[String; 3]> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(text) = std::fs::read_to_string(ready) {
            let value: serde_json::Value =
                serde_json::from_str(&text).context("the ready file is no JSON")?;
            let address = |key: &str| {
                value[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in the ready file"))
            };
            return Ok([address("kafka")?, address("kinesis")?, address("http")?]);
        }
        if let Some(status) = child.try_wait()? {
            bail!("the server ended before it was ready: {status}");
        }
        ensure!(Instant::now() < end, "the server was not ready after 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
