// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! DescribeAcls (key 29), versions 0-3, flexible from 2.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeAclsRequest {
    pub resource_type_filter: i8,
    pub resource_name_filter: Option<Str>,
    /// Versions 1+.
    pub pattern_type_filter: i8,
    pub principal_filter: Option<Str>,
    pub host_filter: Option<Str>,
    pub operation: i8,
    pub permission_type: i8,
}

impl Default for DescribeAclsRequest {
    fn default() -> Self {
        Self {
            resource_type_filter: Default::default(),
            resource_name_filter: Some(Default::default()),
            pattern_type_filter: 3,
            principal_filter: Some(Default::default()),
            host_filter: Some(Default::default()),
            operation: Default::default(),
            permission_type: Default::default(),
        }
    }
}

impl Wire for DescribeAclsRequest {
    const SIZE_MIN: usize = 8;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.resource_type_filter = d.get()?;
        m.resource_name_filter = d.get()?;
        if d.version >= 1 {
            m.pattern_type_filter = d.get()?;
        }
        m.principal_filter = d.get()?;
        m.host_filter = d.get()?;
        m.operation = d.get()?;
        m.permission_type = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.resource_type_filter);
        e.put(&self.resource_name_filter);
        if e.version >= 1 {
            e.put(&self.pattern_type_filter);
        } else {
            e.absent("pattern_type_filter", self.pattern_type_filter == 3);
        }
        e.put(&self.principal_filter);
        e.put(&self.host_filter);
        e.put(&self.operation);
        e.put(&self.permission_type);
        e.tags(&[]);
    }
}

impl Message for DescribeAclsRequest {
    const NAME: &'static str = "DescribeAclsRequest";
    const VERSIONS: (i16, i16) = (0, 3);
    const FLEXIBLE: i16 = 2;
}

impl Request for DescribeAclsRequest {
    const KEY: ApiKey = ApiKey::DescribeAcls;
    type Response = DescribeAclsResponse;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeAclsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<Str>,
    pub resources: Vec<DescribeAclsResource>,
}

impl Default for DescribeAclsResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            error_message: Some(Default::default()),
            resources: Default::default(),
        }
    }
}

impl Wire for DescribeAclsResponse {
    const SIZE_MIN: usize = 9;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = d.get()?;
        m.error_code = d.get()?;
        m.error_message = d.get()?;
        m.resources = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.throttle_time_ms);
        e.put(&self.error_code);
        e.put(&self.error_message);
        e.put(&self.resources);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for DescribeAclsResponse {
    const NAME: &'static str = "DescribeAclsResponse";
    const VERSIONS: (i16, i16) = (0, 3);
    const FLEXIBLE: i16 = 2;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeAclsResource {
    pub resource_type: i8,
    pub resource_name: Str,
    /// Versions 1+.
    pub pattern_type: i8,
    pub acls: Vec<AclDescription>,
}

impl Default for DescribeAclsResource {
    fn default() -> Self {
        Self {
            resource_type: Default::default(),
            resource_name: Default::default(),
            pattern_type: 3,
            acls: Default::default(),
        }
    }
}

impl Wire for DescribeAclsResource {
    const SIZE_MIN: usize = 5;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.resource_type = d.get()?;
        m.resource_name = d.get()?;
        if d.version >= 1 {
            m.pattern_type = d.get()?;
        }
        m.acls = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.resource_type);
        e.put(&self.resource_name);
        if e.version >= 1 {
            e.put(&self.pattern_type);
        } else {
            e.absent("pattern_type", self.pattern_type == 3);
        }
        e.put(&self.acls);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AclDescription {
    pub principal: Str,
    pub host: Str,
    pub operation: i8,
    pub permission_type: i8,
}

impl Wire for AclDescription {
    const SIZE_MIN: usize = 5;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.principal = d.get()?;
        m.host = d.get()?;
        m.operation = d.get()?;
        m.permission_type = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.principal);
        e.put(&self.host);
        e.put(&self.operation);
        e.put(&self.permission_type);
        e.tags(&[]);
    }
}
