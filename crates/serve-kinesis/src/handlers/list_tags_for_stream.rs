//! ListTagsForStream: a page of a stream's tags in order of their keys; 50 where no Limit is given.
//!
//! Source: API reference, ListTagsForStream.

use kolk_broker::streams;
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::ListTagsForStreamOutput;
use kolk_wire_kinesis::requests::ListTagsForStreamInput;

use super::shared;
use crate::service::Service;

pub(crate) async fn handle(
    service: &Service,
    input: ListTagsForStreamInput,
) -> Result<ListTagsForStreamOutput, ServiceError> {
    let name = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    let stream = service.stream(&name).await?;
    let limit = input.limit.map_or(streams::TAGS_MAX, |limit| limit as usize);
    let after = input.exclusive_start_tag_key;
    let mut rest =
        shared::tags(&stream.topic).filter(|tag| after.as_ref().is_none_or(|after| tag.key > *after));
    let tags = rest.by_ref().take(limit).collect();
    Ok(ListTagsForStreamOutput { has_more_tags: rest.next().is_some(), tags })
}
