//! The engine's front door: [`Model`] opens a file, [`Session`] feeds it tokens.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::Token;
use crate::bytes::{FileStamp, Storage};
use crate::config::Config;
use crate::flavor::{Detection, Flavor};
use crate::gguf::Gguf;
use crate::kernels::Kernel;
use crate::numerics::Profile;
use crate::refusal::Refusal;
use crate::tokenizer::Tokenizer;
use crate::transformer::probe::Probe;

/// How a model is opened. The default reads into memory, detects the packing and takes the best
/// kernel.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Read or map.
    pub storage: Storage,
    /// Overrides the detected packing where several are possible.
    pub flavor: Option<Flavor>,
    /// Forces a kernel; `None` takes the best.
    pub kernel: Option<Kernel>,
}

/// A loaded model.
pub struct Model {}

impl Model {
    /// Opens, validates and binds a model file.
    pub fn open(_path: &Path, _options: &OpenOptions) -> Result<Self, Refusal> {
        todo!("session")
    }
    /// The hyper-parameters.
    pub fn config(&self) -> &Config {
        todo!("session")
    }
    /// The file it came from.
    pub fn gguf(&self) -> &Gguf {
        todo!("session")
    }
    /// The tokenizer, unless the file has no vocabulary.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        todo!("session")
    }
    /// Tensor name and what was decided about its packing, in file order.
    pub fn detections(&self) -> &[(String, Detection)] {
        todo!("session")
    }
    /// The kernel in force.
    pub fn kernel(&self) -> Kernel {
        todo!("session")
    }
    /// Identity of the file when it was opened; compare again after use.
    pub fn stamp(&self) -> FileStamp {
        todo!("session")
    }
}

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

/// Which positions of a feed get logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Every position.
    All,
    /// The last position only.
    Last,
}

/// Why a pass was not computed, or what it computed is not usable.
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
    /// A value that is not a number came out of an operation.
    #[error("NOT_FINITE: {value} in node {node} at element {index}")]
    NotFinite {
        /// The first node that held one.
        node: String,
        /// Flat index in it.
        index: usize,
        /// NaN or an infinity, as text.
        value: String,
    },
}

/// One sequence being computed: scratch buffers and the key/value cache.
pub struct Session<'m> {
    #[allow(dead_code)]
    model: &'m Model,
}

impl<'m> Session<'m> {
    /// Allocates everything a pass needs.
    pub fn new(_model: &'m Model, _options: SessionOptions) -> Result<Self, Refusal> {
        todo!("session")
    }

    /// Computes `tokens` after what was fed before, in ubatches, and returns the wanted logits,
    /// `(positions, vocab_size)` row-major.
    pub fn feed(
        &mut self,
        _tokens: &[Token],
        _wanted: Wanted,
        _probe: &mut dyn Probe,
    ) -> Result<Vec<f32>, EvalError> {
        todo!("session")
    }

    /// Number of positions fed.
    pub fn len(&self) -> usize {
        todo!("session")
    }

    /// Whether nothing was fed yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets every position from `len` on.
    pub fn truncate(&mut self, _len: usize) {
        todo!("session")
    }
}
