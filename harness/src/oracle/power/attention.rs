//! Faults of attention: masks, heads, the cache, the roundings between its products.

use engine::numerics::dense::Rows;
use engine::numerics::half::{Half, round_bf16, round_f16, widen_bf16, widen_f16};

use super::pass::{Act, Change, PassState};
use super::{Fault, act, each, made, read};
use crate::runner::watch::Moment;

const SOFTMAX: &str = "kq_soft_max_ext-0|SOFT_MAX#0";
const SCORES: &str = "kq-0|MUL_MAT#0";
const MIXED: &str = "kqv-0|MUL_MAT#0";

#[rustfmt::skip] // a table: a line a row
pub fn faults() -> Vec<Fault> {
    vec![
        softmax("mask-sees-next", masked(|t, _| t + 2)),
        softmax("mask-hides-self", masked(|t, _| t.max(1))),
        softmax("mask-missing", masked(|_, used| used)),
        softmax("padding-not-masked", masked(|_, _| usize::MAX)),
        softmax("softmax-without-max", |s, row, position| {
            exponentials(row, position, s.config.attention_scale, 0.0);
        }),
        softmax("softmax-with-the-c-library", plain_softmax),
        read("attention-scale-missing", SOFTMAX, "kq", scaled(f32::sqrt)),
        read("attention-scale-by-dim", SOFTMAX, "kq", scaled(|dim| 1.0 / dim.sqrt())),
        // The second and third of four query heads take each other's key head: h % 2 instead of
        // h / 2. They change places before each product and back behind it.
        made("kv-heads-interleaved", SCORES, "kq", |_, values| swap_planes(values))
            .and(act(Moment::Made, "kqv", |_, values| swap_planes(values)))
            .and(act(Moment::Read, "Qcur|ROPE", swap_columns))
            .and(act(Moment::Read, "kq_soft_max_ext", |_, values| swap_planes(values))),
        made("query-heads-swapped", "Qcur-0|MUL_MAT#0", "Qcur|MUL_MAT", |s, values| {
            swap_columns(s, values);
        }),
        made("key-cache-in-f32", SCORES, "kq", keys_again(|key| key)),
        made("keys-summed-in-another-order", SCORES, "kq", keys_again(through_f16)),
        read("cache-off-by-one-slot", SCORES, "Kcur|ROPE", |s, values| {
            values.rotate_right(values.len() / s.tokens);
        }),
        read("key-cache-in-bf16", SCORES, "Kcur|ROPE", each(|x| widen_bf16(round_bf16(x)))),
        read("cache-truncates-to-f16", SCORES, "Kcur|ROPE", each(cut_to_f16)),
        read("value-cache-in-q8", MIXED, "Vcur", |_, values| {
            values.chunks_exact_mut(32).for_each(through_q8);
        }),
        read("probs-rounded-in-prefill", MIXED, "kq_soft_max_ext", |s, values| {
            if s.tokens > 1 {
                values.iter_mut().for_each(|x| *x = through_f16(*x));
            }
        }),
        made("probs-unrounded-in-decode", MIXED, "kqv", unrounded_in_decode),
    ]
}

/// Softmax again as it should be: what the masks differ from in one thing.
pub fn as_it_was() -> Act {
    act(
        Moment::Made,
        "kq_soft_max_ext",
        over_rows(masked(|position, _| position + 1)),
    )
}

/// What is made of the products of one head and token, and the token's position.
trait OfRow: Fn(&PassState<'_>, &mut [f32], usize) + Send + Sync + 'static {}

impl<F: Fn(&PassState<'_>, &mut [f32], usize) + Send + Sync + 'static> OfRow for F {}

fn softmax(name: &'static str, again: impl OfRow) -> Fault {
    made(name, SOFTMAX, "kq_soft_max_ext", over_rows(again))
}

/// Softmax again, over as many positions as `visible` says of a position and of those in use.
fn masked(visible: fn(usize, usize) -> usize) -> impl OfRow {
    move |pass: &PassState<'_>, row: &mut [f32], position: usize| {
        let used = pass.first + pass.tokens;
        let visible = visible(position, used).min(row.len());
        pass.arithmetic
            .softmax(row, pass.config.attention_scale, visible);
    }
}

/// The exponential of the platform, the sum in single floats.
fn plain_softmax(pass: &PassState<'_>, row: &mut [f32], position: usize) {
    let scale = pass.config.attention_scale;
    let seen = row[..=position].iter();
    let max = seen.fold(f32::NEG_INFINITY, |m, x| m.max(x * scale));
    exponentials(row, position, scale, max);
}

fn exponentials(row: &mut [f32], position: usize, scale: f32, max: f32) {
    let (seen, hidden) = row.split_at_mut(position + 1);
    seen.iter_mut().for_each(|x| *x = (*x * scale - max).exp());
    let sum: f32 = seen.iter().sum();
    seen.iter_mut().for_each(|x| *x /= sum);
    hidden.fill(0.0);
}

/// Calls `again` with the products of every head and token, and the token's position.
fn over_rows(again: impl OfRow) -> impl Change {
    move |pass: &PassState<'_>, values: &mut [f32]| {
        values.copy_from_slice(pass.seen("kq"));
        let rows = values.chunks_exact_mut(pass.shape[2]).enumerate();
        rows.for_each(|(i, row)| again(pass, row, pass.first + i % pass.tokens));
    }
}

fn scaled(factor: fn(f32) -> f32) -> impl Change {
    move |pass: &PassState<'_>, values: &mut [f32]| {
        let factor = factor(pass.config.head_dim as f32);
        values.iter_mut().for_each(|x| *x *= factor);
    }
}

fn swap_columns(pass: &PassState<'_>, values: &mut [f32]) {
    let dim = pass.config.head_dim;
    for row in values.chunks_exact_mut(pass.config.head_count * dim) {
        let (left, right) = row.split_at_mut(2 * dim);
        left[dim..].swap_with_slice(&mut right[..dim]);
    }
}

fn swap_planes(values: &mut [f32]) {
    let plane = values.len() / 4;
    let (left, right) = values.split_at_mut(2 * plane);
    left[plane..].swap_with_slice(&mut right[..plane]);
}

/// The products once more as those of single floats are made, with keys as the cache holds them.
fn keys_again(cached: fn(f32) -> f32) -> impl Change {
    move |pass: &PassState<'_>, values: &mut [f32]| {
        let config = pass.config;
        let (dim, stride) = (config.head_dim, config.head_count_kv * config.head_dim);
        let keys = pass.keys(pass.layer).iter();
        let keys: Vec<[u8; 4]> = keys.map(|x| cached(*x).to_le_bytes()).collect();
        let used = keys.len() / stride;
        let queries = pass.seen("Qcur");
        for (i, row) in values.chunks_exact_mut(pass.shape[2]).enumerate() {
            let (head, token) = (i / pass.tokens, i % pass.tokens);
            let query = &queries[(token * config.head_count + head) * dim..][..dim];
            let query: Vec<f32> = query.iter().copied().map(through_f16).collect();
            let kv_head = head / (config.head_count / config.head_count_kv);
            let elements = &keys[kv_head * dim..];
            let (keys, row) = (Rows { elements, stride }, &mut row[..used]);
            pass.arithmetic.dot_f32(keys, &query, pass.tokens, row);
        }
    }
}

/// A single token's values gathered as several tokens' are: with probabilities as they come.
fn unrounded_in_decode(pass: &PassState<'_>, values: &mut [f32]) {
    if pass.tokens != 1 {
        return;
    }
    let config = pass.config;
    let (dim, width) = (config.head_dim, config.head_count_kv * config.head_dim);
    let probabilities = pass.seen("kq_soft_max_ext");
    let positions = probabilities.len() / config.head_count;
    let mut channels = vec![Half::default(); width * positions];
    for (position, row) in pass.values(pass.layer).chunks_exact(width).enumerate() {
        for (channel, value) in row.iter().enumerate() {
            channels[channel * positions + position] = round_f16(*value);
        }
    }
    for (head, out) in values.chunks_exact_mut(dim).enumerate() {
        let kv_head = head / (config.head_count / config.head_count_kv);
        let rows = Rows {
            elements: &channels[kv_head * dim * positions..],
            stride: positions,
        };
        let own = &probabilities[head * positions..][..positions];
        pass.arithmetic.tile_f16(rows, own, out);
    }
}

fn through_f16(x: f32) -> f32 {
    widen_f16(round_f16(x))
}

/// Half precision by forgetting bits instead of rounding.
fn cut_to_f16(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & !0x1fff)
}

fn through_q8(block: &mut [f32]) {
    let scale = block.iter().fold(0f32, |max, x| max.max(x.abs())) / 127.0;
    if scale > 0.0 {
        block
            .iter_mut()
            .for_each(|x| *x = (*x / scale).round() * scale);
    }
}
