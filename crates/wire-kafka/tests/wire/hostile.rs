//! Bytes that no honest client sends: errors, never a panic, never memory that the input does not pay for.

use bytes::{Bytes, BytesMut};
use kolk_wire_kafka::codec::{DecodeError, LIST_MEMORY_MAX, Message};
use kolk_wire_kafka::frame::{self, FrameError, RequestHeader};
use kolk_wire_kafka::messages::fetch::FetchRequest;
use kolk_wire_kafka::messages::metadata::MetadataRequest;
use kolk_wire_kafka::messages::produce::ProduceRequest;
use kolk_wire_kafka::records::message_set::MessageSet;
use kolk_wire_kafka::records::{Batches, RecordIter, record::decompressed};

use crate::for_each_version;
use crate::memory::peak_bytes;
use crate::vectors::vector;

/// The most bytes that a decoded message may hold for each byte of its frame: an empty string in a flexible version is
/// one byte on the wire and a `Str` of 32 in memory, doubled while its array grows, and arrays nest. (80 is the worst found.)
const FACTOR: usize = 100;
const SLACK_BYTES: usize = 4096;

fn decode_bounded(codec: &crate::Codec, bytes: &Bytes, version: i16, what: &str) -> bool {
    let (result, peak) = peak_bytes(|| (codec.decode)(bytes.clone(), version));
    let limit = FACTOR * bytes.len() + SLACK_BYTES;
    assert!(peak <= limit, "key {} {version} {what}: {peak} bytes held for {}", codec.key, bytes.len());
    result.is_ok()
}

#[test]
fn every_cut_of_every_message_is_an_error() {
    for_each_version(|codec, message, version| {
        for seed in 0..3 {
            let whole = Bytes::from(vector(message, version, seed));
            for cut in 0..whole.len() {
                let cut = whole.slice(..cut);
                assert!(
                    !decode_bounded(codec, &cut, version, "cut"),
                    "{} {version} {}",
                    message.name,
                    cut.len()
                );
            }
        }
    });
}

#[test]
fn lengths_that_lie_cost_nothing() {
    let lies: [&[u8]; 5] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x80, 0x00, 0x00, 0x00],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x00, 0x00, 0x03, 0xff],
    ];
    for_each_version(|codec, message, version| {
        let whole = vector(message, version, 1);
        for lie in lies {
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                for (to, from) in bytes[at..].iter_mut().zip(lie) {
                    *to = *from;
                }
                decode_bounded(codec, &bytes.into(), version, "lie");
            }
        }
    });
}

#[test]
fn noise_is_decoded_or_refused() {
    let mut state = 1u64;
    for_each_version(|codec, _, version| {
        for length in [1, 7, 40, 300, 5000] {
            for kind in 0..6 {
                let noise: Vec<u8> = (0..length)
                    .map(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        let byte = (state >> 56) as u8;
                        // Small numbers make lengths that can be met; a run of one value nests as deep as can be.
                        [byte, byte & 1, byte & 3, byte & 7, 1, 2][kind]
                    })
                    .collect();
                decode_bounded(codec, &noise.into(), version, "noise");
            }
        }
    });
}

#[test]
fn many_of_the_smallest_elements_are_paid_for() {
    for_each_version(|codec, message, version| {
        let head = vector(message, version, 0);
        for (count, filler) in [([0x00, 0x00, 0x7f, 0xff], 0u8), ([0xff, 0xff, 0x01, 0x01], 1)] {
            for at in (0..head.len().min(24)).chain([head.len()]) {
                let mut bytes = head[..at].to_vec();
                bytes.extend(count);
                bytes.resize(40_000, filler);
                decode_bounded(codec, &bytes.into(), version, "many");
            }
        }
    });
}

#[test]
fn unknown_tags_are_skipped_and_lying_ones_refused() {
    let plain = MetadataRequest::default().to_bytes(9).unwrap();
    let without_tags = &plain[..plain.len() - 1];
    let with = |tags: &[u8]| MetadataRequest::decode([without_tags, tags].concat().into(), 9);
    assert_eq!(with(&[0]), with(&[2, 77, 3, 1, 2, 3, 78, 0]));
    assert!(matches!(with(&[1, 77, 3, 1, 2]), Err(DecodeError::Truncated { .. })));
    assert!(matches!(with(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(DecodeError::Truncated { .. })));
    assert!(matches!(with(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Err(DecodeError::VarintTooLong)));

    // Tag 0 of Fetch 12 is the cluster's id, here of one byte in a value announced as three.
    let plain = FetchRequest::default().to_bytes(12).unwrap();
    let lying = [&plain[..plain.len() - 1], &[1, 0, 3, 2, b'x', 0]].concat();
    assert_eq!(FetchRequest::decode(lying.into(), 12), Err(DecodeError::TagSize { tag: 0 }));
}

#[test]
fn versions_out_of_range_and_bad_strings_are_refused() {
    for version in [-1, 14, i16::MAX, i16::MIN] {
        let error = DecodeError::UnsupportedVersion { message: "ProduceRequest", version };
        assert_eq!(ProduceRequest::decode(Bytes::new(), version), Err(error));
    }
    let not_utf8 = Bytes::from_static(&[0, 0, 0, 1, 0, 1, 0xff]);
    assert_eq!(MetadataRequest::decode(not_utf8, 0), Err(DecodeError::NotUtf8));
    let negative = Bytes::from_static(&[0xff, 0xff, 0xff, 0xfe]);
    assert_eq!(MetadataRequest::decode(negative, 0), Err(DecodeError::NegativeLength(-2)));
    let null = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    assert_eq!(MetadataRequest::decode(null.clone(), 0), Err(DecodeError::UnexpectedNull));
    assert_eq!(MetadataRequest::decode(null, 1).map(|request| request.topics), Ok(None));
}

#[test]
fn frames_that_lie_are_refused_before_they_are_read() {
    let split = |bytes: &[u8]| frame::split(&mut BytesMut::from(bytes), 100);
    assert_eq!(split(&[0, 0, 0]), Ok(None));
    assert_eq!(split(&[0, 0, 0, 2, 1]), Ok(None));
    assert_eq!(split(&[0, 0, 0, 101]), Err(FrameError::TooLarge { size: 101, max: 100 }));
    assert_eq!(split(&[0xff, 0xff, 0xff, 0xff]), Err(FrameError::NegativeSize(-1)));
    // "GET / HTTP/1.1" on the wrong port.
    assert!(matches!(split(b"GET / HTTP/1.1\r\n"), Err(FrameError::TooLarge { size: 0x4745_5420, .. })));
    for cut in 0..10 {
        let header = Bytes::from(vec![0; 10]);
        assert_eq!(RequestHeader::decode(header.slice(..cut)).is_ok(), cut == 10);
    }
}

#[test]
fn noise_in_records_is_refused() {
    let mut state = 7u64;
    for round in 0..20_000 {
        let mut noise: Vec<u8> = (0..round % 200)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        if let Some(magic) = noise.get_mut(16) {
            *magic %= 3;
        }
        // A length that fits lets the rest be looked at.
        if noise.len() > 61 {
            let length = (noise.len() - 12) as i32;
            noise[8..12].copy_from_slice(&length.to_be_bytes());
        }
        let noise = Bytes::from(noise);
        let _ = MessageSet::decode(&noise, 1 << 16);
        for (header, batch) in Batches::new(noise).flatten() {
            if let Ok(block) = decompressed(&header, &batch, 1 << 16) {
                assert!(RecordIter::new(&header, &block).count() <= block.len() + 1);
            }
        }
    }
}

/// A Metadata request of two million empty names is 2 MiB on the wire and would be over 100 MiB decoded.
#[test]
fn lists_that_grow_too_much_in_memory_are_refused() {
    let count = 2_000_000i32;
    let mut bytes = BytesMut::from(&count.to_be_bytes()[..]);
    bytes.resize(4 + 2 * count as usize, 0);
    let frame = bytes.freeze();
    let found = MetadataRequest::decode(frame.clone(), 1);
    assert_eq!(found.err(), Some(DecodeError::ListsTooLarge { limit: LIST_MEMORY_MAX }));

    let (weighed, peak) = peak_bytes(|| MetadataRequest::weigh(frame, 1, usize::MAX));
    assert!(weighed.unwrap() > 2 * LIST_MEMORY_MAX);
    assert!(peak < 1024, "{peak} bytes held to weigh it");
}

/// A compact length can announce more than the plain one. Such a string came in and could go out in no version: a group that
/// had it for its id closed the connection of whoever listed the groups. Kafka 4.4.0 refuses 32,768 bytes and takes 32,767.
#[test]
fn a_string_is_no_longer_than_the_plain_dialect_can_write() {
    let topic = |length: usize| {
        let mut bytes = vec![2];
        let mut announced = length + 1;
        while announced >= 0x80 {
            bytes.push((announced & 0x7f) as u8 | 0x80);
            announced >>= 7;
        }
        bytes.push(announced as u8);
        bytes.resize(bytes.len() + length, b'x');
        bytes.extend([0, 1, 0, 0, 0]);
        MetadataRequest::decode(bytes.into(), 9)
    };
    let longest = topic(32_767).unwrap();
    assert_eq!(MetadataRequest::decode(longest.to_bytes(1).unwrap(), 1).unwrap().topics, longest.topics);
    assert_eq!(topic(32_768), Err(DecodeError::StringTooLong { length: 32_768 }));
    assert_eq!(topic(1 << 27), Err(DecodeError::StringTooLong { length: 1 << 27 }));
}
