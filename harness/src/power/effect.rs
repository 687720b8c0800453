//! How large a fault is in the numbers other tools look at.
#![forbid(unsafe_code)]

use serde::Serialize;

use crate::compare::{Findings, PositionFindings};
use crate::metrics::{self, Distance};
use crate::observation::{Lane, Observation};

/// How far the faulty engine's logits are from the reference's, both lanes.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Effect {
    /// Cosine at the last position of the prefill.
    pub cosine_last: Option<f64>,
    /// The largest `KL(reference ‖ ours)` in nats.
    pub kl_max: Option<f64>,
    /// The largest NMSE of a position.
    pub nmse_max: Option<f64>,
    /// The largest distance of two logits in representable numbers.
    pub ulp_max: Option<u64>,
    /// Share of logits whose bits are equal.
    pub bit_equal_share: Option<f64>,
}

impl Effect {
    /// What the findings say; without findings, what the last rows say.
    pub fn between(found: Option<&Findings>, theirs: &Observation, ours: &Observation) -> Self {
        let last = Effect {
            cosine_last: cosine_last(theirs, ours),
            ..Effect::default()
        };
        let Some(found) = found.filter(|found| found.logits()[0] > 0) else {
            return last;
        };
        let [all, equal] = found.logits();
        let lanes = found.lanes.iter();
        let positions: Vec<&PositionFindings> = lanes.flat_map(|lane| &lane.positions).collect();
        Effect {
            kl_max: largest(positions.iter().map(|p| p.kl)),
            nmse_max: largest(positions.iter().map(|p| p.distance.nmse)),
            ulp_max: ulp_max(theirs, ours),
            bit_equal_share: Some(equal as f64 / all as f64),
            ..last
        }
    }
}

/// The largest, if every one of them is a number.
fn largest(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let all: Option<Vec<f64>> = values.collect();
    all?.into_iter().reduce(f64::max)
}

/// Over the rows both have; none if one of them holds a NaN.
fn ulp_max(theirs: &Observation, ours: &Observation) -> Option<u64> {
    let lanes = theirs.lanes.iter();
    let both = lanes.filter_map(|(lane, theirs)| Some((theirs, ours.lanes.get(lane)?)));
    let rows = both.flat_map(|(theirs, ours)| {
        let positions = theirs.positions.iter();
        positions.filter_map(|&p| Some((theirs.at(p)?, ours.at(p)?)))
    });
    let values = rows.flat_map(|(theirs, ours)| theirs.iter().zip(ours));
    let ulps: Option<Vec<u64>> = values.map(|(a, b)| metrics::ulps([*a, *b])).collect();
    ulps?.into_iter().max()
}

/// What a gate sees that looks at the last row of logits and at nothing else.
fn cosine_last(theirs: &Observation, ours: &Observation) -> Option<f64> {
    let last = |seen: &Observation| {
        let lane = seen.lanes.get(&Lane::Prefill)?;
        lane.values
            .rchunks_exact(lane.vocab_size)
            .next()
            .map(<[f32]>::to_vec)
    };
    let [theirs, ours] = [last(theirs)?, last(ours)?];
    (theirs.len() == ours.len()).then(|| Distance::between(&theirs, &ours).cosine)?
}
