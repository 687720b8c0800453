//! The gates that are usually put before logits, as functions of the findings, to count how many
//! faults each would see; and how large a fault is in the numbers that they look at.

use serde::Serialize;

use crate::case::Case;
use crate::case::observation::{Lane, Observation};
use crate::judge::compare::{Findings, Incomparable, LaneFindings, PositionFindings, compare};
use crate::judge::tolerance::{ArithmeticGap, tolerances};
use crate::judge::verdict::{Verdict, judge};
use crate::numbers::metrics::{self, Distance};
use crate::numbers::statistics::mean;
use crate::receipt::pooled::broken_rule;

/// The name of one of them, and whether it lets a lane pass; none where it cannot be computed.
type Gate = (&'static str, fn(&Seen<'_>) -> Option<bool>);

/// What a gate sees of one lane.
struct Seen<'f> {
    lane: &'f LaneFindings,
    /// Every row of the reference has one beside it.
    whole: bool,
    /// Of the last rows, however many there are before them.
    cosine_last: Option<f64>,
    /// The continuations begin with the same tokens.
    greedy_equal: bool,
}

/// Steps of the continuation a gate looks at.
const STEPS: usize = 32;

/// The last one is the tightest there can be: what it lets pass shows in no logit at all.
#[rustfmt::skip] // a table: a line a row
const GATES: &[Gate] = &[
    ("NMSE < 1e-2", |s| Some(mean(&s.all(nmse)?)? < 1e-2)),
    ("cosine > 0.99 at the last position", |s| Some(s.cosine_last? > 0.99)),
    ("mean cosine >= 0.999", |s| Some(mean(&s.all(|p| p.distance.cosine)?)? >= 0.999)),
    ("mean KL <= 1e-3", |s| Some(mean(&s.all(|p| p.kl)?)? <= 1e-3)),
    ("the same 32 greedy tokens", |s| Some(s.greedy_equal)),
    ("median NMSE <= 1e-12", |s| Some(metrics::median(&s.all(nmse)?)? <= 1e-12)),
    ("every bit of the logits", |s| Some(s.whole && s.lane.is_bit_identical())),
];

/// What the lanes of the looser tiers are set apart by; each tier is a gate, too.
const LOOSER: [ArithmeticGap; 3] = [ArithmeticGap::Order, ArithmeticGap::Path, ArithmeticGap::Ik];

/// Every gate, the usual ones first.
pub fn names() -> impl Iterator<Item = &'static str> {
    let tiers = LOOSER.map(|apart| apart.tier().name());
    GATES.iter().map(|(name, _)| *name).chain(tiers)
}

fn nmse(position: &PositionFindings) -> Option<f64> {
    position.distance.nmse
}

impl Seen<'_> {
    /// A value of every position; none if a row is missing or one has none.
    fn all(&self, value: fn(&PositionFindings) -> Option<f64>) -> Option<Vec<f64>> {
        let rows = self.lane.positions.iter().filter(|_| self.whole);
        rows.map(value).collect()
    }
}

/// How far the faulty engine's logits are from the reference's: the worst of every prompt and lane
/// that was tried. None where nothing could be computed, because rows are missing, of another
/// length or not finite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// The smallest cosine at a last position.
    pub cosine_last: Option<f64>,
    /// The largest `KL(reference ‖ ours)` of a position, in nats.
    pub kl_max: Option<f64>,
    /// The largest NMSE of a position.
    pub nmse_max: Option<f64>,
    /// The largest distance of two logits in representable numbers.
    pub ulp_max: Option<u64>,
    /// Logits compared.
    pub logits: usize,
    /// Those whose bits are equal.
    pub bit_equal: usize,
    /// The gates that let it pass, on every prompt and lane.
    pub passes: Vec<&'static str>,
    /// The first node that differs, where the fault was noticed.
    pub first_node: Option<String>,
}

impl Effect {
    /// Nothing was looked at yet, so nothing was seen.
    pub fn unseen() -> Self {
        Effect {
            cosine_last: None,
            kl_max: None,
            nmse_max: None,
            ulp_max: None,
            logits: 0,
            bit_equal: 0,
            passes: names().collect(),
            first_node: None,
        }
    }

    /// Of a fault that left no logits: there is nothing to let pass.
    pub fn none_left() -> Self {
        Effect {
            passes: Vec::new(),
            ..Effect::unseen()
        }
    }

    /// What one prompt shows. `found` is what comparing the two strictly gave, if they could be.
    pub fn between(
        case: &Case,
        theirs: &Observation,
        ours: &Observation,
        found: Option<&Findings>,
    ) -> Self {
        let Some(seen) = seen_by_gates(case, theirs, ours, found) else {
            return Effect::none_left();
        };
        let both = |lane: &&LaneFindings| {
            let [theirs, ours] = [theirs, ours].map(|seen| seen.lanes.contains_key(&lane.lane));
            theirs && ours
        };
        let lanes = seen.lanes.iter().filter(both);
        let mut effect = lanes
            .map(|lane| Effect::of_lane(lane, theirs, ours))
            .fold(Effect::unseen(), Effect::and);
        let lets_pass = |apart| found.is_some_and(|found| is_within(case, found, apart));
        for tier in LOOSER.into_iter().filter(|&apart| !lets_pass(apart)) {
            effect.passes.retain(|name| *name != tier.tier().name());
        }
        effect
    }

    fn of_lane(lane: &LaneFindings, theirs: &Observation, ours: &Observation) -> Self {
        let [one, other] = [theirs, ours].map(|seen| seen.greedy.tokens.iter().take(STEPS));
        let seen = Seen {
            lane,
            whole: lane.positions.len() == theirs.lanes[&lane.lane].positions.len(),
            cosine_last: cosine_last(lane.lane, theirs, ours),
            greedy_equal: one.eq(other),
        };
        let rows = || lane.positions.iter().filter(|_| seen.whole);
        let largest =
            |value: fn(&PositionFindings) -> Option<f64>| rows().filter_map(value).reduce(f64::max);
        let refused = GATES
            .iter()
            .filter(|(_, passes)| passes(&seen) != Some(true));
        let refused: Vec<_> = refused.map(|(name, _)| *name).collect();
        let ulps = seen.whole.then(|| ulp_max(lane.lane, theirs, ours));
        Effect {
            cosine_last: seen.cosine_last,
            kl_max: largest(|p| p.kl),
            nmse_max: largest(nmse),
            ulp_max: ulps.flatten(),
            logits: rows().map(|p| p.distance.values).sum(),
            bit_equal: rows().map(|p| p.distance.bit_equal).sum(),
            passes: names().filter(|name| !refused.contains(name)).collect(),
            first_node: None,
        }
    }

    /// The worse of both.
    pub fn and(self, other: Effect) -> Self {
        let worse = |pick: fn(f64, f64) -> f64, values: [Option<f64>; 2]| {
            values.into_iter().flatten().reduce(pick)
        };
        let both = |gate: &&str| other.passes.contains(gate);
        Effect {
            cosine_last: worse(f64::min, [self.cosine_last, other.cosine_last]),
            kl_max: worse(f64::max, [self.kl_max, other.kl_max]),
            nmse_max: worse(f64::max, [self.nmse_max, other.nmse_max]),
            ulp_max: self.ulp_max.max(other.ulp_max),
            logits: self.logits + other.logits,
            bit_equal: self.bit_equal + other.bit_equal,
            passes: self.passes.into_iter().filter(both).collect(),
            first_node: self.first_node.or(other.first_node),
        }
    }
}

/// What the comparison of `crossval` says where every bit is demanded.
pub fn strict_verdict(case: &Case, found: &Result<Findings, Incomparable>) -> Verdict {
    match found {
        Ok(found) => {
            let coverage = found.coverage(case.declared(true));
            judge(found, &coverage, ArithmeticGap::Nothing)
        }
        Err(why) => Verdict::Incomparable { why: why.clone() },
    }
}

/// The findings that gates look at. They ask neither who computed nor for which ids, and rows of
/// another length are none.
fn seen_by_gates(
    case: &Case,
    theirs: &Observation,
    ours: &Observation,
    found: Option<&Findings>,
) -> Option<Findings> {
    if let Some(found) = found.filter(|found| found.tokens.first_difference.is_none()) {
        return Some(found.clone());
    }
    let mut ours = Observation {
        tokens: theirs.tokens.clone(),
        trace: Vec::new(),
        ..ours.clone()
    };
    ours.identity.name.push_str(", renamed");
    let length = |lane: &Lane| theirs.lanes.get(lane).map(|logits| logits.vocab_size);
    ours.lanes
        .retain(|lane, logits| length(lane) == Some(logits.vocab_size));
    compare(case, theirs, &ours).ok()
}

/// The rows of a lane on both sides.
fn rows<'o>(
    lane: Lane,
    theirs: &'o Observation,
    ours: &'o Observation,
) -> [impl DoubleEndedIterator<Item = &'o [f32]>; 2] {
    let logits = [theirs, ours].map(|seen| &seen.lanes[&lane]);
    logits.map(|logits| logits.values.chunks_exact(logits.vocab_size))
}

/// Of the last rows, also where they are of two positions, which no comparison has.
fn cosine_last(lane: Lane, theirs: &Observation, ours: &Observation) -> Option<f64> {
    let [theirs, ours] = rows(lane, theirs, ours).map(|mut rows| rows.next_back());
    let (theirs, ours) = theirs.zip(ours).filter(|(t, o)| t.len() == o.len())?;
    Distance::between(theirs, ours).cosine
}

/// Of all rows but those in which a value is no number.
fn ulp_max(lane: Lane, theirs: &Observation, ours: &Observation) -> Option<u64> {
    let [theirs, ours] = rows(lane, theirs, ours);
    let of_row = |(theirs, ours): (&[f32], &[f32])| {
        let mut pairs = theirs.iter().zip(ours);
        pairs.try_fold(0, |max, (a, b)| Some(metrics::ulps([*a, *b])?.max(max)))
    };
    theirs.zip(ours).filter_map(of_row).max()
}

/// Whether a looser tier lets it pass, the rules for all documents together included.
fn is_within(case: &Case, found: &Findings, apart: ArithmeticGap) -> bool {
    let coverage = found.coverage(case.declared(true));
    let breaks = found.lanes.iter().any(|lane| {
        let gates = tolerances().gates(apart, lane.lane);
        gates.is_some_and(|gates| broken_rule(&[lane], &gates).is_some())
    });
    judge(found, &coverage, apart) == Verdict::Agree && !breaks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::case::observation::{Greedy, Identity, Logits};
    use crate::case::taken::Taken;

    const VALUES: [f32; 9] = [1.0, -2.0, 3.0, 0.5, 0.25, -4.0, 2.0, 2.5, -1.0];

    /// Three positions of three logits, and a continuation.
    fn seen() -> Observation {
        let logits = Logits {
            positions: vec![0, 1, 2],
            values: VALUES.to_vec(),
            vocab_size: 3,
            named: Vec::new(),
            sixteen_bits: false,
        };
        Observation {
            identity: Identity {
                name: "a name".into(),
                profile: "some".into(),
                fingerprint: "none".into(),
            },
            tokens: vec![1, 2, 3],
            lanes: BTreeMap::from([(Lane::Prefill, logits)]),
            greedy: Greedy {
                tokens: vec![7; 40],
                ..Greedy::default()
            },
            trace: Vec::new(),
            taken: Taken::default(),
        }
    }

    /// What an edit of the observation does, seen beside it under the same name, which only the
    /// strict comparison asks about.
    fn effect(edit: impl Fn(&mut Observation)) -> Effect {
        let case = Case {
            greedy_steps: 40,
            ..Case::of_prompt("a", "m", "p", 3)
        };
        let (theirs, mut ours) = (seen(), seen());
        edit(&mut ours);
        let found = compare(&case, &theirs, &ours).ok();
        Effect::between(&case, &theirs, &ours, found.as_ref())
    }

    /// The gates that see `edit`, by their number.
    fn seeing(edit: impl Fn(&mut Observation)) -> Vec<usize> {
        let passes = effect(edit).passes;
        let sees = |i: &usize| !passes.contains(&GATES[*i].0);
        (0..GATES.len()).filter(sees).collect()
    }

    const NONE: [usize; 0] = [];

    fn lane(ours: &mut Observation) -> &mut Logits {
        ours.lanes.get_mut(&Lane::Prefill).expect("there")
    }

    fn values(ours: &mut Observation) -> &mut Vec<f32> {
        &mut lane(ours).values
    }

    #[test]
    fn each_gate_sees_what_it_asks_for_and_nothing_else() {
        assert_eq!(seeing(|_| ()), NONE);
        // One bit of one position.
        assert_eq!(seeing(|o| values(o)[4] += f32::EPSILON), [6]);
        // The last position turned a little: neither the median nor the KL of the others moves.
        assert_eq!(seeing(|o| values(o)[8] = -1.02), [6]);
        // A scale is no direction.
        let double = |o: &mut Observation| values(o).iter_mut().for_each(|x| *x *= 2.0);
        assert_eq!(seeing(double), [0, 3, 5, 6]);
        // A shift of every logit is no other distribution.
        let shift = |o: &mut Observation| values(o).iter_mut().for_each(|x| *x += 0.01);
        assert_eq!(seeing(shift), [5, 6]);
        assert_eq!(seeing(|o| values(o)[8] = 2.0), [0, 1, 2, 3, 6]);
        assert_eq!(seeing(|o| o.greedy.tokens[31] = 8), [4]);
        assert_eq!(seeing(|o| o.greedy.tokens[32] = 8), NONE);
    }

    #[test]
    fn what_cannot_be_computed_does_not_pass() {
        // The last rows are as they should be, and a cosine of the last position sees no others.
        assert_eq!(seeing(|o| values(o)[0] = f32::NAN), [0, 2, 3, 5, 6]);
        let short = |o: &mut Observation| {
            drop(values(o).drain(..3));
            lane(o).positions.remove(0);
        };
        assert_eq!(seeing(short), [0, 2, 3, 5, 6]);
        assert_eq!(seeing(|o| lane(o).vocab_size = 1), [0, 1, 2, 3, 5, 6]);
        assert_eq!(Effect::none_left().passes, [] as [&str; 0]);
    }

    #[test]
    fn the_worse_of_two_prompts_counts() {
        let with = |at: usize, value: f32| effect(|o| values(o)[at] = value);
        let (one, other) = (with(8, 2.0), with(4, 0.26));
        let both = one.clone().and(other.clone());
        assert_eq!(both.cosine_last, one.cosine_last);
        assert_eq!((both.logits, both.bit_equal), (18, 16));
        assert_eq!(both.passes, one.passes);
        assert_eq!(other.clone().and(one), both.clone());
        assert_eq!(Effect::unseen().and(other.clone()), other);
    }
}
