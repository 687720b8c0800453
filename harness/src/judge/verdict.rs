//! What the findings mean: a closed set of answers, with the first divergence named.

use std::fmt;

use engine::Token;
use serde::{Deserialize, Serialize};

use crate::case::coverage::Coverage;
use crate::case::observation::Lane;
use crate::judge::compare::{Findings, Incomparable, LaneFindings, PositionFindings};
use crate::judge::documents::{Documents, above};
use crate::judge::known_divergences::Bound;
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::{ArithmeticGap, Gates, Tolerance, tolerances};
use crate::numbers::metrics::Distance;
use crate::numbers::statistics::{Spread, Tail};

/// The answer to one comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verdict {
    /// Everything declared was compared and is within the tolerance.
    Agree,
    /// Everything declared was compared and nothing is wrong for certain, but the distance is not
    /// judged: no tier bounds it, or it takes more than one document to tell.
    NotJudged,
    /// Something is outside the tolerance; this is the first such thing in the order of the pass.
    Diverge {
        /// What.
        first: Divergence,
    },
    /// Something is outside the tolerance, known, and within the bound of its entry.
    Known {
        /// What.
        first: Divergence,
        /// Why it is not the engine's fault.
        reason: String,
        /// How far it may go.
        bound: Bound,
    },
    /// Nothing diverges, but less was compared than was declared.
    Incomplete {
        /// What is missing, as `name compared/declared`.
        missing: String,
    },
    /// The two cannot be compared at all.
    Incomparable {
        /// Why.
        why: Incomparable,
    },
    /// The reference does not take part in this case.
    Declined {
        /// Its reason.
        message: String,
    },
    /// The reference does not agree with itself, so it certifies nothing.
    Unsteady {
        /// Which way of running it differs, and where.
        why: String,
    },
    /// The reference, or its repetition, took longer than it may: nobody knows what it would say.
    TimedOut {
        /// Who, and at what.
        message: String,
    },
    /// The reference ended before it answered.
    ReferenceDied {
        /// The end of what it wrote to standard error.
        message: String,
    },
    /// The engine gave no answer here, though it had one before: in another arithmetic, or run
    /// another way.
    EngineFailed {
        /// What that comes to.
        how: Outcome,
        /// Why.
        message: String,
    },
}

/// The first thing outside the tolerance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Divergence {
    /// The prompt has other ids.
    Tokens {
        /// Index of the first other one.
        index: usize,
    },
    /// A traced node.
    Node {
        /// Its key.
        key: String,
        /// The rule it breaks.
        rule: String,
    },
    /// The logits of a position.
    Logits {
        /// The lane.
        lane: Lane,
        /// The position.
        position: usize,
        /// The rule they break.
        rule: String,
    },
    /// A lane as a whole.
    Lane {
        /// The lane.
        lane: Lane,
        /// The rule it breaks.
        rule: String,
    },
    /// The greedy continuation.
    Greedy {
        /// The first other step.
        step: usize,
        /// The reference's token, and ours.
        tokens: [Token; 2],
    },
    /// The same greedy ids, but another text.
    GreedyText,
}

/// Judges findings by what sets the two sides apart.
pub fn judge(findings: &Findings, coverage: &Coverage, apart: ArithmeticGap) -> Verdict {
    if let Some(first) = first_divergence(findings, apart) {
        return Verdict::Diverge { first };
    }
    if !coverage.is_complete() {
        let missing = coverage.shortfall();
        return Verdict::Incomplete { missing };
    }
    let undecided = findings.lanes.iter().any(|l| undecided(l, apart).is_some());
    if apart.tier() == Tolerance::OtherWeights || undecided {
        return Verdict::NotJudged;
    }
    Verdict::Agree
}

/// The rule for several documents that one alone breaks: too far apart to be called agreement, and
/// too short a text to be called a divergence.
pub fn undecided(lane: &LaneFindings, apart: ArithmeticGap) -> Option<String> {
    let gates = tolerances().gates(apart, lane.lane)?;
    Documents::of(&[lane])?.median_rule(&gates)
}

/// The first lane that one document is too short to decide, with its rule.
pub fn first_undecided(findings: &Findings, apart: ArithmeticGap) -> Option<Divergence> {
    findings.lanes.iter().find_map(|found| {
        let (lane, rule) = (found.lane, undecided(found, apart)?);
        Some(Divergence::Lane { lane, rule })
    })
}

impl Verdict {
    /// How bad it is for its case; the mildest where it leaves the case as it is.
    pub fn outcome(&self) -> Outcome {
        match self {
            Verdict::Agree
            | Verdict::NotJudged
            | Verdict::Known { .. }
            | Verdict::Declined { .. } => Outcome::Ok,
            Verdict::Incomplete { .. } | Verdict::Unsteady { .. } => Outcome::Incomplete,
            Verdict::Diverge { .. } => Outcome::Divergence,
            Verdict::TimedOut { .. } | Verdict::ReferenceDied { .. } => Outcome::ReferenceDied,
            Verdict::EngineFailed { how, .. } => *how,
            Verdict::Incomparable { why } => match why {
                Incomparable::NoAnswer(_) => Outcome::Incomplete,
                Incomparable::SameIdentity(_)
                | Incomparable::VocabSize { .. }
                | Incomparable::Refused(_) => Outcome::Refused,
                Incomparable::Environment(_) => Outcome::Environment,
            },
        }
    }

    /// Whether it follows from findings: the others say why there are none.
    pub fn has_numbers(&self) -> bool {
        use Verdict::{Agree, Diverge, Incomplete, Known, NotJudged};
        matches!(
            self,
            Agree | NotJudged | Diverge { .. } | Known { .. } | Incomplete { .. }
        )
    }

    /// One word for tables.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Agree => "agree",
            Verdict::NotJudged => "not judged",
            Verdict::Diverge { .. } => "DIVERGE",
            Verdict::Known { .. } => "known",
            Verdict::Incomplete { .. } => "INCOMPLETE",
            Verdict::Incomparable { .. } => "INCOMPARABLE",
            Verdict::Declined { .. } => "declined",
            Verdict::Unsteady { .. } => "UNSTEADY",
            Verdict::TimedOut { .. } => "TIMED OUT",
            Verdict::ReferenceDied { .. } => "REFERENCE DIED",
            Verdict::EngineFailed { how, .. } => match how {
                Outcome::Divergence => "DIVERGE",
                Outcome::EngineDied => "ENGINE DIED",
                Outcome::Refused => "REFUSED",
                _ => "NO ANSWER",
            },
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Verdict::Agree | Verdict::NotJudged => Ok(()),
            Verdict::Diverge { first } => write!(f, ": {first}"),
            Verdict::Known { first, reason, .. } => write!(f, ": {first}: {reason}"),
            Verdict::Incomplete { missing } => write!(f, ": {missing}"),
            Verdict::Incomparable { why } => write!(f, ": {why}"),
            Verdict::Unsteady { why } => write!(f, ": {why}"),
            Verdict::Declined { message }
            | Verdict::TimedOut { message }
            | Verdict::ReferenceDied { message }
            | Verdict::EngineFailed { message, .. } => write!(f, ": {message}"),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Divergence::Tokens { index } => write!(f, "token ids differ from index {index} on"),
            Divergence::Node { key, rule } => write!(f, "node {key}: {rule}"),
            Divergence::Logits {
                lane,
                position,
                rule,
            } => write!(f, "{} position {position}: {rule}", lane.name()),
            Divergence::Lane { lane, rule } => write!(f, "{}: {rule}", lane.name()),
            Divergence::Greedy {
                step,
                tokens: [theirs, ours],
            } => write!(f, "greedy step {step}: token {ours} instead of {theirs}"),
            Divergence::GreedyText => f.write_str("equal greedy ids, different text"),
        }
    }
}

/// The first breach, in the order of the pass: ids, nodes, prefill, decode, continuation.
pub(super) fn first_divergence(findings: &Findings, apart: ArithmeticGap) -> Option<Divergence> {
    if let Some(index) = findings.tokens.first_difference {
        return Some(Divergence::Tokens { index });
    }
    let node = findings.nodes.compared.iter().find_map(|node| {
        let rule = broken_by_node(&node.distance, apart)?;
        let key = node.key.clone();
        Some(Divergence::Node { key, rule })
    });
    let lane = || findings.lanes.iter().find_map(|l| broken_by_lane(l, apart));
    node.or_else(lane)
        .or_else(|| broken_by_greedy(findings, apart))
}

/// Between two arithmetics the nodes of a free run say nothing alone: each has inherited what those
/// before it made of their inputs. `trace` judges them one operation at a time.
fn broken_by_node(distance: &Distance, apart: ArithmeticGap) -> Option<String> {
    let bits = apart.tier() == Tolerance::Exact && !distance.is_bit_identical();
    not_finite(distance).or_else(|| bits.then(|| "bits differ".into()))
}

/// The first breach in one lane, whatever the others are.
pub fn broken_by_lane(lane: &LaneFindings, apart: ArithmeticGap) -> Option<Divergence> {
    let gates = tolerances().gates(apart, lane.lane);
    let position = lane.positions.iter().find_map(|p| {
        let exact = apart.tier() == Tolerance::Exact && !p.distance.is_bit_identical();
        let rule = not_finite(&p.distance)
            .or_else(|| exact.then(|| "bits differ".into()))
            .or_else(|| broken_by_flip(p, gates.as_ref()?))?;
        Some(Divergence::Logits {
            lane: lane.lane,
            position: p.position,
            rule,
        })
    });
    position.or_else(|| {
        let rule = broken_by_tail(lane, gates.as_ref()?)?;
        Some(Divergence::Lane {
            lane: lane.lane,
            rule,
        })
    })
}

/// Another most likely token is legal in a tie only.
fn broken_by_flip(position: &PositionFindings, gates: &Gates) -> Option<String> {
    // Written so that "no number" breaks the rule.
    let tie = position.flip_gap.is_some_and(|gap| gap < gates.tie);
    let breaks = !position.top1_equal && !tie;
    breaks.then(|| {
        format!(
            "another most likely token, and no tie within {:.1e}",
            gates.tie
        )
    })
}

/// What a single document can break: its worst positions.
fn broken_by_tail(lane: &LaneFindings, gates: &Gates) -> Option<String> {
    if lane.positions.is_empty() {
        return None; // the coverage says that the lane is empty
    }
    let name = Tail::of(lane.positions.len()).name();
    let tail = |values: Option<Vec<f64>>| values.and_then(|v| Spread::of(&v)).map(|s| s.tail);
    above(
        &format!("NMSE, {name},"),
        tail(lane.nmse()),
        gates.nmse_tail,
    )
    .or_else(|| above(&format!("KLD, {name},"), tail(lane.kl()), gates.kld_tail))
}

fn broken_by_greedy(findings: &Findings, apart: ArithmeticGap) -> Option<Divergence> {
    let greedy = &findings.greedy;
    let Some(parting) = &greedy.first_divergence else {
        let silent = greedy.steps == 0 || greedy.text_equal;
        let judged = apart.tier() != Tolerance::OtherWeights;
        return (judged && !silent).then_some(Divergence::GreedyText);
    };
    let legal = match apart.tier() {
        Tolerance::Exact => false,
        Tolerance::OtherWeights => true,
        // Recordings hold no logits of the continuation, so the tie is looked for in our own row,
        // of which the token chosen must be the most likely.
        _ => tolerances()
            .gates(apart, Lane::Decode)
            .is_some_and(|gates| {
                parting
                    .gap
                    .is_some_and(|gap| (0.0..gates.tie).contains(&gap))
            }),
    };
    (!legal).then_some(Divergence::Greedy {
        step: parting.step,
        tokens: parting.tokens,
    })
}

fn not_finite(distance: &Distance) -> Option<String> {
    match distance.not_finite {
        [0, 0] => None,
        [theirs, ours] => Some(format!(
            "{theirs} values of the reference and {ours} of ours are not finite"
        )),
    }
}
