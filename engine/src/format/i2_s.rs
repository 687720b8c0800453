//! The three packings of I2_S. All kernels read one layout: P128 with every row a whole number of
//! blocks, which is how rows of whole blocks lie in published files.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product};
use crate::flavor::{Flavor, Shape, i2_s, i2_s_p4r, i2_s_p64, i2_s_p128, tl1, tl2};
use crate::gguf::dialect::Dialect;
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::{Gemm, Stored};
use crate::kernels::{BlockOrder, Kernel, scalar};

/// I2_S as published.
pub static P128: Format = Format {
    name: "i2_s-p128",
    types: &[id::I2_S, id::I2_S_OR_I32],
    dialects: &[],
    block: i2_s_p128::BLOCK,
    block_bytes: i2_s_p128::BLOCK_BYTES,
    flavor: Some(Flavor::I2sP128),
    decode_row,
    file_type: Some(40),
    encode: Encode::Matrix(|values, shape| i2_s::encode(values, shape, i2_s_p128::width)),
    product: Product::Kernels {
        choose,
        arrange: |stored| {
            if stored.shape.cols.is_multiple_of(i2_s_p128::BLOCK) {
                with_scale(stored)
            } else {
                rearrange(stored, i2_s_p128::width)
            }
        },
    },
};

/// I2_S as late-2025 ARM builds wrote it.
pub static P64: Format = Format {
    name: "i2_s-p64",
    types: &[id::I2_S, id::I2_S_OR_I32],
    dialects: &[],
    block: i2_s_p64::BLOCK,
    block_bytes: i2_s_p64::BLOCK_BYTES,
    flavor: Some(Flavor::I2sP64),
    decode_row,
    file_type: Some(40),
    encode: Encode::Matrix(|values, shape| i2_s::encode(values, shape, i2_s_p64::width)),
    product: Product::Kernels {
        choose,
        arrange: |stored| rearrange(stored, i2_s_p64::width),
    },
};

/// I2_S with four rows in one byte.
pub static P4R: Format = Format {
    name: "i2_s-p4r",
    types: &[id::I2_S, id::I2_S_OR_I32],
    dialects: &[],
    block: i2_s_p4r::ROWS,
    block_bytes: 1,
    flavor: Some(Flavor::I2sP4r),
    decode_row,
    file_type: Some(40),
    encode: Encode::Matrix(|values, shape| i2_s::encode(values, shape, i2_s_p4r::width)),
    product: Product::Kernels {
        choose,
        arrange: |stored| rearrange(stored, i2_s_p4r::width),
    },
};

/// Two weights an index, for lookup tables on ARM: what it multiplies to is I2_S's to the bit.
pub static TL1: Format = Format {
    name: "tl1",
    types: &[id::TL1],
    dialects: &[Dialect::BitnetCpp],
    block: 4,
    block_bytes: 1,
    flavor: Some(Flavor::Tl1),
    decode_row,
    file_type: Some(38),
    encode: Encode::Matrix(|values, shape| {
        let (codes, scale) = i2_s::quantise(values);
        tl1::encode_codes(&codes, scale, shape)
    }),
    product: Product::Kernels {
        choose,
        arrange: |stored| {
            let (bytes, shape) = (&stored.bytes, stored.shape);
            let code = |row, col| tl1::code(bytes, shape, row, col);
            of_codes(shape, i2_s::scale(bytes, shape), code)
        },
    },
};

/// Three weights an index and a sign, for lookup tables on x86.
pub static TL2: Format = Format {
    name: "tl2",
    types: &[id::TL2],
    dialects: &[Dialect::BitnetCpp],
    block: 24,
    block_bytes: 5,
    flavor: Some(Flavor::Tl2),
    decode_row,
    file_type: Some(39),
    encode: Encode::Matrix(|values, shape| {
        let (codes, scale) = i2_s::quantise(values);
        tl2::encode_codes(&codes, scale, shape)
    }),
    product: Product::Kernels {
        choose,
        arrange: |stored| {
            let (bytes, shape) = (&stored.bytes, stored.shape);
            let code = |row, col| tl2::code(bytes, shape, row, col);
            of_codes(shape, tl2::scale(bytes, shape), code)
        },
    },
};

/// Integer sums are exact, so the order does not matter.
fn choose(_: BlockOrder, kernel: Kernel) -> &'static dyn Gemm {
    match kernel {
        Kernel::Scalar => &scalar::I2_S,
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(avx2) => avx2.i2_s(),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Vnni(vnni) => vnni.i2_s(),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(neon) => neon.i2_s(),
    }
}

/// Decodes what was arranged.
fn decode_row(weights: &Stored, row: usize, out: &mut [f32]) {
    let padded = padded(weights.shape);
    let stored = (&weights.bytes[..], weights.scales[0]);
    i2_s::decode_row(stored, padded, row, i2_s_p128::width, out);
}

fn padded(shape: Shape) -> Shape {
    Shape {
        cols: shape.cols.next_multiple_of(i2_s_p128::BLOCK),
        ..shape
    }
}

/// The rows where they lie; the scale is behind them.
fn with_scale(stored: Stored) -> Stored {
    let codes = (stored.shape.rows * stored.shape.cols / 4) as u64;
    Stored {
        scales: vec![i2_s::scale(&stored.bytes, stored.shape)],
        bytes: stored.bytes.part(0..codes).expect("the codes come first"),
        ..stored
    }
}

/// Any packing as P128 with rows padded to whole blocks. Padding meets zero activations.
fn rearrange(stored: Stored, packing: i2_s::Packing) -> Stored {
    let (bytes, shape) = (&stored.bytes, stored.shape);
    let code = |row, col| i2_s::code(bytes, shape, row, col, packing);
    of_codes(shape, i2_s::scale(bytes, shape), code)
}

/// Codes under one scale as the kernels read them.
fn of_codes(shape: Shape, scale: f32, code: impl Fn(usize, usize) -> u8) -> Stored {
    let padded = padded(shape);
    let mut bytes = Vec::with_capacity(padded.rows * padded.cols / 4);
    let mut codes = vec![0; padded.cols];
    let a_row = Shape { rows: 1, ..padded };
    for row in 0..shape.rows {
        for (col, out) in codes[..shape.cols].iter_mut().enumerate() {
            *out = code(row, col);
        }
        bytes.extend(i2_s::pack(&codes, a_row, i2_s_p128::width));
    }
    Stored::from_vec(shape, bytes, vec![scale])
}
