//! A session that notes how long each portion of tokens took.

use std::time::{Duration, Instant};

use engine::Token;
use engine::session::Wanted;

use super::Session;

/// A session, and the time of each feed so far.
pub struct Timed<S> {
    session: S,
    /// In order.
    pub feeds: Vec<Duration>,
}

impl<S> Timed<S> {
    /// Nothing was fed yet.
    pub fn new(session: S) -> Self {
        let feeds = Vec::new();
        Timed { session, feeds }
    }
}

impl<S: Session> Session for Timed<S> {
    type Error = S::Error;

    fn feed(&mut self, tokens: &[Token], wanted: Wanted) -> Result<Vec<f32>, S::Error> {
        let began = Instant::now();
        let rows = self.session.feed(tokens, wanted)?;
        self.feeds.push(began.elapsed());
        Ok(rows)
    }

    fn truncate(&mut self, length: usize) -> Result<(), S::Error> {
        self.session.truncate(length)
    }
}
