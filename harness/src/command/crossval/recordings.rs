//! What live references say in a run, kept to be written as recordings.

use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};
use crate::io::output;
use crate::oracle::crossval::campaign::Live;
use crate::receipt::{LiveReference, Receipt};
use crate::runner::recorded::manifest;
use crate::runner::recorder::{Memory, Recorder};

/// A shelf, and what each reference says, kept to be put on it.
pub struct Recording {
    shelf: PathBuf,
    tapes: Vec<(LiveReference, Memory)>,
}

impl Recording {
    /// Has everything remembered that the references see.
    pub fn start(shelf: &Path, live: Vec<Live>) -> Result<(Self, Vec<Live>), Failure> {
        if live.is_empty() {
            return Err(Failure::new(
                Exit::ReferenceMissing,
                "--record needs a live reference: --reference, or BITNET_CPP_DIR",
            ));
        }
        let taped = live.into_iter().map(|Live { runner, facts }| {
            let memory = Memory::default();
            let runner = Box::new(Recorder::new(runner, memory.clone()));
            let tape = (facts.clone(), memory);
            (tape, Live { runner, facts })
        });
        let (tapes, live) = taped.unzip();
        let shelf = shelf.to_owned();
        Ok((Recording { shelf, tapes }, live))
    }

    /// Writes the cases in which each reference agreed with itself.
    pub fn write(&self, receipt: &Receipt) -> Result<(), Failure> {
        for (facts, memory) in &self.tapes {
            let answered = |case: &str| {
                let cases = receipt.cases.iter().filter(|c| c.claims.case == case);
                let mut comparisons = cases.flat_map(|c| &c.claims.comparisons);
                comparisons.any(|c| c.reference.name == facts.name && c.is_answered())
            };
            for name in memory.write(&self.shelf, &described(facts), answered)? {
                output::tell(format!("recorded {}", self.shelf.join(name).display()));
            }
        }
        Ok(())
    }
}

fn described(facts: &LiveReference) -> manifest::Reference {
    let or_unknown = |known: &Option<String>| known.clone().unwrap_or_else(|| "unknown".into());
    let commit = facts.commit.as_ref().map(|c| format!(" at {c}"));
    manifest::Reference {
        name: facts.name.clone(),
        version: format!("{}{}", facts.origin, commit.unwrap_or_default()),
        compiler: or_unknown(&facts.compiler),
        flags: or_unknown(&facts.flags),
        isa: facts.hello.system_info.clone(),
        executed_by: "native".into(),
    }
}
