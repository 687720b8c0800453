//! What is said over the channel. Numbers travel beside it, in the array of the same frame.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::Token;
use serde::{Deserialize, Serialize};

use super::call::Call;
use crate::case::Case;
use crate::case::observation::Lane;
use crate::case::observation::spelling::{self, Entry, Facts, Question};
use crate::case::schedule::Schedule;

/// Grows with every change of the messages. Both sides are the same program, so a difference
/// means that the file was replaced while it ran.
pub const PROTOCOL: u32 = 6;

/// What the worker is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Look at a case.
    Observe {
        /// The case.
        case: Case,
        /// The model file.
        model: PathBuf,
        /// Threads to compute with.
        threads: usize,
    },
    /// Turn texts into ids and ids into bytes, each in four ways.
    Spell {
        /// The model file, of which the vocabulary is enough.
        model: PathBuf,
        /// The texts and the ids.
        questions: Vec<Question>,
    },
    /// Say what a vocabulary holds.
    Describe {
        /// The model file, of which the vocabulary is enough.
        model: PathBuf,
        /// The first token.
        first: Token,
        /// How many at most.
        count: usize,
        /// Each token in full, not only a hash over them all.
        in_full: bool,
    },
    /// Write a model file anew.
    Requantize {
        /// The file to read.
        from: PathBuf,
        /// The file to write.
        to: PathBuf,
        /// What its matrices become, as the library at hand numbers it.
        file_type: i32,
    },
    /// Compute one prefill, perhaps with a node's values replaced by the array beside the request.
    Swap {
        /// The model file; kept loaded from one such request to the next.
        model: PathBuf,
        /// The prompt.
        tokens: Vec<Token>,
        /// Positions the cache holds.
        context: usize,
        /// Tokens computed together at most.
        ubatch: usize,
        /// Threads to compute with.
        threads: usize,
        /// The nodes to send, by their keys; those that the graph lacks are left out.
        shown: Vec<String>,
        /// The node to replace, by its key.
        replaced: Option<String>,
    },
    /// Follow schedules, each from an empty cache.
    Logits {
        /// The model file.
        model: PathBuf,
        /// What is fed.
        schedules: Vec<Schedule>,
    },
    /// Follow one schedule and show every node on the way.
    Nodes {
        /// The model file.
        model: PathBuf,
        /// What is fed.
        schedule: Schedule,
    },
    /// Run one kernel.
    Kernel {
        /// Which, and on how much.
        call: Call,
    },
}

/// What the worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// It is there, and this is who it is.
    Hello(Hello),
    /// What it does next; said before anything that may be its last act.
    Phase {
        /// In words.
        name: String,
    },
    /// The array holds the rows of these positions.
    Logits {
        /// How they were computed.
        lane: Lane,
        /// Which positions, ascending.
        positions: Vec<usize>,
    },
    /// The array holds the rows that the next schedule keeps.
    Rows,
    /// The array holds this node.
    Node {
        /// `name|OP#occurrence`.
        key: String,
        /// Outermost first.
        shape: Vec<usize>,
    },
    /// The array holds what a kernel computed: values, then bytes, four to a number.
    Numbers {
        /// How many values.
        values: usize,
        /// How many bytes.
        bytes: usize,
    },
    /// The last of an answer.
    Answer(Answer),
    /// It does not accept the request.
    Refused {
        /// Why.
        message: String,
    },
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// [`PROTOCOL`] of the worker.
    pub protocol: u32,
    /// Which generation of the interface the library has.
    pub api: String,
    /// The library's own line about the instruction sets it was compiled for.
    pub system_info: String,
    /// SHA-256 of each library file, the one with the model code first.
    pub sha256: Vec<String>,
    /// Whether it multiplies the two-bit weights of the fixtures itself.
    pub knows_i2_s: bool,
    /// Structure sizes, paths, the compiler of the layer in front of the library.
    pub details: BTreeMap<String, String>,
    /// The floating-point control register before and after the library was loaded.
    pub control_word: [u64; 2],
}

/// What is left to say once the arrays are through, one kind per [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// To [`Request::Observe`].
    Observed(Observed),
    /// To [`Request::Spell`], in the order of the questions.
    Spelled {
        /// One for each question.
        answers: Vec<spelling::Answer>,
    },
    /// To [`Request::Describe`].
    Described(Described),
    /// To [`Request::Requantize`]: the file is there.
    Requantized,
    /// To [`Request::Swap`].
    Swapped {
        /// Of the file that was loaded.
        model_sha256: String,
        /// Length of a row of logits.
        vocab_size: usize,
    },
    /// To [`Request::Logits`] and [`Request::Nodes`].
    Followed {
        /// SHA-256 of the file that was loaded.
        model_sha256: String,
    },
    /// To [`Request::Kernel`].
    Computed(Computed),
}

/// A part of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Of the file that was loaded.
    pub model_sha256: String,
    /// The vocabulary as a whole.
    pub facts: Facts,
    /// SHA-256 over the tokens asked for.
    pub sha256: String,
    /// The tokens, if they were asked for in full.
    pub entries: Vec<Entry>,
}

/// A case, looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Of the file that was loaded.
    pub model_sha256: String,
    /// The prompt as ids.
    pub tokens: Vec<Token>,
    /// Length of a row of logits.
    pub vocab_size: usize,
    /// The greedy continuation.
    pub greedy: Vec<Token>,
    /// Its text.
    pub greedy_text: String,
}

/// What a kernel said beside numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Computed {
    /// To [`Call::Describe`], if the number stands for a type.
    pub facts: Option<TypeFacts>,
    /// To [`Call::Activation`]: the sum of the integers, where the bytes do not hold it.
    pub sum: Option<i32>,
}

/// What a library can do with a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeFacts {
    /// The library's name for it.
    pub name: String,
    /// Elements of a block.
    pub block: usize,
    /// Bytes of a block.
    pub block_bytes: usize,
    /// The type of a dot product's second operand.
    pub partner: Option<i32>,
    /// [`Call::Encode`] works.
    pub encodes: bool,
    /// [`Call::Decode`] works.
    pub decodes: bool,
    /// [`Call::Activation`] works.
    pub quantises: bool,
    /// [`Call::Dot`] works.
    pub multiplies: bool,
}
