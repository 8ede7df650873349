//! What passed the door: a hash of all of it, the last events to be read, and the places it was asked for. Notes are for
//! readers only and not in the hash.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::door::Site;
use crate::map::HashMap;

/// Events that can be read back.
const RECENT_MAX: usize = 4000;
/// Notes that can be read back though they are older.
const NOTES_MAX: usize = 500;

/// A place in the server that calls the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultPoint {
    /// The source file, as the compiler was given it.
    pub file: &'static str,
    /// The line of the call, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// Calls from there.
    pub calls: u64,
    /// How often the process ended there.
    pub ended: u64,
    /// How often the call failed.
    pub failed: u64,
}

#[derive(Debug)]
struct Event {
    at: Duration,
    what: What,
}

#[derive(Debug)]
enum What {
    Call(&'static str, u64),
    Disk(&'static str, u64, Arc<Path>, Site),
    Note(String),
}

#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    calls: u64,
    recent: VecDeque<Event>,
    /// Notes that have left `recent`.
    notes: VecDeque<Event>,
    /// By the address of the site, which is only looked up: its order is nobody's.
    points: HashMap<usize, FaultPoint>,
}

impl Default for Trace {
    fn default() -> Self {
        Trace {
            hash: 0xcbf2_9ce4_8422_2325,
            calls: 0,
            recent: VecDeque::new(),
            notes: VecDeque::new(),
            points: HashMap::default(),
        }
    }
}

impl Trace {
    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn calls(&self) -> u64 {
        self.calls
    }

    fn mix(&mut self, at: Duration, what: &str, detail: u64) {
        let words = what.bytes().map(u64::from).chain([detail, at.as_nanos() as u64]);
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    fn remember(&mut self, at: Duration, what: What) {
        if self.recent.len() == RECENT_MAX {
            let oldest = self.recent.pop_front();
            if let Some(note) = oldest.filter(|event| matches!(event.what, What::Note(_))) {
                if self.notes.len() == NOTES_MAX {
                    self.notes.pop_front();
                }
                self.notes.push_back(note);
            }
        }
        self.recent.push_back(Event { at, what });
    }

    pub fn call(&mut self, at: Duration, what: &'static str, detail: u64) {
        self.calls += 1;
        self.mix(at, what, detail);
        self.remember(at, What::Call(what, detail));
    }

    pub fn disk_call(
        &mut self,
        at: Duration,
        site: Site,
        what: &'static str,
        path: &Arc<Path>,
        detail: u64,
    ) -> u64 {
        self.calls += 1;
        self.mix(at, what, detail);
        self.remember(at, What::Disk(what, detail, path.clone(), site));
        let point = self.point(site);
        point.calls += 1;
        point.calls - 1
    }

    fn point(&mut self, site: Site) -> &mut FaultPoint {
        self.points.entry(std::ptr::from_ref(site) as usize).or_insert(FaultPoint {
            file: site.file(),
            line: site.line(),
            column: site.column(),
            calls: 0,
            ended: 0,
            failed: 0,
        })
    }

    pub fn ended(&mut self, at: Duration, site: Site) {
        self.point(site).ended += 1;
        self.note(at, format!("the process ends at {}:{}", site.file(), site.line()));
    }

    pub fn failed(&mut self, at: Duration, site: Site, error: &std::io::Error) {
        self.point(site).failed += 1;
        self.note(at, format!("{}:{} fails: {error}", site.file(), site.line()));
    }

    pub fn note(&mut self, at: Duration, line: String) {
        self.remember(at, What::Note(line));
    }

    pub fn recent(&self) -> Vec<String> {
        let line = |event: &Event| {
            let at = event.at.as_secs_f64();
            match &event.what {
                What::Call(what, detail) => format!("{at:12.6}  {what} {detail}"),
                What::Disk(what, detail, path, site) => {
                    format!(
                        "{at:12.6}  {what} {} {detail}  at {}:{}",
                        path.display(),
                        site.file(),
                        site.line()
                    )
                }
                What::Note(line) => format!("{at:12.6}  * {line}"),
            }
        };
        self.notes.iter().chain(&self.recent).map(line).collect()
    }

    pub fn fault_points(&self) -> Vec<FaultPoint> {
        let mut points: Vec<_> = self.points.values().copied().collect();
        points.sort_unstable();
        // One line of the source may be compiled more than once: generic code, code of several crates.
        points.dedup_by(|again, first| {
            let same = (again.file, again.line, again.column) == (first.file, first.line, first.column);
            if same {
                first.calls += again.calls;
                first.ended += again.ended;
                first.failed += again.failed;
            }
            same
        });
        points
    }
}
