//! What several operations have in common: which stream is meant, how streams and shards are shown, tags, retention.

use std::sync::Arc;

use kolk_broker::shards::Stream;
use kolk_broker::streams;
use kolk_engine::state::{Command, Outcome, Refusal, Reshard, Shard, Topic};
use kolk_engine::{Pending, ShardId};
use kolk_wire_kinesis::model::constraints::Pattern;
use kolk_wire_kinesis::requests::{StreamMode, StreamModeDetails};
use kolk_wire_kinesis::sequence::SequenceNumber;
use kolk_wire_kinesis::{ErrorCode, ServiceError, Timestamp, replies, shard_id};

use crate::service::Service;
use crate::texts::engine_error;

/// The shortest retention that can be asked for.
const RETENTION_HOURS_MIN: i32 = 24;

pub fn invalid(text: impl Into<String>) -> ServiceError {
    ServiceError::new(ErrorCode::InvalidArgument, text)
}

impl Service {
    /// The name of the stream that a request means by name, by ARN or by both.
    pub fn named(
        &self,
        name: Option<String>,
        arn: Option<&str>,
        stream_id: Option<&str>,
    ) -> Result<String, ServiceError> {
        if stream_id.is_some() {
            return Err(invalid("StreamId is reserved for future use."));
        }
        match (name, arn) {
            (Some(name), None) => Ok(name),
            (None, None) => Err(invalid("Either StreamName or StreamARN should be provided.")),
            (name, Some(arn)) => {
                let by_arn = self.name_of_arn(arn)?;
                match name {
                    Some(name) if name != by_arn => {
                        Err(invalid(format!("StreamARN {arn} is not the ARN of stream {name}.")))
                    }
                    _ => Ok(by_arn),
                }
            }
        }
    }

    /// The stream's name in an ARN of ours.
    pub fn name_of_arn(&self, arn: &str) -> Result<String, ServiceError> {
        // arn:aws:kinesis:region:account:stream/name
        let mut fields = arn.splitn(6, ':').skip(4);
        let (account, resource) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let name = resource.strip_prefix("stream/").unwrap_or(resource);
        let ours = account == self.settings().account
            && resource.starts_with("stream/")
            && name.len() <= streams::NAME_BYTES_MAX
            && Pattern::Name.matches(name);
        if ours {
            return Ok(name.to_owned());
        }
        let text = format!("Stream {name} under account {account} not found.");
        Err(ServiceError::new(ErrorCode::ResourceNotFound, text))
    }

    /// The ARN of a stream of ours.
    pub fn arn(&self, stream: &str) -> String {
        let settings = self.settings();
        format!("arn:aws:kinesis:{}:{}:stream/{stream}", settings.region, settings.account)
    }

    /// The stream of that name, as it is durably.
    pub async fn stream(&self, name: &str) -> Result<Stream, ServiceError> {
        self.shards().stream(name).await.map_err(|error| self.shards_error(error, name))
    }

    /// The topic of a stream that is put to. Does not wait for the log: the put's own answer does.
    pub async fn topic(&self, name: &str) -> Result<Arc<Topic>, ServiceError> {
        match self.shards().topic(name) {
            Some(topic) => Ok(topic),
            None => Ok(self.stream(name).await?.topic),
        }
    }

    /// A refusal that rests on what [`Service::topic`] gave, once that is durable.
    pub async fn told(&self, refused: ServiceError, name: &str) -> ServiceError {
        self.stream(name).await.err().unwrap_or(refused)
    }

    /// Waits until what was decided about `stream` is durable.
    pub async fn decided(
        &self,
        pending: Pending<Result<Outcome, Refusal>>,
        stream: &str,
    ) -> Result<Outcome, ServiceError> {
        let decided = pending.await.map_err(|error| engine_error(&error))?;
        decided.map_err(|refusal| self.refusal(&refusal, stream))
    }

    /// Has a reshard of `stream` decided and waits until that is durable.
    pub async fn reshard(&self, stream: &Stream, how: Reshard) -> Result<(), ServiceError> {
        let topic = &stream.topic;
        let command = Command::Reshard { topic: topic.id, how, now_ms: self.broker().now_ms() };
        self.decided(self.broker().propose(command), &topic.name).await?;
        Ok(())
    }

    /// Changes tags, `None` removes.
    pub async fn change_tags(
        &self,
        stream: &str,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<replies::Nothing, ServiceError> {
        let legal = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_./=+-%@:".contains(c);
        let is_legal = |text: &String| text.chars().all(legal);
        if !changes.iter().all(|(key, value)| is_legal(key) && value.as_ref().is_none_or(is_legal)) {
            return Err(invalid(
                "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, \
                 _ . / = + - % @.",
            ));
        }
        let topic = self.stream(stream).await?.topic.id;
        self.decided(streams::change_tags(self.broker(), topic, changes), stream).await?;
        Ok(replies::Nothing {})
    }

    /// Sets the retention to `hours`, which must be on the right side of what it is.
    pub async fn change_retention(
        &self,
        name: &str,
        hours: i32,
        longer: bool,
    ) -> Result<replies::Nothing, ServiceError> {
        let stream = self.stream(name).await?;
        let bound = match hours {
            ..RETENTION_HOURS_MIN => Some(("Minimum", RETENTION_HOURS_MIN, "short")),
            RETENTION_HOURS_MIN..=streams::RETENTION_HOURS_MAX => None,
            _ => Some(("Maximum", streams::RETENTION_HOURS_MAX, "long")),
        };
        if let Some((which, bound, word)) = bound {
            return Err(invalid(format!(
                "{which} allowed retention period is {bound} hours. Requested retention period ({hours} hours) is \
                 too {word}."
            )));
        }
        let now = retention_hours(&stream);
        let (wrong, word, other) =
            if longer { (hours < now, "shorter", "Decrease") } else { (hours > now, "longer", "Increase") };
        if wrong {
            return Err(invalid(format!(
                "Requested retention period ({hours} hours) for stream {name} can not be {word} than existing \
                 retention period ({now} hours). Use {other}RetentionPeriod API."
            )));
        }
        self.decided(streams::set_retention(self.broker(), stream.topic.id, hours), name).await?;
        Ok(replies::Nothing {})
    }
}

pub fn retention_hours(stream: &Stream) -> i32 {
    streams::retention_hours(stream.retention_ms)
}

/// Streams are always active: every change of one is a single decision.
pub const STATUS: replies::StreamStatus = replies::StreamStatus::Active;

pub fn mode(topic: &Topic) -> Option<StreamModeDetails> {
    let stream_mode =
        if streams::is_on_demand(topic) { StreamMode::OnDemand } else { StreamMode::Provisioned };
    Some(StreamModeDetails { stream_mode })
}

pub fn monitoring() -> Vec<replies::EnhancedMetrics> {
    vec![replies::EnhancedMetrics { shard_level_metrics: Vec::new() }]
}

pub fn created(topic: &Topic) -> Timestamp {
    Timestamp(topic.created_ms)
}

/// A shard's create second in its sequence numbers.
pub fn create_second(shard: &Shard) -> u64 {
    u64::try_from(shard.create_second).unwrap_or_default()
}

/// The second of an instant.
pub fn second(ms: i64) -> u64 {
    u64::try_from(ms / 1000).unwrap_or_default()
}

/// The number of a record.
pub fn sequence_number(shard: ShardId, create_second: i64, offset: i64, append_ms: i64) -> String {
    let created = u64::try_from(create_second).unwrap_or_default();
    SequenceNumber::record(created, shard.0, offset, second(append_ms)).to_string()
}

pub fn hash_key_range(shard: &Shard) -> replies::HashKeyRange {
    replies::HashKeyRange {
        ending_hash_key: shard.range.end.to_string(),
        starting_hash_key: shard.range.start.to_string(),
    }
}

/// A shard as it is listed.
pub fn shown(shard: &Shard) -> replies::Shard {
    let created = create_second(shard);
    let end = |closed_ms| SequenceNumber::end(created, shard.id.0, second(closed_ms)).to_string();
    replies::Shard {
        adjacent_parent_shard_id: shard.adjacent_parent.map(|parent| parent.to_string()),
        hash_key_range: hash_key_range(shard),
        parent_shard_id: shard.parent.map(|parent| parent.to_string()),
        sequence_number_range: replies::SequenceNumberRange {
            ending_sequence_number: shard.closed_ms.map(end),
            starting_sequence_number: SequenceNumber::start(created, shard.id.0).to_string(),
        },
        shard_id: shard.id.to_string(),
        kolk_partition: None,
        kolk_first_offset: None,
        kolk_end_offset: None,
    }
}

/// The same with the shard's place in the topic, for those who ask.
pub fn shown_with_place(shard: &Shard) -> replies::Shard {
    replies::Shard {
        kolk_partition: shard.partition,
        kolk_first_offset: shard.partition.map(|_| shard.first.0),
        kolk_end_offset: shard.partition.and(shard.end).map(|end| end.0),
        ..shown(shard)
    }
}

/// A shard id as clients may write it.
pub fn parse_shard_id(id: &str) -> Option<ShardId> {
    shard_id::parse(id).map(ShardId)
}

/// An `ExclusiveStartShardId`.
pub fn parse_start(id: Option<&str>) -> Result<Option<ShardId>, ServiceError> {
    let parse =
        |id| parse_shard_id(id).ok_or_else(|| invalid(format!("Invalid ExclusiveStartShardId {id}.")));
    id.map(parse).transpose()
}

/// The answer of a dry run that found nothing wrong.
pub fn dry_run() -> ServiceError {
    ServiceError::new(
        ErrorCode::DryRunOperation,
        "The request would have succeeded, but the DryRun parameter is set.",
    )
}

/// Sorted tags as they are listed.
pub fn tags(topic: &Topic) -> impl Iterator<Item = replies::Tag> {
    topic.tags.iter().map(|(key, value)| replies::Tag { key: key.clone(), value: Some(value.clone()) })
}
