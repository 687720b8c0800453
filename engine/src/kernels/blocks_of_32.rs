//! Rows of Q4_0, Q4_1, Q5_0 and Q5_1 times quantised activations, in the orders of x86 and of
//! aarch64. Plain Rust, for every machine.
#![forbid(unsafe_code)]

use super::lanes::{BlockSums, Lanes};
use super::q8_0::Q8Block;
use super::q8_1::Q8Sum;
use super::whole_blocks::Quads;
use crate::encoding::blocks_of_32::{BLOCK, Layout};

/// A row of a format without minimum, in the order of x86. A lane of a block stays within
/// 4 · 16 · 128.
///
/// The sign of a weight goes to the activation, and −128 has no negative: it stays.
pub fn around_zero(layout: Layout, row: &[u8], activations: &[Q8Block]) -> f32 {
    let mut lanes = Lanes::default();
    for (block, activation) in blocks(layout, row).zip(activations) {
        let mut sums = BlockSums::default();
        for (index, &value) in activation.values.iter().enumerate() {
            let weight = layout.quant(block, index);
            let value = if weight < 0 {
                value.wrapping_neg()
            } else {
                value
            };
            sums[Lanes::of(index)] += i32::from(weight.unsigned_abs()) * i32::from(value);
        }
        lanes.add_fused(layout.scale(block) * activation.scale, sums);
    }
    lanes.sum()
}

/// A row of a format with a minimum, in the order of x86. The minima are added up beside it.
pub fn above_minimum(layout: Layout, row: &[u8], activations: &[Q8Sum]) -> f32 {
    let (mut lanes, mut minima) = (Lanes::default(), 0.0);
    for (block, activation) in blocks(layout, row).zip(activations) {
        let mut sums = BlockSums::default();
        for (index, product) in products(layout, block, &activation.block).enumerate() {
            sums[Lanes::of(index)] += product;
        }
        minima = layout.minimum(block).mul_add(activation.sum, minima);
        lanes.add_fused(layout.scale(block) * activation.block.scale, sums);
    }
    lanes.sum() + minima
}

/// A row of a format without minimum, in the order of aarch64: `in_pairs` where even and odd
/// blocks have sums of their own.
pub fn around_zero_whole(
    layout: Layout,
    row: &[u8],
    activations: &[Q8Block],
    in_pairs: bool,
) -> f32 {
    let mut quads = Quads::default();
    let count = activations.len();
    for (i, (block, activation)) in blocks(layout, row).zip(activations).enumerate() {
        let sums = products(layout, block, activation);
        let (weight, other) = (layout.scale(block), activation.scale);
        if in_pairs && i + 1 == count && i % 2 == 0 {
            let integers = sums.sum::<i32>() as f32;
            return if layout.bits == 4 {
                (integers * weight).mul_add(other, quads.sum())
            } else {
                (weight * other).mul_add(integers, quads.sum())
            };
        }
        quads.add(if in_pairs { i % 2 } else { 0 }, weight * other, sums);
    }
    if in_pairs { quads.sum() } else { quads.even() }
}

/// A row of a format with a minimum, in the order of aarch64.
pub fn above_minimum_whole(layout: Layout, row: &[u8], activations: &[Q8Sum]) -> f32 {
    let (mut quads, mut minima) = (Quads::default(), [0.0f32; 2]);
    let (pairs, rest) = activations.as_chunks::<2>();
    let mut rows = blocks(layout, row);
    for pair in pairs {
        let both = [rows.next().expect("a block"), rows.next().expect("a block")];
        let terms = |i: usize| (layout.minimum(both[i]), pair[i].sum);
        let ((m0, s0), (m1, s1)) = (terms(0), terms(1));
        if layout.bits == 4 {
            minima[0] += m0.mul_add(s0, m1 * s1);
        } else {
            minima[0] = m0.mul_add(s0, minima[0]);
            minima[1] = m1.mul_add(s1, minima[1]);
        }
        for (i, activation) in pair.iter().enumerate() {
            let scale = layout.scale(both[i]) * activation.block.scale;
            quads.add(i, scale, products(layout, both[i], &activation.block));
        }
    }
    let mut sum = quads.sum() + minima[0];
    if layout.bits == 5 {
        sum += minima[1];
    }
    for (block, activation) in rows.zip(rest) {
        let integers: i32 = products(layout, block, &activation.block).sum();
        let scale = layout.scale(block) * activation.block.scale;
        let minimum = layout.minimum(block) * activation.sum;
        sum += scale.mul_add(integers as f32, minimum);
    }
    sum
}

fn blocks(layout: Layout, row: &[u8]) -> impl Iterator<Item = &[u8]> {
    row.chunks_exact(layout.block_bytes())
}

/// Weight times activation, of one block.
fn products(layout: Layout, block: &[u8], activation: &Q8Block) -> impl Iterator<Item = i32> {
    let values = activation.values;
    (0..BLOCK).map(move |i| i32::from(layout.quant(block, i)) * i32::from(values[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Quantiser;
    use crate::encoding::blocks_of_32::{Q4_0, Q4_1, Q5_0, Q5_1};
    use crate::kernels::{q8_0, q8_1};

    /// Sums that are exact do not depend on the order, so all must give what decoding gives.
    #[test]
    fn small_integers_give_the_product_of_the_decoded_values_in_every_order() {
        // Peaks of −8, 7 and 127 keep the scales at 1.
        let weights: Vec<f32> = (0..96)
            .map(|i| ((i * 5 + i / 32) % 16) as f32 - 8.0)
            .collect();
        let values: Vec<f32> = (0..96)
            .map(|i| {
                if i % 32 == 3 {
                    127.0
                } else {
                    (i % 9) as f32 - 4.0
                }
            })
            .collect();
        let wanted: f32 = weights.iter().zip(&values).map(|(w, x)| w * x).sum();
        let small: Vec<_> = values
            .as_chunks()
            .0
            .iter()
            .map(q8_0::quantise_block)
            .collect();
        let sums: Vec<_> = values
            .as_chunks()
            .0
            .iter()
            .map(q8_1::quantise_block)
            .collect();
        let encoded = |layout: Layout| {
            let mut row = Vec::new();
            layout.encode(&weights, &Quantiser::default(), &mut row);
            let mut back = vec![0.0; 96];
            layout.decode(&row, &mut back);
            (back == weights).then_some(row)
        };
        let row = encoded(Q4_0).expect("four bits hold them");
        assert_eq!(around_zero(Q4_0, &row, &small), wanted);
        for in_pairs in [true, false] {
            assert_eq!(around_zero_whole(Q4_0, &row, &small, in_pairs), wanted);
        }
        let row = encoded(Q4_1).expect("a minimum of −8 and a scale of 1");
        assert_eq!(above_minimum(Q4_1, &row, &sums), wanted);
        assert_eq!(above_minimum_whole(Q4_1, &row, &sums), wanted);
        // Five bits halve the step of these values: fractions that are exact as well.
        for layout in [Q5_0, Q5_1] {
            let wide: Vec<f32> = (0..96)
                .map(|i| ((i * 5 + i / 32) % 32) as f32 - 16.0)
                .collect();
            let wanted: f32 = wide.iter().zip(&values).map(|(w, x)| w * x).sum();
            let mut row = Vec::new();
            layout.encode(&wide, &Quantiser::default(), &mut row);
            if layout.has_minimum {
                assert_eq!(above_minimum(layout, &row, &sums), wanted);
                assert_eq!(above_minimum_whole(layout, &row, &sums), wanted);
            } else {
                assert_eq!(around_zero(layout, &row, &small), wanted);
                assert_eq!(around_zero_whole(layout, &row, &small, true), wanted);
            }
        }
    }
}
