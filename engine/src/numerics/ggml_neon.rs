//! The arithmetic of ggml built for aarch64: 4 lanes, and neighbours added first.
#![forbid(unsafe_code)]

use super::ggml_avx2::GgmlAvx2;
use super::lanes::Order;
use super::libm;
use crate::kernels::BlockOrder;

/// Lanes of a vector.
pub const LANES: usize = 4;

/// See the module.
pub struct GgmlNeon;

impl Order<LANES> for GgmlNeon {
    type Singles = Self;
    const F32_TILES_FROM: usize = 4;
    const BLOCKS: BlockOrder = BlockOrder::WholeBlocks;

    #[inline(always)]
    fn sum_dot(lanes: [f32; LANES]) -> f32 {
        add_neighbours(lanes)
    }

    #[inline(always)]
    fn sum_tile(lanes: [f32; LANES]) -> f32 {
        add_neighbours(lanes)
    }

    /// Operation by operation that of 8 lanes.
    #[inline(always)]
    fn exp(x: f32) -> f32 {
        GgmlAvx2::exp(x)
    }

    #[inline(always)]
    fn exp_rest(x: f32) -> f32 {
        libm::exp_aarch64(x)
    }
}

/// As the instruction that adds across a vector does it.
#[inline(always)]
pub(super) fn add_neighbours([v0, v1, v2, v3]: [f32; LANES]) -> f32 {
    (v0 + v1) + (v2 + v3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::dense::{self, Grid, Rows};
    use crate::numerics::half::round_bf16;
    use crate::numerics::lanes::silu;

    #[test]
    fn neighbours_meet_first() {
        // Small values survive beside 2²⁴ only where they meet each other first.
        for sum in [GgmlNeon::sum_dot, GgmlNeon::sum_tile] {
            assert_eq!(sum([16_777_216.0, 0.0, 1.0, 1.0]), 16_777_218.0);
            assert_eq!(sum([16_777_216.0, 1.0, 0.0, 1.0]), 16_777_216.0);
        }
    }

    #[test]
    fn what_fills_no_vector_uses_the_exponential_of_aarch64() {
        let x = f32::from_bits(0x4202_422f);
        assert_ne!(libm::exp_aarch64(x), libm::exp(x));
        let (mut here, mut on_x86) = ([-x], [-x]);
        silu::<LANES, GgmlNeon>(&mut here);
        silu::<8, GgmlAvx2>(&mut on_x86);
        assert_eq!(here, [-x / (1.0 + libm::exp_aarch64(x))]);
        assert_eq!(on_x86, [-x / (1.0 + libm::exp(x))]);
    }

    #[test]
    fn bf16_is_added_one_by_one_in_double() {
        // In single precision each one would be lost beside 2²⁴, in vectors four of them not.
        let mut a = [round_bf16(1.0); 33];
        a[0] = round_bf16(4096.0);
        assert_eq!(GgmlNeon::dot_bf16(&a, &a), 16_777_248.0);
        // 2⁶⁰ − 2⁶⁰ + 1 keeps the one only from left to right.
        let ends = [2f32.powi(30), -(2f32.powi(30)), 1.0].map(round_bf16);
        let others = [2f32.powi(30), 2f32.powi(30), 1.0].map(round_bf16);
        assert_eq!(GgmlNeon::dot_bf16(&ends, &others), 1.0);
    }

    #[test]
    fn f32_rows_become_tiles_from_four_tokens_on() {
        // A dot product adds vector 2 to vector 0 before vector 1 comes; a tile takes the vectors
        // in turn, so that only there 2²⁴ is gone before the one comes.
        let mut row = [0f32.to_le_bytes(); 32];
        row[0] = 16_777_216f32.to_le_bytes();
        row[4] = (-16_777_216f32).to_le_bytes();
        row[8] = 1f32.to_le_bytes();
        let (rows, xs) = (Rows::of_one(&row[..]), Rows::of_one(&[1.0; 32][..]));
        let of = |tokens| {
            let mut out = [0f32];
            let grid = Grid::of_one(&mut out);
            dense::dots_f32::<LANES, GgmlNeon>(rows, xs, 32, tokens, grid);
            out[0]
        };
        assert_eq!([1, 2, 3, 4, 512].map(of), [0.0, 0.0, 0.0, 1.0, 1.0]);
    }
}
