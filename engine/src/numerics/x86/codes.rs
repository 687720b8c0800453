//! Rows of QK256 with one token's activations: codes become values inside a register, and meet the
//! running sums of the order that a row of singles would have.

use std::arch::x86_64::*;

use crate::flavor::qk256;
use crate::numerics::dense::Rows;
use crate::numerics::lanes::Order;

/// Values of a vector, whose codes are four bytes.
const VECTOR: usize = 16;
/// Vectors that hold the running sums of any order: four times its lanes.
const MOST_SUMS: usize = 4;

/// `out[r]` = row r · activations, as the dot product of its values with them.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn dots<const L: usize, O: Order<L>>(rows: Rows<u8>, x: &[f32], out: &mut [f32]) {
    let row_bytes = x.len().div_ceil(qk256::BLOCK) * qk256::BLOCK_BYTES;
    for (r, out) in out.iter_mut().enumerate() {
        *out = dot::<L, O>(rows.row(r, row_bytes), x);
    }
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn dot<const L: usize, O: Order<L>>(row: &[u8], x: &[f32]) -> f32 {
    // A lookup takes the lowest four bits of an index: a code, and of the next one what it may.
    let four = _mm_setr_ps(-2.0, -1.0, 1.0, 2.0);
    let values = _mm512_broadcast_f32x4(four);
    let shifts = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let step = 4 * L;
    let mut sums = [_mm512_setzero_ps(); MOST_SUMS];
    let (codes, _) = row.as_chunks::<{ VECTOR / 4 }>();
    let (vectors, _) = x.as_chunks::<VECTOR>();
    let whole = x.len() / step * step / VECTOR;
    let pairs = codes[..whole].chunks_exact(step / VECTOR);
    for (codes, vectors) in pairs.zip(vectors[..whole].chunks_exact(step / VECTOR)) {
        for ((sum, codes), vector) in sums.iter_mut().zip(codes).zip(vectors) {
            let word = _mm512_set1_epi32(i32::from_le_bytes(*codes));
            let weights = _mm512_permutexvar_ps(_mm512_srlv_epi32(word, shifts), values);
            // SAFETY: `vector` is an array of as many singles as are read.
            let x = unsafe { _mm512_loadu_ps(vector.as_ptr()) };
            *sum = _mm512_fmadd_ps(weights, x, *sum);
        }
    }
    let mut flat = [[0.0; VECTOR]; MOST_SUMS];
    for (flat, sum) in flat.iter_mut().zip(sums) {
        // SAFETY: `flat` is an array of as many singles as are written.
        unsafe { _mm512_storeu_ps(flat.as_mut_ptr(), sum) };
    }
    // Accumulator j of lane l is sum j · L + l.
    let flat = flat.as_flattened();
    let mut lanes = [0.0; L];
    for (l, lane) in lanes.iter_mut().enumerate() {
        let [s0, s1, s2, s3] = [0, 1, 2, 3].map(|j| flat[j * L + l]);
        *lane = (s0 + s2) + (s1 + s3);
    }
    let mut sum = O::sum_dot(lanes);
    for (at, &x) in x.iter().enumerate().skip(whole * VECTOR) {
        let code = row[at / 4] >> (2 * (at % 4)) & 3;
        sum = qk256::value_of(code).mul_add(x, sum);
    }
    sum
}
