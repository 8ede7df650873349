//! RemoveTagsFromStream: forgets tags of a stream; those it does not have are no error.
//!
//! Source: API reference, RemoveTagsFromStream.

use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::RemoveTagsFromStreamInput;

use crate::service::Service;

pub(crate) async fn handle(
    service: &Service,
    input: RemoveTagsFromStreamInput,
) -> Result<Nothing, ServiceError> {
    let stream = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    service.change_tags(&stream, input.tag_keys.into_iter().map(|key| (key, None)).collect()).await
}
