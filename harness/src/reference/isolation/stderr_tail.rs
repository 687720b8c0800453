//! Keeps the end of what a process prints.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes kept; what came before is dropped.
const KEPT: usize = 64 << 10;
/// How long the pipe of a dead process is given to run dry. It may never: a process that left the
/// session can hold it open.
const GRACE: Duration = Duration::from_millis(500);

/// Reads a pipe to its end, in a thread of its own.
pub struct StderrTail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    reader: JoinHandle<()>,
}

impl StderrTail {
    /// Starts reading.
    pub fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let shared = Arc::clone(&kept);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&chunk[..n]);
                let excess = kept.len().saturating_sub(KEPT);
                kept.drain(..excess);
            }
        });
        StderrTail { kept, reader }
    }

    /// What was kept, once the process is dead.
    pub fn text(&self) -> String {
        let began = Instant::now();
        while !self.reader.is_finished() && began.elapsed() < GRACE {
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_however_much_comes() {
        let noise = std::io::repeat(b'.').take(10 * KEPT as u64);
        let tail = StderrTail::of(noise.chain(&b"the end"[..]));
        let text = tail.text();
        assert_eq!(text.len(), KEPT);
        assert!(text.ends_with("..the end"));
    }
}
