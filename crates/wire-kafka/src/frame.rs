//! Frames and their headers: what stands in front of a message's body on a connection.
//!
//! ```text
//! request   int32 size | int16 key, int16 version, int32 correlation id, string? client id [tags] | body
//! response  int32 size | int32 correlation id [tags]                                              | body
//! ```
//!
//! Requests come off a buffer without a copy ([`split`]); responses go out as a list of pieces ([`Frame`]) so that records
//! are sent from where they lie.

use bytes::{Buf, Bytes, BytesMut};

use crate::codec::{DecodeError, Decoder, EncodeError, Encoder, Message, Request, Segment};
use crate::{ApiKey, Str};

/// Why a connection's bytes cannot be cut into frames. The connection is to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The size field is negative.
    #[error("frame size {0} is negative")]
    NegativeSize(i32),
    /// The size is over the limit (Kafka: `socket.request.max.bytes`).
    #[error("frame of {size} bytes is over the limit of {max}")]
    TooLarge {
        /// Announced bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
}

/// The size that the next frame announces, without its four size bytes; `None` while they are not all there.
/// Tells how much to read, before anything is allocated.
pub fn announced_size(buffer: &[u8], size_max: usize) -> Result<Option<usize>, FrameError> {
    let Some((size, _)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let size = i32::from_be_bytes(*size);
    let size = usize::try_from(size).map_err(|_| FrameError::NegativeSize(size))?;
    if size > size_max { Err(FrameError::TooLarge { size, max: size_max }) } else { Ok(Some(size)) }
}

/// Takes the next whole frame off the front of `buffer`, without its size and without a copy; `None` when it is not whole.
pub fn split(buffer: &mut BytesMut, size_max: usize) -> Result<Option<Bytes>, FrameError> {
    match announced_size(buffer, size_max)? {
        Some(size) if buffer.len() - 4 >= size => {
            buffer.advance(4);
            Ok(Some(buffer.split_to(size).freeze()))
        }
        _ => Ok(None),
    }
}

/// What stands in front of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API's number; [`ApiKey::from_key`] says whether we know it.
    pub api_key: i16,
    /// Version of the body, not checked yet.
    pub api_version: i16,
    /// Chosen by the client, comes back with the response.
    pub correlation_id: i32,
    /// The client's name for itself.
    pub client_id: Option<Str>,
}

impl RequestHeader {
    /// Reads the header of a frame and gives back the body. The tags of a flexible header are skipped; they can only be
    /// found for APIs that we know, the body of another one starts where its header's fixed part ends.
    pub fn decode(frame: Bytes) -> Result<(RequestHeader, Bytes), DecodeError> {
        let mut d = Decoder::new(frame, 1, false);
        let header = RequestHeader {
            api_key: d.get()?,
            api_version: d.get()?,
            correlation_id: d.get()?,
            client_id: d.get()?,
        };
        if ApiKey::from_key(header.api_key).is_some_and(|api| api.is_flexible(header.api_version)) {
            d.flexible = true;
            d.skip_tags()?;
        }
        Ok((header, d.into_rest()))
    }

    fn encode(&self, e: &mut Encoder, flexible: bool) {
        e.flexible = false;
        e.put(&self.api_key);
        e.put(&self.api_version);
        e.put(&self.correlation_id);
        e.put(&self.client_id);
        e.flexible = flexible;
        e.tags(&[]);
    }
}

/// Reads a response's header, for a client that knows what it asked: gives the correlation id and the body.
pub fn decode_response_header(frame: Bytes, api: ApiKey, version: i16) -> Result<(i32, Bytes), DecodeError> {
    let mut d = Decoder::new(frame, version, api.response_header_version(version) > 0);
    let correlation_id = d.get()?;
    d.skip_tags()?;
    Ok((correlation_id, d.into_rest()))
}

/// A frame that is ready to be sent, its size in front, in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The pieces in order.
    pub segments: Vec<Segment>,
    /// Bytes of all pieces together, external ones and the size field included.
    pub length: usize,
}

impl Frame {
    /// All bytes in one buffer, for tests and small clients; an error when records are external.
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        let mut out = BytesMut::with_capacity(self.length);
        for segment in &self.segments {
            match segment {
                Segment::Bytes(bytes) => out.extend_from_slice(bytes),
                Segment::External { .. } => return Err(EncodeError::ExternalRecords),
            }
        }
        Ok(out.freeze())
    }
}

/// A request with its header. `header`'s key and version say in which version the body is written.
pub fn encode_request<R: Request>(header: &RequestHeader, body: &R) -> Result<Frame, EncodeError> {
    let flexible = R::KEY.is_flexible(header.api_version);
    encode(header.api_version, body, |e| header.encode(e, flexible))
}

/// A response with its header. `api` is the API that was asked, in `version`.
pub fn encode_response<M: Message>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<Frame, EncodeError> {
    encode(version, body, |e| put_response_header(e, api, version, correlation_id))
}

/// As [`encode_response`], for a response without records, into memory that is used again: `out` holds the frame and
/// nothing else afterwards. After an error it is empty.
pub fn encode_response_into<M: Message>(
    out: &mut Vec<u8>,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<(), EncodeError> {
    out.clear();
    let mut e = Encoder::into(std::mem::take(out), version, false);
    write(&mut e, version, body, |e| put_response_header(e, api, version, correlation_id));
    *out = e.finish_whole()?;
    Ok(())
}

fn put_response_header(e: &mut Encoder, api: ApiKey, version: i16, correlation_id: i32) {
    e.flexible = api.response_header_version(version) > 0;
    e.put(&correlation_id);
    e.tags(&[]);
}

fn encode<M: Message>(
    version: i16,
    body: &M,
    header: impl FnOnce(&mut Encoder),
) -> Result<Frame, EncodeError> {
    let mut e = Encoder::new(version, false);
    write(&mut e, version, body, header);
    Ok(Frame { length: e.len(), segments: e.finish()? })
}

fn write<M: Message>(e: &mut Encoder, version: i16, body: &M, header: impl FnOnce(&mut Encoder)) {
    // The size, known at the end.
    e.put(&0i32);
    header(e);
    body.encode(e, version);
    e.set_size_prefix();
}
