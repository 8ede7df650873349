//! What a run consists of: chosen by its seed, or by a test.

use std::time::Duration;

use kolk_engine::local::{LocalOptions, RewriteOptions};

/// What a run consists of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which faults may come.
    pub faults: Faults,
    /// Simulated time under load and faults; then the world heals and clients finish.
    pub load: Duration,
    /// Simulated time from one fault to the next, on average.
    pub fault_gap: Duration,
    /// Sizes of the log.
    pub sizes: Sizes,
    /// Bytes that records are filled up to, at most: small ones are copied by the rewrite, large ones stay where they are, and of
    /// the largest a batch alone is a frame, whose checksum is made from the batch's.
    pub record_bytes: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            faults: Faults { power_losses: true, ..Faults::NONE },
            load: Duration::from_secs(5),
            fault_gap: Duration::from_secs(2),
            sizes: Sizes::SMALL,
            record_bytes: 1500,
        }
    }
}

impl Plan {
    /// The plan that a seed stands for. Each fault is in it or not, so that some runs see one fault alone and much of it.
    pub fn of_seed(seed: u64) -> Plan {
        let mut choice = Choice(seed ^ 0x6b6f_6c6b);
        let mut maybe = || choice.below(2) == 0;
        let faults = Faults {
            power_losses: maybe(),
            kills: maybe(),
            disk_errors: maybe(),
            full_disk: maybe(),
            slow_disk: maybe(),
            network: maybe(),
            clock_jumps: maybe(),
            rot: maybe(),
            memory: maybe(),
        };
        let sizes = Sizes {
            wal_file_bytes: 16 << (10 + choice.below(4)),
            wal_files: 4 + choice.below(6),
            frame_bytes: 8 << (10 + choice.below(3)),
            tail_cache_bytes: 4 << (10 + choice.below(6)),
            promote_bytes: [0, 1 << 10, 64 << 10][choice.below(3) as usize],
            segment_bytes: 8 << (10 + choice.below(4)),
            rewrite_interval: Duration::from_millis(50 << choice.below(6)),
            retention_interval: Duration::from_millis(200 << choice.below(5)),
        };
        Plan {
            faults,
            load: Duration::from_secs(4 + choice.below(16)),
            fault_gap: Duration::from_millis(100 << choice.below(6)),
            sizes,
            record_bytes: [100, 1500, 1500, 6000, 24_000][choice.below(5) as usize],
        }
    }
}

/// Numbers for a plan, which must not depend on how the run goes.
struct Choice(u64);

impl Choice {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Which faults may come in a run. What each does to the world stands in `kolk_engine::door::sim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The power goes at any call through the door, under load and during a start.
    pub power_losses: bool,
    /// The process is killed there; the page cache stays.
    pub kills: bool,
    /// Reads, writes and syncs fail.
    pub disk_errors: bool,
    /// The disk is full for a while.
    pub full_disk: bool,
    /// Syncs are slow for a while, or one is stuck for seconds.
    pub slow_disk: bool,
    /// Connections are refused, slow, cut, silent; their openings come twice.
    pub network: bool,
    /// The wall clock jumps.
    pub clock_jumps: bool,
    /// When all is done, bits of the log at rest flip.
    pub rot: bool,
    /// Others hold all or nearly all of the memory for requests, as clients do that take no answers.
    pub memory: bool,
}

impl Faults {
    /// A world in which nothing goes wrong.
    pub const NONE: Faults = Faults {
        power_losses: false,
        kills: false,
        disk_errors: false,
        full_disk: false,
        slow_disk: false,
        network: false,
        clock_jumps: false,
        rot: false,
        memory: false,
    };
}

/// Sizes of the log, so small that a run of seconds goes through everything that a log does in months.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// A write-ahead file, in bytes.
    pub wal_file_bytes: u64,
    /// So many write-ahead files before commits wait for the rewrite.
    pub wal_files: u64,
    /// A frame takes this much, in bytes, or one larger batch.
    pub frame_bytes: usize,
    /// Recent frames in memory, in bytes.
    pub tail_cache_bytes: usize,
    /// Write-ahead files with extents this large on average become segments, in bytes.
    pub promote_bytes: u64,
    /// The lowest tier of segments, in bytes; what is large for a partition follows from it.
    pub segment_bytes: u64,
    /// How often the rewrite looks.
    pub rewrite_interval: Duration,
    /// How often retention looks.
    pub retention_interval: Duration,
}

impl Sizes {
    /// Files of a few frames.
    pub const SMALL: Sizes = Sizes {
        wal_file_bytes: 64 << 10,
        wal_files: 8,
        frame_bytes: 16 << 10,
        tail_cache_bytes: 32 << 10,
        promote_bytes: 1 << 10,
        segment_bytes: 16 << 10,
        rewrite_interval: Duration::from_millis(200),
        retention_interval: Duration::from_secs(1),
    };

    /// What the engine is opened with.
    pub fn options(&self) -> LocalOptions {
        LocalOptions {
            wal_file_bytes_first: self.wal_file_bytes,
            wal_file_bytes_max: self.wal_file_bytes * 2,
            wal_bytes_max: self.wal_file_bytes * self.wal_files,
            tail_cache_bytes: self.tail_cache_bytes,
            frame_bytes_max: self.frame_bytes,
            rewrite: RewriteOptions {
                wal_bytes: self.wal_file_bytes * 2,
                interval: self.rewrite_interval,
                promote_extent_bytes: self.promote_bytes,
                large_partition_bytes: self.segment_bytes,
                large_extent_bytes: 4 << 10,
                tier_bytes: self.segment_bytes,
                merged_bytes_max: self.segment_bytes * 8,
            },
            retention_interval: self.retention_interval,
            ..Default::default()
        }
    }
}
