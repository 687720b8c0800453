//! The smallest sound BitNet model, and every way to damage it.

use engine::gguf::Writer;
use engine::gguf::writer::Field;

pub const F32: u32 = 0;
pub const F16: u32 = 1;
pub const BF16: u32 = 30;
pub const I2_S: u32 = 36;

const EMBEDDING: u64 = 128;
const FEED_FORWARD: u64 = 256;
const HEADS: u32 = 2;
const BLOCKS: u32 = 3;

/// Keys and tensors in order, open to changes until the file is written.
#[derive(Clone)]
pub struct Tiny {
    keys: Vec<(String, Field)>,
    pub tensors: Vec<Tensor>,
}

#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub dims: Vec<u64>,
    pub type_id: u32,
    pub bytes: Vec<u8>,
}

impl Tiny {
    /// `bitnet-b1.58`, three blocks, linear weights in I2_S, a byte-level vocabulary.
    pub fn new() -> Self {
        let mut tiny = Tiny {
            keys: Vec::new(),
            tensors: Vec::new(),
        };
        let tokens = vocabulary();
        let count = tokens.len() as u64;
        tiny.set("general.architecture", "bitnet-b1.58");
        tiny.set("general.name", "tiny");
        tiny.set("general.file_type", 40_u32);
        let hyper_parameters: [(&str, Field); 10] = [
            ("vocab_size", (count as u32).into()),
            ("context_length", 64_u32.into()),
            ("embedding_length", (EMBEDDING as u32).into()),
            ("block_count", BLOCKS.into()),
            ("feed_forward_length", (FEED_FORWARD as u32).into()),
            ("rope.dimension_count", (EMBEDDING as u32 / HEADS).into()),
            ("attention.head_count", HEADS.into()),
            ("attention.head_count_kv", HEADS.into()),
            ("attention.layer_norm_rms_epsilon", 1e-5_f32.into()),
            ("rope.freq_base", 500_000_f32.into()),
        ];
        for (key, value) in hyper_parameters {
            tiny.set(&format!("bitnet-b1.58.{key}"), value);
        }
        tiny.set("tokenizer.ggml.model", "gpt2");
        tiny.set("tokenizer.ggml.pre", "llama-bpe");
        tiny.set("tokenizer.ggml.tokens", tokens.clone());
        let kinds: Vec<i32> = tokens
            .iter()
            .map(|token| if token.starts_with("<|") { 3 } else { 1 })
            .collect();
        tiny.set("tokenizer.ggml.token_type", kinds);
        tiny.set("tokenizer.ggml.merges", vec!["a b"]);
        tiny.set("tokenizer.ggml.bos_token_id", (count as u32) - 2);
        tiny.set("tokenizer.ggml.eos_token_id", (count as u32) - 1);
        tiny.set("tokenizer.ggml.add_bos_token", true);
        tiny.f16("token_embd.weight", &[EMBEDDING, count]);
        tiny.norm("output_norm.weight", EMBEDDING);
        for block in 0..BLOCKS {
            tiny.block(block);
        }
        tiny
    }

    fn block(&mut self, block: u32) {
        let (e, f) = (EMBEDDING, FEED_FORWARD);
        let name = |part: &str| format!("blk.{block}.{part}.weight");
        for part in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            self.ternary(&name(part), &[e, e]);
        }
        self.ternary(&name("ffn_gate"), &[e, f]);
        self.ternary(&name("ffn_up"), &[e, f]);
        self.ternary(&name("ffn_down"), &[f, e]);
        self.norm(&name("attn_norm"), e);
        self.norm(&name("attn_sub_norm"), e);
        self.norm(&name("ffn_norm"), e);
        self.norm(&name("ffn_sub_norm"), f);
    }

    /// Adds a key or replaces its value.
    pub fn set(&mut self, key: &str, value: impl Into<Field>) {
        let value = value.into();
        match self.keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key.to_owned(), value)),
        }
    }

    /// Removes a key.
    pub fn unset(&mut self, key: &str) {
        let before = self.keys.len();
        self.keys.retain(|(known, _)| known != key);
        assert_ne!(self.keys.len(), before, "there was no {key}");
    }

    /// Renames the architecture and every key under it.
    pub fn architecture(&mut self, name: &str) {
        for (key, _) in &mut self.keys {
            if let Some(rest) = key.strip_prefix("bitnet-b1.58.") {
                *key = format!("{name}.{rest}");
            }
        }
        self.set("general.architecture", name);
    }

    /// The tensor of that name, to be damaged.
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        let found = self.tensors.iter_mut().find(|tensor| tensor.name == name);
        found.expect("a tensor of that name")
    }

    /// Removes a tensor.
    pub fn remove(&mut self, name: &str) {
        self.tensor(name);
        self.tensors.retain(|tensor| tensor.name != name);
    }

    /// Appends gains around one.
    pub fn norm(&mut self, name: &str, len: u64) {
        let gain = |n: u64| 0.75 + (n % 5) as f32 * 0.125;
        self.f32(name, &[len], (0..len).map(gain).collect());
    }

    /// Appends plain floats.
    pub fn f32(&mut self, name: &str, dims: &[u64], values: Vec<f32>) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.push(name, dims, F32, bytes);
    }

    fn f16(&mut self, name: &str, dims: &[u64]) {
        let elements: u64 = dims.iter().product();
        let small = |n: u64| 0x2c00_u16 + (n * 37 % 1024) as u16;
        let bytes = (0..elements).flat_map(|n| small(n).to_le_bytes()).collect();
        self.push(name, dims, F16, bytes);
    }

    fn ternary(&mut self, name: &str, dims: &[u64]) {
        let elements: u64 = dims.iter().product();
        self.push(name, dims, I2_S, i2_s(elements, 0.5));
    }

    fn push(&mut self, name: &str, dims: &[u64], type_id: u32, bytes: Vec<u8>) {
        self.tensors.push(Tensor {
            name: name.to_owned(),
            dims: dims.to_vec(),
            type_id,
            bytes,
        });
    }

    /// The file.
    pub fn file(&self) -> Vec<u8> {
        let mut writer = Writer::new(3);
        for (key, value) in &self.keys {
            writer = writer.key(key, value.clone());
        }
        for tensor in &self.tensors {
            let bytes = tensor.bytes.clone();
            writer = writer.tensor(&tensor.name, &tensor.dims, tensor.type_id, bytes);
        }
        writer.finish()
    }
}

/// Codes 0, 1 and 2 without a pattern, the scale, and the rest of the trailer.
pub fn i2_s(elements: u64, scale: f32) -> Vec<u8> {
    let mut state = 1_u32;
    let mut code = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as u8 % 3
    };
    let byte = |_| code() | code() << 2 | code() << 4 | code() << 6;
    let mut bytes: Vec<u8> = (0..elements / 4).map(byte).collect();
    bytes.extend_from_slice(&scale.to_le_bytes());
    // Writers leave whatever was in their buffer here; nobody may complain about it.
    bytes.extend_from_slice(&[0xee; 28]);
    bytes
}

/// The 256 characters of the byte-level alphabet, one merge, two control tokens.
pub fn vocabulary() -> Vec<String> {
    let printable = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let shown = (0..256).filter(|&b| printable(b));
    let moved = 256..256 + (0..256).filter(|&b| !printable(b)).count() as u32;
    let letters = shown.chain(moved).filter_map(char::from_u32);
    let mut tokens: Vec<String> = letters.map(String::from).collect();
    tokens.push("ab".into());
    tokens.push("<|begin|>".into());
    tokens.push("<|end|>".into());
    tokens
}
