//! I2_S with 256-bit vectors: for few tokens rows where they lie, for many the panels of
//! [`panel`].

use std::arch::x86_64::*;

use super::dot::Dot;
use super::{AHEAD, panel, products};
use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::gemm::{Form, Inputs, Stored, Tile};
use crate::kernels::ternary::{Rows, finish};
use crate::pool::Band;

/// Rows that share the loads of a token.
const ROWS: usize = 4;
/// Fewest tokens that are worth the unpacking of a panel.
const PANELS_FROM: usize = 16;
/// Blocks between two widenings: four times the vectors of products are 32.
const BETWEEN_WIDENINGS: usize = 8;

products! {
    PRODUCTS: Form::Int8, tile, multiply,
    "x86_64-avx2-i2_s", "x86_64-avxvnni-i2_s", "x86_64-avx512vl-i2_s"
}

fn tile<D: Dot>(tokens: usize) -> Tile {
    let (rows, tokens) = if tokens < PANELS_FROM {
        (ROWS, 1)
    } else {
        (panel::rows::<D>(), D::TOKENS)
    };
    Tile { rows, tokens }
}

/// Computes the outputs of a band.
///
/// # Safety
/// The instructions of `D` and AVX2 are there.
#[inline(always)]
unsafe fn multiply<D: Dot<Vector = __m256i>>(weights: &Stored, inputs: &Inputs, band: &mut Band) {
    let rows = Rows::of(weights, inputs, band);
    let height = band.rows().len();
    let panels = panel::rows::<D>();
    let paneled = match inputs.tokens {
        PANELS_FROM.. => height / panels * panels,
        _ => 0,
    };
    // SAFETY: the instructions are there.
    unsafe {
        for row in (0..paneled).step_by(panels) {
            panel::multiply::<D>(&rows, row, inputs.tokens, band, &mut ());
        }
        let fours = paneled + (height - paneled) / ROWS * ROWS;
        for token in 0..inputs.tokens {
            for row in (paneled..fours).step_by(ROWS) {
                some::<D, ROWS>(&rows, row, token, band);
            }
            for row in fours..height {
                some::<D, 1>(&rows, row, token, band);
            }
        }
    }
}

/// The outputs of `R` rows for one token.
///
/// # Safety
/// The instructions of `D` and AVX2 are there.
#[inline(always)]
unsafe fn some<D: Dot<Vector = __m256i>, const R: usize>(
    rows: &Rows,
    row: usize,
    token: usize,
    band: &mut Band,
) {
    let packed = std::array::from_fn(|r| rows.row(row + r));
    // SAFETY: the instructions are there.
    let dots = unsafe { dots::<D, R>(packed, rows.token(token)) };
    let activation = rows.activation(token);
    for (out, dot) in band.token(token)[row..row + R].iter_mut().zip(dots) {
        *out = finish(dot, activation, rows.scale);
    }
}

/// Sums of code times activation of some rows with one token.
///
/// # Safety
/// The instructions of `D` and AVX2 are there.
#[inline(always)]
unsafe fn dots<D: Dot<Vector = __m256i>, const R: usize>(
    packed: [&[u8]; R],
    values: &[i8],
) -> [i32; R] {
    let blocks = packed.map(|row| row.as_chunks::<BLOCK_BYTES>().0);
    let values = values.as_chunks::<BLOCK>().0;
    let count = values.len();
    assert!(
        blocks.iter().all(|row| row.len() == count),
        "rows of the activations' length"
    );
    // SAFETY: the instructions are there, references vouch for what is loaded, and arrays have
    // room for what is stored.
    unsafe {
        let two_bits = _mm256_set1_epi8(3);
        let mut wide = [D::zero(); R];
        for start in (0..count).step_by(BETWEEN_WIDENINGS) {
            let mut sums = wide;
            sums.iter_mut().for_each(|sum| *sum = D::begin(*sum));
            for block in start..count.min(start + BETWEEN_WIDENINGS) {
                let mut codes = [D::zero(); R];
                for (codes, row) in codes.iter_mut().zip(blocks) {
                    let bytes = row[block].as_ptr();
                    _mm_prefetch::<_MM_HINT_T1>(bytes.wrapping_add(AHEAD).cast());
                    *codes = D::load(bytes);
                }
                // The last plane of a byte is its lowest.
                for plane in values[block].as_chunks::<BLOCK_BYTES>().0.iter().rev() {
                    let values = D::load(plane.as_ptr().cast());
                    for (sum, codes) in sums.iter_mut().zip(&mut codes) {
                        *sum = D::add(*sum, _mm256_and_si256(*codes, two_bits), values);
                        *codes = _mm256_srli_epi16::<2>(*codes);
                    }
                }
            }
            for (wide, sum) in wide.iter_mut().zip(sums) {
                *wide = D::widen(*wide, sum);
            }
        }
        wide.map(|lanes| horizontal_sum(lanes))
    }
}

/// All eight lanes.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
unsafe fn horizontal_sum(lanes: __m256i) -> i32 {
    // SAFETY: there is AVX2.
    unsafe {
        let quad = _mm_add_epi32(
            _mm256_castsi256_si128(lanes),
            _mm256_extracti128_si256::<1>(lanes),
        );
        let pair = _mm_add_epi32(quad, _mm_unpackhi_epi64(quad, quad));
        let one = _mm_add_epi32(pair, _mm_shuffle_epi32::<1>(pair));
        _mm_cvtsi128_si32(one)
    }
}
