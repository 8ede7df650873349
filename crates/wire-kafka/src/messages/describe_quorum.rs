// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! DescribeQuorum (key 55), versions 0-2, flexible from 0.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescribeQuorumRequest {
    pub topics: Vec<RequestTopicData>,
}

impl Wire for DescribeQuorumRequest {
    const SIZE_MIN: usize = 2;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topics = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.topics);
        e.tags(&[]);
    }
}

impl Message for DescribeQuorumRequest {
    const NAME: &'static str = "DescribeQuorumRequest";
    const VERSIONS: (i16, i16) = (0, 2);
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestTopicData {
    pub topic_name: Str,
    pub partitions: Vec<RequestPartitionData>,
}

impl Wire for RequestTopicData {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_name = d.get()?;
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.topic_name);
        e.put(&self.partitions);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestPartitionData {
    pub partition_index: i32,
}

impl Wire for RequestPartitionData {
    const SIZE_MIN: usize = 5;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        e.tags(&[]);
    }
}

impl Request for DescribeQuorumRequest {
    const KEY: ApiKey = ApiKey::DescribeQuorum;
    type Response = DescribeQuorumResponse;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeQuorumResponse {
    pub error_code: i16,
    /// Versions 2+.
    pub error_message: Option<Str>,
    pub topics: Vec<ResponseTopicData>,
    /// Versions 2+.
    pub nodes: Vec<Node>,
}

impl Default for DescribeQuorumResponse {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            error_message: Some(Default::default()),
            topics: Default::default(),
            nodes: Default::default(),
        }
    }
}

impl Wire for DescribeQuorumResponse {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = d.get()?;
        if d.version >= 2 {
            m.error_message = d.get()?;
        }
        m.topics = d.get()?;
        if d.version >= 2 {
            m.nodes = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.error_code);
        if e.version >= 2 {
            e.put(&self.error_message);
        }
        e.put(&self.topics);
        if e.version >= 2 {
            e.put(&self.nodes);
        } else {
            e.absent("nodes", self.nodes.is_empty());
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
        self.topics.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for DescribeQuorumResponse {
    const NAME: &'static str = "DescribeQuorumResponse";
    const VERSIONS: (i16, i16) = (0, 2);
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResponseTopicData {
    pub topic_name: Str,
    pub partitions: Vec<ResponsePartitionData>,
}

impl Wire for ResponseTopicData {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_name = d.get()?;
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.topic_name);
        e.put(&self.partitions);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.partitions.iter().for_each(|one| one.error_codes(told));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ResponsePartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    /// Versions 2+.
    pub error_message: Option<Str>,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub current_voters: Vec<ReplicaState>,
    pub observers: Vec<ReplicaState>,
}

impl Default for ResponsePartitionData {
    fn default() -> Self {
        Self {
            partition_index: Default::default(),
            error_code: Default::default(),
            error_message: Some(Default::default()),
            leader_id: Default::default(),
            leader_epoch: Default::default(),
            high_watermark: Default::default(),
            current_voters: Default::default(),
            observers: Default::default(),
        }
    }
}

impl Wire for ResponsePartitionData {
    const SIZE_MIN: usize = 25;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        m.error_code = d.get()?;
        if d.version >= 2 {
            m.error_message = d.get()?;
        }
        m.leader_id = d.get()?;
        m.leader_epoch = d.get()?;
        m.high_watermark = d.get()?;
        m.current_voters = d.get()?;
        m.observers = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        e.put(&self.error_code);
        if e.version >= 2 {
            e.put(&self.error_message);
        }
        e.put(&self.leader_id);
        e.put(&self.leader_epoch);
        e.put(&self.high_watermark);
        e.put(&self.current_voters);
        e.put(&self.observers);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// Versions 2+.
    pub node_id: i32,
    /// Versions 2+.
    pub listeners: Vec<Listener>,
}

impl Wire for Node {
    const SIZE_MIN: usize = 1;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 2 {
            m.node_id = d.get()?;
        }
        if d.version >= 2 {
            m.listeners = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 2 {
            e.put(&self.node_id);
        } else {
            e.absent("node_id", self.node_id == 0);
        }
        if e.version >= 2 {
            e.put(&self.listeners);
        } else {
            e.absent("listeners", self.listeners.is_empty());
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listener {
    /// Versions 2+.
    pub name: Str,
    /// Versions 2+.
    pub host: Str,
    /// Versions 2+.
    pub port: u16,
}

impl Wire for Listener {
    const SIZE_MIN: usize = 1;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 2 {
            m.name = d.get()?;
        }
        if d.version >= 2 {
            m.host = d.get()?;
        }
        if d.version >= 2 {
            m.port = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 2 {
            e.put(&self.name);
        } else {
            e.absent("name", self.name.is_empty());
        }
        if e.version >= 2 {
            e.put(&self.host);
        } else {
            e.absent("host", self.host.is_empty());
        }
        if e.version >= 2 {
            e.put(&self.port);
        } else {
            e.absent("port", self.port == 0);
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaState {
    pub replica_id: i32,
    /// Versions 2+.
    pub replica_directory_id: Uuid,
    pub log_end_offset: i64,
    /// Versions 1+.
    pub last_fetch_timestamp: i64,
    /// Versions 1+.
    pub last_caught_up_timestamp: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: Default::default(),
            replica_directory_id: Default::default(),
            log_end_offset: Default::default(),
            last_fetch_timestamp: -1,
            last_caught_up_timestamp: -1,
        }
    }
}

impl Wire for ReplicaState {
    const SIZE_MIN: usize = 13;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.replica_id = d.get()?;
        if d.version >= 2 {
            m.replica_directory_id = d.get()?;
        }
        m.log_end_offset = d.get()?;
        if d.version >= 1 {
            m.last_fetch_timestamp = d.get()?;
        }
        if d.version >= 1 {
            m.last_caught_up_timestamp = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.replica_id);
        if e.version >= 2 {
            e.put(&self.replica_directory_id);
        } else {
            e.absent("replica_directory_id", self.replica_directory_id.is_nil());
        }
        e.put(&self.log_end_offset);
        if e.version >= 1 {
            e.put(&self.last_fetch_timestamp);
        }
        if e.version >= 1 {
            e.put(&self.last_caught_up_timestamp);
        }
        e.tags(&[]);
    }
}
