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
use super::{Fault, Means};
use crate::case::Case;
use crate::compare::{Findings, Incomparable, compare};
use crate::document::Document;
use crate::exit::Failure;
use crate::observation::{Identity, Observation};
use crate::provenance::Input;
use crate::receipt::Comparison;
use crate::receipt::pooled::broken_rule;
use crate::runner::engine::{Way, encode, look};
use crate::runner::{RunError, Runner, Task};
use crate::suite::Suite;
use crate::tolerance::{Apart, Tolerance, book};
use crate::verdict::{Divergence, Verdict};

/// The arithmetic the faults are planted in: that of the recordings they are judged by.
const PROFILE: Profile = Profile::GgmlAvx512;
/// What the usual gate asks of the last position.
const USUAL_COSINE: f64 = 0.99;
/// What the lanes of the looser tiers are set apart by.
pub const LOOSER: [Apart; 3] = [Apart::Order, Apart::Path, Apart::Ik];

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
    /// The first node that differs.
    pub first_node: Option<String>,
    /// The case that noticed it.
    pub case: String,
    /// How large it was there.
    pub effect: Effect,
    /// The tiers that would have let it pass, had the comparison been judged by them.
    pub tiers_would_miss: Vec<Tolerance>,
    /// Whether "cosine above 0.99 on the last position" would have let it pass.
    pub usual_gate_would_miss: bool,
}

impl Outcome {
    /// Caught and, if it is a fault of numbers, located.
    pub fn is_settled(&self) -> bool {
        self.caught && self.located == self.expected_node.map(|_| true)
    }
}

/// The fixtures, ready for faults.
pub struct Bench {
    suite: Suite,
    kernel: Kernel,
}

/// A fault, planted: everything a pass needs.
struct Planted {
    model: Model,
    input: Input,
}

impl Bench {
    /// The fixtures, and the fastest kernel.
    pub fn new(suite: Suite) -> Self {
        let kernel = Kernel::best();
        Bench { suite, kernel }
    }

    /// Tries the cases of the fault's model in order, the traced one first, until one notices.
    pub fn attempt(&self, fault: &Fault) -> Result<Outcome, Failure> {
        let of_model = |case: &&Case| case.name.starts_with(&format!("{}-", fault.model));
        let mut cases: Vec<&Case> = self.suite.cases.iter().filter(of_model).collect();
        cases.sort_by_key(|case| case.nodes == 0);
        let first = cases
            .first()
            .ok_or_else(|| Failure::input("the fixtures have no cases"))?;
        let planted = match self.plant(fault, first)? {
            Ok(planted) => planted,
            Err(refusal) => return Ok(refused(fault, first, &refusal)),
        };
        let mut outcome = self.examine(fault, first, &planted)?;
        for case in &cases[1..] {
            if outcome.caught {
                break;
            }
            outcome = self.examine(fault, case, &planted)?;
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

    fn examine(&self, fault: &Fault, case: &Case, planted: &Planted) -> Result<Outcome, Failure> {
        let theirs = self.recorded(case, &planted.input)?;
        let identity = Identity {
            name: format!("engine with {}", fault.name),
            profile: PROFILE.name().into(),
            fingerprint: "planted".into(),
        };
        let mut tokens = encode(&planted.model, case).map_err(Failure::input)?;
        if let Means::Ids(edit) = fault.means {
            let tokenizer = planted.model.tokenizer().expect("it has just encoded");
            edit(tokenizer, &case.prompt, &mut tokens);
        }
        let way = Way {
            identity,
            threads: 1,
            profile: PROFILE,
        };
        let acts = match fault.means {
            Means::Values(acts) => acts,
            _ => NOTHING,
        };
        let seen = look(&planted.model, case, tokens, way, &|witness| {
            Box::new(Meddling::new(acting(&planted.model, acts), witness))
        });
        let mut ours = match seen {
            Ok(ours) => ours,
            Err(RunError::NotFinite(_)) => return self.not_finite(fault, case, planted, &theirs),
            Err(error) => return Err(Failure::input(error)),
        };
        if let Means::Testimony(edit) = fault.means {
            edit(&theirs, &mut ours);
        }
        self.judge(fault, case, planted, [&theirs, &ours])
    }

    fn judge(
        &self,
        fault: &Fault,
        case: &Case,
        planted: &Planted,
        [theirs, ours]: [&Observation; 2],
    ) -> Result<Outcome, Failure> {
        let found = compare(case, theirs, ours);
        let found = found.map_err(|why| Verdict::Incomparable { why });
        let found = found.as_ref().map_err(Clone::clone);
        let under = |apart| {
            let who = theirs.identity.clone();
            let profile = ours.identity.profile.as_str();
            Comparison::conclude(who, false, profile, apart, case.declared(), found.clone())
        };
        let comparison = under(Apart::Nothing);
        let caught = comparison.verdict != Verdict::Agree;
        let mut first_node = comparison.first_differing_node;
        if caught && first_node.is_none() && fault.expected_node.is_some() {
            first_node = self.first_decoded_node(fault, planted, &theirs.tokens)?;
        }
        let effect = Effect::between(found.as_ref().ok().copied(), theirs, ours);
        Ok(Outcome {
            name: fault.name,
            caught,
            by: caught.then(|| metric(&comparison.verdict)),
            located: fault
                .expected_node
                .map(|e| first_node.as_deref() == Some(e)),
            expected_node: fault.expected_node,
            first_node,
            case: case.name.clone(),
            tiers_would_miss: LOOSER
                .into_iter()
                .filter(|&apart| under(apart).verdict == Verdict::Agree)
                .filter(|&apart| !found.as_ref().is_ok_and(|f| breaks_together(f, apart)))
                .map(Apart::tier)
                .collect(),
            usual_gate_would_miss: effect.cosine_last.is_some_and(|c| c > USUAL_COSINE),
            effect,
        })
    }

    /// The first node in which decoding with the fault differs from decoding without it, whose
    /// logits are the reference's. The recordings have no trace of decoding.
    fn first_decoded_node(
        &self,
        fault: &Fault,
        planted: &Planted,
        tokens: &[Token],
    ) -> Result<Option<String>, Failure> {
        let Means::Values(acts) = fault.means else {
            return Ok(None);
        };
        let clean = self.shown(planted, NOTHING, tokens, 1)?;
        let faulty = self.shown(planted, acts, tokens, 1)?;
        let mut pairs = clean.into_iter().zip(faulty);
        let differing = pairs.find(|(clean, faulty)| clean != faulty);
        Ok(differing.map(|((node, _), _)| node))
    }

    /// What became of a fault that left nothing to compare but the nodes before its end.
    fn not_finite(
        &self,
        fault: &Fault,
        case: &Case,
        planted: &Planted,
        theirs: &Observation,
    ) -> Result<Outcome, Failure> {
        let mut outcome = refused(fault, case, "NOT_FINITE");
        let Means::Values(acts) = fault.means else {
            return Ok(outcome);
        };
        let shown = self.shown(planted, acts, &theirs.tokens, case.ubatch)?;
        let known = |node: &str| theirs.trace.iter().find(|traced| traced.key == node);
        let differs = |(node, bits): &(String, Vec<u32>)| {
            known(node).is_some_and(|traced| {
                !traced
                    .values
                    .iter()
                    .map(|v| v.to_bits())
                    .eq(bits.iter().copied())
            })
        };
        outcome.first_node = shown.into_iter().find(differs).map(|(node, _)| node);
        outcome.located = fault
            .expected_node
            .map(|e| outcome.first_node.as_deref() == Some(e));
        Ok(outcome)
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

/// A fault that left no logits: the model was refused, or the engine stopped itself.
fn refused(fault: &Fault, case: &Case, why: &str) -> Outcome {
    Outcome {
        name: fault.name,
        caught: true,
        by: Some(format!("engine: {why}")),
        located: None,
        expected_node: fault.expected_node,
        first_node: None,
        case: case.name.clone(),
        effect: Effect::default(),
        tiers_would_miss: Vec::new(),
        usual_gate_would_miss: false,
    }
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
