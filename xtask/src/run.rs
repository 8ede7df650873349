//! Running other programs: output into a log and, if wished, to the terminal; a time limit that ends the whole
//! process group; retries for what goes over a network.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a finished program left behind.
pub struct Outcome {
    /// How it ended; `None` when the time limit ended it.
    pub status: Option<ExitStatus>,
    /// All lines of stdout and stderr, as they came.
    pub lines: Vec<String>,
}

impl Outcome {
    /// True if the program ended by itself with exit code 0.
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs `command` in its own process group with stdin closed. Every line goes into `log`; lines for which
/// `show` is true also go to the terminal.
pub fn logged(command: &mut Command, log: &Path, limit: Duration, show: fn(&str) -> bool) -> Result<Outcome> {
    let name = format!("{:?}", command.get_program());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let sink = Arc::new(Mutex::new((log, Vec::new())));
    let out = child.stdout.take().expect("stdout is piped");
    let err = child.stderr.take().expect("stderr is piped");
    let readers = [pump(out, Arc::clone(&sink), show), pump(err, Arc::clone(&sink), show)];
    let status = wait(&mut child, limit)?;
    for reader in readers {
        reader.join().expect("the reader does not panic");
    }
    let mut sink = sink.lock().expect("no reader panicked");
    let lines = std::mem::take(&mut sink.1);
    Ok(Outcome { status, lines })
}

type Sink = Arc<Mutex<(File, Vec<String>)>>;

fn pump(from: impl Read + Send + 'static, sink: Sink, show: fn(&str) -> bool) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut bytes = Vec::new();
        while matches!(from.read_until(b'\n', &mut bytes), Ok(n) if n > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            bytes.clear();
            let mut sink = sink.lock().expect("no reader panics");
            // A full disk must not hide what the program said.
            let _ = writeln!(sink.0, "{line}");
            if show(&line) {
                println!("    {line}");
            }
            sink.1.push(line);
        }
    })
}

/// Waits for `child` at most `limit`, then kills its process group and answers `None`.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            kill_group(child);
            child.wait()?;
            return Ok(None);
        }
        // The bench measures what is over in milliseconds: that must not wait for the next look.
        let pause = if start.elapsed() < Duration::from_secs(1) { 1 } else { 50 };
        std::thread::sleep(Duration::from_millis(pause));
    }
}

/// Kills the process group that `child` leads; the child must have been started with `process_group(0)`.
pub fn kill_group(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    // It may be gone already.
    let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
}

/// Runs a command that talks to a package registry: three tries, each bounded, with the log's end in the error.
pub fn with_retries(what: &str, log: &Path, mut command: impl FnMut() -> Command) -> Result<()> {
    const TRIES: u32 = 3;
    for attempt in 1..=TRIES {
        println!(
            "  fetching {what}{}",
            if attempt > 1 { format!(" (try {attempt})") } else { String::new() }
        );
        let outcome = logged(&mut command(), log, Duration::from_secs(600), |_| false)?;
        if outcome.success() {
            return Ok(());
        }
        let tail: Vec<_> = outcome.lines.iter().rev().take(12).rev().map(String::as_str).collect();
        println!("  fetching {what} failed:\n    {}", tail.join("\n    "));
        std::thread::sleep(Duration::from_secs(5 * u64::from(attempt)));
    }
    bail!("cannot fetch {what}; the log is {}", log.display())
}

/// True if a program of this name can be started with `args` and succeeds.
pub fn answers(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    out.status.success().then(|| {
        let mut text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&out.stderr));
        text
    })
}
