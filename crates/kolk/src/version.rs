//! What `kolk --version` says.

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, `unknown` outside a git work tree.
pub const COMMIT: &str = env!("BUILD_COMMIT");

/// The Kafka release whose protocol is spoken.
pub const KAFKA: &str = "4.4";

/// The format of data directories that this build writes; it reads that and older ones.
pub use kolk_engine::local::DATA_FORMAT;

/// Everything, on a few lines.
pub fn long() -> String {
    format!("{VERSION}\ncommit: {COMMIT}\ndata format: {DATA_FORMAT}\nKafka protocol: {KAFKA}")
}
