//! Kinesis's protocol as values: operations, JSON, CBOR, sequence numbers, shard iterators. No I/O.
//!
//! Owns everything that can be said about the Kinesis API of 2013-12-02 without a server behind it:
//!
//! - [`model`]: every operation, member, constraint and error, one line each;
//! - [`decode`] and [`encode`]: requests and replies in JSON 1.1 and CBOR, with the checks and the wording of the
//!   service's own validation;
//! - [`sequence`], [`hashkey`], [`iterator`], [`token`], [`shard_id`], [`partition_key`]: what the strings inside mean.
//!
//! Promises: no I/O, no clock, no randomness (the caller gives times, keys and nonces); a hostile body is a typed
//! error, never a panic, and costs memory in proportion to its length only.
//!
//! Leaves to others: HTTP, signatures and routing to handlers (`serve-kinesis`), and what an operation does
//! (`broker`).
//!
//! Source of truth: the Kinesis Data Streams API Reference, and answers observed from the AWS SDKs' side.

pub mod codec;
pub mod date;
pub mod error;
pub mod hashkey;
pub mod iterator;
pub mod model;
pub mod partition_key;
pub mod sequence;
pub mod shard_id;
pub mod token;

pub use codec::{DecodeError, Format, Timestamp, decode, decode_reply, encode, encode_reply};
pub use error::{ErrorCode, ServiceError};
pub use model::operations::{Operation, Request};
pub use model::{replies, requests};
