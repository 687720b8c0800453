//! What is said over the channel.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use engine::Token;
use engine::template::Conversation;
use ffi::TypeFacts;
use serde::{Deserialize, Deserializer, Serialize};

use super::call::Call;
use super::death::shortened;
use crate::case::observation::TracedNode;
use crate::case::observation::tokenization::{self, Entry, Facts, Question};
use crate::case::schedule::Schedule;
use crate::io::floats;

/// Grows with every change of the messages. Both sides are the same program, so a difference
/// means that the file was replaced while it ran.
pub const PROTOCOL: u32 = 10;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
        /// Threads that work on it; two-bit weights want one.
        threads: usize,
    },
    /// Follow a schedule from an empty cache, perhaps with other values in some nodes.
    Follow {
        /// The model file.
        model: ModelFile,
        /// What is fed.
        schedule: Schedule,
        /// The nodes to send.
        shown: Shown,
        /// What some nodes are replaced with.
        replaced: Vec<TracedNode>,
    },
    /// Say what the library can do with a type.
    Type {
        /// The type's number in the library.
        kind: i32,
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
        /// The values it reads.
        #[serde(with = "floats")]
        values: Vec<f32>,
        /// The bytes it reads.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Render a chat template.
    Render(Conversation),
}

/// What the worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// It is there, and this is who it is.
    Hello(Hello),
    /// What it does next; said before anything that may be its last act.
    Phase {
        /// In words.
        #[serde(deserialize_with = "words")]
        name: String,
    },
    /// A part of an answer.
    Part(Part),
    /// The last of an answer.
    Answer(Answer),
    /// It does not accept the request.
    Refused {
        /// Why.
        #[serde(deserialize_with = "words")]
        message: String,
    },
}

/// No more of them than anybody reads.
fn words<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    <&str>::deserialize(input).map(shortened)
}

/// What comes before the last word of the answer to [`Request::Follow`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// The rows of logits that the schedule keeps.
    Rows(#[serde(with = "floats")] Vec<f32>),
    /// The tokens that each of these rows names, where it is not the whole vocabulary.
    Named(Vec<Vec<Token>>),
    /// A node that is shown.
    Node(TracedNode),
}

/// The last word of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Of the model file that was read, where the request names one.
    pub model_sha256: Option<String>,
    /// What is left to say.
    pub done: Done,
}

/// What was done, one kind per [`Request`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
    /// To [`Request::Type`]: nothing if the number stands for none.
    Type(Option<TypeFacts>),
    /// To [`Request::Time`].
    Timed {
        /// Length of a row of logits.
        vocab_size: usize,
        /// What it cost.
        cost: Cost,
    },
    /// To [`Request::Kernel`].
    Computed(Computed),
    /// To [`Request::Render`].
    Rendered {
        /// The prompt.
        prompt: String,
    },
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
            _ => None,
        }
    }
}

/// Who answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Type numbers of other ternary weights that it has no product for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<u32>,
    /// Structure sizes, paths, the compiler of the layer in front of the library.
    pub details: BTreeMap<String, String>,
    /// The floating-point control register before and after the library was loaded.
    pub control_word: [u64; 2],
    /// What else decides what is computed: every other library in the process, by its SHA-256, and
    /// every variable that puts something before or around it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub surroundings: BTreeMap<String, String>,
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

/// What a kernel computed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Computed {
    /// Floats: decoded values, sums, the scale of a row.
    #[serde(with = "floats")]
    pub values: Vec<f32>,
    /// Bytes: stored rows, quantised activations, codes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// The sum of quantised activations, where the bytes do not hold it.
    pub sum: Option<i32>,
}
