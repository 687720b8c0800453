//! Split32: 32 elements in 8 bytes of codes, their scales in a sibling tensor.
//!
//! Element `k` of a block is the bit pair `2·(k mod 4)` of byte `k / 4`, lowest first. Codes 0 to
//! 3 mean −2, −1, +1, +2, times the block's scale. Every row starts a block.
#![forbid(unsafe_code)]

use super::{Shape, bitnet32_f16, qk256};

/// Elements of a block.
pub const BLOCK: usize = 32;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 8;

/// What may be appended to a tensor's base name to name its scales, most usual first.
const SUFFIXES: [&str; 11] = [
    ".scale",
    ".scales",
    "._scale",
    "._scales",
    "_scale",
    "_scales",
    ".q_scales",
    ".qh",
    ".d",
    ".scl",
    ".s",
];

/// Bytes a tensor of that shape takes, or `None` where they cannot be counted.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    scales_needed(shape)?.checked_mul(BLOCK_BYTES as u64)
}

/// How many scales the sibling must hold.
pub fn scales_needed(shape: Shape) -> Option<u64> {
    shape.row_blocks(BLOCK)
}

/// The names a sibling with the scales may have, in the order they are tried.
pub fn sibling_names(name: &str) -> impl Iterator<Item = String> {
    let base = name.strip_suffix(".weight").unwrap_or(name);
    let bases = [base, name].into_iter().take(1 + usize::from(base != name));
    bases.flat_map(|base| SUFFIXES.iter().map(move |suffix| format!("{base}{suffix}")))
}

/// The code of one element.
pub fn code(bytes: &[u8], shape: Shape, row: usize, col: usize) -> u8 {
    bytes[byte_at(shape, row, col)] >> (2 * (col % 4)) & 3
}

/// The value of one element: this is what the packing means.
pub fn value(bytes: &[u8], scales: &[f32], shape: Shape, row: usize, col: usize) -> f32 {
    let block = row * shape.cols.div_ceil(BLOCK) + col / BLOCK;
    qk256::value_of(code(bytes, shape, row, col)) * scales[block]
}

/// Packs row-major codes; codes nobody reads are zero.
pub fn encode_codes(codes: &[u8], shape: Shape) -> Vec<u8> {
    let blocks = shape.rows * shape.cols.div_ceil(BLOCK);
    let mut bytes = vec![0; blocks * BLOCK_BYTES];
    for (index, &code) in codes.iter().enumerate() {
        let (row, col) = (index / shape.cols, index % shape.cols);
        bytes[byte_at(shape, row, col)] |= (code & 3) << (2 * (col % 4));
    }
    bytes
}

/// Quantises a row-major matrix: its codes, and a scale a block for the sibling. The largest
/// magnitude of a block counts as 2.
pub fn encode(values: &[f32], shape: Shape) -> (Vec<u8>, Vec<f32>) {
    let (codes, scales) = bitnet32_f16::quantised(values, shape, |scale| scale);
    (encode_codes(&codes, shape), scales)
}

fn byte_at(shape: Shape, row: usize, col: usize) -> usize {
    row * shape.cols.div_ceil(BLOCK) * BLOCK_BYTES + col / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tailed_row_by_hand() {
        let shape = Shape { rows: 2, cols: 40 };
        let mut bytes = vec![0; 32];
        bytes[16 + 9] = 0b11_10_01_00; // row 1, columns 36 to 39
        let scales = [1.0, 1.0, 1.0, 0.25];
        let values: Vec<f32> = (36..40)
            .map(|col| value(&bytes, &scales, shape, 1, col))
            .collect();
        assert_eq!(values, [-0.5, -0.25, 0.25, 0.5]);
        assert_eq!(bytes_needed(shape), Some(32));
    }

    #[test]
    fn codes_come_back() {
        let shape = Shape { rows: 2, cols: 40 };
        let codes: Vec<u8> = (0..80).map(|i| (i * 3 % 7 % 4) as u8).collect();
        let bytes = encode_codes(&codes, shape);
        for (i, &expected) in codes.iter().enumerate() {
            assert_eq!(code(&bytes, shape, i / 40, i % 40), expected);
        }
    }

    #[test]
    fn values_that_the_packing_can_say_come_back() {
        let shape = Shape { rows: 3, cols: 40 };
        // Scales that no half can hold.
        let of = |i: usize| [-2.0, -1.0, 1.0, 2.0][i * 7 % 11 % 4] * (0.1 + (i / 40) as f32);
        let values: Vec<f32> = (0..120).map(of).collect();
        let (bytes, scales) = encode(&values, shape);
        assert_eq!(Some(bytes.len() as u64), bytes_needed(shape));
        assert_eq!(Some(scales.len() as u64), scales_needed(shape));
        let back = |i: usize| value(&bytes, &scales, shape, i / 40, i % 40);
        assert!((0..120).all(|i| back(i) == values[i]));
    }

    #[test]
    fn siblings_are_looked_for_under_the_base_name_first() {
        let names: Vec<String> = sibling_names("blk.0.attn_q.weight").collect();
        assert_eq!(names[0], "blk.0.attn_q.scale");
        assert_eq!(names[11], "blk.0.attn_q.weight.scale");
        assert_eq!(names.len(), 22);
        assert_eq!(sibling_names("q").count(), 11);
    }
}
