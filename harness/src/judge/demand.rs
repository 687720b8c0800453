//! What a comparison is held to where the names of the two arithmetics alone do not decide: the
//! user's tolerances, or the nearest tier of the ladder.

use serde::{Deserialize, Serialize};

use super::compare::{Findings, NodeDistance, NodeFindings};
use super::own_tolerance::OwnTolerance;
use super::verdict::{Divergence, Verdict, first_divergence, first_undecided, judge};
use crate::case::coverage::Coverage;
use crate::case::observation::Observation;
use crate::judge::tolerance::{ArithmeticGap, Tolerance, tolerances};

/// What is demanded.
#[derive(Debug, Clone, Default)]
pub enum Demand {
    /// The tier that follows from the two names; nothing where it follows that nobody knows.
    #[default]
    Ladder,
    /// The same, but an arithmetic that nobody has named is held to the nearest tier.
    Nearest,
    /// The user's tolerances, the strictest first: whatever the names are.
    Own(Vec<OwnTolerance>),
}

/// What a verdict was found by, where it was not the two names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JudgedBy {
    /// The strictest tier that holds, or the loosest, which does not.
    Nearest(ArithmeticGap),
    /// The strictest of the user's tolerances that holds, or the loosest, which does not.
    Own(OwnTolerance),
    /// The error against double precision, over the reference's own.
    ErrorRatio,
}

/// Kinds of difference that are judged by distances, the strictest first. The last two have the
/// same tier, and floors that hardly differ.
const LADDER: [ArithmeticGap; 4] = [
    ArithmeticGap::Order,
    ArithmeticGap::Halves,
    ArithmeticGap::Ik,
    ArithmeticGap::Llama,
];

impl Demand {
    /// Looks at what only the user's tolerances ask about.
    pub fn look(&self, findings: &mut Findings, theirs: &Observation, ours: &Observation) {
        if let Demand::Own(own) = self {
            let elements = |one: &OwnTolerance| (one.name.clone(), one.elements(theirs, ours));
            findings.elements = own.iter().map(elements).collect();
        }
    }

    /// Judges what `apart` is between two names. Equal bits were looked for before.
    pub fn judge(
        &self,
        findings: &Findings,
        coverage: &Coverage,
        apart: ArithmeticGap,
    ) -> (Option<JudgedBy>, Verdict) {
        let same_question = findings.tokens.first_difference.is_none();
        match self {
            _ if !same_question => (None, judge(findings, coverage, apart)),
            Demand::Own(own) => by_own(own, findings, coverage),
            _ if apart == ArithmeticGap::Unknown && has_errors(findings) => {
                let verdict = by_error_ratio(findings, coverage);
                (Some(JudgedBy::ErrorRatio), verdict)
            }
            Demand::Nearest if apart == ArithmeticGap::Unknown => {
                let (nearest, verdict) = by_nearest(findings, coverage);
                (Some(JudgedBy::Nearest(nearest)), verdict)
            }
            _ => (None, judge(findings, coverage, apart)),
        }
    }
}

fn by_own(
    own: &[OwnTolerance],
    findings: &Findings,
    coverage: &Coverage,
) -> (Option<JudgedBy>, Verdict) {
    // Ids and finiteness are demanded of everybody.
    let gross = first_divergence(findings, ArithmeticGap::Unknown);
    let broken =
        |tolerance: &&OwnTolerance| gross.is_none() && tolerance.broken(findings).is_none();
    let holds = own.iter().find(broken).or(own.last());
    let first = gross.or_else(|| holds?.broken(findings));
    let by = holds.cloned().map(JudgedBy::Own);
    (by, concluded(first, coverage))
}

fn has_errors(findings: &Findings) -> bool {
    findings
        .errors
        .as_ref()
        .is_some_and(|errors| !errors.is_empty())
}

/// Whether both sides err as much against double precision, whoever made them.
fn by_error_ratio(findings: &Findings, coverage: &Coverage) -> Verdict {
    let gross = first_divergence(findings, ArithmeticGap::Unknown);
    let broken = || findings.errors.as_ref()?.broken();
    concluded(gross.or_else(broken), coverage)
}

/// The strictest tier that the findings are within. Nobody stands behind an arithmetic without a
/// name, so that what is too far apart for the loosest tier diverges, however short the text.
fn by_nearest(findings: &Findings, coverage: &Coverage) -> (ArithmeticGap, Verdict) {
    let first = |apart| {
        let made = made_here(&findings.nodes).map(MadeHere::divergence);
        made.or_else(|| first_divergence(findings, apart))
            .or_else(|| first_undecided(findings, apart))
    };
    let loosest = ArithmeticGap::Llama;
    let holds = LADDER.into_iter().find(|apart| first(*apart).is_none());
    let nearest = holds.unwrap_or(loosest);
    (nearest, concluded(first(nearest), coverage))
}

/// A node at which a fault was made, as far as a free run can tell.
pub struct MadeHere<'f>(&'f NodeDistance);

/// The first node that roundings alone do not explain, though they explain all before it.
pub fn made_here(nodes: &NodeFindings) -> Option<MadeHere<'_>> {
    let at = first_made(nodes.compared.iter().map(|node| node.distance.nmse))?;
    Some(MadeHere(&nodes.compared[at]))
}

/// The place of the first of these NMSEs that roundings alone do not explain, though they explain
/// all before it.
pub fn first_made(nmses: impl IntoIterator<Item = Option<f64>>) -> Option<usize> {
    let operation = &tolerances().operation;
    let mut before = 0.0_f64;
    for (at, nmse) in nmses.into_iter().enumerate() {
        // What is no number is another rule's.
        let nmse = nmse?;
        if nmse > operation.layer_nmse {
            return (nmse > operation.made_here * before).then_some(at);
        }
        before = before.max(nmse);
    }
    None
}

impl MadeHere<'_> {
    fn divergence(self) -> Divergence {
        let operation = &tolerances().operation;
        let (most, times) = (operation.layer_nmse, operation.made_here);
        Divergence::Node {
            key: self.0.key.clone(),
            rule: format!("NMSE above {most:.1e}, and every node before it {times:e} times nearer"),
        }
    }

    /// Its numbers, and what they look like.
    pub fn words(&self) -> String {
        /// The share of an error that is left when the scale is mended, where it was the scale.
        const LEFT: f64 = 0.1;
        let NodeDistance { key, distance, .. } = self.0;
        let nmse = distance.nmse.unwrap_or(f64::NAN);
        let mut line = format!("the fault is made at {key}: NMSE {nmse:.1e}");
        // Of the energy of a vector, 1 − cos² lies beside the direction of the other.
        let left = distance.cosine.map(|cosine| 1.0 - cosine * cosine);
        if left.is_some_and(|left| left < LEFT * nmse) {
            line += ", in the same direction: another scale";
        }
        line
    }
}

fn concluded(first: Option<Divergence>, coverage: &Coverage) -> Verdict {
    match first {
        Some(first) => Verdict::Diverge { first },
        None if !coverage.is_complete() => Verdict::Incomplete {
            missing: coverage.shortfall(),
        },
        None => Verdict::Agree,
    }
}

impl JudgedBy {
    /// The step of the ladder it is; none where something else decided.
    pub fn nearest(&self) -> Option<ArithmeticGap> {
        match self {
            JudgedBy::Nearest(nearest) => Some(*nearest),
            JudgedBy::Own(_) | JudgedBy::ErrorRatio => None,
        }
    }

    /// The same demand again, to draw the same conclusion.
    pub fn demand(&self) -> Demand {
        match self {
            JudgedBy::Nearest(_) | JudgedBy::ErrorRatio => Demand::Nearest,
            JudgedBy::Own(own) => Demand::Own(vec![own.clone()]),
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        match self {
            JudgedBy::Nearest(apart) => {
                let tier: Tolerance = apart.tier();
                format!("nearest tier {}, {}", tier.name(), apart.words())
            }
            JudgedBy::Own(own) => format!("own tolerance {own}"),
            JudgedBy::ErrorRatio => tolerances().error_ratio.name.clone(),
        }
    }
}
