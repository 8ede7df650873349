//! UntagResource: RemoveTagsFromStream by ARN. Consumers and queues, which it may also name, do not exist yet.
//!
//! Source: API reference, UntagResource.

use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::UntagResourceInput;

use crate::service::Service;

pub(crate) async fn handle(service: &Service, input: UntagResourceInput) -> Result<Nothing, ServiceError> {
    let stream = service.named(None, Some(&input.resource_arn), input.stream_id.as_deref())?;
    service.change_tags(&stream, input.tag_keys.into_iter().map(|key| (key, None)).collect()).await
}
