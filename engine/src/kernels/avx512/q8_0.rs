//! Q8_0 with AVX-512 VNNI.

use std::arch::x86_64::*;

use super::pairs;
use crate::encoding::q8_0;
use crate::kernels::gemm::{Block, Form, Gemm, Inputs, Stored, Tile};
use crate::kernels::q8_0::Q8Block;
use crate::kernels::x86::small_blocks;
use crate::pool::Band;

pairs::product! {
    /// The product of Q8_0, in eight lanes, where no activation is −128.
    "x86_64-avx512vnni-q8_0", q8_0::BLOCK_BYTES, Q8Block,
    unpack, scale, multiply, fused
}

fn scale(block: &[u8; q8_0::BLOCK_BYTES]) -> [u8; 2] {
    [block[0], block[1]]
}

/// The elements, and what 128 times them gives in every lane.
type Unpacked = (__m512i, __m512i);

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn unpack(pair: (&[u8; q8_0::BLOCK_BYTES], &[u8; q8_0::BLOCK_BYTES])) -> Unpacked {
    let quants = pairs::both(pair, 2);
    let zero = _mm512_setzero_si512();
    let of_128 = _mm512_dpbusd_epi32(zero, _mm512_set1_epi8(-128), quants);
    (quants, _mm512_sub_epi32(zero, of_128))
}

/// Sums of elements times activations, which are made unsigned by adding 128. A lane stays within
/// 4 · 255 · 128.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn multiply<const T: usize>((quants, start): &Unpacked, x: [&Q8Block; T]) -> [__m512i; T] {
    let sign = _mm512_set1_epi8(-128);
    let mut sums = [*start; T];
    for (sum, x) in sums.iter_mut().zip(x) {
        let values = _mm512_xor_si512(pairs::activations(&x.values), sign);
        *sum = _mm512_dpbusd_epi32(*sum, values, *quants);
    }
    sums
}

/// The product, with that of AVX2 where an activation is −128: it has no negative, and the sign
/// of a weight, which goes to the activation there, does not change it.
pub struct Checked(());

/// Handed out by [`super::Avx512Vnni`] alone.
pub static Q8_0: Checked = Checked(());

impl Gemm for Checked {
    fn name(&self) -> &'static str {
        PRODUCT.name()
    }

    fn form(&self) -> Form {
        PRODUCT.form()
    }

    fn tile(&self, tokens: usize) -> Tile {
        PRODUCT.tile(tokens)
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        let is_least = |any: bool, value: &i8| any | (*value == i8::MIN);
        let has_least = |block: &Q8Block| block.values.iter().fold(false, is_least);
        if inputs.q8_0.iter().any(has_least) {
            small_blocks::Q8_0.pairs.multiply(weights, inputs, band);
        } else {
            PRODUCT.multiply(weights, inputs, band);
        }
    }
}
