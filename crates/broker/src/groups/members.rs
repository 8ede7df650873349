//! The members of one group, with what every request asks of all of them: it is kept as they change, so that a heartbeat, a
//! join or a sync looks at one member and not at thousands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::JoinedMember;
use super::group::{JoinReply, SyncReply};
use super::seats::{Place, Seat};

#[derive(Debug)]
pub(super) struct Member {
    pub id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    /// Changed by [`Members::set_protocols`] alone.
    pub protocols: Vec<(String, Bytes)>,
    pub assignment: Bytes,
    pub joining: Option<JoinReply>,
    pub syncing: Option<SyncReply>,
    /// It has not had its first JoinGroup reply.
    pub is_new: bool,
    /// It was told the generation and has not asked for its assignment.
    pub must_sync: bool,
    pub alive_until: Instant,
    /// What it takes of the memory for members; none if it was there before the last start.
    pub seat: Option<Seat>,
}

impl Member {
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Notes that it is alive.
    pub fn heard(&mut self, now: Instant) {
        self.alive_until = now + self.session_timeout;
    }

    fn counts(&self) -> Counts {
        // A member that waits for us is alive, unless we have never heard back from it.
        let may_expire = self.is_new || (self.joining.is_none() && self.syncing.is_none());
        Counts {
            session_end: may_expire.then_some(self.alive_until),
            is_joining: self.joining.is_some(),
            must_sync: self.must_sync,
            rebalance_timeout: self.rebalance_timeout,
        }
    }
}

/// What of a member is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counts {
    session_end: Option<Instant>,
    is_joining: bool,
    must_sync: bool,
    rebalance_timeout: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_id: BTreeMap<Arc<str>, Member>,
    /// How many support each protocol.
    supporters: BTreeMap<String, usize>,
    tally: Tally,
    /// What the leader is told of them where this protocol is agreed on. Their seats pay for it.
    roster: Option<(String, Arc<[JoinedMember]>)>,
    /// Members looked at so far.
    #[cfg(test)]
    looks: std::cell::Cell<usize>,
}

/// The counts of all members.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Sessions that may end, the first to end first.
    session_ends: BTreeSet<(Instant, Arc<str>)>,
    joining: usize,
    must_sync: usize,
    /// How many want so long for a rebalance.
    rebalance_timeouts: BTreeMap<Duration, usize>,
}

impl Tally {
    fn add(&mut self, id: &Arc<str>, counts: Counts) {
        if let Some(end) = counts.session_end {
            self.session_ends.insert((end, id.clone()));
        }
        self.joining += usize::from(counts.is_joining);
        self.must_sync += usize::from(counts.must_sync);
        *self.rebalance_timeouts.entry(counts.rebalance_timeout).or_default() += 1;
    }

    fn take(&mut self, id: &Arc<str>, counts: Counts) {
        if let Some(end) = counts.session_end {
            self.session_ends.remove(&(end, id.clone()));
        }
        self.joining -= usize::from(counts.is_joining);
        self.must_sync -= usize::from(counts.must_sync);
        take_one(&mut self.rebalance_timeouts, &counts.rebalance_timeout);
    }
}

fn take_one<K: Ord + std::borrow::Borrow<Q>, Q: Ord + ?Sized>(counts: &mut BTreeMap<K, usize>, key: &Q) {
    let count = counts.get_mut(key).expect("what a member has was counted in");
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}

impl Members {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub fn get(&self, id: &str) -> Option<&Member> {
        self.look(1);
        self.by_id.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values().inspect(|_| self.look(1))
    }

    /// How many wait for the rebalance to be over.
    pub fn joining(&self) -> usize {
        self.tally.joining
    }

    /// How many were told the generation and have not asked for their assignment.
    pub fn must_sync(&self) -> usize {
        self.tally.must_sync
    }

    /// The longest that a member wants to have for a rebalance.
    pub fn rebalance_timeout(&self) -> Duration {
        self.tally.rebalance_timeouts.last_key_value().map(|(timeout, _)| *timeout).unwrap_or_default()
    }

    /// When the next session ends, if nothing is heard.
    pub fn next_session_end(&self) -> Option<Instant> {
        self.tally.session_ends.first().map(|(end, _)| *end)
    }

    /// Whose sessions have ended.
    pub fn ended(&self, now: Instant) -> Vec<Arc<str>> {
        let ended = self.tally.session_ends.iter().take_while(|(end, _)| *end <= now);
        ended.map(|(_, id)| id.clone()).collect()
    }

    /// Whether all of them support the protocol.
    pub fn is_common(&self, protocol: &str) -> bool {
        self.supporters.get(protocol).is_some_and(|members| *members == self.len())
    }

    /// All of them as their leader sees them. There is one list of them until they change.
    pub fn roster(&mut self, protocol: &str) -> Arc<[JoinedMember]> {
        if let Some((of, roster)) = &self.roster
            && of == protocol
        {
            return Arc::clone(roster);
        }
        let roster: Arc<[JoinedMember]> = self
            .iter()
            .map(|member| JoinedMember {
                id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                metadata: member.metadata(protocol),
            })
            .collect();
        self.roster = Some((protocol.to_owned(), Arc::clone(&roster)));
        roster
    }

    pub fn insert(&mut self, member: Member) {
        self.look(1);
        self.roster = None;
        for (name, _) in &member.protocols {
            match self.supporters.get_mut(name) {
                Some(members) => *members += 1,
                None => {
                    self.supporters.insert(name.clone(), 1);
                }
            }
        }
        self.tally.add(&member.id, member.counts());
        let former = self.by_id.insert(member.id.clone(), member);
        assert!(former.is_none(), "a member comes in once");
    }

    pub fn remove(&mut self, id: &str) -> Option<Member> {
        self.look(1);
        let member = self.by_id.remove(id)?;
        self.roster = None;
        self.tally.take(&member.id, member.counts());
        for (name, _) in &member.protocols {
            take_one(&mut self.supporters, name.as_str());
        }
        Some(member)
    }

    /// Changes a member, if it is there.
    pub fn change<R>(&mut self, id: &str, change: impl FnOnce(&mut Member) -> R) -> Option<R> {
        self.look(1);
        let member = self.by_id.get_mut(id)?;
        let before = member.counts();
        let result = change(member);
        let after = member.counts();
        if before != after {
            self.tally.take(&member.id, before);
            self.tally.add(&member.id, after);
        }
        Some(result)
    }

    /// Changes every member.
    pub fn change_all(&mut self, mut change: impl FnMut(&mut Member)) {
        self.look(self.len());
        self.tally = Tally::default();
        for member in self.by_id.values_mut() {
            change(member);
            self.tally.add(&member.id, member.counts());
        }
    }

    /// What a member supports from now on.
    pub fn set_protocols(&mut self, id: &str, protocols: Vec<(String, Bytes)>) {
        if let Some(member) = self.remove(id) {
            self.insert(Member { protocols, ..member });
        }
    }

    #[cfg(test)]
    fn look(&self, members: usize) {
        self.looks.set(self.looks.get() + members);
    }

    #[cfg(not(test))]
    fn look(&self, _members: usize) {}

    /// Members looked at so far.
    #[cfg(test)]
    pub fn looks(&self) -> usize {
        self.looks.get()
    }

    /// How many support each protocol.
    #[cfg(test)]
    pub fn supporters(&self) -> &BTreeMap<String, usize> {
        &self.supporters
    }

    /// Panics if what is kept is not what the members say, where they are few.
    #[cfg(test)]
    pub fn check(&self) {
        if self.len() > 100 {
            return;
        }
        let (mut tally, mut supporters) = (Tally::default(), BTreeMap::<_, usize>::new());
        for member in self.by_id.values() {
            tally.add(&member.id, member.counts());
            for (name, _) in &member.protocols {
                *supporters.entry(name.clone()).or_default() += 1;
            }
        }
        assert_eq!((&tally, &supporters), (&self.tally, &self.supporters));
    }
}

/// Member ids that were given out and not used yet (KIP-394).
#[derive(Debug, Default)]
pub(super) struct Expected {
    by_id: BTreeMap<Arc<str>, (Instant, Place)>,
    /// When each lapses, the first first.
    lapses: BTreeSet<(Instant, Arc<str>)>,
}

impl Expected {
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn insert(&mut self, id: Arc<str>, until: Instant, place: Place) {
        if let Some((former, _)) = self.by_id.insert(id.clone(), (until, place)) {
            self.lapses.remove(&(former, id.clone()));
        }
        self.lapses.insert((until, id));
    }

    pub fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Whether the id was expected. It is no more.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some((id, (until, _))) = self.by_id.remove_entry(id) else { return false };
        self.lapses.remove(&(until, id));
        true
    }

    pub fn next_lapse(&self) -> Option<Instant> {
        self.lapses.first().map(|(until, _)| *until)
    }

    pub fn drop_lapsed(&mut self, now: Instant) {
        while self.lapses.first().is_some_and(|(until, _)| *until <= now) {
            let (_, id) = self.lapses.pop_first().expect("it was just looked at");
            self.by_id.remove(&id);
        }
    }
}
