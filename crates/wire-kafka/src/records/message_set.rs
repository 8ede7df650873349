//! Message sets: the record formats before Kafka 0.11, magic 0 and 1, for Produce 0-2 and Fetch 0-3.
//!
//! ```text
//! int64 offset | int32 size | uint32 CRC-32 of what follows | int8 magic | int8 attributes | [int64 timestamp]
//!              | int32 key length, -1 null | key | int32 value length, -1 null | value
//! ```
//! The timestamp is there in magic 1 (KIP-32). Attributes: bits 0-2 the codec, bit 3 append time (magic 1). A compressed
//! message is a wrapper whose value is a message set: its inner offsets are absolute in magic 0, and in magic 1 relative
//! and counted back from the wrapper's, which is the last message's (KIP-31). Append time on the wrapper is the time of
//! all inside.
//!
//! Source: KIP-31, KIP-32, KAFKA-3160 (the LZ4 checksum of magic 0). The ways up and down follow what Kafka did until 4.0
//! took them out (KIP-724): downwards headers are lost and control batches left out; upwards a message without a
//! timestamp gets -1.

use bytes::{BufMut, Bytes, BytesMut};

use super::batch::{BatchHeader, Compression, TimestampType};
use super::compress::{self, CompressError, compress, decompress};
use super::crc::crc32;
use super::record::{BatchBuilder, RecordError, RecordIter, decompressed};
use crate::ErrorCode;

/// Bytes of offset and size in front of a message.
const LOG_OVERHEAD: usize = 12;
/// Bytes of a message of magic 0 with neither key nor value, from the checksum on.
const MESSAGE_MIN: usize = 14;
const BIT_APPEND_TIME: i8 = 1 << 3;

/// Why bytes are not a message set, or cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum MessageSetError {
    #[error("message {index} is damaged: {why}")]
    Damaged { index: usize, why: &'static str },
    #[error("message {index} has checksum {stored:#010x}, the bytes give {computed:#010x}")]
    BadChecksum { index: usize, stored: u32, computed: u32 },
    #[error("magic {0} is not a message set's")]
    WrongMagic(i8),
    #[error("codec {codec} does not go with magic {magic}")]
    UnsupportedCodec { codec: i8, magic: i8 },
    #[error("a compressed message within a compressed message")]
    Nested,
    #[error("{0} bytes behind the last whole message")]
    Trailing(usize),
    #[error(transparent)]
    Compress(#[from] CompressError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl MessageSetError {
    /// The code that Kafka answers a Produce with.
    pub const fn code(&self) -> ErrorCode {
        match self {
            MessageSetError::Damaged { .. }
            | MessageSetError::BadChecksum { .. }
            | MessageSetError::WrongMagic(_)
            | MessageSetError::Trailing(_)
            | MessageSetError::Compress(_)
            | MessageSetError::Record(_) => ErrorCode::CorruptMessage,
            MessageSetError::UnsupportedCodec { .. } => ErrorCode::UnsupportedCompressionType,
            MessageSetError::Nested => ErrorCode::InvalidRecord,
        }
    }
}

/// One message, taken out of its wrapper if it was in one. Key and value are slices of what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// As found; in what a producer sends, any number.
    pub offset: i64,
    /// Milliseconds since 1970; `None` in magic 0.
    pub timestamp: Option<i64>,
    /// The key, if there is one.
    pub key: Option<Bytes>,
    /// The value; null is a tombstone.
    pub value: Option<Bytes>,
}

/// A message set as values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSet {
    /// The messages, wrappers opened.
    pub messages: Vec<Message>,
    /// Highest magic among them, 0 or 1.
    pub magic: i8,
    /// Codec of the first wrapper, `None` when there is none.
    pub compression: Compression,
    /// Whether a wrapper or message says that the timestamps are append time.
    pub timestamp_type: TimestampType,
    /// Bytes behind the last whole message: a fetch may cut the last one short.
    pub trailing: usize,
}

impl MessageSet {
    /// Reads a message set, checksums checked, wrappers opened; all that is decompressed together has at most `limit` bytes.
    pub fn decode(bytes: &Bytes, limit: usize) -> Result<MessageSet, MessageSetError> {
        let mut set = MessageSet {
            messages: Vec::new(),
            magic: 0,
            compression: Compression::None,
            timestamp_type: TimestampType::CreateTime,
            trailing: 0,
        };
        let mut left = limit;
        let mut reader = Reader { bytes: bytes.clone(), index: 0 };
        while let Some(raw) = reader.next()? {
            set.magic = set.magic.max(raw.magic);
            if raw.append_time() {
                set.timestamp_type = TimestampType::LogAppendTime;
            }
            let codec = raw.codec()?;
            if codec == Compression::None {
                set.messages.push(raw.into_message());
                continue;
            }
            if set.compression == Compression::None {
                set.compression = codec;
            }
            let damaged = |why| MessageSetError::Damaged { index: reader.index - 1, why };
            let packed = raw.value.as_ref().ok_or(damaged("a wrapper without a value"))?;
            let block = unpack(codec, raw.magic, packed, left)?;
            left -= block.len();
            let first = set.messages.len();
            let mut inner = Reader { bytes: block.into(), index: 0 };
            while let Some(message) = inner.next()? {
                if message.codec()? != Compression::None {
                    return Err(MessageSetError::Nested);
                }
                if message.magic != raw.magic {
                    return Err(damaged("magic differs within a wrapper"));
                }
                let mut message = message.into_message();
                if raw.append_time() {
                    message.timestamp = raw.timestamp;
                }
                set.messages.push(message);
            }
            if !inner.bytes.is_empty() {
                return Err(damaged("bytes behind the last message of a wrapper"));
            }
            let Some(last) = set.messages[first..].last().map(|message| message.offset) else {
                return Err(damaged("an empty wrapper"));
            };
            if raw.magic == 1 {
                for message in &mut set.messages[first..] {
                    message.offset = message.offset.wrapping_sub(last).wrapping_add(raw.offset);
                }
            }
        }
        set.trailing = reader.bytes.len();
        Ok(set)
    }

    /// Writes messages with their offsets. Compressed, they become one wrapper with the last one's offset.
    ///
    /// In magic 1 a missing timestamp is -1, in magic 0 timestamps are dropped. Zstd does not exist here.
    pub fn encode(
        messages: &[Message],
        magic: i8,
        compression: Compression,
        timestamp_type: TimestampType,
    ) -> Result<Bytes, MessageSetError> {
        if !(0..=1).contains(&magic) {
            return Err(MessageSetError::WrongMagic(magic));
        }
        let mut out = BytesMut::new();
        let append_time =
            if timestamp_type == TimestampType::LogAppendTime && magic == 1 { BIT_APPEND_TIME } else { 0 };
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else { return Ok(out.freeze()) };
        let relative = compression != Compression::None && magic == 1;
        for message in messages {
            let offset = if relative { message.offset.wrapping_sub(first.offset) } else { message.offset };
            let (key, value) = (message.key.as_deref(), message.value.as_deref());
            put_message(&mut out, offset, magic, append_time, message.timestamp.unwrap_or(-1), key, value);
        }
        if compression == Compression::None {
            return Ok(out.freeze());
        }
        if compression == Compression::Zstd {
            return Err(MessageSetError::UnsupportedCodec { codec: compression as i8, magic });
        }
        let mut block = compress(compression, &out)?;
        if magic == 0 && compression == Compression::Lz4 {
            compress::lz4_set_header_checksum(&mut block, true);
        }
        out.clear();
        let newest = messages.iter().filter_map(|message| message.timestamp).max().unwrap_or(-1);
        put_message(
            &mut out,
            last.offset,
            magic,
            compression as i8 | append_time,
            newest,
            None,
            Some(&block),
        );
        Ok(out.freeze())
    }
}

/// Makes a batch of magic 2 of the message set that a producer sent, in its codec. Offsets start at 0, as in a batch from
/// a producer. The whole field has to be messages. `limit` bounds what is decompressed.
pub fn up_convert(records: &Bytes, limit: usize) -> Result<Bytes, MessageSetError> {
    let set = MessageSet::decode(records, limit)?;
    if set.trailing > 0 || set.messages.is_empty() {
        return Err(MessageSetError::Trailing(set.trailing));
    }
    let mut builder = BatchBuilder::new(set.compression);
    for message in &set.messages {
        builder.append(
            message.timestamp.unwrap_or(-1),
            message.key.as_deref(),
            message.value.as_deref(),
            &[],
        );
    }
    Ok(builder.build()?)
}

/// Makes a message set of one batch, for a client that fetches with version 0 or 1 (magic 0), 2 or 3 (magic 1): without
/// headers, records before `from_offset` left out, empty for a control batch. Offsets stay what they are.
/// `limit` bounds what is decompressed.
pub fn down_convert(
    header: &BatchHeader,
    batch: &Bytes,
    magic: i8,
    from_offset: i64,
    limit: usize,
) -> Result<Bytes, MessageSetError> {
    if header.is_control() {
        return Ok(Bytes::new());
    }
    let compression = header.compression().map_err(RecordError::from)?;
    let block = decompressed(header, batch, limit)?;
    let mut messages = Vec::new();
    for record in RecordIter::new(header, &block) {
        let record = record?;
        if record.offset >= from_offset {
            messages.push(Message {
                offset: record.offset,
                timestamp: (magic > 0).then_some(record.timestamp),
                key: record.key.map(|part| block.slice_ref(part)),
                value: record.value.map(|part| block.slice_ref(part)),
            });
        }
    }
    MessageSet::encode(&messages, magic, compression, header.timestamp_type())
}

/// A message as it stands, wrapper or not.
struct Raw {
    offset: i64,
    magic: i8,
    attributes: i8,
    timestamp: Option<i64>,
    key: Option<Bytes>,
    value: Option<Bytes>,
}

impl Raw {
    fn append_time(&self) -> bool {
        self.magic == 1 && self.attributes & BIT_APPEND_TIME != 0
    }

    fn codec(&self) -> Result<Compression, MessageSetError> {
        match Compression::from_attributes(i16::from(self.attributes)) {
            Some(codec) if codec != Compression::Zstd => Ok(codec),
            _ => Err(MessageSetError::UnsupportedCodec { codec: self.attributes & 7, magic: self.magic }),
        }
    }

    fn into_message(self) -> Message {
        Message { offset: self.offset, timestamp: self.timestamp, key: self.key, value: self.value }
    }
}

struct Reader {
    bytes: Bytes,
    index: usize,
}

impl Reader {
    /// The next whole message; `None` when what is left is none, which stays in `bytes`.
    fn next(&mut self) -> Result<Option<Raw>, MessageSetError> {
        let index = self.index;
        let damaged = |why| MessageSetError::Damaged { index, why };
        let Some((head, _)) = self.bytes.split_first_chunk::<LOG_OVERHEAD>() else { return Ok(None) };
        let [offset @ .., _, _, _, _] = *head;
        let size = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        let size = usize::try_from(size).map_err(|_| damaged("negative size"))?;
        if size < MESSAGE_MIN {
            return Err(damaged("size is below the smallest message"));
        }
        if self.bytes.len() - LOG_OVERHEAD < size {
            return Ok(None);
        }
        let mut body = self.bytes.split_to(LOG_OVERHEAD + size).split_off(LOG_OVERHEAD);
        self.index += 1;
        let stored = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
        let (magic, attributes) = (body[4] as i8, body[5] as i8);
        if !(0..=1).contains(&magic) {
            return Err(MessageSetError::WrongMagic(magic));
        }
        let computed = crc32(&body[4..]);
        if computed != stored {
            return Err(MessageSetError::BadChecksum { index, stored, computed });
        }
        let _ = body.split_to(6);
        let timestamp = if magic == 1 {
            let (bytes, _) = body.split_first_chunk::<8>().ok_or(damaged("no timestamp"))?;
            let timestamp = i64::from_be_bytes(*bytes);
            let _ = body.split_to(8);
            Some(timestamp)
        } else {
            None
        };
        let key = take_bytes(&mut body).ok_or(damaged("key"))?;
        let value = take_bytes(&mut body).ok_or(damaged("value"))?;
        if !body.is_empty() {
            return Err(damaged("bytes behind the value"));
        }
        Ok(Some(Raw { offset: i64::from_be_bytes(offset), magic, attributes, timestamp, key, value }))
    }
}

/// An int32 length and its bytes; `Some(None)` for null, `None` when they do not fit.
fn take_bytes(body: &mut Bytes) -> Option<Option<Bytes>> {
    let length = i32::from_be_bytes(*body.split_first_chunk::<4>()?.0);
    let _ = body.split_to(4);
    if length == -1 {
        return Some(None);
    }
    let length = usize::try_from(length).ok()?;
    (length <= body.len()).then(|| Some(body.split_to(length)))
}

fn unpack(codec: Compression, magic: i8, packed: &Bytes, limit: usize) -> Result<Vec<u8>, CompressError> {
    if codec == Compression::Lz4 && magic == 0 {
        let mut frame = packed.to_vec();
        compress::lz4_set_header_checksum(&mut frame, false);
        return decompress(codec, &frame, limit);
    }
    decompress(codec, packed, limit)
}

fn put_message(
    out: &mut BytesMut,
    offset: i64,
    magic: i8,
    attributes: i8,
    timestamp: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) {
    let start = out.len();
    out.put_i64(offset);
    out.put_bytes(0, 8);
    out.put_i8(magic);
    out.put_i8(attributes);
    if magic == 1 {
        out.put_i64(timestamp);
    }
    for part in [key, value] {
        match part {
            Some(part) => {
                out.put_i32(part.len() as i32);
                out.put_slice(part);
            }
            None => out.put_i32(-1),
        }
    }
    let size = (out.len() - start - LOG_OVERHEAD) as i32;
    let checksum = crc32(&out[start + 16..]);
    out[start + 8..start + 12].copy_from_slice(&size.to_be_bytes());
    out[start + 12..start + 16].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::check_produce_batch;

    const CODECS: [Compression; 4] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4];

    fn messages(magic: i8) -> Vec<Message> {
        let text = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        let time = |ms| (magic == 1).then_some(ms);
        vec![
            Message { offset: 100, timestamp: time(5), key: None, value: text("one") },
            Message { offset: 101, timestamp: time(4), key: text("k"), value: None },
            Message {
                offset: 105,
                timestamp: time(6),
                key: text(""),
                value: text("three three three three"),
            },
        ]
    }

    #[test]
    fn sets_come_back_in_both_magics_with_all_codecs() {
        for magic in [0, 1] {
            for codec in CODECS {
                let written =
                    MessageSet::encode(&messages(magic), magic, codec, TimestampType::CreateTime).unwrap();
                let read = MessageSet::decode(&written, 1 << 16).unwrap();
                assert_eq!(read.messages, messages(magic), "{magic} {codec:?}");
                assert_eq!((read.magic, read.compression, read.trailing), (magic, codec, 0));
            }
        }
    }

    #[test]
    fn a_known_message_of_magic_0() {
        // Offset 0, "hello" without a key; the checksum computed by zlib's crc32.
        let mut wire = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19];
        wire.extend([0x87, 0xa7, 0x7a, 0xb2, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 5]);
        wire.extend(b"hello");
        let set = MessageSet::decode(&wire.into(), 0).unwrap();
        assert_eq!(set.messages[0].value.as_deref(), Some(&b"hello"[..]));
    }

    #[test]
    fn append_time_on_a_wrapper_is_the_time_of_all() {
        let written =
            MessageSet::encode(&messages(1), 1, Compression::Gzip, TimestampType::LogAppendTime).unwrap();
        let read = MessageSet::decode(&written, 1 << 16).unwrap();
        assert!(read.messages.iter().all(|message| message.timestamp == Some(6)));
        assert_eq!(read.timestamp_type, TimestampType::LogAppendTime);
    }

    #[test]
    fn a_cut_message_at_the_end_is_left_over() {
        let whole =
            MessageSet::encode(&messages(1), 1, Compression::None, TimestampType::CreateTime).unwrap();
        for cut in 0..whole.len() {
            let set = MessageSet::decode(&whole.slice(..cut), 0).unwrap();
            assert!(set.messages.len() < 3);
            assert_eq!(
                up_convert(&whole.slice(..cut), 0).is_err(),
                set.trailing > 0 || set.messages.is_empty()
            );
        }
        // All of the first message but its offset, which no checksum covers.
        for at in 8..37 {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 1;
            let result = MessageSet::decode(&flipped.into(), 0);
            assert!(result.is_err() || result.unwrap().trailing > 0, "{at}");
        }
    }

    #[test]
    fn bombs_and_nesting_are_refused() {
        let zeros = Message { offset: 0, timestamp: None, key: None, value: Some(vec![0; 1 << 20].into()) };
        let bomb = MessageSet::encode(&[zeros], 0, Compression::Gzip, TimestampType::CreateTime).unwrap();
        let twice = Bytes::from([&bomb[..], &bomb[..]].concat());
        assert!(MessageSet::decode(&twice, 3 << 20).is_ok());
        let error = MessageSet::decode(&twice, (1 << 20) + 1000).unwrap_err();
        assert!(matches!(error, MessageSetError::Compress(CompressError::TooLarge { .. })));
        let mut nested = BytesMut::new();
        let block = compress(Compression::Gzip, &bomb).unwrap();
        put_message(&mut nested, 0, 0, 1, -1, None, Some(&block));
        assert_eq!(MessageSet::decode(&nested.freeze(), 1 << 20), Err(MessageSetError::Nested));
    }

    #[test]
    fn up_and_down() {
        for magic in [0, 1] {
            for codec in CODECS {
                let old =
                    MessageSet::encode(&messages(magic), magic, codec, TimestampType::CreateTime).unwrap();
                let batch = up_convert(&old, 1 << 16).unwrap();
                let header = check_produce_batch(&batch).unwrap();
                assert_eq!((header.record_count, header.compression()), (3, Ok(codec)));
                assert_eq!(header.max_timestamp, if magic == 0 { -1 } else { 6 });
                let down = down_convert(&header, &batch, magic, 1, 1 << 16).unwrap();
                let set = MessageSet::decode(&down, 1 << 16).unwrap();
                let mut expected = messages(magic).split_off(1);
                expected[0].offset = 1;
                expected[1].offset = 2;
                assert_eq!(set.messages, expected);
            }
        }
    }
}
