//! The type numbers that mean something else, or anything at all, in one dialect only.
#![forbid(unsafe_code)]

use super::Dialect;
use crate::gguf::TensorType;
use crate::gguf::tensor_type::id;

/// What a type number is in a dialect.
pub struct Own {
    /// The type number.
    pub number: u32,
    /// Who means it so.
    pub dialects: &'static [Dialect],
    /// What they mean.
    pub meaning: TensorType,
}

impl Own {
    /// What a number is in a dialect and not elsewhere.
    pub fn of(number: u32, dialect: Dialect) -> Option<&'static Own> {
        let mut all = OWN.iter();
        all.find(|own| own.number == number && own.dialects.contains(&dialect))
    }
}

const fn own(
    number: u32,
    dialects: &'static [Dialect],
    name: &'static str,
    [block_elements, block_bytes, row_bytes]: [u64; 3],
) -> Own {
    let meaning = TensorType {
        name,
        block_elements,
        block_bytes,
        row_bytes,
    };
    Own {
        number,
        dialects,
        meaning,
    }
}

const RS: &[Dialect] = &[Dialect::BitnetRs];
const OXI: &[Dialect] = Dialect::OXIBONSAI;
const OXI_01: &[Dialect] = &[Dialect::OxiBonsai01];
const PRISM: &[Dialect] = &[Dialect::PrismMl];
const IK: &[Dialect] = &[Dialect::Ik];

/// All of them. The three figures are elements and bytes of a block, and what a row takes beside
/// its blocks.
pub static OWN: &[Own] = &[
    own(4, RS, "F64", [1, 8, 0]),
    own(24, RS, "IQ2_S", [256, 82, 0]),
    own(id::Q4_0, OXI_01, "Q4_0_PAIRS", [32, 18, 0]),
    own(id::Q4_K, OXI, "Q4_K_OXIBONSAI", [256, 144, 0]),
    own(id::Q5_K, OXI, "Q5_K_OXIBONSAI", [256, 176, 0]),
    own(id::Q6_K, OXI, "Q6_K_OXIBONSAI", [256, 210, 0]),
    own(id::I8, OXI_01, "INT8_PER_CHANNEL", [1, 1, 4]),
    own(id::Q1_0, OXI_01, "Q1_0_NEGATED", [128, 18, 0]),
    own(id::Q2_0, OXI, "TQ2_0_G128", [128, 34, 0]),
    own(id::F8_E4M3, OXI, "F8_E4M3", [32, 34, 0]),
    own(id::F8_E5M2, OXI, "F8_E5M2", [32, 34, 0]),
    own(40, PRISM, "Q1_0_G32", [32, 6, 0]),
    own(id::Q2_0, PRISM, "PQ2_0", [128, 34, 0]),
    own(id::PQ2_0, PRISM, "PQ2_0", [128, 34, 0]),
    own(id::PTQ1_0, PRISM, "PTQ1_0", [128, 28, 0]),
    own(97, IK, "Q8_0_X4", [32, 34, 0]),
    own(98, IK, "Q8_1_X4", [32, 36, 0]),
    own(99, IK, "Q8_2_X4", [32, 36, 0]),
    own(133, IK, "Q6_0", [32, 26, 0]),
    own(134, IK, "IQ1_BN", [64, 13, 2]),
    own(135, IK, "IQ2_BN", [64, 16, 4]),
    own(136, IK, "Q8_K64", [64, 68, 0]),
    own(137, IK, "IQ2_K", [256, 76, 0]),
    own(138, IK, "IQ3_K", [256, 110, 0]),
    own(139, IK, "IQ4_K", [256, 144, 0]),
    own(140, IK, "IQ5_K", [256, 176, 0]),
    own(141, IK, "IQ6_K", [256, 212, 0]),
    own(144, IK, "IQ4_KS", [256, 136, 4]),
    own(145, IK, "IQ2_KS", [256, 70, 2]),
    own(146, IK, "IQ4_KSS", [256, 128, 4]),
    own(152, IK, "IQ5_KS", [256, 168, 4]),
    own(153, IK, "IQ2_KT", [256, 68, 4]),
    own(154, IK, "IQ3_KT", [256, 100, 4]),
    own(155, IK, "IQ4_KT", [256, 128, 4]),
    own(156, IK, "IQ3_KS", [256, 102, 2]),
    own(157, IK, "IQ2_KL", [256, 86, 2]),
    own(158, IK, "IQ1_KT", [256, 56, 4]),
    own(335, IK, "IQ2_BN_R4", [64, 16, 4]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_one_thing_in_a_dialect() {
        for (index, row) in OWN.iter().enumerate() {
            let taken = |other: &Own| {
                let speaks = |dialect| other.dialects.contains(dialect);
                other.number == row.number && row.dialects.iter().any(speaks)
            };
            assert!(!OWN[..index].iter().any(taken), "{}", row.meaning.name);
        }
    }
}
