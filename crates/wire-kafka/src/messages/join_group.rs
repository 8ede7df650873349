// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! JoinGroup (key 11), versions 0-9, flexible from 6.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct JoinGroupRequest {
    pub group_id: Str,
    pub session_timeout_ms: i32,
    /// Versions 1+.
    pub rebalance_timeout_ms: i32,
    pub member_id: Str,
    /// Versions 5+.
    pub group_instance_id: Option<Str>,
    pub protocol_type: Str,
    pub protocols: Vec<JoinGroupRequestProtocol>,
    /// Versions 8+.
    pub reason: Option<Str>,
}

impl Default for JoinGroupRequest {
    fn default() -> Self {
        Self {
            group_id: Default::default(),
            session_timeout_ms: Default::default(),
            rebalance_timeout_ms: -1,
            member_id: Default::default(),
            group_instance_id: None,
            protocol_type: Default::default(),
            protocols: Default::default(),
            reason: None,
        }
    }
}

impl Wire for JoinGroupRequest {
    const SIZE_MIN: usize = 14;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = d.get()?;
        m.session_timeout_ms = d.get()?;
        if d.version >= 1 {
            m.rebalance_timeout_ms = d.get()?;
        }
        m.member_id = d.get()?;
        if d.version >= 5 {
            m.group_instance_id = d.get()?;
        }
        m.protocol_type = d.get()?;
        m.protocols = d.get()?;
        if d.version >= 8 {
            m.reason = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.group_id);
        e.put(&self.session_timeout_ms);
        if e.version >= 1 {
            e.put(&self.rebalance_timeout_ms);
        }
        e.put(&self.member_id);
        if e.version >= 5 {
            e.put(&self.group_instance_id);
        } else {
            e.absent("group_instance_id", self.group_instance_id.is_none());
        }
        e.put(&self.protocol_type);
        e.put(&self.protocols);
        if e.version >= 8 {
            e.put(&self.reason);
        }
        e.tags(&[]);
    }
}

impl Message for JoinGroupRequest {
    const NAME: &'static str = "JoinGroupRequest";
    const VERSIONS: (i16, i16) = (0, 9);
    const FLEXIBLE: i16 = 6;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct JoinGroupRequestProtocol {
    pub name: Str,
    pub metadata: Bytes,
}

impl Wire for JoinGroupRequestProtocol {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = d.get()?;
        m.metadata = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.name);
        e.put(&self.metadata);
        e.tags(&[]);
    }
}

impl Request for JoinGroupRequest {
    const KEY: ApiKey = ApiKey::JoinGroup;
    type Response = JoinGroupResponse;
}

#[derive(Debug, Clone, PartialEq)]
pub struct JoinGroupResponse {
    /// Versions 2+.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub generation_id: i32,
    /// Versions 7+.
    pub protocol_type: Option<Str>,
    pub protocol_name: Option<Str>,
    pub leader: Str,
    /// Versions 9+.
    pub skip_assignment: bool,
    pub member_id: Str,
    pub members: Vec<JoinGroupResponseMember>,
}

impl Default for JoinGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            generation_id: -1,
            protocol_type: None,
            protocol_name: Some(Default::default()),
            leader: Default::default(),
            skip_assignment: Default::default(),
            member_id: Default::default(),
            members: Default::default(),
        }
    }
}

impl Wire for JoinGroupResponse {
    const SIZE_MIN: usize = 15;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 2 {
            m.throttle_time_ms = d.get()?;
        }
        m.error_code = d.get()?;
        m.generation_id = d.get()?;
        if d.version >= 7 {
            m.protocol_type = d.get()?;
        }
        m.protocol_name = if d.version >= 7 { d.get()? } else { d.required()? };
        m.leader = d.get()?;
        if d.version >= 9 {
            m.skip_assignment = d.get()?;
        }
        m.member_id = d.get()?;
        m.members = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 2 {
            e.put(&self.throttle_time_ms);
        }
        e.put(&self.error_code);
        e.put(&self.generation_id);
        if e.version >= 7 {
            e.put(&self.protocol_type);
        }
        if e.version >= 7 {
            e.put(&self.protocol_name);
        } else {
            e.required("protocol_name", &self.protocol_name);
        }
        e.put(&self.leader);
        if e.version >= 9 {
            e.put(&self.skip_assignment);
        } else {
            e.absent("skip_assignment", !self.skip_assignment);
        }
        e.put(&self.member_id);
        e.put(&self.members);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for JoinGroupResponse {
    const NAME: &'static str = "JoinGroupResponse";
    const VERSIONS: (i16, i16) = (0, 9);
    const FLEXIBLE: i16 = 6;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct JoinGroupResponseMember {
    pub member_id: Str,
    /// Versions 5+.
    pub group_instance_id: Option<Str>,
    pub metadata: Bytes,
}

impl Wire for JoinGroupResponseMember {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = d.get()?;
        if d.version >= 5 {
            m.group_instance_id = d.get()?;
        }
        m.metadata = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.member_id);
        if e.version >= 5 {
            e.put(&self.group_instance_id);
        }
        e.put(&self.metadata);
        e.tags(&[]);
    }
}
