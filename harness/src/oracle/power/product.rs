//! Faults of the product of ternary weights with int8 activations, planted in the first query
//! projection: the product is computed once more from the file's codes, with one thing wrong.
#![forbid(unsafe_code)]

use engine::flavor::{Shape, i2_s, i2_s_p128};
use engine::kernels::activation::nearest_int;

use super::scene::{At, Scene};
use super::{EDGES, Fault, made, numeric};

const QUERY: &str = "Qcur-0|MUL_MAT#0";

/// All of them.
pub const FAULTS: &[Fault] = &[
    numeric(
        "act-sum-dropped",
        QUERY,
        made(|s, at| {
            product(
                s,
                at,
                |row| Row {
                    sum: 0,
                    ..even(row)
                },
                dot,
            )
        }),
    ),
    numeric(
        "act-scale-for-128",
        QUERY,
        made(|s, at| product(s, at, |row| Row::quantise(row, 128.0, nearest_int), dot)),
    ),
    numeric(
        "act-128-wraps",
        QUERY,
        made(|s, at| product(s, at, wrapping, dot)),
    ),
    numeric(
        "act-largest-without-its-sign",
        QUERY,
        made(|s, at| product(s, at, largest_positive, dot)),
    ),
    numeric(
        "act-rounding-truncates",
        QUERY,
        made(|s, at| product(s, at, |row| Row::quantise(row, 127.0, |x| x as i32), dot)),
    ),
    numeric(
        "act-scale-in-f16",
        QUERY,
        made(|s, at| product(s, at, scale_in_f16, dot)),
    ),
    numeric(
        "act-scale-per-block",
        QUERY,
        made(|s, at| product(s, at, even, per_block)),
    ),
    numeric(
        "act-not-quantised",
        QUERY,
        made(|s, at| product(s, at, even, in_floats)),
    ),
    numeric(
        "act-scale-multiplied-first",
        QUERY,
        made(|s, at| product(s, at, even, other_order)),
    ),
    numeric(
        "sum-in-f16",
        QUERY,
        made(|s, at| product(s, at, even, sum_in_f16)),
    ),
    numeric(
        "act-rounds-half-away",
        QUERY,
        made(|s, at| product(s, at, |row| Row::quantise(row, 127.0, half_away), dot)),
    )
    .on(EDGES),
    numeric(
        "sum-saturates-in-int16",
        QUERY,
        made(|s, at| {
            product(s, at, even, |row, codes, weight| {
                let sum = terms(row, codes).fold(0, |sum, t| (sum + t).clamp(-0x8000, 0x7fff));
                finished(row, sum, weight)
            })
        }),
    )
    .on(EDGES),
    numeric(
        "sum-wraps-in-int16",
        QUERY,
        made(|s, at| {
            product(s, at, even, |row, codes, weight| {
                let sum = sum(row, codes) as i16;
                finished(row, sum.into(), weight)
            })
        }),
    )
    .on(EDGES),
];

/// The product as it should be: what the faults differ from in one thing.
pub fn sound(scene: &Scene<'_>, at: At<'_>) {
    product(scene, at, even, dot);
}

/// A row of activations and what became of it.
struct Row<'a> {
    values: &'a [f32],
    int8: Vec<i32>,
    scale: f32,
    sum: i32,
}

impl<'a> Row<'a> {
    fn quantise(values: &'a [f32], most: f64, round: fn(f32) -> i32) -> Self {
        let largest = |max: f64, x: &f32| max.max(f64::from(*x).abs());
        let max = values.iter().fold(1e-5, largest);
        Self::scaled(values, (most / max) as f32, round)
    }

    fn scaled(values: &'a [f32], scale: f32, round: fn(f32) -> i32) -> Self {
        let int8 = values.iter().map(|x| round(x * scale).clamp(-128, 127));
        let int8: Vec<i32> = int8.collect();
        Row {
            values,
            sum: int8.iter().sum(),
            int8,
            scale,
        }
    }
}

fn even(row: &[f32]) -> Row<'_> {
    Row::quantise(row, 127.0, nearest_int)
}

fn scale_in_f16(row: &[f32]) -> Row<'_> {
    let row = even(row);
    let scale = half::f16::from_f32(row.scale).to_f32();
    Row { scale, ..row }
}

/// The largest number, where the largest magnitude is meant.
fn largest_positive(row: &[f32]) -> Row<'_> {
    let max = row.iter().fold(1e-5, |max: f64, x| max.max(f64::from(*x)));
    Row::scaled(row, (127.0 / max) as f32, nearest_int)
}

/// 128 is one more than eight bits hold.
fn wrapping(row: &[f32]) -> Row<'_> {
    Row::quantise(row, 128.0, |x| i32::from(nearest_int(x) as i8))
}

fn half_away(x: f32) -> i32 {
    x.round() as i32
}

/// Codes 0, 1, 2 times activations.
fn terms<'a>(row: &'a Row<'_>, codes: &'a [u8]) -> impl Iterator<Item = i32> + 'a {
    codes.iter().zip(&row.int8).map(|(c, q)| i32::from(*c) * q)
}

/// Their sum, in a plain loop: most of a fault's time goes into it.
fn sum(row: &Row<'_>, codes: &[u8]) -> i32 {
    let mut sum = 0;
    for (code, int8) in codes.iter().zip(&row.int8) {
        sum += i32::from(*code) * int8;
    }
    sum
}

/// The sum of activations taken off, then both scales.
fn finished(row: &Row<'_>, sum: i32, weight: f32) -> f32 {
    (sum as f32 - row.sum as f32) / row.scale * weight
}

fn dot(row: &Row<'_>, codes: &[u8], weight: f32) -> f32 {
    finished(row, sum(row, codes), weight)
}

fn per_block(row: &Row<'_>, codes: &[u8], weight: f32) -> f32 {
    let blocks = row.values.chunks_exact(64).zip(codes.chunks_exact(64));
    blocks
        .map(|(values, codes)| dot(&even(values), codes, weight))
        .sum()
}

fn in_floats(row: &Row<'_>, codes: &[u8], weight: f32) -> f32 {
    let terms = codes.iter().zip(row.values);
    terms.map(|(c, x)| (f32::from(*c) - 1.0) * x).sum::<f32>() * weight
}

fn other_order(row: &Row<'_>, codes: &[u8], weight: f32) -> f32 {
    let sum = sum(row, codes);
    (sum as f32 - row.sum as f32) * (weight / row.scale)
}

fn sum_in_f16(row: &Row<'_>, codes: &[u8], weight: f32) -> f32 {
    let sum = sum(row, codes);
    let sum = half::f16::from_f32(sum as f32).to_f32();
    (sum - row.sum as f32) / row.scale * weight
}

/// The first query projection once more, from rows made by `prepare`.
fn product(
    scene: &Scene<'_>,
    at: At<'_>,
    prepare: fn(&[f32]) -> Row<'_>,
    value: fn(&Row<'_>, &[u8], f32) -> f32,
) {
    if (at.name.as_str(), at.op, at.layer) != ("Qcur", "MUL_MAT", 0) {
        return;
    }
    let tensor = scene.gguf.tensors.get("blk.0.attn_q.weight");
    let bytes: &[u8] = &scene.gguf.region(tensor.expect("every model has one"));
    let shape = Shape {
        rows: at.shape[1],
        cols: scene.config.embedding_length,
    };
    let scale = i2_s::scale(bytes, shape);
    let inputs = scene.seen("attn_norm").chunks_exact(shape.cols);
    let inputs: Vec<Row<'_>> = inputs.map(prepare).collect();
    for row in 0..shape.rows {
        let code = |col| i2_s::code(bytes, shape, row, col, i2_s_p128::place);
        let codes: Vec<u8> = (0..shape.cols).map(code).collect();
        for (t, input) in inputs.iter().enumerate() {
            at.values[t * shape.rows + row] = value(input, &codes, scale);
        }
    }
}
