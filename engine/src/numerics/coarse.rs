//! Coarse copies of rows of halves as int8, and their products with int16, exact in every kernel:
//! what a matrix is screened with.
#![allow(unsafe_code)] // compiled again for wider vectors

use super::half::widen_f16;
use crate::kernels::Kernel;

/// Sums that are kept side by side.
const LANES: usize = 32;
/// Elements after which sums of 32 bits go to 64.
const PORTION: usize = 2048;
/// The fewest 32-bit sums that a portion is spread over: those of a 256-bit vector.
const FEWEST: usize = 8;
/// The largest int16 that may be fed in.
pub const LARGEST: i16 = 32_639;
const _: () = assert!((PORTION / FEWEST) as i64 * 127 * LARGEST as i64 <= i32::MAX as i64);

/// What a coarse copy of a row lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Coarse {
    /// What a code stands for; not finite where an element is not.
    pub scale: f32,
    /// The sum of the squares of the elements.
    pub squares: f64,
    /// The sum of the squares of what rounding took from them.
    pub lost: f64,
}

/// `out[r]` = row r · x, for rows that lie one after the other.
pub fn dots(kernel: Kernel, rows: &[i8], x: &[i16], out: &mut [i64]) {
    assert_eq!(rows.len(), x.len() * out.len(), "whole rows");
    debug_assert!(x.iter().all(|&x| (-LARGEST..=LARGEST).contains(&x)));
    for (row, out) in rows.chunks_exact(x.len().max(1)).zip(out) {
        let portions = row.chunks(PORTION).zip(x.chunks(PORTION));
        *out = portions.map(|(row, x)| portion(kernel, row, x)).sum();
    }
}

fn portion(kernel: Kernel, row: &[i8], x: &[i16]) -> i64 {
    match kernel {
        Kernel::Scalar => rest(row, x),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(_) => rest(row, x),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the value proves that this CPU has AVX2.
        Kernel::Avx2(_) => unsafe { x86::avx2(row, x) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the value proves that this CPU has AVX-512 F and BW.
        Kernel::Avx512Vnni(_) => unsafe { x86::avx512(row, x) },
    }
}

/// What fills no vector.
fn rest(row: &[i8], x: &[i16]) -> i64 {
    let pairs = row.iter().zip(x);
    let pairs = pairs.map(|(&a, &b)| i64::from(i32::from(a) * i32::from(b)));
    pairs.sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::rest;

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(row: &[i8], x: &[i16]) -> i64 {
        let ((rows, row), (xs, x)) = (row.as_chunks::<32>(), x.as_chunks::<32>());
        let mut sums = [_mm256_setzero_si256(); 2];
        for (row, x) in rows.iter().zip(xs) {
            for (half, sum) in sums.iter_mut().enumerate() {
                // SAFETY: both arrays have 32 elements, of which these are the lower or the upper
                // 16, and the loads ask for no alignment.
                let (row, x) = unsafe {
                    (
                        _mm_loadu_si128(row.as_ptr().add(16 * half).cast()),
                        _mm256_loadu_si256(x.as_ptr().add(16 * half).cast()),
                    )
                };
                let products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(row), x);
                *sum = _mm256_add_epi32(*sum, products);
            }
        }
        let lanes = sums.map(|sum| {
            let mut lanes = [0_i32; 8];
            // SAFETY: the array has room for a vector, and the store asks for no alignment.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
            lanes.map(i64::from).iter().sum::<i64>()
        });
        lanes.iter().sum::<i64>() + rest(row, x)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn avx512(row: &[i8], x: &[i16]) -> i64 {
        let ((rows, row), (xs, x)) = (row.as_chunks::<64>(), x.as_chunks::<64>());
        let mut sums = [_mm512_setzero_si512(); 2];
        for (row, x) in rows.iter().zip(xs) {
            for (half, sum) in sums.iter_mut().enumerate() {
                // SAFETY: both arrays have 64 elements, of which these are the lower or the upper
                // 32, and the loads ask for no alignment.
                let (row, x) = unsafe {
                    (
                        _mm256_loadu_si256(row.as_ptr().add(32 * half).cast()),
                        _mm512_loadu_si512(x.as_ptr().add(32 * half).cast()),
                    )
                };
                let products = _mm512_madd_epi16(_mm512_cvtepi8_epi16(row), x);
                *sum = _mm512_add_epi32(*sum, products);
            }
        }
        let mut lanes = [[0_i32; 16]; 2];
        for (lanes, sum) in lanes.iter_mut().zip(sums) {
            // SAFETY: the array has room for a vector, and the store asks for no alignment.
            unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), sum) };
        }
        let lanes = lanes.as_flattened().iter();
        lanes.map(|&lane| i64::from(lane)).sum::<i64>() + rest(row, x)
    }
}

/// Writes a row of halves as int8; `values` is as long and may hold anything.
pub fn copy(kernel: Kernel, row: &[[u8; 2]], values: &mut [f32], codes: &mut [i8]) -> Coarse {
    match kernel {
        Kernel::Scalar => shared_copy(row, values, codes),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(_) => shared_copy(row, values, codes),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(_) => {
            #[target_feature(enable = "avx2,fma,f16c")]
            fn compiled(row: &[[u8; 2]], values: &mut [f32], codes: &mut [i8]) -> Coarse {
                shared_copy(row, values, codes)
            }
            // SAFETY: the value proves that this CPU has AVX2, FMA and F16C.
            unsafe { compiled(row, values, codes) }
        }
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Vnni(_) => {
            #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
            fn compiled(row: &[[u8; 2]], values: &mut [f32], codes: &mut [i8]) -> Coarse {
                shared_copy(row, values, codes)
            }
            // SAFETY: the value proves that this CPU has AVX-512.
            unsafe { compiled(row, values, codes) }
        }
    }
}

#[inline(always)]
fn shared_copy(row: &[[u8; 2]], values: &mut [f32], codes: &mut [i8]) -> Coarse {
    assert!(
        row.len() == values.len() && row.len() == codes.len(),
        "of one length"
    );
    // Magnitudes of halves are ordered as their bits are, and what is no number is above all.
    let mut largest = 0;
    for (value, &half) in values.iter_mut().zip(row) {
        *value = widen_f16(half);
        largest = u16::max(largest, u16::from_le_bytes(half) & 0x7fff);
    }
    let largest = widen_f16(largest.to_le_bytes());
    if !largest.is_finite() {
        let scale = f32::NAN;
        return Coarse {
            scale,
            ..Coarse::default()
        };
    }
    let scale = largest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let (mut squares, mut lost) = ([0_f64; LANES], [0_f64; LANES]);
    for (values, codes) in values.chunks(LANES).zip(codes.chunks_mut(LANES)) {
        for (l, (&value, code)) in values.iter().zip(codes).enumerate() {
            let rounded = (value * inverse).round_ties_even().clamp(-127.0, 127.0);
            *code = rounded as i8;
            let exact = f64::from(value);
            let rest = exact - f64::from(scale) * f64::from(rounded);
            squares[l] += exact * exact;
            lost[l] += rest * rest;
        }
    }
    Coarse {
        scale,
        squares: squares.iter().sum(),
        lost: lost.iter().sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_gives_the_exact_sum_also_where_all_values_are_largest() {
        for len in [1, 31, 32, 33, 256, 2047, 2048, 2049, 6912, 8192] {
            let extreme = |i: usize| if i.is_multiple_of(3) { -127 } else { 127 };
            let mixed = |i: usize| ((i * 37) % 255) as i8;
            for (row, x) in [
                (vec![127_i8; len], vec![LARGEST; len]),
                (vec![-127; len], vec![LARGEST; len]),
                (vec![127; len], vec![-LARGEST; len]),
                (
                    (0..len).map(extreme).collect(),
                    (0..len)
                        .map(|i| (i as i16).wrapping_mul(7) % LARGEST)
                        .collect(),
                ),
                ((0..len).map(mixed).collect(), vec![-LARGEST; len]),
            ] {
                let pairs = row.iter().zip(&x);
                let exact: i64 = pairs.map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
                for kernel in Kernel::available() {
                    let mut out = [0; 2];
                    dots(kernel, &[&row[..], &row].concat(), &x, &mut out);
                    assert_eq!(out, [exact; 2], "{} {len}", kernel.name());
                }
            }
        }
    }

    #[test]
    fn a_copy_is_the_same_in_every_kernel_and_says_what_it_lacks() {
        let half = |value: f32| crate::numerics::half::round_f16(value);
        let row: Vec<[u8; 2]> = (0..77)
            .map(|i| half((i * i % 91) as f32 / 7.0 - 6.0))
            .collect();
        let make = |kernel, row: &[[u8; 2]]| {
            let (mut values, mut codes) = (vec![f32::NAN; row.len()], vec![1; row.len()]);
            let coarse = copy(kernel, row, &mut values, &mut codes);
            (coarse, codes)
        };
        let (coarse, codes) = make(Kernel::Scalar, &row);
        let rest = |(half, code): (&[u8; 2], &i8)| {
            f64::from(widen_f16(*half)) - f64::from(coarse.scale) * f64::from(*code)
        };
        let rests = row.iter().zip(&codes).map(rest);
        assert!(
            rests
                .clone()
                .all(|r| r.abs() <= 0.5001 * f64::from(coarse.scale))
        );
        let lost: f64 = rests.map(|r| r * r).sum();
        assert!((lost - coarse.lost).abs() <= 1e-12 * lost && coarse.squares > lost);
        for kernel in Kernel::available() {
            assert_eq!(
                make(kernel, &row),
                (coarse, codes.clone()),
                "{}",
                kernel.name()
            );
            for bad in [f32::NAN, f32::INFINITY] {
                for at in [0, 40, 76] {
                    let mut row = row.clone();
                    row[at] = half(bad);
                    assert!(make(kernel, &row).0.scale.is_nan());
                }
            }
            assert_eq!(make(kernel, &[[0; 2]; 5]), (Coarse::default(), vec![0; 5]));
        }
    }
}
