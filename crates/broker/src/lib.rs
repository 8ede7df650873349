//! What an operation means: topics, partitions, shards, groups, admission.
