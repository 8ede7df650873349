//! One file per API, headed by the versions it serves, what it does and what it does not.
//!
//! A handler gets a decoded request, calls the broker, shapes the reply. Produce alone is driven by the connection.

mod alter_configs;
mod api_versions;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_topic_partitions;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
pub(crate) mod produce;
mod sync_group;

use bytes::Bytes;
use kolk_broker::topics::TopicKey;
use kolk_broker::{Broker, Permit};
use kolk_engine::TopicId;
use kolk_wire_kafka::codec::Message;
use kolk_wire_kafka::frame::RequestHeader;
use kolk_wire_kafka::{ApiKey, ErrorCode, Str};
use uuid::Uuid;

use crate::connection::{Client, Close};
use crate::reply::Reply;
use crate::server::Shared;

/// Every partition's leader epoch: a topic has one leader for as long as it exists.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// Authorized operations when they were not asked for.
pub(crate) const OPERATIONS_UNASKED: i32 = i32::MIN;

/// What a handler knows beside the request.
pub(crate) struct Context<'a> {
    pub shared: &'a Shared,
    pub client: &'a Client,
    pub header: &'a RequestHeader,
}

impl<'a> Context<'a> {
    pub fn broker(&self) -> &'a Broker {
        &self.shared.broker
    }

    pub fn version(&self) -> i16 {
        self.header.api_version
    }

    /// Host and port by which this client shall find this broker.
    pub fn advertised(&self) -> (Str, i32) {
        match &self.client.advertise {
            Some(advertise) => (Str::from(&advertise.host), i32::from(advertise.port)),
            None => (Str::from(self.client.local.ip().to_string()), i32::from(self.client.local.port())),
        }
    }

    /// The answer to this request.
    pub fn reply<M: Message>(&self, body: &M) -> Result<Reply, Close> {
        let api = ApiKey::from_key(self.header.api_key).expect("only known APIs reach a handler");
        Ok(Reply::new(api, self.version(), self.header.correlation_id, body)?)
    }
}

/// Runs a request to its end. `permit` is what it holds of the byte budget.
pub(crate) async fn handle(
    shared: &Shared,
    client: &Client,
    api: ApiKey,
    header: &RequestHeader,
    body: Bytes,
    permit: Permit,
) -> Result<Reply, Close> {
    let context = Context { shared, client, header };
    macro_rules! answer {
        ($handler:path) => {{
            let request = Message::decode(body, header.api_version)?;
            // Boxed, or the largest handler's state would stand in every connection.
            let response = Box::pin($handler(&context, request)).await?;
            context.reply(&response)
        }};
    }
    match api {
        ApiKey::ApiVersions => api_versions::handle(&context, body),
        ApiKey::Fetch => {
            Box::pin(fetch::handle(&context, Message::decode(body, header.api_version)?, permit)).await
        }
        ApiKey::Metadata => answer!(metadata::handle),
        ApiKey::DescribeCluster => answer!(describe_cluster::handle),
        ApiKey::CreateTopics => answer!(create_topics::handle),
        ApiKey::ListOffsets => answer!(list_offsets::handle),
        ApiKey::CreatePartitions => answer!(create_partitions::handle),
        ApiKey::DeleteGroups => answer!(delete_groups::handle),
        ApiKey::DeleteRecords => answer!(delete_records::handle),
        ApiKey::DeleteTopics => answer!(delete_topics::handle),
        ApiKey::DescribeGroups => answer!(describe_groups::handle),
        ApiKey::DescribeLogDirs => answer!(describe_log_dirs::handle),
        ApiKey::DescribeTopicPartitions => answer!(describe_topic_partitions::handle),
        ApiKey::FindCoordinator => answer!(find_coordinator::handle),
        ApiKey::Heartbeat => answer!(heartbeat::handle),
        ApiKey::InitProducerId => answer!(init_producer_id::handle),
        ApiKey::JoinGroup => answer!(join_group::handle),
        ApiKey::LeaveGroup => answer!(leave_group::handle),
        ApiKey::ListGroups => answer!(list_groups::handle),
        ApiKey::OffsetCommit => answer!(offset_commit::handle),
        ApiKey::OffsetDelete => answer!(offset_delete::handle),
        ApiKey::OffsetFetch => answer!(offset_fetch::handle),
        ApiKey::OffsetForLeaderEpoch => answer!(offset_for_leader_epoch::handle),
        ApiKey::DescribeConfigs => answer!(describe_configs::handle),
        ApiKey::AlterConfigs => answer!(alter_configs::handle),
        ApiKey::IncrementalAlterConfigs => answer!(incremental_alter_configs::handle),
        ApiKey::SyncGroup => answer!(sync_group::handle),
        _ => Err(Close::NotServed { key: header.api_key, version: header.api_version }),
    }
}

/// A topic as a request names it: by id in versions that have ids, else by name.
pub(crate) fn topic_key(name: &Str, id: Uuid, by_id: bool) -> TopicKey<'_> {
    if by_id { TopicKey::Id(TopicId(id.as_u128())) } else { TopicKey::Name(name) }
}

/// An id on the wire.
pub(crate) fn wire_id(id: TopicId) -> Uuid {
    Uuid::from_u128(id.0)
}

/// Compares the leader epoch that a client believes in with ours (KIP-320); -1 is none.
pub(crate) fn check_leader_epoch(epoch: i32) -> Result<(), ErrorCode> {
    match epoch {
        -1 | LEADER_EPOCH => Ok(()),
        epoch if epoch > LEADER_EPOCH => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Err(ErrorCode::FencedLeaderEpoch),
    }
}
