//! Reading from a process that may never write.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often a silent process is polled.
const POLL: Duration = Duration::from_millis(20);

/// A stream that is read until a moment and no longer, however slowly bytes drip from it.
pub struct DeadlineReader<'a> {
    /// The stream.
    pub stream: &'a UnixStream,
    /// The moment.
    pub until: Instant,
    /// Called at every poll: whether the process is no more. A child of its own can hold the other
    /// end open.
    pub poll: &'a mut dyn FnMut() -> bool,
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let gone = (self.poll)();
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left.min(POLL)))?;
            match self.stream.read(bytes) {
                Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => {
                    if gone {
                        return Ok(0); // what it had said was read before
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // A process that dies with unread requests resets the connection: that is its end.
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(0),
                done => return done,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn bytes_that_drip_do_not_move_the_deadline() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let dripping = std::thread::spawn(move || {
            while theirs.write_all(b".").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let began = Instant::now();
        let mut polls = 0;
        let mut reader = DeadlineReader {
            stream: &ours,
            until: began + Duration::from_millis(100),
            poll: &mut || {
                polls += 1;
                false
            },
        };
        let ended = reader
            .read_exact(&mut [0; 1_000_000])
            .expect_err("too slow");
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= Duration::from_millis(100) && polls > 1);
        drop(ours);
        dripping.join().expect("ends with the stream");
    }
}
