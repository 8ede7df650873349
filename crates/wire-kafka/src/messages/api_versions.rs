// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! ApiVersions (key 18), versions 0-5, flexible from 3.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, PartialEq)]
pub struct ApiVersionsRequest {
    /// Versions 3+.
    pub client_software_name: Str,
    /// Versions 3+.
    pub client_software_version: Str,
    /// Versions 5+.
    pub cluster_id: Option<Str>,
    /// Versions 5+.
    pub node_id: i32,
}

impl Default for ApiVersionsRequest {
    fn default() -> Self {
        Self {
            client_software_name: Default::default(),
            client_software_version: Default::default(),
            cluster_id: None,
            node_id: -1,
        }
    }
}

impl Wire for ApiVersionsRequest {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.client_software_name = d.get()?;
        }
        if d.version >= 3 {
            m.client_software_version = d.get()?;
        }
        if d.version >= 5 {
            m.cluster_id = d.get()?;
        }
        if d.version >= 5 {
            m.node_id = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.client_software_name);
        }
        if e.version >= 3 {
            e.put(&self.client_software_version);
        }
        if e.version >= 5 {
            e.put(&self.cluster_id);
        }
        if e.version >= 5 {
            e.put(&self.node_id);
        }
        e.tags(&[]);
    }
}

impl Message for ApiVersionsRequest {
    const NAME: &'static str = "ApiVersionsRequest";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 3;
}

impl Request for ApiVersionsRequest {
    const KEY: ApiKey = ApiKey::ApiVersions;
    type Response = ApiVersionsResponse;
}

#[derive(Debug, Clone, PartialEq)]
pub struct ApiVersionsResponse {
    pub error_code: i16,
    pub api_keys: Vec<ApiVersion>,
    /// Versions 1+.
    pub throttle_time_ms: i32,
    /// Versions 3+.
    pub supported_features: Vec<SupportedFeatureKey>,
    /// Versions 3+.
    pub finalized_features_epoch: i64,
    /// Versions 3+.
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// Versions 3+.
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            api_keys: Default::default(),
            throttle_time_ms: Default::default(),
            supported_features: Default::default(),
            finalized_features_epoch: -1,
            finalized_features: Default::default(),
            zk_migration_ready: Default::default(),
        }
    }
}

impl Wire for ApiVersionsResponse {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = d.get()?;
        m.api_keys = d.get()?;
        if d.version >= 1 {
            m.throttle_time_ms = d.get()?;
        }
        let mut tags = d.tags()?;
        while let Some(tag) = d.tag(&mut tags)? {
            match tag {
                0 => m.supported_features = d.get()?,
                1 => m.finalized_features_epoch = d.get()?,
                2 => m.finalized_features = d.get()?,
                3 => m.zk_migration_ready = d.get()?,
                _ => d.skip_tag(&tags),
            }
        }
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.error_code);
        e.put(&self.api_keys);
        if e.version >= 1 {
            e.put(&self.throttle_time_ms);
        }
        e.tags(&[
            (0, !self.supported_features.is_empty(), &self.supported_features),
            (1, !(self.finalized_features_epoch == -1), &self.finalized_features_epoch),
            (2, !self.finalized_features.is_empty(), &self.finalized_features),
            (3, !!self.zk_migration_ready, &self.zk_migration_ready),
        ]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

impl Message for ApiVersionsResponse {
    const NAME: &'static str = "ApiVersionsResponse";
    const VERSIONS: (i16, i16) = (0, 5);
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

impl Wire for ApiVersion {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.api_key = d.get()?;
        m.min_version = d.get()?;
        m.max_version = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.api_key);
        e.put(&self.min_version);
        e.put(&self.max_version);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SupportedFeatureKey {
    /// Versions 3+.
    pub name: Str,
    /// Versions 3+.
    pub min_version: i16,
    /// Versions 3+.
    pub max_version: i16,
}

impl Wire for SupportedFeatureKey {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.name = d.get()?;
        }
        if d.version >= 3 {
            m.min_version = d.get()?;
        }
        if d.version >= 3 {
            m.max_version = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.name);
        } else {
            e.absent("name", self.name.is_empty());
        }
        if e.version >= 3 {
            e.put(&self.min_version);
        } else {
            e.absent("min_version", self.min_version == 0);
        }
        if e.version >= 3 {
            e.put(&self.max_version);
        } else {
            e.absent("max_version", self.max_version == 0);
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct FinalizedFeatureKey {
    /// Versions 3+.
    pub name: Str,
    /// Versions 3+.
    pub max_version_level: i16,
    /// Versions 3+.
    pub min_version_level: i16,
}

impl Wire for FinalizedFeatureKey {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 3 {
            m.name = d.get()?;
        }
        if d.version >= 3 {
            m.max_version_level = d.get()?;
        }
        if d.version >= 3 {
            m.min_version_level = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 3 {
            e.put(&self.name);
        } else {
            e.absent("name", self.name.is_empty());
        }
        if e.version >= 3 {
            e.put(&self.max_version_level);
        } else {
            e.absent("max_version_level", self.max_version_level == 0);
        }
        if e.version >= 3 {
            e.put(&self.min_version_level);
        } else {
            e.absent("min_version_level", self.min_version_level == 0);
        }
        e.tags(&[]);
    }
}
