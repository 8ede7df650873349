//! Bodies as values: JSON 1.1 and CBOR behind one pull reader and one push writer.
//!
//! Both readers hand out the same [`Token`]s, so that the model (`crate::model`) is written once. They promise to
//! read each byte of a body once, to nest no deeper than [`DEPTH_MAX`], and to allocate for what is there, never for
//! what a length field claims.

mod cbor;
mod json;
mod pieces;

use std::any::TypeId;
use std::borrow::Cow;

use bytes::Bytes;

pub(crate) use cbor::CborReader;
pub use cbor::CborWriter;
pub(crate) use json::JsonReader;
pub use json::JsonWriter;
pub use pieces::RecordsPieces;

use crate::model::constraints::{Path, Violations};
use crate::model::kinds::Kind;
use crate::model::operations::Request;
use crate::model::replies::Nothing;

/// How deep lists and maps may nest. The deepest member of the model lies at 4.
pub const DEPTH_MAX: usize = 32;

/// The two body formats, named by their content types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/x-amz-json-1.1`.
    Json,
    /// `application/x-amz-cbor-1.1`. Timestamps are whole milliseconds under tag 1, against RFC 8949, because that is
    /// what the AWS SDK for Java writes and expects.
    Cbor,
}

impl Format {
    /// The content type that names this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/x-amz-json-1.1",
            Format::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// A writer of this format with `capacity` bytes set aside.
    pub fn writer(self, capacity: usize) -> Box<dyn Writer + Send> {
        match self {
            Format::Json => Box::new(JsonWriter::with_capacity(capacity)),
            Format::Cbor => Box::new(CborWriter::with_capacity(capacity)),
        }
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// Why a body is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON or CBOR at all, nested too deeply, or not a structure. The service says so without a message.
    #[error("the body is not well-formed")]
    Malformed,
    /// A member of a type that cannot be converted: SerializationException with this text.
    #[error("{0}")]
    Mismatch(String),
    /// Members that break their constraints: ValidationException with this text.
    #[error("{0}")]
    Invalid(String),
}

/// Reads and checks a request. Reports the first type error of a body, or else all constraints it breaks (at most ten).
pub fn decode<K: Kind>(format: Format, body: &Bytes) -> Result<K::Value, DecodeError> {
    let raw = read::<K>(format, body)?;
    let mut violations = Violations::default();
    match K::check(raw, &[], Path::Root, &mut violations) {
        Some(value) if violations.is_empty() => Ok(value),
        _ => Err(DecodeError::Invalid(violations.to_string())),
    }
}

/// Reads a reply, as a client does: an empty body counts as an empty structure.
pub fn decode_reply<K: Kind>(format: Format, body: &Bytes) -> Result<K::Value, DecodeError> {
    if !body.is_empty() {
        return decode::<K>(format, body);
    }
    let nothing = match format {
        Format::Json => Bytes::from_static(b"{}"),
        Format::Cbor => Bytes::from_static(&[0xa0]),
    };
    decode::<K>(format, &nothing)
}

fn read<K: Kind>(format: Format, body: &Bytes) -> Result<K::Raw, DecodeError> {
    let reader: Box<dyn Reader<'_> + '_> = match format {
        Format::Json => Box::new(JsonReader::new(body).map_err(|Malformed| DecodeError::Malformed)?),
        Format::Cbor => Box::new(CborReader::new(body)),
    };
    let mut decoder = Decoder { reader, mismatch: None };
    let raw = match decoder.reader.value() {
        Ok(token @ Token::Map) => K::read(&mut decoder, token).map_err(|Malformed| DecodeError::Malformed)?,
        _ => return Err(DecodeError::Malformed),
    };
    decoder.reader.finish().map_err(|Malformed| DecodeError::Malformed)?;
    match (decoder.mismatch, raw) {
        (Some(text), _) => Err(DecodeError::Mismatch(text)),
        (None, Some(raw)) => Ok(raw),
        (None, None) => Err(DecodeError::Malformed),
    }
}

/// Writes a reply as the service does: where an operation has nothing to tell, the body is empty.
pub fn encode_reply<R: Request>(format: Format, reply: &R::Reply) -> Bytes
where
    R::Reply: 'static,
{
    if TypeId::of::<R::Reply>() == TypeId::of::<Nothing>() {
        Bytes::new()
    } else {
        encode::<R::Reply>(format, reply)
    }
}

/// Writes a whole reply (or request) of kind `K`.
pub fn encode<K: Kind>(format: Format, value: &K::Value) -> Bytes {
    let mut writer = format.writer(256);
    K::write(value, &mut *writer);
    writer.take()
}

/// The body is not well-formed; there is nothing more to say about it, because the service says nothing more either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// One step of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum Token<'a> {
    /// JSON `null`, CBOR null and undefined.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A number; JSON does not tell `1` from `1.0` in meaning, but we keep whole numbers whole.
    Number(Number),
    /// Text, borrowed from the body unless it had escapes or came in chunks.
    Text(Cow<'a, str>),
    /// A CBOR byte string, sharing the body's memory unless it came in chunks.
    Bytes(Bytes),
    /// A list begins; go on with [`Reader::next_item`].
    List,
    /// A map begins; go on with [`Reader::next_key`].
    Map,
}

/// A number as the body has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Fits 64 bits with sign.
    Whole(i64),
    /// Anything else, as near as a double comes.
    Real(f64),
}

impl Number {
    /// Rounded down and held within 64 bits.
    pub fn floor(self) -> i64 {
        match self {
            Number::Whole(whole) => whole,
            Number::Real(real) => real.floor() as i64,
        }
    }
}

/// Pulls tokens out of a body.
pub trait Reader<'a> {
    /// The next value. After [`Token::List`] or [`Token::Map`] its content follows.
    fn value(&mut self) -> Result<Token<'a>, Malformed>;
    /// Whether the innermost list has another value; `false` also leaves the list.
    fn next_item(&mut self) -> Result<bool, Malformed>;
    /// The next key of the innermost map, its value follows; `None` also leaves the map.
    fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, Malformed>;
    /// What a number means as a timestamp in this format.
    fn timestamp(&self, number: Number) -> Timestamp;
    /// Checks that nothing follows the value.
    fn finish(&mut self) -> Result<(), Malformed>;
}

/// Pushes values into a body.
pub trait Writer {
    /// `{`
    fn open_map(&mut self);
    /// `}`
    fn close_map(&mut self);
    /// `[`
    fn open_list(&mut self);
    /// `]`
    fn close_list(&mut self);
    /// A key of the innermost map.
    fn key(&mut self, key: &str);
    /// Text.
    fn text(&mut self, text: &str);
    /// A whole number.
    fn integer(&mut self, number: i64);
    /// A truth value.
    fn boolean(&mut self, value: bool);
    /// Bytes: base64 in JSON, a byte string in CBOR.
    fn blob(&mut self, bytes: &[u8]);
    /// A point in time.
    fn timestamp(&mut self, timestamp: Timestamp);
    /// Bytes written and not yet taken.
    fn len(&self) -> usize;
    /// Whether everything written has been taken.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Takes what was written so far; writing may go on after it.
    fn take(&mut self) -> Bytes;
}

/// A reader, and the first type error met on the way.
///
/// A type error does not stop the reading: a body that turns out to be no JSON further on is malformed, whatever else
/// is wrong with it.
pub struct Decoder<'a> {
    reader: Box<dyn Reader<'a> + 'a>,
    mismatch: Option<String>,
}

impl<'a> Decoder<'a> {
    /// Reads a member of kind `K`. `None` is null, or a type error that has been noted.
    pub fn member<K: Kind>(&mut self) -> Result<Option<K::Raw>, Malformed> {
        match self.reader.value()? {
            Token::Null => Ok(None),
            token => K::read(self, token),
        }
    }

    /// See [`Reader::next_item`].
    pub fn next_item(&mut self) -> Result<bool, Malformed> {
        self.reader.next_item()
    }

    /// See [`Reader::next_key`].
    pub fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, Malformed> {
        self.reader.next_key()
    }

    /// See [`Reader::timestamp`].
    pub fn timestamp(&self, number: Number) -> Timestamp {
        self.reader.timestamp(number)
    }

    /// Reads past one value.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        let token = self.reader.value()?;
        self.skip_rest(&token)
    }

    /// Reads past what follows `token`. Recursion ends at [`DEPTH_MAX`], which the readers enforce.
    fn skip_rest(&mut self, token: &Token<'_>) -> Result<(), Malformed> {
        match token {
            Token::List => {
                while self.reader.next_item()? {
                    self.skip()?;
                }
            }
            Token::Map => {
                while self.reader.next_key()?.is_some() {
                    self.skip()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes that `token` is not what the member wants, and reads past it.
    pub fn mismatch<T>(
        &mut self,
        token: &Token<'_>,
        text: impl FnOnce() -> String,
    ) -> Result<Option<T>, Malformed> {
        if self.mismatch.is_none() {
            self.mismatch = Some(text());
        }
        self.skip_rest(token)?;
        Ok(None)
    }
}
