//! One classic group: its members, its phase, and every transition. No clock, no I/O: time comes in, and what is to be
//! stored and answered goes out as [`Effects`].
//!
//! ```text
//!             join                     all joined or time is up            leader's SyncGroup
//!   Empty ──────────► PreparingRebalance ──────────► CompletingRebalance ──────────► Stable
//!     ▲                 │   ▲      ▲ ▲                    │                            │
//!     │ nobody joined   │   │      │ └─── join, leave, ───┘                            │
//!     └─────────────────┘   │      │      session ends, SyncGroup late                 │
//!                           └──────┴────────────── join, leave, session ends ──────────┘
//! ```
//!
//! Source: Kafka's group protocol (KIP-62, KIP-134, KIP-345, KIP-394, KIP-559, KIP-814).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kolk_engine::defects::{Defect, defect};
use kolk_engine::state::{Member as StoredMember, Membership};
use kolk_wire_kafka::codec::STRING_BYTES_MAX;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::members::{Expected, Member, Members};
use super::seats::Seats;
use super::{GroupError, JoinRequest, Joined, JoinedMember, Leaving, Phase, SyncRequest, Synced};
use crate::settings::GroupSettings;

/// A new member that waits for its first JoinGroup reply cannot send heartbeats; so long it is taken to be alive.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a rebalance that nobody has joined goes on at least before it is looked at again. Members that want no time at
/// all for one would have it looked at without end (in Kafka, until their sessions end).
const NOBODY_JOINED_WAIT_MIN: Duration = Duration::from_secs(1);

pub(super) type JoinReply = oneshot::Sender<Result<Joined, GroupError>>;
pub(super) type SyncReply = oneshot::Sender<Result<Synced, GroupError>>;

/// What a transition brings about outside the group.
#[derive(Default)]
pub(super) struct Effects {
    /// The membership changed and is to be stored before anything is answered.
    pub store: bool,
    joins: Vec<(JoinReply, Result<Joined, GroupError>)>,
    syncs: Vec<(SyncReply, Result<Synced, GroupError>)>,
}

impl Effects {
    /// Answers everybody; with `failed` if what the answers tell could not be stored.
    pub fn deliver(self, failed: Option<&GroupError>) {
        // A receiver that is gone is a client that has hung up.
        for (reply, answer) in self.joins {
            let _ = reply.send(failed.cloned().map_or(answer, Err));
        }
        for (reply, answer) in self.syncs {
            let _ = reply.send(failed.cloned().map_or(answer, Err));
        }
    }
}

#[derive(Debug)]
pub(super) struct Group {
    id: Arc<str>,
    phase: Phase,
    protocol_type: String,
    generation: i32,
    protocol: Option<String>,
    leader: Option<Arc<str>>,
    members: Members,
    /// Static members by instance id (KIP-345).
    instances: BTreeMap<Arc<str>, Arc<str>>,
    /// Member ids given out and not used yet.
    expected: Expected,
    /// When the running join phase or the wait for SyncGroup ends.
    deadline: Option<Instant>,
    /// The first rebalance of an empty group waits for more members: what is left of the longest wait.
    initial: Option<Initial>,
    since_ms: i64,
    settings: GroupSettings,
}

#[derive(Debug)]
struct Initial {
    delay: Duration,
    remaining: Duration,
    more_came: bool,
}

impl Group {
    /// A group without members. `generation` and `protocol_type` are what is stored of earlier ones.
    pub fn empty(id: Arc<str>, stored: Option<&Membership>, settings: GroupSettings, now_ms: i64) -> Self {
        Group {
            id,
            phase: Phase::Empty,
            protocol_type: stored.map(|stored| stored.protocol_type.clone()).unwrap_or_default(),
            generation: stored.map_or(0, |stored| stored.generation),
            protocol: None,
            leader: None,
            members: Members::default(),
            instances: BTreeMap::new(),
            expected: Expected::default(),
            deadline: None,
            initial: None,
            since_ms: stored.map_or(now_ms, |stored| stored.since_ms),
            settings,
        }
    }

    /// A group as it was stored, every member given a whole session to be heard of. Members support the chosen protocol
    /// and, until they join again, no other one: one that does so with more has changed what it sends.
    pub fn load(
        id: Arc<str>,
        stored: &Membership,
        settings: GroupSettings,
        now: Instant,
        now_ms: i64,
    ) -> Self {
        let mut group = Group::empty(id, Some(stored), settings, now_ms);
        group.protocol = stored.protocol.clone();
        group.leader = stored.leader.clone();
        let is_assigned = stored.members.iter().any(|member| !member.assignment.is_empty());
        for member in &stored.members {
            let session_timeout = millis(member.session_timeout_ms);
            let chosen = stored.protocol.iter().map(|name| (name.clone(), member.metadata.clone()));
            if let Some(instance) = &member.instance_id {
                group.instances.insert(instance.clone(), member.id.clone());
            }
            group.members.insert(Member {
                id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout,
                rebalance_timeout: millis(member.rebalance_timeout_ms),
                protocols: chosen.collect(),
                assignment: member.assignment.clone(),
                joining: None,
                syncing: None,
                is_new: false,
                must_sync: !is_assigned,
                alive_until: now + session_timeout,
                seat: None,
            });
        }
        if !group.members.is_empty() {
            group.phase = if is_assigned { Phase::Stable } else { Phase::CompletingRebalance };
            group.deadline = (!is_assigned).then(|| now + group.members.rebalance_timeout());
        }
        group
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    /// Nobody is or may soon be in it: the stored state says all there is.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Empty && self.expected.is_empty()
    }

    pub fn kill(&mut self) {
        self.phase = Phase::Dead;
    }

    /// Whoever waits is told that the group is not to be had.
    pub fn abandon(&mut self, effects: &mut Effects) {
        self.members.change_all(|member| {
            if let Some(reply) = member.joining.take() {
                effects.joins.push((reply, Err(GroupError::NotAvailable)));
            }
            if let Some(reply) = member.syncing.take() {
                effects.syncs.push((reply, Err(GroupError::NotAvailable)));
            }
        });
        self.kill();
    }

    /// What is to be stored of it.
    pub fn membership(&self) -> Membership {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let stored = |member: &Member| StoredMember {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: whole_ms(member.session_timeout),
            rebalance_timeout_ms: whole_ms(member.rebalance_timeout),
            metadata: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        Membership {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.iter().map(stored).collect(),
            since_ms: self.since_ms,
        }
    }

    /// Topics that a member may be subscribed to are decided from these: every member's chosen metadata.
    pub fn subscriptions(&self) -> Vec<Bytes> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members.iter().map(|member| member.metadata(protocol)).collect()
    }

    /// JoinGroup. The reply comes through `reply`, at once or when the rebalance is over.
    ///
    /// `seats` have the memory that the member or its id takes.
    pub fn join(
        &mut self,
        request: JoinRequest,
        seats: &Seats,
        reply: JoinReply,
        fresh_id: impl FnOnce() -> String,
        now: Instant,
        effects: &mut Effects,
    ) {
        if !self.accepts(&request.member_id) {
            self.remove(&request.member_id, effects);
            effects.joins.push((reply, Err(GroupError::GroupFull)));
            return;
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            effects.joins.push((reply, Err(GroupError::InconsistentProtocol)));
            return;
        }
        if request.member_id.is_empty() {
            let prefix = request.instance_id.as_deref().unwrap_or(&request.client_id);
            let fresh_id = fresh_id();
            // As Kafka makes it, but short enough to be told: with what a client calls itself it could be longer than a
            // string may be in the protocol, and would break every answer that names the member.
            let prefix = &prefix[..prefix.floor_char_boundary(STRING_BYTES_MAX - 1 - fresh_id.len())];
            let id: Arc<str> = format!("{prefix}-{fresh_id}").into();
            match request.instance_id.clone() {
                None if request.requires_known_id => {
                    let place = seats.give(&self.id, &id);
                    self.expected.insert(id.clone(), now + request.session_timeout, place);
                    effects.joins.push((reply, Err(GroupError::MemberIdRequired { member: id.to_string() })));
                }
                Some(instance) if self.instances.contains_key(&instance) => {
                    self.replace_static(&instance, id, (request, seats), reply, now, effects);
                }
                _ => self.add(id, (request, seats), reply, now, effects),
            }
        } else {
            self.rejoin((request, seats), reply, now, effects);
        }
    }

    /// An id that was given out is expected no more.
    pub fn forget_id(&mut self, id: &str, now: Instant, effects: &mut Effects) {
        if self.expected.remove(id) {
            self.after_lapse(now, effects);
        }
    }

    fn rejoin(
        &mut self,
        (request, seats): (JoinRequest, &Seats),
        reply: JoinReply,
        now: Instant,
        effects: &mut Effects,
    ) {
        if self.expected.contains(&request.member_id) {
            let id = request.member_id.clone().into();
            return self.add(id, (request, seats), reply, now, effects);
        }
        if let Err(error) = self.check_member(&request.member_id, request.instance_id.as_deref()) {
            effects.joins.push((reply, Err(error)));
            return;
        }
        let member = self.members.get(&request.member_id).expect("the member was just checked");
        let is_unchanged = member.protocols == request.protocols;
        let is_leader = self.leader.as_ref() == Some(&member.id);
        let id = member.id.clone();
        match self.phase {
            // It did not get the reply to its last JoinGroup; the generation is still as agreed.
            Phase::CompletingRebalance if is_unchanged => {
                let joined = self.joined(&id, is_leader, false);
                effects.joins.push((reply, Ok(joined)));
            }
            // A leader asks for a rebalance by joining again; a follower that changed nothing wants only to know.
            Phase::Stable if is_unchanged && !is_leader => {
                let joined = self.joined(&id, false, false);
                effects.joins.push((reply, Ok(joined)));
            }
            Phase::PreparingRebalance | Phase::CompletingRebalance | Phase::Stable => {
                if self.change_seat(&id, &request, seats) {
                    self.update(&id, request, reply, now, effects);
                    self.rebalance_or_complete(now, effects);
                } else {
                    effects.joins.push((reply, Err(GroupError::NotAvailable)));
                }
            }
            Phase::Empty | Phase::Dead => effects.joins.push((reply, Err(GroupError::UnknownMember))),
        }
    }

    /// Whether there is room for what a member has to say now.
    fn change_seat(&mut self, id: &str, request: &JoinRequest, seats: &Seats) -> bool {
        let changed = self.members.change(id, |member| seats.change(&mut member.seat, request));
        changed.expect("the member was just looked up")
    }

    fn update(
        &mut self,
        id: &Arc<str>,
        request: JoinRequest,
        reply: JoinReply,
        now: Instant,
        effects: &mut Effects,
    ) {
        let update = |member: &mut Member| {
            member.session_timeout = request.session_timeout;
            member.rebalance_timeout = request.rebalance_timeout;
            member.client_id = request.client_id;
            member.client_host = request.client_host;
            // A new one cannot send heartbeats before it has an answer; that it asks again begins no session.
            if !member.is_new {
                member.heard(now);
            }
            member.joining.replace(reply)
        };
        let older = self.members.change(id, update).expect("the member was just looked up");
        if let Some(older) = older {
            // The client asked again on another connection: the first request is answered, or it hangs for ever.
            effects.joins.push((older, Err(GroupError::UnknownMember)));
        }
        self.members.set_protocols(id, request.protocols);
    }

    fn add(
        &mut self,
        id: Arc<str>,
        (request, seats): (JoinRequest, &Seats),
        reply: JoinReply,
        now: Instant,
        effects: &mut Effects,
    ) {
        let Some(seat) = seats.take(&request) else {
            effects.joins.push((reply, Err(GroupError::NotAvailable)));
            return;
        };
        self.expected.remove(&id);
        if let Some(instance) = &request.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = request.protocol_type;
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        if let Some(initial) = &mut self.initial {
            initial.more_came = true;
        }
        let member = Member {
            id,
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols,
            assignment: Bytes::new(),
            joining: Some(reply),
            syncing: None,
            is_new: true,
            must_sync: false,
            alive_until: now + NEW_MEMBER_JOIN_TIMEOUT,
            seat: Some(seat),
        };
        self.members.insert(member);
        self.rebalance_or_complete(now, effects);
    }

    /// A static member came back under a new member id: it takes its predecessor's place, assignment included, and if the
    /// vote stays as it was nobody else notices.
    fn replace_static(
        &mut self,
        instance: &Arc<str>,
        id: Arc<str>,
        (request, seats): (JoinRequest, &Seats),
        reply: JoinReply,
        now: Instant,
        effects: &mut Effects,
    ) {
        let skips_assignment = request.can_skip_assignment;
        let old_id = self.instances[instance].clone();
        if !self.change_seat(&old_id, &request, seats) {
            effects.joins.push((reply, Err(GroupError::NotAvailable)));
            return;
        }
        self.instances.insert(instance.clone(), id.clone());
        let mut member = self.members.remove(&old_id).expect("every instance has a member");
        if let Some(older) = member.joining.take() {
            effects.joins.push((older, Err(GroupError::FencedInstance)));
        }
        if let Some(older) = member.syncing.take() {
            effects.syncs.push((older, Err(GroupError::FencedInstance)));
        }
        let is_leader = self.leader.as_ref() == Some(&old_id);
        if is_leader {
            self.leader = Some(id.clone());
        }
        member.id = id.clone();
        self.members.insert(member);
        self.update(&id, request, reply, now, effects);
        if self.phase == Phase::Stable && self.select_protocol() == self.protocol {
            let mut joined = self.joined(&id, is_leader && skips_assignment, is_leader && skips_assignment);
            if is_leader && !skips_assignment {
                // Clients without KIP-814 would assign anew if they heard that they lead.
                joined.leader = old_id.to_string();
            }
            let reply = self.members.change(&id, |member| member.joining.take()).flatten();
            let reply = reply.expect("it was just put there");
            effects.joins.push((reply, Ok(joined)));
            effects.store = true;
        } else {
            self.rebalance_or_complete(now, effects);
        }
    }

    /// SyncGroup. The reply comes through `reply`, at once or with the leader's assignment.
    pub fn sync(&mut self, request: SyncRequest, reply: SyncReply, now: Instant, effects: &mut Effects) {
        if let Err(error) = self.check_sync(&request) {
            effects.syncs.push((reply, Err(error)));
            return;
        }
        let is_leader = self.leader.as_deref() == Some(&*request.member_id);
        let is_stable = self.phase == Phase::Stable;
        let mut reply = Some(reply);
        let ask = |member: &mut Member| {
            member.heard(now);
            member.must_sync = false;
            let older = if is_stable { None } else { std::mem::replace(&mut member.syncing, reply.take()) };
            (older, member.assignment.clone())
        };
        let asked = self.members.change(&request.member_id, ask);
        let (older, assignment) = asked.expect("the member was just checked");
        if let Some(reply) = reply {
            effects.syncs.push((reply, Ok(self.synced(assignment))));
            self.end_wait_for_sync();
            return;
        }
        if let Some(older) = older {
            effects.syncs.push((older, Err(GroupError::UnknownMember)));
        }
        if !is_leader {
            return;
        }
        let mut assignments: BTreeMap<String, Bytes> = request.assignments.into_iter().collect();
        self.phase = Phase::Stable;
        effects.store = true;
        let mut waiting = Vec::new();
        self.members.change_all(|member| {
            member.assignment = assignments.remove(&*member.id).unwrap_or_default();
            if let Some(reply) = member.syncing.take() {
                member.heard(now);
                waiting.push((reply, member.assignment.clone()));
            }
        });
        let synced = waiting.into_iter().map(|(reply, assignment)| (reply, Ok(self.synced(assignment))));
        effects.syncs.extend(synced);
        self.end_wait_for_sync();
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment,
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        self.check_member(&request.member_id, request.instance_id.as_deref())?;
        self.check_generation(request.generation)?;
        let differs = |asked: &Option<String>, own: &str| asked.as_ref().is_some_and(|asked| asked != own);
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol, self.protocol.as_deref().unwrap_or_default())
        {
            return Err(GroupError::InconsistentProtocol);
        }
        match self.phase {
            Phase::Empty | Phase::Dead => Err(GroupError::UnknownMember),
            Phase::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            Phase::CompletingRebalance | Phase::Stable => Ok(()),
        }
    }

    fn end_wait_for_sync(&mut self) {
        if self.phase == Phase::Stable && self.members.must_sync() == 0 {
            self.deadline = None;
        }
    }

    /// Heartbeat.
    pub fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), GroupError> {
        self.check_member(member_id, instance_id)?;
        self.check_generation(generation)?;
        match self.phase {
            Phase::Empty | Phase::Dead => Err(GroupError::UnknownMember),
            Phase::PreparingRebalance => {
                self.heard(member_id, now);
                Err(GroupError::RebalanceInProgress)
            }
            Phase::CompletingRebalance | Phase::Stable => {
                self.heard(member_id, now);
                Ok(())
            }
        }
    }

    fn heard(&mut self, member_id: &str, now: Instant) {
        self.members.change(member_id, |member| member.heard(now)).expect("the member was just checked");
    }

    /// LeaveGroup: an answer for each.
    pub fn leave(
        &mut self,
        leaving: &[Leaving],
        now: Instant,
        effects: &mut Effects,
    ) -> Vec<Result<(), GroupError>> {
        let mut members_left = false;
        let answers = leaving
            .iter()
            .map(|leaving| {
                let instance = leaving.instance_id.as_deref();
                if leaving.member_id.is_empty() {
                    let known = instance.and_then(|instance| self.instances.get(instance));
                    let id = known.cloned().ok_or(GroupError::UnknownMember)?;
                    self.remove(&id, effects);
                } else if self.expected.remove(&leaving.member_id) {
                    return Ok(());
                } else {
                    self.check_member(&leaving.member_id, instance)?;
                    self.remove(&leaving.member_id, effects);
                }
                members_left = true;
                Ok(())
            })
            .collect();
        if members_left {
            self.after_removal(now, effects);
        } else {
            self.after_lapse(now, effects);
        }
        answers
    }

    /// Whether an offset commit may go on, and as which member.
    pub fn check_commit(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<bool, GroupError> {
        if generation < 0 && self.phase == Phase::Empty {
            return Ok(false);
        }
        if generation < 0 && member_id.is_empty() && instance_id.is_none() {
            return Err(GroupError::UnknownMember);
        }
        self.check_member(member_id, instance_id)?;
        if !defect(Defect::GenerationNotChecked) {
            self.check_generation(generation)?;
        }
        match self.phase {
            Phase::Stable | Phase::PreparingRebalance => {
                self.heard(member_id, now);
                Ok(true)
            }
            Phase::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            Phase::Empty | Phase::Dead => Err(GroupError::UnknownMember),
        }
    }

    /// The next instant at which [`Group::expire`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        let next = [self.members.next_session_end(), self.expected.next_lapse(), self.deadline];
        next.into_iter().flatten().min()
    }

    /// Does what is due: ends sessions, join phases, waits for SyncGroup.
    pub fn expire(&mut self, now: Instant, effects: &mut Effects) {
        self.expected.drop_lapsed(now);
        let ended = self.members.ended(now);
        for id in &ended {
            tracing::info!(group = ?self.id, member = ?id, "group member's session ended");
            self.remove(id, effects);
        }
        if ended.is_empty() {
            self.after_lapse(now, effects);
        } else {
            self.after_removal(now, effects);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            match self.phase {
                Phase::PreparingRebalance => self.join_time_is_up(now, effects),
                Phase::CompletingRebalance | Phase::Stable => {
                    let late = self.members.iter().filter(|member| member.must_sync);
                    let late: Vec<Arc<str>> = late.map(|member| member.id.clone()).collect();
                    if !late.is_empty() {
                        for id in &late {
                            self.remove(id, effects);
                        }
                        self.prepare(now, effects);
                    }
                }
                Phase::Empty | Phase::Dead => {}
            }
        }
    }

    fn join_time_is_up(&mut self, now: Instant, effects: &mut Effects) {
        if let Some(initial) = &mut self.initial
            && initial.more_came
            && !initial.remaining.is_zero()
        {
            // Members are still arriving: wait for more, but no longer than the first one's rebalance timeout.
            let delay =
                self.settings_delay().min(self.initial.as_ref().map_or(Duration::ZERO, |i| i.remaining));
            let initial = self.initial.as_mut().expect("it was just looked at");
            initial.remaining = initial.remaining.saturating_sub(initial.delay);
            initial.delay = delay;
            initial.more_came = false;
            self.deadline = Some(now + delay);
            return;
        }
        self.complete(now, effects);
    }

    fn settings_delay(&self) -> Duration {
        Duration::from_millis(self.settings.initial_rebalance_delay_ms)
    }

    /// Takes a member out; whoever waits for it is told.
    fn remove(&mut self, id: &str, effects: &mut Effects) {
        let Some(mut member) = self.members.remove(id) else { return };
        if let Some(reply) = member.joining.take() {
            effects.joins.push((reply, Err(GroupError::UnknownMember)));
        }
        if let Some(reply) = member.syncing.take() {
            effects.syncs.push((reply, Err(GroupError::UnknownMember)));
        }
        if let Some(instance) = &member.instance_id
            && self.instances.get(instance) == Some(&member.id)
        {
            self.instances.remove(instance);
        }
        if self.leader.as_ref() == Some(&member.id) {
            self.leader = self.members.iter().next().map(|member| member.id.clone());
        }
    }

    fn after_removal(&mut self, now: Instant, effects: &mut Effects) {
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance => self.prepare(now, effects),
            Phase::PreparingRebalance => self.complete_if_all_joined(now, effects),
            Phase::Empty | Phase::Dead => {}
        }
    }

    /// Ids that were given out may be expected no more. No member is gone with them, so a group that has agreed stays as it
    /// is; a rebalance that waited for them alone goes on.
    fn after_lapse(&mut self, now: Instant, effects: &mut Effects) {
        if self.phase == Phase::PreparingRebalance {
            self.complete_if_all_joined(now, effects);
        }
    }

    fn rebalance_or_complete(&mut self, now: Instant, effects: &mut Effects) {
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance | Phase::Empty => self.prepare(now, effects),
            Phase::PreparingRebalance => self.complete_if_all_joined(now, effects),
            Phase::Dead => {}
        }
    }

    fn prepare(&mut self, now: Instant, effects: &mut Effects) {
        let is_initial = self.phase == Phase::Empty;
        let awaited_assignment = self.phase == Phase::CompletingRebalance;
        self.phase = Phase::PreparingRebalance;
        self.members.change_all(|member| {
            member.must_sync = false;
            if !awaited_assignment {
                return;
            }
            member.assignment = Bytes::new();
            if let Some(reply) = member.syncing.take() {
                // It could not be heard of while it waited for us.
                member.heard(now);
                effects.syncs.push((reply, Err(GroupError::RebalanceInProgress)));
            }
        });
        if is_initial {
            let delay = self.settings_delay();
            let remaining = self.members.rebalance_timeout().saturating_sub(delay);
            self.initial = Some(Initial { delay, remaining, more_came: false });
            self.deadline = Some(now + delay);
            if delay.is_zero() {
                self.complete(now, effects);
            }
        } else {
            self.deadline = Some(now + self.members.rebalance_timeout());
            self.complete_if_all_joined(now, effects);
        }
    }

    fn complete_if_all_joined(&mut self, now: Instant, effects: &mut Effects) {
        let all_joined = self.expected.is_empty() && self.members.joining() == self.members.len();
        if self.initial.is_none() && all_joined {
            self.complete(now, effects);
        }
    }

    /// Ends the join phase: whoever has not come is out (static members stay), the others have a new generation.
    fn complete(&mut self, now: Instant, effects: &mut Effects) {
        self.initial = None;
        self.deadline = None;
        let absent = |member: &&Member| member.joining.is_none() && member.instance_id.is_none();
        let absent: Vec<Arc<str>> =
            self.members.iter().filter(absent).map(|member| member.id.clone()).collect();
        for id in &absent {
            self.remove(id, effects);
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            // Only static members that have not come back: their sessions decide, or the first one that comes in time.
            self.deadline = Some(now + self.members.rebalance_timeout().max(NOBODY_JOINED_WAIT_MIN));
            return;
        }
        self.generation = if self.generation == i32::MAX { 1 } else { self.generation + 1 };
        effects.store = true;
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            self.protocol = None;
            self.leader = None;
            return;
        }
        self.phase = Phase::CompletingRebalance;
        self.protocol = self.select_protocol();
        self.deadline = Some(now + self.members.rebalance_timeout());
        let mut replies = Vec::new();
        self.members.change_all(|member| {
            member.must_sync = true;
            member.assignment = Bytes::new();
            if let Some(reply) = member.joining.take() {
                member.is_new = false;
                member.heard(now);
                replies.push((member.id.clone(), reply));
            }
        });
        for (id, reply) in replies {
            let is_leader = self.leader.as_ref() == Some(&id);
            effects.joins.push((reply, Ok(self.joined(&id, is_leader, false))));
        }
    }

    fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &Arc<str>| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.iter().find(|member| member.joining.is_some());
        match joined {
            Some(member) => {
                self.leader = Some(member.id.clone());
                true
            }
            None => false,
        }
    }

    /// The protocol that most members prefer among those that all support.
    fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.iter() {
            let choice = member.protocols.iter().map(|(name, _)| name.as_str());
            if let Some(choice) = choice.into_iter().find(|name| self.members.is_common(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    #[cfg(test)]
    pub fn members(&self) -> &Members {
        &self.members
    }

    fn supports(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        protocol_type == self.protocol_type && protocols.iter().any(|(name, _)| self.members.is_common(name))
    }

    fn accepts(&self, member_id: &str) -> bool {
        let max = self.settings.members_max;
        match self.phase {
            Phase::Empty | Phase::Dead => true,
            Phase::PreparingRebalance => {
                let waits = self.members.get(member_id).is_some_and(|member| member.joining.is_some());
                waits || self.members.joining() < max
            }
            Phase::CompletingRebalance | Phase::Stable => {
                self.members.contains(member_id) || self.members.len() < max
            }
        }
    }

    fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            return match self.instances.get(instance_id) {
                None => Err(GroupError::UnknownMember),
                Some(known) if **known != *member_id => Err(GroupError::FencedInstance),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains(member_id) { Ok(()) } else { Err(GroupError::UnknownMember) }
    }

    fn check_generation(&self, generation: i32) -> Result<(), GroupError> {
        if generation == self.generation { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    /// What the leader of a generation is told of its members; `None` if this is not the one, or it is over.
    pub fn roster(&mut self, leader: &str, generation: i32) -> Option<Arc<[JoinedMember]>> {
        let is_agreed = matches!(self.phase, Phase::CompletingRebalance | Phase::Stable);
        let leads = self.generation == generation && self.leader.as_deref() == Some(leader);
        (is_agreed && leads).then(|| self.members.roster(self.protocol.as_deref().unwrap_or_default()))
    }

    fn joined(&mut self, id: &str, with_members: bool, skip_assignment: bool) -> Joined {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = if with_members { self.members.roster(protocol) } else { Arc::default() };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: protocol.to_owned(),
            leader: self.leader.as_deref().unwrap_or_default().to_owned(),
            member_id: id.to_owned(),
            skip_assignment,
            members,
        }
    }

    /// Notes when the group became empty; offsets expire from there.
    pub fn note_time(&mut self, now_ms: i64) {
        self.since_ms = now_ms;
    }
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn whole_ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
