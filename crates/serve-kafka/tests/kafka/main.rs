//! The Kafka face over real sockets, against the memory back end, with our own codec as the client.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test client uses the machine directly"
)]
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod connection;
mod disk;
mod fetch;
mod groups;
mod produce;
mod support;
mod topics;
mod unreadable;
mod versions;
