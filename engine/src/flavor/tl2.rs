//! TL2: bitnet.cpp's packing for lookup tables on x86. Three weights make a magnitude of four bits
//! and a sign, so 24 weights take 5 bytes; columns behind the last whole tile are pairs as in TL1.
//!
//! First the magnitudes, two a byte, then the signs, 16 to a word, then the pairs, then room that
//! nobody uses, then one single-precision scale. Of 32 rows side by side, the second eight change
//! places with the third.
#![forbid(unsafe_code)]

use super::Shape;
use super::i2_s::{self, TRAILER_BYTES};
use super::tables::{self, Tiles, position};

/// The tiles of columns that are pairs.
const PAIRS: Tiles = Tiles {
    rows: 0,
    cols: 32,
    strip: 32,
};

/// Bytes a tensor takes, for a shape there are kernels for.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    scale_at(shape)?.checked_add(TRAILER_BYTES)
}

/// Where the scale is: behind what the converter reserves, which is more than there is.
fn scale_at(shape: Shape) -> Option<u64> {
    tables::of_tl2(shape)?;
    let (rows, cols) = (shape.rows as u64, shape.cols as u64);
    let bytes = (cols - 256) * rows / 3 * 5 / 8 + 256 * rows / 2 * 4 / 8;
    Some(bytes.next_multiple_of(32))
}

/// The one scale of the tensor.
pub fn scale(bytes: &[u8], shape: Shape) -> f32 {
    let at = scale_at(shape).expect("a shape with kernels") as usize;
    let scale = bytes[at..].first_chunk().expect("a trailer");
    f32::from_le_bytes(*scale)
}

/// The code of one element, 0 to 2 for −1 to +1.
pub fn code(bytes: &[u8], shape: Shape, row: usize, col: usize) -> u8 {
    let parts = Parts::of(shape);
    if col >= parts.threes {
        let (byte, shift) = parts.pair(row, (col - parts.threes) / 2);
        let index = bytes[byte] >> shift & 15;
        return if col.is_multiple_of(2) {
            index / 3
        } else {
            index % 3
        };
    }
    let (byte, shift) = parts.magnitude(row, col / 3);
    let (sign_byte, sign_shift) = parts.sign(row, col / 3);
    let magnitude = bytes[byte] >> shift & 15;
    let negative = bytes[sign_byte] >> sign_shift & 1 == 1;
    let index = if negative {
        13u8.wrapping_sub(magnitude)
    } else {
        13 + magnitude
    };
    // 16 magnitudes are more than 14: what no writer writes is no weight either.
    let index = index.min(26);
    [index / 9, index / 3 % 3, index % 3][col % 3]
}

/// The value of one element.
pub fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
    i2_s::value_of(code(bytes, shape, row, col), scale(bytes, shape))
}

/// Codes of a matrix under one scale.
pub fn encode_codes(codes: &[u8], scale: f32, shape: Shape) -> Vec<u8> {
    let parts = Parts::of(shape);
    let mut bytes = vec![0; bytes_needed(shape).expect("a shape with kernels") as usize];
    for (row, codes) in codes.chunks_exact(shape.cols).enumerate() {
        let (threes, pairs) = codes.split_at(parts.threes);
        for (three, codes) in threes.as_chunks::<3>().0.iter().enumerate() {
            let index = (9 * codes[0] + 3 * codes[1] + codes[2]).cast_signed() - 13;
            let (byte, shift) = parts.magnitude(row, three);
            bytes[byte] |= index.unsigned_abs() << shift;
            let (byte, shift) = parts.sign(row, three);
            bytes[byte] |= u8::from(index < 0) << shift;
        }
        for (pair, codes) in pairs.as_chunks::<2>().0.iter().enumerate() {
            let (byte, shift) = parts.pair(row, pair);
            bytes[byte] |= (3 * codes[0] + codes[1]) << shift;
        }
    }
    let at = scale_at(shape).expect("a shape with kernels") as usize;
    bytes[at..at + 4].copy_from_slice(&scale.to_le_bytes());
    bytes
}

/// How a matrix is divided.
struct Parts {
    tiles: Tiles,
    rows: usize,
    /// Columns in threes, the first ones.
    threes: usize,
    /// Columns in pairs.
    pairs: usize,
}

impl Parts {
    fn of(shape: Shape) -> Self {
        let tiles = tables::of_tl2(shape).expect("a shape with kernels");
        let threes = shape.cols / tiles.cols * tiles.cols;
        Parts {
            tiles,
            rows: shape.rows,
            threes,
            pairs: shape.cols - threes,
        }
    }

    /// Byte and shift of the magnitude of three columns.
    fn magnitude(&self, row: usize, three: usize) -> (usize, u32) {
        nibble(self.tiles, self.threes, row, (three, self.tiles.cols / 3))
    }

    /// Byte and shift of the index of two columns behind the threes.
    fn pair(&self, row: usize, pair: usize) -> (usize, u32) {
        let tiles = Tiles {
            rows: self.tiles.rows,
            ..PAIRS
        };
        let (byte, shift) = nibble(tiles, self.pairs, row, (pair, tiles.cols / 2));
        (self.rows * self.threes * 5 / 24 + byte, shift)
    }

    /// Byte and shift of the sign of three columns: 16 of a strip's signs are a word, the highest
    /// bit first.
    fn sign(&self, row: usize, three: usize) -> (usize, u32) {
        let Tiles { rows, cols, strip } = self.tiles;
        let a_tile = cols / 3;
        let (line, inside) = (row % rows / strip, row % strip);
        let (column, three) = (three / a_tile, three % a_tile);
        let word = position([
            (row / rows, 0),
            (column, self.threes / cols),
            (line, rows / strip),
            (three / 8, a_tile / 8),
            (inside % 16, 16),
        ]);
        let bit = 15 - (2 * (three % 8) + inside / 16);
        let byte = self.rows * self.threes / 6 + 2 * word + bit / 8;
        (byte, bit as u32 % 8)
    }
}

/// Byte and shift of index `at` of a row whose tiles have `a_tile` each, two to a byte.
fn nibble(tiles: Tiles, cols: usize, row: usize, (at, a_tile): (usize, usize)) -> (usize, u32) {
    let (line, inside) = (row % tiles.rows / tiles.strip, row % tiles.strip);
    let (column, at) = (at / a_tile, at % a_tile);
    let eights = match inside / 8 {
        1 => 2,
        2 => 1,
        same => same,
    };
    let byte = position([
        (row / tiles.rows, 0),
        (column, cols / tiles.cols),
        (line, tiles.rows / tiles.strip),
        (at / 2, a_tile / 2),
        (eights * 8 + inside % 8, tiles.strip),
    ]);
    (byte, if at.is_multiple_of(2) { 4 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_published_files() {
        for (rows, cols, bytes) in [
            (3200, 8640, 5_794_176),
            (3200, 3200, 2_167_520),
            (8640, 3200, 5_852_192),
            (1536, 4096, 1_327_136),
            (1536, 1536, 507_936),
            (4096, 1536, 1_354_464),
            (14336, 4096, 12_386_336),
            (4096, 14336, 12_277_120),
            (1024, 4096, 884_768),
            (4096, 4096, 3_538_976),
        ] {
            assert_eq!(bytes_needed(Shape { rows, cols }), Some(bytes));
        }
        let of_2b = Shape {
            rows: 2560,
            cols: 6912,
        };
        assert_eq!(bytes_needed(of_2b), None, "no kernels were generated");
    }

    #[test]
    fn what_is_no_index_is_read_without_a_panic() {
        let shape = Shape {
            rows: 1536,
            cols: 1536,
        };
        let bytes = vec![0xff; bytes_needed(shape).expect("known") as usize];
        assert!((0..1536).all(|col| code(&bytes, shape, 7, col) < 3));
    }
}
