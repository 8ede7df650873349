//! FindCoordinator (key 10), versions 0 to 6.
//!
//! This broker coordinates every group. Transactions are not served: a transactional id answers
//! TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which Java, librdkafka and kafka-python take as final; a retriable code would
//! make them ask for ever. Share groups' state (key type 2, version 6) answers INVALID_REQUEST.

use kolk_wire_kafka::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::Context;
use crate::connection::Close;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// From here on many keys can be asked for at once.
const BATCHED_VERSION_MIN: i16 = 4;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: FindCoordinatorRequest,
) -> Result<FindCoordinatorResponse, Close> {
    if context.version() >= BATCHED_VERSION_MIN {
        let address = context.advertised();
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| find(context, &address, request.key_type, key)).collect();
        return Ok(FindCoordinatorResponse { coordinators, ..Default::default() });
    }
    let mut found = find(context, &context.advertised(), request.key_type, request.key);
    if found.error_code == 0 {
        found.error_message = Some(Str::from_static("NONE"));
    }
    Ok(FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Default::default()
    })
}

fn find(context: &Context<'_>, address: &(Str, i32), key_type: i8, key: Str) -> Coordinator {
    let failed = |key, code: ErrorCode, message| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: code.code(),
        error_message: Some(Str::from_static(message)),
        ..Default::default()
    };
    match key_type {
        GROUP => {
            let (host, port) = address.clone();
            let node_id = context.broker().settings().node_id;
            Coordinator { key, node_id, host, port, error_code: 0, error_message: Some(Str::default()) }
        }
        TRANSACTION => failed(
            key,
            ErrorCode::TransactionalIdAuthorizationFailed,
            "This version of Kolk does not serve transactions.",
        ),
        _ => failed(key, ErrorCode::InvalidRequest, "Unsupported coordinator type."),
    }
}
