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
/// first flexible version, module;`.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_api {
    ($m:ident) => {
        $m! {
            Produce = 0, 0, 13, 13, 9, produce;
            Fetch = 1, 0, 18, 18, 12, fetch;
            ListOffsets = 2, 0, 11, 11, 6, list_offsets;
            Metadata = 3, 0, 13, 13, 9, metadata;
            OffsetCommit = 8, 0, 10, 10, 8, offset_commit;
            OffsetFetch = 9, 0, 10, 10, 6, offset_fetch;
            FindCoordinator = 10, 0, 6, 6, 3, find_coordinator;
            JoinGroup = 11, 0, 9, 9, 6, join_group;
            Heartbeat = 12, 0, 4, 4, 4, heartbeat;
            LeaveGroup = 13, 0, 5, 5, 4, leave_group;
            SyncGroup = 14, 0, 5, 5, 4, sync_group;
            DescribeGroups = 15, 0, 6, 6, 5, describe_groups;
            ListGroups = 16, 0, 5, 5, 3, list_groups;
            SaslHandshake = 17, 0, 1, 1, i16::MAX, sasl_handshake;
            ApiVersions = 18, 0, 5, 5, 3, api_versions;
            CreateTopics = 19, 0, 7, 7, 5, create_topics;
            DeleteTopics = 20, 0, 6, 6, 4, delete_topics;
            DeleteRecords = 21, 0, 2, 2, 2, delete_records;
            InitProducerId = 22, 0, 6, 5, 2, init_producer_id;
            OffsetForLeaderEpoch = 23, 0, 4, 4, 4, offset_for_leader_epoch;
            AddPartitionsToTxn = 24, 0, 5, 5, 3, add_partitions_to_txn;
            AddOffsetsToTxn = 25, 0, 4, 4, 3, add_offsets_to_txn;
            EndTxn = 26, 0, 5, 5, 3, end_txn;
            WriteTxnMarkers = 27, 0, 2, 2, 1, write_txn_markers;
            TxnOffsetCommit = 28, 0, 6, 6, 3, txn_offset_commit;
            DescribeAcls = 29, 0, 3, 3, 2, describe_acls;
            CreateAcls = 30, 0, 3, 3, 2, create_acls;
            DeleteAcls = 31, 0, 3, 3, 2, delete_acls;
            DescribeConfigs = 32, 0, 4, 4, 4, describe_configs;
            AlterConfigs = 33, 0, 2, 2, 2, alter_configs;
            AlterReplicaLogDirs = 34, 0, 2, 2, 2, alter_replica_log_dirs;
            DescribeLogDirs = 35, 0, 5, 5, 2, describe_log_dirs;
            SaslAuthenticate = 36, 0, 2, 2, 2, sasl_authenticate;
            CreatePartitions = 37, 0, 3, 3, 2, create_partitions;
            CreateDelegationToken = 38, 0, 3, 3, 2, create_delegation_token;
            RenewDelegationToken = 39, 0, 2, 2, 2, renew_delegation_token;
            ExpireDelegationToken = 40, 0, 2, 2, 2, expire_delegation_token;
            DescribeDelegationToken = 41, 0, 3, 3, 2, describe_delegation_token;
            DeleteGroups = 42, 0, 3, 3, 2, delete_groups;
            ElectLeaders = 43, 0, 2, 2, 2, elect_leaders;
            IncrementalAlterConfigs = 44, 0, 1, 1, 1, incremental_alter_configs;
            AlterPartitionReassignments = 45, 0, 1, 1, 0, alter_partition_reassignments;
            ListPartitionReassignments = 46, 0, 0, 0, 0, list_partition_reassignments;
            OffsetDelete = 47, 0, 0, 0, i16::MAX, offset_delete;
            DescribeClientQuotas = 48, 0, 1, 1, 1, describe_client_quotas;
            AlterClientQuotas = 49, 0, 1, 1, 1, alter_client_quotas;
            DescribeUserScramCredentials = 50, 0, 0, 0, 0, describe_user_scram_credentials;
            AlterUserScramCredentials = 51, 0, 0, 0, 0, alter_user_scram_credentials;
            DescribeQuorum = 55, 0, 2, 2, 0, describe_quorum;
            UpdateFeatures = 57, 0, 2, 2, 0, update_features;
            DescribeCluster = 60, 0, 2, 2, 0, describe_cluster;
            DescribeProducers = 61, 0, 0, 0, 0, describe_producers;
            UnregisterBroker = 64, 0, 0, 0, 0, unregister_broker;
            DescribeTransactions = 65, 0, 0, 0, 0, describe_transactions;
            ListTransactions = 66, 0, 2, 2, 0, list_transactions;
            ConsumerGroupHeartbeat = 68, 0, 1, 1, 0, consumer_group_heartbeat;
            ConsumerGroupDescribe = 69, 0, 1, 1, 0, consumer_group_describe;
            GetTelemetrySubscriptions = 71, 0, 0, 0, 0, get_telemetry_subscriptions;
            PushTelemetry = 72, 0, 0, 0, 0, push_telemetry;
            ListConfigResources = 74, 0, 1, 1, 0, list_config_resources;
            DescribeTopicPartitions = 75, 0, 0, 0, 0, describe_topic_partitions;
            ShareGroupHeartbeat = 76, 1, 1, 1, 0, share_group_heartbeat;
            ShareGroupDescribe = 77, 1, 1, 1, 0, share_group_describe;
            ShareFetch = 78, 1, 2, 2, 0, share_fetch;
            ShareAcknowledge = 79, 1, 2, 2, 0, share_acknowledge;
            InitializeShareGroupState = 83, 0, 0, 0, 0, initialize_share_group_state;
            ReadShareGroupState = 84, 0, 0, 0, 0, read_share_group_state;
            WriteShareGroupState = 85, 0, 1, 1, 0, write_share_group_state;
            DeleteShareGroupState = 86, 0, 0, 0, 0, delete_share_group_state;
            ReadShareGroupStateSummary = 87, 0, 1, 1, 0, read_share_group_state_summary;
            StreamsGroupHeartbeat = 88, 0, 1, 1, 0, streams_group_heartbeat;
            StreamsGroupDescribe = 89, 0, 1, 1, 0, streams_group_describe;
            DescribeShareGroupOffsets = 90, 0, 1, 1, 0, describe_share_group_offsets;
            AlterShareGroupOffsets = 91, 0, 0, 0, 0, alter_share_group_offsets;
            DeleteShareGroupOffsets = 92, 0, 0, 0, 0, delete_share_group_offsets;
            StreamsGroupTopologyDescriptionUpdate = 93, 0, 0, 0, 0, streams_group_topology_description_update;
            UnregisterController = 94, 0, 0, 0, 0, unregister_controller;
        }
    };
}
