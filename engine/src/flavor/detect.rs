//! Weighs every packing against the bytes of one tensor, the most reliable evidence first: the
//! type id, the shape, the number of bytes, then what the bytes say.
#![forbid(unsafe_code)]

use std::cell::OnceCell;

use super::evidence::{self, Evidence, Threes};
use super::{Flavor, Shape, i2_s, split32, tl2, tq1_0, tq2_0};
use crate::gguf::tensor_type::id;
use crate::gguf::{Gguf, TensorInfo};
use crate::refusal::{Code, Refusal};

/// What was found out about one tensor.
#[derive(Debug, Clone)]
pub struct Detection {
    /// The packing to use.
    pub flavor: Flavor,
    /// Every packing that was considered, with what speaks for and against it.
    pub candidates: Vec<Candidate>,
    /// Why this one was taken, in one sentence.
    pub reason: String,
    /// The tensor that holds the scales, where the packing keeps them elsewhere.
    pub scales: Option<String>,
}

/// One packing weighed against the bytes.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The packing.
    pub flavor: Flavor,
    /// Bytes it would need; `None` where it cannot hold the shape.
    pub bytes_needed: Option<u64>,
    /// Bytes there are: the gap to the next tensor.
    pub bytes_available: u64,
    /// Whether there are more bytes than it needs and alignment explains.
    pub roomy: bool,
    /// Facts about the content, one sentence each.
    pub facts: Vec<String>,
    /// Why it cannot be this one, if it cannot.
    pub excluded: Option<String>,
}

/// Weighs every packing against the bytes of one tensor. `forced` overrides the choice among the
/// possible, never the impossible.
pub fn detect(
    gguf: &Gguf,
    tensor: &TensorInfo,
    forced: Option<Flavor>,
) -> Result<Detection, Refusal> {
    let case = Case::new(gguf, tensor)?;
    let candidates: Vec<Candidate> = case
        .considered()?
        .iter()
        .map(|&flavor| case.weigh(flavor))
        .collect();
    let (flavor, reason) = match forced {
        Some(flavor) => case.forced(flavor, &candidates)?,
        None => case.choose(&candidates)?,
    };
    Ok(Detection {
        flavor,
        candidates,
        reason,
        scales: case.sibling.filter(|_| flavor == Flavor::Split32),
    })
}

struct Case<'a> {
    gguf: &'a Gguf,
    tensor: &'a TensorInfo,
    shape: Shape,
    sibling: Option<String>,
    /// The three packings of I2_S have the same evidence, looked for once.
    i2_s: OnceCell<Evidence>,
    threes: Threes,
}

impl<'a> Case<'a> {
    fn new(gguf: &'a Gguf, tensor: &'a TensorInfo) -> Result<Self, Refusal> {
        let shape = Shape::of(tensor)?;
        let sibling = split32::sibling_names(&tensor.name).find(|name| {
            gguf.tensors.get(name).is_some_and(|sibling| {
                let holds_floats = matches!(sibling.type_id, id::F32 | id::F16 | id::F64);
                holds_floats && Some(sibling.elements()) == split32::scales_needed(shape)
            })
        });
        Ok(Case {
            gguf,
            tensor,
            shape,
            sibling,
            i2_s: OnceCell::new(),
            threes: Threes::default(),
        })
    }

    /// The packings the type id leaves open.
    fn considered(&self) -> Result<&'static [Flavor], Refusal> {
        let full_width = self.shape.elements().and_then(|n| n.checked_mul(4));
        match self.tensor.type_id {
            id::I2_S_OR_I32 if full_width.is_some_and(|n| n <= self.tensor.gap) => {
                Err(self.tensor.refuse(
                    Code::FlavorUnknown,
                    "data",
                    "two-bit weights",
                    "room for one 32-bit integer an element, as the type id says",
                ))
            }
            number => match Flavor::of_type(number) {
                [] => Err(self.tensor.refuse(
                    Code::FlavorUnknown,
                    "type",
                    "a type id that ternary packings use: 26, 34 to 36, 38 or 39",
                    number,
                )),
                flavors => Ok(flavors),
            },
        }
    }

    fn weigh(&self, flavor: Flavor) -> Candidate {
        let available = self.tensor.gap;
        let needed = flavor.bytes_needed(self.shape);
        let padded = needed.and_then(|n| n.checked_next_multiple_of(self.gguf.alignment));
        let evidence = match needed {
            None => Evidence::against(self.why_the_shape_is_wrong(flavor)),
            Some(n) if n > available => {
                Evidence::against(format!("it needs {n} bytes and there are {available}"))
            }
            Some(needed) => self.evidence(flavor, needed),
        };
        Candidate {
            flavor,
            bytes_needed: needed,
            bytes_available: available,
            roomy: padded.is_some_and(|padded| available > padded),
            facts: evidence.facts,
            excluded: evidence.excluded,
        }
    }

    fn why_the_shape_is_wrong(&self, flavor: Flavor) -> String {
        let Shape { rows, cols } = self.shape;
        match flavor {
            Flavor::I2sP4r if cols.is_multiple_of(64) => format!("{rows} rows are no groups of 4"),
            Flavor::I2sP128 if cols.is_multiple_of(64) => {
                format!("{rows} × {cols} elements are no blocks of 128")
            }
            Flavor::I2sP128 | Flavor::I2sP64 | Flavor::I2sP4r => {
                format!("a row of {cols} is no multiple of 64")
            }
            Flavor::Tq1_0 | Flavor::Tq2_0 => format!("a row of {cols} is no multiple of 256"),
            Flavor::Tl1 | Flavor::Tl2 => {
                format!("no kernels with lookup tables were generated for {rows} × {cols}")
            }
            _ => format!("{rows} × {cols} elements cannot be counted"),
        }
    }

    /// What the bytes say, once they are enough.
    fn evidence(&self, flavor: Flavor, needed: u64) -> Evidence {
        let bytes = self.gguf.region(self.tensor);
        let bytes = &bytes[..usize::try_from(needed).expect("no more than the region has")];
        match flavor {
            Flavor::I2sP128 | Flavor::I2sP64 | Flavor::I2sP4r => {
                let evidence = self.i2_s.get_or_init(|| self.evidence_of_i2_s(bytes));
                evidence.clone()
            }
            Flavor::Qk256 => match &self.sibling {
                Some(name) => Evidence::against(format!("it has no scales, and {name:?} has them")),
                None => evidence::of_qk256(bytes, &self.threes),
            },
            Flavor::Bitnet32F16 => evidence::of_bitnet32_f16(bytes, self.shape),
            Flavor::Split32 => match &self.sibling {
                Some(name) => Evidence::with(vec![format!("{name:?} holds a scale a block")]),
                None => Evidence::against("no sibling tensor holds a scale a block".into()),
            },
            Flavor::Tq1_0 => evidence::of_f16_blocks(bytes, tq1_0::BLOCK_BYTES, tq1_0::SCALE_AT),
            Flavor::Tq2_0 => evidence::of_f16_blocks(bytes, tq2_0::BLOCK_BYTES, tq2_0::SCALE_AT),
            Flavor::Tl1 => evidence::of_scale(i2_s::scale(bytes, self.shape)),
            Flavor::Tl2 => evidence::of_scale(tl2::scale(bytes, self.shape)),
        }
    }

    fn evidence_of_i2_s(&self, bytes: &[u8]) -> Evidence {
        if self.tensor.dims.iter().skip(2).any(|&dim| dim > 1) {
            return Evidence::against("it holds one matrix, not a stack of them".into());
        }
        if let Some(chunks) = self.chunks_of_a_threaded_quantiser() {
            return Evidence::against(format!(
                "there is room for {chunks} scales: a quantiser on several threads wrote {chunks} \
                 pieces over each other, and the weights are lost"
            ));
        }
        let mut evidence = evidence::of_i2_s(bytes, self.shape, &self.threes);
        if !self.shape.cols.is_multiple_of(128) {
            evidence.facts.push(format!(
                "rows of {} do not start at a block of 128: kernels that assume so skip the rest",
                self.shape.cols
            ));
        }
        evidence
    }

    /// The threaded quantiser works in pieces of whole rows, at least 16384 elements each, and
    /// claims one trailer a piece.
    fn chunks_of_a_threaded_quantiser(&self) -> Option<u64> {
        let cols = u64::try_from(self.shape.cols).ok()?;
        let elements = self.shape.elements()?;
        let chunk = cols.checked_mul(16384u64.div_ceil(cols))?;
        let chunks = elements.div_ceil(chunk);
        let claimed = (elements / 4).checked_add(chunks.checked_mul(32)?)?;
        let claimed = claimed.checked_next_multiple_of(self.gguf.alignment)?;
        (chunks > 1 && claimed == self.tensor.gap).then_some(chunks)
    }

    fn forced(
        &self,
        flavor: Flavor,
        candidates: &[Candidate],
    ) -> Result<(Flavor, String), Refusal> {
        let why = match candidates.iter().find(|c| c.flavor == flavor) {
            Some(Candidate { excluded: None, .. }) => {
                return Ok((flavor, "it was asked for and is possible".into()));
            }
            Some(candidate) => candidate.excluded.clone().unwrap_or_default(),
            None => format!("type id {} does not stand for it", self.tensor.type_id),
        };
        let expected = format!("bytes that can be {flavor}, as was asked for");
        let refusal = self
            .tensor
            .refuse(Code::FlavorUnknown, "data", expected, why);
        Err(refusal.hint("--flavor chooses among the packings the bytes allow"))
    }

    fn choose(&self, candidates: &[Candidate]) -> Result<(Flavor, String), Refusal> {
        let possible = || candidates.iter().filter(|c| c.excluded.is_none());
        let exact: Vec<Flavor> = possible().filter(|c| !c.roomy).map(|c| c.flavor).collect();
        // Any bytes can be QK256, so beyond an exact size there is no evidence of it.
        let roomy = possible().filter(|c| c.roomy && c.flavor != Flavor::Qk256);
        // A size that fits to the byte is better evidence than one that leaves room.
        let (survivors, size) = if !exact.is_empty() {
            (exact, "its size fits exactly")
        } else {
            (
                roomy.map(|c| c.flavor).collect(),
                "it fits, with bytes to spare that nothing explains",
            )
        };
        let i2_s = survivors.iter().filter(|flavor| flavor.is_i2_s()).count();
        match survivors[..] {
            [] => Err(self.none_fits(candidates)),
            [only] => Ok((only, format!("{size}, and no other packing is possible"))),
            [first, ..] if i2_s == survivors.len() => Ok((
                first,
                format!(
                    "equal size; {} is what every published file uses; --flavor overrides",
                    first.name().trim_start_matches("i2_s-").to_uppercase()
                ),
            )),
            _ => {
                let names: Vec<&str> = survivors.iter().map(|flavor| flavor.name()).collect();
                let refusal = self.tensor.refuse(
                    Code::FlavorAmbiguous,
                    "data",
                    "bytes that only one packing explains",
                    format!("{} are all possible", names.join(", ")),
                );
                Err(refusal.hint(format!("choose one with --flavor {}", names.join("|"))))
            }
        }
    }

    /// The most telling of the reasons.
    fn none_fits(&self, candidates: &[Candidate]) -> Refusal {
        let available = self.tensor.gap;
        let as_i2_s = self.shape.elements().map(|n| n.div_ceil(4) + 32);
        let i2_s_asked = candidates.iter().any(|c| c.flavor.is_i2_s());
        let cols = self.shape.cols;
        if i2_s_asked && !cols.is_multiple_of(64) && as_i2_s.is_some_and(|n| n <= available) {
            let expected = "rows of a multiple of 64 elements for I2_S";
            return self
                .tensor
                .refuse(Code::I2sShape, "dims[0]", expected, cols);
        }
        let of_right_shape = candidates.iter().filter(|c| match c.flavor {
            Flavor::Split32 => self.sibling.is_some(),
            _ => c.bytes_needed.is_some(),
        });
        let least = of_right_shape.min_by_key(|c| c.bytes_needed);
        let needed = least.and_then(|c| Some((c.flavor, c.bytes_needed?)));
        if let Some((flavor, needed)) = needed.filter(|&(_, needed)| needed > available) {
            let (code, until) = if self.is_followed() {
                (Code::TensorOverlap, "the next tensor")
            } else {
                (Code::DataPastEof, "the end of the file")
            };
            let expected = format!("at least {needed} bytes, as {flavor} needs");
            let found = format!("{available} bytes to {until}");
            return self.tensor.refuse(code, "data", expected, found);
        }
        let reason = |c: &Candidate| match &c.excluded {
            Some(why) => why.clone(),
            None => "there are bytes to spare and nothing speaks for it".into(),
        };
        // The packings of I2_S mostly share their reason, which is told once.
        let same = |a: &Candidate, b: &Candidate| reason(a) == reason(b);
        let reasons: Vec<String> = candidates
            .chunk_by(same)
            .map(|group| {
                let names: Vec<&str> = group.iter().map(|c| c.flavor.name()).collect();
                format!("not {}: {}", names.join(", "), reason(&group[0]))
            })
            .collect();
        let expected = "bytes that one of the packings explains";
        self.tensor
            .refuse(Code::FlavorUnknown, "data", expected, reasons.join("; "))
    }

    fn is_followed(&self) -> bool {
        let mut others = self.gguf.tensors.iter();
        others.any(|other| other.offset > self.tensor.offset)
    }
}
