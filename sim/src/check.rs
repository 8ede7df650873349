//! Everything that can be read against everything that clients were told.

use std::collections::BTreeMap;

use kolk_client::kafka::{FetchOptions, Fetcher, OffsetSpec};
use kolk_wire_kinesis::requests::{GetRecordsInput, GetShardIteratorInput, ShardIteratorType};
use kolk_wire_kinesis::shard_id;

use crate::clients::{Client, SHARDS_IN_THE_END, consumer, offset_of, poll, shards};
use crate::ledger::{Place, assert_ascending, author, doubles};
use crate::{GROUP, TOPIC};

/// What Kafka shows: partition and offset with the value.
type Log = BTreeMap<(i32, i64), String>;

/// A record as Kinesis shows it.
struct Seen {
    shard: u32,
    partition: i32,
    offset: i64,
    key: String,
    value: String,
}

/// Checks every invariant.
pub(crate) async fn everything(client: &Client) {
    let (log, ends) = by_kafka(client).await;
    let (seen, shards) = by_kinesis(client).await;
    group_reads_the_rest(client, &ends).await;
    let told = client.ledger.told();

    // Once: nothing was doubled by a retry, nothing came from nowhere, nothing that must be there is missing.
    assert_eq!(doubles(log.values()), Default::default(), "records that are there twice");
    let places: BTreeMap<&String, (i32, i64)> = log.iter().map(|(place, value)| (value, *place)).collect();
    for (value, place) in &told.writes {
        let found = places.get(value);
        match place {
            Place::Kafka { partition, offset } => {
                assert_eq!(found, Some(&(*partition, *offset)), "{value} was acknowledged there");
            }
            Place::KafkaSomewhere => assert!(found.is_some(), "{value} was acknowledged as a duplicate"),
            Place::Kinesis { offset, .. } => {
                assert_eq!(found.map(|(_, offset)| offset), Some(offset), "{value} was acknowledged there");
            }
            Place::Unknown => {}
        }
    }
    for value in log.values() {
        assert!(told.writes.contains_key(value), "nobody wrote {value}");
    }

    // In order: by partition for Kafka's writers, by key for Kinesis's.
    let is_kafka = |value: &str| author(value).0.starts_with('k');
    let by_partition = log.iter().filter(|(_, value)| is_kafka(value));
    assert_ascending(
        "by Kafka",
        by_partition.map(|((partition, _), value)| (partition.to_string(), value.as_str())),
    );
    let from_kafka = seen.iter().filter(|seen| is_kafka(&seen.value));
    assert_ascending(
        "Kafka's, by Kinesis",
        from_kafka.map(|seen| (seen.partition.to_string(), seen.value.as_str())),
    );
    let from_kinesis = seen.iter().filter(|seen| !is_kafka(&seen.value));
    assert_ascending(
        "Kinesis's, by Kinesis",
        from_kinesis.map(|seen| (seen.key.clone(), seen.value.as_str())),
    );

    // The same log by both protocols, offset = decoded sequence number.
    assert_eq!(doubles(seen.iter().map(|seen| &seen.value)), Default::default(), "records in two shards");
    assert_eq!(seen.len(), log.len(), "each record is in one shard");
    for seen in &seen {
        let place = places.get(&seen.value);
        assert_eq!(place, Some(&(seen.partition, seen.offset)), "{}: the same place", seen.value);
        if let Some(Place::Kinesis { shard, .. }) = told.writes.get(&seen.value) {
            assert_eq!(*shard, seen.shard, "{} was acknowledged in that shard", seen.value);
        }
    }

    // The group has been given all of it.
    assert_eq!(told.read, log, "what the group was given is the log");
    assert_eq!(shards, SHARDS_IN_THE_END);
}

/// Reads every partition from its first to its last offset; gives the last ones too.
async fn by_kafka(client: &Client) -> (Log, BTreeMap<i32, i64>) {
    let kafka = client.kafka();
    let topic = kafka.topic(TOPIC).await.expect("the topic survives");
    let all = |spec| topic.partitions.keys().map(|partition| (*partition, spec)).collect::<Vec<_>>();
    let first = kafka.list_offsets(TOPIC, &all(OffsetSpec::Earliest)).await.expect("first offsets");
    assert!(first.values().all(|(offset, _)| *offset == 0), "nothing was deleted: {first:?}");
    let last = kafka.list_offsets(TOPIC, &all(OffsetSpec::Latest)).await.expect("last offsets");
    let ends: BTreeMap<i32, i64> =
        last.iter().map(|(partition, (offset, _))| (*partition, *offset)).collect();

    let mut log = Log::new();
    for (partition, end) in &ends {
        let mut fetcher = Fetcher::new(kafka.clone(), FetchOptions::default());
        fetcher.seek(TOPIC, *partition, 0);
        let mut next = 0;
        while next < *end {
            let fetched = fetcher.poll().await.expect("what is in the log can be read");
            for record in fetched.into_iter().flat_map(|fetched| fetched.records) {
                assert_eq!(record.offset, next, "offsets of partition {partition} are dense");
                let value = record.body.value.expect("every record has a value");
                let value = String::from_utf8(value.to_vec()).expect("values are text");
                log.insert((*partition, next), value);
                next += 1;
            }
        }
        assert_eq!(next, *end, "partition {partition} ends where it says");
    }
    (log, ends)
}

/// Reads every shard to its end, parents before children; counts the shards.
async fn by_kinesis(client: &Client) -> (Vec<Seen>, usize) {
    let kinesis = client.kinesis();
    let shards = shards(&kinesis).await;
    let mut seen = Vec::new();
    for shard in &shards {
        let begin = GetShardIteratorInput {
            shard_id: shard.shard_id.clone(),
            shard_iterator_type: ShardIteratorType::TrimHorizon,
            starting_sequence_number: None,
            stream_name: Some(TOPIC.to_owned()),
            timestamp: None,
            stream_arn: None,
            stream_id: None,
            dry_run: None,
        };
        let is_closed = shard.sequence_number_range.ending_sequence_number.is_some();
        let mut iterator = kinesis.call(&begin).await.expect("every shard can be read").shard_iterator;
        while let Some(shard_iterator) = iterator {
            let get = GetRecordsInput {
                limit: Some(1 + client.below(20) as i32),
                shard_iterator,
                stream_arn: None,
                stream_id: None,
                dry_run: None,
            };
            let answer = kinesis.call(&get).await.expect("an iterator of ours");
            if !is_closed && answer.records.is_empty() && answer.millis_behind_latest == Some(0) {
                break;
            }
            seen.extend(answer.records.into_iter().map(|record| Seen {
                partition: shard.kolk_partition.expect("a shard with records has a partition"),
                shard: shard_id::parse(&shard.shard_id).expect("shards have ids"),
                offset: offset_of(&record.sequence_number),
                key: record.partition_key.unwrap_or_default(),
                value: String::from_utf8(record.data.to_vec()).expect("values are text"),
            }));
            iterator = answer.next_shard_iterator;
        }
    }
    (seen, shards.len())
}

/// A last member goes on from the offsets that the group has committed, to the end of every partition.
async fn group_reads_the_rest(client: &Client, ends: &BTreeMap<i32, i64>) {
    let kafka = client.kafka();
    let committed = || async {
        let committed = kafka.committed(GROUP).await.expect("committed offsets can be read");
        let places = committed.into_iter().map(|((_, partition), it)| (partition, it.offset));
        // Where nothing is to be read it may have committed the start.
        places.filter(|(_, offset)| *offset > 0).collect::<BTreeMap<_, _>>()
    };
    for (partition, offset) in committed().await {
        assert!(offset <= ends[&partition], "partition {partition}: committed at {offset}, beyond the end");
    }
    let written: BTreeMap<i32, i64> =
        ends.iter().map(|(at, end)| (*at, *end)).filter(|(_, end)| *end > 0).collect();
    let mut consumer = consumer(client);
    for _ in 0..1000 {
        poll(client, &mut consumer).await;
        if let Err(error) = consumer.commit().await {
            panic!("the only member commits: {error}");
        }
        if committed().await == written {
            break;
        }
    }
    consumer.leave().await.expect("the only member leaves");
    assert_eq!(committed().await, written, "the group has read everything");
}
