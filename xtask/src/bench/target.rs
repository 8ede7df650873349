//! A server under measurement: started on a fresh directory, read for CPU and memory, stopped.

use super::Bench;
use super::scrape::Scrape;
use crate::{run, server, tree};
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Kolk as it starts by default: every ack durable.
    Kolk,
    /// Kolk whose write-ahead log may grow so far that a run ends before anything is rewritten into segments.
    KolkNoRewrite,
    /// The durable probe, frames led by connections.
    FloorLeader,
    /// The durable probe, frames written by a thread.
    FloorThread,
    /// Apache Kafka as it starts by default: acks from the page cache.
    Kafka,
    /// Apache Kafka with `flush.messages=1` on the topic: acks after fsync.
    KafkaFsync,
    /// ferrokinesis: Kinesis in memory.
    Ferrokinesis,
}

impl Kind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Kolk => "Kolk",
            Kind::KolkNoRewrite => "Kolk, no rewrite",
            Kind::FloorLeader => "probe, leader",
            Kind::FloorThread => "probe, thread",
            Kind::Kafka => "Kafka",
            Kind::KafkaFsync => "Kafka, fsync",
            Kind::Ferrokinesis => "ferrokinesis",
        }
    }

    /// Whether it is Kolk, in one or the other way.
    pub fn is_kolk(self) -> bool {
        matches!(self, Kind::Kolk | Kind::KolkNoRewrite)
    }

    /// Whether it runs in a JVM, which compiles what is hot: its first runs say nothing.
    pub fn is_jvm(self) -> bool {
        matches!(self, Kind::Kafka | Kind::KafkaFsync)
    }
}

/// A running server.
pub struct Target {
    /// What it is.
    pub kind: Kind,
    /// Where Kafka clients connect.
    pub kafka: String,
    /// Where Kinesis clients connect, if it has that face.
    pub kinesis: Option<String>,
    /// Where Kolk shows its metrics.
    http: Option<String>,
    child: Child,
    started: Instant,
    dir: PathBuf,
    keep: bool,
}

impl Drop for Target {
    fn drop(&mut self) {
        run::kill_group(&self.child);
        let _ = self.child.wait();
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Both servers look for expired data this often: runs that write for long then hold some gigabytes.
const RETENTION_CHECK: &str = "log.retention.check.interval.ms=2000";

/// A port that was free a moment ago; servers are told theirs so that they keep it over a restart.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Target {
    /// Starts the server on an empty directory. Whether it listens yet is the caller's to wait for, see
    /// [`Target::wait`].
    pub fn start(bench: &Bench, kind: Kind) -> Result<Target> {
        // Several of a kind may run at a time.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("{}-{}", kind.name().replace([' ', ','], "-"), STARTED.fetch_add(1, Ordering::Relaxed));
        let dir = tree::work("bench")?.join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let kafka = format!("127.0.0.1:{}", free_port()?);
        let port_if = |wanted: bool| -> Result<Option<String>> {
            let port = wanted.then(free_port).transpose()?;
            Ok(port.map(|port| format!("127.0.0.1:{port}")))
        };
        let kinesis = port_if(kind.is_kolk() || kind == Kind::Ferrokinesis)?;
        let http = port_if(kind.is_kolk())?;
        if kind.is_jvm() {
            let more = format!("log.segment.delete.delay.ms=1000\n{RETENTION_CHECK}");
            format_kafka(bench.kafka_class_path()?, &dir, &kafka, &more)?;
        }
        let started = Instant::now();
        let child = spawn(bench, kind, &dir, &kafka, [kinesis.as_deref(), http.as_deref()])?;
        Ok(Target { kind, kafka, kinesis, http, child, started, dir, keep: false })
    }

    /// Starts Apache Kafka, whose jars are in `class_path`, to be compared with and not measured.
    pub fn kafka(class_path: &str) -> Result<Target> {
        let dir = tree::work("compare")?.join("kafka");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let (kind, kafka) = (Kind::Kafka, format!("127.0.0.1:{}", free_port()?));
        format_kafka(class_path, &dir, &kafka, "")?;
        let started = Instant::now();
        let child = launch(kafka_command(class_path, &dir), kind, &dir)?;
        Ok(Target { kind, kafka, kinesis: None, http: None, child, started, dir, keep: false })
    }

    /// Kills the server with SIGKILL and starts it again on the same data and addresses.
    pub fn kill_and_start(mut self, bench: &Bench) -> Result<Target> {
        self.keep = true;
        let (kind, dir, kafka) = (self.kind, self.dir.clone(), self.kafka.clone());
        let (kinesis, http) = (self.kinesis.clone(), self.http.clone());
        drop(self);
        let started = Instant::now();
        let child = spawn(bench, kind, &dir, &kafka, [kinesis.as_deref(), http.as_deref()])?;
        Ok(Target { kind, kafka, kinesis, http, child, started, dir, keep: false })
    }

    /// Waits until the server takes connections.
    pub fn wait(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(120);
        let address = if self.kind == Kind::Ferrokinesis { self.kinesis()? } else { &self.kafka }.to_owned();
        while std::net::TcpStream::connect(&address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!(
                    "{} ended with {status}; its log is in {}",
                    self.kind.name(),
                    self.dir.display()
                );
            }
            ensure!(Instant::now() < end, "{} does not listen after 120 s", self.kind.name());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Where Kinesis clients connect.
    pub fn kinesis(&self) -> Result<&str> {
        self.kinesis.as_deref().context("no Kinesis face")
    }

    /// What Kolk says of itself now; `None` of other servers.
    pub fn scrape(&self) -> Result<Option<Scrape>> {
        self.http.as_deref().map(Scrape::of).transpose()
    }

    /// Time since the process was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Descriptors that the process has open.
    pub fn handles(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Takes what the server wrote out of the page cache.
    pub fn forget_pages(&self) -> Result<()> {
        let mut folders = vec![self.dir.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if let Ok(file) = File::open(entry.path()) {
                    file.sync_all()?;
                    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
                }
            }
        }
        Ok(())
    }

    /// User and system time used so far, in seconds (fields 14 and 15 of `/proc/PID/stat`, in hundredths).
    pub fn cpu_seconds(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = text.rsplit_once(") ").context("a strange /proc stat line")?;
        let mut fields = fields.split(' ').skip(11);
        let mut ticks =
            || fields.next().context("a short /proc stat line")?.parse::<f64>().context("no number");
        Ok((ticks()? + ticks()?) / rustix::param::clock_ticks_per_second() as f64)
    }

    /// A memory figure of `/proc/PID/status` (`VmHWM` = most ever resident, `VmRSS` = now) in MiB.
    pub fn memory_mib(&self, name: &str) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .context("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
    }
}

fn spawn(
    bench: &Bench,
    kind: Kind,
    dir: &Path,
    kafka: &str,
    [kinesis, http]: [Option<&str>; 2],
) -> Result<Child> {
    let command = match kind {
        Kind::Kolk | Kind::KolkNoRewrite => {
            let mut command = Command::new(&bench.kolk);
            command.args(["serve", "--log", "warn", "--kafka", kafka]);
            command.args(["--kinesis", kinesis.context("Kolk speaks Kinesis")?]);
            command.args(["--http", http.context("Kolk speaks HTTP")?]);
            command.arg("--data-dir").arg(dir.join("data")).args(["--kafka-set", RETENTION_CHECK]);
            if kind == Kind::KolkNoRewrite {
                // Nothing is rewritten before 3/16 of it are full.
                command.args(["--wal-max", "8GiB"]);
            }
            command
        }
        Kind::FloorLeader | Kind::FloorThread => {
            let mut command = Command::new(&bench.floor);
            let arrangement = if kind == Kind::FloorLeader { "leader" } else { "thread" };
            command.args(["serve", "--listen", kafka, "--arrangement", arrangement, "--dir"]).arg(dir);
            command
        }
        Kind::Ferrokinesis => {
            let mut command =
                Command::new(bench.ferrokinesis.as_ref().context("the peer was not asked for")?);
            let port = kinesis.and_then(|address| address.rsplit(':').next()).context("a port")?;
            command.args(["--port", port]);
            command
        }
        Kind::Kafka | Kind::KafkaFsync => kafka_command(bench.kafka_class_path()?, dir),
    };
    launch(command, kind, dir)
}

fn launch(mut command: Command, kind: Kind, dir: &Path) -> Result<Child> {
    server::without_settings(&mut command);
    let log = File::create(dir.join("log.txt"))?;
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", kind.name()))
}

/// Java with the flags that Kafka's own start script gives it (1 GiB heap).
fn java(class_path: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]);
    command.args(["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"]);
    command.args(["-Djava.awt.headless=true", "-cp", class_path]);
    command
}

fn kafka_command(class_path: &str, dir: &Path) -> Command {
    let mut command = java(class_path);
    command.arg("kafka.Kafka").arg(dir.join("server.properties"));
    command
}

fn format_kafka(class_path: &str, dir: &Path, kafka: &str, more: &str) -> Result<()> {
    let controller = format!("127.0.0.1:{}", free_port()?);
    let properties = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{kafka},CONTROLLER://{controller}\nadvertised.listeners=PLAINTEXT://{kafka}\n\
         controller.listener.names=CONTROLLER\nlog.dirs={}\n\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n\
         {more}\n",
        dir.join("data").display()
    );
    let path = dir.join("server.properties");
    std::fs::write(&path, properties)?;
    let mut command = java(class_path);
    command.args(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"]).arg(&path);
    let outcome = run::logged(&mut command, &dir.join("format.txt"), Duration::from_secs(60), |_| false)?;
    ensure!(outcome.success(), "formatting Kafka's directory: {}", outcome.lines.join("\n"));
    Ok(())
}
