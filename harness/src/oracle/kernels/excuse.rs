//! The differences between kernels that are no fault of the engine, each with a condition on the
//! very input that shows it.
//!
//! **int16-wrap**: on x86 the reference's two-bit dot product adds up in 16 bits and wraps. Sixteen
//! lanes gather two products of each quarter of a block and are widened only after 32 blocks, when
//! up to 256 products have met: with activations of 127 and codes of 2 that is 65024. The engine
//! widens after eight blocks and is exact. Excused only if a lane's exact sum does leave 16 bits,
//! ours is the exact sum, and theirs is bit for bit what wrapping makes of it.
//!
//! **nan-bits**: excused only in a dot product, and only if both are NaN.
//!
//! **undefined-conversion**: excused only in encoders of blocks of 32, only for a value whose
//! scaled form is outside of int8, and only if ours is the nearest int8, or where values are cut
//! instead of rounded, what x86 makes of one at a time.

use engine::encoding::blocks_of_32::{self, Layout};
use engine::encoding::q8_0;

use crate::file::document::Format;
use crate::judge::excuse::Excuse;
use crate::reference::isolation::Call;
use crate::runner::kernels::question::{Answer, Place, Question};

const BLOCK: usize = 128;
const BLOCK_BYTES: usize = 32;
const LANES: usize = 16;
/// Blocks between two widenings.
const BLOCKS_TOGETHER: usize = 32;

/// A place where two answers to a question differ.
#[derive(Clone, Copy)]
pub struct Mismatch<'a> {
    pub question: &'a Question,
    pub theirs: &'a Answer,
    pub ours: &'a Answer,
    pub place: Place,
}

/// Every excuse for a mismatch between kernels.
pub fn known<'a>() -> [Excuse<Mismatch<'a>>; 3] {
    [
        Excuse {
            name: "int16-wrap",
            reason: "the reference adds up two-bit products in 16 bits, which wrap; the engine's \
                     sum is exact",
            applies: wrapped,
        },
        Excuse {
            name: "nan-bits",
            reason: "IEEE 754 leaves sign and payload of a NaN that arithmetic made to the order \
                     of operands, which two builds of one source choose differently",
            applies: nan_bits,
        },
        Excuse {
            name: "undefined-conversion",
            reason: "C leaves undefined what a float that fits no int8 becomes: two builds of one \
                     source give 0 and -128, the engine the nearest",
            applies: undefined_conversion,
        },
    ]
}

fn wrapped(mismatch: &Mismatch<'_>) -> Option<String> {
    let Mismatch {
        question, place, ..
    } = mismatch;
    let (
        &Call::Dot {
            columns, weights, ..
        },
        Place::Value(row),
    ) = (&question.call, *place)
    else {
        return None;
    };
    if question.format() != Some(Format::I2_S_P128) {
        return None;
    }
    let (weights, activations) = question.bytes.split_at(weights);
    let weights = weights.chunks_exact(columns / 4).nth(row)?;
    let Wrap {
        lanes,
        exact,
        wrapped,
    } = wrap(weights, activations)?;
    let is = |answer: &Answer, sum: i32| answer.values[row].to_bits() == (sum as f32).to_bits();
    (is(mismatch.ours, exact) && is(mismatch.theirs, wrapped)).then(|| {
        format!(
            "its sum wraps in {lanes} lanes of 16 bits: n={columns}, exact {exact}, reference \
             {wrapped}, ours {exact}"
        )
    })
}

fn nan_bits(mismatch: &Mismatch<'_>) -> Option<String> {
    let (Call::Dot { .. }, Place::Value(row)) = (mismatch.question.call, mismatch.place) else {
        return None;
    };
    let [theirs, ours] = [mismatch.theirs, mismatch.ours].map(|answer| answer.values[row]);
    let bits = || {
        let [theirs, ours] = [theirs, ours].map(f32::to_bits);
        format!("both are NaN: reference {theirs:#010x}, ours {ours:#010x}")
    };
    (theirs.is_nan() && ours.is_nan()).then(bits)
}

fn undefined_conversion(mismatch: &Mismatch<'_>) -> Option<String> {
    let question = mismatch.question;
    let (Call::Encode { .. }, Place::Byte(at)) = (question.call, mismatch.place) else {
        return None;
    };
    let format = question.format()?;
    if format != Format::Q8_0 {
        return undefined_cut(mismatch, format, at);
    }
    let (block, within) = (at / q8_0::BLOCK_BYTES, at % q8_0::BLOCK_BYTES);
    let mut blocks = question.values.chunks_exact(q8_0::BLOCK);
    let block = blocks.nth(block)?;
    let value = block[within.checked_sub(2)?];
    let larger = |max: f32, x: &f32| if max > x.abs() { max } else { x.abs() };
    let scale = block.iter().fold(0.0, larger) / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let scaled = (value * inverse).round();
    let fits = (-128.0..=127.0).contains(&scaled);
    let nearest = mismatch.ours.bytes[at] == (scaled as i8).cast_unsigned();
    (!fits && nearest).then(|| format!("{value:e} scaled is {scaled:e}, which is no int8"))
}

/// In a format that cuts: whether one of the elements in a byte is cut from what fits no int8, and
/// ours is what the engine's own layout says of the whole block.
fn undefined_cut(mismatch: &Mismatch<'_>, format: Format, at: usize) -> Option<String> {
    let (_, layout) = CUT.iter().find(|(name, _)| *name == format.name())?;
    let (values, None) = mismatch.question.matrix() else {
        return None;
    };
    let block_bytes = layout.block_bytes();
    let (block, within) = (at / block_bytes, at % block_bytes);
    let values = values.as_chunks::<BLOCK_OF_32>().0.get(block)?;
    let scaled = layout.scaled(values);
    let low_at = block_bytes - BLOCK_OF_32 / 2;
    let mut elements = match within.checked_sub(low_at) {
        Some(j) => vec![j, j + BLOCK_OF_32 / 2],
        None if layout.bits == 5 && within + 4 >= low_at => {
            let first = 8 * (within + 4 - low_at);
            (first..first + 8).collect()
        }
        None => return None,
    }
    .into_iter();
    let fits = |i: &usize| scaled[*i] > -129.0 && scaled[*i] < 128.0;
    let outside = elements.find(|i| !fits(i))?;
    let (value, scaled) = (values[outside], scaled[outside]);
    Some(format!("{value:e} scaled is {scaled:e}, which is no int8"))
}

const BLOCK_OF_32: usize = 32;

/// The formats whose encoders cut.
const CUT: [(&str, Layout); 4] = [
    ("q4_0", blocks_of_32::Q4_0),
    ("q4_1", blocks_of_32::Q4_1),
    ("q5_0", blocks_of_32::Q5_0),
    ("q5_1", blocks_of_32::Q5_1),
];

/// What 16-bit lanes make of a row.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wrap {
    /// Sums that leave 16 bits.
    lanes: usize,
    /// The sum as it is.
    exact: i32,
    /// The sum of what the lanes hold.
    wrapped: i32,
}

/// The row in 16-bit lanes; nothing if they hold every sum.
fn wrap(weights: &[u8], activations: &[u8]) -> Option<Wrap> {
    let mut wrap = Wrap::default();
    let together = weights
        .chunks(BLOCKS_TOGETHER * BLOCK_BYTES)
        .zip(activations.chunks(BLOCKS_TOGETHER * BLOCK));
    for (weights, activations) in together {
        let mut lanes = [0_i32; LANES];
        for (index, &value) in activations.iter().enumerate() {
            let (block, quarter, within) = (index / BLOCK, index % BLOCK / 32, index % 32);
            let code = weights[block * BLOCK_BYTES + within] >> (6 - 2 * quarter) & 3;
            lanes[within / 2] += i32::from(code) * i32::from(value.cast_signed());
        }
        for lane in lanes {
            let narrow = i32::from(lane as i16);
            wrap.lanes += usize::from(narrow != lane);
            wrap.exact += lane;
            wrap.wrapped += narrow;
        }
    }
    (wrap.lanes > 0).then_some(wrap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::excuse::find;

    const TWOS: u8 = 0b10_10_10_10;

    /// The name of what excuses two answers of these values and this byte everywhere.
    fn excuse(
        question: &Question,
        [theirs, ours]: [(&[f32], u8); 2],
        place: Place,
    ) -> Option<&'static str> {
        let answer = |(values, byte): (&[f32], u8)| Answer {
            values: values.to_vec(),
            bytes: vec![byte; 34],
            sum: None,
        };
        let mismatch = Mismatch {
            question,
            theirs: &answer(theirs),
            ours: &answer(ours),
            place,
        };
        find(&known(), &mismatch).map(|applied| applied.name)
    }

    #[test]
    fn the_wrap_by_hand() {
        // 32 blocks · 4 quarters · 2 elements · 2 · 127 = 65024, which 16 bits take for −512.
        let found = wrap(&[TWOS; 1024], &[127; 4096]).expect("every lane wraps");
        assert_eq!((found.lanes, found.exact), (16, 16 * 65024));
        assert_eq!(found.wrapped, 16 * -512);
        // Half as many: 32512, which 16 bits hold.
        assert_eq!(wrap(&[TWOS; 512], &[127; 2048]), None);
        // The blocks after the first 32 begin at zero again.
        let found = wrap(&[TWOS; 1536], &[127; 6144]).expect("the first 32 blocks");
        assert_eq!((found.lanes, found.wrapped), (16, 16 * (-512 + 32512)));
    }

    #[test]
    fn the_wrap_is_excused_where_it_happens_and_nowhere_else() {
        let weights = [[TWOS; 1024], [0b01_01_01_01; 1024]].concat();
        let asked = Question::dot(Format::I2_S_P128, 4096, &weights, &[127; 4096]);
        let name = |asked: &Question, theirs: [i32; 2], ours: [i32; 2], row| {
            let [theirs, ours] = [theirs, ours].map(|sums| sums.map(|sum| sum as f32));
            excuse(asked, [(&theirs, 0), (&ours, 0)], Place::Value(row))
        };
        let excused = |theirs, ours, row| name(&asked, theirs, ours, row) == Some("int16-wrap");
        let (exact, wrapped) = ([16 * 65024, 8 * 65024], [16 * -512, 8 * 65024]);
        assert!(excused(wrapped, exact, 0));
        // The second row does not wrap: whatever differs there has no excuse.
        assert!(!excused(wrapped, [exact[0], 7], 1));
        // Theirs is neither exact nor wrapped.
        assert!(!excused([wrapped[0] + 1, 0], exact, 0));
        // Ours is not exact, even where it wraps as theirs does.
        assert!(!excused(exact, wrapped, 0));
        assert!(!excused(wrapped, [exact[0] + 2, 0], 0));
        // The same numbers as the answer of another kernel.
        let mut other = asked.clone();
        if let Call::Dot { kind, .. } = &mut other.call {
            *kind = 35;
        }
        assert_eq!(name(&other, wrapped, exact, 0), None);
    }

    #[test]
    fn two_nans_are_excused_in_products_and_one_is_not() {
        let asked = Question::dot(Format::I2_S_P128, 128, &[TWOS; 32], &[1; 128]);
        let excused = |asked: &Question, theirs: f32, ours: f32| {
            excuse(asked, [(&[theirs], 0), (&[ours], 0)], Place::Value(0)).is_some()
        };
        let (nan, other) = (f32::NAN, -f32::NAN);
        assert!(excused(&asked, nan, other));
        assert!(!excused(&asked, nan, 1.0) && !excused(&asked, 1.0, nan));
        let decoded = Question::decode(Format::F16, &[0, 0]);
        assert!(!excused(&decoded, nan, other));
    }

    #[test]
    fn a_conversion_is_undefined_only_where_the_value_does_not_fit() {
        let encoded = |value: f32, ours: u8, at: usize| {
            let mut values = [0.0; 32];
            (values[3], values[4]) = (value, value / 2.0);
            let asked = Question::encode(Format::Q8_0, 32, &values);
            excuse(&asked, [(&[], 0x80), (&[], ours)], Place::Byte(at)).is_some()
        };
        // The inverse of a subnormal scale is infinite, and its product with zero is no number.
        assert!(encoded(1e-42, 127, 2 + 3) && encoded(1e-42, 0, 2));
        // Ours must be the nearest int8, the scale has no excuse, and sound values have none.
        assert!(!encoded(1e-42, 126, 2 + 3));
        assert!(!encoded(1e-42, 0, 0) && !encoded(1e-42, 0, 1));
        assert!(!encoded(1.0, 127, 2 + 3) && !encoded(1.0, 64, 2 + 4));
    }

    #[test]
    fn a_cut_is_undefined_only_in_the_bytes_of_elements_that_do_not_fit() {
        let excused = |name: &str, peak: f32, at: usize| {
            let mut values = [0.0; 32];
            values[19] = peak;
            let asked = Question::encode(name.parse().expect("a format"), 32, &values);
            excuse(&asked, [(&[], 0x80), (&[], 0)], Place::Byte(at)).is_some()
        };
        // Element 19 is in the upper half of the fourth byte, and the third of fifth bits.
        assert!(excused("q4_0", 1e-42, 2 + 3) && excused("q5_0", 1e-42, 2 + 2));
        assert!(!excused("q4_0", 1.0, 2 + 3) && !excused("q5_0", 1.0, 2 + 2));
        assert!(!excused("q4_0", 1e-42, 0), "the scale");
        assert!(!excused("q2_k", 1e-42, 20), "no format that cuts");
    }
}
