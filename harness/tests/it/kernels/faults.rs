//! Faults of single kernels that real engines have had, as damage done to answers.
#![forbid(unsafe_code)]

use engine::flavor::{Shape, i2_s, i2_s_p64, i2_s_p128};
use engine::kernels::Kernel;
use engine::numerics::Profile;
use harness::reference::isolation::Call;
use harness::runner::kernels::engine::EngineKernels;
use harness::runner::kernels::family::Family;
use harness::runner::kernels::question::Answer;
use harness::runner::kernels::question::Computer;
use harness::runner::kernels::question::Question;

/// What goes wrong: an answer is replaced or changed.
pub type Damage = fn(&Question, &mut Answer);

fn nearest_away(x: f32) -> i8 {
    x.round() as i8
}

/// Two-bit codes as if blocks were 64 long.
pub fn as_p64(question: &Question, answer: &mut Answer) {
    let Call::Encode { columns, rows, .. } = question.call else {
        return;
    };
    let shape = Shape {
        rows,
        cols: columns,
    };
    answer.bytes = i2_s::encode(&question.values, shape, i2_s_p64::width);
}

fn codes_backwards(_: &Question, answer: &mut Answer) {
    let quarters = answer.bytes.chunks_exact_mut(128);
    quarters.for_each(|block| block.rotate_left(32));
}

fn activation_ties_away(question: &Question, answer: &mut Answer) {
    let scale = answer.values[0];
    for (byte, x) in answer.bytes.iter_mut().zip(&question.values) {
        *byte = nearest_away(x * scale).cast_unsigned();
    }
}

fn activation_without_floor(question: &Question, answer: &mut Answer) {
    let max = question.values.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    if max > 0.0 && max < 1e-5 {
        answer.values[0] = 127.0 / max;
    }
}

pub fn sum_forgotten(_: &Question, answer: &mut Answer) {
    answer.sum = Some(0);
}

/// A product whose weights are read as if blocks were 64 long.
fn dot_as_p64(question: &Question, answer: &mut Answer) {
    let Call::Dot {
        columns, weights, ..
    } = question.call
    else {
        return;
    };
    let (weights, row) = question.bytes.split_at(weights);
    let shape = Shape {
        rows: 1,
        cols: columns,
    };
    let products = weights.chunks_exact(columns / 4).map(|weights| {
        let code = |col| i32::from(i2_s::code(weights, shape, 0, col, i2_s_p64::width));
        (0..columns)
            .map(|col| code(col) * i32::from(row[col].cast_signed()))
            .sum::<i32>() as f32
    });
    answer.values = products.collect();
}

/// The last code of the last row is another one.
fn one_code_flipped(question: &Question, answer: &mut Answer) {
    let Call::Dot {
        columns, weights, ..
    } = question.call
    else {
        return;
    };
    let (weights, row) = question.bytes.split_at(weights);
    let last = &weights[weights.len() - columns / 4..];
    let shape = Shape {
        rows: 1,
        cols: columns,
    };
    let code = i2_s::code(last, shape, 0, columns - 1, i2_s_p128::width);
    let wrong = i32::from(code ^ 1) - i32::from(code);
    let product = answer.values.last_mut().expect("a row");
    *product += (wrong * i32::from(row[columns - 1].cast_signed())) as f32;
}

/// Adds up in 16 bits that saturate, which is neither exact nor the reference's wrap.
fn saturating(_: &Question, answer: &mut Answer) {
    let ends = f32::from(i16::MIN) * 16.0..=f32::from(i16::MAX) * 16.0;
    for value in &mut answer.values {
        *value = value.clamp(*ends.start(), *ends.end());
    }
}

/// The products of another order of the same operations.
fn other_profile(question: &Question, answer: &mut Answer) {
    let mut other = EngineKernels::new(Profile::GgmlAvx2, Kernel::Scalar);
    *answer = other.compute(question).expect("the engine answers");
}

fn whole_blocks(question: &Question, answer: &mut Answer) {
    let mut other = EngineKernels::new(Profile::GgmlNeon, Kernel::Scalar);
    *answer = other.compute(question).expect("the engine answers");
}

fn subnormals_lost(question: &Question, answer: &mut Answer) {
    for (pair, x) in answer.bytes.chunks_exact_mut(2).zip(&question.values) {
        if x.is_subnormal() {
            pair.fill(0);
        }
    }
}

fn halves_truncated(question: &Question, answer: &mut Answer) {
    let halves = answer.bytes.as_chunks_mut::<2>().0;
    for (bytes, &x) in halves.iter_mut().zip(&question.values) {
        let half = half::f16::from_le_bytes(*bytes);
        if half.is_finite() && half.to_f32().abs() > x.abs() {
            *bytes = half::f16::from_bits(half.to_bits() - 1).to_le_bytes();
        }
    }
}

fn bfloats_truncated(question: &Question, answer: &mut Answer) {
    for (bytes, x) in answer.bytes.chunks_exact_mut(2).zip(&question.values) {
        bytes.copy_from_slice(&x.to_le_bytes()[2..]);
    }
}

fn nan_made_quiet(_: &Question, answer: &mut Answer) {
    for value in &mut answer.values {
        if value.is_nan() {
            *value = f32::from_bits(value.to_bits() | 1 << 22);
        }
    }
}

fn signs_of_zeros_lost(_: &Question, answer: &mut Answer) {
    answer.values.iter_mut().for_each(|value| *value += 0.0);
}

/// The nibbles or bit pairs of a block, read from the other end.
fn first_two_swapped(_: &Question, answer: &mut Answer) {
    answer.values.swap(0, 1);
}

fn one_ulp(_: &Question, answer: &mut Answer) {
    let last = answer.values.last_mut().expect("a value");
    *last = f32::from_bits(last.to_bits() ^ 1);
}

fn scale_off_by_1e_4(_: &Question, answer: &mut Answer) {
    answer.values.iter_mut().for_each(|value| *value *= 1.0001);
}

fn quantised_ties_away<const SCALE: usize, const BLOCK: usize>(q: &Question, a: &mut Answer) {
    let stored = a.bytes.chunks_exact_mut(SCALE + BLOCK);
    for (bytes, values) in stored.zip(q.values.chunks_exact(BLOCK)) {
        let max = values.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        let inverse = if max == 0.0 { 0.0 } else { 127.0 / max };
        for (byte, x) in bytes[SCALE..].iter_mut().zip(values) {
            *byte = nearest_away(x * inverse).cast_unsigned();
        }
    }
}

/// The largest with a positive sign becomes 127 instead of −127.
fn peak_positive(_: &Question, answer: &mut Answer) {
    for block in answer.bytes.as_chunks_mut::<292>().0 {
        let codes = &mut block[4..260];
        codes
            .iter_mut()
            .for_each(|code| *code = code.wrapping_neg());
    }
}

fn digits_rounded_down(_: &Question, answer: &mut Answer) {
    for block in answer.bytes.as_chunks_mut::<54>().0 {
        block[0] = block[0].wrapping_sub(1);
    }
}

fn byte_flipped(_: &Question, answer: &mut Answer) {
    let middle = answer.bytes.len() / 2;
    answer.bytes[middle] ^= 4;
}

/// Kernel, fault, and how the answers are damaged: those below, and for every kernel without one
/// what its kind suffers from.
pub fn faults() -> Vec<(String, &'static str, Damage)> {
    let listed = FAULTS
        .iter()
        .map(|(kernel, fault, damage)| (kernel.to_string(), *fault, *damage));
    let mut all: Vec<(String, &str, Damage)> = listed.collect();
    for family in Family::all() {
        let name = family.name();
        if all.iter().any(|(kernel, ..)| *kernel == name) {
            continue;
        }
        // No order of sums is that of another processor where rows are decoded first.
        let decoded_first = family.decodes_first();
        let (fault, damage): (_, Damage) = match name.rsplit_once('-') {
            Some((_, "decode")) => ("scale off by 1e-4", scale_off_by_1e_4),
            Some((_, "dot")) if decoded_first => ("one ulp", one_ulp),
            Some((_, "dot")) => ("sums of another ISA", whole_blocks),
            Some((_, "activation")) => ("sum of another block", sums_turned),
            Some((_, "weighted")) => ("importance ignored", importance_ignored),
            _ => ("one bit", byte_flipped),
        };
        all.push((name, fault, damage));
    }
    all
}

fn sums_turned(_: &Question, answer: &mut Answer) {
    for block in answer.bytes.as_chunks_mut::<36>().0 {
        block[3] ^= 0x80;
    }
}

/// As the function without weights, where that makes a difference; a byte anywhere where not.
fn importance_ignored(question: &Question, answer: &mut Answer) {
    let format = question.format().expect("of a format");
    let columns = question.matrix().1.map_or(1, <[f32]>::len);
    let plain = Question::encode(format, columns, question.matrix().0);
    let mut ours = EngineKernels::new(Profile::GgmlAvx512, Kernel::Scalar);
    let unweighted = ours.compute(&plain).expect("the engine answers");
    if unweighted == *answer {
        byte_flipped(question, answer);
    } else {
        *answer = unweighted;
    }
}

const FAULTS: [(&str, &str, Damage); 35] = [
    ("i2_s-encode", "blocks of 64", as_p64),
    ("i2_s-encode", "one bit", byte_flipped),
    ("i2_s-decode", "quarters in another order", codes_backwards),
    (
        "i8_s-activation",
        "ties away from zero",
        activation_ties_away,
    ),
    (
        "i8_s-activation",
        "no floor under tiny rows",
        activation_without_floor,
    ),
    ("i8_s-activation", "sum forgotten", sum_forgotten),
    ("i2_s-dot", "blocks of 64", dot_as_p64),
    ("i2_s-dot", "one code flipped", one_code_flipped),
    ("i2_s-dot", "saturating sums", saturating),
    ("f32-dot", "lanes of another ISA", other_profile),
    ("f32-dot", "one ulp", one_ulp),
    ("f16-encode", "truncated", halves_truncated),
    ("f16-decode", "zeros without sign", signs_of_zeros_lost),
    ("f16-decode", "neighbours swapped", first_two_swapped),
    ("f16-activation", "truncated", halves_truncated),
    ("f16-activation", "subnormals as zeros", subnormals_lost),
    ("f16-dot", "lanes of another ISA", other_profile),
    ("bf16-encode", "truncated", bfloats_truncated),
    ("bf16-decode", "NaN made quiet", nan_made_quiet),
    ("bf16-activation", "subnormals as zeros", subnormals_lost),
    ("bf16-dot", "lanes of another ISA", other_profile),
    ("q8_0-encode", "one bit", byte_flipped),
    ("q8_0-decode", "scale off by 1e-4", scale_off_by_1e_4),
    (
        "q8_0-activation",
        "ties away from zero",
        quantised_ties_away::<2, 32>,
    ),
    ("q8_0-dot", "sums of another ISA", whole_blocks),
    ("q6_k-decode", "neighbours swapped", first_two_swapped),
    (
        "q8_k-activation",
        "ties away, without a sign",
        quantised_ties_away::<4, 256>,
    ),
    ("q8_k-activation", "signs turned", peak_positive),
    ("q6_k-dot", "sums of another ISA", whole_blocks),
    (
        "tq1_0-encode",
        "fractions rounded down",
        digits_rounded_down,
    ),
    ("tq1_0-decode", "scale off by 1e-4", scale_off_by_1e_4),
    ("tq1_0-dot", "sums of another ISA", whole_blocks),
    ("tq2_0-encode", "one bit", byte_flipped),
    ("tq2_0-decode", "neighbours swapped", first_two_swapped),
    ("tq2_0-dot", "sums of another ISA", whole_blocks),
];
