//! Retention: log starts move forward to the edges that the state names (`retention.ms`, `retention.bytes`).
//!
//! The state says what has expired, and a trim by retention is a decision like any other; this task only looks
//! now and then.

use std::sync::Arc;
use std::time::Duration;

use super::commit::Log;
use crate::state::{Command, TrimBy};
use crate::types::{Offset, PartitionId, TopicId};

/// Runs until the log is closed.
pub(super) async fn run(log: Arc<Log>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if round(&log).await.is_none() {
            return;
        }
    }
}

/// Trims what has expired; `None` once the log takes nothing any more.
pub(super) async fn round(log: &Arc<Log>) -> Option<()> {
    let topics: Vec<TopicId> = log.core().state.topics().map(|topic| topic.id).collect();
    for topic in topics {
        for (partition, log_start) in expired(log, topic) {
            let trim = Command::Trim { partition, to: Some(log_start), by: TrimBy::Retention };
            match log.propose(trim).await.ok()? {
                Ok(_) => tracing::debug!(?partition, %log_start, "retention moved a log start"),
                // Deleted meanwhile, or no space for the decision: the next round looks again.
                Err(refusal) => tracing::debug!(?partition, %refusal, "retention was refused"),
            }
        }
    }
    log.core().closed.is_none().then_some(())
}

/// Where retention wants log starts of a topic; the state is locked for one topic at a time.
fn expired(log: &Log, topic: TopicId) -> Vec<(PartitionId, Offset)> {
    let now_ms = log.door.clock.now_ms();
    let core = log.core();
    let Some(topic) = core.state.topic(topic) else { return Vec::new() };
    core.state.retention_trims(topic, now_ms).collect()
}
