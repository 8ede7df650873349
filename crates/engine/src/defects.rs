//! Deliberate defects: what the simulation must find, or it is too weak to be trusted.
//!
//! Behind the feature `defects`, which only the simulation's crate asks for, and in this crate's own tests. Without it
//! [`defect`] is a constant `false` and nothing of this is in a binary: so it is in a release, and in the `kolk` that clients
//! and documents are tested with. A build of the whole workspace has the feature everywhere, the `kolk` of its tests too; there
//! a defect is asked for and never planted. With it, a test plants one defect for its own thread ([`plant`]) and runs
//! seeds until a broken promise names it; `docs/simulation.md` has the table of how many that takes.

/// A mistake that somebody could make here, one at the spot that its text names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// Replies do not wait for the sync of their frame.
    AckBeforeSync,
    /// A frame whose write or sync failed counts as written.
    SyncErrorIgnored,
    /// Replay goes on into frames of an earlier use of a log file.
    StaleFrameReplayed,
    /// A partition remembers four batches of a producer instead of five.
    DuplicateWindowOfFour,
    /// A page of a closed shard gives the record behind its end too.
    SliceEndIncluded,
    /// A closed shard is read to one record before its end.
    SliceEndsEarly,
    /// A new shard begins one offset late.
    SliceBeginsLate,
    /// A snapshot says it covers one frame more than it does.
    SnapshotMissesDecision,
    /// Readers see batches of a frame that is not written yet.
    VisibleBeforeDurable,
    /// The index places a batch's start one batch ahead.
    IndexAheadOfData,
    /// A routed append is taken by whatever shard ends the partition now.
    FenceNotChecked,
    /// Replay forgets committed offsets.
    CommittedOffsetForgotten,
    /// Retention trims one record more than has expired.
    RetentionTooFar,
    /// Replay forgets which producer ids were given out.
    ProducerIdTwice,
    /// A duplicate is answered before the first time is durable.
    DuplicateNotAwaited,
    /// The new segments of a rewrite are not synced before the manifest names them.
    SegmentNotSynced,
    /// A new log file's name is not made durable.
    DirectoryNotSynced,
    /// Log files are used again before the manifest says that segments have their batches.
    FileReusedEarly,
    /// Replay forgets changes of configs.
    ConfigForgotten,
    /// Replay forgets that topics were deleted.
    DeletionForgotten,
    /// Replay forgets DeleteRecords and retention.
    TrimForgotten,
    /// The rewrite leaves an extent out.
    RewriteDropsExtent,
    /// The rewrite moves append times by a second.
    RewriteMovesTime,
    /// The checksum of a frame that is made from those of its extents leaves the padding out.
    FrameCrcWithoutPadding,
    /// A backup leaves the newest file of the log out.
    BackupMissesFile,
    /// A repair does not tell the last of what is lost.
    RepairTellsTooLittle,
    /// A repair drops the batch behind a damaged one too.
    RepairDropsHealthy,
    /// A commit of a generation that is over is taken.
    GenerationNotChecked,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 28] = [
        Defect::AckBeforeSync,
        Defect::SyncErrorIgnored,
        Defect::StaleFrameReplayed,
        Defect::DuplicateWindowOfFour,
        Defect::SliceEndIncluded,
        Defect::SliceEndsEarly,
        Defect::SliceBeginsLate,
        Defect::SnapshotMissesDecision,
        Defect::VisibleBeforeDurable,
        Defect::IndexAheadOfData,
        Defect::FenceNotChecked,
        Defect::CommittedOffsetForgotten,
        Defect::RetentionTooFar,
        Defect::ProducerIdTwice,
        Defect::DuplicateNotAwaited,
        Defect::SegmentNotSynced,
        Defect::DirectoryNotSynced,
        Defect::FileReusedEarly,
        Defect::ConfigForgotten,
        Defect::DeletionForgotten,
        Defect::TrimForgotten,
        Defect::RewriteDropsExtent,
        Defect::RewriteMovesTime,
        Defect::FrameCrcWithoutPadding,
        Defect::BackupMissesFile,
        Defect::RepairTellsTooLittle,
        Defect::RepairDropsHealthy,
        Defect::GenerationNotChecked,
    ];
}

/// Whether this defect is planted.
#[cfg(not(any(test, feature = "defects")))]
#[inline(always)]
pub const fn defect(_: Defect) -> bool {
    false
}

#[cfg(any(test, feature = "defects"))]
pub use planted::{Planted, defect, plant};

#[cfg(any(test, feature = "defects"))]
mod planted {
    use std::cell::Cell;

    use super::Defect;

    thread_local! {
        /// A simulation is one thread, and tests beside it are others.
        static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Whether this defect is planted in this thread.
    pub fn defect(asked: Defect) -> bool {
        PLANTED.get() == Some(asked)
    }

    /// Plants a defect in this thread until the guard is dropped.
    pub fn plant(defect: Defect) -> Planted {
        PLANTED.set(Some(defect));
        Planted(())
    }

    /// Keeps a defect planted.
    #[derive(Debug)]
    pub struct Planted(());

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }
}
