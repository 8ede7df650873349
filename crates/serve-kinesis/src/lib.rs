//! The Kinesis API over HTTP/1.1, HTTP/2 and cleartext HTTP/2, all on one port.
//!
//! ```text
//!  listener ─► connection ─► http ──────────► operations ─► handlers/* ─► broker
//!              (kolk_http:   (one request:    (dispatch,    (one file an
//!              limits, idle   target, auth,    decode,       operation)
//!              and stalls)    body, headers)   encode)
//! ```
//!
//! Promises: every request is admitted by its bytes before its body is read; a client that stalls, floods or lies about
//! lengths costs a bounded amount and then its connection; answers are worded as the service words them. Leaves to
//! others: what an operation does (`kolk_broker`), what bodies mean (`kolk_wire_kinesis`).
//!
//! Start reading at `handlers/put_record.rs`. Source: Kinesis Data Streams API reference, 2013-12-02.

mod handlers;
mod http;
mod operations;
mod origin;
mod service;
mod sigv4;
mod texts;

pub use operations::is_served;
pub use service::{Service, Settings};

use kolk_engine::door::Listener;
use kolk_http::Serving;

/// Serves what comes in by `listeners`.
pub fn serve(service: Service, listeners: Vec<Box<dyn Listener>>, settings: kolk_http::Settings) -> Serving {
    let (door, metrics) = (service.broker().door().clone(), service.metrics().clone());
    Serving::start(&door, http::Connected(service), listeners, settings, metrics)
}
