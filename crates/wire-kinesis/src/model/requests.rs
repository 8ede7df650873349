//! What clients send.

use super::constraints::Pattern;
use super::constraints::Rule::{self, ItemLength, KeyLength, Length, Value, ValueLength};
use super::kinds::{Blob, Boolean, Enumeration, Integer, List, Text, TextMap, Timestamp};
use super::{enumerations, member_required, member_type, member_value, member_write, structures};

const NAME: &[Rule] = &[Rule::Pattern(Pattern::Name), Length(1, 128)];
const STREAM_ARN: &[Rule] = &[Rule::Pattern(Pattern::StreamArn), Length(1, 2048)];
const RESOURCE_ARN: &[Rule] = &[Rule::Pattern(Pattern::ResourceArn), Length(1, 2048)];
const STREAM_ID: &[Rule] = &[Rule::Pattern(Pattern::StreamId), Length(1, 24)];
const HASH_KEY: &[Rule] = &[Rule::Pattern(Pattern::HashKey)];
const SEQUENCE_NUMBER: &[Rule] = &[Rule::Pattern(Pattern::SequenceNumber)];
const PARTITION_KEY: &[Rule] = &[Length(1, 256)];
const DATA: &[Rule] = &[Length(0, 10 * 1024 * 1024)];
const RECORDS: &[Rule] = &[Length(1, 500)];
const SHARD_ITERATOR: &[Rule] = &[Length(1, 512)];
const NEXT_TOKEN: &[Rule] = &[Length(1, 1024 * 1024)];
const PAGE: &[Rule] = &[Value(1, 10_000)];
const POSITIVE: &[Rule] = &[Value(1, i32::MAX as i64)];
const NATURAL: &[Rule] = &[Value(0, i32::MAX as i64)];
const RECORD_SIZE: &[Rule] = &[Value(1024, 10_240)];
const TAGS: &[Rule] = &[Length(1, 200), KeyLength(1, 128), ValueLength(0, 256)];
const TAG_KEYS: &[Rule] = &[Length(1, 50), ItemLength(1, 128)];
const TAG_KEY: &[Rule] = &[Length(1, 128)];
const TAG_PAGE: &[Rule] = &[Value(1, 50)];

enumerations! {
    /// Where a shard iterator begins.
    ShardIteratorType {
        AfterSequenceNumber = "AFTER_SEQUENCE_NUMBER",
        Latest = "LATEST",
        AtTimestamp = "AT_TIMESTAMP",
        AtSequenceNumber = "AT_SEQUENCE_NUMBER",
        TrimHorizon = "TRIM_HORIZON",
    }
    /// Which shards ListShards lists.
    ShardFilterType {
        AfterShardId = "AFTER_SHARD_ID",
        AtTrimHorizon = "AT_TRIM_HORIZON",
        FromTrimHorizon = "FROM_TRIM_HORIZON",
        AtLatest = "AT_LATEST",
        AtTimestamp = "AT_TIMESTAMP",
        FromTimestamp = "FROM_TIMESTAMP",
    }
    /// Who decides on the number of shards.
    StreamMode {
        Provisioned = "PROVISIONED",
        OnDemand = "ON_DEMAND",
    }
    /// How UpdateShardCount cuts.
    ScalingType {
        UniformScaling = "UNIFORM_SCALING",
    }
    /// Who chooses the shard of a record.
    RecordDistributionStrategy {
        Auto = "AUTO",
        UserPartitionKey = "USER_PARTITION_KEY",
    }
}

structures! {
    /// Tags of a stream, by its name.
    AddTagsToStreamInput {
        Tags       tags:        required TextMap, TAGS;
        StreamName stream_name: optional Text,    NAME;
        StreamARN  stream_arn:  optional Text,    STREAM_ARN;
        StreamId   stream_id:   optional Text,    STREAM_ID;
    }

    /// A new stream.
    CreateStreamInput {
        ShardCount                 shard_count:                  optional Integer, POSITIVE;
        StreamName                 stream_name:                  required Text,    NAME;
        StreamModeDetails          stream_mode_details:          optional StreamModeDetails;
        Tags                       tags:                         optional TextMap, TAGS;
        WarmThroughputMiBps        warm_throughput_mibps:        optional Integer, NATURAL;
        MaxRecordSizeInKiB         max_record_size_in_kib:       optional Integer, RECORD_SIZE;
        RecordDistributionStrategy record_distribution_strategy: optional Enumeration<RecordDistributionStrategy>;
    }

    /// Provisioned or on demand.
    StreamModeDetails {
        StreamMode stream_mode: required Enumeration<StreamMode>;
    }

    /// A shorter retention.
    DecreaseStreamRetentionPeriodInput {
        RetentionPeriodHours retention_period_hours: required Integer, POSITIVE;
        StreamName           stream_name:            optional Text,    NAME;
        StreamARN            stream_arn:             optional Text,    STREAM_ARN;
        StreamId             stream_id:              optional Text,    STREAM_ID;
    }

    /// The end of a stream.
    DeleteStreamInput {
        StreamName              stream_name:               optional Text,    NAME;
        EnforceConsumerDeletion enforce_consumer_deletion: optional Boolean;
        StreamARN               stream_arn:                optional Text,    STREAM_ARN;
        StreamId                stream_id:                 optional Text,    STREAM_ID;
    }

    /// The account's limits.
    DescribeLimitsInput {}

    /// A stream with its shards.
    DescribeStreamInput {
        Limit                 limit:                    optional Integer, PAGE;
        ExclusiveStartShardId exclusive_start_shard_id: optional Text,    NAME;
        StreamName            stream_name:              optional Text,    NAME;
        StreamARN             stream_arn:               optional Text,    STREAM_ARN;
        StreamId              stream_id:                optional Text,    STREAM_ID;
    }

    /// A stream without its shards.
    DescribeStreamSummaryInput {
        StreamName stream_name: optional Text, NAME;
        StreamARN  stream_arn:  optional Text, STREAM_ARN;
        StreamId   stream_id:   optional Text, STREAM_ID;
    }

    /// A page of records.
    GetRecordsInput {
        Limit         limit:          optional Integer, PAGE;
        ShardIterator shard_iterator: required Text,    SHARD_ITERATOR;
        StreamARN     stream_arn:     optional Text,    STREAM_ARN;
        StreamId      stream_id:      optional Text,    STREAM_ID;
        DryRun        dry_run:        optional Boolean;
    }

    /// A position to read from.
    GetShardIteratorInput {
        ShardId                shard_id:                 required Text, NAME;
        ShardIteratorType      shard_iterator_type:      required Enumeration<ShardIteratorType>;
        StartingSequenceNumber starting_sequence_number: optional Text, SEQUENCE_NUMBER;
        StreamName             stream_name:              optional Text, NAME;
        Timestamp              timestamp:                optional Timestamp;
        StreamARN              stream_arn:               optional Text, STREAM_ARN;
        StreamId               stream_id:                optional Text, STREAM_ID;
        DryRun                 dry_run:                  optional Boolean;
    }

    /// A longer retention.
    IncreaseStreamRetentionPeriodInput {
        RetentionPeriodHours retention_period_hours: required Integer, POSITIVE;
        StreamName           stream_name:            optional Text,    NAME;
        StreamARN            stream_arn:             optional Text,    STREAM_ARN;
        StreamId             stream_id:              optional Text,    STREAM_ID;
    }

    /// A page of shards.
    ListShardsInput {
        ExclusiveStartShardId   exclusive_start_shard_id:  optional Text,    NAME;
        MaxResults              max_results:               optional Integer, PAGE;
        NextToken               next_token:                optional Text,    NEXT_TOKEN;
        StreamCreationTimestamp stream_creation_timestamp: optional Timestamp;
        StreamName              stream_name:               optional Text,    NAME;
        ShardFilter             shard_filter:              optional ShardFilter;
        StreamARN               stream_arn:                optional Text,    STREAM_ARN;
        StreamId                stream_id:                 optional Text,    STREAM_ID;
        KolkPlaces              kolk_places:               optional Boolean;
    }

    /// Which shards, and as of when or after which.
    ShardFilter {
        Type      filter_type: required Enumeration<ShardFilterType>;
        ShardId   shard_id:    optional Text, NAME;
        Timestamp timestamp:   optional Timestamp;
    }

    /// A page of streams.
    ListStreamsInput {
        Limit                    limit:                       optional Integer, PAGE;
        ExclusiveStartStreamName exclusive_start_stream_name: optional Text,    NAME;
        NextToken                next_token:                  optional Text,    NEXT_TOKEN;
    }

    /// Tags of a stream, consumer or queue, by its ARN.
    ListTagsForResourceInput {
        ResourceARN resource_arn: required Text, RESOURCE_ARN;
        StreamId    stream_id:    optional Text, STREAM_ID;
    }

    /// A page of a stream's tags.
    ListTagsForStreamInput {
        Limit                limit:                   optional Integer, TAG_PAGE;
        ExclusiveStartTagKey exclusive_start_tag_key: optional Text,    TAG_KEY;
        StreamName           stream_name:             optional Text,    NAME;
        StreamARN            stream_arn:              optional Text,    STREAM_ARN;
        StreamId             stream_id:               optional Text,    STREAM_ID;
    }

    /// One shard out of two neighbours.
    MergeShardsInput {
        ShardToMerge         shard_to_merge:          required Text, NAME;
        AdjacentShardToMerge adjacent_shard_to_merge: required Text, NAME;
        StreamName           stream_name:             optional Text, NAME;
        StreamARN            stream_arn:              optional Text, STREAM_ARN;
        StreamId             stream_id:               optional Text, STREAM_ID;
    }

    /// One record.
    PutRecordInput {
        SequenceNumberForOrdering sequence_number_for_ordering: optional Text, SEQUENCE_NUMBER;
        PartitionKey              partition_key:                optional Text, PARTITION_KEY;
        ExplicitHashKey           explicit_hash_key:            optional Text, HASH_KEY;
        Data                      data:                         required Blob, DATA;
        StreamName                stream_name:                  optional Text, NAME;
        StreamARN                 stream_arn:                   optional Text, STREAM_ARN;
        StreamId                  stream_id:                    optional Text, STREAM_ID;
        DryRun                    dry_run:                      optional Boolean;
    }

    /// Up to 500 records.
    PutRecordsInput {
        Records    records:     required List<PutRecordsRequestEntry>, RECORDS;
        StreamName stream_name: optional Text, NAME;
        StreamARN  stream_arn:  optional Text, STREAM_ARN;
        StreamId   stream_id:   optional Text, STREAM_ID;
        DryRun     dry_run:     optional Boolean;
    }

    /// One record of PutRecords.
    PutRecordsRequestEntry {
        PartitionKey    partition_key:     optional Text, PARTITION_KEY;
        ExplicitHashKey explicit_hash_key: optional Text, HASH_KEY;
        Data            data:              required Blob, DATA;
    }

    /// Tags to forget, by the stream's name.
    RemoveTagsFromStreamInput {
        TagKeys    tag_keys:    required List<Text>, TAG_KEYS;
        StreamName stream_name: optional Text, NAME;
        StreamARN  stream_arn:  optional Text, STREAM_ARN;
        StreamId   stream_id:   optional Text, STREAM_ID;
    }

    /// Two shards out of one.
    SplitShardInput {
        NewStartingHashKey new_starting_hash_key: required Text, HASH_KEY;
        StreamName         stream_name:           optional Text, NAME;
        ShardToSplit       shard_to_split:        required Text, NAME;
        StreamARN          stream_arn:            optional Text, STREAM_ARN;
        StreamId           stream_id:             optional Text, STREAM_ID;
    }

    /// Tags of a stream, consumer or queue, by its ARN.
    TagResourceInput {
        Tags        tags:         required TextMap, TAGS;
        ResourceARN resource_arn: required Text,    RESOURCE_ARN;
        StreamId    stream_id:    optional Text,    STREAM_ID;
    }

    /// Tags to forget, by an ARN.
    UntagResourceInput {
        TagKeys     tag_keys:     required List<Text>, TAG_KEYS;
        ResourceARN resource_arn: required Text, RESOURCE_ARN;
        StreamId    stream_id:    optional Text, STREAM_ID;
    }

    /// Another number of shards.
    UpdateShardCountInput {
        TargetShardCount target_shard_count: required Integer, POSITIVE;
        ScalingType      scaling_type:       required Enumeration<ScalingType>;
        StreamName       stream_name:        optional Text, NAME;
        StreamARN        stream_arn:         optional Text, STREAM_ARN;
        StreamId         stream_id:          optional Text, STREAM_ID;
    }
}
