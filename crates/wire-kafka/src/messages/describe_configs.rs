// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! DescribeConfigs (key 32), versions 0-4, flexible from 4.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescribeConfigsRequest {
    pub resources: Vec<DescribeConfigsResource>,
    /// Versions 1+.
    pub include_synonyms: bool,
    /// Versions 3+.
    pub include_documentation: bool,
}

impl Wire for DescribeConfigsRequest {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.resources = d.get()?;
        if d.version >= 1 {
            m.include_synonyms = d.get()?;
        }
        if d.version >= 3 {
            m.include_documentation = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.resources);
        if e.version >= 1 {
            e.put(&self.include_synonyms);
        } else {
            e.absent("include_synonyms", !self.include_synonyms);
        }
        if e.version >= 3 {
            e.put(&self.include_documentation);
        } else {
            e.absent("include_documentation", !self.include_documentation);
        }
        e.tags(&[]);
    }
}

impl Message for DescribeConfigsRequest {
    const NAME: &'static str = "DescribeConfigsRequest";
    const VERSIONS: (i16, i16) = (0, 4);
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResource {
    pub resource_type: i8,
    pub resource_name: Str,
    pub configuration_keys: Option<Vec<Str>>,
}

impl Default for DescribeConfigsResource {
    fn default() -> Self {
        Self {
            resource_type: Default::default(),
            resource_name: Default::default(),
            configuration_keys: Some(Default::default()),
        }
    }
}

impl Wire for DescribeConfigsResource {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.resource_type = d.get()?;
        m.resource_name = d.get()?;
        m.configuration_keys = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.resource_type);
        e.put(&self.resource_name);
        e.put(&self.configuration_keys);
        e.tags(&[]);
    }
}

impl Request for DescribeConfigsRequest {
    const KEY: ApiKey = ApiKey::DescribeConfigs;
    type Response = DescribeConfigsResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescribeConfigsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<DescribeConfigsResult>,
}

impl Wire for DescribeConfigsResponse {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = d.get()?;
        m.results = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.throttle_time_ms);
        e.put(&self.results);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.results.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for DescribeConfigsResponse {
    const NAME: &'static str = "DescribeConfigsResponse";
    const VERSIONS: (i16, i16) = (0, 4);
    const FLEXIBLE: i16 = 4;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResult {
    pub error_code: i16,
    pub error_message: Option<Str>,
    pub resource_type: i8,
    pub resource_name: Str,
    pub configs: Vec<DescribeConfigsResourceResult>,
}

impl Default for DescribeConfigsResult {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            error_message: Some(Default::default()),
            resource_type: Default::default(),
            resource_name: Default::default(),
            configs: Default::default(),
        }
    }
}

impl Wire for DescribeConfigsResult {
    const SIZE_MIN: usize = 7;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = d.get()?;
        m.error_message = d.get()?;
        m.resource_type = d.get()?;
        m.resource_name = d.get()?;
        m.configs = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.error_code);
        e.put(&self.error_message);
        e.put(&self.resource_type);
        e.put(&self.resource_name);
        e.put(&self.configs);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResourceResult {
    pub name: Str,
    pub value: Option<Str>,
    pub read_only: bool,
    /// Versions 0.
    pub is_default: bool,
    /// Versions 1+.
    pub config_source: i8,
    pub is_sensitive: bool,
    /// Versions 1+.
    pub synonyms: Vec<DescribeConfigsSynonym>,
    /// Versions 3+.
    pub config_type: i8,
    /// Versions 3+.
    pub documentation: Option<Str>,
}

impl Default for DescribeConfigsResourceResult {
    fn default() -> Self {
        Self {
            name: Default::default(),
            value: Some(Default::default()),
            read_only: Default::default(),
            is_default: Default::default(),
            config_source: -1,
            is_sensitive: Default::default(),
            synonyms: Default::default(),
            config_type: Default::default(),
            documentation: Some(Default::default()),
        }
    }
}

impl Wire for DescribeConfigsResourceResult {
    const SIZE_MIN: usize = 7;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = d.get()?;
        m.value = d.get()?;
        m.read_only = d.get()?;
        if d.version <= 0 {
            m.is_default = d.get()?;
        }
        if d.version >= 1 {
            m.config_source = d.get()?;
        }
        m.is_sensitive = d.get()?;
        if d.version >= 1 {
            m.synonyms = d.get()?;
        }
        if d.version >= 3 {
            m.config_type = d.get()?;
        }
        if d.version >= 3 {
            m.documentation = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.name);
        e.put(&self.value);
        e.put(&self.read_only);
        if e.version <= 0 {
            e.put(&self.is_default);
        } else {
            e.absent("is_default", !self.is_default);
        }
        if e.version >= 1 {
            e.put(&self.config_source);
        }
        e.put(&self.is_sensitive);
        if e.version >= 1 {
            e.put(&self.synonyms);
        }
        if e.version >= 3 {
            e.put(&self.config_type);
        }
        if e.version >= 3 {
            e.put(&self.documentation);
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsSynonym {
    /// Versions 1+.
    pub name: Str,
    /// Versions 1+.
    pub value: Option<Str>,
    /// Versions 1+.
    pub source: i8,
}

impl Default for DescribeConfigsSynonym {
    fn default() -> Self {
        Self {
            name: Default::default(),
            value: Some(Default::default()),
            source: Default::default(),
        }
    }
}

impl Wire for DescribeConfigsSynonym {
    const SIZE_MIN: usize = 0;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.name = d.get()?;
        }
        if d.version >= 1 {
            m.value = d.get()?;
        }
        if d.version >= 1 {
            m.source = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.name);
        } else {
            e.absent("name", self.name.is_empty());
        }
        if e.version >= 1 {
            e.put(&self.value);
        } else {
            e.absent("value", self.value == Some(Default::default()));
        }
        if e.version >= 1 {
            e.put(&self.source);
        } else {
            e.absent("source", self.source == 0);
        }
        e.tags(&[]);
    }
}
