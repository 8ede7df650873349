//! What reads everything in the end, by both protocols, from a server that has started once more.

use kolk_client::Error;
use kolk_client::kafka::{FetchOptions, Fetcher, Kafka, OffsetSpec};

use super::client::Client;
use super::{GROUP, LEDGER, ORDERS, catalogue, readers, streams};
use crate::history::{Name, What, Whole};

pub(super) async fn read_everything(client: &Client) {
    let (kafka, kinesis) = (client.world.kafka(), client.world.kinesis());
    let there =
        client.surely(|told| What::Topics { told }, || catalogue::topics(&kafka)).await.unwrap_or_default();
    for topic in [ORDERS, LEDGER].map(Name::from) {
        let what = |told| What::Configs { topic: topic.clone(), told };
        client.surely(what, || catalogue::configs(&kafka, &topic)).await;
        let what = |told| What::Ends { topic: topic.clone(), told };
        client.surely(what, || readers::offsets(&kafka, &topic, OffsetSpec::Latest)).await;
        for partition in 0..there.get(&*topic).copied().unwrap_or(0) {
            let what = |told| What::Log { topic: topic.clone(), partition, told };
            client.surely(what, || whole(&kafka, &topic, partition)).await;
        }
    }
    let stream: Name = ORDERS.into();
    let what = |told| What::Shards { stream: stream.clone(), told };
    let shards = client.surely(what, || streams::list_shards(&kinesis, &stream)).await.unwrap_or_default();
    for shard in &shards {
        let what = |told| What::Slice { stream: stream.clone(), shard: shard.id, told };
        client.surely(what, || streams::read_whole(&kinesis, &stream, shard)).await;
    }
    client.surely(|told| What::Committed { group: GROUP.into(), told }, || readers::committed(&kafka)).await;
}

/// A partition from its first to its last offset.
async fn whole(kafka: &Kafka, topic: &Name, partition: i32) -> Result<Whole, Error> {
    let bound =
        async |spec| Ok::<_, Error>(kafka.list_offsets(topic, &[(partition, spec)]).await?[&partition].0);
    let start = bound(OffsetSpec::Earliest).await?;
    let end = bound(OffsetSpec::Latest).await?;
    let mut records = Vec::new();
    let mut fetcher = Fetcher::new(kafka.clone(), FetchOptions::default());
    fetcher.seek(topic, partition, start);
    let mut next = start;
    while next < end {
        if let Some(fetched) = fetcher.poll().await? {
            next = fetched.next_offset;
            records.extend(readers::values(fetched.records));
        }
    }
    Ok(Whole { start, end, records })
}
