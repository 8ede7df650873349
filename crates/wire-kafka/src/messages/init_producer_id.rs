// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! InitProducerId (key 22), versions 0-6, flexible from 2.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct InitProducerIdRequest {
    pub transactional_id: Option<Str>,
    pub transaction_timeout_ms: i32,
    /// Versions 3+.
    pub producer_id: i64,
    /// Versions 3+.
    pub producer_epoch: i16,
    /// Versions 6+.
    pub enable2_pc: bool,
    /// Versions 6+.
    pub keep_prepared_txn: bool,
}

impl Default for InitProducerIdRequest {
    fn default() -> Self {
        Self {
            transactional_id: Some(Default::default()),
            transaction_timeout_ms: Default::default(),
            producer_id: -1,
            producer_epoch: -1,
            enable2_pc: Default::default(),
            keep_prepared_txn: Default::default(),
        }
    }
}

impl Wire for InitProducerIdRequest {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.transactional_id = d.get()?;
        m.transaction_timeout_ms = d.get()?;
        if d.version >= 3 {
            m.producer_id = d.get()?;
        }
        if d.version >= 3 {
            m.producer_epoch = d.get()?;
        }
        if d.version >= 6 {
            m.enable2_pc = d.get()?;
        }
        if d.version >= 6 {
            m.keep_prepared_txn = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.transactional_id);
        e.put(&self.transaction_timeout_ms);
        if e.version >= 3 {
            e.put(&self.producer_id);
        } else {
            e.absent("producer_id", self.producer_id == -1);
        }
        if e.version >= 3 {
            e.put(&self.producer_epoch);
        } else {
            e.absent("producer_epoch", self.producer_epoch == -1);
        }
        if e.version >= 6 {
            e.put(&self.enable2_pc);
        } else {
            e.absent("enable2_pc", !self.enable2_pc);
        }
        if e.version >= 6 {
            e.put(&self.keep_prepared_txn);
        } else {
            e.absent("keep_prepared_txn", !self.keep_prepared_txn);
        }
        e.tags(&[]);
    }
}

impl Message for InitProducerIdRequest {
    const NAME: &'static str = "InitProducerIdRequest";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 2;
}

impl Request for InitProducerIdRequest {
    const KEY: ApiKey = ApiKey::InitProducerId;
    type Response = InitProducerIdResponse;
}

#[derive(Debug, Clone, PartialEq)]
pub struct InitProducerIdResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Versions 6+.
    pub ongoing_txn_producer_id: i64,
    /// Versions 6+.
    pub ongoing_txn_producer_epoch: i16,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            producer_id: -1,
            producer_epoch: Default::default(),
            ongoing_txn_producer_id: -1,
            ongoing_txn_producer_epoch: -1,
        }
    }
}

impl Wire for InitProducerIdResponse {
    const SIZE_MIN: usize = 16;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = d.get()?;
        m.error_code = d.get()?;
        m.producer_id = d.get()?;
        m.producer_epoch = d.get()?;
        if d.version >= 6 {
            m.ongoing_txn_producer_id = d.get()?;
        }
        if d.version >= 6 {
            m.ongoing_txn_producer_epoch = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.throttle_time_ms);
        e.put(&self.error_code);
        e.put(&self.producer_id);
        e.put(&self.producer_epoch);
        if e.version >= 6 {
            e.put(&self.ongoing_txn_producer_id);
        } else {
            e.absent("ongoing_txn_producer_id", self.ongoing_txn_producer_id == -1);
        }
        if e.version >= 6 {
            e.put(&self.ongoing_txn_producer_epoch);
        } else {
            e.absent("ongoing_txn_producer_epoch", self.ongoing_txn_producer_epoch == -1);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for InitProducerIdResponse {
    const NAME: &'static str = "InitProducerIdResponse";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 2;
}
