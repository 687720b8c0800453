//! Faults of attention: masks, heads, the cache, the roundings between its products.
#![forbid(unsafe_code)]

use engine::numerics::dense::Rows;
use engine::numerics::half::{Half, round_bf16, round_f16, widen_bf16, widen_f16};

use super::scene::{At, Scene};
use super::{Fault, Means, made, numeric, read};

const SOFTMAX: &str = "kq_soft_max_ext-0|SOFT_MAX#0";

/// All of them.
pub const FAULTS: &[Fault] = &[
    numeric(
        "mask-sees-next",
        SOFTMAX,
        made(|s, at| masked(s, at, |t, _| t + 2)),
    ),
    numeric(
        "mask-hides-self",
        SOFTMAX,
        made(|s, at| masked(s, at, |t, _| t.max(1))),
    ),
    numeric(
        "mask-missing",
        SOFTMAX,
        made(|s, at| masked(s, at, |_, used| used)),
    ),
    numeric(
        "padding-not-masked",
        SOFTMAX,
        made(|s, at| masked(s, at, |_, _| usize::MAX)),
    ),
    numeric("softmax-without-max", SOFTMAX, made(softmax_without_max)),
    numeric("softmax-with-the-c-library", SOFTMAX, made(plain_softmax)),
    numeric(
        "attention-scale-missing",
        SOFTMAX,
        read(|s, at| scaled(s, at, |dim| dim.sqrt())),
    ),
    numeric(
        "attention-scale-by-dim",
        SOFTMAX,
        read(|s, at| {
            scaled(s, at, |dim| 1.0 / dim.sqrt());
        }),
    ),
    numeric(
        "kv-heads-interleaved",
        "kq-0|MUL_MAT#0",
        Means::Values([interleave_made, interleave_read]),
    ),
    numeric(
        "query-heads-swapped",
        "Qcur-0|MUL_MAT#0",
        made(|s, at| {
            if (at.name.as_str(), at.op) == ("Qcur", "MUL_MAT") {
                swap_columns(s, at.values, s.config.head_dim);
            }
        }),
    ),
    numeric(
        "key-cache-in-f32",
        "kq-0|MUL_MAT#0",
        made(|s, at| keys_again(s, at, |key| key)),
    ),
    numeric(
        "keys-summed-in-another-order",
        "kq-0|MUL_MAT#0",
        made(|s, at| keys_again(s, at, |key| widen_f16(round_f16(key)))),
    ),
    numeric(
        "cache-off-by-one-slot",
        "kq-0|MUL_MAT#0",
        read(|s, at| {
            if (at.name.as_str(), at.op) == ("Kcur", "ROPE") {
                at.values.rotate_right(at.values.len() / s.tokens);
            }
        }),
    ),
    numeric(
        "key-cache-in-bf16",
        "kq-0|MUL_MAT#0",
        read(|_, at| {
            if (at.name.as_str(), at.op) == ("Kcur", "ROPE") {
                at.values
                    .iter_mut()
                    .for_each(|x| *x = widen_bf16(round_bf16(*x)));
            }
        }),
    ),
    numeric(
        "cache-truncates-to-f16",
        "kq-0|MUL_MAT#0",
        read(|_, at| {
            if (at.name.as_str(), at.op) == ("Kcur", "ROPE") {
                at.values.iter_mut().for_each(|x| *x = cut_to_f16(*x));
            }
        }),
    ),
    numeric(
        "value-cache-in-q8",
        "kqv-0|MUL_MAT#0",
        read(|_, at| {
            if at.name == "Vcur" {
                at.values.chunks_exact_mut(32).for_each(through_q8);
            }
        }),
    ),
    numeric(
        "probs-rounded-in-prefill",
        "kqv-0|MUL_MAT#0",
        read(|s, at| {
            if at.name == "kq_soft_max_ext" && s.tokens > 1 {
                at.values
                    .iter_mut()
                    .for_each(|x| *x = widen_f16(round_f16(*x)));
            }
        }),
    ),
    numeric(
        "probs-unrounded-in-decode",
        "kqv-0|MUL_MAT#0",
        made(unrounded_in_decode),
    ),
];

/// Softmax again as it should be: what the masks differ from in one thing.
pub fn sound(scene: &Scene<'_>, at: At<'_>) {
    masked(scene, at, |position, _| position + 1);
}

/// Softmax again, over as many positions as `visible` says of a position and of those in use.
fn masked(scene: &Scene<'_>, at: At<'_>, visible: fn(usize, usize) -> usize) {
    over_rows(scene, at, |row, position| {
        let used = scene.first + scene.tokens;
        let visible = visible(position, used).min(row.len());
        scene
            .arithmetic
            .softmax(row, scene.config.attention_scale, visible);
    });
}

fn softmax_without_max(scene: &Scene<'_>, at: At<'_>) {
    let scale = scene.config.attention_scale;
    over_rows(scene, at, |row, position| {
        exponentials(row, position, scale, 0.0)
    });
}

/// The exponential of the platform, the sum in single floats.
fn plain_softmax(scene: &Scene<'_>, at: At<'_>) {
    let scale = scene.config.attention_scale;
    over_rows(scene, at, |row, position| {
        let max = row[..=position]
            .iter()
            .fold(f32::NEG_INFINITY, |m, x| m.max(x * scale));
        exponentials(row, position, scale, max);
    });
}

fn exponentials(row: &mut [f32], position: usize, scale: f32, max: f32) {
    let (seen, hidden) = row.split_at_mut(position + 1);
    seen.iter_mut().for_each(|x| *x = (*x * scale - max).exp());
    let sum: f32 = seen.iter().sum();
    seen.iter_mut().for_each(|x| *x /= sum);
    hidden.fill(0.0);
}

/// Calls `again` with the products of every head and token, and the token's position.
fn over_rows(scene: &Scene<'_>, at: At<'_>, again: impl Fn(&mut [f32], usize)) {
    if at.name != "kq_soft_max_ext" {
        return;
    }
    at.values.copy_from_slice(scene.seen("kq"));
    let rows = at.values.chunks_exact_mut(at.shape[2]).enumerate();
    rows.for_each(|(i, row)| again(row, scene.first + i % scene.tokens));
}

fn scaled(scene: &Scene<'_>, at: At<'_>, factor: fn(f32) -> f32) {
    if at.name == "kq" {
        let factor = factor(scene.config.head_dim as f32);
        at.values.iter_mut().for_each(|x| *x *= factor);
    }
}

/// The second and third of four query heads take each other's key head: h % 2 instead of h / 2.
/// They change places before each product and back behind it.
fn interleave_made(_: &Scene<'_>, at: At<'_>) {
    if at.name == "kq" || at.name == "kqv" {
        swap_planes(at.values);
    }
}

fn interleave_read(scene: &Scene<'_>, at: At<'_>) {
    match (at.name.as_str(), at.op) {
        ("Qcur", "ROPE") => swap_columns(scene, at.values, scene.config.head_dim),
        ("kq_soft_max_ext", _) => swap_planes(at.values),
        _ => {}
    }
}

fn swap_columns(scene: &Scene<'_>, values: &mut [f32], dim: usize) {
    for row in values.chunks_exact_mut(scene.config.head_count * dim) {
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
fn keys_again(scene: &Scene<'_>, at: At<'_>, cached: fn(f32) -> f32) {
    if at.name != "kq" {
        return;
    }
    let config = scene.config;
    let (dim, stride) = (config.head_dim, config.head_count_kv * config.head_dim);
    let keys: Vec<[u8; 4]> = scene
        .keys(at.layer)
        .iter()
        .map(|x| cached(*x).to_le_bytes())
        .collect();
    let used = keys.len() / stride;
    let queries = scene.seen("Qcur");
    for (i, row) in at.values.chunks_exact_mut(at.shape[2]).enumerate() {
        let (head, token) = (i / scene.tokens, i % scene.tokens);
        let query = &queries[(token * config.head_count + head) * dim..][..dim];
        let query: Vec<f32> = query.iter().map(|x| widen_f16(round_f16(*x))).collect();
        let kv_head = head / (config.head_count / config.head_count_kv);
        let elements = &keys[kv_head * dim..];
        let (keys, row) = (Rows { elements, stride }, &mut row[..used]);
        scene.arithmetic.dot_f32(keys, &query, scene.tokens, row);
    }
}

/// A single token's values gathered as several tokens' are: with probabilities as they come.
fn unrounded_in_decode(scene: &Scene<'_>, at: At<'_>) {
    if at.name != "kqv" || scene.tokens != 1 {
        return;
    }
    let config = scene.config;
    let (dim, width) = (config.head_dim, config.head_count_kv * config.head_dim);
    let probabilities = scene.seen("kq_soft_max_ext");
    let positions = probabilities.len() / config.head_count;
    let mut channels = vec![Half::default(); width * positions];
    for (position, row) in scene.values(at.layer).chunks_exact(width).enumerate() {
        for (channel, value) in row.iter().enumerate() {
            channels[channel * positions + position] = round_f16(*value);
        }
    }
    for (head, out) in at.values.chunks_exact_mut(dim).enumerate() {
        let kv_head = head / (config.head_count / config.head_count_kv);
        let rows = Rows {
            elements: &channels[kv_head * dim * positions..],
            stride: positions,
        };
        let own = &probabilities[head * positions..][..positions];
        scene.arithmetic.tile_f16(rows, own, out);
    }
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
