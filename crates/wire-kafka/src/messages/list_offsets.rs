// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! ListOffsets (key 2), versions 0-11, flexible from 6.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListOffsetsRequest {
    pub replica_id: i32,
    /// Versions 2+.
    pub isolation_level: i8,
    pub topics: Vec<ListOffsetsTopic>,
    /// Versions 10+.
    pub timeout_ms: i32,
}

impl Wire for ListOffsetsRequest {
    const SIZE_MIN: usize = 7;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.replica_id = d.get()?;
        if d.version >= 2 {
            m.isolation_level = d.get()?;
        }
        m.topics = d.get()?;
        if d.version >= 10 {
            m.timeout_ms = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.replica_id);
        if e.version >= 2 {
            e.put(&self.isolation_level);
        } else {
            e.absent("isolation_level", self.isolation_level == 0);
        }
        e.put(&self.topics);
        if e.version >= 10 {
            e.put(&self.timeout_ms);
        }
        e.tags(&[]);
    }
}

impl Message for ListOffsetsRequest {
    const NAME: &'static str = "ListOffsetsRequest";
    const VERSIONS: (i16, i16) = (0, 11);
    const FLEXIBLE: i16 = 6;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListOffsetsTopic {
    pub name: Str,
    pub partitions: Vec<ListOffsetsPartition>,
}

impl Wire for ListOffsetsTopic {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = d.get()?;
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.name);
        e.put(&self.partitions);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ListOffsetsPartition {
    pub partition_index: i32,
    /// Versions 4+.
    pub current_leader_epoch: i32,
    pub timestamp: i64,
    /// Versions 0.
    pub max_num_offsets: i32,
}

impl Default for ListOffsetsPartition {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            current_leader_epoch: -1,
            timestamp: Default::default(),
            max_num_offsets: 1,
        }
    }
}

impl Wire for ListOffsetsPartition {
    const SIZE_MIN: usize = 12;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        if d.version >= 4 {
            m.current_leader_epoch = d.get()?;
        }
        m.timestamp = d.get()?;
        if d.version <= 0 {
            m.max_num_offsets = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        if e.version >= 4 {
            e.put(&self.current_leader_epoch);
        }
        e.put(&self.timestamp);
        if e.version <= 0 {
            e.put(&self.max_num_offsets);
        } else {
            e.absent("max_num_offsets", self.max_num_offsets == 1);
        }
        e.tags(&[]);
    }
}

impl Request for ListOffsetsRequest {
    const KEY: ApiKey = ApiKey::ListOffsets;
    type Response = ListOffsetsResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListOffsetsResponse {
    /// Versions 2+.
    pub throttle_time_ms: i32,
    pub topics: Vec<ListOffsetsTopicResponse>,
}

impl Wire for ListOffsetsResponse {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 2 {
            m.throttle_time_ms = d.get()?;
        }
        m.topics = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 2 {
            e.put(&self.throttle_time_ms);
        }
        e.put(&self.topics);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.topics.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for ListOffsetsResponse {
    const NAME: &'static str = "ListOffsetsResponse";
    const VERSIONS: (i16, i16) = (0, 11);
    const FLEXIBLE: i16 = 6;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListOffsetsTopicResponse {
    pub name: Str,
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

impl Wire for ListOffsetsTopicResponse {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = d.get()?;
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.name);
        e.put(&self.partitions);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.partitions.iter().for_each(|one| one.error_codes(told));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ListOffsetsPartitionResponse {
    pub partition_index: i32,
    pub error_code: i16,
    /// Versions 0.
    pub old_style_offsets: Vec<i64>,
    /// Versions 1+.
    pub timestamp: i64,
    /// Versions 1+.
    pub offset: i64,
    /// Versions 4+.
    pub leader_epoch: i32,
}

impl Default for ListOffsetsPartitionResponse {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            error_code: Default::default(),
            old_style_offsets: Default::default(),
            timestamp: -1,
            offset: -1,
            leader_epoch: -1,
        }
    }
}

impl Wire for ListOffsetsPartitionResponse {
    const SIZE_MIN: usize = 10;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        m.error_code = d.get()?;
        if d.version <= 0 {
            m.old_style_offsets = d.get()?;
        }
        if d.version >= 1 {
            m.timestamp = d.get()?;
        }
        if d.version >= 1 {
            m.offset = d.get()?;
        }
        if d.version >= 4 {
            m.leader_epoch = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        e.put(&self.error_code);
        if e.version <= 0 {
            e.put(&self.old_style_offsets);
        } else {
            e.absent("old_style_offsets", self.old_style_offsets.is_empty());
        }
        if e.version >= 1 {
            e.put(&self.timestamp);
        } else {
            e.absent("timestamp", self.timestamp == -1);
        }
        if e.version >= 1 {
            e.put(&self.offset);
        } else {
            e.absent("offset", self.offset == -1);
        }
        if e.version >= 4 {
            e.put(&self.leader_epoch);
        } else {
            e.absent("leader_epoch", self.leader_epoch == -1);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}
