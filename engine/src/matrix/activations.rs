//! Activations in the forms the kernels ask for, each made once for all products that share
//! them, in buffers that are kept.
#![forbid(unsafe_code)]

use crate::kernels::activation::{self, RowScale};
use crate::kernels::gemm::{Form, Inputs};
use crate::kernels::q8_0::{self, Q8Block};
use crate::kernels::q8_1::{self, Q8Sum};
use crate::kernels::q8_k::{self, Q8K};
use crate::kernels::{BlockOrder, whole_blocks};
use crate::numerics::Arithmetic;
use crate::numerics::half::Half;
use crate::pool::Pool;

/// Buffers for every form, as large as was ever needed.
#[derive(Default)]
pub struct Activations {
    f16: Vec<Half>,
    bf16: Vec<Half>,
    int8: Vec<i8>,
    scales: Vec<RowScale>,
    q8_0: Vec<Q8Block>,
    q8_1: Vec<Q8Sum>,
    q8_k: Vec<Q8K>,
}

impl Activations {
    /// Turns rows of so many values into a form.
    pub fn make(
        &mut self,
        form: Form,
        plain: &[f32],
        cols: usize,
        arithmetic: &dyn Arithmetic,
        pool: &mut Pool,
    ) {
        let tokens = plain.len() / cols;
        let row = |token: usize| &plain[token * cols..(token + 1) * cols];
        match form {
            Form::Plain => {}
            Form::F16 => {
                let out = sized(&mut self.f16, plain.len());
                pool.over_parts(out, cols, |t, out| arithmetic.round_f16(row(t), out));
            }
            Form::Bf16 => {
                let out = sized(&mut self.bf16, plain.len());
                pool.over_parts(out, cols, |t, out| arithmetic.round_bf16(row(t), out));
            }
            Form::Int8 => {
                let padded = cols.next_multiple_of(activation::BLOCK);
                let out = sized(&mut self.int8, tokens * padded);
                let scales = sized(&mut self.scales, tokens);
                pool.over_two(out, padded, scales, 1, |t, out, scale| {
                    arithmetic.quantise_int8(row(t), out, &mut scale[0]);
                });
            }
            Form::Q8_0 => {
                let quantise = match arithmetic.block_order() {
                    BlockOrder::EightLanes => q8_0::quantise_block,
                    BlockOrder::WholeBlocks => whole_blocks::quantise_block,
                };
                let out = sized(&mut self.q8_0, plain.len() / q8_0::BLOCK);
                in_blocks(pool, plain, cols, out, quantise);
            }
            Form::Q8_1 => {
                let quantise = match arithmetic.block_order() {
                    BlockOrder::EightLanes => q8_1::quantise_block,
                    BlockOrder::WholeBlocks => q8_1::quantise_whole_block,
                };
                let out = sized(&mut self.q8_1, plain.len() / q8_1::BLOCK);
                in_blocks(pool, plain, cols, out, quantise);
            }
            Form::Q8K => {
                let out = sized(&mut self.q8_k, plain.len() / q8_k::BLOCK);
                in_blocks(pool, plain, cols, out, q8_k::quantise_block);
            }
        }
    }

    /// What was made of these activations.
    pub fn inputs<'a>(&'a self, plain: &'a [f32], cols: usize) -> Inputs<'a> {
        let tokens = plain.len() / cols;
        let padded = cols.next_multiple_of(activation::BLOCK);
        Inputs {
            tokens,
            one_by_one: false,
            plain,
            f16: first(&self.f16, plain.len()),
            bf16: first(&self.bf16, plain.len()),
            int8: first(&self.int8, tokens * padded),
            scales: first(&self.scales, tokens),
            q8_0: first(&self.q8_0, plain.len() / q8_0::BLOCK),
            q8_1: first(&self.q8_1, plain.len() / q8_1::BLOCK),
            q8_k: first(&self.q8_k, plain.len() / q8_k::BLOCK),
        }
    }
}

/// Quantises rows of whole blocks.
fn in_blocks<const N: usize, Q: Send>(
    pool: &mut Pool,
    plain: &[f32],
    cols: usize,
    out: &mut [Q],
    quantise: fn(&[f32; N]) -> Q,
) {
    pool.over_parts(out, cols / N, |token, out| {
        let blocks = plain[token * cols..(token + 1) * cols].as_chunks().0;
        for (out, block) in out.iter_mut().zip(blocks) {
            *out = quantise(block);
        }
    });
}

/// The first `len` elements, of which there may be none yet.
fn sized<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}

/// The first `len` elements, or none where they were not made.
fn first<T>(buffer: &[T], len: usize) -> &[T] {
    buffer.get(..len).unwrap_or_default()
}
