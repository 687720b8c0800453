//! How large a fault is in the numbers that other tools look at.
#![forbid(unsafe_code)]

use std::slice::ChunksExact;

use serde::Serialize;

use super::gate;
use crate::case::observation::{Lane, Logits, Observation};
use crate::numbers::metrics::{self, Distance};

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
    /// Of a fault that left no logits: there is nothing to let pass.
    pub fn none_left() -> Self {
        Effect {
            passes: Vec::new(),
            ..Effect::default()
        }
    }

    /// What one prompt shows.
    pub fn between(theirs: &Observation, ours: &Observation) -> Self {
        let lanes = beside(theirs, ours);
        let rows = || lanes.iter().flat_map(|lane| lane.rows.iter().flatten());
        let largest =
            |values: &mut dyn Iterator<Item = Option<f64>>| values.flatten().reduce(f64::max);
        Effect {
            cosine_last: lanes.iter().filter_map(|l| l.cosine_last).reduce(f64::min),
            kl_max: largest(&mut rows().map(|row| row.kl)),
            nmse_max: largest(&mut rows().map(|row| row.distance.nmse)),
            ulp_max: rows().filter_map(|row| row.ulp_max).max(),
            logits: rows().map(|row| row.distance.values).sum(),
            bit_equal: rows().map(|row| row.distance.bit_equal).sum(),
            passes: gate::passed(&lanes),
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

impl Default for Effect {
    /// Nothing was looked at yet, so nothing was seen.
    fn default() -> Self {
        Effect {
            cosine_last: None,
            kl_max: None,
            nmse_max: None,
            ulp_max: None,
            logits: 0,
            bit_equal: 0,
            passes: gate::names().collect(),
            first_node: None,
        }
    }
}

/// One lane's logits beside the reference's.
pub struct Beside {
    /// Row by row; none if there are not as many, or not as long ones.
    pub rows: Option<Vec<Row>>,
    /// Of the last rows, however many there are before them.
    pub cosine_last: Option<f64>,
    /// The continuations begin with the same tokens.
    pub greedy_equal: bool,
}

/// One position.
pub struct Row {
    /// How far apart.
    pub distance: Distance,
    /// `KL(reference ‖ ours)` in nats.
    pub kl: Option<f64>,
    ulp_max: Option<u64>,
}

/// Every lane that both computed.
fn beside(theirs: &Observation, ours: &Observation) -> Vec<Beside> {
    let [one, other] = [theirs, ours].map(|seen| seen.greedy.tokens.iter().take(gate::STEPS));
    let greedy_equal = one.eq(other);
    let both = |lane| Some([theirs.lanes.get(lane)?, ours.lanes.get(lane)?]);
    let lanes = Lane::ALL.iter().filter_map(both);
    let lane = |[theirs, ours]: [&Logits; 2]| {
        let long = theirs.vocab_size == ours.vocab_size;
        let same = long && theirs.values.len() == ours.values.len();
        let last = rows(theirs).next_back().zip(rows(ours).next_back());
        let last = last.filter(|_| long);
        Beside {
            rows: same.then(|| rows(theirs).zip(rows(ours)).map(row).collect()),
            cosine_last: last.and_then(|(a, b)| Distance::between(a, b).cosine),
            greedy_equal,
        }
    };
    lanes.map(lane).collect()
}

fn rows(logits: &Logits) -> ChunksExact<'_, f32> {
    logits.values.chunks_exact(logits.vocab_size)
}

fn row((theirs, ours): (&[f32], &[f32])) -> Row {
    let mut ulp_max = Some(0);
    for (a, b) in theirs.iter().zip(ours) {
        ulp_max = ulp_max
            .zip(metrics::ulps([*a, *b]))
            .map(|(max, ulps)| ulps.max(max));
    }
    Row {
        distance: Distance::between(theirs, ours),
        kl: metrics::divergence(theirs, ours),
        ulp_max,
    }
}
