//! The likeliest tokens, exactly, without computing every logit: a coarse copy of the head says
//! which rows cannot be among them, with a proof, and only the others are computed.
//!
//! The copy has int8 and a scale a row; what rounding took from a row is kept as a length. For a
//! hidden state x and a row e with its copy ê, `|e·x − ê·x̂| ≤ ‖e − ê‖·‖x‖ + ‖ê‖·‖x − x̂‖`, and a
//! sum of n products in singles, in whatever order, is off by `n·2⁻²⁴·‖e‖·‖x‖` at most. A row whose
//! upper bound is below the lower bounds of k others is not among the first k.
#![forbid(unsafe_code)]

use std::cmp::Ordering;

use crate::Token;
use crate::encoding::float::Float;
use crate::kernels::Kernel;
use crate::matrix::{Dense, Matrix};
use crate::numerics::coarse::{LARGEST, copy, dots};
use crate::numerics::dense::Rows;
use crate::numerics::half::widen_f16;
use crate::pool::Pool;

use super::product::Multiplier;

/// Fewer rows are computed in less time than it takes to screen them.
const LEAST_ROWS: usize = 4096;
/// Rows that a thread screens at a time.
const AT_ONCE: usize = 64;
/// A bound that was computed in doubles and rounded to a single lies below it by less than this.
const UP: f64 = 1.0 + 1.0 / (1 << 20) as f64;

/// A coarse copy of a head of halves.
pub struct Screen {
    kernel: Kernel,
    cols: usize,
    /// Row after row.
    codes: Vec<i8>,
    rows: Vec<Row>,
}

/// What is known of a row.
#[derive(Clone, Copy, Default)]
struct Row {
    /// What a code stands for.
    scale: f32,
    /// At least the length of the row.
    length: f32,
    /// At least the length of what the copy lacks.
    lost: f32,
}

/// Tokens and their logits, the likeliest first; of equals the one with the lower number.
pub type Ranked = Vec<(Token, f32)>;

impl Screen {
    /// Of a head, if screening it can win and can be proved: halves, all of them numbers.
    pub fn of(head: &Matrix, kernel: Kernel, pool: &mut Pool) -> Option<Self> {
        let dense = match head {
            Matrix::Dense(dense) if dense.format == Float::F16 => dense,
            _ => return None,
        };
        let (count, cols) = (dense.shape.rows, dense.shape.cols);
        if count < LEAST_ROWS {
            return None;
        }
        let mut codes = Vec::new();
        codes.try_reserve_exact(count * cols).ok()?;
        codes.resize(count * cols, 0);
        let mut rows = vec![Row::default(); count];
        pool.over_two(&mut codes, cols, &mut rows, 1, |r, codes, row| {
            row[0] = Row::copy(dense, r, kernel, codes);
        });
        let sound = rows.iter().all(|row| row.scale.is_finite());
        sound.then_some(Screen {
            kernel,
            cols,
            codes,
            rows,
        })
    }

    /// The `k` likeliest tokens behind a hidden state; nothing where that cannot be proved with
    /// few rows, and everything has to be computed.
    pub fn likeliest(
        &self,
        head: &Matrix,
        hidden: &[f32],
        k: usize,
        multiplier: &mut Multiplier,
    ) -> Option<Ranked> {
        let Matrix::Dense(dense) = head else {
            return None;
        };
        let arithmetic = multiplier.arithmetic();
        let unrounded = arithmetic.unrounded(1, self.cols);
        if !unrounded && !arithmetic.adds_halves_in_singles() {
            return None;
        }
        let mut halves = vec![[0; 2]; self.cols];
        arithmetic.round_f16(hidden, &mut halves);
        let x: Vec<f64> = if unrounded {
            hidden.iter().map(|&x| f64::from(x)).collect()
        } else {
            halves.iter().map(|&h| f64::from(widen_f16(h))).collect()
        };
        let rounded = Rounded::of(&x)?;
        let pool = multiplier.pool_for(self.codes.len());
        let mut bounds = vec![[0.0; 2]; self.rows.len()];
        let parts = bounds.len().div_ceil(AT_ONCE);
        // Rows behind the last whole part make a part of their own.
        bounds.resize(parts * AT_ONCE, [f64::NEG_INFINITY; 2]);
        pool.over_parts(&mut bounds, AT_ONCE, |part, bounds| {
            let rows = &self.rows[part * AT_ONCE..];
            let rows = &rows[..rows.len().min(AT_ONCE)];
            let codes = &self.codes[part * AT_ONCE * self.cols..][..rows.len() * self.cols];
            let mut sums = [0; AT_ONCE];
            dots(self.kernel, codes, &rounded.codes, &mut sums[..rows.len()]);
            for ((bounds, row), sum) in bounds.iter_mut().zip(rows).zip(sums) {
                *bounds = rounded.bounds(row, sum, self.cols);
            }
        });
        bounds.truncate(self.rows.len());
        let floor = kth_largest(bounds.iter().map(|bounds| bounds[0]), k)?;
        let left = (0..bounds.len()).filter(|&r| bounds[r][1] >= floor);
        let left: Vec<usize> = left.collect();
        if left.len() > k + self.rows.len() / 8 {
            return None;
        }
        let mut ranked: Ranked = Vec::with_capacity(left.len());
        for r in left {
            let mut logit = [0.0];
            let row = Rows::of_one(dense.row(r).as_chunks::<2>().0);
            if unrounded {
                arithmetic.tile_f16(row, hidden, &mut logit);
            } else {
                arithmetic.dot_f16(row, &halves, 1, &mut logit);
            }
            ranked.push((r as Token, logit[0]));
        }
        first(&mut ranked, k);
        Some(ranked)
    }
}

/// The order of tokens, the likelier first and of equals the one with the lower number, which is
/// the order of [`greedy`](crate::sampler::greedy). Logits are numbers.
pub fn likelier(one: (Token, f32), other: (Token, f32)) -> Ordering {
    let by_logit = other.1.partial_cmp(&one.1).unwrap_or(Ordering::Equal);
    by_logit.then(one.0.cmp(&other.0))
}

/// The first `k` of all logits.
pub fn of_all(logits: &[f32], k: usize) -> Ranked {
    let mut ranked: Ranked = (0..).zip(logits.iter().copied()).collect();
    first(&mut ranked, k);
    ranked
}

/// Keeps the first `k`, in order.
fn first(ranked: &mut Ranked, k: usize) {
    let order = |a: &(Token, f32), b: &(Token, f32)| likelier(*a, *b);
    if (1..ranked.len()).contains(&k) {
        ranked.select_nth_unstable_by(k - 1, order);
    }
    ranked.truncate(k);
    ranked.sort_unstable_by(order);
}

impl Row {
    fn copy(dense: &Dense, r: usize, kernel: Kernel, codes: &mut [i8]) -> Self {
        let mut values = vec![0.0; codes.len()];
        let coarse = copy(kernel, dense.row(r).as_chunks::<2>().0, &mut values, codes);
        Row {
            scale: coarse.scale,
            length: (coarse.squares.sqrt() * UP) as f32,
            lost: (coarse.lost.sqrt() * UP) as f32,
        }
    }
}

/// A hidden state in int16, and what that took from it.
struct Rounded {
    codes: Vec<i16>,
    scale: f64,
    length: f64,
    lost: f64,
}

impl Rounded {
    /// None of what has no finite length, or so large a one that a logit may not be finite.
    fn of(x: &[f64]) -> Option<Self> {
        let length = |values: &mut dyn Iterator<Item = f64>| {
            values.map(|value| value * value).sum::<f64>().sqrt() * UP
        };
        let whole = length(&mut x.iter().copied());
        if whole.is_nan() || whole > 1e30 {
            return None;
        }
        let largest = x.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let scale = largest / f64::from(LARGEST);
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let most = f64::from(LARGEST);
        let code = |&value: &f64| (value * inverse).round().clamp(-most, most) as i16;
        let codes: Vec<i16> = x.iter().map(code).collect();
        let rests = x.iter().zip(&codes);
        let mut rests = rests.map(|(x, &code)| x - scale * f64::from(code));
        Some(Rounded {
            lost: length(&mut rests),
            length: whole,
            codes,
            scale,
        })
    }

    /// Between which numbers the logit of a row lies as it would be computed.
    fn bounds(&self, row: &Row, sum: i64, cols: usize) -> [f64; 2] {
        let near = f64::from(row.scale) * self.scale * sum as f64;
        let (length, lost) = (f64::from(row.length), f64::from(row.lost));
        let copied = lost * self.length + (length + lost) * self.lost;
        // Twice the number of roundings: of every product, and of every sum.
        let rounded = 2.0 * (cols + 64) as f64 / f64::from(1 << 24) * length * self.length;
        // Products and sums that are too small to be rounded by a share of themselves.
        let small = (2 * cols) as f64 * f64::from(f32::MIN_POSITIVE);
        let apart = (copied + rounded + small) * UP + near.abs() / f64::from(1 << 30);
        [near - apart, near + apart]
    }
}

/// The `k`th of some numbers from the top; none if there are fewer.
fn kth_largest(values: impl Iterator<Item = f64>, k: usize) -> Option<f64> {
    if k == 1 {
        return values.reduce(f64::max);
    }
    let mut values: Vec<f64> = values.collect();
    let place = k.checked_sub(1).filter(|&place| place < values.len())?;
    let (_, value, _) = values.select_nth_unstable_by(place, |a, b| b.total_cmp(a));
    Some(*value)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::bytes::ModelBytes;
    use crate::flavor::Shape;
    use crate::numerics::half::round_f16;
    use crate::numerics::{Profile, arithmetic};

    const COLS: usize = 96;

    struct Dice(u64);

    impl Dice {
        /// Between -1 and 1, with large ones now and then.
        fn value(&mut self) -> f32 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let unit = (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0;
            if self.0 >> 32 & 63 == 0 {
                9.0 * unit
            } else {
                unit
            }
        }
    }

    /// A head in which some rows are equal, some nearly so and one is zero.
    fn head(rows: usize) -> Matrix {
        let mut dice = Dice(5);
        let mut bytes: Vec<u8> = Vec::new();
        for r in 0..rows {
            let start = bytes.len();
            match r % 100 {
                7 => bytes.extend_from_within(start - 14 * COLS..start - 12 * COLS),
                8 => {
                    bytes.extend_from_within(start - 2 * COLS..start);
                    bytes[start] ^= 1;
                }
                9 => bytes.extend([0; 2 * COLS]),
                _ => bytes.extend((0..COLS).flat_map(|_| round_f16(dice.value()))),
            }
        }
        let length = bytes.len() as u64;
        let bytes = ModelBytes::from_vec(bytes).range(0..length);
        Matrix::Dense(Dense {
            shape: Shape { rows, cols: COLS },
            format: Float::F16,
            bytes: bytes.expect("all of it"),
        })
    }

    fn hidden(seed: u64) -> Vec<f32> {
        let mut dice = Dice(seed);
        (0..COLS).map(|_| 3.0 * dice.value()).collect()
    }

    fn multiplier(profile: Profile, kernel: Kernel) -> Multiplier {
        let threads = NonZeroUsize::new(2).expect("not zero");
        Multiplier::new(arithmetic(profile, kernel), threads)
    }

    #[test]
    fn the_likeliest_are_those_of_all_logits_bit_for_bit() {
        let head = head(LEAST_ROWS + 37);
        for kernel in Kernel::available() {
            for profile in Profile::ALL {
                let mut multiplier = multiplier(profile, kernel);
                let screen = Screen::of(&head, kernel, multiplier.pool_for(usize::MAX));
                let screen = screen.expect("halves");
                for seed in 0..20 {
                    let mut x = hidden(seed);
                    if seed == 19 {
                        x.fill(0.0);
                    }
                    let mut logits = vec![0.0; head.rows()];
                    multiplier.multiply(&head, &x, &mut logits);
                    for k in [1, 5, 40] {
                        let found = screen.likeliest(&head, &x, k, &mut multiplier);
                        let proved = profile != Profile::GgmlNeonFp16 && seed != 19;
                        assert_eq!(found.is_some(), proved, "{} {seed} {k}", profile.name());
                        let Some(found) = found else { continue };
                        let bits = |all: &Ranked| -> Vec<_> {
                            all.iter().map(|(t, logit)| (*t, logit.to_bits())).collect()
                        };
                        assert_eq!(bits(&found), bits(&of_all(&logits, k)));
                    }
                }
            }
        }
    }

    #[test]
    fn every_logit_lies_in_its_bounds_and_a_bound_half_as_wide_would_not_hold_it() {
        let (head, kernel) = (head(LEAST_ROWS), Kernel::best());
        let mut multiplier = multiplier(Profile::GgmlAvx512, kernel);
        let screen = Screen::of(&head, kernel, multiplier.pool_for(usize::MAX)).expect("halves");
        let mut narrowest = f64::INFINITY;
        for seed in 0..20 {
            let x = hidden(seed);
            let mut logits = vec![0.0; head.rows()];
            multiplier.multiply(&head, &x, &mut logits);
            let x = x.iter().map(|&x| f64::from(widen_f16(round_f16(x))));
            let rounded = Rounded::of(&x.collect::<Vec<_>>()).expect("finite");
            for (r, row) in screen.rows.iter().enumerate() {
                let mut sum = [0];
                let codes = &screen.codes[r * COLS..(r + 1) * COLS];
                dots(kernel, codes, &rounded.codes, &mut sum);
                let [low, high] = rounded.bounds(row, sum[0], COLS);
                let logit = f64::from(logits[r]);
                assert!(low <= logit && logit <= high, "{low} {logit} {high}");
                if high > low {
                    let off = (logit - (low + high) / 2.0).abs();
                    narrowest = narrowest.min((high - low) / 2.0 / off.max(1e-300));
                }
            }
        }
        assert!(
            narrowest < 4.0,
            "the bounds are {narrowest} times as wide as they must be"
        );
    }

    #[test]
    fn what_cannot_be_screened_is_not() {
        let pool = &mut Pool::new(NonZeroUsize::MIN);
        assert!(Screen::of(&head(LEAST_ROWS - 1), Kernel::Scalar, pool).is_none());
        let Matrix::Dense(mut dense) = head(LEAST_ROWS) else {
            panic!("dense")
        };
        let mut bytes = dense.bytes.to_vec();
        bytes[2 * COLS * 4000..][..2].copy_from_slice(&round_f16(f32::NAN));
        let length = bytes.len() as u64;
        dense.bytes = ModelBytes::from_vec(bytes).range(0..length).expect("all");
        assert!(Screen::of(&Matrix::Dense(dense), Kernel::Scalar, pool).is_none());
        assert!(Rounded::of(&[f64::NAN]).is_none() && Rounded::of(&[1e31]).is_none());
    }
}
