//! A running server: engine, broker and both faces put together, and stopped in order.
//!
//! Promises: when [`Builder::start`] returns, every listener takes connections and topics asked for are there; when
//! [`Server::stop`] returns, no listener is open, everything acknowledged is durable and the data directory is free.
//! Leaves to `serve` whatever belongs to a process: signals, logs, the ready file, what is printed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kolk_broker::Broker;
use kolk_broker::shards::Shards;
use kolk_broker::topics::NewTopic;
use kolk_engine::door::{self, Door, Listener};
use kolk_engine::local::{LocalEngine, LocalOptions, OpenError};
use kolk_engine::memory::{MemoryEngine, MemoryOptions};
use kolk_engine::metrics::Source;
use kolk_engine::state::{Limits, Refusal};
use kolk_engine::{Engine, EngineError};
use kolk_serve_kafka::Advertise;
use tokio::sync::watch;
use uuid::Uuid;

use crate::config::values::{ByteSize, HostPort, KafkaListener, TopicSpec};
use crate::config::{Config, ConfigError, Durability, Origin};
use crate::operator::{Running, Status};

/// Why a server did not start, or stopped. Each is one sentence for its operator.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Somebody else has the port.
    #[error("port {} for {face} is in use on {}; stop the program that has it, or choose another with --{flag} ADDR",
            address.port(), address.ip())]
    PortInUse {
        /// `Kafka`, `Kinesis` or `HTTP`.
        face: &'static str,
        /// The flag that chooses it.
        flag: &'static str,
        /// What was to be listened on.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for {face}: {error}")]
    Listen {
        /// `Kafka`, `Kinesis` or `HTTP`.
        face: &'static str,
        /// As it was configured.
        address: HostPort,
        /// The operating system's reason.
        error: io::Error,
    },
    /// The log did not open.
    #[error("cannot open the log: {0}")]
    Open(#[from] OpenError),
    /// A topic that was to be made could not be.
    #[error("cannot create topic {name}: {reason}")]
    Create {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The log failed.
    #[error("the log failed: {0}")]
    Engine(#[from] EngineError),
}

/// What a server is started with. Settings not given are the defaults of `kolk serve`.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    config: Config,
    door: Option<Door>,
    local: Option<LocalOptions>,
}

impl Builder {
    /// Starts from these settings.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Goes to time, randomness, disk, network and tasks through `door` (a simulation's) instead of the machine's.
    pub fn door(mut self, door: Door) -> Self {
        self.door = Some(door);
        self
    }

    /// Sizes and times of the log on disk, instead of those that follow from `--wal-max`. Limits, the retention interval
    /// and what happens on failure come from the settings all the same.
    pub fn local(mut self, options: LocalOptions) -> Self {
        self.local = Some(options);
        self
    }

    /// Keeps the log in memory.
    pub fn ephemeral(mut self) -> Self {
        self.config.settings.ephemeral = true;
        self
    }

    /// Keeps the log in this directory.
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config.settings.data_dir = dir.into();
        self
    }

    /// Kafka clients come in here, and nowhere else.
    pub fn kafka(mut self, address: SocketAddr) -> Self {
        self.config.settings.kafka = vec![KafkaListener { address: address.into(), advertise: None }];
        self
    }

    /// Kinesis SDKs come in here, and nowhere else.
    pub fn kinesis(mut self, address: SocketAddr) -> Self {
        self.config.settings.kinesis = vec![address.into()];
        self
    }

    /// One of Kafka's own broker settings, by Kafka's name.
    pub fn kafka_set(mut self, name: &str, value: &str) -> Result<Self, ConfigError> {
        self.config.kafka.set(name, value, Origin::Flag, "the builder")?;
        Ok(self)
    }

    /// Operators come in here, and nowhere else.
    pub fn http(mut self, address: SocketAddr) -> Self {
        self.config.settings.http = vec![address.into()];
        self
    }

    /// Makes a topic unless it is there.
    pub fn create(mut self, name: &str, partitions: i32) -> Self {
        self.config.settings.create.push(TopicSpec { name: name.to_owned(), partitions });
        self
    }

    /// Sizes what the memory of requests and replies may be.
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.config.settings.memory_max = ByteSize(bytes);
        self
    }
}

/// A server that takes requests. Dropping it leaves it running; [`Server::stop`] stops it.
pub struct Server {
    broker: Broker,
    kafka: kolk_serve_kafka::Serving,
    kinesis: kolk_http::Serving,
    pub(crate) http: kolk_http::Serving,
    pub(crate) status: Arc<Status>,
    failed: watch::Receiver<Option<Arc<str>>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses = (self.kafka_addresses(), self.kinesis_addresses(), self.http_addresses());
        f.debug_struct("Server").field("addresses", &addresses).finish_non_exhaustive()
    }
}

impl Server {
    /// A server with the defaults of `kolk serve`, to be changed and started.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The first address for Kafka clients.
    pub fn kafka_address(&self) -> SocketAddr {
        self.kafka_addresses()[0]
    }

    /// Every address for Kafka clients.
    pub fn kafka_addresses(&self) -> &[SocketAddr] {
        self.kafka.addresses()
    }

    /// The first address for Kinesis SDKs.
    pub fn kinesis_address(&self) -> SocketAddr {
        self.kinesis_addresses()[0]
    }

    /// Every address for Kinesis SDKs.
    pub fn kinesis_addresses(&self) -> &[SocketAddr] {
        self.kinesis.addresses()
    }

    /// The first address for operators.
    pub fn http_address(&self) -> SocketAddr {
        self.http_addresses()[0]
    }

    /// Every address for operators.
    pub fn http_addresses(&self) -> &[SocketAddr] {
        self.http.addresses()
    }

    /// The broker behind both faces.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Resolves with the reason once the log has failed: nothing is acknowledged any more, and the process should end.
    pub async fn failed(&self) -> Arc<str> {
        let mut failed = self.failed.clone();
        loop {
            if let Some(reason) = &*failed.borrow_and_update() {
                return Arc::clone(reason);
            }
            if failed.changed().await.is_err() {
                // The log is gone without having failed.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes no more requests, answers those that were decided, makes everything durable and frees the directory.
    pub async fn stop(self) -> Result<(), EngineError> {
        self.status.stop();
        tokio::join!(self.kafka.stop(STOP_GRACE), self.kinesis.stop());
        let closed = self.broker.engine().close().await;
        self.http.stop().await;
        closed
    }
}

/// Connections of operators and their programs; none of them needs many, and for one more the longest silent gives way.
const HTTP_CONNECTIONS_MAX: usize = 100;

/// Connections of Kafka, and as many of Kinesis. For one more the longest silent gives way.
const CONNECTIONS_MAX: u64 = 10_000;
/// Fewer than these are worth a warning.
const FEW_CONNECTIONS: usize = 1000;
/// File handles that those leave to the log (at most 64 segments, some twenty of the write-ahead log) and to operators.
const HANDLES_KEPT: u64 = 300;

/// Connections of each protocol that there are file handles for: without a handle nobody is accepted, so that nobody could be
/// given another's place, and the log makes no files.
fn connections_max(handles_max: u64) -> usize {
    let each = handles_max.saturating_sub(HANDLES_KEPT) / 2;
    each.clamp(10, CONNECTIONS_MAX) as usize
}

/// How long answers in flight may take after a stop.
const STOP_GRACE: Duration = Duration::from_secs(3);

impl Builder {
    /// Opens the log, makes the topics asked for, listens. Nothing runs on after an error.
    pub async fn start(self) -> Result<Server, ServerError> {
        let Builder { config, door, local } = self;
        let settings = &config.settings;
        // In a simulation there is no process to tell of.
        let process = door.is_none().then(|| Arc::new(door::real::process::Process) as Arc<dyn Source>);
        let handles_max = process.as_ref().and_then(|_| door::real::process::handles_max());
        let connections_max = connections_max(handles_max.unwrap_or(u64::MAX));
        if connections_max < FEW_CONNECTIONS {
            tracing::warn!(
                handles_max,
                connections_max,
                "there are few file handles: so many connections are taken"
            );
        }
        let door = door.unwrap_or_else(|| {
            door::real::door(door::real::DiskOptions {
                durable: settings.durability == Durability::Disk,
                ..Default::default()
            })
        });
        // Before the log is opened: a port that somebody else has leaves the directory as it was.
        let mut kafka = Vec::new();
        for listener in &settings.kafka {
            bind(&door, "Kafka", "kafka", &listener.address, listener.advertise.as_ref(), &mut kafka).await?;
        }
        let mut kinesis = Vec::new();
        for address in &settings.kinesis {
            bind(&door, "Kinesis", "kinesis", address, None, &mut kinesis).await?;
        }

        let http = bind_http(&door, &settings.http).await?;

        let (tell_failed, failed) = watch::channel(None);
        let status = Arc::new(Status::new(door.clock.now_ms(), failed.clone()));
        // Answers while the log is being read, too.
        let limits = kolk_http::Settings {
            connections_max: HTTP_CONNECTIONS_MAX,
            grace: STOP_GRACE,
            ..Default::default()
        };
        let http = kolk_serve_http::serve(&door, status.clone(), http, limits);
        let opened = async {
            let mut settings = broker_settings(&config);
            let log = open(&door, &config, &settings, local, tell_failed).await?;
            settings.cluster_id = kafka_id(log.cluster_id);
            let broker = Broker::new(Arc::clone(&log.engine), door.clone(), settings);
            for topic in &config.settings.create {
                if let Err(error) = create(&broker, topic).await {
                    let _ = broker.engine().close().await;
                    return Err(error);
                }
            }
            Ok((log, broker))
        };
        let (log, broker) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                http.stop().await;
                return Err(error);
            }
        };
        let bound = kafka.into_iter().map(|bound| {
            let advertise = bound.advertise.map(|HostPort { host, port }| Advertise { host, port });
            (bound.listener, advertise)
        });
        let limits = kolk_serve_kafka::Settings { connections_max, ..Default::default() };
        let kafka = kolk_serve_kafka::serve_on(bound.collect(), broker.clone(), limits);
        let service = kolk_serve_kinesis::Service::new(
            Shards::new(broker.clone()),
            kolk_serve_kinesis::Settings {
                region: settings.aws_region.clone(),
                account: settings.aws_account.clone(),
                unsigned_allowed: settings.kinesis_unsigned,
                origins_allowed: settings.kinesis_cors.clone(),
                ..kolk_serve_kinesis::Settings::new(log.token_key)
            },
        );
        let admission = broker.admission().clone();
        let kinesis = kolk_serve_kinesis::serve(
            service,
            kinesis.into_iter().map(|bound| bound.listener).collect(),
            kolk_http::Settings {
                connections_max,
                grace: STOP_GRACE,
                buffers: admission.http(),
                slowest: kolk_http::Slowest::new(move |bytes| admission.slowest(bytes)),
                ..Default::default()
            },
        );
        let mut sources: Vec<Arc<dyn Source>> = vec![kafka.metrics().clone(), kinesis.metrics().clone()];
        sources.extend(process);
        status.run(Running { broker: broker.clone(), log: log.local, sources });
        Ok(Server { broker, kafka, kinesis, http, status, failed })
    }
}

/// What opening a log gives.
struct OpenLog {
    engine: Arc<dyn Engine>,
    /// The same, unless it is in memory.
    local: Option<Arc<LocalEngine>>,
    cluster_id: Uuid,
    /// Seals what Kinesis clients carry for us; the same after a restart.
    token_key: [u8; 32],
}

async fn open(
    door: &Door,
    config: &Config,
    broker: &kolk_broker::Settings,
    local: Option<LocalOptions>,
    tell_failed: watch::Sender<Option<Arc<str>>>,
) -> Result<OpenLog, ServerError> {
    let settings = &config.settings;
    let limits = Limits {
        partitions_per_topic: settings.topic_partitions_max,
        partitions_total: settings.partitions_max,
        groups: settings.groups_max,
        group_bytes: usize::try_from(settings.group_state_max.0).unwrap_or(usize::MAX),
        offset_metadata_bytes: broker.offset_metadata_bytes_max,
        configs: Arc::new(config.kafka.topic_defaults()),
        ..Default::default()
    };
    let retention_check = Duration::from_millis(broker.retention_check_interval_ms);
    if settings.ephemeral {
        let mut token_key = [0; 32];
        door.random.fill(&mut token_key);
        let engine =
            MemoryEngine::new(door.clone(), MemoryOptions { limits, retention_check, ..Default::default() });
        let cluster_id = door.random.uuid();
        return Ok(OpenLog { engine: Arc::new(engine), local: None, cluster_id, token_key });
    }
    let options = LocalOptions {
        limits,
        retention_interval: retention_check,
        on_failure: Some(Arc::new(move |reason| {
            tell_failed.send_replace(Some(reason.into()));
        })),
        ..local.unwrap_or_else(|| LocalOptions::for_wal(settings.wal_max.0))
    };
    let engine = LocalEngine::open(door.clone(), &settings.data_dir, options).await?;
    let (cluster_id, token_key) = (engine.cluster_id(), engine.secret());
    Ok(OpenLog { engine: engine.clone(), local: Some(engine), cluster_id, token_key })
}

/// The broker's settings, but for the cluster's id, which the log has.
fn broker_settings(config: &Config) -> kolk_broker::Settings {
    let Config { settings, kafka } = config;
    let mut broker = kolk_broker::Settings {
        log_dir: if settings.ephemeral {
            "memory".to_owned()
        } else {
            settings.data_dir.display().to_string()
        },
        memory_bytes_max: usize::try_from(settings.memory_max.0).unwrap_or(usize::MAX),
        strict_replication: settings.strict_replication,
        ..Default::default()
    };
    kafka.apply(&mut broker);
    broker
}

/// An id as Kafka writes cluster ids: 22 characters of URL-safe base64.
fn kafka_id(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

async fn create(broker: &Broker, topic: &TopicSpec) -> Result<(), ServerError> {
    let new = NewTopic { name: topic.name.clone(), partitions: Some(topic.partitions), ..Default::default() };
    match broker.create_topic(new, false).await? {
        Ok(_) => Ok(()),
        Err(Refusal::TopicExists { name }) if *name == *topic.name => Ok(()),
        Err(refusal) => Err(ServerError::Create { name: topic.name.clone(), reason: refusal.to_string() }),
    }
}

/// A listener that is open, and what it answers clients about itself.
struct Bound {
    listener: Box<dyn Listener>,
    advertise: Option<HostPort>,
}

/// Listens for operators: where they were told to come in, else on the usual port or, if somebody has it, on any.
async fn bind_http(door: &Door, wanted: &[HostPort]) -> Result<Vec<Box<dyn Listener>>, ServerError> {
    let usual = HostPort { host: "localhost".to_owned(), port: 8080 };
    let given = if wanted.is_empty() { std::slice::from_ref(&usual) } else { wanted };
    let listen = async |addresses: &[HostPort]| {
        let mut bound = Vec::new();
        for address in addresses {
            bind(door, "HTTP", "http", address, None, &mut bound).await?;
        }
        Ok::<Vec<Box<dyn Listener>>, ServerError>(bound.into_iter().map(|bound| bound.listener).collect())
    };
    match listen(given).await {
        Err(ServerError::PortInUse { .. }) if wanted.is_empty() => {
            let bound = listen(&[HostPort { port: 0, ..usual.clone() }]).await?;
            let address = bound.first().map(|listener| listener.local_address()).expect("one was bound");
            tracing::warn!(%address, "port {} is in use: health and metrics are on another", usual.port);
            Ok(bound)
        }
        bound => bound,
    }
}

/// Listens on every address that `address` stands for. Port 0 becomes one port for all of them.
async fn bind(
    door: &Door,
    face: &'static str,
    flag: &'static str,
    address: &HostPort,
    advertise: Option<&HostPort>,
    bound: &mut Vec<Bound>,
) -> Result<(), ServerError> {
    let failed = |error| ServerError::Listen { face, address: address.clone(), error };
    let (addresses, is_localhost) = match address.ip() {
        Some(ip) => (vec![ip], false),
        None if address.host == "localhost" => {
            (vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)], true)
        }
        None => {
            let found =
                tokio::net::lookup_host((address.host.as_str(), address.port)).await.map_err(failed)?;
            (found.map(|address| address.ip()).collect(), false)
        }
    };
    let mut port = address.port;
    for ip in addresses {
        let address = SocketAddr::new(ip, port);
        match door.network.listen(address).await {
            Ok(listener) => {
                port = listener.local_address().port();
                bound.push(Bound { listener, advertise: advertise.cloned() });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(ServerError::PortInUse { face, flag, address });
            }
            // A machine without IPv6 has a localhost of one address.
            Err(_) if is_localhost && ip.is_ipv6() => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}
