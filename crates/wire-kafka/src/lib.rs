//! Kafka's protocol as values: generated messages, frames, record batches. No I/O.
