//! The engine's tokenizer, asked like any other.

use std::ops::Range;

use engine::Token;
use engine::tokenizer::{TokenKind, Tokenizer};

use super::TokenizerUnderTest;
use crate::case::observation::tokenization::{
    Answer, Entry, EscapedBytes, Facts, Question, TokenizerReply,
};
use crate::exit::Failure;
use crate::file::provenance;
use crate::reference::isolation::Described;

/// The tokenizer of one model.
pub struct Engine<'a>(pub &'a Tokenizer);

impl TokenizerUnderTest for Engine<'_> {
    fn answer(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
        let answer = |question: &Question| std::array::from_fn(|way| self.said(question, way));
        Ok(questions.iter().map(answer).collect())
    }

    fn describe(&mut self, tokens: Range<usize>, in_full: bool) -> Result<Described, Failure> {
        let end = tokens.end.min(self.0.vocab_size());
        let entries = (tokens.start..end).map(|token| self.entry(token as Token));
        let entries: Vec<Entry> = entries.collect();
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| entry.write(&mut bytes));
        Ok(Described {
            facts: Facts {
                tokens: self.0.vocab_size(),
                bos: self.0.bos(),
                eos: self.0.eos(),
                add_bos: Some(self.0.adds_bos()),
                add_eos: Some(self.0.adds_eos()),
            },
            sha256: provenance::sha256(&bytes),
            entries: if in_full { entries } else { Vec::new() },
        })
    }
}

impl Engine<'_> {
    fn said(&self, question: &Question, way: usize) -> TokenizerReply {
        let (tokenizer, switches) = (self.0, Question::switches(way));
        let bytes = match (question, switches) {
            (Question::Text(text), (add, parse)) => {
                return match std::str::from_utf8(&text.0) {
                    Ok(text) => TokenizerReply::Ids(tokenizer.encode(text, add, parse)),
                    Err(e) => {
                        let at = e.valid_up_to();
                        let why = format!("INVALID_UTF8: byte {at} begins no character");
                        TokenizerReply::Refused(why)
                    }
                };
            }
            (Question::Ids(ids), (shown, true)) => tokenizer.decode_bytes(ids, shown),
            (Question::Ids(ids), (shown, false)) => {
                let pieces = ids.iter().map(|&id| tokenizer.piece(id, shown));
                pieces.flat_map(|piece| piece.into_owned()).collect()
            }
        };
        TokenizerReply::Bytes(EscapedBytes(bytes))
    }

    fn entry(&self, token: Token) -> Entry {
        Entry {
            text: EscapedBytes(self.0.token_text(token).unwrap_or_default().to_vec()),
            kind: self.0.kind(token).map_or(0, |kind| numbers(kind).1),
            score: self.0.score(token).unwrap_or(0.0).to_bits(),
            ends: self.0.is_end(token),
            hidden: EscapedBytes(self.0.piece(token, false).into_owned()),
            shown: EscapedBytes(self.0.piece(token, true).into_owned()),
        }
    }
}

/// How files write a kind, and the bit that stands for it in the libraries of the family.
pub(super) fn numbers(kind: TokenKind) -> (i32, u32) {
    match kind {
        TokenKind::Undefined => (0, 0),
        TokenKind::Normal => (1, 4),
        TokenKind::Unknown => (2, 1),
        TokenKind::Control => (3, 8),
        TokenKind::UserDefined => (4, 16),
        TokenKind::Unused => (5, 2),
        TokenKind::Byte => (6, 32),
    }
}
