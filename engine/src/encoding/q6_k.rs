//! Q6_K: 256 elements of six bits, a signed byte of scale for each 16, one f16 scale for all.
//!
//! The block is 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 scales and the f16.
//! Each half of 128 elements is four planes of 32: plane `p` has its nibbles in bytes
//! `32·(p mod 2)..` of the half, low nibble for planes 0 and 1 and high for 2 and 3, and its
//! upper bits at shift `2p`.
#![forbid(unsafe_code)]

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 210;
/// Where the upper bit pairs start.
pub const HIGH_AT: usize = 128;
/// Where the 16 scales start.
pub const SCALES_AT: usize = 192;

const SCALE_AT: usize = 208;
const GROUP: usize = 16;

/// The scale of the whole block.
pub fn scale(block: &[u8; BLOCK_BYTES]) -> f32 {
    half::f16::from_le_bytes([block[SCALE_AT], block[SCALE_AT + 1]]).to_f32()
}

/// The scale of the 16 elements around one.
pub fn group_scale(block: &[u8; BLOCK_BYTES], index: usize) -> i8 {
    block[SCALES_AT + index / GROUP].cast_signed()
}

/// One element without its scales, −32 to 31.
pub fn quant(block: &[u8; BLOCK_BYTES], index: usize) -> i8 {
    let place = Place::of(index);
    let low = block[place.low] >> place.low_shift & 15;
    let high = block[place.high] >> place.high_shift & 3;
    (low | high << 4).cast_signed() - 32
}

/// Decodes whole blocks: block scale times group scale, then times the element.
pub fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes
        .as_chunks()
        .0
        .iter()
        .zip(out.as_chunks_mut::<BLOCK>().0)
    {
        for (index, out) in out.iter_mut().enumerate() {
            let scale = scale(block) * f32::from(group_scale(block, index));
            *out = scale * f32::from(quant(block, index));
        }
    }
}

/// Encodes whole blocks. A valid encoding, not the one with the least error.
pub fn encode(values: &[f32]) -> Vec<u8> {
    let (blocks, rest) = values.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 256");
    blocks.iter().flat_map(encode_block).collect()
}

fn encode_block(values: &[f32; BLOCK]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let groups = values.as_chunks::<GROUP>().0;
    let peak = |group: &[f32]| group.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let block_scale = half::f16::from_f32(peak(values) / (31.0 * 127.0));
    block[SCALE_AT..].copy_from_slice(&block_scale.to_le_bytes());
    let block_scale = block_scale.to_f32();
    for (g, group) in groups.iter().enumerate() {
        let wanted = peak(group) / 31.0;
        let stored = (wanted / block_scale).round().clamp(1.0, 127.0);
        block[SCALES_AT + g] = stored as u8;
        for (i, x) in group.iter().enumerate() {
            let q = (x / (block_scale * stored)).round().clamp(-32.0, 31.0);
            let bits = (q as i8 + 32) as u8;
            let place = Place::of(g * GROUP + i);
            block[place.low] |= (bits & 15) << place.low_shift;
            block[place.high] |= (bits >> 4) << place.high_shift;
        }
    }
    block
}

struct Place {
    low: usize,
    low_shift: usize,
    high: usize,
    high_shift: usize,
}

impl Place {
    fn of(index: usize) -> Place {
        let (half, plane, lane) = (index / 128, index / 32 % 4, index % 32);
        Place {
            low: half * 64 + plane % 2 * 32 + lane,
            low_shift: plane / 2 * 4,
            high: HIGH_AT + half * 32 + lane,
            high_shift: plane * 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_by_hand() {
        let mut block = [0; BLOCK_BYTES];
        block[SCALE_AT..].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
        block[SCALES_AT..SCALE_AT].fill(2);
        block[SCALES_AT + 8 + 6] = 0xff; // second half, plane 3, first 16: −1
        block[64 + 32 + 5] = 0x90; // second half, planes 1 and 3, lane 5: nibbles 0 and 9
        block[HIGH_AT + 32 + 5] = 0b11_00_00_00; // plane 3: upper bits 3
        let mut out = [0.0; BLOCK];
        decode(&block, &mut out);
        // 9 + 3·16 − 32 = 25, times 0.5 · −1.
        assert_eq!(out[128 + 96 + 5], -12.5);
        assert_eq!(out[128 + 32 + 5], -32.0);
        assert_eq!(out[0], -32.0);
    }

    #[test]
    fn the_encoder_stays_within_half_a_step() {
        let values: Vec<f32> = (0..512)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 9.0)
            .collect();
        let mut back = vec![0.0; 512];
        decode(&encode(&values), &mut back);
        for (x, y) in values.iter().zip(&back) {
            assert!((x - y).abs() <= 50.0 / 9.0 / 31.0, "{x} came back as {y}");
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let mut back = [1.0; BLOCK];
        decode(&encode(&[0.0; BLOCK]), &mut back);
        assert_eq!(back, [0.0; BLOCK]);
    }
}
