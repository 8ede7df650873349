//! Finds groups, locks them for a moment, stores what they agreed on, runs their timers.
//!
//! A group is in memory while somebody is in it or about to be; an empty one is in the engine's state alone. One task per
//! group in memory sleeps until the group's next deadline. Locks are taken in the order map, group, engine, and never held
//! across an await. Commands about a group are decided under its lock, so that their order is the group's own.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kolk_engine::map::HashMap;
use kolk_engine::state::{Command, Membership, Refusal};
use kolk_engine::{EngineExt, Pending, Seldom};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::group::{Effects, Group};
use super::seats::{GivenId, Seats};
use super::{GroupError, JoinRequest, Joined, JoinedMember, Leaving, Phase, SyncRequest, Synced};
use crate::{Broker, Permit};

/// Groups in memory at a time.
const GROUPS_MAX: usize = 100_000;

/// The groups in memory, and the memory for their members.
#[derive(Debug)]
pub(crate) struct Groups {
    by_id: Mutex<HashMap<Arc<str>, Arc<Cell>>>,
    seats: Seats,
    /// Clients can cause a membership not to be stored as often as they like.
    not_stored: Seldom,
}

impl Default for Groups {
    fn default() -> Self {
        let not_stored = Seldom::new(Duration::from_secs(10));
        Groups { by_id: Mutex::default(), seats: Seats::default(), not_stored }
    }
}

#[derive(Debug)]
struct Cell {
    id: Arc<str>,
    slot: Mutex<Slot>,
    /// The timer has to look again.
    wake: Notify,
}

#[derive(Debug)]
struct Slot {
    group: Group,
    /// What the timer sleeps until.
    armed: Option<Instant>,
}

impl Groups {
    pub(super) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// How many groups are in memory.
    pub(super) fn count(&self) -> usize {
        self.by_id.lock().expect("nobody panics while holding the groups").len()
    }

    /// The ids of all groups in memory.
    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        self.by_id.lock().expect("nobody panics while holding the groups").keys().cloned().collect()
    }

    /// Every group in memory that has or expects members: id, phase, protocol type.
    pub(super) fn phases(&self) -> Vec<(Arc<str>, Phase, String)> {
        let cells: Vec<Arc<Cell>> =
            self.by_id.lock().expect("nobody panics while holding the groups").values().cloned().collect();
        let phases = cells.iter().map(|cell| {
            let slot = cell.lock();
            (cell.id.clone(), slot.group.phase(), slot.group.protocol_type().to_owned())
        });
        phases.filter(|(_, phase, _)| *phase != Phase::Dead).collect()
    }
}

impl Groups {
    /// How many groups in memory stand in each phase.
    pub(crate) fn phase_counts(&self) -> [(Phase, usize); 4] {
        let mut counts = [Phase::Empty, Phase::PreparingRebalance, Phase::CompletingRebalance, Phase::Stable]
            .map(|phase| (phase, 0));
        for cell in self.by_id.lock().expect("nobody panics while holding the groups").values() {
            let now = cell.lock().group.phase();
            counts.iter_mut().filter(|(phase, _)| *phase == now).for_each(|(_, count)| *count += 1);
        }
        counts
    }
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().expect("nobody panics while holding a group")
    }
}

impl Broker {
    /// JoinGroup. Resolves when the rebalance is over, which other clients decide: `held`, the request's share of the
    /// byte budget, is given back before. What is kept of the request is the member's, whose seat pays for it.
    pub async fn join_group(&self, request: JoinRequest, held: Permit) -> Result<Joined, GroupError> {
        check_group_id(&request.group)?;
        let settings = &self.settings().groups;
        let session_ms = i32::try_from(request.session_timeout.as_millis()).unwrap_or(i32::MAX);
        if session_ms < settings.session_timeout_min_ms || session_ms > settings.session_timeout_max_ms {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let seats = self.groups().seats();
        let (reply, answer) = oneshot::channel();
        let may_create = request.member_id.is_empty();
        let group = request.group.clone();
        let door = self.door().clone();
        self.with_group(&group, may_create, |group, effects| {
            let fresh_id = || door.random.uuid().to_string();
            group.join(request, seats, reply, fresh_id, Instant::now(), effects);
        })?
        .ok_or(GroupError::UnknownMember)?;
        drop(held);
        while let Some(GivenId { group, id }) = seats.surplus() {
            self.with_group(&group, false, |group, effects| group.forget_id(&id, Instant::now(), effects))?;
        }
        let joined = answer.await.unwrap_or(Err(GroupError::NotAvailable))?;
        self.settle().await?;
        Ok(joined)
    }

    /// What the leader of a generation was told of its members, once more. Fails if it does not lead that one any more.
    pub fn joined_members(
        &self,
        group: &str,
        leader: &str,
        generation: i32,
    ) -> Result<Arc<[JoinedMember]>, GroupError> {
        let roster = self.with_group(group, false, |group, _| group.roster(leader, generation))?;
        roster.flatten().ok_or(GroupError::NotAvailable)
    }

    /// SyncGroup. Resolves when the leader has given the assignment. `held` is the request's share of the byte budget: a
    /// leader's assignments hold it until they are stored, who waits for the leader has nothing in hand and gives it back.
    pub async fn sync_group(&self, request: SyncRequest, held: Permit) -> Result<Synced, GroupError> {
        check_group_id(&request.group)?;
        let (reply, answer) = oneshot::channel();
        let group = request.group.clone();
        let is_assigning = self
            .with_group(&group, false, |group, effects| {
                group.sync(request, reply, Instant::now(), effects);
                effects.store
            })?
            .ok_or(GroupError::UnknownMember)?;
        let _assigning = is_assigning.then_some(held);
        let synced = answer.await.unwrap_or(Err(GroupError::NotAvailable))?;
        self.settle().await?;
        Ok(synced)
    }

    /// Heartbeat. Does not wait for the log: what it confirms was stored before the member heard of it.
    pub fn heartbeat(
        &self,
        group: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        check_group_id(group)?;
        self.with_group(group, false, |group, _| {
            group.heartbeat(member_id, instance_id, generation, Instant::now())
        })?
        .unwrap_or(Err(GroupError::UnknownMember))
    }

    /// LeaveGroup: an answer for each that leaves.
    pub async fn leave_group(
        &self,
        group: &str,
        leaving: &[Leaving],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        check_group_id(group)?;
        let answers =
            self.with_group(group, false, |group, effects| group.leave(leaving, Instant::now(), effects))?;
        self.settle().await?;
        Ok(answers.unwrap_or_else(|| vec![Err(GroupError::UnknownMember); leaving.len()]))
    }

    /// Brings back every group that had members when the log was closed, so that their sessions can end.
    pub(crate) fn load_groups(&self) {
        let ids: Vec<Arc<str>> = self.engine().peek(|state| {
            let groups = state.groups().filter(|group| !group.membership.members.is_empty());
            groups.map(|group| group.id.clone()).collect()
        });
        for id in ids {
            // A group that cannot be loaded now is loaded when its first request comes.
            let _ = self.with_group(&id, false, |_, _| ());
        }
    }

    /// Resolves when everything decided so far is durable.
    pub async fn settle(&self) -> Result<(), GroupError> {
        self.engine().query(|_| ()).await.map_err(|_| GroupError::NotAvailable)
    }

    /// What is stored of a group, at the tail of the state.
    fn stored_membership(&self, id: &str) -> Option<Arc<Membership>> {
        self.engine().peek(|state| state.group(id).map(|group| Arc::clone(&group.membership)))
    }

    /// Runs `act` on a group under its lock, then stores and answers what it brought about. `None` if the group has no
    /// members and is not to be made.
    pub(super) fn with_group<R>(
        &self,
        id: &str,
        may_create: bool,
        act: impl FnOnce(&mut Group, &mut Effects) -> R,
    ) -> Result<Option<R>, GroupError> {
        loop {
            let Some(cell) = self.cell(id, may_create)? else { return Ok(None) };
            let mut slot = cell.lock();
            if slot.group.phase() == Phase::Dead {
                // It was put away between our looking it up and locking it.
                continue;
            }
            let mut effects = Effects::default();
            let result = act(&mut slot.group, &mut effects);
            self.finish(&cell, slot, effects);
            return Ok(Some(result));
        }
    }

    /// Runs `act` under the lock of a group if it is in memory, else under the map's, so that nobody brings it in
    /// meanwhile.
    pub(super) fn with_group_if_loaded<R>(&self, id: &str, act: impl FnOnce(Option<&mut Group>) -> R) -> R {
        let map = self.groups().by_id.lock().expect("nobody panics while holding the groups");
        match map.get(id).cloned() {
            Some(cell) => {
                drop(map);
                let mut slot = cell.lock();
                if slot.group.phase() == Phase::Dead { act(None) } else { act(Some(&mut slot.group)) }
            }
            None => act(None),
        }
    }

    fn cell(&self, id: &str, may_create: bool) -> Result<Option<Arc<Cell>>, GroupError> {
        let mut map = self.groups().by_id.lock().expect("nobody panics while holding the groups");
        if let Some(cell) = map.get(id) {
            return Ok(Some(Arc::clone(cell)));
        }
        let stored = self.stored_membership(id);
        let settings = self.settings().groups.clone();
        let id: Arc<str> = id.into();
        let group = match &stored {
            Some(stored) if !stored.members.is_empty() => {
                Group::load(id.clone(), stored, settings, Instant::now(), self.now_ms())
            }
            _ if may_create => Group::empty(id.clone(), stored.as_deref(), settings, self.now_ms()),
            _ => return Ok(None),
        };
        if map.len() >= GROUPS_MAX {
            return Err(GroupError::NotAvailable);
        }
        let cell = Arc::new(Cell {
            id: id.clone(),
            slot: Mutex::new(Slot { group, armed: None }),
            wake: Notify::new(),
        });
        map.insert(id, Arc::clone(&cell));
        drop(map);
        let timer = run_timer(self.clone(), Arc::clone(&cell));
        self.door().tasks.spawn("group-timer", Box::pin(timer));
        Ok(Some(cell))
    }

    /// Stores a changed membership while the group is still locked, wakes the timer if it sleeps too long, then answers.
    fn finish(&self, cell: &Arc<Cell>, mut slot: MutexGuard<'_, Slot>, effects: Effects) {
        #[cfg(test)]
        slot.group.members().check();
        let deadline = slot.group.next_deadline();
        let sleeps_too_long = match (deadline, slot.armed) {
            (Some(deadline), Some(armed)) => deadline < armed,
            (Some(_), None) => true,
            (None, _) => slot.group.is_idle(),
        };
        if sleeps_too_long {
            cell.wake.notify_one();
        }
        if !effects.store {
            drop(slot);
            effects.deliver(None);
            return;
        }
        if slot.group.phase() == Phase::Empty {
            slot.group.note_time(self.now_ms());
        }
        let expected_generation = self.stored_membership(&cell.id).map(|stored| stored.generation);
        let pending = self.propose(Command::StoreGroup {
            group: cell.id.clone(),
            expected_generation,
            membership: slot.group.membership(),
        });
        drop(slot);
        let store = store(self.clone(), Arc::clone(cell), pending, effects);
        self.door().tasks.spawn("group-store", Box::pin(store));
    }

    /// Takes a group out of memory; what is stored of it stays.
    fn forget(&self, cell: &Arc<Cell>) {
        let mut effects = Effects::default();
        {
            let mut map = self.groups().by_id.lock().expect("nobody panics while holding the groups");
            cell.lock().group.abandon(&mut effects);
            if map.get(&cell.id).is_some_and(|known| Arc::ptr_eq(known, cell)) {
                map.remove(&cell.id);
            }
        }
        cell.wake.notify_one();
        effects.deliver(Some(&GroupError::NotAvailable));
    }
}

/// Waits until a membership is stored, then answers those who wait for it.
async fn store(
    broker: Broker,
    cell: Arc<Cell>,
    pending: Pending<Result<kolk_engine::state::Outcome, Refusal>>,
    effects: Effects,
) {
    let (reason, failed) = match pending.await {
        Ok(Ok(_)) => return effects.deliver(None),
        // It would be refused again and again: the members are to know.
        Ok(Err(refusal @ Refusal::MembershipTooLarge { .. })) => (refusal.to_string(), refusal.into()),
        Ok(Err(refusal)) => (refusal.to_string(), GroupError::NotAvailable),
        Err(error) => (error.to_string(), GroupError::NotAvailable),
    };
    if let Some(unsaid) = broker.groups().not_stored.say() {
        tracing::warn!(group = ?cell.id, reason, unsaid, "a group's membership was not stored");
    }
    // What the members would be told is not in the log: they join again, from what is stored.
    broker.forget(&cell);
    effects.deliver(Some(&failed));
}

/// Sleeps until the group's next deadline, again and again, until the group is idle.
async fn run_timer(broker: Broker, cell: Arc<Cell>) {
    loop {
        let deadline = {
            let mut slot = cell.lock();
            if slot.group.phase() == Phase::Dead {
                return;
            }
            slot.armed = slot.group.next_deadline();
            slot.armed
        };
        match deadline {
            Some(deadline) => {
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(deadline) => {}
                    () = cell.wake.notified() => continue,
                }
                let mut effects = Effects::default();
                let mut slot = cell.lock();
                if slot.group.phase() != Phase::Dead {
                    slot.group.expire(Instant::now(), &mut effects);
                }
                broker.finish(&cell, slot, effects);
            }
            None => {
                let is_gone = {
                    let mut map =
                        broker.groups().by_id.lock().expect("nobody panics while holding the groups");
                    let mut slot = cell.lock();
                    let is_idle = slot.group.is_idle() && slot.group.next_deadline().is_none();
                    if is_idle {
                        slot.group.kill();
                        map.remove(&cell.id);
                    }
                    is_idle
                };
                if is_gone {
                    return;
                }
                // Everybody in it waits for us; somebody's next request will wake the timer.
                tokio::select! {
                    biased;
                    () = cell.wake.notified() => {}
                    () = tokio::time::sleep(Duration::from_secs(60)) => {}
                }
            }
        }
    }
}

fn check_group_id(group: &str) -> Result<(), GroupError> {
    if group.is_empty() { Err(GroupError::InvalidGroupId) } else { Ok(()) }
}
