//! What the service answers.

use super::kinds::{Blob, Boolean, Enumeration, Integer, List, Long, Text, Timestamp};
use super::requests::{RecordDistributionStrategy, StreamModeDetails};
use super::{enumerations, member_required, member_type, member_value, member_write, structures};

enumerations! {
    /// What a stream is doing.
    StreamStatus {
        Creating = "CREATING",
        Deleting = "DELETING",
        Active = "ACTIVE",
        Updating = "UPDATING",
    }
    /// Encryption at rest.
    EncryptionType {
        None = "NONE",
        Kms = "KMS",
    }
}

structures! {
    /// Operations that answer with an empty body.
    Nothing {}

    /// Of DescribeLimits.
    DescribeLimitsOutput {
        ShardLimit               shard_limit:                  required Integer;
        OpenShardCount           open_shard_count:             required Integer;
        OnDemandStreamCount      on_demand_stream_count:       required Integer;
        OnDemandStreamCountLimit on_demand_stream_count_limit: required Integer;
    }

    /// Of DescribeStream.
    DescribeStreamOutput {
        StreamDescription stream_description: required StreamDescription;
    }

    /// A stream with a page of its shards.
    StreamDescription {
        EncryptionType          encryption_type:           optional Enumeration<EncryptionType>;
        EnhancedMonitoring      enhanced_monitoring:       required List<EnhancedMetrics>;
        HasMoreShards           has_more_shards:           required Boolean;
        KeyId                   key_id:                    optional Text;
        RetentionPeriodHours    retention_period_hours:    required Integer;
        Shards                  shards:                    required List<Shard>;
        StreamARN               stream_arn:                required Text;
        StreamCreationTimestamp stream_creation_timestamp: required Timestamp;
        StreamModeDetails       stream_mode_details:       optional StreamModeDetails;
        StreamName              stream_name:               required Text;
        StreamStatus            stream_status:             required Enumeration<StreamStatus>;
    }

    /// Metrics switched on; none of them is kept here.
    EnhancedMetrics {
        ShardLevelMetrics shard_level_metrics: required List<Text>;
    }

    /// A shard with its lineage. The last three members are ours, and only there for a request with KolkPlaces: which
    /// offsets of which partition of the topic the shard is.
    Shard {
        AdjacentParentShardId adjacent_parent_shard_id: optional Text;
        HashKeyRange          hash_key_range:           required HashKeyRange;
        ParentShardId         parent_shard_id:          optional Text;
        SequenceNumberRange   sequence_number_range:    required SequenceNumberRange;
        ShardId               shard_id:                 required Text;
        KolkPartition         kolk_partition:           optional Integer;
        KolkFirstOffset       kolk_first_offset:        optional Long;
        KolkEndOffset         kolk_end_offset:          optional Long;
    }

    /// First and last hash key, both inclusive.
    HashKeyRange {
        EndingHashKey   ending_hash_key:   required Text;
        StartingHashKey starting_hash_key: required Text;
    }

    /// First and, once closed, last sequence number.
    SequenceNumberRange {
        EndingSequenceNumber   ending_sequence_number:   optional Text;
        StartingSequenceNumber starting_sequence_number: required Text;
    }

    /// Of DescribeStreamSummary. StreamId is never among it: SDKs that learn one leave the endpoint they were given.
    DescribeStreamSummaryOutput {
        StreamDescriptionSummary stream_description_summary: required StreamDescriptionSummary;
    }

    /// A stream without its shards.
    StreamDescriptionSummary {
        ConsumerCount              consumer_count:               optional Integer;
        EncryptionType             encryption_type:              optional Enumeration<EncryptionType>;
        EnhancedMonitoring         enhanced_monitoring:          required List<EnhancedMetrics>;
        KeyId                      key_id:                       optional Text;
        MaxRecordSizeInKiB         max_record_size_in_kib:       optional Integer;
        OpenShardCount             open_shard_count:             required Integer;
        RecordDistributionStrategy record_distribution_strategy: optional Enumeration<RecordDistributionStrategy>;
        RetentionPeriodHours       retention_period_hours:       required Integer;
        StreamARN                  stream_arn:                   required Text;
        StreamCreationTimestamp    stream_creation_timestamp:    required Timestamp;
        StreamModeDetails          stream_mode_details:          optional StreamModeDetails;
        StreamName                 stream_name:                  required Text;
        StreamStatus               stream_status:                required Enumeration<StreamStatus>;
    }

    /// Of GetRecords. At the end of a shard NextShardIterator is absent and ChildShards there; never one without the
    /// other.
    GetRecordsOutput {
        ChildShards        child_shards:         optional List<ChildShard>;
        MillisBehindLatest millis_behind_latest: optional Long;
        NextShardIterator  next_shard_iterator:  optional Text;
        Records            records:              required List<Record>;
    }

    /// A record as read.
    Record {
        ApproximateArrivalTimestamp approximate_arrival_timestamp: optional Timestamp;
        Data                        data:                          required Blob;
        EncryptionType              encryption_type:               optional Enumeration<EncryptionType>;
        PartitionKey                partition_key:                 optional Text;
        SequenceNumber              sequence_number:               required Text;
    }

    /// A shard that goes on where another ended.
    ChildShard {
        HashKeyRange hash_key_range: required HashKeyRange;
        ParentShards parent_shards:  required List<Text>;
        ShardId      shard_id:       required Text;
    }

    /// Of GetShardIterator.
    GetShardIteratorOutput {
        ShardIterator shard_iterator: optional Text;
    }

    /// Of ListShards.
    ListShardsOutput {
        NextToken next_token: optional Text;
        Shards    shards:     optional List<Shard>;
    }

    /// Of ListStreams.
    ListStreamsOutput {
        HasMoreStreams  has_more_streams: required Boolean;
        NextToken       next_token:       optional Text;
        StreamNames     stream_names:     required List<Text>;
        StreamSummaries stream_summaries: optional List<StreamSummary>;
    }

    /// A stream in one line.
    StreamSummary {
        StreamARN               stream_arn:                required Text;
        StreamCreationTimestamp stream_creation_timestamp: optional Timestamp;
        StreamModeDetails       stream_mode_details:       optional StreamModeDetails;
        StreamName              stream_name:               required Text;
        StreamStatus            stream_status:             required Enumeration<StreamStatus>;
    }

    /// Of ListTagsForResource.
    ListTagsForResourceOutput {
        Tags tags: optional List<Tag>;
    }

    /// Of ListTagsForStream.
    ListTagsForStreamOutput {
        HasMoreTags has_more_tags: required Boolean;
        Tags        tags:          required List<Tag>;
    }

    /// A tag.
    Tag {
        Key   key:   required Text;
        Value value: optional Text;
    }

    /// Of PutRecord.
    PutRecordOutput {
        EncryptionType encryption_type: optional Enumeration<EncryptionType>;
        SequenceNumber sequence_number: required Text;
        ShardId        shard_id:        required Text;
    }

    /// Of PutRecords: a result for each record, in the order of the request.
    PutRecordsOutput {
        EncryptionType    encryption_type:     optional Enumeration<EncryptionType>;
        FailedRecordCount failed_record_count: optional Integer;
        Records           records:             required List<PutRecordsResultEntry>;
    }

    /// Shard and sequence number, or error code and message.
    PutRecordsResultEntry {
        ErrorCode      error_code:      optional Text;
        ErrorMessage   error_message:   optional Text;
        SequenceNumber sequence_number: optional Text;
        ShardId        shard_id:        optional Text;
    }

    /// Of UpdateShardCount.
    UpdateShardCountOutput {
        CurrentShardCount  current_shard_count:  optional Integer;
        StreamARN          stream_arn:           optional Text;
        StreamName         stream_name:          optional Text;
        TargetShardCount   target_shard_count:   optional Integer;
    }
}
