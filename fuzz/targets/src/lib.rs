//! What the fuzz targets do with their bytes.
//!
//! A target takes any bytes, gives them to a decoder and panics when a promise breaks: a panic or an overflow inside
//! the decoder, something decoded that does not survive being written and read again, more memory than was allowed.
//! An error is a fine answer. Where a checksum stands in front of a decoder, the target puts the right one in: a
//! disk's random damage ends at the checksum, a fuzzer's time would too.
//!
//! `fuzz/corpus/TARGET/` holds inputs that were worth keeping; the tests of this crate run each target over its own,
//! over [`seeds`], and over what deterministic damage makes of both. The instrumented fuzzer in `fuzz/` (run by
//! `cargo xtask fuzz`) starts from the same.

mod disk;
mod kafka;
mod kinesis;

use bytes::Bytes;

/// A decoder under test.
pub struct Target {
    /// Its name: that of the fuzzer's binary and of the corpus folder.
    pub name: &'static str,
    /// Feeds it; panics when a promise breaks.
    pub run: fn(Bytes),
    /// Sound inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn target(name: &'static str, run: fn(Bytes), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("kafka_request", kafka::request, kafka::request_seeds),
    target("kafka_response", kafka::response, kafka::response_seeds),
    target("kafka_records", kafka::records, kafka::record_seeds),
    target("kafka_message_set", kafka::message_set, kafka::message_set_seeds),
    target("kinesis_json", kinesis::json, kinesis::json_seeds),
    target("kinesis_cbor", kinesis::cbor, kinesis::cbor_seeds),
    target("kinesis_tokens", kinesis::tokens, kinesis::token_seeds),
    target("disk_frame", disk::frame, disk::frame_seeds),
    target("disk_decision", disk::decision, disk::decision_seeds),
    target("disk_snapshot", disk::snapshot, disk::snapshot_seeds),
    target("disk_segment", disk::segment, disk::segment_seeds),
    target("disk_manifest", disk::manifest, disk::manifest_seeds),
];

/// Feeds one target.
///
/// # Panics
/// When there is no such target, and when a promise breaks: that is what it is for.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the target is in the list");
    (target.run)(Bytes::copy_from_slice(input));
}
