//! Divergences by how sure the computation that is believed was of its likeliest token: an error
//! where it was unsure changes little that is written, one where it was sure changes the text.

use serde::Serialize;

use super::statistics::{Intervals, mean};

/// Probabilities at which one class ends and the next begins.
const ENDS: [f64; 5] = [0.25, 0.5, 0.75, 0.95, 1.0];

/// One position: how likely the likeliest token was, and the divergence.
pub type Position = (f64, f64);

/// Positions at which the believed computation was about equally sure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Class {
    /// The probabilities of its likeliest token between which they lie.
    pub sure: [f64; 2],
    /// How many there are.
    pub positions: usize,
    /// Mean of their divergences.
    pub mean_kl: f64,
    /// Where that lies 19 times out of 20, documents drawn again; none of a single one.
    pub interval: Option<[f64; 2]>,
}

/// The classes in which there are positions, the least sure first.
pub fn classes(documents: &[Vec<Position>], intervals: &Intervals) -> Vec<Class> {
    let starts = [0.0].into_iter().chain(ENDS);
    let class = |(start, end): (f64, f64)| {
        let inside = |&(sure, _): &Position| sure >= start && (sure < end || end == 1.0);
        let of = |document: &Vec<Position>| {
            let inside = document.iter().copied().filter(inside);
            inside.map(|(_, kl)| kl).collect()
        };
        let documents: Vec<Vec<f64>> = documents.iter().map(of).collect();
        let all = documents.concat();
        Some(Class {
            sure: [start, end],
            positions: all.len(),
            mean_kl: mean(&all)?,
            interval: intervals.of_mean(&documents),
        })
    };
    starts.zip(ENDS).filter_map(class).collect()
}

impl Class {
    /// `25 to 50 %`.
    pub fn words(&self) -> String {
        let [from, to] = self.sure.map(|share| 100.0 * share);
        format!("{from:.0} to {to:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_in_one_class_and_empty_ones_are_left_out() {
        let intervals = Intervals {
            confidence: 0.95,
            resamples: 100,
            seed: 1,
        };
        let documents = [
            vec![(0.1, 4.0), (0.25, 1.0), (1.0, 0.5)],
            vec![(0.2, 2.0), (0.95, 0.1)],
        ];
        let found = classes(&documents, &intervals);
        let told = |class: &Class| (class.words(), class.positions, class.mean_kl);
        let told: Vec<_> = found.iter().map(told).collect();
        let class = |words: &str, positions, mean_kl| (words.to_owned(), positions, mean_kl);
        assert_eq!(
            told,
            [
                class("0 to 25 %", 2, 3.0),
                class("25 to 50 %", 1, 1.0),
                class("95 to 100 %", 2, 0.3),
            ]
        );
        let intervals: Vec<bool> = found.iter().map(|c| c.interval.is_some()).collect();
        assert_eq!(intervals, [true, false, true], "one document has none");
    }
}
