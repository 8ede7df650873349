//! What the log on disk counts about itself.

use std::sync::atomic::Ordering;

use super::LocalEngine;
use crate::metrics::{BYTES, COUNT, Counter, Family, Histogram, Page, SECONDS, Source};

static SYNC_SECONDS: Family = Family::histogram(
    "kolk_log_sync_seconds",
    &[],
    "Time of one durable write of the log: what an acknowledgement waits for.",
);
static COMMIT_BYTES: Family = Family::histogram(
    "kolk_log_commit_bytes",
    &[],
    "Size of one durable write: the group that is committed together.",
);
static COMMIT_DECISIONS: Family = Family::histogram(
    "kolk_log_commit_decisions",
    &[],
    "Decisions (appended batches, commits, topic changes) that one durable write holds.",
);
static BATCHES: Family =
    Family::counter("kolk_log_appended_batches_total", &[], "Record batches made durable.");
static RECORDS: Family =
    Family::counter("kolk_log_appended_records_total", &[], "Offsets made durable: one for each record.");
static APPENDED_BYTES: Family =
    Family::counter("kolk_log_appended_bytes_total", &[], "Bytes of record batches made durable.");
static QUEUE_BYTES: Family = Family::gauge("kolk_log_queue_bytes", &[], "Decided and not yet durable.");
static WAITING: Family =
    Family::gauge("kolk_log_waiting_replies", &[], "Replies that wait for their position to be durable.");
static DURABLE: Family =
    Family::gauge("kolk_log_durable_position", &[], "The last frame of the log that is on disk.");
static WAL_BYTES: Family =
    Family::gauge("kolk_log_wal_bytes", &[], "Files of the write-ahead log, spare ones included.");
static WAL_LIMIT: Family = Family::gauge(
    "kolk_log_wal_limit_bytes",
    &[],
    "What the write-ahead log may grow to; there commits wait for the rewrite.",
);
static REWRITE_LAG: Family = Family::gauge(
    "kolk_log_rewrite_lag_bytes",
    &[],
    "Full files of the write-ahead log that the rewrite has not freed yet.",
);
static SEGMENTS: Family = Family::gauge("kolk_log_segments", &[], "Segment files.");
static SEGMENT_BYTES: Family = Family::gauge(
    "kolk_log_segment_bytes",
    &["state"],
    "Batches in segments: still readable (live), or deleted and not yet removed (dead).",
);
static DIRECTORY_BYTES: Family = Family::gauge(
    "kolk_log_directory_bytes",
    &[],
    "Memory that says where batches are in segments, with what was read of their footers last.",
);
static REWRITES: Family = Family::counter(
    "kolk_log_rewrites_total",
    &["outcome"],
    "Rounds of the rewrite that had something to do, by how they ended.",
);
static REWRITTEN: Family =
    Family::counter("kolk_log_rewritten_bytes_total", &[], "Batches copied into segments, merges included.");
static FREE: Family = Family::gauge(
    "kolk_disk_free_bytes",
    &[],
    "Free on the file system of the data directory when the log last asked: at a start, as it grows, while space is short.",
);
static FULL: Family =
    Family::gauge("kolk_disk_full", &[], "1 while appends are refused for want of disk space.");
static REFUSED: Family =
    Family::counter("kolk_log_refused_appends_total", &[], "Batches refused for want of disk space.");
static FAILED: Family = Family::gauge(
    "kolk_log_failed",
    &[],
    "1 once the disk failed: nothing is acknowledged any more and the process ends.",
);
static UNDECODABLE: Family = Family::counter(
    "kolk_log_undecodable_batches_total",
    &[],
    "Batches whose records a lookup by time could not read: their first offset was taken.",
);
static BACKUPS: Family = Family::counter("kolk_backups_total", &["outcome"], "Backups, by how they ended.");

/// Numbers of one log.
#[derive(Debug)]
pub(super) struct Metrics {
    pub sync: Histogram,
    pub commit_bytes: Histogram,
    pub commit_decisions: Histogram,
    pub batches: Counter,
    pub records: Counter,
    pub appended_bytes: Counter,
    pub refused: Counter,
    pub rewrites: Counter,
    pub rewrites_failed: Counter,
    pub rewritten_bytes: Counter,
    pub backups: Counter,
    pub backups_failed: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            sync: Histogram::new(&SECONDS),
            commit_bytes: Histogram::new(&BYTES),
            commit_decisions: Histogram::new(&COUNT),
            batches: Counter::default(),
            records: Counter::default(),
            appended_bytes: Counter::default(),
            refused: Counter::default(),
            rewrites: Counter::default(),
            rewrites_failed: Counter::default(),
            rewritten_bytes: Counter::default(),
            backups: Counter::default(),
            backups_failed: Counter::default(),
        }
    }
}

impl Source for LocalEngine {
    fn report(&self, page: &mut Page) {
        let (log, metrics) = (&self.log, &self.log.metrics);
        page.histogram(&SYNC_SECONDS, &[], &metrics.sync);
        page.histogram(&COMMIT_BYTES, &[], &metrics.commit_bytes);
        page.histogram(&COMMIT_DECISIONS, &[], &metrics.commit_decisions);
        page.count(&BATCHES, &[], metrics.batches.get());
        page.count(&RECORDS, &[], metrics.records.get());
        page.count(&APPENDED_BYTES, &[], metrics.appended_bytes.get());
        let queued = log.core().queued_bytes;
        page.count(&QUEUE_BYTES, &[], queued as u64);
        page.count(&WAITING, &[], log.waiting_replies() as u64);
        page.count(&DURABLE, &[], log.durable());
        let (wal_bytes, wal_limit) = log.space.wal_sizes();
        page.count(&WAL_BYTES, &[], wal_bytes);
        page.count(&WAL_LIMIT, &[], wal_limit);
        page.count(&REWRITE_LAG, &[], self.rewriter.lag_bytes());
        let (mut live, mut total) = (0, 0);
        let segments = log.archive.segments();
        for segment in &segments {
            live += segment.live_bytes;
            total += segment.total_bytes;
        }
        page.count(&SEGMENTS, &[], segments.len() as u64);
        page.count(&SEGMENT_BYTES, &["live"], live);
        page.count(&SEGMENT_BYTES, &["dead"], total - live);
        page.count(&DIRECTORY_BYTES, &[], log.archive.held_bytes() as u64);
        page.count(&REWRITES, &["done"], metrics.rewrites.get());
        page.count(&REWRITES, &["failed"], metrics.rewrites_failed.get());
        page.count(&REWRITTEN, &[], metrics.rewritten_bytes.get());
        page.count(&FREE, &[], log.space.free_bytes());
        page.count(&FULL, &[], u64::from(self.is_disk_full()));
        page.count(&REFUSED, &[], metrics.refused.get());
        page.count(&FAILED, &[], u64::from(log.has_failed()));
        page.count(&UNDECODABLE, &[], self.reader.undecodable.load(Ordering::Relaxed));
        page.count(&BACKUPS, &["done"], metrics.backups.get());
        page.count(&BACKUPS, &["failed"], metrics.backups_failed.get());
    }
}
