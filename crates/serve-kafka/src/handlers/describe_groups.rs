//! DescribeGroups (key 15), versions 0 to 6.
//!
//! Subscriptions and assignments are shown while the group is stable. A group that is not there is `Dead` without an
//! error, from version 6 GROUP_ID_NOT_FOUND (KIP-1043).

use std::collections::BTreeSet;

use kolk_broker::groups::GroupDescription;
use kolk_wire_kafka::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use kolk_wire_kafka::{ErrorCode, Str};

use super::{Context, OPERATIONS_UNASKED};
use crate::connection::Close;
use crate::errors;

/// All operations on a group, as bits of Kafka's AclOperation codes.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
const NOT_FOUND_VERSION_MIN: i16 = 6;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: DescribeGroupsRequest,
) -> Result<DescribeGroupsResponse, Close> {
    let authorized_operations =
        if request.include_authorized_operations { GROUP_OPERATIONS } else { OPERATIONS_UNASKED };
    // Once is enough: a group of many members named a thousand times would be a thousand copies of them.
    let mut seen = BTreeSet::new();
    let mut ids = request.groups;
    ids.retain(|id| seen.insert(id.clone()));
    let found = match context.broker().describe_groups(&ids).await {
        Ok(found) => found,
        Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
    };
    let shown = |(id, found): (Str, Result<_, _>)| match found {
        Ok(Some(group)) => DescribedGroup { authorized_operations, ..describe(id, group) },
        Ok(None) if context.version() < NOT_FOUND_VERSION_MIN => {
            DescribedGroup { authorized_operations, ..not_found(id, None) }
        }
        Ok(None) => not_found(id, Some(ErrorCode::GroupIdNotFound)),
        Err(error) => {
            let error_code = errors::of_group(&error).code();
            DescribedGroup { group_id: id, error_code, ..Default::default() }
        }
    };
    let groups = ids.into_iter().zip(found).map(shown).collect();
    Ok(DescribeGroupsResponse { throttle_time_ms: 0, groups })
}

fn not_found(id: Str, code: Option<ErrorCode>) -> DescribedGroup {
    DescribedGroup {
        group_state: Str::from_static("Dead"),
        error_code: code.unwrap_or(ErrorCode::None).code(),
        error_message: code.map(|_| Str::from(format!("Group {id} not found."))),
        authorized_operations: OPERATIONS_UNASKED,
        group_id: id,
        ..Default::default()
    }
}

fn describe(id: Str, group: GroupDescription) -> DescribedGroup {
    let members = group.members.into_iter().map(|member| DescribedGroupMember {
        member_id: Str::from(&*member.id),
        group_instance_id: member.instance_id.as_deref().map(Str::from),
        client_id: Str::from(member.client_id),
        client_host: Str::from(member.client_host),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    });
    DescribedGroup {
        group_id: id,
        group_state: Str::from_static(group.phase.name()),
        protocol_type: Str::from(group.protocol_type),
        protocol_data: Str::from(group.protocol),
        members: members.collect(),
        ..Default::default()
    }
}
