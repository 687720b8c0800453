//! A vocabulary in a file of its own: without tensors, or with more control tokens.

use engine::Token;
use engine::bytes::ModelBytes;
use engine::gguf::{Gguf, Writer};
use engine::refusal::Refusal;
use engine::tokenizer::{TokenKind, Tokenizer};

use super::engine::numbers;

const KINDS: &str = "tokenizer.ggml.token_type";

/// The tokenizer of the same file with the tokens of these texts as control tokens; nothing where
/// they are that already, or are not there.
pub fn with_control_tokens(
    gguf: &Gguf,
    tokenizer: &Tokenizer,
    texts: &[&str],
) -> Result<Option<Tokenizer>, Refusal> {
    let tokens = texts
        .iter()
        .filter_map(|text| tokenizer.token(text.as_bytes()));
    let is_text = |token: &Token| tokenizer.kind(*token) != Some(TokenKind::Control);
    let tokens: Vec<Token> = tokens.filter(is_text).collect();
    if tokens.is_empty() {
        return Ok(None);
    }
    let all = 0..tokenizer.vocab_size() as Token;
    let kind = |token| {
        let own = tokenizer.kind(token).unwrap_or(TokenKind::Undefined);
        let marked = tokens.contains(&token).then_some(TokenKind::Control);
        numbers(marked.unwrap_or(own)).0
    };
    let kinds: Vec<i32> = all.map(kind).collect();
    let file = keys(gguf, |key| key != KINDS).key(KINDS, kinds).finish();
    Tokenizer::from_metadata(&Gguf::parse(ModelBytes::from_vec(file))?.metadata)
}

/// A file with the same keys and no tensor: all that a vocabulary needs.
pub fn without_tensors(gguf: &Gguf) -> Vec<u8> {
    keys(gguf, |_| true).finish()
}

fn keys(gguf: &Gguf, keep: impl Fn(&str) -> bool) -> Writer {
    let kept = gguf.metadata.iter().filter(|(key, _)| keep(key));
    kept.fold(Writer::new(3), |writer, (key, value)| {
        writer.key(key, value)
    })
}
