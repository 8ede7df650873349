//! Crate `kafka-protocol`: 0.15.1 knows the versions that Kafka 4.0 removed, 0.18.0 those that came with it.

use crate::notation::{Api, Schema};
use crate::{Cases, generated, value};

macro_rules! release {
    ($name:ident, $krate:ident) => {
        /// Versions of an API that this release knows.
        fn $name(api: &Api) -> Option<(i16, i16, Again)> {
            use $krate::messages::{ApiKey, RequestKind, ResponseKind};
            let key = ApiKey::try_from(api.key).ok()?;
            let versions = key.valid_versions();
            let again: Again = |key, request, bytes, version| {
                let key = ApiKey::try_from(key).map_err(|()| "no such key".to_owned())?;
                let mut input = bytes::Bytes::copy_from_slice(bytes);
                let mut output = bytes::BytesMut::new();
                let done = if request {
                    RequestKind::decode(key, &mut input, version)
                        .and_then(|value| value.encode(&mut output, version))
                } else {
                    ResponseKind::decode(key, &mut input, version)
                        .and_then(|value| value.encode(&mut output, version))
                };
                done.map_err(|error| format!("{error:#}"))?;
                if !input.is_empty() {
                    return Err(format!("{} bytes not read", input.len()));
                }
                Ok(output.to_vec())
            };
            Some((versions.min, versions.max, again))
        }
    };
}

/// Reads and writes again: key, whether it is the request, bytes, version.
type Again = fn(i16, bool, &[u8], i16) -> Result<Vec<u8>, String>;

release!(old, kafka_protocol_old);
release!(new, kafka_protocol_new);

pub fn compare(schema: &Schema, values: u64, cases: &mut Cases) {
    let generated = generated();
    for (release, range) in [("0.15.1", old as fn(&Api) -> _), ("0.18.0", new)] {
        for api in &schema.apis {
            let Some((min, max, again)) = range(api) else { continue };
            let (min, max) = (min.max(api.versions.min), max.min(api.versions.max));
            for (is_request, message) in [(true, &api.request), (false, &api.response)] {
                let mut last = None;
                let mut result = Ok(());
                'all: for version in min..=max {
                    for seed in 0..values {
                        let same = value(&generated, message, version, seed).and_then(|bytes| {
                            match again(api.key, is_request, &bytes, version) {
                                Ok(other) if other == bytes => Ok(()),
                                Ok(other) => Err(format!("{bytes:02x?} became {other:02x?}")),
                                Err(why) => Err(format!("{why}: {bytes:02x?}")),
                            }
                        });
                        match same {
                            Ok(()) => last = Some(version),
                            // It lists versions in its table of APIs that its message then lacks.
                            Err(why) if why.contains("version not supported by this message") => break 'all,
                            Err(why) => {
                                result = Err(format!("version {version} seed {seed}: {why}"));
                                break 'all;
                            }
                        }
                    }
                }
                let result = result.and_then(|()| match last {
                    Some(last) => Ok(format!("versions {min} to {last}")),
                    None => Err("no version in common".to_owned()),
                });
                cases.case(&format!("kafka-protocol {release} {}", message.name), result);
            }
        }
    }
}
