//! A random model of a small shape, some of whose keys and bytes are others, and a pass through it.

use arbitrary::{Arbitrary, Unstructured};
use engine::config::{Architecture, Biases, Head};
use engine::format::Encode;
use engine::gguf::writer::Field;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::{EvalError, OpenOptions, SessionOptions, Wanted};
use engine::{Model, Session};
use harness::file::document::Format;
use harness::fixture::random::{LEAST_TOKENS, RandomShape};

use crate::drawn::drawn;
use crate::edited::{self, Edit};
use crate::refused;

/// Keys that decide how a model is computed; `*` stands for the architecture.
const KEYS: [&str; 16] = [
    "general.architecture",
    "general.alignment",
    "*.block_count",
    "*.context_length",
    "*.embedding_length",
    "*.feed_forward_length",
    "*.attention.head_count",
    "*.attention.head_count_kv",
    "*.attention.key_length",
    "*.attention.value_length",
    "*.attention.layer_norm_rms_epsilon",
    "*.rope.dimension_count",
    "*.rope.freq_base",
    "*.rope.scaling.type",
    "*.rope.scaling.factor",
    "*.vocab_size",
];

/// The widest model: two blocks of the widest format.
const WIDEST: usize = 512;

drawn! {
    struct Input {
        seed: u64,
        architecture: u8,
        layers: u8,
        head_dim: u8,
        kv_heads: u8,
        group: u8,
        inner: u8,
        weights: u8,
        embedding: u8,
        output: Option<u8>,
        scales: bool,
        biases: bool,
        rope_factors: bool,
        keys: Vec<(u8, Value)>,
        edits: Vec<Edit>,
        profile: u8,
        tokens: Vec<u16>,
    }
}

drawn! {
    enum Value {
        U32(u32),
        U64(u64),
        I32(i32),
        F32(f32),
        Bool(bool),
        Text(String),
        Many(Vec<u32>),
    }
}

impl From<&Value> for Field {
    fn from(value: &Value) -> Self {
        match value {
            Value::U32(v) => Field::U32(*v),
            Value::U64(v) => Field::U64(*v),
            Value::I32(v) => Field::I32(*v),
            Value::F32(v) => Field::F32(*v),
            Value::Bool(v) => Field::Bool(*v),
            Value::Text(v) => v.as_str().into(),
            Value::Many(v) => v.clone().into(),
        }
    }
}

/// The smallest shape with weights in that format.
pub(super) fn shape(architecture: usize, weights: &str) -> RandomShape {
    let known = Format::all().find(|format| format.name() == weights);
    let weights = known.expect("a format of that name");
    let width = weights.block().max(16);
    RandomShape {
        seed: 1,
        architecture: Architecture::ALL[architecture],
        layers: 1,
        head_dim: width,
        kv_heads: 1,
        group: 1,
        width,
        inner: width,
        vocab: LEAST_TOKENS,
        context: 16,
        weights,
        embedding: Format::F16,
        output: None,
        scales: false,
        biases: false,
        rope_factors: false,
        rope_base: 10_000.0,
        epsilon: 1e-5,
    }
}

impl Input {
    /// Nothing where there can be no such model.
    fn shape(&self) -> Option<RandomShape> {
        let one = |formats: &[Format], which: u8| formats[usize::from(which) % formats.len()];
        let written = |format: &Format| !matches!(format.row().encode, Encode::Nothing);
        let formats = Format::all().filter(|f| written(f) || *f == Format::SPLIT32);
        let formats: Vec<Format> = formats.collect();
        let weights = one(&formats, self.weights);
        let architecture = usize::from(self.architecture) % Architecture::ALL.len();
        let smallest = shape(architecture, weights.name());
        let facts = smallest.architecture.facts();
        let some = |most: usize, n: u8| 1 + usize::from(n) % most;
        let group = some(2, self.group);
        let kv_heads = some(2, self.kv_heads);
        let head_dim = (smallest.width * some(2, self.head_dim) / kv_heads).next_multiple_of(2);
        let shape = RandomShape {
            seed: self.seed,
            layers: some(2, self.layers),
            head_dim,
            kv_heads,
            group,
            width: head_dim * kv_heads * group,
            inner: weights.block().max(8) * some(3, self.inner),
            embedding: one(&formats, self.embedding),
            output: self
                .output
                .filter(|_| facts.head == Head::Own)
                .map(|f| one(&formats, f)),
            scales: self.scales && facts.scales,
            biases: self.biases && facts.biases != Biases::Nowhere,
            rope_factors: self.rope_factors && facts.rope_factors,
            ..smallest
        };
        let tables = [Some(shape.embedding), shape.output];
        let looked_up = tables
            .iter()
            .flatten()
            .all(|format| format.flavor().is_none());
        (shape.width <= WIDEST && looked_up && shape.check().is_ok()).then_some(shape)
    }

    fn file(&self) -> Option<Vec<u8>> {
        let shape = self.shape()?;
        let mut document = shape.document().ok()?;
        for (key, value) in self.keys.iter().take(4) {
            let key = KEYS[usize::from(*key) % KEYS.len()];
            let key = key.replace('*', shape.architecture.name());
            document.set(&key, Field::from(value));
        }
        Some(edited::bytes(document.file(), &self.edits))
    }
}

/// The logits of tokens that are fed one portion after the other, as bits.
pub(super) fn computed(
    model: &Model,
    threads: usize,
    tokens: &[u32],
) -> Option<Result<Vec<u32>, EvalError>> {
    in_profile(model, threads, tokens, Profile::default())
}

fn in_profile(
    model: &Model,
    threads: usize,
    tokens: &[u32],
    profile: Profile,
) -> Option<Result<Vec<u32>, EvalError>> {
    let options = SessionOptions {
        context: model.config().context_length.min(16),
        ubatch: 4,
        threads,
        profile,
    };
    let mut session = match Session::new(model, options) {
        Ok(session) => session,
        Err(refusal) => {
            refused(&refusal);
            return None;
        }
    };
    let mut bits = Vec::new();
    for portion in tokens.chunks(6) {
        match session.feed(portion, Wanted::All, &mut ()) {
            Ok(logits) => {
                assert_eq!(logits.len(), portion.len() * model.config().vocab_size);
                assert!(
                    logits.iter().all(|logit| logit.is_finite()),
                    "a logit that is none"
                );
                bits.extend(logits.iter().map(|logit| logit.to_bits()));
            }
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(bits))
}

/// Builds, damages, opens and computes.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let Some(file) = input.file() else { return };
    let open = |kernel| {
        let options = OpenOptions {
            kernel,
            ..OpenOptions::default()
        };
        Model::from_bytes(file.clone(), &options)
    };
    let (best, scalar) = match (open(None), open(Some(Kernel::Scalar))) {
        (Ok(best), Ok(scalar)) => (best, scalar),
        (Err(one), Err(other)) => {
            assert_eq!(one, other, "another refusal with another kernel");
            return refused(&one);
        }
        (one, other) => panic!("{:?} is not {:?}", one.err(), other.err()),
    };
    let profile = Profile::ALL[usize::from(input.profile) % Profile::ALL.len()];
    let tokens: Vec<u32> = input.tokens.iter().take(9).map(|&t| t.into()).collect();
    let of = |model, threads| in_profile(model, threads, &tokens, profile);
    let one = of(&best, 1);
    let same = |other: &Option<Result<Vec<u32>, EvalError>>| match (&one, other) {
        (Some(Ok(one)), Some(Ok(other))) => one == other,
        (Some(Err(_)), Some(Err(_))) | (None, None) => true,
        _ => false,
    };
    assert!(
        same(&of(&best, 2)),
        "other bits on two threads in {profile:?}"
    );
    assert!(
        same(&of(&scalar, 1)),
        "other bits with the scalar kernel in {profile:?}"
    );
}
