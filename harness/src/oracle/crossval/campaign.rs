//! Many cases in a row: what one death costs is one case, and what is finished is kept.

mod running;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::case::Case;
use crate::case::shard::Share;
use crate::file::provenance::{Input, Machine, of_tensors};
use crate::file::reading::Reading;
use crate::io::process::map_or_read;
use crate::judge::known_divergences::Ledger;
use crate::judge::outcome::Outcome;
use crate::judge::verdict::Verdict;
use crate::oracle::crossval::answer::expected;
use crate::oracle::crossval::examine::examine;
use crate::oracle::crossval::resume;
use crate::receipt::{
    CaseReceipt, Circumstances, Failed, InputFile, LeftOut, LiveReference, Receipt, comparisons,
    stale,
};
use crate::reference::Reference;
use crate::runner::products;
use crate::runner::reference::Observing;
use crate::runner::suite::Suite;
use crate::runner::{Runner, Subject, Task};

/// A reference that computes now, and where it comes from.
pub struct Live {
    /// Who computes.
    pub runner: Box<dyn Runner>,
    /// What the receipt says about it, once it has answered.
    pub facts: LiveReference,
}

impl Live {
    /// Every way in which a reference is asked: the second one on weights that it wrote anew
    /// itself, if it can. Both of files that are what `reading` says.
    pub fn lanes(reference: Reference, reading: Reading) -> Vec<Live> {
        let facts = reference.facts().clone();
        let rewriting = Observing::requantized(reference.clone());
        let lane = |runner: Observing| Live {
            facts: LiveReference {
                name: runner.identity().name,
                ..facts.clone()
            },
            runner: Box::new(runner.reading(reading)),
        };
        let all = [Some(Observing::new(reference)), rewriting];
        all.into_iter().flatten().map(lane).collect()
    }
}

/// What is told of a run while it goes on.
#[derive(Clone, Copy)]
pub enum Step<'a> {
    /// A case is being asked.
    Begins(&'a Case),
    /// It has ended, and the receipt so far, which nobody has sealed.
    Ended(&'a Case, &'a Receipt),
}

/// A run over some cases.
pub struct Campaign {
    suite: Suite,
    live: Vec<Live>,
    finished: Option<Receipt>,
    /// The case that is taken over and run again all the same.
    checked: Option<String>,
    /// Each group of one subject that is examined and others that must repeat it.
    subjects: Vec<Vec<Box<dyn Subject>>>,
    stand_in: Option<Box<dyn Runner>>,
    exact: Option<Box<dyn Runner>>,
    threads: usize,
    started: (Instant, SystemTime),
    machine: Machine,
    models: BTreeMap<PathBuf, Input>,
    /// By the hash of a model those of its tensors.
    tensors: BTreeMap<String, BTreeMap<String, String>>,
    asked: Vec<String>,
    left_out: Vec<LeftOut>,
    demanded: bool,
    failing_fast: bool,
    share: Option<Share>,
    cases: Vec<CaseReceipt>,
    failures: Vec<Failed>,
}

impl Campaign {
    /// A run that has not begun. The first subject is examined, the others must repeat it.
    pub fn new(suite: Suite, subjects: Vec<Box<dyn Subject>>, threads: usize) -> Self {
        Campaign {
            suite,
            live: Vec::new(),
            finished: None,
            checked: None,
            subjects: vec![subjects],
            stand_in: None,
            exact: None,
            threads,
            started: (Instant::now(), SystemTime::now()),
            machine: Machine::here(),
            models: BTreeMap::new(),
            tensors: BTreeMap::new(),
            asked: Vec::new(),
            left_out: Vec::new(),
            demanded: false,
            failing_fast: false,
            share: None,
            cases: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Examines this one as well, in every case.
    pub fn also(mut self, subject: Box<dyn Subject>) -> Self {
        self.subjects.push(vec![subject]);
        self
    }

    /// Has every subject compared with this one, too, which is no reference of its own.
    pub fn beside(self, stand_in: Box<dyn Runner>) -> Self {
        let stand_in = Some(stand_in);
        Campaign { stand_in, ..self }
    }

    /// Has the error of both sides measured against this one, which computes in double precision.
    pub fn against(self, exact: Box<dyn Runner>) -> Self {
        let exact = Some(exact);
        Campaign { exact, ..self }
    }

    /// Asks these references, too, in every case.
    pub fn with_references(self, live: Vec<Live>) -> Self {
        Campaign { live, ..self }
    }

    /// Fails if none of the references answers any case.
    pub fn demanding(self) -> Self {
        let demanded = true;
        Campaign { demanded, ..self }
    }

    /// Is a share of a run, whose other cases others ask.
    pub fn sharing(self, share: Option<Share>) -> Self {
        Campaign { share, ..self }
    }

    /// Ends after the first case that does not agree.
    pub fn failing_fast(self) -> Self {
        let failing_fast = true;
        Campaign {
            failing_fast,
            ..self
        }
    }

    /// Runs on these model files, which were read already, and tells what cannot be asked of them.
    pub fn on(self, models: Vec<Input>, left_out: Vec<LeftOut>) -> Self {
        let models = models.into_iter().map(|input| (input.path.clone(), input));
        Campaign {
            models: models.collect(),
            left_out,
            ..self
        }
    }

    /// Takes over the cases that an earlier run of the same kind has finished.
    pub fn resuming(self, earlier: Receipt) -> Self {
        let finished = Some(earlier);
        Campaign { finished, ..self }
    }

    /// Runs one of those again, whichever, and believes none of them if it comes out otherwise.
    pub fn checking_one(self) -> Self {
        let cases = self.finished.iter().flat_map(|earlier| &earlier.cases);
        let names: Vec<&String> = cases.map(|case| &case.claims.case).collect();
        let any = RandomState::new().build_hasher().finish() as usize;
        let checked = names.get(any % names.len().max(1)).map(ToString::to_string);
        Campaign { checked, ..self }
    }

    /// The fixtures it runs on.
    pub fn suite(&self) -> &Suite {
        &self.suite
    }

    /// The names of those that somebody brought to be examined.
    pub fn brought(&self) -> Vec<String> {
        let subjects = self.subjects.iter().flatten();
        let identities = subjects.map(|subject| subject.identity());
        let brought = identities.filter(|identity| identity.brought().is_some());
        brought.map(|identity| identity.name).collect()
    }

    /// The names of those that compute now and are compared with.
    pub fn computing(&self) -> Vec<String> {
        let live = self.live.iter().map(|live| live.facts.name.clone());
        let stand_in = self.stand_in.iter().map(|one| one.identity().name);
        live.chain(stand_in).collect()
    }

    /// What every subject comes to in a case.
    fn examine(&mut self, case: &Case, model: &Path) -> Vec<Result<CaseReceipt, Box<Failed>>> {
        let subjects = 0..self.subjects.len();
        subjects
            .map(|subject| self.examine_one(case, model, subject))
            .collect()
    }

    fn examine_one(
        &mut self,
        case: &Case,
        model: &Path,
        subject: usize,
    ) -> Result<CaseReceipt, Box<Failed>> {
        if !self.models.contains_key(model) {
            let (input, _) = Input::read(model).map_err(|e| {
                let live = self.live.iter().map(|l| expected(&*l.runner, case));
                let recorded = case.recordings.iter().map(|_| case.declared(true));
                let expected: Vec<_> = recorded.chain(live).collect();
                Box::new(Failed::new(case, Outcome::Refused, e, &expected))
            })?;
            self.models.insert(model.to_owned(), input);
        }
        let model = &self.models[model];
        let place = |name: &str| case.recordings.iter().position(|r| r == name);
        let recordings = self.suite.recordings.iter_mut();
        let mut asked: Vec<(usize, &mut dyn Runner)> = recordings
            .filter_map(|(name, r)| Some((place(name)?, r as &mut dyn Runner)))
            .collect();
        asked.sort_by_key(|(place, _)| *place);
        let mut references: Vec<&mut dyn Runner> = asked.into_iter().map(|(_, r)| r).collect();
        for live in &mut self.live {
            references.push(live.runner.as_mut());
        }
        let foreign = self.stand_in.is_some();
        if let Some(stand_in) = &mut self.stand_in {
            references.push(stand_in.as_mut());
        }
        let mut subjects: Vec<&mut dyn Subject> = Vec::new();
        for subject in &mut self.subjects[subject] {
            subjects.push(subject.as_mut());
        }
        let task = Task { case, model };
        let mut taken = None;
        if let Some(earlier) = &self.finished {
            let subjects: Vec<_> = subjects.iter().map(|s| s.identity()).collect();
            let references: Vec<_> = references.iter().map(|r| r.identity()).collect();
            taken = resume::finished(earlier, task, &subjects, &references);
        }
        if let Some(done) = taken.filter(|_| self.checked.as_ref() != Some(&case.name)) {
            return Ok(done.clone());
        }
        // What is known of the built-in engine excuses nobody else.
        let nothing = Ledger::default();
        let known = if foreign {
            &nothing
        } else {
            &self.suite.ledger
        };
        let exact = self.exact.as_mut();
        let exact = exact.map(|exact| exact.as_mut() as &mut dyn Runner);
        let examined = examine(task, &mut subjects, &mut references, exact, known)?;
        match taken.filter(|done| done.claims != examined.claims) {
            None => Ok(examined),
            Some(_) => {
                let why = "run again, it does not come to what the receipt to resume says: \
                           nothing of that can be taken over";
                Err(Box::new(Failed::new(case, Outcome::Refused, why, &[])))
            }
        }
    }

    /// Of a model that was read already.
    fn hash_tensors(&mut self, model: &Path) {
        let Some(Input { path, sha256, .. }) = self.models.get(model) else {
            return;
        };
        if !self.tensors.contains_key(sha256) {
            let read = Input::open(path, map_or_read()).ok();
            let same = read.filter(|(input, _)| input.sha256 == *sha256);
            let tensors = same.map(|(_, bytes)| of_tensors(bytes));
            let tensors = tensors.unwrap_or_default();
            self.tensors.insert(sha256.clone(), tensors);
        }
    }

    /// Whether a case has failed so far.
    fn failed(&self) -> bool {
        let wrong = |verdict: &Verdict| verdict.outcome() != Outcome::Ok;
        let repetitions = self.cases.iter().flat_map(|case| &case.claims.repetitions);
        let mut all = comparisons(&self.cases).chain(repetitions);
        !self.failures.is_empty() || all.any(|c| wrong(&c.verdict))
    }

    /// The live references that answered in some case so far, if only themselves.
    fn answered(&self) -> Vec<LiveReference> {
        let answers = |live: &&Live| {
            let who = live.runner.identity();
            let others = comparisons(&self.cases).any(|c| {
                let same = (&c.reference.name, &c.reference.fingerprint);
                c.live && same == (&who.name, &who.fingerprint) && c.is_answered()
            });
            let mut controls = self.cases.iter().flat_map(|case| &case.claims.controls);
            others
                || controls.any(|c| c.reference.fingerprint == who.fingerprint && c.is_answered())
        };
        let answered = self.live.iter().filter(answers);
        answered.map(|live| live.facts.clone()).collect()
    }

    /// Those that had to answer, if none did.
    fn unanswered(&self) -> Vec<String> {
        if !self.demanded || self.share.is_some() || !self.answered().is_empty() {
            return Vec::new();
        }
        let names = self.live.iter().map(|live| live.facts.name.clone());
        names.collect()
    }

    /// Entries of the list that excuse nothing any more. What is known of the built-in engine is
    /// about nobody else, and a share of a run does not show what the others find.
    fn stale_entries(&self) -> Vec<String> {
        if self.stand_in.is_some() || self.share.is_some() {
            return Vec::new();
        }
        stale::entries(&self.suite.ledger, &self.cases)
    }

    /// Everything up to now, without a seal.
    fn so_far(&self) -> Receipt {
        let inputs = || self.suite.inputs().chain(self.models.values());
        let shown = |input: &Input| input.path.display().to_string();
        let (began, date) = self.started;
        let changed = inputs().filter(|i| i.still_holds().is_err());
        let circumstances = Circumstances {
            started_unix: date.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            seconds: began.elapsed().as_secs_f64(),
            threads: self.threads,
            asked: self.asked.clone(),
            machine: self.machine.clone(),
            references: self.answered(),
            stale_entries: self.stale_entries(),
            left_out: self.left_out.clone(),
            unanswered: self.unanswered(),
            changed_inputs: changed.map(shown).collect(),
            share: self.share.clone(),
            products: products::here().clone(),
            inputs: inputs()
                .map(|input| InputFile {
                    path: shown(input),
                    sha256: input.sha256.clone(),
                    tensors: self.tensors.get(&input.sha256).cloned().unwrap_or_default(),
                })
                .collect(),
        };
        let asked = self.asked.iter().enumerate();
        let places: HashMap<&str, usize> = asked.map(|(at, name)| (&name[..], at)).collect();
        let place = |name: &str| places.get(name);
        let (mut cases, mut failures) = (self.cases.clone(), self.failures.clone());
        cases.sort_by_key(|case| place(&case.claims.case));
        failures.sort_by_key(|failed| place(&failed.case));
        let asked = self.asked.len() * self.subjects.len();
        Receipt::unsealed(asked, cases, failures, circumstances)
    }
}
