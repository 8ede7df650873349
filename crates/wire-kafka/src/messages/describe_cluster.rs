// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! DescribeCluster (key 60), versions 0-2, flexible from 0.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeClusterRequest {
    pub include_cluster_authorized_operations: bool,
    /// Versions 1+.
    pub endpoint_type: i8,
    /// Versions 2+.
    pub include_fenced_brokers: bool,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        Self {
            include_cluster_authorized_operations: Default::default(),
            endpoint_type: 1,
            include_fenced_brokers: Default::default(),
        }
    }
}

impl Wire for DescribeClusterRequest {
    const SIZE_MIN: usize = 2;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.include_cluster_authorized_operations = d.get()?;
        if d.version >= 1 {
            m.endpoint_type = d.get()?;
        }
        if d.version >= 2 {
            m.include_fenced_brokers = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.include_cluster_authorized_operations);
        if e.version >= 1 {
            e.put(&self.endpoint_type);
        } else {
            e.absent("endpoint_type", self.endpoint_type == 1);
        }
        if e.version >= 2 {
            e.put(&self.include_fenced_brokers);
        } else {
            e.absent("include_fenced_brokers", !self.include_fenced_brokers);
        }
        e.tags(&[]);
    }
}

impl Message for DescribeClusterRequest {
    const NAME: &'static str = "DescribeClusterRequest";
    const VERSIONS: (i16, i16) = (0, 2);
    const FLEXIBLE: i16 = 0;
}

impl Request for DescribeClusterRequest {
    const KEY: ApiKey = ApiKey::DescribeCluster;
    type Response = DescribeClusterResponse;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeClusterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<Str>,
    /// Versions 1+.
    pub endpoint_type: i8,
    pub cluster_id: Str,
    pub controller_id: i32,
    pub brokers: Vec<DescribeClusterBroker>,
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: Default::default(),
            error_code: Default::default(),
            error_message: None,
            endpoint_type: 1,
            cluster_id: Default::default(),
            controller_id: -1,
            brokers: Default::default(),
            cluster_authorized_operations: i32::MIN,
        }
    }
}

impl Wire for DescribeClusterResponse {
    const SIZE_MIN: usize = 18;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = d.get()?;
        m.error_code = d.get()?;
        m.error_message = d.get()?;
        if d.version >= 1 {
            m.endpoint_type = d.get()?;
        }
        m.cluster_id = d.get()?;
        m.controller_id = d.get()?;
        m.brokers = d.get()?;
        m.cluster_authorized_operations = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.throttle_time_ms);
        e.put(&self.error_code);
        e.put(&self.error_message);
        if e.version >= 1 {
            e.put(&self.endpoint_type);
        } else {
            e.absent("endpoint_type", self.endpoint_type == 1);
        }
        e.put(&self.cluster_id);
        e.put(&self.controller_id);
        e.put(&self.brokers);
        e.put(&self.cluster_authorized_operations);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for DescribeClusterResponse {
    const NAME: &'static str = "DescribeClusterResponse";
    const VERSIONS: (i16, i16) = (0, 2);
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescribeClusterBroker {
    pub broker_id: i32,
    pub host: Str,
    pub port: i32,
    pub rack: Option<Str>,
    /// Versions 2+.
    pub is_fenced: bool,
}

impl Wire for DescribeClusterBroker {
    const SIZE_MIN: usize = 11;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.broker_id = d.get()?;
        m.host = d.get()?;
        m.port = d.get()?;
        m.rack = d.get()?;
        if d.version >= 2 {
            m.is_fenced = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.broker_id);
        e.put(&self.host);
        e.put(&self.port);
        e.put(&self.rack);
        if e.version >= 2 {
            e.put(&self.is_fenced);
        } else {
            e.absent("is_fenced", !self.is_fenced);
        }
        e.tags(&[]);
    }
}
