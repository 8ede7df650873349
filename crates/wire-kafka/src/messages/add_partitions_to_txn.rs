// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! AddPartitionsToTxn (key 24), versions 0-5, flexible from 3.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddPartitionsToTxnRequest {
    /// Versions 4+.
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    /// Versions 0-3.
    pub v3_and_below_transactional_id: Str,
    /// Versions 0-3.
    pub v3_and_below_producer_id: i64,
    /// Versions 0-3.
    pub v3_and_below_producer_epoch: i16,
    /// Versions 0-3.
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
}

impl Wire for AddPartitionsToTxnRequest {
    const SIZE_MIN: usize = 2;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 4 {
            m.transactions = d.get()?;
        }
        if d.version <= 3 {
            m.v3_and_below_transactional_id = d.get()?;
        }
        if d.version <= 3 {
            m.v3_and_below_producer_id = d.get()?;
        }
        if d.version <= 3 {
            m.v3_and_below_producer_epoch = d.get()?;
        }
        if d.version <= 3 {
            m.v3_and_below_topics = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 4 {
            e.put(&self.transactions);
        } else {
            e.absent("transactions", self.transactions.is_empty());
        }
        if e.version <= 3 {
            e.put(&self.v3_and_below_transactional_id);
        } else {
            e.absent("v3_and_below_transactional_id", self.v3_and_below_transactional_id.is_empty());
        }
        if e.version <= 3 {
            e.put(&self.v3_and_below_producer_id);
        } else {
            e.absent("v3_and_below_producer_id", self.v3_and_below_producer_id == 0);
        }
        if e.version <= 3 {
            e.put(&self.v3_and_below_producer_epoch);
        } else {
            e.absent("v3_and_below_producer_epoch", self.v3_and_below_producer_epoch == 0);
        }
        if e.version <= 3 {
            e.put(&self.v3_and_below_topics);
        } else {
            e.absent("v3_and_below_topics", self.v3_and_below_topics.is_empty());
        }
        e.tags(&[]);
    }
}

impl Message for AddPartitionsToTxnRequest {
    const NAME: &'static str = "AddPartitionsToTxnRequest";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddPartitionsToTxnTransaction {
    /// Versions 4+.
    pub transactional_id: Str,
    /// Versions 4+.
    pub producer_id: i64,
    /// Versions 4+.
    pub producer_epoch: i16,
    /// Versions 4+.
    pub verify_only: bool,
    /// Versions 4+.
    pub topics: Vec<AddPartitionsToTxnTopic>,
}

impl Wire for AddPartitionsToTxnTransaction {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 4 {
            m.transactional_id = d.get()?;
        }
        if d.version >= 4 {
            m.producer_id = d.get()?;
        }
        if d.version >= 4 {
            m.producer_epoch = d.get()?;
        }
        if d.version >= 4 {
            m.verify_only = d.get()?;
        }
        if d.version >= 4 {
            m.topics = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 4 {
            e.put(&self.transactional_id);
        } else {
            e.absent("transactional_id", self.transactional_id.is_empty());
        }
        if e.version >= 4 {
            e.put(&self.producer_id);
        } else {
            e.absent("producer_id", self.producer_id == 0);
        }
        if e.version >= 4 {
            e.put(&self.producer_epoch);
        } else {
            e.absent("producer_epoch", self.producer_epoch == 0);
        }
        if e.version >= 4 {
            e.put(&self.verify_only);
        } else {
            e.absent("verify_only", !self.verify_only);
        }
        if e.version >= 4 {
            e.put(&self.topics);
        } else {
            e.absent("topics", self.topics.is_empty());
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddPartitionsToTxnTopic {
    pub name: Str,
    pub partitions: Vec<i32>,
}

impl Wire for AddPartitionsToTxnTopic {
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

impl Request for AddPartitionsToTxnRequest {
    const KEY: ApiKey = ApiKey::AddPartitionsToTxn;
    type Response = AddPartitionsToTxnResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddPartitionsToTxnResponse {
    pub throttle_time_ms: i32,
    /// Versions 4+.
    pub error_code: i16,
    /// Versions 4+.
    pub results_by_transaction: Vec<AddPartitionsToTxnResult>,
    /// Versions 0-3.
    pub results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
}

impl Wire for AddPartitionsToTxnResponse {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = d.get()?;
        if d.version >= 4 {
            m.error_code = d.get()?;
        }
        if d.version >= 4 {
            m.results_by_transaction = d.get()?;
        }
        if d.version <= 3 {
            m.results_by_topic_v3_and_below = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.throttle_time_ms);
        if e.version >= 4 {
            e.put(&self.error_code);
        }
        if e.version >= 4 {
            e.put(&self.results_by_transaction);
        } else {
            e.absent("results_by_transaction", self.results_by_transaction.is_empty());
        }
        if e.version <= 3 {
            e.put(&self.results_by_topic_v3_and_below);
        } else {
            e.absent("results_by_topic_v3_and_below", self.results_by_topic_v3_and_below.is_empty());
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for AddPartitionsToTxnResponse {
    const NAME: &'static str = "AddPartitionsToTxnResponse";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddPartitionsToTxnResult {
    /// Versions 4+.
    pub transactional_id: Str,
    /// Versions 4+.
    pub topic_results: Vec<AddPartitionsToTxnTopicResult>,
}

impl Wire for AddPartitionsToTxnResult {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 4 {
            m.transactional_id = d.get()?;
        }
        if d.version >= 4 {
            m.topic_results = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 4 {
            e.put(&self.transactional_id);
        } else {
            e.absent("transactional_id", self.transactional_id.is_empty());
        }
        if e.version >= 4 {
            e.put(&self.topic_results);
        } else {
            e.absent("topic_results", self.topic_results.is_empty());
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddPartitionsToTxnTopicResult {
    pub name: Str,
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

impl Wire for AddPartitionsToTxnTopicResult {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = d.get()?;
        m.results_by_partition = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.name);
        e.put(&self.results_by_partition);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddPartitionsToTxnPartitionResult {
    pub partition_index: i32,
    pub partition_error_code: i16,
}

impl Wire for AddPartitionsToTxnPartitionResult {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = d.get()?;
        m.partition_error_code = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.partition_index);
        e.put(&self.partition_error_code);
        e.tags(&[]);
    }
}
