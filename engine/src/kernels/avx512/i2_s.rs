//! I2_S with AVX-512 VNNI: for few tokens rows where they lie, for many the panels of
//! [`super::panel`].

use std::arch::x86_64::*;

use super::panel;
use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::gemm::{Form, Gemm, Inputs, Stored, Tile};
use crate::kernels::ternary::{Rows, finish};
use crate::pool::Band;

/// Handed out by [`super::Avx512Vnni`] alone.
pub(super) struct I2s(());

pub(super) static I2_S: I2s = I2s(());

/// Rows that share the loads of a token.
const ROWS: usize = 4;
/// Fewest tokens that are worth the unpacking of a panel.
const PANELS_FROM: usize = 12;
/// How far ahead of the loads memory is asked for.
const AHEAD: usize = 2048;

impl Gemm for I2s {
    fn name(&self) -> &'static str {
        "x86_64-avx512vnni-i2_s"
    }

    fn form(&self) -> Form {
        Form::Int8
    }

    fn tile(&self, tokens: usize) -> Tile {
        if tokens < PANELS_FROM {
            Tile {
                rows: ROWS,
                tokens: 1,
            }
        } else {
            Tile {
                rows: panel::ROWS,
                tokens: panel::TOKENS,
            }
        }
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        let rows = Rows::of(weights, inputs, band);
        let height = band.rows().len();
        let paneled = match inputs.tokens {
            PANELS_FROM.. => height / panel::ROWS * panel::ROWS,
            _ => 0,
        };
        for row in (0..paneled).step_by(panel::ROWS) {
            // SAFETY: an `I2s` is handed out only by `Avx512Vnni`, which exists only where there
            // are the instructions.
            unsafe { panel::multiply(&rows, row, inputs.tokens, band) };
        }
        let fours = paneled + (height - paneled) / ROWS * ROWS;
        for row in (paneled..fours).step_by(ROWS) {
            (0..inputs.tokens).for_each(|token| some::<ROWS>(&rows, row, token, band));
        }
        for row in fours..height {
            (0..inputs.tokens).for_each(|token| some::<1>(&rows, row, token, band));
        }
    }
}

fn some<const R: usize>(rows: &Rows, row: usize, token: usize, band: &mut Band) {
    let packed = std::array::from_fn(|r| rows.row(row + r));
    // SAFETY: see `multiply`.
    let dots = unsafe { dots::<R>(packed, rows.token(token)) };
    let activation = rows.activation(token);
    for (out, dot) in band.token(token)[row..row + R].iter_mut().zip(dots) {
        *out = finish(dot, activation, rows.scale);
    }
}

/// Sums of code times activation of some rows with one token.
///
/// The two-bit planes of a byte are masked where they are, so plane `p` adds up 4ᵖ times its
/// products: exactly, as a lane of the highest stays within 64 · 3 · 128 · 4 a pair of blocks,
/// 2³¹ in more than 21,000 of them. A shift at the end takes the factor off again.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dots<const R: usize>(packed: [&[u8]; R], values: &[i8]) -> [i32; R] {
    let (pairs, rest) = values.as_chunks::<{ 2 * BLOCK }>();
    let length = values.len() / 4;
    assert!(
        packed.iter().all(|row| row.len() == length),
        "four codes a byte"
    );
    let mut sums = [[_mm512_setzero_si512(); 4]; R];
    for (i, values) in pairs.iter().enumerate() {
        let planes = pair_of_planes(values);
        for (sums, row) in sums.iter_mut().zip(packed) {
            let at = i * 2 * BLOCK_BYTES;
            let bytes = &row[at..at + 2 * BLOCK_BYTES];
            _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(AHEAD).cast());
            // SAFETY: the slice has 64 bytes, and the load asks for no alignment.
            let codes = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
            add_planes(sums, codes, planes);
        }
    }
    if let Some(values) = rest.first_chunk::<BLOCK>() {
        let halves = values.as_chunks::<BLOCK_BYTES>().0;
        let planes = std::array::from_fn(|plane| _mm512_zextsi256_si512(load_32(&halves[plane])));
        for (sums, row) in sums.iter_mut().zip(packed) {
            let last = row.last_chunk::<BLOCK_BYTES>().expect("a block");
            let codes = _mm512_zextsi256_si512(load_32(&last.map(u8::cast_signed)));
            add_planes(sums, codes, planes);
        }
    }
    sums.map(|[plane_3, plane_2, plane_1, plane_0]| {
        let low = _mm512_add_epi32(plane_0, _mm512_srai_epi32::<2>(plane_1));
        let high = _mm512_add_epi32(
            _mm512_srai_epi32::<4>(plane_2),
            _mm512_srai_epi32::<6>(plane_3),
        );
        _mm512_reduce_add_epi32(_mm512_add_epi32(low, high))
    })
}

/// The first plane of a byte is its highest.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add_planes(sums: &mut [__m512i; 4], codes: __m512i, planes: [__m512i; 4]) {
    let masks = [0b1100_0000u8, 0b0011_0000, 0b0000_1100, 0b0000_0011];
    for ((sum, mask), plane) in sums.iter_mut().zip(masks).zip(planes) {
        let digits = _mm512_and_si512(codes, _mm512_set1_epi8(mask.cast_signed()));
        *sum = _mm512_dpbusd_epi32(*sum, digits, plane);
    }
}

/// Plane by plane the activations two neighbouring blocks meet.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn pair_of_planes(values: &[i8; 2 * BLOCK]) -> [__m512i; 4] {
    let parts = values.as_chunks::<BLOCK_BYTES>().0;
    std::array::from_fn(|plane| {
        let low = _mm512_castsi256_si512(load_32(&parts[plane]));
        _mm512_inserti64x4::<1>(low, load_32(&parts[4 + plane]))
    })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_32(values: &[i8; 32]) -> __m256i {
    // SAFETY: the reference vouches for 32 readable bytes, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}
