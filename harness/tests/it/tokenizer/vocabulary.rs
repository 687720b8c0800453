//! A byte-level vocabulary small enough to read, in which every rule matters somewhere.
#![forbid(unsafe_code)]

use engine::bytes::ModelBytes;
use engine::gguf::{Gguf, Writer};
use engine::tokenizer::Tokenizer;

/// What a file of it says, to be changed.
#[derive(Clone)]
pub struct Vocabulary {
    pub rules: &'static str,
    pub merges: Vec<&'static str>,
    pub kind_of_mark: i32,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Vocabulary {
            rules: "llama-bpe",
            merges: vec![
                "a b", "b c", "t h", "th e", "Ġ t", "Ġ Ġ", "' S", "1 2", "12 3", "3 4",
            ],
            kind_of_mark: 4,
        }
    }
}

impl Vocabulary {
    pub fn tokenizer(&self) -> Tokenizer {
        let mut tokens: Vec<String> = alphabet().collect();
        // Their places do not depend on the order of the merges.
        let mut merged: Vec<String> = self.merges.iter().map(|m| m.replace(' ', "")).collect();
        merged.sort_unstable();
        tokens.extend(merged);
        let mut kinds = vec![1; tokens.len()];
        tokens.extend(["<m>", "<b>", "<e>"].map(String::from));
        kinds.extend([self.kind_of_mark, 3, 3]);
        let last = tokens.len() as u32 - 1;
        let file = Writer::new(3)
            .key("tokenizer.ggml.model", "gpt2")
            .key("tokenizer.ggml.pre", self.rules)
            .key("tokenizer.ggml.tokens", tokens)
            .key("tokenizer.ggml.token_type", kinds)
            .key("tokenizer.ggml.merges", self.merges.clone())
            .key("tokenizer.ggml.bos_token_id", last - 1)
            .key("tokenizer.ggml.eos_token_id", last)
            .finish();
        let gguf = Gguf::parse(ModelBytes::from_vec(file)).expect("sound");
        let tokenizer = Tokenizer::from_metadata(&gguf.metadata).expect("sound");
        tokenizer.expect("a vocabulary")
    }
}

/// The characters that stand for bytes: visible ones for themselves, the others from 256 on.
fn alphabet() -> impl Iterator<Item = String> {
    let visible = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let hidden = (0..256).filter(|byte| !visible(byte)).count() as u32;
    let codes = (0..256).filter(visible).chain(256..256 + hidden);
    codes.filter_map(char::from_u32).map(String::from)
}
