//! What is inside the tokens: shard iterators and the pages of ListShards and ListStreams.
//!
//! An iterator is a position that was worked out when it was issued; whether it began as LATEST or AT_TIMESTAMP no
//! longer matters. It carries the topic's id, so that the iterator of a stream that was deleted and made again leads
//! nowhere, and the stream's name, so that the error can say which stream that was.

use crate::model::kinds::Enumerated as _;
use crate::model::requests::ShardFilterType;
use crate::token::{NONCE_BYTES, Purpose, Sealer, TokenError};

/// A position in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardIterator {
    /// The topic's id.
    pub topic_id: [u8; 16],
    /// The stream's name, at most 255 bytes.
    pub stream_name: String,
    /// The shard within the stream.
    pub shard_index: u32,
    /// The offset, in the shard's partition, of the next record to read.
    pub offset: i64,
}

/// A page of ListShards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardsPage {
    /// The topic's id.
    pub topic_id: [u8; 16],
    /// The stream's name, at most 255 bytes.
    pub stream_name: String,
    /// The last shard of the page before.
    pub after_shard_index: u32,
    /// Which shards are listed.
    pub filter: Option<ShardsFilter>,
}

/// A shard filter, resolved against the clock when the first page was asked for, so that all pages tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardsFilter {
    /// The filter as asked for.
    pub filter_type: ShardFilterType,
    /// The instant it is about, milliseconds since 1970; 0 where it is about none.
    pub at_ms: i64,
    /// The shard it is about; 0 where it is about none.
    pub shard_index: u32,
}

/// A page of ListStreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsPage {
    /// The last stream of the page before.
    pub after_stream_name: String,
}

impl ShardIterator {
    /// As a token.
    pub fn seal(&self, sealer: &Sealer, now_ms: i64, nonce: [u8; NONCE_BYTES]) -> String {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&self.topic_id);
        out.extend_from_slice(&self.shard_index.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(self.stream_name.as_bytes());
        sealer.seal(Purpose::ShardIterator, now_ms, &out, nonce)
    }

    /// Out of a token.
    pub fn open(sealer: &Sealer, token: &str, now_ms: i64) -> Result<Self, TokenError> {
        let content = sealer.open(Purpose::ShardIterator, token, now_ms)?;
        let mut fields = Fields(&content);
        Ok(Self {
            topic_id: fields.array()?,
            shard_index: u32::from_be_bytes(fields.array()?),
            offset: i64::from_be_bytes(fields.array()?),
            stream_name: fields.text()?,
        })
    }
}

impl ShardsPage {
    /// As a token.
    pub fn seal(&self, sealer: &Sealer, now_ms: i64, nonce: [u8; NONCE_BYTES]) -> String {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&self.topic_id);
        out.extend_from_slice(&self.after_shard_index.to_be_bytes());
        let code = |filter: ShardsFilter| {
            let at = ShardFilterType::VALUES.iter().position(|(_, value)| *value == filter.filter_type);
            at.expect("VALUES lists every filter") as u8 + 1
        };
        out.push(self.filter.map_or(0, code));
        out.extend_from_slice(&self.filter.map_or(0, |filter| filter.at_ms).to_be_bytes());
        out.extend_from_slice(&self.filter.map_or(0, |filter| filter.shard_index).to_be_bytes());
        out.extend_from_slice(self.stream_name.as_bytes());
        sealer.seal(Purpose::ListShards, now_ms, &out, nonce)
    }

    /// Out of a token.
    pub fn open(sealer: &Sealer, token: &str, now_ms: i64) -> Result<Self, TokenError> {
        let content = sealer.open(Purpose::ListShards, token, now_ms)?;
        let mut fields = Fields(&content);
        let topic_id = fields.array()?;
        let after_shard_index = u32::from_be_bytes(fields.array()?);
        let [code] = fields.array()?;
        let at_ms = i64::from_be_bytes(fields.array()?);
        let shard_index = u32::from_be_bytes(fields.array()?);
        let filter = match usize::from(code).checked_sub(1) {
            None => None,
            Some(at) => {
                let (_, filter_type) = ShardFilterType::VALUES.get(at).ok_or(TokenError::Invalid)?;
                Some(ShardsFilter { filter_type: *filter_type, at_ms, shard_index })
            }
        };
        Ok(Self { topic_id, stream_name: fields.text()?, after_shard_index, filter })
    }
}

impl StreamsPage {
    /// As a token.
    pub fn seal(&self, sealer: &Sealer, now_ms: i64, nonce: [u8; NONCE_BYTES]) -> String {
        sealer.seal(Purpose::ListStreams, now_ms, self.after_stream_name.as_bytes(), nonce)
    }

    /// Out of a token.
    pub fn open(sealer: &Sealer, token: &str, now_ms: i64) -> Result<Self, TokenError> {
        let content = sealer.open(Purpose::ListStreams, token, now_ms)?;
        Ok(Self { after_stream_name: Fields(&content).text()? })
    }
}

/// Reads fields one after the other. A sealed token that lacks one was made by another release.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], TokenError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(TokenError::Invalid)?;
        self.0 = rest;
        Ok(*array)
    }

    fn text(&mut self) -> Result<String, TokenError> {
        let rest = std::mem::take(&mut self.0);
        String::from_utf8(rest.to_vec()).map_err(|_| TokenError::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn iterators_round_trip_and_fit_512_characters(
            topic_id: [u8; 16], stream_name in "[a-zA-Z0-9_.-]{1,128}", shard_index: u32, offset: i64,
        ) {
            let sealer = Sealer::new(&[1; 32]);
            let iterator = ShardIterator { topic_id, stream_name, shard_index, offset };
            let token = iterator.seal(&sealer, 1, [2; 24]);
            prop_assert!(token.len() <= 512);
            prop_assert_eq!(ShardIterator::open(&sealer, &token, 2), Ok(iterator));
            prop_assert_eq!(ShardsPage::open(&sealer, &token, 2), Err(TokenError::Invalid));
        }

        #[test]
        fn pages_round_trip(
            topic_id: [u8; 16], stream_name in "[a-zA-Z0-9_.-]{1,128}", after_shard_index: u32,
            filter in proptest::option::of((0usize..6, any::<i64>(), any::<u32>())),
        ) {
            let sealer = Sealer::new(&[1; 32]);
            let filter = filter.map(|(at, at_ms, shard_index)| {
                ShardsFilter { filter_type: ShardFilterType::VALUES[at].1, at_ms, shard_index }
            });
            let streams = StreamsPage { after_stream_name: stream_name.clone() };
            let shards = ShardsPage { topic_id, stream_name, after_shard_index, filter };
            let token = shards.seal(&sealer, 1, [2; 24]);
            prop_assert_eq!(ShardsPage::open(&sealer, &token, 2), Ok(shards));
            let token = streams.seal(&sealer, 1, [2; 24]);
            prop_assert_eq!(StreamsPage::open(&sealer, &token, 2), Ok(streams));
        }
    }
}
