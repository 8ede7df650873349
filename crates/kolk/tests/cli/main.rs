//! The built binary as its users meet it: settings, start and stop, every command, exit codes, output.
//!
//! Each test has a server of its own on ports of the system's choice and stops it by its process id.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "black-box tests touch files, sockets and clocks of the machine"
)]

mod commands;
mod faults;
mod harness;
mod operations;
mod serve;
mod settings;
