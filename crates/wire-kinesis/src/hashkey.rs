//! Hash keys: where a partition key falls among 2^128, and how shards divide them.

use std::ops::RangeInclusive;

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

/// The ranges of `shards` shards as CreateStream cuts them: equally wide, the last takes what is left over.
///
/// # Panics
/// If `shards` is 0.
pub fn uniform(shards: u32) -> impl ExactSizeIterator<Item = RangeInclusive<u128>> {
    (0..shards).map(move |shard| uniform_range(shards, shard))
}

/// The range of one of [`uniform`]'s shards.
///
/// # Panics
/// If `shard` is not below `shards`.
pub fn uniform_range(shards: u32, shard: u32) -> RangeInclusive<u128> {
    assert!(shard < shards, "shard {shard} of {shards}");
    if shards == 1 {
        return 0..=u128::MAX;
    }
    let shards = u128::from(shards);
    // floor(2^128 / shards): 2^128 itself does not fit, so divide 2^128 - 1 and look whether one more completes a share.
    let width = u128::MAX / shards + u128::from(u128::MAX % shards == shards - 1);
    let shard = u128::from(shard);
    let end = if shard + 1 == shards { u128::MAX } else { width * (shard + 1) - 1 };
    width * shard..=end
}

/// The two ranges that a split at `key` makes: `key` is the first of the upper one.
///
/// `None` where the service refuses: the key must lie above the second key of the range and below its last.
pub fn split(
    range: &RangeInclusive<u128>,
    key: u128,
) -> Option<(RangeInclusive<u128>, RangeInclusive<u128>)> {
    let lowest = range.start().checked_add(2)?;
    (key >= lowest && key < *range.end()).then(|| (*range.start()..=key - 1, key..=*range.end()))
}

/// The range that a merge of two makes, in this order; `None` if they are not neighbours.
pub fn merge(lower: &RangeInclusive<u128>, upper: &RangeInclusive<u128>) -> Option<RangeInclusive<u128>> {
    (lower.end().checked_add(1)? == *upper.start()).then(|| *lower.start()..=*upper.end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_fall_where_the_service_puts_them() {
        // MD5("a") and MD5(""), RFC 1321's own test vectors.
        assert_eq!(of_partition_key("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
        assert_eq!(of_partition_key(""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
    }

    #[test]
    fn three_shards_are_cut_as_the_service_cuts_them() {
        let ranges: Vec<_> = uniform(3).collect();
        assert_eq!(ranges[1].start().to_string(), "113427455640312821154458202477256070485");
        assert_eq!(ranges[2].start().to_string(), "226854911280625642308916404954512140970");
        assert_eq!(ranges[2].end().to_string(), "340282366920938463463374607431768211455");
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

    #[test]
    fn a_split_leaves_two_keys_below_and_one_above() {
        assert_eq!(split(&(0..=10), 1), None);
        assert_eq!(split(&(0..=10), 2), Some((0..=1, 2..=10)));
        assert_eq!(split(&(0..=10), 9), Some((0..=8, 9..=10)));
        assert_eq!(split(&(0..=10), 10), None);
        assert_eq!(split(&(u128::MAX..=u128::MAX), u128::MAX), None);
        assert_eq!(merge(&(0..=4), &(5..=9)), Some(0..=9));
        assert_eq!(merge(&(5..=9), &(0..=4)), None);
        assert_eq!(merge(&(0..=u128::MAX), &(0..=1)), None);
    }

    proptest! {
        #[test]
        fn uniform_ranges_tile_the_space(shards in 1u32..20_000) {
            let mut next = Some(0);
            for range in uniform(shards) {
                prop_assert_eq!(Some(*range.start()), next);
                prop_assert!(range.start() <= range.end());
                next = range.end().checked_add(1);
            }
            prop_assert_eq!(next, None);
        }
    }
}
