//! The shared lane code, instantiated for each profile and for the instructions this CPU has.
//!
//! Without the FMA instruction `mul_add` is a call into the C library: correct, and slow. The
//! same code compiled for AVX2, FMA and F16C gives the same bits at full speed.
#![allow(unused_unsafe)] // shared products ask for nothing

use super::Profile;
use super::dense::{self, Codes, Grid, Rows};
use super::elementwise;
use super::ggml_avx2::{self, GgmlAvx2};
use super::ggml_avx512::{self, GgmlAvx512};
use super::ggml_avx512_bf16::GgmlAvx512Bf16;
use super::ggml_neon::{self, GgmlNeon};
use super::ggml_neon_fp16::GgmlNeonFp16;
use super::half::Half;
use super::lanes::{self, Order};
use super::oracle_f64::OracleF64;
#[cfg(target_arch = "x86_64")]
use super::x86;
use crate::kernels::activation::RowScale;
use crate::kernels::{BlockOrder, Kernel};
use std::marker::PhantomData;
use std::sync::atomic::AtomicUsize;

/// What an instance says of itself, and its products of rows with tokens.
macro_rules! facts {
    ($instructions:literal, $($products:ident)::+) => {
        fn unrounded(&self, tokens: usize, cols: usize) -> bool {
            tokens >= O::F16_TILES_FROM && cols.is_multiple_of(L)
        }
        fn adds_halves_in_singles(&self) -> bool {
            O::F16_IN_SINGLES
        }
        fn block_order(&self) -> BlockOrder {
            O::BLOCKS
        }
        fn instructions(&self) -> &'static str {
            $instructions
        }
        fn dots_f16(
            &self,
            rows: Rows<Half>,
            xs: Rows<Half>,
            len: usize,
            together: usize,
            grid: Grid,
        ) {
            // SAFETY: `instance` hands this out only to a kernel that has the instructions.
            unsafe { $($products)::+::dots_f16::<L, O>(rows, xs, len, together, grid) }
        }
        fn tiles_f16(&self, rows: Rows<Half>, xs: Rows<f32>, len: usize, grid: Grid) {
            // SAFETY: as above.
            unsafe { $($products)::+::tiles_f16::<L, O>(rows, xs, len, grid) }
        }
        fn dots_bf16(&self, rows: Rows<Half>, xs: Rows<Half>, len: usize, grid: Grid) {
            // SAFETY: as above.
            unsafe { $($products)::+::dots_bf16::<L, O>(rows, xs, len, grid) }
        }
        fn dots_f32(
            &self,
            rows: Rows<[u8; 4]>,
            xs: Rows<f32>,
            len: usize,
            together: usize,
            grid: Grid,
        ) {
            // SAFETY: as above.
            unsafe { $($products)::+::dots_f32::<L, O::Singles>(rows, xs, len, together, grid) }
        }
        fn takes_codes(&self) -> bool {
            $($products)::+::takes_codes()
        }
        fn dots_codes(
            &self,
            rows: Codes,
            xs: Rows<f32>,
            len: usize,
            together: usize,
            grid: Grid,
        ) {
            // SAFETY: as above.
            unsafe {
                $($products)::+::dots_codes::<L, O::Singles>(rows, xs, len, together, grid)
            }
        }
    };
}

/// Declares the operations once: the trait, and its instances.
macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $ty:ty),*)
            = $module:ident::$shared:ident $(::<$l:ident, $o:ident>)?;
    )*) => {
        /// Every float operation of a forward pass, in one profile's order.
        pub trait Arithmetic: Sync {
            /// Whether so many tokens are multiplied with f16 rows of so many columns unrounded,
            /// by [`tiles_f16`](Self::tiles_f16), provided they lie row after row.
            fn unrounded(&self, tokens: usize, cols: usize) -> bool;
            /// Whether products of halves with halves are added up in singles.
            fn adds_halves_in_singles(&self) -> bool;
            /// How products of block-quantised rows are added up.
            fn block_order(&self) -> BlockOrder;
            /// The instructions it is compiled for, as in the names of kernels.
            fn instructions(&self) -> &'static str;
            $( $(#[$doc])* fn $name(&self, $($arg: $ty),*); )*

            /// f16 rows · f16 activations of so many elements, of some of the tokens computed
            /// `together`.
            fn dots_f16(
                &self,
                rows: Rows<Half>,
                xs: Rows<Half>,
                len: usize,
                together: usize,
                grid: Grid,
            );
            /// f16 rows · unrounded activations of so many elements.
            fn tiles_f16(&self, rows: Rows<Half>, xs: Rows<f32>, len: usize, grid: Grid);
            /// bfloat16 rows · bfloat16 activations of so many elements.
            fn dots_bf16(&self, rows: Rows<Half>, xs: Rows<Half>, len: usize, grid: Grid);
            /// f32 rows · activations of so many elements, of some of the tokens computed
            /// `together`.
            fn dots_f32(
                &self,
                rows: Rows<[u8; 4]>,
                xs: Rows<f32>,
                len: usize,
                together: usize,
                grid: Grid,
            );
            /// Whether there is [`dots_codes`](Self::dots_codes); if not, rows have to be decoded.
            fn takes_codes(&self) -> bool;
            /// [`dots_f32`](Self::dots_f32) of the values of rows of codes.
            fn dots_codes(
                &self,
                rows: Codes,
                xs: Rows<f32>,
                len: usize,
                together: usize,
                grid: Grid,
            );
            /// `out[r]` = f16 row r · f16 activations of one of so many tokens.
            fn dot_f16(&self, rows: Rows<Half>, x: &[Half], tokens: usize, out: &mut [f32]) {
                self.dots_f16(rows, Rows::of_one(x), x.len(), tokens, Grid::of_one(out));
            }
            /// `out[r]` = f16 row r · unrounded activations.
            fn tile_f16(&self, rows: Rows<Half>, x: &[f32], out: &mut [f32]) {
                self.tiles_f16(rows, Rows::of_one(x), x.len(), Grid::of_one(out));
            }
            /// `out[r]` = bfloat16 row r · bfloat16 activations.
            fn dot_bf16(&self, rows: Rows<Half>, x: &[Half], out: &mut [f32]) {
                self.dots_bf16(rows, Rows::of_one(x), x.len(), Grid::of_one(out));
            }
            /// `out[r]` = f32 row r · activations of one of so many tokens.
            fn dot_f32(&self, rows: Rows<[u8; 4]>, x: &[f32], tokens: usize, out: &mut [f32]) {
                self.dots_f32(rows, Rows::of_one(x), x.len(), tokens, Grid::of_one(out));
            }
        }

        impl<const L: usize, O: Order<L>> Arithmetic for Portable<L, O> {
            facts!("scalar", dense);
            $(
                fn $name(&self, $($arg: $ty),*) {
                    $module::$shared$(::<$l, $o>)?($($arg),*)
                }
            )*
        }

        #[cfg(target_arch = "x86_64")]
        impl<const L: usize, O: Order<L>> Arithmetic for PortableFma<L, O> {
            facts!("scalar", x86::plain);
            $(
                fn $name(&self, $($arg: $ty),*) {
                    #[target_feature(enable = "avx2,fma")]
                    fn compiled<const L: usize, O: Order<L>>($($arg: $ty),*) {
                        $module::$shared$(::<$l, $o>)?($($arg),*)
                    }
                    // SAFETY: `instance` hands out a `PortableFma` only where both are.
                    unsafe { compiled::<L, O>($($arg),*) }
                }
            )*
        }

        #[cfg(target_arch = "x86_64")]
        impl<const L: usize, O: Order<L>> Arithmetic for Avx2<L, O> {
            facts!("x86_64-avx2", x86::avx2);
            $(
                fn $name(&self, $($arg: $ty),*) {
                    #[target_feature(enable = "avx2,fma,f16c")]
                    fn compiled<const L: usize, O: Order<L>>($($arg: $ty),*) {
                        $module::$shared$(::<$l, $o>)?($($arg),*)
                    }
                    // SAFETY: `instance` hands out an `Avx2` only to a kernel that has all three.
                    unsafe { compiled::<L, O>($($arg),*) }
                }
            )*
        }

        #[cfg(target_arch = "x86_64")]
        impl<const L: usize, O: Order<L>> Arithmetic for Avx512<L, O> {
            facts!("x86_64-avx512", x86::avx512);
            $(
                fn $name(&self, $($arg: $ty),*) {
                    #[target_feature(
                        enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"
                    )]
                    fn compiled<const L: usize, O: Order<L>>($($arg: $ty),*) {
                        $module::$shared$(::<$l, $o>)?($($arg),*)
                    }
                    // SAFETY: `instance` hands out an `Avx512` only to a kernel that has all.
                    unsafe { compiled::<L, O>($($arg),*) }
                }
            )*
        }
    };
}

operations! {
    /// One token's activations as bfloat16.
    fn round_bf16(row: &[f32], out: &mut [Half]) = lanes::round_bf16::<L, O>;
    /// Softmax of `scale · row` over the first `visible` elements; the others become zero.
    fn softmax(row: &mut [f32], scale: f32, visible: usize) = lanes::softmax::<L, O>;
    /// x / (1 + e^−x), in place.
    fn silu(row: &mut [f32]) = lanes::silu::<L, O>;
    /// One token's activations as IEEE halves.
    fn round_f16(row: &[f32], out: &mut [Half]) = elementwise::round_row_f16;
    /// One token's activations as int8, and their scale and sum.
    fn quantise_int8(row: &[f32], out: &mut [i8], scale: &mut RowScale)
        = elementwise::quantise_int8;
    /// `out = row / rms(row)`; counts the rows that had to be added up one by one.
    fn rms_norm(row: &[f32], epsilon: f32, out: &mut [f32], serial: &AtomicUsize)
        = elementwise::rms_norm_counting;
    /// `x *= factor`, element by element.
    fn multiply(row: &mut [f32], factors: &[f32]) = elementwise::multiply;
    /// `x += summand`, element by element.
    fn add(row: &mut [f32], summands: &[f32]) = elementwise::add;
    /// `max(x, 0)`.
    fn relu(row: &mut [f32]) = elementwise::relu;
    /// `x²`.
    fn square(row: &mut [f32]) = elementwise::square;
    /// Rotates element `i` with element `i + n/2`.
    fn rope_halves(head: &mut [f32], angles: &[[f32; 2]]) = elementwise::rope_halves;
    /// Rotates element `2i` with element `2i + 1`.
    fn rope_adjacent(head: &mut [f32], angles: &[[f32; 2]]) = elementwise::rope_adjacent;
}

/// Compiled for the least the target promises.
struct Portable<const L: usize, O>(PhantomData<O>);

/// The same code where there is an instruction for `mul_add`, which the C library would look for at
/// every call.
#[cfg(target_arch = "x86_64")]
struct PortableFma<const L: usize, O>(PhantomData<O>);

/// Compiled for AVX2, FMA and F16C.
#[cfg(target_arch = "x86_64")]
struct Avx2<const L: usize, O>(PhantomData<O>);

/// Compiled for those and AVX-512.
#[cfg(target_arch = "x86_64")]
struct Avx512<const L: usize, O>(PhantomData<O>);

/// The operations of a profile, with the instructions `kernel` allows.
pub fn arithmetic(profile: Profile, kernel: Kernel) -> &'static dyn Arithmetic {
    match profile {
        Profile::GgmlAvx512 => instance::<{ ggml_avx512::LANES }, GgmlAvx512>(kernel),
        Profile::GgmlAvx512Bf16 => instance::<{ ggml_avx512::LANES }, GgmlAvx512Bf16>(kernel),
        Profile::GgmlAvx2 => instance::<{ ggml_avx2::LANES }, GgmlAvx2>(kernel),
        Profile::GgmlNeon => instance::<{ ggml_neon::LANES }, GgmlNeon>(kernel),
        Profile::GgmlNeonFp16 => instance::<{ ggml_neon::LANES }, GgmlNeonFp16>(kernel),
        Profile::OracleF64 => &OracleF64,
    }
}

fn instance<const L: usize, O: Order<L>>(kernel: Kernel) -> &'static dyn Arithmetic {
    #[cfg(target_arch = "x86_64")]
    match kernel {
        Kernel::Scalar if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => {
            return &PortableFma::<L, O>(PhantomData);
        }
        Kernel::Scalar => {}
        Kernel::Avx2(_) => return &Avx2::<L, O>(PhantomData),
        Kernel::Avx512Vnni(_) => return &Avx512::<L, O>(PhantomData),
    }
    // Elsewhere the target's own baseline is all there is to choose from.
    let _ = kernel;
    &Portable::<L, O>(PhantomData)
}
