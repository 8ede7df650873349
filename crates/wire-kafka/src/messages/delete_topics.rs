// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! DeleteTopics (key 20), versions 0-6, flexible from 4.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeleteTopicsRequest {
    /// Versions 6+.
    pub topics: Vec<DeleteTopicState>,
    /// Versions 0-5.
    pub topic_names: Vec<Str>,
    pub timeout_ms: i32,
}

impl Wire for DeleteTopicsRequest {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 6 {
            m.topics = d.get()?;
        }
        if d.version <= 5 {
            m.topic_names = d.get()?;
        }
        m.timeout_ms = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 6 {
            e.put(&self.topics);
        } else {
            e.absent("topics", self.topics.is_empty());
        }
        if e.version <= 5 {
            e.put(&self.topic_names);
        }
        e.put(&self.timeout_ms);
        e.tags(&[]);
    }
}

impl Message for DeleteTopicsRequest {
    const NAME: &'static str = "DeleteTopicsRequest";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeleteTopicState {
    /// Versions 6+.
    pub name: Option<Str>,
    /// Versions 6+.
    pub topic_id: Uuid,
}

impl Wire for DeleteTopicState {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 6 {
            m.name = d.get()?;
        }
        if d.version >= 6 {
            m.topic_id = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 6 {
            e.put(&self.name);
        } else {
            e.absent("name", self.name.is_none());
        }
        if e.version >= 6 {
            e.put(&self.topic_id);
        } else {
            e.absent("topic_id", self.topic_id.is_nil());
        }
        e.tags(&[]);
    }
}

impl Request for DeleteTopicsRequest {
    const KEY: ApiKey = ApiKey::DeleteTopics;
    type Response = DeleteTopicsResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeleteTopicsResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub responses: Vec<DeletableTopicResult>,
}

impl Wire for DeleteTopicsResponse {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.throttle_time_ms = d.get()?;
        }
        m.responses = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.throttle_time_ms);
        }
        e.put(&self.responses);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.responses.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for DeleteTopicsResponse {
    const NAME: &'static str = "DeleteTopicsResponse";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DeletableTopicResult {
    pub name: Option<Str>,
    /// Versions 6+.
    pub topic_id: Uuid,
    pub error_code: i16,
    /// Versions 5+.
    pub error_message: Option<Str>,
}

impl Default for DeletableTopicResult {
    fn default() -> Self {
        Self {
            name: Some(Default::default()),
            topic_id: Default::default(),
            error_code: Default::default(),
            error_message: None,
        }
    }
}

impl Wire for DeletableTopicResult {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = if d.version >= 6 { d.get()? } else { d.required()? };
        if d.version >= 6 {
            m.topic_id = d.get()?;
        }
        m.error_code = d.get()?;
        if d.version >= 5 {
            m.error_message = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 6 {
            e.put(&self.name);
        } else {
            e.required("name", &self.name);
        }
        if e.version >= 6 {
            e.put(&self.topic_id);
        }
        e.put(&self.error_code);
        if e.version >= 5 {
            e.put(&self.error_message);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}
