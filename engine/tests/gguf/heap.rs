//! Counts what a thread has on the heap, and how often it asked for more, so that a promise about
//! memory or about work can be broken by a test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let now = NOW.get() + bytes;
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing, as
// all cells are constants without destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        REQUESTS.set(REQUESTS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on as it is.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller got `at` from `alloc` above, which got it from the system.
        unsafe { System.dealloc(at, layout) }
    }
}

/// The most bytes `work` had on the heap at once beyond what was there before.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = NOW.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before) as u64)
}

/// How often `work` asked for memory.
pub fn requests_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = REQUESTS.get();
    let result = work();
    (result, REQUESTS.get() - before)
}

#[test]
fn every_request_counts() {
    let (kept, requests) = requests_of(|| [Box::new(1), Box::new(2)]);
    assert_eq!((*kept[1], requests), (2, 2));
    assert_eq!(requests_of(|| 1), (1, 0));
}

#[test]
fn the_peak_is_seen_even_if_it_is_gone_again() {
    let ((), peak) = peak_of(|| drop(vec![0u8; 1 << 20]));
    assert!((1 << 20..1 << 21).contains(&peak), "{peak}");
    let (kept, peak) = peak_of(|| 1);
    assert_eq!((kept, peak), (1, 0));
}
