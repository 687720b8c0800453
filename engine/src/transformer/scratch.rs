//! The buffers of a pass, allocated when a pass of that size first needs them.
#![forbid(unsafe_code)]

use crate::config::Config;
use crate::refusal::{Code, Refusal};

/// Intermediate values of one ubatch of `t` tokens, each buffer as wide as [`View`] says.
pub struct Scratch {
    buffers: [Buffer; 11],
}

struct Buffer {
    values: Vec<f32>,
    width: usize,
}

/// The first `t` rows of every buffer.
pub struct View<'a> {
    /// (t, embedding): what runs through the layers
    pub hidden: &'a mut [f32],
    /// (t, embedding): normalised
    pub normed: &'a mut [f32],
    /// (t, heads · head_dim)
    pub query: &'a mut [f32],
    /// (t, kv heads · head_dim)
    pub key: &'a mut [f32],
    /// (t, kv heads · head_dim)
    pub value: &'a mut [f32],
    /// (t, heads · head_dim): what attention gathered
    pub gathered: &'a mut [f32],
    /// (t, heads · head_dim): the same, normalised
    pub gathered_normed: &'a mut [f32],
    /// (t, feed-forward)
    pub gate: &'a mut [f32],
    /// (t, feed-forward)
    pub up: &'a mut [f32],
    /// (t, feed-forward): their product, normalised
    pub gate_normed: &'a mut [f32],
    /// (t, embedding): what attention, then the feed-forward block adds to `hidden`
    pub output: &'a mut [f32],
}

impl Scratch {
    /// Without room yet.
    pub fn new(config: &Config) -> Self {
        let heads = config.head_count * config.head_dim;
        let kv_heads = config.head_count_kv * config.head_dim;
        let (width, inner) = (config.embedding_length, config.feed_forward_length);
        let buffer = |width: usize| Buffer {
            values: Vec::new(),
            width,
        };
        Scratch {
            buffers: [
                buffer(width),
                buffer(width),
                buffer(heads),
                buffer(kv_heads),
                buffer(kv_heads),
                buffer(heads),
                buffer(heads),
                buffer(inner),
                buffer(inner),
                buffer(inner),
                buffer(width),
            ],
        }
    }

    /// Room for ubatches of `tokens`.
    pub fn reserve(&mut self, tokens: usize) -> Result<(), Refusal> {
        for Buffer { values, width } in &mut self.buffers {
            if values.len() < tokens * *width {
                *values = grow(tokens, *width, "scratch buffers")?;
            }
        }
        Ok(())
    }

    /// The first `tokens` rows of every buffer.
    pub fn view(&mut self, tokens: usize) -> View<'_> {
        let [
            hidden,
            normed,
            query,
            key,
            value,
            gathered,
            gathered_normed,
            gate,
            up,
            gate_normed,
            output,
        ] = self
            .buffers
            .each_mut()
            .map(|buffer| &mut buffer.values[..tokens * buffer.width]);
        View {
            hidden,
            normed,
            query,
            key,
            value,
            gathered,
            gathered_normed,
            gate,
            up,
            gate_normed,
            output,
        }
    }
}

/// `rows · width` zeros, or a refusal that says what there is no memory for.
pub fn grow<T: Clone + Default>(rows: usize, width: usize, what: &str) -> Result<Vec<T>, Refusal> {
    let refusal = || {
        let found = format!("{rows} × {width} values");
        Refusal::new(Code::OutOfMemory, what, "enough memory", found)
            .hint("a smaller context or ubatch needs less")
    };
    let len = rows.checked_mul(width).ok_or_else(refusal)?;
    let mut room: Vec<T> = Vec::new();
    room.try_reserve_exact(len).map_err(|_| refusal())?;
    drop(room);
    // Asked for as zeros, which the system has ready: pages that are never used cost nothing.
    Ok(vec![T::default(); len])
}
