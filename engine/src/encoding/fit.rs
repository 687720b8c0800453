//! The searches of the quantisers: which codes and which scale leave the least weighted error.
//!
//! Each tries a few inverse scales around the obvious one, rounds, and takes the scale that least
//! squares give for those codes. Their sums run from the first element to the last.
#![forbid(unsafe_code)]

use super::author::{Author, first_largest, nearest_int};

/// Groups of smaller magnitudes count as zeros.
pub const TINY: f32 = 1e-15;

/// Sums over a group: weight · value · code and weight · code².
#[derive(Clone, Copy, Default)]
struct Products {
    values: f32,
    codes: f32,
}

impl Products {
    fn of(author: Author, terms: impl Iterator<Item = (f32, f32, i32)>) -> Self {
        terms.fold(Self::default(), |sums, (weight, x, code)| {
            sums.with(author, weight, x, code as f32)
        })
    }

    fn with(self, author: Author, weight: f32, x: f32, code: f32) -> Self {
        Products {
            values: author.mul_add(weight * x, code, self.values),
            codes: author.mul_add(weight * code, code, self.codes),
        }
    }

    fn without(self, author: Author, weight: f32, x: f32, code: f32) -> Self {
        Products {
            values: author.mul_add(-(weight * x), code, self.values),
            codes: author.mul_add(-(weight * code), code, self.codes),
        }
    }

    /// Whether these codes leave a smaller error, whatever the scale.
    fn beat(self, other: Self) -> bool {
        self.values * self.values * other.codes > other.values * other.values * self.codes
    }

    /// The best scale for the codes.
    fn scale(self, author: Author) -> f32 {
        if author.avoids_zero_by_zero() && (self.codes <= 0.0 || self.codes.is_nan()) {
            return 0.0;
        }
        self.values / self.codes
    }
}

/// Codes from `-limit` to `limit - 1`, written as 0 and up, and their scale: the largest
/// magnitude, whatever its sign, becomes about `-limit`.
pub fn symmetric(
    author: Author,
    limit: i32,
    values: &[f32],
    weight: impl Fn(usize) -> f32,
    codes: &mut [u8],
) -> f32 {
    let peak = first_largest(values);
    if peak.abs() < TINY {
        codes.fill(0);
        return 0.0;
    }
    let code = |inverse: f32, x: f32| nearest_int(inverse * x).clamp(-limit, limit - 1);
    let sums = |inverse: f32| {
        let terms = values.iter().enumerate();
        let terms = terms.map(|(i, &x)| (weight(i), x, code(inverse, x)));
        Products::of(author, terms)
    };
    let mut chosen = -limit as f32 / peak;
    let first = sums(chosen);
    let mut scale = if first.codes == 0.0 {
        0.0
    } else {
        first.values / first.codes
    };
    let mut best = scale * first.values;
    for step in (-9..=9).filter(|&step| step != 0) {
        let inverse = -author.mul_add(0.1, step as f32, limit as f32) / peak;
        let tried = sums(inverse);
        if tried.codes > 0.0 && tried.values * tried.values > best * tried.codes {
            chosen = inverse;
            scale = tried.values / tried.codes;
            best = scale * tried.values;
        }
    }
    for (out, &x) in codes.iter_mut().zip(values) {
        *out = (code(chosen, x) + limit) as u8;
    }
    scale
}

/// The same range of codes; starts from the obvious ones and changes one after the other as long
/// as that makes the error smaller.
pub fn symmetric_by_steps(author: Author, limit: i32, values: &[f32], codes: &mut [u8]) -> f32 {
    let peak = first_largest(values);
    if peak.abs() < TINY {
        codes.fill(0);
        return 0.0;
    }
    let inverse = -limit as f32 / peak;
    let clamp = |code: i32| code.clamp(-limit, limit - 1);
    let mut found: Vec<i32> = values
        .iter()
        .map(|&x| clamp(nearest_int(inverse * x)))
        .collect();
    let terms = values
        .iter()
        .zip(&found)
        .map(|(&x, &code)| (x * x, x, code));
    let mut sums = Products::of(author, terms);
    improve(5, || {
        let mut changed = false;
        for (&x, code) in values.iter().zip(&mut found) {
            let weight = x * x;
            let others = sums.without(author, weight, x, *code as f32);
            if others.values <= 0.0 || others.values.is_nan() {
                continue;
            }
            let wanted = clamp(nearest_int(x * others.codes / others.values));
            let tried = others.with(author, weight, x, wanted as f32);
            if wanted != *code && tried.codes > 0.0 && tried.beat(sums) {
                (*code, sums, changed) = (wanted, tried, true);
            }
        }
        changed
    });
    for (out, code) in codes.iter_mut().zip(found) {
        *out = (code + limit) as u8;
    }
    sums.scale(author)
}

/// Codes from 0 to `limit` for values that are not negative, as scales are.
pub fn positive(
    author: Author,
    limit: i32,
    values: &[f32],
    weights: &[f32],
    codes: &mut [u8],
) -> f32 {
    let max = values
        .iter()
        .fold(0.0, |max, &x| if max > x { max } else { x });
    if max == 0.0 || author.avoids_zero_by_zero() && max < TINY {
        codes.fill(0);
        return 0.0;
    }
    let error = |inverse: f32, cut: fn(i32, i32) -> i32| {
        let scale = 1.0 / inverse;
        let terms = values.iter().zip(weights);
        terms.fold(0.0, |sum, (&x, &weight)| {
            let code = cut(nearest_int(inverse * x), limit);
            let off = author.mul_add(-scale, code as f32, x);
            author.mul_add(weight * off, off, sum)
        })
    };
    let mut inverse = limit as f32 / max;
    // The first codes are not cut, but kept in bytes.
    let mut best = error(inverse, |code, _| i32::from(code as u8));
    for step in (-4..=4).filter(|&step| step != 0) {
        let tried = author.mul_add(0.1, step as f32, limit as f32) / max;
        let left = error(tried, i32::min);
        if left < best {
            (best, inverse) = (left, tried);
        }
    }
    let cut = |x: f32| nearest_int(x).min(limit);
    let terms = values.iter().zip(weights);
    let mut sums = Products::of(author, terms.map(|(&x, &w)| (w, x, cut(inverse * x))));
    for (code, &x) in codes.iter_mut().zip(values) {
        *code = cut(inverse * x) as u8;
    }
    improve(5, || {
        let mut changed = false;
        for ((&x, &weight), code) in values.iter().zip(weights).zip(&mut *codes) {
            let others = sums.without(author, weight, x, f32::from(*code));
            if !(others.values > 0.0 && others.codes > 0.0) {
                continue;
            }
            let wanted = cut(x * others.codes / others.values);
            let tried = others.with(author, weight, x, wanted as f32);
            if wanted != i32::from(*code) && tried.beat(sums) {
                (*code, sums, changed) = (wanted as u8, tried, true);
            }
        }
        changed
    });
    sums.scale(author)
}

/// Repeats a step while it changes something, at most so often.
fn improve(times: usize, mut step: impl FnMut() -> bool) {
    (0..times).take_while(|_| step()).for_each(drop);
}

/// How [`offset`] searches.
#[derive(Clone, Copy)]
pub struct Search {
    /// Codes are 0 to this.
    pub limit: i32,
    /// How much is added to the limit in the first attempt.
    pub from: f32,
    /// How much more in each that follows.
    pub step: f32,
    /// The number of the last attempt.
    pub last: i32,
    /// Whether the error is the magnitude of a difference; else it is its square.
    pub magnitudes: bool,
    /// Whether codes are kept in range before they are rounded, as upstream does where columns
    /// have an importance.
    pub cut_first: bool,
}

impl Search {
    /// The finest of them, where columns have an importance.
    pub fn with_importance(author: Author, limit: i32) -> Self {
        Search {
            limit,
            from: -0.9,
            step: 0.05,
            last: 36,
            magnitudes: false,
            cut_first: author.avoids_zero_by_zero(),
        }
    }
}

/// Codes of `scale · code - offset`, where the offset is not negative. Gives scale and offset.
pub fn offset(
    author: Author,
    search: Search,
    values: &[f32],
    weights: &[f32],
    codes: &mut [u8],
) -> (f32, f32) {
    let whole = Whole::of(author, values, weights);
    let (mut min, max) = (whole.min, whole.max);
    if min > 0.0 {
        min = 0.0;
    }
    if max == min {
        codes.fill(0);
        return (0.0, -min);
    }
    let limit = search.limit as f32;
    let code =
        |inverse: f32, min: f32, x: f32| nearest_int(inverse * (x - min)).clamp(0, search.limit);
    let error = |scale: f32, min: f32, codes: &[u8]| {
        let terms = values.iter().zip(weights).zip(codes);
        terms.fold(0.0, |sum, ((&x, &weight), &code)| {
            let off = author.mul_add(scale, f32::from(code), min) - x;
            let off = if search.magnitudes {
                off.abs()
            } else {
                off * off
            };
            author.mul_add(weight, off, sum)
        })
    };
    let inverse = limit / (max - min);
    let mut scale = 1.0 / inverse;
    for (out, &x) in codes.iter_mut().zip(values) {
        *out = code(inverse, min, x) as u8;
    }
    let mut best = error(scale, min, codes);
    let mut tried = codes.to_vec();
    for attempt in 0..=search.last {
        let more = author.mul_add(search.step, attempt as f32, search.from);
        let inverse = (more + limit) / (max - min);
        for (out, &x) in tried.iter_mut().zip(values) {
            *out = if search.cut_first {
                cut_first(inverse * (x - min), limit)
            } else {
                code(inverse, min, x) as u8
            };
        }
        let Some((this_scale, this_min)) = whole.fit(author, values, weights, &tried) else {
            continue;
        };
        let left = error(this_scale, this_min, &tried);
        if left < best {
            (best, scale, min) = (left, this_scale, this_min);
            codes.copy_from_slice(&tried);
        }
    }
    (scale, -min)
}

fn cut_first(x: f32, limit: f32) -> u8 {
    if x > 0.0 {
        nearest_int(if x < limit { x } else { limit }) as u8
    } else {
        0
    }
}

/// What of a group does not depend on the codes.
struct Whole {
    min: f32,
    max: f32,
    weights: f32,
    values: f32,
}

impl Whole {
    fn of(author: Author, values: &[f32], weights: &[f32]) -> Self {
        let mut whole = Whole {
            min: values[0],
            max: values[0],
            weights: weights[0],
            values: weights[0] * values[0],
        };
        for (&x, &weight) in values.iter().zip(weights).skip(1) {
            if x < whole.min {
                whole.min = x;
            }
            if x > whole.max {
                whole.max = x;
            }
            whole.weights += weight;
            whole.values = author.mul_add(weight, x, whole.values);
        }
        whole
    }

    /// Scale and offset by least squares, the offset not above zero; none where the codes do not
    /// determine them.
    fn fit(
        &self,
        author: Author,
        values: &[f32],
        weights: &[f32],
        codes: &[u8],
    ) -> Option<(f32, f32)> {
        let (mut sum, mut squares, mut products) = (0.0, 0.0, 0.0);
        for ((&x, &weight), &code) in values.iter().zip(weights).zip(codes) {
            let code = f32::from(code);
            sum = author.mul_add(weight, code, sum);
            squares = author.mul_add(weight * code, code, squares);
            products = author.mul_add(weight * code, x, products);
        }
        let less = |a: f32, b: f32, c: f32, d: f32| author.mul_add(a, b, -(c * d));
        let determinant = less(self.weights, squares, sum, sum);
        if determinant.is_nan() || determinant <= 0.0 {
            return None;
        }
        let min = less(squares, self.values, sum, products) / determinant;
        if min > 0.0 {
            return Some((products / squares, 0.0));
        }
        let scale = less(self.weights, products, self.values, sum) / determinant;
        Some((scale, min))
    }
}
