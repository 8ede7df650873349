//! Putting, reading and following shards, over the real state machine.

mod life;
mod log;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::{Bytes, BytesMut};
use kolk_engine::door::{Door, real};
use kolk_engine::state::{Command, ConfigChange, ConfigOp, Outcome, Refusal, Reshard, TrimBy};
use kolk_engine::{Append, AppendError, Appended, Batch, Engine, HashRange, Offset, PartitionId};
use kolk_wire_kafka::records::batch::HEADER_BYTES;
use kolk_wire_kafka::records::{BatchBuilder, BatchHeader, Compression};

use super::*;
use crate::streams::NewStream;
use crate::{Settings, streams};
use log::{Log, TestClock};

const START_MS: i64 = 1_700_000_000_000;
const PAGE: PageLimits = PageLimits { records: 10_000, bytes: 10 << 20 };

/// A stream `s` on a log of its own.
struct World {
    engine: Arc<dyn Engine>,
    clock: Arc<TestClock>,
    shards: Shards,
    topic: TopicId,
}

/// The machine, with a wall clock that the test moves.
fn door() -> (Door, Arc<TestClock>) {
    let clock = Arc::new(TestClock(AtomicI64::new(START_MS)));
    let mut door = real::door(real::DiskOptions::default());
    door.clock = clock.clone();
    (door, clock)
}

impl World {
    async fn new(shard_count: i32) -> (World, Arc<Log>) {
        let (door, clock) = door();
        let log = Arc::new(Log::new(Arc::clone(&clock)));
        (World::over(log.clone(), door, clock, shard_count).await, log)
    }

    async fn over(engine: Arc<dyn Engine>, door: Door, clock: Arc<TestClock>, shard_count: i32) -> World {
        let broker = Broker::new(engine.clone(), door, Settings::default());
        let created =
            streams::create(&broker, "s", NewStream { shards: Some(shard_count), ..Default::default() })
                .await
                .unwrap();
        let Ok(Outcome::TopicCreated { topic }) = created else { panic!("{created:?}") };
        World { engine, clock, shards: Shards::new(broker), topic: topic.id }
    }

    /// Appends without a shard, as Kafka does: the bytes as they are, whatever they hold.
    async fn write(&self, index: i32, bytes: Bytes, count: i32) -> Result<Appended, AppendError> {
        let batch = Batch {
            bytes,
            offset_count: count,
            max_timestamp_ms: -1,
            base_timestamp_ms: -1,
            producer: None,
            has_keyless: false,
        };
        let append = Append { partition: self.partition(index), shard: None, batch };
        self.engine.append(vec![append]).await.unwrap().remove(0)
    }

    fn tick(&self, by_ms: i64) {
        self.clock.0.fetch_add(by_ms, Ordering::Relaxed);
    }

    fn partition(&self, index: i32) -> PartitionId {
        PartitionId { topic: self.topic, index }
    }

    fn undecodable(&self) -> u64 {
        self.shards.broker.undecodable().batches.get()
    }

    async fn stream(&self) -> Stream {
        self.shards.stream("s").await.unwrap()
    }

    async fn shard(&self, id: u32) -> Shard {
        *self.stream().await.shard(ShardId(id)).unwrap()
    }

    /// A command that overtakes puts: they go on by routes from before.
    async fn overtake(&self, command: Command) -> Result<Outcome, Refusal> {
        let done = self.engine.propose(command).await.unwrap();
        let epoch = self.shards.broker.catalogue_epoch();
        for route in self.shards.routes.lock().unwrap().values_mut() {
            Arc::make_mut(route).epoch = epoch;
        }
        done
    }

    async fn reshard(&self, how: Reshard) -> Result<(), Refusal> {
        let now_ms = self.shards.broker.now_ms();
        self.overtake(Command::Reshard { topic: self.topic, how, now_ms }).await.map(|_| ())
    }

    async fn split(&self, shard: u32) {
        let HashRange { start, end } = self.shard(shard).await.range;
        let how = Reshard::Split { shard: ShardId(shard), at: start + (end - start) / 2 + 1 };
        self.reshard(how).await.unwrap();
    }

    async fn put(&self, hash: u128, data: &[u8]) -> Placed {
        let put = Put { hash, key: Bytes::from_static(b"k"), data: Bytes::copy_from_slice(data) };
        self.shards.put("s", &[put]).await.unwrap().remove(0).unwrap()
    }

    async fn read(&self, shard: u32, from: i64) -> ShardPage {
        self.shards.read(self.topic, ShardId(shard), Offset(from), PAGE).await.unwrap()
    }

    async fn seek(&self, shard: u32, seek: Seek) -> i64 {
        let stream = self.stream().await;
        self.shards.seek(&stream, stream.shard(ShardId(shard)).unwrap(), seek).await.unwrap().0
    }
}

fn offsets(page: &ShardPage) -> Vec<i64> {
    page.records.iter().map(|record| record.offset.0).collect()
}

fn batch(compression: Compression, values: &[&[u8]]) -> (Bytes, i32) {
    let mut builder = BatchBuilder::new(compression);
    for value in values {
        builder.append(5, Some(b"key"), Some(value), &[]);
    }
    (builder.build().unwrap(), values.len() as i32)
}

fn put(hash: u128, size: usize) -> Put {
    Put { hash, key: Bytes::from_static(b"key"), data: Bytes::from(vec![b'x'; size]) }
}

#[tokio::test]
async fn a_put_names_its_record_as_reading_does() {
    let (world, _) = World::new(2).await;
    let first = world.put(0, b"low").await;
    world.tick(1500);
    let second = world.put(u128::MAX, b"high").await;
    let third = world.put(7, b"low again").await;
    assert_eq!((first.shard, first.offset, first.append_ms), (ShardId(0), Offset(0), START_MS));
    assert_eq!((second.shard, second.offset, second.append_ms), (ShardId(1), Offset(0), START_MS + 1500));
    assert_eq!((third.shard, third.offset), (ShardId(0), Offset(1)));

    let page = world.read(0, 0).await;
    assert_eq!(offsets(&page), [0, 1]);
    assert_eq!(page.records[0].append_ms, first.append_ms);
    assert_eq!(page.records[1].value.as_deref(), Some(&b"low again"[..]));
    assert_eq!((page.next, page.behind_ms, page.end), (Offset(2), 0, None));
    assert_eq!(page.shard.create_second, first.create_second);
}

#[tokio::test]
async fn many_records_become_few_batches_and_a_large_one_stands_alone() {
    let (world, log) = World::new(2).await;
    let mut puts: Vec<Put> = (0..500).map(|n| put(u128::from(n % 2 == 0) << 127, 1024)).collect();
    puts.push(put(0, (1 << 20) - 3));
    puts.push(put(0, 1));
    let placed = world.shards.put("s", &puts).await.unwrap();
    assert_eq!(placed.len(), 502);
    for (n, placed) in placed.iter().enumerate().take(500) {
        let placed = placed.as_ref().unwrap();
        assert_eq!((placed.shard.0, placed.offset.0), (u32::from(n % 2 == 0), n as i64 / 2));
    }
    assert_eq!(placed[500].as_ref().unwrap().offset, Offset(250));
    assert_eq!(placed[501].as_ref().unwrap().offset, Offset(251));
    assert_eq!(log.batches(world.partition(0)), 3, "250 records, the large one, the last one");
    assert_eq!(log.batches(world.partition(1)), 1);
}

#[tokio::test]
async fn records_that_a_reshard_overtook_are_routed_again_inside_the_call() {
    let (world, _) = World::new(1).await;
    world.put(1, b"before").await;
    world.split(0).await;
    let upper = world.put(u128::MAX, b"after").await;
    assert_eq!((upper.shard, upper.offset), (ShardId(2), Offset(0)));
    let lower = world.put(1, b"after").await;
    assert_eq!((lower.shard, lower.offset), (ShardId(1), Offset(1)));
    assert!(upper.create_second > world.shard(0).await.create_second);

    world.reshard(Reshard::Merge { first: ShardId(1), second: ShardId(2) }).await.unwrap();
    let placed = world.shards.put("s", &[put(1, 5), put(u128::MAX, 5)]).await.unwrap();
    let places: Vec<_> = placed.iter().flatten().map(|p| (p.shard.0, p.offset.0)).collect();
    assert_eq!(places, [(3, 2), (3, 3)]);
    let (bytes, count) = batch(Compression::None, &[b"by name"]);
    assert_eq!(world.write(1, bytes, count).await, Err(AppendError::Retired));
}

/// A command that waits for room in the log is decided after it was proposed: what puts know has to change then, and
/// whoever decides it.
#[tokio::test]
async fn what_puts_know_changes_with_the_decision() {
    let (world, _) = World::new(1).await;
    let epoch = || world.shards.broker.catalogue_epoch();
    let mut last = epoch();
    world.put(1, b"x").await;
    let op = ConfigOp::Set("zstd".to_owned());
    let change = ConfigChange { name: "compression.type".to_owned(), op };
    let alter = Command::AlterTopicConfigs { topic: world.topic, replace: false, changes: vec![change] };
    let how = Reshard::UpdateShardCount { target: 2 };
    let reshard = Command::Reshard { topic: world.topic, how, now_ms: START_MS };
    for command in [alter, reshard, Command::DeleteTopic { topic: world.topic }] {
        assert_eq!(epoch(), last, "nothing was decided");
        let known = world.shards.route("s").unwrap();
        world.engine.propose(command).await.unwrap().unwrap();
        assert_ne!(epoch(), last);
        last = epoch();
        let found = world.shards.route("s");
        assert!(found.is_none_or(|found| !Arc::ptr_eq(&found, &known)));
    }
}

#[tokio::test]
async fn a_stream_that_is_gone_is_said_so() {
    let (world, _) = World::new(1).await;
    world.put(1, b"x").await;
    world.overtake(Command::DeleteTopic { topic: world.topic }).await.unwrap();
    assert!(matches!(world.shards.put("s", &[put(1, 1)]).await, Err(ShardsError::UnknownStream)));
    assert!(matches!(world.shards.put("none", &[put(1, 1)]).await, Err(ShardsError::UnknownStream)));
    let read = world.shards.read(world.topic, ShardId(0), Offset(0), PAGE).await;
    assert!(matches!(read, Err(ShardsError::UnknownStream)));
    assert!(matches!(world.shards.stream_by_id(world.topic).await, Err(ShardsError::UnknownStream)));
}

#[tokio::test]
async fn a_page_may_end_inside_a_batch_of_any_codec() {
    for codec in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let (world, _) = World::new(1).await;
        for _ in 0..3 {
            let (bytes, count) = batch(codec, &[b"a", b"bb", b"ccc", b"dddd", b"eeeee"]);
            world.write(0, bytes, count).await.unwrap();
        }
        for limits in [
            PageLimits { records: 2, bytes: 1 << 20 },
            PageLimits { records: 100, bytes: 9 },
            PageLimits { records: 1, bytes: 0 },
        ] {
            let (mut at, mut seen) = (Offset(0), Vec::new());
            while seen.len() < 15 {
                let page = world.shards.read(world.topic, ShardId(0), at, limits).await.unwrap();
                assert!(!page.records.is_empty() && page.records.len() <= limits.records);
                let bytes: usize = page.records.iter().map(|r| 3 + r.value.as_ref().unwrap().len()).sum();
                assert!(page.records.len() == 1 || bytes <= limits.bytes, "{bytes} {limits:?}");
                seen.extend(offsets(&page));
                at = page.next;
            }
            assert_eq!(seen, (0..15).collect::<Vec<_>>());
        }
    }
}

/// Pages were no part of the byte budget, and a record kept all that its batch unpacked to: a few kilobytes sent by a
/// producer held 64 MiB for every reader that took its answer slowly.
#[tokio::test]
async fn a_page_holds_of_the_budget_what_it_keeps_in_memory() {
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let (world, _) = World::new(1).await;
        let zeros = vec![0; 6 << 20];
        let (bytes, count) = batch(codec, &[b"a", &zeros, b"bb"]);
        world.write(0, bytes, count).await.unwrap();
        let admission = world.shards.broker.admission();
        let free = admission.available();
        let (mut at, mut held) = (Offset(0), Vec::new());
        for _ in 0..3 {
            let limits = PageLimits { records: 1, bytes: 10 << 20 };
            let page = world.shards.read(world.topic, ShardId(0), at, limits).await.unwrap();
            assert_eq!(page.records.len(), 1);
            held.push(page.permit.bytes());
            assert_eq!(admission.available(), free - page.permit.bytes());
            at = page.next;
        }
        assert!(held[0] < 1000 && held[2] < 1000, "a small record of a large batch: {held:?}");
        // And once more in base64, while it is sent.
        assert!((14 << 20..15 << 20).contains(&held[1]), "the large one: {held:?}");
        assert_eq!(admission.available(), free);
    }
}

#[tokio::test]
async fn shard_end_is_given_exactly_at_the_end_with_the_children() {
    let (world, log) = World::new(1).await;
    for _ in 0..4 {
        world.put(1, b"x").await;
    }
    world.split(0).await;
    world.put(1, b"child's").await;
    let page =
        world.shards.read(world.topic, ShardId(0), Offset(0), PageLimits { records: 3, bytes: 100 }).await;
    let page = page.unwrap();
    assert_eq!((offsets(&page), page.end), (vec![0, 1, 2], None));
    let page = world.read(0, page.next.0).await;
    assert_eq!(offsets(&page), [3], "nothing of the child");
    let children: Vec<_> = page.end.unwrap().iter().map(|child| child.id.0).collect();
    assert_eq!(children, [1, 2]);
    assert_eq!(offsets(&world.read(1, 0).await), [4]);
    assert!(world.read(0, i64::MAX).await.end.is_some(), "past the end means shard end");

    // An open transaction in front of the end holds shard end back.
    log.hold(world.partition(0), Some(Offset(2)));
    let page = world.read(0, 0).await;
    assert_eq!((offsets(&page), page.next, page.end), (vec![0, 1], Offset(2), None));
    assert_eq!(world.read(0, 4).await.end, None);
    log.hold(world.partition(0), None);
    assert!(world.read(0, 4).await.end.is_some());

    // Both parents of a merge name the one child.
    world.reshard(Reshard::Merge { first: ShardId(1), second: ShardId(2) }).await.unwrap();
    for parent in [1, 2] {
        let end = world.read(parent, 0).await.end.unwrap();
        assert_eq!(end.iter().map(|child| child.id.0).collect::<Vec<_>>(), [3]);
        assert_eq!((end[0].parent, end[0].adjacent_parent), (Some(ShardId(1)), Some(ShardId(2))));
    }
}

#[tokio::test]
async fn aborted_and_control_records_are_not_seen_but_passed() {
    let (world, log) = World::new(1).await;
    let transactional = |producer: i64, control: bool, value: &[u8]| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(1, Some(b"k"), Some(value), &[]);
        builder.producer = Some((producer, 0, 0));
        (builder.transactional, builder.control) = (true, control);
        builder.build().unwrap()
    };
    let partition = world.partition(0);
    for (producer, control, value) in [
        (1, false, b"kept 0"),
        (2, false, b"lost 1"),
        (1, true, b"commit"),
        (2, false, b"lost 3"),
        (2, true, b"abort "),
        (2, false, b"kept 5"),
        (2, true, b"commit"),
    ] {
        world.write(0, transactional(producer, control, value), 1).await.unwrap();
    }
    log.abort(partition, 2, Offset(1), Offset(4));
    for from in 0..8 {
        let page = world.read(0, from).await;
        let seen: Vec<i64> = [0, 5].into_iter().filter(|offset| *offset >= from).collect();
        assert_eq!((offsets(&page), page.next, page.behind_ms), (seen, Offset(7), 0), "from {from}");
    }
}

#[tokio::test]
async fn a_damaged_batch_is_skipped_and_counted() {
    let (world, _) = World::new(1).await;
    world.put(1, b"before").await;
    let (good, count) = batch(Compression::Zstd, &[b"a", b"b", b"c"]);
    let mut bad = BytesMut::from(&good[..]);
    bad[61..].fill(0xee);
    world.write(0, bad.freeze(), count).await.unwrap();
    world.put(1, b"between").await;
    let (good, count) = batch(Compression::None, &[b"a", b"b", b"c"]);
    let mut bad = BytesMut::from(&good[..]);
    let last = bad.len() - 9;
    bad[last..].fill(0x80);
    world.write(0, bad.freeze(), count).await.unwrap();
    world.put(1, b"after").await;
    let page = world.read(0, 0).await;
    assert_eq!((offsets(&page), page.next), (vec![0, 4, 5, 6, 8], Offset(9)));
    assert_eq!(world.undecodable(), 2);
    assert_eq!(offsets(&world.read(0, 6).await), [6, 8]);
}

/// Counts log lines.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicI64>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// A client that wrote small batches of garbage made each reader of them log each one, each time.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_counted_each_time_and_logged_seldom() {
    let (world, _) = World::new(1).await;
    for _ in 0..10 {
        let (bytes, count) = misleading(2);
        world.write(0, bytes, count).await.unwrap();
    }
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    for _ in 0..100 {
        assert_eq!(world.read(0, 0).await.next, Offset(20));
    }
    assert_eq!((world.undecodable(), lines.0.load(Ordering::Relaxed)), (1000, 1));
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    world.read(0, 0).await;
    assert_eq!(lines.0.load(Ordering::Relaxed), 2);
}

/// An uncompressed batch of two: the first record under an offset delta of its own, the second cut off.
fn misleading(delta: i32) -> (Bytes, i32) {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append_at(delta, 5, Some(b"key"), Some(b"far"), std::iter::empty());
    let built = builder.build().unwrap();
    let mut header = BatchHeader::parse(&built).unwrap();
    (header.record_count, header.last_offset_delta) = (2, 1);
    let mut bytes = built.to_vec();
    bytes[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
    (bytes.into(), 2)
}

/// A record's offset delta of 2^31 led readers that far ahead: to silence, or to the end of a shard not yet read.
#[tokio::test]
async fn a_record_leads_nobody_out_of_its_batch() {
    for delta in [2, i32::MAX - 1] {
        for is_split in [false, true] {
            let (world, _) = World::new(1).await;
            let (bytes, count) = misleading(delta);
            world.write(0, bytes, count).await.unwrap();
            world.put(1, b"behind").await;
            if is_split {
                world.split(0).await;
            }
            let one = PageLimits { records: 1, bytes: 10 << 20 };
            let read = |from| world.shards.read(world.topic, ShardId(0), from, one);
            let page = read(Offset(0)).await.unwrap();
            assert_eq!((offsets(&page), page.next), (vec![2], Offset(3)), "{delta} {is_split}");
            assert_eq!((page.end.is_some(), world.undecodable()), (is_split, 1));
        }
    }
}

#[tokio::test]
async fn positions_are_inside_the_slice() {
    let (world, _) = World::new(1).await;
    for n in 0..6 {
        world.tick(1000);
        world.put(1, format!("{n}").as_bytes()).await;
        if n == 3 {
            world.split(0).await;
        }
    }
    let all = [
        (Seek::TrimHorizon, 0, 4),
        (Seek::Latest, 4, 6),
        (Seek::At(Offset(2)), 2, 4),
        (Seek::At(Offset(5)), 4, 5),
        (Seek::At(Offset(i64::MAX)), 4, 6),
        (Seek::AtTime(0), 0, 4),
        (Seek::AtTime(START_MS + 2000), 1, 4),
        (Seek::AtTime(START_MS + 2001), 2, 4),
        (Seek::AtTime(START_MS + 6000), 4, 5),
        (Seek::AtTime(START_MS + 9000), 4, 6),
    ];
    for (seek, parent, child) in all {
        assert_eq!((world.seek(0, seek).await, world.seek(1, seek).await), (parent, child), "{seek:?}");
    }
    assert_eq!(world.seek(2, Seek::Latest).await, 0);

    // What retention hides is not found though it is still there; what is trimmed is passed.
    world.tick(24 * 3_600_000 - 3_500);
    assert_eq!((world.seek(0, Seek::TrimHorizon).await, world.seek(0, Seek::AtTime(0)).await), (2, 2));
    let trim = Command::Trim { partition: world.partition(0), to: Some(Offset(3)), by: TrimBy::Client };
    world.engine.propose(trim).await.unwrap().unwrap();
    assert_eq!(offsets(&world.read(0, 0).await), [3]);
    let trim = Command::Trim { partition: world.partition(0), to: Some(Offset(5)), by: TrimBy::Client };
    world.engine.propose(trim).await.unwrap().unwrap();
    let page = world.read(0, 0).await;
    assert!(page.records.is_empty() && page.end.is_some(), "trimmed early: no records and shard end");
    assert_eq!(offsets(&world.read(1, 4).await), [5]);
}

#[tokio::test]
async fn lag_is_the_age_of_the_last_record_given() {
    let (world, _) = World::new(1).await;
    for _ in 0..3 {
        world.put(1, b"x").await;
        world.tick(1000);
    }
    let one = PageLimits { records: 1, bytes: 100 };
    for (from, behind_ms) in [(0, 3000), (1, 2000), (2, 0), (3, 0)] {
        let page = world.shards.read(world.topic, ShardId(0), Offset(from), one).await.unwrap();
        assert_eq!(page.behind_ms, behind_ms, "from {from}");
    }
}

#[tokio::test]
async fn listings_tile_and_pages_show_one_set() {
    let (world, _) = World::new(2).await;
    world.tick(1000);
    world.split(0).await;
    world.tick(1000);
    world.reshard(Reshard::UpdateShardCount { target: 5 }).await.unwrap();
    let stream = world.stream().await;
    let now_ms = world.shards.broker.now_ms();
    let ids = |stream: &Stream, filter: ShardFilter, now_ms: i64| -> Vec<u32> {
        let listing = filter.resolve(&stream.topic, stream.retention_ms, now_ms);
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let page = stream.list(listing, now_ms, after, 2);
            assert!(page.shards.len() <= 2);
            ids.extend(page.shards.iter().map(|shard| shard.id.0));
            after = page.shards.last().map(|shard| shard.id);
            if !page.more {
                return ids;
            }
        }
    };
    let at_start = ids(&stream, ShardFilter::AtTrimHorizon, now_ms);
    assert_eq!(at_start, [0, 1]);
    assert_eq!(ids(&stream, ShardFilter::AtTimestamp(0), now_ms), [0, 1]);
    assert_eq!(ids(&stream, ShardFilter::AtTimestamp(START_MS + 999), now_ms), [0, 1]);
    assert_eq!(ids(&stream, ShardFilter::AtTimestamp(START_MS + 1000), now_ms), [1, 2, 3]);
    let open: Vec<u32> = stream.topic.open_shards().map(|shard| shard.id.0).collect();
    assert_eq!(open.len(), 5);
    assert_eq!(ids(&stream, ShardFilter::AtLatest, now_ms), open);
    assert_eq!(ids(&stream, ShardFilter::AtTimestamp(i64::MAX), now_ms), open);
    let all: Vec<u32> = stream.topic.shards.iter().map(|shard| shard.id.0).collect();
    assert_eq!(ids(&stream, ShardFilter::FromTrimHorizon, now_ms), all);
    assert_eq!(ids(&stream, ShardFilter::FromTimestamp(START_MS + 1500), now_ms), all[1..]);
    assert_eq!(ids(&stream, ShardFilter::AfterShard(ShardId(2)), now_ms), all[3..]);

    // A page asked for after another reshard goes on with the set of the first page.
    let latest = ShardFilter::AtLatest.resolve(&stream.topic, stream.retention_ms, now_ms);
    let before = stream.list(latest, now_ms, None, 100).shards;
    world.split(open[0]).await;
    let later = world.stream().await;
    let after = later.list(latest, now_ms, None, 100).shards;
    let numbers = |shards: &[Shard]| shards.iter().map(|shard| shard.id).collect::<Vec<_>>();
    assert_eq!(numbers(&before), numbers(&after));

    // Retention forgets closed shards.
    let much_later_ms = now_ms + 25 * 3_600_000;
    let open: Vec<u32> = later.topic.open_shards().map(|shard| shard.id.0).collect();
    assert_eq!(ids(&later, ShardFilter::AtTrimHorizon, much_later_ms), open);
    assert_eq!(ids(&later, ShardFilter::FromTrimHorizon, much_later_ms), open);
}

#[tokio::test]
async fn intermediate_shards_have_an_end_and_no_records() {
    let (world, _) = World::new(3).await;
    world.put(0, b"x").await;
    world.reshard(Reshard::UpdateShardCount { target: 4 }).await.unwrap();
    let stream = world.stream().await;
    let intermediate: Vec<_> = stream.topic.shards.iter().filter(|shard| shard.partition.is_none()).collect();
    assert!(!intermediate.is_empty());
    for shard in intermediate {
        for seek in [Seek::TrimHorizon, Seek::Latest, Seek::At(Offset(9)), Seek::AtTime(START_MS)] {
            let from = world.shards.seek(&stream, shard, seek).await.unwrap();
            let page = world.shards.read(world.topic, shard.id, from, PAGE).await.unwrap();
            assert!(page.records.is_empty());
            assert!(!page.end.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn puts_obey_compression_type() {
    let (world, log) = World::new(1).await;
    let change = kolk_engine::state::ConfigChange {
        name: "compression.type".to_owned(),
        op: kolk_engine::state::ConfigOp::Set("zstd".to_owned()),
    };
    let alter = Command::AlterTopicConfigs { topic: world.topic, replace: false, changes: vec![change] };
    world.shards.broker.propose(alter).await.unwrap().unwrap();
    world.shards.put("s", &[put(1, 100_000), put(2, 100_000)]).await.unwrap();
    assert!(log.bytes(world.partition(0)) < 10_000);
    assert_eq!(offsets(&world.read(0, 0).await), [0, 1]);
}

impl World {
    /// Lets producers write batches of any size.
    async fn take_large_batches(&self) {
        let op = ConfigOp::Set("104857600".to_owned());
        let change = ConfigChange { name: "max.message.bytes".to_owned(), op };
        let alter = Command::AlterTopicConfigs { topic: self.topic, replace: false, changes: vec![change] };
        self.shards.broker.propose(alter).await.unwrap().unwrap();
    }
}

/// A page was granted 16 MiB whatever its first batch was: nine readers of one of 95 MiB held a gigabyte.
#[tokio::test]
async fn a_page_holds_what_its_first_batch_takes() {
    let (world, _) = World::new(1).await;
    world.take_large_batches().await;
    let value = vec![b'x'; 1 << 20];
    let (bytes, count) = batch(Compression::None, &[&value[..]; 18]);
    let batch_bytes = bytes.len();
    world.write(0, bytes, count).await.unwrap();
    let admission = world.shards.broker.admission();
    let free = admission.available();
    let page = world.read(0, 0).await;
    assert_eq!(page.records.len(), 9, "as many as a page takes");
    let held = free - admission.available();
    assert!(held >= batch_bytes, "{held} bytes are held of a batch of {batch_bytes}");
    assert_eq!(world.read(0, page.next.0).await.records.len(), 9);
    drop(page);
    assert_eq!(admission.available(), free);
}

/// Kinesis has no such records, and encoded a page of one was 127 MiB of JSON that nobody had counted.
#[tokio::test]
async fn a_record_that_is_too_large_for_kinesis_is_skipped() {
    let (world, _) = World::new(1).await;
    world.take_large_batches().await;
    let (largest, larger) = (vec![b'x'; 10 << 20], vec![b'x'; (10 << 20) + 254]);
    let (bytes, count) = batch(Compression::None, &[b"a", &larger, b"b", &largest, b"c"]);
    world.write(0, bytes, count).await.unwrap();
    let mut found = Vec::new();
    let mut next = 0;
    while next < 5 {
        let page = world.read(0, next).await;
        found.extend(offsets(&page));
        assert!(page.next.0 > next);
        next = page.next.0;
    }
    assert_eq!(found, [0, 2, 3, 4]);
    assert_eq!(world.undecodable(), 1);
}
