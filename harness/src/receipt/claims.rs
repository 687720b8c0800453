//! What one case asserts: the same on every machine, so that it can be snapshotted and reviewed.
#![forbid(unsafe_code)]

use engine::Token;
use serde::{Deserialize, Serialize};

use crate::case::Declared;
use crate::case::coverage::{Count, Coverage};
use crate::case::observation::Identity;
use crate::judge::compare::{Findings, Incomparable, NodeDistance};
use crate::judge::known_divergences::Bound;
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::{Apart, Tolerance};
use crate::judge::verdict::{Verdict, judge};

/// Which side did what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Who turned the prompt into ids.
    pub tokenizer: String,
    /// Who computed.
    pub compute: String,
}

impl Validation {
    /// This engine did both.
    pub fn rust() -> Self {
        Validation {
            tokenizer: "rust".into(),
            compute: "rust".into(),
        }
    }
}

/// The ternary weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quant {
    /// Format, e.g. `I2_S`.
    pub format: String,
    /// Packing, e.g. `P128`.
    pub flavor: String,
}

/// The model file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name, relative to the fixtures folder; the bare file name for any other file.
    pub file: String,
    /// Of its bytes.
    pub sha256: String,
    /// As the file names it.
    pub architecture: String,
}

/// The engine as it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Who it is.
    pub identity: Identity,
    /// Name of the kernel in force.
    pub kernel: String,
}

/// What is said about one comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Who we were compared with.
    pub reference: Identity,
    /// The order of our own float operations in this comparison.
    pub profile: String,
    /// Whether it computed during this run.
    pub live: bool,
    /// What was demanded.
    pub tolerance: Tolerance,
    /// What came out.
    pub verdict: Verdict,
    /// Every compared logit has the same bits.
    pub logits_bit_identical: bool,
    /// Every node has the same bits; nothing where no node was to be compared.
    pub nodes_bit_identical: Option<bool>,
    /// The first node with another bit, in the order of the pass.
    pub first_differing_node: Option<String>,
    /// The step at which the continuations part.
    pub first_divergence_step: Option<usize>,
    /// What was to be compared, and what was.
    pub coverage: Coverage,
}

/// Two references side by side. When we agree with one and not with the other, this tells who of
/// them stands alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// One of them.
    pub name: String,
    /// How it compares with the other.
    pub with: Comparison,
}

/// What a run of one case asserts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// [`super::SCHEMA`].
    pub schema_version: u32,
    /// Name of the case.
    pub case: String,
    /// Its text.
    pub prompt: String,
    /// The model.
    pub model: Model,
    /// Its weights.
    pub quant: Quant,
    /// Who did what.
    pub validation: Validation,
    /// The engine.
    pub engine: Engine,
    /// The prompt's ids.
    pub tokens: Vec<Token>,
    /// The greedy continuation.
    pub greedy: Vec<Token>,
    /// Its text.
    pub greedy_text: String,
    /// With each reference.
    pub comparisons: Vec<Comparison>,
    /// With the engine itself, run another way.
    pub repetitions: Vec<Comparison>,
    /// Live references with themselves, run another way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Comparison>,
    /// References with each other, where one of them is live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witness>,
    /// All of it counted.
    pub coverage: Coverage,
    /// What it comes to.
    pub status: Outcome,
}

impl Comparison {
    /// What follows from the findings; `Err` holds the verdict where there are none.
    pub fn conclude(
        reference: Identity,
        live: bool,
        profile: &str,
        apart: Apart,
        declared: Declared,
        findings: Result<&Findings, Verdict>,
    ) -> Self {
        let mut comparison = Comparison {
            reference,
            live,
            profile: profile.to_owned(),
            tolerance: apart.tier(),
            verdict: Verdict::NotJudged,
            logits_bit_identical: false,
            nodes_bit_identical: None,
            first_differing_node: None,
            first_divergence_step: None,
            coverage: Coverage::asked(declared),
        };
        let findings = match findings {
            Ok(findings) => findings,
            Err(verdict) => {
                // Nothing is missing where nothing could be expected.
                if matches!(verdict, Verdict::Declined { .. }) && declared == Declared::default() {
                    comparison.coverage = Coverage::default();
                }
                comparison.verdict = verdict;
                return comparison;
            }
        };
        comparison.coverage = findings.coverage(declared);
        comparison.verdict = judge(findings, &comparison.coverage, apart);
        let rows = || findings.lanes.iter().flat_map(|l| &l.positions);
        let nodes = &findings.nodes;
        comparison.logits_bit_identical =
            rows().count() > 0 && rows().all(|p| p.distance.is_bit_identical());
        comparison.nodes_bit_identical = (declared.nodes > 0).then(|| {
            let identical = |n: &NodeDistance| n.distance.is_bit_identical();
            nodes.compared.len() >= declared.nodes && nodes.compared.iter().all(identical)
        });
        comparison.first_differing_node = nodes.first_difference.as_ref().map(|d| d.place.clone());
        let parting = findings.greedy.first_divergence.as_ref();
        comparison.first_divergence_step = parting.map(|d| d.step);
        comparison
    }

    /// Turns a divergence into a known one, if everything else is as it should be and it stays
    /// within the bound.
    pub fn excuse(&mut self, reason: &str, bound: Bound, findings: &Findings) {
        let Verdict::Diverge { first } = &self.verdict else {
            return;
        };
        if self.coverage.is_complete() && bound.holds(findings) {
            self.verdict = Verdict::Known {
                first: first.clone(),
                reason: reason.to_owned(),
                bound,
            };
        }
    }

    /// Whether anything but ids and finiteness is demanded.
    pub fn is_judged(&self) -> bool {
        self.tolerance != Tolerance::OtherWeights && !self.is_declined()
    }

    /// Whether every bit is demanded.
    pub fn is_exact(&self) -> bool {
        self.tolerance == Tolerance::Exact && !self.is_declined()
    }

    /// Whether the reference answered.
    pub fn is_answered(&self) -> bool {
        self.coverage.references.compared > 0
    }

    /// Whether the reference takes no part, and nobody expected it to.
    pub fn is_declined(&self) -> bool {
        matches!(self.verdict, Verdict::Declined { .. }) && self.coverage == Coverage::default()
    }
}

impl Claims {
    /// Fills in what follows from the comparisons: coverage and status.
    pub fn conclude(&mut self) {
        let count = |declared, compared| Count { declared, compared };
        let mut coverage = Coverage {
            cases: count(1, 1),
            ..Coverage::default()
        };
        for comparison in &self.comparisons {
            coverage += comparison.coverage;
        }
        let repeated = self.repetitions.iter().filter(|c| c.is_answered()).count();
        coverage.kernels = count(1 + self.repetitions.len(), 1 + repeated);
        if self.comparisons.iter().all(Comparison::is_declined) {
            coverage.references = count(1, 0);
        }
        self.coverage = coverage;
        let all = || self.comparisons.iter().chain(&self.repetitions);
        let judged = self.comparisons.iter().any(Comparison::is_judged);
        let floor = match (coverage.is_complete() && judged, &self.comparisons) {
            (false, _) => Outcome::Incomplete,
            (true, comparisons) if comparisons.iter().any(|c| c.live && c.is_answered()) => {
                Outcome::Ok
            }
            (true, _) => Outcome::RustOnly,
        };
        self.status = all().map(|c| status_of(&c.verdict)).fold(floor, Ord::max);
    }
}

/// How bad a verdict is; the mildest for those that leave the case as it is.
fn status_of(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Agree | Verdict::NotJudged | Verdict::Known { .. } | Verdict::Declined { .. } => {
            Outcome::Ok
        }
        Verdict::Incomplete { .. } | Verdict::Unsteady { .. } => Outcome::Incomplete,
        Verdict::Diverge { .. } => Outcome::Divergence,
        Verdict::TimedOut { .. } | Verdict::ReferenceDied { .. } => Outcome::ReferenceDied,
        Verdict::Incomparable { why } => match why {
            Incomparable::NoAnswer(_) => Outcome::Incomplete,
            Incomparable::SameIdentity(_)
            | Incomparable::VocabSize { .. }
            | Incomparable::Refused(_) => Outcome::Refused,
        },
    }
}
