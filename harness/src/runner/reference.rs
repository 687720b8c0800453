//! A C++ reference that computes now, in a process of its own for every model that is opened.

pub mod rewritten;

use std::borrow::BorrowMut;

use engine::Token;
use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use engine::gguf::tensor_type::id;

use self::rewritten::Form;
use super::observe::observe;
use super::watch::Watch;
use super::{Followed, ModelFile, Opened, RunError, Runner, Task};
use crate::case::observation::tokenization::{
    ADDED_AND_PARSED, EscapedBytes, Question, TokenizerReply,
};
use crate::case::observation::{Identity, Observation};
use crate::case::schedule::Schedule;
use crate::file::provenance::Input;
use crate::file::reading::Reading;
use crate::io::process::map_or_read;
use crate::reference::client::Client;
use crate::reference::isolation::{self, Done, Part, Request, WorkerExit};
use crate::reference::{Reference, Scratch};

/// Threads of these libraries spin while they wait for each other at every node: where more of
/// them run than there are processors, a token takes a second. A few show as much as many.
const MOST_ON_THREADS: usize = 6;

/// The way in which ids become text piece by piece, special tokens shown.
const SHOWN_IN_PIECES: usize = 1;

/// A reference that looks at cases, in a process of its own for each.
#[derive(Clone)]
pub struct Observing {
    reference: Reference,
    name: String,
    /// As many as the case says, if none.
    threads: Option<usize>,
    /// What two-bit weights become before the library sees them.
    form: Option<Form>,
    /// Whether even packings that it would misread are shown to it.
    as_they_are: bool,
    /// What the user says of files whose bytes leave something open.
    reading: Reading,
    /// The hash of the last model, and whether it has weights in BF16, which builds for AVX-512
    /// multiply in two ways.
    bf16: Option<(String, bool)>,
}

impl Observing {
    /// On the weights as they are or, for a library that does not know I2_S, the same as F32.
    pub fn new(reference: Reference) -> Self {
        let foreign = !reference.hello().knows_i2_s;
        Observing {
            form: foreign.then_some(Form::Wide),
            as_they_are: false,
            ..Self::unchanged(reference)
        }
    }

    /// On the weights as they are, whatever the library makes of them.
    pub fn unchanged(reference: Reference) -> Self {
        Observing {
            name: reference.facts().name.clone(),
            reference,
            threads: None,
            form: None,
            as_they_are: true,
            reading: Reading::default(),
            bf16: None,
        }
    }

    /// On weights that the library turned into IQ2_BN itself, if it is one that can.
    pub fn requantized(reference: Reference) -> Option<Self> {
        let able = reference.facts().writes_iq2_bn();
        let form = Form::Iq2Bn;
        able.then(|| Observing {
            name: format!("{}-{}", reference.facts().name, form.name()),
            form: Some(form),
            ..Self::new(reference)
        })
    }

    /// Shows it files for what the user says they are.
    pub fn reading(self, reading: Reading) -> Self {
        Observing { reading, ..self }
    }

    fn multiplies_bf16(&self) -> bool {
        self.bf16.as_ref().is_some_and(|(_, found)| *found)
    }

    /// The same reference, to be compared with itself: under another name and with as many threads.
    pub fn again(&self, threads: usize) -> Self {
        let plural = if threads == 1 { "" } else { "s" };
        Observing {
            name: format!("{} again, {threads} thread{plural}", self.name),
            threads: Some(threads),
            ..self.clone()
        }
    }
}

impl Runner for Observing {
    fn identity(&self) -> Identity {
        let facts = self.reference.facts();
        Identity {
            name: self.name.clone(),
            profile: match self.form {
                Some(form) => format!("{}-{}", facts.arithmetic(), form.name()),
                None => match facts.engine_profile() {
                    Ok(profile) if self.multiplies_bf16() => profile.name().to_owned(),
                    _ => facts.profile(),
                },
            },
            fingerprint: facts.fingerprint(),
        }
    }

    fn look_into(&mut self, model: &Input) {
        let known = self.bf16.as_ref().map(|(sha256, _)| sha256);
        if self.form.is_none() && known != Some(&model.sha256) {
            let found = has_bf16(model, self.reading);
            self.bf16 = Some((model.sha256.clone(), found));
        }
    }

    fn shows_nodes(&self) -> bool {
        self.form.is_none()
    }

    fn most_on_threads(&self) -> usize {
        MOST_ON_THREADS
    }

    /// On one thread, always; on two as well, for one case of a fixture, because threads of these
    /// libraries spin while they wait: where the machine is busy, two of them can take a hundred
    /// times as long as one. A case that is computed on two has had that.
    fn controls(&self, task: Task<'_>) -> Vec<Box<dyn Runner>> {
        let case = task.case;
        let one_of_many = case.nodes == 0 && !case.is_ad_hoc();
        let threads = if case.threads > 1 || one_of_many {
            &[1][..]
        } else {
            &[1, 2]
        };
        let again = threads
            .iter()
            .map(|&n| Box::new(self.again(n)) as Box<dyn Runner>);
        again.collect()
    }

    fn open<'s>(&'s mut self, model: ModelFile<'s>) -> Result<Box<dyn Opened + 's>, RunError> {
        if let ModelFile::Read(input) = model {
            self.look_into(input);
        }
        Ok(Box::new(Open::start(self, model)?))
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        self.look_into(task.model);
        let mut case = task.case.clone();
        if !self.shows_nodes() {
            case.nodes = 0;
        }
        let threads = self.threads.unwrap_or(case.threads);
        let mut opened = Open::start(self, ModelFile::Read(task.model))?;
        let mut seen = observe(&mut opened, self.identity(), &case, threads)?;
        // How close a choice was is asked of the engine alone.
        seen.greedy.logits.clear();
        Ok(seen)
    }
}

/// Whether a file has weights in BF16. What cannot be read has none: somebody else says why.
fn has_bf16(model: &Input, reading: Reading) -> bool {
    let Ok((bytes, _)) = ModelBytes::open(&model.path, map_or_read()) else {
        return false;
    };
    let gguf = Gguf::parse_as(bytes, reading.dialect);
    gguf.is_ok_and(|gguf| gguf.tensors.iter().any(|tensor| tensor.type_id == id::BF16))
}

/// A model file in a process of the reference's, which keeps it loaded.
pub(super) struct Open<C> {
    client: C,
    file: isolation::ModelFile,
    /// The file, if it was made for this reference.
    _made: Option<Scratch>,
}

impl Open<Client> {
    fn start(runner: &Observing, model: ModelFile<'_>) -> Result<Self, RunError> {
        let client = Client::new(&runner.reference);
        match model {
            ModelFile::Read(input) => match runner.rewritten(input)? {
                Some(made) => Open::made(client, made),
                None => Open::of(client, model),
            },
            ModelFile::Made(_) => Open::of(client, model),
        }
    }
}

impl<C: BorrowMut<Client>> Open<C> {
    /// Has a model opened as it is.
    pub(super) fn of(client: C, model: ModelFile<'_>) -> Result<Self, RunError> {
        match model {
            ModelFile::Read(input) => {
                let (path, sha256) = (input.path.clone(), input.sha256.clone());
                Open::ask(client, isolation::ModelFile { path, sha256 }, None)
            }
            ModelFile::Made(bytes) => {
                let made = Scratch::write(bytes)?;
                Open::made(client, made)
            }
        }
    }

    /// Has a model opened that was made for it.
    pub(super) fn made(client: C, made: Scratch) -> Result<Self, RunError> {
        let (path, sha256) = (made.path.clone(), made.sha256.clone());
        Open::ask(client, isolation::ModelFile { path, sha256 }, Some(made))
    }

    fn ask(
        mut client: C,
        file: isolation::ModelFile,
        made: Option<Scratch>,
    ) -> Result<Self, RunError> {
        let model = file.clone();
        let opened = |done| matches!(done, Done::Opened).then_some(());
        client.borrow_mut().ask(&Request::Open { model }, opened)?;
        Ok(Open {
            client,
            file,
            _made: made,
        })
    }

    /// What the library says to one question in one of its ways.
    fn spell(&mut self, question: Question, way: usize) -> Result<TokenizerReply, RunError> {
        let request = Request::Spell {
            model: self.file.clone(),
            questions: vec![question],
        };
        let answers = self.client.borrow_mut().ask(&request, |done| match done {
            Done::Spelled { answers } => Some(answers),
            _ => None,
        })?;
        match <[_; 1]>::try_from(answers) {
            Ok([answer]) => Ok(answer[way].clone()),
            Err(answers) => {
                let complaint = format!("{} answers to one question", answers.len());
                Err(self.client.borrow_mut().reject(complaint).into())
            }
        }
    }

    /// A refusal, or an answer to another question.
    fn unexpected(&mut self, said: TokenizerReply) -> RunError {
        match said {
            TokenizerReply::Refused(message) => WorkerExit::Refused(message).into(),
            other => self
                .client
                .borrow_mut()
                .reject(format!("unexpected: {other:?}"))
                .into(),
        }
    }
}

impl<C: BorrowMut<Client>> Opened for Open<C> {
    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError> {
        let question = Question::Text(EscapedBytes(text.into()));
        match self.spell(question, ADDED_AND_PARSED)? {
            TokenizerReply::Ids(ids) => Ok(ids),
            other => Err(self.unexpected(other)),
        }
    }

    fn text(&mut self, tokens: &[Token]) -> Result<String, RunError> {
        let question = Question::Ids(tokens.to_vec());
        match self.spell(question, SHOWN_IN_PIECES)? {
            TokenizerReply::Bytes(EscapedBytes(bytes)) => {
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            other => Err(self.unexpected(other)),
        }
    }

    fn follow(&mut self, schedule: &Schedule, watch: &Watch<'_>) -> Result<Followed, RunError> {
        let replaced = watch.replaced.values();
        let request = Request::Follow {
            model: self.file.clone(),
            schedule: schedule.clone(),
            shown: watch.shown.clone(),
            replaced: replaced.map(|node| (*node).clone()).collect(),
        };
        let (mut nodes, mut rows, mut named) = (Vec::new(), None, Vec::new());
        let each = |part| {
            match part {
                Part::Named(names) => named = names,
                Part::Node(node) => nodes.push(node.checked()?),
                Part::Rows(_) if rows.is_some() => return Err("its logits came twice".into()),
                Part::Rows(values) => rows = Some(values),
            }
            Ok(())
        };
        let last = |done| match done {
            Done::Followed { vocab_size } => Some(vocab_size),
            _ => None,
        };
        let vocab_size = self.client.borrow_mut().stream(&request, each, last)?;
        let count = rows.as_ref().map_or(0, Vec::len);
        let (kept, whole) = (schedule.kept(), schedule.kept().checked_mul(vocab_size));
        let complaint = || format!("{count} logits, where {kept} rows of {vocab_size} were kept");
        match rows.filter(|rows| Some(rows.len()) == whole) {
            Some(rows) => Ok(Followed {
                rows,
                vocab_size,
                nodes,
                named,
            }),
            None => Err(self.client.borrow_mut().reject(complaint()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_are_those_that_recordings_were_made_in() {
        assert_eq!(Question::switches(ADDED_AND_PARSED), (true, true));
        assert_eq!(Question::switches(SHOWN_IN_PIECES), (true, false));
    }
}
