//! Rows of Q2_K to Q5_K times activations in blocks of 256, in the orders of x86 and of aarch64.
//! Plain Rust, for every machine.
//!
//! What is taken off is the same in all of them: the offset of a group times the sum of its
//! activations, which come with sums of 16.
#![forbid(unsafe_code)]

use super::lanes::{BlockSums, Lanes};
use super::q8_k::Q8K;
use crate::encoding::q4_k::{self, Layout};
use crate::encoding::{q2_k, q3_k};

/// Elements under a scale, in the formats that have 16 scales a block.
const SIXTEENTH: usize = 16;

/// A row of Q2_K in the order of x86: offsets go into the lanes as well, before the products.
pub fn q2_k_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut lanes = Lanes::default();
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        let mut offsets = BlockSums::default();
        for (group, &sum) in activation.sums.iter().enumerate() {
            offsets[group / 2] += i32::from(q2_k::group_offset(block, group)) * i32::from(sum);
        }
        lanes.add_fused(-activation.scale * q2_k::offset(block), offsets);
        lanes.add_fused(
            activation.scale * q2_k::scale(block),
            q2_k_lanes(block, activation),
        );
    }
    lanes.sum()
}

fn q2_k_lanes(block: &[u8; q2_k::BLOCK_BYTES], activation: &Q8K) -> BlockSums {
    in_lanes(activation, |i| {
        i32::from(q2_k::quant(block, i)) * i32::from(q2_k::group_scale(block, i / SIXTEENTH))
    })
}

/// A row of Q2_K in the order of aarch64.
pub fn q2_k_dot_whole(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut sum = 0.0;
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        let offsets = activation
            .sums
            .iter()
            .enumerate()
            .map(|(group, &sum)| i32::from(q2_k::group_offset(block, group)) * i32::from(sum));
        let offsets: i32 = offsets.sum();
        sum = (-activation.scale * q2_k::offset(block)).mul_add(offsets as f32, sum);
        let integers: i32 = q2_k_lanes(block, activation).iter().sum();
        sum = (activation.scale * q2_k::scale(block)).mul_add(integers as f32, sum);
    }
    sum
}

/// A row of Q3_K in the order of x86.
pub fn q3_k_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut lanes = Lanes::default();
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        lanes.add_fused(
            activation.scale * q3_k::scale(block),
            q3_k_lanes(block, activation),
        );
    }
    lanes.sum()
}

fn q3_k_lanes(block: &[u8; q3_k::BLOCK_BYTES], activation: &Q8K) -> BlockSums {
    in_lanes(activation, |i| {
        i32::from(q3_k::quant(block, i)) * i32::from(q3_k::group_scale(block, i / SIXTEENTH))
    })
}

/// A row of Q3_K in the order of aarch64.
pub fn q3_k_dot_whole(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut sum = 0.0;
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        let integers: i32 = q3_k_lanes(block, activation).iter().sum();
        sum = (activation.scale * q3_k::scale(block)).mul_add(integers as f32, sum);
    }
    sum
}

/// A row of Q4_K in the order of x86: offsets have four sums of their own.
pub fn q4_k_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let (mut lanes, mut offsets) = (Lanes::default(), [0f32; 4]);
    for (block, activation) in whole(q4_k::Q4_K, row).zip(activations) {
        let scale = -activation.scale * q4_k::offset(block);
        let groups = offsets_of(block, activation);
        for (sum, pair) in offsets.iter_mut().zip(groups.as_chunks::<2>().0) {
            *sum = scale.mul_add((pair[0] + pair[1]) as f32, *sum);
        }
        let sums = q4_k_lanes(q4_k::Q4_K, block, activation);
        lanes.add_fused(activation.scale * q4_k::scale(block), sums);
    }
    let [a, b, c, d] = offsets;
    lanes.sum() + ((a + c) + (b + d))
}

/// A row of Q5_K in the order of x86: offsets have one sum of their own.
pub fn q5_k_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let (mut lanes, mut offsets) = (Lanes::default(), 0.0);
    for (block, activation) in whole(q4_k::Q5_K, row).zip(activations) {
        let scale = -activation.scale * q4_k::offset(block);
        let groups: i32 = offsets_of(block, activation).iter().sum();
        offsets = scale.mul_add(groups as f32, offsets);
        let sums = q4_k_lanes(q4_k::Q5_K, block, activation);
        lanes.add_fused(activation.scale * q4_k::scale(block), sums);
    }
    lanes.sum() + offsets
}

/// A row of Q4_K in the order of aarch64: first the offsets are taken off.
pub fn q4_k_dot_whole(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut sum = 0.0;
    for (block, activation) in whole(q4_k::Q4_K, row).zip(activations) {
        let (integers, offsets) = whole_sums(q4_k::Q4_K, block, activation);
        sum = (-(activation.scale * q4_k::offset(block))).mul_add(offsets, sum);
        sum = (activation.scale * q4_k::scale(block)).mul_add(integers, sum);
    }
    sum
}

/// A row of Q5_K in the order of aarch64: a block's offsets leave its products first.
pub fn q5_k_dot_whole(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut sum = 0.0;
    for (block, activation) in whole(q4_k::Q5_K, row).zip(activations) {
        let (integers, offsets) = whole_sums(q4_k::Q5_K, block, activation);
        let taken_off = activation.scale * q4_k::offset(block) * offsets;
        sum += (activation.scale * q4_k::scale(block)).mul_add(integers, -taken_off);
    }
    sum
}

fn whole_sums(layout: Layout, block: &[u8], activation: &Q8K) -> (f32, f32) {
    let integers: i32 = q4_k_lanes(layout, block, activation).iter().sum();
    let offsets: i32 = offsets_of(block, activation).iter().sum();
    (integers as f32, offsets as f32)
}

fn q4_k_lanes(layout: Layout, block: &[u8], activation: &Q8K) -> BlockSums {
    in_lanes(activation, |i| {
        let (scale, _) = q4_k::group(block, i / q4_k::GROUP);
        i32::from(layout.quant(block, i)) * i32::from(scale)
    })
}

/// The offset of each group of 32 times the sum of its activations.
fn offsets_of(block: &[u8], activation: &Q8K) -> [i32; 8] {
    std::array::from_fn(|group| {
        let (_, offset) = q4_k::group(block, group);
        let sums = &activation.sums[2 * group..][..2];
        i32::from(offset) * (i32::from(sums[0]) + i32::from(sums[1]))
    })
}

/// Weight times activation in eight lanes. One stays within 32 · 4 · 32 · 128, or
/// 32 · 31 · 63 · 128.
fn in_lanes(activation: &Q8K, weight: impl Fn(usize) -> i32) -> BlockSums {
    let mut sums = BlockSums::default();
    for (i, &value) in activation.values.iter().enumerate() {
        sums[Lanes::of(i)] += weight(i) * i32::from(value);
    }
    sums
}

fn whole(layout: Layout, row: &[u8]) -> impl Iterator<Item = &[u8]> {
    row.chunks_exact(layout.block_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Quantiser;
    use crate::kernels::q8_k;

    /// Decoded values and decoded activations, multiplied in double.
    fn product(weights: &[f32], activations: &[Q8K]) -> f64 {
        let values = activations
            .iter()
            .flat_map(|block| block.values.map(|v| f64::from(v) * f64::from(block.scale)));
        weights
            .iter()
            .zip(values)
            .map(|(w, x)| f64::from(*w) * x)
            .sum()
    }

    #[test]
    fn every_order_gives_the_product_of_the_decoded_values() {
        let weights: Vec<f32> = (0..512).map(|i| (i as f32 * 0.37).sin() + 0.2).collect();
        let values: Vec<f32> = (0..512).map(|i| (i as f32 * 0.73).cos()).collect();
        let mut activations = Vec::new();
        q8_k::quantise(&values, &mut activations);
        type Encode = fn(&[f32], &Quantiser, &mut Vec<u8>);
        type Decode = fn(&[u8], &mut [f32]);
        type Dot = fn(&[u8], &[Q8K]) -> f32;
        let formats: [(Encode, Decode, [Dot; 2]); 4] = [
            (q2_k::encode, q2_k::decode, [q2_k_dot, q2_k_dot_whole]),
            (q3_k::encode, q3_k::decode, [q3_k_dot, q3_k_dot_whole]),
            (
                |row, quantiser, out| q4_k::Q4_K.encode(row, quantiser, out),
                |bytes, out| q4_k::Q4_K.decode(bytes, out),
                [q4_k_dot, q4_k_dot_whole],
            ),
            (
                |row, quantiser, out| q4_k::Q5_K.encode(row, quantiser, out),
                |bytes, out| q4_k::Q5_K.decode(bytes, out),
                [q5_k_dot, q5_k_dot_whole],
            ),
        ];
        for (encode, decode, dots) in formats {
            let (mut row, mut decoded) = (Vec::new(), vec![0.0; 512]);
            encode(&weights, &Quantiser::default(), &mut row);
            decode(&row, &mut decoded);
            let wanted = product(&decoded, &activations);
            for dot in dots {
                let found = f64::from(dot(&row, &activations));
                assert!((found - wanted).abs() < 1e-3, "{found}, not {wanted}");
            }
        }
    }
}
