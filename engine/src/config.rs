//! Hyper-parameters from metadata: a plain struct, every field checked once.
#![forbid(unsafe_code)]

mod architecture;
mod keys;
pub mod names;
mod rope;

pub use architecture::{Activation, Architecture, Biases, Facts, Head, RopePairs};
pub use rope::Stretch;

use crate::gguf::{Gguf, Metadata, TensorInfo, Value};
use crate::refusal::{Code, Refusal};

use keys::Keys;

/// Everything the forward pass needs to know besides the weights.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the fields are the GGUF keys they come from
pub struct Config {
    pub architecture: Architecture,
    pub activation: Activation,
    pub rope_pairs: RopePairs,
    pub has_sub_norms: bool,
    pub has_head_norms: bool,
    pub vocab_size: usize,
    pub context_length: usize,
    pub embedding_length: usize,
    pub block_count: usize,
    pub feed_forward_length: usize,
    pub head_count: usize,
    pub head_count_kv: usize,
    pub head_dim: usize,
    pub rope_dimensions: usize,
    pub rope_freq_base: f32,
    /// `rope.scaling.*`
    pub rope_stretch: Stretch,
    pub rms_epsilon: f32,
    /// `1 / sqrt(head_dim)`. The key `attention.scale` means something to other architectures only.
    pub attention_scale: f32,
}

impl Config {
    /// Reads and checks every hyper-parameter the architecture asks for.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, Refusal> {
        refuse_split(&gguf.metadata)?;
        refuse_rotated(&gguf.metadata)?;
        let architecture = Architecture::of(&gguf.metadata)?;
        let facts = architecture.facts();
        let keys = Keys::of(&gguf.metadata, architecture.name());
        let block_count = keys.at_least_one("block_count")?;
        let embedding_length = embedding_length(gguf, &keys)?;
        let heads = Heads::read(&keys, architecture, embedding_length, block_count)?;
        let rope_dimensions = rope::dimensions(&keys, architecture, heads.dim)?;
        let rope_freq_base = keys.positive("rope.freq_base")?.unwrap_or(10_000.0);
        let config = Config {
            architecture,
            activation: facts.activation,
            rope_pairs: facts.rope_pairs,
            has_sub_norms: facts.sub_norms,
            has_head_norms: facts.head_norms,
            vocab_size: vocab_size(gguf, &keys)? as usize,
            context_length: keys.at_least_one("context_length")? as usize,
            embedding_length: embedding_length as usize,
            block_count: block_count as usize,
            feed_forward_length: keys.at_least_one("feed_forward_length")? as usize,
            head_count: heads.count as usize,
            head_count_kv: heads.count_kv as usize,
            head_dim: heads.dim as usize,
            rope_dimensions: rope_dimensions as usize,
            rope_freq_base,
            rope_stretch: rope::stretch(&keys, rope_freq_base)?,
            rms_epsilon: keys
                .positive(RMS_EPSILON)?
                .ok_or_else(|| gguf.metadata.missing(&keys.name(RMS_EPSILON), "a float32"))?,
            attention_scale: 1.0 / (heads.dim as f32).sqrt(),
        };
        refuse_experts(&keys)?;
        agree_with_tensors(gguf, &keys, &config)?;
        Ok(config)
    }
}

const TOKENS: &str = "tokenizer.ggml.tokens";
const EMBEDDING: &str = "token_embd.weight";
const RMS_EPSILON: &str = "attention.layer_norm_rms_epsilon";

/// Checked against the embedding first: every other width is derived from it.
fn embedding_length(gguf: &Gguf, keys: &Keys<'_>) -> Result<u32, Refusal> {
    let key = "embedding_length";
    let length = keys.at_least_one(key)?;
    let cols = gguf.tensors.get(EMBEDDING).map(TensorInfo::cols);
    match cols.filter(|&cols| cols != u64::from(length)) {
        Some(cols) => Err(keys.refuse(
            key,
            format!("{cols}, the row length of {EMBEDDING}"),
            length,
        )),
        None => Ok(length),
    }
}

struct Heads {
    count: u32,
    count_kv: u32,
    dim: u32,
}

impl Heads {
    fn read(
        keys: &Keys<'_>,
        architecture: Architecture,
        embedding: u32,
        layers: u32,
    ) -> Result<Self, Refusal> {
        let key = "attention.head_count";
        let missing = || {
            keys.metadata
                .missing(&keys.name(key), "an integer of at least 1")
        };
        let count = keys.same_in_all_layers(key, layers)?.ok_or_else(missing)?;
        if count == 0 {
            return Err(keys.refuse(key, "at least 1", 0));
        }
        let dim = match keys.u32("attention.key_length")? {
            Some(0) => return Err(keys.refuse("attention.key_length", "at least 1", 0)),
            Some(dim) => dim,
            None if !embedding.is_multiple_of(count) => {
                let rule = format!("a divisor of the embedding length {embedding}");
                return Err(keys.refuse(key, rule, count));
            }
            None => embedding / count,
        };
        // The sub-norm over the heads' output is as wide as the embedding.
        let width = u64::from(dim) * u64::from(count);
        if architecture.facts().sub_norms && width != u64::from(embedding) {
            let rule = format!("heads as wide as the embedding, {embedding} together");
            return Err(keys.refuse(key, rule, format!("{count} of {dim}")));
        }
        if let Some(value) = keys
            .u32("attention.value_length")?
            .filter(|&value| value != dim)
        {
            let rule = format!("the key length {dim}");
            return Err(keys.refuse("attention.value_length", rule, value));
        }
        let key = "attention.head_count_kv";
        let count_kv = keys.same_in_all_layers(key, layers)?.unwrap_or(count);
        if count_kv == 0 || !count.is_multiple_of(count_kv) {
            let rule = format!("a divisor of the head count {count}");
            return Err(keys.refuse(key, rule, count_kv));
        }
        Ok(Heads {
            count,
            count_kv,
            dim,
        })
    }
}

fn refuse_experts(keys: &Keys<'_>) -> Result<(), Refusal> {
    match keys.u32("expert_count")? {
        None | Some(0) => Ok(()),
        Some(count) => Err(keys.refuse("expert_count", "0: only dense models are computed", count)),
    }
}

fn refuse_split(metadata: &Metadata) -> Result<(), Refusal> {
    let hint = "join the parts into one file first";
    if let Some(count) = metadata.u32("split.count")?.filter(|&count| count > 1) {
        let refusal = metadata.refuse(Code::SplitInvalid, "split.count", "one whole file", count);
        return Err(refusal.hint(hint));
    }
    if let Some(number) = metadata.u32("split.no")?.filter(|&number| number > 0) {
        let refusal = metadata.refuse(Code::SplitInvalid, "split.no", "0, the only part", number);
        return Err(refusal.hint(hint));
    }
    Ok(())
}

/// Weights that were rotated to be quantised are meant for activations rotated alike, which no
/// graph here has.
fn refuse_rotated(metadata: &Metadata) -> Result<(), Refusal> {
    let off = |value: &Value<'_>| matches!(value, Value::Bool(false));
    let mut keys = metadata.iter();
    let rotated = keys.find(|(key, value)| key.starts_with("prism.hadamard") && !off(value));
    rotated.map_or(Ok(()), |(key, _)| {
        let expected = "weights that are multiplied as they are";
        Err(metadata.refuse(Code::HparamInvalid, key, expected, "rotated weights"))
    })
}

/// The number of tokens: of the vocabulary if there is one, else as the key or, failing that,
/// the embedding says.
fn vocab_size(gguf: &Gguf, keys: &Keys<'_>) -> Result<u64, Refusal> {
    let tokens = gguf.metadata.array(TOKENS)?.map(|array| array.len);
    if tokens == Some(0) {
        return Err(gguf
            .metadata
            .refuse(Code::VocabInvalid, TOKENS, "at least 1 token", 0));
    }
    let stated = keys.u32("vocab_size")?;
    if let (Some(tokens), Some(stated)) = (tokens, stated)
        && tokens != u64::from(stated)
    {
        let rule = format!("{tokens}, the number of tokens");
        return Err(keys.refuse("vocab_size", rule, stated));
    }
    let rows = gguf.tensors.get(EMBEDDING).map(TensorInfo::rows);
    match tokens.or(stated.map(u64::from)).or(rows) {
        Some(size) if size > 0 => Ok(size),
        Some(size) => Err(keys.refuse("vocab_size", "at least one token", size)),
        None => Err(keys
            .metadata
            .missing(&keys.name("vocab_size"), "a number of tokens")),
    }
}

/// Numbers that the tensor table contradicts are wrong before any tensor is bound.
fn agree_with_tensors(gguf: &Gguf, keys: &Keys<'_>, config: &Config) -> Result<(), Refusal> {
    let highest = gguf
        .tensors
        .iter()
        .filter_map(|tensor| block_of(&tensor.name))
        .max();
    // Whoever allocates by block allocates no more than the tensor table already takes.
    let blocks = highest.map_or(0, |highest| (highest + 1).min(gguf.tensors.len() as u64));
    if blocks == 0 {
        refuse_foreign_names(gguf)?;
    }
    if config.block_count as u64 > blocks {
        let rule = format!("at most {blocks}, the blocks that have tensors");
        return Err(keys.refuse("block_count", rule, config.block_count));
    }
    match gguf
        .tensors
        .get(EMBEDDING)
        .map(|tensor| (tensor, tensor.rows()))
    {
        Some((tensor, rows)) if rows != config.vocab_size as u64 => {
            let rule = format!("{}, one row per token", config.vocab_size);
            Err(tensor.refuse(Code::VocabSizeMismatch, "dims[1]", rule, rows))
        }
        _ => Ok(()),
    }
}

/// A file whose tensors kept the names of a checkpoint: their dims and the order of their rows may
/// be those of the checkpoint as well, so renaming alone would not make a model of it.
fn refuse_foreign_names(gguf: &Gguf) -> Result<(), Refusal> {
    let mut tensors = gguf.tensors.iter();
    let foreign = tensors.find_map(|tensor| Some((tensor, names::translated(&tensor.name)?)));
    match foreign {
        None => Ok(()),
        Some((tensor, target)) => {
            let rule = format!("the name \"{target}\"");
            let found = "the name that a checkpoint gives it";
            let refusal = tensor.refuse(Code::UnknownTensor, "name", rule, found);
            Err(refusal.hint("convert the checkpoint itself: harness convert"))
        }
    }
}

/// The block a tensor belongs to, from `blk.N.…`.
fn block_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix("blk.")?.split('.').next()?;
    number.parse::<u32>().ok().map(u64::from)
}

#[cfg(test)]
mod tests;
