//! Whether a start comes to the state that the log's decisions come to, one after the other, from the first.
//!
//! A start loads a snapshot and replays what came after it; the log before that is gone by then. So all decisions are
//! kept outside of the simulated process too, and applied there to a state that never saw a snapshot.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use kolk_engine::local::Witness;
use kolk_engine::state::{Decision, Lane, Limits, State};

/// All decisions of a run, and what was found when the server started.
#[derive(Debug, Default)]
pub struct Replays(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// The state after `applied` frames.
    state: State,
    applied: u64,
    /// Decisions of later frames, by number: a frame that a crash took is written again with other ones.
    frames: BTreeMap<u64, (u32, Vec<u8>)>,
    starts: Vec<Start>,
    ended: bool,
}

/// A start of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The last frame that it found.
    pub frame: u64,
    /// How its state differs from the one that was replayed from the start.
    pub differs: Option<String>,
}

impl Default for Inner {
    fn default() -> Self {
        let state = State::new(Limits::default());
        Inner { state, applied: 0, frames: BTreeMap::new(), starts: Vec::new(), ended: false }
    }
}

impl Replays {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics under this lock")
    }

    /// What was found at every start so far.
    pub fn starts(&self) -> Vec<Start> {
        self.inner().starts.clone()
    }

    /// What starts find from now on says nothing: the disk is changed by hand.
    pub fn end(&self) {
        self.inner().ended = true;
    }
}

impl Witness for Replays {
    fn frame(&self, number: u64, decision_count: u32, decisions: &[u8]) {
        self.inner().frames.insert(number, (decision_count, decisions.to_vec()));
    }

    fn replayed(&self, last_frame: u64, state: &State) {
        self.inner().compare(last_frame, state);
    }
}

impl Inner {
    fn compare(&mut self, last_frame: u64, found: &State) {
        if self.ended {
            return;
        }
        let mut differs = self.apply(last_frame);
        // What came after it is lost: nobody was told of it, or that shows elsewhere.
        self.frames.clear();
        if differs.is_none() {
            let lane_of = |state: &State, lane| {
                let mut bytes = Vec::new();
                state.snapshot_lane(lane, &mut bytes);
                bytes
            };
            let other = Lane::all().find(|lane| lane_of(&self.state, *lane) != lane_of(found, *lane));
            differs = other.map(|lane| format!("lane {}", lane.0));
        }
        if differs.is_some() {
            // One difference is told once.
            self.state = found.clone();
            self.applied = last_frame;
        }
        self.starts.push(Start { frame: last_frame, differs });
    }

    /// Applies the decisions up to a frame.
    fn apply(&mut self, last_frame: u64) -> Option<String> {
        if last_frame < self.applied {
            return Some(format!("an earlier start had found frame {}", self.applied));
        }
        for number in self.applied + 1..=last_frame {
            let Some((count, bytes)) = self.frames.get(&number) else {
                return Some(format!("frame {number} was never written"));
            };
            let mut rest = &bytes[..];
            for _ in 0..*count {
                let decision = Decision::decode(&mut rest).expect("a decision as it was encoded");
                self.state.apply(&decision);
            }
        }
        self.applied = last_frame;
        None
    }
}
