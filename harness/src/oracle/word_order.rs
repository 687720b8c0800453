//! Whether a model has learnt anything: an ordinary text must surprise it less than the same words
//! in a drawn order.
//!
//! No other text and no other file is needed, and no number of another model: whatever the damage,
//! a model that does not care for the order of words is one that was lost.

pub mod mends;

use engine::numerics::Profile;
use engine::session::EvalError;
use engine::transformer::probe::Probe;
use engine::{Model, Token};
use serde::Serialize;

use crate::case::observation::Lane;
use crate::case::schedule::{Schedule, Step};
use crate::numbers::metrics::surprise;
use crate::numbers::split_mix::SplitMix64;
use crate::numbers::statistics::mean;
use crate::runner::engine::follow;

/// Plain words of a kind that every English model has seen, and one trained on a whale hunt.
pub const TEXT: &str = "The captain stood upon the deck and looked out over the sea. The whale had \
                    gone down, and the men in the boats waited for him to rise again. There was no \
                    sound but that of the water.";
/// Nats by which a text in order must be less surprising: of a sound model they are several.
const LEAST: f64 = 1.0;
/// How much of the surprise of a random choice a text in order may keep: of a sound model it is a
/// half, and all of it where two tensors were exchanged.
const MOST: f64 = 0.8;
/// Tokens of it at most: a vocabulary that knows no words makes many of them.
const TOKENS: usize = 32;

/// How much a text surprises a model, a token in the mean, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WordOrder {
    /// Tokens of the text.
    pub tokens: usize,
    /// As it was written.
    pub written: f64,
    /// With its tokens in a drawn order.
    pub shuffled: f64,
    /// Tokens there are.
    pub vocab_size: usize,
}

impl WordOrder {
    /// The surprise of a random choice.
    pub fn chance(&self) -> f64 {
        (self.vocab_size as f64).ln()
    }

    /// Whether the order of words makes a difference to the model, and it knows some of it.
    pub fn matters(&self) -> bool {
        let apart = self.shuffled - self.written >= LEAST;
        apart && self.written <= MOST * self.chance()
    }
}

/// Asks a model; nothing where it has no vocabulary or a logit is not finite.
pub fn ask(model: &Model, profile: Profile) -> Result<Option<WordOrder>, EvalError> {
    let Some(tokenizer) = model.tokenizer() else {
        return Ok(None);
    };
    let tokens = text_of(model);
    let written = surprise_of(model, profile, &tokens, &mut ())?;
    // What stands in front of every text stays there.
    let (first, words) = tokens.split_at(usize::from(tokenizer.adds_bos()));
    let order = SplitMix64(0).order(words.len());
    let words = order.into_iter().map(|at| words[at]);
    let drawn: Vec<Token> = first.iter().copied().chain(words).collect();
    let shuffled = surprise_of(model, profile, &drawn, &mut ())?;
    Ok(written.zip(shuffled).map(|(written, shuffled)| WordOrder {
        tokens: tokens.len(),
        written,
        shuffled,
        vocab_size: model.config().vocab_size,
    }))
}

/// The text in the model's tokens; nothing where it has no vocabulary.
fn text_of(model: &Model) -> Vec<Token> {
    let tokenizer = model.tokenizer();
    let tokens = tokenizer.map(|tokenizer| tokenizer.encode(TEXT, true, true));
    let mut tokens = tokens.unwrap_or_default();
    tokens.truncate(TOKENS.min(model.config().context_length));
    tokens
}

fn surprise_of(
    model: &Model,
    profile: Profile,
    tokens: &[Token],
    probe: &mut dyn Probe,
) -> Result<Option<f64>, EvalError> {
    let schedule = Schedule {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        ..Schedule::of(Step::of_lane(Lane::Prefill, tokens))
    };
    let rows = match follow(model, profile, &schedule, probe) {
        Ok(rows) => rows,
        Err(EvalError::NotFinite { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let rows = rows.chunks(model.config().vocab_size);
    let next = tokens.iter().skip(1);
    let surprises = rows
        .zip(next)
        .map(|(row, &next)| surprise(row, next as usize));
    let surprises: Option<Vec<f64>> = surprises.collect();
    Ok(surprises.and_then(|surprises| mean(&surprises)))
}
