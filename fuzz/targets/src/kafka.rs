//! Kafka's frames, messages and records.

use bytes::{BufMut, Bytes, BytesMut};
use kolk_wire_kafka::codec::Message;
use kolk_wire_kafka::frame::{self, RequestHeader};
use kolk_wire_kafka::records::message_set::{self, MessageSet};
use kolk_wire_kafka::records::{
    BatchBuilder, Batches, Compression, RecordIter, batch, check_produce_batch, crc, record::decompressed,
};
use kolk_wire_kafka::{ApiKey, for_each_api, messages};

/// Bytes that one input may decompress to.
const UNPACKED_BYTES_MAX: usize = 1 << 20;

/// A frame as a connection gets it: size, header, body.
pub fn request(input: Bytes) {
    let mut inbox = BytesMut::from(&input[..]);
    let Ok(Some(frame)) = frame::split(&mut inbox, 1 << 20) else { return };
    let Ok((header, body)) = RequestHeader::decode(frame) else { return };
    let Some(api) = ApiKey::from_key(header.api_key) else { return };
    decode_request(api, header.api_version, body);
}

/// A response as our own client gets it: int16 key, int16 version, body.
pub fn response(input: Bytes) {
    let Some((head, _)) = input.split_first_chunk::<4>() else { return };
    let [a, b, c, d] = *head;
    let Some(api) = ApiKey::from_key(i16::from_be_bytes([a, b])) else { return };
    decode_response(api, i16::from_be_bytes([c, d]), input.slice(4..));
}

fn round<M: Message>(version: i16, body: Bytes) {
    let Ok(message) = M::decode(body, version) else { return };
    let written = message.to_bytes(version).expect("what was decoded has a place in its version");
    assert_eq!(message.encoded_size(version), Ok(written.len()));
    let again = M::decode(written.clone(), version).expect("what was written can be read");
    // Compared as bytes: a NaN differs from itself.
    assert_eq!(again.to_bytes(version).as_ref(), Ok(&written));
}

macro_rules! by_api {
    ($($name:ident = $key:literal, $min:literal, $max:literal, $stable:literal, $flexible:expr,
        $module:ident::{$request:ident, $response:ident};)*) => {
        fn decode_request(api: ApiKey, version: i16, body: Bytes) {
            match api { $(ApiKey::$name => round::<messages::$module::$request>(version, body),)* }
        }

        fn decode_response(api: ApiKey, version: i16, body: Bytes) {
            match api { $(ApiKey::$name => round::<messages::$module::$response>(version, body),)* }
        }

        /// An empty request of every API in its first and last version.
        pub fn request_seeds() -> Vec<Vec<u8>> {
            let mut seeds = Vec::new();
            $(for version in [$min, $max] {
                let header = RequestHeader {
                    api_key: $key,
                    api_version: version,
                    correlation_id: 1,
                    client_id: Some("c".into()),
                };
                let body = messages::$module::$request::default();
                seeds.extend(frame::encode_request(&header, &body).and_then(|frame| frame.to_bytes()));
            })*
            seeds.into_iter().map(Into::into).collect()
        }

        /// An empty response of every API in its first and last version.
        pub fn response_seeds() -> Vec<Vec<u8>> {
            let mut seeds: Vec<Vec<u8>> = Vec::new();
            $(for version in [$min, $max] {
                if let Ok(body) = messages::$module::$response::default().to_bytes(version) {
                    let (key, version): (i16, i16) = ($key, version);
                    seeds.push([&key.to_be_bytes()[..], &version.to_be_bytes(), &body].concat());
                }
            })*
            seeds
        }
    };
}
for_each_api!(by_api);

/// A records field of magic 2. The first batch also gets its right length and checksum, so that what is behind them is
/// reached.
pub fn records(input: Bytes) {
    each_batch(&input);
    let mut mended = BytesMut::from(&input[..]);
    if mended.len() >= batch::HEADER_BYTES {
        let length = (mended.len() - 12) as i32;
        mended[8..12].copy_from_slice(&length.to_be_bytes());
        mended[16] = 2;
        let sum = crc::crc32c(&mended[21..]);
        mended[17..21].copy_from_slice(&sum.to_be_bytes());
        let mended = mended.freeze();
        if let Ok(header) = check_produce_batch(&mended) {
            assert_eq!(header.total_bytes, mended.len());
            assert!(header.last_offset_delta >= 0 && header.last_offset() >= header.base_offset);
        }
        each_batch(&mended);
    }
}

fn each_batch(records: &Bytes) {
    let mut total = 0;
    for found in Batches::new(records.clone()) {
        let Ok((header, batch)) = found else { break };
        total += batch.len();
        assert_eq!(header.total_bytes, batch.len());
        assert_eq!(header.to_bytes()[..], batch[..batch::HEADER_BYTES]);
        let Ok(block) = decompressed(&header, &batch, UNPACKED_BYTES_MAX) else { continue };
        let plain = matches!(header.compression(), Ok(Compression::None));
        assert!(plain || block.len() <= UNPACKED_BYTES_MAX, "the limit on decompression holds");
        let mut left = block.len();
        for record in RecordIter::new(&header, &block) {
            let Ok(record) = record else { break };
            let held = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            left = left.checked_sub(held).expect("records do not overlap");
            let headers = record.headers;
            assert_eq!(headers.count(), record.headers.len());
        }
        for magic in [0, 1] {
            let _ = message_set::down_convert(&header, &batch, magic, 0, UNPACKED_BYTES_MAX);
        }
    }
    assert!(total <= records.len());
}

/// Batches of every codec, of one record and of several.
pub fn record_seeds() -> Vec<Vec<u8>> {
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let mut seeds = Vec::new();
    for codec in codecs {
        for count in [1, 5] {
            let mut builder = BatchBuilder::new(codec);
            for n in 0..count {
                builder.append(1_700_000_000_000 + n, Some(b"key"), Some(&[b'v'; 40]), &[("h", Some(b"1"))]);
            }
            seeds.push(builder.build().expect("a small batch can be built").to_vec());
        }
    }
    seeds
}

/// A message set of magic 0 or 1, as it is and with right checksums.
pub fn message_set(input: Bytes) {
    one_set(&input);
    let mut mended = BytesMut::from(&input[..]);
    let mut at = 0;
    while let Some(head) = mended.get(at..at + 16) {
        let size = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        let Ok(size) = usize::try_from(size) else { break };
        if size < 4 || mended.len() < at + 12 + size {
            break;
        }
        let sum = crc::crc32(&mended[at + 16..at + 12 + size]);
        mended[at + 12..at + 16].copy_from_slice(&sum.to_be_bytes());
        at += 12 + size;
    }
    one_set(&mended.freeze());
}

fn one_set(bytes: &Bytes) {
    if let Ok(set) = MessageSet::decode(bytes, UNPACKED_BYTES_MAX) {
        assert!(set.trailing <= bytes.len());
        let held: usize =
            set.messages.iter().filter_map(|message| message.value.as_ref()).map(Bytes::len).sum();
        assert!(held <= bytes.len() + UNPACKED_BYTES_MAX);
    }
    if let Ok(batch) = message_set::up_convert(bytes, UNPACKED_BYTES_MAX) {
        check_produce_batch(&batch).expect("what we convert is a sound batch");
    }
}

/// Message sets of both magics, with and without a wrapper.
pub fn message_set_seeds() -> Vec<Vec<u8>> {
    let message = |offset| message_set::Message {
        offset,
        timestamp: Some(1_500_000_000_000),
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::from_static(b"value value value")),
    };
    let mut seeds = Vec::new();
    for magic in [0, 1] {
        for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4] {
            let time = kolk_wire_kafka::records::TimestampType::CreateTime;
            let set = MessageSet::encode(&[message(0), message(1)], magic, codec, time);
            seeds.push(set.expect("two messages can be written").to_vec());
        }
    }
    // A wrapper in a wrapper: what only a hostile client sends.
    let inner = Bytes::from(seeds[5].clone());
    let nested = message_set::Message { value: Some(inner), ..message(0) };
    let time = kolk_wire_kafka::records::TimestampType::CreateTime;
    let set = MessageSet::encode(&[nested], 1, Compression::Gzip, time);
    let mut out = BytesMut::new();
    out.put_slice(&set.expect("one message can be written"));
    seeds.push(out.to_vec());
    seeds
}
