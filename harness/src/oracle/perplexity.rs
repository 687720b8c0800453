//! How much a text surprises, and how far one computation's expectations lie from another's.
//!
//! As `llama-perplexity` has it: the text is cut into chunks of one context, each begins anew with
//! the token every text begins with, and only the second half of a chunk counts, where there is
//! something to expect from.

use std::ops::Range;

use engine::numerics::Profile;
use engine::{Model, Token};
use serde::Serialize;

use crate::case::schedule::{Schedule, Step};
use crate::exit::Failure;
use crate::judge::tolerance::tolerances;
use crate::numbers::metrics::{Distances, divergence, surprise, top1};
use crate::numbers::statistics::{Spread, mean};
use crate::runner::engine::Computing;
use crate::runner::watch::Watch;
use crate::runner::{Opened, RunError, guarded};

/// Tokens of a chunk that perplexities are usually stated for.
const USUAL_CONTEXT: usize = 512;

/// A text in chunks.
pub struct Chunks {
    /// Each as it is computed: the first token is the one every text begins with.
    pub chunks: Vec<Vec<Token>>,
    /// Positions of a chunk whose logits count.
    counted: Range<usize>,
}

impl Chunks {
    /// Cuts a text that takes at least two chunks of `length`; the rest that fills no chunk is left
    /// out.
    pub fn of(tokens: &[Token], length: usize, begin: Option<Token>) -> Result<Self, String> {
        if length < 4 || tokens.len() < 2 * length {
            let least = 2 * length.max(4);
            return Err(format!(
                "the text has {} tokens, and two chunks of {length} take {least}: take a longer \
                 text, or a smaller --context",
                tokens.len()
            ));
        }
        let chunk = |chunk: &[Token]| {
            let mut chunk = chunk.to_vec();
            chunk[0] = begin.unwrap_or(chunk[0]);
            chunk
        };
        Ok(Chunks {
            chunks: tokens.chunks_exact(length).map(chunk).collect(),
            counted: length / 2..length - 1,
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
        let tokenizer = model.tokenizer();
        let tokenizer = tokenizer.ok_or_else(|| Failure::input("the model has no vocabulary"))?;
        let context = model.config().context_length;
        let length = length.unwrap_or(USUAL_CONTEXT.min(context));
        if length > context {
            let message = format!("chunks of {length}, and the model was made for {context}");
            return Err(Failure::input(format!("CONTEXT_FULL: {message}")));
        }
        let begin = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let tokens = tokenizer.encode(text, true, false);
        let mut chunks = Chunks::of(&tokens, length, begin).map_err(Failure::input)?;
        chunks.chunks.truncate(most.unwrap_or(usize::MAX));
        Ok(chunks)
    }

    /// How one of them is computed.
    fn schedule(&self, chunk: &[Token]) -> Schedule {
        Schedule {
            ubatch: chunk.len(),
            only: Some(self.counted.clone().collect()),
            ..Schedule::of(vec![Step::Feed(chunk.to_vec())])
        }
    }

    /// The token that came at each position that counts.
    fn came<'c>(&self, chunk: &'c [Token]) -> &'c [Token] {
        &chunk[self.counted.start + 1..=self.counted.end]
    }
}

/// What one computation makes of the text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Positions that count.
    pub positions: usize,
    /// `exp` of the mean surprise.
    pub perplexity: f64,
    /// Where it lies 19 times out of 20, chunks drawn again; none of a single one.
    pub interval: Option<[f64; 2]>,
    /// How far it lies from the first computation; none of the first itself.
    pub from_first: Option<FromFirst>,
}

/// The expectations of one computation against the first one's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FromFirst {
    /// Mean of `KL(first ‖ this)`.
    pub mean_kl: f64,
    /// Where it lies 19 times out of 20.
    pub interval: Option<[f64; 2]>,
    /// The middle one.
    pub median_kl: f64,
    /// The tail.
    pub tail_kl: f64,
    /// The largest.
    pub largest_kl: f64,
    /// `√(Σ(x − y)² / Σx²)` over all logits, x being the first one's.
    pub error: Option<f64>,
    /// Positions with the same most likely token.
    pub same_top1: usize,
    /// Logits whose bits are equal.
    pub equal_logits: usize,
    /// All logits.
    pub logits: usize,
}

/// The numbers of one computation, chunk by chunk.
#[derive(Default)]
struct Tally {
    surprise: Vec<Vec<f64>>,
    kl: Vec<Vec<f64>>,
    same_top1: usize,
    distances: Distances,
}

/// Lets every computation go through the text, side by side, so that one chunk's logits are in
/// memory at a time. `done` is told of each chunk.
pub fn measure(
    text: &Chunks,
    opened: &mut [Box<dyn Opened + '_>],
    done: &mut dyn FnMut(),
) -> Result<Vec<Measured>, RunError> {
    let mut tallies: Vec<Tally> = opened.iter().map(|_| Tally::default()).collect();
    for chunk in &text.chunks {
        let schedule = text.schedule(chunk);
        let mut first: Option<Vec<f32>> = None;
        for (opened, tally) in opened.iter_mut().zip(&mut tallies) {
            let followed = guarded(|| opened.follow(&schedule, &Watch::default()))?;
            let width = followed.vocab_size;
            tally.add(&followed.rows, width, text.came(chunk))?;
            match &first {
                None => first = Some(followed.rows),
                Some(first) => tally.add_distance(first, &followed.rows, width)?,
            }
        }
        done();
    }
    Ok(tallies.iter().map(Tally::measured).collect())
}

/// What the engine makes of the text with each of these models, side by side.
pub fn measure_models(
    text: &Chunks,
    models: &[&Model],
    done: &mut dyn FnMut(),
) -> Result<Vec<Measured>, RunError> {
    let opened = models.iter().map(|&model| {
        let computing = Computing::new(model, Profile::default());
        Box::new(computing) as Box<dyn Opened>
    });
    measure(text, &mut opened.collect::<Vec<_>>(), done)
}

impl Tally {
    fn add(&mut self, rows: &[f32], width: usize, came: &[Token]) -> Result<(), RunError> {
        let pairs = rows.chunks(width.max(1)).zip(came);
        let surprises = pairs.map(|(row, &came)| surprise(row, came as usize));
        let surprises: Option<Vec<f64>> = surprises.collect();
        let surprises = surprises.filter(|surprises| surprises.len() == came.len());
        let why = || RunError::NotFinite("a logit is not finite, or a row is missing".into());
        self.surprise.push(surprises.ok_or_else(why)?);
        Ok(())
    }

    fn add_distance(&mut self, first: &[f32], rows: &[f32], width: usize) -> Result<(), RunError> {
        if first.len() != rows.len() {
            let (one, other) = (first.len(), rows.len());
            let message = format!("{other} logits where the first computation has {one}");
            return Err(RunError::Refused(message));
        }
        self.distances.add(first, rows);
        let pairs = || first.chunks(width).zip(rows.chunks(width));
        let kl: Option<Vec<f64>> = pairs().map(|(x, y)| divergence(x, y)).collect();
        let why = || RunError::NotFinite("a logit is not finite".into());
        self.kl.push(kl.ok_or_else(why)?);
        self.same_top1 += pairs().filter(|(x, y)| top1(x) == top1(y)).count();
        Ok(())
    }

    fn measured(&self) -> Measured {
        let interval = &tolerances().interval;
        let all = self.surprise.concat();
        let spread = Spread::of(&self.kl.concat());
        let distance = self.distances.total();
        Measured {
            positions: all.len(),
            perplexity: mean(&all).unwrap_or(f64::NAN).exp(),
            interval: interval
                .of_mean(&self.surprise)
                .map(|ends| ends.map(f64::exp)),
            from_first: spread.map(|spread| FromFirst {
                mean_kl: spread.mean,
                interval: interval.of_mean(&self.kl),
                median_kl: spread.median,
                tail_kl: spread.tail,
                largest_kl: self.kl.concat().into_iter().fold(0.0, f64::max),
                error: distance.nmse.map(f64::sqrt),
                same_top1: self.same_top1,
                equal_logits: distance.bit_equal,
                logits: distance.values,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_begin_anew_and_their_second_half_counts() {
        let tokens: Vec<Token> = (10..29).collect();
        let text = Chunks::of(&tokens, 8, Some(1)).expect("long enough");
        assert_eq!(text.chunks.len(), 2, "three tokens fill no chunk");
        assert_eq!(text.chunks[1], [1, 19, 20, 21, 22, 23, 24, 25]);
        assert_eq!(text.came(&text.chunks[1]), [23, 24, 25]);
        assert_eq!(text.schedule(&text.chunks[1]).only, Some(vec![4, 5, 6]));
        let kept = Chunks::of(&tokens, 8, None).expect("long enough");
        assert_eq!(kept.chunks[0][0], 10);
        assert!(Chunks::of(&tokens, 10, None).is_err());
    }

    #[test]
    fn a_row_that_is_missing_or_not_finite_is_no_perplexity() {
        let mut tally = Tally::default();
        assert!(tally.add(&[0.0, 1.0], 2, &[1, 0]).is_err());
        assert!(tally.add(&[0.0, f32::NAN], 2, &[1]).is_err());
        assert!(tally.add_distance(&[0.0, 1.0], &[0.0], 2).is_err());
        tally.add(&[0.0, 0.0, 0.0, 0.0], 4, &[2]).expect("a row");
        let measured = tally.measured();
        assert!((measured.perplexity - 4.0).abs() < 1e-12);
        assert_eq!((measured.positions, measured.interval), (1, None));
    }
}
