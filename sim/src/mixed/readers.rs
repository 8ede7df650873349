//! Kafka readers: polls from anywhere, first and last offsets, members of a group that come and go, and whose commits come
//! late.

use std::collections::BTreeMap;
use std::time::Duration;

use kolk_client::Error;
use kolk_client::kafka::{
    FetchOptions, Fetcher, GroupConsumer, GroupEvent, GroupOptions, Kafka, OffsetSpec, OwnedRecord,
};
use kolk_wire_kafka::ErrorCode;

use super::client::{Client, leaves_open, unpadded};
use super::{GROUP, LEDGER, ORDERS};
use crate::history::{Fetched, Name, Partition, Told, What};

/// First or last offsets of all partitions.
pub(super) async fn offsets(
    kafka: &Kafka,
    topic: &str,
    spec: OffsetSpec,
) -> Result<BTreeMap<i32, i64>, Error> {
    let described = kafka.topic(topic).await?;
    let all: Vec<_> = described.partitions.keys().map(|partition| (*partition, spec)).collect();
    let found = kafka.list_offsets(topic, &all).await?;
    Ok(found.into_iter().map(|(partition, (offset, _))| (partition, offset)).collect())
}

/// Offsets and values of records.
pub(super) fn values(records: Vec<OwnedRecord>) -> Vec<(i64, String)> {
    let value = |record: &OwnedRecord| unpadded(record.body.value.as_deref().unwrap_or_default());
    records.iter().map(|record| (record.offset, value(record))).collect()
}

/// Asks for first and last offsets, and what the group has committed.
pub(super) async fn edges(client: Client) {
    let kafka = client.world.kafka();
    while client.goes_on(250).await {
        let topic: Name = if client.world.below(3) == 0 { ORDERS } else { LEDGER }.into();
        match client.world.below(4) {
            0 | 1 => starts(&client, &kafka, &topic).await,
            2 => {
                let what = |told| What::Ends { topic: topic.clone(), told };
                client.act(what, offsets(&kafka, &topic, OffsetSpec::Latest)).await;
            }
            _ => {
                let what = |told| What::Committed { group: GROUP.into(), told };
                client.act(what, committed(&kafka)).await;
            }
        }
    }
}

/// Asks for first offsets.
pub(super) async fn starts(client: &Client, kafka: &Kafka, topic: &Name) {
    let what = |told| What::Starts { topic: topic.clone(), told };
    client.act(what, offsets(kafka, topic, OffsetSpec::Earliest)).await;
}

/// What the group has committed.
pub(super) async fn committed(kafka: &Kafka) -> Result<BTreeMap<Partition, i64>, Error> {
    let committed = kafka.committed(GROUP).await?;
    Ok(committed.into_iter().map(|((topic, at), it)| ((topic.into(), at), it.offset)).collect())
}

/// Reads single partitions from anywhere, a few answers each.
pub(super) async fn poll(client: Client) {
    let kafka = client.world.kafka();
    while client.goes_on(300).await {
        let topic: Name = if client.world.below(3) == 0 { LEDGER } else { ORDERS }.into();
        let Ok(ends) = offsets(&kafka, &topic, OffsetSpec::Latest).await else { continue };
        let partitions: Vec<_> = ends.into_iter().collect();
        let Some((partition, end)) = client.one_of(&partitions).copied() else { continue };
        // At the end readers meet what is being written.
        let from_end = client.world.below(2) == 0;
        let mut at = if from_end { end } else { client.world.below(end as u64 + 1) as i64 };
        let options = FetchOptions {
            max_wait: Duration::from_millis(client.world.below(200)),
            // Small answers end in the middle of what there is.
            partition_max_bytes: 512 + client.world.below(8192) as i32,
            ..Default::default()
        };
        let mut fetcher = Fetcher::new(kafka.clone(), options);
        fetcher.seek(&topic, partition, at);
        for _ in 0..1 + client.world.below(8) {
            let what = |told| What::Read { topic: topic.clone(), partition, from: at, group: None, told };
            let told = client
                .act(what, async {
                    let nothing = Fetched { records: Vec::new(), next: at, end: None };
                    let fetched = fetcher.poll().await?.map_or(nothing, |fetched| Fetched {
                        next: fetched.next_offset,
                        end: Some(fetched.high_watermark),
                        records: values(fetched.records),
                    });
                    Ok(fetched)
                })
                .await;
            match told {
                Told::Ok(fetched) => at = fetched.next,
                Told::Unknown(_) | Told::Refused(_) => break,
            }
        }
    }
}

/// A member that reads, commits, leaves or vanishes, and comes back.
pub(super) async fn member(client: Client) {
    let kafka = client.world.kafka();
    while client.goes_on(800).await {
        let mut consumer = consumer(&client);
        // Offsets up to which this membership has read.
        let mut read: BTreeMap<Partition, i64> = BTreeMap::new();
        let mut held: Option<Held> = None;
        for _ in 0..5 + client.world.below(60) {
            if client.world.is_winding_down() {
                break;
            }
            let has_joined = step(&client, &mut consumer, &mut read).await;
            if let Some(late) = held.take_if(|held| has_joined && held.is_over(&consumer)) {
                late.arrives(&client, &kafka).await;
            }
            if !read.is_empty() && client.world.below(2) == 0 {
                if held.is_none() && client.world.below(2) == 0 {
                    held = Some(Held::of(&consumer, &read));
                } else {
                    commit(&client, &mut consumer, &read).await;
                }
            }
        }
        match client.world.below(3) {
            0 => drop(consumer),
            // What does not come through ends with the session.
            _ => drop(consumer.leave().await),
        }
    }
}

/// A commit that is under way for so long that its generation is over.
struct Held {
    generation: i32,
    member: String,
    offsets: BTreeMap<Partition, i64>,
}

impl Held {
    fn of(consumer: &GroupConsumer, read: &BTreeMap<Partition, i64>) -> Held {
        let (generation, member) = (consumer.generation(), consumer.member().to_owned());
        Held { generation, member, offsets: read.clone() }
    }

    /// Whether its member has got partitions in a later generation.
    fn is_over(&self, consumer: &GroupConsumer) -> bool {
        self.member == consumer.member() && self.generation < consumer.generation()
    }

    /// It is to be refused: others may have gone on from what was committed behind it.
    async fn arrives(self, client: &Client, kafka: &Kafka) {
        let what = |told| What::Commit { group: GROUP.into(), offsets: self.offsets.clone(), told };
        let offsets: Vec<_> =
            self.offsets.iter().map(|((topic, at), to)| (topic.to_string(), *at, *to)).collect();
        client.act(what, kafka.commit_as(GROUP, self.generation, &self.member, &offsets)).await;
        let what = |told| What::Committed { group: GROUP.into(), told };
        client.act(what, committed(kafka)).await;
    }
}

fn consumer(client: &Client) -> GroupConsumer {
    let options = GroupOptions {
        session_timeout: Duration::from_secs(6),
        rebalance_timeout: Duration::from_secs(10),
        heartbeat: Duration::from_secs(1),
        auto_commit: None,
        reset: OffsetSpec::Earliest,
        fetch: FetchOptions { max_wait: Duration::from_millis(200), ..Default::default() },
    };
    let topics = [ORDERS.to_owned(), LEDGER.to_owned()];
    GroupConsumer::new(client.world.kafka(), GROUP, &topics, options)
}

/// Once all is well: a last member goes on from what the group has committed, to the end of every partition.
pub(super) async fn read_the_rest(client: &Client) {
    let kafka = client.world.kafka();
    let mut consumer = consumer(client);
    let mut read: BTreeMap<Partition, i64> = BTreeMap::new();
    for _ in 0..STEPS_MAX {
        step(client, &mut consumer, &mut read).await;
        if !read.is_empty() {
            commit(client, &mut consumer, &read).await;
        }
        let what = |told| What::Committed { group: GROUP.into(), told };
        let committed = client.act(what, committed(&kafka)).await;
        let committed = committed.ok().cloned().unwrap_or_default();
        let mut is_through = true;
        for topic in [ORDERS, LEDGER].map(Name::from) {
            let ends = offsets(&kafka, &topic, OffsetSpec::Latest).await.expect("a healthy server");
            let starts = offsets(&kafka, &topic, OffsetSpec::Earliest).await.expect("a healthy server");
            is_through &= ends.iter().all(|(partition, end)| {
                let key = (topic.clone(), *partition);
                committed.get(&key).copied().unwrap_or(0).max(starts[partition]) >= *end
            });
        }
        if is_through {
            consumer.leave().await.expect("the only member leaves");
            return;
        }
    }
    panic!("the last member of a group does not come to the end of what there is");
}

/// Polls of the last member, at most.
const STEPS_MAX: u32 = 2000;

/// One poll; true if partitions were assigned.
async fn step(client: &Client, consumer: &mut GroupConsumer, read: &mut BTreeMap<Partition, i64>) -> bool {
    match consumer.poll().await {
        Ok(GroupEvent::Assigned(_)) => {
            read.clear();
            return true;
        }
        Ok(GroupEvent::Idle) => {}
        Ok(GroupEvent::Records(fetched)) => {
            let topic: Name = fetched.topic.as_str().into();
            let next = fetched.next_offset;
            let records = values(fetched.records);
            let first = records.first().map_or(next, |(offset, _)| *offset);
            let before = read.insert((topic.clone(), fetched.partition), next);
            // Where the log was trimmed the consumer goes on at its start: the checker knows what may be gone.
            let from = before.unwrap_or(first);
            // Of an answer that waited in the consumer nobody knows when it was given, but that it was before now: it
            // tells nothing of the end.
            let told = Told::Ok(Fetched { records, next, end: None });
            let group = Some(GROUP.into());
            let what = What::Read { topic, partition: fetched.partition, from, group, told };
            client.recorder.note(&client.name, client.now_ms(), what);
        }
        Err(error) if leaves_open(&error) || is_out(&error) => client.world.pause(100).await,
        Err(error) => {
            let told = Told::Refused(error.to_string());
            let what =
                What::Read { topic: ORDERS.into(), partition: -1, from: 0, group: Some(GROUP.into()), told };
            client.recorder.note(&client.name, client.now_ms(), what);
        }
    }
    false
}

async fn commit(client: &Client, consumer: &mut GroupConsumer, read: &BTreeMap<Partition, i64>) {
    let what = |told| What::Commit { group: GROUP.into(), offsets: read.clone(), told };
    let offsets = read.iter().map(|((topic, partition), offset)| ((topic.to_string(), *partition), *offset));
    let offsets = offsets.collect();
    client
        .act(what, async {
            match consumer.commit_offsets(offsets).await {
                Ok(true) => Ok(()),
                // The generation is over.
                Ok(false) => Err(refused(ErrorCode::IllegalGeneration)),
                Err(error) => Err(error),
            }
        })
        .await;
}

fn refused(code: ErrorCode) -> Error {
    Error::Refused { what: "commit".to_owned(), code, message: None }
}

/// Whether the member has to join again.
fn is_out(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress)
    )
}
