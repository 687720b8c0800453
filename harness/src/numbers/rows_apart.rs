//! The rows of two computations, paired position by position: how far one's expectations lie from
//! the other's.

use crate::io::kl_base::CodedRow;
use crate::numbers::confidence::Position;
use crate::numbers::metrics::{Distance, Distances, confidence, divergence, top1};

/// The rows that are believed.
#[derive(Debug, Clone)]
pub enum Believed {
    /// Logits, row-major.
    Logits(Vec<f32>),
    /// Log-probabilities in 16 bits.
    Coded(Vec<CodedRow>),
}

/// What sets the rows of one computation apart from those that are believed, document by document.
#[derive(Debug, Clone, Default)]
pub struct RowsApart {
    /// `KL(believed ‖ other)` of each row, by document.
    pub kl: Vec<Vec<f64>>,
    /// How likely the believed likeliest token of each row was.
    pub confidence: Vec<Vec<f64>>,
    /// Rows with the same most likely token.
    pub same_top1: usize,
    /// Logits whose bits are equal, or whose codes are where there are codes.
    pub equal: usize,
    /// All logits.
    pub logits: usize,
    distances: Distances,
}

impl RowsApart {
    /// Pairs the rows of one more document, each of that width. The error says why they cannot be.
    pub fn add(&mut self, believed: &Believed, rows: &[f32], width: usize) -> Result<(), String> {
        let width = width.max(1);
        let count = match believed {
            Believed::Logits(first) => first.len(),
            Believed::Coded(first) => first.iter().map(|row| row.codes.len()).sum(),
        };
        if count != rows.len() || rows.is_empty() || !rows.len().is_multiple_of(width) {
            let other = rows.len();
            return Err(format!(
                "{other} logits in rows of {width}, where the first computation has {count}"
            ));
        }
        self.logits += count;
        let rows = rows.chunks(width);
        let kl: Option<Vec<f64>> = match believed {
            Believed::Logits(first) => {
                let pairs = first.chunks(width).zip(rows);
                pairs
                    .map(|(first, row)| self.add_logits(first, row))
                    .collect()
            }
            Believed::Coded(first) => {
                let pairs = first.iter().zip(rows);
                pairs
                    .map(|(first, row)| self.add_codes(first, row))
                    .collect()
            }
        };
        let confidence: Option<Vec<f64>> = match believed {
            Believed::Logits(first) => first.chunks(width).map(confidence).collect(),
            Believed::Coded(first) => first.iter().map(CodedRow::confidence).collect(),
        };
        let finite = "a logit is not finite";
        self.kl.push(kl.ok_or(finite)?);
        self.confidence.push(confidence.ok_or(finite)?);
        Ok(())
    }

    /// Both of each row, by document.
    pub fn positions(&self) -> Vec<Vec<Position>> {
        let pair = |(confidence, kl): (&Vec<f64>, &Vec<f64>)| {
            let pairs = confidence.iter().zip(kl);
            pairs.map(|(&confidence, &kl)| (confidence, kl)).collect()
        };
        self.confidence.iter().zip(&self.kl).map(pair).collect()
    }

    fn add_logits(&mut self, first: &[f32], row: &[f32]) -> Option<f64> {
        self.same_top1 += usize::from(top1(first) == top1(row));
        self.distances.add(first, row);
        self.equal = self.distances.total().bit_equal;
        divergence(first, row)
    }

    fn add_codes(&mut self, first: &CodedRow, row: &[f32]) -> Option<f64> {
        self.same_top1 += usize::from(first.top1() == top1(row));
        self.equal += first.equal_codes(&CodedRow::of(row)?);
        first.divergence(row)
    }

    /// Between all logits; nothing where there are codes.
    pub fn distance(&self) -> Option<Distance> {
        Some(self.distances.total()).filter(|distance| distance.values > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_paired_in_both_forms_and_refused_where_they_cannot_be() {
        let first = vec![0.0, 1.0, 2.0, 2.0, 1.0, 0.0];
        let other = [0.0, 1.0, 2.0, 2.0, 3.0, 0.0];
        let coded: Option<Vec<_>> = first.chunks(3).map(CodedRow::of).collect();
        let coded = Believed::Coded(coded.expect("finite"));
        let logits = Believed::Logits(first);
        for believed in [&logits, &coded] {
            let mut apart = RowsApart::default();
            apart.add(believed, &other, 3).expect("two rows");
            assert_eq!((apart.same_top1, apart.logits), (1, 6));
            let [kl] = &apart.kl[..] else {
                panic!("{apart:?}")
            };
            assert!(kl[0].abs() < 1e-4 && kl[1] > 0.1, "{apart:?}");
            // One over 1 + e⁻¹ + e⁻², as often as there are rows.
            let [both] = &apart.positions()[..] else {
                panic!("{apart:?}")
            };
            let sure = both.iter().map(|(sure, _)| (sure - 0.665_241).abs() < 1e-4);
            assert_eq!(sure.collect::<Vec<_>>(), [true, true], "{both:?}");
            for (rows, width) in [(&other[..3], 3), (&other[..], 4), (&other[..0], 3)] {
                assert!(apart.add(believed, rows, width).is_err());
            }
            let broken = [0.0, 1.0, f32::NAN, 2.0, 3.0, 0.0];
            assert!(apart.add(believed, &broken, 3).is_err());
        }
        let apart = |believed| {
            let mut apart = RowsApart::default();
            apart.add(believed, &other, 3).expect("two rows");
            (apart.equal, apart.distance().is_some())
        };
        assert_eq!((apart(&logits), apart(&coded)), ((5, true), (3, false)));
    }
}
