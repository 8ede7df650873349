// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! CreateTopics (key 19), versions 0-7, flexible from 5.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct CreateTopicsRequest {
    pub topics: Vec<CreatableTopic>,
    pub timeout_ms: i32,
    /// Versions 1+.
    pub validate_only: bool,
}

impl Default for CreateTopicsRequest {
    fn default() -> Self {
        Self {
            topics: Default::default(),
            timeout_ms: 60000,
            validate_only: Default::default(),
        }
    }
}

impl Wire for CreateTopicsRequest {
    const SIZE_MIN: usize = 7;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topics = d.get()?;
        m.timeout_ms = d.get()?;
        if d.version >= 1 {
            m.validate_only = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.topics);
        e.put(&self.timeout_ms);
        if e.version >= 1 {
            e.put(&self.validate_only);
        } else {
            e.absent("validate_only", !self.validate_only);
        }
        e.tags(&[]);
    }
}

impl Message for CreateTopicsRequest {
    const NAME: &'static str = "CreateTopicsRequest";
    const VERSIONS: (i16, i16) = (0, 7);
    const FLEXIBLE: i16 = 5;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreatableTopic {
    pub name: Str,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub assignments: Vec<CreatableReplicaAssignment>,
    pub configs: Vec<CreatableTopicConfig>,
}

impl Wire for CreatableTopic {
    const SIZE_MIN: usize = 10;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = d.get()?;
        m.num_partitions = d.get()?;
        m.replication_factor = d.get()?;
        m.assignments = d.get()?;
        m.configs = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.name);
        e.put(&self.num_partitions);
        e.put(&self.replication_factor);
        e.put(&self.assignments);
        e.put(&self.configs);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreatableReplicaAssignment {
    pub partition_index: i32,
    pub broker_ids: Vec<i32>,
}

impl Wire for CreatableReplicaAssignment {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        m.broker_ids = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        e.put(&self.broker_ids);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicConfig {
    pub name: Str,
    pub value: Option<Str>,
}

impl Default for CreatableTopicConfig {
    fn default() -> Self {
        Self {
            name: Default::default(),
            value: Some(Default::default()),
        }
    }
}

impl Wire for CreatableTopicConfig {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = d.get()?;
        m.value = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.name);
        e.put(&self.value);
        e.tags(&[]);
    }
}

impl Request for CreateTopicsRequest {
    const KEY: ApiKey = ApiKey::CreateTopics;
    type Response = CreateTopicsResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreateTopicsResponse {
    /// Versions 2+.
    pub throttle_time_ms: i32,
    pub topics: Vec<CreatableTopicResult>,
}

impl Wire for CreateTopicsResponse {
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

impl Message for CreateTopicsResponse {
    const NAME: &'static str = "CreateTopicsResponse";
    const VERSIONS: (i16, i16) = (0, 7);
    const FLEXIBLE: i16 = 5;
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicResult {
    pub name: Str,
    /// Versions 7+.
    pub topic_id: Uuid,
    pub error_code: i16,
    /// Versions 1+.
    pub error_message: Option<Str>,
    /// Versions 5+.
    pub topic_config_error_code: i16,
    /// Versions 5+.
    pub num_partitions: i32,
    /// Versions 5+.
    pub replication_factor: i16,
    /// Versions 5+.
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

impl Default for CreatableTopicResult {
    fn default() -> Self {
        Self {
            name: Default::default(),
            topic_id: Default::default(),
            error_code: Default::default(),
            error_message: Some(Default::default()),
            topic_config_error_code: Default::default(),
            num_partitions: -1,
            replication_factor: -1,
            configs: Some(Default::default()),
        }
    }
}

impl Wire for CreatableTopicResult {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = d.get()?;
        if d.version >= 7 {
            m.topic_id = d.get()?;
        }
        m.error_code = d.get()?;
        if d.version >= 1 {
            m.error_message = d.get()?;
        }
        if d.version >= 5 {
            m.num_partitions = d.get()?;
        }
        if d.version >= 5 {
            m.replication_factor = d.get()?;
        }
        if d.version >= 5 {
            m.configs = d.get()?;
        }
        let mut tags = d.tags()?;
        while let Some(tag) = d.tag(&mut tags)? {
            match tag {
                0 => m.topic_config_error_code = d.get()?,
                _ => d.skip_tag(&tags),
            }
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.name);
        if e.version >= 7 {
            e.put(&self.topic_id);
        }
        e.put(&self.error_code);
        if e.version >= 1 {
            e.put(&self.error_message);
        }
        if e.version >= 5 {
            e.put(&self.num_partitions);
        }
        if e.version >= 5 {
            e.put(&self.replication_factor);
        }
        if e.version >= 5 {
            e.put(&self.configs);
        }
        e.tags(&[
            (0, !(self.topic_config_error_code == 0), &self.topic_config_error_code),
        ]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicConfigs {
    /// Versions 5+.
    pub name: Str,
    /// Versions 5+.
    pub value: Option<Str>,
    /// Versions 5+.
    pub read_only: bool,
    /// Versions 5+.
    pub config_source: i8,
    /// Versions 5+.
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs {
    fn default() -> Self {
        Self {
            name: Default::default(),
            value: Some(Default::default()),
            read_only: Default::default(),
            config_source: -1,
            is_sensitive: Default::default(),
        }
    }
}

impl Wire for CreatableTopicConfigs {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 5 {
            m.name = d.get()?;
        }
        if d.version >= 5 {
            m.value = d.get()?;
        }
        if d.version >= 5 {
            m.read_only = d.get()?;
        }
        if d.version >= 5 {
            m.config_source = d.get()?;
        }
        if d.version >= 5 {
            m.is_sensitive = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 5 {
            e.put(&self.name);
        } else {
            e.absent("name", self.name.is_empty());
        }
        if e.version >= 5 {
            e.put(&self.value);
        } else {
            e.absent("value", self.value == Some(Default::default()));
        }
        if e.version >= 5 {
            e.put(&self.read_only);
        } else {
            e.absent("read_only", !self.read_only);
        }
        if e.version >= 5 {
            e.put(&self.config_source);
        }
        if e.version >= 5 {
            e.put(&self.is_sensitive);
        } else {
            e.absent("is_sensitive", !self.is_sensitive);
        }
        e.tags(&[]);
    }
}
