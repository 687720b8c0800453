//! What happened to the values of one tensor, told from one walk over both matrices.

use std::hash::{DefaultHasher, Hash, Hasher};

use engine::matrix::Matrix;

use super::Change;
use crate::numbers::metrics::{Distances, same_bits};

/// How far a factor may be off from value to value: what rounding to halves leaves.
const SAME_FACTOR: f64 = 1e-3;

/// What a tensor that differs holds in each file.
pub struct Content {
    /// Its name.
    pub name: String,
    /// A hash of its shape and values, in the first file and in the second.
    pub hashes: [u64; 2],
}

/// What sets the values apart; nothing if all their bits are the same. Both have one shape.
pub fn compare(name: &str, matrices: [&Matrix; 2], contents: &mut Vec<Content>) -> Option<Change> {
    let shape = matrices[0].shape();
    let mut walk = Walk::default();
    let mut rows = [vec![0.0; shape.cols], vec![0.0; shape.cols]];
    for at in 0..shape.rows {
        for (matrix, row) in matrices.iter().zip(&mut rows) {
            matrix.decode_row(at, row);
        }
        walk.row(at, &rows);
    }
    let first = walk.first?;
    let hash = |rows: &[u64]| {
        let mut hasher = DefaultHasher::new();
        (shape.rows, shape.cols, rows).hash(&mut hasher);
        hasher.finish()
    };
    contents.push(Content {
        name: name.to_owned(),
        hashes: walk.hashes.each_ref().map(|rows| hash(rows)),
    });
    Some(walk.change(first))
}

/// What was seen so far.
#[derive(Default)]
struct Walk {
    distances: Distances,
    first: Option<([usize; 2], [f32; 2])>,
    differing: usize,
    /// A hash for each row of both.
    hashes: [Vec<u64>; 2],
    negated: usize,
    signed: usize,
    other_magnitudes: bool,
    /// The least and the largest quotient of two values, and whether one has none.
    factors: Option<[f64; 2]>,
    no_factor: bool,
}

impl Walk {
    fn row(&mut self, at: usize, rows: &[Vec<f32>; 2]) {
        let [one, other] = rows;
        self.distances.add(one, other);
        for (hashes, row) in self.hashes.iter_mut().zip(rows) {
            let mut hasher = DefaultHasher::new();
            row.iter()
                .for_each(|value| value.to_bits().hash(&mut hasher));
            hashes.push(hasher.finish());
        }
        if !same_bits(one, other) {
            self.differing += 1;
        }
        for (column, (&x, &y)) in one.iter().zip(other).enumerate() {
            if self.first.is_none() && x.to_bits() != y.to_bits() {
                self.first = Some(([at, column], [x, y]));
            }
            self.pair(x, y);
        }
    }

    fn pair(&mut self, x: f32, y: f32) {
        self.negated += usize::from(x == -y && x.to_bits() != y.to_bits());
        if x == 0.0 && y == 0.0 {
            return;
        }
        self.signed += 1;
        self.other_magnitudes |= x.abs() != y.abs();
        let factor = f64::from(y) / f64::from(x);
        if factor.is_finite() && factor != 0.0 {
            let [least, most] = self.factors.unwrap_or([factor; 2]);
            self.factors = Some([least.min(factor), most.max(factor)]);
        } else {
            self.no_factor = true;
        }
    }

    fn change(self, (at, values): ([usize; 2], [f32; 2])) -> Change {
        let [one, other] = &self.hashes;
        let sorted = |rows: &Vec<u64>| {
            let mut rows = rows.clone();
            rows.sort_unstable();
            rows
        };
        if sorted(one) == sorted(other) {
            let moved = one.iter().zip(other).filter(|(one, other)| one != other);
            let (moved, rows) = (moved.count(), one.len());
            return Change::RowsMoved { moved, rows };
        }
        if !self.other_magnitudes {
            let (negated, signed) = (self.negated, self.signed);
            return Change::Negated { negated, signed };
        }
        if let Some([least, most]) = self.factors.filter(|_| !self.no_factor)
            && (most - least).abs() <= SAME_FACTOR * most.abs()
        {
            let factor = f64::midpoint(least, most);
            return Change::Scaled { factor };
        }
        Change::Changed {
            rows: self.differing,
            at,
            values,
            distance: self.distances.total(),
        }
    }
}
