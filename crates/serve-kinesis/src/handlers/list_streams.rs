//! ListStreams: a page of streams in order of their names; 100 where no Limit is given.
//!
//! Topics whose names are longer than 128 characters are not streams.
//!
//! Source: API reference, ListStreams.

use std::sync::Arc;

use kolk_broker::streams;
use kolk_engine::state::Topic;
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::iterator::StreamsPage;
use kolk_wire_kinesis::replies::{ListStreamsOutput, StreamSummary};
use kolk_wire_kinesis::requests::ListStreamsInput;

use super::shared::{self, invalid};
use crate::service::Service;
use crate::texts::{engine_error, token_error};

const STREAMS_DEFAULT: usize = 100;

pub(crate) async fn handle(
    service: &Service,
    input: ListStreamsInput,
) -> Result<ListStreamsOutput, ServiceError> {
    let now_ms = service.broker().now_ms();
    let after = match (input.next_token, input.exclusive_start_stream_name) {
        (None, after) => after,
        (Some(_), Some(_)) => {
            return Err(invalid("NextToken and ExclusiveStartStreamName cannot be provided together."));
        }
        (Some(token), None) => {
            let page = StreamsPage::open(service.sealer(), &token, now_ms);
            Some(page.map_err(token_error)?.after_stream_name)
        }
    };
    let limit = input.limit.map_or(STREAMS_DEFAULT, |limit| limit as usize);
    let page = streams::list(service.broker(), after.as_deref(), limit).await;
    let page = page.map_err(|error| engine_error(&error))?;
    let next_token = page.streams.last().filter(|_| page.more).map(|last| {
        let next = StreamsPage { after_stream_name: last.name.to_string() };
        next.seal(service.sealer(), now_ms, service.nonce())
    });
    let summary = |topic: &Arc<Topic>| StreamSummary {
        stream_arn: service.arn(&topic.name),
        stream_creation_timestamp: Some(shared::created(topic)),
        stream_mode_details: shared::mode(topic),
        stream_name: topic.name.to_string(),
        stream_status: shared::STATUS,
    };
    Ok(ListStreamsOutput {
        has_more_streams: page.more,
        next_token,
        stream_names: page.streams.iter().map(|topic| topic.name.to_string()).collect(),
        stream_summaries: Some(page.streams.iter().map(summary).collect()),
    })
}
