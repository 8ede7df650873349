//! DeleteStream: deletes a topic with its records, shards and committed offsets. It is gone at once.
//!
//! EnforceConsumerDeletion has no effect: registered consumers do not exist yet.
//!
//! Source: API reference, DeleteStream.

use kolk_engine::state::Command;
use kolk_wire_kinesis::ServiceError;
use kolk_wire_kinesis::replies::Nothing;
use kolk_wire_kinesis::requests::DeleteStreamInput;

use crate::service::Service;

pub(crate) async fn handle(service: &Service, input: DeleteStreamInput) -> Result<Nothing, ServiceError> {
    let name = service.named(input.stream_name, input.stream_arn.as_deref(), input.stream_id.as_deref())?;
    let topic = service.stream(&name).await?.topic.id;
    service.decided(service.broker().propose(Command::DeleteTopic { topic }), &name).await?;
    Ok(Nothing {})
}
