//! One fault through the comparison: what noticed it, where, and how large it was.

use std::collections::BTreeMap;
use std::sync::Mutex;

use engine::bytes::Storage;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::{Model, Token};
use serde::Serialize;
use serde_json::Value;

use super::gate::{Effect, strict_verdict};
use super::{Fault, Injection, observed};
use crate::case::Case;
use crate::case::ability::{Ability, Lacking};
use crate::case::observation::{Lane, Observation, TracedNode};
use crate::case::schedule::{Schedule, Step};
use crate::exit::Failure;
use crate::file::document::Document;
use crate::file::provenance::Input;
use crate::file::reading::Reading;
use crate::io::threads::parallel_map;
use crate::judge::compare::{Incomparable, compare};
use crate::judge::outcome::Outcome;
use crate::judge::verdict::{Divergence, Verdict};
use crate::numbers::metrics::same_bits;
use crate::runner::engine::{Computing, tokenize};
use crate::runner::observe::observe_tokens;
use crate::runner::suite::Suite;
use crate::runner::watch::{Watch, by_key};
use crate::runner::{RunError, Runner, Task};

/// The arithmetic the faults are planted in: that of the recordings they are judged by.
const PROFILE: Profile = Profile::GgmlAvx512;

/// Steps after which most continuations that part have parted.
const SOON: usize = 8;

/// What became of one fault.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// Its name.
    pub name: &'static str,
    /// Whether anything noticed it.
    pub caught: bool,
    /// What noticed it first.
    pub by: Option<String>,
    /// Whether the first differing node is the right one; none for faults of no node.
    pub located: Option<bool>,
    /// The node it was planted in.
    pub expected_node: Option<&'static str>,
    /// How large it was.
    pub effect: Effect,
}

impl Trial {
    /// Caught and, if it is a fault of numbers, located.
    pub fn is_settled(&self) -> bool {
        settled(self.caught, self.located, self.expected_node.is_some())
    }

    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        if self.is_settled() {
            Outcome::Ok
        } else {
            Outcome::Divergence
        }
    }

    fn notice(&mut self, by: String, first_node: Option<String>) {
        self.caught = true;
        self.by = Some(by);
        let found = first_node.as_deref();
        self.located = self.expected_node.map(|expected| found == Some(expected));
        self.effect.first_node = first_node;
    }
}

/// What a result comes to whose rows were put together from shares.
pub fn of_shares(whole: &mut Value) -> Result<Outcome, String> {
    let faults = whole["faults"].as_array().into_iter().flatten();
    let mut all = faults.map(|fault| {
        let of_a_node = !fault["expected_node"].is_null();
        settled(
            fault["caught"] == true,
            fault["located"].as_bool(),
            of_a_node,
        )
    });
    let calm = whole["alarms"] == 0;
    let all_settled = all.all(|settled| settled);
    let runs = whole
        .as_object_mut()
        .and_then(|whole| whole.remove("all_clean_runs"));
    if runs.is_some_and(|runs| runs != whole["clean_runs"]) {
        return Err("clean runs are missing".into());
    }
    Ok(if all_settled && calm {
        Outcome::Ok
    } else {
        Outcome::Divergence
    })
}

/// Whether a fault was caught and, where it is one of a node, located.
fn settled(caught: bool, located: Option<bool>, of_a_node: bool) -> bool {
    caught && located == of_a_node.then_some(true)
}

/// The fixtures, ready for faults.
pub struct Bench {
    suite: Suite,
    every_prompt: bool,
    /// What the engine without a fault computes, by case: what is handed over is spoiled later.
    sound: Mutex<BTreeMap<String, Observation>>,
}

/// The model that is to compute, with the fault in it if it is one of the file.
struct Target {
    model: Model,
    input: Input,
}

impl Bench {
    /// The fixtures and the fastest kernel. A fault is tried until something notices it.
    pub fn new(suite: Suite) -> Self {
        Bench {
            suite,
            every_prompt: false,
            sound: Mutex::default(),
        }
    }

    /// A fault is tried on every prompt of its model, noticed or not: so that gates that look at
    /// less get to see it everywhere it shows.
    pub fn on_every_prompt(self) -> Self {
        Bench {
            every_prompt: true,
            ..self
        }
    }

    /// Tries faults on every core; `done` is called after each.
    pub fn attempt_all(
        &self,
        faults: &[&Fault],
        done: &(dyn Fn() + Sync),
    ) -> Result<Vec<Trial>, Failure> {
        parallel_map(faults.len(), |at| {
            let trial = self.attempt(faults[at]);
            done();
            trial
        })
    }

    /// Tries the cases of the fault's model in order, the traced one first.
    pub fn attempt(&self, fault: &Fault) -> Result<Trial, Failure> {
        let prefix = format!("{}-", fault.model);
        let cases = self.suite.cases.iter();
        let cases = cases.filter(|case| case.name.starts_with(&prefix));
        let mut cases: Vec<&Case> = cases.filter(|c| self.recording(c).is_some()).collect();
        cases.sort_by_key(|case| case.nodes == 0);
        let first = cases
            .first()
            .ok_or_else(|| Failure::input("the fixtures have no cases"))?;
        let mut trial = Trial {
            name: fault.name,
            caught: false,
            by: None,
            located: fault.expected_node.map(|_| false),
            expected_node: fault.expected_node,
            effect: Effect::unseen(),
        };
        let target = match self.target(fault, first)? {
            Ok(target) => target,
            Err(refusal) => {
                trial.effect = Effect::none_left();
                trial.notice(format!("engine: {refusal}"), None);
                return Ok(trial);
            }
        };
        for case in cases {
            if trial.caught && !self.every_prompt {
                break;
            }
            self.examine(fault, case, &target, &mut trial)?;
        }
        Ok(trial)
    }

    /// The name of the recording that answers a case in the arithmetic of the faults.
    fn recording<'c>(&self, case: &'c Case) -> Option<&'c String> {
        let profile = |name: &&String| {
            let identity = self.suite.recordings[*name].identity();
            identity.profile == PROFILE.name()
        };
        case.recordings.iter().find(profile)
    }

    /// The model with the fault in it, or the loader's refusal of it.
    fn target(&self, fault: &Fault, case: &Case) -> Result<Result<Target, String>, Failure> {
        let (input, _) = Input::read(&self.suite.folder.join(&case.model))?;
        let flavor = match fault.injection {
            Injection::Flavor(flavor) => Some(flavor),
            _ => None,
        };
        let dialect = None;
        let reading = Reading { dialect, flavor };
        let options = reading.options(Storage::Read, Some(Kernel::best()));
        let model = if let Injection::File(edit) = fault.injection {
            let mut document = Document::read(Model::open(&input.path, &options)?.gguf())?;
            edit(&mut document).map_err(Failure::input)?;
            Model::from_bytes(document.file(), &options)
        } else {
            Model::open(&input.path, &options)
        };
        let target = model.map(|model| Target { model, input });
        Ok(target.map_err(|refusal| refusal.code.as_str().to_owned()))
    }

    /// One case: how large the fault is there and, if nothing has noticed it yet, what does.
    fn examine(
        &self,
        fault: &Fault,
        case: &Case,
        target: &Target,
        trial: &mut Trial,
    ) -> Result<(), Failure> {
        let theirs = self.recorded(case, &target.input)?;
        let (effect, noticed) = match self.observe(fault, case, target, &theirs) {
            Ok(ours) => compared(case, &theirs, &ours),
            Err(RunError::NotFinite(_)) => {
                let ids = Step::Feed(theirs.tokens.clone());
                let first = first_node(fault, target, case.ubatch, vec![ids], Some(&theirs.trace))?;
                let noticed = ("engine: NOT_FINITE".to_owned(), first);
                (Effect::none_left(), Some(noticed))
            }
            Err(error) => return Err(error.into()),
        };
        trial.effect = trial.effect.clone().and(effect);
        let (false, Some((by, mut first))) = (trial.caught, noticed) else {
            return Ok(());
        };
        if first.is_none() && fault.expected_node.is_some() {
            // The recordings have no trace of decoding; without the fault the engine's logits are
            // the reference's.
            let decode = Step::of_lane(Lane::Decode, &theirs.tokens);
            first = first_node(fault, target, 1, decode, None)?;
        }
        trial.notice(by, first);
        Ok(())
    }

    /// What the engine with the fault computes.
    fn observe(
        &self,
        fault: &Fault,
        case: &Case,
        target: &Target,
        theirs: &Observation,
    ) -> Result<Observation, RunError> {
        let model = &target.model;
        let name = format!("engine with {}", fault.name);
        let mut tokens = tokenize(model, &case.prompt)?;
        if let Injection::Ids(edit) = fault.injection {
            let tokenizer = model.tokenizer().expect("it has just encoded");
            edit(tokenizer, &case.prompt, &mut tokens);
        }
        let mut engine = fault.engine(model, PROFILE);
        let Injection::Observation(edit) = fault.injection else {
            return parted_or_whole(&mut engine, name, case, tokens, &theirs.greedy.tokens);
        };
        let mut sound = self.sound.lock().expect("no panic while it is held");
        let mut ours = match sound.get(&case.name) {
            Some(ours) => ours.clone(),
            None => {
                let ours = observed(&mut engine, name.clone(), case, tokens, 1)?;
                sound.insert(case.name.clone(), ours.clone());
                ours
            }
        };
        ours.identity.name = name;
        edit(theirs, &mut ours);
        Ok(ours)
    }

    fn recorded(&self, case: &Case, model: &Input) -> Result<Observation, Failure> {
        let name = self.recording(case).expect("other cases are left out");
        let mut recording = self.suite.recordings[name].clone();
        Ok(recording.observe(Task { case, model })?)
    }
}

/// What an engine computes of a case. A continuation that soon parts from the reference's is not
/// computed to its end: behind the first other token the two continue different texts, and nothing
/// looks at them.
fn parted_or_whole(
    engine: &mut Computing<'_, &Model>,
    name: String,
    case: &Case,
    tokens: Vec<Token>,
    theirs: &[Token],
) -> Result<Observation, RunError> {
    let beginning = Case {
        greedy_steps: case.greedy_steps.min(SOON),
        ..case.clone()
    };
    let mut ours = observed(engine, name, &beginning, tokens.clone(), 1)?;
    let is_whole = beginning.greedy_steps == case.greedy_steps;
    if !is_whole && theirs.starts_with(&ours.greedy.tokens) {
        let lacking = (1, &Lacking::from([Ability::Prefill, Ability::Decode]));
        let whole = observe_tokens(engine, ours.identity.clone(), case, tokens, lacking)?;
        ours.greedy = whole.greedy;
    }
    Ok(ours)
}

/// The first node in which a pass with the fault differs from `theirs` or, if there are none, from
/// one without it. Every step has the same nodes; the first one's are counted from 0.
fn first_node(
    fault: &Fault,
    target: &Target,
    ubatch: usize,
    steps: Vec<Step>,
    theirs: Option<&[TracedNode]>,
) -> Result<Option<String>, Failure> {
    let count = steps.len();
    let schedule = Schedule {
        ubatch,
        ..Schedule::of(steps)
    };
    let nodes = |mut engine: Computing<'_, _>| engine.pass(&schedule, &Watch::every());
    let ours = nodes(fault.engine(&target.model, PROFILE))?.nodes;
    let sound = match theirs {
        Some(_) => Vec::new(),
        None => nodes(Computing::new(&target.model, PROFILE))?.nodes,
    };
    let theirs = by_key(theirs.unwrap_or(&sound));
    let differs = |node: &TracedNode| {
        let known = theirs.get(&*node.key);
        known.is_some_and(|known| !same_bits(&known.values, &node.values))
    };
    let first = ours.iter().position(differs);
    Ok(first.map(|at| ours[at % (ours.len() / count)].key.clone()))
}

/// How far apart the two are, what the comparison of `crossval` says of it, if it says anything,
/// and the first node that differs.
fn compared(
    case: &Case,
    theirs: &Observation,
    ours: &Observation,
) -> (Effect, Option<(String, Option<String>)>) {
    let found = compare(case, theirs, ours);
    let effect = Effect::between(case, theirs, ours, found.as_ref().ok());
    let verdict = strict_verdict(case, &found);
    let first = found.ok().and_then(|found| found.nodes.first_difference);
    let noticed = verdict != Verdict::Agree;
    (
        effect,
        noticed.then(|| (metric(&verdict), first.map(|d| d.place))),
    )
}

/// Which part of the comparison spoke first.
fn metric(verdict: &Verdict) -> String {
    let metric = match verdict {
        Verdict::Diverge { first } => match first {
            Divergence::Tokens { .. } => "token ids".into(),
            Divergence::Node { rule, .. } => format!("node: {rule}"),
            Divergence::Logits { lane, rule, .. } => format!("{} logits: {rule}", lane.name()),
            Divergence::Lane { lane, rule } => format!("{}: {rule}", lane.name()),
            Divergence::Greedy { .. } => "continuation ids".into(),
            Divergence::GreedyText => "continuation text".into(),
        },
        Verdict::Incomplete { missing } => format!("coverage: {missing}"),
        Verdict::Incomparable { why } => match why {
            Incomparable::SameIdentity(_) => "the same witness twice".into(),
            Incomparable::VocabSize { .. } => "length of a row".into(),
            other => other.to_string(),
        },
        other => other.to_string(),
    };
    format!("crossval: {metric}")
}
