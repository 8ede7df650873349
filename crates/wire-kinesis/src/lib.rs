//! Kinesis's protocol as values: operations, JSON, CBOR, sequence numbers, shard iterators. No I/O.
