// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! Metadata (key 3), versions 0-13, flexible from 9.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataRequest {
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// Versions 4+.
    pub allow_auto_topic_creation: bool,
    /// Versions 8-10.
    pub include_cluster_authorized_operations: bool,
    /// Versions 8+.
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest {
    fn default() -> Self {
        Self {
            topics: Some(Default::default()),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: Default::default(),
            include_topic_authorized_operations: Default::default(),
        }
    }
}

impl Wire for MetadataRequest {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topics = if d.version >= 1 { d.get()? } else { d.required()? };
        if d.version >= 4 {
            m.allow_auto_topic_creation = d.get()?;
        }
        if (8..=10).contains(&d.version) {
            m.include_cluster_authorized_operations = d.get()?;
        }
        if d.version >= 8 {
            m.include_topic_authorized_operations = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.topics);
        } else {
            e.required("topics", &self.topics);
        }
        if e.version >= 4 {
            e.put(&self.allow_auto_topic_creation);
        } else {
            e.absent("allow_auto_topic_creation", self.allow_auto_topic_creation);
        }
        if (8..=10).contains(&e.version) {
            e.put(&self.include_cluster_authorized_operations);
        } else {
            e.absent("include_cluster_authorized_operations", !self.include_cluster_authorized_operations);
        }
        if e.version >= 8 {
            e.put(&self.include_topic_authorized_operations);
        } else {
            e.absent("include_topic_authorized_operations", !self.include_topic_authorized_operations);
        }
        e.tags(&[]);
    }
}

impl Message for MetadataRequest {
    const NAME: &'static str = "MetadataRequest";
    const VERSIONS: (i16, i16) = (0, 13);
    const FLEXIBLE: i16 = 9;
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataRequestTopic {
    /// Versions 10+.
    pub topic_id: Uuid,
    pub name: Option<Str>,
}

impl Default for MetadataRequestTopic {
    fn default() -> Self {
        Self {
            topic_id: Default::default(),
            name: Some(Default::default()),
        }
    }
}

impl Wire for MetadataRequestTopic {
    const SIZE_MIN: usize = 2;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 10 {
            m.topic_id = d.get()?;
        }
        m.name = if d.version >= 10 { d.get()? } else { d.required()? };
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 10 {
            e.put(&self.topic_id);
        }
        if e.version >= 10 {
            e.put(&self.name);
        } else {
            e.required("name", &self.name);
        }
        e.tags(&[]);
    }
}

impl Request for MetadataRequest {
    const KEY: ApiKey = ApiKey::Metadata;
    type Response = MetadataResponse;
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponse {
    /// Versions 3+.
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker>,
    /// Versions 2+.
    pub cluster_id: Option<Str>,
    /// Versions 1+.
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic>,
    /// Versions 8-10.
    pub cluster_authorized_operations: i32,
    /// Versions 13+.
    pub error_code: i16,
}

impl Default for MetadataResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            brokers: Default::default(),
            cluster_id: None,
            controller_id: -1,
            topics: Default::default(),
            cluster_authorized_operations: i32::MIN,
            error_code: Default::default(),
        }
    }
}

impl Wire for MetadataResponse {
    const SIZE_MIN: usize = 8;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.throttle_time_ms = d.get()?;
        }
        m.brokers = d.get()?;
        if d.version >= 2 {
            m.cluster_id = d.get()?;
        }
        if d.version >= 1 {
            m.controller_id = d.get()?;
        }
        m.topics = d.get()?;
        if (8..=10).contains(&d.version) {
            m.cluster_authorized_operations = d.get()?;
        }
        if d.version >= 13 {
            m.error_code = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.throttle_time_ms);
        }
        e.put(&self.brokers);
        if e.version >= 2 {
            e.put(&self.cluster_id);
        }
        if e.version >= 1 {
            e.put(&self.controller_id);
        }
        e.put(&self.topics);
        if (8..=10).contains(&e.version) {
            e.put(&self.cluster_authorized_operations);
        } else {
            e.absent("cluster_authorized_operations", self.cluster_authorized_operations == i32::MIN);
        }
        if e.version >= 13 {
            e.put(&self.error_code);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.topics.iter().for_each(|one| one.error_codes(told));
        told(self.error_code);
    }
}

impl Message for MetadataResponse {
    const NAME: &'static str = "MetadataResponse";
    const VERSIONS: (i16, i16) = (0, 13);
    const FLEXIBLE: i16 = 9;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetadataResponseBroker {
    pub node_id: i32,
    pub host: Str,
    pub port: i32,
    /// Versions 1+.
    pub rack: Option<Str>,
}

impl Wire for MetadataResponseBroker {
    const SIZE_MIN: usize = 10;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.node_id = d.get()?;
        m.host = d.get()?;
        m.port = d.get()?;
        if d.version >= 1 {
            m.rack = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.node_id);
        e.put(&self.host);
        e.put(&self.port);
        if e.version >= 1 {
            e.put(&self.rack);
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponseTopic {
    pub error_code: i16,
    pub name: Option<Str>,
    /// Versions 10+.
    pub topic_id: Uuid,
    /// Versions 1+.
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
    /// Versions 8+.
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            name: Some(Default::default()),
            topic_id: Default::default(),
            is_internal: Default::default(),
            partitions: Default::default(),
            topic_authorized_operations: i32::MIN,
        }
    }
}

impl Wire for MetadataResponseTopic {
    const SIZE_MIN: usize = 8;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = d.get()?;
        m.name = if d.version >= 12 { d.get()? } else { d.required()? };
        if d.version >= 10 {
            m.topic_id = d.get()?;
        }
        if d.version >= 1 {
            m.is_internal = d.get()?;
        }
        m.partitions = d.get()?;
        if d.version >= 8 {
            m.topic_authorized_operations = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.error_code);
        if e.version >= 12 {
            e.put(&self.name);
        } else {
            e.required("name", &self.name);
        }
        if e.version >= 10 {
            e.put(&self.topic_id);
        }
        if e.version >= 1 {
            e.put(&self.is_internal);
        }
        e.put(&self.partitions);
        if e.version >= 8 {
            e.put(&self.topic_authorized_operations);
        } else {
            e.absent("topic_authorized_operations", self.topic_authorized_operations == i32::MIN);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
        self.partitions.iter().for_each(|one| one.error_codes(told));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    /// Versions 7+.
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    /// Versions 5+.
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            partition_index: Default::default(),
            leader_id: Default::default(),
            leader_epoch: -1,
            replica_nodes: Default::default(),
            isr_nodes: Default::default(),
            offline_replicas: Default::default(),
        }
    }
}

impl Wire for MetadataResponsePartition {
    const SIZE_MIN: usize = 18;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = d.get()?;
        m.partition_index = d.get()?;
        m.leader_id = d.get()?;
        if d.version >= 7 {
            m.leader_epoch = d.get()?;
        }
        m.replica_nodes = d.get()?;
        m.isr_nodes = d.get()?;
        if d.version >= 5 {
            m.offline_replicas = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.error_code);
        e.put(&self.partition_index);
        e.put(&self.leader_id);
        if e.version >= 7 {
            e.put(&self.leader_epoch);
        }
        e.put(&self.replica_nodes);
        e.put(&self.isr_nodes);
        if e.version >= 5 {
            e.put(&self.offline_replicas);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}
