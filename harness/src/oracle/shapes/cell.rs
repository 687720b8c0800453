//! The combinations of properties of which every one must be tried, and a model for each.

use engine::config::Architecture;

use crate::file::document::Format;
use crate::fixture::random::{GROUPS, HEAD_DIMS, HEADS, KV_HEADS, RandomShape, WIDEST};

/// Shapes drawn for one cell at most; of the rarest cell every twentieth fits.
const ATTEMPTS: u64 = 1000;

/// What decides most about the order of operations.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // as in [`RandomShape`]
pub struct Cell {
    pub architecture: Architecture,
    pub head_dim: usize,
    pub group: usize,
    /// How the matrix is written that makes the logits.
    pub head: Format,
}

impl Cell {
    /// Every possible one.
    pub fn all(architectures: &[Architecture]) -> Vec<Cell> {
        let mut all = Vec::new();
        for &architecture in architectures {
            for head_dim in HEAD_DIMS {
                for group in GROUPS {
                    let cell = |head| Cell {
                        architecture,
                        head_dim,
                        group,
                        head,
                    };
                    all.extend(HEADS.map(cell).into_iter().filter(Cell::is_possible));
                }
            }
        }
        all
    }

    /// Where a shape belongs.
    pub fn of(shape: &RandomShape) -> Cell {
        Cell {
            architecture: shape.architecture,
            head_dim: shape.head_dim,
            group: shape.group,
            head: shape.output.unwrap_or(shape.embedding),
        }
    }

    /// Rows of the head are whole blocks, and only without sub-norms may the width be another than
    /// that of all heads.
    fn is_possible(&self) -> bool {
        let widths = KV_HEADS.map(|kv_heads| self.head_dim * self.group * kv_heads);
        let fits = |width: &usize| *width <= WIDEST && width.is_multiple_of(self.head.block());
        !self.architecture.facts().sub_norms || widths.iter().any(fits)
    }

    /// The first of a number's shapes that can be made one of this cell.
    pub fn shape(&self, number: u64) -> RandomShape {
        let draw = |attempt| {
            let seed = number.wrapping_mul(ATTEMPTS).wrapping_add(attempt);
            RandomShape::from_seed(seed, Some(self.architecture))
        };
        let mut fitting = (0..ATTEMPTS).filter_map(|attempt| self.fit(draw(attempt)));
        fitting.next().expect("every possible cell has shapes")
    }

    /// The shape with the properties of this cell, if that leaves it possible and small.
    fn fit(&self, drawn: RandomShape) -> Option<RandomShape> {
        let attended = self.head_dim * self.group * drawn.kv_heads;
        let follows = drawn.width == drawn.heads() * drawn.head_dim;
        let width = if follows {
            attended
        } else {
            drawn.width.next_multiple_of(self.head.block())
        };
        let mut shape = RandomShape {
            head_dim: self.head_dim,
            group: self.group,
            width,
            ..drawn
        };
        match &mut shape.output {
            Some(head) => *head = self.head,
            None => shape.embedding = self.head,
        }
        let small = attended <= WIDEST && width <= WIDEST;
        (small && shape.check().is_ok()).then_some(shape)
    }
}
