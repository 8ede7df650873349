// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! ListTransactions (key 66), versions 0-2, flexible from 0.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct ListTransactionsRequest {
    pub state_filters: Vec<Str>,
    pub producer_id_filters: Vec<i64>,
    /// Versions 1+.
    pub duration_filter: i64,
    /// Versions 2+.
    pub transactional_id_pattern: Option<Str>,
}

impl Default for ListTransactionsRequest {
    fn default() -> Self {
        Self {
            state_filters: Default::default(),
            producer_id_filters: Default::default(),
            duration_filter: -1,
            transactional_id_pattern: None,
        }
    }
}

impl Wire for ListTransactionsRequest {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.state_filters = d.get()?;
        m.producer_id_filters = d.get()?;
        if d.version >= 1 {
            m.duration_filter = d.get()?;
        }
        if d.version >= 2 {
            m.transactional_id_pattern = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.state_filters);
        e.put(&self.producer_id_filters);
        if e.version >= 1 {
            e.put(&self.duration_filter);
        } else {
            e.absent("duration_filter", self.duration_filter == -1);
        }
        if e.version >= 2 {
            e.put(&self.transactional_id_pattern);
        } else {
            e.absent("transactional_id_pattern", self.transactional_id_pattern.is_none());
        }
        e.tags(&[]);
    }
}

impl Message for ListTransactionsRequest {
    const NAME: &'static str = "ListTransactionsRequest";
    const VERSIONS: (i16, i16) = (0, 2);
    const FLEXIBLE: i16 = 0;
}

impl Request for ListTransactionsRequest {
    const KEY: ApiKey = ApiKey::ListTransactions;
    type Response = ListTransactionsResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListTransactionsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub unknown_state_filters: Vec<Str>,
    pub transaction_states: Vec<TransactionState>,
}

impl Wire for ListTransactionsResponse {
    const SIZE_MIN: usize = 9;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = d.get()?;
        m.error_code = d.get()?;
        m.unknown_state_filters = d.get()?;
        m.transaction_states = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.throttle_time_ms);
        e.put(&self.error_code);
        e.put(&self.unknown_state_filters);
        e.put(&self.transaction_states);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for ListTransactionsResponse {
    const NAME: &'static str = "ListTransactionsResponse";
    const VERSIONS: (i16, i16) = (0, 2);
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransactionState {
    pub transactional_id: Str,
    pub producer_id: i64,
    pub transaction_state: Str,
}

impl Wire for TransactionState {
    const SIZE_MIN: usize = 11;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.transactional_id = d.get()?;
        m.producer_id = d.get()?;
        m.transaction_state = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.transactional_id);
        e.put(&self.producer_id);
        e.put(&self.transaction_state);
        e.tags(&[]);
    }
}
