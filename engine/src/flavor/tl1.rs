//! TL1: bitnet.cpp's packing for lookup tables on ARM. Two weights make one of nine indices, two
//! indices a byte, and one single-precision scale follows all of them.
//!
//! The index is three times the first weight plus the second plus four. Indices lie tile by tile,
//! strip by strip, 16 rows side by side; see `tables` for the tiles.
#![forbid(unsafe_code)]

use super::i2_s::TRAILER_BYTES;
use super::tables::{self, Tiles, position};
use super::{Shape, i2_s};

/// Bytes a tensor takes, for a shape there are kernels for.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    tables::of_tl1(shape)?;
    (shape.elements()? / 4).checked_add(TRAILER_BYTES)
}

/// The code of one element, 0 to 2 for −1 to +1.
pub fn code(bytes: &[u8], shape: Shape, row: usize, col: usize) -> u8 {
    let (byte, shift) = place(shape, row, col / 2);
    let index = bytes[byte] >> shift & 15;
    if col.is_multiple_of(2) {
        index / 3
    } else {
        index % 3
    }
}

/// The value of one element.
pub fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
    i2_s::value_of(code(bytes, shape, row, col), i2_s::scale(bytes, shape))
}

/// Codes of a matrix under one scale.
pub fn encode_codes(codes: &[u8], scale: f32, shape: Shape) -> Vec<u8> {
    let mut bytes = vec![0; bytes_needed(shape).expect("a shape with kernels") as usize];
    for (row, codes) in codes.chunks_exact(shape.cols).enumerate() {
        for (pair, codes) in codes.as_chunks::<2>().0.iter().enumerate() {
            let (byte, shift) = place(shape, row, pair);
            bytes[byte] |= (3 * codes[0] + codes[1]) << shift;
        }
    }
    let at = shape.rows * shape.cols / 4;
    bytes[at..at + 4].copy_from_slice(&scale.to_le_bytes());
    bytes
}

/// Byte and shift of the index of a pair of columns.
fn place(shape: Shape, row: usize, pair: usize) -> (usize, u32) {
    let Tiles { rows, cols, strip } = tables::of_tl1(shape).expect("a shape with kernels");
    let (tile, row) = (row / rows, row % rows);
    let (column, pair) = (pair / (cols / 2), pair % (cols / 2));
    // A strip is `strip` rows by so many columns that it has 128 pairs.
    let width = 256 / strip;
    let (block, inside) = (pair / (width / 2), pair % (width / 2));
    let (line, row) = (row / strip, row % strip);
    let byte = position([
        (tile, 0),
        (column, shape.cols / cols),
        (line, rows / strip),
        (block, cols / width),
        (row / 16, strip / 16),
        (inside / 2, width / 4),
        (row % 16, 16),
    ]);
    (byte, if inside.is_multiple_of(2) { 4 } else { 0 })
}
