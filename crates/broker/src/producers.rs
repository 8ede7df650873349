//! Producer ids for idempotent producers (KIP-98): handed out from blocks, so that one decision serves a thousand.

use std::ops::Range;
use std::sync::Mutex;

use kolk_engine::EngineError;
use kolk_engine::state::{Command, Outcome, Refusal};

use crate::Broker;

/// Ids taken from the log at a time. What is left of a block is lost with the process; there are 2^63.
const BLOCK: u32 = 1000;

/// Ids that are ours and not handed out.
#[derive(Debug)]
pub(crate) struct ProducerIds(Mutex<Range<i64>>);

impl Default for ProducerIds {
    fn default() -> Self {
        ProducerIds(Mutex::new(0..0))
    }
}

impl ProducerIds {
    fn next(&self) -> Option<i64> {
        self.0.lock().expect("nobody panics while holding the ids").next()
    }
}

impl Broker {
    /// A producer id that nobody has had before.
    pub async fn new_producer_id(&self) -> Result<Result<i64, Refusal>, EngineError> {
        if let Some(id) = self.producer_ids().next() {
            return Ok(Ok(id));
        }
        match self.propose(Command::AllocateProducerIds { count: BLOCK }).await? {
            // The block is durable before its first id is told. Of two that asked at once each brings one: the later
            // one is used, the rest of the other is lost.
            Ok(Outcome::ProducerIds { first, count }) => {
                let mut ids = self.producer_ids().0.lock().expect("nobody panics while holding the ids");
                *ids = first + 1..first + i64::from(count);
                Ok(Ok(first))
            }
            Ok(other) => unreachable!("a block of ids is answered with ids, not with {other:?}"),
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}
