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
    let mut told = BTreeSet::new();
    let mut groups = request.groups_names;
    groups.retain(|group| told.insert(group.clone()));
    let answers = context.broker().delete_groups(&groups).await;
    let results = groups.into_iter().zip(answers).map(|(group_id, answer)| match answer {
        Ok(()) => DeletableGroupResult { group_id, ..Default::default() },
        Err(error) => DeletableGroupResult {
            group_id,
            error_code: errors::of_group(&error).code(),
            error_message: Some(Str::from(error.to_string())),
        },
    });
    Ok(DeleteGroupsResponse { throttle_time_ms: 0, results: results.collect() })
}
