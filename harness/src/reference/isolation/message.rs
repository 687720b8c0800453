//! What is said over the channel. Numbers travel beside it, in the array of the same frame.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use engine::Token;
use serde::{Deserialize, Serialize};

use super::call::Call;
use crate::case::observation::tokenization::{self, Entry, Facts, Question};
use crate::case::schedule::Schedule;

/// Grows with every change of the messages. Both sides are the same program, so a difference
/// means that the file was replaced while it ran.
pub const PROTOCOL: u32 = 8;

/// A model file as it is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes. It is not sent: the worker finds it out by itself, and what it found
    /// must be this.
    #[serde(skip)]
    pub sha256: String,
}

/// Which nodes of a pass are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shown {
    /// None.
    #[default]
    Nothing,
    /// All that recordings would hold.
    Every,
    /// Those of these keys; what the graph lacks is left out.
    These(Vec<String>),
}

/// What the worker is asked. A model file stays loaded from one request to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Load a model.
    Open {
        /// The model file.
        model: ModelFile,
    },
    /// Turn texts into ids and ids into bytes, each in four ways.
    Spell {
        /// The model file, of which the vocabulary is enough.
        model: ModelFile,
        /// The texts and the ids.
        questions: Vec<Question>,
    },
    /// Say what a vocabulary holds.
    Describe {
        /// The model file, of which the vocabulary is enough.
        model: ModelFile,
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
    /// Follow a schedule from an empty cache, perhaps with other values in some nodes: those of
    /// the array beside the request.
    Follow {
        /// The model file.
        model: ModelFile,
        /// What is fed.
        schedule: Schedule,
        /// The nodes to send.
        shown: Shown,
        /// The nodes to replace, by their keys, and how many values each gets.
        replaced: Vec<(String, usize)>,
    },
    /// Follow a schedule from an empty cache with a clock in hand and nothing watched.
    Time {
        /// The model file.
        model: ModelFile,
        /// What is fed.
        schedule: Schedule,
        /// Of every row that is kept, only the likeliest token and its logit, a number each.
        likeliest: bool,
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
    /// A part of an answer, most of it in the array.
    Part(Part),
    /// The last of an answer.
    Answer(Answer),
    /// It does not accept the request.
    Refused {
        /// Why.
        message: String,
    },
}

/// What comes before the last word of an answer, with an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// The array holds the rows of logits that the schedule keeps.
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
}

/// The last word of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Of the model file that was read, where the request names one.
    pub model_sha256: Option<String>,
    /// What is left to say once the arrays are through.
    pub done: Done,
}

/// What was done, one kind per [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "snake_case", deny_unknown_fields)]
pub enum Done {
    /// To [`Request::Open`].
    Opened,
    /// To [`Request::Spell`], in the order of the questions.
    Spelled {
        /// One for each question.
        answers: Vec<tokenization::Answer>,
    },
    /// To [`Request::Describe`].
    Described(Described),
    /// To [`Request::Requantize`]: the file is there.
    Requantized,
    /// To [`Request::Follow`].
    Followed {
        /// Length of a row of logits.
        vocab_size: usize,
    },
    /// To [`Request::Time`].
    Timed {
        /// Length of a row of logits.
        vocab_size: usize,
        /// What it cost.
        cost: Cost,
    },
    /// To [`Request::Kernel`].
    Computed(Computed),
}

/// What following a schedule cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Loading the model, whenever that was, without hashing the file.
    pub load: Duration,
    /// Before the first tokens: a context with its buffers and its threads.
    pub begin: Duration,
    /// Each portion of tokens, in order.
    pub feeds: Vec<Duration>,
    /// Bytes in memory at the end, pages of mapped files included; 0 where nothing counts them.
    pub resident: u64,
}

impl Shown {
    /// Whether that node is among them.
    pub fn has(&self, key: &str) -> bool {
        match self {
            Shown::Nothing => false,
            Shown::Every => true,
            Shown::These(keys) => keys.iter().any(|other| other == key),
        }
    }
}

impl Request {
    /// The model file that the answer must be about.
    pub fn model(&self) -> Option<&ModelFile> {
        match self {
            Request::Open { model }
            | Request::Spell { model, .. }
            | Request::Describe { model, .. }
            | Request::Follow { model, .. }
            | Request::Time { model, .. } => Some(model),
            Request::Requantize { .. } | Request::Kernel { .. } => None,
        }
    }

    /// Whether that may be a part of its answer.
    pub fn takes(&self, part: &Part) -> bool {
        match part {
            Part::Rows => matches!(self, Request::Follow { .. } | Request::Time { .. }),
            Part::Node { .. } => matches!(self, Request::Follow { .. }),
            Part::Numbers { .. } => matches!(self, Request::Kernel { .. }),
        }
    }
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

/// A part of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// The vocabulary as a whole.
    pub facts: Facts,
    /// SHA-256 over the tokens asked for.
    pub sha256: String,
    /// The tokens, if they were asked for in full.
    pub entries: Vec<Entry>,
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
