//! A random vector for one matrix, and what the matrix makes of it: with both a whole product is
//! checked by two sums, without computing it again.

use engine::flavor::Shape;
use engine::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use engine::kernels::gemm::Stored;

use crate::numbers::residue::Residue;
use crate::numbers::split_mix::SplitMix64;

/// So many residues can be added to a reduced one before the sum must be reduced.
const ADDED: usize = 7;

/// A vector v of random residues, one a row of a matrix W, and v·W.
pub struct Challenge<const BITS: u32> {
    rows: Vec<Residue<BITS>>,
    columns: Vec<Residue<BITS>>,
}

impl<const BITS: u32> Challenge<BITS> {
    /// For ternary rows as all kernels of I2_S read them.
    pub fn new(weights: &Stored, dice: &mut SplitMix64) -> Self {
        let Shape { rows, cols } = weights.shape;
        let padded = cols.next_multiple_of(BLOCK);
        let v: Vec<Residue<BITS>> = (0..rows).map(|_| Residue::draw(dice)).collect();
        let mut sums = vec![0; padded];
        let stored = weights.bytes.chunks_exact(padded / 4);
        for (row, (codes, &v)) in stored.zip(&v).enumerate() {
            add(codes, v, &mut sums);
            if row % ADDED == ADDED - 1 {
                let reduced = |sum: &mut u64| *sum = Residue::<BITS>::reduce(*sum).number();
                sums.iter_mut().for_each(reduced);
            }
        }
        // A code is one more than its weight.
        let surplus: Residue<BITS> = v.iter().copied().sum();
        let surplus = Residue::of(-(surplus.number() as i64));
        let columns = sums.iter().map(|&sum| Residue::reduce(sum) + surplus);
        Challenge {
            columns: columns.collect(),
            rows: v,
        }
    }

    /// Whether v·y = (v·W)·x. Where y = W·x it is; where it is not, the two agree with a
    /// probability of one in the prime.
    pub fn holds(&self, x: &[i8], y: &[i32]) -> bool {
        let x = x.iter().map(|&code| Residue::of(code.into()));
        let y = y.iter().map(|&sum| Residue::of(sum.into()));
        let left: Residue<BITS> = self.rows.iter().zip(y).map(|(&v, y)| v * y).sum();
        let right: Residue<BITS> = self.columns.iter().zip(x).map(|(&c, x)| c * x).sum();
        left == right
    }
}

/// Adds `v` as many times to the sum of every column as the row's code there says.
fn add<const BITS: u32>(codes: &[u8], v: Residue<BITS>, sums: &mut [u64]) {
    let times = [0, 1, 2, 3].map(|code| (Residue::of(code) * v).number());
    let blocks = codes.as_chunks::<BLOCK_BYTES>().0;
    for (bytes, sums) in blocks.iter().zip(sums.as_chunks_mut::<BLOCK>().0) {
        for (at, byte) in bytes.iter().enumerate() {
            for (quarter, shift) in [6, 4, 2, 0].into_iter().enumerate() {
                sums[quarter * BLOCK_BYTES + at] += times[usize::from(byte >> shift & 3)];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::flavor::{i2_s, i2_s_p128};

    use super::*;

    const SHAPE: Shape = Shape {
        rows: 37,
        cols: 256,
    };

    /// A matrix, its codes, activations and their product.
    fn product() -> (Stored, Vec<i8>, Vec<i32>) {
        let mut dice = SplitMix64(3);
        let codes: Vec<u8> = (0..SHAPE.rows * SHAPE.cols)
            .map(|_| dice.below(3) as u8)
            .collect();
        let x: Vec<i8> = (0..SHAPE.cols).map(|_| dice.bits() as i8).collect();
        let sum = |row: &[u8]| {
            let terms = row.iter().zip(&x);
            terms
                .map(|(&w, &x)| (i32::from(w) - 1) * i32::from(x))
                .sum()
        };
        let y = codes.chunks_exact(SHAPE.cols).map(sum).collect();
        let bytes = i2_s::encode_codes(&codes, 1.0, SHAPE, i2_s_p128::width);
        (Stored::from_vec(SHAPE, bytes, vec![1.0]), x, y)
    }

    /// How many of `trials` wrong products pass, each with a vector of its own.
    fn missed<const BITS: u32>(trials: u64) -> usize {
        let (weights, x, y) = product();
        let passes = |seed: &u64| {
            let mut dice = SplitMix64(*seed);
            let challenge = Challenge::<BITS>::new(&weights, &mut dice);
            assert!(challenge.holds(&x, &y), "the right product");
            let mut wrong = y.clone();
            for _ in 0..=dice.below(3) {
                wrong[dice.below(SHAPE.rows)] += 1 + dice.below(3) as i32;
            }
            challenge.holds(&x, &wrong)
        };
        (0..trials).filter(passes).count()
    }

    #[test]
    fn wrong_products_pass_as_rarely_as_the_prime_says() {
        // One in 7 and one in 127, four standard deviations to each side.
        let few = missed::<3>(2800);
        assert!((326..=474).contains(&few), "{few} of 2800");
        let fewer = missed::<7>(6350);
        assert!((22..=78).contains(&fewer), "{fewer} of 6350");
        assert_eq!(missed::<61>(2000), 0);
    }
}
