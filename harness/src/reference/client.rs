//! The near end of a worker: the one place where a question is sent and a reply is believed.
//!
//! Nothing is started before the first question. A worker that died, or said what it must not
//! say, is replaced before the next question; a refusal leaves it alive.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use super::Reference;
use super::isolation::{Answer, Done, Part, Reply, Request, Worker, WorkerExit};

/// A reference, and the process it answers from.
pub struct Client {
    reference: Reference,
    /// Bytes of the longest file it may write.
    file_size: u64,
    /// Which it is, where that is not its own choice.
    writes: Option<PathBuf>,
    /// Dead or not started yet, there is none.
    worker: Option<Worker>,
}

impl Client {
    /// Of a reference whose processes write no files.
    pub fn new(reference: &Reference) -> Self {
        Client::writing(reference, 0, None)
    }

    /// Of a reference whose processes may write files of so many bytes: that one alone, which is
    /// there already, unless they are programs with a folder of their own.
    pub fn writing(reference: &Reference, file_size: u64, writes: Option<&Path>) -> Self {
        Client {
            reference: reference.clone(),
            file_size,
            writes: writes.map(Path::to_owned),
            worker: None,
        }
    }

    /// Asks what is answered in one word; `last` takes it if it is of the right kind.
    pub fn ask<T>(
        &mut self,
        request: &Request,
        last: impl FnOnce(Done) -> Option<T>,
    ) -> Result<T, WorkerExit> {
        self.stream(request, |part| Err(unexpected(&part)), last)
    }

    /// Asks. `each` is handed every part of the answer and complains about those that make no
    /// sense; `last` takes the last word.
    pub fn stream<T>(
        &mut self,
        request: &Request,
        mut each: impl FnMut(Part) -> Result<(), String>,
        last: impl FnOnce(Done) -> Option<T>,
    ) -> Result<T, WorkerExit> {
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.reference.worker(self.file_size, self.writes.clone())?,
        };
        let mut last = Some(last);
        let result = worker.ask(request, |reply| match reply {
            Reply::Part(part) => each(part).map(|()| None),
            Reply::Answer(answer) => {
                is_about_the_model(request, &answer)?;
                let words = unexpected(&answer.done);
                let taken = last.take().and_then(|last| last(answer.done));
                taken.map(Some).ok_or(words)
            }
            reply => Err(unexpected(&reply)),
        });
        match &result {
            Err(WorkerExit::Died(death)) => self.reference.note(death),
            _ => self.worker = Some(worker),
        }
        result
    }

    /// Ends the process that gave an answer which fits no question, whatever it is asked next.
    pub fn reject(&mut self, complaint: String) -> WorkerExit {
        match self.worker.take() {
            Some(mut worker) => worker.reject(complaint),
            None => WorkerExit::Refused(complaint),
        }
    }
}

fn is_about_the_model(request: &Request, answer: &Answer) -> Result<(), String> {
    let ours = request.model().map(|model| &model.sha256);
    if answer.model_sha256.as_ref() == ours {
        return Ok(());
    }
    let words = |hash: Option<&String>| hash.map_or("none", String::as_str).to_owned();
    let (theirs, ours) = (words(answer.model_sha256.as_ref()), words(ours));
    Err(format!(
        "it answers for a model with sha256 {theirs}, not {ours}"
    ))
}

fn unexpected(reply: &impl Debug) -> String {
    let words = format!("{reply:?}");
    let shown: String = words.chars().take(200).collect();
    format!("unexpected reply: {shown}")
}
