//! The arithmetic of ggml built for AVX-512 with the BF16 extension, which differs from
//! `ggml_avx512` in the products of bfloat16 rows alone.
//!
//! The extension's instruction adds two products to a lane, the odd element's first. Each is
//! fused, rounds to nearest even and treats subnormal inputs and results as zero, whatever the
//! processor is set to. Compared with the instruction itself on 6.4 million lanes of all sizes,
//! subnormals included: no bit differs. The one that rounds a vector of 32 activations treats
//! subnormals as zeros, too; activations that fill no vector are rounded one by one and keep them.
#![forbid(unsafe_code)]

use super::ggml_avx512::{GgmlAvx512, LANES};
use super::half::{Half, round_bf16, widen_bf16};
use super::lanes::{Order, finish_bf16, halve};

/// See the module.
pub struct GgmlAvx512Bf16;

/// Elements a step takes: two vectors of pairs.
const STEP: usize = 4 * LANES;

impl Order<LANES> for GgmlAvx512Bf16 {
    type Singles = GgmlAvx512;
    const BF16_PAIRS: bool = true;

    #[inline(always)]
    fn sum_dot(lanes: [f32; LANES]) -> f32 {
        GgmlAvx512::sum_dot(lanes)
    }

    #[inline(always)]
    fn sum_tile(lanes: [f32; LANES]) -> f32 {
        GgmlAvx512::sum_tile(lanes)
    }

    #[inline(always)]
    fn exp(x: f32) -> f32 {
        GgmlAvx512::exp(x)
    }

    #[inline(always)]
    fn round_bf16(row: &[f32], out: &mut [Half]) {
        let whole = row.len() / (2 * LANES) * (2 * LANES);
        for (i, (out, &x)) in out.iter_mut().zip(row).enumerate() {
            *out = round_bf16(if i < whole { flush(x) } else { x });
        }
    }

    #[inline(always)]
    fn dot_bf16(a: &[Half], b: &[Half]) -> f32 {
        let (a_steps, a_rest) = a.as_chunks::<STEP>();
        let (b_steps, b_rest) = b.as_chunks::<STEP>();
        let mut sums = [[0f32; LANES]; 2];
        for (a, b) in a_steps.iter().zip(b_steps) {
            for (v, sums) in sums.iter_mut().enumerate() {
                for (l, sum) in sums.iter_mut().enumerate() {
                    let even = v * 2 * LANES + 2 * l;
                    for at in [even + 1, even] {
                        *sum = fuse(widen_bf16(a[at]), widen_bf16(b[at]), *sum);
                    }
                }
            }
        }
        let sum = f64::from(halve(sums[0])) + f64::from(halve(sums[1]));
        finish_bf16(sum, a_rest, b_rest)
    }
}

/// a · b + c with subnormals as zeros. `c` comes from here, so it is none.
#[inline(always)]
fn fuse(a: f32, b: f32, c: f32) -> f32 {
    flush(flush(a).mul_add(flush(b), c))
}

#[inline(always)]
fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE {
        x * 0.0
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odd_element_comes_first() {
        // 2²⁴ + 1 − 2²⁴ in one lane: the one survives if the large ones meet first.
        let row = |values: [f32; 4]| -> Vec<Half> {
            let padded = values.into_iter().chain([0.0; 60]);
            padded.map(round_bf16).collect()
        };
        let b = row([4096.0, 4096.0, 0.0, 0.0]);
        let one = 1.0 / 4096.0;
        let steps = |first: [f32; 4], second: [f32; 4]| {
            let a = [row(first), row(second)].concat();
            GgmlAvx512Bf16::dot_bf16(&a, &[b.clone(), b.clone()].concat())
        };
        // Odd first: (0 + 2²⁴) + 1 loses the one, then −2²⁴.
        assert_eq!(
            steps([one, 4096.0, 0.0, 0.0], [0.0, -4096.0, 0.0, 0.0]),
            0.0
        );
        // Odd first: 2²⁴ in one step, −2²⁴ before the one in the next.
        assert_eq!(
            steps([0.0, 4096.0, 0.0, 0.0], [one, -4096.0, 0.0, 0.0]),
            1.0
        );
    }

    #[test]
    fn only_whole_vectors_of_activations_lose_their_subnormals() {
        let row = [-5e-39_f32; 40];
        let mut out = [[0; 2]; 40];
        GgmlAvx512Bf16::round_bf16(&row, &mut out);
        assert_eq!(out[..32], [round_bf16(-0.0); 32]);
        assert_eq!(out[32..], [round_bf16(-5e-39); 8]);
        assert_ne!(out[31], out[32]);
    }

    #[test]
    fn subnormals_are_zeros() {
        let tiny = round_bf16(f32::from_bits(0x0040_0000));
        let large = round_bf16(2f32.powi(100));
        assert_eq!(GgmlAvx512Bf16::dot_bf16(&[tiny; 64], &[large; 64]), 0.0);
        assert_ne!(GgmlAvx512::dot_bf16(&[tiny; 64], &[large; 64]), 0.0);
    }
}
