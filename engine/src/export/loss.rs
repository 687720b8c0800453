//! How far what was written is from what was read.
#![forbid(unsafe_code)]

use crate::encoding::author::largest_finite;

/// Sums over the values of a tensor, from which its errors follow.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loss {
    squares: f64,
    squares_written: f64,
    products: f64,
    errors: f64,
    largest: f64,
    not_finite: u64,
}

/// The same sums of finite values, side by side: one alone would wait for itself.
#[derive(Default)]
struct Lanes {
    squares: [f64; LANES],
    squares_written: [f64; LANES],
    products: [f64; LANES],
    errors: [f64; LANES],
    largest: [f64; LANES],
}

const LANES: usize = 8;

impl Lanes {
    #[inline(always)]
    fn add(&mut self, xs: &[f32; LANES], ys: &[f32; LANES]) {
        for lane in 0..LANES {
            let (x, y) = (f64::from(xs[lane]), f64::from(ys[lane]));
            let error = x - y;
            self.squares[lane] += x * x;
            self.squares_written[lane] += y * y;
            self.products[lane] += x * y;
            self.errors[lane] += error * error;
            let beyond = error.abs() > self.largest[lane];
            self.largest[lane] = if beyond {
                error.abs()
            } else {
                self.largest[lane]
            };
        }
    }

    fn sum(&self) -> Loss {
        let sum = |lanes: &[f64; LANES]| lanes.iter().sum();
        Loss {
            squares: sum(&self.squares),
            squares_written: sum(&self.squares_written),
            products: sum(&self.products),
            errors: sum(&self.errors),
            largest: self.largest.iter().copied().fold(0.0, f64::max),
            not_finite: 0,
        }
    }
}

impl Loss {
    /// Of some values and what they became.
    pub fn between(values: &[f32], written: &[f32]) -> Self {
        let (xs, last_xs) = values.as_chunks::<LANES>();
        let (ys, last_ys) = written.as_chunks::<LANES>();
        let mut loss = Loss::default();
        let mut each = |xs: &[f32], ys: &[f32]| {
            xs.iter().zip(ys).for_each(|(&x, &y)| loss.add(x, y));
        };
        if [values, written].map(largest_finite).contains(&None) {
            each(values, written);
            return loss;
        }
        let mut lanes = Lanes::default();
        xs.iter().zip(ys).for_each(|(xs, ys)| lanes.add(xs, ys));
        each(last_xs, last_ys);
        lanes.sum().and(loss)
    }

    fn add(&mut self, x: f32, y: f32) {
        let (x, y) = (f64::from(x), f64::from(y));
        if !(x.is_finite() && y.is_finite()) {
            self.not_finite += u64::from(x.to_bits() != y.to_bits());
            return;
        }
        self.squares += x * x;
        self.squares_written += y * y;
        self.products += x * y;
        self.errors += (x - y) * (x - y);
        self.largest = self.largest.max((x - y).abs());
    }

    /// Of these and others.
    pub fn and(self, other: Self) -> Self {
        Loss {
            squares: self.squares + other.squares,
            squares_written: self.squares_written + other.squares_written,
            products: self.products + other.products,
            errors: self.errors + other.errors,
            largest: self.largest.max(other.largest),
            not_finite: self.not_finite + other.not_finite,
        }
    }

    /// The squared error over the squared values; 0 where nothing was lost, of nothing too.
    pub fn nmse(&self) -> f64 {
        if self.errors == 0.0 {
            0.0
        } else {
            self.errors / self.squares
        }
    }

    /// The largest error of one value.
    pub fn largest(&self) -> f64 {
        self.largest
    }

    /// The cosine between what was read and what was written; 1 of nothing and nothing.
    pub fn cosine(&self) -> f64 {
        let lengths = (self.squares * self.squares_written).sqrt();
        match () {
            () if self.errors == 0.0 => 1.0,
            () if lengths == 0.0 => 0.0,
            () => self.products / lengths,
        }
    }

    /// Whether every value came back.
    pub fn is_none(&self) -> bool {
        self.errors == 0.0 && self.not_finite == 0
    }

    /// Values that are no finite numbers on one side and another on the other.
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_by_hand() {
        let loss = Loss::between(&[3.0, 4.0], &[3.0, 3.0]);
        assert_eq!((loss.nmse(), loss.largest()), (1.0 / 25.0, 1.0));
        assert!((loss.cosine() - 21.0 / (5.0 * 18f64.sqrt())).abs() < 1e-12);
        let nothing = Loss::between(&[0.0, 1.0], &[-0.0, 1.0]);
        assert!(nothing.is_none() && nothing.nmse() == 0.0 && nothing.cosine() == 1.0);
        let halves = Loss::between(&[3.0], &[3.0]).and(Loss::between(&[4.0], &[3.0]));
        assert_eq!(halves, loss);
        assert!(!Loss::between(&[f32::NAN], &[0.0]).is_none());
        let gone = Loss::between(&[1.0], &[0.0]);
        assert_eq!((gone.nmse(), gone.cosine()), (1.0, 0.0));
    }
}
