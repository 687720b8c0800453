//! The error of both sides against a run in double precision, and how many times the reference's
//! ours is: what an arithmetic without a name is held to, whoever made either side.
//!
//! One rounding of an activation that falls the other way moves its position, and every later one,
//! a thousand times as far as roundings do, on one side here and on the other there. So an error is
//! taken where it is quiet: of the positions, or the rows of a node, a quarter is below it. A fault
//! of substance moves those as well.

use serde::{Deserialize, Serialize};

use super::verdict::Divergence;
use crate::case::observation::{Lane, Logits, Observation, TracedNode};
use crate::judge::tolerance::tolerances;

/// Errors in units of the root mean square of the exact values, the reference's first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    /// Root mean square over a row, where it is quiet.
    pub rmse: [f64; 2],
    /// Largest of a row, likewise.
    pub max: [f64; 2],
}

/// Of each lane and node that all three have.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRatios {
    /// Logits.
    pub lanes: Vec<(Lane, Errors)>,
    /// Nodes, by their keys, in execution order.
    pub nodes: Vec<(String, Errors)>,
}

impl ErrorRatios {
    /// Looks at what all three have.
    pub fn of(exact: &Observation, theirs: &Observation, ours: &Observation) -> Self {
        let lane = |(lane, exact): (&Lane, &Logits)| {
            let sides = [theirs, ours].map(|side| side.lanes.get(lane));
            let [Some(theirs), Some(ours)] = sides else {
                return None;
            };
            Some((*lane, of_logits(exact, [theirs, ours])?))
        };
        let node = |exact: &TracedNode| {
            let named = |side: &Observation| {
                let same = |node: &&TracedNode| node.key == exact.key;
                let node = side.trace.iter().find(same)?;
                (node.values.len() == exact.values.len()).then(|| node.values.clone())
            };
            let [theirs, ours] = [named(theirs)?, named(ours)?];
            let width = exact.shape.last().copied().unwrap_or(1).max(1);
            let errors = Errors::of(&exact.values, [&theirs, &ours], width)?;
            Some((exact.key.clone(), errors))
        };
        let nodes = exact.trace.iter().filter(|node| !is_unmasked(&node.key));
        ErrorRatios {
            lanes: exact.lanes.iter().filter_map(lane).collect(),
            nodes: nodes.filter_map(node).collect(),
        }
    }

    /// The first node or lane whose error is beyond what the reference's allows.
    pub fn broken(&self) -> Option<Divergence> {
        let node = self.nodes.iter().find_map(|(key, errors)| {
            let (key, rule) = (key.clone(), errors.broken()?);
            Some(Divergence::Node { key, rule })
        });
        let lane = || {
            self.lanes.iter().find_map(|(lane, errors)| {
                let (lane, rule) = (*lane, errors.broken()?);
                Some(Divergence::Lane { lane, rule })
            })
        };
        node.or_else(lane)
    }

    /// Whether anything was looked at that can be judged.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The lanes and the worst node, in words.
    pub fn words(&self) -> String {
        let lanes = self.lanes.iter().map(|(lane, errors)| {
            let [theirs, ours] = errors.rmse;
            let ratio = errors.ratio();
            let name = lane.name();
            format!("{name} {ours:.1e}, the reference's {theirs:.1e}: {ratio:.2} times")
        });
        let worst = self
            .nodes
            .iter()
            .max_by(|(_, a), (_, b)| a.ratio().total_cmp(&b.ratio()));
        let worst = worst.map(|(key, errors)| format!("worst node {key} {:.2}", errors.ratio()));
        lanes.chain(worst).collect::<Vec<_>>().join("; ")
    }
}

/// Scores of attention before they are masked hold those of later positions, which are noisy where
/// a later position is.
fn is_unmasked(key: &str) -> bool {
    key.starts_with("kq-")
}

fn of_logits(exact: &Logits, sides: [&Logits; 2]) -> Option<Errors> {
    // Rows that name some tokens only, or are rounded, are no logits.
    let whole = |side: &Logits| {
        let in_full = side.named.is_empty() && !side.sixteen_bits;
        in_full && side.vocab_size == exact.vocab_size
    };
    if !sides.iter().all(|side| whole(side)) {
        return None;
    }
    let mut rows: [Vec<f32>; 3] = Default::default();
    for &position in &exact.positions {
        let found = [exact, sides[0], sides[1]].map(|side| side.at(position));
        let [Some(exact), Some(theirs), Some(ours)] = found else {
            continue;
        };
        for (rows, row) in rows.iter_mut().zip([exact, theirs, ours]) {
            rows.extend(row);
        }
    }
    let [whole, theirs, ours] = &rows;
    Errors::of(whole, [theirs, ours], exact.vocab_size)
}

impl Errors {
    /// Of rows of that width; nothing where there is none, or the exact values are all zero.
    fn of(exact: &[f32], sides: [&[f32]; 2], width: usize) -> Option<Self> {
        let squares: f64 = exact.iter().map(|&x| f64::from(x).powi(2)).sum();
        let unit = (squares / exact.len().max(1) as f64).sqrt();
        let sound = unit > 0.0 && unit.is_finite();
        let quiet = tolerances().error_ratio.quiet;
        let side = |side: &[f32]| -> Option<[f64; 2]> {
            let rows = exact.chunks(width).zip(side.chunks(width));
            let rows = rows.map(|(exact, row)| of_row(exact, row, unit));
            let (mut rmse, mut max): (Vec<f64>, Vec<f64>) = rows.unzip();
            rmse.sort_by(f64::total_cmp);
            max.sort_by(f64::total_cmp);
            // Never between two rows, of which one may be quiet and the next not.
            let at = (quiet * rmse.len().saturating_sub(1) as f64) as usize;
            Some([*rmse.get(at)?, *max.get(at)?])
        };
        let [theirs, ours] = sides.map(side);
        let ([rmse, max], [own_rmse, own_max]) = theirs.zip(ours).filter(|_| sound)?;
        Some(Errors {
            rmse: [rmse, own_rmse],
            max: [max, own_max],
        })
    }

    /// How many times the reference's error ours is; what is below the floor is none.
    pub fn ratio(&self) -> f64 {
        over(self.rmse, tolerances().error_ratio.rmse_floor)
    }

    fn broken(&self) -> Option<String> {
        let gates = &tolerances().error_ratio;
        let name = &gates.name;
        let rule = |what: &str, [theirs, ours]: [f64; 2], ratio: f64, most: f64| {
            // Written so that "no number" breaks the rule.
            let holds = ratio <= most;
            (!holds).then(|| {
                format!(
                    "{name}: {what} error {ours:.1e} against double precision, the reference's \
                     {theirs:.1e}: {ratio:.1} times, at most {most:.0}"
                )
            })
        };
        let max = over(self.max, gates.max_floor);
        rule("RMS", self.rmse, self.ratio(), gates.rmse)
            .or_else(|| rule("largest", self.max, max, gates.max))
    }
}

fn over([theirs, ours]: [f64; 2], floor: f64) -> f64 {
    ours.max(floor) / theirs.max(floor)
}

/// Root mean square and largest error of a row.
fn of_row(exact: &[f32], row: &[f32], unit: f64) -> (f64, f64) {
    let errors = exact.iter().zip(row).map(|(&exact, &value)| {
        let error = (f64::from(value) - f64::from(exact)).abs() / unit;
        if error.is_finite() {
            error
        } else {
            f64::INFINITY
        }
    });
    let (squares, max) = errors.fold((0.0, 0.0_f64), |(squares, max), error| {
        (squares + error * error, max.max(error))
    });
    ((squares / exact.len().max(1) as f64).sqrt(), max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(theirs: &[f32], ours: &[f32]) -> Errors {
        Errors::of(&[1.0; 8], [theirs, ours], 2).expect("eight values")
    }

    /// Eight values of one, four rows of two; each element this much off.
    fn off(by: f32) -> Vec<f32> {
        vec![1.0 + by; 8]
    }

    #[test]
    fn an_error_is_judged_by_the_reference_s_own_where_both_are_quiet() {
        let coarse = 2f32.powi(-12);
        assert_eq!(errors(&off(coarse), &off(coarse)).broken(), None);
        assert_eq!(errors(&off(coarse), &off(2.0 * coarse)).ratio(), 2.0);
        assert_eq!(errors(&off(coarse), &off(2.0 * coarse)).broken(), None);
        let beyond = errors(&off(coarse), &off(3.0 * coarse)).broken();
        assert!(
            beyond
                .expect("three times")
                .contains("3.0 times, at most 2")
        );
        // A rounding that fell the other way moves three of the four rows, of either side.
        let mut moved = off(coarse);
        moved[2..].fill(2.0);
        assert_eq!(errors(&off(coarse), &moved).broken(), None);
        assert_eq!(errors(&moved, &off(coarse)).broken(), None);
        // Whatever is below the floor is no error: here one bit, there none.
        assert_eq!(errors(&off(0.0), &off(f32::EPSILON / 2.0)).broken(), None);
        assert!(errors(&off(0.0), &off(coarse)).broken().is_some());
    }

    #[test]
    fn one_element_that_is_far_off_in_every_row_breaks_the_rule_of_the_largest() {
        let width = 4096;
        let exact = vec![1.0; width];
        let theirs: Vec<f32> = vec![1.0 + 2f32.powi(-20); width];
        let mut ours = theirs.clone();
        ours[7] = 1.0 + 2f32.powi(-16);
        let errors = Errors::of(&exact, [&theirs, &ours], width).expect("a row");
        assert!(errors.ratio() < 2.0, "{errors:?}");
        assert!(errors.broken().expect("16 times").contains("largest error"));
    }

    #[test]
    fn what_is_not_finite_is_no_small_error_and_nothing_is_compared_with_nothing() {
        let errors = errors(&off(0.0), &[f32::NAN; 8]);
        assert!(errors.broken().is_some(), "{errors:?}");
        assert_eq!(Errors::of(&[0.0; 4], [&[0.0; 4], &[0.0; 4]], 2), None);
        assert_eq!(Errors::of(&[], [&[], &[]], 2), None);
    }
}
