//! Appends: order, refusals, retries, times.

use kolk_wire_kafka::records::{Compression, TimestampType};

use super::kit::*;
use crate::contract::{AppendError, EngineExt, OffsetQuery};
use crate::state::Command;
use crate::types::{Offset, PartitionId, TopicId};

pub(super) async fn batches_take_dense_offsets_and_come_back_as_they_were(kit: &mut Kit<'_>) {
    let topic = kit.topic(3, &[]).await;
    let ids: Vec<PartitionId> = topic.partition_ids().collect();
    let mut next = [0i64; 3];
    let mut sent: [Vec<(i64, i32, Vec<u8>)>; 3] = Default::default();
    for round in 0..30usize {
        let index = (round * 7) % 3;
        let count = 1 + round % 4;
        let codec = if round % 5 == 0 { Compression::Gzip } else { Compression::None };
        let value = format!("{index}-{round}").into_bytes();
        let records: Vec<NewRecord<'_>> = vec![(START_MS + round as i64, Some(b"k"), &value); count];
        let batch = batch(&records, None, codec);
        // Behind base offset and leader epoch nothing of a batch changes.
        sent[index].push((next[index], count as i32, batch.bytes[16..].to_vec()));
        let appended = kit.append(to(ids[index], batch)).await.expect("it is taken");
        assert_eq!(appended.base_offset, Offset(next[index]));
        assert_eq!(appended.last_offset, Offset(next[index] + count as i64 - 1));
        assert_eq!((appended.append_ms, appended.log_append_time_ms), (START_MS, -1));
        assert_eq!((appended.log_start, appended.duplicate), (Offset(0), false));
        next[index] += count as i64;
    }
    for index in 0..3 {
        let batches = kit.batches(ids[index], 0).await;
        assert_eq!(batches.len(), sent[index].len());
        for (batch, (base, count, rest)) in batches.iter().zip(&sent[index]) {
            assert_eq!((batch.header.base_offset, batch.header.leader_epoch), (*base, 0));
            assert_eq!(batch.bytes[16..], rest[..]);
            assert_eq!(batch.records.len(), *count as usize);
            assert_eq!(batch.at.map(|at| at.append_ms), Some(START_MS));
        }
        assert_eq!(kit.published(ids[index]).high_watermark, Offset(next[index]));
        assert!(kit.engine().size_bytes(ids[index]) > 0);
    }
}

pub(super) async fn a_call_answers_in_order_and_its_batches_stand_alone(kit: &mut Kit<'_>) {
    let topic = kit.topic(2, &[]).await;
    let unknown = PartitionId { topic: TopicId(1), index: 0 };
    let beyond = PartitionId { topic: topic.id, index: 2 };
    let p = |index| PartitionId { topic: topic.id, index };
    let answers = kit
        .append_all(vec![
            to(p(0), simple(2, b"a")),
            to(unknown, simple(1, b"b")),
            to(p(0), simple(1, b"c")),
            to(beyond, simple(1, b"d")),
            to(p(1), simple(1, b"e")),
        ])
        .await;
    let bases: Vec<Result<i64, AppendError>> =
        answers.into_iter().map(|answer| answer.map(|appended| appended.base_offset.0)).collect();
    let refused = || Err(AppendError::UnknownPartition);
    assert_eq!(bases, [Ok(0), refused(), Ok(2), refused(), Ok(0)]);
    assert_eq!(kit.values(p(0)).await, ["a", "a", "c"]);
    assert!(kit.append_all(Vec::new()).await.is_empty());

    // Order of calls is order of offsets, however late the answers are taken.
    let pending: Vec<_> =
        (0..20).map(|n| kit.engine().append(vec![to(p(1), simple(1, format!("{n}").as_bytes()))])).collect();
    for (n, pending) in pending.into_iter().enumerate().rev() {
        let answer = kit.patient(pending).await.expect("the engine works").remove(0);
        assert_eq!(answer.expect("it is taken").base_offset, Offset(1 + n as i64));
    }
}

pub(super) async fn what_a_topic_does_not_take_is_refused_and_takes_no_offset(kit: &mut Kit<'_>) {
    let small = kit.topic(1, &[("max.message.bytes", "200")]).await;
    let p = PartitionId { topic: small.id, index: 0 };
    let large = simple(1, &[0; 300]);
    let size = large.bytes.len();
    assert_eq!(kit.append(to(p, large)).await, Err(AppendError::TooLarge { size, limit: 200 }));
    assert!(kit.append(to(p, simple(1, b"fits"))).await.is_ok());

    let compacted = kit.topic(1, &[("cleanup.policy", "compact")]).await;
    let p = PartitionId { topic: compacted.id, index: 0 };
    let keyless = || batch(&[(START_MS, None, b"v")], None, Compression::None);
    assert_eq!(kit.append(to(p, keyless())).await, Err(AppendError::Keyless));
    assert!(kit.append(to(p, simple(1, b"keyed"))).await.is_ok());
    assert_eq!(kit.published(p).high_watermark, Offset(1));

    let timed = kit
        .topic(1, &[("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "2000")]);
    let p = PartitionId { topic: timed.await.id, index: 0 };
    let at = |timestamp_ms| to(p, batch(&[(timestamp_ms, None, b"v")], None, Compression::None));
    for late_by in [-2000, 0, 1000] {
        assert!(kit.append(at(START_MS - late_by)).await.is_ok());
    }
    for late_by in [-2001, 1001] {
        let timestamp_ms = START_MS - late_by;
        assert_eq!(kit.append(at(timestamp_ms)).await, Err(AppendError::InvalidTimestamp { timestamp_ms }));
    }
    assert!(kit.append(at(-1)).await.is_ok(), "a record without a timestamp");
    assert_eq!(kit.published(p).high_watermark, Offset(4));
}

pub(super) async fn a_retry_gets_the_answer_of_the_first_time(kit: &mut Kit<'_>) {
    let topic = kit.topic(1, &[]).await;
    let p = PartitionId { topic: topic.id, index: 0 };
    let batch_at = |sequence| to(p, stamped(2, b"v", stamp(7, 0, sequence)));
    let mut answers = Vec::new();
    for n in 0..6 {
        kit.clock.advance(10);
        answers.push(kit.append(batch_at(2 * n)).await.expect("in sequence"));
    }
    for crash in [None, Some(false), Some(true)] {
        if let Some(crash) = crash {
            kit.reopen(crash).await;
        }
        kit.clock.advance(1000);
        for n in 1..6 {
            let again = kit.append(batch_at(2 * n)).await.expect("a retry is granted");
            let first = answers[n as usize];
            assert!(again.duplicate);
            assert_eq!((again.base_offset, again.last_offset), (first.base_offset, first.last_offset));
            assert_eq!((again.append_ms, again.log_append_time_ms), (first.append_ms, -1));
        }
        // Six batches ago is one more than is remembered.
        let refused = AppendError::OutOfOrderSequence { expected: 12, found: 0 };
        assert_eq!(kit.append(batch_at(0)).await, Err(refused));
        assert_eq!(kit.published(p).high_watermark, Offset(12));
    }
    // Both at once: the second one waits for the first one's bytes like everybody else.
    let first = kit.engine().append(vec![batch_at(12)]);
    let second = kit.engine().append(vec![batch_at(12)]);
    let second = kit.patient(second).await.expect("the engine works").remove(0).expect("a retry");
    assert!(second.duplicate);
    assert_eq!(kit.published(p).high_watermark, second.last_offset + 1);
    let first = kit.patient(first).await.expect("the engine works").remove(0).expect("in sequence");
    assert_eq!((first.duplicate, first.base_offset), (false, second.base_offset));
}

pub(super) async fn producers_follow_their_sequence_and_epoch(kit: &mut Kit<'_>) {
    let topic = kit.topic(2, &[]).await;
    let p = PartitionId { topic: topic.id, index: 0 };
    let send = |id, epoch, sequence, count| to(p, stamped(count, b"v", stamp(id, epoch, sequence)));
    let out_of_order = |expected, found| Err(AppendError::OutOfOrderSequence { expected, found });

    assert!(kit.append(send(1, 0, 0, 3)).await.is_ok());
    assert_eq!(kit.append(send(1, 0, 4, 1)).await, out_of_order(3, 4));
    assert_eq!(kit.append(send(1, 0, 2, 1)).await, out_of_order(3, 2));
    assert_eq!(kit.append(send(1, 0, 0, 2)).await, out_of_order(3, 0), "a retry is the same batch");
    assert!(kit.append(send(1, 0, 3, 1)).await.is_ok());

    // A new epoch begins at 0, and the old one is over.
    assert_eq!(kit.append(send(1, 2, 4, 1)).await, out_of_order(0, 4));
    assert!(kit.append(send(1, 2, 0, 1)).await.is_ok());
    let over = AppendError::InvalidProducerEpoch { current: 2, found: 0 };
    assert_eq!(kit.append(send(1, 0, 4, 1)).await, Err(over));

    // Nothing is known of these: wherever they go on is right (KIP-360).
    assert!(kit.append(send(2, 5, 100, 1)).await.is_ok());
    assert!(kit.append(send(3, 0, i32::MAX - 1, 3)).await.is_ok());
    assert_eq!(kit.append(send(3, 0, 0, 1)).await, out_of_order(1, 0), "the sequence wrapped to 0");
    assert!(kit.append(send(3, 0, 1, 1)).await.is_ok());
    let again = kit.append(send(3, 0, i32::MAX - 1, 3)).await.expect("a retry is granted");
    assert!(again.duplicate);

    // Each partition has its own sequences.
    let other = PartitionId { topic: topic.id, index: 1 };
    assert!(kit.append(to(other, stamped(1, b"v", stamp(1, 0, 0)))).await.is_ok());

    // A producer that was forgotten may go on, too.
    let done = kit.propose(Command::ExpireProducers { before_ms: START_MS + 1, from: None }).await;
    assert_eq!(done, Ok(crate::state::Outcome::ProducersExpired { next: None }));
    assert_eq!(kit.query(|state| state.producer_count()).await, 0);
    assert!(kit.append(send(1, 0, 77, 1)).await.is_ok());
}

pub(super) async fn append_time_never_goes_back(kit: &mut Kit<'_>) {
    let topic = kit.topic(3, &[]).await;
    let p = PartitionId { topic: topic.id, index: 0 };
    let mut times = Vec::new();
    for (now_ms, expected_ms) in [(0, 0), (50, 50), (20, 50), (60, 60), (-5000, 60), (60, 60), (90, 90)] {
        kit.clock.set(START_MS + now_ms);
        let appended = kit.append(to(p, simple(2, b"v"))).await.expect("it is taken");
        assert_eq!(appended.append_ms, START_MS + expected_ms);
        times.push(Some(appended.append_ms));
    }
    let first = |index| to(PartitionId { topic: topic.id, index }, simple(1, b"v"));
    kit.clock.set(START_MS + 10);
    let appended = kit.append(first(1)).await.expect("it is taken");
    assert_eq!(appended.append_ms, START_MS + 10, "each partition has its own last time");
    kit.clock.set(START_MS - 1);
    let appended = kit.append(first(2)).await.expect("it is taken");
    assert_eq!(appended.append_ms, topic.created_ms, "nothing arrives before its shard opened");

    for crash in [None, Some(false), Some(true)] {
        if let Some(crash) = crash {
            kit.reopen(crash).await;
        }
        let batches = kit.batches(p, 0).await;
        let told: Vec<_> = batches.iter().map(|batch| batch.at.map(|at| at.append_ms)).collect();
        assert_eq!(told, times);
        for (at_ms, found) in
            [(0, Some((0, 0))), (1, Some((2, 50))), (51, Some((6, 60))), (90, Some((12, 90))), (91, None)]
        {
            let query = OffsetQuery::AppendTime(START_MS + at_ms);
            let answer = kit.offset(p, query).await.expect("the partition is there");
            let answer = answer.map(|answer| (answer.offset.0, answer.timestamp_ms - START_MS));
            assert_eq!(answer, found, "at or after {at_ms}");
        }
    }
    let appended = kit.append(to(p, simple(1, b"v"))).await.expect("it is taken");
    assert_eq!(appended.append_ms, START_MS + 90, "kept over reopening");
}

pub(super) async fn log_append_time_is_stamped_before_anyone_sees_the_batch(kit: &mut Kit<'_>) {
    let topic = kit.topic(1, &[("message.timestamp.type", "LogAppendTime")]).await;
    let p = PartitionId { topic: topic.id, index: 0 };
    kit.clock.advance(5);
    let old = [(12, None, &b"a"[..]), (START_MS * 2, None, &b"b"[..])];
    for codec in [Compression::None, Compression::Lz4] {
        let appended = kit.append(to(p, batch(&old, None, codec))).await.expect("any timestamp is taken");
        assert_eq!(appended.log_append_time_ms, START_MS + 5);
        assert_eq!(appended.append_ms, START_MS + 5);
    }
    for batch in kit.batches(p, 0).await {
        assert_eq!(batch.header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(batch.header.max_timestamp, START_MS + 5);
        assert!(batch.records.iter().all(|(_, timestamp_ms, _)| *timestamp_ms == START_MS + 5));
    }
    let found = kit.offset(p, OffsetQuery::Timestamp(START_MS)).await.expect("the partition is there");
    assert_eq!(found.map(|found| (found.offset.0, found.timestamp_ms)), Some((0, START_MS + 5)));
    let found = kit.offset(p, OffsetQuery::MaxTimestamp).await.expect("the partition is there");
    assert_eq!(found.map(|found| (found.offset.0, found.timestamp_ms)), Some((0, START_MS + 5)));
}

pub(super) async fn replies_may_be_dropped(kit: &mut Kit<'_>) {
    let topic = kit.topic(1, &[]).await;
    let p = PartitionId { topic: topic.id, index: 0 };
    for n in 0..10 {
        drop(kit.engine().append(vec![to(p, simple(1, format!("{n}").as_bytes()))]));
        drop(kit.engine().propose(Command::AllocateProducerIds { count: 10 }));
    }
    let appended = kit.append(to(p, simple(1, b"last"))).await.expect("it is taken");
    assert_eq!(appended.base_offset, Offset(10));
    let values = kit.values(p).await;
    assert_eq!(values.len(), 11);
    assert_eq!((&*values[0], &*values[10]), ("0", "last"));
    let ids = kit.propose(Command::AllocateProducerIds { count: 1 }).await;
    assert_eq!(ids, Ok(crate::state::Outcome::ProducerIds { first: 100, count: 1 }));
}

pub(super) async fn a_reply_means_that_readers_see_it(kit: &mut Kit<'_>) {
    let topic = kit.topic(4, &[]).await;
    let ids: Vec<PartitionId> = topic.partition_ids().collect();
    for round in 0..5i64 {
        let pending: Vec<_> =
            ids.iter().map(|id| kit.engine().append(vec![to(*id, simple(1, b"v"))])).collect();
        // The state's tail runs ahead of what readers see, and looking at it waits until it does not.
        let seen = kit.engine().query(move |state| {
            let next = |id| state.partition(id).map(|partition| partition.next);
            (0..4).map(|index| next(PartitionId { topic: topic_id(state), index })).collect::<Vec<_>>()
        });
        let seen = kit.patient(seen).await.expect("the engine works");
        assert_eq!(seen, vec![Some(Offset(round + 1)); 4]);
        for id in &ids {
            assert_eq!(kit.published(*id).high_watermark, Offset(round + 1));
            let found = kit.read(read_of(*id, round, 1000)).await.remove(0).expect("it can be read");
            assert_eq!(batches_of(&found).await.len(), 1);
        }
        for pending in pending {
            kit.patient(pending).await.expect("the engine works").remove(0).expect("it is taken");
        }
    }
}

fn topic_id(state: &crate::state::State) -> TopicId {
    state.topics().next().expect("there is one topic").id
}
