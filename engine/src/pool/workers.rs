//! The threads of a pool: they wait for work, spinning a little before they sleep.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle, Thread};

/// What all threads of a call do; the number is that of the thread, the caller's being 0.
type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// Rounds of waiting that spin, and rounds after them that offer the processor to others.
const SPINS: u32 = 400;
const YIELDS: u32 = 20;

/// The lowest bits of the state count the threads inside the work; the next says that more may
/// come; the rest counts the calls.
const OPEN: u64 = 1 << 15;
const INSIDE: u64 = OPEN - 1;
const CALL: u64 = OPEN << 1;

/// All threads but the caller's.
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: AtomicU64,
    stopped: AtomicBool,
    panicked: AtomicBool,
    caller_sleeps: AtomicBool,
    sleeping: Box<[AtomicBool]>,
    /// Written by the caller while nobody is inside and nobody may enter.
    call: UnsafeCell<Option<Call>>,
}

struct Call {
    work: *const Work<'static>,
    caller: Thread,
}

// SAFETY: `call` is written only while the state admits no reader, and what it points to is
// shared between threads by nature.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Workers {
    /// Starts that many threads, which wait; fewer where the system gives no more, down to none.
    pub fn start(count: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            caller_sleeps: AtomicBool::new(false),
            sleeping: (0..count).map(|_| AtomicBool::new(false)).collect(),
            call: UnsafeCell::new(None),
        });
        let thread = |index: usize| {
            let shared = Arc::clone(&shared);
            let serve = move || shared.serve(index);
            thread::Builder::new().spawn(serve).ok()
        };
        Workers {
            threads: (0..count).map_while(thread).collect(),
            shared,
        }
    }

    /// Runs `work` on the caller's thread and on every other that finds the time; returns when
    /// all that have begun are done.
    pub fn run(&mut self, work: &Work<'_>) {
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes, and `Closing` ends the call, on every way out of
        // this function, before the borrow does.
        let work: *const Work<'static> =
            unsafe { std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work) };
        let caller = thread::current();
        // SAFETY: `&mut self` and the end of the last call mean that nobody is inside, and the
        // state is not open.
        unsafe { *shared.call.get() = Some(Call { work, caller }) };
        shared.state.fetch_add(CALL | OPEN, SeqCst);
        for (sleeping, thread) in shared.sleeping.iter().zip(&self.threads) {
            if sleeping.load(SeqCst) {
                thread.thread().unpark();
            }
        }
        let closing = Closing(shared);
        // SAFETY: the borrow this pointer was made of is still there.
        unsafe { (*work)(0) };
        drop(closing);
        if shared.panicked.swap(false, SeqCst) {
            resume_unwind(Box::new("a thread of the pool panicked"));
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A panic of a thread was reported by the call it happened in.
            let _ = thread.join();
        }
    }
}

/// Ends a call: nobody enters any more, and everybody inside leaves.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let shared = self.0;
        shared.state.fetch_and(!OPEN, SeqCst);
        let empty = || shared.state.load(SeqCst) & INSIDE == 0;
        while !patiently(empty) {
            // Exchanged, not stored: see `next_call`.
            shared.caller_sleeps.swap(true, SeqCst);
            if !empty() {
                thread::park();
            }
            shared.caller_sleeps.store(false, SeqCst);
        }
    }
}

impl Shared {
    /// The life of thread `index`.
    fn serve(&self, index: usize) {
        let mut served = 0;
        while let Some(call) = self.next_call(index, served) {
            served = call;
            // SAFETY: this thread is counted as inside, so the call is there until it leaves.
            let call = unsafe { (*self.call.get()).as_ref() }.expect("an open call");
            // SAFETY: as above; the caller keeps what the work borrows until everybody left.
            let done = catch_unwind(AssertUnwindSafe(|| unsafe { (*call.work)(index + 1) }));
            if done.is_err() {
                self.panicked.store(true, SeqCst);
            }
            let caller = call.caller.clone();
            let before = self.state.fetch_sub(1, SeqCst);
            if before & (OPEN | INSIDE) == 1 && self.caller_sleeps.load(SeqCst) {
                caller.unpark();
            }
        }
    }

    /// Enters the next call after `served` and gives its number; `None` at the end of the pool.
    fn next_call(&self, index: usize, served: u64) -> Option<u64> {
        let there = || {
            let state = self.state.load(SeqCst);
            (state & OPEN != 0 && state / CALL != served) || self.stopped.load(SeqCst)
        };
        loop {
            if !patiently(there) {
                // It must be there to see before the state is looked at once more. An exchange is
                // what x86 makes of such a store, and qemu, whose aarch64 lets a store be overtaken
                // by a load behind it, keeps the order of an exchange.
                self.sleeping[index].swap(true, SeqCst);
                if !there() {
                    thread::park();
                }
                self.sleeping[index].store(false, SeqCst);
                continue;
            }
            if self.stopped.load(SeqCst) {
                return None;
            }
            let state = self.state.load(SeqCst);
            let enter = || {
                let entered = state + 1;
                self.state.compare_exchange(state, entered, SeqCst, SeqCst)
            };
            if state & OPEN != 0 && state / CALL != served && enter().is_ok() {
                return Some(state / CALL);
            }
        }
    }
}

/// Whether it has come true after a while of waiting without sleep.
fn patiently(condition: impl Fn() -> bool) -> bool {
    for round in 0..SPINS + YIELDS {
        if condition() {
            return true;
        }
        if round < SPINS {
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
    condition()
}
