// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! ReadShareGroupState (key 84), versions 0, flexible from 0.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadShareGroupStateRequest {
    pub group_id: Str,
    pub topics: Vec<ReadStateData>,
}

impl Wire for ReadShareGroupStateRequest {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = d.get()?;
        m.topics = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.group_id);
        e.put(&self.topics);
        e.tags(&[]);
    }
}

impl Message for ReadShareGroupStateRequest {
    const NAME: &'static str = "ReadShareGroupStateRequest";
    const VERSIONS: (i16, i16) = (0, 0);
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadStateData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

impl Wire for ReadStateData {
    const SIZE_MIN: usize = 18;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_id = d.get()?;
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.topic_id);
        e.put(&self.partitions);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionData {
    pub partition: i32,
    pub leader_epoch: i32,
}

impl Wire for PartitionData {
    const SIZE_MIN: usize = 9;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition = d.get()?;
        m.leader_epoch = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition);
        e.put(&self.leader_epoch);
        e.tags(&[]);
    }
}

impl Request for ReadShareGroupStateRequest {
    const KEY: ApiKey = ApiKey::ReadShareGroupState;
    type Response = ReadShareGroupStateResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadShareGroupStateResponse {
    pub results: Vec<ReadStateResult>,
}

impl Wire for ReadShareGroupStateResponse {
    const SIZE_MIN: usize = 2;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.results = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.results);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.results.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for ReadShareGroupStateResponse {
    const NAME: &'static str = "ReadShareGroupStateResponse";
    const VERSIONS: (i16, i16) = (0, 0);
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadStateResult {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionResult>,
}

impl Wire for ReadStateResult {
    const SIZE_MIN: usize = 18;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_id = d.get()?;
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.topic_id);
        e.put(&self.partitions);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.partitions.iter().for_each(|one| one.error_codes(told));
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionResult {
    pub partition: i32,
    pub error_code: i16,
    pub error_message: Option<Str>,
    pub state_epoch: i32,
    pub start_offset: i64,
    pub state_batches: Vec<StateBatch>,
}

impl Wire for PartitionResult {
    const SIZE_MIN: usize = 21;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition = d.get()?;
        m.error_code = d.get()?;
        m.error_message = d.get()?;
        m.state_epoch = d.get()?;
        m.start_offset = d.get()?;
        m.state_batches = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition);
        e.put(&self.error_code);
        e.put(&self.error_message);
        e.put(&self.state_epoch);
        e.put(&self.start_offset);
        e.put(&self.state_batches);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    pub delivery_state: i8,
    pub delivery_count: i16,
}

impl Wire for StateBatch {
    const SIZE_MIN: usize = 20;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.first_offset = d.get()?;
        m.last_offset = d.get()?;
        m.delivery_state = d.get()?;
        m.delivery_count = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.first_offset);
        e.put(&self.last_offset);
        e.put(&self.delivery_state);
        e.put(&self.delivery_count);
        e.tags(&[]);
    }
}
