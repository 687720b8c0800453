//! I2_S with AVX-512 VNNI: for one token rows where they lie, one after the other as memory likes
//! it; for some vectors of 256 bits, for many the panels of [`panel`].

use std::arch::x86_64::*;

use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::gemm::{Form, Gemm, Inputs, Stored, Tile};
use crate::kernels::ternary::{Rows, finish};
use crate::kernels::x86::amx::{Amx, Configured};
use crate::kernels::x86::dot::{Dot, Dpbusd256, Dpbusd512};
use crate::kernels::x86::i2_s;
use crate::kernels::x86::panel::{self, Tiles};
use crate::pool::Band;

/// Handed out by [`super::Avx512Vnni`] alone.
pub(super) struct I2s {
    name: &'static str,
    /// Whether panels are computed by the tile unit, as far as tokens fill its tiles.
    tiles: bool,
}

pub(super) static VNNI: I2s = I2s {
    name: "x86_64-avx512vnni-i2_s",
    tiles: false,
};

pub(super) static AMX: I2s = I2s {
    name: "x86_64-amx-i2_s",
    tiles: true,
};

/// Fewest tokens that are worth the unpacking of a panel, and of one for the tile unit.
const PANELS_FROM: usize = 48;
const TILES_FROM: usize = 12;
/// Rows of a tile of a single token.
const ROWS: usize = 16;
/// How far ahead of the loads memory is asked for, by the second level of the cache: the first
/// has too few misses at a time for that (0.50 of a streaming read into the first, 0.82 into the
/// second, 0.50 without).
const AHEAD: usize = 8192;
/// Columns computed at a time: what they meet stays in the first level of the cache.
const COLS: usize = 8192;

/// Rows of a panel.
const PANEL: usize = panel::rows::<Dpbusd512>();

impl I2s {
    fn panels_from(&self) -> usize {
        if self.tiles { TILES_FROM } else { PANELS_FROM }
    }
}

impl Gemm for I2s {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> Form {
        Form::Int8
    }

    fn tile(&self, tokens: usize) -> Tile {
        if tokens < self.panels_from() {
            Tile {
                rows: ROWS,
                tokens: tokens.clamp(1, 4),
            }
        } else {
            Tile {
                rows: PANEL,
                tokens: Dpbusd512::TOKENS,
            }
        }
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        let rows = Rows::of(weights, inputs, band);
        let height = band.rows().len();
        let paneled = if inputs.tokens < self.panels_from() {
            0
        } else {
            height / PANEL * PANEL
        };
        let amx = Amx::new().filter(|_| self.tiles && paneled > 0);
        // SAFETY: an `I2s` is handed out only by `Avx512Vnni`, which exists only where there are
        // the instructions; those of the tile unit are where there is a value of it.
        unsafe {
            match amx {
                Some(amx) => panels(&rows, paneled, band, &mut Configured::new(amx)),
                None => panels(&rows, paneled, band, &mut ()),
            }
        }
        // SAFETY: as above.
        unsafe {
            if inputs.tokens == 1 {
                rows_where_they_lie(&rows, paneled, 0, band);
            } else {
                some_tokens(&rows, paneled, band);
            }
        }
    }
}

/// The outputs of the first rows of a band: see [`panel::multiply`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn panels(rows: &Rows, count: usize, band: &mut Band, unit: &mut impl Tiles) {
    for row in (0..count).step_by(PANEL) {
        // SAFETY: this function asks for the instructions.
        unsafe { panel::multiply::<Dpbusd512>(rows, row, band.tokens(), band, unit) }
    }
}

/// The outputs of the rows from `first` on for a few tokens, which vectors of 256 bits take as they
/// lie in memory.
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
fn some_tokens(rows: &Rows, first: usize, band: &mut Band) {
    // SAFETY: this function asks for the instructions.
    unsafe { i2_s::where_they_lie::<Dpbusd256>(rows, first, band) }
}

/// Computes the outputs of the rows from `first` on for one token.
///
/// Between two portions of columns the sums lie in the outputs, as the bits of integers.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn rows_where_they_lie(rows: &Rows, first: usize, token: usize, band: &mut Band) {
    let activation = rows.activation(token);
    let out = &mut band.token(token)[first..];
    let mut planes = [Planes([0; 2 * BLOCK]); COLS / BLOCK / 2];
    for (portion, values) in rows.token(token).chunks(COLS).enumerate() {
        let start = portion * COLS;
        let planes = arrange(values, &mut planes);
        for (row, out) in out.iter_mut().enumerate() {
            let packed = &rows.row(first + row)[start / 4..][..values.len() / 4];
            let mut sum = dot(packed, planes);
            if start > 0 {
                sum += out.to_bits().cast_signed();
            }
            *out = if start + values.len() == rows.cols() {
                finish(sum, activation, rows.scale)
            } else {
                f32::from_bits(sum.cast_unsigned())
            };
        }
    }
}

/// Activations in the order in which 64 bytes of codes meet them: plane by plane those of two
/// neighbouring blocks.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Planes([i8; 2 * BLOCK]);

/// Brings activations into that order; a last single block gets zeros for a neighbour.
fn arrange<'a>(values: &[i8], planes: &'a mut [Planes]) -> &'a [Planes] {
    let pairs = values.chunks(2 * BLOCK);
    let count = pairs.len();
    for (Planes(out), pair) in planes.iter_mut().zip(pairs) {
        for (at, out) in out.as_chunks_mut::<BLOCK_BYTES>().0.iter_mut().enumerate() {
            let (plane, block) = (at / 2, at % 2);
            let from = block * BLOCK + plane * BLOCK_BYTES;
            match pair.get(from..from + BLOCK_BYTES) {
                Some(part) => out.copy_from_slice(part),
                None => out.fill(0),
            }
        }
    }
    &planes[..count]
}

/// The sum of code times activation.
///
/// The two-bit planes of a byte are masked where they are, so plane `p` adds up 4ᵖ times its
/// products: exactly, as a lane of the highest stays within 64 · 3 · 128 · 4 a pair of blocks,
/// 2³¹ in more than 21,000 of them. A shift at the end takes the factor off again.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot(packed: &[u8], planes: &[Planes]) -> i32 {
    let (pairs, rest) = packed.as_chunks::<{ 2 * BLOCK_BYTES }>();
    let mut sums = [_mm512_setzero_si512(); 4];
    for (bytes, planes) in pairs.iter().zip(planes) {
        _mm_prefetch::<_MM_HINT_T1>(bytes.as_ptr().wrapping_add(AHEAD).cast());
        // SAFETY: the reference vouches for 64 readable bytes; no alignment is asked for.
        let codes = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
        add_planes(&mut sums, codes, planes);
    }
    if let (Some(bytes), Some(planes)) = (rest.first_chunk::<BLOCK_BYTES>(), planes.last()) {
        // SAFETY: the reference vouches for 32 readable bytes; no alignment is asked for.
        let codes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
        add_planes(&mut sums, _mm512_zextsi256_si512(codes), planes);
    }
    let [plane_3, plane_2, plane_1, plane_0] = sums;
    let low = _mm512_add_epi32(plane_0, _mm512_srai_epi32::<2>(plane_1));
    let high = _mm512_add_epi32(
        _mm512_srai_epi32::<4>(plane_2),
        _mm512_srai_epi32::<6>(plane_3),
    );
    _mm512_reduce_add_epi32(_mm512_add_epi32(low, high))
}

/// The first plane of a byte is its highest.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add_planes(sums: &mut [__m512i; 4], codes: __m512i, planes: &Planes) {
    let masks = [0b1100_0000u8, 0b0011_0000, 0b0000_1100, 0b0000_0011];
    let planes = planes.0.as_chunks::<{ 2 * BLOCK_BYTES }>().0;
    for ((sum, mask), plane) in sums.iter_mut().zip(masks).zip(planes) {
        let digits = _mm512_and_si512(codes, _mm512_set1_epi8(mask.cast_signed()));
        // SAFETY: the reference vouches for 64 readable bytes; no alignment is asked for.
        let values = unsafe { _mm512_loadu_si512(plane.as_ptr().cast()) };
        *sum = _mm512_dpbusd_epi32(*sum, digits, values);
    }
}
