//! OxiBonsai's INT8: bytes with a sign, row after row, and behind all of them a single-precision
//! scale a row, the largest magnitude over 127.
#![forbid(unsafe_code)]

/// Bytes a scale takes.
pub const SCALE_BYTES: usize = 4;

/// Decodes one of so many rows.
pub fn decode_row(bytes: &[u8], rows: usize, row: usize, out: &mut [f32]) {
    let cols = out.len();
    let scale_at = rows * cols + SCALE_BYTES * row;
    let scale = bytes[scale_at..].first_chunk().expect("a scale a row");
    let scale = f32::from_le_bytes(*scale);
    for (out, q) in out.iter_mut().zip(&bytes[row * cols..]) {
        *out = f32::from(q.cast_signed()) * scale;
    }
}

/// Encodes rows of so many elements.
pub fn encode(values: &[f32], cols: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() + SCALE_BYTES * (values.len() / cols));
    let mut scales = Vec::new();
    for row in values.chunks_exact(cols) {
        let peak = row.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        let scale = peak / 127.0;
        let units = |x: &f32| if scale > 0.0 { x / scale } else { 0.0 };
        let code = |x: &f32| units(x).round().clamp(-127.0, 127.0) as i8;
        bytes.extend(row.iter().map(|x| code(x).cast_unsigned()));
        scales.extend(scale.to_le_bytes());
    }
    bytes.extend(scales);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_largest_magnitude_and_a_scale_of_its_own() {
        let bytes = encode(&[0.5, -127.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0], 4);
        assert_eq!(
            bytes[..8],
            [1, 0x81, 2, 0, 0, 0, 0, 0],
            "halves go away from zero"
        );
        assert_eq!(bytes.len(), 8 + 2 * SCALE_BYTES);
        let mut back = [9.0; 4];
        decode_row(&bytes, 2, 0, &mut back);
        assert_eq!(back, [1.0, -127.0, 2.0, 0.0]);
        decode_row(&bytes, 2, 1, &mut back);
        assert_eq!(back, [0.0; 4]);
    }
}
