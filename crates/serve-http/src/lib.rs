//! The face for operators: health, metrics, backup.
//!
//! | request | answer |
//! |---|---|
//! | `GET /healthz` | 200 while the process lives |
//! | `GET /readyz` | 200 once the log is recovered and takes writes; else 503 and why not |
//! | `GET /metrics` | all metrics, Prometheus text 0.0.4, or OpenMetrics 1.0 for those who accept it |
//! | `POST /admin/backup` | `{"directory": PATH}` on the server's machine; answers once the copy is whole |
//!
//! Promises: none of the first three waits for the log or the disk, so that they answer when nothing else does.
//! `/admin/` is for programs of the same machine alone: the peer must be a loopback address, and a browser's page is
//! refused (it sends `Origin`, and cannot send JSON without asking first). Leaves to others: what is asked
//! ([`Operator`]), connections and their limits (`kolk_http`).

mod routes;

use std::path::PathBuf;
use std::sync::Arc;

use kolk_engine::contract::BoxFuture;
use kolk_engine::door::{Door, Listener};
use kolk_engine::metrics::{Face, Page};
use kolk_http::{Serving, Settings};

/// What the face asks of the server behind it.
pub trait Operator: Send + Sync + 'static {
    /// Whether writes are taken; else why not, for people.
    fn ready(&self) -> Result<(), String>;

    /// Tells all metrics but the face's own.
    fn report(&self, page: &mut Page);

    /// Copies the log into a directory that is not there yet. Dropping the future leaves the backup running.
    fn backup(&self, directory: PathBuf) -> BoxFuture<'_, Result<Backup, BackupError>>;
}

/// A backup that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Files in it.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// Why there is no backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupError {
    /// Asked in a wrong way, or now is not the time; nothing was done.
    Refused(String),
    /// It was begun and came to nothing; nothing is left of it unless the sentence says so.
    Failed(String),
}

/// Serves what comes in by `listeners`.
pub fn serve(
    door: &Door,
    operator: Arc<dyn Operator>,
    listeners: Vec<Box<dyn Listener>>,
    settings: Settings,
) -> Serving {
    let metrics = Arc::new(Face::new("http", routes::NAMES));
    let service = routes::Routes { operator, metrics: metrics.clone() };
    Serving::start(door, service, listeners, settings, metrics)
}
