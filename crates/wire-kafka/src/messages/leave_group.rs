// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! LeaveGroup (key 13), versions 0-5, flexible from 4.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeaveGroupRequest {
    pub group_id: Str,
    /// Versions 0-2.
    pub member_id: Str,
    /// Versions 3+.
    pub members: Vec<MemberIdentity>,
}

impl Wire for LeaveGroupRequest {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = d.get()?;
        if d.version <= 2 {
            m.member_id = d.get()?;
        }
        if d.version >= 3 {
            m.members = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.group_id);
        if e.version <= 2 {
            e.put(&self.member_id);
        } else {
            e.absent("member_id", self.member_id.is_empty());
        }
        if e.version >= 3 {
            e.put(&self.members);
        } else {
            e.absent("members", self.members.is_empty());
        }
        e.tags(&[]);
    }
}

impl Message for LeaveGroupRequest {
    const NAME: &'static str = "LeaveGroupRequest";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemberIdentity {
    /// Versions 3+.
    pub member_id: Str,
    /// Versions 3+.
    pub group_instance_id: Option<Str>,
    /// Versions 5+.
    pub reason: Option<Str>,
}

impl Wire for MemberIdentity {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.member_id = d.get()?;
        }
        if d.version >= 3 {
            m.group_instance_id = d.get()?;
        }
        if d.version >= 5 {
            m.reason = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.member_id);
        } else {
            e.absent("member_id", self.member_id.is_empty());
        }
        if e.version >= 3 {
            e.put(&self.group_instance_id);
        } else {
            e.absent("group_instance_id", self.group_instance_id.is_none());
        }
        if e.version >= 5 {
            e.put(&self.reason);
        }
        e.tags(&[]);
    }
}

impl Request for LeaveGroupRequest {
    const KEY: ApiKey = ApiKey::LeaveGroup;
    type Response = LeaveGroupResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeaveGroupResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// Versions 3+.
    pub members: Vec<MemberResponse>,
}

impl Wire for LeaveGroupResponse {
    const SIZE_MIN: usize = 2;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.throttle_time_ms = d.get()?;
        }
        m.error_code = d.get()?;
        if d.version >= 3 {
            m.members = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.throttle_time_ms);
        }
        e.put(&self.error_code);
        if e.version >= 3 {
            e.put(&self.members);
        } else {
            e.absent("members", self.members.is_empty());
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
        self.members.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for LeaveGroupResponse {
    const NAME: &'static str = "LeaveGroupResponse";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq)]
pub struct MemberResponse {
    /// Versions 3+.
    pub member_id: Str,
    /// Versions 3+.
    pub group_instance_id: Option<Str>,
    /// Versions 3+.
    pub error_code: i16,
}

impl Default for MemberResponse {
    fn default() -> Self {
        Self {
            member_id: Default::default(),
            group_instance_id: Some(Default::default()),
            error_code: Default::default(),
        }
    }
}

impl Wire for MemberResponse {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.member_id = d.get()?;
        }
        if d.version >= 3 {
            m.group_instance_id = d.get()?;
        }
        if d.version >= 3 {
            m.error_code = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.member_id);
        } else {
            e.absent("member_id", self.member_id.is_empty());
        }
        if e.version >= 3 {
            e.put(&self.group_instance_id);
        } else {
            e.absent("group_instance_id", self.group_instance_id == Some(Default::default()));
        }
        if e.version >= 3 {
            e.put(&self.error_code);
        } else {
            e.absent("error_code", self.error_code == 0);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}
