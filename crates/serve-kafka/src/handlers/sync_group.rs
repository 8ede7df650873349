//! SyncGroup (key 14), versions 0 to 5.
//!
//! The leader gives the assignments, everybody gets their own, once it is in the log. From version 3 static members name
//! their instance (KIP-345), from 5 protocol type and name must be there and the group's (KIP-559).

use bytes::Bytes;
use kolk_broker::Permit;
use kolk_broker::groups::SyncRequest;
use kolk_wire_kafka::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use kolk_wire_kafka::{ErrorCode, Str};

use super::Context;
use crate::connection::Close;
use crate::errors;

const PROTOCOL_VERSION_MIN: i16 = 5;

/// `held` is given back while the leader is waited for.
pub(crate) async fn handle(
    context: &Context<'_>,
    request: SyncGroupRequest,
    held: Permit,
) -> Result<SyncGroupResponse, Close> {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if context.version() >= PROTOCOL_VERSION_MIN && !names_protocol {
        let error_code = ErrorCode::InconsistentGroupProtocol.code();
        return Ok(SyncGroupResponse { error_code, ..Default::default() });
    }
    Ok(match context.broker().sync_group(detached(request), held).await {
        Ok(synced) => SyncGroupResponse {
            protocol_type: Some(Str::from(synced.protocol_type)),
            protocol_name: Some(Str::from(synced.protocol)),
            assignment: synced.assignment,
            ..Default::default()
        },
        Err(error) => SyncGroupResponse { error_code: errors::of_group(&error).code(), ..Default::default() },
    })
}

/// Copies: what waits, or is kept as an assignment, would keep the whole frame.
fn detached(request: SyncGroupRequest) -> SyncRequest {
    let assignments = request.assignments.iter();
    SyncRequest {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.map(String::from),
        generation: request.generation_id,
        protocol_type: request.protocol_type.map(String::from),
        protocol: request.protocol_name.map(String::from),
        assignments: assignments
            .map(|one| (one.member_id.to_string(), Bytes::copy_from_slice(&one.assignment)))
            .collect(),
    }
}
