//! A reference as one who answers, through a worker that lives from question to question.
#![forbid(unsafe_code)]

use super::question::{Answer, Computer, Question};
use crate::reference::Reference;
use crate::reference::isolation::{
    Answer as LastWord, Call, Computed, Ended, Reply, Request, TypeFacts, Worker, pack, parts,
};

/// A reference, and the process it answers from: a new one after each death.
pub struct Theirs {
    reference: Reference,
    worker: Option<Worker>,
}

impl Theirs {
    /// Nothing is started before the first question.
    pub fn new(reference: &Reference) -> Self {
        Theirs {
            reference: reference.clone(),
            worker: None,
        }
    }

    fn ask(&mut self, call: Call, array: &[f32]) -> Result<(Answer, Computed), Ended> {
        if self.worker.is_none() {
            self.worker = Some(self.reference.worker()?);
        }
        let worker = self.worker.as_mut().expect("one was started");
        let mut answer = Answer::default();
        let take = |reply, array: Vec<f32>| match reply {
            Reply::Numbers { values, bytes } => {
                let count = array.len();
                let (values, bytes) = parts(array, values, bytes)
                    .ok_or_else(|| format!("{count} numbers are not what it says they are"))?;
                (answer.values, answer.bytes) = (values, bytes);
                Ok(None)
            }
            Reply::Answer(LastWord::Computed(computed)) => Ok(Some(computed)),
            other => Err(format!("{other:?} is no part of an answer")),
        };
        let result = worker.ask(&Request::Kernel { call }, array, take);
        if matches!(result, Err(Ended::Died(_))) {
            self.worker = None;
        }
        let computed = result?;
        answer.sum = computed.sum;
        Ok((answer, computed))
    }
}

impl Computer for Theirs {
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, Ended> {
        let (_, computed) = self.ask(Call::Describe { kind }, &[])?;
        Ok(computed.facts)
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, Ended> {
        let values = question.values.iter().copied();
        let array: Vec<f32> = values.chain(pack(&question.bytes)).collect();
        self.ask(question.call, &array).map(|(answer, _)| answer)
    }
}
