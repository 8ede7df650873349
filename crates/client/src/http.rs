//! One request to a server's HTTP face, for operators' commands.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kolk_engine::door::Door;
use serde_json::Value;

use crate::Error;
pub use crate::kinesis::Endpoint;

/// Posts a JSON body to a path and gives back the JSON of the answer. Waits for as long as the server takes: a client
/// that gives up does not end what it has begun.
pub async fn post(door: &Door, endpoint: &Endpoint, path: &str, body: &Value) -> Result<Value, Error> {
    let address = &endpoint.0;
    let closed =
        |error: hyper::Error| Error::Closed { address: address.clone(), reason: error.to_string().into() };
    let stream = address.connect(&*door.network).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(closed)?;
    // Whoever sends learns why it ended.
    let driver = async move { drop(connection.await) };
    door.tasks.spawn("client-http", Box::pin(driver));
    let request = hyper::Request::post(path)
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .expect("a host and a constant path are legal");
    let (head, body) = sender.send_request(request).await.map_err(closed)?.into_parts();
    let body = body.collect().await.map_err(closed)?.to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if head.status.is_success() {
        return Ok(answer);
    }
    let message = answer["error"].as_str().unwrap_or("the server refused").to_owned();
    Err(Error::Http { message, status: head.status.as_u16() })
}
