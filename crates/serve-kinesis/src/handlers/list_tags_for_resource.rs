//! ListTagsForResource: all tags of a stream by its ARN. Consumers and queues, which it may also name, do not exist yet.
//!
//! Source: API reference, ListTagsForResource.

use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::ListTagsForResourceOutput;
use kolk_wire_kinesis::requests::ListTagsForResourceInput;

use super::shared;
use crate::service::Service;

pub(crate) async fn handle(
    service: &Service,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, ServiceError> {
    let name = service.named(None, Some(&input.resource_arn), input.stream_id.as_deref())?;
    let stream = service.stream(&name).await?;
    Ok(ListTagsForResourceOutput { tags: Some(shared::tags(&stream.topic).collect()) })
}
