// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! FindCoordinator (key 10), versions 0-6, flexible from 3.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct FindCoordinatorRequest {
    /// Versions 0-3.
    pub key: Str,
    /// Versions 1+.
    pub key_type: i8,
    /// Versions 4+.
    pub coordinator_keys: Vec<Str>,
}

impl Wire for FindCoordinatorRequest {
    const SIZE_MIN: usize = 2;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version <= 3 {
            m.key = d.get()?;
        }
        if d.version >= 1 {
            m.key_type = d.get()?;
        }
        if d.version >= 4 {
            m.coordinator_keys = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version <= 3 {
            e.put(&self.key);
        } else {
            e.absent("key", self.key.is_empty());
        }
        if e.version >= 1 {
            e.put(&self.key_type);
        } else {
            e.absent("key_type", self.key_type == 0);
        }
        if e.version >= 4 {
            e.put(&self.coordinator_keys);
        } else {
            e.absent("coordinator_keys", self.coordinator_keys.is_empty());
        }
        e.tags(&[]);
    }
}

impl Message for FindCoordinatorRequest {
    const NAME: &'static str = "FindCoordinatorRequest";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 3;
}

impl Request for FindCoordinatorRequest {
    const KEY: ApiKey = ApiKey::FindCoordinator;
    type Response = FindCoordinatorResponse;
}

#[derive(Debug, Clone, PartialEq)]
pub struct FindCoordinatorResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    /// Versions 0-3.
    pub error_code: i16,
    /// Versions 1-3.
    pub error_message: Option<Str>,
    /// Versions 0-3.
    pub node_id: i32,
    /// Versions 0-3.
    pub host: Str,
    /// Versions 0-3.
    pub port: i32,
    /// Versions 4+.
    pub coordinators: Vec<Coordinator>,
}

impl Default for FindCoordinatorResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            error_message: Some(Default::default()),
            node_id: Default::default(),
            host: Default::default(),
            port: Default::default(),
            coordinators: Default::default(),
        }
    }
}

impl Wire for FindCoordinatorResponse {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.throttle_time_ms = d.get()?;
        }
        if d.version <= 3 {
            m.error_code = d.get()?;
        }
        if (1..=3).contains(&d.version) {
            m.error_message = d.get()?;
        }
        if d.version <= 3 {
            m.node_id = d.get()?;
        }
        if d.version <= 3 {
            m.host = d.get()?;
        }
        if d.version <= 3 {
            m.port = d.get()?;
        }
        if d.version >= 4 {
            m.coordinators = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.throttle_time_ms);
        }
        if e.version <= 3 {
            e.put(&self.error_code);
        } else {
            e.absent("error_code", self.error_code == 0);
        }
        if (1..=3).contains(&e.version) {
            e.put(&self.error_message);
        }
        if e.version <= 3 {
            e.put(&self.node_id);
        } else {
            e.absent("node_id", self.node_id == 0);
        }
        if e.version <= 3 {
            e.put(&self.host);
        } else {
            e.absent("host", self.host.is_empty());
        }
        if e.version <= 3 {
            e.put(&self.port);
        } else {
            e.absent("port", self.port == 0);
        }
        if e.version >= 4 {
            e.put(&self.coordinators);
        } else {
            e.absent("coordinators", self.coordinators.is_empty());
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
        self.coordinators.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for FindCoordinatorResponse {
    const NAME: &'static str = "FindCoordinatorResponse";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq)]
pub struct Coordinator {
    /// Versions 4+.
    pub key: Str,
    /// Versions 4+.
    pub node_id: i32,
    /// Versions 4+.
    pub host: Str,
    /// Versions 4+.
    pub port: i32,
    /// Versions 4+.
    pub error_code: i16,
    /// Versions 4+.
    pub error_message: Option<Str>,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            key: Default::default(),
            node_id: Default::default(),
            host: Default::default(),
            port: Default::default(),
            error_code: Default::default(),
            error_message: Some(Default::default()),
        }
    }
}

impl Wire for Coordinator {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 4 {
            m.key = d.get()?;
        }
        if d.version >= 4 {
            m.node_id = d.get()?;
        }
        if d.version >= 4 {
            m.host = d.get()?;
        }
        if d.version >= 4 {
            m.port = d.get()?;
        }
        if d.version >= 4 {
            m.error_code = d.get()?;
        }
        if d.version >= 4 {
            m.error_message = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 4 {
            e.put(&self.key);
        } else {
            e.absent("key", self.key.is_empty());
        }
        if e.version >= 4 {
            e.put(&self.node_id);
        } else {
            e.absent("node_id", self.node_id == 0);
        }
        if e.version >= 4 {
            e.put(&self.host);
        } else {
            e.absent("host", self.host.is_empty());
        }
        if e.version >= 4 {
            e.put(&self.port);
        } else {
            e.absent("port", self.port == 0);
        }
        if e.version >= 4 {
            e.put(&self.error_code);
        } else {
            e.absent("error_code", self.error_code == 0);
        }
        if e.version >= 4 {
            e.put(&self.error_message);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}
