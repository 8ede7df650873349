// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! Fetch (key 1), versions 0-18, flexible from 12.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct FetchRequest {
    /// Versions 12+.
    pub cluster_id: Option<Str>,
    /// Versions 0-14.
    pub replica_id: i32,
    /// Versions 15+.
    pub replica_state: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    /// Versions 3+.
    pub max_bytes: i32,
    /// Versions 4+.
    pub isolation_level: i8,
    /// Versions 7+.
    pub session_id: i32,
    /// Versions 7+.
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    /// Versions 7+.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// Versions 11+.
    pub rack_id: Str,
}

impl Default for FetchRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: Default::default(),
            max_wait_ms: Default::default(),
            min_bytes: Default::default(),
            max_bytes: i32::MAX,
            isolation_level: Default::default(),
            session_id: Default::default(),
            session_epoch: -1,
            topics: Default::default(),
            forgotten_topics_data: Default::default(),
            rack_id: Default::default(),
        }
    }
}

impl Wire for FetchRequest {
    const SIZE_MIN: usize = 16;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 14 {
            m.replica_id = d.get()?;
        }
        m.max_wait_ms = d.get()?;
        m.min_bytes = d.get()?;
        if d.version >= 3 {
            m.max_bytes = d.get()?;
        }
        if d.version >= 4 {
            m.isolation_level = d.get()?;
        }
        if d.version >= 7 {
            m.session_id = d.get()?;
        }
        if d.version >= 7 {
            m.session_epoch = d.get()?;
        }
        m.topics = d.get()?;
        if d.version >= 7 {
            m.forgotten_topics_data = d.get()?;
        }
        if d.version >= 11 {
            m.rack_id = d.get()?;
        }
        let mut tags = d.tags()?;
        while let Some(tag) = d.tag(&mut tags)? {
            match tag {
                0 => m.cluster_id = d.get()?,
                1 if d.version >= 15 => m.replica_state = d.get()?,
                _ => d.skip_tag(&tags),
            }
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 14 {
            e.put(&self.replica_id);
        } else {
            e.absent("replica_id", self.replica_id == -1);
        }
        e.put(&self.max_wait_ms);
        e.put(&self.min_bytes);
        if e.version >= 3 {
            e.put(&self.max_bytes);
        }
        if e.version >= 4 {
            e.put(&self.isolation_level);
        }
        if e.version >= 7 {
            e.put(&self.session_id);
        }
        if e.version >= 7 {
            e.put(&self.session_epoch);
        }
        e.put(&self.topics);
        if e.version >= 7 {
            e.put(&self.forgotten_topics_data);
        } else {
            e.absent("forgotten_topics_data", self.forgotten_topics_data.is_empty());
        }
        if e.version >= 11 {
            e.put(&self.rack_id);
        }
        if !(e.version >= 15) {
            e.absent("replica_state", self.replica_state == ReplicaState::default());
        }
        e.tags(&[
            (0, !self.cluster_id.is_none(), &self.cluster_id),
            (1, e.version >= 15 && !(self.replica_state == ReplicaState::default()), &self.replica_state),
        ]);
    }
}

impl Message for FetchRequest {
    const NAME: &'static str = "FetchRequest";
    const VERSIONS: (i16, i16) = (0, 18);
    const FLEXIBLE: i16 = 12;
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaState {
    /// Versions 15+.
    pub replica_id: i32,
    /// Versions 15+.
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: -1,
            replica_epoch: -1,
        }
    }
}

impl Wire for ReplicaState {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 15 {
            m.replica_id = d.get()?;
        }
        if d.version >= 15 {
            m.replica_epoch = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 15 {
            e.put(&self.replica_id);
        } else {
            e.absent("replica_id", self.replica_id == -1);
        }
        if e.version >= 15 {
            e.put(&self.replica_epoch);
        } else {
            e.absent("replica_epoch", self.replica_epoch == -1);
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct FetchTopic {
    /// Versions 0-12.
    pub topic: Str,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

impl Wire for FetchTopic {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 12 {
            m.topic = d.get()?;
        }
        if d.version >= 13 {
            m.topic_id = d.get()?;
        }
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 12 {
            e.put(&self.topic);
        }
        if e.version >= 13 {
            e.put(&self.topic_id);
        }
        e.put(&self.partitions);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct FetchPartition {
    pub partition: i32,
    /// Versions 9+.
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    /// Versions 12+.
    pub last_fetched_epoch: i32,
    /// Versions 5+.
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    /// Versions 17+.
    pub replica_directory_id: Uuid,
    /// Versions 18+.
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: Default::default(),
            current_leader_epoch: -1,
            fetch_offset: Default::default(),
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: Default::default(),
            replica_directory_id: Default::default(),
            high_watermark: i64::MAX,
        }
    }
}

impl Wire for FetchPartition {
    const SIZE_MIN: usize = 16;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition = d.get()?;
        if d.version >= 9 {
            m.current_leader_epoch = d.get()?;
        }
        m.fetch_offset = d.get()?;
        if d.version >= 12 {
            m.last_fetched_epoch = d.get()?;
        }
        if d.version >= 5 {
            m.log_start_offset = d.get()?;
        }
        m.partition_max_bytes = d.get()?;
        let mut tags = d.tags()?;
        while let Some(tag) = d.tag(&mut tags)? {
            match tag {
                0 if d.version >= 17 => m.replica_directory_id = d.get()?,
                1 if d.version >= 18 => m.high_watermark = d.get()?,
                _ => d.skip_tag(&tags),
            }
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition);
        if e.version >= 9 {
            e.put(&self.current_leader_epoch);
        }
        e.put(&self.fetch_offset);
        if e.version >= 12 {
            e.put(&self.last_fetched_epoch);
        } else {
            e.absent("last_fetched_epoch", self.last_fetched_epoch == -1);
        }
        if e.version >= 5 {
            e.put(&self.log_start_offset);
        }
        e.put(&self.partition_max_bytes);
        e.tags(&[
            (0, e.version >= 17 && !self.replica_directory_id.is_nil(), &self.replica_directory_id),
            (1, e.version >= 18 && !(self.high_watermark == i64::MAX), &self.high_watermark),
        ]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ForgottenTopic {
    /// Versions 7-12.
    pub topic: Str,
    /// Versions 13+.
    pub topic_id: Uuid,
    /// Versions 7+.
    pub partitions: Vec<i32>,
}

impl Wire for ForgottenTopic {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if (7..=12).contains(&d.version) {
            m.topic = d.get()?;
        }
        if d.version >= 13 {
            m.topic_id = d.get()?;
        }
        if d.version >= 7 {
            m.partitions = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if (7..=12).contains(&e.version) {
            e.put(&self.topic);
        }
        if e.version >= 13 {
            e.put(&self.topic_id);
        }
        if e.version >= 7 {
            e.put(&self.partitions);
        } else {
            e.absent("partitions", self.partitions.is_empty());
        }
        e.tags(&[]);
    }
}

impl Request for FetchRequest {
    const KEY: ApiKey = ApiKey::Fetch;
    type Response = FetchResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct FetchResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    /// Versions 7+.
    pub error_code: i16,
    /// Versions 7+.
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse>,
    /// Versions 16+.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Wire for FetchResponse {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.throttle_time_ms = d.get()?;
        }
        if d.version >= 7 {
            m.error_code = d.get()?;
        }
        if d.version >= 7 {
            m.session_id = d.get()?;
        }
        m.responses = d.get()?;
        let mut tags = d.tags()?;
        while let Some(tag) = d.tag(&mut tags)? {
            match tag {
                0 if d.version >= 16 => m.node_endpoints = d.get()?,
                _ => d.skip_tag(&tags),
            }
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.throttle_time_ms);
        }
        if e.version >= 7 {
            e.put(&self.error_code);
        }
        if e.version >= 7 {
            e.put(&self.session_id);
        } else {
            e.absent("session_id", self.session_id == 0);
        }
        e.put(&self.responses);
        if !(e.version >= 16) {
            e.absent("node_endpoints", self.node_endpoints.is_empty());
        }
        e.tags(&[
            (0, e.version >= 16 && !self.node_endpoints.is_empty(), &self.node_endpoints),
        ]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
        self.responses.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for FetchResponse {
    const NAME: &'static str = "FetchResponse";
    const VERSIONS: (i16, i16) = (0, 18);
    const FLEXIBLE: i16 = 12;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct FetchableTopicResponse {
    /// Versions 0-12.
    pub topic: Str,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

impl Wire for FetchableTopicResponse {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 12 {
            m.topic = d.get()?;
        }
        if d.version >= 13 {
            m.topic_id = d.get()?;
        }
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 12 {
            e.put(&self.topic);
        }
        if e.version >= 13 {
            e.put(&self.topic_id);
        }
        e.put(&self.partitions);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.partitions.iter().for_each(|one| one.error_codes(told));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    /// Versions 4+.
    pub last_stable_offset: i64,
    /// Versions 5+.
    pub log_start_offset: i64,
    /// Versions 12+.
    pub diverging_epoch: EpochEndOffset,
    /// Versions 12+.
    pub current_leader: LeaderIdAndEpoch,
    /// Versions 12+.
    pub snapshot_id: SnapshotId,
    /// Versions 4+.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Versions 11+.
    pub preferred_read_replica: i32,
    pub records: Option<Records>,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            error_code: Default::default(),
            high_watermark: Default::default(),
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: Default::default(),
            current_leader: Default::default(),
            snapshot_id: Default::default(),
            aborted_transactions: Some(Default::default()),
            preferred_read_replica: -1,
            records: None,
        }
    }
}

impl Wire for PartitionData {
    const SIZE_MIN: usize = 18;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        m.error_code = d.get()?;
        m.high_watermark = d.get()?;
        if d.version >= 4 {
            m.last_stable_offset = d.get()?;
        }
        if d.version >= 5 {
            m.log_start_offset = d.get()?;
        }
        if d.version >= 4 {
            m.aborted_transactions = d.get()?;
        }
        if d.version >= 11 {
            m.preferred_read_replica = d.get()?;
        }
        m.records = d.get()?;
        let mut tags = d.tags()?;
        while let Some(tag) = d.tag(&mut tags)? {
            match tag {
                0 => m.diverging_epoch = d.get()?,
                1 => m.current_leader = d.get()?,
                2 => m.snapshot_id = d.get()?,
                _ => d.skip_tag(&tags),
            }
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        e.put(&self.error_code);
        e.put(&self.high_watermark);
        if e.version >= 4 {
            e.put(&self.last_stable_offset);
        }
        if e.version >= 5 {
            e.put(&self.log_start_offset);
        }
        if e.version >= 4 {
            e.put(&self.aborted_transactions);
        }
        if e.version >= 11 {
            e.put(&self.preferred_read_replica);
        } else {
            e.absent("preferred_read_replica", self.preferred_read_replica == -1);
        }
        e.put(&self.records);
        if !(e.version >= 12) {
            e.absent("diverging_epoch", self.diverging_epoch == EpochEndOffset::default());
        }
        if !(e.version >= 12) {
            e.absent("current_leader", self.current_leader == LeaderIdAndEpoch::default());
        }
        if !(e.version >= 12) {
            e.absent("snapshot_id", self.snapshot_id == SnapshotId::default());
        }
        e.tags(&[
            (0, !(self.diverging_epoch == EpochEndOffset::default()), &self.diverging_epoch),
            (1, !(self.current_leader == LeaderIdAndEpoch::default()), &self.current_leader),
            (2, !(self.snapshot_id == SnapshotId::default()), &self.snapshot_id),
        ]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct EpochEndOffset {
    /// Versions 12+.
    pub epoch: i32,
    /// Versions 12+.
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self {
            epoch: -1,
            end_offset: -1,
        }
    }
}

impl Wire for EpochEndOffset {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 12 {
            m.epoch = d.get()?;
        }
        if d.version >= 12 {
            m.end_offset = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 12 {
            e.put(&self.epoch);
        } else {
            e.absent("epoch", self.epoch == -1);
        }
        if e.version >= 12 {
            e.put(&self.end_offset);
        } else {
            e.absent("end_offset", self.end_offset == -1);
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// Versions 12+.
    pub leader_id: i32,
    /// Versions 12+.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self {
            leader_id: -1,
            leader_epoch: -1,
        }
    }
}

impl Wire for LeaderIdAndEpoch {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 12 {
            m.leader_id = d.get()?;
        }
        if d.version >= 12 {
            m.leader_epoch = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 12 {
            e.put(&self.leader_id);
        } else {
            e.absent("leader_id", self.leader_id == -1);
        }
        if e.version >= 12 {
            e.put(&self.leader_epoch);
        } else {
            e.absent("leader_epoch", self.leader_epoch == -1);
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self {
            end_offset: -1,
            epoch: -1,
        }
    }
}

impl Wire for SnapshotId {
    const SIZE_MIN: usize = 12;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.end_offset = d.get()?;
        m.epoch = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.end_offset);
        e.put(&self.epoch);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AbortedTransaction {
    /// Versions 4+.
    pub producer_id: i64,
    /// Versions 4+.
    pub first_offset: i64,
}

impl Wire for AbortedTransaction {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 4 {
            m.producer_id = d.get()?;
        }
        if d.version >= 4 {
            m.first_offset = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 4 {
            e.put(&self.producer_id);
        } else {
            e.absent("producer_id", self.producer_id == 0);
        }
        if e.version >= 4 {
            e.put(&self.first_offset);
        } else {
            e.absent("first_offset", self.first_offset == 0);
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeEndpoint {
    /// Versions 16+.
    pub node_id: i32,
    /// Versions 16+.
    pub host: Str,
    /// Versions 16+.
    pub port: i32,
    /// Versions 16+.
    pub rack: Option<Str>,
}

impl Wire for NodeEndpoint {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 16 {
            m.node_id = d.get()?;
        }
        if d.version >= 16 {
            m.host = d.get()?;
        }
        if d.version >= 16 {
            m.port = d.get()?;
        }
        if d.version >= 16 {
            m.rack = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 16 {
            e.put(&self.node_id);
        } else {
            e.absent("node_id", self.node_id == 0);
        }
        if e.version >= 16 {
            e.put(&self.host);
        } else {
            e.absent("host", self.host.is_empty());
        }
        if e.version >= 16 {
            e.put(&self.port);
        } else {
            e.absent("port", self.port == 0);
        }
        if e.version >= 16 {
            e.put(&self.rack);
        } else {
            e.absent("rack", self.rack.is_none());
        }
        e.tags(&[]);
    }
}
