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
use crate::io::threads;
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
/// How much of it a text in order keeps at most where the model knows it well: so little is left
/// only if words follow from those before them.
const WELL_KNOWN: f64 = 0.4;
/// Tokens of it at most: a vocabulary that knows no words makes many of them.
const TOKENS: usize = 32;

/// How much a text surprises a model, a token in the mean, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WordOrder {
    /// Tokens of the text.
    pub tokens: usize,
    /// As it was written.
    pub written: f64,
    /// With its tokens in a drawn order; not asked where the text as it was written tells enough.
    pub shuffled: Option<f64>,
    /// Tokens there are.
    pub vocab_size: usize,
}

impl WordOrder {
    /// The surprise of a random choice.
    pub fn chance(&self) -> f64 {
        (self.vocab_size as f64).ln()
    }

    /// Whether the model knows the text so well that nothing can be wrong with it.
    pub fn is_well_known(&self) -> bool {
        self.written < WELL_KNOWN * self.chance()
    }

    /// Whether the model knows none of it, in whatever order.
    fn is_unknown(&self) -> bool {
        self.written > MOST * self.chance()
    }

    /// Whether the order of words makes a difference to the model, and it knows some of it.
    pub fn matters(&self) -> bool {
        let apart = |shuffled| shuffled - self.written >= LEAST;
        !self.is_unknown() && self.shuffled.is_none_or(apart)
    }
}

/// Asks a model; nothing where it has no vocabulary or a logit is not finite.
pub fn ask(model: &Model, profile: Profile) -> Result<Option<WordOrder>, EvalError> {
    let Some(tokenizer) = model.tokenizer() else {
        return Ok(None);
    };
    let tokens = text_of(model);
    let Some(written) = surprise_of(model, profile, &tokens, &mut ())? else {
        return Ok(None);
    };
    let mut found = WordOrder {
        tokens: tokens.len(),
        written,
        shuffled: None,
        vocab_size: model.config().vocab_size,
    };
    // A pass over a large model takes a good part of a second.
    if found.is_well_known() || found.is_unknown() {
        return Ok(Some(found));
    }
    // What stands in front of every text stays there.
    let (first, words) = tokens.split_at(usize::from(tokenizer.adds_bos()));
    let order = SplitMix64(0).order(words.len());
    let words = order.into_iter().map(|at| words[at]);
    let drawn: Vec<Token> = first.iter().copied().chain(words).collect();
    found.shuffled = surprise_of(model, profile, &drawn, &mut ())?;
    Ok(Some(found).filter(|found| found.shuffled.is_some()))
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
        threads: threads::cores(),
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
