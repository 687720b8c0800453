//! The engine without a fault, in every way it can compute: nothing may raise an alarm.
//!
//! What is to be run is planned first, so that a test can see that no two runs are alike. A fault
//! can be planted in a run, so that a test can see that it would raise an alarm.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use engine::Model;
use engine::kernels::Kernel;
use engine::numerics::Profile;

use super::gate::strict_verdict;
use super::{Fault, Injection, observed};
use crate::case::Case;
use crate::case::observation::Observation;
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::file::reading::Reading;
use crate::io::threads::parallel_map;
use crate::judge::compare::compare;
use crate::judge::verdict::Verdict;
use crate::numbers::split_mix::SplitMix64;
use crate::runner::engine::{Computing, open as open_model, tokenize};
use crate::runner::suite::Suite;
use crate::runner::{Runner, Task};

/// Steps of the continuation of a prompt nobody recorded.
const STEPS: usize = 4;
/// Letters of a prompt nobody recorded.
const LETTERS: usize = 60;
/// Decides the order of the recordings, and the prompts and ways nobody recorded.
const SEED: u64 = 1851;

/// One whole comparison of the engine: with a recording, or with itself on another kernel or
/// number of threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which case, by its place in the suite.
    pub case: usize,
    /// Its prompt, or a piece of it.
    pub prompt: String,
    /// The order of float operations.
    pub profile: Profile,
    /// Tokens computed together at most.
    pub ubatch: usize,
    /// The inner loops.
    pub kernel: Kernel,
    /// Threads.
    pub threads: usize,
    /// The recording; without one the engine is its own measure, on its fastest kernel and one
    /// thread.
    pub recording: Option<String>,
}

impl Run {
    /// What makes it another run than others.
    pub fn essence(&self, suite: &Suite) -> String {
        let one = Run {
            ubatch: 1,
            case: 0,
            ..self.clone()
        };
        format!("{} {one}", suite.cases[self.case].model)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (profile, kernel) = (self.profile.name(), self.kernel.name());
        let (ubatch, threads) = (self.ubatch, self.threads);
        write!(f, "{:?} in {profile} on {kernel}, ", self.prompt)?;
        write!(f, "ubatches of {ubatch}, {threads} threads, ")?;
        match &self.recording {
            Some(name) => write!(f, "with {name}"),
            None => write!(f, "with itself"),
        }
    }
}

/// So many runs, no two alike: another ubatch alone does not make another run, since short prompts
/// fit either. Every second one is a recording in one of the ways it can be repeated, as long as
/// there are any; the others are pieces of prompts that nobody recorded.
pub fn plan(suite: &Suite, count: usize) -> Vec<Run> {
    let mut dice = SplitMix64(SEED);
    let recorded = recorded(suite);
    let mut order = dice.order(recorded.len()).into_iter();
    let (mut runs, mut known) = (Vec::new(), BTreeSet::new());
    while runs.len() < count {
        let next = (runs.len() % 2 == 0).then(|| order.next()).flatten();
        let run = next.map_or_else(|| drawn(suite, &mut dice), |at| recorded[at].clone());
        if known.insert(run.essence(suite)) {
            runs.push(run);
        }
    }
    runs
}

/// Every recording of every case: on the fastest kernel with several numbers of threads, and on
/// the kernels in turns.
fn recorded(suite: &Suite) -> Vec<Run> {
    let mut turns = Kernel::available().into_iter().cycle();
    let mut runs = Vec::new();
    for (number, case) in suite.cases.iter().enumerate() {
        for name in &case.recordings {
            let profile = suite.recordings[name].identity().profile;
            let Some(profile) = Profile::from_name(&profile) else {
                continue; // an arithmetic of its own, which the engine does not claim
            };
            let best = [1, 2, 3].map(|threads| (threads, Kernel::best()));
            let turn = turns.next().map(|kernel| (4, kernel));
            runs.extend(best.into_iter().chain(turn).map(|(threads, kernel)| Run {
                case: number,
                prompt: case.prompt.clone(),
                profile,
                ubatch: case.ubatch,
                kernel,
                threads,
                recording: Some(name.clone()),
            }));
        }
    }
    runs
}

/// A piece of a prompt, in ubatches of some size. Slow kernels take their turns.
fn drawn(suite: &Suite, dice: &mut SplitMix64) -> Run {
    let case = dice.below(suite.cases.len());
    let letters: Vec<char> = suite.cases[case].prompt.chars().collect();
    let letters = &letters[dice.below(letters.len())..];
    let count = 1 + dice.below(LETTERS.min(letters.len()));
    let kernel = if dice.once_in(6) {
        dice.pick(&Kernel::available())
    } else {
        Kernel::best()
    };
    Run {
        case,
        prompt: letters[..count].iter().collect(),
        profile: dice.pick(&Profile::ALL),
        ubatch: 1 + dice.below(33),
        kernel,
        threads: 2 + dice.below(2),
        recording: None,
    }
}

/// A run that did not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its number in the plan.
    pub run: usize,
    /// What was run, and what was said.
    pub what: String,
}

/// Makes the runs and says which of them raised an alarm. `planted` names the fault to be planted
/// in a run, of those that act on the values of a pass.
pub fn alarms(
    suite: &Suite,
    runs: &[Run],
    planted: &(dyn Fn(usize) -> Option<&'static Fault> + Sync),
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Alarm>, Failure> {
    let models = open(suite)?;
    let alarms = parallel_map(runs.len(), |run| {
        let case = &suite.cases[runs[run].case];
        let model = &models[&(case.model.clone(), runs[run].kernel.name())];
        let best = &models[&(case.model.clone(), Kernel::best().name())];
        let fault = planted(run);
        let elsewhere = fault.filter(|f| !matches!(f.injection, Injection::Values(_)));
        if let Some(Fault { name, .. }) = elsewhere {
            return Err(Failure::input(format!("{name} does not act on values")));
        }
        let verdict = verdict(suite, &runs[run], [model, best], fault)?;
        done();
        let what = format!("{}, {}: {verdict}", case.name, runs[run]);
        Ok((verdict != Verdict::Agree).then_some(Alarm { run, what }))
    })?;
    Ok(alarms.into_iter().flatten().collect())
}

/// A model file and the engine's view of it.
type Opened = (Input, Model);

/// Every model, opened for every kernel.
fn open(suite: &Suite) -> Result<BTreeMap<(String, &'static str), Opened>, Failure> {
    let mut models = BTreeMap::new();
    for file in suite.cases.iter().map(|case| &case.model) {
        for kernel in Kernel::available() {
            let name = (file.clone(), kernel.name());
            if models.contains_key(&name) {
                continue;
            }
            let (input, _) = Input::read(&suite.folder.join(file))?;
            let model = open_model(&input, Reading::default(), Some(kernel))?;
            models.insert(name, (input, model));
        }
    }
    Ok(models)
}

/// One whole comparison: with the recording or, without one, with the fastest kernel alone.
fn verdict(
    suite: &Suite,
    run: &Run,
    [(input, model), (_, best)]: [&Opened; 2],
    fault: Option<&Fault>,
) -> Result<Verdict, Failure> {
    let mut case = suite.cases[run.case].clone();
    let theirs = match &run.recording {
        Some(name) => {
            let mut recorded = suite.recordings[name].clone();
            let model = input;
            recorded.observe(Task { case: &case, model })?
        }
        None => {
            case.prompt = run.prompt.clone();
            let tokens = tokenize(model, &case.prompt)?.len();
            case = Case {
                ubatch: run.ubatch,
                recordings: Vec::new(),
                greedy_steps: STEPS,
                tokens,
                context: tokens + STEPS,
                positions: (0..tokens).collect(),
                nodes: 1,
                ..case
            };
            let measure = Run {
                kernel: Kernel::best(),
                threads: 1,
                ..run.clone()
            };
            let theirs = computed(&case, &measure, best, None)?;
            // Every node the one shows must be shown by the other.
            case.nodes = theirs.trace.len();
            theirs
        }
    };
    let ours = computed(&case, run, model, fault)?;
    Ok(strict_verdict(&case, &compare(&case, &theirs, &ours)))
}

/// What the engine computes, with a fault if one is planted.
fn computed(
    case: &Case,
    run: &Run,
    model: &Model,
    fault: Option<&Fault>,
) -> Result<Observation, Failure> {
    let tokens = tokenize(model, &case.prompt)?;
    let (kernel, threads) = (run.kernel.name(), run.threads);
    let sound = Computing::new(model, run.profile);
    let mut engine = fault.map_or(sound, |fault| fault.engine(model, run.profile));
    let name = format!("engine {kernel} on {threads} threads");
    Ok(observed(&mut engine, name, case, tokens, threads)?)
}
