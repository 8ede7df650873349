//! What a run consists of: chosen by its seed, or by a test.

use std::time::Duration;

/// What a run consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which faults may come.
    pub faults: Faults,
    /// Simulated time under load and faults; then the world heals and clients finish.
    pub load: Duration,
    /// Times that the process ends under load, if [`Faults`] has a way for it.
    pub crashes: u32,
    /// The first workload: idempotent Kafka producers.
    pub kafka_writers: usize,
    /// The first workload: Kinesis clients that put.
    pub kinesis_writers: usize,
    /// The first workload: records of each; Kinesis clients go on until all resharding is done.
    pub records: u64,
    /// The first workload: members of the consumer group while there are writers.
    pub members: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            faults: Faults { power_losses: true },
            load: Duration::from_secs(5),
            crashes: 1,
            kafka_writers: 2,
            kinesis_writers: 2,
            records: 30,
            members: 2,
        }
    }
}

/// Which faults may come in a run. What each does to the world stands in `kolk_engine::door::sim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The power goes at any call through the door: un-synced writes are lost or torn.
    pub power_losses: bool,
}

impl Faults {
    /// A world in which nothing goes wrong.
    pub const NONE: Faults = Faults { power_losses: false };
}
