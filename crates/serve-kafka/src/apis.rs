//! Which APIs are served in which versions: one table, from which ApiVersions answers and requests are checked.

use kolk_broker::Class;
use kolk_wire_kafka::ApiKey;
use kolk_wire_kafka::frame::RequestHeader;

use crate::connection::Close;

/// An API and the versions that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The API.
    pub api: ApiKey,
    /// First version.
    pub min: i16,
    /// Last version.
    pub max: i16,
}

const fn served(api: ApiKey, min: i16, max: i16) -> Served {
    Served { api, min, max }
}

/// Everything that is served, ascending by key. The versions are those of Kafka 4.4.
///
/// Produce is advertised from 0 as Kafka 4.x does, although 0 to 2 are refused: librdkafka compresses only if it sees
/// them (KAFKA-18659).
pub const SERVED: &[Served] = &[
    served(ApiKey::Produce, 0, 13),
    served(ApiKey::Fetch, 4, 18),
    served(ApiKey::ListOffsets, 1, 11),
    served(ApiKey::Metadata, 0, 13),
    served(ApiKey::OffsetCommit, 2, 10),
    served(ApiKey::OffsetFetch, 1, 10),
    served(ApiKey::FindCoordinator, 0, 6),
    served(ApiKey::JoinGroup, 0, 9),
    served(ApiKey::Heartbeat, 0, 4),
    served(ApiKey::LeaveGroup, 0, 5),
    served(ApiKey::SyncGroup, 0, 5),
    served(ApiKey::DescribeGroups, 0, 6),
    served(ApiKey::ListGroups, 0, 5),
    served(ApiKey::ApiVersions, 0, 5),
    served(ApiKey::CreateTopics, 2, 7),
    served(ApiKey::DeleteTopics, 1, 6),
    served(ApiKey::DeleteRecords, 0, 2),
    served(ApiKey::InitProducerId, 0, 5),
    served(ApiKey::OffsetForLeaderEpoch, 2, 4),
    served(ApiKey::DescribeConfigs, 1, 4),
    served(ApiKey::AlterConfigs, 0, 2),
    served(ApiKey::DescribeLogDirs, 1, 5),
    served(ApiKey::CreatePartitions, 0, 3),
    served(ApiKey::DeleteGroups, 0, 3),
    served(ApiKey::IncrementalAlterConfigs, 0, 1),
    served(ApiKey::OffsetDelete, 0, 0),
    served(ApiKey::DescribeCluster, 0, 2),
    served(ApiKey::DescribeTopicPartitions, 0, 0),
];

/// The served versions of an API.
pub fn find(key: i16) -> Option<Served> {
    SERVED.binary_search_by_key(&key, |served| served.api.key()).ok().map(|index| SERVED[index])
}

/// The place of an API in [`SERVED`], by which its numbers are counted; `None` if it is not served.
pub(crate) fn place(api: ApiKey) -> Option<usize> {
    SERVED.binary_search_by_key(&api.key(), |served| served.api.key()).ok()
}

/// The place of Produce, which pipelines.
pub(crate) const PRODUCE: usize = 0;

/// How a request is to be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// By the connection itself: Produce pipelines.
    Produce,
    /// By a handler that runs to its end before the next request is taken.
    Other(ApiKey),
}

/// Who serves a request, or that its connection is to be closed because nobody does.
pub(crate) fn service(header: &RequestHeader) -> Result<Service, Close> {
    let (key, version) = (header.api_key, header.api_version);
    let Some(served) = find(key) else { return Err(Close::NotServed { key, version }) };
    let is_served = served.min <= version && version <= served.max;
    match served.api {
        ApiKey::Produce if is_served => Ok(Service::Produce),
        // A client asks with the newest version it knows; the answer tells it ours (KIP-511).
        ApiKey::ApiVersions => Ok(Service::Other(ApiKey::ApiVersions)),
        api if is_served => Ok(Service::Other(api)),
        _ => Err(Close::NotServed { key, version }),
    }
}

/// Which part of the byte budget a request of this API may use.
pub(crate) fn class(key: i16) -> Class {
    match ApiKey::from_key(key) {
        Some(
            ApiKey::ApiVersions
            | ApiKey::Metadata
            | ApiKey::FindCoordinator
            | ApiKey::Heartbeat
            | ApiKey::JoinGroup
            | ApiKey::SyncGroup
            | ApiKey::LeaveGroup
            | ApiKey::OffsetCommit
            | ApiKey::OffsetFetch,
        ) => Class::Control,
        _ => Class::Data,
    }
}

/// Whether an answer may take long: it waits for what other clients do, for as long as this one likes, or looks through
/// batches partition by partition. Nobody works on for a client that is gone.
pub(crate) fn takes_long(api: ApiKey) -> bool {
    matches!(api, ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup | ApiKey::ListOffsets)
}

/// Whether asking twice changes nothing: an answer that there is no room for yet may be dropped and made again.
pub(crate) fn is_repeatable(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::ApiVersions
            | ApiKey::Metadata
            | ApiKey::ListOffsets
            | ApiKey::OffsetFetch
            | ApiKey::OffsetForLeaderEpoch
            | ApiKey::DescribeCluster
            | ApiKey::DescribeConfigs
            | ApiKey::DescribeGroups
            | ApiKey::DescribeLogDirs
            | ApiKey::DescribeTopicPartitions
            | ApiKey::ListGroups
            | ApiKey::FindCoordinator
    )
}

/// Whether an answer is collected name by name, waiting in between, from things that may each be large.
pub(crate) fn is_heavy(api: ApiKey) -> bool {
    matches!(api, ApiKey::DescribeConfigs | ApiKey::DescribeGroups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_within_what_the_codec_knows() {
        assert_eq!(place(ApiKey::Produce), Some(PRODUCE));
        assert!(SERVED.windows(2).all(|pair| pair[0].api.key() < pair[1].api.key()));
        for served in SERVED {
            assert!(served.api.knows(served.min) && served.api.knows(served.max), "{served:?}");
            assert_eq!(served.max, served.api.max_version(), "{served:?}");
        }
    }
}
