//! The generated messages against the schema they were made from, interpreted.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read the schema's files")]

use bytes::Bytes;
use kolk_wire_kafka::codec::{DecodeError, EncodeError, LIST_MEMORY_MAX, Message};
use kolk_wire_kafka::{for_each_api, messages};

mod frames;
mod hostile;
mod memory;
#[path = "../../schema/notation.rs"]
#[allow(dead_code)]
mod notation;
mod round_trip;
mod rules;
#[path = "../../schema/vectors.rs"]
mod vectors;

/// What the tests do with a message of any type.
struct Codec {
    key: i16,
    request: bool,
    decode: fn(Bytes, i16) -> Result<(), DecodeError>,
    /// Reads and writes in the same version; gives the bytes.
    again: fn(Bytes, i16) -> Result<Bytes, DecodeError>,
    /// Reads in the first and writes in the second version, what came out is read and written again.
    across: fn(Bytes, i16, i16) -> Result<(), EncodeError>,
}

fn decode<M: Message>(bytes: Bytes, version: i16) -> Result<(), DecodeError> {
    let weighed = M::weigh(bytes.clone(), version, LIST_MEMORY_MAX);
    let decoded = M::decode_weighed(bytes, version, LIST_MEMORY_MAX).map(|(_, list_bytes)| list_bytes);
    assert_eq!(weighed, decoded, "{} {version}: what it weighs, and why it cannot be read", M::NAME);
    decoded.map(drop)
}

fn again<M: Message>(bytes: Bytes, version: i16) -> Result<Bytes, DecodeError> {
    let (message, rest) = M::decode_rest(bytes, version)?;
    assert!(rest.is_empty(), "{} {version}: {} bytes not read", M::NAME, rest.len());
    let written = message.to_bytes(version).expect("what was read can be written");
    assert_eq!(message.encoded_size(version), Ok(written.len()), "{} {version}", M::NAME);
    assert_eq!(M::decode(written.clone(), version).as_ref(), Ok(&message), "{} {version}", M::NAME);
    Ok(written)
}

fn across<M: Message>(bytes: Bytes, from: i16, to: i16) -> Result<(), EncodeError> {
    let message = M::decode(bytes, from).expect("a canonical message");
    let written = message.to_bytes(to)?;
    let read = M::decode(written.clone(), to).expect("what was written can be read");
    assert_eq!(read.to_bytes(to), Ok(written), "{} {from} {to}", M::NAME);
    Ok(())
}

macro_rules! codecs {
    ($($name:ident = $key:literal, $min:literal, $max:literal, $stable:literal, $flexible:expr,
        $module:ident::{$request:ident, $response:ident};)*) => {
        const CODECS: &[Codec] = &[$(
            Codec {
                key: $key,
                request: true,
                decode: decode::<messages::$module::$request>,
                again: again::<messages::$module::$request>,
                across: across::<messages::$module::$request>,
            },
            Codec {
                key: $key,
                request: false,
                decode: decode::<messages::$module::$response>,
                again: again::<messages::$module::$response>,
                across: across::<messages::$module::$response>,
            },
        )*];
    };
}
for_each_api!(codecs);

fn schema() -> notation::Schema {
    let mut schema = notation::Schema::default();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/schema");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "kolk") {
            schema.add(&std::fs::read_to_string(&path).unwrap()).unwrap();
        }
    }
    schema
}

/// Calls `test` with every message of every API and every version of it.
fn for_each_version(mut test: impl FnMut(&Codec, &notation::Message, i16)) {
    let schema = schema();
    let mut seen = 0;
    for api in &schema.apis {
        for (request, message) in [(true, &api.request), (false, &api.response)] {
            let codec = CODECS.iter().find(|codec| codec.key == api.key && codec.request == request).unwrap();
            for version in api.versions.min..=api.versions.max {
                test(codec, message, version);
                seen += 1;
            }
        }
    }
    assert!(seen > 400, "only {seen} versions");
}
