//! ListShards: a page of a stream's shards by one of six filters; 1000 where MaxResults is not given.
//!
//! A filter is resolved to an instant on the first page and carried in the token, so that pages tile the hash space even
//! while the stream is resharded. Tokens live for 300 seconds.
//!
//! A member of our own, `KolkPlaces`, asks for each shard's partition and offsets too (`kolk shard list`).
//!
//! Source: API reference, ListShards and ShardFilter.

use kolk_broker::shards::{Listing, ShardFilter, Stream};
use kolk_engine::{ShardId, TopicId};
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::iterator::{ShardsFilter, ShardsPage};
use kolk_wire_kinesis::replies::ListShardsOutput;
use kolk_wire_kinesis::requests::{ListShardsInput, ShardFilter as Asked, ShardFilterType};

use super::shared::{self, invalid};
use crate::service::Service;
use crate::texts::token_error;

const SHARDS_DEFAULT: usize = 1000;

/// Listings of more shards than this are made one at a time.
const WIDE_SHARDS_MIN: usize = 100;

pub(crate) async fn handle(
    service: &Service,
    input: ListShardsInput,
) -> Result<ListShardsOutput, ServiceError> {
    let now_ms = service.broker().now_ms();
    let (stream, listing, after) = match &input.next_token {
        Some(token) => next_page(service, &input, token, now_ms).await?,
        None => first_page(service, &input, now_ms).await?,
    };
    let limit = input.max_results.map_or(SHARDS_DEFAULT, |limit| limit as usize);
    let _turn = if limit.min(stream.topic.shards.len()) > WIDE_SHARDS_MIN {
        Some(service.wide_turn().await)
    } else {
        None
    };
    let page = stream.list(listing, now_ms, after, limit);
    let next_token = page.shards.last().filter(|_| page.more).map(|last| {
        let next = ShardsPage {
            topic_id: stream.topic.id.0.to_be_bytes(),
            stream_name: stream.topic.name.to_string(),
            after_shard_index: last.id.0,
            filter: Some(kept(listing)),
        };
        next.seal(service.sealer(), now_ms, service.nonce())
    });
    let shown = if input.kolk_places == Some(true) { shared::shown_with_place } else { shared::shown };
    Ok(ListShardsOutput { next_token, shards: Some(page.shards.iter().map(shown).collect()) })
}

async fn next_page(
    service: &Service,
    input: &ListShardsInput,
    token: &str,
    now_ms: i64,
) -> Result<(Stream, Listing, Option<ShardId>), ServiceError> {
    for (given, name) in [
        (input.stream_name.is_some(), "StreamName"),
        (input.stream_creation_timestamp.is_some(), "StreamCreationTimestamp"),
        (input.exclusive_start_shard_id.is_some(), "ExclusiveStartShardId"),
        (input.shard_filter.is_some(), "ShardFilter"),
    ] {
        if given {
            return Err(invalid(format!("NextToken and {name} cannot be provided together.")));
        }
    }
    let page = ShardsPage::open(service.sealer(), token, now_ms).map_err(token_error)?;
    let topic = TopicId(u128::from_be_bytes(page.topic_id));
    let stream = service.shards().stream_by_id(topic).await;
    let stream = stream.map_err(|error| service.shards_error(error, &page.stream_name))?;
    let listing = page.filter.and_then(listing).ok_or_else(|| invalid("Invalid NextToken."))?;
    Ok((stream, listing, Some(ShardId(page.after_shard_index))))
}

/// A listing as a token keeps it.
fn kept(listing: Listing) -> ShardsFilter {
    let (filter_type, at_ms, shard_index) = match listing {
        Listing::At(at_ms) => (ShardFilterType::AtTimestamp, at_ms, 0),
        Listing::From(from_ms) => (ShardFilterType::FromTimestamp, from_ms, 0),
        Listing::After(shard) => (ShardFilterType::AfterShardId, 0, shard.0),
    };
    ShardsFilter { filter_type, at_ms, shard_index }
}

/// A listing as a token kept it.
fn listing(filter: ShardsFilter) -> Option<Listing> {
    match filter.filter_type {
        ShardFilterType::AtTimestamp => Some(Listing::At(filter.at_ms)),
        ShardFilterType::FromTimestamp => Some(Listing::From(filter.at_ms)),
        ShardFilterType::AfterShardId => Some(Listing::After(ShardId(filter.shard_index))),
        ShardFilterType::AtTrimHorizon | ShardFilterType::FromTrimHorizon | ShardFilterType::AtLatest => None,
    }
}

async fn first_page(
    service: &Service,
    input: &ListShardsInput,
    now_ms: i64,
) -> Result<(Stream, Listing, Option<ShardId>), ServiceError> {
    if input.stream_name.is_none() && input.stream_arn.is_none() {
        return Err(invalid("Either NextToken or StreamName should be provided."));
    }
    let arn = input.stream_arn.as_deref();
    let name = service.named(input.stream_name.clone(), arn, input.stream_id.as_deref())?;
    let filter = match &input.shard_filter {
        Some(asked) => filter_of(asked)?,
        None => ShardFilter::FromTrimHorizon,
    };
    let after = shared::parse_start(input.exclusive_start_shard_id.as_deref())?;
    let stream = service.stream(&name).await?;
    // Clients send back what they were told, some of them in whole seconds.
    let other_life = |asked_ms: i64| asked_ms.div_euclid(1000) != stream.topic.created_ms.div_euclid(1000);
    if input.stream_creation_timestamp.is_some_and(|asked| other_life(asked.0)) {
        return Err(service.stream_not_found(&name));
    }
    let listing = filter.resolve(&stream.topic, stream.retention_ms, now_ms);
    Ok((stream, listing, after))
}

fn filter_of(asked: &Asked) -> Result<ShardFilter, ServiceError> {
    let missing = |member: &str| {
        invalid(format!("{member} must be provided for a shard filter of type {}.", asked.filter_type))
    };
    let at_ms = || asked.timestamp.map(|at| at.0).ok_or_else(|| missing("Timestamp"));
    Ok(match asked.filter_type {
        ShardFilterType::AfterShardId => {
            let id = asked.shard_id.as_deref().ok_or_else(|| missing("ShardId"))?;
            let shard =
                shared::parse_shard_id(id).ok_or_else(|| invalid(format!("Invalid ShardId {id}.")))?;
            ShardFilter::AfterShard(shard)
        }
        ShardFilterType::AtTrimHorizon => ShardFilter::AtTrimHorizon,
        ShardFilterType::FromTrimHorizon => ShardFilter::FromTrimHorizon,
        ShardFilterType::AtLatest => ShardFilter::AtLatest,
        ShardFilterType::AtTimestamp => ShardFilter::AtTimestamp(at_ms()?),
        ShardFilterType::FromTimestamp => ShardFilter::FromTimestamp(at_ms()?),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kolk_broker::shards::Shards;
    use kolk_broker::{Broker, Settings as BrokerSettings};
    use kolk_engine::door::real;
    use kolk_engine::memory::{MemoryEngine, MemoryOptions};
    use kolk_wire_kinesis::requests::CreateStreamInput;

    use super::*;
    use crate::service::Settings;

    fn list(name: &str, max_results: Option<i32>) -> ListShardsInput {
        ListShardsInput { stream_name: Some(name.to_owned()), max_results, ..Default::default() }
    }

    /// Beside 500 clients that listed 1000 shards again and again and read no answer, a put took up to 9 s: it waited for its
    /// turn of the processor among all of them.
    #[tokio::test]
    async fn long_listings_are_made_one_at_a_time_and_short_ones_do_not_wait() {
        let door = real::door(real::DiskOptions::default());
        let engine = Arc::new(MemoryEngine::new(door.clone(), MemoryOptions::default()));
        let broker = Broker::new(engine, door, BrokerSettings::default());
        let service = Service::new(Shards::new(broker), Settings::new([7; 32]));
        for (name, shards) in [("wide", 200), ("narrow", 2)] {
            let create = CreateStreamInput {
                shard_count: Some(shards),
                stream_name: name.to_owned(),
                ..Default::default()
            };
            super::super::create_stream::handle(&service, create).await.expect("a stream");
        }
        let turn = service.wide_turn().await;
        let short = async {
            for short in [list("wide", Some(100)), list("narrow", None)] {
                handle(&service, short).await.expect("a listing that waits for nobody");
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = handle(&service, list("wide", None)) => panic!("it is not its turn"),
            () = short => {}
        }
        drop(turn);
        let shards = handle(&service, list("wide", None)).await.expect("a listing").shards;
        assert_eq!(shards.map(|shards| shards.len()), Some(200));
    }
}
