//! What all requests share: the streams, the names in ARNs, the key of tokens.

use std::sync::Arc;
use std::time::Duration;

use kolk_broker::Broker;
use kolk_broker::shards::Shards;
use kolk_engine::Seldom;
use kolk_engine::metrics::Face;
use kolk_wire_kinesis::Operation;
use kolk_wire_kinesis::token::{NONCE_BYTES, Sealer};
use tokio::sync::{Semaphore, SemaphorePermit};

/// What the Kinesis face can be told; what concerns meaning is in the broker's settings.
#[derive(Clone)]
pub struct Settings {
    /// The region in ARNs.
    pub region: String,
    /// The account in ARNs: 12 digits.
    pub account: String,
    /// Whether requests without any signature are taken.
    pub unsigned_allowed: bool,
    /// Origins of web pages that may ask beside those of this machine; `*` for any.
    pub origins_allowed: Vec<String>,
    /// Largest body in bytes; 10 MiB of data are 14 MB in base64.
    pub body_bytes_max: usize,
    /// Seals shard iterators and page tokens. Whoever shares it can read them; keep it over restarts, so that
    /// iterators outlive them.
    pub token_key: [u8; 32],
}

impl Settings {
    /// The defaults, with this key.
    pub fn new(token_key: [u8; 32]) -> Self {
        Settings {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            unsigned_allowed: false,
            origins_allowed: Vec::new(),
            body_bytes_max: 16 * 1024 * 1024,
            token_key,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Settings { region, account, unsigned_allowed, origins_allowed, body_bytes_max, token_key: _ } =
            self;
        f.debug_struct("Settings")
            .field("region", region)
            .field("account", account)
            .field("unsigned_allowed", unsigned_allowed)
            .field("origins_allowed", origins_allowed)
            .field("body_bytes_max", body_bytes_max)
            .finish_non_exhaustive()
    }
}

/// The Kinesis API over one broker. A cheap handle.
#[derive(Clone, Debug)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shards: Shards,
    sealer: Sealer,
    settings: Settings,
    metrics: Arc<Face>,
    failure_told: Seldom,
    wide: Semaphore,
}

impl Service {
    /// Serves the streams of `shards`.
    pub fn new(shards: Shards, settings: Settings) -> Self {
        let sealer = Sealer::new(&settings.token_key);
        // Behind all operations: what never came to one.
        let apis = Operation::ALL.iter().map(|operation| operation.name()).chain(["none"]);
        let metrics = Arc::new(Face::new("kinesis", apis));
        Service(Arc::new(Inner {
            shards,
            sealer,
            settings,
            metrics,
            failure_told: Seldom::new(Duration::from_secs(1)),
            wide: Semaphore::new(1),
        }))
    }

    /// The streams.
    pub fn shards(&self) -> &Shards {
        &self.0.shards
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        self.0.shards.broker()
    }

    /// What was configured.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What it counts; operations have their place in [`Operation::ALL`].
    pub(crate) fn metrics(&self) -> &Arc<Face> {
        &self.0.metrics
    }

    /// Logs a failure of ours, one a second: on a full disk clients try again all the time. All are counted.
    pub(crate) fn log_failure(&self, operation: Operation, error: &dyn std::fmt::Display) {
        if let Some(unsaid) = self.0.failure_told.say() {
            tracing::error!(operation = operation.name(), %error, unsaid, "an operation failed");
        }
    }

    /// The turn of an answer that shows very many things: one of these at a time. It waits for nothing while it is made, and
    /// takes the processor for long: among hundreds of them others would wait for theirs.
    pub(crate) async fn wide_turn(&self) -> SemaphorePermit<'_> {
        self.0.wide.acquire().await.expect("the semaphore is never closed")
    }

    /// Makes and reads tokens.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// Fresh randomness for a token.
    pub(crate) fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        self.broker().door().random.fill(&mut nonce);
        nonce
    }
}
