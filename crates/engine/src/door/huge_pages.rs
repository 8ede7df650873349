//! Large pages for memory that large writes go through.
//!
//! A direct write of 1 MiB from ordinary memory is 256 pages to be looked up and pinned and up to as many pieces for the
//! device. Measured with writes of 928 KiB (docs/benchmarks/README.md): 0.56 ms instead of 0.72 each, 0.09 ms of
//! processor time instead of 0.17. Linux gives huge pages to those who ask, unless it is set to give them to all or to none.

use std::mem::MaybeUninit;

/// Bytes of a huge page (x86-64, and AArch64 with pages of 4 KiB; where they are larger, the system looks for itself).
pub(super) const BYTES: usize = 2 << 20;

/// Asks that `memory` be backed by huge pages as far as it holds whole ones. Where it cannot be, nothing changes.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no safe call takes memory that somebody else allocated")]
pub(super) fn advise(memory: &mut [MaybeUninit<u8>]) {
    let skip = memory.as_ptr().align_offset(BYTES);
    let whole = memory.len().saturating_sub(skip) / BYTES * BYTES;
    if whole > 0 {
        let advice = rustix::mm::Advice::LinuxHugepage;
        let start = memory[skip..].as_mut_ptr();
        // SAFETY: the range lies within memory that is borrowed exclusively, and the advice changes neither what it
        // holds nor that it is there, only the size of the pages behind it.
        let _ = unsafe { rustix::mm::madvise(start.cast(), whole, advice) };
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn advise(_memory: &mut [MaybeUninit<u8>]) {}
