//! Reading a request's body, as much of it as was granted.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming};
use tokio::time::Instant;

/// Why a body did not come. The rest of it is not worth reading: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than the limit.
    TooLarge,
    /// The peer ended it early or broke its framing.
    Broken,
    /// Nothing of it came for too long, or too little.
    Stalled,
}

/// Reads a body of at most `limit` bytes, of which `expected` are announced. Waits for each piece for `stall`, and for all of it
/// for `slowest` more, which is asked for when a piece came.
pub async fn read_body(
    mut body: Incoming,
    limit: usize,
    expected: usize,
    stall: Duration,
    slowest: impl Fn() -> Duration,
) -> Result<Bytes, BodyError> {
    let begun = Instant::now();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let data = match tokio::time::timeout(stall, frame(&mut body)).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(_))) => return Err(BodyError::Broken),
            Ok(None) => break,
            Err(_) => return Err(BodyError::Stalled),
        };
        if begun.elapsed() > stall.saturating_add(slowest()) {
            return Err(BodyError::Stalled);
        }
        if first.len() + rest.len() + data.len() > limit {
            return Err(BodyError::TooLarge);
        }
        // Most bodies come in one piece, and then need no copy.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(expected.max(first.len() + data.len()));
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

async fn frame(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}
