//! Many cases in a row: what one death costs is one case, and what is finished is kept.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::case::Case;
use crate::examine::examine;
use crate::exit::Failure;
use crate::provenance::{Input, Machine};
use crate::receipt::{CaseReceipt, Circumstances, Failed, InputFile, Receipt, Status};
use crate::runner::{Runner, Subject, Task};
use crate::suite::Suite;

/// A run over some cases.
pub struct Campaign {
    suite: Suite,
    subjects: Vec<Box<dyn Subject>>,
    threads: usize,
    started: (Instant, SystemTime),
    machine: Machine,
    models: BTreeMap<PathBuf, Input>,
    asked: usize,
    cases: Vec<CaseReceipt>,
    failures: Vec<Failed>,
}

impl Campaign {
    /// A run that has not begun. The first subject is examined, the others must repeat it.
    pub fn new(suite: Suite, subjects: Vec<Box<dyn Subject>>, threads: usize) -> Self {
        Campaign {
            suite,
            subjects,
            threads,
            started: (Instant::now(), SystemTime::now()),
            machine: Machine::here(),
            models: BTreeMap::new(),
            asked: 0,
            cases: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// The fixtures it runs on.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// Runs the cases, each on the model beside it. After each one the receipt so far goes to
    /// `keep`, so that whoever ends the run early loses one case at most.
    pub fn run(
        mut self,
        cases: &[(Case, PathBuf)],
        mut keep: impl FnMut(&Receipt) -> Result<(), Failure>,
    ) -> Result<Receipt, Failure> {
        self.asked = cases.len();
        let mut receipt = self.receipt();
        for (case, model) in cases {
            match self.examine(case, model) {
                Ok(examined) => self.cases.push(examined),
                Err(failed) => self.failures.push(*failed),
            }
            receipt = self.receipt();
            keep(&receipt)?;
        }
        Ok(receipt)
    }

    fn examine(&mut self, case: &Case, model: &Path) -> Result<CaseReceipt, Box<Failed>> {
        if !self.models.contains_key(model) {
            let refused = |e: Failure| Box::new(Failed::new(case, Status::Refused, e));
            let (input, _) = Input::read(model).map_err(refused)?;
            self.models.insert(model.to_owned(), input);
        }
        let task = Task {
            case,
            model: &self.models[model],
        };
        let place = |name: &str| case.recordings.iter().position(|r| r == name);
        let recordings = self.suite.recordings.iter_mut();
        let mut asked: Vec<(usize, &mut dyn Runner)> = recordings
            .filter_map(|(name, r)| Some((place(name)?, r as &mut dyn Runner)))
            .collect();
        asked.sort_by_key(|(place, _)| *place);
        let mut references: Vec<&mut dyn Runner> = asked.into_iter().map(|(_, r)| r).collect();
        let mut subjects: Vec<&mut dyn Subject> = Vec::new();
        for subject in &mut self.subjects {
            subjects.push(subject.as_mut());
        }
        examine(task, &mut subjects, &mut references)
    }

    fn receipt(&self) -> Receipt {
        let inputs = || self.suite.inputs().chain(self.models.values());
        let shown = |input: &Input| input.path.display().to_string();
        let (began, date) = self.started;
        let changed = inputs().filter(|i| i.still_holds().is_err());
        let circumstances = Circumstances {
            started_unix: date.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            seconds: began.elapsed().as_secs_f64(),
            threads: self.threads,
            machine: self.machine.clone(),
            changed_inputs: changed.map(shown).collect(),
            inputs: inputs()
                .map(|input| InputFile {
                    path: shown(input),
                    sha256: input.sha256.clone(),
                })
                .collect(),
        };
        let (cases, failures) = (self.cases.clone(), self.failures.clone());
        Receipt::assemble(self.asked, cases, failures, circumstances)
    }
}
