//! What lies on disk. The decoders are the engine's own affair; it opens them to us behind its feature `fuzz`.

use bytes::Bytes;
use kolk_engine::local::decoders;

pub fn frame(input: Bytes) {
    decoders::frame(&input);
}

pub fn frame_seeds() -> Vec<Vec<u8>> {
    vec![decoders::frame_seed()]
}

pub fn decision(input: Bytes) {
    decoders::decisions(&input);
}

pub fn decision_seeds() -> Vec<Vec<u8>> {
    decoders::decision_seeds()
}

pub fn snapshot(input: Bytes) {
    decoders::snapshot(&input);
}

pub fn snapshot_seeds() -> Vec<Vec<u8>> {
    decoders::snapshot_seeds()
}

pub fn segment(input: Bytes) {
    decoders::segment(&input);
}

pub fn segment_seeds() -> Vec<Vec<u8>> {
    vec![decoders::segment_seed()]
}

pub fn manifest(input: Bytes) {
    decoders::manifest(&input);
}

pub fn manifest_seeds() -> Vec<Vec<u8>> {
    vec![decoders::manifest_seed()]
}
