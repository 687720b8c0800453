//! The gates that are usually put before logits, to count how many faults each would see.
#![forbid(unsafe_code)]

use super::Outcome;
use super::effect::{Beside, Row};
use crate::judge::tolerance::Apart;
use crate::numbers::metrics;
use crate::numbers::statistics::mean;

/// One of them.
pub struct Gate {
    /// What it asks for.
    pub name: &'static str,
    passes: fn(&Beside) -> Option<bool>,
}

/// Steps of the continuation a gate looks at.
pub const STEPS: usize = 32;

/// The last one is the tightest there can be: what it lets pass shows in no logit at all.
pub const GATES: &[Gate] = &[
    gate("NMSE < 1e-2", |b| Some(mean(&all(b, nmse)?)? < 1e-2)),
    gate("cosine > 0.99 at the last position", |b| {
        Some(b.cosine_last? > 0.99)
    }),
    gate("mean cosine >= 0.999", |b| {
        Some(mean(&all(b, |row| row.distance.cosine)?)? >= 0.999)
    }),
    gate("mean KL <= 1e-3", |b| {
        Some(mean(&all(b, |row| row.kl)?)? <= 1e-3)
    }),
    gate("the same 32 greedy tokens", |b| Some(b.greedy_equal)),
    gate("median NMSE <= 1e-12", |b| {
        Some(metrics::median(&all(b, nmse)?)? <= 1e-12)
    }),
    gate("every bit of the logits", |b| {
        let same = |row: &Row| row.distance.is_bit_identical();
        Some(b.rows.as_ref()?.iter().all(same))
    }),
];

const fn gate(name: &'static str, passes: fn(&Beside) -> Option<bool>) -> Gate {
    Gate { name, passes }
}

/// What the lanes of the looser tiers are set apart by; each tier is a gate, too.
pub const LOOSER: [Apart; 3] = [Apart::Order, Apart::Path, Apart::Ik];

/// Every gate, the usual ones first.
pub fn names() -> impl Iterator<Item = &'static str> {
    let tiers = LOOSER.map(|apart| apart.tier().name());
    GATES.iter().map(|gate| gate.name).chain(tiers)
}

/// How many of the outcomes a gate sees.
pub fn seeing(gate: &str, outcomes: &[&Outcome]) -> usize {
    let sees = |o: &&&Outcome| !o.effect.passes.contains(&gate);
    outcomes.iter().filter(sees).count()
}

/// The gates that let this pass in each lane. What cannot be computed does not pass.
pub fn passed(lanes: &[Beside]) -> Vec<&'static str> {
    let passes = |gate: &&Gate| lanes.iter().all(|lane| (gate.passes)(lane) == Some(true));
    GATES.iter().filter(passes).map(|gate| gate.name).collect()
}

fn nmse(row: &Row) -> Option<f64> {
    row.distance.nmse
}

fn all(lane: &Beside, value: fn(&Row) -> Option<f64>) -> Option<Vec<f64>> {
    lane.rows.as_ref()?.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Effect;
    use super::*;
    use crate::case::observation::{Greedy, Identity, Lane, Logits, Observation};

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
                name: named("somebody"),
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

    /// The gates that see `edit`, by their number.
    fn seeing(edit: impl Fn(&mut Observation)) -> Vec<usize> {
        let mut ours = seen(VALUES);
        edit(&mut ours);
        let passes = Effect::between(&seen(VALUES), &ours).passes;
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
        assert_eq!(seeing(|o| drop(values(o).drain(..3))), [0, 2, 3, 5, 6]);
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
            Effect::between(&seen(VALUES), &ours)
        };
        let (one, other) = (with(8, 2.0), with(4, 0.26));
        let both = one.clone().and(other.clone());
        assert_eq!(both.cosine_last, one.cosine_last);
        assert_eq!((both.logits, both.bit_equal), (18, 16));
        assert_eq!(both.passes, one.passes);
        assert_eq!(other.clone().and(one), both.clone());
        assert_eq!(Effect::default().and(other.clone()), other);
    }
}
