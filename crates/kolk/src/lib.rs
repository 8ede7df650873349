//! One durable log for Kafka clients and Kinesis SDKs.
