//! Clients of the catalogue: topics that come and go, configs, DeleteRecords, producer ids.

use std::collections::BTreeMap;

use kolk_client::Error;
use kolk_client::kafka::{ConfigSource, Kafka, OffsetSpec};

use super::client::Client;
use super::readers::{offsets, starts};
use super::{LEDGER, ORDERS, producers};
use crate::history::{Name, Told, What, bare};

/// Topics of its own that are there at a time.
const TOPICS_MAX: usize = 5;

/// All topics with their partitions.
pub(super) async fn topics(kafka: &Kafka) -> Result<BTreeMap<String, i32>, Error> {
    let metadata = kafka.metadata(None).await?;
    Ok(metadata.topics.into_iter().map(|(name, topic)| (name, topic.partitions.len() as i32)).collect())
}

/// The configs that are set on a topic.
pub(super) async fn configs(kafka: &Kafka, topic: &Name) -> Result<BTreeMap<String, String>, Error> {
    let configs = kafka.topic_configs(bare(topic)).await?.into_iter();
    let set = configs.filter(|config| config.source == ConfigSource::Topic);
    Ok(set.filter_map(|config| Some((config.name, config.value?))).collect())
}

/// Makes, deletes and configures topics, and looks.
pub(super) async fn change(client: Client) {
    let kafka = client.world.kafka();
    let mut there: Vec<Name> = Vec::new();
    // Names whose topic is certainly gone, with how often they were used.
    let mut free: Vec<(String, u32)> = Vec::new();
    let mut made = 0;
    while client.goes_on(250).await {
        let world = &client.world;
        match world.below(8) {
            0 | 1 if there.len() < TOPICS_MAX => {
                let (name, times) = match free.pop() {
                    Some((name, times)) => (name, times + 1),
                    None => {
                        made += 1;
                        (format!("t-{made}"), 1)
                    }
                };
                let topic: Name = if times == 1 { name } else { format!("{name}#{times}") }.into();
                let value = (1000 + world.below(9)).to_string();
                let configs = BTreeMap::from([("max.message.bytes".to_owned(), value)]);
                if !client.create(&topic, 1 + world.below(4) as i32, configs).await.is_refused() {
                    there.push(topic);
                }
            }
            2 if !there.is_empty() => {
                let topic = there.remove(world.below(there.len() as u64) as usize);
                let what = |told| What::Delete { topic: topic.clone(), told };
                if client.act(what, kafka.delete_topic(bare(&topic))).await.ok().is_some() {
                    let times = topic.split('#').nth(1).map_or(1, |times| times.parse().expect("a count"));
                    free.push((bare(&topic).to_owned(), times));
                }
            }
            3 | 4 => {
                let topic = client.one_of(&there).cloned().unwrap_or_else(|| ORDERS.into());
                let change = match world.below(4) {
                    0 => None,
                    _ => Some((1_000_000 + world.below(1000)).to_string()),
                };
                alter(&client, &kafka, &topic, "max.message.bytes", change).await;
            }
            5 => {
                let retention = (1500 + 500 * world.below(3)).to_string();
                alter(&client, &kafka, &LEDGER.into(), "retention.ms", Some(retention)).await;
            }
            6 => {
                client.act(|told| What::Topics { told }, topics(&kafka)).await;
            }
            _ => {
                let mut all = there.clone();
                all.extend([ORDERS.into(), LEDGER.into()]);
                let topic = client.one_of(&all).expect("two are always there").clone();
                let what = |told| What::Configs { topic: topic.clone(), told };
                client.act(what, async { absent_is_open(configs(&kafka, &topic).await) }).await;
            }
        }
    }
}

/// A topic that may never have been made has no configs to show.
fn absent_is_open<T>(answer: Result<T, Error>) -> Result<T, Error> {
    answer.map_err(|error| match error {
        Error::Refused { code, .. } if !code.is_retriable() => Error::Stopped,
        error => error,
    })
}

async fn alter(client: &Client, kafka: &Kafka, topic: &Name, config: &str, value: Option<String>) {
    let changes = BTreeMap::from([(config.to_owned(), value.clone())]);
    let what = |told| What::Alter { topic: topic.clone(), changes: changes.clone(), told };
    let change = [(config.to_owned(), value)];
    client.act(what, kafka.alter_topic_configs(bare(topic), &change)).await;
}

/// Deletes records of the log that is trimmed.
pub(super) async fn trim(client: Client) {
    let kafka = client.world.kafka();
    let topic: Name = LEDGER.into();
    while client.goes_on(1500).await {
        let Ok(ends) = offsets(&kafka, &topic, OffsetSpec::Latest).await else { continue };
        let partitions: Vec<_> = ends.into_iter().collect();
        let Some((partition, end)) = client.one_of(&partitions).copied() else { continue };
        let before = client.world.below(end as u64 + 1) as i64;
        let what = |told: Told<i64>| What::Trim { topic: topic.clone(), partition, before, told };
        let trimmed = async {
            let starts = kafka.delete_records(&topic, &[(partition, before)]).await?;
            Ok(starts.get(&partition).copied().unwrap_or(-1))
        };
        client.act(what, trimmed).await;
        starts(&client, &kafka, &topic).await;
    }
}

/// Asks for producer ids.
pub(super) async fn producer_ids(client: Client) {
    while client.goes_on(700).await {
        producers::producer_id(&client).await;
    }
}
