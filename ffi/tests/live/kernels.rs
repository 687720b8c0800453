//! Single kernels answer what the formats say.
#![forbid(unsafe_code)]

use ffi::{Error, Status};

use crate::bench::{Bench, Check, bits};

pub const CHECKS: &[Check] = &[
    Check::any("kernels::f16_and_q8_0_come_back", come_back),
    Check::any(
        "kernels::what_is_not_there_is_unsupported_or_invalid",
        not_there,
    ),
    Check::bitnet("kernels::i2_s_packs_signs_and_one_scale", pack),
    Check::bitnet("kernels::i8_s_scales_by_the_largest", activation),
    Check::bitnet("kernels::the_i2_s_dot_is_the_integer_sum", dot),
    Check::bitnet("kernels::the_i2_s_dot_wraps_on_x86", wrap),
];

const F32: i32 = 0;
const F16: i32 = 1;
const Q8_0: i32 = 8;
const Q8_1: i32 = 9;
const I2_S: i32 = 36;
const I8_S: i32 = 37;

/// Ternary, with every sign at every place of a byte.
fn ternary(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| [-0.75, 0.0, 0.75, 0.75, 0.0][(i * 7 + i / 32) % 5])
        .collect()
}

/// Deterministic, of both signs, with a single largest.
fn row(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| ((i * 37 % 101) as f32 - 50.0) / 32.0)
        .collect()
}

fn come_back(bench: &Bench) {
    let kernels = bench.library.kernels();
    let values = row(64);
    for kind in [F32, F16] {
        let stored = kernels.quantize(kind, &values, 64, None).unwrap();
        let back = kernels.dequantize(kind, &stored, 64).unwrap();
        assert!(
            bits(&back) == bits(&values),
            "multiples of 1/32 are exact in type {kind}"
        );
    }
    let stored = kernels.quantize(Q8_0, &values, 64, None).unwrap();
    assert_eq!(stored.len(), 2 * 34);
    let back = kernels.dequantize(Q8_0, &stored, 64).unwrap();
    assert!(
        values
            .iter()
            .zip(&back)
            .all(|(a, b)| (a - b).abs() <= 1.6 / 127.0)
    );
    let facts = kernels.describe(Q8_0).unwrap();
    assert_eq!(
        (facts.name.as_str(), facts.block_size, facts.block_bytes),
        ("q8_0", 32, 34)
    );
    let partner = facts.dot_partner.expect("it has a dot product");
    let other = kernels.quantize_activation(partner, &values).unwrap();
    let product = kernels.dot(Q8_0, 64, &stored, &other.bytes).unwrap();
    let exact: f32 = values.iter().map(|v| v * v).sum();
    assert!(
        (product - exact).abs() < exact / 50.0,
        "{product} for {exact}"
    );
}

fn not_there(bench: &Bench) {
    let kernels = bench.library.kernels();
    let refused = |result: Result<Vec<u8>, Error>| match result.unwrap_err() {
        Error::Refused {
            status, message, ..
        } => (status, message),
        other => panic!("{other}"),
    };
    let (status, message) = refused(kernels.quantize(Q8_1, &row(32), 32, None));
    assert_eq!(status, Status::Unsupported);
    assert!(message.contains("q8_1"), "{message}");
    assert_eq!(
        refused(kernels.quantize(Q8_0, &row(33), 33, None)).0,
        Status::Invalid
    );
    assert_eq!(
        refused(kernels.quantize(-1, &row(32), 32, None)).0,
        Status::Invalid
    );
    assert_eq!(
        refused(kernels.quantize(9999, &row(32), 32, None)).0,
        Status::Invalid
    );
    assert_eq!(
        refused(kernels.quantize(4, &row(32), 32, None)).0,
        Status::Invalid,
        "a removed type"
    );
    let ragged = kernels.quantize(F32, &row(31), 32, None).unwrap_err();
    assert!(matches!(ragged, Error::Argument { .. }), "{ragged}");
    let short = kernels.dequantize(Q8_0, &[0; 33], 32).unwrap_err();
    assert!(
        matches!(
            short,
            Error::Refused {
                status: Status::Invalid,
                ..
            }
        ),
        "{short}"
    );
}

fn pack(bench: &Bench) {
    let kernels = bench.library.kernels();
    let values = ternary(256);
    let stored = kernels.quantize(I2_S, &values, 128, None).unwrap();
    assert_eq!(stored.len(), 256 / 4 + 32);
    for (i, value) in values.iter().enumerate() {
        let (block, element) = (i / 128, i % 128);
        let byte = stored[32 * block + element % 32];
        let code = byte >> (6 - 2 * (element / 32)) & 3;
        assert_eq!(f32::from(code) - 1.0, value / 0.75, "element {i}");
    }
    assert_eq!(stored[64..68], 0.75_f32.to_le_bytes());
    let back = kernels.dequantize(I2_S, &stored[..32], 128).unwrap_err();
    assert!(
        back.is_unsupported() || matches!(back, Error::Refused { .. }),
        "{back}"
    );
    let ragged = kernels.quantize(I2_S, &ternary(96), 96, None).unwrap_err();
    assert!(
        matches!(
            ragged,
            Error::Refused {
                status: Status::Invalid,
                ..
            }
        ),
        "{ragged}"
    );
}

fn activation(bench: &Bench) {
    let values = row(128);
    let quantised = bench
        .library
        .kernels()
        .quantize_activation(I8_S, &values)
        .unwrap();
    let largest = values
        .iter()
        .fold(0.0_f64, |max, &v| max.max(f64::from(v).abs()));
    assert_eq!(
        quantised.scale.to_bits(),
        ((127.0 / largest) as f32).to_bits()
    );
    let codes: Vec<_> = quantised
        .bytes
        .iter()
        .map(|&b| i32::from(b as i8))
        .collect();
    for (value, code) in values.iter().zip(&codes) {
        assert_eq!((value * quantised.scale).round_ties_even(), *code as f32);
    }
    assert_eq!(quantised.sum, codes.iter().sum::<i32>());
}

fn dot(bench: &Bench) {
    let kernels = bench.library.kernels();
    let weights = ternary(256);
    let stored = kernels.quantize(I2_S, &weights, 256, None).unwrap();
    let row = kernels.quantize_activation(I8_S, &row(256)).unwrap();
    let sum = kernels.dot(I2_S, 256, &stored, &row.bytes).unwrap();
    let codes = row.bytes.iter().map(|&b| i32::from(b as i8));
    let expected: i32 = weights
        .iter()
        .zip(codes)
        .map(|(w, a)| ((w / 0.75) as i32 + 1) * a)
        .sum();
    assert_eq!(sum, expected as f32);
    let short = kernels
        .dot(I2_S, 256, &stored[..32], &row.bytes)
        .unwrap_err();
    assert!(
        matches!(
            short,
            Error::Refused {
                status: Status::Invalid,
                ..
            }
        ),
        "{short}"
    );
}

/// A hazard of the reference's own: it adds up 256 products in 16 bits. Locked in, so that a
/// reference that mends it is noticed.
fn wrap(bench: &Bench) {
    let kernels = bench.library.kernels();
    let stored = kernels.quantize(I2_S, &[1.0; 4096], 4096, None).unwrap();
    let row = kernels.quantize_activation(I8_S, &[1.0; 4096]).unwrap();
    assert_eq!((row.bytes[0], row.sum), (127, 127 * 4096));
    let sum = kernels.dot(I2_S, 4096, &stored, &row.bytes).unwrap();
    let in_16_bits = i32::from((256 * 2 * 127) as u16 as i16);
    let expected = if cfg!(target_arch = "x86_64") {
        16 * in_16_bits
    } else {
        2 * 127 * 4096
    };
    assert_eq!(sum, expected as f32);
}
