//! Weights and activations: random ones, and the ones that go wrong first.

use engine::flavor::Shape;

/// A small generator, so that every failure can be repeated.
pub struct Random(u64);

impl Random {
    pub fn new(seed: usize) -> Self {
        Random(seed as u64)
    }

    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// From −1 to 1.
    pub fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// One matrix in the forms the encoders take.
pub struct Weights {
    pub shape: Shape,
    /// −s, 0 and +s.
    pub ternary: Vec<f32>,
    /// Anything between −1 and 1.
    pub floats: Vec<f32>,
    /// Two-bit codes, 0 to 3.
    pub codes: Vec<u8>,
    /// A scale for every 32 elements of a row.
    pub scales: Vec<f32>,
}

impl Weights {
    /// Random weights; every third matrix row is all zero.
    pub fn random(shape: Shape, random: &mut Random) -> Self {
        let n = shape.rows * shape.cols;
        let zero = |i: usize| i / shape.cols % 3 == 2;
        let ternary = (0..n).map(|i| (random.below(3) as f32 - 1.0) * f32::from(!zero(i)) * 0.375);
        let ternary = ternary.collect();
        let floats = (0..n)
            .map(|i| random.float() * f32::from(!zero(i)))
            .collect();
        let codes = (0..n).map(|_| random.below(4) as u8).collect();
        // Exact in f16, so that a scale that went through one comes back the same.
        let scales = (0..shape.rows * shape.cols.div_ceil(32))
            .map(|_| (1 + random.below(64)) as f32 / 64.0)
            .collect();
        Weights {
            shape,
            ternary,
            floats,
            codes,
            scales,
        }
    }

    /// The matrix without its last rows.
    pub fn first_rows(&self, rows: usize) -> Weights {
        let cols = self.shape.cols;
        Weights {
            shape: Shape { rows, cols },
            ternary: self.ternary[..rows * cols].to_vec(),
            floats: self.floats[..rows * cols].to_vec(),
            codes: self.codes[..rows * cols].to_vec(),
            scales: self.scales[..rows * cols.div_ceil(32)].to_vec(),
        }
    }
}

/// A kind of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Evenly spread.
    Even,
    /// Magnitudes over ten decades, some denormal.
    Wild,
    /// Half-integers after scaling: every rounding is a tie.
    Ties,
    /// All at the largest magnitude.
    Extreme,
    /// Zeros.
    Zero,
}

impl Kind {
    pub const ALL: [Kind; 5] = [
        Kind::Even,
        Kind::Wild,
        Kind::Ties,
        Kind::Extreme,
        Kind::Zero,
    ];

    pub fn activations(self, n: usize, random: &mut Random) -> Vec<f32> {
        let mut one = |i: usize| match self {
            Kind::Even => random.float(),
            Kind::Wild if i.is_multiple_of(17) => f32::from_bits(random.below(1 << 23) as u32),
            Kind::Wild => random.float() * 10f32.powi(random.below(10) as i32 - 6),
            Kind::Ties if i.is_multiple_of(31) => 127.0,
            Kind::Ties => random.below(127) as f32 - 63.5,
            Kind::Extreme if random.below(2) == 0 => 3.0,
            Kind::Extreme => -3.0,
            Kind::Zero => 0.0,
        };
        (0..n).map(&mut one).collect()
    }
}
