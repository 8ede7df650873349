//! A Kafka client: [`Kafka`] knows the cluster, [`admin`] changes it, [`producer`] writes, [`fetcher`] reads
//! partitions, [`group`] reads as a member of a consumer group.

mod admin;
mod connection;
mod fetcher;
mod group;
mod producer;
mod record;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kolk_engine::door::Door;
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use kolk_wire_kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use tokio::time::Instant;

pub use admin::{
    Committed, ConfigEntry, ConfigSource, Group, GroupListing, GroupMember, NewTopic, OffsetSpec,
};
pub use connection::{Connection, Reply};
pub use fetcher::{FetchOptions, Fetched, Fetcher};
pub use group::{Assignment, GroupConsumer, GroupEvent, GroupOptions};
pub use producer::{Delivered, Delivery, Partitioner, Producer, ProducerOptions, default_partition};
pub use record::{OwnedRecord, RecordBody, decode_records};

use crate::{Address, Error};

/// How a [`Kafka`] client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the client calls itself.
    pub client_id: String,
    /// How long a call may take, its retries included.
    pub timeout: Duration,
    /// How long to wait before a retry.
    pub backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            client_id: "kolk".to_owned(),
            timeout: Duration::from_secs(30),
            backoff: Duration::from_millis(100),
        }
    }
}

/// How long a topic that is made on its first use may take.
const CREATE_WAIT: Duration = Duration::from_secs(3);

/// A client of one cluster. A cheap handle; connections are made when they are needed and shared.
#[derive(Clone, Debug)]
pub struct Kafka(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    door: Door,
    servers: Vec<Address>,
    options: Options,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    brokers: BTreeMap<i32, Address>,
    connections: BTreeMap<(Address, Lane), Connection>,
}

/// Requests that wait on the broker (fetches, joins) must not hold up others, so they have a connection each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Everything that is answered at once.
    General,
    /// Produce.
    Write,
    /// Fetch.
    Read,
    /// Group membership.
    Group,
}

/// The cluster as it describes itself.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// Its id.
    pub cluster_id: Option<String>,
    /// The node that takes what changes the cluster, -1 if there is none.
    pub controller: i32,
    /// Its brokers by id.
    pub brokers: BTreeMap<i32, Address>,
    /// The topics asked for, by name.
    pub topics: BTreeMap<String, TopicMetadata>,
}

/// A topic in [`Metadata`].
#[derive(Clone, Debug)]
pub struct TopicMetadata {
    /// Why it is not there, or `None`.
    pub error: ErrorCode,
    /// Its id; zero on brokers that have none.
    pub id: uuid::Uuid,
    /// Whether it is one of the broker's own.
    pub is_internal: bool,
    /// Its partitions by index.
    pub partitions: BTreeMap<i32, PartitionMetadata>,
}

/// A partition in [`Metadata`].
#[derive(Clone, Debug)]
pub struct PartitionMetadata {
    /// The broker that serves it, -1 if there is none.
    pub leader: i32,
    /// Counts leaders.
    pub leader_epoch: i32,
    /// Brokers that have a copy.
    pub replicas: Vec<i32>,
    /// Those that are up to date.
    pub isr: Vec<i32>,
}

impl Kafka {
    /// A client of the cluster that `servers` (`HOST:PORT,HOST:PORT`) belong to. Connects when the first call is made.
    pub fn new(door: Door, servers: &str, options: Options) -> Result<Kafka, Error> {
        let servers: Vec<Address> =
            servers.split(',').map(|server| server.trim().parse()).collect::<Result<_, _>>()?;
        let state = Mutex::default();
        Ok(Kafka(Arc::new(Inner { door, servers, options, state })))
    }

    /// How the client was configured.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn door(&self) -> &Door {
        &self.0.door
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nothing panics while it holds the lock")
    }

    async fn connection(&self, address: &Address, lane: Lane) -> Result<Connection, Error> {
        let key = (address.clone(), lane);
        if let Some(open) = self.state().connections.get(&key).filter(|c| !c.is_closed()) {
            return Ok(open.clone());
        }
        let options = &self.0.options;
        let opened = Connection::open(&self.0.door, address, &options.client_id, options.timeout).await?;
        // Two callers may have opened one each: the later one is shared from now on.
        self.state().connections.insert(key, opened.clone());
        Ok(opened)
    }

    /// A connection to some broker of the cluster.
    pub async fn any(&self) -> Result<Connection, Error> {
        let mut known: Vec<Address> = self.0.servers.clone();
        known.extend(self.state().brokers.values().cloned());
        let mut failed = Error::Stopped;
        for address in known {
            match self.connection(&address, Lane::General).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// A connection to the broker with this id.
    pub(crate) async fn broker(&self, id: i32, lane: Lane) -> Result<Connection, Error> {
        let known = self.state().brokers.get(&id).cloned();
        let address = match known {
            Some(address) => address,
            None => {
                let metadata = self.metadata_once(Some(&[])).await?;
                metadata.brokers.get(&id).cloned().ok_or_else(|| Error::Refused {
                    what: format!("looking for broker {id}"),
                    code: ErrorCode::BrokerNotAvailable,
                    message: None,
                })?
            }
        };
        self.connection(&address, lane).await
    }

    /// A connection to the broker that takes what changes the cluster.
    pub async fn controller(&self) -> Result<Connection, Error> {
        let metadata = self.metadata_once(Some(&[])).await?;
        match metadata.controller {
            -1 => self.any().await,
            id => self.broker(id, Lane::General).await,
        }
    }

    /// A connection to the broker that coordinates a group.
    pub(crate) async fn coordinator(&self, group: &str, lane: Lane) -> Result<Connection, Error> {
        let connection = self.any().await?;
        let version = connection.version::<FindCoordinatorRequest>()?;
        let request = if version >= 4 {
            FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() }
        } else {
            FindCoordinatorRequest { key: group.into(), ..Default::default() }
        };
        let answer: FindCoordinatorResponse =
            connection.call_version(version, &request, self.0.options.timeout).await?;
        let what = || format!("looking for the coordinator of group {group}");
        let (code, message, host, port) = match answer.coordinators.first() {
            Some(c) if version >= 4 => (c.error_code, &c.error_message, &c.host, c.port),
            _ => (answer.error_code, &answer.error_message, &answer.host, answer.port),
        };
        Error::check(code, message.as_deref(), what)?;
        self.connection(&address(connection.address(), host, port)?, lane).await
    }

    /// Describes topics, or all of them.
    ///
    /// Topics that are not there say so in [`TopicMetadata::error`]; none is made.
    pub async fn metadata(&self, topics: Option<&[&str]>) -> Result<Metadata, Error> {
        self.retrying(|| self.metadata_once(topics)).await
    }

    async fn metadata_once(&self, topics: Option<&[&str]>) -> Result<Metadata, Error> {
        self.ask_metadata(topics, false).await
    }

    async fn ask_metadata(&self, topics: Option<&[&str]>, may_create: bool) -> Result<Metadata, Error> {
        let connection = self.any().await?;
        let version = connection.version::<MetadataRequest>()?;
        let named = |name: &&str| MetadataRequestTopic { name: Some((*name).into()), ..Default::default() };
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().map(named).collect()),
            allow_auto_topic_creation: may_create,
            ..Default::default()
        };
        let answer: MetadataResponse =
            connection.call_version(version, &request, self.0.options.timeout).await?;
        Error::check(answer.error_code, None, || "asking for metadata".to_owned())?;
        let mut metadata = Metadata {
            cluster_id: answer.cluster_id.map(String::from),
            controller: answer.controller_id,
            ..Default::default()
        };
        for broker in answer.brokers {
            metadata
                .brokers
                .insert(broker.node_id, address(connection.address(), &broker.host, broker.port)?);
        }
        for topic in answer.topics {
            let partitions = topic.partitions.iter().map(|partition| {
                let described = PartitionMetadata {
                    leader: partition.leader_id,
                    leader_epoch: partition.leader_epoch,
                    replicas: partition.replica_nodes.clone(),
                    isr: partition.isr_nodes.clone(),
                };
                (partition.partition_index, described)
            });
            let described = TopicMetadata {
                error: ErrorCode::from_code(topic.error_code).unwrap_or(ErrorCode::UnknownServerError),
                id: topic.topic_id,
                is_internal: topic.is_internal,
                partitions: partitions.collect(),
            };
            metadata.topics.insert(topic.name.map(String::from).unwrap_or_default(), described);
        }
        self.state().brokers.clone_from(&metadata.brokers);
        Ok(metadata)
    }

    /// Describes one topic that must be there, waiting while it is being made.
    pub async fn topic(&self, name: &str) -> Result<TopicMetadata, Error> {
        self.retrying(|| async {
            let mut metadata = self.metadata_once(Some(&[name])).await?;
            let topic = metadata.topics.remove(name).ok_or_else(|| Error::Refused {
                what: format!("looking for topic {name}"),
                code: ErrorCode::UnknownTopicOrPartition,
                message: None,
            })?;
            // Not there is an answer here, though a retriable one for clients that wait for others to make it.
            if topic.error == ErrorCode::UnknownTopicOrPartition {
                return Ok(Err(Error::Refused {
                    what: format!("topic {name}"),
                    code: topic.error,
                    message: Some("there is no such topic".to_owned()),
                }));
            }
            Error::check(topic.error.code(), None, || format!("topic {name}"))?;
            Ok(Ok(topic))
        })
        .await?
    }

    /// Describes one topic; where it is not there and the broker makes topics on their first use, it is made.
    pub async fn topic_or_create(&self, name: &str) -> Result<TopicMetadata, Error> {
        // A broker that is making it, and one that will not, say the same for a while.
        let end = Instant::now() + CREATE_WAIT.min(self.0.options.timeout);
        loop {
            let asked = self.ask_metadata(Some(&[name]), true).await?;
            match asked.topics.get(name) {
                Some(topic) if topic.error == ErrorCode::UnknownTopicOrPartition && Instant::now() < end => {
                    tokio::time::sleep(self.0.options.backoff).await;
                }
                _ => return self.topic(name).await,
            }
        }
    }

    /// Repeats a call that may succeed later, until [`Options::timeout`].
    pub(crate) async fn retrying<T, F: Future<Output = Result<T, Error>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, Error> {
        let end = Instant::now() + self.0.options.timeout;
        loop {
            match call().await {
                // Nothing listens there: no use in waiting for a server that was misspelt.
                Err(error @ Error::Connect { .. }) => return Err(error),
                Err(error) if error.is_retriable() && Instant::now() < end => {
                    tokio::time::sleep(self.0.options.backoff).await;
                }
                done => return done,
            }
        }
    }
}

fn address(from: &Address, host: &str, port: i32) -> Result<Address, Error> {
    let port = u16::try_from(port)
        .map_err(|_| Error::Garbled { address: from.clone(), reason: format!("{port} is no port") })?;
    Ok(Address { host: host.to_owned(), port })
}
