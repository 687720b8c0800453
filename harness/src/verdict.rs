//! What the findings mean: a closed set of answers, with the first divergence named.
#![forbid(unsafe_code)]

use std::fmt;

use engine::Token;
use serde::{Deserialize, Serialize};

use crate::compare::{Findings, Incomparable, LaneFindings};
use crate::coverage::Coverage;
use crate::ledger::Bound;
use crate::metrics::{self, Distance};
use crate::observation::Lane;
use crate::tolerance::{Limits, Tolerance};

/// The answer to one comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verdict {
    /// Everything declared was compared and is within the tolerance.
    Agree,
    /// Everything declared was compared; the arithmetic is another one, so nothing was judged
    /// but the token ids and that every value is a number.
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
        /// Its last words.
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

/// Judges findings against a tolerance.
pub fn judge(findings: &Findings, coverage: &Coverage, tolerance: Tolerance) -> Verdict {
    if let Some(first) = first_divergence(findings, tolerance) {
        return Verdict::Diverge { first };
    }
    if !coverage.is_complete() {
        let missing = coverage.shortfall();
        return Verdict::Incomplete { missing };
    }
    match tolerance {
        Tolerance::OtherArithmetic => Verdict::NotJudged,
        Tolerance::Exact | Tolerance::SameArithmetic => Verdict::Agree,
    }
}

impl Verdict {
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
            | Verdict::ReferenceDied { message } => write!(f, ": {message}"),
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
fn first_divergence(findings: &Findings, tolerance: Tolerance) -> Option<Divergence> {
    if let Some(index) = findings.tokens.first_difference {
        return Some(Divergence::Tokens { index });
    }
    let node = findings.nodes.compared.iter().find_map(|node| {
        let rule = broken_by_node(&node.distance, tolerance)?;
        let key = node.key.clone();
        Some(Divergence::Node { key, rule })
    });
    let lane = || {
        findings
            .lanes
            .iter()
            .find_map(|l| broken_by_lane(l, tolerance))
    };
    let greedy = || {
        if tolerance == Tolerance::OtherArithmetic {
            return None;
        }
        let parting = findings.greedy.first_divergence.as_ref();
        let parting = parting.map(|d| Divergence::Greedy {
            step: d.step,
            tokens: d.tokens,
        });
        let silent = findings.greedy.steps == 0 || findings.greedy.text_equal;
        parting.or((!silent).then_some(Divergence::GreedyText))
    };
    node.or_else(lane).or_else(greedy)
}

fn broken_by_node(distance: &Distance, tolerance: Tolerance) -> Option<String> {
    not_finite(distance).or_else(|| match (tolerance, tolerance.limits()) {
        (Tolerance::Exact, _) if !distance.is_bit_identical() => Some("bits differ".into()),
        (_, Some(limits)) => above("NMSE", distance.nmse, limits.nmse_max),
        _ => None,
    })
}

fn broken_by_lane(lane: &LaneFindings, tolerance: Tolerance) -> Option<Divergence> {
    let position = lane.positions.iter().find_map(|p| {
        let limits = tolerance.limits();
        let rule = not_finite(&p.distance).or_else(|| match (tolerance, limits) {
            (Tolerance::Exact, _) if !p.distance.is_bit_identical() => Some("bits differ".into()),
            (_, Some(_)) if !p.top1_equal => Some("another most likely token".into()),
            (_, Some(limits)) => broken_by_row(&p.distance, limits),
            _ => None,
        })?;
        Some(Divergence::Logits {
            lane: lane.lane,
            position: p.position,
            rule,
        })
    });
    position.or_else(|| {
        let limit = tolerance.limits()?.nmse_median_max;
        let median = lane.nmse().and_then(|n| metrics::median(&n));
        // A lane without positions has no median; that it is empty is the coverage's business.
        median?;
        let rule = above("median NMSE", median, limit)?;
        Some(Divergence::Lane {
            lane: lane.lane,
            rule,
        })
    })
}

fn broken_by_row(distance: &Distance, limits: Limits) -> Option<String> {
    // Written so that "no number" breaks the rule.
    above("NMSE", distance.nmse, limits.nmse_max).or_else(|| {
        let close = distance.cosine.is_some_and(|c| c >= limits.cosine_min);
        (!close).then(|| format!("cosine below {}", limits.cosine_min))
    })
}

fn above(what: &str, found: Option<f64>, limit: f64) -> Option<String> {
    let within = found.is_some_and(|f| f <= limit);
    (!within).then(|| format!("{what} above {limit:e}"))
}

fn not_finite(distance: &Distance) -> Option<String> {
    match distance.not_finite {
        [0, 0] => None,
        [theirs, ours] => Some(format!(
            "{theirs} values of the reference and {ours} of ours are not finite"
        )),
    }
}
