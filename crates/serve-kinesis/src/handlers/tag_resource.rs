//! TagResource: AddTagsToStream by ARN. Consumers and queues, which it may also name, do not exist yet.
//!
//! Source: API reference, TagResource.

use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::TagResourceInput;

use crate::service::Service;

pub(crate) async fn handle(service: &Service, input: TagResourceInput) -> Result<Nothing, ServiceError> {
    let stream = service.named(None, Some(&input.resource_arn), input.stream_id.as_deref())?;
    service
        .change_tags(&stream, input.tags.into_iter().map(|(key, value)| (key, Some(value))).collect())
        .await
}
