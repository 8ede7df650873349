//! Deciding on the log: batches, and commands of clients and of retention, which go the same way.
//!
//! Nothing is decided before there is room for it (see [`space`](super::space)). Where room is on its way, because a file
//! is being made or the rewrite is about to give one back, the request waits undecided, behind those that came
//! before it; where the disk has no more, it is refused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::CLOSED;
use super::commit::{Core, Log};
use super::space::{For, Verdict};
use crate::contract::{Append, AppendError, Appended, EngineError, Pending};
use crate::defects::{Defect, defect};
use crate::state::{AppendVerdict, Command, Decision, Outcome, Refusal};
use crate::types::Offset;

/// Where an answer goes that is computed later: the position that it was computed at, and the answer.
type Later<T> = oneshot::Sender<(u64, T)>;

type Answers = Vec<Result<Appended, AppendError>>;

/// Requests that wait for room, in order of arrival.
#[derive(Default)]
pub(super) struct Undecided {
    queue: VecDeque<Request>,
    /// Bytes of batches and decisions in it.
    bytes: usize,
}

enum Request {
    Appends(Appends, Later<Answers>),
    /// With the bytes that the decision took when it was last tried.
    Command(Box<Command>, usize, Later<Result<Outcome, Refusal>>),
}

/// What became of a command.
enum Attempt {
    Answered(Result<Outcome, Refusal>),
    /// There will be room for a decision of so many bytes.
    Waits(usize),
}

/// Batches that are being decided, one after another.
struct Appends {
    left: VecDeque<Append>,
    answers: Answers,
}

impl Request {
    fn is_abandoned(&self) -> bool {
        match self {
            Request::Appends(_, later) => later.is_closed(),
            Request::Command(_, _, later) => later.is_closed(),
        }
    }
}

/// Above this, requests whose answers nobody awaits any more are dropped undecided: what is awaited is bounded by whoever
/// admitted it. In bytes.
const ABANDONED_BYTES_MAX: usize = 64 << 20;

impl Undecided {
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Forgets everything: whoever waits is told that the log is closed.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    fn push(&mut self, request: Request) {
        self.bytes += bytes_of(&request);
        self.queue.push_back(request);
        if self.bytes > ABANDONED_BYTES_MAX {
            self.queue.retain(|request| !request.is_abandoned());
            self.bytes = self.queue.iter().map(bytes_of).sum();
        }
    }
}

fn bytes_of(request: &Request) -> usize {
    match request {
        Request::Appends(appends, _) => appends.left.iter().map(|append| append.batch.bytes.len()).sum(),
        Request::Command(_, bytes, _) => *bytes,
    }
}

impl Log {
    /// Decides batches; see [`Engine::append`](crate::Engine::append).
    pub fn append(self: &Arc<Self>, appends: Vec<Append>) -> Pending<Answers> {
        let now_ms = self.door.clock.now_ms();
        let mut appends = Appends { answers: Vec::with_capacity(appends.len()), left: appends.into() };
        let mut core = self.core();
        if let Some(reason) = &core.closed {
            return Pending::ready(Err(EngineError::Closed(reason.clone())));
        }
        if core.undecided.is_empty() && self.decide_appends(&mut core, &mut appends, now_ms) {
            let position = core.tail;
            drop(core);
            let is_duplicate = |answer: &Result<Appended, AppendError>| {
                answer.as_ref().is_ok_and(|appended| appended.duplicate)
            };
            if defect(Defect::DuplicateNotAwaited) && appends.answers.iter().all(is_duplicate) {
                return Pending::ready(Ok(appends.answers));
            }
            self.queued();
            return self.answer_at(position, appends.answers);
        }
        let (later, answer) = oneshot::channel();
        core.undecided.push(Request::Appends(appends, later));
        drop(core);
        self.queued();
        self.answer_later(answer)
    }

    /// Decides as many batches as there is room for; false if the rest must wait.
    fn decide_appends(&self, core: &mut Core, appends: &mut Appends, now_ms: i64) -> bool {
        while let Some(append) = appends.left.pop_front() {
            match self.verdict(core, append.batch.bytes.len(), For::Append) {
                Verdict::Full => {
                    self.metrics.refused.add(1);
                    appends.answers.push(Err(AppendError::StorageFull));
                }
                Verdict::Later => {
                    appends.left.push_front(append);
                    return false;
                }
                room => {
                    appends.answers.push(self.decide_append(core, append, now_ms));
                    if room == Verdict::RoomAlone {
                        core.large = core.tail;
                    }
                }
            }
        }
        true
    }

    fn decide_append(&self, core: &mut Core, append: Append, now_ms: i64) -> Result<Appended, AppendError> {
        match core.state.decide_append(&append, now_ms)? {
            AppendVerdict::Append(decided) => {
                let log_start =
                    core.state.partition(append.partition).map_or(Offset::ZERO, |found| found.log_start);
                let decision = Decision::Append(decided);
                core.state.apply(&decision);
                core.push(&decision, Some(append.batch.bytes), self.frame_bytes_max);
                if decided.producer.is_some()
                    && let Some(eviction) = core.state.decide_eviction()
                {
                    core.state.apply(&eviction);
                    core.push(&eviction, None, self.frame_bytes_max);
                }
                Ok(decided.appended(log_start))
            }
            AppendVerdict::Duplicate(first_time) => Ok(first_time),
        }
    }

    /// Decides a command; see [`Engine::propose`](crate::Engine::propose). Commands go before batches that wait: they
    /// have a reserve.
    pub fn propose(self: &Arc<Self>, command: Command) -> Pending<Result<Outcome, Refusal>> {
        let mut core = self.core();
        if let Some(reason) = &core.closed {
            return Pending::ready(Err(EngineError::Closed(reason.clone())));
        }
        let bytes = match self.decide_command(&mut core, &command) {
            Attempt::Answered(answer) => {
                let position = core.tail;
                drop(core);
                self.queued();
                return self.answer_at(position, answer);
            }
            Attempt::Waits(bytes) => bytes,
        };
        let (later, answer) = oneshot::channel();
        core.undecided.push(Request::Command(Box::new(command), bytes, later));
        drop(core);
        if self.space.is_short() {
            self.file_full.notify_one();
        }
        self.answer_later(answer)
    }

    /// Decides a command, if there is room.
    fn decide_command(&self, core: &mut Core, command: &Command) -> Attempt {
        let (decision, outcome) = match core.state.decide(command) {
            Err(refusal) => return Attempt::Answered(Err(refusal)),
            Ok((None, outcome)) => return Attempt::Answered(Ok(outcome)),
            Ok((Some(decision), outcome)) => (decision, outcome),
        };
        let mut encoded = Vec::new();
        decision.encode(&mut encoded);
        let who = if frees_space(command) { For::Freeing } else { For::Command };
        let room = match self.verdict(core, encoded.len(), who) {
            Verdict::Full => return Attempt::Answered(Err(Refusal::StorageFull)),
            Verdict::Later => return Attempt::Waits(encoded.len()),
            room => room,
        };
        core.state.apply(&decision);
        core.push(&decision, None, self.frame_bytes_max);
        core.publish(&decision);
        if room == Verdict::RoomAlone {
            core.large = core.tail;
        }
        Attempt::Answered(Ok(outcome))
    }

    fn verdict(&self, core: &Core, bytes: usize, who: For) -> Verdict {
        match self.space.verdict(core.queue(), bytes, who) {
            Verdict::RoomAlone if core.large > self.durable() => Verdict::Later,
            Verdict::Room | Verdict::RoomAlone if who == For::Append && self.index_is_full() => {
                self.file_full.notify_one();
                if self.space.is_short() { Verdict::Full } else { Verdict::Later }
            }
            Verdict::Full if who == For::Freeing && self.may_give_space() => Verdict::Later,
            verdict => verdict,
        }
    }

    /// Whether the rewrite has still to look what it can give back.
    fn may_give_space(&self) -> bool {
        self.looked_through.load(Ordering::Relaxed) != self.durable()
    }

    /// Whether the index of the log is beyond its bound, and the rewrite has something to take out of it.
    fn index_is_full(&self) -> bool {
        self.space.has_complete() && self.index.held_bytes() >= self.index_bytes_max
    }

    /// Decides what waits for room, as far as there is some. Call when there may be more than before, or none to come.
    pub fn decide_waiting(&self, core: &mut Core) {
        if core.undecided.is_empty() || core.closed.is_some() {
            return;
        }
        let now_ms = self.door.clock.now_ms();
        while let Some(request) = core.undecided.queue.pop_front() {
            let before = bytes_of(&request);
            let waits = match request {
                Request::Appends(mut appends, later) => {
                    if self.decide_appends(core, &mut appends, now_ms) {
                        // Nobody may await it any more; it is decided all the same.
                        let _ = later.send((core.tail, appends.answers));
                        None
                    } else {
                        Some(Request::Appends(appends, later))
                    }
                }
                Request::Command(command, _, later) => match self.decide_command(core, &command) {
                    Attempt::Answered(answer) => {
                        let _ = later.send((core.tail, answer));
                        None
                    }
                    Attempt::Waits(bytes) => Some(Request::Command(command, bytes, later)),
                },
            };
            core.undecided.bytes -= before;
            core.undecided.bytes += waits.as_ref().map_or(0, bytes_of);
            if let Some(request) = waits {
                core.undecided.queue.push_front(request);
                break;
            }
        }
        self.queued();
    }

    /// A reply that waits until what it was computed from is durable.
    pub fn answer_at<T: Send + 'static>(self: &Arc<Self>, position: u64, answer: T) -> Pending<T> {
        let durable = self.until_durable(position);
        Pending::new(async move {
            durable.await?;
            Ok(answer)
        })
    }

    fn answer_later<T: Send + 'static>(self: &Arc<Self>, answer: oneshot::Receiver<(u64, T)>) -> Pending<T> {
        let log = self.clone();
        Pending::new(async move {
            let Ok((position, answer)) = answer.await else {
                let reason = log.core().closed.clone();
                return Err(EngineError::Closed(reason.unwrap_or_else(|| CLOSED.into())));
            };
            log.until_durable(position).await?;
            Ok(answer)
        })
    }
}

/// Whether a command may use the reserve that is kept for what frees space.
fn frees_space(command: &Command) -> bool {
    matches!(
        command,
        Command::DeleteTopic { .. }
            | Command::Trim { .. }
            | Command::DeleteOffsets { .. }
            | Command::DeleteGroup { .. }
            | Command::ExpireOffsets { .. }
    )
}
