//! The engine's tokenizer, asked like any other.
#![forbid(unsafe_code)]

use engine::Token;
use engine::tokenizer::{TokenKind, Tokenizer};

use super::TokenizerUnderTest;
use crate::case::observation::tokenization::{
    Answer, Entry, EscapedBytes, Facts, Question, TokenizerReply,
};
use crate::exit::Failure;
use crate::file::provenance;

/// The tokenizer of one model.
pub struct Engine<'a>(pub &'a Tokenizer);

impl TokenizerUnderTest for Engine<'_> {
    fn answer(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
        let answer = |question: &Question| std::array::from_fn(|way| self.said(question, way));
        Ok(questions.iter().map(answer).collect())
    }

    fn facts(&mut self) -> Result<Facts, Failure> {
        Ok(Facts {
            tokens: self.0.vocab_size(),
            bos: self.0.bos(),
            eos: self.0.eos(),
            add_bos: Some(self.0.adds_bos()),
            add_eos: Some(self.0.adds_eos()),
        })
    }

    fn digest(&mut self, first: usize, count: usize) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        let entries = self.entries(first, count)?;
        entries.iter().for_each(|entry| entry.write(&mut bytes));
        Ok(provenance::sha256(&bytes))
    }

    fn entries(&mut self, first: usize, count: usize) -> Result<Vec<Entry>, Failure> {
        let end = first.saturating_add(count).min(self.0.vocab_size());
        Ok((first..end)
            .map(|token| self.entry(token as Token))
            .collect())
    }
}

impl Engine<'_> {
    fn said(&self, question: &Question, way: usize) -> TokenizerReply {
        match (question, Question::switches(way)) {
            (Question::Text(text), (add, parse)) => match std::str::from_utf8(&text.0) {
                Ok(text) => TokenizerReply::Ids(self.0.encode(text, add, parse)),
                Err(e) => {
                    let at = e.valid_up_to();
                    TokenizerReply::Refused(format!("INVALID_UTF8: byte {at} begins no character"))
                }
            },
            (Question::Ids(ids), (shown, true)) => {
                TokenizerReply::Bytes(EscapedBytes(self.0.decode_bytes(ids, shown)))
            }
            (Question::Ids(ids), (shown, false)) => {
                let pieces = ids
                    .iter()
                    .flat_map(|&id| self.0.piece(id, shown).into_owned());
                TokenizerReply::Bytes(EscapedBytes(pieces.collect()))
            }
        }
    }

    fn entry(&self, token: Token) -> Entry {
        Entry {
            text: EscapedBytes(self.0.token_text(token).unwrap_or_default().to_vec()),
            kind: self.0.kind(token).map_or(0, attributes),
            score: self.0.score(token).unwrap_or(0.0).to_bits(),
            ends: self.0.is_end(token),
            hidden: EscapedBytes(self.0.piece(token, false).into_owned()),
            shown: EscapedBytes(self.0.piece(token, true).into_owned()),
        }
    }
}

/// The bit that stands for a kind in the libraries of the family.
fn attributes(kind: TokenKind) -> u32 {
    match kind {
        TokenKind::Undefined => 0,
        TokenKind::Unknown => 1,
        TokenKind::Unused => 2,
        TokenKind::Normal => 4,
        TokenKind::Control => 8,
        TokenKind::UserDefined => 16,
        TokenKind::Byte => 32,
    }
}
