// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! UnregisterController (key 94), versions 0, flexible from 0.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnregisterControllerRequest {
    pub controller_id: i32,
}

impl Wire for UnregisterControllerRequest {
    const SIZE_MIN: usize = 5;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.controller_id = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.controller_id);
        e.tags(&[]);
    }
}

impl Message for UnregisterControllerRequest {
    const NAME: &'static str = "UnregisterControllerRequest";
    const VERSIONS: (i16, i16) = (0, 0);
    const FLEXIBLE: i16 = 0;
}

impl Request for UnregisterControllerRequest {
    const KEY: ApiKey = ApiKey::UnregisterController;
    type Response = UnregisterControllerResponse;
}

#[derive(Debug, Clone, PartialEq)]
pub struct UnregisterControllerResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<Str>,
}

impl Default for UnregisterControllerResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            error_message: Some(Default::default()),
        }
    }
}

impl Wire for UnregisterControllerResponse {
    const SIZE_MIN: usize = 8;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = d.get()?;
        m.error_code = d.get()?;
        m.error_message = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.throttle_time_ms);
        e.put(&self.error_code);
        e.put(&self.error_message);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for UnregisterControllerResponse {
    const NAME: &'static str = "UnregisterControllerResponse";
    const VERSIONS: (i16, i16) = (0, 0);
    const FLEXIBLE: i16 = 0;
}
