//! The log: one deterministic state machine, frames, index, rewrite, and the door to time, disk and network.
