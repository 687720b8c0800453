//! The values of a tensor, read in pieces of whole rows: floats as they are, or digits under one
//! scale.

use super::tensors::Tensor;
use crate::encoding::float::Float;
use crate::flavor::Shape;
use crate::pool::Pool;
use crate::refusal::{Code, Refusal};

/// Elements read at a time, about: they stay in the cache until they are written.
const PIECE: usize = 1 << 16;
/// What every piece but the last is a multiple of: no block of any format is cut.
const BLOCK: usize = 256;

/// Where values come from and what is done to them.
pub struct Content<'a> {
    /// Rows and columns of what is written.
    pub shape: Shape,
    /// By what every cell is multiplied.
    pub scale: f32,
    /// For rotations that pair neighbours: the rows of a head, which are interleaved.
    pub interleave: Option<usize>,
    /// What is read.
    pub cells: Cells<'a>,
}

/// What is read, and what of it is a cell.
pub enum Cells<'a> {
    /// Floats, which `digit` may turn into digits.
    Floats {
        /// From here.
        tensor: Tensor<'a>,
        /// Written so.
        float: Float,
        /// What becomes of each.
        digit: Digit,
    },
    /// Four digits to the byte, each from another quarter of the rows.
    Packed {
        /// From here.
        tensor: Tensor<'a>,
    },
}

/// What becomes of a float.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Digit {
    /// It stays what it is.
    Value,
    /// Its sign, or zero.
    Sign,
    /// The nearest of −1, 0 and +1 to its product with this.
    Nearest(f32),
}

impl Content<'_> {
    /// Whether every cell is −1, 0 or +1.
    pub fn is_digits(&self) -> bool {
        let value = Digit::Value;
        !matches!(&self.cells, Cells::Floats { digit, .. } if *digit == value)
    }

    /// Calls `make` with all cells, some whole rows at a time, on every thread, and `take` with
    /// what it makes of them, in order; with all rows at once where that is asked for.
    pub fn pieces<T: Send>(
        &self,
        pool: &mut Pool,
        whole: bool,
        make: impl Fn(&[f32], Shape) -> T + Sync,
        mut take: impl FnMut(T) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let Shape { rows, cols } = self.shape;
        let unit = self.interleave.unwrap_or(1) * (BLOCK / gcd(cols, BLOCK));
        let some = (PIECE / cols.max(1)).next_multiple_of(unit).max(unit);
        let step = if whole { rows } else { some };
        let reader = Reader::of(&self.cells, cols)?;
        let made = |piece| {
            let first = piece * step;
            let count = step.min(rows - first);
            let mut cells = vec![0.0; count * cols];
            reader.rows(first, &mut cells)?;
            if let Some(head) = self.interleave {
                let mut turned = vec![0.0; cells.len()];
                interleave(&cells, head, cols, &mut turned);
                cells = turned;
            }
            Ok(make(&cells, Shape { rows: count, cols }))
        };
        let pieces = rows.div_ceil(step.max(1));
        pool.in_order(pieces, made, |made| made.and_then(&mut take))
    }
}

/// Row `2j + t` of a head becomes what row `t · half + j` was.
fn interleave(read: &[f32], head: usize, cols: usize, out: &mut [f32]) {
    let rows = out.chunks_exact_mut(cols).enumerate();
    for (row, out) in rows {
        let (before, within) = (row / head * head, row % head);
        let from = before + within % 2 * (head / 2) + within / 2;
        out.copy_from_slice(&read[from * cols..][..cols]);
    }
}

/// Reads rows of one tensor.
struct Reader<'a> {
    cells: &'a Cells<'a>,
    cols: usize,
    /// All of a packed tensor, nothing of any other.
    packed: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn of(cells: &'a Cells<'a>, cols: usize) -> Result<Self, Refusal> {
        let packed = match cells {
            Cells::Floats { .. } => Vec::new(),
            Cells::Packed { tensor } => tensor.read_all()?,
        };
        Ok(Reader {
            cells,
            cols,
            packed,
        })
    }

    fn rows(&self, first: usize, out: &mut [f32]) -> Result<(), Refusal> {
        let from = first * self.cols;
        match self.cells {
            Cells::Floats {
                tensor,
                float,
                digit,
            } => {
                let width = float.element_bytes();
                let mut bytes = vec![0; out.len() * width];
                tensor.read((from * width) as u64, &mut bytes)?;
                float.decode(&bytes, out);
                // All of them, without a way out, is several at once.
                let finite = out.iter().fold(true, |all, value| all & value.is_finite());
                let first = || out.iter().position(|value| !value.is_finite());
                if let Some(at) = (!finite).then(first).flatten() {
                    let found = format!("{} as element {}", out[at], from + at);
                    let rule = "finite numbers";
                    return Err(tensor.refuse(Code::DataNonfinite, "data", rule, found));
                }
                digit.apply(out);
                Ok(())
            }
            Cells::Packed { tensor } => {
                let quarter = self.packed.len();
                for (at, out) in out.iter_mut().enumerate() {
                    let index = from + at;
                    let code = self.packed[index % quarter] >> (2 * (index / quarter)) & 3;
                    if code == 3 {
                        let found = format!("3 as element {index}");
                        return Err(tensor.refuse(Code::NotTernary, "data", "0, 1 or 2", found));
                    }
                    *out = f32::from(code) - 1.0;
                }
                Ok(())
            }
        }
    }
}

impl Digit {
    fn apply(self, cells: &mut [f32]) {
        // A digit is the sign of what is beyond the bound; half itself goes to the even one, zero.
        let (factor, bound) = match self {
            Digit::Value => return,
            Digit::Sign => (1.0, 0.0),
            Digit::Nearest(factor) => (factor, 0.5),
        };
        for cell in cells {
            let product = *cell * factor;
            let beyond = product.abs() > bound;
            *cell = if beyond {
                1.0_f32.copysign(product)
            } else {
                0.0
            };
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What has to be known of floats before they are digits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Magnitudes {
    /// The largest.
    pub largest: f32,
    /// The mean of all.
    pub mean: f32,
    /// Whether all that are not zero are the largest.
    pub ternary: bool,
}

impl Magnitudes {
    /// Reads all of it.
    pub fn of(content: &Content, pool: &mut Pool) -> Result<Self, Refusal> {
        let mut all = Extremes::default();
        let mut ternary = true;
        content.pieces(pool, false, Extremes::of, |piece| {
            let both = [all.largest, piece.largest];
            ternary &= piece.ternary && (both.contains(&0.0) || both[0] == both[1]);
            all.largest = f32::max(both[0], both[1]);
            all.sum += piece.sum;
            all.count += piece.count;
            Ok(())
        })?;
        Ok(Magnitudes {
            largest: all.largest,
            mean: (all.sum / all.count.max(1) as f64) as f32,
            ternary,
        })
    }
}

/// The same of a piece, and what the mean is made of.
#[derive(Default)]
struct Extremes {
    largest: f32,
    ternary: bool,
    sum: f64,
    count: usize,
}

impl Extremes {
    fn of(cells: &[f32], _: Shape) -> Self {
        // Several side by side: one alone waits for itself.
        const LANES: usize = 8;
        let (mut largest, mut sums) = ([0.0_f32; LANES], [0.0_f64; LANES]);
        let (chunks, rest) = cells.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                largest[lane] = largest[lane].max(chunk[lane].abs());
                sums[lane] += f64::from(chunk[lane].abs());
            }
        }
        let rest = rest.iter().map(|cell| cell.abs());
        let largest = largest.into_iter().chain(rest.clone()).fold(0.0, f32::max);
        let is_digit = |cell: &f32| *cell == 0.0 || cell.abs() == largest;
        Extremes {
            largest,
            ternary: cells.iter().all(is_digit),
            sum: sums.into_iter().chain(rest.map(f64::from)).sum(),
            count: cells.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_head_become_neighbours() {
        let read: Vec<f32> = (0..16).map(|x| x as f32).collect();
        let mut out = vec![0.0; 16];
        interleave(&read, 8, 1, &mut out);
        assert_eq!(out[..8], [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
        assert_eq!(out[8..10], [8.0, 12.0]);
    }

    #[test]
    fn magnitudes_of_a_piece_with_a_rest() {
        let mut cells = vec![0.5; 8];
        cells.extend([-0.5, 0.0, 0.5]);
        let shape = Shape { rows: 1, cols: 11 };
        let piece = Extremes::of(&cells, shape);
        assert!(piece.ternary);
        assert_eq!((piece.largest, piece.sum, piece.count), (0.5, 5.0, 11));
        cells[10] = 0.75; // behind the last whole chunk
        let piece = Extremes::of(&cells, shape);
        assert!(!piece.ternary);
        assert_eq!((piece.largest, piece.sum), (0.75, 5.25));
    }

    #[test]
    fn halves_between_two_digits_go_to_the_even_one() {
        let mut cells = [0.5, -0.5, 0.75, 1.5, -7.0, -0.0];
        Digit::Nearest(1.0).apply(&mut cells);
        assert_eq!(cells, [0.0, 0.0, 1.0, 1.0, -1.0, 0.0]);
        assert!(
            cells
                .iter()
                .all(|cell| !cell.is_sign_negative() || *cell == -1.0)
        );
    }
}
