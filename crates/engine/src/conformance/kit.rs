//! What cases are written with: batches, commands and reads in few words, and everything readable of an engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kolk_wire_kafka::records::record::decompressed;
use kolk_wire_kafka::records::{BatchBuilder, BatchHeader, Batches, Compression, RecordIter};

use super::{Harness, ManualClock};
use crate::contract::{
    Append, AppendError, Appended, Batch, BatchAt, Engine, EngineExt, FoundOffset, Isolation, OffsetQuery,
    PartitionRead, ProducerStamp, Published, Read, ReadError, ReadRequest,
};
use crate::state::{Command, CreateTopic, Lane, Outcome, Refusal, State, Topic};
use crate::types::{Offset, PartitionId, ShardId, TopicId};

/// Where the clock stands when a case begins, ms.
pub const START_MS: i64 = 1_700_000_000_000;

/// Longer than any wait in the suite may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A record to write: timestamp, key, value.
pub type NewRecord<'a> = (i64, Option<&'a [u8]>, &'a [u8]);

/// An engine under test.
pub struct Kit<'h> {
    harness: &'h dyn Harness,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    engine: Option<Arc<dyn Engine>>,
    topics: u128,
}

/// A batch of these records.
pub fn batch(records: &[NewRecord<'_>], producer: Option<ProducerStamp>, codec: Compression) -> Batch {
    let mut builder = BatchBuilder::new(codec);
    builder.producer = producer.map(|stamp| (stamp.id, stamp.epoch, stamp.base_sequence));
    for (timestamp_ms, key, value) in records {
        builder.append(*timestamp_ms, *key, Some(value), &[]);
    }
    let bytes = builder.build().expect("small batches can be compressed");
    let header = BatchHeader::parse(&bytes).expect("a batch that was just built");
    Batch {
        offset_count: header.last_offset_delta + 1,
        max_timestamp_ms: header.max_timestamp,
        base_timestamp_ms: header.base_timestamp,
        producer,
        has_keyless: records.iter().any(|(_, key, _)| key.is_none()),
        bytes,
    }
}

/// A batch of `count` keyed records of now, with this value in each.
pub fn simple(count: usize, value: &[u8]) -> Batch {
    let records: Vec<NewRecord<'_>> = vec![(START_MS, Some(b"key"), value); count];
    batch(&records, None, Compression::None)
}

/// A stamp of producer `id`.
pub fn stamp(id: i64, epoch: i16, base_sequence: i32) -> ProducerStamp {
    ProducerStamp { id, epoch, base_sequence }
}

/// `simple` with a producer's stamp.
pub fn stamped(count: usize, value: &[u8], producer: ProducerStamp) -> Batch {
    let records: Vec<NewRecord<'_>> = vec![(START_MS, Some(b"key"), value); count];
    batch(&records, Some(producer), Compression::None)
}

/// An append that names its partition.
pub fn to(partition: PartitionId, batch: Batch) -> Append {
    Append { partition, shard: None, batch }
}

/// An append that was routed to a shard.
pub fn routed(partition: PartitionId, shard: u32, batch: Batch) -> Append {
    Append { partition, shard: Some(ShardId(shard)), batch }
}

/// Configs from pairs.
pub fn configs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A read of one partition that does not wait.
pub fn read_of(partition: PartitionId, offset: i64, max_bytes: usize) -> ReadRequest {
    ReadRequest {
        reads: vec![Read { partition, offset: Offset(offset), max_bytes }],
        min_bytes: 0,
        max_bytes,
        max_wait_ms: 0,
        isolation: Isolation::ReadUncommitted,
        with_batches: true,
    }
}

/// A batch as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadBatch {
    /// Its header.
    pub header: BatchHeader,
    /// Where it stood and when it was appended; `None` if not asked for.
    pub at: Option<BatchAt>,
    /// Offset, timestamp and value of each record.
    pub records: Vec<(i64, i64, Vec<u8>)>,
    /// All of it.
    pub bytes: Bytes,
}

/// The batches of a read, each checked: CRC, offsets that ascend, positions that are where batches begin.
pub async fn batches_of(read: &PartitionRead) -> Vec<ReadBatch> {
    let mut batches: Vec<ReadBatch> = Vec::new();
    for piece in &read.pieces {
        let bytes = piece.bytes(0, piece.len()).await.expect("what was found can be read");
        let in_halves = [
            piece.bytes(0, piece.len() / 2).await.expect("the first half"),
            piece.bytes(piece.len() / 2, piece.len() - piece.len() / 2).await.expect("the second half"),
        ];
        assert_eq!(in_halves.concat(), bytes, "a piece reads the same in parts");
        let (mut position, mut told) = (0, piece.batches.iter());
        for found in Batches::new(bytes.clone()) {
            let (header, bytes) = found.expect("pieces hold whole batches");
            header.check_crc(&bytes).expect("the checksum holds");
            let at = told.next().copied();
            if let Some(at) = at {
                assert_eq!((at.base_offset.0, at.position), (header.base_offset, position));
            }
            position += bytes.len();
            let block = decompressed(&header, &bytes, 1 << 20).expect("it can be decompressed");
            let records = RecordIter::new(&header, &block).map(|record| {
                let record = record.expect("records can be decoded");
                (record.offset, record.timestamp, record.value.unwrap_or_default().to_vec())
            });
            let records = records.collect();
            if let Some(last) = batches.last() {
                assert!(last.header.last_offset() < header.base_offset, "offsets ascend");
            }
            batches.push(ReadBatch { header, at, records, bytes });
        }
        assert_eq!(position, bytes.len(), "pieces hold whole batches");
        assert!(told.next().is_none(), "no batch is told of that is not there");
    }
    batches
}

impl<'h> Kit<'h> {
    pub(super) async fn start(harness: &'h dyn Harness) -> Kit<'h> {
        let clock = ManualClock::new();
        let engine = harness.start(clock.clone()).await;
        Kit { harness, clock, engine: Some(engine), topics: 0 }
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_deref().expect("between start and end there is one")
    }

    /// Makes a topic; its name is `topic-N`.
    pub async fn topic(&mut self, partitions: i32, configs_of: &[(&str, &str)]) -> Arc<Topic> {
        self.topics += 1;
        let name = format!("topic-{}", self.topics);
        self.topic_named(&name, partitions, configs_of).await.expect("the topic can be made")
    }

    /// Makes a topic of this name.
    pub async fn topic_named(
        &mut self,
        name: &str,
        partitions: i32,
        configs_of: &[(&str, &str)],
    ) -> Result<Arc<Topic>, Refusal> {
        self.topics += 1;
        let create = CreateTopic {
            name: name.into(),
            id: TopicId(0xabc_0000_0000 + self.topics),
            partitions,
            configs: configs(configs_of),
            tags: BTreeMap::new(),
            now_ms: self.now_ms(),
        };
        match self.propose(Command::CreateTopic(create)).await? {
            Outcome::TopicCreated { topic } => Ok(topic),
            other => panic!("{other:?}"),
        }
    }

    /// The clock.
    pub fn now_ms(&self) -> i64 {
        use crate::door::Clock;
        self.clock.now_ms()
    }

    /// Proposes a command and waits for the answer.
    pub async fn propose(&self, command: Command) -> Result<Outcome, Refusal> {
        self.patient(self.engine().propose(command)).await.expect("the engine works")
    }

    /// Appends and waits for the answers.
    pub async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        self.patient(self.engine().append(appends)).await.expect("the engine works")
    }

    /// Appends one batch and waits for the answer.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.append_all(vec![append]).await.remove(0)
    }

    /// Reads and waits for the answer.
    pub async fn read(&self, request: ReadRequest) -> Vec<Result<PartitionRead, ReadError>> {
        self.patient(self.engine().read(request)).await.expect("the engine works")
    }

    /// All batches of a partition from an offset on, read page by page.
    pub async fn batches(&self, partition: PartitionId, from: i64) -> Vec<ReadBatch> {
        let (mut batches, mut next) = (Vec::new(), from);
        loop {
            let mut answers = self.read(read_of(partition, next, 64 << 10)).await;
            let page = batches_of(&answers.remove(0).expect("the partition can be read")).await;
            let Some(last) = page.last() else { return batches };
            next = last.header.next_offset();
            batches.extend(page);
        }
    }

    /// The values of a partition's records, as text.
    pub async fn values(&self, partition: PartitionId) -> Vec<String> {
        let from = self.published(partition).log_start.0;
        let batches = self.batches(partition, from).await;
        let records = batches.into_iter().flat_map(|batch| batch.records);
        records.map(|(_, _, value)| String::from_utf8_lossy(&value).into_owned()).collect()
    }

    /// What readers see of a partition.
    pub fn published(&self, partition: PartitionId) -> Published {
        self.engine().published(partition).expect("the partition is there")
    }

    /// Finds an offset.
    pub async fn offset(
        &self,
        partition: PartitionId,
        query: OffsetQuery,
    ) -> Result<Option<FoundOffset>, ReadError> {
        self.patient(self.engine().offset(partition, query)).await.expect("the engine works")
    }

    /// Looks at the state.
    pub async fn query<R: Send + 'static>(&self, view: impl FnOnce(&State) -> R) -> R {
        self.patient(self.engine().query(view)).await.expect("the engine works")
    }

    /// Waits for something that must come.
    pub async fn patient<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::time::timeout(PATIENCE, future).await.expect("it comes to an end")
    }

    /// Whether a future is still waiting after others had every chance to run.
    pub async fn is_waiting<F: Future + Unpin>(&self, future: &mut F) -> bool {
        for _ in 0..20 {
            tokio::select! {
                biased;
                _ = &mut *future => return false,
                () = tokio::task::yield_now() => {}
            }
        }
        true
    }

    /// The whole state, and everything that can be read, with what stands about it in indexes.
    pub async fn everything(&self) -> Everything {
        let state = self.query(|state| {
            let mut lanes = Vec::new();
            Lane::all().for_each(|lane| state.snapshot_lane(lane, &mut lanes));
            let partitions: Vec<PartitionId> =
                state.topics().flat_map(|topic| topic.partition_ids()).collect();
            (lanes, partitions)
        });
        let (lanes, partitions) = state.await;
        let mut read = BTreeMap::new();
        for id in partitions {
            let published = self.published(id);
            let batches = self.batches(id, published.log_start.0).await;
            let mut found = Vec::new();
            for query in [
                OffsetQuery::Earliest,
                OffsetQuery::Latest(Isolation::ReadCommitted),
                OffsetQuery::MaxTimestamp,
                OffsetQuery::Timestamp(START_MS),
                OffsetQuery::AppendTime(START_MS),
            ] {
                found.push(self.offset(id, query).await);
            }
            let batches = batches.into_iter().map(|batch| {
                // Which piece a batch lies in is the back end's affair.
                let at = batch.at.map(|at| at.append_ms);
                (batch.bytes, at)
            });
            read.insert(id, (published, batches.collect(), found));
        }
        Everything { lanes, read }
    }

    /// Ends the engine and opens it again; everything must be as it was. Nothing happens if it keeps nothing.
    pub async fn reopen_and_compare(&mut self, crash: bool) {
        if self.engine().append(Vec::new()).await.is_err() {
            return;
        }
        let before = self.everything().await;
        if self.reopen(crash).await {
            let after = self.everything().await;
            assert_eq!(before.read, after.read, "what can be read is the same, crash: {crash}");
            assert!(before.lanes == after.lanes, "the state is the same, crash: {crash}");
        }
    }

    /// Ends the engine and opens it again; whether it keeps anything. If not, it goes on.
    pub async fn reopen(&mut self, crash: bool) -> bool {
        if !self.harness.persists() {
            return false;
        }
        let engine = self.engine.take().expect("there is one");
        self.engine = Some(self.harness.reopen(engine, crash).await);
        true
    }

    pub(super) async fn end(self) {
        self.engine().close().await.expect("it closes");
    }
}

/// What was read of a partition: the tuple, batches with their append times, and looked-up offsets.
type ReadPartition = (Published, Vec<(Bytes, Option<i64>)>, Vec<Result<Option<FoundOffset>, ReadError>>);

/// Everything there is in an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Everything {
    lanes: Vec<u8>,
    read: BTreeMap<PartitionId, ReadPartition>,
}
