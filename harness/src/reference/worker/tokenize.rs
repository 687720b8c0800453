//! Texts into ids, ids into bytes, and what a vocabulary holds.

use engine::Token;
use ffi::{Error, Status, Text};

use super::{Held, refused};
use crate::case::observation::tokenization::{
    Answer, Entry, EscapedBytes, Facts, KIND_BITS, Question, TokenizerReply,
};
use crate::file::provenance;
use crate::reference::isolation::{Channel, Described, Stop};

impl Held {
    pub(super) fn spell(
        &self,
        questions: &[Question],
        channel: &mut Channel,
    ) -> Result<Vec<Answer>, Stop> {
        channel.phase("turning texts into ids and ids into bytes")?;
        Ok(questions.iter().map(|asked| self.answer(asked)).collect())
    }

    fn answer(&self, question: &Question) -> Answer {
        std::array::from_fn(|way| match (question, Question::switches(way)) {
            (Question::Text(text), (add, parse)) => said(
                self.model.tokenize(&text.0, add, parse),
                TokenizerReply::Ids,
            ),
            (Question::Ids(ids), (shown, cleaned)) => {
                let how = if cleaned { Text::Cleaned } else { Text::Pieces };
                said(self.model.detokenize(ids, shown, how), |bytes| {
                    TokenizerReply::Bytes(EscapedBytes(bytes))
                })
            }
        })
    }

    pub(super) fn describe(
        &self,
        first: Token,
        count: usize,
        in_full: bool,
        channel: &mut Channel,
    ) -> Result<Described, Stop> {
        channel.phase("looking up tokens")?;
        let facts = self.model.facts();
        let end = (first as usize).saturating_add(count).min(facts.n_vocab);
        let entries = (first..end as Token).map(|token| self.entry(token));
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>().map_err(refused)?;
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| entry.write(&mut bytes));
        Ok(Described {
            facts: Facts {
                tokens: facts.n_vocab,
                bos: facts.bos,
                eos: facts.eos,
                add_bos: facts.add_bos,
                add_eos: facts.add_eos,
            },
            sha256: provenance::sha256(&bytes),
            entries: if in_full { entries } else { Vec::new() },
        })
    }

    fn entry(&self, token: Token) -> Result<Entry, Error> {
        let facts = self.model.token(token)?;
        let piece = |shown| self.model.detokenize(&[token], shown, Text::Pieces);
        Ok(Entry {
            text: EscapedBytes(facts.text),
            kind: facts.attributes & KIND_BITS,
            score: (facts.score + 0.0).to_bits(),
            ends: facts.is_end_of_generation,
            hidden: EscapedBytes(piece(false)?),
            shown: EscapedBytes(piece(true)?),
        })
    }
}

/// What the library does with one question, exceptions included: the next one is another matter.
fn said<T>(
    answered: Result<T, Error>,
    as_answer: impl FnOnce(T) -> TokenizerReply,
) -> TokenizerReply {
    match answered {
        Ok(answer) => as_answer(answer),
        Err(Error::Refused {
            status: Status::Exception,
            message,
            ..
        }) => TokenizerReply::Refused(message),
        Err(error) => TokenizerReply::Refused(error.to_string()),
    }
}
