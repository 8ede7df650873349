//! The whole server in the seeded world: see the library for what a run does and checks.
//!
//! `KOLK_SIM_SEED=N` runs that seed only, `KOLK_FULL=1` many.

mod failed_disk;
mod http2;
mod operations;
mod repaired;
mod sources;
mod stuck_sync;

use std::collections::BTreeSet;
use std::env;
use std::time::Duration;

use kolk_engine::door::sim;
use kolk_sim::coverage::Coverage;
use kolk_sim::{Plan, Report, Sizes, run};

/// The seeds to run, each announced, so that a failed test says which one it was.
fn seeds(quick: u64, full: u64) -> Vec<u64> {
    if let Ok(seed) = env::var("KOLK_SIM_SEED") {
        return vec![seed.parse().expect("KOLK_SIM_SEED is a number")];
    }
    (0..if env::var_os("KOLK_FULL").is_some() { full } else { quick }).collect()
}

fn announced(seed: u64, plan: &Plan) -> Report {
    println!("KOLK_SIM_SEED={seed}");
    run(seed, plan)
}

#[test]
fn one_seed_is_one_run() {
    let plan = Plan::default();
    for seed in seeds(3, 20) {
        let first = announced(seed, &plan);
        assert_eq!(first, announced(seed, &plan), "something picks at random behind the door's back");
    }
}

/// Once the settings' own sizes came before those that the simulation asks for: the log's first file took all that a run
/// wrote, and nothing was ever rewritten or used again.
#[test]
fn the_log_is_as_small_as_it_was_asked_to_be() {
    let files = sim::run(0, |sim| async move {
        kolk_sim::start(&sim).await.stop().await.expect("a healthy log closes");
        sim.files()
    });
    let sizes = files.iter().filter(|(path, _)| path.extension().is_some_and(|it| it == "wal"));
    let sizes: Vec<u64> = sizes.map(|(_, size)| *size).collect();
    assert!(!sizes.is_empty());
    let max = Sizes::SMALL.options().wal_file_bytes_max;
    assert!(sizes.iter().all(|size| *size <= max), "{sizes:?} are at most {max}");
}

#[test]
fn every_seed_is_another_run_and_all_keep_what_was_promised() {
    let seeds = seeds(20, 100);
    let reports: Vec<_> = seeds.iter().map(|seed| announced(*seed, &Plan::default())).collect();
    let hashes: BTreeSet<u64> = reports.iter().map(|report| report.trace_hash).collect();
    assert_eq!(hashes.len(), seeds.len(), "every seed is another schedule");
    assert!(reports.iter().all(|report| report.ends > 0), "the power was cut");
}

#[test]
fn a_log_that_is_cut_off_again_and_again_keeps_what_was_promised() {
    let plan = Plan { fault_gap: Duration::from_millis(300), ..Plan::default() };
    for seed in seeds(2, 50) {
        announced(seed, &plan);
    }
}

/// Every fault there is, on plans of their own; and what is reached by runs is what was found in the sources.
#[test]
fn seeded_plans_hold_and_repeat_themselves() {
    let mut coverage = Coverage::defined().expect("the sources are there");
    let defined = coverage.counts().2;
    for seed in seeds(6, 100) {
        println!("KOLK_SIM_SEED={seed}");
        let plan = Plan::of_seed(seed);
        let report = run(seed, &plan);
        assert_eq!(report, run(seed, &plan), "something picks at random behind the door's back");
        coverage.add(&report.fault_points);
    }
    let (_, _, places) = coverage.counts();
    assert_eq!(places, defined, "places were reached that are not found in the sources: {coverage:#?}");
    // Files of a few frames: in these runs, too, batches leave the log for segments, and snapshots are taken.
    for part in ["rewrite.rs", "segment/", "snapshot.rs"] {
        let path = format!("crates/engine/src/local/{part}");
        let reached =
            coverage.places.iter().any(|(place, counts)| place.0.starts_with(&path) && counts.0 > 0);
        assert!(reached, "nothing in {path} was reached");
    }
}
