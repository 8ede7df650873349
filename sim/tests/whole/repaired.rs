//! A log that lost its last batches to a repair, by Kinesis.

use std::path::Path;

use bytes::Bytes;
use kolk_client::kafka::{Kafka, NewTopic, Options};
use kolk_client::kinesis::Kinesis;
use kolk_engine::door::sim;
use kolk_engine::local::{self, LocalOptions, Lost};
use kolk_engine::types::Offset;
use kolk_sim::{DATA_DIR, KAFKA, KINESIS};
use kolk_wire_kinesis::requests::{
    GetRecordsInput, GetShardIteratorInput, PutRecordInput, ShardIteratorType, SplitShardInput,
};
use kolk_wire_kinesis::shard_id;

/// The last record of a shard that was split lay in a frame that was lost: the log ended before the shard did, nothing was
/// told as lost, and a reader was never told that the shard had ended (seed 50 when repairs came into the simulation).
#[test]
fn a_closed_shard_is_read_to_its_end_though_its_last_record_is_lost() {
    sim::run(0, |sim| async move {
        let server = kolk_sim::start(&sim).await;
        let kafka = Kafka::new(sim.outside(), KAFKA, Options::default()).expect("an address");
        let topic = NewTopic {
            name: "orders".to_owned(),
            partitions: Some(1),
            replication: None,
            configs: vec![("kolk.reshard".to_owned(), "split+merge".to_owned())],
        };
        kafka.create_topic(&topic).await.expect("a fresh server makes a topic");
        let endpoint = format!("http://{KINESIS}").parse().expect("an address");
        let kinesis = Kinesis::new(sim.outside(), endpoint, Default::default());
        for value in ["one", "two", "three"] {
            let put = PutRecordInput {
                partition_key: Some("key".to_owned()),
                data: Bytes::from(value),
                stream_name: Some("orders".to_owned()),
                ..Default::default()
            };
            kinesis.call(&put).await.expect("a healthy server");
        }
        let split = SplitShardInput {
            new_starting_hash_key: (1u128 << 127).to_string(),
            stream_name: Some("orders".to_owned()),
            shard_to_split: shard_id::format(0),
            ..Default::default()
        };
        kinesis.call(&split).await.expect("a healthy server");
        server.stop().await.expect("a healthy log closes");
        sim.kill().await;

        let (door, mut entries) = (sim.door(), Vec::new());
        let mut take = |entry| entries.push(entry);
        local::dump(&door, Path::new(DATA_DIR), &mut take).await.expect("a log at rest");
        let (mut file, mut frame, mut third) = (String::new(), 0, None);
        for entry in entries {
            let field = |name: &str| entry.fields.iter().find(|field| field.0 == name).map(|field| &field.1);
            match entry.kind {
                "wal-file" => file = field("file").expect("its name").clone(),
                "frame" => frame = field("position").and_then(|at| at.parse().ok()).expect("a number"),
                "batch" if field("base").is_some_and(|base| base == "2") => {
                    third = Some((file.clone(), frame));
                }
                _ => {}
            }
        }
        let (file, position): (String, u64) = third.expect("three records were put");
        sim.flip_bit(&Path::new(DATA_DIR).join("wal").join(file), position + 100, 0);

        let options = LocalOptions::default();
        let repaired = local::repair(&sim.door(), Path::new(DATA_DIR), options, local::RepairHow::APPLY)
            .await
            .expect("it repairs");
        let lost = Lost { topic: "orders".to_owned(), partition: 0, first: Offset(2), last: Offset(2) };
        assert_eq!(repaired.lost, [lost]);
        assert!(repaired.repaired && repaired.decisions_lost);
        sim.kill().await;

        let server = kolk_sim::start(&sim).await;
        let begin = GetShardIteratorInput {
            shard_id: shard_id::format(0),
            shard_iterator_type: ShardIteratorType::TrimHorizon,
            stream_name: Some("orders".to_owned()),
            ..Default::default()
        };
        let mut iterator = kinesis.call(&begin).await.expect("a shard of ours").shard_iterator;
        let mut values = Vec::new();
        for _ in 0..10 {
            let Some(shard_iterator) = iterator else { break };
            let get = GetRecordsInput { shard_iterator, ..Default::default() };
            let page = kinesis.call(&get).await.expect("an iterator of ours");
            values.extend(page.records.into_iter().map(|record| record.data));
            iterator = page.next_shard_iterator;
        }
        assert_eq!(iterator, None, "the shard ends");
        assert_eq!(values, ["one", "two"]);
        server.stop().await.expect("a healthy log closes");
    });
}
