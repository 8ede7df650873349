//! One file per operation. Decoded on entry: check, call the broker once, shape the reply.

pub(crate) mod add_tags_to_stream;
pub(crate) mod create_stream;
pub(crate) mod decrease_stream_retention_period;
pub(crate) mod delete_stream;
pub(crate) mod describe_limits;
pub(crate) mod describe_stream;
pub(crate) mod describe_stream_summary;
pub(crate) mod get_records;
pub(crate) mod get_shard_iterator;
pub(crate) mod increase_stream_retention_period;
pub(crate) mod list_shards;
pub(crate) mod list_streams;
pub(crate) mod list_tags_for_resource;
pub(crate) mod list_tags_for_stream;
pub(crate) mod merge_shards;
pub(crate) mod put_record;
pub(crate) mod put_records;
pub(crate) mod remove_tags_from_stream;
mod shared;
pub(crate) mod split_shard;
pub(crate) mod tag_resource;
pub(crate) mod untag_resource;
pub(crate) mod update_shard_count;
