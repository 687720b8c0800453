//! The fixtures folder as one thing: cases, the recordings that answer them, and every file read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::case::{self, Case};
use crate::exit::Failure;
use crate::file::provenance::{self, Input};
use crate::fixture::built_in;
use crate::judge::known_divergences::{self, Ledger};
use crate::runner::recorded::Recorded;

/// Cases and recordings that fit together. Cloning shares the numbers.
#[derive(Clone)]
pub struct Suite {
    /// The fixtures folder.
    pub folder: PathBuf,
    /// Every case, in the order of the file.
    pub cases: Vec<Case>,
    /// Every recording, by name.
    pub recordings: BTreeMap<String, Recorded>,
    /// The divergences that are known.
    pub ledger: Ledger,
    own_files: Vec<Input>,
}

impl Suite {
    /// Reads and checks the folder. Nothing in it may be left unused: a recording that no case
    /// asks for would look like coverage and be none.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let (cases_file, bytes) = Input::read(&folder.join("cases.json"))?;
        let cases = case::parse(&bytes)?;
        let mut own_files = vec![cases_file];
        let list = folder.join(known_divergences::FILE);
        let ledger = if list.is_file() {
            let (input, bytes) = Input::read(&list)?;
            own_files.push(input);
            Ledger::parse(&String::from_utf8_lossy(&bytes))?
        } else {
            Ledger::default()
        };
        let shelf = folder.join("recordings");
        let checksums = provenance::checksums(&shelf.join("checksums.txt"))?;
        let asked: BTreeSet<&String> = cases.iter().flat_map(|c| &c.recordings).collect();
        let listed = |path: &String| path.split('/').next().map(str::to_owned);
        if let Some(unused) = checksums
            .keys()
            .filter_map(listed)
            .find(|n| !asked.contains(n))
        {
            let message = format!("recording {unused} is not asked for by any case");
            return Err(Failure::input(message));
        }
        let open = |name: &&String| {
            let recorded = Recorded::open(&shelf, name, &checksums)?;
            Ok(((*name).clone(), recorded))
        };
        let recordings = asked.iter().map(open).collect::<Result<_, Failure>>()?;
        let mut suite = Suite {
            folder: folder.to_owned(),
            recordings,
            ledger,
            own_files,
            cases,
        };
        suite.check()?;
        suite.find_models_of_known_divergences()?;
        Ok(suite)
    }

    /// No cases and no recordings: what is asked is made up of what is typed.
    pub fn without_fixtures() -> Self {
        Suite {
            folder: PathBuf::new(),
            cases: Vec::new(),
            recordings: BTreeMap::new(),
            ledger: Ledger::default(),
            own_files: Vec::new(),
        }
    }

    /// The fixtures folder: the one that [`Suite::folder_here`] finds, else what is built in.
    pub fn find() -> Result<PathBuf, Failure> {
        Suite::folder_here().or_else(|none| built_in::folder().unwrap_or(Err(none)))
    }

    /// The fixtures folder on this machine: found from the current folder upwards, else beside this
    /// program.
    pub fn folder_here() -> Result<PathBuf, Failure> {
        let here = std::env::current_dir().map_err(Failure::environment)?;
        let program = std::env::current_exe().unwrap_or_default();
        let places = here.ancestors().chain(program.parent());
        let mut folders = places.map(|place| place.join("fixtures"));
        let found = folders.find(|folder| folder.join("cases.json").is_file());
        found.ok_or_else(|| {
            let here = here.display();
            Failure::input(format!(
                "no fixtures/cases.json in {here} or above; --fixtures names the folder"
            ))
        })
    }

    /// The case of that prompt on a model with that hash.
    pub fn known(&self, model_sha256: &str, prompt: &str) -> Option<&Case> {
        let same_model = |case: &Case| {
            let named = case.recordings.first().and_then(|r| self.recordings.get(r));
            named.is_some_and(|r| r.manifest().model.sha256 == model_sha256)
        };
        let mut cases = self.cases.iter();
        cases.find(|case| case.prompt == prompt && same_model(case))
    }

    /// Every file that was read.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        let recorded = self.recordings.values().flat_map(Recorded::inputs);
        self.own_files.iter().chain(recorded)
    }

    /// What is known about a model holds for the bytes that were recorded, whatever their file is
    /// called.
    fn find_models_of_known_divergences(&mut self) -> Result<(), Failure> {
        for entry in &mut self.ledger.entries {
            let Some(model) = &entry.model else {
                continue;
            };
            let manifests = self.recordings.values().map(Recorded::manifest);
            let recorded = manifests.map(|m| &m.model).find(|m| m.file == *model);
            let recorded = recorded.ok_or_else(|| {
                let file = known_divergences::FILE;
                Failure::input(format!("{file}: no recording is of a model {model:?}"))
            })?;
            entry.model_sha256.clone_from(&recorded.sha256);
        }
        Ok(())
    }

    /// What a case and its recordings both say must be the same.
    fn check(&self) -> Result<(), Failure> {
        let known = |name: &String| self.cases.iter().any(|case| case.name == *name);
        let mut cases = self.ledger.entries.iter().filter_map(|e| e.case.as_ref());
        if let Some(case) = cases.find(|case| !known(case)) {
            let file = known_divergences::FILE;
            return Err(Failure::input(format!("{file}: there is no case {case:?}")));
        }
        for case in &self.cases {
            for name in &case.recordings {
                let manifest = self.recordings[name].manifest();
                let wrong = |why: String| {
                    let case = &case.name;
                    Err(Failure::input(format!(
                        "case {case} and recording {name}: {why}"
                    )))
                };
                if manifest.model.file != case.model {
                    let theirs = &manifest.model.file;
                    return wrong(format!("{theirs} where the case has {}", case.model));
                }
                let recording = manifest.cases.iter().find(|c| c.prompt == case.prompt);
                let Some(recording) = recording else {
                    return wrong("the prompt was not recorded".into());
                };
                if recording.tokens.len() != case.tokens {
                    let theirs = recording.tokens.len();
                    return wrong(format!("{theirs} tokens, the case has {}", case.tokens));
                }
            }
        }
        Ok(())
    }
}
