//! What a product must be, computed without any kernel, and the comparison of bits.

use engine::encoding::{q6_k, q8_0};
use engine::flavor::{Flavor, Shape, i2_s, tq1_0, tq2_0};
use engine::format::{Format, Product};
use engine::kernels::gemm::{Inputs, Stored, outputs};
use engine::kernels::{BlockOrder, Kernel, activation, q8_1};
use engine::kernels::{q8_0 as blocks_of_32, q8_k as blocks_of_256};
use engine::numerics::dense::Rows;
use engine::numerics::{Profile, arithmetic};

use crate::kernels::input::Weights;
use crate::kernels::packing::Packing;

/// The product as the packing's own definition has it.
pub fn product(
    packing: &Packing,
    weights: &Weights,
    bytes: &[u8],
    activations: &[f32],
    profile: Profile,
) -> Vec<f32> {
    let Shape { rows, cols } = weights.shape;
    let tokens = activations.chunks_exact(cols);
    let outputs = tokens.flat_map(|token| (0..rows).map(move |row| (token, row)));
    let values = values(packing.name, weights, bytes);
    let together = activations.len() / cols;
    let output = |(token, row): (&[f32], usize)| match packing.name {
        _ if values.is_some() => {
            let values = values.as_ref().expect("some");
            as_floats(&values[row * cols..], token, (profile, together))
        }
        "tq1_0" | "tq2_0" => trits(packing.name, bytes, row, token),
        "q6_k" => six_bits(bytes, row, token),
        "q8_0" => eight_bits(bytes, row, token),
        name => match name.parse::<Flavor>() {
            Ok(flavor) => match flavor.i2_s_packing() {
                Some(place) => i2_s_output(bytes, weights.shape, row, token, place),
                None => unreachable!("the others are decoded"),
            },
            Err(_) => portable(name, weights.shape, bytes, row, token),
        },
    };
    outputs.map(output).collect()
}

/// The first output whose bits differ, in words.
pub fn first_difference(expected: &[f32], found: &[f32]) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!("{} outputs for {}", found.len(), expected.len()));
    }
    let differs = |&i: &usize| expected[i].to_bits() != found[i].to_bits();
    let at = (0..expected.len()).find(differs)?;
    Some(format!(
        "output {at}: expected {:e}, found {:e}",
        expected[at], found[at]
    ))
}

/// An exact sum in 64 bits and the four float operations.
fn i2_s_output(bytes: &[u8], shape: Shape, row: usize, token: &[f32], place: i2_s::Packing) -> f32 {
    let mut values = vec![0; token.len()];
    let activation = activation::quantise_row(token, &mut values);
    let products = values.iter().enumerate().map(|(col, &value)| {
        i64::from(i2_s::code(bytes, shape, row, col, place)) * i64::from(value)
    });
    let sum: i64 = products.sum();
    let values: i64 = values.iter().map(|&value| i64::from(value)).sum();
    (sum as f32 - values as f32) / activation.scale * i2_s::scale(bytes, shape)
}

/// The profile's product of the decoded values as F32, of one of so many tokens.
fn as_floats(values: &[f32], token: &[f32], (profile, tokens): (Profile, usize)) -> f32 {
    let row = values.iter().take(token.len()).map(|x| x.to_le_bytes());
    let row: Vec<[u8; 4]> = row.collect();
    let mut out = [0.0];
    let arithmetic = arithmetic(profile, Kernel::Scalar);
    arithmetic.dot_f32(Rows::of_one(&row), token, tokens, &mut out);
    out[0]
}

/// Every value of a format without a product of its own, element by element where it is a packing.
fn values(name: &str, weights: &Weights, bytes: &[u8]) -> Option<Vec<f32>> {
    let format = Format::named(name).expect("a format");
    if !matches!(format.product, Product::Decoded) {
        return None;
    }
    let shape = weights.shape;
    let mut values = vec![0.0; shape.rows * shape.cols];
    let stored = Stored::from_vec(shape, bytes.to_vec(), weights.scales.clone());
    for (row, out) in values.chunks_exact_mut(shape.cols).enumerate() {
        match format.flavor {
            Some(flavor) => flavor.decode_row(bytes, &weights.scales, shape, row, out),
            None => (format.decode_row)(&stored, row, out),
        }
    }
    Some(values)
}

/// By the portable kernel, which the C++ itself is asked about by `harness kernels`.
fn portable(name: &str, shape: Shape, bytes: &[u8], row: usize, token: &[f32]) -> f32 {
    let format = Format::named(name).expect("a format");
    let stride = bytes.len() / shape.rows;
    let stored = bytes[row * stride..(row + 1) * stride].to_vec();
    let gemm = format.gemm(BlockOrder::EightLanes, Kernel::Scalar);
    let gemm = gemm.expect("has kernels");
    let mut large = Vec::new();
    if token.len().is_multiple_of(256) {
        blocks_of_256::quantise(token, &mut large);
    }
    let blocks = token.as_chunks().0.iter();
    let small: Vec<_> = blocks.clone().map(blocks_of_32::quantise_block).collect();
    let sums: Vec<_> = blocks.map(q8_1::quantise_block).collect();
    let inputs = Inputs {
        tokens: 1,
        plain: token,
        q8_0: &small,
        q8_1: &sums,
        q8_k: &large,
        ..Inputs::default()
    };
    let shape = Shape { rows: 1, ..shape };
    outputs(gemm, &Stored::from_vec(shape, stored, Vec::new()), &inputs)[0]
}

fn trits(name: &str, bytes: &[u8], row: usize, token: &[f32]) -> f32 {
    let mut blocks = Vec::new();
    blocks_of_256::quantise(token, &mut blocks);
    let mut lanes = [0.0f32; 8];
    for (b, block) in blocks.iter().enumerate() {
        let index = row * blocks.len() + b;
        let (scale, digit): (f32, Box<dyn Fn(usize) -> u8>) = match name {
            "tq1_0" => {
                let packed = &bytes.as_chunks().0[index];
                (tq1_0::scale(packed), Box::new(|e| tq1_0::trit(packed, e)))
            }
            _ => {
                let packed = &bytes.as_chunks().0[index];
                (tq2_0::scale(packed), Box::new(|e| tq2_0::trit(packed, e)))
            }
        };
        let scale = block.scale * scale;
        for (lane, total) in lanes.iter_mut().enumerate() {
            let products =
                of_lane(lane, 256).map(|e| i64::from(digit(e)) * value(&block.values, e));
            let given_back: i64 = (32 * lane..32 * lane + 32)
                .map(|e| value(&block.values, e))
                .sum();
            *total += (products.sum::<i64>() - given_back) as f32 * scale;
        }
    }
    sum_of(lanes)
}

fn six_bits(bytes: &[u8], row: usize, token: &[f32]) -> f32 {
    let mut blocks = Vec::new();
    blocks_of_256::quantise(token, &mut blocks);
    let mut lanes = [0.0f32; 8];
    for (b, block) in blocks.iter().enumerate() {
        let packed = &bytes.as_chunks().0[row * blocks.len() + b];
        let scale = block.scale * q6_k::scale(packed);
        for (lane, total) in lanes.iter_mut().enumerate() {
            let weight =
                |e| i64::from(q6_k::quant(packed, e)) * i64::from(q6_k::group_scale(packed, e));
            let products = of_lane(lane, 256).map(|e| weight(e) * value(&block.values, e));
            *total = scale.mul_add(products.sum::<i64>() as f32, *total);
        }
    }
    sum_of(lanes)
}

fn eight_bits(bytes: &[u8], row: usize, token: &[f32]) -> f32 {
    let mut blocks = Vec::new();
    blocks_of_32::quantise(token, &mut blocks);
    let mut lanes = [0.0f32; 8];
    for (b, block) in blocks.iter().enumerate() {
        let packed = &bytes.as_chunks().0[row * blocks.len() + b];
        let scale = q8_0::scale(packed) * block.scale;
        for (lane, total) in lanes.iter_mut().enumerate() {
            let weight = |e| i64::from(q8_0::quant(packed, e));
            let products = of_lane(lane, 32).map(|e| weight(e) * value(&block.values, e));
            *total = scale.mul_add(products.sum::<i64>() as f32, *total);
        }
    }
    sum_of(lanes)
}

/// The elements of a block that meet in a lane: four neighbours of every 32.
fn of_lane(lane: usize, block: usize) -> impl Iterator<Item = usize> {
    let four = move |start| (0..4).map(move |i| start + 4 * lane + i);
    (0..block).step_by(32).flat_map(four)
}

fn value(values: &[i8], index: usize) -> i64 {
    i64::from(values[index])
}

fn sum_of(l: [f32; 8]) -> f32 {
    ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}
