//! I2_S with four rows in one byte, as x86 builds without their parallel kernels write it.
//!
//! Rows are taken in groups of four. Byte `g · cols + col` holds that column of rows `4g`,
//! `4g + 1`, `4g + 2` and `4g + 3`, the first in its two highest bits. No known reader decodes
//! what that writer writes, and nothing in a file gives it away: it is used only when asked for.
#![forbid(unsafe_code)]

use super::{Shape, i2_s};

/// Rows that share a byte.
pub const ROWS: usize = 4;

/// Bytes a tensor of that shape takes, or `None` where the packing cannot hold it.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    i2_s::bytes_needed(shape).filter(|_| shape.rows.is_multiple_of(ROWS))
}

/// Bytes of a block: see [`i2_s::Packing`].
pub fn width(shape: Shape) -> usize {
    shape.cols
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
        let mut values = vec![0.0; shape.cols];
        let stored = (bytes, i2_s::scale(bytes, shape));
        i2_s::decode_row(stored, shape, row, width, &mut values);
        values[col]
    }

    #[test]
    fn a_byte_is_one_column_of_four_rows() {
        let mut bytes = vec![0b01_01_01_01; 64 + 32];
        bytes[5] = 0b10_00_01_10;
        bytes[64..68].copy_from_slice(&1.0f32.to_le_bytes());
        let shape = Shape { rows: 4, cols: 64 };
        let column: Vec<f32> = (0..4).map(|row| value(&bytes, shape, row, 5)).collect();
        assert_eq!(column, [1.0, -1.0, 0.0, 1.0]);
        assert_eq!(value(&bytes, shape, 0, 4), 0.0);
        assert_eq!(bytes_needed(Shape { rows: 3, cols: 64 }), None);
    }
}
