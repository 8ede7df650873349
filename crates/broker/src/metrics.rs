//! What the broker tells of itself: the memory budget, groups, and how much state there is.

use kolk_engine::EngineExt;
use kolk_engine::metrics::{Family, Page, Source};

use crate::Broker;

static USED: Family = Family::gauge(
    "kolk_memory_used_bytes",
    &["part"],
    "Held of each part of the memory budget: requests and answers in flight, those still being received, small \
     control requests when the rest is full, what decoding and answering take beyond that, what long \
     polls keep while they wait, read buffers of Kafka connections and of HTTP.",
);
static LIMIT: Family =
    Family::gauge("kolk_memory_limit_bytes", &["part"], "Size of each part of the memory budget.");
static WAITS: Family =
    Family::counter("kolk_memory_waits_total", &[], "Requests that had to wait for the memory budget.");
static UNDECODABLE: Family = Family::counter(
    "kolk_shard_undecodable_batches_total",
    &[],
    "Batches that readers of shards were not shown, or not all of, because their records cannot be read, or are larger than \
     Kinesis has them; counted at each reading.",
);
static UNREADABLE: Family = Family::counter(
    "kolk_fetch_unreadable_total",
    &["met"],
    "Reads of a Fetch that failed on the disk: before its answer was made, which tells the partition's error, or within the \
     answer, which broke off and ended the connection.",
);
static TOPICS: Family = Family::gauge("kolk_topics", &[], "Topics (= streams).");
static PARTITIONS: Family = Family::gauge("kolk_partitions", &[], "Partitions of all topics.");
static SHARDS: Family = Family::gauge("kolk_shards", &[], "Shards of all streams, closed ones included.");
static PRODUCERS: Family = Family::gauge("kolk_producers", &[], "Idempotent producers that are remembered.");
static GROUPS: Family = Family::gauge(
    "kolk_groups",
    &["phase"],
    "Consumer groups that have or expect members, by where they stand.",
);
static GROUPS_STORED: Family = Family::gauge(
    "kolk_groups_stored",
    &[],
    "Consumer groups that are stored, those without members included.",
);
static GROUPS_LIMIT: Family = Family::gauge(
    "kolk_groups_stored_limit",
    &[],
    "How many consumer groups may be stored (`--groups-max`).",
);
static GROUP_BYTES: Family = Family::gauge(
    "kolk_group_state_bytes",
    &[],
    "Memory that members of consumer groups, their assignments and committed offsets are counted with.",
);
static GROUP_BYTES_LIMIT: Family =
    Family::gauge("kolk_group_state_limit_bytes", &[], "How much that may be (`--group-state-max`).");

impl Source for Broker {
    fn report(&self, page: &mut Page) {
        for (part, used, limit) in self.admission().parts() {
            page.count(&USED, &[part], used as u64);
            page.count(&LIMIT, &[part], limit as u64);
        }
        page.count(&WAITS, &[], self.admission().waits());
        page.count(&UNDECODABLE, &[], self.undecodable().batches.get());
        page.count(&UNREADABLE, &["before"], self.unreadable().before.get());
        page.count(&UNREADABLE, &["within"], self.unreadable().within.get());
        // What is shown need not be durable: nothing follows from it.
        self.engine().peek(|state| {
            page.count(&TOPICS, &[], state.topic_count() as u64);
            page.count(&PARTITIONS, &[], state.partition_count() as u64);
            page.count(&SHARDS, &[], state.shard_count() as u64);
            page.count(&PRODUCERS, &[], state.producer_count() as u64);
            let (groups, bytes) = state.group_sizes();
            page.count(&GROUPS_STORED, &[], groups as u64);
            page.count(&GROUPS_LIMIT, &[], state.limits().groups as u64);
            page.count(&GROUP_BYTES, &[], bytes as u64);
            page.count(&GROUP_BYTES_LIMIT, &[], state.limits().group_bytes as u64);
        });
        for (phase, count) in self.groups().phase_counts() {
            page.count(&GROUPS, &[phase.name()], count as u64);
        }
    }
}
