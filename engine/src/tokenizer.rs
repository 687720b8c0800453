//! Text ↔ token ids, from the vocabulary inside a GGUF file.
#![forbid(unsafe_code)]

use crate::Token;
use crate::gguf::Metadata;
use crate::refusal::Refusal;

/// A vocabulary and the algorithm that goes with it.
pub struct Tokenizer {}

impl Tokenizer {
    /// Builds the tokenizer the metadata describes; `None` for files that say `no_vocab`.
    pub fn from_metadata(_metadata: &Metadata) -> Result<Option<Self>, Refusal> {
        todo!("tokenizer")
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        todo!("tokenizer")
    }

    /// Text to ids. `add_special` adds the BOS/EOS the model asks for, `parse_special` recognises
    /// control tokens written out in the text.
    pub fn encode(&self, _text: &str, _add_special: bool, _parse_special: bool) -> Vec<Token> {
        todo!("tokenizer")
    }

    /// The bytes one token stands for; control tokens stand for nothing unless `special`.
    pub fn piece(&self, _token: Token, _special: bool) -> &[u8] {
        todo!("tokenizer")
    }

    /// Ids to text, invalid UTF-8 replaced.
    pub fn decode(&self, _tokens: &[Token], _special: bool) -> String {
        todo!("tokenizer")
    }

    /// Whether generation stops at this token.
    pub fn is_end(&self, _token: Token) -> bool {
        todo!("tokenizer")
    }

    /// Beginning-of-text token, if the vocabulary has one.
    pub fn bos(&self) -> Option<Token> {
        todo!("tokenizer")
    }

    /// End-of-text token, if the vocabulary has one.
    pub fn eos(&self) -> Option<Token> {
        todo!("tokenizer")
    }

    /// The model's own chat template, Jinja source.
    pub fn chat_template(&self) -> Option<&str> {
        todo!("tokenizer")
    }
}
