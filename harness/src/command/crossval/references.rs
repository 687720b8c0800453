//! Which live references take part: found, opened, and shown to be different libraries.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::campaign::Live;
use crate::exit::{Exit, Failure};
use crate::receipt::{LiveReference, Receipt};
use crate::runner::recorded::manifest;
use crate::runner::recorder::{Memory, Recorder};

/// What one reference says, kept to be written.
pub struct Tape {
    facts: LiveReference,
    memory: Memory,
}

/// Has everything remembered that the references see.
pub fn record(live: &mut Vec<Live>) -> Result<Vec<Tape>, Failure> {
    if live.is_empty() {
        return Err(Failure {
            exit: Exit::ReferenceMissing,
            message: "--record needs a live reference: --reference, or BITNET_CPP_DIR".into(),
        });
    }
    let mut tapes = Vec::new();
    for reference in std::mem::take(live) {
        let memory = Memory::default();
        tapes.push(Tape {
            facts: reference.facts.clone(),
            memory: memory.clone(),
        });
        live.push(Live {
            runner: Box::new(Recorder::new(reference.runner, memory)),
            facts: reference.facts,
        });
    }
    Ok(tapes)
}

impl Tape {
    /// Writes the cases in which the reference agreed with itself.
    pub fn write(&self, shelf: &Path, receipt: &Receipt) -> Result<Vec<String>, Failure> {
        let LiveReference { name, hello, .. } = &self.facts;
        let unknown = || "unknown".to_owned();
        let commit = self.facts.commit.as_ref().map(|c| format!(" at {c}"));
        let reference = manifest::Reference {
            name: name.clone(),
            version: format!("{}{}", self.facts.origin, commit.unwrap_or_default()),
            compiler: self.facts.compiler.clone().unwrap_or_else(unknown),
            flags: self.facts.flags.clone().unwrap_or_else(unknown),
            isa: hello.system_info.clone(),
            executed_by: "native".into(),
        };
        let answered = |case: &str| {
            let cases = receipt.cases.iter().filter(|c| c.claims.case == case);
            let mut comparisons = cases.flat_map(|c| &c.claims.comparisons);
            comparisons.any(|c| c.reference.name == *name && c.is_answered())
        };
        self.memory.write(shelf, &reference, answered)
    }
}

/// Those named, else the one the environment names, else none.
#[cfg(unix)]
pub fn open(names: &[String], limits: crate::isolation::Limits) -> Result<Vec<Live>, Failure> {
    let asked = asked(names)?;
    let mut live: Vec<Live> = Vec::new();
    for asked in &asked {
        let reference = open_one(asked, limits)?;
        let print = reference.runner.identity().fingerprint;
        let same = |other: &&Live| other.runner.identity().fingerprint == print;
        if let Some(same) = live.iter().find(same) {
            let (one, other) = (&same.facts.name, &reference.facts.name);
            return Err(Failure::input(format!(
                "{one} and {other} are the same library: it would confirm itself"
            )));
        }
        live.push(reference);
    }
    Ok(live)
}

/// What is meant, before anything is opened.
#[cfg(unix)]
fn asked(names: &[String]) -> Result<Vec<ffi::reference::Asked>, Failure> {
    use ffi::reference::Asked;
    if names.is_empty() {
        let named = Asked::from_environment().map_err(unavailable)?;
        return Ok(named.into_iter().collect());
    }
    let named = |name: &String| Asked::parse(name).map_err(Failure::input);
    names.iter().map(named).collect()
}

#[cfg(unix)]
fn open_one(
    asked: &ffi::reference::Asked,
    limits: crate::isolation::Limits,
) -> Result<Live, Failure> {
    use std::process::Command;
    use std::rc::Rc;

    use ffi::reference::{Cache, Missing, prepare};

    use crate::isolation::Ended;
    use crate::receipt::LiveReference;
    use crate::runner::reference::Reference;
    use crate::worker;

    let cache = Cache::from_environment().map_err(unavailable)?;
    let prepared = prepare(asked, &cache, Missing::Refuse, &mut |line| {
        eprintln!("{line}")
    });
    let prepared = prepared.map_err(unavailable)?;
    let program = std::env::current_exe().map_err(Failure::environment)?;
    let place = prepared.tree.root.clone();
    let launch = Rc::new(move || {
        let mut command = Command::new(&program);
        command.args(worker::arguments(&place));
        command
    });
    let name = prepared.name;
    let reference = Reference::open(&name, limits, launch).map_err(|ended| Failure {
        exit: match ended {
            Ended::Refused(_) => Exit::ReferenceMissing,
            Ended::Died(_) => Exit::ReferenceDied,
        },
        message: format!("{name}: {ended}"),
    })?;
    let provenance = prepared.provenance;
    let facts = LiveReference {
        name,
        origin: provenance.origin,
        commit: provenance.commit,
        compiler: provenance.compiler,
        flags: provenance.flags,
        hello: reference.hello().clone(),
    };
    let runner = Box::new(reference);
    Ok(Live { runner, facts })
}

/// A reference that was asked for and is not there is an error, not a reason to do less.
#[cfg(unix)]
fn unavailable(error: ffi::Error) -> Failure {
    let exit = match error {
        ffi::Error::Tool { .. } | ffi::Error::Io { .. } => Exit::Environment,
        _ => Exit::ReferenceMissing,
    };
    Failure {
        exit,
        message: error.to_string(),
    }
}

/// Elsewhere no reference can be opened.
#[cfg(not(unix))]
pub fn open(names: &[String], _: crate::isolation::Limits) -> Result<Vec<Live>, Failure> {
    let set = std::env::var_os("BITNET_CPP_DIR").is_some_and(|dir| !dir.is_empty());
    match names.is_empty() && !set {
        true => Ok(Vec::new()),
        false => Err(Failure {
            exit: Exit::ReferenceMissing,
            message: "a live reference needs Unix".into(),
        }),
    }
}
