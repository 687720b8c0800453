//! Two observations side by side. Pure: it sees numbers, and cannot tell who made them.

mod greedy;

use std::collections::BTreeMap;

use engine::Token;
use serde::{Deserialize, Serialize};

use self::greedy::compare_greedy;
use crate::case::Case;
use crate::case::coverage::Coverage;
use crate::case::observation::{Lane, Observation, TracedNode};
use crate::io::kl_base::CodedRow;
use crate::judge::detail::{NodeDetail, PositionDetail};
use crate::judge::error_ratio::ErrorRatios;
use crate::judge::named_rows::{Row, compare_named};
use crate::judge::own_tolerance::Elements;
use crate::numbers::confidence::Position;
use crate::numbers::metrics::{self, Distance, UlpHistogram};

/// Everything found between two observations of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// The prompt's ids.
    pub tokens: Tokens,
    /// Logits, per lane. Empty when the ids differ: then they answer different questions.
    pub lanes: Vec<LaneFindings>,
    /// The continuation. Empty when the ids differ.
    pub greedy: GreedyFindings,
    /// The traced nodes. Empty when the ids differ.
    pub nodes: NodeFindings,
    /// What single logits come to, by the name of the user's tolerance that asks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elements: BTreeMap<String, Vec<Elements>>,
    /// Of both sides, where a run in double precision stood beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorRatios>,
}

/// The prompt's ids, counted and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// How many the reference has, and how many we have.
    pub counts: [usize; 2],
    /// The first place where they differ, the end of the shorter one included.
    pub first_difference: Option<usize>,
}

/// One lane's positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaneFindings {
    /// Which lane.
    pub lane: Lane,
    /// The positions both sides have, ascending.
    pub positions: Vec<PositionFindings>,
    /// The first logit whose bits differ.
    pub first_difference: Option<ValueDifference>,
    /// How many logits lie how far apart, if any does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ulps: Option<UlpHistogram>,
}

/// One position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionFindings {
    /// Index into the prompt.
    pub position: usize,
    /// How far apart the rows are.
    pub distance: Distance,
    /// `KL(reference ‖ ours)` in nats; none if a value is not finite.
    pub kl: Option<f64>,
    /// Where the bits differ: the probability of the reference's likeliest token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The most likely token is the same.
    pub top1_equal: bool,
    /// Where it is not: how much likelier, in logits, the reference's is than ours in its own row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip_gap: Option<f64>,
    /// Shared tokens among the five most likely.
    pub top5_overlap: usize,
    /// What a person wants to see of it, where it was looked for.
    #[serde(default, skip_serializing_if = "PositionDetail::is_empty")]
    pub detail: PositionDetail,
}

/// Where two arrays first differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueDifference {
    /// The position of the prompt, or the node.
    pub place: String,
    /// Flat index there.
    pub index: usize,
    /// The two values as bits, the reference's first.
    pub bits: [u32; 2],
}

/// The continuation, step by step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GreedyFindings {
    /// Steps both sides have.
    pub steps: usize,
    /// The texts are equal as far as both go.
    pub text_equal: bool,
    /// Where they part.
    pub first_divergence: Option<GreedyDivergence>,
}

/// The step at which two continuations part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GreedyDivergence {
    /// The step, from 0.
    pub step: usize,
    /// The token the reference chose, and the one we chose.
    pub tokens: [Token; 2],
    /// How much likelier, in logits, ours is than theirs in our own row, or theirs than ours in
    /// theirs, whichever is known and more: the width of the tie.
    pub gap: Option<f64>,
}

/// The traced nodes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFindings {
    /// Nodes both sides have in the same shape, in execution order.
    pub compared: Vec<NodeDistance>,
    /// Nodes of the reference we lack or have in another shape.
    pub missing: Vec<String>,
    /// The first value whose bits differ.
    pub first_difference: Option<ValueDifference>,
}

/// One node's distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeDistance {
    /// `name-layer|OP#occurrence`.
    pub key: String,
    /// How far apart.
    pub distance: Distance,
    /// What a person wants to see of it, where it was looked for.
    #[serde(default, skip_serializing_if = "NodeDetail::is_empty")]
    pub detail: NodeDetail,
}

/// Why two observations cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Incomparable {
    /// The same witness twice proves nothing.
    #[error("both observations come from {0}: a witness cannot confirm himself")]
    SameIdentity(String),
    /// The vocabularies differ in size.
    #[error("rows of {theirs} and {ours} logits")]
    VocabSize {
        /// Length of the reference's rows.
        theirs: usize,
        /// Length of ours.
        ours: usize,
    },
    /// A runner does not accept the case.
    #[error("{0}")]
    Refused(String),
    /// A runner has nothing to say about the case.
    #[error("{0}")]
    NoAnswer(String),
    /// This machine lacks what asking a runner takes, such as room for a file.
    #[error("{0}")]
    Environment(String),
}

/// Compares what the case declares, `theirs` being the reference.
pub fn compare(
    case: &Case,
    theirs: &Observation,
    ours: &Observation,
) -> Result<Findings, Incomparable> {
    if theirs.identity == ours.identity {
        return Err(Incomparable::SameIdentity(theirs.identity.to_string()));
    }
    let tokens = compare_tokens(&theirs.tokens, &ours.tokens);
    if tokens.first_difference.is_some() {
        return Ok(Findings {
            tokens,
            lanes: Vec::new(),
            greedy: GreedyFindings::default(),
            nodes: NodeFindings::default(),
            elements: BTreeMap::new(),
            errors: None,
        });
    }
    let lanes = theirs.lanes.keys().copied();
    Ok(Findings {
        tokens,
        elements: BTreeMap::new(),
        errors: None,
        lanes: lanes
            .map(|lane| compare_lane(case, lane, theirs, ours))
            .collect::<Result<_, _>>()?,
        greedy: compare_greedy(case, &theirs.greedy, &ours.greedy),
        nodes: compare_nodes(&theirs.trace, &ours.trace),
    })
}

impl Findings {
    /// What was compared of what was declared.
    pub fn coverage(&self, declared: Coverage) -> Coverage {
        let [theirs, ours] = self.tokens.counts;
        let mut coverage = declared;
        coverage.references.declared = 1;
        coverage.references.compared = 1;
        coverage.tokens.compared = theirs.min(ours);
        coverage.positions.compared = self.lanes.iter().map(|l| l.positions.len()).sum();
        coverage.nodes.compared = self.nodes.compared.len();
        coverage.greedy_steps.compared = self.greedy.steps;
        coverage
    }

    /// Logits compared, and logits whose bits are equal.
    pub fn logits(&self) -> [usize; 2] {
        let all = || self.lanes.iter().flat_map(|l| &l.positions);
        let sum = |part: fn(&Distance) -> usize| all().map(|p| part(&p.distance)).sum();
        [sum(|d| d.values), sum(|d| d.bit_equal)]
    }
}

impl NodeDistance {
    /// Whether every value has the same bits.
    pub fn is_bit_identical(&self) -> bool {
        self.distance.is_bit_identical()
    }
}

impl LaneFindings {
    /// The NMSE of every position; none if one of them has none.
    pub fn nmse(&self) -> Option<Vec<f64>> {
        self.positions.iter().map(|p| p.distance.nmse).collect()
    }

    /// The `KL(reference ‖ ours)` of every position; none if one of them has none.
    pub fn kl(&self) -> Option<Vec<f64>> {
        self.positions.iter().map(|p| p.kl).collect()
    }

    /// The divergence of each position whose bits differ, and how sure the reference is there.
    pub fn confidence(&self) -> Vec<Position> {
        let differing = self.positions.iter();
        let pairs = differing.filter_map(|found| found.confidence.zip(found.kl));
        pairs.collect()
    }

    /// Positions whose most likely token is another.
    pub fn flips(&self) -> usize {
        self.positions.iter().filter(|p| !p.top1_equal).count()
    }

    /// Whether every logit has the same bits.
    pub fn is_bit_identical(&self) -> bool {
        self.positions.iter().all(|p| p.distance.is_bit_identical())
    }
}

fn compare_tokens(theirs: &[Token], ours: &[Token]) -> Tokens {
    let shorter = theirs.len().min(ours.len());
    let differing = theirs.iter().zip(ours).position(|(a, b)| a != b);
    Tokens {
        counts: [theirs.len(), ours.len()],
        first_difference: differing.or((theirs.len() != ours.len()).then_some(shorter)),
    }
}

fn compare_lane(
    case: &Case,
    lane: Lane,
    theirs: &Observation,
    ours: &Observation,
) -> Result<LaneFindings, Incomparable> {
    let mut found = LaneFindings {
        lane,
        positions: Vec::new(),
        first_difference: None,
        ulps: None,
    };
    let mut ulps = UlpHistogram::default();
    let (Some(theirs), Some(ours)) = (theirs.lanes.get(&lane), ours.lanes.get(&lane)) else {
        return Ok(found); // the coverage says that the lane is missing
    };
    let whole = theirs.named.is_empty() && ours.named.is_empty();
    if theirs.vocab_size != ours.vocab_size && whole {
        return Err(Incomparable::VocabSize {
            theirs: theirs.vocab_size,
            ours: ours.vocab_size,
        });
    }
    for &position in &case.positions {
        let (Some(a), Some(b)) = (theirs.at(position), ours.at(position)) else {
            continue;
        };
        let names = [theirs, ours].map(|side| side.names_at(position));
        if names != [None, None] {
            let row = |values, names| Row { values, names };
            let (theirs, ours) = (row(a, names[0]), row(b, names[1]));
            found
                .positions
                .extend(compare_named(position, theirs, ours));
            continue;
        }
        let coded = ours.sixteen_bits.then(|| CodedRow::of(a)).flatten();
        let coded: Option<Vec<f32>> = coded.map(|row| row.log_probabilities().collect());
        let a = coded.as_deref().unwrap_or(a);
        let row = compare_rows(position, a, b);
        if found.first_difference.is_none() && row.distance.bit_equal < row.distance.values {
            found.first_difference = first_difference(format!("position {position}"), a, b);
        }
        ulps.add(a, b);
        found.positions.push(row);
    }
    found.ulps = found.first_difference.is_some().then_some(ulps);
    Ok(found)
}

/// The two rows of one position.
pub fn compare_rows(position: usize, theirs: &[f32], ours: &[f32]) -> PositionFindings {
    let distance = Distance::between(theirs, ours);
    if distance.is_bit_identical() && !theirs.is_empty() {
        // The same numbers are no distance apart and have the same ranks, which need no search.
        return PositionFindings {
            position,
            distance,
            kl: Some(0.0),
            confidence: None,
            top1_equal: true,
            flip_gap: None,
            top5_overlap: theirs.len().min(5),
            detail: PositionDetail::default(),
        };
    }
    let top = [theirs, ours].map(metrics::top1);
    let gap = match top {
        [Some(a), Some(b)] if a != b => Some(f64::from(theirs[a]) - f64::from(theirs[b])),
        _ => None,
    };
    PositionFindings {
        position,
        distance,
        kl: metrics::divergence(theirs, ours),
        confidence: metrics::confidence(theirs),
        top1_equal: top[0].is_some() && top[0] == top[1],
        flip_gap: gap.filter(|gap| gap.is_finite()),
        top5_overlap: metrics::top5_overlap(theirs, ours),
        detail: PositionDetail::default(),
    }
}

fn compare_nodes(theirs: &[TracedNode], ours: &[TracedNode]) -> NodeFindings {
    let by_key: BTreeMap<&str, &TracedNode> = ours.iter().map(|n| (n.key.as_str(), n)).collect();
    let mut found = NodeFindings::default();
    for node in theirs {
        let same_shape =
            |n: &&&TracedNode| n.is_shaped(&node.shape) && n.values.len() == node.values.len();
        let Some(other) = by_key.get(node.key.as_str()).filter(same_shape) else {
            found.missing.push(node.key.clone());
            continue;
        };
        let distance = Distance::between(&node.values, &other.values);
        if found.first_difference.is_none() && distance.bit_equal < distance.values {
            found.first_difference =
                first_difference(node.key.clone(), &node.values, &other.values);
        }
        found.compared.push(NodeDistance {
            key: node.key.clone(),
            distance,
            detail: NodeDetail::default(),
        });
    }
    found
}

fn first_difference(place: String, theirs: &[f32], ours: &[f32]) -> Option<ValueDifference> {
    let mut bits = theirs
        .iter()
        .zip(ours)
        .map(|(a, b)| [a, b].map(|v| v.to_bits()));
    let index = bits.clone().position(|[a, b]| a != b)?;
    Some(ValueDifference {
        place,
        index,
        bits: bits.nth(index)?,
    })
}
