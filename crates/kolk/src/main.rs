//! The `kolk` binary.
fn main() {}
