//! The checker is itself checked: every deliberate defect is found, within a stated number of seeds.
//!
//! `KOLK_FULL=1` plants all of them, `KOLK_DEFECT=Name` one; else those that the first seeds find. `KOLK_SEEDS=N` gives each
//! so many seeds instead of its bound. Each line says which anomaly, or which refusal of the server, named it first.
#![allow(clippy::disallowed_methods, reason = "measures how long a test takes")]

use std::cell::RefCell;
use std::env;
use std::time::Instant;

use kolk_engine::defects::{Defect, plant};
use kolk_sim::{Plan, attempt};

thread_local! {
    /// What the first panic of this thread said: later ones are its consequences.
    static FIRST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Collects what panics say instead of printing it: they are what this test looks for.
fn collect_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("a panic without words").to_owned();
        let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
        let said = format!("{text}{}", place.unwrap_or_default());
        FIRST_PANIC.with_borrow_mut(|first| {
            first.get_or_insert(said);
        });
    }));
}

/// What a seed's run says if it does not hold.
fn broken(seed: u64) -> Option<String> {
    FIRST_PANIC.take();
    let failure = attempt(seed, &Plan::of_seed(seed)).err()?;
    Some(FIRST_PANIC.take().unwrap_or(failure.message))
}

/// The seed that finds a defect, and what it said.
fn find(defect: Defect, seeds: u64) -> Option<(u64, String)> {
    let _planted = plant(defect);
    (0..seeds).find_map(|seed| Some((seed, broken(seed)?)))
}

#[test]
fn planted_defects_are_found() {
    collect_panics();
    let only = env::var("KOLK_DEFECT").ok();
    let full = env::var_os("KOLK_FULL").is_some();
    let chosen = Defect::ALL.into_iter().filter(|defect| match &only {
        Some(only) => format!("{defect:?}") == *only,
        None => full || QUICK.contains(defect),
    });
    let given = env::var("KOLK_SEEDS").ok().map(|seeds| seeds.parse().expect("KOLK_SEEDS is a number"));
    let mut missed = Vec::new();
    for (defect, bound) in chosen.filter_map(|defect| Some((defect, seeds_max(defect)?))) {
        let seeds = given.unwrap_or(bound);
        let began = Instant::now();
        match find(defect, seeds) {
            Some((seed, said)) => {
                let what = said.lines().take(3).collect::<Vec<_>>().join(" | ");
                let what: String = what.chars().take(300).collect();
                println!("{defect:?}: {} of {seeds} seeds, {:.0?}: {what}", seed + 1, began.elapsed());
            }
            None => {
                println!("{defect:?}: not found in {seeds} seeds, {:.0?}", began.elapsed());
                missed.push((defect, seeds));
            }
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "not found within their seeds: {missed:?}");
}

/// Seeds, from 0 on, within which each defect is found; nothing if no simulation in one thread finds it.
fn seeds_max(defect: Defect) -> Option<u64> {
    let seeds = match defect {
        // Planted into the contract's suite, in the engine's tests of the log in memory.
        Defect::FenceNotChecked => return None,
        Defect::AckBeforeSync
        | Defect::DuplicateWindowOfFour
        | Defect::SliceEndIncluded
        | Defect::SliceEndsEarly
        | Defect::SliceBeginsLate
        | Defect::SnapshotMissesDecision
        | Defect::IndexAheadOfData
        | Defect::SegmentNotSynced
        | Defect::FileReusedEarly
        | Defect::TrimForgotten
        | Defect::RewriteDropsExtent
        | Defect::RewriteMovesTime
        | Defect::FrameCrcWithoutPadding
        | Defect::BackupMissesFile => 10,
        Defect::SyncErrorIgnored
        | Defect::StaleFrameReplayed
        | Defect::VisibleBeforeDurable
        | Defect::CommittedOffsetForgotten
        | Defect::RetentionTooFar
        | Defect::ProducerIdTwice
        | Defect::DuplicateNotAwaited
        | Defect::DirectoryNotSynced
        | Defect::ConfigForgotten
        | Defect::DeletionForgotten
        | Defect::RepairTellsTooLittle
        | Defect::RepairDropsHealthy
        | Defect::GenerationNotChecked => 40,
    };
    Some(seeds)
}

/// Those that every test run plants: the first seed or two find them.
const QUICK: [Defect; 14] = [
    Defect::AckBeforeSync,
    Defect::DuplicateWindowOfFour,
    Defect::SliceEndIncluded,
    Defect::SliceEndsEarly,
    Defect::SliceBeginsLate,
    Defect::SnapshotMissesDecision,
    Defect::IndexAheadOfData,
    Defect::SegmentNotSynced,
    Defect::FileReusedEarly,
    Defect::TrimForgotten,
    Defect::RewriteDropsExtent,
    Defect::RewriteMovesTime,
    Defect::FrameCrcWithoutPadding,
    Defect::BackupMissesFile,
];
