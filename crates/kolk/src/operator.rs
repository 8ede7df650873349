//! What the HTTP face asks of a server: whether it is ready, its metrics, a backup.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use kolk_broker::Broker;
use kolk_engine::contract::BoxFuture;
use kolk_engine::local::LocalEngine;
use kolk_engine::metrics::{Family, Page, Source};
use kolk_serve_http::{Backup, BackupError, Operator};
use tokio::sync::{oneshot, watch};

use crate::version;

static BUILD: Family = Family::gauge(
    "kolk_build_info",
    &["version", "commit", "data_format"],
    "1; its labels say what was built.",
);
static STARTED: Family =
    Family::gauge("process_start_time_seconds", &[], "When the server was started, seconds since 1970.");
static READY: Family = Family::gauge("kolk_ready", &[], "1 while writes are taken: what /readyz says.");

/// The parts of a running server.
pub(crate) struct Running {
    pub broker: Broker,
    /// The log, unless it is in memory.
    pub log: Option<Arc<LocalEngine>>,
    /// Everybody who counts, but the broker and the log.
    pub sources: Vec<Arc<dyn Source>>,
}

/// A server as its operators see it, from before its log is open until its end.
pub(crate) struct Status {
    started_ms: i64,
    running: OnceLock<Running>,
    stopping: AtomicBool,
    failed: watch::Receiver<Option<Arc<str>>>,
}

impl Status {
    /// A server that has just begun to start.
    pub fn new(now_ms: i64, failed: watch::Receiver<Option<Arc<str>>>) -> Self {
        Status { started_ms: now_ms, running: OnceLock::new(), stopping: AtomicBool::new(false), failed }
    }

    /// It takes requests.
    pub fn run(&self, running: Running) {
        assert!(self.running.set(running).is_ok(), "a server starts once");
    }

    /// It takes no more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

impl Operator for Status {
    fn ready(&self) -> Result<(), String> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err("the server stops".to_owned());
        }
        let Some(running) = self.running.get() else {
            return Err("the server starts: the log is being read".to_owned());
        };
        if let Some(reason) = &*self.failed.borrow() {
            return Err(format!("the log failed: {reason}"));
        }
        if running.log.as_ref().is_some_and(|log| log.is_disk_full()) {
            return Err("the disk is full: writes are refused until space comes back".to_owned());
        }
        Ok(())
    }

    fn report(&self, page: &mut Page) {
        let format = version::DATA_FORMAT.to_string();
        page.count(&BUILD, &[version::VERSION, version::COMMIT, &format], 1);
        page.number(&STARTED, &[], self.started_ms as f64 / 1000.0);
        page.count(&READY, &[], u64::from(self.ready().is_ok()));
        let Some(running) = self.running.get() else { return };
        running.broker.report(page);
        if let Some(log) = &running.log {
            log.report(page);
        }
        running.sources.iter().for_each(|source| source.report(page));
    }

    fn backup(&self, directory: PathBuf) -> BoxFuture<'_, Result<Backup, BackupError>> {
        Box::pin(async move {
            let refused = |reason: &str| BackupError::Refused(reason.to_owned());
            let running = self.running.get().ok_or_else(|| refused("the server starts"))?;
            let log = running
                .log
                .clone()
                .ok_or_else(|| refused("the log is in memory: there is nothing to copy"))?;
            let (tell, told) = oneshot::channel();
            // A task of its own: whoever asked may go away, and half a copy would stay behind.
            let backup = async move {
                tracing::info!(directory = %directory.display(), "a backup begins");
                let result = log.backup(&directory).await;
                match &result {
                    Ok(done) => tracing::info!(
                        directory = %directory.display(), files = done.files, bytes = done.bytes,
                        "a backup is whole"
                    ),
                    Err(error) => {
                        tracing::error!(directory = %directory.display(), %error, "a backup failed")
                    }
                }
                let _ = tell.send(result);
            };
            running.broker.door().tasks.spawn("backup", Box::pin(backup));
            match told.await {
                Ok(Ok(done)) => Ok(Backup { files: done.files, bytes: done.bytes }),
                Ok(Err(error)) if error.is_refusal() => Err(BackupError::Refused(error.to_string())),
                Ok(Err(error)) => Err(BackupError::Failed(error.to_string())),
                Err(_) => Err(BackupError::Failed("the server ended".to_owned())),
            }
        })
    }
}

#[cfg(test)]
mod tests;
