//! A reference's kernels, asked one call after another.

use super::question::{Answer, Computer, Question};
use crate::reference::Reference;
use crate::reference::client::Client;
use crate::reference::isolation::{
    Call, Computed, Done, Part, Request, TypeFacts, WorkerExit, pack, parts,
};

/// A reference, and the process it answers from: a new one after each death.
pub struct ReferenceKernels(Client);

impl ReferenceKernels {
    /// Nothing is started before the first question.
    pub fn new(reference: &Reference) -> Self {
        ReferenceKernels(Client::new(reference))
    }

    fn ask(&mut self, call: Call, array: &[f32]) -> Result<(Answer, Computed), WorkerExit> {
        let mut answer = Answer::default();
        let each = |part, array: Vec<f32>| {
            if let Part::Numbers { values, bytes } = part {
                let count = array.len();
                let numbers = parts(array, values, bytes);
                let wrong = || format!("{count} numbers are not what it says they are");
                (answer.values, answer.bytes) = numbers.ok_or_else(wrong)?;
            }
            Ok(())
        };
        let last = |done| match done {
            Done::Computed(computed) => Some(computed),
            _ => None,
        };
        let request = Request::Kernel { call };
        let computed = self.0.stream(&request, array, each, last)?;
        answer.sum = computed.sum;
        Ok((answer, computed))
    }
}

impl Computer for ReferenceKernels {
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit> {
        let (_, computed) = self.ask(Call::Describe { kind }, &[])?;
        Ok(computed.facts)
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
        let values = question.values.iter().copied();
        let array: Vec<f32> = values.chain(pack(&question.bytes)).collect();
        self.ask(question.call, &array).map(|(answer, _)| answer)
    }
}
