//! What TL1 and TL2 share: the shapes their kernels were generated for, each with the tiles in
//! which its weights lie. No file records them.
#![forbid(unsafe_code)]

use super::Shape;

/// How a matrix of one shape is cut: tiles of rows and columns, and strips of rows in a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiles {
    pub rows: usize,
    pub cols: usize,
    pub strip: usize,
}

type Known = (usize, usize, [usize; 3], [usize; 3]);

/// Rows and columns, then the tiles of TL1 and of TL2: the matrices of bitnet_b1_58-3B, of
/// bitnet_b1_58-large and of Llama3-8B-1.58.
#[rustfmt::skip]
const KNOWN: [Known; 10] = [
    (3200, 8640, [160, 64, 32], [160, 96, 32]),
    (3200, 3200, [320, 128, 64], [320, 96, 32]),
    (8640, 3200, [320, 64, 32], [320, 96, 32]),
    (1536, 4096, [256, 128, 32], [256, 96, 32]),
    (1536, 1536, [128, 64, 64], [128, 192, 32]),
    (4096, 1536, [256, 128, 32], [256, 96, 32]),
    (14336, 4096, [256, 128, 64], [256, 96, 32]),
    (4096, 14336, [256, 128, 32], [128, 96, 32]),
    (1024, 4096, [128, 64, 64], [256, 96, 32]),
    (4096, 4096, [128, 64, 32], [128, 96, 32]),
];

fn known(shape: Shape) -> Option<&'static Known> {
    let same = |known: &&Known| (known.0, known.1) == (shape.rows, shape.cols);
    KNOWN.iter().find(same)
}

const fn tiles([rows, cols, strip]: [usize; 3]) -> Tiles {
    Tiles { rows, cols, strip }
}

/// The tiles of TL1, where there are kernels for the shape.
pub(super) fn of_tl1(shape: Shape) -> Option<Tiles> {
    known(shape).map(|known| tiles(known.2))
}

/// The tiles of TL2.
pub(super) fn of_tl2(shape: Shape) -> Option<Tiles> {
    known(shape).map(|known| tiles(known.3))
}

/// Counts through nested loops: the position of indices, each below its limit, outermost first.
pub(super) fn position<const N: usize>(nested: [(usize, usize); N]) -> usize {
    nested
        .iter()
        .fold(0, |position, &(index, limit)| position * limit + index)
}
