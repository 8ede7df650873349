//! What differs and is meant to, with the reason; `docs/differences.md` says the same to users where they can meet it.

/// A question, `*` standing for anything, and why its answers differ.
pub struct Known(pub &'static str, pub &'static str);

/// All of it.
pub static KNOWN: &[Known] = &[
    Known("CreateTopics 7: only checked*", "no id is given to a topic that is not made"),
    Known("CreateTopics 7: named \"__consumer_offsets\"", "Kolk has no such topic and does not pretend so"),
    Known("CreateTopics 7: with message.format.version*", "removed in 4.0; old tools send it"),
    Known("CreateTopics 7: with message.downconversion.enable*", "removed in 4.0; old tools send it"),
    Known("IncrementalAlterConfigs 1: 30: message.format.version*", "removed in 4.0; old tools send it"),
    Known("CreateTopics 7: 20,000 partitions", "the limit is another, and a setting"),
    Known("CreatePartitions 3: 2147483647", "the limit is another, and a setting"),
    Known("CreatePartitions 3: 10001", "the limit is another, and a setting"),
    Known("CreatePartitions 3: 20000", "the limit is another, and a setting"),
    Known("Metadata *: made on first sight", "there in the same answer instead of after a retry"),
    Known("Metadata 12: names that collide, to be made", "refused in the same answer instead of never made"),
    Known("Metadata *: by no id and no name", "an unknown id instead of a server error"),
    Known("Metadata *: by id and by name", "both are told; Kafka leaves the named ones out"),
    Known("DescribeTopicPartitions 0: named \"\"*", "an invalid name instead of a server error"),
    Known("DescribeLogDirs *", "the size of the file system is not told"),
    Known(
        "DescribeGroups *: [\"live\", \"live\"]",
        "told once, or a large group would be told a thousand times",
    ),
    Known("FindCoordinator *: a transaction's", "transactions are not there yet"),
    Known("FindCoordinator 6: of a share's state", "share groups are not there yet"),
    Known("InitProducerId *: a transactional id", "transactions are not there yet"),
    Known("DescribeConfigs *: a topic", "a new cluster of Kafka's writes min.insync.replicas down"),
    Known("DescribeConfigs 4: resource 8 \"1\"", "log levels are not configs"),
    Known("DescribeConfigs 4: resource 16 \"m\"", "client metrics are not taken"),
    Known("DescribeConfigs 4: resource 32 \"g\"", "classic groups have no configs"),
    Known("DescribeConfigs 4: the broker's *", "broker settings are read-only, and Kolk's own"),
    Known("IncrementalAlterConfigs 1: 8: retention.ms 4*", "an invalid request instead of a server error"),
    Known("IncrementalAlterConfigs 1: 9: retention.ms -1*", "an invalid request instead of a server error"),
    Known("IncrementalAlterConfigs 1: broker *", "broker settings cannot change at run time"),
    Known("AlterConfigs *: a resource twice", "refused; Kafka never answers"),
    Known("Produce 0: a batch", "refused by its code instead of a closed connection"),
    Known("Produce 1: a batch", "refused by its code instead of a closed connection"),
    Known("Produce 2: a batch", "refused by its code instead of a closed connection"),
    Known("Produce *: null records", "refused; Kafka never answers"),
    Known("Produce 9: a topic twice", "both are appended; Kafka loses the first"),
    Known("Produce 9: a partition twice", "both are appended; Kafka loses the first"),
    Known("Produce 9: bytes behind a batch*", "refused; Kafka drops them"),
    Known(
        "Produce 9: a length too short*",
        "refused as more than one batch, before the checksum is looked at",
    ),
    Known("Produce 9: an unknown codec*", "an unsupported codec instead of a server error"),
    Known(
        "Produce 9: append time set by the client, to appended",
        "overwritten, as every other batch's there",
    ),
    Known("ListOffsets *: a partition twice", "told at both places"),
    Known("ListOffsets *: a topic twice", "told at both places"),
    Known("ListOffsets 8: epoch -1, replica -1, isolation 5*", "read as committed instead of a server error"),
    Known("OffsetForLeaderEpoch *: epoch -2, current -1", "an epoch that cannot be has no end"),
    Known("Fetch *: a partition twice", "told at both places"),
    Known("Fetch 11: 100 bytes, 1048576 a partition", "whole batches only"),
    Known("Fetch 11: 1048576 bytes, 100 a partition", "whole batches only"),
    Known("Fetch 11: 200 bytes, 200 a partition", "whole batches only"),
    Known(
        "Fetch 11: -1 bytes, -1 a partition",
        "the first batch comes all the same, instead of a server error",
    ),
    Known("Fetch 11: isolation *", "read as committed instead of a server error"),
    Known("Fetch *: by no id", "an unknown id instead of a server error"),
    Known("Fetch *: a session about nothing", "no session is kept about nothing"),
    Known("DeleteRecords 2: a partition twice", "both are done and told"),
    Known("DeleteRecords 2: a topic twice", "told at both places"),
];

/// Why the answers to this question differ, if they are meant to.
pub fn find(question: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|Known(pattern, _)| fits(pattern, question))
}

/// Whether a question is one of those that a pattern with any number of `*` stands for.
fn fits(pattern: &str, question: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == question,
        Some((beginning, rest)) => question.strip_prefix(beginning).is_some_and(|behind| {
            (0..=behind.len()).filter(|at| behind.is_char_boundary(*at)).any(|at| fits(rest, &behind[at..]))
        }),
    }
}
