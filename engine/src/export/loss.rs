//! How far what was written is from what was read.
#![forbid(unsafe_code)]

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

impl Loss {
    /// Of some values and what they became.
    pub fn between(values: &[f32], written: &[f32]) -> Self {
        let mut loss = Loss::default();
        for (&x, &y) in values.iter().zip(written) {
            let (x, y) = (f64::from(x), f64::from(y));
            if !(x.is_finite() && y.is_finite()) {
                loss.not_finite += u64::from(x.to_bits() != y.to_bits());
                continue;
            }
            loss.squares += x * x;
            loss.squares_written += y * y;
            loss.products += x * y;
            loss.errors += (x - y) * (x - y);
            loss.largest = loss.largest.max((x - y).abs());
        }
        loss
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
