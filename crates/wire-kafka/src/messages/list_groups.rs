// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! ListGroups (key 16), versions 0-5, flexible from 3.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListGroupsRequest {
    /// Versions 4+.
    pub states_filter: Vec<Str>,
    /// Versions 5+.
    pub types_filter: Vec<Str>,
}

impl Wire for ListGroupsRequest {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 4 {
            m.states_filter = d.get()?;
        }
        if d.version >= 5 {
            m.types_filter = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 4 {
            e.put(&self.states_filter);
        } else {
            e.absent("states_filter", self.states_filter.is_empty());
        }
        if e.version >= 5 {
            e.put(&self.types_filter);
        } else {
            e.absent("types_filter", self.types_filter.is_empty());
        }
        e.tags(&[]);
    }
}

impl Message for ListGroupsRequest {
    const NAME: &'static str = "ListGroupsRequest";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 3;
}

impl Request for ListGroupsRequest {
    const KEY: ApiKey = ApiKey::ListGroups;
    type Response = ListGroupsResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListGroupsResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub groups: Vec<ListedGroup>,
}

impl Wire for ListGroupsResponse {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.throttle_time_ms = d.get()?;
        }
        m.error_code = d.get()?;
        m.groups = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.throttle_time_ms);
        }
        e.put(&self.error_code);
        e.put(&self.groups);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for ListGroupsResponse {
    const NAME: &'static str = "ListGroupsResponse";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListedGroup {
    pub group_id: Str,
    pub protocol_type: Str,
    /// Versions 4+.
    pub group_state: Str,
    /// Versions 5+.
    pub group_type: Str,
}

impl Wire for ListedGroup {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = d.get()?;
        m.protocol_type = d.get()?;
        if d.version >= 4 {
            m.group_state = d.get()?;
        }
        if d.version >= 5 {
            m.group_type = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.group_id);
        e.put(&self.protocol_type);
        if e.version >= 4 {
            e.put(&self.group_state);
        }
        if e.version >= 5 {
            e.put(&self.group_type);
        }
        e.tags(&[]);
    }
}
