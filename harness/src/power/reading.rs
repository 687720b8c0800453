//! Faults of reading the file: weights, scales, packings, hyper-parameters, vocabulary. The
//! reference read the right file; the engine is given what a wrong reading of it would be.
#![forbid(unsafe_code)]

use engine::flavor::Flavor;
use engine::gguf::writer::Field;

use super::draft::{Draft, rescale};
use super::{B158, Fault, Means, SCALE_BYTES, numeric, unlocated};

const QUERY: &str = "Qcur-0|MUL_MAT#0";

/// All of them.
pub const FAULTS: &[Fault] = &[
    file("weight-scale-ignored", QUERY, |d| {
        d.packed().for_each(|t| rescale(t, |_| 1.0))
    }),
    file("weight-scale-inverted", QUERY, |d| {
        d.packed().for_each(|t| rescale(t, |s| 1.0 / s))
    }),
    file("weight-scale-of-neighbour", QUERY, scale_of_neighbour),
    file("weight-scale-off-by-1e-4", "ffn_up-1|MUL_MAT#0", |d| {
        d.rescale("blk.1.ffn_up.weight", |s| s * 1.0001);
    })
    .on(B158),
    file("weight-scale-one-ulp-off", "attn_o_out-3|MUL_MAT#0", |d| {
        let next = |s: f32| f32::from_bits(s.to_bits() + 1);
        d.rescale("blk.3.attn_output.weight", next);
    }),
    file("one-weight-flipped", "ffn_up-2|MUL_MAT#0", |d| {
        let byte = &mut d.bytes("blk.2.ffn_up.weight")[1000];
        // 00 becomes 10 and 10 becomes 00: −1 and +1 change places.
        *byte ^= 0b1000_0000;
        if *byte >> 6 == 3 {
            *byte ^= 0b0100_0000;
        }
    }),
    early("illegal-code-in-a-weight", |d| {
        d.bytes("blk.2.ffn_up.weight")[1000] |= 0b1100_0000;
    }),
    file("bits-of-a-byte-reversed", QUERY, |d| codes(d, reversed)),
    file("signs-inverted", QUERY, |d| {
        codes(d, |byte| 0b10_10_10_10 - byte)
    }),
    file("zero-and-minus-exchanged", QUERY, |d| {
        codes(d, |byte| {
            let zero = byte & 0b01_01_01_01;
            let plus = byte & 0b10_10_10_10;
            plus | (0b01_01_01_01 ^ zero) & !(plus >> 1)
        })
    }),
    file("last-columns-of-down-lost", "ffn_down-0|MUL_MAT#0", |d| {
        let bytes = d.bytes("blk.0.ffn_down.weight");
        // 768 columns are six blocks of 32 bytes a row; 01 is a weight of zero.
        let rows = bytes.len() / 192;
        bytes
            .chunks_exact_mut(192)
            .take(rows)
            .for_each(|row| row[160..].fill(0x55));
    }),
    file("gate-and-up-exchanged", "ffn_gate-0|MUL_MAT#0", |d| {
        d.swap("blk.0.ffn_gate.weight", "blk.0.ffn_up.weight");
    }),
    file("layers-exchanged", "attn_norm-1|MUL#0", |d| {
        for part in PARTS {
            d.swap(
                &format!("blk.1.{part}.weight"),
                &format!("blk.2.{part}.weight"),
            );
        }
    }),
    file("key-and-value-exchanged", "Kcur-0|MUL_MAT#0", |d| {
        d.swap("blk.0.attn_k.weight", "blk.0.attn_v.weight");
    }),
    file("attn-sub-norm-missing", "attn_sub_norm-0|MUL#0", |d| {
        d.floats("blk.0.attn_sub_norm.weight", |_| 1.0);
    }),
    file("ffn-sub-norm-missing", "ffn_sub_norm-0|MUL#0", |d| {
        d.floats("blk.0.ffn_sub_norm.weight", |_| 1.0);
    })
    .on(B158),
    file("norm-weight-plus-one", "attn_norm-0|MUL#0", |d| {
        d.floats("blk.0.attn_norm.weight", |w| w + 1.0);
    }),
    file("norm-weight-in-bf16", "ffn_norm-1|MUL#0", |d| {
        let cut = |w: f32| f32::from_bits(w.to_bits() & 0xffff_0000);
        d.floats("blk.1.ffn_norm.weight", cut);
    }),
    file("rope-base-10000", "Qcur-0|ROPE#0", |d| {
        d.set("rope.freq_base", 1e4f32)
    }),
    file("rope-base-off-by-one", "Qcur-0|ROPE#0", |d| {
        d.set("rope.freq_base", 499_999f32)
    }),
    file("epsilon-1e-6", "norm-0|RMS_NORM#0", |d| {
        d.set(EPSILON, 1e-6f32)
    }),
    file("epsilon-1e-3", "norm-0|RMS_NORM#0", |d| {
        d.set(EPSILON, 1e-3f32)
    })
    .on(B158),
    file("embedding-one-bit-flipped", "inp_embd|GET_ROWS#0", |d| {
        // The lowest bit of the mantissa of the start token's first element.
        d.bytes("token_embd.weight")[2 * 256 * 1022] ^= 1;
    }),
    numeric("p64-decode-of-p128", QUERY, Means::Flavor(Flavor::I2sP64)),
    numeric("p4r-decode-of-p128", QUERY, Means::Flavor(Flavor::I2sP4r)),
    early("merges-reversed", |d| {
        match d.key("tokenizer.ggml.merges") {
            Field::Array(_, merges) => merges.reverse(),
            other => unreachable!("merges are an array, not {other:?}"),
        }
    }),
    early("bos-missing", |d| {
        d.set("tokenizer.ggml.add_bos_token", false)
    }),
    early("bos-is-eos", |d| {
        d.set("tokenizer.ggml.bos_token_id", 1023u32)
    }),
    unlocated("bos-doubled", Means::Ids(|_, _, ids| ids.insert(0, ids[0]))),
    unlocated(
        "last-token-cut",
        Means::Ids(|_, _, ids| ids.truncate(ids.len() - 1)),
    ),
];

/// Faults that no recorded prompt can show, and why.
pub const UNSEEN: &[(Fault, &str)] = &[
    (
        early("tokenizer-pre-ignored", |d| {
            d.set("tokenizer.ggml.pre", "default")
        }),
        "the vocabulary has no merge where the recorded prompts are split differently",
    ),
    (
        unlocated(
            "special-tokens-unparsed",
            Means::Ids(|words, text, ids| *ids = words.encode(text, true, false)),
        ),
        "no recorded prompt has a special token in its text",
    ),
];

const EPSILON: &str = "layer_norm_rms_epsilon";

const PARTS: [&str; 11] = [
    "attn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_sub_norm",
    "attn_output",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_sub_norm",
    "ffn_down",
];

/// A fault that shows before anything is computed: in the ids of a prompt, or in a refusal.
const fn early(name: &'static str, edit: fn(&mut Draft)) -> Fault {
    unlocated(name, Means::File(edit))
}

const fn file(name: &'static str, expected: &'static str, edit: fn(&mut Draft)) -> Fault {
    numeric(name, expected, Means::File(edit))
}

fn codes(draft: &mut Draft, edit: fn(u8) -> u8) {
    for tensor in draft.packed() {
        let end = tensor.len() - SCALE_BYTES;
        tensor[..end]
            .iter_mut()
            .for_each(|byte| *byte = edit(*byte));
    }
}

/// The four codes of a byte in the other order.
fn reversed(byte: u8) -> u8 {
    byte << 6 | (byte & 0b1100) << 2 | byte >> 2 & 0b1100 | byte >> 6
}

/// Every packed tensor gets the scale of the one behind it.
fn scale_of_neighbour(draft: &mut Draft) {
    let scale = |bytes: &Vec<u8>| {
        let at = bytes.len() - SCALE_BYTES;
        f32::from_le_bytes(*bytes[at..].first_chunk().expect("a scale lies there"))
    };
    let mut scales: Vec<f32> = draft.packed().map(|tensor| scale(tensor)).collect();
    scales.rotate_left(1);
    for (tensor, scale) in draft.packed().zip(scales) {
        rescale(tensor, |_| scale);
    }
}
