//! Independent pieces of work on every core.
#![forbid(unsafe_code)]

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::exit::Failure;

/// Does pieces 0 to `count` and returns what came of them, in order. After a failure no further
/// piece is begun.
pub fn each<T: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let next = AtomicUsize::new(0);
    let labour = || {
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
    let parts: Vec<Result<Vec<(usize, T)>, Failure>> = thread::scope(|scope| {
        let crew: Vec<_> = (0..cores.min(count)).map(|_| scope.spawn(labour)).collect();
        let ends = crew.into_iter().map(thread::ScopedJoinHandle::join);
        ends.map(|end| end.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let parts: Vec<Vec<(usize, T)>> = parts.into_iter().collect::<Result<_, _>>()?;
    let mut all: Vec<(usize, T)> = parts.into_iter().flatten().collect();
    all.sort_by_key(|(piece, _)| *piece);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_a_failure_ends_the_work() {
        let squares = each(1000, |i| Ok(i * i)).expect("nothing fails");
        assert!(squares.into_iter().eq((0..1000).map(|i| i * i)));
        assert!(each(0, Ok).expect("nothing to do").is_empty());
        let begun = AtomicUsize::new(0);
        let failed = each(1_000_000, |i| {
            begun.fetch_add(1, Ordering::Relaxed);
            match i {
                7 => Err(Failure::input("seven")),
                i => Ok(i),
            }
        });
        assert_eq!(failed.expect_err("it fails").message, "seven");
        assert!(begun.into_inner() < 1_000_000);
    }
}
