//! Whose quantiser is followed: two programs write the same formats, and where a search decides
//! between codes of nearly the same error, the last bit of its sums decides the byte.
#![forbid(unsafe_code)]

/// A program that writes weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Author {
    /// llama.cpp as it is released: every multiplication and addition rounded.
    #[default]
    Upstream,
    /// bitnet.cpp, built for the processor at hand: a product that is added is not rounded first,
    /// and a few divisions by zero are not avoided.
    Bitnet,
}

/// How values are to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantiser<'a> {
    /// Whose bytes.
    pub author: Author,
    /// How much the error of each column matters, a number a column; formats that search for
    /// their codes weigh with it.
    pub importance: Option<&'a [f32]>,
}

impl Author {
    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = [Author::Upstream, Author::Bitnet].into_iter();
        all.find(|author| author.name() == name)
    }

    /// Stable name, for flags and records.
    pub fn name(self) -> &'static str {
        match self {
            Author::Upstream => "upstream",
            Author::Bitnet => "bitnet",
        }
    }

    /// `a · b + c`.
    #[inline(always)]
    pub fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        match self {
            Author::Upstream => a * b + c,
            Author::Bitnet => a.mul_add(b, c),
        }
    }

    /// The nearest half, ties to even. Upstream's own conversion knows one NaN of each sign, the
    /// processor's keeps the upper bits.
    pub fn half(self, x: f32) -> [u8; 2] {
        let bits = if x.is_nan() && self == Author::Upstream {
            0x7e00 | u16::from(x.is_sign_negative()) << 15
        } else {
            half::f16::from_f32(x).to_bits()
        };
        bits.to_le_bytes()
    }

    /// Whether a quotient of nothing by nothing counts as zero.
    pub fn avoids_zero_by_zero(self) -> bool {
        self == Author::Upstream
    }
}

/// Rounds to the nearest integer, ties to even, for magnitudes up to 2²²; beyond that, and for
/// NaN, gives the bits the references give. Adding 1.5 · 2²³ leaves the integer in the mantissa.
#[inline(always)]
pub fn nearest_int(x: f32) -> i32 {
    let shifted = x + 12_582_912.0;
    (shifted.to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

/// The integer towards zero; of what fits none, and of NaN, the one that x86 gives.
#[inline(always)]
pub fn truncate(x: f32) -> i32 {
    if x.abs() < 2_147_483_648.0 {
        x as i32
    } else {
        i32::MIN
    }
}

/// The nearest integer, ties away from zero, for magnitudes up to 2²²; loops over it become vector
/// code everywhere, as they do not over [`f32::round`].
#[inline(always)]
pub fn round_away(x: f32) -> f32 {
    const WHOLE: f32 = 8_388_608.0;
    let magnitude = x.abs();
    let even = (magnitude + WHOLE) - WHOLE;
    let up = if magnitude - even == 0.5 { 1.0 } else { 0.0 };
    (even + up).copysign(x)
}

/// The lowest byte of a whole number of at most 2²² in two's complement.
#[inline(always)]
pub fn low_byte(whole: f32) -> u8 {
    (whole + 12_582_912.0).to_bits() as u8
}

/// The largest magnitude, where all values are finite.
#[inline(always)]
pub fn largest_finite(values: &[f32]) -> Option<f32> {
    // Magnitudes are ordered as their bits are, and what is not finite is above all others.
    let magnitude = |x: &f32| (x.to_bits() & 0x7fff_ffff).cast_signed();
    let largest = values.iter().map(magnitude).fold(0, i32::max);
    let largest = f32::from_bits(largest.cast_unsigned());
    largest.is_finite().then_some(largest)
}

/// The value of largest magnitude, the first of equals; 0 where there are only NaNs.
pub fn first_largest(values: &[f32]) -> f32 {
    if let Some(largest) = largest_finite(values) {
        let first = values.iter().find(|x| x.abs() == largest && largest > 0.0);
        return first.copied().unwrap_or(0.0);
    }
    let larger = |largest: f32, &x: &f32| if x.abs() > largest.abs() { x } else { largest };
    values.iter().fold(0.0, larger)
}

/// The sum of the squares.
pub fn squares(author: Author, values: &[f32]) -> f32 {
    let square = |sum, &x| author.mul_add(x, x, sum);
    values.iter().fold(0.0, square)
}

/// How much each element's error counts: its column's importance, and more where it is large.
pub fn weights(
    author: Author,
    variance: f32,
    values: &[f32],
    importance: &[f32],
    weights: &mut [f32],
) {
    for ((weight, &x), important) in weights.iter_mut().zip(values).zip(importance) {
        *weight = important * author.mul_add(x, x, variance).sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_authors_differ_in_the_last_bit_and_in_what_a_nan_becomes() {
        let nearly = 1.0 + 3.0 * f32::EPSILON;
        let [plain, fused] =
            [Author::Upstream, Author::Bitnet].map(|a| a.mul_add(nearly, nearly, -1.0));
        assert_ne!(plain, fused);
        let nan = f32::from_bits(0xffc1_2345);
        assert_eq!(Author::Upstream.half(nan), 0xfe00_u16.to_le_bytes());
        assert_ne!(Author::Bitnet.half(nan), 0xfe00_u16.to_le_bytes());
        assert_eq!(Author::Upstream.half(1.0), Author::Bitnet.half(1.0));
    }

    #[test]
    fn ties_go_away_from_zero_as_in_the_library() {
        let nearly = 0.5_f32.next_down();
        let ends = [0.0, nearly, 0.5, 1.5, 2.5, 126.5, 4_194_303.5, 4_194_304.0];
        for x in ends.into_iter().chain((0..4096).map(|i| i as f32 / 1024.0)) {
            for x in [x, -x] {
                assert_eq!(round_away(x).to_bits(), x.round().to_bits(), "{x}");
                assert_eq!(low_byte(x.round()), x.round() as i64 as u8, "{x}");
            }
        }
        assert_eq!(largest_finite(&[1.0, -3.0, 2.0]), Some(3.0));
        assert_eq!(largest_finite(&[1.0, f32::NAN, 2.0]), None);
    }

    #[test]
    fn ties_go_to_even_and_what_fits_no_integer_is_the_least() {
        assert_eq!([0.5, 1.5, -2.5].map(nearest_int), [0, 2, -2]);
        assert_eq!([1.9, -1.9].map(truncate), [1, -1]);
        assert_eq!([f32::NAN, 3e9].map(truncate), [i32::MIN; 2]);
        assert_eq!(first_largest(&[1.0, -2.0, 2.0, f32::NAN]), -2.0);
    }
}
