//! Distances as steps of a colour scale: one scale for each metric, on every map the same.

/// The steps of the scale; the first is "every bit is equal", the last "no number".
pub const STEPS: usize = 10;
const NO_NUMBER: usize = STEPS - 1;

/// What a map can be coloured by.
pub const METRICS: [Metric; 3] = [
    Metric {
        name: "NMSE",
        from: [0.0, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2],
        legend: [
            "≤1e-14", "1e-14", "1e-12", "1e-10", "1e-8", "1e-6", "1e-4", "1e-2",
        ],
    },
    Metric {
        name: "ULP",
        from: [0.0, 2.0, 4.0, 16.0, 256.0, 4096.0, 65536.0, 16_777_216.0],
        legend: ["≤1", "2", "4", "16", "256", "4096", "65536", "2²⁴"],
    },
    Metric {
        name: "KL",
        from: [0.0, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2],
        legend: [
            "≤1e-14", "1e-14", "1e-12", "1e-10", "1e-8", "1e-6", "1e-4", "1e-2",
        ],
    },
];

/// One metric and where the steps of its colours begin.
pub struct Metric {
    /// As printed.
    pub name: &'static str,
    from: [f64; 8],
    /// Where each step begins, as printed.
    pub legend: [&'static str; 8],
}

impl Metric {
    /// The step of a distance, none of which is known where a value is no number. Where all bits
    /// are equal it is 0, and only there.
    pub fn step(&self, equal: bool, distance: Option<f64>) -> usize {
        match distance {
            _ if equal => 0,
            Some(distance) => self.from.partition_point(|&from| from <= distance).max(1),
            None => NO_NUMBER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_bits_have_no_colour() {
        let [nmse, ulp, _] = &METRICS;
        assert_eq!(nmse.step(true, Some(0.0)), 0);
        assert_eq!(nmse.step(false, Some(0.0)), 1, "the two zeros");
        assert_eq!(nmse.step(false, Some(1.0)), 8);
        assert_eq!(nmse.step(false, None), NO_NUMBER);
        assert_eq!(
            [1.0, 2.0, 3.0, 4.0].map(|n| ulp.step(false, Some(n))),
            [1, 2, 2, 3]
        );
    }
}
