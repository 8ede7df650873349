//! Reads, long polls, looking up offsets, watching.

use kolk_wire_kafka::records::Compression;

use super::kit::*;
use crate::contract::{Isolation, OffsetQuery, Read, ReadError, ReadRequest};
use crate::state::{Command, TrimBy};
use crate::types::{Offset, PartitionId, TopicId};

/// A topic with one partition.
async fn one(kit: &mut Kit<'_>) -> PartitionId {
    PartitionId { topic: kit.topic(1, &[]).await.id, index: 0 }
}

/// A request that waits.
fn waiting(partitions: &[(PartitionId, i64)], min_bytes: usize) -> ReadRequest {
    let read = |(partition, offset): &(PartitionId, i64)| Read {
        partition: *partition,
        offset: Offset(*offset),
        max_bytes: 1 << 20,
    };
    ReadRequest {
        reads: partitions.iter().map(read).collect(),
        min_bytes,
        max_bytes: 1 << 20,
        max_wait_ms: 50_000,
        isolation: Isolation::ReadUncommitted,
        with_batches: false,
    }
}

pub(super) async fn a_read_returns_whole_batches_from_the_one_that_contains_the_offset(kit: &mut Kit<'_>) {
    let p = one(kit).await;
    for n in 0..4 {
        kit.append(to(p, simple(3, format!("{n}").as_bytes()))).await.expect("it is taken");
    }
    for offset in 0..12 {
        let found = kit.read(read_of(p, offset, 1 << 20)).await.remove(0).expect("it can be read");
        let batches = batches_of(&found).await;
        let bases: Vec<i64> = batches.iter().map(|batch| batch.header.base_offset).collect();
        assert_eq!(bases, (offset / 3..4).map(|n| 3 * n).collect::<Vec<_>>());
        assert_eq!(found.published, kit.published(p));
        assert!(found.aborted.is_empty() && !found.is_empty());
    }
    let mut request = read_of(p, 4, 1 << 20);
    request.with_batches = false;
    let found = kit.read(request).await.remove(0).expect("it can be read");
    assert!(found.pieces.iter().all(|piece| piece.batches.is_empty()), "they were not asked for");
    let found = kit.read(read_of(p, 12, 1 << 20)).await.remove(0).expect("the end can be read");
    assert!(found.is_empty());
}

pub(super) async fn limits_are_soft_for_the_first_batch_only(kit: &mut Kit<'_>) {
    let topic = kit.topic(3, &[]).await;
    let p = |index| PartitionId { topic: topic.id, index };
    let batch = simple(1, &[7; 100]);
    let size = batch.bytes.len();
    for index in [1, 2] {
        for _ in 0..4 {
            kit.append(to(p(index), batch.clone())).await.expect("it is taken");
        }
    }
    let counts = async |kit: &Kit<'_>, total: usize, each: usize| {
        let reads = (0..3).map(|index| Read { partition: p(index), offset: Offset(0), max_bytes: each });
        let request = ReadRequest { reads: reads.collect(), max_bytes: total, ..read_of(p(0), 0, 0) };
        let mut counts = Vec::new();
        for answer in kit.read(request).await {
            counts.push(batches_of(&answer.expect("it can be read")).await.len());
        }
        counts
    };
    assert_eq!(counts(kit, 10_000, 10_000).await, [0, 4, 4]);
    assert_eq!(counts(kit, 10_000, 2 * size).await, [0, 2, 2]);
    assert_eq!(counts(kit, 10_000, 3 * size - 1).await, [0, 2, 2], "never a part of a batch");
    assert_eq!(counts(kit, 5 * size, 10_000).await, [0, 4, 1]);
    assert_eq!(counts(kit, 10, 10).await, [0, 1, 0], "the first batch of all is whole");
    assert_eq!(counts(kit, 10_000, 10).await, [0, 1, 0], "and only that one");
    assert_eq!(counts(kit, 0, 0).await, [0, 1, 0]);
}

pub(super) async fn offsets_out_of_range_are_told_at_once(kit: &mut Kit<'_>) {
    let p = one(kit).await;
    for _ in 0..3 {
        kit.append(to(p, simple(2, b"v"))).await.expect("it is taken");
    }
    let trim = Command::Trim { partition: p, to: Some(Offset(3)), by: TrimBy::Client };
    kit.propose(trim).await.expect("it can be trimmed");
    let published = kit.published(p);
    let gone = PartitionId { topic: TopicId(1), index: 0 };
    for (partition, offset, error) in [
        (p, 2, ReadError::OffsetOutOfRange { offset: Offset(2), published }),
        (p, 7, ReadError::OffsetOutOfRange { offset: Offset(7), published }),
        (p, -1, ReadError::OffsetOutOfRange { offset: Offset(-1), published }),
        (gone, 0, ReadError::UnknownPartition),
        (PartitionId { index: 1, ..p }, 0, ReadError::UnknownPartition),
    ] {
        // Together with one that would wait for ever.
        let answers = kit.read(waiting(&[(p, 6), (partition, offset)], 1)).await;
        assert_eq!(answers[1].as_ref().err(), Some(&error));
        assert!(answers[0].as_ref().is_ok_and(|found| found.is_empty()));
    }
    assert_eq!(kit.offset(gone, OffsetQuery::Earliest).await, Err(ReadError::UnknownPartition));
    assert_eq!(kit.engine().published(gone), None);
    assert_eq!(kit.engine().size_bytes(gone), 0);
}

pub(super) async fn a_read_waits_for_bytes(kit: &mut Kit<'_>) {
    let topic = kit.topic(2, &[]).await;
    let p = |index| PartitionId { topic: topic.id, index };
    let batch = simple(1, &[7; 100]);
    let size = batch.bytes.len();

    let mut read = kit.engine().read(waiting(&[(p(0), 0), (p(1), 0)], 1));
    assert!(kit.is_waiting(&mut read).await);
    kit.append(to(p(1), batch.clone())).await.expect("it is taken");
    let answers = kit.patient(read).await.expect("the engine works");
    let lens: Vec<usize> =
        answers.iter().map(|answer| answer.as_ref().map_or(0, |found| found.len())).collect();
    assert_eq!(lens, [0, size]);

    // Bytes of all partitions count together.
    let mut read = kit.engine().read(waiting(&[(p(0), 0), (p(1), 1)], 3 * size));
    for index in [0, 1] {
        assert!(kit.is_waiting(&mut read).await);
        kit.append(to(p(index), batch.clone())).await.expect("it is taken");
    }
    assert!(kit.is_waiting(&mut read).await);
    kit.append(to(p(0), batch.clone())).await.expect("it is taken");
    let answers = kit.patient(read).await.expect("the engine works");
    let total: usize = answers.iter().map(|answer| answer.as_ref().map_or(0, |found| found.len())).sum();
    assert_eq!(total, 3 * size);

    // More than the limits let through is not waited for; nor is anything with no minimum.
    let request = ReadRequest { max_bytes: size, ..waiting(&[(p(0), 0)], 100 * size) };
    assert_eq!(kit.read(request).await[0].as_ref().map(|found| found.len()), Ok(size));
    let answers = kit.read(waiting(&[(p(0), 2)], 0)).await;
    assert!(answers[0].as_ref().is_ok_and(|found| found.is_empty()));

    // Many wait for the same.
    let mut readers: Vec<_> = (0..10).map(|_| kit.engine().read(waiting(&[(p(1), 2)], 1))).collect();
    for reader in &mut readers {
        assert!(kit.is_waiting(reader).await);
    }
    kit.append(to(p(1), batch)).await.expect("it is taken");
    for reader in readers {
        let answers = kit.patient(reader).await.expect("the engine works");
        assert_eq!(answers[0].as_ref().map(|found| found.len()), Ok(size));
    }
}

pub(super) async fn a_read_ends_when_its_time_is_up(kit: &mut Kit<'_>) {
    let p = one(kit).await;
    let size = kit_append(kit, p).await;
    let request = ReadRequest { max_wait_ms: 20, ..waiting(&[(p, 0)], 10_000) };
    let answers = kit.read(request).await;
    assert_eq!(answers[0].as_ref().map(|found| found.len()), Ok(size), "what is there is given");
    let request = ReadRequest { max_wait_ms: 20, ..waiting(&[(p, 1)], 1) };
    assert!(kit.read(request).await[0].as_ref().is_ok_and(|found| found.is_empty()));
    assert!(kit.read(ReadRequest { reads: Vec::new(), max_wait_ms: 20, ..waiting(&[], 1) }).await.is_empty());
}

async fn kit_append(kit: &Kit<'_>, p: PartitionId) -> usize {
    let batch = simple(1, b"v");
    let size = batch.bytes.len();
    kit.append(to(p, batch)).await.expect("it is taken");
    size
}

pub(super) async fn deleting_a_topic_ends_waiting_reads(kit: &mut Kit<'_>) {
    let (p, other) = (one(kit).await, one(kit).await);
    let mut read = kit.engine().read(waiting(&[(other, 0), (p, 0)], 1));
    let mut watch = kit.engine().watch(&[(p, Offset(0))]);
    assert!(kit.is_waiting(&mut read).await && kit.is_waiting(&mut watch).await);
    kit.propose(Command::DeleteTopic { topic: p.topic }).await.expect("it can be deleted");
    let answers = kit.patient(read).await.expect("the engine works");
    assert!(answers[0].is_ok());
    assert_eq!(answers[1].as_ref().err(), Some(&ReadError::UnknownPartition));
    kit.patient(watch).await;
    assert_eq!(kit.engine().published(p), None);
}

pub(super) async fn waiting_reads_may_be_dropped(kit: &mut Kit<'_>) {
    let p = one(kit).await;
    for _ in 0..20 {
        let mut read = kit.engine().read(waiting(&[(p, 0)], 1));
        let mut watch = kit.engine().watch(&[(p, Offset(0))]);
        assert!(kit.is_waiting(&mut read).await && kit.is_waiting(&mut watch).await);
    }
    kit_append(kit, p).await;
    assert_eq!(kit.values(p).await, ["v"]);
}

pub(super) async fn both_isolations_see_what_is_committed(kit: &mut Kit<'_>) {
    let p = one(kit).await;
    kit_append(kit, p).await;
    let published = kit.published(p);
    assert_eq!(published.last_stable, published.high_watermark, "there is no open transaction");
    for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
        let answers = kit.read(ReadRequest { isolation, ..read_of(p, 0, 1000) }).await;
        assert_eq!(batches_of(answers[0].as_ref().expect("it can be read")).await.len(), 1);
        let latest = kit.offset(p, OffsetQuery::Latest(isolation)).await;
        assert_eq!(
            latest.map(|found| found.map(|found| (found.offset.0, found.timestamp_ms))),
            Ok(Some((1, -1)))
        );
    }
}

pub(super) async fn offsets_are_found_by_time(kit: &mut Kit<'_>) {
    find_by_time(kit, Compression::None).await;
}

pub(super) async fn offsets_of_compressed_batches_are_found_by_time(kit: &mut Kit<'_>) {
    find_by_time(kit, Compression::Snappy).await;
}

async fn find_by_time(kit: &mut Kit<'_>, codec: Compression) {
    let p = one(kit).await;
    for query in [OffsetQuery::Timestamp(0), OffsetQuery::MaxTimestamp, OffsetQuery::AppendTime(0)] {
        assert_eq!(kit.offset(p, query).await, Ok(None), "nothing is there");
    }
    assert_eq!(
        kit.offset(p, OffsetQuery::Earliest).await.map(|found| found.map(|f| f.offset.0)),
        Ok(Some(0))
    );

    // Timestamps out of order within and over batches.
    for times in [&[10i64, 30, 20][..], &[5, 15], &[50, 40, 50], &[45]] {
        let records: Vec<NewRecord<'_>> =
            times.iter().map(|time| (START_MS + time, None, &b"v"[..])).collect();
        kit.append(to(p, batch(&records, None, codec))).await.expect("it is taken");
    }
    let found = async |kit: &Kit<'_>, query| {
        let found = kit.offset(p, query).await.expect("the partition is there");
        found.map(|found| (found.offset.0, found.timestamp_ms - START_MS))
    };
    let all = [
        (0, Some((0, 10))),
        (10, Some((0, 10))),
        (11, Some((1, 30))),
        (31, Some((5, 50))),
        (50, Some((5, 50))),
        (51, None),
    ];
    for crash in [None, Some(false), Some(true)] {
        if let Some(crash) = crash {
            kit.reopen(crash).await;
        }
        for (at_ms, expected) in all {
            let query = OffsetQuery::Timestamp(START_MS + at_ms);
            assert_eq!(found(kit, query).await, expected, "at or after {at_ms}");
        }
        assert_eq!(found(kit, OffsetQuery::MaxTimestamp).await, Some((5, 50)), "the first of two");
    }

    // Records before the log start are not found, though their batch is still there.
    let trim = Command::Trim { partition: p, to: Some(Offset(6)), by: TrimBy::Client };
    kit.propose(trim).await.expect("it can be trimmed");
    for (at_ms, expected) in [(0, Some((6, 40))), (41, Some((7, 50))), (51, None)] {
        let query = OffsetQuery::Timestamp(START_MS + at_ms);
        assert_eq!(found(kit, query).await, expected, "at or after {at_ms}, from 6 on");
    }
    assert_eq!(found(kit, OffsetQuery::MaxTimestamp).await, Some((7, 50)));
    assert_eq!(
        kit.offset(p, OffsetQuery::Earliest).await.map(|found| found.map(|f| f.offset.0)),
        Ok(Some(6))
    );
    let appended = kit.offset(p, OffsetQuery::AppendTime(0)).await.expect("the partition is there");
    assert_eq!(appended.map(|found| (found.offset.0, found.timestamp_ms)), Some((6, START_MS)));
}

pub(super) async fn watch_tells_of_news(kit: &mut Kit<'_>) {
    let topic = kit.topic(2, &[]).await;
    let p = |index| PartitionId { topic: topic.id, index };
    let mut watch = kit.engine().watch(&[(p(0), Offset(0)), (p(1), Offset(0))]);
    assert!(kit.is_waiting(&mut watch).await);
    kit_append(kit, p(1)).await;
    kit.patient(watch).await;

    kit.patient(kit.engine().watch(&[(p(0), Offset(0)), (p(1), Offset(0))])).await;
    let mut watch = kit.engine().watch(&[(p(0), Offset(0)), (p(1), Offset(1))]);
    assert!(kit.is_waiting(&mut watch).await, "what was seen is no news");
    kit_append(kit, p(0)).await;
    kit.patient(watch).await;
    let gone = PartitionId { topic: TopicId(1), index: 0 };
    kit.patient(kit.engine().watch(&[(gone, Offset(0))])).await;
}
