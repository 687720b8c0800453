//! The values of a tensor, read in pieces of whole rows: floats as they are, or digits under one
//! scale.

use super::tensors::Tensor;
use crate::encoding::float::Float;
use crate::flavor::Shape;
use crate::refusal::{Code, Refusal};

/// Elements read at a time, about.
const PIECE: usize = 1 << 20;
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
#[derive(Clone)]
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

    /// Hands out all cells, as whole rows, in order, and in one piece where that is asked for.
    pub fn pieces(
        &self,
        whole: bool,
        mut take: impl FnMut(&[f32], Shape) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let Shape { rows, cols } = self.shape;
        let unit = self.interleave.unwrap_or(1) * (BLOCK / gcd(cols, BLOCK));
        let some = (PIECE / cols.max(1)).next_multiple_of(unit).max(unit);
        let step = if whole { rows } else { some };
        let mut reader = Reader::of(&self.cells, cols)?;
        let mut cells = Vec::new();
        let mut first = 0;
        while first < rows {
            let count = step.min(rows - first);
            cells.resize(count * cols, 0.0);
            match self.interleave {
                None => reader.rows(first, &mut cells)?,
                Some(head) => {
                    let mut read = vec![0.0; cells.len()];
                    reader.rows(first, &mut read)?;
                    interleave(&read, head, cols, &mut cells);
                }
            }
            take(&cells, Shape { rows: count, cols })?;
            first += count;
        }
        Ok(())
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
    cells: Cells<'a>,
    cols: usize,
    /// All of a packed tensor, a piece of any other.
    bytes: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn of(cells: &Cells<'a>, cols: usize) -> Result<Self, Refusal> {
        let bytes = match cells {
            Cells::Floats { .. } => Vec::new(),
            Cells::Packed { tensor } => tensor.read_all()?,
        };
        Ok(Reader {
            cells: cells.clone(),
            cols,
            bytes,
        })
    }

    fn rows(&mut self, first: usize, out: &mut [f32]) -> Result<(), Refusal> {
        let from = first * self.cols;
        match &self.cells {
            Cells::Floats {
                tensor,
                float,
                digit,
            } => {
                let width = float.element_bytes();
                self.bytes.resize(out.len() * width, 0);
                tensor.read((from * width) as u64, &mut self.bytes)?;
                float.decode(&self.bytes, out);
                if let Some(at) = out.iter().position(|value| !value.is_finite()) {
                    let found = format!("{} as element {}", out[at], from + at);
                    let rule = "finite numbers";
                    return Err(tensor.refuse(Code::DataNonfinite, "data", rule, found));
                }
                digit.apply(out);
                Ok(())
            }
            Cells::Packed { tensor } => {
                let quarter = self.bytes.len();
                for (at, out) in out.iter_mut().enumerate() {
                    let index = from + at;
                    let code = self.bytes[index % quarter] >> (2 * (index / quarter)) & 3;
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
    pub fn of(content: &Content) -> Result<Self, Refusal> {
        let (mut largest, mut smallest) = (0.0_f32, f32::INFINITY);
        // Several sums side by side: one alone waits for itself.
        let (mut sums, mut count) = ([0.0_f64; 8], 0_usize);
        content.pieces(false, |cells, _| {
            for (at, cell) in cells.iter().enumerate() {
                let magnitude = cell.abs();
                sums[at % 8] += f64::from(magnitude);
                largest = largest.max(magnitude);
                let or_none = if magnitude > 0.0 {
                    magnitude
                } else {
                    f32::INFINITY
                };
                smallest = smallest.min(or_none);
            }
            count += cells.len();
            Ok(())
        })?;
        let sum: f64 = sums.iter().sum();
        Ok(Magnitudes {
            largest,
            mean: (sum / count.max(1) as f64) as f32,
            ternary: smallest >= largest,
        })
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
