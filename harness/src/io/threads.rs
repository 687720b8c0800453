//! Independent pieces of work on every core, and on the caller's alone where no thread can be
//! started.
#![forbid(unsafe_code)]

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does pieces 0 to `count` and returns what came of them, in order. After a failure no further
/// piece is begun.
pub fn parallel_map<T: Send, E: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
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
        let others = 1..cores.min(count);
        let others = others.map_while(|_| thread::Builder::new().spawn_scoped(scope, worker).ok());
        let others: Vec<_> = others.collect();
        let own = worker();
        let others = others.into_iter().map(|worker| worker.join());
        let others = others.map(|end| end.unwrap_or_else(|panic| resume_unwind(panic)));
        std::iter::once(own)
            .chain(others)
            .collect::<Result<Vec<_>, E>>()
    })?
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    all.sort_by_key(|(piece, _)| *piece);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

/// Does both, the first on a thread of its own.
pub fn beside<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    let one = Mutex::new(Some(one));
    let take = || one.lock().ok()?.take();
    thread::scope(|scope| {
        let run = || take().map(|one| one());
        let thread = thread::Builder::new().spawn_scoped(scope, run);
        let done = other();
        let first = thread
            .ok()
            .and_then(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let first = first.or_else(|| take().map(|one| one()));
        (first.expect("taken once, here or there"), done)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_a_failure_ends_the_work() {
        let squares = parallel_map(1000, |i| Ok::<_, String>(i * i)).expect("nothing fails");
        assert!(squares.into_iter().eq((0..1000).map(|i| i * i)));
        assert!(
            parallel_map(0, Ok::<_, String>)
                .expect("nothing to do")
                .is_empty()
        );
        let begun = AtomicUsize::new(0);
        let failed = parallel_map(1_000_000, |i| {
            begun.fetch_add(1, Ordering::Relaxed);
            if i == 7 {
                return Err("seven");
            }
            Ok(i)
        });
        assert_eq!(failed.expect_err("it fails"), "seven");
        assert!(begun.into_inner() < 1_000_000);
    }

    #[test]
    fn both_are_done_on_whichever_thread() {
        assert_eq!(beside(|| 1, || 2), (1, 2));
    }
}
