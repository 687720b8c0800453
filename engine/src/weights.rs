//! Binds tensor names to matrices whose shapes are verified against the configuration.
//!
//! A tensor that is missing or has another shape is a refusal that names it; nothing is ever
//! filled in.
#![forbid(unsafe_code)]

mod binder;
mod expected;

use crate::config::{Config, Head};
use crate::flavor::{Detection, Flavor};
use crate::gguf::{Gguf, Warning};
use crate::kernels::Kernel;
use crate::matrix::Matrix;
use crate::refusal::Refusal;

use binder::Binder;

pub use expected::{Expected, LINEAR, expected};

/// A matrix with what the architecture lets follow it.
pub struct Linear {
    /// The matrix.
    pub matrix: Matrix,
    /// One factor for every output, from a `.scale` tensor.
    pub scale: Option<f32>,
    /// One summand per output, from a `.bias` tensor.
    pub bias: Option<Vec<f32>>,
}

/// One layer.
pub struct Block {
    /// (embedding)
    pub attention_norm: Vec<f32>,
    /// (heads · head_dim, embedding)
    pub query: Linear,
    /// (kv heads · head_dim, embedding)
    pub key: Linear,
    /// (kv heads · head_dim, embedding)
    pub value: Linear,
    /// (head_dim), where the architecture normalises queries
    pub query_norm: Option<Vec<f32>>,
    /// (head_dim), where the architecture normalises keys
    pub key_norm: Option<Vec<f32>>,
    /// (heads · head_dim), where the architecture has it
    pub attention_sub_norm: Option<Vec<f32>>,
    /// (embedding, heads · head_dim)
    pub attention_output: Linear,
    /// (embedding)
    pub feed_forward_norm: Vec<f32>,
    /// (feed-forward, embedding)
    pub gate: Linear,
    /// (feed-forward, embedding)
    pub up: Linear,
    /// (feed-forward), where the architecture has it
    pub feed_forward_sub_norm: Option<Vec<f32>>,
    /// (embedding, feed-forward)
    pub down: Linear,
}

/// Everything a forward pass multiplies with.
pub struct Weights {
    /// (vocabulary, embedding)
    pub embedding: Matrix,
    /// The layers, first to last.
    pub blocks: Vec<Block>,
    /// (embedding)
    pub output_norm: Vec<f32>,
    /// What rotation angles are divided by, (rotated dimensions / 2).
    pub rope_factors: Option<Vec<f32>>,
    /// Tensor name and what was decided about its packing, in file order, for every tensor whose
    /// packing had to be decided.
    pub detections: Vec<(String, Detection)>,
    /// What is odd about the tensors.
    pub warnings: Vec<Warning>,
    output: Option<Matrix>,
}

impl Weights {
    /// Finds every tensor the architecture asks for. `forced` chooses among possible packings.
    pub fn bind(
        gguf: &Gguf,
        config: &Config,
        forced: Option<Flavor>,
        kernel: Kernel,
    ) -> Result<Self, Refusal> {
        let mut binder = Binder::new(gguf, config, forced, kernel);
        let embedding = binder.matrix("token_embd.weight")?;
        let output_norm = binder.vector("output_norm.weight")?;
        let facts = config.architecture.facts();
        let output = match facts.head {
            Head::Own => binder.optional_matrix("output.weight")?,
            Head::EmbeddingOnly => {
                binder.forbid(
                    "output.weight",
                    "logits of this architecture come from token_embd",
                )?;
                None
            }
            Head::Embedding => {
                binder.ignore("output.weight", "logits come from token_embd");
                None
            }
        };
        let rope_factors = if facts.rope_factors {
            binder.optional_vector("rope_freqs.weight")?
        } else {
            None
        };
        let blocks = (0..config.block_count)
            .map(|layer| block(&mut binder, config, layer))
            .collect::<Result<_, _>>()?;
        let (warnings, detections) = binder.finish();
        Ok(Weights {
            embedding,
            blocks,
            output_norm,
            rope_factors,
            warnings,
            output,
            detections,
        })
    }

    /// What turns hidden states into logits, (vocabulary, embedding).
    pub fn head(&self) -> &Matrix {
        self.output.as_ref().unwrap_or(&self.embedding)
    }

    /// Whether that is not the table of tokens.
    pub fn has_own_head(&self) -> bool {
        self.output.is_some()
    }

    /// Every matrix that multiplies.
    pub fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let linears = self.blocks.iter().flat_map(|b| {
            let attention = [&b.query, &b.key, &b.value, &b.attention_output];
            let feed_forward = [&b.gate, &b.up, &b.down];
            attention.into_iter().chain(feed_forward)
        });
        let matrices = linears.map(|linear| &linear.matrix);
        matrices.chain(std::iter::once(self.head()))
    }
}

fn block(binder: &mut Binder, config: &Config, layer: usize) -> Result<Block, Refusal> {
    let name = |part: &str| format!("blk.{layer}.{part}");
    let norm = |binder: &mut Binder, present: bool, part: &str| {
        present
            .then(|| binder.vector(&format!("{}.weight", name(part))))
            .transpose()
    };
    let (sub_norms, head_norms) = (config.has_sub_norms, config.has_head_norms);
    let block = Block {
        attention_norm: binder.vector(&name("attn_norm.weight"))?,
        query: binder.linear(&name("attn_q"))?,
        key: binder.linear(&name("attn_k"))?,
        value: binder.linear(&name("attn_v"))?,
        query_norm: norm(binder, head_norms, "attn_q_norm")?,
        key_norm: norm(binder, head_norms, "attn_k_norm")?,
        attention_sub_norm: norm(binder, sub_norms, "attn_sub_norm")?,
        attention_output: binder.linear(&name("attn_output"))?,
        feed_forward_norm: binder.vector(&name("ffn_norm.weight"))?,
        gate: binder.linear(&name("ffn_gate"))?,
        up: binder.linear(&name("ffn_up"))?,
        feed_forward_sub_norm: norm(binder, sub_norms, "ffn_sub_norm")?,
        down: binder.linear(&name("ffn_down"))?,
    };
    Ok(block)
}
