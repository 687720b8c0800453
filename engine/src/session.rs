//! The engine's front door: [`Model`] opens a file, [`Session`] feeds it tokens.
#![forbid(unsafe_code)]

mod model;

use std::num::NonZeroUsize;

use crate::Token;
use crate::numerics::{Profile, arithmetic};
use crate::refusal::{Code, Refusal};
use crate::transformer::likeliest::{Ranked, of_all};
use crate::transformer::probe::Probe;
use crate::transformer::{self, Nodes, NotFinite, Output, State};

pub use model::{Model, OpenOptions};

/// Some arithmetics compute fewer tokens than this in another order than more of them.
pub const LEAST_PORTION: usize = 8;

/// How a session computes.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Positions the cache holds.
    pub context: usize,
    /// Tokens computed together at most; the split is part of the arithmetic.
    pub ubatch: usize,
    /// Threads; results do not depend on it.
    pub threads: usize,
    /// The order of float operations.
    pub profile: Profile,
}

impl SessionOptions {
    /// As most want it: as many positions as the model was made for, in ubatches of 512, on every
    /// processor, in the arithmetic that is the default.
    pub fn of(model: &Model) -> Self {
        SessionOptions {
            context: model.config().context_length,
            ubatch: 512,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            profile: Profile::default(),
        }
    }
}

/// Which positions of a feed get logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Every position.
    All,
    /// The last position only. What only others need is not computed, and the order of
    /// operations is that of a single row: the bits may differ from the same position's in
    /// [`Wanted::All`].
    Last,
}

/// Why a pass was not computed, or what it computed is not usable. The session is as it was
/// before the feed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// More positions than the cache holds; nothing was computed.
    #[error("CONTEXT_FULL: {used} of {context} positions are used, {asked} more were asked for")]
    ContextFull {
        /// Positions in the cache.
        used: usize,
        /// Positions there is room for.
        context: usize,
        /// Positions asked for.
        asked: usize,
    },
    /// A token the vocabulary does not have; nothing was computed.
    #[error(
        "TOKEN_OUT_OF_RANGE: token {token} at position {position}, the vocabulary has {vocab_size}"
    )]
    TokenOutOfRange {
        /// The token.
        token: Token,
        /// Its place in the feed.
        position: usize,
        /// Number of tokens there are.
        vocab_size: usize,
    },
    /// A logit is not a number, or infinite.
    #[error("NOT_FINITE: {value} in node {node} at element {index}")]
    NotFinite {
        /// The first node that held such a value.
        node: String,
        /// Flat index in it.
        index: usize,
        /// NaN or an infinity, as text.
        value: String,
    },
    /// The cache or the buffers of attention could not grow.
    #[error("{0}")]
    OutOfMemory(Refusal),
}

/// One sequence being computed: scratch buffers and the key/value cache.
pub struct Session {
    model: Model,
    ubatch: usize,
    state: State,
    unscreened: usize,
}

impl Session {
    /// Makes room for the first positions. What longer ubatches and caches need is allocated when
    /// they first come.
    pub fn new(model: &Model, options: SessionOptions) -> Result<Self, Refusal> {
        let at_least_one = |value: usize, field: &str| {
            NonZeroUsize::new(value)
                .ok_or_else(|| Refusal::new(Code::HparamInvalid, field, "at least 1", value))
        };
        let threads = at_least_one(options.threads, "session.threads")?;
        let context = at_least_one(options.context, "session.context")?.get();
        let ubatch = at_least_one(options.ubatch, "session.ubatch")?.get();
        let most = model.config().context_length;
        if context > most {
            let rule = format!("at most {most}, what the model was made for");
            return Err(Refusal::new(
                Code::HparamInvalid,
                "session.context",
                rule,
                context,
            ));
        }
        let ubatch = ubatch.min(context);
        let arithmetic = arithmetic(options.profile, model.kernel());
        Ok(Session {
            model: model.clone(),
            ubatch,
            unscreened: 0,
            state: State::new(model.config(), arithmetic, context, ubatch, threads)?,
        })
    }

    /// Computes `tokens` after what was fed before, in ubatches, and returns the wanted logits,
    /// `(positions, vocab_size)` row-major. An empty feed has no logits.
    pub fn feed(
        &mut self,
        tokens: &[Token],
        wanted: Wanted,
        probe: &mut dyn Probe,
    ) -> Result<Vec<f32>, EvalError> {
        let before = self.len();
        let result = self
            .check(tokens)
            .and_then(|()| self.compute(tokens, wanted, probe));
        if result.is_err() {
            self.truncate(before);
        }
        result
    }

    /// The logits behind each of `tokens`, as if they were fed one after the other: every bit is
    /// that of single tokens, and so is what is remembered of them. They are computed together all
    /// the same, so that weights are read once.
    pub fn feed_each(&mut self, tokens: &[Token]) -> Result<Vec<f32>, EvalError> {
        let before = self.len();
        let always = self.state.multiplier.takes_one_by_one();
        self.take_one_by_one(true);
        let together = self.feed(tokens, Wanted::All, &mut ());
        self.take_one_by_one(always);
        if !matches!(together, Err(EvalError::NotFinite { .. })) {
            return together;
        }
        // Which value was the first is told as it is where tokens come one by one.
        let mut logits = Vec::new();
        for token in tokens {
            match self.feed(std::slice::from_ref(token), Wanted::All, &mut ()) {
                Ok(row) => logits.extend(row),
                Err(error) => {
                    self.truncate(before);
                    return Err(error);
                }
            }
        }
        Ok(logits)
    }

    /// From now on every token is computed as [`feed_each`](Self::feed_each) does it: not a bit
    /// depends on which tokens are fed together, how many, or in which ubatches.
    pub fn take_one_by_one(&mut self, one_by_one: bool) {
        self.state.multiplier.take_one_by_one(one_by_one);
    }

    /// Computes `tokens` after what was fed before; the `k` likeliest tokens behind them with their
    /// logits, the likeliest first. They are those of [`feed`](Self::feed) with [`Wanted::Last`],
    /// bit for bit: once the model was [screened](Self::screen), most other logits are not computed
    /// where it can be proved that theirs are smaller.
    pub fn likeliest(&mut self, tokens: &[Token], k: usize) -> Result<Ranked, EvalError> {
        let screened = self.model.screen().filter(|_| !tokens.is_empty() && k > 0);
        let Some(screen) = screened else {
            let logits = self.feed(tokens, Wanted::Last, &mut ())?;
            return Ok(of_all(&logits, k));
        };
        let before = self.len();
        let result = self.check(tokens).and_then(|()| {
            let (config, weights) = (self.model.config(), self.model.weights());
            let out_of_memory = EvalError::OutOfMemory;
            let mut normed = vec![0.0; config.embedding_length];
            let probe = &mut ();
            let mut nodes = Nodes::new(probe);
            let ubatches = tokens.len().div_ceil(self.ubatch);
            for (i, ubatch) in tokens.chunks(self.ubatch).enumerate() {
                self.state.reserve(ubatch.len()).map_err(out_of_memory)?;
                let last = usize::from(i + 1 == ubatches);
                let output = Output::Normed(&mut normed[..last * config.embedding_length]);
                transformer::forward(config, weights, ubatch, &mut self.state, &mut nodes, output);
            }
            let multiplier = &mut self.state.multiplier;
            if let Some(ranked) = screen.likeliest(weights.head(), &normed, k, multiplier) {
                return Ok(ranked);
            }
            self.unscreened += 1;
            let mut logits = transformer::logits(config, 1).map_err(out_of_memory)?;
            transformer::unembed(weights, &normed, multiplier, &mut nodes, &mut logits);
            match nodes.not_finite() {
                Some(first) if logits.iter().any(|logit| !logit.is_finite()) => Err(first.into()),
                _ => Ok(of_all(&logits, k)),
            }
        });
        if result.is_err() {
            self.truncate(before);
        }
        result
    }

    /// Prepares the model for [`likeliest`](Self::likeliest): makes a coarse copy of its head, half
    /// as large, which takes as long as a few dozen tokens. Whether the head can be screened in
    /// this profile.
    pub fn screen(&mut self) -> bool {
        let multiplier = &mut self.state.multiplier;
        if !multiplier.arithmetic().adds_halves_in_singles() {
            return false;
        }
        self.model.make_screen(multiplier.pool_for(usize::MAX))
    }

    /// How often [`likeliest`](Self::likeliest) could prove too little and computed every logit.
    pub fn unscreened(&self) -> usize {
        self.unscreened
    }

    /// The model it computes.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Positions there is room for.
    pub fn context(&self) -> usize {
        self.state.cache.context()
    }

    /// Tokens computed together at most.
    pub fn ubatch(&self) -> usize {
        self.ubatch
    }

    /// Number of positions fed.
    pub fn len(&self) -> usize {
        self.state.cache.filled()
    }

    /// Whether nothing was fed yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many norms so far had to be added up one by one, because a faster order might have
    /// given other bits.
    pub fn serial_norms(&self) -> usize {
        self.state.serial_norms()
    }

    /// Forgets every position from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.state.cache.truncate(len);
    }

    fn check(&self, tokens: &[Token]) -> Result<(), EvalError> {
        let (used, context) = (self.len(), self.state.cache.context());
        if tokens.len() > context - used {
            return Err(EvalError::ContextFull {
                used,
                context,
                asked: tokens.len(),
            });
        }
        let vocab_size = self.model.config().vocab_size;
        match tokens
            .iter()
            .position(|&token| token as usize >= vocab_size)
        {
            None => Ok(()),
            Some(position) => Err(EvalError::TokenOutOfRange {
                token: tokens[position],
                position,
                vocab_size,
            }),
        }
    }

    fn compute(
        &mut self,
        tokens: &[Token],
        wanted: Wanted,
        probe: &mut dyn Probe,
    ) -> Result<Vec<f32>, EvalError> {
        let (config, weights) = (self.model.config(), self.model.weights());
        let rows = match wanted {
            Wanted::All => tokens.len(),
            Wanted::Last => tokens.len().min(1),
        };
        let mut logits = transformer::logits(config, rows).map_err(EvalError::OutOfMemory)?;
        let mut rest = logits.as_mut_slice();
        let ubatches = tokens.len().div_ceil(self.ubatch);
        for (i, ubatch) in tokens.chunks(self.ubatch).enumerate() {
            let rows = match wanted {
                Wanted::All => ubatch.len(),
                Wanted::Last => usize::from(i + 1 == ubatches),
            };
            let (own, after) = rest.split_at_mut(rows * config.vocab_size);
            rest = after;
            self.state
                .reserve(ubatch.len())
                .map_err(EvalError::OutOfMemory)?;
            let mut nodes = Nodes::new(probe);
            let output = Output::Logits(&mut *own);
            transformer::forward(config, weights, ubatch, &mut self.state, &mut nodes, output);
            if own.iter().any(|logit| !logit.is_finite()) {
                let first = nodes
                    .not_finite()
                    .expect("the logits themselves are a node");
                return Err(first.into());
            }
        }
        Ok(logits)
    }
}

impl From<NotFinite> for EvalError {
    fn from(NotFinite { node, index, value }: NotFinite) -> Self {
        EvalError::NotFinite {
            node: node.to_string(),
            index,
            value: value.to_string(),
        }
    }
}
