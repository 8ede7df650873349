//! Heartbeat (key 12), versions 0 to 4.
//!
//! Answered from memory: it waits neither for the log nor for room in the byte budget. From version 3 static members name
//! their instance (KIP-345).

use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::Context;
use crate::connection::Close;
use crate::errors;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: HeartbeatRequest,
) -> Result<HeartbeatResponse, Close> {
    let instance = request.group_instance_id.as_deref();
    let answer =
        context.broker().heartbeat(&request.group_id, &request.member_id, instance, request.generation_id);
    let code = answer.map_or_else(|error| errors::of_group(&error), |()| ErrorCode::None);
    Ok(HeartbeatResponse { error_code: code.code(), ..Default::default() })
}
