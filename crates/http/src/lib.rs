//! HTTP as every face that speaks it needs it: HTTP/1.1, HTTP/2 and cleartext HTTP/2 on one port, behind the door.
//!
//! ```text
//!  listener ─► connection ─► Service::answer ─► body, piece by piece ─► connection
//!              (a cap, idle, stalls, what HTTP/2 peers may cause)
//! ```
//! Promises: connections are capped, and one that stalls, floods or takes nothing costs a bounded amount and then
//! ends; a stop takes no more requests and lets answers in flight end. Leaves to the faces: what a request means, and
//! the memory of its body ([`read_body`] reads no more than it is told).

mod activity;
mod body;
mod serving;

pub use body::{BodyError, read_body};
pub use serving::{AnswerBody, Sender, Service, Serving, Settings, Slowest};
