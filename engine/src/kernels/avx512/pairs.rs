//! Products of rows in blocks, two rows a vector: eight lanes of the one and eight of the other,
//! each the lane it is in [`Lanes`](crate::kernels::lanes::Lanes).
//!
//! A block of both rows is unpacked once and then meets as many tokens as there are registers.

use std::arch::x86_64::*;

use crate::kernels::gemm::Stored;
use crate::kernels::x86::AHEAD;
use crate::kernels::x86::blocks::sum_lanes;

/// Rows that stay in the second level of the cache while all tokens meet them.
pub const ROWS: usize = 32;
/// The most tokens that meet an unpacked block.
pub const TOKENS: usize = 8;
/// The rows of a band.
pub struct Rows<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Those rows of a matrix.
    pub fn of(weights: &'a Stored, rows: std::ops::Range<usize>) -> Self {
        let stride = weights.bytes.len() / weights.shape.rows;
        Rows {
            bytes: &weights.bytes[rows.start * stride..rows.end * stride],
            stride,
        }
    }

    /// The blocks of a row and of the next, which is the same again behind the last.
    pub fn pair<const BYTES: usize>(&self, row: usize) -> [&'a [[u8; BYTES]]; 2] {
        let last = self.bytes.len() / self.stride - 1;
        let own = |row: usize| &self.bytes[row * self.stride..(row + 1) * self.stride];
        [own(row).as_chunks().0, own(last.min(row + 1)).as_chunks().0]
    }
}

/// Defines the product of a format: how a block of two rows is unpacked, multiplied with some
/// tokens and added to their lanes.
macro_rules! product {
    (
        $(#[$doc:meta])*
        $name:literal, $bytes:expr, $activation:ty,
        $unpack:ident, $scales:ident, $multiply:ident, $add:ident
    ) => {
        $(#[$doc])*
        pub struct Product(());

        /// Handed out by [`super::Avx512Vnni`] alone.
        pub static PRODUCT: Product = Product(());

        impl Gemm for Product {
            fn name(&self) -> &'static str {
                $name
            }

            fn form(&self) -> Form {
                <$activation>::FORM
            }

            fn tile(&self, tokens: usize) -> Tile {
                Tile {
                    rows: pairs::ROWS / 2,
                    tokens: tokens.clamp(1, pairs::TOKENS),
                }
            }

            fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
                let rows = pairs::Rows::of(weights, band.rows());
                let (height, tokens) = (band.rows().len(), inputs.tokens);
                for first in (0..height).step_by(pairs::ROWS) {
                    let own = first..height.min(first + pairs::ROWS);
                    let mut token = 0;
                    while token < tokens {
                        let own = own.clone();
                        // SAFETY: only `Avx512Vnni` hands the product out, and that exists only
                        // where there are the instructions.
                        token += unsafe {
                            match tokens - token {
                                8.. => some::<8>(&rows, own, inputs, token, band),
                                4.. => some::<4>(&rows, own, inputs, token, band),
                                2.. => some::<2>(&rows, own, inputs, token, band),
                                _ => some::<1>(&rows, own, inputs, token, band),
                            }
                        };
                    }
                }
            }
        }

        /// The outputs of some rows for `T` tokens from `token` on; returns `T`.
        #[target_feature(
            enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
        )]
        fn some<const T: usize>(
            rows: &pairs::Rows,
            own: std::ops::Range<usize>,
            inputs: &Inputs,
            token: usize,
            band: &mut Band,
        ) -> usize {
            let blocks = <$activation>::of(inputs).len() / inputs.tokens;
            let mut xs: [&[$activation]; T] = [&[]; T];
            for (t, x) in xs.iter_mut().enumerate() {
                *x = &<$activation>::of(inputs)[(token + t) * blocks..][..blocks];
            }
            for row in own.clone().step_by(2) {
                let [first, second] = rows.pair::<{ $bytes }>(row);
                let mut lanes = [_mm512_setzero_ps(); T];
                for (i, pair) in first.iter().zip(second).enumerate() {
                    pairs::prefetch(pair.0);
                    pairs::prefetch(pair.1);
                    let mut x = [&xs[0][i]; T];
                    for (x, xs) in x.iter_mut().zip(xs) {
                        *x = &xs[i];
                    }
                    let scales = pairs::scales($scales(pair.0), $scales(pair.1));
                    let sums = $multiply(&$unpack(pair), x);
                    for ((lanes, sums), x) in lanes.iter_mut().zip(sums).zip(x) {
                        let scales = _mm512_mul_ps(scales, _mm512_set1_ps(x.scale));
                        *lanes = pairs::$add(*lanes, scales, sums);
                    }
                }
                for (t, lanes) in lanes.iter().enumerate() {
                    let out = &mut band.token(token + t)[row..own.end];
                    for (out, sum) in out.iter_mut().zip(pairs::sums(*lanes)) {
                        *out = sum;
                    }
                }
            }
            T
        }
    };
}
pub(super) use product;

/// Lanes plus scale times sums, rounded once.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn fused(lanes: __m512, scales: __m512, sums: __m512i) -> __m512 {
    _mm512_fmadd_ps(scales, _mm512_cvtepi32_ps(sums), lanes)
}

/// Lanes plus scale times sums, rounded each.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn rounded(lanes: __m512, scales: __m512, sums: __m512i) -> __m512 {
    _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales), lanes)
}

/// The bits of two halves as floats: eight lanes of the one, eight of the other.
#[inline]
#[target_feature(enable = "avx512f,f16c")]
pub fn scales(first: [u8; 2], second: [u8; 2]) -> __m512 {
    let both = i32::from_le_bytes([first[0], first[1], second[0], second[1]]);
    let both = _mm512_castps128_ps512(_mm_cvtph_ps(_mm_cvtsi32_si128(both)));
    let halves = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm512_permutexvar_ps(halves, both)
}

/// The lanes of both rows added up.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512dq")]
pub fn sums(lanes: __m512) -> [f32; 2] {
    [
        sum_lanes(_mm512_castps512_ps256(lanes)),
        sum_lanes(_mm512_extractf32x8_ps::<1>(lanes)),
    ]
}

/// 32 bytes of one block and 32 of another.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn both<const BYTES: usize>(pair: (&[u8; BYTES], &[u8; BYTES]), at: usize) -> __m512i {
    let (first, second) = (&pair.0[at..at + 32], &pair.1[at..at + 32]);
    // SAFETY: the slices vouch for 32 readable bytes each, and the loads ask for no alignment.
    let (first, second) = unsafe {
        (
            _mm256_loadu_si256(first.as_ptr().cast()),
            _mm256_loadu_si256(second.as_ptr().cast()),
        )
    };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
}

/// 16 bytes of one block and 16 of another, each twice.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn both_twice<const BYTES: usize>(pair: (&[u8; BYTES], &[u8; BYTES]), at: usize) -> __m512i {
    let (first, second) = (&pair.0[at..at + 16], &pair.1[at..at + 16]);
    // SAFETY: the slices vouch for 16 readable bytes each, and the loads ask for no alignment.
    let (first, second) = unsafe {
        (
            _mm_loadu_si128(first.as_ptr().cast()),
            _mm_loadu_si128(second.as_ptr().cast()),
        )
    };
    let (first, second) = (
        _mm256_broadcastsi128_si256(first),
        _mm256_broadcastsi128_si256(second),
    );
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
}

/// 32 activations, for both rows.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn activations(values: &[i8; 32]) -> __m512i {
    // SAFETY: the reference vouches for 32 readable bytes, and the load asks for no alignment.
    _mm512_broadcast_i64x4(unsafe { _mm256_loadu_si256(values.as_ptr().cast()) })
}

/// Asks for a block further on.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn prefetch<const BYTES: usize>(block: &[u8; BYTES]) {
    for line in (0..BYTES).step_by(64) {
        let ahead = block.as_ptr().wrapping_add(AHEAD + line);
        _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
    }
}
