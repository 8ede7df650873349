//! From the broker's errors to Kafka's codes: one exhaustive match for each kind, no wildcard arm.

use kolk_broker::groups::GroupError;
use kolk_broker::partitions::BatchRefusal;
use kolk_engine::state::Refusal;
use kolk_engine::{AppendError, ReadError};
use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::records::RecordError;

/// What a refused append answers.
pub(crate) fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        // Only routed appends name a shard; Kafka's name a partition.
        AppendError::Resharded { .. } => ErrorCode::UnknownServerError,
        AppendError::Retired => ErrorCode::PolicyViolation,
        AppendError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::Keyless => ErrorCode::InvalidRecord,
        AppendError::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::StorageFull => ErrorCode::KafkaStorageError,
    }
}

/// What a batch that is refused before it is decided answers.
pub(crate) fn of_batch(refusal: &BatchRefusal) -> ErrorCode {
    match refusal {
        BatchRefusal::Malformed(error) => error.code(),
        BatchRefusal::Undecodable(error) => match error {
            // The checksum holds, so sending it again would not help.
            RecordError::Damaged { .. } | RecordError::Trailing(_) => ErrorCode::InvalidRecord,
            RecordError::Batch(error) => error.code(),
            RecordError::Compress(_) => ErrorCode::CorruptMessage,
        },
        BatchRefusal::ZstdTooEarly => ErrorCode::UnsupportedCompressionType,
        BatchRefusal::Transactional => ErrorCode::TransactionalIdAuthorizationFailed,
        BatchRefusal::Keyless(_) => ErrorCode::InvalidRecord,
        BatchRefusal::TooLarge { .. } => ErrorCode::MessageTooLarge,
        BatchRefusal::NoRoom => ErrorCode::KafkaStorageError,
    }
}

/// What a partition that cannot be read answers.
pub(crate) fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Unreadable { .. } => ErrorCode::KafkaStorageError,
    }
}

/// What a refused command answers.
pub(crate) fn of_refusal(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::InvalidTopicName { .. } | Refusal::ReservedTopicName { .. } => {
            ErrorCode::InvalidTopicException
        }
        Refusal::TopicExists { .. } => ErrorCode::TopicAlreadyExists,
        Refusal::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        Refusal::InvalidPartitions { .. } => ErrorCode::InvalidPartitions,
        Refusal::PartitionLimit { .. } => ErrorCode::InvalidPartitions,
        Refusal::InvalidConfig { .. } => ErrorCode::InvalidConfig,
        Refusal::ReshardForbidden { .. } => ErrorCode::InvalidPartitions,
        Refusal::UnknownShard { .. }
        | Refusal::ShardClosed { .. }
        | Refusal::InvalidHashKey { .. }
        | Refusal::NotAdjacent { .. }
        | Refusal::TooManyTags { .. } => ErrorCode::InvalidRequest,
        Refusal::NotDeletable => ErrorCode::PolicyViolation,
        Refusal::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        Refusal::UnknownGroup => ErrorCode::GroupIdNotFound,
        Refusal::GroupNotEmpty => ErrorCode::NonEmptyGroup,
        Refusal::UnknownMember => ErrorCode::UnknownMemberId,
        Refusal::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
        Refusal::MetadataTooLarge { .. } => ErrorCode::OffsetMetadataTooLarge,
        // What Kafka answers where a group's record is too large.
        Refusal::MembershipTooLarge { .. } => ErrorCode::UnknownServerError,
        Refusal::StateFull { .. } => ErrorCode::PolicyViolation,
        Refusal::StorageFull => ErrorCode::KafkaStorageError,
    }
}

/// What a refused group request answers.
pub(crate) fn of_group(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::UnknownMember => ErrorCode::UnknownMemberId,
        GroupError::MemberIdRequired { .. } => ErrorCode::MemberIdRequired,
        GroupError::FencedInstance => ErrorCode::FencedInstanceId,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::GroupFull => ErrorCode::GroupMaxSizeReached,
        GroupError::NotEmpty => ErrorCode::NonEmptyGroup,
        GroupError::UnknownGroup => ErrorCode::GroupIdNotFound,
        GroupError::SubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::NotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::Refused(refusal) => of_refusal(refusal),
    }
}
