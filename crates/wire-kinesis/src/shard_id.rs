//! Shard ids: `shardId-` and twelve digits that count up over a stream's life.

use crate::sequence::SHARD_INDEX_MAX;

/// The id of the shard with that index.
pub fn format(index: u32) -> String {
    format!("shardId-{index:012}")
}

/// The index behind an id. The service takes `shardId-000000000007`, `shardId-7`, `7` and any other word in front of
/// the hyphen; `None` if there is no number up to 2^31-1.
pub fn parse(id: &str) -> Option<u32> {
    let digits = match id.split('-').nth(1) {
        Some(second) if !second.is_empty() => second,
        _ => id,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|&index| index <= SHARD_INDEX_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_the_service_takes() {
        for id in ["shardId-000000000007", "shardId-7", "7", "x-7", "shardId-0000000000000000007"] {
            assert_eq!(parse(id), Some(7), "{id}");
        }
        assert_eq!(parse("2147483647"), Some(SHARD_INDEX_MAX));
        for id in ["", "-", "shardId-", "shardId--1", "shardId-x", "2147483648", "99999999999999999999", "+7"]
        {
            assert_eq!(parse(id), None, "{id}");
        }
        assert_eq!(format(7), "shardId-000000000007");
        assert_eq!(parse(&format(SHARD_INDEX_MAX)), Some(SHARD_INDEX_MAX));
    }
}
