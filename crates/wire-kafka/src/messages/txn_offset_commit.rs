// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! TxnOffsetCommit (key 28), versions 0-6, flexible from 3.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct TxnOffsetCommitRequest {
    pub transactional_id: Str,
    pub group_id: Str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Versions 3+.
    pub generation_id_or_member_epoch: i32,
    /// Versions 3+.
    pub member_id: Str,
    /// Versions 3+.
    pub group_instance_id: Option<Str>,
    pub topics: Vec<TxnOffsetCommitRequestTopic>,
}

impl Default for TxnOffsetCommitRequest {
    fn default() -> Self {
        Self {
            transactional_id: Default::default(),
            group_id: Default::default(),
            producer_id: Default::default(),
            producer_epoch: Default::default(),
            generation_id_or_member_epoch: -1,
            member_id: Default::default(),
            group_instance_id: None,
            topics: Default::default(),
        }
    }
}

impl Wire for TxnOffsetCommitRequest {
    const SIZE_MIN: usize = 18;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.transactional_id = d.get()?;
        m.group_id = d.get()?;
        m.producer_id = d.get()?;
        m.producer_epoch = d.get()?;
        if d.version >= 3 {
            m.generation_id_or_member_epoch = d.get()?;
        }
        if d.version >= 3 {
            m.member_id = d.get()?;
        }
        if d.version >= 3 {
            m.group_instance_id = d.get()?;
        }
        m.topics = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.transactional_id);
        e.put(&self.group_id);
        e.put(&self.producer_id);
        e.put(&self.producer_epoch);
        if e.version >= 3 {
            e.put(&self.generation_id_or_member_epoch);
        } else {
            e.absent("generation_id_or_member_epoch", self.generation_id_or_member_epoch == -1);
        }
        if e.version >= 3 {
            e.put(&self.member_id);
        } else {
            e.absent("member_id", self.member_id.is_empty());
        }
        if e.version >= 3 {
            e.put(&self.group_instance_id);
        } else {
            e.absent("group_instance_id", self.group_instance_id.is_none());
        }
        e.put(&self.topics);
        e.tags(&[]);
    }
}

impl Message for TxnOffsetCommitRequest {
    const NAME: &'static str = "TxnOffsetCommitRequest";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TxnOffsetCommitRequestTopic {
    /// Versions 0-5.
    pub name: Str,
    /// Versions 6+.
    pub topic_id: Uuid,
    pub partitions: Vec<TxnOffsetCommitRequestPartition>,
}

impl Wire for TxnOffsetCommitRequestTopic {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 5 {
            m.name = d.get()?;
        }
        if d.version >= 6 {
            m.topic_id = d.get()?;
        }
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 5 {
            e.put(&self.name);
        }
        if e.version >= 6 {
            e.put(&self.topic_id);
        }
        e.put(&self.partitions);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct TxnOffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    /// Versions 2+.
    pub committed_leader_epoch: i32,
    pub committed_metadata: Option<Str>,
}

impl Default for TxnOffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            committed_metadata: Some(Default::default()),
        }
    }
}

impl Wire for TxnOffsetCommitRequestPartition {
    const SIZE_MIN: usize = 14;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        m.committed_offset = d.get()?;
        if d.version >= 2 {
            m.committed_leader_epoch = d.get()?;
        }
        m.committed_metadata = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        e.put(&self.committed_offset);
        if e.version >= 2 {
            e.put(&self.committed_leader_epoch);
        }
        e.put(&self.committed_metadata);
        e.tags(&[]);
    }
}

impl Request for TxnOffsetCommitRequest {
    const KEY: ApiKey = ApiKey::TxnOffsetCommit;
    type Response = TxnOffsetCommitResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TxnOffsetCommitResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<TxnOffsetCommitResponseTopic>,
}

impl Wire for TxnOffsetCommitResponse {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = d.get()?;
        m.topics = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.throttle_time_ms);
        e.put(&self.topics);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.topics.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for TxnOffsetCommitResponse {
    const NAME: &'static str = "TxnOffsetCommitResponse";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TxnOffsetCommitResponseTopic {
    /// Versions 0-5.
    pub name: Str,
    /// Versions 6+.
    pub topic_id: Uuid,
    pub partitions: Vec<TxnOffsetCommitResponsePartition>,
}

impl Wire for TxnOffsetCommitResponseTopic {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 5 {
            m.name = d.get()?;
        }
        if d.version >= 6 {
            m.topic_id = d.get()?;
        }
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 5 {
            e.put(&self.name);
        }
        if e.version >= 6 {
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
pub struct TxnOffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

impl Wire for TxnOffsetCommitResponsePartition {
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
