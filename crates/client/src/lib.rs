//! Small Kafka and Kinesis clients on Kolk's own codecs, for the CLI, the simulation and the tests.
//!
//! They go through the door to the network, so that a simulation can run them, and start no thread. [`kafka`] works
//! against any Kafka from 2.x on: requests are written in the highest version that both sides know. [`kinesis`]
//! speaks JSON over HTTP/1.1 and signs; [`http`] is what a server's operators ask.
//!
//! Promises: what cannot be known (a write whose answer never came) is an error that says so, not a guess; every
//! queue has a bound; dropping a client closes its connections. Leaves TLS and SASL to their own issue.

mod address;
mod error;
pub mod http;
pub mod kafka;
pub mod kinesis;

pub use address::Address;
pub use error::Error;
