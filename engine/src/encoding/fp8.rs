//! OxiBonsai's F8_E4M3 and F8_E5M2: 32 floats of eight bits, then an f16 scale.
//!
//! E4M3 has a bias of 7, no infinities and one NaN of each sign; E5M2 is the upper byte of an f16.
//! The largest magnitude of a block becomes the largest finite float.
#![forbid(unsafe_code)]

use super::author::Quantiser;

/// Elements of a block.
pub const BLOCK: usize = 32;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 34;
/// Where in a block the scale is.
pub const SCALE_AT: usize = 32;

/// How eight bits are a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fp8 {
    /// Four bits of exponent, three of mantissa.
    E4M3,
    /// Five and two.
    E5M2,
}

impl Fp8 {
    /// The float that a byte is.
    pub fn value(self, byte: u8) -> f32 {
        match self {
            Fp8::E5M2 => half::f16::from_bits(u16::from(byte) << 8).to_f32(),
            Fp8::E4M3 => {
                let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
                let magnitude = match (exponent, byte & 7) {
                    (15, 7) => f32::NAN,
                    (0, _) => mantissa / 512.0,
                    _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
                };
                magnitude.copysign(f32::from(byte.cast_signed()))
            }
        }
    }

    /// The byte of the largest finite float.
    fn largest(self) -> u8 {
        match self {
            Fp8::E4M3 => 0x7e,
            Fp8::E5M2 => 0x7b,
        }
    }

    /// The nearest byte, ties to even; what is too large becomes the largest finite one.
    fn nearest(self, x: f32) -> u8 {
        if x.is_nan() {
            return 0x7f;
        }
        let size = x.abs().min(self.value(self.largest()));
        // Bytes without their sign are in the order of their values.
        let (mut below, mut above) = (0, self.largest());
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            if self.value(middle) <= size {
                below = middle;
            } else {
                above = middle;
            }
        }
        let off = |byte: u8| (f64::from(self.value(byte)) - f64::from(size)).abs();
        let is_above = off(above) < off(below) || off(above) == off(below) && above % 2 == 0;
        let byte = if is_above { above } else { below };
        byte | u8::from(x.is_sign_negative()) << 7
    }

    /// Decodes whole blocks.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let blocks = bytes.as_chunks::<BLOCK_BYTES>().0.iter();
        for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
            let scale = half::f16::from_le_bytes([block[SCALE_AT], block[SCALE_AT + 1]]).to_f32();
            for (out, &byte) in out.iter_mut().zip(block) {
                *out = self.value(byte) * scale;
            }
        }
    }

    /// Encodes a row of whole blocks.
    pub fn encode(self, row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        assert!(rest.is_empty(), "whole blocks of 32");
        for values in blocks {
            let peak = values.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            let scale = quantiser.author.half(peak / self.value(self.largest()));
            let kept = half::f16::from_le_bytes(scale).to_f32();
            let inverse = if kept == 0.0 { 0.0 } else { 1.0 / kept };
            out.extend(values.map(|x| self.nearest(x * inverse)));
            out.extend(scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bytes_of_both() {
        let e4m3 = [0x00, 0x01, 0x08, 0x38, 0x7e, 0xc0].map(|byte| Fp8::E4M3.value(byte));
        assert_eq!(e4m3, [0.0, 1.0 / 512.0, 1.0 / 64.0, 1.0, 448.0, -2.0]);
        assert!(Fp8::E4M3.value(0x7f).is_nan() && Fp8::E4M3.value(0xff).is_nan());
        let e5m2 = [0x3c, 0x7b, 0x7c].map(|byte| Fp8::E5M2.value(byte));
        assert_eq!(e5m2, [1.0, 57344.0, f32::INFINITY]);
    }

    #[test]
    fn every_finite_byte_is_nearest_to_itself_and_ties_go_to_even() {
        for format in [Fp8::E4M3, Fp8::E5M2] {
            for byte in 0..=format.largest() {
                assert_eq!(format.nearest(format.value(byte)), byte);
                assert_eq!(format.nearest(-format.value(byte)), byte | 0x80);
            }
            assert_eq!(format.nearest(f32::MAX), format.largest(), "no infinity");
        }
        // Between 1 and 1.125, and between 1.125 and 1.25.
        assert_eq!([1.0625, 1.1875].map(|x| Fp8::E4M3.nearest(x)), [0x38, 0x3a]);
    }

    #[test]
    fn a_block_keeps_its_peak_finite_whatever_the_scale_is_rounded_to() {
        for format in [Fp8::E4M3, Fp8::E5M2] {
            for peak in 1..2000 {
                let mut values = [0.25; BLOCK];
                values[7] = peak as f32 * 0.0173;
                let (mut bytes, mut back) = (Vec::new(), [0.0; BLOCK]);
                format.encode(&values, &Quantiser::default(), &mut bytes);
                format.decode(&bytes, &mut back);
                assert_eq!(bytes.len(), BLOCK_BYTES);
                let off = (back[7] - values[7]).abs() / values[7];
                assert!(
                    off < 0.13,
                    "{format:?}: {} came back as {}",
                    values[7],
                    back[7]
                );
            }
        }
    }
}
