//! What is particular to memory; the contract itself is in the conformance suite.

use kolk_wire_kafka::records::{BatchBuilder, BatchHeader, Compression};

use super::*;
use crate::conformance::{self, Harness, ManualClock};
use crate::contract::{Batch, EngineExt};
use crate::defects::{Defect, plant};
use crate::door::real;
use crate::state::CreateTopic;
use crate::types::TopicId;

/// Memory keeps nothing: the suite does without reopening.
struct InMemory;

impl Harness for InMemory {
    fn start(&self, clock: Arc<ManualClock>) -> BoxFuture<'_, Arc<dyn Engine>> {
        let door = Door { clock, ..real::door(real::DiskOptions::default()) };
        Box::pin(
            async move { Arc::new(MemoryEngine::new(door, MemoryOptions::default())) as Arc<dyn Engine> },
        )
    }

    fn persists(&self) -> bool {
        false
    }

    fn reopen(&self, _: Arc<dyn Engine>, _: bool) -> BoxFuture<'_, Arc<dyn Engine>> {
        unreachable!("nothing persists")
    }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_contract() {
    conformance::run(&InMemory).await;
}

/// A simulation in one thread does not find this defect: between routing an append and deciding it nothing is awaited,
/// so that no reshard comes between them. The contract's suite puts one there.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "right: Err(Resharded")]
async fn a_fence_that_is_not_checked_breaks_the_contract() {
    let _planted = plant(Defect::FenceNotChecked);
    let name = "a_split_fences_what_was_routed_before_it";
    let fence = conformance::CASES.iter().find(|case| case.name == name).expect("the suite has it");
    fence.run(&InMemory).await;
}

const TOPIC: TopicId = TopicId(1);
const PARTITION: PartitionId = PartitionId { topic: TOPIC, index: 0 };

async fn engine(options: MemoryOptions, configs: &[(&str, &str)]) -> (MemoryEngine, Arc<ManualClock>) {
    let clock = ManualClock::new();
    clock.set(1_000_000);
    let door = Door { clock: clock.clone(), ..real::door(real::DiskOptions::default()) };
    let engine = MemoryEngine::new(door, options);
    let create = CreateTopic {
        name: "t".into(),
        id: TOPIC,
        partitions: 1,
        configs: configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        tags: Default::default(),
        now_ms: 0,
    };
    engine.propose(Command::CreateTopic(create)).await.unwrap().unwrap();
    (engine, clock)
}

async fn append(engine: &MemoryEngine, timestamp_ms: i64, bytes: usize) -> Result<Appended, AppendError> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(timestamp_ms, None, Some(&vec![7; bytes]), &[]);
    let bytes = builder.build().unwrap();
    let header = BatchHeader::parse(&bytes).unwrap();
    let batch = Batch {
        bytes,
        offset_count: 1,
        max_timestamp_ms: header.max_timestamp,
        base_timestamp_ms: header.base_timestamp,
        producer: None,
        has_keyless: true,
    };
    let append = Append { partition: PARTITION, shard: None, batch };
    engine.append(vec![append]).await.unwrap().remove(0)
}

fn log_start(engine: &MemoryEngine) -> i64 {
    engine.published(PARTITION).unwrap().log_start.0
}

#[tokio::test]
async fn retention_drops_what_is_old_and_what_is_too_much() {
    let configs = [("retention.ms", "1000"), ("retention.bytes", "1500000"), ("segment.bytes", "1048576")];
    let (engine, _) = engine(MemoryOptions::default(), &configs).await;
    for _ in 0..5 {
        append(&engine, 1_000_000, 600_000).await.unwrap();
    }
    engine.shared.lock().retain(1_001_000);
    assert_eq!(log_start(&engine), 2, "segments of one batch each go while 1.5 MB stay");
    assert!(engine.size_bytes(PARTITION) < 1_900_000);
    let freed = {
        let inner = engine.shared.lock();
        inner.bytes == inner.logs[&PARTITION].counted_bytes()
    };
    assert!(freed, "what is counted is what is there");
    engine.shared.lock().retain(1_001_001);
    assert_eq!((log_start(&engine), engine.shared.lock().bytes), (5, 0));
}

#[tokio::test]
async fn a_compacted_topic_is_kept_whole() {
    let configs = [("cleanup.policy", "compact"), ("retention.ms", "1"), ("retention.bytes", "1")];
    let (engine, _) = engine(MemoryOptions::default(), &configs).await;
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1_000_000, Some(b"k"), None, &[]);
    let batch = Batch {
        bytes: builder.build().unwrap(),
        offset_count: 1,
        max_timestamp_ms: 1_000_000,
        base_timestamp_ms: 1_000_000,
        producer: None,
        has_keyless: false,
    };
    let appended = engine.append(vec![Append { partition: PARTITION, shard: None, batch }]).await.unwrap();
    assert!(appended[0].is_ok());
    engine.shared.lock().retain(i64::MAX);
    assert_eq!(log_start(&engine), 0);
}

#[tokio::test]
async fn a_full_engine_refuses_and_heals_when_retention_finds_room() {
    let options = MemoryOptions { bytes_max: 4000, ..MemoryOptions::default() };
    let (engine, clock) = engine(options, &[("retention.ms", "1000")]).await;
    let mut taken = 0;
    let refused = loop {
        match append(&engine, 1_000_000, 500).await {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, AppendError::StorageFull);
    assert!((4..=7).contains(&taken), "{taken}");
    let next = engine.query(|state| state.partition(PARTITION).unwrap().next).await.unwrap();
    assert_eq!(next, Offset(taken), "a refused batch took no offset");

    clock.set(1_002_000);
    assert_eq!(append(&engine, 1_002_000, 500).await.unwrap().base_offset, Offset(taken));
    assert_eq!(log_start(&engine), taken);
}

#[tokio::test]
async fn who_gave_up_waiting_leaves_nothing_behind() {
    let (engine, _) = engine(MemoryOptions::default(), &[]).await;
    for _ in 0..3 {
        let watch = engine.watch(&[(PARTITION, Offset(0))]);
        tokio::select! {
            biased;
            () = watch => panic!("nothing was appended"),
            () = tokio::task::yield_now() => {}
        }
    }
    let inner = engine.shared.lock();
    assert!(inner.waiters.is_empty() && inner.logs[&PARTITION].waiters.is_empty());
}
