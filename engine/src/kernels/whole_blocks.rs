//! Block-quantised rows as aarch64 builds multiply them: the integers of a block of 256 are added
//! up whole, those of a block of 32 in four lanes. Plain Rust, for every machine.
#![forbid(unsafe_code)]

use super::q8_0::Q8Block;
use super::q8_k::Q8K;
use crate::encoding::{q6_k, q8_0};
use crate::flavor::{tq1_0, tq2_0};

/// Four running sums.
type Quad = [f32; 4];
/// Integer sums of a block of 32, one a lane.
pub type Lanes = [i32; 4];

/// Fewest tokens whose products with Q8_0 rows are tiles.
pub const TILES_FROM: usize = 2;

/// Dot product of one TQ1_0 row with quantised activations.
pub fn tq1_0_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let weight = |block: &_, index| i32::from(tq1_0::trit(block, index)) - 1;
    dot(row, activations, tq1_0::scale, weight)
}

/// Dot product of one TQ2_0 row with quantised activations.
pub fn tq2_0_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let weight = |block: &_, index| i32::from(tq2_0::trit(block, index)) - 1;
    dot(row, activations, tq2_0::scale, weight)
}

/// Dot product of one Q6_K row with quantised activations. A block stays within
/// 256 · 32 · 127 · 128.
pub fn q6_k_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let weight = |block: &_, index| {
        i32::from(q6_k::quant(block, index)) * i32::from(q6_k::group_scale(block, index))
    };
    dot(row, activations, q6_k::scale, weight)
}

/// One sum, block after block fused into it.
fn dot<const BYTES: usize>(
    row: &[u8],
    activations: &[Q8K],
    scale: impl Fn(&[u8; BYTES]) -> f32,
    weight: impl Fn(&[u8; BYTES], usize) -> i32,
) -> f32 {
    let mut sum = 0f32;
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        let values = activation.values.iter().enumerate();
        let integers: i32 = values
            .map(|(index, &value)| weight(block, index) * i32::from(value))
            .sum();
        sum = (scale(block) * activation.scale).mul_add(integers as f32, sum);
    }
    sum
}

/// Sums of the even and of the odd blocks, four lanes each.
#[derive(Default)]
pub struct Quads([Quad; 2]);

impl Quads {
    /// Those sums, first those of the even blocks.
    pub fn of(sums: [[f32; 4]; 2]) -> Self {
        Quads(sums)
    }

    /// Adds a block of 32 products to the even (0) or odd (1) sums: four neighbours to a lane,
    /// then the next four to the next.
    pub fn add(&mut self, which: usize, scale: f32, products: impl Iterator<Item = i32>) {
        let mut sums = [0; 4];
        products
            .enumerate()
            .for_each(|(index, product)| sums[index / 4 % 4] += product);
        for (lane, integers) in self.0[which].iter_mut().zip(sums) {
            *lane = (integers as f32).mul_add(scale, *lane);
        }
    }

    /// All lanes added up.
    pub fn sum(&self) -> f32 {
        add_neighbours(self.0[0]) + add_neighbours(self.0[1])
    }

    /// The lanes of the even sums added up, where there are no others.
    pub fn even(&self) -> f32 {
        add_neighbours(self.0[0])
    }
}

/// Dot product of one Q8_0 row with the quantised activations of one of so many tokens. Several
/// tokens keep one vector of sums. A single one keeps a vector for the even and one for the odd
/// blocks, and a last even block without an odd one is a scalar.
pub fn q8_0_dot(row: &[u8], activations: &[Q8Block], tokens: usize) -> f32 {
    q8_0_dot_with(row, activations, tokens, lane_sums)
}

/// The same with integer sums of a block from anywhere.
#[inline(always)]
pub fn q8_0_dot_with(
    row: &[u8],
    activations: &[Q8Block],
    tokens: usize,
    lane_sums: impl Fn(&[u8; q8_0::BLOCK_BYTES], &Q8Block) -> Lanes,
) -> f32 {
    let add_block = |quad: &mut Quad, block: &_, activation: &Q8Block| {
        let scale = q8_0::scale(block) * activation.scale;
        for (lane, integers) in quad.iter_mut().zip(lane_sums(block, activation)) {
            *lane = (integers as f32).mul_add(scale, *lane);
        }
    };
    let blocks = row.as_chunks::<{ q8_0::BLOCK_BYTES }>().0;
    if tokens >= TILES_FROM {
        let mut quad = Quad::default();
        for (block, activation) in blocks.iter().zip(activations) {
            add_block(&mut quad, block, activation);
        }
        return add_neighbours(quad);
    }
    let (pairs, rest) = blocks.as_chunks::<2>();
    let (activation_pairs, activation_rest) = activations.as_chunks::<2>();
    let (mut even, mut odd) = (Quad::default(), Quad::default());
    for (pair, activations) in pairs.iter().zip(activation_pairs) {
        add_block(&mut even, &pair[0], &activations[0]);
        add_block(&mut odd, &pair[1], &activations[1]);
    }
    let mut sum = add_neighbours(even) + add_neighbours(odd);
    for (block, activation) in rest.iter().zip(activation_rest) {
        let integers: i32 = lane_sums(block, activation).iter().sum();
        let scale = q8_0::scale(block) * activation.scale;
        sum = (integers as f32).mul_add(scale, sum);
    }
    sum
}

/// Four neighbours to a lane, then the next four to the next.
fn lane_sums(block: &[u8; q8_0::BLOCK_BYTES], activation: &Q8Block) -> Lanes {
    let mut sums = [0; 4];
    for (index, &value) in activation.values.iter().enumerate() {
        sums[index / 4 % 4] += i32::from(q8_0::quant(block, index)) * i32::from(value);
    }
    sums
}

fn add_neighbours([v0, v1, v2, v3]: Quad) -> f32 {
    (v0 + v1) + (v2 + v3)
}

/// Quantises whole blocks of 32, appending to `out`.
pub fn quantise_q8_0(values: &[f32], out: &mut Vec<Q8Block>) {
    let (blocks, rest) = values.as_chunks();
    assert!(rest.is_empty(), "whole blocks of 32");
    out.extend(blocks.iter().map(quantise_block));
}

/// One block of 32. Unlike on x86 the inverse is that of the rounded scale, and what does not fit
/// an integer is cut to its lowest byte.
pub fn quantise_block(block: &[f32; q8_0::BLOCK]) -> Q8Block {
    let (scale, inverse) = scale_and_inverse(block);
    Q8Block {
        scale: half::f16::from_f32(scale).to_f32(),
        values: block.map(|x| (x * inverse).round_ties_even() as i32 as i8),
    }
}

/// What the integers are multiplied by, and what they were made with.
pub(super) fn scale_and_inverse(block: &[f32; q8_0::BLOCK]) -> (f32, f32) {
    let scale = block.iter().fold(0f32, |max, x| max.max(x.abs())) / 127.0;
    (scale, if scale == 0.0 { 0.0 } else { 1.0 / scale })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{q8_0 as x86, q8_k, scalar};

    /// 2²⁴, beside which a one is lost and two ones that met before are not.
    const LARGE: f32 = 16_777_216.0;

    /// A Q8_0 block whose scale and one value are given, the other values being zero.
    fn q8_0_block(scale: f32, index: usize, value: i8) -> Vec<u8> {
        let mut block = half::f16::from_f32(scale).to_le_bytes().to_vec();
        block.extend((0..32).map(|i| if i == index { value as u8 } else { 0 }));
        block
    }

    /// Activations of one, with these scales.
    fn ones(scales: &[f32]) -> Vec<Q8Block> {
        let block = |&scale| Q8Block {
            scale,
            values: [1; 32],
        };
        scales.iter().map(block).collect()
    }

    #[test]
    fn a_single_token_separates_even_and_odd_blocks() {
        let activations = ones(&[LARGE / 64.0, 1.0, 1.0, 1.0]);
        let (large, one) = (q8_0_block(1.0, 0, 64), q8_0_block(1.0, 0, 1));
        let nothing = q8_0_block(0.0, 0, 0);
        let row = [large, one.clone(), nothing, one].concat();
        assert_eq!(q8_0_dot(&row, &activations, 1), LARGE + 2.0);
        assert_eq!(q8_0_dot(&row, &activations, 2), LARGE);
    }

    #[test]
    fn lanes_repeat_after_sixteen_and_neighbours_meet_first() {
        let activations = ones(&[LARGE / 64.0, 1.0, 1.0]);
        let of = |second, third| {
            let blocks = [(0, 64), (second, 1), (third, 1)];
            let row = blocks.map(|(index, value)| q8_0_block(1.0, index, value));
            q8_0_dot(&row.concat(), &activations, 2)
        };
        assert_eq!(of(8, 12), LARGE + 2.0, "lanes 2 and 3 meet before 0");
        assert_eq!(of(8, 24), LARGE + 2.0, "lane 2 twice");
        assert_eq!(of(4, 8), LARGE, "lane 1 meets 0 first");
        assert_eq!(of(0, 16), LARGE, "lane 0 twice");
    }

    #[test]
    fn the_last_block_is_a_scalar_fused_in() {
        // 31 · (1 + 2⁻¹⁰)² has a bit more than a single holds.
        let nearly = 1.0 + 1.0 / 1024.0;
        let activations = ones(&[1.0, 1.0, nearly]);
        let first = q8_0_block(1.0 + 1.0 / 512.0, 0, -31);
        let row = [first, q8_0_block(0.0, 0, 0), q8_0_block(nearly, 5, 31)].concat();
        assert_eq!(q8_0_dot(&row, &activations, 1), 31.0 * 2f32.powi(-20));
        // Two values of it are one integer: as lanes of a vector they would meet 2²⁴ in turn.
        let activations = ones(&[LARGE / 64.0, 1.0, 1.0]);
        let mut last = q8_0_block(1.0, 0, 1);
        last[2 + 8] = 1;
        let row = [q8_0_block(1.0, 0, 64), q8_0_block(0.0, 0, 0), last].concat();
        assert_eq!(q8_0_dot(&row, &activations, 1), LARGE + 2.0);
        assert_eq!(q8_0_dot(&row, &activations, 2), LARGE);
    }

    /// A TQ2_0 block whose scale and one trit are given, the other trits being zero.
    fn tq2_0_block(scale: f32, byte: usize, digit: u8) -> Vec<u8> {
        let mut block = vec![0b0101_0101u8; 64];
        block[byte] = 0b0101_0100 | digit;
        block.extend(half::f16::from_f32(scale).to_le_bytes());
        block
    }

    fn activation(scale: f32, index: usize, value: i8) -> Q8K {
        let mut values = [0; 256];
        values[index] = value;
        Q8K::new(scale, values)
    }

    #[test]
    fn blocks_of_256_are_added_one_after_the_other() {
        let row = [(0, 2), (4, 2), (20, 2)].map(|(byte, digit)| tq2_0_block(1.0, byte, digit));
        let row = row.concat();
        let activations = [
            activation(LARGE / 64.0, 0, 64),
            activation(1.0, 4, 1),
            activation(1.0, 20, 1),
        ];
        assert_eq!(tq2_0_dot(&row, &activations), LARGE);
        let in_lanes = scalar::tq2_0_dot(&row, &activations);
        assert_eq!(in_lanes, LARGE + 2.0, "lanes 1 and 5 meet before 0");
    }

    #[test]
    fn blocks_of_256_are_fused_in() {
        let nearly = 1.0 + 1.0 / 1024.0;
        let row = [
            tq2_0_block(1.0 + 1.0 / 512.0, 0, 0),
            tq2_0_block(nearly, 0, 2),
        ]
        .concat();
        let activations = [activation(1.0, 0, 31), activation(nearly, 0, 31)];
        assert_eq!(tq2_0_dot(&row, &activations), 31.0 * 2f32.powi(-20));
        let rounded = scalar::tq2_0_dot(&row, &activations);
        assert_eq!(rounded, 32.0 * 2f32.powi(-20));
    }

    #[test]
    fn a_single_block_of_scale_one_is_an_integer_in_every_order() {
        let mut bytes = Vec::new();
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let values: Vec<f32> = (0..256).map(|_| f32::from(next()) - 127.5).collect();
        let (mut large, mut small) = (Vec::new(), Vec::new());
        q8_k::quantise(&values, &mut large);
        x86::quantise(&values[..32], &mut small);
        (large[0].scale, small[0].scale) = (1.0, 1.0);
        bytes.extend((0..256).map(|_| next()));
        let one = half::f16::ONE.to_le_bytes();
        let ending = |len: usize| [&bytes[..len - 2], &one].concat();
        let (tq1_0, q6_k) = (ending(tq1_0::BLOCK_BYTES), ending(q6_k::BLOCK_BYTES));
        let tq2_0: Vec<u8> = bytes.iter().map(|b| b & (!b >> 1 & 0x55 | 0xaa)).collect();
        let tq2_0 = [&tq2_0[..tq2_0::BLOCK_BYTES - 2], &one].concat();
        let q8_0 = [&one, &bytes[..32]].concat();
        let pairs = [
            (tq1_0_dot(&tq1_0, &large), scalar::tq1_0_dot(&tq1_0, &large)),
            (tq2_0_dot(&tq2_0, &large), scalar::tq2_0_dot(&tq2_0, &large)),
            (q6_k_dot(&q6_k, &large), scalar::q6_k_dot(&q6_k, &large)),
            (q8_0_dot(&q8_0, &small, 1), scalar::q8_0_dot(&q8_0, &small)),
            (q8_0_dot(&q8_0, &small, 2), scalar::q8_0_dot(&q8_0, &small)),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours, theirs);
            assert_ne!(ours, 0.0);
        }
    }

    #[test]
    fn the_inverse_is_that_of_the_rounded_scale() {
        // Half of the largest value is the tie 63.5 if the inverse is exact enough. Here it is
        // rounded twice, on x86 once.
        let mut differing = 0;
        for i in 1..1000u16 {
            let mut values = [0f32; 32];
            (values[0], values[1]) = (f32::from(i), f32::from(i) / 2.0);
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            quantise_q8_0(&values, &mut ours);
            x86::quantise(&values, &mut theirs);
            assert_eq!(ours[0].scale, theirs[0].scale);
            assert!((63..=64).contains(&ours[0].values[1]));
            differing += usize::from(ours != theirs);
        }
        assert!(differing > 0, "the two quantisers can be told apart");
    }

    #[test]
    fn what_fits_no_integer_is_cut() {
        // The scale is subnormal and its inverse infinite: the products saturate and lose all
        // but their lowest byte.
        let mut values = [1e-42f32; 32];
        (values[1], values[2]) = (-1e-42, 0.0);
        let mut out = Vec::new();
        quantise_q8_0(&values, &mut out);
        let block = &out[0];
        assert_eq!((block.scale, &block.values[..3]), (0.0, &[-1, 0, 0][..]));
    }
}
