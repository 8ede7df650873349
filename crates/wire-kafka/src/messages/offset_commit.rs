// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! OffsetCommit (key 8), versions 0-10, flexible from 8.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetCommitRequest {
    pub group_id: Str,
    /// Versions 1+.
    pub generation_id_or_member_epoch: i32,
    /// Versions 1+.
    pub member_id: Str,
    /// Versions 7+.
    pub group_instance_id: Option<Str>,
    /// Versions 2-4.
    pub retention_time_ms: i64,
    pub topics: Vec<OffsetCommitRequestTopic>,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            generation_id_or_member_epoch: -1,
            member_id: Default::default(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Default::default(),
        }
    }
}

impl Wire for OffsetCommitRequest {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = d.get()?;
        if d.version >= 1 {
            m.generation_id_or_member_epoch = d.get()?;
        }
        if d.version >= 1 {
            m.member_id = d.get()?;
        }
        if d.version >= 7 {
            m.group_instance_id = d.get()?;
        }
        if (2..=4).contains(&d.version) {
            m.retention_time_ms = d.get()?;
        }
        m.topics = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.group_id);
        if e.version >= 1 {
            e.put(&self.generation_id_or_member_epoch);
        }
        if e.version >= 1 {
            e.put(&self.member_id);
        }
        if e.version >= 7 {
            e.put(&self.group_instance_id);
        } else {
            e.absent("group_instance_id", self.group_instance_id.is_none());
        }
        if (2..=4).contains(&e.version) {
            e.put(&self.retention_time_ms);
        }
        e.put(&self.topics);
        e.tags(&[]);
    }
}

impl Message for OffsetCommitRequest {
    const NAME: &'static str = "OffsetCommitRequest";
    const VERSIONS: (i16, i16) = (0, 10);
    const FLEXIBLE: i16 = 8;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetCommitRequestTopic {
    /// Versions 0-9.
    pub name: Str,
    /// Versions 10+.
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

impl Wire for OffsetCommitRequestTopic {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 9 {
            m.name = d.get()?;
        }
        if d.version >= 10 {
            m.topic_id = d.get()?;
        }
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 9 {
            e.put(&self.name);
        }
        if e.version >= 10 {
            e.put(&self.topic_id);
        }
        e.put(&self.partitions);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    /// Versions 6+.
    pub committed_leader_epoch: i32,
    /// Versions 1.
    pub commit_timestamp: i64,
    pub committed_metadata: Option<Str>,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            commit_timestamp: -1,
            committed_metadata: Some(Default::default()),
        }
    }
}

impl Wire for OffsetCommitRequestPartition {
    const SIZE_MIN: usize = 14;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        m.committed_offset = d.get()?;
        if d.version >= 6 {
            m.committed_leader_epoch = d.get()?;
        }
        if d.version == 1 {
            m.commit_timestamp = d.get()?;
        }
        m.committed_metadata = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        e.put(&self.committed_offset);
        if e.version >= 6 {
            e.put(&self.committed_leader_epoch);
        }
        if e.version == 1 {
            e.put(&self.commit_timestamp);
        } else {
            e.absent("commit_timestamp", self.commit_timestamp == -1);
        }
        e.put(&self.committed_metadata);
        e.tags(&[]);
    }
}

impl Request for OffsetCommitRequest {
    const KEY: ApiKey = ApiKey::OffsetCommit;
    type Response = OffsetCommitResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetCommitResponse {
    /// Versions 3+.
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetCommitResponseTopic>,
}

impl Wire for OffsetCommitResponse {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.throttle_time_ms = d.get()?;
        }
        m.topics = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.throttle_time_ms);
        }
        e.put(&self.topics);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.topics.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for OffsetCommitResponse {
    const NAME: &'static str = "OffsetCommitResponse";
    const VERSIONS: (i16, i16) = (0, 10);
    const FLEXIBLE: i16 = 8;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetCommitResponseTopic {
    /// Versions 0-9.
    pub name: Str,
    /// Versions 10+.
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

impl Wire for OffsetCommitResponseTopic {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 9 {
            m.name = d.get()?;
        }
        if d.version >= 10 {
            m.topic_id = d.get()?;
        }
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 9 {
            e.put(&self.name);
        }
        if e.version >= 10 {
            e.put(&self.topic_id);
        }
        e.put(&self.partitions);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.partitions.iter().for_each(|one| one.error_codes(told));
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

impl Wire for OffsetCommitResponsePartition {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        m.error_code = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        e.put(&self.error_code);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}
