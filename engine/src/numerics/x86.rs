//! Products of rows with tokens with the vectors of x86-64, compiled for the instructions of each
//! [`Kernel`](crate::kernels::Kernel).

#![allow(unsafe_code)]
#![allow(unused_unsafe)] // shared products ask for nothing

mod heads;
mod order;
mod pairs;
mod rows;
mod sums;
mod vector;

use std::arch::x86_64::*;

use super::dense::{self, Codes, Grid, Rows};
use super::half::Half;
use super::lanes::Order;

/// Compiles the products for some instructions.
macro_rules! compiled {
    (
        $(#[$doc:meta])*
        $module:ident: $features:literal, $($products:ident)::+ $(of $vector:ty)?
    ) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            /// See [`dense::dots_f16`].
            #[target_feature(enable = $features)]
            pub fn dots_f16<const L: usize, O: Order<L>>(
                rows: Rows<Half>,
                xs: Rows<Half>,
                len: usize,
                together: usize,
                grid: Grid,
            ) {
                // SAFETY: this function asks for the instructions, as those below do.
                unsafe {
                    $($products)::+::dots_f16::<$($vector,)? L, O>(rows, xs, len, together, grid)
                }
            }

            /// See [`dense::tiles_f16`].
            #[target_feature(enable = $features)]
            pub fn tiles_f16<const L: usize, O: Order<L>>(
                rows: Rows<Half>,
                xs: Rows<f32>,
                len: usize,
                grid: Grid,
            ) {
                // SAFETY: as above.
                unsafe { $($products)::+::tiles_f16::<$($vector,)? L, O>(rows, xs, len, grid) }
            }

            /// See [`dense::dots_bf16`].
            #[target_feature(enable = $features)]
            pub fn dots_bf16<const L: usize, O: Order<L>>(
                rows: Rows<Half>,
                xs: Rows<Half>,
                len: usize,
                grid: Grid,
            ) {
                // SAFETY: as above.
                unsafe { $($products)::+::dots_bf16::<$($vector,)? L, O>(rows, xs, len, grid) }
            }

            /// See [`dense::dots_f32`].
            #[target_feature(enable = $features)]
            pub fn dots_f32<const L: usize, O: Order<L>>(
                rows: Rows<[u8; 4]>,
                xs: Rows<f32>,
                len: usize,
                together: usize,
                grid: Grid,
            ) {
                // SAFETY: as above.
                unsafe {
                    $($products)::+::dots_f32::<$($vector,)? L, O>(rows, xs, len, together, grid)
                }
            }

            /// Whether [`dots_codes`] is there.
            pub fn takes_codes() -> bool {
                $($products)::+::takes_codes()
            }

            /// See [`Arithmetic::dots_codes`](crate::numerics::Arithmetic::dots_codes).
            #[target_feature(enable = $features)]
            pub fn dots_codes<const L: usize, O: Order<L>>(
                rows: Codes,
                xs: Rows<f32>,
                len: usize,
                together: usize,
                grid: Grid,
            ) {
                // SAFETY: as above.
                unsafe {
                    $($products)::+::dots_codes::<$($vector,)? L, O>(rows, xs, len, together, grid)
                }
            }
        }
    };
}

compiled! {
    /// The shared code where there is an instruction for `mul_add`.
    plain: "avx2,fma", dense
}

compiled! {
    /// With 8 lanes a vector: AVX2, FMA and F16C.
    avx2: "avx2,fma,f16c", order of __m256
}

compiled! {
    /// With 16 lanes a vector: AVX-512, too.
    avx512: "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl", order of __m512
}
