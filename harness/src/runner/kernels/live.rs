//! A reference's kernels, asked one call after another.

use ffi::TypeFacts;

use super::question::{Answer, Computer, Question};
use crate::reference::Reference;
use crate::reference::client::Client;
use crate::reference::isolation::{Done, Request, WorkerExit};

/// A reference, and the process it answers from: a new one after each death.
pub struct ReferenceKernels(Client);

impl ReferenceKernels {
    /// Nothing is started before the first question.
    pub fn new(reference: &Reference) -> Self {
        ReferenceKernels(Client::new(reference))
    }
}

impl Computer for ReferenceKernels {
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit> {
        self.0.ask(&Request::Type { kind }, |done| match done {
            Done::Type(facts) => Some(facts),
            _ => None,
        })
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
        let request = Request::Kernel {
            call: question.call,
            values: question.values.clone(),
            bytes: question.bytes.clone(),
        };
        self.0.ask(&request, |done| match done {
            Done::Computed(answer) => Some(answer),
            _ => None,
        })
    }
}
