//! Hash keys: where a partition key falls among 2^128. How shards divide them is the engine's rule.

use md5::{Digest as _, Md5};

/// Where a partition key falls: the MD5 of its UTF-8 bytes, read as a big-endian number.
pub fn of_partition_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// A text matched the pattern of hash keys (at most 39 digits) but lies at or above 2^128, or it did not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash key lies between 0 and 2^128-1")]
pub struct OutOfRange;

/// Reads a decimal hash key.
pub fn parse(text: &str) -> Result<u128, OutOfRange> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(OutOfRange);
    }
    text.parse().map_err(|_| OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fall_where_the_service_puts_them() {
        // MD5("a") and MD5(""), RFC 1321's own test vectors.
        assert_eq!(of_partition_key("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
        assert_eq!(of_partition_key(""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
    }

    #[test]
    fn the_bounds_of_hash_keys() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("340282366920938463463374607431768211455"), Ok(u128::MAX));
        assert_eq!(parse("340282366920938463463374607431768211456"), Err(OutOfRange));
        assert_eq!(parse("999999999999999999999999999999999999999"), Err(OutOfRange));
        assert_eq!(parse("+1"), Err(OutOfRange));
        assert_eq!(parse(""), Err(OutOfRange));
    }
}
