//! JoinGroup (key 11), versions 0 to 9.
//!
//! Resolves when the rebalance is over. From version 4 a new dynamic member gets MEMBER_ID_REQUIRED with an id and joins a
//! second time (KIP-394); from 5 members can be static (KIP-345); from 9 a leader that came back may be told to keep the
//! assignment (KIP-814). Version 0 has no rebalance timeout: the session timeout serves. Any protocol type is taken.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use kolk_broker::Permit;
use kolk_broker::admission::{Beside, REQUEST_BYTES};
use kolk_broker::groups::{GroupError, JoinRequest, Joined, JoinedMember};
use kolk_wire_kafka::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use kolk_wire_kafka::{ApiKey, Str};

use super::Context;
use crate::apis;
use crate::connection::Close;
use crate::errors;
use crate::reply::Reply;

/// From here on a response without protocol has null for its name.
const NULLABLE_PROTOCOL_VERSION_MIN: i16 = 7;

/// What a member takes in the answer, there and encoded, beside its metadata and twice its names, in bytes.
const MEMBER_BYTES: usize = 256;

/// `held` is given back while the others are waited for.
pub(crate) async fn handle(
    context: &Context<'_>,
    request: JoinGroupRequest,
    held: Permit,
) -> Result<Reply, Close> {
    let join = detached(context, request);
    let (group, asked_id) = (join.group.clone(), join.member_id.clone());
    let mut joined = if has_duplicates(&join.protocols) {
        Err(GroupError::InconsistentProtocol)
    } else {
        context.broker().join_group(join, held).await
    };
    let (admission, class) = (context.broker().admission(), apis::class(ApiKey::JoinGroup.key()));
    let bytes = made_bytes(&joined, &asked_id);
    let mut permit = match admission.try_admit(bytes, class) {
        Some(permit) => permit,
        None => {
            // Many answers may wait, and for each of them the members may be others: a leader gets its list anew.
            let leads = joined.as_mut().is_ok_and(|joined| !std::mem::take(&mut joined.members).is_empty());
            let permit = admission.admit(bytes, class, Beside::Nothing).await;
            if leads {
                joined = joined.and_then(|joined| {
                    let (leader, generation) = (&joined.member_id, joined.generation);
                    let members = context.broker().joined_members(&group, leader, generation)?;
                    Ok(Joined { members, ..joined })
                });
            }
            permit
        }
    };
    // The list may have become longer: static members come back by another id.
    permit.grow(admission, made_bytes(&joined, &asked_id), Beside::Nothing).await;
    let answer = context.answer(response(context.version(), joined, asked_id))?;
    Ok(answer.encode(permit, REQUEST_BYTES)?)
}

/// What an answer takes while it is made and encoded, in bytes.
fn made_bytes(joined: &Result<Joined, GroupError>, asked_id: &str) -> usize {
    let of_member = |member: &JoinedMember| {
        let names = member.id.len() + member.instance_id.as_deref().map_or(0, str::len);
        MEMBER_BYTES + 2 * names + member.metadata.len()
    };
    let (names, members) = match joined {
        Ok(joined) => {
            let names = [&joined.protocol_type, &joined.protocol, &joined.leader, &joined.member_id];
            (names.map(String::len).iter().sum(), joined.members.iter().map(of_member).sum::<usize>())
        }
        Err(GroupError::MemberIdRequired { member }) => (member.len(), 0),
        Err(_) => (asked_id.len(), 0),
    };
    REQUEST_BYTES + MEMBER_BYTES + 2 * names + members
}

fn response(version: i16, joined: Result<Joined, GroupError>, asked_id: String) -> JoinGroupResponse {
    match joined {
        Ok(joined) => JoinGroupResponse {
            generation_id: joined.generation,
            protocol_type: Some(Str::from(joined.protocol_type)),
            protocol_name: Some(Str::from(joined.protocol)),
            leader: Str::from(joined.leader),
            skip_assignment: joined.skip_assignment,
            member_id: Str::from(joined.member_id),
            members: joined
                .members
                .iter()
                .map(|member| JoinGroupResponseMember {
                    member_id: Str::from(&*member.id),
                    group_instance_id: member.instance_id.as_deref().map(Str::from),
                    metadata: member.metadata.clone(),
                })
                .collect(),
            ..Default::default()
        },
        Err(error) => JoinGroupResponse {
            error_code: errors::of_group(&error).code(),
            generation_id: -1,
            protocol_name: (version < NULLABLE_PROTOCOL_VERSION_MIN).then(Str::default),
            member_id: match error {
                GroupError::MemberIdRequired { member } => Str::from(member),
                GroupError::GroupFull => Str::default(),
                _ => Str::from(asked_id),
            },
            ..Default::default()
        },
    }
}

/// Copies: what waits, or is kept as a member, would keep the whole frame.
fn detached(context: &Context<'_>, request: JoinGroupRequest) -> JoinRequest {
    let version = context.version();
    let timeout = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let rebalance_ms = if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let protocols = request.protocols.iter();
    JoinRequest {
        group: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_deref().map(Into::into),
        client_id: context.header.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: format!("/{}", context.client.peer.ip()),
        session_timeout: timeout(request.session_timeout_ms),
        rebalance_timeout: timeout(rebalance_ms),
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols
            .map(|protocol| (protocol.name.to_string(), Bytes::copy_from_slice(&protocol.metadata)))
            .collect(),
        requires_known_id: version >= 4 && request.group_instance_id.is_none(),
        can_skip_assignment: version >= 9,
    }
}

fn has_duplicates(protocols: &[(String, Bytes)]) -> bool {
    let mut names = BTreeSet::new();
    !protocols.iter().all(|(name, _)| names.insert(name.as_str()))
}
