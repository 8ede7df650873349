//! Streams: topics as the Kinesis face makes, lists and configures them.
//!
//! Owns what a stream is when Kinesis makes it (configs that a topic made by Kafka does not have) and the pairing
//! of retention in hours with `retention.ms`. Every change is one [`Broker::propose`]; no rule lives here.

use std::collections::BTreeMap;
use std::sync::Arc;

use kolk_engine::state::reshard::{Permission, RESHARD_CONFIG};
use kolk_engine::state::{Command, ConfigChange, ConfigOp, CreateTopic, Outcome, Refusal, Topic};
use kolk_engine::{EngineError, EngineExt, Pending, TopicId};

use crate::Broker;

/// Retention of a stream made by CreateStream, hours.
pub const RETENTION_HOURS_DEFAULT: i32 = 24;

/// Longest retention the Kinesis API knows, hours; what is kept longer or for ever is shown as this.
pub const RETENTION_HOURS_MAX: i32 = 8760;

/// Shards of a stream whose creator names no count.
pub const SHARDS_DEFAULT: i32 = 4;

/// Tags a stream may have.
pub const TAGS_MAX: usize = 50;

/// Longest name that Kinesis can address; topics with longer ones are not listed.
pub const NAME_BYTES_MAX: usize = 128;

const HOUR_MS: i64 = 3_600_000;

const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

const STREAM_MODE: &str = "kolk.stream.mode";
const ON_DEMAND: &str = "on-demand";

/// What Kafka's default of `max.message.bytes` adds to 1 MiB.
const LOG_OVERHEAD_BYTES: i64 = 12;

/// A page of streams.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamsPage {
    /// In order of name.
    pub streams: Vec<Arc<Topic>>,
    /// Whether more follow: ask again after the last one.
    pub more: bool,
}

/// What DescribeLimits counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCounts {
    /// Streams.
    pub streams: usize,
    /// Shards that take records, over all streams.
    pub open_shards: i64,
    /// Partitions (= most shards that take records) there may be over all streams.
    pub shards_max: i64,
}

/// Retention as Kinesis shows it: whole hours, at least 1.
pub fn retention_hours(retention_ms: Option<i64>) -> i32 {
    let longest = i64::from(RETENTION_HOURS_MAX);
    let hours = retention_ms.map_or(longest, |ms| (ms.max(1) - 1) / HOUR_MS + 1);
    hours.clamp(1, longest) as i32
}

/// MaxRecordSizeInKiB of a stream, from its `max.message.bytes`: 1 MiB to 10 MiB of data and key.
pub fn record_kib_max(topic: &Topic) -> i32 {
    let configured = topic.configs.get(MAX_MESSAGE_BYTES).and_then(|value| value.parse::<i64>().ok());
    configured.map_or(1024, |bytes| (bytes - LOG_OVERHEAD_BYTES) / 1024).clamp(1024, 10_240) as i32
}

fn message_bytes_max(record_kib: i32) -> i64 {
    i64::from(record_kib) * 1024 + LOG_OVERHEAD_BYTES
}

/// Whether a stream was made on demand (StreamModeDetails), or was called so since.
pub fn is_on_demand(topic: &Topic) -> bool {
    topic.configs.get(STREAM_MODE).is_some_and(|mode| mode == ON_DEMAND)
}

/// What a stream is made with beside its name.
#[derive(Clone, Debug, Default)]
pub struct NewStream {
    /// Shards, if the creator names a count.
    pub shards: Option<i32>,
    /// Whether it is shown as on-demand; its shards do not change by themselves.
    pub on_demand: bool,
    /// MaxRecordSizeInKiB.
    pub record_kib_max: Option<i32>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// Makes a stream: CreateStream. As a topic it may be split and merged and keeps the broker's append time; answers
/// [`Outcome::TopicCreated`].
pub fn create(broker: &Broker, name: &str, stream: NewStream) -> Pending<Result<Outcome, Refusal>> {
    let retention_ms = i64::from(RETENTION_HOURS_DEFAULT) * HOUR_MS;
    let configs = [
        (RESHARD_CONFIG, Permission::SplitAndMerge.as_str().to_owned()),
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("retention.ms", retention_ms.to_string()),
    ];
    let mode = stream.on_demand.then(|| (STREAM_MODE, ON_DEMAND.to_owned()));
    let record_bytes =
        stream.record_kib_max.map(|kib| (MAX_MESSAGE_BYTES, message_bytes_max(kib).to_string()));
    broker.propose(Command::CreateTopic(CreateTopic {
        name: name.into(),
        id: TopicId(broker.door().random.uuid().as_u128()),
        partitions: stream.shards.unwrap_or(SHARDS_DEFAULT),
        configs: configs
            .into_iter()
            .chain(mode)
            .chain(record_bytes)
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        tags: stream.tags,
        now_ms: broker.now_ms(),
    }))
}

/// Sets how long records are kept: Increase- and DecreaseStreamRetentionPeriod, after their checks.
pub fn set_retention(broker: &Broker, topic: TopicId, hours: i32) -> Pending<Result<Outcome, Refusal>> {
    let value = (i64::from(hours) * HOUR_MS).to_string();
    let changes = vec![ConfigChange { name: "retention.ms".to_owned(), op: ConfigOp::Set(value) }];
    broker.propose(Command::AlterTopicConfigs { topic, replace: false, changes })
}

/// Sets (`Some`) and removes (`None`) tags.
pub fn change_tags(
    broker: &Broker,
    topic: TopicId,
    changes: Vec<(String, Option<String>)>,
) -> Pending<Result<Outcome, Refusal>> {
    broker.propose(Command::ChangeTags { topic, changes, limit: TAGS_MAX })
}

/// Streams in order of name, from the one after `after`, at most `limit`.
pub async fn list(broker: &Broker, after: Option<&str>, limit: usize) -> Result<StreamsPage, EngineError> {
    let page = broker.engine().query(|state| {
        let from = after.unwrap_or("");
        let mut rest = state.topics_from(from).filter(|topic| {
            after.is_none_or(|after| &*topic.name > after) && topic.name.len() <= NAME_BYTES_MAX
        });
        let streams = rest.by_ref().take(limit).cloned().collect();
        StreamsPage { streams, more: rest.next().is_some() }
    });
    page.await
}

/// Counts for DescribeLimits.
pub async fn counts(broker: &Broker) -> Result<StreamCounts, EngineError> {
    let counts = broker.engine().query(|state| StreamCounts {
        streams: state.topic_count(),
        open_shards: state.open_shard_count() as i64,
        shards_max: state.limits().partitions_total,
    });
    counts.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_shown_in_whole_hours() {
        for (ms, hours) in [
            (Some(0), 1),
            (Some(1), 1),
            (Some(HOUR_MS), 1),
            (Some(HOUR_MS + 1), 2),
            (Some(24 * HOUR_MS), 24),
            (Some(168 * HOUR_MS), 168),
            (Some(i64::MAX), RETENTION_HOURS_MAX),
            (None, RETENTION_HOURS_MAX),
        ] {
            assert_eq!(retention_hours(ms), hours, "{ms:?}");
        }
    }
}
