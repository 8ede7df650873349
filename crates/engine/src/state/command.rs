//! What may be asked of the log that is not a record, what comes of it, and why it is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Topic;
use crate::types::{HashRange, Offset, PartitionId, ShardId, TopicId, TopicName};

/// Anything that is decided and is not a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Makes a topic (= stream).
    CreateTopic(CreateTopic),
    /// Deletes a topic with its partitions, shards and committed offsets.
    DeleteTopic {
        /// Which one.
        topic: TopicId,
    },
    /// Changes topic configs (Kafka's IncrementalAlterConfigs; AlterConfigs is `replace`).
    AlterTopicConfigs {
        /// Which one.
        topic: TopicId,
        /// Start from no overrides (AlterConfigs) instead of from the present ones.
        replace: bool,
        /// In order.
        changes: Vec<ConfigChange>,
    },
    /// Sets (`Some`) and removes (`None`) stream tags.
    ChangeTags {
        /// Which one.
        topic: TopicId,
        /// Key to new value, or `None` to remove it.
        changes: Vec<(String, Option<String>)>,
        /// Most tags the stream may have afterwards.
        limit: usize,
    },
    /// Changes a stream's shards or a topic's partition count: the one mechanism of `docs/adr/2026-11-23-shards.md`.
    Reshard {
        /// Which one.
        topic: TopicId,
        /// How.
        how: Reshard,
        /// Wall clock, ms.
        now_ms: i64,
    },
    /// Moves log start offsets forward (DeleteRecords, retention). Offsets below the present log start are no-ops.
    Trim {
        /// Which partition.
        partition: PartitionId,
        /// The new log start; `None` means the high watermark.
        to: Option<Offset>,
        /// Why, for the log and for the rule that DeleteRecords is refused on purely compacted topics.
        by: TrimBy,
    },
    /// Takes a block of producer ids that nobody had before.
    AllocateProducerIds {
        /// How many.
        count: u32,
    },
    /// Forgets idempotent producers that were silent since before an instant (`producer.id.expiration.ms`),
    /// some thousands at a time.
    ExpireProducers {
        /// The instant, ms.
        before_ms: i64,
        /// Where the one before stopped; `None` begins.
        from: Option<PartitionId>,
    },
    /// Stores what a classic group agreed on (a completed rebalance, or an assignment).
    StoreGroup {
        /// The group's id.
        group: Arc<str>,
        /// The generation that the coordinator believes is stored; `None` if the group is not stored.
        expected_generation: Option<i32>,
        /// What to store; committed offsets are kept.
        membership: Membership,
    },
    /// Commits offsets (OffsetCommit).
    CommitOffsets {
        /// The group's id; made if it is not there.
        group: Arc<str>,
        /// Who commits; `None` for a consumer outside group management (generation -1, empty member).
        member: Option<CommittingMember>,
        /// What to commit.
        offsets: Vec<(PartitionId, CommittedOffset)>,
        /// Wall clock, ms.
        now_ms: i64,
    },
    /// Forgets committed offsets (OffsetDelete).
    DeleteOffsets {
        /// The group's id.
        group: Arc<str>,
        /// Which ones.
        partitions: Vec<PartitionId>,
    },
    /// Forgets a group that has no members (DeleteGroups).
    DeleteGroup {
        /// The group's id.
        group: Arc<str>,
    },
    /// Forgets offsets committed or left behind before an instant, in groups without members, and
    /// then groups that hold nothing (`offsets.retention.minutes`), some thousand at a time.
    ExpireOffsets {
        /// The instant, ms.
        before_ms: i64,
        /// Where the one before stopped; `None` begins.
        from: Option<OffsetCursor>,
    },
}

/// A place among all committed offsets, by group and partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCursor {
    /// In this group, or behind it if it is gone.
    pub group: Arc<str>,
    /// Behind this partition; `None`: at its first.
    pub after: Option<PartitionId>,
}

/// What a new topic shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTopic {
    /// Its name; checked by Kafka's rule.
    pub name: TopicName,
    /// Its identity, fresh and random.
    pub id: TopicId,
    /// Partitions = shards, from 1 to the limit.
    pub partitions: i32,
    /// Config overrides, checked.
    pub configs: BTreeMap<String, String>,
    /// Stream tags.
    pub tags: BTreeMap<String, String>,
    /// Wall clock, ms.
    pub now_ms: i64,
}

/// One change of a topic config (KIP-339).
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigChange {
    /// Config name.
    pub name: String,
    /// What to do.
    pub op: ConfigOp,
}

/// What to do with a config.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigOp {
    /// Set it.
    Set(String),
    /// Back to the default.
    Delete,
    /// Add to a list config.
    Append(String),
    /// Remove from a list config.
    Subtract(String),
}

/// A way to reshard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reshard {
    /// One shard into two; `at` is the upper child's first hash key.
    Split {
        /// The shard to split.
        shard: ShardId,
        /// NewStartingHashKey.
        at: u128,
    },
    /// Two adjacent shards into one; the child goes on on the first one's partition.
    Merge {
        /// ShardToMerge.
        first: ShardId,
        /// AdjacentShardToMerge.
        second: ShardId,
    },
    /// To uniform ranges as CreateStream(target) would cut them.
    UpdateShardCount {
        /// Open shards afterwards.
        target: i32,
    },
    /// Kafka's CreatePartitions: partition count afterwards, each new one by a split of the widest range.
    CreatePartitions {
        /// Partitions afterwards.
        count: i32,
    },
}

/// Who moves a log start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimBy {
    /// A client's DeleteRecords, `kolk topic trim`.
    Client,
    /// `retention.ms` or `retention.bytes`.
    Retention,
}

/// The member that commits offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittingMember {
    /// Member id.
    pub id: Arc<str>,
    /// Its generation.
    pub generation: i32,
}

/// A committed offset (OffsetCommit).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset the group will read.
    pub offset: Offset,
    /// Leader epoch given with it, or -1.
    pub leader_epoch: i32,
    /// Client metadata, at most 4096 bytes.
    pub metadata: Arc<str>,
    /// When it was committed, ms.
    pub commit_ms: i64,
}

/// What a classic group agreed on: the stored part of `Stable`, `CompletingRebalance` and `Empty`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Membership {
    /// `consumer`, `connect`, ... ; empty for groups that only commit offsets.
    pub protocol_type: String,
    /// Counts rebalances, from 1; 0 for groups that never had members.
    pub generation: i32,
    /// The protocol (assignor) that the vote chose.
    pub protocol: Option<String>,
    /// The leader's member id.
    pub leader: Option<Arc<str>>,
    /// Members with their subscriptions and assignments, in order of their ids, each once.
    pub members: Vec<Member>,
    /// When the group came into this state, ms: offsets of an empty group expire from here.
    pub since_ms: i64,
}

/// A stored member of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Member id.
    pub id: Arc<str>,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<Arc<str>>,
    /// Client id from the request header.
    pub client_id: String,
    /// Client address as DescribeGroups shows it.
    pub client_host: String,
    /// Session timeout, ms.
    pub session_timeout_ms: i32,
    /// Rebalance timeout, ms.
    pub rebalance_timeout_ms: i32,
    /// What it sent with the protocol that was chosen: of the others nothing is kept, as in Kafka.
    pub metadata: Bytes,
    /// Assignment given by the leader; empty before SyncGroup.
    pub assignment: Bytes,
}

/// What a command brought about.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing to tell.
    Done,
    /// Of CreateTopic.
    TopicCreated {
        /// The topic as it is now.
        topic: Arc<Topic>,
    },
    /// Of AllocateProducerIds: ids `first .. first + count`.
    ProducerIds {
        /// The first id.
        first: i64,
        /// How many.
        count: u32,
    },
    /// Of Trim: the log start afterwards.
    Trimmed {
        /// The log start.
        log_start: Offset,
    },
    /// Of Reshard: the topic as it is now.
    Resharded {
        /// The topic.
        topic: Arc<Topic>,
    },
    /// Of ExpireProducers.
    ProducersExpired {
        /// There may be more that is due: propose again, from this partition.
        next: Option<PartitionId>,
    },
    /// Of ExpireOffsets.
    OffsetsExpired {
        /// There may be more that is due: propose again, from here.
        next: Option<OffsetCursor>,
    },
    /// Of CommitOffsets and DeleteOffsets: per partition, in order of the command.
    PerPartition(Vec<Result<(), Refusal>>),
}

/// Why a command has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name breaks Kafka's rule, or differs from another topic's only in `.` and `_`.
    #[error("{reason}")]
    InvalidTopicName {
        /// In Kafka's words.
        reason: String,
    },
    /// Kafka keeps its own state in a topic of that name. Here that state lies elsewhere.
    #[error("Topic '{name}' is reserved: Kolk keeps this state elsewhere.")]
    ReservedTopicName {
        /// The name.
        name: TopicName,
    },
    /// A topic of that name is there.
    #[error("Topic '{name}' already exists.")]
    TopicExists {
        /// The name.
        name: TopicName,
    },
    /// No such topic or partition.
    #[error("unknown topic or partition")]
    UnknownTopic,
    /// A partition count that cannot be.
    #[error("{reason}")]
    InvalidPartitions {
        /// In words.
        reason: String,
    },
    /// A configured limit on partitions per topic or in total.
    #[error("{requested} partitions requested, the limit is {limit} ({scope})")]
    PartitionLimit {
        /// Asked for.
        requested: i64,
        /// Allowed.
        limit: i64,
        /// `per topic` or `in total`, with the setting's name.
        scope: &'static str,
    },
    /// An unknown config name or a bad value.
    #[error("{reason}")]
    InvalidConfig {
        /// In Kafka's words.
        reason: String,
    },
    /// `kolk.reshard` forbids it.
    #[error("{what} is not allowed by kolk.reshard={setting} on this topic")]
    ReshardForbidden {
        /// What was asked for.
        what: &'static str,
        /// The config's value.
        setting: String,
    },
    /// No such shard in the stream.
    #[error("shard {shard} does not exist")]
    UnknownShard {
        /// The shard.
        shard: ShardId,
    },
    /// The shard was split or merged already.
    #[error("shard {shard} was already merged or split")]
    ShardClosed {
        /// The shard.
        shard: ShardId,
    },
    /// NewStartingHashKey not strictly inside the shard's range.
    #[error("hash key {at} does not split the range {} to {}", range.start, range.end)]
    InvalidHashKey {
        /// The key.
        at: u128,
        /// The shard's range.
        range: HashRange,
    },
    /// Shards to merge are not adjacent in argument order.
    #[error("shards {first} and {second} are not adjacent")]
    NotAdjacent {
        /// ShardToMerge.
        first: ShardId,
        /// AdjacentShardToMerge.
        second: ShardId,
    },
    /// DeleteRecords on a topic whose cleanup.policy has no `delete`.
    #[error("records of a topic without cleanup.policy=delete cannot be deleted")]
    NotDeletable,
    /// A trim past the high watermark.
    #[error("offset {offset} is outside {log_start} to {high_watermark}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The log start.
        log_start: Offset,
        /// The high watermark.
        high_watermark: Offset,
    },
    /// Too many tags.
    #[error("{found} tags, at most {limit} are allowed")]
    TooManyTags {
        /// Afterwards.
        found: usize,
        /// Allowed.
        limit: usize,
    },
    /// No such group.
    #[error("the group does not exist")]
    UnknownGroup,
    /// The group has members.
    #[error("the group is not empty")]
    GroupNotEmpty,
    /// The member is not in the group.
    #[error("the member is not in the group")]
    UnknownMember,
    /// The generation is not the group's.
    #[error("generation {found}, the group is at {current}")]
    IllegalGeneration {
        /// The group's.
        current: i32,
        /// The one that came.
        found: i32,
    },
    /// Offset metadata above 4096 bytes.
    #[error("offset metadata of {size} bytes, at most {limit}")]
    MetadataTooLarge {
        /// Its size.
        size: usize,
        /// Allowed.
        limit: usize,
    },
    /// What a group's members have to say is more than one group may hold (`message.max.bytes`).
    #[error("the group's members and assignments take {size} bytes, at most {limit}")]
    MembershipTooLarge {
        /// Its bytes.
        size: usize,
        /// Allowed.
        limit: usize,
    },
    /// The state's memory limit for this kind of entry is reached.
    #[error("too many {what}: the limit is {limit}")]
    StateFull {
        /// Kind of entry.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// No disk space for anything but what frees space.
    #[error("no space left in the log")]
    StorageFull,
}
