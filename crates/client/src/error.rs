//! What can go wrong between a client and a server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kolk_wire_kafka::ErrorCode;

use crate::Address;

/// Why a call has no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address.
    #[error("`{text}` is not HOST:PORT")]
    Address {
        /// What was given.
        text: String,
    },
    /// Not an endpoint.
    #[error("`{text}` is not http://HOST:PORT")]
    Endpoint {
        /// What was given.
        text: String,
    },
    /// No connection.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// Whereto.
        address: Address,
        /// Why.
        error: io::Error,
    },
    /// The connection ended before the answer: what was asked for may have happened.
    #[error("the connection to {address} ended: {reason}")]
    Closed {
        /// Whereto.
        address: Address,
        /// Why.
        reason: Arc<str>,
    },
    /// No answer in time: what was asked for may have happened.
    #[error("{address} did not answer {what} within {} s", after.as_secs_f32())]
    TimedOut {
        /// Who.
        address: Address,
        /// What was asked.
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// No version of the API that both sides know.
    #[error("{address} does not serve {api} in a version from {min} to {max}")]
    Unsupported {
        /// Who.
        address: Address,
        /// The API.
        api: &'static str,
        /// Our first.
        min: i16,
        /// Our last.
        max: i16,
    },
    /// The server refused.
    #[error("{what}: {}", refusal(code, message))]
    Refused {
        /// What was asked for, in words.
        what: String,
        /// Kafka's code.
        code: ErrorCode,
        /// What the server said about it.
        message: Option<String>,
    },
    /// An HTTP endpoint refused.
    #[error("{message} (HTTP {status})")]
    Http {
        /// What the server said.
        message: String,
        /// The status.
        status: u16,
    },
    /// A Kinesis endpoint refused.
    #[error("{operation}: {message} ({code})")]
    Kinesis {
        /// The operation.
        operation: String,
        /// Such as `ResourceNotFoundException`.
        code: String,
        /// What the server said about it.
        message: String,
        /// The HTTP status.
        status: u16,
    },
    /// Bytes that make no sense.
    #[error("{address} sent what cannot be read: {reason}")]
    Garbled {
        /// Who.
        address: Address,
        /// What is wrong with it.
        reason: String,
    },
    /// A request that cannot be written.
    #[error("the request cannot be written: {0}")]
    Encode(#[from] kolk_wire_kafka::codec::EncodeError),
    /// No such topic, or it has no such partition.
    #[error("topic {topic} has no partition {partition}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Stopped,
}

fn refusal(code: &ErrorCode, message: &Option<String>) -> String {
    match message {
        Some(message) if !message.is_empty() => format!("{message} ({})", code.name()),
        _ => format!("{} ({})", code.message(), code.name()),
    }
}

impl Error {
    /// A refusal, if `code` is one.
    pub fn check(code: i16, message: Option<&str>, what: impl FnOnce() -> String) -> Result<(), Error> {
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => Ok(()),
            code => Err(Error::Refused {
                what: what(),
                code: code.unwrap_or(ErrorCode::UnknownServerError),
                message: message.map(str::to_owned),
            }),
        }
    }

    /// Kafka's code, if a Kafka server refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Error::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later: the server is not there yet, moved, or asks to come back.
    pub fn is_retriable(&self) -> bool {
        match self {
            Error::Connect { .. } | Error::Closed { .. } | Error::TimedOut { .. } => true,
            Error::Refused { code, .. } => code.is_retriable(),
            _ => false,
        }
    }
}
