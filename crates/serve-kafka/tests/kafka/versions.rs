//! Every API that is served, in every version of the table, at least once: the answer decodes to its last byte and says
//! what it should.

use kolk_serve_kafka::apis::{SERVED, Served};
use kolk_wire_kafka::messages::*;
use kolk_wire_kafka::{ApiKey, ErrorCode};
use uuid::Uuid;

use crate::support::*;

const UNKNOWN_TOPIC: i16 = ErrorCode::UnknownTopicOrPartition.code();
const NONE: i16 = ErrorCode::None.code();

#[tokio::test]
async fn every_version_of_every_api_answers() {
    ask_everything(TestServer::start().await).await;
}

#[tokio::test]
async fn every_version_of_every_api_answers_from_disk() {
    let directory = tempfile::tempdir().unwrap();
    ask_everything(TestServer::start_on(directory.path()).await).await;
}

async fn ask_everything(server: TestServer) {
    let mut client = server.connect().await;
    client.create_topic("t", 2, &[]).await;
    let versions = client.call(4, &plain_versions_request()).await;
    for Served { api, min, max } in SERVED {
        assert!(
            versions
                .api_keys
                .iter()
                .any(|row| (row.api_key, row.min_version, row.max_version) == (api.key(), *min, *max)),
            "{api:?} is served but not told"
        );
        for version in *min..=*max {
            // A connection each: an answer that went wrong closes it, and the message shall name the version.
            let mut client = server.connect().await;
            ask(&mut client, *api, version).await;
        }
    }
    server.stop().await;
}

pub fn plain_versions_request() -> api_versions::ApiVersionsRequest {
    api_versions::ApiVersionsRequest {
        client_software_name: "kolk-test".into(),
        client_software_version: "1.0".into(),
        ..Default::default()
    }
}

/// The id of topic `t`, from metadata.
async fn topic_id(client: &mut Client) -> Uuid {
    let request = metadata::MetadataRequest {
        topics: Some(vec![metadata::MetadataRequestTopic { name: Some("t".into()), ..Default::default() }]),
        ..Default::default()
    };
    client.call(12, &request).await.topics[0].topic_id
}

async fn ask(client: &mut Client, api: ApiKey, version: i16) {
    let fresh = format!("fresh-{}-{version}", api.name());
    match api {
        ApiKey::Produce => {
            let id = topic_id(client).await;
            let mut request = produce_request("t", 0, batch(&["v"]));
            request.topic_data[0].topic_id = if version >= 13 { id } else { Uuid::nil() };
            if version >= 13 {
                request.topic_data[0].name = Default::default();
            }
            let answer = only_partition(client.call(version, &request).await);
            if version < 3 {
                assert_eq!(answer.error_code, ErrorCode::UnsupportedVersion.code());
            } else {
                assert_eq!(answer.error_code, NONE, "version {version}");
                assert!(answer.base_offset >= 0);
            }
        }
        ApiKey::Fetch => {
            let id = topic_id(client).await;
            client.produce("t", 1, batch(&["x"])).await;
            let mut request = fetch_request("t", 1, 0);
            if version >= 13 {
                request.topics[0].topic = Default::default();
                request.topics[0].topic_id = id;
            }
            let answer = client.call(version, &request).await;
            assert_eq!(answer.error_code, NONE);
            assert!(!records_of(&answer).is_empty(), "version {version}");
        }
        ApiKey::ListOffsets => {
            let request = list_offsets::ListOffsetsRequest {
                replica_id: -1,
                topics: vec![list_offsets::ListOffsetsTopic {
                    name: "t".into(),
                    partitions: vec![list_offsets::ListOffsetsPartition {
                        partition_index: 0,
                        timestamp: -1,
                        ..Default::default()
                    }],
                }],
                ..Default::default()
            };
            let answer = client.call(version, &request).await;
            let partition = &answer.topics[0].partitions[0];
            assert_eq!(partition.error_code, NONE);
            assert!(partition.offset >= 0);
        }
        ApiKey::Metadata => {
            let request = metadata::MetadataRequest {
                topics: Some(vec![metadata::MetadataRequestTopic {
                    name: Some("t".into()),
                    ..Default::default()
                }]),
                allow_auto_topic_creation: true,
                ..Default::default()
            };
            let answer = client.call(version, &request).await;
            assert_eq!(answer.topics[0].partitions.len(), 2);
            assert_eq!(answer.brokers[0].node_id, 1);
            let all = metadata::MetadataRequest {
                topics: if version == 0 { Some(Vec::new()) } else { None },
                ..Default::default()
            };
            assert!(!client.call(version, &all).await.topics.is_empty());
        }
        ApiKey::OffsetCommit => {
            let id = topic_id(client).await;
            let request = offset_commit::OffsetCommitRequest {
                group_id: fresh.as_str().into(),
                generation_id_or_member_epoch: -1,
                topics: vec![offset_commit::OffsetCommitRequestTopic {
                    name: if version < 10 { "t".into() } else { "".into() },
                    topic_id: if version < 10 { Uuid::nil() } else { id },
                    partitions: vec![offset_commit::OffsetCommitRequestPartition {
                        committed_offset: 1,
                        committed_metadata: Some("note".into()),
                        ..Default::default()
                    }],
                }],
                ..Default::default()
            };
            assert_eq!(client.call(version, &request).await.topics[0].partitions[0].error_code, NONE);
        }
        ApiKey::OffsetFetch => offset_fetch(client, version).await,
        ApiKey::FindCoordinator => {
            let mut request = find_coordinator::FindCoordinatorRequest::default();
            match version {
                4.. => request.coordinator_keys = vec!["g".into()],
                _ => request.key = "g".into(),
            }
            let answer = client.call(version, &request).await;
            let node_id = answer.coordinators.first().map_or(answer.node_id, |one| one.node_id);
            assert_eq!(node_id, 1);
            if version >= 1 {
                request.key_type = 1;
                let answer = client.call(version, &request).await;
                let code = answer.coordinators.first().map_or(answer.error_code, |one| one.error_code);
                assert_eq!(code, ErrorCode::TransactionalIdAuthorizationFailed.code());
            }
        }
        ApiKey::JoinGroup => {
            let mut request = join_group::JoinGroupRequest {
                group_id: fresh.as_str().into(),
                session_timeout_ms: 10_000,
                rebalance_timeout_ms: 10_000,
                protocol_type: "consumer".into(),
                protocols: vec![join_group::JoinGroupRequestProtocol {
                    name: "range".into(),
                    metadata: vec![1].into(),
                }],
                ..Default::default()
            };
            let mut answer = client.call(version, &request).await;
            if version >= 4 {
                assert_eq!(answer.error_code, ErrorCode::MemberIdRequired.code());
                request.member_id = answer.member_id.clone();
                answer = client.call(version, &request).await;
            }
            assert_eq!((answer.error_code, answer.generation_id), (NONE, 1));
            assert_eq!(answer.leader, answer.member_id);
            assert_eq!(answer.members.len(), 1);
        }
        ApiKey::Heartbeat => {
            let request = heartbeat::HeartbeatRequest { group_id: "g".into(), ..Default::default() };
            assert_eq!(client.call(version, &request).await.error_code, ErrorCode::UnknownMemberId.code());
        }
        ApiKey::LeaveGroup => {
            let mut request = leave_group::LeaveGroupRequest { group_id: "g".into(), ..Default::default() };
            match version {
                3.. => {
                    request.members =
                        vec![leave_group::MemberIdentity { member_id: "m".into(), ..Default::default() }]
                }
                _ => request.member_id = "m".into(),
            }
            let answer = client.call(version, &request).await;
            let code = answer.members.first().map_or(answer.error_code, |one| one.error_code);
            assert_eq!(code, ErrorCode::UnknownMemberId.code());
        }
        ApiKey::SyncGroup => {
            let request = sync_group::SyncGroupRequest {
                group_id: "g".into(),
                member_id: "m".into(),
                generation_id: 1,
                ..Default::default()
            };
            let expected =
                if version >= 5 { ErrorCode::InconsistentGroupProtocol } else { ErrorCode::UnknownMemberId };
            assert_eq!(client.call(version, &request).await.error_code, expected.code());
        }
        ApiKey::DescribeGroups => {
            let request =
                describe_groups::DescribeGroupsRequest { groups: vec!["none".into()], ..Default::default() };
            let group = &client.call(version, &request).await.groups[0];
            assert_eq!(group.group_state, "Dead");
            let expected = if version >= 6 { ErrorCode::GroupIdNotFound } else { ErrorCode::None };
            assert_eq!(group.error_code, expected.code());
        }
        ApiKey::ListGroups => {
            let answer = client.call(version, &list_groups::ListGroupsRequest::default()).await;
            assert_eq!(answer.error_code, NONE);
        }
        ApiKey::ApiVersions => {
            let answer = client.call(version, &plain_versions_request()).await;
            assert_eq!(answer.api_keys.len(), SERVED.len());
        }
        ApiKey::CreateTopics => {
            let request = create_topics::CreateTopicsRequest {
                topics: vec![create_topics::CreatableTopic {
                    name: fresh.as_str().into(),
                    num_partitions: 1,
                    replication_factor: 3,
                    ..Default::default()
                }],
                ..Default::default()
            };
            let topic = &client.call(version, &request).await.topics[0];
            assert_eq!(topic.error_code, NONE);
            assert_eq!(topic.topic_id.is_nil(), version < 7);
            assert_eq!(topic.configs.as_ref().is_none_or(Vec::is_empty), version < 5);
        }
        ApiKey::DeleteTopics => {
            client.create_topic(&fresh, 1, &[]).await;
            let mut request = delete_topics::DeleteTopicsRequest::default();
            match version {
                6.. => {
                    request.topics = vec![delete_topics::DeleteTopicState {
                        name: Some(fresh.as_str().into()),
                        ..Default::default()
                    }];
                }
                _ => request.topic_names = vec![fresh.as_str().into()],
            }
            assert_eq!(client.call(version, &request).await.responses[0].error_code, NONE);
            assert_eq!(client.call(version, &request).await.responses[0].error_code, UNKNOWN_TOPIC);
        }
        ApiKey::DeleteRecords => {
            let request = delete_records::DeleteRecordsRequest {
                topics: vec![delete_records::DeleteRecordsTopic {
                    name: "t".into(),
                    partitions: vec![delete_records::DeleteRecordsPartition {
                        partition_index: 0,
                        offset: 0,
                    }],
                }],
                ..Default::default()
            };
            let partition = client.call(version, &request).await.topics[0].partitions[0].clone();
            assert_eq!((partition.error_code, partition.low_watermark), (NONE, 0));
        }
        ApiKey::InitProducerId => {
            let idempotent =
                init_producer_id::InitProducerIdRequest { transactional_id: None, ..Default::default() };
            let first = client.call(version, &idempotent).await;
            let second = client.call(version, &idempotent).await;
            assert_eq!((first.error_code, first.producer_epoch), (NONE, 0));
            assert!(second.producer_id > first.producer_id);
            let request = init_producer_id::InitProducerIdRequest {
                transactional_id: Some("x".into()),
                ..Default::default()
            };
            let refused = client.call(version, &request).await;
            assert_eq!(refused.error_code, ErrorCode::TransactionalIdAuthorizationFailed.code());
        }
        ApiKey::OffsetForLeaderEpoch => {
            let request = offset_for_leader_epoch::OffsetForLeaderEpochRequest {
                topics: vec![offset_for_leader_epoch::OffsetForLeaderTopic {
                    topic: "t".into(),
                    partitions: vec![offset_for_leader_epoch::OffsetForLeaderPartition {
                        partition: 0,
                        leader_epoch: 0,
                        ..Default::default()
                    }],
                }],
                ..Default::default()
            };
            let partition = client.call(version, &request).await.topics[0].partitions[0].clone();
            assert_eq!((partition.error_code, partition.leader_epoch), (NONE, 0));
            assert!(partition.end_offset >= 0);
        }
        ApiKey::DescribeConfigs => {
            let resource = |kind, name: &str| describe_configs::DescribeConfigsResource {
                resource_type: kind,
                resource_name: name.into(),
                configuration_keys: None,
            };
            let request = describe_configs::DescribeConfigsRequest {
                resources: vec![
                    resource(2, "t"),
                    resource(4, "1"),
                    resource(4, ""),
                    resource(4, "9"),
                    resource(2, "no"),
                ],
                include_synonyms: true,
                include_documentation: version >= 3,
            };
            let results = client.call(version, &request).await.results;
            let codes: Vec<i16> = results.iter().map(|result| result.error_code).collect();
            assert_eq!(codes, [NONE, NONE, NONE, ErrorCode::InvalidRequest.code(), UNKNOWN_TOPIC]);
            assert!(results[0].configs.iter().any(|config| config.name == "retention.ms"));
            assert!(results[1].configs.iter().any(|config| config.name == "log.retention.hours"));
        }
        ApiKey::AlterConfigs => {
            let request = alter_configs::AlterConfigsRequest {
                resources: vec![alter_configs::AlterConfigsResource {
                    resource_type: 2,
                    resource_name: "t".into(),
                    configs: vec![alter_configs::AlterableConfig {
                        name: "segment.ms".into(),
                        value: Some("60000".into()),
                    }],
                }],
                validate_only: false,
            };
            assert_eq!(client.call(version, &request).await.responses[0].error_code, NONE);
        }
        ApiKey::IncrementalAlterConfigs => {
            let request = incremental_alter_configs::IncrementalAlterConfigsRequest {
                resources: vec![incremental_alter_configs::AlterConfigsResource {
                    resource_type: 2,
                    resource_name: "t".into(),
                    configs: vec![incremental_alter_configs::AlterableConfig {
                        name: "segment.ms".into(),
                        config_operation: 1,
                        value: None,
                    }],
                }],
                validate_only: false,
            };
            assert_eq!(client.call(version, &request).await.responses[0].error_code, NONE);
        }
        ApiKey::DescribeLogDirs => {
            let answer = client.call(version, &describe_log_dirs::DescribeLogDirsRequest::default()).await;
            assert_eq!(answer.results.len(), 1);
            let asked_all = describe_log_dirs::DescribeLogDirsRequest { topics: None };
            let all = client.call(version, &asked_all).await;
            assert!(
                all.results[0].topics.iter().any(|topic| topic.name == "t" && topic.partitions.len() == 2)
            );
        }
        ApiKey::CreatePartitions => {
            client.create_topic(&fresh, 1, &[]).await;
            let request = create_partitions::CreatePartitionsRequest {
                topics: vec![create_partitions::CreatePartitionsTopic {
                    name: fresh.as_str().into(),
                    count: 3,
                    assignments: None,
                }],
                ..Default::default()
            };
            assert_eq!(client.call(version, &request).await.results[0].error_code, NONE);
            let again = client.call(version, &request).await.results[0].clone();
            assert_eq!(again.error_code, ErrorCode::InvalidPartitions.code());
        }
        ApiKey::DeleteGroups => {
            let request = delete_groups::DeleteGroupsRequest { groups_names: vec!["none".into()] };
            let result = client.call(version, &request).await.results[0].clone();
            assert_eq!(result.error_code, ErrorCode::GroupIdNotFound.code());
        }
        ApiKey::OffsetDelete => {
            let request =
                offset_delete::OffsetDeleteRequest { group_id: "none".into(), ..Default::default() };
            assert_eq!(client.call(version, &request).await.error_code, ErrorCode::GroupIdNotFound.code());
        }
        ApiKey::DescribeCluster => {
            let answer = client.call(version, &describe_cluster::DescribeClusterRequest::default()).await;
            assert_eq!((answer.error_code, answer.brokers.len()), (NONE, 1));
        }
        ApiKey::DescribeTopicPartitions => {
            let request = describe_topic_partitions::DescribeTopicPartitionsRequest {
                topics: vec![describe_topic_partitions::TopicRequest { name: "t".into() }],
                response_partition_limit: 1,
                cursor: None,
            };
            let answer = client.call(version, &request).await;
            assert_eq!(answer.topics[0].partitions.len(), 1);
            let cursor = answer.next_cursor.expect("one of two partitions was told");
            assert_eq!((cursor.topic_name.as_str(), cursor.partition_index), ("t", 1));
        }
        other => panic!("{other:?} is served: it wants a test"),
    }
}

async fn offset_fetch(client: &mut Client, version: i16) {
    let id = topic_id(client).await;
    if version >= 8 {
        let by_id = version >= 10;
        let request = offset_fetch::OffsetFetchRequest {
            groups: vec![offset_fetch::OffsetFetchRequestGroup {
                group_id: "none".into(),
                topics: Some(vec![offset_fetch::OffsetFetchRequestTopics {
                    name: if by_id { "".into() } else { "t".into() },
                    topic_id: if by_id { id } else { Uuid::nil() },
                    partition_indexes: vec![0],
                }]),
                ..Default::default()
            }],
            ..Default::default()
        };
        let group = client.call(version, &request).await.groups[0].clone();
        assert_eq!((group.error_code, group.topics[0].partitions[0].committed_offset), (NONE, -1));
        return;
    }
    let request = offset_fetch::OffsetFetchRequest {
        group_id: "none".into(),
        topics: Some(vec![offset_fetch::OffsetFetchRequestTopic {
            name: "t".into(),
            partition_indexes: vec![0],
        }]),
        ..Default::default()
    };
    let answer = client.call(version, &request).await;
    assert_eq!(answer.topics[0].partitions[0].committed_offset, -1);
    if version >= 2 {
        let everything =
            offset_fetch::OffsetFetchRequest { group_id: "none".into(), topics: None, ..Default::default() };
        assert!(client.call(version, &everything).await.topics.is_empty());
    }
}
