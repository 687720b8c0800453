//! The near side of an engine that a user brought: whatever it is, it answers from a process of
//! its own, which is started again after a death and kept from case to case.

use std::ffi::OsString;
use std::process::Command;
use std::rc::Rc;

use engine::Token;
use engine::bytes::ModelBytes;
use engine::gguf::Gguf;

use super::worker::{ABOUT, About};
use super::{Options, Spec, foreign};
use crate::case::ability::{Ability, Lacking};
use crate::case::observation::{Identity, Observation};
use crate::case::schedule::Schedule;
use crate::exit::{Exit, Failure};
use crate::file::document::Document;
use crate::file::provenance::{self, Input};
use crate::judge::demand::Demand;
use crate::reference::client::Client;
use crate::reference::isolation::{Death, Kind, Limits, WorkerExit};
use crate::reference::{Reference, Scratch};
use crate::runner::engine::Engine;
use crate::runner::observe::observe_tokens;
use crate::runner::reference::Open;
use crate::runner::watch::Watch;
use crate::runner::{Facts, Followed, ModelFile, Opened, RunError, Runner, Subject, Task};

/// Lines of what it printed that are told.
const LAST_LINES: usize = 6;

/// An engine in a process of its own.
pub struct Brought {
    client: Client,
    identity: Identity,
    lacking: Lacking,
    demand: Demand,
    host: Engine,
    wide: bool,
    /// Where its files go; gone when this is dropped.
    _scratch: tempfile::TempDir,
}

impl Brought {
    /// Starts it once, to hear who it is.
    pub fn start(spec: &Spec, options: Options) -> Result<Self, Failure> {
        let scratch = tempfile::Builder::new()
            .prefix("harness-subject-")
            .tempdir()
            .map_err(Failure::environment)?;
        let program = std::env::current_exe().map_err(Failure::environment)?;
        let words: [OsString; 4] = [
            "--subject".into(),
            spec.to_string().into(),
            "--scratch".into(),
            scratch.path().into(),
        ];
        let launch = Rc::new(move || {
            let mut command = Command::new(&program);
            command.arg("worker").args(&words);
            command
        });
        let limits = roomy(options.limits);
        let failed = |exit: WorkerExit| {
            let error = of_subject(exit.into());
            Failure::new(exit_of(&error), format!("{spec}: {error}"))
        };
        let reference = Reference::open("subject", limits, launch).map_err(failed)?;
        let about = reference.hello().details.get(ABOUT).cloned();
        let about: About = serde_json::from_str(&about.unwrap_or_default())
            .map_err(|e| Failure::input(format!("{spec}: {e}")))?;
        let print = provenance::sha256(format!("{spec}\n{}", about.print).as_bytes());
        let claimed = options.profile.as_ref().or(about.profile.as_ref());
        Ok(Brought {
            client: Client::writing(&reference, limits.file_size, None),
            identity: Identity {
                name: about.name,
                profile: foreign::profile(claimed),
                fingerprint: format!("{} {print}", spec.kind()),
            },
            lacking: Ability::all_but(&about.offered),
            demand: options.demand,
            host: options.host,
            wide: options.wide,
            _scratch: scratch,
        })
    }

    fn hosted<'s>(&'s mut self, model: ModelFile<'s>) -> Result<Hosted<'s>, RunError> {
        let lacking = &self.lacking;
        let helped = [Ability::Tokenize, Ability::Detokenize];
        let host = if helped.iter().any(|ability| lacking.contains(ability)) {
            Some(self.host.open(model)?)
        } else {
            None
        };
        let wide = if self.wide { widened(model)? } else { None };
        let opened = match wide {
            Some(made) => Open::made(&mut self.client, made),
            None => Open::of(&mut self.client, model),
        };
        let opened = opened.map_err(of_subject)?;
        Ok(Hosted {
            opened,
            host,
            lacking,
        })
    }
}

/// The same model with its two-bit weights as F32; nothing if it has none.
fn widened(model: ModelFile<'_>) -> Result<Option<Scratch>, RunError> {
    let refused = |e: &dyn std::fmt::Display| RunError::Refused(e.to_string());
    let bytes = match model {
        ModelFile::Read(input) => Input::read(&input.path).map_err(|e| refused(&e))?.1,
        ModelFile::Made(bytes) => ModelBytes::from_vec(bytes.to_vec()),
    };
    let gguf = Gguf::parse(bytes).map_err(|e| refused(&e))?;
    let mut document = Document::read(&gguf).map_err(|e| refused(&e))?;
    if document.widen(&[]).map_err(|e| refused(&e))? == 0 {
        return Ok(None);
    }
    Ok(Some(Scratch::write(&document.file())?))
}

/// What it costs somebody else's engine to start is nobody's business but the clock's.
fn roomy(limits: Limits) -> Limits {
    Limits {
        cpu_seconds: 24 * 3600,
        memory: 256 << 30,
        file_size: 64 << 30,
        ..limits
    }
}

/// A model it has opened, with the built-in engine for what it lacks.
struct Hosted<'s> {
    opened: Open<&'s mut Client>,
    host: Option<Box<dyn Opened + 's>>,
    lacking: &'s Lacking,
}

impl Hosted<'_> {
    fn who(&mut self, ability: Ability) -> &mut dyn Opened {
        match &mut self.host {
            Some(host) if self.lacking.contains(&ability) => &mut **host,
            _ => &mut self.opened,
        }
    }
}

impl Opened for Hosted<'_> {
    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError> {
        self.who(Ability::Tokenize)
            .tokenize(text)
            .map_err(of_subject)
    }

    fn text(&mut self, tokens: &[Token]) -> Result<String, RunError> {
        self.who(Ability::Detokenize)
            .text(tokens)
            .map_err(of_subject)
    }

    fn follow(&mut self, schedule: &Schedule, watch: &Watch<'_>) -> Result<Followed, RunError> {
        self.opened.follow(schedule, watch).map_err(of_subject)
    }
}

impl Runner for Brought {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn shows_nodes(&self) -> bool {
        !self.lacking.contains(&Ability::Nodes)
    }

    fn lacking(&self) -> Lacking {
        self.lacking.clone()
    }

    fn open<'s>(&'s mut self, model: ModelFile<'s>) -> Result<Box<dyn Opened + 's>, RunError> {
        Ok(Box::new(self.hosted(model)?))
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let identity = self.identity();
        let model = ModelFile::Read(task.model);
        let case = task.case;
        let mut opened = self.hosted(model)?;
        let tokens = opened.tokenize(&case.prompt)?;
        let how = (case.threads, opened.lacking);
        observe_tokens(&mut opened, identity, case, tokens, how)
    }
}

impl Subject for Brought {
    fn facts(&mut self, task: Task<'_>) -> Result<Facts, RunError> {
        let name = self.identity.name.clone();
        Ok(foreign::facts(&mut self.host, task, &name, &self.lacking))
    }

    fn demand(&self) -> Demand {
        self.demand.clone()
    }
}

/// What became of a subject, in words that accuse no reference, with the last lines it printed.
fn of_subject(error: RunError) -> RunError {
    match error {
        RunError::Lost(death) => RunError::Died(ended(&death)),
        RunError::Declined(message) => {
            let words = message.strip_prefix("reference_refused: ");
            RunError::Refused(words.unwrap_or(&message).to_owned())
        }
        other => other,
    }
}

fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Died(_) => Exit::EngineDied,
        _ => Exit::BadInput,
    }
}

fn ended(death: &Death) -> String {
    let line = death.to_string();
    let how = match death.kind {
        Kind::Crashed => "crashed",
        Kind::Timeout => "ran out of time",
        Kind::ProtocolError => "said what is no answer",
    };
    let line = line.replacen(death.kind.name(), how, 1);
    let lines: Vec<&str> = death.last_words.lines().collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    let printed = last.iter().map(|line| format!("\n  | {line}"));
    line + &printed.collect::<String>()
}
