//! Random lives: both protocols write while the stream is resharded, and a reader follows the lineage.

use std::collections::{BTreeMap, BTreeSet};

use kolk_engine::local::{LocalEngine, LocalOptions};
use kolk_engine::memory::{MemoryEngine, MemoryOptions};

use super::*;

/// xorshift64*: the same life for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn hash(&mut self) -> u128 {
        (0..5).fold(0, |hash, _| hash << 31 ^ self.roll(1 << 31) as u128)
    }
}

/// Reads a stream as KCL does: a shard's parents to their end, then the shard.
struct Follower {
    reading: BTreeMap<ShardId, Offset>,
    done: BTreeSet<ShardId>,
    /// What was read, in order: shard, offset, value.
    read: Vec<(ShardId, i32, i64, Bytes)>,
}

impl Follower {
    async fn new(world: &World) -> Follower {
        let stream = world.stream().await;
        let now_ms = world.shards.broker.now_ms();
        let listing = ShardFilter::AtTrimHorizon.resolve(&stream.topic, stream.retention_ms, now_ms);
        let roots = stream.list(listing, now_ms, None, 1000).shards;
        let reading = roots.iter().map(|shard| (shard.id, Offset::ZERO)).collect();
        Follower { reading, done: BTreeSet::new(), read: Vec::new() }
    }

    /// One page of one shard. Whether it gave anything.
    async fn step(&mut self, world: &World, shard: ShardId, limits: PageLimits) -> bool {
        let from = self.reading[&shard];
        let page = world.shards.read(world.topic, shard, from, limits).await.unwrap();
        let partition = page.shard.partition;
        for record in &page.records {
            let value = record.value.clone().unwrap();
            self.read.push((shard, partition.unwrap(), record.offset.0, value));
        }
        let Some(children) = page.end else {
            self.reading.insert(shard, page.next);
            return page.next > from;
        };
        self.reading.remove(&shard);
        self.done.insert(shard);
        for child in children {
            let parents = [child.parent, child.adjacent_parent];
            if parents.iter().flatten().all(|parent| self.done.contains(parent)) {
                self.reading.insert(child.id, child.first);
            }
        }
        true
    }

    /// A page of each shard. Whether any gave something.
    async fn pass(&mut self, world: &World) -> bool {
        let mut any = false;
        for shard in self.reading.keys().copied().collect::<Vec<_>>() {
            any |= self.step(world, shard, PAGE).await;
        }
        any
    }

    fn any(&self, dice: &mut Dice) -> ShardId {
        *self.reading.keys().nth(dice.roll(self.reading.len())).unwrap()
    }
}

async fn live(world: &World, seed: u64, steps: usize) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let keys: Vec<u128> = (0..8).map(|_| dice.hash()).collect();
    let mut follower = Follower::new(world).await;
    let mut put_count = vec![0u32; keys.len()];
    let mut written: BTreeSet<(i32, i64)> = BTreeSet::new();
    let mut named_count = 0u32;
    let mut reshards = 0;
    for _ in 0..steps {
        match dice.roll(12) {
            0..4 => {
                let mut puts = Vec::new();
                for _ in 0..1 + dice.roll(12) {
                    let key = dice.roll(keys.len());
                    let data = Bytes::from(format!("put {key} {}", put_count[key]));
                    puts.push(Put { hash: keys[key], key: Bytes::from(format!("{key}")), data });
                    put_count[key] += 1;
                }
                let stream = world.stream().await;
                for (put, placed) in puts.iter().zip(world.shards.put("s", &puts).await.unwrap()) {
                    let placed = placed.unwrap();
                    let shard = *stream.shard(placed.shard).unwrap();
                    assert!(shard.is_open() && shard.range.contains(put.hash));
                    assert!(written.insert((shard.partition.unwrap(), placed.offset.0)), "an offset twice");
                }
            }
            4..7 => {
                let stream = world.stream().await;
                let partition = dice.roll(stream.topic.partitions as usize) as i32;
                let retired = stream.topic.open_shards().all(|shard| shard.partition != Some(partition));
                let values: Vec<String> =
                    (0..1 + dice.roll(3)).map(|n| format!("named {}", named_count + n as u32)).collect();
                let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
                let codec = [Compression::None, Compression::Lz4, Compression::Zstd][dice.roll(3)];
                let (bytes, count) = batch(codec, &values);
                match world.write(partition, bytes, count).await {
                    Ok(appended) => {
                        assert!(!retired);
                        named_count += count as u32;
                        for offset in appended.base_offset.0..=appended.last_offset.0 {
                            assert!(written.insert((partition, offset)), "an offset twice");
                        }
                    }
                    Err(refusal) => assert!(retired, "{refusal}"),
                }
            }
            7..9 => {
                let stream = world.stream().await;
                let mut open: Vec<Shard> = stream.topic.open_shards().copied().collect();
                open.sort_by_key(|shard| shard.range.start);
                let at = dice.roll(open.len());
                let how = match dice.roll(8) {
                    0..3 => Reshard::Split { shard: open[at].id, at: dice.hash() },
                    3..6 => Reshard::Merge { first: open[at].id, second: open[(at + 1) % open.len()].id },
                    6 => Reshard::UpdateShardCount { target: 1 + dice.roll(12) as i32 },
                    _ => Reshard::CreatePartitions { count: stream.topic.partitions + 1 },
                };
                let how = match how {
                    Reshard::Split { shard, .. } if dice.roll(2) == 0 => {
                        let HashRange { start, end } = open[at].range;
                        Reshard::Split { shard, at: start + (end - start) / 2 + 1 }
                    }
                    how => how,
                };
                reshards += usize::from(world.reshard(how).await.is_ok());
            }
            9..11 => {
                let shard = follower.any(&mut dice);
                let limits = PageLimits { records: 1 + dice.roll(20), bytes: dice.roll(300) };
                follower.step(world, shard, limits).await;
            }
            // The clock may stand still and step back.
            _ => world.tick([0, 1, 700, 5_000, -3_000][dice.roll(5)]),
        }
    }

    while follower.pass(world).await {}
    let stream = world.stream().await;
    let open: Vec<ShardId> = stream.topic.open_shards().map(|shard| shard.id).collect();
    assert_eq!(
        follower.reading.keys().copied().collect::<Vec<_>>(),
        open,
        "the lineage leads to what is open"
    );
    assert_eq!(follower.done.len() + open.len(), stream.topic.shards.len(), "every shard was read");
    assert!(reshards > 0 || steps < 100);

    let seen: BTreeSet<(i32, i64)> =
        follower.read.iter().map(|(_, partition, offset, _)| (*partition, *offset)).collect();
    assert_eq!(seen.len(), follower.read.len(), "no record twice");
    assert_eq!(seen, written, "every record once");
    let (mut next_put, mut named) = (vec![0u32; keys.len()], BTreeMap::new());
    for (shard, partition, offset, value) in &follower.read {
        let value = std::str::from_utf8(value).unwrap();
        let words: Vec<&str> = value.split(' ').collect();
        if let ["put", key, count] = words[..] {
            let key: usize = key.parse().unwrap();
            assert_eq!(count.parse(), Ok(next_put[key]), "order of key {key} in {shard}");
            next_put[key] += 1;
        } else if let Some(before) = named.insert(*partition, *offset) {
            assert!(before < *offset, "Kafka's order in partition {partition}: {before}, then {offset}");
        }
    }
    assert_eq!(next_put, put_count);
}

#[tokio::test]
async fn a_reader_of_the_lineage_sees_every_record_once_and_in_order() {
    for seed in 1..=60 {
        let (world, _) = World::new(1 + seed as i32 % 4).await;
        live(&world, seed, 400).await;
    }
}

#[tokio::test]
async fn in_memory_a_reader_sees_the_same() {
    for seed in 61..=70 {
        let (door, clock) = door();
        let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
        live(&World::over(engine, door, clock, 3).await, seed, 300).await;
    }
}

/// The local engine in a directory of its own.
async fn on_disk(directory: &std::path::Path, shard_count: i32) -> World {
    let (door, clock) = door();
    let engine = LocalEngine::open(door.clone(), directory, LocalOptions::default()).await.unwrap();
    World::over(engine, door, clock, shard_count).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_disk_a_reader_sees_the_same_and_after_a_restart_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = on_disk(directory.path(), 2).await;
    live(&world, 7, 250).await;
    let before = read_whole(&world).await;
    world.engine.close().await.unwrap();
    let topic = world.topic;
    drop(world.shards);

    let (door, clock) = door();
    let engine = LocalEngine::open(door.clone(), directory.path(), LocalOptions::default()).await.unwrap();
    let broker = Broker::new(engine.clone(), door, Settings::default());
    world = World { engine, clock, shards: Shards::new(broker), topic };
    assert_eq!(
        read_whole(&world).await,
        before,
        "offsets, append times, keys and data are the same for ever"
    );
    assert_eq!(world.put(1, b"on").await.shard, world.stream().await.topic.open_shards().next().unwrap().id);
    world.engine.close().await.unwrap();
}

/// Every record of every shard, with what its sequence number is made of.
async fn read_whole(world: &World) -> Vec<(Shard, ShardRecord)> {
    let stream = world.stream().await;
    let mut records = Vec::new();
    for shard in &stream.topic.shards {
        let mut from = shard.first;
        loop {
            let page = world.shards.read(world.topic, shard.id, from, PAGE).await.unwrap();
            records.extend(page.records.iter().map(|record| (page.shard, record.clone())));
            if page.end.is_some() || page.next == from {
                break;
            }
            from = page.next;
        }
    }
    assert!(records.len() > 100);
    records
}

/// Writers of both protocols, a resharder and a reader at the same time, on disk: real races between routing,
/// fences and syncs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_writers_and_reshards_lose_and_repeat_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let world = &on_disk(directory.path(), 2).await;
    let putting = async |key: u64, seed: u64| {
        let mut dice = Dice(seed);
        let hash = dice.hash();
        for round in 0..40u64 {
            let put = |nth: u64| {
                let count = round * 5 + nth;
                Put { hash, key: Bytes::from("k"), data: Bytes::from(format!("put {key} {count}")) }
            };
            let puts: Vec<Put> = (0..5).map(put).collect();
            let placed = world.shards.put("s", &puts).await.unwrap();
            assert!(placed.iter().all(Result::is_ok), "{placed:?}");
            tokio::task::yield_now().await;
        }
    };
    let naming = async |index: i32| {
        let mut taken = 0u64;
        for _ in 0..60 {
            let (bytes, count) = batch(Compression::Lz4, &[b"named", b"named"]);
            match world.write(index, bytes, count).await {
                Ok(_) => taken += 2,
                Err(refusal) => {
                    assert!(matches!(refusal, AppendError::Retired | AppendError::UnknownPartition))
                }
            }
            tokio::task::yield_now().await;
        }
        taken
    };
    let resharding = async {
        let mut dice = Dice(99);
        let mut done = 0;
        while done < 24 {
            let stream = world.stream().await;
            let mut open: Vec<Shard> = stream.topic.open_shards().copied().collect();
            open.sort_by_key(|shard| shard.range.start);
            let at = dice.roll(open.len());
            let HashRange { start, end } = open[at].range;
            let how = match dice.roll(5) {
                0 | 1 => Reshard::Split { shard: open[at].id, at: start + (end - start) / 2 + 1 },
                2 | 3 => Reshard::Merge { first: open[at].id, second: open[(at + 1) % open.len()].id },
                _ => Reshard::UpdateShardCount { target: 1 + dice.roll(5) as i32 },
            };
            done += usize::from(world.reshard(how).await.is_ok());
            world.tick(dice.roll(3) as i64);
        }
    };
    let mut follower = Follower::new(world).await;
    let writing = async {
        let ((), (), (), one, two, ()) =
            tokio::join!(putting(0, 11), putting(1, 222), putting(2, 3333), naming(0), naming(1), resharding);
        one + two
    };
    let reading = async {
        let mut dice = Dice(5);
        loop {
            let shard = follower.any(&mut dice);
            follower.step(world, shard, PageLimits { records: 7, bytes: 1000 }).await;
            tokio::task::yield_now().await;
        }
    };
    let named = tokio::select! {
        named = writing => named,
        () = reading => unreachable!("the reader reads until it is stopped"),
    };
    while follower.pass(world).await {}
    let seen: BTreeSet<(i32, i64)> =
        follower.read.iter().map(|(_, partition, offset, _)| (*partition, *offset)).collect();
    assert_eq!(seen.len(), follower.read.len(), "no record twice");
    assert_eq!(seen.len() as u64, 3 * 40 * 5 + named, "every record");
    let mut next_put = [0u32; 3];
    let mut last_named = BTreeMap::new();
    for (shard, partition, offset, value) in &follower.read {
        let words: Vec<&str> = std::str::from_utf8(value).unwrap().split(' ').collect();
        if let ["put", key, count] = words[..] {
            let key: usize = key.parse().unwrap();
            assert_eq!(count.parse(), Ok(next_put[key]), "order of key {key} in {shard}");
            next_put[key] += 1;
        } else {
            assert!(last_named.insert(*partition, *offset).is_none_or(|before| before < *offset));
        }
    }
    world.engine.close().await.unwrap();
}
