//! The lane code all profiles share: what differs between them is the number of lanes, two
//! reduction trees, the exponential and when a product is a tile, gathered in [`Order`].
//!
//! Plain arrays and `mul_add`: the bits are the same wherever it runs, the speed depends on what
//! the compiler may use there (see `instances`).
#![forbid(unsafe_code)]

use super::elementwise::round_row_bf16;
use super::half::{Half, widen_bf16, widen_f16};
use super::libm;
use crate::kernels::BlockOrder;

/// What makes one profile different from another, for `L` lanes.
pub trait Order<const L: usize>: Sized + Sync + 'static {
    /// Whose products of f32 rows these are: its own, unless all of them are another profile's.
    type Singles: Order<L>;
    /// Fewest tokens whose products with f16 rows are tiles of unrounded activations.
    const F16_TILES_FROM: usize = 2;
    /// Whether products of halves are added up in singles, as [`dot_f16`](Self::dot_f16) does
    /// unless a profile says otherwise.
    const F16_IN_SINGLES: bool = true;
    /// Fewest tokens whose products with f32 rows are tiles.
    const F32_TILES_FROM: usize = 2;
    /// How products of block-quantised rows are added up.
    const BLOCKS: BlockOrder = BlockOrder::EightLanes;
    /// Adds up the lanes of a dot product.
    fn sum_dot(lanes: [f32; L]) -> f32;
    /// Adds up the lanes of a product tile and of a softmax.
    fn sum_tile(lanes: [f32; L]) -> f32;
    /// e^x as one lane computes it.
    fn exp(x: f32) -> f32;
    /// e^x as the C library beside that profile computes it, for what fills no vector.
    #[inline(always)]
    fn exp_rest(x: f32) -> f32 {
        libm::exp(x)
    }
    /// Running sums of a bfloat16 product, which multiplies and adds separately; none where all is
    /// added one by one in double precision.
    const BF16_SUMS: usize = 0;
    /// Whether the instruction that adds two bfloat16 products to a lane is what computes them.
    const BF16_PAIRS: bool = false;
    /// Adds up the running sums of a bfloat16 product.
    #[inline(always)]
    fn sum_bf16(_sums: &[f32]) -> f64 {
        0.0
    }
    /// Dot product of two bfloat16 rows.
    #[inline(always)]
    fn dot_bf16(a: &[Half], b: &[Half]) -> f32 {
        dot_bf16::<L, Self>(a, b)
    }
    /// Rounds a row of activations to bfloat16.
    #[inline(always)]
    fn round_bf16(row: &[f32], out: &mut [Half]) {
        round_row_bf16(row, out);
    }
    /// Dot product of an f16 row with the f16 activations of one of so many tokens.
    #[inline(always)]
    fn dot_f16(a: &[Half], b: &[Half], _tokens: usize) -> f32 {
        dot_f16::<L, Self>(a, b)
    }
}

/// Four vectors of accumulators over as many whole steps as fit, reduced to one vector; also how
/// many elements that were.
#[inline(always)]
fn accumulate<const L: usize, A: Copy, B: Copy>(
    a: &[A],
    b: &[B],
    widen_a: impl Fn(A) -> f32,
    widen_b: impl Fn(B) -> f32,
) -> ([f32; L], usize) {
    let step = 4 * L;
    let mut sums = [[0f32; L]; 4];
    let mut taken = 0;
    for (a, b) in a.chunks_exact(step).zip(b.chunks_exact(step)) {
        for (j, sum) in sums.iter_mut().enumerate() {
            for (l, sum) in sum.iter_mut().enumerate() {
                *sum = widen_a(a[j * L + l]).mul_add(widen_b(b[j * L + l]), *sum);
            }
        }
        taken += step;
    }
    let [mut s0, mut s1, s2, s3] = sums;
    for l in 0..L {
        s0[l] += s2[l];
        s1[l] += s3[l];
        s0[l] += s1[l];
    }
    (s0, taken)
}

/// Dot product of two f16 rows. What does not fill a step of `4 · L` is added one by one in
/// double precision, each product rounded to `f32` first.
#[inline(always)]
pub fn dot_f16<const L: usize, O: Order<L>>(a: &[Half], b: &[Half]) -> f32 {
    let (lanes, taken) = accumulate::<L, _, _>(a, b, widen_f16, widen_f16);
    let mut sum = f64::from(O::sum_dot(lanes));
    for (&a, &b) in a[taken..].iter().zip(&b[taken..]) {
        sum += f64::from(widen_f16(a) * widen_f16(b));
    }
    sum as f32
}

/// Dot product of two f32 rows. What does not fill a step is fused in one by one.
#[inline(always)]
pub fn dot_f32<const L: usize, O: Order<L>>(a: &[[u8; 4]], b: &[f32]) -> f32 {
    let (lanes, taken) = accumulate::<L, _, _>(a, b, f32::from_le_bytes, |b| b);
    let mut sum = O::sum_dot(lanes);
    for (&a, &b) in a[taken..].iter().zip(&b[taken..]) {
        sum = f32::from_le_bytes(a).mul_add(b, sum);
    }
    sum
}

/// One element of a product tile: a single vector of accumulators. Rows must be whole vectors.
#[inline(always)]
pub fn tile<const L: usize, O: Order<L>, A: Copy>(
    a: &[A],
    b: &[f32],
    widen: impl Fn(A) -> f32,
) -> f32 {
    debug_assert!(a.len().is_multiple_of(L), "a tile takes whole vectors");
    let mut sums = [0f32; L];
    for (a, b) in a.chunks_exact(L).zip(b.chunks_exact(L)) {
        for (l, sum) in sums.iter_mut().enumerate() {
            *sum = widen(a[l]).mul_add(b[l], *sum);
        }
    }
    O::sum_tile(sums)
}

/// The most running sums of a bfloat16 product.
const MOST_BF16_SUMS: usize = 32;

/// Dot product of two bfloat16 rows, multiplied and added separately.
#[inline(always)]
pub fn dot_bf16<const L: usize, O: Order<L>>(a: &[Half], b: &[Half]) -> f32 {
    let mut sums = [0f32; MOST_BF16_SUMS];
    let mut taken = 0;
    if let step @ 1.. = O::BF16_SUMS {
        for (a, b) in a.chunks_exact(step).zip(b.chunks_exact(step)) {
            for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += widen_bf16(a) * widen_bf16(b);
            }
            taken += step;
        }
    }
    finish_bf16(O::sum_bf16(&sums), &a[taken..], &b[taken..])
}

/// Adds what did not fill a step to a bfloat16 dot product, in double precision.
#[inline(always)]
pub fn finish_bf16(mut sum: f64, a: &[Half], b: &[Half]) -> f32 {
    for (&a, &b) in a.iter().zip(b) {
        sum += f64::from(widen_bf16(a) * widen_bf16(b));
    }
    sum as f32
}

/// Rounds a row of activations to bfloat16.
#[inline(always)]
pub fn round_bf16<const L: usize, O: Order<L>>(row: &[f32], out: &mut [Half]) {
    O::round_bf16(row, out);
}

/// Softmax of `scale · row`, where only the first `visible` elements take part; the others
/// become zero. Whole vectors use the profile's exponential and are summed within the vector
/// first; the rest uses the C library's.
#[inline(always)]
pub fn softmax<const L: usize, O: Order<L>>(row: &mut [f32], scale: f32, visible: usize) {
    let (seen, masked) = row.split_at_mut(visible);
    for x in seen.iter_mut() {
        *x *= scale;
    }
    let max = largest(seen);
    masked.fill(f32::NEG_INFINITY);

    let mut sum = 0f64;
    let (vectors, rest) = row.as_chunks_mut::<L>();
    for vector in vectors {
        for x in vector.iter_mut() {
            *x = O::exp(*x - max);
        }
        sum += f64::from(O::sum_tile(*vector));
    }
    for x in rest {
        *x = O::exp_rest(*x - max);
        sum += f64::from(*x);
    }
    let normalise = (1.0 / sum) as f32;
    for x in row {
        *x *= normalise;
    }
}

/// The largest value. Without a NaN the order matters for the sign of a zero alone, which no
/// difference to it is without: e^±0 is 1. Where there is one, it takes over and is taken over
/// from the first value to the last.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    const LANES: usize = 32;
    let larger = |max: f32, x: f32| if max > x { max } else { x };
    let (vectors, rest) = row.as_chunks::<LANES>();
    let (mut lanes, mut nans) = ([f32::NEG_INFINITY; LANES], [0u32; LANES]);
    for vector in vectors {
        for (l, &x) in vector.iter().enumerate() {
            lanes[l] = larger(lanes[l], x);
            nans[l] |= u32::from(x.is_nan());
        }
    }
    let all = lanes.iter().chain(rest).copied();
    if nans == [0; LANES] {
        all.fold(f32::NEG_INFINITY, larger)
    } else {
        row.iter().copied().fold(f32::NEG_INFINITY, larger)
    }
}

/// x / (1 + e^−x), in place.
#[inline(always)]
pub fn silu<const L: usize, O: Order<L>>(row: &mut [f32]) {
    let (vectors, rest) = row.as_chunks_mut::<L>();
    for vector in vectors {
        for x in vector {
            *x /= 1.0 + O::exp(0.0 - *x);
        }
    }
    for x in rest {
        *x /= 1.0 + O::exp_rest(-*x);
    }
}

/// The tree both x86 profiles use in places: the upper half onto the lower until one is left.
#[inline(always)]
pub fn halve<const L: usize>(mut lanes: [f32; L]) -> f32 {
    let mut width = L / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::ggml_avx512::{GgmlAvx512, LANES};
    use crate::numerics::half::{round_bf16, round_f16};

    /// (1 + 2⁻¹²)² = 1 + 2⁻¹¹ + 2⁻²⁴, whose last bit only a fused product keeps.
    const NEARLY: f32 = 1.0 + 1.0 / 4096.0;
    const SQUARE: f32 = 1.0 + 2.0 / 4096.0;
    const LAST_BIT: f32 = 1.0 / 16_777_216.0;

    fn bytes(values: &[f32]) -> Vec<[u8; 4]> {
        values.iter().map(|x| x.to_le_bytes()).collect()
    }

    fn halves(values: &[f32]) -> Vec<Half> {
        values.iter().map(|&x| round_f16(x)).collect()
    }

    #[test]
    fn the_chosen_inputs_tell_fused_from_rounded() {
        assert_eq!(NEARLY.mul_add(NEARLY, -SQUARE), LAST_BIT);
        assert_eq!(NEARLY * NEARLY - SQUARE, 0.0);
    }

    #[test]
    fn leftovers_of_f16_are_added_in_double() {
        let (a, b) = (
            halves(&[4096.0, 1.0, -4096.0]),
            halves(&[4096.0, 1.0, 4096.0]),
        );
        assert_eq!(dot_f16::<LANES, GgmlAvx512>(&a, &b), 1.0);
        // In single precision the one is lost beside 2²⁴.
        assert_eq!((16_777_216f32 + 1.0) - 16_777_216.0, 0.0);
    }

    #[test]
    fn leftovers_of_f32_are_fused_in_single() {
        let sum = dot_f32::<LANES, GgmlAvx512>(&bytes(&[-SQUARE, NEARLY]), &[1.0, NEARLY]);
        assert_eq!(sum, LAST_BIT);
        let sum =
            dot_f32::<LANES, GgmlAvx512>(&bytes(&[4096.0, 1.0, -4096.0]), &[4096.0, 1.0, 4096.0]);
        assert_eq!(sum, 0.0);
    }

    #[test]
    fn four_accumulators_meet_two_apart_first() {
        // Vector 0 holds 2²⁴, vectors 1 and 3 a one each: they survive because they meet.
        let mut a = [0f32; 4 * LANES];
        (a[0], a[LANES], a[3 * LANES]) = (16_777_216.0, 1.0, 1.0);
        let sum = dot_f32::<LANES, GgmlAvx512>(&bytes(&a), &[1.0; 4 * LANES]);
        assert_eq!(sum, 16_777_218.0);
        (a[LANES], a[2 * LANES]) = (0.0, 1.0);
        let sum = dot_f32::<LANES, GgmlAvx512>(&bytes(&a), &[1.0; 4 * LANES]);
        assert_eq!(sum, 16_777_216.0);
    }

    #[test]
    fn a_tile_accumulates_fused_in_one_vector() {
        let (mut a, mut b) = ([0f32; 2 * LANES], [0f32; 2 * LANES]);
        (a[3], b[3]) = (-SQUARE, 1.0);
        (a[LANES + 3], b[LANES + 3]) = (NEARLY, NEARLY);
        let sum = tile::<LANES, GgmlAvx512, _>(&a, &b, |a| a);
        assert_eq!(sum, LAST_BIT);
    }

    #[test]
    fn bf16_vectors_and_leftovers_meet_in_double() {
        let mut a = [round_bf16(0.0); 33];
        (a[0], a[16], a[32]) = (round_bf16(4096.0), round_bf16(1.0), round_bf16(1.0));
        // In single precision each one would be lost beside 2²⁴.
        assert_eq!(GgmlAvx512::dot_bf16(&a, &a), 16_777_218.0);
    }

    #[test]
    fn softmax_shares_among_the_visible() {
        let mut row = [7.0f32; 35];
        row[34] = f32::NAN;
        softmax::<LANES, GgmlAvx512>(&mut row, 0.5, 34);
        assert_eq!(row[..34], [1.0 / 34.0; 34]);
        assert_eq!(row[34], 0.0, "masked, whatever it was");
    }

    #[test]
    fn the_largest_is_that_from_the_first_to_the_last_wherever_a_nan_is() {
        for at in [0, 3, 31, 32, 63, 64, 69] {
            let mut row = [0.5f32; 70];
            (row[2], row[40], row[at]) = (4.0, 2.0, f32::NAN);
            let serial = |max: f32, &x: &f32| if max > x { max } else { x };
            let serial = row.iter().fold(f32::NEG_INFINITY, serial);
            assert_eq!(largest(&row).to_bits(), serial.to_bits(), "at {at}");
        }
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
        assert_eq!(largest(&[-3.0; 33]), -3.0);
    }

    #[test]
    fn silu_by_hand() {
        let mut row = [0f32; 18];
        (row[0], row[17]) = (100.0, 100.0);
        silu::<LANES, GgmlAvx512>(&mut row);
        assert_eq!((row[0], row[1], row[16], row[17]), (100.0, 0.0, 0.0, 100.0));
    }
}
