//! Kinesis clients: puts, iterators of each kind, resharding by both protocols.

use bytes::Bytes;
use kolk_client::Error;
use kolk_client::kinesis::Kinesis;
use kolk_wire_kinesis::codec::Timestamp;
use kolk_wire_kinesis::requests::{
    GetRecordsInput, GetShardIteratorInput, ListShardsInput, MergeShardsInput, PutRecordInput,
    PutRecordsInput, PutRecordsRequestEntry, ScalingType, ShardIteratorType, SplitShardInput,
    UpdateShardCountInput,
};
use kolk_wire_kinesis::sequence::SequenceNumber;
use kolk_wire_kinesis::shard_id;

use super::client::{Client, padded, unpadded};
use super::{LEDGER, ORDERS};
use crate::history::{Again, From, Name, Page, Place, Record, Seen, Shard, Told, What, Write};

/// Open shards that the stream has at most, so that readers come round.
const OPEN_SHARDS_MAX: usize = 6;
/// Shards that the stream has at most, closed ones included.
const SHARDS_MAX: usize = 30;

/// Pages that a shard has at most: each holds records, or goes through megabytes of them.
const PAGES_MAX: u32 = 2000;

/// Puts one by one and some at a time, one call after the other. What got no answer is not tried again.
pub(super) async fn put(client: Client) {
    let kinesis = client.world.kinesis();
    let stream: Name = ORDERS.into();
    let mut number = 0;
    while client.goes_on(100).await {
        let world = &client.world;
        let count = if world.below(2) == 0 { 1 } else { 1 + world.below(6) };
        let records: Vec<Record> = (number..number + count)
            .map(|number| Record {
                key: Some(format!("{} {}", client.name, world.below(5))),
                value: format!("{}-{number}", client.name),
            })
            .collect();
        number += count;
        let padding = world.below(world.record_bytes);
        let what = |told| {
            What::Write(Write {
                topic: stream.clone(),
                partition: None,
                again: Again::Never,
                records: records.clone(),
                told,
            })
        };
        client.act(what, put_records(&kinesis, &stream, &records, padding)).await;
    }
}

async fn put_records(
    kinesis: &Kinesis,
    stream: &Name,
    records: &[Record],
    padding: u64,
) -> Result<Vec<Place>, Error> {
    let data = |record: &Record| Bytes::from(padded(&record.value, padding));
    if let [record] = records {
        let put = PutRecordInput {
            partition_key: record.key.clone(),
            data: data(record),
            stream_name: Some(stream.to_string()),
            ..Default::default()
        };
        let answer = kinesis.call(&put).await?;
        return Ok(vec![place(Some(&answer.shard_id), Some(&answer.sequence_number))]);
    }
    let entries = records.iter().map(|record| PutRecordsRequestEntry {
        partition_key: record.key.clone(),
        explicit_hash_key: None,
        data: data(record),
    });
    let put = PutRecordsInput {
        records: entries.collect(),
        stream_name: Some(stream.to_string()),
        ..Default::default()
    };
    let answer = kinesis.call(&put).await?;
    let places =
        answer.records.iter().map(|result| place(result.shard_id.as_ref(), result.sequence_number.as_ref()));
    Ok(places.collect())
}

fn place(shard: Option<&String>, sequence: Option<&String>) -> Place {
    let (Some(shard), Some(sequence)) = (shard, sequence) else { return Place::Unknown };
    let shard = shard_id::parse(shard).expect("shards have ids");
    Place::Shard { shard, sequence: sequence_of(sequence) }
}

fn sequence_of(text: &str) -> SequenceNumber {
    text.parse().expect("sequence numbers of ours")
}

/// Every shard there is or was.
pub(super) async fn list_shards(kinesis: &Kinesis, stream: &Name) -> Result<Vec<Shard>, Error> {
    let page = ListShardsInput {
        stream_name: Some(stream.to_string()),
        kolk_places: Some(true),
        ..Default::default()
    };
    let answer = kinesis.call(&page).await?;
    let id = |text: &String| shard_id::parse(text).expect("shards have ids");
    let key = |text: &String| text.parse().expect("hash keys are numbers");
    let shards = answer.shards.unwrap_or_default().into_iter().map(|shard| Shard {
        id: id(&shard.shard_id),
        partition: shard.kolk_partition,
        parents: [&shard.parent_shard_id, &shard.adjacent_parent_shard_id]
            .into_iter()
            .flatten()
            .map(id)
            .collect(),
        range: (key(&shard.hash_key_range.starting_hash_key), key(&shard.hash_key_range.ending_hash_key)),
        is_closed: shard.sequence_number_range.ending_sequence_number.is_some(),
    });
    Ok(shards.collect())
}

/// Asks for the shards, and writes the answer down.
async fn shards(client: &Client, kinesis: &Kinesis, stream: &Name) -> Vec<Shard> {
    let what = |told| What::Shards { stream: stream.clone(), told };
    client.act(what, list_shards(kinesis, stream)).await.ok().cloned().unwrap_or_default()
}

/// An iterator at a place.
async fn iterator(kinesis: &Kinesis, stream: &Name, shard: u32, from: From) -> Result<String, Error> {
    let (shard_iterator_type, starting_sequence_number, timestamp) = match from {
        From::Horizon => (ShardIteratorType::TrimHorizon, None, None),
        From::Latest => (ShardIteratorType::Latest, None, None),
        From::At(sequence) => (ShardIteratorType::AtSequenceNumber, Some(sequence.to_string()), None),
        From::After(sequence) => (ShardIteratorType::AfterSequenceNumber, Some(sequence.to_string()), None),
        From::Since(ms) => (ShardIteratorType::AtTimestamp, None, Some(Timestamp(ms))),
        From::On => unreachable!("a session that goes on has its iterator"),
    };
    let begin = GetShardIteratorInput {
        shard_id: shard_id::format(shard),
        shard_iterator_type,
        starting_sequence_number,
        stream_name: Some(stream.to_string()),
        timestamp,
        ..Default::default()
    };
    let answer = kinesis.call(&begin).await?;
    Ok(answer.shard_iterator.expect("an iterator is what was asked for"))
}

/// A page with the next iterator, and whether it reached the tip.
async fn page(
    kinesis: &Kinesis,
    shard_iterator: String,
    limit: i32,
) -> Result<(Page, Option<String>, bool), Error> {
    let get = GetRecordsInput { limit: Some(limit), shard_iterator, ..Default::default() };
    let answer = kinesis.call(&get).await?;
    let at_tip = answer.records.is_empty() && answer.millis_behind_latest == Some(0);
    let records = answer.records.into_iter().map(|record| Seen {
        sequence: sequence_of(&record.sequence_number),
        arrived_ms: record.approximate_arrival_timestamp.map_or(0, |Timestamp(ms)| ms),
        key: record.partition_key.unwrap_or_default(),
        value: unpadded(&record.data),
    });
    let children = answer.child_shards.unwrap_or_default();
    let children = children.iter().filter_map(|child| shard_id::parse(&child.shard_id)).collect();
    let end = answer.next_shard_iterator.is_none().then_some(children);
    Ok((Page { records: records.collect(), end }, answer.next_shard_iterator, at_tip))
}

/// Reads shards from all sorts of places, a few pages each. `reader` tells its sessions from others'.
pub(super) async fn read(client: Client, reader: u64) {
    let kinesis = client.world.kinesis();
    let mut session = reader << 32;
    let mut known: Vec<(Name, u32, SequenceNumber, i64)> = Vec::new();
    while client.goes_on(400).await {
        session += 1;
        let stream: Name = if client.world.below(5) == 0 { LEDGER } else { ORDERS }.into();
        let all = shards(&client, &kinesis, &stream).await;
        let Some(shard) = client.one_of(&all).map(|shard| shard.id) else { continue };
        let of_shard: Vec<_> = known.iter().filter(|seen| (&seen.0, seen.1) == (&stream, shard)).collect();
        let from = match (client.world.below(6), client.one_of(&of_shard)) {
            (0, Some((_, _, sequence, _))) => From::At(*sequence),
            (1, Some((_, _, sequence, _))) => From::After(*sequence),
            (2, Some((_, _, _, arrived_ms))) => From::Since(*arrived_ms),
            (3, _) => From::Latest,
            _ => From::Horizon,
        };
        // What retention and DeleteRecords take away under a reader leaves no trace of where it went on.
        if &*stream == LEDGER && !matches!(from, From::Horizon | From::Latest) {
            continue;
        }
        let mut next = None;
        for at in 0..2 + client.world.below(8) {
            let from = if at == 0 { from } else { From::On };
            let (limit, before) = (1 + client.world.below(25) as i32, next.take());
            let mut following = None;
            let what = |told| What::Get { stream: stream.clone(), shard, session, from, told };
            let told = client
                .act(what, async {
                    let shard_iterator = match &before {
                        Some(before) => String::clone(before),
                        None => iterator(&kinesis, &stream, shard, from).await?,
                    };
                    let (page, next, _) = page(&kinesis, shard_iterator, limit).await?;
                    following = next;
                    Ok(page)
                })
                .await;
            match told {
                Told::Ok(page) => {
                    let seen = page.records.iter();
                    known.extend(
                        seen.map(|seen| (stream.clone(), shard, seen.sequence, seen.arrived_ms)).take(3),
                    );
                    next = following;
                    if next.is_none() {
                        break;
                    }
                }
                // The same page again.
                Told::Unknown(_) if before.is_some() => next = before,
                Told::Unknown(_) | Told::Refused(_) => break,
            }
            if client.world.below(3) == 0 {
                client.world.pause(100).await;
            }
        }
    }
}

/// Reads a shard from its first record to its end, or to its tip.
pub(super) async fn read_whole(kinesis: &Kinesis, stream: &Name, shard: &Shard) -> Result<Page, Error> {
    let mut whole = Page { records: Vec::new(), end: None };
    let mut next = Some(iterator(kinesis, stream, shard.id, From::Horizon).await?);
    for _ in 0..PAGES_MAX {
        let Some(shard_iterator) = next else { return Ok(whole) };
        let (page, following, at_tip) = page(kinesis, shard_iterator, 1000).await?;
        whole.records.extend(page.records);
        whole.end = page.end;
        next = following.filter(|_| shard.is_closed || !at_tip);
    }
    panic!("shard {} of {stream} does not come to its end: {shard:?}", shard.id);
}

/// Splits, merges, asks for a number of shards, gives partitions, whatever else is going on.
pub(super) async fn reshard(client: Client) {
    let kinesis = client.world.kinesis();
    let stream: Name = ORDERS.into();
    while client.goes_on(1200).await {
        let all = shards(&client, &kinesis, &stream).await;
        if all.len() >= SHARDS_MAX {
            continue;
        }
        let mut open: Vec<&Shard> = all.iter().filter(|shard| !shard.is_closed).collect();
        open.sort_by_key(|shard| shard.range);
        let told = |how: String| {
            let stream = stream.clone();
            move |told| What::Reshard { stream: stream.clone(), how: how.clone(), told }
        };
        let Some(at) = client.one_of(&(0..open.len()).collect::<Vec<_>>()).copied() else { continue };
        match client.world.below(6) {
            0 | 1 if open.len() < OPEN_SHARDS_MAX => {
                let shard = open[at];
                let (first, last) = shard.range;
                let split = SplitShardInput {
                    new_starting_hash_key: (first + (last - first) / 2).max(first + 1).to_string(),
                    stream_name: Some(stream.to_string()),
                    shard_to_split: shard_id::format(shard.id),
                    ..Default::default()
                };
                let how = told(format!("split {}", shard.id));
                client.act(how, async { kinesis.call(&split).await.map(drop) }).await;
            }
            2 | 3 if at + 1 < open.len() => {
                let (first, second) = (open[at].id, open[at + 1].id);
                let merge = MergeShardsInput {
                    shard_to_merge: shard_id::format(first),
                    adjacent_shard_to_merge: shard_id::format(second),
                    stream_name: Some(stream.to_string()),
                    ..Default::default()
                };
                let how = told(format!("merge {first} and {second}"));
                client.act(how, async { kinesis.call(&merge).await.map(drop) }).await;
            }
            4 => {
                let target = 1 + client.world.below(OPEN_SHARDS_MAX as u64) as i32;
                let update = UpdateShardCountInput {
                    target_shard_count: target,
                    scaling_type: ScalingType::UniformScaling,
                    stream_name: Some(stream.to_string()),
                    ..Default::default()
                };
                let how = told(format!("update to {target} shards"));
                client.act(how, async { kinesis.call(&update).await.map(drop) }).await;
            }
            _ if open.len() < OPEN_SHARDS_MAX => {
                let kafka = client.world.kafka();
                let Ok(topic) = kafka.topic(ORDERS).await else { continue };
                let count = topic.partitions.len() as i32 + 1;
                let how = told(format!("{count} partitions"));
                client.act(how, kafka.create_partitions(ORDERS, count)).await;
            }
            _ => {}
        }
    }
}
