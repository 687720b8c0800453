//! Faults of reading the file: weights, scales, packings, hyper-parameters, vocabulary. The
//! reference read the right file; the engine is given what a wrong reading of it would be.

use engine::Token;
use engine::flavor::Flavor;
use engine::gguf::writer::Field;
use engine::tokenizer::Tokenizer;

use super::{B158, EDGES, Edit, Fault, Injection, SCALE_BYTES, located, unlocated};
use crate::file::document::{Document, Uneditable};

pub(super) const QUERY: &str = "Qcur-0|MUL_MAT#0";

pub fn faults() -> Vec<Fault> {
    [of_weights(), of_parameters(), of_the_vocabulary()]
        .into_iter()
        .flatten()
        .collect()
}

#[rustfmt::skip] // a table: a line a row
fn of_weights() -> Vec<Fault> {
    vec![
        file("weight-scale-ignored", QUERY, |d| every(d, |bytes| rescale(bytes, |_| 1.0))),
        file("weight-scale-inverted", QUERY, |d| every(d, |bytes| rescale(bytes, |s| 1.0 / s))),
        file("weight-scale-of-neighbour", QUERY, scale_of_neighbour),
        file("weight-scale-off-by-1e-4", "ffn_up-1|MUL_MAT#0", |d| {
            d.edit("blk.1.ffn_up.weight", |grid| grid.multiply(1.0001))
        }).on(B158),
        file("weight-scale-one-ulp-off", "attn_o_out-3|MUL_MAT#0", |d| {
            let next = |s: f32| f32::from_bits(s.to_bits() + 1);
            d.bytes("blk.3.attn_output.weight").map(|bytes| rescale(bytes, next))
        }),
        file("one-weight-flipped", "ffn_up-2|MUL_MAT#0", |d| {
            let byte = &mut d.bytes("blk.2.ffn_up.weight")?[1000];
            // 00 becomes 10 and 10 becomes 00: −1 and +1 change places.
            *byte ^= 0b1000_0000;
            if *byte >> 6 == 3 {
                *byte ^= 0b0100_0000;
            }
            Ok(())
        }),
        early("illegal-code-in-a-weight", |d| {
            d.bytes("blk.2.ffn_up.weight").map(|bytes| bytes[1000] |= 0b1100_0000)
        }),
        file("bits-of-a-byte-reversed", QUERY, |d| codes(d, reversed)),
        file("signs-inverted", QUERY, |d| codes(d, |byte| 0b10_10_10_10 - byte)),
        file("zero-and-minus-exchanged", QUERY, |d| codes(d, |byte| {
            let (zero, plus) = (byte & 0b01_01_01_01, byte & 0b10_10_10_10);
            plus | (0b01_01_01_01 ^ zero) & !(plus >> 1)
        })),
        file("last-columns-of-down-lost", "ffn_down-0|MUL_MAT#0", |d| {
            d.edit("blk.0.ffn_down.weight", |grid| {
                let kept = grid.shape.cols - 128;
                grid.map(|_, col, digit| if col < kept { digit } else { 0.0 });
            })
        }),
        file("gate-and-up-exchanged", "ffn_gate-0|MUL_MAT#0", |d| {
            exchange(d, ["blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"])
        }),
        file("layers-exchanged", "attn_norm-1|MUL#0", |d| {
            let names = d.tensors().iter().map(|tensor| tensor.name.clone());
            let names: Vec<String> = names.filter(|name| name.starts_with("blk.1.")).collect();
            let others = names.iter().map(|name| name.replace("blk.1.", "blk.2."));
            let mut pairs = names.iter().zip(others);
            pairs.try_for_each(|(one, other)| exchange(d, [one, &other]))
        }),
        file("key-and-value-exchanged", "Kcur-0|MUL_MAT#0", |d| {
            exchange(d, ["blk.0.attn_k.weight", "blk.0.attn_v.weight"])
        }),
        file("two-value-rows-exchanged", "Vcur-0|MUL_MAT#0", |d| {
            let name = "blk.0.attn_v.weight";
            let rows = d.tensor(name).map_or(0, |tensor| tensor.shape().rows);
            let mut order: Vec<usize> = (0..rows).collect();
            order.swap(10, 11);
            d.permute_rows(name, &order)
        }).on(B158),
        file("query-rows-permuted-by-the-converter", QUERY, |d| {
            // As converters do for rotations of adjacent pairs: 0, 32, 1, 33, … in every head.
            let row = |i: usize| i / 64 * 64 + i % 2 * 32 + i % 64 / 2;
            let order: Vec<usize> = (0..256).map(row).collect();
            d.permute_rows("blk.0.attn_q.weight", &order)
        }),
    ]
}

#[rustfmt::skip] // a table: a line a row
fn of_parameters() -> Vec<Fault> {
    vec![
        file("attn-sub-norm-weight-missing", "attn_sub_norm-0|MUL#0", |d| {
            gains(d, "blk.0.attn_sub_norm.weight", |_| 1.0)
        }),
        file("ffn-sub-norm-weight-missing", "ffn_sub_norm-0|MUL#0", |d| {
            gains(d, "blk.0.ffn_sub_norm.weight", |_| 1.0)
        }).on(B158),
        file("norm-weight-plus-one", "attn_norm-0|MUL#0", |d| {
            gains(d, "blk.0.attn_norm.weight", |w| w + 1.0)
        }),
        file("norm-weight-in-bf16", "ffn_norm-1|MUL#0", |d| {
            gains(d, "blk.1.ffn_norm.weight", |w| f32::from_bits(w.to_bits() & 0xffff_0000))
        }),
        file("rope-base-10000", "Qcur-0|ROPE#0", |d| set(d, "bitnet.rope.freq_base", 1e4f32)),
        file("rope-base-off-by-one", "Qcur-0|ROPE#0", |d| {
            set(d, "bitnet.rope.freq_base", 499_999f32)
        }),
        file("epsilon-1e-6", "norm-0|RMS_NORM#0", |d| {
            set(d, "bitnet.attention.layer_norm_rms_epsilon", 1e-6f32)
        }),
        file("epsilon-1e-3", "norm-0|RMS_NORM#0", |d| {
            set(d, "bitnet-b1.58.attention.layer_norm_rms_epsilon", 1e-3f32)
        }).on(B158),
        file("embedding-one-bit-flipped", "inp_embd|GET_ROWS#0", |d| {
            // The lowest bit of the mantissa of the start token's first element.
            d.bytes("token_embd.weight").map(|bytes| bytes[2 * 256 * 1022] ^= 1)
        }),
        located("p64-decode-of-p128", QUERY, Injection::Flavor(Flavor::I2sP64)),
        located("p4r-decode-of-p128", QUERY, Injection::Flavor(Flavor::I2sP4r)),
    ]
}

#[rustfmt::skip] // a table: a line a row
fn of_the_vocabulary() -> Vec<Fault> {
    vec![
        early("merges-reversed", |d| {
            let key = "tokenizer.ggml.merges";
            let Some(Field::Array(kind, mut merges)) = d.key(key).cloned() else {
                unreachable!("the fixture has merges");
            };
            merges.reverse();
            set(d, key, Field::Array(kind, merges))
        }),
        early("tokenizer-pre-ignored", |d| set(d, "tokenizer.ggml.pre", "default")).on(EDGES),
        ids("special-tokens-unparsed", |words, text, ids| *ids = words.encode(text, true, false))
            .on(EDGES),
        early("bos-missing", |d| set(d, "tokenizer.ggml.add_bos_token", false)),
        early("bos-is-eos", |d| set(d, "tokenizer.ggml.bos_token_id", 1023u32)),
        ids("bos-doubled", |_, _, ids| ids.insert(0, ids[0])),
        ids("last-token-cut", |_, _, ids| ids.truncate(ids.len() - 1)),
    ]
}

/// A fault that shows before anything is computed: in the ids of a prompt, or in a refusal.
fn early(name: &'static str, edit: Edit) -> Fault {
    unlocated(name, Injection::File(edit))
}

pub(super) fn file(name: &'static str, expected: &'static str, edit: Edit) -> Fault {
    located(name, expected, Injection::File(edit))
}

fn ids(name: &'static str, edit: fn(&Tokenizer, &str, &mut Vec<Token>)) -> Fault {
    unlocated(name, Injection::Ids(edit))
}

fn set(d: &mut Document, key: &str, value: impl Into<Field>) -> Result<(), Uneditable> {
    assert!(d.key(key).is_some(), "the fixture has {key}");
    d.set(key, value);
    Ok(())
}

/// Other numbers in a vector.
fn gains(d: &mut Document, name: &str, edit: fn(f32) -> f32) -> Result<(), Uneditable> {
    d.edit(name, |grid| grid.map(|_, _, gain| edit(gain)))
}

/// Every packed tensor.
fn every(d: &mut Document, edit: fn(&mut [u8])) -> Result<(), Uneditable> {
    d.packed().for_each(|bytes| edit(bytes));
    Ok(())
}

fn codes(d: &mut Document, edit: fn(u8) -> u8) -> Result<(), Uneditable> {
    for bytes in d.packed() {
        let end = bytes.len() - SCALE_BYTES;
        bytes[..end].iter_mut().for_each(|byte| *byte = edit(*byte));
    }
    Ok(())
}

/// The four codes of a byte in the other order.
pub(super) fn reversed(byte: u8) -> u8 {
    byte << 6 | (byte & 0b1100) << 2 | byte >> 2 & 0b1100 | byte >> 6
}

/// Exchanges what two tensors hold.
pub(super) fn exchange(d: &mut Document, [one, other]: [&str; 2]) -> Result<(), Uneditable> {
    let taken = std::mem::take(d.bytes(one)?);
    let given = std::mem::replace(d.bytes(other)?, taken);
    *d.bytes(one)? = given;
    Ok(())
}

/// Another scale behind the codes.
fn rescale(bytes: &mut [u8], edit: impl Fn(f32) -> f32) {
    let at = bytes.len() - SCALE_BYTES;
    let field = bytes[at..]
        .first_chunk_mut()
        .expect("a scale lies behind the codes");
    *field = edit(f32::from_le_bytes(*field)).to_le_bytes();
}

/// Every packed tensor gets the scale of the one behind it.
fn scale_of_neighbour(d: &mut Document) -> Result<(), Uneditable> {
    let ends = |bytes: &mut Vec<u8>| bytes.split_off(bytes.len() - SCALE_BYTES);
    let mut scales: Vec<Vec<u8>> = d.packed().map(ends).collect();
    scales.rotate_left(1);
    d.packed()
        .zip(scales)
        .for_each(|(bytes, scale)| bytes.extend(scale));
    Ok(())
}
