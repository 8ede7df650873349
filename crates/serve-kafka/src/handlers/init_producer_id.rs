//! InitProducerId (key 22), versions 0 to 5.
//!
//! Gives an idempotent producer an id, epoch 0. Transactions are not served: a transactional id answers
//! TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which clients take as final.

use kolk_wire_kafka::ErrorCode;
use kolk_wire_kafka::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::Context;
use crate::connection::Close;
use crate::errors;

/// No producer id, no epoch.
const NONE: i64 = -1;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: InitProducerIdRequest,
) -> Result<InitProducerIdResponse, Close> {
    let failed = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    // A producer knows both or neither.
    if (request.producer_id == NONE) != (i64::from(request.producer_epoch) == NONE) {
        return Ok(failed(ErrorCode::InvalidRequest));
    }
    if let Some(id) = &request.transactional_id {
        let code = if id.is_empty() {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::TransactionalIdAuthorizationFailed
        };
        return Ok(failed(code));
    }
    Ok(match context.broker().new_producer_id().await? {
        Ok(producer_id) => InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() },
        Err(refusal) => failed(errors::of_refusal(&refusal)),
    })
}
