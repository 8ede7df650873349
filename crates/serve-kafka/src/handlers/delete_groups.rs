//! DeleteGroups (key 42), versions 0 to 3.
//!
//! A group with members answers NON_EMPTY_GROUP. Version 3 carries a message for each.

use std::collections::BTreeSet;

use kolk_wire_kafka::Str;
use kolk_wire_kafka::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::Context;
use crate::connection::Close;
use crate::errors;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: DeleteGroupsRequest,
) -> Result<DeleteGroupsResponse, Close> {
    let mut results = Vec::with_capacity(request.groups_names.len());
    let mut told = BTreeSet::new();
    for group_id in request.groups_names {
        if !told.insert(group_id.clone()) {
            continue;
        }
        let mut result = DeletableGroupResult { group_id, ..Default::default() };
        if let Err(error) = context.broker().delete_group(&result.group_id).await {
            result.error_code = errors::of_group(&error).code();
            result.error_message = Some(Str::from(error.to_string()));
        }
        results.push(result);
    }
    Ok(DeleteGroupsResponse { throttle_time_ms: 0, results })
}
