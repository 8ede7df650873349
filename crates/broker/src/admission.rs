//! Memory for requests and replies: a byte budget that every request passes before it is decoded.
//!
//! Owns `memory-max`. Promises: what admitted requests hold stays within it (a single request larger than all of it
//! stands alone), waiting is first come first served, a permit gives back what it holds when it is dropped.
//! Leaves to the faces: measuring a request before reading it, closing a sender that makes no progress, answering what
//! was decided *before* waiting for more (a task that holds a permit must not wait for another; [`Permit::grow`] is the
//! one exception).
//!
//! ```text
//!  memory-max ─┬─ general: requests and replies in flight
//!              │     └─ at most half of it: requests that are still being received, or wait to grow by much
//!              │     └─ at most one request larger than a quarter of it at a time
//!              ├─ reserve: small control requests (heartbeats) when the general part is full
//!              ├─ small: other small requests then, one at a time of each connection
//!              ├─ growth: what requests unpack to and answers take beyond that, when the general part is full
//!              ├─ waiting: what long polls keep while nothing comes
//!              ├─ buffers: what busy connections read into beyond a few KiB
//!              └─ HTTP: as much, for long heads and what HTTP/2 peers send ahead
//! ```
//!
//! What stands in the reserve and in the small part is there while the server works, not while a peer takes its time: an
//! answer moves to the general part when it is sent, and where it cannot, its peer has to be quick ([`Permit::patience`];
//! over HTTP, where many answers share a connection, one of them at a time is there). So who asks for little is served
//! though others, who take no answers, have filled the rest.
//!
//! Nobody waits for each other in a circle, though whoever grows holds something already:
//! - who holds growth waits for nobody;
//! - who wants more than there is of growth takes it from the general part, one at a time, up to what those who wait to do
//!   the same cannot hold: they hold no more than what is set aside for receiving. For what is missing then it takes
//!   growth, last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kolk_engine::metrics::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What kind of request asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Carries records, or may be large.
    Data,
    /// Keeps a client alive or finds its way: may use the reserve if it is small.
    Control,
}

/// Control requests up to this many bytes may use the reserve.
pub const CONTROL_BYTES_MAX: usize = 16 * 1024;

/// Other requests up to this many bytes may use the small part: what a connection reads at a time and what it is charged
/// beside that, or a read of the least size and its answer.
pub const SMALL_BYTES_MAX: usize = 80 * 1024;

/// How long a peer may take nothing of an answer that stands in the reserve or in the small part.
const PATIENCE_SET_ASIDE: Duration = Duration::from_secs(2);

/// What a request costs beside the bytes of its frame or body: its place in queues, small lists, a short answer.
pub const REQUEST_BYTES: usize = 1024;

/// The smallest budget that is taken; less is raised to this.
pub const MEMORY_BYTES_MIN: usize = 8 * 1024 * 1024;

/// The budget that what one request may ask for is made for.
pub const MEMORY_BYTES_USUAL: usize = 256 * 1024 * 1024;

/// An answer up to this size is kept while it waits for room.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// How often an answer that there was no room for is made anew; after that it waits as it is.
pub const REPEATS_MAX: u32 = 2;

/// How often who waits to grow looks whether there is room where it was admitted.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// While memory is short, who sends or takes what holds it must be as fast as this, in bytes a second.
pub const SLOWEST_BYTES_PER_SECOND: usize = 256 * 1024;

/// The byte budget. A cheap handle.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Pools>);

#[derive(Debug)]
struct Pools {
    memory_bytes: usize,
    general_bytes: usize,
    general: Arc<Semaphore>,
    receiving_bytes: usize,
    receiving: Arc<Semaphore>,
    oversized: Arc<Semaphore>,
    reserve_bytes: usize,
    reserve: Arc<Semaphore>,
    small_bytes: usize,
    small: Arc<Semaphore>,
    growth_bytes: usize,
    growth: Arc<Semaphore>,
    /// The turn to grow by more than there is of growth.
    growing: Semaphore,
    waiting_bytes: usize,
    waiting: Arc<Semaphore>,
    buffer_bytes: usize,
    buffers: Arc<Semaphore>,
    http: Arc<Semaphore>,
    waits: Counter,
    /// Requests that wait for room now.
    in_line: AtomicUsize,
}

/// Bytes of the budget, given back on drop.
#[derive(Debug)]
#[must_use = "dropping the permit gives the bytes back"]
pub struct Permit {
    /// Bytes that it is good for. What is larger than a part of the budget holds all of that part, and no more.
    granted: usize,
    held: OwnedSemaphorePermit,
    receiving: Option<OwnedSemaphorePermit>,
    grown: Option<OwnedSemaphorePermit>,
    /// The turn of a request larger than so many bytes.
    oversized: Option<(usize, OwnedSemaphorePermit)>,
    /// The turn of its connection to hold some of the small part.
    turn: Option<OwnedSemaphorePermit>,
}

/// What else a request's peer has under way, or was sent and has not taken, on the same connection.
#[derive(Clone, Copy, Debug)]
pub enum Beside<'a> {
    /// Nothing.
    Nothing,
    /// Perhaps other requests. One of them may stand in the small part: that which has the one permit there is.
    Others(&'a Arc<Semaphore>),
}

impl Admission {
    /// A budget of `memory_bytes_max` bytes in all.
    pub fn new(memory_bytes_max: usize) -> Self {
        let total = memory_bytes_max.clamp(MEMORY_BYTES_MIN, u32::MAX as usize);
        let reserve_bytes = (total / 32).min(8 * 1024 * 1024);
        let buffer_bytes = total / 8;
        let growth_bytes = total / 16;
        let waiting_bytes = total / 16;
        let small_bytes = total / 32;
        let general_bytes =
            total - reserve_bytes - small_bytes - 2 * buffer_bytes - growth_bytes - waiting_bytes;
        let receiving_bytes = general_bytes / 2;
        Admission(Arc::new(Pools {
            memory_bytes: total,
            general_bytes,
            general: Arc::new(Semaphore::new(general_bytes)),
            receiving_bytes,
            receiving: Arc::new(Semaphore::new(receiving_bytes)),
            oversized: Arc::new(Semaphore::new(1)),
            reserve_bytes,
            reserve: Arc::new(Semaphore::new(reserve_bytes)),
            small_bytes,
            small: Arc::new(Semaphore::new(small_bytes)),
            growth_bytes,
            growth: Arc::new(Semaphore::new(growth_bytes)),
            growing: Semaphore::new(1),
            waiting_bytes,
            waiting: Arc::new(Semaphore::new(waiting_bytes)),
            buffer_bytes,
            buffers: Arc::new(Semaphore::new(buffer_bytes)),
            http: Arc::new(Semaphore::new(buffer_bytes)),
            waits: Counter::default(),
            in_line: AtomicUsize::new(0),
        }))
    }

    /// Bytes from which on a request is admitted only while no other such request is.
    pub fn oversized_bytes(&self) -> usize {
        self.0.general_bytes / 4
    }

    /// A limit of what one request may ask for, in proportion to the budget: `usual` where that is [`MEMORY_BYTES_USUAL`] or
    /// more.
    pub fn in_proportion(&self, usual: usize) -> usize {
        let memory_bytes = self.0.memory_bytes.min(MEMORY_BYTES_USUAL);
        (usual as u64 * memory_bytes as u64 / MEMORY_BYTES_USUAL as u64) as usize
    }

    /// Bytes of the general part that nobody holds.
    pub fn available(&self) -> usize {
        self.0.general.available_permits()
    }

    /// Each part of the budget by its name: bytes of it that are held, and all of it.
    pub fn parts(&self) -> [(&'static str, usize, usize); 8] {
        let pools = &*self.0;
        let part = |name, pool: &Semaphore, bytes: usize| {
            (name, bytes.saturating_sub(pool.available_permits()), bytes)
        };
        [
            part("requests", &pools.general, pools.general_bytes),
            part("receiving", &pools.receiving, pools.receiving_bytes),
            part("control", &pools.reserve, pools.reserve_bytes),
            part("small", &pools.small, pools.small_bytes),
            part("growth", &pools.growth, pools.growth_bytes),
            part("waiting", &pools.waiting, pools.waiting_bytes),
            part("buffers", &pools.buffers, pools.buffer_bytes),
            part("http", &pools.http, pools.buffer_bytes),
        ]
    }

    /// Whether a request waits for room, or less than a quarter is free of a part that peers can hold for as long as they
    /// send or take bytes.
    fn is_short(&self) -> bool {
        let pools = &*self.0;
        let short = |pool: &Semaphore, bytes: usize| pool.available_permits() < bytes / 4;
        pools.in_line.load(Ordering::Relaxed) > 0
            || short(&pools.general, pools.general_bytes)
            || short(&pools.receiving, pools.receiving_bytes)
            || short(&pools.reserve, pools.reserve_bytes)
            || short(&pools.small, pools.small_bytes)
            || short(&pools.growth, pools.growth_bytes)
    }

    /// How long a peer may take to send or to take `bytes` that hold memory, beside the time that anything may stall: any
    /// time while there is enough of it, at [`SLOWEST_BYTES_PER_SECOND`] while it is short. Kafka's clients give up much
    /// sooner by themselves (`request.timeout.ms`, 30 s).
    pub fn slowest(&self, bytes: usize) -> Duration {
        if self.is_short() {
            Duration::from_secs_f64(bytes as f64 / SLOWEST_BYTES_PER_SECOND as f64)
        } else {
            Duration::MAX
        }
    }

    /// Requests so far that had to wait for bytes of the budget.
    pub fn waits(&self) -> u64 {
        self.0.waits.get()
    }

    /// Admits a request that is here already, if there is room now.
    pub fn try_admit(&self, bytes: usize, class: Class) -> Option<Permit> {
        let pools = &*self.0;
        let oversized = if bytes > self.oversized_bytes() {
            Some((self.oversized_bytes(), Arc::clone(&pools.oversized).try_acquire_owned().ok()?))
        } else {
            None
        };
        let count = clamp(bytes, pools.general_bytes);
        let held = match Arc::clone(&pools.general).try_acquire_many_owned(count) {
            Ok(held) => held,
            Err(_) if may_use_reserve(bytes, class) => {
                Arc::clone(&pools.reserve).try_acquire_many_owned(count).ok()?
            }
            Err(_) => return None,
        };
        Some(Permit { granted: bytes, held, receiving: None, grown: None, oversized, turn: None })
    }

    /// Admits a request that is here already, as soon as there is room.
    pub async fn admit(&self, bytes: usize, class: Class, beside: Beside<'_>) -> Permit {
        match self.try_admit(bytes, class) {
            Some(permit) => permit,
            None => self.wait(bytes, class, None, Some(beside)).await,
        }
    }

    /// Room for a connection to read into, if there is some. A connection that gets none reads in small steps.
    pub fn try_buffer(&self, bytes: usize) -> Option<Permit> {
        let count = u32::try_from(bytes).ok()?;
        let held = Arc::clone(&self.0.buffers).try_acquire_many_owned(count).ok()?;
        Some(Permit { granted: bytes, held, receiving: None, grown: None, oversized: None, turn: None })
    }

    /// Room for what a request keeps while it waits for other clients, if there is some. Nobody queues for it: a wait that
    /// one client makes as long as it likes holds up nobody.
    pub fn try_wait(&self, bytes: usize) -> Option<Permit> {
        let count = u32::try_from(bytes).ok()?;
        let held = Arc::clone(&self.0.waiting).try_acquire_many_owned(count).ok()?;
        Some(Permit { granted: bytes, held, receiving: None, grown: None, oversized: None, turn: None })
    }

    /// What HTTP connections together may be sent before it is asked for, a permit a byte.
    pub fn http(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.http)
    }

    /// [`Admission::receive`], if there is room now.
    pub fn try_receive(&self, bytes: usize, class: Class) -> Option<Permit> {
        let receiving = if may_use_reserve(bytes, class) {
            None
        } else {
            let count = clamp(bytes, self.0.receiving_bytes);
            Some(Arc::clone(&self.0.receiving).try_acquire_many_owned(count).ok()?)
        };
        let permit = self.try_admit(bytes, class)?;
        Some(Permit { receiving, ..permit })
    }

    /// Admits a request of which the length is known and most bytes are still to come. Call
    /// [`Permit::received`] once they are here.
    pub async fn receive(&self, bytes: usize, class: Class) -> Permit {
        if let Some(permit) = self.try_receive(bytes, class) {
            return permit;
        }
        let receiving = if may_use_reserve(bytes, class) {
            None
        } else {
            Some(acquire(&self.0.receiving, clamp(bytes, self.0.receiving_bytes)).await)
        };
        self.wait(bytes, class, receiving, None).await
    }

    /// `beside`: of a request that is here already.
    async fn wait(
        &self,
        bytes: usize,
        class: Class,
        receiving: Option<OwnedSemaphorePermit>,
        beside: Option<Beside<'_>>,
    ) -> Permit {
        let pools = &*self.0;
        pools.waits.add(1);
        let _in_line = InLine::new(&pools.in_line);
        let oversized = if bytes > self.oversized_bytes() {
            Some((self.oversized_bytes(), acquire(&pools.oversized, 1).await))
        } else {
            None
        };
        let count = clamp(bytes, pools.general_bytes);
        // Whichever has room first: what is set aside serves who wants little while large requests queue for the rest.
        let set_aside = async {
            match beside {
                _ if may_use_reserve(bytes, class) => (acquire(&pools.reserve, count).await, None),
                Some(beside) if bytes <= SMALL_BYTES_MAX => pools.small(count, beside).await,
                _ => std::future::pending().await,
            }
        };
        let (held, turn) = tokio::select! {
            biased;
            held = acquire(&pools.general, count) => (held, None),
            held = set_aside => held,
        };
        Permit { granted: bytes, held, receiving, grown: None, oversized, turn }
    }
}

impl Pools {
    /// Some of the small part, in turn.
    async fn small(
        &self,
        count: u32,
        beside: Beside<'_>,
    ) -> (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>) {
        let turn = match beside {
            Beside::Nothing => None,
            Beside::Others(turn) => Some(acquire(turn, 1).await),
        };
        (acquire(&self.small, count).await, turn)
    }

    /// What a request may have of a part, in all.
    fn share(&self, part: &Arc<Semaphore>) -> usize {
        if Arc::ptr_eq(part, &self.reserve) {
            CONTROL_BYTES_MAX
        } else if Arc::ptr_eq(part, &self.small) {
            SMALL_BYTES_MAX
        } else {
            usize::MAX
        }
    }

    /// What who grows alone leaves to those who want little, in the general part.
    fn left_to_others(&self) -> usize {
        self.general_bytes / 16
    }

    /// What who grows alone may hold of the general part: others that wait to do so cannot hold it meanwhile.
    fn alone_bytes_max(&self) -> usize {
        self.general_bytes - self.receiving_bytes - self.left_to_others()
    }
}

/// Counts a request that waits, until it is dropped.
struct InLine<'a>(&'a AtomicUsize);

impl<'a> InLine<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        InLine(count)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn may_use_reserve(bytes: usize, class: Class) -> bool {
    class == Class::Control && bytes <= CONTROL_BYTES_MAX
}

/// A request larger than a pool takes all of it: it stands alone.
fn clamp(bytes: usize, pool: usize) -> u32 {
    u32::try_from(bytes.min(pool)).expect("pools are clamped to u32")
}

async fn acquire(pool: &Arc<Semaphore>, count: u32) -> OwnedSemaphorePermit {
    Arc::clone(pool).acquire_many_owned(count).await.expect("the pools are never closed")
}

impl Permit {
    /// The request is here whole, and has the memory that it needs: it no longer counts as half-received.
    pub fn received(&mut self) {
        self.receiving = None;
    }

    /// Gives back all but `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let mut surplus = self.held_bytes().saturating_sub(bytes);
        if let Some(mut grown) = self.grown.take() {
            let from_growth = surplus.min(grown.num_permits());
            drop(grown.split(from_growth));
            surplus -= from_growth;
            // Growth that is all given back may be taken again.
            self.grown = Some(grown).filter(|grown| grown.num_permits() > 0);
        }
        drop(self.held.split(surplus));
        self.granted = self.granted.min(bytes);
        if self.oversized.as_ref().is_some_and(|(limit, _)| self.granted <= *limit) {
            self.oversized = None;
        }
    }

    /// Makes the permit hold `bytes` at least, if there is room now: from where it was taken, else from what is set
    /// aside for growth.
    pub fn try_grow(&mut self, admission: &Admission, bytes: usize) -> bool {
        let missing = bytes.saturating_sub(self.granted);
        let Ok(count) = u32::try_from(missing) else { return false };
        if count == 0 {
            return true;
        }
        if !self.try_more(&admission.0, count) {
            if self.grown.is_some() {
                return false;
            }
            let Ok(grown) = Arc::clone(&admission.0.growth).try_acquire_many_owned(count) else {
                return false;
            };
            self.grown = Some(grown);
        }
        self.granted = bytes;
        true
    }

    /// Takes `count` more from where it was taken, up to its share of that; what was set aside may move to the general part.
    fn try_more(&mut self, pools: &Pools, count: u32) -> bool {
        let home = Arc::clone(self.held.semaphore());
        let all = self.held.num_permits() + count as usize;
        if all <= pools.share(&home)
            && let Ok(more) = home.try_acquire_many_owned(count)
        {
            self.held.merge(more);
            return true;
        }
        self.is_set_aside(pools) && self.try_move(pools, all)
    }

    /// Whether it stands in the reserve or in the small part.
    fn is_set_aside(&self, pools: &Pools) -> bool {
        pools.share(self.held.semaphore()) != usize::MAX
    }

    /// Moves it to the general part, with so many bytes there, if there is room now.
    fn try_move(&mut self, pools: &Pools, bytes: usize) -> bool {
        let Ok(count) = u32::try_from(bytes) else { return false };
        let Ok(held) = Arc::clone(&pools.general).try_acquire_many_owned(count) else { return false };
        self.held = held;
        self.turn = None;
        true
    }

    /// Whether it stands in the small part: the only request of its connection there, it may not wait for another.
    pub fn is_small(&self, admission: &Admission) -> bool {
        Arc::ptr_eq(self.held.semaphore(), &admission.0.small)
    }

    /// How long a peer may take nothing of an answer that the permit holds: `usual`, if it is or can be in the general part.
    pub fn patience(&mut self, admission: &Admission, usual: Duration) -> Duration {
        let pools = &*admission.0;
        if self.is_set_aside(pools) && !self.try_move(pools, self.held.num_permits()) {
            usual.min(PATIENCE_SET_ASIDE)
        } else {
            usual
        }
    }

    /// [`Permit::try_grow`], as soon as there is room. What is larger than all that one request can have stands alone, with
    /// all that it can have.
    ///
    /// **Who waits here has nothing in memory but its request as it came**: what the permit holds as growth it gives back
    /// meanwhile, and where it is to grow by more than there is of that, all but what counts as being received.
    pub async fn grow(&mut self, admission: &Admission, bytes: usize, beside: Beside<'_>) {
        if self.try_grow(admission, bytes) {
            return;
        }
        let pools = &*admission.0;
        pools.waits.add(1);
        let _in_line = InLine::new(&pools.in_line);
        if let Some(grown) = self.grown.take() {
            self.granted -= grown.num_permits();
        }
        if self.is_set_aside(pools) {
            self.keep_received(pools);
        }
        match bytes - self.granted {
            missing if missing <= pools.growth_bytes => self.grow_by_little(pools, missing, beside).await,
            _ => self.grow_alone(pools, bytes).await,
        }
        self.granted = bytes;
    }

    /// Grows by what fits into growth, where it was admitted or there, or to what may stand in the small part.
    async fn grow_by_little(&mut self, pools: &Pools, missing: usize, beside: Beside<'_>) {
        let count = clamp(missing, pools.growth_bytes);
        let all = self.held.num_permits() + missing;
        let mut growing = std::pin::pin!(acquire(&pools.growth, count));
        let mut small = std::pin::pin!(async {
            if all > SMALL_BYTES_MAX {
                return std::future::pending().await;
            }
            pools.small(clamp(all, SMALL_BYTES_MAX), beside).await
        });
        // Where it was admitted it does not queue: it would hold up whoever wants less, and holds something already.
        loop {
            tokio::select! {
                biased;
                grown = &mut growing => {
                    self.grown = Some(grown);
                    return;
                }
                small = &mut small => {
                    (self.held, self.turn) = small;
                    return;
                }
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            if self.try_more(pools, count) {
                return;
            }
        }
    }

    /// Grows to more than there is of growth: in the general part as far as may be, and only then in growth.
    async fn grow_alone(&mut self, pools: &Pools, bytes: usize) {
        self.keep_received(pools);
        let goal = bytes.min(pools.alone_bytes_max());
        if self.held.num_permits() < goal {
            let _turn = pools.growing.acquire().await.expect("the semaphore is never closed");
            self.collect(pools, goal).await;
        }
        let missing = bytes.saturating_sub(self.held.num_permits());
        if missing > 0 {
            self.grown = Some(acquire(&pools.growth, clamp(missing, pools.growth_bytes)).await);
        }
    }

    /// Gives back all but what it holds for being received: that alone is bounded for all that wait to grow.
    fn keep_received(&mut self, pools: &Pools) {
        let received = self.receiving.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if received == pools.receiving_bytes {
            // It holds all that there is for receiving, and may hold more: nobody else holds any.
            return;
        }
        if Arc::ptr_eq(self.held.semaphore(), &pools.general) {
            let surplus = self.held.num_permits().saturating_sub(received);
            drop(self.held.split(surplus));
        } else {
            let is_moved = self.try_move(pools, 0);
            debug_assert!(is_moved, "nobody is refused nothing");
        }
        self.granted = self.held.num_permits();
    }

    /// Takes of the general part until the permit holds `goal` bytes of it, a little at a time: it holds up nobody who wants
    /// less.
    async fn collect(&mut self, pools: &Pools, goal: usize) {
        let left = pools.left_to_others();
        loop {
            let missing = goal.saturating_sub(self.held.num_permits());
            if missing == 0 {
                return;
            }
            let free = pools.general.available_permits();
            if free == 0 {
                // Others are in line, or nothing is left for them either: first come first served.
                self.held.merge(acquire(&pools.general, clamp(missing, left)).await);
                continue;
            }
            let count = clamp(missing, free.saturating_sub(left));
            match Arc::clone(&pools.general).try_acquire_many_owned(count) {
                Ok(more) if count > 0 => self.held.merge(more),
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Makes the permit hold an answer that is there, `bytes` in all. An answer that there is no room for
    /// is no longer there while it waits, or the waiting would hold what the budget does not know of: `None`, and the
    /// permit holds room to make it again, which takes one of `repeats`. Without any left, and if it is small, it waits
    /// as it is.
    pub async fn keep<A>(
        &mut self,
        admission: &Admission,
        answer: A,
        bytes: usize,
        beside: Beside<'_>,
        repeats: &mut u32,
    ) -> Option<A> {
        if self.try_grow(admission, bytes) {
            return Some(answer);
        }
        let kept = match repeats.checked_sub(1) {
            Some(left) if bytes > KEPT_BYTES_MAX => {
                *repeats = left;
                drop(answer);
                None
            }
            _ => Some(answer),
        };
        self.grow(admission, bytes, beside).await;
        kept
    }

    /// Holds from now on what `other` holds, too; both are of one part of the budget.
    pub fn merge(&mut self, other: Permit) {
        let Permit { granted, held, receiving, grown, oversized, turn } = other;
        debug_assert!(receiving.is_none(), "what is half-received is not mixed with anything");
        debug_assert!(turn.is_none(), "who has the turn is alone");
        self.granted += granted;
        self.held.merge(held);
        match (&mut self.grown, grown) {
            (Some(known), Some(grown)) => known.merge(grown),
            (known @ None, grown) => *known = grown,
            (Some(_), None) => {}
        }
        self.oversized = self.oversized.take().or(oversized);
    }

    /// Bytes that the permit is good for.
    pub fn bytes(&self) -> usize {
        self.granted
    }

    /// Bytes of the budget that it holds.
    fn held_bytes(&self) -> usize {
        self.held.num_permits() + self.grown.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn waiting_is_fair_and_ends_when_bytes_come_back() {
        let admission = Admission::new(32 * MIB);
        let first: Vec<_> = (0..4)
            .map(|_| admission.try_admit(9 * MIB / 2, Class::Data).expect("four times 4.5 MiB fit"))
            .collect();
        assert!(admission.try_admit(5 * MIB, Class::Data).is_none());
        let mut big = pin!(admission.admit(5 * MIB, Class::Data, Beside::Nothing));
        assert!(poll(big.as_mut()).is_pending());
        let mut small = pin!(admission.admit(MIB, Class::Data, Beside::Nothing));
        assert!(poll(small.as_mut()).is_pending(), "a later small request does not overtake");
        drop(first);
        assert!(poll(big).is_ready());
        assert!(poll(small).is_ready());
    }

    /// One client that took a page of 10 MiB at a crawl had the only turn that there is for pages of that size, and kept it for
    /// hours: three quarters of the memory were free, so nobody hurried it.
    #[test]
    fn memory_is_short_while_a_request_waits_for_it() {
        let admission = Admission::new(64 * MIB);
        let large = admission.oversized_bytes() + 1;
        let held = admission.try_admit(large, Class::Data).expect("there is room");
        assert_eq!(admission.slowest(MIB), Duration::MAX);
        {
            let mut next = pin!(admission.admit(large, Class::Data, Beside::Nothing));
            assert!(poll(next.as_mut()).is_pending());
            assert_eq!(admission.slowest(MIB), Duration::from_secs(4));
        }
        assert_eq!(admission.slowest(MIB), Duration::MAX, "who waited has left");
        drop(held);
    }

    #[test]
    fn one_oversized_request_at_a_time_even_if_larger_than_the_budget() {
        let admission = Admission::new(8 * MIB);
        let mut first = pin!(admission.receive(100 * MIB, Class::Data));
        let Poll::Ready(mut permit) = poll(first.as_mut()) else {
            panic!("an idle budget takes any request")
        };
        let mut second = pin!(admission.receive(3 * MIB, Class::Data));
        assert!(poll(second.as_mut()).is_pending());
        permit.received();
        assert!(poll(second.as_mut()).is_pending());
        drop(permit);
        assert!(poll(second).is_ready());
    }

    #[test]
    fn half_received_requests_hold_at_most_half() {
        let admission = Admission::new(32 * MIB);
        let mut permits = Vec::new();
        loop {
            let mut next = Box::pin(admission.receive(MIB, Class::Data));
            match poll(next.as_mut()) {
                Poll::Ready(permit) => permits.push(permit),
                Poll::Pending => break,
            }
        }
        assert_eq!(permits.len(), 9);
        assert!(
            admission.try_admit(6 * MIB, Class::Data).is_some(),
            "whole requests still have the other half"
        );
        permits[0].received();
        assert!(poll(pin!(admission.receive(MIB, Class::Data))).is_ready());
    }

    #[test]
    fn heartbeats_pass_a_full_budget() {
        let admission = Admission::new(8 * MIB);
        let mut held = Vec::new();
        while let Some(permit) = admission.try_admit(MIB, Class::Data) {
            held.push(permit);
        }
        let rest = admission.try_admit(admission.available(), Class::Data);
        assert!(rest.is_some() && admission.available() == 0);
        assert!(admission.try_admit(100, Class::Data).is_none());
        let heartbeat = admission.try_admit(100, Class::Control).expect("the reserve");
        assert_eq!(heartbeat.bytes(), 100);
        assert!(poll(pin!(admission.receive(100, Class::Control))).is_ready());
        assert!(admission.try_admit(CONTROL_BYTES_MAX + 1, Class::Control).is_none());
    }

    fn held(admission: &Admission, part: &str) -> usize {
        admission.parts().into_iter().find(|(name, ..)| *name == part).expect("a part of the budget").1
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_request_unpacks_to_has_room_of_its_own() {
        let admission = Admission::new(32 * MIB);
        let mut permit = admission.try_admit(MIB, Class::Data).expect("fits");
        assert!(permit.try_grow(&admission, 2 * MIB));
        assert_eq!(permit.bytes(), 2 * MIB);
        let mut others: Vec<_> = std::iter::from_fn(|| admission.try_admit(MIB, Class::Data)).collect();
        let rest = admission.try_admit(admission.available(), Class::Data);
        // Nothing general is left: growth comes from its own part, and who finds that taken waits for its holder.
        assert!(permit.try_grow(&admission, 4 * MIB));
        let mut other = others.pop().expect("some were admitted");
        {
            let mut growing = pin!(other.grow(&admission, 3 * MIB, Beside::Nothing));
            assert!(poll(growing.as_mut()).is_pending());
            permit.shrink(10);
            assert_eq!(permit.bytes(), 10);
            assert!(poll(growing).is_ready());
        }
        assert_eq!((other.bytes(), held(&admission, "growth")), (3 * MIB, 2 * MIB));
        drop((permit, other, others, rest));
        assert_eq!(admission.available(), Admission::new(32 * MIB).available());
    }

    /// Clients that read no answers held all of the general part until they were closed, 30 s and more, and one who wrote a
    /// record waited behind them.
    #[tokio::test(start_paused = true)]
    async fn who_wants_little_passes_a_full_budget_one_at_a_time_of_a_connection() {
        let admission = Admission::new(32 * MIB);
        let _all = admission.try_admit(admission.available(), Class::Data);
        let mut large = pin!(admission.admit(SMALL_BYTES_MAX + 1, Class::Data, Beside::Nothing));
        assert!(poll(large.as_mut()).is_pending());
        assert!(admission.try_admit(100, Class::Data).is_none(), "who has others beside it does not ask");
        let turn = Arc::new(Semaphore::new(1));
        let beside = Beside::Others(&turn);
        let first = admission.admit(SMALL_BYTES_MAX, Class::Data, beside).await;
        assert!(first.is_small(&admission));
        {
            let mut second = pin!(admission.admit(100, Class::Data, beside));
            assert!(poll(second.as_mut()).is_pending(), "it is another's turn");
            let other = admission.admit(100, Class::Data, Beside::Others(&Arc::new(Semaphore::new(1)))).await;
            assert!(other.is_small(&admission), "of another connection");
            drop(first);
            assert!(poll(second).is_ready());
        }
        let mut many: Vec<_> = Vec::new();
        loop {
            let mut next = Box::pin(admission.admit(SMALL_BYTES_MAX, Class::Data, Beside::Nothing));
            match poll(next.as_mut()) {
                Poll::Ready(permit) => many.push(permit),
                Poll::Pending => break,
            }
        }
        assert_eq!(many.len(), admission.0.small_bytes / SMALL_BYTES_MAX);
        assert!(poll(large).is_pending());
    }

    /// A request that had come in while there was room needed some more, and waited for what others held.
    #[tokio::test(start_paused = true)]
    async fn who_needs_a_little_more_may_stand_in_the_small_part() {
        let admission = Admission::new(32 * MIB);
        let mut permit = admission.try_admit(1000, Class::Data).expect("fits");
        let mut other = admission.try_admit(1000, Class::Data).expect("fits");
        let all = admission.try_admit(admission.available(), Class::Data).expect("fits");
        assert!(other.try_grow(&admission, 1000 + admission.0.growth_bytes));
        permit.grow(&admission, 2000, Beside::Nothing).await;
        assert!(permit.is_small(&admission));
        assert_eq!((permit.bytes(), held(&admission, "small"), admission.available()), (2000, 2000, 1000));

        // There it may have its share, and no more: what is larger waits as all others do, and holds none of it.
        assert!(permit.try_grow(&admission, SMALL_BYTES_MAX));
        assert!(!permit.try_grow(&admission, SMALL_BYTES_MAX + 1));
        {
            let mut growing = pin!(permit.grow(&admission, SMALL_BYTES_MAX + 1, Beside::Nothing));
            assert!(poll(growing.as_mut()).is_pending());
            assert_eq!(held(&admission, "small"), 0);
            drop(all);
            tokio::time::timeout(2 * LOOK_AGAIN, growing).await.expect("there is room");
        }
        assert!(!permit.is_small(&admission));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_set_aside_is_to_be_taken_soon() {
        let (admission, usual) = (Admission::new(32 * MIB), Duration::from_secs(30));
        let all = admission.try_admit(admission.available(), Class::Data);
        let mut small = admission.admit(1000, Class::Data, Beside::Nothing).await;
        let mut heartbeat = admission.try_admit(1000, Class::Control).expect("the reserve");
        for permit in [&mut small, &mut heartbeat] {
            assert_eq!(permit.patience(&admission, usual), PATIENCE_SET_ASIDE);
        }
        drop(all);
        for permit in [&mut small, &mut heartbeat] {
            assert_eq!(permit.patience(&admission, usual), usual);
        }
        assert_eq!((held(&admission, "small"), held(&admission, "control")), (0, 0));
        assert_eq!(held(&admission, "requests"), 2000);
    }

    /// It stood alone in growth and held that, however much it took: 25,000 partitions of one request in 64 MiB took 9 MiB
    /// more than the budget knew of.
    #[tokio::test(start_paused = true)]
    async fn what_is_larger_than_growth_is_paid_for_whole() {
        let admission = Admission::new(32 * MIB);
        let free = admission.available();
        let mut permit = admission.try_admit(1000, Class::Data).expect("fits");
        let mut others: Vec<_> = std::iter::from_fn(|| admission.try_admit(MIB, Class::Data)).collect();
        {
            let mut growing = pin!(permit.grow(&admission, 6 * MIB, Beside::Nothing));
            assert!(poll(growing.as_mut()).is_pending());
            for _ in 0..5 {
                others.truncate(others.len() - 1);
                let soon = tokio::time::timeout(2 * LOOK_AGAIN, growing.as_mut()).await;
                assert!(soon.is_err(), "it has not all that it needs");
                let little = admission.try_admit(MIB, Class::Data);
                assert!(little.is_some(), "who wants little is not held up");
            }
            others.truncate(others.len() - 2);
            tokio::time::timeout(2 * LOOK_AGAIN, growing).await.expect("there is room for it now");
        }
        assert_eq!((permit.bytes(), held(&admission, "growth")), (6 * MIB, 0));
        assert_eq!(free - admission.available(), others.len() * MIB + 6 * MIB);
        assert_eq!(admission.waits(), 1);

        // What cannot be had in all stands alone, with all that can.
        drop(others);
        permit.shrink(10);
        permit.grow(&admission, 50 * MIB, Beside::Nothing).await;
        assert_eq!(permit.bytes(), 50 * MIB);
        assert_eq!(held(&admission, "growth"), admission.0.growth_bytes);
        assert_eq!(held(&admission, "requests"), admission.0.alone_bytes_max());
        permit.shrink(MIB);
        assert_eq!((held(&admission, "growth"), held(&admission, "requests")), (0, MIB));
    }

    /// Polls them all until each has come to its end.
    async fn run(mut futures: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + '_>>>) {
        for _ in 0..1000 {
            futures.retain_mut(|future| poll(pin!(future.as_mut())).is_pending());
            if futures.is_empty() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        panic!("{} wait for each other", futures.len());
    }

    /// All that there is in general is held by requests that want more than growth, each: some were received into memory
    /// of their own, others are small.
    #[tokio::test(start_paused = true)]
    async fn who_waits_to_grow_by_much_waits_for_nobody_who_waits_for_it() {
        let admission = Admission::new(32 * MIB);
        let mut permits: Vec<_> = std::iter::from_fn(|| admission.try_receive(MIB, Class::Data)).collect();
        permits.extend(std::iter::from_fn(|| admission.try_admit(64 << 10, Class::Data)));
        permits.extend(std::iter::from_fn(|| admission.try_admit(1000, Class::Control)));
        let most = admission.0.alone_bytes_max() + admission.0.growth_bytes;
        let sizes = [3 * MIB, 5 * MIB, most, 40 * MIB];
        let grow = permits.into_iter().zip(sizes.into_iter().cycle()).map(|(mut permit, bytes)| {
            let admission = admission.clone();
            Box::pin(async move {
                permit.grow(&admission, bytes, Beside::Nothing).await;
                assert!(permit.held_bytes() >= bytes.min(most));
                tokio::time::sleep(LOOK_AGAIN).await;
            }) as std::pin::Pin<Box<dyn Future<Output = ()>>>
        });
        run(grow.collect()).await;
        assert_eq!(admission.available(), admission.0.general_bytes);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_half_grows_before_who_waits_for_what_it_holds() {
        let admission = Admission::new(8 * MIB);
        let mut small = admission.try_admit(1000, Class::Data).expect("fits");
        let mut large = admission.try_receive(100 * MIB, Class::Data);
        assert!(large.is_none());
        small.shrink(0);
        large = admission.try_receive(100 * MIB, Class::Data);
        let mut large = large.expect("an idle budget takes any request");
        let mut growing = pin!(small.grow(&admission, 2 * MIB, Beside::Nothing));
        assert!(poll(growing.as_mut()).is_pending());
        assert!(poll(pin!(large.grow(&admission, 130 * MIB, Beside::Nothing))).is_ready());
        assert!(poll(growing.as_mut()).is_pending());
        drop(large);
        assert!(tokio::time::timeout(2 * LOOK_AGAIN, growing).await.is_ok());
    }

    #[test]
    fn limits_of_a_request_follow_a_small_budget() {
        let limit = |mib: usize| Admission::new(mib * MIB).in_proportion(100_000);
        assert_eq!([0, 8, 64, 256, 1024].map(limit), [3125, 3125, 25_000, 100_000, 100_000]);
    }

    /// It waited for what is set aside alone, and that was held by clients that took one byte every 29 s: long after
    /// everything else was free.
    #[tokio::test(start_paused = true)]
    async fn who_waits_to_grow_takes_whatever_comes_first() {
        let admission = Admission::new(32 * MIB);
        let mut slow = admission.try_admit(100, Class::Data).expect("fits");
        let mut waiting = admission.try_admit(100, Class::Data).expect("fits");
        let burst = admission.try_admit(admission.available(), Class::Data);
        assert!(slow.try_grow(&admission, 100 + admission.0.growth_bytes));
        {
            let mut growing = pin!(waiting.grow(&admission, MIB, Beside::Nothing));
            assert!(poll(growing.as_mut()).is_pending());
            drop(burst);
            let soon = tokio::time::timeout(2 * LOOK_AGAIN, growing);
            soon.await.expect("there is room where it was admitted");
        }
        assert_eq!(waiting.bytes(), MIB);
        assert!(admission.slowest(1) < Duration::MAX, "who holds what others may need is to be quick");
        drop(slow);
        assert_eq!(admission.slowest(1), Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_room_is_made_again_at_most_so_often() {
        let admission = Admission::new(8 * MIB);
        let mut permit = admission.try_admit(MIB, Class::Data).expect("fits");
        let mut repeats = 1;
        let answer = Arc::new(());
        {
            let kept = pin!(permit.keep(&admission, Arc::clone(&answer), 10, Beside::Nothing, &mut repeats));
            assert!(matches!(poll(kept), Poll::Ready(Some(_))));
        }
        assert_eq!((permit.bytes(), repeats), (MIB, 1), "there is room");
        permit.shrink(10);

        let growth = admission.0.growth_bytes;
        let mut other = admission.try_admit(100, Class::Data).expect("fits");
        let _rest = admission.try_admit(admission.available(), Class::Data);
        assert!(other.try_grow(&admission, 100 + growth));
        let all = 10 + growth;
        {
            let mut kept =
                pin!(permit.keep(&admission, Arc::clone(&answer), all, Beside::Nothing, &mut repeats));
            assert!(poll(kept.as_mut()).is_pending());
            assert_eq!(Arc::strong_count(&answer), 1, "what waits for room is not there meanwhile");
            other.shrink(100);
            assert!(matches!(poll(kept), Poll::Ready(None)), "there is room now: make it again");
        }
        assert_eq!((permit.bytes(), repeats), (all, 0));

        // Made again it is larger still: now it waits as it is, and so does a small one of another request.
        let small = Arc::clone(&admission.0.small);
        let _small = small.try_acquire_many_owned(admission.0.small_bytes as u32).expect("nobody has any");
        permit.shrink(10);
        assert!(other.try_grow(&admission, 100 + growth));
        for (bytes, mut repeats) in [(all, 0), (KEPT_BYTES_MAX, REPEATS_MAX)] {
            let mut kept =
                pin!(permit.keep(&admission, Arc::clone(&answer), bytes, Beside::Nothing, &mut repeats));
            assert!(poll(kept.as_mut()).is_pending());
            assert_eq!(Arc::strong_count(&answer), 2);
        }
    }

    #[test]
    fn who_waits_for_others_holds_up_nobody() {
        let admission = Admission::new(8 * MIB);
        let mut waiting = Vec::new();
        while let Some(permit) = admission.try_wait(1024) {
            waiting.push(permit);
        }
        assert_eq!(waiting.len(), 512, "a bound of its own");
        let all = admission.available();
        assert!(
            poll(pin!(admission.admit(100 * MIB, Class::Data, Beside::Nothing))).is_ready(),
            "{all} bytes are free"
        );
    }

    #[test]
    fn who_gives_back_most_is_no_longer_oversized() {
        let admission = Admission::new(8 * MIB);
        let mut first = admission.try_admit(3 * MIB, Class::Data).expect("the first");
        assert!(admission.try_admit(2 * MIB, Class::Data).is_none());
        first.shrink(2 * MIB);
        assert!(admission.try_admit(2 * MIB, Class::Data).is_none(), "it still is");
        first.shrink(MIB);
        assert!(admission.try_admit(2 * MIB, Class::Data).is_some());
    }

    #[test]
    fn shrinking_gives_bytes_back() {
        let admission = Admission::new(8 * MIB);
        let before = admission.available();
        let mut permit = admission.try_admit(MIB, Class::Data).expect("fits");
        permit.shrink(10);
        assert_eq!(admission.available(), before - 10);
        drop(permit);
        assert_eq!(admission.available(), before);
    }
}
