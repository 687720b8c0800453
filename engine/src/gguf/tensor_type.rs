//! Tensor type ids: their names, their block sizes, and the ids whose meaning depends on who
//! wrote the file.
#![forbid(unsafe_code)]

use crate::gguf::dialect::{Dialect, Own};

/// The ids of the types the engine computes with. No other file of it knows a number.
#[allow(missing_docs)] // the names of the types
pub mod id {
    pub const F32: u32 = 0;
    pub const F16: u32 = 1;
    pub const Q4_0: u32 = 2;
    pub const Q4_1: u32 = 3;
    pub const Q5_0: u32 = 6;
    pub const Q5_1: u32 = 7;
    pub const Q8_0: u32 = 8;
    pub const Q8_1: u32 = 9;
    pub const Q2_K: u32 = 10;
    pub const Q3_K: u32 = 11;
    pub const Q4_K: u32 = 12;
    pub const Q5_K: u32 = 13;
    pub const Q6_K: u32 = 14;
    pub const IQ2_S: u32 = 22;
    pub const I8: u32 = 24;
    /// I2_S in files of the first builds, 32-bit integers elsewhere.
    pub const I2_S_OR_I32: u32 = 26;
    pub const F64: u32 = 28;
    pub const BF16: u32 = 30;
    pub const TQ1_0: u32 = 34;
    pub const TQ2_0: u32 = 35;
    pub const I2_S: u32 = 36;
    pub const TL1: u32 = 38;
    /// bitnet.cpp's TL2, upstream's MXFP4.
    pub const TL2: u32 = 39;
    pub const Q1_0: u32 = 41;
    pub const Q2_0: u32 = 42;
    /// OxiBonsai's, as the next one.
    pub const F8_E4M3: u32 = 43;
    pub const F8_E5M2: u32 = 44;
    /// PrismML's.
    pub const PQ2_0: u32 = 142;
    pub const PTQ1_0: u32 = 143;
}

/// What a tensor type id says before anybody looks at the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeId {
    /// So many elements make a block of so many bytes.
    Known(TensorType),
    /// Only the data can tell. The names of all readings.
    Contested(&'static str),
    /// Once had a meaning and no longer has.
    Removed(&'static str),
    /// Never had a meaning.
    Unknown,
}

/// A type whose size is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorType {
    /// The name every tool prints, e.g. `Q6_K`.
    pub name: &'static str,
    /// Elements of a row that are stored together.
    pub block_elements: u64,
    /// Bytes they take.
    pub block_bytes: u64,
    /// Bytes a row takes beside its blocks.
    pub row_bytes: u64,
}

impl TypeId {
    /// Looks an id up as a dialect means it: what only that dialect means goes before what
    /// everybody means.
    pub fn of(number: u32, dialect: Dialect) -> TypeId {
        if dialect == Dialect::BitnetCpp && matches!(number, id::TL1 | id::TL2) {
            // Sizes go by the shape.
            return TypeId::Contested(if number == id::TL1 { "TL1" } else { "TL2" });
        }
        let own = Own::of(number, dialect);
        own.map_or_else(|| TypeId::common(number), |own| TypeId::Known(own.meaning))
    }

    /// What everybody means who means nothing of their own.
    fn common(number: u32) -> TypeId {
        let known = |name, block_elements, block_bytes| {
            TypeId::Known(TensorType {
                name,
                block_elements,
                block_bytes,
                row_bytes: 0,
            })
        };
        match number {
            id::F32 => known("F32", 1, 4),
            id::F16 => known("F16", 1, 2),
            id::Q4_0 => known("Q4_0", 32, 18),
            id::Q4_1 => known("Q4_1", 32, 20),
            4 => TypeId::Removed("Q4_2"),
            5 => TypeId::Removed("Q4_3"),
            id::Q5_0 => known("Q5_0", 32, 22),
            id::Q5_1 => known("Q5_1", 32, 24),
            id::Q8_0 => known("Q8_0", 32, 34),
            id::Q8_1 => known("Q8_1", 32, 36),
            id::Q2_K => known("Q2_K", 256, 84),
            id::Q3_K => known("Q3_K", 256, 110),
            id::Q4_K => known("Q4_K", 256, 144),
            id::Q5_K => known("Q5_K", 256, 176),
            id::Q6_K => known("Q6_K", 256, 210),
            15 => known("Q8_K", 256, 292),
            16 => known("IQ2_XXS", 256, 66),
            17 => known("IQ2_XS", 256, 74),
            18 => known("IQ3_XXS", 256, 98),
            19 => known("IQ1_S", 256, 50),
            20 => known("IQ4_NL", 32, 18),
            21 => known("IQ3_S", 256, 110),
            id::IQ2_S => known("IQ2_S", 256, 82),
            23 => known("IQ4_XS", 256, 136),
            id::I8 => known("I8", 1, 1),
            25 => known("I16", 1, 2),
            id::I2_S_OR_I32 => TypeId::Contested("I32 or I2_S"),
            27 => known("I64", 1, 8),
            id::F64 => known("F64", 1, 8),
            29 => known("IQ1_M", 256, 56),
            id::BF16 => known("BF16", 1, 2),
            31 => TypeId::Removed("Q4_0_4_4"),
            32 => TypeId::Removed("Q4_0_4_8"),
            33 => TypeId::Removed("Q4_0_8_8"),
            id::TQ1_0 => known("TQ1_0", 256, 54),
            id::TQ2_0 => known("TQ2_0", 256, 66),
            id::I2_S => TypeId::Contested("I2_S or removed IQ4_NL_4_4"),
            37 => TypeId::Removed("I8_S or IQ4_NL_4_8"),
            id::TL1 => TypeId::Removed("IQ4_NL_8_8"),
            id::TL2 => known("MXFP4", 32, 17),
            40 => known("NVFP4", 64, 36),
            id::Q1_0 => known("Q1_0", 128, 18),
            id::Q2_0 => known("Q2_0", 64, 18),
            _ => TypeId::Unknown,
        }
    }

    /// A name to print, for every id.
    pub fn name(self) -> &'static str {
        match self {
            TypeId::Known(known) => known.name,
            TypeId::Contested(name) | TypeId::Removed(name) => name,
            TypeId::Unknown => "unknown",
        }
    }
}

impl TensorType {
    /// Bytes of so many rows of whole blocks, if they can be counted in an `i64` as every reader
    /// does.
    pub fn bytes(&self, cols: u64, rows: u64) -> Option<u64> {
        let row = (cols / self.block_elements).checked_mul(self.block_bytes)?;
        let bytes = row.checked_add(self.row_bytes)?.checked_mul(rows)?;
        i64::try_from(bytes).is_ok().then_some(bytes)
    }
}
