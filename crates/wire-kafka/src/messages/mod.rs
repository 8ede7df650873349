// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.
//! The messages of every client-facing API, a module each. Fields carry Kafka's names in snake case;
//! a field that some versions lack says which have it.
//!
//! Written by `cargo xtask codegen`.

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_share_group_offsets;
pub mod alter_user_scram_credentials;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod consumer_protocol_assignment;
pub mod consumer_protocol_subscription;
pub mod create_acls;
pub mod create_delegation_token;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_share_group_offsets;
pub mod delete_share_group_state;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_delegation_token;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_share_group_offsets;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod expire_delegation_token;
pub mod fetch;
pub mod find_coordinator;
pub mod get_telemetry_subscriptions;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod initialize_share_group_state;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod push_telemetry;
pub mod read_share_group_state;
pub mod read_share_group_state_summary;
pub mod renew_delegation_token;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod share_acknowledge;
pub mod share_fetch;
pub mod share_group_describe;
pub mod share_group_heartbeat;
pub mod streams_group_describe;
pub mod streams_group_heartbeat;
pub mod streams_group_topology_description_update;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod unregister_broker;
pub mod unregister_controller;
pub mod update_features;
pub mod write_share_group_state;
pub mod write_txn_markers;

mod prelude {
    pub(super) use crate::codec::{
        DecodeError, Decoder, Encoder, Message, Request, Wire, nullable_structs,
    };
    pub(super) use crate::{ApiKey, Records, Str};
    pub(super) use bytes::Bytes;
    pub(super) use uuid::Uuid;
}

/// Calls a macro with a row per API: `Name = key, first version, last version, last version told to clients,
/// first flexible version, module::{request, response};`.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_api {
    ($m:ident) => {
        $m! {
            Produce = 0, 0, 13, 13, 9, produce::{ProduceRequest, ProduceResponse};
            Fetch = 1, 0, 18, 18, 12, fetch::{FetchRequest, FetchResponse};
            ListOffsets = 2, 0, 11, 11, 6, list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
            Metadata = 3, 0, 13, 13, 9, metadata::{MetadataRequest, MetadataResponse};
            OffsetCommit = 8, 0, 10, 10, 8, offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
            OffsetFetch = 9, 0, 10, 10, 6, offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
            FindCoordinator = 10, 0, 6, 6, 3, find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
            JoinGroup = 11, 0, 9, 9, 6, join_group::{JoinGroupRequest, JoinGroupResponse};
            Heartbeat = 12, 0, 4, 4, 4, heartbeat::{HeartbeatRequest, HeartbeatResponse};
            LeaveGroup = 13, 0, 5, 5, 4, leave_group::{LeaveGroupRequest, LeaveGroupResponse};
            SyncGroup = 14, 0, 5, 5, 4, sync_group::{SyncGroupRequest, SyncGroupResponse};
            DescribeGroups = 15, 0, 6, 6, 5, describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
            ListGroups = 16, 0, 5, 5, 3, list_groups::{ListGroupsRequest, ListGroupsResponse};
            SaslHandshake = 17, 0, 1, 1, i16::MAX, sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
            ApiVersions = 18, 0, 5, 5, 3, api_versions::{ApiVersionsRequest, ApiVersionsResponse};
            CreateTopics = 19, 0, 7, 7, 5, create_topics::{CreateTopicsRequest, CreateTopicsResponse};
            DeleteTopics = 20, 0, 6, 6, 4, delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
            DeleteRecords = 21, 0, 2, 2, 2, delete_records::{DeleteRecordsRequest, DeleteRecordsResponse};
            InitProducerId = 22, 0, 6, 5, 2, init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
            OffsetForLeaderEpoch = 23, 0, 4, 4, 4, offset_for_leader_epoch::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
            AddPartitionsToTxn = 24, 0, 5, 5, 3, add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
            AddOffsetsToTxn = 25, 0, 4, 4, 3, add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
            EndTxn = 26, 0, 5, 5, 3, end_txn::{EndTxnRequest, EndTxnResponse};
            WriteTxnMarkers = 27, 0, 2, 2, 1, write_txn_markers::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
            TxnOffsetCommit = 28, 0, 6, 6, 3, txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
            DescribeAcls = 29, 0, 3, 3, 2, describe_acls::{DescribeAclsRequest, DescribeAclsResponse};
            CreateAcls = 30, 0, 3, 3, 2, create_acls::{CreateAclsRequest, CreateAclsResponse};
            DeleteAcls = 31, 0, 3, 3, 2, delete_acls::{DeleteAclsRequest, DeleteAclsResponse};
            DescribeConfigs = 32, 0, 4, 4, 4, describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
            AlterConfigs = 33, 0, 2, 2, 2, alter_configs::{AlterConfigsRequest, AlterConfigsResponse};
            AlterReplicaLogDirs = 34, 0, 2, 2, 2, alter_replica_log_dirs::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
            DescribeLogDirs = 35, 0, 5, 5, 2, describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
            SaslAuthenticate = 36, 0, 2, 2, 2, sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
            CreatePartitions = 37, 0, 3, 3, 2, create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
            CreateDelegationToken = 38, 0, 3, 3, 2, create_delegation_token::{CreateDelegationTokenRequest, CreateDelegationTokenResponse};
            RenewDelegationToken = 39, 0, 2, 2, 2, renew_delegation_token::{RenewDelegationTokenRequest, RenewDelegationTokenResponse};
            ExpireDelegationToken = 40, 0, 2, 2, 2, expire_delegation_token::{ExpireDelegationTokenRequest, ExpireDelegationTokenResponse};
            DescribeDelegationToken = 41, 0, 3, 3, 2, describe_delegation_token::{DescribeDelegationTokenRequest, DescribeDelegationTokenResponse};
            DeleteGroups = 42, 0, 3, 3, 2, delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
            ElectLeaders = 43, 0, 2, 2, 2, elect_leaders::{ElectLeadersRequest, ElectLeadersResponse};
            IncrementalAlterConfigs = 44, 0, 1, 1, 1, incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
            AlterPartitionReassignments = 45, 0, 1, 1, 0, alter_partition_reassignments::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
            ListPartitionReassignments = 46, 0, 0, 0, 0, list_partition_reassignments::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
            OffsetDelete = 47, 0, 0, 0, i16::MAX, offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
            DescribeClientQuotas = 48, 0, 1, 1, 1, describe_client_quotas::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
            AlterClientQuotas = 49, 0, 1, 1, 1, alter_client_quotas::{AlterClientQuotasRequest, AlterClientQuotasResponse};
            DescribeUserScramCredentials = 50, 0, 0, 0, 0, describe_user_scram_credentials::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};
            AlterUserScramCredentials = 51, 0, 0, 0, 0, alter_user_scram_credentials::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};
            DescribeQuorum = 55, 0, 2, 2, 0, describe_quorum::{DescribeQuorumRequest, DescribeQuorumResponse};
            UpdateFeatures = 57, 0, 2, 2, 0, update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};
            DescribeCluster = 60, 0, 2, 2, 0, describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
            DescribeProducers = 61, 0, 0, 0, 0, describe_producers::{DescribeProducersRequest, DescribeProducersResponse};
            UnregisterBroker = 64, 0, 0, 0, 0, unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
            DescribeTransactions = 65, 0, 0, 0, 0, describe_transactions::{DescribeTransactionsRequest, DescribeTransactionsResponse};
            ListTransactions = 66, 0, 2, 2, 0, list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
            ConsumerGroupHeartbeat = 68, 0, 1, 1, 0, consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
            ConsumerGroupDescribe = 69, 0, 1, 1, 0, consumer_group_describe::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
            GetTelemetrySubscriptions = 71, 0, 0, 0, 0, get_telemetry_subscriptions::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};
            PushTelemetry = 72, 0, 0, 0, 0, push_telemetry::{PushTelemetryRequest, PushTelemetryResponse};
            ListConfigResources = 74, 0, 1, 1, 0, list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};
            DescribeTopicPartitions = 75, 0, 0, 0, 0, describe_topic_partitions::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
            ShareGroupHeartbeat = 76, 1, 1, 1, 0, share_group_heartbeat::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};
            ShareGroupDescribe = 77, 1, 1, 1, 0, share_group_describe::{ShareGroupDescribeRequest, ShareGroupDescribeResponse};
            ShareFetch = 78, 1, 2, 2, 0, share_fetch::{ShareFetchRequest, ShareFetchResponse};
            ShareAcknowledge = 79, 1, 2, 2, 0, share_acknowledge::{ShareAcknowledgeRequest, ShareAcknowledgeResponse};
            InitializeShareGroupState = 83, 0, 0, 0, 0, initialize_share_group_state::{InitializeShareGroupStateRequest, InitializeShareGroupStateResponse};
            ReadShareGroupState = 84, 0, 0, 0, 0, read_share_group_state::{ReadShareGroupStateRequest, ReadShareGroupStateResponse};
            WriteShareGroupState = 85, 0, 1, 1, 0, write_share_group_state::{WriteShareGroupStateRequest, WriteShareGroupStateResponse};
            DeleteShareGroupState = 86, 0, 0, 0, 0, delete_share_group_state::{DeleteShareGroupStateRequest, DeleteShareGroupStateResponse};
            ReadShareGroupStateSummary = 87, 0, 1, 1, 0, read_share_group_state_summary::{ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse};
            StreamsGroupHeartbeat = 88, 0, 1, 1, 0, streams_group_heartbeat::{StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse};
            StreamsGroupDescribe = 89, 0, 1, 1, 0, streams_group_describe::{StreamsGroupDescribeRequest, StreamsGroupDescribeResponse};
            DescribeShareGroupOffsets = 90, 0, 1, 1, 0, describe_share_group_offsets::{DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse};
            AlterShareGroupOffsets = 91, 0, 0, 0, 0, alter_share_group_offsets::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse};
            DeleteShareGroupOffsets = 92, 0, 0, 0, 0, delete_share_group_offsets::{DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse};
            StreamsGroupTopologyDescriptionUpdate = 93, 0, 0, 0, 0, streams_group_topology_description_update::{StreamsGroupTopologyDescriptionUpdateRequest, StreamsGroupTopologyDescriptionUpdateResponse};
            UnregisterController = 94, 0, 0, 0, 0, unregister_controller::{UnregisterControllerRequest, UnregisterControllerResponse};
        }
    };
}
