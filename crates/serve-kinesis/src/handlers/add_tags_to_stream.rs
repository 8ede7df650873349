//! AddTagsToStream: sets tags of a stream; at most 50 there may be afterwards.
//!
//! Source: API reference, AddTagsToStream.

use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::AddTagsToStreamInput;

use crate::service::Service;

pub(crate) async fn handle(service: &Service, input: AddTagsToStreamInput) -> Result<Nothing, ServiceError> {
    let stream = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    service
        .change_tags(&stream, input.tags.into_iter().map(|(key, value)| (key, Some(value))).collect())
        .await
}
