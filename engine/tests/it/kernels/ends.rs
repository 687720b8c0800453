//! Activations at the ends of their range.

use engine::kernels::gemm::Inputs;
use engine::kernels::q8_0::Q8Block;
use engine::kernels::q8_1::Q8Sum;
use engine::kernels::q8_k::Q8K;

use super::input::Random;

/// Activations at the ends of their range, in every form of blocks.
pub struct Ends {
    large: Vec<Q8K>,
    small: Vec<Q8Block>,
    sums: Vec<Q8Sum>,
}

impl Ends {
    /// So many, of which some may be −128. In every second block 16 neighbours are the same, so
    /// that their sums are at their ends, too.
    pub fn new(random: &mut Random, count: usize, least: bool) -> Self {
        let mut end = || [127i8, -127, -128][random.below(2 + u64::from(least)) as usize];
        let block = |index| {
            let mut values = [(); 256].map(|()| end());
            let (groups, _) = values.as_chunks_mut::<16>();
            if index % 2 == 0 {
                groups.iter_mut().for_each(|group| *group = [group[0]; 16]);
            }
            Q8K::new(0.5, values)
        };
        let large = (0..count / 256).map(block).collect();
        let block = |_| Q8Block {
            scale: 0.5,
            values: [(); 32].map(|()| end()),
        };
        let small: Vec<Q8Block> = (0..count / 32).map(block).collect();
        let with_sum = |(i, &block): (usize, &Q8Block)| Q8Sum {
            block,
            sum: i as f32 * 0.37 - 5.0,
        };
        let sums = small.iter().enumerate().map(with_sum).collect();
        Ends { large, small, sums }
    }

    /// As kernels take them.
    pub fn inputs(&self, tokens: usize) -> Inputs<'_> {
        Inputs {
            tokens,
            q8_k: &self.large,
            q8_0: &self.small,
            q8_1: &self.sums,
            ..Inputs::default()
        }
    }
}
