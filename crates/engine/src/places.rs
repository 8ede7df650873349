//! Places for connections: a face has so many. Silence costs its sender nothing, so it must not keep out those who ask: for
//! one more connection, the one that has been without a request for longest gives way. Who has a request, or an answer on its
//! way, keeps its place; while all have, one more waits. (Kafka's brokers do so for their own listener, KIP-402.)
//!
//! A crowd of connections that never say anything must not cost others their places either: once those that never had a
//! request are more than a part of all, they give way to each other. Below that part they are like the others, so that a
//! client that just came has time for its first request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How often an accepted connection for which there is no place looks whether one can be had.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A connection, as far as its place is concerned.
pub trait Holder: Send + Sync + 'static {
    /// Since when it has been without a request; `None` while it has one, or an answer that its peer has not taken. Part of a
    /// request's head is no request.
    fn quiet_since(&self) -> Option<Instant>;

    /// Whether it has had a request since it began.
    fn has_asked(&self) -> bool;

    /// Asks it to end, if it is without a request when it hears of that. It may be asked again.
    fn give_way(&self);
}

/// The places of a face.
#[derive(Debug)]
pub struct Places<H> {
    count: usize,
    free: Arc<Semaphore>,
    holders: Mutex<Holders<H>>,
}

#[derive(Debug)]
struct Holders<H> {
    next: u64,
    by_number: BTreeMap<u64, Arc<H>>,
    /// Who was quiet when all were looked at last, who was for longest at the end. Whoever falls quiet later has been so for
    /// less long than they: all are looked at again when these are used up, not for each that comes.
    quiet: Vec<(Instant, u64)>,
    /// Those of them that never had a request and are too many. They go before the others.
    crowd: Vec<(Instant, u64)>,
    /// `next` when all were looked at last.
    looked_at: u64,
}

/// This part of all may be without a first request before they give way to each other; and before one that had a request is
/// asked, all are looked at again if this part of all came new. So many looks cost a few steps for each that comes.
const NEW_PART: usize = 8;

impl<H: Holder> Places<H> {
    /// So many, all free.
    pub fn new(count: usize) -> Arc<Self> {
        let holders = Holders {
            next: 0,
            by_number: BTreeMap::new(),
            quiet: Vec::new(),
            crowd: Vec::new(),
            looked_at: 0,
        };
        Arc::new(Places { count, free: Arc::new(Semaphore::new(count)), holders: Mutex::new(holders) })
    }

    /// A place, as soon as there is one. Dropping the future leaves nothing behind.
    pub async fn take(self: &Arc<Self>) -> Place<H> {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            self.holders().ask_longest_quiet();
            let freed = Arc::clone(&self.free).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(LOOK_AGAIN, freed).await {
                break permit.expect("the places are never closed");
            }
        };
        Place { number: None, places: Arc::clone(self), _permit: permit }
    }

    /// Resolves when all places are free.
    pub async fn all_free(&self) {
        let all = u32::try_from(self.count).unwrap_or(u32::MAX);
        let _ = self.free.acquire_many(all).await;
    }
}

impl<H> Places<H> {
    fn holders(&self) -> MutexGuard<'_, Holders<H>> {
        self.holders.lock().expect("nothing panics under this lock")
    }
}

impl<H: Holder> Holders<H> {
    fn ask_longest_quiet(&mut self) {
        let part = (self.by_number.len() / NEW_PART).max(1);
        let is_new = self.next - self.looked_at < part as u64;
        if !self.ask_crowd_or_quiet(is_new) {
            self.look(part);
            self.ask_crowd_or_quiet(true);
        }
    }

    /// Asks the next of the crowd, and where there is none and `others` may be asked, of the others; whether there was one.
    fn ask_crowd_or_quiet(&mut self, others: bool) -> bool {
        ask_next(&self.by_number, &mut self.crowd) || others && ask_next(&self.by_number, &mut self.quiet)
    }

    /// Looks at all. So many may be without a first request.
    fn look(&mut self, newcomers_max: usize) {
        self.looked_at = self.next;
        self.quiet.clear();
        self.crowd.clear();
        for (number, holder) in &self.by_number {
            if let Some(since) = holder.quiet_since() {
                let list = if holder.has_asked() { &mut self.quiet } else { &mut self.crowd };
                list.push((since, *number));
            }
        }
        self.crowd.sort_unstable_by(|one, other| other.cmp(one));
        self.quiet.extend(self.crowd.drain(..newcomers_max.min(self.crowd.len())));
        self.quiet.sort_unstable_by(|one, other| other.cmp(one));
    }
}

/// Asks the last of these that still is quiet; whether there was one.
fn ask_next<H: Holder>(by_number: &BTreeMap<u64, Arc<H>>, quiet: &mut Vec<(Instant, u64)>) -> bool {
    while let Some((since, number)) = quiet.pop() {
        if let Some(holder) = by_number.get(&number)
            && holder.quiet_since() == Some(since)
        {
            holder.give_way();
            return true;
        }
    }
    false
}

/// One place, free again when this is dropped.
#[derive(Debug)]
pub struct Place<H> {
    places: Arc<Places<H>>,
    number: Option<u64>,
    _permit: OwnedSemaphorePermit,
}

impl<H: Holder> Place<H> {
    /// Says who may be asked to give it. It is nobody before.
    pub fn held_by(&mut self, holder: &Arc<H>) {
        debug_assert!(self.number.is_none(), "a place has one holder");
        let mut holders = self.places.holders();
        let number = holders.next;
        holders.next += 1;
        holders.by_number.insert(number, Arc::clone(holder));
        self.number = Some(number);
    }
}

impl<H> Drop for Place<H> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.places.holders().by_number.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Client {
        quiet_since: Mutex<Option<Instant>>,
        has_asked: AtomicBool,
        asked: AtomicUsize,
    }

    impl Client {
        fn quiet(&self, since: Option<Instant>) {
            *self.quiet_since.lock().expect("nothing panics under it") = since;
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    impl Holder for Client {
        fn quiet_since(&self) -> Option<Instant> {
            *self.quiet_since.lock().expect("nothing panics under it")
        }

        fn has_asked(&self) -> bool {
            self.has_asked.load(Ordering::Relaxed)
        }

        fn give_way(&self) {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Places that are all held by somebody with a request.
    async fn busy(count: usize) -> (Arc<Places<Client>>, Vec<(Place<Client>, Arc<Client>)>) {
        let places = Places::new(count);
        let mut held = Vec::new();
        for _ in 0..count {
            let client = Client { has_asked: true.into(), ..Client::default() };
            held.push(hold(&places, client).await);
        }
        (places, held)
    }

    async fn hold(places: &Arc<Places<Client>>, client: Client) -> (Place<Client>, Arc<Client>) {
        let client = Arc::new(client);
        let mut place = places.take().await;
        place.held_by(&client);
        (place, client)
    }

    fn asked(held: &[(Place<Client>, Arc<Client>)]) -> Vec<usize> {
        held.iter().map(|(_, client)| client.asked()).collect()
    }

    /// Asks for a place once, in vain.
    async fn ask_in_vain(places: &Arc<Places<Client>>) {
        let taken = tokio::time::timeout(LOOK_AGAIN / 2, places.take()).await;
        assert!(taken.is_err(), "all places are held");
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_quiet_for_longest_is_asked_first_and_who_has_a_request_never() {
        let (places, held) = busy(4).await;
        ask_in_vain(&places).await;
        assert_eq!(asked(&held), [0, 0, 0, 0]);
        let start = Instant::now();
        for (client, ms) in [(0, 30), (1, 10), (3, 20)] {
            held[client].1.quiet(Some(start + Duration::from_millis(ms)));
        }
        ask_in_vain(&places).await;
        assert_eq!(asked(&held), [0, 1, 0, 0]);
        // It has a request by now, and another had one meanwhile.
        held[1].1.quiet(None);
        held[3].1.quiet(Some(start + Duration::from_millis(40)));
        ask_in_vain(&places).await;
        assert_eq!(asked(&held), [1, 1, 0, 0]);
        // All of them are looked at again.
        ask_in_vain(&places).await;
        assert_eq!(asked(&held), [2, 1, 0, 0]);
        ask_in_vain(&places).await;
        assert_eq!(asked(&held), [2, 1, 0, 1]);
    }

    /// A crowd that says nothing cost those their connections who said nothing for a moment.
    #[tokio::test(start_paused = true)]
    async fn who_never_asked_goes_first_once_they_are_many() {
        let (places, mut held) = busy(16).await;
        let start = Instant::now();
        // Four never asked: two too many.
        for (number, (_, client)) in held.iter().enumerate() {
            client.has_asked.store(number < 12, Ordering::Relaxed);
            client.quiet(Some(start + Duration::from_millis(number as u64)));
        }
        ask_in_vain(&places).await;
        ask_in_vain(&places).await;
        assert_eq!(asked(&held)[12..], [1, 1, 0, 0]);
        assert_eq!(asked(&held)[..12], [0; 12]);
        // They went, and others come that say nothing either: those give way to them that came before.
        for number in 0..30 {
            let longest = held.iter().position(|(_, client)| client.asked() > 0).expect("one was asked");
            held.remove(longest);
            let newcomer = Client::default();
            newcomer.quiet(Some(start + Duration::from_millis(100 + number)));
            held.push(hold(&places, newcomer).await);
            ask_in_vain(&places).await;
        }
        let had_asked = held.iter().filter(|(_, client)| client.has_asked()).count();
        assert!(had_asked >= 10, "{had_asked} of 12 are left");
        // Where all that are quiet had a request, the longest quiet one goes.
        for (_, client) in &held {
            if !client.has_asked() {
                client.quiet(None);
            }
        }
        let before = asked(&held);
        ask_in_vain(&places).await;
        assert_eq!(asked(&held)[0], before[0] + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_had_once_somebody_falls_quiet_and_ends() {
        let (places, mut held) = busy(2).await;
        let end = async {
            tokio::time::sleep(LOOK_AGAIN * 10).await;
            assert_eq!(asked(&held), [0, 0]);
            held[1].1.quiet(Some(Instant::now()));
            tokio::time::sleep(LOOK_AGAIN * 3 / 2).await;
            assert_eq!(asked(&held), [0, 1], "who waits for a place looks again");
            held.remove(1);
        };
        let (taken, ()) = tokio::join!(places.take(), end);
        drop((taken, held));
        places.all_free().await;
        assert!(places.holders().by_number.is_empty());
    }
}
