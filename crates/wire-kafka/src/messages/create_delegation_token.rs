// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! CreateDelegationToken (key 38), versions 0-3, flexible from 2.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct CreateDelegationTokenRequest {
    /// Versions 3+.
    pub owner_principal_type: Option<Str>,
    /// Versions 3+.
    pub owner_principal_name: Option<Str>,
    pub renewers: Vec<CreatableRenewers>,
    pub max_lifetime_ms: i64,
}

impl Default for CreateDelegationTokenRequest {
    fn default() -> Self {
        Self {
            owner_principal_type: Some(Default::default()),
            owner_principal_name: Some(Default::default()),
            renewers: Default::default(),
            max_lifetime_ms: Default::default(),
        }
    }
}

impl Wire for CreateDelegationTokenRequest {
    const SIZE_MIN: usize = 10;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.owner_principal_type = d.get()?;
        }
        if d.version >= 3 {
            m.owner_principal_name = d.get()?;
        }
        m.renewers = d.get()?;
        m.max_lifetime_ms = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.owner_principal_type);
        } else {
            e.absent("owner_principal_type", self.owner_principal_type == Some(Default::default()));
        }
        if e.version >= 3 {
            e.put(&self.owner_principal_name);
        } else {
            e.absent("owner_principal_name", self.owner_principal_name == Some(Default::default()));
        }
        e.put(&self.renewers);
        e.put(&self.max_lifetime_ms);
        e.tags(&[]);
    }
}

impl Message for CreateDelegationTokenRequest {
    const NAME: &'static str = "CreateDelegationTokenRequest";
    const VERSIONS: (i16, i16) = (0, 3);
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreatableRenewers {
    pub principal_type: Str,
    pub principal_name: Str,
}

impl Wire for CreatableRenewers {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.principal_type = d.get()?;
        m.principal_name = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.principal_type);
        e.put(&self.principal_name);
        e.tags(&[]);
    }
}

impl Request for CreateDelegationTokenRequest {
    const KEY: ApiKey = ApiKey::CreateDelegationToken;
    type Response = CreateDelegationTokenResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreateDelegationTokenResponse {
    pub error_code: i16,
    pub principal_type: Str,
    pub principal_name: Str,
    /// Versions 3+.
    pub token_requester_principal_type: Str,
    /// Versions 3+.
    pub token_requester_principal_name: Str,
    pub issue_timestamp_ms: i64,
    pub expiry_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub token_id: Str,
    pub hmac: Bytes,
    pub throttle_time_ms: i32,
}

impl Wire for CreateDelegationTokenResponse {
    const SIZE_MIN: usize = 35;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = d.get()?;
        m.principal_type = d.get()?;
        m.principal_name = d.get()?;
        if d.version >= 3 {
            m.token_requester_principal_type = d.get()?;
        }
        if d.version >= 3 {
            m.token_requester_principal_name = d.get()?;
        }
        m.issue_timestamp_ms = d.get()?;
        m.expiry_timestamp_ms = d.get()?;
        m.max_timestamp_ms = d.get()?;
        m.token_id = d.get()?;
        m.hmac = d.get()?;
        m.throttle_time_ms = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.error_code);
        e.put(&self.principal_type);
        e.put(&self.principal_name);
        if e.version >= 3 {
            e.put(&self.token_requester_principal_type);
        } else {
            e.absent("token_requester_principal_type", self.token_requester_principal_type.is_empty());
        }
        if e.version >= 3 {
            e.put(&self.token_requester_principal_name);
        } else {
            e.absent("token_requester_principal_name", self.token_requester_principal_name.is_empty());
        }
        e.put(&self.issue_timestamp_ms);
        e.put(&self.expiry_timestamp_ms);
        e.put(&self.max_timestamp_ms);
        e.put(&self.token_id);
        e.put(&self.hmac);
        e.put(&self.throttle_time_ms);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for CreateDelegationTokenResponse {
    const NAME: &'static str = "CreateDelegationTokenResponse";
    const VERSIONS: (i16, i16) = (0, 3);
    const FLEXIBLE: i16 = 2;
}
