//! One directory on one disk: the back end behind `kolk serve`.
//!
//! ```text
//!  append / propose ─► commit: queue ─► frame ─► wal file ──► index ──► readers
//!                                                   │           │
//!                                           rewrite in the background: segments, archive
//! ```
//! | file | what |
//! |---|---|
//! | `propose`, `commit` | deciding; the queue in front of the disk, who commits, who waits |
//! | `space` | whether there is room to decide; log files that wait to be written |
//! | `frame`, `wal` | formats and files of the write-ahead log, memory of frames |
//! | `index`, `archive`, `read` | where batches are, who may see them, lookups |
//! | `segment`, `snapshot` | files that batches are rewritten to, and the state at a position |
//! | `rewrite`, `retention` | what runs in the background |
//! | `backup` | a consistent copy of a running log |
//! | `manifest`, `recovery` | what a directory is, and what a start makes of it |
//! | `walk` | the log front to back: what is there, and whether its gaps and its end are damage |
//! | `metrics` | what the log counts about itself |
//! | `inspect`, `repair`, `unreadable` | `kolk verify`, `kolk dump`; `kolk repair`, and what it does where a disk does not read |
//!
//! A data directory holds `lock`, `manifest` and its copy, `wal/`, `segments/` and `snapshots/`, after a repair also `damaged/`, and nothing
//! else.

mod archive;
mod backup;
mod commit;
#[cfg(feature = "fuzz")]
pub mod decoders;
mod frame;
mod index;
mod inspect;
mod manifest;
mod metrics;
mod propose;
mod read;
mod recovery;
mod repair;
mod retention;
mod rewrite;
mod segment;
mod snapshot;
mod space;
#[cfg(test)]
mod tests;
mod unreadable;
mod wal;
mod walk;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use archive::Archive;
pub use backup::{BackupError, BackupReport};
pub use commit::{CommitBy, FailureHook};
use commit::{Committer, Log, LogParts};
use index::{Index, LogEnd, Publish};
pub use inspect::{Entry, Report, dump, verify};
pub use manifest::DATA_FORMAT;
use read::Reader;
pub use recovery::OpenError;
use recovery::{Recovered, io_at};
pub use repair::{Lost, RepairHow, RepairReport, repair};
pub use rewrite::RewriteOptions;
use rewrite::{Ledger, Rewriter};
use segment::Handles;
use space::{Prepared, Space, WalSizes, is_full};
use wal::FrameMemory;

use crate::contract::{
    Append, AppendError, Appended, BoxFuture, Engine, EngineError, FoundOffset, OffsetQuery, PartitionRead,
    Pending, Published, ReadError, ReadRequest,
};
use crate::door::{ALIGNMENT, Door, TaskHandle};
use crate::state::{Command, Decision, Limits, Outcome, Refusal, State};
use crate::types::{Offset, PartitionId};

/// How the engine uses its directory.
#[derive(Clone)]
pub struct LocalOptions {
    /// What decisions keep to.
    pub limits: Limits,
    /// Size of the write-ahead log's first file, in bytes; further ones double up to `wal_file_bytes_max`.
    pub wal_file_bytes_first: u64,
    /// Size that write-ahead files grow to, in bytes.
    pub wal_file_bytes_max: u64,
    /// All write-ahead files together, in bytes: beyond it, commits wait for the rewrite.
    pub wal_bytes_max: u64,
    /// Recent frames kept in memory for readers, in bytes.
    pub tail_cache_bytes: usize,
    /// Where the batches of the write-ahead log are takes so much memory at most, in bytes, beside one file of the log: the
    /// rewrite begins at half of it, beyond it appends wait for that. Small batches need it, about 90 bytes for those of
    /// one partition in one frame.
    pub index_bytes_max: usize,
    /// A frame takes decisions up to this size, in bytes, or one larger batch.
    pub frame_bytes_max: usize,
    /// Who commits.
    pub commit_by: CommitBy,
    /// An idle log is sealed after this long.
    pub seal_after: Duration,
    /// When batches leave the write-ahead log, and when snapshots are due.
    pub rewrite: RewriteOptions,
    /// How often retention looks for what has expired (Kafka's `log.retention.check.interval.ms`).
    pub retention_interval: Duration,
    /// Told once when the log fails.
    pub on_failure: Option<FailureHook>,
    /// Watches what is written and replayed; of simulations.
    pub witness: Option<Arc<dyn Witness>>,
}

/// Sees every decision on its way to the disk, and the state that a start has replayed: whether a replay from a
/// snapshot comes to the same as one from the start of the log, nobody can tell later, when old files are used again.
pub trait Witness: Send + Sync {
    /// A frame with so many encoded decisions is about to be written. After a crash its number may be used again.
    fn frame(&self, number: u64, decision_count: u32, decisions: &[u8]);

    /// A start has replayed the log up to this frame, the last one.
    fn replayed(&self, last_frame: u64, state: &State);
}

/// Size of the write-ahead log in bytes, where nothing else is said.
pub const WAL_BYTES: u64 = 512 << 20;

impl LocalOptions {
    /// The usual options for a write-ahead log of so many bytes: its files begin at a 128th of it and grow to an eighth,
    /// at least 4 MiB, so that each takes some frames, and the rewrite keeps it at 3/16.
    pub fn for_wal(bytes: u64) -> Self {
        let file = |bytes: u64| (bytes - bytes % ALIGNMENT as u64).max(4 << 20);
        LocalOptions {
            limits: Limits::default(),
            wal_file_bytes_first: file(bytes / 128),
            wal_file_bytes_max: file(bytes / 8),
            wal_bytes_max: bytes,
            tail_cache_bytes: 24 << 20,
            index_bytes_max: 48 << 20,
            frame_bytes_max: 1 << 20,
            commit_by: CommitBy::Auto,
            seal_after: Duration::from_secs(1),
            rewrite: RewriteOptions { wal_bytes: bytes / 16 * 3, ..Default::default() },
            retention_interval: Duration::from_secs(300),
            on_failure: None,
            witness: None,
        }
    }
}

impl Default for LocalOptions {
    fn default() -> Self {
        LocalOptions::for_wal(WAL_BYTES)
    }
}

impl std::fmt::Debug for LocalOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hook = self.on_failure.is_some();
        write!(f, "LocalOptions {{ commit_by: {:?}, on_failure: {hook}, .. }}", self.commit_by)
    }
}

/// The engine over one data directory. See the module, and [`Engine`] for what it promises.
pub struct LocalEngine {
    log: Arc<Log>,
    reader: Arc<Reader>,
    rewriter: Arc<Rewriter>,
    cluster_id: uuid::Uuid,
    secret: [u128; 2],
    tasks: Vec<TaskHandle>,
    closed: tokio::sync::Mutex<bool>,
    /// Held while a backup is made.
    backing_up: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for LocalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalEngine {{ durable: {} }}", self.log.durable())
    }
}

impl LocalEngine {
    /// Opens a data directory, and makes it if it is not there. Returns when everything that was ever acknowledged
    /// can be read, and appends are taken.
    pub async fn open(door: Door, directory: &Path, options: LocalOptions) -> Result<Arc<Self>, OpenError> {
        let disk = door.disk.clone();
        disk.create_dir_all(directory).await.map_err(io_at(directory))?;
        let names = disk.list(directory).await.map_err(io_at(directory))?;
        if !names.iter().any(|name| name == manifest::NAME) {
            // Not even a lock is left in a directory that is not ours.
            recovery::read_manifest(&*disk, directory).await?;
        }
        let lock = recovery::lock(&*disk, directory).await?;
        let found = recovery::read_manifest(&*disk, directory).await?;
        recovery::prepare_directory(&*disk, directory).await?;

        let index = Arc::new(Index::new(options.tail_cache_bytes));
        let state = State::new(options.limits.clone());
        let recovered = match found {
            None => recovery::fresh(&door, state),
            Some(manifest) => {
                let loaded = recovery::load_snapshot(&*disk, directory, &manifest, state, &index).await?;
                recovery::replay(&*disk, directory, manifest, loaded).await?
            }
        };
        if let Some(witness) = &options.witness {
            witness.replayed(recovered.last_frame, &recovered.state);
        }
        let archived = recovery::open_segments(disk.clone(), directory, &recovered).await?;
        // Not before all was judged: under a manifest that is not this directory's they may be what is wanted.
        recovery::remove_leftovers(&*disk, directory, &recovered.manifest).await?;
        Self::start(Starting { door, directory, options, lock, recovered, index, archived }).await
    }

    /// Begins a life behind what was recovered.
    async fn start(starting: Starting<'_>) -> Result<Arc<Self>, OpenError> {
        let Starting { door, directory, options, lock, mut recovered, index, archived } = starting;
        let disk = door.disk.clone();
        let (segments, archive) = archived;
        index.lock().end = LogEnd { life: recovered.end(), position: u64::MAX };
        let life = recovery::begin_life(&door, &mut recovered);
        let sizes = WalSizes {
            file_first: options.wal_file_bytes_first,
            file_max: options.wal_file_bytes_max,
            total_max: options.wal_bytes_max,
            frame_max: options.frame_bytes_max as u64,
        }
        .at_least_a_frame();
        let wal = recovery::wal_directory(directory);
        space::remove_small(&*disk, &wal, sizes, &mut recovered.files).await.map_err(io_at(&wal))?;
        let mut stored = recovered.manifest.store(&*disk, directory).await;
        // The log's spare files are what a full disk has in reserve.
        while stored.as_ref().is_err_and(is_full)
            && space::release_one(&*disk, &wal, sizes, &mut recovered.files).await.map_err(io_at(&wal))?
        {
            stored = recovered.manifest.store(&*disk, directory).await;
        }
        stored.map_err(io_at(directory))?;
        let space = Arc::new(Space::new(disk.clone(), &wal, sizes, recovered.files));
        space.ask().await;
        // On a full disk, what is there can still be read, and what frees space has the room of spare files.
        space.prepare().await.map_err(io_at(&wal))?;
        let memory = FrameMemory::new(options.tail_cache_bytes);
        let log = Log::new(LogParts {
            door: door.clone(),
            index: index.clone(),
            space,
            archive: archive.clone(),
            frame_bytes_max: options.frame_bytes_max,
            index_bytes_max: options.index_bytes_max,
            commit_by: options.commit_by,
            on_failure: options.on_failure,
            witness: options.witness,
            state: recovered.state,
            last_frame: recovered.last_frame,
            committer: Committer::new(life, recovered.next_sequence, recovered.last_crc, memory, lock),
        });
        door.tasks.dedicated(
            "kolk-log",
            Box::pin(log.clone().run_thread(options.seal_after, recovered.last_frame)),
        );
        let preparer = door.tasks.spawn("wal-files", Box::pin(keep_room(log.clone())));
        tracing::info!(
            directory = %directory.display(),
            data_format = DATA_FORMAT,
            position = recovered.last_frame,
            segments = recovered.manifest.segments.len(),
            "the log is open"
        );
        let cluster_id = uuid::Uuid::from_u128(recovered.manifest.cluster_id);
        let secret = recovered.manifest.secret;
        let rewriter = Arc::new(Rewriter {
            log: log.clone(),
            directory: directory.to_path_buf(),
            options: options.rewrite,
            segments,
            ledger: tokio::sync::Mutex::new(Ledger::new(recovered.manifest)),
        });
        let rewrite = door.tasks.spawn("rewrite", Box::pin(rewriter.clone().run()));
        let retention =
            door.tasks.spawn("retention", Box::pin(retention::run(log.clone(), options.retention_interval)));
        let reader = Arc::new(Reader::new(index, archive));
        Ok(Arc::new(LocalEngine {
            log,
            reader,
            rewriter,
            cluster_id,
            secret,
            tasks: vec![preparer, rewrite, retention],
            closed: tokio::sync::Mutex::new(false),
            backing_up: tokio::sync::Mutex::new(()),
        }))
    }

    /// The cluster's id: made at the first start, the directory's for ever.
    pub fn cluster_id(&self) -> uuid::Uuid {
        self.cluster_id
    }

    /// Whether appends are refused because the disk has no space left.
    pub fn is_disk_full(&self) -> bool {
        self.log.space.is_short()
    }

    /// A secret made at the first start, the directory's for ever: fit for a key.
    pub fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(&self.secret[0].to_be_bytes());
        secret[16..].copy_from_slice(&self.secret[1].to_be_bytes());
        secret
    }
}

/// What a life begins with.
struct Starting<'a> {
    door: Door,
    directory: &'a Path,
    options: LocalOptions,
    /// The directory's.
    lock: Box<dyn Send + Sync>,
    recovered: Recovered,
    index: Arc<Index>,
    archived: (Arc<Handles>, Arc<Archive>),
}

/// Keeps room for frames: makes further log files as they are wanted, gives spare ones back while the disk is full.
async fn keep_room(log: Arc<Log>) {
    loop {
        let prepared = async {
            if log.space.is_short() {
                log.space.set_live(log.index.lock().live_bytes());
            }
            let prepared = log.space.prepare().await?;
            loop {
                let surplus = {
                    let core = log.core();
                    log.space.surplus(core.queue())
                };
                let Some(surplus) = surplus else { return Ok::<_, std::io::Error>(prepared) };
                log.space.cut(surplus).await?;
            }
        };
        match prepared.await {
            Ok(prepared) => {
                log.space.tell();
                log.decide_waiting(&mut log.core());
                if prepared == Prepared::Rewrite || log.space.is_short() {
                    log.file_full.notify_one();
                }
                if log.space.is_short() {
                    if tokio::time::timeout(SHORT_INTERVAL, log.space.wanted()).await.is_err() {
                        log.space.forget_refused();
                    }
                } else {
                    log.space.wanted().await;
                }
            }
            Err(error) => {
                if log.device_failed("making a log file", &error) {
                    return;
                }
                tokio::time::sleep(SHORT_INTERVAL).await;
            }
        }
    }
}

/// How often a full disk is asked whether space came back.
const SHORT_INTERVAL: Duration = Duration::from_secs(1);

/// What readers may see of a partition once all that `state` has applied is durable.
fn publish_tuple(id: PartitionId, state: &State, out: &mut Vec<Publish>) {
    if let Some(partition) = state.partition(id) {
        let published = Published {
            log_start: partition.log_start,
            high_watermark: partition.next,
            last_stable: partition.next,
        };
        out.push(Publish::Tuple(id, published));
    }
}

/// What a decision that `state` has applied changes for readers.
fn publish_of(decision: &Decision, state: &State, out: &mut Vec<Publish>) {
    let mut tuple = |id: PartitionId| publish_tuple(id, state, out);
    match decision {
        Decision::CreateTopic { topic, .. } => {
            (0..topic.partitions).for_each(|index| tuple(PartitionId { topic: topic.id, index }));
        }
        Decision::Reshard(reshard) => {
            let partitions = state.topic(reshard.topic).map_or(0, |topic| topic.partitions);
            (0..partitions).for_each(|index| tuple(PartitionId { topic: reshard.topic, index }));
        }
        Decision::Trim { partition, .. } => tuple(*partition),
        Decision::DeleteTopic { topic, partitions, .. } => {
            let gone = (0..*partitions).map(|index| Publish::Gone(PartitionId { topic: *topic, index }));
            out.extend(gone);
        }
        Decision::Append(_)
        | Decision::AlterTopic { .. }
        | Decision::Tag { .. }
        | Decision::TakeProducerIds { .. }
        | Decision::ForgetProducers { .. }
        | Decision::StoreGroup { .. }
        | Decision::CommitOffsets { .. }
        | Decision::DeleteOffsets { .. }
        | Decision::DeleteGroup { .. }
        | Decision::ExpireOffsets { .. } => {}
    }
}

impl Engine for LocalEngine {
    fn append(&self, appends: Vec<Append>) -> Pending<Vec<Result<Appended, AppendError>>> {
        self.log.append(appends)
    }

    fn propose(&self, command: Command) -> Pending<Result<Outcome, Refusal>> {
        self.log.propose(command)
    }

    fn validate(&self, command: &Command) -> Pending<Result<Outcome, Refusal>> {
        let core = self.log.core();
        if let Some(reason) = &core.closed {
            return Pending::ready(Err(EngineError::Closed(reason.clone())));
        }
        let answer = core.state.decide(command).map(|(_, outcome)| outcome);
        let position = core.tail;
        drop(core);
        self.log.answer_at(position, answer)
    }

    fn with_state(&self, view: &mut dyn FnMut(&State)) -> Pending<()> {
        let core = self.log.core();
        view(&core.state);
        let position = core.tail;
        drop(core);
        self.log.answer_at(position, ())
    }

    fn read(
        &self,
        request: ReadRequest,
    ) -> BoxFuture<'_, Result<Vec<Result<PartitionRead, ReadError>>, EngineError>> {
        Box::pin(async move { self.reader.read(&request).await })
    }

    fn offset(
        &self,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> BoxFuture<'_, Result<Result<Option<FoundOffset>, ReadError>, EngineError>> {
        Box::pin(self.reader.offset(partition, query))
    }

    fn published(&self, partition: PartitionId) -> Option<Published> {
        self.reader.index.published(partition)
    }

    fn watch(&self, partitions: &[(PartitionId, Offset)]) -> BoxFuture<'static, ()> {
        let index = self.reader.index.clone();
        let partitions = partitions.to_vec();
        Box::pin(async move {
            let registration = index.wait_on(partitions.iter().map(|(partition, _)| *partition), 1);
            let newer = |(partition, seen): &(PartitionId, Offset)| {
                index.published(*partition).is_none_or(|now| now.high_watermark > *seen)
            };
            while !partitions.iter().any(newer) {
                registration.woken().await;
                registration.for_any();
            }
        })
    }

    fn size_bytes(&self, partition: PartitionId) -> u64 {
        self.reader.index.size_bytes(partition) + self.reader.archive.size_bytes(partition)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let mut closed = self.closed.lock().await;
            if *closed {
                return Ok(());
            }
            let position = {
                let mut core = self.log.core();
                core.close(CLOSED.into());
                core.tail
            };
            let durable = async {
                self.log.until_durable(position).await?;
                let seal = if position > 0 { self.log.push_seal() } else { 0 };
                self.log.until_durable(seal).await
            };
            let result = durable.await;
            // A backup notices, and removes what it has written.
            drop(self.backing_up.lock().await);
            // A round of the rewrite that is half way ends before somebody else may open the directory.
            let mut ledger = self.rewriter.ledger().await;
            // No further seal comes.
            self.log.stop();
            if let (Ok(ledger), Some(end)) = (&mut ledger, self.log.end().filter(|_| result.is_ok())) {
                self.rewriter.end_life(ledger, end).await;
            }
            self.stop();
            drop(ledger);
            *closed = true;
            result
        })
    }
}

/// Why a closed engine takes nothing.
const CLOSED: &str = "it was closed";

impl LocalEngine {
    fn stop(&self) {
        self.log.stop();
        for task in &self.tasks {
            task.abort();
        }
        // From here on nothing is written, and the directory's lock is free once nothing is being written.
        self.log.abandon(CLOSED.into());
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        self.stop();
    }
}
