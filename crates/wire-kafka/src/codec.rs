//! The primitives that generated messages are made of: [`Decoder`], [`Encoder`], [`Wire`].
//!
//! Owns the layout of primitive types in both dialects, plain and flexible (KIP-482), and every bound on hostile input:
//! no length is believed before it is compared with the bytes that are left, a decoded message holds at most a hundred
//! times the bytes of its frame (an empty string is one byte on the wire) and lists of at most [`LIST_MEMORY_MAX`], nothing
//! recurses, nothing panics. Strings, byte fields and records are slices of the frame, never copies.
//! Leaves to `frame` the headers, to `records` what is inside a records field.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::{Records, Str};

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Kafka's name of the message, such as `ProduceRequest`.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The bytes end inside a value.
    #[error("{needed} bytes needed, {remaining} left")]
    Truncated {
        /// Bytes the value takes at least.
        needed: usize,
        /// Bytes that are left.
        remaining: usize,
    },
    /// A length below zero (below -1 where null is legal).
    #[error("length {0} is negative")]
    NegativeLength(i64),
    /// Null where the version does not allow it.
    #[error("null where a value is required")]
    UnexpectedNull,
    /// A variable-length integer of more bits than its type has.
    #[error("variable-length integer too long")]
    VarintTooLong,
    /// Lists whose elements take more memory than one message may: [`LIST_MEMORY_MAX`], or what the caller allows.
    #[error("the message's lists take over {limit} bytes of memory")]
    ListsTooLarge {
        /// Bytes that were allowed.
        limit: usize,
    },
    /// A string over [`STRING_BYTES_MAX`], which a compact length could announce.
    #[error("string of {length} bytes is over the limit of {STRING_BYTES_MAX}")]
    StringTooLong {
        /// Bytes the string was to have.
        length: usize,
    },
    /// A string that is not UTF-8.
    #[error("string is not UTF-8")]
    NotUtf8,
    /// A tagged field whose value is longer or shorter than its announced size.
    #[error("tagged field {tag} does not fill its size")]
    TagSize {
        /// The field's tag.
        tag: u32,
    },
}

/// Why a value cannot be written in the version asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Kafka's name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field that the version lacks, and that may not be dropped silently, differs from its default.
    #[error("field {field} is set but does not exist in version {version}")]
    FieldNotInVersion {
        /// The field's name in Rust.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A null in a version that requires a value.
    #[error("field {field} is null but version {version} requires a value")]
    UnexpectedNull {
        /// The field's name in Rust.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string over [`STRING_BYTES_MAX`] or an array, byte field or frame over 2^31 - 1.
    #[error("{length} is over what the length field can hold")]
    TooLong {
        /// Length in bytes or elements.
        length: usize,
    },
    /// Records that lie outside ([`Records::External`]) in a message that was to become plain bytes.
    #[error("external records cannot be copied into a buffer")]
    ExternalRecords,
}

/// The longest string, in bytes: what the plain dialect's length field holds. Kafka reads and writes no longer one in the
/// flexible dialect either, so that whatever comes in can go out in every version.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// Memory that the lists of one message may take once they are decoded, in bytes. An element of a few bytes on
/// the wire can be a struct of a hundred: without a bound a frame of 100 MiB would become gigabytes. Lists of
/// bytes, records and strings are slices of the frame and do not count by their content. A server takes less, see
/// [`Message::decode_weighed`].
pub const LIST_MEMORY_MAX: usize = 64 << 20;

/// What a list that is not empty takes at least: the allocator's smallest piece and its bookkeeping.
const LIST_BYTES_MIN: usize = 32;

/// Reads values off the front of a frame.
#[derive(Debug)]
pub struct Decoder {
    frame: Bytes,
    at: usize,
    /// Bytes that lists may take in memory, and those that they have taken.
    list_bytes_max: usize,
    list_bytes: usize,
    /// Elements of lists are read, counted and dropped.
    weighing: bool,
    /// Version of the message that is read.
    pub version: i16,
    /// Whether that version has compact lengths and tagged fields.
    pub flexible: bool,
}

/// Progress through a section of tagged fields: see [`Decoder::tag`].
#[derive(Debug, Default)]
pub struct Tags {
    left: u32,
    open: Option<(u32, usize)>,
}

impl Decoder {
    /// A decoder at the start of `frame`.
    pub fn new(frame: Bytes, version: i16, flexible: bool) -> Self {
        Decoder {
            frame,
            at: 0,
            list_bytes_max: LIST_MEMORY_MAX,
            list_bytes: 0,
            weighing: false,
            version,
            flexible,
        }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.frame.len() - self.at
    }

    /// What is left, as a slice of the frame.
    pub fn into_rest(self) -> Bytes {
        self.frame.slice(self.at..)
    }

    /// The next value.
    pub fn get<T: Wire>(&mut self) -> Result<T, DecodeError> {
        T::get(self)
    }

    /// The next value, of a type whose null form this version does not allow.
    pub fn required<T: WireNullable>(&mut self) -> Result<Option<T>, DecodeError> {
        T::get(self).map(Some)
    }

    fn take_list_memory(&mut self, count: usize, element_bytes: usize) -> Result<(), DecodeError> {
        if count > 0 {
            let bytes = count.saturating_mul(element_bytes).max(LIST_BYTES_MIN);
            self.list_bytes = self.list_bytes.saturating_add(bytes);
        }
        if self.list_bytes <= self.list_bytes_max {
            Ok(())
        } else {
            Err(DecodeError::ListsTooLarge { limit: self.list_bytes_max })
        }
    }

    fn need(&self, needed: usize) -> Result<(), DecodeError> {
        let remaining = self.remaining();
        if needed > remaining { Err(DecodeError::Truncated { needed, remaining }) } else { Ok(()) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.frame[self.at..].first_chunk::<N>() {
            Some(value) => {
                self.at += N;
                Ok(*value)
            }
            None => Err(DecodeError::Truncated { needed: N, remaining: self.remaining() }),
        }
    }

    fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        self.need(length)?;
        let value = self.frame.slice(self.at..self.at + length);
        self.at += length;
        Ok(value)
    }

    /// An unsigned variable-length integer of at most 32 bits.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                return Err(DecodeError::VarintTooLong);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// A length in front of a string (`short`), byte field or array; `None` for null.
    fn length(&mut self, short: bool) -> Result<Option<usize>, DecodeError> {
        let length = if self.flexible {
            i64::from(self.uvarint()?) - 1
        } else if short {
            i64::from(i16::from_be_bytes(self.array()?))
        } else {
            i64::from(i32::from_be_bytes(self.array()?))
        };
        match length {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| DecodeError::NegativeLength(n)),
        }
    }

    fn opt_bytes(&mut self, short: bool) -> Result<Option<Bytes>, DecodeError> {
        match self.length(short)? {
            Some(length) if short && length > STRING_BYTES_MAX => Err(DecodeError::StringTooLong { length }),
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// The tagged fields at the end of a struct; none in a version that is not flexible.
    pub fn tags(&mut self) -> Result<Tags, DecodeError> {
        let left = if self.flexible { self.uvarint()? } else { 0 };
        Ok(Tags { left, open: None })
    }

    /// The next tagged field, after checking that the last one was read to its end.
    /// The caller reads the value or calls [`skip_tag`](Self::skip_tag).
    pub fn tag(&mut self, tags: &mut Tags) -> Result<Option<u32>, DecodeError> {
        if let Some((tag, end)) = tags.open.take()
            && end != self.at
        {
            return Err(DecodeError::TagSize { tag });
        }
        if tags.left == 0 {
            return Ok(None);
        }
        tags.left -= 1;
        let tag = self.uvarint()?;
        let size = self.uvarint()? as usize;
        self.need(size)?;
        tags.open = Some((tag, self.at + size));
        Ok(Some(tag))
    }

    /// Skips the value of a tagged field that this crate does not know. Unknown fields are not kept.
    pub fn skip_tag(&mut self, tags: &Tags) {
        if let Some((_, end)) = tags.open {
            self.at = end;
        }
    }

    /// Skips all tagged fields of a struct that has none we know.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        let mut tags = self.tags()?;
        while self.tag(&mut tags)?.is_some() {
            self.skip_tag(&tags);
        }
        Ok(())
    }
}

/// A piece of an encoded frame, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Bytes to send as they are.
    Bytes(Bytes),
    /// `length` bytes that the caller has elsewhere (a file, other buffers) and puts here.
    External {
        /// What [`Records::External`] carried.
        token: u64,
        /// Bytes.
        length: usize,
    },
}

/// Writes values, or only counts their bytes. The first error sticks and is told by [`finish`](Self::finish).
#[derive(Debug)]
pub struct Encoder {
    /// All bytes but those of records that are sent from where they lie.
    out: Vec<u8>,
    /// Where in `out` such records belong, ascending.
    gathered: Vec<(usize, Segment)>,
    gathered_bytes: usize,
    counting: bool,
    counted_bytes: usize,
    error: Option<EncodeError>,
    /// Version of the message that is written.
    pub version: i16,
    /// Whether that version has compact lengths and tagged fields.
    pub flexible: bool,
}

/// Room that an encoder begins with.
const SMALL_BYTES: usize = 128;

/// Records of at least so many bytes become a segment of their own instead of being copied.
const GATHER_BYTES_MIN: usize = 1024;

impl Encoder {
    /// An empty encoder.
    pub fn new(version: i16, flexible: bool) -> Self {
        // Most messages are small; by doubling they would come to so much in five steps.
        Self::into(Vec::with_capacity(SMALL_BYTES), version, flexible)
    }

    /// An encoder that writes into `memory`, which is empty.
    pub(crate) fn into(memory: Vec<u8>, version: i16, flexible: bool) -> Self {
        debug_assert!(memory.is_empty(), "the size field stands in front");
        Encoder {
            out: memory,
            gathered: Vec::new(),
            gathered_bytes: 0,
            counting: false,
            counted_bytes: 0,
            error: None,
            version,
            flexible,
        }
    }

    /// An encoder that keeps nothing but the count of bytes.
    pub fn counting(version: i16, flexible: bool) -> Self {
        Encoder { counting: true, ..Self::into(Vec::new(), version, flexible) }
    }

    /// Bytes written or counted so far, external ones included.
    pub fn len(&self) -> usize {
        self.counted_bytes + self.out.len() + self.gathered_bytes
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in order, or the first error.
    pub fn finish(self) -> Result<Vec<Segment>, EncodeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let own = Bytes::from(self.out);
        let mut segments = Vec::with_capacity(2 * self.gathered.len() + 1);
        let mut from = 0;
        for (at, segment) in self.gathered {
            if at > from {
                segments.push(Segment::Bytes(own.slice(from..at)));
            }
            segments.push(segment);
            from = at;
        }
        if from < own.len() {
            segments.push(Segment::Bytes(own.slice(from..)));
        }
        Ok(segments)
    }

    /// The memory with all bytes in it, or the first error; an error too when some are elsewhere.
    pub(crate) fn finish_whole(self) -> Result<Vec<u8>, EncodeError> {
        match self.error {
            Some(error) => Err(error),
            None if self.gathered.is_empty() => Ok(self.out),
            None => Err(EncodeError::ExternalRecords),
        }
    }

    /// The count of bytes, or the first error.
    pub fn finish_count(self) -> Result<usize, EncodeError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.len()),
        }
    }

    /// Writes the count of all bytes behind the first four into these.
    pub(crate) fn set_size_prefix(&mut self) {
        let length = self.len() - 4;
        match i32::try_from(length) {
            Ok(size) => self.out[..4].copy_from_slice(&size.to_be_bytes()),
            Err(_) => self.fail(EncodeError::TooLong { length }),
        }
    }

    /// Remembers the first error.
    pub fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    /// Writes a value.
    pub fn put<T: Wire>(&mut self, value: &T) {
        value.put(self);
    }

    /// Writes a value that this version does not allow to be null.
    pub fn required<T: WireNullable>(&mut self, field: &'static str, value: &Option<T>) {
        match value {
            Some(value) => value.put(self),
            None => self.fail(EncodeError::UnexpectedNull { field, version: self.version }),
        }
    }

    /// Notes a field that this version lacks and that may not be dropped unless it equals its default.
    pub fn absent(&mut self, field: &'static str, is_default: bool) {
        if !is_default {
            self.fail(EncodeError::FieldNotInVersion { field, version: self.version });
        }
    }

    /// Writes raw bytes.
    pub fn raw(&mut self, bytes: &[u8]) {
        if self.counting {
            self.counted_bytes += bytes.len();
        } else {
            self.out.extend_from_slice(bytes);
        }
    }

    /// Writes an unsigned variable-length integer.
    pub fn uvarint(&mut self, mut value: u32) {
        if value < 0x80 {
            return self.raw(&[value as u8]);
        }
        let mut bytes = [0; 5];
        let mut length = 0;
        loop {
            let more = value >= 0x80;
            bytes[length] = (value & 0x7f) as u8 | if more { 0x80 } else { 0 };
            length += 1;
            value >>= 7;
            if !more {
                break;
            }
        }
        self.raw(&bytes[..length]);
    }

    fn put_length(&mut self, short: bool, length: Option<usize>) {
        let limit = if short { STRING_BYTES_MAX } else { i32::MAX as usize };
        if let Some(length) = length
            && length > limit
        {
            return self.fail(EncodeError::TooLong { length });
        }
        if self.flexible {
            self.uvarint(length.map_or(0, |n| n as u32 + 1));
        } else if short {
            self.raw(&length.map_or(-1, |n| n as i16).to_be_bytes());
        } else {
            self.raw(&length.map_or(-1, |n| n as i32).to_be_bytes());
        }
    }

    fn opt_bytes(&mut self, short: bool, value: Option<&[u8]>) {
        self.put_length(short, value.map(<[u8]>::len));
        if let Some(value) = value {
            self.raw(value);
        }
    }

    /// Writes the tagged fields of a struct, ascending by tag: each is a tag, whether to write it, and its value.
    /// Writes nothing in a version that is not flexible.
    pub fn tags(&mut self, fields: &[(u32, bool, &dyn WireDyn)]) {
        if !self.flexible {
            return;
        }
        if fields.is_empty() {
            return self.raw(&[0]);
        }
        self.uvarint(fields.iter().filter(|(_, present, _)| *present).count() as u32);
        for (tag, present, value) in fields {
            if *present {
                self.uvarint(*tag);
                let mut count = Encoder::counting(self.version, true);
                value.put_dyn(&mut count);
                self.uvarint(count.len() as u32);
                value.put_dyn(self);
            }
        }
    }
}

/// A type that messages are made of.
pub trait Wire: Sized {
    /// The fewest bytes a value takes, in any version: what bounds an array's count.
    const SIZE_MIN: usize;
    /// Reads a value.
    fn get(decoder: &mut Decoder) -> Result<Self, DecodeError>;
    /// Writes a value.
    fn put(&self, encoder: &mut Encoder);
    /// Tells every error code of a response, NONE included: its own and those of its topics, partitions, groups.
    fn error_codes(&self, _told: &mut dyn FnMut(i16)) {}
}

/// A type that has a null form, used as `Option<T>`.
pub trait WireNullable: Wire {
    /// Reads a value or null.
    fn get_opt(decoder: &mut Decoder) -> Result<Option<Self>, DecodeError>;
    /// Writes a value or null.
    fn put_opt(value: Option<&Self>, encoder: &mut Encoder);
}

/// [`Wire`], as far as a list of tagged fields of different types needs it.
pub trait WireDyn {
    /// Writes a value.
    fn put_dyn(&self, encoder: &mut Encoder);
}

impl<T: Wire> WireDyn for T {
    fn put_dyn(&self, encoder: &mut Encoder) {
        self.put(encoder);
    }
}

macro_rules! numbers {
    ($($t:ty)*) => { $(
        impl Wire for $t {
            const SIZE_MIN: usize = size_of::<$t>();
            fn get(decoder: &mut Decoder) -> Result<Self, DecodeError> {
                decoder.array().map(<$t>::from_be_bytes)
            }
            fn put(&self, encoder: &mut Encoder) {
                encoder.raw(&self.to_be_bytes());
            }
        }
    )* };
}
numbers!(i8 i16 u16 i32 i64 f64);

impl Wire for bool {
    const SIZE_MIN: usize = 1;
    fn get(decoder: &mut Decoder) -> Result<Self, DecodeError> {
        i8::get(decoder).map(|value| value != 0)
    }
    fn put(&self, encoder: &mut Encoder) {
        encoder.raw(&[u8::from(*self)]);
    }
}

impl Wire for Uuid {
    const SIZE_MIN: usize = 16;
    fn get(decoder: &mut Decoder) -> Result<Self, DecodeError> {
        decoder.array().map(Uuid::from_bytes)
    }
    fn put(&self, encoder: &mut Encoder) {
        encoder.raw(self.as_bytes());
    }
}

/// Implements the non-null form of a type by its nullable form.
macro_rules! by_nullable {
    ($size_min:expr) => {
        const SIZE_MIN: usize = $size_min;
        fn get(decoder: &mut Decoder) -> Result<Self, DecodeError> {
            Self::get_opt(decoder)?.ok_or(DecodeError::UnexpectedNull)
        }
        fn put(&self, encoder: &mut Encoder) {
            Self::put_opt(Some(self), encoder);
        }
    };
}

impl Wire for Str {
    by_nullable!(1);
}

impl WireNullable for Str {
    fn get_opt(decoder: &mut Decoder) -> Result<Option<Self>, DecodeError> {
        match decoder.opt_bytes(true)? {
            Some(bytes) => Str::from_utf8(bytes).map(Some).ok_or(DecodeError::NotUtf8),
            None => Ok(None),
        }
    }
    fn put_opt(value: Option<&Self>, encoder: &mut Encoder) {
        encoder.opt_bytes(true, value.map(|value| value.as_bytes()));
    }
}

impl Wire for Bytes {
    by_nullable!(1);
}

impl WireNullable for Bytes {
    fn get_opt(decoder: &mut Decoder) -> Result<Option<Self>, DecodeError> {
        decoder.opt_bytes(false)
    }
    fn put_opt(value: Option<&Self>, encoder: &mut Encoder) {
        encoder.opt_bytes(false, value.map(|value| &value[..]));
    }
}

impl Wire for Records {
    by_nullable!(1);
}

impl WireNullable for Records {
    fn get_opt(decoder: &mut Decoder) -> Result<Option<Self>, DecodeError> {
        Ok(decoder.opt_bytes(false)?.map(Records::Bytes))
    }
    fn put_opt(value: Option<&Self>, encoder: &mut Encoder) {
        encoder.put_length(false, value.map(Records::len));
        match value {
            None => {}
            Some(Records::Bytes(bytes)) if bytes.len() < GATHER_BYTES_MIN => encoder.raw(bytes),
            Some(records) if encoder.counting => encoder.counted_bytes += records.len(),
            Some(records) => {
                encoder.gathered_bytes += records.len();
                let segment = match records {
                    Records::Bytes(bytes) => Segment::Bytes(bytes.clone()),
                    Records::External { token, length } => {
                        Segment::External { token: *token, length: *length }
                    }
                };
                encoder.gathered.push((encoder.out.len(), segment));
            }
        }
    }
}

impl<T: Wire> Wire for Vec<T> {
    by_nullable!(1);
}

/// No array reserves room for more than so many elements before it has read them.
const RESERVE_COUNT_MAX: usize = 1024;

impl<T: Wire> WireNullable for Vec<T> {
    fn get_opt(decoder: &mut Decoder) -> Result<Option<Self>, DecodeError> {
        let Some(count) = decoder.length(false)? else { return Ok(None) };
        decoder.need(count.saturating_mul(T::SIZE_MIN.max(1)))?;
        decoder.take_list_memory(count, size_of::<T>())?;
        if decoder.weighing {
            for _ in 0..count {
                T::get(decoder)?;
            }
            return Ok(Some(Vec::new()));
        }
        let mut values = Vec::with_capacity(count.min(RESERVE_COUNT_MAX));
        for _ in 0..count {
            values.push(T::get(decoder)?);
        }
        Ok(Some(values))
    }
    fn put_opt(value: Option<&Self>, encoder: &mut Encoder) {
        encoder.put_length(false, value.map(Vec::len));
        for element in value.into_iter().flatten() {
            element.put(encoder);
        }
    }
}

impl<T: WireNullable> Wire for Option<T> {
    const SIZE_MIN: usize = 1;
    fn get(decoder: &mut Decoder) -> Result<Self, DecodeError> {
        T::get_opt(decoder)
    }
    fn put(&self, encoder: &mut Encoder) {
        T::put_opt(self.as_ref(), encoder);
    }
}

/// Gives generated structs the null form that Kafka writes: a byte, -1 for null, in front of the value.
macro_rules! nullable_structs {
    ($($t:ty)*) => { $(
        impl $crate::codec::WireNullable for $t {
            fn get_opt(d: &mut $crate::codec::Decoder) -> Result<Option<Self>, $crate::codec::DecodeError> {
                if d.get::<i8>()? < 0 { Ok(None) } else { d.get().map(Some) }
            }
            fn put_opt(value: Option<&Self>, e: &mut $crate::codec::Encoder) {
                e.put(&if value.is_some() { 1i8 } else { -1 });
                if let Some(value) = value {
                    e.put(value);
                }
            }
        }
    )* };
}
pub(crate) use nullable_structs;

/// A whole message: a request's or a response's body, or one of the blobs inside (such as a consumer's subscription).
pub trait Message: Wire + Default + Clone + PartialEq + std::fmt::Debug {
    /// Kafka's name of it, such as `FetchResponse`.
    const NAME: &'static str;
    /// First and last version that can be read and written, the ones that Kafka 4.0 removed included.
    const VERSIONS: (i16, i16);
    /// First flexible version (KIP-482), `i16::MAX` when there is none.
    const FLEXIBLE: i16;

    /// Reads a message. Bytes behind it are ignored, as Kafka does.
    fn decode(frame: Bytes, version: i16) -> Result<Self, DecodeError> {
        Self::decode_rest(frame, version).map(|(message, _)| message)
    }

    /// Reads a message whose lists may take `list_bytes_max` bytes of memory, and tells how much they may take beside
    /// the frame (a list that grows takes up to twice its size): what a server charges before it goes on.
    fn decode_weighed(
        frame: Bytes,
        version: i16,
        list_bytes_max: usize,
    ) -> Result<(Self, usize), DecodeError> {
        let mut decoder = Self::decoder(frame, version)?;
        decoder.list_bytes_max = list_bytes_max;
        let message = decoder.get()?;
        Ok((message, 2 * decoder.list_bytes))
    }

    /// Tells what [`decode_weighed`](Self::decode_weighed) would, errors included, and keeps no list in memory: what a server
    /// asks first where there may be much.
    fn weigh(frame: Bytes, version: i16, list_bytes_max: usize) -> Result<usize, DecodeError> {
        let mut decoder = Self::decoder(frame, version)?;
        decoder.list_bytes_max = list_bytes_max;
        decoder.weighing = true;
        decoder.get::<Self>()?;
        Ok(2 * decoder.list_bytes)
    }

    /// Reads a message and gives back the bytes behind it.
    fn decode_rest(frame: Bytes, version: i16) -> Result<(Self, Bytes), DecodeError> {
        let mut decoder = Self::decoder(frame, version)?;
        let message = decoder.get()?;
        Ok((message, decoder.into_rest()))
    }

    /// A decoder at the start of a message of that version.
    #[doc(hidden)]
    fn decoder(frame: Bytes, version: i16) -> Result<Decoder, DecodeError> {
        if version < Self::VERSIONS.0 || version > Self::VERSIONS.1 {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        Ok(Decoder::new(frame, version, version >= Self::FLEXIBLE))
    }

    /// Writes the message behind what `encoder` holds, whose version and dialect become the message's.
    fn encode(&self, encoder: &mut Encoder, version: i16) {
        if version < Self::VERSIONS.0 || version > Self::VERSIONS.1 {
            return encoder.fail(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        encoder.version = version;
        encoder.flexible = version >= Self::FLEXIBLE;
        self.put(encoder);
    }

    /// Bytes that the message takes in this version, external records included; the error that writing it would give.
    fn encoded_size(&self, version: i16) -> Result<usize, EncodeError> {
        let mut encoder = Encoder::counting(version, false);
        self.encode(&mut encoder, version);
        encoder.finish_count()
    }

    /// The message as one buffer; records are copied. [`frame`](crate::frame) has the way that does not copy.
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut encoder = Encoder::new(version, false);
        self.encode(&mut encoder, version);
        let mut segments = encoder.finish()?;
        if let [Segment::Bytes(_)] = segments[..]
            && let Some(Segment::Bytes(only)) = segments.pop()
        {
            return Ok(only);
        }
        let mut out = BytesMut::new();
        for segment in segments {
            match segment {
                Segment::Bytes(bytes) => out.put_slice(&bytes),
                Segment::External { .. } => return Err(EncodeError::ExternalRecords),
            }
        }
        Ok(out.freeze())
    }
}

/// A request's body and what answers it.
pub trait Request: Message {
    /// The API it belongs to.
    const KEY: crate::ApiKey;
    /// The body of the answer, in the same version.
    type Response: Message;
}
