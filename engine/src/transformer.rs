//! The forward pass: one ubatch of tokens through every layer, in the order of the paper.
#![forbid(unsafe_code)]

mod attention;
mod cache;
mod feed_forward;
mod labels;
mod nodes;
mod norm;
pub mod probe;
mod product;
mod rope;
mod scratch;

use std::num::NonZeroUsize;

use crate::Token;
use crate::config::Config;
use crate::numerics::{Arithmetic, elementwise};
use crate::refusal::Refusal;
use crate::weights::{Block, Weights};

use attention::{Attention, Lookup};
use labels::Labels;
use product::Multiplier;
use rope::Rope;
use scratch::Scratch;

pub use cache::Cache;
pub use nodes::{Nodes, NotFinite};

/// Everything a pass writes to: the cache, and buffers that are allocated once.
pub struct State {
    /// What is remembered from pass to pass.
    pub cache: Cache,
    labels: Labels,
    scratch: Scratch,
    rope: Rope,
    attention: Attention,
    multiplier: Multiplier,
}

impl State {
    /// Room for ubatches of up to `ubatch` tokens; the cache grows up to `context` positions.
    pub fn new(
        config: &Config,
        arithmetic: &'static dyn Arithmetic,
        context: usize,
        ubatch: usize,
        threads: NonZeroUsize,
    ) -> Result<Self, Refusal> {
        let heads = config.head_count * config.head_dim;
        let widest = config
            .embedding_length
            .max(config.feed_forward_length)
            .max(heads);
        let rounded = scratch::grow(ubatch, widest, "rounded activations")?;
        Ok(State {
            cache: Cache::new(config, context)?,
            labels: Labels::of(config.architecture),
            scratch: Scratch::new(config, ubatch)?,
            rope: Rope::new(config, ubatch)?,
            attention: Attention::new(config, ubatch)?,
            multiplier: Multiplier::new(arithmetic, threads, rounded),
        })
    }

    /// Makes room for `tokens` more positions. After this a pass allocates no buffer.
    pub fn reserve(&mut self, tokens: usize) -> Result<(), Refusal> {
        let used = self.cache.filled() + tokens;
        self.cache.reserve(used)?;
        self.attention.reserve(tokens, self.cache.padded(used))
    }
}

/// Computes `tokens` behind the positions in the cache and leaves them there. `logits`, a whole
/// number of rows of the vocabulary, receives those of the last tokens; from the last layer's
/// attention on nothing else is computed.
pub fn forward(
    config: &Config,
    weights: &Weights,
    tokens: &[Token],
    state: &mut State,
    nodes: &mut Nodes,
    logits: &mut [f32],
) {
    let (count, width, epsilon) = (tokens.len(), config.embedding_length, config.rms_epsilon);
    let outputs = logits.len() / config.vocab_size;
    let first = state.cache.filled();
    state
        .rope
        .prepare(first, count, weights.rope_factors.as_deref());
    embed(weights, tokens, &mut state.scratch.hidden, nodes);

    let mut rows = count;
    for (layer, block) in weights.blocks.iter().enumerate() {
        nodes.enter_layer(layer);
        attention_block(config, block, layer, count, state, nodes);
        if layer + 1 == weights.blocks.len() {
            if outputs == 0 {
                state.cache.advance(count);
                return;
            }
            rows = outputs;
            keep_last(count, rows, width, state, nodes);
        }
        let State {
            scratch: s,
            labels,
            multiplier,
            ..
        } = state;
        let hidden = &mut s.hidden[..rows * width];
        let output = &mut s.output[..rows * width];
        elementwise::add(hidden, output);
        nodes.see("ffn_inp", "ADD", &[rows, width], hidden);

        let inner = rows * config.feed_forward_length;
        let normed = &mut s.normed[..rows * width];
        let name = if config.has_sub_norms {
            ("ffn_norm", 2)
        } else {
            ("ffn_norm", 1)
        };
        norm::apply(
            hidden,
            &block.feed_forward_norm,
            epsilon,
            name,
            normed,
            nodes,
        );
        let (gate, up) = (&mut s.gate[..inner], &mut s.up[..inner]);
        feed_forward::gated(
            block,
            config.activation,
            labels,
            normed,
            (gate, up),
            multiplier,
            nodes,
        );
        let input = match &block.feed_forward_sub_norm {
            Some(weight) => {
                let normed = &mut s.normed[..inner];
                norm::apply(
                    &s.gate[..inner],
                    weight,
                    epsilon,
                    ("ffn_sub_norm", 3),
                    normed,
                    nodes,
                );
                &s.normed[..inner]
            }
            None => &s.gate[..inner],
        };
        product::apply(&block.down, labels.down, input, output, multiplier, nodes);
        elementwise::add(hidden, output);
        nodes.see("l_out", "ADD", &[rows, width], hidden);
    }

    nodes.leave_layers();
    state.cache.advance(count);
    let s = &mut state.scratch;
    let (hidden, normed) = (&s.hidden[..rows * width], &mut s.normed[..rows * width]);
    norm::apply(
        hidden,
        &weights.output_norm,
        epsilon,
        ("result_norm", 0),
        normed,
        nodes,
    );
    state.multiplier.multiply(weights.head(), normed, logits);
    nodes.see(
        "result_output",
        "MUL_MAT",
        &[rows, config.vocab_size],
        logits,
    );
}

/// Room for the logits of so many positions.
pub fn logits(config: &Config, rows: usize) -> Result<Vec<f32>, Refusal> {
    scratch::grow(rows, config.vocab_size, "logits")
}

fn embed(weights: &Weights, tokens: &[Token], hidden: &mut [f32], nodes: &mut Nodes) {
    let width = weights.embedding.cols();
    let hidden = &mut hidden[..tokens.len() * width];
    for (&token, row) in tokens.iter().zip(hidden.chunks_exact_mut(width)) {
        weights.embedding.decode_row(token as usize, row);
    }
    nodes.see("inp_embd", "GET_ROWS", &[tokens.len(), width], hidden);
}

/// From the hidden states to the output of attention, which `scratch.output` holds afterwards.
fn attention_block(
    config: &Config,
    block: &Block,
    layer: usize,
    count: usize,
    state: &mut State,
    nodes: &mut Nodes,
) {
    let State {
        cache,
        labels,
        scratch: s,
        rope,
        attention,
        multiplier,
    } = state;
    let (width, dim, epsilon) = (config.embedding_length, config.head_dim, config.rms_epsilon);
    let (heads, kv_heads) = (config.head_count, config.head_count_kv);
    let query = &mut s.query[..count * heads * dim];
    let key = &mut s.key[..count * kv_heads * dim];
    let value = &mut s.value[..count * kv_heads * dim];

    let (hidden, normed) = (&s.hidden[..count * width], &mut s.normed[..count * width]);
    norm::apply(
        hidden,
        &block.attention_norm,
        epsilon,
        ("attn_norm", 0),
        normed,
        nodes,
    );
    for (linear, names, name, out, heads) in [
        (&block.query, labels.query, "Qcur", &mut *query, heads),
        (&block.key, labels.key, "Kcur", &mut *key, kv_heads),
    ] {
        product::apply(linear, names, normed, out, multiplier, nodes);
        let shape = [count, heads, dim];
        nodes.see_reshaped(name, &shape, out);
        rope.apply(out, heads, multiplier.arithmetic());
        nodes.see(name, "ROPE", &shape, out);
    }
    product::apply(&block.value, labels.value, normed, value, multiplier, nodes);
    cache.store(layer, key, value);
    nodes.pass_over(7); // the cache written and read: views, a transposition and two copies

    let gathered = &mut s.gathered[..count * heads * dim];
    let lookup = Lookup {
        layer,
        query,
        cache,
    };
    attention.attend(lookup, labels.gathered, gathered, multiplier, nodes);
    let input = match &block.attention_sub_norm {
        Some(weight) => {
            let normed = &mut s.normed[..count * heads * dim];
            norm::apply(
                gathered,
                weight,
                epsilon,
                ("attn_sub_norm", 1),
                normed,
                nodes,
            );
            normed
        }
        None => gathered,
    };
    let output = &mut s.output[..count * width];
    product::apply(
        &block.attention_output,
        labels.attention_output,
        input,
        output,
        multiplier,
        nodes,
    );
}

/// Moves the last rows of what the feed-forward block reads to the front.
fn keep_last(count: usize, rows: usize, width: usize, state: &mut State, nodes: &mut Nodes) {
    let last = (count - rows) * width..count * width;
    for buffer in [&mut state.scratch.output, &mut state.scratch.hidden] {
        buffer.copy_within(last.clone(), 0);
        nodes.see_unnamed("GET_ROWS", &[rows, width], &mut buffer[..rows * width]);
    }
}
