//! A live reference and an engine that end each case as they are told to.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use harness::case::model::ModelFacts;
use harness::case::observation::{Identity, Lane, Observation};
use harness::file::provenance::sha256;
use harness::runner::recorded::Recorded;
use harness::runner::{Facts, RunError, Runner, Subject, Task};

use super::{RECORDING, suite};
use crate::program::silence::Silence;

/// An arithmetic in which the engine dies.
const DEADLY: &str = "deadly";

/// What can become of a reference's part in a case, or of the engine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Agrees,
    Diverges,
    NotJudged,
    Dies,
    TimesOut,
    Refuses,
    Silent,
    Declines,
    BreaksItsPromise,
    Unsteady,
    KillsTheEngine,
    EngineDies,
    EngineRefuses,
    EngineComputesNoNumber,
}

use End::*;

impl End {
    /// That of a runner which gives no answer.
    fn silence(self) -> Option<Silence> {
        match self {
            Dies => Some(Silence::Dies),
            TimesOut => Some(Silence::TimesOut),
            Refuses | EngineRefuses => Some(Silence::Refuses),
            Silent => Some(Silence::KnowsNothing),
            Declines | BreaksItsPromise => Some(Silence::Declines),
            EngineDies => Some(Silence::Panics),
            EngineComputesNoNumber => Some(Silence::ComputesNoNumber),
            Agrees | Diverges | NotJudged | Unsteady | KillsTheEngine => None,
        }
    }
}

/// A live reference that ends each case in its own way.
pub struct Reference {
    recorded: Recorded,
    name: String,
    ends: BTreeMap<String, End>,
    now: End,
}

impl Reference {
    pub fn new(name: &str, ends: impl IntoIterator<Item = (String, End)>) -> Self {
        Reference {
            recorded: suite().recordings[RECORDING].clone(),
            name: name.into(),
            ends: ends.into_iter().collect(),
            now: Agrees,
        }
    }
}

impl Runner for Reference {
    fn identity(&self) -> Identity {
        let own = self.recorded.identity();
        let profile = match self.now {
            NotJudged => "unheard-of".into(),
            KillsTheEngine => DEADLY.into(),
            _ => own.profile,
        };
        Identity {
            name: self.name.clone(),
            profile,
            // That of a library without a file.
            fingerprint: sha256(b""),
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        self.now = self.ends[&task.case.name];
        if let Some(silence) = self.now.silence() {
            return Err(silence.planted());
        }
        let mut seen = self.recorded.observe(task)?;
        seen.identity = self.identity();
        if matches!(self.now, Diverges | NotJudged) {
            flip(&mut seen);
        }
        Ok(seen)
    }

    fn controls(&self, _: Task<'_>) -> Vec<Box<dyn Runner>> {
        if self.now != Unsteady {
            return Vec::new();
        }
        let name = format!("{} again", self.name);
        let ends = self.ends.keys().map(|case| (case.clone(), Diverges));
        vec![Box::new(Reference::new(&name, ends))]
    }
}

fn flip(seen: &mut Observation) {
    let lane = seen.lanes.get_mut(&Lane::Decode).expect("recorded");
    lane.values[700] = f32::from_bits(lane.values[700].to_bits() ^ 1);
}

/// The engine, which says what the recording says as long as it lives.
pub struct Engine {
    recorded: Recorded,
    name: &'static str,
    ends: BTreeMap<String, End>,
}

impl Engine {
    pub fn new(name: &'static str, ends: impl IntoIterator<Item = (String, End)>) -> Self {
        Engine {
            recorded: suite().recordings[RECORDING].clone(),
            name,
            ends: ends.into_iter().collect(),
        }
    }
}

impl Runner for Engine {
    fn identity(&self) -> Identity {
        Identity {
            name: self.name.into(),
            fingerprint: format!("scripted as {}", self.name),
            ..self.recorded.identity()
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let end = self.ends.get(&task.case.name);
        if let Some(silence) = end.and_then(|end| end.silence()) {
            return Err(silence.planted());
        }
        let mut seen = self.recorded.observe(task)?;
        seen.identity = self.identity();
        Ok(seen)
    }
}

impl Subject for Engine {
    fn facts(&mut self, _: Task<'_>) -> Result<Facts, RunError> {
        Ok(Facts {
            lacking: Default::default(),
            kernel: "scripted".into(),
            multiplied_by: BTreeMap::new(),
            model: ModelFacts::named("scripted"),
        })
    }

    fn observe_in(&mut self, _: Task<'_>, profile: &str) -> Option<Result<Observation, RunError>> {
        assert_ne!(profile, DEADLY, "planted death in another arithmetic");
        None
    }
}
