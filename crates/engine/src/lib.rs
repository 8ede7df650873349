//! The log: one deterministic state machine, frames, index, rewrite, and the door to time, disk and network; and what
//! every crate above counts with ([`metrics`]) and gives connections places by ([`places`]).
//!
//! Start at [`Engine`], the contract that every back end keeps. What may be decided, and by which rules,
//! lives in [`state`] and nowhere else. Where bytes go is a back end's affair: `memory` keeps them in
//! RAM, `local` on one disk. Both pass the suite in `conformance`.
//!
//! ```text
//!  append / propose ──► state: decide ──► queue ──► frame ──► durable ──► publish ──► reply
//!                         (one short lock, arrival order)                    │
//!  read / offsets  ◄── index ◄──────────────── published tuple ◄─────────────┘
//! ```

mod by_time;
pub mod codec;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod contract;
pub mod defects;
pub mod door;
pub mod local;
pub mod map;
pub mod memory;
pub mod metrics;
pub mod places;
mod seldom;
pub mod state;
pub mod types;

pub use contract::*;
pub use seldom::Seldom;
pub use types::*;
