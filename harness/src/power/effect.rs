//! How large a fault is in the numbers other tools look at.
#![forbid(unsafe_code)]

use serde::Serialize;

use crate::compare::Findings;
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
    /// What the findings say, and what the rows say where there are no findings.
    pub fn between(found: Option<&Findings>, theirs: &Observation, ours: &Observation) -> Self {
        let positions = || {
            found
                .into_iter()
                .flat_map(|f| &f.lanes)
                .flat_map(|l| &l.positions)
        };
        let most = |of: &dyn Fn(usize) -> Option<f64>| {
            let all: Option<Vec<f64>> = (0..positions().count()).map(of).collect();
            all?.into_iter().reduce(f64::max)
        };
        let nth = |i| positions().nth(i);
        let logits = found.map(Findings::logits).filter(|[all, _]| *all > 0);
        let rows = || {
            Lane::ALL
                .into_iter()
                .filter_map(|l| Some((theirs.lanes.get(&l)?, l)))
        };
        let pairs = rows().filter_map(|(their_lane, lane)| {
            let our_lane = ours.lanes.get(&lane)?;
            let same = our_lane.values.len() == their_lane.values.len();
            same.then(|| their_lane.values.iter().zip(&our_lane.values))
        });
        let ulps = pairs.flatten().map(|(a, b)| metrics::ulps([*a, *b]));
        let ulps: Option<Vec<u64>> = ulps.collect();
        Effect {
            cosine_last: cosine_last(theirs, ours),
            kl_max: most(&|i| nth(i)?.kl),
            nmse_max: most(&|i| nth(i)?.distance.nmse),
            ulp_max: ulps
                .filter(|_| logits.is_some())
                .and_then(|u| u.into_iter().max()),
            bit_equal_share: logits.map(|[all, equal]| equal as f64 / all as f64),
        }
    }
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
