//! The gates that are usually put before logits, as functions of the findings, to count how many
//! faults each would see; and how large a fault is in the numbers that they look at.
#![forbid(unsafe_code)]

use serde::Serialize;

use crate::case::Case;
use crate::case::observation::{Lane, Logits, Observation};
use crate::judge::compare::{Findings, Incomparable, LaneFindings, PositionFindings, compare};
use crate::judge::tolerance::{ArithmeticGap, book};
use crate::judge::verdict::{Verdict, judge};
use crate::numbers::metrics::{self, Distance};
use crate::numbers::statistics::mean;
use crate::receipt::pooled::broken_rule;

/// One of them.
struct Gate {
    name: &'static str,
    passes: fn(&Seen<'_>) -> Option<bool>,
}

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
const GATES: &[Gate] = &[
    gate("NMSE < 1e-2", |s| Some(mean(&s.all(nmse)?)? < 1e-2)),
    gate("cosine > 0.99 at the last position", |s| {
        Some(s.cosine_last? > 0.99)
    }),
    gate("mean cosine >= 0.999", |s| {
        Some(mean(&s.all(|p| p.distance.cosine)?)? >= 0.999)
    }),
    gate("mean KL <= 1e-3", |s| {
        Some(mean(&s.all(|p| p.kl)?)? <= 1e-3)
    }),
    gate("the same 32 greedy tokens", |s| Some(s.greedy_equal)),
    gate("median NMSE <= 1e-12", |s| {
        Some(metrics::median(&s.all(nmse)?)? <= 1e-12)
    }),
    gate("every bit of the logits", |s| {
        Some(s.whole && s.lane.is_bit_identical())
    }),
];

const fn gate(name: &'static str, passes: fn(&Seen<'_>) -> Option<bool>) -> Gate {
    Gate { name, passes }
}

/// What the lanes of the looser tiers are set apart by; each tier is a gate, too.
const LOOSER: [ArithmeticGap; 3] = [ArithmeticGap::Order, ArithmeticGap::Path, ArithmeticGap::Ik];

/// Every gate, the usual ones first.
pub fn names() -> impl Iterator<Item = &'static str> {
    let tiers = LOOSER.map(|apart| apart.tier().name());
    GATES.iter().map(|gate| gate.name).chain(tiers)
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
            passes: names().collect(),
            ..Effect::none_left()
        }
    }

    /// Of a fault that left no logits: there is nothing to let pass.
    pub fn none_left() -> Self {
        Effect {
            cosine_last: None,
            kl_max: None,
            nmse_max: None,
            ulp_max: None,
            logits: 0,
            bit_equal: 0,
            passes: Vec::new(),
            first_node: None,
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
        let lanes: Vec<Seen<'_>> = seen
            .lanes
            .iter()
            .filter(both)
            .map(|lane| Seen {
                lane,
                whole: lane.positions.len() == theirs.lanes[&lane.lane].positions.len(),
                cosine_last: cosine_last(lane, theirs, ours),
                greedy_equal: greedy_equal(theirs, ours),
            })
            .collect();
        let rows = || {
            let whole = lanes.iter().filter(|seen| seen.whole);
            whole.flat_map(|seen| &seen.lane.positions)
        };
        let largest =
            |value: fn(&PositionFindings) -> Option<f64>| rows().filter_map(value).reduce(f64::max);
        let lets_pass = |gate: &&Gate| lanes.iter().all(|s| (gate.passes)(s) == Some(true));
        let usual = GATES.iter().filter(lets_pass).map(|gate| gate.name);
        let tiers = LOOSER
            .into_iter()
            .filter(|&apart| found.is_some_and(|found| is_within(case, found, apart)));
        let last = lanes.iter().filter_map(|seen| seen.cosine_last);
        Effect {
            cosine_last: last.reduce(f64::min),
            kl_max: largest(|p| p.kl),
            nmse_max: largest(nmse),
            ulp_max: lanes
                .iter()
                .filter(|seen| seen.whole)
                .filter_map(|seen| ulp_max(seen.lane.lane, theirs, ours))
                .max(),
            logits: rows().map(|p| p.distance.values).sum(),
            bit_equal: rows().map(|p| p.distance.bit_equal).sum(),
            passes: usual
                .chain(tiers.map(|apart| apart.tier().name()))
                .collect(),
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
        Ok(found) => judge(
            found,
            &found.coverage(case.declared(true)),
            ArithmeticGap::Nothing,
        ),
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

fn greedy_equal(theirs: &Observation, ours: &Observation) -> bool {
    let [one, other] = [theirs, ours].map(|seen| seen.greedy.tokens.iter().take(STEPS));
    one.eq(other)
}

/// Where the last rows are of two positions, which no comparison has, they are compared here.
fn cosine_last(lane: &LaneFindings, theirs: &Observation, ours: &Observation) -> Option<f64> {
    let last = lane.positions.last()?;
    let [theirs, ours] = [theirs, ours].map(|seen| &seen.lanes[&lane.lane]);
    let ends = [theirs, ours].map(|logits| logits.positions.last().copied());
    if ends == [Some(last.position); 2] {
        return last.distance.cosine;
    }
    let row = |logits: &Logits, at: Option<usize>| logits.at(at?).map(<[f32]>::to_vec);
    let rows = row(theirs, ends[0]).zip(row(ours, ends[1]));
    rows.and_then(|(theirs, ours)| Distance::between(&theirs, &ours).cosine)
}

/// Of all rows; none where a value is no number.
fn ulp_max(lane: Lane, theirs: &Observation, ours: &Observation) -> Option<u64> {
    let [theirs, ours] = [theirs, ours].map(|seen| &seen.lanes[&lane]);
    let rows = theirs.values.chunks_exact(theirs.vocab_size);
    let rows = rows.zip(ours.values.chunks_exact(ours.vocab_size));
    let of_row = |(theirs, ours): (&[f32], &[f32])| {
        let mut pairs = theirs.iter().zip(ours);
        pairs.try_fold(0, |max, (a, b)| Some(metrics::ulps([*a, *b])?.max(max)))
    };
    rows.filter_map(of_row).max()
}

/// Whether a looser tier lets it pass, the rules for all documents together included.
fn is_within(case: &Case, found: &Findings, apart: ArithmeticGap) -> bool {
    let coverage = found.coverage(case.declared(true));
    let breaks = found.lanes.iter().any(|lane| {
        let gates = book().gates(apart, lane.lane);
        gates.is_some_and(|gates| broken_rule(&[lane], &gates).is_some())
    });
    judge(found, &coverage, apart) == Verdict::Agree && !breaks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::case::observation::{Greedy, Identity};

    /// Three positions of three logits, and a continuation.
    fn seen(values: [f32; 9]) -> Observation {
        let logits = Logits {
            positions: vec![0, 1, 2],
            values: values.to_vec(),
            vocab_size: 3,
        };
        let named = |name: &str| name.to_owned();
        Observation {
            identity: Identity {
                name: named("a name"),
                profile: named("some"),
                fingerprint: named("none"),
            },
            tokens: vec![1, 2, 3],
            lanes: BTreeMap::from([(Lane::Prefill, logits)]),
            greedy: Greedy {
                tokens: vec![7; 40],
                ..Greedy::default()
            },
            trace: Vec::new(),
        }
    }

    const VALUES: [f32; 9] = [1.0, -2.0, 3.0, 0.5, 0.25, -4.0, 2.0, 2.5, -1.0];

    fn effect(ours: &Observation) -> Effect {
        let case = Case {
            greedy_steps: 40,
            ..Case::of_prompt("a", "m", "p", 3)
        };
        let theirs = seen(VALUES);
        // The two have one name, which only the strict comparison asks about.
        Effect::between(
            &case,
            &theirs,
            ours,
            compare(&case, &theirs, ours).ok().as_ref(),
        )
    }

    /// The gates that see `edit`, by their number.
    fn seeing(edit: impl Fn(&mut Observation)) -> Vec<usize> {
        let mut ours = seen(VALUES);
        edit(&mut ours);
        let passes = effect(&ours).passes;
        let numbered = GATES.iter().enumerate();
        let seeing = numbered.filter(|(_, gate)| !passes.contains(&gate.name));
        seeing.map(|(i, _)| i).collect()
    }

    const NONE: [usize; 0] = [];

    fn values(ours: &mut Observation) -> &mut Vec<f32> {
        &mut ours.lanes.get_mut(&Lane::Prefill).expect("there").values
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
            o.lanes
                .get_mut(&Lane::Prefill)
                .expect("there")
                .positions
                .remove(0);
        };
        assert_eq!(seeing(short), [0, 2, 3, 5, 6]);
        let shorter = |o: &mut Observation| {
            o.lanes.get_mut(&Lane::Prefill).expect("there").vocab_size = 1;
        };
        assert_eq!(seeing(shorter), [0, 1, 2, 3, 5, 6]);
        assert_eq!(Effect::none_left().passes, [] as [&str; 0]);
    }

    #[test]
    fn the_worse_of_two_prompts_counts() {
        let with = |at: usize, value: f32| {
            let mut ours = seen(VALUES);
            values(&mut ours)[at] = value;
            effect(&ours)
        };
        let (one, other) = (with(8, 2.0), with(4, 0.26));
        let both = one.clone().and(other.clone());
        assert_eq!(both.cosine_last, one.cosine_last);
        assert_eq!((both.logits, both.bit_equal), (18, 16));
        assert_eq!(both.passes, one.passes);
        assert_eq!(other.clone().and(one), both.clone());
        assert_eq!(Effect::unseen().and(other.clone()), other);
    }
}
