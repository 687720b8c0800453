//! The kernels there are questions about, and how the questions are made.

use engine::flavor::Shape;
use engine::kernels::Kernel::Scalar;
use engine::numerics::{Profile, arithmetic};

use super::inputs::{self, CHOSEN};
use crate::file::document::Format;
use crate::numbers::split_mix::SplitMix64;
use crate::reference::isolation::WorkerExit;
use crate::runner::kernels::activations::Activations;
use crate::runner::kernels::question::{Computer, Question};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// Values to stored rows.
    Encode(Format),
    /// The same with regard to the importance of columns.
    Weighted(Format),
    /// Stored rows to values; where the library has no such function, its codes.
    Decode(Format),
    /// Values to what dot products take.
    Activation(Activations),
    /// Stored rows times activations.
    Dot(Format),
}

use Kernel::{Activation, Decode, Dot, Encode, Weighted};

/// One kernel and the questions about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family(Kernel);

/// Elements of one question, about.
const ELEMENTS: usize = 4096;

impl Family {
    /// All of them, in the order of the table of formats: what a format can, and the activations
    /// that no format before it meets.
    pub fn all() -> Vec<Family> {
        let mut all: Vec<Kernel> = Vec::new();
        for format in Format::all().filter(|f| Format::of_kind(f.kind()) == Some(*f)) {
            if format != Format::F32 {
                all.extend([Encode(format), Decode(format)]);
                let form = Activation(Activations::of(format));
                if form != Activation(Activations::F32) && !all.contains(&form) {
                    all.push(form);
                }
            }
            if !format.is_float() && !format.is_i2_s() {
                all.push(Weighted(format));
            }
            all.push(Dot(format));
        }
        all.into_iter().map(Family).collect()
    }

    /// Stable name, e.g. `i2_s-dot`: what `--only` takes.
    pub fn name(self) -> String {
        let (of, what) = match self.0 {
            Encode(format) => (format.type_name(), "encode"),
            Weighted(format) => (format.type_name(), "encode-weighted"),
            Decode(format) => (format.type_name(), "decode"),
            Activation(form) => (form.name, "activation"),
            Dot(format) => (format.type_name(), "dot"),
        };
        format!("{of}-{what}")
    }

    /// The one of that name.
    pub fn by_name(name: &str) -> Result<Family, String> {
        let all = Self::all();
        let known = all.iter().find(|family| family.name() == name);
        known.copied().ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|family| family.name()).collect();
            format!(
                "no kernel is called {name:?}; there are {}",
                names.join(", ")
            )
        })
    }

    /// How many of its questions are chosen; those after them are random.
    pub fn chosen(self) -> usize {
        match self.0 {
            Encode(_) | Weighted(_) | Activation(_) => CHOSEN.len(),
            Decode(_) => 16,
            Dot(_) => 2 * CHOSEN.len(),
        }
    }

    /// Whether it says what stored bytes mean, which is the same for every library.
    pub fn is_decoder(self) -> bool {
        matches!(self.0, Decode(_))
    }

    /// Whether it is a product of decoded values, in an order that no block format has.
    pub fn decodes_first(self) -> bool {
        matches!(self.0, Dot(format) if format.is_decoded())
    }

    /// Whether it writes weights, which differs from author to author and not from processor to
    /// processor.
    pub fn is_encoder(self) -> bool {
        matches!(self.0, Encode(_) | Weighted(_))
    }

    /// Whether it is computed in an order of its own by each set of instructions: products, and the
    /// activations that they take.
    pub fn is_arithmetic(self) -> bool {
        matches!(self.0, Dot(_) | Activation(_))
    }

    /// Why a library cannot be asked, if it cannot.
    pub fn obstacle(self, library: &mut dyn Computer) -> Result<Option<String>, WorkerExit> {
        let (kind, name) = match self.0 {
            Activation(form) => (form.kind, form.name),
            Encode(format) | Weighted(format) | Decode(format) | Dot(format) => {
                (format.kind(), format.type_name())
            }
        };
        let lacks = |what: &str| Ok(Some(format!("it has no {what} {name}")));
        let Some(facts) = library.describe(kind)? else {
            return lacks("type");
        };
        if !facts.name.eq_ignore_ascii_case(name) {
            let theirs = facts.name;
            return Ok(Some(format!("its type {kind} is {theirs}, not {name}")));
        }
        match self.0 {
            Encode(_) | Weighted(_) if !facts.can_quantize => lacks("encoder of"),
            Decode(format) if !facts.can_dequantize && !format.is_i2_s() => lacks("decoder of"),
            Activation(_) if !facts.can_quantize_activation => lacks("activations of type"),
            Dot(_) if !facts.can_dot => lacks("dot product of"),
            Decode(format) if format.is_i2_s() && !facts.can_dot => lacks("dot product of"),
            Dot(format) => {
                let form = Activations::of(format);
                let partner = facts.dot_partner.unwrap_or(-1);
                let met = library.describe(partner)?;
                let same = met.is_some_and(|m| (m.block_size, m.block_bytes) == form.block);
                let differs = || format!("its {name} meets type {partner}, not {}", form.name);
                Ok((partner != form.kind || !same).then(differs))
            }
            Activation(form) if (facts.block_size, facts.block_bytes) != form.block => {
                let (block, bytes) = (facts.block_size, facts.block_bytes);
                let blocks = format!("its {name} has blocks of {block} in {bytes} bytes");
                Ok(Some(blocks))
            }
            _ => Ok(None),
        }
    }

    /// A question, the same for the same seed and number everywhere.
    pub fn question(self, seed: u64, case: usize) -> Question {
        let dice = &mut self.dice(seed, case);
        match self.0 {
            Encode(format) => {
                let (columns, rows) = if format.is_i2_s() && dice.once_in(4) {
                    // Blocks of 128 that do not end with the rows.
                    dice.pick(&[(64, 2), (64, 6), (32, 8), (192, 2), (1, 128), (384, 3)])
                } else {
                    matrix(dice, format)
                };
                let values = self.values(dice, case, columns * rows);
                Question::encode(format, columns, &values)
            }
            Weighted(format) => {
                let (columns, rows) = matrix(dice, format);
                let values = self.values(dice, case, columns * rows);
                let importance: Vec<f32> = (0..columns).map(|_| inputs::importance(dice)).collect();
                Question::encode_weighted(format, &values, &importance)
            }
            Decode(format) => {
                let (cols, rows) = matrix(dice, format);
                let shape = Shape { rows, cols };
                let bytes = if format.is_float() {
                    halves(dice, case, ELEMENTS)
                } else {
                    inputs::stored(dice, format, shape, case < self.chosen())
                };
                Question::decode(format, &bytes)
            }
            Activation(form) => {
                let count = inputs::length(dice, form.block.0);
                Question::activation(form, &self.values(dice, case, count))
            }
            Dot(format) => self.product(dice, case, format),
        }
    }

    fn product(self, dice: &mut SplitMix64, case: usize, format: Format) -> Question {
        let form = Activations::of(format);
        let edge = case < self.chosen() && case.is_multiple_of(2);
        let cols = if edge && format.is_i2_s() {
            // Long enough for 16-bit sums to wrap.
            ELEMENTS * dice.pick(&[1, 2, 3])
        } else {
            inputs::length(dice, format.block())
        };
        let rows = (2 * ELEMENTS / cols).clamp(2, 16);
        let weights = inputs::stored(dice, format, Shape { rows, cols }, edge);
        let activations = if form == Activations::I8S {
            inputs::int8(dice, case / 2, cols)
        } else {
            let row = self.values(dice, case / 2, cols);
            let arithmetic = arithmetic(Profile::default(), Scalar);
            form.quantise(&row, arithmetic).bytes
        };
        Question::dot(format, cols, &weights, &activations)
    }

    /// The chosen row of that number, a random one after the last.
    fn values(self, dice: &mut SplitMix64, case: usize, count: usize) -> Vec<f32> {
        let mut values = vec![0.0; count];
        match CHOSEN.get(case) {
            Some((_, fill)) => fill(dice, &mut values),
            None => inputs::random(dice, &mut values),
        }
        values
    }

    /// What a question is about, in words.
    pub fn describe(self, case: usize) -> &'static str {
        let chosen = match self.0 {
            Dot(format) if format.is_i2_s() => return "codes and int8 activations",
            Decode(_) => return "stored bytes",
            Encode(_) | Weighted(_) | Activation(_) => CHOSEN.get(case),
            Dot(_) => CHOSEN.get(case / 2),
        };
        chosen.map_or("random values", |(name, _)| name)
    }

    /// A generator of its own for every question, so that one can be asked again alone.
    fn dice(self, seed: u64, case: usize) -> SplitMix64 {
        let name = self.name();
        let start = name.bytes().fold(seed, |state, byte| {
            SplitMix64(state ^ u64::from(byte)).bits()
        });
        SplitMix64(start ^ SplitMix64(case as u64).bits())
    }
}

/// Length and number of the rows of a small matrix.
fn matrix(dice: &mut SplitMix64, format: Format) -> (usize, usize) {
    let columns = inputs::length(dice, format.block());
    let rows = 1 + dice.below((ELEMENTS / columns).clamp(1, 4));
    (columns, rows)
}

/// Sixteen-bit patterns: all there are over sixteen questions, then any.
fn halves(dice: &mut SplitMix64, case: usize, count: usize) -> Vec<u8> {
    let pattern = |i: usize| {
        if case < 16 {
            return (case * count + i) as u16;
        }
        dice.bits() as u16
    };
    (0..count).map(pattern).flat_map(u16::to_le_bytes).collect()
}
