// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! SyncGroup (key 14), versions 0-5, flexible from 4.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncGroupRequest {
    pub group_id: Str,
    pub generation_id: i32,
    pub member_id: Str,
    /// Versions 3+.
    pub group_instance_id: Option<Str>,
    /// Versions 5+.
    pub protocol_type: Option<Str>,
    /// Versions 5+.
    pub protocol_name: Option<Str>,
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

impl Wire for SyncGroupRequest {
    const SIZE_MIN: usize = 9;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = d.get()?;
        m.generation_id = d.get()?;
        m.member_id = d.get()?;
        if d.version >= 3 {
            m.group_instance_id = d.get()?;
        }
        if d.version >= 5 {
            m.protocol_type = d.get()?;
        }
        if d.version >= 5 {
            m.protocol_name = d.get()?;
        }
        m.assignments = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.group_id);
        e.put(&self.generation_id);
        e.put(&self.member_id);
        if e.version >= 3 {
            e.put(&self.group_instance_id);
        } else {
            e.absent("group_instance_id", self.group_instance_id.is_none());
        }
        if e.version >= 5 {
            e.put(&self.protocol_type);
        }
        if e.version >= 5 {
            e.put(&self.protocol_name);
        }
        e.put(&self.assignments);
        e.tags(&[]);
    }
}

impl Message for SyncGroupRequest {
    const NAME: &'static str = "SyncGroupRequest";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncGroupRequestAssignment {
    pub member_id: Str,
    pub assignment: Bytes,
}

impl Wire for SyncGroupRequestAssignment {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = d.get()?;
        m.assignment = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.member_id);
        e.put(&self.assignment);
        e.tags(&[]);
    }
}

impl Request for SyncGroupRequest {
    const KEY: ApiKey = ApiKey::SyncGroup;
    type Response = SyncGroupResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncGroupResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// Versions 5+.
    pub protocol_type: Option<Str>,
    /// Versions 5+.
    pub protocol_name: Option<Str>,
    pub assignment: Bytes,
}

impl Wire for SyncGroupResponse {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.throttle_time_ms = d.get()?;
        }
        m.error_code = d.get()?;
        if d.version >= 5 {
            m.protocol_type = d.get()?;
        }
        if d.version >= 5 {
            m.protocol_name = d.get()?;
        }
        m.assignment = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.throttle_time_ms);
        }
        e.put(&self.error_code);
        if e.version >= 5 {
            e.put(&self.protocol_type);
        }
        if e.version >= 5 {
            e.put(&self.protocol_name);
        }
        e.put(&self.assignment);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for SyncGroupResponse {
    const NAME: &'static str = "SyncGroupResponse";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 4;
}
