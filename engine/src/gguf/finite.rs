//! Looks for numbers that are none: NaN and infinities in the weights, wherever the type id says
//! where the floats lie.
#![forbid(unsafe_code)]

use super::cursor::{le_u32, le_u64};
use super::{Gguf, TensorInfo, TypeId};
use crate::refusal::{Code, Refusal};

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// How many tensors hold finite numbers only.
    pub finite: usize,
    /// Names of the tensors whose type does not tell where their floats lie.
    pub passed_over: Vec<String>,
}

impl Gguf {
    /// Reads all weights and refuses the first that is not finite.
    pub fn check_finite(&self) -> Result<Examined, Refusal> {
        let mut examined = Examined {
            finite: 0,
            passed_over: Vec::new(),
        };
        for tensor in self.tensors.iter() {
            match Floats::of(tensor) {
                Some(floats) => {
                    floats.check(tensor, &self.region(tensor))?;
                    examined.finite += 1;
                }
                None => examined.passed_over.push(tensor.name.clone()),
            }
        }
        Ok(examined)
    }
}

/// Where the floats lie in each block of a type.
struct Floats {
    format: Format,
    places: &'static [usize],
    block_elements: u64,
    block_bytes: u64,
}

#[derive(Clone, Copy)]
enum Format {
    F16,
    Bf16,
    F32,
    F64,
}

/// Where the halves lie in each block of a type that has some beside its elements.
pub fn half_places(of: TypeId) -> &'static [usize] {
    match of.name() {
        "Q4_0" | "Q4_0_PAIRS" | "Q5_0" | "Q8_0" | "Q1_0" | "Q1_0_NEGATED" => &[0],
        "Q2_0" | "PQ2_0" => &[0],
        "Q4_1" | "Q5_1" | "Q8_1" => &[0, 2],
        "Q4_K" | "Q5_K" | "Q4_K_OXIBONSAI" | "Q5_K_OXIBONSAI" => &[0, 2],
        "Q2_K" => &[80, 82],
        "Q3_K" => &[108],
        "Q6_K" | "Q6_K_OXIBONSAI" => &[208],
        "TQ1_0" => &[52],
        "PTQ1_0" => &[26],
        "TQ2_0" => &[64],
        "F8_E4M3" | "F8_E5M2" | "TQ2_0_G128" => &[32],
        _ => &[],
    }
}

impl Floats {
    fn of(tensor: &TensorInfo) -> Option<Self> {
        let TypeId::Known(known) = tensor.meaning() else {
            return None;
        };
        let halves = half_places(tensor.meaning());
        let (format, places): (Format, &[usize]) = match known.name {
            _ if !halves.is_empty() => (Format::F16, halves),
            "F32" | "Q8_K" => (Format::F32, &[0]),
            "F64" => (Format::F64, &[0]),
            "BF16" => (Format::Bf16, &[0]),
            "F16" => (Format::F16, &[0]),
            // Integers are always finite.
            "I8" | "I16" | "I64" => (Format::F32, &[]),
            _ => return None,
        };
        Some(Floats {
            format,
            places,
            block_elements: known.block_elements,
            block_bytes: known.block_bytes,
        })
    }

    fn check(&self, tensor: &TensorInfo, region: &[u8]) -> Result<(), Refusal> {
        let bytes = tensor
            .known_bytes()
            .expect("floats are found in known types only");
        let blocks = region[..bytes as usize].chunks_exact(self.block_bytes as usize);
        for (index, block) in (0u64..).zip(blocks) {
            let value = |place: usize| self.format.widen(&block[place..]);
            if let Some(&place) = self.places.iter().find(|&&place| !value(place).is_finite()) {
                let part = format!("data[{}]", index * self.block_elements);
                let found = value(place);
                let at = tensor.offset + index * self.block_bytes + place as u64;
                return Err(tensor
                    .refuse(Code::DataNonfinite, &part, "a finite number", found)
                    .at(at)
                    .hint("every result that depends on it would be worthless"));
            }
        }
        Ok(())
    }
}

impl Format {
    /// The float at the start of `bytes`, in a format that holds them all.
    fn widen(self, bytes: &[u8]) -> f64 {
        match self {
            Format::F16 => half::f16::from_le_bytes([bytes[0], bytes[1]]).into(),
            Format::Bf16 => half::bf16::from_le_bytes([bytes[0], bytes[1]]).into(),
            Format::F32 => f32::from_bits(le_u32(bytes)).into(),
            Format::F64 => f64::from_bits(le_u64(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::ModelBytes;
    use crate::gguf::Writer;
    use crate::gguf::dialect::Dialect;

    fn check(type_id: u32, dims: &[u64], bytes: Vec<u8>) -> Result<Examined, Refusal> {
        let file = Writer::new(3).tensor("t", dims, type_id, bytes).finish();
        Gguf::parse(ModelBytes::from_vec(file))
            .expect("valid")
            .check_finite()
    }

    /// Type id, elements of two blocks, and where each block has its floats.
    const CASES: [(u32, u64, &[usize], usize); 8] = [
        (0, 2, &[0], 4),
        (1, 2, &[0], 2),
        (30, 2, &[0], 2),
        (28, 2, &[0], 8),
        (8, 64, &[0], 2),
        (14, 512, &[208], 2),
        (12, 512, &[0, 2], 2),
        (35, 512, &[64], 2),
    ];

    #[test]
    fn the_first_number_that_is_none_is_named_by_element_and_byte() {
        for (type_id, elements, places, width) in CASES {
            let TypeId::Known(known) = TypeId::of(type_id, Dialect::Ggml) else {
                panic!("{type_id} is a known type");
            };
            let block = known.block_bytes as usize;
            let zeros = vec![0; 2 * block];
            assert_eq!(
                check(type_id, &[elements], zeros.clone()).map(|e| e.finite),
                Ok(1)
            );
            for place in places {
                let mut bytes = zeros.clone();
                // All ones are a NaN in every format.
                bytes[block + place..][..width].fill(0xff);
                let refusal = check(type_id, &[elements], bytes).expect_err("a NaN");
                assert_eq!(refusal.code, Code::DataNonfinite);
                let element = elements / 2;
                assert_eq!(refusal.field, format!("tensors.\"t\".data[{element}]"));
                assert_eq!(refusal.found, "NaN");
                let data = 64;
                assert_eq!(
                    refusal.offset,
                    Some((data + block + place) as u64),
                    "{}",
                    known.name
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_examined_is_counted() {
        let examined = check(36, &[128], vec![0xff; 64]).expect("it has no floats to look at");
        assert_eq!(
            (examined.finite, examined.passed_over),
            (0, vec!["t".to_string()])
        );
    }
}
