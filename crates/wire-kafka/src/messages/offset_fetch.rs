// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! OffsetFetch (key 9), versions 0-10, flexible from 6.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchRequest {
    /// Versions 0-7.
    pub group_id: Str,
    /// Versions 0-7.
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    /// Versions 8+.
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// Versions 7+.
    pub require_stable: bool,
}

impl Default for OffsetFetchRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            topics: Some(Default::default()),
            groups: Default::default(),
            require_stable: Default::default(),
        }
    }
}

impl Wire for OffsetFetchRequest {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 7 {
            m.group_id = d.get()?;
        }
        if d.version <= 7 {
            m.topics = if d.version >= 2 { d.get()? } else { d.required()? };
        }
        if d.version >= 8 {
            m.groups = d.get()?;
        }
        if d.version >= 7 {
            m.require_stable = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 7 {
            e.put(&self.group_id);
        } else {
            e.absent("group_id", self.group_id.is_empty());
        }
        if e.version <= 7 {
            if e.version >= 2 {
            e.put(&self.topics);
        } else {
            e.required("topics", &self.topics);
        }
        } else {
            e.absent("topics", self.topics == Some(Default::default()));
        }
        if e.version >= 8 {
            e.put(&self.groups);
        } else {
            e.absent("groups", self.groups.is_empty());
        }
        if e.version >= 7 {
            e.put(&self.require_stable);
        } else {
            e.absent("require_stable", !self.require_stable);
        }
        e.tags(&[]);
    }
}

impl Message for OffsetFetchRequest {
    const NAME: &'static str = "OffsetFetchRequest";
    const VERSIONS: (i16, i16) = (0, 10);
    const FLEXIBLE: i16 = 6;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetFetchRequestTopic {
    /// Versions 0-7.
    pub name: Str,
    /// Versions 0-7.
    pub partition_indexes: Vec<i32>,
}

impl Wire for OffsetFetchRequestTopic {
    const SIZE_MIN: usize = 1;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 7 {
            m.name = d.get()?;
        }
        if d.version <= 7 {
            m.partition_indexes = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 7 {
            e.put(&self.name);
        } else {
            e.absent("name", self.name.is_empty());
        }
        if e.version <= 7 {
            e.put(&self.partition_indexes);
        } else {
            e.absent("partition_indexes", self.partition_indexes.is_empty());
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchRequestGroup {
    /// Versions 8+.
    pub group_id: Str,
    /// Versions 9+.
    pub member_id: Option<Str>,
    /// Versions 9+.
    pub member_epoch: i32,
    /// Versions 8+.
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

impl Default for OffsetFetchRequestGroup {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            member_id: None,
            member_epoch: -1,
            topics: Some(Default::default()),
        }
    }
}

impl Wire for OffsetFetchRequestGroup {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 8 {
            m.group_id = d.get()?;
        }
        if d.version >= 9 {
            m.member_id = d.get()?;
        }
        if d.version >= 9 {
            m.member_epoch = d.get()?;
        }
        if d.version >= 8 {
            m.topics = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 8 {
            e.put(&self.group_id);
        } else {
            e.absent("group_id", self.group_id.is_empty());
        }
        if e.version >= 9 {
            e.put(&self.member_id);
        }
        if e.version >= 9 {
            e.put(&self.member_epoch);
        }
        if e.version >= 8 {
            e.put(&self.topics);
        } else {
            e.absent("topics", self.topics == Some(Default::default()));
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetFetchRequestTopics {
    /// Versions 8-9.
    pub name: Str,
    /// Versions 10+.
    pub topic_id: Uuid,
    /// Versions 8+.
    pub partition_indexes: Vec<i32>,
}

impl Wire for OffsetFetchRequestTopics {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if (8..=9).contains(&d.version) {
            m.name = d.get()?;
        }
        if d.version >= 10 {
            m.topic_id = d.get()?;
        }
        if d.version >= 8 {
            m.partition_indexes = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if (8..=9).contains(&e.version) {
            e.put(&self.name);
        }
        if e.version >= 10 {
            e.put(&self.topic_id);
        }
        if e.version >= 8 {
            e.put(&self.partition_indexes);
        } else {
            e.absent("partition_indexes", self.partition_indexes.is_empty());
        }
        e.tags(&[]);
    }
}

impl Request for OffsetFetchRequest {
    const KEY: ApiKey = ApiKey::OffsetFetch;
    type Response = OffsetFetchResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetFetchResponse {
    /// Versions 3+.
    pub throttle_time_ms: i32,
    /// Versions 0-7.
    pub topics: Vec<OffsetFetchResponseTopic>,
    /// Versions 2-7.
    pub error_code: i16,
    /// Versions 8+.
    pub groups: Vec<OffsetFetchResponseGroup>,
}

impl Wire for OffsetFetchResponse {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.throttle_time_ms = d.get()?;
        }
        if d.version <= 7 {
            m.topics = d.get()?;
        }
        if (2..=7).contains(&d.version) {
            m.error_code = d.get()?;
        }
        if d.version >= 8 {
            m.groups = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.throttle_time_ms);
        }
        if e.version <= 7 {
            e.put(&self.topics);
        } else {
            e.absent("topics", self.topics.is_empty());
        }
        if (2..=7).contains(&e.version) {
            e.put(&self.error_code);
        }
        if e.version >= 8 {
            e.put(&self.groups);
        } else {
            e.absent("groups", self.groups.is_empty());
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.topics.iter().for_each(|one| one.error_codes(told));
        told(self.error_code);
        self.groups.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for OffsetFetchResponse {
    const NAME: &'static str = "OffsetFetchResponse";
    const VERSIONS: (i16, i16) = (0, 10);
    const FLEXIBLE: i16 = 6;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetFetchResponseTopic {
    /// Versions 0-7.
    pub name: Str,
    /// Versions 0-7.
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

impl Wire for OffsetFetchResponseTopic {
    const SIZE_MIN: usize = 1;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 7 {
            m.name = d.get()?;
        }
        if d.version <= 7 {
            m.partitions = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 7 {
            e.put(&self.name);
        } else {
            e.absent("name", self.name.is_empty());
        }
        if e.version <= 7 {
            e.put(&self.partitions);
        } else {
            e.absent("partitions", self.partitions.is_empty());
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.partitions.iter().for_each(|one| one.error_codes(told));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchResponsePartition {
    /// Versions 0-7.
    pub partition_index: i32,
    /// Versions 0-7.
    pub committed_offset: i64,
    /// Versions 5-7.
    pub committed_leader_epoch: i32,
    /// Versions 0-7.
    pub metadata: Option<Str>,
    /// Versions 0-7.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartition {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            metadata: Some(Default::default()),
            error_code: Default::default(),
        }
    }
}

impl Wire for OffsetFetchResponsePartition {
    const SIZE_MIN: usize = 1;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 7 {
            m.partition_index = d.get()?;
        }
        if d.version <= 7 {
            m.committed_offset = d.get()?;
        }
        if (5..=7).contains(&d.version) {
            m.committed_leader_epoch = d.get()?;
        }
        if d.version <= 7 {
            m.metadata = d.get()?;
        }
        if d.version <= 7 {
            m.error_code = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 7 {
            e.put(&self.partition_index);
        } else {
            e.absent("partition_index", self.partition_index == 0);
        }
        if e.version <= 7 {
            e.put(&self.committed_offset);
        } else {
            e.absent("committed_offset", self.committed_offset == 0);
        }
        if (5..=7).contains(&e.version) {
            e.put(&self.committed_leader_epoch);
        }
        if e.version <= 7 {
            e.put(&self.metadata);
        } else {
            e.absent("metadata", self.metadata == Some(Default::default()));
        }
        if e.version <= 7 {
            e.put(&self.error_code);
        } else {
            e.absent("error_code", self.error_code == 0);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetFetchResponseGroup {
    /// Versions 8+.
    pub group_id: Str,
    /// Versions 8+.
    pub topics: Vec<OffsetFetchResponseTopics>,
    /// Versions 8+.
    pub error_code: i16,
}

impl Wire for OffsetFetchResponseGroup {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 8 {
            m.group_id = d.get()?;
        }
        if d.version >= 8 {
            m.topics = d.get()?;
        }
        if d.version >= 8 {
            m.error_code = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 8 {
            e.put(&self.group_id);
        } else {
            e.absent("group_id", self.group_id.is_empty());
        }
        if e.version >= 8 {
            e.put(&self.topics);
        } else {
            e.absent("topics", self.topics.is_empty());
        }
        if e.version >= 8 {
            e.put(&self.error_code);
        } else {
            e.absent("error_code", self.error_code == 0);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.topics.iter().for_each(|one| one.error_codes(told));
        told(self.error_code);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetFetchResponseTopics {
    /// Versions 8-9.
    pub name: Str,
    /// Versions 10+.
    pub topic_id: Uuid,
    /// Versions 8+.
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

impl Wire for OffsetFetchResponseTopics {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if (8..=9).contains(&d.version) {
            m.name = d.get()?;
        }
        if d.version >= 10 {
            m.topic_id = d.get()?;
        }
        if d.version >= 8 {
            m.partitions = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if (8..=9).contains(&e.version) {
            e.put(&self.name);
        }
        if e.version >= 10 {
            e.put(&self.topic_id);
        }
        if e.version >= 8 {
            e.put(&self.partitions);
        } else {
            e.absent("partitions", self.partitions.is_empty());
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.partitions.iter().for_each(|one| one.error_codes(told));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchResponsePartitions {
    /// Versions 8+.
    pub partition_index: i32,
    /// Versions 8+.
    pub committed_offset: i64,
    /// Versions 8+.
    pub committed_leader_epoch: i32,
    /// Versions 8+.
    pub metadata: Option<Str>,
    /// Versions 8+.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartitions {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            committed_offset: Default::default(),
            committed_leader_epoch: -1,
            metadata: Some(Default::default()),
            error_code: Default::default(),
        }
    }
}

impl Wire for OffsetFetchResponsePartitions {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 8 {
            m.partition_index = d.get()?;
        }
        if d.version >= 8 {
            m.committed_offset = d.get()?;
        }
        if d.version >= 8 {
            m.committed_leader_epoch = d.get()?;
        }
        if d.version >= 8 {
            m.metadata = d.get()?;
        }
        if d.version >= 8 {
            m.error_code = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 8 {
            e.put(&self.partition_index);
        } else {
            e.absent("partition_index", self.partition_index == 0);
        }
        if e.version >= 8 {
            e.put(&self.committed_offset);
        } else {
            e.absent("committed_offset", self.committed_offset == 0);
        }
        if e.version >= 8 {
            e.put(&self.committed_leader_epoch);
        }
        if e.version >= 8 {
            e.put(&self.metadata);
        } else {
            e.absent("metadata", self.metadata == Some(Default::default()));
        }
        if e.version >= 8 {
            e.put(&self.error_code);
        } else {
            e.absent("error_code", self.error_code == 0);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}
