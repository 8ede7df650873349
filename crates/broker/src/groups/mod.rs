//! Classic consumer groups: membership, rebalances, committed offsets.
//!
//! - [`group`]: one group's phases and transitions, without clock or I/O.
//! - [`members`]: its members, with what is asked of all of them at each request.
//! - [`coordinator`]: finds the group, takes its lock for a moment, stores what was agreed, runs its timers.
//! - [`seats`]: the memory that members take, and ids given out to members to be.
//! - [`offsets`]: committed offsets, listing, describing and deleting groups.
//!
//! Promises: a generation or assignment that a member was told is in the log; a restart keeps every group that had one;
//! heartbeats never wait for the log. The coordinator does not look into protocols: consumers, connectors and registries
//! are all the same to it. Modern groups (KIP-848) are not served.

mod coordinator;
mod group;
mod members;
mod offsets;
mod seats;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kolk_engine::state::Refusal;

pub(crate) use coordinator::Groups;
pub use offsets::{CommitEntry, GroupDescription, GroupMember, GroupOffset, GroupSummary};

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No members; offsets may be stored.
    Empty,
    /// Waiting for members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// Gone.
    Dead,
}

impl Phase {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::PreparingRebalance => "PreparingRebalance",
            Phase::CompletingRebalance => "CompletingRebalance",
            Phase::Stable => "Stable",
            Phase::Dead => "Dead",
        }
    }
}

/// JoinGroup.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The group.
    pub group: String,
    /// Empty when the client has none yet.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<std::sync::Arc<str>>,
    /// From the request header; begins the member id that is given out.
    pub client_id: String,
    /// As DescribeGroups shows it.
    pub client_host: String,
    /// Without a heartbeat for so long the member is out.
    pub session_timeout: Duration,
    /// How long a rebalance waits for it.
    pub rebalance_timeout: Duration,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// Supported protocols with metadata, in order of preference, each named once.
    pub protocols: Vec<(String, Bytes)>,
    /// A dynamic member has to join a second time with the id it is given (KIP-394, JoinGroup 4).
    pub requires_known_id: bool,
    /// The client knows that a leader may be told not to assign (KIP-814, JoinGroup 9).
    pub can_skip_assignment: bool,
}

/// What a member is told when a rebalance is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The new generation.
    pub generation: i32,
    /// The group's.
    pub protocol_type: String,
    /// The protocol that was voted for.
    pub protocol: String,
    /// The leader's member id.
    pub leader: String,
    /// This member's id.
    pub member_id: String,
    /// The leader keeps the present assignment.
    pub skip_assignment: bool,
    /// For the leader: everybody, with their metadata. One list for all that are told of it.
    pub members: Arc<[JoinedMember]>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub id: Arc<str>,
    /// Its `group.instance.id`.
    pub instance_id: Option<Arc<str>>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// SyncGroup.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// The group.
    pub group: String,
    /// The member.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// The generation it joined.
    pub generation: i32,
    /// What it believes the group's type to be, if it says so.
    pub protocol_type: Option<String>,
    /// What it believes the chosen protocol to be, if it says so.
    pub protocol: Option<String>,
    /// From the leader: an assignment for each member id.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's.
    pub protocol_type: String,
    /// The chosen protocol.
    pub protocol: String,
    /// As the leader gave it.
    pub assignment: Bytes,
}

/// One member that leaves: by member id, or by instance id alone.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// The member, or empty.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
}

/// Why a group request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The group id is empty where it must not be.
    #[error("the group id is invalid")]
    InvalidGroupId,
    /// The session timeout is outside what the broker allows.
    #[error("the session timeout is outside the allowed range")]
    InvalidSessionTimeout,
    /// Protocol type or protocols do not agree with the group's.
    #[error("the protocols do not agree with the group's")]
    InconsistentProtocol,
    /// The group has no such member.
    #[error("the group has no such member")]
    UnknownMember,
    /// Join again with this id (KIP-394).
    #[error("join again with member id {member}")]
    MemberIdRequired {
        /// The id that was given out.
        member: String,
    },
    /// Another member has this `group.instance.id` now.
    #[error("the instance id belongs to another member")]
    FencedInstance,
    /// The generation is not the group's.
    #[error("the generation is not the group's")]
    IllegalGeneration,
    /// A rebalance is under way.
    #[error("a rebalance is under way")]
    RebalanceInProgress,
    /// The group has `group.max.size` members.
    #[error("the group is full")]
    GroupFull,
    /// The group has members.
    #[error("the group has members")]
    NotEmpty,
    /// There is no such group.
    #[error("there is no such group")]
    UnknownGroup,
    /// A member is subscribed to the topic.
    #[error("the group is subscribed to the topic")]
    SubscribedToTopic,
    /// The coordinator stops, is full or cannot write.
    #[error("the coordinator is not available")]
    NotAvailable,
    /// The state machine refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

#[cfg(test)]
mod tests;
