//! The memory that groups take outside the log's state: a seat for each member, and a smaller place for each member id
//! that was given out and not used yet (KIP-394).
//!
//! Both have a bound of their own. A member that finds no room is told to come again later; ids never run out, the oldest
//! is forgotten instead: whoever asks for ids and never comes back keeps nobody from joining.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::JoinRequest;

/// Bytes that members take at most.
const MEMBER_BYTES_MAX: usize = 64 << 20;
/// What a member and its share of a group take beside what it sent, in bytes.
const MEMBER_BYTES: usize = 2048;

/// Bytes that ids given out take at most.
pub(super) const ID_BYTES_MAX: usize = 8 << 20;
/// What an id takes beside the names, and its share of a group that is in memory for such ids alone, in bytes.
const ID_BYTES: usize = 512;

impl JoinRequest {
    /// What a member takes that joins like this, in bytes.
    fn seat_bytes(&self) -> usize {
        // Names stand in the group's count of supporters as well.
        let protocols = self.protocols.iter().map(|(name, metadata)| 2 * name.len() + metadata.len() + 128);
        let instance_id = self.instance_id.as_deref().unwrap_or_default();
        let names = [&self.group, &self.member_id, &self.client_id, instance_id, &self.protocol_type];
        let names: usize = names.iter().map(|name| 2 * name.len()).sum();
        MEMBER_BYTES + names + protocols.sum::<usize>()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Seats {
    members: Arc<Semaphore>,
    given: Arc<Mutex<Given>>,
}

/// A member's memory, given back on drop.
#[derive(Debug)]
pub(super) struct Seat(OwnedSemaphorePermit);

/// Ids given out.
#[derive(Debug, Default)]
struct Given {
    by_age: BTreeMap<u64, (GivenId, usize)>,
    next: u64,
    bytes: usize,
}

/// An id and the group that it was given out for.
#[derive(Clone, Debug)]
pub(super) struct GivenId {
    pub group: Arc<str>,
    pub id: Arc<str>,
}

/// The place of an id, given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    age: u64,
    given: Arc<Mutex<Given>>,
}

fn lock(given: &Mutex<Given>) -> MutexGuard<'_, Given> {
    given.lock().expect("nobody panics while holding the ids")
}

impl Given {
    fn take(&mut self, age: u64) -> Option<GivenId> {
        let (id, bytes) = self.by_age.remove(&age)?;
        self.bytes -= bytes;
        Some(id)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.given).take(self.age);
    }
}

impl Default for Seats {
    fn default() -> Self {
        Seats { members: Arc::new(Semaphore::new(MEMBER_BYTES_MAX)), given: Arc::default() }
    }
}

impl Seats {
    /// A seat for who joins like this; `None` if there is no room.
    pub fn take(&self, request: &JoinRequest) -> Option<Seat> {
        self.take_bytes(request.seat_bytes())
    }

    /// Makes the seat of a member that was in already one for who joins like this: it pays the difference. False if there
    /// is no room; the seat is then as it was.
    pub fn change(&self, seat: &mut Option<Seat>, request: &JoinRequest) -> bool {
        let (bytes, held) = (request.seat_bytes(), seat.as_ref().map_or(0, |seat| seat.0.num_permits()));
        match seat {
            Some(seat) if bytes <= held => {
                drop(seat.0.split(held - bytes));
                true
            }
            Some(seat) => self.take_bytes(bytes - held).map(|more| seat.0.merge(more.0)).is_some(),
            None => {
                *seat = self.take_bytes(bytes);
                seat.is_some()
            }
        }
    }

    fn take_bytes(&self, bytes: usize) -> Option<Seat> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.members).try_acquire_many_owned(bytes).ok().map(Seat)
    }

    /// A place for an id that is given out. There always is one, see [`surplus`](Self::surplus).
    pub fn give(&self, group: &Arc<str>, id: &Arc<str>) -> Place {
        let bytes = ID_BYTES + 2 * group.len() + 3 * id.len();
        let mut given = lock(&self.given);
        let age = given.next;
        given.next += 1;
        given.bytes += bytes;
        given.by_age.insert(age, (GivenId { group: group.clone(), id: id.clone() }, bytes));
        Place { age, given: Arc::clone(&self.given) }
    }

    /// The oldest id, if all together take more than they may: the caller makes its group forget it.
    pub fn surplus(&self) -> Option<GivenId> {
        let mut given = lock(&self.given);
        let oldest = *given.by_age.first_key_value()?.0;
        if given.bytes > ID_BYTES_MAX { given.take(oldest) } else { None }
    }

    /// How many ids are given out.
    #[cfg(test)]
    pub fn given(&self) -> usize {
        lock(&self.given).by_age.len()
    }
}
