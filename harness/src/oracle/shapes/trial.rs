//! One random model and the ways through it, all of it decided by a number.

use engine::Token;
use engine::config::Architecture;

use super::Cell;
use crate::case::schedule::{Schedule, Step};
use crate::case::shard::{Shard, Share};
use crate::fixture::random::RandomShape;
use crate::numbers::split_mix::SplitMix64;

/// Which cell follows a number's: no divisor in common with the number of cells, so that as many
/// trials as there are cells reach each, and far enough that few trials are unlike each other.
const STRIDE: u64 = 37;

/// What deals them out.
const COMMAND: &str = "shapes";

/// Tokens that a whole prompt is fed in at once, at most.
pub const PORTIONS: [usize; 3] = [512, 7, 1];
/// One trial in so many runs on several threads: threads of a reference spin, and where there are
/// fewer processors every token takes long.
const THREADS_EVERY: u64 = 25;
/// Which one of those, and on how many threads.
pub const ON_THREADS: [(u64, usize); 2] = [(7, 2), (19, 3)];
/// Tokens fed on several threads.
const FEW: usize = 6;

/// A model and the ways through it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What it was drawn from.
    pub number: u64,
    /// The model.
    pub shape: RandomShape,
    /// The ways.
    pub schedules: Vec<Schedule>,
}

/// Which trials: `count` from the number `first` on, among those architectures.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) architectures: Vec<Architecture>,
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// These of them only.
    own: Option<Vec<u64>>,
    /// The only trial, where it was given in words.
    given: Option<Trial>,
}

impl Plan {
    /// `count` trials from the number `first` on, among those architectures.
    pub fn new(architectures: Vec<Architecture>, first: u64, count: u64) -> Self {
        Plan {
            architectures,
            first,
            count,
            own: None,
            given: None,
        }
    }

    /// A share of them, and what it says of itself.
    pub fn shared(self, shard: Shard) -> (Self, Share) {
        let all = self.numbers();
        let share = Share::new(shard, all.iter().map(u64::to_string).collect());
        let own = shard.take(COMMAND, all, u64::to_string);
        (self.keeping(&own), share)
    }

    /// These of them only.
    pub fn keeping(mut self, kept: &[u64]) -> Self {
        self.count = kept.len() as u64;
        self.own = Some(kept.to_vec());
        self
    }

    /// Their numbers, in order.
    pub fn numbers(&self) -> Vec<u64> {
        let drawn = || {
            (0..self.count)
                .map(|n| self.first.wrapping_add(n))
                .collect()
        };
        self.own.clone().unwrap_or_else(drawn)
    }

    /// This trial only.
    pub fn only(trial: Trial) -> Self {
        let (architectures, first) = (vec![trial.shape.architecture], trial.number);
        Plan {
            given: Some(trial),
            ..Self::new(architectures, first, 1)
        }
    }

    /// All of them, in order.
    pub fn trials(&self) -> impl Iterator<Item = Trial> + '_ {
        let numbers = self.numbers().into_iter();
        numbers.map(|number| self.trial(number))
    }

    /// The one of that number.
    pub fn trial(&self, number: u64) -> Trial {
        let drawn = || {
            let cells = Cell::all(&self.architectures);
            let place = number.wrapping_mul(STRIDE) % cells.len() as u64;
            Trial::draw(number, &cells[place as usize])
        };
        self.given.clone().unwrap_or_else(drawn)
    }

    /// Whether there are trials enough to reach everything.
    pub fn is_full(&self) -> bool {
        self.given.is_none() && self.count >= Cell::all(&self.architectures).len() as u64
    }
}

impl Trial {
    /// The trial of a number in a cell.
    pub fn draw(number: u64, cell: &Cell) -> Trial {
        let shape = cell.shape(number);
        Trial {
            number,
            schedules: schedules(number, &shape),
            shape,
        }
    }

    /// The trial of a number, of a model in words.
    pub fn of_words(number: u64, words: &str) -> Result<Trial, String> {
        let shape = RandomShape::from_seed(0, None).changed(words)?;
        Ok(Trial {
            number,
            schedules: schedules(number, &shape),
            shape,
        })
    }

    /// The model file.
    pub fn file(&self) -> Result<Vec<u8>, String> {
        Ok(self.shape.document()?.file())
    }
}

/// Prompts up to the context, so that attention passes every length where it changes its order.
fn schedules(number: u64, shape: &RandomShape) -> Vec<Schedule> {
    let mut dice = SplitMix64(number ^ 0x5c_4ed0_1e5a);
    let len = match number % 4 {
        0 => shape.context,
        1 => 2 + dice.below(31),
        2 => 33 + dice.below(32),
        _ => 65 + dice.below(36),
    };
    let tokens = (0..len.min(shape.context)).map(|_| dice.below(shape.vocab) as Token);
    let tokens: Vec<Token> = tokens.collect();
    let mut all = PORTIONS.map(|size| prefill(&tokens, size)).to_vec();
    all.extend([Schedule::of(singles(&tokens)), chat(&tokens)]);
    let place = number % THREADS_EVERY;
    if let Some((_, threads)) = ON_THREADS.iter().find(|(at, _)| *at == place) {
        let few = &tokens[..len.min(FEW)];
        let threaded = [prefill(few, PORTIONS[0]), chat(few)];
        all.extend(threaded.map(|schedule| Schedule {
            threads: *threads,
            ..schedule
        }));
    }
    all
}

/// A prompt in portions.
pub(super) fn prefill(tokens: &[Token], ubatch: usize) -> Schedule {
    Schedule {
        ubatch,
        ..Schedule::of(vec![Step::Feed(tokens.to_vec())])
    }
}

/// A prompt of which the last logits are wanted, then one token at a time.
pub(super) fn chat(tokens: &[Token]) -> Schedule {
    let (prompt, rest) = tokens.split_at(tokens.len().div_ceil(2));
    Schedule::of([vec![Step::Last(prompt.to_vec())], singles(rest)].concat())
}

/// One token after the other.
pub(super) fn singles(tokens: &[Token]) -> Vec<Step> {
    let single = |&token: &Token| Step::Feed(vec![token]);
    tokens.iter().map(single).collect()
}
