//! The forward pass: one ubatch of tokens through every layer, in the order of the paper.
#![forbid(unsafe_code)]

mod attention;
mod cache;
mod feed_forward;
pub mod labels;
pub mod likeliest;
mod nodes;
pub mod probe;
mod product;
mod rope;
mod scratch;
mod step;

use std::num::NonZeroUsize;

use crate::Token;
use crate::config::{Config, RopePairs};
use crate::numerics::Arithmetic;
use crate::refusal::Refusal;
use crate::weights::{Block, Weights};

use attention::{Attention, Lookup};
use labels::Labels;
use probe::Part;
use rope::Rope;
use scratch::{Scratch, View};
use step::Step;

pub use cache::Cache;
pub use nodes::{Nodes, NotFinite};
pub use product::Multiplier;

/// Everything a pass writes to: the cache, and buffers that are allocated once.
pub struct State {
    /// What is remembered from pass to pass.
    pub cache: Cache,
    labels: Labels,
    scratch: Scratch,
    rope: Rope,
    attention: Attention,
    /// What multiplies, and its threads.
    pub multiplier: Multiplier,
}

impl State {
    /// For ubatches of up to `ubatch` tokens, for which there is room when
    /// [`reserve`](Self::reserve) was called; the cache grows up to `context` positions.
    pub fn new(
        config: &Config,
        arithmetic: &'static dyn Arithmetic,
        context: usize,
        ubatch: usize,
        threads: NonZeroUsize,
    ) -> Result<Self, Refusal> {
        Ok(State {
            cache: Cache::new(config, context)?,
            labels: Labels::of(config.architecture),
            scratch: Scratch::new(config),
            rope: Rope::new(config, ubatch)?,
            attention: Attention::new(config),
            multiplier: Multiplier::new(arithmetic, threads),
        })
    }

    /// How many norms so far were added up one by one: see
    /// [`rms_norm`](crate::numerics::elementwise::rms_norm).
    pub fn serial_norms(&self) -> usize {
        self.multiplier.serial_norms()
    }

    /// Makes room for `tokens` more positions. After this a pass allocates no buffer.
    pub fn reserve(&mut self, tokens: usize) -> Result<(), Refusal> {
        let used = self.cache.filled() + tokens;
        self.cache.reserve(used)?;
        self.scratch.reserve(tokens)?;
        let positions = self.cache.padded(used);
        let arithmetic = self.multiplier.arithmetic();
        self.attention.reserve(tokens, positions, arithmetic)
    }
}

/// What is wanted of the last tokens of a pass: a whole number of rows.
pub enum Output<'a> {
    /// Their logits.
    Logits(&'a mut [f32]),
    /// What logits are products of: their normalised hidden states.
    Normed(&'a mut [f32]),
}

impl Output<'_> {
    fn rows(&self, config: &Config) -> usize {
        match self {
            Output::Logits(logits) => logits.len() / config.vocab_size,
            Output::Normed(normed) => normed.len() / config.embedding_length,
        }
    }
}

/// Computes `tokens` behind the positions in the cache and leaves them there. From the last layer's
/// attention on nothing is computed but what `output` wants of the last tokens.
pub fn forward(
    config: &Config,
    weights: &Weights,
    tokens: &[Token],
    state: &mut State,
    nodes: &mut Nodes,
    output: Output,
) {
    let (count, width) = (tokens.len(), config.embedding_length);
    let outputs = output.rows(config);
    let factors = weights.rope_factors.as_deref();
    state.rope.prepare(state.cache.filled(), count, factors);
    let State {
        cache,
        labels,
        scratch,
        rope,
        attention,
        multiplier,
    } = state;
    let mut step = Step {
        multiplier,
        nodes,
        epsilon: config.rms_epsilon,
    };
    let mut v = scratch.view(count);

    embed(weights, tokens, v.hidden, step.nodes);
    if factors.is_some() {
        step.ran(probe::Step::RopeFactors, count);
    }
    for (layer, block) in weights.blocks.iter().enumerate() {
        step.nodes.enter_layer(layer);
        step.norm(v.hidden, &block.attention_norm, "attn_norm", v.normed);
        project(config, block, labels, rope, &mut v, &mut step);
        look_up(config, layer, cache, attention, labels, &mut v, &mut step);
        let sub_norm = block.attention_sub_norm.as_deref();
        let input = step.sub_norm(v.gathered, sub_norm, "attn_sub_norm", v.gathered_normed);
        step.linear(
            &block.attention_output,
            labels.attention_output,
            input,
            v.output,
        );

        if layer + 1 == weights.blocks.len() {
            if outputs == 0 {
                break;
            }
            keep_last(outputs, width, &mut v, step.nodes);
            v = scratch.view(outputs);
        }
        step.add(v.hidden, v.output, width, "ffn_inp");

        step.norm(v.hidden, &block.feed_forward_norm, "ffn_norm", v.normed);
        feed_forward::gated(block, config.activation, labels, &mut v, &mut step);
        let sub_norm = block.feed_forward_sub_norm.as_deref();
        let input = step.sub_norm(v.gate, sub_norm, "ffn_sub_norm", v.gate_normed);
        step.linear(&block.down, labels.down, input, v.output);
        step.add(v.hidden, v.output, width, "l_out");
    }
    cache.advance(count);
    if outputs > 0 {
        hand_out(weights, &mut v, &mut step, output);
    }
}

/// Remembers the keys and values of a layer and gathers what its queries ask for: of all tokens at
/// once, or of each before the next is remembered, as if it were alone.
fn look_up(
    config: &Config,
    layer: usize,
    cache: &mut Cache,
    attention: &mut Attention,
    labels: &Labels,
    view: &mut View,
    step: &mut Step,
) {
    let heads = config.head_count * config.head_dim;
    let kv_heads = config.head_count_kv * config.head_dim;
    let tokens = view.query.len() / heads;
    let portion = if step.multiplier.takes_one_by_one() {
        1
    } else {
        tokens
    };
    for start in (0..tokens).step_by(portion) {
        let own = |width| start * width..(start + portion) * width;
        let first = cache.filled() + start;
        let (key, value) = (&view.key[own(kv_heads)], &view.value[own(kv_heads)]);
        cache.store(layer, first, key, value);
        step.nodes.skip(7); // the cache written and read: views, a transposition, two copies
        let lookup = Lookup::new(layer, first, &view.query[own(heads)], cache);
        let gathered = &mut view.gathered[own(heads)];
        attention.attend(lookup, labels.gathered, gathered, step);
    }
}

/// What is wanted of the hidden states behind the last layer.
fn hand_out(weights: &Weights, view: &mut View, step: &mut Step, output: Output) {
    let View { hidden, normed, .. } = view;
    step.nodes.leave_layers();
    step.norm(hidden, &weights.output_norm, "result_norm", normed);
    match output {
        Output::Logits(logits) => unembed(weights, normed, step.multiplier, step.nodes, logits),
        Output::Normed(out) => out.copy_from_slice(normed),
    }
}

/// Room for the logits of so many positions.
pub fn logits(config: &Config, rows: usize) -> Result<Vec<f32>, Refusal> {
    scratch::grow(rows, config.vocab_size, "logits")
}

fn embed(weights: &Weights, tokens: &[Token], hidden: &mut [f32], nodes: &mut Nodes) {
    let width = weights.embedding.cols();
    for (&token, row) in tokens.iter().zip(hidden.chunks_exact_mut(width)) {
        weights.embedding.decode_row(token as usize, row);
    }
    nodes.see("inp_embd", "GET_ROWS", &[tokens.len(), width], hidden);
    nodes.ran(Part::Embedding(&weights.embedding), tokens.len());
}

/// From normalised hidden states behind the last layer to logits.
pub fn unembed(
    weights: &Weights,
    normed: &[f32],
    multiplier: &mut Multiplier,
    nodes: &mut Nodes,
    logits: &mut [f32],
) {
    multiplier.multiply(weights.head(), normed, logits);
    let vocabulary = weights.head().rows();
    let shape = [logits.len() / vocabulary, vocabulary];
    nodes.see("result_output", "MUL_MAT", &shape, logits);
    let together = multiplier.together(shape[0]);
    let head = Part::Head(weights.head(), multiplier.arithmetic());
    let whose = if weights.has_own_head() {
        probe::Step::OwnHead
    } else {
        probe::Step::TiedHead
    };
    nodes.ran(head, together);
    nodes.ran(Part::Step(whose), together);
}

/// Queries and keys, turned by their positions, and values.
fn project(
    config: &Config,
    block: &Block,
    labels: &Labels,
    rope: &Rope,
    view: &mut View,
    step: &mut Step,
) {
    let (heads, kv_heads, dim) = (config.head_count, config.head_count_kv, config.head_dim);
    let View {
        normed,
        query,
        key,
        value,
        gathered,
        ..
    } = view;
    step.products(
        normed,
        [
            (&block.query, &mut **query),
            (&block.key, &mut **key),
            (&block.value, &mut **value),
        ],
    );
    let (query_norm, key_norm) = (block.query_norm.as_deref(), block.key_norm.as_deref());
    for (linear, labels, [name, normed], norm, out, heads) in [
        (
            &block.query,
            labels.query,
            ["Qcur", "Qcur_normed"],
            query_norm,
            query,
            heads,
        ),
        (
            &block.key,
            labels.key,
            ["Kcur", "Kcur_normed"],
            key_norm,
            key,
            kv_heads,
        ),
    ] {
        step.follow(linear, labels, out);
        let shape = [out.len() / (heads * dim), heads, dim];
        step.nodes.see_reshaped(name, &shape, out);
        if let Some(weight) = norm {
            // Nothing is gathered yet, and no key is wider than the queries.
            let room = &mut gathered[..out.len()];
            room.copy_from_slice(out);
            step.norm(room, weight, normed, out);
            step.ran(probe::Step::HeadNorms, shape[0]);
        }
        rope.apply(out, heads, step.multiplier);
        step.nodes.see(name, "ROPE", &shape, out);
        step.ran(
            match config.rope_pairs {
                RopePairs::Halves => probe::Step::RopeHalves,
                RopePairs::Adjacent => probe::Step::RopeAdjacent,
            },
            shape[0],
        );
    }
    step.follow(&block.value, labels.value, value);
}

/// Moves the last rows of what the feed-forward block reads to the front.
fn keep_last(rows: usize, width: usize, view: &mut View, nodes: &mut Nodes) {
    for buffer in [&mut *view.output, &mut *view.hidden] {
        buffer.copy_within(buffer.len() - rows * width.., 0);
        nodes.see_unnamed("GET_ROWS", &[rows, width], &mut buffer[..rows * width]);
    }
}
