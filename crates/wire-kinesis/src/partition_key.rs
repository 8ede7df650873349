//! Kafka keys as partition keys: a view, the log keeps the original bytes.
//!
//! A partition key is 1 to 256 characters of text. Kafka keys that are such text are shown as they are; others are
//! shown under a reserved prefix, so that records of one key still share one partition key:
//!
//! | Kafka key | shown as |
//! |---|---|
//! | UTF-8 text of 1..=256 characters | itself |
//! | null or empty | `kolk:none` |
//! | other bytes, up to 180 | `kolk:b64:` and their base64url |
//! | anything longer | `kolk:sha256:` and the hash in base64url |

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::model::constraints::text_length;

/// Shown for records without a key.
pub const NONE: &str = "kolk:none";

/// Before the base64url of a key that is no text.
pub const BASE64_PREFIX: &str = "kolk:b64:";

/// Before the base64url of a long key's SHA-256.
pub const HASH_PREFIX: &str = "kolk:sha256:";

const CHARACTERS_MAX: usize = 256;
const BASE64_BYTES_MAX: usize = 180;

/// The partition key under which a Kinesis reader sees a record with this Kafka key.
pub fn of_kafka_key(key: Option<&[u8]>) -> Cow<'_, str> {
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Cow::Borrowed(NONE) };
    match std::str::from_utf8(key) {
        Ok(text) if text_length(text) <= CHARACTERS_MAX => Cow::Borrowed(text),
        Err(_) if key.len() <= BASE64_BYTES_MAX => {
            Cow::Owned(format!("{BASE64_PREFIX}{}", URL_SAFE_NO_PAD.encode(key)))
        }
        _ => Cow::Owned(format!("{HASH_PREFIX}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(key)))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table_of_the_module_comment() {
        assert_eq!(of_kafka_key(Some(b"N10156")), "N10156");
        assert_eq!(of_kafka_key(Some("é".repeat(256).as_bytes())), "é".repeat(256));
        assert_eq!(of_kafka_key(None), NONE);
        assert_eq!(of_kafka_key(Some(b"")), NONE);
        assert_eq!(of_kafka_key(Some(&[0xff, 0xfe])), "kolk:b64:__4");
        assert_eq!(
            of_kafka_key(Some(&[b'a'; 257])),
            format!("{HASH_PREFIX}{}", URL_SAFE_NO_PAD.encode(Sha256::digest([b'a'; 257])))
        );
    }

    proptest! {
        #[test]
        fn every_key_is_shown_as_a_legal_partition_key(key in proptest::collection::vec(any::<u8>(), 0..400)) {
            let shown = of_kafka_key(Some(&key));
            prop_assert!((1..=CHARACTERS_MAX).contains(&text_length(&shown)));
        }
    }
}
