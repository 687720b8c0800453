//! The angles of rotary positions, and how they are stretched for contexts longer than those of
//! training.
#![forbid(unsafe_code)]

use super::libm::{cos, ln, pow, sin};
use crate::config::{Config, Stretch};

/// How the pairs of a head turn from position to position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turning {
    /// What the angle is multiplied by from one pair to the next.
    pub step: f32,
    /// What an angle is multiplied with to stretch it.
    pub scale: f32,
    /// What sine and cosine are multiplied with.
    pub magnitude: f32,
    /// YaRN: up to the first of these pairs angles stay as they are, from the second on they are
    /// multiplied with all of `scale`, and between them with a part of it.
    pub ramp: Option<[f32; 2]>,
}

impl Turning {
    /// Of a model.
    pub fn of(config: &Config) -> Self {
        Turning::by(
            config.rope_freq_base,
            config.rope_dimensions,
            config.rope_stretch,
        )
    }

    fn by(base: f32, dimensions: usize, stretch: Stretch) -> Self {
        let Stretch {
            scale,
            attention,
            trained,
        } = stretch;
        let yarn = |trained: u32| {
            let pair = |turns: f32| {
                let context = trained as f32 / (turns * 2.0 * std::f32::consts::PI);
                dimensions as f32 * ln(context) / (2.0 * ln(base))
            };
            // Pairs that turn 32 times and more in a context of training stay, those that turn
            // once and less are stretched.
            let first = pair(32.0).floor().max(0.0);
            let last = pair(1.0).ceil().min((dimensions - 1) as f32);
            [first, last]
        };
        let ramp = trained.map(yarn);
        let stronger = ramp.map_or(1.0, |_| 0.1_f32.mul_add(ln(1.0 / scale), 1.0));
        Turning {
            step: pow(base, -2.0 / dimensions as f32),
            scale,
            magnitude: attention * stronger,
            ramp,
        }
    }

    /// `(cos, sin)` of every pair's angle at one position. The angle's step is multiplied up from
    /// pair to pair in single precision, which is not the same as a power per pair.
    pub fn angles(&self, position: usize, factors: Option<&[f32]>, out: &mut [[f32; 2]]) {
        let mut theta = position as f32;
        for (pair, out) in out.iter_mut().enumerate() {
            let factor = factors.map_or(1.0, |factors| factors[pair]);
            let angle = self.stretched(pair, theta / factor);
            *out = [cos(angle), sin(angle)].map(|x| x * self.magnitude);
            theta *= self.step;
        }
    }

    fn stretched(&self, pair: usize, angle: f32) -> f32 {
        let all = self.scale * angle;
        let Some([first, last]) = self.ramp else {
            return all;
        };
        let way = (pair as f32 - first) / 0.001_f32.max(last - first);
        let kept = 1.0 - way.clamp(0.0, 1.0);
        all.mul_add(1.0 - kept, angle * kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_multiplied_up_and_not_raised() {
        let turning = Turning::by(500_000.0, 128, Stretch::NONE);
        let mut angles = [[0f32; 2]; 64];
        turning.angles(1000, None, &mut angles);
        let mut theta = 1000f32;
        let mut raised_differs = false;
        for (i, angle) in angles.iter().enumerate() {
            assert_eq!(*angle, [cos(theta), sin(theta)], "pair {i}");
            raised_differs |= sin(1000.0 * turning.step.powi(i as i32)) != angle[1];
            theta *= turning.step;
        }
        assert!(raised_differs, "the two ways can be told apart");
    }

    #[test]
    fn factors_divide_and_the_scale_multiplies() {
        let mut angles = [[0f32; 2]; 2];
        let turning = Turning {
            step: 0.5,
            ..Turning::by(10_000.0, 4, Stretch::by(0.25))
        };
        turning.angles(3, Some(&[1.0, 2.0]), &mut angles);
        assert_eq!(angles[0], [cos(0.75), sin(0.75)]);
        assert_eq!(angles[1], [cos(0.1875), sin(0.1875)]);
    }

    #[test]
    fn yarn_leaves_fast_pairs_alone_and_stretches_slow_ones() {
        // 4096 positions of training, 128 dimensions: pair 20.9 turns 32 times, pair 45.03 once.
        let stretch = Stretch {
            trained: Some(4096),
            ..Stretch::by(0.25)
        };
        let yarn = Turning::by(10_000.0, 128, stretch);
        assert_eq!(yarn.ramp, Some([20.0, 46.0]));
        assert_eq!(yarn.magnitude, 1.138_629_4);
        assert_eq!(yarn.stretched(20, 3.0), 3.0);
        assert_eq!(yarn.stretched(33, 3.0), 1.875, "half of the way");
        assert_eq!(yarn.stretched(46, 3.0), 0.75);
        let mut one = [[0f32; 2]];
        yarn.angles(1, None, &mut one);
        assert_eq!(one[0], [cos(1.0), sin(1.0)].map(|x| x * 1.138_629_4));
    }
}
