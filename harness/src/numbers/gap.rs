//! How far one node's two values lie apart: counts, places, units in the last place.

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
    /// The one number that the reference's values were multiplied with, where that explains all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
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
        let pairs = theirs.iter().zip(ours).enumerate();
        let differs = pairs.filter(|(_, (x, y))| x.to_bits() != y.to_bits());
        let difference = |(index, (&x, &y)): (usize, (&f32, &f32))| Difference {
            index,
            bits: [x.to_bits(), y.to_bits()],
            ulps: metrics::ulps([x, y]),
        };
        let differing: Vec<Difference> = differs.map(difference).collect();
        let first = differing.first().copied();
        // Where no bit differs nothing lies apart, not even a NaN from itself.
        let distance = first.map(|_| Distance::between(theirs, ours));
        let peak = |d: &Distance| d.max_abs.and_then(|max| relative(max, theirs));
        Gap {
            first,
            max_ulps: differing.iter().map(|d| d.ulps).max().flatten(),
            ratio: (differing.len() > 1).then(|| ratio(theirs, ours)).flatten(),
            differing: differing.len(),
            nmse: distance.as_ref().map_or(Some(0.0), |d| d.nmse),
            peak: distance.as_ref().map_or(Some(0.0), peak),
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
    let names = ["plane", "row", "column"];
    if at.is_empty() || at.len() > names.len() {
        return format!("element {at:?}");
    }
    let names = &names[names.len() - at.len()..];
    let words = names.iter().zip(at);
    let words: Vec<String> = words.map(|(name, at)| format!("{name} {at}")).collect();
    words.join(", ")
}

/// A flat index as one index for each dimension, outermost first.
pub fn coordinates(shape: &[usize], mut index: usize) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (at, &size) in at.iter_mut().zip(shape).rev() {
        *at = index % size.max(1);
        index /= size.max(1);
    }
    at
}

/// The factor between two arrays, where it explains all but a millionth of what sets them apart.
fn ratio(theirs: &[f32], ours: &[f32]) -> Option<f64> {
    const LEFT: f64 = 1e-6;
    let sum = |term: fn(f64, f64) -> f64| -> f64 {
        let pairs = theirs.iter().zip(ours);
        pairs.map(|(&x, &y)| term(x.into(), y.into())).sum()
    };
    let factor = sum(|x, y| x * y) / sum(|x, _| x * x);
    let pairs = theirs.iter().zip(ours);
    let left: f64 = pairs
        .map(|(&x, &y)| (f64::from(y) - factor * f64::from(x)).powi(2))
        .sum();
    (left < LEFT * sum(|x, y| (y - x).powi(2))).then_some(factor)
}

/// `size` in units of the root mean square; none if there is none to divide by.
fn relative(size: f64, values: &[f32]) -> Option<f64> {
    let squares = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let rms = (squares / values.len().max(1) as f64).sqrt();
    match size {
        0.0 => Some(0.0),
        _ => (rms > 0.0).then(|| size / rms),
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
    fn a_factor_is_seen_where_it_explains_all() {
        let theirs = [1.0, -2.0, 0.0, 3.0];
        let gap = |ours: [f32; 4]| Gap::between(&theirs, &ours).ratio;
        let factor = gap(theirs.map(|v| v * 0.952381)).expect("one factor");
        assert!((factor - 0.952381).abs() < 1e-6, "{factor}");
        assert_eq!(gap([1.0, -2.0, 0.0, 2.9]), None, "one value is not all");
        assert_eq!(gap(theirs), None, "nothing differs");
        assert_eq!(
            gap([0.5, -1.0, 0.01, 1.5]),
            None,
            "nothing times 0.5 is 0.01"
        );
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
