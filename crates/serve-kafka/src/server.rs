//! Listeners: accepts connections up to a cap, runs a task for each, stops them cleanly.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolk_broker::Broker;
use kolk_engine::door::TaskHandle;
use kolk_engine::metrics::Face;
use kolk_engine::places::Places;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore};

use crate::activity::Activity;
use crate::apis::SERVED;
use crate::connection::{self, Buffers};
use crate::fetch_sessions::{self, FetchSessions};

/// Where to listen, and as what clients shall know it.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Address to bind; port 0 takes a free one.
    pub bind: SocketAddr,
    /// What metadata tells clients that came in here; `None`: the bound address, or for a wildcard the address that the
    /// connection came in by.
    pub advertise: Option<Advertise>,
}

/// A name that clients can reach a listener by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// Host name or address.
    pub host: String,
    /// Port; 0 means the port that was bound.
    pub port: u16,
}

/// What the Kafka face itself can be told; what concerns meaning is in the broker's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections over all listeners (`max.connections`). For one more, the one that has been without a request for longest
    /// gives way; while all of them have requests, more wait in the system's backlog.
    pub connections_max: usize,
    /// A connection without a request for so long is closed (`connections.max.idle.ms`).
    pub idle_ms: u64,
    /// A request or reply of which no byte moves for so long closes its connection.
    pub stall_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { connections_max: 10_000, idle_ms: 600_000, stall_ms: 30_000 }
    }
}

/// Why the Kafka face did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen for Kafka on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: io::Error,
    },
}

/// What all connections share.
pub(crate) struct Shared {
    pub broker: Broker,
    pub settings: Settings,
    pub fetch_sessions: FetchSessions,
    pub metrics: Arc<Face>,
    pub buffers: Buffers,
    /// Passed by one answer at a time, of those that are collected from many large things.
    pub heavy: Semaphore,
    /// One answer about very many topics at a time: it waits for nothing in between, and takes the processor for long.
    pub wide: Semaphore,
    places: Arc<Places<Activity>>,
    stopping: AtomicBool,
    stop: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Shared {
    /// Whether no more requests are to be taken.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Resolves when the server stops.
    pub fn stopped(&self) -> Notified<'_> {
        self.stop.notified()
    }

    /// Resolves when the server stops, also if it has stopped already.
    pub async fn until_stopped(&self) {
        let mut stopped = std::pin::pin!(self.stop.notified());
        stopped.as_mut().enable();
        if !self.is_stopping() {
            stopped.await;
        }
    }
}

/// The Kafka face at work. Dropping it does not stop it; [`Serving::stop`] does.
#[derive(Debug)]
pub struct Serving {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    accepting: Vec<TaskHandle>,
}

/// Listens on every address, then accepts. Fails if one of them cannot be had; then none is served.
pub async fn serve(
    listeners: Vec<Listener>,
    broker: Broker,
    settings: Settings,
) -> Result<Serving, ServeError> {
    let mut bound = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let socket = broker
            .door()
            .network
            .listen(listener.bind)
            .await
            .map_err(|error| ServeError::Listen { address: listener.bind, error })?;
        bound.push((socket, listener.advertise));
    }
    Ok(serve_on(bound, broker, settings))
}

/// Accepts on listeners that are open already.
pub fn serve_on(
    listeners: Vec<(Box<dyn kolk_engine::door::Listener>, Option<Advertise>)>,
    broker: Broker,
    settings: Settings,
) -> Serving {
    broker.start();
    let shared = Arc::new(Shared {
        fetch_sessions: FetchSessions::new(
            broker.settings().fetch_sessions_max,
            broker.admission().in_proportion(fetch_sessions::PARTITIONS_MAX),
        ),
        metrics: Arc::new(Face::new("kafka", SERVED.iter().map(|served| served.api.name()))),
        buffers: Buffers::default(),
        heavy: Semaphore::new(1),
        wide: Semaphore::new(1),
        places: Places::new(settings.connections_max),
        stopping: AtomicBool::new(false),
        stop: Notify::new(),
        broker,
        settings,
    });
    let mut addresses = Vec::new();
    let mut accepting = Vec::new();
    for (socket, advertise) in listeners {
        let address = socket.local_address();
        addresses.push(address);
        let advertise = advertise.map(|mut advertise| {
            if advertise.port == 0 {
                advertise.port = address.port();
            }
            Arc::new(advertise)
        });
        let task = accept(Arc::clone(&shared), socket, advertise);
        accepting.push(shared.broker.door().tasks.spawn("kafka-accept", Box::pin(task)));
    }
    Serving { shared, addresses, accepting }
}

async fn accept(
    shared: Arc<Shared>,
    socket: Box<dyn kolk_engine::door::Listener>,
    advertise: Option<Arc<Advertise>>,
) {
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.until_stopped() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                failing = false;
                let place = tokio::select! {
                    biased;
                    () = shared.until_stopped() => return,
                    place = shared.places.take() => place,
                };
                let task = connection::run(Arc::clone(&shared), accepted, advertise.clone(), place);
                shared.broker.door().tasks.spawn("kafka-connection", Box::pin(task));
            }
            Err(error) => {
                // Out of file handles, or the peer is gone already. Wait, or this spins while handles are short.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "accepting a Kafka connection failed; it is tried again");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Serving {
    /// The bound addresses, in the order of the listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What its connections share.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<Face> {
        &self.shared.metrics
    }

    /// Stops taking connections and requests, lets those that were decided be answered, and closes what is left after
    /// `grace`. The engine is not closed.
    pub async fn stop(self, grace: Duration) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.stop.notify_waiters();
        for accepting in &self.accepting {
            accepting.abort();
        }
        if tokio::time::timeout(grace, self.shared.places.all_free()).await.is_err() {
            tracing::warn!("some Kafka connections did not end in time");
        }
    }
}
