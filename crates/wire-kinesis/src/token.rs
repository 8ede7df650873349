//! Sealed tokens: opaque texts that only a server with the same key can make and read.
//!
//! A shard iterator or a page token must survive the trip through a client unchanged, tell nothing, and expire. In
//! base64 it looks like the service's own:
//!
//! ```text
//! 00 00 00 00 00 00 00 01 | nonce 24 | cipher text 104 + 16 k | tag 16
//! ```
//!
//! Sealed with XChaCha20-Poly1305: its nonce is long enough to be drawn at random for ever. The caller gives key, nonce
//! and clock. What the token is for takes part in the seal, so that one kind cannot be passed off as another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};

/// How long a token is good for: 300 seconds.
pub const LIFE_MS: i64 = 300_000;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;

const HEAD: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
const TAG_BYTES: usize = 16;
const CONTENT_BYTES_MIN: usize = 144 - NONCE_BYTES - TAG_BYTES;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A shard iterator.
    ShardIterator = 1,
    /// The next page of ListShards.
    ListShards = 2,
    /// The next page of ListStreams.
    ListStreams = 3,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours, not for this purpose, or damaged.
    #[error("the token is not one of ours")]
    Invalid,
    /// Once good, now too old.
    #[error("the token was issued at {issued_ms} ms and expired {LIFE_MS} ms later")]
    Expired {
        /// When it was issued, milliseconds since 1970.
        issued_ms: i64,
    },
}

/// Makes and reads tokens.
#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl Sealer {
    /// With the key that all servers of the stream share.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals `content`. `nonce` must be random.
    pub fn seal(&self, purpose: Purpose, issued_ms: i64, content: &[u8], nonce: [u8; NONCE_BYTES]) -> String {
        let mut token = Vec::with_capacity(256 + content.len());
        token.extend_from_slice(&HEAD);
        token.extend_from_slice(&nonce);
        let start = token.len();
        token.extend_from_slice(&issued_ms.to_be_bytes());
        token.extend_from_slice(content);
        // A 1 bit and zeros, up to the next length that the service's tokens have.
        token.push(0x80);
        let length = (token.len() - start).max(CONTENT_BYTES_MIN);
        let padded = CONTENT_BYTES_MIN + (length - CONTENT_BYTES_MIN).next_multiple_of(16);
        token.resize(start + padded, 0);
        let tag = self
            .0
            .encrypt_in_place_detached(XNonce::from_slice(&nonce), &[purpose as u8], &mut token[start..])
            .expect("a token is shorter than the cipher's limit of 256 GiB");
        token.extend_from_slice(&tag);
        STANDARD.encode(token)
    }

    /// Opens a token: when it was issued, and its content. Quotes around it are tolerated, as the service does.
    pub fn open(&self, purpose: Purpose, token: &str, now_ms: i64) -> Result<Vec<u8>, TokenError> {
        let token = token.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(token);
        let mut bytes = STANDARD.decode(token).map_err(|_| TokenError::Invalid)?;
        if bytes.len() < HEAD.len() + NONCE_BYTES + CONTENT_BYTES_MIN + TAG_BYTES || !bytes.starts_with(&HEAD)
        {
            return Err(TokenError::Invalid);
        }
        let tag = bytes.split_off(bytes.len() - TAG_BYTES);
        let mut content = bytes.split_off(HEAD.len() + NONCE_BYTES);
        let nonce = XNonce::from_slice(&bytes[HEAD.len()..]);
        self.0
            .decrypt_in_place_detached(nonce, &[purpose as u8], &mut content, tag.as_slice().into())
            .map_err(|_| TokenError::Invalid)?;
        let end = content.iter().rposition(|&byte| byte != 0).filter(|&at| content[at] == 0x80 && at >= 8);
        content.truncate(end.ok_or(TokenError::Invalid)?);
        let body = content.split_off(8);
        let issued_ms = i64::from_be_bytes(content.try_into().expect("split off at 8"));
        if now_ms.saturating_sub(issued_ms) > LIFE_MS {
            return Err(TokenError::Expired { issued_ms });
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&[7; 32])
    }

    #[test]
    fn a_token_lives_for_300_seconds() {
        let token = sealer().seal(Purpose::ShardIterator, 1_000, b"x", [1; 24]);
        let open = |now| sealer().open(Purpose::ShardIterator, &token, now);
        assert_eq!(open(1_000), Ok(b"x".to_vec()));
        assert_eq!(open(301_000), Ok(b"x".to_vec()));
        assert_eq!(open(301_001), Err(TokenError::Expired { issued_ms: 1_000 }));
        assert_eq!(open(0), Ok(b"x".to_vec()), "a clock that stepped back expires nothing");
    }

    #[test]
    fn a_token_opens_for_its_purpose_and_key_only() {
        let token = sealer().seal(Purpose::ShardIterator, 0, b"x", [1; 24]);
        assert_eq!(sealer().open(Purpose::ListShards, &token, 0), Err(TokenError::Invalid));
        assert_eq!(Sealer::new(&[8; 32]).open(Purpose::ShardIterator, &token, 0), Err(TokenError::Invalid));
        assert_eq!(sealer().open(Purpose::ShardIterator, &format!("\"{token}\""), 0), Ok(b"x".to_vec()));
    }

    proptest! {
        #[test]
        fn tokens_round_trip_and_have_the_services_lengths(content in proptest::collection::vec(any::<u8>(), 0..300)) {
            let token = sealer().seal(Purpose::ListShards, 5, &content, [3; 24]);
            let bytes = STANDARD.decode(&token).unwrap();
            prop_assert_eq!(&bytes[..8], &HEAD);
            prop_assert!(bytes.len() >= 152 && (bytes.len() - 152).is_multiple_of(16));
            prop_assert_eq!(sealer().open(Purpose::ListShards, &token, 5), Ok(content));
        }

        #[test]
        fn a_changed_token_is_invalid(at in 0usize..152, flip in 1u8..) {
            let token = sealer().seal(Purpose::ShardIterator, 5, b"content", [3; 24]);
            let mut bytes = STANDARD.decode(&token).unwrap();
            bytes[at] ^= flip;
            let changed = STANDARD.encode(bytes);
            prop_assert_eq!(sealer().open(Purpose::ShardIterator, &changed, 5), Err(TokenError::Invalid));
        }

        #[test]
        fn any_text_is_read_without_harm(text in ".{0,300}") {
            prop_assert_eq!(sealer().open(Purpose::ShardIterator, &text, 5), Err(TokenError::Invalid));
        }
    }
}
