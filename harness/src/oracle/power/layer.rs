//! Faults of norms, of the activation function, of what is added to the hidden state, and of the
//! last product.
#![forbid(unsafe_code)]

use engine::numerics::elementwise;
use engine::numerics::half::{round_f16, widen_f16};

use super::scene::{At, Scene};
use super::{B158, Fault, made, numeric, read};

const NORM: &str = "norm-0|RMS_NORM#0";
const SILU: &str = "ffn_silu-0|UNARY#0";
const RELU: &str = "ffn_relu-0|UNARY#0";

/// All of them.
pub const FAULTS: &[Fault] = &[
    numeric(
        "layer-norm-for-rms-norm",
        NORM,
        made(|s, at| normed(s, at, layer_norm)),
    ),
    numeric(
        "norm-sum-in-f32",
        NORM,
        made(|s, at| normed(s, at, sum_in_f32)),
    ),
    numeric(
        "norm-epsilon-outside-root",
        NORM,
        made(|s, at| normed(s, at, epsilon_outside)),
    ),
    numeric("norm-over-the-whole-ubatch", NORM, made(over_the_ubatch)),
    numeric(
        "norm-by-an-estimated-root",
        NORM,
        made(|s, at| normed(s, at, estimated_root)),
    ),
    numeric(
        "norm-divided-by-the-padded-width",
        NORM,
        made(|s, at| normed(s, at, padded_width)),
    ),
    numeric(
        "attn-sub-norm-missing",
        "attn_sub_norm-0|MUL#0",
        made(|s, at| instead(s, at, "attn_sub_norm", "kqv_out")),
    ),
    numeric(
        "ffn-sub-norm-missing",
        "ffn_sub_norm-0|MUL#0",
        made(|s, at| instead(s, at, "ffn_sub_norm", "ffn_out")),
    )
    .on(B158),
    numeric(
        "squared-relu-for-silu",
        SILU,
        made(|s, at| gate(s, at, "ffn_silu", squared_relu)),
    ),
    numeric(
        "gelu-for-silu",
        SILU,
        made(|s, at| gate(s, at, "ffn_silu", gelu)),
    ),
    numeric(
        "silu-with-the-c-library",
        SILU,
        made(|s, at| gate(s, at, "ffn_silu", plain_silu)),
    ),
    numeric(
        "silu-from-a-table-of-halves",
        SILU,
        made(|s, at| gate(s, at, "ffn_silu", silu_of_halves)),
    ),
    numeric(
        "silu-for-squared-relu",
        RELU,
        made(|s, at| {
            gate(s, at, "ffn_relu", plain_silu);
        }),
    )
    .on(B158),
    numeric(
        "relu-not-squared",
        "ffn_sqr(relu)-0|SQR#0",
        made(|s, at| instead(s, at, "ffn_sqr(relu)", "ffn_relu")),
    )
    .on(B158),
    numeric(
        "residual-dropped",
        "ffn_inp-0|ADD#0",
        made(|s, at| instead(s, at, "ffn_inp", "attn_o_out")),
    ),
    numeric(
        "residual-from-the-norm",
        "ffn_inp-0|ADD#0",
        made(|s, at| {
            if at.name == "ffn_inp" {
                at.values
                    .copy_from_slice(s.last("attn_norm", at.values.len()));
                let output = s.last("attn_o_out", at.values.len());
                elementwise::add(at.values, output);
            }
        }),
    ),
    numeric(
        "stuck-lane",
        "ffn_up-1|MUL_MAT#0",
        made(|_, at| {
            if at.name == "ffn_up" && at.layer == 1 {
                at.values
                    .chunks_exact_mut(16)
                    .for_each(|lanes| lanes[7] = lanes[6]);
            }
        }),
    ),
    numeric(
        "last-chunk-of-rows-not-computed",
        "ffn_up-0|MUL_MAT#0",
        made(|_, at| {
            if at.name == "ffn_up" {
                let rows = at.values.chunks_exact_mut(at.shape[1]);
                rows.for_each(|row| row[at.shape[1] - 16..].fill(0.0));
            }
        }),
    ),
    numeric(
        "batch-all-from-its-first-row",
        "attn_o_out-0|MUL_MAT#0",
        made(|_, at| {
            if at.name == "attn_o_out" {
                let (first, others) = at.values.split_at_mut(at.shape[1]);
                let others = others.chunks_exact_mut(at.shape[1]);
                others.for_each(|row| row.copy_from_slice(first));
            }
        }),
    ),
    numeric(
        "one-value-one-ulp-off",
        "l_out-2|ADD#0",
        made(|_, at| {
            if at.name == "l_out" && at.layer == 2 {
                at.values[3] = f32::from_bits(at.values[3].to_bits() + 1);
            }
        }),
    ),
    numeric(
        "last-norm-skipped",
        "result_norm|MUL#0",
        made(|s, at| instead(s, at, "result_norm", "l_out")),
    ),
    numeric(
        "hidden-state-in-bf16",
        "norm-1|RMS_NORM#0",
        read(|_, at| {
            if at.name == "l_out" {
                let keep = |x: &mut f32| *x = f32::from_bits(x.to_bits() & 0xffff_0000);
                at.values.iter_mut().for_each(keep);
            }
        }),
    ),
    numeric(
        "head-not-tied",
        "result_output|MUL_MAT#0",
        made(untied_head),
    ),
    numeric(
        "logits-soft-capped",
        "result_output|MUL_MAT#0",
        made(|_, at| {
            if at.name == "result_output" {
                at.values
                    .iter_mut()
                    .for_each(|x| *x = 30.0 * (*x / 30.0).tanh());
            }
        }),
    ),
];

/// One node has the values of another.
fn instead(scene: &Scene<'_>, at: At<'_>, name: &str, other: &str) {
    if at.name == name {
        at.values
            .copy_from_slice(scene.last(other, at.values.len()));
    }
}

/// Every norm again: its input is the node before it.
fn normed(scene: &Scene<'_>, at: At<'_>, again: fn(&[f32], f32, &mut [f32])) {
    if at.op != "RMS_NORM" {
        return;
    }
    let width = at.shape[1];
    // Only the last rows reach the last norm, and they are behind the others.
    let input = &scene.previous[scene.previous.len() - at.values.len()..];
    for (row, out) in input
        .chunks_exact(width)
        .zip(at.values.chunks_exact_mut(width))
    {
        again(row, scene.config.rms_epsilon, out);
    }
}

fn layer_norm(row: &[f32], epsilon: f32, out: &mut [f32]) {
    let mean = row.iter().sum::<f32>() / row.len() as f32;
    let centred: Vec<f32> = row.iter().map(|x| x - mean).collect();
    elementwise::rms_norm(&centred, epsilon, out);
}

fn sum_in_f32(row: &[f32], epsilon: f32, out: &mut [f32]) {
    let mean = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
    let scale = 1.0 / (mean + epsilon).sqrt();
    out.iter_mut()
        .zip(row)
        .for_each(|(out, x)| *out = x * scale);
}

fn epsilon_outside(row: &[f32], epsilon: f32, out: &mut [f32]) {
    let sum: f64 = row.iter().map(|x| f64::from(x * x)).sum();
    let scale = 1.0 / (((sum / row.len() as f64) as f32).sqrt() + epsilon);
    out.iter_mut()
        .zip(row)
        .for_each(|(out, x)| *out = x * scale);
}

/// As many bits as the instruction for it guarantees.
fn estimated_root(row: &[f32], epsilon: f32, out: &mut [f32]) {
    let sum: f64 = row.iter().map(|x| f64::from(x * x)).sum();
    let root = 1.0 / ((sum / row.len() as f64) as f32 + epsilon).sqrt();
    let root = f32::from_bits(root.to_bits() & !0xfff);
    out.iter_mut().zip(row).for_each(|(out, x)| *out = x * root);
}

fn padded_width(row: &[f32], epsilon: f32, out: &mut [f32]) {
    let padded = [row, &[0.0; 64]].concat();
    let mut normed = vec![0.0; padded.len()];
    elementwise::rms_norm(&padded, epsilon, &mut normed);
    out.copy_from_slice(&normed[..row.len()]);
}

fn over_the_ubatch(scene: &Scene<'_>, at: At<'_>) {
    if at.op == "RMS_NORM" && scene.tokens > 1 && at.values.len() == scene.previous.len() {
        elementwise::rms_norm(&scene.previous, scene.config.rms_epsilon, at.values);
    }
}

/// Another function of the gate.
fn gate(scene: &Scene<'_>, at: At<'_>, name: &str, function: fn(f32) -> f32) {
    if at.name == name {
        let gate = scene.seen("ffn_gate").iter();
        at.values
            .iter_mut()
            .zip(gate)
            .for_each(|(out, x)| *out = function(*x));
    }
}

fn squared_relu(x: f32) -> f32 {
    x.max(0.0) * x.max(0.0)
}

fn plain_silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

fn silu_of_halves(x: f32) -> f32 {
    let half = |x: f32| widen_f16(round_f16(x));
    half(plain_silu(half(x)))
}

fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh())
}

/// Logits from a matrix of its own, as a file may carry one that this architecture does not use.
fn untied_head(scene: &Scene<'_>, at: At<'_>) {
    if at.name != "result_output" {
        return;
    }
    let width = scene.config.embedding_length;
    let weight = |i: usize| (i.wrapping_mul(2_654_435_761) % 2001) as f32 / 1000.0 - 1.0;
    let matrix: Vec<f32> = (0..width * at.shape[1]).map(weight).collect();
    let inputs = scene.seen("result_norm").chunks_exact(width);
    for (input, out) in inputs.zip(at.values.chunks_exact_mut(at.shape[1])) {
        for (row, out) in matrix.chunks_exact(width).zip(out) {
            *out = row.iter().zip(input).map(|(w, x)| w * x).sum();
        }
    }
}
