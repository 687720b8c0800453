//! Eight running float sums, as x86 builds keep them for block-quantised rows.
//!
//! Element `e` of a block adds to lane `e / 4 mod 8`: lanes are summed as integers within a
//! block, turned into floats, scaled, and only then added up. Which element meets which lane and
//! the order of the final sum decide the last bits of the result.
#![forbid(unsafe_code)]

/// Integer sums of one block, one a lane.
pub type BlockSums = [i32; 8];

/// Float sums over the blocks so far.
#[derive(Default)]
pub struct Lanes([f32; 8]);

impl Lanes {
    /// The lane an element of a block belongs to.
    pub fn of(index: usize) -> usize {
        index / 4 % 8
    }

    /// Adds a block, multiplication and addition rounded once.
    pub fn add_fused(&mut self, scale: f32, sums: BlockSums) {
        for (lane, sum) in self.0.iter_mut().zip(sums) {
            *lane = scale.mul_add(sum as f32, *lane);
        }
    }

    /// Adds a block, multiplication and addition rounded each.
    pub fn add_rounded(&mut self, scale: f32, sums: BlockSums) {
        for (lane, sum) in self.0.iter_mut().zip(sums) {
            *lane += scale * sum as f32;
        }
    }

    /// Halves the lanes until one is left.
    pub fn sum(self) -> f32 {
        let lanes = self.0;
        let four: [f32; 4] = std::array::from_fn(|i| lanes[i + 4] + lanes[i]);
        let two = [four[0] + four[2], four[1] + four[3]];
        two[0] + two[1]
    }
}
