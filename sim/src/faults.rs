//! The faults of a run: which one comes when, chosen by the seed among those that the plan allows.

use std::time::Duration;

use kolk_engine::door::sim::{DiskCall, DiskFailure, NetworkFaults, Sim, When};
use tokio::time::Instant;

use crate::plan::{Faults, Plan};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// With all that was not made durable.
    PowerLoss,
    /// By itself; the machine goes on.
    Kill,
}

/// A fault that may come now.
#[derive(Clone, Copy)]
enum Fault {
    EndNow,
    EndSoon,
    DiskError,
    FullDisk,
    SlowDisk,
    StuckSync,
    Network,
    ClockJump,
    Memory,
}

/// What the world is like at the moment, and when that changes.
pub(crate) struct Weather {
    sim: Sim,
    faults: Faults,
    gap: Duration,
    next_at: Instant,
    memory_left: Option<usize>,
}

impl Weather {
    pub fn new(sim: Sim, plan: &Plan) -> Self {
        let (faults, gap) = (plan.faults, plan.fault_gap);
        let mut weather = Weather { sim, faults, gap, next_at: Instant::now(), memory_left: None };
        weather.next_at += weather.some(weather.gap * 2);
        weather
    }

    /// Bytes of the memory for requests that others leave; `None` if nobody holds it.
    pub fn memory_left(&self) -> Option<usize> {
        self.memory_left
    }

    /// When it changes next.
    pub fn next_at(&self) -> Instant {
        self.next_at
    }

    fn some(&self, below: Duration) -> Duration {
        Duration::from_micros(self.sim.below(below.as_micros() as u64 + 1))
    }

    fn one_in(&self, n: u64) -> bool {
        self.sim.below(n) == 0
    }

    /// How a process that has ended is to be thought of: one that was ended at a chosen call (`true`) in any way that
    /// the plan allows, one that gave up is as if killed, unless the power goes too.
    pub fn how(&self, was_ended: bool) -> Ends {
        let Faults { power_losses, kills, .. } = self.faults;
        if power_losses && (was_ended && !kills || self.one_in(2)) { Ends::PowerLoss } else { Ends::Kill }
    }

    fn when(&self) -> When {
        if self.one_in(2) { When::Rare } else { When::After(self.sim.below(1 << self.sim.below(10))) }
    }

    /// Faults that come with a start.
    pub fn before_a_start(&mut self) {
        if (self.faults.power_losses || self.faults.kills) && self.one_in(4) {
            self.sim.end_when(Some(self.when()));
        }
        if self.faults.disk_errors && self.one_in(4) {
            self.disk_error();
        }
    }

    /// Some of what was bad gets better, and the next fault comes; the answer is whether the process ends at once.
    pub fn changes(&mut self) -> Option<Ends> {
        self.next_at = Instant::now() + self.some(self.gap * 2);
        if self.one_in(2) {
            self.sim.set_sync_time(Duration::from_micros(100));
        }
        if self.one_in(2) {
            self.sim.set_disk_bytes(u64::MAX);
        }
        if self.one_in(2) {
            self.sim.set_network(NetworkFaults::default());
        }
        if self.one_in(2) {
            self.memory_left = None;
        }
        let Faults {
            power_losses,
            kills,
            disk_errors,
            full_disk,
            slow_disk,
            network,
            clock_jumps,
            rot: _,
            memory,
        } = self.faults;
        let allowed = [
            (power_losses || kills, Fault::EndNow),
            (power_losses || kills, Fault::EndSoon),
            (disk_errors, Fault::DiskError),
            (full_disk, Fault::FullDisk),
            (slow_disk, Fault::SlowDisk),
            (slow_disk, Fault::StuckSync),
            (network, Fault::Network),
            (clock_jumps, Fault::ClockJump),
            (memory, Fault::Memory),
        ];
        let allowed: Vec<Fault> =
            allowed.into_iter().filter_map(|(is_allowed, fault)| is_allowed.then_some(fault)).collect();
        if allowed.is_empty() {
            return None;
        }
        match allowed[self.sim.below(allowed.len() as u64) as usize] {
            Fault::EndNow => return Some(self.how(true)),
            Fault::EndSoon => self.sim.end_when(Some(self.when())),
            Fault::DiskError => self.disk_error(),
            Fault::FullDisk => {
                let room = self.sim.below(256 << 10);
                self.sim.note(format!("the disk has room for {room} bytes"));
                self.sim.set_disk_bytes(self.sim.disk_bytes_used() + room);
            }
            Fault::SlowDisk => {
                let time = Duration::from_micros(1000 << self.sim.below(8));
                self.sim.note(format!("syncs take {time:?}"));
                self.sim.set_sync_time(time);
            }
            Fault::StuckSync => {
                let time = Duration::from_millis(100 << self.sim.below(8));
                self.sim.note(format!("a sync is stuck for {time:?}"));
                self.sim.stick_next_sync(time);
            }
            Fault::Network => {
                let of_thousand = || if self.one_in(2) { 0 } else { self.sim.below(300) };
                let faults = NetworkFaults {
                    refused: of_thousand(),
                    cut: of_thousand(),
                    silent: of_thousand() / 4,
                    slow: of_thousand(),
                    doubled: of_thousand(),
                };
                self.sim.note(format!("{faults:?}"));
                self.sim.set_network(faults);
            }
            Fault::ClockJump => {
                let by_ms = self.sim.below(1 << self.sim.below(20)) as i64;
                let by_ms = if self.one_in(2) { by_ms } else { -by_ms };
                self.sim.note(format!("the clock jumps by {by_ms} ms"));
                self.sim.jump_clock(by_ms);
            }
            Fault::Memory => {
                let left = if self.one_in(2) { 0 } else { self.sim.below(1 << self.sim.below(18)) };
                self.sim.note(format!("others leave {left} bytes of the memory"));
                self.memory_left = Some(left as usize);
            }
        }
        None
    }

    fn disk_error(&self) {
        let call = [DiskCall::Read, DiskCall::Write, DiskCall::Sync][self.sim.below(3) as usize];
        let failure = DiskFailure { call, full: self.one_in(4), when: self.when() };
        self.sim.note(format!("{failure:?} is to come"));
        self.sim.fail_when(Some(failure));
    }

    /// All is well from now on.
    pub fn clears(&mut self) {
        self.sim.end_when(None);
        self.sim.fail_when(None);
        self.sim.stick_next_sync(Duration::ZERO);
        self.sim.set_sync_time(Duration::from_micros(100));
        self.sim.set_disk_bytes(u64::MAX);
        self.sim.set_network(NetworkFaults::default());
        self.memory_left = None;
    }
}
