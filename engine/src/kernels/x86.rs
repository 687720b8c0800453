//! What the instruction sets of x86-64 share: kernels written once for every width of vectors and
//! every instruction that multiplies bytes.
//!
//! Their functions are inlined into callers that enable the instructions. They are `unsafe`
//! because of that alone, where nothing else is said: the instructions must be there.

#![allow(unsafe_code)]

pub mod dot;
pub mod i2_s;
pub mod panel;

/// How far ahead of the loads memory is asked for, by the second level of the cache: the first
/// has too few misses at a time.
pub const AHEAD: usize = 8192;

/// Defines a product: generic code compiled for some instructions.
macro_rules! product {
    (
        $(#[$doc:meta])*
        $product:ident: $name:literal, $features:literal,
        $form:expr, $tile:expr, $multiply:expr
    ) => {
        $(#[$doc])*
        pub static $product: &dyn $crate::kernels::gemm::Gemm = {
            struct Product;

            impl $crate::kernels::gemm::Gemm for Product {
                fn name(&self) -> &'static str {
                    $name
                }

                fn form(&self) -> Form {
                    $form
                }

                fn tile(&self, tokens: usize) -> Tile {
                    $tile(tokens)
                }

                fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
                    #[target_feature(enable = $features)]
                    fn compiled(weights: &Stored, inputs: &Inputs, band: &mut Band) {
                        // SAFETY: this function asks for the instructions.
                        unsafe { $multiply(weights, inputs, band) }
                    }
                    // SAFETY: a proof that the instructions are there hands the product out.
                    unsafe { compiled(weights, inputs, band) }
                }
            }

            &Product
        };
    };
}
use product;
