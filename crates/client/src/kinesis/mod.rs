//! A Kinesis client: JSON 1.1 over HTTP/1.1, signed with version 4 as the SDKs do.
//!
//! One connection, one request at a time; make another client for more. An idle connection that the server closed is
//! opened again; a request whose answer was lost is not repeated, because a put may have happened.

mod sigv4;

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use kolk_engine::door::Door;
use kolk_wire_kinesis::model::operations::TARGET_PREFIX;
use kolk_wire_kinesis::{Format, Request, decode_reply, encode};
use tokio::sync::Mutex;

use crate::{Address, Error};

pub use sigv4::Credentials;

/// How a [`Kinesis`] client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The region in the signature.
    pub region: String,
    /// What requests are signed with; `None` = they are not.
    pub credentials: Option<Credentials>,
    /// How long a call may take.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            region: "us-east-1".to_owned(),
            credentials: Some(Credentials {
                access_key_id: "kolk".to_owned(),
                secret_access_key: "kolk".to_owned(),
            }),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Where an HTTP API is: `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(pub(crate) Address);

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Endpoint { text: text.to_owned() };
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?.trim_end_matches('/');
        let with_port =
            if rest.ends_with(']') || !rest.contains(':') { format!("{rest}:80") } else { rest.to_owned() };
        with_port.parse().map(Endpoint).map_err(|_| wrong())
    }
}

/// A client of one endpoint.
#[derive(Debug)]
pub struct Kinesis {
    door: Door,
    endpoint: Endpoint,
    options: Options,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Kinesis {
    /// A client; it connects when the first call is made.
    pub fn new(door: Door, endpoint: Endpoint, options: Options) -> Kinesis {
        Kinesis { door, endpoint, options, connection: Mutex::default() }
    }

    /// Calls an operation.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Reply, Error> {
        let body = encode::<R>(Format::Json, request);
        let answer = self.call_raw(R::OPERATION.name(), body).await?;
        decode_reply::<R::Reply>(Format::Json, &answer).map_err(|error| Error::Garbled {
            address: self.endpoint.0.clone(),
            reason: format!("{}: {error}", R::OPERATION.name()),
        })
    }

    /// Calls an operation by its name with a JSON body; gives the JSON of the answer.
    pub async fn call_raw(&self, operation: &str, body: Bytes) -> Result<Bytes, Error> {
        let address = &self.endpoint.0;
        let call = async {
            let mut kept = self.connection.lock().await;
            // Taken out: if this call is dropped half-way, the next one connects anew.
            let mut open = kept.take();
            if let Some(idle) = &mut open
                && idle.ready().await.is_err()
            {
                open = None;
            }
            let mut connection = match open {
                Some(open) => open,
                None => self.connect().await?,
            };
            let closed = |error: hyper::Error| Error::Closed {
                address: address.clone(),
                reason: error.to_string().into(),
            };
            let answer = connection.send_request(self.request(operation, body)).await.map_err(closed)?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(closed)?.to_bytes();
            *kept = Some(connection);
            if head.status.is_success() {
                return Ok(body);
            }
            Err(refused(operation, head.status.as_u16(), &body))
        };
        let timed_out = || Error::TimedOut {
            address: address.clone(),
            what: "a Kinesis call",
            after: self.options.timeout,
        };
        tokio::time::timeout(self.options.timeout, call).await.map_err(|_| timed_out())?
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Error> {
        let address = &self.endpoint.0;
        let stream = address.connect(&*self.door.network).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Error::Closed { address: address.clone(), reason: error.to_string().into() })?;
        // Whoever sends learns why it ended.
        let driver = async move { drop(connection.await) };
        self.door.tasks.spawn("client-http", Box::pin(driver));
        Ok(sender)
    }

    fn request(&self, operation: &str, body: Bytes) -> hyper::Request<Full<Bytes>> {
        let host = self.endpoint.0.to_string();
        let target = format!("{TARGET_PREFIX}.{operation}");
        let mut request = hyper::Request::post("/")
            .header("host", &host)
            .header("content-type", Format::Json.content_type())
            .header("x-amz-target", &target);
        if let Some(credentials) = &self.options.credentials {
            let signed = sigv4::sign(&sigv4::Unsigned {
                credentials,
                region: &self.options.region,
                service: "kinesis",
                now_ms: self.door.clock.now_ms(),
                method: "POST",
                path: "/",
                // Sorted by name.
                headers: &[
                    ("content-type", Format::Json.content_type()),
                    ("host", &host),
                    ("x-amz-target", &target),
                ],
                body: &body,
            });
            request = request.header("x-amz-date", signed.date).header("authorization", signed.authorization);
        }
        request.body(Full::new(body)).expect("a host, an operation and a signature are legal header values")
    }
}

fn refused(operation: &str, status: u16, body: &Bytes) -> Error {
    let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| parsed.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    // Real services may put a namespace in front: `com.amazon.coral.service#ResourceNotFoundException`.
    let code = text("__type").map(|code| code.rsplit('#').next().unwrap_or_default().to_owned());
    Error::Kinesis {
        operation: operation.to_owned(),
        code: code.unwrap_or_else(|| format!("HTTP {status}")),
        message: text("message").or_else(|| text("Message")).unwrap_or_default(),
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_read() {
        let address = |text: &str| text.parse::<Endpoint>().expect(text).0.to_string();
        assert_eq!(address("http://127.0.0.1:4567"), "127.0.0.1:4567");
        assert_eq!(address("http://[::1]:4567/"), "[::1]:4567");
        assert_eq!(address("http://kinesis.example"), "kinesis.example:80");
        for text in ["", "127.0.0.1:4567", "https://127.0.0.1:4567", "http://", "http://a:b"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn refusals_are_read_in_both_spellings() {
        let body = Bytes::from_static(
            b"{\"__type\":\"com.amazon.coral.service#SerializationException\",\"Message\":\"bad\"}",
        );
        assert_eq!(refused("PutRecord", 400, &body).to_string(), "PutRecord: bad (SerializationException)");
        assert_eq!(refused("X", 502, &Bytes::new()).to_string(), "X:  (HTTP 502)");
    }
}
