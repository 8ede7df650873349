// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! ConsumerProtocolSubscription, versions 0-3.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerProtocolSubscription {
    pub topics: Vec<Str>,
    pub user_data: Option<Bytes>,
    /// Versions 1+.
    pub owned_partitions: Vec<TopicPartition>,
    /// Versions 2+.
    pub generation_id: i32,
    /// Versions 3+.
    pub rack_id: Option<Str>,
}

impl Default for ConsumerProtocolSubscription {
    fn default() -> Self {
        Self {
            topics: Default::default(),
            user_data: None,
            owned_partitions: Default::default(),
            generation_id: -1,
            rack_id: None,
        }
    }
}

impl Wire for ConsumerProtocolSubscription {
    const SIZE_MIN: usize = 8;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topics = d.get()?;
        m.user_data = d.get()?;
        if d.version >= 1 {
            m.owned_partitions = d.get()?;
        }
        if d.version >= 2 {
            m.generation_id = d.get()?;
        }
        if d.version >= 3 {
            m.rack_id = d.get()?;
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.topics);
        e.put(&self.user_data);
        if e.version >= 1 {
            e.put(&self.owned_partitions);
        }
        if e.version >= 2 {
            e.put(&self.generation_id);
        }
        if e.version >= 3 {
            e.put(&self.rack_id);
        }
    }
}

impl Message for ConsumerProtocolSubscription {
    const NAME: &'static str = "ConsumerProtocolSubscription";
    const VERSIONS: (i16, i16) = (0, 3);
    const FLEXIBLE: i16 = i16::MAX;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopicPartition {
    /// Versions 1+.
    pub topic: Str,
    /// Versions 1+.
    pub partitions: Vec<i32>,
}

impl Wire for TopicPartition {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.topic = d.get()?;
        }
        if d.version >= 1 {
            m.partitions = d.get()?;
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.topic);
        } else {
            e.absent("topic", self.topic.is_empty());
        }
        if e.version >= 1 {
            e.put(&self.partitions);
        } else {
            e.absent("partitions", self.partitions.is_empty());
        }
    }
}
