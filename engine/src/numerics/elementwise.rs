//! The operations whose order no profile changes: norm, rotation, activation, sums.
#![forbid(unsafe_code)]

use super::half::{Half, round_bf16, round_f16};

/// `out = row / rms(row)`. Squares are singles, their sum is a sequential double.
#[inline(always)]
pub fn rms_norm(row: &[f32], epsilon: f32, out: &mut [f32]) {
    let mut sum = 0f64;
    for &x in row {
        sum += f64::from(x * x);
    }
    let mean = (sum / row.len() as f64) as f32;
    let scale = 1.0 / (mean + epsilon).sqrt();
    for (out, &x) in out.iter_mut().zip(row) {
        *out = x * scale;
    }
}

/// `(cos, sin)` of every pair's angle at one position. The angle's step is multiplied up from
/// pair to pair in single precision, which is not the same as a power per pair.
pub fn rope_angles(
    position: usize,
    step: f32,
    freq_scale: f32,
    factors: Option<&[f32]>,
    out: &mut [[f32; 2]],
) {
    let mut theta = position as f32;
    for (i, out) in out.iter_mut().enumerate() {
        let factor = factors.map_or(1.0, |factors| factors[i]);
        let angle = freq_scale * (theta / factor);
        *out = [angle.cos(), angle.sin()];
        theta *= step;
    }
}

/// What the angle is multiplied by from one pair to the next.
pub fn rope_step(freq_base: f32, dimensions: usize) -> f32 {
    freq_base.powf(-2.0 / dimensions as f32)
}

/// Rotates pair `(x0, x1)`; the product with `x0` is fused, the other one rounded.
#[inline(always)]
fn rotate([x0, x1]: [f32; 2], [cos, sin]: [f32; 2]) -> [f32; 2] {
    [x0.mul_add(cos, -(x1 * sin)), x0.mul_add(sin, x1 * cos)]
}

/// Rotates element `i` with element `i + n/2`; what `angles` does not cover stays.
#[inline(always)]
pub fn rope_halves(head: &mut [f32], angles: &[[f32; 2]]) {
    let (low, high) = head.split_at_mut(angles.len());
    for ((x0, x1), &angle) in low.iter_mut().zip(high).zip(angles) {
        [*x0, *x1] = rotate([*x0, *x1], angle);
    }
}

/// Rotates element `2i` with element `2i + 1`; what `angles` does not cover stays.
#[inline(always)]
pub fn rope_adjacent(head: &mut [f32], angles: &[[f32; 2]]) {
    for (pair, &angle) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
        *pair = rotate(*pair, angle);
    }
}

/// `max(x, 0)`, in place; a NaN becomes 0, too.
#[inline(always)]
pub fn relu(row: &mut [f32]) {
    for x in row {
        *x = if *x > 0.0 { *x } else { 0.0 };
    }
}

/// `x²`, in place.
#[inline(always)]
pub fn square(row: &mut [f32]) {
    for x in row {
        *x *= *x;
    }
}

/// `x *= factor`, element by element, in place.
#[inline(always)]
pub fn multiply(row: &mut [f32], factors: &[f32]) {
    for (x, &factor) in row.iter_mut().zip(factors) {
        *x *= factor;
    }
}

/// `x *= factor`, the same for all, in place.
#[inline(always)]
pub fn scale(row: &mut [f32], factor: f32) {
    for x in row {
        *x *= factor;
    }
}

/// `x += summand`, element by element, in place.
#[inline(always)]
pub fn add(row: &mut [f32], summands: &[f32]) {
    for (x, &summand) in row.iter_mut().zip(summands) {
        *x += summand;
    }
}

/// Rounds a row to IEEE halves.
#[inline(always)]
pub fn round_row_f16(row: &[f32], out: &mut [Half]) {
    for (out, &x) in out.iter_mut().zip(row) {
        *out = round_f16(x);
    }
}

/// Rounds a row to bfloat16.
#[inline(always)]
pub fn round_row_bf16(row: &[f32], out: &mut [Half]) {
    for (out, &x) in out.iter_mut().zip(row) {
        *out = round_bf16(x);
    }
}

/// Index of the first value that is NaN or infinite.
#[inline(always)]
pub fn first_non_finite(values: &[f32]) -> Option<usize> {
    const EXPONENT: u32 = 0x7f80_0000;
    // A whole chunk is scanned without a branch; only a guilty one is searched.
    for (c, chunk) in values.chunks(256).enumerate() {
        let guilty = chunk
            .iter()
            .fold(false, |guilty, x| guilty | !x.is_finite());
        if guilty {
            let inside = chunk
                .iter()
                .position(|x| x.to_bits() & EXPONENT == EXPONENT);
            return inside.map(|i| c * 256 + i);
        }
    }
    None
}
