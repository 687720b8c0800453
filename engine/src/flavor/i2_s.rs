//! What the three I2_S packings share: the quantiser, the code meaning, and the scale's place.
//!
//! An I2_S tensor is `n / 4` bytes of two-bit codes (0, 1, 2 for −1, 0, +1; 3 never occurs),
//! one little-endian `f32` scale for the whole tensor, and 28 bytes nobody may read: writers
//! leave whatever was in their buffer there. The packings differ only in where a code lies.
#![forbid(unsafe_code)]

use super::Shape;

/// Bytes after the codes: the scale and 28 bytes without meaning.
pub const TRAILER_BYTES: u64 = 32;

/// Where the code of one element lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the byte from the tensor's start.
    pub byte: usize,
    /// How far the byte is shifted right to bring the code to its two lowest bits.
    pub shift: u32,
}

/// A packing of I2_S: from row and column to the place of the code.
pub type Packing = fn(Shape, usize, usize) -> Place;

/// Codes and trailer, for a shape the I2_S packings can hold: rows of whole 64-element groups.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    if !shape.cols.is_multiple_of(64) {
        return None;
    }
    (shape.elements()? / 4).checked_add(TRAILER_BYTES)
}

/// The code of one element.
pub fn code(bytes: &[u8], shape: Shape, row: usize, col: usize, packing: Packing) -> u8 {
    let place = packing(shape, row, col);
    bytes[place.byte] >> place.shift & 3
}

/// The value of one element: `code − 1` times the scale, where an illegal code 3 counts as 0 as
/// in the reference decoder.
pub fn value(bytes: &[u8], shape: Shape, row: usize, col: usize, packing: Packing) -> f32 {
    value_of(code(bytes, shape, row, col, packing), scale(bytes, shape))
}

/// What a code stands for.
pub fn value_of(code: u8, scale: f32) -> f32 {
    let ternary = match code {
        0 => -1.0,
        2 => 1.0,
        _ => 0.0,
    };
    ternary * scale
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
    let max = weights.iter().fold(0.0f64, |max, &w| {
        // `f64::max` ignores a NaN operand, as the C function does.
        max.max(f64::from(w).abs())
    });
    let code_of = |w: f64| match () {
        () if w.abs() < 1e-6 => 1,
        () if w * max > 0.0 => 2,
        () => 0,
    };
    let codes = weights.iter().map(|&w| code_of(f64::from(w))).collect();
    (codes, max as f32)
}

/// Packs row-major codes, then the scale, then zeros where writers leave garbage.
pub fn encode_codes(codes: &[u8], scale: f32, shape: Shape, packing: Packing) -> Vec<u8> {
    assert_eq!(codes.len(), shape.rows * shape.cols, "one code an element");
    let code_bytes = codes.len() / 4;
    let mut bytes = vec![0; code_bytes + TRAILER_BYTES as usize];
    for (index, &code) in codes.iter().enumerate() {
        let place = packing(shape, index / shape.cols, index % shape.cols);
        bytes[place.byte] |= (code & 3) << place.shift;
    }
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
