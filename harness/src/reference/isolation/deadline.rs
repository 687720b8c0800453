//! Reading from somebody who may never say anything.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often somebody silent is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// A stream that is read until a moment and no longer, however slowly bytes drip from it.
pub struct Patient<'a> {
    /// The stream.
    pub stream: &'a UnixStream,
    /// The moment.
    pub until: Instant,
    /// Called at every glance.
    pub glance: &'a mut dyn FnMut(),
}

impl Read for Patient<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            (self.glance)();
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left.min(GLANCE)))?;
            match self.stream.read(bytes) {
                Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // Somebody who dies with unread requests resets the connection: it is its end.
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
        let mut glances = 0;
        let mut patient = Patient {
            stream: &ours,
            until: began + Duration::from_millis(100),
            glance: &mut || glances += 1,
        };
        let ended = patient
            .read_exact(&mut [0; 1_000_000])
            .expect_err("too slow");
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= Duration::from_millis(100) && glances > 1);
        drop(ours);
        dripping.join().expect("ends with the stream");
    }
}
