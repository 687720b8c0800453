//! How much a text surprises, and how far one computation's expectations lie from another's.
//!
//! As `llama-perplexity` has it: the text is cut into chunks of one context, each begins anew with
//! the token every text begins with, and only the second half of a chunk counts, where there is
//! something to expect from.

mod measured;

use std::ops::Range;

use engine::Token;

use self::measured::Tally;
pub use self::measured::{FromFirst, Measured, SHARES};
use crate::case::schedule::{Schedule, Step};
use crate::io::kl_base::{self, Head, KlBase};
use crate::numbers::rows_apart::Believed;
use crate::runner::watch::Watch;
use crate::runner::{Opened, RunError, guarded};

/// A text in chunks.
pub struct Chunks {
    /// All of them, one behind the other, as the text has them.
    tokens: Vec<Token>,
    /// Tokens of each.
    pub length: usize,
    /// What each begins with instead of its first token.
    begin: Option<Token>,
}

impl Chunks {
    /// Cuts a text that takes at least two chunks of `length`, and keeps `most` at most; the rest
    /// that fills no chunk is left out.
    pub fn of(
        tokens: &[Token],
        length: usize,
        begin: Option<Token>,
        most: usize,
    ) -> Result<Self, String> {
        if length < 4 || tokens.len() < 2 * length {
            let least = 2 * length.max(4);
            return Err(format!(
                "the text has {} tokens, and two chunks of {length} take {least}: take a longer \
                 text, or a smaller --context",
                tokens.len()
            ));
        }
        let count = (tokens.len() / length).min(most);
        Ok(Chunks {
            tokens: tokens[..count * length].to_vec(),
            length,
            begin,
        })
    }

    /// Those that somebody computed before, `most` at most.
    pub fn again(head: &Head, begin: Option<Token>, most: usize) -> Self {
        let count = head.chunks().min(most);
        Chunks {
            tokens: head.tokens[..count * head.length].to_vec(),
            length: head.length,
            begin,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.tokens.len() / self.length
    }

    /// How they are kept in a file of `llama-perplexity`.
    pub fn head(&self, vocab_size: usize) -> Head {
        Head {
            length: self.length,
            vocab_size,
            tokens: self.tokens.clone(),
        }
    }

    /// Positions of a chunk whose logits count.
    fn counted(&self) -> Range<usize> {
        kl_base::counted(self.length)
    }

    /// How one of them is computed.
    fn schedule(&self, chunk: &[Token]) -> Schedule {
        let mut chunk = chunk.to_vec();
        chunk[0] = self.begin.unwrap_or(chunk[0]);
        Schedule {
            ubatch: chunk.len(),
            only: Some(self.counted().collect()),
            ..Schedule::of(vec![Step::Feed(chunk)])
        }
    }

    /// The token that came at each position that counts.
    fn came<'c>(&self, chunk: &'c [Token]) -> &'c [Token] {
        let counted = self.counted();
        &chunk[counted.start + 1..=counted.end]
    }
}

/// What is done with a chunk's rows beside measuring them.
pub trait Beside {
    /// The rows of the first computation, which are believed.
    fn first(&mut self, rows: &Believed, width: usize) -> Result<(), RunError>;

    /// A chunk was measured.
    fn done(&mut self);
}

/// Lets every computation go through the text, side by side, so that one chunk's logits are in
/// memory at a time. What was kept of an earlier computation, if anything, is the first.
pub fn measure(
    text: &Chunks,
    kept: Option<&KlBase<'_>>,
    opened: &mut [Box<dyn Opened + '_>],
    beside: &mut dyn Beside,
) -> Result<Vec<Measured>, RunError> {
    let count = opened.len() + usize::from(kept.is_some());
    let mut tallies: Vec<Tally> = (0..count).map(|_| Tally::default()).collect();
    for (number, chunk) in text.tokens.chunks_exact(text.length).enumerate() {
        let schedule = text.schedule(chunk);
        let came = text.came(chunk);
        let mut waiting = tallies.iter_mut();
        let mut first = None;
        if let Some(kept) = kept {
            let rows = kept.chunk(number).map_err(RunError::Refused)?;
            let tally = waiting.next().expect("there is one for it");
            tally.add_kept(&rows, came)?;
            let rows = first.insert(Believed::Coded(rows));
            beside.first(rows, kept.head.vocab_size)?;
        }
        for (opened, tally) in opened.iter_mut().zip(waiting) {
            let followed = guarded(|| opened.follow(&schedule, &Watch::default()))?;
            let width = followed.vocab_size;
            tally.add(&followed.rows, width, came)?;
            match &first {
                Some(first) => tally.add_distance(first, &followed.rows, width)?,
                None => {
                    let rows = first.insert(Believed::Logits(followed.rows));
                    beside.first(rows, width)?;
                }
            }
        }
        beside.done();
    }
    let first = tallies.first().map(|first| first.surprises().concat());
    let first = first.unwrap_or_default();
    Ok(tallies.iter().map(|tally| tally.measured(&first)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_begin_anew_and_their_second_half_counts() {
        let tokens: Vec<Token> = (10..29).collect();
        let text = Chunks::of(&tokens, 8, Some(1), 9).expect("long enough");
        assert_eq!(text.count(), 2, "three tokens fill no chunk");
        let second = &text.tokens[8..];
        assert_eq!(text.came(second), [23, 24, 25]);
        let schedule = text.schedule(second);
        assert_eq!(schedule.steps[0].tokens(), [1, 19, 20, 21, 22, 23, 24, 25]);
        assert_eq!(schedule.only, Some(vec![4, 5, 6]));
        assert_eq!(text.head(99).tokens, tokens[..16], "as the text has them");
        let kept = Chunks::of(&tokens, 8, None, 1).expect("long enough");
        assert_eq!(kept.schedule(&kept.tokens).steps[0].tokens()[0], 10);
        assert_eq!(kept.count(), 1);
        assert!(Chunks::of(&tokens, 10, None, 9).is_err());
    }
}
