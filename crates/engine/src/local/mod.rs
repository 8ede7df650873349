//! One directory on one disk.
#[allow(dead_code)] // until the engine beside it reads through it
mod archive;
pub mod segment;
