//! BitNet32-F16: 32 elements in 8 bytes of codes followed by one f16 scale.
//!
//! Element `k` of a block is the bit pair `2·(k mod 4)` of byte `k / 4`, lowest first. Three
//! meanings of the codes exist in the wild for the same bytes; this is the one documented with
//! the files: 0 to 3 mean −2, −1, +1, +2, times the scale. Every row starts a block.
#![forbid(unsafe_code)]

use super::{Shape, qk256};

/// Elements of a block.
pub const BLOCK: usize = 32;
/// Bytes of a block: the codes, then the scale.
pub const BLOCK_BYTES: usize = 10;
/// Where in a block the scale is.
pub const SCALE_AT: usize = 8;

/// Bytes a tensor of that shape takes, or `None` where they cannot be counted.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    shape.row_blocks(BLOCK)?.checked_mul(BLOCK_BYTES as u64)
}

/// The code of one element.
pub fn code(bytes: &[u8], shape: Shape, row: usize, col: usize) -> u8 {
    bytes[block_at(shape, row, col) + col % BLOCK / 4] >> (2 * (col % 4)) & 3
}

/// The value of one element: this is what the packing means.
pub fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
    let scale_at = block_at(shape, row, col) + SCALE_AT;
    let scale = half::f16::from_le_bytes([bytes[scale_at], bytes[scale_at + 1]]);
    qk256::value_of(code(bytes, shape, row, col)) * scale.to_f32()
}

/// The codes of a block, and its scale.
pub fn parts(block: &[u8]) -> (&[u8], f32) {
    let (codes, scale) = block.split_at(SCALE_AT);
    let scale = half::f16::from_le_bytes([scale[0], scale[1]]);
    (codes, scale.to_f32())
}

/// Packs row-major codes and one scale a block; codes nobody reads are zero.
pub fn encode_codes(codes: &[u8], scales: &[f32], shape: Shape) -> Vec<u8> {
    let blocks = shape.rows * shape.cols.div_ceil(BLOCK);
    assert_eq!(scales.len(), blocks, "one scale a block");
    let mut bytes = vec![0; blocks * BLOCK_BYTES];
    for (block, scale) in bytes.chunks_exact_mut(BLOCK_BYTES).zip(scales) {
        block[SCALE_AT..].copy_from_slice(&half::f16::from_f32(*scale).to_le_bytes());
    }
    for (index, &code) in codes.iter().enumerate() {
        let (row, col) = (index / shape.cols, index % shape.cols);
        let byte = block_at(shape, row, col) + col % BLOCK / 4;
        bytes[byte] |= (code & 3) << (2 * (col % 4));
    }
    bytes
}

/// Quantises a row-major matrix.
pub fn encode(values: &[f32], shape: Shape) -> Vec<u8> {
    let stored = |scale| half::f16::from_f32(scale).to_f32();
    let (codes, scales) = quantised(values, shape, stored);
    encode_codes(&codes, &scales, shape)
}

/// The codes of a row-major matrix and a scale for each block, of which `stored` keeps what a file
/// can: the largest magnitude of a block counts as 2.
pub(super) fn quantised(
    values: &[f32],
    shape: Shape,
    stored: impl Fn(f32) -> f32,
) -> (Vec<u8>, Vec<f32>) {
    let (mut codes, mut scales) = (Vec::with_capacity(values.len()), Vec::new());
    for row in values.chunks_exact(shape.cols) {
        for block in row.chunks(BLOCK) {
            let peak = block.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            let scale = stored(peak / 2.0);
            let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
            codes.extend(block.iter().map(|x| qk256::nearest(x * inverse)));
            scales.push(scale);
        }
    }
    (codes, scales)
}

fn block_at(shape: Shape, row: usize, col: usize) -> usize {
    (row * shape.cols.div_ceil(BLOCK) + col / BLOCK) * BLOCK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_the_packing_can_say_come_back() {
        let shape = Shape { rows: 3, cols: 40 };
        let of = |i: usize| [-0.5, -0.25, 0.25, 0.5][i * 7 % 11 % 4];
        let values: Vec<f32> = (0..120).map(of).collect();
        let bytes = encode(&values, shape);
        assert_eq!(Some(bytes.len() as u64), bytes_needed(shape));
        let back = |i: usize| value(&bytes, shape, i / 40, i % 40);
        assert!((0..120).all(|i| back(i) == values[i]));
    }

    #[test]
    fn two_rows_of_two_blocks_by_hand() {
        let shape = Shape { rows: 2, cols: 64 };
        let mut bytes = vec![0; 40];
        bytes[30..40].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0b00_11_10_01, 0x00, 0x38]);
        // Row 1, second block, last byte: codes 1, 2, 3, 0 with scale 0.5.
        let values: Vec<f32> = (60..64).map(|col| value(&bytes, shape, 1, col)).collect();
        assert_eq!(values, [-0.5, 0.5, 1.0, -1.0]);
        assert_eq!(bytes_needed(shape), Some(40));
    }

    #[test]
    fn codes_and_scales_come_back() {
        let shape = Shape { rows: 3, cols: 40 };
        let codes: Vec<u8> = (0..120).map(|i| (i * 5 % 11 % 4) as u8).collect();
        let scales = [1.0, 2.0, 4.0, 0.5, 0.25, 8.0];
        let bytes = encode_codes(&codes, &scales, shape);
        for (i, &code) in codes.iter().enumerate() {
            let (row, col) = (i / 40, i % 40);
            let expected = qk256::value_of(code) * scales[row * 2 + col / 32];
            assert_eq!(value(&bytes, shape, row, col), expected);
        }
    }
}
