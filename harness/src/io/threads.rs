//! Independent pieces of work on every core, and on the caller's alone where no thread can be
//! started.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;

/// Threads of [`parallel_map`] at most, where somebody has said so.
static MOST: OnceLock<usize> = OnceLock::new();

/// Cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Says on how many threads work is done at most, once, before any is.
pub fn set_most(threads: usize) {
    MOST.get_or_init(|| threads);
}

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
    let cores = MOST.get().copied().unwrap_or_else(cores);
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

/// What is told of a piece of work.
pub enum Piece<T> {
    /// It is begun.
    Begins(usize),
    /// It is done, and this came of it.
    Ended(usize, T),
}

/// Does pieces 0 to `count` on so many threads, each with a state that is made there and stays
/// there; one job, or none that could be started, is done on the caller's. The caller is told of
/// every piece as it comes; after a failure, or once `told` says that it is enough, no further
/// piece is begun.
pub fn in_jobs<S, T: Send, E: Send>(
    jobs: usize,
    count: usize,
    make: impl Fn() -> Result<S, E> + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut told: impl FnMut(Piece<T>) -> Result<bool, E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let job = |tell: &mut dyn FnMut(Result<Piece<T>, E>) -> bool| {
        let mut state = match make() {
            Ok(state) => state,
            Err(why) => {
                tell(Err(why));
                return;
            }
        };
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count || !tell(Ok(Piece::Begins(piece))) {
                return;
            }
            let done = work(&mut state, piece);
            if !tell(Ok(Piece::Ended(piece, done))) {
                return;
            }
        }
    };
    let mut failed = Ok(());
    let mut hear = |piece: Result<Piece<T>, E>| {
        let more = piece.and_then(&mut told);
        if !matches!(more, Ok(true)) {
            next.store(count, Ordering::Relaxed);
        }
        failed = more.map(drop);
        failed.is_ok()
    };
    let started = thread::scope(|scope| {
        let (tell, heard) = mpsc::sync_channel(0);
        let (job, wanted) = (&job, jobs.min(count));
        let started = (0..wanted).filter(|_| wanted > 1).map_while(|_| {
            let tell = tell.clone();
            let run = move || job(&mut |piece| tell.send(piece).is_ok());
            thread::Builder::new().spawn_scoped(scope, run).ok()
        });
        let started = started.count();
        drop(tell);
        // Once nobody hears, every job ends.
        heard.into_iter().all(&mut hear);
        started
    });
    if started == 0 {
        job(&mut hear);
    }
    failed
}

/// The same, and the caller is told what came of them in their order. One job has the state `own`;
/// several have what `again` makes for each.
pub fn in_order<S, T: Send, E: Send>(
    jobs: usize,
    count: usize,
    mut own: S,
    again: impl Fn() -> Result<S, E> + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut told: impl FnMut(T) -> Result<bool, E>,
) -> Result<(), E> {
    if jobs.min(count) <= 1 {
        for at in 0..count {
            if !told(work(&mut own, at))? {
                break;
            }
        }
        return Ok(());
    }
    let (mut early, mut next, mut enough) = (BTreeMap::new(), 0, false);
    in_jobs(jobs, count, again, work, |piece| {
        if let Piece::Ended(at, done) = piece {
            early.insert(at, done);
        }
        // What was begun before it was enough still ends.
        while let Some(done) = early.remove(&next).filter(|_| !enough) {
            next += 1;
            enough = !told(done)?;
        }
        Ok(!enough)
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

    #[test]
    fn every_piece_is_done_once_with_a_state_of_its_thread_until_it_is_enough() {
        let done_by = |jobs, enough| {
            let states = AtomicUsize::new(0);
            let make = || Ok::<_, String>(states.fetch_add(1, Ordering::Relaxed));
            let mut ended = Vec::new();
            let told = |piece: Piece<(usize, usize)>| {
                if let Piece::Ended(at, came) = piece {
                    ended.push((at, came.1));
                }
                Ok(ended.len() < enough)
            };
            let all = in_jobs(jobs, 100, make, |state, at| (*state, at * at), told);
            all.expect("nothing fails");
            ended.sort_unstable();
            (states.into_inner(), ended)
        };
        let squares: Vec<_> = (0..100).map(|at| (at, at * at)).collect();
        for jobs in [1, 2, 7] {
            let (states, ended) = done_by(jobs, usize::MAX);
            assert_eq!((states, &ended), (jobs, &squares));
            assert!(done_by(jobs, 3).1.len() < 100);
        }
        for jobs in [1, 2, 7] {
            let mut told = Vec::new();
            let again = || Ok::<_, String>(());
            let square = |(): &mut (), at: usize| at * at;
            let all = in_order(jobs, 100, (), again, square, |done| {
                told.push(done);
                Ok(told.len() < 50)
            });
            all.expect("nothing fails");
            let squares: Vec<_> = (0..50).map(|at| at * at).collect();
            assert_eq!(told, squares, "in {jobs} jobs");
        }
        let failing = || Err::<(), _>("no state");
        let failed = in_jobs(3, 100, failing, |(), at| at, |_| Ok(true));
        assert_eq!(failed, Err("no state"));
    }
}
