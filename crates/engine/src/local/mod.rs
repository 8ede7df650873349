//! One directory on one disk.
pub mod segment;
