//! What the instruction sets of x86-64 share: kernels written once for every width of vectors and
//! every instruction that multiplies bytes.
//!
//! Their functions are inlined into callers that enable the instructions. They are `unsafe`
//! because of that alone, where nothing else is said: the instructions must be there.

#![allow(unsafe_code)]

pub mod amx;
pub mod blocks;
pub mod dot;
pub mod i2_s;
pub mod k_quants;
pub mod panel;
pub mod quads;
pub mod scaled;
pub mod small_blocks;
pub mod trits;

use super::gemm::{Form, Gemm, Inputs, Stored, Tile};
use crate::pool::Band;

/// How far ahead of the loads memory is asked for, by the second level of the cache: the first
/// has too few misses at a time.
pub const AHEAD: usize = 8192;

/// The products of one format, one for each instruction that multiplies bytes.
pub struct Products {
    /// Pairs in 16 bits.
    pub pairs: &'static dyn Gemm,
    /// AVX-VNNI.
    pub avxvnni: &'static dyn Gemm,
    /// The same in the encoding of AVX-512.
    pub avx512vl: &'static dyn Gemm,
}

/// A product that is generic code compiled for some instructions.
pub struct Compiled {
    /// See [`Gemm::name`].
    pub name: &'static str,
    /// See [`Gemm::form`].
    pub form: Form,
    /// See [`Gemm::tile`].
    pub tile: fn(tokens: usize) -> Tile,
    /// See [`Gemm::multiply`]. Asks for the instructions.
    pub multiply: unsafe fn(&Stored, &Inputs, &mut Band),
}

impl Gemm for Compiled {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> Form {
        self.form
    }

    fn tile(&self, tokens: usize) -> Tile {
        (self.tile)(tokens)
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        // SAFETY: a proof that the instructions are there hands the product out.
        unsafe { (self.multiply)(weights, inputs, band) }
    }
}

/// Defines the products of a format from generic code, for every instruction with 256 bits.
macro_rules! products {
    (
        $products:ident: $form:expr, $($tile:ident)::+, $($multiply:ident)::+ $(of $format:ty)?,
        $pairs:expr, $avxvnni:expr, $avx512vl:expr
    ) => {
        /// The products.
        pub static $products: $crate::kernels::x86::Products = {
            use $crate::kernels::gemm::{Inputs, Stored};
            use $crate::kernels::x86::dot::{Dpbusd, Dpbusd256, Maddubs};
            use $crate::kernels::x86::{Compiled, Products};
            use $crate::pool::Band;

            #[target_feature(enable = "avx2,fma,f16c")]
            fn pairs(weights: &Stored, inputs: &Inputs, band: &mut Band) {
                // SAFETY: this function asks for the instructions, as those below do.
                unsafe { $($multiply)::+::<Maddubs $(, $format)?>(weights, inputs, band) }
            }

            #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
            fn avxvnni(weights: &Stored, inputs: &Inputs, band: &mut Band) {
                // SAFETY: as above.
                unsafe { $($multiply)::+::<Dpbusd $(, $format)?>(weights, inputs, band) }
            }

            #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
            fn avx512vl(weights: &Stored, inputs: &Inputs, band: &mut Band) {
                // SAFETY: as above.
                unsafe { $($multiply)::+::<Dpbusd256 $(, $format)?>(weights, inputs, band) }
            }

            Products {
                pairs: &Compiled {
                    name: $pairs,
                    form: $form,
                    tile: $($tile)::+::<Maddubs>,
                    multiply: pairs,
                },
                avxvnni: &Compiled {
                    name: $avxvnni,
                    form: $form,
                    tile: $($tile)::+::<Dpbusd>,
                    multiply: avxvnni,
                },
                avx512vl: &Compiled {
                    name: $avx512vl,
                    form: $form,
                    tile: $($tile)::+::<Dpbusd256>,
                    multiply: avx512vl,
                },
            }
        };
    };
}
use products;
