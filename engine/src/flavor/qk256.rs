//! QK256: 256 elements in 64 bytes, no scale anywhere.
//!
//! Element `k` of a block is the bit pair `2·(k mod 4)` of byte `k / 4`, lowest first. Codes 0 to
//! 3 mean −2, −1, +1, +2. Every row starts a block, so a row whose length is no multiple of 256
//! ends in codes nobody reads.
#![forbid(unsafe_code)]

use super::Shape;

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 64;

/// Bytes a tensor of that shape takes, or `None` where they cannot be counted.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    shape.row_blocks(BLOCK)?.checked_mul(BLOCK_BYTES as u64)
}

/// The code of one element.
pub fn code(bytes: &[u8], shape: Shape, row: usize, col: usize) -> u8 {
    let row_bytes = shape.cols.div_ceil(BLOCK) * BLOCK_BYTES;
    bytes[row * row_bytes + col / 4] >> (2 * (col % 4)) & 3
}

/// The value of one element: this is what the packing means.
pub fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
    value_of(code(bytes, shape, row, col))
}

/// What the codes stand for.
pub const VALUES: [f32; 4] = [-2.0, -1.0, 1.0, 2.0];

/// What a code stands for.
pub fn value_of(code: u8) -> f32 {
    VALUES[usize::from(code & 3)]
}

/// The four values of every byte.
static VALUES_OF: [[f32; 4]; 256] = {
    let mut all = [[0.0; 4]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut k = 0;
        while k < 4 {
            all[byte][k] = VALUES[byte >> (2 * k) & 3];
            k += 1;
        }
        byte += 1;
    }
    all
};

/// Writes one row as floats.
pub fn decode_row(bytes: &[u8], shape: Shape, row: usize, out: &mut [f32]) {
    let row_bytes = shape.cols.div_ceil(BLOCK) * BLOCK_BYTES;
    decode(&bytes[row * row_bytes..(row + 1) * row_bytes], out);
}

/// Writes what codes stand for, four at a time; the last byte may have more of them than are asked
/// for.
pub fn decode(codes: &[u8], out: &mut [f32]) {
    let (fours, rest) = out.as_chunks_mut::<4>();
    if let Some(&last) = codes.get(fours.len()) {
        rest.copy_from_slice(&VALUES_OF[usize::from(last)][..rest.len()]);
    }
    for (four, &byte) in fours.iter_mut().zip(codes) {
        *four = VALUES_OF[usize::from(byte)];
    }
}

/// The code of the value that lies nearest; a tie goes away from zero, and zero is positive.
pub fn nearest(x: f32) -> u8 {
    match x {
        x if x <= -1.5 => 0,
        x if x < 0.0 => 1,
        x if x < 1.5 => 2,
        _ => 3,
    }
}

/// Packs row-major codes; codes nobody reads are zero.
pub fn encode_codes(codes: &[u8], shape: Shape) -> Vec<u8> {
    let row_bytes = shape.cols.div_ceil(BLOCK) * BLOCK_BYTES;
    let mut bytes = vec![0; shape.rows * row_bytes];
    for (index, &code) in codes.iter().enumerate() {
        let (row, col) = (index / shape.cols, index % shape.cols);
        bytes[row * row_bytes + col / 4] |= (code & 3) << (2 * (col % 4));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_nearest_to_itself() {
        assert!((0..4).all(|code| nearest(value_of(code)) == code));
        assert_eq!([-0.2, 0.0, 1.5, -1.5].map(nearest), [1, 2, 3, 0]);
    }

    #[test]
    fn rows_are_decoded_as_elements_are() {
        for cols in [1, 4, 255, 256, 257, 300] {
            let shape = Shape { rows: 3, cols };
            let codes: Vec<u8> = (0..3 * cols).map(|i| (i * 7 % 11 % 4) as u8).collect();
            let bytes = encode_codes(&codes, shape);
            for row in 0..3 {
                let mut out = vec![0.0; cols];
                decode_row(&bytes, shape, row, &mut out);
                let one_by_one = |col| value(&bytes, shape, row, col);
                assert!(
                    (0..cols).all(|col| out[col] == one_by_one(col)),
                    "{shape:?}"
                );
            }
        }
    }

    #[test]
    fn a_byte_by_hand_in_the_second_row_of_a_tailed_matrix() {
        let shape = Shape { rows: 2, cols: 300 };
        let mut bytes = vec![0; 256];
        bytes[128] = 0b11_10_01_00;
        bytes[128 + 74] = 0b11; // column 296
        let values: Vec<f32> = (0..4).map(|col| value(&bytes, shape, 1, col)).collect();
        assert_eq!(values, [-2.0, -1.0, 1.0, 2.0]);
        assert_eq!(value(&bytes, shape, 1, 296), 2.0);
        assert_eq!(bytes_needed(shape), Some(256));
    }

    #[test]
    fn codes_come_back() {
        let shape = Shape { rows: 3, cols: 300 };
        let codes: Vec<u8> = (0..900).map(|i| (i * 7 % 13 % 4) as u8).collect();
        let bytes = encode_codes(&codes, shape);
        for (i, &expected) in codes.iter().enumerate() {
            assert_eq!(code(&bytes, shape, i / 300, i % 300), expected);
        }
    }
}
