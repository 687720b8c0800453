//! What one case asserts: the same on every machine, so that it can be snapshotted and reviewed.

mod validation;

use std::collections::BTreeMap;

use engine::Token;
use serde::{Deserialize, Serialize};

pub use self::validation::Validation;
use crate::case::ability::Lacking;
use crate::case::coverage::{Count, Coverage};
pub use crate::case::model::{Quant, Vocabulary};
use crate::case::observation::{Identity, Lane};
use crate::judge::compare::{Findings, NodeDistance};
use crate::judge::demand::{Demand, JudgedBy};
use crate::judge::known_divergences::{Bound, Exceeded};
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::{ArithmeticGap, Tolerance};
use crate::judge::verdict::{Divergence, Verdict, first_undecided};

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
    /// The kernel that multiplied the weights of each format: not every kernel has every format.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub multiplied_by: BTreeMap<String, String>,
    /// What it cannot do, and was not asked for.
    #[serde(default, skip_serializing_if = "Lacking::is_empty")]
    pub lacking: Lacking,
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
    /// What was demanded; every bit where every bit is equal.
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
    /// The entry for a known divergence that it went beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceeded: Option<Exceeded>,
    /// What it was judged by, where that is not the tier of the two arithmetics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<JudgedBy>,
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
    /// What turns its texts into ids.
    pub tokenizer: Option<Vocabulary>,
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
    /// SHA-256 of its logits in its own arithmetic, position after position, by lane.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<Lane, String>,
    /// With each reference.
    pub comparisons: Vec<Comparison>,
    /// With the engine itself, run another way.
    pub repetitions: Vec<Comparison>,
    /// No reference was demanded: nobody recorded this prompt on this model, and it was not asked
    /// for in particular. The engine is compared with itself, and with whoever answers.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unrecorded: bool,
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
        apart: ArithmeticGap,
        declared: Coverage,
        demand: Demand,
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
            coverage: declared,
            exceeded: None,
            judged_by: None,
        };
        match findings {
            Ok(findings) => comparison.draw(findings, apart, demand),
            Err(verdict) => {
                // Nothing is missing where nothing could be expected.
                let expected = !matches!(verdict, Verdict::Declined { .. });
                comparison.coverage.references.declared |= usize::from(expected);
                comparison.verdict = verdict;
            }
        }
        comparison
    }

    fn draw(&mut self, findings: &Findings, apart: ArithmeticGap, demand: Demand) {
        let Findings { nodes, greedy, .. } = findings;
        self.coverage = findings.coverage(self.coverage);
        let [values, equal] = findings.logits();
        self.logits_bit_identical = values > 0 && values == equal;
        let same_nodes = nodes.compared.iter().all(NodeDistance::is_bit_identical);
        let traced = self.coverage.nodes.declared > 0;
        self.nodes_bit_identical =
            traced.then_some(self.coverage.nodes.is_complete() && same_nodes);
        let first = nodes.first_difference.as_ref();
        self.first_differing_node = first.map(|d| d.place.clone());
        self.first_divergence_step = greedy.first_divergence.as_ref().map(|d| d.step);
        let continued_alike = greedy.first_divergence.is_none() && greedy.text_equal;
        // Equal bits are equal, whatever sets the two apart.
        let equal = self.logits_bit_identical && same_nodes && continued_alike;
        let (apart, demand) = if equal && self.coverage.is_complete() {
            (ArithmeticGap::Nothing, Demand::Ladder)
        } else {
            (apart, demand)
        };
        (self.judged_by, self.verdict) = demand.judge(findings, &self.coverage, apart);
        self.tolerance = match &self.judged_by {
            // A user's tolerance is none of the ladder's, nor is a ratio of errors.
            Some(by) => by.nearest().unwrap_or(ArithmeticGap::Unknown).tier(),
            None => apart.tier(),
        };
    }

    /// Turns a divergence, or a distance that takes more than one document to judge, into a known
    /// one, if everything else is as it should be and it stays within the bound of its entry; says
    /// that there is an entry if not.
    pub fn excuse(&mut self, reason: &str, bound: Bound, findings: &Findings) {
        let first = match &self.verdict {
            Verdict::Diverge { first } => Some(first.clone()),
            Verdict::NotJudged => first_undecided(findings, self.apart()),
            _ => None,
        };
        let Some(first) = first else {
            return;
        };
        let reason = reason.to_owned();
        if self.coverage.is_complete() && bound.exceeded_by(findings).is_none() {
            self.verdict = Verdict::Known {
                first,
                reason,
                bound,
            };
        } else {
            self.exceeded = Some(Exceeded { reason, bound });
        }
    }

    /// What sets the two apart, by their arithmetics.
    pub fn named_apart(&self) -> ArithmeticGap {
        ArithmeticGap::profiles(&self.reference.profile, &self.profile)
    }

    /// The same, or what comes nearest to it where they have no names; unknown where the user or
    /// the errors decided.
    pub fn apart(&self) -> ArithmeticGap {
        let unknown = |by: &JudgedBy| by.nearest().unwrap_or(ArithmeticGap::Unknown);
        let by = self.judged_by.as_ref();
        by.map_or_else(|| self.named_apart(), unknown)
    }

    /// Whether it is that lane in which it diverges first.
    pub fn diverges_in(&self, lane: Lane) -> bool {
        use Divergence::{Lane as OfLane, Logits};
        match &self.verdict {
            Verdict::Diverge { first } => {
                matches!(first, OfLane { lane: l, .. } | Logits { lane: l, .. } if *l == lane)
            }
            _ => false,
        }
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
    /// Fills in what follows from the rest: who did what, coverage and status.
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
        if !self.unrecorded && self.comparisons.iter().all(Comparison::is_declined) {
            coverage.references = count(1, 0);
        }
        self.coverage = coverage;
        self.validation = Validation::of(&self.engine, &self.quant);
        self.status = self.outcome(|_| false);
    }

    /// What the case comes to, if `settled` tells which of the comparisons that one document is
    /// too short for were judged by all of them together.
    pub fn outcome(&self, settled: impl Fn(&Comparison) -> bool) -> Outcome {
        let judged = |c: &Comparison| {
            let open = c.verdict == Verdict::NotJudged && !settled(c);
            !open && !c.is_declined()
        };
        let alone = self.comparisons.iter().all(Comparison::is_declined);
        let enough = if alone {
            self.unrecorded && !self.repetitions.is_empty()
        } else {
            self.comparisons.iter().any(judged)
                && self.comparisons.iter().all(|c| is_decided(c, &settled))
        };
        let live = self.comparisons.iter().any(|c| c.live && c.is_answered());
        let floor = match (self.coverage.is_complete() && enough, live) {
            (false, _) => Outcome::Incomplete,
            (true, true) => Outcome::Ok,
            (true, false) => Outcome::RustOnly,
        };
        let all = self.comparisons.iter().chain(&self.repetitions);
        Outcome::worst(floor, all.map(|c| c.verdict.outcome()))
    }
}

/// Nothing is left open between two arithmetics that could be judged.
fn is_decided(comparison: &Comparison, settled: impl Fn(&Comparison) -> bool) -> bool {
    let open = comparison.verdict == Verdict::NotJudged && comparison.apart().tier().is_measured();
    !open || settled(comparison)
}

fn is_false(value: &bool) -> bool {
    !value
}
