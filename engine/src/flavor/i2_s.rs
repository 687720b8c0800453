//! What the three I2_S packings share: the quantiser, the code meaning, and the scale's place.
//!
//! An I2_S tensor is `n / 4` bytes of two-bit codes (0, 1, 2 for −1, 0, +1; 3 never occurs),
//! one little-endian `f32` scale for the whole tensor, and 28 bytes nobody may read: writers
//! leave whatever was in their buffer there. The packings differ only in where a code lies.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::Shape;
use crate::encoding::author::largest_finite;

/// Bytes after the codes: the scale and 28 bytes without meaning.
pub const TRAILER_BYTES: u64 = 32;

/// A packing of I2_S: how many bytes hold a block of four times as many elements. Byte `j` of a
/// block holds the elements `j`, and `j` plus once, twice and three times that number, the first
/// in its two highest bits. The flattened tensor is cut into blocks; rows do not matter.
pub type Packing = fn(Shape) -> usize;

/// Codes and trailer, for a shape the I2_S packings can hold: rows of whole 64-element groups.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    if !shape.cols.is_multiple_of(64) {
        return None;
    }
    (shape.elements()? / 4).checked_add(TRAILER_BYTES)
}

/// The code of one element.
#[inline(always)]
pub fn code(bytes: &[u8], shape: Shape, row: usize, col: usize, packing: Packing) -> u8 {
    let (byte, shift) = place(row * shape.cols + col, packing(shape));
    bytes[byte] >> shift & 3
}

/// The byte in which the code of an element lies, and how far it is to be shifted to the right.
#[inline(always)]
fn place(index: usize, width: usize) -> (usize, u32) {
    let (block, plane) = (index / (4 * width), index / width % 4);
    (block * width + index % width, 6 - 2 * plane as u32)
}

/// The codes of a row, or of whatever else begins at an element, as far as they lie in neighbouring
/// bytes: the first of the bytes, how far all are shifted, and which of the codes.
fn runs(
    first: usize,
    count: usize,
    width: usize,
) -> impl Iterator<Item = (usize, u32, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let (byte, shift) = place(first + done, width);
        let run = done..count.min(done + width - (first + done) % width);
        done = run.end;
        (!run.is_empty()).then_some((byte, shift, run))
    })
}

/// The first values of one row: `code − 1` times the scale, where an illegal code 3 counts as 0 as
/// in the reference decoder.
pub fn decode_row(
    (codes, scale): (&[u8], f32),
    shape: Shape,
    row: usize,
    packing: Packing,
    out: &mut [f32],
) {
    for (byte, shift, run) in runs(row * shape.cols, out.len(), packing(shape)) {
        for (byte, out) in codes[byte..][..run.len()].iter().zip(&mut out[run]) {
            *out = value_of(byte >> shift & 3, scale);
        }
    }
}

/// What a code stands for.
#[inline(always)]
pub fn value_of(code: u8, scale: f32) -> f32 {
    [-1.0, 0.0, 1.0, 0.0][usize::from(code & 3)] * scale
}

/// The one scale of the tensor.
pub fn scale(bytes: &[u8], shape: Shape) -> f32 {
    let at = shape.rows * shape.cols / 4;
    let field = bytes[at..]
        .first_chunk()
        .expect("the tensor's bytes include the trailer");
    f32::from_le_bytes(*field)
}

/// Codes and scale of a row-major matrix. Only signs are kept: the scale is the largest
/// magnitude, so weights that are not ternary already lose everything else.
pub fn quantise(weights: &[f32]) -> (Vec<u8>, f32) {
    // `f32::max` ignores a NaN operand, as the C function does.
    let larger = |max: f32, w: &f32| max.max(w.abs());
    let max = largest_finite(weights).unwrap_or_else(|| weights.iter().fold(0.0, larger));
    // The C function compares doubles: the largest float below its 1e-6 is this one. A product with
    // the largest magnitude has the sign of the weight.
    let code = |w: &f32| match (w.abs() <= 1e-6, *w > 0.0) {
        (true, _) => 1,
        (false, positive) => u8::from(positive) << 1,
    };
    let codes = weights.iter().map(code).collect();
    (codes, max)
}

/// Packs row-major codes of whole blocks.
pub fn pack(codes: &[u8], shape: Shape, packing: Packing) -> Vec<u8> {
    let mut bytes = vec![0; codes.len() / 4];
    put(codes, shape, packing, &mut bytes);
    bytes
}

fn put(codes: &[u8], shape: Shape, packing: Packing, bytes: &mut [u8]) {
    assert_eq!(codes.len(), shape.rows * shape.cols, "one code an element");
    for (byte, shift, run) in runs(0, codes.len(), packing(shape)) {
        for (byte, code) in bytes[byte..][..run.len()].iter_mut().zip(&codes[run]) {
            *byte |= (code & 3) << shift;
        }
    }
}

/// Quantises a row-major matrix and packs its codes.
pub fn encode(values: &[f32], shape: Shape, packing: Packing) -> Vec<u8> {
    let (codes, scale) = quantise(values);
    encode_codes(&codes, scale, shape, packing)
}

/// Packs row-major codes, then the scale, then zeros where writers leave garbage. A block that is
/// not whole reaches behind the scale, as the reference has it.
pub fn encode_codes(codes: &[u8], scale: f32, shape: Shape, packing: Packing) -> Vec<u8> {
    let code_bytes = codes.len() / 4;
    let mut bytes = vec![0; code_bytes + TRAILER_BYTES as usize];
    put(codes, shape, packing, &mut bytes);
    bytes[code_bytes..code_bytes + 4].copy_from_slice(&scale.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiser_keeps_the_sign_and_the_largest_magnitude() {
        let (codes, scale) = quantise(&[0.5, -0.5, 0.0, 9e-7, -0.1, 2.0, f32::NAN]);
        assert_eq!(codes, [2, 0, 1, 1, 0, 2, 0]);
        assert_eq!(scale, 2.0);
    }

    #[test]
    fn what_is_nothing_is_decided_as_among_doubles() {
        let bound = 1e-6_f32;
        let near = [bound.next_down(), bound, bound.next_up()];
        for w in near
            .into_iter()
            .chain(near.map(|w| -w))
            .chain([f32::MIN_POSITIVE, 1e-45])
        {
            let double = f64::from(w);
            let positive = double * f64::from(bound) > 0.0;
            let nothing = double.abs() < 1e-6;
            let code = if nothing { 1 } else { 2 * u8::from(positive) };
            assert_eq!(quantise(&[w, 2.0]).0[0], code, "{w:e}");
        }
    }

    #[test]
    fn an_all_zero_matrix_has_scale_zero_and_only_code_one() {
        assert_eq!(quantise(&[0.0; 4]), (vec![1; 4], 0.0));
    }

    #[test]
    fn a_row_of_sixty_cannot_be_i2_s_and_sixty_four_can() {
        let bytes = |cols| bytes_needed(Shape { rows: 64, cols });
        assert_eq!(bytes(60), None);
        assert_eq!(bytes(64), Some(1024 + 32));
    }
}
