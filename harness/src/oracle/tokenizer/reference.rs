//! A live reference's tokenizer: asked in portions, and asked again where a question kills it.

use std::ops::Range;

use engine::gguf::Gguf;

use super::{TokenizerUnderTest, marked};
use crate::case::observation::tokenization::{Answer, Question, TokenizerReply};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::reference::client::Client;
use crate::reference::isolation::{Described, Done, ModelFile, Request, WorkerExit};
use crate::reference::{Reference, Scratch};
use crate::runner::RunError;

/// Bytes and ids asked about at once: the answers must fit a frame.
const PORTION: usize = 100_000;

/// Questions it may die of before it is not asked any more.
const DEATHS: usize = 16;

/// A reference with the vocabulary of one model.
pub struct Spec {
    client: Client,
    model: ModelFile,
    /// Where the model is, if it was made for this reference.
    _made: Option<Scratch>,
    deaths: usize,
}

impl Spec {
    /// Opens the vocabulary; refused if the reference does not know it. A library that takes the
    /// type of the fixtures' weights for another one gets the file without its tensors.
    pub fn open(reference: &Reference, model: &Input, gguf: &Gguf) -> Result<Self, RunError> {
        let readable = reference.hello().knows_i2_s || gguf.tensors.is_empty();
        let made = (!readable).then(|| Scratch::write(&marked::without_tensors(gguf)));
        let made = made.transpose()?;
        let (path, sha256) = match &made {
            Some(made) => (made.path.clone(), made.sha256.clone()),
            None => (model.path.clone(), model.sha256.clone()),
        };
        let mut asked = Spec {
            client: Client::new(reference),
            model: ModelFile { path, sha256 },
            _made: made,
            deaths: 0,
        };
        asked.look_up(0..0, false)?;
        Ok(asked)
    }

    fn look_up(&mut self, tokens: Range<usize>, in_full: bool) -> Result<Described, WorkerExit> {
        let request = Request::Describe {
            model: self.model.clone(),
            first: tokens.start as u32,
            count: tokens.len(),
            in_full,
        };
        self.client.ask(&request, |done| match done {
            Done::Described(described) => Some(described),
            _ => None,
        })
    }

    /// All answers, whatever becomes of the process that gives them: where it dies the questions
    /// are halved until the one that kills it is alone.
    fn spell(&mut self, questions: &[Question]) -> Result<Vec<Answer>, WorkerExit> {
        let request = Request::Spell {
            model: self.model.clone(),
            questions: questions.to_vec(),
        };
        let answered = self.client.ask(&request, |done| match done {
            Done::Spelled { answers } => Some(answers),
            _ => None,
        });
        let fitting = answered.and_then(|answers| {
            if fit(&answers, questions) {
                return Ok(answers);
            }
            let complaint = format!("{} answers that fit no question", answers.len());
            Err(self.client.reject(complaint))
        });
        match (fitting, questions) {
            (Err(WorkerExit::Died(death)), [_]) if self.deaths < DEATHS => {
                self.deaths += 1;
                let died = || TokenizerReply::Died(death.to_string());
                Ok(vec![std::array::from_fn(|_| died())])
            }
            (Err(WorkerExit::Died(_)), [_, _, ..]) => {
                let (left, right) = questions.split_at(questions.len() / 2);
                let mut answers = self.spell(left)?;
                answers.extend(self.spell(right)?);
                Ok(answers)
            }
            (done, _) => done,
        }
    }
}

impl TokenizerUnderTest for Spec {
    fn answer(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
        let mut answers = Vec::with_capacity(questions.len());
        for portion in portions(questions) {
            answers.extend(self.spell(portion)?);
        }
        Ok(answers)
    }

    fn describe(&mut self, tokens: Range<usize>, in_full: bool) -> Result<Described, Failure> {
        Ok(self.look_up(tokens, in_full)?)
    }
}

/// Whether answers are of the right number and kind.
fn fit(answers: &[Answer], questions: &[Question]) -> bool {
    let fits = |(question, answer): (&Question, &Answer)| {
        answer.iter().all(|said| match (question, said) {
            (Question::Text(_), TokenizerReply::Ids(_))
            | (Question::Ids(_), TokenizerReply::Bytes(_)) => true,
            (_, said) => matches!(said, TokenizerReply::Refused(_)),
        })
    };
    questions.len() == answers.len() && questions.iter().zip(answers).all(fits)
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
