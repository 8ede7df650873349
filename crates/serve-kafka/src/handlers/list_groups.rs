//! ListGroups (key 16), versions 0 to 5.
//!
//! Filters by state (version 4, KIP-518) and by type (version 5, KIP-848) ignore case; every group here is `classic`.

use kolk_wire_kafka::Str;
use kolk_wire_kafka::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::{Context, NeedsRoom, Room};
use crate::connection::Close;
use crate::errors;

const CLASSIC: &str = "classic";

/// What a group takes in the answer beside its id, in bytes.
const LISTED_BYTES: usize = size_of::<ListedGroup>() + 64;

pub(crate) async fn handle(
    context: &Context<'_>,
    request: ListGroupsRequest,
    room: &mut Room<'_>,
) -> Result<Result<ListGroupsResponse, NeedsRoom>, Close> {
    // The list is made over many waits, and again as an answer: many at once would take what they like.
    let _turn = context.wide_turn(context.broker().group_count()).await;
    let (count, bytes) = context.broker().weigh_groups().await;
    if let Err(needs_room) = room.take(2 * bytes + count * LISTED_BYTES) {
        return Ok(Err(needs_room));
    }
    let takes = |filter: &[Str], value: &str| {
        filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(value))
    };
    let groups = match context.broker().list_groups().await {
        Ok(groups) => groups,
        Err(error) => {
            let error_code = errors::of_group(&error).code();
            return Ok(Ok(ListGroupsResponse { error_code, ..Default::default() }));
        }
    };
    let groups = groups
        .into_iter()
        .filter(|group| takes(&request.states_filter, group.phase.name()))
        .filter(|_| takes(&request.types_filter, CLASSIC))
        .map(|group| ListedGroup {
            group_id: Str::from(&*group.id),
            protocol_type: Str::from(group.protocol_type),
            group_state: Str::from_static(group.phase.name()),
            group_type: Str::from_static(CLASSIC),
        });
    Ok(Ok(ListGroupsResponse { groups: groups.collect(), ..Default::default() }))
}
