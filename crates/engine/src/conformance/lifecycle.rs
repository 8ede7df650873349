//! Closing, crashing, and what survives.

use std::collections::BTreeMap;

use super::kit::*;
use super::{Harness, ManualClock};
use crate::contract::{AppendError, Engine, EngineError, Isolation};
use crate::state::{Command, CreateTopic, Outcome, Refusal};
use crate::types::{Offset, PartitionId, TopicId};

pub(super) async fn a_closed_engine_refuses_work(kit: &mut Kit<'_>) {
    let topic = kit.topic(1, &[]).await;
    let p = PartitionId { topic: topic.id, index: 0 };
    // Decided before the close, not waited for.
    let pending = kit.engine().append(vec![to(p, simple(1, b"v"))]);
    kit.patient(kit.engine().close()).await.expect("it closes");
    kit.patient(kit.engine().close()).await.expect("closing twice is closing once");
    assert!(kit.patient(pending).await.expect("a close finishes what was decided")[0].is_ok());
    let refused = kit.patient(kit.engine().append(vec![to(p, simple(1, b"v"))])).await;
    assert!(matches!(refused, Err(EngineError::Closed(_))), "{refused:?}");
    let refused = kit.patient(kit.engine().propose(Command::AllocateProducerIds { count: 1 })).await;
    assert!(matches!(refused, Err(EngineError::Closed(_))), "{refused:?}");
    if kit.reopen(false).await {
        assert_eq!(kit.values(p).await, ["v"]);
    }
}

pub(super) async fn what_was_acknowledged_survives_a_crash(kit: &mut Kit<'_>) {
    let topic = kit.topic(3, &[]).await;
    let p = |index| PartitionId { topic: topic.id, index };
    let mut acknowledged = 0;
    for round in 0..6i64 {
        // Some answers are waited for, the last ones are not: those may be lost, but only from the end.
        for n in 0..5 {
            let value = format!("{}", round * 10 + n);
            let batch = stamped(1, value.as_bytes(), stamp(1, 0, (round * 10 + n) as i32));
            let appended = kit.append(to(p(0), batch)).await.expect("in sequence");
            acknowledged = appended.last_offset.0 + 1;
        }
        for n in 5..10 {
            let value = format!("{}", round * 10 + n);
            let batch = stamped(1, value.as_bytes(), stamp(1, 0, (round * 10 + n) as i32));
            drop(kit.engine().append(vec![to(p(0), batch)]));
        }
        if !kit.reopen(true).await {
            acknowledged = (round + 1) * 10;
        }
        let values = kit.values(p(0)).await;
        let expected: Vec<String> = (0..values.len()).map(|n| n.to_string()).collect();
        assert_eq!(values, expected, "dense, in order");
        assert!(values.len() as i64 >= acknowledged, "{} of {acknowledged}", values.len());
        // A producer that got no answer sends again, and every record is there once.
        for n in 0..10 {
            let sequence = round * 10 + n;
            if sequence < values.len() as i64 - 5 {
                continue;
            }
            let value = format!("{sequence}");
            let batch = stamped(1, value.as_bytes(), stamp(1, 0, sequence as i32));
            let appended = kit.append(to(p(0), batch)).await.expect("new or a retry");
            assert_eq!(appended.base_offset, Offset(sequence));
        }
    }
    assert_eq!(kit.values(p(0)).await.len(), 60);
}

/// A seeded writer whose engine may fail at any moment, and what it was promised.
#[derive(Debug)]
pub struct Survivor {
    seed: u64,
    /// Per partition, values in the order sent; as many as were acknowledged, and those that may be there.
    sent: BTreeMap<i32, Vec<String>>,
    acknowledged: BTreeMap<i32, usize>,
    next_producer_id: i64,
    topic_acknowledged: bool,
}

const TOPIC: TopicId = TopicId(0x5eed);
const PARTITIONS: i32 = 3;

/// Writes up to `steps` batches and commands, many at a time, until the engine fails or the steps are done; then
/// opens the data again (a crash) and checks what was acknowledged, some rounds over. The harness makes its disk
/// fail where it likes; as long as it does, the engine may answer with an error, and nothing else.
pub async fn survives(harness: &dyn Harness, seed: u64, rounds: usize, steps: usize) {
    assert!(harness.persists(), "what keeps nothing survives nothing");
    let clock = ManualClock::new();
    let mut engine = harness.start(clock.clone()).await;
    let mut survivor = Survivor {
        seed,
        sent: BTreeMap::new(),
        acknowledged: BTreeMap::new(),
        next_producer_id: 0,
        topic_acknowledged: false,
    };
    for _ in 0..rounds {
        harness.may_fail();
        survivor.write(&*engine, steps).await;
        engine = harness.reopen(engine, true).await;
        clock.advance(7);
        survivor.check(&*engine).await;
    }
    engine.close().await.expect("it closes");
}

impl Survivor {
    fn random(&mut self, below: u64) -> u64 {
        // SplitMix64.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.seed;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % below
    }

    async fn write(&mut self, engine: &dyn Engine, steps: usize) {
        if !self.topic_acknowledged {
            let create = CreateTopic {
                name: "survivor".into(),
                id: TOPIC,
                partitions: PARTITIONS,
                configs: BTreeMap::new(),
                tags: BTreeMap::new(),
                now_ms: START_MS,
            };
            // An earlier attempt may have succeeded without an answer.
            match engine.propose(Command::CreateTopic(create)).await {
                Ok(Err(Refusal::StorageFull)) | Err(_) => return,
                Ok(_) => self.topic_acknowledged = true,
            }
        }
        let mut step = 0;
        while step < steps {
            let together = 1 + self.random(8) as usize;
            let mut pending = Vec::new();
            for _ in 0..together {
                step += 1;
                if self.random(10) == 0 {
                    let count = 1 + self.random(5) as u32;
                    match engine.propose(Command::AllocateProducerIds { count }).await {
                        Ok(Ok(Outcome::ProducerIds { first, count })) => {
                            assert!(first >= self.next_producer_id, "no id is given twice");
                            self.next_producer_id = first + i64::from(count);
                        }
                        // A disk that fails may seem full first.
                        Ok(Err(Refusal::StorageFull)) | Err(_) => return,
                        Ok(other) => panic!("{other:?}"),
                    }
                }
                let index = self.random(PARTITIONS as u64) as i32;
                let size = self.random(3000) as usize;
                let sent = self.sent.entry(index).or_default();
                let value = format!("{index}-{}-{}", sent.len(), "x".repeat(size));
                let sequence = sent.len() as i32;
                sent.push(value.clone());
                let upto = sent.len();
                let batch = stamped(1, value.as_bytes(), stamp(i64::from(index), 0, sequence));
                let partition = PartitionId { topic: TOPIC, index };
                pending.push((index, upto, engine.append(vec![to(partition, batch)])));
            }
            // Answers are taken in any order; some never.
            while !pending.is_empty() {
                let at = self.random(pending.len() as u64) as usize;
                let (index, upto, answer) = pending.swap_remove(at);
                if self.random(6) == 0 {
                    continue;
                }
                match answer.await {
                    Ok(answers) => {
                        if answers[0] == Err(AppendError::StorageFull) {
                            return;
                        }
                        let appended = answers[0].as_ref().expect("in sequence");
                        assert_eq!(appended.last_offset, Offset(upto as i64 - 1));
                        let seen =
                            engine.published(PartitionId { topic: TOPIC, index }).expect("it is there");
                        assert!(
                            seen.high_watermark > appended.last_offset,
                            "readers see what was acknowledged"
                        );
                        let acknowledged = self.acknowledged.entry(index).or_default();
                        *acknowledged = (*acknowledged).max(upto);
                    }
                    Err(_) => return,
                }
            }
        }
    }

    /// Everything acknowledged is there, what else is there was sent in that order, and the rest was never.
    async fn check(&mut self, engine: &dyn Engine) {
        for index in 0..PARTITIONS {
            let partition = PartitionId { topic: TOPIC, index };
            let Some(published) = engine.published(partition) else {
                assert!(!self.topic_acknowledged, "the topic was acknowledged");
                continue;
            };
            self.topic_acknowledged = true;
            let mut values = Vec::new();
            while (values.len() as i64) < published.high_watermark.0 {
                let request = crate::contract::ReadRequest {
                    isolation: Isolation::ReadCommitted,
                    ..read_of(partition, values.len() as i64, 100_000)
                };
                let found = engine.read(request).await.expect("the engine works").remove(0);
                for batch in batches_of(&found.expect("it can be read")).await {
                    assert_eq!(batch.header.base_offset, values.len() as i64);
                    let records = batch.records.into_iter();
                    values.extend(records.map(|(_, _, value)| String::from_utf8_lossy(&value).into_owned()));
                }
            }
            let sent = self.sent.entry(index).or_default();
            let acknowledged = self.acknowledged.get(&index).copied().unwrap_or(0);
            assert!(values.len() >= acknowledged, "{} of {acknowledged} acknowledged", values.len());
            assert!(
                values.len() <= sent.len() && values == sent[..values.len()],
                "what is there was sent so"
            );
            // What is not there was never appended: it is sent again under the same sequences later.
            sent.truncate(values.len());
            self.acknowledged.insert(index, values.len());
        }
    }
}
