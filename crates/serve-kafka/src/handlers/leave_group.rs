//! LeaveGroup (key 13), versions 0 to 5.
//!
//! Below version 3 one member leaves and the code is its own; from 3 a list, by member id or by instance id alone, each
//! with a code (KIP-345). The reason of version 5 (KIP-800) is not kept.

use kolk_broker::groups::{GroupError, Leaving};
use kolk_wire_kafka::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};
use kolk_wire_kafka::{ErrorCode, Str};

use super::Context;
use crate::connection::Close;
use crate::errors;

const LIST_VERSION_MIN: i16 = 3;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: LeaveGroupRequest,
) -> Result<LeaveGroupResponse, Close> {
    let is_list = context.version() >= LIST_VERSION_MIN;
    let leaving: Vec<Leaving> = if is_list {
        let members = request.members.iter();
        members
            .map(|member| Leaving {
                member_id: member.member_id.to_string(),
                instance_id: member.group_instance_id.as_deref().map(str::to_owned),
            })
            .collect()
    } else {
        vec![Leaving { member_id: request.member_id.to_string(), instance_id: None }]
    };
    let code = |answer: &Result<(), GroupError>| match answer {
        Ok(()) => ErrorCode::None.code(),
        Err(error) => errors::of_group(error).code(),
    };
    Ok(match context.broker().leave_group(&request.group_id, &leaving).await {
        Err(error) => {
            LeaveGroupResponse { error_code: errors::of_group(&error).code(), ..Default::default() }
        }
        Ok(answers) if is_list => {
            let members = leaving.into_iter().zip(&answers);
            LeaveGroupResponse {
                members: members
                    .map(|(leaving, answer)| MemberResponse {
                        member_id: Str::from(leaving.member_id),
                        group_instance_id: leaving.instance_id.map(Str::from),
                        error_code: code(answer),
                    })
                    .collect(),
                ..Default::default()
            }
        }
        Ok(answers) => {
            LeaveGroupResponse { error_code: answers.first().map_or(0, code), ..Default::default() }
        }
    })
}
