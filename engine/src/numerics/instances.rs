//! The shared lane code, instantiated for each profile and for the instructions this CPU has.
//!
//! Without the FMA instruction `mul_add` is a call into the C library: correct, and slow. The
//! same code compiled for AVX2, FMA and F16C gives the same bits at full speed.

use super::Profile;
use super::dense::{self, Rows};
use super::elementwise;
use super::ggml_avx2::{self, GgmlAvx2};
use super::ggml_avx512::{self, GgmlAvx512};
use super::ggml_avx512_bf16::GgmlAvx512Bf16;
use super::ggml_neon::{self, GgmlNeon};
use super::ggml_neon_fp16::GgmlNeonFp16;
use super::half::Half;
use super::lanes::{self, Order};
use crate::kernels::activation::RowScale;
use crate::kernels::{BlockOrder, Kernel};
use std::marker::PhantomData;

/// Declares the operations once: the trait, and its two instances.
macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $ty:ty),*)
            = $module:ident::$shared:ident $(::<$l:ident, $o:ident>)?;
    )*) => {
        /// Every float operation of a forward pass, in one profile's order.
        pub trait Arithmetic: Sync {
            /// Whether so many tokens are multiplied with f16 rows of so many columns unrounded,
            /// by [`tile_f16`](Self::tile_f16), provided they lie row after row.
            fn unrounded(&self, tokens: usize, cols: usize) -> bool;
            /// How products of block-quantised rows are added up.
            fn block_order(&self) -> BlockOrder;
            /// The instructions it is compiled for, as in the names of kernels.
            fn instructions(&self) -> &'static str;
            $( $(#[$doc])* fn $name(&self, $($arg: $ty),*); )*
        }

        impl<const L: usize, O: Order<L>> Arithmetic for Portable<L, O> {
            fn unrounded(&self, tokens: usize, cols: usize) -> bool {
                tokens >= O::F16_TILES_FROM && cols.is_multiple_of(L)
            }
            fn block_order(&self) -> BlockOrder {
                O::BLOCKS
            }
            fn instructions(&self) -> &'static str {
                "scalar"
            }
            $(
                fn $name(&self, $($arg: $ty),*) {
                    $module::$shared$(::<$l, $o>)?($($arg),*)
                }
            )*
        }

        #[cfg(target_arch = "x86_64")]
        impl<const L: usize, O: Order<L>> Arithmetic for Fused<L, O> {
            fn unrounded(&self, tokens: usize, cols: usize) -> bool {
                tokens >= O::F16_TILES_FROM && cols.is_multiple_of(L)
            }
            fn block_order(&self) -> BlockOrder {
                O::BLOCKS
            }
            fn instructions(&self) -> &'static str {
                "x86_64-avx2"
            }
            $(
                fn $name(&self, $($arg: $ty),*) {
                    #[target_feature(enable = "avx2,fma,f16c")]
                    fn fused<const L: usize, O: Order<L>>($($arg: $ty),*) {
                        $module::$shared$(::<$l, $o>)?($($arg),*)
                    }
                    // SAFETY: `instance` hands out a `Fused` only to a kernel that has all three.
                    unsafe { fused::<L, O>($($arg),*) }
                }
            )*
        }
    };
}

operations! {
    /// `out[r]` = f16 row r · f16 activations of one of so many tokens.
    fn dot_f16(rows: Rows<Half>, x: &[Half], tokens: usize, out: &mut [f32])
        = dense::dot_f16::<L, O>;
    /// `out[r]` = bfloat16 row r · bfloat16 activations.
    fn dot_bf16(rows: Rows<Half>, x: &[Half], out: &mut [f32]) = dense::dot_bf16::<L, O>;
    /// One token's activations as bfloat16.
    fn round_bf16(row: &[f32], out: &mut [Half]) = lanes::round_bf16::<L, O>;
    /// `out[r]` = f32 row r · activations of one of so many tokens.
    fn dot_f32(rows: Rows<[u8; 4]>, x: &[f32], tokens: usize, out: &mut [f32])
        = dense::dot_f32::<L, O>;
    /// `out[r]` = f16 row r · unrounded activations.
    fn tile_f16(rows: Rows<Half>, x: &[f32], out: &mut [f32]) = dense::tile_f16::<L, O>;
    /// Softmax of `scale · row` over the first `visible` elements; the others become zero.
    fn softmax(row: &mut [f32], scale: f32, visible: usize) = lanes::softmax::<L, O>;
    /// x / (1 + e^−x), in place.
    fn silu(row: &mut [f32]) = lanes::silu::<L, O>;
    /// One token's activations as IEEE halves.
    fn round_f16(row: &[f32], out: &mut [Half]) = elementwise::round_row_f16;
    /// One token's activations as int8, and their scale and sum.
    fn quantise_int8(row: &[f32], out: &mut [i8], scale: &mut RowScale)
        = elementwise::quantise_int8;
    /// `out = row / rms(row)`.
    fn rms_norm(row: &[f32], epsilon: f32, out: &mut [f32]) = elementwise::rms_norm;
    /// Rotates element `i` with element `i + n/2`.
    fn rope_halves(head: &mut [f32], angles: &[[f32; 2]]) = elementwise::rope_halves;
    /// Rotates element `2i` with element `2i + 1`.
    fn rope_adjacent(head: &mut [f32], angles: &[[f32; 2]]) = elementwise::rope_adjacent;
}

/// Compiled for the least the target promises.
struct Portable<const L: usize, O>(PhantomData<O>);

/// Compiled for AVX2, FMA and F16C.
#[cfg(target_arch = "x86_64")]
struct Fused<const L: usize, O>(PhantomData<O>);

/// The operations of a profile, with the instructions `kernel` allows.
pub fn arithmetic(profile: Profile, kernel: Kernel) -> &'static dyn Arithmetic {
    match profile {
        Profile::GgmlAvx512 => instance::<{ ggml_avx512::LANES }, GgmlAvx512>(kernel),
        Profile::GgmlAvx512Bf16 => instance::<{ ggml_avx512::LANES }, GgmlAvx512Bf16>(kernel),
        Profile::GgmlAvx2 => instance::<{ ggml_avx2::LANES }, GgmlAvx2>(kernel),
        Profile::GgmlNeon => instance::<{ ggml_neon::LANES }, GgmlNeon>(kernel),
        Profile::GgmlNeonFp16 => instance::<{ ggml_neon::LANES }, GgmlNeonFp16>(kernel),
    }
}

fn instance<const L: usize, O: Order<L>>(kernel: Kernel) -> &'static dyn Arithmetic {
    #[cfg(target_arch = "x86_64")]
    if kernel.avx2().is_some() {
        return &Fused::<L, O>(PhantomData);
    }
    // Elsewhere the target's own baseline is all there is to choose from.
    let _ = kernel;
    &Portable::<L, O>(PhantomData)
}
