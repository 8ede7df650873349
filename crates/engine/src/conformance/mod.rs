//! One suite for every back end: what [`Engine`] promises, tried from outside.
//!
//! A back end's tests implement [`Harness`] and call [`run`]. Each [`Case`] starts on an empty engine of its own
//! and, where the back end persists, ends with a reopening, over which the whole state and everything readable must
//! be the same. [`survives`] is for simulated disks: a seeded life in which the harness lets the engine fail at
//! any moment, after which everything that was acknowledged must be there.
//!
//! Failures are panics with the case's name in the output. Nothing here reads a wall clock; waits are bounded by
//! tokio's clock, which a harness may pause.

pub mod kit;
mod lifecycle;
mod proposals;
mod reads;
mod reshards;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use self::kit::Kit;
pub use self::lifecycle::{Survivor, survives};
use crate::contract::{BoxFuture, Engine};
use crate::door::Clock;

/// What the suite needs of a back end.
pub trait Harness: Send + Sync {
    /// An empty engine whose door has this clock. Called once per case; earlier engines are closed or dropped.
    fn start(&self, clock: Arc<ManualClock>) -> BoxFuture<'_, Arc<dyn Engine>>;

    /// Whether anything outlives an engine.
    fn persists(&self) -> bool;

    /// Ends the engine, to which the suite holds no other handle, and opens its data again with the same clock:
    /// after a close, or after a crash that forgets all that was not synced.
    fn reopen(&self, engine: Arc<dyn Engine>, crash: bool) -> BoxFuture<'_, Arc<dyn Engine>>;

    /// From here until the next reopening, [`survives`] bears an engine that fails.
    fn may_fail(&self) {}
}

/// A wall clock that stands still until it is set.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Stands at [`kit::START_MS`].
    pub fn new() -> Arc<ManualClock> {
        Arc::new(ManualClock(AtomicI64::new(kit::START_MS)))
    }

    /// Sets it, backwards too.
    pub fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    /// Moves it.
    pub fn advance(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One named case.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    run: for<'k> fn(&'k mut Kit<'_>) -> BoxFuture<'k, ()>,
}

macro_rules! cases {
    ($($module:ident: [$($case:ident),+ $(,)?])+) => {
        &[$($(Case { name: stringify!($case), run: |kit| Box::pin($module::$case(kit)) }),+),+]
    };
}

/// All cases.
pub static CASES: &[Case] = cases! {
    writes: [
        batches_take_dense_offsets_and_come_back_as_they_were,
        a_call_answers_in_order_and_its_batches_stand_alone,
        what_a_topic_does_not_take_is_refused_and_takes_no_offset,
        a_retry_gets_the_answer_of_the_first_time,
        producers_follow_their_sequence_and_epoch,
        append_time_never_goes_back,
        log_append_time_is_stamped_before_anyone_sees_the_batch,
        replies_may_be_dropped,
        a_reply_means_that_readers_see_it,
    ]
    reads: [
        a_read_returns_whole_batches_from_the_one_that_contains_the_offset,
        limits_are_soft_for_the_first_batch_only,
        offsets_out_of_range_are_told_at_once,
        a_read_waits_for_bytes,
        a_read_ends_when_its_time_is_up,
        deleting_a_topic_ends_waiting_reads,
        waiting_reads_may_be_dropped,
        both_isolations_see_what_is_committed,
        offsets_are_found_by_time,
        offsets_of_compressed_batches_are_found_by_time,
        watch_tells_of_news,
    ]
    proposals: [
        topics_are_made_listed_and_deleted,
        names_limits_and_configs_are_checked,
        configs_change_what_appends_may_do,
        tags_are_set_and_removed,
        trims_move_the_log_start,
        producer_ids_are_never_given_twice,
        groups_keep_memberships_and_offsets,
        offsets_expire_in_groups_without_members,
        a_validated_command_has_no_effect,
    ]
    reshards: [
        a_split_fences_what_was_routed_before_it,
        a_merge_retires_a_partition,
        partitions_grow_by_splits_and_groups_start_on_them,
        shard_counts_are_updated_in_one_decision,
    ]
    lifecycle: [
        a_closed_engine_refuses_work,
        what_was_acknowledged_survives_a_crash,
    ]
};

impl Case {
    /// Runs the case on an engine of its own.
    pub async fn run(&self, harness: &dyn Harness) {
        let mut kit = Kit::start(harness).await;
        (self.run)(&mut kit).await;
        kit.reopen_and_compare(false).await;
        kit.reopen_and_compare(true).await;
        kit.end().await;
    }
}

/// Runs all cases, naming each as it starts.
pub async fn run(harness: &dyn Harness) {
    for case in CASES {
        println!("conformance: {}", case.name);
        case.run(harness).await;
    }
}
