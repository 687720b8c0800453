//! Faults of reading the packings whose codes mean −2, −1, +1 and +2: codes, filled-up rows, scales
//! inside the blocks and scales in a tensor beside them.

use engine::flavor::{Flavor, bitnet32_f16, qk256, split32};

use super::reading::{QUERY, exchange, file, reversed};
use super::{Fault, Injection, unlocated};
use crate::file::document::{Document, Uneditable};

/// The models, by what their cases' names begin with.
const QK256: &str = "qk256";
const BITNET32: &str = "bitnet32";
const SPLIT32: &str = "split32";

#[rustfmt::skip] // a table: a line a row
pub fn faults() -> Vec<Fault> {
    vec![
        file("qk256-one-code-wrong", "ffn_down-0|MUL_MAT#0", |d| {
            d.bytes("blk.0.ffn_down.weight").map(|bytes| bytes[1024] ^= 1)
        }).on(QK256),
        file("qk256-codes-highest-first", QUERY, |d| {
            let bytes = d.bytes("blk.0.attn_q.weight")?;
            bytes.iter_mut().for_each(|byte| *byte = reversed(*byte));
            Ok(())
        }).on(QK256),
        file("qk256-rows-not-filled-up", QUERY, rows_not_filled_up).on(QK256),
        unlocated("qk256-as-i2_s", Injection::Flavor(Flavor::I2sP128)).on(QK256),
        file("bitnet32-scale-one-ulp-off", "ffn_up-0|MUL_MAT#0", |d| {
            let at = 77 * bitnet32_f16::BLOCK_BYTES + bitnet32_f16::SCALE_AT;
            d.bytes("blk.0.ffn_up.weight").map(|bytes| bytes[at] ^= 1)
        }).on(BITNET32),
        file("bitnet32-scale-of-next-block", QUERY, |d| {
            let bytes = d.bytes("blk.0.attn_q.weight")?;
            let blocks = bytes.as_chunks_mut::<{ bitnet32_f16::BLOCK_BYTES }>().0;
            for at in 1..blocks.len() {
                let [one, next] = blocks.get_disjoint_mut([at - 1, at]).expect("two of them");
                let scale = bitnet32_f16::SCALE_AT..;
                one[scale.clone()].swap_with_slice(&mut next[scale]);
            }
            Ok(())
        }).on(BITNET32),
        file("bitnet32-codes-mean-their-neighbours", "Vcur-0|MUL_MAT#0", |d| {
            // Codes 1 and 2 change places, as if they were −2, +1, −1, +2.
            let bytes = d.bytes("blk.0.attn_v.weight")?;
            for block in bytes.chunks_exact_mut(bitnet32_f16::BLOCK_BYTES) {
                let codes = block[..bitnet32_f16::SCALE_AT].iter_mut();
                codes.for_each(|byte| *byte = (*byte & 0x55) << 1 | (*byte & 0xaa) >> 1);
            }
            Ok(())
        }).on(BITNET32),
        file("split32-one-code-wrong", "ffn_out-0|MUL_MAT#0", |d| {
            d.bytes("blk.0.ffn_down.weight").map(|bytes| bytes[1000] ^= 1)
        }).on(SPLIT32),
        file("split32-scale-one-ulp-off", "ffn_up-0|MUL_MAT#0", |d| {
            d.bytes("blk.0.ffn_up.scales").map(|bytes| bytes[4 * 77] ^= 1)
        }).on(SPLIT32),
        file("split32-siblings-exchanged", "ffn_gate-0|MUL_MAT#0", |d| {
            exchange(d, ["blk.0.ffn_gate.scales", "blk.0.ffn_up.scales"])
        }).on(SPLIT32),
        file("split32-scales-by-columns", QUERY, scales_by_columns).on(SPLIT32),
    ]
}

/// Rows that follow each other without what fills up the last block of each.
fn rows_not_filled_up(d: &mut Document) -> Result<(), Uneditable> {
    let name = "blk.0.attn_q.weight";
    let shape = d.tensor(name).expect("the fixture has it").shape();
    let dense = shape.cols / 4;
    let stride = shape.cols.div_ceil(qk256::BLOCK) * qk256::BLOCK_BYTES;
    let bytes = d.bytes(name)?;
    let old = bytes.clone();
    for (row, new) in bytes.chunks_exact_mut(stride).enumerate() {
        new[..dense].copy_from_slice(&old[row * dense..][..dense]);
    }
    Ok(())
}

/// The scales of the first blocks of all rows, then those of the second ones, and so on.
fn scales_by_columns(d: &mut Document) -> Result<(), Uneditable> {
    let shape = d
        .tensor("blk.0.attn_q.weight")
        .expect("the fixture has it")
        .shape();
    let blocks = shape.cols.div_ceil(split32::BLOCK);
    let bytes = d.bytes("blk.0.attn_q.scales")?;
    let old = bytes.clone();
    let (scales, old) = (bytes.as_chunks_mut::<4>().0, old.as_chunks::<4>().0);
    for (at, scale) in scales.iter_mut().enumerate() {
        *scale = old[at % blocks * shape.rows + at / blocks];
    }
    Ok(())
}
