//! Texts into ids, ids into bytes, and what a vocabulary holds.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use engine::Token;
use ffi::{Error, Model, ModelOptions, Status, Text};

use super::{Reference, refused};
use crate::case::observation::spelling::{Answer, Entry, Facts, KIND_BITS, Question, Raw, Said};
use crate::file::provenance::{self, Input};
use crate::reference::isolation::{Channel, Described, Stop};

/// A model file of which only the vocabulary was read.
pub(super) struct Vocabulary {
    file: PathBuf,
    sha256: String,
    model: Model,
}

impl Reference {
    /// The vocabulary of a file, read unless it is the one that was asked about last.
    pub(super) fn vocabulary(
        &mut self,
        file: &Path,
        channel: &mut Channel,
    ) -> Result<&Vocabulary, Stop> {
        if self.vocabulary.as_ref().is_none_or(|v| v.file != file) {
            let (input, _) = Input::read(file).map_err(refused)?;
            channel.phase("reading the vocabulary")?;
            let options = ModelOptions {
                vocab_only: true,
                ..ModelOptions::default()
            };
            let model = self.library.model(file, &options).map_err(refused)?;
            // The library read the file again: it must still be the one that was hashed.
            input.still_holds().map_err(refused)?;
            self.vocabulary = Some(Vocabulary {
                file: file.to_owned(),
                sha256: input.sha256,
                model,
            });
        }
        Ok(self.vocabulary.as_ref().expect("read above"))
    }
}

impl Vocabulary {
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
            (Question::Text(text), (add, parse)) => {
                said(self.model.tokenize(&text.0, add, parse), Said::Ids)
            }
            (Question::Ids(ids), (shown, cleaned)) => {
                let how = if cleaned { Text::Cleaned } else { Text::Pieces };
                said(self.model.detokenize(ids, shown, how), |bytes| {
                    Said::Bytes(Raw(bytes))
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
            model_sha256: self.sha256.clone(),
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
            text: Raw(facts.text),
            kind: facts.attributes & KIND_BITS,
            score: (facts.score + 0.0).to_bits(),
            ends: facts.is_end_of_generation,
            hidden: Raw(piece(false)?),
            shown: Raw(piece(true)?),
        })
    }
}

/// What the library does with one question, exceptions included: the next one is another matter.
fn said<T>(answered: Result<T, Error>, as_answer: impl FnOnce(T) -> Said) -> Said {
    match answered {
        Ok(answer) => as_answer(answer),
        Err(Error::Refused {
            status: Status::Exception,
            message,
            ..
        }) => Said::Refused(message),
        Err(error) => Said::Refused(error.to_string()),
    }
}
