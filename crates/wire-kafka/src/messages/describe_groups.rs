// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! DescribeGroups (key 15), versions 0-6, flexible from 5.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescribeGroupsRequest {
    pub groups: Vec<Str>,
    /// Versions 3+.
    pub include_authorized_operations: bool,
}

impl Wire for DescribeGroupsRequest {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.groups = d.get()?;
        if d.version >= 3 {
            m.include_authorized_operations = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.groups);
        if e.version >= 3 {
            e.put(&self.include_authorized_operations);
        } else {
            e.absent("include_authorized_operations", !self.include_authorized_operations);
        }
        e.tags(&[]);
    }
}

impl Message for DescribeGroupsRequest {
    const NAME: &'static str = "DescribeGroupsRequest";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 5;
}

impl Request for DescribeGroupsRequest {
    const KEY: ApiKey = ApiKey::DescribeGroups;
    type Response = DescribeGroupsResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescribeGroupsResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

impl Wire for DescribeGroupsResponse {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.throttle_time_ms = d.get()?;
        }
        m.groups = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.throttle_time_ms);
        }
        e.put(&self.groups);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.groups.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for DescribeGroupsResponse {
    const NAME: &'static str = "DescribeGroupsResponse";
    const VERSIONS: (i16, i16) = (0, 6);
    const FLEXIBLE: i16 = 5;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribedGroup {
    pub error_code: i16,
    /// Versions 6+.
    pub error_message: Option<Str>,
    pub group_id: Str,
    pub group_state: Str,
    pub protocol_type: Str,
    pub protocol_data: Str,
    pub members: Vec<DescribedGroupMember>,
    /// Versions 3+.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            error_message: None,
            group_id: Default::default(),
            group_state: Default::default(),
            protocol_type: Default::default(),
            protocol_data: Default::default(),
            members: Default::default(),
            authorized_operations: i32::MIN,
        }
    }
}

impl Wire for DescribedGroup {
    const SIZE_MIN: usize = 12;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = d.get()?;
        if d.version >= 6 {
            m.error_message = d.get()?;
        }
        m.group_id = d.get()?;
        m.group_state = d.get()?;
        m.protocol_type = d.get()?;
        m.protocol_data = d.get()?;
        m.members = d.get()?;
        if d.version >= 3 {
            m.authorized_operations = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.error_code);
        if e.version >= 6 {
            e.put(&self.error_message);
        } else {
            e.absent("error_message", self.error_message.is_none());
        }
        e.put(&self.group_id);
        e.put(&self.group_state);
        e.put(&self.protocol_type);
        e.put(&self.protocol_data);
        e.put(&self.members);
        if e.version >= 3 {
            e.put(&self.authorized_operations);
        } else {
            e.absent("authorized_operations", self.authorized_operations == i32::MIN);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescribedGroupMember {
    pub member_id: Str,
    /// Versions 4+.
    pub group_instance_id: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub member_metadata: Bytes,
    pub member_assignment: Bytes,
}

impl Wire for DescribedGroupMember {
    const SIZE_MIN: usize = 7;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = d.get()?;
        if d.version >= 4 {
            m.group_instance_id = d.get()?;
        }
        m.client_id = d.get()?;
        m.client_host = d.get()?;
        m.member_metadata = d.get()?;
        m.member_assignment = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.member_id);
        if e.version >= 4 {
            e.put(&self.group_instance_id);
        }
        e.put(&self.client_id);
        e.put(&self.client_host);
        e.put(&self.member_metadata);
        e.put(&self.member_assignment);
        e.tags(&[]);
    }
}
