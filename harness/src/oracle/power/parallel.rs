//! Independent pieces of work on every core.
#![forbid(unsafe_code)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::exit::Failure;

/// Does pieces 0 to `count` and returns what came of them, in order. After a failure no further
/// piece is begun.
pub fn parallel_map<T: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((0..count).map(|_| None).collect::<Vec<_>>());
    let worker = || {
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count {
                return;
            }
            let result = work(piece);
            if result.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            results.lock().expect("no panic while it is held")[piece] = Some(result);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(count) {
            scope.spawn(worker);
        }
    });
    let results = results.into_inner().expect("no panic while it is held");
    // After a failure some are not there, and the failure is.
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_a_failure_ends_the_work() {
        let squares = parallel_map(1000, |i| Ok(i * i)).expect("nothing fails");
        assert!(squares.into_iter().eq((0..1000).map(|i| i * i)));
        assert!(parallel_map(0, Ok).expect("nothing to do").is_empty());
        let begun = AtomicUsize::new(0);
        let failed = parallel_map(1_000_000, |i| {
            begun.fetch_add(1, Ordering::Relaxed);
            if i == 7 {
                return Err(Failure::input("seven"));
            }
            Ok(i)
        });
        assert_eq!(failed.expect_err("it fails").message, "seven");
        assert!(begun.into_inner() < 1_000_000);
    }
}
