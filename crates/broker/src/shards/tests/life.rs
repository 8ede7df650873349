//! Random lives: both protocols write while the stream is resharded, and a reader follows the lineage.

use std::collections::{BTreeMap, BTreeSet};

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

    fn any(&self, dice: &mut Dice) -> ShardId {
        *self.reading.keys().nth(dice.roll(self.reading.len())).unwrap()
    }
}

async fn live(seed: u64, steps: usize) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let world = World::new(1 + dice.roll(4) as i32).await;
    let keys: Vec<u128> = (0..8).map(|_| dice.hash()).collect();
    let mut follower = Follower::new(&world).await;
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
                match world.log.write(world.partition(partition), bytes, count) {
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
                follower.step(&world, shard, limits).await;
            }
            // The clock may stand still and step back.
            _ => world.tick([0, 1, 700, 5_000, -3_000][dice.roll(5)]),
        }
    }

    // Read on until nothing comes any more.
    loop {
        let mut any = false;
        for shard in follower.reading.keys().copied().collect::<Vec<_>>() {
            any |= follower.step(&world, shard, PAGE).await;
        }
        if !any {
            break;
        }
    }
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
        live(seed, 400).await;
    }
}
