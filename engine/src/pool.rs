//! Threads that live as long as a session and share the work of every step.
//!
//! Every thread has a share of the items and takes it in pieces, a quarter of what is left each
//! time; who has finished helps the others. The caller works, too, and waits at the end for those
//! alone who have begun: a thread that gets no processor delays nobody. Which thread computes an
//! item never changes the item, so neither the number of threads nor their timing can change a
//! bit of a result.

#![allow(unsafe_code)] // work and outputs are lent to threads that outlive the loan

mod bands;
mod workers;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

pub use bands::{Band, Target};

use workers::Workers;

/// Things that [`Pool::in_order`] holds for each thread.
const HELD_BY_A_THREAD: usize = 16;

/// A number of threads, the caller's among them.
pub struct Pool {
    workers: Option<Workers>,
    shares: Box<[Share]>,
}

/// What is left of one thread's items. A cache line each, so that taking one disturbs nobody.
#[repr(align(64))]
#[derive(Default)]
struct Share {
    next: AtomicUsize,
    end: AtomicUsize,
}

impl Pool {
    /// Starts all threads but the caller's.
    pub fn new(threads: NonZeroUsize) -> Self {
        Pool {
            workers: (threads.get() > 1).then(|| Workers::start(threads.get() - 1)),
            shares: (0..threads.get()).map(|_| Share::default()).collect(),
        }
    }

    /// How many threads there are, the caller's among them.
    pub fn threads(&self) -> usize {
        self.shares.len()
    }

    /// Calls `work` with ranges that together are `0..items`, each item once, on every thread.
    pub fn share_out(&mut self, items: usize, work: impl Fn(Range<usize>) + Sync) {
        let Some(workers) = self.workers.as_mut().filter(|_| items > 1) else {
            if items > 0 {
                work(0..items);
            }
            return;
        };
        let threads = self.shares.len();
        for (i, share) in self.shares.iter().enumerate() {
            share.next.store(items * i / threads, Ordering::Relaxed);
            share
                .end
                .store(items * (i + 1) / threads, Ordering::Relaxed);
        }
        let shares = &self.shares;
        workers.run(&|own| {
            for i in 0..threads {
                let share = &shares[(own + i) % threads];
                while let Some(piece) = share.take() {
                    work(piece);
                }
            }
        });
    }

    /// Calls `work` with the index and the contents of every part of so many values.
    pub fn over_parts<T: Send>(
        &mut self,
        values: &mut [T],
        part: usize,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        self.over_two(values, part, &mut [], 0, |i, part, _: &mut [()]| {
            work(i, part);
        });
    }

    /// The same for parts of two buffers that belong together; a second buffer that is empty
    /// gives empty parts.
    pub fn over_two<T: Send, U: Send>(
        &mut self,
        first: &mut [T],
        part: usize,
        second: &mut [U],
        second_part: usize,
        work: impl Fn(usize, &mut [T], &mut [U]) + Sync,
    ) {
        let parts = first.len() / part.max(1);
        assert!(parts * second_part <= second.len(), "a part for each part");
        let (first, second) = (Lent::new(first), Lent::new(second));
        self.share_out(parts, |range| {
            for i in range {
                // SAFETY: `share_out` hands every index to one thread alone, and the parts of
                // different indices do not overlap.
                let (one, other) = unsafe {
                    (
                        first.part(i * part, part),
                        second.part(i * second_part, second_part),
                    )
                };
                work(i, one, other);
            }
        });
    }

    /// Makes things on every thread and hands them out in order. No more than a few for each
    /// thread are held at once.
    pub fn in_order<T: Send, E>(
        &mut self,
        count: usize,
        make: impl Fn(usize) -> T + Sync,
        mut take: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let at_once = self.threads() * HELD_BY_A_THREAD;
        for first in (0..count).step_by(at_once) {
            let mut made = Vec::new();
            made.resize_with(at_once.min(count - first), || None);
            self.over_parts(&mut made, 1, |i, place| place[0] = Some(make(first + i)));
            made.into_iter().flatten().try_for_each(&mut take)?;
        }
        Ok(())
    }
}

/// Runs both, the first one on a thread of its own where there can be one.
pub fn both<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    // Only a thread that begins takes it.
    let first = Mutex::new(Some(first));
    let take = || first.lock().unwrap_or_else(PoisonError::into_inner).take();
    thread::scope(|scope| {
        let begun = thread::Builder::new().spawn_scoped(scope, || take().map(|first| first()));
        let second = second();
        let other = begun
            .ok()
            .map(|thread| thread.join().unwrap_or_else(|e| resume_unwind(e)));
        let first = other.flatten().or_else(|| take().map(|first| first()));
        (first.expect("one of the two took it"), second)
    })
}

impl Share {
    /// A quarter of what is left, at least one item.
    fn take(&self) -> Option<Range<usize>> {
        let end = self.end.load(Ordering::Relaxed);
        let mut start = self.next.load(Ordering::Relaxed);
        while start < end {
            let taken = start + (end - start).div_ceil(4);
            let swapped =
                self.next
                    .compare_exchange_weak(start, taken, Ordering::Relaxed, Ordering::Relaxed);
            match swapped {
                Ok(_) => return Some(start..taken),
                Err(other) => start = other,
            }
        }
        None
    }
}

/// Values lent to several threads, each of which writes its own part.
struct Lent<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: a part is an exclusive borrow, which may be sent where its elements may.
unsafe impl<T: Send> Sync for Lent<T> {}

impl<T> Lent<T> {
    fn new(values: &mut [T]) -> Self {
        Lent {
            start: values.as_mut_ptr(),
            len: values.len(),
        }
    }

    /// One part.
    ///
    /// # Safety
    /// While the part lives, the values are borrowed by whoever lent them, and no other part
    /// overlaps it.
    #[allow(clippy::mut_from_ref)] // that is what lending to several threads means
    unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start + len <= self.len, "a part of what was lent");
        // SAFETY: inside the lent values, and exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> Pool {
        Pool::new(NonZeroUsize::new(threads).expect("not zero"))
    }

    #[test]
    fn every_item_is_handed_out_once() {
        for threads in [1, 2, 3, 8] {
            let mut pool = pool(threads);
            for items in [0, 1, 2, 7, 64, 1000] {
                let counts: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
                pool.share_out(items, |range| {
                    for i in range {
                        counts[i].fetch_add(1, Ordering::Relaxed);
                    }
                });
                assert!(counts.iter().all(|n| n.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn parts_that_belong_together_come_together() {
        let (mut a, mut b) = (vec![0; 30], vec![0u8; 10]);
        pool(3).over_two(&mut a, 3, &mut b, 1, |i, a, b| {
            a.fill(i);
            b.fill(i as u8);
        });
        assert!((0..30).all(|i| a[i] == i / 3));
        assert!((0..10).all(|i| b[i] == i as u8));
    }

    #[test]
    fn both_are_run_and_a_panic_of_either_reaches_the_caller() {
        assert_eq!(both(|| 1, || "two"), (1, "two"));
        for planted in [0, 1] {
            let run = |one: usize| assert!(one != planted, "planted");
            let caught = std::panic::catch_unwind(|| both(|| run(0), || run(1)));
            assert!(caught.is_err());
        }
    }

    #[test]
    fn a_panic_in_one_piece_reaches_the_caller_and_the_pool_lives_on() {
        let mut pool = pool(2);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.share_out(100, |range| assert!(!range.contains(&77), "planted"));
        }));
        assert!(caught.is_err());
        let count = AtomicUsize::new(0);
        pool.share_out(100, |range| {
            count.fetch_add(range.len(), Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 100);
    }
}
