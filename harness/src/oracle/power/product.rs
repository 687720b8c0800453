//! Faults of the product of ternary weights with int8 activations, planted in the first query
//! projection: the product is computed once more from the file's codes, with one thing wrong.

use engine::encoding::author::nearest_int;
use engine::flavor::{Shape, i2_s, i2_s_p128};
use engine::gguf::Gguf;

use super::pass::{Act, Change, PassState};
use super::{EDGES, Fault, act, made};
use crate::runner::watch::Moment;

/// The first query projection.
const FIRST: &str = "Qcur|MUL_MAT";

#[rustfmt::skip] // a table: a line a row
pub fn faults() -> Vec<Fault> {
    vec![
        faulty("act-sum-dropped", |row| Row { sum: 0, ..even(row) }, dot),
        faulty("act-scale-for-128", |row| Row::quantise(row, 128.0, nearest_int), dot),
        faulty("act-128-wraps", wrapping, dot),
        faulty("act-largest-without-its-sign", largest_positive, dot),
        faulty("act-rounding-truncates", |row| Row::quantise(row, 127.0, |x| x as i32), dot),
        faulty("act-scale-in-f16", scale_in_f16, dot),
        faulty("act-scale-per-block", in_blocks, per_block),
        faulty("act-not-quantised", even, in_floats),
        faulty("act-scale-multiplied-first", even, other_order),
        faulty("sum-in-f16", even, sum_in_f16),
        faulty("act-rounds-half-away", |row| Row::quantise(row, 127.0, half_away), dot).on(EDGES),
        faulty("sum-saturates-in-int16", even, |row, codes, weight| {
            let sum = terms(row, codes).fold(0, |sum, t| (sum + t).clamp(-0x8000, 0x7fff));
            finished(row, sum, weight)
        }).on(EDGES),
        faulty("sum-wraps-in-int16", even, |row, codes, weight| {
            let sum = sum(row, codes) as i16;
            finished(row, sum.into(), weight)
        }).on(EDGES),
    ]
}

/// The product as it should be: what the faults differ from in one thing.
pub fn as_it_was() -> Act {
    act(Moment::Made, FIRST, again(even, dot))
}

/// How a row of activations is prepared.
type Prepare = fn(&[f32]) -> Row<'_>;
/// How it is multiplied with a row of codes and their scale.
type Dot = fn(&Row<'_>, &[u8], f32) -> f32;

fn faulty(name: &'static str, prepare: Prepare, dot: Dot) -> Fault {
    made(name, "Qcur-0|MUL_MAT#0", FIRST, again(prepare, dot))
}

/// A row of activations and what became of it.
struct Row<'a> {
    values: &'a [f32],
    int8: Vec<i32>,
    scale: f32,
    sum: i32,
    /// Each of 64 values with a scale of its own, where there are to be any.
    blocks: Vec<Row<'a>>,
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
            blocks: Vec::new(),
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

fn in_blocks(row: &[f32]) -> Row<'_> {
    Row {
        blocks: row.chunks_exact(64).map(even).collect(),
        ..even(row)
    }
}

fn per_block(row: &Row<'_>, codes: &[u8], weight: f32) -> f32 {
    let blocks = row.blocks.iter().zip(codes.chunks_exact(64));
    blocks.map(|(row, codes)| dot(row, codes, weight)).sum()
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
fn again(prepare: Prepare, dot: Dot) -> impl Change {
    move |pass: &PassState<'_>, values: &mut [f32]| {
        if pass.layer > 0 {
            return;
        }
        let rows = pass.shape[1];
        let width = pass.config.embedding_length;
        let (codes, scale) = pass.first_query(|gguf| decoded(gguf, rows, width));
        let inputs = pass.seen("attn_norm").chunks_exact(width);
        let inputs: Vec<Row<'_>> = inputs.map(prepare).collect();
        for (row, codes) in codes.chunks_exact(width).enumerate() {
            for (t, input) in inputs.iter().enumerate() {
                values[t * rows + row] = dot(input, codes, *scale);
            }
        }
    }
}

/// The codes of the first query projection, row by row, and their scale.
fn decoded(gguf: &Gguf, rows: usize, cols: usize) -> (Vec<u8>, f32) {
    let tensor = gguf.tensors.get("blk.0.attn_q.weight");
    let bytes: &[u8] = &gguf.region(tensor.expect("every model has one"));
    let shape = Shape { rows, cols };
    let places = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
    let code = |(row, col)| i2_s::code(bytes, shape, row, col, i2_s_p128::width);
    (places.map(code).collect(), i2_s::scale(bytes, shape))
}
