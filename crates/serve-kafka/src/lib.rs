//! Kafka's protocol on a socket: listeners, connections, one handler per API.
//!
//! Owns reading and writing frames, the order of replies, which APIs are served in which versions, and the translation
//! between wire messages and the broker's words. Leaves what an operation means to `kolk_broker`, and layouts to
//! `kolk_wire_kafka`. Start at [`connection`], then `handlers/produce.rs`.

mod activity;
mod answer;
pub mod apis;
pub mod connection;
mod errors;
mod fetch_sessions;
mod handlers;
mod reply;
mod server;

pub use server::{Advertise, Listener, ServeError, Serving, Settings, serve, serve_on};
