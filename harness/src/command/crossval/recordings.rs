//! What live references say in a run, kept to be written as recordings.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};
use crate::io::output;
use crate::oracle::crossval::campaign::Live;
use crate::receipt::{LiveReference, Receipt};
use crate::runner::recorded::manifest;
use crate::runner::recorder::{Memory, Recorder};

/// A shelf and what is to be put on it.
pub struct Recording {
    shelf: PathBuf,
    tapes: Vec<Tape>,
}

/// What one reference says, kept to be written.
struct Tape {
    facts: LiveReference,
    memory: Memory,
}

impl Recording {
    /// Has everything remembered that the references see.
    pub fn start(shelf: &Path, live: &mut Vec<Live>) -> Result<Self, Failure> {
        if live.is_empty() {
            return Err(Failure::new(
                Exit::ReferenceMissing,
                "--record needs a live reference: --reference, or BITNET_CPP_DIR",
            ));
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
        let shelf = shelf.to_owned();
        Ok(Recording { shelf, tapes })
    }

    /// Writes the cases in which each reference agreed with itself.
    pub fn write(&self, receipt: &Receipt) -> Result<(), Failure> {
        for tape in &self.tapes {
            for name in tape.write(&self.shelf, receipt)? {
                output::tell(format!("recorded {}", self.shelf.join(name).display()));
            }
        }
        Ok(())
    }
}

impl Tape {
    fn write(&self, shelf: &Path, receipt: &Receipt) -> Result<Vec<String>, Failure> {
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
