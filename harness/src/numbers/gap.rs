//! How far one node's two values lie apart: counts, places, units in the last place.
#![forbid(unsafe_code)]

use serde::Serialize;

use crate::numbers::metrics::{self, Distance};

/// The distance between two values of one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// Elements whose bits differ.
    pub differing: usize,
    /// The first of them.
    pub first: Option<Difference>,
    /// The most representable values between two elements; none if nothing differs or a NaN does.
    pub max_ulps: Option<u64>,
    /// `Σ(x − y)² / Σx²`; none if a value is not finite, or only the reference's are all 0.
    pub nmse: Option<f64>,
    /// The largest difference in units of the reference's root mean square; none likewise.
    pub peak: Option<f64>,
}

/// One element that differs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Flat index.
    pub index: usize,
    /// The bits, the reference's first: a NaN has them, too.
    pub bits: [u32; 2],
    /// Representable values between the two; none for a NaN.
    pub ulps: Option<u64>,
}

impl Difference {
    /// The two values, the reference's first.
    pub fn values(&self) -> [f32; 2] {
        self.bits.map(f32::from_bits)
    }
}

impl Gap {
    /// Between `theirs` and `ours`, of one length.
    pub fn between(theirs: &[f32], ours: &[f32]) -> Self {
        if metrics::same_bits(theirs, ours) {
            return Gap {
                differing: 0,
                first: None,
                max_ulps: None,
                nmse: Some(0.0),
                peak: Some(0.0),
            };
        }
        let distance = Distance::between(theirs, ours);
        let pairs = theirs.iter().zip(ours).enumerate();
        let differs = pairs.filter(|(_, (x, y))| x.to_bits() != y.to_bits());
        let differing: Vec<_> = differs
            .map(|(index, (&x, &y))| Difference {
                index,
                bits: [x.to_bits(), y.to_bits()],
                ulps: metrics::ulps([x, y]),
            })
            .collect();
        Gap {
            first: differing.first().copied(),
            max_ulps: differing.iter().map(|d| d.ulps).max().flatten(),
            differing: differing.len(),
            nmse: distance.nmse,
            peak: distance.max_abs.and_then(|max| relative(max, theirs)),
        }
    }

    /// Every bit is the same.
    pub fn is_identical(&self) -> bool {
        self.differing == 0
    }
}

/// Where an element lies in words: a flat index into values of that shape, outermost first.
pub fn place(shape: &[usize], index: usize) -> String {
    let at = coordinates(shape, index);
    let names: &[&str] = match at.len() {
        1 => &["column"],
        2 => &["row", "column"],
        3 => &["plane", "row", "column"],
        _ => return format!("element {at:?}"),
    };
    let words = names
        .iter()
        .zip(at)
        .map(|(name, at)| format!("{name} {at}"));
    words.collect::<Vec<_>>().join(", ")
}

/// A flat index as one index for each dimension, outermost first.
pub fn coordinates(shape: &[usize], index: usize) -> Vec<usize> {
    let mut rest = index;
    let mut at: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let inner = rest % size.max(1);
            rest /= size.max(1);
            inner
        })
        .collect();
    at.reverse();
    at
}

/// `size` in units of the root mean square; none if there is none to divide by.
fn relative(size: f64, values: &[f32]) -> Option<f64> {
    let squares = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let rms = (squares / values.len().max(1) as f64).sqrt();
    if size == 0.0 {
        Some(0.0)
    } else {
        (rms > 0.0).then(|| size / rms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_places_and_sizes_are_what_a_hand_finds() {
        let next = f32::from_bits(1.0_f32.to_bits() + 3);
        let gap = Gap::between(&[1.0, -1.0, 1.0, 1.0], &[1.0, -1.0, next, 3.0]);
        assert_eq!(gap.differing, 2);
        let first = gap.first.expect("two differ");
        assert_eq!((first.index, first.ulps), (2, Some(3)));
        assert_eq!(gap.max_ulps, metrics::ulps([1.0, 3.0]));
        assert_eq!(gap.peak, Some(2.0));
        assert!(Gap::between(&[0.0], &[0.0]).is_identical());
    }

    #[test]
    fn an_element_has_a_place_in_words() {
        assert_eq!(coordinates(&[2, 3, 4], 23), [1, 2, 3]);
        assert_eq!(place(&[7, 256], 257), "row 1, column 1");
        assert_eq!(place(&[2, 3, 4], 13), "plane 1, row 0, column 1");
        assert_eq!(place(&[9], 8), "column 8");
        assert_eq!(place(&[1, 1, 1, 2], 1), "element [0, 0, 0, 1]");
    }

    #[test]
    fn a_nan_differs_and_has_no_size() {
        let gap = Gap::between(&[1.0, 2.0], &[1.0, f32::NAN]);
        assert_eq!((gap.differing, gap.nmse, gap.peak), (1, None, None));
        assert_eq!(gap.first.expect("one").ulps, None);
    }
}
