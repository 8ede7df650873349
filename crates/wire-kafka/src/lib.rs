//! Kafka's protocol as values: generated messages, frames, record batches. No I/O, no clock.
//!
//! A broker's connection in five steps:
//!
//! ```
//! use bytes::BytesMut;
//! use kolk_wire_kafka::codec::Message;
//! use kolk_wire_kafka::frame::{self, RequestHeader};
//! use kolk_wire_kafka::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
//! use kolk_wire_kafka::{ApiKey, ErrorCode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let header = RequestHeader { api_key: 12, api_version: 4, correlation_id: 7, client_id: Some("me".into()) };
//! # let asked = HeartbeatRequest { group_id: "g".into(), ..Default::default() };
//! # let mut received = BytesMut::from(&frame::encode_request(&header, &asked)?.to_bytes()?[..]);
//! // 1. cut a frame off what was received, without a copy
//! let whole = frame::split(&mut received, 100 << 20)?.expect("a whole frame was received");
//! // 2. who asks what
//! let (header, body) = RequestHeader::decode(whole)?;
//! let api = ApiKey::from_key(header.api_key).expect("an API of Kafka 4.4");
//! assert!(api == ApiKey::Heartbeat && api.knows(header.api_version));
//! // 3. the body: strings and records are slices of the frame
//! let request = HeartbeatRequest::decode(body, header.api_version)?;
//! assert_eq!(request.group_id, "g");
//! // 4. an answer; fields that the version lacks are dropped or refused as Kafka does
//! let answer = HeartbeatResponse { error_code: ErrorCode::RebalanceInProgress.code(), ..Default::default() };
//! // 5. pieces to write, their total size known; records come as pieces of their own or as external lengths
//! let frame = frame::encode_response(api, header.api_version, header.correlation_id, &answer)?;
//! assert_eq!(frame.length, 4 + 5 + 7);
//! # Ok(()) }
//! ```
//!
//! - [`messages`]: a module per API with a struct per message, all versions in one; generated from `schema/*.kolk` by
//!   `cargo xtask codegen`. [`codec`] says how they are read and written and what bounds hostile input.
//! - [`api`]: keys, names, versions. [`error`]: error codes.
//! - [`frame`]: sizes and headers.
//! - [`records`]: what is inside a records field: batches (magic 2), message sets (magic 0 and 1), compression.
//!
//! Source: KIP-482 (flexible versions), KIP-896 (what 4.0 removed), and the message definitions that Kafka's clients
//! carry, against which tests compare the schema and every byte.

// First, because its list of APIs is a macro.
#[macro_use]
#[rustfmt::skip]
pub mod messages;

pub mod api;
pub mod codec;
pub mod error;
pub mod frame;
pub mod records;
mod types;

pub use api::ApiKey;
pub use error::ErrorCode;
pub use types::{Records, Str};
