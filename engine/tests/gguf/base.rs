//! The two small valid models every malformed file is made from.

use crate::builder::{Draft, f32, f32s, i32s, text, texts, u32};

/// What a valid file is a model of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Arch `llama`, F32 weights, 64 wide.
    LlamaF32,
    /// Arch `bitnet-b1.58`, I2_S weights, 128 wide.
    BitnetI2s,
}

/// Tokens of both: three special ones, 256 bytes, five pieces.
pub const VOCAB: usize = 264;
pub const F32: u32 = 0;
pub const I2_S: u32 = 36;

/// What the tensors' shapes derive from.
#[derive(Debug, Clone, Copy)]
pub struct Dims {
    pub embedding: u64,
    pub heads: u64,
    pub vocab: u64,
}

impl Dims {
    pub fn feed_forward(self) -> u64 {
        2 * self.embedding
    }

    pub fn head_dim(self) -> u64 {
        self.embedding / self.heads
    }
}

impl Base {
    pub const ALL: [Base; 2] = [Base::LlamaF32, Base::BitnetI2s];

    pub fn arch(self) -> &'static str {
        match self {
            Base::LlamaF32 => "llama",
            Base::BitnetI2s => "bitnet-b1.58",
        }
    }

    /// A key under the architecture's prefix.
    pub fn key(self, name: &str) -> String {
        format!("{}.{name}", self.arch())
    }

    /// The numbers of the base file.
    pub fn dims(self) -> Dims {
        let embedding = match self {
            Base::LlamaF32 => 64,
            Base::BitnetI2s => 128,
        };
        Dims {
            embedding,
            heads: 4,
            vocab: VOCAB as u64,
        }
    }

    /// The valid file.
    pub fn draft(self) -> Draft {
        self.draft_of(self.dims())
    }

    /// A file of other dimensions, valid as far as they are.
    pub fn draft_of(self, dims: Dims) -> Draft {
        let mut draft = Draft::new();
        self.put_hparams(&mut draft, dims);
        put_vocab(&mut draft);
        self.put_tensors(&mut draft, dims);
        draft
    }

    fn put_hparams(self, draft: &mut Draft, dims: Dims) {
        let mut number = |name: &str, value: u64| draft.set(&self.key(name), u32(value as u32));
        number("context_length", 64);
        number("embedding_length", dims.embedding);
        number("block_count", 1);
        number("feed_forward_length", dims.feed_forward());
        number("attention.head_count", dims.heads);
        number("attention.head_count_kv", dims.heads / 2);
        number("rope.dimension_count", dims.head_dim());
        number("vocab_size", dims.vocab);
        draft.set(&self.key("attention.layer_norm_rms_epsilon"), f32(1e-5));
        draft.set(&self.key("rope.freq_base"), f32(10_000.0));
        draft.set("general.architecture", text(self.arch()));
        draft.set("general.name", text("a small model"));
        draft.set("general.alignment", u32(32));
    }

    fn put_tensors(self, draft: &mut Draft, dims: Dims) {
        let [wide, ff, vocab] = [dims.embedding, dims.feed_forward(), dims.vocab];
        let kv = dims.embedding / 2;
        draft.tensor(
            "token_embd.weight",
            &[wide, vocab],
            F32,
            weights(wide * vocab),
        );
        if self == Base::LlamaF32 {
            // 32 bytes: the offsets behind it are multiples of 32 but not of 64.
            let half = dims.head_dim() / 2;
            draft.tensor("rope_freqs.weight", &[half], F32, ones(half));
            draft.tensor("output.weight", &[wide, vocab], F32, weights(wide * vocab));
        }
        self.put_linear(draft, "attn_q", wide, wide);
        self.put_linear(draft, "attn_k", wide, kv);
        self.put_linear(draft, "attn_v", wide, kv);
        self.put_linear(draft, "attn_output", wide, wide);
        self.put_linear(draft, "ffn_gate", wide, ff);
        self.put_linear(draft, "ffn_up", wide, ff);
        self.put_linear(draft, "ffn_down", ff, wide);
        draft.tensor("blk.0.attn_norm.weight", &[wide], F32, ones(wide));
        draft.tensor("blk.0.ffn_norm.weight", &[wide], F32, ones(wide));
        if self == Base::BitnetI2s {
            draft.tensor("blk.0.attn_sub_norm.weight", &[wide], F32, ones(wide));
            draft.tensor("blk.0.ffn_sub_norm.weight", &[ff], F32, ones(ff));
        }
        draft.tensor("output_norm.weight", &[wide], F32, ones(wide));
    }

    fn put_linear(self, draft: &mut Draft, part: &str, cols: u64, rows: u64) {
        let name = format!("blk.0.{part}.weight");
        match self {
            Base::LlamaF32 => draft.tensor(&name, &[cols, rows], F32, weights(cols * rows)),
            Base::BitnetI2s => draft.tensor(&name, &[cols, rows], I2_S, i2_s(cols * rows)),
        }
    }
}

/// A SentencePiece vocabulary with all byte tokens.
pub fn tokens() -> Vec<String> {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).into();
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(["\u{2581}", "a", "b", "ab", "\u{2581}ab"].map(String::from));
    assert_eq!(tokens.len(), VOCAB);
    tokens
}

fn put_vocab(draft: &mut Draft) {
    let kinds = (0..VOCAB as i32).map(|id| match id {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    });
    draft.set("tokenizer.ggml.model", text("llama"));
    draft.set("tokenizer.ggml.tokens", texts(tokens()));
    draft.set(
        "tokenizer.ggml.scores",
        f32s((0..VOCAB).map(|id| -(id as f32))),
    );
    draft.set("tokenizer.ggml.token_type", i32s(kinds));
    draft.set("tokenizer.ggml.bos_token_id", u32(1));
    draft.set("tokenizer.ggml.eos_token_id", u32(2));
    draft.set("tokenizer.ggml.unknown_token_id", u32(0));
}

/// Small numbers of both signs that no two neighbours share.
pub fn weights(count: u64) -> Vec<u8> {
    let value = |index: u64| ((index * 7919 % 1013) as f32 - 506.0) / 4096.0;
    (0..count)
        .flat_map(|index| value(index).to_le_bytes())
        .collect()
}

pub fn ones(count: u64) -> Vec<u8> {
    (0..count).flat_map(|_| 1.0f32.to_le_bytes()).collect()
}

/// Two-bit codes 0, 1 and 2, the scale behind them and 28 bytes of trailer.
pub fn i2_s(count: u64) -> Vec<u8> {
    let code = |index: u64| (index * 7919 % 1013 % 3) as u8;
    let pack = |byte: u64| (0..4).fold(0, |packed, at| packed << 2 | code(byte * 4 + at));
    let mut bytes: Vec<u8> = (0..count / 4).map(pack).collect();
    bytes.extend_from_slice(&0.05f32.to_le_bytes());
    bytes.resize(bytes.len() + 28, 0);
    bytes
}
