//! Which tokens no text can become under each family of word rules: the vocabulary's own evidence
//! of the rules it was trained with.
#![forbid(unsafe_code)]

use super::{Algorithm, Tokenizer, split};
use crate::Token;
use crate::tokenizer::TokenKind;

impl Tokenizer {
    /// For each family of word rules its name and how many tokens of text it cuts into several
    /// words, so that no text becomes them. Empty for SentencePiece, which has no words.
    pub fn cut_apart(&self) -> Vec<(&'static str, usize)> {
        if let Algorithm::SentencePiece(_) = self.algorithm {
            return Vec::new();
        }
        let is_text = |&token: &Token| {
            let kind = self.kind(token);
            matches!(kind, Some(TokenKind::Normal | TokenKind::Undefined))
        };
        let tokens = (0..self.vocab_size() as Token).filter(is_text);
        let texts: Vec<String> = tokens
            .filter_map(|token| String::from_utf8(self.piece(token, false).into_owned()).ok())
            .collect();
        let count = |family: &'static split::Family| {
            let apart = texts.iter().filter(|text| {
                let mut words = 0;
                split::split(family.stages, text, |_| words += 1);
                words > 1
            });
            (family.names[0], apart.count())
        };
        split::FAMILIES.iter().map(count).collect()
    }
}
