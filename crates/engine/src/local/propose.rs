//! Deciding commands on the log: what a client asks for, and what retention does, go the same way.

use std::sync::Arc;

use super::commit::Log;
use super::frame;
use crate::contract::{EngineError, Pending};
use crate::state::{Command, Outcome, Refusal};

/// Room that commands leave to what frees space, in bytes.
const ROOM_FOR_FREEING: u64 = 256 << 10;

impl Log {
    /// Decides a command; see [`Engine::propose`](crate::Engine::propose).
    pub fn propose(self: &Arc<Self>, command: &Command) -> Pending<Result<Outcome, Refusal>> {
        let keep = if frees_space(command) { 0 } else { ROOM_FOR_FREEING };
        let mut guard = self.core();
        let core = &mut *guard;
        if let Some(reason) = &core.closed {
            return Pending::ready(Err(EngineError::Closed(reason.clone())));
        }
        let answer = match core.state.decide(command) {
            Err(refusal) => Err(refusal),
            Ok((None, outcome)) => Ok(outcome),
            Ok((Some(decision), outcome)) => {
                let mut encoded = Vec::new();
                decision.encode(&mut encoded);
                if self.has_room(core.queued_bytes, encoded.len(), keep) {
                    core.state.apply(&decision);
                    core.push(&decision, None, self.frame_bytes_max);
                    core.publish(&decision);
                    Ok(outcome)
                } else {
                    Err(Refusal::StorageFull)
                }
            }
        };
        let position = core.tail;
        drop(guard);
        self.queued();
        self.answer_at(position, answer)
    }

    /// A reply that waits until what it was computed from is durable.
    pub fn answer_at<T: Send + 'static>(self: &Arc<Self>, position: u64, answer: T) -> Pending<T> {
        let durable = self.until_durable(position);
        Pending::new(async move {
            durable.await?;
            Ok(answer)
        })
    }

    /// Whether what is to be decided, with this many bytes of batch, fits into the blocks that are there.
    pub fn has_room(&self, queued_bytes: usize, bytes: usize, keep: u64) -> bool {
        match self.spares.room_if_full() {
            None => true,
            // A frame is padded, and one that does not fit leaves the rest of its file unused: twice is enough.
            Some(room) => room >= 2 * (queued_bytes + bytes + frame::ITEM_OVERHEAD_MAX) as u64 + keep,
        }
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
