//! Small Kafka and Kinesis clients on Kolk's own codecs, for the CLI, the bench and the tests.
