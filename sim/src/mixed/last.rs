//! What reads everything in the end, by both protocols, from a server that has started once more.

use kolk_client::Error;
use kolk_client::kafka::{FetchOptions, Fetcher, Kafka, OffsetSpec};

use super::client::Client;
use super::{GROUP, LEDGER, ORDERS, catalogue, readers, streams};
use crate::history::{Name, What, Whole};

/// Answers without records in a row, each after the server has waited for some, that mean that there are none.
const EMPTY_POLLS_MAX: u32 = 20;

pub(super) async fn read_everything(client: &Client) {
    let (kafka, kinesis) = (client.world.kafka(), client.world.kinesis());
    let there = client.surely(|told| What::Topics { told }, || catalogue::topics(&kafka)).await;
    // Where one is missing, the list of all topics says so.
    for topic in [ORDERS, LEDGER].into_iter().filter(|topic| there.contains_key(*topic)).map(Name::from) {
        let what = |told| What::Configs { topic: topic.clone(), told };
        client.surely(what, || catalogue::configs(&kafka, &topic)).await;
        let what = |told| What::Ends { topic: topic.clone(), told };
        client.surely(what, || readers::offsets(&kafka, &topic, OffsetSpec::Latest)).await;
        for partition in 0..there.get(&*topic).copied().unwrap_or(0) {
            let what = |told| What::Log { topic: topic.clone(), partition, told };
            client.surely(what, || whole(&kafka, &topic, partition)).await;
        }
    }
    if there.contains_key(ORDERS) {
        let stream: Name = ORDERS.into();
        let what = |told| What::Shards { stream: stream.clone(), told };
        let shards = client.surely(what, || streams::list_shards(&kinesis, &stream)).await;
        for shard in &shards {
            let what = |told| What::Slice { stream: stream.clone(), shard: shard.id, told };
            client.surely(what, || streams::read_whole(&kinesis, &stream, shard)).await;
        }
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
    let (mut next, mut nothing) = (start, 0);
    // A log that lost its last records has nothing before its end.
    while next < end && nothing < EMPTY_POLLS_MAX {
        match fetcher.poll().await? {
            Some(fetched) => {
                next = fetched.next_offset;
                records.extend(readers::values(fetched.records));
                nothing = 0;
            }
            None => nothing += 1,
        }
    }
    Ok(Whole { start, end, records })
}
