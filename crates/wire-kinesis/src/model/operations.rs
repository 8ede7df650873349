//! The 57 operations of the API, and for those we know whole, what goes in, what comes out and which errors they name.

use super::kinds::Kind;
use super::replies::*;
use super::requests::*;
use crate::error::ErrorCode::{self, *};

/// The version prefix of `X-Amz-Target`: `Kinesis_20131202.PutRecord`.
pub const TARGET_PREFIX: &str = "Kinesis_20131202";

/// A request of a known operation.
pub trait Request: Kind<Value = Self> + Sized {
    /// The operation it asks for.
    const OPERATION: Operation;
    /// What a success answers.
    type Reply: Kind<Value = Self::Reply>;
}

macro_rules! operations {
    ($( $name:ident $( ($input:ident -> $output:ident) [ $($error:ident),* ] )? ; )*) => {
        /// An operation of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation {
            $( #[doc = concat!("`", stringify!($name), "`.")] $name, )*
        }

        impl Operation {
            /// All of them, by name.
            pub const ALL: &'static [Operation] = &[ $( Operation::$name, )* ];

            /// As in `X-Amz-Target`.
            pub const fn name(self) -> &'static str {
                match self { $( Operation::$name => stringify!($name), )* }
            }

            /// The operation of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $( stringify!($name) => Some(Operation::$name), )*
                    _ => None,
                }
            }

            /// The errors the API reference lists for it; empty for those not modelled yet.
            pub const fn errors(self) -> &'static [ErrorCode] {
                match self { $( Operation::$name => &[ $( $($error),* )? ], )* }
            }
        }

        $( $(
            impl Request for $input {
                const OPERATION: Operation = Operation::$name;
                type Reply = $output;
            }
        )? )*
    };
}

operations! {
    AcknowledgeDeadLetterQueueRecords;
    AcknowledgeQueueRecords;
    AddTagsToStream (AddTagsToStreamInput -> Nothing)
        [ResourceNotFound, ResourceInUse, InvalidArgument, LimitExceeded, AccessDenied];
    CreateChannel;
    CreateQueue;
    CreateStream (CreateStreamInput -> Nothing) [ResourceInUse, LimitExceeded, InvalidArgument, Validation];
    DecreaseStreamRetentionPeriod (DecreaseStreamRetentionPeriodInput -> Nothing)
        [ResourceInUse, ResourceNotFound, LimitExceeded, InvalidArgument, AccessDenied];
    DeleteChannel;
    DeleteQueue;
    DeleteResourcePolicy;
    DeleteStream (DeleteStreamInput -> Nothing)
        [ResourceNotFound, LimitExceeded, ResourceInUse, InvalidArgument, AccessDenied];
    DeregisterStreamConsumer;
    DescribeAccountSettings;
    DescribeChannel;
    DescribeLimits (DescribeLimitsInput -> DescribeLimitsOutput) [LimitExceeded];
    DescribeQueue;
    DescribeStream (DescribeStreamInput -> DescribeStreamOutput)
        [ResourceNotFound, LimitExceeded, InvalidArgument, AccessDenied];
    DescribeStreamConsumer;
    DescribeStreamSummary (DescribeStreamSummaryInput -> DescribeStreamSummaryOutput)
        [ResourceNotFound, LimitExceeded, InvalidArgument, AccessDenied];
    DisableEnhancedMonitoring;
    EnableEnhancedMonitoring;
    GetRecords (GetRecordsInput -> GetRecordsOutput)
        [ResourceNotFound, InvalidArgument, ProvisionedThroughputExceeded, ExpiredIterator, KmsDisabled,
         KmsInvalidState, KmsAccessDenied, KmsNotFound, KmsOptInRequired, KmsThrottling, AccessDenied,
         InternalFailure, DryRunOperation];
    GetResourcePolicy;
    GetShardIterator (GetShardIteratorInput -> GetShardIteratorOutput)
        [ResourceNotFound, InvalidArgument, ProvisionedThroughputExceeded, AccessDenied, InternalFailure,
         DryRunOperation];
    IncreaseStreamRetentionPeriod (IncreaseStreamRetentionPeriodInput -> Nothing)
        [ResourceInUse, ResourceNotFound, LimitExceeded, InvalidArgument, AccessDenied];
    ListChannels;
    ListQueues;
    ListShards (ListShardsInput -> ListShardsOutput)
        [ResourceNotFound, InvalidArgument, LimitExceeded, ExpiredNextToken, ResourceInUse, AccessDenied];
    ListStreamConsumers;
    ListStreams (ListStreamsInput -> ListStreamsOutput) [LimitExceeded, ExpiredNextToken, InvalidArgument];
    ListTagsForResource (ListTagsForResourceInput -> ListTagsForResourceOutput)
        [Validation, ResourceNotFound, ResourceInUse, InvalidArgument, LimitExceeded, AccessDenied, InternalFailure];
    ListTagsForStream (ListTagsForStreamInput -> ListTagsForStreamOutput)
        [ResourceNotFound, InvalidArgument, LimitExceeded, AccessDenied];
    MergeShards (MergeShardsInput -> Nothing)
        [ResourceNotFound, ResourceInUse, InvalidArgument, LimitExceeded, Validation, AccessDenied];
    PutRecord (PutRecordInput -> PutRecordOutput)
        [ResourceNotFound, InvalidArgument, ProvisionedThroughputExceeded, KmsDisabled, KmsInvalidState,
         KmsAccessDenied, KmsNotFound, KmsOptInRequired, KmsThrottling, AccessDenied, InternalFailure,
         DryRunOperation];
    PutRecords (PutRecordsInput -> PutRecordsOutput)
        [ResourceNotFound, InvalidArgument, ProvisionedThroughputExceeded, KmsDisabled, KmsInvalidState,
         KmsAccessDenied, KmsNotFound, KmsOptInRequired, KmsThrottling, AccessDenied, InternalFailure,
         DryRunOperation];
    PutResourcePolicy;
    ReceiveDeadLetterQueueRecords;
    ReceiveQueueRecords;
    RegisterStreamConsumer;
    RemoveTagsFromStream (RemoveTagsFromStreamInput -> Nothing)
        [ResourceNotFound, ResourceInUse, InvalidArgument, LimitExceeded, AccessDenied];
    RestoreDeadLetterQueueRecords;
    SplitShard (SplitShardInput -> Nothing)
        [ResourceNotFound, ResourceInUse, InvalidArgument, LimitExceeded, Validation, AccessDenied];
    StartStreamEncryption;
    StopStreamEncryption;
    SubscribeToShard;
    TagResource (TagResourceInput -> Nothing)
        [Validation, ResourceNotFound, ResourceInUse, InvalidArgument, LimitExceeded, AccessDenied, InternalFailure];
    UntagResource (UntagResourceInput -> Nothing)
        [Validation, ResourceNotFound, ResourceInUse, InvalidArgument, LimitExceeded, AccessDenied, InternalFailure];
    UpdateAccountSettings;
    UpdateChannel;
    UpdateDeadLetterQueueRecordsVisibility;
    UpdateMaxRecordSize;
    UpdateQueue;
    UpdateQueueRecordsVisibility;
    UpdateShardCount (UpdateShardCountInput -> UpdateShardCountOutput)
        [InvalidArgument, LimitExceeded, ResourceInUse, ResourceNotFound, Validation, AccessDenied];
    UpdateStreamMode;
    UpdateStreamRecordDistributionStrategy;
    UpdateStreamWarmThroughput;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_has_57_operations_and_names_lead_back() {
        assert_eq!(Operation::ALL.len(), 57);
        for operation in Operation::ALL {
            assert_eq!(Operation::from_name(operation.name()), Some(*operation));
        }
        assert_eq!(Operation::from_name("putrecord"), None);
    }
}
