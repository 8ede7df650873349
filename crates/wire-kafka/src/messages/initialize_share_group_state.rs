// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! InitializeShareGroupState (key 83), versions 0, flexible from 0.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct InitializeShareGroupStateRequest {
    pub group_id: Str,
    pub topics: Vec<InitializeStateData>,
}

impl Wire for InitializeShareGroupStateRequest {
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

impl Message for InitializeShareGroupStateRequest {
    const NAME: &'static str = "InitializeShareGroupStateRequest";
    const VERSIONS: (i16, i16) = (0, 0);
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct InitializeStateData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

impl Wire for InitializeStateData {
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
    pub state_epoch: i32,
    pub start_offset: i64,
}

impl Wire for PartitionData {
    const SIZE_MIN: usize = 17;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition = d.get()?;
        m.state_epoch = d.get()?;
        m.start_offset = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition);
        e.put(&self.state_epoch);
        e.put(&self.start_offset);
        e.tags(&[]);
    }
}

impl Request for InitializeShareGroupStateRequest {
    const KEY: ApiKey = ApiKey::InitializeShareGroupState;
    type Response = InitializeShareGroupStateResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct InitializeShareGroupStateResponse {
    pub results: Vec<InitializeStateResult>,
}

impl Wire for InitializeShareGroupStateResponse {
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

impl Message for InitializeShareGroupStateResponse {
    const NAME: &'static str = "InitializeShareGroupStateResponse";
    const VERSIONS: (i16, i16) = (0, 0);
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct InitializeStateResult {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionResult>,
}

impl Wire for InitializeStateResult {
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
}

impl Wire for PartitionResult {
    const SIZE_MIN: usize = 8;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition = d.get()?;
        m.error_code = d.get()?;
        m.error_message = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition);
        e.put(&self.error_code);
        e.put(&self.error_message);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}
