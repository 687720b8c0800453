//! The buffers of a pass, allocated once.
#![forbid(unsafe_code)]

use crate::config::Config;
use crate::refusal::{Code, Refusal};

/// Intermediate values of one ubatch of `t` tokens.
pub struct Scratch {
    /// (t, embedding): what runs through the layers
    pub hidden: Vec<f32>,
    /// (t, widest input of a matrix): normalised input of the next product
    pub normed: Vec<f32>,
    /// (t, heads · head_dim)
    pub query: Vec<f32>,
    /// (t, kv heads · head_dim)
    pub key: Vec<f32>,
    /// (t, kv heads · head_dim)
    pub value: Vec<f32>,
    /// (t, heads · head_dim): what attention gathered
    pub gathered: Vec<f32>,
    /// (t, embedding): output of attention, then of the feed-forward block
    pub output: Vec<f32>,
    /// (t, feed-forward)
    pub gate: Vec<f32>,
    /// (t, feed-forward)
    pub up: Vec<f32>,
}

impl Scratch {
    /// Buffers for ubatches of up to `tokens`.
    pub fn new(config: &Config, tokens: usize) -> Result<Self, Refusal> {
        let buffer = |width: usize| grow(tokens, width, "scratch buffers");
        let heads = config.head_count * config.head_dim;
        let kv_heads = config.head_count_kv * config.head_dim;
        let (width, inner) = (config.embedding_length, config.feed_forward_length);
        Ok(Scratch {
            hidden: buffer(width)?,
            normed: buffer(width.max(heads).max(inner))?,
            query: buffer(heads)?,
            key: buffer(kv_heads)?,
            value: buffer(kv_heads)?,
            gathered: buffer(heads)?,
            output: buffer(width)?,
            gate: buffer(inner)?,
            up: buffer(inner)?,
        })
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
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|_| refusal())?;
    buffer.resize(len, T::default());
    Ok(buffer)
}
