//! Coarse copies of rows of halves as int8, and their products with int16, exact in every kernel:
//! what a matrix is screened with.
#![allow(unsafe_code)] // compiled again for wider vectors

use super::half::widen_f16;
use crate::kernels::Kernel;

/// Sums that are kept side by side.
const LANES: usize = 32;
/// Elements after which sums of 32 bits go to 64: `PORTION / LANES · 127 · LARGEST` < 2³¹.
const PORTION: usize = 2048;
/// The largest int16 that may be fed in.
pub const LARGEST: i16 = 32_639;
const _: () = assert!((PORTION / LANES) as i64 * 127 * LARGEST as i64 <= i32::MAX as i64);

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

/// Compiles a function again for the instructions of a kernel.
macro_rules! compiled {
    ($(#[$doc:meta])* $name:ident = $shared:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)?) => {
        $(#[$doc])*
        pub fn $name(kernel: Kernel, $($arg: $ty),*) $(-> $out)? {
            match kernel {
                Kernel::Scalar => $shared($($arg),*),
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx2(_) => {
                    #[target_feature(enable = "avx2,fma,f16c")]
                    fn compiled($($arg: $ty),*) $(-> $out)? {
                        $shared($($arg),*)
                    }
                    // SAFETY: the value proves that this CPU has AVX2, FMA and F16C.
                    unsafe { compiled($($arg),*) }
                }
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx512Vnni(_) => {
                    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
                    fn compiled($($arg: $ty),*) $(-> $out)? {
                        $shared($($arg),*)
                    }
                    // SAFETY: the value proves that this CPU has AVX-512.
                    unsafe { compiled($($arg),*) }
                }
            }
        }
    };
}

compiled! {
    /// `out[r]` = row r · x, for rows that lie one after the other.
    dots = shared_dots(rows: &[i8], x: &[i16], out: &mut [i64])
}

compiled! {
    /// Writes a row of halves as int8; `values` is as long and may hold anything.
    copy = shared_copy(row: &[[u8; 2]], values: &mut [f32], codes: &mut [i8]) -> Coarse
}

#[inline(always)]
fn shared_dots(rows: &[i8], x: &[i16], out: &mut [i64]) {
    assert_eq!(rows.len(), x.len() * out.len(), "whole rows");
    debug_assert!(x.iter().all(|&x| (-LARGEST..=LARGEST).contains(&x)));
    for (row, out) in rows.chunks_exact(x.len().max(1)).zip(out) {
        let portions = row.chunks(PORTION).zip(x.chunks(PORTION));
        *out = portions.map(|(row, x)| portion(row, x)).sum();
    }
}

#[inline(always)]
fn portion(row: &[i8], x: &[i16]) -> i64 {
    let mut sums = [0_i32; LANES];
    let (rows, row_rest) = row.as_chunks::<LANES>();
    let (xs, x_rest) = x.as_chunks::<LANES>();
    for (row, x) in rows.iter().zip(xs) {
        for l in 0..LANES {
            sums[l] += i32::from(row[l]) * i32::from(x[l]);
        }
    }
    let rest = row_rest.iter().zip(x_rest);
    let rest = rest
        .map(|(&a, &b)| i64::from(a) * i64::from(b))
        .sum::<i64>();
    sums.iter().map(|&sum| i64::from(sum)).sum::<i64>() + rest
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
