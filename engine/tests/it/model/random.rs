//! Small models with random weights, in every shape and format the engine computes.

use engine::encoding::Quantiser;
use engine::encoding::float::Float;
use engine::flavor::{Shape, i2_s, i2_s_p128};
use engine::format;
use engine::gguf::Writer;

/// How the elements of a matrix are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q6K,
    I2s,
}

/// What a random model looks like.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub arch: &'static str,
    pub width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub inner: usize,
    pub vocab: usize,
    pub layers: usize,
    pub context: u32,
    pub linear: Format,
    pub embedding: Format,
    /// A head of its own.
    pub output: Option<Format>,
    pub biases: bool,
    /// `.scale` tensors.
    pub scales: bool,
    pub rope_factors: bool,
}

impl Recipe {
    /// A plain one to start from.
    pub fn new(arch: &'static str) -> Self {
        Recipe {
            arch,
            width: 128,
            heads: 4,
            kv_heads: 2,
            head_dim: 32,
            inner: 256,
            vocab: 64,
            layers: 2,
            context: 128,
            linear: Format::I2s,
            embedding: Format::F16,
            output: None,
            biases: false,
            scales: false,
            rope_factors: false,
        }
    }
}

/// A tensor about to be written.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub name: String,
    pub dims: Vec<u64>,
    pub type_id: u32,
    pub bytes: Vec<u8>,
}

/// All tensors of a model, the same for the same recipe.
pub fn tensors(recipe: &Recipe) -> Vec<Tensor> {
    let mut dice = Dice(0x5eed);
    let mut all = Vec::new();
    let (width, inner) = (recipe.width, recipe.inner);
    let heads = recipe.heads * recipe.head_dim;
    let kv_heads = recipe.kv_heads * recipe.head_dim;
    all.push(dice.matrix("token_embd.weight", recipe.vocab, width, recipe.embedding));
    all.push(dice.norm("output_norm.weight", width));
    if let Some(format) = recipe.output {
        all.push(dice.matrix("output.weight", recipe.vocab, width, format));
    }
    if recipe.rope_factors {
        let factors: Vec<f32> = (0..recipe.head_dim / 2)
            .map(|i| 1.0 + i as f32 / 3.0)
            .collect();
        all.push(vector("rope_freqs.weight", &factors));
    }
    for layer in 0..recipe.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        for (part, rows, cols) in [
            ("attn_q", heads, width),
            ("attn_k", kv_heads, width),
            ("attn_v", kv_heads, width),
            ("attn_output", width, heads),
            ("ffn_gate", inner, width),
            ("ffn_up", inner, width),
            ("ffn_down", width, inner),
        ] {
            let weight = name(&format!("{part}.weight"));
            all.push(dice.matrix(&weight, rows, cols, recipe.linear));
            if recipe.scales {
                let scale = [0.75 + dice.roll() / 4.0];
                all.push(vector(&name(&format!("{part}.scale")), &scale));
            }
            if recipe.biases {
                let bias: Vec<f32> = (0..rows).map(|_| dice.roll() / 8.0).collect();
                all.push(vector(&name(&format!("{part}.bias")), &bias));
            }
        }
        all.push(dice.norm(&name("attn_norm.weight"), width));
        all.push(dice.norm(&name("ffn_norm.weight"), width));
        if recipe.arch != "llama" {
            all.push(dice.norm(&name("attn_sub_norm.weight"), heads));
            all.push(dice.norm(&name("ffn_sub_norm.weight"), inner));
        }
    }
    all
}

/// A model file of these tensors.
pub fn file(recipe: &Recipe, tensors: Vec<Tensor>) -> Vec<u8> {
    let key = |name: &str| format!("{}.{name}", recipe.arch);
    let mut writer = Writer::new(3)
        .key("general.architecture", recipe.arch)
        .key(&key("vocab_size"), recipe.vocab as u32)
        .key(&key("context_length"), recipe.context)
        .key(&key("embedding_length"), recipe.width as u32)
        .key(&key("block_count"), recipe.layers as u32)
        .key(&key("feed_forward_length"), recipe.inner as u32)
        .key(&key("attention.head_count"), recipe.heads as u32)
        .key(&key("attention.head_count_kv"), recipe.kv_heads as u32)
        .key(&key("attention.key_length"), recipe.head_dim as u32)
        .key(&key("attention.value_length"), recipe.head_dim as u32)
        .key(&key("rope.dimension_count"), recipe.head_dim as u32)
        .key(&key("attention.layer_norm_rms_epsilon"), 1e-5f32)
        .key("tokenizer.ggml.model", "no_vocab");
    for tensor in tensors {
        writer = writer.tensor(&tensor.name, &tensor.dims, tensor.type_id, tensor.bytes);
    }
    writer.finish()
}

/// Single-precision values.
pub fn vector(name: &str, values: &[f32]) -> Tensor {
    Tensor {
        name: name.to_string(),
        dims: vec![values.len() as u64],
        type_id: 0,
        bytes: Float::F32.encode(values),
    }
}

/// The engine's own encoding.
pub fn encoded(format: &str, values: &[f32], shape: Shape) -> Vec<u8> {
    let format = format::Format::named(format).expect("a format");
    let bytes = format.encode_matrix(values, shape, &Quantiser::default());
    bytes.expect("it can be written so")
}

/// Reproducible randomness.
struct Dice(u64);

impl Dice {
    /// In [−1, 1).
    fn roll(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn norm(&mut self, name: &str, len: usize) -> Tensor {
        let values: Vec<f32> = (0..len).map(|_| 1.0 + self.roll() / 4.0).collect();
        vector(name, &values)
    }

    fn matrix(&mut self, name: &str, rows: usize, cols: usize, format: Format) -> Tensor {
        let spread = 1.7 / (cols as f32).sqrt();
        let values: Vec<f32> = match format {
            Format::I2s => (0..rows * cols)
                .map(|_| (1.5 * self.roll()).round() * spread)
                .collect(),
            _ => (0..rows * cols).map(|_| self.roll() * spread).collect(),
        };
        let shape = Shape { rows, cols };
        let (type_id, bytes) = match format {
            Format::F32 => (0, Float::F32.encode(&values)),
            Format::F16 => (1, Float::F16.encode(&values)),
            Format::Bf16 => (30, Float::Bf16.encode(&values)),
            Format::Q8_0 => (8, encoded("q8_0", &values, shape)),
            Format::Q6K => (14, encoded("q6_k", &values, shape)),
            Format::I2s => (36, i2_s::encode(&values, shape, i2_s_p128::width)),
        };
        Tensor {
            name: name.to_string(),
            dims: vec![cols as u64, rows as u64],
            type_id,
            bytes,
        }
    }
}
