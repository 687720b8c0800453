//! A reference's kernels, asked one call after another.
#![forbid(unsafe_code)]

use super::question::{Answer, Computer, Question};
use crate::reference::Reference;
use crate::reference::client::Client;
use crate::reference::isolation::{Call, Computed, Done, Request, TypeFacts, WorkerExit};

/// A reference, and the process it answers from: a new one after each death.
pub struct ReferenceKernels(Client);

impl ReferenceKernels {
    /// Nothing is started before the first question.
    pub fn new(reference: &Reference) -> Self {
        ReferenceKernels(Client::new(reference))
    }

    fn ask(&mut self, call: Call, values: &[f32], bytes: &[u8]) -> Result<Computed, WorkerExit> {
        let request = Request::Kernel {
            call,
            values: values.to_vec(),
            bytes: bytes.to_vec(),
        };
        self.0.ask(&request, |done| match done {
            Done::Computed(computed) => Some(computed),
            _ => None,
        })
    }
}

impl Computer for ReferenceKernels {
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit> {
        let computed = self.ask(Call::Describe { kind }, &[], &[])?;
        Ok(computed.facts)
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
        let computed = self.ask(question.call, &question.values, &question.bytes)?;
        Ok(Answer {
            values: computed.values,
            bytes: computed.bytes,
            sum: computed.sum,
        })
    }
}
