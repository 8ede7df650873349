//! What the service says, and in which of its errors: the broker's refusals, word for word as the service words its own.

use kolk_broker::shards::ShardsError;
use kolk_engine::state::Refusal;
use kolk_engine::{EngineError, ShardId};
use kolk_wire_kinesis::token::TokenError;
use kolk_wire_kinesis::{ErrorCode, ServiceError};

use crate::service::Service;

impl Service {
    fn account(&self) -> &str {
        &self.settings().account
    }

    pub(crate) fn stream_not_found(&self, stream: &str) -> ServiceError {
        let account = self.account();
        ServiceError::new(
            ErrorCode::ResourceNotFound,
            format!("Stream {stream} under account {account} not found."),
        )
    }

    /// Of operations that change shards. `shard` as the client wrote it, or as an id.
    pub(crate) fn could_not_find_shard(&self, shard: impl std::fmt::Display, stream: &str) -> ServiceError {
        let account = self.account();
        let text = format!("Could not find shard {shard} in stream {stream} under account {account}.");
        ServiceError::new(ErrorCode::ResourceNotFound, text)
    }

    /// Of operations that read shards.
    pub(crate) fn shard_does_not_exist(&self, shard: impl std::fmt::Display, stream: &str) -> ServiceError {
        let account = self.account();
        let text = format!("Shard {shard} in stream {stream} under account {account} does not exist");
        ServiceError::new(ErrorCode::ResourceNotFound, text)
    }

    /// The error of a broker call about `stream`.
    pub(crate) fn shards_error(&self, error: ShardsError, stream: &str) -> ServiceError {
        match error {
            ShardsError::UnknownStream => self.stream_not_found(stream),
            ShardsError::UnknownShard { shard } => self.could_not_find_shard(shard, stream),
            ShardsError::Engine(error) => engine_error(&error),
        }
    }

    /// The error of a broker call about a shard that is to be read.
    pub(crate) fn read_error(&self, error: ShardsError, stream: &str, shard: ShardId) -> ServiceError {
        match error {
            ShardsError::UnknownStream | ShardsError::UnknownShard { .. } => {
                self.shard_does_not_exist(shard, stream)
            }
            ShardsError::Engine(error) => engine_error(&error),
        }
    }

    /// Why a command about `stream` has no effect.
    pub(crate) fn refusal(&self, refusal: &Refusal, stream: &str) -> ServiceError {
        let account = self.account();
        let invalid = |text: String| ServiceError::new(ErrorCode::InvalidArgument, text);
        match refusal {
            Refusal::UnknownTopic => self.stream_not_found(stream),
            Refusal::TopicExists { name } => ServiceError::new(
                ErrorCode::ResourceInUse,
                format!("Stream {name} under account {account} already exists."),
            ),
            Refusal::InvalidTopicName { reason }
            | Refusal::InvalidPartitions { reason }
            | Refusal::InvalidConfig { reason } => invalid(reason.clone()),
            Refusal::PartitionLimit { requested, limit, scope } => {
                let region = &self.settings().region;
                let text = format!(
                    "This request would exceed the shard limit for the account {account} in {region}. \
                     Shards after this request: {requested}. Limit {scope}: {limit}."
                );
                ServiceError::new(ErrorCode::LimitExceeded, text)
            }
            Refusal::ReservedTopicName { .. } => invalid(refusal.to_string()),
            Refusal::ReshardForbidden { .. } => {
                invalid(format!("Stream {stream} under account {account}: {refusal}."))
            }
            Refusal::UnknownShard { shard } => self.could_not_find_shard(shard, stream),
            Refusal::ShardClosed { shard } => invalid(format!(
                "Shard {shard} in stream {stream} under account {account} has already been merged or split, and \
                 thus is not eligible for merging or splitting."
            )),
            Refusal::InvalidHashKey { .. } => {
                invalid(format!("Stream {stream} under account {account}: {refusal}."))
            }
            Refusal::NotAdjacent { first, second } => invalid(format!(
                "Shards {first} and {second} in stream {stream} under account {account} are not an adjacent pair \
                 of shards eligible for merging"
            )),
            Refusal::TooManyTags { limit, .. } => invalid(format!(
                "Failed to add tags to stream {stream} under account {account} because a given stream cannot have \
                 more than {limit} tags associated with it."
            )),
            Refusal::StateFull { .. } => ServiceError::new(ErrorCode::LimitExceeded, refusal.to_string()),
            Refusal::StorageFull => ServiceError::new(ErrorCode::InternalFailure, refusal.to_string()),
            Refusal::NotDeletable
            | Refusal::MembershipTooLarge { .. }
            | Refusal::OffsetOutOfRange { .. }
            | Refusal::UnknownGroup
            | Refusal::GroupNotEmpty
            | Refusal::UnknownMember
            | Refusal::IllegalGeneration { .. }
            | Refusal::MetadataTooLarge { .. } => {
                ServiceError::new(ErrorCode::InternalFailure, refusal.to_string())
            }
        }
    }
}

/// Why the log has no answer.
pub(crate) fn engine_error(error: &EngineError) -> ServiceError {
    let code = match error {
        EngineError::OutcomeUnknown(_) | EngineError::Read(_) => ErrorCode::InternalFailure,
        EngineError::Closed(_) => ErrorCode::ServiceUnavailable,
    };
    ServiceError::new(code, error.to_string())
}

/// Why a page token is not taken.
pub(crate) fn token_error(error: TokenError) -> ServiceError {
    match error {
        TokenError::Invalid => ServiceError::new(ErrorCode::InvalidArgument, "Invalid NextToken."),
        TokenError::Expired { .. } => {
            ServiceError::new(ErrorCode::ExpiredNextToken, "The NextToken has expired.")
        }
    }
}
