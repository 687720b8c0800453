//! What live references say in a run, kept to be written as recordings.

use std::path::PathBuf;

use crate::exit::{Exit, Failure};
use crate::io::output;
use crate::oracle::crossval::campaign::Live;
use crate::oracle::crossval::pending;
use crate::receipt::{LiveReference, Receipt};
use crate::runner::recorded::manifest;
use crate::runner::recorder::{Memory, Recorder};
use crate::runner::suite::Suite;

/// Where recordings go, and what each reference says, kept to be put there.
pub struct Recording {
    place: Place,
    tapes: Vec<(LiveReference, Memory)>,
}

/// Where recordings go.
pub enum Place {
    /// All of them onto a shelf of their own.
    Shelf(PathBuf),
    /// What these fixtures do not say already, to wait beside them for a person.
    Pending(Box<Suite>),
}

impl Recording {
    /// Has everything remembered that the references see.
    pub fn start(place: Place, live: Vec<Live>) -> Result<(Self, Vec<Live>), Failure> {
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
        Ok((Recording { place, tapes }, live))
    }

    /// Writes the cases in which each reference agreed with itself.
    pub fn write(&self, receipt: &Receipt) -> Result<(), Failure> {
        for (facts, memory) in &self.tapes {
            let answered = |case: &str| {
                let cases = receipt.cases.iter().filter(|c| c.claims.case == case);
                let mut comparisons = cases.flat_map(|c| &c.claims.comparisons);
                comparisons.any(|c| c.reference.name == facts.name && c.is_answered())
            };
            let by = described(facts);
            match &self.place {
                Place::Shelf(shelf) => {
                    for name in memory.write(shelf, &by, answered)? {
                        output::tell(format!("recorded {}", shelf.join(name).display()));
                    }
                }
                Place::Pending(suite) => {
                    let told = pending::leave(memory, suite, &by, answered)?;
                    told.into_iter().for_each(output::tell);
                }
            }
        }
        match &self.place {
            Place::Pending(suite) if !pending::names(&suite.folder)?.is_empty() => {
                output::tell("next: harness review".to_owned());
            }
            _ => {}
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
