//! Whether a connection has a request, for who looks for one that gives way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use kolk_engine::places::Holder;
use tokio::time::Instant;

/// What a connection does, in one word that it writes itself and others read.
#[derive(Debug)]
pub(crate) struct Activity {
    accepted: Instant,
    /// Its task's.
    waker: Waker,
    /// [`BUSY`], [`ASKED`], [`NEW`] or the ms from `accepted` to its last answer, at least one, and one.
    state: AtomicU64,
}

/// A request is under way, or an answer that the peer has not taken.
const BUSY: u64 = 0;
/// No request has come yet.
const NEW: u64 = 1;
/// It was quiet and was asked to give way. A request that comes before it hears of that makes it busy.
const ASKED: u64 = u64::MAX;

impl Activity {
    /// Of a connection whose task has this waker.
    pub fn new(accepted: Instant, waker: Waker) -> Arc<Self> {
        Arc::new(Activity { accepted, waker, state: AtomicU64::new(NEW) })
    }

    /// A whole request is here.
    pub fn busy(&self) {
        self.state.store(BUSY, Ordering::Relaxed);
    }

    /// All requests are answered, the last at this time. Whether it was asked to give way since it is quiet.
    pub fn quiet(&self, answered: Instant) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        if state == BUSY {
            let ms = answered.saturating_duration_since(self.accepted).as_millis() as u64;
            self.state.store(ms.max(1) + 1, Ordering::Relaxed);
        }
        state == ASKED
    }
}

impl Holder for Activity {
    fn quiet_since(&self) -> Option<Instant> {
        match self.state.load(Ordering::Relaxed) {
            BUSY | ASKED => None,
            ms => Some(self.accepted + Duration::from_millis(ms - 1)),
        }
    }

    fn has_asked(&self) -> bool {
        self.state.load(Ordering::Relaxed) != NEW
    }

    fn give_way(&self) {
        let state = self.state.load(Ordering::Relaxed);
        let is_asked = ![BUSY, ASKED].contains(&state)
            && self.state.compare_exchange(state, ASKED, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_asked {
            self.waker.wake_by_ref();
        }
    }
}
