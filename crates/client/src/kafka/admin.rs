//! What changes or describes a cluster: topics, configs, offsets, groups.

use std::collections::BTreeMap;

use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::codec::{Message, Request};
use kolk_wire_kafka::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use kolk_wire_kafka::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use kolk_wire_kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use kolk_wire_kafka::messages::delete_groups::DeleteGroupsRequest;
use kolk_wire_kafka::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kolk_wire_kafka::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use kolk_wire_kafka::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use kolk_wire_kafka::messages::describe_groups::DescribeGroupsRequest;
use kolk_wire_kafka::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kolk_wire_kafka::messages::list_groups::ListGroupsRequest;
use kolk_wire_kafka::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kolk_wire_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kolk_wire_kafka::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kolk_wire_kafka::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};

use super::{Connection, Kafka, Lane};
use crate::Error;

const TOPIC_RESOURCE: i8 = 2;

/// A topic to make.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Partitions; `None` = the broker's `num.partitions`.
    pub partitions: Option<i32>,
    /// Copies; `None` = the broker's default.
    pub replication: Option<i16>,
    /// Config overrides.
    pub configs: Vec<(String, String)>,
}

/// Where a config's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on the broker, or a broker's default.
    Broker,
    /// Nobody set it.
    Default,
    /// Something else.
    Other(i8),
}

/// One config of a topic.
#[derive(Clone, Debug)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: String,
    /// Its value; `None` for secrets.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it can be changed.
    pub is_read_only: bool,
}

/// A group in a list.
#[derive(Clone, Debug)]
pub struct GroupListing {
    /// Its id.
    pub id: String,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// Its state; empty on old brokers.
    pub state: String,
    /// `classic`, `consumer`, ...; empty on old brokers.
    pub kind: String,
}

/// A group in full.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its state; `Dead` if there is no such group.
    pub state: String,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// The assignor or protocol chosen.
    pub protocol: String,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a [`Group`].
#[derive(Clone, Debug)]
pub struct GroupMember {
    /// Member id.
    pub id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Client address.
    pub host: String,
    /// Assigned partitions, if the group is one of consumers.
    pub assignment: Vec<(String, i32)>,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset that the group will read.
    pub offset: i64,
    /// What the client said with it.
    pub metadata: String,
}

/// Which offset to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first that can be read.
    Earliest,
    /// One past the last.
    Latest,
    /// Of the first record at or after this time, ms since 1970.
    Timestamp(i64),
    /// Of the record with the greatest timestamp.
    MaxTimestamp,
}

impl OffsetSpec {
    fn timestamp(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::Timestamp(at) => at,
        }
    }

    fn may_match_nothing(self) -> bool {
        matches!(self, OffsetSpec::Timestamp(_) | OffsetSpec::MaxTimestamp)
    }
}

impl Kafka {
    async fn call<R: Request>(&self, connection: &Connection, request: &R) -> Result<R::Response, Error> {
        connection.call(request, self.options().timeout).await
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.options().timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Makes a topic.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<(), Error> {
        let connection = self.controller().await?;
        let version = connection.version::<CreateTopicsRequest>()?;
        // Before version 4 the broker has no defaults to give.
        let fallback = if version >= 4 { -1 } else { 1 };
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.as_str().into(),
                num_partitions: topic.partitions.unwrap_or(fallback),
                replication_factor: topic.replication.unwrap_or(fallback as i16),
                configs: topic
                    .configs
                    .iter()
                    .map(|(name, value)| CreatableTopicConfig {
                        name: name.into(),
                        value: Some(value.into()),
                    })
                    .collect(),
                ..Default::default()
            }],
            timeout_ms: self.timeout_ms(),
            ..Default::default()
        };
        let answer = connection.call_version(version, &request, self.options().timeout).await?;
        for result in answer.topics {
            Error::check(result.error_code, result.error_message.as_deref(), || {
                format!("cannot create topic {}", topic.name)
            })?;
        }
        Ok(())
    }

    /// Deletes a topic with everything in it.
    pub async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let connection = self.controller().await?;
        let version = connection.version::<DeleteTopicsRequest>()?;
        let mut request = DeleteTopicsRequest { timeout_ms: self.timeout_ms(), ..Default::default() };
        if version >= 6 {
            request.topics = vec![DeleteTopicState { name: Some(name.into()), ..Default::default() }];
        } else {
            request.topic_names = vec![name.into()];
        }
        let answer = connection.call_version(version, &request, self.options().timeout).await?;
        for result in answer.responses {
            Error::check(result.error_code, result.error_message.as_deref(), || {
                format!("cannot delete topic {name}")
            })?;
        }
        Ok(())
    }

    /// Gives a topic more partitions: `count` afterwards.
    pub async fn create_partitions(&self, name: &str, count: i32) -> Result<(), Error> {
        let connection = self.controller().await?;
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic { name: name.into(), count, assignments: None }],
            timeout_ms: self.timeout_ms(),
            ..Default::default()
        };
        for result in self.call(&connection, &request).await?.results {
            Error::check(result.error_code, result.error_message.as_deref(), || {
                format!("cannot give topic {name} {count} partitions")
            })?;
        }
        Ok(())
    }

    /// Every config of a topic.
    pub async fn topic_configs(&self, name: &str) -> Result<Vec<ConfigEntry>, Error> {
        let connection = self.any().await?;
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: TOPIC_RESOURCE,
                resource_name: name.into(),
                configuration_keys: None,
            }],
            ..Default::default()
        };
        let mut entries = Vec::new();
        for result in self.call(&connection, &request).await?.results {
            Error::check(result.error_code, result.error_message.as_deref(), || {
                format!("cannot read the configs of topic {name}")
            })?;
            entries.extend(result.configs.into_iter().map(|config| ConfigEntry {
                name: config.name.into(),
                value: config.value.map(String::from),
                source: match config.config_source {
                    1 => ConfigSource::Topic,
                    2..=4 => ConfigSource::Broker,
                    5 => ConfigSource::Default,
                    other => ConfigSource::Other(other),
                },
                is_read_only: config.read_only,
            }));
        }
        Ok(entries)
    }

    /// Sets (`Some`) and resets (`None`) configs of a topic.
    pub async fn alter_topic_configs(
        &self,
        name: &str,
        changes: &[(String, Option<String>)],
    ) -> Result<(), Error> {
        let connection = self.controller().await?;
        let change = |(name, value): &(String, Option<String>)| AlterableConfig {
            name: name.into(),
            config_operation: if value.is_some() { 0 } else { 1 },
            value: value.as_ref().map(Into::into),
        };
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: TOPIC_RESOURCE,
                resource_name: name.into(),
                configs: changes.iter().map(change).collect(),
            }],
            ..Default::default()
        };
        for result in self.call(&connection, &request).await?.responses {
            Error::check(result.error_code, result.error_message.as_deref(), || {
                format!("cannot change the configs of topic {name}")
            })?;
        }
        Ok(())
    }

    /// Looks for one offset in each partition: offset and its record's time in ms (-1 where there is none);
    /// offset -1 if no record matches.
    pub async fn list_offsets(
        &self,
        topic: &str,
        partitions: &[(i32, OffsetSpec)],
    ) -> Result<BTreeMap<i32, (i64, i64)>, Error> {
        self.retrying(|| self.list_offsets_once(topic, partitions)).await
    }

    /// Where to begin to read in each partition: behind its last record where there is none as late as asked for, so that
    /// what is yet to come is read and nothing else.
    pub async fn find_starts(
        &self,
        topic: &str,
        partitions: &[(i32, OffsetSpec)],
    ) -> Result<BTreeMap<i32, i64>, Error> {
        let by_time = partitions.iter().filter(|(_, spec)| spec.may_match_nothing());
        let ends: Vec<_> = by_time.map(|(partition, _)| (*partition, OffsetSpec::Latest)).collect();
        // The end first: what comes between the two questions is found by the second one.
        let ends = if ends.is_empty() { BTreeMap::new() } else { self.list_offsets(topic, &ends).await? };
        let found = self.list_offsets(topic, partitions).await?;
        let start = |(partition, (offset, _)): (i32, (i64, i64))| match offset {
            0.. => (partition, offset),
            _ => (partition, ends.get(&partition).map_or(0, |(end, _)| *end)),
        };
        Ok(found.into_iter().map(start).collect())
    }

    async fn list_offsets_once(
        &self,
        topic: &str,
        partitions: &[(i32, OffsetSpec)],
    ) -> Result<BTreeMap<i32, (i64, i64)>, Error> {
        let described = self.topic(topic).await?;
        let mut by_leader: BTreeMap<i32, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (partition, spec) in partitions {
            let leader = described.leader(topic, *partition)?;
            by_leader.entry(leader).or_default().push(ListOffsetsPartition {
                partition_index: *partition,
                timestamp: spec.timestamp(),
                ..Default::default()
            });
        }
        let mut found = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let connection = self.broker(leader, Lane::General).await?;
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![ListOffsetsTopic { name: topic.into(), partitions }],
                timeout_ms: self.timeout_ms(),
                ..Default::default()
            };
            for result in self.call(&connection, &request).await?.topics {
                for partition in result.partitions {
                    Error::check(partition.error_code, None, || {
                        format!("cannot find offsets in {topic} partition {}", partition.partition_index)
                    })?;
                    found.insert(partition.partition_index, (partition.offset, partition.timestamp));
                }
            }
        }
        Ok(found)
    }

    /// Deletes the records before an offset (-1: all there are); gives each partition's new first offset.
    pub async fn delete_records(
        &self,
        topic: &str,
        partitions: &[(i32, i64)],
    ) -> Result<BTreeMap<i32, i64>, Error> {
        let described = self.topic(topic).await?;
        let mut by_leader: BTreeMap<i32, Vec<DeleteRecordsPartition>> = BTreeMap::new();
        for (partition, offset) in partitions {
            let leader = described.leader(topic, *partition)?;
            let delete = DeleteRecordsPartition { partition_index: *partition, offset: *offset };
            by_leader.entry(leader).or_default().push(delete);
        }
        let mut first = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let connection = self.broker(leader, Lane::General).await?;
            let request = DeleteRecordsRequest {
                topics: vec![DeleteRecordsTopic { name: topic.into(), partitions }],
                timeout_ms: self.timeout_ms(),
            };
            for result in self.call(&connection, &request).await?.topics {
                for partition in result.partitions {
                    Error::check(partition.error_code, None, || {
                        format!("cannot delete records of {topic} partition {}", partition.partition_index)
                    })?;
                    first.insert(partition.partition_index, partition.low_watermark);
                }
            }
        }
        Ok(first)
    }

    /// Every group of the cluster.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, Error> {
        let metadata = self.metadata(Some(&[])).await?;
        let mut groups = Vec::new();
        for id in metadata.brokers.keys() {
            let connection = self.broker(*id, Lane::General).await?;
            let answer = self.call(&connection, &ListGroupsRequest::default()).await?;
            Error::check(answer.error_code, None, || "cannot list the groups".to_owned())?;
            groups.extend(answer.groups.into_iter().map(|group| GroupListing {
                id: group.group_id.into(),
                protocol_type: group.protocol_type.into(),
                state: group.group_state.into(),
                kind: group.group_type.into(),
            }));
        }
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    /// One group in full. A group that is not there has the state `Dead`.
    pub async fn describe_group(&self, id: &str) -> Result<Group, Error> {
        self.retrying(|| async {
            let connection = self.coordinator(id, Lane::General).await?;
            let request = DescribeGroupsRequest { groups: vec![id.into()], ..Default::default() };
            let answer = self.call(&connection, &request).await?;
            let what = || format!("cannot describe group {id}");
            let group = answer.groups.into_iter().next();
            let group = group.ok_or_else(|| Error::Garbled {
                address: connection.address().clone(),
                reason: "no group in the answer".to_owned(),
            })?;
            if group.error_code != ErrorCode::GroupIdNotFound.code() {
                Error::check(group.error_code, group.error_message.as_deref(), what)?;
            }
            let is_consumer = group.protocol_type == "consumer";
            let members = group.members.into_iter().map(|member| GroupMember {
                id: member.member_id.into(),
                instance_id: member.group_instance_id.map(String::from),
                client_id: member.client_id.into(),
                host: member.client_host.into(),
                assignment: if is_consumer { assigned(member.member_assignment) } else { Vec::new() },
            });
            Ok(Group {
                id: id.to_owned(),
                state: group.group_state.into(),
                protocol_type: group.protocol_type.into(),
                protocol: group.protocol_data.into(),
                members: members.collect(),
            })
        })
        .await
    }

    /// Forgets a group that has no members.
    pub async fn delete_group(&self, id: &str) -> Result<(), Error> {
        self.retrying(|| async {
            let connection = self.coordinator(id, Lane::General).await?;
            let request = DeleteGroupsRequest { groups_names: vec![id.into()] };
            for result in self.call(&connection, &request).await?.results {
                Error::check(result.error_code, None, || format!("cannot delete group {id}"))?;
            }
            Ok(())
        })
        .await
    }

    /// Every offset that a group has committed, by topic and partition.
    pub async fn committed(&self, group: &str) -> Result<BTreeMap<(String, i32), Committed>, Error> {
        self.retrying(|| async {
            let connection = self.coordinator(group, Lane::General).await?;
            // From 10 on topics have ids only.
            let version = connection.version_at_most::<OffsetFetchRequest>(9)?;
            let mut request = OffsetFetchRequest::default();
            if version >= 8 {
                request.groups = vec![OffsetFetchRequestGroup {
                    group_id: group.into(),
                    topics: None,
                    ..Default::default()
                }];
            } else {
                request.group_id = group.into();
                request.topics = None;
            }
            let answer = connection.call_version(version, &request, self.options().timeout).await?;
            let what = || format!("cannot read the offsets of group {group}");
            Error::check(answer.error_code, None, what)?;
            let mut committed = BTreeMap::new();
            for group in &answer.groups {
                Error::check(group.error_code, None, what)?;
            }
            // Versions below 8 answer about one group, in types of their own.
            let old = answer.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions
                    .map(|p| (&topic.name, p.partition_index, p.committed_offset, &p.metadata, p.error_code))
            });
            let new = answer.groups.iter().flat_map(|group| &group.topics).flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions
                    .map(|p| (&topic.name, p.partition_index, p.committed_offset, &p.metadata, p.error_code))
            });
            for (topic, partition, offset, metadata, code) in old.chain(new) {
                Error::check(code, None, what)?;
                if offset >= 0 {
                    let metadata = metadata.as_deref().unwrap_or_default().to_owned();
                    committed.insert((topic.to_string(), partition), Committed { offset, metadata });
                }
            }
            Ok(committed)
        })
        .await
    }

    /// Commits offsets for a group from outside: refused while it has members.
    pub async fn commit(&self, group: &str, offsets: &[(String, i32, i64)]) -> Result<(), Error> {
        self.commit_as(group, -1, "", offsets).await
    }

    /// Commits offsets as a member of a generation of the group: refused once that is over. The generation is -1 and the
    /// member empty for a commit from outside.
    pub async fn commit_as(
        &self,
        group: &str,
        generation: i32,
        member: &str,
        offsets: &[(String, i32, i64)],
    ) -> Result<(), Error> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (topic, partition, offset) in offsets {
            topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_metadata: Some("".into()),
                ..Default::default()
            });
        }
        let topics = topics.into_iter().map(|(name, partitions)| OffsetCommitRequestTopic {
            name: name.into(),
            partitions,
            ..Default::default()
        });
        let request = OffsetCommitRequest {
            group_id: group.into(),
            generation_id_or_member_epoch: generation,
            member_id: member.into(),
            topics: topics.collect(),
            ..Default::default()
        };
        self.retrying(|| async {
            let connection = self.coordinator(group, Lane::General).await?;
            // From 10 on topics have ids only.
            let version = connection.version_at_most::<OffsetCommitRequest>(9)?;
            let answer = connection.call_version(version, &request, self.options().timeout).await?;
            for topic in answer.topics {
                for partition in topic.partitions {
                    Error::check(partition.error_code, None, || {
                        format!(
                            "cannot commit the offset of group {group} in {} partition {}",
                            topic.name, partition.partition_index
                        )
                    })?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Forgets committed offsets.
    pub async fn delete_offsets(&self, group: &str, partitions: &[(String, i32)]) -> Result<(), Error> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for (topic, partition) in partitions {
            let partition = OffsetDeleteRequestPartition { partition_index: *partition };
            topics.entry(topic).or_default().push(partition);
        }
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| OffsetDeleteRequestTopic { name: name.into(), partitions })
            .collect();
        let request = OffsetDeleteRequest { group_id: group.into(), topics };
        self.retrying(|| async {
            let connection = self.coordinator(group, Lane::General).await?;
            let what = || format!("cannot forget the offsets of group {group}");
            let answer = self.call(&connection, &request).await?;
            Error::check(answer.error_code, None, what)?;
            for topic in answer.topics {
                for partition in topic.partitions {
                    Error::check(partition.error_code, None, what)?;
                }
            }
            Ok(())
        })
        .await
    }
}

impl super::TopicMetadata {
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Result<i32, Error> {
        let missing = || Error::NoPartition { topic: topic.to_owned(), partition };
        match self.partitions.get(&partition).ok_or_else(missing)?.leader {
            -1 => Err(Error::Refused {
                what: format!("{topic} partition {partition}"),
                code: ErrorCode::LeaderNotAvailable,
                message: None,
            }),
            leader => Ok(leader),
        }
    }
}

/// The partitions in a consumer's assignment; none if it cannot be read (another client's own format).
pub(super) fn assigned(assignment: bytes::Bytes) -> Vec<(String, i32)> {
    let Some((version, body)) = assignment.split_first_chunk::<2>() else { return Vec::new() };
    let version = i16::from_be_bytes(*version).clamp(0, ConsumerProtocolAssignment::VERSIONS.1);
    let body = assignment.slice_ref(body);
    let Ok(decoded) = ConsumerProtocolAssignment::decode(body, version) else { return Vec::new() };
    let topics = decoded.assigned_partitions.into_iter();
    topics.flat_map(|t| t.partitions.into_iter().map(move |p| (t.topic.to_string(), p))).collect()
}
