// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! Produce (key 0), versions 0-13, flexible from 9.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProduceRequest {
    /// Versions 3+.
    pub transactional_id: Option<Str>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic_data: Vec<TopicProduceData>,
}

impl Wire for ProduceRequest {
    const SIZE_MIN: usize = 9;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.transactional_id = d.get()?;
        }
        m.acks = d.get()?;
        m.timeout_ms = d.get()?;
        m.topic_data = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.transactional_id);
        } else {
            e.absent("transactional_id", self.transactional_id.is_none());
        }
        e.put(&self.acks);
        e.put(&self.timeout_ms);
        e.put(&self.topic_data);
        e.tags(&[]);
    }
}

impl Message for ProduceRequest {
    const NAME: &'static str = "ProduceRequest";
    const VERSIONS: (i16, i16) = (0, 13);
    const FLEXIBLE: i16 = 9;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopicProduceData {
    /// Versions 0-12.
    pub name: Str,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partition_data: Vec<PartitionProduceData>,
}

impl Wire for TopicProduceData {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 12 {
            m.name = d.get()?;
        }
        if d.version >= 13 {
            m.topic_id = d.get()?;
        }
        m.partition_data = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 12 {
            e.put(&self.name);
        }
        if e.version >= 13 {
            e.put(&self.topic_id);
        }
        e.put(&self.partition_data);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionProduceData {
    pub index: i32,
    pub records: Option<Records>,
}

impl Wire for PartitionProduceData {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.index = d.get()?;
        m.records = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.index);
        e.put(&self.records);
        e.tags(&[]);
    }
}

impl Request for ProduceRequest {
    const KEY: ApiKey = ApiKey::Produce;
    type Response = ProduceResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProduceResponse {
    pub responses: Vec<TopicProduceResponse>,
    /// Versions 1+.
    pub throttle_time_ms: i32,
    /// Versions 10+.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl Wire for ProduceResponse {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.responses = d.get()?;
        if d.version >= 1 {
            m.throttle_time_ms = d.get()?;
        }
        let mut tags = d.tags()?;
        while let Some(tag) = d.tag(&mut tags)? {
            match tag {
                0 if d.version >= 10 => m.node_endpoints = d.get()?,
                _ => d.skip_tag(&tags),
            }
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.responses);
        if e.version >= 1 {
            e.put(&self.throttle_time_ms);
        }
        if !(e.version >= 10) {
            e.absent("node_endpoints", self.node_endpoints.is_empty());
        }
        e.tags(&[
            (0, e.version >= 10 && !self.node_endpoints.is_empty(), &self.node_endpoints),
        ]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.responses.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for ProduceResponse {
    const NAME: &'static str = "ProduceResponse";
    const VERSIONS: (i16, i16) = (0, 13);
    const FLEXIBLE: i16 = 9;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopicProduceResponse {
    /// Versions 0-12.
    pub name: Str,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partition_responses: Vec<PartitionProduceResponse>,
}

impl Wire for TopicProduceResponse {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 12 {
            m.name = d.get()?;
        }
        if d.version >= 13 {
            m.topic_id = d.get()?;
        }
        m.partition_responses = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 12 {
            e.put(&self.name);
        }
        if e.version >= 13 {
            e.put(&self.topic_id);
        }
        e.put(&self.partition_responses);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.partition_responses.iter().for_each(|one| one.error_codes(told));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PartitionProduceResponse {
    pub index: i32,
    pub error_code: i16,
    pub base_offset: i64,
    /// Versions 2+.
    pub log_append_time_ms: i64,
    /// Versions 5+.
    pub log_start_offset: i64,
    /// Versions 8+.
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// Versions 8+.
    pub error_message: Option<Str>,
    /// Versions 10+.
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse {
    fn default() -> Self {
        Self {
            index: Default::default(),
            error_code: Default::default(),
            base_offset: Default::default(),
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Default::default(),
            error_message: None,
            current_leader: Default::default(),
        }
    }
}

impl Wire for PartitionProduceResponse {
    const SIZE_MIN: usize = 14;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.index = d.get()?;
        m.error_code = d.get()?;
        m.base_offset = d.get()?;
        if d.version >= 2 {
            m.log_append_time_ms = d.get()?;
        }
        if d.version >= 5 {
            m.log_start_offset = d.get()?;
        }
        if d.version >= 8 {
            m.record_errors = d.get()?;
        }
        if d.version >= 8 {
            m.error_message = d.get()?;
        }
        let mut tags = d.tags()?;
        while let Some(tag) = d.tag(&mut tags)? {
            match tag {
                0 if d.version >= 10 => m.current_leader = d.get()?,
                _ => d.skip_tag(&tags),
            }
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.index);
        e.put(&self.error_code);
        e.put(&self.base_offset);
        if e.version >= 2 {
            e.put(&self.log_append_time_ms);
        }
        if e.version >= 5 {
            e.put(&self.log_start_offset);
        }
        if e.version >= 8 {
            e.put(&self.record_errors);
        }
        if e.version >= 8 {
            e.put(&self.error_message);
        }
        if !(e.version >= 10) {
            e.absent("current_leader", self.current_leader == LeaderIdAndEpoch::default());
        }
        e.tags(&[
            (0, e.version >= 10 && !(self.current_leader == LeaderIdAndEpoch::default()), &self.current_leader),
        ]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchIndexAndErrorMessage {
    /// Versions 8+.
    pub batch_index: i32,
    /// Versions 8+.
    pub batch_index_error_message: Option<Str>,
}

impl Wire for BatchIndexAndErrorMessage {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 8 {
            m.batch_index = d.get()?;
        }
        if d.version >= 8 {
            m.batch_index_error_message = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 8 {
            e.put(&self.batch_index);
        } else {
            e.absent("batch_index", self.batch_index == 0);
        }
        if e.version >= 8 {
            e.put(&self.batch_index_error_message);
        } else {
            e.absent("batch_index_error_message", self.batch_index_error_message.is_none());
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// Versions 10+.
    pub leader_id: i32,
    /// Versions 10+.
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
        if d.version >= 10 {
            m.leader_id = d.get()?;
        }
        if d.version >= 10 {
            m.leader_epoch = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 10 {
            e.put(&self.leader_id);
        } else {
            e.absent("leader_id", self.leader_id == -1);
        }
        if e.version >= 10 {
            e.put(&self.leader_epoch);
        } else {
            e.absent("leader_epoch", self.leader_epoch == -1);
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeEndpoint {
    /// Versions 10+.
    pub node_id: i32,
    /// Versions 10+.
    pub host: Str,
    /// Versions 10+.
    pub port: i32,
    /// Versions 10+.
    pub rack: Option<Str>,
}

impl Wire for NodeEndpoint {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 10 {
            m.node_id = d.get()?;
        }
        if d.version >= 10 {
            m.host = d.get()?;
        }
        if d.version >= 10 {
            m.port = d.get()?;
        }
        if d.version >= 10 {
            m.rack = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 10 {
            e.put(&self.node_id);
        } else {
            e.absent("node_id", self.node_id == 0);
        }
        if e.version >= 10 {
            e.put(&self.host);
        } else {
            e.absent("host", self.host.is_empty());
        }
        if e.version >= 10 {
            e.put(&self.port);
        } else {
            e.absent("port", self.port == 0);
        }
        if e.version >= 10 {
            e.put(&self.rack);
        } else {
            e.absent("rack", self.rack.is_none());
        }
        e.tags(&[]);
    }
}
