//! `kolk serve`: a [`Server`](crate::Server) as a process. Logs, signals, the ready file and what is printed.
//!
//! Everything it says goes to standard error, standard output stays empty; programs read the ready file.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kolk_engine::door::real::process::raise_handles_max;
use kolk_engine::door::{Disk, Open};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::values::HostPort;
use crate::config::{Config, LogFormat, Settings};
use crate::server::{Server, ServerError};

/// Why the process does not end as it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It did not start, or did not stop cleanly.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Threads or signals cannot be had.
    #[error("cannot start: {0}")]
    Process(std::io::Error),
    /// The ready file cannot be written.
    #[error("cannot write the ready file {path}: {error}")]
    ReadyFile {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The log failed while the server ran.
    #[error("the log failed, so the server ends; what was not acknowledged may or may not be kept: {0}")]
    LogFailed(Arc<str>),
    /// A second signal came before everything was stopped.
    #[error("stopped by a second signal before everything was stopped")]
    Interrupted,
}

/// Runs a server until a signal or a failure of its log ends it: on a worker thread for each core.
pub fn run(config: Config) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("kolk")
        .build()
        .map_err(ServeError::Process)?;
    let result = runtime.block_on(run_here(config));
    // A disk that hangs holds a thread for ever; the outcome is known already.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn run_here(config: Config) -> Result<(), ServeError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Process)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Process)?;
    tracing::info!(
        version = crate::version::VERSION,
        commit = crate::version::COMMIT,
        data_format = crate::version::DATA_FORMAT,
        pid = std::process::id(),
        "starting"
    );
    warn_if_open(&config.settings);
    raise_handles_max();
    let server = Server::builder().config(config.clone()).start().await?;
    match config.settings.log_format {
        LogFormat::Text => {
            eprint!("{}", ready_text(&config, &server));
        }
        LogFormat::Json => tracing::info!(
            kafka = ?server.kafka_addresses(),
            kinesis = ?server.kinesis_addresses(),
            http = ?server.http_addresses(),
            "ready"
        ),
    }
    // Last: who waits for the file finds the rest said.
    if let Some(path) = &config.settings.ready_file {
        let disk = &*server.broker().door().disk;
        write_ready_file(disk, path, &server)
            .await
            .map_err(|error| ServeError::ReadyFile { path: path.clone(), error })?;
    }
    let signal = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        reason = server.failed() => return Err(ServeError::LogFailed(reason)),
    };
    tracing::info!(signal, "stopping");
    tokio::select! {
        stopped = server.stop() => stopped.map_err(ServerError::Engine)?,
        _ = interrupt.recv() => return Err(ServeError::Interrupted),
        _ = terminate.recv() => return Err(ServeError::Interrupted),
    }
    tracing::info!("stopped; everything acknowledged is kept");
    if let Some(path) = &config.settings.ready_file {
        // Whoever looks must not find a server that is gone. Gone already is as good.
        let _ = kolk_engine::door::real::door(Default::default()).disk.remove(path).await;
    }
    Ok(())
}

/// Says once that everybody who reaches the machine can read and write everything.
fn warn_if_open(settings: &Settings) {
    let kafka = settings.kafka.iter().map(|listener| &listener.address);
    let open: Vec<String> = kafka
        .chain(&settings.kinesis)
        .chain(&settings.http)
        .filter(|a| !a.is_loopback())
        .map(HostPort::to_string)
        .collect();
    if !open.is_empty() {
        tracing::warn!(
            addresses = open.join(" "),
            "listening beyond this machine without credentials: whoever reaches these addresses can read, write and \
             delete everything"
        );
    }
}

/// Writes the file beside its place and renames it, so that nobody reads half of it.
async fn write_ready_file(disk: &dyn Disk, path: &Path, server: &Server) -> std::io::Result<()> {
    let text = serde_json::json!({
        "kafka": reachable(server.kafka_address()).to_string(),
        "kinesis": reachable(server.kinesis_address()).to_string(),
        "http": reachable(server.http_address()).to_string(),
        "pid": std::process::id(),
    });
    let bytes = Bytes::from(format!("{text}\n"));
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let file = disk.open(new, Open::Write).await?;
    file.set_len(bytes.len() as u64).await?;
    file.write_at(0, bytes).await?;
    disk.rename(new, path).await
}

/// Sends log lines to standard error as configured. Call it once.
pub fn start_log(settings: &Settings) {
    use std::io::IsTerminal;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    let filter: Targets = settings.log.parse().expect("the setting was checked");
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match settings.log_format {
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(lines.with_ansi(colour)).init();
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
}

/// What listens where, and settings to copy for the usual clients.
fn ready_text(config: &Config, server: &Server) -> String {
    let settings = &config.settings;
    let log = if settings.ephemeral {
        "log in memory, gone when the server stops".to_owned()
    } else {
        format!("log in {}", settings.data_dir.display())
    };
    let list = |addresses: &[SocketAddr], scheme: &str| {
        addresses.iter().map(|a| format!("{scheme}{a}")).collect::<Vec<_>>().join("  ")
    };
    let mut text = format!("Kolk {} is ready: {log}\n\n", crate::version::VERSION);
    let _ = writeln!(text, "  Kafka     {}", list(server.kafka_addresses(), ""));
    let _ = writeln!(text, "  Kinesis   {}", list(server.kinesis_addresses(), "http://"));
    let _ = writeln!(
        text,
        "  HTTP      {}  (/healthz, /readyz, /metrics)",
        list(server.http_addresses(), "http://")
    );
    let (kafka, kinesis) = (reachable(server.kafka_address()), reachable(server.kinesis_address()));
    let region = &settings.aws_region;
    let _ = write!(
        text,
        "\nTo connect:\n\n  \
         kcat          kcat -b {kafka} -L\n  \
         kafka-python  KafkaProducer(bootstrap_servers=\"{kafka}\")\n  \
         Java          bootstrap.servers={kafka}\n  \
         boto3         boto3.client(\"kinesis\", endpoint_url=\"http://{kinesis}\", region_name=\"{region}\",\n                             \
         aws_access_key_id=\"any\", aws_secret_access_key=\"any\")\n  \
         AWS CLI       AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any aws kinesis list-streams \\\n                \
         --endpoint-url http://{kinesis} --region {region}\n\n"
    );
    text
}

/// The address that a client on this machine connects to.
fn reachable(address: SocketAddr) -> SocketAddr {
    use std::net::{Ipv4Addr, Ipv6Addr};
    match address {
        SocketAddr::V4(a) if a.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, a.port()).into(),
        SocketAddr::V6(a) if a.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, a.port()).into(),
        other => other,
    }
}
