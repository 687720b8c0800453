//! Plain floats: F32, F16 and BF16, little endian, one after the other.
#![forbid(unsafe_code)]

use half::slice::HalfFloatSliceExt;

use super::Quantiser;

/// How one element is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the formats
pub enum Float {
    F32,
    F16,
    Bf16,
}

impl Float {
    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Float::F32 => "f32",
            Float::F16 => "f16",
            Float::Bf16 => "bf16",
        }
    }

    /// Bytes of one element.
    pub fn element_bytes(self) -> usize {
        match self {
            Float::F32 => 4,
            Float::F16 | Float::Bf16 => 2,
        }
    }

    /// Exactly the values that are written, widened to `f32`.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        assert_eq!(bytes.len(), out.len() * self.element_bytes(), "{self:?}");
        match self {
            Float::F32 => decode_with(bytes, out, f32::from_le_bytes),
            Float::F16 => decode_halves(bytes, out),
            // The upper half of the bits: unlike a conversion it leaves a signalling NaN one.
            Float::Bf16 => decode_with(bytes, out, |[low, high]| {
                f32::from_le_bytes([0, 0, low, high])
            }),
        }
    }

    /// Writes values, rounding to nearest, ties to even.
    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        let mut out = Vec::with_capacity(values.len() * self.element_bytes());
        self.encode_row(values, &Quantiser::default(), &mut out);
        out
    }

    /// Appends values, as a program writes them.
    pub fn encode_row(self, values: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
        let values = values.iter();
        match self {
            Float::F32 => out.extend(values.flat_map(|x| x.to_le_bytes())),
            Float::F16 => out.extend(values.flat_map(|&x| quantiser.author.half(x))),
            Float::Bf16 => {
                out.extend(values.flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()));
            }
        }
    }
}

/// Some at once: one by one each would ask which instructions there are.
fn decode_halves(bytes: &[u8], out: &mut [f32]) {
    let mut halves = [half::f16::ZERO; 64];
    for (bytes, out) in bytes.chunks(128).zip(out.chunks_mut(64)) {
        let halves = &mut halves[..out.len()];
        for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks().0) {
            *half = half::f16::from_le_bytes(*bytes);
        }
        halves.convert_to_f32_slice(out);
    }
}

fn decode_with<const N: usize>(bytes: &[u8], out: &mut [f32], element: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
        *out = element(*bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bytes_of_one_and_a_half() {
        let bytes: [(Float, &[u8]); 3] = [
            (Float::F32, &[0, 0, 0xc0, 0x3f]),
            (Float::F16, &[0, 0x3e]),
            (Float::Bf16, &[0xc0, 0x3f]),
        ];
        for (format, bytes) in bytes {
            let mut out = [0.0];
            format.decode(bytes, &mut out);
            assert_eq!(out, [1.5], "{format:?}");
            assert_eq!(format.encode(&out), bytes, "{format:?}");
        }
    }

    #[test]
    fn a_signalling_bfloat16_keeps_its_bits() {
        let mut out = [0.0];
        Float::Bf16.decode(&[0x81, 0x7f], &mut out);
        assert_eq!(out[0].to_bits(), 0x7f81_0000);
    }
}
