// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! StreamsGroupDescribe (key 89), versions 0-1, flexible from 0.

#![allow(clippy::all, unused_imports, missing_docs)]

use super::prelude::*;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamsGroupDescribeRequest {
    pub group_ids: Vec<Str>,
    pub include_authorized_operations: bool,
    /// Versions 1+.
    pub include_topology_description: bool,
}

impl Wire for StreamsGroupDescribeRequest {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_ids = d.get()?;
        m.include_authorized_operations = d.get()?;
        if d.version >= 1 {
            m.include_topology_description = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.group_ids);
        e.put(&self.include_authorized_operations);
        if e.version >= 1 {
            e.put(&self.include_topology_description);
        } else {
            e.absent("include_topology_description", !self.include_topology_description);
        }
        e.tags(&[]);
    }
}

impl Message for StreamsGroupDescribeRequest {
    const NAME: &'static str = "StreamsGroupDescribeRequest";
    const VERSIONS: (i16, i16) = (0, 1);
    const FLEXIBLE: i16 = 0;
}

impl Request for StreamsGroupDescribeRequest {
    const KEY: ApiKey = ApiKey::StreamsGroupDescribe;
    type Response = StreamsGroupDescribeResponse;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamsGroupDescribeResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

impl Wire for StreamsGroupDescribeResponse {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.throttle_time_ms = d.get()?;
        m.groups = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.throttle_time_ms);
        e.put(&self.groups);
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        self.groups.iter().for_each(|one| one.error_codes(told));
    }
}

impl Message for StreamsGroupDescribeResponse {
    const NAME: &'static str = "StreamsGroupDescribeResponse";
    const VERSIONS: (i16, i16) = (0, 1);
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribedGroup {
    pub error_code: i16,
    pub error_message: Option<Str>,
    pub group_id: Str,
    pub group_state: Str,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub topology: Option<Topology>,
    pub members: Vec<Member>,
    pub authorized_operations: i32,
    /// Versions 1+.
    pub topology_description: Option<TopologyDescription>,
    /// Versions 1+.
    pub topology_description_status: i8,
    /// Versions 1+.
    pub assignor_name: Option<Str>,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            error_message: None,
            group_id: Default::default(),
            group_state: Default::default(),
            group_epoch: Default::default(),
            assignment_epoch: Default::default(),
            topology: None,
            members: Default::default(),
            authorized_operations: i32::MIN,
            topology_description: None,
            topology_description_status: Default::default(),
            assignor_name: None,
        }
    }
}

impl Wire for DescribedGroup {
    const SIZE_MIN: usize = 20;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = d.get()?;
        m.error_message = d.get()?;
        m.group_id = d.get()?;
        m.group_state = d.get()?;
        m.group_epoch = d.get()?;
        m.assignment_epoch = d.get()?;
        m.topology = d.get()?;
        m.members = d.get()?;
        m.authorized_operations = d.get()?;
        if d.version >= 1 {
            m.topology_description = d.get()?;
        }
        if d.version >= 1 {
            m.topology_description_status = d.get()?;
        }
        if d.version >= 1 {
            m.assignor_name = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.error_code);
        e.put(&self.error_message);
        e.put(&self.group_id);
        e.put(&self.group_state);
        e.put(&self.group_epoch);
        e.put(&self.assignment_epoch);
        e.put(&self.topology);
        e.put(&self.members);
        e.put(&self.authorized_operations);
        if e.version >= 1 {
            e.put(&self.topology_description);
        } else {
            e.absent("topology_description", self.topology_description.is_none());
        }
        if e.version >= 1 {
            e.put(&self.topology_description_status);
        } else {
            e.absent("topology_description_status", self.topology_description_status == 0);
        }
        if e.version >= 1 {
            e.put(&self.assignor_name);
        }
        e.tags(&[]);
    }

    fn error_codes(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Topology {
    pub epoch: i32,
    pub subtopologies: Option<Vec<Subtopology>>,
}

impl Wire for Topology {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.epoch = d.get()?;
        m.subtopologies = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.epoch);
        e.put(&self.subtopologies);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subtopology {
    pub subtopology_id: Str,
    pub source_topics: Vec<Str>,
    pub repartition_sink_topics: Vec<Str>,
    pub state_changelog_topics: Vec<TopicInfo>,
    pub repartition_source_topics: Vec<TopicInfo>,
}

impl Wire for Subtopology {
    const SIZE_MIN: usize = 6;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.subtopology_id = d.get()?;
        m.source_topics = d.get()?;
        m.repartition_sink_topics = d.get()?;
        m.state_changelog_topics = d.get()?;
        m.repartition_source_topics = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.subtopology_id);
        e.put(&self.source_topics);
        e.put(&self.repartition_sink_topics);
        e.put(&self.state_changelog_topics);
        e.put(&self.repartition_source_topics);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Member {
    pub member_id: Str,
    pub member_epoch: i32,
    pub instance_id: Option<Str>,
    pub rack_id: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub topology_epoch: i32,
    pub process_id: Str,
    pub user_endpoint: Option<Endpoint>,
    pub client_tags: Vec<KeyValue>,
    pub task_offsets: Vec<TaskOffset>,
    pub task_end_offsets: Vec<TaskOffset>,
    pub assignment: Assignment,
    pub target_assignment: Assignment,
    pub is_classic: bool,
}

impl Wire for Member {
    const SIZE_MIN: usize = 28;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = d.get()?;
        m.member_epoch = d.get()?;
        m.instance_id = d.get()?;
        m.rack_id = d.get()?;
        m.client_id = d.get()?;
        m.client_host = d.get()?;
        m.topology_epoch = d.get()?;
        m.process_id = d.get()?;
        m.user_endpoint = d.get()?;
        m.client_tags = d.get()?;
        m.task_offsets = d.get()?;
        m.task_end_offsets = d.get()?;
        m.assignment = d.get()?;
        m.target_assignment = d.get()?;
        m.is_classic = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.member_id);
        e.put(&self.member_epoch);
        e.put(&self.instance_id);
        e.put(&self.rack_id);
        e.put(&self.client_id);
        e.put(&self.client_host);
        e.put(&self.topology_epoch);
        e.put(&self.process_id);
        e.put(&self.user_endpoint);
        e.put(&self.client_tags);
        e.put(&self.task_offsets);
        e.put(&self.task_end_offsets);
        e.put(&self.assignment);
        e.put(&self.target_assignment);
        e.put(&self.is_classic);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Endpoint {
    pub host: Str,
    pub port: u16,
}

impl Wire for Endpoint {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.host = d.get()?;
        m.port = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.host);
        e.put(&self.port);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskOffset {
    pub subtopology_id: Str,
    pub partition: i32,
    pub offset: i64,
}

impl Wire for TaskOffset {
    const SIZE_MIN: usize = 14;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.subtopology_id = d.get()?;
        m.partition = d.get()?;
        m.offset = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.subtopology_id);
        e.put(&self.partition);
        e.put(&self.offset);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assignment {
    pub active_tasks: Vec<TaskIds>,
    pub standby_tasks: Vec<TaskIds>,
    pub warmup_tasks: Vec<TaskIds>,
}

impl Wire for Assignment {
    const SIZE_MIN: usize = 4;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.active_tasks = d.get()?;
        m.standby_tasks = d.get()?;
        m.warmup_tasks = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.active_tasks);
        e.put(&self.standby_tasks);
        e.put(&self.warmup_tasks);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskIds {
    pub subtopology_id: Str,
    pub partitions: Vec<i32>,
}

impl Wire for TaskIds {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.subtopology_id = d.get()?;
        m.partitions = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.subtopology_id);
        e.put(&self.partitions);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyValue {
    pub key: Str,
    pub value: Str,
}

impl Wire for KeyValue {
    const SIZE_MIN: usize = 3;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.key = d.get()?;
        m.value = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.key);
        e.put(&self.value);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopicInfo {
    pub name: Str,
    pub partitions: i32,
    pub replication_factor: i16,
    pub topic_configs: Vec<KeyValue>,
}

impl Wire for TopicInfo {
    const SIZE_MIN: usize = 9;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = d.get()?;
        m.partitions = d.get()?;
        m.replication_factor = d.get()?;
        m.topic_configs = d.get()?;
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        e.put(&self.name);
        e.put(&self.partitions);
        e.put(&self.replication_factor);
        e.put(&self.topic_configs);
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopologyDescription {
    /// Versions 1+.
    pub subtopologies: Vec<TopologyDescriptionSubtopology>,
    /// Versions 1+.
    pub global_stores: Vec<TopologyDescriptionGlobalStore>,
}

impl Wire for TopologyDescription {
    const SIZE_MIN: usize = 1;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.subtopologies = d.get()?;
        }
        if d.version >= 1 {
            m.global_stores = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.subtopologies);
        } else {
            e.absent("subtopologies", self.subtopologies.is_empty());
        }
        if e.version >= 1 {
            e.put(&self.global_stores);
        } else {
            e.absent("global_stores", self.global_stores.is_empty());
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopologyDescriptionSubtopology {
    /// Versions 1+.
    pub subtopology_id: Str,
    /// Versions 1+.
    pub nodes: Vec<TopologyDescriptionNode>,
}

impl Wire for TopologyDescriptionSubtopology {
    const SIZE_MIN: usize = 1;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.subtopology_id = d.get()?;
        }
        if d.version >= 1 {
            m.nodes = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.subtopology_id);
        } else {
            e.absent("subtopology_id", self.subtopology_id.is_empty());
        }
        if e.version >= 1 {
            e.put(&self.nodes);
        } else {
            e.absent("nodes", self.nodes.is_empty());
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopologyDescriptionNode {
    /// Versions 1+.
    pub name: Str,
    /// Versions 1+.
    pub node_type: i8,
    /// Versions 1+.
    pub source_topics: Vec<Str>,
    /// Versions 1+.
    pub sink_topic: Option<Str>,
    /// Versions 1+.
    pub stores: Vec<Str>,
    /// Versions 1+.
    pub successors: Vec<Str>,
}

impl Wire for TopologyDescriptionNode {
    const SIZE_MIN: usize = 1;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.name = d.get()?;
        }
        if d.version >= 1 {
            m.node_type = d.get()?;
        }
        if d.version >= 1 {
            m.source_topics = d.get()?;
        }
        if d.version >= 1 {
            m.sink_topic = d.get()?;
        }
        if d.version >= 1 {
            m.stores = d.get()?;
        }
        if d.version >= 1 {
            m.successors = d.get()?;
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
            e.put(&self.node_type);
        } else {
            e.absent("node_type", self.node_type == 0);
        }
        if e.version >= 1 {
            e.put(&self.source_topics);
        } else {
            e.absent("source_topics", self.source_topics.is_empty());
        }
        if e.version >= 1 {
            e.put(&self.sink_topic);
        } else {
            e.absent("sink_topic", self.sink_topic.is_none());
        }
        if e.version >= 1 {
            e.put(&self.stores);
        } else {
            e.absent("stores", self.stores.is_empty());
        }
        if e.version >= 1 {
            e.put(&self.successors);
        } else {
            e.absent("successors", self.successors.is_empty());
        }
        e.tags(&[]);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopologyDescriptionGlobalStore {
    /// Versions 1+.
    pub source: TopologyDescriptionNode,
    /// Versions 1+.
    pub processor: TopologyDescriptionNode,
}

impl Wire for TopologyDescriptionGlobalStore {
    const SIZE_MIN: usize = 1;

    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if d.version >= 1 {
            m.source = d.get()?;
        }
        if d.version >= 1 {
            m.processor = d.get()?;
        }
        d.skip_tags()?;
        Ok(m)
    }

    fn put(&self, e: &mut Encoder) {
        if e.version >= 1 {
            e.put(&self.source);
        } else {
            e.absent("source", self.source == TopologyDescriptionNode::default());
        }
        if e.version >= 1 {
            e.put(&self.processor);
        } else {
            e.absent("processor", self.processor == TopologyDescriptionNode::default());
        }
        e.tags(&[]);
    }
}

nullable_structs!(Topology Endpoint TopologyDescription);
