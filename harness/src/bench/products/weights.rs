//! Random matrices in every format, and what multiplies them.

use std::num::NonZeroUsize;

use engine::flavor::{Flavor, Shape, bitnet32_f16, qk256, split32};
use engine::format::{Format, Product};
use engine::kernels::Kernel;
use engine::kernels::gemm::{Form, Gemm, Stored, outputs};
use engine::matrix::{Activations, Matrix};
use engine::numerics::{Profile, arithmetic};
use engine::pool::Pool;
use engine::transformer::Multiplier;

use crate::file::document;
use crate::numbers::split_mix::SplitMix64;

/// Bytes of weights that are read in turn: more than caches hold.
pub const BEYOND_CACHES: usize = 64 << 20;

/// From the number of a copy and the activations of some tokens to the outputs.
pub type Compute<'a> = Box<dyn FnMut(usize, &[f32]) -> Vec<f32> + 'a>;

/// A product ready to be computed, with any of several copies of its weights.
pub struct Candidate<'a> {
    /// As receipts call it.
    pub name: String,
    /// The profile whose order it keeps.
    pub profile: Profile,
    /// The instruction set.
    pub kernel: Kernel,
    /// Whether activations are int8.
    pub integer: bool,
    /// Its outputs for some tokens.
    pub compute: Compute<'a>,
}

/// Copies of one random matrix, so many that no cache holds them all.
pub struct Weights {
    format: &'static Format,
    /// Stored bytes of one.
    pub bytes: usize,
    copies: Copies,
}

enum Copies {
    Packed(Vec<Stored>),
    Dense(Vec<Matrix>),
}

impl Weights {
    /// Of a format.
    pub fn random(format: &'static Format, shape: Shape, seed: u64) -> Result<Self, String> {
        if !shape.cols.is_multiple_of(256) {
            let cols = shape.cols;
            return Err(format!("{cols} columns are not whole blocks of 256"));
        }
        let (bytes, scales) = encoded(format, shape, seed)?;
        let count = BEYOND_CACHES.div_ceil(bytes.len());
        let stored = |_| Stored::from_vec(shape, bytes.clone(), scales.clone());
        let copies = (0..count).map(stored);
        let copies = match format.product {
            Product::Kernels { arrange, .. } => Copies::Packed(copies.map(arrange).collect()),
            Product::Floats(_) | Product::Decoded => {
                let dense = |stored| Matrix::of(format, stored, Kernel::best());
                Copies::Dense(copies.map(dense).collect())
            }
        };
        let bytes = bytes.len();
        Ok(Weights {
            format,
            bytes,
            copies,
        })
    }

    /// How many copies there are.
    pub fn count(&self) -> usize {
        match &self.copies {
            Copies::Packed(copies) => copies.len(),
            Copies::Dense(copies) => copies.len(),
        }
    }

    /// The product in the order of a profile, with an instruction set.
    pub fn candidate(&self, profile: Profile, kernel: Kernel) -> Candidate<'_> {
        let arithmetic = arithmetic(profile, kernel);
        match &self.copies {
            Copies::Packed(_) => {
                let gemm = self.format.gemm(arithmetic.block_order(), kernel);
                self.with(gemm.expect("has kernels"), profile, kernel)
            }
            Copies::Dense(copies) => {
                let mut multiplier = Multiplier::new(arithmetic, NonZeroUsize::MIN);
                Candidate {
                    name: copies[0].kernel(arithmetic),
                    profile,
                    kernel,
                    integer: false,
                    compute: Box::new(move |copy, plain| {
                        let matrix = &copies[copy % copies.len()];
                        let tokens = plain.len() / matrix.cols();
                        let mut out = vec![0.0; tokens * matrix.rows()];
                        multiplier.multiply(matrix, plain, &mut out);
                        out
                    }),
                }
            }
        }
    }

    /// A kernel with the activations in the form it asks for, which are made once.
    pub fn with<'a>(
        &'a self,
        gemm: &'a dyn Gemm,
        profile: Profile,
        kernel: Kernel,
    ) -> Candidate<'a> {
        let Copies::Packed(copies) = &self.copies else {
            panic!("{}: floats are multiplied by the profile", self.format.name);
        };
        let (mut made, mut last) = (Activations::default(), Vec::new());
        Candidate {
            name: gemm.name().to_owned(),
            profile,
            kernel,
            integer: gemm.form() != Form::Plain,
            compute: Box::new(move |copy, plain| {
                let weights = &copies[copy % copies.len()];
                let cols = weights.shape.cols;
                if last != plain {
                    let mut pool = Pool::new(NonZeroUsize::MIN);
                    let arithmetic = arithmetic(profile, kernel);
                    made.make(gemm.form(), plain, cols, arithmetic, &mut pool);
                    last = plain.to_vec();
                }
                outputs(gemm, weights, &made.inputs(plain, cols))
            }),
        }
    }
}

/// The bytes of a random matrix, and the scales that are kept outside of them.
fn encoded(format: &Format, shape: Shape, seed: u64) -> Result<(Vec<u8>, Vec<f32>), String> {
    let mut dice = SplitMix64(seed);
    let count = shape.rows * shape.cols;
    let mut codes = || -> Vec<u8> { (0..count).map(|_| dice.below(4) as u8).collect() };
    let scales = vec![0.375; count / 32];
    if let Ok(known) = format.name.parse::<document::Format>() {
        let ternary = known.flavor().is_some();
        let mut cell = || {
            if ternary {
                (dice.below(3) as f32 - 1.0) * 0.375
            } else {
                dice.signed_unit()
            }
        };
        let cells: Vec<f32> = (0..count).map(|_| cell()).collect();
        return Ok((known.encode(&cells, shape), Vec::new()));
    }
    match format.flavor {
        Some(Flavor::Qk256) => Ok((qk256::encode_codes(&codes(), shape), Vec::new())),
        Some(Flavor::Split32) => Ok((split32::encode_codes(&codes(), shape), scales)),
        Some(Flavor::Bitnet32F16) => {
            let bytes = bitnet32_f16::encode_codes(&codes(), &scales, shape);
            Ok((bytes, Vec::new()))
        }
        _ => Err(format!("{}: nothing here writes its rows", format.name)),
    }
}
