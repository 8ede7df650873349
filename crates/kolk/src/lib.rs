//! Kolk in a program; [`config`] has its settings.
//!
//! The `kolk` binary is this crate with flags in front: `kolk serve` in [`serve`], the commands
//! against a running server in `cli`. What a server does is in the crates below: `kolk-broker` what operations
//! mean, `kolk-serve-kafka` and `kolk-serve-kinesis` who is talking, `kolk-engine` where everything is kept.

pub mod config;
pub mod serve;
pub mod version;
