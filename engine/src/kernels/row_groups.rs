//! How the kernels of QK256 read it: sixteen rows side by side, so that a vector of lanes is a
//! load and no transposition.
//!
//! A line is a word of four bytes, sixteen columns, of each of sixteen rows. The lines of a group
//! of rows follow each other from the first column to the last. It takes as much memory as the
//! file's rows, beside them; multiplying rows where they lie took 1.2 times as long.
#![forbid(unsafe_code)]

use super::gemm::Stored;
use crate::bytes::ModelBytes;
use crate::flavor::{Shape, qk256};

/// Rows of a group, and columns of a line.
pub const ROWS: usize = 16;
/// Columns of a line.
pub const COLS: usize = 16;
/// Bytes of a line.
pub const LINE: usize = 4 * ROWS;
/// Bytes behind the last line that can be read, too, so that a line may be read from its second,
/// third or fourth byte on.
const SLACK: usize = LINE;

/// Lines of a group.
pub fn lines(cols: usize) -> usize {
    cols.div_ceil(COLS)
}

/// The code of one element.
pub fn code(weights: &Stored, row: usize, col: usize) -> u8 {
    let line = row / ROWS * lines(weights.shape.cols) + col / COLS;
    let byte = weights.bytes[line * LINE + 4 * (row % ROWS) + col % COLS / 4];
    byte >> (2 * (col % 4)) & 3
}

/// Brings the file's rows into groups. Rows that fill the last group up have codes nobody reads.
pub fn arrange(stored: Stored) -> Stored {
    let Shape { rows, cols } = stored.shape;
    let group_bytes = lines(cols) * LINE;
    let needed = rows.div_ceil(ROWS) * group_bytes + SLACK;
    let mut bytes = vec![0u8; needed + LINE];
    // Lines that begin with a line of the cache are loaded at once.
    let start = bytes.as_ptr().align_offset(LINE).min(LINE);
    let row_bytes = cols.div_ceil(qk256::BLOCK) * qk256::BLOCK_BYTES;
    let groups = bytes[start..].chunks_exact_mut(group_bytes.max(1));
    for (group, rows) in groups.zip(stored.bytes.chunks(ROWS * row_bytes)) {
        for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
            for (line, word) in group.chunks_exact_mut(LINE).zip(row.as_chunks::<4>().0) {
                line[4 * lane..4 * lane + 4].copy_from_slice(word);
            }
        }
    }
    let range = start as u64..(start + needed) as u64;
    Stored {
        bytes: ModelBytes::from_vec(bytes).range(range).expect("inside"),
        ..stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_again() {
        for (rows, cols) in [(1, 1), (3, 300), (16, 16), (17, 255), (40, 513)] {
            let shape = Shape { rows, cols };
            let codes: Vec<u8> = (0..rows * cols).map(|i| (i * 7 % 13 % 4) as u8).collect();
            let file = Stored::from_vec(shape, qk256::encode_codes(&codes, shape), Vec::new());
            let arranged = arrange(file);
            for (i, &expected) in codes.iter().enumerate() {
                assert_eq!(code(&arranged, i / cols, i % cols), expected, "{shape:?}");
            }
        }
    }
}
