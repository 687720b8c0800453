//! The engine without a fault, in every way it can compute: nothing may raise an alarm.
//!
//! What is to be run is planned first, so that it can be seen that no two runs are alike. A fault
//! can be smuggled into a run, so that it can be seen that an alarm would ring.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use engine::Model;
use engine::bytes::Storage;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::OpenOptions;

use super::Fault;
use super::crew;
use super::scene::{Meddling, Planted, Scene};
use crate::case::Case;
use crate::case::observation::{Identity, Observation};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::judge::compare::compare;
use crate::judge::tolerance::Apart;
use crate::judge::verdict::{Verdict, judge};
use crate::numbers::split_mix::SplitMix64;
use crate::runner::engine::{Through, Way, encode, look};
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
    let order = dice.order(recorded.len());
    let mut recorded = order.into_iter().map(|i| recorded[i].clone());
    let (mut runs, mut known) = (Vec::new(), BTreeSet::new());
    while runs.len() < count {
        let recorded = match runs.len() % 2 {
            0 => recorded.next(),
            _ => None,
        };
        let run = recorded.unwrap_or_else(|| drawn(suite, &mut dice));
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
            let mut ways = vec![
                (1, Kernel::best()),
                (2, Kernel::best()),
                (3, Kernel::best()),
            ];
            ways.extend(turns.next().map(|kernel| (4, kernel)));
            runs.extend(ways.into_iter().map(|(threads, kernel)| Run {
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
    let kernel = match dice.once_in(6) {
        true => dice.pick(&Kernel::available()),
        false => Kernel::best(),
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

/// Makes the runs and says which of them raised an alarm. `smuggled` names the fault to be planted
/// in a run, of those that act on the values of a pass.
pub fn alarms(
    suite: &Suite,
    runs: &[Run],
    smuggled: &(dyn Fn(usize) -> Option<&'static Fault> + Sync),
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Alarm>, Failure> {
    let ways = Ways::open(suite)?;
    let alarm = |run: usize| {
        let verdict = ways.compare(&runs[run], smuggled(run))?;
        done();
        let case = &suite.cases[runs[run].case].name;
        let what = format!("{case}, {}: {verdict}", runs[run]);
        Ok((verdict != Verdict::Agree).then_some(Alarm { run, what }))
    };
    let alarms = crew::each(runs.len(), alarm)?;
    Ok(alarms.into_iter().flatten().collect())
}

/// Every model, opened for every kernel.
struct Ways<'s> {
    suite: &'s Suite,
    models: BTreeMap<(String, &'static str), (Input, Model)>,
}

impl<'s> Ways<'s> {
    fn open(suite: &'s Suite) -> Result<Self, Failure> {
        let mut models = BTreeMap::new();
        for case in &suite.cases {
            for kernel in Kernel::available() {
                let name = (case.model.clone(), kernel.name());
                if models.contains_key(&name) {
                    continue;
                }
                let (input, _) = Input::read(&suite.folder.join(&case.model))?;
                let options = OpenOptions {
                    storage: Storage::Read,
                    flavor: None,
                    kernel: Some(kernel),
                };
                let model = Model::open(&input.path, &options)?;
                models.insert(name, (input, model));
            }
        }
        Ok(Ways { suite, models })
    }

    fn model(&self, case: &Case, kernel: Kernel) -> &(Input, Model) {
        &self.models[&(case.model.clone(), kernel.name())]
    }

    fn compare(&self, run: &Run, fault: Option<&Fault>) -> Result<Verdict, Failure> {
        let mut case = self.suite.cases[run.case].clone();
        let theirs = match &run.recording {
            Some(name) => {
                let (input, _) = self.model(&case, run.kernel);
                let task = Task {
                    case: &case,
                    model: input,
                };
                let recorded = self.suite.recordings[name].clone().observe(task);
                recorded.map_err(Failure::input)?
            }
            None => {
                self.cut(&mut case, run)?;
                let measure = Run {
                    kernel: Kernel::best(),
                    threads: 1,
                    ..run.clone()
                };
                let theirs = self.observe(&case, &measure, None)?;
                // Every node the one shows must be shown by the other.
                case.nodes = theirs.trace.len();
                theirs
            }
        };
        let ours = self.observe(&case, run, fault)?;
        Ok(match compare(&case, &theirs, &ours) {
            Ok(findings) => {
                let coverage = findings.coverage(case.declared());
                judge(&findings, &coverage, Apart::Nothing)
            }
            Err(why) => Verdict::Incomparable { why },
        })
    }

    /// Turns a case into one about a piece of its prompt.
    fn cut(&self, case: &mut Case, run: &Run) -> Result<(), Failure> {
        case.prompt = run.prompt.clone();
        case.ubatch = run.ubatch;
        case.recordings = Vec::new();
        case.greedy_steps = STEPS;
        let (_, model) = self.model(case, run.kernel);
        case.tokens = encode(model, case).map_err(Failure::input)?.len();
        case.context = case.tokens + STEPS;
        case.positions = (0..case.tokens).collect();
        case.nodes = 1;
        Ok(())
    }

    fn observe(
        &self,
        case: &Case,
        run: &Run,
        fault: Option<&Fault>,
    ) -> Result<Observation, Failure> {
        let (_, model) = self.model(case, run.kernel);
        let tokens = encode(model, case).map_err(Failure::input)?;
        let (kernel, threads) = (run.kernel.name(), run.threads);
        let way = Way {
            identity: Identity {
                name: format!("engine {kernel} on {threads} threads"),
                profile: run.profile.name().into(),
                fingerprint: "clean".into(),
            },
            threads,
            profile: run.profile,
        };
        let seen = match fault {
            None => look(model, case, tokens, way, &|probe| Box::new(Through(probe))),
            Some(fault) => {
                let acts = fault.acts().ok_or_else(|| {
                    Failure::input(format!("{} does not act on values", fault.name))
                })?;
                look(model, case, tokens, way, &|probe| {
                    let fault = Planted::new(Scene::of(model, run.profile), acts);
                    Box::new(Meddling::new(fault, probe))
                })
            }
        };
        seen.map_err(Failure::input)
    }
}
