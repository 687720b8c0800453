//! How much a text surprises, and how far one computation's expectations lie from another's.
//!
//! As `llama-perplexity` has it: the text is cut into chunks of one context, each begins anew with
//! the token every text begins with, and only the second half of a chunk counts, where there is
//! something to expect from.

mod measured;

use std::ops::Range;

use engine::numerics::Profile;
use engine::tokenizer::Tokenizer;
use engine::{Model, Token};

use self::measured::Tally;
pub use self::measured::{FromFirst, Measured, SHARES};
use crate::case::schedule::{Schedule, Step};
use crate::exit::Failure;
use crate::io::kl_base::{self, Head, KlBase};
use crate::numbers::rows_apart::Believed;
use crate::runner::engine::Computing;
use crate::runner::watch::Watch;
use crate::runner::{Opened, RunError, guarded};

/// Tokens of a chunk that perplexities are usually stated for.
const USUAL_CONTEXT: usize = 512;

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

    /// Cuts a text for a model: chunks of `length`, or of the usual one as far as the model's
    /// context goes, and so many of them at most.
    pub fn of_text(
        text: &str,
        model: &Model,
        length: Option<usize>,
        most: Option<usize>,
    ) -> Result<Self, Failure> {
        let context = model.config().context_length;
        let length = within_context(length.unwrap_or(USUAL_CONTEXT.min(context)), model)?;
        let tokenizer = tokenizer(model)?;
        let tokens = tokenizer.encode(text, true, false);
        let chunks = Chunks::of(
            &tokens,
            length,
            begin(tokenizer),
            most.unwrap_or(usize::MAX),
        );
        chunks.map_err(Failure::input)
    }

    /// Those that somebody computed before, so many of them at most.
    pub fn again(head: &Head, model: &Model, most: Option<usize>) -> Result<Self, Failure> {
        let length = within_context(head.length, model)?;
        let (theirs, ours) = (head.vocab_size, model.config().vocab_size);
        if theirs != ours {
            return Err(Failure::input(format!(
                "a vocabulary of {theirs}, where the model has {ours} tokens: it was written \
                 with another model"
            )));
        }
        let count = head.chunks().min(most.unwrap_or(usize::MAX));
        Ok(Chunks {
            tokens: head.tokens[..count * length].to_vec(),
            length,
            begin: begin(tokenizer(model)?),
        })
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

fn within_context(length: usize, model: &Model) -> Result<usize, Failure> {
    let most = model.config().context_length;
    if length > most {
        let message = format!("chunks of {length}, and the model was made for {most}");
        return Err(Failure::input(format!("CONTEXT_FULL: {message}")));
    }
    Ok(length)
}

fn tokenizer(model: &Model) -> Result<&Tokenizer, Failure> {
    let tokenizer = model.tokenizer();
    tokenizer.ok_or_else(|| Failure::input("the model has no vocabulary"))
}

/// What every text begins with.
fn begin(tokenizer: &Tokenizer) -> Option<Token> {
    tokenizer.bos().filter(|_| tokenizer.adds_bos())
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

/// What the engine makes of the text with each of these models, side by side. `done` is told of
/// each chunk.
pub fn measure_models(
    text: &Chunks,
    models: &[&Model],
    done: &mut dyn FnMut(),
) -> Result<Vec<Measured>, RunError> {
    let opened = models.iter().map(|&model| {
        let computing = Computing::new(model, Profile::default());
        Box::new(computing) as Box<dyn Opened>
    });
    let mut opened: Vec<_> = opened.collect();
    measure(text, None, &mut opened, &mut Counted(done))
}

/// Nothing beside, but each chunk is told.
struct Counted<'a>(&'a mut dyn FnMut());

impl Beside for Counted<'_> {
    fn first(&mut self, _: &Believed, _: usize) -> Result<(), RunError> {
        Ok(())
    }

    fn done(&mut self) {
        (self.0)();
    }
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
