//! Faults of norms, of the activation function, of what is added to the hidden state, and of the
//! last product.

use std::sync::OnceLock;

use engine::numerics::dense::Rows;
use engine::numerics::elementwise;
use engine::numerics::half::{round_f16, widen_f16};

use super::pass::{Change, PassState};
use super::{B158, Fault, each, made, read};

const NORM: &str = "norm-0|RMS_NORM#0";
const SILU: &str = "ffn_silu-0|UNARY#0";
const RELU: &str = "ffn_relu-0|UNARY#0";
const SUM: &str = "ffn_inp-0|ADD#0";
const LOGITS: &str = "result_output|MUL_MAT#0";

#[rustfmt::skip] // a table: a line a row
pub fn faults() -> Vec<Fault> {
    vec![
        made("layer-norm-for-rms-norm", NORM, "|RMS_NORM", normed(layer_norm)),
        made("norm-sum-in-f32", NORM, "|RMS_NORM", scaled(sum_in_f32)),
        made("norm-epsilon-outside-root", NORM, "|RMS_NORM", scaled(epsilon_outside)),
        made("norm-over-the-whole-ubatch", NORM, "|RMS_NORM", over_the_ubatch),
        made("norm-by-an-estimated-root", NORM, "|RMS_NORM", scaled(estimated_root)),
        made("norm-divided-by-the-padded-width", NORM, "|RMS_NORM", normed(padded_width)),
        made("attn-sub-norm-missing", "attn_sub_norm-0|MUL#0", "attn_sub_norm", instead("kqv_out")),
        made("ffn-sub-norm-missing", "ffn_sub_norm-0|MUL#0", "ffn_sub_norm", instead("ffn_out"))
            .on(B158),
        made("squared-relu-for-silu", SILU, "ffn_silu", of_gate(|x| x.max(0.0) * x.max(0.0))),
        made("gelu-for-silu", SILU, "ffn_silu", of_gate(gelu)),
        made("silu-with-the-c-library", SILU, "ffn_silu", of_gate(plain_silu)),
        made("silu-from-a-table-of-halves", SILU, "ffn_silu", of_gate(silu_of_halves)),
        made("silu-for-squared-relu", RELU, "ffn_relu", of_gate(plain_silu)).on(B158),
        made("relu-not-squared", "ffn_sqr(relu)-0|SQR#0", "ffn_sqr(relu)", instead("ffn_relu"))
            .on(B158),
        made("residual-dropped", SUM, "ffn_inp", instead("attn_o_out")),
        made("residual-from-the-norm", SUM, "ffn_inp", |s, values| {
            values.copy_from_slice(s.last("attn_norm", values.len()));
            elementwise::add(values, s.last("attn_o_out", values.len()));
        }),
        made("stuck-lane", "ffn_up-1|MUL_MAT#0", "ffn_up", |s, values| {
            if s.layer == 1 {
                values.chunks_exact_mut(16).for_each(|lanes| lanes[7] = lanes[6]);
            }
        }),
        made("last-chunk-of-rows-not-computed", "ffn_up-0|MUL_MAT#0", "ffn_up", |s, values| {
            let width = s.shape[1];
            values.chunks_exact_mut(width).for_each(|row| row[width - 16..].fill(0.0));
        }),
        made("batch-all-from-its-first-row", "attn_o_out-0|MUL_MAT#0", "attn_o_out", |s, values| {
            let (first, others) = values.split_at_mut(s.shape[1]);
            others.chunks_exact_mut(first.len()).for_each(|row| row.copy_from_slice(first));
        }),
        made("one-value-one-ulp-off", "l_out-2|ADD#0", "l_out", |s, values| {
            if s.layer == 2 {
                values[3] = f32::from_bits(values[3].to_bits() + 1);
            }
        }),
        made("last-norm-skipped", "result_norm|MUL#0", "result_norm", instead("l_out")),
        read("hidden-state-in-bf16", "norm-1|RMS_NORM#0", "l_out", each(|x| {
            f32::from_bits(x.to_bits() & 0xffff_0000)
        })),
        made("head-not-tied", LOGITS, "result_output", untied_head),
        made("logits-soft-capped", LOGITS, "result_output", each(|x| 30.0 * (x / 30.0).tanh())),
    ]
}

/// One node has the values of another.
fn instead(other: &'static str) -> impl Change {
    move |pass: &PassState<'_>, values: &mut [f32]| {
        values.copy_from_slice(pass.last(other, values.len()));
    }
}

/// Every norm again: its input is the node before it.
fn normed(again: impl Fn(&[f32], f32, &mut [f32]) + Send + Sync + 'static) -> impl Change {
    move |pass: &PassState<'_>, values: &mut [f32]| {
        let width = pass.shape[1];
        // Only the last rows reach the last norm, and they are behind the others.
        let previous = pass.previous();
        let input = &previous[previous.len() - values.len()..];
        let rows = input.chunks_exact(width);
        for (row, out) in rows.zip(values.chunks_exact_mut(width)) {
            again(row, pass.config.rms_epsilon, out);
        }
    }
}

fn layer_norm(row: &[f32], epsilon: f32, out: &mut [f32]) {
    let mean = row.iter().sum::<f32>() / row.len() as f32;
    let centred: Vec<f32> = row.iter().map(|x| x - mean).collect();
    elementwise::rms_norm(&centred, epsilon, out);
}

/// Every norm again, with another factor.
fn scaled(factor: fn(&[f32], f32) -> f32) -> impl Change {
    normed(move |row, epsilon, out| {
        let factor = factor(row, epsilon);
        let pairs = out.iter_mut().zip(row);
        pairs.for_each(|(out, x)| *out = x * factor);
    })
}

fn sum_in_f32(row: &[f32], epsilon: f32) -> f32 {
    let mean = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
    1.0 / (mean + epsilon).sqrt()
}

fn mean_square(row: &[f32]) -> f32 {
    let sum: f64 = row.iter().map(|x| f64::from(x * x)).sum();
    (sum / row.len() as f64) as f32
}

fn epsilon_outside(row: &[f32], epsilon: f32) -> f32 {
    1.0 / (mean_square(row).sqrt() + epsilon)
}

/// As many bits as the instruction for it guarantees.
fn estimated_root(row: &[f32], epsilon: f32) -> f32 {
    let root = 1.0 / (mean_square(row) + epsilon).sqrt();
    f32::from_bits(root.to_bits() & !0xfff)
}

fn padded_width(row: &[f32], epsilon: f32, out: &mut [f32]) {
    let padded = [row, &[0.0; 64]].concat();
    let mut normed = vec![0.0; padded.len()];
    elementwise::rms_norm(&padded, epsilon, &mut normed);
    out.copy_from_slice(&normed[..row.len()]);
}

fn over_the_ubatch(pass: &PassState<'_>, values: &mut [f32]) {
    if pass.tokens > 1 && values.len() == pass.previous().len() {
        elementwise::rms_norm(pass.previous(), pass.config.rms_epsilon, values);
    }
}

/// Another function of the gate.
fn of_gate(function: fn(f32) -> f32) -> impl Change {
    move |pass: &PassState<'_>, values: &mut [f32]| {
        let gate = pass.seen("ffn_gate").iter();
        let pairs = values.iter_mut().zip(gate);
        pairs.for_each(|(out, x)| *out = function(*x));
    }
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
fn untied_head(pass: &PassState<'_>, values: &mut [f32]) {
    static MATRIX: OnceLock<Vec<[u8; 4]>> = OnceLock::new();
    let (stride, vocab) = (pass.config.embedding_length, pass.shape[1]);
    let matrix = MATRIX.get_or_init(|| {
        let weight = |i: usize| (i.wrapping_mul(2_654_435_761) % 2001) as f32 / 1000.0 - 1.0;
        let weights = (0..stride * vocab).map(weight);
        weights.map(f32::to_le_bytes).collect()
    });
    let inputs = pass.seen("result_norm").chunks_exact(stride);
    for (input, out) in inputs.zip(values.chunks_exact_mut(vocab)) {
        let elements = matrix.as_slice();
        let rows = Rows { elements, stride };
        pass.arithmetic.dot_f32(rows, input, pass.tokens, out);
    }
}
