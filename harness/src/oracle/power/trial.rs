//! One fault through the comparison: what noticed it, where, and how large it was.
#![forbid(unsafe_code)]

use engine::bytes::Storage;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::{EvalError, OpenOptions, SessionOptions, Wanted};
use engine::transformer::probe::{Node, Probe};
use engine::{Model, Session, Token};
use serde::Serialize;

use super::effect::Effect;
use super::scene::{Act, Meddling, NOTHING, Planted as Acting, Scene};
use super::{Fault, Means, gate};
use crate::case::Case;
use crate::case::observation::{Identity, Observation, TracedNode};
use crate::exit::Failure;
use crate::file::document::Document;
use crate::file::provenance::Input;
use crate::judge::compare::{Findings, Incomparable, compare};
use crate::judge::tolerance::{Apart, book};
use crate::judge::verdict::{Divergence, Verdict};
use crate::receipt::Comparison;
use crate::receipt::pooled::broken_rule;
use crate::runner::engine::{Way, encode, look};
use crate::runner::suite::Suite;
use crate::runner::{RunError, Runner, Task};

/// The arithmetic the faults are planted in: that of the recordings they are judged by.
const PROFILE: Profile = Profile::GgmlAvx512;

/// What became of one fault.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
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

impl Outcome {
    fn unnoticed(fault: &Fault) -> Self {
        Outcome {
            name: fault.name,
            caught: false,
            by: None,
            located: fault.expected_node.map(|_| false),
            expected_node: fault.expected_node,
            effect: Effect::default(),
        }
    }

    /// Caught and, if it is a fault of numbers, located.
    pub fn is_settled(&self) -> bool {
        self.caught && self.located == self.expected_node.map(|_| true)
    }

    fn notice(&mut self, by: String, first_node: Option<String>) {
        self.caught = true;
        self.by = Some(by);
        self.located = self
            .expected_node
            .map(|expected| first_node.as_deref() == Some(expected));
        self.effect.first_node = first_node;
    }
}

/// The fixtures, ready for faults.
pub struct Bench {
    suite: Suite,
    kernel: Kernel,
    every_prompt: bool,
}

/// A fault, planted: everything a pass needs.
struct Planted {
    model: Model,
    input: Input,
}

impl Bench {
    /// The fixtures and the fastest kernel. A fault is tried until something notices it.
    pub fn new(suite: Suite) -> Self {
        Bench {
            suite,
            kernel: Kernel::best(),
            every_prompt: false,
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

    /// Tries the cases of the fault's model in order, the traced one first.
    pub fn attempt(&self, fault: &Fault) -> Result<Outcome, Failure> {
        let recorded = |name: &String| self.suite.recordings[name].identity().profile;
        let recorded = |case: &Case| {
            case.recordings
                .iter()
                .any(|n| recorded(n) == PROFILE.name())
        };
        let of_model =
            |case: &&Case| case.name.starts_with(&format!("{}-", fault.model)) && recorded(case);
        let mut cases: Vec<&Case> = self.suite.cases.iter().filter(of_model).collect();
        cases.sort_by_key(|case| case.nodes == 0);
        let first = cases
            .first()
            .ok_or_else(|| Failure::input("the fixtures have no cases"))?;
        let mut outcome = Outcome::unnoticed(fault);
        let planted = match self.plant(fault, first)? {
            Ok(planted) => planted,
            Err(refusal) => {
                outcome.effect = Effect::none_left();
                outcome.notice(format!("engine: {refusal}"), None);
                return Ok(outcome);
            }
        };
        for case in cases {
            if outcome.caught && !self.every_prompt {
                break;
            }
            self.examine(fault, case, &planted, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// The model with the fault in it, or the loader's refusal of it.
    fn plant(&self, fault: &Fault, case: &Case) -> Result<Result<Planted, String>, Failure> {
        let path = self.suite.folder.join(&case.model);
        let (input, _) = Input::read(&path)?;
        let mut options = OpenOptions {
            storage: Storage::Read,
            flavor: None,
            kernel: Some(self.kernel),
        };
        if let Means::Flavor(flavor) = fault.means {
            options.flavor = Some(flavor);
        }
        let model = match fault.means {
            Means::File(edit) => {
                let mut document = Document::read(Model::open(&path, &options)?.gguf())?;
                edit(&mut document).map_err(Failure::input)?;
                Model::from_bytes(document.file(), &options)
            }
            _ => Model::open(&path, &options),
        };
        let planted = model.map(|model| Planted { model, input });
        Ok(planted.map_err(|refusal| refusal.code.as_str().to_owned()))
    }

    /// One case: how large the fault is there and, if nothing has noticed it yet, what does.
    fn examine(
        &self,
        fault: &Fault,
        case: &Case,
        planted: &Planted,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let theirs = self.recorded(case, &planted.input)?;
        let (effect, noticed) = match self.observe(fault, case, planted, &theirs) {
            Ok(ours) => compared(case, &theirs, &ours),
            Err(RunError::NotFinite(_)) => {
                let first = self.first_shown_node(fault, case, planted, &theirs)?;
                (
                    Effect::none_left(),
                    Some(("engine: NOT_FINITE".to_owned(), first)),
                )
            }
            Err(error) => return Err(Failure::input(error)),
        };
        outcome.effect = std::mem::take(&mut outcome.effect).and(effect);
        let (false, Some((by, mut first_node))) = (outcome.caught, noticed) else {
            return Ok(());
        };
        if first_node.is_none() && fault.expected_node.is_some() {
            first_node = self.first_decoded_node(fault, planted, &theirs.tokens)?;
        }
        outcome.notice(by, first_node);
        Ok(())
    }

    /// What the engine with the fault computes.
    fn observe(
        &self,
        fault: &Fault,
        case: &Case,
        planted: &Planted,
        theirs: &Observation,
    ) -> Result<Observation, RunError> {
        let identity = Identity {
            name: format!("engine with {}", fault.name),
            profile: PROFILE.name().into(),
            fingerprint: "planted".into(),
        };
        let mut tokens = encode(&planted.model, case)?;
        if let Means::Ids(edit) = fault.means {
            let tokenizer = planted.model.tokenizer().expect("it has just encoded");
            edit(tokenizer, &case.prompt, &mut tokens);
        }
        let way = Way {
            identity,
            threads: 1,
            profile: PROFILE,
        };
        let acts = fault.acts().unwrap_or(NOTHING);
        let mut ours = look(&planted.model, case, tokens, way, &|witness| {
            Box::new(Meddling::new(acting(&planted.model, acts), witness))
        })?;
        if let Means::Testimony(edit) = fault.means {
            edit(theirs, &mut ours);
        }
        Ok(ours)
    }

    /// The first node in which decoding with the fault differs from decoding without it, whose
    /// logits are the reference's. The recordings have no trace of decoding.
    fn first_decoded_node(
        &self,
        fault: &Fault,
        planted: &Planted,
        tokens: &[Token],
    ) -> Result<Option<String>, Failure> {
        let Some(acts) = fault.acts() else {
            return Ok(None);
        };
        let clean = self.shown(planted, NOTHING, tokens, 1)?;
        let faulty = self.shown(planted, acts, tokens, 1)?;
        let mut pairs = clean.into_iter().zip(faulty);
        let differing = pairs.find(|(clean, faulty)| clean != faulty);
        Ok(differing.map(|((node, _), _)| node))
    }

    /// The first node that differs from the reference's, of a fault that left no logits.
    fn first_shown_node(
        &self,
        fault: &Fault,
        case: &Case,
        planted: &Planted,
        theirs: &Observation,
    ) -> Result<Option<String>, Failure> {
        let Some(acts) = fault.acts() else {
            return Ok(None);
        };
        let shown = self.shown(planted, acts, &theirs.tokens, case.ubatch)?;
        let known = |node: &str| theirs.trace.iter().find(|traced| traced.key == node);
        let differs = |(node, bits): &(String, Vec<u32>)| {
            let same = |traced: &TracedNode| {
                let theirs = traced.values.iter().map(|v| v.to_bits());
                theirs.eq(bits.iter().copied())
            };
            known(node).is_some_and(|traced| !same(traced))
        };
        Ok(shown.into_iter().find(differs).map(|(node, _)| node))
    }

    /// Every node of feeding `tokens` in ubatches, as far as it gets.
    fn shown(
        &self,
        planted: &Planted,
        acts: [Act; 2],
        tokens: &[Token],
        ubatch: usize,
    ) -> Result<Vec<(String, Vec<u32>)>, Failure> {
        let mut witness = Shown::default();
        let mut probe = Meddling::new(acting(&planted.model, acts), &mut witness);
        let options = SessionOptions {
            context: tokens.len(),
            ubatch,
            threads: 1,
            profile: PROFILE,
        };
        let mut session = Session::new(&planted.model, options)?;
        match session.feed(tokens, Wanted::All, &mut probe) {
            Ok(_) | Err(EvalError::NotFinite { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(witness.0)
    }

    fn recorded(&self, case: &Case, input: &Input) -> Result<Observation, Failure> {
        let recordings = case
            .recordings
            .iter()
            .map(|name| &self.suite.recordings[name]);
        let mut same = recordings.filter(|r| r.identity().profile == PROFILE.name());
        let recording = same.next().ok_or_else(|| {
            Failure::input(format!(
                "no recording of {} is {}",
                case.name,
                PROFILE.name()
            ))
        })?;
        let task = Task { case, model: input };
        recording.clone().observe(task).map_err(Failure::input)
    }
}

fn acting(model: &Model, acts: [Act; 2]) -> Acting<'_> {
    Acting::new(Scene::of(model, PROFILE), acts)
}

/// Keeps names and bits.
#[derive(Default)]
struct Shown(Vec<(String, Vec<u32>)>);

impl Probe for Shown {
    fn at(&mut self, node: Node, _: &[usize], values: &mut [f32]) {
        let bits = values.iter().map(|v| v.to_bits()).collect();
        self.0.push((node.to_string(), bits));
    }
}

/// How far apart the two are, what the comparison of `crossval` says of it, if it says anything,
/// and the first node that differs.
fn compared(
    case: &Case,
    theirs: &Observation,
    ours: &Observation,
) -> (Effect, Option<(String, Option<String>)>) {
    let found = compare(case, theirs, ours);
    let found = found.map_err(|why| Verdict::Incomparable { why });
    let found = found.as_ref().map_err(Clone::clone);
    let under = |apart| {
        let who = theirs.identity.clone();
        let profile = &ours.identity.profile;
        Comparison::conclude(who, false, profile, apart, case.declared(), found.clone())
    };
    let mut effect = Effect::between(theirs, ours);
    let tiers = gate::LOOSER.into_iter();
    let passed = tiers
        .filter(|&apart| under(apart).verdict == Verdict::Agree)
        .filter(|&apart| !found.as_ref().is_ok_and(|f| breaks_together(f, apart)));
    effect
        .passes
        .extend(passed.map(|apart| apart.tier().name()));
    let comparison = under(Apart::Nothing);
    let noticed = comparison.verdict != Verdict::Agree;
    let noticed = noticed.then(|| (metric(&comparison.verdict), comparison.first_differing_node));
    (effect, noticed)
}

/// Whether even the rules for all documents together are broken, by this one alone.
fn breaks_together(found: &Findings, apart: Apart) -> bool {
    found.lanes.iter().any(|lane| {
        let gates = book().gates(apart, lane.lane);
        gates.is_some_and(|gates| broken_rule(&[lane], &gates).is_some())
    })
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
