//! Independent pieces of work on every core.

use std::panic::resume_unwind;
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
    let worker = || {
        let mut done = Vec::new();
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count {
                return Ok(done);
            }
            let result = work(piece).inspect_err(|_| next.store(count, Ordering::Relaxed));
            done.push((piece, result?));
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut all = thread::scope(|scope| {
        let workers = (0..cores.min(count)).map(|_| scope.spawn(worker));
        let workers: Vec<_> = workers.collect();
        let ends = workers.into_iter().map(|worker| worker.join());
        let ends = ends.map(|end| end.unwrap_or_else(|panic| resume_unwind(panic)));
        ends.collect::<Result<Vec<_>, Failure>>()
    })?
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    all.sort_by_key(|(piece, _)| *piece);
    Ok(all.into_iter().map(|(_, result)| result).collect())
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
