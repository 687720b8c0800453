//! Every kernel on every packing at the sizes where blocks begin and end, against the packings'
//! own decoders; and proof that the comparison notices what it is there to notice.
#![forbid(unsafe_code)]

mod chosen;
mod ends;
mod input;
mod oracle;
mod packing;

use std::num::NonZeroUsize;

use engine::flavor::{Shape, i2_s, i2_s_p64};
use engine::format::Format;
use engine::kernels::activation::RowScale;
use engine::kernels::gemm::{Inputs, Stored, outputs};
use engine::kernels::q8_0::Q8Block;
use engine::kernels::q8_k::Q8K;
use engine::kernels::{BlockOrder, Kernel, q8_0, q8_k};
use engine::matrix::Matrix;
use engine::numerics::{Arithmetic, Profile, arithmetic};
use engine::transformer::Multiplier;

use ends::Ends;
use input::{Kind, Random, Weights};
use packing::{PACKINGS, Packing};

use crate::model::random::encoded;

const COLS: [usize; 13] = [31, 32, 33, 64, 127, 128, 129, 192, 255, 256, 300, 512, 1280];
const ROWS: [usize; 4] = [1, 3, 4, 7];
const TOKENS: [usize; 3] = [0, 1, 3];
/// Rows and tokens at which tiles of any kernel begin and end, and columns beyond those a panel
/// unpacks at a time.
const TILES: [(usize, usize, usize); 7] = [
    (31, 640, 13),
    (32, 512, 12),
    (33, 1280, 17),
    (39, 256, 25),
    (64, 128, 31),
    (68, 768, 4),
    (97, 528, 12),
];

/// Any order of x86: all of them add blocks up in eight lanes.
const ORDER: Profile = Profile::GgmlAvx512;

fn x86(kernel: Kernel) -> &'static dyn Arithmetic {
    arithmetic(ORDER, kernel)
}

#[test]
fn every_kernel_agrees_with_the_decoders_at_every_edge() {
    let kernels = Kernel::available();
    assert!(kernels.contains(&Kernel::Scalar));
    let (found, missing): (Vec<_>, Vec<_>) = Kernel::NAMES
        .into_iter()
        .partition(|name| Kernel::from_name(name).is_some());
    assert_eq!(
        found,
        kernels
            .iter()
            .map(|kernel| kernel.name())
            .collect::<Vec<_>>()
    );
    let edges = ROWS
        .into_iter()
        .flat_map(|r| COLS.map(|c| (r, c, &TOKENS[..])));
    let tiles = TILES
        .iter()
        .map(|(r, c, t)| (*r, *c, std::slice::from_ref(t)));
    let cases: Vec<_> = edges.chain(tiles).collect();
    let mut compared = 0;
    for packing in &PACKINGS {
        let before = compared;
        for &(rows, cols, tokens) in &cases {
            let shape = Shape { rows, cols };
            if (packing.holds)(shape) {
                compared += compare(packing, shape, &kernels, tokens);
            }
        }
        assert!(compared > before, "nothing met {}", packing.name);
    }
    println!("{compared} outputs compared by each of {found:?}; missing here: {missing:?}");
}

/// Every kind of activation and number of tokens with every kernel; returns the outputs that each
/// of them was asked for.
fn compare(packing: &Packing, shape: Shape, kernels: &[Kernel], tokens: &[usize]) -> usize {
    let mut random = Random::new(shape.rows * 7919 + shape.cols);
    let weights = Weights::random(shape, &mut random);
    let bytes = (packing.encode)(&weights);
    let matrices = kernels
        .iter()
        .map(|kernel| packing.load(&weights, &bytes, *kernel));
    let matrices: Vec<_> = matrices.collect();
    let profiles = match matrices[0] {
        Matrix::Decoded(_) => &Profile::ALL[..],
        _ => &[ORDER],
    };
    let mut compared = 0;
    for (kind, tokens) in Kind::ALL
        .into_iter()
        .flat_map(|k| tokens.iter().map(move |&t| (k, t)))
    {
        let activations = kind.activations(tokens * shape.cols, &mut random);
        for &profile in profiles {
            let expected = oracle::product(packing, &weights, &bytes, &activations, profile);
            for (kernel, matrix) in kernels.iter().zip(&matrices) {
                let found = multiply(matrix, &activations, arithmetic(profile, *kernel), 1);
                if let Some(difference) = oracle::first_difference(&expected, &found) {
                    let order = (kernel.name(), profile.name());
                    panic!(
                        "{order:?}, {}, {shape:?}, {kind:?}, {tokens} tokens: {difference}",
                        packing.name
                    );
                }
            }
            compared += expected.len();
        }
    }
    compared
}

#[test]
fn the_number_of_threads_changes_nothing() {
    // Rows that no number of threads divides, and more threads than rows.
    let shape = Shape {
        rows: 97,
        cols: 1280,
    };
    let mut random = Random::new(3);
    let weights = Weights::random(Shape { rows: 100, ..shape }, &mut random);
    for packing in &PACKINGS {
        let rows = if (packing.holds)(shape) { 97 } else { 100 };
        let weights = weights.first_rows(rows);
        let bytes = (packing.encode)(&weights);
        let matrix = packing.load(&weights, &bytes, Kernel::best());
        let activations = Kind::Wild.activations(17 * shape.cols, &mut random);
        let alone = multiply(&matrix, &activations, x86(Kernel::best()), 1);
        for threads in [2, 3, 8, 200] {
            let together = multiply(&matrix, &activations, x86(Kernel::best()), threads);
            let difference = oracle::first_difference(&alone, &together);
            assert_eq!(difference, None, "{} on {threads} threads", packing.name);
        }
    }
}

#[test]
fn the_comparison_notices_a_wrong_code_and_a_wrong_order() {
    let shape = Shape { rows: 4, cols: 256 };
    let mut random = Random::new(11);
    let weights = Weights::random(shape, &mut random);
    let activations = Kind::Even.activations(2 * shape.cols, &mut random);
    let mut noticed = 0;
    for kernel in Kernel::available() {
        for packing in &PACKINGS {
            let bytes = (packing.encode)(&weights);
            let expected = oracle::product(packing, &weights, &bytes, &activations, ORDER);
            let mut wrong_code = bytes.clone();
            // Byte 12 holds codes in every packing; the flip of one bit stays a legal code.
            wrong_code[12] = packing.flip(bytes[12]);
            let mut wrong_order = bytes.clone();
            let other = (13..40).find(|&i| bytes[i] != bytes[12] && packing.holds_codes(i));
            wrong_order.swap(12, other.expect("random bytes differ"));
            for planted in [wrong_code, wrong_order] {
                let matrix = packing.load(&weights, &planted, kernel);
                let found = multiply(&matrix, &activations, x86(kernel), 1);
                let difference = oracle::first_difference(&expected, &found);
                assert!(difference.is_some(), "unseen in {}", packing.name);
                noticed += 1;
            }
        }
    }
    assert_eq!(noticed, Kernel::available().len() * PACKINGS.len() * 2);
}

#[test]
fn the_comparison_notices_the_packing_of_another_machine() {
    let shape = Shape { rows: 4, cols: 256 };
    let mut random = Random::new(12);
    let weights = Weights::random(shape, &mut random);
    let activations = Kind::Even.activations(shape.cols, &mut random);
    let [p128, p64, ..] = &PACKINGS;
    let arm = i2_s::encode(&weights.ternary, shape, i2_s_p64::width);
    let expected = oracle::product(p64, &weights, &arm, &activations, ORDER);
    for kernel in Kernel::available() {
        let read_as = |packing: &Packing| {
            let matrix = packing.load(&weights, &arm, kernel);
            let found = multiply(&matrix, &activations, x86(kernel), 1);
            oracle::first_difference(&expected, &found)
        };
        assert_eq!(read_as(p64), None);
        assert!(read_as(p128).is_some(), "P64 bytes read as P128");
    }
}

#[test]
fn the_largest_products_do_not_wrap() {
    // Long enough that every 16-bit sum kept one widening too long has wrapped.
    let cols = 32_768;
    let codes = [
        (0b00_00_00_00u8, 0),
        (0b01_01_01_01, 1),
        (0b10_10_10_10, 2),
        (0xff, 3),
    ];
    // One row and token, and as many as make tiles of every kernel.
    for (kernel, (rows, tokens)) in Kernel::available()
        .into_iter()
        .flat_map(|kernel| [(1, 1), (33, 17)].map(|size| (kernel, size)))
    {
        let format = Format::named("i2_s-p128").expect("a format");
        let gemm = format
            .gemm(BlockOrder::EightLanes, kernel)
            .expect("has kernels");
        let shape = Shape { rows, cols };
        for (byte, code) in codes {
            let weights = Stored::from_vec(shape, vec![byte; rows * cols / 4], vec![1.0]);
            for value in [127i8, -127, -128] {
                let inputs = Inputs {
                    tokens,
                    int8: &vec![value; cols * tokens],
                    scales: &vec![RowScale { scale: 1.0, sum: 0 }; tokens],
                    ..Inputs::default()
                };
                let expected = (code * i32::from(value) * cols as i32) as f32;
                for found in outputs(gemm, &weights, &inputs) {
                    assert_eq!(found, expected, "{}: {code} times {value}", gemm.name());
                }
            }
        }
    }
}

#[test]
fn the_largest_blocks_do_not_wrap() {
    let weights = vec![1.0; 512];
    for kernel in Kernel::available() {
        for value in [1.0f32, -1.0] {
            let (mut large, mut small) = (Vec::new(), Vec::new());
            q8_k::quantise(&vec![value; 512], &mut large);
            q8_0::quantise(&vec![value; 512], &mut small);
            let found = outputs_of_blocks(kernel, &weights, &large, &small);
            for found in found {
                approx::assert_relative_eq!(found, 512.0 * value, max_relative = 2e-3);
            }
        }
    }
}

/// Every byte at an end or any, activations at both ends, and the −128 only a NaN leaves; one
/// row more than pairs have, an odd block and none, and every number of tokens that are computed
/// together, also in the order of a single one.
#[test]
fn blocks_at_their_ends_give_the_bits_of_the_scalar_kernel() {
    let mut random = Random::new(23);
    let mut compared = 0;
    for (name, halves) in HALVES {
        for (fill, tokens) in [Some(0u8), Some(0xff), Some(0x80), Some(0x7f), None]
            .into_iter()
            .flat_map(|fill| [1, 2, 4, 8, 15].map(|tokens| (fill, tokens)))
        {
            for blocks in [4, 5] {
                let format = Format::named(name).expect("a format");
                compared += compare_ends(format, halves, blocks, (fill, tokens), &mut random);
            }
        }
    }
    println!("{compared} outputs compared");
}

/// Rows of so many blocks of these bytes, or of any, in every order; returns the outputs compared.
fn compare_ends(
    format: &Format,
    halves: &[usize],
    blocks: usize,
    (fill, tokens): (Option<u8>, usize),
    random: &mut Random,
) -> usize {
    let cols = blocks * format.block;
    let shape = Shape { rows: 5, cols };
    let mut rows: Vec<u8> = (0..shape.rows * blocks * format.block_bytes)
        .map(|_| fill.unwrap_or(random.next() as u8))
        .collect();
    for block in rows.chunks_exact_mut(format.block_bytes) {
        for &at in halves {
            block[at..at + 2].copy_from_slice(&[random.next() as u8, 0x3c]);
        }
    }
    let weights = Stored::from_vec(shape, rows, vec![1.0]);
    let activations = Ends::new(random, tokens * cols, fill.is_none());
    let mut compared = 0;
    for (order, one_by_one) in BlockOrder::ALL
        .into_iter()
        .flat_map(|order| [false, true].map(|one| (order, one)))
    {
        let inputs = Inputs {
            one_by_one,
            ..activations.inputs(tokens)
        };
        let gemm = |kernel| format.gemm(order, kernel).expect("has kernels");
        let expected = outputs(gemm(Kernel::Scalar), &weights, &inputs);
        for gemm in Kernel::available().into_iter().map(gemm) {
            let found = outputs(gemm, &weights, &inputs);
            let difference = oracle::first_difference(&expected, &found);
            assert_eq!(difference, None, "{}, {fill:?}", gemm.name());
            compared += expected.len();
        }
    }
    compared
}

/// The formats in blocks, and where in a block there are halves.
const HALVES: [(&str, &[usize]); 12] = [
    ("tq1_0", &[52]),
    ("tq2_0", &[64]),
    ("q4_0", &[0]),
    ("q4_1", &[0, 2]),
    ("q5_0", &[0]),
    ("q5_1", &[0, 2]),
    ("q8_0", &[0]),
    ("q2_k", &[80, 82]),
    ("q3_k", &[108]),
    ("q4_k", &[0, 2]),
    ("q5_k", &[0, 2]),
    ("q6_k", &[208]),
];

/// Outputs of the C++ builds (AVX-512 and AVX2 alike) for inputs given by a formula.
#[test]
fn the_block_formats_give_the_recorded_bits() {
    let cols = 1024;
    let series = |step: usize, modulus: usize, divisor: f32| -> Vec<f32> {
        let centred = |i: usize| (i * step % modulus) as f32 - (modulus / 2) as f32;
        (0..cols).map(|i| centred(i) / divisor).collect()
    };
    let (weights, activations) = (series(37, 101, 50.0), series(53, 211, 17.0));
    let (mut large, mut small) = (Vec::new(), Vec::new());
    q8_k::quantise(&activations, &mut large);
    q8_0::quantise(&activations, &mut small);
    for kernel in Kernel::available() {
        let found = outputs_of_blocks(kernel, &weights, &large, &small);
        assert_eq!(
            found.map(f32::to_bits),
            [0x41790110, 0x41790110, 0x413ae3be, 0x412ea85e],
            "{}",
            kernel.name()
        );
    }
}

fn multiply(
    matrix: &Matrix,
    activations: &[f32],
    arithmetic: &'static dyn Arithmetic,
    threads: usize,
) -> Vec<f32> {
    let threads = NonZeroUsize::new(threads).expect("at least one thread");
    let mut out = vec![f32::NAN; activations.len() / matrix.cols() * matrix.rows()];
    Multiplier::new(arithmetic, threads).multiply(matrix, activations, &mut out);
    out
}

/// One output of the kernel of a format, for a row and a token as the kernel reads them.
fn output(kernel: Kernel, format: &str, row: Vec<u8>, cols: usize, inputs: &Inputs) -> f32 {
    let format = Format::named(format).expect("a format");
    let gemm = format
        .gemm(BlockOrder::EightLanes, kernel)
        .expect("has kernels");
    let shape = Shape { rows: 1, cols };
    outputs(gemm, &Stored::from_vec(shape, row, vec![1.0]), inputs)[0]
}

/// The outputs of TQ1_0, TQ2_0, Q6_K and Q8_0.
fn outputs_of_blocks(
    kernel: Kernel,
    weights: &[f32],
    large: &[Q8K],
    small: &[Q8Block],
) -> [f32; 4] {
    let cols = weights.len();
    let shape = Shape { rows: 1, cols };
    let inputs = Inputs {
        tokens: 1,
        q8_k: large,
        q8_0: small,
        ..Inputs::default()
    };
    ["tq1_0", "tq2_0", "q6_k", "q8_0"].map(|format| {
        output(
            kernel,
            format,
            encoded(format, weights, shape),
            cols,
            &inputs,
        )
    })
}
