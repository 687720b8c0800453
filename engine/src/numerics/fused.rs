//! `fma` for platforms whose C library rounds twice, as mingw's does, or loses the sign of what
//! vanishes, as musl's does: `mul_add` calls it where no instruction is at hand. There, the linker
//! finds these under the library's names.

/// `x * y + z`, rounded once.
pub fn fma(x: f64, y: f64, z: f64) -> f64 {
    if x.is_finite() && y.is_finite() && !z.is_finite() {
        return z; // whatever the product overflows to
    }
    let product = x * y;
    if !x.is_finite() || !y.is_finite() || x == 0.0 || y == 0.0 {
        return product + z; // exact, infinite or no number
    }
    if z == 0.0 {
        return product; // rounded once already, with the sign of what vanished
    }
    let (x_negative, x, x_exponent) = parts(x);
    let (y_negative, y, y_exponent) = parts(y);
    let (z_negative, z, z_exponent) = parts(z);
    let negative = x_negative != y_negative;
    let product = normalised(u128::from(x) * u128::from(y), x_exponent + y_exponent);
    let addend = normalised(u128::from(z), z_exponent);
    let product_is_more = (product.1, product.0) >= (addend.1, addend.0);
    let (more, less) = if product_is_more {
        (product, addend)
    } else {
        (addend, product)
    };
    let less = shifted(less.0, more.1.abs_diff(less.1));
    let sum = if negative == z_negative {
        more.0 + less
    } else {
        more.0 - less
    };
    let is_negative = if product_is_more {
        negative
    } else {
        z_negative
    };
    let magnitude = rounded(sum, more.1);
    // What cancels is plus zero.
    if is_negative && sum != 0 {
        -magnitude
    } else {
        magnitude
    }
}

/// The same in single precision: the product is exact in double precision, and a sum rounded to
/// odd there loses nothing that the last rounding needs.
pub fn fmaf(x: f32, y: f32, z: f32) -> f32 {
    let (product, z) = (f64::from(x) * f64::from(y), f64::from(z));
    let sum = product + z;
    let back = sum - product;
    let error = (product - (sum - back)) + (z - back);
    let bits = sum.to_bits();
    if error == 0.0 || bits & 1 == 1 || !sum.is_finite() {
        return sum as f32;
    }
    let outwards = (error > 0.0) == (sum > 0.0);
    f64::from_bits(if outwards { bits + 1 } else { bits - 1 }) as f32
}

/// Whether it is negative, its digits and their exponent, of a finite number.
fn parts(x: f64) -> (bool, u64, i32) {
    let bits = x.to_bits();
    let (field, fraction) = ((bits >> 52) as i32 & 0x7ff, bits & ((1 << 52) - 1));
    let digits = if field == 0 {
        fraction
    } else {
        fraction | 1 << 52
    };
    (x.is_sign_negative(), digits, field.max(1) - 1075)
}

/// The same value with three bits free at the top: one for a carry, and the sign's of the sums of
/// others.
fn normalised(digits: u128, exponent: i32) -> (u128, i32) {
    let free = digits.leading_zeros() as i32 - 3;
    (digits << free, exponent - free)
}

/// Shifted to the right; the last bit says whether anything was lost.
fn shifted(digits: u128, by: u32) -> u128 {
    if by >= u128::BITS {
        return 1;
    }
    let kept = digits >> by;
    kept | u128::from(kept << by != digits)
}

/// The nearest number, the even one of two.
fn rounded(digits: u128, exponent: i32) -> f64 {
    if digits == 0 {
        return 0.0;
    }
    let length = (u128::BITS - digits.leading_zeros()) as i32;
    let unit = (exponent + length - 53).max(-1074);
    let excess = unit - exponent;
    let kept = match excess {
        ..=0 => digits << -excess,
        1..128 => {
            let kept = digits >> excess;
            let (rest, half) = (digits - (kept << excess), 1 << (excess - 1));
            kept + u128::from(rest > half || rest == half && kept & 1 == 1)
        }
        _ => 0,
    };
    // The implicit bit adds one to the exponent's field, and so does a carry.
    let field = ((unit + 1074) as u64) << 52;
    let bits = field.saturating_add(kept as u64);
    f64::from_bits(bits.min(f64::INFINITY.to_bits()))
}

/// The names a linker looks for.
#[cfg(any(all(windows, target_env = "gnu"), target_env = "musl"))]
#[allow(unsafe_code)] // two names, each with the C library's meaning
mod exported {
    /// SAFETY: takes and gives what C's `fma` does; on 64 bits there is one convention.
    #[unsafe(no_mangle)]
    extern "system" fn fma(x: f64, y: f64, z: f64) -> f64 {
        super::fma(x, y, z)
    }

    /// SAFETY: takes and gives what C's `fmaf` does.
    #[unsafe(no_mangle)]
    extern "system" fn fmaf(x: f32, y: f32, z: f32) -> f32 {
        super::fmaf(x, y, z)
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::{fma, fmaf};

    /// Random bits, with exponents near enough to each other for the sum to matter.
    struct Dice(u64);

    impl Dice {
        fn bits(&mut self) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            self.0.rotate_right((self.0 >> 59) as u32) ^ (self.0 >> 27)
        }

        fn double(&mut self, exponent: i32, around: u64) -> f64 {
            let (bits, more) = (self.bits(), (self.bits() % around) as i32);
            let field = (exponent + 1023 + more - around as i32 / 2).clamp(0, 2046) as u64;
            // Few digits make halves, which are hard.
            let digits = bits & ((1 << 52) - 1) & (u64::MAX << (bits >> 58));
            f64::from_bits(bits & 1 << 63 | field << 52 | digits)
        }
    }

    fn same(found: f64, expected: f64) -> bool {
        found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan()
    }

    /// Sums that come out wrong where the product or the sum is rounded on the way, be it to the
    /// 64 digits of x87: of how many of them a platform gives another.
    fn wrong(double: fn(f64, f64, f64) -> f64, single: fn(f32, f32, f32) -> f32) -> usize {
        // Half a unit in the last place, less or more by next to nothing; and nothing but that.
        let halves = |digits: i32, largest: f64| {
            let (unit, half) = (2f64.powi(1 - digits), 2f64.powi(-(digits / 2)));
            let other = unit / 2.0 / half;
            [
                [
                    half * (1.0 + unit),
                    other * (1.0 - unit),
                    1.0 + unit,
                    1.0 + unit,
                ],
                [half * (1.0 + unit), other * (1.0 + unit), 1.0, 1.0 + unit],
                [1.0 + unit, 1.0 + unit, -1.0 - 2.0 * unit, unit * unit],
                [largest, 2.0, -largest, largest],
            ]
        };
        let mut wrong = 0;
        for sign in [1.0, -1.0] {
            for [x, y, z, sum] in halves(53, f64::MAX) {
                let found = double(black_box(sign * x), black_box(y), black_box(sign * z));
                wrong += usize::from(found != sign * sum);
            }
            for case in halves(24, f32::MAX.into()) {
                let [x, y, z, sum] = case.map(|value| value as f32);
                let sign = sign as f32;
                let found = single(black_box(sign * x), black_box(y), black_box(sign * z));
                wrong += usize::from(found != sign * sum);
            }
        }
        wrong
    }

    /// Where no instruction is asked for: a C library's, or ours under its name.
    #[test]
    fn mul_add_of_this_platform_rounds_once() {
        assert_eq!(wrong(f64::mul_add, f32::mul_add), 0);
        assert_eq!(wrong(fma, fmaf), 0);
        // What vanishes below zero is minus zero.
        let vanishes = f64::mul_add(black_box(f64::MIN_POSITIVE), -5e-324, black_box(0.0));
        assert_eq!(vanishes.to_bits(), (-0.0f64).to_bits());
        // What rounds twice is noticed. (The second of the four sums needs x87 to come out wrong.)
        assert_eq!(wrong(|x, y, z| x * y + z, |x, y, z| x * y + z), 12);
        let wider = |x: f32, y: f32, z: f32| (f64::from(x) * f64::from(y) + f64::from(z)) as f32;
        assert_eq!(wrong(fma, wider), 2);
    }

    /// Ours are those of this machine, where it has them from somebody else.
    #[test]
    fn both_are_mul_add_on_hard_and_random_numbers() {
        let special = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            -5e-324,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            1.0 + f64::EPSILON,
            0.1,
            2f64.powi(-537),
            2f64.powi(512),
        ];
        let mut asked = 0;
        let mut ask = |x: f64, y: f64, z: f64| {
            asked += 1;
            let (found, expected) = (fma(x, y, z), x.mul_add(y, z));
            assert!(
                same(found, expected),
                "{x:e} * {y:e} + {z:e}: {found:e}, not {expected:e}"
            );
            let (x, y, z) = (x as f32, y as f32, z as f32);
            let (found, expected) = (fmaf(x, y, z), x.mul_add(y, z));
            let same = same(found.into(), expected.into());
            assert!(same, "{x:e} * {y:e} + {z:e}: {found:e}, not {expected:e}");
        };
        for x in special {
            for y in special {
                special.iter().for_each(|z| ask(x, y, *z));
            }
        }
        let mut dice = Dice(1);
        for _ in 0..200_000 {
            let (x, y) = (dice.double(0, 60), dice.double(0, 60));
            let near = ((x * y).to_bits() >> 52 & 0x7ff) as i32 - 1023;
            let z = dice.double(near, 130);
            ask(x, y, z);
            ask(x, y, -(x * y));
            ask(
                x * 2f64.powi(-500),
                y * 2f64.powi(-540),
                z * 2f64.powi(-1040),
            );
            ask(dice.double(-130, 50), y, dice.double(-140, 40));
        }
        assert_eq!(asked, 15 * 15 * 15 + 800_000);
    }
}
