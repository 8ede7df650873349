//! Counts what each thread takes of the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Allocations of this thread so far, and their bytes; one that grows counts for what it grows by.
pub fn of_this_thread() -> (u64, u64) {
    ALLOCATIONS.get()
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: hands everything on to the system's allocator; the counters are plain cells of the thread, without a
// destructor and without allocating themselves.
#[allow(unsafe_code, reason = "an allocator cannot be counted otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (count, bytes) = ALLOCATIONS.get();
        ALLOCATIONS.set((count + 1, bytes + layout.size() as u64));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (count, bytes) = ALLOCATIONS.get();
        ALLOCATIONS.set((count + 1, bytes + size.saturating_sub(layout.size()) as u64));
        unsafe { System.realloc(at, layout, size) }
    }
}
