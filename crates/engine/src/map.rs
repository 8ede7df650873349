//! Hash maps with a fixed seed: iteration order is the same in every run, so that a seeded simulation
//! repeats itself. Keys that clients choose are bounded in number by admission limits, not by a secret seed.

/// A map whose order depends on its contents only.
pub type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::quality::FixedState>;
/// A set whose order depends on its contents only.
pub type HashSet<K> = std::collections::HashSet<K, foldhash::quality::FixedState>;
