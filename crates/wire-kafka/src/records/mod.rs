//! What is inside a records field: record batches.
//!
//! - [`batch`]: the header of a batch (magic 2): read, check, change base offset, leader epoch and append time in place.
//!
//! Owns the layouts and their checks. Leaves to the broker what depends on a topic's configuration (timestamps, sizes) or
//! on state (sequences, transactions).

pub mod batch;
pub mod crc;

pub use batch::{BatchError, BatchHeader, Compression, TimestampType, check_produce_batch};
