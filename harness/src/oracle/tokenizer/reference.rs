//! A live reference's tokenizer: asked in portions, and asked again where a question kills it.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use engine::gguf::Gguf;

use super::{Tokenizes, marked};
use crate::case::observation::spelling::{Answer, Entry, Facts, Question, Said};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::reference::isolation::{self, Described, Ended, Reply, Request, Worker};
use crate::reference::{Reference, Scratch};

/// Bytes and ids asked about at once: the answers must fit a frame.
const PORTION: usize = 100_000;

/// Questions it may die of before nobody asks it any more.
const DEATHS: usize = 16;

/// A reference with the vocabulary of one model.
pub struct Asked<'a> {
    reference: &'a Reference,
    model: PathBuf,
    sha256: String,
    /// Where the model is, if it was made for this reference.
    _made: Option<Scratch>,
    /// The process that is asked. Dead or not started yet, there is none.
    worker: Option<Worker>,
    deaths: usize,
    facts: Facts,
}

impl<'a> Asked<'a> {
    /// Opens the vocabulary; refused if the reference does not know it. A library that takes the
    /// type of the fixtures' weights for another one gets the file without its tensors.
    pub fn open(reference: &'a Reference, model: &Input, gguf: &Gguf) -> Result<Self, Ended> {
        let readable = reference.hello().knows_i2_s || gguf.tensors.is_empty();
        let made = (!readable).then(|| Scratch::write(&marked::without_tensors(gguf)));
        let made = made
            .transpose()
            .map_err(|e| Ended::Refused(e.to_string()))?;
        let (path, sha256) = match &made {
            Some(made) => (&made.path, &made.sha256),
            None => (&model.path, &model.sha256),
        };
        let nothing = Facts {
            tokens: 0,
            bos: None,
            eos: None,
            add_bos: None,
            add_eos: None,
        };
        let mut asked = Asked {
            reference,
            model: path.clone(),
            sha256: sha256.clone(),
            _made: made,
            worker: None,
            deaths: 0,
            facts: nothing,
        };
        asked.facts = asked.describe(0, 0, false)?.facts;
        Ok(asked)
    }

    fn ask<T>(
        &mut self,
        request: &Request,
        take: impl FnOnce(isolation::Answer) -> Result<T, String>,
    ) -> Result<T, Ended> {
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.reference.worker()?,
        };
        let mut take = Some(take);
        let taken = worker.ask(request, &[], |reply, _| match (reply, take.take()) {
            (Reply::Answer(answer), Some(take)) => take(answer).map(Some),
            (other, _) => Err(format!("{other:?} is no part of an answer")),
        });
        if !matches!(taken, Err(Ended::Died(_))) {
            self.worker = Some(worker);
        }
        taken
    }

    fn describe(&mut self, first: usize, count: usize, in_full: bool) -> Result<Described, Ended> {
        let request = Request::Describe {
            model: self.model.clone(),
            first: first as u32,
            count,
            in_full,
        };
        let ours = self.sha256.clone();
        self.ask(&request, |answer| match answer {
            isolation::Answer::Described(described) if described.model_sha256 == ours => {
                Ok(described)
            }
            isolation::Answer::Described(described) => {
                let theirs = described.model_sha256;
                Err(format!(
                    "it answers for a model with sha256 {theirs}, not {ours}"
                ))
            }
            other => Err(format!("{other:?} is no description")),
        })
    }

    /// All answers, whatever becomes of whoever gives them: where the process dies the questions
    /// are halved until the one that kills it is alone.
    fn spell(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Ended> {
        let request = Request::Spell {
            model: self.model.clone(),
            questions: questions.to_vec(),
        };
        let died = match self.ask(&request, |answer| fitting(answer, questions)) {
            Err(Ended::Died(death)) => death,
            done => return done,
        };
        match questions {
            [] => Err(Ended::Died(died)),
            [_] if self.deaths == DEATHS => Err(Ended::Died(died)),
            [_] => {
                self.deaths += 1;
                Ok(vec![std::array::from_fn(|_| Said::Died(died.to_string()))])
            }
            _ => {
                let (left, right) = questions.split_at(questions.len() / 2);
                let mut answers = self.spell(left)?;
                answers.extend(self.spell(right)?);
                Ok(answers)
            }
        }
    }
}

impl Tokenizes for Asked<'_> {
    fn answer(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
        let mut answers = Vec::with_capacity(questions.len());
        for portion in portions(questions) {
            answers.extend(self.spell(portion).map_err(|e| failure(&e))?);
        }
        Ok(answers)
    }

    fn facts(&mut self) -> Result<Facts, Failure> {
        Ok(self.facts.clone())
    }

    fn digest(&mut self, first: usize, count: usize) -> Result<String, Failure> {
        let described = self.describe(first, count, false);
        Ok(described.map_err(|e| failure(&e))?.sha256)
    }

    fn entries(&mut self, first: usize, count: usize) -> Result<Vec<Entry>, Failure> {
        let described = self.describe(first, count, true);
        Ok(described.map_err(|e| failure(&e))?.entries)
    }
}

/// Answers of the right number and kind.
fn fitting(answer: isolation::Answer, questions: &[Question]) -> Result<Vec<Answer>, String> {
    let isolation::Answer::Spelled { answers } = answer else {
        return Err(format!("{answer:?} spells nothing"));
    };
    let fits = |(question, answer): (&Question, &Answer)| {
        answer.iter().all(|said| match (question, said) {
            (Question::Text(_), Said::Ids(_)) | (Question::Ids(_), Said::Bytes(_)) => true,
            (_, said) => matches!(said, Said::Refused(_)),
        })
    };
    match questions.len() == answers.len() && questions.iter().zip(&answers).all(fits) {
        true => Ok(answers),
        false => Err(format!("{} answers that fit no question", answers.len())),
    }
}

/// Neighbours whose lengths stay below [`PORTION`] together; a longer question is alone.
fn portions(mut questions: &[Question]) -> impl Iterator<Item = &[Question]> {
    std::iter::from_fn(move || {
        let mut size = 0;
        let fits = |question: &&Question| {
            size += 16 + question.len();
            size <= PORTION
        };
        let count = questions.iter().take_while(fits).count();
        let (portion, rest) = questions.split_at(count.max(1).min(questions.len()));
        questions = rest;
        (!portion.is_empty()).then_some(portion)
    })
}

fn failure(ended: &Ended) -> Failure {
    Failure::new(
        match ended {
            Ended::Refused(_) => Exit::ReferenceMissing,
            Ended::Died(_) => Exit::ReferenceDied,
        },
        ended.to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_bounded_and_lose_nothing() {
        let lengths = [10, PORTION, 3, PORTION / 2, PORTION / 2, 0, PORTION * 2];
        let questions: Vec<Question> = lengths.map(|n| Question::Ids(vec![0; n])).to_vec();
        let cut: Vec<&[Question]> = portions(&questions).collect();
        assert_eq!(cut.concat(), questions);
        assert!(cut.iter().all(|portion| !portion.is_empty()));
        let size = |portion: &&[Question]| portion.iter().map(Question::len).sum::<usize>();
        assert!(cut.iter().filter(|p| p.len() > 1).map(size).max() <= Some(PORTION));
        assert_eq!(portions(&[]).count(), 0);
    }
}
